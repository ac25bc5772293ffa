"""Lab 11: twins, splits, figures with an interval, copies, and a listener's score."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="Take the first start off all starts and the lowest pitch off all pitches; "
    "sort; make it a tuple of tuples.",
    points=2,
)
def content_key(answer, rng):
    """Equal for the same notes in any key and after any silence, and for those alone."""
    count = int(rng.integers(9, 14))
    duration = rng.integers(1, 4, count)
    start = np.cumsum(duration) - duration[0] + int(rng.integers(0, 3))
    pitch = 60 + rng.permutation(24)[:count]
    tune = [tuple(map(int, note)) for note in zip(start, duration, pitch, strict=True)]
    tune.append((tune[0][0], 2, tune[0][2] + 30))  # a chord: two begin together
    given = list(tune)
    key = answer(tune)
    expect(key is not None, "It gives None. Is a `return` missing?")
    try:
        hash(key)
    except TypeError:
        expect(
            False,
            f"A key is looked up in a dict, and a {type(key).__name__} cannot be: a "
            "number, a text or a tuple of tuples can.",
        )
    up, late = int(rng.integers(1, 12)), int(rng.integers(1, 40))
    lowest = min(p for _, _, p in given)
    at = next(n for n in range(3, count) if given[n][2] != lowest)
    (s, d, p), before, after = given[at], given[:at], given[at + 1 :]
    cases = [  # what it is, its notes, whether it is the same tune
        ("again", given, True),
        (f"{up} semitones higher", [(s, d, p + up) for s, d, p in given], True),
        ("12 semitones lower", [(s, d, p - 12) for s, d, p in given], True),
        (f"after {late} steps", [(s + late, d, p) for s, d, p in given], True),
        ("listed otherwise", [given[n] for n in rng.permutation(count + 1)], True),
        ("listed backwards", given[::-1], True),
        ("with a note a semitone higher", [*before, (s, d, p + 1), *after], False),
        ("with a note an octave higher", [*before, (s, d, p + 12), *after], False),
        ("with a note held longer", [*before, (s, d + 1, p), *after], False),
        ("with a note a step late", [*before, (s + 1, d, p), *after], False),
        ("without its last note", [*given[: count - 1], given[-1]], False),
        ("upside down", [(s, d, 150 - p) for s, d, p in given], False),
        ("with two pitches exchanged", _exchanged(given, at), False),
    ]
    for number in rng.permutation(len(cases)):
        what, other, is_same = cases[number]
        verb = ("is another tune", "is the same tune")[is_same]
        found = ("the same", "another")[is_same]
        expect(
            bool(answer(other) == key) is is_same,
            f"The tune {what} {verb}, and its key is {found}.",
        )
    expect(tune == given, "The notes that were handed in were changed.")


def _exchanged(notes, at):
    (s, d, p), (s2, d2, p2) = notes[at - 1], notes[at]
    return [*notes[: at - 1], (s, d, p2), (s2, d2, p), *notes[at + 1 :]]


@exercise(
    hint="Two loops, j after i; a pair counts where keys are equal and splits are not."
)
def leaking_pairs(answer, rng):
    """Each pair of equal keys in two different splits, once."""
    keys = [f"tune {n}" for n in rng.integers(0, 5, 16)]
    splits = [("train", "valid", "test")[n] for n in rng.integers(0, 3, 16)]
    keys += ["x", "x", "y", "y", "z"]
    splits += ["train", "test", "test", "test", "train"]
    wanted = {
        (i, j)
        for j in range(len(keys))
        for i in range(j)
        if keys[i] == keys[j] and splits[i] != splits[j]
    }
    got = answer(list(keys), list(splits))
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = [tuple(int(n) for n in pair) for pair in got]
    alone = [pair for pair in got if len(pair) != 2 or pair[0] >= pair[1]]
    expect(
        not alone,
        f"A pair is two numbers, the smaller first: {alone[:1]} is none. Each pair is "
        "named once.",
    )
    expect(len(set(got)) == len(got), "A pair is named twice.")
    for i, j in got:
        expect(
            (i, j) in wanted,
            f"({i}, {j}) is no leak: {keys[i]!r} in {splits[i]}, {keys[j]!r} in "
            f"{splits[j]}.",
        )
    missing = sorted(wanted - set(got))
    for i, j in missing[:1]:
        expect(
            False,
            f"({i}, {j}) is missing: {keys[i]!r} is in {splits[i]} and in {splits[j]}. "
            f"Found {len(got)} of {len(wanted)}.",
        )
    together = dict(zip(keys, splits, strict=True))
    none = answer(list(keys), [together[key] for key in keys])
    expect(
        none is not None and len(none) == 0,
        "Where equal keys share a split nothing leaks, and the list is empty.",
    )


class _Key(str):
    """A text whose hash is another than its own, as it is in another process."""

    def __hash__(self):
        return hash(("another process", str(self)))


SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}


@exercise(
    hint="Sort the different keys, shuffle those with a Generator of the seed, cut the row "
    "at eight and nine tenths; then look up each piece's key.",
    points=2,
)
def split_by_group(answer, rng):
    """Equal keys share a split; 80, 10 and 10 of 100 groups; a seed, a division."""
    count = 1000
    names = [f"{n:06x}" for n in rng.permutation(2**20)[:count]]
    numbers = rng.permutation(np.r_[np.arange(count), rng.integers(0, count, 500)])
    keys = [names[n] for n in numbers]
    seed = int(rng.integers(0, 1000))
    got = answer(list(keys), seed)
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = [str(split) for split in got]
    expect(
        len(got) == len(keys) and set(got) <= set(SPLITS),
        f"{len(keys)} keys want a split each, train, valid or test. Received: "
        f"{len(got)}, of {', '.join(sorted(set(got))[:4])}",
    )
    found = {}
    for key, split in zip(keys, got, strict=True):
        expect(
            found.setdefault(key, split) == split,
            f"Two pieces of the key {key} are in {found[key]} and in {split}.",
        )
    shares = _shares(found)
    told = ", ".join(f"{share:.1%} {split}" for split, share in shares.items())
    expect(
        _is_about_right(shares),
        f"Of {count} groups 80% belong to train, 10% to valid, 10% to test. Received: "
        f"{told}",
    )
    again = [str(split) for split in answer(list(keys), seed)]
    expect(again == got, "Asked twice with one seed it divides differently.")
    order = rng.permutation(len(keys))
    moved = answer([keys[n] for n in order], seed)
    expect(
        [str(split) for split in moved] == [got[n] for n in order],
        "With the pieces listed in another order the same keys are divided differently. "
        "A set has no order of its own, and two machines list a folder differently.",
    )
    _check_another_process(answer, keys, seed, found)
    other = [str(split) for split in answer(list(keys), seed + 1)]
    share = np.mean([a != b for a, b in zip(got, other, strict=True)])
    expect(
        share > 0.1,
        f"With another seed {share:.0%} of the pieces change their split; about a third "
        "should.",
    )


def _shares(found):
    splits = list(found.values())
    return {split: splits.count(split) / len(splits) for split in SPLITS}


def _is_about_right(shares):
    return all(abs(shares[split] - SPLITS[split]) < 0.05 for split in SPLITS)


def _check_another_process(answer, keys, seed, found):
    """Where a sound division comes of keys whose hash is another, it is the same one."""
    try:
        there = [str(split) for split in answer([_Key(key) for key in keys], seed)]
    except (KeyError, ValueError):
        return  # the keys became plain texts on the way: that is no fault
    elsewhere = dict(zip(keys, there, strict=True))
    expect(
        elsewhere == found or not _is_about_right(_shares(elsewhere)),
        "In another process it divides differently: there the hash of a text is another. "
        "What of a text is the same everywhere?",
    )


@exercise(hint="Add up all surprise, add up all notes, divide once.")
def nats_per_note(answer, rng):
    """All the surprise over all the notes: long tunes count for more than short ones."""
    lengths = rng.integers(4, 60, 7)
    lengths[0], lengths[1] = 3, 90
    log_ps = [-rng.exponential(1.5, n) * (2 if n < 20 else 0.5) for n in lengths]
    notes = [max(1, int(n * share)) for n, share in zip(lengths, rng.uniform(0.3, 0.9, 7),
                                                        strict=True)]  # fmt: skip
    kept = [row.copy() for row in log_ps]
    total = -sum(float(row.sum()) for row in log_ps)
    close(
        answer(list(log_ps), list(notes)),
        total / sum(notes),
        f"the nats a note of 7 tunes, {sum(lengths)} tokens and {sum(notes)} notes,",
    )
    expect(
        all((a == b).all() for a, b in zip(kept, log_ps, strict=True)),
        "The rows that were handed in were changed.",
    )
    close(
        answer([np.log(np.full(8, 0.5))], [4]),
        2 * np.log(2),
        "8 tokens at one half each, on 4 notes: nats a note (natural logarithm)",
    )


@exercise(
    hint="rng.integers(0, n, n) draws n tunes, some twice: add up differences and notes of "
    "those. Of many such ratios np.quantile gives the ends.",
    points=2,
)
def bootstrap_interval(answer, rng):
    """95% of the differences per note that tunes drawn anew, with return, would give."""
    count = 80
    notes = rng.integers(20, 200, count)
    theirs = notes * rng.normal(2.5, 0.8, count)
    apart = np.where(notes < 70, 0.3, -0.15) + rng.normal(0, 0.1, count)
    ours = theirs + notes * apart
    seed = int(rng.integers(0, 1000))

    def asked(*given):
        got = answer(*given, np.random.default_rng(seed), 4000)
        expect(got is not None, "It gives None. Is a `return` missing?")
        expect(np.shape(got) == (2,), f"(low, high) was expected. Received: {got}")
        return np.asarray(got, float)

    kept = ours.copy(), theirs.copy(), notes.copy()
    even = asked(theirs - 0.25 * notes, theirs, notes)
    close(
        even,
        [-0.25, -0.25],
        "the interval where each tune costs us 0.25 nats a note less (ours - theirs)",
    )
    got = asked(ours, theirs, notes)
    draws = np.random.default_rng(seed + 1).integers(0, count, (20_000, count))
    means = (ours - theirs)[draws].sum(axis=1) / notes[draws].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    wide = high - low
    told = f"[{got[0]:.4f}, {got[1]:.4f}], about [{low:.4f}, {high:.4f}] was expected"
    expect(
        abs((got.sum() - low - high) / 2) < 0.12 * wide,
        f"The interval lies beside: {told}. Both sums are drawn together, tune by tune, "
        "and long tunes count for more.",
    )
    expect(
        abs(got[1] - got[0] - wide) < 0.09 * wide,
        f"The interval is {(got[1] - got[0]) / wide:.2f} times as wide as that of 95%: "
        f"{told}.",
    )
    expect(
        (asked(ours, theirs, notes) == got).all(),
        "With a Generator of the same seed it gives another interval.",
    )
    expect(
        all((a == b).all() for a, b in zip(kept, (ours, theirs, notes), strict=True)),
        "What was handed in was changed.",
    )


@exercise(
    hint="np.diff of both; then, for each start in one and in the other, how far do they "
    "agree?",
    points=2,
)
def longest_shared_run(answer, rng):
    """The longest run of intervals, in a row in both, whatever the key."""

    def wanted(a, b):
        a, b = np.diff(a).tolist(), np.diff(b).tolist()
        return max(
            (
                n
                for i in range(len(a))
                for n in range(1, len(a) - i + 1)
                if any(a[i : i + n] == b[j : j + n] for j in range(len(b) - n + 1))
            ),
            default=0,
        )

    def asked(a, b, what):
        got = answer(a, b)
        expect(
            got is not None and np.ndim(got) == 0 and int(got) == wanted(a, b),
            f"{what}: a run of {wanted(a, b)} intervals. Received: {got}",
        )

    motif = 60 + np.cumsum(rng.integers(1, 5, 8) * rng.choice([-1, 1], 8))
    one = np.r_[rng.integers(50, 56, 5), motif, rng.integers(80, 90, 6)]
    two = np.r_[rng.integers(30, 40, 9), motif + 5, rng.integers(100, 110, 3)]
    asked(one, two, "A motif of 8 notes, 5 semitones higher in the other tune")
    asked(two, one, "The same two tunes, in the other order")
    asked(one.tolist(), (two - 3).tolist(), "The same as lists, one in another key")
    asked(one, one + 7, "A tune and itself in another key")
    broken = np.concatenate([motif[:4], [motif[3] + 11], motif[4:] + 3])
    asked(motif, broken, "A motif, and the same with a note thrown in")
    a, b = 60 + rng.integers(0, 4, 30), 60 + rng.integers(0, 4, 25)
    asked(a, b, "Two rows of notes by chance")
    asked(np.repeat(60, 6), np.repeat(64, 9), "One note 6 times, another 9 times")
    asked([60, 62, 64, 65], [72, 70, 68, 67], "A tune up, and the same down")
    asked([60], [60], "A single note each")
    asked([60, 61], [60, 65, 64], "No interval in common")


@exercise(hint="Leave out what was not answered; then compare, and count both.")
def score_answers(answer, rng):
    """How many are right, of how many that were answered."""
    truths = [bool(bit) for bit in rng.integers(0, 2, 13)]
    truths[:4] = [True, True, False, False]
    answers = [("generated", "real")[int(bit)] for bit in rng.integers(0, 2, 13)]
    answers[:4] = ["real", "generated", "real", "generated"]
    for number in rng.permutation(np.arange(4, 13))[:3]:
        answers[number] = ""
    told = [(a, t) for a, t in zip(answers, truths, strict=True) if a]
    right = sum((a == "real") == t for a, t in told)
    kept = list(answers)

    def asked(answers, truths, wanted, what):
        got = answer(answers, truths)
        expect(
            got is not None and np.shape(got) == (2,) and tuple(got) == wanted,
            f"{what}: (right, answered) is {wanted}. Received: {got}",
        )

    asked(answers, truths, (right, len(told)), "13 excerpts, 3 of them not answered")
    expect(answers == kept, "The answers that were handed in were changed.")
    sure = ["real" if truth else "generated" for truth in truths]
    asked(sure, truths, (13, 13), "All 13 told rightly")
    asked(sure, [not truth for truth in truths], (0, 13), "All 13 told wrongly")
    asked([""] * 13, truths, (0, 0), "Nothing answered")


@exercise(
    hint="Middle (p + z²/2n) / (1 + z²/n); to both sides z √(p(1-p)/n + z²/4n²), over the "
    "same 1 + z²/n.",
)
def wilson(answer, rng):
    """The ends are the shares that lie just z deviations from what was seen."""
    cases = [(int(rng.integers(0, n + 1)), n) for n in rng.integers(2, 90, 6).tolist()]
    cases += [(0, 10), (10, 10), (1, 1), (0, 1), (6, 10), (97, 100)]
    for right, count in cases:
        for z in (1.96, 1.0):
            got = answer(right, count) if z == 1.96 else answer(right, count, z)
            expect(got is not None, "It gives None. Is a `return` missing?")
            expect(np.shape(got) == (2,), f"(low, high) was expected. Received: {got}")
            low, high = (float(end) for end in got)
            what = f"{right} of {count} right, z = {z}: [{low:.4f}, {high:.4f}]"
            share = right / count
            expect(
                -1e-9 <= low <= share + 1e-9 and share - 1e-9 <= high <= 1 + 1e-9,
                f"{what}. The interval lies in 0..1 and holds the share {share:.3f}.",
            )
            for end in (low, high):
                reach = z * np.sqrt(max(0.0, end * (1 - end)) / count)
                expect(
                    abs(abs(share - end) - reach) < 1e-6,
                    f"{what}. Were {end:.4f} the truth, {share:.3f} would be seen "
                    f"{abs(share - end):.4f} away from it; z deviations are {reach:.4f}.",
                )
            expect(high > low, f"{what}. It has no width.")

"""Lab 11: what people write before it is right."""

import itertools

import numpy as np


def as_written(notes):
    """The notes as they stand: a twin in another key is another tune."""
    return tuple(sorted(notes))


def with_its_silence(notes):
    """The key is taken off, the silence before is not."""
    lowest = min(p for _, _, p in notes)
    return tuple(sorted((s, d, p - lowest) for s, d, p in notes))


def in_the_order_listed(notes):
    """Not sorted: another order of the same notes is another tune."""
    first, lowest = min(s for s, _, _ in notes), min(p for _, _, p in notes)
    return tuple((s - first, d, p - lowest) for s, d, p in notes)


def pitches_alone(notes):
    """The rhythm does not count."""
    notes = sorted(notes)
    return tuple(b[2] - a[2] for a, b in itertools.pairwise(notes))


def without_durations(notes):
    """Only where notes begin, not how long they are."""
    first, lowest = min(s for s, _, _ in notes), min(p for _, _, p in notes)
    return tuple(sorted((s - first, p - lowest) for s, _, p in notes))


def names_of_notes(notes):
    """Octaves are forgotten."""
    first, lowest = min(s for s, _, _ in notes), min(p for _, _, p in notes)
    return tuple(sorted((s - first, d, (p - lowest) % 12) for s, d, p in notes))


def from_the_first_listed(notes):
    """Pitches from the note that happens to be listed first."""
    first = min(s for s, _, _ in notes)
    return tuple(sorted((s - first, d, p - notes[0][2]) for s, d, p in notes))


def a_list(notes):
    """A list, which no dict takes."""
    first, lowest = min(s for s, _, _ in notes), min(p for _, _, p in notes)
    return sorted((s - first, d, p - lowest) for s, d, p in notes)


def a_histogram(notes):
    """How often each pitch and duration comes: the order is lost."""
    lowest = min(p for _, _, p in notes)
    return tuple(sorted((d, p - lowest) for _, d, p in notes))


def both_ways(keys, splits):
    """Each pair twice, (i, j) and (j, i)."""
    return [
        (i, j)
        for i in range(len(keys))
        for j in range(len(keys))
        if keys[i] == keys[j] and splits[i] != splits[j]
    ]


def all_twins(keys, splits):
    """Twins in one split, too."""
    return [(i, j) for j in range(len(keys)) for i in range(j) if keys[i] == keys[j]]


def neighbours(keys, splits):
    """Only pieces that stand side by side are compared."""
    return [
        (i, i + 1)
        for i in range(len(keys) - 1)
        if keys[i] == keys[i + 1] and splits[i] != splits[i + 1]
    ]


def from_train_to_test(keys, splits):
    """The valid split is forgotten."""
    return [
        (i, j)
        for j in range(len(keys))
        for i in range(j)
        if keys[i] == keys[j] and {splits[i], splits[j]} == {"train", "test"}
    ]


def against_the_first(keys, splits):
    """Each is compared with the first of its key alone."""
    first = {}
    pairs = []
    for j, key in enumerate(keys):
        i = first.setdefault(key, j)
        if splits[i] != splits[j]:
            pairs.append((i, j))
    return pairs


def _cut(names, seed, shares=(0.8, 0.9)):
    names = np.random.default_rng(seed).permutation(names).tolist()
    eight, nine = (round(share * len(names)) for share in shares)
    split_of = dict.fromkeys(names[:eight], "train")
    split_of |= dict.fromkeys(names[eight:nine], "valid")
    return split_of | dict.fromkeys(names[nine:], "test")


def split_by_file(keys, seed):
    """Each piece by chance: twins are torn apart."""
    rng = np.random.default_rng(seed)
    return rng.choice(["train", "valid", "test"], len(keys), p=(0.8, 0.1, 0.1)).tolist()


def in_the_order_of_a_set(keys, seed):
    """A set is shuffled: another process has it in another order."""
    split_of = _cut(list(set(keys)), seed)
    return [split_of[key] for key in keys]


def by_hash(keys, seed):
    """Python's hash of the text, which another process has otherwise."""
    tenths = [hash((key, seed)) % 10 for key in keys]
    return ["valid" if n == 8 else "test" if n == 9 else "train" for n in tenths]


def in_the_order_listed_first(keys, seed):
    """As the folder happens to be listed."""
    split_of = _cut(list(dict.fromkeys(keys)), seed)
    return [split_of[key] for key in keys]


def not_shuffled(keys, seed):
    """The seed does nothing."""
    split_of = _cut(sorted(set(keys)), 0)
    return [split_of[key] for key in keys]


def in_thirds(keys, seed):
    """A third each."""
    split_of = _cut(sorted(set(keys)), seed, (1 / 3, 2 / 3))
    return [split_of[key] for key in keys]


def no_valid(keys, seed):
    """Nothing is left to choose by."""
    split_of = _cut(sorted(set(keys)), seed, (0.8, 0.8))
    return [split_of[key] for key in keys]


def never_the_same(keys, seed):
    """A Generator without the seed."""
    split_of = _cut(sorted(set(keys)), None)
    return [split_of[key] for key in keys]


def one_a_group(keys, seed):
    """A split for each different key, not for each piece."""
    return list(_cut(sorted(set(keys)), seed).values())


def mean_of_means(log_ps, notes):
    """Each tune counts the same, however short."""
    return -np.mean([row.sum() / n for row, n in zip(log_ps, notes, strict=True)])


def per_token(log_ps, notes):
    """Over tokens, not notes."""
    return -sum(row.sum() for row in log_ps) / sum(map(len, log_ps))


def below_zero(log_ps, notes):
    """The sign is forgotten."""
    return sum(row.sum() for row in log_ps) / sum(notes)


def in_bits(log_ps, notes):
    """Bits for nats."""
    return -sum(row.sum() for row in log_ps) / sum(notes) / np.log(2)


def means_over_notes(log_ps, notes):
    """The mean of each row in place of its sum."""
    return -sum(row.mean() for row in log_ps) / sum(notes)


def _ends(means, low=0.025, high=0.975):
    return tuple(np.quantile(means, (low, high)))


def not_paired(ours, theirs, notes, rng, rounds=2000):
    """Each side draws tunes of its own."""
    count = len(notes)
    a, b = (rng.integers(0, count, (rounds, count)) for _ in range(2))
    return _ends(ours[a].sum(1) / notes[a].sum(1) - theirs[b].sum(1) / notes[b].sum(1))


def each_tune_alike(ours, theirs, notes, rng, rounds=2000):
    """Means a tune: short tunes count as much as long ones."""
    drawn = rng.integers(0, len(notes), (rounds, len(notes)))
    return _ends(((ours - theirs) / notes)[drawn].mean(1))


def the_wrong_way_round(ours, theirs, notes, rng, rounds=2000):
    """theirs - ours."""
    drawn = rng.integers(0, len(notes), (rounds, len(notes)))
    return _ends((theirs - ours)[drawn].sum(1) / notes[drawn].sum(1))


def of_eighty(ours, theirs, notes, rng, rounds=2000):
    """An interval of 80%, quantiles 0.1 and 0.9."""
    drawn = rng.integers(0, len(notes), (rounds, len(notes)))
    return _ends((ours - theirs)[drawn].sum(1) / notes[drawn].sum(1), 0.1, 0.9)


def without_return(ours, theirs, notes, rng, rounds=2000):
    """Every tune once in each draw: nothing varies."""
    drawn = np.array([rng.permutation(len(notes)) for _ in range(rounds)])
    return _ends((ours - theirs)[drawn].sum(1) / notes[drawn].sum(1))


def of_single_tunes(ours, theirs, notes, rng, rounds=2000):
    """How far tunes differ among themselves, not their mean."""
    drawn = rng.integers(0, len(notes), rounds)
    return _ends(((ours - theirs) / notes)[drawn])


def own_chance(ours, theirs, notes, rng, rounds=2000):
    """The Generator that was handed in is not used."""
    drawn = np.random.default_rng().integers(0, len(notes), (rounds, len(notes)))
    return _ends((ours - theirs)[drawn].sum(1) / notes[drawn].sum(1))


def _longest(a, b):
    ending, longest = np.zeros(len(b) + 1, int), 0
    for value in a:
        ending[1:] = np.where(b == value, ending[:-1] + 1, 0)
        longest = max(longest, int(ending.max()))
    return longest


def in_one_key(a, b):
    """Pitches, not intervals."""
    return max(0, _longest(np.asarray(a), np.asarray(b)) - 1)


def in_notes(a, b):
    """Counted in notes: one more than intervals."""
    return _longest(np.diff(a), np.diff(b)) + 1


def without_sign(a, b):
    """Up and down are the same."""
    return _longest(np.abs(np.diff(a)), np.abs(np.diff(b)))


def with_gaps(a, b):
    """The longest common subsequence, which may leave notes out."""
    a, b = np.diff(a), np.diff(b)
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = max(best, table[i, j] + (x == y))
    return int(table.max())


def from_the_beginning(a, b):
    """Only from the first note of both."""
    same = [x == y for x, y in zip(np.diff(a), np.diff(b), strict=False)]
    return same.index(False) if False in same else len(same)


def at_the_same_place(a, b):
    """Only where both are at the same place."""
    longest = run = 0
    for x, y in zip(np.diff(a), np.diff(b), strict=False):
        run = run + 1 if x == y else 0
        longest = max(longest, run)
    return longest


def the_last_run(a, b):
    """The run that ends both, not the longest."""
    a, b = np.diff(a)[::-1], np.diff(b)[::-1]
    same = [x == y for x, y in zip(a, b, strict=False)]
    return same.index(False) if False in same else len(same)


def silence_is_an_answer(answers, truths):
    """What was not answered counts as generated."""
    right = sum((a == "real") == t for a, t in zip(answers, truths, strict=True))
    return right, len(answers)


def of_all(answers, truths):
    """Of all excerpts, answered or not."""
    told = [(a == "real") == t for a, t in zip(answers, truths, strict=True) if a]
    return sum(told), len(answers)


def only_the_real(answers, truths):
    """A generated one that was recognised does not count."""
    told = [a == "real" and t for a, t in zip(answers, truths, strict=True) if a]
    return sum(told), len(told)


def called_real(answers, truths):
    """How often "real" was said."""
    told = [a == "real" for a in answers if a]
    return sum(told), len(told)


def as_a_share(answers, truths):
    """The share, and how many."""
    told = [(a == "real") == t for a, t in zip(answers, truths, strict=True) if a]
    return (sum(told) / len(told) if told else 0.0), len(told)


def wald(right, count, z=1.96):
    """p plus and minus z deviations: no width where all, or none, were right."""
    share = right / count
    reach = z * (share * (1 - share) / count) ** 0.5
    return max(0.0, share - reach), min(1.0, share + reach)


def not_over_the_whole(right, count, z=1.96):
    """Not divided by 1 + z²/n."""
    share = right / count
    middle = share + z**2 / (2 * count)
    reach = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return middle - reach, middle + reach


def without_the_square(right, count, z=1.96):
    """z²/4n for z²/4n²."""
    share = right / count
    middle = share + z**2 / (2 * count)
    reach = z * (share * (1 - share) / count + z**2 / (4 * count)) ** 0.5
    whole = 1 + z**2 / count
    return (middle - reach) / whole, (middle + reach) / whole


def always_ninety_five(right, count, z=1.96):
    """The z that is asked for does nothing."""
    return right_wilson(right, count, 1.96)


def in_counts(right, count, z=1.96):
    """How many are right, not which share."""
    return tuple(end * count for end in right_wilson(right, count, z))


def right_wilson(right, count, z=1.96):
    share, whole = right / count, 1 + z**2 / count
    middle = share + z**2 / (2 * count)
    reach = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return (middle - reach) / whole, (middle + reach) / whole


WRONG = {
    "content_key": [
        as_written,
        with_its_silence,
        in_the_order_listed,
        pitches_alone,
        without_durations,
        names_of_notes,
        from_the_first_listed,
        a_list,
        a_histogram,
    ],
    "leaking_pairs": [
        both_ways,
        all_twins,
        neighbours,
        from_train_to_test,
        against_the_first,
    ],
    "split_by_group": [
        split_by_file,
        in_the_order_of_a_set,
        by_hash,
        in_the_order_listed_first,
        not_shuffled,
        in_thirds,
        no_valid,
        never_the_same,
        one_a_group,
    ],
    "nats_per_note": [mean_of_means, per_token, below_zero, in_bits, means_over_notes],
    "bootstrap_interval": [
        not_paired,
        each_tune_alike,
        the_wrong_way_round,
        of_eighty,
        without_return,
        of_single_tunes,
        own_chance,
    ],
    "longest_shared_run": [
        in_one_key,
        in_notes,
        without_sign,
        with_gaps,
        from_the_beginning,
        at_the_same_place,
        the_last_run,
    ],
    "score_answers": [
        silence_is_an_answer,
        of_all,
        only_the_real,
        called_real,
        as_a_share,
    ],
    "wilson": [
        wald,
        not_over_the_whole,
        without_the_square,
        always_ninety_five,
        in_counts,
    ],
}

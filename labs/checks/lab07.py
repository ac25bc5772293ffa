"""The laws of the exercises of lab 7: baselines, masks, confusion, patches."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(hint="np.bincount(learnt).argmax() is the class; compare `tested` with it.")
def majority_share(answer, rng):
    """The class that training met most is said each time, and judged on the test."""
    count = int(rng.integers(3, 6))
    often = int(rng.integers(count))
    learnt = np.concatenate(
        [np.arange(count), np.full(3, often), rng.permutation(count)]
    )
    tested = rng.integers(0, count, 17)
    given = learnt.copy(), tested.copy()
    close(
        answer(learnt, tested),
        (tested == often).mean(),
        f"the share of class {often} in {tested.tolist()}, it being the commonest in "
        f"{learnt.tolist()},",
    )
    same = all((a == b).all() for a, b in zip(given, (learnt, tested), strict=True))
    expect(same, "The labels that were handed in were changed.")
    other = (often + 1) % count
    close(
        answer(learnt, np.full(5, other)),
        0.0,
        f"the share where every tested label is {other}, and the commonest in training "
        f"{often},",
    )
    close(answer(learnt, np.full(5, often)), 1.0, "the share where all are that class")


@exercise(hint="(pitches - pitches[-1]) % 12; then count the 3s and the 4s.", points=2)
def minor_by_thirds(answer, rng):
    """More small thirds above the last note than great ones, in whatever octave."""
    home = int(rng.integers(55, 70))
    steps = {True: [2, 3, 3, 5, 7, 4, 3], False: [2, 4, 4, 5, 7, 3, 4]}
    for wanted, above in steps.items():
        for octaves in (0, 1):
            line = home + rng.permutation(above)
            line = np.r_[line + 12 * octaves * rng.integers(-1, 2, len(line)), home]
            kept = line.copy()
            _says(answer, line, wanted)
            expect((line == kept).all(), "The pitches handed in were changed.")
    # What begins elsewhere: thirds stand above the last note, not above the first.
    _says(answer, np.array([home + 3, home + 7, home + 3, home]), True)
    _says(answer, np.array([home + 9, home + 1, home + 4, home]), False)
    below = np.array([home - 9, home - 9, home + 4, home])
    _says(answer, below, True)
    _says(answer, np.array([home - 8, home - 20, home + 3, home]), False)
    _says(answer, np.array([home + 3, home + 4, home]), False, "As many of both: ")
    _says(answer, np.array([home]), False, "One note alone: ")
    # Tunes of many notes, major and minor mixed.
    for _ in range(6):
        line = np.r_[rng.integers(50, 80, 30), home]
        degree = (line - home) % 12
        _says(answer, line, int((degree == 3).sum()) > int((degree == 4).sum()))


def _says(answer, line, wanted, when=""):
    got = answer(line)
    said = isinstance(got, bool | np.bool_ | int | np.integer)
    expect(said, f"True or False was expected. Received: {type(got).__name__}")
    above = (line - line[-1]) % 12
    expect(
        bool(got) == wanted,
        f"{when}above the last note of {line.tolist()} there are "
        f"{(above == 3).sum()} small thirds and {(above == 4).sum()} great ones, so "
        f"{wanted} was expected. Received: {bool(got)}",
    )


@exercise(
    hint="Ids of the whole tune first, then the first `length` of them, then np.pad.",
)
def home_tokens(answer, rng):
    """1 + the distance from the tune's last note within an octave; PAD behind."""
    for count, length in ((9, 9), (9, 5), (4, 7), (1, 3)):
        pitches = rng.integers(50, 90, count)
        kept = pitches.copy()
        wanted = [1 + int(p - pitches[-1]) % 12 for p in pitches[:length]]
        wanted += [0] * (length - len(wanted))
        got = answer(pitches, length)
        close(got, wanted, f"the ids of {kept.tolist()}, length {length},")
        expect((pitches == kept).all(), "The pitches that were handed in were changed.")
        close(
            answer(pitches + 5, length),
            wanted,
            f"the ids of {kept.tolist()} five semitones higher, the same tune,",
        )


@exercise(
    hint="Multiply by the mask (..., None), sum over the places, divide by how many.",
    points=2,
)
def mean_of_real(answer, rng):
    """The mean of the real places of each row; what stands at padding changes nothing."""
    states = rng.normal(size=(4, 6, 3))
    lengths = np.array([6, 2, int(rng.integers(1, 6)), 0])
    is_real = np.arange(6) < lengths[:, None]
    wanted = np.stack(
        [row[:n].mean(axis=0) if n else np.zeros(3)
         for row, n in zip(states, lengths, strict=True)]
    )  # fmt: skip
    kept = states.copy(), is_real.copy()
    got = answer(states, is_real)
    what = f"the mean of rows with {lengths.tolist()} real places of 6"
    close(got, wanted, what)
    close(
        answer(np.where(is_real[..., None], states, 1e6), is_real),
        wanted,
        "the mean with a million at each padded place",
    )
    mixed = rng.permuted(is_real, axis=1)
    wanted = np.stack(
        [row[real].mean(axis=0) if real.any() else np.zeros(3)
         for row, real in zip(states, mixed, strict=True)]
    )  # fmt: skip
    close(answer(states, mixed), wanted, "the mean where padding is anywhere in a row")
    same = (states == kept[0]).all() and (is_real == kept[1]).all()
    expect(same, "The states or the mask that were handed in were changed.")


@exercise(hint="Zeros (count, count); np.add.at, or a loop over the pairs.")
def confusion(answer, rng):
    """Row i, column j: how often what is i was called j."""
    count = int(rng.integers(3, 6))
    truth = rng.integers(0, count - 1, 25)  # the last class never comes
    told = rng.integers(0, count - 1, 25)
    wanted = np.zeros((count, count))
    for is_so, said in zip(truth, told, strict=True):
        wanted[is_so, said] += 1
    given = truth.copy(), told.copy()
    close(
        answer(truth, told, count),
        wanted,
        f"the matrix of truth {truth.tolist()} and told {told.tolist()}",
    )
    same = (truth == given[0]).all() and (told == given[1]).all()
    expect(same, "The labels that were handed in were changed.")
    none = np.zeros(0, int)
    close(answer(none, none, 2), np.zeros((2, 2)), "the matrix of no sounds at all")


@exercise(
    hint="np.diag over the sums of the rows, of the rows that are not empty; the mean.",
    points=2,
)
def balanced_accuracy(answer, rng):
    """The mean of the recalls of the classes that occur."""
    for empty in (False, True):
        matrix = rng.integers(0, 9, (4, 4)) + np.diag([1, 2, 30, 4])
        matrix[2] *= 3
        if empty:
            matrix[int(rng.integers(4))] = 0
        kept = matrix.copy()
        recalls = [row[k] / row.sum() for k, row in enumerate(matrix) if row.sum()]
        note = " (a class of which there is none has no recall)" if empty else ""
        close(
            answer(matrix),
            np.mean(recalls),
            f"the balanced accuracy of {matrix.tolist()}{note}",
        )
        expect((matrix == kept).all(), "The matrix that was handed in was changed.")
    lazy = np.zeros((3, 3), int)
    lazy[:, 0] = int(rng.integers(50, 90)), 3, 2
    close(answer(lazy), 1 / 3, f"who always says class 0, {lazy.tolist()},")


@exercise(hint="Row by row: row[row != 0][::-1], put at the front of a row of zeros.")
def reversed_rows(answer, rng):
    """Real tokens turn around, padding stays behind, and twice is as it was."""
    lengths = np.array([6, 3, 1, 0, int(rng.integers(2, 6))])
    ids = np.where(np.arange(6) < lengths[:, None], rng.integers(1, 40, (5, 6)), 0)
    kept = ids.copy()
    wanted = np.array(
        [row[:n][::-1].tolist() + [0] * (6 - n)
         for row, n in zip(ids, lengths, strict=True)]
    )  # fmt: skip
    got = answer(ids)
    expect((ids == kept).all(), "The rows that were handed in were changed.")
    close(got, wanted, f"the rows {kept.tolist()}, turned around,")
    close(answer(np.array(got)), kept, "the rows turned around twice")


@exercise(
    hint="reshape to (along, tall, across, wide), bring `across` before `tall`, reshape.",
    points=2,
    covers=("e14",),
)
def cut_patches(answer, rng):
    """Each patch is a rectangle of the picture, in its place, laid out frame by frame."""
    for along, tall, across, wide in ((3, 2, 2, 4), (2, 3, 3, 2), (4, 1, 1, 5)):
        frames = rng.normal(size=(along * tall, across * wide))
        kept = frames.copy()
        wanted = [
            frames[t : t + tall, f : f + wide].ravel()
            for t in range(0, len(frames), tall)
            for f in range(0, across * wide, wide)
        ]
        got = answer(frames, tall, wide)
        close(
            got,
            wanted,
            f"{along * tall} frames of {across * wide} bands, in patches of {tall} by "
            f"{wide},",
        )
        expect((frames == kept).all(), "The frames that were handed in were changed.")

"""Lab 07: what people write before it is right."""

import numpy as np


def of_the_test(learnt, tested):
    """The commonest of the test itself: the baseline has seen the answers."""
    return (tested == np.bincount(tested).argmax()).mean()


def of_training(learnt, tested):
    """Judged on what was learnt from."""
    return (learnt == np.bincount(learnt).argmax()).mean()


def the_greatest_class(learnt, tested):
    """The class of the largest number, not the commonest."""
    return (tested == np.max(learnt)).mean()


def counted_not_shared(learnt, tested):
    """How many, not what share."""
    return (tested == np.bincount(learnt).argmax()).sum()


def one_in_all(learnt, tested):
    """As if all classes were as common as each other."""
    return 1 / len(np.unique(learnt))


def above_the_first(pitches):
    """Thirds above the first note."""
    above = (pitches - pitches[0]) % 12
    return bool((above == 3).sum() > (above == 4).sum())


def octaves_matter(pitches):
    """Only the octave above the last note is looked at."""
    above = pitches - pitches[-1]
    return bool((above == 3).sum() > (above == 4).sum())


def whichever_comes(pitches):
    """A tune with a small third is minor, however many great ones it has."""
    return bool(((pitches - pitches[-1]) % 12 == 3).any())


def ties_are_minor(pitches):
    """At least as many."""
    above = (pitches - pitches[-1]) % 12
    return bool((above == 3).sum() >= (above == 4).sum())


def turned_about(pitches):
    """Distances below the last note."""
    above = (pitches[-1] - pitches) % 12
    return bool((above == 3).sum() > (above == 4).sum())


def steps_for_thirds(pitches):
    """Leaps of a third from note to note."""
    steps = np.abs(np.diff(pitches))
    return bool((steps == 3).sum() > (steps == 4).sum())


def from_the_first(pitches, length):
    """Home is the first note."""
    ids = 1 + (pitches - pitches[0]) % 12
    return np.pad(ids[:length], (0, max(0, length - len(ids))))


def from_the_cut(pitches, length):
    """Home is the last note that is read, not the last of the tune."""
    pitches = pitches[:length]
    ids = 1 + (pitches - pitches[-1]) % 12
    return np.pad(ids, (0, length - len(ids)))


def home_is_padding(pitches, length):
    """One is not added: home has the id of PAD."""
    ids = (pitches - pitches[-1]) % 12
    return np.pad(ids[:length], (0, max(0, length - len(ids))))


def padded_in_front(pitches, length):
    """PAD stands in front."""
    ids = 1 + (pitches - pitches[-1]) % 12
    return np.pad(ids[:length], (max(0, length - len(ids)), 0))


def the_last_notes(pitches, length):
    """The last notes, not the first."""
    ids = 1 + (pitches - pitches[-1]) % 12
    return np.pad(ids[-length:], (0, max(0, length - len(ids))))


def names_of_notes(pitches, length):
    """Distance from C, which tells the key."""
    ids = 1 + pitches % 12
    return np.pad(ids[:length], (0, max(0, length - len(ids))))


def padding_counts(states, is_real):
    """A plain mean over all places."""
    return states.mean(axis=1)


def divided_by_all(states, is_real):
    """Padding is left out of the sum, and not of the count."""
    return (states * is_real[..., None]).sum(axis=1) / states.shape[1]


def divided_by_the_batch(states, is_real):
    """One count for all rows."""
    return (states * is_real[..., None]).sum(axis=1) / is_real.sum()


def nothing_over_nothing(states, is_real):
    """A row without a real place is no number."""
    kept = (states * is_real[..., None]).sum(axis=1)
    return kept / is_real.sum(axis=1, keepdims=True)


def over_numbers(states, is_real):
    """The mean runs over the numbers of a vector."""
    return (states * is_real[..., None]).mean(axis=2)


def first_places(states, is_real):
    """Padding is taken to be at the end always."""
    return np.stack(
        [row[: real.sum()].mean(axis=0) if real.any() else np.zeros(row.shape[1])
         for row, real in zip(states, is_real, strict=True)]
    )  # fmt: skip


def zeroes_in_place(states, is_real):
    """The states of the caller are changed."""
    states[~is_real] = 0
    return states.sum(axis=1) / np.maximum(is_real.sum(axis=1), 1)[:, None]


def counted(truth, told, count):
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (truth, told), 1)
    return matrix


def told_in_rows(truth, told, count):
    """Rows are what was said."""
    return counted(told, truth, count)


def once_each(truth, told, count):
    """Index arrays count each pair once."""
    matrix = np.zeros((count, count), int)
    matrix[truth, told] += 1
    return matrix


def as_shares(truth, told, count):
    """Shares, not counts."""
    return counted(truth, told, count) / max(1, len(truth))


def seen_classes(truth, told, count):
    """As many classes as came."""
    size = 1 + max(np.max(truth, initial=0), np.max(told, initial=0))
    return counted(truth, told, size)


def only_mistakes(truth, told, count):
    """What is right is not counted."""
    return counted(truth, told, count) * (1 - np.eye(count, dtype=int))


def plain_accuracy(matrix):
    """What is right over all there is."""
    return np.trace(matrix) / matrix.sum()


def mean_precision(matrix):
    """Columns are summed: precision, not recall."""
    told = np.maximum(matrix.sum(axis=0), 1)
    return (np.diag(matrix) / told).mean()


def empty_counts_as_nought(matrix):
    """A class of which there is none has recall 0."""
    return (np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1)).mean()


def empty_is_no_number(matrix):
    """Nothing over nothing."""
    return (np.diag(matrix) / matrix.sum(axis=1)).mean()


def summed_recalls(matrix):
    """The sum of the recalls."""
    total = matrix.sum(axis=1)
    return (np.diag(matrix)[total > 0] / total[total > 0]).sum()


def flipped(ids):
    """Turned around with its padding."""
    return ids[:, ::-1].copy()


def rows_turned(ids):
    """The rows change their order, not the tokens."""
    return ids[::-1].copy()


def by_the_longest(ids):
    """All rows are turned at the length of the first."""
    length = int((ids[0] != 0).sum())
    return np.concatenate([ids[:, :length][:, ::-1], ids[:, length:]], axis=1)


def off_by_one(ids):
    """One place too far: a pad comes to the front."""
    turned = ids.copy()
    for row, out in zip(ids, turned, strict=True):
        stop = min(len(row), int((row != 0).sum()) + 1)
        out[:stop] = row[:stop][::-1]
    return turned


def turned_in_place(ids):
    """The rows of the caller are changed."""
    for row in ids:
        stop = int((row != 0).sum())
        row[:stop] = row[:stop][::-1].copy()
    return ids


def sorted_down(ids):
    """Sorted: padding is behind, the order is lost."""
    return -np.sort(-ids, axis=1)


def reshaped_only(frames, tall, wide):
    """A reshape alone: rows are cut, not rectangles."""
    return frames.reshape(-1, tall * wide)


def pieces(frames, tall, wide):
    return frames.reshape(len(frames) // tall, tall, frames.shape[1] // wide, wide)


def band_by_band(frames, tall, wide):
    """A patch is laid out band after band."""
    return pieces(frames, tall, wide).transpose(0, 2, 3, 1).reshape(-1, tall * wide)


def lowest_together(frames, tall, wide):
    """Patches of one band stand together, not those of one moment."""
    return pieces(frames, tall, wide).transpose(2, 0, 1, 3).reshape(-1, tall * wide)


def sides_exchanged(frames, tall, wide):
    """Tall and wide are exchanged."""
    return np.array(
        [frames[t : t + wide, f : f + tall].ravel()
         for t in range(0, len(frames) - wide + 1, wide)
         for f in range(0, frames.shape[1] - tall + 1, tall)]
    )  # fmt: skip


def overlapping(frames, tall, wide):
    """The patches overlap: each begins one frame later."""
    return np.array(
        [frames[t : t + tall, f : f + wide].ravel()
         for t in range(len(frames) - tall + 1)
         for f in range(0, frames.shape[1], wide)]
    )  # fmt: skip


def not_laid_out(frames, tall, wide):
    """Patches stay rectangles."""
    rectangles = pieces(frames, tall, wide).transpose(0, 2, 1, 3)
    return rectangles.reshape(-1, tall, wide)


WRONG = {
    "majority_share": [
        of_the_test, of_training, the_greatest_class, counted_not_shared, one_in_all,
    ],
    "minor_by_thirds": [
        above_the_first, octaves_matter, whichever_comes, ties_are_minor, turned_about,
        steps_for_thirds,
    ],
    "home_tokens": [
        from_the_first, from_the_cut, home_is_padding, padded_in_front, the_last_notes,
        names_of_notes,
    ],
    "mean_of_real": [
        padding_counts, divided_by_all, divided_by_the_batch, nothing_over_nothing,
        over_numbers, first_places, zeroes_in_place,
    ],
    "confusion": [told_in_rows, once_each, as_shares, seen_classes, only_mistakes],
    "balanced_accuracy": [
        plain_accuracy, mean_precision, empty_counts_as_nought, empty_is_no_number,
        summed_recalls,
    ],
    "reversed_rows": [
        flipped, rows_turned, by_the_longest, off_by_one, turned_in_place, sorted_down,
    ],
    "cut_patches": [
        reshaped_only, band_by_band, lowest_together, sides_exchanged, overlapping,
        not_laid_out,
    ],
}  # fmt: skip

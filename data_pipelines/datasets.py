"""Token pieces -> batches of (x, y = x one later, mask), for any training loop.

`plan_epoch` decides, in NumPy, which windows meet in which batch and how far each is
transposed: a pure function of (seed, epoch). `tf_batches` lets tf.data carry the plan
out; `numpy_batches` gives the same batches in the same order without TensorFlow, which
is imported here and nowhere else in the room.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.vocabulary import PAD

# Batches are padded to one of these widths (or a multiple of the last): a compiler
# that makes one program for each shape has little to do, and little is wasted.
WIDTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
NO_ROW = -1  # fills up the last batch: all padding
POOL_BATCHES = 16  # windows of like length are sought among this many batches' worth


@dataclass(frozen=True)
class Windows:
    """Pieces laid end to end, and where each window of them lies.

    Args:
        ids: int32 array (N,), all pieces.
        starts, lengths: int64 arrays (W,): window w predicts
            ``ids[starts[w] + 1 : starts[w] + lengths[w] + 1]``.
        lowest, highest: int arrays (W,): the semitones each may be transposed by.
        transpositions: int32 array (2 max_shift + 1, V): row ``max_shift + k`` maps
            an id to the one `k` semitones higher.
    """

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    transpositions: np.ndarray

    @property
    def max_shift(self):
        return len(self.transpositions) // 2

    def __len__(self):
        return len(self.starts)


@dataclass(frozen=True)
class Batch:
    """A batch to come: its windows, their transpositions, its padded width."""

    rows: np.ndarray  # (B,), `NO_ROW` where there is none
    shifts: np.ndarray  # (B,)
    width: int


def cut_windows(pieces, tokenizer, *, length=512, max_shift=0):
    """Cut pieces into windows, one after another; the last one of a piece is shorter.

    Args:
        pieces: list of int arrays, BOS and EOS included.
        tokenizer: gives `augmented` and `pitches`.
        length: int, tokens in a window.
        max_shift: int, how many semitones a window may be moved either way.

    Returns:
        `Windows`.

    Raises:
        ValueError: if no piece has two tokens.
    """
    starts, lengths, lowest, highest = [], [], [], []
    offset = 0
    for piece in pieces:
        pitches = tokenizer.pitches(piece)
        low, high = (pitches.min(), pitches.max()) if len(pitches) else (0, 127)
        for start in range(0, len(piece) - 1, length):
            starts.append(offset + start)
            lengths.append(min(length, len(piece) - 1 - start))
            lowest.append(max(-max_shift, -int(low)))
            highest.append(min(max_shift, 127 - int(high)))
        offset += len(piece)
    if not starts:
        raise ValueError("There is nothing to learn from: no piece has two tokens.")
    vocabulary = np.arange(tokenizer.vocab_size)
    return Windows(
        np.concatenate(pieces).astype(np.int32),
        np.array(starts),
        np.array(lengths),
        np.array(lowest),
        np.array(highest),
        np.stack(
            [
                tokenizer.augmented(vocabulary, shift)
                for shift in range(-max_shift, max_shift + 1)
            ]
        ).astype(np.int32),
    )


def plan_epoch(windows, *, batch_size, seed, epoch, shuffle=True):
    """Every window once, in batches of like length.

    Args:
        windows: `Windows`.
        batch_size: int.
        seed, epoch: int. The plan is a pure function of both.
        shuffle: bool. Without it, windows keep their order and their key.

    Returns:
        list of `Batch`.
    """
    count = len(windows)
    if not shuffle:
        order, shifts = np.arange(count), np.zeros(count, dtype=np.int64)
    else:
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(count)
        shifts = rng.integers(windows.lowest, windows.highest, endpoint=True)
    pool = batch_size * POOL_BATCHES if shuffle else count
    batches = []
    for first in range(0, count, pool):
        chosen = order[first : first + pool]
        if shuffle:
            chosen = chosen[np.argsort(windows.lengths[chosen], kind="stable")]
        for begin in range(0, len(chosen), batch_size):
            rows = chosen[begin : begin + batch_size]
            width = _width(int(windows.lengths[rows].max()))
            missing = (0, batch_size - len(rows))
            batches.append(
                Batch(
                    np.pad(rows, missing, constant_values=NO_ROW),
                    np.pad(shifts[rows], missing),
                    width,
                )
            )
    if shuffle:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def _width(longest):
    for width in WIDTHS:
        if longest <= width:
            return width
    return -(-longest // WIDTHS[-1]) * WIDTHS[-1]


def numpy_batches(windows, plan):
    """Carry a plan out: yields (x, y, mask), int32 (B, T) twice and float32 (B, T)."""
    for batch in plan:
        columns = np.arange(batch.width)[None, :]
        index = windows.starts[batch.rows][:, None] + columns
        lengths = np.where(batch.rows == NO_ROW, 0, windows.lengths[batch.rows])
        real = columns < lengths[:, None]
        shift = windows.max_shift + batch.shifts[:, None]
        last = len(windows.ids) - 1

        def shifted(index, real=real, shift=shift, last=last):
            ids = windows.transpositions[shift, windows.ids[np.minimum(index, last)]]
            return np.where(real, ids, PAD)

        yield shifted(index), shifted(index + 1), real.astype(np.float32)


def tf_batches(windows, plan):
    """As `numpy_batches`, as a prefetched `tf.data.Dataset`."""
    import tensorflow as tf

    ids = tf.constant(windows.ids)
    starts = tf.constant(windows.starts)
    lengths = tf.constant(windows.lengths)
    transpositions = tf.constant(windows.transpositions)
    rows = tf.constant(np.stack([batch.rows for batch in plan]))
    shifts = tf.constant(np.stack([batch.shifts for batch in plan]) + windows.max_shift)
    widths = tf.constant([batch.width for batch in plan], dtype=tf.int64)
    last = len(windows.ids) - 1

    def assemble(number):
        chosen, shift = tf.maximum(rows[number], 0), shifts[number]
        is_row = rows[number] != NO_ROW
        columns = tf.range(widths[number])[None, :]
        index = tf.gather(starts, chosen)[:, None] + columns
        length = tf.where(is_row, tf.gather(lengths, chosen), 0)
        real = columns < length[:, None]
        table = tf.gather(transpositions, shift)  # (B, V)

        def shifted(index):
            raw = tf.gather(ids, tf.minimum(index, last))
            return tf.where(real, tf.gather(table, raw, batch_dims=1), PAD)

        return shifted(index), shifted(index + 1), tf.cast(real, tf.float32)

    numbers = tf.data.Dataset.range(len(plan))
    return numbers.map(assemble, num_parallel_calls=2, deterministic=True).prefetch(2)

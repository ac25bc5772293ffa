"""Pieces -> windows -> batches to come, in NumPy alone.

`plan_epoch` decides which windows meet in which batch, and in which key, tempo and
loudness each is heard: a pure function of (seed, epoch). Who carries the plan out, NumPy
or tf.data, is another question: see `datasets`.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.vocabulary import BOS

# Batches are padded to one of these widths (or a multiple of the last): a compiler
# that makes one program for each shape has little to do, and little is wasted.
WIDTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
NO_ROW = -1  # fills up the last batch: all padding
POOL_BATCHES = 16  # windows of like length are sought among this many batches' worth


@dataclass(frozen=True)
class Augmentation:
    """How far the music of a window may be moved, drawn anew each epoch.

    Args:
        semitones: int, either way, as far as the pitches stay in 0..127.
        stretches: tuple of float, factors of time, each as likely as the others.
        loudnesses: tuple of float, factors of velocity or amplitude.
    """

    semitones: int = 0
    stretches: tuple[float, ...] = (1.0,)
    loudnesses: tuple[float, ...] = (1.0,)

    def table(self, tokenizer):
        """int32 array (variants, V): what each id becomes in each variant.

        The variant of (stretch i, loudness j, semitones k) is row
        ``(i * len(loudnesses) + j) * (2 * semitones + 1) + semitones + k``.
        """
        vocabulary = np.arange(tokenizer.vocab_size)
        shifts = range(-self.semitones, self.semitones + 1)
        return np.stack(
            [
                tokenizer.augmented(vocabulary, shift, stretch, loudness)
                for stretch in self.stretches
                for loudness in self.loudnesses
                for shift in shifts
            ]
        ).astype(np.int32)

    def draw(self, rng, lowest, highest):
        """A variant for each window. Args: lowest, highest: int arrays (W,)."""
        shifts = rng.integers(lowest, highest, endpoint=True)
        moods = len(self.stretches) * len(self.loudnesses)
        mood = rng.integers(moods, size=len(shifts)) if moods > 1 else 0
        return mood * (2 * self.semitones + 1) + self.semitones + shifts

    def unchanged(self, count):
        """The variant that changes nothing, for so many windows.

        Raises:
            ValueError: if a factor of 1 is not among those allowed.
        """
        i, j = self.stretches.index(1.0), self.loudnesses.index(1.0)
        mood = i * len(self.loudnesses) + j
        return np.full(count, mood * (2 * self.semitones + 1) + self.semitones)


@dataclass(frozen=True)
class Windows:
    """Pieces laid end to end, and where each window of them lies.

    Args:
        ids: int32 array (N,), all pieces.
        starts, lengths: int64 arrays (W,): window w predicts
            ``ids[starts[w] + 1 : starts[w] + lengths[w] + 1]``, but for its head.
        lowest, highest: int arrays (W,): the semitones each may be transposed by.
        augmentation: `Augmentation`, and its ``table`` (variants, V).
        length: int, that of the longest window there may be.
        head: int. Every window begins with so many first tokens of its piece, which
            take the place of its own.
        pieces: int64 array (W,), where the piece of each window begins.
        marks_cuts: bool, whether a window that is not the first of its piece begins
            with UNK in the place of the BOS of its head.
    """

    ids: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    augmentation: Augmentation
    table: np.ndarray
    length: int
    head: int
    pieces: np.ndarray
    marks_cuts: bool = False

    def __len__(self):
        return len(self.starts)


@dataclass(frozen=True)
class Batch:
    """A batch to come: its windows, the variant of each, its padded width."""

    rows: np.ndarray  # (B,), `NO_ROW` where there is none
    variants: np.ndarray  # (B,)
    width: int


def cut_windows(
    pieces,
    tokenizer,
    *,
    length=512,
    augmentation=None,
    pack=False,
    head=0,
    marks_cuts=False,
):
    """Cut pieces into windows, one after another.

    Args:
        pieces: list of int arrays, BOS and EOS included.
        tokenizer: gives `augmented` and `pitches`.
        length: int, tokens in a window.
        augmentation: `Augmentation`, by default none.
        pack: bool. False: no window reaches from one piece into the next, the last one
            of a piece is shorter and padded in its batch. True: pieces are laid end to
            end and windows cut from the whole, so that nothing is padded; what a window
            begins with may be the end of another piece, and no model is asked to
            predict a BOS (Radford et al. 2019, GPT-2, trains so).
        head: int, below `length`: every window begins with so many first tokens of its
            piece, and goes on where the window before ended, so that it predicts
            ``length - head + 1`` tokens of its own. For models that read their tokens in
            groups, counted from there. Not with `pack`.
        marks_cuts: bool. With a head, what begins within a piece begins with UNK
            instead of BOS: else what a model learns to follow a beginning is what
            stands anywhere. A hit on a drum then begins with its end.

    Returns:
        `Windows`.

    Raises:
        ValueError: if no piece has two tokens, or the head fills a window.
    """
    if not 0 <= head < length or (head and pack):
        raise ValueError(
            f"`head` must be in 0..{length - 1}, and 0 if `pack`. Received: {head}"
        )
    augmentation = augmentation or Augmentation()
    sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
    if not len(sizes) or sizes.max() < 2:
        raise ValueError("There is nothing to learn from: no piece has two tokens.")
    ids = np.concatenate(pieces).astype(np.int32)
    ends = np.cumsum(sizes)
    if pack:
        starts = np.arange(0, len(ids) - 1, length)
        lengths = np.minimum(length, len(ids) - 1 - starts)
        begins = starts
    else:
        step = length - max(0, head - 1)  # what a window predicts beside its head
        rest = sizes - max(1, head)
        counts = np.where(sizes < 2, 0, np.maximum(1, -(-rest // step)))
        piece = np.repeat(np.arange(len(sizes)), counts)
        offset = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
        begins = (ends - sizes)[piece]
        starts = begins + offset * step
        lengths = np.minimum(length, sizes[piece] - 1 - offset * step)
    low, high = _pitch_range(ids, starts, lengths, tokenizer)
    most = augmentation.semitones
    return Windows(
        ids,
        starts,
        lengths,
        np.maximum(-most, -low),
        np.minimum(most, 127 - high),
        augmentation,
        augmentation.table(tokenizer),
        length,
        head,
        begins,
        bool(head and marks_cuts),
    )


def _pitch_range(ids, starts, lengths, tokenizer):
    """Lowest and highest pitch in each window, its first target's to its last's."""
    pitch_of = np.full(tokenizer.vocab_size, -1)
    vocabulary = np.arange(tokenizer.vocab_size)
    # Which ids have a pitch: the tokenizer tells for all of them at once, in order.
    struck = vocabulary[tokenizer.is_note(vocabulary)]
    pitches = np.asarray(tokenizer.pitches(struck))
    if len(pitches) == len(struck):
        pitch_of[struck] = pitches
    else:  # some notes have no pitch (drums), or none has (letters, samples)
        for token_id in struck.tolist():
            own = tokenizer.pitches(np.array([token_id]))
            pitch_of[token_id] = own[0] if len(own) else -1
    pitch = pitch_of[ids]
    bounds = np.ravel(np.column_stack([starts, starts + lengths + 1]))
    low, high = (
        reduce.reduceat(np.append(values, fill), bounds)[::2]
        for reduce, values, fill in (
            (np.minimum, np.where(pitch < 0, 127, pitch), 127),
            (np.maximum, pitch, -1),
        )
    )
    has_none = high < 0
    return np.where(has_none, 0, low), np.where(has_none, 127, high)


def plan_epoch(windows, *, batch_size, seed, epoch, shuffle=True):
    """Every window once, in batches of like length.

    Args:
        windows: `Windows`.
        batch_size: int.
        seed, epoch: int, or epoch a tuple of int. The plan is a pure function of both.
        shuffle: bool. Without it, windows keep their order, key, tempo and loudness.

    Returns:
        list of `Batch`.
    """
    count = len(windows)
    if not shuffle:
        order, variants = np.arange(count), windows.augmentation.unchanged(count)
    else:
        rng = np.random.default_rng([seed, *np.atleast_1d(epoch)])
        order = rng.permutation(count)
        variants = windows.augmentation.draw(rng, windows.lowest, windows.highest)
    pool = batch_size * POOL_BATCHES if shuffle else count
    batches = []
    for first in range(0, count, pool):
        chosen = order[first : first + pool]
        if shuffle:
            chosen = chosen[np.argsort(windows.lengths[chosen], kind="stable")]
        for begin in range(0, len(chosen), batch_size):
            rows = chosen[begin : begin + batch_size]
            longest = int(windows.lengths[rows].max())
            width = min(padded_width(longest), windows.length)
            missing = (0, batch_size - len(rows))
            batches.append(
                Batch(
                    np.pad(rows, missing, constant_values=NO_ROW),
                    np.pad(variants[rows], missing),
                    width,
                )
            )
    if shuffle:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def stream_batches(pieces, *, batch_size, length):
    """Pieces as long streams, for networks that carry their state from batch to batch.

    All pieces are laid end to end and the whole is cut into `batch_size` streams; row r
    of each batch goes on where row r of the one before ended.

    Args:
        pieces: list of int arrays. batch_size, length: int.

    Yields:
        (x, y, mask), int32 (B, T) twice and float32 (B, T), all of one shape; what does
        not fill a batch at the end is left out.
    """
    ids = np.concatenate(pieces).astype(np.int32)
    steps = (len(ids) - 1) // (batch_size * length)
    span = steps * length
    rows = np.arange(batch_size)[:, None] * span
    for step in range(steps):
        index = rows + step * length + np.arange(length)
        x, y = ids[index], ids[index + 1]
        yield x, y, is_target(y).astype(np.float32)


def padded_width(longest):
    """The width of a batch whose longest window is `longest`."""
    for width in WIDTHS:
        if longest <= width:
            return width
    return -(-longest // WIDTHS[-1]) * WIDTHS[-1]


def is_target(y):
    """Where a target counts: everywhere but at a BOS, which no model has to predict."""
    return y != BOS

"""Windows -> batches of (x, y = x one later, mask), for any training loop.

`tf_batches` lets tf.data carry a plan out; `numpy_batches` gives the same batches in the
same order without TensorFlow, which is imported here and nowhere else in the room.
`Feed` does either over a dataset on disk, of any size, in flat memory.
"""

from dataclasses import dataclass, field

import numpy as np

from data_pipelines.vocabulary import PAD, UNK
from data_pipelines.windows import (
    NO_ROW,
    Augmentation,
    cut_windows,
    is_target,
    plan_epoch,
)

TOKENS_IN_MEMORY = 2**24  # shards are read in groups of about so many tokens


def numpy_batches(windows, plan):
    """Carry a plan out: yields (x, y, mask), int32 (B, T) twice and float32 (B, T)."""
    last = len(windows.ids) - 1
    for batch in plan:
        columns = np.arange(batch.width)[None, :]
        start = windows.starts[batch.rows][:, None]
        piece = windows.pieces[batch.rows][:, None]
        lengths = np.where(batch.rows == NO_ROW, 0, windows.lengths[batch.rows])
        real = columns < lengths[:, None]
        variant = batch.variants[:, None]

        def heard(columns, start=start, piece=piece, real=real, variant=variant):
            index = np.where(columns < windows.head, piece, start) + columns
            ids = windows.table[variant, windows.ids[np.minimum(index, last)]]
            return np.where(real, ids, PAD)

        x, y = heard(columns), heard(columns + 1)
        if windows.marks_cuts:
            x = np.where((columns == 0) & (start != piece) & real, UNK, x)
        own = (columns >= windows.head - 1) | (start == piece)
        yield x, y, (real & own & is_target(y)).astype(np.float32)


def tf_batches(windows, plan):
    """As `numpy_batches`, as a prefetched `tf.data.Dataset`."""
    import tensorflow as tf

    ids = tf.constant(windows.ids)
    starts = tf.constant(windows.starts)
    pieces = tf.constant(windows.pieces)
    lengths = tf.constant(windows.lengths)
    table = tf.constant(windows.table)
    rows = tf.constant(np.stack([batch.rows for batch in plan]))
    variants = tf.constant(np.stack([batch.variants for batch in plan]))
    widths = tf.constant([batch.width for batch in plan], dtype=tf.int64)
    last = len(windows.ids) - 1

    def assemble(number):
        chosen = tf.maximum(rows[number], 0)
        is_row = rows[number] != NO_ROW
        columns = tf.range(widths[number])[None, :]
        start = tf.gather(starts, chosen)[:, None]
        piece = tf.gather(pieces, chosen)[:, None]
        length = tf.where(is_row, tf.gather(lengths, chosen), 0)
        real = columns < length[:, None]
        variant = tf.gather(table, variants[number])  # (B, V)

        def heard(columns):
            index = tf.where(columns < windows.head, piece, start) + columns
            raw = tf.gather(ids, tf.minimum(index, last))
            return tf.where(real, tf.gather(variant, raw, batch_dims=1), PAD)

        x, y = heard(columns), heard(columns + 1)
        if windows.marks_cuts:
            x = tf.where((columns == 0) & (start != piece) & real, UNK, x)
        own = (columns >= windows.head - 1) | (start == piece)
        return x, y, tf.cast(real & own & is_target(y), tf.float32)

    numbers = tf.data.Dataset.range(len(plan))
    return numbers.map(assemble, num_parallel_calls=2, deterministic=True).prefetch(2)


@dataclass(frozen=True)
class Feed:
    """The batches of a split of a dataset, epoch after epoch.

    Shards are shuffled and read in groups that hold about `tokens_in_memory`; within a
    group every window may meet every other. All of it is a pure function of (seed,
    epoch), and of the dataset.

    Args:
        dataset: `shards.Dataset`.
        split: str.
        batch_size: int.
        length: int, tokens in a window.
        seed: int.
        augmentation: `Augmentation`.
        pack, head, marks_cuts: as for `cut_windows`.
        tokens_in_memory: int.

    Example:
        for x, y, mask in Feed(dataset, batch_size=8, length=256).epoch(0): ...
    """

    dataset: object
    split: str = "train"
    batch_size: int = 8
    length: int = 256
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)
    pack: bool = False
    head: int = 0
    marks_cuts: bool = False
    tokens_in_memory: int = TOKENS_IN_MEMORY
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def epoch(self, number, first=0):
        """The batches of one epoch from batch `first` on, through tf.data."""
        for windows, plan in self._left_of(number, first):
            yield from tf_batches(windows, plan)

    def numpy_epoch(self, number, first=0):
        """The same batches in the same order, without TensorFlow."""
        for windows, plan in self._left_of(number, first):
            yield from numpy_batches(windows, plan)

    def _left_of(self, epoch, first):
        for windows, plan in self._groups(epoch):
            if first < len(plan):
                yield windows, plan[first:]
            first = max(0, first - len(plan))

    def origins(self, epoch, batch):
        """Where the examples of a batch come from.

        Returns:
            list of str, ``"train-00000, record 7"`` for each example in it.
        """
        for names, (windows, plan) in zip(
            self.shard_groups(epoch), self._groups(epoch), strict=True
        ):
            if batch < len(plan):
                rows = [row for row in plan[batch].rows.tolist() if row != NO_ROW]
                return [self._origin(names, windows.starts[row]) for row in rows]
            batch -= len(plan)
        return []

    def _origin(self, names, start):
        for name in names:
            shard = self.dataset.shard(name)
            if start < len(shard.ids):
                ends = shard.index["start"] + shard.index["length"]
                record = int(np.searchsorted(ends, start, side="right"))
                return f"{name}, record {record}"
            start -= len(shard.ids)
        return ""

    def steps(self):
        """About how many batches an epoch has; exactly, where one group holds all."""
        if len(groups := self.shard_groups(0)) == 1:
            _, plan = next(self._groups(0))
            return len(plan)
        windows = sum(
            self._count_windows(self.dataset.shard(name).index["length"])
            for names in groups
            for name in names
        )
        return -(-windows // self.batch_size)

    def _count_windows(self, lengths):
        lengths = lengths.astype(np.int64)
        if self.pack:
            return -(-(int(lengths.sum()) - 1) // self.length)
        step = self.length - max(0, self.head - 1)
        counts = np.maximum(1, -(-(lengths - max(1, self.head)) // step))
        return int(counts[lengths > 1].sum())

    def shard_groups(self, epoch):
        """The names of the shards that are read together, group after group."""
        names = self.dataset.shard_names(self.split)
        order = np.random.default_rng([self.seed, epoch, 1]).permutation(len(names))
        groups, held = [], self.tokens_in_memory
        for name in (names[i] for i in order) if self._is_large() else names:
            tokens = len(self.dataset.shard(name).ids)
            if held + tokens > self.tokens_in_memory:
                groups.append([])
                held = 0
            groups[-1].append(name)
            held += tokens
        return groups

    def _is_large(self):
        tokens = self.dataset.counts[self.split]["tokens"]
        return tokens > self.tokens_in_memory

    def _groups(self, epoch):
        groups = self.shard_groups(epoch)
        for number, names in enumerate(groups):
            windows = self._windows(tuple(names))
            when = epoch if len(groups) == 1 else (epoch, number)
            yield (
                windows,
                plan_epoch(
                    windows, batch_size=self.batch_size, seed=self.seed, epoch=when
                ),
            )

    def _windows(self, names):
        if names not in self._kept:
            self._kept.clear()  # one group at a time
            pieces = [p for name in names for p in self.dataset.shard(name).pieces()]
            self._kept[names] = cut_windows(
                pieces,
                self.dataset.tokenizer,
                length=self.length,
                augmentation=self.augmentation,
                pack=self.pack,
                head=self.head,
                marks_cuts=self.marks_cuts,
            )
        return self._kept[names]

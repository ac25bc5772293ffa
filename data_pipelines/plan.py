"""Where every piece goes: copies and kin found, splits shared out, shards filled.

Made from a few bytes a piece, of what the first stage of a preparation left on disk.
"""

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from data_pipelines import kinship
from data_pipelines.files import write_whole
from data_pipelines.kinship import SPLITS
from data_pipelines.spool import read_chunk


@dataclass(frozen=True)
class ShardPlan:
    """Where every piece goes. Arrays of shape (P,), a row a piece that was read.

    ``twin`` is the first piece with the same digest (itself, if it is kept), ``tune``
    the first piece of its kin, ``split`` and ``shard`` say where it is written.
    ``chunk`` (C + 1,) counts the pieces before each chunk.
    """

    twin: np.ndarray
    tune: np.ndarray
    split: np.ndarray
    shard: np.ndarray
    chunk: np.ndarray

    @property
    def is_kept(self):
        return self.twin == np.arange(len(self.twin))

    def save(self, path):
        """Write the plan as .npz, for workers on other machines."""
        buffer = io.BytesIO()
        np.savez(buffer, **{f.name: getattr(self, f.name) for f in fields(self)})
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path):
        """The plan that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    def shards(self):
        """(split, number) of each shard, in order."""
        kept = self.is_kept
        pairs = {
            (s, n) for s, n in zip(self.split[kept], self.shard[kept], strict=True)
        }
        return sorted((int(split), int(number)) for split, number in pairs)


def plan_shards(work, chunk_names, settings):
    """Find copies and kin among what was read, and say where each piece goes.

    Returns:
        `ShardPlan`.
    """
    columns, counts = {"digests": [], "wholes": [], "lengths": [], "given": []}, [0]
    for name in chunk_names:
        spooled = read_chunk(work / name)
        counts.append(len(spooled.pieces))
        for column in ("digests", "wholes", "lengths"):
            columns[column].append(getattr(spooled, column))
        columns["given"].append(
            np.array([_given(spooled, p, settings) for p in spooled.pieces], np.int8)
        )
    if not sum(counts):
        nothing = np.zeros(0, dtype=np.int64)
        return ShardPlan(nothing, nothing, nothing, nothing, np.cumsum(counts))
    digests, wholes, lengths, given = (np.concatenate(c) for c in columns.values())
    count = len(digests)
    twin = np.arange(count)
    if settings.same != "nothing":
        _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        twin = first[inverse]
    kept = np.flatnonzero(twin == np.arange(count))
    prints = _prints_of(work, chunk_names, twin == np.arange(count))
    group = kinship.group_kin(wholes[kept], prints, workspace=work)
    tune = kept[group]
    is_given = settings.split == "given" and (given >= 0).any()
    split = np.full(count, -1, dtype=np.int8)
    split[kept] = kinship.share_out(
        group, digests[kept], given[kept] if is_given else None
    )
    whole_tune = np.full(count, -1)
    whole_tune[kept] = tune
    shard = np.full(count, -1)
    for number in range(len(SPLITS)):
        own = np.flatnonzero(split == number)
        shard[own] = _fill_shards(lengths[own], settings.tokens_a_shard)
    return ShardPlan(twin, whole_tune, split, shard, np.cumsum(counts))


def _given(spooled, piece, settings):
    if settings.split != "given":
        return -1
    if piece["given"] >= 0:
        return piece["given"]
    folder = Path(spooled.files[piece["file"]]["path"]).parts[0].lower()
    names = {"train": 0, "valid": 1, "validation": 1, "val": 1, "dev": 1, "test": 2}
    return names.get(folder, -1)


def _prints_of(work, chunk_names, is_kept):
    begin = 0
    for name in chunk_names:
        prints = read_chunk(work / name).prints()
        keep = is_kept[begin : begin + len(prints)]
        yield from (own for own, wanted in zip(prints, keep, strict=True) if wanted)
        begin += len(prints)


def _fill_shards(lengths, tokens_a_shard):
    shard, number, filled = np.zeros(len(lengths), dtype=np.int64), 0, 0
    for piece, length in enumerate(lengths.tolist()):
        if filled and filled + length > tokens_a_shard:
            number, filled = number + 1, 0
        shard[piece] = number
        filled += length
    return shard


def shard_name(split, number):
    """For example ``train-00003``."""
    return f"{SPLITS[split]}-{number:05d}"

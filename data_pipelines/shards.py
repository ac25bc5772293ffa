"""Token shards: a prepared corpus on disk, checked byte by byte.

    DATASET/manifest.json             tokenizer, settings, counts, SHA-256 of each file
    DATASET/report.jsonl              one line a file that was found
    DATASET/pieces.jsonl              one line a piece that was kept
    DATASET/train-00000.tokens.npy    uint16 or uint32 ids, pieces end to end
    DATASET/train-00000.index.npy     where each piece lies, and its CRC-32

Both kinds of .npy are plain arrays that any NumPy opens and maps into memory. TFRecord
was passed over: a file cut at the boundary of a record reads as a shorter one there.
"""

import hashlib
import io
import json
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data_pipelines.kinship import SPLITS
from data_pipelines.tokenizers import tokenizer_from_spec

FORMAT = "etude dataset 1"
MANIFEST = "manifest.json"
INDEX = np.dtype([("start", "<u8"), ("length", "<u4"), ("crc", "<u4")])


class BadDataset(ValueError):
    """A dataset that cannot be trusted; the message names the file and the record."""


@dataclass(frozen=True)
class Shard:
    """Some pieces of a split: ids (N,) and an index (P,), both mapped from disk."""

    name: str
    ids: np.ndarray
    index: np.ndarray

    def piece(self, record):
        """The ids of one piece, int32 (T,)."""
        start, length = (int(self.index[record][name]) for name in ("start", "length"))
        return self.ids[start : start + length].astype(np.int32)

    def pieces(self):
        """The ids of each piece, one after another."""
        return (self.piece(record) for record in range(len(self.index)))


@dataclass(frozen=True)
class Dataset:
    """A prepared corpus, read from its folder as it is needed.

    Args:
        folder: Path.
        manifest: dict, its ``manifest.json``.
    """

    folder: Path
    manifest: dict

    @cached_property
    def tokenizer(self):
        """The tokenizer whose ids these are."""
        return tokenizer_from_spec(self.manifest["tokenizer"])

    @property
    def counts(self):
        """``{"train": {"pieces", "tokens", "notes"}, ...}``."""
        return self.manifest["splits"]

    def shard_names(self, split):
        """The names of a split's shards, in order."""
        return self.manifest["shards"][split]

    def shard(self, name):
        """One `Shard`, by its name, mapped into memory and not read."""
        ids, index = (
            np.load(self.folder / file, mmap_mode="r", allow_pickle=False)
            for file in shard_files(name)
        )
        return Shard(name, ids, index)

    def pieces(self, split):
        """The ids of each piece of a split, int32 (T,), read one at a time."""
        for name in self.shard_names(split):
            yield from self.shard(name).pieces()

    def about(self, split=None):
        """What ``pieces.jsonl`` tells of each piece, of one split or of all."""
        with open(self.folder / "pieces.jsonl", encoding="utf-8") as file:
            rows = map(json.loads, file)
            yield from (row for row in rows if split in (None, row["split"]))

    def report(self):
        """The lines of ``report.jsonl``, as dicts."""
        with open(self.folder / "report.jsonl", "rb") as file:
            yield from map(json.loads, file)


def shard_files(name):
    """The names of a shard's two files: its ids and its index."""
    return f"{name}.tokens.npy", f"{name}.index.npy"


def id_type(vocab_size):
    """How an id is stored: in two bytes where that is enough, else in four."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def shard_bytes(pieces, vocab_size):
    """The two files of a shard.

    Args:
        pieces: list of int arrays.
        vocab_size: int, see `id_type`.

    Returns:
        (bytes, bytes): ids and index, as .npy. Same pieces, same bytes.
    """
    dtype = id_type(vocab_size)
    pieces = [np.asarray(piece).astype(dtype, copy=False) for piece in pieces]
    index = np.zeros(len(pieces), dtype=INDEX)
    index["length"] = [len(piece) for piece in pieces]
    index["start"] = np.cumsum(index["length"]) - index["length"]
    index["crc"] = [zlib.crc32(piece.tobytes()) for piece in pieces]
    ids = np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)
    return _npy(ids), _npy(index)


def _npy(array):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def manifest_bytes(manifest):
    """A manifest as JSON that carries its own checksum."""
    manifest = {name: manifest[name] for name in manifest if name != "checksum"}
    manifest["checksum"] = _checksum(manifest)
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()


def _checksum(manifest):
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_dataset(folder):
    """Whether a folder says that it is a dataset, sound or not."""
    try:
        with open(Path(folder, MANIFEST), "rb") as file:
            return FORMAT.encode() in file.read(4096)
    except OSError:
        return False


def open_dataset(folder, *, verify=True):
    """Open a dataset that `prepare.prepare` wrote.

    Args:
        folder: str or Path.
        verify: bool, read every byte of it and check it against the manifest.

    Returns:
        `Dataset`.

    Raises:
        BadDataset: naming the file, and the record where there is one, if anything is
            missing, changed, cut, too long or foreign.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    dataset = Dataset(folder, manifest)
    try:
        vocab_size = dataset.tokenizer.vocab_size
    except ValueError as error:
        raise BadDataset(f"{folder / MANIFEST}: {error}") from None
    if verify:
        _check_strangers(dataset)
        for name, about in manifest["files"].items():
            _check_file(dataset, name, about)
        for split in SPLITS:
            _check_split(dataset, split, vocab_size)
    return dataset


def _read_manifest(folder):
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BadDataset(f"{folder} is no dataset: it holds no {MANIFEST}.") from None
    except (OSError, ValueError) as error:
        raise BadDataset(f"{path} cannot be read: {error}.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadDataset(f"{path} is not of the form {FORMAT!r}.")
    rest = {name: manifest[name] for name in manifest if name != "checksum"}
    if manifest.get("checksum") != _checksum(rest):
        raise BadDataset(f"{path} was changed after it was written.")
    return manifest


def _check_strangers(dataset):
    known = {MANIFEST, *dataset.manifest["files"]}
    for path in sorted(dataset.folder.iterdir()):
        if path.name not in known and path.suffix in (".npy", ".jsonl"):
            raise BadDataset(f"{path} is not in the manifest.")


def _check_file(dataset, name, about):
    path = dataset.folder / name
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise BadDataset(f"{path} is missing: {error.strerror}.") from None
    if digest == about["sha256"]:
        return
    problem = "was changed"
    if size != about["bytes"]:
        kind = "is cut short" if size < about["bytes"] else "is too long"
        problem = f"{kind}: {size:,} bytes, where {about['bytes']:,} were written"
    raise BadDataset(f"{path} {problem}{_first_bad_record(path)}.")


def _first_bad_record(path):
    """Where a file of ids is damaged, as far as its index can tell."""
    if not path.name.endswith(".tokens.npy"):
        return ""
    try:
        index = np.load(str(path).replace(".tokens.", ".index."), allow_pickle=False)
        with open(path, "rb") as file:
            np.lib.format.read_magic(file)
            _, _, dtype = np.lib.format.read_array_header_1_0(file)
            body = file.read()
    except (OSError, ValueError):
        return ", from its very header on"
    for record, (start, length, crc) in enumerate(index.tolist()):
        begin = start * dtype.itemsize
        if zlib.crc32(body[begin : begin + length * dtype.itemsize]) != crc:
            return f", first in record {record}"
    return ", after its last record"


def _check_split(dataset, split, vocab_size):
    counted = {"pieces": 0, "tokens": 0}
    for name in dataset.shard_names(split):
        path = dataset.folder / shard_files(name)[0]
        try:
            shard = dataset.shard(name)
        except (OSError, ValueError) as error:
            raise BadDataset(f"{path}: it is no shard ({error}).") from None
        if shard.index.dtype != INDEX or shard.ids.ndim != 1:
            raise BadDataset(f"{path}: its index has another form.")
        record = _first_bad_piece(shard, vocab_size)
        if record is not None:
            raise BadDataset(
                f"{path}, record {record}: a piece lies within the file, and its token "
                f"ids in 0..{vocab_size - 1}; this one does not."
            )
        counted["tokens"] += int(shard.index["length"].sum())
        counted["pieces"] += len(shard.index)
    for what, count in counted.items():
        if count != dataset.counts[split][what]:
            raise BadDataset(
                f"{dataset.folder}: {split} holds {count:,} {what}, where the manifest "
                f"counts {dataset.counts[split][what]:,}."
            )


def _first_bad_piece(shard, vocab_size):
    ends = shard.index["start"] + shard.index["length"]
    outside = np.flatnonzero((ends > len(shard.ids)) | (shard.index["length"] == 0))
    if len(outside):
        return int(outside[0])
    foreign = np.flatnonzero(shard.ids >= vocab_size)
    if len(foreign):
        return int(np.searchsorted(ends, foreign[0], side="right"))
    return None

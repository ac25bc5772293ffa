"""What has been read so far, on disk: one file a chunk of the folder.

Preparing a corpus leaves each chunk here as soon as its files are encoded. A run that
is killed goes on after the last one; a run that is not looks at one at a time.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.guard import Refused, walk_names
from data_pipelines.kinship import DIGEST_BYTES, SPLITS

FILES_A_CHUNK = 256
BYTES_A_CHUNK = 32 * 2**20


@dataclass(frozen=True)
class Chunk:
    """Some files of a folder, next to each other in its order.

    ``identity`` changes when a name, a size or a time of change does.
    """

    number: int
    names: tuple[str, ...]
    identity: str

    @property
    def file_name(self):
        return f"chunk-{self.number:06d}-{self.identity}.npz"


def chunks_of(root):
    """Cut a folder into `Chunk`, one after another; the same folder, the same chunks."""
    root = Path(root)
    names, size, stamps, number = [], 0, hashlib.sha256(), 0
    for name in walk_names(root):
        length, stamp = _stamp(root / name if root.is_dir() else root)
        if names and (len(names) == FILES_A_CHUNK or size + length > BYTES_A_CHUNK):
            yield Chunk(number, tuple(names), stamps.hexdigest()[:16])
            names, size, stamps, number = [], 0, hashlib.sha256(), number + 1
        names.append(name)
        size += length
        stamps.update(f"{name}\0{length}\0{stamp}\0".encode(errors="surrogateescape"))
    if names:
        yield Chunk(number, tuple(names), stamps.hexdigest()[:16])


def _stamp(path):
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Spooled:
    """A chunk as it was read back.

    Args:
        files: list of dict, ``{"path", "reason", "detail", "left_out", "pieces"}``.
        pieces: list of dict, ``{"file", "given", "facts", "cost"}``.
        digests: array (P,) of S16. wholes: uint64 (P,). lengths: int64 (P,).
        print_counts: int64 (P,).
    """

    path: Path
    files: list
    pieces: list
    digests: np.ndarray
    wholes: np.ndarray
    lengths: np.ndarray
    print_counts: np.ndarray

    def ids(self):
        """The ids of each piece, as a list."""
        return _split(_load(self.path, "ids"), self.lengths)

    def prints(self):
        """The fingerprints of each piece, as a list."""
        return _split(_load(self.path, "prints"), self.print_counts)


def _load(path, name):
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _split(array, lengths):
    return np.split(array, np.cumsum(lengths)[:-1]) if len(lengths) else []


def write_chunk(folder, chunk, results):
    """Write what was read of a chunk, whole or not at all.

    Args:
        folder: Path.
        chunk: `Chunk`.
        results: an `EncodedFile` or a `Refused` for each of its names, in order.
    """
    files, pieces, encoded = [], [], []
    for name, result in zip(chunk.names, results, strict=True):
        if isinstance(result, Refused):
            about = {"reason": result.reason, "detail": result.detail}
            files.append({"path": name, **about, "left_out": [], "pieces": 0})
            continue
        left_out, count = list(result.left_out), len(result.pieces)
        about = {"reason": "", "detail": "", "left_out": left_out, "pieces": count}
        files.append({"path": name, **about})
        for piece in result.pieces:
            given = SPLITS.index(piece.given) if piece.given else -1
            about = {"file": len(files) - 1, "given": given}
            pieces.append({**about, "facts": piece.facts, "cost": piece.cost})
            encoded.append(piece)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        ids=_joined([piece.ids for piece in encoded], np.int32),
        lengths=np.array([len(piece.ids) for piece in encoded], dtype=np.int64),
        prints=_joined([piece.prints for piece in encoded], np.uint64),
        print_counts=np.array([len(piece.prints) for piece in encoded], dtype=np.int64),
        wholes=np.array([piece.whole for piece in encoded], dtype=np.uint64),
        digests=np.array([p.digest for p in encoded], dtype=f"S{DIGEST_BYTES}"),
        about=np.frombuffer(
            json.dumps({"files": files, "pieces": pieces}).encode(), dtype=np.uint8
        ),
    )
    write_whole(Path(folder, chunk.file_name), buffer.getvalue())


def _joined(arrays, dtype):
    return np.concatenate(arrays).astype(dtype) if arrays else np.zeros(0, dtype)


def read_chunk(path):
    """The `Spooled` that `write_chunk` left; its ids and prints when they are asked for."""
    with np.load(path, allow_pickle=False) as arrays:
        about = json.loads(arrays["about"].tobytes())
        columns = ("digests", "wholes", "lengths", "print_counts")
        return Spooled(
            Path(path),
            about["files"],
            about["pieces"],
            *(arrays[name] for name in columns),
        )

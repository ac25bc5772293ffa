"""The state of a training run on disk: whole or not at all, checked when it is read.

Everything that the next step depends on: weights, optimizer, the seeds of dropout, the
place in the data, the best weights and the history. Keras's own BackupAndRestore leaves
out the last four, and writes in place.
"""

import hashlib
import io
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = b"etude checkpoint 1\n"
DIGEST_BYTES = 32


class BadCheckpoint(ValueError):
    """A checkpoint that cannot be gone on from."""


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and facts as JSON."""

    arrays: dict
    facts: dict


def save_checkpoint(path, checkpoint):
    """Write beside `path`, sync, rename: what stood there before is good till then.

    Raises:
        OSError: if it cannot be written; the older checkpoint still stands.
    """
    path = Path(path)
    buffer = io.BytesIO()
    facts = json.dumps(checkpoint.facts, sort_keys=True).encode()
    np.savez(buffer, **checkpoint.arrays, facts=np.frombuffer(facts, dtype=np.uint8))
    body = buffer.getvalue()
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(MAGIC + hashlib.sha256(body).digest())
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def load_checkpoint(path):
    """The `Checkpoint` at `path`.

    Raises:
        BadCheckpoint: if it is damaged.
        OSError: if it cannot be read.
    """
    data = Path(path).read_bytes()
    head = len(MAGIC) + DIGEST_BYTES
    body = data[head:]
    if data[: len(MAGIC)] != MAGIC:
        raise BadCheckpoint(f"{path} is no checkpoint of this kit.")
    if hashlib.sha256(body).digest() != data[len(MAGIC) : head]:
        raise BadCheckpoint(f"{path} is damaged: its SHA-256 is not the one it names.")
    with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
        named = {name: arrays[name] for name in arrays.files}
    return Checkpoint(named, json.loads(named.pop("facts").tobytes()))


def remove_leftovers(path):
    """Take away what a run that was killed while writing left beside `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)

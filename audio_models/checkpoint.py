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

from audio_models.disk import room_for

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
        FloatingPointError: if a number is not finite: no run could go on from it.
        OSError: if it cannot be written; the older checkpoint still stands.
    """
    path = Path(path)
    if name := _not_finite(checkpoint.arrays):
        raise FloatingPointError(
            f"{path} is not written: {name} holds numbers that are not finite. "
            "Lower the learning rate (--learning-rate)."
        )
    buffer = io.BytesIO()
    facts = json.dumps(checkpoint.facts, sort_keys=True).encode()
    np.savez(buffer, **checkpoint.arrays, facts=np.frombuffer(facts, dtype=np.uint8))
    body = buffer.getvalue()
    head = MAGIC + hashlib.sha256(body).digest()
    with room_for(path, len(head) + len(body)):
        _write_whole(path, head, body)


def _write_whole(path, *parts):
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
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
    facts = json.loads(named.pop("facts").tobytes())
    if name := _not_finite(named):
        raise BadCheckpoint(f"{path}: {name} holds numbers that are not finite.")
    return Checkpoint(named, facts)


def _not_finite(arrays):
    """The name of the first array that holds NaN or infinity, or None."""
    return next(
        (n for n, array in arrays.items() if not np.isfinite(array).all()), None
    )


def remove_leftovers(path):
    """Take away what a run that was killed while writing left beside `path`."""
    path = Path(path)
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)

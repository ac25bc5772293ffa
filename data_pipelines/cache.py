"""Scores on disk in one file: arrays and JSON, no code. For what is slow to parse."""

import hashlib
import io
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.score import PEDAL, Key, Metre, Score, Tempo, Track


def cache_folder():
    """Where parsed music is kept: ``ETUDE_CACHE``, or the user's cache folder."""
    if os.environ.get("ETUDE_CACHE"):
        return Path(os.environ["ETUDE_CACHE"])
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("etude"))


def cache_path(kind, *identity):
    """The cache file for something named by `identity`, a few strings."""
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:24]
    return cache_folder() / f"{kind}-{digest}.npz"


def save_scores(path, scores):
    """Write scores to `path`, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [score.notes for score in scores]
    about = [
        {
            "ticks_per_quarter": score.ticks_per_quarter,
            "tracks": [asdict(track) for track in score.tracks],
            "tempos": [asdict(tempo) for tempo in score.tempos],
            "metres": [asdict(metre) for metre in score.metres],
            "keys": [asdict(key) for key in score.keys],
            "title": score.title,
            "pedals": score.pedals.tolist(),
        }
        for score in scores
    ]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        notes=np.concatenate(rows) if rows else np.zeros(0),
        lengths=np.array([len(r) for r in rows], dtype=np.int64),
        about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
    )
    write_whole(path, buffer.getvalue())


def load_scores(path):
    """The scores that `save_scores` wrote.

    Raises:
        ValueError: if the file is not one of them.
        OSError: if it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(arrays["about"].tobytes())
            ends = np.cumsum(arrays["lengths"])
            notes = arrays["notes"]
    except (KeyError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is no score cache: {error}") from None
    return [
        Score(
            notes[end - length : end],
            row["ticks_per_quarter"],
            tuple(Track(**t) for t in row["tracks"]),
            tempos=tuple(Tempo(**t) for t in row["tempos"]),
            metres=tuple(Metre(**m) for m in row["metres"]),
            keys=tuple(Key(**k) for k in row["keys"]),
            title=row["title"],
            pedals=np.array([tuple(p) for p in row.get("pedals", [])], dtype=PEDAL),
        )
        for row, end, length in zip(about, ends, np.diff(ends, prepend=0), strict=True)
    ]

"""Between a stranger's folder and us: walk, sniff, read, gate.

Nothing here raises for a bad file: it is refused, once, with a reason from `REASONS`.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.midi import UnreadableMusic, parse_midi
from data_pipelines.score import LONGEST_SECONDS

REASONS = (
    "empty file",
    "not music",
    "damaged",
    "no notes",
    "too large",
    "too long",
    "not a regular file",
    "unreadable",
    "duplicate",
)
LARGEST_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Refused(Exception):
    """A file that is not used: one of `REASONS`, and the detail of it."""

    reason: str
    detail: str = ""

    def __str__(self):
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def walk(root):
    """Every file under `root` (or `root` itself), sorted, links not followed.

    Raises:
        FileNotFoundError: if there is nothing called `root`.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"No such file or folder: {root}")
    if not root.is_dir():
        return [root]
    files = []
    for folder, subfolders, names in os.walk(root):
        subfolders.sort()
        shown = sorted(name for name in names if not name.startswith("."))
        files += [Path(folder, name) for name in shown]
    return files


def read_score(path):
    """The score in a file of any form we read, gated.

    Args:
        path: str or Path.

    Returns:
        `Score` with at least one note.

    Raises:
        Refused: whatever is wrong, with its reason.
    """
    data = _bytes(Path(path))
    if not data:
        raise Refused("empty file")
    if data[:4] != b"MThd" and not (data[:4] == b"RIFF" and data[8:12] == b"RMID"):
        raise Refused("not music", f"begins with {data[:8]!r}, no MIDI header")
    try:
        return gate(parse_midi(data, title=Path(path).stem))
    except UnreadableMusic as error:
        raise Refused("damaged", str(error)) from None


def gate(score):
    """The same score, if its numbers are ones that music can have.

    Raises:
        Refused: with the number that cannot be.
    """
    if not len(score):
        raise Refused("no notes", "the file is sound, and silent")
    if score.length_seconds > LONGEST_SECONDS:
        raise Refused(
            "too long", f"{score.length_seconds / 3600:.1f} hours, at most 2 are read"
        )
    return score


def _bytes(path):
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Refused("not a regular file")
        if (size := path.stat().st_size) > LARGEST_BYTES:
            raise Refused(
                "too large", f"{size:,} bytes, at most {LARGEST_BYTES:,} are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from None

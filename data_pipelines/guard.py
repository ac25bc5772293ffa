"""Between a stranger's folder and us: walk, sniff, read, gate.

Whatever is wrong with a file, it is refused once, with a reason from `REASONS`. What
may hang or swell (MusicXML, Humdrum, long ABC) is read by `workers`, under a clock.
"""

import os
import re
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
    "timeout",
    "crashed",
    "memory",
)
LARGEST_BYTES = 16 * 2**20
LONGEST_BARS = 50_000
LONGEST_QUARTERS = 200_000
HEAD_BYTES = 65_536  # enough to tell what a file is
FORMS = "MIDI (.mid), MusicXML (.musicxml .mxl), ABC (.abc) or Humdrum (.krn)"


class Refused(Exception):
    """A file that is not used: one of `REASONS`, and the detail of it."""

    def __init__(self, reason, detail=""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self):
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True)
class Reading:
    """What a file gave: its pieces, and what had to be left out of it."""

    scores: tuple
    left_out: tuple[str, ...] = ()


def walk(root):
    """Every file under `root` (or `root` itself), sorted.

    Links to folders are not followed. Hidden files and folders (.git), bundles and run
    folders are no music of the person's, and passed over.

    Raises:
        FileNotFoundError: if there is nothing called `root`.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"No such file or folder: {root}")
    if not root.is_dir():
        return [root]
    files = []
    unreadable = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders[:] = sorted(s for s in subfolders if not _is_ours(Path(folder, s)))
        shown = sorted(name for name in names if not name.startswith("."))
        files += [Path(folder, name) for name in shown]
    return files + [Path(error.filename) for error in unreadable]


def _is_ours(folder):
    is_run = folder.name.endswith(".run") and (folder / "report.jsonl").exists()
    is_bundle = (folder / "bundle.json").exists() and (folder / "SHA256SUMS").exists()
    return folder.name.startswith(".") or is_run or is_bundle


def sniff(path):
    """What a file is, by its first bytes and not its name.

    Returns:
        str: "midi", "mxl", "musicxml", "abc" or "humdrum".

    Raises:
        Refused: if it is none of these, or cannot be opened.
    """
    head = _read(Path(path), HEAD_BYTES)
    if not head:
        raise Refused("empty file", "it holds no byte")
    if head[:4] == b"MThd" or (head[:4] == b"RIFF" and head[8:12] == b"RMID"):
        return "midi"
    if head[:4] == b"PK\x03\x04":
        return "mxl"
    text = decoded(head)
    if re.search(r"<score-(partwise|timewise)", text):
        return "musicxml"
    if "**kern" in text:
        return "humdrum"
    if re.search(r"^X:", text, re.M) and re.search(r"^K:", text, re.M):
        return "abc"
    raise Refused("not music", f"it begins with {head[:8]!r}; read are {FORMS}")


def read_file(path):
    """The pieces in a file of any form that we read, gated.

    Args:
        path: str or Path.

    Returns:
        `Reading` of at least one score, each with at least one note.

    Raises:
        Refused: whatever is wrong, with its reason.
    """
    path = Path(path)
    form = sniff(path)
    if form == "abc":
        return _read_abc(_read(path))
    try:
        if form == "midi":
            score = parse_midi(_read(path), title=path.stem)
        else:
            from data_pipelines.musicxml import parse_with_music21

            score = parse_with_music21(_read(path), form, title=path.stem)
    except UnreadableMusic as error:
        raise Refused("damaged", str(error)) from None
    return Reading((gate(score),))


def read_score(path):
    """The first piece in a file; as `read_file` otherwise."""
    return read_file(path).scores[0]


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
    quarters = score.end_tick / score.ticks_per_quarter
    if quarters > LONGEST_QUARTERS:
        raise Refused("too long", f"{quarters:,.0f} quarters, at most 200,000 are read")
    if (bars := score.count_bars()) > LONGEST_BARS:
        raise Refused("too long", f"{bars:,} bars, at most 50,000 are read")
    return score


def decoded(data):
    """Text from bytes: UTF-16 or UTF-8 by its mark, else UTF-8, else Latin-1."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1").lstrip("\ufeff")


def _read_abc(data):
    from data_pipelines.abc import BadAbc, parse_tune, split_tunes

    scores, left_out = [], []
    for number, text in enumerate(split_tunes(decoded(data)), 1):
        try:
            scores.append(gate(parse_tune(text)))
        except (BadAbc, Refused, ValueError) as error:
            left_out.append(f"tune {number}: {error}")
    if not scores:
        raise Refused("no notes", left_out[0] if left_out else "no tune in it")
    return Reading(tuple(scores), tuple(left_out))


def _read(path, most=None):
    """The bytes of a regular file, at most `most` of them."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            if path.is_dir():
                raise Refused("unreadable", "a folder that may not be opened")
            raise Refused("not a regular file", "a pipe, a device or a socket")
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise Refused(
                "too large", f"{size:,} bytes, at most {LARGEST_BYTES:,} are read"
            )
        with open(path, "rb") as file:
            return file.read(most if most is not None else LARGEST_BYTES)
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise Refused("unreadable", str(error)) from None

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
    "other kind",
    "damaged",
    "no notes",
    "no beat",
    "too large",
    "too long",
    "not a regular file",
    "unreadable",
    "duplicate",
    "timeout",
    "crashed",
    "memory",
)
# What a tokenizer takes, and the forms of file that hold it.
KINDS = {
    "score": {"midi", "mxl", "musicxml", "abc", "humdrum", "csv", "json", "mat"},
    "text": {"text", "abc", "csv", "json", "musicxml", "humdrum"},
    "wave": {"audio"},
}
FORMS_OF = {
    "score": "MIDI (.mid), MusicXML (.musicxml .mxl), ABC (.abc), Humdrum (.krn) or "
    "tables of pitches (.csv .json .mat)",
    "text": "text (.txt .abc)",
    "wave": "sound (.wav .flac .ogg .aiff)",
}
LARGEST_BYTES = 16 * 2**20
LARGEST_SOUND_BYTES = (
    2**30
)  # read in blocks, so that only a long one is large in memory
LONGEST_BARS = 50_000
LONGEST_QUARTERS = 200_000
HEAD_BYTES = 65_536  # enough to tell what a file is
NUMBER = r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?\s*"


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
    """What a file gave: its pieces, and what had to be left out of it.

    Args:
        contents: tuple of `Score`, `Text` or `Waveform`, each a piece.
        left_out: tuple of str, a sentence for each piece that cannot be used.
        splits: tuple of str, as long as `contents` or empty: "train", "valid" or
            "test" where the file itself assigns its pieces.
    """

    contents: tuple
    left_out: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()


def walk(root):
    """Every file under `root` (or `root` itself), sorted: a list of Path.

    Links to folders are not followed. Hidden files and folders (.git), bundles, datasets
    and run folders are no music of the person's, and passed over.

    Raises:
        FileNotFoundError: if there is nothing called `root`.
    """
    root = Path(root)
    if root.exists() and not root.is_dir():
        return [root]
    return [root / name for name in walk_names(root)]


def walk_names(root):
    """As `walk`, name by name and relative to `root`: a folder may hold millions.

    Yields:
        str. Of a file, its own name; folders that cannot be opened come last.
    """
    root = Path(root)
    if not root.exists():
        raise FileNotFoundError(f"No such file or folder: {root}")
    if not root.is_dir():
        yield root.name
        return
    unreadable = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders[:] = sorted(s for s in subfolders if not _is_ours(Path(folder, s)))
        within = os.path.relpath(folder, root)
        prefix = "" if within == "." else within + os.sep
        for name in sorted(names):
            if not name.startswith("."):
                yield prefix + name
    yield from (os.path.relpath(error.filename, root) for error in unreadable)


def _is_ours(folder):
    is_run = folder.name.endswith(".run") and (folder / "report.jsonl").exists()
    is_bundle = (folder / "bundle.json").exists() and (folder / "SHA256SUMS").exists()
    is_dataset = (folder / "manifest.json").exists() and any(
        folder.glob("*.tokens.npy")
    )
    return folder.name.startswith(".") or is_run or is_bundle or is_dataset


def sniff(path):
    """What a file is, by its first bytes and not its name.

    Returns:
        str: "midi", "mxl", "musicxml", "abc", "humdrum", "csv", "json", "mat", "audio"
        or "text".

    Raises:
        Refused: if it is none of these, or cannot be opened.
    """
    return _sniffed(Path(path))[0]


def _sniffed(path):
    """The form of a file, and its first bytes: all of them, if it is a small one."""
    head = _read(path, HEAD_BYTES, LARGEST_SOUND_BYTES)
    if not head:
        raise Refused("empty file", "it holds no byte")
    form = _form_of(head)
    if form is None:
        raise Refused("not music", f"it begins with {head[:8]!r}")
    return form, head


def _form_of(head):
    if head[:4] == b"MThd" or (head[:4] == b"RIFF" and head[8:12] == b"RMID"):
        return "midi"
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "audio"
    if head[:4] in (b"fLaC", b"OggS") or head[:4] == b"FORM":
        return "audio"
    if head[:4] == b"PK\x03\x04":
        return "mxl"
    if head[:10] == b"MATLAB 5.0":
        return "mat"
    text = decoded(head).replace("\r", "\n")
    if re.search(r"<score-(partwise|timewise)", text):
        return "musicxml"
    if "**kern" in text:
        return "humdrum"
    if re.search(r"^X:", text, re.M) and re.search(r"^K:", text, re.M):
        return "abc"
    if re.search(r"[\x00-\x08\x0e-\x1a\x7f]", text):
        return None
    if re.match(rf"\s*+(\[\s*+([\[\]]|{NUMBER}(,|\]\s*\Z))|{{\s*+[\"}}])", text):
        return "json"
    if _is_table(text):
        return "csv"
    return "text"


def _is_table(text):
    """Whether half of the lines have as many cells as the first, and a number."""
    lines = [line for line in text.splitlines()[:100] if line.strip()]
    if not lines:
        return False
    mark = next((mark for mark in "\t;," if mark in lines[0]), "\n")
    rows = [[cell.strip(' "') for cell in line.split(mark)] for line in lines]
    good = [
        len(row) == len(rows[0]) and any(re.fullmatch(NUMBER, cell) for cell in row)
        for row in rows
    ]
    return 2 * sum(good) >= len(rows)


def read_file(path, kind="score"):
    """The pieces in a file of any form that we read, gated.

    Args:
        path: str or Path.
        kind: str, one of `KINDS`: what the pieces are to be.

    Returns:
        `Reading` of at least one piece; a score has at least one note.

    Raises:
        Refused: whatever is wrong, with its reason.
    """
    path = Path(path)
    form, head = _sniffed(path)
    if form not in KINDS[kind]:
        reason = "not music" if form == "text" else "other kind"
        raise Refused(reason, f"it is {form}; wanted is {FORMS_OF[kind]}")
    try:
        if kind == "wave":
            from data_pipelines.audio import read_sound

            return read_sound(path)
        data = head if len(head) < HEAD_BYTES else _read(path)
        return _read_form(data, form, kind, path.stem)
    except UnreadableMusic as error:
        raise Refused("damaged", str(error)) from None


def _read_form(data, form, kind, title):
    # Readers are imported where they are needed: most commands meet one form.
    if kind == "text":
        from data_pipelines.text import read_texts

        return Reading(tuple(read_texts(decoded(data), form, title=title)))
    if form == "midi":
        return Reading((gate(parse_midi(data, title=title)),))
    if form == "abc":
        return _read_abc(data)
    if form in ("csv", "json", "mat"):
        from data_pipelines.tables import read_tables

        return gated(read_tables(data, form, title=title))
    from data_pipelines.musicxml import parse_with_music21

    return Reading((gate(parse_with_music21(data, form, title=title)),))


def read_score(path):
    """The first piece in a file; as `read_file` otherwise."""
    return read_file(path).contents[0]


def gated(reading):
    """The same `Reading` less the scores that do not pass the gate.

    Raises:
        Refused: if none of them does.
    """
    kept, left_out = [], list(reading.left_out)
    for number, score in enumerate(reading.contents):
        try:
            kept.append((gate(score), *reading.splits[number : number + 1]))
        except Refused as refusal:
            if len(reading.contents) == 1:
                raise
            left_out.append(f"piece {number + 1}: {refusal}")
    if not kept:
        raise Refused("no notes", left_out[0] if left_out else "no piece in it")
    contents, *splits = zip(*kept, strict=True)
    return Reading(contents, tuple(left_out), *splits)


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


def _read(path, most=None, largest=LARGEST_BYTES):
    """The bytes of a regular file, at most `most` of them."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            if path.is_dir():
                raise Refused("unreadable", "a folder that may not be opened")
            raise Refused("not a regular file", "a pipe, a device or a socket")
        size = status.st_size
        if size > largest:
            raise Refused("too large", f"{size:,} bytes, at most {largest:,} are read")
        with open(path, "rb") as file:
            # Asking for more than there is would make room for all of it.
            return file.read(min(size + 1, largest if most is None else most))
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from None
    except ValueError as error:  # a NUL in the name
        raise Refused("unreadable", str(error)) from None

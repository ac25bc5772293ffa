"""A folder -> pieces: every file accounted for, no piece twice, a split that holds.

The report has one line a file: used, repaired or refused, with the reason.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass

from data_pipelines.files import write_whole
from data_pipelines.guard import Refused, read_file, sniff, walk
from data_pipelines.kinship import content_digest
from data_pipelines.workers import outcome, read_all


@dataclass(frozen=True)
class Line:
    """What became of one file. ``status`` is used, repaired or refused."""

    path: str
    status: str
    reason: str = ""
    detail: str = ""
    pieces: int = 0


@dataclass(frozen=True)
class Piece:
    """One piece of music: where it came from, and its score."""

    name: str
    score: object
    digest: str


@dataclass(frozen=True)
class Corpus:
    """The pieces of a folder, and the report of every file in it."""

    pieces: tuple[Piece, ...]
    report: tuple[Line, ...]

    def refusals(self):
        """How many files were refused, by reason."""
        return Counter(line.reason for line in self.report if line.status == "refused")


def read_folder(root, *, workers=2, on_progress=None):
    """Read every file under a folder, or one file.

    MIDI is read here, by a parser that neither hangs nor crashes; the other forms in
    worker processes, under a clock and a cap on memory.

    Args:
        root: str or Path.
        workers: int, how many processes; 0 reads everything here.
        on_progress: callable of (files done, files in all), or None.

    Returns:
        `Corpus`. Pieces with the same notes are kept once.

    Raises:
        FileNotFoundError: if `root` does not exist.
    """
    files = walk(root)
    forms = [outcome(sniff, path) for path in files]
    risky = {
        path: form
        for path, form in zip(files, forms, strict=True)
        if form != "midi" and not isinstance(form, Refused)
    }
    preload = ["music21"] if set(risky.values()) - {"abc"} else []
    from_workers = read_all(risky, workers=workers, preload=preload)
    found = []
    for done, (path, form) in enumerate(zip(files, forms, strict=True), 1):
        if isinstance(form, Refused):
            result = form
        elif form == "midi":
            result = outcome(read_file, path)
        else:
            _, result = next(from_workers)
        found.append((str(path), result))
        if on_progress:
            on_progress(done, len(files))
    return assemble(found)


def assemble(found):
    """The `Corpus` of (name, `Reading` or `Refused`) pairs, duplicates removed.

    A file of several pieces gives the names ``name#1``, ``name#2`` ... It is used if
    one of them is new, and called repaired if something in it had to be left out.
    """
    pieces, report, first_with = [], [], {}
    for name, result in found:
        if isinstance(result, Refused):
            report.append(Line(name, "refused", result.reason, result.detail))
            continue
        many = len(result.contents) + len(result.left_out) > 1
        kept, twin = 0, ""
        for number, score in enumerate(result.contents, 1):
            digest = content_digest(score)
            piece = f"{name}#{number}" if many else name
            if digest in first_with:
                twin = first_with[digest]
                continue
            first_with[digest] = piece
            pieces.append(Piece(piece, score, digest))
            kept += 1
        if not kept:
            detail = f"the same notes as {twin}"
            report.append(Line(name, "refused", "duplicate", detail))
            continue
        left_out = list(result.left_out)
        if twins := len(result.contents) - kept:
            left_out.append(f"{twins} pieces that others hold already")
        status = "repaired" if left_out else "used"
        report.append(Line(name, status, detail="; ".join(left_out), pieces=kept))
    return Corpus(tuple(pieces), tuple(report))


def write_report(path, corpus):
    """Write ``report.jsonl``: one JSON object a file of the folder."""
    lines = [json.dumps(asdict(line), ensure_ascii=False) for line in corpus.report]
    text = "".join(line + "\n" for line in lines)
    # A name that is no UTF-8 keeps its bytes as JSON's own escapes.
    write_whole(path, text.encode(errors="backslashreplace"))

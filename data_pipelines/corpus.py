"""A folder -> pieces: every file accounted for, no piece twice, a split that holds.

The report has one line a file: used, repaired or refused, with the reason.
"""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.guard import Refused, read_file, sniff, walk
from data_pipelines.workers import outcome, read_all

SPLITS = ("train", "valid", "test")
SHINGLE = 8  # intervals in a row that make one fingerprint
KINSHIP = 0.4  # share of fingerprints in common that makes two pieces one tune


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


def content_digest(score):
    """A hash of the notes alone: not of tempo, loudness, names or resolution."""
    notes = score.notes
    scale = 96 / score.ticks_per_quarter
    rows = np.stack(
        [
            np.rint(notes["start"] * scale),
            np.rint(notes["duration"] * scale),
            notes["pitch"],
        ]
    ).astype(np.int64)
    rows = rows[:, np.lexsort(rows[::-1])]
    return hashlib.sha256(rows.tobytes()).hexdigest()


def split_by_tune(melodies, digests):
    """Share pieces out to train (80%), valid (10%) and test (10%), kin together.

    Two pieces are kin when they share many runs of `SHINGLE` intervals, whatever the
    key: the same tune under two names, or in two books. Where a tune goes depends on
    its content and its variants' alone: a re-run moves nothing, and a new file moves no
    tune that it is no variant of (but to fill a split of a very small folder).

    Args:
        melodies: list of int arrays, the pitches of each piece in order.
        digests: list of str, `content_digest` of each.

    Returns:
        list of str, ``"train"``, ``"valid"`` or ``"test"`` for each piece. With fewer
        than three tunes all of them are ``"train"``.
    """
    groups = kin_groups(melodies)
    digest_of = {}
    for group, digest in zip(groups, digests, strict=True):
        digest_of[group] = min(digest, digest_of.get(group, digest))
    ranked = sorted(digest_of, key=digest_of.get)
    if len(ranked) < 3:
        return ["train"] * len(melodies)
    split_of = {group: _split_of(digest_of[group]) for group in ranked}
    # A small folder can leave a split empty: it takes a tune from the fullest one.
    for split in SPLITS:
        if split not in split_of.values():
            sizes = Counter(split_of.values())
            fullest = max(SPLITS, key=lambda name: sizes[name])
            taken = next(g for g in ranked if split_of[g] == fullest)
            split_of[taken] = split
    return [split_of[group] for group in groups]


def _split_of(digest):
    tenth = int(digest[:8], 16) % 10
    return "valid" if tenth == 8 else "test" if tenth == 9 else "train"


def kin_groups(melodies):
    """Number the tunes: pieces that share much of their melody get one number.

    Args:
        melodies: list of int arrays of pitches.

    Returns:
        list of int, one a piece.
    """
    prints = [_fingerprints(pitches) for pitches in melodies]
    # Whole tunes in another key first, however many: each is compared but once.
    first_of = {}
    twin_of = [
        first_of.setdefault(
            np.diff(np.asarray(pitches, dtype=np.int64)).tobytes(), index
        )
        for index, pitches in enumerate(melodies)
    ]
    holders = defaultdict(list)
    for index, own in enumerate(prints):
        for fingerprint in own if twin_of[index] == index else ():
            holders[fingerprint].append(index)
    shared = Counter()
    for indices in holders.values():
        if len(indices) <= 50:  # a run that everybody plays says nothing
            shared.update(
                (a, b) for n, a in enumerate(indices) for b in indices[n + 1 :]
            )
    group = list(twin_of)

    def leader(index):
        while group[index] != index:
            group[index] = group[group[index]]
            index = group[index]
        return index

    for (a, b), count in shared.items():
        if count >= KINSHIP * min(len(prints[a]), len(prints[b])):
            group[max(leader(a), leader(b))] = min(leader(a), leader(b))
    return [leader(index) for index in range(len(melodies))]


def _fingerprints(pitches):
    intervals = np.diff(np.asarray(pitches, dtype=np.int64))
    if len(intervals) < SHINGLE:
        return {intervals.tobytes()} if len(intervals) else set()
    runs = np.lib.stride_tricks.sliding_window_view(intervals, SHINGLE)
    return {run.tobytes() for run in runs}


def write_report(path, corpus):
    """Write ``report.jsonl``: one JSON object a file of the folder."""
    lines = [json.dumps(asdict(line), ensure_ascii=False) for line in corpus.report]
    text = "".join(line + "\n" for line in lines)
    # A name that is no UTF-8 keeps its own bytes.
    write_whole(path, text.encode(errors="surrogateescape"))

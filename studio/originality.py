"""What of a piece stands in the music a model learnt from: copies, in whatever key.

A line of music is told as its intervals, so that a tune and its transposition are one;
or as its intervals with the sixteenths from each onset to the next, so that the rhythm
must agree too. Of all runs of so many intervals in the training music a hash of 64 bits
is kept, sorted. What is found there is then compared number by number: a collision of
hashes finds nothing.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data_pipelines.measures import voice_lines
from studio.freely import first_bars

GRAM = 16  # intervals: about two bars of a tune
# A copied run is sought from its first so many intervals, the longest that is found.
SEEDS = (GRAM, 8, 4)
LONGEST_STEP = 4096  # sixteenths from onset to onset; longer ones count as this
END = np.int64(-(2**62))  # closes a line; no interval is it


@dataclass(frozen=True)
class Copied:
    """What of one piece stands in the training music.

    Args:
        grams: int, runs of `GRAM` intervals in it; found: int, how many of them stand in
            the training music.
        notes: int, how many notes the longest copied run has; 0 below five.
        first: int, the number of its first note in its line; line: int.
        source: int, the training piece it stands in, or -1.
    """

    grams: int = 0
    found: int = 0
    notes: int = 0
    first: int = 0
    line: int = 0
    source: int = -1


class Training:
    """The training music, ready to be asked what was copied from it.

    Args:
        scores: iterable of `Score`; read once.
        with_rhythm: bool, whether durations (onset to onset) count too.
    """

    def __init__(self, scores, *, with_rhythm=False):
        self.with_rhythm = with_rhythm
        lines, owners = [], []
        for number, score in enumerate(scores):
            for symbols in line_symbols(score, with_rhythm):
                lines.append(np.append(symbols, END))
                owners.append(np.full(len(symbols) + 1, number, dtype=np.int32))
        empty = np.array([END])
        self.symbols = np.concatenate([*lines, empty])
        self.owners = np.concatenate([*owners, np.array([-1], dtype=np.int32)])

    @cached_property
    def _indices(self):
        return {}

    def index(self, length):
        """The `GramIndex` of runs of so many intervals; made when first asked for."""
        if length not in self._indices:
            self._indices[length] = GramIndex(self.symbols, length)
        return self._indices[length]

    def copied(self, score):
        """What of a `Score` stands in this music: `Copied`."""
        grams = found = 0
        best = Copied()
        for number, symbols in enumerate(line_symbols(score, self.with_rhythm)):
            is_found = self.index(GRAM).holds(symbols)
            grams, found = grams + len(is_found), found + int(is_found.sum())
            length, first, place = self.longest_run(symbols)
            if length and length + 1 > best.notes:
                source = int(self.owners[place])
                best = Copied(0, 0, length + 1, first, number, source)
        return Copied(grams, found, best.notes, best.first, best.line, best.source)

    def longest_run(self, symbols):
        """The longest run of a line that stands in the training music.

        Args:
            symbols: int64 array (N,), a row of `line_symbols`.

        Returns:
            (length, first, place): how many symbols, where in the line, and where in
            the training music; (0, 0, -1) if none is as long as the last of `SEEDS`.
        """
        for seed in SEEDS:
            best = self.index(seed).longest(symbols)
            if best[0]:
                return best
        return 0, 0, -1


class GramIndex:
    """Where each run of `length` symbols stands: hashes, sorted, with their places."""

    def __init__(self, symbols, length):
        self.symbols, self.length = symbols, length
        hashes = gram_hashes(symbols, length)
        order = np.argsort(hashes, kind="stable")
        self.hashes, self.places = hashes[order], order

    def spans(self, symbols):
        """(low, high), int arrays (N - length + 1,): each gram's rows in the index."""
        hashes = gram_hashes(symbols, self.length)
        low = np.searchsorted(self.hashes, hashes, side="left")
        return low, np.searchsorted(self.hashes, hashes, side="right")

    def candidates(self, symbols, first, low, high):
        """The places at which the gram that begins at `first` truly stands."""
        places = self.places[low:high]
        window = self.symbols[places[:, None] + np.arange(self.length)]
        return places[(window == symbols[first : first + self.length]).all(axis=1)]

    def holds(self, symbols):
        """bool array (N - length + 1,): which grams of a line stand in the index."""
        low, high = self.spans(symbols)
        return np.array(
            [
                h > lo and len(self.candidates(symbols, i, lo, h)) > 0
                for i, (lo, h) in enumerate(zip(low, high, strict=True))
            ],
            dtype=bool,
        )

    def longest(self, symbols):
        """The longest run that begins with a gram of the index: see `longest_run`."""
        best = (0, 0, -1)
        low, high = self.spans(symbols)
        for first in np.flatnonzero(high > low).tolist():
            if len(symbols) - first <= best[0]:
                break
            places = self.candidates(symbols, first, low[first], high[first])
            if first:  # a run that could have begun earlier has been followed already
                before = self.symbols[places - 1] == symbols[first - 1]
                places = places[(places == 0) | ~before]
            length = self.length
            while len(places):
                if length > best[0]:
                    best = (length, first, int(places[0]))
                if first + length == len(symbols):
                    break
                goes_on = self.symbols[places + length] == symbols[first + length]
                places, length = places[goes_on], length + 1
        return best


def line_symbols(score, with_rhythm):
    """The lines of a score as numbers that do not change with its key.

    Returns:
        list of int64 arrays, one a line, of its length less one: intervals in
        semitones; with rhythm, each joined with the sixteenths to the next onset.
    """
    rows = []
    for line in voice_lines(score):
        intervals = np.diff(line.pitches)
        if with_rhythm:
            waits = np.minimum(np.diff(line.steps), LONGEST_STEP - 1)
            intervals = intervals * LONGEST_STEP + waits
        rows.append(intervals.astype(np.int64))
    return rows


def gram_hashes(symbols, length):
    """A hash of each run of `length` symbols: uint64 array (N - length + 1,)."""
    count = len(symbols) - length + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint64)
    # Each symbol is stirred first (splitmix64), then the run read as one long number.
    mixed = symbols.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(length):
        hashes = hashes * np.uint64(0x100000001B3) + mixed[offset : offset + count]
    return hashes


def originality(generated, real, train, bars):
    """What generated and real pieces have from the training music.

    Args:
        generated: list of (name, `Score`); real: the same, of held-out pieces.
        train: list of (name, `Score`).
        bars: int, real and generated pieces are heard so far.

    Returns:
        dict: by intervals alone, and with the rhythm.
    """
    sides = {"generated": generated, "real": real}
    told = {"gram_intervals": GRAM}
    for kind, with_rhythm in (("intervals", False), ("with_rhythm", True)):
        index = Training((score for _, score in train), with_rhythm=with_rhythm)
        told[kind] = {}
        for side, pieces in sides.items():
            rows = [
                (name, index.copied(first_bars(score, bars))) for name, score in pieces
            ]
            told[kind][side] = _copies(rows, [name for name, _ in train])
    return told


def _copies(rows, sources):
    grams, found = (sum(getattr(row, n) for _, row in rows) for n in ("grams", "found"))
    runs = [row.notes for _, row in rows]
    return {
        "pieces": len(rows),
        "grams": grams,
        "found": found,
        "share": round(found / grams, 5) if grams else None,
        "median_run": float(np.median(runs)) if runs else None,
        "longest_run": max(runs, default=0),
        "runs": [
            {
                "piece": name,
                "notes": row.notes,
                "from_note": row.first + 1,
                "line": row.line + 1,
                "source": sources[row.source] if row.source >= 0 else None,
                "grams": row.grams,
                "found": row.found,
            }
            for name, row in rows
        ],
    }


def name_sources(copies, corpora):
    """Put the title beside the number of each tune of music21's corpus."""
    wanted = {
        run["source"]
        for kind in ("intervals", "with_rhythm")
        for run in copies[kind]["generated"]["runs"]
        if run["source"]
    }
    titles = {}
    for corpus in corpora:
        from data_pipelines.music21_corpus import read_music21_corpus

        numbers = [n for n in wanted if re.fullmatch(re.escape(corpus) + r"/\d+", n)]
        scores = read_music21_corpus(corpus)[0] if numbers else []
        for number in numbers:
            titles[number] = scores[int(number.rpartition("/")[2]) - 1].title
    for kind in ("intervals", "with_rhythm"):
        for run in copies[kind]["generated"]["runs"]:
            run["title"] = titles.get(run["source"]) or run["source"]

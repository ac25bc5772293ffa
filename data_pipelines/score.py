"""A score: one immutable table of notes, and the maps that place it in time.

Everything between a file and a token passes through `Score`: readers make one,
tokenizers encode one, generators decode to one, renderers play one.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

NOTE = np.dtype(
    [
        ("start", np.int32),  # ticks from the beginning
        ("duration", np.int32),  # ticks, at least 1
        ("pitch", np.uint8),  # 0..127, middle C is 60
        ("velocity", np.uint8),  # 1..127
        ("track", np.uint16),  # index into Score.tracks
    ]
)
PEDAL = np.dtype(
    [
        ("start", np.int32),  # ticks: the foot goes down
        ("duration", np.int32),  # ticks, at least 1
        ("track", np.uint16),  # index into Score.tracks
    ]
)
DEFAULT_QPM = 120.0  # quarter notes a minute, where a file names no tempo
SLOWEST_QPM = 60e6 / (2**24 - 1) - 1e-6  # what MIDI's 24 bits can say
FASTEST_QPM = 2000.0
LAST_TICK = 2**28 - 1  # the longest time that one MIDI event can wait
LONGEST_RING = 8  # quarters that a pedal can hold on to the last note of a piece
LONGEST_SECONDS = 2 * 60 * 60
NO_PEDALS = np.zeros(0, dtype=PEDAL)
NO_PEDALS.setflags(write=False)


@dataclass(frozen=True)
class Track:
    """Who plays: a General MIDI program (0..127), or the drum kit."""

    name: str = ""
    program: int = 0
    is_drum: bool = False


@dataclass(frozen=True)
class Tempo:
    """Quarter notes a minute, from ``tick`` on."""

    tick: int
    qpm: float


@dataclass(frozen=True)
class Metre:
    """A time signature, from ``tick`` on: 6/8 is ``Metre(tick, 6, 8)``."""

    tick: int
    beats: int
    beat_unit: int

    def __str__(self):
        return f"{self.beats}/{self.beat_unit}"


@dataclass(frozen=True)
class Key:
    """A key signature, from ``tick`` on: sharps in -7..7 (negative: flats)."""

    tick: int
    sharps: int
    is_minor: bool = False


@dataclass(frozen=True)
class Score:
    """Notes of one piece, with its tracks, tempo, metre and key maps.

    Args:
        notes: structured array of dtype `NOTE`, any order; kept sorted by
            (start, track, pitch) and read-only.
        ticks_per_quarter: int in 1..32767.
        tracks: tuple of `Track`; each note's ``track`` indexes it.
        tempos, metres, keys: tuples sorted by tick. May be empty: 120 quarter
            notes a minute and 4/4 are then meant, as in the MIDI standard.
        title: str, for people.
        pedals: structured array of dtype `PEDAL`, when the sustain pedal of a track is
            down; `sustained` applies it. Kept sorted and read-only.

    Raises:
        ValueError: if a number lies outside its range.
    """

    notes: np.ndarray
    ticks_per_quarter: int = 480
    tracks: tuple[Track, ...] = (Track(),)
    tempos: tuple[Tempo, ...] = ()
    metres: tuple[Metre, ...] = ()
    keys: tuple[Key, ...] = ()
    title: str = ""
    pedals: np.ndarray = field(default_factory=lambda: NO_PEDALS)

    def __post_init__(self):
        notes = np.asarray(self.notes, dtype=NOTE)
        # (start, track, pitch) as one number: ten times as fast as `lexsort` by three.
        rank = notes["start"].astype(np.int64)
        for name, bits in (("track", 16), ("pitch", 8)):
            rank <<= bits
            rank |= notes[name]
        notes = notes.take(np.argsort(rank, kind="stable"))  # a copy
        notes.setflags(write=False)
        object.__setattr__(self, "notes", notes)
        if len(self.pedals):
            pedals = np.array(self.pedals, dtype=PEDAL)
            pedals = pedals[np.lexsort((pedals["track"], pedals["start"]))]
            pedals.setflags(write=False)
            object.__setattr__(self, "pedals", pedals)
        _check(self)

    def __len__(self):
        return len(self.notes)

    def __eq__(self, other):
        if not isinstance(other, Score):
            return NotImplemented
        names = ("ticks_per_quarter", "tracks", "tempos", "metres", "keys", "title")
        return (
            np.array_equal(self.notes, other.notes)
            and np.array_equal(self.pedals, other.pedals)
            and all(getattr(self, name) == getattr(other, name) for name in names)
        )

    __hash__ = None  # holds an array

    @cached_property
    def end_tick(self):
        """The tick at which the last note ends; 0 for an empty score."""
        if not len(self.notes):
            return 0
        return int(
            (self.notes["start"].astype(np.int64) + self.notes["duration"]).max()
        )

    def seconds_at(self, ticks):
        """When the given ticks sound.

        Args:
            ticks: int or int array, any shape, at least 0.

        Returns:
            float64 array of the same shape, in seconds.
        """
        ticks = np.asarray(ticks, dtype=np.float64)
        tempos = self.tempos
        if not tempos or tempos[0].tick > 0:
            tempos = (Tempo(0, DEFAULT_QPM), *tempos)
        if len(tempos) == 1:
            return ticks * (60 / (tempos[0].qpm * self.ticks_per_quarter))
        changes = np.array([t.tick for t in tempos], dtype=np.float64)
        per_tick = np.array([60 / (t.qpm * self.ticks_per_quarter) for t in tempos])
        elapsed = np.concatenate([[0.0], np.cumsum(np.diff(changes) * per_tick[:-1])])
        span = np.searchsorted(changes, ticks, side="right") - 1
        return elapsed[span] + (ticks - changes[span]) * per_tick[span]

    @property
    def length_seconds(self):
        """When the last note ends, in seconds."""
        return float(self.seconds_at(self.end_tick))

    @property
    def metre(self):
        """The first metre; 4/4 where none is named."""
        return self.metres[0] if self.metres else Metre(0, 4, 4)

    @property
    def qpm(self):
        """The first tempo, in quarter notes a minute."""
        return self.tempos[0].qpm if self.tempos else DEFAULT_QPM

    def bar_ticks(self):
        """The tick of each bar line, the first included, up to the last note's end.

        Returns:
            int64 array of shape (bars + 1,): the last one closes the last bar.
        """
        metres = self.metres
        if not metres or metres[0].tick > 0:
            metres = (Metre(0, 4, 4), *metres)
        end = max(self.end_tick, 1)
        lines = []
        ends = [m.tick for m in metres[1:]] + [end]
        for metre, until in zip(metres, ends, strict=True):
            bar = self._ticks_in_bar(metre)
            lines.append(np.arange(metre.tick, min(until, end), bar, dtype=np.int64))
            closing = metre.tick + bar * max(1, -(-(end - metre.tick) // bar))
        return np.append(np.concatenate(lines), closing)

    def count_bars(self):
        """How many bars there are: `bar_ticks` counted without laying them out."""
        metres = self.metres
        if not metres or metres[0].tick > 0:
            metres = (Metre(0, 4, 4), *metres)
        end = max(self.end_tick, 1)
        ends = [m.tick for m in metres[1:]] + [end]
        count = 0
        for metre, until in zip(metres, ends, strict=True):
            length = min(until, end) - metre.tick
            count += max(0, -(-length // self._ticks_in_bar(metre)))
        return count

    def _ticks_in_bar(self, metre):
        return max(1, round(self.ticks_per_quarter * 4 * metre.beats / metre.beat_unit))

    def is_drum_note(self):
        """bool array (N,): which notes the drum kit plays."""
        drums = np.array([t.is_drum for t in self.tracks], dtype=bool)
        return drums[self.notes["track"]]

    def track_notes(self, track):
        """The notes of one track, in order."""
        return self.notes[self.notes["track"] == track]

    def transposed(self, semitones):
        """The same music, `semitones` higher. Drums stay as they are.

        Raises:
            ValueError: if a note would leave 0..127.
        """
        notes = self.notes.copy()
        tonal = ~self.is_drum_note()
        pitches = notes["pitch"].astype(np.int64)
        pitches[tonal] += semitones
        if len(pitches) and not (pitches.min() >= 0 and pitches.max() <= 127):
            raise ValueError(
                f"Transposing by {semitones} semitones leaves 0..127: "
                f"the notes would span {pitches.min()}..{pitches.max()}."
            )
        notes["pitch"] = pitches
        keys = tuple(_transposed_key(key, semitones) for key in self.keys)
        return replace(self, notes=notes, keys=keys)

    def sustained(self):
        """The same music without pedals: each note rings until its pedal is lifted.

        A note whose key is released while the pedal of its track is down lasts until
        the pedal goes up, or until the same key is struck again, and rings no longer
        than `LONGEST_RING` quarters after the last key of all. Drums stay as they are.
        """
        if not len(self.pedals):
            return self
        notes = self.notes.copy()
        start = notes["start"].astype(np.int64)
        end = start + notes["duration"]
        drums = self.is_drum_note()
        latest = self.end_tick + LONGEST_RING * self.ticks_per_quarter
        for track in np.unique(self.pedals["track"]):
            down = self.pedals[self.pedals["track"] == track]
            up = np.maximum.accumulate(
                down["start"].astype(np.int64) + down["duration"]
            )
            up = np.minimum(up, latest)
            own = np.flatnonzero((notes["track"] == track) & ~drums)
            last = np.searchsorted(down["start"], end[own], side="right") - 1
            held = (last >= 0) & (end[own] < up[np.maximum(last, 0)])
            end[own[held]] = up[last[held]]
        key = notes["track"].astype(np.int64) * 128 + notes["pitch"]
        order = np.lexsort((start, key))
        again = np.flatnonzero(np.diff(key[order]) == 0)
        this, following = order[again], order[again + 1]
        released = start[this] + notes["duration"][this]
        end[this] = np.minimum(end[this], np.maximum(released, start[following]))
        notes["duration"] = np.minimum(end, LAST_TICK) - start
        return replace(self, notes=notes, pedals=NO_PEDALS)

    def to_pretty_midi(self):
        """This score as a `pretty_midi.PrettyMIDI`, the object people exchange."""
        from data_pipelines.exchange import to_pretty_midi

        return to_pretty_midi(self)

    def to_music21(self):
        """This score as a `music21.stream.Score`, for analysis and notation."""
        from data_pipelines.exchange import to_music21

        return to_music21(self)


def notes_array(start, duration, pitch, velocity=80, track=0):
    """A table of notes from its columns; numbers are spread over all rows."""
    columns = np.broadcast_arrays(
        np.atleast_1d(start), duration, pitch, velocity, track
    )
    notes = np.zeros(columns[0].shape, dtype=NOTE)
    for name, column in zip(NOTE.names, columns, strict=True):
        limits = np.iinfo(NOTE[name])
        if column.size and not (
            limits.min <= column.min() <= column.max() <= limits.max
        ):
            raise ValueError(
                f"{name.capitalize()} must be in {limits.min}..{limits.max}. "
                f"Received: {column.min()}..{column.max()}"
            )
        notes[name] = column
    return notes


def _transposed_key(key, semitones):
    # Seven fifths make a semitone; bring the result back to -5..6.
    sharps = (key.sharps + 7 * semitones + 5) % 12 - 5
    return replace(key, sharps=sharps)


def _check(score):
    notes = score.notes
    if not 1 <= score.ticks_per_quarter <= 32767:
        raise ValueError(
            f"Ticks per quarter must be in 1..32767. Received: {score.ticks_per_quarter}"
        )
    if len(notes):
        if notes["start"].min() < 0:
            raise ValueError(f"A note starts before 0: tick {notes['start'].min()}.")
        if score.end_tick > LAST_TICK:
            raise ValueError(f"A note ends after tick {LAST_TICK:,}.")
        if notes["duration"].min() < 1:
            raise ValueError("A note lasts less than one tick.")
        if notes["pitch"].max() > 127:
            raise ValueError(
                f"Pitch must be in 0..127. Received: {notes['pitch'].max()}"
            )
        if not (notes["velocity"].min() >= 1 and notes["velocity"].max() <= 127):
            raise ValueError("Velocity must be in 1..127.")
        if notes["track"].max() >= len(score.tracks):
            raise ValueError(
                f"A note names track {notes['track'].max()}; "
                f"the score has {len(score.tracks)}."
            )
    if len(score.pedals):
        _check_pedals(score)
    for tempo in score.tempos:
        if not SLOWEST_QPM <= tempo.qpm <= FASTEST_QPM:
            raise ValueError(
                f"Tempo must be in {SLOWEST_QPM:.2g}..{FASTEST_QPM:g} quarters a minute. "
                f"Received: {tempo.qpm:g}"
            )
    for metre in score.metres:
        if metre.beats < 1 or metre.beat_unit < 1:
            raise ValueError(f"A metre has no length: {metre}.")
    for key in score.keys:
        if not -7 <= key.sharps <= 7:
            raise ValueError(f"A key has -7..7 sharps. Received: {key.sharps}")
    for name in ("tempos", "metres", "keys"):
        ticks = [change.tick for change in getattr(score, name)]
        if ticks != sorted(ticks) or (ticks and ticks[0] < 0):
            raise ValueError(f"The {name} are not in order: ticks {ticks[:8]}.")


def _check_pedals(score):
    pedals = score.pedals
    if pedals["start"].min() < 0 or pedals["duration"].min() < 1:
        raise ValueError("A pedal is down before tick 0, or for less than one tick.")
    if (pedals["start"].astype(np.int64) + pedals["duration"]).max() > LAST_TICK:
        raise ValueError(f"A pedal is down after tick {LAST_TICK:,}.")
    if pedals["track"].max() >= len(score.tracks):
        raise ValueError(
            f"A pedal names track {pedals['track'].max()}; "
            f"the score has {len(score.tracks)}."
        )

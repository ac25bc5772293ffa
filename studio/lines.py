"""One voice or four as lines of sixteenths: a table of what is given and what is free.

What continuing and infilling share for the tokens of `melody` and `chorale`, in which
each step has one cell a voice: a pitch that is struck, hold, or rest.
"""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.particles import Sheet
from audio_models.player import Player
from audio_models.scoring import token_log_probabilities
from data_pipelines.score import Score
from data_pipelines.tokenizers.chorale import VOICES, part_voices
from data_pipelines.tokenizers.melody import (
    LONGEST_OPENING_REST,
    METRES,
    MelodyTokenizer,
    pick_melody,
    steps_in_bar,
)
from data_pipelines.tokenizers.sixteenths import (
    STEPS_PER_QUARTER,
    TICKS_PER_STEP,
    to_steps,
)
from data_pipelines.vocabulary import BOS, EOS
from studio.led import sheet_of

LINE_TOKENS = ("melody", "chorale")
BEYOND = 7  # semitones that new notes may leave the compass of what is given
HEARD = 96  # steps of what is given that tell which octave suits the model
WORTH_MOVING = 0.1  # nats a note
LINE = np.dtype([(name, np.int64) for name in ("start", "end", "pitch", "voice")])


@dataclass(frozen=True)
class Grid:
    """Sixteenths laid over a score so that a bar line is on one of them.

    Args:
        origin: int, the tick of step 0, not after tick 0.
        ticks_per_quarter: int.
        metre: `Metre`, the one at that bar line.
    """

    origin: int
    ticks_per_quarter: int
    metre: object

    @classmethod
    def at(cls, score, tick, metre):
        """The grid on which `tick` begins a bar of `metre`."""
        bar = ticks_in_bar(score, metre)
        return cls(tick - -(-tick // bar) * bar, score.ticks_per_quarter, metre)

    @property
    def bar(self):
        """Steps in a bar."""
        return steps_in_bar(self.metre)

    @property
    def beat(self):
        """Steps in a beat."""
        is_compound = self.metre.beat_unit == 8 and self.metre.beats % 3 == 0
        return 6 if is_compound else max(1, 16 // self.metre.beat_unit)

    @property
    def name(self):
        """The metre as the vocabularies name it; None if they lack it."""
        return str(self.metre) if str(self.metre) in METRES else None

    def step(self, tick):
        """The step nearest to a tick; half-way goes up."""
        return int(to_steps(np.array(tick - self.origin), self.ticks_per_quarter))

    def tick(self, step):
        """The tick of a step, int64."""
        quarters = np.asarray(step) * self.ticks_per_quarter / STEPS_PER_QUARTER
        return self.origin + np.rint(quarters).astype(np.int64)


@dataclass(frozen=True)
class Voices:
    """Whose lines a score's notes are.

    ``tracks`` names the track of each voice, ``reason`` says how they were found;
    ``of_note`` (N,) is the voice of each note of the score, -1 where it has none.
    """

    tracks: tuple[int, ...]
    reason: str
    of_note: np.ndarray


def voices_of(score, tokenizer, track=None):
    """The `Voices` that a tokenizer of lines hears in a score.

    Args:
        track: int or None, the one track to take.

    Raises:
        ValueError: if there is no pitched note, or none in that track.
    """
    own = np.full(len(score), -1)
    if tokenizer.name == "melody":
        reason = "asked for"
        if track is None:
            track, reason = pick_melody(score)
        own[score.notes["track"] == track] = 0
        return Voices((track,), reason, own)
    placed, reason = part_voices(score)
    own[placed["note"]] = placed["voice"]
    tracks = score.notes["track"][placed["note"]]
    mains = {
        voice: int(np.bincount(tracks[placed["voice"] == voice]).argmax())
        for voice in np.unique(placed["voice"]).tolist()
    }
    nearest = [min(mains, key=lambda m: abs(m - voice)) for voice in range(len(VOICES))]
    return Voices(tuple(mains[voice] for voice in nearest), reason, own)


def lines_of(score, voices, keep, grid):
    """The notes that sing, on the grid.

    Args:
        voices: `Voices`. keep: bool array (N,), which notes of the score count.

    Returns:
        array of dtype `LINE`, by voice and start; no two of a voice overlap.
    """
    lines, melody = [], MelodyTokenizer()
    for voice in range(len(voices.tracks)):
        notes = score.notes[(voices.of_note == voice) & keep].copy()
        if not len(notes):
            continue
        notes["start"] -= grid.origin
        notes["track"] = 0
        # A melody's own reading: one note a step, each cut where the next starts.
        read = melody.decode(melody.encode(Score(notes, score.ticks_per_quarter))).notes
        start = read["start"] // TICKS_PER_STEP
        first = int(to_steps(notes["start"], score.ticks_per_quarter).min())
        line = np.zeros(len(read), dtype=LINE)
        line["start"] = start - start[0] + first
        line["end"] = line["start"] + read["duration"] // TICKS_PER_STEP
        line["pitch"], line["voice"] = read["pitch"], voice
        lines.append(line)
    return np.concatenate(lines) if lines else np.zeros(0, dtype=LINE)


@dataclass(frozen=True)
class Table:
    """What may stand in each cell, from step ``base`` on.

    ``prefix`` are the ids up to the first free cell, BOS included; ``sheet`` the path
    from there; ``is_free`` (steps, voices), which cells are not given.
    """

    base: int
    first: int
    prefix: np.ndarray
    sheet: Sheet
    is_free: np.ndarray

    def with_blanks(self, blank):
        """All the ids (T,), with `blank` where more than one token may stand."""
        ids = self.sheet.with_blanks(blank)
        return np.concatenate([self.prefix, ids]).astype(np.int32)

    @property
    def may_end(self):
        """Whether the music ends where the table does."""
        last = self.sheet.may_stand[-1]
        return bool(last[EOS]) and last.sum() == 1


def octave_of(bundle, tokenizer, lines, grid):
    """By how many octaves to move music, so that the model is least surprised by it.

    A model of fiddle tunes has learnt keys, but no cello's register.

    Args:
        lines: array of dtype `LINE`, what is given.

    Returns:
        int; 0 unless another octave costs `WORTH_MOVING` nats a note less.
    """
    if not len(lines):
        return 0
    low, high = int(lines["pitch"].min()), int(lines["pitch"].max())
    octaves = [k for k in range(-4, 5) if low + 12 * k >= 0 and high + 12 * k <= 127]
    octaves.sort(key=abs)
    start, end = int(lines["start"].min()), int(lines["end"].max())
    ids, _ = _laid_out(tokenizer, lines, _base(start, grid), min(end, start + HEARD))
    ids = np.concatenate([_head(tokenizer, grid), ids.ravel()])
    rows = np.stack([tokenizer.augmented(ids, 12 * k) for k in octaves])
    player = Player(bundle.architecture, bundle.weights)
    nats = token_log_probabilities(player.architecture, player.weights, rows)
    is_note = tokenizer.is_note(ids[1:])
    cost = -nats[:, is_note].mean(axis=1)
    best = int(cost.argmin())
    return octaves[best] if cost[best] < cost[0] - WORTH_MOVING else 0


def compass_of(lines, voices, octaves=0):
    """Which pitches a voice may get: those it sings, and a fifth beyond.

    Args:
        lines: array of dtype `LINE`, as they sound.
        voices: `Voices`.
        octaves: int, by how many the model reads them higher.

    Returns:
        dict of voice -> range of pitches, as the model reads them. A voice that is
        silent may sing what the others do.
    """
    found = {}
    for voice in range(len(voices.tracks)):
        sung = lines["pitch"][lines["voice"] == voice]
        sung = sung if len(sung) else lines["pitch"]
        low, high = int(sung.min()) - BEYOND, int(sung.max()) + BEYOND
        shift = 12 * octaves
        low, high = max(0, low, -shift), min(127, high, 127 - shift)
        found[voice] = range(low + shift, high + shift + 1)
    return found


def table_of(
    tokenizer, lines, grid, *, free, onsets_until, until, voices, may_end, compass
):
    """Lay lines out, with steps left free from ``free`` on.

    New notes start before `onsets_until`, and may ring on until the next given note of
    their voice. A voice that sounds into the free steps sounds on as it did.

    Args:
        lines: array of dtype `LINE`, what is given.
        grid: `Grid`.
        free, onsets_until, until: int steps; `until` closes the table.
        voices: sequence of int, which voices may get new notes.
        may_end: bool, whether the piece ends there: then EOS is given as the last.
        compass: dict of voice -> range of pitches, from `compass_of`.

    Returns:
        `Table`.
    """
    base = _base(min([free, *lines["start"].tolist()]), grid)
    given, just_ended = _laid_out(tokenizer, lines, base, until)
    steps, count = given.shape
    hold, rest = tokenizer.hold, tokenizer.rest
    is_free = np.zeros((steps, count), dtype=bool)
    is_free[free - base :, list(voices)] = True
    for start, end, _, voice in lines.tolist():
        is_free[max(0, start - base) : end - base, voice] = False
        if start >= onsets_until:  # from here on all is given
            is_free[start - base :, voice] = False
    may = np.zeros((steps, count, tokenizer.vocab_size), dtype=bool)
    np.put_along_axis(may, given[..., None], True, axis=2)
    may[is_free] = False
    may[is_free, hold] = ~just_ended[is_free]  # a given note is not prolonged
    may[is_free, rest] = True
    is_early = (np.arange(steps) < onsets_until - base)[:, None]
    for voice in voices:
        cells = np.flatnonzero((is_free & is_early)[:, voice])
        pitches = [tokenizer.vocabulary.ids("pitch")[p] for p in compass[voice]]
        may[cells[:, None], voice, pitches] = True
    may = may.reshape(-1, tokenizer.vocab_size)
    if may_end:
        may = np.concatenate([may, [np.arange(tokenizer.vocab_size) == EOS]])
    place = (free - base) * count
    prefix = np.concatenate([_head(tokenizer, grid), given.ravel()[:place]])
    sheet = sheet_of(tokenizer, may[place:], prefix)
    return Table(base, free, prefix, sheet, is_free)


def new_notes(tokenizer, table, ids, steps):
    """The notes that stand in the free cells.

    Args:
        ids: int array (T,), what was written along ``table.sheet``.
        steps: int, how many steps of it to keep: what sounds on is cut there.

    Returns:
        array of dtype `LINE`, by voice and start.
    """
    count = table.is_free.shape[1]
    cells = np.asarray(ids)[: steps * count].reshape(-1, count)
    is_free = table.is_free[table.first - table.base :][: len(cells)]
    found = []
    for voice in range(count):
        changes = np.flatnonzero(cells[:, voice] != tokenizer.hold)
        ends = np.append(changes[1:], len(cells))
        struck = tokenizer.is_note(cells[changes, voice]) & is_free[changes, voice]
        line = np.zeros(int(struck.sum()), dtype=LINE)
        line["start"] = changes[struck] + table.first
        line["end"] = ends[struck] + table.first
        line["pitch"] = tokenizer.pitches(cells[changes[struck], voice])
        line["voice"] = voice
        found.append(line)
    return np.concatenate(found)


def usual_velocity(score, track, ticks, grid):
    """How loud new notes of a track are: as its own on the same place of the bar.

    Args:
        ticks: int array (N,), where they start.

    Returns:
        int array (N,): the median velocity of the notes on that step of the bar, of
        all where there is none.
    """
    own = score.track_notes(track)
    own = own if len(own) else score.notes
    quarter = score.ticks_per_quarter
    place = to_steps(own["start"] - grid.origin, quarter) % grid.bar
    asked = to_steps(np.asarray(ticks) - grid.origin, quarter) % grid.bar
    overall = float(np.median(own["velocity"]))
    by_place = {
        p: float(np.median(own["velocity"][place == p])) for p in np.unique(place)
    }
    return np.rint([by_place.get(p, overall) for p in asked]).astype(np.int64)


def ticks_in_bar(score, metre):
    """Ticks in a bar of a metre, at least 1."""
    return max(1, round(score.ticks_per_quarter * 4 * metre.beats / metre.beat_unit))


def metre_at(score, tick):
    """The metre in force at a tick, and 4/4 from tick 0 where none is named."""
    metre = replace(score.metre, tick=0, beats=4, beat_unit=4)
    for change in score.metres:
        if change.tick <= tick:
            metre = change
    return metre


def metre_onward(score):
    """The metre in which a score goes on, and whether that is another than its last.

    A last bar cut short, to make up for a pickup, is in some files told as a metre of
    its own; the one before goes on, its bars counted through.
    """
    last = metre_at(score, score.end_tick)
    if last.tick and score.end_tick - last.tick <= ticks_in_bar(score, last):
        before = metre_at(score, last.tick - 1)
        return before, (before.beats, before.beat_unit) != (last.beats, last.beat_unit)
    return last, False


def _base(step, grid):
    """The step from which tokens are told: as their encoders do, without empty bars."""
    base = step // grid.bar * grid.bar
    return base + (step - base) // LONGEST_OPENING_REST * LONGEST_OPENING_REST


def _head(tokenizer, grid):
    return np.array([BOS, tokenizer.metre_id(grid.name)], dtype=np.int32)


def _laid_out(tokenizer, lines, base, until):
    """Lines as ids (steps, voices), and where a note has just ended: bool, so too."""
    count = 1 if tokenizer.name == "melody" else len(VOICES)
    ids = np.full((until - base, count), tokenizer.hold, dtype=np.int32)
    ids[0] = tokenizer.rest
    just_ended = np.zeros(ids.shape, dtype=bool)
    for _, end, _, voice in lines.tolist():
        if end < until:
            ids[end - base, voice] = tokenizer.rest
            just_ended[end - base, voice] = True
    first = tokenizer.vocabulary.ids("pitch")[0]
    for start, _, pitch, voice in lines.tolist():
        if start < until:
            ids[start - base, voice] = first + pitch
    return ids, just_ended

"""Four voices on a grid of sixteenths, interleaved: soprano, alto, tenor, bass.

    bos  metre:4/4  pitch:74 pitch:70 pitch:65 pitch:58  hold hold pitch:67 rest  ...  eos

Four tokens a sixteenth, one a voice, always in this order: `pitch` strikes a note,
`rest` ends it, `hold` prolongs whatever there is in that voice, sound or silence. A
note that is repeated is struck again: its pitch stands there twice.

Reference:
    BachBot (Liang, Gotham, Johnson and Shotton, 2017, "Automatic stylistic composition
    of Bach chorales with deep LSTM", ISMIR): voices one after the other, from the
    highest down, a sixteenth at a time. We depart from it: each step has four tokens, so
    that none is needed between steps; a tied note is `hold`, as in DeepBach (Hadjeres et
    al., 2017, https://arxiv.org/abs/1612.01010), not its pitch and a tie; fermatas are
    not told; a token after BOS names the metre; any score is taken, none is transposed.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.tokenizers.melody import (
    LONGEST_OPENING_REST,
    METRES,
    steps_in_bar,
)
from data_pipelines.tokenizers.sixteenths import (
    STEPS_PER_QUARTER,
    TICKS_PER_STEP,
    milliseconds_off,
    to_steps,
)
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    EventRange,
    Vocabulary,
    ids_before_end,
)

VOICES = ("Soprano", "Alto", "Tenor", "Bass")
BASS = len(VOICES) - 1
# A note on the grid: its row in the score, its steps, its end before it was cut.
COLUMNS = ("note", "start", "end", "full_end", "pitch", "voice")
PLACED = np.dtype([(name, np.int64) for name in COLUMNS])


@dataclass(frozen=True)
class ChoraleCost(Cost):
    """What reducing a score to four voices on the grid left behind.

    ``reason`` says how the voices were told apart; ``lost`` counts drums and all that is
    no voice, inner notes of chords of more than four, and of a track that is a voice all
    but one note a step; ``empty_bars`` of silence before the first note were left out.
    """

    reason: str = ""
    empty_bars: int = 0


class ChoraleTokenizer:
    """Score <-> token ids of four voices on a grid of sixteenths.

    Example:
    >>> tokenizer = ChoraleTokenizer()
    >>> score = Score(notes_array([0, 0, 120], [240, 120, 120], [72, 64, 65]), 480)
    >>> ids = tokenizer.encode(score)
    >>> " ".join(tokenizer.vocabulary.decode(i).kind for i in ids)
    'bos metre pitch pitch rest rest hold pitch hold hold eos'
    """

    name = "chorale"
    takes = "score"

    def __init__(self):
        metres = EventRange("metre", 0, len(METRES) - 1)
        pitches = EventRange("pitch", 0, 127)
        self.vocabulary = Vocabulary(
            [metres, pitches, EventRange("hold"), EventRange("rest")]
        )
        self.vocab_size = self.vocabulary.vocab_size
        self._metre = self.vocabulary.ids("metre")[0]
        self._pitch = self.vocabulary.ids("pitch")[0]
        self.hold = self.vocabulary.ids("hold")[0]
        self.rest = self.vocabulary.ids("rest")[0]
        self.grammar = self.grammar_for(LONGEST_OPENING_REST)

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec; it has no settings."""
        return cls()

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "steps_per_quarter": STEPS_PER_QUARTER,
            "voices": list(VOICES),
            "metres": list(METRES),
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, score):
        """The voices of a score as token ids, BOS and EOS included.

        Args:
            score: `Score`. How its notes become four voices: see `part_voices`.

        Returns:
            int32 array (3 + 4 * steps,).

        Raises:
            ValueError: if no track holds a pitched note.
        """
        return self.encode_measured(score)[0]

    def encode_measured(self, score):
        """As `encode`, with the `ChoraleCost` of it beside the ids."""
        voices, reason = part_voices(score)
        steps_per_bar = steps_in_bar(score.metre)
        first = int(voices["start"].min())
        empty_bars = first // steps_per_bar
        shift = empty_bars * steps_per_bar
        shift += (first - shift) // LONGEST_OPENING_REST * LONGEST_OPENING_REST
        start, end = voices["start"] - shift, voices["end"] - shift

        body = np.full((end.max() + 1, len(VOICES)), self.hold, dtype=np.int32)
        body[end, voices["voice"]] = self.rest
        body[0] = self.rest
        body[start, voices["voice"]] = self._pitch + voices["pitch"]
        metre = str(score.metre) if score.metres else None
        head = [BOS, self._metre + (METRES.index(metre) if metre in METRES else 0)]
        ids = np.concatenate([head, body[:-1].ravel(), [EOS]]).astype(np.int32)

        notes = score.notes[voices["note"]]
        off = milliseconds_off(score, notes["start"], voices["start"])
        ends = notes["start"].astype(np.int64) + notes["duration"]
        end_off = milliseconds_off(score, ends, voices["end"])
        cost = ChoraleCost(
            notes=len(score),
            lost=len(score) - len(notes),
            onset_error_ms=float(off.mean()),
            worst_onset_error_ms=float(off.max()),
            duration_error_ms=float(end_off.mean()),
            shortened=int((voices["end"] < voices["full_end"]).sum()),
            reason=reason,
            empty_bars=empty_bars,
        )
        return ids, cost

    def decode(self, ids, *, qpm=120.0, program=0, velocity=80):
        """The score that some ids stand for. Any ids decode; odd ones are silence.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it. A last
                step that breaks off is held in the voices that it does not reach.
            qpm: float, quarter notes a minute.
            program: int in 0..127, the General MIDI instrument of all voices.
            velocity: int in 1..127.

        Returns:
            `Score` with tracks Soprano, Alto, Tenor and Bass, on a grid of 120 ticks.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = ids_before_end(ids, self.vocab_size)
        in_metre = (ids >= self._metre) & (ids < self._pitch)
        named = ids[in_metre]
        body = ids[ids >= self._pitch]
        body = np.append(body, np.full(-len(body) % len(VOICES), self.hold))
        steps = len(body) // len(VOICES)
        lines = body.reshape(steps, len(VOICES)).T.ravel()  # one voice after the other

        changes = lines != self.hold
        changes[:: max(1, steps)] = True  # a voice begins anew, whatever sounded before
        changes = np.flatnonzero(changes)
        lengths = np.diff(changes, append=len(lines))
        struck = self.is_note(lines[changes])
        voice, start = np.divmod(changes[struck], max(1, steps))
        start, length = start * TICKS_PER_STEP, lengths[struck] * TICKS_PER_STEP
        pitch = lines[changes[struck]] - self._pitch
        metre = METRES[named[0] - self._metre] if len(named) else None
        return Score(
            notes_array(start, length, pitch, velocity, voice),
            ticks_per_quarter=TICKS_PER_STEP * STEPS_PER_QUARTER,
            tracks=tuple(Track(name, program) for name in VOICES),
            tempos=(Tempo(0, float(qpm)),),
            metres=(Metre(0, *map(int, metre.split("/"))),) if metre else (),
        )

    def metre_id(self, metre):
        """The token that names a metre, for example ``"6/8"``; None is "no metre named".

        Raises:
            ValueError: if the vocabulary lacks it.
        """
        if metre not in METRES:
            allowed = ", ".join(m for m in METRES if m)
            raise ValueError(f"`metre` must be one of {allowed}. Received: {metre!r}")
        return self._metre + METRES.index(metre)

    def metre_name(self, ids):
        """The metre that encoded ids name after BOS; None where they name none."""
        return METRES[int(ids[1]) - self._metre]

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same music, `semitones` higher; pitches stay in 0..127.

        Voices on a grid have neither tempo nor loudness to change.
        """
        ids = np.asarray(ids)
        pitches = np.clip(ids + semitones, self._pitch, self._pitch + 127)
        return np.where(self.is_note(ids), pitches, ids)

    def is_note(self, ids):
        """Which ids strike a note: the denominator of nats per note."""
        ids = np.asarray(ids)
        return (ids >= self._pitch) & (ids < self._pitch + 128)

    def pitches(self, ids):
        """The pitches (0..127) that the ids strike: step by step, from the top down."""
        ids = np.asarray(ids)
        return ids[self.is_note(ids)] - self._pitch

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def grammar_for(self, longest_opening_rest):
        """The `Grammar` in which a note sounds after so many steps at the latest.

        A stream that it accepts, up to an EOS, is what `encode` makes of its music, but
        for silence at either end: no voice rests that rests already.
        """
        numbers = {"metre": 0, "end": 1}
        waiting = [start := (0, 0, 0, False)]
        metres = list(self.vocabulary.ids("metre"))
        arrows = [("metre", metres, start), ("end", PAD, "end")]
        for state in waiting:  # grows while it is walked
            numbers[state] = len(numbers)
            for ids, to in self._moves(*state, longest_opening_rest):
                arrows.append((state, ids, to))
                if to not in numbers and to not in waiting:
                    waiting.append(to)
        allowed = np.zeros((len(numbers), self.vocab_size), dtype=bool)
        following = np.zeros((len(numbers), self.vocab_size), dtype=np.int32)
        for state, ids, to in arrows:
            allowed[numbers[state], ids] = True
            following[numbers[state], ids] = numbers[to]
        return Grammar(allowed, following, numbers["metre"])

    def _moves(self, step, voice, sounding, heard, longest_opening_rest):
        """What may come where, and the state after it: (ids, state) pairs.

        Args:
            step: int, 0 in the first step; then 1, counted on while there is silence.
            voice: int, whose turn it is.
            sounding: int, a bit for each voice that sounds.
            heard: bool, whether a note has been struck.
            longest_opening_rest: int, after how many steps one must have been.
        """
        bit = 1 << voice

        def then(sounding, heard):
            if voice < BASS:
                return (min(step, 1) if heard else step, voice + 1, sounding, heard)
            return (1 if heard else step + 1, 0, sounding, heard)

        yield list(self.vocabulary.ids("pitch")), then(sounding | bit, True)
        if heard or voice < BASS or step < longest_opening_rest:
            yield self.hold if step else self.rest, then(sounding, heard)
        if sounding & bit:
            yield self.rest, then(sounding & ~bit, heard)
        if heard and voice == 0:
            yield EOS, "end"


def part_voices(score):
    """Give the notes of a score to four voices, to each one note at a time.

    Tracks named Soprano, Alto, Tenor and Bass are those voices; where all four are, what
    plays along is lost. Otherwise four pitched tracks, or fewer if none of them ever has
    two notes at a time, are voices by their mean pitch, from the top down. All else is
    taken for chords, and its notes are parted one by one: see `_parted`.

    Returns:
        (array of dtype `PLACED`, str): the notes kept, and how they were told apart.

    Raises:
        ValueError: if no track holds a pitched note.
    """
    pitched = np.flatnonzero(~score.is_drum_note())
    if not len(pitched):
        why = "drums only" if len(score) else "empty"
        raise ValueError(f"no pitched notes: {why}")
    notes, tick = score.notes[pitched], score.ticks_per_quarter
    start = notes["start"].astype(np.int64)
    placed = np.zeros(len(notes), dtype=PLACED)
    placed["note"], placed["pitch"] = pitched, notes["pitch"]
    placed["start"] = to_steps(start, tick)
    ends = to_steps(start + notes["duration"], tick)
    placed["end"] = placed["full_end"] = np.maximum(ends, placed["start"] + 1)

    tracks, line = np.unique(notes["track"], return_inverse=True)
    names = [(score.tracks[t].name.split() or [""])[0].capitalize() for t in tracks]
    sung = [name for name in names if name in VOICES]
    placed["voice"] = line
    if len(set(sung)) == len(sung) and len(sung) in (len(names), len(VOICES)):
        order = [VOICES.index(name) if name in VOICES else -1 for name in names]
        reason = "the tracks' names"
    elif len(tracks) == 4 or (len(tracks) < 4 and _are_single_lines(placed)):
        means = np.bincount(line, placed["pitch"]) / np.bincount(line)
        order = np.argsort(np.argsort(-means, kind="stable"))
        reason = "the tracks' mean pitch"
    else:
        return _parted(placed), "chords, note by note"
    placed["voice"] = np.array(order)[line]
    off_grid = np.abs(start * STEPS_PER_QUARTER - placed["start"] * tick)
    sings = placed["voice"] >= 0
    return _one_at_a_time(placed[sings], off_grid[sings]), reason


def _are_single_lines(placed):
    placed = placed[np.lexsort((placed["start"], placed["voice"]))]
    same = placed["voice"][1:] == placed["voice"][:-1]
    return not (same & (placed["end"][:-1] > placed["start"][1:])).any()


def _one_at_a_time(placed, off_grid):
    """One note a step in each voice: the nearest, of these the highest (bass: lowest)."""
    outer = np.where(placed["voice"] == BASS, placed["pitch"], -placed["pitch"])
    order = np.lexsort((outer, off_grid, placed["start"], placed["voice"]))
    placed = placed[order]
    changes = np.stack([np.diff(placed[n], prepend=-1) for n in ("voice", "start")])
    placed = placed[changes.any(axis=0)]
    same = placed["voice"][1:] == placed["voice"][:-1]
    following = np.where(same, placed["start"][1:], placed["end"][:-1])
    placed["end"][:-1] = np.minimum(placed["end"][:-1], following)
    return placed


def _parted(placed):
    """Voices of chords, one onset after the other.

    Of more than four notes at a time the three highest and the lowest are kept: an inner
    one is lost, or cut where it sounded already. A note stays in the voice that it was
    given. New ones go, the higher to the higher voice, where they cross no note that
    sounds and are nearest to what the voices sang last; a voice that has not sung yet is
    used only where more notes sound at a time than ever before.
    """
    placed = placed[np.lexsort((placed["end"], -placed["pitch"], placed["start"]))]
    edges = np.flatnonzero(np.diff(placed["start"], prepend=-1))
    starts, ends, pitches = (placed[n].tolist() for n in ("start", "end", "pitch"))
    voices = [-1] * len(placed)
    held, sang = {}, []  # voice -> the row that sounds in it; the last pitch of each
    for low, high in itertools.pairwise([*edges.tolist(), len(placed)]):
        held = {v: row for v, row in held.items() if ends[row] > starts[low]}
        kept = _outer_four([*held.values(), *range(low, high)], pitches)
        for voice, row in list(held.items()):
            if row not in kept:
                ends[row] = starts[low]
                del held[voice]
        new = [row for row in range(low, high) if row in kept]
        sang += [0] * (len(kept) - len(sang))
        free = [voice for voice in range(len(sang)) if voice not in held]
        chosen = min(
            itertools.combinations(free, len(new)),
            key=lambda chosen: _strain(chosen, new, held, sang, pitches),
        )
        for voice, row in zip(chosen, new, strict=True):
            voices[row] = voice
            held[voice], sang[voice] = row, pitches[row]
    placed["voice"], placed["end"] = voices, ends
    return placed[placed["voice"] >= 0]


def _outer_four(rows, pitches):
    """Of rows that sound at once at most four: the three highest, and the lowest."""
    if len(rows) <= len(VOICES):
        return rows
    last_of = {pitches[row]: row for row in rows}  # of a doubled pitch, the newest
    ranked = [last_of[pitch] for pitch in sorted(last_of, reverse=True)]
    return ranked[:BASS] + ranked[BASS:][-1:]


def _strain(chosen, new, held, sang, pitches):
    """How badly new rows fit the chosen voices: crossings first, then semitones."""
    crossings = distance = 0
    for voice, row in zip(chosen, new, strict=True):
        distance += abs(pitches[row] - sang[voice])
        for other, sounding in held.items():
            crossings += (voice - other) * (pitches[row] - pitches[sounding]) > 0
    return crossings, distance

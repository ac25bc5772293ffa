"""Several instruments, bar by bar: where in the bar, then what, how hard and how long.

    bos  bar metre:5  position:0 tempo:28 program:0 pitch:60 velocity:20 duration:12
    position:24 drum:36 velocity:26 duration:3  bar  position:0 program:33 ...  eos

A quarter has 12 positions, so sixteenths and triplets are both exact. A note is a
`pitch` (or a `drum`), a `velocity` and a `duration`; it is played by the `program` last
named and starts at the `position` last reached. Metre and tempo are told where they
change: a metre after its `bar`, a tempo where the next note starts.

Reference:
    Huang and Yang, 2020, Pop Music Transformer, section 3, https://arxiv.org/abs/2002.00212;
    programs and metres as in FIGARO (von Rütte et al., 2022,
    https://arxiv.org/abs/2201.10936). We depart from them in these points: no chords;
    12 positions a quarter, not 4; one tempo token of 48, not class and value, told at
    notes and not at each beat; a program is named where it changes, and again in each
    bar, so that a window cut from a piece tells who plays; drums have pitches of their
    own and need no program; velocities decode to the middle of their bin; notes of one
    place stand from the lowest program and pitch up; at most `MOST_EMPTY_BARS` in a row
    are empty; a piece ends in EOS after its last note. Pedals are not heard: tokenize
    ``score.sustained()`` to put them into the lengths.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from data_pipelines.score import (
    LONGEST_SECONDS,
    Score,
    Tempo,
    Track,
    notes_array,
)
from data_pipelines.tokenizers.bars import (
    METRES,
    STEPS_IN_BAR,
    STEPS_PER_QUARTER,
    in_bars,
    laid_out,
    last_told,
    metres_named,
    spans_of,
    without_long_silence,
)
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.remi_grammar import remi_grammar
from data_pipelines.tokenizers.remi_grid import (
    BIN_WIDTH,
    BINS_PER_OCTAVE,
    DRUMS,
    DURATIONS,
    TEMPOS,
    VELOCITY_BINS,
    differs_from_last,
    notes_on_grid,
    tempo_changes,
    unpacked,
)
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    UNK,
    EventRange,
    Vocabulary,
    ids_before_end,
)

TICKS_PER_STEP = 40
POSITIONS = int(STEPS_IN_BAR.max())
MOST_BARS = 49_900  # of a decoded score, and its last notes end within 50,000


@dataclass(frozen=True)
class RemiCost(Cost):
    """What grid, bins and bars left behind.

    ``lost`` are all but the longest of equal notes (program, pitch and place in common).
    ``cut_bars`` empty bars were left out of long silences; errors are measured as if
    they stood there. ``moved_metres`` of the metres are told as another of the same
    length or where the next bar begins, or begin after a bar cut short.
    ``tempo_error_percent`` is the mean distance of tempos where notes start; the times
    above do not contain it.
    """

    cut_bars: int = 0
    moved_metres: int = 0
    tempo_error_percent: float = 0.0


class RemiTokenizer:
    """Score <-> token ids of all its tracks, in bars of 12 positions a quarter.

    Example:
    >>> tokenizer = RemiTokenizer()
    >>> score = Score(notes_array([0, 480], [480, 240], [60, 64]), 480)
    >>> ids = tokenizer.encode(score)
    >>> " ".join(str(tokenizer.vocabulary.decode(i)) for i in ids[1:8])
    'bar:0 metre:0 position:0 program:0 pitch:60 velocity:20 duration:12'
    """

    name = "remi"
    takes = "score"

    def __init__(self):
        self.vocabulary = Vocabulary(
            [
                EventRange("bar"),
                EventRange("metre", 0, len(METRES) - 1),
                EventRange("position", 0, POSITIONS - 1),
                EventRange("tempo", 0, len(TEMPOS) - 1),
                EventRange("program", 0, 127),
                EventRange("pitch", 0, 127),
                EventRange("drum", 0, 127),
                EventRange("velocity", 1, VELOCITY_BINS),
                EventRange("duration", 1, len(DURATIONS)),
            ]
        )
        self.vocab_size = self.vocabulary.vocab_size
        first = {r.kind: self.vocabulary.ids(r.kind)[0] for r in self.vocabulary.ranges}
        self._bar, self._metre, self._position = map(
            first.get, ("bar", "metre", "position")
        )
        self._tempo, self._program = first["tempo"], first["program"]
        self._pitch, self._drum = first["pitch"], first["drum"]
        self._velocity, self._duration = first["velocity"], first["duration"]

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec; it has no settings."""
        return cls()

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "steps_per_quarter": STEPS_PER_QUARTER,
            "metres": list(METRES),
            "durations": DURATIONS.tolist(),
            "tempos": TEMPOS.tolist(),
            "velocity_bin_width": BIN_WIDTH,
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, score):
        """All the notes of a score as token ids, BOS and EOS included.

        Tracks of one program become one. A metre that is not listed is laid in bars of
        one as long, else of one that goes into it evenly, else of 4/4. A metre that
        changes within a bar ends it there if a listed metre has the length of what is
        left, else it waits for the next bar line. Notes last at most 32 quarters.

        Args:
            score: `Score`. Its pedals are passed over.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if it holds no note.
        """
        return self.encode_measured(score)[0]

    def encode_measured(self, score):
        """As `encode`, with the `RemiCost` of it beside the ids."""
        if not len(score):
            raise ValueError("no notes: empty")
        rows, cost = notes_on_grid(score)
        step, voice, pitch, duration, velocity = unpacked(rows)
        spans, moved_metres = spans_of(score)
        bar, position, metre_bar, metre = in_bars(step, spans)
        bar, metre_bar, cut_bars = without_long_silence(bar, metre_bar)
        metre_bar, metre = last_told(metre_bar, metre, bar[-1])

        is_onset = differs_from_last(step)
        onsets = np.flatnonzero(is_onset)
        tempo_note, tempo, tempo_error = tempo_changes(score, step, onsets)
        has_tempo = np.zeros(len(rows), dtype=bool)
        has_tempo[tempo_note] = True
        tonal = np.flatnonzero(voice != DRUMS)
        player = bar[tonal] * DRUMS + voice[tonal]
        named = tonal[differs_from_last(player)]
        has_program = np.zeros(len(rows), dtype=bool)
        has_program[named] = True

        # What stands before the three tokens of each note, and where each note ends.
        bars = np.concatenate([bar[:1] + 1, bar[1:] - bar[:-1]])
        counts = bars + is_onset + has_tempo + has_program + 3
        owner = np.searchsorted(bar, metre_bar)  # the note whose bars hold the metre
        np.add.at(counts, owner, 1)
        end = np.cumsum(counts) + 1  # BOS stands before

        ids = np.full(end[-1] + 1, self._bar, dtype=np.int32)
        ids[0], ids[-1] = BOS, EOS
        ids[end - 1] = self._duration + duration
        ids[end - 2] = self._velocity + velocity
        ids[end - 3] = np.where(voice == DRUMS, self._drum, self._pitch) + pitch
        ids[end[named] - 4] = self._program + voice[named]
        before = end - 4 - has_program
        ids[before[tempo_note]] = self._tempo + tempo
        ids[(before - has_tempo)[onsets]] = self._position + position[onsets]
        bar_tokens = metre_bar - (bar - bars)[owner]
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        ids[(end - counts)[owner] + bar_tokens + rank] = self._metre + metre
        return ids, RemiCost(
            **cost,
            cut_bars=cut_bars,
            moved_metres=moved_metres,
            tempo_error_percent=tempo_error,
        )

    def decode(self, ids):
        """The score that some ids stand for. Any ids decode.

        A note is a `pitch` or `drum` followed at once by a `velocity` and a `duration`;
        a metre counts right after its `bar`, and "none" before all others alone; what
        stands otherwise is passed over, as is a position beyond its bar's end and any
        bar after `MOST_EMPTY_BARS` empty ones. Before the first bar, position and
        program, these are bar 0, position 0 and program 0. What would end after two
        hours, or begin after 49,900 bars, is left out.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it.

        Returns:
            `Score` with a track for each program, by number, and one for the drums
            behind them; a quarter has 480 ticks. Without a tempo token none is named.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        body = self._body(ids)
        is_bar, is_position = body == self._bar, self._is("position", body)
        is_drum = self._is("drum", body)
        note = np.flatnonzero(
            (self._is("pitch", body) | is_drum)[:-2]
            & self._is("velocity", body)[1:-1]
            & self._is("duration", body)[2:]
        )
        bar = np.maximum(np.cumsum(is_bar) - 1, 0)
        note = note[bar[note] < MOST_BARS]
        if not len(note):
            return Score(notes_array([], [], []), TICKS_PER_STEP * STEPS_PER_QUARTER)
        named = np.flatnonzero(self._is("metre", body)[1:] & is_bar[:-1]) + 1
        named = named[(body[named] > self._metre) | (bar[named] == 0)]
        note_bar, metre_bar, bar, _ = without_long_silence(
            bar[note], bar[named], np.minimum(bar, bar[note[-1]])
        )
        metre_bar, metre = last_told(metre_bar, body[named] - self._metre, note_bar[-1])
        first_step, steps = laid_out(metre_bar, metre, note_bar[-1] + 1)

        in_bar = is_position & (body - self._position < steps[bar])
        place = _latest(is_bar | in_bar)
        position = np.where(in_bar[place], body[place] - self._position, 0)[note]
        program = self._value_at("program", body, 0)[note]
        start = (first_step[note_bar] + position) * TICKS_PER_STEP
        voice = np.where(is_drum[note], DRUMS, program)
        voices, track = np.unique(voice, return_inverse=True)
        strike = np.where(is_drum, self._drum, self._pitch)
        score = Score(
            notes_array(
                start,
                DURATIONS[body[note + 2] - self._duration] * TICKS_PER_STEP,
                (body - strike)[note],
                _middle_of(body[note + 1] - self._velocity),
                track,
            ),
            ticks_per_quarter=TICKS_PER_STEP * STEPS_PER_QUARTER,
            tracks=tuple(
                Track("Drums", 0, True) if v == DRUMS else Track("", v)
                for v in voices.tolist()
            ),
            tempos=_tempos(start, self._value_at("tempo", body, -1)[note]),
            metres=metres_named(first_step[metre_bar] * TICKS_PER_STEP, metre),
        )
        ends = score.seconds_at(score.notes["start"] + score.notes["duration"])
        return replace(score, notes=score.notes[ends <= LONGEST_SECONDS])

    def _body(self, ids):
        """The events among ids, up to EOS: int64 array."""
        ids = ids_before_end(ids, self.vocab_size)
        return ids[ids > UNK]

    def _is(self, kind, ids):
        block = self.vocabulary.ids(kind)
        return (ids >= block.start) & (ids < block.stop)

    def _value_at(self, kind, body, default):
        """The value of this kind that was named last, for each place of the body."""
        is_kind = self._is(kind, body)
        place = _latest(is_kind)
        return np.where(
            is_kind[place], body[place] - self.vocabulary.ids(kind)[0], default
        )

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same music higher, slower or louder, token for token.

        Pitches stay in 0..127 and drums as they are. A tempo moves by whole bins, of
        which twelve double it; where none is named, there is none to change.

        Args:
            ids: int array of any shape.
            semitones: int.
            stretch: float, 1.05 is 5 % slower.
            loudness: float, what each velocity is multiplied by.

        Returns:
            int array of the same shape.
        """
        ids = np.asarray(ids)
        to = np.arange(self.vocab_size, dtype=ids.dtype)
        pitch, tempo, velocity = np.arange(128), np.arange(len(TEMPOS)), np.arange(32)
        to[self._pitch + pitch] = self._pitch + np.clip(pitch + semitones, 0, 127)
        slower = np.rint(BINS_PER_OCTAVE * np.log2(stretch)).astype(int)
        to[self._tempo + tempo] = self._tempo + np.clip(
            tempo - slower, 0, len(TEMPOS) - 1
        )
        louder = np.clip(np.rint(_middle_of(velocity) * loudness), 1, 127).astype(int)
        to[self._velocity + velocity] = self._velocity + (louder - 1) // BIN_WIDTH
        return to[ids]

    def is_note(self, ids):
        """Which ids strike a note, drums included: the denominator of nats per note."""
        ids = np.asarray(ids)
        return (ids >= self._pitch) & (ids < self._velocity)

    def pitches(self, ids):
        """The pitches (0..127) that the ids strike, in order, without the drums."""
        ids = np.asarray(ids)
        return ids[self._is("pitch", ids)] - self._pitch

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    @cached_property
    def grammar(self):
        """The `Grammar` of `remi_grammar`, built when first asked for: encoding needs none."""
        return remi_grammar(self.vocabulary)


def _tempos(start, bins):
    """The `Tempo`s of notes in the order of tokens; the first note's is the piece's."""
    told = np.flatnonzero(differs_from_last(bins) & (bins >= 0))
    ticks = np.where(told == 0, 0, start[told]).tolist()
    by_tick = dict(zip(ticks, TEMPOS[bins[told]].tolist(), strict=True))
    return tuple(Tempo(tick, by_tick[tick]) for tick in sorted(by_tick))


def _latest(is_marked):
    """For each place the last marked one up to it; 0 where there is none."""
    return np.maximum.accumulate(np.where(is_marked, np.arange(len(is_marked)), 0))


def _middle_of(bins):
    return BIN_WIDTH * bins + BIN_WIDTH // 2

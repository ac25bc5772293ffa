"""One voice on a grid of sixteenths: pitch, hold, rest.

    bos  metre:6/8  pitch:67 hold  pitch:69 hold  pitch:71 hold  rest  ...  eos

One token a sixteenth: `pitch` strikes a note, `rest` ends it, `hold` prolongs
whatever there is, sound or silence.

Reference:
    Magenta's melody_rnn (Waite et al., 2016,
    https://magenta.tensorflow.org/2016/07/15/lookback-rnn-attention-rnn). We depart
    from it in four points: all 128 pitches have an id; one token after BOS names the
    metre; a piece ends in EOS where its last note ends, not padded to the bar; of a
    chord the top note is kept, and a note is cut where the next one starts, instead of
    either being refused.
"""

import itertools
import re
from dataclasses import dataclass

import numpy as np

from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
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

METRES = (None, "2/4", "3/4", "4/4", "2/2", "3/2", "6/4", "3/8", "6/8", "9/8", "12/8")
LONGEST_OPENING_REST = 32  # steps: so that no stream is silence alone
MELODY_NAMES = (
    "melody", "melodie", "vocal", "voice", "voz", "lead", "solo", "soprano", "theme",
    "tune", "sing", "chant", "lyric",
)  # fmt: skip
BASS_PROGRAMS = range(32, 40)


@dataclass(frozen=True)
class MelodyCost(Cost):
    """What reducing a score to one voice on the grid left behind.

    ``track`` is the one taken, ``reason`` says why; ``lost`` of its notes gave way to
    another note of the same step (a chord's, or a quick one's); ``empty_bars`` whole
    bars of silence were left out before the first note.
    """

    track: int = 0
    reason: str = ""
    empty_bars: int = 0


class MelodyTokenizer:
    """Score <-> token ids of one melody on a grid of sixteenths.

    Example:
    >>> tokenizer = MelodyTokenizer()
    >>> score = Score(notes_array([0, 480], [240, 480], [60, 64]), 480)
    >>> ids = tokenizer.encode(score)
    >>> " ".join(tokenizer.vocabulary.decode(i).kind for i in ids)
    'bos metre pitch hold rest hold pitch hold hold hold eos'
    """

    name = "melody"
    takes = "score"

    def __init__(self):
        self.vocabulary = Vocabulary(
            [
                EventRange("metre", 0, len(METRES) - 1),
                EventRange("pitch", 0, 127),
                EventRange("hold"),
                EventRange("rest"),
            ]
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
            "metres": list(METRES),
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, score):
        """The melody of a score as token ids, BOS and EOS included.

        Args:
            score: `Score`.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if no track holds a pitched note.
        """
        return self.encode_measured(score)[0]

    def encode_measured(self, score):
        """As `encode`, with the `MelodyCost` of it beside the ids."""
        track, reason = pick_melody(score)
        notes = score.track_notes(track)
        tick = score.ticks_per_quarter
        start = to_steps(notes["start"], tick)
        end = np.maximum(to_steps(notes["start"] + notes["duration"], tick), start + 1)
        off_grid = np.abs(notes["start"] * STEPS_PER_QUARTER - start * tick)

        # One note a step: the one nearest to it, and of these the highest.
        order = np.lexsort((-notes["pitch"].astype(int), off_grid, start))
        first = np.r_[True, np.diff(start[order]) > 0]
        kept = order[first]
        start, end, pitch = start[kept], end[kept], notes["pitch"][kept].astype(int)
        shortened = int((end[:-1] > start[1:]).sum())
        end[:-1] = np.minimum(end[:-1], start[1:])

        # What decoding will say: a metre that has no token is none, and bars are 4/4.
        named = bool(score.metres) and str(score.metre) in METRES
        metre = str(score.metre) if named else None
        steps_per_bar = steps_in_bar(metre or "4/4")
        empty_bars = int(start[0] // steps_per_bar)
        shift = empty_bars * steps_per_bar
        shift += (start[0] - shift) // LONGEST_OPENING_REST * LONGEST_OPENING_REST
        start, end = start - shift, end - shift

        body = np.full(end[-1], self.hold, dtype=np.int32)
        silent_from = end[:-1][end[:-1] < start[1:]]
        body[silent_from] = self.rest
        if start[0] > 0:
            body[0] = self.rest
        body[start] = self._pitch + pitch
        head = [BOS, self._metre + METRES.index(metre)]
        ids = np.concatenate([head, body, [EOS]]).astype(np.int32)

        error = milliseconds_off(score, notes["start"][kept], start + shift)
        cost = MelodyCost(
            track=track,
            reason=reason,
            notes=len(notes),
            lost=len(notes) - len(kept),
            shortened=shortened,
            onset_error_ms=float(error.mean()),
            worst_onset_error_ms=float(error.max()),
            empty_bars=empty_bars,
        )
        return ids, cost

    def decode(self, ids, *, qpm=120.0, program=0, velocity=80):
        """The score that some ids stand for. Any ids decode; odd ones are silence.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it.
            qpm: float, quarter notes a minute.
            program: int in 0..127, the General MIDI instrument.
            velocity: int in 1..127.

        Returns:
            `Score` with one track, on a grid of 120 ticks.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = ids_before_end(ids, self.vocab_size)
        in_metre = (ids >= self._metre) & (ids < self._metre + len(METRES))
        named = ids[in_metre]
        body = ids[(ids >= self._pitch) & ~in_metre]
        is_pitch = body < self._pitch + 128
        changes = np.flatnonzero(is_pitch | (body == self.rest))
        until = np.r_[changes[1:], len(body)]
        struck = is_pitch[changes] if len(changes) else np.zeros(0, dtype=bool)
        start, end = changes[struck], until[struck]
        return Score(
            notes_array(
                start * TICKS_PER_STEP,
                (end - start) * TICKS_PER_STEP,
                body[start] - self._pitch,
                velocity,
            ),
            ticks_per_quarter=TICKS_PER_STEP * STEPS_PER_QUARTER,
            tracks=(Track("Melody", program),),
            tempos=(Tempo(0, float(qpm)),),
            metres=_metres_named(
                METRES[named[0] - self._metre] if len(named) else None
            ),
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

        A melody on a grid has neither tempo nor loudness to change.
        """
        ids = np.asarray(ids)
        is_pitch = self.is_note(ids)
        pitches = np.clip(ids + semitones, self._pitch, self._pitch + 127)
        return np.where(is_pitch, pitches, ids)

    def is_note(self, ids):
        """Which ids strike a note: the denominator of nats per note."""
        ids = np.asarray(ids)
        return (ids >= self._pitch) & (ids < self._pitch + 128)

    def pitches(self, ids):
        """The pitches (0..127) that the ids strike, in order."""
        ids = np.asarray(ids)
        return ids[self.is_note(ids)] - self._pitch

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def grammar_for(self, longest_opening_rest):
        """The `Grammar` in which a note sounds after so many steps at the latest."""
        # States: a metre is due; the first step; n steps of opening rest; a note
        # sounds; a rest within; the end.
        head, first = 0, 1
        opening = [2 + n for n in range(longest_opening_rest)]
        note, rest, end = (opening[-1] + n for n in (1, 2, 3))
        allowed = np.zeros((end + 1, self.vocab_size), dtype=bool)
        following = np.zeros((end + 1, self.vocab_size), dtype=np.int32)
        metres = list(self.vocabulary.ids("metre"))
        pitches = list(self.vocabulary.ids("pitch"))

        def arrow(state, ids, to):
            allowed[state, ids] = True
            following[state, ids] = to

        arrow(head, metres, first)
        for state in (first, *opening, note, rest):
            arrow(state, pitches, note)
        arrow(first, self.rest, opening[0])
        for state, to in itertools.pairwise(opening):
            arrow(state, self.hold, to)
        arrow(note, self.hold, note)
        arrow(note, self.rest, rest)
        arrow(rest, self.hold, rest)
        for state in (note, rest):
            arrow(state, EOS, end)
        arrow(end, PAD, end)
        return Grammar(allowed, following, head)


def pick_melody(score):
    """Which track carries the tune.

    A track named as one wins; else the one that is most of a single line, high and
    busy. Drums never do, a bass only where there is nothing else.

    Returns:
        (int, str): the index of the track, and why it was taken.

    Raises:
        ValueError: if no track holds a pitched note.
    """
    counts = np.bincount(score.notes["track"], minlength=len(score.tracks))
    pitched = [
        index
        for index, track in enumerate(score.tracks)
        if counts[index] and not track.is_drum
    ]
    if not pitched:
        raise ValueError(
            "no pitched notes: " + ("drums only" if len(score) else "empty")
        )
    if len(pitched) == 1:
        return pitched[0], "the only pitched track"
    named = [i for i in pitched if _is_named_melody(score.tracks[i].name)]
    if named:
        best = max(named, key=lambda i: counts[i])
        return best, f"its name, {score.tracks[best].name!r}"
    likeness = {i: _melody_likeness(score, i, counts) for i in pitched}
    best = max(pitched, key=lambda i: likeness[i])
    return best, "the highest single line"


def steps_in_bar(metre):
    """Sixteenths in a bar of a `Metre` or of a name such as ``"6/8"``; at least 1."""
    beats, unit = (
        map(int, metre.split("/"))
        if isinstance(metre, str)
        else (metre.beats, metre.beat_unit)
    )
    return max(1, 4 * STEPS_PER_QUARTER * beats // unit)


def _is_named_melody(name):
    words = re.findall(r"[a-z]+", name.lower())
    if any(word.startswith(("bass", "back", "chord")) for word in words):
        return False
    return any(word.startswith(MELODY_NAMES) for word in words)


def _melody_likeness(score, track, counts):
    notes = score.track_notes(track)
    onsets = len(np.unique(notes["start"]))
    single_line = onsets / len(notes)
    height = np.clip((notes["pitch"].mean() - 36) / 48, 0, 1)
    busy = min(1.0, counts[track] / counts.max() * 2)
    is_bass = score.tracks[track].program in BASS_PROGRAMS
    return single_line + height + 0.5 * busy - is_bass


def _metres_named(metre):
    if metre is None:
        return ()
    beats, unit = map(int, metre.split("/"))
    return (Metre(0, beats, unit),)

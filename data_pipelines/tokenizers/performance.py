"""A piano as it was played, in events a hundredth of a second apart.

    bos  velocity:20 note_on:60 note_on:64  time_shift:48  note_off:60 note_off:64  eos

`time_shift` lets 10 to 1000 ms pass, several of them more; `note_on` and `note_off` move
a key at the moment reached; `velocity` says how hard the keys after it are struck. There
is no bar and no beat: rubato is kept, and metre is not.

Reference:
    Oore, Simon, Dieleman, Eck and Simonyan, 2018, This Time with Feeling: Learning
    Expressive Musical Performance, https://arxiv.org/abs/1808.03715. We depart
    from it in five points: of what happens in one step, keys go up before keys go down,
    each from low to high; a velocity decodes to the middle of its bin; no wait
    is longer than 10 s, and what is longer is cut to that; a piece ends in EOS, after
    its last key went up; the first note is preceded by a velocity.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from data_pipelines.score import LONGEST_SECONDS, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    EventRange,
    Vocabulary,
    ids_before_end,
)

STEPS_PER_SECOND = 100
LONGEST_SHIFT = 100  # steps that one token can let pass
MOST_SHIFTS = 10  # tokens in a row: so that no stream is silence alone
LONGEST_WAIT = MOST_SHIFTS * LONGEST_SHIFT
LAST_STEP = LONGEST_SECONDS * STEPS_PER_SECOND
VELOCITY_BINS, BIN_WIDTH = 32, 4
UNNAMED_BIN = 20  # velocity 78, where a stream strikes before it says how hard
QPM = 120.0
TICKS_PER_QUARTER = 50  # at 120 quarters a minute a tick is a step


@dataclass(frozen=True)
class PerformanceCost(Cost):
    """What the hundredths of a second and the one keyboard left behind.

    ``lost`` are the notes of drums, and of unisons all but one; ``shortened`` those that
    were held when another track struck their key. What the pedal alone let ring may be
    struck again without loss, as on a piano. ``cut_seconds`` were left out of waits
    longer than 10 s; errors are measured as if those seconds had been there before the
    note, but a note that was held through one ends early.
    """

    cut_seconds: float = 0.0


class PerformanceTokenizer:
    """Score <-> token ids of one keyboard, in steps of 10 ms.

    All pitched tracks are played on the one keyboard, with the sustain pedal put into
    the lengths of the notes.

    Example:
    >>> tokenizer = PerformanceTokenizer()
    >>> score = Score(notes_array([0, 480], [480, 240], [60, 64]), 480)
    >>> ids = tokenizer.encode(score)
    >>> " ".join(str(tokenizer.vocabulary.decode(i)) for i in ids[1:5])
    'velocity:20 note_on:60 time_shift:50 note_off:60'
    """

    name = "performance"
    takes = "score"

    def __init__(self):
        self.vocabulary = Vocabulary(
            [
                EventRange("note_on", 0, 127),
                EventRange("note_off", 0, 127),
                EventRange("time_shift", 1, LONGEST_SHIFT),
                EventRange("velocity", 1, VELOCITY_BINS),
            ]
        )
        self.vocab_size = self.vocabulary.vocab_size
        self._on = self.vocabulary.ids("note_on")[0]
        self._off = self.vocabulary.ids("note_off")[0]
        self._shift = self.vocabulary.ids("time_shift")[0]
        self._velocity = self.vocabulary.ids("velocity")[0]
        self.grammar = self._grammar()

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec; it has no settings."""
        return cls()

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "steps_per_second": STEPS_PER_SECOND,
            "velocity_bin_width": BIN_WIDTH,
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, score):
        """The performance of a score as token ids, BOS and EOS included.

        Args:
            score: `Score`. Its pedals are applied.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if it holds no pitched note, or lasts over two hours.
        """
        return self.encode_measured(score)[0]

    def encode_measured(self, score):
        """As `encode`, with the `PerformanceCost` of it beside the ids."""
        seconds, pitch, velocity = _one_keyboard(score)
        start, end = _to_steps(seconds)
        end = np.maximum(end, start + 1)
        follows = np.r_[np.diff(pitch) == 0, False]
        cut = follows & (end > np.roll(start, -1))
        end = np.where(cut, np.roll(start, -1), end)

        begin, until = _without_long_waits(start, end)
        if until.max() > LAST_STEP:
            raise ValueError(
                f"it lasts {until.max() / STEPS_PER_SECOND / 3600:.1f} hours; "
                "a performance lasts at most 2"
            )
        bins = _bin_of(velocity)
        ids = self._laid_out(begin, until, pitch, bins)
        # Where each note stands once the waits cut before it are put back.
        placed = np.stack([start, until + (start - begin)]) / STEPS_PER_SECOND
        error = 1000 * np.abs(placed - seconds)
        cost = PerformanceCost(
            notes=len(score),
            lost=len(score) - len(pitch),
            shortened=int(cut.sum()),
            onset_error_ms=float(error[0].mean()),
            worst_onset_error_ms=float(error[0].max()),
            duration_error_ms=float(error[1].mean()),
            velocity_error=float(np.abs(_middle_of(bins) - velocity).mean()),
            cut_seconds=float((end.max() - until.max()) / STEPS_PER_SECOND),
        )
        return ids, cost

    def _laid_out(self, start, end, pitch, bins):
        """The ids of notes given in steps: each key event with what goes before it."""
        time = np.concatenate([end, start])
        is_on = np.repeat([False, True], len(start))
        key = np.concatenate([self._off + pitch, self._on + pitch])
        order = np.lexsort((np.tile(pitch, 2), is_on, time))
        time, is_on, key = time[order], is_on[order], key[order]

        waits = np.diff(time, prepend=0)
        shifts = -(-waits // LONGEST_SHIFT)  # whole seconds, and a last one of the rest
        bins = np.tile(bins, 2)[order]
        is_new = np.zeros(len(time), dtype=bool)
        is_new[is_on] = np.diff(bins[is_on], prepend=0) != 0
        place = np.cumsum(shifts + is_new + 1) - 1  # where the key event stands

        body = np.full(place[-1] + 1, self._shift + LONGEST_SHIFT - 1)
        body[place] = key
        body[place[is_new] - 1] = self._velocity + bins[is_new] - 1
        waited = shifts > 0
        last = (place - is_new - 1)[waited]
        body[last] = self._shift + (waits[waited] - 1) % LONGEST_SHIFT
        return np.concatenate([[BOS], body, [EOS]]).astype(np.int32)

    def decode(self, ids, *, program=0):
        """The score that some ids stand for. Any ids decode.

        A `note_off` of a silent key is passed over, a `note_on` of a sounding one
        strikes it again. A note lasts at least a step; one that is never ended lasts as
        long as the stream. Of a key struck twice in a step the last strike counts. Waits
        are at most 10 s, and after two hours nothing sounds.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it.
            program: int in 0..127, the General MIDI instrument.

        Returns:
            `Score` with one track, at 120 quarters a minute; a tick is 10 ms.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        body = self._body(ids)
        is_shift = (body >= self._shift) & (body < self._velocity)
        time = np.cumsum(np.where(is_shift, body - self._shift + 1, 0))
        length = time[-1] if len(time) else 0
        named = np.where(body >= self._velocity, np.arange(len(body)), -1)
        named = np.maximum.accumulate(named)  # where the velocity of each token stands
        bins = np.where(named >= 0, body[named] - self._velocity + 1, UNNAMED_BIN)

        keys = np.flatnonzero(body < self._shift)
        pitch = (body[keys] - self._on) % 128
        order = np.argsort(pitch, kind="stable")  # each key's events, one after another
        keys, pitch = keys[order], pitch[order]
        end = np.full(len(keys), length)
        same_key = np.flatnonzero(np.diff(pitch) == 0)
        end[same_key] = time[keys[same_key + 1]]

        is_on = body[keys] < self._off
        start, end, pitch = time[keys[is_on]], end[is_on], pitch[is_on]
        bins = bins[keys[is_on]]
        counts = np.ones(len(start), dtype=bool)
        counts[:-1] = np.any(
            np.diff([pitch, start]), axis=0
        )  # not struck again at once
        start, end = _without_long_waits(
            start[counts], np.maximum(end, start + 1)[counts]
        )
        heard = start < LAST_STEP
        start, end = start[heard], np.minimum(end[heard], LAST_STEP)
        return Score(
            notes_array(
                start,
                end - start,
                pitch[counts][heard],
                _middle_of(bins[counts][heard]),
            ),
            ticks_per_quarter=TICKS_PER_QUARTER,
            tracks=(Track("Piano", program),),
            tempos=(Tempo(0, QPM),),
        )

    def _body(self, ids):
        """The events among ids, up to EOS: int64 array."""
        ids = ids_before_end(ids, self.vocab_size)
        return ids[ids >= self._on]

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same music higher, slower or louder, token for token.

        Pitches stay in 0..127 and velocities in 1..127. Each `time_shift` is rounded on
        its own and stays in 1..100, so a pause of a second or more does not grow, and
        one under 10 steps keeps its length at the stretches of the paper.

        Args:
            ids: int array of any shape.
            semitones: int.
            stretch: float, 1.05 is 5 % slower.
            loudness: float, what each velocity is multiplied by.

        Returns:
            int array of the same shape.
        """
        ids = np.asarray(ids)
        steps = np.rint((ids - self._shift + 1) * stretch).astype(ids.dtype)
        velocity = _middle_of(ids - self._velocity + 1) * loudness
        bins = _bin_of(np.clip(np.rint(velocity), 1, 127).astype(ids.dtype))
        kinds = [
            ids < self._on,
            ids < self._off,
            ids < self._shift,
            ids < self._velocity,
        ]
        return np.select(
            kinds,
            [
                ids,
                np.clip(ids + semitones, self._on, self._on + 127),
                np.clip(ids + semitones, self._off, self._off + 127),
                self._shift + np.clip(steps, 1, LONGEST_SHIFT) - 1,
            ],
            self._velocity + bins - 1,
        ).astype(ids.dtype)

    def is_note(self, ids):
        """Which ids strike a note: the denominator of nats per note."""
        ids = np.asarray(ids)
        return (ids >= self._on) & (ids < self._off)

    def pitches(self, ids):
        """The pitches (0..127) that the ids strike, in order."""
        ids = np.asarray(ids)
        return ids[self.is_note(ids)] - self._on

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _grammar(self):
        # States: n shifts of opening silence; a velocity is named; a key went down, went
        # up; n shifts since; the end. Which keys sound is more than a table can know.
        opening = list(range(MOST_SHIFTS + 1))
        named, down, up = (opening[-1] + n for n in (1, 2, 3))
        waiting = [up + n for n in range(1, MOST_SHIFTS + 1)]
        end = waiting[-1] + 1
        allowed = np.zeros((end + 1, self.vocab_size), dtype=bool)
        following = np.zeros((end + 1, self.vocab_size), dtype=np.int32)
        ons, offs, shifts, velocities = (
            list(self.vocabulary.ids(kind))
            for kind in ("note_on", "note_off", "time_shift", "velocity")
        )

        def arrow(state, ids, to):
            allowed[state, ids] = True
            following[state, ids] = to

        for state, to in (*itertools.pairwise(opening), *itertools.pairwise(waiting)):
            arrow(state, shifts, to)
        for state in (*opening, down, up, *waiting):
            arrow(state, velocities, named)
        for state in (named, down, up, *waiting):
            arrow(state, ons, down)
        for state in (up, *waiting):  # not `down`: a note lasts at least a step
            arrow(state, offs, up)
        for state in (down, up):
            arrow(state, shifts, waiting[0])
        arrow(up, EOS, end)
        arrow(end, PAD, end)
        return Grammar(allowed, following, opening[0])


def _one_keyboard(score):
    """The pitched notes of all tracks as one piano sounds them.

    A key is struck once a step: of unisons the longest note is kept, and of these the
    loudest. What rings by the pedal ends where its key is struck again.

    Returns:
        float64 array (2, N) of starts and ends in seconds, and int64 arrays (N,) of
        pitches and velocities, sorted by pitch, then start.
    """
    tonal = ~score.is_drum_note()
    if not tonal.any():
        raise ValueError(
            "no pitched notes: " + ("drums only" if len(score) else "empty")
        )
    notes = score.notes[tonal]
    tick = notes["start"].astype(np.int64)
    ringing = score.sustained().notes["duration"][tonal]  # keeps the order of notes
    ticks = np.stack([tick, tick + ringing, tick + notes["duration"]])
    start, end, release = score.seconds_at(ticks)
    step = _to_steps(start)
    pitch, velocity = (notes[name].astype(np.int64) for name in ("pitch", "velocity"))

    # Of equal keys the longest is kept, of those the loudest; all last a step at least.
    last = np.maximum(_to_steps(end), step + 1)
    order = np.lexsort((-velocity, -last, step, pitch))
    is_struck = np.r_[True, np.any(np.diff([pitch[order], step[order]]), axis=0)]
    kept = order[is_struck]
    start, end, release, pitch = start[kept], end[kept], release[kept], pitch[kept]
    again = np.where(np.r_[np.diff(pitch) == 0, False], np.roll(start, -1), np.inf)
    end = np.minimum(end, np.maximum(release, again))
    return np.stack([start, end]), pitch, velocity[kept]


def _to_steps(seconds):
    return np.floor(seconds * STEPS_PER_SECOND + 0.5).astype(np.int64)


def _bin_of(velocity):
    return (velocity - 1) // BIN_WIDTH + 1


def _middle_of(bins):
    return BIN_WIDTH * bins - 2


def _without_long_waits(start, end):
    """The same steps, where no more than `LONGEST_WAIT` pass without an event."""
    times = np.unique(np.concatenate([[0], start, end]))
    too_long = np.maximum(np.diff(times) - LONGEST_WAIT, 0)
    gone = np.concatenate([[0], np.cumsum(too_long)])
    return tuple(each - gone[np.searchsorted(times, each)] for each in (start, end))

"""What each note of a piece cost a model: where the music is not what it expected."""

from dataclasses import dataclass

import numpy as np

from audio_models.expectation import expectations
from data_pipelines.measures import key_name, likely_key
from data_pipelines.piano_roll import pitch_name
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.bars import STEPS_PER_QUARTER
from data_pipelines.tokenizers.performance import STEPS_PER_SECOND
from data_pipelines.tokenizers.remi_grid import DURATIONS
from studio.errors import NothingUsable, WrongUsage
from studio.hearing import parts_as_heard

MOST_TOKENS = 2**16  # of a longer piece the beginning is weighed, and that is said
NEAR_QUARTERS, NEAR_SECONDS = 0.13, 0.03  # how far a grid may have moved a note
OFFSETS_TRIED = 64
# Tokens that are no note's, by their kind in the vocabulary.
KINDS = {
    "hold": "holds",
    "rest": "rests",
    "metre": "metre",
    "bar": "bar lines",
    "position": "places in the bar",
    "tempo": "tempo",
    "program": "instrument",
    "time_shift": "time that passes",
    "velocity": "loudness",
    "note_off": "keys that go up",
    "eos": "the end",
}


@dataclass(frozen=True)
class NoteCost:
    """One note, and what it cost.

    ``nats`` is of all its tokens; ``expected`` says what the model would have bet on in
    the place of the one that cost most, ``chance`` the probability it gave to that,
    ``given`` to what came.
    """

    index: int  # row in the score's notes
    bar: int  # from 1
    beat: float  # from 1
    second: float
    track: int
    name: str
    nats: float
    expected: str
    chance: float
    given: float


@dataclass(frozen=True)
class Surprise:
    """A piece as a model reads it.

    ``score`` is the music that ``notes`` point into: the file's own, or, where the notes
    cannot be found in it again, ``is_as_read``: as the tokenizer wrote it down.
    ``other`` is kind -> (tokens, nats) of what is no note. The notes' nats and these
    add up to ``total``, that of all real tokens.
    """

    score: object
    notes: tuple[NoteCost, ...]
    other: dict
    total: float
    tokens: int
    lost: int
    is_as_read: bool
    was_cut: bool

    @property
    def nats_per_note(self):
        """All tokens' nats by the number of notes, the measure of training."""
        return self.total / max(1, len(self.notes))

    @property
    def nats_of_notes(self):
        """What the notes' own tokens cost."""
        return sum(note.nats for note in self.notes)

    def by_track(self):
        """(name, notes, nats a note of their own tokens) of each track that plays."""
        found = []
        for number, track in enumerate(self.score.tracks):
            own = [note.nats for note in self.notes if note.track == number]
            if own:
                name = track.name or ("drums" if track.is_drum else f"track {number}")
                found.append((name, len(own), sum(own) / len(own)))
        return found

    def least_expected(self, count):
        """The notes that cost most, the dearest first."""
        return sorted(self.notes, key=lambda note: (-note.nats, note.index))[:count]


def weigh(bundle, score):
    """What each note of a score cost a model.

    Args:
        bundle: `audio_models.bundle.Bundle` of a model of scores that reads forwards.
        score: `Score`.

    Returns:
        `Surprise`.

    Raises:
        WrongUsage: if the model cannot say what a note was worth.
        NothingUsable: if the score holds nothing that it can read.
    """
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    check_weighs(bundle, tokenizer)
    score = parts_as_heard(bundle, score)
    try:
        ids, cost = tokenizer.encode_measured(score)
    except ValueError as error:
        raise NothingUsable(f"Nothing in it can be weighed: {error}.") from None
    was_cut = len(ids) > MOST_TOKENS
    ids = ids[:MOST_TOKENS]
    read = tokenizer.decode(ids)
    owner = notes_of_tokens(tokenizer, ids)
    if owner.max() + 1 != len(read):
        raise NothingUsable(
            f"Its {owner.max() + 1:,} notes as {tokenizer.name} tokens are not the "
            f"{len(read):,} that they stand for: they cannot be weighed one by one."
        )
    found = expectations(bundle.architecture, bundle.weights, ids)
    rows = placed_in(score, read, tokenizer, getattr(cost, "track", None))
    shown = read if rows is None else score
    rows = np.arange(len(read)) if rows is None else rows
    return Surprise(
        score=shown,
        notes=_note_costs(tokenizer, ids, owner[1:], found, shown, rows),
        other=_other_costs(tokenizer, ids[1:], owner[1:], found.nats),
        total=float(found.nats.sum()),
        tokens=len(found),
        lost=len(score) - len(read),
        is_as_read=shown is read,
        was_cut=was_cut,
    )


def check_weighs(bundle, tokenizer):
    """Raise WrongUsage unless the bundle's model can weigh the notes of a score."""
    from audio_models import FILLERS

    if tokenizer.takes != "score":
        raise WrongUsage(
            f"`--model` must be a model of scores. Received: one of {tokenizer.name} "
            "tokens."
        )
    if type(bundle.architecture) in FILLERS.values():
        raise WrongUsage(
            "`--model` must read music from its beginning on. Received: a model that "
            "fills gaps from both sides, which has no probability of a whole piece."
        )


def notes_of_tokens(tokenizer, ids):
    """Which note each token belongs to, int array (T,): -1 for what is no note's.

    Notes are numbered in the order of ``tokenizer.decode(ids).notes``. To a note belong
    the token that strikes it and those that tell its loudness, its length or, on a
    keyboard, its end. Where it stands (holds, rests, bars, places, waits) is told apart.

    Args:
        tokenizer: a tokenizer of scores.
        ids: int array (T,), as ``tokenizer.encode`` gives them.

    Raises:
        WrongUsage: if one token may strike several notes.
    """
    ids = np.asarray(ids)
    struck = tokenizer.is_note(ids)
    if hasattr(tokenizer, "notes_in") and (tokenizer.notes_in(ids) > 1).any():
        raise WrongUsage(
            "One token of this model strikes several notes: they cannot be weighed one "
            "by one."
        )
    place = np.flatnonzero(struck)
    owner = np.full(len(ids), -1, dtype=np.int64)
    owner[place] = np.arange(len(place))
    if tokenizer.name == "remi":
        whole = place[place + 2 < len(ids)]  # a piece may be cut within its last note
        owner[place[len(whole) :]] = -1
        for more in (1, 2):
            owner[whole + more] = owner[whole]
    elif tokenizer.name == "performance":
        _own_keys(tokenizer.vocabulary, ids, place, owner)
    return owner


def _own_keys(vocabulary, ids, place, owner):
    # A velocity stands right before the note it was told for; a key goes up where it
    # next does, unless it is struck again first.
    loud, off = vocabulary.ids("velocity"), vocabulary.ids("note_off")
    on = vocabulary.ids("note_on")
    told = place[place > 0] - 1
    told = told[(ids[told] >= loud.start) & (ids[told] < loud.stop)]
    owner[told] = owner[told + 1]
    sounding = {}
    for t, token in enumerate(ids.tolist()):
        if on.start <= token < on.stop:
            sounding[token - on.start] = owner[t]
        elif off.start <= token < off.stop:
            owner[t] = sounding.pop(token - off.start, -1)


def placed_in(score, read, tokenizer, track=None):
    """Which note of a score each note that was read from it is.

    Args:
        score: `Score`, the music. read: `Score`, its tokens decoded.
        tokenizer: whose. A performance keeps seconds, all others keep quarters.
        track: int, the only one that was read; or None.

    Returns:
        int array (notes read,), rows of ``score.notes``; None if a note is not there,
        within what the grid may have moved it.
    """
    # How far a grid moved a note, and the steps in which silence was left out before it.
    near, step = NEAR_QUARTERS, 1 / 4
    if tokenizer.name == "performance":
        near, step = NEAR_SECONDS, 1 / STEPS_PER_SECOND
    times = [
        s.seconds_at(s.notes["start"])
        if tokenizer.name == "performance"
        else s.notes["start"] / s.ticks_per_quarter
        for s in (score, read)
    ]
    rows = np.arange(len(score))
    if track is not None:
        rows = rows[score.notes["track"] == track]
    if not len(rows) or not len(read):
        return None
    # One number a note: its pitch far apart from the next, and its time.
    far = 4 * float(max(times[0].max(), times[1].max()) + 1)
    pitch = score.notes["pitch"][rows].astype(float)
    order = np.argsort(pitch * far + times[0][rows], kind="stable")
    keys = (pitch * far + times[0][rows])[order]
    wanted = read.notes["pitch"].astype(float) * far + times[1]
    same_pitch = rows[score.notes["pitch"][rows] == read.notes["pitch"][0]]
    offsets = np.unique(np.rint((times[0][same_pitch] - times[1][0]) / step) * step)
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")][:OFFSETS_TRIED]
    for offset in np.r_[0.0, offsets]:
        moved = wanted + offset
        in_turn = np.argsort(moved, kind="stable")
        found = _each_its_own(keys.tolist(), moved[in_turn].tolist(), near)
        if found is not None:
            placed = np.empty(len(moved), dtype=np.int64)
            placed[in_turn] = rows[order[found]]
            return placed
    return None


def _each_its_own(keys, wanted, near):
    """For each number the first key that is near and not taken; both are sorted."""
    found, place = [], 0
    for number in wanted:
        while place < len(keys) and keys[place] < number - near:
            place += 1
        if place == len(keys) or keys[place] > number + near:
            return None
        found.append(place)
        place += 1
    return found


def _note_costs(tokenizer, ids, owner, found, score, rows):
    """The `NoteCost` of each note, in the order of the score. owner: int (T - 1,)."""
    own = owner >= 0
    nats = np.bincount(owner[own], found.nats[own], minlength=len(rows))
    # The dearest token of each note: sorted by note, then cost, it is the last.
    place = np.flatnonzero(own)
    place = place[np.lexsort((found.nats[place], owner[place]))]
    dearest = place[np.searchsorted(owner[place], np.arange(len(rows)), "right") - 1]
    lines, notes = score.bar_ticks(), score.notes[rows]
    bar = np.maximum(np.searchsorted(lines, notes["start"], "right") - 1, 0)
    beat = 1 + (notes["start"] - lines[bar]) / _ticks_in_beat(score, notes["start"])
    second = score.seconds_at(notes["start"])
    sharps = likely_key(score)[0] if len(score) else 0
    costs = []
    for k in np.lexsort((np.arange(len(rows)), rows)).tolist():
        t, note = int(dearest[k]), notes[k]
        track = int(note["track"])
        drum = score.tracks[track].is_drum
        costs.append(
            NoteCost(
                index=int(rows[k]),
                bar=int(bar[k]) + 1,
                beat=round(float(beat[k]), 2),
                second=round(float(second[k]), 3),
                track=track,
                name=f"drum {note['pitch']}" if drum else named(note["pitch"], sharps),
                nats=float(nats[k]),
                expected=told(tokenizer, found.likeliest[t], sharps),
                chance=float(np.exp(-found.likeliest_nats[t])),
                given=float(np.exp(-found.nats[t])),
            )
        )
    return tuple(costs)


def _other_costs(tokenizer, ids, owner, nats):
    """Kind -> (tokens, nats) of the tokens that are no note's, the dearest first."""
    costs = {}
    for token, cost in zip(ids[owner < 0].tolist(), nats[owner < 0], strict=True):
        kind = tokenizer.vocabulary.decode(token).kind
        name = KINDS.get(kind, kind)
        tokens, before = costs.get(name, (0, 0.0))
        costs[name] = (tokens + 1, before + float(cost))
    return dict(sorted(costs.items(), key=lambda item: -item[1][1]))


def _ticks_in_beat(score, ticks):
    """How long the beat is at some ticks: a dotted one in 6/8, 9/8 and 12/8."""
    metres = score.metres or (score.metre,)
    at = np.searchsorted([m.tick for m in metres], ticks, "right") - 1
    beats = []
    for metre in metres:
        is_compound = metre.beat_unit >= 8 and metre.beats > 3 and metre.beats % 3 == 0
        beats.append(
            score.ticks_per_quarter * 4 / metre.beat_unit * (1 + 2 * is_compound)
        )
    return np.array(beats)[np.maximum(at, 0)]


def named(pitch, sharps=0):
    """The name of a pitch, with flats where the key has them: Bb4, not A#4, in F."""
    name = pitch_name(int(pitch))
    flats = {"C#": "Db", "D#": "Eb", "F#": "Gb", "G#": "Ab", "A#": "Bb"}
    if sharps < 0 and name[:2] in flats:
        return flats[name[:2]] + name[2:]
    return name


def told(tokenizer, token, sharps=0):
    """A token in a musician's words: ``A4``, ``no new note``, ``1.5 quarters long``."""
    event = tokenizer.vocabulary.decode(token)
    kind, value = event.kind, event.value
    if kind in ("pitch", "note_on"):
        return named(value, sharps)
    if tokenizer.name == "remi" and kind == "duration":
        return f"{DURATIONS[value - 1] / STEPS_PER_QUARTER:.3g} quarters long"
    if kind == "note_off":
        return f"{named(value, sharps)} to end"
    if kind == "time_shift":
        return f"a wait of {1000 * value / STEPS_PER_SECOND:.0f} ms"
    words = {
        "hold": "no new note",
        "rest": "a rest",
        "eos": "the end",
        "bar": "a new bar",
        "drum": f"drum {value}",
        "position": "another place in the bar",
        "program": "another instrument",
        "velocity": f"loudness {4 * value - 2}",
    }
    return words.get(kind, kind)


def key_of(score):
    """The key that the notes suggest, in words; None of drums alone."""
    if not len(score) or score.is_drum_note().all():
        return None
    return key_name(*likely_key(score))


def held_out_nats(facts):
    """Nats a note on music that the model never saw, if that was measured; or None."""
    for split in ("test", "held_out"):
        figures = facts.get(split)
        if isinstance(figures, dict) and figures.get("is_held_out", True):
            value = figures.get("model")
            if isinstance(value, int | float) and value > 0:
                return float(value)
    return None

"""Going on, and filling bars, in tokens of which a bar takes as many as it has notes.

`remi` counts bars, `performance` the clock: neither has a cell a step as a line has.
"""

from dataclasses import replace

import numpy as np

from audio_models.particles import Stretch, Timed, fill
from audio_models.player import Player
from audio_models.request import IMPOSSIBLE
from data_pipelines.score import NOTE, Track, notes_array
from data_pipelines.tokenizers.bars import STEPS_PER_QUARTER, to_steps
from data_pipelines.tokenizers.remi_grid import DRUMS, DURATIONS
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK
from studio.lines import BEYOND, metre_at, ticks_in_bar
from studio.woven import Woven, given_notes

TOKENS_A_BAR = 320  # then the next chance to begin another bar is taken
TOKENS_A_SECOND = 60
REMI_TICKS = 480  # a quarter, in what `remi` decodes
NEAR = 2  # semitones about a pitch in which a track is at home
MARK = 60  # the pitch of a note that marks a place, and is taken out again


def bars_on(bundle, tokenizer, score, wish, bars):
    """Go on in `remi` tokens.

    Returns:
        (notes, tick of the first that is new, end probability, nats per note, told).
    """
    metre = metre_at(score, score.end_tick)
    quarter = score.ticks_per_quarter
    last_onset = to_steps(int(score.notes["start"].max()), quarter)
    mark = max(to_steps(score.end_tick, quarter), last_onset + 1)
    mark_tick = -(-mark * quarter // STEPS_PER_QUARTER)
    ids = tokenizer.encode(_marked(score, [mark_tick]))[:-1]
    kinds = {kind: np.array(tokenizer.vocabulary.ids(kind)) for kind in _KINDS}
    place = int(np.flatnonzero(np.isin(ids, kinds["position"]))[-1])
    prefix, least = ids[:place], int(ids[place])
    bar = int(kinds["bar"][0])
    is_on_line = least == kinds["position"][0]
    count = bars if is_on_line else bars + 1
    first = np.zeros(tokenizer.vocab_size, dtype=bool)
    first[least : kinds["position"][-1] + 1] = True
    first[bar] = True
    path = Stretch(
        tokenizer.grammar,
        _state(tokenizer, prefix),
        bar=bar,
        bars=count,
        suffix=[bar],
        never=_never(tokenizer, score, kinds),
        first=first,
        quota=TOKENS_A_BAR,
    )
    takes = _takes(bundle, prefix, path, wish)
    held = held_notes(tokenizer, takes.ids)
    row, length, end = latest_end(takes, held, np.ones_like(held))
    if length is None:  # cut off where the bar after the last would begin
        row, length = 0, int(np.flatnonzero(takes.ids[0] != PAD)[-1])
    whole = np.concatenate([prefix, takes.ids[row, :length]])
    clock = int(tokenizer.decode(ids).notes["start"].max())
    made = tokenizer.decode(whole)
    made_notes = made.notes[made.notes["start"] >= clock]
    tick = ticks_in_bar(score, metre)
    line = metre.tick + -(-(mark_tick - metre.tick) // tick) * tick
    notes = _placed(
        score,
        made,
        made_notes,
        shift=mark_tick - clock * quarter / REMI_TICKS,
        earliest=max(score.end_tick, 0),
        until=line + bars * tick,
    )
    nats = -takes.log_probability[row, :length].sum() / max(1, len(notes))
    return notes, int(score.end_tick), end, float(nats), []


def seconds_on(bundle, tokenizer, score, wish, bars):
    """Go on in `performance` tokens: by the clock, as long as the bars would last.

    Returns: as `bars_on`.

    Raises:
        ValueError: if there is no pitched note.
    """
    from studio.carry_on import seconds_in_bar, tempo_onward

    bar_seconds = seconds_in_bar(score, wish.qpm)
    seconds = wish.seconds or bars * bar_seconds
    ids = tokenizer.encode(score)
    prefix = ids[:-1]
    shifts = np.array(tokenizer.vocabulary.ids("time_shift"))
    passes = np.zeros(tokenizer.vocab_size, dtype=np.int64)
    passes[shifts] = np.arange(1, len(shifts) + 1)
    until = max(1, round(100 * seconds))
    path = Timed(
        tokenizer.grammar,
        _state(tokenizer, prefix),
        takes=passes,
        until=until,
        most=int(TOKENS_A_SECOND * seconds) + 200,
    )
    takes = _takes(bundle, prefix, path, wish)
    time = np.cumsum(passes[takes.ids], axis=1)
    before = np.concatenate([np.zeros((len(time), 1), dtype=np.int64), time[:, :-1]], 1)
    window = before > until - max(100 * bar_seconds, until / 4)
    is_up = _keys_down(tokenizer, takes.ids) == 0
    has_note = np.cumsum(tokenizer.is_note(takes.ids), axis=1) > 0
    row, length, end = latest_end(takes, window & is_up, window & has_note)
    if length is None:
        row, length = 0, takes.ids.shape[1]
    clock = tokenizer.decode(ids).end_tick
    made = tokenizer.decode(np.concatenate([prefix, takes.ids[row, :length]]))
    made_notes = made.notes[made.notes["start"] >= clock]
    begins = score.sustained().end_tick
    qpm = wish.qpm or tempo_onward(score)[0]
    per_step = qpm * score.ticks_per_quarter / 60 / 100  # ticks in a hundredth
    start = begins + np.rint((made_notes["start"] - clock) * per_step).astype(np.int64)
    length_ticks = np.minimum(
        made_notes["duration"], clock + until - made_notes["start"]
    )
    keep = length_ticks > 0
    duration = np.maximum(1, np.rint(length_ticks * per_step)).astype(np.int64)
    pitched = score.notes["track"][~score.is_drum_note()]
    track = int(np.bincount(pitched).argmax())
    notes = notes_array(
        start, duration, made_notes["pitch"], made_notes["velocity"], track
    )[keep]
    nats = -takes.log_probability[row, :length].sum() / max(1, len(notes))
    told = []
    if len(np.unique(score.notes["track"])) > 1:
        told = ["The model plays one keyboard: what is new stands in one track."]
    return notes, int(begins), end, float(nats), told


def fill_bars(bundle, tokenizer, score, kept, gap, wish):
    """Fill bars in `remi` tokens.

    Args:
        score: `Score`, whole. kept: bool array (N,), which of its notes stay.
        gap: int array (bars + 1,), the bar lines of what is to be filled.
        wish: `infill.Gap`.

    Returns:
        (notes, `Filled`, row, how many tokens were written).
    """
    quarter = score.ticks_per_quarter
    begin, until = int(gap[0]), int(gap[-1])
    before = kept & (score.notes["start"] < begin)
    kinds = {kind: np.array(tokenizer.vocabulary.ids(kind)) for kind in _KINDS}
    bar = int(kinds["bar"][0])
    head = tokenizer.encode(_marked(score, [begin], before))
    lines = np.flatnonzero(head == bar)
    place = int(lines[-1]) + 1
    place += bool(np.isin(head[place], kinds["metre"]))
    prefix = head[:place]
    tail = tokenizer.encode(_marked(score, gap[:-1].tolist(), kept))
    after = np.flatnonzero(tail == bar)[len(lines) - 1 + len(gap) - 1 :]
    suffix = np.array([EOS])
    if len(after):
        suffix = tail[after[0] : after[wish.look] if len(after) > wish.look else None]
    if wish.track is None:
        path = Stretch(
            tokenizer.grammar,
            _state(tokenizer, prefix),
            bar=bar,
            bars=len(gap) - 1,
            suffix=suffix,
            never=_never(tokenizer, score, kinds),
            first=np.ones(tokenizer.vocab_size, dtype=bool),
            quota=TOKENS_A_BAR,
        )
    else:
        path = _among_given(tokenizer, score, kept, gap, wish.track, prefix, suffix)
    filled = fill(
        Player(bundle.architecture, bundle.weights),
        prefix,
        path,
        particles=wish.particles,
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
    )
    row = filled.chosen
    length = int((filled.ids[row] != PAD).sum()) - len(suffix)
    clock = int(tokenizer.decode(head).notes["start"].max())
    made = tokenizer.decode(np.concatenate([prefix, filled.ids[row, :length]]))
    is_new = made.notes["start"] >= clock
    if wish.track is not None:
        voices = [DRUMS if t.is_drum else t.program for t in made.tracks]
        is_new &= np.array(voices)[made.notes["track"]] == path.voice
    notes = _placed(
        score,
        made,
        made.notes[is_new],
        shift=begin - clock * quarter / REMI_TICKS,
        earliest=begin,
        latest=until - 1,
    )
    return notes, filled, row, length


def _among_given(tokenizer, score, kept, gap, track, prefix, suffix):
    """The `Woven` path of one track, all others given."""
    home = score.tracks[track]
    voice = DRUMS if home.is_drum else home.program
    kinds = {kind: np.array(tokenizer.vocabulary.ids(kind)) for kind in _KINDS}
    # Bars in which nothing stays are marked by an instrument that nobody plays.
    unused = min(set(range(128)) - {t.program for t in score.tracks})
    marked = replace(score, tracks=(*score.tracks, Track("", unused)))
    every = tokenizer.encode(
        _marked(marked, gap[:-1].tolist(), kept, track=len(score.tracks))
    )
    before = int((prefix == kinds["bar"][0]).sum()) - 1
    given = given_notes(every, kinds, before, len(gap) - 1, without=unused)
    own = replace(score, notes=score.track_notes(track))
    return Woven(
        tokenizer.grammar,
        _state(tokenizer, prefix),
        kinds,
        voice=voice,
        given=given,
        bars=len(gap) - 1,
        suffix=suffix,
        never=_never(tokenizer, own, kinds),
        quota=TOKENS_A_BAR,
    )


_KINDS = ("bar", "metre", "position", "tempo", "program", "pitch", "drum")
_KINDS += ("velocity", "duration")


def _marked(score, ticks, kept=None, track=0):
    """The score with a note at each of these ticks, in a track."""
    notes = score.notes if kept is None else score.notes[kept]
    marks = notes_array(ticks, score.ticks_per_quarter, MARK, 80, track)
    return replace(score, notes=np.concatenate([notes, marks]))


def _state(tokenizer, prefix):
    state = tokenizer.grammar.state_after(prefix[1:])
    if prefix[0] != BOS or state is None:
        raise ValueError("The given music breaks the grammar of its tokens.")
    return state


def _never(tokenizer, score, kinds):
    """Tokens that would change the metre or tempo, or bring in another instrument."""
    used = {score.tracks[t] for t in np.unique(score.notes["track"]).tolist()}
    never = np.zeros(tokenizer.vocab_size, dtype=bool)
    never[: UNK + 1] = True
    for kind in ("metre", "tempo"):
        never[kinds[kind]] = True
    programs = [track.program for track in used if not track.is_drum]
    never[np.delete(kinds["program"], programs)] = True
    pitches = score.notes["pitch"][~score.is_drum_note()].astype(int)
    never[kinds["pitch"]] = True
    if programs:
        low, high = max(0, pitches.min() - BEYOND), min(127, pitches.max() + BEYOND)
        never[kinds["pitch"][low : high + 1]] = False
    if not any(track.is_drum for track in used):
        never[kinds["drum"]] = True
    return never


def _takes(bundle, prefix, path, wish):
    return fill(
        Player(bundle.architecture, bundle.weights),
        prefix,
        path,
        particles=wish.takes,
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        copies=False,
    )


def held_notes(tokenizer, ids):
    """Which tokens of `remi` close a note of a quarter or longer: bool, as ids."""
    durations = np.array(tokenizer.vocabulary.ids("duration"))
    return np.isin(ids, durations[DURATIONS >= STEPS_PER_QUARTER])


def latest_end(takes, wanted, must):
    """(row, tokens to keep, probability) of the end that is most expected.

    Args:
        wanted: bool array (K, T), where the last token before an end is as it should
            be; without any such end, all count.
        must: bool array (K, T), after which token an end may stand at all.
    """
    worth = takes.end_log_probability[:, 1:]
    may = (worth > IMPOSSIBLE / 2) & must[:, :-1]
    for good in (wanted[:, :-1], True):
        if (may & good).any():
            best = np.where(may & good, worth, -np.inf)
            row, place = np.unravel_index(int(best.argmax()), best.shape)
            return int(row), int(place) + 1, float(np.exp(best[row, place]))
    return 0, None, 0.0


def _keys_down(tokenizer, ids):
    """How many keys are down after each token: int array (K, T)."""
    ons, offs = (tokenizer.vocabulary.ids(kind) for kind in ("note_on", "note_off"))
    down = np.zeros(ids.shape, dtype=np.int64)
    for row, tokens in enumerate(ids.tolist()):
        keys = set()
        for t, token in enumerate(tokens):
            if token in ons:
                keys.add(token - ons[0])
            elif token in offs:
                keys.discard(token - offs[0])
            down[row, t] = len(keys)
    return down


def _placed(score, made, notes, *, shift, earliest, until=None, latest=None):
    """Notes of decoded `remi` as rows of the score, on its ticks and in its tracks."""
    if not len(notes):
        return np.zeros(0, dtype=NOTE)
    scale = score.ticks_per_quarter / REMI_TICKS
    start = np.rint(notes["start"] * scale + shift).astype(np.int64)
    end = start + np.maximum(1, np.rint(notes["duration"] * scale)).astype(np.int64)
    start = np.maximum(start, earliest)
    if latest is not None:
        start = np.minimum(start, latest)
    if until is not None:
        end = np.minimum(end, until)
    track = tracks_for(score, made, notes, start, end)
    keep = end > start
    return notes_array(start, end - start, notes["pitch"], notes["velocity"], track)[
        keep
    ]


def tracks_for(score, made, notes, start, end):
    """In which track of the score each new note stands: int array (N,).

    Of several with its instrument, as three pianos, the one that plays most about its
    pitch; a single line is given no second note at a time.
    """
    used = np.unique(score.notes["track"]).tolist()
    habit, is_line = {}, {}
    for track in used:
        own = score.track_notes(track)
        near = np.abs(np.arange(128)[:, None] - own["pitch"].astype(int)) <= NEAR
        habit[track] = near.sum(axis=1)
        ends = np.maximum.accumulate(own["start"].astype(np.int64) + own["duration"])
        overlaps = (ends[:-1] > own["start"][1:]).sum()
        is_line[track] = overlaps <= 0.05 * len(own)
    pitched = [t for t in used if not score.tracks[t].is_drum]
    busy = dict.fromkeys(used, -1)  # until when a track plays what was given to it
    tracks = np.zeros(len(notes), dtype=np.int64)
    for row in np.lexsort((-notes["pitch"].astype(int), start)).tolist():
        told, pitch = made.tracks[notes["track"][row]], int(notes["pitch"][row])
        same = [
            t
            for t in used
            if score.tracks[t].is_drum == told.is_drum
            and (told.is_drum or score.tracks[t].program == told.program)
        ]
        same = same or pitched or used
        free = [t for t in same if not is_line[t] or busy[t] <= start[row]]
        # Ranges overlap: whoever plays the most about this pitch, the first of equals.
        best = max(free or same, key=lambda t: habit[t][pitch])
        tracks[row], busy[best] = best, max(busy[best], int(end[row]))
    return tracks

"""Going on where a piece of music stops: what is given stays, more comes behind it.

Several takes are drawn, and the one is kept that the model most expects to end where
it ends, as `compose` does; of these, one whose last note is held for a beat, on the
tonic if that is nearly as expected.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from audio_models import FILLERS
from audio_models.particles import fill
from audio_models.request import IMPOSSIBLE
from data_pipelines.measures import key_in_words, key_name, likely_key
from data_pipelines.score import DEFAULT_QPM, Tempo, notes_array
from data_pipelines.tokenizers import tokenizer_from_spec
from studio.endings import (
    LONGEST_RUN,
    choose_end,
    longest_run,
    sound_takes,
    with_cadence,
)
from studio.guided import is_guided, notes_among, player_of
from studio.hearing import parts_as_heard
from studio.lines import (
    LINE_TOKENS,
    Grid,
    compass_of,
    lines_of,
    metre_at,
    metre_onward,
    new_notes,
    octave_of,
    table_of,
    ticks_in_bar,
    usual_velocity,
    voices_of,
)
from studio.wish import MOST_BARS, check_ranges

DEFAULT_BARS = 8
TAKES = 8
SLOWING_BARS = 4  # as far back a ritardando may begin


@dataclass(frozen=True)
class Onward:
    """What a person asks of a continuation.

    Args:
        bars: int or None, how many bars to add; 8 where `seconds` is None too.
        seconds: float or None, about how many seconds to add instead.
        seed: int. Same music, bundle and wish: the same notes.
        temperature: float, at least 0.
        top_k: int or None.
        top_p: float in (0, 1].
        qpm: float or None, a tempo for what is added; None goes on as it was.
        takes: int, how many are drawn.
    """

    bars: int | None = None
    seconds: float | None = None
    seed: int = 0
    temperature: float = 0.9
    top_k: int | None = None
    top_p: float = 0.95
    qpm: float | None = None
    takes: int = TAKES


@dataclass(frozen=True)
class Continued:
    """The given music with more behind it.

    ``begins`` is the tick from which all is new, ``bars`` how many bars came to those
    that were begun; ``end_probability`` what the model gave to ending where it ends, 0
    where it was cut off; ``told``, what a person should know of what was done.
    """

    score: object
    begins: int
    bars: int
    key: str
    end_probability: float
    nats_per_note: float
    told: tuple[str, ...] = ()

    @property
    def notes_added(self):
        return int((self.score.notes["start"] >= self.begins).sum())


def check_onward(wish):
    """Raise ValueError if a wish lies outside its range, naming it."""
    check_ranges(wish)
    if wish.bars is not None and wish.seconds is not None:
        raise ValueError("Give `bars` or `seconds`, not both.")


def carry_on(bundle, score, wish):
    """Add music to the end of a score.

    Every note of the score stays as it is, and so do its tempo, metre and key maps and
    its ticks per quarter; new notes start where its last note ends or, where that is
    off the grid, at most half a step later.

    Args:
        bundle: `audio_models.bundle.Bundle` of a model of scores that reads from left
            to right.
        score: `Score`. With a model of one voice its melody track goes on, with one of
            four voices all four.
        wish: `Onward`.

    Returns:
        `Continued`.

    Raises:
        ValueError: if a wish lies outside its range, if there is nothing to go on from,
            or if the model cannot go on.
    """
    check_onward(wish)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    check_reads_onward(bundle, tokenizer)
    if not len(score):
        raise ValueError("no notes: there is nothing to go on from")
    written, score = score.tracks, parts_as_heard(bundle, score)
    score, said = _without_what_follows(score)
    if wish.qpm is None:
        qpm, is_back = tempo_onward(score)
        if is_back:
            wish = replace(wish, qpm=qpm)
            said += (f"It slows down to its end: what is added goes on at {qpm:g}.",)
    bars = _bars_wished(score, wish)
    if tokenizer.name in LINE_TOKENS:
        notes, begins, end, nats, told = _lines_on(bundle, tokenizer, score, wish, bars)
    else:
        from studio.stretches import bars_on, seconds_on

        go_on = bars_on if tokenizer.name == "remi" else seconds_on
        notes, begins, end, nats, told = go_on(bundle, tokenizer, score, wish, bars)
    if not len(notes):
        raise ArithmeticError(
            "The model wrote no note; another `seed` or a higher `temperature` may help."
        )
    whole = np.concatenate([score.notes, notes])
    tempos = score.tempos
    if wish.qpm is not None:
        before = tuple(t for t in tempos if t.tick < begins)
        tempos = (*before, Tempo(begins, float(wish.qpm)))
    metres = score.metres
    metre, is_back = metre_onward(score)
    if is_back and tokenizer.name in LINE_TOKENS:
        bar = ticks_in_bar(score, metre)
        line = metre.tick - (metre.tick - begins) // bar * bar
        metres = (*metres, replace(metre, tick=line))
    longer = replace(score, notes=whole, tempos=tempos, metres=metres, tracks=written)
    key = key_name(*_key_onward(score)) if score.keys else key_in_words(score)
    return Continued(longer, begins, bars, key, end, nats, (*said, *told))


def check_reads_onward(bundle, tokenizer):
    """Raise ValueError unless a model of scores can go on from a place.

    Raises:
        ValueError: naming what the model is.
    """
    if tokenizer.name not in (*LINE_TOKENS, "remi", "performance"):
        raise ValueError(
            f"A model of {tokenizer.name} tokens cannot do this: it takes melody, "
            "chorale, remi or performance tokens."
        )
    if bundle.model_name in FILLERS:
        raise ValueError(
            f"A {bundle.model_name} model reads from both sides and cannot go on from "
            "a place: it takes one that composes."
        )


def place_notes(score, grid, lines, voices, *, earliest=0):
    """New notes of lines as rows of a score.

    Args:
        lines: array of dtype `lines.LINE`. voices: `lines.Voices`.
        earliest: int, the tick before which none may start.

    Returns:
        structured array of dtype `NOTE`.
    """
    tracks = np.array(voices.tracks)[lines["voice"]]
    start = np.maximum(grid.tick(lines["start"]), earliest)
    end = np.maximum(grid.tick(lines["end"]), start + 1)
    velocity = np.zeros(len(lines), dtype=np.int64)
    for track in np.unique(tracks).tolist():
        own = tracks == track
        velocity[own] = usual_velocity(score, track, start[own], grid)
    return notes_array(start, end - start, lines["pitch"], velocity, tracks)


def seconds_in_bar(score, qpm=None):
    """How long a bar lasts at the end of a score."""
    metre = metre_at(score, score.end_tick)
    last, _ = tempo_onward(score)
    return 240 / (qpm or last) * metre.beats / metre.beat_unit


def tempo_onward(score):
    """The tempo in which a score goes on, and whether that is another than its last.

    A piece that slows down over its last bars, or in the very last one, goes on as
    before that.
    """
    end = score.end_tick
    bar = ticks_in_bar(score, metre_at(score, end))
    since = max(0, end - SLOWING_BARS * bar)
    before = max([t for t in score.tempos if t.tick <= since], default=None, key=_tick)
    late = [t for t in score.tempos if since < t.tick < end]
    speeds = [before.qpm if before else DEFAULT_QPM, *(t.qpm for t in late)]
    slows = all(after < before for before, after in pairwise(speeds))
    if late and slows and (len(late) > 1 or late[0].tick >= end - bar):
        return speeds[0], True
    return speeds[-1], False


def _tick(change):
    return change.tick


def _without_what_follows(score):
    """The score without changes of tempo, metre or key behind its last note."""
    maps = {
        name: tuple(c for c in getattr(score, name) if c.tick < max(1, score.end_tick))
        for name in ("tempos", "metres", "keys")
    }
    if all(getattr(score, name) == kept for name, kept in maps.items()):
        return score, ()
    said = "Changes of tempo, metre or key behind its last note are left out."
    return replace(score, **maps), (said,)


def _bars_wished(score, wish):
    if wish.seconds is None:
        return wish.bars or DEFAULT_BARS
    return min(MOST_BARS, max(1, round(wish.seconds / seconds_in_bar(score, wish.qpm))))


def _lines_on(bundle, tokenizer, score, wish, bars):
    voices = voices_of(score, tokenizer)
    end_tick = score.end_tick
    metre, _ = metre_onward(score)
    grid = Grid.at(score, metre.tick, metre)
    told = _told_of_lines(tokenizer, score, voices, grid)
    lines = lines_of(score, voices, np.ones(len(score), dtype=bool), grid)
    free = max(grid.step(end_tick), int(lines["end"].max()))
    octaves = octave_of(bundle, tokenizer, lines, grid)
    compass = compass_of(lines, voices, octaves)
    lines["pitch"] += 12 * octaves
    last = -(-free // grid.bar) * grid.bar + bars * grid.bar
    table = table_of(
        tokenizer,
        lines,
        grid,
        free=free,
        onsets_until=last + 1,
        until=last + 1,  # so that an end on the last bar line is weighed too
        voices=range(len(voices.tracks)),
        may_end=False,
        compass=compass,
    )
    count, home = len(voices.tracks), None
    if is_guided(bundle):  # it knows where the end is: the last beat is the tonic's
        home = (last - free - grid.beat) * count + count - 1
        table = with_cadence(tokenizer, table, home, count, _tonic(score))
    takes = fill(
        player_of(bundle, table.prefix, table.sheet, spare=1),
        table.prefix,
        table.sheet,
        among=notes_among(bundle, tokenizer),
        particles=wish.takes,
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        copies=False,
    )
    sung = table.prefix[2:][::count]  # what the first voice was given
    pools = sound_takes(
        takes,
        tokenizer,
        count,
        last - free,
        typical=bundle.facts.get("held_out", {}).get("model"),
        longest=max(LONGEST_RUN, longest_run(tokenizer, sung)),
        middle=float(np.median(lines["pitch"][lines["voice"] == lines["voice"][0]])),
    )
    row, steps = choose_end(
        takes,
        tokenizer,
        count,
        last - free - grid.bar,
        last - free,
        grid.beat,
        _tonic(score),
        pools,
    )
    if home is not None:
        worth = np.where(pools[0], takes.log_probability[:, home], -np.inf)
        row, steps = int(worth.argmax()), last - free
    places = steps * count
    end = takes.end_log_probability[row, places]
    fresh = new_notes(tokenizer, table, takes.ids[row], steps)
    fresh["pitch"] -= 12 * octaves
    nats = -takes.log_probability[row, :places].sum() / max(1, len(fresh))
    notes = place_notes(score, grid, fresh, voices, earliest=end_tick)
    begins = int(max(end_tick, grid.tick(free)))
    return notes, begins, _probability(end), float(nats), told


def _told_of_lines(tokenizer, score, voices, grid):
    told = []
    sings = np.isin(score.notes["track"], voices.tracks)
    tracks = len(np.unique(score.notes["track"]))
    if tokenizer.name == "melody" and tracks > 1:
        name = score.tracks[voices.tracks[0]].name or f"track {voices.tracks[0] + 1}"
        told.append(
            f"The model writes one voice: {name!r} goes on ({voices.reason}), "
            f"{others_in_words(tracks - 1)}."
        )
    elif not sings.all() and tokenizer.name != "melody":
        told.append("Drums and what is no voice stay as they are.")
    if grid.name is None:
        told.append(
            f"The model knows no metre {grid.metre}: it goes on without being told one."
        )
    return told


def others_in_words(count, one="stays as it is", several="stay as they are"):
    """The other track stays as it is, or the other 3 tracks stay as they are."""
    if count == 1:
        return f"the other track {one}"
    return f"the other {count} tracks {several}"


def _key_onward(score):
    """The key in which a score goes on: the last that it names, or the likely one."""
    if score.keys:
        return score.keys[-1].sharps, score.keys[-1].is_minor
    return likely_key(score)


def _tonic(score):
    """The pitch class of its tonic: G major 7, B minor 11."""
    sharps, is_minor = _key_onward(score)
    return (7 * sharps + 9 * is_minor) % 12


def _probability(log_probability):
    return float(np.exp(log_probability)) if log_probability > IMPOSSIBLE / 2 else 0.0

"""Writing some bars of a piece anew, so that they lead into what follows them.

Every note that does not start within the bars stays exactly as it is, also one that
rings into them. A model that reads from left to right fills them with a particle
filter: see `audio_models.particles`.
"""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.particles import MOST_PARTICLES, fill
from data_pipelines.tokenizers import tokenizer_from_spec
from studio.carry_on import check_reads_onward, place_notes
from studio.guided import is_guided, notes_among, player_of, reweighed
from studio.hearing import parts_as_heard
from studio.lines import (
    Grid,
    compass_of,
    lines_of,
    metre_at,
    new_notes,
    octave_of,
    table_of,
    voices_of,
)
from studio.wish import check_ranges

PARTICLES = 64
PARTICLES_OF_WINDOWS = 16  # of a model whose state is a long cache, copied each step
MOST_BARS = 64
LOOK_BARS = 2  # of what follows the range, so many bars weigh what was written
FARTHEST_BARS = 4  # and none beyond so many, where voices come in late


@dataclass(frozen=True)
class Gap:
    """Which bars to write anew, and how.

    Args:
        first, last: int, bars counted from 1, both written anew; a pickup bar counts.
        track: int or None, the index of the one track to change.
        seed: int. Same music, bundle and gap: the same notes.
        temperature: float, at least 0.
        top_k: int or None.
        top_p: float in (0, 1].
        particles: int or None, how many writers; 1 writes without looking ahead. None
            is 64, of a model that looks back over a window 16.
        look: int, how many bars of what follows are weighed.
    """

    first: int
    last: int
    track: int | None = None
    seed: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    particles: int | None = None
    look: int = LOOK_BARS


@dataclass(frozen=True)
class Infilled:
    """The piece with its bars written anew.

    ``added`` are the new notes, rows of the score; ``removed`` how many made way;
    ``counting`` how many particles' worth of writers counted at the end, 1 to K;
    ``nats_per_note`` what the new notes cost the model; ``told``, what a person should
    know of what was done.
    """

    score: object
    added: np.ndarray
    removed: int
    counting: float
    nats_per_note: float
    told: tuple[str, ...] = ()


def check_gap(gap, score):
    """The bar lines of a gap: int64 array (bars + 1,).

    Raises:
        ValueError: if a wish lies outside its range, naming it.
    """
    check_ranges(gap, particles=(1, MOST_PARTICLES), look=(1, FARTHEST_BARS))
    bars = score.count_bars()
    if not 1 <= gap.first <= gap.last <= bars:
        raise ValueError(
            f"`bars` must name bars in 1..{bars}, the earlier first: 5:8 is bars 5 to 8, "
            f"both included. Received: {gap.first}:{gap.last}"
        )
    if gap.last - gap.first >= MOST_BARS:
        raise ValueError(
            f"`bars` may be {MOST_BARS} at most. Received: {gap.first}:{gap.last}"
        )
    if gap.track is not None and not 0 <= gap.track < len(score.tracks):
        raise ValueError(
            f"`track` must be in 1..{len(score.tracks)}. Received: {gap.track + 1}"
        )
    return score.bar_ticks()[gap.first - 1 : gap.last + 1]


def infill(bundle, score, gap):
    """Write some bars anew.

    Args:
        bundle: `audio_models.bundle.Bundle` of a model of scores that reads from left
            to right.
        score: `Score`. A model of one voice writes the melody track, or the one asked
            for, as one voice; one of four voices all its voices, or that track's.
        gap: `Gap`.

    Returns:
        `Infilled`. Each note of the score that does not start within the bars, or is of
        another track than those written, is in it as it was; so are its maps.

    Raises:
        ValueError: if a wish lies outside its range, or the model cannot do it.
    """
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    check_reads_onward(bundle, tokenizer)
    if not len(score):
        raise ValueError("no notes: there is nothing to fill in")
    lines = check_gap(gap, score)
    written, score = score.tracks, parts_as_heard(bundle, score)
    if gap.particles is None:
        has_window = hasattr(bundle.architecture, "context_length")
        gap = replace(gap, particles=PARTICLES_OF_WINDOWS if has_window else PARTICLES)
    if tokenizer.name == "performance":
        raise ValueError(
            "A model of performance tokens knows no bars, and cannot fill any: it takes "
            "melody, chorale or remi tokens."
        )
    write = _fill_stretch if tokenizer.name == "remi" else _fill_lines
    kept, notes, filled, nats, told = write(bundle, tokenizer, score, gap, lines)
    whole = np.concatenate([score.notes[kept], notes])
    return Infilled(
        replace(score, notes=whole, tracks=written),
        notes,
        int((~kept).sum()),
        float(1 / np.square(filled.shares).sum()),
        nats,
        tuple(told),
    )


def _starts_within(score, lines):
    start = score.notes["start"]
    return (start >= lines[0]) & (start < lines[-1])


def _fill_lines(bundle, tokenizer, score, gap, lines):
    begin, until = int(lines[0]), int(lines[-1])
    grid = Grid.at(score, begin, metre_at(score, begin))
    track = gap.track if tokenizer.name == "melody" else None
    voices = voices_of(score, tokenizer, track)
    if gap.track is not None and not (score.notes["track"] == gap.track).any():
        raise ValueError(f"track {gap.track + 1} holds no note")
    if gap.track is not None and score.tracks[gap.track].is_drum:
        raise ValueError(f"track {gap.track + 1} is a drum kit's: it has no pitches")
    written = [
        voice for voice, home in enumerate(voices.tracks) if gap.track in (None, home)
    ]
    if not written:
        raise ValueError(
            f"track {gap.track + 1} is none of the four voices ({voices.reason})"
        )
    homes = [voices.tracks[voice] for voice in written]
    own = np.isin(score.notes["track"], homes)
    kept = ~(own & _starts_within(score, lines))
    given = lines_of(score, voices, kept, grid)
    every = lines_of(score, voices, np.ones(len(score), dtype=bool), grid)
    octaves = octave_of(bundle, tokenizer, given, grid)
    given["pitch"] += 12 * octaves
    free, closed = grid.step(begin), grid.step(until)
    end = int(every["end"].max())
    end = end if end > free else closed
    comes = [
        min(
            given["start"][(given["voice"] == v) & (given["start"] >= closed)],
            default=end,
        )
        for v in written
    ]
    reach = min(max(comes), closed + LOOK_BARS * grid.bar) + gap.look * grid.bar
    reach = min(end, reach, closed + FARTHEST_BARS * grid.bar)
    table = table_of(
        tokenizer,
        given,
        grid,
        free=free,
        onsets_until=closed,
        until=reach,
        voices=written,
        may_end=reach == end,
        compass=compass_of(every, voices, octaves),
    )
    filled = write_table(bundle, table, gap)
    ids = filled.ids[filled.chosen]
    fresh = new_notes(tokenizer, table, ids, reach - free)
    fresh["pitch"] -= 12 * octaves
    notes = place_notes(score, grid, fresh, voices, earliest=begin)
    notes["start"] = np.minimum(notes["start"], until - 1)
    # A new note rings into the bars behind only where one did that made way.
    gone = score.notes[~kept]
    rang = int((gone["start"].astype(np.int64) + gone["duration"]).max(initial=0))
    longest = max(until, rang) - notes["start"]
    notes["duration"] = np.minimum(notes["duration"], longest)
    is_free = table.is_free[free - table.base :].ravel()
    cost = filled.log_probability[filled.chosen][: len(is_free)][is_free].sum()
    return (
        kept,
        notes,
        filled,
        float(-cost / max(1, len(fresh))),
        _told(tokenizer, score, voices, homes),
    )


def write_table(bundle, table, gap):
    """Fill the free cells of a table.

    Args:
        table: `lines.Table`. gap: `Gap`.

    Returns:
        `particles.Filled`, of the tokens along ``table.sheet``.
    """
    filled = fill(
        player_of(bundle, table.prefix, table.sheet, ends=table.may_end),
        table.prefix,
        table.sheet,
        among=notes_among(bundle, tokenizer_from_spec(bundle.vocabulary)),
        particles=gap.particles,
        seed=gap.seed,
        temperature=gap.temperature,
        top_k=gap.top_k,
        top_p=gap.top_p,
        copies=not is_guided(bundle),
    )
    if is_guided(bundle):
        filled = reweighed(bundle, table.prefix, filled, gap.seed)
    return filled


def _fill_stretch(bundle, tokenizer, score, gap, lines):
    from studio.stretches import fill_bars

    if gap.track is not None:
        _check_own_instrument(score, gap.track)
    if any(lines[0] < metre.tick < lines[-1] for metre in score.metres):
        raise ValueError(
            "The metre changes within the bars: a model of remi tokens fills bars of "
            "one metre."
        )
    kept = ~_starts_within(score, lines)
    told = []
    if gap.track is not None:
        kept |= score.notes["track"] != gap.track
        told = _told(tokenizer, score, None, [gap.track])
    notes, filled, row, length = fill_bars(bundle, tokenizer, score, kept, lines, gap)
    cost = filled.log_probability[row, :length].sum()
    return kept, notes, filled, float(-cost / max(1, len(notes))), told


def _check_own_instrument(score, track):
    """Raise ValueError unless a track plays, and no other has its instrument."""
    played = np.unique(score.notes["track"]).tolist()
    if track not in played:
        raise ValueError(f"track {track + 1} holds no note")
    home = score.tracks[track]
    for other in played:
        theirs = score.tracks[other]
        same = theirs.is_drum == home.is_drum
        if other != track and same and (home.is_drum or theirs.program == home.program):
            raise ValueError(
                f"tracks {track + 1} and {other + 1} have one instrument, and to a model "
                "of remi tokens are one: give them programs of their own"
            )


def _told(tokenizer, score, voices, homes):
    others = np.setdiff1d(np.unique(score.notes["track"]), homes)
    if not len(others):
        return []
    name = " and ".join(
        repr(score.tracks[t].name or f"track {t + 1}") for t in sorted(set(homes))
    )
    why = f" ({voices.reason})" if tokenizer.name == "melody" else ""
    return [f"Written anew: {name}{why}; what else plays in these bars stays."]

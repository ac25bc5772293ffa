"""Where a continuation ends, and which of its takes is kept."""

from dataclasses import replace
from itertools import product

import numpy as np

from audio_models.request import IMPOSSIBLE
from studio.led import sheet_of

CADENCE_WORTH = 3.0  # nats that an ending on the tonic may be less expected
REGISTER = 6.0  # semitones that the middle of a line may wander off
LONGEST_RUN = 4  # strikes of one key in a row, unless what was given has more


def sound_takes(
    takes, tokenizer, count, steps, *, typical=None, longest=LONGEST_RUN, middle=None
):
    """Which takes are worth ending: not stuck on a note, nor far from real music.

    A take that repeats itself expects its end most; of such the likeliest end would
    make the dullest music.

    Args:
        takes: `particles.Filled`, ``count`` tokens a step.
        steps: int, how many of them count.
        typical: float or None, nats per note of real music; None: the median take.
        longest: int, so often in a row may the first voice strike one key.
        middle: float or None, the median pitch of what that voice was given.

    Returns:
        two bool arrays (K,), True somewhere: the half that is nearest to what is
        typical, of those that are neither stuck nor in another register, or that are
        the least so; and all of those.
    """
    ids = takes.ids[:, : steps * count]
    runs = np.array([longest_run(tokenizer, row[::count]) for row in ids])
    good = runs <= max(longest, runs.min())
    if middle is not None:
        off = np.array([_off_register(tokenizer, row[::count], middle) for row in ids])
        good &= off <= max(REGISTER, off[good].min())
    notes = np.maximum(1, tokenizer.is_note(ids).sum(axis=1))
    nats = -takes.log_probability[:, : steps * count].sum(axis=1) / notes
    away = np.abs(nats - (np.median(nats[good]) if typical is None else typical))
    return good & (away <= np.median(away[good])), good


def _off_register(tokenizer, ids, middle):
    """By how many semitones the middle of a line lies off that of what was given."""
    pitches = tokenizer.pitches(ids[tokenizer.is_note(ids)])
    return abs(float(np.median(pitches)) - middle) if len(pitches) else 0.0


def longest_run(tokenizer, ids):
    """How often at most one key is struck in a row in the ids of one voice."""
    struck = ids[tokenizer.is_note(ids)]
    changes = np.flatnonzero(np.diff(struck)) + 1
    return int(np.diff(np.r_[0, changes, len(struck)]).max())


def choose_end(takes, tokenizer, count, after, until, beat, tonic=None, pools=()):
    """Which take to keep, and where to end it.

    Args:
        takes: `particles.Filled`, ``count`` tokens a step.
        after, until: int steps; the end lies in ``after < step <= until``.
        beat: int, how many steps the last note of the first voice should be held.
        tonic: int or None, the pitch class on which the last voice should end.
        pools: bool arrays (K,), which takes are to be chosen from: the first, or the
            next if none of it is held to its end.

    Returns:
        (int, int): the row, and how many of its steps to keep: the most expected end
        at which the note is held. One on the tonic is taken if it is at most
        `CADENCE_WORTH` nats less expected; where no end is held, any other.
    """
    worth = takes.end_log_probability[:, ::count][:, 1:]  # an end before each step
    ends = np.arange(1, worth.shape[1] + 1)
    held, _ = _sounding(tokenizer, takes.ids[:, ::count])
    _, pitch = _sounding(tokenizer, takes.ids[:, count - 1 :: count])
    held, pitch = held[:, : len(ends)], pitch[:, : len(ends)]
    possible = (ends > after) & (ends <= until) & (worth > IMPOSSIBLE / 2)
    pools = [rows[:, None] & possible for rows in pools] or [possible]
    for enough, pool in [*product((beat, 1), pools), *product((1, 0), [possible])]:
        may = pool & (held >= enough)
        if not may.any():
            continue
        if tonic is not None and enough:
            near = worth >= worth[may].max() - CADENCE_WORTH
            home = may & near & (pitch >= 0) & (pitch % 12 == tonic)
            may = home if home.any() else may
        best = np.where(may, worth, -np.inf)
        row, place = np.unravel_index(int(best.argmax()), best.shape)
        return int(row), int(ends[place])
    return 0, int(until)


def with_cadence(tokenizer, table, home, count, tonic):
    """A table whose last voice strikes the tonic in a place, and holds it from there on.

    For a model that hears ahead: it knows where the end is, expects any of its endings,
    and is told by this that the last note is held.

    Args:
        table: `lines.Table`, ``count`` cells a step.
        home: int, the number of a free cell of that voice.
        tonic: int, a pitch class.

    Returns:
        `lines.Table`; the same where that cell may not have the tonic.
    """
    may = table.sheet.may_stand.copy()
    first = tokenizer.vocabulary.ids("pitch")[0]
    vocabulary = np.arange(tokenizer.vocab_size)
    is_tonic = tokenizer.is_note(vocabulary) & ((vocabulary - first) % 12 == tonic)
    if home < 0 or not (may[home] & is_tonic).any():
        return table
    may[home] &= is_tonic
    may[home + count :: count] = vocabulary == tokenizer.hold
    return replace(table, sheet=sheet_of(tokenizer, may, table.prefix))


def _sounding(tokenizer, cells):
    """For how many steps the note has sounded at each step's end, and its pitch.

    Args:
        cells: int array (K, steps), one voice.

    Returns:
        two int arrays (K, steps): 0 and -1 where nothing new sounds.
    """
    step = np.arange(cells.shape[1])
    latest = np.maximum.accumulate(np.where(cells != tokenizer.hold, step, -1), axis=1)
    last = np.take_along_axis(cells, np.maximum(latest, 0), axis=1)
    sounds = tokenizer.is_note(last) & (latest >= 0)
    first = tokenizer.vocabulary.ids("pitch")[0]
    return np.where(sounds, step + 1 - latest, 0), np.where(sounds, last - first, -1)

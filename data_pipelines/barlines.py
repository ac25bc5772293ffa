"""Where the bars of a score stand, found by ear: for files whose bar lines mean nothing.

Many MIDI files were played or transcribed freely against a clock: their beats are even,
but they begin anywhere between the clock's, and the metre that the file names is
whatever the program wrote. Bars, positions and metres made of such a file teach a model
nonsense. `with_found_bars` looks at three things a listener goes by:

- the grid of sixteenths that most notes begin on (the mean of their phases on a circle);
- where long low notes begin, and where the harmony changes: mostly on a downbeat, next
  on the half bar;
- where the first and the last low note stand.

Reference:
    Mardia and Jupp, 2000, Directional Statistics, section 2.2 (mean direction and
    resultant length); Temperley and Sleator, 1999, Modeling Meter and Harmony, Computer
    Music Journal 23:1 (bar lines are where long notes, bass and new harmony fall).
"""

from dataclasses import dataclass, replace

import numpy as np

from data_pipelines.score import Metre

SIXTEENTHS = 4  # in a quarter
STEADY = 0.8  # length of the mean direction, 0..1, below which there is no grid
FEWEST_NOTES = 16
LOWEST_SHARE = 0.35  # of the notes: what counts as low
CLEARLY = 0.5  # by how much bars of three quarters must be more alike than of four
WEIGHTS = {"bass": 1.0, "change": 0.7, "onsets": 0.3, "ends": 0.5}


@dataclass(frozen=True)
class Bars:
    """Bars that were found.

    ``offset`` is where the first bar line stands, in quarters from the beginning,
    0 or later and less than a bar; ``beats`` are the quarters in a bar, 3 or 4;
    ``steadiness`` is how near notes begin to the grid of sixteenths (1: on it, 0:
    anywhere).
    """

    offset: float
    beats: int
    steadiness: float


def with_found_bars(score):
    """The same music, moved to bars that were found: no note sounds other than before.

    The first bar line after the beginning becomes a bar line of the clock: everything
    is moved later by less than a bar, and the metre is 3/4 or 4/4 throughout.

    Args:
        score: `Score`.

    Returns:
        `Score`, its tempos and keys moved with the notes.

    Raises:
        ValueError: if it has fewer than 16 notes, or its notes lie on no even grid.
    """
    bars = find_bars(score)
    if bars.steadiness < STEADY:
        raise ValueError(
            f"no steady beat: {bars.steadiness:.2f} of 1 on a grid of sixteenths, "
            f"at least {STEADY} is wanted"
        )
    shift = (bars.beats - bars.offset) % bars.beats
    ticks = round(shift * score.ticks_per_quarter)
    notes = score.notes.copy()
    notes["start"] += ticks
    pedals = score.pedals.copy()
    pedals["start"] += ticks

    def moved(marks):
        return tuple(
            replace(mark, tick=mark.tick + ticks if mark.tick else 0) for mark in marks
        )

    return replace(
        score,
        notes=notes,
        pedals=pedals,
        tempos=moved(score.tempos),
        keys=moved(score.keys),
        metres=(Metre(0, bars.beats, 4),),
    )


def find_bars(score):
    """Find the grid, the metre and the first bar line of a score.

    Args:
        score: `Score` of at least 16 notes.

    Returns:
        `Bars`.

    Raises:
        ValueError: if it has fewer notes.
    """
    if len(score) < FEWEST_NOTES:
        raise ValueError(
            f"too short to find its bars: {len(score)} notes, "
            f"at least {FEWEST_NOTES} are wanted"
        )
    quarter = score.ticks_per_quarter
    start = score.notes["start"] / quarter
    mean = np.exp(2j * np.pi * SIXTEENTHS * start).mean()
    grid = np.angle(mean) / (2 * np.pi * SIXTEENTHS)  # within a half sixteenth of 0
    step = np.rint((start - grid) * SIXTEENTHS).astype(np.int64)
    first = int(step.min())  # -1 where the first note comes before the grid does
    length = np.maximum(score.notes["duration"] / quarter, 1 / SIXTEENTHS)
    evidence = _evidence(step - first, length, score.notes["pitch"])
    is_triple = _agreement(evidence, 3) > _agreement(evidence, 4) + CLEARLY
    beats = 3 if is_triple else 4
    phase = _best_phase(evidence, beats)
    offset = ((first + phase) / SIXTEENTHS + grid) % beats
    return Bars(float(offset), beats, float(abs(mean)))


def _evidence(step, length, pitch):
    """What speaks for a downbeat at each sixteenth: {name: float array (T,)}."""
    steps = int(step.max()) + 1
    is_low = pitch <= np.quantile(pitch, LOWEST_SHARE)
    bass = np.zeros(steps)
    np.maximum.at(bass, step[is_low], np.minimum(length[is_low], 4.0))
    onsets = np.sqrt(np.bincount(step, minlength=steps))
    ends = np.zeros(steps)
    low = np.flatnonzero(bass >= 1)
    if len(low):
        ends[low[[0, -1]]] = 1
    return {
        "bass": bass,
        "change": _change(step, length, pitch, steps),
        "onsets": onsets,
        "ends": ends,
    }


def _change(step, length, pitch, steps):
    """How new the pitch classes of the next half bar are, float array (T,) in 0..1."""
    half = 2 * SIXTEENTHS
    sounding = np.zeros((steps + 1, 12))
    end = np.minimum(step + np.rint(length * SIXTEENTHS).astype(int), steps)
    np.add.at(sounding, (step, pitch % 12), 1)
    np.add.at(sounding, (end, pitch % 12), -1)
    sounding = np.cumsum(sounding, axis=0)[:-1] > 0
    total = np.concatenate([np.zeros((1, 12)), np.cumsum(sounding, axis=0)])
    at = np.arange(steps)
    before = total[at] - total[np.maximum(at - half, 0)]
    after = total[np.minimum(at + half, steps)] - total[at]
    norm = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    likeness = (before * after).sum(axis=1) / np.maximum(norm, 1e-9)
    return np.where(norm > 0, 1 - likeness, 0.0)


def _best_phase(evidence, beats):
    """The sixteenth of a bar, counted from 0, that is most likely its downbeat."""
    score = sum(
        weight * _pull(evidence[name], beats, name) for name, weight in WEIGHTS.items()
    )
    return int(np.argmax(score))


def _pull(values, beats, name):
    """How strongly one kind of evidence pulls the downbeat to each phase, (4 * beats,)."""
    bar = SIXTEENTHS * beats
    profile = np.bincount(np.arange(len(values)) % bar, weights=values, minlength=bar)
    profile = profile / max(profile.sum(), 1e-9)
    accent = np.zeros(bar)  # of each place in a bar, from the downbeat on
    accent[:: SIXTEENTHS // 2] = 0.05
    accent[::SIXTEENTHS] = 0.2
    if beats == 4:
        accent[2 * SIXTEENTHS] = 0.5
    accent[0] = 1.0
    if name == "ends":
        accent[1:] = 0
    return np.array([profile @ np.roll(accent, phase) for phase in range(bar)])


def _agreement(evidence, beats):
    """How alike bars of so many quarters are in bass and harmony: for the metre."""
    lag, likeness = SIXTEENTHS * beats, 0.0
    for name in ("bass", "change", "onsets"):
        values = evidence[name] - evidence[name].mean()
        for many in (1, 2):
            shifted = many * lag
            if len(values) > 2 * shifted:
                spread = (values[:-shifted] ** 2).mean() + 1e-9
                likeness += (values[:-shifted] * values[shifted:]).mean() / spread
    return likeness

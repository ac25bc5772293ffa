"""The grid of sixteenths that `melody` and `chorale` share."""

import numpy as np

STEPS_PER_QUARTER = 4
TICKS_PER_STEP = 120


def to_steps(ticks, ticks_per_quarter):
    """The nearest sixteenth to each tick, int64; half-way goes up."""
    ticks = ticks.astype(np.int64)
    double = 2 * ticks_per_quarter
    return (2 * ticks * STEPS_PER_QUARTER + ticks_per_quarter) // double


def milliseconds_off(score, ticks, steps):
    """How far each tick of a score lies from a step of the grid, float64."""
    on_grid = steps * score.ticks_per_quarter / STEPS_PER_QUARTER
    return 1000 * np.abs(score.seconds_at(ticks) - score.seconds_at(on_grid))

"""The same music, higher, slower or louder: Score -> Score, exact and pure.

The tokenizers' own `augmented` does this on token ids while a model trains, on their
grids; here nothing is rounded but velocities. How high is `Score.transposed`.

Reference:
    Oore, Simon, Dieleman, Eck and Simonyan, 2018, This Time with Feeling,
    https://arxiv.org/abs/1808.03715: the ranges below are those of its "less
    augmentation". It leaves loudness alone.
"""

import math
from dataclasses import replace

import numpy as np

from data_pipelines.score import DEFAULT_QPM, FASTEST_QPM, SLOWEST_QPM, Tempo

SEMITONES = range(-4, 5)  # up to a major third either way
STRETCHES = (0.95, 0.975, 1.0, 1.025, 1.05)


def transposable_range(score):
    """How far a score can be transposed and stay in 0..127.

    Returns:
        (int, int): semitones down (at most 0) and up (at least 0), both included. Drums
        do not move; (0, 0) where nothing does.
    """
    pitches = score.notes["pitch"][~score.is_drum_note()]
    if not len(pitches):
        return 0, 0
    return -int(pitches.min()), 127 - int(pitches.max())


def stretch(score, factor):
    """The same notes over `factor` times the time; ticks stay, tempos change.

    Args:
        score: `Score`.
        factor: float above 0; 1.05 is 5 % slower.

    Raises:
        ValueError: if a tempo would leave the ones that a score can have.
    """
    _check_factor(factor)
    tempos = score.tempos
    if not tempos or tempos[0].tick > 0:
        tempos = (Tempo(0, DEFAULT_QPM), *tempos)
    slowest, fastest = (f(t.qpm for t in tempos) / factor for f in (min, max))
    if not SLOWEST_QPM <= slowest <= fastest <= FASTEST_QPM:
        raise ValueError(
            f"Stretching by {factor:g} leaves {SLOWEST_QPM:.2g}..{FASTEST_QPM:g} quarters "
            f"a minute: the tempos would span {slowest:g}..{fastest:g}."
        )
    return replace(score, tempos=tuple(Tempo(t.tick, t.qpm / factor) for t in tempos))


def change_velocity(score, factor):
    """The same notes, each velocity multiplied by `factor`, rounded, kept in 1..127.

    Args:
        score: `Score`.
        factor: float above 0.

    Raises:
        ValueError: if the factor is not a number above 0.
    """
    _check_factor(factor)
    notes = score.notes.copy()
    notes["velocity"] = np.clip(np.rint(notes["velocity"] * float(factor)), 1, 127)
    return replace(score, notes=notes)


def _check_factor(factor):
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"`factor` must be a number above 0. Received: {factor}")

"""How alike two sets of pieces are: distributions of a measure, laid over each other.

Reference:
    Yang & Lerch 2018, On the evaluation of generative models in music,
    https://doi.org/10.1007/s00521-018-3849-7: the overlapping area of two densities, and
    a divergence beside it. We depart from it in three points: the densities are of the
    measure itself, not of distances between pieces; the divergence is Jensen and
    Shannon's, which is finite where one density is zero; and a kernel is never narrower
    than `NARROWEST`, so that a measure that is the same in all pieces has a density too.
"""

from dataclasses import dataclass

import numpy as np

GRID = 512  # points at which a density is taken
NARROWEST = 0.05  # a kernel's width, as a share of the deviation of all values together
HALVINGS = 20


@dataclass(frozen=True)
class Likeness:
    """How alike two distributions are.

    ``overlap`` is in 0..1 and 1 where they are the same; ``divergence`` in 0..1 bits
    (Jensen-Shannon), 0 where they are the same. NaN where one of them is empty.
    """

    overlap: float
    divergence: float


UNKNOWN = Likeness(float("nan"), float("nan"))


def histogram_likeness(a, b):
    """The `Likeness` of two histograms over the same places: float arrays (P,)."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not (a.sum() and b.sum()):
        return UNKNOWN
    a, b = a / a.sum(), b / b.sum()
    return Likeness(float(np.minimum(a, b).sum()), _jensen_shannon(a, b))


def likeness(a, b):
    """The `Likeness` of two samples of a measure: float arrays (N,), (M,); no NaN counts."""
    a, b = _finite(a), _finite(b)
    if not (len(a) and len(b)):
        return UNKNOWN
    grid = density_grid(a, b)
    return histogram_likeness(density(a, grid, a, b), density(b, grid, a, b))


def density_grid(*samples):
    """The points at which to compare densities: float64 array (GRID,)."""
    every = np.concatenate([_finite(sample) for sample in samples])
    margin = 3 * max(_width(_finite(s), every) for s in samples if len(_finite(s)))
    return np.linspace(every.min() - margin, every.max() + margin, GRID)


def density(sample, grid, *beside):
    """A Gaussian kernel density, its width by Scott's rule: float64 array, as `grid`.

    Args:
        sample: float array (N,), at least one finite.
        grid: float array (G,).
        beside: the samples it is compared with, itself among them: they set the
            narrowest width.
    """
    sample = _finite(sample)
    every = np.concatenate([_finite(other) for other in beside or (sample,)])
    width = _width(sample, every)
    bells = np.exp(-0.5 * ((grid[:, None] - sample) / width) ** 2)  # (G, N)
    return bells.mean(axis=1) / (width * np.sqrt(2 * np.pi))


def halvings(count, seed=0, times=HALVINGS):
    """Ways to part `count` pieces into two halves: list of (int array, int array).

    A pure function of its arguments; of an odd number one is left out each time.
    """
    rng = np.random.default_rng([seed, count])
    half = count // 2
    orders = [rng.permutation(count) for _ in range(times)]
    return [(order[:half], order[half : 2 * half]) for order in orders]


def mean_likeness(pairs):
    """The mean of several `Likeness`, those that are unknown left out."""
    known = [pair for pair in pairs if np.isfinite(pair.overlap)]
    if not known:
        return UNKNOWN
    return Likeness(
        float(np.mean([pair.overlap for pair in known])),
        float(np.mean([pair.divergence for pair in known])),
    )


def _finite(sample):
    sample = np.asarray(sample, dtype=float)
    return sample[np.isfinite(sample)]


def _width(sample, every):
    scott = sample.std(ddof=1) * len(sample) ** -0.2 if len(sample) > 1 else 0.0
    # Where all values are one, any width will do: the densities are then the same.
    return max(scott, NARROWEST * every.std()) or 1.0


def _jensen_shannon(a, b):
    middle = (a + b) / 2

    def bits(p):
        is_there = p > 0
        return float((p[is_there] * np.log2(p[is_there] / middle[is_there])).sum())

    return min(1.0, max(0.0, (bits(a) + bits(b)) / 2))

"""Linear prediction of samples: the floor under every network that predicts them."""

from dataclasses import dataclass

import numpy as np

LEAST_SCALE = 1e-4  # of the residual; where there is silence, the bins decide


@dataclass(frozen=True)
class Autoregression:
    """AR(p): the next amplitude is a weighted sum of the last p, and a residual.

        x[t] = a_1 x[t - 1] + ... + a_p x[t - p] + e[t],   e Laplace with scale b

    and the probability of a code is the mass of e over the amplitudes it stands for.

    Args:
        coefficients: float array (p,), a_1 first.
        scale: float, b: the mean of \\|e\\|.
        forgetting: float in [0, 1), or None. With it, b follows the sound: it is the
            mean of the last residuals, that of each sample weighing so many times that
            of the sample after it; it begins with `scale`.
    """

    coefficients: np.ndarray
    scale: float
    forgetting: float | None = None

    def bits(self, codes, amplitudes, edges):
        """Bits of each sample of a sound, each told from those before it.

        Args:
            codes: int array (T,).
            amplitudes: float array (C,), what each code means.
            edges: float array (C + 1,), rising: code k stands for edges[k]..edges[k + 1].
                The first may be -inf and the last inf.

        Returns:
            float64 array (T,).
        """
        residual = self.residual(amplitudes[codes])
        predicted = amplitudes[codes] - residual
        scale = self._scales(np.abs(residual))
        low = (edges[codes] - predicted) / scale
        high = (edges[codes + 1] - predicted) / scale
        return -np.log2(np.maximum(laplace_mass(low, high), 1e-30))

    def residual(self, samples):
        """e of each sample, zeros standing before the first: float64 array (T,)."""
        return samples - before(samples, len(self.coefficients)) @ self.coefficients

    def _scales(self, size):
        if self.forgetting is None:
            return max(self.scale, LEAST_SCALE)
        keep, held, scales = self.forgetting, self.scale, np.empty(len(size))
        for t, now in enumerate(size.tolist()):
            scales[t] = held
            held = keep * held + (1 - keep) * now
        return np.maximum(scales, LEAST_SCALE)


def fit_autoregression(sounds, order, forgetting=None):
    """The `Autoregression` of least squares over some sounds.

    Args:
        sounds: list of float arrays (T,), amplitudes.
        order: int, at least 1.
        forgetting: as for `Autoregression`.

    Raises:
        ValueError: if the order is not at least 1, or there is no sample.
    """
    if order < 1:
        raise ValueError(f"`order` must be at least 1. Received: {order}")
    if not sum(map(len, sounds)):
        raise ValueError("There is nothing to learn from: no sound has a sample.")
    square, product = np.zeros((order, order)), np.zeros(order)
    for samples in sounds:
        past = before(samples, order)
        square += past.T @ past
        product += past.T @ samples
    coefficients = np.linalg.lstsq(square, product, rcond=None)[0]
    plain = Autoregression(coefficients, 0.0)
    total = sum(np.abs(plain.residual(samples)).sum() for samples in sounds)
    scale = float(total / sum(map(len, sounds)))
    return Autoregression(coefficients, scale, forgetting)


def before(samples, order):
    """float64 array (T, order): the samples before each, the newest first."""
    padded = np.concatenate([np.zeros(order), np.asarray(samples, "float64")])
    windows = np.lib.stride_tricks.sliding_window_view(padded, order)
    return windows[: len(samples), ::-1]


def laplace_mass(low, high):
    """How much of a Laplace distribution of scale 1 lies in low..high, low <= high.

    From tails, so that small masses far from 0 do not cancel.
    """
    turned = low > 0  # the mirror image has the same mass
    low, high = np.where(turned, -high, low), np.where(turned, -low, high)
    below = 0.5 * np.exp(np.minimum(low, 0))
    upto = np.where(
        high <= 0, 0.5 * np.exp(np.minimum(high, 0)), 1 - 0.5 * np.exp(-np.abs(high))
    )
    return upto - below

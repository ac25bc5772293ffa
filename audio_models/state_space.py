"""Damped resonators over tokens: a state that is only ever turned, and damped."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded
from audio_models.frames import (
    LEVEL_FEATURES,
    PAD,
    SampleBySample,
    check_classes,
    class_vectors,
    level_features,
)
from audio_models.transformer import rms_norm

LONGEST_RING = 1024.0  # steps in which the slowest resonator decays to 1 / e, at first


@dataclass(frozen=True)
class StateSpace(SampleBySample):
    """Layers of resonators: each rings at its own pitch, and dies away at its own rate.

        n = RMSNorm(x),  h[t] = exp(-r + i w) h[t - 1] + sqrt(1 - exp(-2 r)) (B n[t])
        a, g = W [Re h, Im h, n] + V k,  x of the next layer = x + a * sigmoid(g)

    with k the class, h complex and one resonator a channel. Of a step, what has to wait
    for the step before is one product a resonator: all matrices meet all steps of a
    piece at once. Nothing is forgotten at a fixed distance. The first layer reads the
    last few tokens side by side, since a resonator cannot tell neighbours apart.

    Args:
        vocab_size, first_class, num_classes, embedding_dim: as for `frames.Frames`.
        hidden_dim: int, channels of a layer, and its resonators.
        num_layers: int.
        window: int, how many tokens the first layer reads side by side.
        skip_dim: int, units of the layer before the logits.
        dropout: float in [0, 1), on what each layer adds, in training.

    Reference:
        Gu et al. 2022, S4D, https://arxiv.org/abs/2206.11893, with the normalised dense
        input of Orvieto et al. 2023, LRU, https://arxiv.org/abs/2303.06349. There the
        input of a state is complex; here it is real, and the read-out turns it. Rates
        and pitches begin as a fixed series and learn by what to multiply it.
    """

    vocab_size: int
    first_class: int = 4
    num_classes: int = 0
    embedding_dim: int = 8
    hidden_dim: int = 96
    num_layers: int = 2
    window: int = 16
    skip_dim: int = 128
    dropout: float = 0.0

    FROM_ZERO: ClassVar = ("first_class", "num_classes")
    GROUP: ClassVar = 1

    def __post_init__(self):
        check_limits(self)
        check_classes(self)

    @property
    def HEAD(self):
        """How many tokens every window begins with: where there is a class, it tells."""
        return 2 if self.num_classes else 0

    @property
    def feature_dim(self):
        """How many numbers tell of a token."""
        return self.embedding_dim + LEVEL_FEATURES

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        size, skip = self.hidden_dim, self.skip_dim
        named = {
            "embedding": Weight((self.vocab_size, self.embedding_dim), "normal"),
            "input": Weight((self.window * self.feature_dim, size)),
        }
        if self.num_classes:
            named["class"] = Weight((self.num_classes, size), "embedding")
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            named[f"{name}.norm"] = Weight((size,), "ones")
            named[f"{name}.drive"] = Weight((size, size))  # B
            named[f"{name}.rate"] = Weight((size,), "zeros")
            named[f"{name}.pitch"] = Weight((size,), "zeros")
            named[f"{name}.output"] = Weight((3 * size, 2 * size))
            named[f"{name}.bias"] = Weight((2 * size,), "zeros")
            if self.num_classes:
                named[f"{name}.class"] = Weight((size, 2 * size))
        named["skip.norm"] = Weight((size,), "ones")
        named["skip.kernel"] = Weight((size, skip))
        named["skip.bias"] = Weight((skip,), "zeros")
        named["head.kernel"] = Weight((skip, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token.

        Returns:
            tuple: what rings, its real and its imaginary part, float arrays
            (layers, B, D); the last tokens (B, window) and the token in the class's
            place (B,), int; how many tokens were read, int ().
        """
        rings = (self.num_layers, batch_size, self.hidden_dim)
        return (
            ops.zeros(rings, "float32"),
            ops.zeros(rings, "float32"),
            ops.zeros((batch_size, self.window), "int32") + PAD,
            ops.zeros((batch_size,), "int32") + PAD,
            ops.zeros((), "int32"),
        )

    def _read(self, ops, weights, ids, dropout):
        # The logits after each token of whole rows. Time comes first in here.
        rows, length = ops.shape(ids)[:2]  # no `if` looks at them: they may be symbols
        before = ops.zeros((rows, self.window - 1), "int32") + PAD
        heard = ops.transpose(ops.concatenate([before, ids], axis=1), (1, 0))
        features = self._features(ops, weights, heard)
        taps = [features[k : k + length] for k in range(self.window)]
        x = ops.matmul(ops.concatenate(taps, axis=-1), weights["input"])  # (T, B, D)
        share = None
        if self.num_classes:
            nobody = ops.zeros((rows, 1), "int32") + PAD  # where only BOS was read
            opening = ops.concatenate([ids, nobody], axis=1)[:, 1]
            known = ops.cast(ops.arange(length) >= 1, "float32")[:, None, None]
            share = self._class(ops, weights, opening), known
        for layer in range(self.num_layers):
            n, driven = self._driven(ops, weights, layer, x)
            rate, pitch = self._poles(ops, weights, layer)
            re, im = rung(ops, driven, rate, pitch)
            x = self._leave_layer(ops, weights, layer, x, (re, im, n), share, dropout)
        return self._logits(ops, weights, ops.transpose(x, (1, 0, 2)))

    def _step(self, ops, weights, ids, state):
        re, im, recent, opening, read = state
        rows = ops.shape(ids)[0]
        recent = ops.concatenate([recent[:, 1:], ids[:, None]], axis=1)
        opening = ops.where(read == 1, ids, opening)
        x = ops.reshape(self._features(ops, weights, recent), (rows, -1))
        x, after, share = ops.matmul(x, weights["input"]), [], None
        if self.num_classes:
            known = ops.cast(read >= 1, "float32")
            share = self._class(ops, weights, opening), known
        for layer in range(self.num_layers):
            n, driven = self._driven(ops, weights, layer, x)
            rate, pitch = self._poles(ops, weights, layer)
            a, b = ops.exp(-rate) * ops.cos(pitch), ops.exp(-rate) * ops.sin(pitch)
            rings = (
                a * re[layer] - b * im[layer] + driven,
                a * im[layer] + b * re[layer],
            )
            after.append(rings)
            x = self._leave_layer(ops, weights, layer, x, (*rings, n), share)
        re, im = zip(*after, strict=True)
        state = ops.stack(re), ops.stack(im), recent, opening, read + 1
        return self._logits(ops, weights, x), state

    def _driven(self, ops, weights, layer, x):
        # (x normed, what strikes the resonators), each (..., D).
        name = f"layer{layer}"
        n = rms_norm(ops, x) * weights[f"{name}.norm"]
        rate, _ = self._poles(ops, weights, layer)
        loudness = ops.sqrt(1 - ops.exp(-2 * rate))  # of noise, a ringing as loud
        return n, ops.matmul(n, weights[f"{name}.drive"]) * loudness

    def _poles(self, ops, weights, layer):
        # How fast each resonator dies away and turns, a step: rates (D,), radians (D,).
        rate, pitch = first_poles(self.hidden_dim)
        rate = rate * ops.exp(weights[f"layer{layer}.rate"])
        return rate, pitch * ops.exp(weights[f"layer{layer}.pitch"])

    def _leave_layer(self, ops, weights, layer, x, heard, share, dropout=None):
        name, size = f"layer{layer}", self.hidden_dim
        gates = ops.matmul(ops.concatenate(heard, axis=-1), weights[f"{name}.output"])
        gates = gates + weights[f"{name}.bias"]
        if share is not None:
            vector, known = share
            gates = gates + ops.matmul(vector, weights[f"{name}.class"]) * known
        z = gates[..., :size] * ops.sigmoid(gates[..., size:])
        return x + (z if dropout is None else dropout(z))

    def _features(self, ops, weights, ids):
        # (..., feature_dim) of tokens (...).
        levels = level_features(self.vocab_size, self.first_sample)
        vectors = embedded(ops, weights["embedding"], ids)
        return ops.concatenate([ops.take(levels, ids, axis=0), vectors], axis=-1)

    def _class(self, ops, weights, opening):
        return class_vectors(ops, weights["class"], opening, self.first_class)

    def _logits(self, ops, weights, x):
        x = rms_norm(ops, x) * weights["skip.norm"]
        x = ops.relu(ops.matmul(x, weights["skip.kernel"]) + weights["skip.bias"])
        return ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]


@lru_cache(maxsize=8)
def first_poles(count):
    """Rates and pitches before anything is learnt: float32 (count,), (count,).

    The times to ring are a geometric series from 2 steps; the pitches go round in
    golden steps, so that near rates have far pitches, and are denser where they are low.
    """
    rate = 1 / np.geomspace(2, LONGEST_RING, count)
    turn = np.arange(1, count + 1) * (np.sqrt(5) - 1) / 2 % 1
    return rate.astype("float32"), (np.pi * turn**2).astype("float32")


def rung(ops, driven, rate, pitch):
    """What rings after each step: h[t] = exp(-rate + i pitch) h[t - 1] + driven[t].

    A loop over time: on two CPU cores it takes a quarter of the time of the forms that
    run side by side (triangular matrices of 16 to 64 steps, FFT), which a GPU would
    prefer. The gradient is by hand: the same sum, run backwards with the pitch turned
    round. Automatic differentiation does not compile for a length told only as it runs.

    Args:
        ops: array namespace.
        driven: float array (T, B, D).
        rate, pitch: float arrays (D,).

    Returns:
        (real part, imaginary part) of h, each (T, B, D).
    """
    a, b = ops.exp(-rate) * ops.cos(pitch), ops.exp(-rate) * ops.sin(pitch)

    def sums(x, a, b):
        def step(h, now):
            h = a * h[0] - b * h[1] + now, a * h[1] + b * h[0]
            return h, h

        nothing = ops.zeros_like(x[0])
        return ops.scan(step, (nothing, nothing), x)[1]

    if not hasattr(ops, "custom_gradient"):  # NumPy: nothing is learnt there
        return sums(driven, a, b)

    def differentiable(x, a, b):
        re, im = sums(x, a, b)
        size = x.shape[-1]

        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream

            def step_back(g, t):
                now = upstream[t]
                g_re = a * g[0] + b * g[1] + now[:, :size]
                g = g_re, a * g[1] - b * g[0] + now[:, size:]
                return g, g

            nothing, steps = ops.zeros_like(x[0]), ops.arange(ops.shape(x)[0])
            g_re, g_im = ops.scan(step_back, (nothing, nothing), steps, reverse=True)[1]
            da = ops.sum(g_re[1:] * re[:-1] + g_im[1:] * im[:-1], axis=(0, 1))
            db = ops.sum(g_im[1:] * re[:-1] - g_re[1:] * im[:-1], axis=(0, 1))
            return g_re, da, db

        return ops.concatenate([re, im], axis=-1), gradient

    return ops.split(ops.custom_gradient(differentiable)(driven, a, b), 2, axis=-1)

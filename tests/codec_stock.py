"""A small codec of drawn weights, and sounds for it."""

import math

import numpy as np

from audio_models.codec import Codec, CodecPlayer

SMALL = Codec(
    sample_rate=8000,
    hop=8,
    latent_dim=6,
    hidden_dim=6,
    num_quantizers=3,
    codebook_size=16,
)


def drawn_weights(architecture, seed=0):
    """Biases too, so that silence is not nothing."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1 / math.sqrt(weight.shape[0]), weight.shape).astype("f4")
        for name, weight in architecture.weights().items()
    }


def player_of(architecture=SMALL, seed=0):
    return CodecPlayer(architecture, drawn_weights(architecture, seed))


def noise(length, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, length).astype("float32")


def sine(hertz, rate=8000, seconds=0.5, amplitude=0.5):
    instants = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * instants)).astype("float32")


def transparent(architecture):
    """Weights by which the transform alone passes the sound."""
    weights = {k: np.zeros_like(v) for k, v in drawn_weights(architecture).items()}
    for name in ("analysis", "synthesis"):
        weights[name] = np.eye(architecture.hop, dtype="float32")
    return weights

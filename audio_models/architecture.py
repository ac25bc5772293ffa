"""What every architecture shares: its limits, and how a weight begins."""

from dataclasses import dataclass, fields

LARGEST = {
    "vocab_size": 65_536,
    "embedding_dim": 4096,
    "hidden_dim": 4096,
    "num_layers": 64,
    "num_heads": 64,
    "context_length": 65_536,
}


@dataclass(frozen=True)
class Weight:
    """One array of an architecture: its shape, and how it is drawn at first.

    ``initial`` is zeros, ones, normal, embedding (a small normal), glorot, orthogonal (each square block of the
    last axis on its own) or forget_gate (zeros, but ones in the second quarter).
    """

    shape: tuple[int, ...]
    initial: str = "glorot"


def check_limits(architecture):
    """Raise ValueError where a size is no integer in 1..its largest."""
    for field in fields(architecture):
        value = getattr(architecture, field.name)
        if field.name == "dropout":
            if not 0 <= value < 1:
                raise ValueError(f"`dropout` must be in [0, 1). Received: {value}")
        elif type(value) is not int or not 1 <= value <= LARGEST[field.name]:
            raise ValueError(
                f"`{field.name}` must be an integer in 1..{LARGEST[field.name]}. "
                f"Received: {value!r}"
            )


def check_weights(architecture, weights):
    """Raise ValueError unless `weights` has each array, of its shape, and finite."""
    import numpy as np

    expected = architecture.weights()
    if set(weights) != set(expected):
        odd = sorted(set(weights) ^ set(expected))
        raise ValueError(f"These weights are missing, or not known: {', '.join(odd)}.")
    for name, weight in expected.items():
        if tuple(weights[name].shape) != weight.shape:
            raise ValueError(
                f"Weight {name} must have shape {weight.shape}. "
                f"Received: {tuple(weights[name].shape)}"
            )
        if not np.isfinite(np.asarray(weights[name])).all():
            raise ValueError(f"Weight {name} holds numbers that are not finite.")

"""What every architecture shares: its limits, and how a weight begins."""

from dataclasses import dataclass, fields

LARGEST = {
    "vocab_size": 65_536,
    "embedding_dim": 4096,
    "hidden_dim": 4096,
    "num_layers": 64,
    "num_heads": 64,
    "context_length": 65_536,
    "window": 512,
    "first_pitch": 65_536,
    "num_pitches": 65_536,
    "rest": 65_536,
    "chain_dim": 4096,
    "ahead_dim": 4096,
    "num_voices": 16,
    "first_class": 65_536,
    "num_classes": 65_536,
    "frame": 256,
    "sample_dim": 4096,
    "cycle": 12,
    "skip_dim": 4096,
    "num_bins": 8193,
    "num_stems": 16,
    "squeezed_dim": 4096,
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
    """Raise ValueError where a field is not what it may be.

    A size is an integer in 1..its largest; a field annotated as bool is one; one that
    the class names in its ``CHOICES`` (field -> tuple of str) is one of those; one named
    in its ``FROM_ZERO`` may be 0.
    """
    choices = getattr(architecture, "CHOICES", {})
    for field in fields(architecture):
        name, value = field.name, getattr(architecture, field.name)
        if name == "dropout":
            if not isinstance(value, (int, float)) or not 0 <= value < 1:
                raise ValueError(f"`dropout` must be in [0, 1). Received: {value!r}")
        elif name in choices:
            if not isinstance(value, str) or value not in choices[name]:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(choices[name])}. "
                    f"Received: {value!r}"
                )
        elif field.type is bool:
            if type(value) is not bool:
                raise ValueError(f"`{name}` must be true or false. Received: {value!r}")
        else:
            least = 0 if name in getattr(architecture, "FROM_ZERO", ()) else 1
            if type(value) is not int or not least <= value <= LARGEST[name]:
                raise ValueError(
                    f"`{name}` must be an integer in {least}..{LARGEST[name]}. "
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

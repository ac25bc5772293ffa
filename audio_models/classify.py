"""Telling classes apart: what a sound or a piece is, where the others say what comes.

The arithmetic is written once, as for the models of `MODELS`: `network.Network` trains
it in Keras, `probabilities` runs it in NumPy.
"""

import math
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import Weight
from audio_models.bidirectional import both_ways_weights, read_both_ways
from audio_models.request import PAD
from audio_models.transformer import (
    after_attention,
    full_attention,
    layer_weights,
    queries_keys_values,
    rms_norm,
)

LARGEST = {
    "num_classes": 1000,
    "num_frames": 8192,
    "num_bands": 512,
    "patch_frames": 512,
    "patch_bands": 512,
    "vocab_size": 65_536,
    "embedding_dim": 4096,
    "hidden_dim": 4096,
    "num_layers": 64,
    "num_heads": 64,
}
MOST_PATCHES = 1024
BATCH = 64  # rows told at a time
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Classifier:
    """What all that give one answer to a whole piece share."""

    num_classes: int
    FROM_ZERO: ClassVar = ()

    def __post_init__(self):
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "dropout":
                if not isinstance(value, (int, float)) or not 0 <= value < 1:
                    raise ValueError(
                        f"`dropout` must be in [0, 1). Received: {value!r}"
                    )
                continue
            least = 0 if name in self.FROM_ZERO else 1
            if type(value) is not int or not least <= value <= LARGEST[name]:
                raise ValueError(
                    f"`{name}` must be an integer in {least}..{LARGEST[name]}. "
                    f"Received: {value!r}"
                )

    def start(self, ops, batch_size):
        """Raise ValueError: nothing is generated."""
        raise ValueError(
            f"{type(self).__name__} says what a whole piece is. It cannot generate."
        )


@dataclass(frozen=True)
class ViT(Classifier):
    """A Transformer over the patches of a spectrogram, none of them masked.

    Args:
        num_classes: int, K.
        num_frames: int, T, and num_bands: int, M, of a spectrogram.
        patch_frames, patch_bands: int, the size of a patch; they divide T and M.
        hidden_dim: int, D; a multiple of num_heads.
        num_layers: int. num_heads: int.
        dropout: float in [0, 1), on patches and on each residual branch, in training.

    Reference:
        Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929; for sound Gong, Chung
        & Glass 2021, AST, https://arxiv.org/abs/2104.01778. The layers are those of
        `transformer.Transformer`. The mean over patches is read, as in section D.3 of
        the former, and no class token; patches do not overlap, and nothing is learnt
        from pictures first. By default a patch is all bands of four frames: slices of
        time, as in Berg, O'Connor & Cruz 2021, https://arxiv.org/abs/2104.00769.
    """

    num_frames: int = 64
    num_bands: int = 48
    patch_frames: int = 4
    patch_bands: int = 48
    hidden_dim: int = 64
    num_layers: int = 4
    num_heads: int = 4
    dropout: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        for side in ("frames", "bands"):
            whole, part = getattr(self, f"num_{side}"), getattr(self, f"patch_{side}")
            if whole % part:
                raise ValueError(
                    f"`patch_{side}` must divide num_{side}. "
                    f"Received: patch_{side}={part}, num_{side}={whole}"
                )
        if self.hidden_dim % self.num_heads:
            raise ValueError(
                "`hidden_dim` must be a multiple of num_heads. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}"
            )
        if self.num_patches > MOST_PATCHES:
            raise ValueError(
                f"A spectrogram may have at most {MOST_PATCHES} patches. "
                f"Received: {self.num_patches}"
            )

    @property
    def num_patches(self):
        along = self.num_frames // self.patch_frames
        return along * (self.num_bands // self.patch_bands)

    def input_shape(self):
        """The shape of one input."""
        return (self.num_frames, self.num_bands)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        width = self.hidden_dim
        named = {
            "patch.kernel": Weight((self.patch_frames * self.patch_bands, width)),
            "patch.bias": Weight((width,), "zeros"),
            "position": Weight((self.num_patches, width), "embedding"),
        }
        for layer in range(self.num_layers):
            named |= layer_weights(f"layer{layer}", width)
        return named | {
            "norm": Weight((width,), "ones"),
            "head.kernel": Weight((width, self.num_classes)),
            "head.bias": Weight((self.num_classes,), "zeros"),
        }

    def forward(self, ops, weights, frames, state=None, dropout=None):
        """Look at spectrograms; give the logits of what each is.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            frames: float array (B, T, M), in [0, 1].
            state: None.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, K), None).
        """
        if state is not None:
            self.start(ops, None)
        drop = dropout or (lambda x: x)
        # Features lie about a half, a quarter to either side: about 0 they learn sooner.
        x = 4 * self.patches(ops, frames) - 2
        x = ops.matmul(x, weights["patch.kernel"])
        x = drop(x + weights["patch.bias"] + weights["position"])  # (B, N, D)
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            q, k, v = queries_keys_values(ops, weights, name, x, self.num_heads)
            heads = full_attention(ops, q, k, v)
            x = after_attention(ops, weights, name, x, heads, drop)
        pooled = ops.mean(rms_norm(ops, x) * weights["norm"], axis=1)  # (B, D)
        return ops.matmul(pooled, weights["head.kernel"]) + weights["head.bias"], None

    def patches(self, ops, frames):
        """Cut spectrograms up: (B, T, M) -> (B, N, frames * bands of a patch).

        Patches that begin together stand together, the lowest first.
        """
        along = self.num_frames // self.patch_frames
        up = self.num_bands // self.patch_bands
        x = ops.reshape(frames, (-1, along, self.patch_frames, up, self.patch_bands))
        x = ops.transpose(x, (0, 1, 3, 2, 4))
        return ops.reshape(
            x, (-1, self.num_patches, self.patch_frames * self.patch_bands)
        )


@dataclass(frozen=True)
class BiLSTMClassifier(Classifier):
    """Stacked LSTM pairs over frames or over tokens; the mean of what they say is read.

    Args:
        num_classes: int, K.
        num_bands: int, M: it reads frames of M numbers. 0: it reads token ids.
        vocab_size: int, how many ids there are; 0 where it reads frames.
        embedding_dim: int, width of a token's vector, or of a frame's.
        hidden_dim: int, width of each direction's state.
        num_layers: int; each layer reads both directions of the one below.
        dropout: float in [0, 1), after each layer, in training.

    Reference:
        Schuster & Paliwal 1997; Graves & Schmidhuber 2005. The pairs are those of
        `bidirectional.BiLSTM`.
    """

    num_bands: int = 0
    vocab_size: int = 0
    embedding_dim: int = 64
    hidden_dim: int = 64
    num_layers: int = 2
    dropout: float = 0.2
    FROM_ZERO: ClassVar = ("num_bands", "vocab_size")

    def __post_init__(self):
        super().__post_init__()
        if bool(self.num_bands) == bool(self.vocab_size):
            raise ValueError(
                "One of `num_bands` and `vocab_size` must be 0, the other not. "
                f"Received: num_bands={self.num_bands}, vocab_size={self.vocab_size}"
            )

    def input_shape(self):
        """The shape of one input, None where any length will do."""
        return (None, self.num_bands) if self.num_bands else (None,)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named = {"embedding": Weight((self.vocab_size, self.embedding_dim), "normal")}
        if self.num_bands:
            named = {
                "frame.kernel": Weight((self.num_bands, self.embedding_dim)),
                "frame.bias": Weight((self.embedding_dim,), "zeros"),
            }
        named |= both_ways_weights(self.embedding_dim, self.hidden_dim, self.num_layers)
        return named | {
            "head.kernel": Weight((2 * self.hidden_dim, self.num_classes)),
            "head.bias": Weight((self.num_classes,), "zeros"),
        }

    def forward(self, ops, weights, x, state=None, dropout=None):
        """Read pieces; give the logits of what each is.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            x: float array (B, T, M), at least 0; or int array (B, T) of ids. Frames of
                nothing but 0, and PAD, are padding: not read, and not in the mean.
            state: None.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, K), None).
        """
        if state is not None:
            self.start(ops, None)
        if self.num_bands:
            is_padding = ops.max(x, axis=-1) <= 0  # (B, T)
            x = ops.matmul(x, weights["frame.kernel"]) + weights["frame.bias"]
        else:
            is_padding = x == PAD
            x = ops.take(weights["embedding"], x, axis=0)  # (B, T, E)
        said = read_both_ways(ops, weights, x, is_padding, self.num_layers, dropout)
        real = 1.0 - ops.cast(is_padding, "float32")[..., None]  # (B, T, 1)
        count = ops.maximum(ops.sum(real, axis=1), 1.0)
        pooled = ops.sum(said * real, axis=1) / count  # (B, 2D)
        return ops.matmul(pooled, weights["head.kernel"]) + weights["head.bias"], None


CLASSIFIERS = {"vit": ViT, "bilstm-classifier": BiLSTMClassifier}


def logits_of(architecture, weights, x):
    """What a classifier makes of pieces, in NumPy: float32 (B, K).

    Args:
        architecture: one of `CLASSIFIERS`, built.
        weights: dict of name -> array.
        x: array (B, *input_shape).

    Raises:
        ValueError: if `x` has another shape, numbers that are not finite, or ids that
            are not known.
    """
    x = np.asarray(x)
    wanted = architecture.input_shape()
    given = x.shape[1:]
    if len(given) != len(wanted) or any(
        w not in (None, g) for w, g in zip(wanted, given, strict=True)
    ):
        told = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ValueError(f"Each input must be ({told}). Received: {given}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise ValueError("The input holds numbers that are not finite.")
    if (
        len(wanted) == 1
        and x.size
        and not 0 <= x.min() <= x.max() < (architecture.vocab_size)
    ):
        raise ValueError(
            f"Ids must be in 0..{architecture.vocab_size - 1}. "
            f"Received: {x.min()}..{x.max()}"
        )
    told = [np.zeros((0, architecture.num_classes), dtype=np.float32)]
    for first in range(0, len(x), BATCH):
        rows = x[first : first + BATCH]
        told.append(architecture.forward(numpy_ops, weights, rows)[0])
    return np.concatenate(told).astype(np.float32)


def probabilities(architecture, weights, x):
    """As `logits_of`, but probabilities: float32 (B, K), each row sums to 1."""
    return numpy_ops.softmax(logits_of(architecture, weights, x))


def nearest_centroid(vectors, labels, others):
    """The class whose mean vector lies nearest: the least that a network has to beat.

    Args:
        vectors: float array (N, D), labels: int array (N,), what is learnt from. Each
            class 0..K-1 is there.
        others: float array (M, D).

    Returns:
        int array (M,), classes.

    Reference:
        Rocchio 1971; by Euclidean distance, the first class where two are as near.
    """
    vectors, others = np.asarray(vectors, "f8"), np.asarray(others, "f8")
    labels = np.asarray(labels)
    means = np.stack(
        [vectors[labels == k].mean(axis=0) for k in range(labels.max() + 1)]
    )
    return np.square(others[:, None] - means).sum(axis=-1).argmin(axis=1)


def confusion_matrix(truth, told, num_classes):
    """How often each class (row) was told as each (column): int array (K, K)."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(truth), np.asarray(told)), 1)
    return matrix


def wilson_interval(right, count, z=Z_95):
    """Between which shares the truth lies, in 95 of 100 such tests.

    Args:
        right: int, 0..count. count: int, above 0. z: float, 1.96 for 95%.

    Returns:
        (low, high), in [0, 1].

    Reference:
        Wilson 1927. Unlike ``p +- z sqrt(p (1 - p) / n)`` it does not shrink to a point
        where all, or none, were right.
    """
    if not 0 <= right <= count or count < 1:
        raise ValueError(
            f"`right` must be in 0..count, and count above 0. Received: {right}, {count}"
        )
    share, square = right / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) / count + square / (4 * count))
    reach *= z / (1 + square)
    return max(0.0, middle - reach), min(1.0, middle + reach)

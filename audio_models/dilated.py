"""Dilated causal convolutions over samples: what was heard stands in queues."""

from dataclasses import dataclass
from typing import ClassVar

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

LARGEST_QUEUES = 2**26  # numbers a row


@dataclass(frozen=True)
class Dilated(SampleBySample):
    """Layers that see two instants each, twice as far apart from layer to layer.

        z = tanh(W_f [x[t - d], x[t]] + V_f k) * sigmoid(W_g [x[t - d], x[t]] + V_g k)
        x of the next layer = x + R z,  skips += S z,  d = 1, 2, 4, ..., 1, 2, 4, ...

    with k the class; two layers on the sum of the skips give the logits. Before the
    beginning there are zeros. A step reads and writes one place in the queue of each
    layer, and costs the same however far it sees.

    Args:
        vocab_size, first_class, num_classes, embedding_dim: as for `frames.Frames`.
        hidden_dim: int, channels of a layer.
        num_layers: int, layers in all.
        cycle: int, after so many layers the distance begins at 1 again: 10 is up to 512.
        skip_dim: int, channels of the skips, and of the layer on their sum.
        dropout: float in [0, 1), on each layer's z, in training.

    Reference:
        van den Oord et al. 2016, WaveNet, https://arxiv.org/abs/1609.03499; the queues
        are those of Paine et al. 2016, https://arxiv.org/abs/1611.09482. Samples come
        in with level and amplitude beside a learnt vector, where WaveNet has one-hot.
    """

    vocab_size: int
    first_class: int = 4
    num_classes: int = 0
    embedding_dim: int = 8
    hidden_dim: int = 48
    num_layers: int = 20
    cycle: int = 10
    skip_dim: int = 128
    dropout: float = 0.0

    FROM_ZERO: ClassVar = ("first_class", "num_classes")
    GROUP: ClassVar = 1

    def __post_init__(self):
        check_limits(self)
        check_classes(self)
        if sum(self.dilations) * self.hidden_dim > LARGEST_QUEUES:
            raise ValueError(
                "The queues of `num_layers`, `cycle` and `hidden_dim` would not fit in "
                f"memory. Received: {self.num_layers}, {self.cycle}, {self.hidden_dim}"
            )

    @property
    def dilations(self):
        """How many samples lie between what each layer sees: tuple of int."""
        return tuple(2 ** (layer % self.cycle) for layer in range(self.num_layers))

    @property
    def receptive_field(self):
        """How many tokens, the last included, the next one is told from."""
        return 1 + sum(self.dilations)

    @property
    def HEAD(self):
        """How many tokens every window begins with: where there is a class, it tells."""
        return 2 if self.num_classes else 0

    def weights(self):
        """Name -> `Weight`, in a fixed order; of z, tanh comes before sigmoid."""
        size, skip = self.hidden_dim, self.skip_dim
        width = self.embedding_dim + LEVEL_FEATURES
        named = {
            "embedding": Weight((self.vocab_size, self.embedding_dim), "normal"),
            "input": Weight((width, size)),
        }
        if self.num_classes:
            named["class"] = Weight((self.num_classes, size), "embedding")
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            named[f"{name}.kernel"] = Weight((2 * size, 2 * size))  # before, and now
            named[f"{name}.bias"] = Weight((2 * size,), "zeros")
            if self.num_classes:
                named[f"{name}.class"] = Weight((size, 2 * size))
            named[f"{name}.output"] = Weight((size, size + skip))
        named["skip.bias"] = Weight((skip,), "zeros")
        named["skip.hidden"] = Weight((skip, skip))
        named["skip.hidden_bias"] = Weight((skip,), "zeros")
        named["head.kernel"] = Weight((skip, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token.

        Returns:
            tuple: the queues of all layers end to end, float array (B, places, D), the
            token in the class's place, int (B,), and how many were read, int ().
        """
        places = (batch_size, sum(self.dilations), self.hidden_dim)
        return (
            ops.zeros(places, "float32"),
            ops.zeros((batch_size,), "int32") + PAD,
            ops.zeros((), "int32"),
        )

    def _read(self, ops, weights, ids, dropout):
        # The logits after each token of whole rows.
        rows, length = ops.shape(ids)[:2]  # no `if` looks at them: they may be symbols
        x = self._enter(ops, weights, ids)  # (B, T, D)
        vector, known, skips = None, None, weights["skip.bias"]
        if self.num_classes:
            nobody = ops.zeros((rows, 1), "int32") + PAD  # where only BOS was read
            opening = ops.concatenate([ids, nobody], axis=1)[:, 1]
            vector = self._class(ops, weights, opening)[:, None]  # (B, 1, D)
            known = ops.cast(ops.arange(length) >= 1, "float32")[:, None]  # (T, 1)
        for layer, distance in enumerate(self.dilations):
            silence = ops.zeros((rows, distance, self.hidden_dim), "float32")
            before = ops.concatenate([silence, x], axis=1)[:, :length]
            share = self._share(ops, weights, layer, vector, known)
            x, skip = self._layer(ops, weights, layer, before, x, share, dropout)
            skips = skips + skip
        return self._leave(ops, weights, skips)

    def _step(self, ops, weights, ids, state):
        queues, opening, read = state
        x, skips, first = self._enter(ops, weights, ids), weights["skip.bias"], 0
        opening = ops.where(read == 1, ids, opening)
        vector, known = None, None
        if self.num_classes:
            vector = self._class(ops, weights, opening)
            known = ops.cast(read >= 1, "float32")
        for layer, distance in enumerate(self.dilations):
            place = first + read % distance
            before = ops.take(queues, place, axis=1)  # (B, D), `distance` steps ago
            queues = ops.slice_update(queues, (0, place, 0), x[:, None])
            share = self._share(ops, weights, layer, vector, known)
            x, skip = self._layer(ops, weights, layer, before, x, share)
            skips = skips + skip
            first += distance
        return self._leave(ops, weights, skips), (queues, opening, read + 1)

    def _share(self, ops, weights, layer, vector, known):
        # What the class gives to the gates of a layer, from where on it is known.
        if vector is None:
            return 0.0
        return ops.matmul(vector, weights[f"layer{layer}.class"]) * known

    def _layer(self, ops, weights, layer, before, x, share, dropout=None):
        # (x of the next layer, what goes to the skips).
        name, size = f"layer{layer}", self.hidden_dim
        both = ops.concatenate([before, x], axis=-1)
        gates = ops.matmul(both, weights[f"{name}.kernel"]) + weights[f"{name}.bias"]
        gates = gates + share
        z = ops.tanh(gates[..., :size]) * ops.sigmoid(gates[..., size:])
        if dropout is not None:
            z = dropout(z)
        given = ops.matmul(z, weights[f"{name}.output"])
        return x + given[..., :size], given[..., size:]

    def _enter(self, ops, weights, ids):
        levels = ops.take(
            level_features(self.vocab_size, self.first_sample), ids, axis=0
        )
        vectors = embedded(ops, weights["embedding"], ids)
        features = ops.concatenate([levels, vectors], axis=-1)
        return ops.matmul(features, weights["input"])

    def _class(self, ops, weights, opening):
        return class_vectors(ops, weights["class"], opening, self.first_class)

    def _leave(self, ops, weights, skips):
        x = ops.matmul(ops.relu(skips), weights["skip.hidden"])
        x = ops.relu(x + weights["skip.hidden_bias"])
        return ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]

"""An architecture run by Keras: `call` for training, `start` and `step` to generate."""

import keras
import numpy as np
from keras import ops

from audio_models.architecture import check_weights
from audio_models.dropout import dropout, uniform


class Network(keras.Model):
    """The Keras model of an architecture.

    Args:
        architecture: one of `audio_models.MODELS`, built.
        seed: int, for the first weights and for dropout.

    Call arguments:
        ids: int tensor (B, T).

    Returns of a call:
        float32 logits (B, T, V): what may come after each token.
    """

    def __init__(self, architecture, *, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.architecture = architecture
        self.seed = seed
        self._dropout_seeds = keras.random.SeedGenerator(seed)
        self._carried = []
        self._named = {
            name: self.add_weight(
                name=name.replace(".", "_"),
                shape=weight.shape,
                initializer=_Drawn(weight, [seed, number]),
            )
            for number, (name, weight) in enumerate(architecture.weights().items())
        }
        self.built = True

    def call(self, ids, training=False):
        dropout = self._dropout if training and self.architecture.dropout else None
        forward = self.architecture.forward
        if training and hasattr(self.architecture, "draw_given"):
            given = self.architecture.draw_given(ops, ids, self._uniform)
            return forward(ops, self._named, ids, dropout=dropout, given=given)[0]
        if not (training and self._carried):
            return forward(ops, self._named, ids, dropout=dropout)[0]
        state = tuple(ops.convert_to_tensor(v) for v in self._carried)
        logits, state = forward(ops, self._named, ids, state, dropout=dropout)
        for variable, after in zip(self._carried, state, strict=True):
            variable.assign(ops.stop_gradient(after))
        return logits

    def carry(self, batch_size):
        """From now on, training goes on in each row where the batch before ended.

        Truncated back-propagation through time (Williams & Peng 1990): the state is
        carried from batch to batch, its gradient is not. For long streams cut into
        windows that follow each other; `reset` at the beginning of each.

        Args:
            batch_size: int, rows of every batch to come.

        Raises:
            ValueError: if the architecture's state grows with what it has read.
        """
        if not getattr(self.architecture, "can_carry", False):
            raise ValueError(
                f"{type(self.architecture).__name__} carries no state of fixed size."
            )
        self._carried = [
            self.add_weight(
                name=f"carried_{number}",
                shape=tuple(part.shape),
                initializer="zeros",
                trainable=False,
            )
            for number, part in enumerate(self.start(batch_size))
        ]
        self.reset()

    def reset(self):
        """Forget what was carried: a stream begins."""
        if self._carried:
            first = self.start(self._carried[0].shape[1])
            for variable, value in zip(self._carried, first, strict=True):
                variable.assign(value)

    def start(self, batch_size):
        """The state before the first token."""
        return self.architecture.start(ops, batch_size)

    def step(self, ids, state):
        """One token further.

        Args:
            ids: int tensor (B,).
            state: from `start`, or from the step before.

        Returns:
            (logits (B, V), state).
        """
        logits, state = self.architecture.forward(ops, self._named, ids[:, None], state)
        return logits[:, 0], state

    def named_weights(self):
        """Name -> float32 array, the form in which a bundle holds them."""
        return {
            name: np.array(ops.convert_to_numpy(variable))
            for name, variable in self._named.items()
        }

    def trained_variables(self):
        """Name -> variable of each weight."""
        return dict(self._named)

    def other_variables(self):
        """What else a step reads and changes: dropout's seeds, and what is carried."""
        return [self._dropout_seeds.state, *self._carried]

    def load_named_weights(self, weights):
        """Take over the arrays of `named_weights`.

        Raises:
            ValueError: if one is missing, of another shape, or not finite.
        """
        check_weights(self.architecture, weights)
        for name, variable in self._named.items():
            variable.assign(weights[name])

    def _uniform(self, shape):
        return uniform(shape, self._dropout_seeds)

    def _dropout(self, x):
        rate = self.architecture.dropout
        return dropout(x, rate, self._dropout_seeds)


class _Drawn(keras.initializers.Initializer):
    """A weight's first values, drawn by NumPy: the same on every backend."""

    def __init__(self, weight, seed):
        self.weight = weight
        self.seed = seed

    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(first_values(self.weight, self.seed), dtype)


def first_values(weight, seed):
    """float32 array of `weight.shape`, drawn as `weight.initial` says."""
    rng = np.random.default_rng(seed)
    shape = weight.shape
    if weight.initial in ("zeros", "ones"):
        return np.full(shape, float(weight.initial == "ones"), "float32")
    if weight.initial in ("normal", "embedding"):
        spread = 1.0 if weight.initial == "normal" else 0.05
        return rng.normal(0, spread, shape).astype("float32")
    if weight.initial == "forget_gate":
        bias = np.zeros(shape, "float32")
        bias[shape[0] // 4 : shape[0] // 2] = 1
        return bias
    if weight.initial == "orthogonal":
        blocks = [
            np.linalg.qr(rng.normal(size=(shape[0], shape[0])))[0]
            for _ in range(shape[1] // shape[0])
        ]
        return np.concatenate(blocks, axis=1).astype("float32")
    limit = np.sqrt(6 / (shape[0] + shape[1]))
    return rng.uniform(-limit, limit, shape).astype("float32")

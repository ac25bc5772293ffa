"""Samples of sound in two tiers: an LSTM a frame, and in each frame a small network."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded
from audio_models.recurrent import lstm_layers

LEVELS = 256  # codes of a sample
LEVEL_FEATURES = 2  # what is told of a code beside its vector
PAD = 0  # reserved in every vocabulary of the kit; stands before the beginning, too


@lru_cache(maxsize=8)
def level_features(vocab_size, first_sample):
    """What each id means as a sample: float32 array (V, 2).

    The mu-law value, which is even in what one hears, and the amplitude, four times,
    which is even in what a linear prediction needs. Both are 0 for any other id.

    Args:
        vocab_size: int. first_sample: int, the id of the lowest code.

    Reference:
        ITU-T G.711, mu = 255; its curve computed, as in
        `data_pipelines.audio.mu_law_decode`.
    """
    code = np.arange(vocab_size) - first_sample
    is_sample = (code >= 0) & (code < LEVELS)
    level = np.where(is_sample, 2 * code / (LEVELS - 1) - 1, 0.0)
    amplitude = np.sign(level) * np.expm1(np.abs(level) * np.log(256.0)) / 255
    return np.stack([level, 4 * amplitude], axis=1).astype("float32")


def class_vectors(ops, table, ids, first_class):
    """The row of each class, and zeros where an id is none: (B, N) of ids (B,)."""
    count = table.shape[0]
    number = ids - first_class
    is_class = ops.cast((number >= 0) & (number < count), "float32")
    number = ops.minimum(ops.maximum(number, 0), count - 1)
    return ops.take(table, number, axis=0) * is_class[:, None]


def check_classes(architecture):
    """Raise ValueError unless the classes are ids of the vocabulary."""
    last = architecture.first_class + architecture.num_classes
    if architecture.num_classes and last > architecture.vocab_size:
        raise ValueError(
            "`first_class` + `num_classes` must lie in the vocabulary of "
            f"{architecture.vocab_size}. Received: {last}"
        )


class SampleBySample:
    """What networks of samples share: whole rows in one go, or a step at a time.

    A kind of network gives ``_read(ops, weights, ids, dropout)``, the logits (B, T, V)
    of whole rows, and ``_step(ops, weights, ids (B,), state)``, (logits, state).
    """

    @property
    def first_sample(self):
        """The id of the lowest code of a sample."""
        return self.first_class + self.num_classes

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            ids: int array (B, T), from the beginning of a piece unless there is a state.
            state: as `start` gives it; None is the beginning.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, V), state after the last token; None without a state).
        """
        ids = ops.cast(ids, "int32")
        if state is None:
            return self._read(ops, weights, ids, dropout), None
        logits = []
        for t in range(ids.shape[1]):
            here, state = self._step(ops, weights, ids[:, t], state)
            logits.append(here)
        return ops.stack(logits, axis=1), state


@dataclass(frozen=True)
class Frames(SampleBySample):
    """Predicts the next sample from the last few, and from a memory moved once a frame.

        memory[f] = LSTM(samples of frame f, class, memory[f - 1])
        p(x[t]) = softmax(MLP(x[t - window .. t - 1], memory[f - 1], place in f, class))

    A piece is BOS, a class where there are classes, then samples (or coarse and fine
    halves of samples), then EOS. What stands before the first sample fills the end of
    a frame of its own, so that every frame is of samples alone. A class is heard by
    both tiers at every step.

    Args:
        vocab_size: int, how many token ids there are.
        first_class: int, the id of the first class.
        num_classes: int, how many classes there are, their ids in a row; 0 is none. The
            256 codes of a sample follow them.
        embedding_dim: int, width of a token's vector, beside its level and amplitude.
        hidden_dim: int, width of each LSTM layer's state.
        num_layers: int.
        frame: int, at least 2, samples of a frame.
        window: int, how many samples before it the network of a sample sees.
        sample_dim: int, units of each of its two hidden layers.
        dropout: float in [0, 1), after each LSTM layer, in training.

    Reference:
        Mehri et al. 2017, SampleRNN, https://arxiv.org/abs/1612.07837: two of its three
        tiers. There the frame tier is a GRU, and a vector is learnt for each sample; here
        it is told its amplitude as well.
    """

    vocab_size: int
    first_class: int = 4
    num_classes: int = 0
    embedding_dim: int = 8
    hidden_dim: int = 192
    num_layers: int = 1
    frame: int = 16
    window: int = 16
    sample_dim: int = 128
    dropout: float = 0.0

    FROM_ZERO: ClassVar = ("first_class", "num_classes")

    def __post_init__(self):
        check_limits(self)
        check_classes(self)
        if self.frame < 2:
            raise ValueError(f"`frame` must be at least 2. Received: {self.frame}")

    @property
    def HEAD(self):
        """How many tokens stand before the first sample: every window begins so."""
        return 2 if self.num_classes else 1

    @property
    def GROUP(self):
        """How many tokens are read together."""
        return self.frame

    @property
    def feature_dim(self):
        """How many numbers tell of a token."""
        return self.embedding_dim + LEVEL_FEATURES

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        size, units = self.hidden_dim, self.sample_dim
        named = {"embedding": Weight((self.vocab_size, self.embedding_dim), "normal")}
        width = self.frame * self.feature_dim
        for layer in range(self.num_layers):
            named[f"layer{layer}.input"] = Weight((width, 4 * size))
            named[f"layer{layer}.recurrent"] = Weight((size, 4 * size), "orthogonal")
            named[f"layer{layer}.bias"] = Weight((4 * size,), "forget_gate")
            width = size
        if self.num_classes:
            named["class.frame"] = Weight((self.num_classes, size), "embedding")
            named["class.sample"] = Weight((self.num_classes, units), "embedding")
            named["class.input"] = Weight((size, 4 * size))
        named["memory.kernel"] = Weight((size, self.frame * units))
        named["memory.bias"] = Weight((self.frame, units), "zeros")
        named["sample.input"] = Weight((self.window * self.feature_dim, units))
        named["sample.hidden"] = Weight((units, units))
        named["sample.bias"] = Weight((units,), "zeros")
        named["head.kernel"] = Weight((units, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token.

        Returns:
            tuple: h and c, float arrays (layers, B, D); what the frame has of the
            memory, (B, frame * units); then int arrays: the last tokens (B, N), the
            token in the class's place (B,), and how many tokens were read ().
        """
        memory = (self.num_layers, batch_size, self.hidden_dim)
        recent = max(self.frame, self.window)
        return (
            ops.zeros(memory, "float32"),
            ops.zeros(memory, "float32"),
            ops.zeros((batch_size, self.frame * self.sample_dim), "float32"),
            ops.zeros((batch_size, recent), "int32") + PAD,
            ops.zeros((batch_size,), "int32") + PAD,
            ops.zeros((), "int32"),
        )

    def _read(self, ops, weights, ids, dropout):
        # The logits after each token of whole rows.
        rows, length = ops.shape(ids)[:2]
        ahead = self.frame - self.HEAD  # places before BOS, in its frame
        frames = (ahead + length) // self.frame  # those that are read whole
        before = ops.zeros((rows, ahead), "int32") + PAD
        whole = ops.concatenate([before, ids], axis=1)[:, : frames * self.frame]
        conditions = ops.zeros((rows, 1, self.frame * self.sample_dim), "float32")
        # What has only begun knows no class yet. No `if` looks at a length that is not
        # known before the program runs.
        padded = ops.concatenate([ids, ops.zeros((rows, 1), "int32") + PAD], axis=1)
        opening = padded[:, self.HEAD - 1]
        if not isinstance(frames, int) or frames:
            x = ops.reshape(
                self._features(ops, weights, whole),
                (rows, frames, self.frame * self.feature_dim),
            )
            h, c = self.start(ops, rows)[:2]
            heard = self._with_class(ops, weights, opening)
            given, _ = lstm_layers(ops, heard, x, h, c, dropout)
            after = ops.matmul(given[-1], weights["memory.kernel"])
            conditions = ops.concatenate([conditions, after], axis=1)
        conditions = ops.reshape(
            conditions, (rows, frames + 1, self.frame, self.sample_dim)
        )
        conditions = conditions + weights["memory.bias"]
        conditions = ops.reshape(conditions, (rows, -1, self.sample_dim))
        x = conditions[:, ahead + 1 : ahead + 1 + length]  # (B, T, units)
        x = x + self._heard(ops, weights, ids)
        if self.num_classes:
            vector = class_vectors(
                ops, weights["class.sample"], opening, self.first_class
            )
            is_known = ops.cast(ops.arange(length) >= self.HEAD - 1, "float32")
            x = x + vector[:, None] * is_known[:, None]
        return self._logits(ops, weights, x)

    def _heard(self, ops, weights, ids):
        # What the last `window` tokens give to the network of each sample (B, T, units).
        rows, length = ops.shape(ids)[:2]
        before = ops.zeros((rows, self.window - 1), "int32") + PAD
        features = self._features(ops, weights, ops.concatenate([before, ids], axis=1))
        taps = [features[:, k : k + length] for k in range(self.window)]
        return ops.matmul(ops.concatenate(taps, axis=-1), weights["sample.input"])

    def _step(self, ops, weights, ids, state):
        h, c, conditions, recent, opening, read = state
        rows = ops.shape(ids)[0]
        recent = ops.concatenate([recent[:, 1:], ids[:, None]], axis=1)
        opening = ops.where(read == self.HEAD - 1, ids, opening)
        place = read - self.HEAD + self.frame + 1  # of the token to come

        def go_on():  # a frame is whole: the memory moves by a step
            x = self._features(ops, weights, recent[:, -self.frame :])
            x = ops.reshape(x, (rows, 1, self.frame * self.feature_dim))
            heard = self._with_class(ops, weights, opening)
            given, (h_after, c_after) = lstm_layers(ops, heard, x, h, c)
            after = ops.matmul(given[-1][:, 0], weights["memory.kernel"])
            return h_after, c_after, after

        h, c, conditions = ops.cond(
            place % self.frame == 0, go_on, lambda: (h, c, conditions)
        )
        slots = ops.reshape(conditions, (rows, self.frame, self.sample_dim))
        x = ops.take(slots + weights["memory.bias"], place % self.frame, axis=1)
        taps = self._features(ops, weights, recent[:, -self.window :])
        taps = ops.reshape(taps, (rows, self.window * self.feature_dim))
        x = x + ops.matmul(taps, weights["sample.input"])
        if self.num_classes:
            vector = class_vectors(
                ops, weights["class.sample"], opening, self.first_class
            )
            x = x + vector * ops.cast(read >= self.HEAD - 1, "float32")
        logits = self._logits(ops, weights, x)
        return logits, (h, c, conditions, recent, opening, read + 1)

    def _features(self, ops, weights, ids):
        # (B, T, feature_dim) of tokens (B, T).
        levels = ops.take(
            level_features(self.vocab_size, self.first_sample), ids, axis=0
        )
        return ops.concatenate(
            [levels, embedded(ops, weights["embedding"], ids)], axis=-1
        )

    def _with_class(self, ops, weights, opening):
        # The weights, the class's share added to the bias of the first layer (B, 1, 4D).
        if not self.num_classes:
            return weights
        vector = class_vectors(ops, weights["class.frame"], opening, self.first_class)
        share = ops.matmul(vector, weights["class.input"])[:, None]
        return {**weights, "layer0.bias": weights["layer0.bias"] + share}

    def _logits(self, ops, weights, x):
        x = ops.matmul(ops.relu(x), weights["sample.hidden"]) + weights["sample.bias"]
        return ops.matmul(ops.relu(x), weights["head.kernel"]) + weights["head.bias"]

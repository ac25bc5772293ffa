"""Sequence to sequence with recurrent layers: one reads, the other writes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded
from audio_models.gru import GRU
from audio_models.recurrent import LSTM
from audio_models.request import PAD

FAR = 1e9  # a gate so far from zero is wholly open or shut
KINDS = {"lstm": LSTM, "gru": GRU}
# What each gate of a cell needs at padding for its state to stay as it is.
HELD = {"lstm": (-FAR, FAR, 0, 0), "gru": (FAR, 0, 0)}


@dataclass(frozen=True)
class RecurrentSeq2Seq:
    """An encoder's recurrent layers, and a decoder's that attend to what they said.

    The decoder begins with the encoder's last state. Without attention that is all it
    learns of the source, however long: the bottleneck. With it, each of its outputs h
    asks every place m of the source, and what they answer is mixed into it::

        score(h, m) = score . tanh(h query + m key)
        c = sum over m of softmax(score(h, m)) m
        logits = tanh([h, c] mix) head

    Args:
        vocab_size: int, how many token ids there are, on either side.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each layer's state (of each direction's) and of the
            attention.
        num_layers: int, of the encoder and of the decoder.
        cell: str, "lstm" or "gru".
        bidirectional: bool, whether the encoder reads from both ends. Its two last
            states are brought to the width of one by a product.
        attention: str, "additive" or "none".
        dropout: float in [0, 1), after each layer and before the head, in training.

    Reference:
        Sutskever, Vinyals & Le 2014, https://arxiv.org/abs/1409.3215 ("none"; they read
        the source backwards, we as it stands). Bahdanau, Cho & Bengio 2015,
        https://arxiv.org/abs/1409.0473: their score, their two-way encoder. They ask
        with the state before a step and feed the answer into it; here, as in Luong,
        Pham & Manning 2015, https://arxiv.org/abs/1508.04025, section 3.1, the state
        after the step asks, so that in training all places ask at once.
    """

    vocab_size: int
    embedding_dim: int = 64
    hidden_dim: int = 128
    num_layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = True
    attention: str = "additive"
    dropout: float = 0.0

    CHOICES: ClassVar = {"cell": tuple(KINDS), "attention": ("additive", "none")}

    def __post_init__(self):
        check_limits(self)

    @property
    def _layer(self):
        return KINDS[self.cell](self.vocab_size, self.embedding_dim, self.hidden_dim, 1)

    @property
    def _sides(self):
        return ("left", "right") if self.bidirectional else ("left",)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        size, sides = self.hidden_dim, len(self._sides)
        named = {}
        for end in ("source", "target"):
            shape = (self.vocab_size, self.embedding_dim)
            named[f"{end}.embedding"] = Weight(shape, "normal")
        width = self.embedding_dim
        for layer in range(self.num_layers):
            for side in self._sides:
                named |= self._cell_weights(f"encoder{layer}.{side}", width)
            width = sides * size
        for layer in range(self.num_layers if self.bidirectional else 0):
            for state in self._layer.STATES:
                named[f"start{layer}.{state}"] = Weight((sides * size, size))
        width = self.embedding_dim
        for layer in range(self.num_layers):
            named |= self._cell_weights(f"decoder{layer}", width)
            width = size
        if self.attention == "additive":
            named["attention.query"] = Weight((size, size))
            named["attention.key"] = Weight((sides * size, size))
            named["attention.score"] = Weight((size, 1))
            named["attention.mix"] = Weight(((1 + sides) * size, size))
        named["head.kernel"] = Weight((size, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def _cell_weights(self, name, width):
        layer, size = self._layer, self.hidden_dim
        gates = layer.GATES * size
        named = {
            f"{name}.input": Weight((width, gates)),
            f"{name}.recurrent": Weight((size, gates), "orthogonal"),
            f"{name}.bias": Weight((gates,), layer.BIAS),
        }
        if "recurrent_bias" in layer.LOOP:
            named[f"{name}.recurrent_bias"] = Weight((gates,), "zeros")
        return named

    def encode(self, ops, weights, source, dropout=None):
        """Read the sources; give what the decoder is told of them.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            source: int array (B, S), PAD behind the end.
            dropout: function of an array, applied in training.

        Returns:
            Tuple of arrays, B first. One (B, layers, D) a state, with which the decoder
            begins; with attention before them what each place tells (B, S, M), what it
            answers to (B, S, D), and 0, but far below it at padding (B, S).
        """
        is_padding = ops.cast(source == PAD, "float32")  # (B, S)
        padding = ops.transpose(is_padding, (1, 0))[..., None]  # (S, B, 1)
        x = embedded(
            ops, weights["source.embedding"], ops.transpose(source, (1, 0))
        )  # (S, B, E)
        first = []
        for layer in range(self.num_layers):
            x, last = self._read(ops, weights, layer, x, padding)
            first.append(last)
            if dropout is not None:
                x = dropout(x)
        first = tuple(ops.stack(layers, axis=1) for layers in zip(*first, strict=True))
        if self.attention == "none":
            return first
        values = ops.transpose(x, (1, 0, 2))  # (B, S, M)
        keys = ops.matmul(values, weights["attention.key"])
        return values, keys, -FAR * is_padding, *first

    def _read(self, ops, weights, layer, x, padding):
        # One layer of the encoder: its outputs (S, B, M), its last states (B, D).
        kind, size = self._layer, self.hidden_dim
        held = np.repeat(np.array(HELD[self.cell], "float32"), size)  # (GATES * D,)
        after = ops.concatenate([padding[1:], 1 + ops.zeros_like(padding[:1])], axis=0)
        is_last = (1 - padding) * after  # 1 at the last token of each row
        zero = ops.zeros((ops.shape(x)[1], size), "float32")
        outputs, lasts = [], []
        for side in self._sides:
            name = f"encoder{layer}.{side}"
            gates = ops.matmul(x, weights[f"{name}.input"]) + weights[f"{name}.bias"]
            gates = gates + held * padding
            if side == "right":
                gates = ops.flip(gates, axis=0)
            loop = _loop(ops, weights, name, kind)
            y, last = kind.sequence(ops, gates, *loop, *[zero] * len(kind.STATES))
            if side == "right":
                y = ops.flip(y, axis=0)
            else:  # padding came last: c was held, but what is output of it was not
                last = (ops.sum(y * is_last, axis=0), *last[1:])
            outputs.append(y)
            lasts.append(last)
        if not self.bidirectional:
            return outputs[0], lasts[0]
        lasts = tuple(
            ops.matmul(ops.concatenate(both, axis=-1), weights[f"start{layer}.{state}"])
            for state, both in zip(kind.STATES, zip(*lasts, strict=True), strict=True)
        )
        return ops.concatenate(outputs, axis=-1), lasts

    def start(self, ops, weights, memory):
        """The decoder's state before its first token: one array (layers, B, D) each."""
        first = memory[-len(self._layer.STATES) :]
        return tuple(ops.transpose(part, (1, 0, 2)) for part in first)

    def forward(self, ops, weights, source, target, dropout=None):
        """Read sources, and targets as far as they are written: what comes after each.

        Args:
            ops, weights, source, dropout: as for `encode`.
            target: int array (B, T), BOS first.

        Returns:
            logits (B, T, V).
        """
        memory = self.encode(ops, weights, source, dropout)
        state = self.start(ops, weights, memory)
        return self._decode(ops, weights, memory, target, state, dropout)[0]

    def step(self, ops, weights, memory, ids, state):
        """One token further.

        Args:
            memory: as `encode` gives it.
            ids: int array (B,).
            state: from `start`, or from the step before.

        Returns:
            (logits (B, V), state).
        """
        logits, state, _ = self._decode(ops, weights, memory, ids[:, None], state)
        return logits[:, 0], state

    def alignment(self, ops, weights, source, target):
        """Where in the source each step looks: float array (B, T, S), rows sum to 1.

        Raises:
            ValueError: if there is no attention.
        """
        if self.attention == "none":
            raise ValueError('With `attention` "none" nothing is looked at.')
        memory = self.encode(ops, weights, source)
        state = self.start(ops, weights, memory)
        return self._decode(ops, weights, memory, target, state)[2]

    def _decode(self, ops, weights, memory, ids, state, dropout=None):
        kind = self._layer
        x = embedded(ops, weights["target.embedding"], ops.transpose(ids, (1, 0)))
        after = []
        for layer in range(self.num_layers):  # x: (T, B, E), then (T, B, D)
            name = f"decoder{layer}"
            gates = ops.matmul(x, weights[f"{name}.input"]) + weights[f"{name}.bias"]
            loop = _loop(ops, weights, name, kind)
            before = [held[layer] for held in state]
            if x.shape[0] == 1:
                last = kind.cell(ops, gates[0], *loop, *before)
                x = last[0][None]
            else:
                x, last = kind.sequence(ops, gates, *loop, *before)
            after.append(last)
            if dropout is not None:
                x = dropout(x)
        state = tuple(ops.stack(layers) for layers in zip(*after, strict=True))
        h, looks = ops.transpose(x, (1, 0, 2)), None  # (B, T, D)
        if self.attention == "additive":
            context, looks = additive_attention(ops, weights, h, *memory[:3])
            h = ops.concatenate([h, context], axis=-1)
            h = ops.tanh(ops.matmul(h, weights["attention.mix"]))
            if dropout is not None:
                h = dropout(h)
        logits = ops.matmul(h, weights["head.kernel"]) + weights["head.bias"]
        return logits, state, looks


def additive_attention(ops, weights, h, values, keys, shut):
    """What each step gathers from the places of the source.

    Args:
        ops: array namespace.
        weights: dict with ``attention.query`` (D, A) and ``attention.score`` (A, 1).
        h: float array (B, T, D), the steps that ask.
        values: float array (B, S, M), what each place tells.
        keys: float array (B, S, A), what each place answers to.
        shut: float array (B, S), 0 at tokens and far below it at padding.

    Returns:
        (what is gathered (B, T, M), how much each place had of it (B, T, S)).

    Reference:
        Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473, appendix A.1.2.
    """
    query = ops.matmul(h, weights["attention.query"])  # (B, T, A)
    met = ops.tanh(query[:, :, None] + keys[:, None])  # (B, T, S, A)
    scores = ops.matmul(met, weights["attention.score"])[..., 0]
    looks = ops.softmax(scores + shut[:, None], axis=-1)  # (B, T, S)
    return ops.matmul(looks, values), looks


def _loop(ops, weights, name, kind):
    # Tensors, not variables: a hand-written gradient wants to be told all.
    loop = [weights[f"{name}.{part}"] for part in kind.LOOP]
    return [ops.reshape(weight, weight.shape) for weight in loop]

"""Sequence to sequence with attention alone: the Transformer as it was first drawn."""

import math
from dataclasses import dataclass
from typing import ClassVar

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded
from audio_models.positions import sinusoids
from audio_models.request import PAD
from audio_models.transformer import (
    after_attention,
    causal_attention,
    check_attention,
    full_attention,
    layer_weights,
    queries_keys_values,
    ring_attention,
    rms_norm,
)

SHUT = -1e9  # the score of padding


@dataclass(frozen=True)
class TransformerSeq2Seq:
    """An encoder whose places see each other, a decoder that sees back and across.

    A layer of the decoder looks back over the target, then across at the source, then
    thinks: attention, attention, MLP. Each stands behind a norm, and is added.

    Args:
        vocab_size: int, how many token ids there are, on either side.
        hidden_dim: int, width of the residual stream; a multiple of 2 * num_heads.
        num_layers: int, of the encoder and of the decoder.
        num_heads: int.
        context_length: int, how many tokens of the target back a step can look, and
            the rows of a learned table of places.
        dropout: float in [0, 1), on embeddings and on each residual branch.
        positions: str. "sinusoidal" and "learned" add a vector of its place to each
            token's, as in `transformer.Transformer`. With "none" the source is a set;
            of the target, looking back tells at least how much there is.

    Reference:
        Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, but the norm stands
        before each branch (Xiong et al. 2020, https://arxiv.org/abs/2002.04745), and it
        is RMSNorm; GELU for ReLU; no biases in attention; a table of tokens for each
        side, and a head of its own.
    """

    vocab_size: int
    hidden_dim: int = 64
    num_layers: int = 2
    num_heads: int = 4
    context_length: int = 256
    dropout: float = 0.0
    positions: str = "sinusoidal"

    CHOICES: ClassVar = {"positions": ("sinusoidal", "learned", "none")}

    def __post_init__(self):
        check_limits(self)
        check_attention(self)

    @property
    def head_dim(self):
        return self.hidden_dim // self.num_heads

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        width, named = self.hidden_dim, {}
        for end in ("source", "target"):
            shape = (self.vocab_size, width)
            named[f"{end}.embedding"] = Weight(shape, "embedding")
            if self.positions == "learned":
                shape = (self.context_length, width)
                named[f"{end}.position"] = Weight(shape, "embedding")
        for layer in range(self.num_layers):
            named |= layer_weights(f"encoder{layer}", width)
        named["encoder.norm"] = Weight((width,), "ones")
        for layer in range(self.num_layers):
            name = f"decoder{layer}"
            named[f"{name}.back.attention.norm"] = Weight((width,), "ones")
            named[f"{name}.back.attention.qkv"] = Weight((width, 3 * width))
            named[f"{name}.back.attention.out"] = Weight((width, width))
            across = layer_weights(name, width)
            del across[f"{name}.attention.qkv"]  # it asks here, and is answered there
            named |= across
            named[f"{name}.attention.query"] = Weight((width, width))
            named[f"{name}.attention.key"] = Weight((width, width))
            named[f"{name}.attention.value"] = Weight((width, width))
        named["decoder.norm"] = Weight((width,), "ones")
        named["head.kernel"] = Weight((width, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def encode(self, ops, weights, source, dropout=None):
        """Read the sources; give what the decoder looks across at.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            source: int array (B, S), PAD behind the end.
            dropout: function of an array, applied in training.

        Returns:
            (keys, values, shut): two arrays (B, layers, heads, S, head_dim), and 0, but
            far below it at padding (B, S).
        """
        drop = dropout or (lambda x: x)
        shut = SHUT * ops.cast(source == PAD, "float32")
        places = ops.arange(ops.shape(source)[1])
        x = drop(self._embedded(ops, weights, "source", source, places))  # (B, S, D)
        for layer in range(self.num_layers):
            name = f"encoder{layer}"
            q, k, v = queries_keys_values(ops, weights, name, x, self.num_heads)
            heads = full_attention(ops, *_but_padding(ops, q, k, shut), v)
            x = after_attention(ops, weights, name, x, heads, drop)
        x = rms_norm(ops, x) * weights["encoder.norm"]
        keys, values = (
            ops.stack(
                [
                    self._heads(ops, x, weights[f"decoder{layer}.attention.{part}"])
                    for layer in range(self.num_layers)
                ],
                axis=1,
            )
            for part in ("key", "value")
        )
        return keys, values, shut

    def start(self, ops, weights, memory):
        """The decoder's state before its first token: (keys, values, tokens read)."""
        shape = (
            self.num_layers,
            ops.shape(memory[0])[0],
            self.num_heads,
            self.context_length,
            self.head_dim,
        )
        return (
            ops.zeros(shape, "float32"),
            ops.zeros(shape, "float32"),
            ops.zeros((), "int32"),
        )

    def forward(self, ops, weights, source, target, dropout=None):
        """Read sources, and targets as far as they are written: what comes after each.

        Args:
            ops, weights, source, dropout: as for `encode`.
            target: int array (B, T), BOS first.

        Returns:
            logits (B, T, V).
        """
        memory = self.encode(ops, weights, source, dropout)
        return self._decode(ops, weights, memory, target, None, dropout)[0]

    def step(self, ops, weights, memory, ids, state):
        """One token further.

        Args:
            memory: as `encode` gives it.
            ids: int array (B,).
            state: from `start`, or from the step before; it may be used up.

        Returns:
            (logits (B, V), state).
        """
        logits, state, _ = self._decode(ops, weights, memory, ids[:, None], state)
        return logits[:, 0], state

    def alignment(self, ops, weights, source, target):
        """Where in the source each step looks: float array (B, T, S), rows sum to 1.

        That is the mean over the heads of all layers.
        """
        memory = self.encode(ops, weights, source)
        asked = self._decode(ops, weights, memory, target, None)[2]
        shut = memory[2][:, None, None]  # (B, 1, 1, S)
        looks = [
            ops.softmax(
                ops.matmul(q, ops.transpose(memory[0][:, layer], (0, 1, 3, 2))) + shut,
                axis=-1,
            )
            for layer, q in enumerate(asked)
        ]  # each (B, heads, T, S)
        return ops.mean(ops.concatenate(looks, axis=1), axis=1)

    def _decode(self, ops, weights, memory, ids, state, dropout=None):
        # (logits, state after, what each layer asked of the source)
        drop = dropout or (lambda x: x)
        if state is None:
            places = ops.arange(ops.shape(ids)[1])
        else:
            keys, values, read = state
            places = ops.reshape(read, (1,))
        x = drop(self._embedded(ops, weights, "target", ids, places))  # (B, T, D)
        new_keys, new_values, asked = [], [], []
        for layer in range(self.num_layers):
            name = f"decoder{layer}"
            q, k, v = queries_keys_values(
                ops, weights, f"{name}.back", x, self.num_heads
            )
            if state is None:
                heads = causal_attention(ops, q, k, v, self.context_length)
            else:
                slot = (0, 0, read % self.context_length, 0)
                k = ops.slice_update(keys[layer], slot, k)
                v = ops.slice_update(values[layer], slot, v)
                new_keys.append(k)
                new_values.append(v)
                heads = ring_attention(ops, q, k, v, read)
            heads = ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), ops.shape(x))
            x = x + drop(ops.matmul(heads, weights[f"{name}.back.attention.out"]))
            normed = rms_norm(ops, x) * weights[f"{name}.attention.norm"]
            q = self._heads(ops, normed, weights[f"{name}.attention.query"])
            q = q / math.sqrt(self.head_dim)
            asked.append(q)
            k, v = memory[0][:, layer], memory[1][:, layer]
            heads = full_attention(ops, *_but_padding(ops, q, k, memory[2]), v)
            x = after_attention(ops, weights, name, x, heads, drop)
        x = rms_norm(ops, x) * weights["decoder.norm"]
        logits = ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]
        if state is not None:
            state = (ops.stack(new_keys), ops.stack(new_values), read + 1)
        return logits, state, asked

    def _heads(self, ops, x, kernel):
        # x (B, T, D) times kernel, laid out as (B, heads, T, head_dim)
        shape = (-1, ops.shape(x)[1], self.num_heads, self.head_dim)
        return ops.transpose(ops.reshape(ops.matmul(x, kernel), shape), (0, 2, 1, 3))

    def _embedded(self, ops, weights, end, ids, places):
        x = embedded(ops, weights[f"{end}.embedding"], ids)
        if self.positions == "sinusoidal":
            wave = sinusoids(ops, places, self.hidden_dim)
            return x * math.sqrt(self.hidden_dim) + ops.cast(wave, x.dtype)
        if self.positions == "learned":
            places = places % self.context_length
            return x + ops.take(weights[f"{end}.position"], places, axis=0)
        return x


def _but_padding(ops, q, k, shut):
    """Queries and keys whose products are what they were, plus `shut` (B, S).

    One number more does it: 1 in every query, `shut` in each key.
    """
    shut = ops.zeros_like(k[..., :1]) + shut[:, None, :, None]
    return (
        ops.concatenate([q, 1 + ops.zeros_like(q[..., :1])], axis=-1),
        ops.concatenate([k, shut], axis=-1),
    )

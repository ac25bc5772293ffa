"""The decoder-only Transformer: every token looks back at all the ones before it."""

import math
from dataclasses import dataclass

from audio_models.architecture import Weight, check_limits

LARGEST_CACHE = 2**27  # numbers in each of the keys and values of one row: 0.5 GB


@dataclass(frozen=True)
class Transformer:
    """Pre-norm decoder with rotary positions, GELU, and the embedding tied to the head.

    Args:
        vocab_size: int, how many token ids there are.
        hidden_dim: int, width of the residual stream; a multiple of 2 * num_heads.
        num_layers: int.
        num_heads: int.
        context_length: int, how many tokens back a step can look. Longer music is
            read through a window that slides: the oldest key makes room for the new.
        dropout: float in [0, 1), on embeddings and on each residual branch.

    Reference:
        Vaswani et al. 2017, https://arxiv.org/abs/1706.03762; pre-norm as in GPT-2
        (Radford et al. 2019); rotary positions, Su et al. 2021,
        https://arxiv.org/abs/2104.09864.
    """

    vocab_size: int
    hidden_dim: int = 128
    num_layers: int = 4
    num_heads: int = 4
    context_length: int = 512
    dropout: float = 0.0

    def __post_init__(self):
        check_limits(self)
        if self.hidden_dim % (2 * self.num_heads):
            raise ValueError(
                "`hidden_dim` must be a multiple of 2 * num_heads. "
                f"Received: hidden_dim={self.hidden_dim}, num_heads={self.num_heads}"
            )

        if self.num_layers * self.context_length * self.hidden_dim > LARGEST_CACHE:
            raise ValueError(
                "num_layers * context_length * hidden_dim must be at most "
                f"{LARGEST_CACHE:,}: the cache of a generator would not fit in memory."
            )

    @property
    def head_dim(self):
        return self.hidden_dim // self.num_heads

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        width = self.hidden_dim
        named = {"embedding": Weight((self.vocab_size, width), "embedding")}
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            named[f"{name}.attention.norm"] = Weight((width,), "ones")
            named[f"{name}.attention.qkv"] = Weight((width, 3 * width))
            named[f"{name}.attention.out"] = Weight((width, width))
            named[f"{name}.mlp.norm"] = Weight((width,), "ones")
            named[f"{name}.mlp.in"] = Weight((width, 4 * width))
            named[f"{name}.mlp.in_bias"] = Weight((4 * width,), "zeros")
            named[f"{name}.mlp.out"] = Weight((4 * width, width))
            named[f"{name}.mlp.out_bias"] = Weight((width,), "zeros")
        named["norm"] = Weight((width,), "ones")
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token: (keys, values, tokens read so far)."""
        shape = (
            self.num_layers,
            batch_size,
            self.num_heads,
            self.context_length,
            self.head_dim,
        )
        return (
            ops.zeros(shape, "float32"),
            ops.zeros(shape, "float32"),
            ops.zeros((), "int32"),
        )

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            ids: int array (B, T). With a state, T is 1.
            state: as `start` gives it; None is the beginning.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, V), state after the last token; None without a state).
        """
        drop = dropout or (lambda x: x)
        length = ops.shape(ids)[1]
        if state is None:
            keys = values = None
            positions = ops.arange(length)
            back = positions[:, None] - positions[None, :]  # (T, T)
            visible = (back >= 0) & (back < self.context_length)
        else:
            keys, values, read = state
            positions = ops.reshape(read, (1,))
            visible = ops.arange(self.context_length)[None, :] <= positions[:, None]
        rotation = _rotation(ops, positions, self.head_dim)
        x = drop(ops.take(weights["embedding"], ids, axis=0))  # (B, T, D)
        new_keys, new_values = [], []
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            normed = _rms_norm(ops, x) * weights[f"{name}.attention.norm"]
            qkv = ops.matmul(normed, weights[f"{name}.attention.qkv"])
            qkv = ops.reshape(qkv, (-1, length, 3, self.num_heads, self.head_dim))
            qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))  # (3, B, heads, T, head_dim)
            q, k, v = qkv[0], qkv[1], qkv[2]
            q, k = _rotate(ops, q, rotation), _rotate(ops, k, rotation)
            if state is not None:
                slot = (0, 0, read % self.context_length, 0)
                k = ops.slice_update(keys[layer], slot, k)
                v = ops.slice_update(values[layer], slot, v)
                new_keys.append(k)
                new_values.append(v)
            scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))
            scores = scores / math.sqrt(self.head_dim)
            scores = ops.where(visible, scores, -1e9)
            heads = ops.matmul(ops.softmax(scores, axis=-1), v)
            heads = ops.reshape(
                ops.transpose(heads, (0, 2, 1, 3)), (-1, length, self.hidden_dim)
            )
            x = x + drop(ops.matmul(heads, weights[f"{name}.attention.out"]))
            normed = _rms_norm(ops, x) * weights[f"{name}.mlp.norm"]
            wide = ops.matmul(normed, weights[f"{name}.mlp.in"])
            wide = _gelu(ops, wide + weights[f"{name}.mlp.in_bias"])
            narrow = ops.matmul(wide, weights[f"{name}.mlp.out"])
            x = x + drop(narrow + weights[f"{name}.mlp.out_bias"])
        x = _rms_norm(ops, x) * weights["norm"]
        logits = ops.matmul(x, ops.transpose(weights["embedding"], (1, 0)))
        logits = logits + weights["head.bias"]
        if state is None:
            return logits, None
        return logits, (ops.stack(new_keys), ops.stack(new_values), read + 1)


def _rms_norm(ops, x):
    return x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)


def _gelu(ops, x):
    return 0.5 * x * (1 + ops.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def _rotation(ops, positions, head_dim):
    # cos and sin, each (T, head_dim / 2): the slowest pair turns once in 2 pi 10,000.
    pairs = ops.cast(ops.arange(head_dim // 2), "float32") / (head_dim // 2)
    speed = 10_000.0**-pairs
    angle = ops.cast(positions, "float32")[:, None] * speed[None, :]
    return ops.cos(angle), ops.sin(angle)


def _rotate(ops, x, rotation):
    cos, sin = rotation
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate(
        [first * cos - second * sin, first * sin + second * cos], axis=-1
    )

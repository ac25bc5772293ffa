"""The decoder-only Transformer: every token looks back at all the ones before it."""

import math
from dataclasses import dataclass
from typing import ClassVar

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded
from audio_models.positions import relative_scores, sinusoids
from audio_models.positions import rotate as _rotate
from audio_models.positions import rotation as _rotation

LARGEST_CACHE = 2**27  # numbers in each of the keys and values of one row: 0.5 GB
BLOCK = 64  # rows of queries worth a product of their own
MOST_BLOCKS = 8


def check_attention(sizes):
    """Raise ValueError where heads cannot share the width, or no cache could be kept.

    Args:
        sizes: what has hidden_dim, num_heads, num_layers and context_length.
    """
    if sizes.hidden_dim % (2 * sizes.num_heads):
        raise ValueError(
            "`hidden_dim` must be a multiple of 2 * num_heads. "
            f"Received: hidden_dim={sizes.hidden_dim}, num_heads={sizes.num_heads}"
        )

    if sizes.num_layers * sizes.context_length * sizes.hidden_dim > LARGEST_CACHE:
        raise ValueError(
            "num_layers * context_length * hidden_dim must be at most "
            f"{LARGEST_CACHE:,}: the cache of a generator would not fit in memory."
        )


@dataclass(frozen=True)
class Transformer:
    """Pre-norm decoder with GELU; rotary positions unless another kind is asked for.

    Args:
        vocab_size: int, how many token ids there are.
        hidden_dim: int, width of the residual stream; a multiple of 2 * num_heads.
        num_layers: int.
        num_heads: int.
        context_length: int, how many tokens back a step can look. Longer music is
            read through a window that slides: the oldest key makes room for the new.
        dropout: float in [0, 1), on embeddings and on each residual branch.
        positions: str. "rotary" turns queries and keys; "relative" learns a vector a
            head for each distance back. Both know distances alone, and read on past
            the context as before. "sinusoidal" and "learned" are added to the token's
            vector, which "sinusoidal" first multiplies by sqrt(hidden_dim), and count
            from the first token read. The sinusoids count on for ever. A learned table
            has `context_length` rows and begins again at its end, like a clock: token
            t stands at ``t % context_length``. Trained on no longer windows than that,
            it has never met what it then sees, a window with the seam inside.
        tie_embedding: bool, whether the head is the embedding transposed.

    Reference:
        Vaswani et al. 2017, https://arxiv.org/abs/1706.03762 ("sinusoidal"); pre-norm
        and "learned" as in GPT-2 (Radford et al. 2019), but RMSNorm (Zhang & Sennrich
        2019, https://arxiv.org/abs/1910.07467) and no biases in attention; "rotary",
        Su et al. 2021, https://arxiv.org/abs/2104.09864; "relative", Huang et al. 2018,
        https://arxiv.org/abs/1809.04281, in every layer, without its sinusoids.
    """

    vocab_size: int
    hidden_dim: int = 128
    num_layers: int = 4
    num_heads: int = 4
    context_length: int = 512
    dropout: float = 0.0
    positions: str = "rotary"
    tie_embedding: bool = True

    CHOICES: ClassVar = {"positions": ("rotary", "relative", "sinusoidal", "learned")}

    def __post_init__(self):
        check_limits(self)
        check_attention(self)

    @property
    def head_dim(self):
        return self.hidden_dim // self.num_heads

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        width = self.hidden_dim
        named = {"embedding": Weight((self.vocab_size, width), "embedding")}
        if self.positions == "learned":
            named["position"] = Weight((self.context_length, width), "embedding")
        for layer in range(self.num_layers):
            relative = (self.num_heads, self.context_length, self.head_dim)
            named |= layer_weights(
                f"layer{layer}",
                width,
                relative if self.positions == "relative" else None,
            )
        named["norm"] = Weight((width,), "ones")
        if not self.tie_embedding:
            named["head.kernel"] = Weight((width, self.vocab_size))
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
            keys = values = read = None
            places = ops.arange(length)
        else:
            keys, values, read = state
            places = ops.reshape(read, (1,))
        rotation = None
        if self.positions == "rotary":
            rotation = _rotation(ops, places, self.head_dim)
        x = drop(self._embedded(ops, weights, ids, places))  # (B, T, D)
        new_keys, new_values = [], []
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            q, k, v = queries_keys_values(
                ops, weights, name, x, self.num_heads, rotation
            )
            relative = weights.get(f"{name}.attention.relative")
            if state is None:
                heads = causal_attention(ops, q, k, v, self.context_length, relative)
            else:
                slot = (0, 0, read % self.context_length, 0)
                k = ops.slice_update(keys[layer], slot, k)
                v = ops.slice_update(values[layer], slot, v)
                new_keys.append(k)
                new_values.append(v)
                heads = ring_attention(ops, q, k, v, read, relative)
            x = after_attention(ops, weights, name, x, heads, drop)
        x = rms_norm(ops, x) * weights["norm"]
        logits = ops.matmul(x, self._head(ops, weights)) + weights["head.bias"]
        if state is None:
            return logits, None
        return logits, (ops.stack(new_keys), ops.stack(new_values), read + 1)

    def _embedded(self, ops, weights, ids, places):
        x = embedded(ops, weights["embedding"], ids)
        if self.positions == "sinusoidal":
            x = x * math.sqrt(self.hidden_dim)
            wave = sinusoids(ops, places, self.hidden_dim)
            return x + ops.cast(wave, x.dtype)
        if self.positions == "learned":
            places = places % self.context_length
            return x + ops.take(weights["position"], places, axis=0)
        return x

    def _head(self, ops, weights):
        if self.tie_embedding:
            return ops.transpose(weights["embedding"], (1, 0))
        return weights["head.kernel"]


def layer_weights(name, width, relative=None):
    """Name -> `Weight` of one layer, in a fixed order.

    Args:
        name: str, what each name begins with.
        width: int, D.
        relative: tuple (heads, context, head_dim), of a learnt score by distance; None
            where there is none.
    """
    named = {
        f"{name}.attention.norm": Weight((width,), "ones"),
        f"{name}.attention.qkv": Weight((width, 3 * width)),
    }
    if relative is not None:
        named[f"{name}.attention.relative"] = Weight(relative, "embedding")
    return named | {
        f"{name}.attention.out": Weight((width, width)),
        f"{name}.mlp.norm": Weight((width,), "ones"),
        f"{name}.mlp.in": Weight((width, 4 * width)),
        f"{name}.mlp.in_bias": Weight((4 * width,), "zeros"),
        f"{name}.mlp.out": Weight((4 * width, width)),
        f"{name}.mlp.out_bias": Weight((width,), "zeros"),
    }


def queries_keys_values(ops, weights, name, x, num_heads, rotation=None):
    """What a layer asks, answers to, and tells of each place.

    Args:
        ops: array namespace.
        weights: dict, with those that `layer_weights` names.
        x: float array (B, T, D).
        rotation: angles of the places, as `positions.rotation` gives them, or None.

    Returns:
        (q, k, v), each (B, heads, T, head_dim); q is divided by sqrt(head_dim).
    """
    length, width = ops.shape(x)[1], x.shape[-1]
    head_dim = width // num_heads
    normed = rms_norm(ops, x) * weights[f"{name}.attention.norm"]
    qkv = ops.matmul(normed, weights[f"{name}.attention.qkv"])
    q, k, v = (
        ops.transpose(
            ops.reshape(part, (-1, length, num_heads, head_dim)), (0, 2, 1, 3)
        )
        for part in ops.split(qkv, 3, axis=-1)
    )  # (B, heads, T, head_dim)
    if rotation is not None:
        q, k = _rotate(ops, q, rotation), _rotate(ops, k, rotation)
    return q / math.sqrt(head_dim), k, v


def after_attention(ops, weights, name, x, heads, drop):
    """The rest of a layer: what was gathered is added to x, then the MLP's answer.

    Args:
        x: float array (B, T, D), as the layer was given it.
        heads: float array (B, heads, T, head_dim), what its attention gathered.
        drop: function of an array.

    Returns:
        float array (B, T, D).
    """
    length, width = ops.shape(x)[1], x.shape[-1]
    heads = ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (-1, length, width))
    x = x + drop(ops.matmul(heads, weights[f"{name}.attention.out"]))
    normed = rms_norm(ops, x) * weights[f"{name}.mlp.norm"]
    wide = ops.matmul(normed, weights[f"{name}.mlp.in"])
    wide = _gelu(ops, wide + weights[f"{name}.mlp.in_bias"])
    narrow = _narrowed(ops, wide, weights[f"{name}.mlp.out"])
    return x + drop(narrow + weights[f"{name}.mlp.out_bias"])


def full_attention(ops, q, k, v):
    """What each place gathers from all of them, before it and after.

    Args:
        q, k, v: float arrays (B, heads, T, head_dim), q divided by sqrt(head_dim).

    Returns:
        float array (B, heads, T, head_dim).
    """
    return _weighted(ops, ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))), v)


def causal_attention(ops, q, k, v, reach, relative=None):
    """What each place gathers from itself and the ``reach - 1`` places before it.

    The places ask in blocks: keys after a block, or out of its reach, are not met at
    all, which saves up to half of the products. A block's weights are divided by their
    sum after they have gathered, when there are head_dim numbers a row and no longer T.

    Args:
        ops: array namespace.
        q, k, v: float arrays (B, heads, T, head_dim), q divided by sqrt(head_dim).
        reach: int, at least 1.
        relative: float array (heads, reach, head_dim), by distance back, or None.

    Returns:
        float array (B, heads, T, head_dim).
    """
    length = ops.shape(q)[2]
    if relative is not None:  # the farthest first; what is out of reach is masked
        back = ops.minimum(length - 1 - ops.arange(length), reach - 1)
        relative = ops.take(relative, back, axis=1)  # (heads, T, head_dim)
    gathered = []
    for first, end in _blocks(length):
        oldest = max(0, first - reach + 1)
        rows, columns = ops.arange(first, end), ops.arange(oldest, end)
        back = rows[:, None] - columns[None, :]
        asking = q[:, :, first:end]
        scores = ops.matmul(asking, ops.transpose(k[:, :, oldest:end], (0, 1, 3, 2)))
        if relative is not None:
            near = relative[:, length - (end - oldest) :]
            scores = scores + relative_scores(ops, asking, near)
        visible = (back >= 0) & (back < reach)
        gathered.append(_gather(ops, scores, visible, v[:, :, oldest:end]))
    return gathered[0] if len(gathered) == 1 else ops.concatenate(gathered, axis=2)


def ring_attention(ops, q, k, v, read, relative=None):
    """What the newest token gathers from a ring that holds it and those before it.

    Args:
        ops: array namespace.
        q: float array (B, heads, 1, head_dim), divided by sqrt(head_dim).
        k, v: float arrays (B, heads, reach, head_dim); token t is in slot t % reach.
        read: int scalar, the newest token's number.
        relative: float array (heads, reach, head_dim), by distance back, or None.

    Returns:
        float array (B, heads, 1, head_dim).
    """
    slots = ops.arange(k.shape[2])
    scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2)))  # (B, heads, 1, reach)
    if relative is not None:
        by_distance = ops.matmul(q, ops.transpose(relative, (0, 2, 1)))
        back = (read - slots) % k.shape[2]
        scores = scores + ops.take(by_distance, back, axis=-1)
    return _gather(ops, scores, slots <= read, v)


def _blocks(length):
    # (first, end) of each block of queries; one block where the length is not known yet.
    if not isinstance(length, int):
        return [(0, length)]
    count = min(MOST_BLOCKS, -(-length // BLOCK))
    return [(i * length // count, (i + 1) * length // count) for i in range(count)]


def _gather(ops, scores, visible, v):
    return _weighted(ops, ops.where(visible, scores, -1e9), v)


def _weighted(ops, scores, v):
    # The result does not depend on what is taken off, so neither does its gradient.
    top = ops.stop_gradient(ops.max(scores, axis=-1, keepdims=True))
    weights = ops.exp(scores - top)
    return ops.matmul(weights, v) / ops.sum(weights, axis=-1, keepdims=True)


def _narrowed(ops, wide, kernel):
    """``wide @ kernel``, (B, T, 4D) and (4D, D), the kernel's gradient written by hand.

    Wide inputs turned round make XLA's product on a CPU run at a third of its speed. The
    narrow side turned round does not; but XLA would fold that back, if the product were
    not the sum of two, over the halves of the places.
    """
    if not hasattr(ops, "custom_gradient"):  # NumPy: nothing is learnt there
        return ops.matmul(wide, kernel)
    size, width = kernel.shape

    def product(wide, kernel):
        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream
            dwide = ops.matmul(upstream, ops.transpose(kernel, (1, 0)))
            x, dy = ops.reshape(wide, (-1, size)), ops.reshape(upstream, (-1, width))
            half = x.shape[0] // 2 if x.shape[0] else 0
            first, second = (
                ops.matmul(ops.transpose(dy[part], (1, 0)), x[part])
                for part in (slice(half), slice(half, None))
            )  # (D, 4D)
            return dwide, ops.transpose(first + second, (1, 0))

        return ops.matmul(wide, kernel), gradient

    # A tensor, not a variable: a hand-written gradient wants to be told all.
    return ops.custom_gradient(product)(wide, ops.reshape(kernel, (size, width)))


def rms_norm(ops, x):
    """x (..., D), each vector brought to a root mean square of 1."""
    return x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6)


def _gelu(ops, x):
    return 0.5 * x * (1 + ops.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

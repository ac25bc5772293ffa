"""The Transformer's step laid out for a CPU: the logits of `Transformer.forward`."""

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from audio_models import numpy_ops
from audio_models.decode_product import ALONE, Matrix, after_norm, normed
from audio_models.positions import rotation, sinusoids
from audio_models.transformer import causal_attention

CUBIC, SLOPE = 0.044715, 0.7978845608  # of GELU
GELU_SCALE = (SLOPE * CUBIC) ** (1 / 3)
TURNS = 1024  # places whose rotations are worked out at once
SHARED = 2**20  # keys and values of a layer, in numbers, worth a second thread


@dataclass(frozen=True)
class PackedLayer:
    """The weights of one layer; biases (out, 1)."""

    qkv: Matrix
    relative: np.ndarray | None  # (heads, context, head_dim)
    out: Matrix
    wide: Matrix
    wide_bias: np.ndarray
    narrow: Matrix
    narrow_bias: np.ndarray


class TransformerDecoder:
    """The weights of a Transformer, packed once, and what steps with them.

    Against `Transformer.forward`: a token is a column, (D, columns), and matrices stand
    as (out, in); the scales of the norms, the roots of D and of head_dim, and GELU's
    factors are multiplied into the weights; two numbers that rotary positions turn
    together are neighbours, one complex number; keys and values are written where they
    lie; and of the cache only what was written is read. Where that is much, the rows of
    the batch are shared out among the cores, which changes no bit of the result.

    Args:
        architecture: `transformer.Transformer`.
        weights: dict of name -> float32 array, as its `weights` names them.
    """

    def __init__(self, architecture, weights):
        self.architecture = architecture
        weights = {name: np.asarray(array) for name, array in weights.items()}
        self._table, self._places = weights["embedding"], weights.get("position")
        self._layers = [
            _packed(architecture, weights, f"layer{layer}")
            for layer in range(architecture.num_layers)
        ]
        head = self._table.T if architecture.tie_embedding else weights["head.kernel"]
        self._head = after_norm(head, weights["norm"])
        self._head_bias = weights["head.bias"]

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state.

        The state, as `Transformer.start` begins it, is used up: its arrays become those
        of the new one. What stands in its keys is for this class alone to read.
        """
        return self.read(np.asarray(ids)[:, None], state)

    def read(self, ids, state):
        """Some tokens further: int (B, T) and a state -> as `step` for the last one."""
        ids = np.asarray(ids)
        keys, values, read = state[0], state[1], int(state[2])
        if ids.shape[1] > 1 and read > 0:
            for column in ids.T:
                logits, state = self.step(column, state)
            return logits, state
        about, (rows, length) = self.architecture, ids.shape
        shape = (rows, length, 3, about.num_heads, -1)
        x = self._embedded(ids, read)  # (D, columns)
        turn = _turn(read, length, about.head_dim)
        for of, *cache in zip(self._layers, keys, values, strict=True):
            mixed = of.qkv.times(normed(x)).T  # (columns, 3D)
            mixed = np.ascontiguousarray(mixed)
            if about.positions == "rotary":
                pairs = mixed.view("complex64").reshape(shape)
                pairs[:, :, :2] *= turn
            q, *kv = mixed.reshape(shape).transpose(2, 0, 3, 1, 4)  # (B, heads, T, _)
            if length == 1:
                heads = _looked_back(q, kv, cache, read, of.relative)
            else:
                slots = np.arange(length)[-about.context_length :]
                for held, new in zip(cache, kv, strict=True):
                    held[:, :, slots % about.context_length] = new[:, :, slots]
                heads = causal_attention(
                    numpy_ops, q, *kv, about.context_length, of.relative
                )
                heads = heads.transpose(0, 2, 1, 3)
            x += of.out.times(heads.reshape(rows * length, -1).T)
            wide = of.wide.times(normed(x))
            wide += of.wide_bias
            x += of.narrow.times(_gelu(wide))
            x += of.narrow_bias
        last = normed(x if length == 1 else x.reshape(-1, rows, length)[:, :, -1])
        logits = self._head.times(last).T + self._head_bias
        return logits, (keys, values, np.int32(read + length))

    def _embedded(self, ids, read):
        about, places = self.architecture, np.arange(read, read + ids.shape[1])
        x = self._table[ids]  # (B, T, D)
        if about.positions == "sinusoidal":
            x = x * math.sqrt(about.hidden_dim)
            x += sinusoids(numpy_ops, places, about.hidden_dim)
        elif about.positions == "learned":
            x += self._places[places % about.context_length]
        return np.ascontiguousarray(x.reshape(-1, about.hidden_dim).T)


def _looked_back(q, kv, cache, read, relative):
    # The cache takes the newest keys and values in; then the rows are shared out.
    context = cache[0].shape[2]
    for held, new in zip(cache, kv, strict=True):
        held[:, :, read % context] = new[:, :, 0]
    keys, values = (held[:, :, : min(read + 1, context)] for held in cache)
    shares = min(keys.size * 2 // SHARED, len(q), os.cpu_count() or 1)
    if shares < 2:
        return _attend(q, keys, values, read, relative)
    ends = [len(q) * share // shares for share in range(shares + 1)]
    rows = [slice(*pair) for pair in pairwise(ends)]
    asked = [
        _threads().submit(_attend, q[some], keys[some], values[some], read, relative)
        for some in rows[1:]
    ]
    first = _attend(q[rows[0]], keys[rows[0]], values[rows[0]], read, relative)
    return np.concatenate([first, *(one.result() for one in asked)])


@lru_cache(1)
def _threads():
    from concurrent.futures import (
        ThreadPoolExecutor,
    )  # a short tune needs no such thing

    return ThreadPoolExecutor(os.cpu_count(), "attention")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_threads.cache_clear)


def _attend(q, keys, values, read, relative):
    """As `transformer.ring_attention`, of slots that all hold a token."""
    filled, size = keys.shape[2], max(1, ALONE // keys.shape[3])
    keys = keys.swapaxes(2, 3)  # (B, heads, head_dim, filled)
    blocks = [slice(at, at + size) for at in range(0, filled, size)]
    if len(blocks) == 1:
        scores = q @ keys  # (B, heads, 1, filled)
    else:
        scores = np.empty((*q.shape[:3], filled), "float32")
        for block in blocks:
            np.matmul(q, keys[..., block], out=scores[..., block])
    if relative is not None:
        by_distance = q @ relative.swapaxes(1, 2)  # (B, heads, 1, context)
        back = (read - np.arange(filled)) % relative.shape[1]
        scores += by_distance[..., back]
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    gathered = scores[..., blocks[0]] @ values[:, :, blocks[0]]
    for block in blocks[1:]:
        gathered += scores[..., block] @ values[:, :, block]
    gathered /= scores.sum(axis=-1, keepdims=True)
    return gathered


def _turn(read, length, width):
    # complex64 (T, 1, 1, width / 2), to turn what stands at places read, read + 1, ...
    first, last = read // TURNS, (read + length - 1) // TURNS
    turns = [_turns(block, width) for block in range(first, last + 1)]
    turns = turns[0] if first == last else np.concatenate(turns)
    return turns[read % TURNS : read % TURNS + length]


@lru_cache(64)
def _turns(block, width):
    places = np.arange(block * TURNS, (block + 1) * TURNS)
    cos, sin = rotation(numpy_ops, places, width)
    return (cos + 1j * sin).astype("complex64")[:, None, None]


def _gelu(x):
    # GELU of x / GELU_SCALE, times 2 * GELU_SCALE.
    wave = x * x
    wave += SLOPE / GELU_SCALE
    wave *= x
    np.tanh(wave, out=wave)
    wave += 1
    wave *= x
    return wave


def _packed(about, weights, name):
    named = {
        part: weights[f"{name}.{part}"]
        for part in (
            *("attention.norm", "attention.qkv", "attention.out", "mlp.norm"),
            *("mlp.in", "mlp.in_bias", "mlp.out", "mlp.out_bias"),
        )
    }
    qkv = named["attention.qkv"].copy()  # (D, 3D)
    qkv[:, : about.hidden_dim] /= math.sqrt(about.head_dim)
    if about.positions == "rotary":
        # Of each head's numbers, p and p + head_dim / 2 come to stand side by side.
        split = (2 * about.num_heads, 2, about.head_dim // 2)
        turning = np.arange(2 * about.hidden_dim).reshape(split).swapaxes(1, 2)
        qkv[:, : 2 * about.hidden_dim] = qkv[:, turning.ravel()]
    scale = np.float32(GELU_SCALE)
    return PackedLayer(
        qkv=after_norm(qkv, named["attention.norm"]),
        relative=weights.get(f"{name}.attention.relative"),
        out=Matrix(named["attention.out"]),
        wide=after_norm(named["mlp.in"] * scale, named["mlp.norm"]),
        wide_bias=named["mlp.in_bias"][:, None] * scale,
        narrow=Matrix(named["mlp.out"] / (2 * scale)),
        narrow_bias=named["mlp.out_bias"][:, None],
    )

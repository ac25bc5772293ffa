"""Gated recurrent units: an LSTM's memory with one state and three quarters of it."""

from dataclasses import dataclass

from audio_models.recurrent import Stacked
from audio_models.rnn import back_through_time


@dataclass(frozen=True)
class GRU(Stacked):
    """Stacked gated recurrent units over token embeddings.

    Gates stand in the order z, r, n, as in Keras: see `gru_cell`.

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each layer's state.
        num_layers: int.
        dropout: float in [0, 1), between layers and before the head, in training.
        learned_start: bool, whether the state before the first token is learnt (one
            vector a layer, at first zero) or zero.

    Reference:
        Cho et al. 2014, https://arxiv.org/abs/1406.1078, but the reset gate works on
        h recurrent and not on h, so that one product serves all three gates: the
        form of cuDNN, and of Keras with ``reset_after=True``.
    """

    GATES = 3
    LOOP = ("recurrent", "recurrent_bias")

    def cell(self, ops, gates, recurrent, bias, h):
        """One step of one layer: see `gru_cell`."""
        return gru_cell(ops, gates, recurrent, bias, h)

    def sequence(self, ops, gates, recurrent, bias, h):
        """All steps of one layer: see `gru_sequence`."""
        return gru_sequence(ops, gates, recurrent, bias, h)


def gru_cell(ops, gates, recurrent, bias, h):
    """One step of one layer.

        z, r = sigmoid(gates + p), n = tanh(gates + r p), h = z h + (1 - z) n

    each with its block of p = h recurrent + bias.

    Args:
        gates: float array (B, 3D), what the input gives to z, r, n.
        recurrent: float array (D, 3D).
        bias: float array (3D,).
        h: float array (B, D), the state before.

    Returns:
        (h,) after, (B, D).
    """
    z, _, n, _ = _gates(ops, gates, recurrent, bias, h)
    return (n + z * (h - n),)


def _gates(ops, gates, recurrent, bias, h):
    size = h.shape[-1]
    products = ops.matmul(h, recurrent) + bias
    zr = ops.sigmoid(gates[..., : 2 * size] + products[..., : 2 * size])
    z, r = zr[..., :size], zr[..., size:]
    product = products[..., 2 * size :]
    return z, r, ops.tanh(gates[..., 2 * size :] + r * product), product


def gru_sequence(ops, gates, recurrent, bias, h):
    """`gru_cell` over T steps.

    Args:
        gates: float array (T, B, 3D).
        recurrent, bias, h: as for `gru_cell`.

    Returns:
        (y (T, B, D), (h,) after the last step).
    """

    def states(gates, recurrent, bias, h):
        def step(carry, gates_at):
            carry = gru_cell(ops, gates_at, recurrent, bias, *carry)
            return carry, carry  # keras.ops.scan wants outputs like the carry

        return ops.scan(step, (h,), gates)[1][0]

    if not hasattr(ops, "custom_gradient"):  # NumPy: nothing is learnt there
        hs = states(gates, recurrent, bias, h)
        return hs, (hs[-1],)

    def differentiable(gates, recurrent, bias, h):
        hs = states(gates, recurrent, bias, h)

        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream
            h_before = ops.concatenate([h[None], hs[:-1]])  # (T, B, D)
            z, r, n, product = _gates(ops, gates, recurrent, bias, h_before)
            to_z = (h_before - n) * z * (1 - z)  # dh -> gradient of z before sigmoid
            to_n = (1 - z) * (1 - n * n)
            to_r = to_n * product * r * (1 - r)
            slopes = ops.concatenate([to_z, to_r, to_n * r], axis=-1)  # (T, B, 3D)
            dh, dproducts, drecurrent, dh_first = back_through_time(
                ops, upstream, slopes, recurrent, h_before, keep=z
            )
            # The gates differ from the products in n alone, which r does not touch.
            size = h.shape[-1]
            dgates = ops.concatenate([dproducts[..., : 2 * size], dh * to_n], axis=-1)
            return dgates, drecurrent, ops.sum(dproducts, axis=(0, 1)), dh_first

        return hs, gradient

    hs = ops.custom_gradient(differentiable)(gates, recurrent, bias, h)
    return hs, (hs[-1],)

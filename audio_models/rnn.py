"""The simple recurrent network, and the way back through time that it and GRU share."""

from dataclasses import dataclass
from typing import ClassVar

from audio_models.architecture import Weight
from audio_models.recurrent import Stacked


@dataclass(frozen=True)
class RNN(Stacked):
    """Stacked simple recurrent layers over token embeddings.

        h(t) = activation(x(t) input + h(t - 1) recurrent + bias)

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each layer's state.
        num_layers: int.
        dropout: float in [0, 1), between layers and before the head, in training.
        learned_start: bool, whether the state before the first token is learnt (one
            vector a layer, at first zero) or zero.
        activation: "tanh" or "relu".
        identity_start: bool, whether the recurrence begins as the identity: what was
            read stays until training finds a use for it. Meant for "relu".

    Reference:
        Elman 1990. The identity is that of Le, Jaitly & Hinton 2015 (IRNN),
        https://arxiv.org/abs/1504.00941, with two departures: it stands beside the
        weight, which starts at zeros, so that weight decay pulls towards the identity
        and not away from it; and the input weights are drawn as everywhere here.
    """

    activation: str = "tanh"
    identity_start: bool = False

    GATES = 1
    CHOICES: ClassVar = {"activation": ("tanh", "relu")}

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named = super().weights()
        if self.identity_start:
            for layer in range(self.num_layers):
                name = f"layer{layer}.recurrent"
                named[name] = Weight(named[name].shape, "zeros")
        return named

    def cell(self, ops, gates, recurrent, h):
        """One step of one layer: see `rnn_cell`."""
        return rnn_cell(ops, gates, self._whole(ops, recurrent), h, self.activation)

    def sequence(self, ops, gates, recurrent, h):
        """All steps of one layer: see `rnn_sequence`."""
        return rnn_sequence(ops, gates, self._whole(ops, recurrent), h, self.activation)

    def _whole(self, ops, recurrent):
        if not self.identity_start:
            return recurrent
        return recurrent + ops.eye(self.hidden_dim, dtype="float32")


def rnn_cell(ops, gates, recurrent, h, activation="tanh"):
    """One step of one layer.

    Args:
        gates: float array (B, D), what the input gives.
        recurrent: float array (D, D).
        h: float array (B, D), the state before.
        activation: "tanh" or "relu".

    Returns:
        (h,) after, (B, D).
    """
    function = ops.tanh if activation == "tanh" else ops.relu
    return (function(gates + ops.matmul(h, recurrent)),)


def rnn_sequence(ops, gates, recurrent, h, activation="tanh"):
    """`rnn_cell` over T steps.

    Args:
        gates: float array (T, B, D).
        recurrent, h, activation: as for `rnn_cell`.

    Returns:
        (y (T, B, D), (h,) after the last step).
    """

    def states(gates, recurrent, h):
        def step(carry, gates_at):
            carry = rnn_cell(ops, gates_at, recurrent, *carry, activation)
            return carry, carry  # keras.ops.scan wants outputs like the carry

        return ops.scan(step, (h,), gates)[1][0]

    if not hasattr(ops, "custom_gradient"):  # NumPy: nothing is learnt there
        hs = states(gates, recurrent, h)
        return hs, (hs[-1],)

    def differentiable(gates, recurrent, h):
        hs = states(gates, recurrent, h)

        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream
            slope = 1 - hs * hs if activation == "tanh" else ops.cast(hs > 0, hs.dtype)
            h_before = ops.concatenate([h[None], hs[:-1]])  # (T, B, D)
            _, dgates, drecurrent, dh_first = back_through_time(
                ops, upstream, slope, recurrent, h_before
            )
            return dgates, drecurrent, dh_first

        return hs, gradient

    hs = ops.custom_gradient(differentiable)(gates, recurrent, h)
    return hs, (hs[-1],)


def back_through_time(ops, upstream, slopes, recurrent, h_before, keep=None):
    """Gradients of a cell with one state, whose slopes are known for all steps.

    Such a cell reads its state through h recurrent, k blocks of D, and perhaps
    directly, times `keep`. The loop back then carries one (B, D) array,

        dh(t) = upstream(t) + keep(t+1) dh(t+1) + ([dh(t+1), ...] slopes(t+1)) recurrent^T

    and the gradient of `recurrent` is one product over all steps after it. Automatic
    differentiation adds that product up step by step, and stores what it needs.

    Args:
        upstream: float array (T, B, D), the gradient of each state by its other uses.
        slopes: float array (T, B, kD), derivatives of a state by h recurrent.
        recurrent: float array (D, kD).
        h_before: float array (T, B, D), the state before each step.
        keep: float array (T, B, D), or None where the state is only read.

    Returns:
        (dh (T, B, D), gradient of h recurrent (T, B, kD), of recurrent (D, kD), of the
        first h (B, D)).
    """
    size, width = recurrent.shape
    blocks = width // size
    transposed = ops.transpose(recurrent, (1, 0))

    def spread(dh, slopes):
        return ops.concatenate([dh] * blocks, axis=-1) * slopes

    def step_back(carry, t):  # an index, since scan takes one array
        dh = carry[0] + upstream[t]
        before = ops.matmul(spread(dh, slopes[t]), transposed)
        if keep is not None:
            before = before + dh * keep[t]
        return (before,), (dh,)

    (dh_first,), (dh,) = ops.scan(
        step_back,
        (ops.zeros_like(upstream[0]),),
        ops.arange(ops.shape(upstream)[0]),
        reverse=True,
    )
    dproducts = spread(dh, slopes)
    drecurrent = ops.matmul(
        ops.transpose(ops.reshape(h_before, (-1, size)), (1, 0)),
        ops.reshape(dproducts, (-1, width)),
    )
    return dh, dproducts, drecurrent, dh_first

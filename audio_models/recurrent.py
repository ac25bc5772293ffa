"""Recurrent networks: what was read so far is carried in a state of fixed size."""

from dataclasses import dataclass

from audio_models.architecture import Weight, check_limits


@dataclass(frozen=True)
class LSTM:
    """Stacked long short-term memory over token embeddings.

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each layer's state.
        num_layers: int.
        dropout: float in [0, 1), between layers and before the head, in training.

    Reference:
        Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000, its
        bias starting at 1 (Jozefowicz et al. 2015). Dropout stands between layers
        only (Zaremba et al. 2014, https://arxiv.org/abs/1409.2329).
    """

    vocab_size: int
    embedding_dim: int = 128
    hidden_dim: int = 256
    num_layers: int = 2
    dropout: float = 0.0

    def __post_init__(self):
        check_limits(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        named = {"embedding": Weight((self.vocab_size, self.embedding_dim), "normal")}
        width = self.embedding_dim
        gates = 4 * self.hidden_dim
        for layer in range(self.num_layers):
            named[f"layer{layer}.input"] = Weight((width, gates))
            named[f"layer{layer}.recurrent"] = Weight(
                (self.hidden_dim, gates), "orthogonal"
            )
            named[f"layer{layer}.bias"] = Weight((gates,), "forget_gate")
            width = self.hidden_dim
        named["head.kernel"] = Weight((width, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token: (h, c), each (layers, B, D), zero."""
        shape = (self.num_layers, batch_size, self.hidden_dim)
        return ops.zeros(shape, "float32"), ops.zeros(shape, "float32")

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            ids: int array (B, T).
            state: as `start` gives it; None is the beginning.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, V), state after the last token).
        """
        length = ids.shape[1]
        h, c = self.start(ops, ops.shape(ids)[0]) if state is None else state
        x = ops.take(weights["embedding"], ids, axis=0)  # (B, T, E)
        last_h, last_c = [], []
        for layer in range(self.num_layers):
            recurrent = weights[f"layer{layer}.recurrent"]
            # A tensor, not a variable: the hand-written gradient wants to be told all.
            recurrent = ops.reshape(recurrent, recurrent.shape)
            # One product for all steps; what is left to the loop is h times recurrent.
            gates = ops.matmul(x, weights[f"layer{layer}.input"])
            gates = gates + weights[f"layer{layer}.bias"]  # (B, T, 4D)
            if length == 1:
                last = lstm_cell(ops, gates[:, 0], recurrent, h[layer], c[layer])
                x = last[0][:, None]
            else:
                by_time = ops.transpose(gates, (1, 0, 2))
                y, last = lstm_sequence(ops, by_time, recurrent, h[layer], c[layer])
                x = ops.transpose(y, (1, 0, 2))  # (B, T, D)
            last_h.append(last[0])
            last_c.append(last[1])
            if dropout is not None:
                x = dropout(x)
        logits = ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]
        return logits, (ops.stack(last_h), ops.stack(last_c))


def lstm_cell(ops, gates, recurrent, h, c):
    """One step of one layer.

    Args:
        gates: float array (B, 4D), what the input gives to i, f, g, o.
        recurrent: float array (D, 4D).
        h, c: float arrays (B, D), the state before.

    Returns:
        (h, c) after, each (B, D).
    """
    i, f, g, o = ops.split(gates + ops.matmul(h, recurrent), 4, axis=-1)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    return ops.sigmoid(o) * ops.tanh(c), c


def lstm_sequence(ops, gates, recurrent, h, c):
    """`lstm_cell` over T steps.

    Args:
        gates: float array (T, B, 4D).
        recurrent, h, c: as for `lstm_cell`.

    Returns:
        (y (T, B, D), (h, c) after the last step).
    """

    def step(carry, gates_at):
        carry = lstm_cell(ops, gates_at, recurrent, *carry)
        return carry, carry  # keras.ops.scan wants outputs like the carry

    if not hasattr(ops, "custom_gradient"):  # NumPy: nothing is learnt there
        last, (y, _) = ops.scan(step, (h, c), gates)
        return y, last
    states = _differentiable_sequence(ops)(gates, recurrent, h, c)
    return states[0], (states[0, -1], states[1, -1])


def _differentiable_sequence(ops):
    """The states (2, T, B, D) of a sequence, their gradient written out by hand.

    Left to automatic differentiation, the backward loop adds up the gradient of
    `recurrent` step by step, and stores each intermediate of each step. Here the
    loop carries only what must be sequential, two (B, D) arrays; the gates are
    recomputed and the weights' gradient taken for all steps at once.
    """

    def sequence(gates, recurrent, h, c):
        def step(carry, gates_at):
            carry = lstm_cell(ops, gates_at, recurrent, *carry)
            return carry, carry

        _, (hs, cs) = ops.scan(step, (h, c), gates)

        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream
            h_before = ops.concatenate([h[None], hs[:-1]])  # (T, B, D)
            c_before = ops.concatenate([c[None], cs[:-1]])
            i, f, g, o = ops.split(gates + ops.matmul(h_before, recurrent), 4, axis=-1)
            i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
            tanh_c = ops.tanh(cs)
            to_c = o * (1 - tanh_c * tanh_c)  # dh -> dc
            to_o = tanh_c * o * (1 - o)  # dh -> do
            to_ifg = ops.concatenate(  # dc -> di, df, dg
                [g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g)], axis=-1
            )

            def gate_gradients(dh, dc, to_ifg, to_o):
                thrice = ops.concatenate([dc, dc, dc], axis=-1)
                return ops.concatenate([thrice * to_ifg, dh * to_o], axis=-1)

            transposed = ops.transpose(recurrent, (1, 0))

            def step_back(carry, at):
                dh_above, dc_above, to_c, to_o, f, *to_ifg = ops.split(at, 8, axis=-1)
                dh = carry[0] + dh_above
                dc = carry[1] + dc_above + dh * to_c
                dgates = gate_gradients(dh, dc, ops.concatenate(to_ifg, axis=-1), to_o)
                return (ops.matmul(dgates, transposed), dc * f), (dh, dc)

            zero = ops.zeros_like(h)
            # One array, since scan cannot take several of unknown length: (T, B, 8D)
            factors = ops.concatenate(
                [upstream[0], upstream[1], to_c, to_o, f, to_ifg], axis=-1
            )
            (dh_first, dc_first), (dh, dc) = ops.scan(
                step_back, (zero, zero), factors, reverse=True
            )
            dgates = gate_gradients(dh, dc, to_ifg, to_o)  # (T, B, 4D)
            size, width = recurrent.shape
            drecurrent = ops.matmul(
                ops.transpose(ops.reshape(h_before, (-1, size)), (1, 0)),
                ops.reshape(dgates, (-1, width)),
            )
            return dgates, drecurrent, dh_first, dc_first

        return ops.stack([hs, cs]), gradient

    return ops.custom_gradient(sequence)

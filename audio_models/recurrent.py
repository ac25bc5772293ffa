"""Recurrent networks: what was read so far is carried in a state of fixed size."""

from dataclasses import dataclass
from typing import ClassVar

from audio_models.architecture import Weight, check_limits
from audio_models.embedding import embedded


@dataclass(frozen=True)
class Stacked:
    """Recurrent layers over token embeddings, and a linear head: all but the cell.

    A kind of layer says how many blocks of D stand in its gates (``GATES``), what its
    states are called, its output first (``STATES``), which weights its loop needs
    (``LOOP``), how its bias is drawn (``BIAS``), and gives two functions:

        cell(ops, gates (B, GATES * D), *loop weights, *states (B, D)) -> states
        sequence(ops, gates (T, B, GATES * D), *loop weights, *states)
            -> (outputs (T, B, D), states after the last step)
    """

    vocab_size: int
    embedding_dim: int = 128
    hidden_dim: int = 256
    num_layers: int = 2
    dropout: float = 0.0
    learned_start: bool = False

    GATES: ClassVar[int]
    STATES: ClassVar[tuple] = ("h",)
    LOOP: ClassVar[tuple] = ("recurrent",)
    BIAS: ClassVar[str] = "zeros"

    can_carry = True  # its state has the same size however much was read

    def __post_init__(self):
        check_limits(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named = {"embedding": Weight((self.vocab_size, self.embedding_dim), "normal")}
        width = self.embedding_dim
        gates = self.GATES * self.hidden_dim
        for layer in range(self.num_layers):
            name = f"layer{layer}"
            named[f"{name}.input"] = Weight((width, gates))
            named[f"{name}.recurrent"] = Weight((self.hidden_dim, gates), "orthogonal")
            named[f"{name}.bias"] = Weight((gates,), self.BIAS)
            if "recurrent_bias" in self.LOOP:
                named[f"{name}.recurrent_bias"] = Weight((gates,), "zeros")
            width = self.hidden_dim
        named["head.kernel"] = Weight((width, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        if self.learned_start:
            for state in self.STATES:
                shape = (self.num_layers, self.hidden_dim)
                named[f"start.{state}"] = Weight(shape, "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token: one array (layers, B, D) of zeros a state.

        With a learned start, a state is held as its distance from that start.
        """
        shape = (self.num_layers, batch_size, self.hidden_dim)
        return tuple(ops.zeros(shape, "float32") for _ in self.STATES)

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
        if state is None:
            state = self.start(ops, ops.shape(ids)[0])
        if self.learned_start:
            begin = [weights[f"start.{name}"][:, None] for name in self.STATES]
            state = [held + zero for held, zero in zip(state, begin, strict=True)]
        # Time first from here to the logits: ids are turned round once, and no layer's
        # gates, nor their gradient, have to be.
        by_time = ops.transpose(ids, (1, 0))
        x = embedded(ops, weights["embedding"], by_time)  # (T, B, E)
        after = []
        for layer in range(self.num_layers):
            before = [held[layer] for held in state]
            x, last = self._read(ops, weights, f"layer{layer}", x, before)
            after.append(last)
            if dropout is not None:
                x = dropout(x)
        logits = ops.matmul(x, weights["head.kernel"]) + weights["head.bias"]
        logits = ops.transpose(logits, (1, 0, 2))  # (B, T, V)
        state = tuple(ops.stack(layers) for layers in zip(*after, strict=True))
        if self.learned_start:
            state = tuple(held - zero for held, zero in zip(state, begin, strict=True))
        return logits, state

    def _read(self, ops, weights, name, x, states):
        # One product for all steps; what is left to the loop is h times recurrent.
        gates = ops.matmul(x, weights[f"{name}.input"]) + weights[f"{name}.bias"]
        loop = [weights[f"{name}.{part}"] for part in self.LOOP]
        # Tensors, not variables: a hand-written gradient wants to be told all.
        loop = [ops.reshape(weight, weight.shape) for weight in loop]
        if x.shape[0] == 1:
            last = self.cell(ops, gates[0], *loop, *states)
            return last[0][None], last
        return self.sequence(ops, gates, *loop, *states)


@dataclass(frozen=True)
class LSTM(Stacked):
    """Stacked long short-term memory over token embeddings.

    Gates stand in the order i, f, g, o.

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each layer's state.
        num_layers: int.
        dropout: float in [0, 1), between layers and before the head, in training.
        learned_start: bool, whether the state before the first token is learnt (one
            vector a layer and state, at first zero) or zero.

    Reference:
        Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000, its
        bias starting at 1 (Jozefowicz et al. 2015). Dropout stands between layers
        only (Zaremba et al. 2014, https://arxiv.org/abs/1409.2329).
    """

    GATES = 4
    STATES = ("h", "c")
    BIAS = "forget_gate"

    def cell(self, ops, gates, recurrent, h, c):
        """One step of one layer: see `lstm_cell`."""
        return lstm_cell(ops, gates, recurrent, h, c)

    def sequence(self, ops, gates, recurrent, h, c):
        """All steps of one layer: see `lstm_sequence`."""
        return lstm_sequence(ops, gates, recurrent, h, c)


def lstm_cell(ops, gates, recurrent, h, c):
    """One step of one layer.

    Args:
        gates: float array (B, 4D), what the input gives to i, f, g, o.
        recurrent: float array (D, 4D).
        h, c: float arrays (B, D), the state before.

    Returns:
        (h, c) after, each (B, D).
    """
    return _lstm_step(ops, gates, recurrent, h, c)[:2]


def _lstm_step(ops, gates, recurrent, h, c):
    # The new (h, c), and the four gates that led to them.
    i, f, g, o = ops.split(gates + ops.matmul(h, recurrent), 4, axis=-1)
    i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), ops.tanh(g), ops.sigmoid(o)
    c = f * c + i * g
    return o * ops.tanh(c), c, i, f, g, o


def lstm_sequence(ops, gates, recurrent, h, c):
    """`lstm_cell` over T steps.

    Args:
        gates: float array (T, B, 4D).
        recurrent, h, c: as for `lstm_cell`.

    Returns:
        (y (T, B, D), (h, c) after the last step).
    """

    if hasattr(ops, "custom_gradient"):
        states = _differentiable_sequence(ops)(gates, recurrent, h, c)
        return states[:-1], (states[-2], states[-1])

    def step(carry, gates_at):  # NumPy: nothing is learnt there
        carry = lstm_cell(ops, gates_at, recurrent, *carry)
        return carry, carry

    last, (y, _) = ops.scan(step, (h, c), gates)
    return y, last


def lstm_layers(ops, weights, x, h, c, dropout=None):
    """Stacked LSTM layers over inputs that are vectors already.

    Args:
        ops: array namespace.
        weights: dict with ``layerN.input``, ``layerN.recurrent`` and ``layerN.bias``.
        x: float array (B, T, E).
        h, c: float arrays (layers, B, D), the state before.
        dropout: function of an array, applied after each layer, in training.

    Returns:
        (list of each layer's outputs (B, T, D), (h, c) after the last step).
    """
    outputs, after = [], []
    for layer in range(h.shape[0]):
        # A tensor, not a variable: see `Stacked`.
        recurrent = weights[f"layer{layer}.recurrent"]
        recurrent = ops.reshape(recurrent, recurrent.shape)
        gates = ops.matmul(x, weights[f"layer{layer}.input"])
        gates = gates + weights[f"layer{layer}.bias"]  # (B, T, 4D)
        if x.shape[1] == 1:
            last = lstm_cell(ops, gates[:, 0], recurrent, h[layer], c[layer])
            x = last[0][:, None]
        else:
            gates = ops.transpose(gates, (1, 0, 2))
            y, last = lstm_sequence(ops, gates, recurrent, h[layer], c[layer])
            x = ops.transpose(y, (1, 0, 2))
        after.append(last)
        if dropout is not None:
            x = dropout(x)
        outputs.append(x)
    h, c = zip(*after, strict=True)
    return outputs, (ops.stack(h), ops.stack(c))


def _differentiable_sequence(ops):
    """Each h of a sequence and its last c, (T + 1, B, D), with the gradient by hand.

    Left to automatic differentiation, the backward loop adds up the gradient of
    `recurrent` step by step, and stores each intermediate of each step. Here the loop
    forward keeps the states and gates; the loop back reads them at its step, carries
    what must be sequential, two (B, D) arrays, and leaves the gradient of the gates;
    that of `recurrent` is one product over all steps after it.
    """

    def sequence(gates, recurrent, h, c):
        def step(carry, gates_at):
            carry = _lstm_step(ops, gates_at, recurrent, *carry[:2])
            return carry, carry  # keras.ops.scan wants outputs like the carry

        zero = ops.zeros_like(h)
        _, kept = ops.scan(step, (h, c, zero, zero, zero, zero), gates)
        hs, cs = kept[:2]  # (T, B, D), as the gates are

        def gradient(*upstream_args, upstream=None):
            upstream = upstream_args[0] if upstream is None else upstream
            h_before = ops.concatenate([h[None], hs[:-1]])  # (T, B, D)
            c_before = ops.concatenate([c[None], cs[:-1]])
            transposed = ops.transpose(recurrent, (1, 0))

            def step_back(carry, t):
                # An index and not slices: scan takes one array, and laying all of
                # these side by side first would cost more than the loop.
                i, f, g, o = (gate[t] for gate in kept[2:])
                tanh_c = ops.tanh(cs[t])
                dh = carry[0] + upstream[t]
                dc = carry[1] + dh * o * (1 - tanh_c * tanh_c)
                dgates = ops.concatenate(
                    [
                        dc * g * i * (1 - i),
                        dc * c_before[t] * f * (1 - f),
                        dc * i * (1 - g * g),
                        dh * tanh_c * o * (1 - o),
                    ],
                    axis=-1,
                )  # (B, 4D)
                carry = (ops.matmul(dgates, transposed), dc * f, dgates)
                return carry, carry

            (dh_first, dc_first, _), (_, _, dgates) = ops.scan(
                step_back,
                (zero, upstream[-1], ops.concatenate([zero] * 4, axis=-1)),
                ops.arange(ops.shape(gates)[0]),
                reverse=True,
            )
            size, width = recurrent.shape
            drecurrent = ops.matmul(
                ops.transpose(ops.reshape(h_before, (-1, size)), (1, 0)),
                ops.reshape(dgates, (-1, width)),
            )
            return dgates, drecurrent, dh_first, dc_first

        return ops.concatenate([hs, cs[-1:]]), gradient

    return ops.custom_gradient(sequence)

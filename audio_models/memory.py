"""A Neural Turing Machine: a small network beside a memory that it reads and writes.

Each head has a weight for every slot of the memory, which sum to 1. It finds a slot by
what lies there (content) or goes on from where it stood (location). All of it is soft,
so that a gradient can tell a head where it should have been.
"""

from dataclasses import dataclass, fields
from typing import ClassVar

from audio_models.architecture import Weight
from audio_models.recurrent import lstm_cell, lstm_layers

MOVES = 3  # a head may go a slot back, stay, or go one on
HEADS = 2  # one reads, one writes
TINY = 1e-6  # what an unwritten memory holds, and the least length of a vector
LARGEST = 4096


def content_addressing(ops, keys, strengths, memory):
    """Weights of the slots by how much what they hold is like a key.

    Softmax of strength times cosine: which way a vector points counts, not its length.

    Args:
        ops: array namespace, `keras.ops` or `numpy_ops`.
        keys: float array (B, H, W), one for each head.
        strengths: float array (B, H, 1), above 0; the larger, the fewer slots.
        memory: float array (B, N, W).

    Returns:
        float array (B, H, N), rows sum to 1.
    """
    turned = ops.transpose(memory, (0, 2, 1))
    dots = ops.matmul(keys, turned)  # (B, H, N)
    lengths = _length(ops, keys)[..., None] * _length(ops, memory)[:, None]
    return ops.softmax(strengths * dots / (lengths + TINY**2), axis=-1)


def interpolate(gates, found, before):
    """Between where the content is and where the head stood: both (..., N).

    ``gates`` (..., 1): 1 takes what was found, 0 stays with the weights of before.
    """
    return gates * found + (1 - gates) * before


def shifted(ops, weights, moves):
    """Weights moved along the slots, round the end: a circular convolution.

    Args:
        ops: array namespace.
        weights: float array (..., N).
        moves: float array (..., 3), how much moves by -1, 0 and +1 slots; sums to 1.

    Returns:
        float array (..., N). With all of a move at +1, slot i has just what i - 1 had.
    """
    forward = ops.concatenate([weights[..., -1:], weights[..., :-1]], axis=-1)
    back = ops.concatenate([weights[..., 1:], weights[..., :1]], axis=-1)
    still = moves[..., 1:2] * weights
    return moves[..., :1] * back + still + moves[..., 2:] * forward


def sharpened(ops, weights, power):
    """Each of the weights (..., N) to a power (..., 1) of 1 or more; they sum to 1 again.

    What a soft move has smeared over neighbours is drawn together.
    """
    # Over the largest first: a hundredth to the hundredth is no number any more.
    largest = ops.stop_gradient(ops.max(weights, axis=-1, keepdims=True))
    raised = (weights / largest) ** power
    return raised / ops.sum(raised, axis=-1, keepdims=True)


def erase_and_add(ops, memory, weights, erase, add):
    """The memory after a write.

    Args:
        ops: array namespace.
        memory: float array (B, N, W).
        weights: float array (B, N), how much each slot takes part.
        erase: float array (B, W) in [0, 1], what is wiped of each number.
        add: float array (B, W).

    Returns:
        float array (B, N, W): ``memory * (1 - weights erase) + weights add``, the
        products being outer ones.
    """
    weights = weights[:, :, None]  # outer products as matrix products: twice as fast
    wiped = memory * ops.matmul(weights, erase[:, None])
    return memory - wiped + ops.matmul(weights, add[:, None])


def read(ops, memory, weights):
    """What a head takes in: the mean of the slots (B, W), each with its weight (B, N)."""
    return ops.matmul(weights[:, None], memory)[:, 0]


@dataclass(frozen=True)
class NeuralTuringMachine:
    """A controller, a memory, one head that writes and one that reads.

    In a step the controller is given the input and what was read the step before; it
    moves the heads; the memory is written, then read::

        found = softmax(strength cosine(key, memory))      content
        mixed = gate found + (1 - gate) weights            or where the head stood
        weights = (moves * mixed) ^ power / sum            moved, drawn together

    Args:
        inputs: int, numbers in each vector that comes in.
        outputs: int, logits in each that goes out: one a bit.
        slots: int, at least 3, vectors in the memory.
        width: int, numbers in each of them.
        hidden_dim: int, units of the controller.
        controller: str, "lstm" or "feedforward". The latter has no state of its own:
            all that it knows of the past it must read.

    Reference:
        Graves, Wayne & Danihelka 2014, https://arxiv.org/abs/1410.5401. Memory begins
        as a small constant, which Collier & Beel 2018,
        https://arxiv.org/abs/1807.08518, found to learn soonest. We depart from both:
        heads begin on slot 0 (there it is learnt), and the write comes before the read.
    """

    inputs: int
    outputs: int
    slots: int = 128
    width: int = 20
    hidden_dim: int = 100
    controller: str = "lstm"

    LEAST: ClassVar = {"slots": MOVES}

    def __post_init__(self):
        _check_sizes(self)

    @property
    def _said(self):
        # What the controller says to each head, the reading one first, in this order.
        return {"key": self.width, "strength": 1, "gate": 1, "moves": 3, "power": 1}

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        size = self.hidden_dim
        said = HEADS * sum(self._said.values()) + 2 * self.width  # erase and add
        come_in = self.inputs + self.width
        if self.controller == "lstm":
            named = {
                "controller.input": Weight((come_in, 4 * size)),
                "controller.recurrent": Weight((size, 4 * size), "orthogonal"),
                "controller.bias": Weight((4 * size,), "forget_gate"),
            }
        else:
            named = {
                "controller.input": Weight((come_in, size)),
                "controller.bias": Weight((size,), "zeros"),
            }
        return named | {
            "heads.kernel": Weight((size, said)),
            "heads.bias": Weight((said,), "zeros"),
            "head.kernel": Weight((size + self.width, self.outputs)),
            "head.bias": Weight((self.outputs,), "zeros"),
        }

    def start(self, ops, batch_size):
        """The state before the first vector.

        Returns:
            (memory (B, N, W), what was read (B, W), weights of the reading and the
            writing head (B, 2, N), then h and c (B, D) of an LSTM).
        """
        memory = TINY * ops.ones((batch_size, self.slots, self.width), "float32")
        first = ops.concatenate(
            [
                ops.ones((batch_size, HEADS, 1), "float32"),
                ops.zeros((batch_size, HEADS, self.slots - 1), "float32"),
            ],
            axis=-1,
        )
        nothing = ops.zeros((batch_size, self.width), "float32")
        size = (batch_size, self.hidden_dim)
        carried = (ops.zeros(size, "float32"),) * 2 if self.controller == "lstm" else ()
        return (memory, nothing, first, *carried)

    def step(self, ops, weights, x, state):
        """One vector further: x (B, inputs) -> (logits (B, outputs), state)."""
        memory, taken, heads_before, *carried = state
        x = ops.concatenate([x, taken], axis=-1)
        gates = ops.matmul(x, weights["controller.input"]) + weights["controller.bias"]
        if carried:
            recurrent = weights["controller.recurrent"]
            carried = lstm_cell(ops, gates, recurrent, *carried)
            h = carried[0]
        else:
            h = ops.tanh(gates)
        said = ops.matmul(h, weights["heads.kernel"]) + weights["heads.bias"]
        heads = said[:, : -2 * self.width]
        heads = self._moved(ops, ops.reshape(heads, (-1, HEADS, heads.shape[1] // 2)),
                            heads_before, memory)  # fmt: skip
        memory = erase_and_add(
            ops,
            memory,
            heads[:, 1],
            ops.sigmoid(said[:, -2 * self.width : -self.width]),
            ops.tanh(said[:, -self.width :]),
        )
        taken = read(ops, memory, heads[:, 0])
        out = ops.concatenate([h, taken], axis=-1)
        logits = ops.matmul(out, weights["head.kernel"]) + weights["head.bias"]
        return logits, (memory, taken, heads, *carried)

    def _moved(self, ops, said, before, memory):
        told, first = {}, 0
        for name, size in self._said.items():
            told[name] = said[..., first : first + size]
            first += size
        found = content_addressing(
            ops, ops.tanh(told["key"]), ops.softplus(told["strength"]), memory
        )
        mixed = interpolate(ops.sigmoid(told["gate"]), found, before)
        moved = shifted(ops, mixed, ops.softmax(told["moves"], axis=-1))
        return sharpened(ops, moved, 1 + ops.softplus(told["power"]))

    def forward(self, ops, weights, x, state=None, dropout=None):
        """Read vectors; say something at each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            x: float array (B, T, inputs).
            state: as `start` gives it; None is the beginning.
            dropout: for the likeness of other architectures; not used.

        Returns:
            (logits (B, T, outputs), state after the last vector).
        """
        logits, _, state = self._followed(ops, weights, x, state)
        return logits, state

    def motion(self, ops, weights, x):
        """Where the heads were: (logits, reads (B, T, N), writes (B, T, N))."""
        logits, states, _ = self._followed(ops, weights, x)
        heads = ops.stack([state[2] for state in states], axis=1)  # (B, T, 2, N)
        return logits, heads[:, :, 0], heads[:, :, 1]

    def _followed(self, ops, weights, x, state=None):
        state = self.start(ops, ops.shape(x)[0]) if state is None else state
        logits, states = [], []
        for t in range(x.shape[1]):
            said, state = self.step(ops, weights, x[:, t], state)
            logits.append(said)
            states.append(state)
        return ops.stack(logits, axis=1), states, state


@dataclass(frozen=True)
class VectorLSTM:
    """What stands beside it: stacked LSTM layers over vectors, and logits at each.

    Args:
        inputs, outputs: int, as for `NeuralTuringMachine`.
        hidden_dim: int, width of each layer's state.
        num_layers: int.
    """

    inputs: int
    outputs: int
    hidden_dim: int = 256
    num_layers: int = 1

    def __post_init__(self):
        _check_sizes(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named, come_in, size = {}, self.inputs, self.hidden_dim
        for layer in range(self.num_layers):
            named[f"layer{layer}.input"] = Weight((come_in, 4 * size))
            named[f"layer{layer}.recurrent"] = Weight((size, 4 * size), "orthogonal")
            named[f"layer{layer}.bias"] = Weight((4 * size,), "forget_gate")
            come_in = size
        named["head.kernel"] = Weight((size, self.outputs))
        return named | {"head.bias": Weight((self.outputs,), "zeros")}

    def start(self, ops, batch_size):
        """The state before the first vector: h and c, (layers, B, D) of zeros each."""
        shape = (self.num_layers, batch_size, self.hidden_dim)
        return ops.zeros(shape, "float32"), ops.zeros(shape, "float32")

    def forward(self, ops, weights, x, state=None, dropout=None):
        """As `NeuralTuringMachine.forward`."""
        state = self.start(ops, ops.shape(x)[0]) if state is None else state
        outputs, state = lstm_layers(ops, weights, x, *state, dropout=dropout)
        logits = ops.matmul(outputs[-1], weights["head.kernel"])
        return logits + weights["head.bias"], state


def _length(ops, vectors):
    return ops.sqrt(ops.sum(ops.square(vectors), axis=-1) + TINY**2)


def _check_sizes(architecture):
    least = getattr(architecture, "LEAST", {})
    for field in fields(architecture):
        name, value = field.name, getattr(architecture, field.name)
        if name == "controller":
            if value not in ("lstm", "feedforward"):
                raise ValueError(
                    f"`controller` must be lstm or feedforward. Received: {value!r}"
                )
        elif type(value) is not int or not least.get(name, 1) <= value <= LARGEST:
            raise ValueError(
                f"`{name}` must be an integer in {least.get(name, 1)}..{LARGEST}. "
                f"Received: {value!r}"
            )

"""The LSTM's step laid out for a CPU: the logits of `LSTM.forward`."""

import numpy as np

from audio_models.decode_product import Matrix

LARGEST_TABLE = 2**22  # numbers: what each token gives to the gates, worked out before


class LSTMDecoder:
    """The weights of a `recurrent.LSTM`, packed once, and what steps with them.

    Against `recurrent.lstm_cell`: what each token gives to the gates of the first layer
    is looked up; input and recurrent weights make one matrix, (out, in); the half inside
    ``sigmoid(x) = (tanh(x / 2) + 1) / 2`` is multiplied into them, so that one tanh
    serves all four gates. The state is the same.

    Args:
        architecture: `recurrent.LSTM`.
        weights: dict of name -> float32 array, as its `weights` names them.
    """

    def __init__(self, architecture, weights):
        weights = {name: np.asarray(array) for name, array in weights.items()}
        half = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), architecture.hidden_dim)
        self._embedding = weights["embedding"]
        self._input = weights["layer0.input"] * half
        self._bias = weights["layer0.bias"] * half
        self._table = None
        if len(self._embedding) * len(half) <= LARGEST_TABLE:
            self._table = self._from_token(slice(None))
        self._matrices = [Matrix(weights["layer0.recurrent"] * half)]
        self._biases = []  # (4D, 1), of the layers after the first
        for layer in range(1, architecture.num_layers):
            parts = [weights[f"layer{layer}.{part}"] for part in ("input", "recurrent")]
            self._matrices.append(Matrix(np.concatenate(parts) * half))
            self._biases.append((weights[f"layer{layer}.bias"] * half)[:, None])
        self._head = Matrix(weights["head.kernel"])
        self._head_bias = weights["head.bias"]
        self._begin = [
            weights.get(f"start.{name}", np.zeros(1, "float32"))[..., None, :]
            for name in architecture.STATES
        ]

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        ids = np.asarray(ids)
        before = [held + zero for held, zero in zip(state, self._begin, strict=True)]
        after = [np.empty_like(held) for held in before]  # (layers, B, D)
        gates = self._from_token(ids) if self._table is None else self._table[ids]
        x = np.empty((0, len(ids)), "float32")  # (in, B): the first layer has the table
        biases = [gates.T, *self._biases]
        for layer, matrix in enumerate(self._matrices):
            h, c = (held[layer].T for held in before)  # (D, B)
            gates = matrix.times(np.concatenate([x, h])) + biases[layer]
            np.tanh(gates, out=gates)
            i, f, g, o = gates.reshape(4, len(c), -1)
            for gate in (i, f, o):
                gate += 1  # twice the sigmoid
            f *= c
            i *= g
            c = 0.5 * (f + i)
            x = np.tanh(c)
            o *= 0.5
            x *= o
            after[0][layer], after[1][layer] = x.T, c.T
        logits = self._head.times(x).T + self._head_bias
        for held, zero in zip(after, self._begin, strict=True):
            held -= zero
        return logits, tuple(after)

    def read(self, ids, state):
        """Some tokens further: int (B, T) and a state -> as `step` for the last one."""
        for column in np.asarray(ids).T:
            logits, state = self.step(column, state)
        return logits, state

    def _from_token(self, ids):
        return self._embedding[ids] @ self._input + self._bias

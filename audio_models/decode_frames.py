"""A frame's step laid out for a CPU: the logits of `Frames.forward`, and whole sounds.

At 16 kHz a sample has 62 microseconds, of which each call of NumPy takes one or two. What
a step need not do is left out: nothing is looked up twice, and no array made anew.
"""

import numpy as np

from audio_models import numpy_ops
from audio_models.frames import class_vectors, level_features
from audio_models.one_row import OneRow

LARGEST_TABLE = 2**23  # numbers: what each token gives to the samples after it


class FramesDecoder(OneRow):
    """The weights of a `frames.Frames`, packed once, and what steps with them.

    Against `Frames.forward`: what each token gives to the first layer of each sample
    that sees it is one row of a table, (V, window, units), which is added to the sums of
    the samples to come, all at once; the bias of the place in the frame is in what the
    memory gives. Of the LSTM, input and recurrent weights make one matrix, with the half
    inside ``sigmoid(x) = (tanh(x / 2) + 1) / 2`` multiplied in. The state is the same.

    Args:
        architecture: `frames.Frames`.
        weights: dict of name -> float32 array, as its `weights` names them.
    """

    def __init__(self, architecture, weights):
        self.architecture = a = architecture
        self.weights = w = {name: np.asarray(array) for name, array in weights.items()}
        self._features = np.concatenate(
            [level_features(a.vocab_size, a.first_sample), w["embedding"]], axis=1
        )
        taps = w["sample.input"].reshape(a.window, a.feature_dim, a.sample_dim)
        self._table = None
        if a.vocab_size * a.window * a.sample_dim <= LARGEST_TABLE:
            # Turned round: the sample that comes next sees a token in its last tap.
            self._table = np.einsum("vf,kfu->vku", self._features, taps[::-1])
            self._table = np.ascontiguousarray(self._table, "float32")

        half = np.repeat(np.float32([0.5, 0.5, 1, 0.5]), a.hidden_dim)
        self._layers = []
        for layer in range(a.num_layers):
            parts = [w[f"layer{layer}.{part}"] for part in ("input", "recurrent")]
            kernel = np.concatenate(parts) * half
            self._layers.append((kernel, w[f"layer{layer}.bias"] * half))
        if a.num_classes:
            self._class_gates = w["class.frame"] @ w["class.input"] * half

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        a, w = self.architecture, self.weights
        h, c, conditions, recent, opening, read = state
        ids, read = np.asarray(ids, "int32"), int(read)
        recent = np.concatenate([recent[:, 1:], ids[:, None]], axis=1)
        if read == a.HEAD - 1:
            opening = ids
        place = (read - a.HEAD + a.frame + 1) % a.frame
        if place == 0:
            h, c, conditions = self._frame(recent[:, -a.frame :], opening, h, c)
        x = conditions.reshape(len(ids), a.frame, -1)[:, place]
        x = x + w["memory.bias"][place]
        heard = recent[:, -a.window :]
        if self._table is not None:
            taps = np.arange(a.window)[::-1]
            x = x + np.add.reduce(self._table[heard, taps], axis=1)
        else:
            x = x + self._features[heard].reshape(len(ids), -1) @ w["sample.input"]
        if a.num_classes and read >= a.HEAD - 1:
            x = x + class_vectors(numpy_ops, w["class.sample"], opening, a.first_class)
        x = np.maximum(x, 0) @ w["sample.hidden"] + w["sample.bias"]
        logits = np.maximum(x, 0) @ w["head.kernel"] + w["head.bias"]
        return logits, (h, c, conditions, recent, opening, np.int32(read + 1))

    def read(self, ids, state):
        """Some tokens further: int (B, T) and a state -> as `step` for the last one."""
        for column in np.asarray(ids).T:
            logits, state = self.step(column, state)
        return logits, state

    def _frame(self, ids, opening, h, c):
        # The memory after one more frame (B, frame): h, c, and what it gives.
        a = self.architecture
        x = self._features[ids].reshape(len(ids), -1)
        after_h, after_c = np.empty_like(h), np.empty_like(c)
        for layer, (kernel, bias) in enumerate(self._layers):
            gates = np.concatenate([x, h[layer]], axis=1) @ kernel
            gates += bias
            if a.num_classes and layer == 0:
                gates += class_vectors(
                    numpy_ops, self._class_gates, opening, a.first_class
                )
            np.tanh(gates, out=gates)
            i, f, g, o = gates.reshape(len(ids), 4, -1).swapaxes(0, 1)
            for gate in (i, f, o):
                gate += 1  # twice the sigmoid
            after_c[layer] = 0.5 * (f * c[layer] + i * g)
            x = after_h[layer] = 0.5 * o * np.tanh(after_c[layer])
        return after_h, after_c, x @ self.weights["memory.kernel"]

    def can_write(self, request):
        """As `OneRow.can_write`; the table has to be there, and a class to be told."""
        return (
            self._table is not None
            and request.prompts.shape[1] >= self.architecture.HEAD
            and super().can_write(request)
        )

    def listener(self, state):
        """As `OneRow.listener`: a frame is read when it is whole."""
        a, w = self.architecture, self.weights
        h, c, conditions, recent, opening, read = state
        vector = np.zeros(a.sample_dim, "float32")
        if a.num_classes:
            (vector,) = class_vectors(
                numpy_ops, w["class.sample"], opening, a.first_class
            )
        line = _Line(self, recent[0], int(read), conditions, vector)

        def hear(token, row):
            nonlocal h, c
            if line.hear(token):
                h, c, conditions = self._frame(line.frame, opening, h, c)
                line.turn(conditions)
            line.logits(row)

        return hear


class _Line:
    """One row's sums over the taps, of this frame's samples and those just behind it."""

    def __init__(self, decoder, recent, read, conditions, vector):
        a, w = decoder.architecture, decoder.weights
        self._table, self._window = decoder._table, a.window
        self._bias = w["memory.bias"] + vector  # (frame, units)
        # A unit that is always 1 brings the biases in.
        self._hidden = np.concatenate([w["sample.hidden"], w["sample.bias"][None]])
        self._head = np.concatenate([w["head.kernel"], w["head.bias"][None]])
        self._place = (read - a.HEAD) % a.frame  # of the token to come
        self._size = a.frame
        self.frame = np.zeros((1, a.frame), "int32")  # its ids so far
        self.frame[0, : self._place] = recent[len(recent) - self._place :]
        self._sums = np.zeros((a.frame + a.window, a.sample_dim), "float32")
        for age, token in enumerate(recent[::-1][: a.window]):
            row = self._table[token][age:]  # what it still has to give
            self._sums[self._place : self._place + len(row)] += row
        # Of this frame, the samples to come; those before are past.
        slots = conditions.reshape(a.frame, -1) + self._bias
        self._sums[self._place : a.frame] += slots[self._place :]
        self._x, self._y = np.ones((2, a.sample_dim + 1), "float32")
        self._own_x, self._own_y = self._x[:-1], self._y[:-1]

    def hear(self, token):
        """Take the next token; says whether its frame is whole now."""
        place = self._place
        self.frame[0, place] = token
        place += 1
        there = self._sums[place : place + self._window]
        there += self._table[token]
        self._place = place
        return place == self._size

    def turn(self, conditions):
        """Begin a frame, what the memory gives to it being known."""
        size, sums = self._size, self._sums
        sums[: self._window] = sums[size:].copy()
        sums[self._window :] = 0
        sums[:size] += conditions.reshape(size, -1)
        sums[:size] += self._bias
        self._place = 0

    def logits(self, out):
        """Write the logits of the token to come into an array (V,)."""
        np.maximum(self._sums[self._place], 0, out=self._own_x)
        np.dot(self._x, self._hidden, out=self._own_y)
        np.maximum(self._own_y, 0, out=self._own_y)
        np.dot(self._y, self._head, out=out)

"""A step of dilated convolutions laid out for a CPU: the logits of `Dilated.forward`.

A layer is too small for its arithmetic to count: what a step costs is how often NumPy is
called. All that does not wait for the layer below is done for all layers at once.
"""

import numpy as np

from audio_models.frames import level_features
from audio_models.one_row import LayerByLayer


class DilatedDecoder(LayerByLayer):
    """The weights of a `dilated.Dilated`, packed once, and what steps with them.

    Against `Dilated.forward`: a layer's x and z meet one matrix, which gives x and gates
    of the next layer, ``[x, z] @ [[1, W], [R, R W]]``, W being what the gates take of
    this instant. What they take of the one before is made for all layers at once, from
    their queues, and so is the sum of the skips. What a token gives to the first layer
    is a row of a table. Of ``sigmoid(x) = (tanh(x / 2) + 1) / 2``, both halves are
    multiplied into the weights. The state is the same.

    Args:
        architecture: `dilated.Dilated`.
        weights: dict of name -> float32 array, as its `weights` names them.
    """

    def __init__(self, architecture, weights):
        self.architecture = a = architecture
        self.weights = w = {name: np.asarray(array) for name, array in weights.items()}
        size, layers = a.hidden_dim, range(a.num_layers)
        inside = np.repeat(np.float32([1, 0.5]), size)  # of tanh, of sigmoid
        kernels = np.stack([w[f"layer{layer}.kernel"] for layer in layers]) * inside
        outputs = np.stack([w[f"layer{layer}.output"] for layer in layers]) / 2
        before, now = kernels[:, :size], kernels[:, size:]  # (layers, D, 2D) each
        self._before = np.ascontiguousarray(before)
        self._bias = np.stack([w[f"layer{layer}.bias"] for layer in layers])[:, None]
        self._bias = self._bias * inside
        self._class = None
        if a.num_classes:
            every = [w["class"] @ w[f"layer{layer}.class"] for layer in layers]
            self._class = np.stack(every, axis=1).reshape(a.num_classes, -1)
            self._class = self._class * np.tile(inside, a.num_layers)
        same = np.eye(size, dtype="float32")
        self._up = [None] + [
            np.block([[same, now[n + 1]], [rest, rest @ now[n + 1]]])
            for n, rest in enumerate(outputs[:-1, :, :size])
        ]  # (2D, 3D) each
        self._skips = np.ascontiguousarray(outputs[:, :, size:]).reshape(-1, a.skip_dim)
        features = np.concatenate(
            [level_features(a.vocab_size, a.first_sample), w["embedding"]], axis=1
        )
        x = features @ w["input"]
        self._table = np.concatenate([x, x @ now[0]], axis=1).astype("float32")
        self._distances = np.array(a.dilations)
        self._first = np.cumsum(self._distances) - self._distances
        self._known = None, None  # a class's ids, and the biases that it makes
        self._lay_out(1)

    def _lay_out(self, count):
        # Where a step of so many rows works: in each layer x, z, and what was its sigmoid.
        size = self.architecture.hidden_dim
        self._rows = np.zeros(
            (self.architecture.num_layers, count, 3 * size), "float32"
        )
        self._layers = [
            (row[:, : 2 * size], row, *np.split(row[:, size:], 2, axis=1))
            for row in self._rows
        ]
        self._gates = [row[:, size:] for row in self._rows]

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        w, size = self.weights, self.architecture.hidden_dim
        queues, opening, read = state
        ids, read = np.asarray(ids), int(read)
        if read == 1:
            opening = ids.astype("int32")
        if self._rows.shape[1] != len(ids):
            self._lay_out(len(ids))
        rows = self._rows
        places = self._first + read % self._distances
        before = np.matmul(queues[:, places].swapaxes(0, 1), self._before)
        before += self._biases(opening) if read else self._bias
        rows[0] = self._table[ids]
        below = None
        for (x_and_z, row, z, twice), gates, up, known in zip(
            self._layers, self._gates, self._up, before, strict=True
        ):
            if below is not None:
                np.dot(below, up, out=row)
            gates += known
            np.tanh(gates, out=gates)
            twice += 1
            z *= twice
            below = x_and_z
        queues[:, places] = rows[..., :size].swapaxes(0, 1)
        z = rows[..., size : 2 * size].swapaxes(0, 1).reshape(len(ids), -1)
        x = z @ self._skips
        x += w["skip.bias"]
        np.maximum(x, 0, out=x)
        x = x @ w["skip.hidden"]
        x += w["skip.hidden_bias"]
        np.maximum(x, 0, out=x)
        logits = x @ w["head.kernel"]
        logits += w["head.bias"]
        return logits, (queues, opening, np.int32(read + 1))

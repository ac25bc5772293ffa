"""A step of resonators laid out for a CPU: the logits of `StateSpace.forward`."""

import numpy as np

from audio_models import numpy_ops
from audio_models.decode_frames import LARGEST_TABLE
from audio_models.frames import level_features
from audio_models.one_row import LayerByLayer


class StateSpaceDecoder(LayerByLayer):
    """The weights of a `state_space.StateSpace`, packed once, and what steps with them.

    Against `StateSpace.forward`: all resonators ring on at once, and what the gates take
    of that is made for all layers before the first. What a layer's stroke adds to it goes
    from n to the gates directly, ``B W_re + W_n``, so that a layer is one product. What a
    token gives to the first layer from each place of the window is a row of a table.
    Of ``a sigmoid(g) = (a / 2) (tanh(g / 2) + 1)``, the halves are multiplied into the
    weights. The state is the same.

    Args:
        architecture: `state_space.StateSpace`.
        weights: dict of name -> float32 array, as its `weights` names them.
    """

    def __init__(self, architecture, weights):
        self.architecture = a = architecture
        self.weights = w = {name: np.asarray(array) for name, array in weights.items()}
        size, layers = a.hidden_dim, range(a.num_layers)
        poles = np.stack([a._poles(numpy_ops, w, layer) for layer in layers])
        rate, pitch = poles.swapaxes(0, 1)[:, :, None]  # (layers, 1, D) each
        self._cos = np.exp(-rate) * np.cos(pitch)
        self._sin = np.exp(-rate) * np.sin(pitch)
        self._strokes, taken = [], []  # (D, 3D) each; (2D, 2D) each
        for layer, loud in enumerate(np.sqrt(1 - np.exp(-2 * rate))):
            scale = w[f"layer{layer}.norm"][:, None]
            drive = scale * w[f"layer{layer}.drive"] * loud
            re, im, n = np.split(w[f"layer{layer}.output"] / 2, 3)
            self._strokes.append(np.hstack([drive, drive @ re + scale * n]))
            taken.append(np.vstack([re, im]))
        self._taken = np.stack(taken)
        self._bias = (
            np.stack([w[f"layer{layer}.bias"] for layer in layers])[:, None] / 2
        )
        self._class = None
        if a.num_classes:
            every = [w["class"] @ w[f"layer{layer}.class"] / 2 for layer in layers]
            self._class = np.concatenate(every, axis=1)  # (classes, layers * 2D)
        self._known = None, None  # a class's ids, and the biases that it makes
        self._skip = w["skip.norm"][:, None] * w["skip.kernel"]
        self._features = np.concatenate(
            [level_features(a.vocab_size, a.first_sample), w["embedding"]], axis=1
        )
        self._table, self._taps = None, np.arange(a.window)
        if a.vocab_size * a.window * size <= LARGEST_TABLE:
            taps = w["input"].reshape(a.window, a.feature_dim, size)
            self._table = np.einsum("vf,kfd->vkd", self._features, taps)

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        w, size = self.weights, self.architecture.hidden_dim
        re, im, recent, opening, read = state
        ids, read = np.asarray(ids, "int32"), int(read)
        recent = np.concatenate([recent[:, 1:], ids[:, None]], axis=1)
        if read == 1:
            opening = ids
        if self._table is not None:
            x = np.add.reduce(self._table[recent, self._taps], axis=1)
        else:
            x = self._features[recent].reshape(len(ids), -1) @ w["input"]
        rings = np.concatenate(
            [self._cos * re - self._sin * im, self._cos * im + self._sin * re], axis=2
        )  # (layers, B, 2D)
        known = np.matmul(rings, self._taken)
        known += self._biases(opening) if read else self._bias
        for stroke, ringing, gates in zip(self._strokes, rings, known, strict=True):
            struck = _normed(x) @ stroke  # (B, 3D)
            ringing[:, :size] += struck[:, :size]
            gates += struck[:, size:]
            opened = np.tanh(gates[:, size:])
            opened += 1
            opened *= gates[:, :size]
            x += opened
        x = _normed(x) @ self._skip
        x += w["skip.bias"]
        np.maximum(x, 0, out=x)
        logits = x @ w["head.kernel"]
        logits += w["head.bias"]
        re, im = rings[..., :size], rings[..., size:]
        return logits, (re, im, recent, opening, np.int32(read + 1))


def _normed(x):
    # (B, D), each row brought to a root mean square of 1.
    power = np.vecdot(x, x)[:, None] / x.shape[1]
    return x / np.sqrt(power + 1e-6)

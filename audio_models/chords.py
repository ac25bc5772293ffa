"""Whole chords: an LSTM over the frames of a piano-roll, and a chord note by note."""

from dataclasses import dataclass

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import LARGEST, Weight
from audio_models.recurrent import lstm_layers

LARGEST_HERE = {**LARGEST, "num_pitches": 128, "chord_dim": 4096, "most_notes": 16}
RECALL_LENGTHS = (1, 2, 4, 8, 16)  # frames; `recall` tells these matches apart
TINY = 1e-30  # kept away from the logarithm of zero


@dataclass(frozen=True)
class ChordLSTM:
    """The next frame of a piano-roll, as one distribution over all its chords.

    An LSTM reads the frames. Its state h, and the last frame x, condition a walk up
    the keyboard: from the notes found so far a hidden layer tells which key above them
    sounds next, or that none does::

        p(v | h, x) = prod over k of softmax(s(n[1..k], h, x))[n[k + 1]]

    the softmax running over the keys above n[k] and "no more". A frame has one such
    walk, so these are exact probabilities of whole chords, and equally a product over
    the keys from the lowest up: `forward` gives the logit of each key given those
    below it.

    Args:
        num_pitches: int in 1..128, keys of a frame.
        hidden_dim: int, width of each LSTM layer's state.
        num_layers: int.
        chord_dim: int, hidden units of the walk.
        most_notes: int in 1..16, how many notes of a chord the walk remembers; it may
            find more, but knows the lowest `most_notes` alone.
        recall: bool, whether the walk also sees what `recall` gives.
        dropout: float in [0, 1), after each LSTM layer and on the walk's hidden units.

    Reference:
        Boulanger-Lewandowski et al. 2012, https://arxiv.org/abs/1206.6392, whose
        RNN-NADE (Larochelle & Murray 2011) goes key by key with a sigmoid each. Here a
        step is a note, its softmax shared by all keys that may follow; the history
        moves hidden units and scores alike; the frame before is seen directly too.
    """

    num_pitches: int = 88
    hidden_dim: int = 256
    num_layers: int = 1
    chord_dim: int = 256
    most_notes: int = 4
    recall: bool = False
    dropout: float = 0.0

    can_carry = True

    def __post_init__(self):
        for name in (
            "num_pitches", "hidden_dim", "num_layers", "chord_dim", "most_notes",
        ):  # fmt: skip
            value, largest = getattr(self, name), LARGEST_HERE[name]
            if type(value) is not int or not 1 <= value <= largest:
                raise ValueError(
                    f"`{name}` must be an integer in 1..{largest}. Received: {value!r}"
                )
        if type(self.recall) is not bool:
            raise ValueError(
                f"`recall` must be true or false. Received: {self.recall!r}"
            )
        if not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1). Received: {self.dropout!r}")

    @property
    def num_inputs(self):
        """Columns of a frame as it is read: its keys, and what `recall` adds."""
        return self.num_pitches * (1 + len(RECALL_LENGTHS) * self.recall)

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        keys, size, units = self.num_pitches, self.hidden_dim, self.chord_dim
        named, width = {}, keys
        for layer in range(self.num_layers):
            named[f"layer{layer}.input"] = Weight((width, 4 * size))
            named[f"layer{layer}.recurrent"] = Weight((size, 4 * size), "orthogonal")
            named[f"layer{layer}.bias"] = Weight((4 * size,), "forget_gate")
            width = size
        for part, outputs in (("chord", units), ("head", keys + 1)):
            named[f"{part}.history"] = Weight((size, outputs))
            named[f"{part}.frame"] = Weight((self.num_inputs, outputs))
            named[f"{part}.found"] = Weight((keys, outputs))
            named[f"{part}.newest"] = Weight((keys, outputs))
            named[f"{part}.voice"] = Weight((keys, outputs))
            named[f"{part}.bias"] = Weight((self.most_notes + 1, outputs), "zeros")
        named["head.chord"] = Weight((units, keys + 1))
        return named

    def start(self, ops, batch_size):
        """The state before the first frame: (h, c), each (layers, B, D), zero."""
        shape = (self.num_layers, batch_size, self.hidden_dim)
        return ops.zeros(shape, "float32"), ops.zeros(shape, "float32")

    def forward(self, ops, weights, frames, targets, state=None, dropout=None):
        """Read frames; give the logit of each key of the frame that comes after each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            frames: float array (B, T, num_inputs): what has sounded, 0 and 1, and
                beside it `recall` of it, where the architecture has any.
            targets: float array (B, T, keys) of 0 and 1, the frame after each: the
                logit of a key is given the keys of its own frame below it.
            state: as `start` gives it; None is the beginning.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, keys), state after the last frame).
        """
        history, state = self._read(ops, weights, frames, state, dropout)
        places = np.arange(self.most_notes + 1, dtype="float32")[:, None]
        rank = self._rank(ops, targets)[:, :, None]  # (B, T, 1, keys)
        notes = targets[:, :, None]
        scores = self._scores(
            ops,
            weights,
            frames,
            history,
            notes * ops.cast(rank < places, "float32"),  # (B, T, K + 1, keys)
            notes * ops.cast(rank == places - 1, "float32"),
            places,
            dropout,
        )  # (B, T, K + 1, keys + 1)
        here = ops.cast(ops.minimum(rank, float(self.most_notes)) == places, "float32")
        return ops.sum(here * _key_logits(ops, scores), axis=2), state

    def _read(self, ops, weights, frames, state, dropout=None):
        # The history (B, T, D) after each frame, and the state after the last.
        h, c = self.start(ops, ops.shape(frames)[0]) if state is None else state
        x = frames[:, :, : self.num_pitches]
        outputs, state = lstm_layers(ops, weights, x, h, c, dropout)
        return outputs[-1], state

    def _rank(self, ops, chord):
        # How many notes of a chord (..., keys) lie below each key.
        # A product, where a running sum would be: XLA works each sum out anew.
        below = np.triu(np.ones((self.num_pitches, self.num_pitches), "float32"), 1)
        return ops.matmul(chord, below)

    def _scores(
        self, ops, weights, frames, history, found, newest, places, dropout=None
    ):
        """What the softmax at each place of the walk runs over.

        Args:
            frames, history: float arrays (B, T, num_inputs) and (B, T, D).
            found: float array (B, T, P, keys), the notes found before each place.
            newest: float array (B, T, P, keys), the highest of them.
            places: float array (P, 1), how many there are.

        Returns:
            float array (B, T, P, keys + 1), the last column for "no more".
        """
        before = frames[:, :, None, : self.num_pitches]
        voice = before * ops.cast(
            self._rank(ops, before) == places, "float32"
        )  # the frame before's note of the same place
        rows = places[:, 0].astype("int32")

        def told(part):
            once = ops.matmul(history, weights[f"{part}.history"])
            once = once + ops.matmul(frames, weights[f"{part}.frame"])
            return (
                once[:, :, None]
                + ops.matmul(found, weights[f"{part}.found"])
                + ops.matmul(newest, weights[f"{part}.newest"])
                + ops.matmul(voice, weights[f"{part}.voice"])
                + ops.take(weights[f"{part}.bias"], rows, axis=0)
            )

        hidden = ops.relu(told("chord"))  # (B, T, P, C)
        if dropout is not None:
            hidden = dropout(hidden)
        return told("head") + ops.matmul(hidden, weights["head.chord"])


def _key_logits(ops, scores):
    # Of a softmax over (keys, no more): the log odds that a key is the next, given
    # that no key below it is: its weight against all that stand above it.
    weight = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    width = scores.shape[-1]
    above = np.tril(np.ones((width, width), "float32"), -1)[:, :-1]
    top = ops.max(scores, axis=-1, keepdims=True)
    return scores[..., :-1] - top - ops.log(ops.matmul(weight, above) + TINY)


def recall(frames):
    """What came after the longest earlier stretch that is like the last frames.

    Music repeats itself; this remembers how it went on, however long ago. Of earlier
    stretches that are equally long, the latest counts.

    Args:
        frames: array (T, keys) of 0 and 1, one piece.

    Returns:
        float32 array (T, 5 * keys): behind each frame the frame that is recalled, in
        the block of its match's length (1, 2-3, 4-7, 8-15, 16 frames or more), zeros
        in the other blocks, and everywhere if the frame never sounded before.
    """
    frames = np.asarray(frames, dtype="float32")
    length, keys = frames.shape
    out = np.zeros((length, len(RECALL_LENGTHS), keys), dtype="float32")
    if length:
        _, ids = np.unique(frames, axis=0, return_inverse=True)
        ids = ids.ravel()
        matched = np.zeros(0, dtype=np.int64)  # with the stretch ending at each frame
        for t in range(1, length):
            # A match is one longer than the one a frame earlier, or ends here.
            matched = np.concatenate([[0], matched]) + 1
            matched *= ids[:t] == ids[t]
            best = int(matched.max())
            if best:
                latest = int(np.flatnonzero(matched == best)[-1])
                block = int(np.searchsorted(RECALL_LENGTHS, best, "right")) - 1
                out[t, block] = frames[latest + 1]
    return out.reshape(length, len(RECALL_LENGTHS) * keys)


def log_probability(ops, logits, frames):
    """Nats of whole frames: the sum over the keys of log p(key | the keys below).

    Args:
        ops: array namespace.
        logits: float array (..., keys), of `ChordLSTM.forward` with these targets.
        frames: float array (..., keys) of 0 and 1.

    Returns:
        float array (...), never above zero.
    """
    return ops.sum(frames * logits - ops.softplus(logits), axis=-1)


def loss(ops, frames, logits):
    """What training makes small: minus `log_probability`, in the order of Keras."""
    return -log_probability(ops, logits, frames)


def sample(architecture, weights, primer, num_frames, *, seed=0, temperature=1.0):
    """Go on after a primer, frame by frame and note by note, in plain NumPy.

    Args:
        architecture: `ChordLSTM`.
        weights: dict of name -> float32 array.
        primer: array (B, T, keys) of 0 and 1, T at least 1.
        num_frames: int, at least 1.
        seed: int. Row r draws with (seed, r), whatever the batch.
        temperature: float above 0; the scores are divided by it.

    Returns:
        (float32 array (B, num_frames, keys) of 0 and 1, float32 array (B, num_frames):
        the model's own nats of each frame, before the temperature).

    Raises:
        ValueError: if the primer is of another shape, or a setting out of its range.
    """
    primer = np.asarray(primer, dtype="float32")
    keys = architecture.num_pitches
    if primer.ndim != 3 or primer.shape[1] < 1 or primer.shape[2] != keys:
        raise ValueError(
            f"`primer` must be (B, T, {keys}), T at least 1. Received: {primer.shape}"
        )
    if not ((primer == 0) | (primer == 1)).all():
        raise ValueError("`primer` must hold 0 and 1 alone.")
    if type(num_frames) is not int or num_frames < 1:
        raise ValueError(
            f"`num_frames` must be an integer, at least 1. Received: {num_frames!r}"
        )
    if not 0 < temperature < np.inf:
        raise ValueError(
            f"`temperature` must be above 0, and finite. Received: {temperature}"
        )
    generators = [np.random.default_rng([seed, row]) for row in range(len(primer))]
    frames, nats, state = primer, [], None
    newest = _inputs(architecture, primer)
    for _ in range(num_frames):
        history, state = architecture._read(numpy_ops, weights, newest, state)
        random = np.stack([g.random(keys + 1) for g in generators])
        drawn = _draw_chord(
            architecture, weights, newest[:, -1:], history[:, -1:], random, temperature
        )
        frames = np.concatenate([frames, drawn[0][:, None]], axis=1)
        nats.append(drawn[1])
        newest = _inputs(architecture, frames)[:, -1:]
    return frames[:, primer.shape[1] :], np.stack(nats, axis=1).astype("float32")


def _inputs(architecture, frames):
    if not architecture.recall:
        return frames
    return np.concatenate([frames, np.stack([recall(f) for f in frames])], axis=-1)


def _draw_chord(architecture, weights, frame, history, random, temperature):
    """One chord a row, from the lowest note up.

    Args:
        frame, history: float arrays (B, 1, num_inputs) and (B, 1, D).
        random: float array (B, keys + 1) in [0, 1), one for each note and "no more".

    Returns:
        (float32 array (B, keys) of 0 and 1, nats (B,) of each chord).
    """
    rows, keys = len(frame), architecture.num_pitches
    chord = np.zeros((rows, 1, 1, keys + 1), dtype="float32")  # the last is "no more"
    found, newest = chord[..., :keys].copy(), chord[..., :keys].copy()
    highest, nats = np.full(rows, -1), np.zeros(rows)
    for place in range(keys + 1):
        if place <= architecture.most_notes:
            at = np.full((1, 1), place, dtype="float32")
            scores = architecture._scores(
                numpy_ops, weights, frame, history, found, newest, at
            )[:, 0, 0].astype("float64")  # (B, keys + 1)
        # Who has found "no more" finds it again, at no cost.
        may = np.arange(keys + 1) > np.minimum(highest, keys - 1)[:, None]
        above = np.where(may, scores, -np.inf)
        cumulative = np.cumsum(numpy_ops.softmax(above / temperature), axis=1)
        threshold = random[:, place, None] * cumulative[:, -1:]
        highest = np.minimum((cumulative <= threshold).sum(axis=1), keys)
        nats += numpy_ops.log_softmax(above)[np.arange(rows), highest]
        chord[np.arange(rows), 0, 0, highest] = 1
        if (highest == keys).all():
            break
        if place < architecture.most_notes:
            newest = (np.arange(keys) == highest[:, None]).astype("float32")
            newest = newest[:, None, None]
            found = found + newest
    return chord[:, 0, 0, :keys], nats

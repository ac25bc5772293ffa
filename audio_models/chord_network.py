"""A chord architecture run by Keras."""

import keras
from keras import ops

from audio_models.chords import loss
from audio_models.dropout import dropout
from audio_models.network import Network


class ChordNetwork(Network):
    """The Keras model of a `ChordLSTM`.

    Call arguments:
        pair: (frames (B, T, num_inputs), targets (B, T, keys)), float tensors, as for
            `ChordLSTM.forward`.

    Returns of a call:
        float32 logits (B, T, keys).
    """

    def call(self, pair, training=False):
        drop = self._dropout if training and self.architecture.dropout else None
        frames, targets = pair
        forward = self.architecture.forward
        return forward(ops, self._named, frames, targets, dropout=drop)[0]

    def step(self, pair, state):
        """One frame further.

        Args:
            pair: (frame (B, num_inputs), target (B, keys)), float tensors.
            state: from `start`, or from the step before.

        Returns:
            (logits (B, keys), state).
        """
        frame, target = (ops.convert_to_tensor(x)[:, None] for x in pair)
        forward = self.architecture.forward
        logits, state = forward(ops, self._named, frame, target, state)
        return logits[:, 0], state

    def _dropout(self, x):
        # One mask a row for all its frames (Gal & Ghahramani 2016).
        rate, batch_size, width = self.architecture.dropout, x.shape[0], x.shape[-1]
        shape = (batch_size, *[1] * (len(x.shape) - 2), width)
        return dropout(x, rate, self._dropout_seeds, shape)


class ChordLoss(keras.losses.Loss):
    """Nats a frame, over real frames alone: the sample weight tells which are."""

    def __init__(self):
        super().__init__(reduction="mean_with_sample_weight")

    def call(self, y_true, y_pred):
        return loss(ops, y_true, y_pred)

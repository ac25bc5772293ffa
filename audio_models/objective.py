"""What training lowers, and what lowers it: the loss and the optimizer."""

import keras
from keras import ops


class NextTokenLoss(keras.losses.Loss):
    """Cross-entropy of the token that comes, in nats, over real tokens alone.

    Args:
        smoothing: float in [0, 1), the share of the target's mass that is spread over
            the vocabulary (Szegedy et al. 2016, section 7).
    """

    def __init__(self, smoothing=0.0):
        super().__init__(reduction="mean_with_sample_weight")
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")  # (B, T, V)
        nats = ops.sparse_categorical_crossentropy(y_true, logits, from_logits=True)
        if not self.smoothing:
            return nats
        spread = -ops.mean(ops.log_softmax(logits, axis=-1), axis=-1)
        return (1 - self.smoothing) * nats + self.smoothing * spread


class DenseAdamW(keras.optimizers.AdamW):
    """AdamW that clips by the norm of the gradient, on every backend.

    TensorFlow gives an embedding's gradient as one row for each token read. Keras takes
    the square of each, and only then adds up those of the same id: the norm would be
    that of something else.
    """

    def apply(self, grads, trainable_variables=None):
        variables = trainable_variables or self._trainable_variables
        dense = [
            ops.reshape(grad, tuple(variable.shape))
            for grad, variable in zip(grads, variables, strict=True)
        ]
        return super().apply(dense, trainable_variables)

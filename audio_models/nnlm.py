"""The neural probabilistic language model: a fixed window of tokens, one hidden layer."""

from dataclasses import dataclass

from audio_models.architecture import Weight, check_limits


@dataclass(frozen=True)
class NNLM:
    """A token from the `window` tokens before it, and from nothing else.

        logits = b + U tanh(d + H x) [+ W x],  x = the window's embeddings, end to end

    An n-gram whose contexts are alike where their tokens are alike: n = window + 1.
    Before the first token the window is full of PAD, whose embedding is learnt too.

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector, the same at every place.
        hidden_dim: int, width of the hidden layer.
        window: int, how many tokens are seen, the last one included.
        direct: bool, whether the window also reaches the logits past the hidden layer
            (W, at first zero).
        dropout: float in [0, 1), on the hidden layer, in training.

    Reference:
        Bengio, Ducharme, Vincent & Jauvin 2003, A neural probabilistic language model,
        section 2. Trained with Adam where they use plain gradient descent.
    """

    vocab_size: int
    embedding_dim: int = 64
    hidden_dim: int = 256
    window: int = 8
    direct: bool = False
    dropout: float = 0.0

    def __post_init__(self):
        check_limits(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order. The oldest token stands first in x."""
        width = self.window * self.embedding_dim
        named = {
            "embedding": Weight((self.vocab_size, self.embedding_dim), "normal"),
            "hidden.kernel": Weight((width, self.hidden_dim)),
            "hidden.bias": Weight((self.hidden_dim,), "zeros"),
            "head.kernel": Weight((self.hidden_dim, self.vocab_size)),
            "head.bias": Weight((self.vocab_size,), "zeros"),
        }
        if self.direct:
            named["direct.kernel"] = Weight((width, self.vocab_size), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token: the ids before it, (B, window - 1) of PAD."""
        return (ops.zeros((batch_size, self.window - 1), "int32"),)  # PAD is id 0

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
        read = ops.concatenate([state[0], ops.cast(ids, "int32")], axis=1)
        e = ops.take(weights["embedding"], read, axis=0)  # (B, window - 1 + T, E)
        last = self.window - 1
        places = [e[:, k : (k - last) or None] for k in range(self.window)]
        x = ops.concatenate(places, axis=-1)  # (B, T, window * E)
        hidden = ops.matmul(x, weights["hidden.kernel"]) + weights["hidden.bias"]
        hidden = ops.tanh(hidden)  # (B, T, D)
        if dropout is not None:
            hidden = dropout(hidden)
        logits = ops.matmul(hidden, weights["head.kernel"]) + weights["head.bias"]
        if self.direct:
            logits = logits + ops.matmul(x, weights["direct.kernel"])
        return logits, (read[:, ops.shape(ids)[1] :],)

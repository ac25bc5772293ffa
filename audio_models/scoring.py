"""What each token of a piece was worth to a model: the one measure behind all figures."""

import numpy as np

from audio_models import numpy_ops
from audio_models.numpy_ops import log_softmax


def token_log_probabilities(architecture, weights, ids):
    """log p(token | all tokens before it), in NumPy: nothing has to load.

    Args:
        architecture: one of `audio_models.MODELS`, built.
        weights: dict of name -> float32 array.
        ids: int array (T,), a piece from its BOS; or (B, T), several of one length.

    Returns:
        float64 array (T - 1,) or (B, T - 1), nats: entry t is of token t + 1.

    Raises:
        ValueError: if an id lies outside the vocabulary.
    """
    ids = np.asarray(ids)
    rows = np.atleast_2d(ids)
    if rows.size and not (rows.min() >= 0 and rows.max() < architecture.vocab_size):
        raise ValueError(
            f"Token ids must be in 0..{architecture.vocab_size - 1}. "
            f"Received: {rows.min()}..{rows.max()}"
        )
    if rows.shape[1] < 2:
        return np.zeros((*ids.shape[:-1], 0))
    logits, _ = architecture.forward(numpy_ops, weights, rows[:, :-1])
    every = log_softmax(np.asarray(logits, dtype="float32"))
    chosen = np.take_along_axis(every, rows[:, 1:, None], axis=-1)[..., 0]
    return chosen.astype(np.float64).reshape(*ids.shape[:-1], -1)


def mixed(log_probabilities, shares=None):
    """The log-probabilities of a mixture: several models' opinions of the same tokens.

    Args:
        log_probabilities: float array (models, ...), nats.
        shares: float array (models,) that sums to 1; equal ones by default.

    Returns:
        float64 array (...), nats: log of the mean probability. Taken token by token,
        each given the same past, it is a proper model of the piece.
    """
    nats = np.asarray(log_probabilities, dtype=np.float64)
    shares = np.full(len(nats), 1 / len(nats)) if shares is None else np.asarray(shares)
    weighted = nats + np.log(np.maximum(shares, 1e-300)).reshape(
        -1, *[1] * (nats.ndim - 1)
    )
    top = weighted.max(axis=0)
    return top + np.log(np.exp(weighted - top).sum(axis=0))

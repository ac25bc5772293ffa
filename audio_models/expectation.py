"""What a model expected at each token of a piece, beside what came."""

from dataclasses import dataclass

import numpy as np

from audio_models import numpy_ops
from audio_models.numpy_ops import log_softmax
from audio_models.player import Player

# Positions that know distances alone: a window then reads as the whole piece does.
DISTANCES = ("rotary", "relative")
LEAST_SPAN = 256  # tokens that are read at a time, however short the context


@dataclass(frozen=True)
class Expectations:
    """Of each token of a piece but the first, as arrays (T - 1,).

    ``nats`` is -log p(token | all before it), float64; ``likeliest`` the id that the
    model would have bet on, ``likeliest_nats`` that id's.
    """

    nats: np.ndarray
    likeliest: np.ndarray
    likeliest_nats: np.ndarray

    def __len__(self):
        return len(self.nats)


def expectations(architecture, weights, ids):
    """Read a piece and tell, token by token, what was expected.

    The figures are those of `scoring.token_log_probabilities`; the cost here is linear
    in the length also where a context slides. Layer n of a Transformer looks back
    through n contexts: a window that is led in by all of them gives what the whole
    piece gives. Where positions are counted from the beginning, it reads step by step.

    Args:
        architecture: one of `audio_models.MODELS` or `COUNTED`, built.
        weights: dict of name -> float32 array.
        ids: int array (T,), a piece from its BOS.

    Returns:
        `Expectations` of T - 1 tokens.

    Raises:
        ValueError: if an id lies outside the vocabulary.
    """
    ids = np.asarray(ids)
    if len(ids) and not (ids.min() >= 0 and ids.max() < architecture.vocab_size):
        raise ValueError(
            f"Token ids must be in 0..{architecture.vocab_size - 1}. "
            f"Received: {ids.min()}..{ids.max()}"
        )
    found = [_read(*part) for part in _parts(architecture, weights, ids)]
    empty = (np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0))
    columns = zip(*found, strict=True) if found else ([column] for column in empty)
    return Expectations(*(np.concatenate(column) for column in columns))


def _parts(architecture, weights, ids):
    """(logits (n, V), ids (n,) that came) of each stretch of the piece."""
    length = len(ids) - 1
    context = getattr(architecture, "context_length", None)
    lead = architecture.num_layers * (context - 1) if context else 0
    span = max(lead, LEAST_SPAN)
    if length < 1:
        return
    if not context or length <= 2 * span:
        logits, _ = architecture.forward(numpy_ops, weights, ids[None, :-1])
        yield logits[0], ids[1:]
    elif architecture.positions in DISTANCES:
        for first in range(0, length, span):
            begin, end = max(0, first - lead), min(first + span, length)
            logits, _ = architecture.forward(numpy_ops, weights, ids[None, begin:end])
            yield logits[0, first - begin :], ids[first + 1 : end + 1]
    else:
        player = Player(architecture, weights)
        state = player.start(1)
        for t in range(length):
            logits, state = player.step(ids[t : t + 1], state)
            yield logits, ids[t + 1 : t + 2]


def _read(logits, came):
    every = log_softmax(np.asarray(logits, dtype="float32"))  # (n, V)
    rows, likeliest = np.arange(len(came)), every.argmax(axis=-1)
    return (
        -every[rows, came].astype(np.float64),
        likeliest,
        -every[rows, likeliest].astype(np.float64),
    )

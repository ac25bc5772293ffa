"""What it is worth to hear ahead: the same network with and without what is given."""

import itertools

import numpy as np

from audio_models import numpy_ops
from audio_models.anticipation import BLANK
from audio_models.numpy_ops import log_softmax
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import steps_in_bar
from studio.held_out import own_music
from studio.models import open_model

MOST_PIECES = 100  # of a test split, spread over it
GAP = (4, 8)  # bars that are taken out of a tune, counted from 0
TARGET = 0.9  # of the nats of the same network that hears nothing ahead


def fill():
    """Nats a note of Bach's lower voices where the soprano is given to its end, and of
    bars 5 to 8 of a tune where the others are; beside the same network told of nothing
    to come. Test splits; the notes before are known to both.
    """
    return [
        row("chorales", "lower voices under a given soprano", _lower_voices),
        row("folk", "bars 5 to 8 between given ones", _middle_bars),
    ]


def row(name, what, blanks_of):
    """A row of the record: `weigh` over the test split of a shipped bundle."""
    bundle = open_model(name)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    pieces = [piece.ids for piece in own_music(bundle, name).held_out]
    step = -(-len(pieces) // MOST_PIECES)
    pieces = list(itertools.islice(pieces, 0, None, step))
    told, untold = weigh(bundle, tokenizer, pieces, blanks_of)
    return {
        "id": f"{name}, {what}",
        "value": round(told, 4),
        "unit": "nats",
        "baseline": "the same network, told of nothing to come",
        "baseline_value": round(untold, 4),
        "ratio": round(told / untold, 3),
        "target": round(TARGET * untold, 4),
        "seed": bundle.facts["plan"]["seed"],
    }


def weigh(bundle, tokenizer, pieces, blanks_of):
    """Nats a note of what is blank: with the rest told, and with nothing told ahead.

    Args:
        pieces: list of int arrays (T,), from BOS to EOS.
        blanks_of: function of (tokenizer, piece, voices), giving where a piece is blank:
            bool array (steps, voices), or None where it is too short.

    Returns:
        (float, float). Both sums are over the same notes.
    """
    architecture, weights = bundle.architecture, bundle.weights
    voices = architecture.num_voices
    notes, told, untold = 0, 0.0, 0.0
    for ids in pieces:
        body = ids[2:-1].reshape(-1, voices)
        blank = blanks_of(tokenizer, ids, body)
        if blank is None:
            continue
        known = np.where(blank, BLANK, body)
        known = np.concatenate([known, np.full((1, voices), BLANK)])  # the end's step
        given = (known[None], np.array([len(body)]), np.ones(1, "float32"))
        for ahead in (given, None):
            logits, _ = architecture.forward(
                numpy_ops, weights, ids[None, :-1], given=ahead
            )
            nats = log_softmax(logits[0].astype(np.float64))
            nats = nats[np.arange(len(nats)), ids[1:]][1:-1].reshape(-1, voices)
            cost = -nats[blank].sum()
            told, untold = (
                (told, untold + cost) if ahead is None else (told + cost, untold)
            )
        notes += int(tokenizer.is_note(body[blank]).sum())
    return told / max(1, notes), untold / max(1, notes)


def _lower_voices(tokenizer, ids, body):
    blank = np.ones(body.shape, dtype=bool)
    blank[:, 0] = False
    return blank


def _middle_bars(tokenizer, ids, body):
    bar = steps_in_bar(tokenizer.metre_name(ids) or "4/4")
    first, last = GAP[0] * bar, GAP[1] * bar
    if len(body) < last + bar:
        return None
    blank = np.zeros(body.shape, dtype=bool)
    blank[first:last] = True
    return blank

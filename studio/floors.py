"""How models are weighed: nats per note on held-out pieces, beside what has only counted."""

import itertools
from dataclasses import dataclass

from audio_models.ngram import Copy, NGram
from data_pipelines.datasets import numpy_batches
from data_pipelines.windows import cut_windows, plan_epoch

EVALUATION_LENGTH = 2048  # tokens of context when held-out pieces are weighed
HELD_OUT_TOKENS = 2**21  # a larger split is sampled when a model is weighed on it
COUNTED_TOKENS = 2**23  # and what the n-gram counts


# What figures are told by: per note, per character, per sample.
UNITS = {"score": "note", "text": "character", "wave": "sample"}
# Orders of n-gram that are tried; long runs of samples never come twice.
LONGEST_ORDER = {"score": 16, "text": 16, "wave": 4}


@dataclass(frozen=True)
class Floors:
    """Held-out nats per `unit` of what has learnt nothing, or only counted."""

    copy: float
    unigram: float
    ngram: float
    ngram_kind: str
    unit: str = "note"


def held_out_pieces(dataset, split="valid", *, most_tokens=HELD_OUT_TOKENS):
    """The pieces that a model is weighed on: those of a split, or of a sample of it.

    Args:
        dataset: `shards.Dataset`.
        split: str. Where nothing could be held back, it is the training music itself.
        most_tokens: int; of a larger split every second piece is taken, or every third.

    Returns:
        list of int32 arrays.
    """
    split = split if is_held_out(dataset) else "train"
    return _sample(dataset, split, most_tokens)


def _sample(dataset, split, most_tokens):
    step = -(-dataset.counts[split]["tokens"] // most_tokens)
    return list(itertools.islice(dataset.pieces(split), 0, None, step))


def is_held_out(dataset):
    """Whether there were tunes enough to keep some back."""
    return dataset.counts["valid"]["pieces"] > 0


def measure_floors(dataset, split="valid"):
    """`Floors` on a split; the n-gram's kind and order are its best ones there."""
    tokenizer = dataset.tokenizer
    train = _sample(dataset, "train", COUNTED_TOKENS)
    valid = held_out_pieces(dataset, split)
    notes = count_notes(valid, tokenizer)

    def nats(model):
        rows = sum(model.log_probabilities(piece).sum(axis=1) for piece in valid)
        return -rows / notes

    vocab_size = tokenizer.vocab_size
    order = LONGEST_ORDER[tokenizer.takes]
    as_written = nats(NGram(vocab_size, order).fit(train))
    kinds = {"as written": as_written}
    if tokenizer.name in ("melody", "chorale"):  # one event a note, its pitch
        note_ids = tokenizer.vocabulary.ids("pitch")
        by_interval = nats(NGram(vocab_size, note_ids=note_ids).fit(train))
        kinds["in every key"] = by_interval
    kind = min(kinds, key=lambda name: kinds[name].min())
    order = int(kinds[kind].argmin())
    return Floors(
        copy=float(nats(Copy(vocab_size).fit(train))[0]),
        unigram=float(as_written[0]),
        ngram=float(kinds[kind][order]),
        ngram_kind=f"order {order}, {kind}",
        unit=getattr(tokenizer, "unit", UNITS[tokenizer.takes]),
    )


def count_notes(pieces, tokenizer):
    """How many notes the pieces strike: the denominator of nats per note."""
    struck = getattr(tokenizer, "notes_in", tokenizer.is_note)  # an id may hold several
    return max(1, sum(int(struck(piece).sum()) for piece in pieces))


def window_of(architecture, length):
    """(length, head) of the windows that a network reads: at most about `length` tokens.

    One that reads its tokens in groups wants whole ones, after the head of the piece.
    """
    length = min(length, getattr(architecture, "context_length", length))
    head = getattr(architecture, "HEAD", 0)
    if not head:
        return length, 0
    groups = max(1, (length - head + 1) // architecture.GROUP)
    return head - 1 + groups * architecture.GROUP, head


def nats_per_note(network, pieces, tokenizer, length=EVALUATION_LENGTH):
    """Held-out nats per note of a network, each piece from its beginning."""
    from audio_models.training import log_likelihood

    by_length = sorted(pieces, key=len)
    length, head = window_of(network.architecture, length)
    is_sound = tokenizer.takes == "wave"
    windows = cut_windows(
        by_length, tokenizer, length=length, head=head, marks_cuts=is_sound
    )
    plan = plan_epoch(windows, batch_size=32, seed=0, epoch=0, shuffle=False)
    nats, _ = log_likelihood(network, numpy_batches(windows, plan))
    return -nats / count_notes(pieces, tokenizer)

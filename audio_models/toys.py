"""Toy tasks of one sequence into another, whose right answer is known.

Tokens are pitches on a ladder: id 4 is the lowest, 0..3 are reserved. Each task draws
sources of which no two are alike, so that cutting its list cuts the sequences.
"""

import numpy as np

NUM_RESERVED = 4  # PAD, BOS, EOS and UNK


def copied(count, lengths, seed, *, num_pitches=12):
    """Pairs whose target is the source.

    Args:
        count: int, how many pairs.
        lengths: sequence of int, at least 0: each source has one of these lengths,
            drawn evenly, as far as there are so many; an int is one length for all.
        seed: int or list of int.
        num_pitches: int, at least 1, how many pitches a source is drawn from.

    Returns:
        list of (source, target), int32 arrays. No source comes twice.

    Raises:
        ValueError: if there are not so many sequences of these lengths.
    """
    return [
        (source, source.copy()) for source in _drawn(count, lengths, seed, num_pitches)
    ]


def retrograde(count, lengths, seed, *, num_pitches=12):
    """Pairs whose target is the source from its end. Arguments: see `copied`."""
    return [
        (source, source[::-1].copy())
        for source in _drawn(count, lengths, seed, num_pitches)
    ]


def transposed(count, lengths, seed, *, num_pitches=12, semitones=5):
    """Pairs whose target is the source, each pitch `semitones` higher.

    Arguments: see `copied`. Targets have the pitches ``semitones`` to ``num_pitches +
    semitones - 1``; below 0 is not allowed.
    """
    if semitones < 0:
        raise ValueError(f"`semitones` must be at least 0. Received: {semitones}")
    return [
        (source, source + np.int32(semitones))
        for source in _drawn(count, lengths, seed, num_pitches)
    ]


TOYS = {"copied": copied, "retrograde": retrograde, "transposed": transposed}


def vocab_size(num_pitches=12, semitones=5):
    """How many ids all the toys together need."""
    return NUM_RESERVED + num_pitches + semitones


def _drawn(count, lengths, seed, num_pitches):
    lengths = np.unique(np.atleast_1d(np.asarray(lengths, dtype=int)))
    if not lengths.size or lengths.min() < 0 or num_pitches < 1:
        raise ValueError(
            "`lengths` must be at least 0, and `num_pitches` at least 1. "
            f"Received: lengths={lengths.tolist()}, num_pitches={num_pitches}"
        )
    there_are = sum(num_pitches ** int(n) for n in lengths)
    if not 0 <= count <= there_are // 2:
        raise ValueError(
            f"`count` must be in 0..{there_are // 2}, half of all the sequences of "
            f"these lengths. Received: {count}"
        )
    rng = np.random.default_rng(seed)
    sources = {}
    while len(sources) < count:
        source = rng.integers(num_pitches, size=rng.choice(lengths)) + NUM_RESERVED
        sources.setdefault(tuple(source.tolist()), source.astype(np.int32))
    return list(sources.values())

"""What a translator can do, in numbers: toys learnt, alignments, length, and time."""

import time

import numpy as np

from audio_models import numpy_ops
from audio_models.request import EOS
from audio_models.seq2seq import BOS, Translator, padded, translate
from audio_models.toys import TOYS


def exact_share(architecture, weights, pairs, **settings):
    """The share of pairs whose target is written without a fault.

    Args:
        architecture, weights: as for `seq2seq.translate`, as are the settings.
        pairs: list of (source, target), not empty.
    """
    sources, targets = zip(*pairs, strict=True)
    made = translate(architecture, weights, sources, **settings)
    return float(np.mean([m == t.tolist() for m, t in zip(made, targets, strict=True)]))


def aligned_share(architecture, weights, pairs, task):
    """How often a step looks most at the place of the source that it is to write.

    Over all tokens of the targets, EOS aside; the targets are given.

    Args:
        pairs: list of (source, target), of a toy of `toys.TOYS`.
        task: str, that toy's name. For "retrograde" the place of step t is n - 1 - t,
            the anti-diagonal; for the others it is t.
    """
    right = tokens = 0
    for source, target in pairs:
        looks = architecture.alignment(
            numpy_ops,
            weights,
            padded([source], after=[EOS]),
            padded([target], before=[BOS]),
        )[0, : len(target)]  # (T, S)
        place = np.arange(len(target))
        if task == "retrograde":
            place = place[::-1]
        right += int((looks.argmax(axis=-1) == place).sum())
        tokens += len(target)
    return right / tokens


def toy_trial(
    architecture,
    task,
    lengths,
    *,
    count=4000,
    held_out=200,
    seed=0,
    num_pitches=12,
    **settings,
):
    """Teach a toy, and try it on sequences that training never met.

    Args:
        architecture: one of `seq2seq.TRANSLATORS`, built.
        task: str, one of `toys.TOYS`.
        lengths: sequence of int, of the sources.
        count: int, pairs to learn from.
        held_out: int, pairs to choose the best weights by, and as many to be tried on.
        seed: int, for the pairs and for training.
        num_pitches: int, as for `toys.copied`.
        settings: as for `seq2seq_training.fit_seq2seq`.

    Returns:
        dict: ``weights``, ``curves``, ``tested`` (the pairs), ``exact`` (the share of
        them written without a fault, greedily) and ``seconds`` of training.
    """
    from audio_models.seq2seq_training import fit_seq2seq

    pairs = TOYS[task](count + 2 * held_out, lengths, seed, num_pitches=num_pitches)
    tested, pairs = pairs[:held_out], pairs[held_out:]
    began = time.monotonic()
    weights, curves = fit_seq2seq(
        architecture, pairs[held_out:], pairs[:held_out], seed=seed, **settings
    )
    return {
        "weights": weights,
        "curves": curves,
        "tested": tested,
        "exact": exact_share(architecture, weights, tested),
        "seconds": time.monotonic() - began,
    }


def times_of_reading(architecture, weights, source, target, *, repeats=5):
    """Seconds to read the same targets: all places at once, and one after another.

    The first is what training does, the second what writing has to do. Both in plain
    NumPy, and the fastest of `repeats`.

    Args:
        source: int array (B, S). target: int array (B, T), BOS first.

    Returns:
        (float, float): seconds at once, and step by step.
    """

    def at_once():
        architecture.forward(numpy_ops, weights, source, target)

    def step_by_step():
        player = Translator(architecture, weights, source)
        player.read(target, player.start(len(source)))

    return tuple(
        min(_seconds(read) for _ in range(repeats)) for read in (at_once, step_by_step)
    )


def _seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began

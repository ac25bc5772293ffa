"""Teaching a network one sequence into another: batches, teacher forcing, curves."""

import numpy as np
from keras import ops

from audio_models import numpy_ops
from audio_models.network import Network
from audio_models.request import EOS, PAD
from audio_models.seq2seq import BOS, check_ids, padded
from audio_models.training import Plan, train

BUCKET = 16  # tokens: lengths are rounded up to a multiple, one program for each


class Seq2SeqNetwork(Network):
    """The Keras model of a translator.

    Args:
        architecture: one of `seq2seq.TRANSLATORS`, built.
        seed: int, for the first weights and for dropout.

    Call arguments:
        pair: (source (B, S), target (B, T)), int tensors, as for `forward`.

    Returns of a call:
        float32 logits (B, T, V).
    """

    def call(self, pair, training=False):
        dropout = self._dropout if training and self.architecture.dropout else None
        forward = self.architecture.forward
        return forward(ops, self._named, *pair, dropout=dropout)

    def encode(self, source):
        """What the decoder is told of some sources (B, S)."""
        return self.architecture.encode(ops, self._named, source)

    def start(self, memory):
        """The decoder's state before the first token."""
        return self.architecture.start(ops, self._named, memory)

    def step(self, memory, ids, state):
        """One token further: ids (B,) -> (logits (B, V), state)."""
        return self.architecture.step(ops, self._named, memory, ids, state)


def batches(pairs, batch_size, seed=None):
    """Pairs laid out for teacher forcing: what was to come before is always right.

    Lengths are rounded up to a multiple of 16, and pairs of like lengths share a batch;
    rows that are missing in the last one of a kind are padding, and count for nothing.

    Args:
        pairs: list of (source, target), int sequences without reserved ids.
        batch_size: int.
        seed: int or list of int, by which pairs and batches are shuffled; None leaves
            them in order.

    Returns:
        list of ((source (B, S), target (B, T)), what comes next (B, T), mask (B, T)):
        int32, and float32 1 at real tokens, EOS among them.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    order = np.arange(len(pairs)) if rng is None else rng.permutation(len(pairs))
    buckets = {}
    for number in order:
        lengths = tuple(-(-(len(part) + 1) // BUCKET) for part in pairs[number])
        buckets.setdefault(lengths, []).append(pairs[number])
    made = []
    for (read, written), of_bucket in sorted(buckets.items()):
        for first in range(0, len(of_bucket), batch_size):
            sources, targets = zip(*of_bucket[first : first + batch_size], strict=True)
            parts = (
                (padded(sources, after=[EOS]), read),
                (padded(targets, before=[BOS]), written),
                (padded(targets, after=[EOS]), written),
            )
            source, target, y = (
                _filled(ids, batch_size, BUCKET * width) for ids, width in parts
            )
            made.append(((source, target), y, (y != PAD).astype("float32")))
    if rng is not None:
        made = [made[i] for i in rng.permutation(len(made))]
    return made


def _filled(ids, rows, width):
    missing = ((0, rows - ids.shape[0]), (0, width - ids.shape[1]))
    return np.pad(ids, missing, constant_values=PAD)


def likelihood_and_accuracy(architecture, weights, batches):
    """How well a network tells each next token, those before it being right.

    In NumPy: for the few pairs that are held out, compiling would take longer.

    Args:
        architecture: one of `seq2seq.TRANSLATORS`, built.
        weights: dict of name -> float32 array.
        batches: as `batches` gives them.

    Returns:
        (nats, right, tokens): -log p summed over real tokens, how many of them were
        the likeliest, and how many there are.
    """
    nats, right, tokens = 0.0, 0, 0
    for (source, target), y, mask in batches:
        logits = architecture.forward(numpy_ops, weights, source, target)
        every = numpy_ops.log_softmax(logits.astype("float64"))
        told = np.take_along_axis(every, y[..., None], axis=-1)[..., 0]
        nats -= float((told * mask).sum())
        right += int(((logits.argmax(axis=-1) == y) * mask).sum())
        tokens += int(mask.sum())
    return nats, right, tokens


def fit_seq2seq(
    architecture,
    pairs,
    valid_pairs,
    *,
    epochs=20,
    batch_size=32,
    learning_rate=2e-3,
    patience=4,
    minutes=None,
    seed=0,
    watch=None,
):
    """Teach an architecture to make each target of its source.

    The rate climbs, then falls along a cosine; gradients are clipped (`training.Plan`).
    The weights are those that did best on `valid_pairs`, looked at after each epoch.

    Args:
        architecture: one of `seq2seq.TRANSLATORS`, built.
        pairs, valid_pairs: lists of (source, target), int sequences without PAD, BOS
            and EOS; either of a pair may be empty.
        epochs: int, times through `pairs`.
        batch_size: int.
        learning_rate: float, the highest.
        patience: int, epochs without a new best after which it ends.
        minutes: float or None, after which it ends, too.
        seed: int, for the first weights, the order of the pairs and dropout.
        watch: function of (`training.Progress`, event), or None.

    Returns:
        (dict of name -> float32 array, list of dict). A row of the curves has epoch,
        step, seconds, loss (nats a token in training), held_out (nats a token of
        `valid_pairs`) and accuracy (share of their tokens that were the likeliest).

    Raises:
        ValueError: if there are no pairs, or an id is not of the vocabulary.
        training.NotFinite: if the loss becomes NaN or infinite.
    """
    for name, given in (("pairs", pairs), ("valid_pairs", valid_pairs)):
        if not len(given):
            raise ValueError(f"`{name}` must hold a pair at least.")
        for part in zip(*given, strict=True):
            check_ids(architecture, part, name)
    plan = Plan(
        minutes=minutes,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
    )
    network = Seq2SeqNetwork(architecture, seed=seed)
    held_out, accuracies = batches(valid_pairs, batch_size), []

    def epoch_batches(epoch, skip):
        return batches(pairs, batch_size, [seed, epoch])[skip:]

    def evaluate(network):
        nats, right, tokens = likelihood_and_accuracy(
            architecture, network.named_weights(), held_out
        )
        accuracies.append(right / tokens)
        return nats / tokens

    steps = len(epoch_batches(0, 0))
    progress = train(network, plan, epoch_batches, steps, evaluate, watch=watch)
    curves = [
        {**row, "accuracy": accuracy}
        for row, accuracy in zip(progress.history, accuracies, strict=True)
    ]
    return network.named_weights(), curves

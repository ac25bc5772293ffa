"""Q5: a published recipe for a character RNN, and what it has learnt by heart.

The recipe prints one number, the loss of the text that it learns from. Repeated here
as it stands, the loss of the text that follows is printed beside it.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from audio_models.architecture import Weight
from audio_models.rnn import RNN
from studio.bench_text import characters, read, stream_nats
from studio.errors import NothingUsable

FIRST = 10_000  # characters that are learnt; as many after them are held out
CHUNK = 500
REPORTED = 90  # of epochs counted from 0
SEEDS = (0, 1, 2)
PUBLISHED = 0.8429
TARGET_RANGE = (0.74, 0.86)
INITIALS = ("pytorch", "keras")


@dataclass(frozen=True)
class SeedCharRNN(RNN):
    """An embedding, one simple recurrent layer, and two linear layers after it.

    Two linear layers with nothing between make one, with its kernel in factors; it is
    their product that reads the state, which costs less and gives the same gradients.
    The recurrence has two biases that are summed, as PyTorch's has: each is learnt, so
    that their sum moves twice as fast.
    """

    embedding_dim: int = 32
    hidden_dim: int = 128
    num_layers: int = 1

    BETWEEN: ClassVar[int] = 64

    def weights(self):
        """Name -> `Weight`, in a fixed order."""
        named = super().weights()
        named["layer0.recurrent_bias"] = Weight((self.hidden_dim,), "zeros")
        named["between.kernel"] = Weight((self.hidden_dim, self.BETWEEN))
        named["between.bias"] = Weight((self.BETWEEN,), "zeros")
        named["head.kernel"] = Weight((self.BETWEEN, self.vocab_size))
        return named

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """As `recurrent.Stacked.forward`."""
        first, second = weights["between.kernel"], weights["head.kernel"]
        bias = ops.matmul(weights["between.bias"][None], second)[0]
        merged = {
            "layer0.bias": weights["layer0.bias"] + weights["layer0.recurrent_bias"],
            "head.kernel": ops.matmul(first, second),  # (D, V)
            "head.bias": bias + weights["head.bias"],
        }
        return super().forward(ops, {**weights, **merged}, ids, state, dropout)


@dataclass(frozen=True)
class Repeated:
    """One run of the recipe.

    ``last_chunk``, ``whole`` and ``held_out`` are nats per character at epochs 0, 10,
    20...: of the last chunk just before it is learnt (what the recipe prints), and
    after the epoch of all that is learnt and of what follows it.
    """

    last_chunk: tuple[float, ...]
    whole: tuple[float, ...]
    held_out: tuple[float, ...]


def seed_charrnn(*, seeds=SEEDS, text=None, tell=lambda _: None):
    """Q5: the recipe's training loss, its held-out loss, and what counting gives.

    Protocol: the first 10,000 characters of tiny Shakespeare are one stream, in chunks
    of 500 (the last: 499), AdamW at 1e-3 with decay 0.01. The state is drawn once from
    a normal distribution and carried ever after, also from the end of an epoch to the
    beginning of the next; its gradient is not. The value is the loss of the last chunk
    at epoch 90, mean over the seeds: training loss, and noisy, since each is one chunk.
    The recipe prints nothing of epochs 91 to 99; they are left out. Held out are the
    next 10,000 characters, without those that the first 10,000 lack (the network has no
    output for them); they are read from a state of zeros.

    The recipe's weights begin as PyTorch draws them: the embedding normal, all others
    uniform within 1 / sqrt(width), biases too. Keras would draw a small uniform
    embedding, Glorot kernels, an orthogonal recurrence and biases of zero; the row
    gives both (and both with the recipe's two biases, where Keras has one).

    Args:
        seeds: tuple of int.
        text: str, or None for the corpus.
        tell: function of a line, called after each run.

    Returns:
        list of one row, as the record holds it.
    """
    text = read() if text is None else text
    learnt, held_out, alphabet, left_out = first_characters(text)
    runs = {}
    for initial in INITIALS:
        runs[initial] = [
            repeat(learnt, held_out, len(alphabet), initial, seed) for seed in seeds
        ]
        tell(f"{initial}: {[run.last_chunk[-1] for run in runs[initial]]}")
    at_report = {
        initial: {
            "last_chunk": [run.last_chunk[-1] for run in of_seeds],
            "learnt_text": [run.whole[-1] for run in of_seeds],
            "held_out": [run.held_out[-1] for run in of_seeds],
        }
        for initial, of_seeds in runs.items()
    }
    value = float(np.mean(at_report["pytorch"]["last_chunk"]))
    unseen = float(np.mean(at_report["pytorch"]["held_out"]))
    counts = np.bincount(learnt, minlength=len(alphabet)) / len(learnt)
    unigram = float(-np.log(counts[held_out[1:]]).mean())
    comparison = "worse" if unseen > unigram else "better"
    return [
        {
            "id": "Q5 character RNN of the notes, training loss",
            "value": round(value, 4),
            "unit": "nats per character",
            "baseline": "the notes, in PyTorch",
            "baseline_value": PUBLISHED,
            "ratio": round(value / PUBLISHED, 3),
            "target": TARGET_RANGE[1],
            "target_range": list(TARGET_RANGE),
            "seed": seeds[0],
            "seeds": list(seeds),
            "held_out": round(unseen, 4),
            "held_out_unigram": round(unigram, 4),
            "held_out_uniform": round(float(np.log(len(alphabet))), 4),
            "held_out_left_out": left_out,
            "remark": (
                f"learnt by heart: on the characters that follow {unseen:.2f}, "
                f"{comparison} than counting letters, {unigram:.2f}"
            ),
            "weights": sum(
                int(np.prod(weight.shape))
                for weight in SeedCharRNN(len(alphabet)).weights().values()
            ),
            "by_initial": at_report,
            "every_10_epochs": {
                "last_chunk": list(runs["pytorch"][0].last_chunk),
                "learnt_text": list(runs["pytorch"][0].whole),
                "held_out": list(runs["pytorch"][0].held_out),
            },
        }
    ]


def first_characters(text, count=FIRST):
    """What is learnt, and what follows it.

    Args:
        text: str of 2 * count characters or more.
        count: int.

    Returns:
        (ids learnt (count,), ids held out, beginning with the last that is learnt;
        alphabet, a str: id i stands for its character i; how many of the characters
        held out are not in it, and were left out).

    Raises:
        NothingUsable: if the text is too short.
    """
    if len(text) < 2 * count:
        raise NothingUsable(
            f"The text has {len(text)} characters, and {2 * count} are needed."
        )
    alphabet = "".join(sorted(set(text[:count])))
    unseen = text[count : 2 * count]
    known = "".join(c for c in unseen if c in alphabet)
    ids, vocab_size = characters(text[:count] + known, alphabet)
    ids = ids - (vocab_size - len(alphabet))  # the recipe has no reserved ids
    return ids[:count], ids[count - 1 :], alphabet, len(unseen) - len(known)


def chunks(ids, size=CHUNK):
    """(x, y) of (1, size) each, one after another; the last may be shorter."""
    x, y = ids[None, :-1], ids[None, 1:]
    return [
        (x[:, start : start + size], y[:, start : start + size])
        for start in range(0, x.shape[1], size)
    ]


def first_weights(architecture, initial, seed):
    """Weights as one of `INITIALS` draws them: dict of name -> float32 array."""
    from audio_models.network import first_values

    rng = np.random.default_rng(seed)
    weights = {}
    for number, (name, weight) in enumerate(architecture.weights().items()):
        if initial == "keras":
            drawn = first_values(weight, [seed, number])
            if name == "embedding":
                drawn = rng.uniform(-0.05, 0.05, weight.shape)
        elif name == "embedding":
            drawn = rng.normal(0, 1, weight.shape)
        else:
            is_head = name.startswith("head")
            width = architecture.BETWEEN if is_head else architecture.hidden_dim
            drawn = rng.uniform(-(width**-0.5), width**-0.5, weight.shape)
        weights[name] = np.asarray(drawn, dtype="float32")
    return weights


def repeat(learnt, held_out, vocab_size, initial, seed, epochs=REPORTED + 1, **sizes):
    """Run the recipe once.

    Args:
        learnt, held_out: int arrays, as `first_characters` gives them.
        vocab_size: int.
        initial: str, one of `INITIALS`.
        seed: int.
        epochs: int.
        sizes: of `SeedCharRNN`, where they are not the recipe's.

    Returns:
        `Repeated`.
    """
    import keras

    from audio_models.network import Network
    from audio_models.training import NextTokenLoss

    architecture = SeedCharRNN(vocab_size, **sizes)
    network = Network(architecture, seed=seed)
    network.load_named_weights(first_weights(architecture, initial, seed))
    network.carry(1)
    rng = np.random.default_rng([seed, 1])
    for carried in network.other_variables()[1:]:  # after the seeds of dropout
        carried.assign(rng.normal(size=carried.shape))
    optimizer = keras.optimizers.AdamW(1e-3, weight_decay=0.01, epsilon=1e-8)
    network.compile(optimizer, NextTokenLoss(), jit_compile=True)
    batches = chunks(learnt)
    rows = []
    for epoch in range(epochs):
        for x, y in batches:
            loss = float(network.train_on_batch(x, y))
        if epoch % 10 == 0:
            weights = network.named_weights()
            whole = stream_nats(architecture, weights, learnt)
            unseen = stream_nats(architecture, weights, held_out)
            rows.append([round(nats, 4) for nats in (loss, whole, unseen)])
    return Repeated(*zip(*rows, strict=True))


if __name__ == "__main__":
    print(seed_charrnn(tell=print))

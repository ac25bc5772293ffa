"""Q6: a network that reads Shakespeare a character at a time, held out and in full.

The loss is the mean over every character of the last tenth of the text, each told from
all that stands before it there; n-grams of the same text are counted beside it.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np

from audio_models import numpy_ops
from audio_models.ngram import NGram
from data_pipelines.text import Text
from data_pipelines.tokenizers.text import TextTokenizer
from studio.bench_data import shared_data
from studio.errors import NothingUsable

CORPUS = "text/tinyshakespeare.txt"
SEED = 0
READ_AT_ONCE = 500  # characters; the state is carried, so that this changes nothing

# Settled on the last 5% of the training text: the last tenth took no part in it.
SIZES = {"embedding_dim": 64, "hidden_dim": 384, "num_layers": 2, "dropout": 0.2}
PLAN = {
    "epochs": 3,
    "batch_size": 32,
    "window": 64,
    "learning_rate": 4e-3,
    "patience": 1000,  # the number of epochs is fixed, and nothing ends them earlier
}
LONGEST = 9  # characters of context that an n-gram may have
NANOGPT_CPU, NANOGPT_GPU = 1.88, 1.4697
TARGET = 1.80


@dataclass(frozen=True)
class Parts:
    """Token ids to learn from, and those to be told from what came before.

    ``held_out`` begins with the last id of ``train``: it is read, not told.
    """

    train: np.ndarray
    held_out: np.ndarray


def shakespeare(*, sizes=SIZES, plan=PLAN, text=None, tell=lambda _: None):
    """Q6: nats per character over all of the last tenth of tiny Shakespeare.

    Protocol: an LSTM learns from the first 90% of the text, in `batch_size` parallel
    streams cut into windows, the state carried from window to window. It then reads the
    last 10% once, as one stream from a state of zeros, with the state carried; the
    value is the sum over all its characters by their number. Its weights are those
    after the last epoch. Nothing was chosen on the last 10%: sizes, schedule and number
    of epochs, and the n-gram's order, were settled with `parts(ids, "tail")`, on the
    last 5% of the 90% (``python -m studio.bench_text tail``).

    Args:
        sizes: dict of the arguments of `audio_models.recurrent.LSTM`.
        plan: dict of the arguments of `audio_models.training.Plan`.
        text: str, or None for the corpus.
        tell: function of a line, called after each epoch.

    Returns:
        list of one row, as the record holds it.

    Reference:
        Karpathy, nanoGPT, data/shakespeare_char: the split, and 1.88 (CPU recipe) and
        1.4697 (GPU recipe), means over random windows of the last 10%, where at least
        the first character of each has no context. Here all context counts.
    """
    ids, vocab_size = characters(read() if text is None else text)
    chosen = parts(ids, "valid")
    # A character that the training text lacks would be told as UNK, too cheaply.
    if not np.isin(chosen.held_out, chosen.train).all():
        raise NothingUsable("The last tenth holds characters that the rest lacks.")
    floors = counted_floors(ids, vocab_size)
    began, worked = time.monotonic(), time.process_time()
    architecture, weights, history = learn(chosen.train, vocab_size, sizes, plan, tell)
    minutes = (time.monotonic() - began) / 60
    cpu_minutes = (time.process_time() - worked) / 60
    value = stream_nats(architecture, weights, chosen.held_out)
    return [
        {
            "id": "Q6 tiny Shakespeare, LSTM",
            "value": round(value, 4),
            "unit": "nats per character",
            "baseline": "nanoGPT, CPU recipe",
            "baseline_value": NANOGPT_CPU,
            "ratio": round(value / NANOGPT_CPU, 3),
            "target": TARGET,
            "seed": SEED,
            "characters": len(chosen.held_out) - 1,
            "weights": int(sum(np.prod(w.shape) for w in weights.values())),
            "minutes": round(minutes, 1),
            "cpu_minutes": round(cpu_minutes, 1),
            "epochs": len(history),
            "training_loss": [round(loss, 4) for loss in history],
            "floors": floors,
            "published": {
                "nanoGPT, CPU recipe": NANOGPT_CPU,
                "nanoGPT, GPU recipe": NANOGPT_GPU,
            },
        }
    ]


def read():
    """The corpus, as a str."""
    return shared_data(CORPUS).read_text(encoding="utf-8")


def characters(text, alphabet=None):
    """A text as ids, one a character.

    Args:
        text: str.
        alphabet: str, or None for the characters of the text, sorted.

    Returns:
        (int32 array (T,), how many ids there are). A character that the alphabet lacks
        is UNK.
    """
    alphabet = "".join(sorted(set(text))) if alphabet is None else alphabet
    tokenizer = TextTokenizer(alphabet, fallback="unk")
    ids = tokenizer.encode(Text(text))[1:-1]  # a stream, with no beginning and no end
    return ids, tokenizer.vocab_size


def parts(ids, on):
    """What is learnt from, and what is held out: nothing is in both.

    Args:
        ids: int array (T,).
        on: "valid": the first 90%, and the rest. "tail": the first 95% of that 90%, and
            the rest of it, on which to choose.

    Returns:
        `Parts`.
    """
    until = len(ids) * 9 // 10
    if on == "tail":
        ids, until = ids[:until], until * 19 // 20
    elif on != "valid":
        raise ValueError(f'`on` must be "valid" or "tail". Received: {on!r}')
    return Parts(ids[:until], ids[until - 1 :])


def streams(ids, rows, window):
    """A stream cut into rows that are read side by side, window after window.

    Args:
        ids: int array (T,).
        rows: int, B. Row after row covers the stream; up to B - 1 ids at its end are
            left over.
        window: int, steps of a batch.

    Returns:
        list of (x, y, mask), each (B, window): row b of a batch goes on where row b of
        the batch before ended. The last is filled up with zeros, masked.
    """
    length = (len(ids) - 1) // rows
    if length < 1:
        raise ValueError(f"{rows} rows need {rows + 1} ids. Received: {len(ids)}")
    steps = -(-length // window) * window

    def cut(start):
        by_row = ids[start : start + rows * length].reshape(rows, length)
        by_row = np.pad(by_row, ((0, 0), (0, steps - length)))
        return np.split(by_row, steps // window, axis=1)

    mask = np.broadcast_to((np.arange(steps) < length).astype("float32"), (rows, steps))
    masks = np.split(mask, steps // window, axis=1)
    return list(zip(cut(0), cut(1), masks, strict=True))


def learn(ids, vocab_size, sizes, plan, tell=lambda _: None, look=None):
    """An LSTM that has read a stream of ids, `plan["epochs"]` times.

    Args:
        ids: int array (T,).
        vocab_size: int.
        sizes, plan, tell: as for `shakespeare`.
        look: function of (architecture, weights), called after each epoch; what it
            gives is told, and changes nothing.

    Returns:
        (architecture, its weights after the last epoch, list of the training loss at
        the end of each epoch).
    """
    from audio_models.network import Network
    from audio_models.recurrent import LSTM
    from audio_models.training import Plan, train

    plan = Plan(**plan, seed=SEED)
    batches = streams(ids, plan.batch_size, plan.window)
    network = Network(LSTM(vocab_size=vocab_size, **sizes), seed=SEED)
    network.carry(plan.batch_size)
    looks = 0

    def latest_is_best(_network):
        # `train` leaves the best weights; here these are the last, whatever they give.
        nonlocal looks
        looks += 1
        return -looks

    def watch(progress, event):
        if event != "checked":
            return
        weights = network.named_weights()
        seen = look(network.architecture, weights) if look else ""
        row = progress.history[-1]
        tell(f"epoch {looks}: {row['loss']:.4f} {seen} {row['seconds']:.0f} s")

    progress = train(
        network,
        plan,
        lambda epoch, skipped: iter(batches[skipped:]),
        len(batches),
        latest_is_best,
        watch=watch,
    )
    losses = [row["loss"] for row in progress.history]
    return network.architecture, network.named_weights(), losses


def stream_nats(architecture, weights, ids, state=None, at_once=READ_AT_ONCE):
    """Nats per id of a stream, read from its beginning with the state carried.

    Args:
        architecture: one of `audio_models.MODELS`, built.
        weights: dict of name -> float32 array.
        ids: int array (T,): the first is read, the T - 1 others are told.
        state: where to begin, or None for the beginning.
        at_once: int, how many ids are read in one call.

    Returns:
        float: the sum of -log p over the T - 1 ids, by their number.
    """
    if len(ids) < 2:
        raise ValueError(f"`ids` must hold 2 or more ids. Received: {len(ids)}")
    nats = 0.0
    for start in range(0, len(ids) - 1, at_once):
        x = ids[start : min(start + at_once, len(ids) - 1)]
        y = ids[start + 1 : start + 1 + len(x)]
        logits, state = architecture.forward(numpy_ops, weights, x[None], state)
        log_p = numpy_ops.log_softmax(logits[0])  # (t, V)
        nats -= float(log_p[np.arange(len(x)), y].sum(dtype=np.float64))
    return nats / (len(ids) - 1)


def counted_floors(ids, vocab_size, longest=LONGEST):
    """What counting alone gives on the last tenth, in nats per character.

    Args:
        ids: int array (T,), the whole text.
        vocab_size: int.
        longest: int. Of the orders 0..longest, the one that is best on the tail of the
            training text is taken.

    Returns:
        dict of name -> float: uniform, unigram, and the Witten-Bell n-gram.
    """
    tail, valid = parts(ids, "tail"), parts(ids, "valid")
    on_tail = NGram(vocab_size, longest).fit([tail.train])
    order = int(on_tail.log_probabilities(tail.held_out).mean(axis=1).argmax())
    counted = NGram(vocab_size, order).fit([valid.train])
    nats = -counted.log_probabilities(valid.held_out).mean(axis=1)
    return {
        "uniform": round(float(np.log(vocab_size)), 4),
        "unigram": round(float(nats[0]), 4),
        f"Witten-Bell n-gram, {order} characters of context": round(float(nats[-1]), 4),
    }


def settle(sizes=SIZES, plan=PLAN, tell=print):
    """Learn from all but the tail of the training text, and tell its loss by epoch."""
    ids, vocab_size = characters(read())
    chosen = parts(ids, "tail")
    learn(
        chosen.train,
        vocab_size,
        sizes,
        plan,
        tell,
        lambda *net: f"tail {stream_nats(*net, chosen.held_out):.4f}",
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["tail"]:
        settle()
    else:
        print(shakespeare(tell=print))

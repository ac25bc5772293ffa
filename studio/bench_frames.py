"""Q3 and Q4: whole frames of chorales and of Nottingham tunes, in nats per frame.

The protocol of Boulanger-Lewandowski et al. 2012 (https://arxiv.org/abs/1206.6392):
their splits, 88 keys, each frame but a piece's first is predicted from those before it,
-log p summed over the keys; total over the corpus / frames predicted. The model is a
mixture of `ChordLSTM`s, half of them reading the keyboard from the top down: the mean
of their probabilities of whole frames, which is again a distribution. What is chosen,
is chosen on the valid split; the test split is read once, at the end. Both sets come in
one key (214 of the 229 chorales of train end on C), so there is nothing to transpose.
"""

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from audio_models import numpy_ops
from audio_models.chords import ChordLSTM, log_probability, recall
from data_pipelines.midi import UnreadableMusic
from data_pipelines.tables import read_tables
from studio.errors import NothingUsable

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "poly_music"
LOWEST_KEY, KEYS = 21, 88
SPLITS = ("train", "valid", "test")
WARM_UP_STEPS = 50
BETA_2 = 0.98
STEPS_A_COPY = 5  # of the optimizer, between two copies into the running mean
CHUNK = 64  # frames that are evaluated at once


@dataclass(frozen=True)
class Recipe:
    """How one benchmark is learnt.

    Args:
        file: str, in shared/data/poly_music.
        architecture: `ChordLSTM`.
        steps: int, of the optimizer, for each net.
        checks: int, looks at the valid split, evenly spread; the best weights stay.
        nets: tuple of (seed, whether the keyboard is read from the top).
        batch_size, window: ints, rows of a batch and frames of a row.
        learning_rate: float, its peak, reached in 50 steps; then a cosine to zero.
        weight_decay: float.
        mean: float in [0, 1), how much a running mean of the weights keeps of itself
            every 5 steps; it is what is evaluated.
    """

    file: str
    architecture: ChordLSTM
    steps: int
    checks: int = 10
    nets: tuple = ((0, False), (1, True))
    batch_size: int = 32
    window: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    mean: float = 0.9


CHORALES = Recipe(
    "JSB_Chorales.mat",
    ChordLSTM(hidden_dim=256, chord_dim=256, most_notes=4, recall=True, dropout=0.35),
    steps=500,
)
NOTTINGHAM = Recipe(
    "Nottingham.mat",
    ChordLSTM(hidden_dim=256, chord_dim=256, most_notes=5, recall=True, dropout=0.15),
    steps=700,
    checks=7,
    weight_decay=0.02,
)


def jsb_frames(recipe=CHORALES):
    """Q3: rows for the record; trains for some ten minutes on one core.

    Raises:
        NothingUsable: if the data are not there, or cannot be read.
    """
    published = {
        "RNN": 8.91, "LSTM": 8.45, "GRU": 8.43, "TCN": 8.10, "RNN-RBM": 6.27,
        "RNN-NADE": 5.56,
    }  # fmt: skip
    return [_row("Q3 JSB chorales, nats per frame", recipe, 6.5, 5.5, published)]


def nottingham_frames(recipe=NOTTINGHAM):
    """Q4: as `jsb_frames`, of the Nottingham tunes."""
    published = {
        "RNN": 4.05, "GRU": 3.46, "LSTM": 3.29, "TCN": 3.07, "RNN-NADE": 2.31,
    }  # fmt: skip
    return [_row("Q4 Nottingham, nats per frame", recipe, 2.6, 2.2, published)]


def _row(id_, recipe, target, moonshot, published):
    rolls = read_rolls(DATA / recipe.file)
    began = time.monotonic()
    nets = learn_all(recipe, rolls)
    minutes = (time.monotonic() - began) / 60
    valid, test = (
        {
            "mixture": _mean(mixture(recipe.architecture, nets, rolls[split])),
            "each": [
                _mean(mixture(recipe.architecture, [net], rolls[split])) for net in nets
            ],
        }
        for split in ("valid", "test")
    )
    unigram, own_previous = floors(rolls["train"], rolls["test"])
    weights = sum(math.prod(w.shape) for w in recipe.architecture.weights().values())
    return {
        "id": id_,
        "value": round(test["mixture"], 3),
        "unit": "nats per frame",
        "baseline": "each key after itself",
        "baseline_value": round(own_previous, 2),
        "ratio": round(test["mixture"] / own_previous, 3),
        "target": target,
        "seed": recipe.nets[0][0],
        "valid": round(valid["mixture"], 3),
        "each_net": [round(nats, 3) for nats in test["each"]],
        "each_net_valid": [round(nats, 3) for nats in valid["each"]],
        "unigram": round(unigram, 2),
        "own_previous": round(own_previous, 2),
        "moonshot_nats": moonshot,
        "published": published,
        "weights": weights * len(nets),
        "nets": [list(net) for net in recipe.nets],
        "steps": recipe.steps,
        "architecture": asdict(recipe.architecture),
        "minutes": round(minutes, 1),
    }


def read_rolls(path):
    """Split -> list of float32 arrays (T, 88) of 0 and 1, as the file has them.

    Silence behind a piece's last note is not kept.

    Raises:
        NothingUsable: if there is no such file, it cannot be read, or lacks a split.
    """
    try:
        reading = read_tables(Path(path).read_bytes(), "mat")
    except OSError as error:
        raise NothingUsable(f"The benchmark needs {path}: {error.strerror}.") from None
    except UnreadableMusic as error:
        raise NothingUsable(f"{path} cannot be read: {error}.") from None
    rolls = {split: [] for split in SPLITS}
    for score, split in zip(reading.contents, reading.splits, strict=True):
        roll = _roll(score)
        if len(roll) > 1:  # of a single frame nothing is predicted
            rolls[split].append(roll)
    for split, pieces in rolls.items():
        if not pieces:
            raise NothingUsable(f"{path} has no piece of two frames in {split}.")
    return rolls


def _roll(score):
    first = score.notes["start"] // score.ticks_per_quarter
    last = first + score.notes["duration"] // score.ticks_per_quarter
    roll = np.zeros((int(last.max()), KEYS), dtype="float32")
    for pitch, begin, end in zip(score.notes["pitch"], first, last, strict=True):
        roll[begin:end, pitch - LOWEST_KEY] = 1
    return roll


def floors(train, test, added=0.5):
    """What counting reaches, each key on its own: nats per frame of the test pieces.

    Args:
        train, test: lists of arrays (T, keys).
        added: float, the count that each outcome starts from.

    Returns:
        (unigram: how often a key sounds; own previous: how often after it did, and
        after it did not).
    """
    every = np.concatenate(train)
    counts = np.zeros((2, 2, every.shape[1]))  # (before, now, keys)
    for roll in train:
        for before in (0, 1):
            for now in (0, 1):
                both = (roll[:-1] == before) & (roll[1:] == now)
                counts[before, now] += both.sum(axis=0)
    after = (counts[:, 1] + added) / (counts.sum(axis=1) + 2 * added)  # (2, keys)
    plain = (every.sum(axis=0, dtype="float64") + added) / (len(every) + 2 * added)

    def nats(shares, roll):
        return -np.log(np.where(roll == 1, shares, 1 - shares)).sum()

    frames = sum(len(roll) - 1 for roll in test)
    unigram = sum(nats(plain, roll[1:]) for roll in test)
    own = sum(
        nats(np.where(roll[:-1] == 1, after[1], after[0]), roll[1:]) for roll in test
    )
    return float(unigram / frames), float(own / frames)


@dataclass(frozen=True)
class Net:
    """What one run has learnt, and from which side it reads the keyboard."""

    weights: dict = field(repr=False)
    from_top: bool = False


def mixture(architecture, nets, rolls):
    """Nats of each predicted frame under the mean of the nets' probabilities.

    Args:
        architecture: `ChordLSTM`.
        nets: list of `Net`.
        rolls: list of arrays (T, keys), T at least 2.

    Returns:
        list of float64 arrays (T - 1,), one for each roll.
    """
    each = [_log_probabilities(architecture, net, rolls) for net in nets]
    return [
        math.log(len(nets)) - np.logaddexp.reduce(np.stack(parts), axis=0)
        for parts in zip(*each, strict=True)
    ]


def _mean(nats):
    """Total / count over the corpus."""
    return float(sum(part.sum() for part in nats) / sum(map(len, nats)))


def _log_probabilities(architecture, net, rolls, rows=16):
    """float64 arrays (T - 1,): log p of each frame but the first, roll by roll."""
    found = [None] * len(rolls)
    order = np.argsort([len(roll) for roll in rolls], kind="stable")
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        pieces = [read_piece(architecture, rolls[i], net.from_top) for i in chosen]
        x, y, _ = _padded(pieces, max(len(piece[0]) for piece in pieces))
        state, parts = None, []
        for t in range(0, x.shape[1], CHUNK):
            now = slice(t, t + CHUNK)
            logits, state = architecture.forward(
                numpy_ops, net.weights, x[:, now], y[:, now], state
            )
            parts.append(log_probability(numpy_ops, logits, y[:, now]))
        whole = np.concatenate(parts, axis=1).astype("float64")
        for row, i in enumerate(chosen):
            found[i] = whole[row, : len(rolls[i]) - 1]
    return found


def read_piece(architecture, roll, from_top=False):
    """(frames as they are read (T - 1, num_inputs), the frames after them)."""
    roll = roll[:, ::-1] if from_top else roll
    frames, targets = roll[:-1], roll[1:]
    if architecture.recall:
        frames = np.concatenate([frames, recall(frames)], axis=1)
    return frames, targets


def _padded(pieces, length):
    """(frames (B, T, inputs), targets (B, T, keys), mask (B, T)), zeros behind."""
    shape = (len(pieces), length)
    x = np.zeros((*shape, pieces[0][0].shape[1]), dtype="float32")
    y = np.zeros((*shape, pieces[0][1].shape[1]), dtype="float32")
    mask = np.zeros(shape, dtype="float32")
    for row, (frames, targets) in enumerate(pieces):
        x[row, : len(frames)], y[row, : len(frames)] = frames, targets
        mask[row, : len(frames)] = 1
    return x, y, mask


def epoch_of_batches(pieces, recipe, rng):
    """Yield batches (frames, targets, mask): each piece in windows end to end.

    Where a piece is longer than a window, the first ends at a random frame, so that
    windows begin elsewhere in each epoch. What fills no last batch is left out.
    """
    window, places = recipe.window, []
    for number, (frames, _) in enumerate(pieces):
        cut = int(rng.integers(window)) if len(frames) > window else 0
        starts = range(cut - window if cut else 0, len(frames), window)
        places += [(number, max(0, at), at + window) for at in starts]
    order = rng.permutation(len(places))
    rows = min(recipe.batch_size, len(order))
    for first in range(0, len(order) - rows + 1, rows):
        chosen = [places[i] for i in order[first : first + rows]]
        yield _padded(
            [tuple(part[a:b] for part in pieces[n]) for n, a, b in chosen], window
        )


def learn_all(recipe, rolls, watch=print):
    """The nets of a recipe, each from a clean state."""
    return [learn(recipe, rolls, *net, watch=watch) for net in recipe.nets]


def learn(recipe, rolls, seed, from_top, watch=print):
    """Train one net; gives the best of its running means on the valid split."""
    import keras

    from audio_models.chord_network import ChordLoss, ChordNetwork

    architecture = recipe.architecture
    pieces = [read_piece(architecture, roll, from_top) for roll in rolls["train"]]
    network = ChordNetwork(architecture, seed=seed)
    optimizer = keras.optimizers.AdamW(
        recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        global_clipnorm=1.0,
        beta_2=BETA_2,
    )
    network.compile(optimizer, ChordLoss(), jit_compile=True)
    rng = np.random.default_rng(seed)
    batches, best, kept = iter(()), math.inf, None
    averaged, recent, check = network.named_weights(), [], recipe.steps / recipe.checks
    for step in range(1, recipe.steps + 1):
        while (batch := next(batches, None)) is None:
            batches = epoch_of_batches(pieces, recipe, rng)
        climb = min(1.0, step / WARM_UP_STEPS)
        fall = 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)
        optimizer.learning_rate.assign(recipe.learning_rate * climb * fall)
        x, y, mask = batch
        recent.append(float(network.train_on_batch((x, y), y, sample_weight=mask)))
        if step % STEPS_A_COPY == 0:
            mean = min(recipe.mean, step / (step + 100))  # short at first
            for name, value in network.named_weights().items():
                averaged[name] = mean * averaged[name] + (1 - mean) * value
        if int(step / check) > int((step - 1) / check) or step == recipe.steps:
            net = Net(dict(averaged), from_top)
            valid = _mean(mixture(architecture, [net], rolls["valid"]))
            watch(
                f"{recipe.file} seed {seed} step {step:,} of {recipe.steps:,}: "
                f"train {np.mean(recent):.3f}, valid {valid:.3f}",
                flush=True,
            )
            recent = []
            if valid < best:
                best, kept = valid, net
    return kept

"""Q7 and P6: spoken digits in bits per sample, and what a second of sound costs.

Q7. The free spoken digits (Jackson et al.), 3,000 files of 6 voices at 8 kHz. Of each
voice and digit, takes 0-4 are the test, 5-9 are for choosing, the rest is learnt from.
8-bit mu-law; the bits are the mean over all samples of all files of the test, each file
from its own beginning; where a file ends is not told, and not counted. One network
learns with the digit told in half of its windows, and is measured with and without.

P6. Seconds of compute for a second of sound at 16 kHz, one row, drawn at temperature 1:
an untrained `Frames` of the shipped size, in NumPy and compiled, and a GRU of 256 units in
the same compiled loop. They take turns; the ratio is the median of neighbouring turns.
"""

import math
import os
import sys
import time
from dataclasses import dataclass, field

import numpy as np

from audio_models import numpy_ops
from audio_models.autoregression import fit_autoregression
from audio_models.frames import Frames
from audio_models.ngram import NGram
from audio_models.state_space import StateSpace
from data_pipelines.audio import mu_law_decode, mu_law_encode, read_waveform
from studio.bench_data import shared_data
from studio.errors import NothingUsable

SEED = 1
PAD, BOS, UNK = 0, 1, 3
DIGITS = 10
FIRST_CLASS, FIRST_SAMPLE = 4, 4 + DIGITS
SPLITS = {"test": range(5), "valid": range(5, 10), "train": range(10, 50)}
WARM = 32  # samples of a window cut from within a file that are read, not learnt
TARGET, MOONSHOT = 4.4, 3.9
ORDERS = (8, 16, 32)  # of linear prediction; chosen on valid
FORGETTINGS = (None, 0.9, 0.97, 0.99)


@dataclass(frozen=True)
class Recipe:
    """How Q7 is learnt: its network, windows a batch and samples a window, and when."""

    architecture: object = field(
        default_factory=lambda: StateSpace(
            vocab_size=FIRST_SAMPLE + 256,
            first_class=FIRST_CLASS,
            num_classes=DIGITS,
            hidden_dim=128,
            num_layers=3,
        )
    )
    batch_size: int = 8
    window: int = 512
    learning_rate: float = 3e-3
    told: float = 0.5  # share of windows that are told their digit


def digits(minutes=30.0, seed=SEED, recipe=None, watch=print):
    """Q7: one row for the record.

    Args:
        minutes: float, processor minutes of training; the learning rate falls with them.
        seed: int, of the first weights and of the windows.
        recipe: `Recipe`.
        watch: function of a line.

    Raises:
        NothingUsable: if the data are not there.
    """
    recipe = recipe or Recipe()
    files = read_digits()
    floors = counted_floors(files)
    watch(f"floors: {floors}")
    began = time.monotonic()
    weights, steps = learn(files["train"], recipe, minutes, seed, watch)
    wall = (time.monotonic() - began) / 60
    found = {
        f"{split}, {how}": bits(recipe.architecture, weights, files[split], is_told)
        for split in ("valid", "test")
        for how, is_told in (("digit told", True), ("not told", False))
    }
    best = min(value for name, value in floors.items() if name != "uniform")
    test = found["test, not told"]
    return [
        {
            "id": "Q7 spoken digits, bits per sample",
            "value": round(test, 3),
            "unit": "bits per sample",
            "baseline": min(floors, key=floors.get),
            "baseline_value": round(best, 3),
            "ratio": round(test / best, 3),
            "target": TARGET,
            "seed": seed,
            "found": {name: round(value, 3) for name, value in found.items()},
            "floors": floors,
            "moonshot": MOONSHOT,
            "samples": sum(len(codes) for codes, _ in files["test"]),
            "weights": int(sum(np.prod(w.shape) for w in weights.values())),
            "steps": steps,
            "cpu_minutes": minutes,
            "minutes": round(wall, 1),
        }
    ]


def read_digits():
    """Split -> list of (int32 codes (T,), digit), the files in order of their names.

    Raises:
        NothingUsable: if they are not there, or a split has none.
    """
    paths = sorted(shared_data("fsdd").glob("*_*_*.wav"))
    files = {split: [] for split in SPLITS}
    for path in paths:
        digit, _, take = path.stem.split("_")
        split = next((s for s, takes in SPLITS.items() if int(take) in takes), None)
        if split:
            samples = np.clip(read_waveform(path).mono(), -1, 1)
            files[split].append((mu_law_encode(samples), int(digit)))
    for split, of_split in files.items():
        if not of_split:
            raise NothingUsable(f"{shared_data('fsdd')} has no file for {split}.")
    return files


def counted_floors(files, orders=ORDERS, forgettings=FORGETTINGS):
    """What counting and linear prediction reach on the test, in bits per sample.

    They learn from valid too. Of linear prediction, order and forgetting are chosen on
    valid first, learning from train alone.
    """
    train, valid, test = (
        [codes for codes, _ in files[split]] for split in ("train", "valid", "test")
    )
    counted = NGram(256, 2).fit([np.r_[0, 0, codes] for codes in train + valid])
    total = sum(
        counted.log_probabilities(np.r_[0, 0, codes])[:, 1:].sum(axis=1)
        for codes in test
    )
    grams = -total / math.log(2) / sum(map(len, test))
    amplitudes = mu_law_decode(np.arange(256)).astype("float64")
    edges = code_edges()
    sounds = [amplitudes[codes] for codes in train]

    def mean(model, pieces):
        told = sum(model.bits(codes, amplitudes, edges).sum() for codes in pieces)
        return float(told / sum(map(len, pieces)))

    tried = {}
    for order in orders:
        for forgetting in forgettings:
            model = fit_autoregression(sounds[::8], order, forgetting)
            tried[order, forgetting] = mean(model, valid[::8])
    names = {False: "AR({}), one scale", True: "AR({}), scale of the last residuals"}
    floors = dict(zip(("unigram", "bigram", "trigram"), grams.tolist(), strict=True))
    for follows, name in names.items():
        kinds = {kind: b for kind, b in tried.items() if (kind[1] is None) != follows}
        if kinds:
            order, forgetting = min(kinds, key=kinds.get)
            every = sounds + [amplitudes[codes] for codes in valid]
            model = fit_autoregression(every, order, forgetting)
            floors[name.format(order)] = mean(model, test)
    return {name: round(value, 3) for name, value in floors.items()}


def code_edges():
    """float64 array (257,): between which amplitudes each mu-law code lies."""
    level = (2 * np.arange(257) - 1) / 255 - 1
    edges = np.sign(level) * np.expm1(np.abs(level) * np.log(256)) / 255
    edges[[0, -1]] = -np.inf, np.inf
    return edges


def opened(codes, digit, is_told):
    """Codes as a piece without its end: BOS, the digit or UNK, samples; int32."""
    head = [BOS, FIRST_CLASS + digit if is_told else UNK]
    return np.r_[head, FIRST_SAMPLE + codes].astype(np.int32)


def bits(architecture, weights, files, is_told, rows=8):
    """Bits per sample of some files: total over the files / samples."""
    order = sorted(range(len(files)), key=lambda i: len(files[i][0]))
    total = 0.0
    for first in range(0, len(order), rows):
        pieces = [opened(*files[i], is_told) for i in order[first : first + rows]]
        ids = np.full((len(pieces), max(map(len, pieces))), PAD, np.int32)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = piece
        logits, _ = architecture.forward(numpy_ops, weights, ids[:, :-1])
        log_p = numpy_ops.log_softmax(logits)
        for row, piece in enumerate(pieces):
            at = np.arange(1, len(piece) - 1)  # the samples; BOS and digit are given
            total -= float(log_p[row, at, piece[2:]].sum(dtype=np.float64))
    return total / math.log(2) / sum(len(codes) for codes, _ in files)


def windows(files, recipe, seed):
    """Yield batches (x, y, mask) without end, a pure function of the seed.

    Each window is of a file drawn by its length, and begins anywhere in it. Where that
    is not the beginning, what it tells first is not learnt from: its memory is empty.
    """
    rng = np.random.default_rng([seed, 7])
    lengths = np.array([len(codes) for codes, _ in files])
    chance = lengths / lengths.sum()
    while True:
        ids = np.full((recipe.batch_size, recipe.window + 2), PAD, np.int32)
        mask = np.zeros((recipe.batch_size, recipe.window + 1), "float32")
        chosen = rng.choice(len(files), recipe.batch_size, p=chance)
        for row, number in enumerate(chosen):
            codes, digit = files[number]
            late = len(codes) - recipe.window
            begin = max(0, int(rng.integers(-WARM, max(1, late + 1))))
            cut = codes[begin : begin + recipe.window]
            piece = opened(cut, digit, rng.random() < recipe.told)
            ids[row, : len(piece)] = piece
            mask[row, 1 + WARM * (begin > 0) : len(piece) - 1] = 1
        yield ids[:, :-1], ids[:, 1:], mask


def learn(files, recipe, minutes, seed, watch=print):
    """(weights, steps) after so many processor minutes; compiling is not counted."""
    from audio_models.network import Network
    from audio_models.training import Plan, compiled

    network = Network(recipe.architecture, seed=seed)
    plan = Plan(learning_rate=recipe.learning_rate, weight_decay=0.01, seed=seed)
    optimizer = compiled(network, plan)
    batches = windows(files, recipe, seed)
    network.train_on_batch(*next(batches))
    began, told, step, recent = time.process_time(), 0, 1, []
    while (share := (time.process_time() - began) / 60 / max(minutes, 1e-9)) < 1:
        rise = min(1.0, step / 50)
        fall = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * share))
        optimizer.learning_rate.assign(recipe.learning_rate * rise * fall)
        recent.append(float(network.train_on_batch(*next(batches))))
        step += 1
        if int(20 * share) > told:
            told = int(20 * share)
            mean = np.mean(recent) / math.log(2)
            watch(f"{share:.0%}, step {step:,}: {mean:.3f} bits in training")
            recent = []
    return network.named_weights(), step


SAMPLE_RATE = 16_000
SHIPPED = {"hidden_dim": 192, "frame": 16, "window": 16, "sample_dim": 128}
VOCAB = 4 + 256


class Samples:
    """A grammar in which any sample may follow any other, and nothing ends."""

    start = 0

    def __init__(self, vocab_size=VOCAB, first_sample=4):
        self.allowed = np.ones((1, vocab_size), dtype=bool)
        self.allowed[:, :first_sample] = False
        self.next_state = np.zeros((1, vocab_size), dtype=np.int32)

    def state_after(self, ids):
        return 0


def wave(seconds=0.25, blocks=5, sizes=None):
    """P6: rows for the record, one an engine.

    Args:
        seconds: float, of sound a turn.
        blocks: int, turns of each.
        sizes: dict of `Frames`' arguments, or None for what is shipped.
    """
    contestants, count = wave_contestants(sizes or SHIPPED)
    samples = max(2, int(seconds * SAMPLE_RATE))
    for write in contestants.values():  # what is made once is not counted
        write(samples)
    wall = {name: [] for name in contestants}
    processor = {name: [] for name in contestants}
    for _ in range(blocks):
        for name, write in contestants.items():
            began, worked = time.perf_counter(), time.process_time()
            write(samples)
            wall[name].append((time.perf_counter() - began) / samples * SAMPLE_RATE)
            processor[name].append(
                (time.process_time() - worked) / samples * SAMPLE_RATE
            )
    peer = "GRU 256, compiled"
    return [
        {
            "id": f"P6 a second of sound at 16 kHz, {name}",
            "value": round(float(np.median(wall[name])), 3),
            "unit": "s",
            "baseline": f"{peer} loop",
            "baseline_value": round(float(np.median(wall[peer])), 3),
            "ratio": round(float(np.median(np.divide(wall[name], wall[peer]))), 3),
            "target": 0.8,
            "seed": SEED,
            "weights": count,
            "processor seconds": round(float(np.median(processor[name])), 3),
            "baseline, processor seconds": round(float(np.median(processor[peer])), 3),
            "least seconds": round(min(wall[name]), 3),
            "blocks": blocks,
            "load before": round(os.getloadavg()[0], 2),
        }
        for name in contestants
        if name != peer
    ]


def wave_contestants(sizes):
    """(name -> function of how many samples to write, weights of `Frames`)."""
    from audio_models.decode_frames import FramesDecoder
    from audio_models.generation import CompiledGenerator
    from audio_models.gru import GRU
    from audio_models.network import Network
    from audio_models.request import Request

    grammar = Samples()
    architecture = Frames(vocab_size=VOCAB, **sizes)
    network = Network(architecture, seed=SEED)
    weights = network.named_weights()
    decoder = FramesDecoder(architecture, weights)
    gru = Network(GRU(VOCAB, embedding_dim=64, hidden_dim=256, num_layers=1))
    compiled = CompiledGenerator(network), CompiledGenerator(gru)

    def asked(samples):
        return Request([[BOS]], samples, grammar, seed=SEED)

    writers = {
        "NumPy": lambda samples: decoder.write(asked(samples)).ids,
        "compiled": lambda samples: compiled[0].generate(asked(samples)).ids,
        "GRU 256, compiled": lambda samples: compiled[1].generate(asked(samples)).ids,
    }
    return writers, int(sum(array.size for array in weights.values()))


if __name__ == "__main__":
    given = dict(pair.split("=") for pair in sys.argv[2:])
    if sys.argv[1:2] == ["digits"]:
        print(
            digits(
                float(given.get("minutes", 30)),
                int(given.get("seed", SEED)),
                watch=lambda line: print(line, flush=True),
            )
        )
    else:
        print(wave(float(given.get("seconds", 0.25)), int(given.get("blocks", 5))))

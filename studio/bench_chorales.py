"""Q1 and Q2: Bach's chorales on the grid of sixteenths, by two protocols."""

import json

import numpy as np

from audio_models.bundle import load_bundle
from audio_models.scoring import mixed, token_log_probabilities
from data_pipelines.cache import cache_folder
from data_pipelines.prepare import Settings, prepare
from data_pipelines.shards import is_dataset, open_dataset
from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.vocabulary import BOS
from studio.bench_data import shared_data
from studio.chorale_floor import VoiceNGram

DATA = "jsb/jsb-16th-separated.json"
SPLITS = ("train", "valid", "test")
SHIFTS = tuple(range(-5, 7))  # every key, once
WINDOW, HOP = 33, 16  # frames, of Géron's chorales
RECIPE, EPOCHS, SEEDS = "chorale-voices", 60, (0,)
SHARES = np.linspace(0, 1, 21)  # of the n-gram in the mixture, tried on valid


def jsb_notes():
    """Q1: nats a note, every note of every sixteenth, whole pieces as context."""
    bundles = [trained(seed) for seed in SEEDS]
    found = measure(bundles, "notes")
    published = {
        "Music Transformer, valid": 0.335,
        "its baseline Transformer, valid": 0.417,
        "TonicNet, derived, at most": 0.396,
        "a public re-implementation, test": 0.530,
    }
    return [_row("Q1 JSB notes, test", found, bundles, 0.43, published)]


def geron():
    """Q2: Géron's windows of 33 frames, each read from nothing."""
    bundles = [trained(seed) for seed in SEEDS]
    found = measure(bundles, "windows")
    published = {"Conv1D and LSTM in Keras (Géron), test": 0.6631}
    return [_row("Q2 Géron's chorale windows, test", found, bundles, 0.49, published)]


def trained(seed, epochs=EPOCHS):
    """The network of a seed as a `Bundle`: trained now, or when this was last asked.

    The chorales may be measured, not shipped: their bundles stay in the user's cache. A
    run that was interrupted goes on where it stood.
    """
    folder = cache_folder() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{RECIPE}-{epochs}-{seed}.bundle"
    if output.is_dir():
        return load_bundle(output)
    from audio_models.training import Plan
    from studio.floors import measure_floors
    from studio.progress import TrainingDisplay
    from studio.recipes import RECIPES
    from studio.train import train_bundle

    dataset = _dataset(folder / "chorales")
    plan = Plan(**RECIPES[RECIPE].plan, epochs=epochs, seed=seed)
    floors = measure_floors(dataset)
    run = output.with_name(output.name + ".run")
    with TrainingDisplay(floors, plan) as display:
        bundle, _ = train_bundle(
            dataset,
            RECIPE,
            plan,
            output,
            sources=[f"{DATA}, the canonical split"],
            command="etude bench jsb-notes",
            floors=floors,
            watch=display.watch,
            resume=(run / "checkpoint").exists(),
        )
    return bundle


def _dataset(folder):
    if is_dataset(folder):
        return open_dataset(folder)
    settings = Settings(ChoraleTokenizer().spec(), split="given")
    return prepare(shared_data(DATA), folder, settings)


def _row(name, found, bundles, target, published):
    test = found["test"]
    sizes = [sum(w.size for w in bundle.weights.values()) for bundle in bundles]
    return {
        "id": name,
        "value": round(test["mixture"], 4),
        "unit": "nats a note",
        "baseline": "n-gram over the voices",
        "baseline_value": round(test["n-gram"], 4),
        "ratio": round(test["mixture"] / test["n-gram"], 3),
        "target": target,
        "seed": list(SEEDS),
        "figures": {
            split: {model: round(nats, 4) for model, nats in figures.items()}
            for split, figures in found.items()
        },
        "weights": sizes,
        "minutes": [bundle.facts["trained_minutes"] for bundle in bundles],
        "published": published,
    }


def chorales():
    """The canonical 229, 76 and 77 chorales: split -> list of int arrays (T, 4).

    Soprano, alto, tenor and bass, a sixteenth a row; MIDI pitches, -1 for a rest.
    """
    raw = json.loads(shared_data(DATA).read_text())
    return {
        split: [np.array(piece).astype(np.int64) for piece in raw[split]]
        for split in SPLITS
    }


def frames_to_ids(frames, tokenizer):
    """The ids of `ChoraleTokenizer` for frames, one a voice and sixteenth.

    Args:
        frames: int array (T, 4); a pitch that stays is held.
        tokenizer: `ChoraleTokenizer`.

    Returns:
        int32 array (2 + 4 T,): BOS, no metre named, then the frames; no EOS.
    """
    pitch = tokenizer.vocabulary.ids("pitch")[0]
    body = np.where(frames < 0, tokenizer.rest, pitch + frames)
    body[1:][frames[1:] == frames[:-1]] = tokenizer.hold
    head = [BOS, tokenizer.metre_id(None)]
    return np.concatenate([head, body.ravel()]).astype(np.int32)


def heard_nats(bundles, frames, shifts=SHIFTS):
    """What each note of some frames is worth to networks, heard in several keys.

    Args:
        bundles: list of `Bundle` with `chorale` tokens.
        frames: int array (N, T, 4), N excerpts of one length.
        shifts: tuple of int, semitones.

    Returns:
        float64 array (bundles, shifts, N, T, 4), nats. The mean probability of any of
        them is itself a distribution over notes, given the notes before.
    """
    tokenizer = ChoraleTokenizer()
    ids = np.stack([frames_to_ids(excerpt, tokenizer) for excerpt in frames])
    heard = np.concatenate([tokenizer.augmented(ids, shift) for shift in shifts])
    nats = [token_log_probabilities(b.architecture, b.weights, heard) for b in bundles]
    return np.stack(nats)[..., 1:].reshape(len(bundles), len(shifts), *frames.shape)


def measure(bundles, protocol):
    """What networks are worth, on valid and test.

    Args:
        bundles: list of `Bundle` with `chorale` tokens.
        protocol: str, "notes" (whole pieces) or "windows" (Géron's).

    Returns:
        dict: split -> name of a model -> nats a note. "mixture" is the networks' mean
        and the n-gram's, in the shares that are best on valid.
    """
    pieces = chorales()
    floor = VoiceNGram().fit(pieces["train"])
    nats = {
        split: np.concatenate(
            [
                _opinions(bundles, floor, excerpts, protocol)
                for piece in pieces[split]
                if len(excerpts := _excerpts(piece, protocol))
            ],
            axis=1,
        )
        for split in ("valid", "test")
    }
    return _figures(nats)


def _excerpts(piece, protocol):
    # (N, T, 4): the whole piece; or Géron's windows, what does not fill one left out.
    if protocol == "notes":
        return piece[None]
    starts = np.arange(0, len(piece) - WINDOW + 1, HOP)
    return piece[starts[:, None] + np.arange(WINDOW)]


def _opinions(bundles, floor, excerpts, protocol):
    # One row a model, one column a note that counts; the last row is the networks' mean.
    counted = [floor.log_probabilities(excerpt) for excerpt in excerpts]
    heard = heard_nats(bundles, excerpts)
    alone = heard[0, SHIFTS.index(0)]
    every = mixed(heard.reshape(-1, *excerpts.shape))
    rows = np.concatenate([np.stack(counted, axis=1), alone[None], every[None]])
    rows = rows.reshape(*rows.shape[:2], -1)
    if protocol == "windows":
        rows = rows[:, :, 1:]  # the first note of a window is given
    return rows.reshape(len(rows), -1)


def _figures(nats):
    counted = nats["valid"][:-2]
    order = int(counted.mean(axis=1).argmax())

    def mixture(split, share):
        return -mixed(nats[split][[order, -1]], [share, 1 - share]).mean()

    share = min(SHARES, key=lambda s: mixture("valid", s))
    return {
        split: {
            "n-gram": float(-rows[order].mean()),
            "one network": float(-rows[-2].mean()),
            "networks, every key": float(-rows[-1].mean()),
            "mixture": float(mixture(split, share)),
            "share of the n-gram": float(share),
            "notes": rows.shape[1],
        }
        for split, rows in nats.items()
    }

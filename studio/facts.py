"""What a bundle tells of the music that it was made from."""

import itertools
from collections import Counter
from dataclasses import asdict
from importlib import metadata

import numpy as np

from data_pipelines.tokenizers.melody import METRES
from data_pipelines.voice_leading import VoiceLeading, voice_leading_of_ids
from studio.compose import UNNAMED_METRE
from studio.floors import is_held_out
from studio.takes import corpus_measures

MEASURED_PIECES = 400


def figures(dataset, recipe_name, plan, sources, command, floors):
    """What a bundle tells about where it comes from, as JSON."""
    music = dataset.manifest["music"]
    if dataset.tokenizer.takes != "score":
        return _origin(dataset, recipe_name, plan, sources, command, floors)
    metres = Counter()
    for metre, count in music["metres"].items():
        metres[metre if metre in METRES else UNNAMED_METRE] += count
    train = _sample(dataset)
    repeated = music["repeated_bars"] / max(1, music["counted_bars"])
    facts = _origin(dataset, recipe_name, plan, sources, command, floors) | {
        "reading": {
            name: dataset.manifest["settings"][name] for name in ("bars", "parts")
        },
        "metres": dict(metres.most_common()),
        "repeated_bars": {"data": round(repeated, 4)},
        "keys": music["keys"],
        "compass": compass_of(map(dataset.tokenizer.decode, train)),
        "measures": corpus_measures(map(dataset.tokenizer.decode, train)),
        "usual_qpm": {
            metre: min(400.0, max(20.0, usual["median"]))
            for metre, usual in music["qpm"].items()
            if metre in metres and usual["pieces"] >= 0.5 * metres[metre]
        },
    }
    if dataset.tokenizer.name == "chorale":
        leadings = (voice_leading_of_ids(dataset.tokenizer, ids) for ids in train)
        facts["voice_leading"] = sum(leadings, VoiceLeading()).rates()
    return facts


def compass_of(scores):
    """The lowest and the highest pitch of all but one note in a hundred; None of drums.

    Args:
        scores: iterable of `Score`.

    Returns:
        [low, high], or None.
    """
    pitched = (score.notes["pitch"][~score.is_drum_note()] for score in scores)
    counts = sum(np.bincount(pitches, minlength=128) for pitches in pitched)
    total = np.cumsum(counts)
    if not total[-1]:
        return None
    low, high = np.searchsorted(total, total[-1] * np.array([0.005, 0.995]))
    return [int(low), int(high)]


def _origin(dataset, recipe_name, plan, sources, command, floors):
    """What is told of any data, notes or not."""
    cost = dataset.manifest["cost"]
    return {
        "recipe": recipe_name,
        "plan": asdict(plan),
        "sources": sources,
        "command": command,
        "pieces": {name: split["pieces"] for name, split in dataset.counts.items()},
        "notes": cost["notes"],
        "notes_lost": cost["lost"],
        "held_out": {"is_held_out": is_held_out(dataset), **asdict(floors)},
        "versions": {
            name: metadata.version(name) for name in ("etude", "keras", "numpy")
        },
    }


def _sample(dataset):
    """At most `MEASURED_PIECES` of the training pieces, spread over all of them."""
    step = -(-dataset.counts["train"]["pieces"] // MEASURED_PIECES) or 1
    return list(itertools.islice(dataset.pieces("train"), 0, None, step))

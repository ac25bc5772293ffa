"""Whether a model of sounds plays the pitch that it is asked for.

`wave-lstm` learns the eight tones that the kit synthesises, plucked, FM and held, at
8 kHz, each pitch a class; then five sounds of each class are drawn and their pitches
heard (`data_pipelines.pitch`). Counted is what lies within a semitone of the class;
beside it, how often the pitch of a sound lies so near to a class drawn by chance.
"""

import tempfile
from pathlib import Path

import numpy as np

from data_pipelines.pitch import midi_pitch_of
from data_pipelines.tones import pitch_of

SEED, RATE = 1, 8000
MINUTES = 10.0
SOUNDS_A_CLASS = 5
TARGET = 0.9
NEAR = 1.0  # semitone


def tones(minutes=MINUTES, watch=print):
    """One row: the share of sounds within a semitone of the pitch asked for."""
    from studio.diagnose_sound import sound_faults
    from studio.sounds import SoundWish, compose_sound

    bundle = _trained(minutes, watch)
    classes = bundle.vocabulary["classes"]
    wanted, heard, blamed = [], [], 0
    for name in classes:
        for number in range(SOUNDS_A_CLASS):
            wish = SoundWish(label=name, seed=SEED + number)
            made = compose_sound(bundle, wish)
            wanted.append(pitch_of(name))
            heard.append(midi_pitch_of(made.waveform))
            blamed += any(f.kind != "buzz" for f in sound_faults(made.waveform))
    known = np.array([np.nan if pitch is None else pitch for pitch in heard])
    right = float((np.abs(known - np.array(wanted)) <= NEAR).mean())
    every = np.array([pitch_of(name) for name in classes])
    chance = float((np.abs(known[:, None] - every) <= NEAR).mean())
    test = bundle.facts["test"]
    return {
        "id": "tones, pitch within a semitone of the one asked for",
        "value": round(right, 3),
        "unit": "of sounds",
        "baseline": "a class drawn by chance",
        "baseline_value": round(chance, 3),
        "ratio": round(right / max(chance, 1e-9), 2),
        "target": TARGET,
        "higher_is_better": True,
        "seed": SEED,
        "extra": {
            "sounds": len(wanted),
            "without a pitch": int(np.isnan(known).sum()),
            "silent, clipped or off zero": blamed,
            "minutes of training": minutes,
            "bits a sample, test": round(test["model"] / np.log(2), 3),
            "n-gram": round(test["ngram"] / np.log(2), 3),
        },
    }


def _trained(minutes, watch):
    from audio_models.training import Plan
    from data_pipelines.tokenizers.wave import WaveTokenizer
    from studio.floors import measure_floors
    from studio.gather import gather
    from studio.recipes import RECIPES
    from studio.sources import TONES, classes_of
    from studio.train import train_bundle

    recipe = RECIPES["wave-lstm"]
    settings = recipe.settings | {"sample_rate": RATE, "classes": classes_of(TONES)}
    dataset = gather(corpus_names=[TONES], tokenizer=WaveTokenizer(**settings))
    floors = measure_floors(dataset)
    plan = Plan(**{**recipe.plan, "minutes": minutes, "seed": SEED})

    def told(progress, event):
        if event == "checked":
            watch(f"step {progress.step}: {progress.history[-1]['held_out']:.3f} nats")

    with tempfile.TemporaryDirectory() as folder:
        bundle, _ = train_bundle(
            dataset,
            "wave-lstm",
            plan,
            Path(folder, "tones.bundle"),
            sources=["tones that Etude synthesises"],
            command="etude bench tones",
            floors=floors,
            watch=told,
        )
    return bundle

"""Sound from a model of samples: asked for by length and class, told in full."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import etude

from audio_models import MODELS
from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.network import first_values
from data_pipelines.audio import Waveform, audio_bytes, write_audio
from data_pipelines.guard import read_file
from data_pipelines.tokenizers.wave import WaveTokenizer
from studio.sounds import SoundWish, compose_sound, continue_sound

RATE = 4000


def untrained(classes=(), bits=8, model="frames", seed=0):
    """A bundle of sounds that has learnt nothing."""
    tokenizer = WaveTokenizer(RATE, bits=bits, classes=classes)
    sizes = {"num_classes": len(classes), "hidden_dim": 8}
    sizes |= {
        "frames": {"sample_dim": 8, "frame": 4, "window": 4},
        "dilated": {"num_layers": 3, "cycle": 3, "skip_dim": 8},
        "state-space": {"num_layers": 2, "window": 4, "skip_dim": 8},
    }[model]
    architecture = MODELS[model](vocab_size=tokenizer.vocab_size, **sizes)
    weights = {
        name: first_values(weight, [seed, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    facts = {
        "recipe": "wave-lstm",
        "held_out": {"unit": "sample", "is_held_out": True},
        "notes": 1,
        "sources": [],
    }
    sample = audio_bytes(np.zeros((8, 1), np.float32), RATE)
    return Bundle(architecture, weights, tokenizer.spec(), facts, "card", sample)


@pytest.mark.parametrize("model", ["frames", "dilated", "state-space"])
@pytest.mark.parametrize("bits", [8, 16])
def test_so_many_seconds_are_so_many_samples(model, bits):
    bundle = untrained(model=model, bits=bits)
    made = compose_sound(bundle, SoundWish(seconds=0.1, seed=3))
    assert len(made.waveform) == RATE // 10
    assert made.waveform.sample_rate == RATE
    # Nothing was learnt: each token is worth about what chance gives it.
    chance = np.log2(bundle.architecture.vocab_size) * (bits // 8)
    assert abs(made.bits_per_sample - chance) < 1.0


def test_the_same_wish_gives_the_same_samples_and_another_seed_others():
    bundle = untrained()
    first, again, other = (
        compose_sound(bundle, SoundWish(seconds=0.05, seed=seed)).waveform.samples
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_sound_that_ends_early_is_followed_by_others_until_the_time_is_full():
    bundle = untrained(classes=("kick", "snare"))
    bias = bundle.weights["head.bias"].copy()
    bias[2] = 6.0  # the end is likely everywhere
    bundle = replace(bundle, weights={**bundle.weights, "head.bias": bias})
    made = compose_sound(bundle, SoundWish(seconds=0.05, seed=0))
    assert len(made.waveform) == RATE // 20
    assert len(made.labels) > 3 and set(made.labels) == {"kick", "snare"}
    only = compose_sound(bundle, SoundWish(seconds=0.05, seed=0, label="kick"))
    assert set(only.labels) == {"kick"}
    assert len(compose_sound(bundle, SoundWish(seed=0)).labels) == 1


def test_a_class_that_is_none_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="called 'gong'"):
        compose_sound(untrained(classes=("kick", "snare")), SoundWish(label="gong"))
    with pytest.raises(ValueError, match="The model knows none"):
        compose_sound(untrained(), SoundWish(label="kick"))
    with pytest.raises(ValueError, match="`seconds` must be in"):
        compose_sound(untrained(), SoundWish(seconds=1e9))


@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_what_is_given_stays_sample_for_sample_at_its_rate_and_on_its_channels(classes):
    rng = np.random.default_rng(0)
    given = Waveform(rng.uniform(-0.5, 0.5, (900, 2)).astype(np.float32), 11_025)
    wish = SoundWish(seconds=0.1, seed=1)
    made = continue_sound(untrained(classes=classes), given, wish)
    assert made.waveform.sample_rate == 11_025
    assert np.array_equal(made.waveform.samples[:900], given.samples)
    added = made.waveform.samples[900:]
    assert abs(len(added) - 1102.5) <= 3 and added.shape[1] == 2
    assert np.array_equal(added[:, 0], added[:, 1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    save_bundle(folder / "noise.bundle", untrained(classes=("kick", "snare")))
    at = np.arange(4410) / 44_100
    tone = (0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
    write_audio(folder / "hit.wav", np.stack([tone, tone], 1), 44_100)
    (folder / "not.wav").write_text("this is a text, whatever its name says\n")
    return folder


def test_a_bundle_of_sounds_carries_a_sample_to_hear(folder):
    bundle = load_bundle(folder / "noise.bundle")
    assert (folder / "noise.bundle" / "sample.wav").read_bytes() == bundle.sample
    assert not (folder / "noise.bundle" / "sample.mid").exists()


def test_compose_writes_sound_and_picture_and_says_how_to_have_it_again(folder):
    model = folder / "noise.bundle"
    command = (
        "compose",
        "-m",
        model,
        "--seconds",
        0.25,
        "--class",
        "kick",
        "--seed",
        5,
    )
    outputs = ("-o", folder / "a.wav", "-o", folder / "a.png")
    told = etude(*command, *outputs, "--json")
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["classes"] and set(facts["classes"]) == {"kick"}
    assert facts["seconds"] == 0.25 and facts["sample_rate"] == RATE
    assert len(read_file(folder / "a.wav", kind="wave").contents[0]) == RATE // 4
    assert (folder / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert "--class kick" in facts["command"] and "--seed 5" in facts["command"]
    again = etude(*command, "-o", folder / "b.wav")
    assert again.returncode == 0
    assert (folder / "a.wav").read_bytes() == (folder / "b.wav").read_bytes()


def test_continue_goes_on_with_a_sound(folder):
    arguments = (
        "-m",
        folder / "noise.bundle",
        "--seconds",
        0.2,
        "-o",
        folder / "c.wav",
    )
    told = etude("continue", folder / "hit.wav", *arguments, "--json")
    assert told.returncode == 0, told.stderr
    facts = json.loads(told.stdout)
    assert facts["begins_seconds"] == 0.1
    whole = read_file(folder / "c.wav", kind="wave").contents[0]
    before = read_file(folder / "hit.wav", kind="wave").contents[0]
    assert np.array_equal(whole.samples[: len(before)], before.samples)
    assert abs(len(whole) / 44_100 - 0.3) < 0.001


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("compose", "--bars", "4"), 2, "--bars means nothing to noise, a model of"),
        (("compose", "--key", "D"), 2, "--key means nothing"),
        (("compose", "--class", "gong"), 2, "Known: kick, snare."),
        (("compose", "--seconds", "0"), 2, "`seconds` must be in 0.01..240"),
        (("compose", "--count", "0"), 2, "`count` must be in 1..64"),
        (("compose", "--rank"), 2, "--rank means nothing"),
        (("compose", "-o", "x.mid"), 2, "must be one of .wav .flac .png"),
        (("continue", "missing.wav"), 2, "missing.wav"),
    ],
)
def test_what_cannot_be_is_one_sentence(folder, arguments, status, told):
    done = etude(*arguments, "-m", folder / "noise.bundle", cwd=folder)
    assert done.returncode == status
    assert told in done.stderr and "Traceback" not in done.stderr


def test_a_text_with_the_name_of_a_sound_is_refused_as_what_it_is(folder):
    done = etude("continue", folder / "not.wav", "-m", folder / "noise.bundle")
    assert done.returncode in (2, 3)
    assert "not.wav" in done.stderr and "Traceback" not in done.stderr


def test_models_of_notes_and_of_sounds_are_told_apart(folder):
    done = etude("continue", folder / "hit.wav", "-m", "folk")
    assert done.returncode == 2 and "folk writes notes" in done.stderr
    done = etude("compose", "-m", "folk", "--class", "kick", cwd=folder)
    assert done.returncode == 2 and "--class means nothing to folk" in done.stderr

"""A folder of sounds, good and bad, and of models that have learnt nothing."""

import numpy as np
import pytest
import soundfile
from bad_sound import flac, sine, sine_16, wav
from conftest import tune
from test_separate import a_bundle

from audio_models import MODELS
from audio_models.bundle import Bundle, save_bundle
from audio_models.classify import BiLSTMClassifier
from data_pipelines.audio import audio_bytes
from data_pipelines.features import LogMel
from data_pipelines.midi import midi_bytes
from data_pipelines.tokenizers.wave import WaveTokenizer
from studio.cli import run

RATE = 1000  # Hz that the untrained models write: a second is a thousand steps
SEED = ("--seed", 1)
COMPOSE = ("compose", "-m", "noise.bundle")
CONTINUE = ("continue", "tone.wav", "-m", "noise.bundle")


def drawn_weights(architecture):
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(0, 1 / np.sqrt(weight.shape[0]), weight.shape).astype("f4")
        for name, weight in architecture.weights().items()
    }


def sound_bundle(folder, classes=(), rate=RATE, bits=8):
    """A bundle of sounds that has learnt nothing, made without Keras."""
    tokenizer = WaveTokenizer(rate, bits=bits, classes=classes)
    architecture = MODELS["frames"](
        vocab_size=tokenizer.vocab_size,
        num_classes=len(classes),
        hidden_dim=8,
        sample_dim=8,
        frame=4,
        window=4,
    )
    facts = {"recipe": "wave-lstm", "notes": 1, "sources": []}
    facts["held_out"] = {"unit": "sample", "is_held_out": True}
    sample = audio_bytes(np.zeros((8, 1), np.float32), rate)
    weights = drawn_weights(architecture)
    bundle = Bundle(architecture, weights, tokenizer.spec(), facts, "card", sample)
    save_bundle(folder, bundle)
    return folder


def classifier(folder):
    architecture = BiLSTMClassifier(3, num_bands=8, embedding_dim=4, hidden_dim=4)
    features = LogMel(8000, 256, 128, 8, 8).spec()
    vocabulary = {"kind": "classes", "classes": ["a", "b", "c"], "features": features}
    save_bundle(folder, Bundle(architecture, drawn_weights(architecture), vocabulary))


def unusable():
    """name -> (bytes, words that say why it cannot be used)."""
    tone, floats = sine_16(400), sine(400).astype("<f4")
    floats[200] = np.nan
    return {
        "nan.wav": (wav(floats.tobytes(), bits=32, code=3), "not finite"),
        "one hertz.wav": (wav(tone, rate=1), "a sample rate of 1 Hz; 1,000 to 384,000"),
        "wide.wav": (wav(tone, channels=33), "33 channels, at most 32"),
        "header.wav": (wav(b""), "no sample"),
        "cut.wav": (wav(tone)[:25], "damaged"),
        "silence.wav": (wav(bytes(800)), "silence"),
        "bomb.flac": (flac(3000, channels=8), "at most 67,108,864 are read"),
        "day.flac": (flac(58_200), "hours, at most 2 are read"),
        "empty.wav": (b"", "empty file"),
        "text.wav": (b"this is a text, whatever its name says\n", "text"),
        "music.wav": (midi_bytes(tune([60, 64, 67])), "midi"),
        "noise.ogg": (b"OggS\0\2" + bytes(range(256)), "damaged"),
    }


def usable(folder):
    """Write sounds that are legal, however odd; their names."""
    tone = sine_16(400)
    square = np.where(sine(400) > 0, 32_767, -32_768)
    floats = sine(400).astype("<f4")
    made = {
        "tone.wav": wav(tone),
        "8 bits.wav": wav((128 + 90 * sine(400)).astype("u1").tobytes(), bits=8),
        "floats.wav": wav(floats.tobytes(), bits=32, code=3),
        "loud.wav": wav((8 * floats).tobytes(), bits=32, code=3),
        "one sample.wav": wav(b"\0\x20", rate=1000),
        "offset.wav": wav(np.full(400, 9000, "<i2").tobytes()),
        "clipped.wav": wav(square.astype("<i2").tobytes()),
        "32 channels.wav": wav(sine_16(32 * 400), channels=32),
        "192 kHz.wav": wav(tone * 6, rate=192_000),
        "lies.wav": wav(tone, size=8 * len(tone)),
        "bogus size.wav": wav(tone, size=2**31),
        "wrong suffix.mid": wav(tone),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    samples = sine(4000)[:, None]
    forms = {"24 bits.wav": "PCM_24", "telephone.wav": "ULAW", "24 bits.flac": "PCM_24"}
    for name, subtype in forms.items():
        soundfile.write(folder / name, samples[:400], 8000, subtype=subtype)
    soundfile.write(folder / "tone.ogg", samples, 44_100)
    stereo = np.concatenate([samples, -samples], axis=1)
    soundfile.write(folder / "out of phase.wav", stereo, 44_100)
    return [*made, *forms, "tone.ogg", "out of phase.wav"]


# The names are needed before there is a folder.
GOOD = (
    "tone.wav", "8 bits.wav", "floats.wav", "loud.wav", "one sample.wav", "offset.wav",
    "clipped.wav", "32 channels.wav", "192 kHz.wav", "lies.wav", "bogus size.wav",
    "wrong suffix.mid", "24 bits.wav", "telephone.wav", "24 bits.flac", "tone.ogg",
    "out of phase.wav",
)  # fmt: skip


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A folder of sounds, good and bad, and of models that have learnt nothing."""
    folder = tmp_path_factory.mktemp("stocked")
    assert tuple(usable(folder)) == GOOD
    for name, (data, _) in unusable().items():
        (folder / name).write_bytes(data)
    (folder / "song.mid").write_bytes(midi_bytes(tune([60, 64, 67, 72] * 4)))
    for name in ("void", "alone", "scores", "mixed"):
        (folder / name).mkdir()
    (folder / "alone" / "tone.wav").write_bytes(wav(sine_16(400)))
    (folder / "scores" / "song.mid").write_bytes((folder / "song.mid").read_bytes())
    for name in ("tone.wav", "floats.wav", "clipped.wav", *unusable()):
        (folder / "mixed" / name).write_bytes((folder / name).read_bytes())
    sound_bundle(folder / "noise.bundle", classes=("kick", "snare"))
    sound_bundle(folder / "plain.bundle")
    a_bundle(folder / "parts.separator")
    classifier(folder / "told.classifier")
    return folder


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def stock(stocked, monkeypatch):
    """Where each test works; not a byte may have changed after it."""
    monkeypatch.chdir(stocked)
    before = contents(stocked)
    yield stocked
    assert contents(stocked) == before


def told(capsys, *arguments):
    """(status, stdout, stderr) of a command."""
    capsys.readouterr()
    status = run([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


def done(capsys, *arguments):
    """What a command prints that does what it should."""
    status, out, err = told(capsys, *arguments)
    assert status == 0, err
    return out


def assert_refused(capsys, status, arguments, *words):
    """One line on stderr with these words, nothing on stdout, that exit status."""
    got, out, err = told(capsys, *arguments)
    assert (got, out) == (status, ""), (got, out, err)
    (line,) = err.splitlines()
    assert line.startswith("etude: ") and "Traceback" not in line
    for word in words:
        assert str(word) in line, line

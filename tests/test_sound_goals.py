"""The commands of sound in hurried and hostile hands: one line, the right status,
and whatever was there before is there after.
"""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_sound import flac, sine, sine_16, wav
from conftest import tune
from test_separate import a_bundle

from audio_models import MODELS
from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.classify import BiLSTMClassifier
from data_pipelines.audio import audio_bytes, read_waveform, write_audio
from data_pipelines.features import LogMel
from data_pipelines.midi import midi_bytes
from data_pipelines.tokenizers.wave import WaveTokenizer
from studio.cli import run

RATE = 1000  # Hz that the untrained models write: a second is a thousand steps
SEED = ("--seed", 1)


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


# Files that hold nothing to use


@pytest.mark.parametrize("name", unusable())
def test_what_cannot_be_used_is_named_with_its_reason_and_nothing_is_written(
    name, tmp_path, capsys
):
    _, why = unusable()[name]
    separate = ("separate", name, "-m", "parts.separator", "-o", tmp_path / "stems")
    assert_refused(capsys, 3, separate, name, why)
    if not name.startswith("noise"):  # bytes after a true name: "damaged" suffices
        assert_refused(
            capsys, 3, ("classify", name, "-m", "told.classifier"), name, why
        )
    if name not in ("text.wav", "music.wav"):  # as notes, these two are something
        going_on = ("continue", name, "-m", "plain.bundle", "-o", tmp_path / "a.wav")
        assert_refused(capsys, 3, going_on, name, why)
    assert not list(tmp_path.iterdir())


def test_a_reason_that_ends_in_a_stop_gets_no_second_one(capsys):
    _, _, err = told(capsys, "continue", "cut.wav", "-m", "plain.bundle")
    assert err.endswith("'data' chunk marker.\n")


def test_a_folder_is_prepared_from_its_good_sounds_each_other_told_by_name(
    tmp_path, capsys
):
    output = tmp_path / "mixed.dataset"
    out = done(capsys, "prepare", "mixed", "-t", "wave", "-o", output, "--json")
    found = json.loads(out)["found"]
    bad = unusable()
    assert (found["files"], found["used"], found["refused"]) == (
        len(bad) + 3,
        3,
        len(bad),
    )
    rows = [json.loads(row) for row in (output / "report.jsonl").open()]
    refused = {row["path"] for row in rows if row["status"] == "refused"}
    assert refused == set(bad)


def test_a_folder_is_inspected_as_sound(tmp_path, capsys):
    report = tmp_path / "report.jsonl"
    asked = ("inspect", "mixed", "-t", "wave", "--report", report)
    facts = json.loads(done(capsys, *asked, "--json"))
    assert (facts["used"], facts["refused"]) == (3, len(unusable()))
    assert facts["tokenizer"] == "wave" and facts["report"] == str(report)
    assert len(report.read_text().splitlines()) == len(unusable()) + 3


def test_a_folder_is_told_sound_by_sound_and_what_is_none_is_said(capsys):
    rows = json.loads(
        done(capsys, "classify", "mixed", "-m", "told.classifier", "--json")
    )
    heard = {Path(row["file"]).name for row in rows if "class" in row}
    assert heard == {"tone.wav", "floats.wav", "clipped.wav"}
    refused = {Path(row["file"]).name: row["refused"] for row in rows[len(heard) :]}
    assert set(refused) == set(unusable())
    assert all(name in sentence for name, sentence in refused.items())
    for row in rows[: len(heard)]:
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("prepare", "void", "-t", "wave"), ("void", "no file in it", ".wav .flac")),
        (("prepare", "scores", "-t", "wave"), ("scores", "1 other kind", ".wav .flac")),
        (("inspect", "void", "-t", "wave", "--report"), ("void", "no file in it")),
        (("train", "void", "--recipe", "wave-lstm"), ("void", "no file", ".wav .flac")),
        (("train", "scores", "--recipe", "wave-conv"), ("scores", "1 other kind")),
        (("classify", "void"), ("void", "two classes or more", "Found: 0 files")),
        (("classify", "alone"), ("alone", "two classes or more", "Found: 1 file")),
        (("classify", "scores"), ("scores", "two classes or more", "Found: 1 file")),
    ],
)
def test_a_folder_without_enough_sound_says_what_it_wants(
    arguments, words, tmp_path, capsys
):
    output = () if arguments[-1] == "--report" else ("-o",)
    assert_refused(capsys, 3, (*arguments, *output, tmp_path / "made"), *words)
    told_none = ("classify", arguments[1], "-m", "told.classifier")
    if arguments[0] == "classify" and arguments[1] != "alone":
        assert_refused(capsys, 3, told_none, arguments[1])
    assert not (tmp_path / "made").is_dir()


# Files that are odd, and legal


@pytest.mark.parametrize("name", GOOD)
def test_what_is_given_stays_sample_for_sample_whatever_form_it_came_in(
    name, tmp_path, capsys
):
    output = tmp_path / "longer.wav"
    asked = ("continue", name, "-m", "plain.bundle", "--seconds", 0.02, *SEED)
    facts = json.loads(done(capsys, *asked, "-o", output, "--json"))
    before, after = read_waveform(name), read_waveform(output)
    assert after.sample_rate == before.sample_rate
    assert np.array_equal(after.samples[: len(before)], before.samples)
    added = len(after) - len(before)
    assert added / after.sample_rate == pytest.approx(0.02, abs=2 / RATE)
    assert facts["begins_seconds"] == round(before.seconds, 4)
    again = tmp_path / "again.wav"
    done(capsys, *asked, "-o", again)
    assert again.read_bytes() == output.read_bytes()


@pytest.mark.parametrize("name", GOOD)
def test_odd_sounds_are_parted_and_told_or_are_too_short_for_it(name, tmp_path, capsys):
    asked = ("separate", name, "-m", "parts.separator", "-o", tmp_path)
    classify = ("classify", name, "-m", "told.classifier")
    if name == "one sample.wav":
        assert_refused(capsys, 3, asked, name, "0.001 s", "0.004 s at least")
        assert told(capsys, *classify)[0] in (0, 3)
        return
    facts = json.loads(done(capsys, *asked, "--json"))
    mixture = read_waveform(name)
    parts = [soundfile.read(p, dtype="float32", always_2d=True) for p in facts["files"]]
    assert all(rate == mixture.sample_rate for _, rate in parts)
    whole = sum(part for part, _ in parts)
    np.testing.assert_allclose(whole, mixture.samples, atol=1e-4)
    status, out, err = told(capsys, *classify, "--json")
    assert status in (0, 3)  # a spectrum may be empty: an offset is no sound
    if status == 0:
        assert json.loads(out)[0]["class"] in ("a", "b", "c")
    else:
        assert f"{name}: silence." in err


def test_a_header_that_lies_is_told(tmp_path, capsys):
    asked = ("-m", "plain.bundle", "--seconds", 0.02, "-o", tmp_path / "a.wav", *SEED)
    why = "ends after 0.1 of 0.4 s that its header promises"
    out = done(capsys, "continue", "lies.wav", *asked)
    assert f"lies.wav: {why}." in out
    facts = json.loads(done(capsys, "continue", "lies.wav", *asked, "--json"))
    assert facts["left_out"] == [why]
    parted = ("separate", "lies.wav", "-m", "parts.separator", "-o", tmp_path / "s")
    assert why in done(capsys, *parted)


def test_a_flac_keeps_24_bits_and_refuses_what_it_cannot_hold(tmp_path, capsys):
    flac_file = tmp_path / "a.flac"
    asked = ("-m", "plain.bundle", "--seconds", 0.02, "-o", flac_file, *SEED)
    done(capsys, "continue", "24 bits.flac", *asked)
    before, after = read_waveform("24 bits.flac"), read_waveform(flac_file)
    assert np.array_equal(after.samples[: len(before)], before.samples)
    flac_file.unlink()
    loud = ("continue", "loud.wav", *asked)
    assert_refused(capsys, 2, loud, "a.flac", "peak of 4.00", "Name a .wav")
    wide = ("continue", "32 channels.wav", *asked)
    assert_refused(capsys, 2, wide, "a.flac", "at most 8 channels", "32", "Name a .wav")
    assert not flac_file.exists()


def test_a_sound_too_short_for_the_rate_of_a_model_is_named(tmp_path, capsys):
    short = tmp_path / "short.wav"
    short.write_bytes(wav(b"\0\x20", rate=192_000))
    asked = ("continue", short, "-m", "plain.bundle", "-o", tmp_path / "a.wav")
    assert_refused(capsys, 3, asked, short, "1 at 192,000 Hz make none at 1,000 Hz")


def test_of_a_long_sound_the_end_is_heard_and_all_of_it_kept(tmp_path, capsys):
    rng = np.random.default_rng(0)
    end = rng.uniform(-0.5, 0.5, (2 * RATE, 1)).astype("f4")
    begins = (np.zeros((0, 1), "f4"), rng.uniform(-1, 1, (60 * RATE, 1)).astype("f4"))
    added = []
    for begin in begins:
        write_audio(tmp_path / "a.wav", np.concatenate([begin, end]), RATE)
        asked = (
            "continue",
            tmp_path / "a.wav",
            "-m",
            "noise.bundle",
            "--class",
            "kick",
        )
        output = tmp_path / "b.wav"
        done(capsys, *asked, "--seconds", 0.1, *SEED, "-o", output)
        given, whole = read_waveform(tmp_path / "a.wav"), read_waveform(output)
        assert np.array_equal(whole.samples[: len(given)], given.samples)
        added.append(whole.samples[len(given) :])
    assert len(added[0]) == 100 and np.array_equal(*added)


# Wishes that cannot be

COMPOSE = ("compose", "-m", "noise.bundle")
CONTINUE = ("continue", "tone.wav", "-m", "noise.bundle")
TRAIN = ("train", "alone", "--recipe", "wave-lstm")
SECONDS = ("`seconds` must be in 0.01..240",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(
            ((*command, "--seconds", value), (*SECONDS, f"Received: {float(value)}"))
            for command in (COMPOSE, CONTINUE)
            for value in ("0", "-1", "1e9", "nan", "inf")
        ),
        ((*COMPOSE, "--seconds", "soon"), ("--seconds", "number")),
        ((*COMPOSE, "--class", "gong"), ("'gong'", "Known: kick, snare.")),
        ((*COMPOSE, "--class", ""), ("''", "Known: kick, snare.")),
        ((*CONTINUE, "--class", "gong"), ("'gong'", "Known: kick, snare.")),
        (
            ("compose", "-m", "plain.bundle", "--class", "kick"),
            ("'kick'", "The model knows none."),
        ),
        ((*COMPOSE, "--temperature", "nan"), ("`temperature`", "0..10", "nan")),
        ((*COMPOSE, "--top-p", "1.5"), ("`top_p` must be in (0, 1]", "1.5")),
        ((*COMPOSE, "--top-k", "0"), ("`top_k`", "Received: 0")),
        ((*COMPOSE, "--min-p", "2"), ("`min_p` must be in 0..1", "2.0")),
        ((*COMPOSE, "--seed", "-1"), ("`seed`", "Received: -1")),
        ((*COMPOSE, "--count", "65"), ("`count` must be in 1..64", "65")),
        ((*COMPOSE, "--count", "-1"), ("`count` must be in 1..64", "-1")),
        ((*COMPOSE, "--count", "2", "--seed", 2**63 - 1), ("`seed`", 2**63)),
        ((*COMPOSE, "--rank"), ("--rank means nothing", "noise")),
        ((*COMPOSE, "--range", "C4:A5"), ("--range means nothing", "--seconds")),
        ((*COMPOSE, "--repetition", "2"), ("--repetition means nothing", "noise")),
        ((*CONTINUE, "--bars", "3"), ("--bars means nothing", "--seconds")),
        ((*CONTINUE, "--tempo", "90"), ("--tempo means nothing", "--seconds")),
        ((*TRAIN, "--sample-rate", "7"), ("`sample_rate`", "1,000..384,000 Hz", "7")),
        ((*TRAIN, "--sample-rate", "high"), ("--sample-rate", "integer")),
        ((*TRAIN, "--bits", "12"), ("`bits` must be 8 or 16", "12")),
        ((*TRAIN, "--minutes", "nan"), ("`minutes`", "nan")),
        ((*TRAIN, "--resume"), ("run", "resume")),
        (("train", "alone", "--sample-rate", "8000"), ("--sample-rate", "wave-lstm")),
        (("train", "alone", "--bits", "8"), ("--bits", "wave-lstm, wave-conv")),
        (("train", "alone", "--no-classes"), ("--no-classes", "wave-lstm")),
        (("train", "nowhere", "--recipe", "wave-lstm"), ("nowhere",)),
        (("classify", "alone", "--kind", "svm"), ("'svm'", "vit, bilstm")),
        (("classify", "alone", "--epochs", "0"), ("`epochs`", "1..10000", "0")),
        (("classify", "alone", "--minutes", "nan"), ("`minutes`", "nan")),
        (("classify", "tone.wav"), ("tone.wav", "--model")),
        (("classify", "nowhere"), ("nowhere",)),
        (("prepare", "alone", "-t", "waves"), ("'waves'", "wave")),
        (("prepare", "nowhere", "-t", "wave"), ("nowhere",)),
        (("separate", "nowhere.wav"), ("nowhere.wav",)),
        (("continue", "nowhere.wav"), ("nowhere.wav",)),
        (("continue", "song.mid", "--class", "kick"), ("--class", "song.mid")),
    ],
    ids=lambda part: " ".join(map(str, part)),
)
def test_a_wish_that_cannot_be_is_one_line_with_what_is_allowed(
    arguments, words, tmp_path, capsys
):
    output = {"compose": "a.wav", "continue": "a.wav"}.get(arguments[0], "made")
    assert_refused(capsys, 2, (*arguments, "-o", tmp_path / output), *words)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".run"]


def test_options_of_learning_are_refused_where_a_classifier_tells(tmp_path, capsys):
    tell = ("classify", "tone.wav", "-m", "told.classifier")
    for option, value in (
        ("output", tmp_path / "x"),
        ("epochs", 3),
        ("split", "given"),
    ):
        asked = (*tell, f"--{option}", value)
        assert_refused(capsys, 2, asked, f"--{option}", "told.classifier")


def test_as_long_as_a_model_can_write_is_what_it_says(tmp_path, capsys):
    # 2^23 tokens are the most, two of them make a sample of 16 bits.
    sound_bundle(tmp_path / "fine.bundle", rate=384_000, bits=16)
    asked = ("compose", "-m", tmp_path / "fine.bundle", "--seconds", 11)
    assert_refused(capsys, 2, asked, "`seconds` must be in 0.01..10. Received: 11.0")


def test_of_many_classes_a_dozen_is_named(tmp_path, capsys):
    classes = tuple(f"sound{number:03d}" for number in range(300))
    sound_bundle(tmp_path / "many.bundle", classes=classes)
    asked = ("compose", "-m", tmp_path / "many.bundle", "--class", "gong")
    assert_refused(capsys, 2, asked, "sound000, sound001", "sound011 and 288 more.")


# One kind of thing in the place of another


@pytest.mark.parametrize(
    ("status", "arguments", "words"),
    [
        (2, ("infill", "song.mid", "--bars", "1:2", "-m", "noise.bundle"), "of sounds"),
        (2, ("harmonize", "song.mid", "-m", "noise.bundle"), "of sounds"),
        (2, ("score", "song.mid", "-m", "noise.bundle"), "of sounds"),
        (2, ("evaluate", "noise.bundle"), "of sounds"),
        (2, ("continue", "song.mid", "-m", "noise.bundle"), "of sounds"),
        (2, ("continue", "tone.wav", "-m", "folk"), "folk writes notes, and tone.wav"),
        (2, ("compose", "-m", "folk", "--class", "kick"), "--class means nothing"),
        (2, ("continue", "tone.wav", "-m", "nowhere"), "'nowhere'"),
        (2, ("continue", "tone.wav", "-m", "tone.wav"), "'tone.wav'"),
        (2, ("continue", "void"), "void is a folder"),
        (3, ("continue", "tone.wav", "-m", "parts.separator"), "parts.separator"),
        (3, ("continue", "tone.wav", "-m", "void"), "void"),
        (3, ("compose", "-m", "told.classifier"), "told.classifier"),
        (3, ("separate", "tone.wav", "-m", "noise.bundle"), "'frames'"),
        (3, ("separate", "tone.wav", "-m", "told.classifier"), "separates nothing"),
        (2, ("separate", "tone.wav", "-m", "tone.wav"), "no separator at tone.wav"),
        (3, ("separate", "void", "-m", "parts.separator"), "void"),
        (3, ("classify", "tone.wav", "-m", "noise.bundle"), "tells no classes"),
        (3, ("classify", "tone.wav", "-m", "parts.separator"), "tells no classes"),
        (2, ("classify", "tone.wav", "-m", "tone.wav"), "'tone.wav'"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else None,
)
def test_one_kind_in_the_place_of_another_is_told_as_what_it_is(
    status, arguments, words, capsys
):
    assert_refused(capsys, status, arguments, words)


# Where results go


@pytest.mark.parametrize("command", [COMPOSE, CONTINUE], ids=["compose", "continue"])
def test_an_output_that_cannot_be_is_refused_before_any_work(command, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    for name in ("a.mid", "a.mp3", "a.ogg", "a"):
        asked = (*command, "-o", tmp_path / name)
        assert_refused(capsys, 2, asked, name, "must be one of .wav .flac .png")
    below = (*command, "-o", tmp_path / "file" / "a.wav")
    assert_refused(capsys, 4, below, tmp_path / "file")
    (tmp_path / "folder.wav").mkdir()
    asked = (*command, "-o", tmp_path / "folder.wav")
    assert_refused(capsys, 2, asked, "folder.wav is a folder; name a file")
    second = ("-o", tmp_path / "good.wav", "-o", tmp_path / "bad.mid")
    assert_refused(capsys, 2, (*command, *second), "bad.mid")
    assert not (tmp_path / "good.wav").exists()
    assert (tmp_path / "file").read_text() == "in the way"


def test_what_is_read_is_not_written_over(stock, tmp_path, capsys):
    for path in ("tone.wav", "./tone.wav", stock / "void" / ".." / "tone.wav"):
        assert_refused(capsys, 2, (*CONTINUE, "-o", path), "tone.wav is the file to")
    (tmp_path / "link.wav").symlink_to(stock / "tone.wav")
    asked = (*CONTINUE, "-o", tmp_path / "link.wav")
    assert_refused(capsys, 2, asked, "is the file to continue")
    mix = tmp_path / "drums.wav"
    mix.write_bytes(wav(sine_16(400)))
    parted = ("separate", mix, "-m", "parts.separator", "-o", tmp_path)
    assert_refused(capsys, 2, parted, mix, "would be overwritten")
    assert mix.read_bytes() == wav(sine_16(400))


def test_a_folder_or_a_bundle_is_not_put_where_a_file_stands(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way")
    parted = ("separate", "tone.wav", "-m", "parts.separator", "-o")
    assert_refused(capsys, 2, (*parted, file), f"{file} is a file")
    assert_refused(capsys, 4, (*parted, file / "stems"), file)
    assert_refused(capsys, 2, ("classify", "alone", "-o", file), f"{file} is a file")
    assert_refused(capsys, 4, ("classify", "alone", "-o", file / "x" / "y"), file)
    assert_refused(capsys, 4, ("train", "alone", "-o", file / "x.bundle"), file)
    prepare = ("prepare", "alone", "-t", "wave", "-o", file / "x.dataset")
    assert_refused(capsys, 4, prepare, file)
    assert file.read_text() == "in the way"


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root, or Windows, may write anywhere"
)
def test_a_read_only_folder_is_one_clear_line(tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert_refused(capsys, 4, (*COMPOSE, "-o", locked / "a.wav"), locked)
    parted = ("separate", "tone.wav", "-m", "parts.separator", "-o", locked)
    assert_refused(capsys, 4, parted, locked)


# What is printed and written


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(tmp_path, capsys):
    made = {}
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        outputs = [tmp_path / f"{name}.wav", tmp_path / f"{name}.flac"]
        words = [word for path in outputs for word in ("-o", path)]
        done(capsys, *COMPOSE, "--seconds", 0.2, "--seed", seed, *words)
        made[name] = [path.read_bytes() for path in outputs]
    assert made["a"] == made["b"]
    assert all(x != y for x, y in zip(made["a"], made["c"], strict=True))
    wave, packed = (read_waveform(tmp_path / f"a.{form}") for form in ("wav", "flac"))
    assert len(wave) == 200
    # The two are rounded by encoders of their own.
    np.testing.assert_allclose(wave.samples, packed.samples, atol=1.001 * 2**-15)


def test_several_sounds_are_those_of_their_seeds_one_by_one(tmp_path, capsys):
    asked = (*COMPOSE, "--seconds", 0.05, "--class", "snare")
    out = done(
        capsys, *asked, "--seed", 3, "--count", 2, "-o", tmp_path / "s.wav", "--json"
    )
    told_all = json.loads(out)["sounds"]
    assert [row["seed"] for row in told_all] == [3, 4]
    for row in told_all:
        alone = tmp_path / "alone.wav"
        done(capsys, *asked, "--seed", row["seed"], "-o", alone)
        (file,) = row["files"]
        assert Path(file).read_bytes() == alone.read_bytes()
        assert set(row["classes"]) == {"snare"} and row["seconds"] == 0.05


def test_the_command_that_is_told_makes_it_again_whatever_the_names_hold(
    tmp_path, capsys
):
    import shlex

    hit = tmp_path / "my hit; and 'more'.wav"
    hit.write_bytes(wav(sine_16(400)))
    asked = ("continue", hit, "-m", "noise.bundle", "--seconds", 0.02, "--json")
    facts = json.loads(done(capsys, *asked, "-o", tmp_path / "a.wav"))
    words = shlex.split(facts["command"])
    assert words[:3] == ["etude", "continue", str(hit)]
    done(capsys, *words[1:], "-o", tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_sound_of_nothing_but_full_scale_is_diagnosed(tmp_path, capsys):
    folder = sound_bundle(tmp_path / "clips.bundle")
    bundle = load_bundle(folder)
    bias = np.zeros_like(bundle.weights["head.bias"])
    bias[-1] = 1e3  # the last sample is the loudest
    weights = {**bundle.weights, "head.bias": bias}
    tokenizer = WaveTokenizer(RATE).spec()
    loud = Bundle(
        bundle.architecture, weights, tokenizer, bundle.facts, "card", bundle.sample
    )
    save_bundle(folder, loud)
    asked = ("compose", "-m", folder, "--seconds", 0.2, *SEED)
    status, _, err = told(capsys, *asked, "-o", tmp_path / "a.wav")
    assert status == 0
    assert "etude: warning: It is clipped: 100% of its samples" in err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("compose", "--model --seconds --class --seed --count --output --json"),
        ("continue", "--model --seconds --class --seed --output --json"),
        ("separate", "--output --model --json"),
        (
            "classify",
            "--model --output --kind --split --epochs --seed --picture --json",
        ),
        ("prepare", "--output --tokenizer --json wave"),
        ("inspect", "--report --tokenizer --json wave"),
        ("train", "--recipe --sample-rate --bits --no-classes wave-lstm wave-conv"),
    ],
)
def test_help_names_what_concerns_sound(command, options, capsys):
    out = done(capsys, command, "--help")
    assert f"Usage: etude {command}" in out
    for option in options.split():
        assert option in out.replace("-\n", "-"), option


@pytest.mark.slow
def test_sound_in_the_place_of_music_is_told_as_what_it_is(tmp_path, capsys):
    for command in (("listen", "tone.wav"), ("infill", "tone.wav", "--bars", "1:2")):
        asked = (*command, "-o", tmp_path / "a.mid")
        words = ("tone.wav: other kind: it is audio", "MIDI (.mid)")
        assert_refused(capsys, 3, asked, *words)
    assert not list(tmp_path.iterdir())

"""The commands of sound in hurried and hostile hands: one line, the right status,
and whatever was there before is there after.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bad_sound import sine_16, wav
from sound_stock import (
    COMPOSE,
    GOOD,
    RATE,
    SEED,
    assert_refused,
    done,
    sound_bundle,
    told,
    unusable,
)
from sound_stock import stock as stock
from sound_stock import stocked as stocked

from audio_models.bundle import Bundle, load_bundle, save_bundle
from data_pipelines.audio import read_waveform, write_audio
from data_pipelines.tokenizers.wave import WaveTokenizer

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
    assert np.array_equal(wave.samples, packed.samples)


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

"""Wishes of sound that cannot be: one line with what is allowed, before any work."""

import os
import stat

import pytest
from bad_sound import sine_16, wav
from sound_stock import COMPOSE, CONTINUE, assert_refused, done, sound_bundle
from sound_stock import stock as stock
from sound_stock import stocked as stocked

# Wishes that cannot be

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
        (
            ("prepare", "alone", "-t", "wave", "--sample-rate", "7"),
            ("`sample_rate`", "1,000..384,000 Hz", "7"),
        ),
        (("prepare", "alone", "-t", "wave", "--bits", "12"), ("`bits` must be 8 or",)),
        (("prepare", "alone", "--bits", "16"), ("--bits means nothing", "'melody'")),
        (("prepare", "alone", "--no-classes"), ("--no-classes means nothing",)),
        ((*CONTINUE, "--engine", "synth"), ("--engine", "tone.wav, a file of sound")),
        ((*CONTINUE, "--soundfont", "a.sf2"), ("--soundfont mean nothing", "tone.wav")),
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


# Where it is told


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("compose", "--model --seconds --class --seed --count --output --json"),
        ("continue", "--model --seconds --class --seed --output --json sound"),
        ("separate", "--output --model --json"),
        (
            "classify",
            "--model --output --kind --split --epochs --seed --picture --json",
        ),
        ("prepare", "--output --tokenizer --sample-rate --bits --no-classes wave"),
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

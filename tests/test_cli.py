"""The command line, as a hurried person meets it: real processes, real files."""

import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder, etude, tune
from test_bundle import small_bundle

from audio_models.bundle import save_bundle
from data_pipelines.midi import midi_bytes, read_midi, write_midi


@pytest.fixture
def bundle(tmp_path):
    save_bundle(tmp_path / "small.bundle", small_bundle())
    return tmp_path / "small.bundle"


@pytest.fixture
def midi_file(tmp_path):
    write_midi(tmp_path / "tune.mid", tune([60, 64, 67, 72] * 4))
    return tmp_path / "tune.mid"


def assert_one_line(done, status, *words):
    """One clear line on stderr, the right status, no traceback, nothing on stdout."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("etude: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert str(word) in lines[0], lines[0]


def test_help_names_every_command():
    done = etude("--help")
    assert done.returncode == 0
    for command in ("compose", "train", "listen", "inspect", "models", "bench"):
        assert command in done.stdout


@pytest.mark.parametrize(
    "command", ["compose", "train", "listen", "inspect", "models", "bench"]
)
def test_every_command_explains_itself(command):
    done = etude(command, "--help")
    assert done.returncode == 0
    assert "Usage: etude " + command in done.stdout


def test_version_is_told():
    assert etude("--version").stdout.startswith("etude 0.")


def test_without_output_names_a_piece_lands_in_out(bundle, tmp_path):
    done = etude("compose", "--model", bundle, "--seed", 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == ["small-4.mid", "small-4.png", "small-4.wav"]
    for said in (
        "out/small-4.wav",
        "Play it",
        "seed 4",
        "soundfont",
        "44100 Hz stereo",
    ):
        assert said in done.stdout


def test_same_seed_same_midi_bytes_in_fresh_processes(bundle, tmp_path):
    made = []
    for name in ("a.mid", "b.mid"):
        done = etude("compose", "-m", bundle, "--seed", 9, "-o", tmp_path / name)
        assert done.returncode == 0, done.stderr
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


def test_every_form_is_written_and_holds_what_it_should(bundle, tmp_path):
    import soundfile
    from PIL import Image

    names = ["a.mid", "a.wav", "a.flac", "a.png", "a.musicxml"]
    outputs = [part for name in names for part in ("-o", tmp_path / "deep" / name)]
    done = etude("compose", "-m", bundle, "--bars", 4, "--seed", 1, *outputs, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    score = read_midi(tmp_path / "deep" / "a.mid")
    assert len(score) == facts["notes"]
    for name in ("a.wav", "a.flac"):
        waveform, rate = soundfile.read(tmp_path / "deep" / name)
        assert rate == 44_100 and waveform.shape[1] == 2
        assert 0.05 < np.abs(waveform).max() <= 1
        assert len(waveform) / rate == pytest.approx(
            score.length_seconds + 1.5, abs=0.01
        )
    picture = np.asarray(Image.open(tmp_path / "deep" / "a.png"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    from music21 import converter

    parsed = converter.parse(tmp_path / "deep" / "a.musicxml")
    heard = [n.pitch.midi for n in parsed.flatten().notes if not is_tied_on(n)]
    assert heard == score.notes["pitch"].tolist()


def is_tied_on(note):
    return note.tie is not None and note.tie.type in ("continue", "stop")


def test_listening_writes_sound_and_says_by_which_engine(midi_file, tmp_path):
    wav = tmp_path / "heard.wav"
    done = etude("listen", midi_file, "-o", wav, "--engine", "synth")
    assert done.returncode == 0, done.stderr
    assert "by synth with no soundfont" in done.stdout
    assert wav.stat().st_size > 100_000


def test_inspecting_a_file_tells_what_is_in_it(midi_file):
    facts = json.loads(etude("inspect", midi_file, "--json").stdout)
    assert facts["pieces"] == 1 and facts["notes"] == 16 and facts["refused"] == 0
    assert facts["seconds"] == pytest.approx(4.0)
    assert facts["key"] == "C major"
    assert facts["melody"]["because"] == "the only pitched track"


def test_inspecting_a_folder_accounts_for_every_file(tmp_path):
    folder = data_folder("nottingham")
    report = tmp_path / "report.jsonl"
    done = etude("inspect", folder, "--json", "--report", report)
    facts = json.loads(done.stdout)
    assert (
        facts["files"] == 1034 == facts["used"] + facts["repaired"] + facts["refused"]
    )
    assert facts["reasons"] == {"duplicate": 5}
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(lines) == len({line["path"] for line in lines}) == 1034


def test_a_damaged_file_among_good_ones_is_named_and_the_rest_used(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for number in range(5):
        write_midi(folder / f"good{number}.mid", tune([60 + number, 64, 67]))
    (folder / "cut.mid").write_bytes(midi_bytes(tune(range(60, 90)))[:-20])
    done = etude("inspect", folder, "--report", tmp_path / "r.jsonl")
    assert done.returncode == 0
    assert "used            5" in done.stdout and "damaged" in done.stdout
    assert "cut.mid" in (tmp_path / "r.jsonl").read_text()


@pytest.mark.parametrize("command", ["inspect", "train"])
def test_an_empty_folder_is_one_clear_line(command, tmp_path):
    (tmp_path / "empty").mkdir()
    done = etude(command, tmp_path / "empty", cwd=tmp_path)
    assert_one_line(done, 3, "no file", tmp_path / "empty")


@pytest.mark.parametrize("command", ["inspect", "train"])
def test_a_folder_of_text_files_is_one_clear_line(command, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.txt").write_text("words")
    done = etude(command, folder, cwd=tmp_path)
    assert_one_line(done, 3, "None of 3 files can be used: 3 not music", folder)


def test_a_folder_that_does_not_exist_is_one_clear_line(tmp_path):
    for command in ("inspect", "train"):
        done = etude(command, tmp_path / "nowhere", cwd=tmp_path)
        assert_one_line(done, 2, tmp_path / "nowhere")


def test_an_unknown_model_is_one_clear_line_naming_the_known(tmp_path):
    done = etude("compose", "--model", "beethoven", cwd=tmp_path)
    assert_one_line(done, 2, "beethoven", "fiddle")
    assert not (tmp_path / "out").exists()


def test_a_bundle_with_a_flipped_byte_is_one_clear_line(bundle, tmp_path):
    path = bundle / "weights.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    done = etude("compose", "--model", bundle, cwd=tmp_path)
    assert_one_line(done, 3, "weights.npz is damaged")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a.wav", "a.mid"])
def test_an_output_folder_that_cannot_be_written_is_one_clear_line(
    bundle, tmp_path, name
):
    (tmp_path / "file").write_text("in the way")
    done = etude("compose", "-m", bundle, "-o", tmp_path / "file" / name)
    assert_one_line(done, 4, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.skipif(
    getattr(os, "geteuid", int)() == 0, reason="root, or Windows, may write anywhere"
)
def test_a_read_only_folder_is_one_clear_line(bundle, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = etude("compose", "-m", bundle, "-o", locked / "a.wav")
    assert_one_line(done, 4, locked)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compose", "--bars", "0"], ["`bars`", "1..256", "0"]),
        (["compose", "--bars", "many"], ["--bars", "integer"]),
        (["compose", "--metre", "7/13"], ["`metre`", "7/13", "6/8"]),
        (["compose", "-o", "a.mp3"], ["a.mp3", ".wav"]),
        (["compose", "-o", "tune"], ["tune", "suffix"]),
        (["compose", "--engine", "organ"], ["engine"]),
        (["compose", "--tempo", "0"], ["`tempo`", "0"]),
        (["listen", "nowhere.mid"], ["nowhere.mid"]),
        (["inspect", "nowhere.mid"], ["nowhere.mid"]),
        (["train"], ["folder", "--corpus"]),
        (["train", ".", "--recipe", "magic"], ["magic", "melody-lstm"]),
        (["train", ".", "--minutes", "-1"], ["`minutes`", "-1"]),
        (["train", "--corpus", "wagner"], ["wagner", "oneills1850"]),
        (["bench", "everything"], ["everything", "start"]),
        (["sing"], ["sing"]),
        (["compose", "--engine", "organ", "-o", "x.mid"], ["engine", "organ"]),
        (["compose", "--soundfont", "no.sf2"], ["no.sf2"]),
        (["train", "--corpus", ".."], ["'..'"]),
        (["compose", "--loud"], ["--loud"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_one_clear_line(arguments, words, tmp_path):
    assert_one_line(etude(*arguments, cwd=tmp_path), 2, *words)


@pytest.mark.parametrize("data", [b"", b"MThd\0\0", b"words, not music"])
def test_listening_to_no_music_is_one_clear_line(data, tmp_path):
    (tmp_path / "bad.mid").write_bytes(data)
    done = etude("listen", tmp_path / "bad.mid", cwd=tmp_path)
    assert_one_line(done, 3, "bad.mid")
    assert not (tmp_path / "bad.wav").exists()


def test_a_stranger_file_is_never_overwritten_by_a_bundle(midi_file, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.txt").write_text("years")
    done = etude("train", midi_file, "-o", tmp_path / "thesis")
    assert_one_line(done, 2, "thesis", "left as it is")
    assert (tmp_path / "thesis" / "one.txt").read_text() == "years"


def test_debug_shows_where(tmp_path):
    done = etude("--debug", "compose", "--model", "beethoven")
    assert "Traceback" in done.stderr
    assert "open_model" in done.stderr


@pytest.mark.parametrize("ending", ["| true", ">&-"])
@pytest.mark.skipif(os.name == "nt", reason="a shell of Unix")
def test_a_reader_that_has_gone_is_no_error(ending, midi_file):
    import subprocess
    import sys

    command = f"{sys.executable} -m studio.cli inspect '{midi_file}' {ending}"
    done = subprocess.run(
        ["bash", "-c", command + "; echo status ${PIPESTATUS[0]} >&2"],
        capture_output=True,
        text=True,
        cwd=os.path.dirname(os.path.dirname(__file__)),
        check=False,
    )
    assert done.stderr == "status 0\n"


def test_no_argument_at_all_shows_the_help():
    done = etude()
    assert done.returncode == 0
    assert "compose" in done.stdout
    assert len(done.stdout.splitlines()) > 10


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are always Unicode")
def test_a_file_name_that_is_no_unicode_is_one_name_among_others(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    write_midi(folder / "a.mid", tune([60, 62]))
    os.rename(folder / "a.mid", os.fsencode(folder) + b"/caf\xe9.mid")
    done = etude("inspect", folder, "--report", tmp_path / "r.jsonl")
    assert done.returncode == 0, done.stderr
    line = json.loads((tmp_path / "r.jsonl").read_text())
    assert os.fsencode(line["path"]) == b"caf\xe9.mid"


@pytest.mark.slow
def test_a_performance_is_written_as_notation(tmp_path):
    from music21 import converter

    score = read_midi(data_folder("pop909") / "001.mid")
    end = score.bar_ticks()[20]
    played = replace(score, notes=score.notes[score.notes["start"] < end])
    write_midi(tmp_path / "a.mid", played)
    written = tmp_path / "a.musicxml"
    done = etude("listen", tmp_path / "a.mid", "-o", written, timeout=600)
    assert done.returncode == 0, done.stderr
    assert len(converter.parse(written).flatten().notes) > 150


def test_a_file_is_never_its_own_output(midi_file, tmp_path):
    (tmp_path / "link.mid").hardlink_to(midi_file)
    before = midi_file.read_bytes()
    done = etude("listen", midi_file, "-o", tmp_path / "link.mid")
    assert_one_line(done, 2, "link.mid")
    assert midi_file.read_bytes() == before

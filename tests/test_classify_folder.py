"""A folder of sounds becomes a classifier, and a classifier's folder is opened."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, data_folder
from test_classify import EYES, RATE, weights_of

from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.classify import CLASSIFIERS
from data_pipelines.audio import write_audio
from data_pipelines.features import LogMel
from studio.classify import hear_folder, open_classifier
from studio.cli import explain
from studio.commands import classifying
from studio.errors import NothingUsable, WrongUsage

# The folder of a classifier


def saved(folder, **changed):
    ears = LogMel(RATE, 256, 128, 8, 8)
    vocabulary = {
        "kind": "classes",
        "classes": ["a", "b", "c"],
        "features": ears.spec(),
    }
    bundle = Bundle(EYES, weights_of(EYES), {**vocabulary, **changed})
    save_bundle(folder, bundle, half=True)
    return folder


def test_a_classifier_opened_again_tells_the_same(tmp_path):
    opened = open_classifier(saved(tmp_path / "x.classifier"))
    assert opened.classes == ("a", "b", "c")
    assert load_bundle(tmp_path / "x.classifier").model_name == "vit"
    write_audio(
        tmp_path / "noise.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 900), RATE
    )
    told = opened.tell(tmp_path / "noise.wav")
    assert sorted(name for name, _ in told) == ["a", "b", "c"]
    assert sum(chance for _, chance in told) == pytest.approx(1, abs=1e-5)
    assert [c for _, c in told] == sorted((c for _, c in told), reverse=True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"classes": ["a", "b"]}, "network and classes differ in number"),
        ({"classes": ["a", "b", "b"]}, "network and classes differ in number"),
        ({"classes": 5}, "no sound classifier"),
        ({"features": {}}, "network and features differ in size"),
        ({"features": {"hop": -1}}, "`hop` must be an integer"),
        ({"features": {"speed": 1}}, "no sound classifier"),
        ({"features": None}, "no sound classifier"),
    ],
)
def test_a_strangers_classifier_that_does_not_fit_is_refused(tmp_path, changed, said):
    with pytest.raises(NothingUsable, match=said):
        open_classifier(saved(tmp_path / "x.classifier", **changed))


def test_a_damaged_classifier_is_refused_and_another_bundle_too(tmp_path):
    folder = saved(tmp_path / "x.classifier")
    data = bytearray((folder / "weights.npz").read_bytes())
    data[200] ^= 1
    (folder / "weights.npz").write_bytes(data)
    with pytest.raises(NothingUsable, match=r"weights.npz is damaged"):
        open_classifier(folder)
    with pytest.raises(NothingUsable, match=r"anticipation.*tells no classes"):
        open_classifier(ROOT / "assets" / "bundles" / "folk")
    with pytest.raises(WrongUsage, match="No classifier is called"):
        open_classifier(tmp_path / "none")


# The command


def ask(*paths, **wish):
    settings = {
        "model": None, "output": None, "kind": "vit", "split": None, "epochs": None,
        "minutes": None, "seed": 0, "picture": None, "as_json": False,
    }  # fmt: skip
    classifying.classify(paths=list(paths), **{**settings, **wish})


def sounds(folder, counts, seed=0):
    """Sines by class: one octave for each, the rest drawn."""
    rng = np.random.default_rng(seed)
    for k, (label, count) in enumerate(counts.items()):
        (folder / label).mkdir(parents=True)
        for n in range(count):
            frequency = 200 * 3**k * rng.uniform(0.9, 1.1)
            instants = np.arange(rng.integers(1600, 2400)) / RATE
            sine = np.sin(2 * np.pi * frequency * instants) * np.exp(-6 * instants)
            noise = rng.normal(0, 0.003, len(instants))
            write_audio(folder / label / f"{n}.wav", 0.5 * sine + noise, RATE)
    return folder


def test_a_folder_of_sounds_is_heard_in_classes_and_parts(tmp_path):
    heard = hear_folder(sounds(tmp_path / "all", {"high": 10, "low": 10}))
    assert heard.classes == ("high", "low") and heard.split == "content"
    assert heard.features.sample_rate == RATE
    assert heard.frames.shape == (20, heard.features.num_frames, 48)
    assert heard.features.num_frames % 8 == 0
    for part, count in (("train", 12), ("valid", 4), ("test", 4)):
        assert (heard.parts == part).sum() == count
    assert heard.labels.tolist() == [0] * 10 + [1] * 10


def test_one_class_too_few_files_and_files_that_are_no_sound_are_told(tmp_path):
    with pytest.raises(NothingUsable, match=r"two classes or more.*Found: 4 files"):
        hear_folder(sounds(tmp_path / "one", {"low": 4}))
    (tmp_path / "half" / "high").mkdir(parents=True)
    (tmp_path / "half" / "high" / "a.wav").write_bytes(b"")
    with pytest.raises(
        NothingUsable, match=r"one class, 'low'. high/a.wav: empty file"
    ):
        hear_folder(sounds(tmp_path / "half", {"low": 4}))
    with pytest.raises(NothingUsable, match="Class 'high' has 1 file"):
        hear_folder(sounds(tmp_path / "few", {"low": 4, "high": 1}))
    for name in ("a", "b"):
        (tmp_path / "text" / name).mkdir(parents=True)
        (tmp_path / "text" / name / "1.wav").write_text("no sound at all\n")
    with pytest.raises(NothingUsable, match=r"none is usable. a/1.wav: not music"):
        hear_folder(tmp_path / "text")
    (tmp_path / "void").mkdir()
    with pytest.raises(NothingUsable, match=r"two classes or more.*Found: 0 files"):
        hear_folder(tmp_path / "void")


def test_wrong_wishes_are_one_line_before_anything_is_read(tmp_path):
    folder = sounds(tmp_path / "all", {"low": 1})
    file = folder / "low" / "0.wav"
    for wish, said in (
        ({"paths": [tmp_path / "no"]}, "No such file or folder"),
        ({"paths": [file]}, "say by which classifier"),
        ({"paths": [folder, folder]}, "name one folder of sounds"),
        ({"kind": "svm"}, "No kind is called 'svm'. Known: vit, bilstm"),
        ({"split": "luck"}, "No split is called 'luck'. Known: content, given"),
        ({"epochs": 0}, "`epochs` must be in 1..10000. Received: 0"),
        ({"minutes": -1.0}, "`minutes` must be in"),
        ({"seed": -1}, "`seed` must be at least 0. Received: -1"),
        ({"picture": tmp_path / "a.jpg"}, "must be one of .png"),
        ({"output": folder}, "holds low, which is no part of a bundle"),
        ({"model": tmp_path / "no", "paths": [file]}, "No classifier is called"),
    ):
        with pytest.raises(WrongUsage, match=said) as refused:
            ask(*wish.pop("paths", [folder]), **wish)
        sentence, status = explain(refused.value)
        assert "\n" not in sentence and status == 2


def test_files_are_told_one_by_one_and_what_is_no_sound_is_said(tmp_path, capsys):
    model = saved(tmp_path / "x.classifier")
    folder = sounds(tmp_path / "all", {"low": 2})
    (folder / "low" / "nan.wav").write_bytes(_float_wav([0.0, np.nan, 0.5]))
    (folder / "low" / "empty.wav").write_bytes(b"")
    (folder / "low" / "quiet.wav").write_bytes(_float_wav([0.0] * 400))
    ask(folder, model=model)
    printed = capsys.readouterr().out
    assert "nan.wav: damaged: it holds samples that are not finite." in printed
    assert (
        "empty.wav: empty file" in printed
        and "quiet.wav: no notes: silence." in printed
    )
    assert printed.count("%") == 6  # two files, three classes
    with pytest.raises(NothingUsable, match=r"nan.wav: damaged"):
        ask(folder / "low" / "nan.wav", model=model)
    ask(folder / "low" / "0.wav", model=model, as_json=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["class"] == max(row["probabilities"], key=row["probabilities"].get)


def _float_wav(samples):
    from bad_sound import wav

    return wav(np.array(samples, "<f4").tobytes(), bits=32, code=3)


def test_the_confusion_is_drawn_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        classifying.draw_confusion(
            tmp_path / f"{name}.png", np.array([[3, 1], [0, 0]]), ("x", "y")
        )
    drawn = (tmp_path / "a.png").read_bytes()
    assert drawn.startswith(b"\x89PNG") and drawn == (tmp_path / "b.png").read_bytes()


def test_to_tell_loads_no_tensorflow_and_no_keras(tmp_path):
    model = saved(tmp_path / "x.classifier")
    file = sounds(tmp_path / "all", {"low": 1}) / "low" / "0.wav"
    code = (
        "import sys; from pathlib import Path\n"
        "from studio.commands.classifying import classify\n"
        "classify(paths=[Path(sys.argv[1])], model=Path(sys.argv[2]), output=None,"
        " kind='vit', split=None, epochs=None, minutes=None, seed=0, picture=None,"
        " as_json=False)\n"
        "print('HEAVY', sorted({'tensorflow', 'keras', 'jax', 'matplotlib'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, file, model],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.slow
@pytest.mark.covers("e14")
@pytest.mark.parametrize("kind", ["vit", "bilstm"])
def test_a_folder_becomes_a_classifier_that_tells_new_sounds(kind, tmp_path, capsys):
    folder = sounds(tmp_path / "all", {"low": 20, "middle": 20, "high": 20})
    output, picture = tmp_path / "pitch.classifier", tmp_path / "confusion.png"
    ask(folder, output=output, kind=kind, epochs=12, picture=picture)
    printed = capsys.readouterr().out
    assert "60 sounds of 3 classes: 42 train, 9 valid, 9 test" in printed
    assert "Test: " in printed and "Majority 33.3%" in printed and "told as" in printed
    assert picture.exists() and "Accuracy on test" in (output / "card.md").read_text()
    facts = load_bundle(output).facts
    assert facts["test"]["accuracy"] >= 8 / 9
    new = sounds(tmp_path / "new", {"low": 3, "middle": 3, "high": 3}, seed=9)
    ask(new, model=output, as_json=True)
    told = json.loads(capsys.readouterr().out)
    right = [row["class"] in row["file"].split("/")[-2] for row in told]
    assert sum(right) >= 8


def test_the_spoken_digits_are_ten_classes_and_three_hundred_are_held_back():
    names = [p.name for p in data_folder("fsdd").glob("*.wav")]
    from data_pipelines.encode import classes_in, label_of
    from data_pipelines.features import SoundFile, share_out

    assert classes_in(names) == tuple("0123456789")
    labels = [label_of(name, tuple("0123456789")) for name in names]
    files = [
        SoundFile(None, name, label, name, RATE)
        for name, label in zip(names, labels, strict=True)
    ]
    parts = share_out(files, tuple("0123456789"), "index", 0)
    assert parts.count("test") == 300 and parts.count("valid") == 300
    assert set(CLASSIFIERS) == {"vit", "bilstm-classifier"}

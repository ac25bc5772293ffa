"""Classifiers: what they see, how they are judged, and what a folder may hold."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT, data_folder
from keras import ops

from audio_models import numpy_ops
from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.classify import (
    CLASSIFIERS,
    BiLSTMClassifier,
    ViT,
    confusion_matrix,
    logits_of,
    nearest_centroid,
    probabilities,
    wilson_interval,
)
from audio_models.network import Network
from audio_models.transformer import full_attention
from data_pipelines.audio import write_audio
from data_pipelines.features import LogMel, augmented
from studio.classify import (
    Verdict,
    architecture_for,
    fit,
    hear_folder,
    judge,
    open_classifier,
)
from studio.cli import explain
from studio.commands import classifying
from studio.errors import NothingUsable, WrongUsage

RATE = 8000
EYES = ViT(
    3, 8, 8, patch_frames=4, patch_bands=4, hidden_dim=8, num_layers=2, num_heads=2
)
EARS = BiLSTMClassifier(3, num_bands=8, embedding_dim=5, hidden_dim=6)
READER = BiLSTMClassifier(3, vocab_size=11, embedding_dim=5, hidden_dim=6)
ALL = (EYES, EARS, READER)


def input_of(architecture, rows=3, seed=0):
    rng = np.random.default_rng(seed)
    if architecture is READER:
        return rng.integers(1, 11, (rows, 7)).astype("int32")
    return rng.random((rows, 8, 8)).astype("f4")


def weights_of(architecture, seed=0):
    return Network(architecture, seed=seed).named_weights()


# The networks


@pytest.mark.parametrize("architecture", ALL, ids=["vit", "frames", "tokens"])
def test_keras_and_numpy_give_the_same_logits(architecture):
    network, x = Network(architecture, seed=0), input_of(architecture)
    theirs = ops.convert_to_numpy(network(x))
    ours = logits_of(architecture, network.named_weights(), x)
    assert ours.shape == (3, 3)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    chances = probabilities(architecture, network.named_weights(), x)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("architecture", ALL, ids=["vit", "frames", "tokens"])
def test_a_piece_is_told_alike_alone_and_among_others(architecture):
    weights, x = weights_of(architecture), input_of(architecture, rows=70)
    whole = logits_of(architecture, weights, x)  # more than one batch
    for row in (0, 63, 64, 69):
        alone = logits_of(architecture, weights, x[row : row + 1])
        np.testing.assert_allclose(alone[0], whole[row], atol=1e-5)
    assert logits_of(architecture, weights, x[:0]).shape == (0, 3)


def test_full_attention_is_the_softmax_of_the_textbook():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, 5, 4)) for _ in range(3))
    scores = np.exp(np.einsum("bhid,bhjd->bhij", q, k))
    scores /= scores.sum(axis=-1, keepdims=True)
    expected = np.einsum("bhij,bhjd->bhid", scores, v)
    np.testing.assert_allclose(full_attention(numpy_ops, q, k, v), expected)


def test_patches_are_cut_in_time_first_then_upwards():
    picture = np.arange(64).reshape(1, 8, 8)  # frame 8 * t, band + 1
    patches = EYES.patches(numpy_ops, picture)
    assert patches.shape == (1, 4, 16)
    np.testing.assert_array_equal(patches[0, 0], picture[0, :4, :4].ravel())
    np.testing.assert_array_equal(patches[0, 1], picture[0, :4, 4:].ravel())
    np.testing.assert_array_equal(patches[0, 2], picture[0, 4:, :4].ravel())


@pytest.mark.parametrize("architecture", [EYES, EARS], ids=["vit", "frames"])
def test_every_corner_of_a_spectrogram_is_seen(architecture):
    weights, x = weights_of(architecture), input_of(architecture, rows=1)
    before = logits_of(architecture, weights, x)
    for frame, band in ((0, 0), (0, 7), (7, 0), (7, 7), (4, 3)):
        changed = x.copy()
        changed[0, frame, band] += 0.5
        after = logits_of(architecture, weights, changed)
        assert np.abs(after - before).max() > 1e-5


def test_to_a_vit_the_order_of_time_is_told_by_places_alone():
    weights, x = weights_of(EYES), input_of(EYES, rows=1)
    swapped = np.concatenate([x[:, 4:], x[:, :4]], axis=1)  # whole patches
    told, other = (logits_of(EYES, weights, part) for part in (x, swapped))
    assert np.abs(told - other).max() > 1e-6
    placeless = {**weights, "position": np.zeros_like(weights["position"])}
    told, other = (logits_of(EYES, placeless, part) for part in (x, swapped))
    np.testing.assert_allclose(told, other, atol=1e-6)


@pytest.mark.parametrize("architecture", [EARS, READER], ids=["frames", "tokens"])
def test_padding_behind_a_piece_changes_nothing(architecture):
    weights, x = weights_of(architecture), input_of(architecture)
    longer = np.concatenate([x, np.zeros_like(x[:, :4])], axis=1)
    np.testing.assert_allclose(
        logits_of(architecture, weights, x),
        logits_of(architecture, weights, longer),
        atol=1e-6,
    )


def test_a_piece_of_nothing_but_padding_is_told_by_the_bias_alone():
    weights = weights_of(READER)
    weights["head.bias"] = np.array([1, 2, 3], "f4")
    told = logits_of(READER, weights, np.zeros((1, 4), int))
    np.testing.assert_allclose(told, [[1, 2, 3]], atol=1e-6)


def test_the_pairs_are_those_of_keras_and_their_mean_is_read():
    one = BiLSTMClassifier(
        3, vocab_size=11, embedding_dim=5, hidden_dim=6, num_layers=1
    )
    weights, ids = weights_of(one), input_of(READER)
    layer = keras.layers.Bidirectional(keras.layers.LSTM(6, return_sequences=True))
    x = weights["embedding"][ids]
    layer.build(x.shape)
    layer.set_weights(
        [
            weights[f"layer0.{side}.{part}"]
            for side in ("left", "right")
            for part in ("input", "recurrent", "bias")
        ]
    )
    said = ops.convert_to_numpy(layer(x)).mean(axis=1)
    expected = said @ weights["head.kernel"] + weights["head.bias"]
    np.testing.assert_allclose(logits_of(one, weights, ids), expected, atol=1e-5)


def test_nothing_is_generated_and_the_refusal_says_so():
    for architecture in ALL:
        with pytest.raises(ValueError, match=r"what a whole piece is. It cannot"):
            architecture.start(numpy_ops, 1)
        with pytest.raises(ValueError, match="cannot generate"):
            architecture.forward(numpy_ops, {}, None, state=())


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: ViT(0), "`num_classes` must be an integer in 1..1000. Received: 0"),
        (lambda: ViT(3, 62), "`patch_frames` must divide num_frames"),
        (lambda: ViT(3, 64, 40), "`patch_bands` must divide num_bands"),
        (lambda: ViT(3, hidden_dim=66), "multiple of num_heads"),
        (lambda: ViT(3, dropout=1), "`dropout` must be in"),
        (lambda: ViT(3, 8192, 512, 8, 16), "at most 1024 patches. Received: 32768"),
        (lambda: BiLSTMClassifier(3), "must be 0, the other not"),
        (lambda: BiLSTMClassifier(3, 8, 9), "must be 0, the other not"),
        (lambda: BiLSTMClassifier(3, True), "`num_bands` must be an integer"),
    ],
)
def test_sizes_that_cannot_be_are_refused(build, said):
    with pytest.raises(ValueError, match=said):
        build()


@pytest.mark.parametrize(
    ("architecture", "x", "said"),
    [
        (EYES, np.zeros((1, 8, 7), "f4"), r"must be \(8, 8\)"),
        (EARS, np.zeros((1, 8), "f4"), r"must be \(any, 8\)"),
        (EYES, np.full((1, 8, 8), np.nan, "f4"), "not finite"),
        (READER, np.array([[11]]), r"0..10. Received: 11..11"),
        (READER, np.array([[-1]]), r"0..10. Received: -1..-1"),
    ],
)
def test_inputs_that_cannot_be_are_refused(architecture, x, said):
    with pytest.raises(ValueError, match=said):
        logits_of(architecture, weights_of(architecture), x)


# How they are judged


def test_the_nearest_centroid_by_hand():
    vectors = [[0, 0], [0, 2], [10, 0], [12, 0]]  # centroids (0, 1) and (11, 0)
    told = nearest_centroid(vectors, [0, 0, 1, 1], [[5, 1], [6, 1], [11, 9]])
    assert told.tolist() == [0, 1, 1]


def test_rows_of_the_confusion_are_the_truth():
    matrix = confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0], 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_wilsons_interval_by_its_law():
    # Its ends p solve |share - p| = z sqrt(p (1 - p) / n).
    z = 1.959963984540054
    for right, count in ((9, 10), (285, 300), (1, 2), (50, 100)):
        for p in wilson_interval(right, count):
            assert abs(right / count - p) == pytest.approx(
                z * (p * (1 - p) / count) ** 0.5
            )
    low, high = wilson_interval(0, 10)
    assert (low, high) == (0, pytest.approx(z * z / (10 + z * z)))
    low, high = wilson_interval(10, 10)
    assert (low, high) == (pytest.approx(10 / (10 + z * z)), pytest.approx(1))
    for right, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="`right` must be in"):
            wilson_interval(right, count)


def test_a_verdict_adds_up_by_hand():
    verdict = Verdict(4, 2, 0.5, None, confusion_matrix([0, 0, 1, 1], [0, 1, 1, 0], 3))
    assert verdict.accuracy == 0.5
    assert list(verdict.by_class()) == [(2, 0.5, 0.5), (2, 0.5, 0.5), (0, None, None)]
    assert json.loads(json.dumps(verdict.to_json()))["right"] == 2


def test_floors_learn_from_train_and_are_measured_on_the_part_asked_for():
    frames = np.zeros((6, 8, 8), "f4")
    frames[:, 0, 0] = [0.1, 0.2, 0.9, 0.1, 0.9, 0.9]
    labels, parts = [0, 0, 1, 0, 1, 0], ["train"] * 3 + ["test"] * 3
    weights = {name: np.zeros_like(w) for name, w in weights_of(EYES).items()}
    weights["head.bias"] = np.array([0, 1, 0], "f4")  # says 1, whatever it sees
    verdict = judge(EYES, weights, frames, labels, parts)
    assert (verdict.count, verdict.right) == (3, 1)
    assert verdict.majority == pytest.approx(2 / 3)  # 0, in training most often
    assert verdict.centroid == pytest.approx(2 / 3)  # the last looks like a 1
    assert verdict.confusion.tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 0]]


# Learning


def plan(epochs, **settings):
    from audio_models.training import Plan

    return Plan(
        epochs=epochs, batch_size=8, learning_rate=1e-2, patience=99, **settings
    )


def test_a_bilstm_learns_from_tokens_what_no_count_of_them_tells():
    # A tune rises (1) or falls (0); as many of each token are in both.
    rng = np.random.default_rng(0)
    starts = rng.integers(4, 8, 40)
    labels = np.arange(40) % 2
    ids = starts[:, None] + np.arange(4)
    ids = np.where(labels[:, None] == 1, ids, ids[:, ::-1]).astype("int32")
    parts = np.where(np.arange(40) < 30, "train", "valid")
    reader = BiLSTMClassifier(
        2, vocab_size=11, embedding_dim=6, hidden_dim=6, num_layers=1
    )
    weights, progress = fit(reader, ids, labels, parts, plan(16, seed=3))
    verdict = judge(reader, weights, ids, labels, parts, "valid")
    assert verdict.accuracy == 1 and verdict.centroid is None
    assert verdict.majority == 0.5
    assert progress.step == 16 * 4  # 30 pieces in batches of 8, the last one padded


def test_architecture_for_fits_the_features_or_says_why_not():
    ears = LogMel(num_frames=40, num_bands=32)
    assert architecture_for("vit", 5, features=ears).input_shape() == (40, 32)
    assert architecture_for("bilstm", 5, features=ears).num_bands == 32
    assert architecture_for("bilstm", 5, vocab_size=90).vocab_size == 90
    with pytest.raises(WrongUsage, match="by the kind bilstm, not by vit"):
        architecture_for("vit", 5, vocab_size=90)
    with pytest.raises(WrongUsage, match=r"one of vit, bilstm. Received: 'svm'"):
        architecture_for("svm", 5, features=ears)


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
def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    x, labels = input_of(EYES, rows=20), np.arange(20) % 3
    parts = np.where(np.arange(20) < 15, "train", "valid")
    one, two, other = (
        fit(EYES, x, labels, parts, plan(2, seed=seed), augment=augmented)[0]
        for seed in (3, 3, 4)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    assert any((array != other[name]).any() for name, array in one.items())


@pytest.mark.slow
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

"""Classifiers: what they see, how they are judged, and what a folder may hold."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import ops

from audio_models import numpy_ops
from audio_models.classify import (
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
from data_pipelines.features import LogMel, augmented
from studio.classify import (
    Verdict,
    architecture_for,
    fit,
    judge,
)
from studio.errors import WrongUsage

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


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    eyes = replace(EYES, num_layers=1)  # three times compiled: the smaller the sooner
    x, labels = input_of(eyes, rows=20), np.arange(20) % 3
    parts = np.where(np.arange(20) < 15, "train", "valid")
    one, two, other = (
        fit(eyes, x, labels, parts, plan(2, seed=seed), augment=augmented)[0]
        for seed in (3, 3, 4)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name])
    assert any((array != other[name]).any() for name, array in one.items())

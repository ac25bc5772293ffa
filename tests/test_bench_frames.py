"""Q3 and Q4: the protocol, its floors, and the mixture, on little rolls and the real."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import data_folder

from audio_models import numpy_ops
from audio_models.chords import ChordLSTM, log_probability
from studio import bench_frames
from studio.bench import with_table
from studio.bench_frames import (
    CHORALES,
    KEYS,
    Net,
    Recipe,
    epoch_of_batches,
    floors,
    learn,
    mixture,
    read_piece,
    read_rolls,
)
from studio.errors import NothingUsable

SMALL = ChordLSTM(5, 4, 1, 6, 2, recall=True)


def drawn_net(architecture, seed=0, from_top=False):
    rng = np.random.default_rng(seed)
    named = {
        name: rng.normal(0, 0.5, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }
    return Net(named, from_top)


def drawn_rolls(lengths, keys=5, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random((t, keys)) < 0.3).astype("float32") for t in lengths]


def write_mat(path, splits):
    io = pytest.importorskip("scipy.io")
    cells = {}
    for name, rolls in splits.items():
        cells[name] = np.empty((1, len(rolls)), dtype=object)
        for number, roll in enumerate(rolls):
            cells[name][0, number] = roll
    io.savemat(path, cells)


def song(length, shift=0):
    """A roll in which a chord walks round and round."""
    roll = np.zeros((length, KEYS), dtype="float32")
    for t in range(length):
        roll[t, [20 + (t + shift) % 5, 40 + (t + shift) % 5]] = 1
    return roll


def test_the_floors_are_those_of_counting_by_hand():
    train = [np.array([[1], [1], [0], [1]], "float32")]
    test = [np.array([[0], [1], [1]], "float32")]
    unigram, own = floors(train, test, added=1)
    # It sounds 3 times of 4: (3 + 1) / (4 + 2). Of two keys that sounded one went on:
    # (1 + 1) / (2 + 2); of one that did not, one came: (1 + 1) / (1 + 2).
    assert unigram == pytest.approx(-np.log(4 / 6))
    assert own == pytest.approx(-(np.log(2 / 3) + np.log(1 / 2)) / 2)


@pytest.mark.parametrize(
    ("name", "pieces", "frames", "unigram", "own_previous"),
    [
        ("JSB_Chorales.mat", (229, 76, 77), 4648, 11.09, 10.49),
        ("Nottingham.mat", (694, 173, 170), 44293, 10.26, 5.15),
    ],
)
def test_the_floors_of_the_real_sets_are_those_of_the_protocol(
    name, pieces, frames, unigram, own_previous
):
    rolls = read_rolls(data_folder("poly_music") / name)
    assert tuple(map(len, rolls.values())) == pieces
    assert sum(len(roll) - 1 for roll in rolls["test"]) == frames
    assert floors(rolls["train"], rolls["test"]) == pytest.approx(
        (unigram, own_previous), abs=0.005
    )


def test_rolls_come_out_as_the_file_has_them_silence_before_and_within_too(tmp_path):
    rolls = drawn_rolls((2, 9, 30), KEYS)
    rolls[1][[0, 4, 5]] = 0
    for roll in rolls:
        roll[-1, 3] = 1
    path = tmp_path / "a.mat"
    write_mat(path, {"traindata": rolls, "validdata": rolls[:1], "testdata": rolls[1:]})
    got = read_rolls(path)
    assert [len(got[split]) for split in got] == [3, 1, 2]
    for roll, expected in zip(got["train"], rolls, strict=True):
        np.testing.assert_array_equal(roll, expected)


def test_data_that_are_not_there_or_not_whole_are_a_sentence(tmp_path):
    with pytest.raises(NothingUsable, match=r"needs .*none\.mat: No such file"):
        read_rolls(tmp_path / "none.mat")
    (tmp_path / "bad.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(NothingUsable, match="cannot be read"):
        read_rolls(tmp_path / "bad.mat")
    write_mat(tmp_path / "part.mat", {"traindata": drawn_rolls((4, 4), KEYS)})
    with pytest.raises(NothingUsable, match="no piece of two frames in valid"):
        read_rolls(tmp_path / "part.mat")


def test_nats_of_many_pieces_are_those_of_each_alone_read_at_once():
    rolls = drawn_rolls([2, 150, 65, 66, *range(3, 21)])
    net = drawn_net(SMALL)
    together = mixture(SMALL, [net], rolls)
    for roll, nats in zip(rolls, together, strict=True):
        frames, targets = (part[None] for part in read_piece(SMALL, roll))
        logits, _ = SMALL.forward(numpy_ops, net.weights, frames, targets)
        expected = -log_probability(numpy_ops, logits, targets)[0]
        assert len(nats) == len(roll) - 1
        np.testing.assert_allclose(nats, expected, atol=1e-4)


def test_a_mixture_has_the_mean_of_the_probabilities_of_its_nets():
    rolls = drawn_rolls((7, 12))
    nets = [drawn_net(SMALL, 1), drawn_net(SMALL, 2, from_top=True)]
    each = [mixture(SMALL, [net], rolls) for net in nets]
    for one, other, both in zip(*each, mixture(SMALL, nets, rolls), strict=True):
        expected = -np.log((np.exp(-one) + np.exp(-other)) / 2)
        np.testing.assert_allclose(both, expected, rtol=1e-6)
        assert np.abs(one - other).max() > 0.1


def test_a_net_that_reads_from_the_top_is_one_of_the_keyboard_turned_round():
    rolls = drawn_rolls((9,))
    net = drawn_net(SMALL)
    turned = [roll[:, ::-1] for roll in rolls]
    np.testing.assert_allclose(
        mixture(SMALL, [Net(net.weights, True)], rolls)[0],
        mixture(SMALL, [net], turned)[0],
        rtol=1e-6,
    )


def test_an_epoch_shows_each_frame_once_and_what_comes_after_it():
    recipe = Recipe("", SMALL, 1, batch_size=1, window=16)
    rolls = drawn_rolls((2, 17, 18, 40))
    for number, roll in enumerate(rolls):  # each frame of another name
        roll[:] = (np.arange(len(roll))[:, None] + 100 * number) * np.ones(5)
    pieces = [(roll[:-1], roll[1:]) for roll in rolls]
    seen = []
    for x, y, mask in epoch_of_batches(pieces, recipe, np.random.default_rng(0)):
        assert x.shape == (1, 16, 5)
        real = mask[0] == 1
        assert not x[0, ~real].any() and not y[0, ~real].any()
        np.testing.assert_array_equal(y[0, real], x[0, real] + 1)
        seen += x[0, real, 0].tolist()
    assert sorted(seen) == sorted(np.concatenate([x[:, 0] for x, _ in pieces]))


def test_batches_are_of_one_shape_but_for_a_corpus_smaller_than_one():
    recipe = Recipe("", SMALL, 1, batch_size=4, window=8)
    rng = np.random.default_rng(0)
    for pieces, rows in ((10, 4), (3, 3)):
        corpus = [(roll[:-1], roll[1:]) for roll in drawn_rolls([6] * pieces)]
        shapes = {x.shape for x, _, _ in epoch_of_batches(corpus, recipe, rng)}
        assert shapes == {(rows, 8, 5)}


TINY_RECIPE = Recipe(
    "tiny.mat",
    ChordLSTM(KEYS, 8, 1, 8, 2),
    steps=60,
    checks=2,
    batch_size=4,
    window=12,
    learning_rate=0.02,
    mean=0.5,
)


@pytest.mark.slow
def test_learning_beats_counting_and_a_seed_gives_the_same_net():
    rolls = {
        split: [song(20, shift) for shift in range(4)]
        for split in ("train", "valid", "test")
    }
    told = []
    nets = [
        learn(TINY_RECIPE, rolls, 0, False, watch=lambda line, **_: told.append(line))
        for _ in range(2)
    ]
    assert len(told) == 4
    nats = np.mean(mixture(TINY_RECIPE.architecture, nets[:1], rolls["test"]))
    assert nats < min(floors(rolls["train"], rolls["test"])) / 2
    for name, value in nets[0].weights.items():
        np.testing.assert_allclose(nets[1].weights[name], value, atol=1e-5)


@pytest.mark.slow
def test_a_row_holds_its_figures_beside_the_published_and_fits_the_table(
    tmp_path, monkeypatch
):
    rolls = [song(20, shift) for shift in range(4)]
    splits = ("traindata", "validdata", "testdata")
    write_mat(tmp_path / "tiny.mat", dict.fromkeys(splits, rolls))
    monkeypatch.setattr(bench_frames, "DATA", tmp_path)
    recipe = dataclasses.replace(TINY_RECIPE, steps=4, checks=1, nets=((7, True),))
    (row,) = bench_frames.jsb_frames(recipe)
    unigram, own_previous = floors(rolls, rolls)
    assert row["unigram"] == pytest.approx(unigram, abs=0.01)
    assert row["baseline_value"] == pytest.approx(own_previous, abs=0.01)
    assert row["ratio"] == pytest.approx(row["value"] / own_previous, abs=1e-3)
    assert row["target"] == 6.5
    assert row["seed"] == 7 and row["each_net"] == [row["value"]]
    assert row["weights"] == sum(
        np.prod(w.shape) for w in recipe.architecture.weights().values()
    )
    assert json.loads(json.dumps(row))["unigram"] == row["unigram"]
    text = "<!-- benchmarks --><!-- /benchmarks -->"
    assert "| Q3 JSB chorales, nats per frame |" in with_table(text, [row])
    assert "TCN 8.1; RNN-RBM 6.27; RNN-NADE 5.56" in with_table(text, [row])


def test_the_benches_say_which_file_they_miss(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_frames, "DATA", tmp_path)
    with pytest.raises(NothingUsable, match=CHORALES.file):
        bench_frames.jsb_frames()
    with pytest.raises(NothingUsable, match=r"Nottingham\.mat"):
        bench_frames.nottingham_frames()

"""A Neural Turing Machine: heads that keep to the law, one arithmetic, and copies."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from keras import ops

from audio_models import numpy_ops
from audio_models.memory import (
    NeuralTuringMachine,
    VectorLSTM,
    content_addressing,
    erase_and_add,
    interpolate,
    read,
    sharpened,
    shifted,
)
from audio_models.memory_training import (
    copies,
    fit_copies,
    wrong_bits,
    wrong_bits_at,
)
from audio_models.network import Network

SIZES = {"inputs": 4, "outputs": 3, "hidden_dim": 5}
KINDS = {
    "feedforward": NeuralTuringMachine(
        **SIZES, slots=6, width=3, controller="feedforward"
    ),
    "lstm": NeuralTuringMachine(**SIZES, slots=6, width=3),
    "control": VectorLSTM(**SIZES, num_layers=2),
}
MACHINES = {name: KINDS[name] for name in ("feedforward", "lstm")}
every_kind = pytest.mark.parametrize("architecture", KINDS.values(), ids=KINDS.keys())
every_machine = pytest.mark.parametrize(
    "architecture", MACHINES.values(), ids=MACHINES.keys()
)


def drawn(architecture, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, spread, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def vectors(shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# The moves of a head


@pytest.mark.covers("e05")
def test_a_shift_by_one_is_exact_and_goes_round_the_end():
    weights = np.random.default_rng(0).random((2, 2, 7)).astype("float32")
    for number, wanted in enumerate((-1, 0, 1)):
        moves = np.zeros((2, 2, 3), "float32")
        moves[..., number] = 1
        moved = shifted(numpy_ops, weights, moves)
        assert (moved == np.roll(weights, wanted, axis=-1)).all()


def test_a_soft_shift_is_the_circular_convolution_term_by_term():
    rng = np.random.default_rng(0)
    weights, moves = rng.random(5), rng.random(3)
    expected = [
        sum(weights[(i - by) % 5] * moves[by + 1] for by in (-1, 0, 1))
        for i in range(5)
    ]
    np.testing.assert_allclose(shifted(numpy_ops, weights, moves), expected)


def test_content_is_found_by_its_direction_and_not_by_its_length():
    memory = np.array([[[0.01, 0.0], [0.0, 50.0], [-3.0, 0.0]]])
    # Cosines 1, 0 and -1; strength ln 3: powers 3, 1 and 1/3, over 13/3.
    found = content_addressing(
        numpy_ops, np.array([[[7.0, 0.0]]]), np.array([[[np.log(3)]]]), memory
    )
    np.testing.assert_allclose(found[0, 0], [9 / 13, 3 / 13, 1 / 13], atol=1e-6)


def test_a_gate_of_one_takes_what_was_found_and_of_zero_stays():
    found, before = np.array([[0.0, 1.0]]), np.array([[0.75, 0.25]])
    assert (interpolate(np.array([[1.0]]), found, before) == found).all()
    assert (interpolate(np.array([[0.0]]), found, before) == before).all()
    half = interpolate(np.array([[0.5]]), found, before)
    assert half.tolist() == [[0.375, 0.625]]


def test_sharpening_squares_and_sums_to_one_again_and_one_changes_nothing():
    weights = np.array([[0.1, 0.3, 0.6]])
    squared = sharpened(numpy_ops, weights, np.array([[2.0]]))
    np.testing.assert_allclose(squared, np.array([[1, 9, 36]]) / 46)
    np.testing.assert_allclose(
        sharpened(numpy_ops, weights, np.array([[1.0]])), weights
    )


def test_sharpening_of_many_small_weights_by_a_large_power_still_sums_to_one():
    sharp = sharpened(numpy_ops, np.full((1, 100), 0.01, "float32"), np.array([[90.0]]))
    np.testing.assert_allclose(sharp, 0.01, rtol=1e-5)


def test_a_write_wipes_and_adds_where_the_head_stands_and_nowhere_else():
    memory = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    kept = memory.copy()
    after = erase_and_add(
        numpy_ops,
        memory,
        np.array([[0.0, 1.0]]),
        np.array([[1.0, 0.5]]),
        np.array([[10.0, 20.0]]),
    )
    assert after.tolist() == [[[1.0, 2.0], [10.0, 22.0]]]
    assert (memory == kept).all()


def test_a_read_is_the_mean_of_the_slots_by_their_weights():
    memory = np.array([[[1.0, 2.0], [3.0, 6.0]]])
    assert read(numpy_ops, memory, np.array([[0.75, 0.25]])).tolist() == [[1.5, 3.0]]


@pytest.mark.covers("e05")
@every_machine
def test_the_weights_of_both_heads_sum_to_one_at_every_step(architecture):
    for spread in (0.1, 1.0, 20.0):  # up to gates that are open or shut
        logits, reads, writes = architecture.motion(
            numpy_ops, drawn(architecture, spread), vectors((3, 30, 4))
        )
        assert np.isfinite(logits).all()
        for heads in (reads, writes):
            assert heads.min() >= 0
            np.testing.assert_allclose(heads.sum(axis=-1), 1, atol=1e-4)


# One arithmetic, two namespaces


@every_kind
def test_keras_and_numpy_give_the_same(architecture):
    weights, x = drawn(architecture, 0.5), vectors((2, 6, 4))
    network = Network(architecture)
    network.load_named_weights(weights)
    ours, _ = architecture.forward(numpy_ops, weights, x)
    assert ours.shape == (2, 6, 3)
    theirs = ops.convert_to_numpy(network(x))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@every_kind
def test_reading_in_two_parts_equals_reading_at_once(architecture):
    weights, x = drawn(architecture, 0.5), vectors((2, 7, 4))
    whole, _ = architecture.forward(numpy_ops, weights, x)
    first, state = architecture.forward(numpy_ops, weights, x[:, :3])
    second, _ = architecture.forward(numpy_ops, weights, x[:, 3:], state)
    np.testing.assert_allclose(
        np.concatenate([first, second], axis=1), whole, atol=1e-5
    )


@every_kind
def test_what_is_to_come_changes_nothing_before_it(architecture):
    weights, x = drawn(architecture, 0.5), vectors((1, 6, 4))
    other = x.copy()
    other[:, 4:] += 1
    before, after = (
        architecture.forward(numpy_ops, weights, given)[0] for given in (x, other)
    )
    assert (before[:, :4] == after[:, :4]).all()
    assert np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-3


@every_machine
def test_the_compiled_loop_of_training_says_what_forward_says(architecture):
    from audio_models.memory_training import _looped

    network = Network(architecture)
    network.load_named_weights(drawn(architecture, 0.5))
    x = vectors((2, 5, 4))
    np.testing.assert_allclose(_looped(network, x), network(x), atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"slots": 2}, r"`slots` must be an integer in 3\.\.4096\. Received: 2"),
        ({"width": 0}, r"`width` must be an integer in 1\.\.4096\. Received: 0"),
        ({"inputs": 2.5}, r"`inputs` .* Received: 2\.5"),
        ({"outputs": True}, r"`outputs` .* Received: True"),
        ({"controller": "gru"}, "`controller` must be lstm or feedforward.*'gru'"),
    ],
)
def test_a_size_that_cannot_be_is_refused_by_name(changed, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(KINDS["lstm"], **changed)


def test_a_machine_runs_without_tensorflow():
    code = (
        "import sys, numpy as np\n"
        "from audio_models import memory, memory_training, numpy_ops\n"
        "a = memory.NeuralTuringMachine(3, 2, 4, 3, 5)\n"
        "w = {n: np.zeros(k.shape) for n, k in a.weights().items()}\n"
        "a.forward(numpy_ops, w, np.zeros((1, 2, 3)))\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# The task


def test_a_copy_is_wanted_once_the_flag_is_up_and_only_then():
    x, y, mask = copies(np.random.default_rng(0), [1, 3], bits=2)
    assert x.shape == (2, 6, 3) and y.shape == (2, 6, 2)
    assert x[0, :, 2].tolist() == [0, 1, 0, 0, 0, 0] == mask[0].tolist()
    assert x[1, :, 2].tolist() == [0, 0, 0, 1, 1, 1] == mask[1].tolist()
    assert (y[1, 3:] == x[1, :3, :2]).all()
    assert (y[0, 1] == x[0, 0, :2]).all()
    assert not x[0, 2:].any() and not x[..., :2][mask > 0].any()


def test_a_motif_is_wanted_as_often_as_was_said():
    x, y, mask = copies(np.random.default_rng(0), [2], bits=3, times=3, longest=4)
    assert x.shape == (1, 16, 5)
    assert x[0, :, 3].tolist() == mask[0].tolist()
    assert x[0, :, 4].nonzero()[0].tolist() == [0, 2, 4, 6]  # where it begins
    assert mask[0].tolist() == [0, 0, *[1] * 6, *[0] * 8]
    assert (y[0, 2:8] == np.tile(x[0, :2, :3], (3, 1))).all()


def test_wrong_bits_are_counted_where_something_was_wanted_alone():
    y = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 0]]])
    logits = np.array([[[3.0, -1], [2, -2]], [[1, -1], [-1, -1]]])
    mask = np.array([[0.0, 1], [1, 1]])
    assert wrong_bits(logits, y, mask).tolist() == [1, 0]
    assert wrong_bits(logits, y, np.ones((2, 2))).tolist() == [3, 0]


def test_a_machine_without_weights_is_wrong_in_half_of_the_bits():
    architecture = NeuralTuringMachine(9, 8, 8, 3, 5)
    silent = {n: 0 * w for n, w in drawn(architecture).items()}
    wrong = wrong_bits_at(architecture, silent, 10, count=200)
    assert wrong == pytest.approx(40, abs=1.3)  # of 80; four standard errors


# What is learnt

SMALL = NeuralTuringMachine(5, 4, 16, 16, 64, "feedforward")
AT_ONCE = ((1.0, 1.0),)  # no short ones first: one program to compile


@pytest.mark.slow
@pytest.mark.covers("e05")
def test_a_small_machine_learns_to_copy_and_goes_on_past_what_it_was_taught():
    weights, losses = fit_copies(
        SMALL,
        steps=600,
        longest=5,
        bits=4,
        learning_rate=2e-3,
        ladder=AT_ONCE,
        seed=1,
    )
    assert len(losses) == 600 and np.mean(losses[-50:]) < 0.1 < np.mean(losses[:50])
    assert wrong_bits_at(SMALL, weights, 5, bits=4) < 0.2
    # The memory can be larger than it was in training: no weight knows its size.
    longer = replace(SMALL, slots=32)
    assert wrong_bits_at(longer, weights, 20, bits=4) < 4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights():
    told = []
    first, same = (
        fit_copies(SMALL, steps=100, longest=2, bits=4, seed=3, ladder=AT_ONCE,
                   watch=lambda *seen: told.append(seen))[0]
        for _ in range(2)
    )  # fmt: skip
    assert all((first[name] == same[name]).all() for name in first)
    assert [step for step, _ in told] == [100, 100] and told[0] == told[1]

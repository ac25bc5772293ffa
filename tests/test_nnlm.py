"""The fixed-window model: what it sees, what it cannot, and its sum by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from audio_models import numpy_ops
from audio_models.generation import CompiledGenerator
from audio_models.network import Network
from audio_models.nnlm import NNLM
from audio_models.player import Player, generate
from audio_models.request import Request

VOCAB = 11


def drawn_weights(architecture, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.4, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, shape).astype("int32")


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_logits_are_those_of_the_formula_place_by_place(window, direct):
    architecture = NNLM(VOCAB, 3, 7, window, direct=direct)
    w = drawn_weights(architecture)
    ids = ids_of((2, 9))
    logits, _ = architecture.forward(numpy_ops, w, ids)
    assert logits.dtype == np.float32
    for row in range(2):
        padded = [0] * (window - 1) + ids[row].tolist()
        for t in range(9):
            x = np.concatenate([w["embedding"][i] for i in padded[t : t + window]])
            hidden = np.tanh(w["hidden.bias"] + x @ w["hidden.kernel"])
            expected = w["head.bias"] + hidden @ w["head.kernel"]
            if direct:
                expected = expected + x @ w["direct.kernel"]
            np.testing.assert_allclose(logits[row, t], expected, atol=1e-5)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_a_token_is_seen_for_as_long_as_the_window_and_no_longer(window):
    architecture = NNLM(VOCAB, 3, 7, window)
    ids = ids_of((1, 12))
    changed = ids.copy()
    changed[0, 4] = (changed[0, 4] + 1) % VOCAB
    before, after = (
        architecture.forward(numpy_ops, drawn_weights(architecture), x)[0][0]
        for x in (ids, changed)
    )
    differs = np.abs(before - after).max(axis=1) > 1e-6
    assert np.flatnonzero(differs).tolist() == list(range(4, 4 + window))


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("window", [1, 2, 5])
def test_steps_and_pieces_equal_the_whole(window, direct):
    architecture = NNLM(VOCAB, 3, 7, window, direct=direct)
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    player = Player(architecture, network.named_weights())
    ids = ids_of((2, 9))
    whole = ops.convert_to_numpy(network(ids))
    first, state = architecture.forward(numpy_ops, player.weights, ids[:, :4])
    second, _ = architecture.forward(numpy_ops, player.weights, ids[:, 4:], state)
    pieces = np.concatenate([first, second], axis=1)
    np.testing.assert_allclose(pieces, whole, atol=1e-5)
    state, played = network.start(2), player.start(2)
    for t in range(9):
        logits, state = network.step(ids[:, t], state)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, t], atol=1e-4)
        logits, played = player.step(ids[:, t], played)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)


@pytest.mark.parametrize("window", [1, 3])
def test_both_engines_draw_the_same_tokens(window):
    class AnyOrder:
        allowed = np.arange(VOCAB)[None] > 0
        next_state = np.zeros((1, VOCAB), np.int32)

        def state_after(self, _):
            return 0

    architecture = NNLM(VOCAB, 3, 7, window, direct=True)
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    asked = Request(ids_of((2, 3)), 12, AnyOrder(), seed=3)
    ours = generate(Player(architecture, network.named_weights()), asked)
    compiled = CompiledGenerator(network).generate(asked)
    np.testing.assert_array_equal(ours.ids, compiled.ids)


@pytest.mark.slow
def test_it_trains_under_xla_on_one_length_and_then_another():
    network = Network(NNLM(VOCAB, 3, 7, 4, direct=True, dropout=0.1))
    network.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    for length in (6, 9):
        ids = ids_of((4, length))
        losses = [float(network.train_on_batch(ids, ids)) for _ in range(20)]
        assert losses[-1] < losses[0]


def test_a_window_or_choice_outside_its_limits_is_refused():
    for bad in (0, 513, 2.0, True):
        with pytest.raises(
            ValueError, match=r"`window` must be an integer in 1\.\.512"
        ):
            NNLM(VOCAB, window=bad)
    with pytest.raises(ValueError, match="`direct` must be true or false"):
        NNLM(VOCAB, direct=1)

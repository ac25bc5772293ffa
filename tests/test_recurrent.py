"""GRU, RNN and the options of every recurrent model, held against Keras and the law."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from audio_models import numpy_ops
from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.generation import CompiledGenerator
from audio_models.gru import GRU, gru_cell, gru_sequence
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.recurrent import LSTM, lstm_cell, lstm_sequence
from audio_models.request import Request
from audio_models.rnn import RNN, rnn_cell, rnn_sequence

VOCAB = 23
SIZES = {"vocab_size": VOCAB, "embedding_dim": 8, "hidden_dim": 16, "num_layers": 2}
OPTIONS = {
    "lstm, learned start": LSTM(**SIZES, learned_start=True),
    "gru, learned start": GRU(**SIZES, learned_start=True),
    "rnn, learned start": RNN(**SIZES, learned_start=True),
    "rnn, relu": RNN(**SIZES, activation="relu"),
    "rnn, identity": RNN(
        **SIZES, activation="relu", identity_start=True, learned_start=True
    ),
}
every_option = pytest.mark.parametrize(
    "architecture", OPTIONS.values(), ids=OPTIONS.keys()
)


def drawn_weights(architecture, seed=0, spread=0.2):
    """Every array away from its first values: no bias or start is zero."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, spread, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def network_of(architecture, seed=0):
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture, seed))
    return network


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, shape).astype("int32")


class AnyOrder:
    """A grammar that forbids nothing but PAD."""

    allowed = np.ones((1, VOCAB), bool)
    allowed[0, 0] = False
    next_state = np.zeros((1, VOCAB), np.int32)
    start = 0

    def state_after(self, _):
        return 0


@pytest.mark.parametrize(
    ("architecture", "theirs"),
    [
        (GRU(**{**SIZES, "num_layers": 1}), keras.layers.GRU),
        (RNN(**{**SIZES, "num_layers": 1}), keras.layers.SimpleRNN),
        (
            RNN(**{**SIZES, "num_layers": 1}, activation="relu"),
            partial(keras.layers.SimpleRNN, activation="relu"),
        ),
    ],
    ids=["gru", "rnn", "rnn relu"],
)
def test_ours_equals_that_of_keras_with_the_same_weights(architecture, theirs):
    weights = drawn_weights(architecture)
    bias = weights["layer0.bias"]
    if isinstance(architecture, GRU):
        bias = np.stack([bias, weights["layer0.recurrent_bias"]])
    layer = theirs(16, return_sequences=True)
    ids = ids_of((2, 9))
    x = weights["embedding"][ids]
    layer.build(x.shape)
    layer.set_weights([weights["layer0.input"], weights["layer0.recurrent"], bias])
    expected = ops.convert_to_numpy(layer(x)) @ weights["head.kernel"]
    expected = expected + weights["head.bias"]
    ours, _ = architecture.forward(numpy_ops, weights, ids)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    ours = ops.convert_to_numpy(network_of(architecture)(ids))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_one_step_of_each_cell_equals_the_calculation_by_hand():
    h, gates = np.array([[0.5]]), np.array([[1.0]])
    (after,) = rnn_cell(numpy_ops, gates, np.array([[-4.0]]), h)
    assert after[0, 0] == pytest.approx(np.tanh(1 - 2))
    (after,) = rnn_cell(numpy_ops, gates, np.array([[-4.0]]), h, "relu")
    assert after[0, 0] == 0
    # z = sigmoid(ln 3) = 3/4; r = sigmoid(0) = 1/2; n = tanh(1 + 1/2 (1/2 * 2 + 3))
    gates = np.array([[np.log(3.0), 0.0, 1.0]])
    recurrent, bias = np.array([[0.0, 0.0, 2.0]]), np.array([0.0, 0.0, 3.0])
    (after,) = gru_cell(numpy_ops, gates, recurrent, bias, h)
    assert after[0, 0] == pytest.approx(0.75 * 0.5 + 0.25 * np.tanh(3.0))


@pytest.mark.parametrize("time", [1, 2, 7])
@pytest.mark.parametrize("kind", ["gru", "tanh", "relu"])
def test_the_hand_written_gradient_equals_automatic_differentiation(kind, time):
    rng = np.random.default_rng(0)
    batch, width = 3, 5
    blocks = 3 if kind == "gru" else 1
    shapes = [(time, batch, blocks * width), (width, blocks * width), (batch, width)]
    cell, sequence = gru_cell, gru_sequence
    if kind == "gru":
        shapes.insert(2, (blocks * width,))
    else:
        cell = partial(rnn_cell, activation=kind)
        sequence = partial(rnn_sequence, activation=kind)
    inputs = [tf.Variable(rng.normal(size=s).astype("float32")) for s in shapes]
    weight = tf.constant(rng.normal(size=(time, batch, width)).astype("float32"))
    end = tf.constant(rng.normal(size=(batch, width)).astype("float32"))

    def automatic(ops, gates, *rest):
        *loop, h = rest
        outputs = []
        for t in range(time):
            (h,) = cell(ops, gates[t], *loop, h)
            outputs.append(h)
        return tf.stack(outputs), (h,)

    gradients = []
    for run in (sequence, automatic):
        with tf.GradientTape() as tape:
            y, (h,) = run(ops, *[ops.convert_to_tensor(x) for x in inputs])
            loss = tf.reduce_sum(y * weight) + tf.reduce_sum(h * end)
        gradients.append(tape.gradient(loss, inputs))
    for ours, theirs in zip(*gradients, strict=True):
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@every_option
def test_step_and_player_equal_call_with_every_option(architecture):
    network = network_of(architecture)
    player = Player(architecture, network.named_weights())
    ids = ids_of((3, 12))
    whole = ops.convert_to_numpy(network(ids))
    plain, after = architecture.forward(numpy_ops, player.weights, ids)
    np.testing.assert_allclose(plain, whole, atol=1e-4)
    state, played = network.start(3), player.start(3)
    for t in range(12):
        logits, state = network.step(ids[:, t], state)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, t], atol=1e-4)
        logits, played = player.step(ids[:, t], played)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)
    for ours, theirs in zip(after, played, strict=True):
        assert ours.dtype == theirs.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@every_option
def test_both_engines_draw_the_same_tokens_with_every_option(architecture):
    network = network_of(architecture)
    asked = Request(ids_of((2, 3)), 12, AnyOrder(), seed=3)
    player = Player(architecture, network.named_weights())
    compiled = CompiledGenerator(network).generate(asked)
    np.testing.assert_array_equal(generate(player, asked).ids, compiled.ids)


@pytest.mark.parametrize("kind", [LSTM, GRU, RNN])
def test_a_learned_start_is_zero_at_first_and_then_learnt(kind):
    plain, learned = kind(**SIZES), kind(**SIZES, learned_start=True)
    networks = [Network(a, seed=1) for a in (plain, learned)]
    ids = ids_of((4, 6))
    before = [ops.convert_to_numpy(n(ids)) for n in networks]
    np.testing.assert_array_equal(*before)
    starts = [v for v in networks[1].trainable_variables if "start" in v.name]
    assert [v.name for v in starts] == [f"start_{state}" for state in kind.STATES]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(networks[1](ids)))
    for gradient in tape.gradient(loss, [v.value for v in starts]):
        assert gradient.shape == (2, 16)
        assert (np.abs(gradient) > 1e-6).all()


def test_a_learned_start_is_what_the_first_token_meets():
    architecture = RNN(VOCAB, 8, 16, 1, learned_start=True)
    w = drawn_weights(architecture)
    first = w["embedding"][5] @ w["layer0.input"] + w["layer0.bias"]
    h = np.tanh(first + w["start.h"][0] @ w["layer0.recurrent"])
    logits, _ = architecture.forward(numpy_ops, w, np.array([[5]]))
    expected = h @ w["head.kernel"] + w["head.bias"]
    np.testing.assert_allclose(logits[0, 0], expected, atol=1e-5)


def test_with_an_identity_start_what_was_read_stays():
    architecture = RNN(VOCAB, 8, 16, 1, activation="relu", identity_start=True)
    weights = Network(architecture, seed=2).named_weights()
    weights["embedding"][7:] = 0  # tokens that say nothing
    ids = np.array([[3, 7, 8, 9, 10, 22]])
    logits, (h,) = architecture.forward(numpy_ops, weights, ids)
    assert h.max() > 0.1
    np.testing.assert_array_equal(logits[:, 1:], logits[:, :1].repeat(5, axis=1))


def test_an_identity_start_adds_the_identity_to_the_recurrent_weight():
    sizes = {**SIZES, "activation": "relu"}
    weights = drawn_weights(RNN(**sizes))
    beside = {
        name: array - np.eye(16, dtype="float32") if "recurrent" in name else array
        for name, array in weights.items()
    }
    ids = ids_of((2, 7))
    plain, _ = RNN(**sizes).forward(numpy_ops, weights, ids)
    ours, _ = RNN(**sizes, identity_start=True).forward(numpy_ops, beside, ids)
    np.testing.assert_allclose(ours, plain, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture",
    [GRU(VOCAB, 4, 4, 1), RNN(VOCAB, 4, 4, 1, activation="relu", identity_start=True)],
    ids=["gru", "rnn"],
)
def test_it_trains_under_xla_on_one_length_and_then_another(architecture):
    network = Network(architecture)
    network.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    for length in (6, 9):
        ids = ids_of((4, length))
        losses = [float(network.train_on_batch(ids, ids)) for _ in range(12)]
        assert losses[-1] < losses[0]


def test_a_bundle_from_before_an_option_opens_without_it():
    folder = Path(__file__).resolve().parent.parent / "assets" / "bundles" / "fiddle"
    sizes = json.loads((folder / "bundle.json").read_text())["sizes"]
    assert "learned_start" not in sizes  # written before there was one
    architecture = load_bundle(folder).architecture
    assert asdict(architecture) == {**sizes, "learned_start": False}


@every_option
def test_a_bundle_keeps_the_options(architecture, tmp_path):
    weights = drawn_weights(architecture)
    save_bundle(tmp_path / "b", Bundle(architecture, weights, {}))
    opened = load_bundle(tmp_path / "b")
    assert opened.architecture == architecture
    assert all((opened.weights[name] == weights[name]).all() for name in weights)


@pytest.mark.parametrize("time", [1, 2, 6])
def test_the_lstm_compiled_equals_its_cell_step_by_step_with_its_gradient(time):
    rng = np.random.default_rng(0)
    shapes = [(time, 3, 20), (5, 20), (3, 5), (3, 5)]
    inputs = [tf.constant(rng.normal(size=s).astype("float32")) for s in shapes]
    upstream = tf.constant(rng.normal(size=(time + 2, 3, 5)).astype("float32"))

    def step_by_step(gates, recurrent, h, c):
        outputs = []
        for t in range(time):
            h, c = lstm_cell(ops, gates[t], recurrent, h, c)
            outputs.append(h)
        return tf.stack(outputs), (h, c)

    results = []
    for sequence in (step_by_step, partial(lstm_sequence, ops)):

        @tf.function(jit_compile=True)
        def run(*inputs, sequence=sequence):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y, (h, c) = sequence(*inputs)
                total = tf.reduce_sum(tf.concat([y, [h, c]], axis=0) * upstream)
            return y, h, c, *tape.gradient(total, inputs)

        results.append(run(*inputs))
    for ours, theirs in zip(*results, strict=True):
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

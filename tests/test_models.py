"""Every architecture, under one contract."""

import numpy as np
import pytest
from keras import ops

from audio_models import MODELS, numpy_ops
from audio_models.architecture import check_weights
from audio_models.network import Network
from audio_models.player import Player

VOCAB = 23
SMALL = {
    "lstm": {"embedding_dim": 8, "hidden_dim": 16, "num_layers": 2},
    "gru": {"embedding_dim": 8, "hidden_dim": 16, "num_layers": 2},
    "rnn": {"embedding_dim": 8, "hidden_dim": 16, "num_layers": 2},
    "nnlm": {"embedding_dim": 8, "hidden_dim": 16, "window": 4},
    "transformer": {
        "hidden_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "context_length": 32,
    },
    "voices": {
        "first_pitch": 0,
        "num_pitches": VOCAB - 2,
        "rest": VOCAB - 1,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "num_layers": 2,
        "chain_dim": 16,
    },
    "anticipation": {
        "first_pitch": 0,
        "num_pitches": VOCAB - 2,
        "rest": VOCAB - 1,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "num_layers": 2,
        "chain_dim": 16,
        "num_voices": 2,
        "ahead_dim": 8,
        "lookback": True,
    },
    "frames": {
        "num_classes": 3,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "frame": 4,
        "window": 6,
        "sample_dim": 32,
    },
    "dilated": {
        "num_classes": 3,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "num_layers": 6,
        "cycle": 3,
        "skip_dim": 32,
    },
    "state-space": {
        "num_classes": 3,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "num_layers": 2,
        "window": 3,
        "skip_dim": 32,
    },
}
every_model = pytest.mark.parametrize("name", MODELS)


def small(name, **changes):
    return MODELS[name](vocab_size=VOCAB, **{**SMALL[name], **changes})


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, shape).astype("int32")


def test_every_model_has_a_small_size_to_test():
    assert set(SMALL) == set(MODELS)


@every_model
def test_changing_a_token_leaves_all_logits_before_it(name):
    network = Network(small(name), seed=1)
    ids = ids_of((2, 12))
    changed = ids.copy()
    changed[:, 7] = (changed[:, 7] + 1) % VOCAB
    before, after = (ops.convert_to_numpy(network(x)) for x in (ids, changed))
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7] - after[:, 7]).max() > 1e-4


@every_model
def test_step_after_step_equals_call(name):
    network = Network(small(name), seed=1)
    ids = ids_of((3, 20))
    whole = ops.convert_to_numpy(network(ids))
    state = network.start(3)
    for t in range(20):
        logits, state = network.step(ids[:, t], state)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, t], atol=1e-4)


@every_model
def test_the_numpy_player_equals_keras(name):
    network = Network(small(name), seed=1)
    player = Player(network.architecture, network.named_weights())
    ids = ids_of((3, 20))
    whole = ops.convert_to_numpy(network(ids))
    state = player.start(3)
    for t in range(20):
        logits, state = player.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)
    plain, _ = network.architecture.forward(numpy_ops, player.weights, ids)
    np.testing.assert_allclose(plain, whole, atol=1e-4)


@every_model
def test_one_batch_can_be_learnt_to_near_zero(name):
    import keras

    network = Network(small(name, dropout=0.0), seed=1)
    ids = ids_of((4, 17))
    # A first token of its own for each row: what follows can be known by heart.
    ids[:, 0] = np.arange(4)
    network.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = []
    while len(losses) < 300 and min(losses, default=1) >= 0.05:
        losses.append(float(network.train_on_batch(ids[:, :-1], ids[:, 1:])))
    assert losses[0] == pytest.approx(np.log(VOCAB), rel=0.5)
    assert losses[-1] < 0.05


@every_model
def test_padding_behind_a_piece_changes_nothing_before_it(name):
    network = Network(small(name), seed=1)
    ids = ids_of((1, 10))
    padded = np.pad(ids, ((0, 0), (0, 6)))
    np.testing.assert_allclose(
        ops.convert_to_numpy(network(ids)),
        ops.convert_to_numpy(network(padded))[:, :10],
        atol=1e-5,
    )


@every_model
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(name):
    first, same, other = (
        Network(small(name), seed=s).named_weights() for s in (1, 1, 2)
    )
    assert all((first[k] == same[k]).all() for k in first)
    assert any((first[k] != other[k]).any() for k in first)


@every_model
def test_a_size_outside_its_limits_is_refused(name):
    for bad in (0, -1, 10**9, 2.0, "8", True):
        with pytest.raises(ValueError, match="`hidden_dim` must be an integer in"):
            small(name, hidden_dim=bad)
    for bad in (1.0, -0.1, float("nan"), "0.1"):
        with pytest.raises(ValueError, match="`dropout` must be in"):
            small(name, dropout=bad)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_choice_that_is_none_is_refused(name):
    for bad in (1, 0, "true", None):
        with pytest.raises(ValueError, match="`learned_start` must be true or false"):
            small(name, learned_start=bad)
    for bad in ("sigmoid", "", None, ["tanh"]):
        with pytest.raises(ValueError, match="`activation` must be one of tanh, relu"):
            small("rnn", activation=bad)


@every_model
def test_weights_that_do_not_fit_are_named(name):
    architecture = small(name)
    weights = Network(architecture).named_weights()
    with pytest.raises(ValueError, match=r"missing, or not known: head\.bias"):
        check_weights(
            architecture, {k: v for k, v in weights.items() if k != "head.bias"}
        )
    with pytest.raises(ValueError, match=r"head\.bias must have shape"):
        check_weights(architecture, {**weights, "head.bias": np.zeros(3)})
    poisoned = np.full(VOCAB, np.nan, "float32")
    with pytest.raises(
        ValueError, match=r"head\.bias holds numbers that are not finite"
    ):
        check_weights(architecture, {**weights, "head.bias": poisoned})


def test_the_hand_written_lstm_gradient_equals_automatic_differentiation():
    import tensorflow as tf

    from audio_models.recurrent import lstm_cell, lstm_sequence

    rng = np.random.default_rng(0)
    time, batch, width = 7, 3, 5
    shapes = [(time, batch, 4 * width), (width, 4 * width), *[(batch, width)] * 2]
    inputs = [tf.Variable(rng.normal(size=s).astype("float32")) for s in shapes]
    weight = tf.constant(rng.normal(size=(time, batch, width)).astype("float32"))
    ends = tf.constant(rng.normal(size=(2, batch, width)).astype("float32"))

    def by_hand(gates, recurrent, h, c):
        y, last = lstm_sequence(ops, gates, recurrent, h, c)
        return y, last

    def automatic(gates, recurrent, h, c):
        outputs = []
        for t in range(time):
            h, c = lstm_cell(ops, gates[t], recurrent, h, c)
            outputs.append(h)
        return tf.stack(outputs), (h, c)

    gradients = []
    for sequence in (by_hand, automatic):
        with tf.GradientTape() as tape:
            y, (h, c) = sequence(*[ops.convert_to_tensor(x) for x in inputs])
            loss = tf.reduce_sum(y * weight) + tf.reduce_sum(tf.stack([h, c]) * ends)
        gradients.append(tape.gradient(loss, inputs))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_our_lstm_equals_that_of_keras_with_the_same_weights():
    import keras

    architecture = small("lstm", num_layers=1)
    weights = Network(architecture, seed=4).named_weights()
    theirs = keras.layers.LSTM(16, return_sequences=True)
    ids = ids_of((2, 9))
    x = weights["embedding"][ids]
    theirs.build(x.shape)
    theirs.set_weights([weights[f"layer0.{n}"] for n in ("input", "recurrent", "bias")])
    y = ops.convert_to_numpy(theirs(x))
    logits = y @ weights["head.kernel"] + weights["head.bias"]
    ours, _ = architecture.forward(numpy_ops, weights, ids)
    np.testing.assert_allclose(ours, logits, atol=1e-5)


def test_rotary_scores_depend_on_distance_alone():
    from audio_models.transformer import _rotate, _rotation

    q, k = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)).astype("float32")

    def score(at_q, at_k):
        turned = [
            _rotate(numpy_ops, x, _rotation(numpy_ops, np.array([at]), 8))
            for x, at in ((q, at_q), (k, at_k))
        ]
        return float((turned[0] * turned[1]).sum())

    assert score(3, 1) == pytest.approx(score(103, 101), abs=1e-4)
    assert abs(score(3, 1) - score(3, 2)) > 1e-3


def test_a_transformer_reads_past_its_context_as_it_steps():
    architecture = small("transformer", context_length=8)
    network = Network(architecture, seed=3)
    player = Player(architecture, network.named_weights())
    ids = ids_of((2, 30))
    whole = ops.convert_to_numpy(network(ids))
    state = player.start(2)
    for t in range(30):
        logits, state = player.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-4)


def test_a_cache_that_fits_in_no_memory_is_refused():
    with pytest.raises(ValueError, match="would not fit in memory"):
        small("transformer", num_layers=64, context_length=65_536, hidden_dim=4096)


def test_a_transformer_steps_past_its_context_and_forgets_the_oldest_token():
    player_of = {}
    architecture = small("transformer", num_layers=1, context_length=8)
    weights = Network(architecture, seed=3).named_weights()
    ids = ids_of((1, 30))
    for first in (0, 22):  # with one layer, only the last 8 tokens can matter
        player = Player(architecture, weights)
        state = player.start(1)
        keys, values, _ = state
        state = (keys, values, np.int32(0))
        for t in range(first, 30):
            logits, state = player.step(ids[:, t], state)
        player_of[first] = logits
    np.testing.assert_allclose(player_of[0], player_of[22], atol=1e-4)

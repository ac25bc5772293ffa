"""Resonators: what rings and for how long, against arithmetic in complex numbers."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from test_sample_networks import EVERY, RINGS, drawn_weights, piece, whole

from audio_models import numpy_ops
from audio_models.frames import level_features
from audio_models.network import Network
from audio_models.state_space import LONGEST_RING, StateSpace, first_poles, rung

PLAIN = EVERY["state-space"]


def test_one_stroke_rings_on_as_a_damped_cosine_and_sine():
    rate, pitch = np.float32([0.1, 0.01]), np.float32([0.5, 2.0])
    driven = np.zeros((30, 1, 2), "float32")
    driven[4] = 1
    re, im = rung(numpy_ops, driven, rate, pitch)
    assert not re[:4].any() and not im[:4].any()
    t = np.arange(26)[:, None]
    np.testing.assert_allclose(
        re[4:, 0], np.exp(-rate * t) * np.cos(pitch * t), atol=1e-5
    )
    np.testing.assert_allclose(
        im[4:, 0], np.exp(-rate * t) * np.sin(pitch * t), atol=1e-5
    )


def test_what_rings_and_its_gradient_are_those_of_a_loop_differentiated_by_itself():
    rng = np.random.default_rng(0)
    time, rows, size = 9, 3, 4
    inputs = [
        tf.Variable(rng.normal(size=(time, rows, size)).astype("float32")),
        tf.Variable(rng.uniform(0.01, 0.5, size).astype("float32")),
        tf.Variable(rng.uniform(0.1, 3.0, size).astype("float32")),
    ]
    asked = tf.constant(rng.normal(size=(2, time, rows, size)).astype("float32"))

    def plain(driven, rate, pitch):
        turn = tf.exp(tf.complex(-rate, pitch))
        h, every = tf.zeros((rows, size), "complex64"), []
        for t in range(time):
            h = turn * h + tf.cast(driven[t], "complex64")
            every.append(h)
        every = tf.stack(every)
        return tf.math.real(every), tf.math.imag(every)

    found = []
    for form in (plain, lambda *given: rung(ops, *given)):
        with tf.GradientTape() as tape:
            re, im = form(*[tf.convert_to_tensor(x) for x in inputs])
            loss = tf.reduce_sum(tf.stack([re, im]) * asked)
        found.append([re, im, *tape.gradient(loss, inputs)])
    for theirs, ours in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_one_layer_is_its_formula():
    one = StateSpace(260, **{**RINGS, "num_layers": 1, "window": 1})
    weights, ids = drawn_weights(one), piece(one, 1, 6)
    w = {name: array.astype("float64") for name, array in weights.items()}
    told = np.c_[level_features(260, 4)[ids[0]], w["embedding"][ids[0]]]
    rate, pitch = first_poles(6)
    rate = rate * np.exp(w["layer0.rate"])
    turn = np.exp(-rate + 1j * pitch * np.exp(w["layer0.pitch"]))
    h = np.zeros(6, complex)
    for t, x in enumerate(told @ w["input"]):
        n = x / np.sqrt((x**2).mean() + 1e-6) * w["layer0.norm"]
        h = turn * h + np.sqrt(1 - np.abs(turn) ** 2) * (n @ w["layer0.drive"])
        both = np.r_[h.real, h.imag, n] @ w["layer0.output"] + w["layer0.bias"]
        x = x + both[:6] / (1 + np.exp(-both[6:]))
        n = x / np.sqrt((x**2).mean() + 1e-6) * w["skip.norm"]
        y = np.maximum(n @ w["skip.kernel"] + w["skip.bias"], 0)
        expected = y @ w["head.kernel"] + w["head.bias"]
        np.testing.assert_allclose(whole(one, ids)[0, t], expected, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 96])
def test_the_first_resonators_ring_from_two_steps_to_the_longest_each_its_own_way(
    count,
):
    rate, pitch = first_poles(count)
    assert rate[0] == pytest.approx(0.5)
    if count > 1:
        assert rate[-1] == pytest.approx(1 / LONGEST_RING)
        ratios = rate[1:] / rate[:-1]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    assert ((pitch > 0) & (pitch < np.pi)).all()
    assert len(np.unique(pitch)) == count


def test_noise_makes_every_resonator_as_loud_as_itself():
    # The sum of |sqrt(1 - exp(-2r)) exp((-r + iw) t)|^2 over all t is 1.
    rate, pitch = first_poles(8)
    driven = np.random.default_rng(0).normal(size=(20_000, 4, 8)).astype("float32")
    re, im = rung(numpy_ops, driven * np.sqrt(1 - np.exp(-2 * rate)), rate, pitch)
    power = (re[4000:] ** 2 + im[4000:] ** 2).mean(axis=(0, 1))
    np.testing.assert_allclose(power, 1, rtol=0.2)


def test_a_token_is_heard_long_after_all_that_any_window_of_the_network_holds():
    ids = piece(PLAIN, 1, 200)
    changed = ids.copy()
    changed[0, 1] = 4 + (changed[0, 1] - 4 + 128) % 256
    apart = np.abs(whole(PLAIN, ids) - whole(PLAIN, changed)).max(-1)[0]
    assert apart[0] == 0 and (apart[1:] > 1e-6).all()


def test_at_any_learnt_rate_nothing_grows_without_end():
    # exp(-rate), with a rate above 0 whatever is learnt.
    weights = drawn_weights(PLAIN)
    for learnt in (-9.0, 9.0):
        for layer in range(PLAIN.num_layers):
            weights[f"layer{layer}.rate"][:] = learnt
        assert np.isfinite(whole(PLAIN, piece(PLAIN, 1, 2000), weights)).all()


@pytest.mark.slow
def test_one_batch_is_learnt_to_near_zero():
    import keras

    network = Network(StateSpace(23, 4, 3, 8, 16, 2, 3, 32), seed=1)
    ids = np.random.default_rng(0).integers(0, 23, (4, 17)).astype("int32")
    ids[:, 0] = np.arange(4)  # what follows can be known by heart
    network.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    losses = []
    while len(losses) < 300 and min(losses, default=1) >= 0.05:
        losses.append(float(network.train_on_batch(ids[:, :-1], ids[:, 1:])))
    assert losses[0] == pytest.approx(np.log(23), rel=0.5)
    assert losses[-1] < 0.05


def test_changing_a_token_leaves_all_logits_before_it_as_they_were():
    network = Network(PLAIN, seed=1)
    ids = piece(PLAIN, 2, 12)
    changed = ids.copy()
    changed[:, 7] = 4 + (ids[:, 7] - 3) % 256
    before, after = (ops.convert_to_numpy(network(x)) for x in (ids, changed))
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7] - after[:, 7]).max() > 1e-4


def test_sizes_that_cannot_be_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"`hidden_dim` must be an integer in 1"):
        StateSpace(260, hidden_dim=0)
    with pytest.raises(ValueError, match=r"`window` must be an integer in 1\.\.512"):
        StateSpace(260, window=513)

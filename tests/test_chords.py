"""Chords as one distribution: exact, causal in time and up the keys, and learnable."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from audio_models import numpy_ops
from audio_models.chord_network import ChordLoss, ChordNetwork
from audio_models.chords import (
    RECALL_LENGTHS,
    ChordLSTM,
    log_probability,
    recall,
    sample,
)

KEYS = 6
TINY = {"num_pitches": KEYS, "hidden_dim": 5, "chord_dim": 7, "most_notes": 2}
LAYERS_AND_RECALL = pytest.mark.parametrize(
    ("num_layers", "recalls"), [(1, False), (2, True)]
)


def drawn_weights(architecture, seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, spread, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def piece(shape, seed=0, share=0.4):
    """(frames as read, the frames after them) of random pieces (B, T + 1, keys)."""
    rows, length, keys = shape
    rng = np.random.default_rng(seed)
    frames = (rng.random((rows, length + 1, keys)) < share).astype("float32")
    return frames[:, :-1], frames[:, 1:]


def read(architecture, frames):
    if not architecture.recall:
        return frames
    return np.concatenate([frames, np.stack([recall(f) for f in frames])], axis=-1)


def every_chord(keys):
    return np.array(list(itertools.product((0, 1), repeat=keys)), dtype="float32")


@pytest.mark.parametrize("most_notes", [1, 2, 4])
def test_the_probabilities_of_all_chords_of_a_keyboard_sum_to_one(most_notes):
    architecture = ChordLSTM(4, 5, 1, 7, most_notes)
    weights = drawn_weights(architecture)
    frames, _ = piece((1, 3, 4))
    _, state = architecture.forward(numpy_ops, weights, frames, frames)
    chords = every_chord(4)[:, None]  # (16, 1, 4)
    states = tuple(np.repeat(part, 16, axis=1) for part in state)
    now = np.repeat(frames[:, -1:], 16, axis=0)
    logits, _ = architecture.forward(numpy_ops, weights, now, chords, states)
    shares = np.exp(log_probability(numpy_ops, logits.astype("float64"), chords))
    assert shares.min() > 0
    np.testing.assert_allclose(shares.sum(), 1, atol=1e-5)
    assert shares.max() > 2 / 16  # and it is no uniform one


def test_a_chord_is_as_likely_as_its_walk_up_the_keyboard_by_hand():
    # Zero weights but the biases: scores depend on the place alone.
    architecture = ChordLSTM(3, 2, 1, 2, 2)
    weights = {n: w * 0 for n, w in drawn_weights(architecture).items()}
    weights["head.bias"] = np.log(
        np.array([[1, 2, 3, 4], [5, 1, 1, 2], [1, 1, 3, 1]], "float32")
    )
    targets = np.array([[[0, 0, 0]], [[0, 1, 0]], [[1, 0, 1]], [[1, 1, 1]]], "float32")
    frames = np.zeros((4, 1, 3), "float32")
    logits, _ = architecture.forward(numpy_ops, weights, frames, targets)
    expected = [
        4 / 10,  # no more, at once
        2 / 10 * 2 / 3,  # key 1; then, of key 2 and no more, the latter
        1 / 10 * 1 / 4 * 1 / 1,  # key 0; key 2; nothing stands above it
        1 / 10 * 1 / 4 * 3 / 4,
    ]
    shares = np.exp(log_probability(numpy_ops, logits, targets))[:, 0]
    np.testing.assert_allclose(shares, expected, rtol=1e-5)


@LAYERS_AND_RECALL
def test_changing_a_frame_leaves_the_logits_before_it_unchanged(num_layers, recalls):
    architecture = ChordLSTM(**TINY, num_layers=num_layers, recall=recalls)
    weights = drawn_weights(architecture)
    frames, targets = piece((2, 9, KEYS))
    changed = frames.copy()
    changed[:, 5] = 1 - changed[:, 5]
    before, after = (
        architecture.forward(numpy_ops, weights, read(architecture, x), targets)[0]
        for x in (frames, changed)
    )
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert np.abs(before[:, 5] - after[:, 5]).max() > 1e-3


def test_the_logit_of_a_key_depends_on_the_keys_below_it_alone():
    architecture = ChordLSTM(**TINY)
    weights = drawn_weights(architecture)
    frames, targets = piece((3, 4, KEYS))
    before = architecture.forward(numpy_ops, weights, frames, targets)[0]
    for key in range(KEYS):
        changed = targets.copy()
        changed[..., key:] = 1 - changed[..., key:]
        after = architecture.forward(numpy_ops, weights, frames, changed)[0]
        np.testing.assert_allclose(
            after[..., : key + 1], before[..., : key + 1], atol=1e-5
        )
        if key + 1 < KEYS:
            assert np.abs(after[..., key + 1 :] - before[..., key + 1 :]).max() > 1e-3


@LAYERS_AND_RECALL
def test_steps_and_numpy_equal_the_call_of_keras(num_layers, recalls):
    architecture = ChordLSTM(**TINY, num_layers=num_layers, recall=recalls)
    network = ChordNetwork(architecture)
    network.load_named_weights(drawn_weights(architecture))
    frames, targets = piece((2, 7, KEYS))
    frames = read(architecture, frames)
    whole = ops.convert_to_numpy(network((frames, targets)))
    weights = network.named_weights()
    ours, _ = architecture.forward(numpy_ops, weights, frames, targets)
    np.testing.assert_allclose(ours, whole, atol=1e-4)
    state, played = network.start(2), architecture.start(numpy_ops, 2)
    for t in range(7):
        logits, state = network.step((frames[:, t], targets[:, t]), state)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, t], atol=1e-4)
        at = slice(t, t + 1)
        logits, played = architecture.forward(
            numpy_ops, weights, frames[:, at], targets[:, at], played
        )
        np.testing.assert_allclose(logits[:, 0], whole[:, t], atol=1e-4)


def test_scores_far_apart_give_finite_logits():
    architecture = ChordLSTM(**TINY)
    weights = drawn_weights(architecture, spread=100.0)
    frames, targets = piece((2, 5, KEYS))
    logits, _ = architecture.forward(numpy_ops, weights, frames, targets)
    assert np.isfinite(logits).all()
    assert (log_probability(numpy_ops, logits, targets) <= 0).all()


def learn(architecture, frames, targets, mask, steps, *, seed=0, jit=True):
    network = ChordNetwork(architecture, seed=seed)
    network.compile(
        keras.optimizers.Adam(0.02), ChordLoss(), run_eagerly=not jit, jit_compile=jit
    )
    losses = [
        float(network.train_on_batch((frames, targets), targets, sample_weight=mask))
        for _ in range(steps)
    ]
    return losses, network.named_weights()


@pytest.mark.slow
def test_one_batch_can_be_learnt_to_near_zero():
    architecture = ChordLSTM(8, 32, 1, 32, 3, recall=True)
    frames, targets = piece((2, 12, 8))
    mask = np.ones(targets.shape[:2], "float32")
    losses, _ = learn(architecture, read(architecture, frames), targets, mask, 250)
    assert losses[0] > 3
    assert losses[-1] < 0.05


@pytest.mark.slow
def test_padding_is_never_learnt_from_and_a_seed_gives_the_same_weights():
    architecture = ChordLSTM(**TINY, dropout=0.2)
    frames, targets = piece((2, 8, KEYS))
    mask = np.ones(targets.shape[:2], "float32")
    mask[1, 5:] = 0
    other = frames.copy(), targets.copy()
    other[0][1, 6:], other[1][1, 5:] = 1 - frames[1, 6:], 1 - targets[1, 5:]
    losses, weights = learn(architecture, frames, targets, mask, 5, jit=False)
    same, same_weights = learn(architecture, *other, mask, 5, jit=False)
    np.testing.assert_allclose(same, losses, rtol=1e-5)
    for name, value in weights.items():
        np.testing.assert_allclose(same_weights[name], value, atol=1e-5)
    another, _ = learn(architecture, frames, targets, mask, 1, seed=1, jit=False)
    assert abs(another[0] - losses[0]) > 1e-4


def test_the_loss_is_the_mean_over_real_frames():
    _, targets = piece((2, 4, KEYS))
    logits = np.random.default_rng(1).normal(size=targets.shape).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0]], "float32")
    on = 1 / (1 + np.exp(-logits.astype("float64")))
    nats = -np.log(np.where(targets == 1, on, 1 - on)).sum(axis=-1)
    got = float(ChordLoss()(targets, logits, sample_weight=mask))
    assert got == pytest.approx((nats * mask).sum() / 5, rel=1e-5)


def test_weights_survive_a_file(tmp_path):
    architecture = ChordLSTM(**TINY)
    network = ChordNetwork(architecture, seed=1)
    np.savez(tmp_path / "weights.npz", **network.named_weights())
    with np.load(tmp_path / "weights.npz") as arrays:
        other = ChordNetwork(architecture, seed=2)
        pair = piece((1, 3, KEYS))
        fresh = ops.convert_to_numpy(other(pair))
        other.load_named_weights(dict(arrays))
    expected = ops.convert_to_numpy(network(pair))
    np.testing.assert_array_equal(ops.convert_to_numpy(other(pair)), expected)
    assert np.abs(fresh - expected).max() > 1e-3


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_sampled_chords_follow_the_distribution_of_the_model(temperature):
    rows, keys = 4000, 3
    architecture = ChordLSTM(keys, 4, 1, 5, 2)
    weights = drawn_weights(architecture, seed=3)
    primer = np.repeat(piece((1, 2, keys))[0], rows, axis=0)
    chords, nats = sample(
        architecture, weights, primer, 1, seed=5, temperature=temperature
    )
    every = every_chord(keys)[:, None]
    read_twice = np.repeat(primer[:1], len(every), axis=0)
    both = np.concatenate([read_twice[:, 1:], every], axis=1)
    logits, _ = architecture.forward(numpy_ops, weights, read_twice, both)
    nats_of = log_probability(numpy_ops, logits, both)[:, 1]
    codes = (chords[:, 0] @ [4, 2, 1]).astype(int)
    counts = np.bincount(codes, minlength=8)
    np.testing.assert_allclose(nats[:, 0], nats_of[codes], atol=1e-4)
    expected = rows * np.exp(nats_of.astype("float64"))
    chi_square = ((counts - expected) ** 2 / expected).sum()
    if temperature == 1:
        assert chi_square < 24.3  # 99.9% of 7 degrees of freedom
    else:
        assert chi_square > 24.3  # another temperature is another distribution


def test_a_chord_may_hold_more_notes_than_the_walk_remembers():
    architecture = ChordLSTM(5, 2, 1, 2, 1)
    weights = {n: w * 0 for n, w in drawn_weights(architecture).items()}
    weights["head.bias"] = np.full((2, 6), 9.0, "float32")
    weights["head.bias"][:, -1] = -9.0  # hardly ever "no more"
    chords, nats = sample(architecture, weights, np.zeros((50, 1, 5)), 2, seed=1)
    assert chords.sum(axis=-1).max() > 1
    before = np.concatenate([np.zeros((50, 1, 5), "float32"), chords[:, :1]], axis=1)
    logits, _ = architecture.forward(numpy_ops, weights, before, chords)
    expected = log_probability(numpy_ops, logits, chords)
    np.testing.assert_allclose(nats, expected, atol=1e-4)


@pytest.mark.parametrize("recalls", [False, True])
def test_a_row_is_sampled_alike_in_any_batch_and_its_nats_are_those_of_the_call(
    recalls,
):
    architecture = ChordLSTM(**TINY, recall=recalls)
    weights = drawn_weights(architecture)
    primer, _ = piece((3, 4, KEYS))
    together, nats = sample(architecture, weights, primer, 6, seed=2)
    alone, _ = sample(architecture, weights, primer[:1], 6, seed=2)
    np.testing.assert_array_equal(alone[0], together[0])
    again, _ = sample(architecture, weights, primer, 6, seed=3)
    assert (again != together).any()
    whole = np.concatenate([primer, together], axis=1)
    logits, _ = architecture.forward(
        numpy_ops, weights, read(architecture, whole[:, :-1]), whole[:, 1:]
    )
    expected = log_probability(numpy_ops, logits, whole[:, 1:])[:, 3:]
    np.testing.assert_allclose(nats, expected, atol=1e-4)


def test_recall_gives_what_followed_the_longest_match_by_its_length():
    a, b, c, d = np.eye(4, dtype="float32")
    got = recall(np.stack([a, b, c, a, b, d, b, a])).reshape(8, -1, 4)
    expected = np.zeros_like(got)
    expected[3, 0] = b  # a, as in frame 0
    expected[4, 1] = c  # a b: a match of two frames, in the second block
    expected[6, 0] = d  # b, twice there: the latest counts
    expected[7, 0] = b  # a: b a never stood before
    np.testing.assert_array_equal(got, expected)
    assert recall(np.zeros((0, 4))).shape == (0, 4 * len(RECALL_LENGTHS))
    assert not recall(np.stack([a])).any()


def test_a_match_is_told_by_its_own_block_up_to_the_longest():
    rng = np.random.default_rng(0)
    theme = every_chord(5)[rng.permutation(32)][:20]  # no frame twice
    got = recall(np.concatenate([theme, theme])).reshape(40, -1, 5)
    assert not got[:20].any()
    for t in range(20, 39):
        length = t - 19
        block = sum(length >= least for least in RECALL_LENGTHS) - 1
        np.testing.assert_array_equal(got[t, block], theme[t - 19])
        assert not np.delete(got[t], block, axis=0).any()


def test_settings_outside_their_range_are_refused():
    for name, bad in [
        ("num_pitches", 129), ("hidden_dim", 0), ("num_layers", 1.0),
        ("chord_dim", True), ("most_notes", 17),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=rf"`{name}` must be an integer in 1\.\."):
            ChordLSTM(**{name: bad})
    with pytest.raises(ValueError, match=r"`dropout` must be in \[0, 1\)"):
        ChordLSTM(dropout=1)
    with pytest.raises(ValueError, match="`recall` must be true or false"):
        ChordLSTM(recall=1)


def test_a_primer_or_setting_that_cannot_be_sampled_from_is_refused():
    architecture = ChordLSTM(**TINY)
    weights, primer = drawn_weights(architecture), np.zeros((1, 1, KEYS))
    for bad in (np.zeros((1, 0, KEYS)), np.zeros((1, KEYS)), np.zeros((1, 1, 5))):
        with pytest.raises(ValueError, match="`primer` must be"):
            sample(architecture, weights, bad, 1)
    with pytest.raises(ValueError, match="`primer` must hold 0 and 1"):
        sample(architecture, weights, primer + 0.5, 1)
    with pytest.raises(ValueError, match="`num_frames` must be"):
        sample(architecture, weights, primer, 0)
    for bad in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`temperature` must be"):
            sample(architecture, weights, primer, 1, temperature=bad)

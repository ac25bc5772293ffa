"""Networks that read a sample a step: the laws they share, on both engines."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from audio_models import decode_frames, decode_state_space, numpy_ops
from audio_models.decode import DECODERS, decoder_of
from audio_models.dilated import Dilated
from audio_models.frames import Frames
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.request import Request
from audio_models.state_space import StateSpace

FRAMES = {
    "embedding_dim": 3,
    "hidden_dim": 6,
    "frame": 4,
    "window": 5,
    "sample_dim": 24,
}
DILATED = {
    "embedding_dim": 3,
    "hidden_dim": 4,
    "num_layers": 5,
    "cycle": 3,
    "skip_dim": 6,
}
RINGS = {
    "embedding_dim": 3,
    "hidden_dim": 6,
    "num_layers": 2,
    "window": 3,
    "skip_dim": 24,
}
EVERY = {
    "frames": Frames(260, **FRAMES),
    "frames, classes": Frames(263, num_classes=3, **FRAMES),
    "frames, few taps": Frames(
        263, num_classes=3, **{**FRAMES, "window": 2, "num_layers": 2}
    ),
    "dilated": Dilated(260, **DILATED),
    "dilated, classes": Dilated(263, num_classes=3, **DILATED),
    "dilated, one layer": Dilated(260, **{**DILATED, "num_layers": 1}),
    "state-space": StateSpace(260, **RINGS),
    "state-space, classes": StateSpace(263, num_classes=3, **RINGS),
    "state-space, one tap": StateSpace(260, **{**RINGS, "window": 1}),
}
COMPILED = ("frames, few taps", "dilated, classes", "state-space, classes")
PACKED = [name for name, a in EVERY.items() if type(a) in DECODERS]
BOS, EOS, CLASS = 1, 2, 4


def of(names):
    return pytest.mark.parametrize(
        "architecture", [EVERY[name] for name in names], ids=names
    )


def drawn_weights(architecture, seed=0):
    """No array at its first values, so that each part has its say."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.4, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def piece(architecture, rows, samples, seed=0):
    """BOS, a class in each row if there are any, then samples."""
    rng = np.random.default_rng(seed)
    first = architecture.first_sample
    head = [np.full((rows, 1), BOS)]
    if architecture.num_classes:
        head.append(CLASS + np.arange(rows)[:, None] % architecture.num_classes)
    body = rng.integers(first, first + 256, (rows, samples))
    return np.concatenate([*head, body], axis=1).astype("int32")


def whole(architecture, ids, weights=None):
    weights = weights or drawn_weights(architecture)
    return architecture.forward(numpy_ops, weights, np.asarray(ids))[0]


@of(EVERY)
def test_any_split_of_a_piece_gives_the_logits_of_the_whole(architecture):
    weights = drawn_weights(architecture)
    ids = piece(architecture, 2, 17)
    expected = whole(architecture, ids, weights)
    for cut in range(1, ids.shape[1]):
        state, parts = architecture.start(numpy_ops, 2), []
        for part in (ids[:, :cut], ids[:, cut:]):
            logits, state = architecture.forward(numpy_ops, weights, part, state)
            parts.append(logits)
        np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-4)


@of(EVERY)
def test_a_piece_of_any_length_is_the_beginning_of_a_longer_one(architecture):
    ids = piece(architecture, 3, 11)
    expected = whole(architecture, ids)
    for length in range(1, ids.shape[1] + 1):
        logits = whole(architecture, ids[:, :length])
        np.testing.assert_allclose(logits, expected[:, :length], atol=1e-5)


@of(EVERY)
def test_a_row_is_read_as_it_would_be_alone(architecture):
    ids = piece(architecture, 3, 11)
    together = whole(architecture, ids)
    for row in range(3):
        alone = whole(architecture, ids[row : row + 1])[0]
        np.testing.assert_allclose(alone, together[row], atol=1e-5)


@of(COMPILED)
def test_training_compiles_for_a_length_that_is_told_only_when_it_runs(architecture):
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    spec = tf.TensorSpec((2, None), "int32")
    call = tf.function(
        lambda ids: network(ids, training=True),
        jit_compile=True,
        autograph=False,
        input_signature=[spec],
    )
    for length in (9, 14):
        ids = piece(architecture, 2, length)
        np.testing.assert_allclose(call(ids), whole(architecture, ids), atol=1e-4)


@pytest.mark.slow
@of(COMPILED)
def test_every_weight_is_learnt_at_a_length_that_is_told_only_when_it_runs(
    architecture,
):
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    weights = network.trainable_variables

    @tf.function(
        jit_compile=True,
        autograph=False,
        input_signature=[tf.TensorSpec((2, None), "int32")],
    )
    def gradients(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(network(ids, training=True) ** 2)
        return tape.gradient(loss, weights)

    for length in (9, 14):
        found = gradients(piece(architecture, 2, length))
        for weight, gradient in zip(weights, found, strict=True):
            assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, weight.name


@of(COMPILED)
def test_compiled_steps_and_call_equal_the_plain_arithmetic(architecture):
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    ids = piece(architecture, 2, 12)
    expected = whole(architecture, ids)
    np.testing.assert_allclose(ops.convert_to_numpy(network(ids)), expected, atol=1e-4)
    step = tf.function(network.step, jit_compile=True)
    state = network.start(2)
    for t in range(ids.shape[1]):
        logits, state = step(ops.convert_to_tensor(ids[:, t]), state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)


@of([name for name, a in EVERY.items() if a.num_classes])
def test_a_class_changes_all_that_follows_it_and_nothing_before(architecture):
    ids = np.repeat(piece(architecture, 1, 40), 2, axis=0)
    ids[:, 1] = CLASS, CLASS + 2
    weights = drawn_weights(architecture)
    # Its vector as a token is made the same: what is left is what it is as a class.
    weights["embedding"][CLASS + 2] = weights["embedding"][CLASS]
    apart = np.abs(np.subtract(*whole(architecture, ids, weights))).max(-1)
    assert apart[0] == 0
    assert (apart[1:] > 1e-3).all()


@of([name for name, a in EVERY.items() if a.num_classes])
def test_an_id_in_the_place_of_a_class_that_is_none_is_read_as_a_token_alone(
    architecture,
):
    ids = piece(architecture, 1, 9)
    ids[0, 1] = EOS
    weights = drawn_weights(architecture)
    without = {
        name: np.zeros_like(array) if "class" in name else array
        for name, array in weights.items()
    }
    np.testing.assert_array_equal(
        whole(architecture, ids, weights), whole(architecture, ids, without)
    )


@pytest.mark.parametrize("kind", [Frames, Dilated, StateSpace])
def test_classes_outside_the_vocabulary_are_refused_in_a_sentence(kind):
    with pytest.raises(ValueError, match=r"vocabulary of 8\. Received: 9"):
        kind(8, num_classes=5)
    with pytest.raises(ValueError, match="`num_classes` must be an integer in 0"):
        kind(260, num_classes=-1)


class AnySamples:
    """A grammar of samples and an end: nothing but PAD after it."""

    start = 0

    def __init__(self, architecture, may_end=True):
        self.allowed = np.zeros((2, architecture.vocab_size), bool)
        self.allowed[0, architecture.first_sample :] = True
        self.allowed[0, EOS] = may_end
        self.allowed[1, 0] = True
        self.next_state = np.zeros(self.allowed.shape, np.int32)
        self.next_state[0, EOS] = 1
        self.next_state[1] = 1

    def state_after(self, _):
        return 0


class PlainPlayer(Player):
    """A player that steps with `forward`, as every architecture can."""

    _decoder = None


@of(PACKED)
@pytest.mark.parametrize("has_table", [True, False])
def test_the_packed_step_is_that_of_the_whole(architecture, has_table, monkeypatch):
    if not has_table:  # where it would be large
        for module in (decode_frames, decode_state_space):
            monkeypatch.setattr(module, "LARGEST_TABLE", 0)
    weights = drawn_weights(architecture)
    decoder = decoder_of(architecture, weights)
    ids = piece(architecture, 3, 14)
    expected = whole(architecture, ids, weights)
    state = architecture.start(numpy_ops, 3)
    for t in range(ids.shape[1]):
        logits, state = decoder.step(ids[:, t], state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    last, _ = decoder.read(ids, architecture.start(numpy_ops, 3))
    np.testing.assert_allclose(last, expected[:, -1], atol=1e-4)


@of(PACKED)
def test_packed_steps_of_rows_that_come_and_go_are_those_of_each_alone(architecture):
    # One decoder serves any number of rows, in any order: nothing of one stays in it.
    weights = drawn_weights(architecture)
    decoder = decoder_of(architecture, weights)
    pieces = [piece(architecture, rows, 9, seed=rows) for rows in (1, 3, 2)]
    states = [architecture.start(numpy_ops, len(ids)) for ids in pieces]
    for t in range(pieces[0].shape[1]):
        for number, ids in enumerate(pieces):
            logits, states[number] = decoder.step(ids[:, t], states[number])
            expected = whole(architecture, ids, weights)[:, t]
            np.testing.assert_allclose(logits, expected, atol=1e-4)


@of(PACKED)
@pytest.mark.parametrize(
    "wishes",
    [{}, {"temperature": 0.0}, {"temperature": 0.8, "top_p": 0.7}],
    ids=["plain", "greedy", "cooled"],
)
@pytest.mark.parametrize("given", [0, 3, 4, 9])
def test_what_is_written_at_once_is_what_is_written_step_by_step(
    architecture, wishes, given
):
    weights = drawn_weights(architecture)
    prompt = piece(architecture, 1, given)
    asked = Request(prompt, 100, AnySamples(architecture, False), seed=3, **wishes)
    expected = generate(PlainPlayer(architecture, weights), asked)
    decoder = decoder_of(architecture, weights)
    assert decoder.can_write(asked)
    made = decoder.write(asked)
    np.testing.assert_array_equal(made.ids, expected.ids)
    for name in ("log_probability", "end_log_probability"):
        got, wanted = getattr(made, name), getattr(expected, name)
        np.testing.assert_allclose(got, wanted, atol=1e-3)


@of([name for name in PACKED if not EVERY[name].num_classes])
def test_a_sound_that_is_written_at_once_ends_where_it_would_have(architecture):
    weights = drawn_weights(architecture)
    weights["head.bias"][EOS] = 2.5
    decoder = decoder_of(architecture, weights)
    grammar, lengths = AnySamples(architecture), []
    for seed in range(8):
        asked = Request([[BOS]], 60, grammar, seed=seed, min_new_tokens=3)
        expected = generate(PlainPlayer(architecture, weights), asked)
        made = decoder.write(asked)
        np.testing.assert_array_equal(made.ids, expected.ids)
        lengths.append(int((made.ids > 0).sum()))
    assert min(lengths) >= 4 and len(set(lengths)) > 2


@of([name for name in PACKED if EVERY[name].num_classes])
def test_what_cannot_be_written_at_once_is_said_to_be_so(architecture):
    decoder = decoder_of(architecture, drawn_weights(architecture))
    grammar = AnySamples(architecture)
    prompt = [[BOS, CLASS]]
    assert decoder.can_write(Request(prompt, 9, grammar))
    for asked in (
        Request(prompt * 2, 9, grammar),
        Request(prompt, 9, grammar, top_k=3),
        Request(prompt, 9, grammar, min_p=0.1),
        Request(prompt, 9, grammar, repetition=1.1),
        Request(prompt, 9, grammar, no_repeat_ngram=2),
        Request(prompt, 9, grammar, bias=np.ones(263)),
    ):
        assert not decoder.can_write(asked)

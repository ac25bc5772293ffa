"""Frames of samples: where each stands, what it may see, and the class it is told."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from audio_models import decode_frames, numpy_ops
from audio_models.decode import decoder_of
from audio_models.decode_frames import FramesDecoder
from audio_models.frames import Frames, level_features
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.audio import mu_law_decode
from studio.floors import window_of

SIZES = {
    "embedding_dim": 3,
    "hidden_dim": 6,
    "frame": 4,
    "window": 5,
    "sample_dim": 24,
}
PLAIN = Frames(260, **SIZES)
CLASSES = Frames(263, num_classes=3, **SIZES)
SHORT = Frames(263, num_classes=3, **{**SIZES, "window": 2, "num_layers": 2})
EVERY = {"plain": PLAIN, "classes": CLASSES, "two layers, few taps": SHORT}
every = pytest.mark.parametrize("architecture", EVERY.values(), ids=EVERY.keys())
BOS, EOS, CLASS = 1, 2, 4


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


@every
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


@every
def test_a_piece_of_any_length_is_the_beginning_of_a_longer_one(architecture):
    ids = piece(architecture, 3, 11)
    expected = whole(architecture, ids)
    for length in range(1, ids.shape[1] + 1):
        logits = whole(architecture, ids[:, :length])
        np.testing.assert_allclose(logits, expected[:, :length], atol=1e-5)


def test_training_compiles_for_a_length_that_is_told_only_when_it_runs():
    network = Network(CLASSES)
    network.load_named_weights(drawn_weights(CLASSES))
    spec = tf.TensorSpec((2, None), "int32")
    call = tf.function(
        lambda ids: network(ids, training=True),
        jit_compile=True,
        autograph=False,
        input_signature=[spec],
    )
    for length in (9, 14):
        ids = piece(CLASSES, 2, length)
        np.testing.assert_allclose(call(ids), whole(CLASSES, ids), atol=1e-4)


def test_compiled_steps_and_call_equal_the_plain_arithmetic():
    architecture = SHORT
    network = Network(architecture)
    network.load_named_weights(drawn_weights(architecture))
    ids = piece(architecture, 2, 10)
    expected = whole(architecture, ids)
    np.testing.assert_allclose(ops.convert_to_numpy(network(ids)), expected, atol=1e-4)
    step = tf.function(network.step, jit_compile=True)
    state = network.start(2)
    for t in range(ids.shape[1]):
        logits, state = step(ops.convert_to_tensor(ids[:, t]), state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)


def test_a_sample_outside_the_window_is_heard_once_its_frame_is_whole():
    # One BOS, frames of 4: samples 0..3 stand at 1..4. The network of a sample sees
    # two; sample 0 reaches it through the memory alone, first at place 4.
    architecture = Frames(260, **{**SIZES, "window": 2})
    ids = piece(architecture, 1, 12)
    changed = ids.copy()
    changed[0, 1] = 4 + (changed[0, 1] - 4 + 128) % 256
    apart = np.abs(whole(architecture, ids) - whole(architecture, changed)).max(-1)[0]
    is_heard = apart > 1e-6
    assert is_heard.tolist() == [False, True, True, False, *[True] * 9]


@pytest.mark.parametrize("architecture", [CLASSES, SHORT], ids=["one", "two layers"])
def test_a_class_changes_all_that_follows_it_and_nothing_before(architecture):
    ids = np.repeat(piece(architecture, 1, 12), 2, axis=0)
    ids[:, 1] = CLASS, CLASS + 2
    weights = drawn_weights(architecture)
    # Its vector as a token is made the same: what is left is what it is as a class.
    weights["embedding"][CLASS + 2] = weights["embedding"][CLASS]
    one, other = whole(architecture, ids, weights)
    apart = np.abs(one - other).max(-1)
    assert apart[0] == 0
    assert (apart[1:] > 1e-3).all()
    for tier in ("class.sample", "class.frame"):  # each tier hears it
        only = {**weights, tier: np.zeros_like(weights[tier])}
        one, other = whole(architecture, ids, only)
        assert np.abs(one - other).max(-1)[-4:].min() > 1e-4


def test_an_id_in_the_place_of_a_class_that_is_none_is_read_as_a_token_alone():
    ids = piece(CLASSES, 1, 9)
    ids[0, 1] = EOS
    weights = drawn_weights(CLASSES)
    without = {
        name: np.zeros_like(array) if name.startswith("class.") else array
        for name, array in weights.items()
    }
    np.testing.assert_array_equal(
        whole(CLASSES, ids, weights), whole(CLASSES, ids, without)
    )


def test_the_levels_of_codes_are_those_of_mu_law_and_other_ids_have_none():
    levels = level_features(300, 7)
    codes = np.arange(256)
    np.testing.assert_allclose(levels[7:263, 0], codes / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(levels[7:263, 1], 4 * mu_law_decode(codes), atol=1e-6)
    assert not levels[:7].any() and not levels[263:].any()


def test_every_window_of_a_training_ends_with_a_frame():
    for architecture, head in ((PLAIN, 1), (CLASSES, 2)):
        length, told = window_of(architecture, 100)
        assert told == architecture.HEAD == head
        assert (length - head + 1) % architecture.frame == 0
        assert 100 - architecture.frame < length <= 100


def test_sizes_that_cannot_be_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"`frame` must be at least 2\. Received: 1"):
        Frames(260, frame=1)
    with pytest.raises(ValueError, match=r"in 1\.\.256\. Received: 257"):
        Frames(260, frame=257)
    with pytest.raises(ValueError, match=r"vocabulary of 8\. Received: 9"):
        Frames(8, num_classes=5)
    with pytest.raises(ValueError, match="`num_classes` must be an integer in 0"):
        Frames(260, num_classes=-1)


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


@every
@pytest.mark.parametrize("has_table", [True, False])
def test_the_packed_step_is_that_of_the_whole(architecture, has_table, monkeypatch):
    if not has_table:
        monkeypatch.setattr(decode_frames, "LARGEST_TABLE", 0)
    weights = drawn_weights(architecture)
    decoder = decoder_of(architecture, weights)
    assert isinstance(decoder, FramesDecoder)
    ids = piece(architecture, 3, 14)
    expected = whole(architecture, ids, weights)
    state = architecture.start(numpy_ops, 3)
    for t in range(ids.shape[1]):
        logits, state = decoder.step(ids[:, t], state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    last, _ = decoder.read(ids, architecture.start(numpy_ops, 3))
    np.testing.assert_allclose(last, expected[:, -1], atol=1e-4)


@every
@pytest.mark.parametrize(
    "wishes",
    [{}, {"temperature": 0.0}, {"temperature": 0.8, "top_p": 0.7}],
    ids=["plain", "greedy", "cooled"],
)
@pytest.mark.parametrize("given", [0, 1, 3, 4, 9])
def test_what_is_written_at_once_is_what_is_written_step_by_step(
    architecture, wishes, given
):
    weights = drawn_weights(architecture)
    prompt = piece(architecture, 1, given)
    asked = Request(prompt, 150, AnySamples(architecture, False), seed=3, **wishes)
    expected = generate(PlainPlayer(architecture, weights), asked)
    decoder = FramesDecoder(architecture, weights)
    assert decoder.can_write(asked)
    made = decoder.write(asked)
    np.testing.assert_array_equal(made.ids, expected.ids)
    for name in ("log_probability", "end_log_probability"):
        got, wanted = getattr(made, name), getattr(expected, name)
        np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_a_sound_that_is_written_at_once_ends_where_it_would_have():
    weights = drawn_weights(PLAIN)
    weights["head.bias"][EOS] = 2.5
    decoder = FramesDecoder(PLAIN, weights)
    lengths = []
    for seed in range(8):
        asked = Request([[BOS]], 60, AnySamples(PLAIN), seed=seed, min_new_tokens=3)
        expected = generate(PlainPlayer(PLAIN, weights), asked)
        made = decoder.write(asked)
        np.testing.assert_array_equal(made.ids, expected.ids)
        lengths.append(int((made.ids > 0).sum()))
    assert min(lengths) >= 4 and len(set(lengths)) > 2


def test_what_cannot_be_written_at_once_is_said_to_be_so():
    decoder = FramesDecoder(CLASSES, drawn_weights(CLASSES))
    grammar = AnySamples(CLASSES)
    whole_prompt = [[BOS, CLASS]]
    assert decoder.can_write(Request(whole_prompt, 9, grammar))
    for asked in (
        Request([[BOS]], 9, grammar),  # the class is still to be drawn
        Request(whole_prompt * 2, 9, grammar),
        Request(whole_prompt, 9, grammar, top_k=3),
        Request(whole_prompt, 9, grammar, min_p=0.1),
        Request(whole_prompt, 9, grammar, repetition=1.1),
        Request(whole_prompt, 9, grammar, no_repeat_ngram=2),
        Request(whole_prompt, 9, grammar, bias=np.ones(263)),
    ):
        assert not decoder.can_write(asked)

"""The fast steps against the architectures' own arithmetic: same logits, same tokens."""

import itertools

import numpy as np
import pytest

from audio_models import decode_lstm, decode_transformer, numpy_ops
from audio_models.decode import decoder_of
from audio_models.decode_lstm import LSTMDecoder
from audio_models.decode_product import ALONE, ALONE_TIMES, Matrix, block_height
from audio_models.decode_transformer import TransformerDecoder
from audio_models.gru import GRU
from audio_models.player import Player, generate
from audio_models.positions import rotation
from audio_models.recurrent import LSTM
from audio_models.request import EOS, Request
from audio_models.transformer import Transformer

VOCAB = 23
KINDS = Transformer.CHOICES["positions"]
SETTINGS = [{"positions": kind} for kind in KINDS] + [{"tie_embedding": False}]
every_setting = pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda setting: str(*setting.values())
)
LSTMS = [
    {"num_layers": 1},
    {"num_layers": 3},
    {"learned_start": True},
    {"hidden_dim": 33, "embedding_dim": 5},
]
every_lstm = pytest.mark.parametrize("changes", LSTMS, ids=str)


def transformer(**changes):
    sizes = {
        "vocab_size": VOCAB,
        "hidden_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "context_length": 32,
    }
    return Transformer(**{**sizes, **changes})


def lstm(**changes):
    sizes = {"vocab_size": VOCAB, "embedding_dim": 8, "hidden_dim": 16}
    return LSTM(**{**sizes, **changes})


def random_weights(architecture, seed=0):
    """Larger than at the start of a training, so that each part has its say."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.5, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, shape)


def prepared(architecture):
    """(decoder, the full call): the second gives logits (B, T, V) of ids (B, T)."""
    weights = random_weights(architecture)
    whole = lambda ids: architecture.forward(numpy_ops, weights, ids)[0]  # noqa: E731
    return decoder_of(architecture, weights), whole


def started(architecture, rows):
    return architecture.start(numpy_ops, rows)


class PlainPlayer(Player):
    """A player that steps with `forward`, as every architecture can."""

    _decoder = None


class Anything:
    """A grammar in which all may follow all; PAD alone follows EOS."""

    start = 0
    allowed = np.ones((2, VOCAB), dtype=bool)
    allowed[1, 1:] = False
    next_state = np.zeros((2, VOCAB), dtype=np.int32)
    next_state[:, EOS] = 1
    next_state[1] = 1

    def state_after(self, ids):
        return 0


@every_setting
@pytest.mark.parametrize("context_length", [1, 5, 32], ids="context {}".format)
@pytest.mark.parametrize("rows", [1, 3])
def test_step_after_step_equals_the_full_call_within_the_context_and_past_it(
    setting, context_length, rows
):
    architecture = transformer(context_length=context_length, **setting)
    decoder, whole = prepared(architecture)
    ids = ids_of((rows, 20))
    expected, state = whole(ids), started(architecture, rows)
    for t in range(20):
        logits, state = decoder.step(ids[:, t], state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    assert logits.dtype == np.float32 and int(state[2]) == 20


@every_setting
@pytest.mark.parametrize("prompt", [1, 2, 12, 70, 100], ids="prompt {}".format)
def test_a_prompt_read_at_once_leaves_what_its_steps_would(setting, prompt):
    architecture = transformer(context_length=70, **setting)
    decoder, whole = prepared(architecture)
    ids = ids_of((2, prompt + 4))
    expected = whole(ids)
    logits, state = decoder.read(ids[:, :prompt], started(architecture, 2))
    np.testing.assert_allclose(logits, expected[:, prompt - 1], atol=1e-4)
    for t in (prompt, prompt + 1):
        logits, state = decoder.step(ids[:, t], state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    logits, state = decoder.read(ids[:, prompt + 2 :], state)  # and more, later
    np.testing.assert_allclose(logits, expected[:, -1], atol=1e-4)


@pytest.mark.parametrize("cores", [2, 3, 16])
def test_rows_shared_out_among_threads_give_the_same_bits(cores, monkeypatch):
    architecture = transformer(positions="relative")
    decoder, _ = prepared(architecture)
    ids = ids_of((17, 9))

    def logits():
        now, state = decoder.read(ids[:, :7], started(architecture, 17))
        for t in (7, 8):
            now, state = decoder.step(ids[:, t], state)
        return now

    alone = logits()
    monkeypatch.setattr(decode_transformer, "SHARED", 1)
    monkeypatch.setattr(decode_transformer.os, "cpu_count", lambda: cores)
    np.testing.assert_array_equal(logits(), alone)


@pytest.mark.parametrize(("read", "length"), [(0, 1), (1020, 8), (1023, 1), (5, 2100)])
def test_the_turns_of_places_are_those_of_the_positions(read, length):
    places = np.arange(read, read + length)
    cos, sin = rotation(numpy_ops, places, 8)
    turn = decode_transformer._turn(read, length, 8)
    assert turn.shape == (length, 1, 1, 4)
    np.testing.assert_array_equal(turn[:, 0, 0].real, cos)
    np.testing.assert_array_equal(turn[:, 0, 0].imag, sin)


def test_no_slot_is_read_before_it_holds_a_token():
    architecture = transformer()
    decoder, whole = prepared(architecture)
    ids = ids_of((2, 6))
    keys, values, read = started(architecture, 2)
    keys[:], values[:] = np.nan, np.nan
    logits, state = decoder.read(ids[:, :3], (keys, values, read))
    for t in range(3, 6):
        logits, state = decoder.step(ids[:, t], state)
    np.testing.assert_allclose(logits, whole(ids)[:, 5], atol=1e-4)


def test_scores_far_beyond_what_exp_can_hold_give_finite_logits():
    architecture = transformer(num_layers=1)
    weights = random_weights(architecture)
    weights["layer0.attention.qkv"] *= 100
    decoder = TransformerDecoder(architecture, weights)
    ids = ids_of((1, 12))
    logits, state = decoder.read(ids[:, :11], started(architecture, 1))
    logits, _ = decoder.step(ids[:, 11], state)
    expected = architecture.forward(numpy_ops, weights, ids)[0][:, -1]
    np.testing.assert_allclose(logits, expected, atol=1e-3)


@pytest.mark.parametrize("make", [transformer, lstm], ids=lambda make: make.__name__)
def test_rows_picked_out_of_a_state_go_on_as_those_rows(make):
    """As a beam search does: the rows of a state by their numbers, some of them twice."""
    architecture = make()
    decoder, whole = prepared(architecture)
    ids = ids_of((3, 8))
    _, state = decoder.read(ids[:, :6], started(architecture, 3))
    rows = np.array([2, 0, 2, 2])
    state = tuple(p if np.ndim(p) == 0 else np.take(p, rows, axis=1) for p in state)
    lines = ids[rows]
    lines[:, 6:] = ids_of((4, 2), seed=5)
    for t in (6, 7):
        logits, state = decoder.step(lines[:, t], state)
        np.testing.assert_allclose(logits, whole(lines[:, : t + 1])[:, t], atol=1e-4)


@every_lstm
@pytest.mark.parametrize("table", [2**22, 0], ids="table of {}".format)
@pytest.mark.parametrize("rows", [1, 3])
def test_an_lstm_steps_as_it_does_in_the_full_call(changes, table, rows, monkeypatch):
    monkeypatch.setattr(decode_lstm, "LARGEST_TABLE", table)
    architecture = lstm(**changes)
    decoder, whole = prepared(architecture)
    ids = ids_of((rows, 20))
    expected, state = whole(ids), started(architecture, rows)
    for t in range(20):
        logits, state = decoder.step(ids[:, t], state)
        np.testing.assert_allclose(logits, expected[:, t], atol=1e-4)
    assert logits.dtype == np.float32


@every_lstm
def test_an_lstm_can_change_between_the_fast_step_and_the_plain_one(changes):
    architecture = lstm(**changes)
    weights = random_weights(architecture)
    fast, plain = Player(architecture, weights), PlainPlayer(architecture, weights)
    ids = ids_of((2, 12))
    state, logits = fast.start(2), []
    for t in range(12):
        now, state = (fast, plain)[t % 2].step(ids[:, t], state)
        logits.append(now)
    expected = architecture.forward(numpy_ops, weights, ids)[0]
    np.testing.assert_allclose(np.stack(logits, axis=1), expected, atol=1e-4)


WISHES = [
    {},
    {"temperature": 0.0},
    {"temperature": 0.8, "top_k": 7, "top_p": 0.9, "min_p": 0.02},
    {"repetition": 1.5, "repetition_window": 5, "min_new_tokens": 9},
    {"no_repeat_ngram": 2, "allowed_tokens": np.arange(VOCAB) % 3 > 0},
    {"bias": np.linspace(-1, 1, VOCAB), "seeds": (4, 9)},
]


@pytest.mark.parametrize("wishes", WISHES, ids=lambda wish: " ".join(wish) or "none")
@pytest.mark.parametrize(
    "architecture",
    [transformer(context_length=24), transformer(positions="relative"), lstm()],
    ids=["rotary", "relative", "lstm"],
)
def test_the_same_request_gives_the_same_tokens_past_the_context_too(
    architecture, wishes
):
    weights = {n: 0.4 * w for n, w in random_weights(architecture).items()}
    fast, plain = Player(architecture, weights), PlainPlayer(architecture, weights)
    assert fast._decoder is not None
    asked = Request(ids_of((2, 5)) * 0 + 1, 60, Anything(), **{"seed": 3, **wishes})
    made, expected = generate(fast, asked), generate(plain, asked)
    np.testing.assert_array_equal(made.ids, expected.ids)
    for name in ("log_probability", "end_log_probability"):
        ours, theirs = getattr(made, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("m", [1, 7, 32, 96, 389, 768])
@pytest.mark.parametrize("n", [1, 33, 256, 1024])
@pytest.mark.parametrize("columns", [1, 2, 8, 100])
def test_a_product_by_blocks_is_the_product(m, n, columns):
    rng = np.random.default_rng(0)
    kernel, x = rng.normal(size=(n, m)), rng.normal(size=(n, columns))
    np.testing.assert_allclose(Matrix(kernel).times(x), kernel.T @ x, atol=1e-9)


def test_blocks_are_whole_and_small_enough_for_one_thread():
    for m, n, columns in itertools.product((96, 768, 1024), (256, 1024), (1, 2, 8)):
        height = block_height(m, n, columns)
        assert m % height == 0
        most = ALONE if columns == 1 else ALONE_TIMES
        assert height * n * columns <= most


def test_an_architecture_without_a_faster_step_plays_as_before():
    architecture = GRU(VOCAB, embedding_dim=4, hidden_dim=8)
    weights = random_weights(architecture)
    assert decoder_of(architecture, weights) is None
    assert isinstance(decoder_of(lstm(), random_weights(lstm())), LSTMDecoder)
    player = Player(architecture, weights)
    ids = ids_of((2, 6))
    logits, _ = player.read(ids, player.start(2))
    expected = architecture.forward(numpy_ops, weights, ids)[0]
    np.testing.assert_allclose(logits, expected[:, -1], atol=1e-5)


def test_the_weights_that_were_given_are_not_written_to():
    for architecture in (transformer(), lstm()):
        weights = random_weights(architecture)
        before = {name: array.copy() for name, array in weights.items()}
        decoder = decoder_of(architecture, weights)
        decoder.step(np.array([1]), started(architecture, 1))
        for name, array in weights.items():
            np.testing.assert_array_equal(array, before[name])

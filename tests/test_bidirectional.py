"""The filler: what it sees, how it learns, and what a filling may hold."""

import keras
import numpy as np
import pytest
from keras import ops

from audio_models import FILLERS, MODELS, numpy_ops
from audio_models.bidirectional import BLANK, BiLSTM, blank_out, fill
from audio_models.network import Network
from audio_models.player import Player
from data_pipelines.vocabulary import PAD, UNK

VOCAB = 12
SMALL = BiLSTM(VOCAB, embedding_dim=6, hidden_dim=8, num_layers=2)


def player_of(architecture=SMALL, seed=0):
    return Player(architecture, Network(architecture, seed=seed).named_weights())


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(4, VOCAB, shape).astype("int32")


class Fixed:
    """Logits as they are given, whatever is read; counts how often it was asked."""

    vocab_size = VOCAB

    def __init__(self, logits):
        self.architecture, self.weights = self, None
        self.logits, self.read = np.float32(logits), []

    def forward(self, ops, weights, ids):
        self.read.append(ids.copy())
        return self.logits[None].repeat(len(ids), axis=0), None


def test_fillers_and_models_are_apart_and_the_blank_is_unk():
    assert {"bilstm": BiLSTM} == FILLERS
    assert not set(FILLERS) & set(MODELS)
    assert BLANK == UNK


def test_it_equals_the_bidirectional_lstm_of_keras_with_the_same_weights():
    weights = player_of().weights
    ids = ids_of((2, 9))
    x = weights["embedding"][ids]
    for layer in range(2):
        theirs = keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True))
        theirs.build(x.shape)
        theirs.set_weights(
            [
                weights[f"layer{layer}.{side}.{part}"]
                for side in ("left", "right")
                for part in ("input", "recurrent", "bias")
            ]
        )
        x = ops.convert_to_numpy(theirs(x))
    expected = x @ weights["head.kernel"] + weights["head.bias"]
    logits, state = SMALL.forward(numpy_ops, weights, ids)
    assert state is None
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    network = Network(SMALL, seed=0)
    np.testing.assert_allclose(network(ids), expected, atol=1e-5)


@pytest.mark.parametrize("changed", [0, 4, 8])
def test_every_place_sees_every_token(changed):
    player = player_of()
    ids = ids_of((1, 9))
    other = ids.copy()
    other[0, changed] = BLANK
    before, after = (
        SMALL.forward(numpy_ops, player.weights, x)[0] for x in (ids, other)
    )
    assert (np.abs(before - after).max(axis=-1) > 1e-6).all()


def test_padding_behind_a_piece_changes_nothing_before_it():
    network = Network(SMALL, seed=0)
    ids = ids_of((2, 7))
    padded = np.pad(ids, ((0, 0), (0, 5)), constant_values=PAD)
    np.testing.assert_allclose(network(ids), network(padded)[:, :7], atol=1e-6)
    one = SMALL.forward(numpy_ops, player_of().weights, padded)[0]
    np.testing.assert_allclose(network(padded), one, atol=1e-5)


def test_going_on_from_left_to_right_is_refused_and_says_why():
    network, player = Network(SMALL), player_of()
    for refused in (
        lambda: network.start(2),
        lambda: player.start(2),
        lambda: network.step(np.array([5, 6]), (np.zeros(1),)),
        lambda: player.step(np.array([5, 6]), (np.zeros(1),)),
    ):
        with pytest.raises(
            ValueError, match=r"cannot generate left to right.*after it"
        ):
            refused()


def test_blanks_stand_on_music_alone_and_the_mask_says_where():
    ids = ids_of((200, 10))
    ids[:, 0], ids[:, 8], ids[:, 9] = 1, 2, PAD
    x, y, mask = blank_out(ids, seed=4)
    np.testing.assert_array_equal(y, ids)
    np.testing.assert_array_equal(mask, x == BLANK)
    np.testing.assert_array_equal(x[mask == 0], ids[mask == 0])
    assert not mask[:, [0, 8, 9]].any()
    blanks = mask.sum(axis=1)
    assert blanks.min() == 1 and blanks.max() == 7
    # A share drawn evenly makes every count of blanks alike: 3.5 on average of 7,
    # and a little more, since none is raised to one (chance 1/8).
    assert blanks.mean() == pytest.approx(3.5 + 1 / 8, abs=0.5)
    np.testing.assert_array_equal(x, blank_out(ids, seed=4)[0])
    assert (x != blank_out(ids, seed=5)[0]).any()


def test_a_row_without_music_gets_no_blank():
    for ids in (np.zeros((2, 5), int), np.zeros((2, 0), int), np.zeros((0, 5), int)):
        x, y, mask = blank_out(ids, seed=0)
        assert x.shape == y.shape == mask.shape == ids.shape
        assert not mask.any()


def test_the_most_certain_blank_is_filled_first():
    logits = np.zeros((3, VOCAB))
    logits[0, 5], logits[1, 6], logits[2, 7] = 2.0, 4.0, 3.0
    player = Fixed(logits)
    made = fill(player, [[BLANK, BLANK, BLANK]])
    assert made.tolist() == [[5, 6, 7]]
    assert [read.tolist() for read in player.read] == [
        [[3, 3, 3]],
        [[3, 6, 3]],
        [[3, 6, 7]],
    ]


def test_certainty_is_judged_among_what_is_allowed():
    logits = np.zeros((2, VOCAB))
    logits[0, 5], logits[1, 6] = 4.0, 2.0
    allowed = np.ones((2, VOCAB), bool)
    allowed[0, 5] = False  # what made the first place certain is forbidden there
    player = Fixed(logits)
    made = fill(player, [[BLANK, BLANK]], allowed=allowed)
    assert made[0, 1] == 6 and made[0, 0] != 5
    assert player.read[1].tolist() == [[3, 6]]


@pytest.mark.parametrize("temperature", [0.0, 1.0, 5.0])
def test_a_filling_keeps_what_stood_there_and_the_allowed_mask(temperature):
    ids = ids_of((3, 10))
    given = ids.copy()
    given[0, 2:5] = given[1, 9] = given[1, 0] = BLANK
    allowed = np.random.default_rng(1).random((10, VOCAB)) < 0.3
    allowed[:, 8] = True
    allowed[:, BLANK] = True  # a blank is no filling, whatever the mask says
    untouched = given.copy()
    made = fill(player_of(), given, allowed=allowed, temperature=temperature)
    np.testing.assert_array_equal(given, untouched)
    assert made.dtype == np.int32
    assert (made != BLANK).all()
    kept = given != BLANK
    np.testing.assert_array_equal(made[kept], ids[kept])
    for row, place in np.argwhere(~kept):
        assert allowed[place, made[row, place]]
    free = fill(player_of(), given, temperature=temperature)
    assert free.min() >= 4  # without a mask: anything but the reserved ids


def test_a_mask_may_depend_on_what_is_filled_by_now():
    def all_different(ids):
        may = np.ones((*ids.shape, VOCAB), bool)
        for row, tokens in enumerate(ids):
            may[row][:, tokens] = False
        return may & (np.arange(VOCAB) >= 4)

    made = fill(Fixed(np.zeros((8, VOCAB))), [[BLANK] * 8], allowed=all_different)
    assert sorted(made[0]) == list(range(4, 12))


def test_the_same_seed_fills_alike_whatever_the_batch():
    given = np.full((4, 6), BLANK)
    given[:, 0] = [4, 4, 5, 6]
    together = fill(player_of(), given, temperature=1.0, seed=7)
    np.testing.assert_array_equal(
        together, fill(player_of(), given, temperature=1.0, seed=7)
    )
    alone = fill(player_of(), given[:1], temperature=1.0, seed=7)
    np.testing.assert_array_equal(alone, together[:1])
    assert (together[0] != together[1]).any()  # row r draws with (seed, r)
    assert (fill(player_of(), given, temperature=1.0, seed=8) != together).any()


def test_nothing_to_fill_gives_the_same_ids_and_asks_nothing():
    player = Fixed(np.zeros((4, VOCAB)))
    for shape in ((2, 4), (0, 4), (2, 0), (0, 0)):
        ids = ids_of(shape)
        np.testing.assert_array_equal(fill(player, ids), ids)
    assert not player.read


def test_what_cannot_be_filled_is_named():
    player = player_of()
    with pytest.raises(ValueError, match=r"must be \(B, T\). Received shape: \(3,\)"):
        fill(player, [4, BLANK, 5])
    with pytest.raises(ValueError, match=r"must be in 0\.\.11. Received: 3\.\.12"):
        fill(player, [[12, BLANK]])
    allowed = np.ones((3, VOCAB), bool)
    allowed[1] = np.arange(VOCAB) == BLANK
    with pytest.raises(ValueError, match="nothing for the blank in row 1, place 1"):
        fill(player, [[4, 5, 6], [4, BLANK, 5]], allowed=allowed)


@pytest.mark.slow
def test_it_learns_to_fill_a_blank_from_the_right_alone():
    network = Network(BiLSTM(VOCAB, 8, 24, 1), seed=1)
    network.compile(
        keras.optimizers.Adam(3e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )

    partner = np.random.default_rng(5).permutation(np.arange(4, VOCAB))

    def pairs(rng):  # the first of a pair follows from the second, from nothing else
        second = rng.integers(4, VOCAB, (32, 3))
        return np.stack([partner[second - 4], second], axis=2).reshape(32, 6)

    rng = np.random.default_rng(0)
    for step in range(300):
        x, y, mask = blank_out(pairs(rng), step)
        network.train_on_batch(x, y, sample_weight=mask)
    ids = pairs(np.random.default_rng(99))
    given = ids.copy()
    given[:, ::2] = BLANK
    made = fill(Player(network.architecture, network.named_weights()), given)
    np.testing.assert_array_equal(made, ids)

"""Dilated convolutions: how far they see, and their queues against the whole."""

import numpy as np
import pytest
from test_sample_networks import (
    BOS,
    CLASS,
    EVERY,
    AnySamples,
    PlainPlayer,
    drawn_weights,
    piece,
    whole,
)

from audio_models.decode_dilated import DilatedDecoder
from audio_models.dilated import Dilated
from audio_models.player import generate
from audio_models.request import Request

PLAIN, CLASSES = EVERY["dilated"], EVERY["dilated, classes"]


def test_the_receptive_field_is_one_and_the_sum_of_the_distances():
    assert PLAIN.dilations == (1, 2, 4, 1, 2)
    assert PLAIN.receptive_field == 11
    assert Dilated(260, num_layers=10).receptive_field == 1024
    assert Dilated(260, num_layers=1).receptive_field == 2


def test_the_oldest_token_of_the_receptive_field_is_heard_and_none_before_it():
    ids = piece(PLAIN, 1, 30)
    at = 8
    changed = ids.copy()
    changed[0, at] = 4 + (changed[0, at] - 4 + 128) % 256
    apart = np.abs(whole(PLAIN, ids) - whole(PLAIN, changed)).max(-1)[0]
    heard = np.flatnonzero(apart > 0)
    assert heard.tolist() == list(range(at, at + PLAIN.receptive_field))


def test_one_layer_is_the_formula_of_the_paper():
    one = Dilated(260, embedding_dim=3, hidden_dim=4, num_layers=1, skip_dim=6)
    weights = drawn_weights(one)
    ids = piece(one, 1, 6)
    levels = (ids[0, 1:] - 4) / 127.5 - 1
    amplitude = np.sign(levels) * (256 ** np.abs(levels) - 1) / 255
    told = np.zeros((7, 2))
    told[1:] = np.stack([levels, 4 * amplitude], axis=1)
    x = np.concatenate([told, weights["embedding"][ids[0]]], axis=1) @ weights["input"]
    for t in range(7):
        before = x[t - 1] if t else np.zeros(4)
        kernel = weights["layer0.kernel"]
        gates = before @ kernel[:4] + x[t] @ kernel[4:] + weights["layer0.bias"]
        z = np.tanh(gates[:4]) / (1 + np.exp(-gates[4:]))
        skip = z @ weights["layer0.output"][:, 4:] + weights["skip.bias"]
        hidden = np.maximum(skip, 0) @ weights["skip.hidden"]
        hidden = np.maximum(hidden + weights["skip.hidden_bias"], 0)
        expected = hidden @ weights["head.kernel"] + weights["head.bias"]
        np.testing.assert_allclose(whole(one, ids)[0, t], expected, atol=1e-4)


def test_a_class_is_heard_long_after_its_token_is_out_of_sight():
    ids = np.repeat(piece(CLASSES, 1, 40), 2, axis=0)
    ids[:, 1] = CLASS, CLASS + 2
    apart = np.abs(np.subtract(*whole(CLASSES, ids))).max(-1)
    assert apart[0] == 0
    assert (apart[1:] > 1e-3).all()
    assert ids.shape[1] > 2 * CLASSES.receptive_field
    plain = np.abs(np.subtract(*whole(PLAIN, ids))).max(-1)
    assert not plain[1 + PLAIN.receptive_field :].any()


def test_sizes_that_cannot_be_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"`cycle` must be an integer in 1\.\.12"):
        Dilated(260, cycle=13)
    with pytest.raises(ValueError, match="would not fit in memory"):
        Dilated(260, num_layers=64, cycle=12, hidden_dim=4096)


def test_a_class_that_is_still_to_be_drawn_is_drawn_and_heard():
    weights = drawn_weights(CLASSES)
    grammar = AnySamples(CLASSES, may_end=False)
    grammar.allowed[0, CLASS : CLASS + 3] = True
    for seed in range(4):
        asked = Request([[BOS]], 40, grammar, seed=seed)
        expected = generate(PlainPlayer(CLASSES, weights), asked)
        made = DilatedDecoder(CLASSES, weights).write(asked)
        np.testing.assert_array_equal(made.ids, expected.ids)

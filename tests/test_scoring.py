"""What tokens are worth: the same figure by every road."""

import itertools

import numpy as np
import pytest

from audio_models import MODELS
from audio_models.network import Network
from audio_models.player import Player
from audio_models.scoring import mixed, token_log_probabilities
from audio_models.training import log_likelihood


@pytest.fixture(scope="module")
def network():
    return Network(MODELS["gru"](vocab_size=11, embedding_dim=4, hidden_dim=6), seed=2)


def test_it_is_what_the_player_gives_step_by_step(network):
    weights = network.named_weights()
    ids = np.array([1, 5, 3, 10, 2])
    player = Player(network.architecture, weights)
    state, expected = player.start(1), []
    for before, after in itertools.pairwise(ids.tolist()):
        logits, state = player.step([before], state)
        expected.append(logits[0, after] - np.log(np.exp(logits[0]).sum()))
    found = token_log_probabilities(network.architecture, weights, ids)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_its_sum_is_what_training_reports(network):
    ids = np.random.default_rng(0).integers(0, 11, (3, 9))
    nats, tokens = log_likelihood(network, [(ids[:, :-1], ids[:, 1:], np.ones((3, 8)))])
    found = token_log_probabilities(network.architecture, network.named_weights(), ids)
    assert tokens == found.size == 24
    assert found.sum() == pytest.approx(nats, abs=1e-3)


def test_a_piece_of_one_token_has_nothing_to_tell(network):
    weights = network.named_weights()
    assert token_log_probabilities(network.architecture, weights, [1]).shape == (0,)
    assert token_log_probabilities(network.architecture, weights, [[1], [2]]).shape == (
        2,
        0,
    )


def test_an_id_outside_the_vocabulary_is_named(network):
    with pytest.raises(ValueError, match=r"must be in 0\.\.10. Received: 0\.\.11"):
        token_log_probabilities(network.architecture, network.named_weights(), [0, 11])


def test_a_mixture_is_the_mean_of_the_probabilities():
    p = np.array([[0.5, 0.1, 1e-300], [0.25, 0.3, 1e-300]])
    np.testing.assert_allclose(np.exp(mixed(np.log(p))), [0.375, 0.2, 1e-300])
    np.testing.assert_allclose(
        np.exp(mixed(np.log(p), [0.2, 0.8])), [0.3, 0.26, 1e-300]
    )
    np.testing.assert_allclose(mixed(np.log(p), [1, 0]), np.log(p[0]))

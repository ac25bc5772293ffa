"""AnticipationLSTM: what it knows of the music to come, and of what came some bars ago."""

import numpy as np
import pytest

from audio_models import numpy_ops
from audio_models.anticipation import (
    BLANK,
    FIRST_METRE,
    HISTORY,
    STEPS_IN_BAR,
    AnticipationLSTM,
)
from audio_models.network import Network, first_values
from audio_models.player import InformedPlayer, Player
from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.tokenizers.melody import METRES, MelodyTokenizer, steps_in_bar
from data_pipelines.vocabulary import BOS, UNK
from studio.floors import window_of
from studio.recipes import RECIPES
from studio.train import architecture_of

MELODY = MelodyTokenizer()
HOLD, REST, PITCH = MELODY.hold, MELODY.rest, MELODY.vocabulary.ids("pitch")[0]
OPENING = [BOS, MELODY.metre_id("2/4")]


def model_of(num_voices=1, **changes):
    architecture = AnticipationLSTM(
        vocab_size=MELODY.vocab_size,
        num_voices=num_voices,
        embedding_dim=6,
        hidden_dim=10,
        chain_dim=8,
        ahead_dim=7,
        **{"lookback": True, **changes},
    )
    weights = {
        name: first_values(weight, [0, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    return architecture, weights


def lines(steps, voices=1, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(
        rng.random((steps, voices)) < 0.5,
        HOLD,
        PITCH + 60 + rng.integers(0, 12, (steps, voices)),
    )


def ids_of(tokens):
    return np.concatenate([OPENING, np.ravel(tokens)])[None]


def test_its_constants_are_those_of_the_vocabularies():
    assert BLANK == UNK
    assert MELODY.metre_id(METRES[0]) == FIRST_METRE
    assert tuple(steps_in_bar(metre or "4/4") for metre in METRES) == STEPS_IN_BAR
    for name, tokenizer in (("melody", MELODY), ("chorale", ChoraleTokenizer())):
        recipe = RECIPES[f"{name}-anticipation"]
        architecture = architecture_of(recipe, tokenizer)
        assert architecture.first_pitch == tokenizer.vocabulary.ids("pitch")[0]
        assert architecture.rest == tokenizer.rest
        assert tokenizer.hold not in (architecture.rest, BLANK)


@pytest.mark.parametrize("voices", [1, 4])
def test_windows_hold_whole_bars_of_every_metre(voices):
    length, head = window_of(model_of(voices)[0], 2000)
    for metre in METRES[1:]:
        assert (length - head + 1) % (voices * steps_in_bar(metre)) == 0


@pytest.mark.parametrize("voices", [1, 3])
def test_step_after_step_equals_call_with_a_future_that_is_known(voices):
    architecture, weights = model_of(voices)
    tokens = lines(70, voices)
    known = np.where(np.random.default_rng(3).random(tokens.shape) < 0.5, tokens, BLANK)
    ids = ids_of(tokens)
    behind = np.concatenate([known, np.full((1, voices), BLANK)])  # the end's step
    given = (behind[None], np.array([70]), np.ones(1, "float32"))
    whole, _ = architecture.forward(numpy_ops, weights, ids, given=given)
    player = InformedPlayer(architecture, weights, OPENING, known, 70)
    state = player.start(1)
    for t in range(ids.shape[1]):
        logits, state = player.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def test_what_is_told_of_the_future_is_heard_before_it_comes():
    architecture, weights = model_of()
    tokens, blank = lines(40), np.full((40, 1), BLANK)
    told = blank.copy()
    told[30] = PITCH + 64

    def logits(known, end=40, hears=1):
        known = np.concatenate([known, [[BLANK]]])  # the step of the end
        given = (known[None], np.array([end]), np.full(1, hears, "float32"))
        return architecture.forward(numpy_ops, weights, ids_of(tokens), given=given)[0]

    at = 2 + 28  # the logits of step 29
    assert np.abs(logits(told) - logits(blank))[0, at].max() > 1e-4
    # A note that is past is heard no more, but for what the memory kept of it.
    np.testing.assert_array_equal(
        logits(told, hears=0),
        architecture.forward(numpy_ops, weights, ids_of(tokens))[0],
    )
    assert np.abs(logits(blank) - logits(blank, end=41))[0, at].max() > 1e-4


def test_padding_behind_the_end_changes_nothing_of_what_is_known_ahead():
    architecture, weights = model_of()
    opening = np.array([OPENING])
    told = np.full((1, 20, 1), BLANK)
    told[0, 15] = PITCH + 60
    longer = np.concatenate([told, np.zeros((1, 9, 1), int)], axis=1)
    ones = np.ones(1, "float32")
    short, long = (
        architecture._ahead(numpy_ops, weights, opening, (t, np.array([20]), ones))
        for t in (told, longer)
    )
    np.testing.assert_allclose(short[0], long[0, :20], atol=1e-6)


@pytest.mark.parametrize("lookback", [True, False])
def test_it_hears_what_stood_four_and_eight_bars_ago(lookback):
    architecture, weights = model_of(lookback=lookback)
    # Without its memory, all that it knows of the past is what it worked out.
    deaf = {n: w * (not n.startswith("layer")) for n, w in weights.items()}
    tokens = np.full((80, 1), HOLD)
    tokens[0] = PITCH + 60

    def logits(tokens):
        return architecture.forward(numpy_ops, deaf, ids_of(tokens))[0][0]

    for bars in (4, 8):  # nearer ones are told by the age of the note, too
        changed = tokens.copy()
        changed[72 - bars * 8] = PITCH + 60
        differs = np.abs(logits(changed) - logits(tokens))[1 + 72].max() > 1e-5
        assert differs == lookback, bars


def test_its_history_reaches_as_far_as_it_looks_back():
    longest = max(STEPS_IN_BAR)
    assert longest * 8 == HISTORY


def test_what_is_drawn_to_be_told_in_training_is_what_it_says():
    architecture, _ = model_of(4, lookback=False)
    network = Network(architecture, seed=5)
    rows, steps = 64, 48
    ids = np.zeros((rows, 2 + 4 * steps), dtype="int32")
    lengths = np.random.default_rng(0).integers(20, steps, rows)
    for row, length in enumerate(lengths):
        ids[row, : 2 + 4 * length] = ids_of(lines(length, 4, row))[0]
    tokens, end, told = (
        np.asarray(part)
        for part in architecture.draw_given(_ops(), ids, network._uniform)
    )
    np.testing.assert_array_equal(end, lengths)
    assert set(told.tolist()) == {0.0, 1.0}
    body = np.full((rows, tokens.shape[1] * 4), BLANK)
    body[:, : 4 * steps] = ids[:, 2 : 2 + 4 * steps]
    body = body.reshape(tokens.shape)
    is_known = tokens != BLANK
    np.testing.assert_array_equal(tokens[is_known], body[is_known])
    share = [is_known[row, :length].mean() for row, length in enumerate(lengths)]
    assert min(share) == 0
    assert max(share) > 0.5
    assert 0.2 < np.mean(told == 0) < 0.5


def test_the_end_of_a_window_that_is_full_is_not_told():
    architecture, _ = model_of(1)
    ids = ids_of(lines(30)).astype("int32")
    network = Network(architecture, seed=1)
    _, end, _ = architecture.draw_given(_ops(), ids, network._uniform)
    assert np.asarray(end).tolist() == [0]


def test_a_player_that_is_told_nothing_is_a_plain_one():
    architecture, weights = model_of()
    ids = ids_of(lines(12))
    plain = Player(architecture, weights)
    state = plain.start(1)
    whole, _ = architecture.forward(numpy_ops, weights, ids)
    for t in range(ids.shape[1]):
        logits, state = plain.step(ids[:, t], state)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)


def _ops():
    from keras import ops

    return ops

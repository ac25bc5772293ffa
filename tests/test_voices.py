"""VoiceLSTM: the tokens of four voices, read a step at a time."""

import numpy as np
import pytest

from audio_models import numpy_ops
from audio_models.network import first_values
from audio_models.voices import VOICES, VoiceLSTM
from data_pipelines.tokenizers.chorale import VOICES as NAMES
from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.vocabulary import BOS
from studio.floors import window_of
from studio.recipes import RECIPES
from studio.train import architecture_of

TOKENIZER = ChoraleTokenizer()
HOLD, REST, PITCH = TOKENIZER.hold, TOKENIZER.rest, TOKENIZER.vocabulary.ids("pitch")[0]


@pytest.fixture(scope="module")
def model():
    architecture = VoiceLSTM(
        vocab_size=TOKENIZER.vocab_size, embedding_dim=8, hidden_dim=12, chain_dim=10
    )
    weights = {
        name: first_values(weight, [0, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    return architecture, weights


def logits_after(model, tokens):
    architecture, weights = model
    ids = np.array([[BOS, TOKENIZER.metre_id("4/4"), *tokens]])
    return architecture.forward(numpy_ops, weights, ids)[0][0]


def test_its_defaults_are_the_ids_of_the_chorale_tokenizer():
    architecture = architecture_of(RECIPES["chorale-voices"], TOKENIZER)
    assert architecture.first_pitch == PITCH
    assert architecture.num_pitches == len(TOKENIZER.vocabulary.ids("pitch"))
    assert architecture.rest == REST
    assert len(NAMES) == VOICES


def test_windows_hold_whole_bars_of_every_metre_after_the_head():
    length, head = window_of(VoiceLSTM(vocab_size=145), 577)
    predicted = length - head + 1  # tokens after the head
    assert (length, head) == (577, 2)
    for steps_in_a_bar in (8, 12, 16, 24, 48):
        assert predicted % (VOICES * steps_in_a_bar) == 0
    assert window_of(VoiceLSTM(vocab_size=145), 10) == (193, 2)  # never less than one


def test_a_held_note_is_still_known_when_its_token_is_long_gone(model):
    architecture, weights = model
    # Without its memory, all that it knows of the past is what it worked out.
    deaf = {n: w * (not n.startswith("layer")) for n, w in weights.items()}
    held = [HOLD] * VOICES * 9
    first = logits_after((architecture, deaf), [PITCH + 60, *[REST] * 3, *held])
    other = logits_after((architecture, deaf), [PITCH + 64, *[REST] * 3, *held])
    assert np.abs(first[-1] - other[-1]).max() > 1e-3
    held = [PITCH + 72, *[HOLD] * 3, *held]  # until it is struck anew
    first = logits_after((architecture, deaf), [PITCH + 60, *[REST] * 3, *held])
    other = logits_after((architecture, deaf), [PITCH + 64, *[REST] * 3, *held])
    np.testing.assert_array_equal(first[-1], other[-1])


def test_a_held_note_grows_older_up_to_a_limit(model):
    architecture, weights = model
    deaf = {n: w * (not n.startswith("layer")) for n, w in weights.items()}
    deaf["place"] = deaf["place"] * 0
    chord = [PITCH + 60 + i for i in range(VOICES)]

    def after(steps):
        return logits_after((architecture, deaf), chord + [HOLD] * VOICES * steps)[-1]

    assert np.abs(after(3) - after(4)).max() > 1e-3
    np.testing.assert_allclose(after(40), after(41), atol=1e-6)


def test_a_voice_hears_those_above_it_and_not_those_below(model):
    chord = [PITCH + 72, PITCH + 67, PITCH + 64, PITCH + 48]
    before = logits_after(model, chord * 2)
    for voice in range(VOICES):
        changed = chord * 2
        changed[VOICES + voice] += 1
        after = logits_after(model, changed)
        at = 1 + VOICES + voice  # where that token is predicted
        np.testing.assert_array_equal(before[: at + 1], after[: at + 1])
        assert np.abs(before[at + 1] - after[at + 1]).max() > 1e-4


def test_sizes_that_do_not_fit_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match=r"must lie in the vocabulary of 100"):
        VoiceLSTM(vocab_size=100)
    with pytest.raises(ValueError, match=r"`rest` must not be a pitch. Received: 20"):
        VoiceLSTM(vocab_size=145, rest=20)
    with pytest.raises(ValueError, match=r"`first_pitch` must be an integer in 0\.\."):
        VoiceLSTM(vocab_size=145, first_pitch=-1)

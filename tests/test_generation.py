"""The two engines: same tokens, valid music, also from a model that knows nothing."""

import numpy as np
import pytest

from audio_models import MODELS
from audio_models.generation import CompiledGenerator
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.midi import midi_bytes, parse_midi
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD

TOKENIZER = MelodyTokenizer()
SIZES = {
    **{
        name: {"embedding_dim": 8, "hidden_dim": 16, "num_layers": 2}
        for name in ("lstm", "gru", "rnn")
    },
    "nnlm": {"embedding_dim": 8, "hidden_dim": 16, "window": 4},
    "transformer": {
        "hidden_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "context_length": 64,
    },
    "voices": {
        "first_pitch": TOKENIZER.vocabulary.ids("pitch")[0],
        "rest": TOKENIZER.rest,
        "embedding_dim": 8,
        "hidden_dim": 16,
        "chain_dim": 16,
    },
}
every_model = pytest.mark.parametrize("name", MODELS)


def untrained(name, seed=0):
    architecture = MODELS[name](vocab_size=TOKENIZER.vocab_size, **SIZES[name])
    return Network(architecture, seed=seed)


def request(rows=4, new=40, **settings):
    return Request(
        np.tile([BOS, TOKENIZER.metre_id("4/4")], (rows, 1)),
        new,
        TOKENIZER.grammar,
        **settings,
    )


@every_model
@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_k": 9, "top_p": 0.8}],
    ids=["plain", "greedy", "filtered"],
)
def test_player_and_compiled_loop_give_the_same_tokens(name, settings):
    network = untrained(name)
    player = Player(network.architecture, network.named_weights())
    asked = request(seed=5, min_new_tokens=10, **settings)
    ours = generate(player, asked)
    compiled = CompiledGenerator(network).generate(asked)
    np.testing.assert_array_equal(ours.ids, compiled.ids)
    np.testing.assert_allclose(
        ours.log_probability, compiled.log_probability, atol=1e-3
    )


@every_model
def test_five_hundred_compositions_of_an_untrained_model_all_decode(name):
    network = untrained(name, seed=11)
    player = Player(network.architecture, network.named_weights())
    lengths = []
    for seed in range(5):
        made = generate(player, request(rows=100, new=64, seed=seed, temperature=1.0))
        for row in made.ids:
            ids = np.r_[BOS, TOKENIZER.metre_id("4/4"), row]
            real = ids[ids != PAD]
            assert TOKENIZER.grammar.accepts(real[1:])
            score = TOKENIZER.decode(ids)
            assert len(score) >= 1
            assert parse_midi(midi_bytes(score)).notes.tolist() == score.notes.tolist()
            lengths.append(len(score))
    print(f"500 compositions, {min(lengths)} to {max(lengths)} notes")
    assert len(lengths) == 500


@every_model
def test_greedy_untrained_music_is_never_silence_alone(name):
    network = untrained(name, seed=3)
    weights = network.named_weights()
    # The worst model there is: all it wants is to rest, to hold, and to end.
    weights["head.bias"][[TOKENIZER.rest, TOKENIZER.hold, EOS]] = 50.0
    player = Player(network.architecture, weights)
    made = generate(player, request(rows=2, new=100, temperature=0.0))
    for row in made.ids:
        assert len(TOKENIZER.decode(np.r_[BOS, row])) >= 1


def test_the_same_seed_gives_the_same_tokens_and_rows_do_not_depend_on_the_batch():
    network = untrained("lstm")
    player = Player(network.architecture, network.named_weights())
    many = generate(player, request(rows=4, seed=9)).ids
    again = generate(player, request(rows=4, seed=9)).ids
    alone = generate(player, request(rows=1, seed=9)).ids
    other = generate(player, request(rows=4, seed=10)).ids
    np.testing.assert_array_equal(many, again)
    np.testing.assert_array_equal(many[:1], alone)
    assert (many != other).any()
    assert len({row.tobytes() for row in many}) == 4


def test_eos_is_held_back_and_after_it_there_is_padding_alone():
    network = untrained("lstm")
    weights = network.named_weights()
    weights["head.bias"][EOS] = 9.0
    player = Player(network.architecture, weights)
    made = generate(player, request(rows=8, new=30, min_new_tokens=12))
    ends = (made.ids == EOS).argmax(axis=1)
    assert (ends >= 12).all()
    for row, end in zip(made.ids, ends, strict=True):
        assert (row[end + 1 :] == PAD).all()


def test_log_probabilities_are_the_models_own():
    network = untrained("lstm")
    player = Player(network.architecture, network.named_weights())
    made = generate(player, request(rows=1, new=5, temperature=0.3, top_k=3))
    ids = np.r_[BOS, TOKENIZER.metre_id("4/4"), made.ids[0]]
    logits = np.asarray(network(ids[None, :-1]))[0, 1:]
    shifted = logits - logits.max(axis=1, keepdims=True)
    every = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    expected = every[np.arange(5), made.ids[0]]
    np.testing.assert_allclose(made.log_probability[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"new": 0}, "`max_new_tokens` must be at least 1"),
        ({"new": 10**7}, "`max_new_tokens` must be at most"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_an_impossible_request_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        request(**settings)


def test_a_prompt_that_breaks_the_grammar_is_refused():
    broken = Request([[BOS, EOS]], 4, TOKENIZER.grammar)
    with pytest.raises(ValueError, match="breaks the grammar"):
        broken.grammar_states()

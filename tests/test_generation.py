"""The two engines: same tokens, valid music, also from a model that knows nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio_models import MODELS, numpy_ops
from audio_models.bundle import load_bundle
from audio_models.generation import CompiledGenerator
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.request import IMPOSSIBLE, Generated, Request
from audio_models.sampling import COLDEST, FORBIDDEN, keep_top_k, keep_top_p
from audio_models.transformer import Transformer
from data_pipelines.midi import midi_bytes, parse_midi
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD

TOKENIZER = MelodyTokenizer()
BUNDLES = Path(__file__).resolve().parent.parent / "assets" / "bundles"
VOICES = {
    "first_pitch": TOKENIZER.vocabulary.ids("pitch")[0],
    "rest": TOKENIZER.rest,
    "embedding_dim": 8,
    "hidden_dim": 16,
    "chain_dim": 16,
}
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
    "voices": VOICES,
    "anticipation": {**VOICES, "num_voices": 2, "ahead_dim": 8},
    "frames": {"embedding_dim": 8, "hidden_dim": 16, "frame": 4, "sample_dim": 16},
    "dilated": {"hidden_dim": 8, "num_layers": 4, "cycle": 2, "skip_dim": 16},
    "state-space": {"hidden_dim": 8, "num_layers": 2, "window": 3, "skip_dim": 16},
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


def as_it_was(player, request):
    """The loop of before min-p, masks and the rest: mask, temperature, top-k, top-p."""
    prompts, new = request.prompts, request.max_new_tokens
    rows = len(prompts)
    allowed, next_state = request.grammar.allowed, request.grammar.next_state
    random = np.stack(
        [
            np.random.default_rng([request.seed, row]).random(new, dtype=np.float32)
            for row in range(rows)
        ]
    )
    state = player.start(rows)
    for column in range(prompts.shape[1]):
        logits, state = player.step(prompts[:, column], state)
    place = request.grammar_states()
    ids = np.zeros((rows, new), dtype=np.int32)
    worth = np.zeros((rows, new), dtype=np.float32)
    end_worth = np.full((rows, new), IMPOSSIBLE, dtype=np.float32)
    for t in range(new):
        may = allowed[place]
        if t < request.min_new_tokens:
            may = may & ~request.is_end
        masked = np.where(may, logits, FORBIDDEN)
        if request.temperature < COLDEST:
            drawn = masked.argmax(axis=-1).astype(np.int32)
        else:
            masked = masked / request.temperature
            if request.top_k is not None:
                masked = keep_top_k(numpy_ops, masked, request.top_k)
            masked = keep_top_p(numpy_ops, masked, request.top_p)
            cumulative = np.cumsum(numpy_ops.softmax(masked), axis=-1)
            threshold = random[:, t, None] * cumulative[:, -1:]
            drawn = (cumulative <= threshold).sum(axis=-1).astype(np.int32)
        every = numpy_ops.log_softmax(logits)
        worth[:, t] = every[np.arange(rows), drawn]
        end_worth[:, t] = np.where(allowed[place, EOS], every[:, EOS], IMPOSSIBLE)
        ids[:, t] = drawn
        place = next_state[place, drawn]
        if request.is_final[place].all():
            break
        if t + 1 < new:
            logits, state = player.step(drawn, state)
    return Generated(ids, worth, end_worth)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 0.9, "top_p": 0.95, "min_new_tokens": 60},
        {"temperature": 1.3, "top_k": 5, "top_p": 0.8},
    ],
    ids=["plain", "greedy", "as compose does", "filtered"],
)
def test_who_asks_for_nothing_new_gets_the_music_of_before_bit_for_bit(settings):
    bundle = load_bundle(BUNDLES / "fiddle")
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    player = Player(bundle.architecture, bundle.weights)
    prompts = np.tile([BOS, tokenizer.metre_id("6/8")], (3, 1))
    asked = Request(prompts, 90, tokenizer.grammar, seed=6, **settings)
    made, before = generate(player, asked), as_it_was(player, asked)
    np.testing.assert_array_equal(made.ids, before.ids)
    np.testing.assert_array_equal(made.log_probability, before.log_probability)
    np.testing.assert_array_equal(made.end_log_probability, before.end_log_probability)


NOTES = np.asarray(TOKENIZER.is_note(np.arange(TOKENIZER.vocab_size)), dtype=bool)
C_MAJOR = np.isin(np.arange(128) % 12, [0, 2, 4, 5, 7, 9, 11])
IN_C_MAJOR = np.ones(TOKENIZER.vocab_size, dtype=bool)
IN_C_MAJOR[TOKENIZER.vocabulary.ids("pitch")] = C_MAJOR
LIKES_LOW = np.where(NOTES, -np.arange(TOKENIZER.vocab_size) / 20, 0)


ALL_WISHES = {
    "no_repeat_ngram": 3,
    "repetition": 2.0,
    "repetition_of": NOTES,
    "repetition_window": 12,
    "min_p": 0.1,
    "top_p": 0.9,
    "bias": LIKES_LOW,
    "allowed_tokens": IN_C_MAJOR,
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rnn", {"min_p": 0.6, "allowed_tokens": IN_C_MAJOR, "seeds": (7, 0, 7, 3)}),
        ("rnn", ALL_WISHES),
        ("transformer", ALL_WISHES),
    ],
    ids=["mask", "all", "all of a transformer"],
)
def test_both_engines_mind_every_wish_alike(name, settings):
    network = untrained(name, seed=4)
    player = Player(network.architecture, network.named_weights())
    asked = request(seed=5, min_new_tokens=10, **settings)
    ours = generate(player, asked)
    compiled = CompiledGenerator(network).generate(asked)
    np.testing.assert_array_equal(ours.ids, compiled.ids)
    assert (ours.ids != generate(player, request(seed=5, min_new_tokens=10)).ids).any()


def test_ten_thousand_tokens_stay_in_the_key_that_was_asked():
    network = untrained("rnn", seed=1)
    weights = network.named_weights()
    weights["head.bias"][~IN_C_MAJOR] += 5  # all it wants is what is forbidden
    player = Player(network.architecture, weights)
    settings = {"rows": 100, "new": 100, "min_new_tokens": 100, "temperature": 1.5}
    free = generate(player, request(**settings)).ids
    assert (~IN_C_MAJOR[free]).mean() > 0.5
    made = generate(player, request(**settings, allowed_tokens=IN_C_MAJOR)).ids
    assert made.size == 10_000
    assert IN_C_MAJOR[made].all()
    assert NOTES[made].sum() > 1_000


def test_where_the_mask_leaves_nothing_the_grammar_decides_alone():
    player = Player(*(lambda n: (n.architecture, n.named_weights()))(untrained("rnn")))
    only = np.arange(TOKENIZER.vocab_size) == EOS  # no tune may begin with its end
    free = generate(player, request(new=1, seed=3))
    made = generate(player, request(new=20, seed=3, allowed_tokens=only))
    for row, first in zip(made.ids, free.ids[:, 0], strict=True):
        assert row[0] == first
        real = row[row != PAD]
        assert TOKENIZER.grammar.accepts(np.r_[TOKENIZER.metre_id("4/4"), real])
        assert real[-1] == EOS


def test_a_row_with_a_seed_of_its_own_is_the_first_row_of_that_seed():
    network = untrained("gru", seed=2)
    player = Player(network.architecture, network.named_weights())
    seeds = (12, 3, 12, 0)
    made = generate(player, request(rows=4, seeds=seeds, seed=99))
    for row, seed in enumerate(seeds):
        alone = generate(player, request(rows=1, seed=seed))
        also = generate(player, request(rows=1, seeds=(seed,)))
        np.testing.assert_array_equal(made.ids[row], alone.ids[0])
        np.testing.assert_array_equal(made.ids[row], also.ids[0])
    assert len({row.tobytes() for row in made.ids}) == 3


def test_repetition_spares_what_it_is_not_told_of():
    network = untrained("rnn", seed=1)
    weights = network.named_weights()
    weights["head.bias"][TOKENIZER.hold] += 4.0
    player = Player(network.architecture, weights)
    asked = request(rows=50, new=64, min_new_tokens=64)
    dearer = {"repetition": 1e6, "repetition_of": NOTES, "repetition_window": 64}
    holds = []
    for settings in ({}, dearer):
        ids = generate(player, replace(asked, **settings)).ids
        holds.append((ids == TOKENIZER.hold).mean())
        most = [np.bincount(row[NOTES[row]]).max() for row in ids]
    assert max(most) == 1  # no pitch twice among fewer than 128
    assert holds[1] > 0.8 * holds[0] > 0.2


@pytest.mark.parametrize("size", [2, 5])
def test_no_ngram_comes_twice_where_another_token_may(size):
    network = untrained("rnn", seed=1)
    weights = network.named_weights()
    weights["head.bias"][[TOKENIZER.hold, TOKENIZER.rest]] += 6.0  # a loop, if let
    player = Player(network.architecture, weights)
    asked = request(rows=5, new=60, min_new_tokens=60, temperature=0.5)

    def grams(row):
        return [tuple(row[i : i + size]) for i in range(len(row) - size + 1)]

    free = generate(player, asked).ids
    made = generate(player, replace(asked, no_repeat_ngram=size)).ids
    for row in np.c_[asked.prompts, free].tolist():
        assert len(set(grams(row))) < len(grams(row))
    for row in np.c_[asked.prompts, made].tolist():
        assert len(set(grams(row))) == len(grams(row))


@pytest.mark.parametrize("kind", Transformer.CHOICES["positions"])
def test_past_its_context_a_transformer_goes_on_and_its_state_stays_as_large(kind):
    architecture = Transformer(
        TOKENIZER.vocab_size, 16, 2, 2, context_length=16, positions=kind
    )
    network = Network(architecture, seed=2)
    sizes = []

    class Watched(Player):
        def step(self, ids, state):
            logits, state = super().step(ids, state)
            sizes.append(sum(np.asarray(part).nbytes for part in state))
            return logits, state

    player = Watched(architecture, network.named_weights())
    asked = request(rows=2, new=70, min_new_tokens=70, seed=1)
    made = generate(player, asked)
    assert 69 <= len(sizes) <= 71  # one step a token, however far it has come,
    assert len(set(sizes)) == 1  # each over the same keys and values
    # Each token has the worth of one call over all, a window sliding along.
    whole = np.c_[asked.prompts, made.ids]
    logits, _ = architecture.forward(numpy_ops, player.weights, whole[:, :-1])
    every = numpy_ops.log_softmax(logits)[:, 1:]
    expected = np.take_along_axis(every, made.ids[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(made.log_probability, expected, atol=1e-4)
    if kind == "rotary":  # of the others, `test_transformer` has the compiled engine
        compiled = CompiledGenerator(network).generate(asked)
        np.testing.assert_array_equal(made.ids, compiled.ids)
        np.testing.assert_allclose(compiled.log_probability, expected, atol=1e-3)


def test_turned_keys_read_the_last_window_as_if_it_were_the_first():
    # In one layer a rotary model knows of a long piece what a fresh call on its last
    # `context_length` tokens knows: the distances, and nothing older.
    architecture = Transformer(TOKENIZER.vocab_size, 16, 1, 2, context_length=16)
    network = Network(architecture, seed=2)
    player = Player(architecture, network.named_weights())
    asked = request(rows=2, new=70, min_new_tokens=70, seed=1)
    made = generate(player, asked)
    whole = np.c_[asked.prompts, made.ids]
    for t in (20, 45, 69):
        window = whole[:, 2 + t - 16 : 2 + t]
        logits, _ = architecture.forward(numpy_ops, player.weights, window)
        every = numpy_ops.log_softmax(logits[:, -1])
        expected = every[np.arange(2), made.ids[:, t]]
        np.testing.assert_allclose(made.log_probability[:, t], expected, atol=1e-4)


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
        ({"min_p": 1.5}, r"`min_p` must be in \[0, 1\]. Received: 1.5"),
        ({"min_p": float("nan")}, r"`min_p` must be in \[0, 1\]"),
        ({"repetition": 0}, "`repetition` must be above 0 and finite. Received: 0"),
        ({"repetition": float("inf")}, "`repetition` must be above 0"),
        ({"repetition_window": 0}, "`repetition_window` must be at least 1"),
        ({"repetition_window": 10**7}, "`repetition_window` must be at most"),
        ({"no_repeat_ngram": 1}, r"`no_repeat_ngram` must be 0 or in 2\.\.256"),
        ({"no_repeat_ngram": -3}, "`no_repeat_ngram` must be 0 or in"),
        ({"seeds": (1, 2)}, "`seeds` must be one integer .* for each of the 4 prompts"),
        ({"seeds": (1, 2, 3, -4)}, "`seeds` must be one integer of at least 0"),
        ({"allowed_tokens": NOTES[1:]}, r"`allowed_tokens` must have one entry for"),
        ({"allowed_tokens": LIKES_LOW}, "`allowed_tokens` must not be of dtype float"),
        ({"repetition_of": [1, 0]}, "`repetition_of` must have one entry for"),
        ({"bias": NOTES}, "`bias` must not be of dtype bool"),
        ({"bias": np.full(NOTES.shape, np.nan)}, "`bias` must be finite"),
    ],
)
def test_an_impossible_request_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        request(**settings)


def test_a_prompt_that_breaks_the_grammar_is_refused():
    broken = Request([[BOS, EOS]], 4, TOKENIZER.grammar)
    with pytest.raises(ValueError, match="breaks the grammar"):
        broken.grammar_states()

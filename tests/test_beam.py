"""Beam search: by hand, against all there is, and never below greedy; rows of states."""

import itertools
import math

import numpy as np
import pytest

from audio_models import MODELS, numpy_ops
from audio_models.beam import beam_search
from audio_models.counted import count
from audio_models.player import Player, batch_axes, generate, take_rows
from audio_models.request import EOS, IMPOSSIBLE, PAD, Request
from data_pipelines.tokenizers.grammar import Grammar

BOS = 1
VOCAB = 7  # PAD, BOS, EOS, UNK and three that sound: 4, 5 and 6
SOUNDS = (4, 5, 6)
VOICES = {
    "first_pitch": 4,
    "num_pitches": 2,
    "rest": 6,
    "embedding_dim": 4,
    "hidden_dim": 6,
    "num_layers": 2,
    "chain_dim": 6,
}
SMALL = {
    **{
        name: {"embedding_dim": 4, "hidden_dim": 6, "num_layers": 2}
        for name in ("lstm", "gru", "rnn")
    },
    "nnlm": {"embedding_dim": 4, "hidden_dim": 6, "window": 3},
    "transformer": {
        "hidden_dim": 8,
        "num_layers": 2,
        "num_heads": 2,
        "context_length": 4,  # shorter than what is written: the ring goes round
    },
    "voices": VOICES,
    "anticipation": {**VOICES, "num_voices": 2, "ahead_dim": 4, "lookback": True},
    "frames": {"hidden_dim": 6, "frame": 2, "window": 3, "sample_dim": 6},
    "dilated": {"hidden_dim": 4, "num_layers": 3, "cycle": 2, "skip_dim": 6},
    "state-space": {"hidden_dim": 6, "num_layers": 2, "window": 3, "skip_dim": 8},
}
AXES = {
    "lstm": [1, 1],
    "gru": [1],
    "rnn": [1],
    "nnlm": [0],
    "transformer": [1, 1, None],
    "voices": [1, 1, 0, 0, 0, 0, 0, None],
    "anticipation": [1, 1, 0, 0, 0, 0, 0, None, 0, 0, 0],
    "frames": [1, 1, 0, 0, 0, None],
    "dilated": [0, 0, None],
    "state-space": [1, 1, 0, 0, None],
}
every_model = pytest.mark.parametrize("name", MODELS)


def grammar(may_end=True):
    """One of three sounds, or the end; after the end only padding."""
    allowed = np.zeros((2, VOCAB), dtype=bool)
    allowed[0, SOUNDS] = True
    allowed[0, EOS] = may_end
    allowed[1, PAD] = True
    next_state = np.zeros((2, VOCAB), dtype=np.int32)
    next_state[0, EOS] = next_state[1, PAD] = 1
    return Grammar(allowed, next_state, 0)


def small(name, seed=0):
    """A model with weights large enough that it has likes and dislikes."""
    architecture = MODELS[name](vocab_size=VOCAB, **SMALL[name])
    rng = np.random.default_rng(seed)
    weights = {
        key: rng.normal(0, 0.9, weight.shape).astype("float32")
        for key, weight in architecture.weights().items()
    }
    return Player(architecture, weights)


class Chances:
    """A player that knows by heart what follows which token; no architecture."""

    def __init__(self, after):
        self.logits = np.full((VOCAB, VOCAB), -50.0, dtype="float32")
        for last, chances in after.items():
            for token, p in chances.items():
                self.logits[last, token] = math.log(p)

    def start(self, batch_size):
        return (np.zeros(batch_size, dtype=int),)

    def read(self, ids, state):
        return self.step(ids[:, -1], state)

    def step(self, ids, state):
        return self.logits[ids], (ids,)


def asked(new=5, may_end=True, prompts=((BOS, 4), (BOS, 5), (BOS, 6)), **settings):
    return Request(prompts, new, grammar(may_end), **settings)


def log_p(player, prompt, sequences):
    """Nats of each token, by one call over whole rows: no state, no step, no lines."""
    rows = np.array([[*prompt, *ids] for ids in np.atleast_2d(sequences)])
    logits, _ = player.architecture.forward(numpy_ops, player.weights, rows[:, :-1])
    every = numpy_ops.log_softmax(np.asarray(logits, "float64"))[:, len(prompt) - 1 :]
    new = rows[:, len(prompt) :]
    return np.take_along_axis(every, new[..., None], axis=-1)[..., 0]


def score(made, penalty=0.0):
    is_real = made.ids != PAD
    total = np.where(is_real, made.log_probability, 0).sum(axis=1, dtype=float)
    return total / ((5 + is_real.sum(axis=1)) / 6) ** penalty


def every_sequence(new):
    """All that the grammar accepts, (N, new), PAD behind EOS."""
    rows = []
    for length in range(new + 1):
        for sounds in itertools.product(SOUNDS, repeat=length):
            rows.append([*sounds, *[EOS, *[PAD] * new][: new - length]])
    return np.array(rows)


def test_two_lines_find_what_greed_walks_past():
    # 0.6 x 0.4 = 0.24 along the best first step, 0.4 x 0.9 = 0.36 along the other.
    player = Chances(
        {BOS: {4: 0.6, 5: 0.4}, 4: {4: 0.4, 5: 0.3, 6: 0.3}, 5: {6: 0.9, 4: 0.1}}
    )
    request = asked(2, may_end=False, prompts=[[BOS]])
    greedy = beam_search(player, request, width=1)
    made = beam_search(player, request, width=2)
    assert greedy.ids.tolist() == [[4, 4]]
    assert made.ids.tolist() == [[5, 6]]
    np.testing.assert_allclose(np.exp(made.log_probability), [[0.4, 0.9]], atol=1e-5)
    np.testing.assert_allclose(np.exp(score(greedy)), [0.24], atol=1e-5)


def test_the_greedy_line_is_kept_though_two_others_look_better():
    # 0.45 x 0.4 x 1 = 0.18; on the way two lines of 0.44 x 0.5 = 0.22 come past it, of
    # which 0.11 is left. A beam of two without a place for greed returns one of these.
    player = Chances(
        {
            BOS: {4: 0.45, 5: 0.44, 6: 0.11},
            4: {6: 0.4, 4: 0.3, 5: 0.3},
            5: {4: 0.5, 5: 0.5},
            6: {6: 1.0},
        }
    )
    made = beam_search(player, asked(3, may_end=False, prompts=[[BOS]]), width=2)
    assert made.ids.tolist() == [[4, 6, 6]]
    np.testing.assert_allclose(np.exp(score(made)), [0.18], atol=1e-5)


@pytest.mark.parametrize(("penalty", "expected"), [(0, [4, EOS]), (2, [5, 6, EOS])])
def test_the_length_penalty_is_that_of_the_formula(penalty, expected):
    # 0.5 x 0.4 = 0.20 in two tokens, 0.5 x 0.9 x 0.4 = 0.18 in three. With penalty 2,
    # log 0.20 / (7 / 6) ** 2 = -1.18, and log 0.18 / (8 / 6) ** 2 = -0.96.
    one_of_four = {EOS: 0.4, 4: 0.2, 5: 0.2, 6: 0.2}
    player = Chances(
        {BOS: {4: 0.5, 5: 0.5}, 4: one_of_four, 5: {6: 0.9, 4: 0.1}, 6: one_of_four}
    )
    request = asked(3, prompts=[[BOS]])
    made = beam_search(player, request, width=40, length_penalty=penalty)
    assert made.ids[0][made.ids[0] != PAD].tolist() == expected


@every_model
def test_width_one_is_greedy(name):
    player = small(name)
    for settings in ({}, {"min_new_tokens": 3, "bias": np.arange(VOCAB) / 4}):
        request = asked(9, temperature=0, **settings)
        greedy = generate(player, request)
        made = beam_search(player, request, width=1)
        np.testing.assert_array_equal(made.ids, greedy.ids)
        is_real = made.ids != PAD
        for ours, theirs in (
            (made.log_probability, greedy.log_probability),
            (made.end_log_probability, greedy.end_log_probability),
        ):
            np.testing.assert_allclose(ours[is_real], theirs[is_real], atol=1e-4)


@every_model
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_a_beam_that_holds_all_there_is_finds_the_best_there_is(name, penalty):
    player = small(name)
    new = 4
    request = asked(new)
    made = beam_search(player, request, width=200, length_penalty=penalty)
    sequences = every_sequence(new)
    assert len(sequences) == 1 + 3 + 9 + 27 + 81  # EOS at once, after one, ...; none
    is_real = sequences != PAD
    norm = ((5 + is_real.sum(axis=1)) / 6) ** penalty
    for found, prompt in zip(made.ids, request.prompts, strict=True):
        total = np.where(is_real, log_p(player, prompt, sequences), 0).sum(axis=1)
        assert found.tolist() == sequences[(total / norm).argmax()].tolist()


@every_model
@pytest.mark.parametrize("width", [2, 3, 10])
def test_each_line_keeps_its_own_memory(name, width):
    # What the search says of its tokens is what one call says that knows no lines.
    player = small(name, seed=2)
    request = asked(8, min_new_tokens=8)
    made = beam_search(player, request, width=width)
    for row, prompt in enumerate(request.prompts):
        (expected,) = log_p(player, prompt, made.ids[row])
        np.testing.assert_allclose(made.log_probability[row], expected, atol=1e-4)


def test_no_beam_scores_below_greedy():
    better = 0
    for seed, width in itertools.product(range(12), (1, 2, 3, 5)):
        player = small("gru", seed)
        penalty = (0.0, 0.6, 2.0)[seed % 3]
        request = asked(12, temperature=0)
        greedy = score(generate(player, request), penalty)
        made = beam_search(player, request, width=width, length_penalty=penalty)
        assert (score(made, penalty) >= greedy - 1e-4).all()
        better += int((score(made, penalty) > greedy + 1e-3).sum())
    print(f"{better} of {12 * 4 * 3} lines better than greedy")
    assert better > 12


@pytest.mark.parametrize("width", [1, 4, 64])
def test_what_is_forbidden_stays_out_and_eos_is_held_back(width):
    player = small("lstm", seed=1)
    only = np.isin(np.arange(VOCAB), [EOS, 5, 6])
    made = beam_search(
        player, asked(10, min_new_tokens=6, allowed_tokens=only), width=width
    )
    for row in made.ids:
        real = row[row != PAD]
        assert set(real.tolist()) <= {EOS, 5, 6}
        assert EOS not in row[:6]
        assert grammar().accepts(row)


def test_what_may_not_come_twice_does_not():
    player = Chances({last: {4: 0.9, 5: 0.06, 6: 0.04} for last in (BOS, *SOUNDS)})
    settings = {"may_end": False, "prompts": [[BOS]]}
    assert set(beam_search(player, asked(8, **settings)).ids[0]) == {4}
    made = beam_search(player, asked(8, no_repeat_ngram=3, **settings))
    row = made.ids[0].tolist()
    grams = list(zip(row, row[1:], row[2:], strict=False))
    assert len(grams) == len(set(grams)) == 6


def test_repetition_makes_the_second_of_a_kind_dearer():
    # 0.5 twice against 0.5 and 0.3; what was struck counts a quarter.
    player = Chances({last: {4: 0.5, 5: 0.3, 6: 0.2} for last in (BOS, *SOUNDS)})
    settings = {"may_end": False, "prompts": [[BOS]]}
    plain = beam_search(player, asked(3, **settings), width=30)
    varied = beam_search(player, asked(3, repetition=4.0, **settings), width=30)
    assert plain.ids.tolist() == [[4, 4, 4]]
    assert sorted(varied.ids[0]) == [4, 5, 6]


@pytest.mark.parametrize("width", [1, 3, 500])
def test_a_line_that_has_ended_costs_nothing_more_and_ends_the_search(width):
    class Counting(Chances):
        steps = 0

        def step(self, ids, state):
            Counting.steps += 1
            return super().step(ids, state)

    player = Counting({BOS: {4: 1.0}, 4: {EOS: 0.9, 4: 0.1}})
    made = beam_search(player, asked(50, prompts=[[BOS]]), width=width)
    assert made.ids[0, :2].tolist() == [4, EOS]
    assert (made.ids[0, 2:] == PAD).all()
    assert (made.end_log_probability[0, 2:] == IMPOSSIBLE).all()
    assert Counting.steps == 2  # BOS and 4: no other line can still come to 0.9


def test_the_longest_of_one_token_and_the_shortest_prompt():
    made = beam_search(small("rnn"), asked(1, prompts=[[BOS]]), width=9)
    assert made.ids.shape == (1, 1)
    assert made.ids[0, 0] in (EOS, *SOUNDS)
    worth = log_p(small("rnn"), [BOS], [[token] for token in (EOS, *SOUNDS)])
    np.testing.assert_allclose(made.log_probability[0, 0], worth.max(), atol=1e-5)


def test_every_model_has_a_small_size_to_test():
    assert set(SMALL) == set(AXES) == set(MODELS)


@every_model
def test_the_axis_of_the_batch_is_found(name):
    assert batch_axes(small(name).start) == AXES[name]


def test_the_axis_of_the_batch_is_found_in_an_ngram_too():
    player = Player(*count([np.array([BOS, 4, 5, 4, 6])], VOCAB, order=2))
    assert batch_axes(player.start) == [0, 0]
    made = beam_search(player, asked(6, may_end=False, prompts=[[BOS, 4]]), width=3)
    (expected,) = log_p(player, [BOS, 4], made.ids)
    np.testing.assert_allclose(made.log_probability[0], expected, atol=1e-4)


@every_model
def test_rows_of_a_state_go_on_as_they_would_have(name):
    player = small(name)
    ids = np.random.default_rng(0).integers(4, VOCAB, (4, 7))
    state = player.start(4)
    for column in ids.T:
        _, state = player.step(column, state)
    rows = np.array([2, 0, 2])  # turned round, one twice, one gone
    taken = take_rows(state, rows, batch_axes(player.start))
    logits, _ = player.step(np.array([4, 5, 6]), taken)
    for given, row, last in zip(logits, rows, (4, 5, 6), strict=True):
        whole, _ = player.architecture.forward(
            numpy_ops, player.weights, np.array([[*ids[row], last]])
        )
        np.testing.assert_allclose(given, whole[0, -1], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, r"`width` must be in 1\.\.4096. Received: 0"),
        ({"width": 9999}, r"`width` must be in 1\.\.4096"),
        ({"length_penalty": -1}, "`length_penalty` must be at least 0. Received: -1"),
        ({"length_penalty": math.nan}, "`length_penalty` must be at least 0"),
    ],
)
def test_a_search_out_of_range_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        beam_search(small("rnn"), asked(), **settings)


def test_a_prompt_that_breaks_the_grammar_is_refused():
    with pytest.raises(ValueError, match="breaks the grammar"):
        beam_search(small("rnn"), asked(prompts=[[BOS, EOS, 4]]))

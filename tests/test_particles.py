"""The particle filter: what it draws follows the law it states, whatever the weights."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from audio_models import MODELS, particles
from audio_models.architecture import Weight
from audio_models.counted import count
from audio_models.particles import Sheet, Stretch, Timed, fill, read
from audio_models.player import Player, batch_axes, take_rows
from audio_models.request import EOS, IMPOSSIBLE, PAD
from data_pipelines.tokenizers.grammar import Grammar

A, B, C = LETTERS = (4, 5, 6)
VOCAB = 7
SUFFIX = [C, A]


def letters_grammar():
    """Two states: letters, at any time EOS; then the end."""
    allowed = np.zeros((2, VOCAB), dtype=bool)
    following = np.zeros((2, VOCAB), dtype=np.int32)
    allowed[0, [*LETTERS, EOS]] = True
    following[0, EOS] = 1
    allowed[1, PAD], following[1] = True, 1
    return Grammar(allowed, following, 0)


@pytest.fixture(scope="module")
def player():
    """A counted model in which what follows depends on the two letters before."""
    rng = np.random.default_rng(5)
    chain = rng.dirichlet([0.4] * 3, size=(3, 3))
    letters = [0, 1]
    for _ in range(600):
        letters.append(rng.choice(3, p=chain[letters[-2], letters[-1]]))
    pieces = [[1, *(A + np.array(letters[i : i + 50])), EOS] for i in range(0, 600, 50)]
    return Player(*count(pieces, VOCAB, order=2))


def sheet(free, suffix=SUFFIX):
    may = np.zeros((free + len(suffix), VOCAB), dtype=bool)
    may[:free, list(LETTERS)] = True
    may[np.arange(free, len(may)), suffix] = True
    return Sheet(may, letters_grammar(), 0)


def log_p(player, ids):
    """log p(ids after the first), one step after another: the plain reference."""
    state, total = player.start(1), 0.0
    for before, after in itertools.pairwise(ids):
        logits, state = player.step(np.array([before]), state)
        row = logits[0].astype(np.float64)
        total += row[after] - np.log(np.exp(row - row.max()).sum()) - row.max()
    return total


def exact(player, prefix, free, suffix=SUFFIX):
    """p(middle | prefix, suffix) of every middle there is, by Bayes."""
    middles = list(itertools.product(LETTERS, repeat=free))
    worth = np.array([log_p(player, [*prefix, *m, *suffix]) for m in middles])
    share = np.exp(worth - worth.max())
    return dict(zip(middles, share / share.sum(), strict=True))


def drawn_law(player, prefix, free, particles, draws):
    """How often each middle is drawn: the mean of the particles' shares over seeds."""
    found = dict.fromkeys(itertools.product(LETTERS, repeat=free), 0.0)
    for seed in range(draws):
        made = fill(player, prefix, sheet(free), particles=particles, seed=seed)
        for ids, share in zip(made.ids, made.shares, strict=True):
            found[tuple(ids[:free].tolist())] += share / draws
    return found


def distance(law, other):
    """Total variation."""
    return sum(abs(law[m] - other[m]) for m in law) / 2


def test_what_is_drawn_follows_bayes_and_more_particles_come_nearer(player):
    prefix, free = [1, A, B], 3
    law = exact(player, prefix, free)
    far, nearer, near = (
        distance(law, drawn_law(player, prefix, free, particles, draws))
        for particles, draws in ((1, 600), (8, 80), (600, 3))
    )
    assert far > 0.25  # what comes after matters in this model
    assert nearer < far / 2
    assert near < 0.06


def test_the_particle_chosen_is_drawn_by_its_share(player):
    prefix, free = [1, A, B], 2
    law = exact(player, prefix, free)
    counts = dict.fromkeys(law, 0)
    draws = 300
    for seed in range(draws):
        made = fill(player, prefix, sheet(free), particles=32, seed=seed)
        counts[tuple(made.ids[made.chosen, :free].tolist())] += 1
    expected = {m: draws * p for m, p in law.items() if draws * p >= 5}
    chi_square = sum((counts[m] - n) ** 2 / n for m, n in expected.items())
    assert chi_square < 27.9  # of at most 9 degrees of freedom: p = 0.001


def test_one_particle_writes_as_if_nothing_followed(player):
    prefix, free = [1, A, B], 3
    plain = {m: np.exp(log_p(player, [*prefix, *m])) for m in exact(player, prefix, 3)}
    # The letters alone: what the model left for EOS and the like is not drawn.
    drawn = drawn_law(player, prefix, free, 1, 600)
    total = sum(plain.values())
    assert distance({m: p / total for m, p in plain.items()}, drawn) < 0.12


@pytest.mark.parametrize("poor", [0.0, 2.0])  # copied never, and at every step
def test_a_token_given_between_free_ones_weighs(player, poor, monkeypatch):
    monkeypatch.setattr(particles, "POOR", poor)
    may = np.zeros((5, VOCAB), dtype=bool)
    may[:, list(LETTERS)] = True
    may[[2, 4]] = False
    may[2, B] = may[4, A] = True
    made = fill(player, [1, A], Sheet(may, letters_grammar(), 0), particles=900, seed=1)
    assert (made.ids[:, 2] == B).all() and (made.ids[:, 4] == A).all()
    worth = {
        m: log_p(player, [1, A, m[0], m[1], B, m[2], A])
        for m in itertools.product(LETTERS, repeat=3)
    }
    total = sum(np.exp(w) for w in worth.values())
    law = {m: np.exp(w) / total for m, w in worth.items()}
    found = dict.fromkeys(law, 0.0)
    for ids, share in zip(made.ids[:, [0, 1, 3]].tolist(), made.shares, strict=True):
        found[tuple(ids)] += share
    assert distance(law, found) < 0.12


def test_log_probabilities_are_the_models_own(player):
    made = fill(player, [1, A, B], sheet(3), particles=5, seed=3, temperature=0.5)
    for row, ids in enumerate(made.ids.tolist()):
        whole = log_p(player, [1, A, B, *ids]) - log_p(player, [1, A, B])
        assert made.log_probability[row].sum() == pytest.approx(whole, abs=1e-4)
    assert made.shares.sum() == pytest.approx(1)
    assert (made.end_log_probability > IMPOSSIBLE).all()  # EOS may stand after letters


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others(player):
    first, again, other = (
        fill(player, [1, A], sheet(8), particles=16, seed=seed) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.ids, again.ids)
    np.testing.assert_array_equal(first.shares, again.shares)
    assert first.chosen == again.chosen
    assert (first.ids != other.ids).any()


def test_a_way_that_the_grammar_forbids_is_refused_before_any_step():
    with pytest.raises(ValueError, match="knows no way"):
        sheet(1, suffix=[EOS, A])


def test_a_free_cell_takes_only_what_leads_through(player):
    """In a grammar where B may follow A alone, the cell before a given B holds A."""
    grammar = letters_grammar()
    allowed = np.vstack([grammar.allowed, grammar.allowed[:1]])
    following = np.vstack([grammar.next_state, grammar.next_state[:1]])
    allowed[0, B] = False  # state 0: B may not come; state 2, after A: it may
    following[[0, 2], A], following[2, [B, C]] = 2, 0
    strict = Grammar(allowed, following, 0)
    may = np.zeros((2, VOCAB), dtype=bool)
    may[0, list(LETTERS)], may[1, B] = True, True
    made = fill(player, [1, C], Sheet(may, strict, 0), particles=30)
    assert (made.ids[:, 0] == A).all()


@pytest.mark.parametrize("particles", [0, 5000])
def test_a_number_of_particles_out_of_range_is_named(player, particles):
    with pytest.raises(ValueError, match=rf"in 1\.\.4096\. Received: {particles}"):
        fill(player, [1], sheet(1), particles=particles)


def test_a_path_without_a_free_place_gives_what_is_given(player):
    made = fill(player, [1, A], sheet(0), particles=3)
    assert made.ids.tolist() == [SUFFIX] * 3
    np.testing.assert_allclose(made.shares, 1 / 3)


def test_a_stretch_ends_after_its_bars_and_goes_on_as_given(player):
    """A is a bar: two bars are written, then the suffix, A first."""
    grammar = letters_grammar()
    never = np.zeros(VOCAB, dtype=bool)
    first = np.isin(np.arange(VOCAB), [B])
    path = Stretch(
        grammar, 0, bar=A, bars=2, suffix=[A, C], never=never, first=first, quota=6
    )
    made = fill(player, [1, A], path, particles=40, seed=2)
    for ids in made.ids.tolist():
        written = [i for i in ids if i != PAD]
        assert written[0] == B and written[-2:] == [A, C]
        middle = written[:-2]
        assert middle.count(A) == 1
        bars = "".join(map(str, middle)).split(str(A))
        assert all(len(bar) <= 7 for bar in bars)


def test_the_clock_stops_a_timed_path(player):
    takes = np.zeros(VOCAB, dtype=np.int64)
    takes[[B, C]] = 1, 2
    path = Timed(letters_grammar(), 0, takes=takes, until=6, most=200)
    made = fill(player, [1, A], path, particles=20, copies=False)
    for ids in made.ids.tolist():
        written = [i for i in ids if i != PAD]
        assert takes[written].sum() in (6, 7) and takes[written[:-1]].sum() < 6
    np.testing.assert_allclose(made.shares.sum(), 1)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "nnlm", "transformer"])
def test_picking_rows_of_a_state_is_stepping_those_rows_alone(name):
    """Whatever a state is made of; two rows change places and go on as they would."""
    sizes = {"hidden_dim": 8}
    sizes |= {"window": 3} if name == "nnlm" else {"num_layers": 1}
    sizes |= {"num_heads": 2} if name == "transformer" else {"embedding_dim": 4}
    if name == "transformer":
        sizes["context_length"] = 4
    player = random_player(MODELS[name](vocab_size=VOCAB, **sizes))
    state = player.start(3)
    for token in (1, A, B, C, A, A):
        _, state = player.step(np.array([token, A, B]), state)
    wanted, _ = player.step(np.array([A, B, C]), state)
    rows = np.array([2, 0, 0])
    picked = take_rows(state, rows, batch_axes(player.start))
    got, _ = player.step(np.array([C, A, A]), picked)
    np.testing.assert_allclose(got, wanted[rows], atol=1e-6)


def test_a_long_prefix_is_read_through_the_window_that_the_model_has():
    player = random_player(
        MODELS["transformer"](
            VOCAB, hidden_dim=8, num_layers=1, num_heads=2, context_length=6
        )
    )
    long = [1, *[A, B, C] * 400]
    steps = []
    counting = SimpleNamespace(
        architecture=player.architecture,
        start=player.start,
        step=lambda ids, state: steps.append(1) or player.step(ids, state),
    )
    logits, _ = read(counting, long)
    assert len(steps) == 6 and np.isfinite(logits).all()


def random_player(architecture):
    rng = np.random.default_rng(0)
    assert isinstance(next(iter(architecture.weights().values())), Weight)
    weights = {
        name: rng.normal(0, 0.5, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }
    return Player(architecture, weights)

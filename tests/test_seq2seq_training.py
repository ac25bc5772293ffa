"""Teaching translators: what a batch holds, what is counted, and toys really learnt."""

import numpy as np
import pytest

from audio_models.seq2seq import TRANSLATORS
from audio_models.seq2seq_training import batches, fit_seq2seq, likelihood_and_accuracy
from audio_models.seq2seq_trials import (
    aligned_share,
    exact_share,
    times_of_reading,
    toy_trial,
)
from audio_models.toys import retrograde, vocab_size

RECURRENT = TRANSLATORS["seq2seq"](vocab_size(), embedding_dim=32, hidden_dim=64)
ATTENTIVE = TRANSLATORS["seq2seq_transformer"](vocab_size(), hidden_dim=64)


class Known:
    """An architecture that gives the logits it is told, whatever it reads."""

    vocab_size = 9

    def __init__(self, logits):
        self.logits = np.float32(logits)

    def forward(self, ops, weights, source, target):
        return np.broadcast_to(self.logits, (*target.shape, self.vocab_size))


def test_a_batch_forces_the_teacher_and_pads_to_its_bucket():
    (made,) = batches([([4, 5, 6], [7, 8])], batch_size=2)
    (source, target), y, mask = made
    assert source.tolist() == [[4, 5, 6, 2, *[0] * 12], [0] * 16]
    assert target.tolist() == [[1, 7, 8, *[0] * 13], [0] * 16]
    assert y.tolist() == [[7, 8, 2, *[0] * 13], [0] * 16]
    assert mask.tolist() == [[1, 1, 1, *[0] * 13], [0] * 16]
    assert {a.dtype.name for a in (source, target, y)} == {"int32"}
    assert mask.dtype == np.float32


def test_every_pair_comes_once_an_epoch_with_those_of_its_lengths():
    rng = np.random.default_rng(0)
    pairs = [
        (rng.integers(4, 9, n), rng.integers(4, 9, m))
        for n, m in rng.integers(0, 40, (50, 2))
    ]
    for seed in (None, 3):
        seen = []
        for (source, target), y, mask in batches(pairs, 4, seed):
            assert source.shape[0] == target.shape[0] == 4
            assert source.shape[1] % 16 == target.shape[1] % 16 == 0
            np.testing.assert_array_equal(mask, y != 0)
            np.testing.assert_array_equal(
                target[:, 1:] * mask[:, 1:], y[:, :-1] * mask[:, 1:]
            )
            for tokens, told in zip(source, y, strict=True):
                if told.any():
                    seen.append((tokens[tokens > 2].tolist(), told[told > 2].tolist()))
        expected = [(s.tolist(), t.tolist()) for s, t in pairs]
        assert sorted(seen) == sorted(expected)
    first, again, other = (
        [x[0].tolist() for x, _, _ in batches(pairs, 4, seed)] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_nats_and_accuracy_are_over_real_tokens_alone():
    # Token 7 has half of the mass, 2 (EOS) a quarter, 8 an eighth.
    chances = np.full(9, 1 / 48)
    chances[[7, 2, 8]] = 1 / 2, 1 / 4, 1 / 8
    pairs = [([4], [7, 8, 7]), ([5, 6], [])]
    nats, right, tokens = likelihood_and_accuracy(
        Known(np.log(chances)), {}, batches(pairs, 4)
    )
    assert (right, tokens) == (2, 5)  # two sevens; 7 8 7 EOS, and EOS
    assert nats == pytest.approx(np.log(2) * (1 + 3 + 1 + 2 + 2), rel=1e-6)
    of_padding = Known(np.log(np.roll(chances, 2)))  # now PAD is the likeliest
    assert likelihood_and_accuracy(of_padding, {}, batches(pairs, 4))[1:] == (0, 5)


def test_what_cannot_be_learnt_from_is_named():
    small = TRANSLATORS["seq2seq"](9, 4, 4)
    pair = ([4, 5], [6])
    for pairs, valid, sentence in (
        ([], [pair], "`pairs` must hold a pair"),
        ([pair], [], "`valid_pairs` must hold a pair"),
        (
            [pair, ([4], [9])],
            [pair],
            r"`pairs` must be in 3\.\.8.*9\.\.9 in sequence 1",
        ),
        ([pair], [([2], [4])], "`valid_pairs` must be in .*without PAD, BOS and EOS"),
    ):
        with pytest.raises(ValueError, match=sentence):
            fit_seq2seq(small, pairs, valid)


def test_reading_at_once_gives_two_times():
    weights = {
        name: np.zeros(weight.shape, "float32")
        for name, weight in ATTENTIVE.weights().items()
    }
    ids = np.full((1, 4), 5)
    at_once, step_by_step = times_of_reading(ATTENTIVE, weights, ids, ids, repeats=1)
    assert at_once > 0 and step_by_step > 0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights():
    small = TRANSLATORS["seq2seq"](vocab_size(), 4, 6, dropout=0.2)
    pairs = retrograde(24, (2, 5), seed=0)
    told = []
    runs = [
        fit_seq2seq(
            small,
            pairs[4:],
            pairs[:4],
            epochs=2,
            batch_size=8,
            seed=5,
            watch=lambda progress, event: told.append(event),
        )
        for _ in range(2)
    ]
    (first, curves), (again, _) = runs
    assert all((first[name] == again[name]).all() for name in first)
    assert [row["epoch"] for row in curves] == [0, 1]
    assert [row["step"] for row in curves] == [3, 6]  # 20 pairs, 8 a batch
    nats, right, tokens = likelihood_and_accuracy(small, first, batches(pairs[:4], 8))
    best = min(curves, key=lambda row: row["held_out"])
    assert best["held_out"] == pytest.approx(nats / tokens)
    assert best["accuracy"] == right / tokens
    assert told.count("step") == 12 and told.count("checked") == 4


@pytest.mark.slow
@pytest.mark.parametrize("task", ["retrograde"])  # transposed as well: lab 4
def test_a_recurrent_translator_learns_a_toy_and_looks_where_it_should(task):
    learnt = toy_trial(
        RECURRENT, task, range(5, 11), epochs=6, batch_size=64, learning_rate=5e-3
    )
    assert learnt["exact"] >= 0.99
    assert aligned_share(RECURRENT, learnt["weights"], learnt["tested"], task) >= 0.9
    beam = exact_share(RECURRENT, learnt["weights"], learnt["tested"][:20], width=3)
    assert beam >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("task", ["retrograde"])  # transposed as well: lab 4
def test_a_transformer_learns_a_toy(task):
    learnt = toy_trial(
        ATTENTIVE, task, range(5, 11), epochs=8, batch_size=64, learning_rate=3e-3
    )
    assert learnt["exact"] >= 0.99
    assert learnt["curves"][-1]["accuracy"] > learnt["curves"][0]["accuracy"]


@pytest.mark.slow
def test_through_the_bottleneck_long_sequences_suffer():
    bottleneck = TRANSLATORS["seq2seq"](vocab_size(), 32, 64, attention="none")
    learnt = toy_trial(
        bottleneck,
        "retrograde",
        range(1, 16),
        epochs=10,
        batch_size=64,
        learning_rate=5e-3,
    )
    short, long = (
        [pair for pair in learnt["tested"] if low <= len(pair[0]) <= high]
        for low, high in ((1, 4), (13, 15))
    )
    weights = learnt["weights"]
    short, long = (exact_share(bottleneck, weights, pairs) for pairs in (short, long))
    assert short > 0.8
    assert long < short - 0.3

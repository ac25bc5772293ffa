"""The floors: counted by hand, summing to one, knowing every key when asked to."""

import numpy as np
import pytest

from audio_models.ngram import Copy, NGram


def test_a_bigram_equals_the_one_counted_by_hand():
    # Pieces of tokens 1 and 2 in a vocabulary of 4. Witten-Bell, by hand:
    # unigram counts of what follows a first token: 2, 1, 2 -> c(2)=2, c(1)=1, t=2, n=3
    # p0(2) = (2 + 2/4) / 5 = 0.5;  p0(1) = (1 + 0.5) / 5 = 0.3
    # after 1: 2, 2 -> n=2, t=1: p1(2|1) = (2 + 0.5) / 3
    # after 2: 1 -> n=1, t=1: p1(1|2) = (1 + 0.3) / 2
    piece = np.array([1, 2, 1, 2])
    rows = NGram(4, max_order=1).fit([piece]).log_probabilities(piece)
    np.testing.assert_allclose(np.exp(rows[0]), [0.5, 0.3, 0.5])
    np.testing.assert_allclose(np.exp(rows[1]), [2.5 / 3, 0.65, 2.5 / 3])


@pytest.mark.parametrize("note_ids", [None, range(5, 20)])
def test_the_probabilities_of_what_may_come_sum_to_one(note_ids):
    rng = np.random.default_rng(0)
    vocab_size = 22
    pieces = [rng.integers(5, 20, 60) for _ in range(5)]
    # Narrow steps, so that no interval of the training music leaves the range here.
    pieces = [np.clip(p, 11, 13) for p in pieces]
    model = NGram(vocab_size, max_order=4, note_ids=note_ids).fit(pieces)
    start = np.array([12, 13, 12, 11, 12])
    total = np.zeros(5)
    for token in range(vocab_size):
        total += np.exp(model.log_probabilities(np.r_[start, token])[:, -1])
    np.testing.assert_allclose(total, 1, atol=1e-9)


def test_an_unseen_context_falls_back_to_the_shorter_one():
    model = NGram(9, max_order=3).fit([np.array([1, 2, 3, 4])])
    rows = model.log_probabilities(np.array([8, 8, 8, 2]))
    assert rows[3, -1] == rows[0, -1]


def test_counting_in_every_key_knows_a_transposed_tune():
    notes = range(4, 100)
    tune = np.array([1, *(40 + np.array([0, 2, 4, 5, 7, 5, 4, 2] * 8)), 2])
    higher = np.where((tune >= 4), tune + 11, tune)
    as_written = NGram(100, 6).fit([tune]).log_probabilities(higher)
    in_every_key = NGram(100, 6, notes).fit([tune]).log_probabilities(higher)
    assert in_every_key[6].mean() > as_written.max(axis=0).mean() + 1


def test_log_probabilities_do_not_see_the_future():
    rng = np.random.default_rng(1)
    pieces = [rng.integers(4, 12, 50) for _ in range(4)]
    model = NGram(12, 5, range(4, 12)).fit(pieces)
    piece = rng.integers(4, 12, 20)
    changed = piece.copy()
    changed[15:] = 4
    a, b = model.log_probabilities(piece), model.log_probabilities(changed)
    np.testing.assert_array_equal(a[:, :14], b[:, :14])


def test_copy_finds_the_period_and_trusts_it():
    rng = np.random.default_rng(2)
    bar = rng.integers(4, 20, 12)
    pieces = [np.tile(bar, 8), np.tile(rng.permutation(bar), 8)]
    model = Copy(24).fit(pieces)
    assert model.lag == 12
    assert model.repeat == pytest.approx(0.95)
    row = model.log_probabilities(pieces[0])[0]
    assert row[12:].mean() > np.log(0.9)

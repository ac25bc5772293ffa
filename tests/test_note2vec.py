"""Vectors from company: their gradients, what they learn, and when the learning ends."""

import numpy as np
import pytest

from audio_models.note2vec import _STEPS, KINDS, Note2Vec, _places, fit_note2vec


def drawn_tables(vocab_size=7, dim=3, seed=0):
    rng = np.random.default_rng(seed)
    inner = rng.normal(size=(vocab_size + 1, dim))
    inner[-1] = 0
    return [inner, rng.normal(size=(vocab_size, dim))]


def two_crowds(count=60, seed=0):
    """Pieces of tokens 0..3 alone, or of 4..7 alone."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 4, 12) + 4 * (n % 2) for n in range(count)]


def test_the_company_of_a_place_is_what_stands_around_it_in_its_own_piece():
    centres, company = _places([[3, 1, 4], [1], [5, 6]], 9, 2)
    assert centres.tolist() == [3, 1, 4, 5, 6]  # a token alone has no company
    heard = [sorted(row[row < 9].tolist()) for row in company]
    assert heard == [[1, 4], [3, 4], [1, 3], [6], [5]]


def test_skipgram_s_loss_is_the_sum_over_all_pairs_of_a_note_and_one_near_it():
    tables = drawn_tables()
    centres, company = _places([[3, 1, 4, 1, 5]], 7, 2)
    nats = told = 0
    for centre, near in zip(centres, company, strict=True):
        for other in near[near < 7]:
            scores = tables[1] @ tables[0][centre]
            nats -= scores[other] - np.log(np.exp(scores).sum())
            told += 1
    found, count, _ = _STEPS["skipgram"](tables, centres, company)
    assert count == told == 14
    assert found == pytest.approx(nats)


def test_cbow_s_loss_is_of_the_note_given_the_mean_of_those_near_it():
    tables = drawn_tables()
    centres, company = _places([[3, 1, 4, 1, 5]], 7, 2)
    nats = 0
    for centre, near in zip(centres, company, strict=True):
        scores = tables[1] @ tables[0][near[near < 7]].mean(axis=0)
        nats -= scores[centre] - np.log(np.exp(scores).sum())
    found, count, _ = _STEPS["cbow"](tables, centres, company)
    assert count == 5
    assert found == pytest.approx(nats)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_are_those_of_the_loss_by_differences(kind):
    tables = drawn_tables()
    places = _places([[3, 1, 4, 1, 5], [0, 6]], 7, 2)
    _, _, gradients = _STEPS[kind](tables, *places)
    for table, gradient in zip(tables, gradients, strict=True):
        for index in np.ndindex(table[:7].shape):
            losses = []
            for change in (1e-5, -1e-5):
                table[index] += change
                nats, count, _ = _STEPS[kind](tables, *places)
                losses.append(nats / count)
                table[index] -= change
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradient[index] == pytest.approx(slope, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.covers("d05")
def test_tokens_of_one_company_become_neighbours(kind):
    learnt = fit_note2vec(two_crowds(), 8, kind=kind, dim=4, epochs=10)
    for token in range(8):
        crowd = set(range(4)) if token < 4 else set(range(4, 8))
        assert set(learnt.neighbours(token, 3).tolist()) == crowd - {token}


@pytest.mark.parametrize("kind", KINDS)
def test_at_first_every_token_is_equally_likely(kind):
    learnt = fit_note2vec(two_crowds(), 8, kind=kind, epochs=1, valid=two_crowds(8, 1))
    assert learnt.held_out[0] == pytest.approx(np.log(8))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learnt_nears_the_entropy_of_the_crowds(kind):
    learnt = fit_note2vec(
        two_crowds(200), 8, kind=kind, dim=4, epochs=20, valid=two_crowds(40, 1)
    )
    # Within a crowd each token is as likely as another: log 4, and nothing is below.
    assert np.log(4) - 0.02 < min(learnt.held_out) < np.log(4) + 0.06


@pytest.mark.covers("d06")
def test_the_vectors_are_those_of_the_epoch_that_was_best_on_held_out_pieces():
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 30, 20) for _ in range(4)]
    others = [rng.integers(0, 30, 20) for _ in range(10)]
    made = {"dim": 24, "learning_rate": 0.02, "valid": others, "seed": 1}
    whole = fit_note2vec(noise, 30, epochs=30, patience=None, **made)
    stopped = fit_note2vec(noise, 30, epochs=30, patience=3, **made)
    assert whole.learnt[-1] < whole.learnt[0]
    assert whole.held_out[-1] > whole.held_out[0] + 0.5  # chance was learnt by heart
    assert whole.best_epoch == int(np.argmin(whole.held_out))
    assert len(stopped.held_out) == stopped.best_epoch + 4 < 31
    until = fit_note2vec(noise, 30, epochs=max(1, whole.best_epoch), **made)
    if whole.best_epoch:
        np.testing.assert_array_equal(whole.vectors, until.vectors)


def test_same_seed_same_vectors_and_another_seed_others():
    def of(seed):
        return fit_note2vec(two_crowds(10), 8, epochs=2, seed=seed).vectors

    np.testing.assert_array_equal(of(1), of(1))
    assert np.abs(of(1) - of(2)).max() > 1e-3


def test_an_analogy_is_completed_on_a_grid():
    # Rows (1, y, x): token 3 y + x. From (0, 0) to (0, 1) is as from (1, 0) to (1, 1).
    grid = [[4, y, x] for y in range(3) for x in range(3)]
    found = Note2Vec("cbow", np.array(grid, np.float32))
    assert found.analogy(0, 1, 3, 1).tolist() == [4]
    assert not {0, 1, 3} & set(found.analogy(0, 1, 3, 9).tolist())
    assert found.analogy(0, 1, 3, 9, among=[2, 8]).tolist() == [8, 2]


def test_neighbours_are_by_angle_and_not_by_length():
    found = Note2Vec("cbow", np.array([[1, 0], [9, 1], [1, 1], [-1, 0]], np.float32))
    assert found.neighbours(0).tolist() == [1, 2, 3]
    assert found.mean_rank([(0, 1), (0, 3)], range(4)) == 2.0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": "glove"}, "`kind` must be one of skipgram, cbow"),
        ({"window": 0}, "`window` must be at least 1"),
        ({"dim": 1.5}, "`dim` must be at least 1"),
        ({"valid": [[0, 8]]}, r"Tokens must be in 0\.\.7\. Received: 0\.\.8"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(asked, said):
    with pytest.raises(ValueError, match=said):
        fit_note2vec([[0, 1]], 8, **asked)


@pytest.mark.parametrize("pieces", [[], [[3]], [[]]])
def test_pieces_without_company_are_refused(pieces):
    with pytest.raises(ValueError, match="a piece of two tokens"):
        fit_note2vec(pieces, 8)
    with pytest.raises(ValueError, match=r"A token must be in 0\.\.1\. Received: 2"):
        Note2Vec("cbow", np.eye(2)).neighbours(2)

"""Coin tosses by hash: as fair, and as independent, as dropout needs."""

import keras
import numpy as np
import pytest
from keras import ops

from audio_models.dropout import dropout


def tosses(rate, shape, seed=0, draws=1):
    seeds = keras.random.SeedGenerator(seed)
    kept = [ops.convert_to_numpy(dropout(ops.ones(shape), rate, seeds)) > 0]
    for _ in range(draws - 1):
        kept.append(ops.convert_to_numpy(dropout(ops.ones(shape), rate, seeds)) > 0)
    return np.stack(kept)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
def test_the_share_that_is_lost_is_the_rate(rate):
    lost = 1 - tosses(rate, (300, 400)).mean()
    assert lost == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / 120_000))


def test_what_is_kept_makes_up_for_what_is_lost():
    seeds = keras.random.SeedGenerator(3)
    x = ops.convert_to_tensor(np.linspace(-2, 2, 60, dtype="float32"))
    y = ops.convert_to_numpy(dropout(x, 0.25, seeds))
    kept = y != 0
    np.testing.assert_allclose(y[kept], np.linspace(-2, 2, 60)[kept] / 0.75, rtol=1e-5)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(dropout(x, 0.0, seeds)), ops.convert_to_numpy(x)
    )


def test_the_same_seed_tosses_alike_and_the_next_draw_and_another_seed_do_not():
    first, second = tosses(0.5, (100, 100), seed=1, draws=2)
    assert (first == tosses(0.5, (100, 100), seed=1)[0]).all()
    for other in (second, tosses(0.5, (100, 100), seed=2)[0]):
        assert (first == other).mean() == pytest.approx(0.5, abs=0.025)  # 5 sigma


def test_tosses_do_not_hang_together():
    kept = tosses(0.5, (64, 512), draws=24).reshape(24, -1) * 2.0 - 1
    count = kept.size
    for lag in (1, 2, 3, 4, 8, 16, 64, 256, 512, 4096):
        alike = (kept[:, lag:] * kept[:, :-lag]).sum()
        assert abs(alike) < 5 * np.sqrt(count)
    between = kept @ kept.T / kept.shape[1]
    np.fill_diagonal(between, 0)
    assert np.abs(between).max() < 5 / np.sqrt(kept.shape[1])
    runs = kept.reshape(-1, 4) > 0  # all patterns of four, equally often
    counts = np.bincount(runs @ [8, 4, 2, 1], minlength=16)
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_square < 50  # 15 degrees of freedom: p < 1e-5


def test_one_toss_can_count_for_a_whole_axis():
    seeds = keras.random.SeedGenerator(0)
    y = ops.convert_to_numpy(dropout(ops.ones((8, 50, 6)), 0.5, seeds, (8, 1, 6)))
    assert (y == y[:, :1]).all()
    assert 0.2 < (y[:, 0] == 0).mean() < 0.8

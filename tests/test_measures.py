"""Measures, on music whose answer is known beforehand."""

from conftest import tune

from data_pipelines.measures import repeated_bars
from data_pipelines.score import Score, notes_array

A, B, C = [60, 62, 64, 65, 67, 65, 64, 62], [67] * 8, list(range(60, 68))


def test_repeated_bars_are_counted_after_the_first():
    assert repeated_bars(tune(A + B + C + B + B)) == (2, 4)
    assert repeated_bars(tune(A + B + C)) == (0, 2)


def test_another_rhythm_is_no_repetition():
    even = tune(A + C)
    late = Score(
        notes_array([1920 * 2 + 480, 1920 * 2 + 720], 240, C[:2]), 480, even.tracks
    )
    assert repeated_bars(late) == (0, 1)


def test_an_empty_score_repeats_nothing():
    assert repeated_bars(Score(notes_array([], [], []))) == (0, 0)

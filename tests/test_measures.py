"""Measures, on music whose answer is known beforehand."""

import numpy as np
import pytest
from conftest import tune

from data_pipelines import distributions, measures
from data_pipelines.measures import repeated_bars
from data_pipelines.score import Score, Track, notes_array

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


def chord(pitches, start=0, duration=480):
    return notes_array(start, duration, pitches)


PIANO = (Track(),)


def joined(*notes, tracks=PIANO):
    return Score(np.concatenate(notes), 480, tracks)


EMPTY = Score(notes_array([], [], []))
DRUMS = Score(notes_array([0, 480], 240, [36, 38]), 480, (Track(is_drum=True),))


def test_pitch_classes_are_weighed_by_time():
    score = joined(chord([60, 72]), chord([67], 480, 960))
    expected = np.zeros(12)
    expected[0], expected[7] = 960, 960
    assert np.array_equal(measures.pitch_class_histogram(score), expected)
    assert measures.entropy_bits(expected) == 1.0
    assert measures.entropy_bits([5, 0, 0]) == 0.0


def test_a_major_scale_lies_in_its_scale_and_a_chromatic_one_by_seven_twelfths():
    assert measures.scale_share(tune([60, 62, 64, 65, 67, 69, 71])) == 1.0
    assert measures.scale_share(tune(range(60, 72))) == pytest.approx(7 / 12)


def test_note_lengths_go_to_the_nearest_name():
    names = [name for _, name in measures.DURATIONS]
    ticks = [120, 160, 240, 470, 480, 720, 1920, 9600]
    score = Score(notes_array(np.arange(8) * 9600, ticks, 60), 480)
    counts = dict(
        zip(names, measures.duration_histogram(score).astype(int), strict=True)
    )
    assert {name: n for name, n in counts.items() if n} == {
        "1/16": 1, "1/8 triplet": 1, "1/8": 1, "1/4": 2, "dotted 1/4": 1, "1/1": 1,
        "longer": 1,
    }  # fmt: skip


def test_intervals_are_those_of_the_upper_line():
    score = joined(tune([60, 60, 62, 50]).notes, tune([40, 41, 42, 43]).notes)
    counts = measures.interval_histogram(score)
    assert {i - 13: int(n) for i, n in enumerate(counts) if n} == {0: 1, 2: 1, -12: 1}
    wide = measures.interval_histogram(tune([30, 90, 30]))
    assert (wide[0], wide[-1], wide.sum()) == (1, 1, 2)


def test_groove_is_one_where_all_bars_strike_alike():
    assert measures.groove_consistency(tune(A + B + C)) == 1.0
    # Eight onsets against none: they differ in 8 of 64 places.
    silent = joined(tune(A).notes, chord([60], 1920 * 2))
    pairs = [8, 7, 1]  # bars 1-2, 1-3 (which share one onset), 2-3
    expected = 1 - sum(pairs) / (64 * 3)
    assert measures.groove_consistency(silent) == pytest.approx(expected)


def test_bars_are_like_themselves_a_period_later():
    score = tune((A + C) * 4)
    assert measures.bar_similarity(score, 2) == 1.0
    assert measures.bar_similarity(score, 4) == 1.0
    # A and C share the place and pitch of their first and sixth notes: 2 of 14.
    assert measures.bar_similarity(score, 1) == pytest.approx(2 / 14)
    assert np.isnan(measures.bar_similarity(score, 8))


def test_polyphony_silence_density_and_range_by_hand():
    # Two notes for a quarter, a quarter of rest, one note for two quarters.
    score = joined(chord([60, 72]), chord([67], 960, 960))
    assert measures.sounding_ticks(score) == (1920, 1440, 1920)
    assert measures.mean_polyphony(score) == pytest.approx(4 / 3)
    assert measures.rest_share(score) == pytest.approx(1 / 4)
    assert measures.notes_a_bar(score) == 3
    assert measures.pitch_range(score) == 12


def test_a_note_within_a_longer_one_adds_no_sounding_time():
    score = joined(chord([60], 0, 1920), chord([64], 480, 480), chord([67], 1440, 240))
    assert measures.sounding_ticks(score) == (2640, 1920, 1920)
    assert measures.rest_share(score) == 0


def test_bars_before_the_first_note_do_not_thin_the_music():
    assert measures.notes_a_bar(tune(A, start=1920 * 3)) == 8


def test_repeated_bar_share_is_the_share():
    assert measures.repeated_bar_share(tune(A + B + C + B + B)) == 0.5


@pytest.mark.parametrize(
    "measure",
    [
        measures.scale_share,
        measures.groove_consistency,
        measures.mean_polyphony,
        measures.rest_share,
        measures.notes_a_bar,
        measures.pitch_range,
        measures.repeated_bar_share,
        lambda score: measures.bar_similarity(score, 1),
        lambda s: measures.entropy_bits(measures.pitch_class_histogram(s)),
    ],
)
def test_what_an_empty_score_has_none_of_is_not_a_number(measure):
    assert np.isnan(measure(EMPTY))


def test_drums_have_no_pitch_and_no_line():
    assert np.isnan(measures.scale_share(DRUMS))
    assert np.isnan(measures.pitch_range(DRUMS))
    assert measures.voice_lines(DRUMS) == []
    assert not measures.duration_histogram(DRUMS).any()
    assert measures.notes_a_bar(DRUMS) == 2


def test_voice_lines_are_the_top_and_the_bottom_of_each_track():
    upper, lower = tune([70, 71, 72]).notes, tune([50, 51, 50]).notes
    one, two = measures.voice_lines(joined(upper, lower))
    assert one.pitches.tolist() == [70, 71, 72] and two.pitches.tolist() == [50, 51, 50]
    assert one.steps.tolist() == [0, 2, 4]
    (alone,) = measures.voice_lines(joined(upper, lower), lowest=False)
    assert alone.pitches.tolist() == [70, 71, 72]
    apart = lower.copy()
    apart["track"] = 1
    score = joined(upper, apart, tracks=(Track(), Track()))
    assert len(measures.voice_lines(score)) == 2


def test_equal_samples_overlap_wholly_and_distant_ones_not_at_all():
    rng = np.random.default_rng(0)
    sample = rng.normal(size=30)
    same = distributions.likeness(sample, sample)
    assert same.overlap == pytest.approx(1) and same.divergence == pytest.approx(0)
    apart = distributions.likeness(sample, sample + 100)
    assert apart.overlap == pytest.approx(0, abs=1e-6)
    assert apart.divergence == pytest.approx(1, abs=1e-6)


def test_overlap_is_that_of_two_bells_a_deviation_apart():
    # Normal densities of deviation 1, their means 2 apart: 2 Phi(-1) = 0.3173.
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 4000), rng.normal(2, 1, 4000)
    assert distributions.likeness(a, b).overlap == pytest.approx(0.3173, abs=0.03)
    swapped = distributions.likeness(b, a)
    assert swapped.overlap == pytest.approx(distributions.likeness(a, b).overlap)


def test_a_density_holds_a_mass_of_one():
    sample = np.random.default_rng(2).gamma(2, 3, 40)
    grid = distributions.density_grid(sample)
    mass = np.trapezoid(distributions.density(sample, grid), grid)
    assert mass == pytest.approx(1, abs=0.01)


def test_what_never_varies_has_a_density_too():
    assert distributions.likeness([3, 3], [3, 3, 3]).overlap == pytest.approx(1)
    assert distributions.likeness([3, 3], [4, 4]).overlap < 0.01
    assert distributions.likeness([3], [3]).overlap == pytest.approx(1)


def test_what_is_not_a_number_does_not_count():
    some = [1.0, 2.0, 3.0]
    assert distributions.likeness([*some, np.nan], some) == distributions.likeness(
        some, some
    )
    assert np.isnan(distributions.likeness([np.nan], some).overlap)
    assert np.isnan(distributions.histogram_likeness([0, 0], [1, 2]).overlap)


def test_histograms_overlap_in_what_they_share():
    half = distributions.histogram_likeness([1, 1, 0], [0, 1, 1])
    assert half.overlap == 0.5
    # Each half against the middle (1/4, 1/2, 1/4): half of it one bit away.
    assert half.divergence == pytest.approx(0.5)
    assert distributions.histogram_likeness([2, 4], [1, 2]).overlap == pytest.approx(1)


@pytest.mark.parametrize("count", [2, 7, 48])
def test_halves_are_equal_share_nothing_and_come_again(count):
    first = distributions.halvings(count, seed=3)
    for one, other in first:
        assert len(one) == len(other) == count // 2
        assert len({*one, *other}) == 2 * (count // 2)
    again = distributions.halvings(count, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_mean_passes_over_what_is_unknown():
    known = distributions.Likeness(0.5, 0.25)
    assert distributions.mean_likeness([known, distributions.UNKNOWN]) == known
    assert np.isnan(distributions.mean_likeness([]).overlap)

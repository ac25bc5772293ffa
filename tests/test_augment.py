"""Augmentation of scores, and that the tokens augmented agree with it."""

import numpy as np
import pytest
from conftest import data_folder, tune
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.augment import (
    SEMITONES,
    STRETCHES,
    change_velocity,
    stretch,
    transposable_range,
)
from data_pipelines.midi import read_midi
from data_pipelines.score import PEDAL, Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.performance import PerformanceTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD

TOKENIZER = PerformanceTokenizer()
FULL = Score(
    notes_array([0, 480, 960], [480, 480, 10], [40, 100, 36], [60, 127, 3], [0, 0, 1]),
    480,
    (Track(), Track(is_drum=True)),
    tempos=(Tempo(0, 100.0), Tempo(480, 50.0)),
    metres=(Metre(0, 3, 4),),
    title="full",
    pedals=np.array([(0, 960, 0)], PEDAL),
)


def test_a_score_can_go_down_to_its_lowest_note_and_up_to_its_highest():
    assert transposable_range(FULL) == (-40, 27)  # the drum on 36 stays
    low, high = transposable_range(FULL)
    assert FULL.transposed(low).notes["pitch"].min() == 0
    assert FULL.transposed(high).notes["pitch"].max() == 127
    for beyond in (low - 1, high + 1):
        with pytest.raises(ValueError, match="leaves 0"):
            FULL.transposed(beyond)


def test_where_nothing_is_pitched_nothing_is_transposed():
    assert transposable_range(Score(notes_array([], [], []))) == (0, 0)
    drums = Score(notes_array([0], [10], [36]), tracks=(Track(is_drum=True),))
    assert transposable_range(drums) == (0, 0)
    assert transposable_range(tune([0, 127])) == (0, 0)


def test_a_stretched_score_has_the_same_ticks_at_other_seconds():
    slower = stretch(FULL, 1.25)
    assert slower.tempos == (Tempo(0, 80.0), Tempo(480, 40.0))
    ticks = np.arange(0, 1000, 50)
    np.testing.assert_allclose(slower.seconds_at(ticks), 1.25 * FULL.seconds_at(ticks))
    for name in ("notes", "pedals"):
        assert getattr(slower, name).tolist() == getattr(FULL, name).tolist()
    assert (slower.metres, slower.title) == (FULL.metres, FULL.title)
    assert FULL.tempos[0].qpm == 100.0


@pytest.mark.parametrize("tempos", [(), (Tempo(480, 60.0),)])
def test_where_no_tempo_is_named_the_usual_one_is_stretched(tempos):
    score = Score(notes_array([0, 480], 480, 60), 480, tempos=tempos)
    ticks = np.arange(0, 2000, 100)
    np.testing.assert_allclose(
        stretch(score, 0.95).seconds_at(ticks), 0.95 * score.seconds_at(ticks)
    )


@pytest.mark.parametrize("change", [stretch, change_velocity])
@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
def test_a_factor_that_is_no_number_above_0_is_refused(change, factor):
    with pytest.raises(ValueError, match=r"must be a number above 0\. Received"):
        change(FULL, factor)


@pytest.mark.parametrize("factor", [14.0, 0.04])
def test_a_stretch_beyond_what_midi_can_say_is_refused(factor):
    # 50 / 14 is below 3.6 quarters a minute, 100 / 0.04 above 2000.
    with pytest.raises(ValueError, match=r"leaves 3\.6\.\.2000 quarters a minute"):
        stretch(FULL, factor)


def test_a_velocity_is_multiplied_rounded_and_kept_in_1_to_127():
    assert change_velocity(FULL, 1.05).notes["velocity"].tolist() == [63, 127, 3]
    assert change_velocity(FULL, 0.1).notes["velocity"].tolist() == [6, 13, 1]
    assert change_velocity(FULL, 100).notes["velocity"].tolist() == [127] * 3
    assert change_velocity(FULL, 1) == FULL
    assert FULL.notes["velocity"].tolist() == [60, 127, 3]


def test_an_empty_score_stays_empty():
    empty = Score(notes_array([], [], []))
    assert len(stretch(empty, 1.05)) == len(change_velocity(empty, 2.0)) == 0


def test_the_ranges_are_those_of_the_paper():
    assert list(SEMITONES) == [-4, -3, -2, -1, 0, 1, 2, 3, 4]
    assert STRETCHES == (0.95, 0.975, 1.0, 1.025, 1.05)


ON, OFF, SHIFT, VELOCITY = 4, 132, 259, 359  # ids of value 0, written out by hand


def stream(*events):
    """Ids from ("on", 60), ("off", 60), ("shift", 5), ("velocity", 20)."""
    first = {"on": ON, "off": OFF, "shift": SHIFT, "velocity": VELOCITY}
    return [first[kind] + value for kind, value in events]


def test_augmenting_changes_pitches_shifts_and_velocities_and_nothing_else():
    ids = np.array(
        [BOS, *stream(("velocity", 20), ("on", 60), ("shift", 40)), EOS, PAD]
    )
    moved = TOKENIZER.augmented(ids, semitones=3, stretch=1.05, loudness=1.1)
    # 40 * 1.05 = 42; bin 20 is 78, times 1.1 is 85.8: 86 is in bin 22.
    changed = stream(("velocity", 22), ("on", 63), ("shift", 42))
    assert moved.tolist() == [BOS, *changed, EOS, PAD]
    assert TOKENIZER.augmented(stream(("off", 60)), -12).tolist() == stream(("off", 48))


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"semitones": 9}, ("on", 120), ("on", 127)),
        ({"semitones": -9}, ("on", 5), ("on", 0)),
        ({"semitones": 9}, ("off", 120), ("off", 127)),
        ({"semitones": -9}, ("off", 5), ("off", 0)),
        ({"stretch": 1.05}, ("shift", 100), ("shift", 100)),
        ({"stretch": 0.95}, ("shift", 100), ("shift", 95)),
        ({"stretch": 0.1}, ("shift", 1), ("shift", 1)),
        ({"stretch": 1.05}, ("shift", 9), ("shift", 9)),
        ({"stretch": 1.05}, ("shift", 11), ("shift", 12)),
        ({"loudness": 3.0}, ("velocity", 20), ("velocity", 32)),
        ({"loudness": 0.01}, ("velocity", 20), ("velocity", 1)),
        ({"loudness": 0.5}, ("velocity", 20), ("velocity", 10)),  # 78 to 39
    ],
)
def test_augmenting_stops_at_the_ends_of_each_range(options, before, after):
    assert TOKENIZER.augmented(stream(before), **options).tolist() == stream(after)


def test_augmenting_by_nothing_is_the_identity_for_every_id():
    every = np.arange(392).reshape(2, 196)
    np.testing.assert_array_equal(TOKENIZER.augmented(every), every)


@pytest.fixture(scope="module")
def pieces():
    """(score, ids) of some pieces of real piano, within reach of every transposition."""
    scores = [read_midi(p) for p in sorted(data_folder("pop909").glob("*.mid"))[:50]]
    inside = [
        score
        for score in scores
        if transposable_range(score)[0] <= -4 and transposable_range(score)[1] >= 4
    ]
    assert len(inside) > 40
    return [(score, TOKENIZER.encode(score)) for score in inside]


@pytest.mark.parametrize("semitones", [-4, -1, 3])
def test_tokens_transposed_are_the_tokens_of_the_transposed_score(pieces, semitones):
    for score, ids in pieces:
        moved = TOKENIZER.encode(score.transposed(semitones))
        assert TOKENIZER.augmented(ids, semitones).tolist() == moved.tolist()


@pytest.mark.parametrize("factor", [0.3, 0.9, 1.1, 2.5])
def test_tokens_made_louder_are_the_score_made_louder_in_the_same_bins(pieces, factor):
    for _, ids in pieces[:10]:
        score = TOKENIZER.decode(ids)
        expected = TOKENIZER.decode(TOKENIZER.encode(change_velocity(score, factor)))
        assert TOKENIZER.decode(TOKENIZER.augmented(ids, loudness=factor)) == expected


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(40, 80)), min_size=1, max_size=20
    ),
    st.sampled_from([0.95, 1.05]),
)
def test_waits_that_stay_on_the_grid_are_stretched_exactly(rows, factor):
    # Waits of 20, 40, 60 or 80 steps: a twentieth of each is whole.
    waits, pitch = np.array(rows).T
    end = np.cumsum(20 * waits)
    score = Score(notes_array(end - 20 * waits, 20 * waits, pitch), 50)
    stretched = TOKENIZER.encode(stretch(score, factor))
    ids = TOKENIZER.encode(score)
    assert TOKENIZER.augmented(ids, stretch=factor).tolist() == stretched.tolist()


@pytest.mark.parametrize("factor", [0.95, 0.975, 1.025, 1.05])
def test_real_waits_are_stretched_up_to_half_a_step_and_the_longest_shift(
    pieces, factor
):
    gained = []
    for _, ids in pieces:
        moved = TOKENIZER.augmented(ids, stretch=factor)
        here, there = TOKENIZER.decode(ids), TOKENIZER.decode(moved)
        assert there.notes["pitch"].tolist() == here.notes["pitch"].tolist()
        # A shift of n steps is off by half a step, and by what it lacks above 100.
        shifts = (ids >= 260) & (ids < 360)
        steps = np.where(shifts, ids - 259.0, 0)
        slack = np.where(shifts, 0.5 + np.maximum(steps * factor - 100, 0), 0)
        is_note = TOKENIZER.is_note(ids)
        wanted = stretch(here, factor).seconds_at(here.notes["start"])
        off = np.abs(there.seconds_at(there.notes["start"]) - wanted)
        assert (off <= np.cumsum(slack)[is_note] / 100 + 1e-9).all()
        gained.append(there.length_seconds / here.length_seconds)
    print(f"stretched by {factor}: {np.mean(gained):.4f} as long")
    assert np.mean(gained) == pytest.approx(factor, abs=0.01)

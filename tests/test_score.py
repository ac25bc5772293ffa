"""The score: its laws, its maps in time, its way to and from other people's objects."""

import numpy as np
import pytest
from conftest import data_folder, tune
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.exchange import from_music21
from data_pipelines.midi import read_midi
from data_pipelines.score import (
    LAST_TICK,
    PEDAL,
    Key,
    Metre,
    Score,
    Tempo,
    Track,
    notes_array,
)


def test_notes_are_kept_sorted_and_cannot_be_changed():
    score = Score(notes_array([480, 0], [10, 10], [60, 72]))
    assert score.notes["start"].tolist() == [0, 480]
    with pytest.raises(ValueError, match="read-only"):
        score.notes["pitch"][0] = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ticks_per_quarter": 0}, "Ticks per quarter must be in 1..32767"),
        ({"tempos": (Tempo(0, 0.0),)}, "Tempo must be in"),
        ({"tempos": (Tempo(0, 1.0),)}, "Tempo must be in"),
        ({"keys": (Key(0, 99),)}, "sharps"),
        ({"metres": (Metre(0, 4, 0),)}, "no length"),
        ({"tempos": (Tempo(9, 100.0), Tempo(3, 90.0))}, "not in order"),
        ({"tracks": ()}, "names track 0"),
    ],
)
def test_impossible_numbers_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Score(notes_array([0], [1], [60]), **changes)


@pytest.mark.parametrize(
    "row",
    [
        (-1, 1, 60, 80),
        (0, 0, 60, 80),
        (0, 1, 128, 80),
        (0, 1, 300, 80),
        (0, 1, 60, 0),
        (2**31 - 600, 1, 60, 80),
        (2**40, 1, 60, 80),
    ],
)
def test_impossible_notes_are_refused(row):
    with pytest.raises(
        ValueError, match=r"starts|lasts|Pitch|Velocity|ends after|Start"
    ):
        Score(notes_array(*row))


def test_seconds_follow_every_tempo_change():
    # One quarter at 60, one at 120, one at 30: 1 + 0.5 + 2 seconds.
    tempos = (Tempo(0, 60.0), Tempo(480, 120.0), Tempo(960, 30.0))
    score = Score(notes_array([0], [1440], [60]), 480, tempos=tempos)
    np.testing.assert_allclose(score.seconds_at([0, 480, 960, 1440]), [0, 1, 1.5, 3.5])
    assert score.length_seconds == pytest.approx(3.5)


def test_without_a_tempo_a_quarter_lasts_half_a_second():
    assert Score(notes_array([0], [480], [60])).length_seconds == pytest.approx(0.5)


def test_bar_lines_follow_the_metre_and_close_the_last_bar():
    score = Score(
        notes_array([0], [480 * 6], [60]), metres=(Metre(0, 4, 4), Metre(1920, 3, 4))
    )
    assert score.bar_ticks().tolist() == [0, 1920, 3360]
    assert score.count_bars() == 2


def test_an_empty_score_has_one_bar_and_no_length():
    score = Score(notes_array([], [], []))
    assert score.length_seconds == 0
    assert score.bar_ticks().tolist() == [0, 1920]


def test_transposing_moves_notes_and_key_but_no_drum():
    score = Score(
        notes_array([0, 0], [10, 10], [60, 36], track=[0, 1]),
        tracks=(Track(), Track(is_drum=True)),
        keys=(Key(0, 0),),
    )
    up = score.transposed(2)  # C major -> D major: two sharps
    assert sorted(up.notes["pitch"].tolist()) == [36, 62]
    assert up.keys[0].sharps == 2
    assert up.transposed(-2) == score


def test_transposing_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"leaves 0\.\.127"):
        tune([120]).transposed(8)


def test_pretty_midi_hears_the_same_notes():
    score = tune([60, 64, 67], qpm=90.0)
    heard = score.to_pretty_midi()
    assert [n.pitch for n in heard.instruments[0].notes] == [60, 64, 67]
    assert heard.get_end_time() == pytest.approx(score.length_seconds, abs=1e-3)


def test_music21_gives_back_what_it_was_given():
    score = tune([60, 62, 64, 3, 127], metre=(3, 4))
    back = from_music21(score.to_music21())
    assert back.notes["pitch"].tolist() == [60, 62, 64, 3, 127]
    assert back.notes["start"].tolist() == score.notes["start"].tolist()
    assert str(back.metre) == "3/4"


def test_a_pickup_is_moved_to_the_end_of_a_whole_bar():
    from music21 import converter

    abc = "X:1\nT:Pickup\nM:4/4\nL:1/8\nK:C\nG | c2 d2 e2 f2 | g8 |]\n"
    score = from_music21(converter.parse(abc, format="abc"))
    # The eighth before the bar line stands on the last eighth of the first bar.
    assert score.notes["start"][:2].tolist() == [1920 - 240, 1920]
    assert score.notes["pitch"][:2].tolist() == [67, 72]


def test_tied_notes_are_one_note():
    from music21 import converter

    abc = "X:1\nM:2/4\nL:1/4\nK:C\nc d-|d e|]\n"
    score = from_music21(converter.parse(abc, format="abc"))
    assert score.notes["duration"].tolist() == [480, 960, 480]


TWO_PIANOS = (Track(), Track())


def pedalled(notes, *pedals, tracks=TWO_PIANOS):
    """A score of rows (start, duration, pitch, track), pedals (start, duration, track)."""
    start, duration, pitch, track = np.array(notes).reshape(-1, 4).T
    rows = np.array(list(pedals), dtype=PEDAL)
    return Score(
        notes_array(start, duration, pitch, track=track), tracks=tracks, pedals=rows
    )


def durations(score):
    return score.notes["duration"].tolist()


@pytest.mark.parametrize(
    ("pedal", "rings"),
    [
        ((50, 150), 200),  # down before the key goes up: it rings until the foot does
        ((0, 101), 101),
        ((100, 50), 150),  # down as the key goes up
        ((101, 50), 100),  # too late
        ((0, 100), 100),  # up as the key goes up
        ((20, 50), 100),  # up while the key is down
    ],
)
def test_a_key_released_while_the_pedal_is_down_rings_until_it_is_lifted(pedal, rings):
    score = pedalled([(0, 100, 60, 0)], (*pedal, 0))
    assert durations(score.sustained()) == [rings]
    assert not len(score.sustained().pedals)
    assert durations(score) == [100]  # the score itself is what it was


def test_a_pedal_taken_anew_lets_the_old_notes_end():
    notes = [(0, 10, 60, 0), (15, 10, 64, 0), (25, 5, 67, 0)]
    score = pedalled(notes, (20, 80, 0), (0, 20, 0))
    assert durations(score.sustained()) == [20, 85, 75]


def test_a_ringing_note_ends_where_its_key_is_struck_again():
    notes = [(0, 10, 60, 0), (30, 10, 60, 0), (30, 10, 61, 0)]
    assert durations(pedalled(notes, (0, 90, 0)).sustained()) == [30, 60, 60]


def test_a_key_that_two_hands_hold_is_not_cut_short_by_the_pedal():
    notes = [(0, 50, 60, 0), (30, 10, 60, 0)]
    assert durations(pedalled(notes, (0, 90, 0)).sustained()) == [50, 60]


def test_a_pedal_holds_its_own_track_alone():
    notes = [(0, 10, 60, 0), (0, 10, 60, 1), (20, 10, 60, 1)]
    assert durations(pedalled(notes, (0, 90, 0)).sustained()) == [90, 10, 10]
    assert durations(pedalled(notes, (0, 90, 1)).sustained()) == [10, 20, 70]
    both = pedalled(notes, (0, 90, 1), (0, 40, 0))
    assert durations(both.sustained()) == [40, 20, 70]


def test_drums_have_no_pedal():
    kit = (Track(), Track(is_drum=True))
    notes = [(0, 10, 60, 0), (0, 10, 38, 1)]
    score = pedalled(notes, (0, 90, 0), (0, 90, 1), tracks=kit)
    assert durations(score.sustained()) == [90, 10]


def test_without_notes_or_pedals_there_is_nothing_to_sustain():
    score = tune([60, 62])
    assert score.sustained() is score
    assert len(pedalled([], (0, 90, 0)).sustained()) == 0


def test_a_pedal_that_is_never_lifted_rings_for_eight_quarters_and_no_longer():
    score = pedalled([(5, 10, 60, 0)], (0, LAST_TICK, 0))
    assert score.sustained().end_tick == 15 + 8 * score.ticks_per_quarter
    late = pedalled([(LAST_TICK - 10, 10, 60, 0)], (0, LAST_TICK, 0))
    assert late.sustained().end_tick == LAST_TICK


@pytest.mark.parametrize(
    ("pedal", "message"),
    [
        ((-1, 10, 0), "before tick 0"),
        ((0, 0, 0), "less than one tick"),
        ((1, LAST_TICK, 0), "after tick"),
        ((0, 10, 2), "names track 2"),
    ],
)
def test_impossible_pedals_are_refused(pedal, message):
    with pytest.raises(ValueError, match=message):
        pedalled([(0, 10, 60, 0)], pedal)


def test_pedals_stay_under_transposition_and_count_in_equality():
    score = pedalled([(0, 10, 60, 0)], (0, 90, 0))
    assert score.transposed(2).pedals.tolist() == [(0, 90, 0)]
    assert score != pedalled([(0, 10, 60, 0)], (0, 80, 0))


def sustained_slowly(score):
    """The reference: each note asks every pedal of its track, and every later note."""
    notes = score.notes.tolist()
    lengths = []
    for index, (start, duration, pitch, _, track) in enumerate(notes):
        end = release = start + duration
        if not score.tracks[track].is_drum:
            for down, length, owner in score.pedals.tolist():
                if owner == track and down <= release < down + length:
                    end = max(end, down + length)
        for again, _, other, _, owner in notes[index + 1 :]:
            if (other, owner) == (pitch, track):
                end = min(end, max(release, again))
        lengths.append(end - start)
    return lengths


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.integers(1, 20),
            st.integers(60, 62),
            st.integers(0, 2),
        ),
        max_size=25,
    ),
    st.lists(st.lists(st.integers(0, 90), unique=True, max_size=8), max_size=3),
)
def test_sustaining_at_once_equals_note_by_note(notes, feet):
    # A foot goes down and up in turn.
    pedals = [
        (down, up - down, track)
        for track, ticks in enumerate(feet)
        for down, up in zip(sorted(ticks)[::2], sorted(ticks)[1::2], strict=False)
    ]
    tracks = (Track(), Track(), Track(is_drum=True))
    score = pedalled(notes, *pedals, tracks=tracks)
    assert durations(score.sustained()) == sustained_slowly(score)


def test_sustaining_real_piano_equals_note_by_note():
    for path in sorted(data_folder("pop909").glob("*.mid"))[:3]:
        score = read_midi(path)
        assert len(score.pedals) > 50
        assert durations(score.sustained()) == sustained_slowly(score), path

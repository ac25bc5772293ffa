"""The score: its laws, its maps in time, its way to and from other people's objects."""

import numpy as np
import pytest
from conftest import tune

from data_pipelines.exchange import from_music21
from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array


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

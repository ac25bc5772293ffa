"""Numbers over time as a melody: one note a row, all in a scale, and clear refusals."""

import io

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.guard import Refused
from data_pipelines.midi import midi_bytes, parse_midi
from data_pipelines.number_series import SCALES, read_numbers, sonified


def written(folder, text, name="heights.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def pitches(score):
    return score.notes["pitch"].tolist()


@pytest.mark.covers("a05")
@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_a_column_of_integers_becomes_a_midi_file_of_as_many_notes(tmp_path, count):
    rows = np.random.default_rng(count).integers(-50, 50, count).tolist()
    score = read_numbers(written(tmp_path, "\n".join(map(str, rows)) + "\n"))
    assert len(score.notes) == len(rows)
    midi = mido.MidiFile(file=io.BytesIO(midi_bytes(score)))
    struck = [m for track in midi.tracks for m in track if m.type == "note_on"]
    assert len([m for m in struck if m.velocity]) == len(rows)
    assert pitches(parse_midi(midi_bytes(score))) == pitches(score)


def test_the_range_is_filled_and_equal_steps_climb_the_scale():
    assert pitches(sonified(range(8), low=60, high=72)) == [
        60, 62, 64, 65, 67, 69, 71, 72,
    ]  # fmt: skip
    assert pitches(sonified([3, 1, 2], scale="chromatic", low=50, high=52)) == [
        52, 50, 51,
    ]  # fmt: skip


def test_a_number_lies_on_the_nearest_note_and_halves_go_up():
    # Five notes, 60 to 64: a step is 2.5, so 1.2 is nearest to 0, 1.3 and 3.7 to 2.5.
    found = sonified([0, 10, 1.2, 1.3, 3.7, 1.25], scale="chromatic", low=60, high=64)
    assert pitches(found) == [60, 64, 60, 61, 61, 61]


def test_equal_numbers_are_the_middle_of_the_range():
    assert pitches(sonified([7, 7], scale="chromatic", low=60, high=64)) == [62, 62]


def test_notes_follow_each_other_as_eighths():
    notes = sonified([1, 2, 3]).notes
    assert notes["start"].tolist() == [0, 240, 480]
    assert notes["duration"].tolist() == [240, 240, 240]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    st.sampled_from(sorted(SCALES)),
    st.integers(0, 127),
)
def test_every_note_lies_on_the_scale_and_order_is_kept(numbers, scale, tonic):
    found = np.array(pitches(sonified(numbers, scale=scale, tonic=tonic)), dtype=int)
    assert len(found) == len(numbers)
    assert ((found >= 48) & (found <= 84)).all()
    assert np.isin((found - tonic) % 12, SCALES[scale]).all()
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "height\n1\n2\n9\n",
        "day,height\nMonday,1\nTuesday,2\nSunday,9\n",
        "1;\n2;\n9;\n",
        "\ufeffheight\r\n1\r\n2\r\n9\r\n",
        "\n1\n\n2\n9",
    ],
)
def test_headers_labels_marks_and_blank_lines_are_no_notes(tmp_path, text):
    score = read_numbers(written(tmp_path, text), scale="chromatic", low=60, high=68)
    assert pitches(score) == [60, 61, 68]


def test_a_decimal_comma_is_read_where_cells_are_parted_otherwise(tmp_path):
    path = written(tmp_path, "a;b\n0,5;x\n1,5;y\n1,0;z\n")
    assert pitches(read_numbers(path, scale="chromatic", low=60, high=62)) == [
        60, 62, 61,
    ]  # fmt: skip


def test_of_several_columns_one_is_named(tmp_path):
    path = written(tmp_path, "wind,rain\n1,5\n2,4\n3,3\n")
    rising, falling = (pitches(read_numbers(path, column=c)) for c in ("wind", "Rain"))
    assert rising == sorted(rising) == falling[::-1]
    assert pitches(read_numbers(path, column=2)) == falling
    with pytest.raises(ValueError, match="2 columns of numbers is meant: wind, rain"):
        read_numbers(path)
    for column in ("snow", 0, 3):
        with pytest.raises(ValueError, match=r"1\.\.2, or a name: wind, rain"):
            read_numbers(path, column=column)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty file"),
        ("height\n", "no row of numbers"),
        ("height\n1\n\nhigh\n3\n", "line 4: 'high' is no number"),
        ("a,b\n1,x\n,y\n3,z\n", "line 3: an empty cell is no number"),
        ("1\n2\nnan\n", "line 3: 'nan' is no number"),
        ("1\n2\ninf\n", "line 3: 'inf' is no number"),
        (b"MThd\0\0\0\6", "it is midi; wanted is a table"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not music"),
        ("1\n" * 10_002, "at most 10,000 rows"),
    ],
)
def test_what_is_no_column_of_numbers_is_refused_with_its_line(
    tmp_path, text, sentence
):
    with pytest.raises(Refused) as caught:
        read_numbers(written(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"scale": "blues"}, "`scale` must be one of major"),
        ({"low": -1}, "`low` must be a MIDI pitch"),
        ({"high": 128}, "`high` must be a MIDI pitch"),
        ({"tonic": 60.5}, "`tonic` must be a MIDI pitch"),
        ({"low": 70, "high": 60}, "must hold a note of the scale"),
    ],
)
def test_settings_out_of_range_are_named(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        sonified([1, 2], **settings)


@pytest.mark.parametrize("numbers", [[], [[1, 2]], [1, float("nan")], range(10_001)])
def test_numbers_that_make_no_melody_are_refused(numbers):
    with pytest.raises(ValueError):
        sonified(numbers)


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--column", "temp"], 0, '"notes": 3'),
        (["--column", "2", "--scale", "minor"], 0, '"notes": 3'),
        (["--column", "wind"], 2, "wind"),
        (["--column", "temp", "--scale", "blues"], 2, "blues"),
        (["--scale", "minor"], 2, "--column"),
        (["--column", "word"], 3, "line 2"),
    ],
)
def test_a_table_of_any_numbers_is_heard_from_the_command_line(
    tmp_path, options, status, said
):
    from conftest import etude

    table = tmp_path / "weather.csv"
    table.write_text("day,temp,word\n1,230,a\n2,-5,b\n3,400,c\n")
    done = etude(
        "listen", table, *options, "-o", tmp_path / "o.mid", "--json", cwd=tmp_path
    )
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr

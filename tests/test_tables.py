"""Tables of numbers as music: what each shape means, and what is wrong with a bad one."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.guard import Refused, gated, read_file, sniff
from data_pipelines.midi import UnreadableMusic
from data_pipelines.tables import read_tables

SATB = ["Soprano", "Alto", "Tenor", "Bass"]


def only(text, form="csv"):
    """The one score that a table gives."""
    data = text if isinstance(text, bytes) else text.encode()
    (score,) = read_tables(data, form).contents
    return score


def rows(score, *names):
    return list(zip(*(score.notes[name].tolist() for name in names), strict=True))


def fault(data, form="csv"):
    with pytest.raises(UnreadableMusic) as caught:
        read_tables(data if isinstance(data, bytes) else data.encode(), form)
    return str(caught.value)


# A series: one column.


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_series_gives_a_note_of_an_eighth_for_each_row(numbers):
    score = only("\n".join(map(repr, numbers)))
    assert len(score) == len(numbers)
    assert score.ticks_per_quarter == 480
    expected = [(240 * n, 240) for n in range(len(numbers))]
    assert rows(score, "start", "duration") == expected


@given(st.lists(st.integers(0, 127), min_size=1))
def test_whole_numbers_in_the_range_of_pitches_are_pitches(numbers):
    score = only("value\n" + "\n".join(map(str, numbers)))
    assert score.notes["pitch"].tolist() == numbers


def test_other_numbers_are_scaled_straight_into_three_octaves():
    # -1 .. 1 onto 48 .. 84: 18 semitones a unit from 66.
    score = only("-1\n0\n0.5\n1\n")
    assert score.notes["pitch"].tolist() == [48, 66, 75, 84]
    assert only("0\n0.5\n1\n").notes["pitch"].tolist() == [48, 66, 84]
    assert only("-1.7e308\n1.7e308").notes["pitch"].tolist() == [48, 84]
    assert only("128\n164").notes["pitch"].tolist() == [48, 84]


def test_a_constant_series_is_middle_c_unless_it_is_a_pitch():
    assert only("3.5\n3.5\n").notes["pitch"].tolist() == [60, 60]
    assert only("64\n64\n").notes["pitch"].tolist() == [64, 64]
    assert only("-3").notes["pitch"].tolist() == [60]


@pytest.mark.parametrize(
    "text",
    [
        "60\n62\n64",
        "pitch\n60\n62\n64\n",
        "60\r\n62\r\n64\r\n",
        "60\r62\r64",
        "\ufeffvalue\n60\n\n62\n64\n\n",
        "60,\n62,\n64,\n",
        '"date","value"\n"2024-01-01","60"\n"2024-01-02","62"\n"2024-01-03","64"\n',
        "2024-01-01,60\n2024-01-02,62\n2024-01-03,64\n",
        "Jan;60\nFeb;62\nMar;64",
        "0,60\n1,62\n2,64",
        "1\t60\n2\t62\n3\t64",
        "1960,60\n1961,62\n1962,64",
        "0.25,60\n0.5,62\n0.75,64",
        "time,value\n0,60\n7,62\n8,64",
        ",value\n5,60\n7,62\n6,64",
        "year,value\n1960,60.0\n1960,62.0\n1961,6.4e1",
    ],
)
def test_headers_labels_dates_and_row_numbers_are_passed_over(text):
    expected = [(240, 60), (240, 62), (240, 64)]  # eighths: a series
    assert rows(only(text), "duration", "pitch") == expected


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_a_table_in_utf16_is_read(mark):
    order = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    assert only(mark + "60\n62".encode(order)).notes["pitch"].tolist() == [60, 62]


def test_with_a_semicolon_the_comma_is_a_decimal_one():
    score = only("Tag;Wert\n1.1.;-0,5\n2.1.;0,5\n3.1.;0,0\n")
    assert score.notes["pitch"].tolist() == [48, 84, 66]


# Voices: several columns.


def test_a_pitch_that_stands_in_the_next_row_too_goes_on():
    score = only("note0,note1\n74,58\n74,58\n75,\n0,58\n74,-1\n")
    expected = [(0, 240, 74, 0), (0, 240, 58, 1), (240, 120, 75, 0), (360, 120, 58, 1)]
    expected.append((480, 120, 74, 0))
    assert rows(score, "start", "duration", "pitch", "track") == expected


def test_four_columns_are_soprano_alto_tenor_and_bass_as_they_come():
    score = only("50,60,70,80\n")
    assert [track.name for track in score.tracks] == SATB
    assert rows(score, "pitch", "track") == [(50, 0), (60, 1), (70, 2), (80, 3)]
    assert len(only("60,62\n").tracks) == 2


def test_two_voices_on_one_pitch_are_two_notes():
    score = only("60,60\n60,60\n")
    assert rows(score, "duration", "track") == [(240, 0), (240, 1)]


def test_row_numbers_are_no_voice():
    score = only(",note0,note1\n0,60,50\n1,62,50\n2,64,48\n")
    assert len(score.tracks) == 2
    assert sorted(score.notes["pitch"].tolist()) == [48, 50, 60, 62, 64]
    # Pitches that rise by steps are.
    assert len(only("60,50\n61,50\n62,48\n").tracks) == 2


def held_slowly(table):
    """The reference: one voice and one row at a time."""
    notes = []
    for voice in range(len(table[0])):
        begun, sounding = 0, -1
        for row in range(len(table) + 1):
            pitch = table[row][voice] if row < len(table) else -1
            pitch = pitch if pitch > 0 else -1
            if pitch != sounding:
                if sounding > 0:
                    notes.append((begun * 120, (row - begun) * 120, sounding, voice))
                begun, sounding = row, pitch
    return sorted(notes)


@given(
    st.integers(2, 6).flatmap(
        lambda width: st.lists(
            st.lists(
                st.sampled_from([-1, 0, 60, 61, 127]), min_size=width, max_size=width
            ),
            min_size=1,
            max_size=30,
        )
    )
)
def test_voices_equal_a_plain_loop_in_csv_and_in_json(table):
    expected = held_slowly(table)
    names = [f"note{n}" for n in range(len(table[0]))]
    lines = [",".join(map(str, row)) for row in [names, *table]]
    for data, form in (("\n".join(lines), "csv"), (json.dumps([table]), "json")):
        reading = read_tables(data.encode(), form)
        if not expected:
            assert not reading.contents
            assert "silent" in reading.left_out[0]
        else:
            found = rows(reading.contents[0], "start", "duration", "pitch", "track")
            assert sorted(found) == expected


# Notes: a header that says so.


def test_a_table_of_notes_is_read_by_its_header():
    score = only(
        "Pitch,Start,Duration,Velocity,Track,remark\n"
        "60,0,1,90,1,a\n64,0.5,0.25,80,0,b\n67,1.5,0,1,1,c\n"
    )
    assert rows(score, "start", "duration", "pitch", "velocity", "track") == [
        *((0, 480, 60, 90, 1), (240, 120, 64, 80, 0), (720, 1, 67, 1, 1)),
    ]


def test_onset_and_end_serve_too_and_tracks_may_have_names():
    score = only("onset;end;pitch;track\n0,5;1;60;Violin\n1;3;62;Cello\n")
    assert rows(score, "start", "duration", "pitch", "track") == [
        *((240, 240, 60, 0), (480, 960, 62, 1)),
    ]
    assert [track.name for track in score.tracks] == ["Violin", "Cello"]


def test_notes_that_touch_go_on_touching_when_rounded_to_ticks():
    score = only("start,duration,pitch\n0,0.3333,60\n0.3333,0.3333,60\n0.6666,1,60\n")
    ends = score.notes["start"] + score.notes["duration"]
    assert ends[:-1].tolist() == score.notes["start"][1:].tolist()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("-1,1,60", "line 3: '-1' is no start, a number in 0..559240"),
        ("0,nan,60", "line 3: 'nan' is no duration"),
        ("0,1,60.5", "line 3: '60.5' is no pitch, a whole number in 0..127"),
        ("0,1,128", "line 3: '128' is no pitch"),
        ("0,1,", "line 3: an empty cell is no pitch"),
        ("0,x,60", "line 3: 'x' is no number"),
        ("0,1", "line 3: 2 cells instead of 3"),
        ("0,1e400,60", "line 3: '1e400' is no duration"),
    ],
)
def test_a_bad_note_is_named_with_its_line(row, sentence):
    assert sentence in fault(f"start,duration,pitch\n0,1,60\n{row}\n")


def test_a_table_of_notes_needs_an_end():
    assert "neither duration nor end" in fault("start,pitch\n0,60\n")
    assert "is before the note's start" in fault("start,end,pitch\n2,1,60\n")


# What no csv may be.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no row of numbers"),
        ("\n\n", "no row of numbers"),
        ("\ufeff", "no row of numbers"),
        ("note0,note1\n", "no row of numbers"),
        ("60\nsixty\n", "line 2: 'sixty' is no number"),
        ("value\n1.5\ninf\n", "line 3: a number is missing, or infinite"),
        ("a,1.5\nb,\n", "line 2: a number is missing, or infinite"),
        ("60,62\n\n60\n", "line 3: 1 cells instead of 2"),
        ("60,62\n60,128\n", "line 2: 128 is no pitch, a whole number in -1..127"),
        ("60,62\n60.5,62\n", "line 2: 60.5 is no pitch"),
        ("60,62\n60,-2\n", "line 2: -2 is no pitch"),
        ("60,inf\n", "line 1: inf is no pitch"),
        ("\n" * 1_000_001, "1,000,001 lines"),
        ("60," * 64 + "60", "65 voices; at most 64"),
        ("60," * 256 + "60", "257 cells; at most 256"),
        ("start,duration,pitch\n", "no row of numbers"),
        ("x" * 200_000 + "\n1", "field larger"),
    ],
)
def test_a_bad_table_is_refused_with_the_reason_and_the_line(text, sentence):
    assert sentence in fault(text)


def test_voices_that_all_rest_are_left_out():
    reading = read_tables(b"0,-1\n-1,0\n", "csv")
    assert (reading.contents, reading.splits) == ((), ())
    assert reading.left_out == ("voices: silent from end to end",)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match=r"must be csv, json or mat\. Received: 'xls'"):
        read_tables(b"1", "xls")


# JSON.


def test_splits_are_the_keys_and_pieces_of_one_width_are_voices():
    parsed = {
        "test": [[[65, 60, 57, 53], [65, 60, 57, 53], [72, -1, 55, 52]]],
        "train": [[[60, 50, 40, 30]], [[-1, -1, -1, -1]], [[62, 50, None, 0]]],
        "remarks": "none",
    }
    reading = read_tables(json.dumps(parsed).encode(), "json", title="jsb")
    assert reading.splits == ("test", "train", "train")
    titles = [score.title for score in reading.contents]
    assert titles == ["jsb test 1", "jsb train 1", "jsb train 3"]
    assert reading.left_out == (
        "'remarks': no split of pieces",
        "train 2: silent from end to end",
    )
    first = reading.contents[0]
    assert [track.name for track in first.tracks] == SATB
    assert rows(first, "start", "duration", "pitch", "track") == [
        *((0, 240, 65, 0), (0, 240, 60, 1), (0, 240, 57, 2), (0, 240, 53, 3)),
        *((240, 120, 72, 0), (240, 120, 55, 2), (240, 120, 52, 3)),
    ]


def test_chords_of_several_widths_last_quarters_in_one_track():
    score = only(json.dumps([[60, 72, 79], [72, 79], [], [72]]), "json")
    assert rows(score, "start", "duration", "pitch", "track") == [
        *((0, 480, 60, 0), (0, 960, 72, 0), (0, 960, 79, 0), (1440, 480, 72, 0)),
    ]
    assert len(score.tracks) == 1


def test_a_bare_list_is_pieces_or_a_piece_or_a_series_by_its_depth():
    three_deep = read_tables(b"[[[60, 50]], [[62, 50]]]", "json")
    assert len(three_deep.contents) == 2
    assert three_deep.splits == ()
    assert len(only("[[60, 50], [62, 50]]", "json")) == 3  # 50 goes on
    series = only("[60, 60, 61]", "json")
    assert rows(series, "duration", "pitch") == [(240, 60), (240, 60), (240, 61)]
    assert only("[-1, 1, 0.5]", "json").notes["pitch"].tolist() == [48, 84, 75]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "damaged json"),
        ("[[60", "damaged json"),
        ("[" * 100_000, "damaged json: maximum recursion"),
        ("3", "neither a list of pieces nor splits"),
        ('{"songs": []}', "'songs': no split of pieces; known are train, valid"),
        ('{"train": {}}', "'train': no split of pieces"),
        ('{"train": [3]}', "train 1: 3 is no list of steps"),
        ("[[60, 62], 64]", "piece 1: step 2: 64 is no list of pitches"),
        ('[[60, 62], [61, "a"]]', "piece 1: step 2: 'a' is no number"),
        ("[[60, 62], [61, true]]", "step 2: True is no number"),
        ("[[60, 62], [61, 128]]", "step 2: 128 is no pitch"),
        ("[[60, 62], [61, 6e999]]", "step 2: inf is no pitch"),
        ("[60, null]", "step 2: None is no number"),
        ("[60, NaN]", "step 2: a number is missing, or infinite"),
        ("[[60, 1" + "0" * 400 + "]]", "piece 1: int too large"),
        (json.dumps([[60] * 65]), "65 voices; at most 64"),
        (json.dumps([[[]]] * 100_001), "100,001 pieces"),
        (json.dumps([1] * 1_000_001), "1,000,001 steps"),
    ],
)
def test_bad_json_is_refused_with_its_place(text, sentence):
    assert sentence in fault(text, "json")


@pytest.mark.parametrize("text", ["[]", "[[]]", "[[[]]]", '{"train": []}', "{}"])
def test_json_without_a_note_gives_no_piece(text):
    assert read_tables(text.encode(), "json").contents == ()


def test_a_bad_piece_among_good_ones_is_left_out_and_said():
    reading = read_tables(b'{"train": [[[60, 50]], [[300, 1]], 7]}', "json")
    assert len(reading.contents) == len(reading.splits) == 1
    assert [sentence[:9] for sentence in reading.left_out] == ["train 2: ", "train 3: "]


# MATLAB.


def mat_bytes(splits, *, compress=True):
    """A MATLAB 5 file as scipy writes it."""
    from scipy.io import savemat

    variables = {}
    for name, pieces in splits.items():
        variables[name] = np.empty((1, len(pieces)), dtype=object)
        for index, piece in enumerate(pieces):
            variables[name][0, index] = piece
    file = io.BytesIO()
    savemat(file, variables, do_compression=compress)
    return file.getvalue()


def roll(*steps, dtype=np.uint8):
    """A roll of 88 columns from the pitches of each step."""
    table = np.zeros((len(steps), 88), dtype=dtype)
    for step, pitches in enumerate(steps):
        table[step, np.array(pitches, dtype=int) - 21] = 1
    return table


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
def test_a_roll_is_notes_of_quarters_from_the_lowest_key_up(compress, dtype):
    piece = roll([21, 60], [60], [], [60, 108], dtype=dtype)
    rolls = {"testdata": [piece], "traindata": [roll([30]), roll([])]}
    reading = read_tables(mat_bytes(rolls, compress=compress), "mat", title="set")
    assert reading.splits == ("test", "train")
    assert reading.left_out == ("train 2: silent from end to end",)
    assert rows(reading.contents[0], "start", "duration", "pitch") == [
        *((0, 480, 21), (0, 960, 60), (1440, 480, 60), (1440, 480, 108)),
    ]
    assert reading.contents[0].title == "set test 1"


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        ({"songs": [roll([60])]}, "no piece in traindata, validdata, testdata"),
        ({"traindata": []}, "no piece in traindata"),
        ({"traindata": [np.zeros((4, 87))]}, "train 1: its shape must be (T, 88)"),
        ({"traindata": [np.full((4, 88), 2)]}, "a roll holds 0 and 1 alone"),
        ({"traindata": [np.full((1, 88), np.nan)]}, "a roll holds 0 and 1 alone"),
        ({"traindata": ["x" * 88]}, "are no numbers of shape"),
    ],
)
def test_what_is_no_roll_is_refused(splits, sentence):
    assert sentence in fault(mat_bytes(splits), "mat")


def test_a_mat_file_that_swells_is_refused_before_it_does():
    bomb = zlib.compress(bytes(200 * 2**20))
    head = mat_bytes({})[:128]
    data = head + struct.pack("<II", 15, len(bomb)) + bomb
    assert "unpacked, over 67,108,864 bytes" in fault(data, "mat")
    empty = struct.pack("<II", 14, 8 * 200_000) + bytes(8 * 200_000)
    assert "100,000 elements in a row" in fault(head + empty, "mat")


def damaged(data, rng):
    """The file with some bytes changed, within its packed elements too; or cut."""
    data = bytearray(data)
    if data[128] == 15 and rng.random() < 0.8:
        size = int.from_bytes(data[132:136], "little")
        inner = bytearray(zlib.decompress(data[136 : 136 + size]))
        for place in rng.integers(0, min(200, len(inner)), 3):
            inner[place] = rng.integers(256)
        packed = zlib.compress(bytes(inner))
        data[132 : 136 + size] = len(packed).to_bytes(4, "little") + packed
    else:
        for place in rng.integers(100, len(data), 4):
            data[place] = rng.integers(256)
    return bytes(data[: rng.integers(len(data))] if rng.random() < 0.2 else data)


@pytest.mark.parametrize("compress", [False, True])
def test_a_damaged_mat_file_gives_music_or_a_sentence(compress):
    rng = np.random.default_rng(0)
    good = mat_bytes({"traindata": [roll([60], [62])] * 3}, compress=compress)
    assert len(read_tables(good, "mat").contents) == 3
    refused = 0
    for _ in range(400):
        try:
            read_tables(damaged(good, rng), "mat")
        except UnreadableMusic:
            refused += 1
    assert 0 < refused < 400


@given(st.binary(max_size=300), st.sampled_from(["csv", "json", "mat"]))
def test_any_bytes_give_music_or_a_sentence(data, form):
    try:
        read_tables(data, form)
    except UnreadableMusic as error:
        assert str(error)


@given(st.text(alphabet='0123456789.,;\t\n\r -"ax', max_size=60))
def test_any_characters_of_a_table_give_music_or_a_sentence(text):
    try:
        read_tables(text.encode(), "csv")
    except UnreadableMusic as error:
        assert str(error)


# The real sets.


def test_bachs_chorales_are_the_same_in_both_files_that_hold_them():
    in_json = data_folder("jsb") / "jsb-quarter.json"
    in_mat = data_folder("poly_music") / "JSB_Chorales.mat"
    a, b = (
        {
            score.title: (split, score.notes.tolist())
            for score, split in zip(reading.contents, reading.splits, strict=True)
        }
        for reading in (
            read_tables(in_json.read_bytes(), "json", title="bach"),
            read_tables(in_mat.read_bytes(), "mat", title="bach"),
        )
    )
    assert len(a) == 382
    assert a == b


def test_four_part_chorales_equal_a_plain_loop():
    path = data_folder("jsb") / "jsb-16th-separated.json"
    reading = read_tables(path.read_bytes(), "json")
    counts = {split: reading.splits.count(split) for split in set(reading.splits)}
    assert counts == {"train": 229, "valid": 76, "test": 77}
    pieces = [p for split in json.loads(path.read_text()).values() for p in split]
    for piece, score in zip(pieces, reading.contents, strict=True):
        found = rows(score, "start", "duration", "pitch", "track")
        assert sorted(found) == held_slowly(piece)
    assert len(gated(reading).contents) == 382


@pytest.mark.parametrize("name", ["JSB_Chorales", "Nottingham", "Piano_midi"])
def test_rolls_are_what_scipy_reads(name):
    from scipy.io import loadmat

    path = data_folder("poly_music") / f"{name}.mat"
    loaded = loadmat(path)
    rolls = [
        table
        for key in ("traindata", "validdata", "testdata")
        for table in loaded[key].ravel()
    ]
    reading = read_tables(path.read_bytes(), "mat")
    for table, score in zip(rolls, reading.contents, strict=True):
        back = np.zeros_like(table)
        for start, duration, pitch in rows(score, "start", "duration", "pitch"):
            back[start // 480 : (start + duration) // 480, pitch - 21] = 1
        assert np.array_equal(back, table)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("60\n62\n64\n", "csv"),
        ("value\n-1.5\n2.5e3\n", "csv"),
        ("2024-01-01,60\n2024-01-02,62\n", "csv"),
        ("Tag;Wert\n1.1.;-0,5\n", "csv"),
        (",note0\n0,60\n", "csv"),
        ("start,duration,pitch\n0,1,60\n", "csv"),
        ("[60, 62]", "json"),
        ("[[[60, 50]]]", "json"),
        ('{"train": [' + "[[60, 50], [60, 50]], " * 20, "json"),
        ("Hello\nworld\n", "text"),
    ],
)
def test_a_table_is_known_by_its_first_bytes(tmp_path, text, form):
    path = tmp_path / "table"
    path.write_text(text)
    assert sniff(path) == form


def test_the_guard_reads_tables_of_every_form(tmp_path):
    path = tmp_path / "chorale"
    path.write_text("note0,note1,note2,note3\n74,70,65,58\n74,70,65,58\n")
    assert len(read_file(path).contents[0]) == 4
    path.write_text(json.dumps({"train": [[[60, 50]] * 20], "test": [[[62, 50]] * 20]}))
    assert read_file(path).splits == ("train", "test")
    path.write_bytes(mat_bytes({"validdata": [roll([60])]}))
    assert read_file(path).splits == ("valid",)
    path.write_text("60,62\n60,x\n")
    with pytest.raises(Refused, match="damaged: voices: line 2: 'x' is no number"):
        read_file(path)
    path.write_text("0,0\n0,0\n")
    with pytest.raises(Refused, match="no notes: voices: silent from end to end"):
        read_file(path)

"""New notes in a MIDI file: all else that is in it stays, byte for byte."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder

from data_pipelines.midi import midi_bytes, parse_midi
from data_pipelines.midi_graft import grafted
from data_pipelines.score import Metre, Tempo, notes_array

HEAD = bytes.fromhex("4d546864 00000006 0000 0001 0060")  # type 0, 96 ticks a quarter
NAME = b"\x00\xff\x03\x05Vi\xf6la"  # Latin-1, as older programs write
VOLUME, BEND, TOUCH = b"\x00\xb0\x07\x50", b"\x00\xe0\x00\x50", b"\x00\xd0\x11"
SYSEX = b"\x00\xf0\x03\x7e\x7f\xf7"
LYRIC = b"\x00\xff\x05\x02la"
TEMPO = b"\x00\xff\x51\x03\x07\xa1\x20"  # 120 a minute
C4 = b"\x00\x90\x3c\x40\x60\x3c\x00"  # running status, ended by velocity 0
D4 = b"\x00\x90\x3e\x50\x60\x80\x3e\x21"  # with a release velocity
END = b"\x00\xff\x2f\x00"


def file_of(*events):
    body = b"".join(events)
    return HEAD + b"MTrk" + len(body).to_bytes(4, "big") + body


def test_bends_volumes_lyrics_names_and_sysex_stay_where_they_are():
    """By hand: the new note's on and off stand behind the two that were there."""
    given = (NAME, SYSEX, TEMPO, VOLUME, BEND, TOUCH, LYRIC)
    data = file_of(*given, C4, D4, END)
    score = parse_midi(data)
    more = np.append(score.notes, notes_array(192, 96, 64, 70))
    new = grafted(data, score, replace(score, notes=more))
    full = b"\x00\x90\x3c\x40\x60\x90\x3c\x00"  # the same event, its status said anew
    e4 = b"\x00\x90\x40\x46\x60\x80\x40\x00"
    assert new == file_of(*given, full, D4, e4, END)


def test_a_note_taken_out_leaves_all_others():
    data = file_of(VOLUME, C4, D4, END)
    score = parse_midi(data)
    new = grafted(data, score, replace(score, notes=score.notes[1:]))
    assert new == file_of(VOLUME, b"\x60" + D4[1:], END)


def test_a_tempo_and_a_metre_are_added_and_taken_away():
    data = file_of(TEMPO, C4, END)
    score = parse_midi(data)
    other = replace(score, tempos=(Tempo(96, 90.0),), metres=(Metre(96, 3, 4),))
    read = parse_midi(grafted(data, score, other))
    assert [t.tick for t in read.tempos] == [96]
    assert read.tempos[0].qpm == pytest.approx(90)
    assert read.metres == other.metres
    assert read.notes.tobytes() == score.notes.tobytes()


def test_of_one_key_the_old_note_ends_before_the_new_one_begins():
    """By hand: C4 from 96 to 192 is given; new ones stand at once before and behind."""
    data = file_of(b"\x60" + C4[1:], END)
    score = parse_midi(data)
    more = np.append(score.notes, notes_array([0, 192], [96, 48], 60, 64))
    new = grafted(data, score, replace(score, notes=more))
    on, off = b"\x90\x3c\x40", b"\x80\x3c\x00"
    ended = b"\x90\x3c\x00"  # as the file ends its own
    assert new == file_of(
        *(b"\x00" + on, b"\x60" + off, b"\x00" + on),
        *(b"\x60" + ended, b"\x00" + on, b"\x30" + off, END),
    )


@pytest.mark.parametrize(
    "data",
    [
        file_of(b"\x00\xc0\x05", C4, b"\x00\xc0\x06", D4, END),  # two on one channel
        file_of(C4, b"\x00\x90\x3c\x40", END),  # a note that never ends
    ],
)
def test_a_file_whose_notes_cannot_be_told_apart_is_left_alone_or_whole(data):
    score = parse_midi(data)
    new = grafted(data, score, score)
    assert new is None or parse_midi(new).notes.tobytes() == score.notes.tobytes()


def test_what_is_no_midi_is_not_grafted_on():
    score = parse_midi(file_of(C4, END))
    for data in (
        b"",
        b"X:1\nK:G\nGABc|",
        file_of(C4, END)[:-3],
        HEAD,
        midi_bytes(score),
    ):
        assert grafted(data, score, score) is None or data[:4] == b"MThd"


def test_files_by_other_hands_keep_every_event():
    mido = pytest.importorskip("mido")
    import io

    def events(data):
        file, found = mido.MidiFile(file=io.BytesIO(data), clip=True), []
        for number, track in enumerate(file.tracks):
            tick = 0
            for message in track:
                tick += message.time
                found.append((number, tick, str(message.copy(time=0))))
        return sorted(found)

    folder = data_folder("pop909")
    for path in sorted(folder.glob("*.mid"))[:3]:
        data = path.read_bytes()
        score = parse_midi(data)
        end = score.end_tick
        more = np.append(score.notes, notes_array(end, 100, 60, 64, 0))
        before, after = (
            events(data),
            events(grafted(data, score, replace(score, notes=more))),
        )
        before = [e for e in before if "end_of_track" not in e[2]]
        after = [e for e in after if "end_of_track" not in e[2]]
        new = [e for e in after if e not in set(before)]
        assert len(after) == len(before) + 2
        assert [tick for _, tick, _ in new] == [end, end + 100]

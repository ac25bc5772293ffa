"""MIDI in and out, on real files and on broken ones."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder, tune

from data_pipelines.guard import Refused, read_score
from data_pipelines.midi import (
    UnreadableMusic,
    midi_bytes,
    parse_midi,
    read_midi,
    write_midi,
)
from data_pipelines.score import PEDAL, Key, Metre, Score, Tempo, Track, notes_array

FULL = Score(
    notes_array([0, 480, 0], [240, 480, 120], [60, 64, 36], [100, 1, 127], [0, 0, 1]),
    ticks_per_quarter=480,
    tracks=(Track("Flute", 73), Track("Kit", 0, True)),
    tempos=(Tempo(0, 120.0), Tempo(480, 60.0)),
    metres=(Metre(0, 3, 4), Metre(1440, 6, 8)),
    keys=(Key(0, -3, True),),
    title="full",
)


def test_what_is_written_is_read_back():
    assert parse_midi(midi_bytes(FULL), "full") == FULL


def test_mido_reads_what_we_write():
    import io

    import mido

    file = mido.MidiFile(file=io.BytesIO(midi_bytes(FULL)))
    on = [m for t in file.tracks for m in t if m.type == "note_on" and m.velocity]
    assert sorted(m.note for m in on) == [36, 60, 64]
    assert next(m.channel for m in on if m.note == 36) == 9


def test_every_nottingham_file_is_read_and_survives_the_way_there_and_back(nottingham):
    assert len(nottingham) == 1034
    for path in nottingham:
        score = read_midi(path)
        assert len(score) > 0
        assert parse_midi(midi_bytes(score), score.title) == score


def test_symusic_and_mido_count_the_same_notes(nottingham):
    import mido

    for path in nottingham[:25]:
        on = sum(
            m.type == "note_on" and m.velocity > 0
            for t in mido.MidiFile(path).tracks
            for m in t
        )
        assert len(read_midi(path)) == on


@pytest.mark.parametrize(
    "data", [b"", b"MThd", b"not music at all", midi_bytes(tune([60]))[:20]]
)
def test_bytes_that_are_no_midi_are_refused(data):
    with pytest.raises(UnreadableMusic):
        parse_midi(data)


def test_ticks_per_quarter_zero_is_refused():
    poisoned = bytearray(midi_bytes(tune([60, 62])))
    poisoned[12:14] = b"\0\0"
    with pytest.raises(UnreadableMusic):
        parse_midi(bytes(poisoned))


def test_mutated_files_are_read_or_refused_and_never_leave_the_gate_wrong(tmp_path):
    good = midi_bytes(FULL)
    rng = np.random.default_rng(0)
    path = tmp_path / "mutated.mid"
    refused = 0
    for _ in range(3000):
        data = bytearray(good)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(0, 256)
        path.write_bytes(bytes(data[: rng.integers(1, len(data) + 1)]))
        try:
            score = read_score(path)
        except Refused:
            refused += 1
            continue
        assert score.notes["start"].min() >= 0
        assert score.notes["duration"].min() >= 1
        assert score.length_seconds <= 2 * 3600
    print(f"3000 mutated files: {refused} refused")
    assert 0 < refused < 3000


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kept.mid"
    write_midi(path, tune([60]))
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_midi(path, FULL)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["kept.mid"]


def piano_with_pedal(*controls):
    """A note of 10 ticks on channel 0, and (tick, value) of controller 64 beside it."""
    import io

    import mido

    events = [
        (0, mido.Message("note_on", note=60, velocity=80)),
        (10, mido.Message("note_off", note=60)),
    ]
    for tick, value in controls:
        message = mido.Message("control_change", control=64, value=value)
        events.append((tick, message))
    events.sort(key=lambda event: event[0])
    track = mido.MidiTrack()
    now = 0
    for tick, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    file = io.BytesIO()
    mido.MidiFile(ticks_per_beat=480, tracks=[track]).save(file=file)
    return parse_midi(file.getvalue())


@pytest.mark.parametrize(
    ("controls", "pedals"),
    [
        ([(5, 127), (25, 0)], [(5, 20)]),
        ([(5, 64), (25, 63)], [(5, 20)]),  # half of the way is down
        ([(5, 63), (25, 0)], []),
        ([(5, 127), (9, 90), (25, 0), (30, 0)], [(5, 20)]),  # said twice
        ([(5, 0), (25, 127), (30, 0)], [(25, 5)]),  # up before it was ever down
        ([(5, 127), (9, 0), (9, 127), (25, 0)], [(5, 4), (9, 16)]),
        ([(5, 127), (5, 0)], []),  # down for no time
        ([(5, 127)], [(5, 5)]),  # never lifted: until the last note ends
        ([(5, 127), (8, 0), (20, 127)], [(5, 3)]),  # down after all is over
        ([], []),
    ],
)
def test_the_pedal_is_down_from_64_on(controls, pedals):
    read = piano_with_pedal(*controls).pedals
    assert [(start, length) for start, length, _ in read.tolist()] == pedals


def test_pedals_are_written_and_read_back_track_by_track():
    rows = [(0, 30, 0), (30, 50, 0), (100, 5, 0), (20, 700, 1)]
    tracks = (Track("Right", 0), Track("Organ", 19))
    notes = notes_array([0, 480, 0], [240, 480, 960], [60, 64, 36], 80, [0, 0, 1])
    score = Score(notes, tracks=tracks, pedals=np.array(rows, dtype=PEDAL))
    back = parse_midi(midi_bytes(score))
    assert back.pedals.tolist() == sorted(rows)
    assert back.notes.tolist() == score.notes.tolist()
    bare = replace(score, pedals=np.zeros(0, dtype=PEDAL))
    assert parse_midi(midi_bytes(bare)).pedals.tolist() == []


def pedals_by_mido(path):
    """(start, end) of every pedal, and the name of its track, one message at a time."""
    import mido

    found = []
    for track in mido.MidiFile(path).tracks:
        now, down, last = 0, None, 0
        for message in track:
            now += message.time
            if not message.is_meta:
                last = now
            if message.type != "control_change" or message.control != 64:
                continue
            if message.value >= 64 and down is None:
                down = now
            elif message.value < 64 and down is not None:
                if now > down:
                    found.append((down, now, track.name))
                down = None
        if down is not None and last > down:  # never lifted: until the last message
            found.append((down, last, track.name))
    return sorted(found)


def test_mido_finds_the_same_pedals_in_real_piano():
    count = 0
    for path in sorted(data_folder("pop909").glob("*.mid"))[:20]:
        score = read_midi(path)
        found = [
            (start, start + length, score.tracks[track].name)
            for start, length, track in score.pedals.tolist()
        ]
        assert sorted(found) == pedals_by_mido(path), path
        assert parse_midi(midi_bytes(score), score.title) == score, path
        count += len(found)
    assert count > 1000


def test_pretty_midi_hears_the_pedals_at_the_same_seconds():
    for path in sorted(data_folder("pop909").glob("*.mid"))[:3]:
        score = read_midi(path)
        # Written by us, so that a tempo of its own rounding does not come between.
        changes = [
            (change.time, change.value >= 64)
            for player in score.to_pretty_midi().instruments
            for change in player.control_changes
            if change.number == 64
        ]
        start = score.pedals["start"].astype(np.int64)
        down = [time for time, is_down in changes if is_down]
        up = [time for time, is_down in changes if not is_down]
        np.testing.assert_allclose(down, score.seconds_at(start), atol=1e-3)
        end = score.seconds_at(start + score.pedals["duration"])
        np.testing.assert_allclose(up, end, atol=1e-3)

"""MIDI in and out, on real files and on broken ones."""

import numpy as np
import pytest
from conftest import tune

from data_pipelines.guard import Refused, read_score
from data_pipelines.midi import (
    UnreadableMusic,
    midi_bytes,
    parse_midi,
    read_midi,
    write_midi,
)
from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array

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

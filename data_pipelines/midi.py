"""Standard MIDI files: bytes in, `Score` out, and back.

symusic parses; it accepts poison (ticks-per-quarter 0, tempo 0, times that wrap),
so everything passes through `Score`'s own checks and the gate in `guard.py`.
"""

from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.score import (
    NO_PEDALS,
    NOTE,
    PEDAL,
    Key,
    Metre,
    Score,
    Tempo,
    Track,
)

SUSTAIN = 64  # the controller of the right pedal
MOST_TRACKS = 65_536  # that a note's 16 bits can name


class UnreadableMusic(ValueError):
    """The file is not music that can be used; the message says why."""


def read_midi(path):
    """Read a Standard MIDI File, type 0, 1 or 2.

    Args:
        path: str or Path of a regular file.

    Returns:
        `Score`. Notes of no length are given one tick.

    Raises:
        UnreadableMusic: if the bytes are no MIDI, or hold impossible numbers.
        OSError: if the file cannot be read.
    """
    return parse_midi(Path(path).read_bytes(), title=Path(path).stem)


def parse_midi(data, title=""):
    """As `read_midi`, from bytes already in memory."""
    import symusic

    if not data:
        raise UnreadableMusic("the file is empty")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":  # RMID: MIDI in a RIFF chunk
        data = data[20:]
    if data[:4] != b"MThd":
        raise UnreadableMusic(f"not a MIDI file: it begins with {data[:4]!r}")
    try:
        parsed = symusic.Score.from_midi(data)
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise UnreadableMusic(f"damaged MIDI: {str(error).splitlines()[0]}") from None
    try:
        return from_symusic(parsed, title)
    except ValueError as error:
        raise UnreadableMusic(f"impossible numbers: {error}") from None


def from_symusic(parsed, title):
    """The `Score` of a parsed `symusic.Score`; ValueError where a number cannot be."""
    heard = [track for track in parsed.tracks if len(track.notes)]
    if len(heard) > MOST_TRACKS:
        raise ValueError(f"{len(heard):,} tracks, at most {MOST_TRACKS:,} are read")
    pedals = [_pedals(t, i) for i, t in enumerate(heard) if len(t.controls)]
    tracks = tuple(
        Track(t.name.strip("\0 "), int(t.program), bool(t.is_drum)) for t in heard
    )
    return Score(
        _note_table([track.notes.numpy() for track in heard]),
        ticks_per_quarter=parsed.ticks_per_quarter,
        tracks=tracks or (Track(),),
        tempos=_last_at_each_tick(Tempo(t.time, float(t.qpm)) for t in parsed.tempos),
        metres=_last_at_each_tick(
            Metre(m.time, m.numerator, m.denominator) for m in parsed.time_signatures
        ),
        keys=_last_at_each_tick(
            Key(k.time, int(k.key), bool(k.tonality)) for k in parsed.key_signatures
        ),
        title=title,
        pedals=np.concatenate(pedals) if pedals else NO_PEDALS,
    )


def _note_table(tracks):
    """The notes of all tracks as one table, from symusic's columns of each."""
    notes = np.empty(sum(len(columns["time"]) for columns in tracks), dtype=NOTE)
    first = 0
    for index, columns in enumerate(tracks):
        rows = notes[first : first + len(columns["time"])]
        rows["start"], rows["duration"] = columns["time"], columns["duration"]
        # int8 in symusic: what was above 127 is negative there, and above it here.
        rows["pitch"], rows["velocity"] = columns["pitch"], columns["velocity"]
        rows["track"] = index
        first += len(rows)
    if len(notes):
        if max(notes["pitch"].max(), notes["velocity"].max()) > 127:
            raise ValueError("a pitch or a velocity above 127")
        if (shortest := notes["duration"].min()) < 0:
            raise ValueError("a note ends before it starts")
        if shortest == 0 or notes["velocity"].min() == 0:
            for name in ("duration", "velocity"):
                np.maximum(notes[name], 1, out=notes[name])
    return notes


def _pedals(track, index):
    """When controller 64 is at 64 or more; a foot that stays down lifts at the end.

    symusic's own list of pedals starts some of them at tick 0, long before the foot.
    """
    controls = track.controls.numpy()
    pedal = np.flatnonzero(controls["number"] == SUSTAIN)
    if not len(pedal):
        return NO_PEDALS
    times, is_down = controls["time"][pedal], controls["value"][pedal] >= 64
    order = np.argsort(times, kind="stable")
    times, is_down = times[order].astype(np.int64), is_down[order]
    changes = np.flatnonzero(is_down[1:] != is_down[:-1]) + 1
    if is_down[0]:
        changes = np.concatenate([[0], changes])
    down, up = times[changes[::2]], times[changes[1::2]]
    if len(up) < len(down):
        up = np.append(up, max(int(track.end()), int(down[-1])))
    heard = up > down
    rows = np.zeros(int(heard.sum()), dtype=PEDAL)
    rows["start"], rows["duration"] = down[heard], (up - down)[heard]
    rows["track"] = index
    return rows


def _last_at_each_tick(changes):
    by_tick = {change.tick: change for change in changes}
    return tuple(by_tick[tick] for tick in sorted(by_tick))


def midi_bytes(score):
    """The score as a type 1 MIDI file. Same score, same bytes.

    Raises:
        ValueError: if a metre's unit is no power of two.
    """
    import symusic

    for metre in score.metres:
        if metre.beat_unit & (metre.beat_unit - 1):
            raise ValueError(
                f"MIDI knows no metre of {metre}: its unit is a power of 2."
            )
    out = symusic.Score(score.ticks_per_quarter)
    for tempo in score.tempos:
        out.tempos.append(symusic.Tempo(tempo.tick, qpm=tempo.qpm))
    for metre in score.metres:
        out.time_signatures.append(
            symusic.TimeSignature(metre.tick, metre.beats, metre.beat_unit)
        )
    for key in score.keys:
        out.key_signatures.append(
            symusic.KeySignature(key.tick, key.sharps, int(key.is_minor))
        )
    for index, track in enumerate(score.tracks):
        notes = score.track_notes(index)
        voice = symusic.Track(track.name, track.program, track.is_drum)
        voice.notes = symusic.Note.from_numpy(
            notes["start"].astype(np.int32),
            notes["duration"].astype(np.int32),
            notes["pitch"].astype(np.int8),
            notes["velocity"].astype(np.int8),
        )
        for start, duration, _ in score.pedals[score.pedals["track"] == index].tolist():
            voice.controls.append(symusic.ControlChange(start, SUSTAIN, 127))
            voice.controls.append(symusic.ControlChange(start + duration, SUSTAIN, 0))
        out.tracks.append(voice)
    return out.dumps_midi()


def write_midi(path, score):
    """Write the score as a MIDI file, whole or not at all."""
    write_whole(path, midi_bytes(score))

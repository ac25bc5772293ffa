"""`Score` to and from the objects that other people's code speaks."""

from fractions import Fraction

import numpy as np

from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array

TICKS_PER_QUARTER = 480


def to_pretty_midi(score):
    """A `pretty_midi.PrettyMIDI` with the same notes, in seconds."""
    import io

    import pretty_midi

    from data_pipelines.midi import midi_bytes

    return pretty_midi.PrettyMIDI(io.BytesIO(midi_bytes(score)))


def to_music21(score):
    """A `music21.stream.Score`: a part for each track, with bars and rests."""
    from music21 import (
        chord,
        instrument,
        key,
        metadata,
        meter,
        note,
        pitch,
        stream,
        tempo,
    )

    whole = stream.Score()
    whole.metadata = metadata.Metadata(
        title=score.title or "Untitled", composer="Etude"
    )
    tick = score.ticks_per_quarter
    for index, track in enumerate(score.tracks):
        notes = score.track_notes(index)
        part = stream.Part(id=track.name or f"Track {index + 1}")
        if track.is_drum:
            part.insert(0, instrument.UnpitchedPercussion())
        else:
            part.insert(0, instrument.instrumentFromMidiProgram(track.program))
        part.partName = track.name or part.partName
        for metre in score.metres or (Metre(0, 4, 4),):
            part.insert(Fraction(metre.tick, tick), meter.TimeSignature(str(metre)))
        for signature in score.keys:
            name = key.KeySignature(signature.sharps)
            mode = "minor" if signature.is_minor else "major"
            part.insert(Fraction(signature.tick, tick), name.asKey(mode))
        if index == 0:
            for change in score.tempos:
                mark = tempo.MetronomeMark(number=round(change.qpm, 2))
                part.insert(Fraction(change.tick, tick), mark)
        for start, duration, numbers, velocity in _chords(notes):
            # Not Note(6): to music21 a small number is a pitch class.
            pitches = [pitch.Pitch(midi=number) for number in numbers]
            sounding = (
                note.Note(pitches[0]) if len(pitches) == 1 else chord.Chord(pitches)
            )
            sounding.quarterLength = Fraction(duration, tick)
            sounding.volume.velocity = velocity
            part.insert(Fraction(start, tick), sounding)
        whole.insert(0, part.makeNotation(inPlace=False) if len(notes) else part)
    return whole


def _chords(notes):
    # Notes that start and end together are one chord.
    notes = notes[np.lexsort((notes["pitch"], notes["duration"], notes["start"]))]
    apart = (np.diff(notes["start"]) != 0) | (np.diff(notes["duration"]) != 0)
    for together in np.split(notes, np.flatnonzero(apart) + 1):
        if len(together):
            first = together[0]
            start, duration = int(first["start"]), int(first["duration"])
            yield start, duration, together["pitch"].tolist(), int(first["velocity"])


def from_music21(whole):
    """The `Score` of a `music21` score or part, repeats as written, not unfolded.

    Ties are joined, grace notes and chord symbols left out. A short first bar (a
    pickup) is moved to the end of a whole bar, so that bar lines fall on the metre.

    Raises:
        ValueError: if it holds no sounding note.
    """
    parts = list(whole.parts) if hasattr(whole, "parts") else []
    parts = parts or [whole]
    shift = _pickup_shift(parts[0])
    columns, tracks = [], []
    for index, part in enumerate(parts):
        rows = _sounding_rows(part, shift)
        if rows:
            columns.append(notes_array(*zip(*rows, strict=True), 80, len(tracks)))
            tracks.append(Track(str(part.partName or f"Part {index + 1}")))
    if not columns:
        raise ValueError("no sounding note")
    metres, keys, tempos = _maps(parts[0], shift)
    title = whole.metadata.title if getattr(whole, "metadata", None) else None
    return Score(
        np.concatenate(columns),
        TICKS_PER_QUARTER,
        tuple(tracks),
        tempos=tempos,
        metres=metres,
        keys=keys,
        title=title or "",
    )


def _ticks(quarters):
    return round(Fraction(quarters) * TICKS_PER_QUARTER)


def _pickup_shift(part):
    from music21 import meter, stream

    bars = list(part.getElementsByClass(stream.Measure))
    signatures = list(part.recurse().getElementsByClass(meter.TimeSignature))
    if len(bars) < 2 or not signatures:
        return 0
    whole_bar = signatures[0].barDuration.quarterLength
    first = bars[0].highestTime
    return _ticks(whole_bar - first) if 0 < first < whole_bar else 0


def _sounding_rows(part, shift):
    from music21 import harmony

    rows, open_ties = [], {}
    for element in part.flatten().notes:
        if isinstance(element, harmony.ChordSymbol) or not element.quarterLength:
            continue
        start, duration = _ticks(element.offset) + shift, _ticks(element.quarterLength)
        for sounding in getattr(element, "notes", (element,)):
            pitch = getattr(sounding, "pitch", None)
            if pitch is None:
                continue
            number = round(pitch.ps)  # .midi would fold what lies outside into 0..127
            if not 0 <= number <= 127:
                raise ValueError(f"A pitch must be in 0..127. Received: {number}")
            tie = sounding.tie.type if sounding.tie else None
            before = open_ties.pop(number, None)
            if tie in ("stop", "continue") and before is not None:
                rows[before][1] = start + duration - rows[before][0]
                row = before
            else:
                row = len(rows)
                rows.append([start, max(1, duration), number])
            if tie in ("start", "continue"):
                open_ties[number] = row
    return rows


def _maps(part, shift):
    from music21 import key, meter, tempo

    def changes(kind):
        found = {}
        for element in part.flatten().getElementsByClass(kind):
            tick = _ticks(element.offset)
            found[tick + shift if tick else 0] = element
        return sorted(found.items())

    metres = tuple(
        Metre(tick, m.numerator, m.denominator)
        for tick, m in changes(meter.TimeSignature)
    )
    keys = tuple(
        Key(tick, k.sharps, getattr(k, "mode", "major") == "minor")
        for tick, k in changes(key.KeySignature)
    )
    tempos = tuple(
        Tempo(tick, float(mark.getQuarterBPM()))
        for tick, mark in changes(tempo.MetronomeMark)
        if mark.getQuarterBPM()
    )
    return metres, keys, tempos

"""A MIDI file with some notes changed, and every other byte of its music as it was.

`Score` holds what tokens and sound need; a file holds more: volume, bends, lyrics,
markers, names in any encoding. Who wrote it wants that back.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

END_OF_TRACK, TEMPO, METRE, KEY = 0x2F, 0x51, 0x58, 0x59
META = 0xFF
PAIR_FIELDS = ("start", "duration", "pitch", "velocity")
DATA_BYTES = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}


@dataclass
class Event:
    """One event of a track: its tick, and its bytes with the status in front.

    ``rank`` puts what is new in its place among those of its tick: -1 before all that
    the file has there, 1 behind it.
    """

    tick: int
    data: bytes
    rank: int = 0

    @property
    def meta(self):
        """The type of a meta event, else None."""
        return self.data[1] if self.data[0] == META else None


def grafted(data, given, score):
    """The bytes of a MIDI file, with the notes of another score in it.

    Args:
        data: bytes of a Standard MIDI File.
        given: `Score`, as `midi.parse_midi` read it from them.
        score: `Score` with the tracks of `given`, other notes, and other maps perhaps.

    Returns:
        bytes: the file with the notes of `score` for those of `given`. All other events
        are there in their order. None where the file's notes cannot be told apart
        surely (two instruments on one channel of a track, notes that never end).
    """
    try:
        head, division, tracks = _parsed(data)
    except (IndexError, ValueError):
        return None
    if division != given.ticks_per_quarter or score.tracks != given.tracks:
        return None
    found = [_pairs(events) for events in tracks]
    homes = _homes(given, found)
    if homes is None:
        return None
    before, after = Counter(given.notes.tolist()), Counter(score.notes.tolist())
    dropped = set()  # ids of events
    for start, duration, pitch, velocity, track in (before - after).elements():
        index, channel = homes[track]
        pairs = found[index][channel][(start, duration, pitch, velocity)]
        dropped |= {id(event) for event in pairs.pop()}
    for start, duration, pitch, velocity, track in (after - before).elements():
        index, channel = homes[track]
        on = bytes([0x90 | channel, pitch, velocity])
        off = bytes([0x80 | channel, pitch, 0])
        tracks[index].append(Event(start, on, 1))
        tracks[index].append(Event(start + duration, off, -1))
    maps = _maps_of(given), _maps_of(score)
    gone = maps[0].keys() - maps[1].keys()
    for event in [event for events in tracks for event in events]:
        if (event.tick, event.meta) in gone:
            dropped.add(id(event))
    new = [(place, event) for place, event in maps[1].items() if place not in maps[0]]
    tracks[0] += [Event(tick, event, -1) for (tick, _), event in new]
    tracks = [[e for e in events if id(e) not in dropped] for events in tracks]
    return head + b"".join(map(_written, tracks))


def _maps_of(score):
    """(tick, meta type) -> the event's bytes, of tempos, metres and keys."""
    maps = {}
    for tempo in score.tempos:
        micros = round(60e6 / tempo.qpm)
        maps[tempo.tick, TEMPO] = bytes([META, TEMPO, 3]) + micros.to_bytes(3, "big")
    for metre in score.metres:
        unit = metre.beat_unit.bit_length() - 1
        maps[metre.tick, METRE] = bytes([META, METRE, 4, metre.beats, unit, 24, 8])
    for key in score.keys:
        maps[key.tick, KEY] = bytes([META, KEY, 2, key.sharps % 256, key.is_minor])
    return maps


def _homes(given, found):
    """For each track of a score, the chunk and channel it came from; None if unsure."""
    homes, taken = [], set()
    for track in range(len(given.tracks)):
        notes = given.track_notes(track)
        columns = [notes[name].tolist() for name in PAIR_FIELDS]
        wanted = Counter(zip(*columns, strict=True))
        fits = [
            (index, channel)
            for index, channels in enumerate(found)
            for channel, pairs in channels.items()
            if (index, channel) not in taken
            and sum(map(len, pairs.values())) == len(notes)
            and all(len(pairs.get(note, ())) == n for note, n in wanted.items())
        ]
        if not fits:
            return None
        homes.append(fits[0])
        taken.add(fits[0])
    return homes


def _pairs(events):
    """channel -> (start, duration, pitch, velocity) -> list of (on, off) events."""
    found = defaultdict(lambda: defaultdict(list))
    down = defaultdict(list)
    for event in events:
        kind, channel = event.data[0] & 0xF0, event.data[0] & 0x0F
        if kind not in (0x80, 0x90):
            continue
        pitch = event.data[1]
        if kind == 0x90 and event.data[2]:
            down[channel, pitch].append(event)
        elif down[channel, pitch]:
            on = down[channel, pitch].pop(0)
            note = on.tick, max(1, event.tick - on.tick), pitch, on.data[2]
            found[channel][note].append((on, event))
    return found


def _parsed(data):
    """(header chunk, ticks a quarter, one list of `Event` a track chunk)."""
    if data[:4] != b"MThd":
        raise ValueError("no MIDI file")
    length = int.from_bytes(data[4:8], "big")
    head, division = data[: 8 + length], int.from_bytes(data[12:14], "big")
    tracks, at = [], 8 + length
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        if data[at : at + 4] != b"MTrk":
            raise ValueError("a chunk of another kind")
        tracks.append(_events(data[at + 8 : at + 8 + size]))
        at += 8 + size
    if len(tracks) != int.from_bytes(data[10:12], "big"):
        raise ValueError("chunks are missing")
    return head, division, tracks


def _events(data):
    events, at, tick, status = [], 0, 0, 0
    while at < len(data):
        delta, at = _number(data, at)
        tick += delta
        if data[at] == META or data[at] in (0xF0, 0xF7):
            size, end = _number(data, at + 1 + (data[at] == META))
            end += size
            events.append(Event(tick, data[at:end]))
            at = end
            continue
        if data[at] >= 0x80:
            status, at = data[at], at + 1
        end = at + DATA_BYTES.get(status & 0xF0, len(data) + 1)
        if end > len(data):
            raise ValueError("an event is cut off")
        events.append(Event(tick, bytes([status]) + data[at:end]))
        at = end
    return events


def _number(data, at):
    """A number of seven bits a byte, and where it ends."""
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _written(events):
    """A track chunk of events; its end is where the last of them is, or later."""
    ends = [event for event in events if event.meta == END_OF_TRACK]
    events = [event for event in events if event.meta != END_OF_TRACK]
    events.sort(key=lambda event: (event.tick, event.rank))
    tick = max([event.tick for event in (*events, *ends)], default=0)
    body, now = bytearray(), 0
    for event in (*events, Event(tick, bytes([META, END_OF_TRACK, 0]))):
        delta, now = event.tick - now, event.tick
        places = [delta >> shift & 0x7F for shift in (21, 14, 7, 0)]
        first = int(np.flatnonzero([*places[:3], 1])[0])
        body += bytes([place | 0x80 for place in places[first:3]] + places[3:])
        body += event.data
    return b"MTrk" + len(body).to_bytes(4, "big") + bytes(body)

"""Standard MIDI files, byte by byte, and what is wrong with them; and mutations."""

import struct

import numpy as np


def chunk(name, body, length=None):
    """A MIDI chunk; `length` is what it says of itself, where that is a lie."""
    return name + struct.pack(">I", len(body) if length is None else length) + body


def midi(*tracks, division=480, form=1, count=None):
    """A MIDI file of these track bodies, each closed by an end of track."""
    count = len(tracks) if count is None else count
    head = chunk(b"MThd", struct.pack(">HHH", form, count, division))
    return head + b"".join(chunk(b"MTrk", body + b"\0\xff\x2f\0") for body in tracks)


def delta(ticks):
    """A MIDI number of variable length: seven bits a byte, the last without the top."""
    groups = [ticks & 127]
    while ticks := ticks >> 7:
        groups.append(ticks & 127 | 128)
    return bytes(reversed(groups))


def notes(pitches, ticks=240, channel=0):
    """The events of a line of notes."""
    return b"".join(
        bytes([0, 0x90 | channel, p, 80]) + delta(ticks) + bytes([0x80 | channel, p, 0])
        for p in pitches
    )


def meta(kind, body):
    """A MIDI event for the reader: tempo 0x51, metre 0x58, key 0x59."""
    return bytes([0, 0xFF, kind]) + delta(len(body)) + body


def rmid(data):
    """A MIDI file in a RIFF chunk."""
    body = b"RMIDdata" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bad_midi(rng):
    """Bad files: [(reasons for which they may be refused, {name: bytes})]."""
    tune = notes(rng.integers(40, 90, 16).tolist())
    good = midi(tune, notes(rng.integers(40, 90, 16).tolist()))
    second = good.index(b"MTrk", 20)
    far = delta(2**28 - 1)  # the longest wait that one event can have
    waits = b"".join(far + bytes([0xB0, 7, 100]) for _ in range(9))
    bars = meta(0x58, bytes([1, 6, 24, 8]))  # 1/64
    damaged = {
        **{
            f"cut at {place}.mid": good[:place]
            for place in (4, 8, 11, 18, 20, 22, 23, 40, second - 1)
        },
        "cut in the second name.mid": good[: second + 2],
        "cut in the second length.mid": good[: second + 6],
        "cut in the second track.mid": good[: second + 30],
        "cut before the last end.mid": good[:-4],
        "cut in the last byte.mid": good[:-1],
        "quarter of no ticks.mid": midi(tune, division=0),
        "film at 24.mid": midi(tune, division=0xE804),
        "film at 25.mid": midi(tune, division=0xE728),
        "film at 30.mid": midi(tune, division=0xE250),
        "film at 0.mid": midi(tune, division=0x8000),
        "tempo 0.mid": midi(meta(0x51, b"\0\0\0") + tune),
        "tempo 1.mid": midi(meta(0x51, b"\0\0\1") + tune),
        "metre 0 of 4.mid": midi(meta(0x58, bytes([0, 2, 24, 8])) + tune),
        "metre 4 of 2^255.mid": midi(meta(0x58, bytes([4, 255, 24, 8])) + tune),
        "key of 100 sharps.mid": midi(meta(0x59, bytes([100, 0])) + tune),
        "key of 8 flats.mid": midi(meta(0x59, bytes([0xF8, 0])) + tune),
        "time past 2^31.mid": midi(waits + tune),
        "note past 2^28.mid": midi(far + tune[1:] + far + bytes([0x90, 60, 80])),
        "data before any status.mid": midi(b"\0\x3c\x50" + tune),
        "status of no event.mid": midi(b"\0\xf4\xf5" + tune),
        "wait of twenty bytes.mid": midi(b"\xff" * 20 + tune),
        "exclusive never ended.mid": midi(tune + b"\0\xf0\x7f" + bytes(20)),
        "text longer than the file.mid": midi(tune + b"\0\xff\1\xff\xff\xff\x7fabc"),
        "garbage in the track.mid": midi(b"\0\x90" + rng.bytes(300)),
        "all ones.mid": midi(b"\xff" * 400),
        "track of 4 GB.mid": midi(count=1) + chunk(b"MTrk", tune, 2**32 - 1),
        "track of 387 MB.mid": midi(count=1) + chunk(b"MTrk", tune, 9**9),
        "head of no bytes.mid": b"MThd" + struct.pack(">I", 0) + good[14:],
        "head of 4 GB.mid": b"MThd" + struct.pack(">I", 2**32 - 1) + good[8:],
        "format 7.mid": midi(tune, form=7),
        "only a head.mid": b"MThd",
        "riff around nothing.mid": rmid(b""),
        "riff around text.mid": rmid(b"this is no music"),
        "riff around a cut file.mid": rmid(good[:60]),
        "riff of twelve bytes.mid": rmid(good)[:12],
        "riff around itself.mid": rmid(rmid(good)),
    }
    silent = {
        "no tracks.mid": midi(),
        "cut after the head.mid": good[:14],
        "a track with nothing in it.mid": midi(b""),
        "a hundred empty tracks.mid": midi(*[b""] * 100),
        "alien chunks alone.mid": midi(count=1) + chunk(b"XFIH", rng.bytes(50)),
        "notes that never end.mid": midi(bytes([0, 0x90, 60, 80]) * 50),
        "ends of notes alone.mid": midi(bytes([9, 0x80, 60, 0]) * 50),
        "notes of no loudness.mid": midi(bytes([0, 0x90, 60, 0]) * 50),
        "controllers alone.mid": midi(bytes([9, 0xB0, 7, 100]) * 50),
        "lyrics alone.mid": midi(meta(5, b"la") * 50),
    }
    long = {
        "three hours.mid": midi(notes([60, 62], 480 * 120 * 60 * 3)),
        "slow to the end of days.mid": midi(
            meta(0x51, b"\xff" * 3) + notes([60], 2**20)
        ),
        "a million bars.mid": midi(bars + notes([60], 480 * 1000), division=6),
        "a quarter of a tick.mid": midi(notes([60, 62], 2**27), division=1),
        "fast and far.mid": midi(meta(0x51, b"\0\x75\x30") + notes([60], 2**27)),
    }
    flood = midi(notes([60] * 10_000, 0)) * 240
    large = {"flood of notes.mid": flood}
    return [
        ({"damaged"}, damaged),
        ({"no notes", "damaged"}, silent),
        ({"too long", "damaged"}, long),
        ({"too large"}, large),
    ]


def seeds_to_mutate():
    """Twenty small MIDI files, between them all that a reader looks at."""
    full = midi(
        meta(0x51, b"\7\xa1\x20")
        + meta(0x58, bytes([3, 2, 24, 8]))
        + meta(0x59, b"\xfd\1"),
        meta(3, b"Flute") + b"\0\xc0\x49" + notes([60, 64, 67]),
        notes([36, 38], channel=9),
    )
    line = notes([60, 62, 64, 65])
    seeds = [full, midi(line), midi(line, form=0), midi(line, line, form=2)]
    seeds += [midi(line, division=division) for division in (1, 24, 960, 32_767)]
    seeds += [midi(meta(kind, b"name") + line) for kind in (1, 3, 4, 0x7F)]
    seeds += [midi(meta(0x51, bytes([n, 0, 1])) + line) for n in (0, 7, 255)]
    seeds += [midi(meta(0x58, bytes([n, 2, 24, 8])) + line) for n in (1, 7, 255)]
    seeds.append(midi(b"\0\xb0\x40\x7f" + line + b"\0\xb0\x40\0"))
    seeds.append(midi(b"\0\xf0\3\1\2\xf7" + line))
    return seeds


def mutated(seeds, count, rng):
    """So many files, each with some bytes changed, put in, taken out, or cut off."""
    likely = np.array([0, 1, 0x7F, 0x80, 0x81, 0x90, 0xB0, 0xF0, 0xFF], dtype=np.uint8)
    for number in range(count):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(4, len(data))) if rng.random() < 0.98 else 0
            byte = int(rng.choice(likely) if rng.random() < 0.5 else rng.integers(256))
            kind = rng.random()
            if kind < 0.6:
                data[place] = byte
            elif kind < 0.75:
                data[place:place] = bytes([byte]) * int(rng.integers(1, 5))
            elif kind < 0.88:
                del data[place : place + int(rng.integers(1, 5))]
            elif kind < 0.95:
                data += data[place : place + 30]
            else:
                del data[max(15, place) :]
        if rng.random() < 0.6 and data.count(b"MTrk") == 1 and len(data) > 22:
            data[18:22] = struct.pack(">I", len(data) - 22)  # else most are cut short
        yield bytes(data)

"""Bad inputs of every form, and odd ones that are legal, built byte by byte from a seed.

`write_bad_inputs` says of each file which reasons for refusing it are right; a file that
is read all the same, or refused for another reason, is a fault of the reader's.
"""

import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bad_midi import bad_midi, chunk, meta, midi, notes, rmid
from bad_notation import (
    Member,
    bad_abc,
    bad_humdrum,
    bad_mxl,
    bad_tables,
    bad_xml,
    xml_tune,
    zipped,
)
from bad_sound import aiff, bad_sound, rf64, sine, sine_16, wav

SOUND_AS_SCORE = frozenset({"other kind"})
ANYTHING_AS_SOUND = frozenset({"other kind", "not music"})


@dataclass(frozen=True)
class Expected:
    """Which of `guard.REASONS` are right, asked for a score and asked for a sound."""

    score: frozenset
    wave: frozenset


def foreign(rng):
    noise = rng.bytes(2000)
    other = {
        "picture.png": b"\x89PNG\r\n\x1a\n" + chunk(b"\0\0\0\rIHDR", noise),
        "picture.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0" + noise,
        "picture.gif": b"GIF89a" + noise,
        "page.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\nendobj\n",
        "program": b"\x7fELF\2\1\1" + noise,
        "program.exe": b"MZ\x90\0\3" + noise,
        "packed.gz": b"\x1f\x8b\x08\0\0\0\0\0" + noise,
        "packed.bz2": b"BZh91AY&SY" + noise,
        "packed.xz": b"\xfd7zXZ\0" + noise,
        "table.sqlite": b"SQLite format 3\0" + noise,
        "pickled.pkl": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
        "film.mp4": b"\0\0\0 ftypisom" + noise,
        "film.avi": b"RIFF\xff\0\0\0AVI LIST" + noise,
        "song.mp3": b"ID3\4\0\0\0\0\0\0" + noise,
        "noise.mid": noise,
        "zeros.mid": bytes(4096),
        "one byte.mid": b"M",
        "half a name.mid": b"MTh",
        "a letter.txt": "Dear friend,\nthe tune is lost.\n",
        "program.py": "import this\nprint('music')\n",
        "a page.html": "<!DOCTYPE html><title>Tunes</title><p>None.</p>",
        "named as music.mid": "this is no music",
        "marks of order alone.abc": "\ufeff",
        "blank.abc": " \n\t\n",
        "20 MB of text.txt": b"all work and no play\n" * 2**20,
    }
    empty = {f"empty.{suffix}": b"" for suffix in ("mid", "abc", "wav", "xml", "mxl")}
    return [({"not music"}, other), ({"empty file"}, empty)]


def _write_special(folder):
    """What is no regular file that can be read, as far as the system lets one make it."""
    expected = {}

    def add(name, reason, make):
        with suppress(OSError, AttributeError, NotImplementedError):
            make(folder / name)
            expected[name] = frozenset({reason})

    add("pipe.mid", "not a regular file", os.mkfifo)
    add(
        "socket.mid", "not a regular file", lambda p: os.mknod(p, stat.S_IFSOCK | 0o600)
    )
    add("link to nothing.mid", "unreadable", lambda p: p.symlink_to("gone.mid"))
    add("link to itself.mid", "unreadable", lambda p: p.symlink_to(p.name))
    add("link to a pipe.mid", "not a regular file", lambda p: p.symlink_to("pipe.mid"))
    if os.path.exists("/dev/zero"):
        device = "not a regular file"
        add("link to zeros.mid", device, lambda p: p.symlink_to("/dev/zero"))
    if hasattr(os, "geteuid") and os.geteuid() != 0:  # nothing is closed to root
        add("closed.mid", "unreadable", lambda p: (p.write_bytes(b"MThd"), p.chmod(0)))
    inner = folder / "folder.mid"
    inner.mkdir()
    with suppress(OSError):
        (inner / "way back.mid").symlink_to(inner)  # not followed, else without end
    add("folder.mid/empty.mid", "empty file", lambda p: p.write_bytes(b""))
    with open(folder / "2 GB of nothing.mid", "wb") as file:
        file.truncate(2**31)
    expected["2 GB of nothing.mid"] = frozenset({"too large"})
    return expected


def write_bad_inputs(folder, seed=0):
    """Write every bad input into a folder, the same ones for the same seed.

    Returns:
        dict from the name of each file that a walk meets to what is `Expected` of it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = (bad_midi, bad_xml, bad_mxl, bad_abc, bad_humdrum, bad_tables, bad_sound)
    expected = {}
    for number, make in enumerate((*kinds, foreign)):
        for reasons, files in make(np.random.default_rng([seed, number])):
            right = frozenset(reasons)
            for name, data in files.items():
                is_text = isinstance(data, str)
                (folder / name).write_bytes(data.encode() if is_text else data)
                if make is bad_sound:
                    expected[name] = Expected(SOUND_AS_SCORE, right)
                elif make is foreign:
                    expected[name] = Expected(right, right)
                else:
                    expected[name] = Expected(right, ANYTHING_AS_SOUND)
    for name, right in _write_special(folder).items():
        expected[name] = Expected(right, right)
    return expected


def _odd_scores(rng):
    def line(channel=0):
        return notes(rng.integers(40, 90, 12).tolist(), channel=channel)

    abc = "X:1\r\nT:A tune\r\nM:4/4\r\nL:1/8\r\nK:C\r\n{} |]\r\n".format

    def letters():
        return " ".join(rng.choice(list("CDEFGABcdefgab"), 24))

    container = Member("META-INF/container.xml", b"<container><rootfiles/></container>")
    odd = midi(line(), line())
    second = odd.index(b"MTrk", 20)
    run = bytes([0, 0x90, 60, 80, 99, 64, 80, 99, 60, 0, 99, 64, 0])
    return {
        "32,767 ticks a quarter.mid": midi(line(), division=32_767),
        "one tick a quarter.mid": midi(line(), division=1),
        "alien chunks between.mid": odd[:14]
        + chunk(b"XFIH", rng.bytes(50))
        + odd[14:second]
        + chunk(b"Etud", b"")
        + odd[second:],
        "drums alone.mid": midi(line(channel=9)),
        "no tempo.mid": midi(line()),
        "type 0.mid": midi(line() + line(1) + line(9), form=0),
        "type 1.mid": midi(meta(0x51, b"\7\xa1\x20"), line(), line(1)),
        "type 2.mid": midi(line(), line(), form=2),
        "in a riff.mid": rmid(midi(line())),
        "status said once.mid": midi(run + line()),
        "exclusive message.mid": midi(b"\0\xf0\5\x7e\x7f\x09\1\xf7" + line()),
        "names in Latin-1.mid": midi(meta(3, b"Fl\xf6te") + line()),
        "metre 7 of 8.mid": midi(meta(0x58, bytes([7, 3, 24, 8])) + line()),
        "key of 7 flats.mid": midi(meta(0x59, b"\xf9\1") + line()),
        "sixty tracks.mid": midi(*[line(n % 16) for n in range(60)]),
        "one note.mid": midi(notes([0], ticks=1)),
        "the highest note.mid": midi(notes([127])),
        "a file of notes.txt": midi(line()),
        "with a mark and CRLF.abc": "\ufeff" + abc(letters()),
        "name in Latin-1.abc": abc(letters())
        .replace("tune", "t\xfcne")
        .encode("latin-1"),
        "in 16 bits.abc": abc(letters()).encode("utf-16"),
        "in 16 bits.musicxml": xml_tune(rng).encode("utf-16"),
        "in 16 bits, backwards.musicxml": b"\xfe\xff"
        + xml_tune(rng).encode("utf-16-be"),
        "with a mark.xml": "\ufeff" + xml_tune(rng),
        "packed.mxl": zipped(container, Member("score.xml", xml_tune(rng).encode())),
        "stored.mxl": zipped(Member("a/b.xml", xml_tune(rng).encode(), method=0)),
        os.fsdecode(b"caf\xe9.mid"): midi(line()),
        "a title of \u97f3\u697d.mid": midi(line()),
    }


def _odd_sounds():
    tone, samples = sine_16(), sine()
    three = (np.rint(samples * (2**23 - 1)).astype("<i4")[:, None] >> [0, 8, 16]) & 255
    eight = np.repeat(np.frombuffer(tone, "<i2"), 8).tobytes()
    plain = wav(tone)
    odd_chunk = b"LIST" + struct.pack("<L", 3) + b"abc\0"
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    extensible = struct.pack("<HHLLHHHHL", 0xFFFE, 1, 8000, 16_000, 2, 16, 22, 16, 4)
    return {
        "of 24 bits.wav": wav(three.astype(np.uint8).tobytes(), bits=24),
        "of 32 bits.wav": wav((samples * (2**31 - 1)).astype("<i4").tobytes(), bits=32),
        "of 8 bits.wav": wav(
            np.rint(samples * 127 + 128).astype("u1").tobytes(), bits=8
        ),
        "of floats.wav": wav(samples.astype("<f4").tobytes(), bits=32, code=3),
        "of doubles.wav": wav(samples.astype("<f8").tobytes(), bits=64, code=3),
        "of mu-law.wav": wav(_mu_law(samples), bits=8, code=7),
        "in 64 bits.rf64": rf64(tone),
        "of eight channels.wav": wav(eight, channels=8),
        "of long format.wav": plain[:16]
        + struct.pack("<L", 40)
        + extensible
        + guid
        + plain[36:],
        "with an odd chunk.wav": plain[:36] + odd_chunk + plain[36:],
        "of unknown size.wav": wav(tone, size=2**32 - 1),
        "of 384,000 Hz.wav": wav(tone, rate=384_000),
        "of another order.aiff": aiff(
            np.frombuffer(tone, "<i2").astype(">i2").tobytes()
        ),
    }


def _mu_law(samples):
    """G.711: a sign, a power of two and four bits of each sample, all inverted."""
    level = np.minimum(np.abs(np.rint(samples * 8158)), 8158).astype(int) + 33
    power = np.floor(np.log2(level)).astype(int) - 5
    code = power << 4 | level >> (power + 1) & 15 | (samples < 0) << 7
    return (code ^ 255).astype(np.uint8).tobytes()


def write_odd_but_legal(folder, seed=0):
    """Write what is unusual, and within its standard: all of it is to be used.

    Returns:
        dict from each name to "score" or "wave". Each sound is `sine`, on each channel.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = {}
    for kind, files in (
        ("score", _odd_scores(np.random.default_rng(seed))),
        ("wave", _odd_sounds()),
    ):
        for name, data in files.items():
            is_text = isinstance(data, str)
            with suppress(OSError):  # a system may know no names but those in UTF-8
                (folder / name).write_bytes(data.encode() if is_text else data)
                kinds[name] = kind
    return kinds

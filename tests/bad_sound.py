"""Files of sound, byte by byte, and what is wrong with them."""

import struct

import numpy as np
from bad_midi import chunk


def wav(data, *, rate=8000, channels=1, bits=16, code=1, size=None, block=None):
    """A WAV file; what is given instead of the truth is told instead of it."""
    block = channels * bits // 8 % 2**16 if block is None else block
    per_second = min(rate * block, 2**32 - 1)
    fmt = struct.pack("<HHLLHH", code, channels, rate, per_second, block, bits)
    size = len(data) if size is None else size
    body = b"fmt " + struct.pack("<L", len(fmt)) + fmt
    body += b"data" + struct.pack("<L", size) + data
    return b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WAVE" + body


RATE_8000 = bytes.fromhex("400bfa00000000000000")  # in 80 bits of floating point


def aiff(data, *, rate=RATE_8000, channels=1, frames=None):
    """An AIFF file of 16 bits."""
    frames = len(data) // (2 * channels) if channels and frames is None else frames or 0
    common = struct.pack(">hLh", channels, frames, 16) + rate
    sound = struct.pack(">LL", 0, 0) + data
    return chunk(b"FORM", b"AIFF" + chunk(b"COMM", common) + chunk(b"SSND", sound))


def rf64(data, size=None):
    """A WAV file whose sizes stand in 64 bits."""
    plain = wav(data, size=2**32 - 1)
    size = len(data) if size is None else size
    sizes = struct.pack("<QQQL", len(plain) + 28, size, size // 2, 0)
    head = b"RF64" + b"\xff" * 4 + b"WAVE"
    return head + b"ds64" + struct.pack("<L", len(sizes)) + sizes + plain[12:]


def remainder(data, bits, polynomial):
    """The cyclic redundancy check of some bytes, as FLAC has it."""
    value, top = 0, 1 << (bits - 1)
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value & top else 0)
            value &= (1 << bits) - 1
    return value.to_bytes(bits // 8)


def flac(frames, *, channels=1, block=65535, rate=44_100, promised=None):
    """A FLAC file of constant blocks: some twenty bytes each, however long it is."""
    total = frames * block if promised is None else promised
    facts = rate << 44 | (channels - 1) << 41 | 15 << 36 | total
    info = struct.pack(">HH6xQ16x", block, block, facts)
    sound = b"".join(
        _flac_frame(number, channels, block) for number in range(min(frames, 128))
    )
    return b"fLaC\x80" + len(info).to_bytes(3) + info + sound * -(-frames // 128)


def _flac_frame(number, channels, block):
    head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 8, number])
    head += struct.pack(">H", block - 1)
    head += remainder(head, 8, 0x07)
    values = b"".join(struct.pack(">Bh", 0, 1000 + c) for c in range(channels))
    return head + values + remainder(head + values, 16, 0x8005)


def sine(count=4000, step=0.2):
    """Samples of a sine at half of full scale: float64 (count,)."""
    return 0.5 * np.sin(step * np.arange(count))


def sine_16(count=4000):
    """The same in 16 bits, as bytes."""
    return np.rint(32767 * sine(count)).astype("<i2").tobytes()


def bad_sound(rng):
    """Bad files: [(reasons for which they may be refused, {name: bytes})]."""
    tone, tone_wav = sine_16(), wav(sine_16())
    floats = sine().astype("<f4")
    nan, infinite = floats.copy(), floats.copy()
    nan[2000], infinite[2000] = np.nan, -np.inf
    flac_good = flac(20)
    damaged = {
        "1 Hz.wav": wav(tone, rate=1),
        "999 Hz.wav": wav(tone, rate=999),
        "no rate.wav": wav(tone, rate=0),
        "4 GHz.wav": wav(tone, rate=2**32 - 1),
        "no channel.wav": wav(tone, channels=0),
        "33 channels.wav": wav(tone, channels=33),
        "65,535 channels.wav": wav(tone, channels=65_535),
        "not a number.wav": wav(nan.tobytes(), bits=32, code=3),
        "infinite.wav": wav(infinite.tobytes(), bits=32, code=3),
        "nothing but noughts.wav": wav(
            np.full(500, np.nan, "<f4").tobytes(), bits=32, code=3
        ),
        "no bits.wav": wav(tone, bits=0),
        "77 bits.wav": wav(tone, bits=77),
        "unknown code.wav": wav(tone, code=0x1234),
        "no format.wav": tone_wav[:12] + tone_wav[36:],
        "no data.wav": tone_wav[:36],
        "cut in the format.wav": tone_wav[:25],
        "cut after the name.wav": tone_wav[:12],
        "garbage after the name.wav": tone_wav[:12] + rng.bytes(500),
        "format of 4 GB.wav": tone_wav[:16] + b"\xff" * 4 + tone_wav[20:],
        "film.wav": tone_wav[:8] + b"WAVELIST" + rng.bytes(300),
        "no sizes.rf64": b"RF64" + tone_wav[4:12],
        "cut in its facts.flac": flac_good[:20],
        "just a name.flac": b"fLaC",
        "no rate.flac": flac(2, rate=0),
        "just a name.ogg": b"OggS" + bytes(24),
        "garbage.ogg": b"OggS\0\2" + rng.bytes(300),
        "a drawing.iff": chunk(b"FORM", b"ILBM" + chunk(b"BODY", rng.bytes(99))),
        "no channel.aiff": aiff(tone, channels=0),
        "no rate.aiff": aiff(tone, rate=bytes(10)),
        "a rate of no number.aiff": aiff(tone, rate=b"\x7f\xff" + b"\xff" * 8),
        "cut in its facts.aiff": aiff(tone)[:30],
    }
    silent = {
        "a header of FLAC.flac": flac_good[:42],
        "garbage for frames.flac": flac_good[:42] + rng.bytes(500),
        "a header of WAV.wav": wav(b""),
        "silence.wav": wav(bytes(8000)),
        "silence of eight.wav": wav(bytes(8000), channels=8),
        "silence of floats.wav": wav(bytes(8000), bits=32, code=3),
        "half a sample.wav": wav(b"\1"),
        "a header of AIFF.aiff": aiff(b""),
    }
    large = {
        "bomb.flac": flac(3000, channels=8),
        "bomb that does not say.flac": flac(3000, channels=8, promised=0),
        "a header of 2^36 samples.flac": flac(1, promised=2**36 - 1),
        "a day.flac": flac(58_200),
    }
    return [
        ({"damaged", "too large", "too long"}, damaged),
        ({"no notes", "empty file", "damaged"}, silent),
        ({"too large", "too long", "damaged"}, large),
    ]

"""Sound files cut short, lying, broken or swelling: read as far as they go, or refused."""

import os
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from test_audio import RATE, overwrite, sine, without_length, write

from data_pipelines.audio import read_sound, read_waveform
from data_pipelines.guard import Refused

# A complaint from within libsndfile's calls would be printed, a traceback and all.
pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnraisableExceptionWarning"
)


def refusal(path):
    with pytest.raises(Refused) as refused:
        read_sound(path)
    return refused.value.reason, refused.value.detail


def cut(path, size):
    """Leave the first `size` bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])
    return path


# Files that are shorter than they say

CUT = "ends after 1.2 of 3.0 s that its header promises"


@pytest.mark.parametrize(
    ("form", "subtype", "width"),
    [
        ("WAV", "PCM_16", 2),
        ("WAV", "PCM_24", 3),
        ("WAV", "FLOAT", 4),
        ("WAV", "ULAW", 1),
        ("RF64", "PCM_16", 2),
        ("AIFF", "PCM_16", 2),
    ],
)
def test_a_sound_cut_short_is_read_and_says_so(tmp_path, form, subtype, width):
    meant = sine(seconds=3)
    path = write(tmp_path / "a.wav", meant, format=form, subtype=subtype)
    whole = read_waveform(path).samples
    size = path.stat().st_size - round(1.8 * RATE) * width
    reading = read_sound(cut(path, size))
    assert reading.left_out == (CUT,)
    samples = reading.contents[0].samples
    # Some chunks may stand after the samples, so that less of these was cut off.
    assert len(samples) == pytest.approx(1.2 * RATE, abs=50)
    assert np.array_equal(samples, whole[: len(samples)])


def test_a_wav_that_lacks_one_sample_says_so_in_samples(tmp_path):
    path = write(tmp_path / "a.wav", sine(seconds=3))
    assert read_sound(cut(path, 44 + 2 * 23_999)).left_out == (
        "ends after 23,999 of 24,000 samples that its header promises",
    )


def test_a_chunk_of_odd_length_before_the_samples_does_not_hide_the_cut(tmp_path):
    path = write(tmp_path / "a.wav", sine(seconds=3))
    data = path.read_bytes()
    alien = b"aliE" + struct.pack("<I", 3) + b"abc\0"  # padded to an even one
    path.write_bytes(data[:36] + alien + data[36 : 44 + round(1.2 * RATE) * 2])
    assert read_sound(path).left_out == (CUT,)


def test_a_wav_whose_header_was_told_to_lie_says_how_much(tmp_path):
    path = write(tmp_path / "a.wav", sine(seconds=1))
    overwrite(path, 40, struct.pack("<I", 2 * RATE * 10))
    reading = read_sound(path)
    assert len(reading.contents[0]) == RATE
    assert reading.left_out == ("ends after 1.0 of 10.0 s that its header promises",)


def test_a_flac_cut_short_is_read_as_far_as_it_goes(tmp_path):
    meant = sine(seconds=3)
    path = write(tmp_path / "a.flac", meant)
    reading = read_sound(cut(path, path.stat().st_size * 6 // 10))
    samples = reading.contents[0].samples
    seconds = f"{len(samples) / RATE:.1f}"
    assert 8192 <= len(samples) < 24_000  # whole frames of 4,096
    assert np.abs(samples - meant[: len(samples)]).max() <= 2**-15
    assert reading.left_out == (
        f"ends after {seconds} of 3.0 s that its header promises",
    )


# Files that are refused


def test_no_sample_is_an_empty_file(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((0, 1)))
    assert refusal(path) == ("empty file", "no sample")
    header = cut(write(tmp_path / "b.wav", sine()), 44)
    assert refusal(header) == ("empty file", "no sample")


def test_silence_holds_no_notes(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((100, 2)))
    assert refusal(path) == ("no notes", "silence")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_damage(tmp_path, bad):
    samples = sine(channels=2)
    samples[100, 1] = bad
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    assert refusal(path) == ("damaged", "it holds samples that are not finite")


@pytest.mark.parametrize("rate", [1, 999, 384_001, 2**31 - 1])
def test_a_rate_that_nothing_is_recorded_at_is_damage(tmp_path, rate):
    path = write(tmp_path / "a.wav", sine())
    overwrite(path, 24, struct.pack("<I", rate))
    reason, detail = refusal(path)
    assert (reason, detail.split(";")[0]) == (
        "damaged",
        f"a sample rate of {rate:,} Hz",
    )


@pytest.mark.parametrize("rate", [1000, 384_000])
def test_the_lowest_and_the_highest_rate_are_read(tmp_path, rate):
    assert read_waveform(write(tmp_path / "a.wav", sine(), rate)).sample_rate == rate


def test_thirty_two_channels_are_read_and_one_more_is_too_many(tmp_path):
    wide = write(tmp_path / "a.wav", sine(channels=32))
    assert read_waveform(wide).samples.shape == (4000, 32)
    wider = write(tmp_path / "b.wav", sine(channels=33))
    assert refusal(wider) == ("too large", "33 channels, at most 32 are read")


def test_what_is_no_sound_is_damaged(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEnothing at all")
    assert refusal(path)[0] == "damaged"
    path.write_bytes(b"MThd\x00\x00")
    assert refusal(path)[0] == "damaged"


def test_what_is_no_file_is_refused(tmp_path):
    assert refusal(tmp_path / "none.wav")[0] == "unreadable"
    assert refusal(tmp_path / "nul\0.wav")[0] == "unreadable"
    assert refusal(tmp_path)[0] == "not a regular file"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.wav")
        assert refusal(tmp_path / "pipe.wav")[0] == "not a regular file"


def test_an_aiff_without_samples_is_damage_and_nothing_is_printed(tmp_path):
    path = write(tmp_path / "a.aiff", sine(), subtype="PCM_16")
    assert path.read_bytes()[38:42] == b"SSND"
    assert refusal(overwrite(path, 38, b"SSNX"))[0] == "damaged"


@given(data=st.data())
def test_a_header_with_any_bytes_in_it_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flipped")
    form = data.draw(st.sampled_from(["WAV", "AIFF", "FLAC", "RF64"]))
    path = write(folder / "a", sine(seconds=0.1), format=form)
    size = path.stat().st_size
    for offset in data.draw(st.lists(st.integers(0, min(90, size - 1)), max_size=4)):
        overwrite(path, offset, bytes([data.draw(st.integers(0, 255))]))
    cut(path, data.draw(st.integers(0, size)))
    try:
        waveform = read_waveform(path)
    except Refused:
        return
    assert len(waveform) > 0
    assert np.isfinite(waveform.samples).all()


# Bombs, each read by a process of its own, so that its memory can be told

READER = """
import sys, time
from data_pipelines.audio import read_sound
from data_pipelines.guard import Refused
import soundfile
start = time.perf_counter()
try:
    read_sound(sys.argv[1])
    said = "read"
except Refused as refused:
    said = refused.reason
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    peak = next(int(l.split()[1]) for l in status if l.startswith("VmHWM"))
print(f"{said}|{seconds:.3f}|{peak / 1024:.0f}")
"""


def read_apart(path):
    """(what became of it, seconds, megabytes at the peak)."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc to tell a process's memory")
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said, seconds, megabytes = done.stdout.strip().split("|")
    return said, float(seconds), float(megabytes)


@pytest.fixture(scope="module")
def flat_flac(tmp_path_factory):
    """20 million equal samples: 80 MB in memory, 70 kB on disk."""
    path = tmp_path_factory.mktemp("bomb") / "flat.flac"
    with soundfile.SoundFile(path, "w", 384_000, 1, subtype="PCM_16") as file:
        block = np.full(2**20, 0.25, dtype=np.float32)
        for _ in range(20):
            file.write(block)
    return path


def flac_that_claims(path, frames, channels=1):
    field = int.from_bytes(path.read_bytes()[18:26], "big")
    field = (field >> 44 << 44) | ((channels - 1) << 41) | (field & (0x1F << 36))
    return overwrite(path, 18, (field | frames).to_bytes(8, "big"))


def bombs(folder, flat):
    """(name, path, reason) of each."""
    one_hertz = write(folder / "one_hertz.wav", np.ones((100_000, 1)), 1)
    unknown = folder / "unknown.flac"
    unknown.write_bytes(flat.read_bytes())
    endless = write(folder / "endless.flac", sine())
    wide = write(folder / "wide.flac", sine())
    return [
        ("1 Hz", one_hertz, "damaged"),
        ("a flat FLAC", flat, "too large"),
        ("a flat FLAC of unknown length", without_length(unknown), "too large"),
        ("a FLAC of 2^36 samples", flac_that_claims(endless, 2**36 - 1), "too long"),
        ("a FLAC of 8 channels", flac_that_claims(wide, 2**25, 8), "too large"),
    ]


def test_bombs_are_refused_in_two_seconds_and_300_megabytes(tmp_path, flat_flac):
    for name, path, reason in bombs(tmp_path, flat_flac):
        said, seconds, megabytes = read_apart(path)
        print(f"{name}: {said}, {seconds:.2f} s, {megabytes:.0f} MB")
        assert (said, name) == (reason, name)
        assert seconds < 2
        assert megabytes < 300


def test_a_header_that_promises_hours_takes_no_memory_for_them(tmp_path):
    path = write(tmp_path / "a.flac", sine(seconds=1))
    flac_that_claims(path, 2**23)  # 33 MB, let off as small
    start = time.perf_counter()
    reading = read_sound(path)
    assert time.perf_counter() - start < 2
    assert reading.contents[0].samples.base is None or (
        len(reading.contents[0].samples.base) == RATE
    )
    assert reading.left_out == ("ends after 1.0 of 1048.6 s that its header promises",)

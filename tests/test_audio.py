"""Waveforms; sound files of every legal kind; resampling; the mu-law curve."""

import os
import struct

import numpy as np
import pytest
import soundfile
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.audio import (
    Waveform,
    mu_law_decode,
    mu_law_encode,
    read_sound,
    read_waveform,
    resample,
    write_audio,
)

RATE = 8000


def sine(hertz=440.0, *, rate=RATE, seconds=0.5, amplitude=0.5, channels=1):
    """float32 (N, C); the channels are harmonics, so that none equals another."""
    instants = np.arange(round(rate * seconds))[:, None] / rate
    harmonics = np.arange(1, channels + 1)
    return (amplitude * np.sin(2 * np.pi * hertz * harmonics * instants)).astype("f4")


def write(path, samples, rate=RATE, **settings):
    soundfile.write(path, samples, rate, **settings)
    return path


def peak_hz(waveform):
    spectrum = np.abs(np.fft.rfft(waveform.mono() * np.hanning(len(waveform))))
    return spectrum.argmax() * waveform.sample_rate / len(waveform)


def overwrite(path, offset, data):
    whole = bytearray(path.read_bytes())
    whole[offset : offset + len(data)] = data
    path.write_bytes(whole)
    return path


# Waveforms


def test_a_waveform_knows_its_length_and_the_mean_of_its_channels():
    waveform = Waveform(np.array([[0.5, -0.5], [1.0, 0.0]]), 1000, "two")
    assert (len(waveform), waveform.seconds) == (2, 0.002)
    assert waveform.mono().tolist() == [0.0, 0.5]
    assert waveform.samples.dtype == np.float32


def test_an_empty_waveform_is_a_waveform():
    waveform = Waveform(np.zeros((0, 2)), RATE)
    assert (len(waveform), waveform.seconds, len(waveform.mono())) == (0, 0.0, 0)


def test_a_waveform_cannot_be_written_to_and_leaves_its_array_as_it_was():
    samples = np.zeros((3, 1), dtype=np.float32)
    waveform = Waveform(samples, RATE)
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0] = 1
    samples[0] = 1  # the caller's own is still theirs


def test_waveforms_are_equal_by_samples_rate_and_title():
    one = Waveform(sine(), RATE, "a")
    assert one == Waveform(sine(), RATE, "a")
    assert one != Waveform(sine(), RATE, "b")
    assert one != Waveform(sine(), RATE + 1, "a")
    assert one != Waveform(-sine(), RATE, "a")


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(4), r"of shape \(N, C\), C in 1\.\.32\. Received: \(4,\)"),
        (np.zeros((4, 0)), r"Received: \(4, 0\)"),
        (np.zeros((4, 33)), r"Received: \(4, 33\)"),
        (np.zeros((4, 1), dtype=np.int16), "must be floats, full scale 1"),
        (np.array([[0.0], [np.nan]]), "not finite"),
        (np.array([[0.0], [-np.inf]]), "not finite"),
        (np.array([[1e300]]), "not finite"),  # in float32
    ],
)
def test_samples_that_cannot_be_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        Waveform(samples, RATE)


@pytest.mark.parametrize("rate", [999, 384_001, 0, -1, 8000.0, None])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(ValueError, match=r"an integer in 1,000\.\.384,000 Hz"):
        Waveform(np.zeros((1, 1)), rate)
    with pytest.raises(ValueError, match=r"an integer in 1,000\.\.384,000 Hz"):
        resample(Waveform(np.zeros((1, 1)), RATE), rate)


# Files of every legal kind

STEP = {  # the largest error of a sample, of full scale: half a level, and of a curve
    "PCM_U8": 2**-7,
    "PCM_16": 2**-15,
    "PCM_24": 2**-23,
    "PCM_32": 2**-24,  # float32 has 24 bits
    "FLOAT": 0.0,
    "DOUBLE": 0.0,
    "ULAW": 2**-6,
    "ALAW": 2**-6,
}


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize("subtype", STEP)
@pytest.mark.parametrize("form", ["WAV", "RF64", "AIFF"])
def test_what_was_written_is_read_up_to_half_a_level(tmp_path, form, subtype, channels):
    if (form, subtype) == ("AIFF", "PCM_U8"):
        subtype, step = "PCM_S8", STEP["PCM_U8"]
    else:
        step = STEP[subtype]
    meant = sine(channels=channels)
    path = write(tmp_path / "a.sound", meant, format=form, subtype=subtype)
    reading = read_sound(path)
    (waveform,) = reading.contents
    assert reading.left_out == ()
    assert (waveform.sample_rate, waveform.title) == (RATE, "a")
    assert waveform.samples.shape == meant.shape
    assert np.abs(waveform.samples - meant).max() <= step


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
def test_a_flac_is_read_as_exactly(tmp_path, subtype):
    meant = sine(channels=2)
    path = write(tmp_path / "a.flac", meant, subtype=subtype)
    step = {"PCM_S8": 2**-7, "PCM_16": 2**-15, "PCM_24": 2**-23}[subtype]
    assert np.abs(read_waveform(path).samples - meant).max() <= step


@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", 44_100), ("OPUS", 48_000)])
def test_an_ogg_keeps_its_length_and_its_pitch(tmp_path, subtype, rate):
    meant = sine(rate=rate, channels=2)
    path = write(tmp_path / "a.ogg", meant, rate, format="OGG", subtype=subtype)
    reading = read_sound(path)
    (waveform,) = reading.contents
    assert reading.left_out == ()
    assert waveform.samples.shape == meant.shape
    left = Waveform(waveform.samples[:, :1], rate)
    assert peak_hz(left) == pytest.approx(440, abs=2)


def test_a_sound_of_many_blocks_is_read_whole(tmp_path):
    meant = np.random.default_rng(0).uniform(-1, 1, (2**18 + 1, 2)).astype("f4")
    path = write(tmp_path / "a.wav", meant, subtype="FLOAT")
    assert np.array_equal(read_waveform(path).samples, meant)


def test_one_sample_is_a_sound(tmp_path):
    path = write(tmp_path / "a.wav", np.ones((1, 1)), subtype="FLOAT")
    assert read_waveform(path).samples.tolist() == [[1.0]]


@pytest.mark.parametrize("name", [b"\xff\xe9.wav", "é \u266b.wav".encode(), b"a.raw"])
def test_a_file_may_be_called_anything(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(write(tmp_path / "plain.wav", sine()).read_bytes())
    assert len(read_waveform(path)) == 4000


def test_chunks_that_nobody_knows_are_passed_over(tmp_path):
    path = write(tmp_path / "a.wav", sine())
    data = path.read_bytes()
    alien = b"aliE" + struct.pack("<I", 3) + b"abc\0"  # of an odd length, so padded
    path.write_bytes(data[:36] + alien + data[36:])
    reading = read_sound(path)
    assert (len(reading.contents[0]), reading.left_out) == (4000, ())


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_from_a_pipe_does_not_know_its_length_and_breaks_no_promise(
    tmp_path, size
):
    path = write(tmp_path / "a.wav", sine())
    overwrite(path, 4, struct.pack("<I", size))
    overwrite(path, 40, struct.pack("<I", size))
    reading = read_sound(path)
    assert (len(reading.contents[0]), reading.left_out) == (4000, ())


def without_length(path):
    """A FLAC that was written into a pipe: the 36 bits of its length are 0."""
    field = int.from_bytes(path.read_bytes()[18:26], "big")
    return overwrite(path, 18, (field >> 36 << 36).to_bytes(8, "big"))


def test_a_flac_from_a_pipe_is_read_to_its_end(tmp_path):
    meant = sine(seconds=3)
    path = without_length(write(tmp_path / "a.flac", meant))
    reading = read_sound(path)
    assert reading.left_out == ()
    assert reading.contents[0].samples.shape == meant.shape
    assert np.abs(reading.contents[0].samples - meant).max() <= 2**-15


def test_a_spoken_digit_has_the_samples_that_pythons_own_reader_finds():
    import wave

    for path in sorted(data_folder("fsdd").glob("*.wav"))[::300]:
        with wave.open(str(path)) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            rate = file.getframerate()
        waveform = read_waveform(path)
        assert waveform.sample_rate == rate
        assert np.array_equal(waveform.mono() * 2**15, raw)


# Writing


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_what_is_written_is_read_back_to_16_bits(tmp_path, suffix):
    meant = sine(channels=2)
    write_audio(tmp_path / f"a{suffix}", meant, RATE)
    waveform = read_waveform(tmp_path / f"a{suffix}")
    assert np.abs(waveform.samples - meant).max() <= 2**-15


def test_wav_and_flac_hold_the_same_samples_the_nearest_of_16_bits(tmp_path):
    steps = np.array([0, 0.4, 0.6, -0.4, -0.6, 1.5, 2.5, -1.6, 32767.4, -32767.6])
    wanted = [0, 0, 1, 0, -1, 2, 2, -2, 32767, -32768]  # halves to the even number
    beyond = np.array([32768, 1e9, -1e9])
    meant = np.concatenate([steps, beyond]) / 2**15
    for suffix in (".wav", ".flac"):
        write_audio(tmp_path / f"a{suffix}", meant[:, None], RATE)
        samples = read_waveform(tmp_path / f"a{suffix}").samples[:, 0] * 2**15
        assert samples.tolist() == [*wanted, 32767, 32767, -32768]


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.wav or \.flac"):
        write_audio(tmp_path / "a.mp3", sine(), RATE)
    with pytest.raises(ValueError, match="not finite"):
        write_audio(tmp_path / "a.wav", np.array([np.nan]), RATE)
    assert list(tmp_path.iterdir()) == []


# Resampling


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 96_000])
def test_an_a_stays_an_a_of_the_same_length_at_any_rate(rate):
    waveform = Waveform(sine(440, rate=22_050, seconds=2), 22_050, "A4")
    other = resample(waveform, rate)
    assert (other.sample_rate, other.title) == (rate, "A4")
    assert len(other) == 2 * rate
    assert peak_hz(other) == pytest.approx(440, abs=0.5)


def test_there_and_back_leaves_the_middle_of_a_sine_as_it_was():
    # At the ends the filter hears the silence around the sound.
    waveform = Waveform(sine(440, rate=16_000, seconds=2), 16_000)
    back = resample(resample(waveform, 44_100), 16_000)
    error = (back.samples - waveform.samples)[2000:-2000]
    ratio = 20 * np.log10(np.abs(waveform.samples).max() / np.abs(error).max())
    print(f"16 kHz to 44.1 kHz and back: {ratio:.0f} dB")
    assert ratio > 80  # quality HQ promises 20 bits in its pass band


def test_what_the_new_rate_cannot_hold_is_gone_not_folded_down():
    # 7 kHz at 8 kHz would alias to 1 kHz.
    high = Waveform(sine(7000, rate=48_000, seconds=1), 48_000)
    middle = resample(high, 8000).samples[1000:-1000]
    assert np.abs(middle).max() < 0.5 * 1e-4  # 80 dB down


def test_channels_are_resampled_each_by_itself():
    both = Waveform(sine(rate=48_000, channels=2), 48_000)
    left = Waveform(both.samples[:, :1], 48_000)
    assert np.allclose(
        resample(both, 16_000).samples[:, :1],
        resample(left, 16_000).samples,
        atol=1e-6,
    )


def test_the_same_rate_is_the_same_waveform():
    waveform = Waveform(sine(), RATE)
    assert resample(waveform, RATE) is waveform


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_the_shortest_waveforms_are_resampled_too(length):
    waveform = Waveform(np.ones((length, 2)), 48_000)
    assert len(resample(waveform, 384_000)) == 8 * length
    assert len(resample(waveform, 1000)) == 0


# The mu-law curve


def test_mu_law_is_exact_on_its_own_codes():
    codes = np.arange(256)
    assert np.array_equal(mu_law_encode(mu_law_decode(codes)), codes)


def test_mu_law_keeps_silence_and_full_scale():
    assert mu_law_encode([-1.0, 0.0, 1.0]).tolist() == [0, 128, 255]
    assert mu_law_decode([0, 255]).tolist() == [-1.0, 1.0]


def test_mu_law_gives_half_its_codes_to_the_quietest_sixteenth():
    # F(x) = ln(1 + 255 x) / ln 256 is 1/2 where 1 + 255 x = 16.
    assert mu_law_encode([15 / 255 + 1e-9]).tolist() == [191]  # round(0.75 * 255)
    assert mu_law_decode([255 * 0.75]) == pytest.approx(15 / 255)


@pytest.mark.parametrize("bad", [1.001, -2.0, np.nan, np.inf])
def test_mu_law_refuses_what_is_beyond_full_scale(bad):
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        mu_law_encode([0.0, bad])


def test_mu_law_of_nothing_is_nothing():
    assert mu_law_encode([]).shape == (0,)
    assert mu_law_decode([]).shape == (0,)


@given(st.floats(-1, 1))
def test_mu_law_errs_by_half_a_step_of_its_curve_at_most(sample):
    back = float(mu_law_decode(mu_law_encode(sample)))
    there, here = (
        np.sign(x) * np.log1p(255 * abs(x)) / np.log(256) for x in (back, sample)
    )
    assert abs(there - here) <= 1 / 255 + 1e-6


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.01])
def test_mu_law_leaves_a_sine_30_db_above_its_noise(amplitude):
    meant = sine(441, rate=44_100, amplitude=amplitude).astype(np.float64)
    noise = mu_law_decode(mu_law_encode(meant)) - meant
    assert 10 * np.log10(np.square(meant).sum() / np.square(noise).sum()) >= 30

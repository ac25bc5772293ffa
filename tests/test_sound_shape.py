"""Trimming, loudness, fades: hand-made signals and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.audio import Waveform
from data_pipelines.sound_shape import (
    fade,
    peak_of,
    set_loudness,
    trim_silence,
    without_offset,
)

RATE = 1000  # a sample is a millisecond


def sound(*parts, label="hit"):
    """A mono sound of (how many, value) stretches."""
    samples = np.concatenate([np.full(count, value) for count, value in parts])
    return Waveform(samples[:, None].astype("float32"), RATE, "title", label)


def noise(seed, *, before=0, after=0, length=50, channels=1):
    rng = np.random.default_rng(seed)
    loud = rng.uniform(-1, 1, (length, channels))
    silence = np.zeros((before, channels)), np.zeros((after, channels))
    return Waveform(np.concatenate([silence[0], loud, silence[1]]), RATE)


def test_ten_milliseconds_of_silence_stay_on_either_side():
    trimmed = trim_silence(sound((100, 0.0), (50, 0.5), (200, 0.0)))
    assert trimmed.mono().tolist() == [0.0] * 10 + [0.5] * 50 + [0.0] * 10
    assert (trimmed.title, trimmed.label) == ("title", "hit")
    longer = trim_silence(sound((100, 0.0), (50, 0.5), (200, 0.0)), keep_ms=30)
    assert len(longer) == 30 + 50 + 30
    none = trim_silence(sound((100, 0.0), (50, 0.5), (200, 0.0)), keep_ms=0)
    assert none.mono().tolist() == [0.5] * 50


@pytest.mark.parametrize(("silent", "kept"), [(0, 0), (9, 9), (20, 20), (21, 10)])
def test_silence_up_to_twice_what_is_kept_is_left_alone(silent, kept):
    begins = trim_silence(sound((silent, 0.0), (5, 1.0)))
    ends = trim_silence(sound((5, 1.0), (silent, 0.0)))
    assert len(begins) == len(ends) == kept + 5


@pytest.mark.parametrize("threshold_db", [20.0, 50.0, 120.0])
def test_the_threshold_is_below_the_peak_whatever_the_peak_is(threshold_db):
    for peak in (1.0, 0.01, 3.0):
        limit = peak * 10 ** (-threshold_db / 20)
        audible = sound((90, 1.01 * limit), (1, -peak), (90, 0.0))
        silent = sound((90, 0.99 * limit), (1, -peak), (90, 0.0))
        assert len(trim_silence(audible, threshold_db)) == 90 + 1 + 10
        assert len(trim_silence(silent, threshold_db)) == 10 + 1 + 10


def test_a_cut_edge_rises_from_nothing_and_an_uncut_one_stays():
    trimmed = trim_silence(sound((90, 0.001), (5, 1.0), (20, 0.001))).mono()
    assert trimmed[0] == 0.0
    assert trimmed[5] == pytest.approx(0.0005)  # half a cosine, half way
    assert (np.diff(trimmed[:10]) > 0).all()
    assert (trimmed[10:15] == 1.0).all()
    assert trimmed[15:] == pytest.approx(0.001)


def test_silence_has_nothing_to_keep():
    for silence in (sound((50, 0.0)), sound((0, 0.0))):
        assert trim_silence(silence).samples.shape == (0, 1)


def test_what_sounds_on_one_channel_is_no_silence():
    samples = np.zeros((300, 2))
    samples[100:150, 1] = 0.5
    assert len(trim_silence(Waveform(samples, RATE))) == 10 + 50 + 10


def test_a_long_silence_is_found_to_its_end():
    trimmed = trim_silence(sound((2**16 + 5, 0.0), (3, 1.0), (2**17, 0.0)))
    assert trimmed.mono().tolist() == [0.0] * 10 + [1.0] * 3 + [0.0] * 10


@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(0, 60),
    st.floats(1, 100),
)
@settings(max_examples=60, deadline=None)
def test_trimming_twice_is_trimming_once_and_touches_nothing_loud(
    seed, before, after, threshold_db
):
    whole = noise(seed, before=before, after=after, channels=1 + seed % 2)
    once = trim_silence(whole, threshold_db)
    assert trim_silence(once, threshold_db) == once
    loud = np.flatnonzero(
        np.abs(whole.samples).max(axis=1) >= peak_of(whole) * 10 ** (-threshold_db / 20)
    )
    kept = whole.samples[loud[0] : loud[-1] + 1].tobytes()
    assert kept in once.samples.tobytes()
    assert len(once) <= len(kept) // whole.samples[0].nbytes + 40


@pytest.mark.parametrize(("peak_db", "peak"), [(0, 1.0), (-20, 0.1), (-60, 0.001)])
def test_the_peak_is_where_it_is_asked_for(peak_db, peak):
    for own in (0.5, 1e-38, 7.0):  # the second is no normal float32
        set_ = set_loudness(sound((3, own), (2, -0.5 * own)), peak_db)
        assert set_.mono() == pytest.approx([peak] * 3 + [-peak / 2] * 2, rel=1e-6)
    assert peak_of(set_loudness(sound((1, 0.1), (1, -0.4)), peak_db)) == pytest.approx(
        peak
    )


def test_silence_stays_silence_at_any_loudness():
    for silence in (sound((9, 0.0)), sound((0, 0.0))):
        assert set_loudness(silence, -3.0) == silence
        assert peak_of(silence) == 0.0


def test_a_fade_is_half_a_cosine_on_each_edge():
    # 0.5 - 0.5 cos(pi k / 4) for k = 0..3.
    rise = [0.0, 0.5 - 0.5**1.5, 0.5, 0.5 + 0.5**1.5]
    faded = fade(sound((10, 1.0)), in_ms=4, out_ms=4).mono()
    assert faded == pytest.approx([*rise, 1.0, 1.0, *rise[::-1]])
    only_out = fade(sound((10, 1.0)), out_ms=4).mono()
    assert only_out == pytest.approx([1.0] * 6 + rise[::-1])


def test_a_fade_longer_than_the_sound_ends_with_it():
    faded = fade(sound((4, 1.0)), out_ms=1000).mono()
    assert faded == pytest.approx([0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0.0])
    assert fade(sound((1, 1.0)), in_ms=5).mono().tolist() == [0.0]
    assert len(fade(sound((0, 1.0)), in_ms=5, out_ms=5)) == 0
    plain = sound((5, 1.0))
    assert fade(plain) is plain


def test_the_offset_goes_and_the_ends_stay_where_they_are():
    # A hill on a plateau: its ends are 0, its mean is not.
    hill = np.sin(np.linspace(0, np.pi, 200)) + np.sin(np.arange(200))
    hill[[0, -1]] = 0.0
    level = without_offset(Waveform(np.stack([hill, -hill / 2], 1), RATE))
    assert np.abs(level.samples.mean(axis=0)).max() < 1e-7
    assert level.samples[[0, -1]] == pytest.approx(np.zeros((2, 2)), abs=1e-12)
    for short in (sound((0, 1.0)), sound((2, 1.0))):
        assert without_offset(short) == short


@pytest.mark.parametrize("wrong", [0, -1, 121, np.nan, "50", None, True])
def test_a_threshold_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`trim` must be in \(0, 120\] dB.*Received"):
        trim_silence(sound((5, 1.0)), wrong)


@pytest.mark.parametrize("wrong", [0.1, -61, np.nan, np.inf, "-3", None])
def test_a_loudness_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`loudness` must be .*\[-60, 0\].*Received"):
        set_loudness(sound((5, 1.0)), wrong)


@pytest.mark.parametrize("wrong", [-1, np.nan, np.inf, "5"])
def test_a_time_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`keep_ms` must be at least 0 ms. Received"):
        trim_silence(sound((5, 1.0)), keep_ms=wrong)
    with pytest.raises(ValueError, match=r"`out_ms` must be at least 0 ms. Received"):
        fade(sound((5, 1.0)), out_ms=wrong)

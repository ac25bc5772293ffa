"""The pitch of a sound: what was made at a pitch is heard there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.audio import Waveform
from data_pipelines.pitch import hertz_of, midi_pitch_of
from data_pipelines.tones import PITCHES, pitch_of, tones


def sound(samples, rate=16_000):
    return Waveform(np.asarray(samples, np.float32)[:, None], rate)


@given(st.floats(60, 600), st.sampled_from([8_000, 16_000, 44_100]))
@settings(max_examples=40, deadline=None)
def test_a_sine_is_heard_within_a_tenth_of_a_semitone(hertz, rate):
    at = np.arange(rate // 4) / rate
    heard = hertz_of(sound(0.5 * np.sin(2 * np.pi * hertz * at), rate))
    assert abs(12 * np.log2(heard / hertz)) < 0.1


def test_a_missing_fundamental_is_heard_all_the_same():
    at = np.arange(4000) / 16_000
    partials = sum(np.sin(2 * np.pi * 200 * n * at) for n in (2, 3, 4, 5))
    assert abs(hertz_of(sound(0.1 * partials)) - 200) < 1


def test_the_tones_of_the_kit_have_the_pitch_of_their_names():
    for name, waveform in tones(PITCHES, 48, seed=2):
        heard = midi_pitch_of(waveform)
        assert abs(heard - pitch_of(waveform.label)) < 0.2, name


@pytest.mark.parametrize(
    "samples",
    [np.zeros(4000), np.random.default_rng(0).normal(size=4000) * 0.2, np.ones(9)],
    ids=["silence", "noise", "too short"],
)
def test_what_has_no_pitch_is_given_none(samples):
    assert hertz_of(sound(samples)) is None

"""What is wrong with a sound is named; what is right is not."""

import numpy as np
import pytest

from data_pipelines.audio import Waveform
from studio.diagnose_sound import sound_faults

RATE = 8000
AT = np.arange(RATE) / RATE


def kinds(samples):
    sound = Waveform(np.asarray(samples, np.float32)[:, None], RATE)
    return [fault.kind for fault in sound_faults(sound)]


def sine(hertz=220.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * AT)


def test_silence_is_named_empty_or_nearly():
    assert kinds(np.zeros(0)) == ["silence"]
    assert kinds(np.zeros(RATE)) == ["silence"]
    assert kinds(1e-4 * np.random.default_rng(0).normal(size=RATE)) == ["silence"]


def test_full_scale_is_named_from_one_sample_in_a_hundred_on():
    noise = np.random.default_rng(0).normal(size=RATE) * 0.2
    assert kinds(noise) == []
    loud = np.where(np.arange(RATE) % 50 == 0, 1.0, noise)
    assert kinds(loud) == ["clipping"]


def test_one_tone_from_beginning_to_end_is_a_buzz_and_its_pitch_is_told():
    sound = Waveform(sine(440).astype(np.float32)[:, None], RATE)
    (fault,) = sound_faults(sound)
    assert fault.kind == "buzz" and "440 Hz" in fault.text


@pytest.mark.parametrize(
    "samples",
    [
        sine() * np.exp(-5 * AT),  # dies away
        np.where(AT < 0.5, sine(220), sine(330)),  # changes its pitch
        np.random.default_rng(0).normal(size=RATE) * np.exp(-9 * AT) * 0.2,
        sine()[: RATE // 4],  # too short to be called one
    ],
    ids=["a plucked tone", "two tones", "a burst of noise", "a short tone"],
)
def test_what_changes_is_no_buzz(samples):
    assert kinds(samples) == []


def test_a_level_that_stands_still_is_named():
    assert "buzz" in kinds(np.full(RATE, 0.05))


def test_a_mean_far_from_zero_is_named():
    assert "offset" in kinds(sine() * np.exp(-5 * AT) * 0.5 + 0.3)


def test_no_drum_of_the_synthesiser_is_blamed():
    from data_pipelines.drum_sounds import drum_sounds

    blamed = [name for name, sound in drum_sounds(180, seed=3) if sound_faults(sound)]
    assert blamed == []

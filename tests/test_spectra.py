"""Spectra and their inverse, ideal masks, and the measure of separation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.spectra import (
    hann,
    ideal_ratio_masks,
    istft,
    num_frames,
    si_sdr,
    stft,
)

SIZES = [(1024, 256), (1024, 512), (2048, 512), (8, 4), (12, 3), (2, 1)]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("window", "hop"), SIZES)
@pytest.mark.parametrize("length", [1, 2, 7, 255, 1024, 4099])
def test_the_inverse_gives_every_sample_back(window, hop, length):
    sound = noise(length)
    spectrum = stft(sound, window=window, hop=hop)
    assert spectrum.shape == (num_frames(length, hop, window), window // 2 + 1)
    back = istft(spectrum, length, window=window, hop=hop)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, sound, atol=5e-6)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(0, 700),
    hop=st.integers(1, 40),
    laps=st.sampled_from([2, 4, 6]),
    seed=st.integers(0, 99),
)
def test_the_inverse_is_exact_for_any_length_and_hop(length, hop, laps, seed):
    sound = noise(2, length, seed=seed)
    sizes = {"window": hop * laps, "hop": hop}
    back = istft(stft(sound, **sizes), length, **sizes)
    np.testing.assert_allclose(back, sound, atol=2e-5)


def test_a_frame_is_the_fourier_transform_of_its_samples_under_a_hann_window():
    sound = noise(40)
    spectrum = stft(sound, window=16, hop=4)
    for frame in range(3, 9):  # those that lie wholly within
        first = frame * 4 - 12
        taper = np.sin(np.pi * np.arange(16) / 16) ** 2
        plain = np.array(
            [
                sum(
                    sound[first + n] * taper[n] * np.exp(-2j * np.pi * f * n / 16)
                    for n in range(16)
                )
                for f in range(9)
            ]
        )
        np.testing.assert_allclose(spectrum[frame], plain, atol=1e-5)


def test_a_sine_stands_in_the_bin_of_its_frequency():
    sine = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    magnitudes = np.abs(stft(sine, window=1024, hop=256))[10]
    assert magnitudes.argmax() == 64  # 1000 Hz * 1024 / 16000
    assert magnitudes.max() == pytest.approx(hann(1024).sum() / 2, rel=1e-3)


def test_the_transform_is_linear_and_keeps_leading_axes_apart():
    one, other = noise(500), noise(500, seed=1)
    both = stft(np.stack([one, other]), window=64, hop=16)
    np.testing.assert_allclose(both[1], stft(other, window=64, hop=16), atol=1e-5)
    together = stft(one + other, window=64, hop=16)
    np.testing.assert_allclose(both.sum(axis=0), together, atol=1e-4)


def test_silence_and_nothing_have_spectra():
    assert not stft(np.zeros(100), window=32, hop=8).any()
    assert stft(np.zeros((2, 0)), window=32, hop=8).shape == (2, 0, 17)
    nothing = istft(np.zeros((2, 0, 17), "complex64"), 0, window=32, hop=8)
    assert nothing.shape == (2, 0)


@pytest.mark.parametrize(
    ("window", "hop"), [(1024, 300), (1024, 1024), (9, 3), (0, 1), (8, 0), (8.0, 4)]
)
def test_a_hop_that_does_not_fit_is_refused(window, hop):
    with pytest.raises(ValueError, match="Received"):
        stft(noise(100), window=window, hop=hop)


def test_a_spectrum_of_another_sound_is_refused():
    spectrum = stft(noise(100), window=32, hop=8)
    with pytest.raises(ValueError, match="A sound of 200 samples has a spectrum of 28"):
        istft(spectrum, 200, window=32, hop=8)


# Masks


def test_ideal_masks_are_shares_and_sum_to_one():
    stems = np.array([3.0, 4j, 0.0]).reshape(3, 1, 1)
    masks = ideal_ratio_masks(stems)
    np.testing.assert_allclose(masks.ravel(), [3 / 7, 4 / 7, 0], rtol=1e-6)
    wiener = ideal_ratio_masks(stems, power=2.0)
    np.testing.assert_allclose(wiener.ravel(), [9 / 25, 16 / 25, 0], rtol=1e-6)
    assert np.allclose(ideal_ratio_masks(np.zeros((4, 2, 3))), 0.25)


def test_ideal_masks_part_what_does_not_overlap():
    times = np.arange(8000) / 8000
    stems = np.stack([np.sin(2 * np.pi * hz * times) for hz in (500, 2000)])
    spectra = stft(stems, window=256, hop=64)
    masked = ideal_ratio_masks(spectra) * spectra.sum(axis=0)
    apart = istft(masked, 8000, window=256, hop=64)
    assert (si_sdr(apart, stems) > 30).all()


# The measure


def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_their_energies():
    reference = np.array([1.0, 1.0, 0.0, 0.0])
    distortion = np.array([0.0, 0.0, 0.1, 0.1])
    assert si_sdr(reference + distortion, reference) == pytest.approx(20.0)
    assert si_sdr(-3 * (reference + distortion), reference) == pytest.approx(20.0)


def test_si_sdr_at_its_ends():
    reference = np.array([1.0, -1.0])
    assert si_sdr(2 * reference, reference) == np.inf
    assert si_sdr(np.array([1.0, 1.0]), reference) == -np.inf
    assert np.isnan(si_sdr(reference, np.zeros(2)))
    both = si_sdr(np.array([[1.0, 0.0], [0.0, 1.0]]), reference)
    np.testing.assert_allclose(both, [0.0, 0.0], atol=1e-12)

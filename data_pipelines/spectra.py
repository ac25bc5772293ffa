"""Sound as spectra: the short-time Fourier transform and its inverse, ideal masks, and
how near an estimate of a sound comes to it.

A transform is told by its window and its hop alone. Each sample lies in the same number
of frames, the first and the last as any other, so that the inverse is exact everywhere.
"""

import numpy as np


def hann(window):
    """The periodic Hann window: float32 (window,), 0 at its first sample."""
    turns = np.arange(window) / window
    return (0.5 - 0.5 * np.cos(2 * np.pi * turns)).astype(np.float32)


def num_frames(length, hop, window):
    """How many frames `stft` gives for `length` samples; none for none."""
    return (length - 1 + window - hop) // hop + 1 if length else 0


def stft(samples, *, window=1024, hop=256):
    """The spectrum of each window of a sound.

    Frame t holds the samples from ``t * hop - (window - hop)`` on, those outside the
    sound being 0, under a Hann window.

    Args:
        samples: float array (..., N). N may be 0.
        window: int, samples in a frame.
        hop: int that divides `window`, at most half of it.

    Returns:
        complex64 array (..., T, F), T as `num_frames` says, F = window // 2 + 1; bin f
        lies at ``f * sample_rate / window`` Hz.

    Raises:
        ValueError: if the hop does not fit the window.
    """
    check_hop(window, hop)
    samples = np.asarray(samples, dtype=np.float32)
    length = samples.shape[-1]
    frames = num_frames(length, hop, window)
    lead = samples.shape[:-1]
    if not frames:
        return np.zeros((*lead, 0, window // 2 + 1), dtype=np.complex64)
    padded = np.zeros((*lead, (frames - 1) * hop + window), dtype=np.float32)
    padded[..., window - hop : window - hop + length] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, window, axis=-1)
    windows = windows[..., ::hop, :]  # (..., T, window)
    return np.fft.rfft(windows * hann(window)).astype(np.complex64, copy=False)


def istft(spectrum, length, *, window=1024, hop=256):
    """The sound whose `stft` comes nearest to a spectrum: exact where it is one.

    Args:
        spectrum: complex array (..., T, F), T = ``num_frames(length, hop, window)``.
        length: int, samples wanted.
        window, hop: as they were for `stft`.

    Returns:
        float32 array (..., length).

    Raises:
        ValueError: if the spectrum has another shape than this sound's.

    Reference:
        Griffin & Lim 1984, Signal estimation from modified short-time Fourier
        transform, equation 6: overlapping frames under the window once more, divided
        by the sum of its squares.
    """
    check_hop(window, hop)
    spectrum = np.asarray(spectrum)
    wanted = (num_frames(length, hop, window), window // 2 + 1)
    if spectrum.shape[-2:] != wanted:
        raise ValueError(
            f"A sound of {length:,} samples has a spectrum of {wanted[0]:,} frames and "
            f"{wanted[1]} bins. Received: {spectrum.shape[-2:]}"
        )
    lead = spectrum.shape[:-2]
    if not length:
        return np.zeros((*lead, 0), dtype=np.float32)
    taper = hann(window)
    squares = (taper**2).reshape(-1, hop).sum(axis=0)  # (hop,), and so on for ever
    frames = np.fft.irfft(spectrum, window).astype(np.float32, copy=False)
    frames = frames * (taper / np.tile(squares, window // hop))  # (..., T, window)
    laps = window // hop
    blocks = frames.reshape(*lead, wanted[0], laps, hop)
    sound = np.zeros((*lead, wanted[0] + laps - 1, hop), dtype=np.float32)
    for lap in range(laps):
        sound[..., lap : lap + wanted[0], :] += blocks[..., lap, :]
    sound = sound.reshape(*lead, -1)
    return sound[..., window - hop : window - hop + length]


def check_hop(window, hop):
    """Raise ValueError unless `hop` divides `window` twice or more."""
    for name, value in (("window", window), ("hop", hop)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(
                f"`{name}` must be an integer above 0. Received: {value!r}"
            )
    if window % hop or window // hop < 2 or window % 2:
        raise ValueError(
            "`hop` must divide `window`, an even number, at least twice. "
            f"Received: hop {hop}, window {window}"
        )


def ideal_ratio_masks(stems, power=1.0):
    """The masks of one who knows the truth: each stem's share of each bin.

        mask_k = |S_k|^p / sum_j |S_j|^p

    They sum to one; where all stems are silent they are alike.

    Args:
        stems: complex or float array (K, ..., T, F), the spectra of the parts.
        power: float above 0; 2 gives the Wiener filter of what is known.

    Returns:
        float32 array of the same shape, in [0, 1].

    Reference:
        Wang, Narayanan & Wang 2014, On training targets for supervised speech
        separation, section III.B, whose ideal ratio mask is the square root of the
        Wiener filter and does not sum to one; Liutkus & Badeau 2015 for other powers.
    """
    magnitudes = np.abs(stems).astype(np.float32) ** np.float32(power)
    total = magnitudes.sum(axis=0)
    share = np.float32(1 / len(magnitudes))
    return np.where(
        total > 0, magnitudes / np.where(total > 0, total, 1), share
    ).astype(np.float32)


def si_sdr(estimate, reference):
    """Scale-invariant signal-to-distortion ratio, in dB.

        10 log10(|a s|^2 / |a s - e|^2),  a = <e, s> / |s|^2

    Args:
        estimate, reference: float arrays (..., N); the mean is not taken away.

    Returns:
        float64 array (...). Infinite for a perfect estimate, minus infinity for one
        that shares nothing with the reference, NaN where the reference is silent.

    Reference:
        Le Roux, Wisdom, Erdogan & Hershey 2019, SDR - half-baked or well done?,
        https://arxiv.org/abs/1811.02508, equation 5.
    """
    estimate = np.asarray(estimate, dtype=np.float64)
    reference = np.asarray(reference, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (estimate * reference).sum(-1) / (reference**2).sum(-1)
        target = scale[..., None] * reference
        error = target - estimate
        return 10 * np.log10((target**2).sum(-1) / (error**2).sum(-1))

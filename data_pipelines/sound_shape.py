"""Where a sound begins and ends, and how loud it is: the same for every example.

A network that learns from samples learns also the silence before them. What is cut here
is cut by level, and its edges are faded, so that no cut can be heard as a click.

Loudness is set by the peak, not by the RMS: the RMS of a struck sound depends on how
much of its tail was kept, and to reach one, attacks would have to be clipped. The peak
can always be reached, and mu-law keeps a quiet sound nearly as well as a loud one.
"""

from dataclasses import replace

import numpy as np

KEEP_MS = 10.0  # of the silence on either side
LARGEST_TRIM_DB = 120.0
LOWEST_PEAK_DB = -60.0


def trim_silence(waveform, threshold_db=50.0, *, keep_ms=KEEP_MS):
    """The same sound without most of the silence before and after it.

    Silence is what stays more than `threshold_db` below the sound's own peak, on every
    channel. Where it lasts up to twice `keep_ms`, nothing is cut: so trimming twice is
    trimming once, and quantizing between the two moves no edge. A cut edge is faded
    over `keep_ms`.

    Args:
        waveform: `Waveform`.
        threshold_db: float in (0, 120], below the peak.
        keep_ms: float, at least 0: how much of the silence stays.

    Returns:
        `Waveform`; of silence alone, one of no sample.

    Raises:
        ValueError: if a number lies outside.
    """
    check_trim(threshold_db)
    _check_ms("keep_ms", keep_ms)
    samples = waveform.samples
    if not (peak := peak_of(waveform)):
        return replace(waveform, samples=samples[:0])
    threshold = peak * 10 ** (-threshold_db / 20)
    loud = _first_loud(samples, threshold), _first_loud(samples[::-1], threshold)
    keep = round(keep_ms / 1000 * waveform.sample_rate)
    begin, end = (silent - keep if silent > 2 * keep else 0 for silent in loud)
    trimmed = replace(waveform, samples=samples[begin : len(samples) - end])
    return fade(trimmed, in_ms=keep_ms * bool(begin), out_ms=keep_ms * bool(end))


def set_loudness(waveform, peak_db=-3.0):
    """The same sound, its highest peak at `peak_db`. Silence stays silence.

    Args:
        waveform: `Waveform`.
        peak_db: float in [-60, 0], in dB of full scale.

    Returns:
        `Waveform`.

    Raises:
        ValueError: if `peak_db` lies outside.
    """
    check_loudness(peak_db)
    if not (peak := peak_of(waveform)):
        return waveform
    samples = waveform.samples / peak  # a gain could overflow where the peak is tiny
    return replace(waveform, samples=samples * np.float32(10 ** (peak_db / 20)))


def fade(waveform, *, in_ms=0.0, out_ms=0.0):
    """The same sound, rising from nothing and falling to it, by half a cosine each.

    The first and the last sample become 0. A fade longer than the sound ends with it.

    Args:
        waveform: `Waveform`.
        in_ms, out_ms: float, at least 0; 0 leaves that edge alone.

    Returns:
        `Waveform`.

    Raises:
        ValueError: if a number lies outside.
    """
    for name, value in (("in_ms", in_ms), ("out_ms", out_ms)):
        _check_ms(name, value)
    into, out_of = (
        min(len(waveform), max(1, round(ms / 1000 * waveform.sample_rate))) if ms else 0
        for ms in (in_ms, out_ms)
    )
    if not len(waveform) or not (into or out_of):
        return waveform
    samples = waveform.samples.copy()
    samples[:into] *= _rise(into)
    samples[len(samples) - out_of :] *= _rise(out_of)[::-1]
    return replace(waveform, samples=samples)


def without_offset(waveform):
    """The same sound about zero: the mean of each channel is 0, and no edge moves.

    The mean is taken away under half a sine squared, which is 0 at both ends, so that
    what begins and ends in silence still does.

    Args:
        waveform: `Waveform`.

    Returns:
        `Waveform`.
    """
    if len(waveform) < 3:  # nothing between the ends
        return waveform
    window = np.sin(np.linspace(0, np.pi, len(waveform))) ** 2
    mean = waveform.samples.sum(axis=0, dtype=np.float64) / window.sum()
    samples = waveform.samples - window[:, None] * mean
    return replace(waveform, samples=samples.astype(np.float32))


def peak_of(waveform):
    """The largest distance from zero, float; 0.0 of a sound without a sample."""
    samples = waveform.samples
    return max(float(samples.max()), -float(samples.min())) if samples.size else 0.0


def check_trim(threshold_db):
    """Raises ValueError unless the threshold is in (0, 120] dB."""
    if not _is_number(threshold_db) or not 0 < threshold_db <= LARGEST_TRIM_DB:
        raise ValueError(
            f"`trim` must be in (0, {LARGEST_TRIM_DB:.0f}] dB below the peak. "
            f"Received: {threshold_db!r}"
        )


def check_loudness(peak_db):
    """Raises ValueError unless the peak is in [-60, 0] dBFS."""
    if not _is_number(peak_db) or not LOWEST_PEAK_DB <= peak_db <= 0:
        raise ValueError(
            f"`loudness` must be a peak in [{LOWEST_PEAK_DB:.0f}, 0] dB of full scale. "
            f"Received: {peak_db!r}"
        )


def _check_ms(name, value):
    if not _is_number(value) or not 0 <= value < np.inf:
        raise ValueError(f"`{name}` must be at least 0 ms. Received: {value!r}")


def _is_number(value):
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _first_loud(samples, threshold):
    """How many samples come before the first that exceeds, or reaches, a threshold."""
    step = 2**16  # an hour of sound needs no mask as long as itself
    for start in range(0, len(samples), step):
        block = np.abs(samples[start : start + step]).max(axis=1) >= threshold
        if block.any():
            return start + int(block.argmax())
    return len(samples)


def _rise(length):
    """From 0 towards 1, the first value 0: float32 (length, 1)."""
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(1, length))
    return ramp.astype(np.float32)[:, None]

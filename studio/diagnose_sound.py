"""What is wrong with a sound that was generated, in words."""

import numpy as np

from studio.diagnose import Fault

SILENT_DB = -50.0  # loudest tenth of a second, below which there is nothing to hear
CLIPPED_SHARE = 0.01  # of the samples at full scale
FULL_SCALE = 0.985
BUZZ_SECONDS = 0.5  # what never changes for shorter is a tone like others
BUZZ_LIKENESS = 0.985  # of the spectra of its parts, and of their levels
CONSTANT_SHARE = 0.5  # of the samples one and the same, and not silence
OFFSET = 0.1  # of full scale: the mean of a sound is 0
FRAME_SECONDS = 0.05


def sound_faults(waveform):
    """What is wrong with a sound, and what to do about it.

    Silence, full scale, a mean far from zero, a level or a spectrum that never changes.

    Args:
        waveform: `Waveform`.

    Returns:
        list of `diagnose.Fault`, empty if all is well; ``bar`` is always 0.
    """
    samples = waveform.mono().astype(np.float64)
    if not len(samples):
        return [Fault("silence", 0, "It is empty: no sample was written.")]
    level = _levels(samples, waveform.sample_rate)
    if level.max() < SILENT_DB:
        text = (
            f"It is silent: {level.max():.0f} dB at its loudest. "
            "Raise --temperature, or try another --seed."
        )
        return [Fault("silence", 0, text)]
    found = []
    clipped = float((np.abs(samples) >= FULL_SCALE).mean())
    if clipped > CLIPPED_SHARE:
        text = f"It is clipped: {clipped:.0%} of its samples are at full scale."
        found.append(Fault("clipping", 0, f"{text} Lower --temperature."))
    if abs(offset := float(samples.mean())) > OFFSET:
        text = (
            f"It stands off zero by {offset:.2f} of full scale: a click, not a sound."
        )
        found.append(Fault("offset", 0, text))
    if buzz := _buzz(samples, waveform.sample_rate, level):
        found.append(buzz)
    return found


def _levels(samples, rate):
    """The level of each twentieth of a second in dB of full scale, float array."""
    size = max(1, round(FRAME_SECONDS * rate))
    whole = len(samples) // size * size
    frames = samples[:whole].reshape(-1, size) if whole else samples[None]
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-12)


def _buzz(samples, rate, level):
    """A sound that never changes: in level within 1 dB, in spectrum not at all."""
    if len(samples) < BUZZ_SECONDS * rate:
        return None
    values, counts = np.unique(samples, return_counts=True)
    most = counts.argmax()
    if counts[most] > CONSTANT_SHARE * len(samples) and abs(values[most]) > 0.01:
        text = f"It stands still at {values[most]:.2f} for half of its samples."
        return Fault("buzz", 0, f"{text} Raise --temperature.")
    size = max(64, round(FRAME_SECONDS * rate))
    count = len(samples) // size
    frames = samples[: count * size].reshape(count, size)
    spectra = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))
    mean = spectra.mean(axis=0)
    norms = np.linalg.norm(spectra, axis=1) * np.linalg.norm(mean)
    likeness = (spectra @ mean) / np.maximum(norms, 1e-12)
    if level.std() < 1.0 and likeness.mean() > BUZZ_LIKENESS:
        hertz = float(np.argmax(mean)) * rate / size
        text = f"It is one buzz of about {hertz:.0f} Hz from beginning to end."
        return Fault("buzz", 0, f"{text} Raise --temperature.")
    return None

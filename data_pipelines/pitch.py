"""How high a sound is: the period at which it comes most nearly back to itself.

Reference:
    de Cheveigné and Kawahara, 2002, YIN, a fundamental frequency estimator for speech
    and music, JASA 111:4, steps 1 to 5. We depart from it in two points: the sound's
    loudest stretch alone is looked at, and a sound that repeats nowhere has no pitch.
"""

import numpy as np

LOWEST_HZ, HIGHEST_HZ = 40.0, 2000.0
WINDOW_SECONDS = 0.08
UNLIKE = 0.15  # of the mean difference: the first dip below it is the period
NO_PITCH = 0.4  # no dip as deep as this: noise


def hertz_of(waveform):
    """The pitch of a sound where it is loudest.

    Args:
        waveform: `Waveform`; its channels are mixed.

    Returns:
        float, in Hz, 40 to 2,000; None if it is silent, too short, or has no pitch. The
        fewer samples a period has the coarser: within a tenth of a semitone of 12, of 6
        within a quarter.
    """
    samples, rate = waveform.mono().astype(np.float64), waveform.sample_rate
    longest = int(rate / LOWEST_HZ) + 2
    window = int(WINDOW_SECONDS * rate)
    if len(samples) < window + longest or not np.abs(samples).max() > 1e-4:
        return None
    power = np.concatenate([[0.0], np.cumsum(samples**2)])
    starts = np.arange(0, len(samples) - window - longest + 1, max(1, window // 8))
    begin = int(starts[np.argmax(power[starts + window] - power[starts])])
    here = samples[begin : begin + window]
    lags = np.arange(1, longest)
    unlike = np.array(
        [((here - samples[begin + k : begin + k + window]) ** 2).sum() for k in lags]
    )
    # Each difference by the mean of those before it: at small lags all is alike.
    unlike = unlike * lags / np.maximum(np.cumsum(unlike), 1e-12)
    first = max(1, int(rate / HIGHEST_HZ))
    dips = np.flatnonzero(unlike[first:] < UNLIKE)
    if len(dips):
        at = first + int(dips[0])
        while at + 1 < len(unlike) and unlike[at + 1] < unlike[at]:
            at += 1
    else:
        at = first + int(unlike[first:].argmin())
        if unlike[at] > NO_PITCH:
            return None
    return float(rate / (lags[at] + _vertex(unlike, at)))


def midi_pitch_of(waveform):
    """As `hertz_of`, as a MIDI pitch: 69.0 is 440 Hz, 69.5 a quarter tone higher."""
    hertz = hertz_of(waveform)
    return None if hertz is None else float(69 + 12 * np.log2(hertz / 440))


def _vertex(values, at):
    """Where a parabola through a dip and its neighbours is lowest, -0.5..0.5."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, here, right = values[at - 1 : at + 2]
    bend = left - 2 * here + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend > 0 else 0.0

"""Pitched tones made of formulas, a class a pitch: does a network hear what it is asked?

Three ways to make a tone, each drawn anew every time:

    plucked    partials of a string that is plucked at one place (of strength
               sin(n pi place) / n), the higher the shorter
    fm         a sine whose phase another swings, once or twice as fast; the swing dies
               away, and the tone with it grows dull
    held       partials that fall by a power of their number, swelling and lasting

All partials are whole multiples of the pitch, which is drawn within 3 cents of its own.

Reference:
    The plucked string: Fletcher and Rossing, The Physics of Musical Instruments, 1998,
    section 2.7. Frequency modulation: Chowning 1973, The Synthesis of Complex Audio
    Spectra by Means of Frequency Modulation. The ranges are our own.
"""

import numpy as np

from data_pipelines.audio import check_rate
from data_pipelines.drum_sounds import SAMPLE_RATE, check_counts, finished
from data_pipelines.voices import fading

LOWEST, HIGHEST = 24, 108  # MIDI: C1 to C8
PITCHES = (60, 62, 64, 65, 67, 69, 71, 72)  # C major, from middle C
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
A4, A4_HZ = 69, 440.0
MOST_CENTS = 3.0
SHORTEST, LONGEST = 0.4, 0.8  # seconds
MOST_PARTIALS = 24
HIGHEST_PARTIAL = 0.45  # of the sample rate


def tones(pitches=PITCHES, count=400, seed=0, *, sample_rate=SAMPLE_RATE):
    """Tones of all pitches in turn.

    Args:
        pitches: sequence of int in 24..108, MIDI, each once.
        count: int, at least 0.
        seed: int, at least 0. Tone k is the same whatever the count is.
        sample_rate: int, in Hz; above twice the highest pitch.

    Yields:
        (name, `Waveform`): the name is "CLASS/CLASS-NUMBER", as a file would be called;
        the waveform's label is its class, as "A4".

    Raises:
        ValueError: if a number lies outside.
    """
    check_counts(count, seed)
    pitches = tuple(pitches)
    if not pitches or len(set(pitches)) < len(pitches):
        raise ValueError(f"`pitches` must be some, each once. Received: {pitches}")
    for pitch in pitches:
        _check_pitch(pitch, sample_rate)
    for k in range(count):
        pitch, number = pitches[k % len(pitches)], k // len(pitches)
        rng = np.random.default_rng([seed, k])
        name = class_name(pitch)
        yield f"{name}/{name}-{number:05d}", tone(pitch, rng, sample_rate)


def tone(pitch, rng, sample_rate=SAMPLE_RATE):
    """One tone, drawn from a NumPy generator.

    Args:
        pitch: int in 24..108, MIDI.
        rng: `numpy.random.Generator`.
        sample_rate: int, in Hz; above twice the pitch.

    Returns:
        `Waveform` of one channel, 0.4 to 0.8 s, labelled with its class: its mean is 0,
        it begins and ends at 0, its peak lies at -4 to -2 dB of full scale.

    Raises:
        ValueError: if the pitch lies outside, or is too high for the sample rate.
    """
    _check_pitch(pitch, sample_rate)
    hz = hertz(pitch) * 2 ** (rng.uniform(-MOST_CENTS, MOST_CENTS) / 1200)
    length = round(rng.uniform(SHORTEST, LONGEST) * sample_rate)
    turns = np.arange(length) * (hz / sample_rate)  # of the fundamental
    timbre = TIMBRES[rng.integers(len(TIMBRES))]
    samples = timbre(turns, hz, rng, sample_rate)
    return finished(samples, rng, sample_rate, label=class_name(pitch))


def class_name(pitch):
    """The name of a MIDI pitch, str: 60 is C4 and 69 is A4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def pitch_of(name):
    """The MIDI pitch of a class's name, int: undoes `class_name`.

    Raises:
        ValueError: if it names no pitch.
    """
    for pitch in range(128):
        if class_name(pitch) == name:
            return pitch
    raise ValueError(f"A class of tones is named like A4 or C#3. Received: {name!r}")


def hertz(pitch):
    """The frequency of a MIDI pitch, float, in Hz: equal temperament about A4 = 440."""
    return A4_HZ * 2 ** ((pitch - A4) / 12)


def _check_pitch(pitch, sample_rate):
    check_rate(sample_rate)
    if not isinstance(pitch, (int, np.integer)) or not LOWEST <= pitch <= HIGHEST:
        raise ValueError(
            f"A pitch must be an integer in {LOWEST}..{HIGHEST}. Received: {pitch!r}"
        )
    if hertz(pitch) > HIGHEST_PARTIAL * sample_rate:
        raise ValueError(
            f"`sample_rate` must be above {hertz(pitch) / HIGHEST_PARTIAL:,.0f} Hz for "
            f"{class_name(pitch)}. Received: {sample_rate:,}"
        )


def _plucked(turns, hz, rng, sample_rate):
    """A string plucked at one place: float64 (N,)."""
    place, ring = rng.uniform(0.08, 0.45), rng.uniform(0.8, 2.0)
    darkening = rng.uniform(0.3, 0.8)
    wave = np.zeros(len(turns))
    for n in _partials(hz, sample_rate):
        strength = np.sin(n * np.pi * place) / n
        fall = fading(len(turns), sample_rate, ring / (1 + darkening * (n - 1)))
        wave += strength * fall * np.sin(2 * np.pi * n * turns)
    return wave


def _fm(turns, hz, rng, sample_rate):
    """A phase swung once or twice as fast, ever less: float64 (N,)."""
    ratio = int(rng.integers(1, 3))
    # Carson's rule: what lies beyond (index + 1) modulators is too weak to fold back.
    room = HIGHEST_PARTIAL * sample_rate / hz - 1
    index = min(rng.uniform(0.8, 3.5), max(0.0, room / ratio - 1))
    dulling = fading(len(turns), sample_rate, rng.uniform(0.6, 1.5))
    swing = index * dulling * np.sin(2 * np.pi * ratio * turns)
    ring = fading(len(turns), sample_rate, rng.uniform(1.2, 3.0))
    return ring * np.sin(2 * np.pi * turns + swing)


def _held(turns, hz, rng, sample_rate):
    """Partials that fall by a power, swelling in and lasting: float64 (N,)."""
    slope, even = rng.uniform(1.0, 2.0), rng.uniform(0.1, 1.0)
    wave = np.zeros(len(turns))
    for n in _partials(hz, sample_rate):
        strength = (1.0 if n % 2 else even) / n**slope
        wave += strength * np.sin(2 * np.pi * (n * turns + rng.random()))
    seconds = np.arange(len(turns)) / sample_rate
    swell = 1 - np.exp(-seconds / rng.uniform(0.005, 0.04))
    release = rng.uniform(0.05, 0.15)  # seconds
    leaving = np.clip((seconds[-1] - seconds) / release, 0.0, 1.0)
    return wave * swell * leaving


def _partials(hz, sample_rate):
    most = int(HIGHEST_PARTIAL * sample_rate / hz)
    return range(1, min(MOST_PARTIALS, most) + 1)


TIMBRES = (_plucked, _fm, _held)

"""Drum sounds made of formulas: recordings to learn from that nobody else owns.

Every sound is drawn: its pitch, how far that falls and how fast, how long it rings, how
much of it is noise and in which band. Nine kinds of them:

    kick          a sine that falls some octaves in 15 to 45 ms, and a click
    snare         two modes of a skin, and the rattle of the wires as noise
    tom           three modes of a skin that bend down
    clap          three to five bursts of noise 7 to 14 ms apart, then a tail
    rim, cowbell  a few partials out of tune; of a cowbell, squares
    hihat_closed, hihat_open, cymbal    a cluster of metal, by frequency modulation
                  with an inharmonic ratio, in high noise

`synth` plays one kit, the same at each stroke, from the same ideas and the same `Drum`;
here each stroke is another drum.

Reference:
    Modes of skins: Fletcher and Rossing, The Physics of Musical Instruments, 1998,
    chapter 18. Metal from frequency modulation: Chowning 1973, The Synthesis of Complex
    Audio Spectra by Means of Frequency Modulation. The two squares of a cowbell stand a
    fifth and some apart, as in the drum machines of the 1980s. The ranges are our own,
    set by spectrum: no recording was used.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.audio import Waveform, check_rate, write_audio
from data_pipelines.sound_shape import fade, set_loudness, without_offset
from data_pipelines.timbres import Drum
from data_pipelines.voices import fading

SHORTEST, LONGEST = 0.1, 1.5  # seconds
LOUDEST_DB, SOFTEST_DB = -2.0, -4.0  # where peaks lie, in dB of full scale
ATTACK_MS, END_MS = 0.6, 12.0
HEARD = 0.6  # of the time that a fall of 100 dB takes; the rest is 60 dB down
SKIN = (1.0, 1.59, 2.14)  # modes of a round skin, over its lowest
SAMPLE_RATE = 16_000  # Hz


@dataclass(frozen=True)
class Stroke:
    """A `Drum` and what a kit's table has no need of.

    Args:
        drum: `timbres.Drum`; its `gain_db` and `pan` are not heard.
        metal: float, how loud the frequency modulation is beside the rest.
        metal_hz, metal_ratio, metal_index: float, its carrier, the modulator's frequency
            over the carrier's, and how far the phase swings, in radians.
        square: float in 0..1, how square the partials are.
        drive: float, at least 0: how hard the whole is bent, as by an amplifier.
    """

    drum: Drum
    metal: float = 0.0
    metal_hz: float = 3000.0
    metal_ratio: float = 1.4
    metal_index: float = 3.0
    square: float = 0.0
    drive: float = 0.0


def drum_sounds(count, seed=0, sample_rate=SAMPLE_RATE):
    """Drum sounds of all kinds in turn.

    Args:
        count: int, at least 0.
        seed: int, at least 0. Sound k is the same whatever the count is.
        sample_rate: int in 1,000..384,000, in Hz.

    Yields:
        (name, `Waveform`): the name is "KIND/KIND-NUMBER", as a file would be called;
        the waveform's label is the kind.

    Raises:
        ValueError: if a number lies outside.
    """
    check_counts(count, seed)
    check_rate(sample_rate)
    kinds = tuple(KINDS)
    for k in range(count):
        kind, number = kinds[k % len(kinds)], k // len(kinds)
        rng = np.random.default_rng([seed, k])
        yield f"{kind}/{kind}-{number:05d}", synthesise(kind, rng, sample_rate)


def synthesise(kind, rng, sample_rate=SAMPLE_RATE):
    """One drum sound, drawn from a NumPy generator.

    Args:
        kind: str, one of `KINDS`.
        rng: `numpy.random.Generator`.
        sample_rate: int in 1,000..384,000, in Hz. What lies above half of it is left
            out, or, of a pitch, played an octave down.

    Returns:
        `Waveform` of one channel, 0.1 to 1.5 s, labelled with its kind: its mean is 0,
        it begins and ends at 0, its peak lies at -4 to -2 dB of full scale.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}"
        )
    check_rate(sample_rate)
    stroke = KINDS[kind](rng)
    return finished(_struck(stroke, rng, sample_rate), rng, sample_rate, label=kind)


def finished(samples, rng, sample_rate, *, label):
    """The `Waveform` of some made samples: edges at 0, mean 0, a peak as it should be.

    Args:
        samples: float array (N,), of any loudness.
        rng: `numpy.random.Generator`, for the loudness.
        sample_rate: int, in Hz.
        label: str, its class and title.
    """
    sound = Waveform(samples[:, None], sample_rate, label, label)
    sound = fade(sound, in_ms=ATTACK_MS, out_ms=END_MS)
    return set_loudness(without_offset(sound), rng.uniform(SOFTEST_DB, LOUDEST_DB))


def write_folder(folder, sounds):
    """Write sounds as 16-bit WAV files into folders, one a class.

    Args:
        folder: str or Path; made where it is not there. A file of the same name in it is
            replaced.
        sounds: iterable of (name, `Waveform`), such as `drum_sounds` yields.

    Returns:
        int, how many were written.

    Raises:
        OSError: if a file cannot be written.
    """
    written = 0
    for name, waveform in sounds:
        path = Path(folder, f"{name}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, waveform.samples, waveform.sample_rate)
        written += 1
    return written


def check_counts(count, seed):
    """Raises ValueError if a count or a seed is below 0."""
    for name, value in (("count", count), ("seed", seed)):
        if value < 0:
            raise ValueError(f"`{name}` must be at least 0. Received: {value}")


def _struck(stroke, rng, sample_rate):
    """The samples of a stroke, float64 (N,), of any loudness."""
    drum = stroke.drum
    lasts = HEARD * max(drum.ring, drum.noise_ring) + drum.bursts * drum.burst_gap
    length = round(np.clip(lasts, SHORTEST, LONGEST) * sample_rate)
    seconds = np.arange(length) / sample_rate
    # The pitch falls from `bend` times its own, exponentially; this is its integral.
    fall = 1 - np.exp(-seconds / drum.bend_time)
    warped = seconds + (drum.bend - 1) * drum.bend_time * fall
    wave = np.zeros(length)
    for hz, amplitude in drum.partials:
        sine = np.sin(2 * np.pi * _below(hz, sample_rate) * warped)
        wave += amplitude * _squared(sine, stroke.square)
    if stroke.metal:
        wave += stroke.metal * _metal(stroke, length, rng, sample_rate)
    wave *= fading(length, sample_rate, drum.ring)
    if drum.noise:
        bursts = _bursts(drum, length, sample_rate)
        wave += drum.noise * bursts * _noise(drum.band_hz, length, rng, sample_rate)
    if stroke.drive:
        wave = np.tanh(stroke.drive * wave / np.abs(wave).max())
    return wave


def _bursts(drum, length, sample_rate):
    """How loud the noise is: float64 (length,). The last burst is the long one."""
    gain = np.zeros(length)
    step = max(1, round(drum.burst_gap * sample_rate))
    for number in range(drum.bursts):
        part = gain[number * step :]
        ring = drum.noise_ring if number == drum.bursts - 1 else 3 * drum.burst_gap
        np.maximum(part, fading(len(part), sample_rate, ring), out=part)
    return gain


def _noise(band_hz, length, rng, sample_rate):
    """A band of noise, RMS 1 in the mean: float64 (length,)."""
    size = 1 << max(8, (length - 1).bit_length())  # of one RMS at any length
    noise = _banded(rng.standard_normal(size), band_hz, sample_rate)
    return noise[:length] / np.sqrt(np.mean(noise**2))


def _banded(wave, band_hz, sample_rate):
    """What lies in a band with soft edges, of a wave without end: float64 (N,)."""
    low, high = band_hz
    high = min(high, 0.48 * sample_rate)
    low = min(low, 0.7 * high)
    hz = np.maximum(np.fft.rfftfreq(len(wave), 1 / sample_rate), 1e-3)
    gain = 1 / np.sqrt((1 + (low / hz) ** 6) * (1 + (hz / high) ** 8))
    return np.fft.irfft(np.fft.rfft(wave) * gain, len(wave))


def _metal(stroke, length, rng, sample_rate):
    """Frequency modulation at ratios that no string has: float64 (length,).

    Only the drum's band of it is heard: what folds at half the sample rate, or falls
    between two lines, would hum below.
    """
    size = 1 << max(8, (length - 1).bit_length())
    seconds = np.arange(size) / sample_rate
    wave = np.zeros(size)
    for ratio in (1.0, 1.342, 1.731):
        carrier = _below(stroke.metal_hz * ratio, sample_rate)
        modulator = carrier * stroke.metal_ratio
        swing = np.sin(2 * np.pi * (modulator * seconds + rng.random()))
        turns = carrier * seconds + rng.random()
        wave += np.sin(2 * np.pi * turns + stroke.metal_index * swing)
    return _banded(wave, stroke.drum.band_hz, sample_rate)[:length] / 3


def _squared(sine, square):
    """Between a sine and a square whose corners are round."""
    return (1 - square) * sine + square * np.tanh(4 * sine) if square else sine


def _below(hz, sample_rate):
    """A pitch, or where the sample rate is too low for it, one octaves down."""
    while hz > 0.45 * sample_rate:
        hz = hz / 2
    return hz


def _log_uniform(rng, low, high):
    """Between two frequencies or times, each octave as likely as another."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _kick(rng):
    hz = _log_uniform(rng, 40, 68)
    return Stroke(
        Drum(
            ((hz, 1.0), (2 * hz, rng.uniform(0, 0.25))),
            ring=_log_uniform(rng, 0.35, 1.1),
            bend=rng.uniform(2.5, 7.0),
            bend_time=_log_uniform(rng, 0.015, 0.045),
            noise=rng.uniform(0.02, 0.25),
            band_hz=(rng.uniform(800, 2000), rng.uniform(3000, 6000)),
            noise_ring=rng.uniform(0.02, 0.05),
        ),
        drive=rng.uniform(0, 2.5),
    )


def _snare(rng):
    hz = _log_uniform(rng, 155, 245)
    return Stroke(
        Drum(
            ((hz, 0.6), (rng.uniform(1.5, 1.85) * hz, rng.uniform(0.15, 0.4))),
            ring=_log_uniform(rng, 0.2, 0.5),
            bend=rng.uniform(1.1, 1.6),
            bend_time=_log_uniform(rng, 0.01, 0.03),
            noise=rng.uniform(0.3, 0.6),
            band_hz=(rng.uniform(1000, 2200), rng.uniform(5500, 9000)),
            noise_ring=_log_uniform(rng, 0.3, 0.8),
        ),
        drive=rng.uniform(0, 1.5),
    )


def _tom(rng):
    hz = _log_uniform(rng, 80, 210)
    strengths = (0.8, rng.uniform(0.1, 0.35), rng.uniform(0.02, 0.15))
    return Stroke(
        Drum(
            tuple((ratio * hz, s) for ratio, s in zip(SKIN, strengths, strict=True)),
            ring=_log_uniform(rng, 0.6, 1.4),
            bend=rng.uniform(1.15, 1.7),
            bend_time=_log_uniform(rng, 0.03, 0.08),
            noise=rng.uniform(0.03, 0.15),
            band_hz=(300, rng.uniform(2000, 4000)),
            noise_ring=_log_uniform(rng, 0.06, 0.15),
        ),
        drive=rng.uniform(0, 1.0),
    )


def _clap(rng):
    return Stroke(
        Drum(
            noise=0.5,
            ring=0.05,
            band_hz=(rng.uniform(700, 1100), rng.uniform(2300, 3800)),
            noise_ring=_log_uniform(rng, 0.25, 0.7),
            bursts=int(rng.integers(3, 6)),
            burst_gap=rng.uniform(0.007, 0.014),
        )
    )


def _rim(rng):
    hz = _log_uniform(rng, 650, 1000)
    return Stroke(
        Drum(
            ((hz, 0.5), (rng.uniform(1.9, 2.3) * hz, rng.uniform(0.3, 0.7))),
            ring=_log_uniform(rng, 0.07, 0.16),
            noise=rng.uniform(0.05, 0.25),
            band_hz=(1500, rng.uniform(5000, 7000)),
            noise_ring=_log_uniform(rng, 0.02, 0.05),
        )
    )


def _cowbell(rng):
    hz = _log_uniform(rng, 480, 640)
    return Stroke(
        Drum(
            ((hz, 0.5), (rng.uniform(1.45, 1.53) * hz, rng.uniform(0.4, 0.6))),
            ring=_log_uniform(rng, 0.35, 0.9),
            noise=rng.uniform(0.02, 0.1),
            band_hz=(1500, 5000),
            noise_ring=0.03,
        ),
        square=rng.uniform(0.5, 1.0),
    )


def _hihat_closed(rng):
    return _cymbals(rng, ring=_log_uniform(rng, 0.1, 0.22))


def _hihat_open(rng):
    return _cymbals(rng, ring=_log_uniform(rng, 0.7, 1.6))


def _cymbals(rng, ring):
    """A pair of hi-hat cymbals: they differ in how long they ring."""
    return Stroke(
        Drum(
            noise=rng.uniform(0.35, 0.6),
            ring=ring,
            band_hz=(rng.uniform(5000, 6500), rng.uniform(9000, 12_000)),
            noise_ring=ring,
        ),
        metal=rng.uniform(0.1, 0.4),
        metal_hz=_log_uniform(rng, 3200, 4100),
        metal_ratio=rng.uniform(1.38, 1.47),
        metal_index=rng.uniform(0.5, 1.2),
    )


def _cymbal(rng):
    ring = _log_uniform(rng, 1.9, 3.2)
    return Stroke(
        Drum(
            noise=rng.uniform(0.25, 0.5),
            ring=ring,
            band_hz=(rng.uniform(2000, 3200), rng.uniform(6000, 9000)),
            noise_ring=rng.uniform(0.6, 1.0) * ring,
        ),
        metal=rng.uniform(0.3, 0.7),
        metal_hz=_log_uniform(rng, 900, 1500),
        metal_ratio=rng.uniform(1.38, 1.72),
        metal_index=rng.uniform(2.0, 3.5),
    )


KINDS = {
    "kick": _kick,
    "snare": _snare,
    "hihat_closed": _hihat_closed,
    "hihat_open": _hihat_open,
    "tom": _tom,
    "clap": _clap,
    "rim": _rim,
    "cowbell": _cowbell,
    "cymbal": _cymbal,
}

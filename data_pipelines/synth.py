"""The built-in synthesiser: sound from formulas alone, where nothing is installed.

A key is a sum of layers, each a few partials with a decay of their own, so that a
tone darkens as it fades (struck and plucked) or brightens as it swells (bowed and
blown). Velocity sets the loudness, and how much of the upper layers is heard. The
instruments are written out in `timbres`; drums are bent sines and bands of noise.
Everything is computed from a fixed seed: the same notes give the same samples.
"""

import numpy as np

from data_pipelines.timbres import CHOKES, TIMBRES, drum_of
from data_pipelines.voices import (
    Tone,
    fading,
    mix_notes,
    release_curve,
    volume_envelope,
)

A4_HZ = 440.0
VIBRATO_HZ = 5.3
VIBRATO_BEGINS = 0.35  # seconds until it is there
BODY_HZ = 2000.0  # above it partials lose 12 dB an octave
_TABLE_BITS = 14
_DRUM_GAIN = 0.9
_SEED = 20_240_229


def render_synth(notes, length, sample_rate):
    """Play notes with formulas.

    Args:
        notes: array of dtype `voices.PLAYED`.
        length: int, samples wanted.

    Returns:
        float32 array (length, 2), of any loudness.
    """

    def tones(is_drum, program, pitch, velocities, holds):
        gains = (velocities / 127.0) ** 2
        if is_drum:
            yield _drum_tone(pitch, sample_rate), gains
            return
        brightness = np.minimum(0.3 + 0.7 * velocities / 96.0, 1.25)
        for tone, is_edge in _tones(
            TIMBRES[program], pitch, int(holds.max()), sample_rate
        ):
            yield tone, gains * brightness if is_edge else gains

    def choke_group(is_drum, program, pitch):
        return CHOKES.get(pitch, 0) if is_drum else 0

    return mix_notes(notes, length, sample_rate, tones=tones, choke_group=choke_group)


def _tones(timbre, pitch, hold, sample_rate):
    """The tones of one key: below and above, left and right: (`Tone`, is_edge)."""
    hz = A4_HZ * 2 ** ((pitch - 69) / 12)
    release = release_curve(sample_rate, timbre.release)
    length = hold + len(release)
    power = sum(a**2 for layer in timbre.layers for _, a in layer.partials) / 2
    gain = 0.2 * 10 ** (timbre.gain_db / 20) / np.sqrt(power)
    near, far = np.sqrt(0.5 - timbre.pan / 2), np.sqrt(0.5 + timbre.pan / 2)
    sides = [(0.0, near, far)]
    if timbre.detune_cents:  # two players, each nearer to one ear
        cents = timbre.detune_cents
        sides = [(-cents, 0.9 * near, 0.4 * far), (cents, 0.4 * near, 0.9 * far)]
    for cents, left, right in sides:
        phase = _phase(timbre, hz * 2 ** (cents / 1200), length, sample_rate)
        for is_edge in (False, True):
            layers = [layer for layer in timbre.layers if layer.is_edge == is_edge]
            waves = [
                _layer_wave(timbre, layer, hz, phase, pitch, sample_rate)
                for layer in layers
            ]
            if not is_edge and (timbre.breath or timbre.strike):
                waves.append(_air(timbre, hz, length, sample_rate))
            if waves:
                wave = _sum(waves) * np.float32(gain)
                yield Tone(wave, release, float(left), float(right)), is_edge


def _phase(timbre, hz, length, sample_rate):
    """Where in its period each sample lies: uint32 (length,), 2**32 to the turn."""
    step = np.uint32(round(hz / sample_rate * 2**32) % 2**32)
    phase = np.arange(length, dtype=np.uint32) * step
    if timbre.vibrato_cents:
        seconds = np.arange(length, dtype=np.float32) / np.float32(sample_rate)
        swing_hz = hz * (2 ** (timbre.vibrato_cents / 1200) - 1)
        depth = swing_hz / VIBRATO_HZ / (2 * np.pi)  # turns
        grown = np.minimum(seconds / VIBRATO_BEGINS, 1.0) ** 2
        turns = depth * grown * np.sin(2 * np.pi * VIBRATO_HZ * seconds)
        phase += (turns * 2.0**32).astype(np.int64).astype(np.uint32)
    return phase


def _layer_wave(timbre, layer, hz, phase, pitch, sample_rate):
    """Harmonics by one table; partials out of tune by a table each."""
    lasting = 2 ** ((60 - pitch) / 24) if timbre.sustain_db >= 100 else 1.0
    envelope = volume_envelope(
        len(phase),
        sample_rate,
        attack=timbre.attack * layer.attack,
        decay=timbre.decay * layer.decay * lasting,
        sustain_db=timbre.sustain_db,
    )
    phase = phase[: len(envelope)]
    heard = [
        (ratio, amplitude * _body_gain(timbre, ratio, hz))
        for ratio, amplitude in layer.partials
        if ratio * hz < 0.45 * sample_rate
    ]
    harmonics = {int(r): a for r, a in heard if r == int(r)}
    wave = _table(harmonics)[phase >> np.uint32(32 - _TABLE_BITS)] if harmonics else 0.0
    for ratio, amplitude in heard:
        if ratio != int(ratio):
            turns = np.arange(len(phase)) * (ratio * hz / sample_rate)
            wave = wave + amplitude * _sine(turns)
    return np.asarray(wave, dtype=np.float32) * envelope


def _body_gain(timbre, ratio, hz):
    """How the body of the instrument, or a vowel, colours a partial."""
    if timbre.formants:
        gains = (np.exp(-(((ratio * hz - f) / w) ** 2)) for f, w in timbre.formants)
        return 0.15 + sum(gains)
    # Wood and air take the brilliance of high keys, never the pitch itself.
    return (1 + (hz / BODY_HZ) ** 2) / (1 + (ratio * hz / BODY_HZ) ** 2)


def _table(harmonics):
    """One period of a sum of harmonics: float32 (2**14,)."""
    size = 1 << _TABLE_BITS
    spectrum = np.zeros(size // 2 + 1, dtype=np.complex128)
    for number, amplitude in harmonics.items():
        # Phases spread by Schroeder's rule: the same sound with lower peaks.
        turn = np.exp(1j * np.pi * number * (number - 1) / (len(harmonics) + 1))
        spectrum[number] = -0.5j * size * amplitude * turn
    return np.fft.irfft(spectrum, size).astype(np.float32)


def _sine(turns):
    return np.sin((2 * np.pi * (turns % 1.0)).astype(np.float32))


def _sum(waves):
    total = np.zeros(max(len(wave) for wave in waves), dtype=np.float32)
    for wave in waves:
        total[: len(wave)] += wave
    return total


def _air(timbre, hz, length, sample_rate):
    """The hammer's knock, and the player's breath around the pitch."""
    air = np.zeros(length, dtype=np.float32)
    if timbre.strike:
        knock = _noise(1, 0.08, 2.0 * hz, 6.0 * hz, sample_rate)[:length]
        air[: len(knock)] += (
            timbre.strike * knock * fading(len(knock), sample_rate, 0.1)
        )
    if timbre.breath:
        second = _noise(2, 2.0, 0.8 * hz, 3.5 * hz, sample_rate)
        breath = np.resize(second, length)
        rise = volume_envelope(length, sample_rate, attack=timbre.attack)
        air += timbre.breath * breath * rise
    return air


def _noise(seed, seconds, low_hz, high_hz, sample_rate):
    """A band of noise, RMS 1, that may be looped: float32 (samples,)."""
    size = 1 << round(np.log2(seconds * sample_rate))
    high_hz = min(high_hz, 0.48 * sample_rate)
    low_hz = min(low_hz, 0.5 * high_hz)
    rng = np.random.default_rng((_SEED, seed))
    spectrum = np.fft.rfft(rng.standard_normal(size))
    hz = np.fft.rfftfreq(size, 1 / sample_rate)
    # Soft edges: a steep band would whistle.
    below, above = np.maximum(hz, 1e-3) / low_hz, hz / high_hz
    spectrum *= 1 / np.sqrt((1 + below**-4) * (1 + above**8))
    noise = np.fft.irfft(spectrum, size)
    return (noise / np.sqrt((noise**2).mean())).astype(np.float32)


def _drum_tone(pitch, sample_rate):
    """One drum, struck: it rings out, however soon its key goes up."""
    drum = drum_of(pitch)
    length = round(max(drum.ring, drum.noise_ring, 0.05) * sample_rate)
    seconds = np.arange(length, dtype=np.float64) / sample_rate
    wave = np.zeros(length, dtype=np.float32)
    fall = 1 - np.exp(-seconds / drum.bend_time)
    warped = seconds + (drum.bend - 1) * drum.bend_time * fall
    for hz, amplitude in drum.partials:
        while hz > 0.45 * sample_rate:  # a low rate plays it an octave down
            hz = hz / 2
        wave += amplitude * _sine(hz * warped)
    wave *= fading(length, sample_rate, drum.ring)
    if drum.noise:
        burst = np.zeros(length, dtype=np.float32)
        step = round(drum.burst_gap * sample_rate)
        for number in range(drum.bursts):
            part = burst[number * step :]
            ring = drum.noise_ring if number == drum.bursts - 1 else 3 * drum.burst_gap
            part += fading(len(part), sample_rate, ring)
        noise = _noise(pitch, drum.noise_ring + 0.1, *drum.band_hz, sample_rate)
        wave += drum.noise * np.resize(noise, length) * np.minimum(burst, 1.2)
    rise = min(length, round(0.0008 * sample_rate))
    wave[:rise] *= np.linspace(0.0, 1.0, rise, dtype=np.float32)
    gain = _DRUM_GAIN * 10 ** (drum.gain_db / 20)
    left, right = np.sqrt(0.5 - drum.pan / 2), np.sqrt(0.5 + drum.pan / 2)
    return Tone(wave, None, float(gain * left), float(gain * right))

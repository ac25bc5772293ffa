"""A SoundFont 2 player in NumPy: it needs no library, and plays on every machine.

Plays presets, instruments and zones with their ranges and global zones; sample
loops; tuning; pan; attenuation; the volume envelope; the modulation envelope and
the two low-frequency oscillators on pitch, filter and volume; the resonant
low-pass; exclusive classes. Each key of each zone is read from its sample once
(4-point Hermite interpolation), and added wherever it sounds.

Left out: modulators (of the default ones, velocity to attenuation is built in),
reverb and chorus sends, the low bytes of 24-bit samples, the release of the
modulation envelope, and the compressed samples of .sf3 files.

Reference:
    E-mu Systems, SoundFont Technical Specification 2.04, 2006: sections 4-7 for
    the file, 8.1.3 for the generators, 8.4.1 for velocity, 9.1 for the voice.
    Attenuation counts 0.4 of what is written, as on the hardware for which the
    fonts were made, and as in FluidSynth.
"""

import numpy as np

from data_pipelines.sf2 import Gen, read_soundfont
from data_pipelines.voices import (
    SILENT_DB,
    Tone,
    mix_notes,
    release_curve,
    volume_envelope,
)

__all__ = ["read_soundfont", "render_soundfont"]

ATTENUATION_SCALE = 0.4
OPEN_FILTER_HZ = 16_000.0
_CHUNK = 1 << 15  # samples made at a time: what the cache holds
_SPAN = 1 << 16  # samples of a source that one chunk may cross
_FRAME = 1024  # samples that share one setting of the filter, overlapping by half


def render_soundfont(notes, length, sample_rate, *, soundfont):
    """Play notes with a soundfont.

    Args:
        notes: array of dtype `voices.PLAYED`.
        length: int, samples wanted.
        soundfont: `SoundFont`.

    Returns:
        float32 array (length, 2), of any loudness.

    Raises:
        ValueError: if the soundfont's samples are compressed.
    """
    if soundfont.is_compressed:
        raise ValueError(
            f"{soundfont.path}: compressed (.sf3) samples; this player reads .sf2."
        )

    def tones(is_drum, program, pitch, velocities, holds):
        for zone in soundfont.zones(*soundfont.find(program, is_drum)):
            inside = (zone.velocities[0] <= velocities) & (
                velocities <= zone.velocities[1]
            )
            if not zone.keys[0] <= pitch <= zone.keys[1] or not inside.any():
                continue
            fixed = zone.generators[Gen.FIXED_VELOCITY]
            loudness = np.full(len(velocities), fixed) if fixed >= 0 else velocities
            gains = np.where(inside, (loudness / 127.0) ** 2, 0.0)  # 8.4.1: concave
            if zone.generators[Gen.SAMPLE_MODES] & 3 != 3:
                yield (
                    _tone(soundfont, zone, pitch, holds[inside].max(), sample_rate),
                    gains,
                )
                continue
            for hold in np.unique(holds[inside]):  # the sample's end follows the key
                tone = _tone(soundfont, zone, pitch, hold, sample_rate)
                yield tone, np.where(holds == hold, gains, 0.0)

    def choke_group(is_drum, program, pitch):
        zones = soundfont.zones(*soundfont.find(program, is_drum))
        classes = [
            int(zone.generators[Gen.EXCLUSIVE_CLASS])
            for zone in zones
            if zone.keys[0] <= pitch <= zone.keys[1]
        ]
        return max(classes, default=0)

    return mix_notes(notes, length, sample_rate, tones=tones, choke_group=choke_group)


def _tone(font, zone, key, hold, sample_rate):
    """One key of one zone, held for `hold` samples and released: `Tone`."""
    gen = zone.generators
    head = font.tables["shdr"][gen[Gen.SAMPLE] & 0xFFFF]
    key = int(gen[Gen.FIXED_KEY]) if gen[Gen.FIXED_KEY] >= 0 else key
    envelope = _envelope_times(gen, Gen.VOLUME_ENV, key)
    sustain_db = np.clip(gen[Gen.VOLUME_ENV + 4] / 10, 0.0, 100.0)
    release = release_curve(sample_rate, _seconds(gen[Gen.VOLUME_ENV + 5]))
    level = volume_envelope(
        int(hold) + len(release),
        sample_rate,
        delay=envelope[0],
        attack=envelope[1],
        hold=envelope[2],
        decay=envelope[3],
        sustain_db=sustain_db,
    )
    octaves = np.clip(_cents(gen, head, key) / 1200, -10.0, 10.0)
    ratio = np.clip(head["sample_rate"], 400, 192_000) / sample_rate * 2.0**octaves
    source, loop = _source(font, gen, head, hold * ratio)
    bend = _bend_cents(gen, key, len(level), sample_rate)
    wave = _resampled(source, loop, ratio, bend, len(level))
    wave = _low_passed(wave, gen, key, sample_rate)
    wave *= level[: len(wave)]
    if gen[Gen.MOD_LFO_TO_VOLUME]:
        swing = _mod_lfo(gen, np.arange(len(wave)) / sample_rate)
        tremolo_db = gen[Gen.MOD_LFO_TO_VOLUME] / 10 * swing
        wave *= (10 ** (tremolo_db / 20)).astype(np.float32)
    pan = np.clip(gen[Gen.PAN] / 1000, -0.5, 0.5)  # -0.5 is left
    attenuation_db = max(0.0, gen[Gen.ATTENUATION] / 10 * ATTENUATION_SCALE)
    gain = 10 ** (-min(attenuation_db, SILENT_DB) / 20)
    left, right = gain * np.sqrt(0.5 - pan), gain * np.sqrt(0.5 + pan)
    return Tone(wave, release, float(left), float(right))


def _source(font, gen, head, reach):
    """A sample as it is read: one sample of lead, the loop unrolled, an end of zeros.

    Args:
        reach: float, how far the key is held, in samples of the source.

    Returns:
        float32 array, and the loop's (start, length) in it; length 0: no loop.
    """
    coarse = 32_768
    start = int(head["start"]) + gen[Gen.START_OFFSET] + coarse * gen[Gen.START_COARSE]
    end = int(head["end"]) + gen[Gen.END_OFFSET] + coarse * gen[Gen.END_COARSE]
    start, end = np.clip([start, end], 0, len(font.samples)).tolist()
    first = int(head["loop_start"]) + gen[Gen.LOOP_START_OFFSET]
    first = int(first + coarse * gen[Gen.LOOP_START_COARSE]) - start
    last = int(head["loop_end"]) + gen[Gen.LOOP_END_OFFSET]
    last = int(last + coarse * gen[Gen.LOOP_END_COARSE]) - start
    data = font.samples[start : max(start, end)].astype(np.float32) / 32_768
    mode = gen[Gen.SAMPLE_MODES] & 3
    if mode not in (1, 3) or not 0 <= first < last - 1 or last > len(data):
        return np.pad(data, (1, 3)), (0, 0)
    loop = data[first:last]
    if mode == 1:
        turns = _SPAN // len(loop) + 2
        unrolled = np.concatenate([data[:1], data[:last], np.tile(loop, turns)])
        return unrolled, (first + 1, last - first)
    turns = max(0, int(np.ceil((reach - last) / len(loop))))
    unrolled = np.concatenate([data[:last], np.tile(loop, turns), data[last:]])
    return np.pad(unrolled, (1, 3)), (0, 0)


def _resampled(source, loop, ratio, bend, length):
    """Read a source at `ratio` source samples a sample, 4-point Hermite.

    Args:
        bend: float array (length,) of cents, or None.

    Returns:
        float32 array, `length` long or shorter where the source ends.
    """
    loop_start, loop_length = loop
    highest = ratio if bend is None else ratio * 2 ** (bend.max(initial=0.0) / 1200)
    chunk = int(np.clip(_SPAN / highest - 1, 1, _CHUNK))
    steps = np.arange(chunk) * ratio
    position, parts = 1.0, []
    for begin in range(0, length, chunk):
        count = min(chunk, length - begin)
        if loop_length and position >= loop_start + loop_length:
            position = loop_start + (position - loop_start) % loop_length
        if bend is None:
            positions = position + steps[:count]
            position += ratio * count
        else:
            moves = np.cumsum(ratio * 2 ** (bend[begin : begin + count] / 1200))
            positions = position + np.append(0.0, moves[:-1])
            position += moves[-1]
        if not loop_length:
            positions = positions[: np.searchsorted(positions, len(source) - 3)]
        parts.append(_hermite(source, positions))
        if len(positions) < count:
            break
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _hermite(source, positions):
    """A cubic through the two samples around each position, with their slopes."""
    whole = positions.astype(np.int64)
    x = (positions - whole).astype(np.float32)
    before, here, there, after = (source[whole + k] for k in (-1, 0, 1, 2))
    slope = 0.5 * (there - before)
    rise = there - here
    bulge = 0.5 * (after - here) + slope - 2 * rise
    return ((bulge * x + (rise - slope - bulge)) * x + slope) * x + here


def _low_passed(wave, gen, key, sample_rate):
    """The two-pole low-pass of 9.1.7 under a moving cutoff, by overlapped frames.

    Each frame's spectrum is weighed by the filter's magnitude at its own cutoff:
    what a recursive filter does, without its phase and without a loop.
    """
    hop = _FRAME // 2
    frames = -(-len(wave) // hop) + 1
    cutoffs = _cutoff_hz(gen, key, np.arange(frames) * (hop / sample_rate))
    if not len(wave) or cutoffs.min() >= OPEN_FILTER_HZ:
        return wave
    padded = np.zeros((frames + 1) * hop, dtype=np.float32)
    padded[hop : hop + len(wave)] = wave
    window = np.sin(np.pi * np.arange(_FRAME) / _FRAME).astype(np.float32)
    bins = np.fft.rfftfreq(_FRAME, 1 / sample_rate)
    peak_db = np.clip(gen[Gen.FILTER_Q] / 10, 0.0, 96.0)
    q = 10 ** ((peak_db - 3.01) / 20)
    done = np.zeros((frames + 1, hop), dtype=np.float32)
    views = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::hop]
    for low in range(0, frames, 256):  # bounds the memory of a long note
        high = min(frames, low + 256)
        squares = (bins / cutoffs[low:high, None]) ** 2
        weights = 1 / np.sqrt((1 - squares) ** 2 + squares / q**2)
        spectra = np.fft.rfft(views[low:high] * window)
        spectra *= weights.astype(np.float32) * np.float32(10 ** (-peak_db / 40))
        shaped = np.fft.irfft(spectra, _FRAME) * window
        done[low:high] += shaped[:, :hop]
        done[low + 1 : high + 1] += shaped[:, hop:]
    return done.reshape(-1)[hop : hop + len(wave)]


def _cutoff_hz(gen, key, seconds):
    cents = np.full(len(seconds), gen[Gen.FILTER_CUTOFF], dtype=np.float64)
    if gen[Gen.MOD_ENV_TO_FILTER]:
        cents += gen[Gen.MOD_ENV_TO_FILTER] * _mod_envelope(gen, key, seconds)
    if gen[Gen.MOD_LFO_TO_FILTER]:
        cents += gen[Gen.MOD_LFO_TO_FILTER] * _mod_lfo(gen, seconds)
    return _hertz(np.clip(cents, 1_500, 13_500))


def _bend_cents(gen, key, length, sample_rate):
    """How far the pitch swings, in cents (length,); None if it is still."""
    to_pitch = [Gen.MOD_LFO_TO_PITCH, Gen.VIB_LFO_TO_PITCH, Gen.MOD_ENV_TO_PITCH]
    mod_lfo, vib_lfo, mod_env = gen[to_pitch].tolist()
    if not (mod_lfo or vib_lfo or mod_env):
        return None
    seconds = np.arange(length) / sample_rate
    frequency, delay = gen[Gen.VIB_LFO_FREQUENCY], gen[Gen.VIB_LFO_DELAY]
    bend = vib_lfo * _lfo(frequency, delay, seconds)
    if mod_lfo:
        bend += mod_lfo * _mod_lfo(gen, seconds)
    if mod_env:
        bend += mod_env * _mod_envelope(gen, key, seconds)
    return bend


def _mod_envelope(gen, key, seconds):
    """The modulation envelope, in [0, 1], at the given times."""
    delay, attack, hold, decay = _envelope_times(gen, Gen.MOD_ENV, key)
    sustain = 1 - np.clip(gen[Gen.MOD_ENV + 4] / 1000, 0.0, 1.0)
    marks = np.cumsum([0.0, delay, attack, hold, decay * (1 - sustain)])
    return np.interp(seconds, marks, [0.0, 0.0, 1.0, 1.0, sustain])


def _mod_lfo(gen, seconds):
    return _lfo(gen[Gen.MOD_LFO_FREQUENCY], gen[Gen.MOD_LFO_DELAY], seconds)


def _lfo(frequency_cents, delay, seconds):
    """A triangle between -1 and 1 that starts at 0 after its delay."""
    cycles = np.maximum(seconds - _seconds(delay), 0.0) * _hertz(frequency_cents)
    return 2 * np.abs(2 * ((cycles + 0.75) % 1.0) - 1) - 1


def _hertz(cents):
    return 8.176 * 2.0 ** (np.asarray(cents) / 1200)  # 8.176 Hz is key 0


def _envelope_times(gen, first, key):
    """Delay, attack, hold and decay in seconds: the last two shift with the key."""
    shift = 60 - key
    times = gen[first : first + 4].copy()
    times[2:] += shift * gen[first + 6 : first + 8]
    return [_seconds(time) if time > -12_000 else 0.0 for time in times]


def _seconds(timecents):
    return float(2.0 ** (np.clip(timecents, -12_000, 8_000) / 1200))


def _cents(gen, head, key):
    """How far above the sample's own pitch a key lies, in cents."""
    root = gen[Gen.ROOT_KEY]
    if root < 0:
        root = head["root_key"] if head["root_key"] <= 127 else 60
    tuning = 100 * gen[Gen.COARSE_TUNE] + gen[Gen.FINE_TUNE] + int(head["correction"])
    return float((key - int(root)) * gen[Gen.SCALE_TUNING] + tuning)

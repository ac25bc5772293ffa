"""A soundfont written byte by byte, whose sound can be worked out by hand."""

import struct

import numpy as np
import pytest

from data_pipelines.render import engines, find_soundfont, render
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.sf2 import Gen, read_soundfont
from data_pipelines.soundfont import render_soundfont
from data_pipelines.voices import played_notes

RATE = 44_100
PERIOD = 100  # samples: 441 Hz
SINE = np.sin(2 * np.pi * np.arange(10 * PERIOD) / PERIOD) * 16_000
GM = find_soundfont()
with_gm = pytest.mark.skipif(GM is None, reason="no General MIDI soundfont here")


def chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def font_bytes(
    zones,
    *,
    preset=(),
    sample=SINE,
    loop=(5 * PERIOD, 9 * PERIOD),
    root=69,
    correction=0,
    bank=0,
):
    """One preset of one instrument: each zone a list of (operator, amount).

    A zone is closed with the sample, unless it says it is ``None``: then global.
    """
    generators, bags = [], []
    for zone in zones:
        bags.append(len(generators))
        is_global = None in zone
        generators += [pair for pair in zone if pair is not None]
        if not is_global:
            generators.append((Gen.SAMPLE, 0))
    bags.append(len(generators))
    preset_generators = [*preset, (Gen.INSTRUMENT, 0)]
    name = struct.Struct("<20s")
    head = struct.Struct("<20sHHHIII")
    wave = np.concatenate([sample, np.zeros(46)]).astype("<i2")
    length = len(sample)
    pdta = {
        b"phdr": head.pack(b"One", 0, bank, 0, 0, 0, 0)
        + head.pack(b"EOP", 0, 0, 1, 0, 0, 0),
        b"pbag": struct.pack("<HHHH", 0, 0, len(preset_generators), 0),
        b"pmod": bytes(10),
        b"pgen": b"".join(struct.pack("<Hh", *pair) for pair in preset_generators)
        + bytes(4),
        b"inst": name.pack(b"One")
        + struct.pack("<H", 0)
        + name.pack(b"EOI")
        + struct.pack("<H", len(zones)),
        b"ibag": b"".join(struct.pack("<HH", bag, 0) for bag in bags),
        b"imod": bytes(10),
        b"igen": b"".join(struct.pack("<Hh", *pair) for pair in generators) + bytes(4),
        b"shdr": name.pack(b"sine")
        + struct.pack("<IIIII", 0, length, *loop, RATE)
        + struct.pack("<BbHH", root, correction, 0, 1)
        + bytes(46),
    }
    lists = (
        chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)))
        + chunk(b"LIST", b"sdta" + chunk(b"smpl", wave.tobytes()))
        + chunk(b"LIST", b"pdta" + b"".join(chunk(k, d) for k, d in pdta.items()))
    )
    return chunk(b"RIFF", b"sfbk" + lists)


LOOPED = (Gen.SAMPLE_MODES, 1)
AT_ONCE = (Gen.VOLUME_ENV + 5, -12_000)  # release


@pytest.fixture
def play(tmp_path):
    def play_notes(zones, *, pitch=69, velocity=127, beats=2, starts=(0,), **font):
        path = tmp_path / "test.sf2"
        path.write_bytes(font_bytes(zones, **font))
        is_drum = font.get("bank") == 128
        notes = notes_array([480 * s for s in starts], 480 * beats, pitch, velocity)
        score = Score(notes, tracks=(Track(is_drum=is_drum),))
        played = played_notes(score, RATE)
        length = round((score.length_seconds + 1) * RATE)
        return render_soundfont(played, length, RATE, soundfont=read_soundfont(path))

    return play_notes


def hertz(wave):
    size = 1 << 20
    magnitude = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size))
    return magnitude.argmax() * RATE / size


def rms(wave):
    return float(np.sqrt((np.asarray(wave, dtype=np.float64) ** 2).mean()))


def test_a_looped_sine_keeps_its_pitch_for_as_long_as_the_key_is_held(play):
    wave = play([[LOOPED, AT_ONCE]], beats=8)  # 4 s from 23 ms of sample
    assert hertz(wave[: 4 * RATE, 0]) == pytest.approx(441.0, abs=0.05)
    expected = 16_000 / 32_768 / np.sqrt(2) * np.sqrt(0.5)  # half of the power a side
    assert rms(wave[RATE : 3 * RATE, 0]) == pytest.approx(expected, rel=0.005)
    seams = np.diff(wave[:RATE, 0])
    assert np.abs(seams).max() < 1.02 * 2 * np.pi / PERIOD * 0.5 * np.sqrt(0.5)


def test_a_sample_without_a_loop_ends_where_it_ends(play):
    wave = play([[]])
    assert rms(wave[: 9 * PERIOD]) > 0.1
    assert not wave[10 * PERIOD + 1 :].any()


def test_mode_3_plays_the_rest_of_the_sample_when_the_key_goes_up(play):
    high = np.sin(2 * np.pi * np.arange(8000) / 20) * 16_000  # 2205 Hz, after the loop
    sample = np.concatenate([SINE, high])
    zone = [(Gen.SAMPLE_MODES, 3), (Gen.VOLUME_ENV + 5, 2400)]
    beats = np.array([2, 1])  # keys held for 1 s, and from 2 s on for 0.5 s
    wave = play([zone], sample=sample, starts=(0, 4), beats=beats)[:, 0]
    for begin, up in ((0, RATE), (2 * RATE, round(2.5 * RATE))):
        assert hertz(wave[begin + 2000 : up - 100]) == pytest.approx(441.0, abs=0.5)
        assert hertz(wave[up + 1000 :][:4000]) == pytest.approx(2205.0, abs=2)


@pytest.mark.parametrize(
    ("zone", "pitch", "cents"),
    [
        ([], 81, 1200),
        ([], 60, -900),
        ([(Gen.COARSE_TUNE, 3)], 69, 300),
        ([(Gen.FINE_TUNE, -35)], 69, -35),
        ([(Gen.ROOT_KEY, 57)], 69, 1200),
        ([(Gen.SCALE_TUNING, 50)], 81, 600),
        ([(Gen.FIXED_KEY, 71)], 40, 200),
    ],
)
def test_tuning_follows_the_generators(play, zone, pitch, cents):
    wave = play([[LOOPED, *zone]], pitch=pitch)
    assert 1200 * np.log2(hertz(wave[:RATE, 0]) / 441.0) == pytest.approx(cents, abs=1)


def test_the_samples_own_correction_is_applied(play):
    wave = play([[LOOPED]], correction=-50)
    assert 1200 * np.log2(hertz(wave[:RATE, 0]) / 441.0) == pytest.approx(-50, abs=1)


def test_vibrato_swings_around_the_pitch(play):
    zone = [LOOPED, (Gen.VIB_LFO_TO_PITCH, 100), (Gen.VIB_LFO_DELAY, -12_000)]
    wave = play([[*zone, (Gen.VIB_LFO_FREQUENCY, 0)]], beats=8)[: 4 * RATE, 0]
    rising = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    periods = np.diff(rising)
    assert RATE / periods.min() == pytest.approx(441 * 2 ** (1 / 12), rel=0.02)
    assert RATE / periods.max() == pytest.approx(441 * 2 ** (-1 / 12), rel=0.02)


def test_pan_attenuation_and_velocity_set_the_gains(play):
    middle = rms(play([[LOOPED]])[:RATE, 0])
    left = play([[LOOPED, (Gen.PAN, -500)]])[:RATE]
    assert not left[:, 1].any()
    assert rms(left[:, 0]) == pytest.approx(middle * np.sqrt(2), rel=1e-3)
    softer = rms(play([[LOOPED, (Gen.ATTENUATION, 100)]])[:RATE, 0])
    assert 20 * np.log10(softer / middle) == pytest.approx(-10 * 0.4, abs=0.01)
    half = rms(play([[LOOPED]], velocity=64)[:RATE, 0])
    assert half / middle == pytest.approx((64 / 127) ** 2, rel=1e-3)


def test_release_falls_100_db_in_its_time(play):
    wave = play([[LOOPED, (Gen.VOLUME_ENV + 5, 0)]])[RATE:, 0]  # 1 s after a key of 1 s
    early, late = rms(wave[4000:8000]), rms(wave[12_820:16_820])
    slope = 20 * np.log10(late / early) / (8820 / RATE)
    assert slope == pytest.approx(-100, abs=4)


def test_the_envelope_delays_rises_and_settles_at_its_sustain(play):
    first = Gen.VOLUME_ENV
    times = [(first, -1200), (first + 1, -2400), (first + 3, 0), (first + 4, 200)]
    wave = play([[LOOPED, *times]], beats=4)[:, 0]  # 0.5 s, 0.25 s, then to -20 dB
    assert not wave[: RATE // 2 - 2].any()
    half = rms(wave[round(0.62 * RATE) : round(0.63 * RATE)])
    full = 16_000 / 32_768 / 2
    assert half / full == pytest.approx(0.5, abs=0.06)
    settled = rms(wave[round(1.2 * RATE) : round(1.6 * RATE)])
    assert 20 * np.log10(settled / full) == pytest.approx(-20, abs=0.1)


def test_the_filter_falls_12_db_an_octave_above_its_cutoff(play):
    zone = [LOOPED, (Gen.FILTER_CUTOFF, 6900)]  # 440 Hz
    level = [
        rms(play([zone], pitch=pitch)[4000:RATE, 0]) for pitch in (45, 69, 93, 105)
    ]
    levels_db = 20 * np.log10(np.array(level) / rms(play([[LOOPED]])[4000:RATE, 0]))
    assert levels_db[0] == pytest.approx(0, abs=0.5)
    assert levels_db[1] == pytest.approx(-3, abs=0.5)
    assert levels_db[3] - levels_db[2] == pytest.approx(-12, abs=0.7)


def test_a_global_zone_speaks_where_the_others_are_silent_and_the_preset_adds(play):
    common = [None, LOOPED, (Gen.COARSE_TUNE, 5)]
    own = [(Gen.COARSE_TUNE, 12)]
    assert hertz(play([common, []])[:RATE, 0]) == pytest.approx(
        441 * 2 ** (5 / 12), abs=0.2
    )
    assert hertz(play([common, own])[:RATE, 0]) == pytest.approx(882, abs=0.2)
    more = play([common, own], preset=[(Gen.COARSE_TUNE, -24)])
    assert hertz(more[:RATE, 0]) == pytest.approx(220.5, abs=0.2)


def test_keys_and_velocities_choose_their_zone(play):
    low = [(Gen.KEY_RANGE, 60 << 8), LOOPED]
    soft = [(Gen.KEY_RANGE, 61 | 127 << 8), (Gen.VELOCITY_RANGE, 99 << 8), LOOPED]
    up = [(Gen.KEY_RANGE, 61 | 127 << 8), (Gen.VELOCITY_RANGE, 100 | 127 << 8)]
    zones = [low, soft, [*up, LOOPED, (Gen.COARSE_TUNE, 12)]]
    assert hertz(play(zones, velocity=99)[:RATE, 0]) == pytest.approx(441, abs=0.2)
    assert hertz(play(zones, velocity=100)[:RATE, 0]) == pytest.approx(882, abs=0.2)
    narrowed = play(zones, pitch=60, preset=[(Gen.KEY_RANGE, 61 | 127 << 8)])
    assert not narrowed.any()


def test_an_exclusive_class_cuts_what_sounded_before(play):
    zone = [LOOPED, (Gen.EXCLUSIVE_CLASS, 1), (Gen.VOLUME_ENV + 5, 3600)]
    pan = [(Gen.KEY_RANGE, 69 | 69 << 8), (Gen.PAN, -500)]
    other = [(Gen.KEY_RANGE, 70 | 70 << 8), (Gen.PAN, 500)]
    zones = [[*pan, *zone], [*other, *zone]]
    wave = play(zones, pitch=[69, 70], starts=(0, 2), beats=4, bank=128)
    assert rms(wave[RATE // 2 : RATE, 0]) > 0.1
    assert not wave[RATE + 1000 :, 0].any()
    assert rms(wave[RATE + 1000 : 2 * RATE, 1]) > 0.1


def test_a_missing_program_falls_back_and_is_heard(tmp_path):
    path = tmp_path / "one.sf2"
    path.write_bytes(font_bytes([[LOOPED]]))
    assert read_soundfont(path).find(77, is_drum=False) == (0, 0)
    tracks = (Track(program=77), Track(is_drum=True))
    score = Score(notes_array([0, 960], 480, 69, 100, [0, 1]), tracks=tracks)
    for engine in engines(path):
        if engine.is_present:
            rendered = render(score, engine=engine.name, soundfont=path)
            parts = rendered.waveform[: 2 * RATE].reshape(4, -1)
            assert np.abs(parts[[0, 2]]).max(axis=1).min() > 0.01, engine.name


def test_every_truncation_is_refused_by_name(tmp_path):
    whole = font_bytes([[LOOPED]])
    path = tmp_path / "cut.sf2"
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.sf2: [^\n]*$"):
            read_soundfont(path)


@pytest.mark.parametrize("name", [b"phdr", b"pbag", b"inst", b"ibag"])
def test_an_index_that_points_nowhere_is_refused(tmp_path, name):
    whole = bytearray(font_bytes([[LOOPED]]))
    column = {b"phdr": 24, b"inst": 20}.get(name, 0)
    size = {b"phdr": 38, b"inst": 22}.get(name, 4)
    last = whole.index(name) + 8 + size + column
    whole[last : last + 2] = b"\xff\x7f"
    path = tmp_path / "astray.sf2"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"astray\.sf2: broken soundfont: .* outside"):
        read_soundfont(path)


def test_a_damaged_soundfont_is_refused_or_played_within_the_law(tmp_path):
    whole = np.frombuffer(font_bytes([[LOOPED], []]), dtype=np.uint8)
    tables = bytes(whole).index(b"pdta")
    score = Score(notes_array([0, 240], 240, [60, 72], 100))
    rng = np.random.default_rng(0)
    path = tmp_path / "bent.sf2"
    played = 0
    for _ in range(300):
        bent = whole.copy()
        bent[rng.integers(tables, len(bent))] ^= 1 << rng.integers(8)
        path.write_bytes(bent.tobytes())
        try:
            wave = render(
                score, engine="soundfont", soundfont=path, sample_rate=8000
            ).waveform
        except ValueError as error:
            assert "bent.sf2" in str(error)
        else:
            played += 1
            assert np.isfinite(wave).all() and np.abs(wave).max() <= 1
    assert 100 < played < 300


@with_gm
@pytest.mark.parametrize("program", [0, 16, 24, 33, 40, 48, 56, 71, 73, 80])
def test_it_plays_what_tinysoundfont_plays(program):
    if "tinysoundfont" not in [e.name for e in engines() if e.is_present]:
        pytest.skip("tinysoundfont is not installed")
    tracks = (Track(program=program),)
    score = Score(notes_array([0, 1920], 1440, [60, 69], 127), tracks=tracks)
    mine, theirs = (
        render(score, engine=name, soundfont=GM).waveform.mean(axis=1)
        for name in ("soundfont", "tinysoundfont")
    )
    for begin in (0.3, 2.3):
        parts = [wave[round(begin * RATE) :][:RATE] for wave in (mine, theirs)]
        cents = 1200 * np.log2(hertz(parts[0]) / hertz(parts[1]))
        assert abs(cents) < 2 or abs(abs(cents) - 1200) < 2  # or another octave leads
    bands = [np.log(bands_of(wave)) for wave in (mine, theirs)]
    assert np.corrcoef(bands[0].ravel(), bands[1].ravel())[0, 1] > 0.93
    level = [20 * np.log10(envelope(wave) + 1e-3) for wave in (mine, theirs)]
    sounding = level[1] > level[1].max() - 25
    assert np.abs(level[0] - level[1])[sounding].mean() < 3  # dB


def bands_of(wave):
    frames = wave[: len(wave) // 4096 * 4096].reshape(-1, 4096)
    powers = np.abs(np.fft.rfft(frames * np.hanning(4096))) ** 2
    return np.add.reduceat(powers, 2 ** np.arange(2, 11), axis=1) + 1e-2


def envelope(wave):
    frames = wave[: len(wave) // 11_025 * 11_025].reshape(-1, 11_025)  # 0.25 s
    return np.sqrt((frames**2).mean(axis=1))

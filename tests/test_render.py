import subprocess
import sys

import numpy as np
import pytest

from data_pipelines import render as rendering
from data_pipelines.render import (
    ENGINES,
    LOUDNESS,
    PEAK,
    TAIL_SECONDS,
    EngineUnavailable,
    engines,
    find_soundfont,
    length_samples,
    render,
)
from data_pipelines.score import PEDAL, Score, Tempo, Track, notes_array

RATE = 44_100
MISSING = {engine.name: engine.reason for engine in engines() if engine.reason}
EVERY = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(name in MISSING, reason=MISSING.get(name, "present")),
    )
    for name in ENGINES
]
every_engine = pytest.mark.parametrize("engine", EVERY)
DRUMS = Track("drums", 0, is_drum=True)


def one_note(pitch, program=0, velocity=90, beats=4, is_drum=False):
    track = Track(program=program, is_drum=is_drum)
    return Score(notes_array([0], 480 * beats, pitch, velocity), tracks=(track,))


def spectrum(waveform, begin=0.15, seconds=1.5):
    mono = waveform.mean(axis=1)[round(begin * RATE) :][: round(seconds * RATE)]
    size = 1 << 19
    magnitude = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), size))
    return np.fft.rfftfreq(size, 1 / RATE), magnitude


def strongest_hz(waveform, near_hz):
    """The peak within a third of `near_hz`, between bins by a parabola."""
    hz, magnitude = spectrum(waveform)
    inside = (hz > near_hz / 1.25) & (hz < near_hz * 1.25)
    peak = np.where(inside, magnitude, 0).argmax()
    left, top, right = np.log(magnitude[peak - 1 : peak + 2])
    return hz[peak] + 0.5 * (left - right) / (left - 2 * top + right) * hz[1]


def band_energy(waveform, low_hz, high_hz):
    hz, magnitude = spectrum(waveform)
    return (magnitude[(hz >= low_hz) & (hz < high_hz)] ** 2).sum()


def onset_seconds(waveform):
    loud = np.abs(waveform).max(axis=1) > 0.05 * np.abs(waveform).max()
    return np.flatnonzero(loud)[0] / RATE


def assert_lawful(rendered, score):
    waveform = rendered.waveform
    assert waveform.dtype == np.float32
    announced = length_samples(score, rendered.sample_rate)
    assert waveform.shape == (announced, 2)
    seconds = score.length_seconds + TAIL_SECONDS
    assert announced == np.ceil(seconds * rendered.sample_rate)
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max(initial=0.0) <= 1.0


@every_engine
@pytest.mark.parametrize("program", [0, 19, 48])
def test_a_rendered_a4_is_440_hz(engine, program):
    waveform = render(one_note(69, program), engine=engine).waveform
    assert abs(strongest_hz(waveform, 440.0) - 440.0) <= 2.0
    if program != 19:  # the organ of most fonts has a stop an octave below
        below, there = (band_energy(waveform, hz - 9, hz + 9) for hz in (220, 440))
        assert there > 10 * below


@every_engine
def test_octaves_and_middle_c_are_where_they_belong(engine):
    for pitch, hz in ((57, 220.0), (81, 880.0), (60, 261.626)):
        found = strongest_hz(render(one_note(pitch), engine=engine).waveform, hz)
        assert abs(found / hz - 1) < 0.0045, f"pitch {pitch}: {found:.2f} Hz"


@every_engine
@pytest.mark.parametrize("sample_rate", [8000, 22_050, 48_000])
def test_the_pitch_does_not_depend_on_the_sample_rate(engine, sample_rate):
    rendered = render(one_note(69, 19), engine=engine, sample_rate=sample_rate)
    assert_lawful(rendered, one_note(69, 19))
    mono = rendered.waveform.mean(axis=1)[sample_rate // 4 :][:sample_rate]
    magnitude = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))  # bins of 1 Hz
    assert abs(300 + magnitude[300:600].argmax() - 440) <= 2


@every_engine
def test_kick_snare_and_hi_hat_are_audible_and_ever_brighter(engine):
    centroids = []
    for key in (36, 38, 42):
        score = one_note(key, beats=1, is_drum=True)
        waveform = render(score, engine=engine).waveform
        assert np.sqrt((waveform[: RATE // 4] ** 2).mean()) > 0.01
        hz, magnitude = spectrum(waveform, begin=0.0, seconds=0.3)
        centroids.append((hz * magnitude**2).sum() / (magnitude**2).sum())
    assert centroids[0] < 0.6 * centroids[1] < 0.4 * centroids[2]


@every_engine
def test_every_drum_and_every_program_sounds(engine):
    rate = 8000
    for program in range(128):
        waveform = render(
            one_note(60, program, beats=1), engine=engine, sample_rate=rate
        ).waveform
        assert np.abs(waveform).max() > 0.1, f"program {program}"
    for key in range(35, 82):
        score = one_note(key, beats=1, is_drum=True)
        waveform = render(score, engine=engine, sample_rate=rate).waveform
        assert np.abs(waveform).max() > 0.1, f"drum {key}"


@every_engine
def test_an_empty_score_is_silent_and_as_long_as_the_tail(engine):
    rendered = render(Score(notes_array([], [], [])), engine=engine)
    assert rendered.waveform.shape == (round(TAIL_SECONDS * RATE), 2)
    assert not rendered.waveform.any()


@every_engine
def test_a_chord_of_128_notes_does_not_clip(engine):
    score = Score(notes_array(0, 960, np.arange(128), 127))
    rendered = render(score, engine=engine)
    assert_lawful(rendered, score)
    assert np.abs(rendered.waveform).max() > 0.1


@every_engine
def test_a_drum_only_score_is_lawful(engine):
    notes = notes_array(np.arange(32) * 240, 10, np.resize([36, 42, 38, 46], 32), 120)
    score = Score(notes, tracks=(DRUMS,))
    rendered = render(score, engine=engine)
    assert_lawful(rendered, score)
    level = np.abs(rendered.waveform[: 8 * RATE]).max(axis=1).reshape(16, -1)
    assert (level.max(axis=1) > 0.02).all()  # every half second


@pytest.mark.slow
@every_engine
def test_a_hundred_thousand_notes_are_lawful(engine, monkeypatch):
    rng = np.random.default_rng(0)
    # FluidSynth looks through all its voices for each note: of 2,048, for a minute.
    monkeypatch.setattr(rendering, "_voices_needed", lambda _: 256)
    count = 100_000
    notes = notes_array(
        rng.integers(0, 960 * 300, count),
        rng.integers(1, 120, count),
        rng.integers(0, 128, count),
        rng.integers(1, 128, count),
        rng.integers(0, 4, count),
    )
    score = Score(notes, tracks=(Track(), Track(program=13), Track(program=45), DRUMS))
    rendered = render(score, engine=engine, sample_rate=8000)
    assert_lawful(rendered, score)
    assert rendered.waveform[: 300 * 8000].any()


@every_engine
def test_a_quiet_note_is_audible_and_a_loud_one_leaves_headroom(engine):
    for velocity in (1, 20, 127):
        waveform = render(one_note(60, 48, velocity), engine=engine).waveform
        sounding = waveform[RATE // 4 : RATE]
        assert 0.03 < np.sqrt((sounding**2).mean()) < 0.35
        assert np.abs(waveform).max() <= 0.892  # -1 dBFS


@every_engine
def test_a_held_note_has_the_common_loudness_and_a_click_the_common_peak(engine):
    organ = render(one_note(60, 19), engine=engine).waveform[RATE // 4 : RATE]
    assert np.sqrt((organ**2).mean()) == pytest.approx(LOUDNESS, rel=0.2)
    click = render(one_note(42, 0, is_drum=True), engine=engine).waveform
    assert np.abs(click).max() <= PEAK * 1.0001


@every_engine
def test_a_louder_velocity_is_louder_within_a_score(engine):
    notes = notes_array([0, 1920], 960, 60, [40, 120])
    waveform = render(Score(notes), engine=engine).waveform
    soft, loud = (np.sqrt((waveform[a : a + RATE] ** 2).mean()) for a in (0, RATE * 2))
    assert loud > 2 * soft


@every_engine
def test_two_tracks_are_heard_together(engine):
    notes = notes_array(0, 1920, [45, 76], 100, [0, 1])
    tracks = (Track("bass", 33), Track("flute", 73))
    waveform = render(Score(notes, tracks=tracks), engine=engine).waveform
    floor = band_energy(waveform, 4500, 4700)
    assert band_energy(waveform, 107, 113) > 100 * floor
    assert band_energy(waveform, 640, 680) > 100 * floor


@every_engine
def test_no_track_is_lost_among_three_hundred(engine):
    count = 300  # more than a synthesiser has channels
    tracks = tuple(Track(program=k % 20) for k in range(count))
    starts = np.arange(count) * 240
    notes = notes_array(starts, 200, 60 + np.arange(count) % 12, 100, np.arange(count))
    rendered = render(Score(notes, tracks=tracks), engine=engine, sample_rate=8000)
    step = rendered.waveform[: count * 2000].reshape(count, -1)
    assert (np.abs(step).max(axis=1) > 0.01).all()


@every_engine
def test_a_tempo_change_moves_the_onset_to_the_right_second(engine):
    # Two quarters at 120 last 1 s, two at 30 last 4 s: the fifth begins at 5 s.
    score = Score(
        notes_array([4 * 480], 480, 72, 100),
        tempos=(Tempo(0, 120.0), Tempo(2 * 480, 30.0)),
    )
    assert abs(onset_seconds(render(score, engine=engine).waveform) - 5.0) < 0.02


@every_engine
def test_a_note_ends_when_its_key_goes_up(engine):
    waveform = render(one_note(72, 19, beats=1), engine=engine).waveform
    held = np.abs(waveform[RATE // 4 : RATE // 2]).max()
    assert np.abs(waveform[round(1.7 * RATE) :]).max() < 0.05 * held


@every_engine
def test_a_pedalled_note_rings_until_the_pedal_goes_up(engine):
    # All keys go up after half a second; the first organ's pedal is down for 2 s.
    notes = notes_array(0, 480, [72, 45, 42], 100, [0, 1, 2])
    tracks = (Track(program=19), Track(program=19), DRUMS)
    pedals = np.array([(240, 1680, 0)], dtype=PEDAL)
    wet = Score(notes, tracks=tracks, pedals=pedals)
    rendered = render(wet, engine=engine)
    assert len(rendered.waveform) == length_samples(wet, RATE) == 3.5 * RATE
    level = [
        np.abs(rendered.waveform[round(at * RATE) :][: RATE // 4]).max()
        for at in (1.0, 1.7, 2.4)
    ]
    assert min(level[:2]) > 0.05
    assert level[2] < 0.05 * level[1]
    hz, magnitude = spectrum(rendered.waveform, begin=1.0, seconds=0.9)
    high, low = (magnitude[abs(hz - key) < 10].max() for key in (523.25, 110.0))
    assert low < 0.02 * high  # the other organ has no pedal
    dry = render(Score(notes, tracks=tracks), engine=engine).waveform
    assert len(dry) == 2 * RATE
    assert np.abs(dry[round(1.5 * RATE) :]).max() < 0.05 * level[1]


@every_engine
def test_a_key_struck_twice_sounds_until_the_last_note_ends(engine):
    # On one key: 0..4 s and, inside it, 1..2 s; in unison 6..7 s and 6..8 s;
    # overlapping, 10..12 s and 11..13 s.
    starts = np.array([0, 1, 6, 6, 10, 11]) * 960
    lengths = np.array([4, 1, 1, 2, 2, 2]) * 960
    notes = notes_array(starts, lengths, 60, 100)
    score = Score(notes, tracks=(Track(program=16),))
    waveform = render(score, engine=engine).waveform
    level = [np.abs(waveform[a * RATE // 2 :][: RATE // 2]).max() for a in range(28)]
    assert min(level[0:8]) > 0.05  # sounding up to 4 s
    assert max(level[9:12]) < 0.01  # silent from 4.5 s to 6 s
    assert min(level[12:16]) > 0.05
    assert max(level[17:20]) < 0.01
    assert min(level[20:26]) > 0.05
    assert level[27] < 0.01  # nothing hangs


@every_engine
def test_the_end_is_silent_so_that_nothing_clicks(engine):
    score = one_note(36, 49, 127, beats=1)
    waveform = render(score, engine=engine).waveform
    assert np.abs(waveform[-20:]).max() < 1e-4


@pytest.mark.parametrize("engine", EVERY[1:])
def test_the_same_score_gives_the_same_samples(engine):
    notes = notes_array([0, 240, 480], 480, [60, 64, 38], 90, [0, 1, 2])
    score = Score(notes, tracks=(Track(), Track(program=48), DRUMS))
    first, second = (render(score, engine=engine).waveform for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("engine", EVERY[:2])
def test_the_players_of_soundfonts_agree_on_a_band(engine):
    if "soundfont" in MISSING:
        pytest.skip(MISSING["soundfont"])
    notes = notes_array(
        np.repeat(np.arange(8) * 480, 3),
        400,
        np.tile([60, 67, 36], 8),
        100,
        np.tile([0, 1, 2], 8),
    )
    score = Score(notes, tracks=(Track(), Track(program=73), DRUMS))
    mine, other = (
        np.log(octave_bands(render(score, engine=name).waveform))
        for name in ("soundfont", engine)
    )
    assert np.corrcoef(mine.ravel(), other.ravel())[0, 1] > 0.9


def octave_bands(waveform):
    frames = waveform.mean(axis=1)[: len(waveform) // 4096 * 4096].reshape(-1, 4096)
    powers = np.abs(np.fft.rfft(frames * np.hanning(4096))) ** 2
    return np.add.reduceat(powers, 2 ** np.arange(2, 11), axis=1) + 1e-3


def test_auto_takes_the_first_engine_that_is_present():
    present = [engine.name for engine in engines() if engine.is_present]
    assert [engine.name for engine in engines()] == list(ENGINES)
    assert present[-1] == "synth"
    assert render(one_note(60, beats=1)).engine == present[0]


def test_an_unknown_engine_is_refused_with_the_names_allowed():
    with pytest.raises(ValueError, match=", ".join(ENGINES)):
        render(one_note(60), engine="kazoo")


def test_an_absent_engine_says_why_and_what_is_present(monkeypatch):
    monkeypatch.setattr(rendering, "find_spec", lambda name: None)
    monkeypatch.setattr(rendering, "SYSTEM_SOUNDFONTS", rendering.Path("/nowhere"))
    monkeypatch.delenv("ETUDE_SOUNDFONT", raising=False)
    with pytest.raises(EngineUnavailable, match=r"no soundfont.*Present: synth\.$"):
        render(one_note(60), engine="tinysoundfont")
    rendered = render(one_note(60, beats=1))
    assert (rendered.engine, rendered.soundfont) == ("synth", None)


@pytest.mark.skipif("soundfont" in MISSING, reason="no soundfont here")
def test_the_soundfont_that_is_named_is_the_one_played(tmp_path, monkeypatch):
    copy = tmp_path / "mine.sf2"
    copy.symlink_to(find_soundfont())
    rendered = render(one_note(60, beats=1), engine="soundfont", soundfont=copy)
    assert rendered.soundfont == str(copy)
    monkeypatch.setenv("ETUDE_SOUNDFONT", str(copy))
    assert render(one_note(60, beats=1), engine="soundfont").soundfont == str(copy)


@pytest.mark.parametrize("engine", [*ENGINES, "auto"])
def test_a_soundfont_that_is_none_is_refused_by_name(engine, tmp_path):
    for name, content in (
        ("absent.sf2", None),
        ("empty.sf2", b""),
        ("wrong.sf2", b"MThd" + bytes(100)),
        ("wave.sf2", b"RIFF\x64\0\0\0WAVE" + bytes(92)),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=name) as caught:
            render(one_note(60), engine=engine, soundfont=path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sample_rate", [0, 7999, 96_001])
def test_a_sample_rate_out_of_range_is_refused(sample_rate):
    with pytest.raises(ValueError, match=rf"8000\.\.96000 Hz. Received: {sample_rate}"):
        render(one_note(60), sample_rate=sample_rate)


def test_rendering_loads_nothing_that_is_slow():
    code = (
        "import sys; from data_pipelines.render import render, ENGINES, engines\n"
        "from data_pipelines.score import Score, notes_array\n"
        "score = Score(notes_array([0], 480, 60))\n"
        "for e in engines():\n"
        "    if e.is_present: render(score, engine=e.name)\n"
        "slow = {'scipy', 'tensorflow', 'keras', 'pretty_midi', 'music21', 'fluidsynth'}\n"
        "print(slow & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"

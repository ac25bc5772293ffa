"""The drums and tones that the kit makes itself: held to physics, not to their code."""

import doctest
from functools import cache

import numpy as np
import pytest

from data_pipelines import tones as tones_module
from data_pipelines.audio import read_waveform
from data_pipelines.drum_sounds import KINDS, drum_sounds, synthesise, write_folder
from data_pipelines.encode import classes_in, label_of
from data_pipelines.guard import walk_names
from data_pipelines.tones import PITCHES, class_name, hertz, pitch_of, tone, tones

EACH = 8  # of a kind, in the tests of what a kind is


@cache
def drums():
    """Some sounds of each kind: dict of kind -> list of `Waveform`."""
    made = [sound for _, sound in drum_sounds(EACH * len(KINDS), seed=1)]
    return {kind: [s for s in made if s.label == kind] for kind in KINDS}


def spectrum(sound, *, size=2**17):
    """(hz, power) of a whole sound."""
    power = np.abs(np.fft.rfft(sound.mono().astype("float64"), size)) ** 2
    return np.fft.rfftfreq(size, 1 / sound.sample_rate), power


def centroid(sound):
    hz, power = spectrum(sound, size=2**15)
    return (hz * power).sum() / power.sum()


def seconds_to_fall(sound, db):
    """When all but `db` of the energy is over."""
    left = np.square(sound.mono().astype("float64"))[::-1].cumsum()[::-1]
    return (left > left[0] * 10 ** (-db / 10)).sum() / sound.sample_rate


def check(sound):
    """What holds for every sound that is made here."""
    samples = sound.mono().astype("float64")
    assert np.isfinite(samples).all()
    assert sound.samples.shape[1] == 1
    assert 0.099 <= sound.seconds <= 1.501
    assert -4.01 <= 20 * np.log10(np.abs(samples).max()) <= -1.99
    assert abs(samples.mean()) < 1e-6
    # It comes out of silence and ends in it: no click at either edge.
    assert np.abs(samples[[0, -1]]).max() < 1e-6
    last = samples[-round(0.001 * sound.sample_rate) :]
    assert np.abs(last).max() < 0.001 * np.abs(samples).max() + 0.005 * is_tone(sound)
    assert sound.title == sound.label


def is_tone(sound):
    return sound.label not in KINDS


def test_sound_k_is_the_same_whatever_the_count_and_another_under_another_seed():
    few, more = list(drum_sounds(9, 5)), list(drum_sounds(11, 5))
    assert few == more[:9]
    other = list(drum_sounds(9, 6))
    assert [name for name, _ in other] == [name for name, _ in few]
    assert not any(a == b for (_, a), (_, b) in zip(few, other, strict=True))
    assert list(drum_sounds(0)) == []


def test_kinds_come_in_turn_and_names_are_places_in_a_folder():
    names = [name for name, _ in drum_sounds(2 * len(KINDS), 0, 8000)]
    assert names[:3] == ["kick/kick-00000", "snare/snare-00000", *names[2:3]]
    assert names[len(KINDS)] == "kick/kick-00001"
    assert len(set(names)) == len(names)
    assert all(len(sounds) == EACH for sounds in drums().values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_never_clips_has_no_offset_and_ends_in_silence(kind):
    for sound in drums()[kind]:
        check(sound)


@pytest.mark.slow
def test_two_hundred_seeds_of_each_kind_never_clip_and_end_in_silence():
    for number in range(200):
        for kind in KINDS:
            check(synthesise(kind, np.random.default_rng(number)))


@pytest.mark.parametrize("sample_rate", [4000, 8000, 44_100])
def test_any_sample_rate_holds_every_kind(sample_rate):
    for _, sound in drum_sounds(len(KINDS), 2, sample_rate):
        check(sound)
        assert sound.sample_rate == sample_rate


def test_kinds_differ_in_brightness_as_drums_do():
    middle = {kind: np.median([*map(centroid, drums()[kind])]) for kind in KINDS}
    print({kind: round(hz) for kind, hz in middle.items()})
    order = ["kick", "cowbell", "rim", "clap", "cymbal", "hihat_open"]
    assert sorted(order, key=middle.get) == order
    assert middle["tom"] < middle["cowbell"]
    assert middle["clap"] < middle["hihat_closed"]
    assert middle["rim"] < middle["snare"] < middle["cymbal"]


def test_an_open_hihat_and_a_cymbal_ring_longer_than_a_closed_hihat():
    ring = {k: [seconds_to_fall(s, 30) for s in drums()[k]] for k in KINDS}
    assert max(ring["hihat_closed"]) < min(ring["hihat_open"])
    assert np.median(ring["hihat_open"]) < np.median(ring["cymbal"])


def test_a_kick_falls_to_a_deep_pitch():
    for sound in drums()["kick"]:
        crossings = np.flatnonzero(np.diff(np.sign(sound.mono()[1:-1])))
        periods = (crossings[2:] - crossings[:-2]) / sound.sample_rate
        begin = crossings[:-2] / sound.sample_rate
        early, later = (np.median(periods[p]) for p in (begin < 0.02, begin > 0.1))
        assert 38 < 1 / later < 70  # Hz: the lowest octave of a bass
        assert early < 0.7 * later


def test_the_two_tones_of_a_cowbell_are_a_fifth_and_some_apart():
    for sound in drums()["cowbell"]:
        hz, power = spectrum(sound)
        first = hz[np.where(hz < 650, power, 0).argmax()]
        second = hz[
            np.where((hz > 1.3 * first) & (hz < 1.7 * first), power, 0).argmax()
        ]
        assert 1.44 < second / first < 1.54


@pytest.mark.parametrize("kind", ["hihat_closed", "hihat_open"])
def test_metal_does_not_hum_below_its_band(kind):
    for sound in drums()[kind]:
        hz, power = spectrum(sound)
        assert power[hz < 2000].sum() < 0.01 * power.sum()
        assert power[hz < 1000].max() < 0.01 * power.max()


def test_a_clap_is_several_bursts():
    for sound in drums()["clap"]:
        width = round(0.003 * sound.sample_rate)
        loud = np.abs(sound.mono()[: 30 * width]).reshape(30, width).max(axis=1)
        rises = (loud[1:] > 1.5 * loud[:-1]).sum()
        assert rises >= 2


def test_what_is_written_is_read_back_in_folders_that_are_the_classes(tmp_path):
    made = dict(drum_sounds(2 * len(KINDS), 0, 8000))
    assert write_folder(tmp_path / "kit", made.items()) == len(made)
    names = list(walk_names(tmp_path / "kit"))
    assert classes_in(names) == tuple(sorted(KINDS))
    for name, sound in made.items():
        path = tmp_path / "kit" / f"{name}.wav"
        back = read_waveform(path)
        assert np.abs(back.samples - sound.samples).max() <= 1 / 2**15
        assert label_of(path, tuple(KINDS)) == sound.label
        assert label_of(path.name, tuple(KINDS)) == sound.label  # its name says it too
    assert write_folder(tmp_path / "none", []) == 0


def test_what_cannot_be_made_is_refused_by_name():
    with pytest.raises(ValueError, match=r"`kind` must be one of kick.*'gong'"):
        synthesise("gong", np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"`count` must be at least 0. Received: -1"):
        next(drum_sounds(-1))
    with pytest.raises(ValueError, match=r"`seed` must be at least 0. Received: -2"):
        next(tones(seed=-2))
    with pytest.raises(ValueError, match=r"`sample_rate` must be an integer"):
        next(drum_sounds(1, 0, 999))


def test_a_tone_of_any_timbre_peaks_at_its_pitch():
    heard = []
    for name, sound in tones(PITCHES, 3 * len(PITCHES), seed=4):
        check(sound)
        meant = 440 * 2 ** ((pitch_of(sound.label) - 69) / 12)
        size = 2**18
        windowed = sound.mono() * np.hanning(len(sound))
        power = np.abs(np.fft.rfft(windowed, size))
        cents = 1200 * np.log2(power.argmax() * sound.sample_rate / size / meant)
        assert abs(cents) < 4, name
        assert name.startswith(f"{sound.label}/{sound.label}-0000")
        heard.append(sound)
    assert len({sound.label for sound in heard}) == len(PITCHES)
    assert len({round(centroid(sound)) for sound in heard}) > len(PITCHES)


def test_pitches_have_the_names_that_musicians_give_them():
    assert [class_name(p) for p in (60, 69, 61, 24, 21)] == [
        "C4",
        "A4",
        "C#4",
        "C1",
        "A0",
    ]
    assert all(pitch_of(class_name(pitch)) == pitch for pitch in range(128))
    assert hertz(69) == 440.0
    assert hertz(57) == pytest.approx(220.0)
    with pytest.raises(ValueError, match=r"named like A4 or C#3. Received: 'H4'"):
        pitch_of("H4")


def test_the_lowest_and_the_highest_tone_are_tones():
    for pitch, rate in ((24, 8000), (108, 16_000)):
        for seed in range(6):
            check(tone(pitch, np.random.default_rng(seed), rate))


@pytest.mark.parametrize(
    ("pitches", "rate", "told"),
    [
        ((), 16_000, "must be some, each once"),
        ((60, 60), 16_000, "must be some, each once"),
        ((23,), 16_000, r"must be an integer in 24\.\.108. Received: 23"),
        ((60.0,), 16_000, r"must be an integer in 24\.\.108. Received: 60.0"),
        ((108,), 8000, "must be above 9,302 Hz for C8. Received: 8,000"),
    ],
)
def test_pitches_that_cannot_be_are_refused(pitches, rate, told):
    with pytest.raises(ValueError, match=told):
        next(tones(pitches, 1, sample_rate=rate))


def test_tone_k_is_the_same_whatever_the_count():
    assert list(tones((60, 62), 3)) == list(tones((60, 62), 5))[:3]
    assert list(tones((60, 62), 0)) == []


def test_the_doctests_in_the_docstrings_are_true():
    assert doctest.testmod(tones_module).failed == 0

"""Mixtures whose truth is known: what is shared between splits, and what chords are."""

import numpy as np
import pytest
from conftest import tune

from audio_models import numpy_ops
from audio_models.separation import distortion_db
from data_pipelines.drum_patterns import STYLES
from data_pipelines.kinship import content_digest
from data_pipelines.mixtures import (
    BASS_FAMILY,
    KITS,
    METRES,
    SAMPLE_RATE,
    SHARD_MIXTURES,
    SPLITS,
    STEMS,
    arrange,
    chord_of,
    draw_mixture,
    mixture_batches,
    mixture_level,
    programs_of,
    read_mixtures,
    split_tunes,
    turned_parts,
    write_mixtures,
)
from data_pipelines.score import Key, Score, Tempo, Track, notes_array
from data_pipelines.spectra import stft

SCALE = np.array([60, 62, 64, 65, 67, 69, 71, 72])


def some_tunes(count=30, metre=(4, 4)):
    rng = np.random.default_rng(0)
    return [
        tune(SCALE[np.clip(np.cumsum(rng.integers(-2, 3, 64)) + 4, 0, 7)], metre=metre)
        for _ in range(count)
    ]


# Splits


def test_no_instrument_and_no_kit_plays_in_two_splits():
    for kind in (programs_of, KITS.get):
        every = [item for split in SPLITS for item in kind(split)]
        assert len(set(every)) == len(every)
    for split in SPLITS:
        families = [program // 8 for program in programs_of(split)]
        assert set(families) == set(range(12))  # each has its pianos, basses, flutes


def test_a_tune_and_its_transposition_are_in_one_split():
    tunes = some_tunes(20)
    shared = split_tunes([*tunes, *(each.transposed(3) for each in tunes)])
    assert sum(map(len, shared.values())) == 40
    for tunes in shared.values():
        digests = [content_digest(each, invariant=True) for each in tunes]
        assert all(digests.count(digest) == 2 for digest in digests)


def test_tunes_that_no_drum_pattern_fits_are_left_out():
    odd = [tune(SCALE, metre=(5, 4)), tune(SCALE, metre=(9, 8)), tune(SCALE[:4])]
    assert not any(split_tunes(odd).values())
    assert {style.metre for style in STYLES} >= set(METRES.values())


# Arrangements


def test_a_chord_is_the_triad_that_holds_most_of_the_bar():
    sounding = np.zeros(12)
    sounding[[2, 5, 9]] = 1.0  # D F A, in C major the second degree
    assert chord_of(sounding, 0) == (2, 5, 9)
    assert chord_of(np.zeros(12), 0) == (0, 4, 7)  # a rest: the tonic
    only_g = np.eye(12)[7]  # in C E G, G B D and E G B: the tonic comes first
    assert chord_of(only_g, 0) == (0, 4, 7)
    assert chord_of(np.zeros(12), 2) == (2, 6, 9)  # two sharps: D F# A
    assert chord_of(np.zeros(12), -1) == (5, 9, 0)  # one flat: F A C


@pytest.mark.parametrize("metre", [(4, 4), (2, 2), (2, 4), (3, 4), (6, 8)])
def test_three_players_play_the_same_bars_at_the_same_tempo(metre):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        scores = arrange(some_tunes(1, metre)[0], "train", rng, seconds=4.0)
        melody, accompaniment, drums = scores
        assert len({score.qpm for score in scores}) == 1
        assert drums.is_drum_note().all() and not melody.is_drum_note().any()
        quarters = [score.end_tick / score.ticks_per_quarter for score in scores]
        bar = 4 * metre[0] / metre[1]
        assert abs(quarters[1] - quarters[2]) < bar
        bass = accompaniment.track_notes(0)["pitch"]
        assert bass.max() < accompaniment.track_notes(1)["pitch"].min()


def test_the_melody_keeps_its_intervals_and_the_chords_follow_it():
    line = tune([60, 64, 67, 64, 62, 65, 69, 65], duration=480)
    line = Score(line.notes, keys=(Key(0, 0),), metres=line.metres)
    rng = np.random.default_rng(0)
    melody, accompaniment, _ = arrange(line, "test", rng, seconds=60.0)
    assert np.diff(melody.notes["pitch"].astype(int)).tolist() == [
        4, 3, -3, -2, 3, 4, -4
    ]  # fmt: skip
    shift = int(melody.notes["pitch"][0]) - 60
    starts = accompaniment.notes["start"]
    for bar, chord in ((0, {0, 4, 7}), (1, {2, 5, 9})):
        inside = (starts >= bar * 1920) & (starts < (bar + 1) * 1920)
        classes = set(accompaniment.notes["pitch"][inside] % 12)
        assert classes == {(pitch + shift) % 12 for pitch in chord}
    played = {track.program for s in (melody, accompaniment) for track in s.tracks}
    assert played <= set(programs_of("test"))
    assert accompaniment.tracks[0].program // 8 == BASS_FAMILY


# Sound


def test_a_mixture_is_the_sum_of_parts_that_all_sound():
    mixture = draw_mixture(some_tunes(3), "train", 0, seconds=2.0)
    assert mixture.stems.shape == (len(STEMS), 2 * SAMPLE_RATE)
    assert (np.sqrt((mixture.stems**2).mean(axis=1)) > 1e-3).all()
    np.testing.assert_array_equal(mixture.mix, mixture.stems.sum(axis=0))
    assert np.abs(mixture.mix).max() == pytest.approx(0.8, abs=1e-3)


def test_the_same_seed_gives_the_same_mixture_and_another_another():
    tunes = some_tunes(3)
    one, again, other = (
        draw_mixture(tunes, "test", seed, seconds=1.0).stems for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_drum_kit_that_is_higher_keeps_the_beat():
    from data_pipelines.mixtures import _sound

    click = Score(
        notes_array([0, 480, 960, 1440], 120, 37),
        tracks=(Track("Drums", 0, True),),
        tempos=(Tempo(0, 120.0),),
    )
    for kit in (0.8, 1.0, 1.24):
        sound = np.abs(_sound(click, 2 * SAMPLE_RATE, "synth", kit))
        for beat in range(4):
            first = round(beat * 0.5 * SAMPLE_RATE)
            before = sound[max(0, first - 800) : max(1, first - 80)].max()
            assert sound[first : first + 800].max() > 10 * before


def test_a_split_without_tunes_is_refused():
    with pytest.raises(ValueError, match="no tune for the split 'valid'"):
        draw_mixture([], "valid", 0)


# Shards


def test_shards_hold_what_was_rendered_and_are_not_made_twice(tmp_path, monkeypatch):
    from data_pipelines import mixtures

    made = []

    def quick(tunes, split, seed, *, engine):
        made.append(seed)
        rng = np.random.default_rng(seed)
        return mixtures.Mixture(rng.normal(size=(3, 50)).astype("f4"), ())

    monkeypatch.setattr(mixtures, "draw_mixture", quick)
    write_mixtures(tmp_path, ["a tune"], "valid", SHARD_MIXTURES + 1, seed=7)
    assert made == [[7, 1, number] for number in range(2 * SHARD_MIXTURES)]
    write_mixtures(tmp_path, ["a tune"], "valid", SHARD_MIXTURES + 1, seed=7)
    assert len(made) == 2 * SHARD_MIXTURES
    found = list(read_mixtures(tmp_path, "valid"))
    assert len(found) == 2 * SHARD_MIXTURES
    truth = np.random.default_rng([7, 1, 23]).normal(size=(3, 50))
    np.testing.assert_allclose(found[23], truth, atol=1e-4)  # 16 bits of the peak


def test_a_damaged_shard_and_an_empty_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no mixtures of the split 'test'"):
        next(read_mixtures(tmp_path, "test"))
    (tmp_path / "test-0000.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(ValueError, match=r"test-0000\.npz is no shard"):
        next(read_mixtures(tmp_path, "test"))


# Batches


def test_parts_turned_by_the_phase_of_the_mixture_sum_to_its_magnitude():
    parts = np.random.default_rng(0).normal(size=(2, 3, 400)).astype("f4")
    magnitudes, along, across = turned_parts(parts, window=64, hop=32)
    np.testing.assert_allclose(along.sum(axis=-1), magnitudes, atol=1e-4)
    np.testing.assert_allclose(across.sum(axis=-1), 0, atol=1e-4)


def test_the_mean_square_of_a_mixture_is_one_however_loud_it_is():
    noise = np.random.default_rng(0).normal(size=(1, 1, 50_000)).astype("f4")
    for gain in (1e-3, 1.0, 100.0):
        magnitudes, _, _ = turned_parts(gain * noise, window=64, hop=32)
        assert np.mean(magnitudes**2) == pytest.approx(1.0, rel=0.05)
    assert mixture_level(np.zeros((2, 9)), 64).tolist() == [1.0, 1.0]


def test_batches_are_of_the_shape_asked_for_and_the_same_for_a_seed():
    stems = list(np.random.default_rng(0).normal(size=(4, 3, 900)).astype("f4"))

    def first(seed):
        sizes = {"frames": 20, "batch_size": 2, "window": 64, "hop": 32}
        return next(mixture_batches(stems, **sizes, seed=seed))

    magnitudes, along, across = first(0)
    assert magnitudes.shape == (2, 20, 33)
    assert along.shape == across.shape == (2, 20, 33, 3)
    np.testing.assert_array_equal(magnitudes, first(0)[0])
    assert not np.array_equal(magnitudes, first(1)[0])


def test_distortion_is_that_of_the_masked_spectrum():
    parts = np.random.default_rng(0).normal(size=(2, 3, 300)).astype("f4")
    magnitudes, along, across = turned_parts(parts, window=32, hop=16)
    rng = np.random.default_rng(1)
    masks = rng.dirichlet(np.ones(3), size=magnitudes.shape).astype("f4")
    found = distortion_db(numpy_ops, masks, magnitudes, along, across)
    spectra = stft(parts, window=32, hop=16)  # (B, K, T, F)
    mixture = spectra.sum(axis=1)
    for row in range(2):
        for stem in range(3):
            error = masks[row, ..., stem] * mixture[row] - spectra[row, stem]
            energy = (np.abs(spectra[row, stem]) ** 2).sum()
            plain = 10 * np.log10((np.abs(error) ** 2).sum() / energy)
            assert found[row, stem] == pytest.approx(plain, abs=0.01)


# The figures


@pytest.fixture
def shards_of_sines(tmp_path, monkeypatch):
    """A folder of mixtures of three sines each, 3.2 s long, in the place of music."""
    from data_pipelines import mixtures
    from studio import bench_separate

    times = np.arange(100 * 512) / SAMPLE_RATE

    def sines(tunes, split, seed, *, engine):
        rng = np.random.default_rng(seed)
        hertz = np.array([300, 1500, 5000]) * rng.uniform(0.9, 1.1, 3)
        stems = np.sin(2 * np.pi * hertz[:, None] * times)
        return mixtures.Mixture(stems.astype("f4"), ())

    monkeypatch.setattr(mixtures, "draw_mixture", sines)
    monkeypatch.setattr(
        bench_separate, "tunes_by_split", lambda: dict.fromkeys(SPLITS, ("a tune",))
    )
    return tmp_path / "mixtures"


def test_the_row_is_the_mean_over_all_stems_beside_the_oracle(
    shards_of_sines, monkeypatch
):
    from studio import bench_separate

    class Halves:
        stems, window, hop = STEMS, 1024, 512

        def part(self, mix):
            return np.stack([mix] * 3) / 2

    monkeypatch.setattr(bench_separate, "open_separator", lambda model: Halves())
    told = []
    row = bench_separate.separate(mixtures=shards_of_sines, count=3, tell=told.append)
    assert row["value"] == pytest.approx(0, abs=1e-3)  # half the mixture is no nearer
    assert row["baseline_value"] > 20
    assert (row["ratio"], row["mixtures"], row["target"]) == (0, 3, 0.5)
    assert len(told) == 3 and told[0].startswith("melody: ")


@pytest.mark.slow
def test_training_writes_a_bundle_that_separates_better_than_nothing(
    shards_of_sines, tmp_path
):
    from studio.bench_separate import train_separator
    from studio.separate import open_separator

    lines = []
    best = train_separator(
        tmp_path / "separate",
        steps=30,
        counts={"train": 4, "valid": 2},
        mixtures=shards_of_sines,
        sizes={"squeezed_dim": 16, "hidden_dim": 16, "num_layers": 1},
        tell=lines.append,
    )
    assert best > 1  # dB; masks that say nothing give 0
    assert "valid SI-SDR improvement" in lines[-1]
    separator = open_separator(tmp_path / "separate")
    card = (tmp_path / "separate" / "card.md").read_text()
    assert "--steps 30" in card and "--train 4 --seed 0" in card
    stems = next(read_mixtures(shards_of_sines, "valid"))
    np.testing.assert_allclose(
        separator.part(stems.sum(axis=0)).sum(axis=0), stems.sum(axis=0), atol=1e-4
    )

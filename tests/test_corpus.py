"""Folders: every file accounted for, no piece twice, a split that holds."""

import os

import numpy as np
import pytest
from conftest import data_folder, tune

from data_pipelines.cache import load_scores, save_scores
from data_pipelines.corpus import read_folder, write_report
from data_pipelines.guard import REASONS, Refused, read_score, walk
from data_pipelines.kinship import content_digest, kin_groups, split_by_tune
from data_pipelines.midi import midi_bytes, write_midi
from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.melody import MelodyTokenizer


def random_tunes(count, seed=0, length=60):
    rng = np.random.default_rng(seed)
    return [60 + np.cumsum(rng.integers(-3, 4, length)) for _ in range(count)]


@pytest.fixture
def mixed_folder(tmp_path):
    """Good files among one of each bad kind."""
    folder = tmp_path / "music"
    (folder / "deep" / "er").mkdir(parents=True)
    write_midi(folder / "good.mid", tune([60, 62, 64]))
    write_midi(folder / "deep" / "er" / "also good.mid", tune([60, 64, 67]))
    write_midi(folder / "louder copy.mid", tune([60, 62, 64], qpm=99.0))
    (folder / "empty.mid").write_bytes(b"")
    (folder / "cut.mid").write_bytes(midi_bytes(tune(range(60, 90)))[:-30])
    (folder / "readme.txt").write_text("not music")
    (folder / "fake.mid").write_text("not music either")
    write_midi(folder / "silent.mid", Score(notes_array([], [], [])))
    write_midi(folder / "endless.mid", tune([60, 62], duration=480 * 20_000))
    (folder / "link to nothing.mid").symlink_to(folder / "gone.mid")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.mid")
    else:
        (folder / "pipe.mid").write_bytes(b"")
    return folder


def test_every_file_is_accounted_for_once_with_its_reason(mixed_folder, tmp_path):
    corpus = read_folder(mixed_folder)
    told = {line.path.split("/")[-1]: line for line in corpus.report}
    assert len(corpus.report) == len(told) == 11
    reasons = {name: line.reason for name, line in told.items() if line.reason}
    assert reasons == {
        "louder copy.mid": "duplicate",
        "empty.mid": "empty file",
        "cut.mid": "damaged",
        "readme.txt": "not music",
        "fake.mid": "not music",
        "silent.mid": "no notes",
        "endless.mid": "too long",
        "link to nothing.mid": "unreadable",
        "pipe.mid": "not a regular file" if hasattr(os, "mkfifo") else "empty file",
    }
    assert set(reasons.values()) <= set(REASONS)
    assert {piece.name.split("/")[-1] for piece in corpus.pieces} == {
        *("good.mid", "also good.mid")
    }
    report = tmp_path / "report.jsonl"
    write_report(report, corpus)
    assert len(report.read_text().splitlines()) == 11


def test_a_file_larger_than_the_limit_is_not_read(tmp_path):
    path = tmp_path / "big.mid"
    with open(path, "wb") as file:
        file.truncate(2**31)
    with pytest.raises(Refused, match=r"too large: 2,147,483,648 bytes"):
        read_score(path)


def test_walking_gives_every_file_in_order(mixed_folder):
    assert walk(mixed_folder) == walk(mixed_folder)
    assert walk(mixed_folder / "good.mid") == [mixed_folder / "good.mid"]
    with pytest.raises(FileNotFoundError, match="No such file or folder"):
        walk(mixed_folder / "nowhere")


def test_the_digest_sees_notes_and_nothing_else():
    score = tune([60, 62, 64])
    finer = Score(
        notes_array(np.arange(3) * 480, 480, [60, 62, 64], 33),
        960,
        (Track("other", 5),),
    )
    assert content_digest(score) == content_digest(finer)
    assert content_digest(score) != content_digest(tune([60, 62, 65]))


def test_a_tune_in_another_key_or_slightly_varied_is_kin():
    first, second = random_tunes(2)
    varied = first + 5
    varied[30] += 1
    assert kin_groups([first, second, varied]) == [0, 1, 0]


def test_no_tune_nor_its_variant_is_in_two_splits():
    tunes = random_tunes(200)
    tunes += [tune + 3 for tune in tunes[:60]]
    split = split_by_tune(tunes, [content_digest(tune_of(t)) for t in tunes])
    assert split[:60] == split[200:]
    shares = {name: split.count(name) / len(split) for name in set(split)}
    assert shares["train"] == pytest.approx(0.8, abs=0.08)
    assert min(shares.values()) > 0.04


def tune_of(pitches):
    return tune(np.clip(pitches, 0, 127))


def test_a_new_file_moves_no_other_tune_to_another_split():
    tunes = random_tunes(120)
    digests = [content_digest(tune_of(t)) for t in tunes]
    assert split_by_tune(tunes, digests)[:100] == split_by_tune(
        tunes[:100], digests[:100]
    )


@pytest.mark.parametrize("count", [3, 4, 7, 10])
def test_a_small_folder_still_holds_something_back_and_something_to_learn(count):
    tunes = random_tunes(count)
    rng = np.random.default_rng(count)
    for _ in range(300):
        digests = [rng.bytes(32).hex() for _ in tunes]
        assert set(split_by_tune(tunes, digests)) == {"train", "valid", "test"}


def test_any_number_of_transposed_copies_of_a_tune_are_one_tune():
    first, other = random_tunes(2)
    copies = [first + shift for shift in range(-30, 31)]
    assert len(set(kin_groups([*copies, other]))) == 2


def test_two_tunes_that_share_a_phrase_are_not_kin():
    first, second = random_tunes(2)
    second[:14] = first[:14]
    assert kin_groups([first, second]) == [0, 1]


def test_a_file_whose_numbers_would_swell_is_refused(tmp_path):
    path = tmp_path / "swelling.mid"
    score = Score(
        notes_array([0, 2**27], [1, 1], [60, 62]),
        16,
        tempos=(Tempo(0, 1999.0),),
        metres=(Metre(0, 1, 64),),
    )
    write_midi(path, score)
    with pytest.raises(Refused, match="too long"):
        read_score(path)


def test_more_bars_than_music_has_are_refused(tmp_path):
    score = Score(
        notes_array([0, 60_000], [1, 1], [60, 62]), 16, metres=(Metre(0, 1, 64),)
    )
    write_midi(tmp_path / "bars.mid", score)
    with pytest.raises(Refused, match=r"too long: 60,001 bars"):
        read_score(tmp_path / "bars.mid")


def test_bundles_runs_and_hidden_folders_are_no_music_of_the_person(tmp_path):
    for name in (".git", "my.bundle", "my.bundle.run"):
        (tmp_path / name).mkdir()
        write_midi(tmp_path / name / "sample.mid", tune([60, 62]))
    (tmp_path / "my.bundle" / "bundle.json").write_text("{}")
    (tmp_path / "my.bundle" / "SHA256SUMS").write_text("")
    (tmp_path / "my.bundle.run" / "report.jsonl").write_text("")
    write_midi(tmp_path / "mine.mid", tune([60, 64]))
    assert walk(tmp_path) == [tmp_path / "mine.mid"]


def test_one_or_two_tunes_are_all_for_training():
    tunes = random_tunes(2)
    assert split_by_tune(tunes, ["a" * 64, "b" * 64]) == ["train", "train"]


def test_the_split_of_nottingham_is_the_same_when_run_again(nottingham):
    tokenizer = MelodyTokenizer()
    folder = data_folder("nottingham")
    corpus = read_folder(folder)
    assert len(corpus.report) == 1034
    assert corpus.refusals() == {"duplicate": 5}
    melodies = [tokenizer.pitches(tokenizer.encode(p.score)) for p in corpus.pieces]
    digests = [p.digest for p in corpus.pieces]
    split = split_by_tune(melodies, digests)
    backwards = split_by_tune(melodies[::-1], digests[::-1])
    assert split == backwards[::-1]


def test_scores_come_back_from_the_cache_as_they_went(tmp_path):
    scores = [tune([60, 62]), tune([70], metre=(6, 8)), tune([1, 2, 3], qpm=77.0)]
    save_scores(tmp_path / "deep" / "cache.npz", scores)
    assert load_scores(tmp_path / "deep" / "cache.npz") == scores


def test_a_broken_cache_is_named(tmp_path):
    (tmp_path / "cache.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match="is no score cache"):
        load_scores(tmp_path / "cache.npz")

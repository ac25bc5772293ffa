"""Q1 and Q2: the protocols to the letter, and the floor beneath them."""

import numpy as np
import pytest
from conftest import data_folder

from audio_models import MODELS
from audio_models.bundle import Bundle
from audio_models.network import first_values
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from studio import bench_chorales
from studio.bench_chorales import frames_to_ids, heard_nats
from studio.chorale_floor import VoiceNGram

SMALL = {"embedding_dim": 8, "hidden_dim": 12, "chain_dim": 12}


def random_frames(length, seed=0):
    rng = np.random.default_rng(seed)
    moves = rng.integers(-2, 3, (length, 4)) * (rng.random((length, 4)) < 0.3)
    frames = np.array([72, 65, 60, 50]) + np.cumsum(moves, axis=0)
    return np.where(rng.random((length, 4)) < 0.05, -1, frames)


def bundle(seed=0):
    architecture = MODELS["voices"](vocab_size=145, **SMALL)
    weights = {
        name: first_values(weight, [seed, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    return Bundle(architecture, weights, ChoraleTokenizer().spec())


def test_the_ids_of_frames_are_those_of_their_music():
    frames = random_frames(48)
    frames[0] = frames[-1] = [72, 65, 60, 50]  # no silence at either end to cut off
    notes = []
    for voice in range(4):
        begins = np.flatnonzero(np.diff(frames[:, voice], prepend=-9))
        for begin, end in zip(begins, [*begins[1:], len(frames)], strict=True):
            if frames[begin, voice] >= 0:
                notes.append(
                    (begin * 120, (end - begin) * 120, frames[begin, voice], voice)
                )
    start, duration, pitch, voice = np.array(notes).T
    score = Score(
        notes_array(start, duration, pitch, 80, voice),
        480,
        tuple(Track(name) for name in ("Soprano", "Alto", "Tenor", "Bass")),
        metres=(),
    )
    tokenizer = ChoraleTokenizer()
    np.testing.assert_array_equal(
        frames_to_ids(frames, tokenizer), tokenizer.encode(score)[:-1]
    )


def test_there_is_one_probability_a_note_of_every_frame_held_ones_included():
    excerpts = np.stack([random_frames(20, seed) for seed in (1, 2)])
    nats = heard_nats([bundle(0), bundle(1)], excerpts, shifts=(0, 3))
    assert nats.shape == (2, 2, 2, 20, 4)
    assert (nats < 0).all()
    # Music heard three semitones higher is that music.
    higher = heard_nats([bundle(0)], excerpts + 3 * (excerpts >= 0), shifts=(0,))
    np.testing.assert_allclose(nats[0, 1], higher[0, 0], atol=1e-6)


def test_a_note_is_told_from_what_came_before_it_alone():
    frames = random_frames(12)
    changed = frames.copy()
    changed[7, 2] += 1
    before, after = (
        heard_nats([bundle()], f[None], shifts=(0,))[0, 0, 0] for f in (frames, changed)
    )
    np.testing.assert_allclose(before[:7], after[:7], atol=1e-6)
    np.testing.assert_allclose(before[7, :2], after[7, :2], atol=1e-6)
    assert np.abs(before[7:] - after[7:]).max() > 1e-4


def test_the_floor_leaves_no_more_than_the_whole_to_all_notes_together():
    pieces = [random_frames(40, seed) for seed in range(5)]
    floor = VoiceNGram().fit(pieces)
    frames = random_frames(10, seed=9)
    total = 0.0
    for pitch in (-1, *range(30, 95)):
        frames[9, 3] = pitch
        total += np.exp(floor.log_probabilities(frames)[:, 9, 3])
    # 66 pitches, where one that was never seen is taken for one of 50.
    assert (total > 0.3).all() and (total <= 66 / 50 + 1e-9).all()


def test_the_floor_knows_every_key_of_what_it_read():
    piece = random_frames(40)
    floor = VoiceNGram().fit([piece])
    higher = np.where(piece < 0, piece, piece + 5)
    ours, theirs = (floor.log_probabilities(p) for p in (piece, higher))
    # But for the first frame: an interval needs a note before it.
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:])
    assert floor.log_probabilities(piece)[5].mean() > np.log(0.5)


@pytest.fixture
def few_chorales(monkeypatch):
    pieces = {
        split: [random_frames(length, length) for length in lengths]
        for split, lengths in (
            ("train", (40, 60)),
            ("valid", (50, 30)),
            ("test", (70,)),
        )
    }
    monkeypatch.setattr(bench_chorales, "chorales", lambda: pieces)
    return pieces


def test_both_protocols_count_each_note_that_they_say(few_chorales):
    notes = bench_chorales.measure([bundle()], "notes")
    assert notes["valid"]["notes"] == (50 + 30) * 4
    assert notes["test"]["notes"] == 70 * 4
    best = min(notes["valid"]["networks, every key"], notes["valid"]["n-gram"])
    assert notes["valid"]["mixture"] <= best + 1e-9
    # Windows of 33 frames, 16 apart: two of 50 frames, none of 30, three of 70.
    windows = bench_chorales.measure([bundle()], "windows")
    assert windows["valid"]["notes"] == 2 * (33 * 4 - 1)
    assert windows["test"]["notes"] == 3 * (33 * 4 - 1)


def test_the_canonical_chorales_are_as_many_as_published():
    data_folder("jsb")
    pieces = bench_chorales.chorales()
    assert [len(pieces[split]) for split in ("train", "valid", "test")] == [229, 76, 77]
    assert sum(p.size for p in pieces["test"]) == 75_600
    assert min(p.min() for p in pieces["train"]) == -1

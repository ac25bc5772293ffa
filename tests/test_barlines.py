"""Bars found by ear: where they are known, they are found again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder, etude, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.barlines import find_bars, with_found_bars
from data_pipelines.guard import read_file
from data_pipelines.midi import write_midi
from data_pipelines.score import Key, Metre, Score, Tempo, notes_array

QUARTER = 480


def song(beats=4, bars=16, seed=0):
    """A low note on each bar line that changes with it, quavers above it."""
    rng = np.random.default_rng(seed)
    start, duration, pitch = [], [], []
    for bar in range(bars):
        root = int(rng.choice([36, 38, 40, 41, 43, 45]))
        start.append(bar * beats * QUARTER)
        duration.append(beats * QUARTER)
        pitch.append(root)
        for eighth in range(2 * beats):
            start.append((2 * bar * beats + eighth) * QUARTER // 2)
            duration.append(QUARTER // 2)
            pitch.append(root + 24 + int(rng.choice([0, 4, 7])))
    return Score(
        notes_array(start, duration, pitch), QUARTER, metres=(Metre(0, beats, 4),)
    )


def later(score, ticks):
    """The same notes, so many ticks later."""
    notes = score.notes.copy()
    notes["start"] += ticks
    return replace(score, notes=notes)


@given(st.integers(0, 4 * QUARTER - 1), st.sampled_from([3, 4]), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_bars_are_found_wherever_the_clock_put_them(ticks, beats, seed):
    played = later(song(beats, seed=seed), ticks)
    bars = find_bars(played)
    assert bars.beats == beats
    off = (bars.offset - ticks / QUARTER) % beats
    assert min(off, beats - off) < 1 / QUARTER
    mended = with_found_bars(replace(played, metres=(Metre(0, 1, 4),)))
    assert mended.metres == (Metre(0, beats, 4),)
    low = mended.notes["start"][mended.notes["pitch"] < 48]
    assert (low % (beats * QUARTER)).max() <= 1  # each low note on its bar line


def test_what_sounds_stays_as_it_was():
    score = replace(
        later(song(), 700),
        tempos=(Tempo(0, 90.0), Tempo(960, 100.0)),
        keys=(Key(0, 2), Key(1920, -1)),
    )
    mended = with_found_bars(score)
    moved = int(mended.notes["start"][0] - score.notes["start"][0])
    assert 0 <= moved < 4 * QUARTER
    for name in ("duration", "pitch", "velocity", "track"):
        assert np.array_equal(mended.notes[name], score.notes[name])
    assert np.array_equal(mended.notes["start"] - moved, score.notes["start"])
    assert mended.tempos == (Tempo(0, 90.0), Tempo(960 + moved, 100.0))
    assert mended.keys == (Key(0, 2), Key(1920 + moved, -1))


def test_bars_that_are_right_stay_where_they_are():
    mended = with_found_bars(song())
    assert np.array_equal(mended.notes, song().notes)


def test_music_without_a_beat_is_refused_with_the_figure():
    rng = np.random.default_rng(0)
    loose = notes_array(rng.integers(0, 40_000, 300), 100, rng.integers(40, 80, 300))
    with pytest.raises(ValueError, match=r"no steady beat: 0\.\d\d of 1 on a grid"):
        with_found_bars(Score(loose, QUARTER))


def test_a_handful_of_notes_is_too_short():
    with pytest.raises(ValueError, match="4 notes, at least 16 are wanted"):
        find_bars(tune([60, 62, 64, 65]))


@pytest.mark.slow
def test_bars_of_real_tunes_with_chords_are_found_in_nineteen_of_twenty():
    found = {"metre": 0, "bar": 0, "all": 0}
    rng = np.random.default_rng(0)
    for path in sorted(data_folder("nottingham").glob("*.mid"))[:200]:
        score = read_file(path).contents[0]
        metre = score.metre
        beats = metre.beats * 4 / metre.beat_unit
        if len(score.metres) != 1 or beats not in (3, 4) or len(score) < 16:
            continue
        shift = int(rng.integers(0, beats * score.ticks_per_quarter))
        bars = find_bars(later(replace(score, pedals=score.pedals[:0]), shift))
        off = (bars.offset - shift / score.ticks_per_quarter) % beats
        found["all"] += 1
        found["metre"] += bars.beats == beats
        found["bar"] += bars.beats == beats and min(off, beats - off) < 0.02
    assert found["all"] > 150
    assert found["metre"] / found["all"] > 0.98
    assert found["bar"] / found["all"] > 0.95


def test_a_folder_is_prepared_with_bars_found_and_the_report_says_what_has_none(
    tmp_path,
):
    folder = tmp_path / "songs"
    folder.mkdir()
    for seed in range(3):
        played = replace(later(song(seed=seed), 200), metres=(Metre(0, 1, 4),))
        write_midi(folder / f"song{seed}.mid", played)
    rng = np.random.default_rng(1)
    loose = notes_array(rng.integers(0, 40_000, 300), 100, rng.integers(40, 80, 300))
    write_midi(folder / "loose.mid", Score(loose, QUARTER))
    made = tmp_path / "songs.dataset"
    arguments = (folder, "-o", made, "--tokenizer", "remi", "--bars", "found")
    told = etude("prepare", *arguments)
    assert told.returncode == 0, told.stderr
    report = (made / "report.jsonl").read_text()
    assert '"no beat"' in report and "no steady beat" in report
    from data_pipelines.shards import open_dataset

    dataset = open_dataset(made)
    for split in dataset.counts:
        for ids in dataset.pieces(split):
            score = dataset.tokenizer.decode(ids)
            assert score.metres == (Metre(0, 4, 4),)
            low = score.notes["start"][score.notes["pitch"] < 48]
            assert (low % (4 * QUARTER) == 0).all()


def test_a_kind_of_bars_that_is_none_is_named(tmp_path):
    write_midi(tmp_path / "one.mid", song())
    told = etude("prepare", tmp_path / "one.mid", "--bars", "guessed")
    assert told.returncode == 2
    assert "`bars` must be one of written, found. Received: 'guessed'" in told.stderr


def test_a_bundle_says_how_its_files_were_read(tmp_path):
    (tmp_path / "songs").mkdir()
    for seed in range(3):
        write_midi(tmp_path / "songs" / f"{seed}.mid", later(song(seed=seed), 200))
    made = tmp_path / "counted.bundle"
    arguments = ("--recipe", "melody-ngram", "--bars", "found", "--parts", "apart")
    told = etude("train", tmp_path / "songs", *arguments, "-o", made)
    assert told.returncode == 0, told.stderr
    facts = json.loads((made / "bundle.json").read_text())["facts"]
    assert facts["reading"] == {"bars": "found", "parts": "apart"}
    assert "--bars found --parts apart" in facts["command"]

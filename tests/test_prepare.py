"""Preparing: the same bytes whoever runs it, however often it was killed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, data_folder, etude, tune

from data_pipelines.guard import Reading, Refused
from data_pipelines.midi import write_midi
from data_pipelines.prepare import (
    NothingToPrepare,
    Settings,
    prepare,
    prepare_readings,
)
from data_pipelines.score import Score, notes_array
from data_pipelines.shards import is_dataset, open_dataset
from data_pipelines.spool import chunks_of
from data_pipelines.tokenizers.melody import MelodyTokenizer

MELODY = MelodyTokenizer()
SETTINGS = Settings(MELODY.spec())


def bytes_of(folder):
    """Every file of a dataset and a hash of its bytes."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def small_folder(folder, count=30, seed=0):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        steps = np.cumsum(rng.integers(-3, 4, 40))
        write_midi(folder / f"{number:04d}.mid", tune(np.clip(60 + steps, 30, 100)))
    return folder


@pytest.fixture
def mixed(tmp_path):
    """Tunes, a copy, a transposed copy, books in ABC, and what is no music."""
    folder = small_folder(tmp_path / "music")
    rng = np.random.default_rng(5)
    line = np.clip(60 + np.cumsum(rng.integers(-3, 4, 60)), 30, 100)
    (folder / "sub").mkdir()
    write_midi(folder / "sub" / "one.mid", tune(line))
    write_midi(folder / "sub" / "copy.mid", tune(line, qpm=90.0))
    write_midi(folder / "sub" / "higher.mid", tune(line + 5))
    (folder / "book.abc").write_text(
        "".join(
            f"X:{n}\nT:t{n}\nM:4/4\nL:1/8\nK:C\n{'CDEF GABc|' * 2}{'dc' * n}|\n\n"
            for n in range(1, 6)
        )
    )
    (folder / "readme.txt").write_text("no music")
    (folder / "broken.mid").write_bytes(b"MThd\0\0\0\6")
    (folder / "empty.mid").write_bytes(b"")
    return folder


def test_what_goes_in_comes_out_piece_by_piece(mixed, tmp_path):
    dataset = prepare(mixed, tmp_path / "d", SETTINGS)
    assert not (tmp_path / "d.work").exists()
    found = dataset.manifest["found"]
    assert found["files"] == 37
    assert found["used"] + found["repaired"] + found["refused"] == 37
    assert found["reasons"] == {
        "damaged": 1, "duplicate": 1, "empty file": 1, "not music": 1,
    }  # fmt: skip
    rows = list(dataset.about())
    assert len(rows) == 37 + 4 - 4  # the book holds five
    for row in rows:
        shard = dataset.shard(dataset.shard_names(row["split"])[row["shard"]])
        ids = shard.piece(row["record"])
        assert len(ids) == row["tokens"]
        if row["name"].endswith(".mid"):
            from data_pipelines.midi import read_midi

            score = read_midi(mixed / row["name"])
            np.testing.assert_array_equal(ids, MELODY.encode(score))
    lines = {line["path"]: line for line in dataset.report()}
    assert lines["sub/one.mid"]["reason"] == "duplicate"
    assert lines["sub/one.mid"]["detail"] == "the same notes as sub/copy.mid"
    assert lines["book.abc"]["pieces"] == 5
    tunes = {row["name"]: row for row in rows}
    kin = tunes["sub/copy.mid"], tunes["sub/higher.mid"]
    assert kin[0]["tune"] == kin[1]["tune"]
    assert kin[0]["split"] == kin[1]["split"]


def test_parallel_preparation_gives_the_bytes_of_serial(mixed, tmp_path):
    for name, workers in (("one", 1), ("three", 3), ("none", 0)):
        prepare(mixed, tmp_path / name, SETTINGS, workers=workers)
    serial = bytes_of(tmp_path / "one")
    assert bytes_of(tmp_path / "three") == serial
    assert bytes_of(tmp_path / "none") == serial


def test_small_shards_hold_the_same_pieces_in_the_same_order(mixed, tmp_path):
    whole = prepare(mixed, tmp_path / "whole", SETTINGS)
    cut = prepare(mixed, tmp_path / "cut", Settings(MELODY.spec(), tokens_a_shard=1024))
    assert len(cut.shard_names("train")) == 2
    for split in ("train", "valid", "test"):
        for a, b in zip(whole.pieces(split), cut.pieces(split), strict=True):
            np.testing.assert_array_equal(a, b)
    open_dataset(tmp_path / "cut")


def test_a_transposed_or_augmented_copy_is_one_tune_if_that_is_asked(tmp_path):
    line = [60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 60]
    folder = tmp_path / "tunes"
    folder.mkdir()
    write_midi(folder / "a.mid", tune(line))
    write_midi(folder / "b.mid", tune(np.add(line, 4)))
    write_midi(folder / "c.mid", tune(line, duration=480, qpm=240.0))
    write_midi(folder / "d.mid", tune(line[:-1]))
    kept = {
        same: [
            row["name"]
            for row in prepare(
                folder, tmp_path / same, Settings(MELODY.spec(), same=same)
            ).about()
        ]
        for same in ("notes", "tune", "nothing")
    }
    assert kept["notes"] == ["a.mid", "b.mid", "c.mid", "d.mid"]
    assert kept["tune"] == ["a.mid", "d.mid"]
    assert kept["nothing"] == ["a.mid", "b.mid", "c.mid", "d.mid"]


def test_a_given_split_is_kept_and_its_leaks_are_seen(tmp_path):
    for split in ("train", "validation", "test"):
        small_folder(tmp_path / "set" / split, 4, seed=len(split))
    small_folder(tmp_path / "set" / "test", 5, seed=len("train"))  # train's, again
    settings = Settings(MELODY.spec(), split="given", same="nothing")
    dataset = prepare(tmp_path / "set", tmp_path / "d", settings)
    assert {(r["name"].split("/")[0], r["split"]) for r in dataset.about()} == {
        ("train", "train"), ("validation", "valid"), ("test", "test"),
    }  # fmt: skip
    done = etude(
        "inspect", tmp_path / "set", "--leaks", "--split", "given", "--json",
        "--report", tmp_path / "r.jsonl",
    )  # fmt: skip
    # Copies are dropped when inspecting, so nothing is left to leak but kin.
    leaks = json.loads(done.stdout)["leaks"]
    assert leaks["across"] == 0
    from studio.inspect import leaks as leaks_of

    assert leaks_of(dataset)["across"] == 4


def test_a_changed_file_alone_is_read_again_after_a_stop(tmp_path, monkeypatch):
    folder = small_folder(tmp_path / "music", 600)
    chunks = list(chunks_of(folder))
    assert [len(chunk.names) for chunk in chunks] == [256, 256, 88]
    stamp = os.stat(folder / "0300.mid")
    os.utime(folder / "0300.mid", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 10**9))
    changed = [
        a.file_name != b.file_name
        for a, b in zip(chunks, chunks_of(folder), strict=True)
    ]
    assert changed == [False, True, False]


def test_nothing_usable_leaves_its_report_and_no_dataset(tmp_path):
    folder = tmp_path / "no music"
    folder.mkdir()
    (folder / "a.txt").write_text("words")
    (folder / "b.mid").write_bytes(b"")
    with pytest.raises(NothingToPrepare, match="None of 2 files") as caught:
        prepare(folder, tmp_path / "d", SETTINGS)
    assert len(caught.value.report.read_text().splitlines()) == 2
    assert not (tmp_path / "d").exists() and not (tmp_path / "d.work").exists()
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "nowhere", tmp_path / "d", SETTINGS)


def test_what_is_no_dataset_is_never_replaced(tmp_path):
    folder = small_folder(tmp_path / "music", 3)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="is no dataset; it is not replaced"):
        prepare(folder, tmp_path / "precious", SETTINGS)
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"


def test_a_dataset_is_replaced_whole(tmp_path):
    prepare(small_folder(tmp_path / "a", 3), tmp_path / "d", SETTINGS)
    prepare(small_folder(tmp_path / "b", 5), tmp_path / "d", SETTINGS)
    dataset = open_dataset(tmp_path / "d")
    assert len(list(dataset.about())) == 5


def test_music_in_memory_is_prepared_alike(tmp_path):
    found = [
        ("one", Reading((tune([60, 62, 64]), tune([60, 62, 65])))),
        ("silence", Refused("no notes", "silent")),
        ("drums", Reading((Score(notes_array([0], 1, 36)),))),
    ]
    dataset = prepare_readings(found, tmp_path / "d", SETTINGS)
    assert [row["name"] for row in dataset.about()] == ["one#1", "one#2", "drums"]


@pytest.mark.parametrize(
    ("setting", "value"), [("same", "most"), ("split", "file"), ("tokens_a_shard", 0)]
)
def test_a_setting_out_of_range_is_named(setting, value):
    with pytest.raises(ValueError, match=rf"`{setting}` must be .*Received: '?{value}"):
        Settings(MELODY.spec(), **{setting: value})


KILLED = """
import sys
from pathlib import Path
from data_pipelines import prepare as module
from data_pipelines.tokenizers.melody import MelodyTokenizer

if __name__ == "__main__":
    reads = open(sys.argv[3], "a")
    own = module.ChunkReader.read
    def read(self, chunk):
        print(chunk.number, file=reads, flush=True)
        return own(self, chunk)
    module.ChunkReader.read = read
    print("ready", flush=True)
    module.prepare(sys.argv[1], sys.argv[2], module.Settings(MelodyTokenizer().spec()))
    print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_g7_killed_at_any_moment_it_resumes_to_the_same_bytes(tmp_path):
    folder = small_folder(tmp_path / "music", 1500)
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    expected = prepare(folder, tmp_path / "unbroken", SETTINGS)
    unbroken = time.monotonic() - began
    assert expected.manifest["found"]["files"] == 1500
    reference = bytes_of(tmp_path / "unbroken")
    rng = np.random.default_rng(7)
    kills = 0
    for trial in range(5):
        output, log = tmp_path / f"d{trial}", tmp_path / f"reads{trial}"
        for attempt in range(40):
            process = subprocess.Popen(
                [sys.executable, script, folder, output, log],
                env=environment, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            process.stdout.readline()  # ready
            if attempt < 3:
                time.sleep(rng.uniform(0, 0.6 * unbroken))
                process.send_signal(signal.SIGKILL)
            finished = "done" in process.communicate()[0]
            if finished:
                break
            kills += 1
        assert bytes_of(output) == reference
        assert not output.with_name(output.name + ".work").exists()
        # A chunk is read again only if the kill came before it was left on disk.
        reads = log.read_text().split()
        assert len(reads) <= 6 + 3
    print(f"G7: {kills} kills, 5 of 5 datasets identical byte for byte")
    assert kills >= 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tokenizer", "files"),
    [
        ("nottingham", "melody", 1034),
        ("pop909", "melody", 709),
        ("jsb", "chorale", 2),
        ("poly_music", "performance", 4),
        ("fsdd", "wave", 3000),
        ("text", "text", 1),
    ],
)
def test_each_real_folder_is_prepared_with_every_file_accounted_for(
    name, tokenizer, files, tmp_path
):
    folder = data_folder(name)
    done = etude(
        "prepare", folder, "-o", tmp_path / "d", "-t", tokenizer, "--json", timeout=600
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    found = told["found"]
    assert found["files"] == files
    assert found["used"] + found["repaired"] + found["refused"] == files
    assert found["used"] + found["repaired"] > 0.95 * files
    dataset = open_dataset(tmp_path / "d")
    assert dataset.tokenizer.name == tokenizer
    first = next(dataset.pieces("train"))
    assert dataset.tokenizer.grammar.accepts(first[1:])
    print(f"{name}: {found}; {told['cost']}")


def test_a_folder_trained_on_twice_is_prepared_once(tmp_path, monkeypatch):
    from studio import gather as room

    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    folder = small_folder(tmp_path / "music")
    first = room.gather(folder)
    again = small_folder(tmp_path / "elsewhere" / "renamed")
    monkeypatch.setattr(room, "prepare", None)  # reading again would fail
    assert room.gather(again).folder == first.folder
    write_midi(again / "new.mid", tune([60, 61, 62]))
    with pytest.raises(TypeError):
        room.gather(again)


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    from studio import gather as room

    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    folder = small_folder(tmp_path / "music")
    dataset = room.gather(folder)
    name = dataset.shard_names("train")[0] + ".tokens.npy"
    before = (dataset.folder / name).read_bytes()
    (dataset.folder / name).write_bytes(before[:-7])
    assert (room.gather(folder).folder / name).read_bytes() == before
    assert is_dataset(dataset.folder)


@pytest.mark.parametrize("workers", [1, 3])
def test_g1_holds_for_a_preparation_too(workers, tmp_path):
    from bad_inputs import write_bad_inputs

    folder = small_folder(tmp_path / "music", 40)
    expected = write_bad_inputs(folder)
    dataset = prepare(folder, tmp_path / "d", SETTINGS, workers=workers)
    lines = {line["path"]: line for line in dataset.report()}
    assert len(lines) == 40 + len(expected) == dataset.manifest["found"]["files"]
    wrong = {
        name: lines[name]["reason"]
        for name, rights in expected.items()
        if lines[name]["reason"] not in rights.score
    }
    assert wrong == {}
    assert dataset.manifest["found"]["used"] == 40
    assert sum(split["pieces"] for split in dataset.counts.values()) == 40

"""Workers: what a file does to its reader is that file's affair alone."""

import multiprocessing
import os
import sys

import pytest
from bad_readers import read_badly
from conftest import tune

from data_pipelines.corpus import read_folder
from data_pipelines.guard import Reading, Refused
from data_pipelines.midi import write_midi
from data_pipelines.workers import read_all

TUNE = "X:{n}\nT:Tune {n}\nM:4/4\nL:1/8\nK:G\nGABc d{m}efg | a2 g2 G4 |]\n\n"


def good_files(folder, count):
    paths = []
    for number in range(count):
        path = folder / f"{number:03d} good.mid"
        write_midi(path, tune([40 + number, 60, 64]))
        paths.append(path)
    return paths


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux caps a worker's memory")
def test_a_file_that_hangs_crashes_or_eats_memory_is_named_and_its_neighbours_used(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__), prepend=os.pathsep)
    paths = good_files(tmp_path, 40)
    for place, name in ((3, "sleeps"), (4, "aborts"), (20, "swells"), (39, "raises")):
        path = tmp_path / f"{place:03d} {name}.mid"
        write_midi(path, tune([100 + place % 20]))
        paths.insert(place, path)
    seen = dict(read_all(paths, seconds=5, megabytes=2048, read=read_badly))
    assert list(seen) == paths
    bad = {p.name[4:]: r for p, r in seen.items() if isinstance(r, Refused)}
    assert {name: r.reason for name, r in bad.items()} == {
        "sleeps.mid": "timeout",
        "aborts.mid": "crashed",
        "swells.mid": "memory",
        "raises.mid": "damaged",
    }
    assert "\n" not in bad["raises.mid"].detail
    assert sum(isinstance(r, Reading) for r in seen.values()) == 40
    assert not multiprocessing.active_children()


def test_reading_in_workers_equals_reading_here(tmp_path):
    paths = good_files(tmp_path, 20)
    there = list(read_all(paths, workers=2))
    here = list(read_all(paths, workers=0))
    assert [p for p, _ in there] == [p for p, _ in here] == paths
    for (_, ours), (_, theirs) in zip(there, here, strict=True):
        assert ours.contents == theirs.contents


def test_a_book_of_tunes_gives_every_tune_and_names_the_broken(tmp_path):
    book = "% a book\n" + "".join(TUNE.format(n=n, m=n % 60) for n in range(1, 41))
    book += "X:41\nT:No key, no music\n\n" + "X:42\nK:C\nC/0 D\n"
    (tmp_path / "book.abc").write_bytes(
        ("\ufeff" + book).replace("\n", "\r\n").encode()
    )
    corpus = read_folder(tmp_path)
    (line,) = corpus.report
    assert (line.status, line.pieces) == ("repaired", 40)
    assert "tune 41: the tune has no K: field" in line.detail
    assert "tune 42" in line.detail
    assert corpus.pieces[4].name.endswith("book.abc#5")
    assert corpus.pieces[4].score.title == "Tune 5"


def test_a_folder_of_every_form_is_read(tmp_path):
    from data_pipelines.musicxml import write_musicxml

    write_midi(tmp_path / "a.mid", tune([60, 62, 64]))
    (tmp_path / "b.abc").write_text(TUNE.format(n=1, m=2))
    write_musicxml(tmp_path / "c.xml", tune([60, 64, 67, 72]))
    kern = "**kern\n*M4/4\n=1\n4c\n4d\n4e\n4f\n=2\n*-\n"
    (tmp_path / "d.krn").write_text(kern)
    (tmp_path / "named wrongly.txt").write_text(TUNE.format(n=2, m=3))
    corpus = read_folder(tmp_path)
    assert [(line.status, line.reason) for line in corpus.report] == [("used", "")] * 5
    heard = {
        p.name.split("/")[-1]: p.score.notes["pitch"].tolist() for p in corpus.pieces
    }
    assert heard["c.xml"] == [60, 64, 67, 72]
    assert heard["d.krn"] == [60, 62, 64, 65]


@pytest.mark.parametrize(
    ("name", "data", "reason", "said"),
    [
        ("bomb.mxl", "bomb", "damaged", "a bomb"),
        ("no score.mxl", "empty zip", "damaged", "without a score"),
        ("cut.mxl", b"PK\x03\x04 and nothing more", "damaged", "zip"),
        (
            "entities.xml",
            b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "aaaa">]>'
            b"<score-partwise>&a;</score-partwise>",
            "damaged",
            "entities",
        ),
        ("broken.xml", b"<score-partwise><part", "damaged", "music21"),
        ("kernel.krn", b"**kern\n", "damaged", ""),
    ],
)
def test_bombs_and_broken_scores_are_refused(name, data, reason, said, tmp_path):
    import zipfile

    path = tmp_path / name
    if isinstance(data, str):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if data == "bomb":
                archive.writestr("score.xml", b"<score-partwise>" + bytes(70 * 2**20))
            else:
                archive.writestr("../../readme.txt", "zip slip")
    else:
        path.write_bytes(data)
    (line,) = read_folder(tmp_path).report
    assert (line.status, line.reason) == ("refused", reason), line
    assert said in line.detail
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]

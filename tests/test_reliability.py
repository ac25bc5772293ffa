"""Goals of reliability for what comes in, each with its figure: G1, G2, G3, G5, G6."""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import write_bad_inputs, write_odd_but_legal
from bad_midi import mutated, seeds_to_mutate
from bad_sound import sine, sine_16, wav
from conftest import ROOT, tune

from data_pipelines.corpus import read_folder
from data_pipelines.guard import REASONS, Refused, gate, read_file, sniff, walk
from data_pipelines.midi import UnreadableMusic, parse_midi, write_midi
from data_pipelines.score import Key, Metre, Score, Tempo, notes_array

GOOD_FILES = 1000
MARK = "ETUDE_TEST_RUN"  # in the environment of a process that a test starts

# In megabytes. Not by getrusage: it still counts what the process that started this
# one had, until then.
PEAK = """
import resource
def peak():
    try:
        with open("/proc/self/status") as file:
            return next(int(l.split()[1]) for l in file if l[:6] == "VmHWM:") / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""
READ_FOLDER = (
    PEAK
    + """
import json, sys
from data_pipelines.corpus import read_folder, write_report
corpus = read_folder(sys.argv[1])
write_report(sys.argv[2], corpus)
print(json.dumps({"peak": peak(), "pieces": len(corpus.pieces)}))
"""
)
READ_FILES = (
    PEAK
    + """
import json, sys, time
from pathlib import Path
if sys.argv[1] == "wave":
    import soundfile
    import data_pipelines.audio
else:
    import music21
    import scipy.io
from data_pipelines.guard import Refused, read_file
at_first, told = peak(), {}
for path in map(Path, sys.argv[2:]):
    began = time.monotonic()
    try:
        read_file(path, kind=sys.argv[1])
        reason = "used"
    except Refused as refusal:
        reason = refusal.reason
    told[path.name] = [reason, time.monotonic() - began]
print(json.dumps({"at_first": at_first, "peak": peak(), "told": told}))
"""
)


def python(code, *arguments, mark=""):
    """Run Python code in a process of its own; what it printed, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), MARK: mark},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert done.stderr == b"", done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def marked_processes(mark):
    """The ids of the processes that have this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
        except OSError:  # it has ended, or is another's
            continue
    return found


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory):
    """The folder of bad inputs, and what is expected of each."""
    folder = tmp_path_factory.mktemp("bad")
    return folder, write_bad_inputs(folder)


def test_there_are_enough_bad_inputs_the_same_for_the_same_seed(bad_folder, tmp_path):
    folder, expected = bad_folder
    assert len(expected) >= 150
    assert {str(path.relative_to(folder)) for path in walk(folder)} == set(expected)
    for rights in expected.values():
        assert rights.score <= set(REASONS) and rights.wave <= set(REASONS)
    assert write_bad_inputs(tmp_path) == expected
    for name in expected:
        if (folder / name).is_file() and (folder / name).stat().st_size < 10**6:
            assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.slow
def test_g1_all_the_good_is_used_and_all_the_bad_named_once_with_its_reason(tmp_path):
    folder, rng = tmp_path / "music", np.random.default_rng(1)
    expected = write_bad_inputs(folder)
    for number in range(GOOD_FILES):
        pitches = 60 + np.cumsum(rng.integers(-3, 4, 24)) % 36
        write_midi(folder / f"good {number:04d}.mid", tune(pitches))
    report, mark = tmp_path / "report.jsonl", uuid.uuid4().hex
    began = time.monotonic()
    facts = python(READ_FOLDER, folder, report, mark=mark)
    seconds = time.monotonic() - began
    assert marked_processes(mark) == []
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    told = {str(Path(line["path"]).relative_to(folder)): line for line in lines}
    statuses = Counter(line["status"] for line in lines)
    reasons = Counter(line["reason"] for line in lines if line["reason"])
    print(
        f"G1: {len(lines)} found = {statuses['used']} used + {statuses['repaired']} "
        f"repaired + {statuses['refused']} refused; {facts['peak']:.0f} MB in the "
        f"parent, {seconds:.1f} s; {dict(reasons)}"
    )
    assert len(lines) == len(told) == len(walk(folder)) == GOOD_FILES + len(expected)
    wrong = {
        name: (told[name]["status"], told[name]["reason"], told[name]["detail"])
        for name, rights in expected.items()
        if told[name]["reason"] not in rights.score
    }
    assert wrong == {}
    assert statuses == {"used": GOOD_FILES, "refused": len(expected)}
    assert facts["pieces"] == GOOD_FILES
    assert not any("Traceback" in line["detail"] for line in lines)
    assert facts["peak"] <= 1024


def test_g1_no_bad_input_passes_for_sound(bad_folder):
    folder, expected = bad_folder
    wrong, slowest = {}, 0.0
    for name, rights in expected.items():
        began = time.monotonic()
        try:
            read_file(folder / name, kind="wave")
            wrong[name] = "used"
        except Refused as refusal:
            if refusal.reason not in rights.wave:
                wrong[name] = str(refusal)
        slowest = max(slowest, time.monotonic() - began)
    print(f"G1: {len(expected)} files refused as sound, the slowest in {slowest:.2f} s")
    assert wrong == {}


def test_g1_the_readers_end_with_the_reading(tmp_path):
    (tmp_path / "a.abc").write_text("X:1\nK:C\nCDEF |]\n")
    write_midi(tmp_path / "silent.mid", Score(notes_array([], [], [])))
    gc.disable()  # its turn comes late in a process with much to do
    try:
        read_folder(tmp_path)
        left = multiprocessing.active_children()
    finally:
        gc.enable()
        gc.collect()
    assert left == []


def test_a_folder_is_no_file_whatever_it_is_called(bad_folder):
    with pytest.raises(Refused, match="unreadable"):
        read_file(bad_folder[0] / "folder.mid")


def test_g2_a_book_of_two_thousand_tunes_gives_two_thousand(tmp_path):
    rng = np.random.default_rng(2)
    book = "".join(
        f"X:{n}\nT:Tune {n}\nM:4/4\nL:1/8\nK:D\n{''.join(letters)}|]\n\n"
        for n, letters in enumerate(rng.choice(list("DEFGABcd"), (2000, 16)), 1)
    )
    (tmp_path / "book.abc").write_text(book)
    began = time.monotonic()
    corpus = read_folder(tmp_path)
    (line,) = corpus.report
    print(f"G2: {line.pieces} tunes, {time.monotonic() - began:.1f} s")
    assert (line.status, line.pieces) == ("used", 2000)
    titles = [piece.score.title for piece in corpus.pieces]
    assert titles == [f"Tune {n}" for n in range(1, 2001)]


def test_g2_a_sound_shorter_than_its_header_says_so(tmp_path):
    path = tmp_path / "short.wav"
    path.write_bytes(wav(sine_16(4000), size=3 * 8000))  # half of a second of one
    reading = read_file(path, kind="wave")
    (sentence,) = reading.left_out
    print(f"G2: {sentence}")
    assert "0.5 of 1.5 s" in sentence
    assert reading.contents[0].samples.shape == (4000, 1)


def impossible(score):
    """What cannot be in a score that passed the gate; empty if all is well."""
    rows = score.notes
    checks = {
        "no notes": len(rows) > 0,
        "ticks per quarter": 1 <= score.ticks_per_quarter <= 32_767,
        "starts": rows["start"].min(initial=0) >= 0,
        "durations": rows["duration"].min(initial=1) >= 1,
        "pitches": rows["pitch"].max(initial=0) <= 127,
        "velocities": ((rows["velocity"] >= 1) & (rows["velocity"] <= 127)).all(),
        "tempos": all(0 < t.qpm < float("inf") for t in score.tempos),
        "metres": all(m.beats >= 1 and m.beat_unit >= 1 for m in score.metres),
        "keys": all(-7 <= k.sharps <= 7 for k in score.keys),
        "programs": all(0 <= t.program <= 127 for t in score.tracks),
        "pedals": (score.pedals["duration"] >= 1).all(),
        "times": all(
            change.tick >= 0 for change in (*score.tempos, *score.metres, *score.keys)
        ),
    }
    wrong = [name for name, is_well in checks.items() if not is_well]
    if not wrong and not 0 < score.length_seconds <= 2 * 60 * 60:
        wrong.append("length")
    return wrong


@pytest.mark.parametrize("count", [5000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_g3_no_mutated_file_leaves_the_gate_with_numbers_that_cannot_be(count):
    refused, wrong = Counter(), Counter()
    began = time.monotonic()
    for data in mutated(seeds_to_mutate(), count, np.random.default_rng(3)):
        try:
            score = gate(parse_midi(data))
        except UnreadableMusic:
            refused["damaged"] += 1
        except Refused as refusal:
            refused[refusal.reason] += 1
        else:
            wrong.update(impossible(score))
    passed = count - refused.total()
    print(
        f"G3: of {count:,} mutated files {passed:,} pass, {dict(refused)} refused, "
        f"{wrong.total()} wrong, {time.monotonic() - began:.0f} s"
    )
    assert not wrong, wrong
    assert 0.1 * count < passed < 0.9 * count
    assert set(refused) == {"damaged", "no notes", "too long"}


def test_g3_the_check_itself_sees_what_cannot_be():
    score = tune([60, 62])
    assert impossible(score) == []
    for name, value in (
        ("ticks_per_quarter", 0),
        ("tempos", (Tempo(0, 0.001),)),
        ("metres", (Metre(0, 4, 0),)),
        ("keys", (Key(-1, 0),)),
        ("notes", notes_array([-1], [1], [200])),
    ):
        broken = tune([60, 62])
        object.__setattr__(broken, name, value)  # as if nothing had checked it
        assert impossible(broken), name


BOMBS = {
    "score": (
        *("bomb.mxl", "bomb that says it is small.mxl", "zip in a zip in a zip.mxl"),
        *("score with entities.mxl", "a billion laughs.xml", "bomb.mat"),
        *("a billion laughs in 16 bits.xml", "one entity swollen.xml"),
        *("flood of notes.mid", "time past 2^31.mid", "a million bars.mid"),
    ),
    "wave": (
        *("bomb.flac", "bomb that does not say.flac", "a header of 2^36 samples.flac"),
        *("a day.flac", "1 Hz.wav", "999 Hz.wav", "65,535 channels.wav"),
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_g5_bombs_are_refused_within_two_seconds_and_300_megabytes(bad_folder, kind):
    folder, expected = bad_folder
    facts = python(READ_FILES, kind, *(folder / name for name in BOMBS[kind]))
    slowest = max(facts["told"], key=lambda name: facts["told"][name][1])
    print(
        f"G5: {len(facts['told'])} bombs as {kind}: at most {facts['peak']:.0f} MB, of "
        f"which {facts['at_first']:.0f} are the libraries; the slowest "
        f"{facts['told'][slowest][1]:.2f} s ({slowest})"
    )
    for name, (reason, seconds) in facts["told"].items():
        assert reason in getattr(expected[name], kind), name
        assert seconds < 2, name
    assert facts["peak"] - facts["at_first"] < 300


def test_g5_an_entity_is_seen_in_every_encoding_and_in_a_zip(bad_folder):
    names = [name for name in bad_folder[1] if "laughs" in name or "entit" in name]
    names.remove("entity nobody declared.xml")
    for name in names:
        with pytest.raises(Refused, match="it declares XML entities"):
            read_file(bad_folder[0] / name)
    assert len(names) >= 6


def test_g5_no_text_makes_one_wonder_long_what_it_is(tmp_path):
    beginnings = ("[", "{", "1,", "X:", "<score-", "1", ",", " ", "\n", '"', "1e")
    slowest = 0.0
    for number, text in enumerate([b + " " for b in beginnings] + list(beginnings)):
        for data in (text + " " * 10_000 + "x", text * 10_000 + "x"):
            path = tmp_path / f"{number}.txt"
            path.write_text(data)
            began = time.monotonic()
            sniff(path)
            slowest = max(slowest, time.monotonic() - began)
    print(f"G5: the slowest text is known after {slowest:.2f} s")
    assert slowest < 1


def test_g5_names_in_a_zip_that_lead_out_write_nothing(tmp_path):
    inner = tmp_path / "a" / "b"
    write_bad_inputs(inner)
    names = ("names that lead out.mxl", "scores that lead out.mxl")
    before = sorted(tmp_path.rglob("*"))
    for name in names:
        with pytest.raises(Refused):
            read_file(inner / name)
    assert sorted(tmp_path.rglob("*")) == before
    assert not list(Path("/tmp").glob("evil*"))
    print(f"G5: {len(names)} zips whose names lead out: nothing written")


def test_g6_legal_oddities_are_used(tmp_path):
    kinds = write_odd_but_legal(tmp_path)
    sounds = {name for name, kind in kinds.items() if kind == "wave"}
    corpus = read_folder(tmp_path)
    told = {Path(line.path).name: line for line in corpus.report}
    assert set(told) == set(kinds)
    refused = {
        n: told[n] for n in kinds if n not in sounds and told[n].status != "used"
    }
    assert refused == {}
    assert {told[name].reason for name in sounds} == {"other kind"}
    # What the numbers in the names promise.
    scores = {Path(piece.name).name: piece.score for piece in corpus.pieces}
    assert scores["32,767 ticks a quarter.mid"].ticks_per_quarter == 32_767
    assert scores["drums alone.mid"].is_drum_note().all()
    assert len(scores["sixty tracks.mid"].tracks) == 60
    assert str(scores["metre 7 of 8.mid"].metre) == "7/8"
    assert scores["no tempo.mid"].qpm == 120
    assert len(scores["status said once.mid"]) == 14
    for name in sounds:
        reading = read_file(tmp_path / name, kind="wave")
        assert reading.left_out == (), name
        (sound,) = reading.contents
        wanted = np.broadcast_to(sine()[:, None], sound.samples.shape)
        # mu-law is the coarsest: its largest step is 1/32 of full scale.
        np.testing.assert_allclose(sound.samples, wanted, atol=1 / 64, err_msg=name)
    print(
        f"G6: {len(kinds) - len(sounds)} odd scores and {len(sounds)} odd sounds used"
    )

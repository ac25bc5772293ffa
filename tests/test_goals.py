"""Goals of reliability by their names, where a run is trained or written down.

G9 and G10 (a run that is killed) are in test_training.py; G14 and G15 (broken bundles,
flipped bits) in test_bundle.py.
"""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import ROOT

from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from audio_models.recurrent import LSTM
from studio.cli import run
from studio.errors import Interrupted, NothingUsable

SIZES = {"embedding_dim": 8, "hidden_dim": 64, "num_layers": 1}
QUICK = ("--model", "nnlm", "--size", "tiny", "--window", "32", "--batch-size", "4")


def bundle_of(value, facts=None):
    architecture = LSTM(vocab_size=12, **SIZES)
    weights = {
        name: np.full(weight.shape, value, np.float32)
        for name, weight in architecture.weights().items()
    }
    return Bundle(architecture, weights, {}, facts or {})


def checkpoint_of(value):
    return Checkpoint({"weight/a": np.full(20_000, value, np.float32)}, {"n": value})


class Disk:
    """A folder in which there is no room, but for what `full` leaves.

    A small file system of its own where one may be mounted; else a limit on the size
    of any file, which the kernel tells in other words.
    """

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        try:
            done = subprocess.run(mount, capture_output=True, check=False)
            self.is_mounted = done.returncode == 0
        except OSError:
            self.is_mounted = False
        self.told = os.strerror(errno.ENOSPC if self.is_mounted else errno.EFBIG)

    @contextmanager
    def full(self, left=4096):
        """Within, no more than `left` bytes can be written."""
        if self.is_mounted:
            free = shutil.disk_usage(self.folder).free
            (self.folder / "filler").write_bytes(b"x" * max(0, free - left))
            yield
            (self.folder / "filler").unlink()
            return
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    def names(self):
        return sorted(p.name for p in self.folder.iterdir() if p.name != "filler")


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "disk")
    yield made
    if made.is_mounted:
        subprocess.run(["umount", "-l", str(made.folder)], check=True)


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def test_g11_a_full_disk_leaves_the_old_bundle_and_says_what_it_needs(disk, tmp_path):
    path = disk.folder / "a.bundle"
    save_bundle(path, bundle_of(1.0))
    save_bundle(tmp_path / "new", bundle_of(2.0, {"newer": True}))
    needed = bytes_in(tmp_path / "new")
    with disk.full(), pytest.raises(OSError) as told:
        save_bundle(path, bundle_of(2.0, {"newer": True}))
    print(f"G11: {told.value.filename}: {told.value.strerror}")
    assert told.value.filename == str(path)
    assert told.value.strerror == f"{disk.told}: {needed:,} bytes are needed"
    assert disk.names() == ["a.bundle"]  # nothing half written is left
    assert load_bundle(path).facts == {}
    save_bundle(path, bundle_of(2.0, {"newer": True}))  # and with room all goes on
    assert load_bundle(path).facts == {"newer": True}


def test_g11_a_full_disk_leaves_the_old_checkpoint_and_says_what_it_needs(
    disk, tmp_path
):
    path = disk.folder / "checkpoint"
    save_checkpoint(path, checkpoint_of(1.0))
    save_checkpoint(tmp_path / "new", checkpoint_of(2.0))
    needed = (tmp_path / "new").stat().st_size
    with disk.full(), pytest.raises(OSError) as told:
        save_checkpoint(path, checkpoint_of(2.0))
    print(f"G11: {told.value.filename}: {told.value.strerror}")
    assert told.value.filename == str(path)
    assert told.value.strerror == f"{disk.told}: {needed:,} bytes are needed"
    assert disk.names() == ["checkpoint"]
    assert load_checkpoint(path).facts == {"n": 1.0}


def test_g11_another_error_of_the_disk_keeps_its_own_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        save_checkpoint(tmp_path / "nowhere" / "checkpoint", checkpoint_of(1.0))


def test_g11_a_full_disk_leaves_the_old_run_json_and_says_what_it_needs(disk, dataset):
    from studio.count import Counting
    from studio.train import write_run

    plan, path = Counting(5, False, "back-off"), disk.folder / "run.json"
    write_run(disk.folder, dataset, "melody-ngram", plan, "etude")
    old = path.read_bytes()
    with disk.full(left=0), pytest.raises(OSError) as told:
        write_run(disk.folder, dataset, "melody-ngram", plan, "Etude")
    print(f"G11: {told.value.filename}: {told.value.strerror}")
    assert told.value.filename == str(path)
    assert told.value.strerror == f"{disk.told}: {len(old):,} bytes are needed"
    assert disk.names() == ["run.json"]
    assert path.read_bytes() == old


@pytest.mark.parametrize("file", ["report.jsonl", "n.bundle"])
def test_g11_a_run_on_a_full_disk_ends_in_one_line_and_its_old_bundle_plays(
    file, disk, folder_of_tunes, capsys
):
    words = ["train", str(folder_of_tunes), "--recipe", "melody-ngram", "-o"]
    output = disk.folder / "n.bundle"
    assert run([*words, str(output)]) == 0
    old = (output / "bundle.json").read_bytes()
    run_folder = disk.folder / "n.bundle.run"
    sizes = {p.name: p.stat().st_size for p in run_folder.iterdir()}
    for name in sizes:
        (run_folder / name).unlink()
    page = 4096
    if disk.is_mounted:
        # Room for what is written before the file in question, page by page.
        pages = {name: -(-size // page) * page for name, size in sizes.items()}
        before = {"report.jsonl": 0, "n.bundle": sum(pages.values()) + 2 * page}[file]
    else:
        before = {"report.jsonl": 512, "n.bundle": max(sizes.values()) + 512}[file]
    capsys.readouterr()
    with disk.full(before):
        status = run([*words, str(output)])
    (line,) = capsys.readouterr().err.splitlines()
    print(f"G11: {line}")
    where = output if file == "n.bundle" else run_folder / file
    assert status == 4
    assert re.fullmatch(
        rf"etude: {re.escape(str(where))}: {disk.told}: [\d,]+ bytes are needed\.", line
    )
    if file == "report.jsonl":
        assert f" {sizes[file]:,} bytes" in line
    assert (output / "bundle.json").read_bytes() == old
    assert load_bundle(output).model_name == "ngram"
    tune = disk.folder.parent / "a.mid"
    assert run(["compose", "-m", str(output), "-o", str(tune), "--bars", "2"]) == 0


def test_g12_no_checkpoint_with_a_number_that_is_not_finite_is_written_or_read(
    tmp_path, monkeypatch
):
    """Bundles: test_bundle.test_weights_that_are_not_finite_can_be_neither_..."""
    path = tmp_path / "checkpoint"
    save_checkpoint(path, checkpoint_of(1.0))
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(FloatingPointError, match="weight/a holds numbers that are"):
            save_checkpoint(path, checkpoint_of(bad))
    assert load_checkpoint(path).facts == {"n": 1.0}
    with monkeypatch.context() as patch:  # as if another program had written it
        patch.setattr("audio_models.checkpoint._not_finite", lambda arrays: None)
        save_checkpoint(path, checkpoint_of(np.nan))
    with pytest.raises(BadCheckpoint, match="weight/a holds numbers that are not fin"):
        load_checkpoint(path)


@pytest.fixture(scope="module")
def dataset(folder_of_tunes):
    from studio.gather import gather

    return gather(folder_of_tunes)


def train_quickly(dataset, output, *, resume=False, watch=None, **plan):
    from audio_models.training import Plan
    from studio.floors import measure_floors
    from studio.train import train_bundle

    plan = {"window": 32, "batch_size": 4, "epochs": 2, "max_shift": 0, **plan}
    return train_bundle(
        dataset,
        "melody-lstm",
        Plan(**plan),
        output,
        sources=[],
        command="",
        floors=measure_floors(dataset),
        model="nnlm",
        size="tiny",
        resume=resume,
        watch=watch,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plan", "noticed"),
    [
        ({}, "The loss is"),
        ({"batch_size": 512}, "The held-out loss is"),  # a single step an epoch
        ({"checkpoint_minutes": 0.0}, "is not written"),  # a checkpoint a step
    ],
    ids=["the next loss", "the next look", "the next checkpoint"],
)
def test_g12_a_nan_stops_within_a_step_and_names_shard_and_example(
    plan, noticed, dataset, tmp_path
):
    steps = []

    def watch(progress, event):
        steps.append(progress.step)

    with pytest.raises(NothingUsable) as told:
        # The first update throws all weights out of the range of float32.
        train_quickly(dataset, tmp_path / "b", watch=watch, learning_rate=1e60, **plan)
    print(f"G12: {told.value}")
    sentence = str(told.value)
    assert noticed in sentence
    assert re.search(r"It was reading train-00000, record \d+", sentence)
    assert max(steps) == 1
    assert not (tmp_path / "b").exists()
    assert not (tmp_path / "b.run" / "best.bundle").exists()
    assert not (tmp_path / "b.run" / "checkpoint").exists()


def interrupting(monkeypatch, at_step):
    """Send this process a SIGINT where a step is over in C, but Python knows not yet."""
    from audio_models.network import Network

    taught, count = Network.train_on_batch, iter(range(10**6))

    def train_on_batch(self, *args, **kwargs):
        loss = taught(self, *args, **kwargs)
        if next(count) == at_step:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    monkeypatch.setattr(Network, "train_on_batch", train_on_batch)


@pytest.mark.slow
def test_g13_an_interrupt_within_a_step_leaves_that_step_counted(
    dataset, tmp_path, monkeypatch
):
    whole, unbroken = train_quickly(dataset, tmp_path / "whole")
    output = tmp_path / "a tune" / "b"
    output.parent.mkdir()
    with monkeypatch.context() as patch:
        interrupting(patch, at_step=2)
        with pytest.raises(Interrupted) as told:
            train_quickly(dataset, output)
    assert f"etude train --resume -o '{output}'" in str(told.value)
    kept = load_checkpoint(output.with_name("b.run") / "checkpoint")
    assert kept.facts["progress"]["step"] == kept.facts["progress"]["batch"] == 3
    resumed, progress = train_quickly(dataset, output, resume=True)
    figures = [
        [(row["step"], row["loss"], row["held_out"]) for row in told.history]
        for told in (unbroken, progress)
    ]
    assert figures[0] == figures[1]
    assert figures[0][0][0] > 3  # it was cut within the first epoch
    for name, weight in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], weight)
    assert resumed.facts["test"] == whole.facts["test"]


@pytest.mark.slow
def test_g13_a_run_that_was_over_when_it_was_interrupted_still_leaves_its_bundle(
    dataset, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("studio.train.finished", stop)
        with pytest.raises(Interrupted, match="etude train --resume -o"):
            train_quickly(dataset, tmp_path / "b", epochs=1)
    bundle, progress = train_quickly(dataset, tmp_path / "b", epochs=1, resume=True)
    assert bundle.facts["held_out"]["model"] == progress.history[0]["held_out"]
    assert f"{progress.best:.3f}" in bundle.card


def test_g13_interrupts_are_heard_again_as_ever_when_the_run_is_over():
    from studio.interrupt import CtrlC

    before, ctrl_c = signal.getsignal(signal.SIGINT), CtrlC()
    with ctrl_c.held():
        os.kill(os.getpid(), signal.SIGINT)
        assert ctrl_c.is_asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)  # the second does not wait
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), CtrlC().held() as other, other.free():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="no SIGINT on this system")
def test_g13_ctrl_c_leaves_a_checkpoint_and_the_resume_command_within_ten_seconds(
    folder_of_tunes, tmp_path, capsys
):
    words = [
        "train",
        str(folder_of_tunes),
        *QUICK,
        "--epochs",
        "3",
    ]
    output = tmp_path / "cut.bundle"
    process = subprocess.Popen(
        [sys.executable, "-m", "studio.cli", *words, "-o", output],
        # A job that a shell put in the background ignores Ctrl-C; this one must not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    for line in process.stdout:
        if "nats a token" in line:  # the first step is over
            break
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    errors = []
    for line in process.stderr:  # TensorFlow has a word to say before, and unloads late
        errors.append(line)
        if line.startswith("etude:"):
            break
    seconds = time.monotonic() - began
    process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in "".join(errors)
    told = errors[-1].strip()
    assert told.startswith("etude: interrupted")
    assert told.endswith(f"go on: etude train --resume -o {output}")
    assert seconds < 10
    kept = load_checkpoint(tmp_path / "cut.bundle.run" / "checkpoint").facts["progress"]
    assert kept["step"] > 0 and kept["epoch"] < 3
    resume = told.partition("go on: etude ")[2].split()
    assert run(resume) == 0  # what it told to do, as it told it
    assert run([*words, "-o", str(tmp_path / "whole.bundle")]) == 0
    whole, resumed = (
        load_bundle(tmp_path / f"{name}.bundle") for name in ("whole", "cut")
    )
    for name, weight in whole.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], weight)
    assert resumed.facts["test"] == whole.facts["test"]
    print(f"G13: ended {seconds:.1f} s after Ctrl-C at step {kept['step']}; resumed")
    histories = [
        json.loads((tmp_path / f"{name}.bundle.run" / "history.json").read_text())
        for name in ("whole", "cut")
    ]
    figures = [[row["held_out"] for row in history] for history in histories]
    assert figures[0] == figures[1]

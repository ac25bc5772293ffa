"""Ctrl-C in any command, at any moment: one line and status 130, never a traceback."""

import importlib
import os
import signal
import subprocess
import sys

import pytest
from bad_readers import blocked_signals
from conftest import ROOT

from data_pipelines.workers import Readers
from studio.cli import run

# What each command calls, and what it must be given.
CALLED = {
    "compose": ("making", "compose", ()),
    "continue": ("editing", "carry_on", ("a.mid",)),
    "infill": ("editing", "infill", ("a.mid", "--bars", "1")),
    "harmonize": ("harmonizing", "harmonize", ("a.mid",)),
    "listen": ("making", "listen", ("a.mid",)),
    "score": ("scoring", "score", ("a.mid",)),
    "separate": ("separating", "separate", ("a.wav",)),
    "classify": ("classifying", "classify", ("a.wav",)),
    "train": ("training", "train", ("music",)),
    "evaluate": ("evaluating", "evaluate", ("folk",)),
    "models": ("models", "models", ()),
    "bench": ("bench", "bench", ("start",)),
    "inspect": ("data", "inspect", ("a.mid",)),
    "prepare": ("data", "prepare", ("music",)),
}


def interrupted(**_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", CALLED)
def test_every_command_says_that_it_was_interrupted(name, monkeypatch, capsys):
    module, function, arguments = CALLED[name]
    room = importlib.import_module(f"studio.commands.{module}")
    monkeypatch.setattr(room, function, interrupted)
    assert run([name, *arguments]) == 130
    assert capsys.readouterr() == ("", "etude: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to oneself on Windows")
def test_one_that_comes_while_modules_load_leaves_no_traceback(tmp_path):
    (tmp_path / "typer.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(9)\n"
        "print('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "studio.cli", "models"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "etude: interrupted\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [(signal.SIG_DFL, "default_int_handler"), (signal.SIG_IGN, "SIG_IGN")],
)
def test_once_loaded_ctrl_c_is_as_it_was_started(before, after):
    code = f"import signal, studio.cli; print(signal.getsignal(2) is signal.{after})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
    )
    assert done.stdout == "True\n"


@pytest.mark.skipif(
    not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back here"
)
def test_reading_processes_are_deaf_to_it_and_ours_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__), prepend=os.pathsep)
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.touch()
    with Readers(1, read=blocked_signals) as readers:
        heard = [result for _, result in readers.read_all(paths)]
    assert [signal.SIGINT in blocked for blocked in heard] == [True, True]
    assert signal.SIGINT not in blocked_signals()

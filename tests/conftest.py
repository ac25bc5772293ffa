"""Real data where it exists, small real files made here where it does not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What the tests prepare stays out of the person's own cache.
_CACHE = tempfile.TemporaryDirectory(prefix="etude-test-cache-")
os.environ["ETUDE_CACHE"] = _CACHE.name
LONG = "test_the_solution_notebook_runs"  # a minute or two each, and alone in the world
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items):
    """With `--dist loadgroup` a file's tests go to one worker, as their fixtures want;
    those that take long and share nothing go wherever there is room."""
    for item in items:
        group = item.name if item.name.startswith(LONG) else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


def data_folder(name):
    """A folder of real data beside the checkout; skips, saying so, without it."""
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


@pytest.fixture(scope="session")
def nottingham():
    """The 1,034 MIDI files of the Nottingham tunes, sorted."""
    return sorted(data_folder("nottingham").glob("*.mid"))


def etude(*arguments, timeout=300, environment=None, cwd=None):
    """Run the command as a person would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "studio.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        check=False,
    )


def tune(pitches, *, duration=240, metre=(4, 4), qpm=120.0, program=0, start=0):
    """A score of one line, each note `duration` ticks of 480 to the quarter."""
    from data_pipelines.score import Metre, Score, Tempo, Track, notes_array

    pitches = np.asarray(pitches)
    return Score(
        notes_array(start + np.arange(len(pitches)) * duration, duration, pitches),
        480,
        (Track("Melody", program),),
        tempos=(Tempo(0, qpm),),
        metres=(Metre(0, *metre),),
    )


@pytest.fixture(scope="session")
def folder_of_tunes(tmp_path_factory):
    """A folder of 40 small MIDI files: scales and arpeggios, each another tune."""
    from data_pipelines.midi import write_midi

    folder = tmp_path_factory.mktemp("tunes")
    rng = np.random.default_rng(0)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    for number in range(40):
        steps = np.clip(np.cumsum(rng.integers(-2, 3, 64)) + 4, 0, 7)
        write_midi(folder / f"tune{number:02d}.mid", tune(60 + scale[steps]))
    return folder

"""The Beam pipeline writes the bytes of the local preparation."""

import os
import subprocess

import pytest
from conftest import ROOT, data_folder, etude
from test_prepare import SETTINGS, bytes_of, small_folder

from data_pipelines.prepare import prepare
from data_pipelines.scale import prepare_on

SCALE_PYTHON = ROOT / ".venv-scale" / "bin" / "python"


def on_beam(folder, output, *options):
    if not SCALE_PYTHON.exists():
        pytest.skip("no .venv-scale: `make test` makes one from requirements-scale.txt")
    return subprocess.run(
        [SCALE_PYTHON, "-m", "studio.cli", "prepare", folder, "-o", output, *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def mixed(folder):
    """Tunes in three chunks, a book, a copy, and what is no music."""
    small_folder(folder, 600)
    (folder / "book.abc").write_text(
        "".join(f"X:{n}\nM:4/4\nL:1/8\nK:C\nCDEF {'GA' * n}|\n\n" for n in range(1, 9))
    )
    (folder / "copy.mid").write_bytes((folder / "0007.mid").read_bytes())
    (folder / "readme.txt").write_text("no music")
    return folder


@pytest.mark.slow
def test_direct_runner_writes_the_bytes_of_a_local_run(tmp_path):
    folder = mixed(tmp_path / "music")
    done = on_beam(
        folder, tmp_path / "beam", "--runner", "DirectRunner",
        "--tokens-a-shard", 4096,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    local = etude("prepare", folder, "-o", tmp_path / "local", "--tokens-a-shard", 4096)
    assert local.returncode == 0
    assert bytes_of(tmp_path / "beam") == bytes_of(tmp_path / "local")
    assert len(list((tmp_path / "beam").glob("train-*.tokens.npy"))) > 3


@pytest.mark.slow
def test_direct_runner_on_real_music_goes_on_where_a_local_run_stopped(tmp_path):
    folder = data_folder("nottingham")
    prepare(folder, tmp_path / "local", SETTINGS)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done > 500:
            raise Stop

    with pytest.raises(Stop):
        prepare(folder, tmp_path / "beam", SETTINGS, on_progress=stop)
    assert len(list((tmp_path / "beam.work").glob("chunk-*.npz"))) == 2
    done = on_beam(folder, tmp_path / "beam", "--runner", "DirectRunner")
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path / "beam") == bytes_of(tmp_path / "local")


def test_an_unknown_runner_is_named(tmp_path):
    with pytest.raises(ValueError, match="Received: 'SlurmRunner'"):
        prepare_on("SlurmRunner", tmp_path, tmp_path / "d", SETTINGS)


def test_beam_where_it_is_not_installed_is_one_line(tmp_path):
    folder = small_folder(tmp_path / "music", 3)
    done = etude(
        "prepare", folder, "-o", tmp_path / "d", "--runner", "DirectRunner",
        environment={"PYTHONPATH": os.pathsep.join([str(without_beam(tmp_path)), str(ROOT)])},
    )  # fmt: skip
    assert done.returncode == 2
    assert "needs Apache Beam: install requirements-scale.txt" in done.stderr


def without_beam(folder):
    """A folder in which a broken apache_beam stands before any real one."""
    (folder / "shadow").mkdir()
    (folder / "shadow" / "apache_beam.py").write_text("raise ImportError\n")
    return folder / "shadow"

"""Imports go one way: labs -> studio -> {audio_models, data_pipelines}."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "data_pipelines": {"data_pipelines"},
    "audio_models": {"audio_models"},
    "studio": {"studio", "audio_models", "data_pipelines"},
    "labs": {"labs", "studio", "audio_models", "data_pipelines"},
}
FRONT_DOOR = {Path("studio/cli.py"): {"labs"}}  # `etude lab` is a command too


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_beneath_it(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        allowed = MAY_IMPORT[package] | FRONT_DOOR.get(path.relative_to(ROOT), set())
        strays = set(imported_packages(path)) & set(MAY_IMPORT) - allowed
        assert not strays, f"{path.relative_to(ROOT)} imports {strays}"


def test_data_never_meets_keras_and_only_datasets_meets_tensorflow():
    for path in sorted((ROOT / "data_pipelines").rglob("*.py")):
        heavy = {"keras", "tensorflow"} & set(imported_packages(path))
        allowed = {"tensorflow"} if path.name == "datasets.py" else set()
        assert heavy <= allowed, f"{path.name} imports {heavy}"


def test_every_package_is_listed_for_installation():
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(listed["tool"]["setuptools"]["packages"])
    rooms = {*MAY_IMPORT, "assets"}
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.rglob("__init__.py")
        if path.relative_to(ROOT).parts[0] in rooms
    }
    assert found == listed


LIGHT = [
    ["--help"],
    ["compose", "--bars", "2", "--seed", "1", "-o", "{out}/a.mid", "-o", "{out}/a.wav"],
    ["listen", "{here}/in.mid", "-o", "{out}/b.wav"],
    ["inspect", "{here}/in.mid"],
    ["models"],
]


@pytest.mark.parametrize("arguments", LIGHT, ids=lambda a: a[0])
def test_a_light_command_loads_no_tensorflow_and_no_keras(arguments, tmp_path):
    from conftest import tune

    from data_pipelines.midi import write_midi

    write_midi(tmp_path / "in.mid", tune([60, 64, 67, 72]))
    arguments = [a.format(out=tmp_path / "out", here=tmp_path) for a in arguments]
    code = (
        "import sys; from studio.cli import run; status = run(sys.argv[1:]);"
        "heavy = sorted({'tensorflow', 'keras', 'jax', 'torch', 'music21', 'matplotlib'}"
        " & set(sys.modules)); print('HEAVY', heavy, status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.strip().splitlines()[-1] == "HEAVY [] 0", done.stderr

"""A learner's desk: copies of the notebooks, Jupyter on them, and their grades."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

from labs.catalogue import LABS, ROOM, find_lab
from labs.exercises import exercises_of, spoken
from labs.grading import grade
from studio.errors import MachineFailed, WrongUsage

RUN_SECONDS = 900  # for one cell of a solution
START_SECONDS = 300  # for a kernel
OFFLINE = """import sys
from labs.graded import deny_network
sys.addaudithook(deny_network)"""  # goes before a notebook's own cells
ALONE = (  # Jupyter is for this machine, and asks nobody for news, updates, extensions
    "--ip=127.0.0.1",
    f"--LabApp.app_settings_dir={ROOM / 'jupyter'}",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
NEEDED = "The labs open in Jupyter, which is not installed here: make course."


def print_labs(folder, *, as_json=False):
    """The table of the labs."""
    rows = [
        {
            "number": lab.number,
            "name": lab.name,
            "title": lab.title,
            "minutes": lab.minutes,
            "exercises": len(exercises_of(lab.number)),
            "heard": lab.heard,
            "copy": str(copy_of(lab, folder))
            if copy_of(lab, folder).exists()
            else None,
        }
        for lab in LABS
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        begun = "  (begun)" if row["copy"] else ""
        print(
            f"{row['number']:2d}  {row['title']:24} {row['minutes']:4d} min "
            f"{row['exercises']:3d} exercises{begun}\n    you will hear "
            f"{row['heard']}"
        )
    print("Begin: etude lab open 0")


def copy_of(lab, folder):
    """Where a learner's copy of a lab lies."""
    return Path(folder) / f"{lab.slug}.ipynb"


def open_lab(wanted, folder, *, browser=True, start=True):
    """Lay out the notebook, if it is not there yet, and start Jupyter on it."""
    lab = find_lab(wanted)
    if start:
        _needs("jupyterlab")
    path = copy_of(lab, folder)
    if path.exists():
        print(f"{path}: as you left it.")
    else:
        _lay_out(lab.student, path)
        print(
            f"{path}: your copy of lab {lab.number}. Check it: etude lab check {lab.number}"
        )
    if start:
        sys.exit(_jupyter(path, browser))


def check_lab(wanted, file, folder, *, seed=None, as_json=False):
    """Grade a learner's file; print the verdicts. Returns 0 if all is right, else 1."""
    lab = find_lab(wanted)
    path = Path(file) if file else copy_of(lab, folder)
    if not file and not path.exists():
        raise WrongUsage(
            f"{path}: there is no copy of lab {lab.number} here yet: "
            f"etude lab open {lab.number}, or name the file."
        )
    seed = secrets.randbelow(10**6) + 1 if seed is None else seed
    found = grade(path, lab, seed=seed)
    if as_json:
        print(json.dumps(_as_facts(path, lab, found)))
    else:
        print(f"{path}, lab {lab.number}, {lab.title} (--seed {seed})")
        for note in found.notes:
            print(f"! {note}")
        for one, verdict in zip(found.exercises, found.verdicts, strict=True):
            print(spoken(verdict, one))
        print(f"{found.points} of {found.points_in_all} points")
    return 0 if found.points == found.points_in_all else 1


def solve_lab(wanted, folder, *, run=False):
    """Lay out the solution notebook; with ``run``, its outputs filled in."""
    lab = find_lab(wanted)
    path = Path(folder) / lab.solution.name
    if run:
        _needs("nbclient")
        began = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        run_notebook(lab.solution, path)
        print(f"{path}: run in {time.monotonic() - began:.0f} s.")
    else:
        _lay_out(lab.solution, path)
        print(f"{path}: the solution of lab {lab.number}.")


def run_notebook(source, target, *, cwd=None):
    """Run a notebook offline, and write it with its outputs.

    Returns:
        The notebook, an `nbformat.NotebookNode`.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails; the target is written
            all the same.
    """
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(source, as_version=4)
    book.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    here = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    client = NotebookClient(
        book,
        timeout=RUN_SECONDS,
        startup_timeout=START_SECONDS,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # its warning is of other machines
        resources={"metadata": {"path": str(cwd or Path(target).parent)}},
    )
    try:
        client.execute(env={**os.environ, "PYTHONPATH": path})
    finally:
        del book.cells[0]
        nbformat.write(book, target)
    return book


def _as_facts(path, lab, found):
    return {
        "file": str(path),
        "lab": lab.number,
        "seed": found.seed,
        "points": found.points,
        "of": found.points_in_all,
        "exercises": [
            {
                "name": one.name,
                "state": verdict.state,
                "points": one.points if verdict.state == "right" else 0,
                "of": one.points,
                "sentence": verdict.sentence,
                "hint": one.hint if verdict.state == "wrong" else "",
            }
            for one, verdict in zip(found.exercises, found.verdicts, strict=True)
        ],
        "notes": list(found.notes),
    }


def _lay_out(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise WrongUsage(f"{target}: it is there already, and is not replaced.")
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise MachineFailed(f"{source}: the notebook is missing: make labs.") from None


def _jupyter(path, browser):
    """Run JupyterLab on a notebook until it is stopped; its exit status."""
    arguments = [] if browser else ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container
    here = str(Path(__file__).resolve().parent.parent)
    search = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    place = [f"--ServerApp.root_dir={path.parent.resolve()}"]
    place.append(f"--LabApp.default_url=/lab/tree/{path.name}")
    command = [sys.executable, "-m", "jupyterlab", *ALONE, *place]
    try:
        return subprocess.call(
            [*command, *arguments], env={**os.environ, "PYTHONPATH": search}
        )
    except KeyboardInterrupt:
        return 0


def _needs(module):
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MachineFailed(NEEDED)

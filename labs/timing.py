"""What a lab costs to compute: each solution notebook, run as a whole."""

import resource
import tempfile
from pathlib import Path

from labs.catalogue import LABS
from labs.desk import run_notebook

MOST_SECONDS = 600.0  # of two cores


def labs(watch=print):
    """One row a lab: processor seconds of its solution, Jupyter's kernel included."""
    rows = []
    for lab in LABS:
        before = _seconds()
        with tempfile.TemporaryDirectory() as folder:
            run_notebook(lab.solution, Path(folder) / "out.ipynb")
        seconds = round(_seconds() - before, 1)
        watch(f"{lab.slug}: {seconds} processor seconds")
        rows.append(
            {
                "id": f"lab {lab.number:02d} {lab.name}, computing",
                "value": seconds,
                "unit": "s",
                "baseline": "ten minutes of one core",
                "baseline_value": MOST_SECONDS,
                "ratio": round(seconds / MOST_SECONDS, 2),
                "target": 1.0,
                "seed": 0,
            }
        )
    return rows


def _seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

"""Speed as ratios: the kit beside what a person would use instead, in one run."""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib import metadata
from pathlib import Path

from data_pipelines.files import write_whole

RECORD = Path(__file__).resolve().parent.parent / "assets" / "benchmarks.json"
SEED = 1


def start(repeats=5):
    """P8: a cold `etude --help` beside ``python -c pass``, and a cold composition with
    its WAV beside ``python -c 'import tensorflow'``; medians of processes run in turn.

    Returns:
        list of rows for `RECORD`.
    """
    etude = [sys.executable, "-m", "studio.cli"]
    with tempfile.TemporaryDirectory() as folder:
        mid, wav = Path(folder, "a.mid"), Path(folder, "a.wav")
        compose = ["compose", "--bars", "16", "--seed", str(SEED), "-o", mid, "-o", wav]
        commands = {
            "pass": [sys.executable, "-c", "pass"],
            "help": [*etude, "--help"],
            "compose": [*etude, *compose],
            "tensorflow": [sys.executable, "-c", "import tensorflow"],
        }
        seconds = {name: [] for name in commands}
        for _ in range(repeats):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, capture_output=True, check=True)
                seconds[name].append(time.perf_counter() - began)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    return [
        row("P8 help", middle["help"], middle["pass"], "python -c pass", 6.0),
        row(
            "P8 compose",
            middle["compose"],
            middle["tensorflow"],
            "python -c 'import tensorflow'",
            0.3,
        ),
    ]


BENCHMARKS = {"start": start}


def row(id_, seconds, peer_seconds, peer, target):
    """One row of the record: ``value`` is the ratio to the peer, lower is better."""
    return {
        "id": id_,
        "value": round(seconds / peer_seconds, 3),
        "seconds": round(seconds, 3),
        "baseline": peer,
        "baseline_seconds": round(peer_seconds, 3),
        "target": target,
        "seed": SEED,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "versions": {
            name: metadata.version(name)
            for name in ("etude", "keras", "numpy", "symusic", "typer")
        },
    }


def run(name):
    """Run one benchmark and append its rows to the record."""
    rows = BENCHMARKS[name]()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    new = {r["id"] for r in rows}
    record = [r for r in record if r["id"] not in new] + rows
    write_whole(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return rows

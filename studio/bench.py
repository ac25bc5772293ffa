"""Figures with their baselines: speed as ratios measured side by side in one run,
quality beside what has only counted. The record is `assets/benchmarks.json`; the
tables of the README are made from it.
"""

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
from studio.errors import NothingUsable
from studio.models import open_model, shipped_models

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "assets" / "benchmarks.json"
README = ROOT / "README.md"
TABLE_START, TABLE_END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
SEED = 1


def start(repeats=5):
    """P8: a cold `etude --help` beside ``python -c pass``, and a cold composition with
    its WAV beside ``python -c 'import tensorflow'``; medians of processes run in turn.
    """
    etude = [str(Path(sys.executable).with_name("etude"))]
    with tempfile.TemporaryDirectory() as folder:
        mid, wav = Path(folder, "a.mid"), Path(folder, "a.wav")
        compose = ["compose", "--bars", "16", "--seed", str(SEED), "-o", mid, "-o", wav]
        seconds = _alternate(
            {
                "pass": [sys.executable, "-c", "pass"],
                "help": [*etude, "--help"],
                "compose": [*etude, *compose],
                "tensorflow": [sys.executable, "-c", "import tensorflow"],
            },
            repeats,
        )
    return [
        speed_row("P8 etude --help", seconds, "help", "pass", 6.0),
        speed_row(
            "P8 etude compose, 16 bars, WAV", seconds, "compose", "tensorflow", 0.3
        ),
    ]


def models():
    """Held-out nats per note of the shipped models beside their n-gram, on pieces that
    took part in nothing; from the bundles' own facts. Target: 15% below it.
    """
    rows = []
    for name in shipped_models():
        facts = open_model(name).facts
        test = facts["test"]
        rows.append(
            {
                "id": f"{name}, nats per note",
                "value": round(test["model"], 3),
                "baseline": f"n-gram, {test['ngram_kind']}",
                "baseline_value": round(test["ngram"], 3),
                "ratio": round(test["model"] / test["ngram"], 3),
                "target": 0.85,
                "seed": facts["plan"]["seed"],
                **circumstances_here(),
            }
        )
    return rows


def feed():
    """P3: what the feed costs a training step."""
    from studio.bench_feed import feed as measure

    return [{**measure(), **circumstances_here()}]


def growth():
    """P9: how reading a folder grows with it."""
    from studio.bench_feed import growth as measure

    return [{**row, **circumstances_here()} for row in measure()]


def ingest():
    """P1: files to ids, beside MidiTok and pretty_midi."""
    from studio.bench_ingest import ingest as measure

    try:
        return measure()
    except (FileNotFoundError, RuntimeError) as error:
        raise NothingUsable(str(error)) from None


BENCHMARKS = {
    "start": start,
    "models": models,
    "ingest": ingest,
    "feed": feed,
    "growth": growth,
}


def speed_row(id_, seconds, ours, peer, target):
    """A row of the record; ``ratio`` to the peer is what counts, lower is better."""
    names = {"pass": "python -c pass", "tensorflow": "python -c 'import tensorflow'"}
    return {
        "id": id_,
        "value": round(seconds[ours], 3),
        "unit": "s",
        "baseline": names[peer],
        "baseline_value": round(seconds[peer], 3),
        "ratio": round(seconds[ours] / seconds[peer], 3),
        "target": target,
        "seed": SEED,
        **circumstances_here(),
    }


def run(name):
    """Run one benchmark, put its rows in the record and the record in the README."""
    rows = BENCHMARKS[name]()
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    new = {row["id"] for row in rows}
    record = [row for row in record if row["id"] not in new] + rows
    write_whole(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    write_whole(README, with_table(README.read_text(), record).encode())
    return rows


def with_table(text, record):
    """The README with its table made anew from the record."""
    rows = ["| | Etude | beside | ratio | target |", "|---|---|---|---|---|"]
    for row in sorted(record, key=lambda row: row["id"]):
        unit = f" {row['unit']}" if "unit" in row else ""
        bound = "at least" if row.get("higher_is_better") else "at most"
        rows.append(
            f"| {row['id']} | {row['value']:g}{unit} | {row['baseline']}: "
            f"{row['baseline_value']:g}{unit} | {row['ratio']:.2f} | "
            f"{bound} {row['target']:g} |"
        )
    before, _, rest = text.partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    return "\n".join([before + TABLE_START, *rows, TABLE_END]) + after


def _alternate(commands, repeats):
    """Median seconds of each command, all of them run in turn, `repeats` times."""
    taken = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def circumstances_here():
    """Date, machine and versions, for a row."""
    names = ("etude", "keras", "numpy", "symusic", "typer")
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: metadata.version(name) for name in names},
    }

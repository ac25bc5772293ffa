"""Figures with their baselines: speed as ratios measured side by side in one run,
quality beside what has only counted. The record is `assets/benchmarks.json`; the
tables of the README are made from it.
"""

import importlib
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
QUALITY_UNITS = ("dB", "bits per sample", "of sounds", "wrong bits")


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
                "id": f"{name}, nats per {facts['held_out'].get('unit', 'note')}",
                "value": round(test["model"], 3),
                "baseline": f"n-gram, {test['ngram_kind']}",
                "baseline_value": round(test["ngram"], 3),
                "ratio": round(test["model"] / test["ngram"], 3),
                "target": round(0.85 * test["ngram"], 3),
                "seed": facts["plan"]["seed"],
            }
        )
    return rows


BENCHMARKS = {  # name -> the function that measures, named so that none is loaded
    "start": "studio.bench:start",
    "models": "studio.bench:models",
    "fill": "studio.bench_fill:fill",
    "ingest": "studio.bench_ingest:ingest",
    "feed": "studio.bench_feed:feed",
    "growth": "studio.bench_feed:growth",
    "train": "studio.bench_train:train_speed",
    "decode": "studio.bench_decode:decode_speed",
    "jsb-notes": "studio.bench_chorales:jsb_notes",
    "geron": "studio.bench_chorales:geron",
    "jsb-frames": "studio.bench_frames:jsb_frames",
    "nottingham-frames": "studio.bench_frames:nottingham_frames",
    "seed-charrnn": "studio.bench_charrnn:seed_charrnn",
    "shakespeare": "studio.bench_text:shakespeare",
    "copy": "studio.bench_copy:copy",
    "tones": "studio.bench_tones:tones",
    "separate": "studio.bench_separate:separate",
    "digits": "studio.bench_wave:digits",
    "labs": "labs.timing:labs",
    "wave": "studio.bench_wave:wave",
    "codec": "studio.bench_codec:codec",
}
PEERS = {"train": "torch", "decode": "transformers"}  # what else has to be installed


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
    }


def run(name):
    """Run one benchmark, put its rows in the record and the record in the README.

    Raises:
        NothingUsable: if its data or its peer is not here.
    """
    module, function = BENCHMARKS[name].split(":")
    try:
        rows = getattr(importlib.import_module(module), function)()
    except (FileNotFoundError, RuntimeError) as error:
        raise NothingUsable(str(error)) from None
    rows = rows if isinstance(rows, list) else [rows]
    command = f"etude bench {name}"
    if name in PEERS:
        command += f" --peer {PEERS[name]}"
    rows = [{**circumstances_here(), **row, "command": command} for row in rows]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else []
    new = {row["id"] for row in rows}
    record = [row for row in record if row["id"] not in new] + rows
    write_whole(RECORD, (json.dumps(record, indent=1) + "\n").encode())
    write_whole(README, with_table(README.read_text(), record).encode())
    return rows


def with_table(text, record):
    """The README with its tables made anew from the record: quality, then speed.

    What the labs compute stands in their own guide.
    """
    record = [row for row in record if not row["id"].startswith("lab ")]
    quality = [row for row in record if _is_of_quality(row)]
    speed = [row for row in record if row not in quality]
    lines = [
        *_table(("Quality", "beside", "published"), quality, _quality_cells),
        "",
        *_table(("Speed, side by side in one run", "beside"), speed, _speed_cells),
    ]
    before, _, rest = text.partition(TABLE_START)
    _, _, after = rest.partition(TABLE_END)
    return "\n".join([before + TABLE_START, *lines, TABLE_END]) + after


def _is_of_quality(row):
    unit = row.get("unit", "")
    return "nats" in row["id"] + unit or unit in QUALITY_UNITS


def _table(names, rows, cells):
    names = (names[0], "Etude", *names[1:], "ratio", "target")
    yield "| " + " | ".join(names) + " |"
    yield "|---" * len(names) + "|"
    for row in sorted(rows, key=lambda row: row["id"]):
        bound = "at least" if row.get("higher_is_better") else "at most"
        ends = (f"{row['ratio']:.2f}", f"{bound} {row['target']:g}")
        yield "| " + " | ".join((row["id"], *cells(row), *ends)) + " |"


def _quality_cells(row):
    told = "; ".join(
        f"{who} {value:g}" for who, value in row.get("published", {}).items()
    )
    unit = f" {row['unit']}" if row.get("unit") in QUALITY_UNITS else ""
    counted = f"{row['baseline']}: {row['baseline_value']:g}{unit}"
    return f"{row['value']:g}{unit}", counted, told or "-"


def _speed_cells(row):
    unit = f" {row['unit']}" if "unit" in row else ""
    beside = f"{row['baseline']}: {row['baseline_value']:g}{unit}"
    return f"{row['value']:g}{unit}", beside


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

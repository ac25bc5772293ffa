"""P1, ingest: from MIDI files to token ids, beside what people use instead.

Each contender runs in a process of its own, in turn, and prints the processor seconds
it took after its imports and one file to warm up; the ratio of the medians counts.
"""

import importlib.util
import json
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
FOLDERS = ("pop909", "nottingham")
SAMPLES = (60, 200)  # of the folders, in order, where a peer is too slow for all
TARGETS = {"miditok": 10.0, "pretty_midi": 50.0}  # of the whole, and of the parsing


def ingest(folders=None, repeats=3):
    """P1: parse, gate and tokenize every file of some folders, in one process.

    The peers are MidiTok 3's `REMI`, set to keep the same content on the same grid
    (programs, velocities, lengths, tempos, metres), and `pretty_midi` reading alone, on a
    sample spread over each folder and extrapolated file by file.

    Args:
        folders: sequence of str or Path with ``*.mid`` files in them; by default
            pop909 and nottingham beside the checkout, those that are there.
        repeats: int, how often each contender runs; the median counts.

    Returns:
        list of rows for the record, one for each peer. ``ratio`` is how many times as
        fast Etude is: higher is better.

    Raises:
        FileNotFoundError: if there is no folder with MIDI files.
        RuntimeError: if a peer is not installed.
    """
    if folders is None:
        folders = [DATA / name for name in FOLDERS if (DATA / name).is_dir()]
    folders = [Path(folder).resolve() for folder in folders]
    if not any(_midi_files(folder) for folder in folders):
        looked = ", ".join(map(str, folders)) or f"{' and '.join(FOLDERS)} in {DATA}"
        raise FileNotFoundError(f"No folder with *.mid files. Looked for: {looked}")
    for peer in TARGETS:
        if importlib.util.find_spec(peer) is None:
            raise RuntimeError(f"The benchmark needs {peer}: pip install {peer}")
    runs = {name: [] for name in CONTENDERS}
    for _ in range(repeats):
        for name, results in runs.items():
            results.append(_in_a_process(name, folders))
    seconds = {
        name: statistics.median(result["seconds"] for result in results)
        for name, results in runs.items()
    }
    last = {name: results[-1] for name, results in runs.items()}
    return [
        _row("miditok", seconds, "MidiTok", last["etude"]["files"], "REMI"),
        *(
            _row(
                "pretty_midi",
                seconds,
                "pretty_midi reading alone",
                last["etude"]["files"],
                f"PrettyMIDI(path), from {last['pretty_midi']['read']} files",
                ours=ours,
                what=what,
            )
            for ours, what in (("etude", "to REMI ids"), ("reading", "read and gated"))
        ),
    ]


def _row(peer, seconds, called, files, how, *, ours="etude", what="to REMI ids"):
    from studio.bench import SEED, circumstances_here  # bench imports this module

    circumstances = circumstances_here()
    circumstances["versions"][peer] = metadata.version(peer)
    return {
        "id": f"P1 ingest, {files:,} files {what}, times as fast as {called}",
        "value": round(seconds[ours], 3),
        "unit": "s",
        "baseline": f"{peer} {how}",
        "baseline_value": round(seconds[peer], 3),
        "ratio": round(seconds[peer] / seconds[ours], 2),
        "higher_is_better": True,
        "target": TARGETS[peer],
        "seed": SEED,
        **circumstances,
    }


def _in_a_process(name, folders):
    command = [sys.executable, "-m", "studio.bench_ingest", name, *map(str, folders)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The contender {name} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _midi_files(folder):
    return sorted(Path(folder).glob("*.mid"))


def _etude():
    """What reads, gates and encodes a file: a function of a path."""
    from data_pipelines.guard import read_score
    from data_pipelines.tokenizers.remi import RemiTokenizer

    tokenizer = RemiTokenizer()
    return lambda path: len(tokenizer.encode(read_score(path)))


def _reading():
    """The same without the tokens, to stand beside what only reads."""
    from data_pipelines.guard import read_score

    return lambda path: len(read_score(path))


def _miditok():
    from miditok import REMI, TokenizerConfig

    config = TokenizerConfig(
        pitch_range=(0, 127),
        beat_res={(0, 12): 12},
        num_velocities=32,
        use_programs=True,
        use_tempos=True,
        num_tempos=48,
        tempo_range=(24, 360),
        log_tempos=True,
        use_time_signatures=True,
        time_signature_range={8: [3, 6, 9, 12], 4: [1, 2, 3, 4, 5, 6], 2: [2, 3]},
    )
    tokenizer = REMI(config)
    return lambda path: len(tokenizer(path).ids)


def _pretty_midi():
    from pretty_midi import PrettyMIDI

    return lambda path: len(PrettyMIDI(str(path)).instruments)


CONTENDERS = {
    "etude": _etude,
    "reading": _reading,
    "miditok": _miditok,
    "pretty_midi": _pretty_midi,
}


def measure(name, folders):
    """What one contender takes, here and now.

    Args:
        name: str, one of `CONTENDERS`.
        folders: sequence of str or Path.

    Returns:
        dict: processor ``seconds`` for all ``files``, of which ``read`` were read, and
        the ``tokens`` they gave.
    """
    ingest_file = CONTENDERS[name]()
    seconds, files, read, tokens = 0.0, 0, 0, 0
    for number, folder in enumerate(folders):
        paths = _midi_files(folder)
        chosen = paths
        if name == "pretty_midi":
            chosen = paths[:: max(1, len(paths) // SAMPLES[number % len(SAMPLES)])]
        if not chosen:
            continue
        ingest_file(chosen[0])
        began = time.process_time()
        tokens += sum(ingest_file(path) for path in chosen)
        taken = time.process_time() - began
        seconds += taken * len(paths) / len(chosen)
        files, read = files + len(paths), read + len(chosen)
    return {"seconds": seconds, "files": files, "read": read, "tokens": tokens}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2:])))

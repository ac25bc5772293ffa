"""P3 and P9: what the feed costs a training step, and how reading a folder grows."""

import json
import resource  # POSIX only, as the whole of P9
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEED = 1
FILES = (1_000, 10_000, 100_000)


def feed(*, blocks=12, steps=25):
    """P3: the time of a training step with the real tf.data feed, beside the same step
    on one constant batch; blocks of either in turn, the median of their ratios.
    """
    from audio_models import MODELS
    from audio_models.network import Network
    from audio_models.training import Plan, compiled
    from data_pipelines.datasets import Feed
    from data_pipelines.windows import Augmentation
    from studio.recipes import RECIPES

    recipe = RECIPES["melody-lstm"]
    with tempfile.TemporaryDirectory() as folder:
        dataset = _prepared(folder, 4000)  # an epoch of some 200 steps
        network = Network(
            MODELS[recipe.model](
                vocab_size=dataset.tokenizer.vocab_size, **recipe.sizes
            ),
            seed=SEED,
        )
        compiled(network, Plan(**recipe.plan, epochs=1))
        # Packed, so that every batch has one shape, and the constant batch has it too.
        source = Feed(
            dataset,
            batch_size=recipe.plan["batch_size"],
            length=recipe.plan["window"],
            seed=SEED,
            augmentation=Augmentation(6),
            pack=True,
        )
        batches = _endless(source)
        constant = next(batches)
        for _ in range(5):
            network.train_on_batch(*constant[:2], sample_weight=constant[2])
        ratios, real_ms, constant_ms = [], [], []
        for _ in range(blocks):
            real = _seconds(network, batches, steps)
            same = _seconds(network, iter([constant] * steps), steps)
            ratios.append(real / same)
            real_ms.append(1000 * real / steps)
            constant_ms.append(1000 * same / steps)
    return {
        "id": "P3 feed, training step of melody-lstm (8 x 256)",
        "value": round(statistics.median(real_ms), 2),
        "unit": "ms",
        "baseline": "one constant batch",
        "baseline_value": round(statistics.median(constant_ms), 2),
        "ratio": round(statistics.median(ratios), 3),
        "target": 1.03,
        "seed": SEED,
    }


def _endless(source):
    epoch = 0
    while True:
        yield from (b for b in source.epoch(epoch) if b[0].shape[1] == source.length)
        epoch += 1


def _seconds(network, batches, steps):
    began = time.perf_counter()
    for _ in range(steps):
        x, y, mask = next(batches)
        network.train_on_batch(x, y, sample_weight=mask)
    return time.perf_counter() - began


def growth(files=FILES):
    """P9: the time and the peak memory of preparing folders of growing size, each in a
    process of its own; a file is a random tune, so that none is a copy of another.
    """
    taken = {}
    for count in files:
        with tempfile.TemporaryDirectory() as folder:
            write_tunes(Path(folder, "music"), count)
            done = subprocess.run(
                [sys.executable, "-m", "studio.bench_feed", folder],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            taken[count] = json.loads(done.stdout.splitlines()[-1])
            if taken[count]["pieces"] != count:
                raise ValueError(f"{count} files gave {taken[count]['pieces']} pieces")
    small, large = taken[files[0]], taken[files[-1]]
    by_size = {f"{count:,}": taken[count] for count in files}
    shared = {"seed": SEED, "target": 1.1, "files": by_size}
    least, most = f"{files[0]:,}", f"{files[-1]:,}"
    return [
        {
            "id": f"P9 growth, time a file at {most} files",
            "value": round(1000 * large["seconds"] / files[-1], 3),
            "unit": "ms",
            "baseline": f"at {least} files",
            "baseline_value": round(1000 * small["seconds"] / files[0], 3),
            "ratio": round(
                large["seconds"] / files[-1] / (small["seconds"] / files[0]), 3
            ),
            **shared,
        },
        {
            "id": f"P9 growth, peak memory at {most} files",
            "value": round(large["megabytes"], 1),
            "unit": "MB",
            "baseline": f"at {least} files",
            "baseline_value": round(small["megabytes"], 1),
            "ratio": round(large["megabytes"] / small["megabytes"], 3),
            **shared,
        },
    ]


def write_tunes(folder, count):
    """So many MIDI files of random tunes, 1,000 a subfolder; seeded."""
    from data_pipelines.midi import midi_bytes
    from data_pipelines.score import Score, notes_array

    rng = np.random.default_rng(SEED)
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:04d}").mkdir(parents=True)
        pitches = np.clip(60 + np.cumsum(rng.integers(-4, 5, 64)), 21, 108)
        score = Score(notes_array(np.arange(64) * 240, 240, pitches), 480)
        path = folder / f"{number // 1000:04d}" / f"{number % 1000:03d}.mid"
        path.write_bytes(midi_bytes(score))


def _prepared(folder, count):
    from data_pipelines.prepare import Settings, prepare
    from data_pipelines.tokenizers import TOKENIZERS

    write_tunes(Path(folder, "music"), count)
    settings = Settings(TOKENIZERS["melody"]().spec())
    return prepare(Path(folder, "music"), Path(folder, "dataset"), settings)


def measure_preparation(folder):
    """Prepare FOLDER/music here, and tell its seconds and this process's peak."""
    from data_pipelines.prepare import Settings, prepare
    from data_pipelines.tokenizers import TOKENIZERS

    settings = Settings(TOKENIZERS["melody"]().spec())
    began = time.perf_counter()
    dataset = prepare(Path(folder, "music"), Path(folder, "dataset"), settings)
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "megabytes": round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1
        ),
        "pieces": sum(split["pieces"] for split in dataset.counts.values()),
    }


if __name__ == "__main__":
    print(json.dumps(measure_preparation(sys.argv[1])))

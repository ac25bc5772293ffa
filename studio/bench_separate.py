"""What a separator is worth: beside the mixture, and beside one who knows the truth.

And its training: ``python -m studio.bench_separate FOLDER`` makes the shipped one anew.
"""

import time
from itertools import islice
from pathlib import Path

import numpy as np

from data_pipelines.mixtures import STEMS
from data_pipelines.spectra import ideal_ratio_masks, istft, si_sdr, stft
from studio.separate import Separator, open_separator

CORPORA = ("oneills1850", "ryansMammoth")
COUNTS = {"train": 300, "valid": 20, "test": 40}  # mixtures
BATCH_SIZE, FRAMES = 12, 96
STEPS, CHECK_EVERY = 600, 50
SEED = 0
TARGET = 0.5  # of the oracle's improvement


def separate(*, model=None, mixtures=None, count=COUNTS["test"], tell=lambda _: None):
    """SI-SDR improvement over the mixture, in dB, of a separator's parts beside those of
    the ideal ratio mask (power 2) on the same spectrum; the mean over all stems of
    held-out mixtures with other tunes, instruments, grooves and kits than were learnt.

    Args:
        model: Path of a separator's folder; None for the shipped one.
        mixtures: Path where the mixtures are kept; None for the user's cache.
        count: int, how many mixtures of the test split.
        tell: function of a line: the figure of each stem.
    """
    from data_pipelines.mixtures import read_mixtures

    separator = open_separator(model)
    folder = rendered_mixtures(counts={"test": count}, folder=mixtures, seed=SEED)
    truths = list(islice(read_mixtures(folder, "test"), count))
    ours = improvements(lambda mix, _: separator.part(mix), truths)
    ideal = improvements(lambda mix, stems: oracle(separator, mix, stems), truths)
    for number, name in enumerate(separator.stems):
        tell(
            f"{name}: {ours[:, number].mean():.2f} dB, "
            f"ideal ratio mask {ideal[:, number].mean():.2f} dB"
        )
    return {
        "id": "separate, SI-SDR improvement on held-out mixtures",
        "value": round(float(ours.mean()), 3),
        "unit": "dB",
        "baseline": "ideal ratio mask, which knows the truth",
        "baseline_value": round(float(ideal.mean()), 3),
        "ratio": round(float(ours.mean() / ideal.mean()), 3),
        "target": TARGET,
        "higher_is_better": True,
        "stems": {
            name: [round(float(rows[:, k].mean()), 3) for rows in (ours, ideal)]
            for k, name in enumerate(separator.stems)
        },
        "mixtures": len(truths),
        "seed": SEED,
    }


def oracle(separator, mix, stems):
    """The parts by the ideal ratio mask on the separator's spectrum: (K, N)."""
    sizes = {"window": separator.window, "hop": separator.hop}
    masks = ideal_ratio_masks(stft(stems, **sizes), power=2.0)
    return istft(masks * stft(mix, **sizes), len(mix), **sizes)


def rendered_mixtures(*, counts=COUNTS, folder=None, seed=0):
    """The folder of the mixtures to learn from, rendered where they are not there yet.

    Args:
        counts: dict of split -> int.
        folder: Path; None for the user's cache.
    """
    from data_pipelines.cache import cache_folder
    from data_pipelines.mixtures import RULES, SHARD_MIXTURES, write_mixtures

    folder = Path(folder) if folder else cache_folder() / f"mixtures-{RULES}-{seed}"
    wanted = {
        split: count
        for split, count in counts.items()
        if len(list(folder.glob(f"{split}-*.npz"))) * SHARD_MIXTURES < count
    }
    tunes = tunes_by_split() if wanted else {}
    for split, count in wanted.items():
        write_mixtures(folder, tunes[split], split, count, seed=seed)
    return folder


def tunes_by_split():
    """The tunes of `CORPORA`: dict of split -> list of `Score`, kin together."""
    from data_pipelines.mixtures import split_tunes
    from data_pipelines.music21_corpus import read_music21_corpus

    return split_tunes([t for name in CORPORA for t in read_music21_corpus(name)[0]])


def improvements(part, mixtures):
    """How much nearer the parts are than the mixture was, SI-SDR in dB.

    Args:
        part: function of (mix (N,), stems (K, N)) -> parts (K, N).
        mixtures: iterable of float32 arrays (K, N), the true parts.

    Returns:
        float64 array (M, K).
    """
    rows = []
    for stems in mixtures:
        mix = stems.sum(axis=0)
        rows.append(si_sdr(part(mix, stems), stems) - si_sdr(mix, stems))
    return np.array(rows)


def train_separator(
    output, *, steps=STEPS, seed=0, counts=COUNTS, mixtures=None, sizes=None, tell=print
):
    """Render mixtures, train a separator on them, and write it as a bundle.

    The weights kept are those with the best SI-SDR improvement on the valid split; each
    better ones are written at once. The test split takes no part.

    Args:
        output: Path of the bundle's folder.
        steps: int, batches learnt from.
        seed: int, of mixtures, weights and batches.
        counts: dict of split -> int, how many mixtures.
        mixtures: Path where they are kept; None for the user's cache.
        sizes: dict, fields of `MaskGRU`, or None.
        tell: function of a line.

    Returns:
        float, the mean improvement on the valid split, in dB.
    """
    from audio_models.bundle import Bundle, halved, save_bundle
    from audio_models.separation import MaskGRU, train_masks
    from data_pipelines.mixtures import mixture_batches, read_mixtures

    wanted = {split: counts[split] for split in ("train", "valid")}
    folder = rendered_mixtures(counts=wanted, folder=mixtures, seed=seed)
    train = list(islice(read_mixtures(folder, "train"), counts["train"]))
    valid = list(islice(read_mixtures(folder, "valid"), counts["valid"]))
    architecture = MaskGRU(**(sizes or {}))
    blank = Separator(architecture, {})
    best = -np.inf

    def check(step, loss, weights):
        nonlocal best
        weights = halved(weights)  # as they will be stored
        separator = Separator(architecture, weights)
        found = improvements(lambda mix, _: separator.part(mix), valid).mean(axis=0)
        told = ", ".join(
            f"{name} {db:.2f}" for name, db in zip(STEMS, found, strict=True)
        )
        tell(
            f"step {step}: loss {loss:.2f} dB, valid SI-SDR improvement "
            f"{found.mean():.2f} dB ({told}), {time.process_time():.0f} s of CPU"
        )
        if found.mean() > best:
            best = float(found.mean())
            facts = {
                "step": step,
                "steps": steps,
                "seed": seed,
                "mixtures": wanted,
                "valid_improvement_db": dict(
                    zip(STEMS, np.round(found, 3).tolist(), strict=True)
                ),
                "corpora": list(CORPORA),
                "engine": "synth",
            }
            vocabulary = {
                "stems": list(STEMS),
                "sample_rate": blank.sample_rate,
                "window": blank.window,
                "hop": blank.hop,
            }
            bundle = Bundle(architecture, weights, vocabulary, facts, card(facts))
            save_bundle(output, bundle, half=True)
        return found.mean()

    batches = mixture_batches(
        train,
        frames=FRAMES,
        batch_size=BATCH_SIZE,
        window=blank.window,
        hop=blank.hop,
        seed=seed,
    )
    train_masks(
        architecture, batches, steps=steps, check=check, every=CHECK_EVERY, seed=seed
    )
    return best


def card(facts):
    """What a separator is, for people: Markdown."""
    found = ", ".join(
        f"{name} {db:.1f} dB" for name, db in facts["valid_improvement_db"].items()
    )
    return f"""# A separator of melody, accompaniment and drums

Trained on {facts["mixtures"]["train"]} mixtures of 8 s that Etude renders itself: tunes of
{" and ".join(facts["corpora"])} (public-domain prints, in music21's corpus), chords and
bass put under them by rule, drum patterns written by rule, all played by Etude's own
synthesiser. No recording was used. Step {facts["step"]} of {facts["steps"]}, seed
{facts["seed"]}, was best on {facts["mixtures"]["valid"]} mixtures of other tunes and
instruments: SI-SDR improvement {found}. `etude bench separate` gives the figures of the
test split beside the ideal ratio mask.

It has heard a synthesiser and one drum kit at several pitches: of recordings expect less,
and of voices nothing. Again: `python -m studio.bench_separate FOLDER --steps {facts["steps"]}
--train {facts["mixtures"]["train"]} --seed {facts["seed"]}`.
"""


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="Train a separator.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=COUNTS["train"])
    parser.add_argument("--mixtures", type=Path)
    asked = parser.parse_args()
    train_separator(
        asked.folder,
        steps=asked.steps,
        seed=asked.seed,
        counts={**COUNTS, "train": asked.train},
        mixtures=asked.mixtures,
    )

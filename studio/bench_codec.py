"""A codec beside mu-law: bits a second, and what is left of the sound.

Mu-law is brought to the codec's bits a second by taking fewer samples and fewer levels;
which of those ways is best is chosen on held-out sounds of the kit, not on those of the
table, once for the spectra and once for the waveform: each figure stands beside the way
that is best at it. What it gives back is scaled to the sound as well as it can be, free
of charge.
"""

import math
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from audio_models.codec import Codec
from data_pipelines.audio import (
    LOWEST_RATE,
    Waveform,
    audio_bytes,
    mu_law_decode,
    mu_law_encode,
    read_waveform,
    resample,
)
from data_pipelines.guard import Refused
from data_pipelines.pitch import midi_pitch_of
from data_pipelines.spectra import si_sdr, stft
from data_pipelines.tones import pitch_of
from studio.codec import (
    KeptCodec,
    at_rate,
    kit_sounds,
    learn_codec,
    open_codec,
    reconstruct,
    rounded,
    save_codec,
)
from studio.codec_card import codec_card
from studio.errors import NothingUsable

DIGITS = Path(__file__).resolve().parents[2] / "shared" / "data" / "fsdd"
BENCH_CODEC = Codec()
SEED = 1
SOUNDS, HELD_OUT = 300, 50  # of drums, and of tones
STEPS, LEARNING_RATE, CHECKS = 400, 1e-3, 5
MOST_DIGITS = 100
PAUSE_SECONDS = 0.1  # between the sounds of the sample
WINDOW, HOP = 512, 128  # samples of a spectrum at 16 kHz: 32 ms, every 8
FLOOR_DB = -80.0  # under a sine of full scale: what is softer counts as so soft
MOST_LEVEL_BITS = 4  # of mu-law brought down
FULL_BITS = 8
MOST_SEMITONES = 0.5  # that a tone's pitch may lie from the one it was made at


@dataclass(frozen=True)
class Fidelity:
    """What is left of some sounds.

    Args:
        bits_per_second: float.
        si_sdr_db: float, mean over the sounds; more is better.
        distance_db: float, log-spectral distance, mean over all frames of all sounds.
            It hears soft bins as well as loud ones, so that a codec may leave out what
            is loud and still lie near: look at the other two as well.
        level_db: float, energy of all that came back over that of all that was meant.
    """

    bits_per_second: float
    si_sdr_db: float
    distance_db: float
    level_db: float


def codec(kept=None, held_out=HELD_OUT):
    """Rows for the record: the shipped codec on drums and tones of the kit that it has
    not met and on spoken digits.

    Args:
        kept: `KeptCodec`, another one than that. held_out: int, drums and tones each.

    Raises:
        NothingUsable: if the codec or the digits are not there.
    """
    kept = kept or open_codec()
    rate, seed = kept.codec.sample_rate, kept.facts["plan"]["seed"]
    spoken = digits(rate)
    return rows_of(kept, held_out, {"spoken digits": spoken}, seed)


def rows_of(kept, held_out, others, seed):
    """Rows of a codec, on the kit's sounds of seed + 2 and on others.

    Args:
        kept: `KeptCodec`. held_out: int, drums and tones each.
        others: dict of name -> list of `Waveform`.
        seed: int, of the sounds that it learnt from; mu-law is chosen on seed + 1.
    """
    rate, bits = kept.codec.sample_rate, kept.codec.architecture.bits_per_second
    valid, test = (
        [waveform for _, waveform in kit_sounds(held_out, seed + by, rate)]
        for by in (1, 2)
    )
    way, nearest = best_way(valid, rate, bits), best_way(valid, rate, bits, "si_sdr_db")
    shared = {
        "minutes": kept.facts["minutes"],
        "steps": kept.facts["history"][-1]["step"],
        "learnt_with_seed": seed,
    }
    groups = {
        "drums of the kit": test[:held_out],
        "tones of the kit": test[held_out:],
        **others,
    }
    rows = [
        {**row(kept.codec, waveforms, way, nearest, told), **shared}
        for told, waveforms in groups.items()
    ]
    rows[1]["pitch_kept"] = pitch_kept(kept.codec, test[held_out:])
    return rows


def ship(folder, architecture=BENCH_CODEC, plan=None, sounds=SOUNDS, held_out=HELD_OUT):
    """Learn a codec from the kit's own sounds, measure it and leave it as a bundle.

    Args:
        folder: Path. architecture: `Codec`. plan: `codec_training.CodecPlan`.
        sounds, held_out: int, drums and tones each.

    Returns:
        `KeptCodec`, its weights rounded to 16 bits, as they are kept and measured.
    """
    plan = plan or usual_plan()
    train, valid = (
        [w for _, w in kit_sounds(count, seed, architecture.sample_rate)]
        for count, seed in ((sounds, plan.seed), (held_out, plan.seed + 1))
    )
    began = time.monotonic()
    kept = learn_codec(architecture, plan, train, valid, watch=_say)
    minutes = round((time.monotonic() - began) / 60, 1)
    facts = kept.facts | {"minutes": minutes}
    kept = KeptCodec(rounded(kept.codec), facts, sample=sample(kept.codec, plan.seed))
    try:
        others = {"spoken digits": digits(architecture.sample_rate)}
    except NothingUsable:
        others = {}
    rows = rows_of(kept, held_out, others, plan.seed)
    command = (
        f"python -m studio.bench_codec FOLDER --steps {plan.steps} --seed {plan.seed}"
    )
    card = codec_card(architecture, facts, rows, command)
    kept = replace(kept, card=card)
    save_codec(folder, kept)
    return kept


def usual_plan(steps=STEPS, seed=SEED):
    """The `codec_training.CodecPlan` of the codec that is shipped."""
    from audio_models.codec_training import CodecPlan

    rate = LEARNING_RATE
    return CodecPlan(
        steps=steps, batch_size=8, learning_rate=rate, checks=CHECKS, seed=seed
    )


def sample(player, seed):
    """A WAV file: a sound of each kind that was not learnt from, as it is and as coded."""
    rate, heard, met = player.sample_rate, [], set()
    for _, waveform in kit_sounds(30, seed + 2, rate):
        kind = waveform.label[:1] if "#" in waveform.label else waveform.label
        if kind in met or len(met) > 10:
            continue
        met.add(kind)
        pause = np.zeros(round(PAUSE_SECONDS * rate), "float32")
        coded = reconstruct(player, waveform)[0].samples[:, 0]
        heard += [at_rate(waveform, rate), pause, coded, pause]
    return audio_bytes(np.concatenate(heard)[:, None], rate)


def pitch_kept(player, waveforms):
    """Share of tones whose pitch, through the codec, is still the one of their label."""
    kept = 0
    for waveform in waveforms:
        pitch = midi_pitch_of(reconstruct(player, waveform)[0])
        wanted = pitch_of(waveform.label)
        kept += pitch is not None and abs(pitch - wanted) <= MOST_SEMITONES
    return round(kept / len(waveforms), 3)


def row(player, waveforms, way, nearest, told):
    """A row of the record: a `CodecPlayer` beside mu-law on some sounds.

    Args:
        way, nearest: (rate, bits) of mu-law at its best in spectra, and in waveforms.
    """
    rate, size = player.sample_rate, player.codebook_size
    through = [reconstruct(player, waveform) for waveform in waveforms]
    bits = player.architecture.bits_per_second
    ours = fidelity(waveforms, [heard for heard, _ in through], bits)
    same = fidelity(
        waveforms, [mu_law(w, rate, *way) for w in waveforms], math.prod(way)
    )
    near = fidelity(
        waveforms, [mu_law(w, rate, *nearest) for w in waveforms], math.prod(nearest)
    )
    full = fidelity(
        waveforms,
        [mu_law(w, rate, rate, FULL_BITS) for w in waveforms],
        rate * FULL_BITS,
    )
    used = perplexity(np.concatenate([codes for _, codes in through]), size)
    return {
        "id": f"codec, {told}, log-spectral distance",
        "value": round(ours.distance_db, 2),
        "unit": "dB",
        "baseline": f"mu-law of {way[1]} bits at {way[0]:,} Hz",
        "baseline_value": round(same.distance_db, 2),
        "ratio": round(ours.distance_db / same.distance_db, 3),
        "target": 0.8,
        "seed": SEED,
        "sounds": len(waveforms),
        "bits_per_second": bits,
        "baseline_bits_per_second": same.bits_per_second,
        "si_sdr_db": round(ours.si_sdr_db, 2),
        "level_db": round(ours.level_db, 2),
        "baseline_si_sdr_db": round(near.si_sdr_db, 2),
        "baseline_si_sdr_way": f"mu-law of {nearest[1]} bits at {nearest[0]:,} Hz",
        "full_rate": {
            "bits_per_second": full.bits_per_second,
            "distance_db": round(full.distance_db, 2),
            "si_sdr_db": round(full.si_sdr_db, 2),
        },
        "perplexity": [round(value, 1) for value in used],
        "codebook_size": size,
    }


def digits(sample_rate, most=MOST_DIGITS):
    """Spoken digits of the test split (takes 0 to 4 of each), spread over it.

    Raises:
        NothingUsable: if they are not there, or one cannot be read.
    """
    paths = sorted(DIGITS.rglob("*_[0-4].wav"))
    if not paths:
        raise NothingUsable(f"The benchmark needs {DIGITS}: no WAV file of a digit.")
    found = []
    for path in islice(paths, 0, None, -(-len(paths) // most)):
        try:
            found.append(resample(read_waveform(path), sample_rate))
        except Refused as error:
            raise NothingUsable(f"{path} cannot be read: {error}.") from None
    return found


def ways(bits_per_second):
    """Each (rate in Hz, bits) by which mu-law keeps within some bits a second."""
    pairs = [
        (int(bits_per_second // bits), bits) for bits in range(1, MOST_LEVEL_BITS + 1)
    ]
    return [pair for pair in pairs if pair[0] >= LOWEST_RATE]


def best_way(waveforms, sample_rate, bits_per_second, by="distance_db"):
    """The (rate, bits) of mu-law that is best on some sounds.

    Args:
        by: str, the figure of `Fidelity` that decides: distance_db, of which less is
            better, or si_sdr_db.

    Raises:
        ValueError: if there are fewer bits a second than any way takes.
    """
    possible = ways(bits_per_second)
    if not possible:
        raise ValueError(
            f"Mu-law needs {LOWEST_RATE:,} bits a second. Received: {bits_per_second}"
        )

    def worse(way):
        heard = [mu_law(waveform, sample_rate, *way) for waveform in waveforms]
        found = getattr(fidelity(waveforms, heard, math.prod(way)), by)
        return found if by == "distance_db" else -found

    return min(possible, key=worse)


def mu_law(waveform, sample_rate, rate, bits):
    """A sound through mu-law of so many bits at `rate`, back at `sample_rate`.

    Returns:
        `Waveform` as long as the sound is there, at the gain nearest to it.
    """
    meant = at_rate(waveform, sample_rate)
    slow = at_rate(Waveform(meant[:, None], sample_rate), rate)
    mu = 2**bits - 1
    heard = mu_law_decode(mu_law_encode(slow, mu), mu)
    heard = resample(Waveform(heard[:, None], rate), sample_rate).samples[:, 0]
    heard = np.pad(heard, (0, max(0, len(meant) - len(heard))))[: len(meant)]
    gain = float(heard @ meant) / max(float(heard @ heard), 1e-12)
    return Waveform((gain * heard)[:, None].astype("float32"), sample_rate)


def fidelity(waveforms, heard, bits_per_second):
    """`Fidelity` of what was heard for some sounds, at the rate of what was heard."""
    ratios, distance, frames, given, wanted = [], 0.0, 0, 0.0, 0.0
    for waveform, back in zip(waveforms, heard, strict=True):
        meant, got = at_rate(waveform, back.sample_rate), back.mono()
        if meant.any() and got.any():
            ratios.append(float(si_sdr(got, meant)))
        given, wanted = given + float(got @ got), wanted + float(meant @ meant)
        each = distances(meant, got)
        distance, frames = distance + float(each.sum()), frames + len(each)
    mean = float(np.mean(ratios)) if ratios else math.nan
    level = 10 * math.log10(max(given, 1e-12) / max(wanted, 1e-12))
    return Fidelity(bits_per_second, mean, distance / max(1, frames), level)


def distances(meant, got):
    """Log-spectral distance of each frame, in dB: float64 (T,).

        sqrt(mean over bins of (20 log10(|S| / |E|))^2)

    Args:
        meant, got: float arrays (N,). What lies `FLOOR_DB` under a sine of full scale,
            or lower, counts as lying there.

    Reference:
        Gray & Markel 1976, Distance measures for speech processing.
    """
    one, other = (levels_db(samples) for samples in (meant, got))
    return np.sqrt(np.square(one - other).mean(axis=1))


def levels_db(samples):
    """Level of each bin of each frame, in dB under a sine of full scale: (T, bins)."""
    spectrum = np.abs(stft(samples, window=WINDOW, hop=HOP)).astype(np.float64)
    spectrum = spectrum * (4 / WINDOW)  # a Hann window halves a sine's half spectrum
    return 20 * np.log10(np.maximum(spectrum, 10 ** (FLOOR_DB / 20)))


def perplexity(codes, size):
    """How many codes of each quantizer are as good as in use: exp of the entropy.

    Args:
        codes: int array (F, Q). size: int, of a codebook.

    Returns:
        list of Q floats in [1, size].
    """
    found = []
    for column in codes.T:
        share = np.bincount(column, minlength=size) / len(column)
        share = share[share > 0]
        found.append(float(np.exp(-(share * np.log(share)).sum())))
    return found


def _say(now, _kept):
    print(
        f"codec, step {now['step']:,}: {now['loss']:.3f}, held out {now['held_out']:.3f}, "
        f"{now['si_sdr_db']:.2f} dB",
        flush=True,
    )


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description="Train a codec on the kit's sounds.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    ship(asked.folder, plan=usual_plan(asked.steps, asked.seed))

"""The cards of a codec, and of a model of its codes, from their own facts."""

import math


def codes_card(bundle):
    """Markdown of a model of codes: data and terms, figures, how to rebuild it."""
    facts, about = bundle.facts, bundle.vocabulary
    held_out, test = facts["held_out"], facts.get("test", {})
    pieces, frames = facts["pieces"], facts["notes"]
    rate, codes = about["sample_rate"], about["num_quantizers"]
    weights = sum(array.size for array in bundle.weights.values())
    rows = [
        f"| {name} | {_bits(held_out.get(key))} | {_bits(test.get(key))} |"
        for name, key in (
            ("copy", "copy"),
            ("unigram", "unigram"),
            (f"n-gram ({held_out['ngram_kind']})", "ngram"),
            ("**this model**", "model"),
        )
    ]
    asked = "It knows no classes of sound."
    if classes := about.get("classes", []):
        asked = f"Classes, one of which can be asked for: {', '.join(classes)}."
    caution = (
        ""
        if held_out["is_held_out"]
        else "\n**Too few sounds to hold any back: these figures are of the training "
        "sounds themselves and say nothing about new ones.**\n"
    )
    sources = "\n".join(f"- {source}" for source in facts["sources"])
    return f"""# {facts["recipe"]}

{bundle.model_name}, {weights:,} weights, trained {facts.get("trained_minutes", "?")} minutes on a plain CPU
({facts.get("steps", "?")} steps, seed {facts["plan"]["seed"]}). It writes sound in the codes of a neural codec, {codes} a
frame of {about["hop"]:,} samples; codec.npz is that codec (checksum {about["checksum"][:12]}).

## Data
{sources}

{sum(pieces.values()):,} sounds after removing duplicates, {frames:,} frames at {rate:,} Hz
({frames * about["hop"] / rate / 60:.1f} minutes): {pieces["train"]:,} to train, {pieces["valid"]:,} to stop on,
{pieces["test"]:,} to test. {asked}

## Figures
Bits per code, mean over all codes (the end of a sound included). Lower is better. They
tell nothing of what the codec leaves out: they are not those of a model of samples.

| | stopped on | test |
|---|---|---|
{chr(10).join(rows)}
{caution}
## What it is not
It has heard sounds of its data's length and kind, one channel at {rate:,} Hz, through a
codec that learnt from drums and tones; it knows no pitch, beat or loudness to ask for.

## Rebuild
```
{facts["command"]}
```
Versions: {", ".join(f"{k} {v}" for k, v in facts["versions"].items())}.
"""


def codec_card(architecture, facts, rows, command):
    """Markdown of a codec: what it learnt from, how near it comes, how to rebuild it.

    Args:
        architecture: `audio_models.codec.Codec`. facts: dict, of its training.
        rows: list of dict, as `bench_codec.row` gives them.
        command: str, what trains it again.
    """
    numbers = sum(math.prod(weight.shape) for weight in architecture.weights().values())
    count, plan, history = facts["sounds"] // 2, facts["plan"], facts["history"]
    best = min(history, key=lambda look: look["held_out"])
    table = [
        f"| {row['id'].split(', ')[1]} | {row['sounds']} | {row['si_sdr_db']} | "
        f"{row['baseline_si_sdr_db']} | {row['value']} | {row['baseline_value']} |"
        for row in rows
    ]
    return f"""# A codec of drums and tones

{architecture.sample_rate:,} Hz, one channel, {architecture.bits_per_second:,.0f} bits a second: {architecture.frame_rate:g} frames a second,
{architecture.num_quantizers} codes of {math.log2(architecture.codebook_size):g} bits a frame, the first of them the level. {numbers:,} weights.
Half a frame ({500 * architecture.hop / architecture.sample_rate:g} ms) of look-ahead each way.

## Data
{count} drum sounds and {count} tones, {facts["seconds_of_sound"] / 60:.1f} minutes, that Etude synthesises itself (seed
{plan["seed"]}): formulas with parameters drawn at random, no recording of anybody. MIT like the rest.
{history[-1]["step"]} steps; the weights kept are those of step {best["step"]}, the best of {len(history)} looks at
other drums and tones (seed {plan["seed"] + 1}).

## Figures
Drums and tones of seed {plan["seed"] + 2}; spoken digits are of FSDD's test split, measured on and never
learnt from. Beside it mu-law at the same bits a second, each figure with the way that is
best at it on the sounds of seed {plan["seed"] + 1}.

| sounds | of them | SI-SDR, dB | mu-law | log-spectral distance, dB | mu-law |
|---|---|---|---|---|---|
{chr(10).join(table)}

## What it is not
It has heard drums and plain tones: of speech and music it keeps less. Noise comes back as
other noise, which SI-SDR counts as lost.

## Rebuild
```
{command}
```
"""


def _bits(nats):
    return "-" if nats is None else f"{nats / math.log(2):.3f}"

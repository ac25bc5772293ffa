"""The card of a model of sounds: what it is, for people, from its own facts."""

import math


def sound_card(bundle):
    """Markdown: data and terms, figures beside their floors, how to rebuild it."""
    facts = bundle.facts
    held_out, test = facts["held_out"], facts.get("test", {})
    pieces, rate = facts["pieces"], bundle.vocabulary["sample_rate"]
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
    classes = bundle.vocabulary.get("classes", [])
    asked = (
        f"Classes, one of which can be asked for: {', '.join(classes)}."
        if classes
        else "It knows no classes of sound."
    )
    caution = (
        ""
        if held_out["is_held_out"]
        else "\n**Too few sounds to hold any back: these figures are of the training "
        "sounds themselves and say nothing about new ones.**\n"
    )
    sources = "\n".join(f"- {source}" for source in facts["sources"])
    heard = f"\n## Heard\n{facts['listening']}\n" if facts.get("listening") else ""
    return f"""# {facts["recipe"]}

{bundle.model_name}, {weights:,} weights, trained {facts.get("trained_minutes", "?")} minutes on a plain CPU
({facts.get("steps", "?")} steps, seed {facts["plan"]["seed"]}). It writes sound, sample after sample.

## Data
{sources}

{sum(pieces.values()):,} sounds after removing duplicates, {facts["notes"]:,} samples at {rate:,} Hz
({facts["notes"] / rate / 60:.1f} minutes): {pieces["train"]:,} to train, {pieces["valid"]:,} to stop on,
{pieces["test"]:,} to test. {asked}

## Figures
Bits per sample of {bundle.vocabulary.get("bits", 8)}-bit sound, mean over all samples (the end of a sound
included). Lower is better.

| | stopped on | test |
|---|---|---|
{chr(10).join(rows)}
{caution}
## What it is not
It has heard sounds of its data's length and kind, one channel at {rate:,} Hz, and nothing
else; it knows no pitch, beat or loudness to ask for.
{heard}
## Rebuild
```
{facts["command"]}
```
Versions: {", ".join(f"{k} {v}" for k, v in facts["versions"].items())}.
"""


def _bits(nats):
    return "-" if nats is None else f"{nats / math.log(2):.3f}"

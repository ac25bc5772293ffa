"""The model card: what a bundle is, for people, from its own facts."""

LIMITS = {
    "melody": "One line of melody on a grid of sixteenths: no chords, no ornaments, no "
    "triplets, no\ndynamics of its own (accents follow the metre).",
    "chorale": "Four voices on a grid of sixteenths, all equally loud: no fifth voice, "
    "no ornaments, no\ntriplets.",
    "performance": "One instrument, in tenths of a tenth of a second: it knows neither "
    "bars nor metre, and plays\nno drums.",
    "remi": "Notes on a grid of twelfths of a quarter, loudness in 32 steps: no pedal, "
    "no bends.",
    "miditok": "What the MidiTok tokenizer of its vocabulary keeps, and no more.",
}


def model_card(bundle):
    """Markdown: data and terms, figures beside their floors, how to rebuild it."""
    facts = bundle.facts
    plan, held_out, pieces = facts["plan"], facts["held_out"], facts["pieces"]
    test = facts.get("test", {})
    weights = sum(array.size for array in bundle.weights.values())
    rows = [
        f"| {name} | {held_out[key]:.3f} | {_figure(test.get(key))} |"
        for name, key in (
            ("copy", "copy"),
            ("unigram", "unigram"),
            (f"n-gram ({held_out['ngram_kind']})", "ngram"),
            ("**this model**", "model"),
        )
    ]
    repeats = facts["repeated_bars"]
    ratio = 1 - held_out["model"] / held_out["ngram"]
    caution = (
        ""
        if held_out["is_held_out"]
        else "\n**Too few tunes to hold any back: these figures are of the training "
        "music itself and say nothing about new music.**\n"
    )
    sources = "\n".join(f"- {source}" for source in facts["sources"])
    metres = ", ".join(f"{name} ({n})" for name, n in facts["metres"].items())
    return f"""# {facts["recipe"]}

{bundle.model_name}, {weights:,} weights, trained {facts.get("trained_minutes", "?")}
minutes on a plain CPU ({facts.get("steps", "?")} steps, seed {plan["seed"]}).

## Data
{sources}

{sum(pieces.values()):,} pieces after removing duplicates, {facts["notes"]:,} notes
({facts["notes_lost"]:,} lost in tokenizing): {pieces["train"]:,} to train,
{pieces["valid"]:,} to stop on, {pieces["test"]:,} to test. Tunes that share much of
their melody, in whatever key, stand on the same side. Metres: {metres}.

## Figures
Nats per note, mean over all real tokens of a piece (notes, holds, rests, the end),
divided by the notes struck. Lower is better. The n-gram's order is the best of 0..16,
as written or counted in every key.

| | stopped on | test |
|---|---|---|
{chr(10).join(rows)}
{caution}
{_verdict(ratio)}

## What it is not
Of the bars it composes {repeats["composed"]:.1%} repeat an earlier bar of the piece exactly; in its
data {repeats["data"]:.1%} do.
{LIMITS[bundle.vocabulary["tokenizer"]]} It knows the style of its data and nothing else.

## Rebuild
```
{facts["command"]}
```
A run bounded in minutes reads as much music as its machine manages, so that a rebuild
gives other weights, about as good. Versions: {", ".join(f"{k} {v}" for k, v in facts["versions"].items())}.
"""


def _verdict(ratio):
    where = "below" if ratio >= 0 else "above"
    return f"On the pieces it was stopped on that is {abs(100 * ratio):.1f}% {where} the n-gram."


def _figure(value):
    return "-" if value is None else f"{value:.3f}"

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

REBUILT = """A run bounded in minutes reads as much music as its machine manages, so that a rebuild
gives other weights, about as good"""
REPEATED = """A rebuild gives the same weights on a machine of the same kind, and about as good ones on
another"""
TRAINING = ("train", "stop", "stopped")  # what the pieces of train and valid are for
COUNTING = ("count", "choose the order", "chosen")


def model_card(bundle):
    """Markdown: data and terms, figures beside their floors, how to rebuild it."""
    facts = bundle.facts
    held_out, pieces = facts["held_out"], facts["pieces"]
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
    if "counted" in facts:
        made, (learn, use, used) = _counted(bundle, weights), COUNTING
        again = "A rebuild gives the same bundle"
    else:
        made, (learn, use, used) = _trained(bundle, weights), TRAINING
        again = REBUILT if facts["plan"].get("minutes") else REPEATED
    return f"""# {facts["recipe"]}

{made}

## Data
{sources}

{sum(pieces.values()):,} pieces after removing duplicates, {facts["notes"]:,} notes
({facts["notes_lost"]:,} lost in tokenizing): {pieces["train"]:,} to {learn},
{pieces["valid"]:,} to {use} on, {pieces["test"]:,} to test. Tunes that share much of
their melody, in whatever key, stand on the same side. Metres: {metres}.

## Figures
Nats per note, mean over all real tokens of a piece (notes, holds, rests, the end),
divided by the notes struck. Lower is better. The n-gram's order is the best of 0..16,
as written or counted in every key.

| | {used} on | test |
|---|---|---|
{chr(10).join(rows)}
{caution}
{_verdict(ratio, used)}

## What it is not
Of the bars it composes {repeats["composed"]:.1%} repeat an earlier bar of the piece exactly; in its
data {repeats["data"]:.1%} do.
{LIMITS[bundle.vocabulary["tokenizer"]]} It knows the style of its data and nothing else.
{_heard(facts)}
## Rebuild
```
{facts["command"]}
```
{again}. Versions: {", ".join(f"{k} {v}" for k, v in facts["versions"].items())}.
"""


def _heard(facts):
    """What a person found on listening; a rebuild has to be heard anew."""
    return f"\n## Heard\n{facts['listening']}\n" if facts.get("listening") else ""


def _trained(bundle, weights):
    facts = bundle.facts
    return f"""{bundle.model_name}, {weights:,} weights, trained {facts.get("trained_minutes", "?")}
minutes on a plain CPU ({facts.get("steps", "?")} steps, seed {facts["plan"]["seed"]})."""


def _counted(bundle, weights):
    facts, copied = bundle.facts, bundle.facts["copied"]
    return f"""{bundle.model_name}: counted, not trained ({facts["counted"]}), from {weights:,} tokens.
Its weights are those tokens: who has the bundle has its music.

**An n-gram of high order copies its corpus.** Of the runs of {copied["tokens"]} tokens that it
composes {copied["composed"]:.1%} stand in the music it counted, in whatever key; of those in music that it
never saw, {copied["test"]:.1%} do. What it plays is not new where they do."""


def _verdict(ratio, used):
    where = "below" if ratio >= 0 else "above"
    return f"On the pieces it was {used} on that is {abs(100 * ratio):.1f}% {where} the n-gram."


def _figure(value):
    return "-" if value is None else f"{value:.3f}"

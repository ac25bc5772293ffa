"""The commands that make models, and measure them."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import (
    Bars,
    Bits,
    EngineName,
    Json,
    NoClasses,
    Parts,
    SampleRate,
    Seed,
    SoundFont,
)


def train(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of MIDI, ABC or MusicXML files, or of sounds; or one file."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The bundle to write, a folder.")
    ] = Path("my.bundle"),
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of a folder: a part of music21's corpus, by name; or "
            "drum-patterns, which Etude writes itself."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="For the card: whose music the folder holds, and on which terms."
        ),
    ] = None,
    sample_rate: SampleRate = None,
    bits: Bits = None,
    no_classes: NoClasses = False,
    bars: Bars = None,
    parts: Parts = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="melody-lstm, melody-transformer, melody-anticipation, "
            "chorale-anticipation, chorale-voices, chorale-lstm, performance-lstm, "
            "remi-transformer or drums; melody-ngram and chorale-ngram count. Of "
            "sounds: wave-lstm, wave-conv, wave-ssm, codec-transformer."
        ),
    ] = "melody-lstm",
    model: Annotated[
        str | None,
        typer.Option(
            help="Another network than the recipe's: lstm, gru, rnn, nnlm ..."
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="tiny, small or base, for another size.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this long. Default 10.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Stop after so many times through the data.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its peak.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows in a step.")] = None,
    window: Annotated[
        int | None, typer.Option(help="Tokens of music in a training example.")
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of each target spread over all tokens.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches that make one step of the optimizer.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, or bfloat16 on a GPU that has it.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many looks without a better held-out loss."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the first weights and the order. Default 0.")
    ] = None,
    devices: Annotated[
        int,
        typer.Option(
            help="Share each batch out over so many GPUs of this machine; without a "
            "GPU, over so many virtual devices on the CPU, which is no faster."
        ),
    ] = 1,
    half: Annotated[
        bool,
        typer.Option("--half", help="Store each weight in 16 bits: half the size."),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the interrupted run of this bundle."),
    ] = False,
    json: Json = False,
):
    """Train a model on your music and write it as a bundle."""
    from studio.commands import training

    training.train(
        folder=folder,
        corpus_names=corpus or [],
        sources=source or [],
        output=output,
        recipe=recipe,
        model=model,
        size=size,
        settings={
            "minutes": minutes,
            "epochs": epochs,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "window": window,
            "label_smoothing": label_smoothing,
            "accumulate": accumulate,
            "precision": precision,
            "patience": patience,
            "seed": seed,
        },
        resume=resume,
        as_json=json,
        reading={"bars": bars, "parts": parts},
        hearing={
            "sample_rate": sample_rate,
            "bits": bits,
            "no_classes": no_classes or None,
        },
        devices=devices,
        half=half,
    )


def evaluate(
    bundle: Annotated[
        str, typer.Argument(help="A shipped model, or a bundle's folder.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Music to weigh it on; by default the test split of its own data."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder. Default out/NAME-evaluation."),
    ] = None,
    pieces: Annotated[int, typer.Option(help="How many pieces to compose.")] = 24,
    bars: Annotated[int, typer.Option(help="How long each of them is.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the first; the next has the next.")] = 1,
    json: Json = False,
):
    """Weigh a model: held-out loss, likeness to real music, what it copied; a page."""
    from studio.commands import evaluating

    evaluating.evaluate(
        bundle=bundle,
        folder=folder,
        output=output,
        plan={"pieces": pieces, "bars": bars, "seed": seed},
        as_json=json,
    )


def blind(
    model: Annotated[
        str, typer.Argument(help="A shipped model of notes, or a bundle's folder.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="Real music to set beside it; by default what was held back in training."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A .html. Default out/NAME-blind-SEED.html."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(help="How many excerpts, 2 to 40, half of them real.")
    ] = 10,
    bars: Annotated[int, typer.Option(help="How long each is, 2 to 32.")] = 8,
    seed: Seed = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    json: Json = False,
):
    """A blind test, real or generated? A page that tells your score with its interval."""
    from studio.commands import blind as testing

    testing.blind(
        model=model,
        folder=folder,
        output=output,
        count=count,
        bars=bars,
        seed=seed,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )


def models(json: Json = False):
    """List the models that are shipped, with their figures."""
    from studio.commands import models as listing

    listing.models(as_json=json)


def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="Speed: start, ingest, feed, growth, train, decode, wave, "
            "labs. Quality: models, "
            "fill, jsb-notes, geron, jsb-frames, nottingham-frames, seed-charrnn, "
            "shakespeare, copy, digits, tones, separate, codec."
        ),
    ],
    peer: Annotated[
        str | None,
        typer.Option(
            help="For train: torch; for decode: transformers; to be installed."
        ),
    ] = None,
    json: Json = False,
):
    """Measure beside what you would use instead, or what was published; record it."""
    from studio.commands import bench as benches

    benches.bench(name=name, peer=peer, as_json=json)

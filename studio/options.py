"""Options that several commands of `etude` share, worded once."""

from pathlib import Path
from typing import Annotated

import typer

Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to write; .mid .wav .flac .musicxml .abc .png .html. May be given "
        "several times.",
    ),
]
EngineName = Annotated[
    str,
    typer.Option(help="auto, fluidsynth, tinysoundfont, soundfont or synth."),
]
SoundFont = Annotated[
    str | None, typer.Option(metavar="SF2", help="A soundfont file of your own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable results.")]
Model = Annotated[
    str, typer.Option("--model", "-m", help="A shipped model, or a bundle's folder.")
]

TokenizerName = Annotated[
    str,
    typer.Option(
        "--tokenizer",
        "-t",
        help="melody, chorale, performance, remi, text, wave or miditok.",
    ),
]
Bars = Annotated[
    str | None,
    typer.Option(
        help="written, or found: bars are found by ear where files name no true ones."
    ),
]
Parts = Annotated[
    str | None,
    typer.Option(
        help="together, or apart: tracks of one instrument get one each, the tune told "
        "from what carries it."
    ),
]
Split = Annotated[
    str,
    typer.Option(
        help="tune: shared out by content, kin together; given: as folders called "
        "train, valid, test, or the files, say."
    ),
]

SampleRate = Annotated[
    int | None,
    typer.Option(help="Of sounds: brought to so many samples a second, in Hz."),
]
Bits = Annotated[
    int | None, typer.Option(help="Of sounds: 8 (mu-law) or 16, in two tokens.")
]
NoClasses = Annotated[
    bool,
    typer.Option(
        "--no-classes",
        help="Of sounds: do not take folders or names as classes to ask for.",
    ),
]

ScoreFile = Annotated[Path, typer.Argument(help="A MIDI, ABC or MusicXML file.")]
FittingModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A shipped model, or a bundle's folder. Default: the shipped one that fits.",
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Same seed, same music. Default: a new one.")
]
Temperature = Annotated[
    float | None, typer.Option(help="0 takes the likeliest note; above 1 is wild.")
]
TopP = Annotated[float | None, typer.Option(help="Draw from this share of the mass.")]
SoundClass = Annotated[
    str | None,
    typer.Option("--class", help="Of a model of sounds: which kind, for example kick."),
]
TopK = Annotated[int | None, typer.Option(help="Draw from this many tokens at most.")]

"""The commands that make music, or sound of it."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import (
    EngineName,
    FittingModel,
    Json,
    Model,
    Output,
    ScoreFile,
    Seed,
    SoundClass,
    SoundFont,
    Temperature,
    TopK,
    TopP,
)


def compose(
    model: Model = "folk",
    bars: Annotated[
        int | None, typer.Option(help="How long, 1 to 256. Default: 16.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="How long instead; the tempo bends a little to fit."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="For example D, F#m, Bb major. Default: free.")
    ] = None,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    min_p: Annotated[
        float,
        typer.Option(
            help="Leave out what is less likely than this times the likeliest."
        ),
    ] = 0.0,
    repetition: Annotated[
        float,
        typer.Option(
            help="Divide the odds of notes that just were by this; 1: do not."
        ),
    ] = 1.0,
    density: Annotated[
        float | None, typer.Option(help="Notes a bar in each voice, about.")
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", help="Lowest and highest note of the top voice, as C4:A5."
        ),
    ] = None,
    metre: Annotated[
        str | None, typer.Option(help="For example 6/8. Default: as in the data.")
    ] = None,
    tempo: Annotated[
        float | None, typer.Option(help="Quarter notes a minute, 20 to 400.")
    ] = None,
    instrument: Annotated[
        int | None, typer.Option(help="General MIDI program, 0 to 127.")
    ] = None,
    class_: SoundClass = None,
    count: Annotated[
        int,
        typer.Option(
            help="How many pieces, 1 to 64: from --seed, the next one and so on, and a "
            "page to compare them."
        ),
    ] = 1,
    rank: Annotated[
        bool, typer.Option("--rank", help="Put the most like real music first.")
    ] = False,
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    json: Json = False,
):
    """Compose a new piece and write it as MIDI, sound and picture."""
    from studio.commands import making

    making.compose(
        model=model,
        wish={
            "bars": bars,
            "seconds": seconds,
            "key": key,
            "seed": seed,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "repetition": repetition,
            "density": density,
            "pitch_range": range_,
            "metre": metre,
            "qpm": tempo,
            "program": instrument,
            "label": class_,
        },
        count=count,
        rank=rank,
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )


def listen(
    file: ScoreFile,
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    play: Annotated[bool, typer.Option("--play", help="Play it at once.")] = False,
    column: Annotated[
        str | None,
        typer.Option(
            help="Of a table of any numbers (.csv): the column to hear, by its name or "
            "number, each row a note."
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="With --column: major (default), minor, pentatonic, chromatic."
        ),
    ] = None,
    json: Json = False,
):
    """Turn a score file into sound (by default out/NAME.wav)."""
    from studio.commands import making

    making.listen(
        file=file,
        column=column,
        scale=scale,
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        play=play,
        as_json=json,
    )


def score(
    file: ScoreFile,
    model: Model = "folk",
    worst: Annotated[
        int,
        typer.Option(
            "--worst", "-n", help="How many of the least expected notes to show."
        ),
    ] = 10,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A .png: the piano roll with these notes marked (by default "
            "out/NAME-score.png).",
        ),
    ] = None,
    json: Json = False,
):
    """Weigh a piece note by note: where it is not what a model expects."""
    from studio.commands import scoring

    scoring.score(file=file, model=model, worst=worst, outputs=output, as_json=json)


def continue_(
    file: Annotated[
        Path, typer.Argument(help="A MIDI, ABC or MusicXML file, or one of sound.")
    ],
    model: FittingModel = None,
    bars: Annotated[
        int | None, typer.Option(help="Of a score: bars to add, 1 to 256. Default: 8.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="How much to add: of a score about so many seconds, in whole bars; of "
            "sound just so many."
        ),
    ] = None,
    seed: Seed = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    tempo: Annotated[
        float | None,
        typer.Option(
            help="Of a score: quarter notes a minute of what is added. Default: as "
            "before."
        ),
    ] = None,
    class_: SoundClass = None,
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    json: Json = False,
):
    """Go on where a piece or a sound stops: what is given stays, and more follows."""
    from studio.commands import editing

    editing.carry_on(
        file=file,
        model=model,
        wish={
            "bars": bars,
            "seconds": seconds,
            "seed": seed,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "qpm": tempo,
            "label": class_,
        },
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )


def infill(
    file: ScoreFile,
    bars: Annotated[
        str,
        typer.Option(
            metavar="FIRST:LAST",
            help="Which bars to write anew, counted from 1, a pickup bar too, both ends "
            "included: 5:8 is bars 5, 6, 7 and 8.",
        ),
    ],
    track: Annotated[
        int | None,
        typer.Option(
            help="The one track to change, from 1. Default: the melody, or all voices."
        ),
    ] = None,
    model: FittingModel = None,
    seed: Seed = None,
    particles: Annotated[
        int | None,
        typer.Option(
            help="How many writers try at a time; 1 does not look at what follows. "
            "Default: 64, of a Transformer 16."
        ),
    ] = None,
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    top_k: TopK = None,
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    json: Json = False,
):
    """Write some bars of a piece anew; every other note stays as it is."""
    from studio.commands import editing

    editing.infill(
        file=file,
        model=model,
        bars=bars,
        track=track,
        wish={
            "seed": seed,
            "particles": particles,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
        },
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )


def harmonize(
    file: ScoreFile,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model of chorales, or its folder.")
    ] = "chorales",
    seed: Seed = None,
    temperature: Temperature = 0.8,
    top_p: TopP = 0.95,
    top_k: TopK = None,
    track: Annotated[
        int | None,
        typer.Option(help="Which track is the melody, from 1. Default: found out."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Keep the added voices in this key's scale.")
    ] = None,
    instrument: Annotated[
        int | None,
        typer.Option(
            help="General MIDI program of the added voices. Default: as above."
        ),
    ] = None,
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    json: Json = False,
):
    """Put alto, tenor and bass under a melody, which stays as it is."""
    from studio.commands import harmonizing

    harmonizing.harmonize(
        file=file,
        model=model,
        wish={
            "seed": seed,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "track": track,
            "key": key,
            "program": instrument,
        },
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )

"""The commands that make music, or sound of it."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import EngineName, Json, Model, Output, SoundFont


def compose(
    model: Model = "fiddle",
    bars: Annotated[int, typer.Option(help="How long, 1 to 256.")] = 16,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same music. Default: a new one.")
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="0 takes the likeliest note; above 1 is wild.")
    ] = 0.9,
    top_p: Annotated[
        float, typer.Option(help="Draw from this share of the mass.")
    ] = 0.95,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from this many tokens at most.")
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
            "seed": seed,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "metre": metre,
            "qpm": tempo,
            "program": instrument,
        },
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        as_json=json,
    )


def listen(
    file: Annotated[Path, typer.Argument(help="A MIDI, ABC or MusicXML file.")],
    output: Output = None,
    engine: EngineName = "auto",
    soundfont: SoundFont = None,
    play: Annotated[bool, typer.Option("--play", help="Play it at once.")] = False,
    json: Json = False,
):
    """Turn a score file into sound (by default out/NAME.wav)."""
    from studio.commands import making

    making.listen(
        file=file,
        outputs=output,
        engine=engine,
        soundfont=soundfont,
        play=play,
        as_json=json,
    )

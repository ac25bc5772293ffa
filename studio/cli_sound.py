"""The commands that take sound apart and tell what it is."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import Json


def separate(
    file: Annotated[Path, typer.Argument(help="A WAV, FLAC, Ogg or AIFF file.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where the parts go."),
    ] = Path("stems"),
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", metavar="FOLDER", help="Another model than the shipped."
        ),
    ] = None,
    json: Json = False,
):
    """Part a mixture into melody, accompaniment and drums; they sum to it."""
    from studio.commands import separating

    separating.separate(file=file, folder=output, model=model, as_json=json)


def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|FILE...",
            help="A folder of sounds to learn from, each class a folder or the beginning "
            "of file names; or, with --model, files to tell.",
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="A classifier: tell by it what files are."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the classifier is written."),
    ] = None,
    kind: Annotated[str, typer.Option(help="vit or bilstm.")] = "vit",
    split: Annotated[
        str | None,
        typer.Option(
            help="How sounds are held back: content, given (folders train, valid, test), "
            "index (CLASS_..._NUMBER: 0 to 9), speaker (CLASS_SPEAKER_...)."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Default: as the kind needs.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="At most so long.")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same classifier.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw who was taken for whom.")
    ] = None,
    json: Json = False,
):
    """Learn to tell classes of sounds apart, or tell what a sound is."""
    from studio.commands import classifying

    classifying.classify(
        paths=files,
        model=model,
        output=output,
        kind=kind,
        split=split,
        epochs=epochs,
        minutes=minutes,
        seed=seed,
        picture=picture,
        as_json=json,
    )

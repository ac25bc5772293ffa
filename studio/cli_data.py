"""The commands that look at music and make it ready."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import (
    Bars,
    Bits,
    Json,
    NoClasses,
    Parts,
    SampleRate,
    Split,
    TokenizerName,
)


def inspect(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
    report: Annotated[
        Path, typer.Option(help="Where a folder's report goes, one line a file.")
    ] = Path("out/report.jsonl"),
    tokenizer: TokenizerName = "melody",
    leaks: Annotated[
        bool,
        typer.Option("--leaks", help="Name the tunes that stand in several files."),
    ] = False,
    split: Split = "tune",
    json: Json = False,
):
    """Tell what is in a file, or what a folder is good for, file by file."""
    from studio.commands import data

    data.inspect(
        path=path,
        report=report,
        tokenizer=tokenizer,
        leaks=leaks,
        split=split,
        as_json=json,
    )


def prepare(
    folder: Annotated[
        Path, typer.Argument(help="A folder of music, text or sound, or one file.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The dataset to write, a folder."),
    ] = None,
    tokenizer: TokenizerName = "melody",
    same: Annotated[
        str,
        typer.Option(
            help="Pieces that count as one: notes (the same notes), tune (also in "
            "another key or note value), nothing (keep all)."
        ),
    ] = "notes",
    split: Split = "tune",
    bars: Bars = "written",
    parts: Parts = "together",
    sample_rate: SampleRate = None,
    bits: Bits = None,
    no_classes: NoClasses = False,
    workers: Annotated[
        int | None, typer.Option(help="Reading processes. Default: as many as help.")
    ] = None,
    tokens_a_shard: Annotated[
        int, typer.Option(help="A shard is closed when it holds as many tokens.")
    ] = 2**20,
    runner: Annotated[
        str | None,
        typer.Option(
            help="Run it as an Apache Beam pipeline: DirectRunner, FlinkRunner, "
            "SparkRunner or DataflowRunner."
        ),
    ] = None,
    runner_option: Annotated[
        list[str] | None,
        typer.Option(metavar="--NAME=VALUE", help="An option for the Beam runner."),
    ] = None,
    json: Json = False,
):
    """Read a folder once and write it as a dataset of token shards."""
    from studio.commands import data

    data.prepare(
        folder=folder,
        output=output,
        settings={
            "tokenizer": tokenizer,
            "same": same,
            "split": split,
            "bars": bars,
            "parts": parts,
            "tokens_a_shard": tokens_a_shard,
        },
        hearing={
            "sample_rate": sample_rate,
            "bits": bits,
            "no_classes": no_classes or None,
        },
        workers=workers,
        runner=runner,
        runner_options=runner_option or [],
        as_json=json,
    )

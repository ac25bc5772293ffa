"""The command `etude`. Thin: what it does is in the modules beside it.

Heavy imports stand inside the commands, so that help is instant.
"""

import gc

gc.disable()  # while modules load: help comes a tenth sooner; `run` puts it back

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from studio.errors import EtudeError, MachineFailed, NothingUsable, WrongUsage

DONE, FAILED, WRONG_USAGE, MACHINE_FAILED, INTERRUPTED = 0, 1, 2, 4, 130

app = typer.Typer(
    name="etude",
    help="Make music with Keras: compose, train on your own MIDI files, listen, learn.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Everything runs on this machine, offline. "
    "`etude COMMAND --help` tells the rest.",
)

Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where to write; .mid .wav .flac .musicxml .abc .png. May be given "
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
Split = Annotated[
    str,
    typer.Option(
        help="tune: shared out by content, kin together; given: as folders called "
        "train, valid, test, or the files, say."
    ),
]


def _version(wanted: bool):
    if wanted:
        from importlib import metadata

        print(f"etude {metadata.version('etude')}")
        raise typer.Exit()


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="The version."
        ),
    ] = False,
):
    if debug:
        os.environ["ETUDE_DEBUG"] = "1"


@app.command()
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


@app.command()
def train(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder of MIDI, ABC or MusicXML files, or one file."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The bundle to write, a folder.")
    ] = Path("my.bundle"),
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Instead of a folder: a part of music21's corpus, by name."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="melody-lstm, melody-transformer, chorale-voices, chorale-lstm, "
            "performance-lstm or remi-transformer; melody-ngram and chorale-ngram count."
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
        devices=devices,
    )


@app.command()
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


@app.command()
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


@app.command()
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
            "tokens_a_shard": tokens_a_shard,
        },
        workers=workers,
        runner=runner,
        runner_options=runner_option or [],
        as_json=json,
    )


@app.command()
def models(json: Json = False):
    """List the models that are shipped, with their figures."""
    from studio.commands import training

    training.models(as_json=json)


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="Speed: start, ingest, feed, growth, train. Quality: models, jsb-notes, "
            "geron, jsb-frames, nottingham-frames, seed-charrnn, shakespeare."
        ),
    ],
    peer: Annotated[
        str | None, typer.Option(help="For train: torch, which must be installed.")
    ] = None,
    json: Json = False,
):
    """Measure beside what you would use instead, or what was published; record it."""
    from studio.commands import training

    training.bench(name=name, peer=peer, as_json=json)


def main():
    """Run the command line; end with the exit status that the outcome has."""
    if sys.stdout is None:  # closed by whoever called us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (until the end)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # a file name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # whoever read us has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def run(arguments):
    """Run one command line.

    Returns:
        int, its exit status: 0 done, 2 wrong usage, 3 nothing usable in the input, 4
        the machine failed, 130 interrupted. Errors are one line on stderr.
    """
    gc.enable()
    try:
        arguments = arguments or ["--help"]
        return app(arguments, prog_name="etude", standalone_mode=False) or DONE
    except SystemExit:  # Typer's way out when whoever read us has gone
        return DONE
    except typer.Exit as exit_:
        return exit_.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _tell("interrupted", INTERRUPTED)
    except BrokenPipeError:
        return DONE
    except Exception as error:
        if os.environ.get("ETUDE_DEBUG"):
            raise
        return _tell(*explain(error))


def explain(error):
    """(sentence, exit status) of anything that can go wrong."""
    if isinstance(error, EtudeError):
        return str(error), error.status
    if isinstance(error, typer.TyperException):
        return error.format_message(), WRONG_USAGE
    if isinstance(error, MemoryError):
        return "The machine has not enough memory for this.", MachineFailed.status
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror or error}.", MachineFailed.status
    if isinstance(error, ValueError):
        return str(error), WrongUsage.status
    if isinstance(error, ArithmeticError):
        return str(error), NothingUsable.status
    return (
        f"This should not have happened: {type(error).__name__}: {error}. "
        "`etude --debug ...` shows where.",
        FAILED,
    )


def _tell(sentence, status):
    line = " ".join(str(sentence).split())
    print(f"etude: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()

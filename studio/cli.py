"""The command `etude`. Thin: the commands stand in the ``cli_`` modules beside it.

Heavy imports stand inside the commands, so that help is instant.
"""

import gc

gc.disable()  # while modules load: help comes a tenth sooner; `run` puts it back

import os
import signal
import sys
from contextlib import suppress
from typing import Annotated


def _stopped(*_):
    os.write(2, b"etude: interrupted\n")
    os._exit(130)


def _hear_ctrl_c(in_place_of, handler):
    with suppress(ValueError):  # outside the main thread there is nothing to hear
        if signal.getsignal(signal.SIGINT) is in_place_of:
            signal.signal(signal.SIGINT, handler)


_hear_ctrl_c(signal.default_int_handler, _stopped)  # while what follows loads


import typer

from labs.commands import app as lab  # the front door opens on every room
from studio import cli_data, cli_models, cli_music, cli_page, cli_sound
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


COMMANDS = (  # in the order of the help
    cli_music.compose,
    cli_music.continue_,
    cli_music.infill,
    cli_music.harmonize,
    cli_music.listen,
    cli_music.score,
    cli_sound.separate,
    cli_sound.classify,
    cli_models.train,
    cli_models.evaluate,
    cli_models.blind,
    cli_models.models,
    cli_models.bench,
    cli_data.inspect,
    cli_data.prepare,
    cli_page.studio,
)
for command in COMMANDS:
    app.command(name=command.__name__.rstrip("_"))(command)
app.add_typer(lab)


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
        status = app(arguments, prog_name="etude", standalone_mode=False) or DONE
        if status == INTERRUPTED:  # Typer's way of passing a Ctrl-C on
            raise KeyboardInterrupt
        return status
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


_hear_ctrl_c(_stopped, signal.default_int_handler)
if __name__ == "__main__":
    main()

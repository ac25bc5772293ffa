"""`etude lab`: the course from the command line."""

from pathlib import Path
from typing import Annotated

import typer

from studio.options import Json

DESK = Path("etude-labs")  # where a learner's copies lie

app = typer.Typer(
    name="lab",
    help="The course: labs in Jupyter, from a coin toss to a Transformer.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

Number = Annotated[str, typer.Argument(metavar="N", help="A lab's number or name.")]
Desk = Annotated[
    Path, typer.Option("--folder", metavar="FOLDER", help="Where your copies lie.")
]


@app.command(name="list")
def list_(folder: Desk = DESK, json: Json = False):
    """The labs, how long each takes, and what you will hear."""
    from labs import desk

    desk.print_labs(folder, as_json=json)


@app.command(name="open")
def open_(
    lab: Number,
    folder: Desk = DESK,
    browser: Annotated[
        bool, typer.Option(help="Open a browser on it, or only say the address.")
    ] = True,
    start: Annotated[
        bool, typer.Option(help="Start Jupyter, or only lay out the notebook.")
    ] = True,
):
    """Lay out your copy of a lab, and start Jupyter on it. A copy is never replaced."""
    from labs import desk

    desk.open_lab(lab, folder, browser=browser, start=start)


@app.command()
def check(
    lab: Number,
    file: Annotated[
        Path | None,
        typer.Argument(help="A notebook or .py. Default: your copy of the lab."),
    ] = None,
    folder: Desk = DESK,
    seed: Annotated[
        int | None,
        typer.Option(help="Ask the same instances again. Default: new ones."),
    ] = None,
    json: Json = False,
):
    """Grade a lab, exercise by exercise: status 0 if all is right, else 1."""
    from labs import desk

    return desk.check_lab(lab, file, folder, seed=seed, as_json=json)


@app.command()
def solve(
    lab: Number,
    folder: Desk = DESK,
    run: Annotated[
        bool, typer.Option("--run", help="Run it too, and say how long that took.")
    ] = False,
):
    """For teachers: lay out a lab's solution."""
    from labs import desk

    desk.solve_lab(lab, folder, run=run)

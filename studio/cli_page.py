"""The command that opens the local page."""

from pathlib import Path
from typing import Annotated

import typer


def studio(
    folder: Annotated[
        Path, typer.Option(help="Where what you make and bring is kept.")
    ] = Path("etude-studio"),
    port: Annotated[
        int | None, typer.Option(help="Default: the first free one from 7860.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at. Any but this machine's own lets others in."
        ),
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option(help="Open a browser on it, or only say the address.")
    ] = True,
):
    """Open the local page: compose, edit, train, listen, without a terminal."""
    from studio.commands import page

    page.studio(folder=folder, host=host, port=port, browser=browser)

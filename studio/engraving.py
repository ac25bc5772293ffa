"""A score as sheet music: MusicXML engraved by Verovio."""

from pathlib import Path

from studio.errors import MachineFailed

MOST_BYTES = 4 * 2**20
OPTIONS = {
    "pageWidth": 2100,
    "pageHeight": 60_000,  # all of it is one page
    "adjustPageHeight": True,
    "scale": 40,
    "footer": "none",
    "header": "none",
    "breaks": "auto",
    "svgViewBox": True,
}


def engrave(path):
    """A MusicXML file as one SVG.

    Args:
        path: str or Path.

    Returns:
        str.

    Raises:
        MachineFailed: if Verovio is not installed.
        ValueError: if it cannot be engraved, or would take too long.
    """
    try:
        import verovio
    except ImportError:
        raise MachineFailed(
            "Scores are engraved by Verovio, which is not installed here: make studio."
        ) from None
    path = Path(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is too long to be engraved.")
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions(OPTIONS)
    if not toolkit.loadData(path.read_text(encoding="utf-8")):
        raise ValueError(f"{path.name} cannot be engraved.")
    return toolkit.renderToSVG(1)

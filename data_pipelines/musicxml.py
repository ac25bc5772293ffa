"""MusicXML and Humdrum, by way of music21; MusicXML out.

music21 inflates whatever it is given and can hang, so that strangers' files come here
only inside a worker, after a look at their size.
"""

import io
import tempfile
import zipfile
import zlib
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.midi import UnreadableMusic
from data_pipelines.score import NO_PEDALS

LARGEST_INFLATED = 64 * 2**20  # bytes of XML in a .mxl
_SUFFIX = {"musicxml": ".musicxml", "humdrum": ".krn"}


def parse_with_music21(data, form, title=""):
    """Read a score.

    Args:
        data: bytes of the file.
        form: "musicxml", "mxl" or "humdrum".
        title: str, where the file names none.

    Returns:
        `Score`.

    Raises:
        UnreadableMusic: if it is a bomb, or music21 cannot make music of it.
    """
    if form == "mxl":
        data, form = _inflated(data), "musicxml"
    # Without the zeros of UTF-16 and UTF-32, which XML parsers read as well.
    if form == "musicxml" and b"<!ENTITY" in data.replace(b"\0", b""):
        raise UnreadableMusic("it declares XML entities, which music never needs")
    from music21 import converter, exceptions21, stream

    from data_pipelines.exchange import from_music21

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "score" + _SUFFIX[form])
        path.write_bytes(data)
        try:
            with redirect_stderr(io.StringIO()):  # it quotes what it cannot read
                parsed = converter.parse(
                    path, format=form, forceSource=True, storePickle=False
                )
        except (MemoryError, RecursionError):
            raise
        except exceptions21.Music21Exception as error:
            raise UnreadableMusic(f"music21 cannot read it: {error}") from None
        except Exception as error:  # music21 raises some twenty kinds
            raise UnreadableMusic(
                f"music21 cannot read it: {type(error).__name__}: {error}"
            ) from None
    if isinstance(parsed, stream.Opus):
        parsed = parsed.scores.first()
    try:
        score = from_music21(parsed)
    except ValueError as error:
        raise UnreadableMusic(str(error)) from None
    return score if score.title else replace(score, title=title)


def _inflated(data):
    """The score inside a .mxl, which is a zip with a container that names it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [
                name
                for name in archive.namelist()
                if name.lower().endswith((".xml", ".musicxml"))
                and not name.startswith("META-INF/")
            ]
            if not names:
                raise UnreadableMusic("a zip file without a score in it")
            with archive.open(names[0]) as member:
                inflated = member.read(LARGEST_INFLATED + 1)
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError
    ) as error:  # fmt: skip
        raise UnreadableMusic(f"a damaged zip file: {error}") from None
    except RuntimeError as error:  # encrypted
        raise UnreadableMusic(f"the zip file cannot be opened: {error}") from None
    if len(inflated) > LARGEST_INFLATED:
        raise UnreadableMusic(
            f"it inflates to more than {LARGEST_INFLATED:,} bytes: a bomb"
        )
    return inflated


def write_musicxml(path, score):
    """Write a score as uncompressed MusicXML, whole or not at all.

    Notation needs a grid: times that lie on none (a performance) are rounded to
    twelfths of a quarter, which hold sixteenths and triplets.
    """
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    notated = _on_notation_grid(score).to_music21()
    write_whole(Path(path), GeneralObjectExporter(notated).parse())


def _on_notation_grid(score):
    tick = score.ticks_per_quarter
    notes = score.notes.copy()
    times = np.concatenate([notes["start"], notes["duration"]]).astype(np.int64)
    if any((times * parts % tick == 0).all() for parts in (8, 12)):
        return score
    start = np.rint(notes["start"] * 12 / tick)
    end = np.rint((notes["start"].astype(np.int64) + notes["duration"]) * 12 / tick)
    notes["start"], notes["duration"] = start, np.maximum(end - start, 1)
    maps = {
        name: tuple(
            replace(change, tick=round(change.tick * 12 / tick))
            for change in getattr(score, name)
        )
        for name in ("tempos", "metres", "keys")
    }
    return replace(score, notes=notes, ticks_per_quarter=12, pedals=NO_PEDALS, **maps)

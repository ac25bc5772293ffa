"""Any score file to sound."""

import shutil
import subprocess
import sys
from pathlib import Path

from data_pipelines.corpus import read_folder
from studio.errors import MachineFailed, NothingUsable, WrongUsage

PLAYERS = {
    "paplay": [],
    "pw-play": [],
    "aplay": ["-q"],
    "afplay": [],
    "ffplay": ["-nodisp", "-autoexit", "-loglevel", "error"],
    "play": ["-q"],
}


def open_score(path):
    """The score in a file; of a book of tunes, the first.

    Raises:
        WrongUsage: if there is no such file.
        NothingUsable: if it is no music.
    """
    path = Path(path)
    if not path.exists():
        raise WrongUsage(f"No such file: {path}")
    if path.is_dir():
        raise WrongUsage(f"{path} is a folder; name a file.")
    corpus = read_folder(path)
    if not corpus.pieces:
        line = corpus.report[0]
        raise NothingUsable(f"{path}: {line.reason}: {line.detail}.")
    return corpus.pieces[0].score


def open_numbers(path, column, scale="major"):
    """A column of a table of any numbers, as a melody: a note a row.

    Args:
        path: str or Path of a .csv file.
        column: str, a name in its header or a number from 1.
        scale: str, one of `number_series.SCALES`.

    Raises:
        WrongUsage: if there is no such file, column or scale.
        NothingUsable: if a row has no number, or it is no table.
    """
    from data_pipelines.guard import Refused
    from data_pipelines.number_series import read_numbers

    path = Path(path)
    if not path.is_file():
        raise WrongUsage(f"No such file: {path}")
    try:
        named = int(column) if column.isdecimal() else column
        return read_numbers(path, column=named, scale=scale)
    except Refused as refused:
        raise NothingUsable(f"{path}: {refused.reason}: {refused.detail}.") from None
    except ValueError as error:
        raise WrongUsage(f"{path}: {error}") from None


def play(path):
    """Play a sound file through the machine's own player, and wait for its end.

    Raises:
        MachineFailed: if the machine has none of them, or it fails.
    """
    if sys.platform == "win32":
        import winsound

        winsound.PlaySound(str(path), winsound.SND_FILENAME)
        return
    for name, arguments in PLAYERS.items():
        if program := shutil.which(name):
            done = subprocess.run([program, *arguments, str(path)], check=False)
            if done.returncode:
                raise MachineFailed(f"{name} could not play {path}.")
            return
    raise MachineFailed(
        f"No player found ({', '.join(PLAYERS)}). Open {path} in any audio player."
    )

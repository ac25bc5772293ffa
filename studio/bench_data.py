"""Where the corpora of the quality benchmarks lie: beside the checkout, or elsewhere."""

import os
from pathlib import Path

from studio.errors import NothingUsable

VARIABLE = "ETUDE_DATA"
BESIDE = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def shared_data(name):
    """The path of a corpus.

    Args:
        name: str, a file or folder below the data's folder, such as
            ``text/tinyshakespeare.txt``. That folder is what the environment variable
            ``ETUDE_DATA`` names, or else ``shared/data`` beside the checkout.

    Returns:
        Path that exists.

    Raises:
        NothingUsable: if there is no such file or folder.
    """
    folder = Path(os.environ.get(VARIABLE) or BESIDE)
    path = folder / name
    if not path.exists():
        raise NothingUsable(
            f"{path} does not exist. Name the folder that holds {name} in the "
            f"environment variable {VARIABLE}."
        )
    return path

"""Writing files whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path, data):
    """Write bytes beside `path`, sync, then rename: never half a file in its place.

    Raises:
        OSError: if the folder cannot be written or the disk is full; what stood at
            `path` before is untouched.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

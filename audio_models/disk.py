"""What a full disk says: which file had no room, and how much it wanted."""

import errno
import os
from contextlib import contextmanager

# A full disk, a used-up quota, a file larger than files may be here.
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@contextmanager
def room_for(path, needed=None):
    """Name the file, and the bytes it needs, where writing finds no room for it.

    The operating system's own error of a write says neither.

    Args:
        path: Path of what is being written, as its reader knows it.
        needed: int, bytes in all; None where that is not known.

    Raises:
        OSError: with ``filename`` set, for one that was raised within.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        told = os.strerror(error.errno)
        if needed is not None:
            told = f"{told}: {needed:,} bytes are needed"
        raise OSError(error.errno, told, str(path)) from error

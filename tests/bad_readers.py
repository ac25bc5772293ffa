"""Readers that do what the worst files do to a parser. Found by name in workers."""

import os
import signal
import time

import numpy as np

from data_pipelines.guard import read_file


def read_badly(path):
    name = os.path.basename(path)
    if "sleeps" in name:
        time.sleep(3600)
    if "aborts" in name:
        os.abort()
    if "swells" in name:
        hoard = []
        while True:  # address space alone: no machine is too slow to run out of it
            hoard.append(np.empty(64 * 2**20, dtype=np.uint8))
    if "raises" in name:
        raise KeyError("what a parser says\nover two lines")
    return read_file(path)


def blocked_signals(path=None):
    """The signals that this process does not hear."""
    return set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))

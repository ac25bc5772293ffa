"""Ctrl-C while a network learns: heard between two steps, never within one."""

import signal
import threading
from contextlib import contextmanager


class CtrlC:
    """Holds an interrupt back until what is kept would be whole.

    A step of the optimizer is over in C before Python counts it: an interrupt between
    the two would leave weights that are a step ahead of the place in the data, and a
    resumed run would learn from one batch twice.

    A second Ctrl-C does not wait.
    """

    def __init__(self):
        self.is_asked = False
        self._is_free = False

    @contextmanager
    def held(self):
        """Hold interrupts back within; only the main thread is sent any."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = signal.signal(signal.SIGINT, self._hear)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def free(self):
        """Let an interrupt through within: nothing here changes what is kept."""
        self.check()
        self._is_free = True
        try:
            yield
        finally:
            self._is_free = False

    def check(self):
        """Raise KeyboardInterrupt if one came."""
        if self.is_asked:
            raise KeyboardInterrupt

    def _hear(self, *_):
        is_second, self.is_asked = self.is_asked, True
        if is_second or self._is_free:
            raise KeyboardInterrupt

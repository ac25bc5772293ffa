"""Strangers' files, read in processes of their own: a clock, a cap on memory, no grief.

A file that hangs a parser, crashes it or eats memory costs its worker, never the run:
it is refused with that reason, and its neighbours are read by the next worker.
"""

import os
import signal
import time
from collections import deque
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import wait

from data_pipelines.guard import Refused, read_file

SECONDS_A_FILE = 10.0
LONGEST_EXTRA_SECONDS = 60.0
BYTES_A_SECOND = 50_000  # a long file gets as much longer: a book of two thousand tunes
MEGABYTES_A_WORKER = 3072  # of address space, the libraries' own included
CHUNK = 16  # files handed to a worker at a time
AHEAD = 1024  # files under way at most: results that wait for a slow one are memory
START_SECONDS = 120.0  # a worker's imports, on a busy machine


def read_all(
    paths,
    *,
    workers=2,
    seconds=SECONDS_A_FILE,
    megabytes=MEGABYTES_A_WORKER,
    read=read_file,
    preload=(),
):
    """Read files in worker processes.

    Args:
        paths: iterable of Path; taken as the work goes on.
        workers: int, how many processes; 0 reads here, with neither clock nor cap.
        seconds: float, how long one file may take, large ones a little longer.
        megabytes: int, how much memory a worker may address (on Linux).
        read: picklable function of a path; gives a `guard.Reading`, or whatever else
            the caller wants of a file, or raises `Refused`.
        preload: names of modules that a worker imports before its clock starts.

    Yields:
        (path, what `read` gave or a `Refused`), in the order of `paths`.
    """
    with Readers(workers, seconds, megabytes, read=read, preload=preload) as readers:
        yield from readers.read_all(paths)


@contextmanager
def _deaf_to_ctrl_c():
    """Processes started within never hear a Ctrl-C: ours ends them, and says so."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it would undo what comes next
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:  # one that came meanwhile is heard now
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process and the files it was handed, the first of them in its hands."""

    def __init__(self, context, settings):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, *settings), daemon=True
        )
        with _deaf_to_ctrl_c():
            self.process.start()
        theirs.close()
        self.assigned = deque()
        self.deadline = time.monotonic() + START_SECONDS
        self.is_ready = False

    def hand(self, numbered_paths):
        self.assigned.extend(number for number, _ in numbered_paths)
        self.connection.send([path for _, path in numbered_paths])

    def kill(self):
        self.process.kill()
        self.process.join()
        self.connection.close()


class Readers:
    """Worker processes that read one lot of files after another; see `read_all`.

    Use as a context manager: its end is theirs.
    """

    def __init__(
        self,
        workers=2,
        seconds=SECONDS_A_FILE,
        megabytes=MEGABYTES_A_WORKER,
        *,
        read=read_file,
        preload=(),
    ):
        self.most, self.seconds, self.read = workers, seconds, read
        self.settings = (megabytes, read, tuple(preload))
        self.context = get_context("spawn")
        self.workers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.kill()
        self.workers = []

    def read_all(self, paths):
        """Yields (path, result) in the order of `paths`; one call at a time."""
        if not self.most:
            yield from ((path, outcome(self.read, path)) for path in paths)
            return
        self.coming = enumerate(paths)
        self.paths = {}  # number -> path of what is under way
        self.again = deque()  # numbers that nobody reads yet, or nobody lived to read
        self.results = {}
        given = 0
        while True:
            self._hand_out()
            if given not in self.paths and not self._pull(1):
                return
            while given not in self.results:
                self._turn()
                self._hand_out()
            yield self.paths.pop(given), self.results.pop(given)
            given += 1

    def _hand_out(self):
        """Give idle workers files, but not far ahead of what was asked for."""
        for worker in self.workers:
            if worker.is_ready and not worker.assigned and (work := self._next_files()):
                worker.hand(work)
                path = self.paths[worker.assigned[0]]
                worker.deadline = time.monotonic() + self._allowance(path)
        starting = sum(not worker.is_ready for worker in self.workers)
        while len(self.workers) < self.most and self._is_work_left(starting):
            self.workers.append(_Worker(self.context, self.settings))
            starting += 1

    def _is_work_left(self, starting):
        """Whether one more worker than those that are starting would find work."""
        return self._pull(CHUNK * starting + 1)

    def _pull(self, wanted):
        """Have so many files at hand that nobody reads yet; False if there are fewer."""
        while len(self.again) < wanted and (item := next(self.coming, None)):
            self.paths[item[0]] = item[1]
            self.again.append(item[0])
        return len(self.again) >= wanted

    def _next_files(self):
        files = []
        while len(files) < CHUNK and self.again:
            number = self.again.popleft()
            files.append((number, self.paths[number]))
        while len(files) < CHUNK and len(self.paths) < AHEAD:
            if (item := next(self.coming, None)) is None:
                break
            self.paths[item[0]] = item[1]
            files.append(item)
        return files

    def _turn(self):
        """Wait for whatever happens next, a result or a deadline, and deal with it."""
        now = time.monotonic()
        busy = {w.connection: w for w in self.workers if w.assigned or not w.is_ready}
        if not busy:  # a worker that was given up, and its work not yet handed on
            return
        nearest = min(worker.deadline for worker in busy.values())
        for connection in wait(list(busy), timeout=max(0.0, nearest - now)):
            self._receive(busy[connection])
        now = time.monotonic()
        for worker in list(busy.values()):
            if worker in self.workers and now > worker.deadline:
                path = self.paths[worker.assigned[0]] if worker.assigned else None
                allowed = self._allowance(path) if path else START_SECONDS
                self._give_up(worker, "timeout", f"over {allowed:.0f} s")

    def _receive(self, worker):
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join()
            code = worker.process.exitcode
            self._give_up(worker, "crashed", f"the reader ended with status {code}")
            return
        if not worker.is_ready:  # the first word of a worker: its imports are done
            worker.is_ready = True
        else:
            self.results[worker.assigned.popleft()] = message
        if worker.assigned:
            path = self.paths[worker.assigned[0]]
            worker.deadline = time.monotonic() + self._allowance(path)

    def _allowance(self, path):
        with suppress(OSError):
            longer = os.stat(path).st_size / BYTES_A_SECOND
            return self.seconds + min(longer, LONGEST_EXTRA_SECONDS)
        return self.seconds

    def _give_up(self, worker, reason, detail):
        if not worker.is_ready:
            worker.kill()
            raise OSError(f"a reading process could not start ({reason}: {detail})")
        worker.kill()
        self.workers.remove(worker)
        if worker.assigned:
            self.results[worker.assigned.popleft()] = Refused(reason, detail)
            self.again.extendleft(reversed(worker.assigned))


def _serve(connection, megabytes, read, preload):
    _limit_memory(megabytes)
    for module in preload:
        import_module(module)
    connection.send("ready")
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            for path in connection.recv():
                connection.send(outcome(read, path))


def outcome(read, path):
    """What `read` gives for a path, or the `Refused` that says why it gives nothing."""
    try:
        return read(path)
    except Refused as refusal:  # a new one: the old one's frames hold on to the file
        return Refused(refusal.reason, refusal.detail)
    except MemoryError:
        return Refused("memory", "reading it takes more memory than a worker may have")
    except RecursionError:
        return Refused("damaged", "nested too deeply")
    except Exception as error:  # parsers raise what they like; each is reported
        first_line = (str(error).splitlines() or [""])[0]
        return Refused("damaged", f"{type(error).__name__}: {first_line[:200]}")


def _limit_memory(megabytes):
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)

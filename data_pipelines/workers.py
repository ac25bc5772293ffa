"""Strangers' files, read in processes of their own: a clock, a cap on memory, no grief.

A file that hangs a parser, crashes it or eats memory costs its worker, never the run:
it is refused with that reason, and its neighbours are read by the next worker.
"""

import os
import time
from collections import deque
from contextlib import suppress
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import wait

from data_pipelines.guard import Refused, read_file

SECONDS_A_FILE = 10.0
LONGEST_EXTRA_SECONDS = 60.0
BYTES_A_SECOND = 50_000  # a long file gets as much longer: a book of two thousand tunes
MEGABYTES_A_WORKER = 3072  # of address space, the libraries' own included
CHUNK = 16  # files handed to a worker at a time
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
        paths: sequence of Path.
        workers: int, how many processes; 0 reads here, with neither clock nor cap.
        seconds: float, how long one file may take, large ones a little longer.
        megabytes: int, how much memory a worker may address (on Linux).
        read: function of a path, found by its name in its module; gives a
            `guard.Reading`, or raises `Refused`.
        preload: names of modules that a worker imports before its clock starts.

    Yields:
        (path, `Reading` or `Refused`), in the order of `paths`.
    """
    paths = list(paths)
    if not workers:
        yield from ((path, outcome(read, path)) for path in paths)
        return
    pool = _Pool(paths, workers, seconds, (megabytes, read, tuple(preload)))
    try:
        for index, path in enumerate(paths):
            yield path, pool.result(index)
    finally:
        pool.close()


class _Worker:
    """One process and the files it was handed, the first of them in its hands."""

    def __init__(self, context, settings):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, *settings), daemon=True
        )
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


class _Pool:
    def __init__(self, paths, count, seconds, settings):
        self.paths, self.seconds, self.settings = paths, seconds, settings
        self.context = get_context("spawn")
        self.waiting = deque(range(len(paths)))
        self.results = {}
        wanted = min(count, -(-len(paths) // CHUNK))
        self.workers = [self._new_worker() for _ in range(wanted)]

    def _new_worker(self):
        return _Worker(self.context, self.settings)

    def result(self, index):
        while index not in self.results:
            self._turn()
        return self.results.pop(index)

    def _turn(self):
        """Wait for whatever happens next, a result or a deadline, and deal with it."""
        now = time.monotonic()
        busy = {w.connection: w for w in self.workers if w.assigned or not w.is_ready}
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
        if not worker.assigned and self.waiting:
            count = min(CHUNK, len(self.waiting))
            numbers = [self.waiting.popleft() for _ in range(count)]
            worker.hand([(n, self.paths[n]) for n in numbers])
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
            self.waiting.extendleft(reversed(worker.assigned))
        if self.waiting:
            self.workers.append(self._new_worker())

    def close(self):
        for worker in self.workers:
            worker.kill()


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
    except Refused as refusal:
        return refusal
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

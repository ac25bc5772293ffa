"""Work of the page: command lines of `etude`, one at a time, each in its own process.

A job waits its turn, tells its place, can be cancelled, and leaves nothing running.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST_WAITING = 8
GRACE_SECONDS = 8.0  # a tab that was reloaded is back by then
KILL_SECONDS = 12.0  # after an interrupt; a training run writes its checkpoint first
POLL_SECONDS = 0.05
WAITING, RUNNING, DONE, FAILED, CANCELLED = (
    "waiting",
    "running",
    "done",
    "failed",
    "cancelled",
)
INTERRUPTED = 130
SAID = "etude: "
WARNED = "etude: warning: "


class Busy(Exception):
    """As many jobs wait as may."""


@dataclass
class Job:
    """One press of a button.

    Args:
        commands: tuple of tuples of str, the arguments of `etude`, run in order.
        title: str, what it does, in words. tab: str, where it was asked for.
        owner: str, the visitor. A job that is not ``is_lasting`` ends when its visitor
            has gone.
        on_done: callable of the list of what the commands printed (str) -> result; it
            runs when all have ended well. on_drop: callable, called when they have not.
        while_running: callable of the job, now and then while it runs; or None.
    """

    commands: tuple
    title: str
    tab: str
    owner: str = ""
    is_lasting: bool = False
    on_done: object = None
    on_drop: object = None
    while_running: object = None
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: str = WAITING
    step: int = 0  # the command at work
    sentence: str = ""  # why it failed
    warnings: list = field(default_factory=list)
    result: object = None
    began: float = 0.0
    ended: float = 0.0
    log: Path | None = None
    is_cancelled: bool = False

    @property
    def is_over(self):
        return self.state in (DONE, FAILED, CANCELLED)

    def last_line(self):
        """What the command at work printed last; "" if nothing."""
        try:
            lines = (self.log / "out").read_text("utf-8", "replace").splitlines()
        except (OSError, AttributeError):
            return ""
        return next((line for line in reversed(lines) if line.strip()), "")


class Jobs:
    """A line of jobs, of which the first runs.

    Args:
        folder: Path, where the commands are run.
        most_waiting: int, how many may wait behind the one that runs.
        grace: float, seconds that a visitor may be away.
    """

    def __init__(self, folder, *, most_waiting=MOST_WAITING, grace=GRACE_SECONDS):
        self.folder = Path(folder)
        self.most_waiting, self.grace = most_waiting, grace
        self._line, self._latest = [], {}
        self._sessions, self._left = {}, {}
        self._changed = threading.Condition()
        self._is_open = True
        self._logs = tempfile.TemporaryDirectory(prefix="etude-jobs-")
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def submit(self, job):
        """Put a job at the end of the line; it comes back.

        Raises:
            Busy: if too many wait already.
        """
        with self._changed:
            if len(self._line) > self.most_waiting:
                raise Busy(
                    f"Busy: one job runs and {self.most_waiting} wait, which is as many "
                    "as may. Try again in a little while."
                )
            job.log = Path(self._logs.name) / job.id
            job.log.mkdir()
            self._line.append(job)
            self._latest[job.owner, job.tab] = job
            self._changed.notify_all()
        return job

    def place(self, job):
        """How many come before it: 0 if it runs or is over."""
        with self._changed:
            if job.state != WAITING:
                return 0
            return self._line.index(job)

    def latest(self, owner, tab):
        """The visitor's last job of a tab, or None."""
        return self._latest.get((owner, tab))

    def running(self, tab=None):
        """The job at work, if it is of that tab (or of any); else None."""
        with self._changed:
            found = (j for j in self._line if j.state == RUNNING)
            return next((j for j in found if tab in (None, j.tab)), None)

    def cancel(self, job):
        """End a job, whether it runs or waits."""
        with self._changed:
            if job.state == WAITING:
                self._line.remove(job)
                self._end(job, CANCELLED)
            elif job.state == RUNNING:
                job.is_cancelled = True
            self._changed.notify_all()

    def arrive(self, owner, session):
        """A visitor opened the page, in a tab of that session."""
        with self._changed:
            self._sessions.setdefault(owner, set()).add(session)
            self._left.pop(owner, None)

    def leave(self, session):
        """A tab was closed: what its visitor's other tabs do not hold ends soon."""
        with self._changed:
            for owner, sessions in self._sessions.items():
                if session in sessions:
                    sessions.discard(session)
                    if not sessions:
                        self._left[owner] = time.monotonic()
            self._changed.notify_all()

    def close(self):
        """End what runs, drop what waits."""
        with self._changed:
            self._is_open = False
            for job in self._line:
                job.is_cancelled = True
            self._changed.notify_all()
        self._worker.join(KILL_SECONDS + 5)
        self._logs.cleanup()

    def _drop_left(self):
        gone = {
            owner
            for owner, since in self._left.items()
            if time.monotonic() - since > self.grace
        }
        for job in list(self._line):
            if job.owner in gone and not job.is_lasting:
                self.cancel(job)

    def _work(self):
        while True:
            with self._changed:
                while self._is_open and not self._line:
                    self._changed.wait()
                if not self._is_open:
                    return
                self._drop_left()
                if not self._line:
                    continue
                job = self._line[0]
                job.state, job.began = RUNNING, time.monotonic()
            try:
                state = self._run(job)
            except Exception as error:  # whatever it is, the line must go on
                job.sentence = f"This should not have happened: {error!r}."
                state = FAILED
            with self._changed:
                self._line.remove(job)
                self._end(job, state)
                self._changed.notify_all()

    def _end(self, job, state):
        job.state, job.ended = state, time.monotonic()
        if state != DONE and job.on_drop:
            job.on_drop()

    def _run(self, job):
        said = []
        for step, arguments in enumerate(job.commands):
            job.step = step
            status, out, errors = self._command(job, arguments)
            job.warnings += [
                line.removeprefix(WARNED) for line in errors if line.startswith(WARNED)
            ]
            if job.is_cancelled or status == INTERRUPTED:
                job.sentence = _sentence(errors)
                return CANCELLED
            if status:
                job.sentence = _sentence(errors) or f"It ended with status {status}."
                return FAILED
            said.append(out)
        job.result = job.on_done(said) if job.on_done else said
        return DONE

    def _command(self, job, arguments):
        """(exit status, what it printed, lines of its errors) of one command."""
        out, errors = job.log / "out", job.log / "errors"
        with open(out, "wb") as to_out, open(errors, "wb") as to_errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "studio.cli", *arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_errors,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUTF8": "1"},
                start_new_session=True,
            )
            self._await(job, process)
        told = errors.read_text("utf-8", "replace").splitlines()
        return process.returncode, out.read_text("utf-8", "replace"), told

    def _await(self, job, process):
        asked_at = None
        try:
            while process.poll() is None:
                with self._changed:
                    self._drop_left()
                if job.is_cancelled and asked_at is None:
                    asked_at = time.monotonic()
                    _signal(process, signal.SIGINT)
                if asked_at and time.monotonic() - asked_at > KILL_SECONDS:
                    _signal(process, signal.SIGKILL)
                if job.while_running and not job.is_cancelled:
                    job.while_running(job)
                time.sleep(POLL_SECONDS)
        finally:
            _signal(process, signal.SIGKILL)  # whatever it started, too
            process.wait()


def _signal(process, number):
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _sentence(errors):
    """The last thing that a command said for a person."""
    said = (line for line in reversed(errors) if line.startswith(SAID))
    return next(
        (line.removeprefix(SAID) for line in said if not line.startswith(WARNED)), ""
    )


def facts_of(said):
    """What a command printed with ``--json``, as a dict; {} if it is none."""
    lines = [line for line in said.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}

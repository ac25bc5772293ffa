"""A sample each minute of what a training run has learnt so far."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

from studio.page.jobs import facts_of

EVERY_SECONDS = 60.0
SECONDS = 45.0  # that a sample may take
SEED = 1  # always the same, so that what changes is the model


class Sampler:
    """Composes from a run's best weights now and then, beside it.

    Args:
        shelf: `shelf.Shelf`, where samples go. output: Path of the bundle to be.
    """

    def __init__(self, shelf, output):
        self.shelf, self.output = shelf, output
        self.best = output.with_name(output.name + ".run") / "best.bundle"
        self.take_id = None
        self._process = self._folder = None
        self._began = -EVERY_SECONDS
        self._seen = None

    def look(self, job):
        """Start a sample, or put the one that is done on the shelf; never waits."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is not None:
                self._put(job)
            elif now - self._began > SECONDS:
                self.close()
            return
        if now - self._began < EVERY_SECONDS:
            return
        with suppress(OSError):
            changed = (self.best / "bundle.json").stat().st_mtime_ns
            if changed != self._seen:
                self._begin(changed, now)

    def close(self):
        """End the sample that is being made, if any."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, changed, now):
        self._seen, self._began = changed, now
        self._folder = self.shelf.new_take()
        files = [
            w for s in (".mid", ".wav") for w in ("-o", f"{self._folder}/piece{s}")
        ]
        command = ["compose", "--model", str(self.best), "--bars", "8"]
        command += ["--seed", str(SEED), *files, "--json"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "studio.cli", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _put(self, job):
        said = self._process.stdout.read().decode("utf-8", "replace")
        status, self._process = self._process.returncode, None
        if status:  # a bundle that was just being replaced; there will be another
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        minutes = (time.monotonic() - job.began) / 60
        about = {
            "title": f"{self.output.stem}, after {minutes:.0f} min",
            "facts": facts_of(said),
            "warnings": [],
        }
        if (
            self.take_id
            and (last := self.shelf.take(self.take_id))
            and not last.is_kept
        ):
            self.shelf.remove(self.take_id)
        self.take_id = self.shelf.keep(self._folder, about).id

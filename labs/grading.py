"""Grades a learner's file: exercise by exercise, in a process with a time limit."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from labs.answers import read_answers
from labs.exercises import Verdict, exercises_of

LOAD_SECONDS = 120.0  # for the imports of a learner's file


@dataclass(frozen=True)
class Grade:
    """The verdicts on one file, and the seed of the instances that were asked.

    ``notes`` are sentences on what of the file could not be read.
    """

    verdicts: tuple
    exercises: tuple
    seed: int
    notes: tuple = ()

    @property
    def points(self):
        return sum(
            exercise.points
            for exercise, verdict in zip(self.exercises, self.verdicts, strict=True)
            if verdict.state == "right"
        )

    @property
    def points_in_all(self):
        return sum(exercise.points for exercise in self.exercises)


def grade(path, lab, *, seed, most_seconds=None):
    """Judge every exercise of a lab.

    Args:
        path: a notebook or script.
        lab: `catalogue.Lab`.
        seed: int, of the instances that the laws draw.
        most_seconds: float, to wait for each exercise; by default what it says itself.

    Returns:
        `Grade`.

    Raises:
        WrongUsage, NothingUsable: as `answers.read_answers`.
    """
    answers = read_answers(path)
    exercises = exercises_of(lab.number)
    if most_seconds:
        exercises = [replace(one, seconds=most_seconds) for one in exercises]
    verdicts = {}
    while len(verdicts) < len(exercises):
        left = [one for one in exercises if one.name not in verdicts]
        verdicts |= _judge_some(answers.source, lab.number, left, seed)
    return Grade(
        tuple(verdicts[one.name] for one in exercises),
        tuple(exercises),
        seed,
        answers.unread,
    )


def _judge_some(source, lab, exercises, seed):
    """Verdicts on the first of these, up to one that must be stopped: at least one."""
    reading, writing = os.pipe()
    job = {
        "source": source,
        "lab": lab,
        "exercises": [one.name for one in exercises],
        "seed": seed,
        "results": writing,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "labs.graded"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writing],
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": _path(), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    os.close(writing)
    try:
        with contextlib.suppress(BrokenPipeError), child.stdin as stream:
            stream.write(json.dumps(job).encode())
        return _collect(reading, exercises)
    finally:
        os.close(reading)
        stop_with_children(child)


def _collect(reading, exercises):
    """What the process tells, until it is done, gone or too slow."""
    waiting = {one.name: one for one in exercises}
    verdicts, at = {}, None
    lines = _lines(reading)
    limit = LOAD_SECONDS
    while waiting:
        fact = lines(limit)
        if "begun" in fact:
            at, limit = fact["begun"], waiting[fact["begun"]].seconds
        elif "name" in fact:
            verdicts[fact["name"]] = Verdict(
                fact["name"], fact["state"], fact["sentence"]
            )
            del waiting[fact["name"]]
            at, limit = None, LOAD_SECONDS
        elif "loaded" not in fact:  # {"stopped": why}
            lost = at or next(iter(waiting))
            verdicts[lost] = Verdict(lost, "wrong", fact["stopped"].format(limit=limit))
            if at is None:  # the file itself cannot be loaded: so for all
                for name in waiting:
                    verdicts[name] = Verdict(name, "wrong", verdicts[lost].sentence)
            break
    return verdicts


def _lines(reading):
    """A function of a limit in seconds: the next fact, or {"stopped": why}."""
    buffer = b""

    def next_fact(limit):
        nonlocal buffer
        end = time.monotonic() + limit
        while b"\n" not in buffer:
            ready, _, _ = select.select(
                [reading], [], [], max(0, end - time.monotonic())
            )
            if not ready:
                return {
                    "stopped": "stopped after {limit:.0f} seconds: does a loop end?"
                }
            chunk = os.read(reading, 65536)
            if not chunk:
                return {"stopped": "the process ended before it answered: was it left?"}
            buffer += chunk
        line, _, buffer = buffer.partition(b"\n")
        try:
            fact = json.loads(line)
        except ValueError:
            fact = {}
        return fact if isinstance(fact, dict) else {}

    return next_fact


def stop_with_children(child):
    """Stop a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _path():
    here = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))

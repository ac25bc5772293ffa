"""Exercises: a law each, a judge for answers, and words for what is not yet right."""

import importlib
import pkgutil
import traceback
from dataclasses import dataclass, field

import numpy as np

EXERCISES = {}  # name -> Exercise, of the labs whose checks were imported


class NotYet(AssertionError):
    """A law does not hold yet: the sentence names input, wanted and received."""


@dataclass(frozen=True)
class Exercise:
    """What one answer must satisfy.

    ``law`` is a function (answer, rng) that raises `NotYet`; ``covers`` are rows of
    ``labs/COVERAGE.md``; ``seconds`` is how long the grader waits for it.
    """

    name: str
    lab: int
    law: object
    hint: str
    points: int = 1
    covers: tuple = field(default=())
    seconds: float = 30.0


@dataclass(frozen=True)
class Verdict:
    """What was found of one answer. ``state`` is right, wrong or open."""

    name: str
    state: str
    sentence: str = ""


def exercise(*, hint, points=1, covers=(), seconds=30.0):
    """Declare the law of an exercise: the learner's function has the law's name.

    The law is called with the answer and a `numpy.random.Generator`, and draws its data
    from that: another seed is another instance, which a hard-coded answer fails.
    """

    def declare(law):
        lab = int(law.__module__.rpartition("lab")[2])
        name = law.__name__
        if name in EXERCISES and EXERCISES[name].law.__module__ != law.__module__:
            raise ValueError(f"Two labs have an exercise {name!r}.")
        EXERCISES[name] = Exercise(name, lab, law, hint, points, tuple(covers), seconds)
        return law

    return declare


def exercises_of(lab):
    """The exercises of a lab, by its number, in the order of the lab."""
    importlib.import_module(f"labs.checks.lab{lab:02d}")
    return [one for one in EXERCISES.values() if one.lab == lab]


def check(answer, *, seed=0):
    """Judge a function by the law that has its name; print what was found.

    Raises:
        NotImplementedError: if the answer is still a stub: the notebook stops there.
        KeyError: if there is no exercise of that name.
    """
    found = _exercise_named(answer.__name__)
    verdict = judge(found, answer, seed)
    if verdict.state == "open":
        raise NotImplementedError(f"{found.name}: yours to write")
    print(spoken(verdict, found))


def finding(sentence, holds, *, covers=()):
    """State what a measurement showed, and whether it is what was to be shown.

    Args:
        sentence: str, with the numbers that were seen.
        holds: bool.
        covers: rows of ``labs/COVERAGE.md`` that it shows, literal strings.
    """
    print(f"{'✓' if holds else '✗'} {sentence}")


def judge(exercise, answer, seed):
    """`Verdict` on an answer, under one instance of the law's data."""
    try:
        with np.errstate(all="ignore"):
            exercise.law(answer, np.random.default_rng([seed, exercise.lab]))
    except NotYet as broken:
        return Verdict(exercise.name, "wrong", str(broken))
    except NotImplementedError:
        return Verdict(exercise.name, "open")
    except Exception as error:  # whatever a learner's function may raise
        return Verdict(exercise.name, "wrong", _told(error, exercise))
    return Verdict(exercise.name, "right")


def spoken(verdict, exercise):
    """The verdict in one or two lines."""
    if verdict.state == "right":
        return f"✓ {exercise.name}"
    if verdict.state == "open":
        return f"· {exercise.name}: yours to write"
    return f"✗ {exercise.name}: {verdict.sentence}\n  Hint: {exercise.hint}"


def expect(holds, sentence):
    """The law holds, or the sentence says what was seen instead."""
    if not holds:
        raise NotYet(sentence)


def close(received, wanted, what, *, tolerance=1e-6):
    """An array is the one wanted: same shape, each number as near as `tolerance`.

    The tolerance is absolute below 1 and relative above.
    """
    if received is None:
        raise NotYet(f"{what} is None. Is a `return` missing?")
    try:
        got = np.asarray(received, float)
    except (TypeError, ValueError):
        raise NotYet(
            f"{what} should be of numbers, and is {type(received).__name__}."
        ) from None
    wanted = np.asarray(wanted, float)
    if got.shape != wanted.shape:
        raise NotYet(f"{what} has the shape {got.shape}; {wanted.shape} was expected.")
    if not np.isfinite(got).all():
        raise NotYet(f"{what} holds a number that is not finite.")
    apart = np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))
    if apart.size and apart.max() > tolerance:
        at = np.unravel_index(apart.argmax(), apart.shape)
        where = f" at {tuple(map(int, at))}" if at else ""
        raise NotYet(f"{what}{where} is {got[at]:.6g}; {wanted[at]:.6g} was expected.")


def _exercise_named(name):
    if name not in EXERCISES:
        from labs import checks

        for module in pkgutil.iter_modules(checks.__path__):
            importlib.import_module(f"labs.checks.{module.name}")
    if name not in EXERCISES:
        raise KeyError(f"There is no exercise {name!r}: was the function renamed?")
    return EXERCISES[name]


def _told(error, exercise):
    """An error in a learner's function, with the line that it came from."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/labs/" not in frame.filename and "site-packages" not in frame.filename
    ]
    where = (
        f" in line {own[-1].lineno}: `{own[-1].line}`" if own and own[-1].line else ""
    )
    return f"it raised {type(error).__name__}: {error}{where}"

"""Errors that a person can act on, each with the exit status it ends in."""


class EtudeError(Exception):
    """One sentence for whoever caused it. ``status`` is the exit status."""

    status = 1


class WrongUsage(EtudeError):
    """What was asked for does not exist, or cannot be done."""

    status = 2


class NothingUsable(EtudeError):
    """The input holds nothing that can be used."""

    status = 3


class MachineFailed(EtudeError):
    """Disk, memory or permission."""

    status = 4


class Interrupted(EtudeError):
    """The person stopped it; the sentence says what was kept."""

    status = 130

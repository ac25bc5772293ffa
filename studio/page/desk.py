"""What all tabs work with: the shelf, the line of jobs, and how a press becomes a take."""

import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from studio.errors import EtudeError
from studio.page import cards
from studio.page.jobs import Busy, Job, Jobs, facts_of
from studio.page.shelf import Shelf

FORMS = (".mid", ".wav", ".musicxml", ".html")


@dataclass(frozen=True)
class Desk:
    """The shelf and the jobs of one page; which folder each visitor brought last, and
    who samples which training."""

    shelf: Shelf
    jobs: Jobs
    brought: dict = field(default_factory=dict)
    refused: dict = field(default_factory=dict)  # (owner, tab) -> why, as HTML
    samplers: dict = field(default_factory=dict)

    def press(self, owner, tab, title, makes):
        """Start what a button asks for.

        Args:
            owner: str. tab: str. title: str.
            makes: callable that gives fields of `Job` as a dict, ``commands`` among
                them, or raises what a person did wrong.

        Returns:
            `Job`, or None where it was refused; `status` shows either.
        """
        self.refused.pop((owner, tab), None)
        fields = {}
        try:
            fields = makes()
            return self.jobs.submit(Job(title=title, tab=tab, owner=owner, **fields))
        except (Busy, EtudeError, ValueError, OSError) as error:
            if drop := fields.get("on_drop"):
                drop()
            self.refused[owner, tab] = cards.error(plain(error))
            return None

    def status(self, owner, tab, told="", share=None):
        """The line of the visitor's last press of a tab: HTML, "" if there is none."""
        if why := self.refused.get((owner, tab)):
            return why
        job = self.jobs.latest(owner, tab)
        return cards.status(job, self.jobs.place(job) if job else 0, told, share)

    def stop(self, owner, tab):
        """Cancel the visitor's job of a tab."""
        if job := self.jobs.latest(owner, tab):
            self.jobs.cancel(job)

    def is_live(self, owner, tab):
        """Whether the visitor's job of a tab waits or runs."""
        job = self.jobs.latest(owner, tab)
        return bool(job) and not job.is_over

    def takes_of(self, job):
        """The takes that a job made, as they are now; [] if none."""
        if job is None or not isinstance(job.result, list):
            return []
        return [take for name in job.result if (take := self.shelf.take(name))]


def plain(error):
    """An error's sentence in one line."""
    return " ".join(str(error).split())


def taking(shelf, command, *, wishes, title, given=None, forms=FORMS):
    """Commands that make takes, and what puts them on the shelf.

    Args:
        shelf: `Shelf`.
        command: list of str, of `etude`, without ``-o`` and ``--json``.
        wishes: list of lists of str, the options of each take.
        title: callable of the facts that the command told -> str.
        given: Path or None, a file whose notes are shown as given.
        forms: the suffixes to write.

    Returns:
        dict of fields of `Job`, whose result is a list of take ids.
    """
    folders = [shelf.new_take() for _ in wishes]
    commands = []
    for folder, wish in zip(folders, wishes, strict=True):
        outputs = [w for s in forms for w in ("-o", str(folder / f"piece{s}"))]
        commands.append((*command, *wish, *outputs, "--json"))

    def on_done(said):
        ids = []
        for folder, wish, told in zip(folders, wishes, said, strict=True):
            facts = facts_of(told)
            if given is not None:
                _keep_given(given, folder / "given.mid")
            about = {
                "title": title(facts),
                "command": facts.get("command")
                or " ".join(map(shlex.quote, ("etude", *command, *wish))),
                "facts": {k: v for k, v in facts.items() if k != "files"},
                "warnings": _warnings(facts),
            }
            ids.append(shelf.keep(folder, about).id)
        return ids

    def drop():
        for folder in folders:
            if shelf.take(folder.name) is None:
                shutil.rmtree(folder, ignore_errors=True)

    return {"commands": tuple(commands), "on_done": on_done, "on_drop": drop}


def _warnings(facts):
    told = [row["text"] for row in facts.get("diagnosis", ()) if "text" in row]
    return told + list(facts.get("told", ()))


def _keep_given(path, target):
    from data_pipelines.midi import write_midi
    from studio.listen import open_score

    write_midi(target, open_score(path))


def bring_one(shelf, file):
    """A file that a visitor gave, taken into the folder: its Path."""
    path = Path(file)
    folder = shelf.bring([(path, path.name)], path.stem)
    return next(iter(sorted(folder.iterdir())), folder)

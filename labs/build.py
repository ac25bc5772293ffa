"""Writes the two notebooks of each lab from its one source: `python -m labs.build`.

    02_melody_lstm/lab.py -> 02_melody_lstm.ipynb            the learner's, with stubs
                          -> 02_melody_lstm_solution.ipynb   the same, whole

Both without outputs; same source, same bytes.
"""

import json
import re
import sys

from labs.catalogue import LABS, ROOM
from labs.exercises import exercises_of

GUIDE = ROOM / "README.md"
OPENING, CLOSING = "<!-- labs -->", "<!-- /labs -->"

BEGIN, END = "# BEGIN SOLUTION", "# END SOLUTION"
_SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?^[ \t]*{END}\n?", re.M | re.S)
_MARKER = re.compile(rf"^[ \t]*(?:{BEGIN}|{END})\n?", re.M)
_STUB = r"\1# Yours to write.\n\1raise NotImplementedError\n"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def student_source(source):
    """The source with each solution replaced by a stub, indented alike.

    Raises:
        ValueError: if a marker has no partner.
    """
    student = _SOLUTION.sub(_STUB, source)
    if BEGIN in student or END in student:
        raise ValueError(f"A {BEGIN!r} or {END!r} has no partner.")
    return student


def solution_source(source):
    """The source without the markers of its solutions."""
    return _MARKER.sub("", source)


def notebook(source):
    """A notebook without outputs: nbformat 4.5, as text."""
    import jupytext
    import nbformat

    book = jupytext.reads(source, fmt="py:percent")
    book.metadata = {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number:03d}"
        cell.metadata = {}
    nbformat.validate(book)
    return nbformat.writes(book, indent=1).rstrip("\n") + "\n"


def notebooks(lab):
    """Path -> text of the notebooks of a lab."""
    source = lab.source.read_text(encoding="utf-8")
    return {
        lab.student: notebook(student_source(source)),
        lab.solution: notebook(solution_source(source)),
    }


def guide(text, record):
    """The guide to the course with its table of labs made anew.

    Args:
        text: str, what `GUIDE` holds.
        record: list of dict, the rows of assets/benchmarks.json.
    """
    took = {row["id"]: row["value"] for row in record}
    lines = [
        "| lab | minutes | exercises | you will hear | computes |",
        "|" + "---|" * 5,
    ]
    for lab in LABS:
        seconds = took.get(f"lab {lab.number:02d} {lab.name}, computing")
        computes = "not measured yet" if seconds is None else f"{seconds:.0f} s"
        count = len(exercises_of(lab.number))
        lines.append(
            f"| {lab.number} [{lab.title}]({lab.slug}/{lab.student.name}) | {lab.minutes} "
            f"| {count} | {lab.heard} | {computes} |"
        )
    before, _, rest = text.partition(OPENING)
    return (
        before
        + OPENING
        + "\n"
        + "\n".join(lines)
        + "\n"
        + CLOSING
        + rest.partition(CLOSING)[2]
    )


def main():
    from labs.coverage import write_coverage

    record = json.loads((ROOM.parent / "assets" / "benchmarks.json").read_text())
    GUIDE.write_text(guide(GUIDE.read_text(encoding="utf-8"), record), encoding="utf-8")

    for lab in LABS:
        if not lab.source.exists():
            print(f"{lab.slug}: no source yet", file=sys.stderr)
            continue
        for path, text in notebooks(lab).items():
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(path.parent.parent))
    print(write_coverage())


if __name__ == "__main__":
    main()

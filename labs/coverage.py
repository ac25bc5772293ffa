"""Which test or check shows each row of ``rows.toml``: writes labs/COVERAGE.md.

A test says it with ``@pytest.mark.covers("c01")``, an exercise and a finding of a lab
with ``covers=("c01",)``.
"""

import ast
import tomllib
from dataclasses import dataclass

from labs.catalogue import LABS, ROOM

ROOT = ROOM.parent
TABLE = ROOM / "COVERAGE.md"
GROUPS = {
    "a": "Sequences and data",
    "b": "Foundations",
    "c": "Recurrent models",
    "d": "Language modelling",
    "e": "Sequence to sequence, attention, memory, Transformers",
    "f": "Music and audio",
}
MENTIONED = ("mention only", "out of scope", "reading list", "links only")
HEAD = """# What the course covers

Every idea that the course's source documents name, the fact that shows it works here,
and the test or check that asserts the fact. Written by `make labs` from
[rows.toml](rows.toml) and the markers in the code; {shown} of {all} rows are shown{open}.

S0 is a lecture on networks for artists, S1 MIT 6.S191's lecture 2, S2 study notes from
RNN to Transformer, S3 notes on Andrew Ng's sequence models, S4 slides with a practical.
"""


@dataclass(frozen=True)
class Row:
    """An idea of the source documents, and the fact that shows it works."""

    id: str
    source: str
    idea: str
    form: str
    criterion: str

    @property
    def is_only_mentioned(self):
        return any(words in f"{self.form} {self.criterion}" for words in MENTIONED)

    @property
    def fact(self):
        """What is to be shown; where no measure is named, the form that shows it."""
        return self.form if self.criterion == "–" else self.criterion


def read_rows():
    """The rows, in their order."""
    table = tomllib.loads((ROOM / "rows.toml").read_text(encoding="utf-8"))
    return [Row(**row) for row in table["row"]]


def find_markers():
    """Row id -> list of (path below the root, name of the function), sorted.

    Raises:
        ValueError: if a marker names a row that there is not.
    """
    known = {row.id: [] for row in read_rows()}
    sources = [
        *(ROOT / "tests").rglob("*.py"),
        *(ROOM / "checks").glob("*.py"),
        *(lab.source for lab in LABS if lab.source.exists()),
    ]
    for path in sorted(sources):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for row, name in _marks_of(node):
                if row not in known:
                    raise ValueError(f"{path.name} covers {row!r}, which is no row.")
                known[row].append((path.relative_to(ROOT).as_posix(), name))
    return known


def _marks_of(node):
    """(row, what shows it) of the decorators of a function, and of a `finding`."""
    for call in getattr(node, "decorator_list", ()):
        if isinstance(call, ast.Call) and _name_of(call) == "covers":
            yield from ((argument.value, node.name) for argument in call.args)
        elif isinstance(call, ast.Call) and _name_of(call) == "exercise":
            yield from ((row, node.name) for row in _covered(call))
    if isinstance(node, ast.Call) and _name_of(node) == "finding":
        yield from ((row, "finding") for row in _covered(node))


def _covered(call):
    for keyword in call.keywords:
        if keyword.arg == "covers":
            yield from ast.literal_eval(keyword.value)


def _name_of(call):
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def coverage_table():
    """The text of COVERAGE.md."""
    rows, markers = read_rows(), find_markers()
    asked = [row for row in rows if not row.is_only_mentioned]
    shown = [row for row in asked if markers[row.id]]
    open_rows = [row.id for row in asked if not markers[row.id]]
    still = f"; open: {', '.join(open_rows)}" if open_rows else ""
    parts = [HEAD.format(shown=len(shown), all=len(asked), open=still)]
    for letter, title in GROUPS.items():
        parts += [f"## {letter}. {title}", ""]
        parts += ["| row | idea | the fact | shown by |", "|---|---|---|---|"]
        for row in rows:
            if row.id.startswith(letter):
                places = [f"[{name}](../{path})" for path, name in markers[row.id]]
                if not places:
                    places = ["mentioned" if row.is_only_mentioned else "**open**"]
                cells = (row.id, f"{row.idea} ({row.source})", row.fact)
                parts.append(f"| {' | '.join([*cells, '<br>'.join(places)])} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def write_coverage():
    """Write the table; its path below the root comes back."""
    TABLE.write_text(coverage_table(), encoding="utf-8")
    return TABLE.relative_to(ROOT)

"""The definitions in a notebook or script: what of it can be judged without running it.

An exercise is a function, and a law asks it alone; so that a lab is graded in seconds,
only functions, classes, plain constants and the imports that these use are carried out
of a learner's file, and not its trainings and pictures.
"""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from studio.errors import NothingUsable, WrongUsage

LARGEST = 50_000_000  # bytes: outputs and all
MAGIC = ("%", "!", "?")


@dataclass(frozen=True)
class Answers:
    """The source of the definitions, and the cells that do not parse."""

    path: Path
    source: str
    unread: tuple = ()  # sentences


def read_answers(path):
    """`Answers` of a notebook (.ipynb) or a script with or without cells (.py).

    Raises:
        WrongUsage: if there is no such file, or it is of another kind.
        NothingUsable: if it cannot be read as what its name says.
    """
    path = Path(path)
    if path.suffix not in {".ipynb", ".py"}:
        raise WrongUsage(f"{path}: a lab is graded as .ipynb or .py.")
    try:
        if path.stat().st_size > LARGEST:
            raise NothingUsable(
                f"{path}: {path.stat().st_size:,} bytes; at most {LARGEST:,} are read."
            )
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise WrongUsage(f"{path}: there is no such file.") from None
    except UnicodeDecodeError:
        raise NothingUsable(f"{path}: not UTF-8 text.") from None
    cells = _cells_of_notebook(path, text) if path.suffix == ".ipynb" else [text]
    if path.suffix == ".py" and not _parses(text):
        cells = _cells_of_script(text)
    parts, unread = [], []
    for number, cell in enumerate(cells, 1):
        plain = _without_magic(cell)
        try:
            tree = ast.parse(plain)
        except SyntaxError as error:
            unread.append(
                f"code cell {number} does not parse: {error.msg} (line {error.lineno})"
            )
            continue
        parts += [
            (ast.get_source_segment(plain, node), node) for node in _definitions(tree)
        ]
    used = {
        name.id
        for _, node in parts
        for name in ast.walk(node)
        if isinstance(name, ast.Name)
    }
    kept = [source for source, node in parts if _is_needed(node, used)]
    return Answers(path, "\n\n\n".join(kept) + "\n", tuple(unread))


def _cells_of_notebook(path, text):
    try:
        cells = json.loads(text)["cells"]
        return [
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NothingUsable(f"{path}: not a Jupyter notebook of version 4.") from None


def _cells_of_script(text):
    cells = [[]]
    for line in text.splitlines():
        if line.startswith("# %%"):
            cells.append([])
        else:
            cells[-1].append(line)
    return ["\n".join(lines) for lines in cells]


def _without_magic(cell):
    lines = cell.splitlines()
    return "\n".join(
        "pass" if line.lstrip().startswith(MAGIC) else line for line in lines
    )


def _parses(text):
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _definitions(tree):
    """The statements that only say what names mean."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield _with_decorators(node)
        elif isinstance(node, ast.Import | ast.ImportFrom) or _is_constant(node):
            yield node


def _is_constant(node):
    """Whether a statement gives names to what is only reckoned."""
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    named = all(
        isinstance(part, ast.Name | ast.Tuple | ast.Store)
        for target in targets
        for part in ast.walk(target)
    )
    return named and not _works(node.value)


def _is_needed(node, used):
    """Whether a statement is no import, or one of a name that a definition uses."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return True
    bound = {(one.asname or one.name).split(".")[0] for one in node.names}
    return bool(bound & used) or "*" in bound


def _with_decorators(node):
    if node.decorator_list:  # the segment of a function begins at its `def`
        node.lineno = node.decorator_list[0].lineno
        node.col_offset = 0
    return node


def _works(expression):
    """Whether an expression does anything but name, collect and reckon."""
    calm = (ast.Lambda,)
    pending = [expression]
    while pending:
        node = pending.pop()
        if isinstance(node, calm):
            continue
        if isinstance(
            node,
            ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr
            | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
            | ast.Subscript | ast.Attribute | ast.Name,
        ):  # fmt: skip
            return True
        pending += ast.iter_child_nodes(node)
    return False

"""The course keeps its word: laws reject, notebooks equal sources, solutions run."""

import copy
import importlib
import json
import re
import time

import pytest

from labs.answers import read_answers
from labs.build import GUIDE, guide, notebooks, solution_source, student_source
from labs.catalogue import LABS, ROOM
from labs.coverage import TABLE, coverage_table
from labs.exercises import exercises_of, judge
from labs.graded import define

BUILT = [lab for lab in LABS if lab.source.exists()]
SEEDS = range(5)
LONGEST_CELL = 24  # lines of code, a solution's included
MINUTES = 10  # of a lab's compute, on two cores


def solved(lab):
    """Name -> function of a lab's solutions."""
    names, failed = define(read_answers(lab.source).source)
    assert not failed
    return names


def stubs(lab, folder):
    path = folder / "student.py"
    path.write_text(student_source(lab.source.read_text()))
    return define(read_answers(path).source)[0]


def wrong_answers(lab):
    return importlib.import_module(f"wrong_answers.lab{lab.number:02d}").WRONG


def pairs():
    return [(lab, one) for lab in BUILT for one in exercises_of(lab.number)]


def named(value):
    return getattr(value, "slug", getattr(value, "name", None))


class Parrot:
    """Says again what the right answer said, call after call, whatever it is asked."""

    def __init__(self, answer):
        self.answer, self.said, self.listening = answer, [], True
        self.__name__ = answer.__name__

    def __call__(self, *arguments, **settings):
        if self.listening:
            self.said.append(copy.deepcopy(self.answer(*arguments, **settings)))
            return copy.deepcopy(self.said[-1])
        return self.said.pop(0)


def test_every_lab_of_the_catalogue_is_built():
    assert list(LABS) == BUILT


@pytest.mark.parametrize("lab", BUILT, ids=named)
def test_the_exercises_of_the_source_are_those_that_are_checked_in_their_order(lab):
    source = lab.source.read_text()
    asked = [one.name for one in exercises_of(lab.number)]
    assert re.findall(r"^check\((\w+)", source, re.M) == asked
    assert source.count("# BEGIN SOLUTION") == len(asked) >= 5


@pytest.mark.parametrize(("lab", "exercise"), pairs(), ids=named)
def test_the_solution_is_right_under_any_seed(lab, exercise):
    answer = solved(lab)[exercise.name]
    for seed in SEEDS:
        assert judge(exercise, answer, seed).state == "right", judge(
            exercise, answer, seed
        )


@pytest.mark.parametrize(("lab", "exercise"), pairs(), ids=named)
def test_wrong_answers_are_rejected_with_a_sentence(lab, exercise):
    wrong = wrong_answers(lab)[exercise.name]
    assert len({answer.__doc__ for answer in wrong}) >= 3
    for answer in wrong:
        verdict = judge(exercise, answer, 0)
        assert verdict.state == "wrong", answer.__doc__
        assert len(verdict.sentence) > 20, answer.__doc__


@pytest.mark.parametrize(("lab", "exercise"), pairs(), ids=named)
def test_an_answer_learnt_by_heart_is_rejected(lab, exercise):
    parrot = Parrot(solved(lab)[exercise.name])
    assert judge(exercise, parrot, 0).state == "right"
    parrot.listening = False
    assert judge(exercise, parrot, 1).state == "wrong"


@pytest.mark.parametrize(("lab", "exercise"), pairs(), ids=named)
def test_an_answer_that_gives_nothing_is_wrong_and_a_stub_is_open(
    lab, exercise, tmp_path
):
    assert judge(exercise, lambda *_, **__: None, 0).state == "wrong"
    assert judge(exercise, stubs(lab, tmp_path)[exercise.name], 0).state == "open"


@pytest.mark.parametrize("lab", BUILT, ids=named)
def test_the_committed_notebooks_equal_their_source_and_hold_no_outputs(lab):
    for path, text in notebooks(lab).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: make labs"
        for cell in json.loads(text)["cells"]:
            assert not cell.get("outputs")
            assert "SOLUTION" not in "".join(cell["source"])


@pytest.mark.parametrize("lab", BUILT, ids=named)
def test_cells_are_short_and_the_prose_has_no_cell_that_code_could_break(lab):
    book = json.loads(notebooks(lab)[lab.solution])
    assert book["cells"][0]["cell_type"] == "markdown"
    assert "".join(book["cells"][0]["source"]).startswith(f"# Lab {lab.number} · ")
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            lines = "".join(cell["source"]).splitlines()
            assert len(lines) <= LONGEST_CELL, lines[:3]


def test_a_marker_without_its_partner_is_an_error():
    with pytest.raises(ValueError, match="no partner"):
        student_source("def f():\n    # BEGIN SOLUTION\n    return 1\n")


def test_a_solution_becomes_a_stub_at_its_own_indentation():
    source = (
        "def f(x):\n    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION\n\n\nf\n"
    )
    student = "def f(x):\n    # Yours to write.\n    raise NotImplementedError\n\n\nf\n"
    assert student_source(source) == student
    assert solution_source(source) == "def f(x):\n    return 1\n\n\nf\n"


def test_the_table_of_coverage_is_the_one_that_the_markers_give():
    assert TABLE.read_text(encoding="utf-8") == coverage_table(), "make labs"


def test_the_guide_holds_the_table_that_the_labs_and_the_record_give():
    record = json.loads((ROOM.parent / "assets" / "benchmarks.json").read_text())
    text = GUIDE.read_text(encoding="utf-8")
    assert guide(text, record) == text, "make labs"
    for lab in LABS:
        assert f"{lab.number} [{lab.title}]({lab.slug}/{lab.student.name})" in text


@pytest.mark.slow
@pytest.mark.parametrize("lab", BUILT, ids=named)
def test_the_solution_notebook_runs_offline_and_all_that_it_shows_holds(lab, tmp_path):
    from labs.desk import run_notebook

    began = time.monotonic()
    book = run_notebook(lab.solution, tmp_path / "out.ipynb")
    seconds = time.monotonic() - began
    printed = "".join(
        output.text
        for cell in book.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    )
    print(f"{lab.slug}: {seconds:.0f} s")
    assert "✗" not in printed, printed
    source = lab.source.read_text()
    shown = len(re.findall(r"^\s*(?:check|finding)\(", source, re.M))
    assert printed.count("✓") >= shown
    assert seconds < MINUTES * 60
    kinds = {
        kind
        for cell in book.cells
        for output in cell.get("outputs", ())
        for kind in output.get("data", ())
    }
    assert {"image/png", "text/html"} <= kinds  # something to see, something to hear


@pytest.mark.slow
@pytest.mark.parametrize("lab", BUILT, ids=named)
def test_the_student_notebook_stops_at_its_first_stub(lab, tmp_path):
    from nbclient.exceptions import CellExecutionError

    from labs.desk import run_notebook

    with pytest.raises(CellExecutionError) as stopped:
        run_notebook(lab.student, tmp_path / "out.ipynb")
    first = exercises_of(lab.number)[0].name
    assert stopped.value.ename == "NotImplementedError"
    assert first in stopped.value.evalue

"""The grader: in a process of its own, with a time limit, offline, and it loses nothing."""

import json

import pytest
from conftest import etude

from labs.answers import read_answers
from labs.build import student_source
from labs.catalogue import find_lab
from labs.exercises import exercises_of
from labs.grading import grade
from studio.errors import NothingUsable, WrongUsage

LAB = find_lab(0)
FIRST, SECOND = (one.name for one in exercises_of(0)[:2])


def file_of(folder, *cells, name="mine.ipynb"):
    """A notebook of the lab's solution, then these cells."""
    cells = [
        {"cell_type": "code", "metadata": {}, "source": cell, "outputs": []}
        for cell in (LAB.source.read_text(), *cells)
    ]
    path = folder / name
    path.write_text(json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}))
    return path


def states(path, **settings):
    found = grade(path, LAB, seed=7, **settings)
    return {verdict.name: verdict for verdict in found.verdicts}


def redefined(name, body):
    return f"def {name}(*arguments, **settings):\n    {body}\n"


@pytest.mark.slow
def test_the_solution_has_all_points_and_the_stubs_none(tmp_path):
    found = grade(file_of(tmp_path), LAB, seed=7)
    assert found.points == found.points_in_all > 0
    student = tmp_path / "student.py"
    student.write_text(student_source(LAB.source.read_text()))
    found = grade(student, LAB, seed=7)
    assert found.points == 0
    assert {verdict.state for verdict in found.verdicts} == {"open"}


@pytest.mark.slow
def test_what_never_ends_is_stopped_and_the_others_are_judged(tmp_path):
    path = file_of(tmp_path, redefined(FIRST, "while True: pass"))
    found = states(path, most_seconds=3)
    assert found[FIRST].state == "wrong"
    assert "3 seconds" in found[FIRST].sentence
    assert found[SECOND].state == "right"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os; os._exit(0)", "ended before"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended before"),
        ("raise SystemExit", "ended before"),
        ("import socket; socket.create_connection(('10.0.0.1', 80))", "offline"),
        ('print(\'{"name": "x"}\' * 10**6); return 1 / 0', "ZeroDivisionError"),
        ("return undefined_name", "undefined_name"),
    ],
)
def test_what_leaves_breaks_or_calls_out_is_named_and_the_next_is_judged(
    tmp_path, body, said
):
    path = tmp_path / "mine.py"
    path.write_text(
        student_source(LAB.source.read_text()) + "\n\n" + redefined(FIRST, body)
    )
    found = states(path)
    assert found[FIRST].state == "wrong"
    assert said in found[FIRST].sentence
    assert found[SECOND].state == "open"


def test_only_definitions_are_carried_out(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import math\n"
        "%matplotlib inline\n"
        "SIZE = 3 * 4\n"
        "model = train_for_hours()\n"
        "for _ in range(10**12):\n    pass\n"
        "print('no')\n"
        "@staticmethod\ndef f(x):\n    return x\n"
    )
    text = path.read_text().replace("%matplotlib", "# %%\n%matplotlib")
    path.write_text(text)
    source = read_answers(path).source
    assert "SIZE = 3 * 4" in source
    assert "@staticmethod\ndef f(x)" in source
    assert "train" not in source
    assert "print" not in source
    assert "range" not in source


def test_a_cell_that_does_not_parse_is_named_and_the_others_count(tmp_path):
    path = file_of(tmp_path, "def broken(:\n    pass", redefined(SECOND, "return 1"))
    answers = read_answers(path)
    assert "code cell 2 does not parse" in answers.unread[0]
    assert f"def {SECOND}(*arguments" in answers.source


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("a.txt", b"x", WrongUsage, ".ipynb or .py"),
        ("a.ipynb", b"{", NothingUsable, "not a Jupyter notebook"),
        ("a.ipynb", b"[]", NothingUsable, "not a Jupyter notebook"),
        ("a.ipynb", b'{"cells": [{"cell_type": "code"}]}', NothingUsable, "not a Jup"),
        ("a.ipynb", b"[" * 100_000, NothingUsable, "not a Jupyter notebook"),
        ("a.py", b"\xff\xfe", NothingUsable, "not UTF-8"),
        ("missing.py", None, WrongUsage, "no such file"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path, name, content, error, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=said):
        read_answers(path)


def test_a_missing_function_is_said(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("x = 1\n")
    assert "no function of this name" in states(path)[FIRST].sentence


@pytest.mark.slow
def test_the_commands_lay_out_check_and_solve(tmp_path):
    done = etude("lab", "open", "0", "--no-start", cwd=tmp_path)
    copy = tmp_path / "etude-labs" / LAB.student.name
    assert done.returncode == 0, done.stderr
    assert copy.read_bytes() == LAB.student.read_bytes()
    copy.write_text(copy.read_text() + "\n")  # the learner's own work
    again = etude("lab", "open", "sequences_and_tokens", "--no-start", cwd=tmp_path)
    assert "as you left it" in again.stdout
    assert copy.read_text().endswith("\n\n")
    open_yet = etude("lab", "check", "0", cwd=tmp_path)
    assert open_yet.returncode == 1
    assert "0 of" in open_yet.stdout
    solved = etude("lab", "solve", "0", cwd=tmp_path)
    assert solved.returncode == 0, solved.stderr
    graded = etude(
        "lab", "check", "0", copy.with_name(LAB.solution.name), "--json", cwd=tmp_path
    )
    assert graded.returncode == 0
    facts = json.loads(graded.stdout)
    assert facts["points"] == facts["of"] == sum(e["of"] for e in facts["exercises"])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["check", "77"], 2, "There is no lab '77'"),
        (["check", "0"], 2, "no copy of lab 0 here yet"),
        (["check", "0", "none.ipynb"], 2, "no such file"),
        (["open", "x"], 2, "There is no lab 'x'"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, arguments, status, said):
    done = etude("lab", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

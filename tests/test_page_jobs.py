"""The page's work: one job at a time, in processes of their own, and nothing left."""

import threading
import time

import pytest

from studio.page import jobs as jobs_module
from studio.page.jobs import (
    CANCELLED,
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    Busy,
    Job,
    Jobs,
    facts_of,
)

HELP = ("models", "--json")
WRONG = ("compose", "--model", "no-such-model")


def until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def line(tmp_path, monkeypatch):
    """Jobs whose commands are Python lines, as quick as can be."""
    import subprocess
    import sys

    plain = subprocess.Popen

    def python(command, **more):
        if command[3] == "python":
            command = [sys.executable, "-c", command[4]]
        return plain(command, **more)

    monkeypatch.setattr(jobs_module.subprocess, "Popen", python)
    jobs = Jobs(tmp_path, most_waiting=3, grace=0.3)
    yield jobs
    jobs.close()


def job(code="pass", owner="me", tab="compose", **more):
    return Job((("python", code),), "Testing", tab, owner, **more)


SLOW = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); " + SLOW


def test_a_job_runs_a_real_command_and_its_facts_come_back(tmp_path):
    jobs = Jobs(tmp_path)
    try:
        one = jobs.submit(
            Job((HELP,), "Listing", "compose", on_done=lambda said: said[0])
        )
        until(lambda: one.is_over)
        assert (one.state, one.sentence) == (DONE, "")
        assert '"name": "folk"' in one.result
    finally:
        jobs.close()


def test_what_fails_says_the_command_lines_sentence(tmp_path):
    jobs = Jobs(tmp_path)
    try:
        one = jobs.submit(Job((WRONG,), "Composing", "compose"))
        until(lambda: one.is_over)
        assert one.state == FAILED
        assert one.sentence.startswith("No model is called 'no-such-model'")
    finally:
        jobs.close()


def test_one_runs_and_the_others_wait_with_their_place(line):
    jobs = [line.submit(job(SLOW)) for _ in range(4)]
    until(lambda: jobs[0].state == RUNNING)
    assert [one.state for one in jobs[1:]] == [WAITING] * 3
    assert [line.place(one) for one in jobs] == [0, 1, 2, 3]


def test_beyond_the_cap_it_says_busy_and_takes_nothing(line):
    for _ in range(4):
        line.submit(job(SLOW))
    with pytest.raises(Busy, match="one job runs and 3 wait"):
        line.submit(job())


def test_a_job_ends_and_the_next_begins(line):
    first, second = line.submit(job(SLOW)), line.submit(job("print(7)"))
    until(lambda: first.state == RUNNING)
    line.cancel(first)
    until(lambda: second.is_over)
    assert (first.state, second.state) == (CANCELLED, DONE)
    assert second.result == ["7\n"]


def test_a_waiting_job_that_is_cancelled_never_starts(line, tmp_path):
    mark = tmp_path / "ran"
    line.submit(job("import time; time.sleep(0.5)"))
    second = line.submit(job(f"open({str(mark)!r}, 'w')"))
    third = line.submit(job())
    line.cancel(second)
    until(lambda: third.is_over)
    assert (second.state, third.state) == (CANCELLED, DONE)
    assert not mark.exists()


def test_what_ignores_an_interrupt_is_killed_with_all_it_started(
    line, tmp_path, monkeypatch
):
    monkeypatch.setattr(jobs_module, "KILL_SECONDS", 0.3)
    mark = tmp_path / "pid"
    code = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\n" + STUBBORN
    )
    one = line.submit(job(code))
    until(lambda: mark.exists() and mark.read_text())
    line.cancel(one)
    until(lambda: one.is_over)
    assert one.state == CANCELLED
    child = mark.read_text()

    def is_gone():
        try:
            state = open(f"/proc/{child}/stat").read().split()[2]  # noqa: SIM115
        except FileNotFoundError:
            return True
        return state == "Z"

    until(is_gone, 5)


def test_several_commands_are_steps_and_the_first_that_fails_ends_them(line, tmp_path):
    mark = tmp_path / "third"
    dropped = []
    one = Job(
        (("python", "pass"), ("python", "import sys; sys.exit(3)"),
         ("python", f"open({str(mark)!r}, 'w')")),
        "Testing", "compose", on_drop=lambda: dropped.append(True),
    )  # fmt: skip
    line.submit(one)
    until(lambda: one.is_over)
    assert (one.state, one.step) == (FAILED, 1)
    assert not mark.exists()
    assert dropped == [True]


def test_warnings_are_kept_and_are_no_error(line):
    code = "import sys; sys.stderr.write('etude: warning: it ends early\\n')"
    one = line.submit(job(code))
    until(lambda: one.is_over)
    assert (one.state, one.warnings) == (DONE, ["it ends early"])


def test_a_closed_tab_cancels_what_its_visitor_began(line):
    line.arrive("me", "tab 1")
    one, other = line.submit(job(SLOW)), line.submit(job(owner="you"))
    until(lambda: one.state == RUNNING)
    line.leave("tab 1")
    until(lambda: other.is_over, 20)
    assert (one.state, other.state) == (CANCELLED, DONE)


def test_a_reload_or_a_second_tab_cancels_nothing(line):
    line.arrive("me", "tab 1")
    line.arrive("me", "tab 2")
    one = line.submit(job("import time; time.sleep(1.5)"))
    line.leave("tab 1")
    time.sleep(0.6)  # longer than the grace
    line.leave("tab 2")
    line.arrive("me", "tab 3")  # the reload comes back at once
    until(lambda: one.is_over)
    assert one.state == DONE


def test_a_training_outlives_the_tab(line):
    line.arrive("me", "tab")
    one = line.submit(job("import time; time.sleep(1.2)", is_lasting=True))
    line.leave("tab")
    until(lambda: one.is_over)
    assert one.state == DONE


def test_closing_ends_the_process_and_the_thread(tmp_path, line):
    one = line.submit(job(SLOW))
    until(lambda: one.state == RUNNING)
    before = threading.active_count()
    line.close()
    assert one.is_over
    assert threading.active_count() < before


def test_an_on_done_that_breaks_fails_its_job_and_not_the_line(line):
    one = line.submit(job(on_done=lambda said: 1 / 0))
    two = line.submit(job())
    until(lambda: two.is_over)
    assert (one.state, two.state) == (FAILED, DONE)
    assert "ZeroDivisionError" in one.sentence


def test_a_watcher_that_breaks_fails_its_job_and_leaves_no_process(line):
    def breaks(job):
        raise OSError("no room")

    one = line.submit(job(SLOW, while_running=breaks))
    two = line.submit(job())
    until(lambda: two.is_over)
    assert (one.state, two.state) == (FAILED, DONE)
    assert "no room" in one.sentence


def test_facts_are_the_last_line_of_json():
    assert facts_of('Loading\n{"a": 1}\n{"b": [2]}\n') == {"b": [2]}
    assert facts_of("nothing here") == {}

"""The process in which a learner's answers are judged: `python -m labs.graded`.

It reads one job as JSON on its standard input, and writes one JSON line an exercise to
the file descriptor that the job names, so that what an answer prints, or whether it
leaves the process, cannot be taken for a verdict. It has no network.
"""

import json
import linecache
import os
import sys

from labs.exercises import EXERCISES, Verdict, exercises_of, judge

NAME = "<your answers>"
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"}


def deny_network(event, arguments):
    """An audit hook (PEP 578): a lab needs no network."""
    if event in NETWORK and not _is_local(arguments):
        raise PermissionError("A lab is offline: no connection is made from it.")


def _is_local(arguments):
    """Whether a socket's address is a path of this machine (Unix sockets)."""
    return len(arguments) == 2 and isinstance(arguments[1], str | bytes)


def main():
    job = json.load(sys.stdin)
    results = os.fdopen(job["results"], "w", buffering=1)
    exercises_of(job["lab"])
    sys.addaudithook(deny_network)
    names, failed = define(job["source"])
    tell(results, loaded=True)
    for name in job["exercises"]:
        tell(results, begun=name)
        verdict = judge_by_name(EXERCISES[name], names, failed, job["seed"])
        tell(results, name=name, state=verdict.state, sentence=verdict.sentence)


def tell(results, **facts):
    results.write(json.dumps(facts) + "\n")
    results.flush()


def define(source):
    """Carry out definitions, one after the other.

    Returns:
        (names -> values, sentences of what could not be carried out).
    """
    import ast

    linecache.cache[NAME] = (len(source), None, source.splitlines(True), NAME)
    names, failed = {"__name__": "answers"}, []
    for node in ast.parse(source).body:
        part = ast.Module([node], [])
        try:
            exec(compile(part, NAME, "exec"), names)
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}")
    return names, failed


def judge_by_name(exercise, names, failed, seed):
    answer = names.get(exercise.name)
    if not callable(answer):
        because = f" ({failed[0]})" if failed else ""
        sentence = f"there is no function of this name in the file{because}"
        return Verdict(exercise.name, "wrong", sentence)
    return judge(exercise, answer, seed)


if __name__ == "__main__":
    main()

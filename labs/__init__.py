"""The course: labs from a coin toss to a model of one's own.

Each lab is one source, ``NN_name/lab.py``, of which the notebooks are made (`build`).
What its exercises must satisfy stands in ``checks/labNN.py``; what its cells show and
play comes from `figures` and `hearing`.
"""

import os

# No log of TensorFlow's in a cell: what it prints of oneDNN no level silences.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def check(answer, *, seed=0):
    """Judge a function by the law that has its name: see `exercises.check`."""
    from labs import exercises  # here, so that `etude --help` need not load NumPy

    exercises.check(answer, seed=seed)


def finding(sentence, holds, *, covers=()):
    """State what a measurement showed: see `exercises.finding`."""
    from labs import exercises

    exercises.finding(sentence, holds, covers=covers)

"""What can be said of a score, in numbers."""

import numpy as np


def repeated_bars(score):
    """How much of a piece has been heard before, bar by bar.

    Args:
        score: `Score`.

    Returns:
        (int, int): how many bars repeat the notes of an earlier one exactly, and how
        many bars with at least two notes there are. The first bar, often a pickup,
        counts for neither.
    """
    lines = score.bar_ticks()
    notes = score.notes
    bar_of = np.searchsorted(lines, notes["start"], side="right") - 1
    seen, repeated, bars = set(), 0, 0
    for bar in range(1, len(lines) - 1):
        inside = notes[bar_of == bar]
        if len(inside) < 2:
            continue
        shape = (inside["start"] - lines[bar]).tobytes() + inside["pitch"].tobytes()
        repeated += shape in seen
        bars += 1
        seen.add(shape)
    return repeated, bars

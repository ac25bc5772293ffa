"""Bars on a grid: where each one begins, whatever the metres of a score do."""

from functools import lru_cache

import numpy as np

from data_pipelines.score import Metre

STEPS_PER_QUARTER = 12
METRES = (
    None, "1/8", "1/4", "2/4", "3/4", "4/4", "5/4", "6/4", "2/2", "3/2",
    "3/8", "4/8", "5/8", "6/8", "7/8", "9/8", "12/8",
)  # fmt: skip
STEPS_IN_BAR = np.array(
    [48] + [48 * int(b) // int(u) for b, u in (m.split("/") for m in METRES[1:])]
)
METRE_OF_STEPS = {
    n: int(np.argmax(STEPS_IN_BAR[1:] == n)) + 1 for n in STEPS_IN_BAR.tolist()
}
MOST_EMPTY_BARS = 16  # in a row: so that no stream is silence alone


def to_steps(ticks, ticks_per_quarter):
    """The nearest step of each tick, of two the later: int, or int64 array."""
    double = 2 * ticks_per_quarter
    return (2 * STEPS_PER_QUARTER * ticks + ticks_per_quarter) // double


def spans_of(score):
    """Where bars of one metre begin, each on a bar line.

    A metre that is not listed is laid in bars of one as long, else of the longest that
    goes into it evenly, else of 4/4. One that changes within a bar ends it there if a
    listed metre has the length of what is left; else it waits for the next bar line.

    Args:
        score: `Score`.

    Returns:
        list of (step, index of `METRES`), and how many metres are not told as they stand.
    """
    spans, moved = [], 0

    def begin_span(step, metre):
        if spans and spans[-1][0] == step:  # the one before had no bar
            spans.pop()
        spans.append((step, metre))

    if not score.metres or score.metres[0].tick > 0:
        spans.append((0, 0))
    for metre in score.metres:
        index, is_listed = _told_as(metre.beats, metre.beat_unit)
        step = named = to_steps(metre.tick, score.ticks_per_quarter)
        left = 0
        if spans:
            since, before = spans[-1]
            step = max(step, since)
            bar = int(STEPS_IN_BAR[before])
            left = (step - since) % bar
            if left in METRE_OF_STEPS:
                begin_span(step - left, METRE_OF_STEPS[left])
            elif left:
                step += bar - left
        begin_span(step, index)
        moved += bool(left) or not is_listed or step != named
    return spans, moved


@lru_cache
def _told_as(beats, beat_unit):
    """The index of the metre that stands for one, and whether it is the same."""
    name = f"{beats}/{beat_unit}"
    if name in METRES:
        return METRES.index(name), True
    steps, rest = divmod(4 * STEPS_PER_QUARTER * beats, beat_unit)
    for length in sorted(METRE_OF_STEPS, reverse=True):
        if not rest and length >= STEPS_PER_QUARTER and steps % length == 0:
            return METRE_OF_STEPS[length], False
    return METRES.index("4/4"), False


def in_bars(step, spans):
    """The bar of each step and the position in it, and the bar of each span.

    Args:
        step: int64 array (N,).
        spans: list of (step, index of `METRES`), from `spans_of`.

    Returns:
        int64 arrays (N,), (N,), (spans,), and (spans,) of the metres' indices.
    """
    first, metre = np.array(spans).T
    length = STEPS_IN_BAR[metre]
    if len(spans) == 1:  # nearly all pieces
        return *np.divmod(step, length[0]), first, metre
    span_bar = np.concatenate([[0], np.cumsum(np.diff(first) // length[:-1])])
    span = np.searchsorted(first, step, side="right") - 1
    bar, position = np.divmod(step - first[span], length[span])
    return bar + span_bar[span], position, span_bar, metre


def without_long_silence(bar, *others):
    """Bars renumbered so that no more than `MOST_EMPTY_BARS` in a row hold no note.

    Args:
        bar: int64 array (N,), ascending, the bar of each note; N at least 1.
        others: int64 arrays; what stands in a bar left out comes to the next one kept.

    Returns:
        The same arrays renumbered, and how many bars were left out.
    """
    between = np.concatenate([bar[:1], bar[1:] - bar[:-1] - 1])
    if between.max() <= MOST_EMPTY_BARS:
        return bar, *others, 0
    left_out = np.cumsum(np.maximum(between - MOST_EMPTY_BARS, 0))
    moved = bar - left_out
    earliest = np.concatenate([[0], moved + 1])
    results = [moved]
    for other in others:
        note = np.searchsorted(bar, other)  # the first one in that bar or later
        shift = left_out[np.minimum(note, len(bar) - 1)]
        results.append(np.maximum(other - shift, earliest[note]))
    return *results, int(left_out[-1])


def last_told(bar, metre, last_bar):
    """Of several metres in a bar the last one; none after `last_bar`, none twice."""
    if len(bar) == 1 and bar[0] == 0:  # nearly all pieces
        return bar, metre
    told = (np.diff(bar, append=-1) != 0) & (bar <= last_bar)
    bar, metre = bar[told], metre[told]
    changes = np.diff(metre, prepend=-1) != 0
    return bar[changes], metre[changes]


def laid_out(metre_bar, metre, bars):
    """The first step and the length in steps of each bar: int64 arrays (bars,)."""
    place = np.zeros(bars, dtype=np.int64)
    place[metre_bar] = np.arange(1, len(metre_bar) + 1)
    steps = STEPS_IN_BAR[np.concatenate([[0], metre])[np.maximum.accumulate(place)]]
    return np.cumsum(steps) - steps, steps


def metres_named(ticks, metres):
    """The `Metre`s at these ticks, from their indices; index 0 names none."""
    return tuple(
        Metre(tick, *map(int, METRES[index].split("/")))
        for tick, index in zip(ticks.tolist(), metres.tolist(), strict=True)
        if METRES[index]
    )

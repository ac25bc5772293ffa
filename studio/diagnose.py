"""What is wrong with a training run or with what was generated, in words."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from data_pipelines.piano_roll import pitch_name

OVERFITTING = 0.03  # the held-out loss has risen by this share above its best
ONE_NOTE = 0.8  # share of all notes that are one pitch
LOOP_TOKENS = 8  # the shortest pattern that counts as a loop
LOOP_TIMES = 4  # when it comes so often in a row
LOOP_NOTES = 2  # and holds so many notes: a long one alone is no loop
LOOP_SHARE = 0.3  # and fills so much of the piece: real music has its ostinatos
LOOP_BARS = 4  # and is no longer than this: verses of a song come again
LONGEST_PATTERN = 2048  # tokens
FEW = 8  # notes, below which nothing is said of how they are spread
# A silence is named that is longer than all three; songs have their interludes.
SILENT_BARS, SILENT_SECONDS, SILENT_SHARE = 2, 4.0, 0.2
SPARSE = 1.0  # notes a bar
EARLY = 0.5  # of the bars that were asked for
# A longer run of the training music is named. In 200 held-out tunes of the shipped
# model's corpus the longest had 29 notes, and one in a hundred had 25.
COPIED_NOTES = 32
RANGES = {"melody": (36, 103), "chorale": (33, 91)}  # else a piano's
PIANO = (21, 108)


@dataclass(frozen=True)
class Fault:
    """Something wrong: its kind, the bar it begins in (from 1; 0: all), a sentence."""

    kind: str
    bar: int
    text: str


def of_training(history, floors, plan):
    """What the course of a run suggests: a list of sentences, empty if all is well.

    Args:
        history: list of dict, the rows of `Progress.history`.
        floors: `studio.floors.Floors`.
        plan: `audio_models.training.Plan`.
    """
    told = []
    if not history:
        return told
    held_out = [row["held_out"] for row in history]
    best = int(np.argmin(held_out))
    last = history[-1]
    if held_out[-1] > (1 + OVERFITTING) * held_out[best] and (
        last["loss"] < history[best]["loss"]
    ):
        told.append(
            f"Overfitting: the held-out loss rose from {held_out[best]:.3f} to "
            f"{held_out[-1]:.3f} while the training loss fell. The best weights were "
            "kept; more music, or fewer --epochs, would help."
        )
    if held_out[best] > floors.unigram:
        told.append(
            f"It has learnt less than how often each note comes ({floors.unigram:.3f}): "
            "give it more --minutes, or another --learning-rate."
        )
    elif held_out[best] > floors.ngram:
        cause = "more --minutes" if best == len(history) - 1 else "more music"
        told.append(
            f"Counting does better ({floors.ngram:.3f}, n-gram): it needs {cause}."
        )
    if len(history) > 2 and best == len(history) - 1 and plan.minutes:
        told.append("It was still getting better: more --minutes are worth it.")
    return told


def of_piece(ids, tokenizer, copied=None, *, bars=None):
    """What is wrong with a generated piece: a list of sentences. See `faults`."""
    return [f.text for f in faults(ids, tokenizer, copied=copied, bars=bars)]


def faults(ids, tokenizer, *, copied=None, bars=None):
    """What is wrong with a generated piece, where, and what to do about it.

    Args:
        ids: int array (T,), from BOS on.
        tokenizer: whose they are, one of scores.
        copied: `originality.Copied` of the piece, where the training music is at hand.
        bars: int, how many were asked for; or None.

    Returns:
        list of `Fault`, empty if all is well.
    """
    ids = np.asarray(ids)
    score = tokenizer.decode(ids)
    if not len(score):
        text = "It is silent: no note was written. Raise --temperature."
        return [Fault("silence", 0, text)]
    found = [ends] if (ends := _early_end(score, bars)) else []
    if collapse := _one_note(score):
        found.append(collapse)
    elif loop := _loop(ids, tokenizer, score):
        found.append(loop)
    found += _gaps(score)
    found += _extremes(score, RANGES.get(tokenizer.name, PIANO))
    if copied is not None and copied.notes > COPIED_NOTES:
        found.append(_copied(copied, score))
    return found


def _one_note(score):
    pitches = score.notes["pitch"].tolist()
    (pitch, count), *_ = Counter(pitches).most_common(1)
    if len(pitches) < FEW or count < ONE_NOTE * len(pitches):
        return None
    bar = _bar_at(score, score.notes["start"][pitches.index(pitch)])
    return Fault(
        "one note",
        bar,
        f"One note makes up {100 * count / len(pitches):.0f}% of it, "
        f"{pitch_name(pitch)}, from bar {bar} on: raise --temperature.",
    )


def _loop(ids, tokenizer, score):
    struck = getattr(tokenizer, "notes_in", tokenizer.is_note)(ids)
    until = np.r_[0, np.cumsum(struck)]  # (T + 1,), notes before each token
    starts = _in_bars(score, score.notes["start"].astype(np.int64))

    def is_loop(start, length, times):
        first, then = until[start], until[start + length]
        if then - first < LOOP_NOTES or length * times < LOOP_SHARE * len(ids):
            return False
        return then < len(starts) and starts[then] - starts[first] <= LOOP_BARS

    found = longest_loop(ids, counts=is_loop)
    if found is None:
        return None
    start, length, times = found
    bar = _bar_at(score, score.notes["start"][until[start]])
    return Fault(
        "loop",
        bar,
        f"It loops: {length} tokens, {times} times in a row from bar {bar} on. "
        "Raise --temperature or --top-p.",
    )


def _gaps(score):
    """Silence before or between the notes, and too few of them: at most one of each."""
    starts = score.notes["start"].astype(np.int64)
    ends = np.maximum.accumulate(starts + score.notes["duration"])
    before = np.r_[0, ends[:-1]]
    until = np.maximum(starts, before)
    bars = len(score.bar_ticks()) - 1
    seconds = score.seconds_at(until) - score.seconds_at(before)
    silent = _in_bars(score, until) - _in_bars(score, before)  # before each note
    worst = int(np.argmax(silent))
    least = max(SILENT_BARS, SILENT_SHARE * bars)
    found = []
    if silent[worst] > least and seconds[worst] > SILENT_SECONDS:
        bar = _bar_at(score, before[worst])
        found.append(
            Fault(
                "silence",
                bar,
                f"It is silent for {silent[worst]:.1f} bars from bar {bar} on: take "
                "another --seed, or a lower --temperature.",
            )
        )
    if bars >= 4 and len(score) < SPARSE * bars:
        found.append(
            Fault(
                "sparse",
                0,
                f"It is sparse: {len(score)} notes in {bars} bars. Take another --seed, "
                "or raise --temperature.",
            )
        )
    return found


def _early_end(score, bars):
    there = len(score.bar_ticks()) - 1
    if bars is None or there > EARLY * bars or bars < 2:
        return None
    return Fault(
        "early end",
        there,
        f"It ends early, in bar {there} of the {bars} asked for: take another --seed, "
        "or fewer --bars.",
    )


def _extremes(score, allowed):
    low, high = allowed
    tonal = score.notes[~score.is_drum_note()]
    outside = tonal[(tonal["pitch"] < low) | (tonal["pitch"] > high)]
    if not len(outside):
        return []
    bar = _bar_at(score, outside["start"][0])
    pitch = pitch_name(int(outside["pitch"][0]))
    return [
        Fault(
            "range",
            bar,
            f"{len(outside)} of its notes lie outside {pitch_name(low)} to "
            f"{pitch_name(high)}, the first, {pitch}, in bar {bar}: lower "
            "--temperature or --top-p.",
        )
    ]


def _copied(copied, score):
    from data_pipelines.measures import voice_lines

    lines = voice_lines(score)
    bar = 1
    if copied.line < len(lines):
        step = lines[copied.line].steps[copied.first]
        bar = _bar_at(score, step * score.ticks_per_quarter // 4)
    of = f" (piece {copied.source + 1} of it)" if copied.source >= 0 else ""
    return Fault(
        "copying",
        bar,
        f"{copied.notes} notes in a row from bar {bar} on stand in the training "
        f"music{of}, in this key or another: take another --seed, or train on more.",
    )


def _in_bars(score, ticks):
    """How many bars are over at some ticks, float64."""
    lines = score.bar_ticks()
    return np.interp(ticks, lines, np.arange(len(lines)))


def _bar_at(score, tick):
    return max(1, int(np.searchsorted(score.bar_ticks(), tick, side="right")))


def longest_loop(ids, *, least=LOOP_TOKENS, times=LOOP_TIMES, counts=None):
    """The longest stretch that is one pattern over and over.

    Args:
        ids: int array (T,).
        least: int, the shortest pattern that counts. times: int, how often in a row.
        counts: function of (start, length, times) that says whether a stretch is meant;
            None: all are.

    Returns:
        (start, length of the pattern, times in a row), or None.
    """
    ids, found, best = np.asarray(ids), None, 0
    for length in range(least, min(len(ids) // times, LONGEST_PATTERN) + 1):
        same = np.r_[False, ids[length:] == ids[:-length], False]
        edges = np.flatnonzero(np.diff(same.astype(np.int8)))
        begins, ends = edges[::2], edges[1::2]
        enough = ends - begins > max(best, (times - 1) * length - 1)
        for begin, end in zip(
            begins[enough].tolist(), ends[enough].tolist(), strict=True
        ):
            in_a_row = 1 + (end - begin) // length
            if end - begin > best and (
                counts is None or counts(begin, length, in_a_row)
            ):
                found, best = (begin, length, in_a_row), end - begin
    return found

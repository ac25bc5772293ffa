"""What is wrong with a training run or with what was generated, in words."""

from collections import Counter

import numpy as np

OVERFITTING = 0.03  # the held-out loss has risen by this share above its best
ONE_NOTE = 0.8  # share of all notes that are one pitch
LOOP_TOKENS = 8  # the shortest pattern that counts as a loop
LOOP_TIMES = 4  # when it comes so often in a row


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


def of_piece(ids, tokenizer):
    """What is wrong with a generated piece: a list of sentences.

    Args:
        ids: int array (T,). tokenizer: whose they are.
    """
    ids = np.asarray(ids)
    notes = ids[tokenizer.is_note(ids)]
    if not len(notes):
        return ["It is silent: no note was written. Raise --temperature."]
    told = []
    (pitch, count), *_ = Counter(notes.tolist()).most_common(1)
    if len(notes) >= 8 and count >= ONE_NOTE * len(notes):
        told.append(
            f"One note makes up {100 * count / len(notes):.0f}% of it "
            f"({tokenizer.vocabulary.decode(pitch)}): raise --temperature."
        )
    elif (loop := longest_loop(ids)) is not None:
        start, length, times = loop
        told.append(
            f"It loops: {length} tokens, {times} times in a row from token {start} on. "
            "Raise --temperature or --top-p."
        )
    return told


def longest_loop(ids, *, least=LOOP_TOKENS, times=LOOP_TIMES):
    """The longest stretch that is one pattern over and over.

    Args:
        ids: int array (T,).
        least: int, the shortest pattern that counts. times: int, how often in a row.

    Returns:
        (start, length of the pattern, times in a row), or None.
    """
    ids, found, best = np.asarray(ids), None, 0
    for length in range(least, len(ids) // times + 1):
        same = np.r_[False, ids[length:] == ids[:-length], False]
        edges = np.flatnonzero(np.diff(same.astype(np.int8)))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            count = 1 + (end - begin) // length
            if count >= times and end - begin > best:
                found, best = (int(begin), length, int(count)), end - begin
    return found

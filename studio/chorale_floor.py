"""The floor of the chorale benchmarks: counting, with each voice's context laid out.

An n-gram over the serialised voices spends its context on what other voices did; here
the context of a note is a chain of questions, the most telling first, and counts of the
longer chains lean on those of the shorter (Witten & Bell 1991), as in `audio_models.ngram`.
"""

import numpy as np

VOICES = 4
NOTHING = -2  # before the first frame
OLDEST = 15  # frames since a note began, counted up to here
KINDS = 50  # what there is to choose from, when nothing is known
# Each link of the chain adds these to what is asked; intervals are from the voice's own
# last note, so that every key counts for all.
CHAIN = (
    ("own",),
    ("beat", "own age"),
    ("moved",),
    ("above",),
    ("before",),
    ("own last",),
    ("ages",),
    ("bar",),
)


class VoiceNGram:
    """Counts of frames of four voices, -1 for a rest.

    Example:
    >>> frames = np.array([[67, 64, 60, 48], [67, 65, 62, 50]])
    >>> floor = VoiceNGram().fit([frames])
    >>> floor.log_probabilities(frames).shape  # orders, frames, voices
    (9, 2, 4)
    """

    def fit(self, pieces):
        """Count. Args: pieces, a list of int arrays (T, 4). Returns: self."""
        self._tables = []
        for contexts, grams in _keys(pieces):
            gram, first, count = np.unique(grams, return_index=True, return_counts=True)
            context, total = np.unique(contexts, return_counts=True)
            _, kinds = np.unique(contexts[first], return_counts=True)
            self._tables.append((gram, count, context, total, kinds))
        return self

    def log_probabilities(self, frames):
        """What each note of a piece was worth.

        Args:
            frames: int array (T, 4).

        Returns:
            float64 array (orders, T, 4), nats, one row for each length of the chain.
        """
        p, rows = np.full(frames.size, 1 / KINDS), []
        for (contexts, grams), table in zip(_keys([frames]), self._tables, strict=True):
            gram, count, context, total, kinds = table
            seen, totals, kind = (
                _look_up(keys, values, wanted)
                for keys, values, wanted in (
                    (gram, count, grams),
                    (context, total, contexts),
                    (context, kinds, contexts),
                )
            )
            leaning = (seen + kind * p) / np.maximum(totals + kind, 1)
            p = np.where(totals > 0, leaning, p)
            rows.append(np.log(p))
        return np.stack(rows).reshape(-1, *frames.shape)


def _keys(pieces):
    """For each length of the chain: 64-bit keys of the context, and of it and the note."""
    columns = [_questions(np.asarray(frames)) for frames in pieces]
    asked = {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
    context = _hash(asked["voice"], np.zeros(1, np.uint64))
    yield context, _hash(asked["note"], context)
    for link in CHAIN:
        for question in link:
            for column in np.atleast_2d(asked[question].T):
                context = _hash(column, context)
        yield context, _hash(asked["note"], context)


def _questions(frames):
    """What is asked of each note: name -> int array (T * 4,), or (T * 4, answers)."""
    length = len(frames)
    before = np.concatenate([np.full((1, VOICES), NOTHING), frames[:-1]])
    age, last = np.zeros_like(before), np.full_like(before, NOTHING)
    for t in range(1, length):
        held = before[t] == before[t - 1]
        age[t] = np.where(held, age[t - 1] + 1, 0)
        last[t] = np.where(held, last[t - 1], before[t - 1])
    age = np.minimum(age, OLDEST)
    highest = np.maximum(before.max(axis=1), 60 * (before.max(axis=1) < 0))
    place = np.arange(length)
    answers = []
    for voice in range(VOICES):
        own = np.where(before[:, voice] >= 0, before[:, voice], highest)

        def interval(pitch, own=own):
            own = own.reshape(-1, *[1] * (pitch.ndim - 1))
            return np.where(pitch >= 0, pitch - own + 200, pitch + 10)

        above = np.arange(VOICES) < voice
        answers.append(
            {
                "voice": np.full(length, voice),
                "note": interval(frames[:, voice]),
                "own": interval(before[:, voice]),
                "beat": place % 4,
                "own age": age[:, voice],
                "moved": np.where(above, frames != before, 0),
                "above": np.where(above, interval(frames), 0),
                "before": interval(before),
                "own last": interval(last[:, voice]),
                "ages": age,
                "bar": place % 16,
            }
        )
    return {
        name: np.stack([a[name] for a in answers], axis=1).reshape(
            VOICES * length, *answers[0][name].shape[1:]
        )
        for name in answers[0]
    }


def _hash(answers, context):
    with np.errstate(over="ignore"):
        keys = context ^ answers.astype(np.uint64)
        keys = keys * np.uint64(0x9E3779B97F4A7C15)
        keys = (keys ^ (keys >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        return keys ^ (keys >> np.uint64(32))


def _look_up(keys, values, wanted):
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, values[index], 0)

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
    starts, pitches = notes["start"].astype(np.int64), notes["pitch"]
    edges = np.searchsorted(starts, lines)
    seen, repeated, bars = set(), 0, 0
    for bar in range(1, len(lines) - 1):
        first, last = edges[bar], edges[bar + 1]
        if last - first < 2:
            continue
        inside = slice(first, last)
        shape = (starts[inside] - lines[bar]).tobytes() + pitches[inside].tobytes()
        repeated += shape in seen
        bars += 1
        seen.add(shape)
    return repeated, bars


def likely_key(score):
    """The key that the notes suggest: (sharps, is_minor).

    Pitch classes, weighted by duration, are matched with the profiles of
    Krumhansl & Kessler 1982.
    """
    notes = score.notes[~score.is_drum_note()]
    weights = np.bincount(notes["pitch"] % 12, notes["duration"], minlength=12)
    if not weights.any() or weights.std() == 0:
        return 0, False
    is_minor, tonic = divmod(int(np.argmax(_KEY_PROFILES @ weights)), 12)
    sharps = ((tonic + (3 if is_minor else 0)) * 7 + 5) % 12 - 5
    return sharps, bool(is_minor)


def _key_profiles():
    """The 24 profiles, each of mean 0 and deviation 1: (24, 12), major ones first."""
    major = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88]
    minor = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17]
    rows = [np.roll(mode, tonic) for mode in (major, minor) for tonic in range(12)]
    rows = np.array(rows) - np.mean(rows, axis=1, keepdims=True)
    return rows / rows.std(axis=1, keepdims=True)


_KEY_PROFILES = _key_profiles()
TONICS = (
    "Fb", "Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#",
    "C#", "G#", "D#", "A#", "E#", "B#",
)  # fmt: skip


def key_name(sharps, is_minor):
    """A key signature in words: 1 sharp is G major, or E minor."""
    tonic = TONICS[sharps + (11 if is_minor else 8)]
    return f"{tonic} {'minor' if is_minor else 'major'}"

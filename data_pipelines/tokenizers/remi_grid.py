"""A score's notes on the grid of REMI, in the order of its tokens, and what that costs.

Here goes most of the time that tokenizing takes: few NumPy calls, on one row each.
"""

import numpy as np

from data_pipelines.tokenizers.bars import STEPS_PER_QUARTER, to_steps

# Each step up to four quarters, then sixteenths, quarters and half notes; to 8 bars.
DURATIONS = np.r_[1:49, 51:97:3, 108:193:12, 216:385:24]
# The bin of each number of steps: the nearest one, of two the longer.
BIN_OF_STEPS = np.searchsorted(
    (DURATIONS[:-1] + DURATIONS[1:]) / 2, np.arange(DURATIONS[-1] + 1), side="right"
)
BINS_PER_OCTAVE, BIN_OF_120 = 12, 28
TEMPOS = np.round(120 * 2 ** ((np.arange(48) - BIN_OF_120) / BINS_PER_OCTAVE), 2)
VELOCITY_BINS, BIN_WIDTH = 32, 4
DRUMS = 128  # after the programs, where notes are put in order
VELOCITY_ERROR = np.array([1, 0, 1, 2])  # from the middle, for each place in a bin
# A note is sorted as one number: step, voice, pitch, duration, velocity, in so many bits.
VOICE_BITS, PITCH_BITS, DURATION_BITS, VELOCITY_BITS = 8, 7, 7, 5


def notes_on_grid(score):
    """The notes in the order of tokens, equal ones once, and what it cost.

    Args:
        score: `Score` of at least one note.

    Returns:
        int64 array (N,), each note packed in a number that `unpacked` takes apart, and
        the fields of a `Cost` as a dict.

    Raises:
        ValueError: if a track has a program outside 0..127.
    """
    notes, per_quarter = score.notes, score.ticks_per_quarter
    for track in score.tracks:
        if not (track.is_drum or 0 <= track.program <= 127):
            raise ValueError(f"A program must be in 0..127. Received: {track.program}")
    voices = np.array([DRUMS if t.is_drum else t.program for t in score.tracks])
    begin = notes["start"].astype(np.int64)
    end = begin + notes["duration"]
    step = to_steps(begin, per_quarter)
    length = to_steps(end, per_quarter)
    length -= step
    bins = BIN_OF_STEPS[np.minimum(np.maximum(length, 1), DURATIONS[-1])]
    loudness = notes["velocity"] - 1
    # Place, program, pitch; of equal ones the longest first, of these the loudest.
    rows = step << VOICE_BITS
    rows |= voices[notes["track"]]
    for bits, column in (
        (PITCH_BITS, notes["pitch"]),
        (DURATION_BITS, len(DURATIONS) - 1 - bins),
        (VELOCITY_BITS, VELOCITY_BINS - 1 - loudness // BIN_WIDTH),
    ):
        rows <<= bits
        rows |= column
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    is_kept = differs_from_last(rows >> (DURATION_BITS + VELOCITY_BITS))

    onset_error = _seconds_apart(score, begin, step)
    duration_error = _seconds_apart(score, end, step + DURATIONS[bins])
    velocity_error = VELOCITY_ERROR[loudness % BIN_WIDTH]
    kept = np.count_nonzero(is_kept)
    if kept < len(notes):
        lost = order[~is_kept]
        rows = rows[is_kept]
        for error in (onset_error, duration_error, velocity_error):
            error[lost] = 0
    return rows, {
        "notes": len(notes),
        "lost": len(notes) - kept,
        "onset_error_ms": 1000 * float(onset_error.sum()) / kept,
        "worst_onset_error_ms": 1000 * float(onset_error.max()),
        "duration_error_ms": 1000 * float(duration_error.sum()) / kept,
        "velocity_error": float(velocity_error.sum()) / kept,
    }


def _seconds_apart(score, ticks, steps):
    """How far the steps are from the ticks that they stand for: float64 array (N,)."""
    apart = score.seconds_at(steps * (score.ticks_per_quarter / STEPS_PER_QUARTER))
    apart -= score.seconds_at(ticks)
    return np.abs(apart, out=apart)


def unpacked(rows):
    """Steps, voices (programs, or `DRUMS`), pitches, bins of duration, of velocity."""
    velocity = VELOCITY_BINS - 1 - (rows & ((1 << VELOCITY_BITS) - 1))
    rows = rows >> VELOCITY_BITS
    duration = len(DURATIONS) - 1 - (rows & ((1 << DURATION_BITS) - 1))
    rows >>= DURATION_BITS
    pitch = rows & ((1 << PITCH_BITS) - 1)
    rows >>= PITCH_BITS
    return rows >> VOICE_BITS, rows & ((1 << VOICE_BITS) - 1), pitch, duration, velocity


def tempo_changes(score, step, onsets):
    """Where the tempo that notes start in is another one, in bins of `TEMPOS`.

    Args:
        score: `Score`.
        step: int64 array (N,), ascending, when each note starts.
        onsets: int64 array, the notes that start later than those before them.

    Returns:
        The notes before which a tempo is told and the bins, int64 arrays; and the mean
        error at all onsets that have a tempo, in percent.
    """
    if not score.tempos:
        return onsets[:0], onsets[:0], 0.0
    ticks = np.array([tempo.tick for tempo in score.tempos])
    qpm = np.array([tempo.qpm for tempo in score.tempos])
    bins = np.rint(BINS_PER_OCTAVE * np.log2(qpm / 120)).astype(np.int64) + BIN_OF_120
    bins = np.minimum(np.maximum(bins, 0), len(TEMPOS) - 1)
    named = to_steps(ticks, score.ticks_per_quarter)
    tempo = np.searchsorted(named, step[onsets], side="right") - 1
    bin_at = np.where(tempo < 0, -1, bins[tempo])
    told = np.flatnonzero(differs_from_last(bin_at) & (bin_at >= 0))
    error = np.abs(TEMPOS[bins] / qpm - 1)[tempo[tempo >= 0]]
    percent = 100 * float(error.mean()) if len(error) else 0.0
    return onsets[told], bin_at[told], percent


def differs_from_last(values):
    """Which values are other ones than those before them: the first one is."""
    differs = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs

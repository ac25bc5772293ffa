"""What can be said of a score, in numbers."""

from dataclasses import dataclass

import numpy as np

from data_pipelines.tokenizers.sixteenths import to_steps


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


NO_KEY = "no key"  # what drums alone are in


def key_in_words(score):
    """The likely key of a score in words; `NO_KEY` where only drums are struck."""
    if score.is_drum_note().all():
        return NO_KEY
    return key_name(*likely_key(score))


GROOVE_PLACES = 64  # onset places in a bar, as MusDr has them
MAJOR = (0, 2, 4, 5, 7, 9, 11)
WIDEST_INTERVAL = 12  # semitones; wider leaps share one place at either end
# Note lengths in quarters, from a thirty-second to two whole notes; triplets among them.
DURATIONS = (
    (1 / 8, "1/32"), (1 / 6, "1/16 triplet"), (1 / 4, "1/16"), (1 / 3, "1/8 triplet"),
    (1 / 2, "1/8"), (2 / 3, "1/4 triplet"), (3 / 4, "dotted 1/8"), (1, "1/4"),
    (3 / 2, "dotted 1/4"), (2, "1/2"), (3, "dotted 1/2"), (4, "1/1"), (8, "longer"),
)  # fmt: skip


def pitch_class_histogram(score):
    """How long each pitch class sounds: float64 array (12,), in ticks; drums left out."""
    notes = score.notes[~score.is_drum_note()]
    return np.bincount(notes["pitch"] % 12, notes["duration"], minlength=12)


def duration_histogram(score):
    """How many notes last about as long as each of `DURATIONS`: float64 array (13,).

    Of two the nearer in ratio is meant. Drums are left out.
    """
    notes = score.notes[~score.is_drum_note()]
    quarters = notes["duration"] / score.ticks_per_quarter
    names = np.log([length for length, _ in DURATIONS])
    nearest = np.abs(np.log(quarters)[:, None] - names).argmin(axis=1)
    return np.bincount(nearest, minlength=len(DURATIONS)).astype(float)


def interval_histogram(score):
    """How often the tune moves by each interval: float64 array (27,).

    Place 13 is a repeated note, 13 + k is k semitones up; the first and the last are
    leaps of more than an octave. Each track's upper line is counted (`voice_lines`).
    """
    widest = WIDEST_INTERVAL + 1
    counts = np.zeros(2 * widest + 1)
    for line in voice_lines(score, lowest=False):
        steps = np.clip(np.diff(line.pitches), -widest, widest)
        counts += np.bincount(steps + widest, minlength=len(counts))
    return counts


@dataclass(frozen=True)
class VoiceLine:
    """One line of a piece: pitches int64 (N,), and the sixteenth each begins in (N,)."""

    pitches: np.ndarray
    steps: np.ndarray


def voice_lines(score, *, lowest=True):
    """The lines that an ear follows: of each track its highest notes, and its lowest.

    Args:
        score: `Score`. Drums have no line.
        lowest: bool, also the lowest notes of a track in which notes begin together.

    Returns:
        list of `VoiceLine`, each of at least one note; one note a sixteenth.
    """
    lines = []
    for number, track in enumerate(score.tracks):
        notes = score.track_notes(number)
        if track.is_drum or not len(notes):
            continue
        steps = to_steps(notes["start"], score.ticks_per_quarter)
        pitches = notes["pitch"].astype(np.int64)
        first = np.flatnonzero(np.diff(steps, prepend=-1))
        top = np.maximum.reduceat(pitches, first)
        lines.append(VoiceLine(top, steps[first]))
        bottom = np.minimum.reduceat(pitches, first)
        if lowest and not np.array_equal(top, bottom):
            lines.append(VoiceLine(bottom, steps[first]))
    return lines


def entropy_bits(histogram):
    """The entropy of some counts, in bits; NaN where nothing was counted."""
    counts = np.asarray(histogram, dtype=float)
    if not counts.sum():
        return float("nan")
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0  # no minus zero


def scale_share(score):
    """The share of all sounding time in the best of the twelve diatonic scales."""
    histogram = pitch_class_histogram(score)
    if not histogram.sum():
        return float("nan")
    scales = [np.roll(histogram, -tonic)[list(MAJOR)].sum() for tonic in range(12)]
    return float(max(scales) / histogram.sum())


def groove_consistency(score):
    """How alike the rhythms of two bars are, over all pairs of bars; in 0..1.

    A bar is `GROOVE_PLACES` places, each with an onset or without; two bars are as alike
    as their places agree. NaN with fewer than two bars.

    Reference:
        Wu & Yang 2020, The Jazz Transformer on the Front Line (MusDr), section 4.2,
        "grooving pattern similarity". As there all pairs count. Places are parts of a
        bar, whatever its metre.
    """
    bar, place = _onset_places(score)
    count = len(score.bar_ticks()) - 1
    if count < 2 or not len(bar):
        return float("nan")
    table = np.zeros((count, GROOVE_PLACES))
    table[bar, place] = 1
    struck = table.sum(axis=0)  # (places,)
    differ = (struck * (count - struck)).sum()  # over all pairs of bars
    return float(1 - differ / (GROOVE_PLACES * count * (count - 1) / 2))


def bar_similarity(score, lag):
    """How alike bars are that stand `lag` bars apart, in 0..1.

    Of two bars, the share of notes (place in the bar, pitch) that both have among those
    that either has; the mean over all pairs that are not both silent. NaN without one.
    """
    bar, place = _onset_places(score)
    bars = [set() for _ in range(len(score.bar_ticks()) - 1)]
    pitches = score.notes["pitch"].tolist()
    rows = zip(bar.tolist(), place.tolist(), pitches, strict=True)
    for number, place, pitch in rows:
        bars[number].add((place, pitch))
    alike = [
        len(a & b) / len(a | b) for a, b in zip(bars, bars[lag:], strict=False) if a | b
    ]
    return float(np.mean(alike)) if alike else float("nan")


def sounding_ticks(score):
    """(sum of all durations, ticks in which anything sounds, ticks from first to last)."""
    notes = score.notes
    if not len(notes):
        return 0, 0, 0
    start = notes["start"].astype(np.int64)  # sorted
    end = start + notes["duration"]
    before = np.maximum.accumulate(np.r_[start[0], end[:-1]])
    sounding = np.maximum(0, end - np.maximum(start, before)).sum()
    return int(notes["duration"].sum()), int(sounding), int(end.max() - start[0])


def mean_polyphony(score):
    """How many notes sound at a time, on average over the time in which any does."""
    durations, sounding, _ = sounding_ticks(score)
    return durations / sounding if sounding else float("nan")


def rest_share(score):
    """The share of silence between the first onset and the last end."""
    _, sounding, length = sounding_ticks(score)
    return 1 - sounding / length if length else float("nan")


def notes_a_bar(score):
    """Notes in a bar, on average over the bars from the first note on."""
    if not len(score):
        return float("nan")
    lines = score.bar_ticks()
    first = np.searchsorted(lines, score.notes["start"].min(), side="right") - 1
    return len(score) / (len(lines) - 1 - int(first))


def pitch_range(score):
    """Semitones from the lowest note to the highest; drums left out."""
    pitches = score.notes["pitch"][~score.is_drum_note()].astype(int)
    return float(pitches.max() - pitches.min()) if len(pitches) else float("nan")


def repeated_bar_share(score):
    """The share of bars that repeat an earlier one exactly (`repeated_bars`)."""
    repeated, bars = repeated_bars(score)
    return repeated / bars if bars else float("nan")


def _onset_places(score):
    """(bar, place in it in 0..63) of each note: int64 arrays (N,)."""
    lines = score.bar_ticks()
    starts = score.notes["start"].astype(np.int64)
    bar = np.searchsorted(lines, starts, side="right") - 1
    return bar, (starts - lines[bar]) * GROOVE_PLACES // np.diff(lines)[bar]

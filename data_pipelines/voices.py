"""Notes as voices in a stereo mix: what the players of our own have in common.

A player says how a key sounds when it is held for ever (a `Tone`). Here the notes
of a score are laid out in samples, each tone is cut and released where its notes
end, and the voices are added up. One tone serves all notes of its key, so a song
costs what its distinct keys cost, and an addition a note.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

PLAYED = np.dtype(
    [
        ("start", np.int64),  # samples from the beginning
        ("hold", np.int64),  # samples until the key goes up, at least 1
        ("pitch", np.uint8),
        ("velocity", np.uint8),
        ("track", np.uint16),
        ("program", np.uint8),
        ("is_drum", np.bool_),
    ]
)
SILENT_DB = 96.0  # below this a voice is over: the floor of 16 bits
CHOKE_SECONDS = 0.012
CLOSING_SECONDS = 0.005


@dataclass(frozen=True)
class Tone:
    """One key of one instrument, as it sounds while it is held.

    Args:
        wave: float32 array (samples,). Where it ends, the sound has died away.
        release: float32 array (samples,), the gain after the key goes up; None
            for a sound that rings on regardless, as a cymbal does.
        left, right: float gains.
    """

    wave: np.ndarray
    release: np.ndarray | None
    left: float = 1.0
    right: float = 1.0


def played_notes(score, sample_rate):
    """When each note of a score sounds, and on what.

    Returns:
        array of dtype `PLAYED`, sorted by start.

    Raises:
        ValueError: if a track's program lies outside 0..127.
    """
    for track in score.tracks:
        if not 0 <= track.program <= 127:
            raise ValueError(
                "A track's program must be in 0..127. "
                f"Received: {track.program} (track {track.name!r})"
            )
    notes = score.notes
    played = np.zeros(len(notes), dtype=PLAYED)
    start = notes["start"].astype(np.int64)
    ends = score.seconds_at(start + notes["duration"]) * sample_rate
    played["start"] = np.rint(score.seconds_at(start) * sample_rate)
    played["hold"] = np.maximum(1, np.rint(ends).astype(np.int64) - played["start"])
    for name in ("pitch", "velocity", "track"):
        played[name] = notes[name]
    programs = np.array([track.program for track in score.tracks], dtype=np.uint8)
    drums = np.array([track.is_drum for track in score.tracks], dtype=bool)
    if len(notes):
        played["program"] = programs[notes["track"]]
        played["is_drum"] = drums[notes["track"]]
    return played


def volume_envelope(
    length, sample_rate, *, delay=0.0, attack=0.0, hold=0.0, decay=0.0, sustain_db=0.0
):
    """Gain of a held key: a straight rise, then a fall straight in decibels.

    Args:
        length: int, samples wanted.
        delay, attack, hold: float, seconds.
        decay: float, seconds that a fall of 100 dB would take.
        sustain_db: float, how far below full the fall ends; 100 is silence.

    Returns:
        float32 array (at most `length`,), shorter where the fall ends in silence.
    """
    marks = np.cumsum([delay, attack, hold, decay * min(sustain_db, 100.0) / 100.0])
    begin, top, fall, rest = (np.rint(marks * sample_rate)).astype(np.int64)
    if sustain_db >= SILENT_DB:
        length = min(length, int(rest) + 1)
    gain = np.full(length, 10 ** (-sustain_db / 20), dtype=np.float32)
    gain[:begin] = 0.0
    rise = gain[begin:top]
    rise[:] = (np.arange(len(rise), dtype=np.float32) + 1) / max(1, top - begin)
    gain[top:fall] = 1.0
    slope = gain[fall:rest]
    slope[:] = fading(len(slope), sample_rate, decay) if len(slope) else 0.0
    return gain


def fading(length, sample_rate, decay):
    """Gain that falls 100 dB in `decay` seconds: float32 array (length,)."""
    per_sample = np.float32(-np.log(1e5) / max(decay * sample_rate, 1.0))
    return np.exp(np.arange(length, dtype=np.float32) * per_sample)


def release_curve(sample_rate, release):
    """The gain after a key goes up: a fall of 100 dB in `release` seconds.

    Returns:
        float32 array (samples,), from 1 to 0, never shorter than 5 ms: no click.
    """
    closing = round(CLOSING_SECONDS * sample_rate)
    release = max(release, CLOSING_SECONDS)
    curve = fading(max(closing, round(release * sample_rate)), sample_rate, release)
    curve[-closing:] *= np.linspace(1.0, 0.0, closing, dtype=np.float32)
    return curve


def mix_notes(notes, length, sample_rate, *, tones, choke_group):
    """Play every note and add them up.

    Args:
        notes: array of dtype `PLAYED`.
        length: int, samples of the mix.
        tones: function of (is_drum, program, pitch, velocities, holds), the last
            two arrays (N,), giving pairs of a `Tone` and gains (N,), 0 where the
            tone is not for that note. Each tone lasts as long as the longest
            hold and release need, or until it has died away.
        choke_group: function of (is_drum, program, pitch) giving an int: a note
            cuts the earlier ones of its track and group short; 0 cuts none.

    Returns:
        float32 array (length, 2).
    """
    mix = np.zeros((2, length), dtype=np.float32)
    if not len(notes):
        return mix.T
    keys = ("is_drum", "program", "pitch")
    order = np.lexsort([notes["hold"], *(notes[key] for key in reversed(keys))])
    notes = notes[order]
    changes = np.any([notes[key][1:] != notes[key][:-1] for key in keys], axis=0)
    edges = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(notes)]])
    groups = [
        choke_group(*(notes[key][edge].item() for key in keys)) for edge in edges[:-1]
    ]
    cuts = _cuts(notes, np.repeat(groups, np.diff(edges)), length)
    for low, high in pairwise(edges):
        some = notes[low:high]
        sounds = tones(
            *(some[key][0].item() for key in keys), some["velocity"], some["hold"]
        )
        for tone, gains in sounds:
            _add(mix, tone, some, gains, cuts[low:high], sample_rate)
    return np.ascontiguousarray(mix.T)


def _cuts(notes, groups, length):
    """When each note is cut off by a later one of its group: samples (N,)."""
    cuts = np.full(len(notes), length, dtype=np.int64)
    marked = np.flatnonzero(groups)
    pairs = zip(notes["track"][marked].tolist(), groups[marked].tolist(), strict=True)
    for track, group in sorted(set(pairs)):
        members = np.flatnonzero((notes["track"] == track) & (groups == group))
        starts = np.unique(notes["start"][members])
        following = np.searchsorted(starts, notes["start"][members], side="right")
        cuts[members] = np.append(starts, length)[following]
    return cuts


def _add(mix, tone, notes, gains, cuts, sample_rate):
    choke = round(CHOKE_SECONDS * sample_rate)
    shaped, shaped_hold = None, None
    columns = (notes["start"], notes["hold"], gains, cuts)
    for start, hold, gain, cut in zip(*(c.tolist() for c in columns), strict=True):
        if not gain or start >= mix.shape[1]:
            continue
        if hold != shaped_hold:  # notes come sorted by hold
            shaped, shaped_hold = _released(tone, hold), hold
        voice = shaped[: min(mix.shape[1], cut + choke) - start]
        if start + len(voice) > cut:
            voice = voice.copy()
            tail = voice[cut - start :]
            tail *= np.linspace(1.0, 0.0, choke, dtype=np.float32)[: len(tail)]
        for channel, side in zip(mix, (tone.left, tone.right), strict=True):
            if side:
                channel[start : start + len(voice)] += np.float32(gain * side) * voice


def _released(tone, hold):
    if tone.release is None or hold >= len(tone.wave):
        return tone.wave
    voice = tone.wave[: hold + len(tone.release)].copy()
    voice[hold:] *= tone.release[: len(voice) - hold]
    return voice

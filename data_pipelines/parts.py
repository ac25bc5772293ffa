"""Tracks of one instrument, told apart: a singer's line and the piano that carries it.

Files of one instrument often keep melody and accompaniment on tracks of their own and
name the same program for both. A tokenizer that knows a track by its program makes one
of them, and a model then never learns which notes are the tune.
"""

from dataclasses import replace

import numpy as np

FAMILY = 8  # General MIDI lists its programs in families of eight: 0..7 are pianos


def with_parts_apart(score):
    """The same notes, each track of several that share a program with one of its own.

    The first keeps its program; the next takes the first free one of the same family
    (a bright piano beside a grand, a viola beside a violin). Where the family has no
    more, tracks go on sharing. Drums and tracks without notes are left as they are.

    Args:
        score: `Score`.

    Returns:
        `Score`; the same one where nothing is shared.
    """
    sounding = set(np.unique(score.notes["track"]).tolist())
    tracks, taken = list(score.tracks), set()
    for number, track in enumerate(score.tracks):
        if track.is_drum or number not in sounding:
            continue
        first = track.program - track.program % FAMILY
        family = [track.program, *range(first, first + FAMILY)]
        program = next((p for p in family if p not in taken), track.program)
        taken.add(program)
        tracks[number] = replace(track, program=program)
    if tuple(tracks) == score.tracks:
        return score
    return replace(score, tracks=tuple(tracks))

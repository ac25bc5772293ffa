"""One track among others that stay: each given note in its place of the row of tokens."""

from types import SimpleNamespace

import numpy as np
import pytest
from test_carry_on import random_bundle

from audio_models.particles import fill
from data_pipelines.score import Metre, Score, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.remi_grid import DRUMS
from data_pipelines.vocabulary import BOS, EOS
from studio.infill import Gap, infill
from studio.woven import GivenNote, Woven, given_notes

TOKENIZER = TOKENIZERS["remi"]()
KINDS = {
    r.kind: np.array(TOKENIZER.vocabulary.ids(r.kind))
    for r in TOKENIZER.vocabulary.ranges
}
BAR = 4 * 480


def band(bars=5):
    """Flute, piano, bass and drums; the piano in chords, the bass silent in bar 3."""
    parts = []
    for bar in range(bars):
        at = bar * BAR
        parts.append(
            notes_array(at + np.arange(8) * 240, 240, 72 + np.arange(8) % 5, 90, 0)
        )
        for beat in (0, 2):
            parts.append(notes_array(at + beat * 480, 960, [60, 64, 67], 70, 1))
        if bar != 2:
            parts.append(notes_array(at + np.arange(4) * 480, 480, 40 + bar, 80, 2))
        parts.append(notes_array(at + np.arange(8) * 240, 120, [36, 42] * 4, 100, 3))
    tracks = (
        Track("Flute", 73),
        Track("Piano", 0),
        Track("Bass", 33),
        Track("Kit", 0, True),
    )
    return Score(np.concatenate(parts), 480, tracks, metres=(Metre(0, 4, 4),))


def rows(notes):
    return sorted(map(tuple, notes.tolist()))


@pytest.mark.parametrize("track", range(4))
@pytest.mark.parametrize("bars", [(1, 1), (2, 4), (5, 5)])
def test_only_that_track_in_those_bars_is_written_anew(track, bars):
    score = band()
    done = infill(random_bundle("remi"), score, Gap(*bars, track, seed=2, particles=6))
    start = score.notes["start"]
    inside = (start >= (bars[0] - 1) * BAR) & (start < bars[1] * BAR)
    kept = score.notes[~(inside & (score.notes["track"] == track))]
    assert rows(done.score.notes) == sorted(rows(kept) + rows(done.added))
    assert set(done.added["track"].tolist()) <= {track}
    new = done.added["start"]
    assert ((new >= (bars[0] - 1) * BAR) & (new < bars[1] * BAR)).all()
    assert done.removed == (inside & (score.notes["track"] == track)).sum()


class Chance:
    """A player that expects every token alike."""

    architecture = SimpleNamespace()

    def start(self, rows):
        return (np.zeros((1, rows, 1)),)

    def step(self, ids, state):
        return np.zeros((len(ids), TOKENIZER.vocab_size)), state


def path_of(given, voice, bars=2, quota=12):
    bar, metre = int(KINDS["bar"][0]), int(KINDS["metre"][0])
    prefix = np.array([BOS, bar, metre])
    never = np.zeros(TOKENIZER.vocab_size, dtype=bool)
    state = TOKENIZER.grammar.state_after(prefix[1:])
    settings = {"voice": voice, "given": given, "bars": bars, "quota": quota}
    return prefix, Woven(
        TOKENIZER.grammar, state, KINDS, suffix=[EOS], never=never, **settings
    )


@pytest.mark.parametrize("voice", [0, 40, DRUMS])
def test_whatever_is_written_decodes_to_what_was_given_and_notes_of_the_voice(voice):
    score = band(2)
    home = {0: 1, 40: None, DRUMS: 3}[voice]
    kept = Score(score.notes[score.notes["track"] != home], 480, score.tracks)
    given = given_notes(TOKENIZER.encode(kept), KINDS, 0, 2, without=99)
    assert len(given) == len(kept)
    prefix, path = path_of(given, voice)
    made = fill(Chance(), prefix, path, particles=24, seed=1)
    mine = 0
    for ids in made.ids[made.shares > 0]:
        whole = TOKENIZER.decode(np.concatenate([prefix, ids]))
        plays = np.array(
            [DRUMS if track.is_drum else track.program for track in whole.tracks]
        )[whole.notes["track"]]
        wanted = TOKENIZER.decode(TOKENIZER.encode(kept))
        others = np.array(
            [DRUMS if track.is_drum else track.program for track in wanted.tracks]
        )[wanted.notes["track"]]
        fields = ["start", "duration", "pitch", "velocity"]
        theirs = whole.notes[plays != voice][fields].tolist()
        assert sorted(theirs) == sorted(wanted.notes[others != voice][fields].tolist())
        mine += int((plays == voice).sum())
    assert mine > 24  # and it did write


def test_tokens_stand_in_the_order_in_which_the_tokenizer_puts_them():
    """Position by position, from the lowest program up, the drums last."""
    score = band(2)
    kept = Score(score.notes[score.notes["track"] != 2], 480, score.tracks)
    given = given_notes(TOKENIZER.encode(kept), KINDS, 0, 2, without=99)
    prefix, path = path_of(given, 33)
    made = fill(Chance(), prefix, path, particles=12, seed=3)
    for ids in made.ids[made.shares > 0]:
        found = given_notes(np.concatenate([prefix[:2], ids]), KINDS, 0, 2, without=-5)
        order = [(note.bar, note.position, note.voice) for note in found]
        assert order == sorted(order)
        assert sum(note.voice == 33 for note in found) == len(found) - len(given)


def test_with_no_room_left_what_is_given_still_comes():
    given = [
        GivenNote(
            1,
            24,
            0,
            (
                int(KINDS["pitch"][60]),
                int(KINDS["velocity"][9]),
                int(KINDS["duration"][3]),
            ),
        )
    ]
    prefix, path = path_of(given, 40, quota=1)
    made = fill(Chance(), prefix, path, particles=8, seed=0)
    for ids in made.ids[made.shares > 0]:
        score = TOKENIZER.decode(np.concatenate([prefix, ids]))
        assert (
            (score.notes["start"] == BAR + 960) & (score.notes["pitch"] == 60)
        ).any()

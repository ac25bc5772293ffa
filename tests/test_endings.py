"""Which take is kept and where it ends; in whose track each new note stands."""

import numpy as np

from audio_models.particles import Filled
from audio_models.request import IMPOSSIBLE
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.tokenizers.melody import MelodyTokenizer
from studio.endings import choose_end, sound_takes
from studio.stretches import tracks_for


def test_the_end_kept_is_the_most_expected_at_which_the_last_note_is_held():
    """Two takes of six steps; a held end at step 4 beats a likelier one in motion."""
    tokenizer = MelodyTokenizer()
    note, hold = tokenizer.vocabulary.ids("pitch")[60], tokenizer.hold
    rest = tokenizer.rest
    ids = np.array([[note, note, hold, hold, note, rest], [note] * 6])
    worth = np.full((2, 6), IMPOSSIBLE)
    worth[0, 4], worth[0, 5] = -2.0, -0.1  # before steps 4 and 5
    worth[1, 5] = -0.01
    takes = Filled(ids, np.full(2, 0.5), np.zeros((2, 6)), worth, 0)
    assert choose_end(takes, tokenizer, 1, 2, 5, beat=3) == (0, 4)
    assert choose_end(takes, tokenizer, 1, 2, 5, beat=1) == (1, 5)
    assert choose_end(takes, tokenizer, 1, 4, 5, beat=3) == (1, 5)  # held none: best
    assert choose_end(takes, tokenizer, 1, 5, 6, beat=3) == (0, 6)  # no end at all


def test_an_end_on_the_tonic_is_kept_if_it_is_nearly_as_expected():
    tokenizer = MelodyTokenizer()
    pitch, hold = tokenizer.vocabulary.ids("pitch"), tokenizer.hold
    ids = np.array([[pitch[67], hold, hold], [pitch[64], hold, hold]])  # G; E
    worth = np.full((2, 3), IMPOSSIBLE)
    worth[:, 2] = -1.5, -0.5  # before step 2
    takes = Filled(ids, np.full(2, 0.5), np.zeros((2, 3)), worth, 0)
    assert choose_end(takes, tokenizer, 1, 0, 2, beat=2) == (1, 2)
    assert choose_end(takes, tokenizer, 1, 0, 2, beat=2, tonic=7) == (0, 2)
    worth[0, 2] = -9.0  # too unlikely an end
    assert choose_end(takes, tokenizer, 1, 0, 2, beat=2, tonic=7) == (1, 2)


def takes_of(lines, nats=None):
    """`Filled` of melodies given as lists of pitches, each held for two steps."""
    tokenizer = MelodyTokenizer()
    pitch, hold = tokenizer.vocabulary.ids("pitch"), tokenizer.hold
    ids = np.array([[t for p in line for t in (pitch[p], hold)] for line in lines])
    worth = np.zeros(ids.shape) if nats is None else np.array(nats)[:, None] / -2
    worth = worth * np.ones(ids.shape)
    count = len(lines)
    return Filled(ids, np.full(count, 1 / count), worth, np.zeros(ids.shape), 0)


def test_a_take_that_is_stuck_on_a_note_is_not_kept():
    takes = takes_of([[67] * 8, [67, 69, 71, 72, 71, 69, 67, 67]])
    kept, _ = sound_takes(takes, MelodyTokenizer(), 1, 16)
    assert kept.tolist() == [False, True]
    kept, _ = sound_takes(takes, MelodyTokenizer(), 1, 16, longest=8)  # as was given
    assert kept.tolist() == [True, True]


def test_a_take_that_leaves_the_register_is_not_kept():
    low, high = [60, 62, 64, 65] * 2, [72, 74, 76, 77] * 2
    kept, _ = sound_takes(takes_of([high, low]), MelodyTokenizer(), 1, 16, middle=63.0)
    assert kept.tolist() == [False, True]
    kept, _ = sound_takes(takes_of([high, high]), MelodyTokenizer(), 1, 16, middle=63.0)
    assert kept.all()  # of two as far off, none is the worse


def test_the_half_of_the_takes_nearest_to_real_music_may_be_kept():
    line = [60, 62, 64, 65, 67, 65, 64, 62]
    takes = takes_of([line] * 4, nats=[0.5, 1.9, 2.3, 6.0])  # nats per note
    kept, _ = sound_takes(takes, MelodyTokenizer(), 1, 16, typical=2.0)
    assert kept.tolist() == [False, True, True, False]


def test_a_held_end_of_a_fair_take_is_better_than_a_short_one_of_the_best():
    tokenizer = MelodyTokenizer()
    pitch, hold = tokenizer.vocabulary.ids("pitch"), tokenizer.hold
    short, held = [pitch[60], hold, pitch[62]], [pitch[60], hold, hold]
    worth = np.array([[IMPOSSIBLE, -9.0, -0.5], [IMPOSSIBLE, -9.0, -2.0]])
    ids = np.array([[*short, pitch[64]], [*held, hold]])
    worth = np.c_[worth, [-0.5, -2.0]]  # an end before step 3: after three steps
    takes = Filled(ids, np.full(2, 0.5), np.zeros((2, 4)), worth, 0)
    best, fair = np.array([True, False]), np.array([True, True])
    assert choose_end(takes, tokenizer, 1, 2, 3, beat=3, pools=(best, fair)) == (1, 3)
    assert choose_end(takes, tokenizer, 1, 2, 3, beat=3, pools=(best,)) == (0, 3)
    # No end of the pool is possible: any other is better than none.
    none = np.array([False, False])
    assert choose_end(takes, tokenizer, 1, 2, 3, beat=3, pools=(none,)) == (0, 3)


def test_a_take_of_silence_is_no_error():
    tokenizer = MelodyTokenizer()
    ids = np.full((2, 8), tokenizer.rest)
    takes = Filled(ids, np.full(2, 0.5), np.zeros((2, 8)), np.zeros((2, 8)), 0)
    assert sound_takes(takes, tokenizer, 1, 8, middle=60.0)[0].all()


def test_of_several_pianos_each_goes_on_where_it_plays():
    """A line about C5, chords about C3, one instrument: the bass stays with the chords."""
    line = notes_array(np.arange(16) * 480, 480, [72, 74, 76, 77] * 4, 80, 0)
    chords = notes_array(np.repeat(np.arange(8) * 960, 3), 960, [48, 52, 55] * 8, 60, 1)
    tracks = (Track("MELODY", 0), Track("PIANO", 0))
    score = Score(np.concatenate([line, chords]), 480, tracks)
    made = notes_array([0, 480, 960], 480, [50, 53, 74], 70, 0)
    made = Score(made, 480, (Track("", 0),))
    start = made.notes["start"].astype(int)
    homes = tracks_for(score, made, made.notes, start, start + 480)
    assert dict(zip(made.notes["pitch"].tolist(), homes.tolist(), strict=True)) == {
        50: 1,
        53: 1,
        74: 0,
    }


def test_a_line_is_given_no_second_note_at_a_time():
    line = notes_array(np.arange(16) * 480, 480, [72, 74, 76, 77] * 4, 80, 0)
    chords = notes_array(np.repeat(np.arange(8) * 960, 2), 960, [48, 52] * 8, 60, 1)
    tracks = (Track("MELODY", 0), Track("PIANO", 0))
    score = Score(np.concatenate([line, chords]), 480, tracks)
    made = Score(notes_array(0, 480, [72, 76], 70, 0), 480, (Track("", 0),))
    homes = tracks_for(score, made, made.notes, np.zeros(2, int), np.full(2, 480))
    assert homes.tolist() == [1, 0]  # the higher keeps the line

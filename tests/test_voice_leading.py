"""How voices move, counted by hand."""

import numpy as np
import pytest

from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.vocabulary import BOS, EOS
from data_pipelines.voice_leading import (
    SILENT,
    VoiceLeading,
    voice_leading,
    voice_leading_of_ids,
    voices_of_ids,
)

C_MAJOR = [72, 67, 64, 48]  # C5 G4 E4 C3


def leading_of(*chords):
    sounding = np.array(chords)
    return voice_leading(sounding, np.ones(sounding.shape, dtype=bool))


def test_one_chord_moves_nowhere():
    assert leading_of(C_MAJOR) == VoiceLeading(notes=4, steps=1)


def test_a_chord_moved_as_a_whole_has_every_parallel_it_can_have():
    up = [pitch + 2 for pitch in C_MAJOR]
    counted = leading_of(C_MAJOR, up)
    # Pairs that move: 6. C5 over C3 is an octave, G4 over C3 a twelfth: a fifth.
    assert (counted.moves, counted.parallel_octaves, counted.parallel_fifths) == (
        6,
        1,
        1,
    )


def test_contrary_motion_from_fifth_to_fifth_is_no_parallel():
    counted = leading_of([72, 67, 64, 57], [77, 67, 64, 46])  # 72/57: 15; 77/46: 31
    assert counted.moves == 1
    counted = leading_of([67, 64, 62, 60], [72, 64, 62, 53])  # a fifth to a 19th, apart
    assert (counted.moves, counted.parallel_fifths) == (1, 0)


def test_a_voice_that_stays_makes_no_parallel():
    assert leading_of([67, 64, 62, 60], [67, 64, 62, 60]).moves == 0


def test_crossings_ranges_leaps_and_gaps():
    crossed = leading_of([72, 60, 64, 48])  # the tenor above the alto
    assert crossed.crossings == 1
    assert leading_of([82, 67, 64, 39]).out_of_range == 2
    assert leading_of([79, 66, 55, 48]).wide == 1  # 13 semitones under the soprano
    assert leading_of([72, 67, 55, 40], [72, 67, 55, 53]).leaps == 1


def test_silent_voices_take_part_in_nothing():
    counted = leading_of([72, SILENT, 64, 48], [74, 69, 66, 50])
    assert (counted.notes, counted.steps) == (7, 1)
    assert counted.moves == 3  # the alto came from nowhere


def test_counts_add_up_and_rates_are_out_of_what_could_have_been():
    both = leading_of(C_MAJOR) + leading_of([72, 60, 64, 48])
    assert (both.notes, both.steps, both.crossings) == (8, 2, 1)
    assert both.rates()["crossings"] == pytest.approx(50)
    assert both.rates()["parallel_fifths"] is None  # nothing moved
    assert both.faults() == 1


def test_tokens_hold_what_sounds_and_rest_ends_it():
    tokenizer = ChoraleTokenizer()
    p, hold, rest = tokenizer.vocabulary.ids("pitch")[0], tokenizer.hold, tokenizer.rest
    steps = [
        [p + 72, p + 67, p + 64, rest],
        [hold, hold, rest, hold],
        [p + 74, hold, hold, p + 50],
    ]
    ids = [BOS, tokenizer.metre_id("4/4"), *np.ravel(steps), EOS]
    sounding, struck = voices_of_ids(tokenizer, ids)
    assert sounding.tolist() == [
        [72, 67, 64, SILENT],
        [72, 67, SILENT, SILENT],
        [74, 67, SILENT, 50],
    ]
    assert struck.sum(axis=1).tolist() == [3, 0, 2]
    assert voice_leading_of_ids(tokenizer, ids).notes == 5

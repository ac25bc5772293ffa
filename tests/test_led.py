"""Voices led by rule: no parallel fifths and octaves, whatever a network would write."""

import numpy as np
import pytest
from test_guided import tune, untrained

from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.vocabulary import BOS
from data_pipelines.voice_leading import VoiceLeading, voice_leading_of_ids
from studio.compose import compose
from studio.harmonize import Harmony, harmonize
from studio.led import LedSheet, sheet_of
from studio.wish import Wish

TOKENIZER = ChoraleTokenizer()
FIRST = TOKENIZER.vocabulary.ids("pitch")[0]


def sheet_after(*chord, soprano):
    """The path of a bass note, after a chord and the voices above it of the next one."""
    prefix = [BOS, TOKENIZER.metre_id("4/4"), *(FIRST + np.array(chord)).tolist()]
    prefix += [FIRST + soprano, TOKENIZER.hold, TOKENIZER.hold]
    may = np.ones((1, TOKENIZER.vocab_size), dtype=bool)
    return sheet_of(TOKENIZER, may, np.array(prefix))


def struck(sheet):
    may = sheet.may(sheet.places(1))[0]
    return {int(i) - FIRST for i in np.flatnonzero(may & sheet.is_pitch)}


def test_a_bass_may_not_follow_the_soprano_in_octaves_or_fifths():
    octave = sheet_after(72, 67, 64, 48, soprano=74)  # from C over C up to D
    assert set(range(128)) - struck(octave) == {
        p for p in range(49, 128) if p % 12 == 2
    }
    fifth = sheet_after(67, 64, 62, 48, soprano=69)  # from G over C up to A
    assert set(range(128)) - struck(fifth) == {p for p in range(49, 128) if p % 12 == 2}
    down = sheet_after(72, 67, 64, 48, soprano=71)
    assert set(range(128)) - struck(down) == {p for p in range(48) if p % 12 == 11}


def test_where_the_soprano_stays_or_stood_elsewhere_all_may_be_struck():
    assert struck(sheet_after(72, 67, 64, 48, soprano=72)) == set(range(128))
    assert struck(sheet_after(72, 67, 64, 50, soprano=74)) == set(range(128))  # a 7th


def test_one_voice_is_led_by_nothing():
    from data_pipelines.tokenizers.melody import MelodyTokenizer

    tokenizer = MelodyTokenizer()
    may = np.ones((1, tokenizer.vocab_size), dtype=bool)
    sheet = sheet_of(tokenizer, may, np.array([BOS, tokenizer.metre_id("4/4")]))
    assert not isinstance(sheet, LedSheet)


def test_what_is_composed_and_harmonised_has_no_parallels_even_untrained():
    bundle = untrained("chorale")
    counted = VoiceLeading()
    for seed in range(3):
        ids = compose(bundle, Wish(bars=3, metre="4/4", seed=seed, takes=2)).ids
        counted += voice_leading_of_ids(TOKENIZER, ids)
    melody = tune([67, 69, 71, 72, 74, 72, 71, 69, 67, 66, 67, 67])
    counted += harmonize(bundle, melody, Harmony(seed=2, takes=3)).drawn
    assert counted.moves > 500
    assert counted.parallel_fifths == 0
    assert counted.parallel_octaves == 0


def test_a_prefix_that_breaks_the_grammar_is_refused():
    with pytest.raises(ValueError, match="breaks the grammar"):
        sheet_of(TOKENIZER, np.ones((1, TOKENIZER.vocab_size), dtype=bool), np.r_[1, 1])

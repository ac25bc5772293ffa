"""Which shipped model suits a file that names none."""

import numpy as np

from data_pipelines.score import Score, Track, notes_array
from studio.models import fitting_model, shipped_models


def score_of(*lines, is_drum=False):
    starts, pitches, tracks = [], [], []
    for track, line in enumerate(lines):
        starts += range(0, 480 * len(line), 480)
        pitches += line
        tracks += [track] * len(line)
    notes = notes_array(np.array(starts), 480, np.array(pitches), 80, np.array(tracks))
    names = tuple(Track(f"part {n}", 0, is_drum) for n in range(len(lines)))
    return Score(notes, ticks_per_quarter=480, tracks=names)


def test_one_line_goes_to_tunes_four_to_chorales_and_drums_to_drums():
    assert {"folk", "chorales", "drums"} <= set(shipped_models())
    assert fitting_model(score_of([60, 62, 64, 65])) == "folk"
    four = score_of([72, 74], [67, 69], [64, 65], [48, 50])
    assert fitting_model(four) == "chorales"
    assert fitting_model(score_of([36, 38, 36], is_drum=True)) == "drums"


def test_five_parts_and_chords_go_to_the_model_of_several_tracks():
    five = score_of([72, 74], [67, 69], [64, 65], [48, 50], [40, 41])
    chords = Score(
        notes_array(np.zeros(6), 480, np.arange(60, 66), 80, np.zeros(6)), 480
    )
    assert fitting_model(five) == fitting_model(chords) == "pop-piano"


def test_an_empty_score_still_has_a_model():
    empty = Score(notes_array([], [], []), 480)
    assert fitting_model(empty) in shipped_models()


def test_the_help_of_train_names_every_recipe():
    from conftest import etude

    from studio.recipes import RECIPES

    told = "".join(etude("train", "--help").stdout.split())  # lines break at hyphens
    assert [name for name in RECIPES if name not in told] == []

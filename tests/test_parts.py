"""Tracks of one instrument, told apart by programs of one family."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.parts import FAMILY, with_parts_apart
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS


def score_of(*tracks, silent=()):
    played = [n for n in range(len(tracks)) if n not in silent]
    notes = notes_array(0, 480, [60] * len(played), track=played)
    return Score(notes, 480, tuple(tracks))


def programs(score):
    return [track.program for track in score.tracks]


def test_three_pianos_become_three_kinds_of_piano():
    apart = with_parts_apart(score_of(Track("a", 0), Track("b", 0), Track("c", 0)))
    assert programs(apart) == [0, 1, 2]
    assert [track.name for track in apart.tracks] == ["a", "b", "c"]


def test_what_is_apart_already_is_given_back_itself():
    score = score_of(Track("", 0), Track("", 40), Track("", 0, True))
    assert with_parts_apart(score) is score


def test_drums_and_silent_tracks_take_no_program():
    tracks = [Track("", 0, True), Track("", 0), Track("", 0), Track("", 0)]
    assert programs(with_parts_apart(score_of(*tracks, silent=(2,)))) == [0, 0, 0, 1]


def test_a_full_family_goes_on_sharing():
    apart = with_parts_apart(score_of(*[Track("", 45)] * 10))
    assert sorted(programs(apart)[:FAMILY]) == list(range(40, 48))
    assert programs(apart)[FAMILY:] == [45, 45]


@given(st.lists(st.integers(0, 127), min_size=1, max_size=12))
def test_each_track_stays_in_its_family_and_the_first_keeps_its_program(given):
    apart = programs(with_parts_apart(score_of(*[Track("", p) for p in given])))
    assert apart[0] == given[0]
    assert [p // FAMILY for p in apart] == [p // FAMILY for p in given]
    for family in {p // FAMILY for p in given}:
        own = [p for p in apart if p // FAMILY == family]
        assert len(set(own)) == min(len(own), FAMILY)


def test_remi_keeps_the_parts_that_it_would_have_made_one():
    tokenizer = TOKENIZERS["remi"]()
    notes = notes_array([0, 0], 480, [60, 60], track=[0, 1])
    score = Score(notes, 480, (Track("tune", 0), Track("piano", 0)))
    assert len(tokenizer.decode(tokenizer.encode(score))) == 1  # one is lost
    apart = tokenizer.decode(tokenizer.encode(with_parts_apart(score)))
    assert np.array_equal(apart.notes["track"], [0, 1])


def test_what_a_model_learnt_apart_goes_back_into_the_tracks_as_they_were():
    from audio_models import MODELS
    from audio_models.bundle import Bundle
    from audio_models.network import first_values
    from studio.carry_on import Onward, carry_on
    from studio.infill import Gap, infill

    tokenizer = TOKENIZERS["remi"]()
    architecture = MODELS["lstm"](tokenizer.vocab_size, 8, 8, 1)
    weights = {
        name: first_values(weight, [0, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    weights["head.bias"][list(tokenizer.vocabulary.ids("program"))] = 3  # names players
    facts = {"reading": {"bars": "written", "parts": "apart"}}
    bundle = Bundle(architecture, weights, tokenizer.spec(), facts)
    start = np.arange(32) * 240
    notes = notes_array(start, 240, 60 + np.arange(32) % 5 * 2, track=np.arange(32) % 2)
    score = Score(notes, 480, (Track("tune", 0), Track("piano", 0)))
    longer = carry_on(bundle, score, Onward(bars=2, seed=1, takes=2)).score
    assert longer.tracks == score.tracks
    new = longer.notes[longer.notes["start"] >= score.end_tick]
    assert set(new["track"].tolist()) == {0, 1}  # each goes on in its own
    assert np.array_equal(longer.notes[: len(score)], score.notes)
    filled = infill(bundle, score, Gap(2, 2, seed=1, particles=8)).score
    assert filled.tracks == score.tracks

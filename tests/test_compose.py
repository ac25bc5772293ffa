"""Composing: what is asked for is what one gets."""

import numpy as np
import pytest
from conftest import tune
from test_bundle import small_bundle

from audio_models.request import Generated
from data_pipelines.midi import midi_bytes
from data_pipelines.tokenizers.melody import MelodyTokenizer, steps_in_bar
from data_pipelines.vocabulary import BOS
from studio.compose import (
    Wish,
    choose_ending,
    compose,
    in_usual_key,
    key_name,
    likely_key,
    with_accents,
)

TOKENIZER = MelodyTokenizer()
PITCH = TOKENIZER.vocabulary.ids("pitch")[0]


@pytest.mark.parametrize("metre", ["4/4", "6/8", "3/4", "9/8", "2/4"])
@pytest.mark.parametrize("bars", [1, 7, 16])
def test_a_piece_has_the_bars_and_the_metre_asked_for(metre, bars):
    piece = compose(small_bundle(), Wish(bars=bars, metre=metre, seed=2))
    assert str(piece.score.metre) == metre
    bar_ticks = steps_in_bar(metre) * 120
    pickup = bar_ticks if piece.ids[2] == TOKENIZER.rest else 0
    length = piece.score.end_tick - pickup
    assert (bars - 1) * bar_ticks < length <= bars * bar_ticks
    assert 0 < piece.end_probability <= 1
    assert len(piece.score) >= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    bundle = small_bundle()
    first, again, other = (
        midi_bytes(compose(bundle, Wish(bars=4, seed=s)).score) for s in (7, 7, 8)
    )
    assert first == again != other


def test_tempo_and_instrument_are_the_ones_asked_for():
    score = compose(small_bundle(), Wish(bars=2, qpm=77.0, program=73)).score
    assert score.qpm == 77.0
    assert score.tracks[0].program == 73


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"bars": 0}, r"`bars` must be in 1\.\.256\. Received: 0"),
        ({"temperature": -1}, "`temperature` must be in"),
        ({"top_p": 0.0}, "`top_p` must be in"),
        ({"top_k": 0}, "`top_k` must be in"),
        ({"metre": "5/4"}, "`metre` must be one of 2/4"),
        ({"qpm": 1000.0}, "`tempo` must be in"),
        ({"program": 128}, "`instrument` must be in"),
        ({"seed": -1}, "`seed` must be in"),
    ],
)
def test_a_wish_out_of_range_is_named(wish, message):
    with pytest.raises(ValueError, match=message):
        compose(small_bundle(), Wish(**wish))


def test_a_piece_ends_where_the_model_most_expects_it_within_the_last_bar():
    rest = TOKENIZER.rest
    note = PITCH + 60
    bar, bars = 4, 2
    ids = np.full((3, 13), note)
    ids[2, 0] = rest  # a pickup: its first bar does not count
    worth = np.full((3, 13), -9.0, "float32")
    worth[0, 3] = -0.1  # too early
    worth[0, 9] = -0.1  # too late
    worth[1, 7] = -0.5
    worth[2, 8] = -0.2  # too early for a take with a pickup
    made = Generated(ids, np.zeros((3, 13), "float32"), worth)
    assert choose_ending(made, bars, bar, rest) == (1, 7)
    worth[2, 12] = -0.3
    assert choose_ending(made, bars, bar, rest) == (2, 12)


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ([60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60], "C major"),
        ([69, 71, 72, 74, 76, 77, 80, 81, 76, 72, 69], "A minor"),
        ([62, 64, 66, 67, 69, 71, 73, 74, 69, 66, 62], "D major"),
        ([63, 65, 67, 68, 70, 72, 74, 75, 70, 67, 63], "Eb major"),
    ],
)
def test_the_key_of_a_scale_is_named(pitches, name):
    assert key_name(*likely_key(tune(pitches))) == name


def test_a_model_that_only_wants_to_rest_still_gives_notes():
    bundle = small_bundle()
    bundle.weights["head.bias"][[TOKENIZER.rest, TOKENIZER.hold]] = 60.0
    for bars in (1, 2, 16):
        for metre in ("2/4", "6/8"):
            piece = compose(bundle, Wish(bars=bars, metre=metre))
            assert len(piece.score) >= 1


def test_a_tune_is_moved_to_the_nearest_key_that_its_data_uses():
    tune_in_e_flat = tune([63, 65, 67, 68, 70, 72, 74, 75, 70, 67, 63])
    facts = {"keys": {"D major": 900, "G major": 800, "Eb major": 3}}
    moved = in_usual_key(tune_in_e_flat, facts)
    assert moved.notes["pitch"][0] == 62
    assert in_usual_key(tune_in_e_flat, {}) == tune_in_e_flat


@pytest.mark.parametrize(
    ("metre", "beat"), [("4/4", 4), ("6/8", 6), ("3/2", 8), ("6/4", 4), ("2/2", 8)]
)
def test_accents_follow_the_beat_of_the_metre(metre, beat):
    beats, unit = map(int, metre.split("/"))
    score = tune([60] * 32, duration=120, metre=(beats, unit))
    bar = steps_in_bar(metre)
    velocity = with_accents(score, bar).notes["velocity"][:bar].tolist()
    expected = [100 if s == 0 else 90 if s % beat == 0 else 78 for s in range(bar)]
    assert velocity == expected


def test_the_metres_drawn_are_those_of_the_data():
    facts = {"metres": {"6/8": 5, "none": 5}}
    drawn = {compose(small_bundle(facts=facts), Wish(bars=1, seed=s)).metre
             for s in range(12)}  # fmt: skip
    assert drawn == {"6/8", None}


def test_the_first_beat_is_the_loudest_and_notes_stay_the_same():
    piece = compose(small_bundle(), Wish(bars=8, metre="6/8", seed=3))
    notes = piece.score.notes
    on_bar = notes["start"] % (12 * 120) == 0
    assert (notes["velocity"][on_bar] == 100).all()
    assert (notes["velocity"][~on_bar] < 100).all()
    plain = TOKENIZER.decode(piece.ids)
    assert plain.notes["start"].tolist() == notes["start"].tolist()
    assert len(set((plain.notes["pitch"].astype(int) - notes["pitch"]).tolist())) == 1
    assert piece.ids[0] == BOS

"""Drum patterns: a function of the seed, playable, and what theory says of each style."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from audio_models import MODELS
from audio_models.bundle import Bundle
from data_pipelines.drum_patterns import STYLES, drum_pieces
from data_pipelines.measures import NO_KEY, key_in_words, repeated_bars
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.tokenizers.remi import RemiTokenizer
from data_pipelines.windows import Augmentation
from studio.compose import Wish, compose
from studio.recipes import RECIPES
from studio.sources import DRUM_PATTERNS, check_corpus_names, source_line

KICK, RIM, SNARE, CLAP, FLOOR_TOM, CLOSED, PEDAL = 36, 37, 38, 39, 41, 42, 44
CRASH, RIDE, CLAVES = 49, 51, 75
TICKS = 40  # a step is a twelfth of a quarter of 480
TOKENIZER = RemiTokenizer()
# What theory says: style -> who, which steps of a bar of 12 to the quarter (the quarters
# of 4/4 stand on 0, 12, 24 and 36), and whether these are all or some of what is struck.
LOUD, ALL, SOME = "all the loud ones", "all", "some"
BACKBEAT = ((SNARE,), {12, 36}, LOUD)
BACKBONE = {
    "rock": [BACKBEAT, ((KICK,), {0}, SOME)],
    "ghosted backbeat": [BACKBEAT, ((KICK,), {0}, SOME)],
    "funk": [BACKBEAT, ((KICK,), {0}, SOME)],
    "house": [((KICK,), {0, 12, 24, 36}, SOME), ((CLAP, SNARE), {12, 36}, LOUD)],
    "half time": [((SNARE,), {24}, LOUD), ((KICK,), {0}, SOME)],
    "shuffle": [BACKBEAT, ((CLOSED, RIDE), {0, 12, 20, 24, 36, 44}, SOME)],
    "swing": [
        ((RIDE, CLOSED), {0, 12, 20, 24, 36, 44}, ALL),  # ding, ding-da-ding
        ((PEDAL,), {12, 36}, ALL),
    ],
    "bossa nova": [((KICK,), {0, 12, 24, 36}, SOME)],
    "samba": [((FLOOR_TOM,), {12}, ALL), ((KICK,), {0, 9, 12, 21}, ALL)],
    "one drop": [((KICK,), {24}, ALL), ((RIM, SNARE), {24}, SOME)],
    "son clave 3:2": [((CLAVES,), {0, 9, 18, 30, 36}, ALL)],
    "son clave 2:3": [((CLAVES,), {6, 12, 24, 33, 42}, ALL)],
    "waltz": [((KICK,), {0}, SOME), ((SNARE, RIM), {12, 24}, SOME)],
    "ballad": [((SNARE, RIM), {18}, LOUD), ((KICK,), {0}, SOME)],
    "blues": [((SNARE,), {18, 54}, LOUD), ((KICK,), {0, 36}, SOME)],
    "march": [((SNARE,), {0, 12}, SOME), ((KICK,), {0, 12}, SOME)],
    "train": [((SNARE,), {12, 36}, SOME), ((KICK,), {0, 24}, SOME)],
}
BOSSA_CLAVES = ({0, 9, 18, 30, 39}, {6, 15, 24, 33, 42})  # either half first


@cache
def pieces():
    return drum_pieces(10 * len(STYLES), seed=3)


def of_style(name):
    return [piece for piece in pieces() if piece.title == name]


def grooves(piece):
    """The bars that are no fill and no ending, and have no crash: arrays of notes."""
    bars = np.split(piece.notes, bar_edges(piece)[1:-1])
    return [
        bar
        for number, bar in enumerate(bars)
        if number % 4 != 3 and CRASH not in bar["pitch"]
    ]


def bar_edges(piece):
    return np.searchsorted(piece.notes["start"], piece.bar_ticks())


def steps_of(piece, notes, keys, *, loud=False):
    bar = piece.bar_ticks()[1]
    own = np.isin(notes["pitch"], keys)
    if loud:
        own &= notes["velocity"] > 90
    return set((notes["start"][own] % bar // TICKS).tolist())


def test_the_same_seed_gives_the_same_pieces_however_many_are_asked_for():
    first, more, other = drum_pieces(20, 5), drum_pieces(23, 5), drum_pieces(20, 6)
    assert first == more[:20]
    assert not any(a == b for a, b in zip(first, other, strict=True))
    assert drum_pieces(0) == []


def test_another_process_with_other_hashes_writes_the_same_bytes():
    code = (
        "import hashlib; from data_pipelines.drum_patterns import drum_pieces; "
        "from data_pipelines.midi import midi_bytes; "
        "print(hashlib.sha256(b''.join(map(midi_bytes, drum_pieces(17, 1)))).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize(("count", "seed", "told"), [(-1, 0, "count"), (1, -2, "seed")])
def test_a_number_below_zero_is_refused_by_name(count, seed, told):
    with pytest.raises(ValueError, match=f"`{told}` must be at least 0. Received: -"):
        drum_pieces(count, seed)


def test_every_style_has_a_backbone_to_be_held_to():
    assert set(BACKBONE) == {style.name for style in STYLES}


@pytest.mark.parametrize("name", BACKBONE)
def test_each_bar_of_a_groove_has_the_backbone_of_its_style(name):
    seen = 0
    for piece in of_style(name):
        for bar in grooves(piece):
            seen += 1
            for keys, steps, which in BACKBONE[name]:
                struck = steps_of(piece, bar, keys, loud=which == LOUD)
                assert steps <= struck if which == SOME else steps == struck, keys
    assert seen >= 20


def test_the_rim_of_bossa_nova_keeps_one_side_of_its_clave_through_the_piece():
    for piece in of_style("bossa nova"):
        told = [steps_of(piece, bar, (RIM,)) for bar in grooves(piece)]
        assert told[0] in BOSSA_CLAVES
        assert all(steps == told[0] for steps in told)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_metre_tempo_and_length_are_those_of_the_style(style):
    for piece in of_style(style.name):
        assert [str(metre) for metre in piece.metres] == [style.metre]
        assert style.qpm[0] <= piece.qpm <= style.qpm[1]
        assert len(piece.bar_ticks()) - 1 in (8, 12, 16)
        assert (np.diff(piece.bar_ticks()) == style.steps * TICKS).all()


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_each_tab_fills_one_bar_evenly(style):
    for _, tabs in style.lines:
        for tab in tabs:
            assert style.steps % len(tab) == 0
            assert set(tab) <= set("Xxog?.-")


def test_two_hands_play_at_most_two_sounds_at_a_time_and_none_twice():
    for piece in pieces():
        places = piece.notes[["start", "pitch"]].tolist()
        assert len(set(places)) == len(places)
        by_hand = ~np.isin(piece.notes["pitch"], (KICK, PEDAL))
        assert np.bincount(piece.notes["start"][by_hand] // TICKS).max() <= 2


def test_loudness_stays_in_midi_and_accents_stand_out_from_ghost_notes():
    for piece in pieces():
        velocity = piece.notes["velocity"]
        assert velocity.min() >= 1
        assert velocity.max() <= 127
    for piece in of_style("ghosted backbeat"):
        snare = piece.notes[piece.notes["pitch"] == SNARE]
        on_beat = np.isin(snare["start"] // TICKS % 48, (12, 36))
        in_groove = snare["start"] // TICKS // 48 % 4 != 3
        accents, ghosts = (
            snare["velocity"][in_groove & o] for o in (on_beat, ~on_beat)
        )
        assert accents.min() > 2 * ghosts.max(initial=1) - 1


def test_bars_repeat_but_not_all_of_them():
    repeated, bars = np.array([repeated_bars(piece) for piece in pieces()]).T
    assert (repeated < bars).all()
    assert (repeated > 0).mean() > 0.9
    assert 0.3 < repeated.sum() / bars.sum() < 0.7


def test_a_crash_opens_a_phrase_and_the_last_hit_is_a_crash_with_a_kick():
    styles = {style.name: style for style in STYLES}
    for piece in pieces():
        style, notes = styles[piece.title], piece.notes
        last = notes["start"].max()
        assert set(notes["pitch"][notes["start"] == last]) == {KICK, CRASH}
        assert last == piece.bar_ticks()[-1] - style.beat * TICKS
        crashes = notes["start"][notes["pitch"] == CRASH] // TICKS
        assert (crashes[:-1] % (4 * style.steps) == 0).all()


def test_remi_keeps_every_piece_as_it_is():
    for piece in pieces():
        ids, cost = TOKENIZER.encode_measured(piece)
        assert TOKENIZER.decode(ids) == replace(piece, title="")
        assert cost.lost == cost.moved_metres == cost.cut_bars == 0


def test_drums_are_not_moved_by_transposition_and_the_recipe_asks_for_none():
    assert RECIPES["drums"].plan["max_shift"] == 0
    ids = TOKENIZER.encode(pieces()[0])
    for semitones in (-6, 1, 6):
        np.testing.assert_array_equal(TOKENIZER.augmented(ids, semitones), ids)
    table = Augmentation(RECIPES["drums"].plan["max_shift"]).table(TOKENIZER)
    np.testing.assert_array_equal(table, [np.arange(TOKENIZER.vocab_size)])


def test_drums_alone_are_in_no_key():
    assert key_in_words(pieces()[0]) == NO_KEY
    both = Score(
        notes_array([0, 0], 480, [36, 62], 80, [0, 1]),
        tracks=(Track(is_drum=True), Track()),
    )
    assert key_in_words(both) != NO_KEY


def test_the_corpus_is_gathered_without_a_file(monkeypatch):
    from studio import gather as room

    monkeypatch.setattr(room, "DRUM_PIECES", 34)
    dataset = room.gather(None, (DRUM_PATTERNS,), tokenizer="remi")
    counts = {name: split["pieces"] for name, split in dataset.counts.items()}
    assert sum(counts.values()) == 34
    assert min(counts.values()) > 0
    assert dataset.manifest["music"]["keys"] == {NO_KEY: 34}
    assert dataset.manifest["cost"]["lost"] == 0
    expected = {TOKENIZER.encode(piece).tobytes() for piece in drum_pieces(34)}
    read = {ids.tobytes() for split in counts for ids in dataset.pieces(split)}
    assert read == expected


def test_a_corpus_of_no_such_name_is_refused_with_ours_and_music21s():
    check_corpus_names([DRUM_PATTERNS, "bach"])
    with pytest.raises(ValueError, match=r"'tablas'.*bach.*drum-patterns"):
        check_corpus_names([DRUM_PATTERNS, "tablas"])
    assert "by rule" in source_line(DRUM_PATTERNS)
    assert "by rule" not in source_line("bach")


def drum_bundle():
    """An untrained model that strikes drums only."""
    architecture = MODELS["lstm"](
        vocab_size=TOKENIZER.vocab_size, embedding_dim=4, hidden_dim=4, num_layers=1
    )
    weights = {
        name: np.zeros(weight.shape, "float32")
        for name, weight in architecture.weights().items()
    }
    for kind in ("pitch", "program"):
        weights["head.bias"][list(TOKENIZER.vocabulary.ids(kind))] = -100
    facts = {"keys": {NO_KEY: 1}, "metres": {"4/4": 1}}
    return Bundle(architecture, weights, TOKENIZER.spec(), facts)


def test_a_drum_piece_has_the_bars_asked_for_and_names_no_key():
    piece = compose(drum_bundle(), Wish(bars=1, seed=1))
    assert piece.score.is_drum_note().all()
    assert piece.key == NO_KEY
    assert piece.score.keys == ()
    assert piece.bars == 1


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"key": "D"}, "`key`.*'D'"),
        ({"pitch_range": "C3:C5"}, "`range`.*'C3:C5'"),
        ({"program": 40}, "`instrument`.*40"),
    ],
)
def test_what_only_pitches_have_cannot_be_asked_of_drums(wish, told):
    with pytest.raises(ValueError, match=told.replace(".*", ".*drums alone.*")):
        compose(drum_bundle(), Wish(bars=2, **wish))


def test_the_command_in_a_card_has_no_option_that_train_lacks():
    import inspect
    from pathlib import Path

    from studio.cli_models import train
    from studio.commands.training import _command

    known = {name.replace("_", "-") for name in inspect.signature(train).parameters}
    for name, recipe in RECIPES.items():
        settings = {"recipe": name, "epochs": 2} | recipe.plan
        words = _command(None, [DRUM_PATTERNS], [], Path("o"), settings).split()
        assert {word[2:] for word in words if word.startswith("--")} <= known

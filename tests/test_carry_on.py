"""Continuing: what was given is untouched, what follows fits, whatever the weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT, data_folder, etude, tune

from audio_models import MODELS
from audio_models.bundle import Bundle
from audio_models.counted import count
from data_pipelines.abc import parse_tune
from data_pipelines.midi import midi_bytes, read_midi, write_midi
from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.melody import MelodyTokenizer
from studio.carry_on import Onward, carry_on, others_in_words, tempo_onward
from studio.lines import Grid
from studio.models import open_model

SCORES = ROOT / "assets" / "scores"
KINDS = ("melody", "chorale", "remi", "performance")


def random_bundle(kind, seed=0):
    """An untrained model of some tokens: what holds of it holds of any."""
    tokenizer = TOKENIZERS[kind]()
    architecture = MODELS["lstm"](
        vocab_size=tokenizer.vocab_size, embedding_dim=8, hidden_dim=12, num_layers=1
    )
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 0.3, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }
    return Bundle(architecture, weights, tokenizer.spec())


def counted_bundle(scores, order=6):
    """A melody model that has counted a few tunes."""
    tokenizer = MelodyTokenizer()
    pieces = [tokenizer.encode(score) for score in scores]
    return Bundle(*count(pieces, tokenizer.vocab_size, order=order), tokenizer.spec())


def ragged(seed=0, tracks=3, tick=100):
    """Music off the grid, with tempos, metres, a key and drums; 100 ticks a quarter."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 1600, 60))
    notes = notes_array(
        start,
        rng.integers(5, 130, 60),
        rng.integers(48, 80, 60),
        rng.integers(20, 120, 60),
        rng.integers(0, tracks, 60),
    )
    return Score(
        notes,
        tick,
        (Track("Flute", 73), Track("Piano", 0), Track("", 0, True))[:tracks],
        tempos=(Tempo(0, 90.0), Tempo(800, 133.0)),
        metres=(Metre(0, 3, 4), Metre(900, 4, 4)),
        keys=(Key(0, 2, True),),
        title="Ragged",
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_given_music_is_returned_bit_for_bit_and_more_follows(kind, seed):
    score = ragged(seed)
    done = carry_on(random_bundle(kind), score, Onward(bars=2, seed=seed, takes=4))
    assert done.score.notes[: len(score)].tobytes() == score.notes.tobytes()
    fresh = done.score.notes[len(score) :]
    assert len(fresh) == done.notes_added > 0
    assert (fresh["start"] >= score.end_tick).all()
    for name in ("ticks_per_quarter", "tracks", "tempos", "metres", "keys", "title"):
        assert getattr(done.score, name) == getattr(score, name)


@pytest.mark.parametrize("kind", KINDS)
def test_new_notes_stand_in_tracks_that_played_before(kind):
    score = ragged(2, tracks=2)
    done = carry_on(random_bundle(kind), score, Onward(bars=2, seed=1))
    fresh = done.score.notes[len(score) :]
    assert set(fresh["track"].tolist()) <= {0, 1}
    assert not done.score.is_drum_note().any()


@pytest.mark.parametrize("kind", ["melody", "chorale", "remi"])
@pytest.mark.parametrize("bars", [1, 3])
def test_so_many_bars_are_added_and_no_more(kind, bars):
    """64 eighths fill 8 bars of 4/4; what is added ends within its last bar."""
    score = tune([60, 62, 64, 65] * 16)
    done = carry_on(random_bundle(kind), score, Onward(bars=bars, seed=4))
    bar = 4 * 480
    assert (bars - 1) * bar < done.score.end_tick - 8 * bar <= bars * bar
    assert done.score.end_tick - 8 * bar <= bars * bar


def test_the_seconds_asked_for_are_added_by_the_clock():
    score = tune([60, 62, 64, 65] * 4)
    done = carry_on(random_bundle("performance"), score, Onward(seconds=6, seed=0))
    added = done.score.length_seconds - score.length_seconds
    assert 0 < added <= 6.01


def test_seconds_become_bars_of_the_tempo_in_force():
    """4/4 at 120: a bar lasts two seconds, so seven seconds are four bars, rounded."""
    score = tune([60, 62, 64, 65] * 4, qpm=120.0)
    done = carry_on(random_bundle("melody"), score, Onward(seconds=7, seed=0))
    assert done.bars == 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind):
    score = tune([60, 62, 64, 65] * 4)
    bundle = random_bundle(kind)
    first, again, other = (
        midi_bytes(carry_on(bundle, score, Onward(bars=2, seed=seed)).score)
        for seed in (7, 7, 8)
    )
    assert first == again != other


def test_a_last_bar_that_is_not_full_is_filled_before_more_bars_come():
    """Five quarters of 4/4: three of the second bar are left, then two more bars."""
    score = tune([60, 62, 64, 65, 67], duration=480)
    done = carry_on(random_bundle("melody"), score, Onward(bars=2, seed=0))
    assert done.begins == 5 * 480
    assert 12 * 480 < done.score.end_tick <= 16 * 480


def test_music_that_ends_off_the_grid_goes_on_at_the_next_step():
    score = tune([60, 62, 64], duration=500)  # ends at 1500; a step is 120
    done = carry_on(random_bundle("melody"), score, Onward(bars=1, seed=0))
    fresh = done.score.notes[len(score) :]
    assert fresh["start"].min() >= 1500
    on_grid = (fresh["start"] % 120 == 0) | (fresh["start"] == 1500)
    assert on_grid.all()


def test_an_upbeat_leaves_the_bar_lines_where_they_are():
    """A model that has counted one tune with an upbeat repeats it from its bar lines."""
    phrase = [67, 72, 72, 74, 76, 74, 72, 71]
    whole = tune(phrase * 8, duration=480, start=3 * 480)
    given = Score(
        whole.notes[:24], 480, whole.tracks, tempos=whole.tempos, metres=whole.metres
    )
    wish = Onward(bars=2, temperature=0.01, takes=1)
    done = carry_on(counted_bundle([whole], order=20), given, wish)
    fresh = done.score.notes[24:]
    expected = whole.notes[24 : 24 + len(fresh)]
    assert len(fresh) >= 4
    assert fresh["pitch"].tolist() == expected["pitch"].tolist()
    assert fresh["start"].tolist() == expected["start"].tolist()


def test_of_several_tracks_the_melody_goes_on_alone_and_that_is_told():
    score = ragged(3)
    done = carry_on(random_bundle("melody"), score, Onward(bars=2))
    fresh = done.score.notes[len(score) :]
    assert len(set(fresh["track"].tolist())) == 1
    (sentence,) = done.told
    assert "writes one voice" in sentence and "2 tracks stay" in sentence


def test_a_metre_that_the_model_lacks_is_kept_and_told():
    score = tune([60, 62, 64, 65, 67] * 4, duration=480, metre=(5, 4))
    done = carry_on(random_bundle("melody"), score, Onward(bars=2))
    assert done.score.metres == score.metres
    assert "knows no metre 5/4" in done.told[0]
    assert 25 * 480 < done.score.end_tick <= 30 * 480


def test_a_last_bar_cut_short_does_not_make_the_metre_of_what_follows():
    """3/4 with an upbeat: a file that calls its last bar 2/4 goes on in 3/4."""
    score = tune([60, 62, 64] * 4 + [65, 67], duration=480, metre=(3, 4))
    metres = (Metre(0, 3, 4), Metre(12 * 480, 2, 4))
    score = Score(score.notes, 480, score.tracks, score.tempos, metres)
    done = carry_on(random_bundle("melody"), score, Onward(bars=2))
    assert done.score.metres == (*metres, Metre(15 * 480, 3, 4))


def test_a_tempo_asked_for_begins_where_the_new_music_does():
    score = tune([60, 62, 64, 65], duration=480, qpm=100.0)
    done = carry_on(random_bundle("melody"), score, Onward(bars=1, qpm=60.0))
    assert done.score.tempos == (Tempo(0, 100.0), Tempo(4 * 480, 60.0))


def test_a_low_voice_goes_on_in_its_own_register():
    """Given pitches 36 to 43: what is added stays within a fifth of them."""
    score = tune([36, 38, 40, 41, 43, 41, 40, 38] * 2)
    for kind in ("melody", "chorale", "remi"):
        done = carry_on(
            random_bundle(kind), score, Onward(bars=2, temperature=3.0, takes=2)
        )
        pitches = done.score.notes["pitch"][len(score) :]
        assert pitches.min() >= 29 and pitches.max() <= 50


def test_one_note_is_enough_to_go_on_from():
    for kind in KINDS:
        done = carry_on(random_bundle(kind), tune([60]), Onward(bars=1))
        assert done.notes_added >= 1


def test_music_longer_than_the_context_is_gone_on_from():
    tokenizer = MelodyTokenizer()
    architecture = MODELS["transformer"](
        tokenizer.vocab_size, hidden_dim=8, num_layers=1, num_heads=2, context_length=32
    )
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.3, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }
    score = tune([60, 62, 64, 65] * 40)  # 320 steps
    bundle = Bundle(architecture, weights, tokenizer.spec())
    done = carry_on(bundle, score, Onward(bars=2))
    assert done.score.notes[: len(score)].tobytes() == score.notes.tobytes()


def test_a_grid_has_its_bar_lines_where_the_metre_has_them():
    score = tune([60] * 4, metre=(3, 4))
    grid = Grid.at(score, 700, Metre(700, 3, 4))
    assert grid.origin == 700 - 1440 and grid.bar == 12 and grid.beat == 4
    assert grid.step(700) == 12 and grid.tick(13) == 820


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"bars": 0}, r"`bars` must be in 1\.\.256\. Received: 0"),
        ({"seconds": 0.5}, r"`seconds` must be in 1\.\.3600"),
        ({"bars": 2, "seconds": 3}, "`bars` or `seconds`, not both"),
        ({"temperature": -1}, "`temperature` must be in"),
        ({"top_p": 1.5}, r"`top_p` must be in \(0, 1\]\. Received: 1\.5"),
        ({"qpm": 5.0}, "`tempo` must be in"),
        ({"takes": 0}, "`takes` must be in"),
    ],
)
def test_a_wish_out_of_range_is_named(wish, message):
    with pytest.raises(ValueError, match=message):
        carry_on(random_bundle("melody"), tune([60]), Onward(**wish))


def test_a_model_that_reads_from_both_sides_is_refused():
    from audio_models import FILLERS

    tokenizer = TOKENIZERS["chorale"]()
    filler = FILLERS["bilstm"](tokenizer.vocab_size, embedding_dim=4, hidden_dim=4)
    bundle = Bundle(filler, {}, tokenizer.spec())
    with pytest.raises(ValueError, match="reads from both sides"):
        carry_on(bundle, tune([60]), Onward())


@pytest.mark.parametrize("name", ["unfinished-opening", "unfinished-cellos"])
def test_the_themes_of_the_unfinished_have_full_bars_in_their_key_and_metre(name):
    text = (SCORES / f"{name}.abc").read_text()
    score = parse_tune(text)
    bars, sharps, is_minor = (
        (8, 2, True) if name == "unfinished-opening" else (9, 1, False)
    )
    assert str(score.metre) == "3/4"
    assert score.end_tick == bars * 3 * score.ticks_per_quarter
    assert (score.keys[0].sharps, score.keys[0].is_minor) == (sharps, is_minor)
    lines = score.bar_ticks()[:-1]
    ties = [6, 7] if name == "unfinished-opening" else []  # F sharp is held for three
    starts = set(score.notes["start"].tolist())
    assert [
        bar for bar, tick in enumerate(lines.tolist()) if tick not in starts
    ] == ties


def test_an_opening_of_the_unfinished_is_completed():
    score = parse_tune((SCORES / "unfinished-opening.abc").read_text())
    done = carry_on(open_model("fiddle"), score, Onward(bars=4, seed=5, takes=4))
    assert done.key == "B minor"
    assert done.score.notes[:10].tobytes() == score.notes.tobytes()
    fresh = done.score.notes[10:]
    in_scale = np.isin(fresh["pitch"] % 12, [11, 1, 2, 4, 6, 7, 9, 8, 10])
    assert in_scale.mean() > 0.8
    assert fresh["pitch"].max() <= 57 and fresh["pitch"].min() >= 30
    assert fresh["duration"][-1] >= score.ticks_per_quarter
    assert 0 < done.end_probability <= 1


@pytest.mark.slow
def test_real_files_come_back_bit_for_bit():
    """Nottingham's and POP909's own files, with every kind of model."""
    paths = sorted(data_folder("nottingham").glob("*.mid"))[5:300:97]
    paths += sorted(data_folder("pop909").rglob("*.mid"))[:1]
    for number, path in enumerate(paths):
        score = read_midi(path)
        for kind in KINDS[number % 2 :: 2]:
            wish = Onward(bars=1, seed=number, takes=2)
            done = carry_on(random_bundle(kind), score, wish)
            assert done.score.notes[: len(score)].tobytes() == score.notes.tobytes()
            assert done.notes_added > 0


def test_the_command_writes_the_given_notes_again_and_more(tmp_path):
    source, target = tmp_path / "given.mid", tmp_path / "out.mid"
    write_midi(source, tune([67, 69, 71, 72, 74, 72, 71, 69] * 2))
    done = etude("continue", source, "--bars", 1, "--seed", 3, "-o", target, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    given, longer = read_midi(source), read_midi(target)
    assert longer.notes[: len(given)].tobytes() == given.notes.tobytes()
    assert len(longer) == facts["notes_given"] + facts["notes_added"]
    assert facts["seed"] == 3 and facts["notes_given"] == 16


@pytest.mark.parametrize(
    ("pitches", "drums", "options", "status", "says"),
    [
        ([60], True, ("-m", "fiddle"), 3, "drums only"),
        ([60], False, ("--bars", "0"), 2, "`bars` must be in 1..256. Received: 0"),
        ([60], False, ("--bars", "1", "--seconds", "9"), 2, "not both"),
        ([60], False, ("-m", "drums"), 2, "has no drums"),
        ([60], False, ("-m", "nobody"), 2, "No model is called 'nobody'"),
    ],
)
def test_bad_input_is_one_clear_line(pitches, drums, options, status, says, tmp_path):
    score = tune(pitches * 4)
    tracks = (Track("Kit", 0, drums),)
    write_midi(tmp_path / "a.mid", Score(score.notes, 480, tracks))
    done = etude("continue", tmp_path / "a.mid", *options, "-o", tmp_path / "o.mid")
    assert done.returncode == status
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o.mid").exists()


def test_a_piece_that_slows_down_goes_on_as_before():
    """4/4 of 480 ticks, 8 bars: slower from bar 7 on."""
    score = tune([60, 62, 64, 65] * 16, qpm=100.0)
    bar = 4 * 480
    slowing = (Tempo(0, 100.0), Tempo(6 * bar, 90.0), Tempo(7 * bar, 70.0))
    assert tempo_onward(replace(score, tempos=slowing)) == (100.0, True)
    slower_part = (Tempo(0, 100.0), Tempo(6 * bar, 70.0))  # two bars, at one tempo
    assert tempo_onward(replace(score, tempos=slower_part)) == (70.0, False)
    faster = (Tempo(0, 100.0), Tempo(6 * bar, 110.0), Tempo(7 * bar, 120.0))
    assert tempo_onward(replace(score, tempos=faster)) == (120.0, False)
    assert tempo_onward(replace(score, tempos=())) == (120.0, False)

    given = replace(score, tempos=slowing)
    done = carry_on(random_bundle("melody"), given, Onward(bars=1, takes=2))
    assert done.score.tempos == (*slowing, Tempo(given.end_tick, 100.0))
    assert any("slows down" in sentence for sentence in done.told)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_says_behind_its_last_note_does_not_bend_what_is_added(kind):
    score = tune([60, 62, 64, 65] * 4, qpm=100.0)
    end = score.end_tick
    trailing = replace(
        score,
        tempos=(*score.tempos, Tempo(end + 960, 30.0)),
        metres=(*score.metres, Metre(end + 960, 3, 4)),
    )
    done = carry_on(random_bundle(kind), trailing, Onward(bars=2, takes=2))
    assert done.score.tempos == score.tempos and done.score.metres == score.metres
    assert done.score.notes[: len(score)].tobytes() == score.notes.tobytes()
    assert any("behind its last note" in sentence for sentence in done.told)


def test_one_track_and_several_are_told_apart_in_words():
    assert others_in_words(1) == "the other track stays as it is"
    assert others_in_words(3) == "the other 3 tracks stay as they are"


def test_drums_have_no_key():
    score = tune([36, 42, 38, 42] * 4)
    drums = replace(score, tracks=(Track("Kit", 0, True),))
    done = carry_on(random_bundle("remi"), drums, Onward(bars=1, takes=2))
    assert done.key == "no key"
    assert done.score.is_drum_note().all()

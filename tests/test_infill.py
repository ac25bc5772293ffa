"""Infilling: only the bars asked for change, note for note, whatever the weights."""

import json

import numpy as np
import pytest
from conftest import data_folder, etude, tune
from test_carry_on import counted_bundle, ragged, random_bundle

from audio_models import MODELS
from audio_models.bundle import Bundle
from data_pipelines.midi import midi_bytes, read_midi, write_midi
from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.melody import MelodyTokenizer, pick_melody
from studio.infill import Gap, infill
from studio.lines import Grid, lines_of, metre_at, octave_of, table_of, voices_of
from studio.models import open_model

KINDS = ("melody", "chorale", "remi")
BAR = 4 * 480
SCALE = [60, 62, 64, 65, 67, 65, 64, 62]  # eight eighths: a bar


def rows(notes):
    return sorted(map(tuple, notes.tolist()))


def within(score, first, last):
    """Which notes start in bars `first` to `last`, counted from 1, by the bar lines."""
    lines = score.bar_ticks()
    start = score.notes["start"]
    return (start >= lines[first - 1]) & (start < lines[last])


def four_voices(bars=6):
    """Soprano, alto, tenor and bass in quarters; the tenor holds over each bar line."""
    columns = []
    for voice, low in enumerate((72, 65, 58, 48)):
        start = np.arange(bars * 4) * 480
        length = np.full(len(start), 480)
        if voice == 2:
            keep = np.arange(len(start)) % 4 != 0
            keep[0] = True
            start, length = start[keep], length[keep]
            length[np.arange(len(start)) % 3 == 0] = 480
            length[-1] = 480
            length[:-1] = np.diff(start)
        pitch = low + np.arange(len(start)) % 5
        columns.append(notes_array(start, length, pitch, 70, voice))
    names = ("Soprano", "Alto", "Tenor", "Bass")
    return Score(
        np.concatenate(columns),
        480,
        tuple(Track(name, 52) for name in names),
        tempos=(Tempo(0, 96.0),),
        metres=(Metre(0, 4, 4),),
        keys=(Key(0, -1),),
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bars", [(1, 1), (2, 3), (5, 6), (1, 6)])
def test_every_note_that_does_not_start_within_the_bars_is_as_it_was(kind, bars):
    score = ragged(1) if kind == "remi" else four_voices()
    if kind == "remi":
        score = Score(score.notes, 100, score.tracks, score.tempos)  # one metre
        bars = (min(bars[0], 4), min(bars[1], 4))  # it has four, the last one begun
    done = infill(random_bundle(kind), score, Gap(*bars, seed=3, particles=4))
    inside = within(score, *bars)
    own = np.ones(len(score), dtype=bool)
    if kind == "melody":
        own = score.notes["track"] == pick_melody(score)[0]
    kept = rows(score.notes[~(inside & own)])
    assert rows(done.score.notes) == sorted(kept + rows(done.added))
    lines = score.bar_ticks()
    assert (done.added["start"] >= lines[bars[0] - 1]).all()
    assert (done.added["start"] < lines[bars[1]]).all()
    assert done.removed == (inside & own).sum()
    for name in ("ticks_per_quarter", "tracks", "tempos", "metres", "keys", "title"):
        assert getattr(done.score, name) == getattr(score, name)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["melody", "chorale"])
def test_off_grid_notes_outside_the_bars_stay_off_the_grid(kind, seed):
    score = ragged(seed)
    done = infill(random_bundle(kind), score, Gap(2, 3, seed=seed, particles=8))
    outside = score.notes[~within(score, 2, 3)]
    assert set(rows(outside)) <= set(rows(done.score.notes))


def test_a_note_that_rings_into_the_bars_rings_on_and_none_starts_under_it():
    """The last note of bar 1 lasts a beat into bar 2: a melody waits for its end."""
    score = tune(SCALE * 4)
    notes = score.notes.copy()
    notes["duration"][7] += 480
    notes = np.delete(notes, [8, 9])  # nothing else there
    score = Score(notes, 480, score.tracks, score.tempos, score.metres)
    done = infill(random_bundle("melody"), score, Gap(2, 2, particles=8))
    assert (8 - 1) * 240 in done.score.notes["start"]
    ringing = done.score.notes[done.score.notes["start"] == 7 * 240][0]
    assert ringing["duration"] == 240 + 480
    assert done.added["start"].min() >= BAR + 480


def test_in_one_voice_no_new_note_sounds_over_the_next_given_one():
    score = tune(SCALE * 4)
    for seed in range(4):
        done = infill(random_bundle("melody"), score, Gap(2, 3, seed=seed, particles=8))
        end = done.added["start"] + done.added["duration"]
        assert (end <= 3 * BAR).all()  # where bar 4 begins with a note
        assert (end[:-1] <= done.added["start"][1:]).all()


def test_a_model_that_reads_steps_of_four_voices_fills_them_too():
    """`VoiceLSTM` keeps the tokens of a step in its state: these are copied as well."""
    tokenizer = TOKENIZERS["chorale"]()
    architecture = MODELS["voices"](
        tokenizer.vocab_size, embedding_dim=4, hidden_dim=6, num_layers=1, chain_dim=6
    )
    rng = np.random.default_rng(1)
    weights = {
        name: rng.normal(0, 0.3, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }
    score = four_voices()
    bundle = Bundle(architecture, weights, tokenizer.spec())
    done = infill(bundle, score, Gap(2, 2, particles=4))
    outside = rows(score.notes[~within(score, 2, 2)])
    assert rows(done.score.notes) == sorted(outside + rows(done.added))


def test_a_table_with_blanks_is_the_tokens_of_the_piece_but_for_the_gap():
    """What a model that reads both sides is asked: each id, or a blank."""
    tokenizer, score = MelodyTokenizer(), tune(SCALE * 4)
    lines = score.bar_ticks()
    grid = Grid.at(score, int(lines[1]), score.metre)
    voices = voices_of(score, tokenizer)
    kept = ~within(score, 2, 2)
    table = table_of(
        tokenizer,
        lines_of(score, voices, kept, grid),
        grid,
        free=16,
        onsets_until=32,
        until=64,
        voices=(0,),
        may_end=True,
        compass={0: range(50, 80)},
    )
    blank = -1
    expected = tokenizer.encode(score)
    expected[2 + 16 : 2 + 32] = blank
    assert table.with_blanks(blank).tolist() == expected.tolist()


@pytest.mark.parametrize("track", [0, 1, 3])
def test_of_four_voices_one_can_be_written_anew_under_the_others(track):
    score = four_voices()
    done = infill(
        random_bundle("chorale"), score, Gap(2, 4, track=track, particles=8, seed=1)
    )
    assert set(done.added["track"].tolist()) <= {track}
    others = score.notes["track"] != track
    now = done.score.notes["track"] != track
    assert rows(done.score.notes[now]) == rows(score.notes[others])
    assert done.told


def test_a_track_asked_for_is_the_one_that_a_melody_model_writes():
    score = ragged(4)
    done = infill(random_bundle("melody"), score, Gap(2, 2, track=1, particles=8))
    assert set(done.added["track"].tolist()) <= {1}
    others = score.notes[score.notes["track"] != 1]
    now = done.score.notes[done.score.notes["track"] != 1]
    assert others.tobytes() == now.tobytes()


def test_a_model_that_knows_the_tune_puts_the_missing_bar_back():
    """A counted model of one tune in which each bar differs: only one bar fits both."""
    rng = np.random.default_rng(3)
    whole = tune(60 + rng.permutation(64) % 24)
    bundle = counted_bundle([whole], order=8)
    done = infill(bundle, whole, Gap(4, 4, temperature=0.05, particles=32))
    assert rows(done.score.notes)[24:32] == rows(whole.notes)[24:32]


def test_writers_that_look_ahead_lead_into_what_follows():
    """A bar of a tune with two ways out: the last bar given says which was taken."""
    ways = [[60, 62, 64, 65], [72, 71, 69, 67]]
    goals = [[76, 76, 76, 76], [48, 48, 48, 48]]
    scores = [
        tune([55, 55, 55, 55, *way, *goal], duration=480)
        for way, goal in zip(ways, goals, strict=True)
    ]
    bundle = counted_bundle(scores * 12, order=16)
    hits = {1: 0, 32: 0}
    for score, way in zip(scores, ways, strict=True):
        for particles in hits:
            for seed in range(8):
                done = infill(bundle, score, Gap(2, 2, seed=seed, particles=particles))
                hits[particles] += done.score.notes["pitch"][4:-4].tolist() == way
    assert hits[32] >= 15  # of 16
    assert hits[1] <= 12  # a coin is tossed: 8 are to be expected at most


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind):
    score, bundle = tune(SCALE * 4), random_bundle(kind)
    first, again, other = (
        midi_bytes(infill(bundle, score, Gap(2, 3, seed=seed, particles=6)).score)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_other_tracks_and_drums_play_on_where_a_melody_is_written_anew():
    score = ragged(5)
    done = infill(random_bundle("melody"), score, Gap(1, 4, particles=4))
    track, _ = pick_melody(score)
    others = score.notes[score.notes["track"] != track]
    now = done.score.notes[done.score.notes["track"] != track]
    assert others.tobytes() == now.tobytes()
    assert "what else plays in these bars stays" in done.told[0]


@pytest.mark.parametrize(
    ("gap", "message"),
    [
        ({"first": 0, "last": 2}, r"bars in 1\.\.4.*both included. Received: 0:2"),
        ({"first": 2, "last": 5}, r"bars in 1\.\.4.*Received: 2:5"),
        ({"first": 3, "last": 2}, "the earlier first.*Received: 3:2"),
        (
            {"first": 1, "last": 1, "track": 1},
            r"`track` must be in 1\.\.1. Received: 2",
        ),
        ({"first": 1, "last": 1, "particles": 0}, r"`particles` must be in 1\.\.4096"),
        ({"first": 1, "last": 1, "top_p": 0.0}, r"`top_p` must be in \(0, 1\]"),
        ({"first": 1, "last": 1, "look": 9}, r"`look` must be in 1\.\.4"),
    ],
)
def test_a_gap_out_of_range_is_named(gap, message):
    with pytest.raises(ValueError, match=message):
        infill(random_bundle("melody"), tune(SCALE * 4), Gap(**gap))


def test_what_a_kind_of_model_cannot_do_is_said():
    score = four_voices()
    with pytest.raises(ValueError, match="performance tokens knows no bars"):
        infill(random_bundle("performance"), score, Gap(1, 1))
    with pytest.raises(ValueError, match="tracks 1 and 2 have one instrument"):
        infill(random_bundle("remi"), score, Gap(1, 1, track=0))
    drums = Score(
        np.concatenate([score.notes, notes_array([0], 480, 36, 80, 4)]),
        480,
        (*score.tracks, Track("Kit", 0, True)),
    )
    for kind in ("melody", "chorale"):
        with pytest.raises(ValueError, match="track 5 is a drum kit's"):
            infill(random_bundle(kind), drums, Gap(1, 1, track=4))


@pytest.mark.slow
def test_real_files_change_in_the_bars_alone():
    """Nottingham, POP909, and a chorale and a song of music21's corpus."""
    from music21 import corpus

    from data_pipelines.exchange import from_music21

    files = sorted(data_folder("nottingham").glob("*.mid"))[3:400:150]
    files += sorted(data_folder("pop909").rglob("*.mid"))[:1]
    scores = [read_midi(path) for path in files]
    scores += [from_music21(corpus.parse(name)) for name in ("bwv66.6", "bwv269")]
    for number, score in enumerate(scores):
        for kind in ("melody", "chorale", "remi")[number % 2 : 2 + number % 2]:
            gap = Gap(2, 3, seed=number, particles=4)
            try:
                done = infill(random_bundle(kind), score, gap)
            except ValueError as error:
                assert "metre changes" in str(error)
                continue
            outside = rows(score.notes[~within(score, 2, 3)])
            assert set(outside) <= set(rows(done.score.notes))
            now = done.score.notes[~within(done.score, 2, 3)]
            assert rows(now) == outside


def suffix_cost(bundle, score, bar):
    """Nats a note of the melody in one bar, by the model, given all before it."""
    from audio_models.scoring import token_log_probabilities
    from data_pipelines.tokenizers import tokenizer_from_spec

    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    lines = score.bar_ticks()
    grid = Grid.at(score, int(lines[bar - 1]), metre_at(score, int(lines[bar - 1])))
    voices = voices_of(score, tokenizer)
    line = lines_of(score, voices, np.ones(len(score), dtype=bool), grid)
    free, end = grid.step(int(lines[bar - 1])), grid.step(int(lines[bar]))
    end = min(end, int(line["end"].max()))
    line["pitch"] += 12 * octave_of(bundle, tokenizer, line, grid)
    table = table_of(
        tokenizer,
        line,
        grid,
        free=free,
        onsets_until=free,
        until=end,
        voices=(),
        may_end=False,
        compass={},
    )
    ids = np.concatenate([table.prefix, table.sheet.may_stand.argmax(axis=1)])
    nats = token_log_probabilities(bundle.architecture, bundle.weights, ids)
    new = slice(len(table.prefix) - 1, None)
    return -nats[new].sum(), int(tokenizer.is_note(ids[1:][new]).sum())


def gap_costs(bundle, scores, particles, seed=0):
    """Total nats over total notes of the first bar after bars 5 and 6 written anew."""
    total = np.zeros(2)
    for number, score in enumerate(scores):
        if particles:
            gap = Gap(5, 6, seed=seed + number, particles=particles)
            score = infill(bundle, score, gap).score
        total += suffix_cost(bundle, score, 7)
    return total[0] / total[1]


def held_out_tunes(count, seed=0):
    """Nottingham's tunes of at least nine bars: none of them was trained on."""
    rng = np.random.default_rng(seed)
    paths = sorted(data_folder("nottingham").glob("*.mid"))
    found = []
    for index in rng.permutation(len(paths)):
        score = read_midi(paths[index])
        track, _ = pick_melody(score)
        score = Score(
            score.track_notes(track), score.ticks_per_quarter, score.tracks,
            score.tempos, score.metres,
        )  # fmt: skip
        lines = score.bar_ticks()
        bars = np.histogram(score.notes["start"], lines)[0]
        if len(bars) >= 9 and (bars[3:8] > 0).all():
            found.append(score)
        if len(found) == count:
            return found
    return found


@pytest.mark.slow
def test_what_follows_is_better_expected_after_a_gap_filled_with_an_eye_to_it():
    bundle, scores = open_model("fiddle"), held_out_tunes(5)
    assert gap_costs(bundle, scores, 32) < gap_costs(bundle, scores, 1) - 0.1


def test_the_command_changes_the_bars_alone(tmp_path):
    source, target = tmp_path / "given.mid", tmp_path / "out.mid"
    write_midi(source, tune(SCALE * 4))
    done = etude(
        "infill", source, "--bars", "2:3", "--particles", 4, "--seed", 1,
        "-o", target, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    given, changed = read_midi(source), read_midi(target)
    assert facts["bars"] == [2, 3] and facts["notes_removed"] == 16
    assert rows(given.notes[~within(given, 2, 3)]) == rows(
        changed.notes[~within(changed, 2, 3)]
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--bars", "3:9"), "`bars` must name bars in 1..4"),
        (("--bars", "two"), "counted from 1 and both included, as in 5:8"),
    ],
)
def test_bad_input_is_one_clear_line(options, says, tmp_path):
    write_midi(tmp_path / "a.mid", tune(SCALE * 4))
    done = etude("infill", tmp_path / "a.mid", *options, "-o", tmp_path / "o.mid")
    assert done.returncode == 2
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_new_note_does_not_ring_into_bars_that_were_silent():
    """Bars 1 and 4 are given, 2 and 3 are empty, and bar 2 is filled: it ends there."""
    notes = notes_array(
        np.r_[np.arange(8) * 240, 3 * 1920 + np.arange(8) * 240],
        240,
        60 + np.arange(16),
    )
    score = Score(notes, 480, metres=(Metre(0, 4, 4),))
    for seed in range(4):
        done = infill(random_bundle("melody"), score, Gap(2, 2, seed=seed, particles=4))
        ends = done.added["start"] + done.added["duration"]
        assert (ends <= 2 * 1920).all()

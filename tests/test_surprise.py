"""A piece weighed note by note: the parts are the whole, and each is where it stands."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder, tune
from PIL import Image

from audio_models import MODELS
from audio_models.bundle import Bundle, save_bundle
from audio_models.counted import count
from audio_models.expectation import LEAST_SPAN, expectations
from audio_models.scoring import token_log_probabilities
from data_pipelines.midi import read_midi, write_midi
from data_pipelines.piano_roll import SCALE, draw_piano_roll
from data_pipelines.score import Score, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.vocabulary import BOS, EOS
from studio.cli import run
from studio.errors import NothingUsable, WrongUsage
from studio.surprise import named, notes_of_tokens, placed_in, told, weigh

KINDS = ("melody", "chorale", "performance", "remi")


def untrained(vocab_size, name="lstm", seed=0, **sizes):
    """An architecture and weights drawn by chance: laws hold whatever they are."""
    sizes = sizes or {"embedding_dim": 4, "hidden_dim": 8, "num_layers": 1}
    architecture = MODELS[name](vocab_size=vocab_size, **sizes)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, 0.3, weight.shape).astype(np.float32)
        for name, weight in architecture.weights().items()
    }
    return architecture, weights


def bundle_of(kind, facts=None):
    tokenizer = TOKENIZERS[kind]()
    return Bundle(*untrained(tokenizer.vocab_size), tokenizer.spec(), facts or {})


def four_voices():
    """Two bars of 4/4; soprano and alto meet on one pitch at the second quarter."""
    lines = [[72, 67, 74, 72], [67, 67, 67, 64], [64, 64, 62, 60], [48, 52, 55, 48]]
    rows = [(480 * n, p, v) for v, line in enumerate(lines) for n, p in enumerate(line)]
    start, pitch, voice = np.array(rows).T
    tracks = tuple(Track(name) for name in ("Soprano", "Alto", "Tenor", "Bass"))
    return Score(notes_array(start, 480, pitch, 80, voice), 480, tracks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("piece", ["one voice", "four voices", "a file"])
def test_the_notes_and_the_rest_add_up_to_all_real_tokens(kind, piece):
    if piece == "a file":
        score = read_midi(data_folder("pop909") / "001.mid")
    else:
        score = four_voices() if piece == "four voices" else tune([60, 64, 67, 64] * 3)
    bundle = bundle_of(kind)
    found = weigh(bundle, score)
    tokenizer = TOKENIZERS[kind]()
    ids = tokenizer.encode(score)
    whole = -token_log_probabilities(bundle.architecture, bundle.weights, ids)
    rest = sum(nats for _, nats in found.other.values())
    assert found.nats_of_notes + rest == pytest.approx(whole.sum(), rel=1e-6)
    assert found.total == pytest.approx(whole.sum(), rel=1e-6)
    assert found.tokens == len(ids) - 1
    of_notes = int((notes_of_tokens(tokenizer, ids) >= 0).sum())
    assert sum(n for n, _ in found.other.values()) == found.tokens - of_notes
    assert len(found.notes) == tokenizer.is_note(ids).sum() == len(score) - found.lost
    assert len({note.index for note in found.notes}) == len(found.notes)
    assert not found.is_as_read


def test_a_note_owns_the_tokens_that_tell_it_and_no_others():
    remi = TOKENIZERS["remi"]()
    score = Score(notes_array([0, 0, 480], 480, [60, 64, 62]), 480)
    ids = remi.encode(score)
    # bos bar metre position program | p v d | p v d | position | p v d | eos
    expected = [-1] * 5 + [0] * 3 + [1] * 3 + [-1] + [2] * 3 + [-1]
    assert notes_of_tokens(remi, ids).tolist() == expected
    performance = TOKENIZERS["performance"]()
    words = performance.vocabulary
    on, off, shift, loud = (
        words.ids(kind)[0] for kind in ("note_on", "note_off", "time_shift", "velocity")
    )
    # Two keys under one velocity; each is owned where it goes up, in either order.
    ids = [BOS, loud, on + 60, on + 64, shift, off + 64, shift, off + 60, EOS]
    assert notes_of_tokens(performance, ids).tolist() == [-1, 0, 0, 1, -1, 1, -1, 0, -1]
    # Struck again while it sounds: the key that goes up is the second note's.
    ids = [BOS, on + 60, shift, on + 60, shift, off + 60, off + 61, EOS]
    assert notes_of_tokens(performance, ids).tolist() == [-1, 0, -1, 1, -1, 1, -1, -1]


@pytest.mark.parametrize("positions", ["rotary", "relative", "sinusoidal", "learned"])
def test_past_the_context_each_token_costs_what_the_whole_piece_says(positions):
    sizes = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "context_length": 8}
    made = untrained(20, "transformer", **sizes, positions=positions)
    ids = np.random.default_rng(1).integers(0, 20, 3 * LEAST_SPAN + 5)
    found = expectations(*made, ids)
    whole = token_log_probabilities(*made, ids)
    np.testing.assert_allclose(found.nats, -whole, atol=1e-4)
    assert (found.likeliest_nats <= found.nats + 1e-6).all()


def test_what_is_read_at_a_time_does_not_grow_with_the_piece(monkeypatch):
    sizes = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "context_length": 8}
    architecture, weights = untrained(20, "transformer", **sizes)
    asked, forward = [], type(architecture).forward

    def counted(self, ops, weights, ids, *more):
        asked.append(ids.shape[1])
        return forward(self, ops, weights, ids, *more)

    monkeypatch.setattr(type(architecture), "forward", counted)
    for length in (600, 1200, 2400):
        asked.clear()
        expectations(architecture, weights, np.zeros(length + 1, dtype=int))
        assert max(asked) <= LEAST_SPAN + 2 * 7
        assert sum(asked) <= length * (1 + 2 * 7 / LEAST_SPAN) + 2 * 7


def test_a_piece_of_no_token_or_one_has_nothing_to_tell():
    made = untrained(9)
    assert len(expectations(*made, [])) == len(expectations(*made, [1])) == 0
    with pytest.raises(ValueError, match=r"must be in 0\.\.8. Received: 1\.\.9"):
        expectations(*made, [1, 9])


def scale_model():
    """Counted from one tune, over and over: all it knows is how that tune goes."""
    melody = TOKENIZERS["melody"]()
    ids = melody.encode(tune([60, 62, 64, 65, 67, 69, 71, 72] * 4))
    model = count([ids] * 9, melody.vocab_size, order=6)
    return Bundle(*model, melody.spec())


def test_the_one_wrong_note_is_found_with_its_place_and_what_was_expected():
    pitches = [60, 62, 64, 65, 67, 69, 71, 72] * 4
    pitches[13] = 70  # eighths in 4/4: bar 2, the second half of beat 3
    found = weigh(scale_model(), tune(pitches))
    worst = found.least_expected(1)[0]
    assert (worst.index, worst.bar, worst.beat, worst.name) == (13, 2, 3.5, "A#4")
    assert worst.expected == "A4"
    assert worst.chance > 0.9 > 0.01 > worst.given
    assert worst.second == pytest.approx(13 * 0.25)
    right = weigh(scale_model(), tune([60, 62, 64, 65, 67, 69, 71, 72] * 4))
    assert right.nats_per_note < found.nats_per_note


def test_beats_are_dotted_where_the_metre_is_compound():
    found = weigh(bundle_of("remi"), tune([60] * 7, duration=240, metre=(6, 8)))
    beats = [(note.bar, note.beat) for note in found.notes]
    assert beats[:4] == [(1, 1), (1, 1.33), (1, 1.67), (1, 2)]
    assert beats[6] == (2, 1)
    found = weigh(bundle_of("remi"), tune([60] * 4, duration=480, metre=(3, 4)))
    assert [note.beat for note in found.notes] == [1, 2, 3, 1]


def test_notes_are_named_where_they_stand_in_the_file():
    silent = tune([60, 62, 64], start=3 * 1920 + 480)  # three bars and a beat
    for kind in KINDS:
        found = weigh(bundle_of(kind), silent)
        assert [note.bar for note in found.notes] == [4, 4, 4]
        assert [note.beat for note in found.notes] == [2, 2.5, 3]
    rng = np.random.default_rng(0)
    shaken = silent.notes.copy()
    shaken["start"] += rng.integers(-20, 20, 3).astype(np.int32)
    found = weigh(bundle_of("melody"), replace(silent, notes=shaken))
    assert [note.index for note in found.notes] == [0, 1, 2]


def test_voices_that_meet_on_one_pitch_keep_each_their_own_note():
    score = four_voices()
    found = weigh(bundle_of("chorale"), score)
    assert [n for _, n, _ in found.by_track()] == [4, 4, 4, 4]
    assert [note.index for note in found.notes] == list(range(16))
    whole = sum(notes * nats for _, notes, nats in found.by_track())
    assert whole == pytest.approx(found.nats_of_notes)


def test_notes_that_are_not_in_the_score_are_not_invented():
    melody = TOKENIZERS["melody"]()
    score = tune([60, 62])
    assert placed_in(score, tune([60, 62]), melody).tolist() == [0, 1]
    assert placed_in(score, tune([60, 63]), melody) is None
    assert placed_in(score, tune([60, 62], duration=480), melody) is None


def test_tokens_are_told_in_words():
    remi, performance = TOKENIZERS["remi"](), TOKENIZERS["performance"]()
    first = remi.vocabulary.ids("duration")[0]
    assert told(remi, first + 11) == "1 quarters long"
    assert told(performance, performance.vocabulary.ids("time_shift")[4]) == (
        "a wait of 50 ms"
    )
    assert [named(58), named(58, -1), named(61, -5), named(61, 2)] == [
        "A#3", "Bb3", "Db4", "C#4",
    ]  # fmt: skip


def test_what_cannot_be_weighed_is_told_in_a_sentence():
    text = TOKENIZERS["wave"]()
    bundle = Bundle(*untrained(text.vocab_size), text.spec())
    with pytest.raises(WrongUsage, match=r"a model of scores\. Received: one of wave"):
        weigh(bundle, tune([60]))
    drums = replace(tune([36, 38]), tracks=(Track("", 0, True),))
    with pytest.raises(NothingUsable, match="drums only"):
        weigh(bundle_of("melody"), drums)
    assert weigh(bundle_of("remi"), drums).notes[0].name == "drum 36"


def test_marked_notes_are_framed_and_numbered_and_no_others():
    score = tune([60, 72, 64])
    plain = np.asarray(draw_piano_roll(score, "t"))
    marked = np.asarray(draw_piano_roll(score, "t", marks=[1]))
    changed = np.argwhere((plain != marked).any(axis=2)) / SCALE
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    # One bar of 720 points: the second eighth is 90..180, after margin and keys.
    assert 58 + 90 - 4 < left < right < 58 + 180 + 4
    assert bottom - top > 20  # the frame, and a disc apart from it
    assert (marked == 0x2B).any()
    with pytest.raises(ValueError, match=r"row of the 3 notes\. Received: 3"):
        draw_piano_roll(score, marks=[3])


def test_the_command_weighs_a_file_and_its_figures_agree(tmp_path, capsys):
    write_midi(tmp_path / "a.mid", tune([60, 62, 64, 65, 67, 69, 71, 72] * 4))
    model = replace(scale_model(), card="# card\n", sample=b"MThd")
    save_bundle(tmp_path / "m.bundle", model)
    asked = ["score", str(tmp_path / "a.mid"), "-m", str(tmp_path / "m.bundle")]
    asked += ["-o", str(tmp_path / "a.png"), "-n", "3"]
    assert run([*asked, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["by_note"]) == facts["notes"] == 32
    parts = [note["nats"] for note in facts["by_note"]]
    parts += [kind["nats"] for kind in facts["other_tokens"].values()]
    assert sum(parts) == pytest.approx(facts["nats"], abs=0.01)
    assert facts["nats_per_note"] == pytest.approx(facts["nats"] / 32, abs=1e-3)
    assert [n["nats"] for n in facts["least_expected"]] == sorted(parts[:32])[:-4:-1]
    with Image.open(tmp_path / "a.png") as image:
        assert image.width > 1000
    assert run(asked) == 0
    assert "  1. bar " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["nowhere.mid"], 2, "No such file: nowhere.mid"),
        (["a.mid", "-n", "100"], 2, "`worst` must be in 0..99. Received: 100"),
        (["a.mid", "-o", "a.wav"], 2, "must be one of .png. Received: .wav"),
        (["a.mid", "-m", "nobody"], 2, "No model is called 'nobody'"),
        (["bad.mid"], 3, "bad.mid: "),
    ],
)
def test_what_is_asked_in_vain_is_told_in_one_line(
    more, status, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    write_midi("a.mid", tune([60, 62]))
    (tmp_path / "bad.mid").write_bytes(b"MThd but no more")
    assert run(["score", *more]) == status
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def one_note_changed(ids, tokenizer, rng):
    """The same tune with one of its notes 1 to 5 semitones higher or lower."""
    changed = ids.copy()
    at = rng.choice(np.flatnonzero(tokenizer.is_note(ids)))
    changed[at] += int(rng.choice([-1, 1])) * int(rng.integers(1, 6))
    return changed


def totals(bundle, rows):
    """The log-probability of each row of ids, scored together, what is padded left out."""
    lengths = np.array([len(row) for row in rows])
    padded = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    nats = token_log_probabilities(bundle.architecture, bundle.weights, padded)
    return (nats * (np.arange(1, lengths.max()) < lengths[:, None])).sum(axis=1)


def in_batches(bundle, rows, size=100):
    parts = [totals(bundle, rows[i : i + size]) for i in range(0, len(rows), size)]
    return np.concatenate(parts)


@pytest.mark.slow
def test_a_real_tune_is_worth_more_than_the_same_with_one_note_changed(monkeypatch):
    """500 pairs of the tunes that the shipped model never saw, drawn with seed 0."""
    dataset = fiddle_dataset()
    from audio_models.ngram import NGram
    from studio.models import open_model

    tokenizer, bundle = dataset.tokenizer, open_model("fiddle")
    tunes = sorted(dataset.pieces("test"), key=len)
    rng = np.random.default_rng(0)
    of = np.sort(rng.integers(0, len(tunes), 500))
    changed = [one_note_changed(tunes[n], tokenizer, rng) for n in of]
    drawn, which = np.unique(of, return_inverse=True)  # a tune may be drawn again
    real = in_batches(bundle, [tunes[n] for n in drawn])[which]
    fake = in_batches(bundle, changed)
    share = float((real > fake).mean())
    ngram = NGram(tokenizer.vocab_size, 6).fit(list(dataset.pieces("train")))
    counted = np.mean(
        [
            ngram.log_probabilities(tunes[n])[6].sum()
            > ngram.log_probabilities(other)[6].sum()
            for n, other in zip(of, changed, strict=True)
        ]
    )
    print(f"\nthe real one is worth more in {100 * share:.1f}% of 500 pairs", end="")
    print(f" (n-gram of order 6, in {100 * counted:.1f}%)")
    assert share >= 0.8


def fiddle_dataset():
    """The dataset of the shipped model, from scores that are parsed already."""
    from pathlib import Path

    from platformdirs import user_cache_dir

    from data_pipelines.cache import cache_folder
    from studio.gather import gather

    parsed = sorted(Path(user_cache_dir("etude")).glob("music21-*.npz"))
    for path in parsed:  # read where they lie, and not parsed anew for minutes
        place = cache_folder() / path.name
        if not place.exists():
            cache_folder().mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    if len(parsed) < 3:
        pytest.skip("music21's tunes have not been parsed here yet: minutes of work")
    return gather(None, ("oneills1850", "ryansMammoth", "airdsAirs"))

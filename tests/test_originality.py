"""Copies are found in whatever key, by construction; what is no copy is not."""

import numpy as np
import pytest
from conftest import tune

from data_pipelines.score import Score, Track, notes_array
from studio import originality
from studio.originality import GRAM, SEEDS, Copied, Training, line_symbols, name_sources


def random_tune(seed, notes=64, low=55, high=80, **kinds):
    pitches = np.random.default_rng(seed).integers(low, high, notes)
    return tune(pitches, **kinds)


def pitches_of(score):
    return score.notes["pitch"].astype(int)


@pytest.fixture(scope="module")
def library():
    return [random_tune(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def by_interval(library):
    return Training(library)


@pytest.fixture(scope="module")
def with_rhythm(library):
    return Training(library, with_rhythm=True)


def test_a_copy_is_found_whole_and_named(library, by_interval, with_rhythm):
    for training in (by_interval, with_rhythm):
        copied = training.copied(library[7])
        assert copied == Copied(63 - GRAM + 1, 63 - GRAM + 1, 64, 0, 0, 7)


@pytest.mark.parametrize("semitones", [-20, -1, 5, 24])
def test_a_transposed_copy_is_a_copy(library, by_interval, with_rhythm, semitones):
    moved = library[3].transposed(semitones)
    for training in (by_interval, with_rhythm):
        copied = training.copied(moved)
        assert (copied.found, copied.notes, copied.source) == (copied.grams, 64, 3)


def test_another_rhythm_is_a_copy_by_intervals_alone(library, by_interval, with_rhythm):
    slower = tune(pitches_of(library[3]), duration=480)
    assert by_interval.copied(slower).found == by_interval.copied(slower).grams
    assert with_rhythm.copied(slower).found == with_rhythm.copied(slower).notes == 0


def test_a_retrograde_and_a_new_piece_are_no_copies(library, by_interval):
    backwards = tune(pitches_of(library[3])[::-1])
    for score in (backwards, random_tune(99)):
        copied = by_interval.copied(score)
        assert (copied.grams, copied.found) == (63 - GRAM + 1, 0)
        assert copied.notes < 8


@pytest.mark.parametrize("notes", [6, 9, 16, 17, 18, 30])
def test_the_longest_run_has_as_many_notes_as_were_copied(library, by_interval, notes):
    inside = pitches_of(library[5])[20 : 20 + notes] + 7
    # Leaps that no tune of the library has stand before and after it.
    pitches = np.r_[0, 120, 0, inside, 0, 120, 0]
    copied = by_interval.copied(tune(pitches))
    assert (copied.notes, copied.first, copied.source) == (notes, 3, 5)
    assert copied.found == max(0, notes - GRAM)


def longest_by_loop(symbols, training):
    """The plain reference: every start against every start."""
    best = 0
    for i in range(len(symbols)):
        for line in training:
            for j in range(len(line)):
                k = 0
                while i + k < len(symbols) and j + k < len(line):
                    if symbols[i + k] != line[j + k]:
                        break
                    k += 1
                best = max(best, k)
    return best if best >= SEEDS[-1] else 0


@pytest.mark.parametrize("seed", range(6))
def test_the_longest_run_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    library = [tune(60 + rng.integers(0, 3, 40)) for _ in range(3)]
    piece = tune(60 + rng.integers(0, 3, 30))
    lines = [line_symbols(score, False)[0] for score in library]
    expected = longest_by_loop(line_symbols(piece, False)[0], lines)
    found, first, place = (training := Training(library)).longest_run(
        symbols := line_symbols(piece, False)[0]
    )
    assert found == expected
    run = training.symbols[place : place + found]
    assert np.array_equal(run, symbols[first : first + found])


def test_hashes_that_all_collide_change_nothing(library, monkeypatch):
    pieces = [library[2], random_tune(99), tune(pitches_of(library[3])[::-1])]
    few = library[:4]
    expected = [Training(few).copied(piece) for piece in pieces]

    def same(symbols, length):
        return np.zeros(max(0, len(symbols) - length + 1), dtype=np.uint64)

    monkeypatch.setattr(originality, "gram_hashes", same)
    assert [Training(few).copied(piece) for piece in pieces] == expected


def test_each_voice_is_a_line_of_its_own(library, by_interval):
    upper, lower = random_tune(50), library[4].transposed(-12)
    notes = np.concatenate([upper.notes, lower.notes])
    notes["track"][64:] = 1
    score = Score(notes, 480, (Track("a"), Track("b")))
    copied = by_interval.copied(score)
    assert (copied.line, copied.notes, copied.source) == (1, 64, 4)
    assert (copied.grams, copied.found) == (96, 48)


def test_the_lowest_line_of_chords_is_heard(library, by_interval):
    upper, lower = random_tune(50, low=90, high=110), library[4]
    both = Score(np.concatenate([upper.notes, lower.notes]), 480)
    copied = by_interval.copied(both)
    assert (copied.line, copied.notes, copied.source) == (1, 64, 4)


def test_no_run_reaches_from_one_piece_into_the_next():
    a, b = random_tune(1, notes=10), random_tune(2, notes=10)
    joined = tune(np.r_[pitches_of(a), pitches_of(b)])
    copied = Training([a, b]).copied(joined)
    assert (copied.found, copied.notes) == (0, 10)


@pytest.mark.parametrize("notes", [0, 1, 4])
def test_what_is_too_short_to_copy_is_no_copy(library, by_interval, notes):
    score = Score(library[0].notes[:notes], 480)
    assert by_interval.copied(score) == Copied()


def test_drums_copy_nothing(library):
    drums = Score(library[0].notes, 480, (Track(is_drum=True),))
    assert Training([drums]).copied(drums) == Copied()
    assert Training([]).copied(library[0]).found == 0


def test_shares_are_totals_over_the_pieces(library):
    named = [(str(number), score) for number, score in enumerate(library)]
    long = tune(np.r_[pitches_of(library[0]), pitches_of(random_tune(70, 200))])
    told = originality.originality(
        [("copy", library[0]), ("new", random_tune(71, 200))],
        [("half", long)],
        named,
        bars=256,
    )["intervals"]
    assert (told["generated"]["found"], told["generated"]["grams"]) == (48, 48 + 184)
    assert told["generated"]["share"] == round(48 / 232, 5)
    assert told["generated"]["runs"][0]["source"] == "0"
    assert told["real"]["found"] == 48


def test_tunes_of_the_corpus_get_their_titles(monkeypatch):
    from data_pipelines import music21_corpus

    scores = [Score(notes_array([0], [1], [60]), title=t) for t in ("One", "Two", "")]
    monkeypatch.setattr(
        music21_corpus, "read_music21_corpus", lambda name: (scores, [])
    )
    wanted = ["airs/00002", "airs/00003", "other/00001", None]
    runs = [{"source": source} for source in wanted]
    copies = {
        "intervals": {"generated": {"runs": runs}},
        "with_rhythm": {"generated": {"runs": []}},
    }
    name_sources(copies, ["airs"])
    assert [run["title"] for run in runs] == ["Two", "airs/00003", "other/00001", None]

"""ABC out: hand-written lines, the way there and back, real tunes, a second reader."""

import doctest
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import etude, tune
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines import abc_writer
from data_pipelines.abc import parse_tune, split_tunes
from data_pipelines.abc_writer import abc_text, write_abc
from data_pipelines.guard import read_file
from data_pipelines.midi import read_midi
from data_pipelines.score import Key, Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.melody import MelodyTokenizer


def line(lengths, pitches, metre=(4, 4), sharps=0, is_minor=False, **more):
    """A score of notes end to end, lengths in eighths; pitch -1 is a rest."""
    ticks = np.rint(np.array(lengths) * 240).astype(int)
    starts = np.cumsum(ticks) - ticks
    sounds = np.array(pitches) >= 0
    return Score(
        notes_array(starts[sounds], ticks[sounds], np.array(pitches)[sounds]),
        480,
        metres=(Metre(0, *metre),),
        keys=(Key(0, sharps, is_minor),),
        **more,
    )


def body(score):
    return abc_text(score).partition("\nK:")[2].partition("\n")[2].rstrip("\n")


def sounding(score):
    """(start, duration, pitch) of each note, in ticks of 480 to the quarter."""
    scale = 480 / score.ticks_per_quarter
    return [
        (round(start * scale), round(duration * scale), pitch)
        for start, duration, pitch, *_ in score.notes.tolist()
    ]


def test_the_doctest_in_the_docstring_is_true():
    results = doctest.testmod(abc_writer)
    assert results.attempted > 0
    assert results.failed == 0


def test_a_tune_of_one_bar_is_this_text():
    score = line([2, 1, 1, 4], [62, 64, 66, 69], sharps=2, title="A reel")
    score = replace(score, tempos=(Tempo(0, 120.0),))
    assert abc_text(score, number=7) == (
        "X:7\nT:A reel\nM:4/4\nL:1/8\nQ:1/4=120\nK:D\nD2 EF A4 |]\n"
    )


def test_octaves_are_marked_by_case_commas_and_apostrophes():
    score = line([1] * 8, [0, 36, 48, 60, 72, 84, 96, 127])
    assert body(score) == "C,,,,,C,, C,C cc' c''g'''' |]"


@pytest.mark.parametrize(
    ("sharps", "is_minor", "name"),
    [
        *((0, False, "C"), (7, False, "C#"), (-7, False, "Cb"), (-2, False, "Bb")),
        *((0, True, "Am"), (7, True, "A#m"), (-7, True, "Abm"), (3, True, "F#m")),
    ],
)
def test_keys_have_their_names(sharps, is_minor, name):
    text = abc_text(line([8], [60], sharps=sharps, is_minor=is_minor))
    assert f"\nK:{name}\n" in text


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ([60, 62, 64, 65, 67, 69, 71], "C"),
        ([62, 64, 66, 67, 69, 71, 73], "D"),
        ([63, 65, 67, 68, 70, 72, 74], "Eb"),
        ([60, 60, 60, 66], "G"),  # C and F sharp
        ([60, 62, 67], "C"),  # several keys hold them all
    ],
)
def test_a_key_that_is_not_named_is_the_one_with_the_fewest_signs(pitches, name):
    score = replace(line([1] * len(pitches), pitches), keys=())
    assert f"\nK:{name}\n" in abc_text(score)
    assert not set(body(score)) & set("^_=")


def test_an_accidental_lasts_through_its_bar_and_is_taken_back():
    pitches = [66, 66, 65, 65, 65, 65, 66, 65]
    assert body(line([2] * 8, pitches)) == "^F2 F2 =F2 F2 | F2 F2 ^F2 =F2 |]"


def test_an_accidental_of_another_octave_is_answered():
    # By the standard it holds in every octave, in many programs in its own only.
    assert body(line([2, 2, 4], [66, 77, 78])) == "^F2 =f2 ^f4 |]"


@pytest.mark.parametrize(
    ("sharps", "is_minor", "pitch", "written"),
    [
        *((0, False, 70, "_B"), (0, False, 68, "^G"), (0, True, 63, "^D")),
        *((2, False, 65, "=F"), (-3, False, 64, "=E"), (-3, False, 66, "_G")),
        *(
            (-3, True, 66, "^F"),
            (-1, True, 61, "^C"),
            (7, False, 62, "=D"),
            (-7, False, 69, "=A"),
        ),
    ],
)
def test_notes_outside_the_key_are_spelt_as_music_does(
    sharps, is_minor, pitch, written
):
    score = line([8], [pitch], sharps=sharps, is_minor=is_minor)
    assert body(score) == f"{written}8 |]"


@pytest.mark.parametrize("sharps", range(-7, 8))
@pytest.mark.parametrize("is_minor", [False, True])
def test_every_pitch_in_every_key_reads_back(sharps, is_minor):
    score = line([1] * 128, range(128), sharps=sharps, is_minor=is_minor)
    back = parse_tune(abc_text(score))
    assert sounding(back) == sounding(score)
    assert back.keys == score.keys


def test_a_note_over_the_bar_line_is_tied_and_keeps_its_accidental():
    score = line([6, 4, 4, 2], [60, 66, 64, 66])
    assert body(score) == "C6 ^F2- | ^F2 E4 F2 |]"
    assert sounding(parse_tune(abc_text(score))) == sounding(score)


def test_a_length_that_no_note_has_is_tied_together():
    assert body(line([5, 3], [60, 62])) == "C4- CD3 |]"
    assert body(line([1.75, 6.25], [60, 62])) == "C7/2D12-D/ |]"


def test_triplets_stand_under_their_sign():
    third = 2 / 3
    score = line([third, third, third, 2, 4], [60, 62, 64, 65, 67])
    assert body(score) == "(3CDE F2 G4 |]"
    score = line([2 * third, third, 6], [60, 62, 64])
    assert body(score) == "(3:2:2C2D E6 |]"
    score = line([2 * third] * 3 + [4], [60, 62, 64, 65])
    assert body(score) == "(3C2D2E2 F4 |]"
    score = line([third, third, third, 6], [60, -1, 64, 65])
    assert body(score) == "(3CzE F6 |]"


def test_a_long_note_that_ends_in_a_triplet_is_tied_to_it_at_the_beat():
    score = line([6 + 2 / 3, 2 / 3, 2 / 3], [60, 62, 64])
    assert body(score) == "C6- (3CDE |]"


def test_a_hundred_notes_that_miss_every_beat_read_back():
    # 1/48 of a quarter late from the second on: one triplet sign reaches 64 at most.
    score = line([1 / 24] + [1 / 8] * 120, [60] * 121, metre=(8, 4))
    assert sounding(parse_tune(abc_text(score))) == sounding(score)


def test_lines_are_of_four_bars_and_the_last_is_closed():
    text = body(line([8] * 9, [60] * 9))
    assert text == "C8 | C8 | C8 | C8 |\nC8 | C8 | C8 | C8 |\nC8 |]"


def test_a_pickup_is_written_as_one_and_the_last_bar_makes_it_whole():
    score = line([7, 1, 8, 6], [-1, 67, 72, 72])
    assert body(score) == "G | c8 | c6 z |]"
    assert sounding(parse_tune(abc_text(score))) == sounding(score)
    early = line([2, 6, 8], [-1, 67, 72])  # a rest, but no pickup
    assert body(early) == "z2 G6 | c8 |]"


def test_a_rest_in_which_something_changes_is_no_pickup():
    tempos = (Tempo(0, 60.0), Tempo(480, 90.0))
    score = line([7, 1, 8], [-1, 67, 72], tempos=tempos)
    assert body(score) == "z2 [Q:1/4=90]z4 zG | c8 |]"
    assert parse_tune(abc_text(score)).tempos == tempos


def test_changes_stand_where_they_happen():
    score = line(
        [4, 4, 3, 3, 3],
        [60, 61, 66, 66, 65],
        tempos=(Tempo(0, 100.0), Tempo(480, 90.5), Tempo(9999, 50.0)),
    )
    score = replace(
        score,
        metres=(Metre(0, 4, 4), Metre(1920, 3, 8)),
        keys=(Key(0, 0), Key(1920, 1)),
    )
    assert body(score) == "C2- [Q:1/4=90.5]C2 ^C4 | [M:3/8][K:G]F3 | F3 | =F3 |]"
    back = parse_tune(abc_text(score))
    assert (back.metres, back.keys) == (score.metres, score.keys)
    assert back.tempos == score.tempos[:2]  # the last comes after the music


def test_a_first_bar_cut_short_by_a_new_metre_is_no_pickup():
    score = line([4, 6, 6], [60, 62, 64])
    score = replace(score, metres=(Metre(0, 4, 4), Metre(960, 3, 4)))
    back = parse_tune(abc_text(score))
    assert sounding(back) == sounding(score)
    assert back.metres == score.metres


BAD_TITLES = {
    "two\nK:C\nX:9": "two K:C X:9",
    "50 % off\r\n%%MIDI": "50 % off %%MIDI",
    "back\\slash \\% \\": "back\\slash \\% \\",
    "Tom &amp; Jerry & Co": "Tom &amp; Jerry & Co",
    "a\0b\x85c\u2028d\udcff": "a b c d",
    "Ärger – 音": "Ärger – 音",
    "": "Untitled",
    " \t ": "Untitled",
    "X:1": "X:1",
}


@pytest.mark.parametrize("title", BAD_TITLES)
def test_no_title_breaks_the_header(title, tmp_path):
    score = line([4, 4], [60, 62], title=title)
    text = abc_text(score)
    assert len(text.split("\n")) == len(abc_text(line([4, 4], [60, 62])).split("\n"))
    (alone,) = split_tunes(text)
    back = parse_tune(alone)
    assert back.title == BAD_TITLES[title]
    assert sounding(back) == sounding(score)
    write_abc(tmp_path / "a.abc", score)
    assert read_file(tmp_path / "a.abc").contents == (back,)


def test_an_ampersand_that_would_begin_an_entity_is_escaped():
    text = abc_text(line([4], [60], title="&c &eacute; R&B"))
    assert text.split("\n")[1] == "T:&c \\&eacute; R&B"


def test_a_metre_beyond_abc_is_refused():
    for beats, unit in ((65, 4), (4, 128), (5, 6)):
        score = line([4], [60], metre=(beats, unit))
        with pytest.raises(ValueError, match=f"Received: {beats}/{unit}"):
            abc_text(score)


def test_what_holds_no_pitched_note_is_refused():
    with pytest.raises(ValueError, match="no pitched notes: empty"):
        abc_text(Score(notes_array([], [], [])))
    drums = Score(notes_array([0], [10], [36]), tracks=(Track(is_drum=True),))
    with pytest.raises(ValueError, match="drums only"):
        abc_text(drums)
    with pytest.raises(ValueError, match=r"at least 1\. Received: 0"):
        abc_text(tune([60]), number=0)


def test_drums_are_left_out_and_one_line_is_kept_as_it_is():
    notes = np.concatenate(
        [
            notes_array([0, 160, 320], 160, [60, 62, 64], track=0),
            notes_array([0, 480], 240, [36, 38], track=1),
        ]
    )
    score = Score(notes, 480, (Track("Flute"), Track("Kit", 0, True)))
    assert body(score) == "(3CDE z6 |]"


def test_chords_and_other_tracks_give_way_to_the_melody_of_the_tokenizer():
    notes = np.concatenate(
        [
            notes_array([1920, 2400, 2880], 480, [72, 74, 76], track=0),
            notes_array([1920, 1920], 1920, [48, 52], track=1),
        ]
    )
    score = Score(
        notes,
        480,
        (Track("Melody"), Track("Piano")),
        tempos=(Tempo(0, 90.0), Tempo(1920, 50.0)),
        metres=(Metre(0, 7, 8),),
        keys=(Key(0, -1),),
    )
    tokenizer = MelodyTokenizer()
    melody = tokenizer.decode(tokenizer.encode(score))
    back = parse_tune(abc_text(score))
    assert sounding(back) == sounding(melody)
    assert (back.metres, back.keys) == (score.metres, score.keys)
    assert back.tempos == score.tempos[:1]


def test_a_performance_is_rounded_to_twelfths_of_a_quarter():
    # A twelfth is 40 ticks: no note becomes shorter.
    score = Score(notes_array([7, 477, 643], [400, 160, 10], [60, 62, 64]), 480)
    back = parse_tune(abc_text(score))
    assert sounding(back) == [(0, 400, 60), (480, 160, 62), (640, 40, 64)]


def test_of_two_notes_that_fall_on_one_step_the_ornament_gives_way():
    score = Score(notes_array([0, 13, 500], [13, 487, 480], [62, 60, 64]), 480)
    back = parse_tune(abc_text(score))
    assert [pitch for _, _, pitch in sounding(back)] == [60, 64]


METRES = [(4, 4), (3, 4), (6, 8), (2, 2), (7, 8), (1, 64), (5, 16), (64, 32), (12, 8)]


@st.composite
def scores_on_the_grid(draw):
    """Lines whose times lie on forty-eighths of a quarter, with changes anywhere."""
    plain = st.sampled_from([12, 24, 36, 48, 72, 96, 192, 16, 32, 8, 4, 64])
    length = st.one_of(plain, plain, st.integers(1, 400))
    gap = st.one_of(st.just(0), st.just(0), st.integers(0, 500))
    rows = draw(
        st.lists(st.tuples(gap, length, st.integers(0, 127)), min_size=1, max_size=25)
    )
    gaps, lengths, pitches = np.array(rows).T
    steps = np.cumsum(gaps + np.r_[0, lengths[:-1]])
    tick = draw(st.sampled_from([48, 100, 480, 960, 1024, 32767]))
    start, end = (np.rint(s * tick / 48).astype(int) for s in (steps, steps + lengths))

    def changes(kind, values):
        later = draw(st.lists(st.integers(1, 900), unique=True, max_size=3))
        at = [0, *sorted(later)] if draw(st.booleans()) else []
        return tuple(kind(round(step * tick / 48), *draw(values)) for step in at)

    return Score(
        notes_array(start, end - start, pitches),
        tick,
        tempos=changes(
            Tempo, st.tuples(st.integers(3600, 2_000_000).map(lambda n: n / 1000))
        ),
        metres=changes(Metre, st.sampled_from(METRES)),
        keys=changes(Key, st.tuples(st.integers(-7, 7), st.booleans())),
    )


@given(scores_on_the_grid())
def test_what_is_written_is_read_back(score):
    text = abc_text(score)
    back = parse_tune(text)
    scale = 48 / score.ticks_per_quarter

    def steps(changes):
        placed = [
            replace(change, tick=round(change.tick * scale)) for change in changes
        ]
        return [c for c in placed if c.tick < round(score.end_tick * scale)]

    def steps_back(changes):
        return [replace(change, tick=change.tick // 10) for change in changes]

    assert back.notes["pitch"].tolist() == score.notes["pitch"].tolist()
    for name in ("start", "duration"):
        end = score.notes["start"].astype(int) + score.notes["duration"]
        ours = np.rint(score.notes["start"] * scale)
        ours = ours if name == "start" else np.rint(end * scale) - ours
        assert (back.notes[name] / 10).tolist() == ours.tolist()
    assert steps_back(back.metres) == steps(score.metres)
    assert steps_back(back.tempos) == steps(score.tempos)
    if score.keys:
        assert steps_back(back.keys) == steps(score.keys)
    assert back.qpm == score.qpm or not back.tempos


@given(st.lists(st.integers(0, 144), max_size=80))
def test_whatever_the_tokenizer_decodes_is_written_and_read_back(ids):
    score = MelodyTokenizer().decode(ids)
    if len(score):
        back = parse_tune(abc_text(score))
        assert sounding(back) == sounding(score)
        assert back.metres == score.metres
        assert back.qpm == score.qpm


@given(scores_on_the_grid())
def test_bars_hold_what_the_metre_says(score):
    score = replace(score, metres=score.metres[:1])
    back = parse_tune(abc_text(score))
    bar = 1920 * score.metre.beats // score.metre.beat_unit
    written = abc_text(score).partition("\nK:")[2].partition("\n")[2]
    bars = written.replace("|]", "|").split("|")[:-1]
    lines = -(-back.end_tick // bar)
    assert len(bars) == lines
    assert all(bars)
    assert written.count("\n") == -(-lines // 4)


@cache
def airs():
    """Every third air of music21's six books, if it is one line on the grid."""
    import music21

    kept = []
    folder = Path(music21.__file__).parent / "corpus" / "airdsAirs"
    for path in sorted(folder.glob("*.abc")):
        book = split_tunes(path.read_text(encoding="utf-8", errors="replace"))
        for text in book[::3]:
            score = parse_tune(text)
            notes = score.notes
            end = notes["start"] + notes["duration"]
            is_line = len(score.tracks) == 1 and (end[:-1] <= notes["start"][1:]).all()
            if is_line and not (notes["start"] % 10).any() and not (end % 10).any():
                kept.append(score)
    return kept


def test_real_tunes_come_back_as_they_went():
    count = notes = 0
    for score in airs():
        back = parse_tune(abc_text(score))
        for name in ("start", "duration", "pitch"):
            assert back.notes[name].tolist() == score.notes[name].tolist(), score.title
        assert back.metres == score.metres, score.title
        assert back.keys == score.keys, score.title
        assert back.tempos == score.tempos, score.title
        assert back.title == " ".join(score.title.split()) or not score.title
        count, notes = count + 1, notes + len(score)
    print(f"{count} airs, {notes:,} notes: written and read back the same")
    assert count > 300


def test_music21_reads_the_same_notes():
    from music21 import converter

    from data_pipelines.exchange import from_music21

    third = 2 / 3
    made = [
        line([6, 4, 4, 2], [60, 66, 64, 66], title="ties"),
        line([third] * 3 + [6, 8], [60, 61, 64, 65, 67], title="triplets"),
        line([7, 1, 8, 7], [-1, 67, 72, 72], sharps=-3, is_minor=True, title="pickup"),
        line([5, 1.5, 1.5, 4, 4], [60, 63, -1, 66, 66], sharps=2, title="lengths"),
        line([2, 4 * third, 4 * third, 4 * third, 2], [60, 61, 62, -1, 63]),
    ]
    for score in [*made, *airs()[::50]]:
        score = replace(score, tempos=(Tempo(0, 96.0),))
        theirs = from_music21(
            converter.parse("%abc-2.1\n" + abc_text(score), format="abc")
        )
        assert sounding(theirs) == sounding(score), abc_text(score)
        assert theirs.metres == score.metres
        assert [k.sharps for k in theirs.keys] == [k.sharps for k in score.keys]
        assert theirs.qpm == 96


def test_composing_to_abc_gives_the_notes_of_the_midi_beside_it(tmp_path):
    done = etude(
        *("compose", "--bars", 4, "--seed", 3),
        *("-o", tmp_path / "a.abc", "-o", tmp_path / "a.mid"),
    )
    assert done.returncode == 0, done.stderr
    assert "a.abc" in done.stdout
    text = (tmp_path / "a.abc").read_text(encoding="utf-8")
    assert text.startswith("%abc-2.1\nX:1\nT:folk, seed 3\n")
    score = read_midi(tmp_path / "a.mid")
    (back,) = read_file(tmp_path / "a.abc").contents
    assert sounding(back) == sounding(score)
    assert back.keys == score.keys

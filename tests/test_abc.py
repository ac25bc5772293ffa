"""ABC: each rule of the notation on a line of its own, and four thousand real tunes."""

from pathlib import Path

import pytest

from data_pipelines.abc import BadAbc, parse_tune, split_tunes


def notes(body, key="C", metre="4/4", unit="1/8"):
    """(start, duration, pitch) in eighths, of a tune that begins at 0."""
    score = parse_tune(f"X:1\nM:{metre}\nL:{unit}\nK:{key}\n{body}\n")
    return [
        (row["start"] / 240, row["duration"] / 240, int(row["pitch"]))
        for row in score.notes
    ]


def pitches(body, **fields):
    return [pitch for _, _, pitch in notes(body, **fields)]


def lengths(body, **fields):
    return [length for _, length, _ in notes(body, **fields)]


def test_letters_and_octaves():
    assert pitches("C, C c c' B b") == [48, 60, 72, 84, 71, 83]


@pytest.mark.parametrize(
    ("text", "eighths"),
    [("A", 1), ("A2", 2), ("A/", 0.5), ("A//", 0.25), ("A3/2", 1.5), ("A/4", 0.25)],
)
def test_lengths(text, eighths):
    assert lengths(text) == [eighths]


@pytest.mark.parametrize(
    ("key", "altered"),
    [
        ("C", {}),
        ("G", {"F": 1}),
        ("D", {"F": 1, "C": 1}),
        ("Bb", {"B": -1, "E": -1}),
        ("Am", {}),
        ("E minor", {"F": 1}),
        ("Ador", {"F": 1}),
        ("D mix", {"F": 1}),
        ("F#m", {"F": 1, "C": 1, "G": 1}),
        ("Hp", {"F": 1, "C": 1}),
        ("none", {}),
        ("D =c", {"F": 1}),
        ("G clef=treble", {"F": 1}),
    ],
)
def test_key_signatures(key, altered):
    plain = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
    expected = [pitch + altered.get(letter, 0) for letter, pitch in plain.items()]
    assert pitches("CDEFGAB", key=key) == expected


def test_an_accidental_lasts_to_the_end_of_its_bar_in_its_octave():
    assert pitches("^F F f | F", key="C") == [66, 66, 77, 65]
    assert pitches("=c B c | c", key="D") == [72, 71, 72, 73]
    assert pitches("__B ^^c _e") == [69, 74, 75]


def test_broken_rhythm_also_across_a_slur_and_twice():
    assert lengths("A>B A<B") == [1.5, 0.5, 0.5, 1.5]
    assert lengths("d>(BB>)g") == [1.5, 0.5, 1.5, 0.5]
    assert lengths("A>>B") == [1.75, 0.25]
    assert lengths("A2>B2") == [3, 1]


def test_tuplets():
    assert lengths("(3ABc d") == pytest.approx([2 / 3] * 3 + [1], abs=0.01)
    assert lengths("(3:2:2 A2B d", metre="4/4")[2] == 1
    assert sum(lengths("(3ABc (3ABc")) == pytest.approx(4)
    assert lengths("(2AB", metre="6/8") == [1.5, 1.5]


def test_ties_slurs_chords_graces_and_decorations():
    assert notes("A-A B") == [(0, 2, 69), (2, 1, 71)]
    assert notes("A8-|A B")[0] == (0, 9, 69)
    assert lengths("(A (B) c)") == [1, 1, 1]
    assert notes("[CEG]2 c") == [(0, 2, 60), (0, 2, 64), (0, 2, 67), (2, 1, 72)]
    assert notes("[C2E2] c")[-1] == (2, 1, 72)
    assert pitches("{ag}A !trill!B .c ~d Hd uA vB TA") == [
        69,
        71,
        72,
        74,
        74,
        69,
        71,
        69,
    ]
    assert pitches('"Am"A "^slow"B') == [69, 71]


def test_rests_and_bars_of_rest():
    assert notes("z2 A z/ B") == [(2, 1, 69), (3.5, 1, 71)]
    assert notes("A8 | Z2 | B8")[1] == (24, 8, 71)


def test_a_pickup_stands_at_the_end_of_a_whole_bar():
    assert notes("A | B8 | c8 |]")[:2] == [(7, 1, 69), (8, 8, 71)]


def test_the_unit_follows_the_metre_where_none_is_given():
    for metre, ticks in (("2/4", 120), ("3/4", 240), ("C|", 240), ("6/8", 240)):
        score = parse_tune(f"X:1\nM:{metre}\nK:C\nA\n")
        assert score.notes["duration"].tolist() == [ticks], metre


def test_fields_within_the_tune():
    score = parse_tune(
        "X:1\nT:First\nT:Second\nM:4/4\nL:1/4\nQ:1/4=90\nK:C\nCDEF|[K:G]F4|\nM:3/4\nF3|\n"
    )
    assert score.title == "First"
    assert score.notes["pitch"].tolist() == [60, 62, 64, 65, 66, 66]
    assert [str(metre) for metre in score.metres] == ["4/4", "3/4"]
    assert [metre.tick for metre in score.metres] == [0, 8 * 480]
    assert score.keys[-1].sharps == 1
    assert score.qpm == 90


@pytest.mark.parametrize(
    ("field", "qpm"), [("1/4=120", 120), ("3/8=100", 150), ('"Slow" 1/2=60', 120)]
)
def test_tempo(field, qpm):
    assert parse_tune(f"X:1\nQ:{field}\nK:C\nC\n").qpm == pytest.approx(qpm)


def test_voices_become_tracks():
    score = parse_tune("X:1\nL:1/4\nK:C\nV:up\nc d\nV:low\nC, D,\n[V:up] e\n")
    assert [track.name for track in score.tracks] == ["up", "low"]
    assert score.track_notes(0)["pitch"].tolist() == [72, 74, 76]
    assert score.track_notes(0)["start"].tolist() == [0, 480, 960]


def test_comments_continuations_lyrics_and_text_after_the_tune_are_no_music():
    body = "A B | % C D E\nw:do re mi\nc \\\nd |\n\nThis Book Begins With A Fable.\n"
    assert pitches(body) == [69, 71, 72, 74]


def test_repeats_are_read_as_written():
    assert len(pitches("|: ABcd :|1 e2 :|2 f2 |]")) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X:1\nT:nothing\n", "no K: field"),
        ("X:1\nK:C\nz4 |\n", "no note"),
        ("X:1\nK:C\nA/0\n", "divides by zero"),
        ("X:1\nK:C\nA99999\n", "whole notes"),
        ("X:1\nK:C\nc''''''\n", "outside MIDI"),
        ("X:1\nM:99999/1\nK:C\nA\n", "metre"),
    ],
)
def test_a_tune_that_cannot_be_read_says_why(text, message):
    with pytest.raises(BadAbc, match=message):
        parse_tune(text)


def test_a_file_gives_each_tune_with_the_header_before_them():
    tunes = split_tunes("%abc-2.1\nL:1/4\n\nX:1\nK:C\nA\n\nX:2\nK:D\nB\n")
    assert len(tunes) == 2
    assert [parse_tune(t).notes["duration"][0] for t in tunes] == [480, 480]
    assert split_tunes("no tune here") == []


def test_odd_characters_are_passed_over():
    assert pitches("A ¿ $ B `` y c &&& ") == [69, 71, 72]


@pytest.mark.slow
def test_every_fiddle_tune_is_read_and_music21_hears_the_same_where_it_is_right():
    import music21

    root = Path(music21.__file__).parent / "corpus"
    count, exact_bars, bars = 0, 0, 0
    for path in sorted((root / "oneills1850").glob("*.abc")):
        for text in split_tunes(path.read_text(errors="replace")):
            score = parse_tune(text)
            count += 1
            assert len(score) > 8
            lines = score.bar_ticks()
            onsets = set(score.notes["start"].tolist())
            bars += len(lines) - 2
            exact_bars += sum(int(line) in onsets for line in lines[1:-1])
    assert count == 2009
    # Were rhythms misread, bar lines would fall within notes: they meet onsets.
    print(f"{count} tunes; {100 * exact_bars / bars:.1f}% of bar lines meet an onset")
    assert exact_bars / bars > 0.9


def test_the_reader_equals_music21_on_a_book_that_music21_reads_well():
    import music21
    from music21 import converter

    from data_pipelines.exchange import from_music21

    path = Path(music21.__file__).parent / "corpus" / "ryansMammoth"
    equal = 0
    files = sorted(path.glob("*.abc"))[:40]
    for file in files:
        (text,) = split_tunes(file.read_text(errors="replace"))
        ours = parse_tune(text)
        theirs = from_music21(converter.parse(text, format="abc"))
        equal += ours.notes[["start", "pitch"]].tolist() == (
            theirs.notes[["start", "pitch"]].tolist()
        )
    print(f"{equal} of {len(files)} tunes equal")
    assert equal >= 0.7 * len(files)

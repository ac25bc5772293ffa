"""REMI: its ids, the way there and back, plain loops and another tokenizer as judges."""

import doctest
import itertools
from fractions import Fraction

import numpy as np
import pytest
from conftest import data_folder, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.guard import gate
from data_pipelines.midi import midi_bytes, parse_midi, read_midi
from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import bars, remi
from data_pipelines.tokenizers.cost import total_cost
from data_pipelines.tokenizers.remi import RemiTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK
from studio import bench_ingest

TOKENIZER = RemiTokenizer()
# The ids, written out by hand: the first of each kind.
BAR, METRE, POSITION, TEMPO, PROGRAM = 4, 5, 22, 94, 142
PITCH, DRUM, VELOCITY, DURATION, END = 270, 398, 526, 558, 638
METRES = [
    *("1/8", "1/4", "2/4", "3/4", "4/4", "5/4", "6/4", "2/2", "3/2"),
    *("3/8", "4/8", "5/8", "6/8", "7/8", "9/8", "12/8"),
]
LENGTHS = [48] + [int(48 * Fraction(name)) for name in METRES]
BINS = [
    *range(1, 49),
    *range(51, 97, 3),
    *range(108, 193, 12),
    *range(216, 385, 24),
]
QPM = [round(120 * 2 ** (n / 12), 2) for n in range(-28, 20)]


def metre(name):
    return METRE + 1 + METRES.index(name)


def note(pitch, steps, velocity=78, first=PITCH):
    """The three ids of a note."""
    bin_ = BINS.index(steps)
    return [first + pitch, VELOCITY + (velocity - 1) // 4, DURATION + bin_]


def rows_of(score):
    """Notes as (start, duration, pitch, velocity, program), drums as program 128."""
    programs = [128 if t.is_drum else t.program for t in score.tracks]
    return sorted((s, d, p, v, programs[t]) for s, d, p, v, t in score.notes.tolist())


def struck(score):
    """Onsets, pitches and programs: MIDI cannot tell how long a doubled key sounds."""
    return {(start, pitch, program) for start, _, pitch, _, program in rows_of(score)}


def test_the_ids_are_the_ones_written_here():
    firsts = {
        "bar": BAR, "metre": METRE, "position": POSITION, "tempo": TEMPO,
        "program": PROGRAM, "pitch": PITCH, "drum": DRUM,
        "velocity": VELOCITY, "duration": DURATION,
    }  # fmt: skip
    for kind, first in firsts.items():
        assert TOKENIZER.vocabulary.ids(kind)[0] == first
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert TOKENIZER.vocab_size == END
    assert list(bars.METRES) == [None, *METRES]
    assert bars.STEPS_IN_BAR.tolist() == LENGTHS
    assert remi.DURATIONS.tolist() == BINS
    assert remi.TEMPOS.tolist() == QPM
    assert {60.0, 120.0, 240.0} <= set(QPM)


def test_the_doctest_in_the_docstring_is_true():
    results = doctest.testmod(remi)
    assert results.attempted > 0
    assert results.failed == 0


def test_every_id_survives_decode_then_encode():
    for token_id in range(END):
        event = TOKENIZER.vocabulary.decode(token_id)
        assert TOKENIZER.vocabulary.encode(event) == token_id


@pytest.mark.parametrize("token_id", [-1, END])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.637"):
        TOKENIZER.decode([BOS, token_id])


def test_two_instruments_and_drums_in_two_bars_are_these_tokens():
    notes = [
        notes_array([0, 480, 1440], 480, [60, 64, 67], 78, track=0),
        notes_array([480], 160, [43], 78, track=1),  # a triplet eighth
        notes_array([480], 120, [36], 102, track=2),
    ]
    score = Score(
        np.concatenate(notes),
        480,
        (Track("", 0), Track("", 33), Track("", 0, True)),
        tempos=(Tempo(0, 120.0), Tempo(1440, 60.0)),
        metres=(Metre(0, 3, 4),),
    )
    expected = [
        BOS,
        *(BAR, metre("3/4"), POSITION, TEMPO + 28, PROGRAM, *note(60, 12)),
        *(POSITION + 12, *note(64, 12), PROGRAM + 33, *note(43, 4)),
        *note(36, 3, 102, DRUM),
        *(BAR, POSITION, TEMPO + 16, PROGRAM, *note(67, 12)),
        EOS,
    ]
    assert TOKENIZER.encode(score).tolist() == expected
    assert rows_of(TOKENIZER.decode(expected)) == rows_of(score)


def test_a_score_without_notes_is_refused():
    with pytest.raises(ValueError, match="no notes"):
        TOKENIZER.encode(Score(notes_array([], [], [])))


def test_a_program_that_does_not_exist_is_refused():
    score = Score(notes_array([0], 480, [60]), 480, (Track("", 128),))
    with pytest.raises(ValueError, match=r"must be in 0\.\.127. Received: 128"):
        TOKENIZER.encode(score)


def test_drums_alone_name_no_program():
    score = Score(notes_array([0], 480, [36]), 480, (Track("", 5, True),))
    ids = TOKENIZER.encode(score).tolist()
    expected = [BOS, BAR, METRE, POSITION, *note(36, 12, 80, DRUM), EOS]
    assert ids == expected
    assert TOKENIZER.decode(ids).tracks == (Track("Drums", 0, True),)


def test_tracks_of_one_program_become_one_and_of_equal_notes_the_longest_stays():
    notes = [
        notes_array([0, 480], [480, 240], [60, 62], track=0),
        notes_array([0, 480], [960, 240], [60, 64], track=1),
    ]
    score = Score(np.concatenate(notes), 480, (Track("a", 7), Track("b", 7)))
    ids, cost = TOKENIZER.encode_measured(score)
    back = TOKENIZER.decode(ids)
    assert (cost.notes, cost.lost) == (4, 1)
    assert rows_of(back) == [
        (0, 960, 60, 78, 7),
        (480, 240, 62, 78, 7),
        (480, 240, 64, 78, 7),
    ]
    assert len(back.tracks) == 1


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        *((1, 1), (48, 48), (49, 48), (50, 51), (52, 51), (101, 96), (102, 108)),
        *((114, 120), (204, 216), (203, 192), (384, 384), (385, 384), (5000, 384)),
    ],
)
def test_a_length_is_told_by_the_nearest_duration_of_two_the_longer(steps, told):
    score = Score(notes_array([0], steps * 40, [60]), 480)
    ids, cost = TOKENIZER.encode_measured(score)
    assert TOKENIZER.decode(ids).notes["duration"].tolist() == [told * 40]
    # At 120 quarters a minute a step is 500 / 12 ms.
    assert cost.duration_error_ms == pytest.approx(abs(steps - told) * 500 / 12)


def test_the_cost_is_what_a_hand_reckons():
    # One tick of 480 at 60 quarters a minute is 1000 / 480 ms; the grid is 40 ticks.
    score = Score(
        notes_array([10, 490], [480, 485], [60, 62], [78, 80]),
        480,
        tempos=(Tempo(0, 60.0), Tempo(480, 61.0)),
    )
    _, cost = TOKENIZER.encode_measured(score)
    first, second = 1000 / 480, 60 / 61 * 1000 / 480
    assert cost.notes == 2
    assert cost.onset_error_ms == pytest.approx((10 * first + 10 * second) / 2)
    assert cost.worst_onset_error_ms == pytest.approx(10 * first)
    # 490 is told as 480; 975 as 960: 12 steps after 480.
    assert cost.duration_error_ms == pytest.approx((10 + 15) * second / 2)
    assert cost.velocity_error == 1  # 78 is the middle of its bin, 80 is two above
    assert cost.tempo_error_percent == pytest.approx(100 * (1 / 61) / 2)


@pytest.mark.parametrize(
    ("ticks_per_quarter", "factor"), [(1, 1), (7, 2**20), (32767, 8000)]
)
def test_the_finest_and_the_coarsest_clock_are_encoded(ticks_per_quarter, factor):
    start = np.array([0, 1]) * factor
    score = Score(notes_array(start, factor, [60, 62]), ticks_per_quarter)
    ids = TOKENIZER.encode(score)
    assert ids.tolist() == encode_slowly(score)
    assert TOKENIZER.grammar.accepts(ids[1:])


def test_a_long_silence_keeps_sixteen_bars_and_tells_how_many_it_lost():
    score = Score(
        notes_array([0, 40 * 1920], 480, [60, 62]),
        480,
        metres=(Metre(0, 4, 4), Metre(10 * 1920, 3, 4), Metre(11 * 1920, 4, 4)),
    )
    ids, cost = TOKENIZER.encode_measured(score)
    assert ids.tolist().count(BAR) == 1 + 16 + 1
    # Nine bars of 4/4, one of 3/4, its rest of 1/4 and 29 of 4/4 stand between.
    assert cost.cut_bars == 40 - 16
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert ids.tolist() == encode_slowly(score)


@pytest.mark.parametrize(
    ("metres", "told", "moved"),
    [
        ([(0, 4, 4)], [(0, "4/4")], 0),
        ([(0, 12, 16)], [(0, "3/4")], 1),  # as long
        ([(0, 4, 2)], [(0, "4/4")], 1),  # goes in twice
        ([(0, 7, 4)], [(0, "7/8")], 1),
        ([(0, 13, 8)], [(0, "4/4")], 1),  # nothing does
        ([(0, 7, 32)], [(0, "4/4")], 1),
        ([(0, 4, 4), (1920, 3, 4)], [(0, "4/4"), (1920, "3/4")], 0),
        ([(960, 3, 4)], [(0, "2/4"), (960, "3/4")], 1),  # a bar cut short
        ([(0, 4, 4), (2400, 3, 4)], [(0, "4/4"), (1920, "1/4"), (2400, "3/4")], 1),
        ([(0, 4, 4), (2000, 3, 4)], [(0, "4/4"), (3840, "3/4")], 1),  # it waits
        ([(0, 4, 4), (2000, 2, 4), (2400, 3, 4)], [(0, "4/4"), (3840, "3/4")], 2),
        ([(0, 4, 4), (1920, 4, 4)], [(0, "4/4")], 0),
        ([(1, 3, 4)], [(0, "3/4")], 0),  # the nearest step is the first
    ],
)
def test_metres_are_told_at_bar_lines(metres, told, moved):
    score = Score(
        notes_array([0, 7000], 480, [60, 62]),
        480,
        metres=tuple(Metre(*m) for m in metres),
    )
    ids, cost = TOKENIZER.encode_measured(score)
    back = TOKENIZER.decode(ids)
    assert [(m.tick, str(m)) for m in back.metres] == told
    assert back.notes["start"].tolist() == [0, 7000]
    assert cost.moved_metres == moved
    assert TOKENIZER.encode(back).tolist() == ids.tolist()


def test_without_metre_and_tempo_none_comes_back():
    back = TOKENIZER.decode(TOKENIZER.encode(Score(notes_array([0], 480, [60]), 480)))
    assert (back.metres, back.tempos) == ((), ())


def test_a_tempo_is_told_where_the_next_note_starts():
    score = Score(
        notes_array([0, 960], 480, [60, 62]),
        480,
        tempos=(Tempo(0, 90.0), Tempo(600, 180.0)),
    )
    back = TOKENIZER.decode(TOKENIZER.encode(score))
    # 90 is five semitones under 120: 89.9; 180 seven above it: 179.8.
    assert back.tempos == (Tempo(0, 89.9), Tempo(960, 179.8))


@pytest.mark.parametrize(
    ("qpm", "told"), [(3.6, 23.81), (2000, 359.59), (58, 56.63), (58.4, 60)]
)
def test_a_tempo_becomes_the_nearest_by_ratio(qpm, told):
    score = tune([60], qpm=float(qpm))
    assert TOKENIZER.decode(TOKENIZER.encode(score)).qpm == told


@st.composite
def grid_scores(draw):
    """What the tokenizer keeps whole: metres on bar lines, tempos told at notes."""
    names = draw(st.lists(st.sampled_from(METRES), min_size=1, max_size=4))
    names = [name for name, _ in itertools.groupby(names)]
    counts = [draw(st.integers(1, 5)) for _ in names]
    metres, now, last = [], 0, 0
    for name, count in zip(names, counts, strict=True):
        metres.append(Metre(now * 40, *map(int, name.split("/"))))
        last, now = now, now + count * int(48 * Fraction(name))
    programs = draw(st.lists(st.integers(0, 128), min_size=1, max_size=4, unique=True))
    programs.sort()
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, now - 1),
                st.sampled_from(programs),
                st.integers(0, 127),
                st.sampled_from(BINS),
                st.integers(0, 31),
            ),
            min_size=1,
            max_size=40,
            unique_by=lambda row: row[:3],
        )
    )
    # Each program and the last metre are heard; the bars before are at most 15.
    rows += [(last, program, 0, 1, 0) for program in programs]
    rows = list({row[:3]: row for row in rows}.values())
    start, program, pitch, steps, bin_ = np.array(rows).T
    onsets = sorted(set(start.tolist()))
    told = draw(st.lists(st.sampled_from(onsets), unique=True, max_size=4).map(sorted))
    tempos = []
    for onset in told:
        left = [q for q in QPM if not tempos or q != tempos[-1].qpm]
        tick = 0 if onset == onsets[0] else onset * 40
        tempos.append(Tempo(tick, draw(st.sampled_from(left))))
    return Score(
        notes_array(
            start * 40,
            steps * 40,
            pitch,
            bin_ * 4 + 2,
            np.searchsorted(programs, program),
        ),
        480,
        tuple(Track("Drums", 0, True) if p == 128 else Track("", p) for p in programs),
        tempos=tuple(tempos),
        metres=tuple(metres) if draw(st.booleans()) or len(metres) > 1 else (),
    )


@given(grid_scores())
@settings(max_examples=60, deadline=None)
def test_decode_after_encode_is_the_identity_on_the_grid(score):
    ids, cost = TOKENIZER.encode_measured(score)
    assert TOKENIZER.decode(ids) == score
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert (cost.lost, cost.velocity_error, cost.cut_bars) == (0, 0, 0)
    assert cost.moved_metres == 0
    assert cost.onset_error_ms < 1e-6
    assert cost.duration_error_ms < 1e-6
    assert cost.tempo_error_percent < 1e-6


def told_as(metre):
    """The index of the metre that is told for one."""
    name = str(metre)
    if name in METRES:
        return 1 + METRES.index(name)
    length = Fraction(48 * metre.beats, metre.beat_unit)
    for listed in sorted(set(LENGTHS), reverse=True):
        if listed >= 12 and length % listed == 0:
            return 1 + LENGTHS[1:].index(listed)
    return 1 + METRES.index("4/4")


def bars_slowly(score, last):
    """(first step, metre index) bar after bar, up to the one that holds step `last`."""
    tick = score.ticks_per_quarter
    changes = [((24 * m.tick + tick) // (2 * tick), told_as(m)) for m in score.metres]
    lines, now, index = [], 0, 0
    while now <= last:
        while changes and changes[0][0] <= now:
            index = changes.pop(0)[1]
        length, told = LENGTHS[index], index
        cut = changes[0][0] - now if changes else length
        if cut < length and cut in LENGTHS:
            length, told = cut, 1 + LENGTHS[1:].index(cut)
        lines.append((now, told))
        now += length
    return lines


def encode_slowly(score):
    """The reference: one bar, one place and one note at a time, in plain loops."""
    tick = score.ticks_per_quarter
    kept = {}
    for start, duration, pitch, velocity, track in score.notes.tolist():
        begin = (24 * start + tick) // (2 * tick)
        length = max(1, (24 * (start + duration) + tick) // (2 * tick) - begin)
        bin_ = max(range(80), key=lambda n: (-abs(BINS[n] - length), n))
        player = score.tracks[track]
        voice = 128 if player.is_drum else player.program
        place = (begin, voice, pitch)
        kept[place] = max(kept.get(place, (0, 0)), (bin_, (velocity - 1) // 4))
    tempos = []
    for tempo in score.tempos:
        bin_ = min(range(48), key=lambda n: abs(np.log2(QPM[n] / tempo.qpm)))
        tempos.append(((24 * tempo.tick + tick) // (2 * tick), bin_))

    lines = bars_slowly(score, max(kept)[0])
    ends = [line for line, _ in lines[1:]] + [float("inf")]
    bars_, empty = [], []
    for (line, index), end in zip(lines, ends, strict=True):
        within = sorted(place for place in kept if line <= place[0] < end)
        if not within:
            empty.append((line, index, within))
            continue
        bars_ += [*empty[-16:], (line, index, within)]
        empty = []

    ids, metre_told, tempo_told = [BOS], None, None
    for line, index, within in bars_:
        ids.append(BAR)
        if index != metre_told:
            ids.append(METRE + index)
            metre_told = index
        place_told = program_told = None
        for begin, voice, pitch in within:
            if begin != place_told:
                ids.append(POSITION + begin - line)
                place_told = begin
                reached = [bin_ for step, bin_ in tempos if step <= begin]
                if reached and reached[-1] != tempo_told:
                    ids.append(TEMPO + reached[-1])
                    tempo_told = reached[-1]
            if voice < 128 and voice != program_told:
                ids.append(PROGRAM + voice)
                program_told = voice
            bin_, loudness = kept[begin, voice, pitch]
            ids.append((DRUM if voice == 128 else PITCH) + pitch)
            ids += [VELOCITY + loudness, DURATION + bin_]
    return [*ids, EOS]


PLAYERS = (Track("", 0), Track("", 33), Track("", 0), Track("", 9, True))
any_metres = st.lists(
    st.builds(
        Metre,
        st.one_of(st.integers(0, 4000), st.integers(0, 40).map(lambda n: n * 240)),
        st.integers(1, 13),
        st.sampled_from([1, 2, 4, 8, 16, 32]),
    ),
    max_size=6,
).map(lambda metres: tuple(sorted(metres, key=lambda m: m.tick)))
any_tempos = st.lists(
    st.builds(Tempo, st.integers(0, 4000), st.floats(3.6, 2000)), max_size=6
).map(lambda tempos: tuple(sorted(tempos, key=lambda t: t.tick)))
any_scores = st.builds(
    lambda rows, metres, tempos, ticks_per_quarter: Score(
        notes_array(*np.array(rows).T),
        ticks_per_quarter,
        PLAYERS,
        metres=metres,
        tempos=tempos,
    ),
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 900), st.integers(0, 60_000)),
            st.one_of(st.integers(1, 400), st.integers(1, 30_000)),
            st.integers(58, 62),
            st.integers(1, 127),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=25,
    ),
    any_metres,
    any_tempos,
    st.sampled_from([480, 100, 7]),
)


@given(any_scores)
@settings(max_examples=60, deadline=None)
def test_the_fast_encoder_equals_the_plain_loop_on_any_score(score):
    ids, cost = TOKENIZER.encode_measured(score)
    assert ids.tolist() == encode_slowly(score)
    assert ids.dtype == np.int32
    assert TOKENIZER.grammar.accepts(ids[1:])
    half_a_step = 1000 * 60 / min([120.0, *(t.qpm for t in score.tempos)]) / 24
    assert cost.worst_onset_error_ms <= half_a_step * 1.0001
    assert cost.notes == len(score)
    back = TOKENIZER.decode(ids)
    if back.length_seconds < 6000 and not cost.cut_bars:
        assert len(back) == cost.notes - cost.lost
        assert TOKENIZER.encode(back).tolist() == ids.tolist()


def decode_slowly(ids):
    """The reference: one id after another.

    Returns:
        Notes as `rows_of` gives them, metres and tempos as (tick, ...) pairs.
    """
    ids = list(ids)
    ids = ids[: ids.index(EOS)] if EOS in ids else ids
    ids = [i for i in ids if i > UNK]
    # A bar is its metre's index or None, and its notes, each with the position ids
    # since the bar line: which of them count depends on the metre.
    bars_ = [[None, []]]
    seen_bar, places, program, tempo = False, [], 0, None
    for n, token in enumerate(ids):
        if token == BAR:
            if seen_bar:
                bars_.append([None, []])
            seen_bar, places = True, []
        elif token < POSITION:
            if n and ids[n - 1] == BAR and (token > METRE or len(bars_) == 1):
                bars_[-1][0] = token - METRE
        elif token < TEMPO:
            places.append(token - POSITION)
        elif token < PROGRAM:
            tempo = token - TEMPO
        elif token < PITCH:
            program = token - PROGRAM
        elif token < VELOCITY and n + 2 < len(ids):
            loud, length = ids[n + 1] - VELOCITY, ids[n + 2] - DURATION
            if 0 <= loud < 32 and length >= 0:
                voice = 128 if token >= DRUM else program
                pitch = token - (DRUM if token >= DRUM else PITCH)
                heard = (pitch, voice, 4 * loud + 2, BINS[length] * 40)
                bars_[-1][1].append((list(places), tempo, heard))

    kept, waiting, pending = [], [], None
    for index, notes in bars_:
        waiting.append([index, notes])
        if notes:
            for left_out, _ in waiting[:-17]:
                pending = pending if left_out is None else left_out
            waiting = waiting[-17:]
            if waiting[0][0] is None:
                waiting[0][0] = pending
            kept += waiting
            waiting, pending = [], None

    rows, metres, tempos, now, index = [], [], {}, 0, 0
    tempo_told = None
    for named, notes in kept:
        if named is not None and named != index:
            index = named
            metres.append((now * 40, METRES[named - 1]))
        for places, tempo, (pitch, voice, loud, length) in notes:
            counting = [p for p in places if p < LENGTHS[index]]
            start = (now + (counting[-1] if counting else 0)) * 40
            if tempo is not None and tempo != tempo_told:
                tempos[start if rows else 0] = QPM[tempo]
                tempo_told = tempo
            rows.append((start, length, pitch, loud, voice))
        now += LENGTHS[index]
    return sorted(rows), metres, sorted(tempos.items())


any_id = st.integers(0, END - 1)
musical = st.one_of(
    st.just([BAR]),
    st.builds(lambda m: [BAR, METRE + m], st.integers(0, 16)),
    st.builds(lambda p: [POSITION + p], st.integers(0, 71)),
    st.builds(lambda t: [TEMPO + t], st.integers(20, 47)),
    st.builds(lambda p: [PROGRAM + p], st.sampled_from([0, 33, 127])),
    st.builds(
        lambda p, v, d: [PITCH + p, VELOCITY + v, DURATION + d],
        *(st.integers(0, 255), st.integers(0, 31), st.integers(0, 79)),
    ),
    st.just([BAR] * 9),
    any_id.map(lambda i: [i]),
)
any_ids = st.lists(musical, max_size=40).map(
    lambda parts: list(itertools.chain.from_iterable(parts))
)


@given(any_ids)
@settings(max_examples=100, deadline=None)
def test_the_fast_decoder_equals_the_plain_loop_on_any_ids(ids):
    back = TOKENIZER.decode(np.array(ids, dtype=np.int32))
    rows, metres, tempos = decode_slowly(ids)
    assert rows_of(back) == rows
    assert [(t.tick, t.qpm) for t in back.tempos] == tempos
    if rows:
        gate(back)
        assert [(m.tick, str(m)) for m in back.metres] == metres
        assert struck(parse_midi(midi_bytes(back))) == struck(back)


def test_no_id_and_silent_ids_are_an_empty_score():
    for ids in ([], [BOS, EOS], [BAR] * 100, [PITCH], [PITCH, VELOCITY], [EOS, PITCH]):
        assert len(TOKENIZER.decode(ids)) == 0


def test_a_metre_stands_right_after_its_bar_and_none_named_in_the_first_alone():
    c, four = note(60, 12), metre("4/4")
    ids = [BAR, metre("3/4"), POSITION, *c, BAR, METRE, POSITION, *c, BAR, POSITION, *c]
    back = TOKENIZER.decode([*ids, four, BAR, POSITION + 40, four, *c])
    # Four bars of 36 steps of 40 ticks; a position of 40 is beyond the last.
    assert back.notes["start"].tolist() == [0, 1440, 2880, 4320]
    assert [str(m) for m in back.metres] == ["3/4"]


def test_what_ends_after_two_hours_is_left_out():
    # Bars of 4/4 at 23.81 quarters a minute: 10.08 s each; 714 of them fill two hours.
    one = [BAR, POSITION, *note(60, 48)]
    back = TOKENIZER.decode([BAR, METRE, POSITION, TEMPO, *note(60, 48), *one * 800])
    assert len(gate(back)) == int(7200 / (4 * 60 / 23.81))


def test_a_score_of_the_shortest_bars_passes_the_gate():
    bar = [BAR, POSITION, *note(60, 384)]
    ids = [BAR, metre("1/8"), POSITION, TEMPO + 47, *note(60, 384), *bar * 60_000]
    assert len(gate(TOKENIZER.decode(ids))) == 49_900


def test_random_ids_decode_to_midi_that_is_read_back():
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(200):
        ids = rng.integers(0, END, 3000)
        score = TOKENIZER.decode(ids[ids != EOS])
        if len(score):
            assert struck(parse_midi(midi_bytes(gate(score)))) == struck(score)
            read += 1
    assert read > 100


@pytest.fixture(scope="module")
def pieces(nottingham):
    """(name, score, ids, cost) of some real pieces: piano in three tracks, tunes."""
    paths = [*sorted(data_folder("pop909").glob("*.mid"))[::12], *nottingham[::10]]
    scores = [read_midi(path) for path in paths]
    return [
        (path.name, score, *TOKENIZER.encode_measured(score))
        for path, score in zip(paths, scores, strict=True)
    ]


def test_real_pieces_go_there_and_back_and_their_loss_is_told(pieces):
    for name, score, ids, cost in pieces:
        back = TOKENIZER.decode(ids)
        assert len(gate(back)) == cost.notes - cost.lost == len(score) - cost.lost, name
        assert TOKENIZER.encode(back).tolist() == ids.tolist(), name
    for part, kind in ((pieces[:60], "piano"), (pieces[60:], "tunes")):
        cost = total_cost(cost for *_, cost in part)
        tokens = sum(len(ids) for _, _, ids, _ in part)
        print(
            f"{len(part)} pieces of {kind}: {cost.notes:,} notes in {tokens:,} tokens "
            f"({tokens / cost.notes:.2f} a note), {cost.lost:,} doubled "
            f"({100 * cost.lost / cost.notes:.2f}%); onsets off by "
            f"{cost.onset_error_ms:.2f} ms, ends by {cost.duration_error_ms:.2f} ms, "
            f"velocities by {cost.velocity_error:.2f} on average"
        )
        assert tokens / cost.notes < 4.5
        assert cost.lost / cost.notes < 0.06
    assert cost.onset_error_ms < 0.1  # tunes stand on the grid


def test_the_grammar_accepts_every_encoding(pieces):
    for name, _, ids, _ in pieces[::4]:
        assert TOKENIZER.grammar.accepts(ids[1:]), name


def test_the_fast_encoder_equals_the_plain_loop_on_real_pieces(pieces):
    for name, score, ids, _ in [*pieces[:60:20], *pieces[60::4]]:
        assert ids.tolist() == encode_slowly(score), name


def test_the_fast_decoder_equals_the_plain_loop_on_real_pieces(pieces):
    for name, _, ids, _ in pieces[::10]:
        assert rows_of(TOKENIZER.decode(ids)) == decode_slowly(ids.tolist())[0], name


@pytest.mark.parametrize("folder", ["pop909", "nottingham"])
def test_miditok_puts_the_same_notes_on_the_same_grid(folder):
    miditok = pytest.importorskip("miditok", reason="MidiTok is not installed")
    config = miditok.TokenizerConfig(
        pitch_range=(0, 127),
        beat_res={(0, 12): 12},
        use_programs=True,
        use_tempos=True,
        use_time_signatures=True,
        time_signature_range={4: [1, 2, 3, 4, 5, 6]},
    )
    other = miditok.REMI(config)
    paths = sorted(data_folder(folder).glob("*.mid"))
    for path in paths[:: len(paths) // 5]:
        parsed = other.decode(other(path))
        theirs = set()
        for track in parsed.tracks:
            voice = 128 if track.is_drum else track.program
            times = track.notes.numpy()
            steps = times["time"] * 12 / parsed.ticks_per_quarter
            theirs |= {
                (step, pitch, voice)
                for step, pitch in zip(steps, times["pitch"], strict=True)
            }
        back = TOKENIZER.decode(TOKENIZER.encode(read_midi(path)))
        ours = {(start / 40, pitch, p) for start, _, pitch, _, p in rows_of(back)}
        assert ours == theirs, path.name


def walk(rng, length):
    """Ids that the grammar allows, each drawn from all that may follow."""
    grammar = TOKENIZER.grammar
    state, ids = grammar.start, []
    while len(ids) < length:
        allowed = np.flatnonzero(grammar.allowed[state])
        ids.append(int(rng.choice(allowed)))
        state = int(grammar.next_state[state, ids[-1]])
    return ids


def test_every_state_of_the_grammar_leads_on_and_every_walk_decodes():
    grammar = TOKENIZER.grammar
    assert grammar.allowed.any(axis=1).all()
    assert grammar.next_state[grammar.allowed].max() < len(grammar.allowed)
    assert grammar.allowed.nbytes + grammar.next_state.nbytes < 10e6
    rng = np.random.default_rng(0)
    for _ in range(100):
        ids = walk(rng, 100)
        assert len(gate(TOKENIZER.decode(ids))) > 0


def test_positions_ascend_within_a_bar_and_stay_in_its_metre():
    grammar = TOKENIZER.grammar
    sixth = [POSITION + 6, *note(60, 12)]
    for name, length in zip(METRES, LENGTHS[1:], strict=True):
        head = [BAR, metre(name)]
        places = np.zeros(72, dtype=bool)
        places[:length] = True
        for ids in (head, [*head, BAR], [*head, *sixth[:0], BAR, BAR]):
            state = grammar.state_after(ids)
            np.testing.assert_array_equal(
                grammar.allowed[state, POSITION:TEMPO], places, err_msg=name
            )
        if length > 6:
            state = grammar.state_after(head + sixth)
            np.testing.assert_array_equal(
                np.flatnonzero(grammar.allowed[state, POSITION:TEMPO]),
                np.arange(7, length),
                err_msg=name,
            )


def test_the_grammar_is_the_one_of_the_docstring():
    accepts = TOKENIZER.grammar.accepts
    head, c = [BAR, metre("3/4")], note(60, 12)
    at = [*head, POSITION]
    assert accepts([BAR, METRE, POSITION, TEMPO, PROGRAM, *c, EOS, PAD, PAD])
    assert accepts([*at, *c, *c, *note(36, 3, 78, DRUM), PROGRAM + 5, *c, EOS])
    assert accepts([*at, *c, *[BAR] * 17, POSITION, *c, EOS])
    assert accepts([*head, BAR, metre("2/4"), BAR, POSITION, *c, EOS])
    assert accepts([*at, *c, BAR, metre("6/4"), POSITION + 71, *c, BAR])
    for wrong in (
        [POSITION],
        [BAR, POSITION],  # the first metre is always told
        [BAR, BAR],
        [EOS],
        [*head, metre("3/4")],
        [*head, c[0]],
        [*at, TEMPO, TEMPO],
        [*at, TEMPO, BAR],
        [*at, EOS],
        [*at, BAR],
        [*at, POSITION + 1],
        [*at, PROGRAM, PROGRAM],
        [*at, PROGRAM, DRUM + 36],
        [*at, c[0], c[2]],
        [*at, c[0], c[0]],
        [*at, *c[:2], EOS],
        [*at, *c, c[1]],
        [*at, *c, TEMPO],
        [*at, *c, POSITION],
        [*at, *c, metre("4/4")],
        [*at, *c, BAR, METRE],  # "none named" is for the beginning
        [*at, *c, BAR, EOS],
        [*at, *c, *[BAR] * 18],
        [*at, *c, EOS, BAR],
        [*at, *c, BOS],
        [*at, *c, UNK],
    ):
        assert TOKENIZER.grammar.state_after(wrong[:-1]) is not None, wrong
        assert not accepts(wrong), wrong


def test_silence_alone_is_no_stream():
    grammar = TOKENIZER.grammar
    state, struck = grammar.start, 0
    for _ in range(400):  # always the id that is furthest from a note
        token = int(np.argmax(grammar.allowed[state, 1:])) + 1
        token = BAR if grammar.allowed[state, BAR] else token
        struck += int(TOKENIZER.is_note(token))
        state = grammar.next_state[state, token]
        if grammar.allowed[state, [EOS, PAD]].any():
            state = grammar.next_state[state, BAR]
    assert struck >= 400 // 30


def test_augmenting_changes_pitches_tempos_and_velocities_and_nothing_else():
    ids = np.array(
        [
            *(BOS, BAR, METRE, POSITION, TEMPO + 28, PROGRAM + 7, *note(60, 12, 78)),
            *(*note(36, 3, 78, DRUM), EOS, PAD),
        ]
    )
    moved = TOKENIZER.augmented(ids, semitones=3, stretch=1.05, loudness=1.1)
    # 5 % is 0.84 semitones: a bin; 78 times 1.1 is 85.8: 86 is a middle.
    expected = [
        *(BOS, BAR, METRE, POSITION, TEMPO + 27, PROGRAM + 7, *note(63, 12, 86)),
        *(*note(36, 3, 86, DRUM), EOS, PAD),
    ]
    assert moved.tolist() == expected
    assert moved.dtype == ids.dtype


@pytest.mark.parametrize(
    ("options", "before", "after"),
    [
        ({"semitones": 9}, PITCH + 120, PITCH + 127),
        ({"semitones": -9}, PITCH + 5, PITCH),
        ({"semitones": 9}, DRUM + 50, DRUM + 50),
        ({"stretch": 2.0}, TEMPO + 30, TEMPO + 18),
        ({"stretch": 0.5}, TEMPO + 40, TEMPO + 47),
        ({"stretch": 2.0}, TEMPO + 5, TEMPO),
        ({"stretch": 2.0}, DURATION + 5, DURATION + 5),
        ({"loudness": 3.0}, VELOCITY + 20, VELOCITY + 31),
        ({"loudness": 0.01}, VELOCITY + 20, VELOCITY),
        ({"loudness": 0.5}, VELOCITY + 19, VELOCITY + 9),  # 78 to 39
    ],
)
def test_augmenting_stops_at_the_ends_of_each_range(options, before, after):
    assert TOKENIZER.augmented([before], **options).tolist() == [after]


def test_augmenting_by_nothing_is_the_identity_for_every_id():
    every = np.arange(END).reshape(2, END // 2)
    np.testing.assert_array_equal(TOKENIZER.augmented(every), every)


@given(st.integers(-127, 127), st.floats(0.1, 10), st.floats(0.01, 100))
def test_augmented_ids_stay_of_their_kind(semitones, stretch, loudness):
    every = np.arange(END)
    moved = TOKENIZER.augmented(every, semitones, stretch, loudness)
    edges = [BAR, METRE, POSITION, TEMPO, PROGRAM, PITCH, DRUM, VELOCITY, DURATION]
    np.testing.assert_array_equal(
        np.searchsorted(edges, moved, side="right"),
        np.searchsorted(edges, every, side="right"),
    )
    assert moved.max() < END


def test_a_whole_octave_up_is_the_score_transposed(pieces):
    for name, score, ids, _ in pieces[60:80]:
        if score.notes["pitch"].max() <= 115:
            higher = TOKENIZER.encode(score.transposed(12))
            assert TOKENIZER.augmented(ids, 12).tolist() == higher.tolist(), name


def test_notes_are_the_pitches_and_the_drums_struck():
    ids = np.array([BOS, BAR, METRE, POSITION, *note(60, 12), *note(36, 3, 78, DRUM)])
    assert np.flatnonzero(TOKENIZER.is_note(ids)).tolist() == [4, 7]
    assert TOKENIZER.pitches(ids).tolist() == [60]
    assert TOKENIZER.is_note(ids.reshape(2, 5)).sum() == 2


def test_a_spec_rebuilds_its_tokenizer_and_a_foreign_one_differs():
    spec = TOKENIZER.spec()
    assert RemiTokenizer.from_spec(spec).spec() == spec
    assert spec["tokenizer"] == TOKENIZER.name == "remi"
    foreign = {**spec, "steps_per_quarter": 24}
    assert RemiTokenizer.from_spec(foreign).spec() != foreign


@pytest.fixture
def few_files(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        path = tmp_path / f"{name}.mid"
        path.write_bytes(midi_bytes(tune([60 + number] * 40)))
    return tmp_path


def test_the_benchmark_reads_each_file_once(few_files):
    result = bench_ingest.measure("etude", [few_files])
    assert (result["files"], result["read"]) == (3, 3)
    # BOS, EOS; 20 quarters are 5 bars, each with its program, the first with metre and
    # tempo; 40 notes of four tokens.
    assert result["tokens"] == 3 * (2 + 5 * 2 + 2 + 40 * 4)


def test_a_sample_stands_for_its_folder(few_files, monkeypatch):
    pytest.importorskip("pretty_midi")
    ticks = iter([0.0, 1.0])
    monkeypatch.setattr(bench_ingest, "SAMPLES", (1,))
    monkeypatch.setattr(bench_ingest.time, "process_time", lambda: next(ticks))
    result = bench_ingest.measure("pretty_midi", [few_files])
    assert (result["seconds"], result["files"], result["read"]) == (3.0, 3, 1)


@pytest.mark.slow
def test_the_benchmark_gives_a_row_for_each_peer(few_files):
    for peer in bench_ingest.TARGETS:
        pytest.importorskip(peer)
    rows = bench_ingest.ingest([few_files], repeats=1)
    assert [row["target"] for row in rows] == [10.0, 50.0, 50.0]
    for row in rows:
        assert row["id"].startswith("P1 ingest, 3 files")
        assert row["higher_is_better"]
        assert row["ratio"] > 0
        assert {"etude", "numpy", "symusic"} <= set(row["versions"])


def test_the_benchmark_without_files_says_where_it_looked(tmp_path):
    with pytest.raises(FileNotFoundError, match="No folder with"):
        bench_ingest.ingest([tmp_path])

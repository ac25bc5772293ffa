"""The chorale tokenizer: its ids, its grammar, the way there and back, real chorales."""

import doctest
import itertools

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.midi import midi_bytes, parse_midi, read_midi
from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tables import read_tables
from data_pipelines.tokenizers import chorale
from data_pipelines.tokenizers.chorale import VOICES, ChoraleTokenizer, part_voices
from data_pipelines.tokenizers.cost import total_cost
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK, Event

TOKENIZER = ChoraleTokenizer()
METRE, PITCH, HOLD, REST = 4, 15, 143, 144  # the ids, written out by hand
SATB = tuple(Track(name) for name in VOICES)


def score_of(rows, tracks=SATB, metres=(), ticks=480):
    """A score of (start, duration, pitch, track) rows."""
    start, duration, pitch, track = np.array(rows).reshape(-1, 4).T
    notes = notes_array(start, duration, pitch, 80, track)
    return Score(notes, ticks, tracks, metres=metres)


def rows_of(score, *names):
    names = names or ("start", "duration", "pitch", "track")
    return sorted(zip(*(score.notes[name].tolist() for name in names), strict=True))


def voices_of(score):
    """Which voice each note is given: {(start, pitch): voice}."""
    decoded = TOKENIZER.decode(TOKENIZER.encode(score))
    shift = decoded.notes["start"][0] - score.notes["start"][0]
    return {
        (s - shift, p): v for s, p, v in rows_of(decoded, "start", "pitch", "track")
    }


# The ids.


def test_the_ids_are_reserved_metres_pitches_hold_rest():
    assert TOKENIZER.vocab_size == 145
    assert TOKENIZER.vocabulary.encode(Event("metre", 0)) == METRE
    assert TOKENIZER.vocabulary.encode(Event("pitch", 0)) == PITCH
    assert (TOKENIZER.hold, TOKENIZER.rest) == (HOLD, REST)


def test_the_doctest_in_the_docstring_is_true():
    results = doctest.testmod(chorale)
    assert results.attempted > 0
    assert results.failed == 0


def test_two_steps_of_four_voices_are_these_tokens():
    rows = [(0, 240, 74, 0), (0, 120, 70, 1), (120, 120, 65, 2), (0, 120, 58, 3)]
    expected = [
        *(BOS, METRE + 3, PITCH + 74, PITCH + 70, REST, PITCH + 58),
        *(HOLD, REST, PITCH + 65, REST, EOS),
    ]
    score = score_of(rows, metres=(Metre(0, 4, 4),))
    assert TOKENIZER.encode(score).tolist() == expected
    assert TOKENIZER.encode(score).dtype == np.int32


def test_a_repeated_note_is_struck_again_not_held():
    score = score_of([(0, 120, 60, 0), (120, 120, 60, 0), (240, 240, 60, 0)])
    assert TOKENIZER.encode(score)[2:-1:4].tolist() == [PITCH + 60] * 3 + [HOLD]


def test_silence_within_a_voice_is_one_rest_and_then_holds():
    score = score_of([(0, 120, 60, 1), (480, 120, 62, 1)])
    assert TOKENIZER.encode(score)[3:-1:4].tolist() == [
        *(PITCH + 60, REST, HOLD, HOLD, PITCH + 62),
    ]
    assert TOKENIZER.encode(score)[2:-1:4].tolist() == [REST, HOLD, HOLD, HOLD, HOLD]


def test_one_note_of_one_step_is_the_shortest_piece():
    ids = TOKENIZER.encode(score_of([(0, 1, 0, 3)]))
    assert ids.tolist() == [BOS, METRE, REST, REST, REST, PITCH, EOS]


@pytest.mark.parametrize("bars", [0, 1, 9, 4000])
def test_empty_bars_before_the_first_note_are_left_out_whole(bars):
    start = bars * 1920 + 240
    ids, cost = TOKENIZER.encode_measured(score_of([(start, 120, 60, 0)]))
    assert cost.empty_bars == bars
    assert ids[2:-1:4].tolist() == [REST, HOLD, PITCH + 60]
    assert cost.onset_error_ms == 0


def test_an_endless_first_bar_is_cut_to_what_the_grammar_allows():
    score = score_of([(120 * 100, 120, 60, 0)], metres=(Metre(0, 32, 4),))
    ids = TOKENIZER.encode(score)
    assert TOKENIZER.is_note(ids).argmax() == 2 + 4 * (100 % 32)
    assert TOKENIZER.grammar.accepts(ids[1:])


def test_what_has_no_pitched_note_is_refused():
    drums = Score(notes_array([0], [10], [36]), tracks=(Track(is_drum=True),))
    with pytest.raises(ValueError, match="no pitched notes: drums only"):
        TOKENIZER.encode(drums)
    with pytest.raises(ValueError, match="no pitched notes: empty"):
        TOKENIZER.encode(Score(notes_array([], [], [])))


# Which notes sing in which voice.


def test_four_unnamed_tracks_are_voices_by_their_mean_pitch():
    rows = [(0, 480, 50, 0), (0, 480, 72, 1), (0, 480, 58, 2), (0, 480, 64, 3)]
    rows += [(480, 480, 76, 0), (480, 480, 96, 1), (480, 480, 58, 2), (480, 480, 70, 3)]
    score = score_of(rows, (Track("a"), Track("b"), Track("c"), Track("d")))
    # Means 63, 84, 58, 67: the tracks in the order b, d, a, c; a and d cross.
    expected = [72, 64, 50, 58, 96, 70, 76, 58]
    assert TOKENIZER.pitches(TOKENIZER.encode(score)).tolist() == expected
    assert TOKENIZER.encode_measured(score)[1].reason == "the tracks' mean pitch"


def test_named_tracks_are_the_voices_that_they_name_however_they_cross():
    tracks = (Track("bass"), Track(" Soprano "), Track("drums", is_drum=True))
    score = score_of([(0, 480, 72, 0), (0, 480, 60, 1), (0, 9, 36, 2)], tracks)
    assert voices_of(score) == {(0, 60): 0, (0, 72): 3}
    cost = TOKENIZER.encode_measured(score)[1]
    assert (cost.notes, cost.lost, cost.reason) == (3, 1, "the tracks' names")


def test_what_plays_along_with_four_named_voices_is_lost_and_counted():
    names = ("Horn 1", "Soprano\rOboe", "alto", "Tenor solo", "Bass", "")
    rows = [(0, 480, 90 - t, t) for t in range(6)]
    ids, cost = TOKENIZER.encode_measured(score_of(rows, tuple(map(Track, names))))
    assert TOKENIZER.pitches(ids).tolist() == [89, 88, 87, 86]
    assert (cost.notes, cost.lost, cost.reason) == (6, 2, "the tracks' names")


def test_two_tracks_of_one_name_are_not_that_voice():
    rows = [(0, 480, 60, 0), (0, 480, 72, 1)]
    score = score_of(rows, (Track("Soprano"), Track("Soprano")))
    assert voices_of(score) == {(0, 72): 0, (0, 60): 1}


def test_one_line_alone_is_the_soprano():
    leaps = [(240 * n, 240, p, 0) for n, p in enumerate([90, 30, 60, 20, 100])]
    assert set(voices_of(score_of(leaps, (Track("Flute"),))).values()) == {0}


def test_of_a_chord_in_a_track_that_is_a_voice_the_outer_note_is_kept():
    tracks = tuple(Track(name) for name in "abcd")
    rows = [(0, 480, p, t) for t, p in enumerate([72, 66, 60, 48])]
    rows += [(0, 480, 75, 0), (0, 480, 45, 3)]
    ids, cost = TOKENIZER.encode_measured(score_of(rows, tracks))
    assert TOKENIZER.pitches(ids).tolist() == [75, 66, 60, 45]
    assert (cost.notes, cost.lost) == (6, 2)


def test_a_note_is_cut_where_the_next_one_of_its_voice_starts():
    score = score_of([(0, 960, 72, 0), (240, 240, 74, 0)])
    ids, cost = TOKENIZER.encode_measured(score)
    assert rows_of(TOKENIZER.decode(ids))[0] == (0, 240, 72, 0)
    assert (cost.lost, cost.shortened) == (0, 1)
    # One end is right, one 720 ticks early: 750 ms at 120 quarters a minute.
    assert cost.duration_error_ms == pytest.approx(750 / 2)


def test_of_more_than_four_at_once_the_inner_ones_are_lost_and_counted():
    score = score_of([(0, 480, p, 0) for p in (40, 45, 52, 57, 60, 64, 64)], (Track(),))
    ids, cost = TOKENIZER.encode_measured(score)
    assert TOKENIZER.pitches(ids).tolist() == [64, 60, 57, 40]
    assert (cost.notes, cost.lost) == (7, 3)


def test_a_new_top_note_cuts_the_inner_one_that_sounds():
    rows = [(0, 960, p, 0) for p in (40, 45, 52, 57)]
    score = score_of([*rows, (480, 480, 64, 0)], (Track(),))
    ids, cost = TOKENIZER.encode_measured(score)
    assert (cost.lost, cost.shortened) == (0, 1)
    assert (0, 480, 45) in rows_of(TOKENIZER.decode(ids), "start", "duration", "pitch")


def test_of_a_doubled_pitch_among_too_many_the_newest_stays():
    rows = [(0, 960, p, 0) for p in (40, 45, 52, 57)] + [(480, 480, 52, 0)]
    ids = TOKENIZER.encode(score_of(rows, (Track(),)))
    found = rows_of(TOKENIZER.decode(ids), "start", "duration", "pitch")
    assert found == [
        *((0, 480, 52), (0, 960, 40), (0, 960, 45), (0, 960, 57), (480, 480, 52)),
    ]


def test_chords_of_three_after_four_go_where_the_voices_were():
    # The alto pauses, then the soprano: what is left stays in its voices.
    chords = [(72, 67, 60, 48), (71, 62, 50), (65, 60, 48)]
    rows = [(480 * n, 480, p, 0) for n, chord in enumerate(chords) for p in chord]
    voices = voices_of(score_of(rows, (Track(),)))
    assert [voices[480, p] for p in (71, 62, 50)] == [0, 2, 3]
    assert [voices[960, p] for p in (65, 60, 48)] == [1, 2, 3]


def test_a_held_note_stays_in_its_voice_and_is_not_struck_again():
    rows = [(0, 1920, 60, 0), (480, 480, 72, 0), (960, 480, 48, 0), (960, 480, 67, 0)]
    ids, cost = TOKENIZER.encode_measured(score_of(rows, (Track(),)))
    decoded = TOKENIZER.decode(ids)
    assert rows_of(decoded, "start", "duration", "pitch") == sorted(
        row[:3] for row in rows
    )
    assert (cost.lost, cost.shortened) == (0, 0)


# What it costs.


def test_the_errors_are_distances_to_the_grid_in_milliseconds():
    # 30 ticks late at 120 quarters a minute: 31.25 ms; it ends 50 late: 52.08 ms.
    score = score_of([(0, 240, 60, 0), (510, 260, 62, 0)])
    cost = TOKENIZER.encode_measured(score)[1]
    assert cost.worst_onset_error_ms == pytest.approx(31.25)
    assert cost.onset_error_ms == pytest.approx(31.25 / 2)
    assert cost.duration_error_ms == pytest.approx(50 / 480 * 500 / 2)


# Back.


def test_decode_takes_tempo_program_and_velocity():
    score = TOKENIZER.decode([PITCH + 60], qpm=90, program=19, velocity=33)
    assert score.tempos == (Tempo(0, 90.0),)
    assert [track.program for track in score.tracks] == [19] * 4
    assert [track.name for track in score.tracks] == list(VOICES)
    assert score.notes["velocity"].tolist() == [33]


def test_a_step_that_breaks_off_is_held_in_the_voices_it_lacks():
    score = TOKENIZER.decode([BOS, METRE, *[PITCH + p for p in (72, 67, 60, 48, 74)]])
    assert rows_of(score, "duration", "pitch") == [
        *((120, 72), (120, 74), (240, 48), (240, 60), (240, 67)),
    ]


def test_pad_and_unknown_are_passed_over_and_eos_ends():
    ids = [BOS, METRE, PITCH + 60, PAD, REST, UNK, REST, REST, EOS, PITCH + 70]
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 120, 60, 0)]


@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [HOLD], [REST] * 9])
def test_what_holds_no_note_decodes_to_an_empty_score(ids):
    assert len(TOKENIZER.decode(ids)) == 0


@pytest.mark.parametrize("token_id", [-1, 145])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.144"):
        TOKENIZER.decode([BOS, token_id])


def decode_slowly(ids):
    """The reference: one token at a time."""
    ids = itertools.takewhile(lambda token_id: token_id != EOS, ids)
    sounding, notes, at = {}, [], 0

    def finish(voice):
        if voice in sounding:
            start, pitch = sounding.pop(voice)
            notes.append((start * 120, (step - start) * 120, pitch, voice))

    for token_id in ids:
        if token_id < PITCH:
            continue
        step, voice = divmod(at, 4)
        if token_id != HOLD:
            finish(voice)
        if token_id < HOLD:
            sounding[voice] = (step, token_id - PITCH)
        at += 1
    step = -(-at // 4)
    for voice in range(4):
        finish(voice)
    return sorted(notes)


some_ids = st.one_of(
    st.integers(0, 144), st.sampled_from([HOLD, HOLD, REST, PITCH + 60])
)


@given(st.lists(some_ids, max_size=80))
def test_any_ids_decode_as_a_plain_loop_does_and_to_midi_that_reads_back(ids):
    score = TOKENIZER.decode(ids)
    assert rows_of(score) == decode_slowly(ids)
    back = parse_midi(midi_bytes(score))
    names = ("start", "duration", "pitch")
    assert rows_of(back, *names) == rows_of(score, *names)


# There and back.


def lines_of_four(draw_silence=6):
    """Scores of four single lines on the grid, under the voices' names."""
    line = st.lists(
        st.tuples(
            st.integers(0, draw_silence), st.integers(1, 12), st.integers(0, 127)
        ),
        max_size=12,
    )

    def build(lines):
        rows = []
        for voice, parts in enumerate(lines):
            at = 0
            for gap, length, pitch in parts:
                rows.append(((at + gap) * 120, length * 120, pitch, voice))
                at += gap + length
        return score_of(rows, metres=(Metre(0, 6, 8),))

    lines = st.lists(line, min_size=4, max_size=4).filter(any)
    return lines.map(build)


@given(lines_of_four())
def test_decode_after_encode_is_the_identity_on_the_grid(score):
    ids, cost = TOKENIZER.encode_measured(score)
    back = TOKENIZER.decode(ids)
    shift = cost.empty_bars * 12 * 120
    expected = [(s - shift, d, p, v) for s, d, p, v in rows_of(score)]
    assert rows_of(back) == expected
    assert (back.metres, back.tracks) == (score.metres, score.tracks)
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert TOKENIZER.encode(back).tolist() == ids.tolist()
    assert (cost.lost, cost.shortened, cost.duration_error_ms) == (0, 0, 0)


def encode_slowly(score):
    """The reference for tracks that are voices: one note and one step at a time."""
    tick = score.ticks_per_quarter
    at_step = [{} for _ in VOICES]  # voice -> step -> (rank, end, pitch)
    for note in score.notes:
        start, duration = int(note["start"]), int(note["duration"])
        voice, pitch = int(note["track"]), int(note["pitch"])
        step = (8 * start + tick) // (2 * tick)
        end = max(step + 1, (8 * (start + duration) + tick) // (2 * tick))
        rank = (-abs(start * 4 - step * tick), -pitch if voice == 3 else pitch)
        there = at_step[voice].get(step)
        if there is None or rank > there[0]:
            at_step[voice][step] = (rank, end, pitch)
    first = min(step for line in at_step for step in line)
    shift = first // 16 * 16
    grid = []
    for line in at_step:
        words, sounds_until, sounding = {}, 0, False
        last = line[max(line)][1] if line else 0  # whoever starts last ends last
        for step in range(shift, last + 1):
            if step in line:
                words[step] = PITCH + line[step][2]
                sounds_until, sounding = line[step][1], True
            elif sounding and step == sounds_until:
                words[step] = REST
                sounding = False
        words.setdefault(shift, REST)
        grid.append((words, last))
    length = max(last for _, last in grid)
    body = [words.get(step, HOLD) for step in range(shift, length) for words, _ in grid]
    return [BOS, METRE, *body, EOS]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4000),
            st.integers(1, 900),
            st.integers(30, 90),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=40,
    ),
    st.sampled_from([480, 96, 7]),
)
def test_the_fast_encoder_equals_the_plain_loop_on_any_notes(rows, ticks):
    score = score_of(rows, ticks=ticks)
    assert TOKENIZER.encode(score).tolist() == encode_slowly(score)


def part_slowly(score):
    """The reference for chords: step by step, all ways to give new notes a voice."""
    notes = [
        [s // 120, (s + d) // 120, p, -1]
        for s, d, p, _ in sorted(rows_of(score), key=lambda r: (r[0], -r[2], r[1]))
    ]
    sang = [None] * 4
    for step in range(max(end for _, end, _, _ in notes)):
        held = [n for n in notes if n[3] >= 0 and n[0] < step < n[1]]
        new = [n for n in notes if n[0] == step]
        if not new:
            continue
        sounding = held + new
        if len(sounding) > 4:
            newest = {}
            for note in sounding:
                newest[note[2]] = note
            ranked = sorted(newest.values(), key=lambda n: -n[2])
            sounding = ranked if len(ranked) <= 4 else [*ranked[:3], ranked[-1]]
        for note in held:
            if not any(note is other for other in sounding):
                note[1] = step
        held = [n for n in held if n[1] > step]
        new = [n for n in new if any(n is other for other in sounding)]
        known = max(sum(pitch is not None for pitch in sang), len(sounding))
        best = None
        for voices in itertools.permutations(range(known), len(new)):
            if list(voices) != sorted(voices) or {n[3] for n in held} & set(voices):
                continue
            crossings = sum(
                (v < h[3] and n[2] < h[2]) or (v > h[3] and n[2] > h[2])
                for v, n in zip(voices, new, strict=True)
                for h in held
            )
            leaps = sum(
                abs(n[2] - (sang[v] or 0)) for v, n in zip(voices, new, strict=True)
            )
            if best is None or (crossings, leaps, voices) < best:
                best = (crossings, leaps, voices)
        for voice, note in zip(best[2], new, strict=True):
            note[3] = voice
            sang[voice] = note[2]
    return sorted((s, e, p, v) for s, e, p, v in notes if v >= 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(1, 6), st.integers(55, 67)),
        min_size=1,
        max_size=40,
    )
)
def test_chords_are_parted_as_the_plain_loop_does(notes):
    rows = [(120 * start, 120 * length, pitch, 0) for start, length, pitch in notes]
    score = score_of([*rows, (0, 120, 60, 1)], (Track("a"), Track("b")))
    placed, reason = part_voices(score)
    if reason != "chords, note by note":  # two single lines
        return
    found = placed[["start", "end", "pitch", "voice"]].tolist()
    assert sorted(found) == part_slowly(score)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(0, 127)),
        min_size=1,
        max_size=60,
    )
)
def test_chords_survive_as_they_were_kept_and_nothing_sounds_twice(notes):
    rows = [(120 * start, 120 * length, pitch, 0) for start, length, pitch in notes]
    ids, cost = TOKENIZER.encode_measured(score_of(rows, (Track(),)))
    back = TOKENIZER.decode(ids)
    assert len(back) == cost.notes - cost.lost
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert TOKENIZER.encode(back).tolist() == ids.tolist()
    steps = range(max(start + length for start, length, _ in notes))
    most = max(sum(s <= n < s + d for s, d, _ in notes) for n in steps)
    if most <= 4:
        assert (cost.lost, cost.shortened) == (0, 0)


# The grammar.


def test_the_grammar_wants_a_metre_then_voices_and_no_end_within_a_step():
    grammar = TOKENIZER.grammar
    state = grammar.start
    assert np.flatnonzero(grammar.allowed[state]).tolist() == list(range(4, 15))
    assert grammar.accepts([METRE, PITCH, REST, REST, REST, EOS, PAD, PAD])
    for body in ([], [PITCH], [PITCH, REST, REST], [REST] * 4, [PITCH] * 5):
        assert not grammar.accepts([METRE, *body, EOS])
    assert not grammar.accepts([METRE, PITCH, REST, REST, REST, EOS, PITCH])


def test_in_the_first_step_a_voice_sings_or_rests_and_does_not_hold():
    for voice in range(4):
        for earlier in itertools.product([PITCH + 60, REST], repeat=voice):
            state = TOKENIZER.grammar.state_after([METRE, *earlier])
            allowed = TOKENIZER.allowed(state)
            assert (allowed[HOLD], allowed[REST]) == (False, True)
            assert allowed[PITCH : PITCH + 128].all()


def test_only_a_voice_that_sounds_may_rest():
    opening = [METRE, PITCH, REST, PITCH, REST]
    accepts = TOKENIZER.grammar.accepts
    assert accepts([*opening, REST, HOLD, HOLD, HOLD, HOLD, PITCH, REST, HOLD])
    assert not accepts([*opening, HOLD, REST])
    assert not accepts([*opening, REST, HOLD, HOLD, HOLD, REST])


@pytest.mark.parametrize("longest", [0, 1, 15, 32])
def test_a_note_sounds_after_so_many_steps_at_the_latest(longest):
    grammar = TOKENIZER.grammar_for(longest)
    silence = ([REST] * 4 + [HOLD] * 4 * longest)[: 4 * longest + 3]
    state = grammar.state_after([METRE, *silence])
    allowed = np.flatnonzero(grammar.allowed[state])
    assert allowed.tolist() == list(range(PITCH, PITCH + 128))
    assert grammar.accepts([METRE, *silence, PITCH, EOS])
    assert grammar.accepts([METRE, *silence[:-1], PITCH, HOLD if longest else REST])


def test_every_state_can_be_reached_and_goes_on():
    grammar = TOKENIZER.grammar
    assert grammar.allowed.any(axis=1).all()
    reached = {grammar.start} | set(grammar.next_state[grammar.allowed].tolist())
    assert reached == set(range(len(grammar.allowed)))


def sampled(rng, *, length):
    """Ids drawn at random from what the grammar allows, to EOS after `length`."""
    state, ids = TOKENIZER.grammar.start, []
    for _ in range(2000):
        allowed = np.flatnonzero(TOKENIZER.allowed(state))
        kinds = [k for k in (EOS, HOLD, REST) if k in allowed]
        if EOS in kinds and len(ids) >= length:
            return [BOS, *ids, EOS]
        kinds = [k for k in kinds if k != EOS]
        token_id = int(rng.choice(kinds if kinds and rng.random() < 0.7 else allowed))
        if token_id == EOS:
            continue
        ids.append(token_id)
        state = TOKENIZER.grammar.next_state[state, token_id]
    raise AssertionError("the grammar came to no end")


def test_what_the_grammar_accepts_is_what_its_music_encodes_to():
    rng = np.random.default_rng(0)
    for _ in range(100):
        ids = sampled(rng, length=rng.integers(1, 300))
        score = TOKENIZER.decode(ids)
        assert len(score) > 0
        again = TOKENIZER.encode(score).tolist()
        # Silence at the end, and whole bars of it at the beginning, are not told.
        steps = score.end_tick // 120
        bar = chorale.steps_in_bar(score.metre)
        first = int(score.notes["start"].min()) // 120
        shift = first // bar * bar
        shift += (first - shift) // 32 * 32
        if shift:
            assert len(again) == 3 + 4 * (steps - shift)
        else:
            assert again == [*ids[: 2 + 4 * steps], EOS]


# The rest of the contract.


def test_notes_and_pitches_are_counted_in_the_order_of_the_stream():
    ids = [
        BOS,
        METRE,
        PITCH + 72,
        REST,
        PITCH,
        PITCH + 127,
        HOLD,
        HOLD,
        REST,
        HOLD,
        EOS,
    ]
    assert np.flatnonzero(TOKENIZER.is_note(ids)).tolist() == [2, 4, 5]
    assert TOKENIZER.pitches(ids).tolist() == [72, 0, 127]


def test_transposing_moves_pitches_alone_and_keeps_them_in_range():
    ids = np.array([BOS, METRE, PITCH + 60, REST, PITCH + 127, PITCH, HOLD, EOS])
    up = TOKENIZER.augmented(ids, 3, stretch=1.1, loudness=0.9)
    assert up.tolist() == [
        *(BOS, METRE, PITCH + 63, REST, PITCH + 127, PITCH + 3, HOLD, EOS),
    ]
    assert TOKENIZER.augmented(ids, -3)[5] == PITCH


def test_a_spec_builds_the_same_tokenizer():
    spec = TOKENIZER.spec()
    assert spec["tokenizer"] == "chorale"
    assert ChoraleTokenizer.from_spec(spec).spec() == spec


def test_a_metre_has_its_id_and_its_name():
    assert TOKENIZER.metre_id("4/4") == METRE + 3
    assert TOKENIZER.metre_name([BOS, METRE + 3]) == "4/4"
    assert TOKENIZER.metre_name([BOS, TOKENIZER.metre_id(None)]) is None
    with pytest.raises(ValueError, match=r"must be one of 2/4, .*Received: '7/8'"):
        TOKENIZER.metre_id("7/8")


# Real music.


def chorales(name):
    path = data_folder("jsb") / f"{name}.json"
    return read_tables(path.read_bytes(), "json").contents


def test_all_of_bachs_chorales_go_there_and_back():
    for number, score in enumerate(chorales("jsb-16th-separated")):
        ids, cost = TOKENIZER.encode_measured(score)
        back = TOKENIZER.decode(ids)
        assert rows_of(back) == rows_of(score)
        assert TOKENIZER.grammar.accepts(ids[1:])
        assert (cost.lost, cost.shortened) == (0, 0)
        if number % 8 == 0:
            assert ids.tolist() == encode_slowly(score)


def test_chords_of_quarters_lose_no_note():
    for score in chorales("jsb-quarter"):
        ids, cost = TOKENIZER.encode_measured(score)
        names = ("start", "duration", "pitch")
        assert rows_of(TOKENIZER.decode(ids), *names) == rows_of(score, *names)
        assert TOKENIZER.grammar.accepts(ids[1:])
        assert (cost.lost, cost.shortened) == (0, 0)


def test_parting_finds_the_voices_of_chorales_again():
    # The four voices poured into one track: how many notes come back in their own?
    right = total = 0
    for score in chorales("jsb-16th-separated")[::4]:
        notes = score.notes.copy()
        notes["track"] = 0
        placed, _ = part_voices(Score(notes, 480, (Track(),)))
        merged = Score(notes, 480, (Track(),)).notes[placed["note"]]
        truth = {
            (s, p, v)
            for s, _, p, v in rows_of(score, "start", "duration", "pitch", "track")
        }
        found = zip(
            merged["start"].tolist(),
            merged["pitch"].tolist(),
            placed["voice"].tolist(),
            strict=True,
        )
        right += sum(row in truth for row in found)
        total += len(score)
    print(f"chorales in one track: {100 * right / total:.1f}% of notes in their voice")
    assert right / total > 0.9


def test_nottingham_loses_little_and_says_what(nottingham):
    costs = []
    for path in nottingham[::10]:
        ids, cost = TOKENIZER.encode_measured(read_midi(path))
        assert TOKENIZER.grammar.accepts(ids[1:]), path
        back = TOKENIZER.decode(ids)
        assert len(back) == cost.notes - cost.lost, path
        assert TOKENIZER.encode(back).tolist() == ids.tolist(), path
        costs.append(cost)
    cost = total_cost(costs)
    print(
        f"Nottingham in four voices: {cost.notes:,} notes, {cost.lost:,} lost, "
        f"{cost.shortened:,} cut, onsets off by {cost.onset_error_ms:.2f} ms"
    )
    assert cost.lost / cost.notes < 0.05


@pytest.mark.slow
def test_chorales_in_musicxml_are_four_voices_by_their_names():
    from music21 import converter, corpus

    from data_pipelines.exchange import from_music21

    files = [path for path in corpus.getComposer("bach") if path.suffix == ".mxl"]
    whole, named = [], []
    for path in sorted(files)[::8]:  # parsing all of them takes a minute
        score = from_music21(converter.parse(path, storePickle=False))
        ids, cost = TOKENIZER.encode_measured(score)
        assert TOKENIZER.grammar.accepts(ids[1:])
        assert TOKENIZER.encode(TOKENIZER.decode(ids)).tolist() == ids.tolist()
        whole.append(cost.lost == 0)
        named.append(cost.reason == "the tracks' names")
    print(
        f"music21's Bach: {len(whole)} files, {sum(named)} with named voices, "
        f"{sum(whole)} without a lost note"
    )
    assert len(named) > 40
    assert sum(named) / len(named) > 0.9

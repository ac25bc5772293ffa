"""The performance tokenizer: its ids, its grammar, hand-made music there and back."""

import doctest

import numpy as np
import pytest
from conftest import tune

from data_pipelines.guard import gate
from data_pipelines.score import PEDAL, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import performance
from data_pipelines.tokenizers.performance import PerformanceTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK, Event

TOKENIZER = PerformanceTokenizer()
ON, OFF = 4, 132  # the ids, written out by hand
SHIFT, VELOCITY = 259, 359  # of time_shift 1 and velocity 1, less one
DRUMS = Track("Kit", 0, True)


def seconds_score(rows, tracks=(), pedals=()):
    """A score of rows (start, end, pitch, velocity, track), in milliseconds."""
    start, end, pitch, velocity, track = np.array(rows).reshape(-1, 5).T
    return Score(
        notes_array(start, end - start, pitch, velocity, track),
        500,  # at 120 quarters a minute a tick is a millisecond
        tracks or (Track(), Track("Other")),
        pedals=np.array(list(pedals), dtype=PEDAL),
    )


def words(ids):
    """The events of ids, as people read them."""
    return " ".join(str(TOKENIZER.vocabulary.decode(i)) for i in ids[1:-1])


def rows_of(score):
    """(start, end, pitch, velocity) of each note, in steps of 10 ms."""
    return [
        (start, start + duration, pitch, velocity)
        for start, duration, pitch, velocity, _ in score.notes.tolist()
    ]


def test_the_ids_are_the_ones_written_here():
    vocabulary = TOKENIZER.vocabulary
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert vocabulary.encode(Event("note_on", 0)) == ON
    assert vocabulary.encode(Event("note_off", 0)) == OFF
    assert vocabulary.encode(Event("time_shift", 1)) == SHIFT + 1
    assert vocabulary.encode(Event("time_shift", 100)) == SHIFT + 100
    assert vocabulary.encode(Event("velocity", 1)) == VELOCITY + 1
    assert vocabulary.encode(Event("velocity", 32)) == VELOCITY + 32
    assert TOKENIZER.vocab_size == VELOCITY + 32 + 1 == 392


def test_the_doctests_in_the_docstrings_are_true():
    results = doctest.testmod(performance)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("token_id", [-1, 392])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.391. Received"):
        TOKENIZER.decode([BOS, token_id])


def test_two_chords_are_these_tokens():
    score = seconds_score(
        [
            (0, 480, 64, 80, 0),
            (0, 500, 60, 80, 0),
            (500, 1000, 62, 80, 0),
            (500, 1000, 59, 90, 0),
        ]
    )
    # Offs before ons, low before high, a velocity only where its bin changes:
    # (80 - 1) // 4 + 1 = 20 and (90 - 1) // 4 + 1 = 23.
    assert words(TOKENIZER.encode(score)) == (
        "velocity:20 note_on:60 note_on:64 time_shift:48 note_off:64 "
        "time_shift:2 note_off:60 velocity:23 note_on:59 velocity:20 note_on:62 "
        "time_shift:50 note_off:59 note_off:62"
    )


@pytest.mark.parametrize(
    ("velocity", "number", "decoded"),
    [(1, 1, 2), (4, 1, 2), (5, 2, 6), (64, 16, 62), (124, 31, 122), (127, 32, 126)],
)
def test_a_velocity_is_the_middle_of_its_bin_of_four(velocity, number, decoded):
    score = seconds_score([(0, 500, 60, velocity, 0)])
    ids, cost = TOKENIZER.encode_measured(score)
    assert ids[1] == VELOCITY + number
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 50, 60, decoded)]
    assert cost.velocity_error == abs(velocity - decoded)


@pytest.mark.parametrize(
    ("milliseconds", "shifts"),
    [
        (10, [1]),
        (1000, [100]),
        (1010, [100, 1]),
        (2500, [100, 100, 50]),
        (10_000, [100] * 10),
    ],
)
def test_a_wait_over_a_second_is_several_shifts(milliseconds, shifts):
    score = seconds_score([(0, milliseconds, 60, 80, 0)])
    expected = [VELOCITY + 20, ON + 60, *(SHIFT + s for s in shifts), OFF + 60]
    assert TOKENIZER.encode(score).tolist() == [BOS, *expected, EOS]


def test_a_wait_of_more_than_ten_seconds_is_cut_to_ten_and_told():
    rows = [(12_000, 12_500, 60, 80, 0), (40_000, 55_000, 62, 80, 0)]
    ids, cost = TOKENIZER.encode_measured(seconds_score(rows))
    # 2 s of the opening, 17.5 s of the rest and 5 s of the long note are left out.
    expected = [(1000, 1050, 60, 78), (2050, 3050, 62, 78)]
    assert rows_of(TOKENIZER.decode(ids)) == expected
    assert cost.cut_seconds == pytest.approx(2 + 17.5 + 5)
    assert cost.worst_onset_error_ms == pytest.approx(0, abs=1e-6)
    assert cost.duration_error_ms == pytest.approx(5000 / 2)
    assert TOKENIZER.grammar.accepts(ids[1:])


def test_onsets_and_ends_go_to_the_nearest_hundredth_of_a_second():
    # 4 ms late and 3 ms early; the ends 2 ms early and right.
    ids, cost = TOKENIZER.encode_measured(
        seconds_score([(104, 498, 60, 78, 0), (607, 1000, 62, 78, 0)])
    )
    assert rows_of(TOKENIZER.decode(ids)) == [(10, 50, 60, 78), (61, 100, 62, 78)]
    assert cost.onset_error_ms == pytest.approx((4 + 3) / 2)
    assert cost.worst_onset_error_ms == pytest.approx(4)
    assert cost.duration_error_ms == pytest.approx((2 + 0) / 2)
    assert (cost.notes, cost.lost, cost.shortened) == (2, 0, 0)


def test_a_note_too_short_for_the_grid_lasts_one_step():
    ids = TOKENIZER.encode(seconds_score([(0, 2, 60, 78, 0)]))
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 1, 60, 78)]


def test_time_is_counted_in_seconds_through_every_tempo():
    # A quarter at 60, then one at 240: onsets at 0 and 1 s, the end at 1.25 s.
    score = Score(
        notes_array([0, 480], [480, 480], [60, 62]),
        480,
        tempos=(Tempo(0, 60.0), Tempo(480, 240.0)),
    )
    back = TOKENIZER.decode(TOKENIZER.encode(score))
    assert rows_of(back) == [(0, 100, 60, 78), (100, 125, 62, 78)]


def test_the_pedal_is_put_into_the_lengths():
    score = seconds_score(
        [(0, 200, 60, 78, 0), (0, 200, 64, 78, 1), (700, 800, 60, 78, 0)],
        pedals=[(100, 900, 0)],
    )
    back = TOKENIZER.decode(TOKENIZER.encode(score))
    # Until struck again, not at all (its track has no pedal), until the foot goes up.
    assert rows_of(back) == [(0, 70, 60, 78), (0, 20, 64, 78), (70, 100, 60, 78)]
    assert not len(back.pedals)


def test_a_key_that_another_track_strikes_is_cut_there_and_counted():
    score = seconds_score([(0, 900, 60, 78, 0), (400, 600, 60, 78, 1)])
    ids, cost = TOKENIZER.encode_measured(score)
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 40, 60, 78), (40, 60, 60, 78)]
    assert (cost.lost, cost.shortened) == (0, 1)
    assert cost.duration_error_ms == pytest.approx(500 / 2)


def test_what_only_the_pedal_lets_ring_may_be_struck_again_without_loss():
    # The key is up after 0.2 s; the pedal would hold it to 5 s.
    rows = [(0, 200, 60, 78, 0), (400, 600, 60, 78, 1)]
    ids, cost = TOKENIZER.encode_measured(seconds_score(rows, pedals=[(0, 5000, 0)]))
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 40, 60, 78), (40, 60, 60, 78)]
    assert cost.shortened == 0
    assert cost.duration_error_ms == pytest.approx(0, abs=1e-6)


def test_of_a_unison_the_longest_then_the_loudest_is_kept_and_the_rest_counted():
    score = seconds_score(
        [
            (0, 500, 60, 126, 0),
            (2, 900, 60, 78, 1),  # in the same step
            (1000, 1500, 60, 78, 0),
            (1000, 1500, 60, 98, 1),
        ]
    )
    ids, cost = TOKENIZER.encode_measured(score)
    assert rows_of(TOKENIZER.decode(ids)) == [(0, 90, 60, 78), (100, 150, 60, 98)]
    assert (cost.notes, cost.lost, cost.shortened) == (4, 2, 0)


def test_drums_are_left_out_and_counted():
    rows = [(0, 500, 60, 78, 0), (0, 100, 36, 78, 1), (250, 300, 38, 78, 1)]
    ids, cost = TOKENIZER.encode_measured(seconds_score(rows, (Track(), DRUMS)))
    assert TOKENIZER.pitches(ids).tolist() == [60]
    assert (cost.notes, cost.lost) == (3, 2)


def test_what_has_no_pitched_note_is_refused():
    with pytest.raises(ValueError, match="drums only"):
        TOKENIZER.encode(Score(notes_array([0], [10], [36]), tracks=(DRUMS,)))
    with pytest.raises(ValueError, match="empty"):
        TOKENIZER.encode(Score(notes_array([], [], [])))


def test_two_hours_are_taken_and_more_are_refused():
    start = np.arange(800) * 9000
    length = np.full(800, 9000)  # to 7,200,000 ms
    score = Score(notes_array(start, length, 60, 78), 500)
    ids, cost = TOKENIZER.encode_measured(score)
    back = TOKENIZER.decode(ids)
    assert cost.cut_seconds == 0
    assert back.length_seconds == 7200
    assert gate(back) is back
    length[-1] += 10
    with pytest.raises(ValueError, match=r"lasts 2\.0 hours; .* at most 2"):
        TOKENIZER.encode(Score(notes_array(start, length, 60, 78), 500))


def test_a_pedal_that_is_down_for_days_rings_for_eight_quarters():
    score = Score(
        notes_array([0], [500], [60]), 500, pedals=np.array([(0, 2**28 - 1, 0)], PEDAL)
    )
    ids = TOKENIZER.encode(score)
    assert len(ids) == 2 + 2 + 5 + 1  # BOS, EOS; velocity, on; 4.5 s; off


def stream(*events):
    """Ids from ("on", 60), ("off", 60), ("shift", 5), ("velocity", 20)."""
    first = {"on": ON, "off": OFF, "shift": SHIFT, "velocity": VELOCITY}
    return [first[kind] + value for kind, value in events]


@pytest.mark.parametrize(
    ("ids", "rows"),
    [
        # A key that is silent goes up; one that sounds goes down again.
        (
            stream(("off", 60), ("on", 60), ("shift", 5), ("on", 60), ("shift", 2)),
            [(0, 5, 60, 78), (5, 7, 60, 78)],
        ),
        # It ends once: the second off is passed over.
        (
            stream(("on", 60), ("shift", 5), ("off", 60), ("shift", 5), ("off", 60)),
            [(0, 5, 60, 78)],
        ),
        # Never ended: as long as the stream, and a step at least.
        (
            stream(("on", 60), ("shift", 5), ("on", 62)),
            [(0, 5, 60, 78), (5, 6, 62, 78)],
        ),
        # Up in the step in which it went down: a step at least.
        (stream(("on", 60), ("off", 60), ("shift", 50)), [(0, 1, 60, 78)]),
        # Struck twice in a step: the last counts, with its velocity.
        (
            stream(("on", 60), ("velocity", 1), ("on", 60), ("shift", 5), ("off", 60)),
            [(0, 5, 60, 2)],
        ),
        (
            stream(("on", 60), ("off", 60), ("on", 60), ("shift", 5), ("off", 60)),
            [(0, 5, 60, 78)],
        ),
        # Two velocities: the last counts. It stays for the notes to come.
        (
            stream(
                *(("velocity", 9), ("velocity", 32), ("on", 60), ("shift", 100)),
                *(("on", 127), ("shift", 100), ("off", 127), ("on", 0), ("shift", 1)),
            ),
            [(0, 201, 60, 126), (100, 200, 127, 126), (200, 201, 0, 126)],
        ),
        # What is reserved is passed over, and EOS ends it.
        (
            [PAD, BOS, ON + 60, UNK, SHIFT + 3, BOS, OFF + 60, EOS, ON + 61],
            [(0, 3, 60, 78)],
        ),
        # 20 s without an event are 10.
        (
            stream(*[("shift", 100)] * 20, ("on", 60), *[("shift", 99)] * 20),
            [(1000, 2000, 60, 78)],
        ),
    ],
)
def test_odd_streams_decode_to_what_a_pianist_would_make_of_them(ids, rows):
    assert rows_of(TOKENIZER.decode(ids)) == rows


@pytest.mark.parametrize(
    "ids",
    [[], [BOS], [BOS, EOS], [OFF + 60], [VELOCITY + 1, SHIFT + 9, OFF], [EOS, ON]],
)
def test_what_holds_no_note_decodes_to_an_empty_score(ids):
    assert len(TOKENIZER.decode(ids)) == 0


def test_nothing_sounds_after_two_hours():
    nine_seconds = [SHIFT + 100] * 9
    ids = [ON + 60, *nine_seconds, OFF + 60, *nine_seconds] * 500
    score = TOKENIZER.decode(ids)
    assert len(score) == 400
    assert gate(score) is score
    held = TOKENIZER.decode([ON + 40, *ids])
    assert held.length_seconds == 7200


def test_a_decoded_score_names_its_instrument_and_a_tempo():
    score = TOKENIZER.decode([ON + 60], program=19)
    assert score.tracks == (Track("Piano", 19),)
    assert score.tempos == (Tempo(0, 120.0),)
    assert score.seconds_at(1) == pytest.approx(0.01)


def test_the_grammar_opens_with_at_most_ten_shifts_then_a_velocity_and_a_note():
    grammar = TOKENIZER.grammar
    velocities = np.zeros(392, dtype=bool)
    velocities[VELOCITY + 1 : VELOCITY + 33] = True
    shifts = np.zeros(392, dtype=bool)
    shifts[SHIFT + 1 : SHIFT + 101] = True
    notes = np.zeros(392, dtype=bool)
    notes[ON : ON + 128] = True
    for count in range(10):
        state = grammar.state_after([SHIFT + 7] * count)
        np.testing.assert_array_equal(grammar.allowed[state], velocities | shifts)
    state = grammar.state_after([SHIFT + 100] * 10)
    np.testing.assert_array_equal(grammar.allowed[state], velocities)
    state = grammar.state_after([VELOCITY + 5])
    np.testing.assert_array_equal(TOKENIZER.allowed(state), notes)


def test_the_grammar_ends_after_a_key_went_up_and_waits_ten_shifts_at_most():
    head = stream(("velocity", 20), ("on", 60))
    accepts = TOKENIZER.grammar.accepts
    shift, off = SHIFT + 100, OFF + 60
    assert accepts([*head, shift, off, EOS, PAD, PAD])
    assert accepts([*head, *head[1:], shift, off, off, shift, *head, shift, off, EOS])
    assert accepts([*head, *[shift] * 10, off, *[shift] * 10, off])
    assert not accepts([*head, *[shift] * 11])
    assert not accepts([*head, shift, off, *[shift] * 11])
    assert not accepts([*head, EOS])
    assert not accepts([*head, shift, EOS])
    assert not accepts([*head, off])  # a note lasts at least a step
    assert not accepts([*head, VELOCITY + 1, VELOCITY + 2])
    assert not accepts([*head, VELOCITY + 1, shift])
    assert not accepts([off])
    assert not accepts([ON + 60])
    assert not accepts([*head, shift, off, EOS, shift])
    assert not accepts([*head, shift, BOS])


def test_every_state_of_the_grammar_leads_on_and_every_walk_decodes():
    grammar = TOKENIZER.grammar
    assert grammar.allowed.any(axis=1).all()
    assert grammar.allowed.nbytes + grammar.next_state.nbytes < 60_000
    rng = np.random.default_rng(0)
    for _ in range(100):
        state, ids = grammar.start, []
        while len(ids) < 60:
            allowed = np.flatnonzero(grammar.allowed[state])
            ids.append(int(rng.choice(allowed)))
            state = grammar.next_state[state, ids[-1]]
        assert len(gate(TOKENIZER.decode(ids))) > 0


def test_silence_alone_is_no_stream():
    grammar = TOKENIZER.grammar
    state, struck = grammar.start, 0
    for _ in range(200):  # always a shift, where a shift is allowed
        allowed = np.flatnonzero(grammar.allowed[state])
        token = SHIFT + 100 if SHIFT + 100 in allowed else int(allowed[0])
        struck += token < OFF
        state = grammar.next_state[state, token]
    assert struck >= 200 // 12


def test_notes_are_the_keys_struck():
    ids = np.array([BOS, *stream(("velocity", 3), ("on", 0), ("on", 127), ("off", 0))])
    assert TOKENIZER.is_note(ids).tolist() == [False, False, True, True, False]
    assert TOKENIZER.pitches(ids).tolist() == [0, 127]


def test_a_spec_rebuilds_its_tokenizer_and_a_foreign_one_differs():
    spec = TOKENIZER.spec()
    assert PerformanceTokenizer.from_spec(spec).spec() == spec
    assert spec["tokenizer"] == TOKENIZER.name == "performance"
    foreign = {**spec, "steps_per_second": 125}
    assert PerformanceTokenizer.from_spec(foreign).spec() != foreign


def test_a_melody_is_a_performance_too():
    ids = TOKENIZER.encode(tune([60, 62], duration=240))
    assert TOKENIZER.pitches(ids).tolist() == [60, 62]

"""The performance tokenizer's laws: on any score, on any ids, and on real piano."""

import itertools

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.guard import gate
from data_pipelines.midi import midi_bytes, parse_midi, read_midi
from data_pipelines.score import PEDAL, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.cost import total_cost
from data_pipelines.tokenizers.performance import PerformanceTokenizer
from data_pipelines.vocabulary import BOS, EOS

TOKENIZER = PerformanceTokenizer()
ON, OFF = 4, 132  # the ids, written out by hand
SHIFT, VELOCITY = 259, 359  # of time_shift 1 and velocity 1, less one
DRUMS = Track("Kit", 0, True)


def rows_of(score):
    """(start, end, pitch, velocity) of each note, in steps of 10 ms."""
    return [
        (start, start + duration, pitch, velocity)
        for start, duration, pitch, velocity, _ in score.notes.tolist()
    ]


any_ids = st.lists(
    st.one_of(
        st.integers(0, 391),
        st.sampled_from([ON + 60, OFF + 60, ON + 61, OFF + 61]),
        st.sampled_from([SHIFT + 1, SHIFT + 100, VELOCITY + 3]),
    ),
    max_size=80,
)


@given(any_ids)
def test_any_ids_at_all_decode_to_midi_that_reads_back(ids):
    score = TOKENIZER.decode(ids)
    assert parse_midi(midi_bytes(score)).notes.tolist() == score.notes.tolist()


@given(any_ids)
def test_what_any_ids_decode_to_is_on_the_grid_and_passes_the_gate(ids):
    score = TOKENIZER.decode(ids)
    if len(score):
        assert gate(score) is score
        again, cost = TOKENIZER.encode_measured(score)
        assert TOKENIZER.decode(again) == score
        assert (cost.lost, cost.shortened, cost.cut_seconds) == (0, 0, 0)


def decode_slowly(ids):
    """The reference: one token at a time, a keyboard of 128 keys."""
    time, number, notes, sounding = 0, 20, [], {}
    for token in ids:
        if token == EOS:
            break
        if token > VELOCITY:
            number = token - VELOCITY
        elif token > SHIFT:
            time += token - SHIFT
        elif token >= ON:
            pitch = (token - ON) % 128
            if pitch in sounding:
                start, loud = sounding.pop(pitch)
                notes.append([start, max(time, start + 1), pitch, loud])
            if token < OFF:
                # Of two strikes in a step the last counts.
                notes = [n for n in notes if (n[0], n[2]) != (time, pitch)]
                sounding[pitch] = (time, 4 * number - 2)
    for pitch, (start, loud) in sounding.items():
        notes.append([start, max(time, start + 1), pitch, loud])
    return sorted(without_long_waits(notes))


def without_long_waits(notes):
    """Each wait of over 1000 steps, from the last to the first, cut to 1000."""
    times = sorted({0} | {n[0] for n in notes} | {n[1] for n in notes})
    for before, after in reversed(list(itertools.pairwise(times))):
        if after - before > 1000:
            gone = after - before - 1000
            notes = [
                [t - gone if t >= after else t for t in n[:2]] + n[2:] for n in notes
            ]
    return [tuple(n) for n in notes]


@given(any_ids)
def test_the_fast_decoder_equals_the_plain_loop_on_any_ids(ids):
    found = [(s, e, p, v) for s, e, p, v in rows_of(TOKENIZER.decode(ids))]
    assert sorted(found) == decode_slowly(ids)


def encode_slowly(score):
    """The reference: one note and one event at a time, in plain loops."""
    struck = {}
    sustained = score.sustained()
    for start, duration, pitch, velocity, track in sustained.notes.tolist():
        if score.tracks[track].is_drum:
            continue
        begin = int(sustained.seconds_at(start) * 100 + 0.5)
        end = max(begin + 1, int(sustained.seconds_at(start + duration) * 100 + 0.5))
        struck[begin, pitch] = max(struck.get((begin, pitch), (0, 0)), (end, velocity))
    notes = []
    for (begin, pitch), (end, velocity) in sorted(struck.items()):
        later = [start for start, other in struck if other == pitch and start > begin]
        notes.append([begin, min([end, *later]), pitch, velocity])
    events = []
    for begin, end, pitch, velocity in without_long_waits(notes):
        events.append((begin, 1, pitch, (velocity + 3) // 4))
        events.append((end, 0, pitch, None))
    ids, now, number = [BOS], 0, None
    for time, is_on, pitch, named in sorted(events):
        while now < time:
            ids.append(SHIFT + min(100, time - now))
            now += min(100, time - now)
        if is_on and named != number:
            number = named
            ids.append(VELOCITY + number)
        ids.append((ON if is_on else OFF) + pitch)
    return [*ids, EOS]


any_scores = st.builds(
    lambda rows, feet, qpm: Score(
        notes_array(*np.array(rows).T),
        480,
        (Track(), Track(), DRUMS),
        tempos=(Tempo(0, qpm), Tempo(700, 300.0)),
        pedals=np.array(
            [(a, b - a, 0) for a, b in zip(feet[::2], feet[1::2], strict=False)], PEDAL
        ),
    ),
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 900), st.integers(0, 60_000)),
            st.one_of(st.integers(1, 400), st.integers(1, 60_000)),
            st.integers(58, 62),
            st.integers(1, 127),
            st.integers(0, 2),
        ),
        min_size=1,
        max_size=25,
    ).filter(lambda rows: any(row[4] < 2 for row in rows)),
    st.lists(st.integers(0, 2000), unique=True, max_size=6).map(sorted),
    st.floats(5, 500),
)


@given(any_scores)
def test_the_fast_encoder_equals_the_plain_loop_on_any_score(score):
    ids, cost = TOKENIZER.encode_measured(score)
    assert ids.tolist() == encode_slowly(score)
    assert ids.dtype == np.int32
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert cost.notes - cost.lost == len(TOKENIZER.decode(ids))
    assert cost.worst_onset_error_ms <= 5 + 1e-6


def test_of_equal_keys_that_last_a_step_at_most_the_loudest_is_kept():
    notes = notes_array([0, 0], [1, 24], 58, [5, 1])  # 0.25 and 6 ms
    score = Score(notes, 480, tempos=(Tempo(0, 500.0),))
    assert TOKENIZER.encode(score).tolist() == encode_slowly(score)
    assert TOKENIZER.decode(TOKENIZER.encode(score)).notes["velocity"][0] > 4


@st.composite
def grid_scores(draw):
    """What a tokenizer keeps whole: no wait over 10 s, keys struck when they are up."""
    count = draw(st.integers(1, 30))
    waits = draw(st.lists(st.integers(0, 1000), min_size=count, max_size=count))
    start = np.cumsum(waits)
    pitch = np.array(
        draw(st.lists(st.integers(0, 127), min_size=count, max_size=count))
    )
    length = np.array(
        draw(st.lists(st.integers(1, 999), min_size=count, max_size=count))
    )
    number = np.array(
        draw(st.lists(st.integers(1, 32), min_size=count, max_size=count))
    )
    _, first = np.unique(np.stack([start, pitch]), axis=1, return_index=True)
    start, pitch, length, number = (c[first] for c in (start, pitch, length, number))
    for index in range(len(start)):
        later = start[(pitch == pitch[index]) & (start > start[index])]
        if len(later):
            length[index] = min(length[index], later.min() - start[index])
    notes = notes_array(start, length, pitch, 4 * number - 2)
    return Score(notes, 50, (Track("Piano", 0),), tempos=(Tempo(0, 120.0),))


@given(grid_scores())
def test_decode_after_encode_is_the_identity_on_the_grid(score):
    ids, cost = TOKENIZER.encode_measured(score)
    assert TOKENIZER.decode(ids) == score
    assert TOKENIZER.grammar.accepts(ids[1:])
    assert (cost.lost, cost.shortened, cost.velocity_error) == (0, 0, 0)
    assert cost.onset_error_ms < 1e-6
    assert cost.duration_error_ms < 1e-6


def test_all_keys_at_once_at_the_longest_come_back():
    score = Score(
        notes_array(1000, 1000, np.arange(128), 126),
        50,
        (Track("Piano", 0),),
        tempos=(Tempo(0, 120.0),),
    )
    ids = TOKENIZER.encode(score)
    assert len(ids) == 1 + 10 + 1 + 128 + 10 + 128 + 1
    assert TOKENIZER.decode(ids) == score


@pytest.fixture(scope="module")
def pieces():
    """(name, score, ids, cost) of the first fifty pieces of piano with real pedals."""
    paths = sorted(data_folder("pop909").glob("*.mid"))[:50]
    scores = [read_midi(path) for path in paths]
    return [
        (path.name, score, *TOKENIZER.encode_measured(score))
        for path, score in zip(paths, scores, strict=True)
    ]


def test_real_piano_goes_there_and_back_and_its_loss_is_told(pieces):
    for name, score, ids, cost in pieces:
        assert TOKENIZER.grammar.accepts(ids[1:]), name
        back = TOKENIZER.decode(ids)
        assert TOKENIZER.encode(back).tolist() == ids.tolist(), name
        assert len(back) == cost.notes - cost.lost, name
        assert cost.notes == len(score), name
        assert cost.worst_onset_error_ms <= 5 + 1e-6, name
        length = score.sustained().length_seconds - cost.cut_seconds
        assert back.length_seconds == pytest.approx(length, abs=0.006), name
    cost = total_cost(cost for *_, cost in pieces)
    tokens = sum(len(ids) for _, _, ids, _ in pieces)
    print(
        f"fifty pieces of pop909: {cost.notes:,} notes in {tokens:,} tokens "
        f"({tokens / cost.notes:.2f} a note), {cost.lost:,} lost "
        f"({100 * cost.lost / cost.notes:.2f}%), {cost.shortened:,} shortened; onsets "
        f"off by {cost.onset_error_ms:.2f} ms, ends by {cost.duration_error_ms:.2f} ms, "
        f"velocities by {cost.velocity_error:.2f} on average; "
        f"{sum(c.cut_seconds for *_, c in pieces):.1f} s of waiting cut"
    )
    assert 2.3 < cost.onset_error_ms < 2.7  # uniform within 5 ms: 2.5 on average
    assert 0.9 < cost.velocity_error < 1.1  # 1, 0, 1, 2 of each four
    assert cost.lost / cost.notes < 0.05


def test_the_fast_encoder_equals_the_plain_loop_on_real_piano(pieces):
    for name, score, ids, _ in pieces[:4]:
        assert ids.tolist() == encode_slowly(score), name


def test_the_fast_decoder_equals_the_plain_loop_on_real_piano(pieces):
    for name, _, ids, _ in pieces[:2]:
        some = ids[: len(ids) // 3].tolist()  # cut off while notes sound
        assert sorted(rows_of(TOKENIZER.decode(some))) == decode_slowly(some), name


@given(st.integers(-127, 127), st.floats(0.1, 10), st.floats(0.01, 100))
def test_augmented_ids_stay_of_their_kind(semitones, stretch, loudness):
    every = np.arange(392)
    moved = TOKENIZER.augmented(every, semitones, stretch, loudness)
    bounds = [ON, OFF, SHIFT + 1, VELOCITY + 1]
    np.testing.assert_array_equal(
        np.searchsorted(bounds, moved, side="right"),
        np.searchsorted(bounds, every, side="right"),
    )
    np.testing.assert_array_equal(moved[:4], every[:4])
    assert moved.max() < 392


def test_augmented_real_piano_keeps_to_the_grammar(pieces):
    for name, _, ids, _ in pieces[:10]:
        for stretch in (0.95, 1.05):
            moved = TOKENIZER.augmented(ids, 4, stretch, 1.2)
            assert TOKENIZER.grammar.accepts(moved[1:]), name

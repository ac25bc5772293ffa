"""The melody tokenizer: its ids, its grammar, the way there and back, the real tunes."""

import doctest

import numpy as np
import pytest
from conftest import tune
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines import vocabulary as v
from data_pipelines.midi import midi_bytes, parse_midi, read_midi
from data_pipelines.score import Metre, Score, Track, notes_array
from data_pipelines.tokenizers import melody, tokenizer_from_spec
from data_pipelines.tokenizers.melody import MelodyTokenizer, pick_melody
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK

TOKENIZER = MelodyTokenizer()
METRE, PITCH, HOLD, REST = 4, 15, 143, 144  # the ids, written out by hand


def test_the_ids_are_the_ones_that_shipped_bundles_mean():
    vocabulary = TOKENIZER.vocabulary
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert vocabulary.encode(v.Event("metre", 0)) == METRE
    assert vocabulary.encode(v.Event("pitch", 0)) == PITCH
    assert (TOKENIZER.hold, TOKENIZER.rest) == (HOLD, REST)
    assert TOKENIZER.vocab_size == 145


@pytest.mark.parametrize("module", [v, melody])
def test_the_doctests_in_the_docstrings_are_true(module):
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_every_id_survives_decode_then_encode():
    for token_id in range(TOKENIZER.vocab_size):
        event = TOKENIZER.vocabulary.decode(token_id)
        assert TOKENIZER.vocabulary.encode(event) == token_id


@pytest.mark.parametrize("token_id", [-1, 145])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"outside 0\.\.144"):
        TOKENIZER.vocabulary.decode(token_id)
    with pytest.raises(ValueError, match=r"must be in 0..144"):
        TOKENIZER.decode([BOS, token_id])


def test_a_quarter_an_eighth_rest_and_an_eighth_are_these_tokens():
    score = Score(notes_array([0, 720], [480, 240], [60, 62]), 480)
    expected = [BOS, METRE, PITCH + 60, HOLD, HOLD, HOLD, REST, HOLD, PITCH + 62, HOLD]
    assert TOKENIZER.encode(score).tolist() == [*expected, EOS]


def test_a_metre_is_named_after_bos():
    ids = TOKENIZER.encode(tune([60], metre=(6, 8)))
    assert TOKENIZER.vocabulary.decode(ids[1]) == v.Event("metre", 8)
    assert ids[1] == TOKENIZER.metre_id("6/8")


def test_a_repeated_note_is_struck_again_not_held():
    ids = TOKENIZER.encode(tune([60, 60], duration=120))
    assert ids[2:-1].tolist() == [PITCH + 60, PITCH + 60]


def test_of_two_notes_at_once_the_higher_is_kept_and_the_loss_is_counted():
    score = Score(notes_array([0, 0, 480], [480, 480, 480], [60, 72, 64]), 480)
    ids, cost = TOKENIZER.encode_measured(score)
    assert TOKENIZER.pitches(ids).tolist() == [72, 64]
    assert (cost.notes, cost.lost) == (3, 1)


def test_the_onset_error_is_the_distance_to_the_grid_in_milliseconds():
    # 30 ticks late at 120 quarters a minute: 30 / 480 * 500 ms.
    score = Score(notes_array([0, 510], [240, 240], [60, 62]), 480)
    _, cost = TOKENIZER.encode_measured(score)
    assert cost.worst_onset_error_ms == pytest.approx(31.25)
    assert cost.onset_error_ms == pytest.approx(31.25 / 2)


def test_empty_bars_before_the_first_note_are_left_out_whole():
    ids, cost = TOKENIZER.encode_measured(tune([60, 62], start=1920 * 8 + 480))
    assert cost.empty_bars == 8
    assert ids[2:7].tolist() == [REST, HOLD, HOLD, HOLD, PITCH + 60]


def test_drums_alone_are_refused():
    drums = Score(notes_array([0], [10], [36]), tracks=(Track(is_drum=True),))
    with pytest.raises(ValueError, match="drums only"):
        TOKENIZER.encode(drums)


def test_pad_and_unknown_are_passed_over_and_eos_ends():
    score = TOKENIZER.decode([BOS, METRE, PAD, PITCH + 60, UNK, HOLD, EOS, PITCH + 70])
    assert score.notes["pitch"].tolist() == [60]
    assert score.notes["duration"].tolist() == [240]


@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [HOLD], [REST, HOLD]])
def test_what_holds_no_note_decodes_to_an_empty_score(ids):
    assert len(TOKENIZER.decode(ids)) == 0


@given(st.lists(st.integers(0, 144), max_size=80))
def test_any_ids_at_all_decode_to_midi_that_reads_back(ids):
    score = TOKENIZER.decode(ids)
    assert parse_midi(midi_bytes(score)).notes.tolist() == score.notes.tolist()


def grid_scores():
    steps = st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(0, 127)),
        min_size=1,
        max_size=40,
    )

    def build(rows):
        gaps, lengths, pitches = np.array(rows).T
        lengths = np.maximum(lengths, 1)
        starts = np.cumsum(gaps + np.r_[0, lengths[:-1]])
        starts -= starts[0] // 16 * 16  # empty bars at the start are left out
        return Score(
            notes_array(starts * 120, lengths * 120, pitches),
            480,
            (Track("Melody"),),
            metres=(Metre(0, 4, 4),),
        )

    return steps.map(build)


@given(grid_scores())
def test_decode_after_encode_is_the_identity_on_the_grid(score):
    ids = TOKENIZER.encode(score)
    back = TOKENIZER.decode(ids)
    for name in ("start", "duration", "pitch"):
        assert back.notes[name].tolist() == score.notes[name].tolist()
    assert back.metres == score.metres
    assert TOKENIZER.grammar.accepts(ids[1:])


def encode_slowly(score):
    """The reference: one note and one step at a time, in plain loops."""
    track, _ = pick_melody(score)
    tick = score.ticks_per_quarter
    at_step = {}
    for note in score.track_notes(track):
        start, duration = int(note["start"]), int(note["duration"])
        step = (8 * start + tick) // (2 * tick)
        end = max(step + 1, (8 * (start + duration) + tick) // (2 * tick))
        rank = (-abs(start * 4 - step * tick), int(note["pitch"]))
        if step not in at_step or rank > at_step[step][0]:
            at_step[step] = (rank, end, int(note["pitch"]))
    steps = sorted(at_step)
    bar = melody.steps_in_bar(score.metre)
    shift = steps[0] // bar * bar
    shift += (steps[0] - shift) // 32 * 32
    body = []
    for number, step in enumerate(steps):
        while len(body) < step - shift:
            silent_before = body and body[-1] in ("rest", "silence")
            body.append("silence" if silent_before else "rest")
        end = at_step[step][1]
        if number + 1 < len(steps):
            end = min(end, steps[number + 1])
        body.append(at_step[step][2])
        body += ["hold"] * (end - step - 1)
    words = {"rest": REST, "silence": HOLD, "hold": HOLD}
    name = str(score.metre) if score.metres else None
    metre = melody.METRES.index(name) if name in melody.METRES else 0
    ids = [words[w] if isinstance(w, str) else PITCH + w for w in body]
    return [BOS, METRE + metre, *ids, EOS]


def test_nottingham_goes_there_and_back_and_its_loss_is_told(nottingham):
    notes = lost = 0
    errors = []
    for path in nottingham:
        score = read_midi(path)
        ids, cost = TOKENIZER.encode_measured(score)
        assert TOKENIZER.grammar.accepts(ids[1:]), path
        back = TOKENIZER.decode(ids)
        assert TOKENIZER.encode(back).tolist() == ids.tolist(), path
        assert len(back) == cost.notes - cost.lost, path
        notes, lost = notes + cost.notes, lost + cost.lost
        errors.append(cost.onset_error_ms)
    print(
        f"Nottingham on the grid of sixteenths: {notes:,} notes, {lost:,} lost "
        f"({100 * lost / notes:.2f}%), onsets off by {np.mean(errors):.2f} ms on average"
    )
    assert lost / notes < 0.01


def test_the_fast_encoder_equals_the_plain_loop_on_real_files(nottingham):
    for path in nottingham[::5]:
        score = read_midi(path)
        assert TOKENIZER.encode(score).tolist() == encode_slowly(score), path


@given(
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(1, 900), st.integers(30, 90)),
        min_size=1,
        max_size=30,
    )
)
def test_the_fast_encoder_equals_the_plain_loop_on_any_notes(rows):
    start, duration, pitch = np.array(rows).T
    score = Score(notes_array(start, duration, pitch), 480)
    assert TOKENIZER.encode(score).tolist() == encode_slowly(score)


def test_the_melody_is_the_named_track_or_else_the_high_single_line():
    chords = [notes_array([0, 0, 0], 960, [48, 52, 55], track=0)]
    line = [notes_array([0, 240, 480], 240, [72, 74, 76], track=1)]
    both = np.concatenate(chords + line)
    unnamed = Score(both, 480, (Track("a"), Track("b")))
    assert pick_melody(unnamed)[0] == 1
    named = Score(both, 480, (Track("Vocal melody"), Track("b")))
    assert pick_melody(named) == (0, "its name, 'Vocal melody'")


def test_a_bass_is_no_melody_where_there_is_another_line():
    # A high bass against a low tune: by height alone the bass would win.
    notes = np.concatenate(
        [
            notes_array([0, 240, 480, 720], 240, [60, 62, 64, 60], track=0),
            notes_array([0, 240, 480, 720], 240, [55, 57, 58, 55], track=1),
        ]
    )
    score = Score(notes, 480, (Track("", 33), Track("", 0)))
    assert pick_melody(score)[0] == 1


@pytest.mark.parametrize(
    ("name", "is_melody"),
    [
        ("Vocals", True),
        ("Lead guitar", True),
        ("MELODY", True),
        ("Processing", False),
        ("Neptune pad", False),
        ("Bass voice", False),
        ("Backing vocals", False),
    ],
)
def test_a_name_is_read_word_by_word(name, is_melody):
    low = notes_array([0, 240], 240, [40, 41], track=0)
    high = notes_array([0, 240], 240, [80, 81], track=1)
    score = Score(np.concatenate([low, high]), 480, (Track(name), Track("")))
    assert pick_melody(score)[0] == (0 if is_melody else 1)


def test_no_named_metre_is_a_metre_of_its_own():
    assert TOKENIZER.metre_id(None) == METRE
    plain = Score(notes_array([0], [480], [60]))
    assert TOKENIZER.encode(plain)[1] == METRE
    odd = Score(notes_array([0], [480], [60]), metres=(Metre(0, 7, 8),))
    assert TOKENIZER.encode(odd)[1] == METRE
    assert TOKENIZER.metre_name(TOKENIZER.encode(odd)) is None


def test_a_note_cut_by_the_next_is_counted():
    held = Score(notes_array([0, 240], [960, 240], [84, 48]), 480)
    _, cost = TOKENIZER.encode_measured(held)
    assert (cost.lost, cost.shortened) == (0, 1)


def test_transposing_moves_pitches_alone():
    ids = np.array([BOS, METRE, PITCH + 60, HOLD, REST, EOS])
    assert TOKENIZER.augmented(ids, 3).tolist() == [
        *(BOS, METRE, PITCH + 63, HOLD, REST, EOS)
    ]


def test_a_foreign_vocabulary_is_a_clear_error():
    spec = TOKENIZER.spec()
    assert tokenizer_from_spec(spec).vocab_size == TOKENIZER.vocab_size
    with pytest.raises(ValueError, match="another vocabulary"):
        tokenizer_from_spec({**spec, "steps_per_quarter": 6})
    with pytest.raises(ValueError, match="No tokenizer is called 'remix'"):
        tokenizer_from_spec({"tokenizer": "remix"})


def test_the_grammar_lets_no_stream_be_silence_alone():
    grammar = TOKENIZER.grammar
    state = grammar.state_after([METRE, REST])
    for _ in range(200):  # always silence, where silence is allowed
        allowed = grammar.allowed[state]
        if not allowed[[HOLD, REST]].any():
            break
        state = grammar.next_state[state, HOLD if allowed[HOLD] else REST]
    assert not grammar.allowed[state][[HOLD, REST, EOS]].any()
    assert grammar.allowed[state][PITCH : PITCH + 128].all()

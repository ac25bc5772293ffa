"""MidiTok under the kit's contract: ids, grammar, both ways, byte pairs, real tunes."""

import doctest
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, data_folder, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.midi import midi_bytes, parse_midi, read_midi
from data_pipelines.score import (
    LAST_TICK,
    PEDAL,
    Key,
    Metre,
    Score,
    Tempo,
    Track,
    notes_array,
)
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK

miditok = pytest.importorskip("miditok", reason="MidiTok is optional: not installed")

from data_pipelines.tokenizers import miditok_adapter  # noqa: E402
from data_pipelines.tokenizers.cost import total_cost  # noqa: E402
from data_pipelines.tokenizers.miditok_adapter import MidiTokTokenizer  # noqa: E402
from data_pipelines.tokenizers.miditok_words import (  # noqa: E402
    KINDS,
    in_order,
    to_symusic,
)

BAR, PITCH, VELOCITY = 4, 5, 133  # the ids of REMI's first words, by hand
TOKENIZERS = {kind: MidiTokTokenizer(kind) for kind in KINDS}
REMI = TOKENIZERS["REMI"]
KIT = Track("Kit", 0, True)
PEDAL_LENGTHS = {"sustain_pedal_duration": True}
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def tunes(nottingham):
    """Seven of the Nottingham tunes, a melody and chords each."""
    return [read_midi(path) for path in nottingham[::150]]


@pytest.fixture(scope="module")
def trained():
    """Tokenizers of 900 ids with byte pairs, learnt from 10 made tunes."""
    rng = np.random.default_rng(0)
    scale = np.array([60, 62, 64, 65, 67, 69, 71, 72])
    lines = [
        scale[np.clip(rng.integers(-1, 2, 48).cumsum() + 4, 0, 7)] for _ in range(10)
    ]
    scores = [tune(line) for line in lines]
    return {kind: (t.train(scores, 900), scores) for kind, t in TOKENIZERS.items()}


def rows_of(score):
    """(start, length in quarters, pitch, velocity, program, is drum) of each note."""
    tick = score.ticks_per_quarter
    tracks = [(track.program, track.is_drum) for track in score.tracks]
    return sorted(
        (start / tick, duration / tick, pitch, velocity, *tracks[track])
        for start, duration, pitch, velocity, track in score.notes.tolist()
    )


def id_of(tokenizer, word):
    return tokenizer.names(range(4, tokenizer.vocab_size)).index(word) + 4


def ids_of(tokenizer, words):
    return [id_of(tokenizer, word) for word in words.split()]


# What the ids are


def test_the_ids_are_miditoks_words_after_the_four_reserved_ones():
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert REMI.names(range(4)) == []
    assert REMI.names([BAR, PITCH + 60, VELOCITY]) == [
        *("Bar_None", "Pitch_60", "Velocity_3")
    ]
    assert len(REMI.names(range(REMI.vocab_size))) == REMI.vocab_size - 4
    assert REMI.vocabulary.vocab_size == REMI.vocab_size


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "REMI",
            "Bar_None TimeSig_4/4 Position_0 Program_0 Pitch_60 Velocity_79 "
            "Duration_1.0.8 Position_8 Program_0 Pitch_64 Velocity_79 Duration_0.4.8",
        ),
        (
            "TSD",
            "TimeSig_4/4 Program_0 Pitch_60 Velocity_79 Duration_1.0.8 "
            "TimeShift_1.0.8 Program_0 Pitch_64 Velocity_79 Duration_0.4.8",
        ),
        (
            "MIDILike",
            "TimeSig_4/4 Program_0 NoteOn_60 Velocity_79 TimeShift_1.0.8 "
            "Program_0 NoteOff_60 Program_0 NoteOn_64 Velocity_79 TimeShift_0.4.8 "
            "Program_0 NoteOff_64",
        ),
        (
            "Structured",
            "TimeShift_0.0.1 Program_0 Pitch_60 Velocity_79 Duration_1.0.8 "
            "TimeShift_1.0.8 Program_0 Pitch_64 Velocity_79 Duration_0.4.8",
        ),
    ],
)
def test_a_quarter_and_an_eighth_are_these_words(kind, words):
    # Velocity 80 lies nearest to 20 * 127 / 32 = 79.4; a beat has eight positions.
    score = Score(notes_array([0, 480], [480, 240], [60, 64], 80), 480)
    ids = TOKENIZERS[kind].encode(score)
    assert ids.dtype == np.int32
    assert (ids[0], ids[-1]) == (BOS, EOS)
    assert " ".join(TOKENIZERS[kind].names(ids)) == words


def test_the_doctests_in_the_docstrings_are_true():
    results = doctest.testmod(miditok_adapter)
    assert results.attempted > 0
    assert results.failed == 0


# What is refused


@pytest.mark.parametrize(
    ("kind", "params", "sentence"),
    [
        ("CPWord", {}, "several dimensions"),
        ("Octuple", {}, "several dimensions"),
        ("MuMIDI", {}, "several dimensions"),
        ("PerTok", {}, "no grammar"),
        ("MMM", {}, "no grammar"),
        ("BEAT", {}, "a pitch by the one before"),
        ("REMY", {}, "REMI, TSD, MIDILike, Structured. Received: 'REMY'"),
        ("REMI", {"use_programs": False}, "a stream of its own"),
        ("TSD", {"one_token_stream_for_programs": False}, "a stream of its own"),
        ("TSD", {"use_pitch_intervals": True}, "no pitch"),
        ("REMI", {"max_bar_embedding": 8}, "numbered bars"),
        ("REMI", {"pitch_range": [30, 90], "drums_pitch_range": [27, 88]}, "drums"),
        ("REMI", {"use_temps": True}, "no setting called 'use_temps'"),
        ("REMI", {"use_tempos": "yes"}, "must be a bool"),
        ("REMI", {"programs": [128]}, "some of -1..127"),
        ("REMI", {"programs": []}, "some of -1..127"),
        ("REMI", {"tempo_range": [1, 250]}, "`tempo_range` must lie in"),
        ("REMI", {"beat_res": {"0_1000000": 8}}, r"0\.\.64 beats"),
        ("REMI", {"beat_res": {"-4_4": 8}}, r"0\.\.64 beats"),
        ("REMI", {"num_tempos": 10**9}, "at most 8192"),
        ("REMI", {"default_note_duration": -1}, r"0\.\.64 beats"),
        ("REMI", {"time_signature_range": {"4": [0, 4]}}, "1 to 255 beats"),
        ("REMI", {"time_signature_range": {"8": [6]}}, "cannot be set up so"),
    ],
)
def test_what_gives_no_stream_of_plain_words_is_refused(kind, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        MidiTokTokenizer(kind, params)


def test_without_miditok_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "miditok", None)
    with pytest.raises(ValueError, match=r"pip install miditok==3\.1\.0"):
        MidiTokTokenizer()


@each_kind
def test_a_score_without_a_note_that_has_a_word_is_refused(kind):
    empty = Score(notes_array([], [], []))
    with pytest.raises(ValueError, match="no note"):
        TOKENIZERS[kind].encode(empty)
    low = MidiTokTokenizer(kind, {"pitch_range": [40, 90]})
    with pytest.raises(ValueError, match="no note"):
        low.encode(tune([20, 21]))


# The way back


@each_kind
@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [PAD, UNK], [4], [4, EOS, 70]])
def test_what_holds_no_note_decodes_to_an_empty_score(kind, ids):
    assert len(TOKENIZERS[kind].decode(ids)) == 0


@pytest.mark.parametrize("token_id", [-1, REMI.vocab_size])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.\d+\. Received"):
        REMI.decode([BOS, token_id])


def test_pad_and_unknown_are_passed_over_and_eos_ends():
    note = ids_of(REMI, "Program_5 Pitch_60 Velocity_79 Duration_1.0.8")
    other = ids_of(REMI, "Program_5 Pitch_72 Velocity_79 Duration_1.0.8")
    head = ids_of(REMI, "Bar_None TimeSig_4/4 Position_16")
    score = REMI.decode([BOS, *head, PAD, *note[:2], UNK, *note[2:], EOS, *other])
    assert rows_of(score) == [(2.0, 1.0, 60, 79, 5, False)]


def test_what_the_grammar_forbids_is_passed_over():
    # A velocity before any note, a drum word for an organ, a second pitch in a note.
    words = (
        "Velocity_3 Bar_None Position_8 TimeSig_4/4 Position_0 Program_19 PitchDrum_36 "
        "Pitch_60 Pitch_61 Velocity_79 Bar_None Duration_1.0.8 Velocity_127"
    )
    score = REMI.decode(ids_of(REMI, words))
    assert rows_of(score) == [(0.0, 1.0, 60, 79, 19, False)]


@each_kind
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_ids_at_all_decode_to_midi_that_reads_back(kind, data):
    tokenizer = TOKENIZERS[kind]
    one = st.integers(0, tokenizer.vocab_size - 1)
    score = tokenizer.decode(data.draw(st.lists(one, max_size=80)))
    assert len(parse_midi(midi_bytes(score))) == len(score)


def test_a_stream_too_long_for_ticks_is_cut_and_still_a_score():
    wide = {
        "beat_res": {"0_64": 96},
        "time_signature_range": {"1": [255], "4": [4]},
        "num_velocities": 2,
    }
    tokenizer = MidiTokTokenizer("REMI", wide)
    bar = ids_of(tokenizer, "Bar_None TimeSig_255/1")
    note = ids_of(
        tokenizer, "Position_0 Program_0 Pitch_60 Velocity_63 Duration_1.0.96"
    )
    score = tokenizer.decode(bar + note + bar * 5000 + note)
    # Bars of 255 * 4 quarters in 96 ticks: 2,741 are all that a score has ticks for.
    assert LAST_TICK < 5000 * 255 * 4 * 96
    # A beat of x/1 lasts four quarters.
    assert rows_of(score) == [(0.0, 4.0, 60, 63, 0, False)]


def test_a_key_that_is_never_released_sounds_as_long_as_the_stream():
    tokenizer = TOKENIZERS["MIDILike"]
    words = (
        "Program_3 NoteOn_60 Velocity_79 Program_3 NoteOn_60 Velocity_3 TimeShift_1.0.8 "
        "Program_3 NoteOff_60 Program_3 NoteOff_61 Program_-1 DrumOn_36 Velocity_79 "
        "TimeShift_1.0.8 Program_3 NoteOn_64"
    )
    # The first struck is the first released; the last has no velocity, and is no note.
    assert rows_of(tokenizer.decode(ids_of(tokenizer, words))) == [
        (0.0, 1.0, 60, 79, 3, False),
        (0.0, 2.0, 60, 3, 3, False),
        (1.0, 1.0, 36, 79, 0, True),
    ]


def test_notes_of_a_step_stand_from_low_to_high_and_tracks_by_program():
    notes = notes_array([0, 10, 20, 0], [480] * 4, [64, 60, 62, 36], 79, [1, 1, 0, 2])
    score = Score(notes, 480, (Track("", 9), Track("", 5), KIT))
    words = TOKENIZERS["TSD"].names(TOKENIZERS["TSD"].encode(score))
    assert [word for word in words if word[:2] == "Pi"] == [
        *("Pitch_60", "Pitch_64", "Pitch_62", "PitchDrum_36")
    ]


def grid_scores():
    """Up to three instruments, a line each, on MidiTok's grid of eighths of a beat.

    From onset to onset it is four beats at most: beyond them Structured counts quarters.
    """
    velocities = np.linspace(0, 127, 33, dtype=int)[1:].tolist()
    line = st.lists(
        st.tuples(
            st.integers(0, 8),
            st.integers(1, 24),
            st.integers(0, 127),
            st.sampled_from(velocities),
        ),
        min_size=1,
        max_size=12,
    )

    def build(lines, programs):
        columns = []
        for number, rows in enumerate(lines):
            gaps, lengths, pitches, velocity = np.array(rows).T
            starts = np.cumsum(gaps + np.r_[0, lengths[:-1]])
            columns.append(
                notes_array(starts * 60, lengths * 60, pitches, velocity, number)
            )
        tracks = [Track("", max(p, 0), p < 0) for p in programs[: len(lines)]]
        return Score(np.concatenate(columns), 480, tuple(tracks))

    programs = st.lists(st.integers(-1, 127), min_size=3, max_size=3, unique=True)
    return st.builds(build, st.lists(line, min_size=1, max_size=3), programs)


@each_kind
@settings(deadline=None, max_examples=25)
@given(score=grid_scores())
def test_decode_after_encode_is_the_identity_on_the_grid(kind, score):
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(score)
    assert rows_of(tokenizer.decode(ids)) == rows_of(score)
    assert tokenizer.grammar.accepts(ids[1:])
    assert tokenizer.notes_in(ids).sum() == len(score)


def test_metre_tempo_key_and_pedal_go_there_and_back_where_asked_for():
    asked = {f"use_{each}": True for each in ("tempos", "key_signatures")}
    tokenizer = MidiTokTokenizer("REMI", {**asked, "use_sustain_pedals": True})
    pedals = np.array([(0, 960, 0), (1440, 480, 0)], dtype=PEDAL)
    score = Score(
        notes_array([0, 480, 1440], 240, [60, 64, 67], 79),
        480,
        (Track("", 12),),
        (Tempo(0, 40.0), Tempo(720, 250.0)),
        (Metre(0, 3, 4), Metre(1440, 6, 8)),
        (Key(0, 2), Key(1440, -3, True)),
        pedals=pedals,
    )
    back = tokenizer.decode(tokenizer.encode(score))
    scale = 480 // back.ticks_per_quarter
    assert rows_of(back) == rows_of(score)
    assert [(t.tick * scale, t.qpm) for t in back.tempos] == [(0, 40.0), (720, 250.0)]
    assert [(m.tick * scale, str(m)) for m in back.metres] == [
        (0, "3/4"),
        (1440, "6/8"),
    ]
    keys = [(k.tick * scale, k.sharps, k.is_minor) for k in back.keys]
    assert keys == [(0, 2, False), (1440, -3, True)]
    played = [
        (start * scale, length * scale) for start, length, _ in back.pedals.tolist()
    ]
    assert played == [(0, 960), (1440, 480)]


# The grammar


def random_walk(tokenizer, seed, steps=300):
    """Ids drawn evenly from what the grammar allows, up to EOS or so many."""
    rng, grammar = np.random.default_rng(seed), tokenizer.grammar
    state, ids = grammar.start, []
    while len(ids) < steps and EOS not in ids[-1:]:
        token_id = int(rng.choice(np.flatnonzero(grammar.allowed[state])))
        ids.append(token_id)
        state = grammar.next_state[state, token_id]
    return ids


@each_kind
def test_from_every_state_a_piece_can_end(kind):
    grammar = TOKENIZERS[kind].grammar
    assert grammar.allowed.any(axis=1).all()
    live = grammar.allowed[:, EOS] | grammar.allowed[:, PAD]
    for _ in range(len(live)):
        live = live | (grammar.allowed & live[grammar.next_state]).any(axis=1)
    assert live.all()


@each_kind
def test_what_the_grammar_lets_end_holds_a_note(kind):
    ended = [
        w for w in (random_walk(TOKENIZERS[kind], s) for s in range(60)) if EOS in w
    ]
    assert len(ended) > 10
    assert all(len(TOKENIZERS[kind].decode(walk)) for walk in ended)


@each_kind
def test_the_grammar_lets_every_note_be_said_whole(kind):
    # Nothing is passed over in decoding what it allows.
    tokenizer = TOKENIZERS[kind]
    for seed in range(20):
        walk = random_walk(tokenizer, seed)
        if EOS in walk:
            assert len(tokenizer.decode(walk)) == tokenizer.notes_in(walk).sum()
        assert tokenizer.grammar.accepts(walk)


@pytest.mark.parametrize("kind", ["REMI", "Structured"])
def test_the_grammar_allows_nothing_that_miditoks_own_graph_forbids(kind):
    tokenizer = TOKENIZERS[kind]
    own = getattr(miditok, kind)(miditok.TokenizerConfig(use_programs=True))
    for seed in range(20):
        walk = random_walk(tokenizer, seed)
        types = [word.split("_")[0] for word in tokenizer.names(walk)]
        for before, after in itertools.pairwise(types):
            assert after in own.tokens_types_graph[before]


def test_drums_strike_drum_words_and_others_none():
    grammar = REMI.grammar
    head = ids_of(REMI, "Bar_None TimeSig_4/4 Position_0")
    for program, expected in ((-1, "PitchDrum"), (0, "Pitch"), (127, "Pitch")):
        state = grammar.state_after([*head, id_of(REMI, f"Program_{program}")])
        words = REMI.names(np.flatnonzero(grammar.allowed[state]))
        assert {word.split("_")[0] for word in words} == {expected}


def test_a_program_without_lengths_says_none():
    params = {"use_note_duration_programs": list(range(128))}
    tokenizer = MidiTokTokenizer("REMI", params)
    notes = notes_array([0, 0, 480], 240, [36, 60, 62], 79, [0, 1, 1])
    ids = tokenizer.encode(Score(notes, 480, (KIT, Track("", 3))))
    after_drum = tokenizer.names(ids).index("PitchDrum_36") + 2
    assert tokenizer.names(ids)[after_drum] == "Position_8"
    assert tokenizer.grammar.accepts(ids[1:])
    drum = ids_of(tokenizer, "Bar_None TimeSig_4/4 Position_0 Program_-1 PitchDrum_36")
    state = tokenizer.grammar.state_after([*drum, id_of(tokenizer, "Velocity_79")])
    assert not tokenizer.allowed(state)[id_of(tokenizer, "Duration_1.0.8")]
    assert tokenizer.allowed(state)[EOS]


def test_a_program_without_lengths_is_never_released():
    params = {"use_note_duration_programs": list(range(128))}
    tokenizer = MidiTokTokenizer("MIDILike", params)
    for program, releases in ((-1, set()), (3, {"NoteOff"})):
        state = tokenizer.grammar.state_after([id_of(tokenizer, f"Program_{program}")])
        words = tokenizer.names(np.flatnonzero(tokenizer.allowed(state)))
        assert {word.split("_")[0] for word in words} - {"NoteOn", "DrumOn"} == releases


@each_kind
def test_a_pedal_of_another_track_may_come_after_a_note(kind):
    pedals = np.array([(480, 480, 1)], dtype=PEDAL)
    notes = notes_array([0, 480, 480], 480, [60, 62, 64], 79, [0, 0, 1])
    score = Score(notes, 480, (Track("", 0), Track("", 5)), pedals=pedals)
    for more in ({}, PEDAL_LENGTHS, {"program_changes": True}):
        tokenizer = MidiTokTokenizer(kind, {"use_sustain_pedals": True, **more})
        assert tokenizer.grammar.accepts(tokenizer.encode(score)[1:])


@pytest.mark.parametrize("kind", ["TSD", "MIDILike"])
def test_less_than_a_step_after_a_note_anything_may_come(kind):
    # The tempo changes an odd 32nd after the first note, where 6/8 makes 32nds the ticks.
    score = Score(
        notes_array([300, 360], [210, 180], [60, 61], 79),
        480,
        tempos=(Tempo(0, 120.0), Tempo(330, 90.0)),
        metres=(Metre(480, 6, 8), Metre(720, 4, 4)),
    )
    tokenizer = MidiTokTokenizer(kind, {"use_tempos": True})
    ids = tokenizer.encode(score)
    words = [word.split("_")[0] for word in tokenizer.names(ids)]
    assert words[words.index("Tempo", 2) - 1] in ("Duration", "Velocity")
    assert tokenizer.grammar.accepts(ids[1:])


def test_the_length_of_a_pedal_is_no_note():
    tokenizer = MidiTokTokenizer("REMI", {"use_sustain_pedals": True, **PEDAL_LENGTHS})
    words = "Bar_None TimeSig_4/4 Position_0 Pedal_0 Duration_1.0.8"
    state = tokenizer.grammar.state_after(ids_of(tokenizer, words))
    assert not tokenizer.allowed(state)[EOS]


def test_a_control_change_parts_no_note():
    tokenizer = MidiTokTokenizer("REMI", {"use_control_changes": True})
    head = ids_of(tokenizer, "Bar_None TimeSig_4/4 Position_0 Program_0")
    change = id_of(tokenizer, "ControlChange_7-127")
    pitch, velocity = ids_of(tokenizer, "Pitch_60 Velocity_79")
    assert tokenizer.grammar.accepts([*head, change])
    assert not tokenizer.grammar.accepts([*head, pitch, change])
    assert not tokenizer.grammar.accepts([*head, pitch, velocity, change])
    assert not tokenizer.grammar.accepts([*head, change, velocity])


# Notes and pitches


def test_drums_are_notes_without_a_pitch():
    notes = notes_array([0, 0, 480], 240, [36, 60, 62], 79, [0, 1, 1])
    ids = REMI.encode(Score(notes, 480, (KIT, Track("", 3))))
    assert REMI.is_note(ids).sum() == 3
    assert REMI.pitches(ids).tolist() == [60, 62]


@each_kind
def test_transposing_the_ids_is_encoding_the_transposed_score(kind):
    params = {"use_key_signatures": True, "use_chords": True}
    params["chord_tokens_with_root_note"] = True
    tokenizer = MidiTokTokenizer(kind, params)
    chord = notes_array([0, 0, 0, 960], 480, [60, 64, 67, 72], 79)
    drum = notes_array([480], 240, [40], 79, 1)
    score = Score(
        np.concatenate([chord, drum]), 480, (Track("", 5), KIT), keys=(Key(0, 0),)
    )
    ids = tokenizer.encode(score)
    for semitones in (-5, 0, 3):
        expected = tokenizer.encode(score.transposed(semitones)).tolist()
        assert tokenizer.augmented(ids, semitones).tolist() == expected


def test_louder_and_slower_move_velocities_and_tempos_to_the_nearest_word():
    tokenizer = MidiTokTokenizer("TSD", {"use_tempos": True, "tempo_range": [40, 350]})
    # 32 tempos from 40 to 350, so 10 apart: 120 / 1.1 = 109.1, nearest 110.
    words = "Tempo_120.0 Program_0 Pitch_60 Velocity_79 Duration_1.0.8"
    changed = tokenizer.augmented(ids_of(tokenizer, words), 0, 1.1, 0.5)
    # 79 / 2 = 39.5: ten bins of 127 / 32 are 39.7.
    expected = "Tempo_110.0 Program_0 Pitch_60 Velocity_39 Duration_1.0.8"
    assert " ".join(tokenizer.names(changed)) == expected


def test_a_pitch_that_has_no_word_to_become_stays():
    tokenizer = MidiTokTokenizer("REMI", {"pitch_range": [40, 90]})
    ids = ids_of(tokenizer, "Pitch_88 Pitch_89")
    assert tokenizer.names(tokenizer.augmented(ids, 2)) == ["Pitch_90", "Pitch_89"]


def test_where_drums_have_no_words_of_their_own_pitches_stay():
    tokenizer = MidiTokTokenizer("REMI", {"use_pitchdrum_tokens": False})
    ids = np.arange(tokenizer.vocab_size)
    assert tokenizer.augmented(ids, 3).tolist() == ids.tolist()


# The cost


def test_the_cost_is_what_the_grid_the_bins_and_the_range_took():
    # A step is 60 ticks, a tick 1 / 480 s. The second note starts 10 late, and ends 30
    # after where its 8 steps do.
    tokenizer = MidiTokTokenizer("REMI", {"pitch_range": [40, 90]})
    notes = notes_array([0, 490, 960], [480, 500, 480], [60, 62, 20], 80)
    score = Score(notes, 480, tempos=(Tempo(0, 60.0),))
    _, cost = tokenizer.encode_measured(score)
    assert (cost.notes, cost.lost) == (3, 1)
    assert cost.worst_onset_error_ms == pytest.approx(1000 * 10 / 480)
    assert cost.onset_error_ms == pytest.approx(1000 * 10 / 480 / 2)
    assert cost.duration_error_ms == pytest.approx(1000 * 30 / 480 / 2)
    assert cost.velocity_error == 1


def test_of_a_key_that_lost_a_note_the_nearest_is_compared():
    tokenizer = MidiTokTokenizer("REMI", {"remove_duplicated_notes": True})
    notes = notes_array([0, 0, 960, 1930], [240, 240, 480, 480], 60, 79)
    _, cost = tokenizer.encode_measured(Score(notes, 480))
    assert (cost.notes, cost.lost) == (4, 1)
    assert cost.worst_onset_error_ms == pytest.approx(500 * 10 / 480)
    assert cost.onset_error_ms == pytest.approx(500 * 10 / 480 / 3)


def test_a_gap_longer_than_a_shift_of_structured_is_told():
    # It has no shift longer than 12 beats: 18 beats, 9 s, are gone before the last note,
    # which now lies nearer to the first, and is the second all the same.
    score = Score(notes_array([0, 30 * 480], 480, [60, 60], 79), 480)
    _, cost = TOKENIZERS["Structured"].encode_measured(score)
    assert cost.worst_onset_error_ms == pytest.approx(9000)


# Byte pairs


@each_kind
def test_byte_pairs_say_the_same_words_in_fewer_ids(kind, trained):
    tokenizer, scores = trained[kind]
    plain = TOKENIZERS[kind]
    assert plain.vocab_size < tokenizer.vocab_size <= 900
    for score in scores:
        ids, expected = tokenizer.encode(score), plain.encode(score)
        assert len(ids) < len(expected) / 3
        assert tokenizer.names(ids) == plain.names(expected)
        assert tokenizer.decode(ids) == plain.decode(expected)
        assert tokenizer.pitches(ids).tolist() == score.notes["pitch"].tolist()
        assert tokenizer.notes_in(ids).sum() == len(score)
        assert 0 < tokenizer.is_note(ids).sum() < len(score)
        assert tokenizer.grammar.accepts(ids[1:])


@each_kind
def test_a_compound_is_allowed_where_its_words_are_in_turn(kind, trained):
    tokenizer, plain = trained[kind][0], TOKENIZERS[kind]
    place = {word: i for i, word in enumerate(plain.names(range(plain.vocab_size)), 4)}
    states = len(plain.grammar.allowed)
    for token_id in range(4, tokenizer.vocab_size, 7):
        words = [place[word] for word in tokenizer.names([token_id])]
        for start in range(states - 1):  # the last is the end
            state = start
            for word in words:
                is_allowed = state is not None and plain.grammar.allowed[state, word]
                state = plain.grammar.next_state[state, word] if is_allowed else None
            assert tokenizer.grammar.allowed[start, token_id] == (state is not None)
            if state is not None:
                assert tokenizer.grammar.next_state[start, token_id] == state


@each_kind
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_any_compounds_decode_to_midi_that_reads_back(kind, data, trained):
    tokenizer = trained[kind][0]
    one = st.integers(0, tokenizer.vocab_size - 1)
    score = tokenizer.decode(data.draw(st.lists(one, max_size=40)))
    assert len(parse_midi(midi_bytes(score))) == len(score)


@pytest.mark.parametrize("split", ["bar", "beat", "no"])
def test_byte_pairs_are_the_ones_that_miditok_itself_learns_and_writes(split, tunes):
    tokenizer = MidiTokTokenizer("REMI", {"encode_ids_split": split})
    mine = tokenizer.train(tunes[:5], 800)
    config = miditok.TokenizerConfig(
        use_programs=True,
        pitch_range=(0, 127),
        drums_pitch_range=(0, 127),
        encode_ids_split=split,
    )
    own = miditok.REMI(config)
    music = [
        in_order(own.preprocess_score(to_symusic(score, own))) for score in tunes[:5]
    ]
    parts = {
        "bar": lambda s: s.split_per_bars(),
        "beat": lambda s: s.split_per_beats(),
        "no": lambda s: [s],
    }[split]
    texts = [
        [
            own._ids_to_bytes(p.ids, as_one_str=True)
            for p in parts(own.encode(m, no_preprocess_score=True))
            if len(p)
        ]
        for m in music
    ]
    own.train(800, model="BPE", iterator=texts)  # it has four special ids, as we have
    saved = own.to_dict()["_model"]
    for name in ("vocab", "merges"):
        learnt, expected = (json.loads(j)["model"][name] for j in (mine.trained, saved))
        assert learnt == expected
    theirs = MidiTokTokenizer("REMI", mine.params, saved)
    for score, piece in zip(tunes, music, strict=False):
        ids = theirs.encode(score)
        assert ids.tolist() == mine.encode(score).tolist()
        written = own.encode(piece, no_preprocess_score=True).ids
        assert theirs._our_id[written].tolist() == ids[1:-1].tolist()


def test_the_same_scores_teach_the_same_ids(trained):
    tokenizer, scores = trained["TSD"]
    assert TOKENIZERS["TSD"].train(iter(scores), 900).spec() == tokenizer.spec()


def test_compounds_are_never_augmented(trained):
    tokenizer = trained["REMI"][0]
    ids = np.arange(tokenizer.vocab_size)
    assert tokenizer.augmented(ids, 3, 1.1, 0.5).tolist() == ids.tolist()


@pytest.mark.parametrize("vocab_size", [0, REMI.vocab_size, 2**16 + 1])
def test_a_vocabulary_without_room_for_a_compound_is_refused(vocab_size):
    with pytest.raises(ValueError, match=rf"in {REMI.vocab_size + 1}\.\.65536"):
        REMI.train([tune([60, 62])], vocab_size)


def test_training_passes_over_what_cannot_be_encoded():
    empty = Score(notes_array([], [], []))
    one = REMI.train([empty, tune([60, 62] * 40), empty], 700)
    assert one.spec() == REMI.train([tune([60, 62] * 40)], 700).spec()
    with pytest.raises(ValueError, match="no score"):
        REMI.train([empty], 700)


def test_nothing_is_printed_while_training(capfd):
    REMI.train([tune([60, 62] * 40)], 700)
    assert capfd.readouterr() == ("", "")


def broken_models(model):
    """(what is wrong, the JSON of it) for a sound model."""
    vocab, merges = model["vocab"], model["merges"]
    first = next(iter(vocab))
    yield "cut short", json.dumps({"model": model})[:-9]
    yield "no model", "[]"
    yield "another algorithm", {**model, "type": "Unigram"}
    fewer = {piece: i - 1 for piece, i in vocab.items() if piece != first}
    yield "a letter less", {**model, "vocab": fewer}
    yield "two of an id", {**model, "vocab": {**vocab, first: 5}}
    yield "a strange letter", {**model, "vocab": {**vocab, "\u4e00": len(vocab)}}
    yield "too long", {**model, "vocab": {**vocab, first * 1025: len(vocab)}}
    yield "an unknown merge", {**model, "merges": [*merges, ["!", "\u4e00"]]}
    yield "half a merge", {**model, "merges": [*merges, ["!"]]}
    yield "a list for a map", {**model, "vocab": list(vocab)}


def test_a_broken_byte_pair_encoding_is_refused(trained):
    tokenizer = trained["REMI"][0]
    model = json.loads(tokenizer.trained)["model"]
    for wrong, broken in broken_models(model):
        text = broken if isinstance(broken, str) else json.dumps({"model": broken})
        with pytest.raises(ValueError, match="no byte-pair encoding"):
            pytest.fail(f"{wrong}: {MidiTokTokenizer('REMI', tokenizer.params, text)}")


# The spec


AFRESH = """
import json, socket, sys
def denied(*arguments, **settings):
    raise SystemExit("the network was asked for")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = denied
from data_pipelines.midi import parse_midi
from data_pipelines.tokenizers.miditok_adapter import MidiTokTokenizer
asked = json.load(sys.stdin)
score = parse_midi(bytes.fromhex(asked["midi"]))
answers = []
for spec in asked["specs"]:
    tokenizer = MidiTokTokenizer.from_spec(spec)
    ids, cost = tokenizer.encode_measured(score)
    answers.append([tokenizer.spec() == spec, ids.tolist(), len(tokenizer.decode(ids))])
tokenizer.from_spec({**spec, "trained": None}).train([score], 800)
print(json.dumps(answers))
"""


def test_a_spec_builds_the_same_ids_in_a_fresh_process_without_files_or_network(
    trained, tmp_path
):
    params = {"use_rests": True, "use_chords": True, "programs": [9, -1, 0, 40]}
    tokenizers = [
        trained["REMI"][0],
        MidiTokTokenizer("MIDILike", params),
        MidiTokTokenizer(
            "Structured", {"use_tempos": True, "use_sustain_pedals": True}
        ),
        trained["TSD"][0],
    ]
    score = tune([60, 64, 67, 72] * 6)
    asked = {
        "midi": midi_bytes(score).hex(),
        "specs": [tokenizer.spec() for tokenizer in tokenizers],
    }
    done = subprocess.run(
        [sys.executable, "-c", AFRESH],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for tokenizer, answer in zip(tokenizers, json.loads(done.stdout), strict=True):
        assert answer == [True, tokenizer.encode(score).tolist(), len(score)]
    assert list(tmp_path.iterdir()) == []


def test_the_order_in_which_programs_are_listed_is_no_matter():
    one, other = (MidiTokTokenizer("REMI", {"programs": p}) for p in ([0, 8], [8, 0]))
    assert one.spec() == other.spec()


def test_a_spec_that_means_other_words_differs():
    spec = REMI.spec()
    assert MidiTokTokenizer.from_spec(json.loads(json.dumps(spec))).spec() == spec
    other = {**spec, "params": {**spec["params"], "num_velocities": 16}}
    assert MidiTokTokenizer.from_spec(other).spec() != other  # its words are not these


# Real music


@each_kind
def test_nottingham_goes_there_and_back_and_its_loss_is_told(kind, tunes):
    tokenizer, costs, ids_in_all = TOKENIZERS[kind], [], 0
    for score in tunes:
        ids, cost = tokenizer.encode_measured(score)
        back = tokenizer.decode(ids)
        assert tokenizer.grammar.accepts(ids[1:])
        assert len(back) == cost.notes - cost.lost == tokenizer.notes_in(ids).sum()
        assert tokenizer.decode(tokenizer.encode(back)) == back
        costs.append(cost)
        ids_in_all += len(ids)
    cost = total_cost(costs)
    print(f"{kind}: {ids_in_all / cost.notes:.2f} ids a note, {cost}")
    assert cost.lost == 0
    assert cost.onset_error_ms < 1


@each_kind
def test_pop909_goes_there_and_back_and_its_loss_is_told(kind):
    paths = sorted(data_folder("pop909").glob("*.mid"))[:2]
    tokenizer = MidiTokTokenizer(kind, {"use_tempos": True, "program_changes": True})
    cost = total_cost(each_way(tokenizer, read_midi(path)) for path in paths)
    print(f"{kind}: {cost}")
    assert cost.lost == 0
    # A step is an eighth of a beat: at 60 quarters a minute 125 ms, half of it either way.
    assert cost.onset_error_ms < 125 / 2


def each_way(tokenizer, score):
    ids, cost = tokenizer.encode_measured(score)
    assert tokenizer.grammar.accepts(ids[1:])
    assert len(tokenizer.decode(ids)) == len(score)
    return cost


SWITCHES = (
    *("use_velocities", "use_chords", "use_rests", "use_tempos", "use_time_signatures"),
    *("use_key_signatures", "use_sustain_pedals", "sustain_pedal_duration"),
    *("use_pitch_bends", "use_control_changes", "program_changes"),
    *("use_pitchdrum_tokens", "remove_duplicated_notes", "add_trailing_bars"),
    *("use_bar_end_tokens", "chord_tokens_with_root_note", "log_tempos"),
)


def any_score(rng):
    """Whatever a score may hold: odd metres, unisons, pedals, any resolution."""
    tick = int(rng.choice([1, 24, 96, 480, 1000]))
    span, count = int(rng.choice([1, 8, 60, 200])) * tick, int(rng.integers(1, 40))
    tracks = tuple(
        Track("", int(rng.integers(128)), bool(rng.random() < 0.3)) for _ in range(3)
    )

    def changes(make):
        ticks = np.unique(np.append(rng.integers(0, span + 1, rng.integers(0, 3)), 0))
        return tuple(make(int(at)) for at in ticks)

    pedals = np.zeros(3, dtype=PEDAL)
    pedals["start"] = rng.integers(0, span + 1, 3)
    pedals["duration"] = rng.integers(1, 2 * tick + 1, 3)
    return Score(
        notes_array(
            rng.integers(0, span + 1, count),
            rng.integers(1, 6 * tick + 2, count),
            rng.integers(0, 128, count),
            rng.integers(1, 128, count),
            rng.integers(0, 3, count),
        ),
        tick,
        tracks,
        changes(lambda at: Tempo(at, float(rng.uniform(3.6, 2000)))),
        changes(
            lambda at: Metre(at, int(rng.integers(1, 14)), int(rng.choice([2, 4, 8])))
        ),
        changes(lambda at: Key(at, int(rng.integers(-7, 8)))),
        pedals=pedals,
    )


@pytest.mark.slow
def test_of_any_settings_the_grammar_accepts_what_they_encode():
    rng = np.random.default_rng(0)
    encoded = 0
    for _ in range(400):
        kind = str(rng.choice(KINDS))
        params = {name: bool(rng.random() < 0.5) for name in SWITCHES}
        if rng.random() < 0.3:
            programs = rng.permutation(np.arange(-1, 128))
            params["use_note_duration_programs"] = programs[:60].tolist()
        tokenizer = MidiTokTokenizer(kind, params)
        for score in (any_score(rng), any_score(rng)):
            try:
                ids = tokenizer.encode(score)
            except ValueError:
                continue
            encoded += 1
            assert tokenizer.grammar.accepts(ids[1:]), (kind, params)
            score = tokenizer.decode(ids)
            assert len(score) == tokenizer.notes_in(ids).sum(), (kind, params)
        ids = rng.integers(EOS + 1, tokenizer.vocab_size, 300)
        parse_midi(midi_bytes(tokenizer.decode(ids)))
    print(f"{encoded} of 800 scores encoded")
    assert encoded > 600

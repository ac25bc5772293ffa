"""The contract that every tokenizer keeps, on made-up and on real music."""

import json

import numpy as np
import pytest
from conftest import data_folder, tune
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codec_tokenizer import Ruler

from data_pipelines.guard import gate, read_file
from data_pipelines.midi import midi_bytes, parse_midi
from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers import TOKENIZERS, tokenizer_from_spec
from data_pipelines.tokenizers.codec import CodecTokenizer
from data_pipelines.tokenizers.cost import Cost, total_cost
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK, ids_before_end

OPTIONAL = {"miditok"}
PLAIN = sorted(set(TOKENIZERS) - OPTIONAL)
OF_SCORES = [name for name in PLAIN if TOKENIZERS[name].takes == "score"]
MADE = {name: TOKENIZERS[name]() for name in PLAIN}
MADE["codec"] = CodecTokenizer(Ruler())
REAL = {"score": ("pop909", "nottingham"), "text": ("text",), "wave": ("fsdd",)}


@st.composite
def songs(draw):
    """Scores of up to three tracks, drums among them, anywhere on the keyboard."""
    tracks = draw(
        st.lists(
            st.builds(Track, st.just("t"), st.integers(0, 127), st.booleans()),
            min_size=1,
            max_size=3,
        )
    )
    count = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    notes = notes_array(
        rng.integers(0, 8000, count),
        rng.integers(1, 2000, count),
        rng.integers(0, 128, count),
        rng.integers(1, 128, count),
        rng.integers(0, len(tracks), count),
    )
    metre = draw(st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8), (5, 4), (12, 8)]))
    qpm = draw(st.floats(30, 300))
    return Score(
        notes, 480, tuple(tracks), tempos=(Tempo(0, qpm),), metres=(Metre(0, *metre),)
    )


def content(tokenizer, seed=0):
    """Something that the tokenizer takes."""
    rng = np.random.default_rng(seed)
    if tokenizer.takes == "score":
        return tune(60 + np.cumsum(rng.integers(-3, 4, 40)) % 24)
    if tokenizer.takes == "text":
        from data_pipelines.text import Text

        return Text("To be, or not to be: naïve ♪\n" * 3)
    from data_pipelines.audio import Waveform

    t = np.arange(4000) / 16000
    return Waveform(np.sin(2 * np.pi * 440 * t)[:, None].astype("float32") / 2, 16000)


@pytest.mark.parametrize("name", PLAIN)
def test_the_first_four_ids_mean_the_same_everywhere(name):
    kinds = [MADE[name].vocabulary.decode(i).kind for i in range(4)]
    assert kinds == ["pad", "bos", "eos", "unk"]
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert MADE[name].vocab_size == MADE[name].vocabulary.vocab_size
    assert MADE[name].name == name


@pytest.mark.parametrize("name", PLAIN)
def test_encoding_runs_from_bos_to_eos_and_is_the_grammars_own(name):
    tokenizer = MADE[name]
    ids, cost = tokenizer.encode_measured(content(tokenizer))
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert (ids[0], ids[-1]) == (BOS, EOS)
    assert not np.isin(ids[1:-1], (PAD, BOS, EOS)).any()
    assert ids.min() >= 0 and ids.max() < tokenizer.vocab_size
    assert tokenizer.grammar.accepts(ids[1:])
    assert isinstance(cost, Cost) and cost.notes > 0
    np.testing.assert_array_equal(ids, tokenizer.encode(content(tokenizer)))
    state = tokenizer.grammar.start
    assert tokenizer.allowed(state).shape == (tokenizer.vocab_size,)
    assert tokenizer.allowed(state)[ids[1]]


@pytest.mark.parametrize("name", PLAIN)
def test_what_was_decoded_encodes_to_the_same_ids(name):
    tokenizer = MADE[name]
    ids = tokenizer.encode(content(tokenizer))
    again = tokenizer.encode(tokenizer.decode(ids))
    np.testing.assert_array_equal(again, ids)


@pytest.mark.parametrize("name", PLAIN)
def test_a_spec_is_json_that_builds_the_same_tokenizer(name):
    tokenizer = MADE[name]
    spec = json.loads(json.dumps(tokenizer.spec()))
    same = tokenizer_from_spec(spec, codec=getattr(tokenizer, "codec", None))
    ids = tokenizer.encode(content(tokenizer))
    np.testing.assert_array_equal(same.encode(content(tokenizer)), ids)
    for wrong in ({}, {"tokenizer": "abacus"}, None, [], {**spec, "surplus": 1}):
        with pytest.raises(ValueError):
            tokenizer_from_spec(wrong)


@pytest.mark.parametrize("name", PLAIN)
def test_notes_and_pitches_are_told_apart_from_the_rest(name):
    tokenizer = MADE[name]
    ids = tokenizer.encode(content(tokenizer))
    assert not tokenizer.is_note(np.arange(4)).any()
    assert tokenizer.is_note(ids).sum() > 0
    pitches = tokenizer.pitches(ids)
    assert len(pitches) <= tokenizer.is_note(ids).sum()
    if tokenizer.takes == "score":
        assert set(pitches) <= set(content(tokenizer).notes["pitch"].tolist())
        assert len(pitches) == len(content(tokenizer))


@pytest.mark.parametrize("name", PLAIN)
def test_augmenting_is_token_for_token_and_nothing_is_the_default(name):
    tokenizer = MADE[name]
    vocabulary = np.arange(tokenizer.vocab_size)
    np.testing.assert_array_equal(tokenizer.augmented(vocabulary), vocabulary)
    ids = tokenizer.encode(content(tokenizer))
    moved = tokenizer.augmented(ids, 3, 1.05, 0.9)
    table = tokenizer.augmented(vocabulary, 3, 1.05, 0.9)
    np.testing.assert_array_equal(table[ids], moved)
    assert tokenizer.grammar.accepts(moved[1:])
    if tokenizer.takes == "score":
        np.testing.assert_array_equal(
            tokenizer.pitches(tokenizer.augmented(ids, 3)), tokenizer.pitches(ids) + 3
        )


@pytest.mark.parametrize("name", OF_SCORES)
@given(song=songs())
@settings(max_examples=60, deadline=None)
def test_any_song_encodes_by_the_grammar_or_is_refused_and_decodes_stably(name, song):
    tokenizer = MADE[name]
    try:
        ids, cost = tokenizer.encode_measured(song)
    except ValueError:
        assert song.is_drum_note().all()  # none of ours refuses a pitched note
        return
    assert tokenizer.grammar.accepts(ids[1:])
    assert 0 <= cost.lost <= cost.notes <= len(song)
    decoded = tokenizer.decode(ids)
    np.testing.assert_array_equal(tokenizer.encode(decoded), ids)
    # Lengths may differ: MIDI cannot say that a key is struck while it is down.
    back = parse_midi(midi_bytes(decoded)).notes
    for column in ("start", "pitch", "velocity"):
        assert sorted(back[column]) == sorted(decoded.notes[column])


@pytest.mark.parametrize("name", PLAIN)
def test_a_walk_through_the_grammar_always_decodes_to_something(name):
    tokenizer, grammar = MADE[name], MADE[name].grammar
    rng = np.random.default_rng(0)
    for _ in range(30):
        state, ids = grammar.start, [BOS]
        for _ in range(80):
            token = int(rng.choice(np.flatnonzero(grammar.allowed[state])))
            ids.append(token)
            state = int(grammar.next_state[state, token])
            if token == EOS:
                break
        decoded = tokenizer.decode(ids)
        if ids[-1] == EOS and tokenizer.takes == "score":
            assert len(decoded) > 0  # an ending is allowed only after a note


def check_streams(name, count):
    """Random ids, of any length, decode; scores pass the gate and MIDI both ways."""
    tokenizer, rng = MADE[name], np.random.default_rng(17)
    with_notes = 0
    for number in range(count):
        ids = rng.integers(0, tokenizer.vocab_size, rng.integers(0, 120))
        if number % 2:  # without what would end it early
            ids = np.where(ids < 4, 4 + ids % (tokenizer.vocab_size - 4), ids)
        decoded = tokenizer.decode(ids)
        if tokenizer.takes == "score" and len(decoded):
            with_notes += 1
            gate(decoded)
            back = parse_midi(midi_bytes(decoded))
            assert len(back) == len(decoded)
    return with_notes


@pytest.mark.parametrize("name", PLAIN)
def test_any_stream_of_ids_decodes(name):
    with_notes = check_streams(name, 200)
    if MADE[name].takes == "score":
        assert with_notes > 10
    decode = MADE[name].decode
    decode([])
    decode([EOS])
    for outside in ([-1], [MADE[name].vocab_size]):
        with pytest.raises(ValueError, match="must be in 0"):
            decode(outside)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_SCORES)
def test_g17_ten_thousand_random_streams_decode_to_midi_that_two_readers_read(name):
    import io

    import mido

    with_notes = check_streams(name, 10_000)
    rng = np.random.default_rng(18)
    for _ in range(300):
        ids = rng.integers(4, MADE[name].vocab_size, 100)
        decoded = MADE[name].decode(ids)
        midi = mido.MidiFile(file=io.BytesIO(midi_bytes(decoded)))
        struck = sum(
            m.type == "note_on" and m.velocity > 0 for t in midi.tracks for m in t
        )
        assert struck == len(decoded)
    print(f"G17, {name}: 10,000 of 10,000 streams, {with_notes} of them with notes")


@pytest.mark.parametrize("name", PLAIN)
def test_real_files_round_trip_and_tell_their_cost(name):
    tokenizer, costs = MADE[name], []
    for folder in REAL[tokenizer.takes]:
        files = sorted(p for p in data_folder(folder).iterdir() if p.is_file())
        for path in files[:: max(1, len(files) // 20)]:
            for piece in read_file(path, kind=tokenizer.takes).contents[:3]:
                ids, cost = tokenizer.encode_measured(piece)
                costs.append(cost)
                assert tokenizer.grammar.accepts(ids[1:])
                np.testing.assert_array_equal(
                    tokenizer.encode(tokenizer.decode(ids)), ids
                )
    total = total_cost(costs)
    assert total.lost < 0.8 * total.notes
    print(f"{name}: {total}")


def test_costs_add_up_by_hand():
    one = Cost(
        10, lost=2, onset_error_ms=1.0, worst_onset_error_ms=5.0, velocity_error=2.0
    )
    two = Cost(4, lost=2, onset_error_ms=6.0, worst_onset_error_ms=9.0, shortened=1)
    total = total_cost(iter([one, two]))
    assert total == Cost(
        14, lost=4, onset_error_ms=2.0, worst_onset_error_ms=9.0,
        velocity_error=1.6, shortened=1,
    )  # fmt: skip
    assert total_cost([]) == Cost(0)


@pytest.mark.parametrize(
    ("ids", "kept"),
    [([], []), ([EOS], []), ([BOS, 4, 9, EOS, 5, EOS], [BOS, 4, 9]), ([4, 9], [4, 9])],
)
def test_ids_are_taken_up_to_the_first_end(ids, kept):
    found = ids_before_end(ids, 10)
    assert found.dtype == np.int64 and found.tolist() == kept


@pytest.mark.parametrize("ids", [[10], [-1], [4, EOS, 10]])
def test_ids_outside_the_vocabulary_are_refused_with_their_range(ids):
    message = f"must be in 0..9. Received: {min(ids)}..{max(ids)}"
    with pytest.raises(ValueError, match=message):
        ids_before_end(ids, 10)
    for tokenizer in MADE.values():
        worst = [tokenizer.vocab_size if i == 10 else i for i in ids]
        with pytest.raises(ValueError, match=r"^Token ids must be in 0\.\."):
            tokenizer.decode(worst)

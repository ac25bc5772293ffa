"""The codec tokenizer under the contract, with a codec that can be checked by hand."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.audio import Waveform
from data_pipelines.tokenizers.codec import CodecTokenizer
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK


@dataclass(frozen=True)
class Ruler:
    """A codec of two digits to the base 4: a frame is the mean of its samples."""

    sample_rate: int = 8000
    hop: int = 10
    num_quantizers: int = 2
    codebook_size: int = 4
    checksum: str = "a ruler"

    def encode(self, samples):
        frames = np.pad(samples, (0, -len(samples) % self.hop)).reshape(-1, self.hop)
        level = np.floor((frames.mean(axis=1) + 1) / 2 * 15 + 0.5).astype(int)
        return np.stack([level // 4, level % 4], axis=1)

    def decode(self, codes):
        level = codes[:, 0] * 4 + codes[:, 1]
        return np.repeat(level / 15 * 2 - 1, self.hop).astype("float32")


PLAIN = CodecTokenizer(Ruler())
NAMED = CodecTokenizer(Ruler(), ("kick", "snare"))
BOTH = pytest.mark.parametrize("tokenizer", [PLAIN, NAMED], ids=["plain", "named"])
# By hand: 4 reserved ids, then code0 0..3, then code1 0..3; or two classes before them.
CODE0, CODE1 = 4, 8


def steps(levels, rate=8000, label=""):
    """A staircase, ten samples a step, of levels 0..15."""
    samples = np.repeat(np.array(levels) / 15 * 2 - 1, 10)[:, None]
    return Waveform(samples.astype("float32"), rate, label=label)


def test_the_ids_are_codes_one_quantizer_after_another():
    assert PLAIN.vocab_size == 4 + 4 + 4
    # 6 is 1 * 4 + 2, 15 is 3 * 4 + 3.
    assert PLAIN.encode(steps([6, 15])).tolist() == [
        *(BOS, CODE0 + 1, CODE1 + 2, CODE0 + 3, CODE1 + 3, EOS)
    ]
    assert PLAIN.encode(steps([0])).dtype == np.int32


def test_a_class_comes_first_and_comes_back():
    assert NAMED.vocab_size == 4 + 2 + 4 + 4
    ids = NAMED.encode(steps([6], label="snare"))
    assert ids.tolist() == [BOS, 5, 6 + 1, 10 + 2, EOS]
    assert NAMED.decode(ids).label == "snare"
    assert NAMED.class_prompt("kick").tolist() == [BOS, 4]
    assert PLAIN.class_prompt().tolist() == [BOS]


@pytest.mark.parametrize("label, told", [("clap", "'clap' is no class"), ("", "no cl")])
def test_a_sound_of_no_class_is_refused_where_there_are_classes(label, told):
    with pytest.raises(ValueError, match=f"{told}.*known: kick, snare"):
        NAMED.encode(steps([6], label=label))


@pytest.mark.parametrize("classes", [("a", "a"), ("",), (3,), range(1001)])
def test_classes_that_cannot_be_are_refused(classes):
    with pytest.raises(ValueError, match="`classes` must be at most 1000 names"):
        CodecTokenizer(Ruler(), classes)


@BOTH
def test_every_id_survives_decode_then_encode(tokenizer):
    for token_id in range(tokenizer.vocab_size):
        event = tokenizer.vocabulary.decode(token_id)
        assert tokenizer.vocabulary.encode(event) == token_id


def test_decode_after_encode_is_the_identity_on_the_codecs_grid():
    sound = steps([0, 1, 6, 15, 14])
    assert np.allclose(PLAIN.decode(PLAIN.encode(sound)).samples, sound.samples)


def test_what_is_counted_is_frames_and_the_last_one_may_be_short():
    whole = steps([15, 15])
    short = Waveform(whole.samples[:11], 8000)
    assert PLAIN.encode_measured(short)[1] == Cost(notes=2)
    assert len(PLAIN.decode(PLAIN.encode(short))) == 20


@BOTH
def test_people_are_told_of_frames_and_not_of_samples(tokenizer):
    from studio.summaries import cost_line

    said = cost_line(tokenizer, {"notes": 1234, "lost": 0})
    assert said == "As codec tokens: 1,234 frames, 0 lost."


def test_channels_are_mixed_and_the_rate_is_the_codecs():
    loud = steps([15] * 20, rate=4000).samples
    stereo = Waveform(np.concatenate([loud, -loud], axis=1), 4000)  # cancels: level 7.5
    ids, cost = PLAIN.encode_measured(stereo)
    assert cost.notes == 40
    assert set(ids[1:-1].tolist()) == {CODE0 + 2, CODE1 + 0}


def test_a_sound_above_full_scale_is_scaled_down_to_it():
    loud = Waveform(steps([15, 0]).samples * 5, 8000)
    assert PLAIN.encode(loud).tolist() == PLAIN.encode(steps([15, 0])).tolist()


def test_no_sample_cannot_be_encoded():
    with pytest.raises(ValueError, match="no sample: 0 at 8,000 Hz"):
        PLAIN.encode(Waveform(np.zeros((0, 1), "float32"), 8000))


@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [PAD, UNK], [BOS, CODE0, EOS]])
def test_what_holds_no_whole_frame_decodes_to_an_empty_sound(ids):
    assert PLAIN.decode(ids).samples.shape == (0, 1)


def test_a_code_that_is_not_due_is_passed_over_and_eos_ends():
    ids = [
        BOS,
        CODE1,
        CODE0 + 1,
        CODE0 + 2,
        UNK,
        CODE1 + 2,
        CODE1 + 3,
        EOS,
        CODE0,
        CODE1,
    ]
    assert PLAIN.codes(ids).tolist() == [[1, 2]]


@pytest.mark.parametrize("token_id", [-1, 12])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.11"):
        PLAIN.decode([BOS, token_id])


@given(st.lists(st.integers(0, 13), max_size=60))
def test_any_ids_at_all_decode_within_full_scale(ids):
    sound = NAMED.decode(ids)
    assert len(sound) % 10 == 0
    assert (np.abs(sound.samples) <= 1).all()


@given(st.lists(st.integers(0, 15), min_size=1, max_size=30))
def test_the_grammar_takes_what_is_encoded_and_reads_it_back_whole(levels):
    for tokenizer in (PLAIN, NAMED):
        ids = tokenizer.encode(steps(levels, label="kick"))
        assert tokenizer.grammar.accepts(ids[1:])
        codes = tokenizer.codes(ids)
        assert (codes[:, 0] * 4 + codes[:, 1]).tolist() == levels


@BOTH
def test_what_the_grammar_draws_is_whole_frames_and_ends_only_between_them(tokenizer):
    rng = np.random.default_rng(0)
    for _ in range(50):
        state, ids = tokenizer.grammar.start, [BOS]
        while ids[-1] != EOS:
            ids.append(int(rng.choice(np.flatnonzero(tokenizer.allowed(state)))))
            state = tokenizer.grammar.next_state[state, ids[-1]]
        opening = 2 if tokenizer.classes else 1
        assert len(ids) - opening - 1 == 2 * len(tokenizer.codes(ids)) > 0
        assert tokenizer.is_note(ids).sum() == 2 * len(tokenizer.codes(ids))
        assert np.flatnonzero(tokenizer.allowed(state)).tolist() == [PAD]


@BOTH
def test_a_spec_builds_the_same_tokenizer_through_json(tokenizer):
    spec = json.loads(json.dumps(tokenizer.spec()))
    assert CodecTokenizer.from_spec(spec, Ruler()).spec() == spec


@pytest.mark.parametrize(
    "other", [Ruler(checksum="b"), Ruler(hop=20), Ruler(sample_rate=16000)]
)
def test_another_codec_cannot_read_the_ids(other):
    with pytest.raises(ValueError, match="is not the one that these ids come from"):
        CodecTokenizer.from_spec(PLAIN.spec(), other)


def test_what_means_nothing_to_codes_is_passed_over():
    ids = PLAIN.encode(steps([6, 15]))
    assert PLAIN.augmented(ids, 3, 1.1, 0.5).tolist() == ids.tolist()
    assert len(PLAIN.pitches(ids)) == 0

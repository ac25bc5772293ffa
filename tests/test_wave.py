"""The wave tokenizer: its ids, its grammar, sine waves and spoken digits."""

import doctest
import json

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.audio import Waveform, mu_law_decode, read_waveform
from data_pipelines.tokenizers import wave
from data_pipelines.tokenizers.wave import WaveTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK

TOKENIZER = WaveTokenizer(sample_rate=8000)
SAMPLE = 4  # the id of code 0, written out by hand
SILENCE = SAMPLE + 128


def sine(hertz, *, rate=8000, seconds=1.0, amplitude=0.5):
    instants = np.arange(round(rate * seconds)) / rate
    return amplitude * np.sin(2 * np.pi * hertz * instants)[:, None]


def snr_db(heard, meant):
    return 10 * np.log10(np.square(meant).sum() / np.square(heard - meant).sum())


def peak_hz(waveform):
    spectrum = np.abs(np.fft.rfft(waveform.mono() * np.hanning(len(waveform))))
    return spectrum.argmax() * waveform.sample_rate / len(waveform)


def test_the_ids_are_four_reserved_ones_and_256_levels():
    assert TOKENIZER.vocab_size == 260
    ids = TOKENIZER.encode(Waveform(np.array([[-1.0], [0.0], [1.0]]), 8000))
    assert ids.tolist() == [BOS, SAMPLE, SILENCE, SAMPLE + 255, EOS]
    assert ids.dtype == np.int32


def test_every_id_survives_decode_then_encode():
    for token_id in range(TOKENIZER.vocab_size):
        event = TOKENIZER.vocabulary.decode(token_id)
        assert TOKENIZER.vocabulary.encode(event) == token_id


@pytest.mark.parametrize("token_id", [-1, 260])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.259"):
        TOKENIZER.decode([BOS, token_id])


def test_the_doctests_in_the_docstrings_are_true():
    results = doctest.testmod(wave)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("rate", [999, 384_001, 8000.0, "8000", None])
def test_a_rate_that_cannot_be_is_refused(rate):
    with pytest.raises(ValueError, match=r"must be an integer in 1,000\.\.384,000"):
        WaveTokenizer(sample_rate=rate)


def test_a_spec_builds_the_same_tokenizer_through_json():
    spec = json.loads(json.dumps(TOKENIZER.spec()))
    twin = WaveTokenizer.from_spec(spec)
    assert twin.spec() == spec
    assert twin.sample_rate == 8000
    assert WaveTokenizer().sample_rate == 16_000


def test_no_sample_cannot_be_encoded():
    with pytest.raises(ValueError, match="no sample: 0 at 8,000 Hz"):
        TOKENIZER.encode(Waveform(np.zeros((0, 1)), 8000))
    with pytest.raises(ValueError, match="no sample: 1 at 384,000 Hz"):
        TOKENIZER.encode(Waveform(np.ones((1, 1)), 384_000))


def test_one_sample_is_one_token():
    assert TOKENIZER.encode(Waveform(np.ones((1, 1)), 8000)).tolist() == [
        *(BOS, SAMPLE + 255, EOS)
    ]


@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [PAD, UNK], [EOS, SILENCE]])
def test_what_holds_no_sample_decodes_to_an_empty_waveform(ids):
    waveform = TOKENIZER.decode(ids)
    assert waveform.samples.shape == (0, 1)
    assert waveform.sample_rate == 8000


def test_pad_and_unknown_are_passed_over_and_eos_ends():
    ids = [BOS, SAMPLE + 255, PAD, UNK, SAMPLE, EOS, SAMPLE]
    assert TOKENIZER.decode(ids).mono().tolist() == [1.0, -1.0]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=300))
def test_encode_after_decode_is_the_identity(codes):
    ids = [BOS, *(SAMPLE + code for code in codes), EOS]
    waveform = TOKENIZER.decode(ids)
    assert TOKENIZER.encode(waveform).tolist() == ids
    assert TOKENIZER.grammar.accepts(ids[1:])


@given(st.lists(st.integers(0, 259), max_size=80))
def test_any_ids_at_all_decode_within_full_scale(ids):
    waveform = TOKENIZER.decode(ids)
    before_end = ids[: ids.index(EOS)] if EOS in ids else ids
    assert len(waveform) == sum(i >= SAMPLE for i in before_end)
    assert (np.abs(waveform.samples) <= 1).all()


@pytest.mark.parametrize("length", [1, 2**20, 2**20 + 1])
def test_a_long_sound_is_quantized_in_blocks_and_none_is_left_out(length):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, length)
    ids = TOKENIZER.encode(Waveform(mu_law_decode(codes)[:, None], 8000))
    assert np.array_equal(ids[1:-1], SAMPLE + codes)


@pytest.mark.parametrize("amplitude", [0.9, 0.1, 0.01])
def test_a_sine_comes_back_30_db_above_the_noise(amplitude):
    # The law of the curve: noise follows the sound, so that a quiet one keeps its SNR.
    meant = sine(440, amplitude=amplitude)
    heard = TOKENIZER.decode(TOKENIZER.encode(Waveform(meant, 8000))).samples
    ratio = snr_db(heard, meant)
    print(f"mu-law, a sine of amplitude {amplitude}: {ratio:.1f} dB")
    assert ratio >= 30


def test_silence_stays_81_db_down():
    heard = TOKENIZER.decode(TOKENIZER.encode(Waveform(np.zeros((50, 1)), 8000)))
    # Half a step above the middle: (256 ** (1 / 255) - 1) / 255.
    assert heard.mono() == pytest.approx((256 ** (1 / 255) - 1) / 255)


def test_a_sound_above_full_scale_is_scaled_down_not_clipped():
    loud, whole = sine(440, amplitude=3.0), sine(440, amplitude=1.0)
    ids = TOKENIZER.encode(Waveform(loud, 8000))
    # The same codes, but where rounding to float32 tips one over its edge.
    other = TOKENIZER.encode(Waveform(whole / np.abs(whole).max(), 8000))
    assert np.abs(ids - other).max() <= 1
    quiet = TOKENIZER.encode(Waveform(sine(440, amplitude=0.3), 8000))
    assert ids.max() - SAMPLE == 255 > quiet.max() - SAMPLE  # and a quiet one is not


def test_the_peak_may_be_a_negative_one():
    ids = TOKENIZER.encode(Waveform(np.array([[-2.0], [2 * 15 / 255]]), 8000))
    # F(15 / 255) = ln 16 / ln 256 = 1/2, so code 191: round(0.75 * 255).
    assert ids.tolist() == [BOS, SAMPLE, SAMPLE + 191, EOS]


def test_channels_are_mixed():
    left, right = sine(440), sine(660)
    both = TOKENIZER.encode(Waveform(np.hstack([left, right]), 8000))
    mixed = TOKENIZER.encode(Waveform((left + right) / 2, 8000))
    assert np.abs(both - mixed).max() <= 1


@pytest.mark.parametrize("rate", [11_025, 44_100, 48_000])
def test_an_a_of_another_rate_is_still_an_a_and_as_long(rate):
    waveform = Waveform(sine(440, rate=rate, seconds=2), rate)
    ids, cost = TOKENIZER.encode_measured(waveform)
    assert len(ids) - 2 == cost.notes == 16_000
    assert (cost.lost, cost.onset_error_ms) == (0, 0.0)
    assert peak_hz(TOKENIZER.decode(ids)) == pytest.approx(440, abs=0.5)


def test_the_grammar_is_at_least_one_sample_then_eos_then_padding():
    grammar = TOKENIZER.grammar
    assert not grammar.accepts([EOS])
    assert grammar.accepts([SILENCE, EOS, PAD, PAD])
    assert not grammar.accepts([SILENCE, EOS, SILENCE])
    for reserved in (PAD, BOS, UNK):
        assert not grammar.accepts([SILENCE, reserved])
    for state in (grammar.start, grammar.state_after([SILENCE])):
        assert TOKENIZER.allowed(state)[SAMPLE:].all()


def test_samples_count_as_notes_and_have_no_pitch():
    ids = np.array([[BOS, SAMPLE, SAMPLE + 255], [EOS, PAD, UNK]])
    assert TOKENIZER.is_note(ids).tolist() == [[False, True, True], [False] * 3]
    assert len(TOKENIZER.pitches(ids)) == 0


@pytest.mark.covers("a03")
@pytest.mark.parametrize("hertz", [110, 440, 1760])
def test_a_sine_of_full_scale_comes_back_thirty_db_above_what_is_lost(hertz):
    loud = sine(hertz, amplitude=1.0)
    heard = TOKENIZER.decode(TOKENIZER.encode(Waveform(loud, 8000))).samples
    assert snr_db(heard, loud) >= 30


def test_half_as_loud_is_half_the_amplitude_and_reserved_ids_stay():
    ids = TOKENIZER.encode(Waveform(sine(440), 8000))
    softer = TOKENIZER.augmented(ids, loudness=0.5)
    assert softer[[0, -1]].tolist() == [BOS, EOS]
    assert softer.dtype == ids.dtype
    heard = TOKENIZER.decode(softer).samples
    assert snr_db(heard, sine(440, amplitude=0.25)) >= 30


def test_what_becomes_too_loud_is_clipped_at_full_scale():
    louder = TOKENIZER.augmented([SAMPLE + 250, SAMPLE + 5], loudness=10.0)
    assert louder.tolist() == [SAMPLE + 255, SAMPLE]


def test_an_axis_that_means_nothing_to_a_sound_changes_nothing():
    ids = np.arange(TOKENIZER.vocab_size)
    assert np.array_equal(TOKENIZER.augmented(ids, 5, 1.05, 1.0), ids)


def test_spoken_digits_come_back_and_their_noise_is_told():
    paths = sorted(data_folder("fsdd").glob("*.wav"))[::30]
    assert len(paths) == 100
    ratios = []
    for path in paths:
        waveform = read_waveform(path)
        ids, cost = TOKENIZER.encode_measured(waveform)
        assert cost.notes == len(waveform) == len(ids) - 2
        assert TOKENIZER.grammar.accepts(ids[1:])
        back = TOKENIZER.decode(ids)
        assert np.array_equal(TOKENIZER.encode(back), ids), path
        ratios.append(snr_db(back.samples, waveform.samples))
    print(
        f"100 spoken digits through 256 levels: {np.mean(ratios):.1f} dB, "
        f"the worst {min(ratios):.1f} dB"
    )
    assert min(ratios) >= 30

"""What the wave tokenizer can be set to: 16 bits, classes, trimming, loudness."""

import doctest
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import encode as encode_module
from data_pipelines.audio import Waveform, read_waveform, write_audio
from data_pipelines.drum_sounds import KINDS, drum_sounds, write_folder
from data_pipelines.encode import Encoder, classes_in, label_of
from data_pipelines.guard import Reading, Refused, walk_names
from data_pipelines.prepare import Settings, prepare_readings
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.wave import UnknownClass, WaveTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK

DRUMS = ("kick", "snare")
SETTINGS = (
    {},
    {"bits": 16},
    {"classes": DRUMS},
    {"bits": 16, "classes": DRUMS},
    {"trim": 40.0},
    {"loudness": -3.0},
    {"bits": 16, "classes": DRUMS, "trim": 60.0, "loudness": -1.0},
)
# Ids by hand: classes come first, then the 256 samples, then the 256 fine bytes.
WIDE = WaveTokenizer(8000, bits=16)
SAMPLE, FINE = 4, 260
NAMED = WaveTokenizer(8000, classes=DRUMS)
KICK, SNARE, NAMED_SAMPLE = 4, 5, 6


def hit(seed=0, *, silent=0, length=400, peak=0.5, label="snare", rate=8000):
    """Noise that dies away, silence on either side."""
    rng = np.random.default_rng(seed)
    fall = np.exp(-np.arange(length) / 80)
    samples = rng.uniform(-1, 1, length) * fall
    samples *= peak / np.abs(samples).max()
    silence = np.zeros(silent)
    samples = np.concatenate([silence, samples, silence])
    return Waveform(samples[:, None].astype("float32"), rate, label=label)


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_a_spec_tells_every_setting_through_json(chosen):
    tokenizer = WaveTokenizer(8000, **chosen)
    spec = json.loads(json.dumps(tokenizer.spec()))
    twin = tokenizer_from_spec(spec)
    assert twin.spec() == tokenizer.spec() == spec
    for name in ("bits", "classes", "trim", "loudness"):
        assert getattr(twin, name) == getattr(tokenizer, name)
    np.testing.assert_array_equal(twin.encode(hit()), tokenizer.encode(hit()))
    with pytest.raises(ValueError, match="another vocabulary"):
        tokenizer_from_spec(spec | {"bits": 8, "classes": ["other"]})


def test_a_spec_of_before_there_were_settings_still_loads():
    reserved = [[name, 0, 0] for name in ("pad", "bos", "eos", "unk")]
    spec = {
        "tokenizer": "wave",
        "sample_rate": 8000,
        "mu": 255,
        "ranges": [*reserved, ["sample", 0, 255]],
    }
    tokenizer = tokenizer_from_spec(spec)
    assert (tokenizer.bits, tokenizer.classes) == (8, ())
    assert tokenizer.spec() == spec


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_every_setting_keeps_the_contract(chosen):
    tokenizer = WaveTokenizer(8000, **chosen)
    sound = hit(silent=900)
    ids, cost = tokenizer.encode_measured(sound)
    assert ids.dtype == np.int32
    assert (ids[0], ids[-1]) == (BOS, EOS)
    assert tokenizer.grammar.accepts(ids[1:])
    assert cost.notes == len(sound)
    assert tokenizer.is_note(ids).sum() == cost.notes - cost.lost
    decoded = tokenizer.decode(ids)
    assert len(decoded) == cost.notes - cost.lost
    assert decoded.label == ("snare" if tokenizer.classes else "")
    np.testing.assert_array_equal(tokenizer.encode(decoded), ids)
    vocabulary = np.arange(tokenizer.vocab_size)
    np.testing.assert_array_equal(tokenizer.augmented(vocabulary), vocabulary)
    table = tokenizer.augmented(vocabulary, 3, 1.05, 0.5)
    moved = tokenizer.augmented(ids, 3, 1.05, 0.5)
    np.testing.assert_array_equal(table[ids], moved)
    assert tokenizer.grammar.accepts(moved[1:])
    assert tokenizer.decode(moved).label == decoded.label
    assert not tokenizer.is_note(np.arange(tokenizer._sample)).any()
    for outside in (-1, tokenizer.vocab_size):
        with pytest.raises(ValueError, match="must be in 0"):
            tokenizer.decode([outside])


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
def test_a_walk_through_the_grammar_holds_a_sample_a_step(chosen):
    tokenizer = WaveTokenizer(8000, **chosen)
    grammar, rng = tokenizer.grammar, np.random.default_rng(0)
    for _ in range(10):
        state, ids = grammar.start, [BOS]
        while ids[-1] != EOS and len(ids) < 90:
            token = int(rng.choice(np.flatnonzero(grammar.allowed[state])))
            ids.append(token)
            state = int(grammar.next_state[state, token])
        whole = tokenizer.is_note(ids).sum()
        cut = tokenizer.bits == 16 and tokenizer.is_note(ids[-1:])[0]
        assert len(tokenizer.decode(ids)) == whole - cut
        assert bool(tokenizer.decode(ids).label) == bool(tokenizer.classes)


@pytest.mark.parametrize("chosen", SETTINGS, ids=str)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 80))
@settings(max_examples=30, deadline=None)
def test_any_ids_decode_within_full_scale(chosen, seed, length):
    tokenizer = WaveTokenizer(8000, **chosen)
    ids = np.random.default_rng(seed).integers(0, tokenizer.vocab_size, length)
    assert (np.abs(tokenizer.decode(ids).samples) <= 1).all()


def test_a_sample_of_16_bits_is_its_high_byte_and_its_low():
    # (x + 1) * 32768 = 256 high + low; full scale itself is one step too much.
    meant = np.array([[-1.0], [0.0], [0.5], [1 / 32768], [-1 / 32768], [1.0]])
    ids = WIDE.encode(Waveform(meant, 8000))
    pairs = [(0, 0), (128, 0), (192, 0), (128, 1), (127, 255), (255, 255)]
    wanted = [t for high, low in pairs for t in (SAMPLE + high, FINE + low)]
    assert ids.tolist() == [BOS, *wanted, EOS]
    assert WIDE.vocab_size == 4 + 256 + 256
    heard = WIDE.decode(ids).mono()
    assert heard.tolist() == [*meant[:-1, 0], 32767 / 32768]


def test_each_of_the_65536_levels_is_itself_again(tmp_path):
    levels = (np.arange(2**16) - 2**15) / 2**15
    write_audio(tmp_path / "levels.wav", levels, 8000)
    sound = read_waveform(tmp_path / "levels.wav")
    assert np.array_equal(sound.mono(), levels.astype("float32"))
    assert np.array_equal(WIDE.decode(WIDE.encode(sound)).samples, sound.samples)


def test_16_bits_stand_90_db_above_their_noise():
    instants = np.arange(8000) / 8000
    for amplitude in (1.0, 0.5):
        meant = amplitude * np.sin(2 * np.pi * 441 * instants)[:, None]
        heard = WIDE.decode(WIDE.encode(Waveform(meant, 8000))).samples
        noise = np.square(heard - meant).sum()
        ratio = 10 * np.log10(np.square(meant).sum() / noise)
        print(f"16 bits, a sine of amplitude {amplitude}: {ratio:.1f} dB")
        assert ratio >= 90


def test_a_byte_without_its_other_half_is_passed_over():
    high, low = SAMPLE + 192, FINE
    for ids in ([high], [low], [low, high], [high, high], [low, low]):
        assert len(WIDE.decode(ids)) == 0
    assert WIDE.decode([low, high, high, PAD, UNK, low, high, EOS, low]).mono() == [0.5]
    assert not WIDE.grammar.accepts([high, EOS])
    assert not WIDE.grammar.accepts([high, high])
    assert not WIDE.grammar.accepts([low])
    assert WIDE.grammar.accepts([high, low, EOS, PAD])


def test_the_class_is_the_first_token_and_the_label_of_what_is_decoded():
    ids = NAMED.encode(Waveform(np.array([[-1.0], [1.0]]), 8000, label="snare"))
    assert ids.tolist() == [BOS, SNARE, NAMED_SAMPLE, NAMED_SAMPLE + 255, EOS]
    assert NAMED.decode(ids).label == "snare"
    assert NAMED.class_prompt("kick").tolist() == [BOS, KICK]
    assert NAMED.class_prompt("kick").dtype == np.int32
    assert NAMED.grammar.accepts([KICK, NAMED_SAMPLE, EOS])
    for wrong in (
        [NAMED_SAMPLE],
        [KICK, KICK],
        [KICK, EOS],
        [KICK, NAMED_SAMPLE, KICK],
    ):
        assert not NAMED.grammar.accepts(wrong)
    assert NAMED.decode([NAMED_SAMPLE, KICK, SNARE]).label == "kick"
    assert NAMED.decode([NAMED_SAMPLE]).label == ""


def test_a_label_outlives_another_sample_rate():
    sound = hit(rate=16_000, label="kick")
    assert NAMED.decode(NAMED.encode(sound)).label == "kick"
    assert sound != replace(sound, label="snare")


def test_a_class_that_is_none_is_refused_by_name():
    with pytest.raises(ValueError, match=r"one of kick, snare\. Received: 'gong'"):
        NAMED.class_prompt("gong")
    with pytest.raises(ValueError, match="knows no classes; 'kick' cannot be asked"):
        WIDE.class_prompt("kick")
    with pytest.raises(
        UnknownClass, match=r"has the label 'gong', and .* kick, snare,"
    ):
        NAMED.encode(hit(label="gong"))
    with pytest.raises(UnknownClass, match="it has no label, and each sound needs"):
        NAMED.encode(hit(label=""))
    many = WaveTokenizer(classes=[str(number) for number in range(1000)])
    with pytest.raises(UnknownClass, match=r"0, 1, .*, 11 and 988 more,"):
        many.encode(hit())
    WIDE.encode(hit(label="gong"))  # without classes, any label will do


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bits": 12}, "`bits` must be 8 or 16. Received: 12"),
        ({"bits": 8.0}, "`bits` must be 8 or 16. Received: 8.0"),
        ({"bits": "16"}, "`bits` must be 8 or 16. Received: '16'"),
        ({"classes": "kick"}, "must be a sequence of names. Received: 'kick'"),
        ({"classes": ["kick", ""]}, r"1\.\.100 characters. Received: ''"),
        ({"classes": ["kick", 7]}, r"1\.\.100 characters. Received: 7"),
        ({"classes": ["a", "b", "a"]}, "Received twice: 'a'"),
        ({"classes": [str(n) for n in range(1001)]}, "at most 1,000. Received: 1,001"),
        ({"trim": 0}, r"`trim` must be in \(0, 120\]"),
        ({"loudness": 1.0}, r"`loudness` must be a peak in \[-60, 0\]"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        WaveTokenizer(8000, **wrong)


def test_what_is_trimmed_is_told_as_lost():
    whole = hit(silent=500)
    loud = np.flatnonzero(np.abs(whole.mono()) >= 0.5 * 10 ** (-40 / 20))
    kept = loud[-1] - loud[0] + 1 + 80 + 80  # 10 ms on either side
    ids, cost = WaveTokenizer(8000, trim=40.0).encode_measured(whole)
    assert (cost.notes, cost.lost) == (1400, 1400 - kept)
    assert len(ids) == kept + 2


def test_silence_is_refused_only_where_it_is_trimmed_away():
    silence = Waveform(np.zeros((100, 1)), 8000)
    with pytest.raises(ValueError, match="silence: nothing is left"):
        WaveTokenizer(8000, trim=40.0).encode(silence)
    heard = WaveTokenizer(8000, bits=16, loudness=-3.0)
    assert not heard.decode(heard.encode(silence)).samples.any()


@pytest.mark.parametrize("peak", [0.01, 0.9, 1.0, 5.0])
def test_the_loudness_is_that_of_the_peak(peak):
    tokenizer = WaveTokenizer(8000, bits=16, loudness=-6.0)
    heard = tokenizer.decode(tokenizer.encode(hit(peak=peak)))
    assert np.abs(heard.samples).max() == pytest.approx(10 ** (-6 / 20), abs=1 / 2**15)


@given(
    st.integers(0, 2**32),
    st.floats(0.001, 3),
    st.sampled_from([None, -20.0, -3.0, 0.0]),
    st.sampled_from([8, 16]),
)
@settings(max_examples=60, deadline=None)
def test_what_was_decoded_encodes_to_the_same_ids(seed, peak, loudness, bits):
    tokenizer = WaveTokenizer(8000, bits=bits, loudness=loudness)
    ids = tokenizer.encode(hit(seed, silent=seed % 300, peak=peak))
    np.testing.assert_array_equal(tokenizer.encode(tokenizer.decode(ids)), ids)


@pytest.mark.parametrize(
    ("path", "classes", "label"),
    [
        ("kick/a.wav", DRUMS, "kick"),
        ("drums/test/snare/kick_1.wav", DRUMS, "snare"),  # the folder comes first
        ("snare/valid/a.wav", DRUMS, "snare"),
        ("a/kick-1.wav", DRUMS, "kick"),
        ("kick01.wav", DRUMS, "kick"),
        ("kick.wav", DRUMS, "kick"),
        ("kicks.wav", DRUMS, ""),
        ("deep_kick.wav", DRUMS, ""),
        ("7_jackson_32.wav", ("7", "77"), "7"),
        ("77_jackson_32.wav", ("7", "77"), "77"),
        ("77_jackson_32.wav", ("7", "8"), ""),
        ("hihat_closed-1.wav", ("hihat", "hihat_closed"), "hihat_closed"),
        ("A4-00001.wav", ("A3", "A4"), "A4"),
        ("", DRUMS, ""),
        ("a.wav", (), ""),
    ],
)
def test_a_label_is_the_folder_or_the_beginning_of_the_name(path, classes, label):
    assert label_of(path, classes) == label


def takes(*words, count=3, ending=".wav"):
    return [f"{word}{number}{ending}" for word in words for number in range(count)]


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ([], ()),
        (["kick/a.wav", "snare/b.WAV"], ("kick", "snare")),
        (["train/kick/a.wav", "test/snare/b.flac"], ("kick", "snare")),
        (["train/a.wav", "test/b.wav"], ()),
        (["kick/a.wav", "kick/b.wav"], ()),
        (["kick/a.wav", "texts/b.txt"], ()),
        (takes("7_ann_", "8_ann_"), ("7", "8")),
        (["readme.md", *takes("7_ann_", "8_ann_")], ("7", "8")),
        (takes("7_ann_", "8_ann_", count=2), ()),
        ([*takes("7_ann_", "8_ann_"), "9_ann_0.wav"], ()),
        (takes("A3-", "A4-"), ("A3", "A4")),
        (takes("kick", "snare"), ("kick", "snare")),
        (takes("7_ann_"), ()),
        (["_1.wav", "_2.wav", "_3.wav", *takes("a_")], ()),
        ([f"{number}/a.wav" for number in range(1001)], ()),
    ],
)
def test_classes_are_folders_or_else_beginnings_of_names(names, classes):
    assert classes_in(names) == classes
    sounds = [name for name in names if not name.endswith(".md")]
    assert not classes or {label_of(name, classes) for name in sounds} == {*classes}


def test_the_spoken_digits_are_ten_classes():
    folder = data_folder("fsdd")
    names = list(walk_names(folder))
    assert classes_in(names) == tuple("0123456789")
    sounds = [name for name in names if name.endswith(".wav")]
    assert all(label_of(name, tuple("0123456789")) == name[0] for name in sounds)


def encoder(**chosen):
    return Encoder(json.dumps(WaveTokenizer(8000, **chosen).spec()))


def test_a_file_is_read_with_the_class_of_its_folder(tmp_path):
    write_folder(tmp_path, [("kick/one", hit()), ("other/one", hit())])
    (piece,) = encoder(classes=DRUMS)(tmp_path / "kick" / "one.wav").pieces
    assert piece.ids[:2].tolist() == [BOS, KICK]
    plain = encoder()(tmp_path / "other" / "one.wav").pieces[0]
    assert np.array_equal(plain.ids[1:] + 2, [*piece.ids[2:-1], EOS + 2])
    with pytest.raises(Refused, match="other kind: no class: it has no label"):
        encoder(classes=DRUMS)(tmp_path / "other" / "one.wav")


def test_one_sound_under_two_labels_is_two_pieces_and_kin():
    encode = encoder(classes=DRUMS).encode
    kick, snare, other = (
        encode(Reading((sound,))).pieces[0]
        for sound in (hit(label="kick"), hit(label="snare"), hit(1))
    )
    assert kick.digest != snare.digest
    assert kick.whole == snare.whole != other.whole


def test_drum_sounds_become_a_dataset_with_their_classes(tmp_path):
    tokenizer = WaveTokenizer(8000, classes=tuple(KINDS), loudness=-3.0)
    made = list(drum_sounds(4 * len(KINDS), 0, 8000))
    found = [(name, Reading((sound,))) for name, sound in made]
    dataset = prepare_readings(found, tmp_path / "d", Settings(tokenizer.spec()))
    counts = {name: split["pieces"] for name, split in dataset.counts.items()}
    assert sum(counts.values()) == len(made)
    heard = [tokenizer.decode(i) for split in counts for i in dataset.pieces(split)]
    kinds = [sound.label for sound in heard]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 4)


def test_the_doctests_in_the_docstrings_are_true():
    results = doctest.testmod(encode_module)
    assert results.attempted >= 4
    assert results.failed == 0

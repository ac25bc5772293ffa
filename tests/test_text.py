"""Text: how a file is cut into passages, and characters into tokens and back."""

import doctest
import unicodedata

import numpy as np
import pytest
from conftest import data_folder
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.guard import Refused
from data_pipelines.text import LONGEST_PASSAGE, Text, cut_passages, read_texts
from data_pipelines.tokenizers import text as text_module
from data_pipelines.tokenizers.text import TextTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK, Event

BYTES = TextTokenizer()
LETTERS = TextTokenizer("abé€𝄞 \n")
KNOWN_ONLY = TextTokenizer("abé€𝄞 \n", fallback="unk")
ALL = [BYTES, LETTERS, KNOWN_ONLY]
BYTE = 4  # the id of byte 0, written out by hand
SOME_TEXT = st.text(min_size=1, max_size=80) | st.text("abcé€𝄞 \n", min_size=1)


@pytest.fixture(scope="module")
def shakespeare():
    return (data_folder("text") / "tinyshakespeare.txt").read_text()


# Passages


@pytest.mark.parametrize("text", ["", " ", "\n\n\t \r\n"])
def test_a_file_of_blanks_is_refused_as_empty(text):
    with pytest.raises(Refused) as refusal:
        read_texts(text)
    assert refusal.value.reason == "empty file"


def test_abc_without_a_tune_is_refused_as_empty():
    with pytest.raises(Refused, match="empty file: no tune in it"):
        read_texts("T:a title alone\n", "abc")


def test_a_text_that_no_encoding_can_write_is_an_error():
    with pytest.raises(ValueError, match=r"Character 2 of the text is half"):
        Text("ab\ud800")


def test_a_short_text_is_one_passage_with_the_title_of_its_file():
    assert read_texts("one\ntwo", title="it") == [Text("one\ntwo", "it")]


def test_every_kind_of_newline_becomes_one():
    assert read_texts("a\r\nb\rc\nd") == [Text("a\nb\nc\nd")]


def test_the_longest_passage_stands_whole_and_one_character_more_is_cut():
    assert [len(p) for p in read_texts("x" * LONGEST_PASSAGE)] == [LONGEST_PASSAGE]
    assert [len(p) for p in read_texts("x" * (LONGEST_PASSAGE + 1))] == [
        *(LONGEST_PASSAGE, 1)
    ]


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("aa\n\nbb\ncc dd", ["aa\n\n", "bb\ncc dd"]),  # a paragraph before a line
        ("aa\n \nb\nccc dd", ["aa\n \n", "b\nccc dd"]),  # a blank line may hold blanks
        ("aa\nbb cc dd", ["aa\n", "bb cc dd"]),  # a line before a word
        ("aa bb cc dd", ["aa bb ", "cc dd"]),  # a word
        ("abcdefghijk", ["abcdefgh", "ijk"]),  # where it must
    ],
)
def test_a_passage_of_at_most_8_ends_at_the_best_boundary_in_reach(text, passages):
    assert cut_passages(text, 8) == passages


@given(st.text("ab \t\n", max_size=200), st.integers(1, 20))
def test_passages_joined_are_the_text_and_none_is_too_long(text, longest):
    passages = cut_passages(text, longest)
    assert "".join(passages) == text
    assert all(0 < len(passage) <= longest for passage in passages)


def test_a_passage_of_blanks_is_dropped_and_its_neighbours_stay():
    text = "a" * LONGEST_PASSAGE + " " * LONGEST_PASSAGE + "b"
    assert [p.text[0] for p in read_texts(text)] == ["a", "b"]


def test_each_tune_of_an_abc_file_is_a_passage_with_its_own_title():
    file = "M:6/8\nX:1\nT: The Hag \nK:D\nABc\n\nX:2\r\nK:G\nGGG\n"
    assert read_texts(file, "abc", title="book") == [
        Text("X:1\nM:6/8\nT: The Hag \nK:D\nABc\n\n", "The Hag"),
        Text("X:2\nM:6/8\nK:G\nGGG\n", "book"),
    ]


# The ids, written out by hand


def test_of_ascii_one_token_is_one_character():
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert BYTES.vocab_size == 260
    ids = BYTES.encode(Text("A z\t\n"))
    assert ids.tolist() == [BOS, BYTE + 65, BYTE + 32, BYTE + 122, BYTE + 9, 14, EOS]
    assert ids.dtype == np.int32


def test_any_other_character_is_its_bytes_of_utf_8():
    # U+20AC is E2 82 AC, U+1D11E (the G clef) F0 9D 84 9E.
    spelled = [0xE2, 0x82, 0xAC, 0xF0, 0x9D, 0x84, 0x9E]
    assert BYTES.encode(Text("€𝄞"))[1:-1].tolist() == [BYTE + b for b in spelled]


def test_an_alphabet_comes_first_in_its_order_and_bytes_after_it():
    # é is C3 A9, ü is C3 BC: the alphabet has the first of them.
    tokenizer = TextTokenizer("bé")
    assert tokenizer.vocab_size == 4 + 2 + 256
    ids = tokenizer.encode(Text("béaü"))[1:-1]
    assert ids.tolist() == [4, 5, 6 + 0x61, 6 + 0xC3, 6 + 0xBC]


def test_without_bytes_what_the_alphabet_lacks_is_unknown_and_counted():
    tokenizer = TextTokenizer("ab", fallback="unk")
    assert tokenizer.vocab_size == 6
    ids, cost = tokenizer.encode_measured(Text("axé\U0010ffffb"))
    assert ids.tolist() == [BOS, 4, UNK, UNK, UNK, 5, EOS]
    assert (cost.notes, cost.lost) == (5, 3)
    assert tokenizer.decode(ids).text == "ab"


@pytest.mark.parametrize("tokenizer", ALL)
def test_every_id_survives_decode_then_encode(tokenizer):
    for token_id in range(tokenizer.vocab_size):
        event = tokenizer.vocabulary.decode(token_id)
        assert tokenizer.vocabulary.encode(event) == token_id
    assert BYTES.vocabulary.encode(Event("byte", 65)) == BYTE + 65


@pytest.mark.parametrize("tokenizer", ALL)
def test_an_empty_text_cannot_be_encoded(tokenizer):
    with pytest.raises(ValueError, match="the text is empty"):
        tokenizer.encode(Text(""))


def test_a_text_of_which_nothing_is_known_cannot_be_encoded():
    with pytest.raises(ValueError, match="none of its characters"):
        KNOWN_ONLY.encode(Text("xyz"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("",), "must be a str of characters, or None. Received: ''"),
        ((["a", "b"],), "must be a str of characters"),
        (("abca",), "holds 'a' twice"),
        (("a\ud800",), "half a surrogate pair"),
        ((None, "unk"), "needs an `alphabet`"),
        (("ab", "skip"), "must be one of bytes, unk. Received: 'skip'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TextTokenizer(*settings)


@pytest.mark.parametrize("tokenizer", ALL)
def test_a_spec_builds_the_same_tokenizer_through_json(tokenizer):
    import json

    spec = json.loads(json.dumps(tokenizer.spec()))
    twin = TextTokenizer.from_spec(spec)
    assert twin.spec() == tokenizer.spec() == spec
    assert twin.encode(Text("ab é")).tolist() == tokenizer.encode(Text("ab é")).tolist()


def test_the_doctests_in_the_docstrings_are_true():
    results = doctest.testmod(text_module)
    assert results.attempted > 0
    assert results.failed == 0


# There and back


@pytest.mark.parametrize("tokenizer", [BYTES, LETTERS])
@given(text=SOME_TEXT)
def test_decode_after_encode_is_the_identity_on_any_text(tokenizer, text):
    ids, cost = tokenizer.encode_measured(Text(text))
    assert tokenizer.decode(ids) == Text(text)
    assert tokenizer.grammar.accepts(ids[1:])
    assert (cost.notes, cost.lost) == (len(text), 0)
    assert tokenizer.is_note(ids).sum() == len(text)


def encode_slowly(tokenizer, text):
    """The reference: one character at a time."""
    ids = [BOS]
    alphabet = tokenizer.alphabet or ""
    for character in text:
        if character in alphabet:
            ids.append(4 + alphabet.index(character))
        elif tokenizer.fallback == "unk":
            ids.append(UNK)
        else:
            ids += [4 + len(alphabet) + byte for byte in character.encode()]
    return [*ids, EOS]


@pytest.mark.parametrize("tokenizer", ALL)
@given(text=SOME_TEXT)
def test_the_fast_encoder_equals_the_plain_loop(tokenizer, text):
    text += "a"  # something that each alphabet holds
    assert tokenizer.encode(Text(text)).tolist() == encode_slowly(tokenizer, text)


def decode_slowly(tokenizer, ids):
    """The reference: one id at a time."""
    alphabet = tokenizer.alphabet or ""
    data = b""
    for token_id in ids:
        if token_id == EOS:
            break
        if 4 <= token_id < 4 + len(alphabet):
            data += alphabet[token_id - 4].encode()
        elif token_id >= 4:
            data += bytes([token_id - 4 - len(alphabet)])
    return data.decode(errors="replace")


@pytest.mark.parametrize("tokenizer", ALL)
@given(data=st.data())
def test_any_ids_at_all_decode_as_in_the_plain_loop(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=60))
    assert tokenizer.decode(ids).text == decode_slowly(tokenizer, ids)


@pytest.mark.parametrize("ids", [[], [BOS], [BOS, EOS], [PAD, UNK], [EOS, BYTE + 65]])
def test_what_holds_no_character_decodes_to_an_empty_text(ids):
    assert BYTES.decode(ids) == Text("")


@pytest.mark.parametrize("token_id", [-1, 260])
def test_an_id_outside_the_vocabulary_is_refused(token_id):
    with pytest.raises(ValueError, match=r"must be in 0\.\.259"):
        BYTES.decode([BOS, token_id])


def test_bytes_that_are_no_utf_8_become_the_replacement_character():
    ids = [BYTE + b for b in (0x61, 0xFF, 0xC3, 0x62)]
    assert BYTES.decode(ids).text == "a\ufffd\ufffdb"


# The grammar


def is_utf_8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_grammar_takes_a_byte_where_some_utf_8_goes_on_with_it():
    # The law, from Python's own decoder: every string of up to three bytes over all the
    # values where something changes, and their neighbours.
    edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2]
    edges += [0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5]
    edges += [0xFF]
    for first in range(256):
        for second in edges:
            for third in edges:
                for tail in ((), (0x80,)):
                    data = bytes([first, second, third, *tail])
                    ids = [BYTE + b for b in data]
                    assert BYTES.grammar.accepts([*ids, EOS]) == is_utf_8(data), data


@given(st.binary(min_size=1, max_size=12))
def test_the_grammar_accepts_just_the_valid_utf_8(data):
    ids = [BYTE + byte for byte in data]
    assert BYTES.grammar.accepts([*ids, EOS]) == is_utf_8(data)


@pytest.mark.parametrize("tokenizer", ALL)
def test_a_text_does_not_end_before_its_first_character(tokenizer):
    grammar = tokenizer.grammar
    assert not tokenizer.allowed(grammar.start)[[PAD, BOS, EOS, UNK]].any()
    assert not grammar.accepts([EOS])


def test_a_text_does_not_end_within_a_character():
    clef = [BYTE + b for b in "𝄞".encode()]
    for cut in range(1, 4):
        assert not BYTES.grammar.accepts([*clef[:cut], EOS])
    assert BYTES.grammar.accepts([*clef, EOS, PAD, PAD])


@pytest.mark.parametrize("tokenizer", ALL)
def test_whatever_is_sampled_by_the_grammar_is_text_without_replacements(tokenizer):
    rng = np.random.default_rng(0)
    grammar = tokenizer.grammar
    for _ in range(200):
        ids, state = [], grammar.start
        while state != len(grammar.allowed) - 1:
            chosen = rng.choice(np.flatnonzero(tokenizer.allowed(state)))
            ids.append(chosen)
            state = grammar.next_state[state, chosen]
            if len(ids) > 40 and grammar.allowed[state, EOS]:
                break
        text = tokenizer.decode(ids).text
        assert "\ufffd" not in text
        assert tokenizer.is_note(ids).sum() == len(text) > 0


# What the feed asks


def test_text_has_no_pitch_and_nothing_to_augment():
    ids = LETTERS.encode(Text("ab\nü"))
    assert len(LETTERS.pitches(ids)) == 0
    assert LETTERS.augmented(ids, 3, 1.05, 0.5).tolist() == ids.tolist()


def test_is_note_takes_ids_of_any_shape():
    ids = np.array([[BOS, BYTE + 0xC3], [BYTE + 0xA9, EOS]])
    assert BYTES.is_note(ids).tolist() == [[False, True], [False, False]]


# A real text


def test_shakespeare_goes_there_and_back_passage_by_passage(shakespeare):
    passages = read_texts(shakespeare, title="tinyshakespeare")
    assert "".join(p.text for p in passages) == shakespeare
    assert max(map(len, passages)) <= LONGEST_PASSAGE
    assert all(p.text.endswith("\n\n") for p in passages[:-1])
    characters = tokens = 0
    for passage in passages:
        ids, cost = BYTES.encode_measured(passage)
        assert BYTES.decode(ids).text == passage.text
        characters, tokens = characters + cost.notes, tokens + len(ids) - 2
    print(f"Tiny Shakespeare: {len(passages)} passages, {characters:,} characters")
    assert characters == tokens == len(shakespeare)


def test_an_alphabet_of_shakespeares_own_characters_loses_nothing(shakespeare):
    alphabet = "".join(sorted(set(shakespeare)))
    tokenizer = TextTokenizer(alphabet, fallback="unk")
    ids, cost = tokenizer.encode_measured(Text(shakespeare))
    assert cost.lost == 0
    assert tokenizer.decode(ids).text == shakespeare
    assert tokenizer.grammar.accepts(ids[1:20_000])
    # Another composition of the same letters is spelled, not lost.
    accented = unicodedata.normalize("NFD", "é")
    spelled = TextTokenizer(alphabet).encode(Text(accented))
    assert len(spelled) == 2 + 1 + 2

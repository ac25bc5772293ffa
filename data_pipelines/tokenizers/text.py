"""Text in characters, and in bytes where a character has no token of its own.

    bos  char:19 char:7 char:4  byte:195 byte:169  eos

Without an alphabet every token is a byte of UTF-8, so that of ASCII one token is one
character. With one, each of its characters has an id, and any other is spelled in bytes:
nothing is lost.

Reference:
    Xue et al., 2022, ByT5: Towards a Token-Free Future with Pre-trained Byte-to-Byte
    Models, https://arxiv.org/abs/2105.13626. We depart from it in that PAD, BOS, EOS and
    UNK come first, and that the grammar lets no sampled stream be invalid UTF-8. The
    alphabet is as in Karpathy, 2015, char-rnn.
"""

import numpy as np

from data_pipelines.text import Text
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    UNK,
    EventRange,
    Vocabulary,
    ids_before_end,
)

FALLBACKS = ("bytes", "unk")
MOST_BYTES = 4  # of one character, in UTF-8
# The Unicode Standard, table 3-7: what lead byte asks for which second byte, and how
# many more follow it. Later bytes are in 0x80..0xBF.
SEQUENCES = (
    (range(0x00, 0x80), None, 0),
    (range(0xC2, 0xE0), range(0x80, 0xC0), 0),
    (range(0xE0, 0xE1), range(0xA0, 0xC0), 1),
    (range(0xE1, 0xED), range(0x80, 0xC0), 1),
    (range(0xED, 0xEE), range(0x80, 0xA0), 1),  # no surrogates
    (range(0xEE, 0xF0), range(0x80, 0xC0), 1),
    (range(0xF0, 0xF1), range(0x90, 0xC0), 2),
    (range(0xF1, 0xF4), range(0x80, 0xC0), 2),
    (range(0xF4, 0xF5), range(0x80, 0x90), 2),  # nothing after U+10FFFF
)
LATER = range(0x80, 0xC0)


class TextTokenizer:
    """Text <-> token ids, one a character or a byte.

    Args:
        alphabet: str of characters that have an id each, in this order; None: all are
            spelled in bytes.
        fallback: str, one of `FALLBACKS`: what becomes of a character that the alphabet
            lacks. "bytes" spells it; "unk" makes it UNK, which no model may write by
            the grammar, and counts it as lost.

    Raises:
        ValueError: if a character stands twice in the alphabet, or the alphabet is
            empty, or the fallback is another, or nothing is left to write with.

    Example:
    >>> tokenizer = TextTokenizer()
    >>> tokenizer.encode(Text("Hé")).tolist()
    [1, 76, 199, 173, 2]
    >>> TextTokenizer("Hi", fallback="unk").encode(Text("Hé")).tolist()
    [1, 4, 3, 2]
    """

    name = "text"
    takes = "text"

    def __init__(self, alphabet=None, fallback="bytes"):
        _check_settings(alphabet, fallback)
        self.alphabet, self.fallback = alphabet, fallback
        ranges = [EventRange("char", 0, len(alphabet) - 1)] if alphabet else []
        if fallback == "bytes":
            ranges.append(EventRange("byte", 0, 255))
        self.vocabulary = Vocabulary(ranges)
        self.vocab_size = self.vocabulary.vocab_size
        self._chars = self.vocabulary.ids("char") if alphabet else range(0)
        is_spelled = fallback == "bytes"
        self._bytes = self.vocabulary.ids("byte") if is_spelled else range(0)
        self._id_of = self._id_of_code_points()
        self._spelling, self._width = self._spellings()
        self._begins = self._width > 0
        if is_spelled:
            self._begins[self._bytes[0x80] : self._bytes[0xBF] + 1] = False
        self.grammar = self._grammar()

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec, with its alphabet and fallback."""
        return cls(spec["alphabet"], spec["fallback"])

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "alphabet": self.alphabet,
            "fallback": self.fallback,
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, text):
        """The characters of a text as token ids, BOS and EOS included.

        Args:
            text: `Text`.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if it is empty, or the alphabet holds none of its characters.
        """
        return self.encode_measured(text)[0]

    def encode_measured(self, text):
        """As `encode`, with the `Cost` of it beside the ids: characters, and lost ones."""
        if not len(text):
            raise ValueError("the text is empty")
        ids = self._own_ids(text.text)  # (characters,), UNK for those spelled
        unknown = ids == UNK
        lost = 0
        if self.fallback == "bytes":
            ids = self._spelled(text.text, ids, unknown)
        elif (lost := int(unknown.sum())) == len(ids):
            raise ValueError("the alphabet holds none of its characters")
        ids = np.concatenate([[BOS], ids, [EOS]]).astype(np.int32)
        return ids, Cost(notes=len(text), lost=lost)

    def decode(self, ids):
        """The text that some ids stand for. Any ids decode.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it.

        Returns:
            `Text`. Bytes that are no UTF-8 become U+FFFD, as Python replaces them.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = ids_before_end(ids, self.vocab_size)
        is_byte = np.arange(MOST_BYTES) < self._width[ids][:, None]  # (T, 4)
        return Text(self._spelling[ids][is_byte].tobytes().decode(errors="replace"))

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The same ids: text has neither key nor tempo nor loudness to change."""
        return np.asarray(ids)

    def is_note(self, ids):
        """Which ids begin a character: the denominator of nats per character."""
        return self._begins[np.asarray(ids)]

    def pitches(self, ids):
        """Letters have no pitch: an empty array."""
        return np.zeros(0, dtype=np.int64)

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _id_of_code_points(self):
        """int32 array: the id of each code point, up to the alphabet's last."""
        codes = np.array([ord(c) for c in self.alphabet or ""], dtype=np.int64)
        id_of = np.full(codes.max(initial=0) + 2, UNK, dtype=np.int32)
        id_of[codes] = self._chars
        return id_of

    def _own_ids(self, text):
        """The id of each character, UNK where it has none of its own."""
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        return self._id_of[np.minimum(codes, len(self._id_of) - 1)]

    def _spelled(self, text, ids, unknown):
        """The ids, with those of its bytes in the place of each unknown character."""
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        leads = np.flatnonzero((data & 0xC0) != 0x80)  # (characters,)
        spelled = data.astype(np.int32) + self._bytes[0]
        spelled[leads[~unknown]] = ids[~unknown]
        widths = np.diff(leads, append=len(data))
        is_kept = np.repeat(unknown, widths)
        is_kept[leads] = True
        return spelled[is_kept]

    def _spellings(self):
        """The UTF-8 of each id: uint8 array (V, 4), and int array (V,), its length."""
        spelling = np.zeros((self.vocab_size, MOST_BYTES), dtype=np.uint8)
        width = np.zeros(self.vocab_size, dtype=np.int64)
        for token_id, character in zip(self._chars, self.alphabet or "", strict=True):
            data = character.encode()
            width[token_id] = len(data)
            spelling[token_id, : len(data)] = list(data)
        if self._bytes:
            spelling[self._bytes, 0] = np.arange(256)
            width[self._bytes] = 1
        return spelling, width

    def _grammar(self):
        # States: nothing yet; between characters; 1 or 2 later bytes are due; after a
        # lead byte, one for each kind of character; the end.
        start, between, one_due, two_due = range(4)
        after = [two_due + n for n in range(1, len(SEQUENCES))]
        end = after[-1] + 1
        due = (between, one_due, two_due)
        allowed = np.zeros((end + 1, self.vocab_size), dtype=bool)
        following = np.zeros((end + 1, self.vocab_size), dtype=np.int32)

        def arrow(state, ids, to):
            allowed[state, ids] = True
            following[state, ids] = to

        for state in (start, between):
            arrow(state, list(self._chars), between)
        if self._bytes:
            first = self._bytes[0]
            # ASCII ends where it begins; every other kind has a state of its own.
            for (leads, seconds, more), own in zip(
                SEQUENCES, (between, *after), strict=True
            ):
                for state in (start, between):
                    arrow(state, [first + byte for byte in leads], own)
                if seconds:
                    arrow(own, [first + byte for byte in seconds], due[more])
            later = [first + byte for byte in LATER]
            arrow(one_due, later, between)
            arrow(two_due, later, one_due)
        arrow(between, EOS, end)
        arrow(end, PAD, end)
        return Grammar(allowed, following, start)


def _check_settings(alphabet, fallback):
    if fallback not in FALLBACKS:
        raise ValueError(
            f"`fallback` must be one of {', '.join(FALLBACKS)}. Received: {fallback!r}"
        )
    if alphabet is None:
        if fallback == "unk":
            raise ValueError('`fallback="unk"` needs an `alphabet`. Received: None')
        return
    if not (isinstance(alphabet, str) and alphabet):
        raise ValueError(
            f"`alphabet` must be a str of characters, or None. Received: {alphabet!r}"
        )
    Text(alphabet)  # raises where it cannot be written
    if len(set(alphabet)) < len(alphabet):
        twice = next(c for c in alphabet if alphabet.count(c) > 1)
        raise ValueError(f"`alphabet` holds {twice!r} twice.")

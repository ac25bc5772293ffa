"""Sound, frame after frame, in the codes of a neural codec.

    bos  [class:3]  code0:17 code1:203 code2:5 code3:90   code0:17 ...  eos

A frame is some milliseconds of sound; its codes come one after another, the coarsest
first, each in a range of its own. The codec is trained elsewhere and handed in: any
object that has ``sample_rate``, ``hop`` (samples a frame), ``num_quantizers``,
``codebook_size``, ``checksum``, ``encode(samples (N,)) -> int (F, Q)`` and
``decode(codes (F, Q)) -> samples (F * hop,)``. What ids mean, which may follow and which
are codes is known without it; to and from sound only with it.

Reference:
    Borsos et al. 2022, AudioLM, https://arxiv.org/abs/2209.03143, whose
    acoustic tokens these are, laid out flat. We depart from it: no semantic tokens
    before them, and one model for all of a frame's codes.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.audio import Waveform, resample
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.tokenizers.wave import UnknownClass
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    EventRange,
    Vocabulary,
    ids_before_end,
)

MOST_CLASSES = 1_000
SETTINGS = ("sample_rate", "hop", "num_quantizers", "codebook_size", "checksum")
LARGEST = {  # of each setting that is a number
    "sample_rate": 384_000,
    "hop": 4096,
    "num_quantizers": 32,
    "codebook_size": 4096,
}


@dataclass(frozen=True)
class AbsentCodec:
    """What is known of a codec that is not at hand: it codes and decodes nothing."""

    sample_rate: int = 16_000
    hop: int = 160
    num_quantizers: int = 8
    codebook_size: int = 256
    checksum: str = ""

    def __post_init__(self):
        for name, most in LARGEST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(
                    f"`{name}` must be an integer in 1..{most}. Received: {value!r}"
                )
        if not isinstance(self.checksum, str):
            raise ValueError(f"`checksum` must be text. Received: {self.checksum!r}")

    def encode(self, samples):
        """Raise ValueError: the codec itself is needed for that."""
        raise ValueError("the codec that codes are made with is not at hand")

    decode = encode


class CodecTokenizer:
    """Waveform <-> token ids, some a frame.

    Args:
        codec: what codes and decodes, as this module says; by default none, of the
            usual sizes.
        classes: tuple of str, what a sound may be an example of, such as "snare"; each
            then begins with its class. At most 1,000.

    Raises:
        ValueError: if two classes are the same, one is empty, or there are too many.
    """

    name = "codec"
    takes = "wave"
    unit = "code"  # what `is_note` counts
    cost_unit = "frame"  # what its cost counts

    def __init__(self, codec=AbsentCodec(), classes=()):
        self.codec = codec
        self.classes = tuple(classes)
        if (
            len(self.classes) > MOST_CLASSES
            or len(set(self.classes)) < len(self.classes)
            or not all(isinstance(name, str) and name for name in self.classes)
        ):
            raise ValueError(
                f"`classes` must be at most {MOST_CLASSES} names, each once. "
                f"Received: {self.classes[:20]}"
            )
        ranges = [EventRange("class", 0, len(self.classes) - 1)] if self.classes else []
        ranges += [
            EventRange(f"code{number}", 0, codec.codebook_size - 1)
            for number in range(codec.num_quantizers)
        ]
        self.vocabulary = Vocabulary(ranges)
        self.vocab_size = self.vocabulary.vocab_size
        self._class = self.vocabulary.ids("class")[0] if self.classes else None
        self._code = self.vocabulary.ids("code0")[0]
        self.grammar = self._grammar()

    @property
    def sample_rate(self):
        """In Hz, that of the codec: what every sound is resampled to."""
        return self.codec.sample_rate

    @property
    def is_heard(self):
        """Whether the codec is at hand, so that there is sound."""
        return not isinstance(self.codec, AbsentCodec)

    @classmethod
    def from_spec(cls, spec, codec=None):
        """The tokenizer of a spec, with the codec that wrote it.

        Args:
            spec: dict, as `spec` gives it.
            codec: that codec; None where no sound is wanted.

        Raises:
            ValueError: if it was another codec, of other sizes or other weights.
        """
        if codec is None:
            codec = AbsentCodec(**{name: spec.get(name) for name in SETTINGS})
        for name in SETTINGS:
            if spec.get(name) != getattr(codec, name):
                raise ValueError(
                    f"The codec given is not the one that these ids come from: its "
                    f"{name} is {getattr(codec, name)!r}, theirs {spec.get(name)!r}."
                )
        return cls(codec, tuple(spec.get("classes", ())))

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            **{name: getattr(self.codec, name) for name in SETTINGS},
            "classes": list(self.classes),
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, waveform):
        """The codes of a sound as token ids, BOS and EOS included.

        Args:
            waveform: `Waveform`; its channels are mixed, and the mix is resampled. One
                whose peak exceeds full scale is scaled down to it.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if it holds no sample, or too few for one at the codec's rate;
                if there are classes and its label is none of them; or if the codec is
                not at hand.
        """
        return self.encode_measured(waveform)[0]

    def encode_measured(self, waveform):
        """As `encode`, with the `Cost` of it: how many frames there are."""
        opening = self.class_prompt(waveform.label)
        mono = Waveform(waveform.mono()[:, None], waveform.sample_rate)
        samples = resample(mono, self.sample_rate).samples[:, 0]
        if not len(samples):
            raise ValueError(
                f"no sample: {len(waveform)} at {waveform.sample_rate:,} Hz make none "
                f"at {self.sample_rate:,} Hz"
            )
        peak = max(1.0, float(samples.max()), -float(samples.min()))
        codes = np.asarray(self.codec.encode(samples / np.float32(peak)))  # (F, Q)
        flat = (codes + self._first_ids()).reshape(-1)
        ids = np.concatenate([opening, flat, [EOS]]).astype(np.int32)
        return ids, Cost(notes=len(codes))

    def class_prompt(self, name=""):
        """The ids that ask for a class of sound: BOS, and the class where there are any.

        Raises:
            UnknownClass: a ValueError, if there are classes and this is none of them.
        """
        if not self.classes:
            return np.array([BOS], dtype=np.int32)
        if name not in self.classes:
            told = f"{name!r} is no class" if name else "it is of no class"
            raise UnknownClass(f"{told}; known: {', '.join(self.classes[:20])}")
        return np.array([BOS, self._class + self.classes.index(name)], dtype=np.int32)

    def codes(self, ids):
        """The whole frames of codes in some ids, in order.

        Args:
            ids: int array (T,). EOS ends it; a code that is not due is passed over, as
                is everything that is no code, and a frame that stays unfinished.

        Returns:
            int64 array (F, Q).

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = ids_before_end(ids, self.vocab_size)
        places = ids[ids >= self._code] - self._code
        number, size = self.codec.num_quantizers, self.codec.codebook_size
        which, value = places // size, places % size
        if not np.array_equal(which, np.arange(len(which)) % number):
            value = value[_due(which, number)]
        whole = len(value) // number * number
        return value[:whole].reshape(-1, number)

    def decode(self, ids):
        """The sound that some ids stand for. Any ids decode, as `codes` reads them.

        Returns:
            `Waveform` of one channel, at the codec's rate, cut at full scale; its label
            is the class that the ids begin with.

        Raises:
            ValueError: if an id lies outside the vocabulary, or the codec is not at
                hand.
        """
        samples = np.asarray(self.codec.decode(self.codes(ids)), dtype=np.float32)
        samples = np.clip(samples, -1.0, 1.0)
        return Waveform(samples[:, None], self.sample_rate, label=self.label(ids))

    def label(self, ids):
        """The class that stands first among some ids; "" where none does."""
        for token_id in np.asarray(ids)[:2].tolist() if self.classes else ():
            if self._class <= token_id < self._code:
                return self.classes[token_id - self._class]
        return ""

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The same ids: a code cannot be changed for that of a louder or higher sound."""
        return np.asarray(ids)

    def is_note(self, ids):
        """Which ids are codes: the denominator of nats per code."""
        return np.asarray(ids) >= self._code

    def pitches(self, ids):
        """A code has no pitch: an empty array."""
        return np.zeros(0, dtype=np.int64)

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _first_ids(self):
        number, size = self.codec.num_quantizers, self.codec.codebook_size
        return self._code + size * np.arange(number)  # (Q,)

    def _grammar(self):
        # States: code q of a frame is due, and of the first frame's code 0, which may
        # not be the end; then the end; then, where there are classes, a class is due.
        number, size = self.codec.num_quantizers, self.codec.codebook_size
        first, end, opening = number, number + 1, number + 2
        allowed = np.zeros((opening + bool(self.classes), self.vocab_size), dtype=bool)
        following = np.zeros(allowed.shape, dtype=np.int32)
        for state in range(number + 1):
            due = 0 if state == first else state
            ids = slice(self._code + size * due, self._code + size * (due + 1))
            allowed[state, ids] = True
            following[state, ids] = (due + 1) % number
        allowed[0, EOS] = allowed[end, PAD] = True
        following[0, EOS] = following[end, PAD] = end
        if self.classes:
            allowed[opening, self._class : self._code] = True
            following[opening, self._class : self._code] = first
        return Grammar(allowed, following, opening if self.classes else first)


def _due(which, number):
    """Where each code that is due stands: int array of places, one code after another.

    Args:
        which: int array (T,), the quantizer of each code. number: int, how many.
    """
    places, due = [], 0
    for place, quantizer in enumerate(which.tolist()):
        if quantizer == due:
            places.append(place)
            due = (due + 1) % number
    return np.array(places, dtype=np.int64)

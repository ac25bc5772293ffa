"""Sound, sample after sample, in 8 bits or in 16.

    bos  sample:128 sample:131 sample:140  ...  eos
    bos  class:1  sample:128 fine:0  sample:128 fine:97  ...  eos

With 8 bits, a token is a sample of one channel, at the tokenizer's own sample rate, in
the code of telephony: its 256 levels lie close together near silence and far apart
where it is loud. With 16 bits, a sample is two tokens, the high and the low byte of a
linear 16-bit sample: 16-bit files at this rate come back bit for bit. Where classes are
given, one of them comes first, so that one can ask for a kick or a snare.

Reference:
    van den Oord et al., 2016, WaveNet: A Generative Model for Raw Audio,
    https://arxiv.org/abs/1609.03499, section 2.2; ITU-T G.711. Kalchbrenner et al.,
    2018, Efficient Neural Audio Synthesis, https://arxiv.org/abs/1802.08435, section
    2.1, for coarse and fine bytes. We depart from them in three points: a sound begins
    with BOS and ends in EOS; one whose peak exceeds full scale is scaled down to it,
    instead of being clipped; the class is a token, read once.
"""

from dataclasses import replace

import numpy as np

from data_pipelines.audio import (
    Waveform,
    check_rate,
    mu_law_decode,
    mu_law_encode,
    resample,
)
from data_pipelines.sound_shape import (
    check_loudness,
    check_trim,
    peak_of,
    set_loudness,
    trim_silence,
)
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.vocabulary import (
    BOS,
    EOS,
    PAD,
    EventRange,
    Vocabulary,
    ids_before_end,
)

SAMPLE_RATE = 16_000  # Hz
MU = 255
BITS = (8, 16)
MOST_CLASSES = 1_000
LONGEST_NAME = 100  # characters of a class
FULL_SCALE = 2**15  # of 16 bits
BLOCK = 2**20  # samples quantized at a time: two hours at once would be gigabytes


class UnknownClass(ValueError):
    """A sound whose label is none of the tokenizer's classes."""


class WaveTokenizer:
    """Waveform <-> token ids, one or two a sample.

    Args:
        sample_rate: int in 1,000..384,000, in Hz: what every sound is resampled to.
        bits: int. 8: mu-law, one token a sample; 16: linear, two.
        classes: sequence of at most 1,000 different names, or none. Where there are
            any, every sound must have one as its label.
        trim: float in (0, 120], or None. Silence before and after a sound, that many dB
            below its peak, is cut; see `sound_shape.trim_silence`. What was decoded is
            cut again only where quantizing took a sample below the threshold: about
            one sound in a thousand.
        loudness: float in [-60, 0], or None. Where the peak is put, in dB of full
            scale; see `sound_shape.set_loudness`.

    Raises:
        ValueError: if a setting lies outside.

    Example:
    >>> tokenizer = WaveTokenizer(sample_rate=8000)
    >>> waveform = Waveform(np.array([[-1.0], [0.0], [1.0]]), 8000)
    >>> tokenizer.encode(waveform).tolist()
    [1, 4, 132, 259, 2]
    >>> tokenizer = WaveTokenizer(8000, bits=16, classes=("kick", "snare"))
    >>> snare = Waveform(np.array([[-1.0], [0.5]]), 8000, label="snare")
    >>> [str(tokenizer.vocabulary.decode(i)) for i in tokenizer.encode(snare)[1:-1]]
    ['class:1', 'sample:0', 'fine:0', 'sample:192', 'fine:0']
    """

    name = "wave"
    takes = "wave"

    def __init__(
        self, sample_rate=SAMPLE_RATE, *, bits=8, classes=(), trim=None, loudness=None
    ):
        check_rate(sample_rate)
        if bits not in BITS or isinstance(bits, float):
            raise ValueError(f"`bits` must be 8 or 16. Received: {bits!r}")
        if trim is not None:
            check_trim(trim)
        if loudness is not None:
            check_loudness(loudness)
        self.sample_rate, self.bits = int(sample_rate), bits
        self.classes = _checked_classes(classes)
        self.trim, self.loudness = trim, loudness
        ranges = [EventRange("sample", 0, MU)]
        if self.classes:
            ranges.insert(0, EventRange("class", 0, len(self.classes) - 1))
        if bits == 16:
            ranges.append(EventRange("fine", 0, 255))
        self.vocabulary = Vocabulary(ranges)
        self.vocab_size = self.vocabulary.vocab_size
        self._sample = self.vocabulary.ids("sample")[0]
        self._fine = self._sample + MU + 1  # one past the samples, if there is none
        self._class = self._sample - len(self.classes)
        self.grammar = self._grammar()

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec, with its settings."""
        settings = ("bits", "classes", "trim", "loudness")
        given = {name: spec[name] for name in settings if name in spec}
        return cls(spec["sample_rate"], **given)

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary.

        A setting left at its default is not told, as in specs of before it was one.
        """
        told = {
            "bits": self.bits if self.bits != 8 else None,
            "classes": list(self.classes) or None,
            "trim": self.trim,
            "loudness": self.loudness,
        }
        return {
            "tokenizer": self.name,
            "sample_rate": self.sample_rate,
            "mu": MU,
            **{name: value for name, value in told.items() if value is not None},
            "ranges": self.vocabulary.to_json(),
        }

    def class_prompt(self, name):
        """What a sound of a class begins with: int32 array (2,), BOS and the class.

        Raises:
            ValueError: if there is no such class.
        """
        if not self.classes:
            raise ValueError(
                f"This model knows no classes; {name!r} cannot be asked for."
            )
        if name not in self.classes:
            raise ValueError(
                f"`class` must be one of {_some(self.classes)}. Received: {name!r}"
            )
        return np.array([BOS, self._class + self.classes.index(name)], dtype=np.int32)

    def encode(self, waveform):
        """The samples of a sound as token ids, BOS and EOS included.

        Args:
            waveform: `Waveform`; its channels are mixed, and the mix is resampled, then
                trimmed and set in loudness where the settings say so.

        Returns:
            int32 array (T,).

        Raises:
            UnknownClass: if there are classes, and its label is none of them.
            ValueError: if it holds no sample, or too few for one at this rate, or
                nothing but silence where that is trimmed.
        """
        return self.encode_measured(waveform)[0]

    def encode_measured(self, waveform):
        """As `encode`, with the `Cost` of it: samples at this rate, and trimmed ones."""
        prompt = [BOS]
        if self.classes:
            prompt.append(self._class + self._class_of(waveform))
        mono = replace(waveform, samples=waveform.mono()[:, None])
        whole = resample(mono, self.sample_rate)
        if not len(whole):
            raise ValueError(
                f"no sample: {len(waveform)} at {waveform.sample_rate:,} Hz make none "
                f"at {self.sample_rate:,} Hz"
            )
        sound = trim_silence(whole, self.trim) if self.trim is not None else whole
        if not len(sound):
            raise ValueError("silence: nothing is left when it is trimmed")
        samples = self._levelled(sound).samples[:, 0]
        begin, width = len(prompt), self.bits // 8
        ids = np.empty(begin + width * len(samples) + 1, dtype=np.int32)
        ids[:begin], ids[-1] = prompt, EOS
        for start in range(0, len(samples), BLOCK):
            tokens = self._quantized(samples[start : start + BLOCK].astype(np.float64))
            at = begin + width * start
            ids[at : at + len(tokens)] = tokens
        return ids, Cost(notes=len(whole), lost=len(whole) - len(sound))

    def _class_of(self, waveform):
        if waveform.label in self.classes:
            return self.classes.index(waveform.label)
        told = f"the label {waveform.label!r}" if waveform.label else "no label"
        raise UnknownClass(
            f"no class: it has {told}, and each sound needs one of "
            f"{_some(self.classes)}, by its folder or the beginning of its name"
        )

    def _levelled(self, sound):
        """At the loudness asked for; below full scale whatever is asked for.

        A peak that is quantized to that of the loudness already stays, so that
        encoding what was decoded is the identity.
        """
        peak = peak_of(sound)
        if self.loudness is not None and peak:
            wanted = np.array([min(1.0, peak), 10 ** (self.loudness / 20)])
            own, meant = self._quantized(wanted).reshape(2, -1).tolist()
            if own != meant:
                return set_loudness(sound, self.loudness)
        if peak > 1:
            return replace(sound, samples=sound.samples / np.float32(peak))
        return sound

    def _quantized(self, samples):
        """The tokens of float64 samples (N,) in [-1, 1]: int array (N,) or (2 N,)."""
        if self.bits == 8:
            return self._sample + mu_law_encode(samples, MU)
        steps = np.rint(samples * FULL_SCALE).astype(np.int32) + FULL_SCALE
        steps = np.minimum(steps, 2 * FULL_SCALE - 1)
        return np.stack(
            [self._sample + (steps >> 8), self._fine + (steps & 255)], -1
        ).ravel()

    def decode(self, ids):
        """The sound that some ids stand for. Any ids decode.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it; of 16
                bits, so is a byte without its other half.

        Returns:
            `Waveform` of one channel, at the tokenizer's rate; its label is the first
            class among the ids.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = ids_before_end(ids, self.vocab_size)
        classes = ids[(ids >= self._class) & (ids < self._sample)] - self._class
        label = self.classes[classes[0]] if len(classes) else ""
        samples = self._levels(ids[ids >= self._sample])
        return Waveform(samples[:, None], self.sample_rate, label=label)

    def _levels(self, tokens):
        """The samples of sample and fine tokens, float32 (N,)."""
        if self.bits == 8:
            return mu_law_decode(np.arange(MU + 1), MU)[tokens - self._sample]
        is_fine = tokens >= self._fine
        whole = np.flatnonzero(~is_fine[:-1] & is_fine[1:])
        high, low = tokens[whole] - self._sample, tokens[whole + 1] - self._fine
        return ((256 * high + low - FULL_SCALE) / FULL_SCALE).astype(np.float32)

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same sound, `loudness` times as loud, clipped at full scale.

        Key and tempo cannot be changed sample for sample, and stay. Of 16 bits, the
        loudness stays too: a byte alone does not say how loud its sample is.
        """
        ids = np.asarray(ids)
        if loudness == 1.0 or self.bits == 16:
            return ids
        louder = mu_law_decode(np.arange(MU + 1), MU).astype(np.float64) * loudness
        codes = mu_law_encode(np.clip(louder, -1.0, 1.0), MU)
        table = np.concatenate([np.arange(self._sample), self._sample + codes])
        return table[ids].astype(ids.dtype)

    def is_note(self, ids):
        """Which ids begin a sample: the denominator of nats per sample."""
        ids = np.asarray(ids)
        return (ids >= self._sample) & (ids < self._fine)

    def pitches(self, ids):
        """A sample has no pitch: an empty array."""
        return np.zeros(0, dtype=np.int64)

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _grammar(self):
        # States: the first sample is due; any may follow; the end. With 16 bits: the
        # fine byte is due. With classes, where it starts: the class is due.
        first, more, end = range(3)
        fine, named = 3, 3 + (self.bits == 16)
        states = named + bool(self.classes)
        allowed = np.zeros((states, self.vocab_size), dtype=bool)
        following = np.zeros((states, self.vocab_size), dtype=np.int32)
        samples = slice(self._sample, self._fine)
        for state in (first, more):
            allowed[state, samples] = True
            following[state, samples] = fine if self.bits == 16 else more
        allowed[more, EOS] = allowed[end, PAD] = True
        following[more, EOS] = following[end, PAD] = end
        if self.bits == 16:
            allowed[fine, self._fine :] = True
            following[fine, self._fine :] = more
        if self.classes:
            allowed[named, self._class : self._sample] = True
            following[named, self._class : self._sample] = first
        return Grammar(allowed, following, named if self.classes else first)


def _checked_classes(classes):
    """The names as a tuple.

    Raises:
        ValueError: if one is no name, comes twice, or there are too many.
    """
    if isinstance(classes, str) or not isinstance(classes, (list, tuple)):
        raise ValueError(
            f"`classes` must be a sequence of names. Received: {classes!r}"
        )
    if len(classes) > MOST_CLASSES:
        raise ValueError(
            f"`classes` must be at most {MOST_CLASSES:,}. Received: {len(classes):,}"
        )
    for name in classes:
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME:
            raise ValueError(
                f"A class must be a name of 1..{LONGEST_NAME} characters. "
                f"Received: {name!r}"
            )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise ValueError(f"`classes` must differ. Received twice: {twice!r}")
    return tuple(classes)


def _some(names, most=12):
    """The first names of many, as a sentence has room for."""
    told = ", ".join(names[:most])
    more = len(names) - most
    return f"{told} and {more:,} more" if more > 0 else told

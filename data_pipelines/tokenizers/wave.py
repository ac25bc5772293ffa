"""Sound, sample after sample, in the 8-bit code of telephony.

    bos  sample:128 sample:131 sample:140  ...  eos

A token is a sample of one channel, at the tokenizer's own sample rate. Its 256 levels lie
close together near silence and far apart where it is loud.

Reference:
    van den Oord et al., 2016, WaveNet: A Generative Model for Raw Audio,
    https://arxiv.org/abs/1609.03499, section 2.2; ITU-T G.711. We depart from it in two
    points: a sound begins with BOS and ends in EOS; one whose peak exceeds full scale
    is scaled down to it, instead of being clipped.
"""

import numpy as np

from data_pipelines.audio import (
    Waveform,
    check_rate,
    mu_law_decode,
    mu_law_encode,
    resample,
)
from data_pipelines.tokenizers.cost import Cost
from data_pipelines.tokenizers.grammar import Grammar
from data_pipelines.vocabulary import BOS, EOS, PAD, EventRange, Vocabulary

SAMPLE_RATE = 16_000  # Hz
MU = 255
BLOCK = 2**20  # samples quantized at a time: two hours at once would be gigabytes


class WaveTokenizer:
    """Waveform <-> token ids, one a sample.

    Args:
        sample_rate: int in 1,000..384,000, in Hz: what every sound is resampled to.

    Raises:
        ValueError: if the rate lies outside.

    Example:
    >>> tokenizer = WaveTokenizer(sample_rate=8000)
    >>> waveform = Waveform(np.array([[-1.0], [0.0], [1.0]]), 8000)
    >>> tokenizer.encode(waveform).tolist()
    [1, 4, 132, 259, 2]
    """

    name = "wave"
    takes = "wave"

    def __init__(self, sample_rate=SAMPLE_RATE):
        check_rate(sample_rate)
        self.sample_rate = int(sample_rate)
        self.vocabulary = Vocabulary([EventRange("sample", 0, MU)])
        self.vocab_size = self.vocabulary.vocab_size
        self._sample = self.vocabulary.ids("sample")[0]
        self.grammar = self._grammar()

    @classmethod
    def from_spec(cls, spec):
        """The tokenizer of a spec, with its sample rate."""
        return cls(spec["sample_rate"])

    def spec(self):
        """What the ids mean, as JSON. Two equal specs are the same vocabulary."""
        return {
            "tokenizer": self.name,
            "sample_rate": self.sample_rate,
            "mu": MU,
            "ranges": self.vocabulary.to_json(),
        }

    def encode(self, waveform):
        """The samples of a sound as token ids, BOS and EOS included.

        Args:
            waveform: `Waveform`; its channels are mixed, and the mix is resampled.

        Returns:
            int32 array (T,).

        Raises:
            ValueError: if it holds no sample, or too few for one at this rate.
        """
        return self.encode_measured(waveform)[0]

    def encode_measured(self, waveform):
        """As `encode`, with the `Cost` of it: how many samples there are at this rate."""
        mono = Waveform(waveform.mono()[:, None], waveform.sample_rate)
        samples = resample(mono, self.sample_rate).samples[:, 0]
        if not len(samples):
            raise ValueError(
                f"no sample: {len(waveform)} at {waveform.sample_rate:,} Hz make none "
                f"at {self.sample_rate:,} Hz"
            )
        peak = max(float(samples.max()), -float(samples.min()))
        ids = np.empty(len(samples) + 2, dtype=np.int32)
        ids[0], ids[-1] = BOS, EOS
        for start in range(0, len(samples), BLOCK):
            block = samples[start : start + BLOCK].astype(np.float64)
            codes = mu_law_encode(block / max(1.0, peak), MU)
            ids[1 + start : 1 + start + len(codes)] = self._sample + codes
        return ids, Cost(notes=len(samples))

    def decode(self, ids):
        """The sound that some ids stand for. Any ids decode.

        Args:
            ids: int array (T,). PAD, BOS and UNK are passed over, EOS ends it.

        Returns:
            `Waveform` of one channel, at the tokenizer's rate.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        ids = np.asarray(ids, dtype=np.int64)
        if len(ids) and not (ids.min() >= 0 and ids.max() < self.vocab_size):
            raise ValueError(
                f"Token ids must be in 0..{self.vocab_size - 1}. "
                f"Received: {ids.min()}..{ids.max()}"
            )
        ends = np.flatnonzero(ids == EOS)
        ids = ids[: ends[0]] if len(ends) else ids
        codes = ids[ids >= self._sample] - self._sample
        level = mu_law_decode(np.arange(MU + 1), MU)
        return Waveform(level[codes][:, None], self.sample_rate)

    def augmented(self, ids, semitones=0, stretch=1.0, loudness=1.0):
        """The ids of the same sound, `loudness` times as loud, clipped at full scale.

        Key and tempo cannot be changed sample for sample, and stay.
        """
        ids = np.asarray(ids)
        if loudness == 1.0:
            return ids
        louder = mu_law_decode(np.arange(MU + 1), MU).astype(np.float64) * loudness
        codes = mu_law_encode(np.clip(louder, -1.0, 1.0), MU)
        table = np.concatenate([np.arange(self._sample), self._sample + codes])
        return table[ids].astype(ids.dtype)

    def is_note(self, ids):
        """Which ids are samples: the denominator of nats per sample."""
        return np.asarray(ids) >= self._sample

    def pitches(self, ids):
        """A sample has no pitch: an empty array."""
        return np.zeros(0, dtype=np.int64)

    def allowed(self, state):
        """The grammar: which ids may come in this state, as a bool array (V,)."""
        return self.grammar.allowed[state]

    def _grammar(self):
        # States: the first sample is due; any may follow; the end.
        first, more, end = range(3)
        allowed = np.zeros((end + 1, self.vocab_size), dtype=bool)
        following = np.zeros((end + 1, self.vocab_size), dtype=np.int32)
        for state in (first, more):
            allowed[state, self._sample :] = True
            following[state, self._sample :] = more
        allowed[more, EOS] = allowed[end, PAD] = True
        following[more, EOS] = following[end, PAD] = end
        return Grammar(allowed, following, first)

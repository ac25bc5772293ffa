"""Four voices written without parallel fifths and octaves: a rule, beside the model."""

import numpy as np

from audio_models.particles import Sheet
from data_pipelines.tokenizers.chorale import VOICES
from data_pipelines.voice_leading import FIFTH, OCTAVE, SILENT, voices_of_ids

COUNT = len(VOICES)
BEFORE = slice(2, 2 + COUNT)  # columns of a place: what sounded a step ago,
NOW = slice(2 + COUNT, 2 + 2 * COUNT)  # and what sounds so far in this one


def sheet_of(tokenizer, may, prefix):
    """The path of what may stand after a prefix; four voices are led by rule.

    Args:
        may: bool array (T, V). prefix: int array (P,), BOS and the metre first.

    Returns:
        `particles.Sheet`.

    Raises:
        ValueError: if the prefix breaks the grammar, or no way leads through.
    """
    state = tokenizer.grammar.state_after(np.asarray(prefix)[1:])
    if state is None:
        raise ValueError("The given music breaks the grammar of its tokens.")
    if tokenizer.name != "chorale":
        return Sheet(may, tokenizer.grammar, state)
    return LedSheet(may, tokenizer, state, prefix)


class LedSheet(Sheet):
    """A `Sheet` of four voices on which no two move in parallel fifths or octaves.

    A network learns from some hundred pieces that Bach writes one parallel in a
    thousand pairs that move; it writes twenty. Here a voice may not strike a pitch that
    would follow a voice above it, in the same direction, from a fifth or an octave to
    another one. What is given is taken as it is, and where nothing else may stand, the
    rule gives way.

    Args:
        tokenizer: `ChoraleTokenizer`. Others as for `sheet_of` and `Sheet`.
    """

    def __init__(self, may, tokenizer, state, prefix):
        super().__init__(may, tokenizer.grammar, state)
        pitches = tokenizer.vocabulary.ids("pitch")
        self.first, self.rest = pitches[0], tokenizer.rest
        self.is_pitch = np.isin(np.arange(tokenizer.vocab_size), list(pitches))
        self.offset = (len(prefix) - 2) % COUNT
        sounding, _ = voices_of_ids(tokenizer, prefix)
        self.sounding = sounding[-1] if len(sounding) else np.full(COUNT, SILENT)
        self.begun = np.asarray(prefix)[len(prefix) - self.offset :]

    def places(self, rows):
        at = np.concatenate([[0, self.state], self.sounding, self.sounding])
        for voice, token in enumerate(self.begun.tolist()):
            at[NOW.start + voice] = self._sounds(at[NOW.start + voice], token)
        return np.tile(at, (rows, 1))

    def may(self, places):
        may = super().may(places)
        voice = (self.offset + places[0, 0]) % COUNT
        if not voice or not (may & self.is_pitch).any():
            return may
        led = may & ~(self._follows(places, voice) & self.is_pitch)
        return np.where(led.any(axis=1, keepdims=True), led, may)

    def _follows(self, places, voice):
        # bool (K, V): which pitches would make a parallel with a voice above.
        pitch = np.arange(len(self.is_pitch)) - self.first  # (V,)
        own = places[:, BEFORE][:, voice, None]  # (K, 1)
        follows = np.zeros((len(places), len(pitch)), dtype=bool)
        for above in range(voice):
            before = places[:, BEFORE][:, above, None]
            now = places[:, NOW][:, above, None]
            moved = (now - before) * (own != SILENT) * (before != SILENT)
            moved = moved * (now != SILENT)
            same_way = moved * (pitch - own) > 0
            for kind in (FIFTH, OCTAVE):
                first, second = (before - own) % 12 == kind, (now - pitch) % 12 == kind
                follows |= same_way & first & second
        return follows

    def after(self, places, ids):
        voice = (self.offset + places[0, 0]) % COUNT
        following = places.copy()
        following[:, :2] = super().after(places, ids)
        column = NOW.start + voice
        following[:, column] = self._sounds(places[:, column], ids)
        if voice == COUNT - 1:
            following[:, BEFORE] = following[:, NOW]
        return following

    def _sounds(self, before, token):
        struck = np.where(token == self.rest, SILENT, before)
        return np.where(self.is_pitch[token], token - self.first, struck)

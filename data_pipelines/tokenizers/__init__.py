"""One tokenizer a file; here, the contract and the whole registry.

A tokenizer is any object with

- ``name``, ``takes`` ("score", "text" or "wave": what it encodes), ``vocab_size``,
  ``vocabulary`` (a `Vocabulary`: PAD, BOS, EOS, UNK are 0..3 in each);
- ``encode(content) -> int32 (T,)``, from BOS to EOS; ``encode_measured(content) ->
  (ids, Cost)``; ValueError, saying why, if it cannot take the content;
- ``decode(ids) -> content``, for any ids of the vocabulary: what the grammar forbids is
  passed over. ``decode(encode(s))`` is the identity on what is on its grid already;
- ``grammar``, a `Grammar`: which id may follow, as a table; ``allowed(state) -> mask``;
- ``is_note(ids)``, which ids strike a note (or are a letter, a sample): the denominator
  of nats per note; ``pitches(ids)``, what those that have a pitch strike, in order;
- ``augmented(ids, semitones=0, stretch=1.0, loudness=1.0) -> ids``, token for token, so
  that the feed can augment on the fly by a table; an axis that means nothing to the
  tokenizer is passed over;
- ``spec() -> JSON``, from which ``type(tokenizer).from_spec`` builds the same one; that
  of codes wants the codec too, to and from sound.
"""

from data_pipelines.tokenizers.chorale import ChoraleTokenizer
from data_pipelines.tokenizers.codec import CodecTokenizer
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.tokenizers.miditok_adapter import MidiTokTokenizer
from data_pipelines.tokenizers.performance import PerformanceTokenizer
from data_pipelines.tokenizers.remi import RemiTokenizer
from data_pipelines.tokenizers.text import TextTokenizer
from data_pipelines.tokenizers.wave import WaveTokenizer

TOKENIZERS = {
    "melody": MelodyTokenizer,
    "chorale": ChoraleTokenizer,
    "performance": PerformanceTokenizer,
    "remi": RemiTokenizer,
    "text": TextTokenizer,
    "wave": WaveTokenizer,
    "codec": CodecTokenizer,
    "miditok": MidiTokTokenizer,
}


def tokenizer_from_spec(spec, *, codec=None):
    """The tokenizer that wrote `spec`.

    Args:
        spec: dict, as a tokenizer's ``spec()`` gives it.
        codec: the codec of a tokenizer of codes; without it there is no sound, but all
            else. Other tokenizers have none.

    Raises:
        ValueError: if this kit has no tokenizer of that name, or if its ids mean
            something else than the ones in `spec`, or are of another codec.
    """
    name = spec.get("tokenizer") if isinstance(spec, dict) else None
    if name not in TOKENIZERS:
        raise ValueError(
            f"No tokenizer is called {name!r}. Known: {', '.join(TOKENIZERS)}."
        )
    try:
        given = {} if codec is None else {"codec": codec}
        tokenizer = TOKENIZERS[name].from_spec(spec, **given)
        same = tokenizer.spec() == spec
    except (KeyError, TypeError, AttributeError):
        same = False
    if not same:
        raise ValueError(
            f"This is another vocabulary of the tokenizer {name!r}: "
            "its ids would mean other notes here."
        )
    return tokenizer

"""A codec where files, networks and tokens meet: learnt, kept as a bundle, put to work.

A codec is a bundle of its own. A model of codes carries a copy of its codec, so that its
codes mean the same sound wherever the bundle goes.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from audio_models.bundle import (
    BadBundle,
    Bundle,
    array_bytes,
    halved,
    load_bundle,
    read_arrays,
    save_bundle,
)
from audio_models.codec import Codec, CodecPlayer
from data_pipelines.audio import Waveform, audio_bytes, resample
from data_pipelines.drum_sounds import drum_sounds
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.codec import CodecTokenizer
from data_pipelines.tones import tones
from studio.errors import NothingUsable

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "bundles" / "codec"
PITCHES = range(36, 85)  # of the tones that a codec learns from: C2 to C6


@dataclass(frozen=True)
class KeptCodec:
    """A codec and where it comes from.

    Args:
        codec: `CodecPlayer`.
        facts: dict of JSON: data, terms, figures, seed.
        card: str, Markdown.
        sample: bytes of a WAV file, what sounds are like through it.
    """

    codec: CodecPlayer
    facts: dict = field(default_factory=dict)
    card: str = ""
    sample: bytes = b""


def save_codec(folder, kept):
    """Write a codec as a bundle, whole or not at all, in the place of an older one.

    Args:
        folder: Path. kept: `KeptCodec`; one that is `rounded` takes half the room.

    Raises:
        ValueError, OSError: as `audio_models.bundle.save_bundle`.
    """
    codec = kept.codec
    save_bundle(
        folder,
        Bundle(
            codec.architecture,
            codec.weights,
            {"codec": codec.checksum},
            kept.facts,
            kept.card,
            kept.sample or audio_bytes(np.zeros((0, 1), "float32"), codec.sample_rate),
        ),
        half=_fits_half(codec),
    )


def load_codec(folder):
    """Open a codec: every byte checked against its sum, every size against its limits.

    Returns:
        `KeptCodec`.

    Raises:
        BadBundle: naming the file and what is wrong with it.
        FileNotFoundError: if there is no such folder.
    """
    bundle = load_bundle(folder)
    if not isinstance(bundle.architecture, Codec):
        raise BadBundle(
            f"{folder} is no codec: it holds the model {bundle.model_name}."
        )
    codec = CodecPlayer(bundle.architecture, bundle.weights)
    if codec.checksum != bundle.vocabulary.get("codec"):
        raise BadBundle(f"{folder}: its weights are not those that its checksum is of.")
    return KeptCodec(codec, bundle.facts, bundle.card, bundle.sample)


def rounded(codec):
    """The `CodecPlayer` with each weight rounded to 16 bits: another codec."""
    return CodecPlayer(codec.architecture, halved(codec.weights))


def _fits_half(codec):
    near = halved(codec.weights)
    return all(np.array_equal(near[name], codec.weights[name]) for name in near)


def open_codec(folder=SHIPPED):
    """The `KeptCodec` of a folder, by default of the codec that sounds are read with.

    Raises:
        NothingUsable: if it is not there, or damaged.
    """
    try:
        return load_codec(folder)
    except (FileNotFoundError, BadBundle) as error:
        raise NothingUsable(str(error)) from None


def with_codec(tokenizer):
    """A tokenizer as it is; of codes, with the shipped codec if it has none at hand.

    Raises:
        NothingUsable: if its ids are codes of another codec.
    """
    if tokenizer.name != CodecTokenizer.name or tokenizer.is_heard:
        return tokenizer
    codec = open_codec().codec
    if not tokenizer.codec.checksum:  # of no codec in particular
        return CodecTokenizer(codec, tokenizer.classes)
    try:
        return tokenizer_from_spec(tokenizer.spec(), codec=codec)
    except ValueError as error:
        raise NothingUsable(str(error)) from None


def bundle_of(architecture, weights, tokenizer, facts):
    """The `Bundle` of a model, as yet without sample and card.

    That of a model of codes carries the tokenizer's codec, and its sizes are added to
    `facts`: codes that nobody can hear would be worth nothing.
    """
    codec, carried = getattr(tokenizer, "codec", None), b""
    if isinstance(codec, CodecPlayer):
        stored = "float16" if _fits_half(codec) else "float32"
        carried = array_bytes(codec.weights, stored)
        facts["codec"] = {"sizes": asdict(codec.architecture)}
    return Bundle(architecture, weights, tokenizer.spec(), facts, codec=carried)


def tokenizer_in(bundle):
    """The tokenizer of a bundle, with the codec that the bundle carries, if any.

    Raises:
        ValueError: if it has another vocabulary than it says, or its ids are codes and
            the codec that it carries is missing, broken or another one.
    """
    if bundle.vocabulary.get("tokenizer") != CodecTokenizer.name:
        return tokenizer_from_spec(bundle.vocabulary)
    if not bundle.codec:
        raise ValueError(
            "its ids are codes, and it carries no codec.npz to hear them by"
        )
    try:
        architecture = Codec(**bundle.facts["codec"]["sizes"])
        arrays = read_arrays(bundle.codec, architecture, "codec.npz")
        codec = CodecPlayer(architecture, arrays)
    except MemoryError:
        raise ValueError("its codec.npz is too large") from None
    except Exception as error:  # a stranger's JSON, zip and arrays can fail in any way
        raise ValueError(f"its codec.npz is no codec: {error}") from None
    return tokenizer_from_spec(bundle.vocabulary, codec=codec)


def reconstruct(codec, waveform):
    """A sound through the codec and back, as long as it was, at the codec's rate.

    Returns:
        (`Waveform` of one channel, cut at full scale; int array (F, Q), its codes).
    """
    samples = at_rate(waveform, codec.sample_rate)
    codes = codec.encode(samples)
    heard = np.clip(codec.decode(codes)[: len(samples)], -1.0, 1.0)
    return Waveform(heard[:, None], codec.sample_rate, waveform.title), codes


def at_rate(waveform, sample_rate):
    """A sound's mean over its channels at a rate, within full scale: float32 (N,)."""
    mono = Waveform(waveform.mono()[:, None], waveform.sample_rate)
    samples = resample(mono, sample_rate).samples[:, 0]
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    return samples / np.float32(peak)


def kit_sounds(count, seed, sample_rate=16_000):
    """Sounds that the kit makes itself, and nobody else owns: drums and tones.

    Args:
        count: int, at least 0, of each of the two.
        seed: int, at least 0.

    Returns:
        list of (name, `Waveform`).
    """
    drums = drum_sounds(count, seed, sample_rate)
    return [*drums, *tones(PITCHES, count, seed, sample_rate=sample_rate)]


def learn_codec(architecture, plan, sounds, held_out, *, watch=None):
    """Teach a codec from sounds.

    Args:
        architecture: `Codec`. plan: `codec_training.CodecPlan`.
        sounds, held_out: lists of `Waveform`.
        watch: as for `codec_training.train_codec`.

    Returns:
        `KeptCodec`; its facts hold the plan and the history of the losses.

    Raises:
        NothingUsable: if either list holds no sample.
    """
    from audio_models.codec_training import train_codec  # loads Keras

    prepared = []
    for waveforms, told in ((sounds, "to learn from"), (held_out, "held out")):
        rate = architecture.sample_rate
        prepared.append([at_rate(waveform, rate) for waveform in waveforms])
        if not sum(map(len, prepared[-1])):
            raise NothingUsable(f"There is no sound {told}.")
    weights, history = train_codec(architecture, plan, *prepared, watch=watch)
    seconds = sum(map(len, prepared[0])) / architecture.sample_rate
    facts = {
        "plan": asdict(plan),
        "history": history,
        "sounds": len(prepared[0]),
        "seconds_of_sound": round(seconds, 1),
        "bits_per_second": architecture.bits_per_second,
    }
    return KeptCodec(CodecPlayer(architecture, weights), facts)

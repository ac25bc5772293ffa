"""A codec where files, networks and tokens meet: learnt, kept on disk, put to work.

codec.json   its sizes, and facts of the training
codec.npz    float32 arrays
card.md      for people
SHA256SUMS   of each file above
"""

import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from audio_models.bundle import LARGEST_FILE, BadBundle
from audio_models.codec import Codec, CodecPlayer
from audio_models.disk import room_for
from data_pipelines.audio import Waveform, resample
from data_pipelines.drum_sounds import drum_sounds
from data_pipelines.tokenizers.codec import CodecTokenizer
from data_pipelines.tones import tones
from studio.errors import NothingUsable

FORMAT = 1
FILES = ("codec.json", "codec.npz", "card.md")
SUMS = "SHA256SUMS"
PITCHES = range(36, 85)  # of the tones that a codec learns from: C2 to C6
LARGEST_CODEC = 2**26  # numbers in its weights


@dataclass(frozen=True)
class KeptCodec:
    """A codec and where it comes from.

    Args:
        codec: `CodecPlayer`.
        facts: dict of JSON: data, terms, figures, seed.
        card: str, Markdown.
    """

    codec: CodecPlayer
    facts: dict = field(default_factory=dict)
    card: str = ""


def save_codec(folder, kept):
    """Write a codec, whole or not at all, in the place of an older one.

    Args:
        folder: Path. kept: `KeptCodec`.

    Raises:
        ValueError: if `folder` exists and is no codec: someone else's files are not
            replaced.
        OSError: if it cannot be written; the older one still stands.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    arrays = io.BytesIO()
    weights = kept.codec.weights
    np.savez(arrays, **{k: np.asarray(v, "float32") for k, v in weights.items()})
    about = {
        "format": FORMAT,
        "sizes": asdict(kept.codec.architecture),
        "checksum": kept.codec.checksum,
        "facts": kept.facts,
    }
    text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    contents = dict(
        zip(FILES, (text.encode(), arrays.getvalue(), kept.card.encode()), strict=True)
    )
    sums = [f"{_sha256(data)}  {name}\n" for name, data in contents.items()]
    contents[SUMS] = "".join(sums).encode()
    with room_for(folder, sum(map(len, contents.values()))):
        _write_whole(folder, contents)


def load_codec(folder):
    """Open a codec: every byte checked against its sum, every size against its limits.

    Returns:
        `KeptCodec`.

    Raises:
        BadBundle: naming the file and what is wrong with it.
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such codec: {folder}")
    contents = _checked_contents(folder)
    try:
        about = json.loads(contents["codec.json"])
        if about["format"] != FORMAT:
            raise ValueError(
                f"format {about['format']!r} is not known here, only {FORMAT} is"
            )
        if not isinstance(about["facts"], dict):
            raise ValueError("its facts must be a JSON object")
        architecture = Codec(**about["sizes"])
        codec = CodecPlayer(architecture, _arrays(contents["codec.npz"], architecture))
        if codec.checksum != about["checksum"]:
            raise ValueError("its weights are not those that its checksum is of")
        return KeptCodec(codec, about["facts"], contents["card.md"].decode())
    except MemoryError:
        raise BadBundle(f"{folder} is no sound codec: it is too large") from None
    except Exception as error:  # a stranger's JSON, zip and arrays can fail in any way
        raise BadBundle(f"{folder} is no sound codec: {error}") from None


def tokenizer_of(spec, kept):
    """The tokenizer that wrote `spec`, on the codec it was written with.

    Raises:
        BadBundle: if it was another codec.
    """
    try:
        tokenizer = CodecTokenizer.from_spec(spec, kept.codec)
        same = tokenizer.spec() == spec
    except (TypeError, AttributeError):
        same = False
    except ValueError as error:
        raise BadBundle(str(error)) from None
    if not same:
        raise BadBundle("This is another vocabulary of the tokenizer 'codec'.")
    return tokenizer


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


def _arrays(data, architecture):
    # Only the names and shapes that the architecture foresees are read at all.
    expected = architecture.weights()
    numbers = sum(int(np.prod(weight.shape)) for weight in expected.values())
    if numbers > LARGEST_CODEC:
        raise ValueError(f"{numbers:,} weights; at most {LARGEST_CODEC:,} are read")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if set(arrays.files) != set(expected):
            raise ValueError("codec.npz holds other arrays than the codec has")
        limit = 4 * numbers + 1024 * len(expected)
        if sum(info.file_size for info in arrays.zip.infolist()) > limit:
            raise ValueError("codec.npz is larger than the codec")
        return {name: arrays[name].astype("float32", copy=False) for name in expected}


def _checked_contents(folder):
    contents = {name: _read_regular(folder / name) for name in (SUMS, *FILES)}
    try:
        lines = contents[SUMS].decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise BadBundle(f"{folder / SUMS} cannot be read: {error}") from None
    sums = {name: digest for digest, _, name in (x.partition("  ") for x in lines)}
    if set(sums) != set(FILES):
        raise BadBundle(f"{folder / SUMS} must name {', '.join(FILES)}.")
    for name in FILES:
        if _sha256(contents[name]) != sums[name]:
            raise BadBundle(
                f"{folder / name} is damaged: its SHA-256 is not the one in {SUMS}."
            )
    return contents


def _read_regular(path):
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
            raise BadBundle(f"{path} is no regular file, or too large.")
        return path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{path} cannot be read: {error.strerror}") from None


def _check_replaceable(folder):
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, no codec: it is left as it is.")
    names = {path.name for path in folder.iterdir()}
    if strangers := sorted(names - {*FILES, SUMS}):
        raise ValueError(
            f"{folder} holds {strangers[0]}, which is no part of a codec: "
            "the folder is left as it is."
        )


def _write_whole(folder, contents):
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in contents.items():
            with open(beside / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        beside.chmod(0o755)
        load_codec(beside)  # re-read before the old one goes
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        try:
            beside.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sha256(data):
    return hashlib.sha256(data).hexdigest()

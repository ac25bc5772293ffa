"""A trained model as a folder of JSON and arrays. Opening one runs no code.

bundle.json      architecture by name, about ten integers, facts of the training
vocabulary.json  what the token ids mean
weights.npz      float32 arrays, or float16 ones
card.md          for people
sample.mid       what it sounds like; sample.wav, of a model of sounds
codec.npz        only where the ids are codes: the codec that they are of
SHA256SUMS       of each file above
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

from audio_models import COUNTED, FILLERS, LISTENERS, MODELS
from audio_models.architecture import check_weights
from audio_models.codec import Codec
from audio_models.disk import room_for

FORMAT = 1
KINDS = {**MODELS, **FILLERS, **COUNTED, **LISTENERS, "codec": Codec}
FILES = ("bundle.json", "vocabulary.json", "weights.npz", "card.md", "sample.mid")
SOUND = "sample.wav"  # in the place of FILES[-1]
CODEC = "codec.npz"  # beside FILES, in some
LARGEST_FILE = 2**30
LARGEST_MODEL = 2**28  # numbers among its weights


class BadBundle(ValueError):
    """The folder is no bundle that can be opened; the message says why."""


@dataclass(frozen=True)
class Bundle:
    """A model, the meaning of its ids, and where it comes from.

    Args:
        architecture: one of `KINDS`, built.
        weights: dict of name -> float32 array.
        vocabulary: dict, a tokenizer's spec.
        facts: dict of JSON: data, terms, figures, seed, defaults for composing.
        card: str, Markdown.
        sample: bytes of a MIDI file, or of a WAV file.
        codec: bytes, carried as they are: whoever reads the ids knows what they hold.
    """

    architecture: object
    weights: dict
    vocabulary: dict
    facts: dict = field(default_factory=dict)
    card: str = ""
    sample: bytes = b""
    codec: bytes = b""

    @property
    def model_name(self):
        return next(n for n, kind in KINDS.items() if kind is type(self.architecture))

    @property
    def sample_name(self):
        """The name of the sample's file: a WAV file says what it is."""
        return SOUND if self.sample[:4] == b"RIFF" else FILES[-1]


def halved(weights):
    """The same weights rounded to 16 bits: what a bundle saved with ``half`` holds.

    Args:
        weights: dict of name -> array. The copies are float32 still.
    """
    return {
        name: np.asarray(array, "float16").astype("float32")
        for name, array in weights.items()
    }


def save_bundle(folder, bundle, *, half=False):
    """Write a bundle, whole or not at all, in the place of an older one.

    Args:
        folder: Path. bundle: `Bundle`.
        half: bool, whether each weight is stored in 16 bits: half the size. Give it
            weights that are `halved` already, so that what is told of them stays true.

    Raises:
        ValueError: if a weight is missing, misshapen or not finite, or if `folder`
            exists and is no bundle: someone else's files are not replaced.
        OSError: if it cannot be written; the older bundle still stands.
    """
    folder = Path(folder)
    _check(bundle.architecture, bundle.weights)
    check_replaceable(folder)
    about = {
        "format": FORMAT,
        "model": bundle.model_name,
        "sizes": asdict(bundle.architecture),
        "facts": bundle.facts,
    }
    contents = {
        "bundle.json": _json_bytes(about),
        "vocabulary.json": _json_bytes(bundle.vocabulary),
        "weights.npz": array_bytes(bundle.weights, "float16" if half else "float32"),
        "card.md": bundle.card.encode(),
        bundle.sample_name: bundle.sample,
    }
    if bundle.codec:
        contents[CODEC] = bundle.codec
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        for name, data in contents.items()
    )
    contents["SHA256SUMS"] = sums.encode()
    with room_for(folder, sum(map(len, contents.values()))):
        _write_whole(folder, contents)


def _write_whole(folder, contents):
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, data in contents.items():
            with open(beside / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        beside.chmod(0o755)
        load_bundle(beside)  # re-read before the old one goes
        _exchange(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_replaceable(folder):
    """Raise ValueError if `folder` holds anything that is no file of a bundle."""
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file, no bundle: it is left as it is.")
    names = {path.name for path in folder.iterdir()}
    if strangers := sorted(names - {*FILES, SOUND, CODEC, "SHA256SUMS"}):
        raise ValueError(
            f"{folder} holds {strangers[0]}, which is no part of a bundle: "
            "the folder is left as it is."
        )


def _exchange(new, folder):
    if not folder.exists():
        new.rename(folder)
        return
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def load_bundle(folder):
    """Open a bundle: every byte checked against its sum, every size against its limits.

    Raises:
        BadBundle: naming the file and what is wrong with it.
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such bundle: {folder}")
    contents = _checked_contents(folder)
    try:
        about = json.loads(contents["bundle.json"])
        vocabulary = json.loads(contents["vocabulary.json"])
        if about["format"] != FORMAT:
            raise BadBundle(
                f"{folder}: format {about['format']!r} is not known here, "
                f"only {FORMAT} is."
            )
        if about["model"] not in KINDS:
            raise BadBundle(
                f"{folder}: no model is called {about['model']!r}. "
                f"Known: {', '.join(KINDS)}."
            )
        architecture = KINDS[about["model"]](**about["sizes"])
        if not isinstance(vocabulary, dict) or not isinstance(about["facts"], dict):
            raise BadBundle(f"{folder}: vocabulary and facts must be JSON objects.")
        weights = read_arrays(contents["weights.npz"], architecture)
        _check(architecture, weights)
        return Bundle(
            architecture,
            weights,
            vocabulary,
            about["facts"],
            contents["card.md"].decode(),
            contents.get(SOUND) or contents.get(FILES[-1], b""),
            contents.get(CODEC, b""),
        )
    except BadBundle:
        raise
    except MemoryError:
        raise BadBundle(f"{folder} is no sound bundle: it is too large") from None
    except Exception as error:  # a stranger's JSON, zip and arrays can fail in any way
        raise BadBundle(f"{folder} is no sound bundle: {error}") from None


def _check(architecture, weights):
    check_weights(architecture, weights)
    if hasattr(architecture, "check"):  # weights that not every number fits
        architecture.check(weights)


def array_bytes(weights, stored="float32"):
    """Weights as the bytes of an .npz file, each number stored in the type named."""
    arrays = io.BytesIO()
    np.savez(arrays, **{k: np.asarray(v, stored) for k, v in weights.items()})
    return arrays.getvalue()


def read_arrays(data, architecture, name="weights.npz"):
    """The weights in the bytes of an .npz file, which may be a stranger's.

    Only the names that the architecture foresees are read at all, and no more numbers.

    Raises:
        ValueError, or whatever else broken bytes raise in NumPy.
    """
    expected = architecture.weights()
    numbers = sum(int(np.prod(weight.shape)) for weight in expected.values())
    if numbers > LARGEST_MODEL:
        raise ValueError(f"{numbers:,} weights; at most {LARGEST_MODEL:,} are read")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if set(arrays.files) != set(expected):
            raise ValueError(f"{name} holds other arrays than the model has")
        limit = 4 * numbers + 1024 * len(expected)
        if sum(info.file_size for info in arrays.zip.infolist()) > limit:
            raise ValueError(f"{name} is larger than the model")
        return {key: arrays[key].astype("float32", copy=False) for key in expected}


def _checked_contents(folder):
    sums = {}
    try:
        if not stat.S_ISREG((folder / "SHA256SUMS").lstat().st_mode):
            raise BadBundle(f"{folder / 'SHA256SUMS'} is no regular file.")
        lines = (folder / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadBundle(f"{folder / 'SHA256SUMS'} cannot be read: {error}") from None
    for line in lines:
        digest, _, name = line.partition("  ")
        sums[name] = digest
    names = (*FILES[:-1], SOUND) if SOUND in sums else FILES
    names = (*names, CODEC) if CODEC in sums else names
    if set(sums) != set(names):
        raise BadBundle(f"{folder / 'SHA256SUMS'} must name {', '.join(FILES)}.")
    contents = {}
    for name in names:
        path = folder / name
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_FILE:
                raise BadBundle(f"{path} is no regular file, or too large.")
            data = path.read_bytes()
        except OSError as error:
            raise BadBundle(f"{path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != sums[name]:
            raise BadBundle(
                f"{path} is damaged: its SHA-256 is not the one in SHA256SUMS."
            )
        contents[name] = data
    return contents


def _json_bytes(value):
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()

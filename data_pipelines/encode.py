"""One file -> the tokens of its pieces, and what has to be known of each.

This is the part of preparing a corpus that looks at one file alone, so that it can run
in a worker process, or on another machine.
"""

import hashlib
import json
import re
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath

import numpy as np

from data_pipelines import kinship
from data_pipelines.barlines import with_found_bars
from data_pipelines.guard import Refused, read_file
from data_pipelines.measures import key_in_words, repeated_bars
from data_pipelines.parts import with_parts_apart
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import pick_melody
from data_pipelines.tokenizers.sixteenths import to_steps
from data_pipelines.tokenizers.wave import MOST_CLASSES, UnknownClass

SAME = ("notes", "tune", "nothing")
BARS = ("written", "found")
PARTS = ("together", "apart")
SPLIT_FOLDERS = ("train", "valid", "test")  # of these names, a folder is no class
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".aiff", ".aif", ".rf64", ".w64")
FEWEST_OF_A_PREFIX = 3  # files; else what names begin with is no class


@dataclass(frozen=True)
class EncodedPiece:
    """A piece in tokens.

    ``digest`` is the same for the same music, ``whole`` and ``prints`` are what kin is
    found by, ``given`` the split that the file itself assigns, ``facts`` and ``cost``
    go into the report.
    """

    ids: np.ndarray
    digest: bytes
    whole: int
    prints: np.ndarray
    given: str
    facts: dict
    cost: dict


@dataclass(frozen=True)
class EncodedFile:
    """The pieces of a file, and a sentence for each that had to be left out."""

    pieces: tuple[EncodedPiece, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """Reads a file and encodes its pieces: ``encoder(path) -> EncodedFile``.

    Args:
        spec: str, JSON, a tokenizer's spec.
        same: str, one of `SAME`: what makes two pieces one. "notes": the same notes;
            "tune": also in another key, or in notes twice as long; "nothing" keeps all.
        bars: str, one of `BARS`. "found": see `barlines`.
        parts: str, one of `PARTS`. "apart": see `parts`.
        codec: that of a tokenizer of codes, see `tokenizers.codec`; it goes along to the
            workers.
    """

    spec: str
    same: str = "notes"
    bars: str = "written"
    parts: str = "together"
    codec: object = None

    def __call__(self, path):
        tokenizer = _tokenizer(self.spec, self.codec)
        reading = read_file(path, kind=tokenizer.takes)
        if classes := getattr(tokenizer, "classes", ()):
            label = label_of(path, classes)
            labelled = tuple(replace(sound, label=label) for sound in reading.contents)
            reading = replace(reading, contents=labelled)
        return self.encode(reading)

    def encode(self, reading):
        """The `EncodedFile` of a `Reading`.

        Raises:
            Refused: if the tokenizer can take none of its pieces.
        """
        if isinstance(reading, Refused):
            raise reading
        tokenizer = _tokenizer(self.spec, self.codec)
        pieces, left_out = [], list(reading.left_out)
        splits = reading.splits or ("",) * len(reading.contents)
        many = len(reading.contents) > 1
        for number, (content, given) in enumerate(
            zip(reading.contents, splits, strict=True), 1
        ):
            reason = "no beat"
            try:
                content = self._mended(content)
                reason = "no notes"
                ids, cost = tokenizer.encode_measured(content)
            except ValueError as error:
                if isinstance(error, UnknownClass):
                    reason = "other kind"
                if not many:
                    raise Refused(reason, str(error)) from None
                left_out.append(f"piece {number}: {error}")
                continue
            classes = bool(getattr(tokenizer, "classes", ()))
            described = describe(content, ids, same=self.same, has_class=classes)
            pieces.append(
                EncodedPiece(ids, *described[:3], given, described[3], cost.to_json())
            )
        if not pieces:
            raise Refused("no notes", left_out[0] if left_out else "no piece in it")
        return EncodedFile(tuple(pieces), tuple(left_out))

    def _mended(self, content):
        if not hasattr(content, "notes"):
            return content
        if self.bars == "found":
            content = with_found_bars(content)
        return with_parts_apart(content) if self.parts == "apart" else content


@lru_cache(maxsize=4)
def _tokenizer(spec, codec):
    return tokenizer_from_spec(json.loads(spec), codec=codec)


def describe(content, ids, *, same="notes", has_class=False):
    """(digest, whole print, fingerprints, facts) of a `Score`, `Text` or `Waveform`.

    With `has_class`, the second id names a class: the same sound under two of them is
    two pieces, and kin, so that both are in one split.
    """
    if hasattr(content, "notes"):
        steps = np.diff(skyline(content))
        digest = bytes.fromhex(
            kinship.content_digest(content, invariant=same == "tune")
        )
        facts = score_facts(content)
    else:
        steps = _words(content.text) if hasattr(content, "text") else ids[:0]
        digest = _ids_digest(ids)
        facts = {}
    prints = kinship.fingerprints(steps)
    # What has no steps to compare, a drum beat or a sound, is kin to its copies alone.
    alike = _ids_digest(ids[2:]) if has_class else digest
    whole = kinship.whole_print(steps if len(steps) else np.frombuffer(alike, "u1"))
    return digest[: kinship.DIGEST_BYTES], whole, prints, facts


def _ids_digest(ids):
    return hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()


def label_of(path, classes):
    """The class that a sound's place and name say it is of.

    Args:
        path: str or Path of its file.
        classes: sequence of names.

    Returns:
        str: its folder's name if that is a class (of a folder called train, valid or
        test, the one around it); else the class that its own name begins with, up to
        an underscore, a hyphen, a blank, a digit or the end, the longest of several;
        "" if there is none.

    Example:
    >>> label_of("drums/train/kick/01.wav", ("kick", "snare"))
    'kick'
    >>> label_of("7_jackson_32.wav", ("7", "8"))
    '7'
    """
    path = PurePath(path)
    folder = _class_folder(path)
    if folder in classes:
        return folder
    begins = [name for name in classes if _begins(path.stem, name)]
    return max(begins, key=len, default="")


def classes_in(names):
    """The classes that the names of a folder's sounds show.

    Folders are classes if there are at least two of them, those called train, valid or
    test aside. Else the beginnings of the names are, up to the first underscore or
    hyphen, or up to the first digit, if each is that of at least three files.

    Args:
        names: iterable of str or Path, relative to the folder, as `guard.walk_names`
            yields. What has not the suffix of a sound is passed over.

    Returns:
        tuple of str, sorted; empty if there are fewer than two classes, or over 1,000.

    Example:
    >>> classes_in(["kick/a.wav", "snare/a.wav", "notes.txt"])
    ('kick', 'snare')
    >>> classes_in(f"{digit}_ann_{take}.wav" for digit in "012" for take in "abc")
    ('0', '1', '2')
    """
    paths = [PurePath(name) for name in names]
    paths = [path for path in paths if path.suffix.lower() in SOUND_SUFFIXES]
    folders = {_class_folder(path) for path in paths} - {""}
    if len(folders) >= 2:
        return tuple(sorted(folders)) if len(folders) <= MOST_CLASSES else ()
    for pattern in (r"[^_-]+", r"[^_\-\d]+|\d+"):
        found = [re.match(pattern, path.stem) for path in paths]
        counts = Counter(match and match.group().strip() for match in found)
        is_told = None not in counts and "" not in counts
        enough = min(counts.values(), default=0) >= FEWEST_OF_A_PREFIX
        if is_told and enough and 2 <= len(counts) <= MOST_CLASSES:
            return tuple(sorted(counts))
    return ()


def _class_folder(path):
    """The name of the folder that may say what is in it; "" if none does."""
    folders = [name for name in path.parts[:-1] if name not in SPLIT_FOLDERS]
    return folders[-1] if folders else ""


def _begins(stem, name):
    """Whether a file's name begins with a class's, as a word of its own."""
    if not stem.startswith(name):
        return False
    rest = stem[len(name) :]
    # After a digit another one would be another number.
    return (
        not rest or rest[0] in "_- " or (rest[0].isdigit() and not name[-1].isdigit())
    )


def skyline(score):
    """The pitches of the tune, int64 (N,): what kin is found by.

    The highest note that begins in each sixteenth of the track that carries the melody.
    Chords that are not quite together, loudness, tempo and note lengths do not count;
    of drums alone, what is struck, in order.
    """
    try:
        notes = score.track_notes(pick_melody(score)[0])
    except ValueError:
        return score.notes["pitch"].astype(np.int64)
    step = to_steps(notes["start"], score.ticks_per_quarter)  # in order of start
    first = np.flatnonzero(np.diff(step, prepend=-1))
    return np.maximum.reduceat(notes["pitch"].astype(np.int64), first)


def _words(text):
    return np.array([zlib.crc32(word.encode()) for word in text.lower().split()])


def score_facts(score):
    """What is added up over a corpus: length, metre, tempo, key, repetition."""
    repeated, counted = repeated_bars(score)
    return {
        "notes": len(score),
        "seconds": round(score.length_seconds, 3),
        "metre": str(score.metre) if score.metres else None,
        "qpm": round(score.qpm, 3) if score.tempos else None,
        "key": key_in_words(score),
        "repeated_bars": repeated,
        "counted_bars": counted,
    }

"""One file -> the tokens of its pieces, and what has to be known of each.

This is the part of preparing a corpus that looks at one file alone, so that it can run
in a worker process, or on another machine.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_pipelines import kinship
from data_pipelines.barlines import with_found_bars
from data_pipelines.guard import Refused, read_file
from data_pipelines.measures import key_in_words, repeated_bars
from data_pipelines.parts import with_parts_apart
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import pick_melody
from data_pipelines.tokenizers.sixteenths import to_steps

SAME = ("notes", "tune", "nothing")
BARS = ("written", "found")
PARTS = ("together", "apart")


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
    """

    spec: str
    same: str = "notes"
    bars: str = "written"
    parts: str = "together"

    def __call__(self, path):
        return self.encode(read_file(path, kind=_tokenizer(self.spec).takes))

    def encode(self, reading):
        """The `EncodedFile` of a `Reading`.

        Raises:
            Refused: if the tokenizer can take none of its pieces.
        """
        if isinstance(reading, Refused):
            raise reading
        tokenizer = _tokenizer(self.spec)
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
                if not many:
                    raise Refused(reason, str(error)) from None
                left_out.append(f"piece {number}: {error}")
                continue
            described = describe(content, ids, same=self.same)
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
def _tokenizer(spec):
    return tokenizer_from_spec(json.loads(spec))


def describe(content, ids, *, same="notes"):
    """(digest, whole print, fingerprints, facts) of a `Score`, `Text` or `Waveform`."""
    if hasattr(content, "notes"):
        steps = np.diff(skyline(content))
        digest = bytes.fromhex(
            kinship.content_digest(content, invariant=same == "tune")
        )
        facts = score_facts(content)
    else:
        steps = _words(content.text) if hasattr(content, "text") else ids[:0]
        digest = hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()
        facts = {}
    prints = kinship.fingerprints(steps)
    # What has no steps to compare, a drum beat or a sound, is kin to its copies alone.
    whole = kinship.whole_print(steps if len(steps) else np.frombuffer(digest, "u1"))
    return digest[: kinship.DIGEST_BYTES], whole, prints, facts


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

"""What a person asks of a composition, and whether that can be."""

import re
from dataclasses import dataclass

import numpy as np

from data_pipelines.measures import TONICS, key_name
from data_pipelines.tokenizers.melody import MelodyTokenizer

TAKES = 8
DEFAULT_BARS = 16
MOST_BARS = 256
OPTION_NAMES = {
    "qpm": "tempo",
    "program": "instrument",
    "pitch_range": "range",
}  # as people say it
RANGES = {
    "bars": (1, MOST_BARS),
    "seconds": (1, 3600),
    "takes": (1, 64),
    "temperature": (0, 10),
    "seed": (0, 2**63 - 1),
    "top_k": (1, 65_536),
    "min_p": (0, 1),
    "repetition": (0.1, 10),
    "qpm": (20, 400),
    "program": (0, 127),
    "density": (0.1, 48),
}
SCALE = (0, 2, 4, 5, 7, 9, 11)  # of a major key, semitones over its tonic
MINOR_SCALE = (0, 2, 3, 5, 7, 8, 9, 10, 11)  # sixth and seventh natural or raised
LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"#": 1, "♯": 1, "b": -1, "♭": -1}


@dataclass(frozen=True)
class Wish:
    """What a person asks of a composition. None leaves it to the bundle.

    Args:
        bars: int, how long. seconds: float or None, how long instead.
        seed: int. temperature, top_k, top_p, min_p, repetition: as for
            `audio_models.request.Request`.
        metre: str, as "6/8". key: str, as "D", "F# minor", "Bbm".
        qpm: float, quarter notes a minute. program: int, General MIDI.
        density: float, notes a bar in each voice.
        pitch_range: str, as "C4:A5", the lowest and highest note (of the top voice).
        takes: int, how many are drawn to choose from.
    """

    bars: int = DEFAULT_BARS
    seed: int = 0
    temperature: float = 0.9
    top_k: int | None = None
    top_p: float = 0.95
    min_p: float = 0.0
    repetition: float = 1.0
    metre: str | None = None
    qpm: float | None = None
    program: int | None = None
    takes: int = TAKES
    seconds: float | None = None
    key: str | None = None
    density: float | None = None
    pitch_range: str | None = None


def wish_of(options):
    """A `Wish` of the options that were given; those left open are None.

    Raises:
        ValueError: if two of them exclude each other.
    """
    if options.get("bars") is not None and options.get("seconds") is not None:
        raise ValueError(
            "Give `bars` or `seconds`, not both. "
            f"Received: {options['bars']} and {options['seconds']}"
        )
    return Wish(**{name: value for name, value in options.items() if value is not None})


def check_ranges(asked, **more):
    """Raise ValueError if a number that is asked for lies outside its range, naming it.

    Args:
        asked: any object with some of the fields of `RANGES`; None leaves one open.
        more: name -> (lowest, highest) of further fields.
    """
    for name, (low, high) in {**RANGES, **more}.items():
        value = getattr(asked, name, None)
        if value is not None and not low <= value <= high:
            told = OPTION_NAMES.get(name, name)
            raise ValueError(f"`{told}` must be in {low}..{high}. Received: {value}")
    if not 0 < asked.top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]. Received: {asked.top_p}")


def check_wish(wish):
    """Raise ValueError if a wish lies outside its range, naming it."""
    check_ranges(wish)
    if wish.metre is not None:
        MelodyTokenizer().metre_id(wish.metre)
    if wish.key is not None:
        parse_key(wish.key)
    if wish.pitch_range is not None:
        parse_range(wish.pitch_range)


def parse_key(text):
    """A key as people write it: (sharps, is_minor).

    Example:
    >>> parse_key("D"), parse_key("F# minor"), parse_key("Bbm"), parse_key("e")
    ((2, False), (3, True), (-5, True), (1, True))

    Raises:
        ValueError: if it is none.
    """
    found = re.fullmatch(
        r"\s*([A-Ga-g])\s*([#b♯♭]?)\s*(maj|major|dur|M|min|minor|moll|m)?\.?\s*", text
    )
    if not found:
        raise ValueError(
            f"`key` must be a tonic and a mode, as D, F# minor or Bbm. Received: {text!r}"
        )
    letter, accidental, mode = found.groups()
    is_minor = (
        letter.islower() if mode is None else mode in ("m", "min", "minor", "moll")
    )
    tonic = LETTERS[letter.upper()] + ACCIDENTALS.get(accidental, 0)
    name = letter.upper() + {"♯": "#", "♭": "b"}.get(accidental, accidental or "")
    sharps = TONICS.index(name) - (11 if is_minor else 8) if name in TONICS else 99
    if not -7 <= sharps <= 7:  # a key that no signature writes: its neighbour by name
        sharps = ((tonic + (3 if is_minor else 0)) * 7 + 5) % 12 - 5
    return sharps, is_minor


def scale_of(sharps, is_minor):
    """The pitch classes of a key, as a bool array (12,), and its tonic."""
    tonic = (sharps * 7 + (9 if is_minor else 0)) % 12
    steps = MINOR_SCALE if is_minor else SCALE
    classes = np.zeros(12, dtype=bool)
    classes[(np.array(steps) + tonic) % 12] = True
    return classes, tonic


def parse_range(text):
    """Two notes with a colon, as C4:A5 or 60:81: (lowest, highest) MIDI pitch.

    Raises:
        ValueError: if it is none, or narrower than an octave.
    """
    ends = [_parse_pitch(part) for part in text.replace("..", ":").split(":")]
    if len(ends) != 2 or None in ends:
        raise ValueError(
            "`range` must be the lowest and the highest note, as C4:A5 or 60:81. "
            f"Received: {text!r}"
        )
    low, high = ends
    if high - low < 12:
        raise ValueError(f"`range` must span an octave at least. Received: {text!r}")
    return low, high


def _parse_pitch(text):
    text = text.strip()
    found = re.fullmatch(r"([A-Ga-g])([#b♯♭]?)(-?\d)", text)
    if found:
        letter, accidental, octave = found.groups()
        pitch = LETTERS[letter.upper()] + ACCIDENTALS.get(accidental, 0)
        pitch += 12 * (int(octave) + 1)
    elif text.isdigit():
        pitch = int(text)
    else:
        return None
    return pitch if 0 <= pitch <= 127 else None


def key_text(text):
    """The name of a key as people wrote it."""
    return key_name(*parse_key(text))

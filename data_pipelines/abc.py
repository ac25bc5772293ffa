"""ABC notation: many tunes a file, each a `Score`. `abc_writer` goes the other way.

Repeats are read as written, not unfolded: `|: A :|` gives A once. Grace notes, chord
symbols, lyrics and decorations are left out; voices become tracks.

Reference:
    The ABC music standard 2.1, https://abcnotation.com/wiki/abc:standard:v2.1.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from data_pipelines.score import (
    FASTEST_QPM,
    SLOWEST_QPM,
    Key,
    Metre,
    Score,
    Tempo,
    Track,
    notes_array,
)

TICKS_PER_QUARTER = 480
_WHOLE = 4 * TICKS_PER_QUARTER  # ticks
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_SHARP_ORDER = "FCGDAEB"
_MODES = {
    "maj": 0, "ion": 0, "mix": -1, "dor": -2, "m": -3, "min": -3, "aeo": -3,
    "phr": -4, "loc": -5, "lyd": 1,
}  # fmt: skip
_TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}  # p notes in the time of q
_LONGEST_NOTE = 64  # whole notes

# Brackets are closed within 256 characters: a line of open ones would be searched to
# its end from each.
_TUNE = re.compile(r"^X:", re.M)
_FIELD = re.compile(r"^([A-Za-z+]):(.*)$")
_ITEM = re.compile(
    r"""
    (?P<chord_symbol>"[^"\n]*"?)
  | (?P<decoration>![^!\n|]*!|\+[^+\n|]*\+)
  | (?P<grace>\{[^}\n]*\}?)
  | (?P<inline>\[[A-Za-z]:[^\]\n]{0,256}\])
  | (?P<bar>\[\||\|\]|[:|]*\|[:|]*\]?|::+)
  | (?P<ending>\[\s*[1-9][0-9,\-]*)
  | (?P<tuplet>\([2-9](?::[0-9]*){0,2})
  | (?P<chord>\[[^\]\n]{0,256}\])(?P<chord_length>[0-9]*/*[0-9]*)
  | (?P<accidental>\^{1,2}|_{1,2}|=)?(?P<letter>[A-Ga-g])(?P<octave>[',]*)
        (?P<length>[0-9]*/*[0-9]*)
  | (?P<rest>[zxZX])(?P<rest_length>[0-9]*/*[0-9]*)
  | (?P<tie>-)
  | (?P<broken>>+|<+)
  | (?P<overlay>&)
  """,
    re.X,
)
_CHORD_NOTE = re.compile(
    r"(\^{1,2}|_{1,2}|=)?([A-Ga-g])([',]*)([0-9]*/*[0-9]*)(-?)", re.X
)


class BadAbc(ValueError):
    """The tune cannot be read; the message says why."""


def split_tunes(text):
    """The tunes of an ABC file, each from its ``X:`` on, the file's header before it.

    Args:
        text: str.

    Returns:
        list of str.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    starts = [match.start() for match in _TUNE.finditer(text)]
    if not starts:
        return []
    fields = {  # each tune gets them: a field counts once, and no book stands in it
        line[0]: line + "\n"
        for line in text[: starts[0]].split("\n")
        if _FIELD.match(line) and line[0] in "LMQ" and len(line) <= 256
    }
    header = "".join(fields.values())
    ends = [*starts[1:], len(text)]
    tunes = []
    for start, end in zip(starts, ends, strict=True):
        first, _, rest = text[start:end].partition("\n")
        tunes.append(f"{first}\n{header}{rest}")
    return tunes


def parse_tune(text):
    """Read one tune.

    Args:
        text: str, from its ``X:`` line on.

    Returns:
        `Score`: a track for each voice that sounds, 480 ticks to the quarter. A short
        first bar (a pickup) stands at the end of a whole bar.

    Raises:
        BadAbc: if there is no ``K:`` field, no note, or a length that cannot be.
    """
    tune = _Tune()
    for line in text.split("\n"):
        if line.startswith("%"):
            continue
        line = re.sub(r"(?<!\\)%.*", "", line).rstrip()
        if tune.in_body and not line:
            break  # an empty line ends the tune
        match = _FIELD.match(line)
        if match:
            tune.read_field(match[1], match[2].strip())
        elif tune.in_body:
            tune.read_music(line.rstrip("\\"))
    if not tune.in_body:
        raise BadAbc("the tune has no K: field")
    return tune.score()


@dataclass
class _Voice:
    """Where one voice stands: its notes so far, its time, what the bar remembers."""

    name: str
    rows: list = field(default_factory=list)  # [start, duration, pitch], in ticks
    now: Fraction = Fraction(0)
    bar_start: Fraction = Fraction(0)
    accidentals: dict = field(default_factory=dict)  # letter and octave -> semitones
    last: list = field(default_factory=list)  # rows of the last note or chord
    last_length: Fraction = Fraction(0)  # its length; 0: no broken rhythm can follow
    tied: dict = field(default_factory=dict)  # pitch -> row
    pending: Fraction | None = None  # what a broken rhythm owes the next note
    tuplet: tuple = (0, Fraction(1))  # notes left, factor of their length
    is_overlay: bool = False
    first_bar: Fraction | None = None  # length of the first bar


class _Tune:
    def __init__(self):
        self.in_body = False
        self.title = ""
        self.metre = (4, 4)
        self.unit = None  # of lengths, in whole notes
        self.signature = {}
        self.metres, self.keys, self.tempos = {}, {}, {}
        self.voices = {}
        self.voice = None

    def read_field(self, name, value):
        if name == "T" and not self.title:
            self.title = re.sub(r"\\([%&\\])", r"\1", value)
        elif name == "M":
            self.read_metre(value)
        elif name == "L":
            self.unit = _fraction(value) or self.unit
        elif name == "Q":
            self.read_tempo(value)
        elif name == "K":
            self.read_key(value)
        elif name == "V":
            self.read_voice(value)

    def now(self):
        return self.voice.now if self.voice else Fraction(0)

    def read_metre(self, value):
        value = value.strip()
        named = {"C": (4, 4), "C|": (2, 2)}
        match = re.match(r"\(?([0-9+ ]+)\)?\s*/\s*([0-9]+)", value)
        if value in named:
            self.metre = named[value]
        elif match:
            beats = sum(int(n) for n in re.findall(r"[0-9]+", match[1]))
            if not (1 <= beats <= 64 and 1 <= int(match[2]) <= 64):
                raise BadAbc(f"the metre {value!r} cannot be")
            self.metre = (beats, int(match[2]))
        else:
            return  # M:none
        self.metres[self.now()] = self.metre

    def read_tempo(self, value):
        value = re.sub(r'"[^"]*"', "", value).strip()
        match = re.match(r"((?:[0-9]+/[0-9]+\s*)*)=?\s*([0-9]+(?:\.[0-9]+)?)$", value)
        if not match:
            return
        beats = [Fraction(b) for b in re.findall(r"[0-9]+/[1-9][0-9]*", match[1])]
        beat = sum(beats, Fraction(0)) or self.length_unit()
        qpm = float(match[2]) * float(beat) * 4
        if SLOWEST_QPM <= qpm <= FASTEST_QPM:
            self.tempos[self.now()] = qpm

    def read_key(self, value):
        self.in_body = True
        match = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", value)
        if value.startswith(("HP", "Hp")):
            fifths, is_minor = 2, False
        elif match:
            mode = match[3].lower()
            shift = _MODES.get(mode[:3], _MODES.get(mode) if mode == "m" else 0) or 0
            fifths = _FIFTHS[match[1]] + {"#": 7, "b": -7, "": 0}[match[2]] + shift
            is_minor = mode == "m" or mode[:3] in ("min", "aeo")
        else:
            fifths, is_minor = 0, False  # K:none, K:clef=treble
        self.signature = _signature(fifths)
        for sign, letter in re.findall(r"(\^{1,2}|_{1,2}|=)([A-Ga-g])", value):
            self.signature[letter.upper()] = _alteration(sign)
        if -7 <= fifths <= 7:
            self.keys[self.now()] = (fifths, is_minor)
        if self.voice is None:
            self.read_voice("1")

    def read_voice(self, value):
        name = value.split()[0] if value.split() else "1"
        if name not in self.voices:
            self.voices[name] = _Voice(name)
        self.voice = self.voices[name]

    def length_unit(self):
        if self.unit is None:
            beats, beat_unit = self.metre
            return (
                Fraction(1, 16) if Fraction(beats, beat_unit) < 0.75 else Fraction(1, 8)
            )
        return self.unit

    def read_music(self, line):
        place = 0
        while place < len(line):
            match = _ITEM.match(line, place)
            if not match:
                place += 1  # a space, a slur, a decoration of one letter
                continue
            place = max(match.end(), place + 1)
            self.read_item(match)

    def read_item(self, match):
        voice = self.voice
        kind = match.lastgroup
        if match["inline"]:
            self.read_field(match["inline"][1], match["inline"][3:-1].strip())
        elif match["bar"]:
            self.read_bar(voice)
        elif match["overlay"]:
            voice.is_overlay = True
        elif voice.is_overlay:
            return
        elif match["tuplet"]:
            voice.tuplet = _tuplet(match["tuplet"], self.metre)
        elif match["broken"]:
            self.read_broken(voice, match["broken"])
        elif kind == "tie":
            self.read_tie(voice)
        elif match["letter"]:
            pitch = self.pitch(
                voice, match["accidental"], match["letter"], match["octave"]
            )
            self.sound(voice, [(pitch, False)], match["length"])
        elif match["chord"]:
            self.read_chord(voice, match["chord"], match["chord_length"])
        elif match["rest"]:
            self.read_rest(voice, match["rest"], match["rest_length"])

    def read_bar(self, voice):
        if voice.now > voice.bar_start and voice.first_bar is None:
            voice.first_bar = voice.now
        voice.bar_start = voice.now
        voice.accidentals = {}
        voice.is_overlay = False
        voice.tuplet = (0, Fraction(1))

    def read_chord(self, voice, text, length):
        notes = []
        first_length = ""
        for sign, letter, octave, own_length, tie in _CHORD_NOTE.findall(text):
            first_length = first_length or own_length
            notes.append((self.pitch(voice, sign, letter, octave), bool(tie)))
        if notes:
            inner = _multiple(first_length)
            self.sound(voice, notes, length, inner)

    def read_rest(self, voice, letter, length):
        if letter in "ZX":
            bars = Fraction(*self.metre) * _multiple(length)
            voice.now += _checked(bars * _WHOLE)
            voice.last, voice.last_length = [], Fraction(0)
            return
        self.sound(voice, [], length)

    def read_broken(self, voice, arrows):
        """``a>b``: a is dotted, b halved; ``<`` the other way round."""
        if not voice.last_length:
            return
        halves = Fraction(1, 2 ** min(len(arrows), 6))
        grows = arrows[0] == ">"
        factor = (2 - halves) if grows else halves
        change = voice.last_length * (factor - 1)
        for row in voice.last:
            row[1] += change
        voice.now += change
        voice.pending = halves if grows else 2 - halves
        voice.last_length = Fraction(0)

    def read_tie(self, voice):
        voice.tied = {row[2]: row for row in voice.last}

    def pitch(self, voice, sign, letter, octave):
        """The MIDI pitch, by accidental, the bar's memory, or the key."""
        name = letter.upper()
        height = 5 + letter.islower() + octave.count("'") - octave.count(",")
        if sign:
            voice.accidentals[name, height] = _alteration(sign)
        altered = voice.accidentals.get((name, height), self.signature.get(name, 0))
        pitch = 12 * height + _SEMITONES[name] + altered
        if not 0 <= pitch <= 127:
            raise BadAbc(f"the note {letter}{octave} lies outside MIDI's 0..127")
        return pitch

    def sound(self, voice, notes, length, inner=Fraction(1)):
        """Strike notes of one length, or rest if there are none."""
        duration = self.length_unit() * _multiple(length) * inner * _WHOLE
        left, factor = voice.tuplet
        if left:
            duration *= factor
            voice.tuplet = (left - 1, factor if left > 1 else Fraction(1))
        if voice.pending is not None:
            duration, voice.pending = duration * voice.pending, None
        duration = _checked(duration)
        tied, voice.tied = voice.tied, {}
        voice.last = []
        for pitch, is_tied in notes:
            if pitch in tied:
                row = tied[pitch]
                row[1] += duration
            else:
                row = [voice.now, duration, pitch]
                voice.rows.append(row)
            voice.last.append(row)
            if is_tied:
                voice.tied[pitch] = row
        voice.now += duration
        voice.last_length = duration

    def score(self):
        sounding = [voice for voice in self.voices.values() if voice.rows]
        if not sounding:
            raise BadAbc("the tune has no note")
        shift = self.pickup_shift(sounding[0])
        columns = [
            _columns(voice.rows, shift, track) for track, voice in enumerate(sounding)
        ]

        def placed(changes):
            for time, value in sorted(changes.items()):
                yield (round(time + shift) if time else 0), value

        tempos = tuple(Tempo(tick, qpm) for tick, qpm in placed(self.tempos))
        metres = tuple(Metre(tick, *metre) for tick, metre in placed(self.metres))
        keys = tuple(Key(tick, *key) for tick, key in placed(self.keys))
        names = [v.name if len(sounding) > 1 else "Melody" for v in sounding]
        return Score(
            np.concatenate(columns),
            TICKS_PER_QUARTER,
            tuple(Track(name) for name in names),
            tempos=tempos,
            metres=metres,
            keys=keys,
            title=self.title,
        )

    def pickup_shift(self, voice):
        metre = self.metres[min(self.metres)] if self.metres else self.metre
        bar = Fraction(*metre) * _WHOLE
        first = voice.first_bar
        is_only_bar = first is None or first == voice.now
        return bar - first if not is_only_bar and first < bar else Fraction(0)


def _columns(rows, shift, track):
    start = [round(row[0] + shift) for row in rows]
    end = [round(row[0] + row[1] + shift) for row in rows]
    duration = np.maximum(1, np.array(end) - np.array(start))
    return notes_array(start, duration, [row[2] for row in rows], 80, track)


def _checked(duration):
    if not 0 <= duration <= _LONGEST_NOTE * _WHOLE:
        raise BadAbc(f"a note lasts {float(duration / _WHOLE):g} whole notes")
    return duration


def _multiple(text):
    """``""`` is 1, ``"3"`` 3, ``"/"`` 1/2, ``"//"`` 1/4, ``"3/2"`` 3/2."""
    if not text:
        return Fraction(1)
    number, slashes, divisor = re.match(r"([0-9]*)(/*)([0-9]*)", text[:12]).groups()
    over = int(divisor) if divisor else 2 ** len(slashes)
    if over == 0:
        raise BadAbc(f"the length {text!r} divides by zero")
    return Fraction(int(number) if number else 1, over)


def _fraction(text):
    match = re.match(r"([0-9]+)\s*/\s*([1-9][0-9]*)|([1-9][0-9]*)", text)
    if not match:
        return None
    return (
        Fraction(int(match[1]), int(match[2])) if match[2] else Fraction(int(match[3]))
    )


def _tuplet(text, metre):
    parts = text[1:].split(":")
    p = int(parts[0])
    is_compound = metre[1] == 8 and metre[0] % 3 == 0
    q = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    q = q or _TUPLET_TIME.get(p) or (3 if is_compound else 2)
    r = int(parts[2]) if len(parts) > 2 and parts[2] else p
    return min(r, 64), Fraction(q, p)


def _alteration(sign):
    return {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}[sign]


def _signature(fifths):
    sharps = dict.fromkeys(_SHARP_ORDER[: max(0, min(7, fifths))], 1)
    flats = dict.fromkeys(_SHARP_ORDER[::-1][: max(0, min(7, -fifths))], -1)
    return sharps | flats

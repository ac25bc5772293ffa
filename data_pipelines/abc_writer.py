"""A melody as ABC text: one line of notes, for people, pens and tune books.

`abc.parse_tune` reads back what stands here. Times are kept where all of them lie on
forty-eighths of a quarter (sixteenths, 64ths, and the triplets of all these); else all
are rounded to twelfths, which hold sixteenths and their triplets. Loudness, pedals and
the instrument have no place in ABC and are left out.

Reference:
    The ABC music standard 2.1, https://abcnotation.com/wiki/abc:standard:v2.1. By it
    an accidental lasts through the bar in every octave, in many programs only in its
    own: wherever the two would differ the sign is written again. So is it after a
    bar line within a tie.
"""

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.measures import TONICS
from data_pipelines.score import Key, Metre, Score, notes_array
from data_pipelines.tokenizers.melody import MelodyTokenizer, pick_melody

STEPS_PER_QUARTER = 48
_WHOLE = 4 * STEPS_PER_QUARTER  # steps, as all times below
_COARSE = STEPS_PER_QUARTER // 12  # what times off the grid are rounded to
_BINARY = _WHOLE // 64  # a multiple of it is reached without triplets
_LONGEST_IN_TRIPLET = _WHOLE // 3  # a half note, three in the time of two
_MOST_IN_TRIPLET = 48  # notes after one sign; readers stop counting at some 64
_LARGEST = 64  # beats in a bar, or its unit, that readers of ABC take
BARS_PER_LINE = 4
_SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_FIFTHS = "FCGDAEB"  # the letters by fifths; C stands at 0, F sharp at 6


def abc_text(score, number=1):
    """One tune in ABC notation.

    Args:
        score: `Score`. Where one track holds all the pitched notes and no two of them
            sound together, it is written as it is, drums left out. Any other is
            reduced to its melody as `MelodyTokenizer` does it: a line on the grid of
            sixteenths, without empty bars before it, in the first metre, key and tempo.
        number: int, at least 1: the ``X:`` of the tune, its number in a book.

    Returns:
        str, from ``X:`` to the last line break. A key that the score does not name is
        the major one with the fewest accidentals. Tempos are rounded to thousandths;
        changes of tempo, metre and key after the last note are left out.

    Raises:
        ValueError: if no track holds a pitched note, or a metre cannot be written.

    Example:
    >>> score = Score(notes_array([0, 480], [480, 960], [66, 69]), 480, title="Two")
    >>> abc_text(score).split("\\n")
    ['X:1', 'T:Two', 'M:none', 'L:1/8', 'K:G', 'F2 A4 z2 |]', '']
    """
    if number < 1:
        raise ValueError(f"`number` must be at least 1. Received: {number}")
    line = _one_line(score)
    _check_metres(line.metres)
    key = _at_start(line.keys) or _plainest_key(line)
    tempo = _at_start(line.tempos)
    # Where a metre is named only later, 4/4 is meant before it.
    metre = _at_start(line.metres) or ("4/4" if line.metres else "none")
    items = _items(line)
    unit = 8 if all(item.written % 16 == 0 for item in items) else 16
    fields = [
        f"X:{number}",
        f"T:{_title_field(score.title)}",
        f"M:{metre}",
        f"L:1/{unit}",
        *([f"Q:{_tempo_field(tempo)}"] if tempo else []),
        f"K:{_key_field(key)}",
    ]
    return "\n".join([*fields, *_music(line, items, key, unit)]) + "\n"


def write_abc(path, score):
    """Write one tune as an ABC file in UTF-8, whole or not at all."""
    write_whole(path, f"%abc-2.1\n{abc_text(score)}".encode())


def _at_start(changes):
    return changes[0] if changes and changes[0].tick == 0 else None


def _one_line(score):
    """The score to be written: one track of single notes, in steps."""
    track, _ = pick_melody(score)
    tracks = np.unique(score.notes["track"][~score.is_drum_note()])
    notes = score.track_notes(track)
    end = notes["start"] + notes["duration"]
    if len(tracks) > 1 or (end[:-1] > notes["start"][1:]).any():
        score = _reduced(score)
        notes = score.notes
        end = notes["start"] + notes["duration"]
    start, end = _on_grid(notes["start"], end, score.ticks_per_quarter)
    kept = np.append(np.diff(start) > 0, True)  # of two on one step the later: the
    start, end, pitch = start[kept], end[kept], notes["pitch"][kept]  # grace gives way
    end[:-1] = np.minimum(end[:-1], start[1:])

    def placed(changes):
        per_tick = STEPS_PER_QUARTER / score.ticks_per_quarter
        at = {round(change.tick * per_tick): change for change in changes}
        return tuple(replace(at[s], tick=s) for s in sorted(at) if s < end[-1])

    return Score(
        notes_array(start, end - start, pitch),
        ticks_per_quarter=STEPS_PER_QUARTER,
        tempos=placed(score.tempos),
        metres=placed(score.metres),
        keys=placed(score.keys),
    )


def _reduced(score):
    tokenizer = MelodyTokenizer()
    return replace(
        tokenizer.decode(tokenizer.encode(score)),
        tempos=tuple(replace(tempo, tick=0) for tempo in score.tempos[:1]),
        metres=tuple(replace(metre, tick=0) for metre in score.metres[:1]),
        keys=tuple(replace(key, tick=0) for key in score.keys[:1]),
    )


def _on_grid(start, end, ticks_per_quarter):
    """Starts and ends in steps: int64 (2, N)."""
    ticks = np.stack([start, end]).astype(np.int64)
    steps = np.rint(ticks * STEPS_PER_QUARTER / ticks_per_quarter).astype(np.int64)
    off_by = np.abs(steps * ticks_per_quarter - ticks * STEPS_PER_QUARTER)
    # Half a tick: where a third of a quarter is no whole number, the file rounded it.
    if (off_by > STEPS_PER_QUARTER / 2).any():
        steps = np.rint(ticks * STEPS_PER_QUARTER / (ticks_per_quarter * _COARSE))
        steps = steps.astype(np.int64) * _COARSE
        steps[1] = np.maximum(steps[1], steps[0] + _COARSE)
    return steps


def _check_metres(metres):
    for metre in metres:
        unit = metre.beat_unit
        if max(metre.beats, unit) > _LARGEST or unit & (unit - 1):
            raise ValueError(
                f"ABC is written in metres of 1..{_LARGEST} beats, with a power of 2 "
                f"up to {_LARGEST} as their unit. Received: {metre}"
            )


def _plainest_key(line):
    counts = np.bincount(line.notes["pitch"] % 12, minlength=12)

    def strangers(sharps):
        scale = [7 * fifth % 12 for fifth in range(sharps - 1, sharps + 6)]
        return counts.sum() - counts[scale].sum()

    nearest_first = sorted(range(-7, 8), key=abs)
    return Key(0, min(nearest_first, key=strangers))


@dataclass(frozen=True)
class _Item:
    """A note or rest as long as one sign can say; times in steps."""

    start: int
    end: int
    bar: int  # where its bar starts
    pitch: int  # -1: a rest
    is_tied: bool = False  # to the next item
    written: int = 0  # length on paper, in 128ths; in a triplet half as long again
    group: int = 0  # so many items, from this one on, stand in a triplet


def _items(line):
    """The line from its first bar to its last, rests included, as a list of `_Item`."""
    items, group = [], []
    for span in _spans(line):
        is_new_bar = group and span.bar != group[0].bar
        if is_new_bar or (span.start - span.bar) % _BINARY == 0:
            items += _signs_for(group)
            group = []
        group.append(span)
    return items + _signs_for(group)


def _spans(line):
    """Notes and rests, cut at bar lines, at changes, and at beats as triplets need it."""
    bars, begin = _bars(line)
    changes = [c.tick for c in (*line.tempos, *line.metres, *line.keys)]
    cuts = np.unique(np.array([*bars, *changes], dtype=np.int64))
    closing = int(line.bar_ticks()[-1])
    pickup = int(bars[1]) - begin if begin else 0
    if line.end_tick <= closing - pickup:  # with the last bar it makes a whole one
        closing -= pickup
    now = begin
    for start, duration, pitch in line.notes[["start", "duration", "pitch"]].tolist():
        if start > now:
            yield from _cut(now, start, -1, cuts, bars)
        now = start + duration
        yield from _cut(start, now, pitch, cuts, bars)
    if closing > now:
        yield from _cut(now, closing, -1, cuts, bars)


def _cut(start, end, pitch, cuts, bars):
    inner = cuts[np.searchsorted(cuts, start, "right") : np.searchsorted(cuts, end)]
    for left, right in pairwise([start, *inner.tolist(), end]):
        bar = int(bars[np.searchsorted(bars, left, "right") - 1])
        edges = {left, right}
        if right - left > _LONGEST_IN_TRIPLET:
            if (left - bar) % _BINARY:  # the triplet ends at the next beat
                edges.add(left + -(left - bar) % STEPS_PER_QUARTER)
            if (right - bar) % _BINARY:  # the triplet begins at the last beat
                edges.add(right - (right - bar) % STEPS_PER_QUARTER)
        for a, b in pairwise(sorted(edges)):
            yield _Item(a, b, bar, pitch, is_tied=pitch >= 0 and b < end)


def _bars(line):
    """Where bars start, int64 array, and where the music does.

    Readers take a first bar that is short for a pickup. So one that rests for half its
    length or more is written as a pickup; and where a change of metre cuts the first
    bar short no line is drawn.
    """
    metre = _at_start(line.metres) or Metre(0, 4, 4)
    first_bar = _WHOLE * metre.beats // metre.beat_unit
    lines = line.bar_ticks()
    lines = lines[(lines >= first_bar) & (lines < line.end_tick)]
    begin = int(line.notes["start"][0])
    changes = [c.tick for c in (*line.tempos, *line.metres, *line.keys) if c.tick]
    is_pickup = (
        first_bar in lines[:1]
        and first_bar <= 2 * begin < 2 * first_bar
        and begin < min(changes, default=begin + 1)
    )
    return np.array([0, *lines]), (begin if is_pickup else 0)


def _signs_for(group):
    """The items of one group of spans, each of a length that notation has."""
    is_plain = all(
        (edge - span.bar) % _BINARY == 0
        for span in group
        for edge in (span.start, span.end)
    )
    items = []
    for span in group:
        steps = span.end - span.start
        lengths = _note_values(2 * steps // 3 if is_plain else steps)
        start = span.start
        for number, written in enumerate(lengths):
            end = start + (3 * written // 2 if is_plain else written)
            is_last = number == len(lengths) - 1
            tied = span.is_tied if is_last else span.pitch >= 0
            items.append(
                replace(span, start=start, end=end, is_tied=tied, written=written)
            )
            start = end
    if not is_plain:
        for first in range(0, len(items), _MOST_IN_TRIPLET):
            count = min(_MOST_IN_TRIPLET, len(items) - first)
            items[first] = replace(items[first], group=count)
    return items


def _note_values(length):
    """A length in 128ths as the lengths of plain and dotted notes, the longest first."""
    values = []
    while length:
        power = 1 << (length.bit_length() - 1)
        value = power + power // 2 if length >= power + power // 2 else power
        if length == 7 * power // 4:  # two dots
            value = length
        values.append(value)
        length -= value
    return values


def _music(line, items, key, unit):
    """The lines of the body."""
    changes = {}
    for letter, field_of, kind in (
        ("Q", _tempo_field, line.tempos),
        ("M", str, line.metres),
        ("K", _key_field, line.keys),
    ):
        for change in kind:
            if change.tick:
                text = f"[{letter}:{field_of(change)}]"
                changes.setdefault(change.tick, []).append(text)
    keys = {change.tick: change for change in line.keys}
    beats = _beats(line)
    lines, bars, text, bar = [], 0, "", items[0].bar
    spelling = _Spelling(key)
    for item in items:
        if item.bar != bar:
            bar, bars = item.bar, bars + 1
            text += " |"
            spelling.new_bar()
            if bars % BARS_PER_LINE == 0:
                lines.append(text.strip())
                text = ""
            text += " "
        elif (item.start - bar) % beats(bar) == 0:
            text += " "
        if item.start in keys:
            spelling.key = keys[item.start]
        text += "".join(changes.get(item.start, ()))
        if item.group:
            text += "(3" if item.group == 3 else f"(3:2:{item.group}"
        text += "z" if item.pitch < 0 else spelling.spell(item.pitch)
        text += _length_field(Fraction(item.written * unit, 128))
        text += "-" * item.is_tied
    return [*lines, f"{text.strip()} |]"]


def _beats(line):
    """A function: how many steps a beat has in the bar that starts at a step."""
    ticks = [metre.tick for metre in line.metres]

    def beat(bar):
        place = int(np.searchsorted(ticks, bar, "right")) - 1
        metre = line.metres[place] if place >= 0 else Metre(0, 4, 4)
        if metre.beat_unit >= 8 and metre.beats % 3 == 0:
            return 3 * _WHOLE // metre.beat_unit
        return max(STEPS_PER_QUARTER, _WHOLE // metre.beat_unit)

    return beat


@dataclass
class _Spelling:
    """What each pitch is called here: the key, and what this bar has said so far."""

    key: Key
    said: dict = field(
        default_factory=dict
    )  # letter and octave, or letter -> semitones

    def new_bar(self):
        self.said = {}

    def spell(self, pitch):
        """The note without its length, such as ``^f'``."""
        sharps = self.key.sharps
        # Twelve fifths from three (in minor two) below the tonic of the major key,
        # without double sharps and flats: so in C B flat and E flat, F, C and G sharp.
        lowest = min(max(sharps - 3 + self.key.is_minor, -8), 1)
        fifth = lowest + (7 * pitch - lowest) % 12
        letter = _FIFTHS[(fifth + 1) % 7]
        alteration = (fifth + 1) // 7
        octave = (pitch - alteration) // 12
        in_key = (sharps + 6 - _FIFTHS.index(letter)) // 7
        by_octave = self.said.get((letter, octave), in_key)
        by_letter = self.said.get(letter, in_key)
        sign = "" if by_octave == by_letter == alteration else _SIGNS[alteration]
        if sign:
            self.said[letter, octave] = self.said[letter] = alteration
        if octave >= 6:
            return sign + letter.lower() + "'" * (octave - 6)
        return sign + letter + "," * (5 - octave)


def _title_field(title):
    """A title on one line, as ABC writes it; what would end or hide it is escaped."""
    printable = "".join(c if c.isprintable() else " " for c in title)
    escaped = re.sub(r"[\\%]|&(?=#?\w+;)", r"\\\g<0>", " ".join(printable.split()))
    return escaped or "Untitled"


def _tempo_field(tempo):
    return f"1/4={tempo.qpm:.3f}".rstrip("0").rstrip(".")


def _key_field(key):
    return TONICS[key.sharps + (11 if key.is_minor else 8)] + "m" * key.is_minor


def _length_field(length):
    above = str(length.numerator) if length.numerator > 1 else ""
    if length.denominator == 1:
        return above
    below = "" if length == Fraction(1, 2) else length.denominator
    return f"{above}/{below}"

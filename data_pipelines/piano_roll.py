"""A picture of a score: pitch upwards, time to the right, bars behind."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_pipelines.files import write_whole

PAPER, BLACK_ROW, INK, FAINT = "#fbfaf7", "#f1efe9", "#2b2a28", "#d9d5cc"
BAR_LINE = "#bdb7aa"
TRACK_COLOURS = (
    "#c2452d", "#2d6fb0", "#3f8f4f", "#8a5aa8", "#c98a1b", "#2a9d9a", "#b03a72", "#6b6b6b",
)  # fmt: skip
SCALE = 2  # drawn this much larger: crisp on any screen
MARGIN, KEYS, HEADER, FOOTER = 14, 44, 40, 26  # points
LEAST_WIDTH, MOST_WIDTH = 720, 6000  # points
BLACK_KEYS = {1, 3, 6, 8, 10}
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def pitch_name(pitch):
    """The name of a MIDI pitch: 60 is C4, 69 is A4 (440 Hz)."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def draw_piano_roll(score, title="", marks=()):
    """Draw a score.

    Args:
        score: `Score`.
        title: str, set above the roll; the score's own title by default.
        marks: rows of ``score.notes`` to point out, at most 99: each is framed and
            numbered, from 1, in the order given.

    Raises:
        ValueError: if a mark is no row of the notes.

    Returns:
        `PIL.Image.Image`, RGB.
    """
    notes = score.notes
    low, high = _pitch_span(notes)
    lines = score.bar_ticks()
    end = int(lines[-1])
    beats = end / score.ticks_per_quarter
    wide = int(np.clip(beats * 26, LEAST_WIDTH, MOST_WIDTH))
    row = int(np.clip(420 / (high - low + 1), 3, 14))
    tall = row * (high - low + 1)
    size = (MARGIN * 2 + KEYS + wide, MARGIN + HEADER + tall + FOOTER)
    image = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), PAPER)
    pen = _Pen(ImageDraw.Draw(image))
    left, top = MARGIN + KEYS, HEADER + MARGIN // 2

    def x(tick):
        return left + wide * tick / max(end, 1)

    def y(pitch):
        return top + (high - pitch) * row

    _draw_keyboard(pen, low, high, left, wide, row, y)
    _draw_bars(pen, lines, top, tall, x)
    for note in notes:
        _draw_note(pen, note, x, y, row)
    for number, mark in enumerate(marks, 1):
        if not 0 <= mark < len(notes):
            raise ValueError(
                f"A mark must be a row of the {len(notes)} notes. Received: {mark}"
            )
        _draw_mark(pen, notes[mark], number, x, y, row, top)
    heading = title or score.title or "Untitled"
    pen.text((MARGIN, 9), heading, INK, 16)
    facts = (
        f"{len(notes)} notes   {pitch_name(int(notes['pitch'].min()))} to "
        f"{pitch_name(int(notes['pitch'].max()))}   {score.metre}   "
        f"{score.qpm:.0f} quarters a minute   {score.length_seconds:.0f} s"
        if len(notes)
        else "no notes"
    )
    pen.text((MARGIN + KEYS + wide, 13), facts, "#77726a", 11, anchor="ra")
    return image


def piano_roll_png(score, title="", marks=()):
    """As `draw_piano_roll`, as the bytes of a PNG file."""
    buffer = io.BytesIO()
    draw_piano_roll(score, title, marks).save(buffer, "PNG", dpi=(144, 144))
    return buffer.getvalue()


def write_piano_roll(path, score, title="", marks=()):
    """Draw a score to a PNG file, whole or not at all."""
    write_whole(path, piano_roll_png(score, title, marks))


class _Pen:
    """ImageDraw in points instead of pixels."""

    def __init__(self, draw):
        self.draw = draw

    def box(self, corners, fill, radius=0.0, outline=None, width=1 / SCALE):
        corners = [c * SCALE for c in corners]
        width = max(1, round(width * SCALE))
        self.draw.rounded_rectangle(corners, radius * SCALE, fill, outline, width)

    def line(self, ends, fill, width=1.0):
        self.draw.line([c * SCALE for c in ends], fill, max(1, round(width * SCALE)))

    def text(self, at, text, fill, points, anchor="la"):
        font = ImageFont.load_default(points * SCALE)
        self.draw.text((at[0] * SCALE, at[1] * SCALE), text, fill, font, anchor)


def _pitch_span(notes):
    if not len(notes):
        return 60, 72
    low, high = int(notes["pitch"].min()) - 2, int(notes["pitch"].max()) + 2
    middle = (low + high) // 2
    low, high = min(low, middle - 8), max(high, middle + 8)
    return max(0, low), min(127, high)


def _draw_keyboard(pen, low, high, left, wide, row, y):
    for pitch in range(low, high + 1):
        is_black = pitch % 12 in BLACK_KEYS
        if is_black:
            pen.box((left, y(pitch), left + wide, y(pitch) + row), BLACK_ROW)
        key = INK if is_black else "#ffffff"
        width = (KEYS - 6) * (0.62 if is_black else 1)
        box = (MARGIN, y(pitch), MARGIN + width, y(pitch) + row)
        pen.box(box, key, 1, outline=FAINT)
        if pitch % 12 == 0:
            pen.line((left, y(pitch) + row, left + wide, y(pitch) + row), FAINT, 0.7)
            middle = y(pitch) + row / 2
            at = (MARGIN + KEYS - 9, middle)
            pen.text(at, pitch_name(pitch), "#77726a", 9, anchor="rm")


def _draw_bars(pen, lines, top, tall, x):
    every = next(n for n in (1, 2, 4, 8, 16, 32, 64, 10**9) if len(lines) / n <= 48)
    for number, tick in enumerate(lines.tolist(), 1):
        is_last = number == len(lines)
        pen.line((x(tick), top, x(tick), top + tall), BAR_LINE, 1.6 if is_last else 0.8)
        if not is_last and (number - 1) % every == 0:
            pen.text((x(tick) + 4, top + tall + 6), str(number), "#77726a", 10)


def _draw_note(pen, note, x, y, row):
    start, pitch = int(note["start"]), int(note["pitch"])
    first, last = x(start), x(start + int(note["duration"]))
    last = max(last - 1.2, first + 1.5)
    colour = TRACK_COLOURS[int(note["track"]) % len(TRACK_COLOURS)]
    softened = _towards_paper(colour, 0.45 * (1 - int(note["velocity"]) / 127))
    box = (first, y(pitch) + 0.6, last, y(pitch) + row - 0.6)
    pen.box(box, softened, min(2.5, row / 3))


def _draw_mark(pen, note, number, x, y, row, top):
    """A frame around a note and its number in a disc above it, or below at the top."""
    first, pitch = x(int(note["start"])), int(note["pitch"])
    last = max(x(int(note["start"]) + int(note["duration"])) - 1.2, first + 1.5)
    frame = (first - 2.4, y(pitch) - 1.8, last + 2.4, y(pitch) + row + 1.8)
    pen.box(frame, None, min(4, row / 2), outline=INK, width=1.6)
    middle = (first + last) / 2
    above = y(pitch) - 10
    centre = above if above - 7 >= top else y(pitch) + row + 10
    pen.box((middle - 7, centre - 7, middle + 7, centre + 7), INK, 7)
    pen.text((middle, centre), str(number), PAPER, 9, anchor="mm")


def _towards_paper(colour, share):
    def channels(name):
        return [int(name[i : i + 2], 16) for i in (1, 3, 5)]

    pairs = zip(channels(colour), channels(PAPER), strict=True)
    return tuple(round(a + (b - a) * share) for a, b in pairs)

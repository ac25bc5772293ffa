"""Numbers over time as a melody: a column of a table, each row a note, all in one scale.

`tables` reads a table as the music that it spells. Here its numbers mean anything:
temperatures, steps of a recipe, the height of a ball. The smallest becomes the lowest
note of the range, the largest the highest, and all between lie on the scale.
"""

import csv
import io
from pathlib import Path

import numpy as np

from data_pipelines.guard import LARGEST_BYTES, Refused, decoded, sniff
from data_pipelines.score import Score, Tempo, Track, notes_array

# Semitones above the tonic.
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "chromatic": tuple(range(12)),
}
TICKS_PER_QUARTER, EIGHTH = 480, 240
MOST_ROWS = 10_000  # at eighths and 120 quarters a minute, 42 minutes


def read_numbers(path, *, column=None, scale="major", tonic=60, low=48, high=84):
    """A column of numbers in a CSV file as a melody of eighths, a note a row.

    Args:
        path: str or Path. Cells are parted by comma, semicolon or tab; a first row
            without a number is a header.
        column: str or None, a name in the header or a number from 1. It may be left
            out where one column alone holds numbers throughout.
        scale, tonic, low, high: as for `sonified`.

    Returns:
        `Score` of one track, with as many notes as the file has rows of numbers.

    Raises:
        Refused: if the file is no table, too long, or has a row without a number in
            that column; the sentence names the line.
        ValueError: if there is no such column, several would do, or a setting is out
            of range.
    """
    path = Path(path)
    form = sniff(path)
    if form not in ("csv", "text"):
        raise Refused("other kind", f"it is {form}; wanted is a table (.csv)")
    if (size := path.stat().st_size) > LARGEST_BYTES:
        raise Refused(
            "too large", f"{size:,} bytes, at most {LARGEST_BYTES:,} are read"
        )
    header, lines, rows = _rows(decoded(path.read_bytes()))
    chosen = _chosen(header, rows, column)
    numbers = []
    for line, row in zip(lines, rows, strict=True):
        cell = row[chosen] if chosen < len(row) else ""
        if (number := _number(cell)) is None:
            shown = f"{cell!r:.40}" if cell else "an empty cell"
            raise Refused("damaged", f"line {line}: {shown} is no number")
        numbers.append(number)
    return sonified(
        numbers, scale=scale, tonic=tonic, low=low, high=high, title=path.stem
    )


def sonified(numbers, *, scale="major", tonic=60, low=48, high=84, title=""):
    """A melody of eighths that rises and falls as numbers do.

    Args:
        numbers: float array (T,), finite. If all are equal, all become the middle note.
        scale: str, one of `SCALES`.
        tonic: int in 0..127, a MIDI pitch of the scale's first note in any octave.
        low, high: int in 0..127, the range in MIDI pitches, both included.
        title: str.

    Returns:
        `Score` of one track and T notes.

    Raises:
        ValueError: if there is no number, one is not finite, or a setting is out of
            range.

    Example:
    >>> sonified([0, 10, 5], low=60, high=72).notes["pitch"].tolist()
    [60, 72, 67]
    """
    numbers = np.asarray(numbers, dtype=np.float64)
    if numbers.ndim != 1 or not numbers.size:
        raise ValueError(
            f"`numbers` must be a row of one or more. Received shape: {numbers.shape}"
        )
    if len(numbers) > MOST_ROWS:
        raise ValueError(
            f"`numbers` must be {MOST_ROWS:,} at most. Received: {len(numbers):,}"
        )
    if not np.isfinite(numbers).all():
        at = int(np.argmin(np.isfinite(numbers)))
        raise ValueError(f"Number {at + 1} must be finite. Received: {numbers[at]}")
    ladder = _ladder(scale, tonic, low, high)
    halves = numbers / 2  # the difference of two large numbers is infinite
    span = halves.max() - halves.min()
    share = (halves - halves.min()) / span if span else np.full(len(numbers), 0.5)
    # Halves go up, so that equal steps of the numbers are as equal as the scale allows.
    place = np.floor(share * (len(ladder) - 1) + 0.5).astype(int)
    starts = np.arange(len(numbers)) * EIGHTH
    return Score(
        notes_array(starts, EIGHTH, ladder[place]),
        TICKS_PER_QUARTER,
        (Track("Numbers"),),
        tempos=(Tempo(0, 120.0),),
        title=title,
    )


def _ladder(scale, tonic, low, high):
    """The pitches of a scale within a range, from the lowest up."""
    if scale not in SCALES:
        raise ValueError(
            f"`scale` must be one of {', '.join(SCALES)}. Received: {scale!r}"
        )
    for name, value in (("tonic", tonic), ("low", low), ("high", high)):
        if not isinstance(value, (int, np.integer)) or not 0 <= value <= 127:
            raise ValueError(
                f"`{name}` must be a MIDI pitch in 0..127. Received: {value!r}"
            )
    pitches = np.arange(low, high + 1)
    ladder = pitches[np.isin((pitches - tonic) % 12, SCALES[scale])]
    if not len(ladder):
        raise ValueError(
            f"`low` to `high` must hold a note of the scale. Received: {low} to {high}"
        )
    return ladder


def _rows(text):
    """The header (or []), the line of each row below it, and the rows, all str."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    mark = next((mark for mark in "\t;" if mark in first), ",")
    if mark != ",":  # then the comma is free to be a decimal one
        text = text.replace(",", ".")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    lines, rows = [], []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append(reader.line_num)
                rows.append(cells)
            if len(rows) > MOST_ROWS + 1:
                raise Refused("too long", f"at most {MOST_ROWS:,} rows are read")
    except csv.Error as error:
        raise Refused("damaged", f"line {reader.line_num}: {error}") from None
    has_header = bool(rows) and all(_number(cell) is None for cell in rows[0])
    if len(rows) <= has_header:
        raise Refused("not music", "it holds no row of numbers")
    return rows[0] if has_header else [], lines[has_header:], rows[has_header:]


def _chosen(header, rows, column):
    """The place of the column that is meant."""
    width = max(map(len, rows))
    if column is not None:
        names = [name.lower() for name in header]
        if str(column).strip().lower() in names:
            return names.index(str(column).strip().lower())
        if str(column).isdecimal() and 1 <= int(column) <= width:
            return int(column) - 1
        named = f", or a name: {', '.join(header)}" if header else ""
        raise ValueError(
            f"`column` must be a number in 1..{width}{named}. Received: {column!r}"
        )
    numeric = [
        place
        for place in range(width)
        if all(place < len(row) and _number(row[place]) is not None for row in rows)
    ]
    if len(numeric) > 1:
        told = ", ".join(
            header[place] if place < len(header) else str(place + 1)
            for place in numeric
        )
        raise ValueError(
            f"`column` must say which of {len(numeric)} columns of numbers is meant: "
            f"{told}. Received: None"
        )
    return numeric[0] if numeric else 0  # the reader then names the bad line


def _number(cell):
    """The finite number that a cell holds, or None."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) else None

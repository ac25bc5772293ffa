"""Tables of numbers as music: series, voices, notes (csv), chords (json), rolls (mat).

Most tables name no onset. There, a pitch that stands in the next row too is one note
that goes on: whether it was struck again cannot be told. The shape of a table says what
it means:

- csv whose header names ``start`` (or ``onset``), ``duration`` (or ``end``) and
  ``pitch``: a row a note, times in quarters; ``velocity`` and ``track`` if there are any.
- csv of one column, or a JSON list of numbers: a series, each row a note of an eighth,
  never prolonged. Whole numbers in 0..127 are pitches as they stand; others are scaled
  straight into 48..84, a constant series onto 60.
- csv of several columns: voices, a row a sixteenth (Géron, Hands-On Machine Learning,
  chapter 15: ``note0,note1,note2,note3``).
- JSON: pieces of steps, in ``{"train": [...], "valid": [...], "test": [...]}`` or bare.
  Where all steps are of one width they are voices, a step a sixteenth; else chords in
  one track, a step a quarter (as in https://github.com/czhuang/JSB-Chorales-dataset).
- mat: ``traindata``, ``validdata``, ``testdata``, cells of 0/1 rolls (T, 88) from pitch
  21 up (Boulanger-Lewandowski et al., 2012, https://arxiv.org/abs/1206.6392), in one
  track, a row a quarter. The set does not say how long a row is: it is a quarter in its
  JSB chorales, an eighth in its Nottingham tunes, which come out at half speed here.

In voices and chords -1, 0 and an empty cell (``null``) are silence. Four voices are
called Soprano, Alto, Tenor and Bass, in the order of the columns. A first column of
labels, dates, times or row numbers is passed over.
"""

import csv
import io
import json
import struct
import zlib
from functools import partial
from itertools import chain

import numpy as np

from data_pipelines.guard import Reading, decoded
from data_pipelines.midi import UnreadableMusic
from data_pipelines.score import LAST_TICK, Score, Track, notes_array

QUARTER, EIGHTH, SIXTEENTH = 480, 240, 120  # ticks
SERIES_LOW, SERIES_HIGH, SERIES_MIDDLE = 48, 84, 60
LOWEST_KEY, KEYS = 21, 88  # the columns of a roll: a piano's keys
VELOCITY = 80
MOST_ROWS = 1_000_000  # more sixteenths than the gate lets through
MOST_VOICES, MOST_COLUMNS = 64, 256
MOST_PIECES = 100_000
MOST_INFLATED_BYTES = 2**26  # of a .mat file
# What an element of a MATLAB 5 file holds, by its type.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
NUMBERS |= {12: "i8", 13: "u8"}
MATRIX, COMPRESSED = 14, 15
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
SPLITS = {
    "json": {"train": "train", "valid": "valid", "validation": "valid", "test": "test"},
    "mat": {"traindata": "train", "validdata": "valid", "testdata": "test"},
}
COUNTING_NAMES = {
    "", "unnamed: 0", "index", "row", "step", "id", "time", "date", "year", "month",
}  # fmt: skip


def read_tables(data, form, title=""):
    """The pieces in a table; see above for what its numbers mean.

    Args:
        data: bytes of the file.
        form: str, "csv", "json" or "mat".
        title: str. Of several pieces each adds its own name: "title train 3".

    Returns:
        `Reading` of scores, not yet gated. Silent pieces, and those of several that
        cannot be read, are sentences in ``left_out``. ``splits`` as the file has them.

    Raises:
        UnreadableMusic: if nothing in it can be read; of a table with its line.
        ValueError: if `form` is another.
    """
    readers = {"csv": _csv_pieces, "json": _json_pieces, "mat": _mat_pieces}
    if form not in readers:
        raise ValueError(f"`form` must be csv, json or mat. Received: {form!r}")
    try:
        pieces, left_out = readers[form](data)
    except UnreadableMusic:
        raise
    except (ValueError, RecursionError, csv.Error, zlib.error, struct.error) as error:
        raise UnreadableMusic(f"damaged {form}: {error}") from None
    contents, splits, fault = [], [], ""
    for name, split, build in pieces:
        try:
            score = build(title=f"{title} {name}" if len(pieces) > 1 else title)
        except (ValueError, OverflowError, struct.error) as error:
            left_out.append(f"{name}: {error}")
            fault = fault or left_out[-1]
            continue
        if len(score):
            contents.append(score)
            splits += [split] if split else []
        else:
            left_out.append(f"{name}: silent from end to end")
    if fault and not contents:
        raise UnreadableMusic(fault)
    return Reading(tuple(contents), tuple(left_out), tuple(splits))


def _csv_pieces(data):
    header, lines, columns = _cells(decoded(data))
    names = [name.lower() for name in header]
    if "pitch" in names and ("start" in names or "onset" in names):
        table = dict(zip(names, columns, strict=True))
        return [("notes", None, partial(_note_table, table, lines))], []
    if len(columns) > 1 and _counts_rows(names[0] if names else None, columns[0]):
        columns = columns[1:]
    columns = [cells for cells in columns if any(cells)]
    if len(columns) == 1:
        return [("series", None, partial(_csv_series, columns[0], lines))], []
    return [("voices", None, partial(_csv_voices, columns, lines))], []


def _cells(text):
    """The header (or []), the line of each row below it, and the columns, all str."""
    if (ends := max(text.count("\n"), text.count("\r"))) > MOST_ROWS:
        raise UnreadableMusic(f"{ends:,} lines; at most {MOST_ROWS:,} are read")
    first_line = text.lstrip("\r\n ")[:65536].partition("\n")[0]
    separator = next((mark for mark in "\t;" if mark in first_line), ",")
    if separator != ",":  # then the comma is free to be a decimal one
        text = text.replace(",", ".")
    lines, rows = [], []
    file = io.StringIO(text, newline="")
    reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
    for row in reader:
        if len(row) > MOST_COLUMNS:
            raise UnreadableMusic(
                f"{len(row):,} cells; at most {MOST_COLUMNS} are read"
            )
        cells = [cell.strip() for cell in row]
        if len(cells) > 1 or any(cells):
            lines.append(reader.line_num)
            rows.append(cells)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            cells = f"{len(row)} cells instead of {len(rows[0])}"
            raise UnreadableMusic(f"line {line}: {cells}")
    has_header = any(map(any, rows[:1])) and not any(map(_is_number, rows[0]))
    if len(rows) == has_header:
        raise UnreadableMusic("it holds no row of numbers")
    header = rows[0] if has_header else []
    return header, lines[has_header:], list(zip(*rows[has_header:], strict=True))


def _counts_rows(name, cells):
    """Whether a first column says which row it is, or when, and nothing of pitch."""
    if name in COUNTING_NAMES or not any(map(_is_number, cells)):
        return any(cells)
    numbers = np.array([float(c) if _is_number(c) else np.nan for c in cells])
    if len(numbers) < 3 or not np.isfinite(numbers).all():
        return False
    rises = np.diff(numbers)
    if rises[0] <= 0 or not np.allclose(rises, rises[0]):
        return False
    is_whole = (numbers == np.rint(numbers)).all()
    return bool(numbers[0] in (0, 1) or numbers[-1] > 127 or not is_whole)


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(cells, lines):
    """float64 array (rows,), NaN where a cell is empty."""
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        is_good = [not cell or _is_number(cell) for cell in cells]
        _demand(np.array(is_good), lines, cells, "is no number")
        raise


def _demand(is_good, lines, cells, sentence):
    if not is_good.all():
        bad = int(np.argmin(is_good))
        shown = f"{cells[bad]!r}"[:40] if cells[bad] else "an empty cell"
        raise UnreadableMusic(f"line {lines[bad]}: {shown} {sentence}")


def _note_table(table, lines, *, title):
    def column(name, low, high, kind=float):
        numbers = _numbers(table[name], lines)
        is_good = (numbers >= low) & (numbers <= high)  # NaN is neither
        if kind is int:
            is_good &= numbers == np.rint(numbers)
        whole = "whole " if kind is int else ""
        sentence = f"is no {name}, a {whole}number in {low}..{high}"
        _demand(is_good, lines, table[name], sentence)
        return numbers.astype(kind)

    latest = LAST_TICK // QUARTER
    start = column("start" if "start" in table else "onset", 0, latest)
    if "duration" in table:
        end = start + column("duration", 0, latest)
    elif "end" in table:
        end = column("end", 0, latest)
        _demand(end >= start, lines, table["end"], "is before the note's start")
    else:
        raise UnreadableMusic("the header names neither duration nor end")
    pitch = column("pitch", 0, 127, int)
    velocity = column("velocity", 1, 127, int) if "velocity" in table else VELOCITY
    labels = table.get("track", [""] * len(pitch))
    names = dict.fromkeys(labels)  # as they come, but numbers in their order
    names = sorted(names, key=lambda name: int(name) if name.isdecimal() else 0)
    index = {name: number for number, name in enumerate(names)}
    # Both ends are rounded, so that notes that touch go on touching.
    first, last = (np.rint(t * QUARTER).astype(np.int64) for t in (start, end))
    track = [index[label] for label in labels]
    notes = notes_array(first, np.maximum(1, last - first), pitch, velocity, track)
    return Score(notes, QUARTER, tuple(map(Track, names)), title=title)


def _csv_series(cells, lines, *, title):
    return _series(_numbers(cells, lines), lambda index: f"line {lines[index]}", title)


def _series(numbers, where, title):
    """Each number a note of an eighth; `where` names the place of a bad one."""
    if not np.isfinite(numbers).all():
        bad = int(np.argmin(np.isfinite(numbers)))
        raise UnreadableMusic(f"{where(bad)}: a number is missing, or infinite")
    is_pitch = (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers <= 127)
    if not is_pitch.all():
        halves = numbers / 2  # the difference of two large numbers is infinite
        low, high = halves.min(), halves.max()
        share = (halves - low) / (high - low) if high > low else None
        span = SERIES_HIGH - SERIES_LOW
        numbers = SERIES_MIDDLE if share is None else np.rint(SERIES_LOW + span * share)
    starts = np.arange(len(is_pitch)) * EIGHTH
    notes = notes_array(starts, EIGHTH, numbers, VELOCITY)
    return Score(notes, QUARTER, title=title)


def _csv_voices(columns, lines, *, title):
    numbers = np.array([_numbers(cells, lines) for cells in columns]).T.copy()
    numbers[np.isnan(numbers)] = -1
    rows, voices = np.divmod(np.arange(numbers.size), max(1, len(columns)))
    pitches = _pitches(numbers.ravel(), lambda index: f"line {lines[rows[index]]}")
    return _held(rows, voices, pitches, SIXTEENTH, len(columns), title)


def _pitches(numbers, where):
    """int64 array of pitches, -1 for silence; `where` names the place of a bad one."""
    is_pitch = (numbers >= -1) & (numbers <= 127) & (numbers == np.rint(numbers))
    if not is_pitch.all():
        bad = int(np.argmin(is_pitch))
        shown = f"{where(bad)}: {numbers[bad]:g}"
        raise UnreadableMusic(f"{shown} is no pitch, a whole number in -1..127")
    return np.where(numbers > 0, numbers, -1).astype(np.int64)


def _held(rows, voices, pitches, ticks, width, title):
    """The score of pitches in rows; one that stands in the next row too goes on.

    Args:
        rows, voices, pitches: int arrays of one shape (cells,); pitch -1 is silence.
        ticks: int, how long a row is.
        width: int, how many voices, each its track; 0 for chords in one track.
    """
    if width > MOST_VOICES:
        raise UnreadableMusic(f"{width} voices; at most {MOST_VOICES} are read")
    sounds = pitches >= 0
    stride = int(rows.max(initial=0)) + 2  # so that no line's end touches the next
    lines = voices[sounds] * 128 + pitches[sounds]
    cells = np.unique(lines * stride + rows[sounds])
    begins = np.flatnonzero(np.diff(cells, prepend=-2) != 1)
    lengths = np.diff(begins, append=len(cells)) * ticks
    voices, starts = np.divmod(cells[begins], 128 * stride)
    pitches, starts = np.divmod(starts, stride)
    notes = notes_array(starts * ticks, lengths, pitches, VELOCITY, voices)
    names = VOICES if width == 4 else [f"Voice {n + 1}" for n in range(width)]
    return Score(notes, QUARTER, tuple(map(Track, names)) or (Track(),), title=title)


def _json_pieces(data):
    parsed = json.loads(decoded(data))
    if isinstance(parsed, list):
        # A list of pieces is three deep, a piece two; a series is a piece one deep.
        items = chain.from_iterable(filter(_is_list, parsed))
        parsed = {"piece": parsed if any(map(_is_list, items)) else [parsed]}
        splits = {"piece": None}
    elif isinstance(parsed, dict):
        splits = SPLITS["json"]
    else:
        raise UnreadableMusic("it holds neither a list of pieces nor splits of them")
    named = {k: v for k, v in parsed.items() if k in splits and _is_list(v)}
    left_out = [f"{k[:40]!r}: no split of pieces" for k in parsed if k not in named]
    if left_out and not named:
        raise UnreadableMusic(f"{left_out[0]}; known are train, valid and test")
    if (count := sum(map(len, named.values()))) > MOST_PIECES:
        raise UnreadableMusic(f"{count:,} pieces; at most {MOST_PIECES:,} are read")
    pieces = list(filter(_is_list, chain.from_iterable(named.values())))
    widths = {len(step) for step in filter(_is_list, chain.from_iterable(pieces))}
    width = widths.pop() if len(widths) == 1 else 0  # 0: chords
    return [
        (f"{key} {number}", splits[key], partial(_json_piece, piece, width))
        for key, found in named.items()
        for number, piece in enumerate(found, 1)
    ], left_out


def _is_list(value):
    return isinstance(value, list)


def _json_piece(steps, width, *, title):
    if not _is_list(steps):
        raise UnreadableMusic(f"{steps!r:.40} is no list of steps")
    if len(steps) > MOST_ROWS:
        raise UnreadableMusic(f"{len(steps):,} steps; at most {MOST_ROWS:,} are read")
    is_series = bool(steps) and not any(map(_is_list, steps))
    chords = [[number] for number in steps] if is_series else steps
    for number, chord in enumerate(chords, 1):
        if not _is_list(chord):
            raise UnreadableMusic(f"step {number}: {chord!r:.40} is no list of pitches")
        for value in chord:
            if type(value) not in (int, float) and (is_series or value is not None):
                raise UnreadableMusic(f"step {number}: {value!r:.40} is no number")
    flat = [-1 if x is None else x for x in chain.from_iterable(chords)]
    numbers = np.array(flat, dtype=np.float64)
    rows = np.repeat(np.arange(len(chords)), [len(chord) for chord in chords])
    if is_series:
        return _series(numbers, lambda index: f"step {index + 1}", title)
    pitches = _pitches(numbers, lambda index: f"step {rows[index] + 1}")
    voices = np.arange(len(flat)) % width if width else np.zeros_like(rows)
    return _held(rows, voices, pitches, SIXTEENTH if width else QUARTER, width, title)


def _mat_pieces(data):
    # Not scipy's loadmat: a few flipped bytes in an element make it crash the process.
    order = "<" if data[126:128] == b"IM" else ">"
    found, left = [], MOST_INFLATED_BYTES
    for kind, body in _elements(memoryview(data)[128:], order):
        if kind == COMPRESSED:
            body = memoryview(zlib.decompressobj().decompress(body, left))
            if (left := left - len(body)) <= 0:
                raise UnreadableMusic(f"unpacked, over {MOST_INFLATED_BYTES:,} bytes")
            body = dict(_elements(body, order)).get(MATRIX, b"")
        _, name, parts = _matrix(body, order)
        split = SPLITS["mat"].get(name)
        for number, (_, part) in enumerate(parts if split else [], 1):
            found.append((f"{split} {number}", split, partial(_roll, part, order)))
    if not found:
        raise UnreadableMusic(f"it has no piece in {', '.join(SPLITS['mat'])}")
    return found, []


def _elements(data, order):
    """Yield (type, body) of the elements that lie end to end in a MATLAB 5 file."""
    at = 0
    for _ in range(MOST_PIECES):
        if at + 8 > len(data):
            return
        kind, size = struct.unpack_from(order + "II", data, at)
        first, after = at + 8, at + 8 + size
        if kind != COMPRESSED:
            after += -size % 8
        if kind >> 16:  # a small element: its body stands within its tag
            kind, size, first, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if first + size > len(data):
            raise UnreadableMusic("damaged mat: an element is cut short")
        yield kind, data[first : first + size]
        at = after
    raise UnreadableMusic(f"damaged mat: {MOST_PIECES:,} elements in a row")


def _matrix(body, order):
    """(shape, name, further elements) of a matrix; those of a cell array are matrices."""
    _, (_, shape), (_, name), *parts = _elements(body, order)
    shape = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    return shape, bytes(name).decode("latin-1"), parts


def _roll(body, order, *, title):
    shape, _, parts = _matrix(body, order)
    if 0 in shape:
        return Score(notes_array([], [], []), title=title)
    if len(shape) != 2 or shape[1] != KEYS:
        raise UnreadableMusic(f"its shape must be (T, {KEYS}). Received: {shape}")
    kind, numbers = parts[0] if parts else (0, b"")
    dtype = np.dtype(order + NUMBERS.get(kind, "V1"))
    if kind not in NUMBERS or len(numbers) != shape[0] * KEYS * dtype.itemsize:
        raise UnreadableMusic(f"{len(numbers)} bytes are no numbers of shape {shape}")
    roll = np.frombuffer(numbers, dtype).reshape(shape, order="F")
    if not ((roll == 0) | (roll == 1)).all():
        raise UnreadableMusic("a roll holds 0 and 1 alone")
    rows, keys = np.nonzero(roll)
    return _held(rows, np.zeros_like(rows), keys + LOWEST_KEY, QUARTER, 0, title)

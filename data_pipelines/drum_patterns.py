"""Drum-set grooves written by rule: music to learn from that needs no file.

Each style is a set of drum tabs, one line a sound, as drummers write them:

    rock   hat    x-x-x-x-x-x-x-x-
           snare  ----X-------X---
           kick   X-?---?-x-?---?-

A tab fills one bar, so that 16 signs in 4/4 are sixteenths and 12 are triplets: swing is
told by the place. A `?` is drawn once a piece, so that bars repeat. To that come fills,
crashes after them, accents, small differences of loudness, and a last hit.

Reference:
    The rhythms are common knowledge and no one's property: the backbeat, the ride
    pattern of swing, the one drop. Son clave and bossa clave stand in many textbooks;
    for their names and places see Toussaint 2013, The Geometry of Musical Rhythm,
    chapters 7 and 11. What a `?` stands for, how often bars differ and where fills
    begin is our own choice: no recording or transcription was used.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.score import Metre, Score, Tempo, Track, notes_array
from data_pipelines.tokenizers.bars import STEPS_PER_QUARTER
from data_pipelines.tokenizers.remi_grid import BIN_WIDTH, TEMPOS

TICKS_PER_STEP = 40
# Keys of General MIDI's drum kit.
KICK, RIM, SNARE, CLAP, FLOOR_TOM, CLOSED_HAT = 36, 37, 38, 39, 41, 42
PEDAL_HAT, OPEN_HAT, MID_TOM, CRASH, HIGH_TOM, RIDE = 44, 46, 47, 49, 50, 51
BELL, COWBELL, MARACAS, CLAVES = 53, 56, 70, 75
FEET = (KICK, PEDAL_HAT)
CYMBALS = (
    CLOSED_HAT,
    RIDE,
    BELL,
)  # one of these keeps the time; a crash takes its hand
# Of more sounds than two hands can play together, the first of these stay.
BY_WEIGHT = (
    CRASH, SNARE, CLAVES, RIM, CLAP, HIGH_TOM, MID_TOM, FLOOR_TOM, OPEN_HAT, COWBELL,
    RIDE, BELL, CLOSED_HAT, MARACAS,
)  # fmt: skip
LEVELS = {"X": 27, "x": 22, "o": 17, "g": 9, "?": 20, ".": 9}  # in bins of 4
MOST_LOUDER, DEPARTING = 2, 0.1  # a piece as a whole, in bins; hits one bin away
OPTION = 0.4  # how likely a `?` or a `.` is struck
FORMS = ("AAAA", "AAAB", "ABAB", "AABA")  # how four bars repeat
LENGTHS = (8, 12, 16)  # in bars
LASTING = {CRASH: 12}  # steps; what rings, rings on by itself
VARYING = 0.15  # how likely one place of a bar departs from its groove


@dataclass(frozen=True)
class Style:
    """The rules of one style.

    Args:
        name: str.
        metre: str, as "4/4".
        qpm: (lowest, highest), quarter notes a minute.
        lines: tuple of (keys, tabs). One key of a tuple and one tab are drawn for a
            piece. ``X x o g`` are struck always, loud to soft; ``?`` and, as a ghost
            note, ``.`` in some pieces; ``-`` never.
        may_open: bool, whether the hi-hat may open on the last eighth of a bar.
    """

    name: str
    metre: str
    qpm: tuple[int, int]
    lines: tuple
    may_open: bool = False

    @property
    def steps(self):
        """Steps in a bar, 12 to the quarter."""
        beats, unit = map(int, self.metre.split("/"))
        return 4 * STEPS_PER_QUARTER * beats // unit

    @property
    def beat(self):
        """Steps in a beat: a dotted quarter where eighths go by threes."""
        is_compound = self.metre in ("6/8", "12/8")
        return STEPS_PER_QUARTER * 3 // 2 if is_compound else STEPS_PER_QUARTER

    @property
    def grid(self):
        """The steps between two signs of the finest tab."""
        return self.steps // max(len(tab) for _, tabs in self.lines for tab in tabs)


TIME = (CLOSED_HAT, CLOSED_HAT, RIDE)
SON_CLAVE = "X--X--X---X-X---"  # three strokes, then two
BOSSA_CLAVE = "x--x--x---x--x--"  # its last stroke comes later
STYLES = (
    Style("rock", "4/4", (100, 140), (
        (TIME, ("x-x-x-x-x-x-x-x-", "X-o-X-o-X-o-X-o-", "x?o-x-o?x?o-x-o?", "x-?-x-?-x-?-x-?-")),
        ((SNARE,), ("----X--.----X---", "----X-----.-X--.")),
        ((KICK,), ("X-?---??x-?---?-", "X--?--?-?-x?--??", "X-?-?-?-x-?-?-?-")),
    ), True),
    Style("ghosted backbeat", "4/4", (84, 112), (
        (TIME, ("x-o-x-o-x-o-x-o-",)),
        ((SNARE,), ("-.--X-.g-.--X-.-", "---.X--g-g-.X--.")),
        ((KICK,), ("X--?--?-?-x--?--", "X-?----?--x?----")),
    ), True),
    Style("funk", "4/4", (88, 108), (
        ((CLOSED_HAT,), ("XoxoXoxoXoxoXoxo", "x-xxx-xxx-xxx-xx", "X-x?X-x?X-x?X-x?")),
        ((SNARE,), ("-.-.X--g-g-.X--.", "----X-.g-.-.X-.-")),
        ((KICK,), ("X-?--?--??x--?--", "X--x--?--?x--?-?")),
    ), True),
    Style("house", "4/4", (118, 130), (
        ((OPEN_HAT,), ("--x---x---x---x-",)),
        ((CLOSED_HAT, MARACAS), ("?-----?---?-----", "-?-?-?-?-?-?-?-?", "o---o---o---o---")),
        ((CLAP, SNARE), ("----X-------X---", "----X--.----X-.-")),
        ((KICK,), ("X---X---X---X---", "X---X---X---X-?-")),
    )),
    Style("half time", "4/4", (120, 152), (
        (TIME, ("X---x---X---x---", "x-o-x-o-x-o-x-o-")),
        ((SNARE,), ("------.-X-----.-", "---.----X--.---.")),
        ((KICK,), ("X-?---?---?---?-", "X--?-?----x--?--")),
    ), True),
    Style("shuffle", "4/4", (104, 140), (
        (TIME, ("x-ox-ox-ox-o", "x-?x-ox-?x-o", "x?ox-ox?ox-o")),
        ((SNARE,), ("--.X-.--.X-.", "-..X--.-.X.-")),
        ((KICK,), ("X-?--?x-?--?", "X--?-?x--?-?", "X-?x--x-?x-?")),
    )),
    Style("swing", "4/4", (126, 190), (
        ((RIDE, RIDE, CLOSED_HAT), ("x--X-ox--X-o",)),
        ((PEDAL_HAT,), ("---x-----x--",)),
        ((SNARE,), ("--.----.---.", "-----.--.---", "--.--.--.--.")),
        ((KICK,), ("g--g--g--g--", "-----?-----?", "g-----g----?")),
    )),
    Style("bossa nova", "4/4", (60, 76), (
        ((CLOSED_HAT, CLOSED_HAT, MARACAS), ("ooooo?oo?oooo?o?", "x-o?x-o?x-o?x-o?", "x?oox?oox?oox?oo")),
        ((RIM,), (BOSSA_CLAVE, BOSSA_CLAVE[8:] + BOSSA_CLAVE[:8])),
        ((KICK,), ("x--ox--ox--ox--o", "x--?x--?x--?x--?")),
        ((PEDAL_HAT,), ("----o-------o---", "----------------")),
    )),
    Style("samba", "2/4", (92, 116), (
        ((CLOSED_HAT, MARACAS, RIDE), ("XooxXoox", "xooxxoox")),
        ((FLOOR_TOM,), ("----X---",)),
        ((SNARE, RIM), ("..-..-.-", "x-.-.x-.", "-.x--x.-")),
        ((KICK,), ("x--ox--o",)),
    )),
    Style("one drop", "4/4", (120, 152), (
        ((CLOSED_HAT,), ("x-o?x-o?x-o?x-o?", "o?X-o?X-o?X-o?X-", "x--ox?-ox--ox?-o", "--x?--x?--x?--x?")),
        ((RIM, SNARE), ("--?-----X---?-?-", "------??X----?--", "---?----X--?--?-")),
        ((KICK,), ("--------X-------",)),
    ), True),
    Style("son clave 3:2", "4/4", (84, 108), (
        ((CLAVES,), (SON_CLAVE,)),
        ((COWBELL, MARACAS), ("x-o?x-o?x-o?x-o?", "x-?-x-??x-?-x-??", "x-?ox-?ox-?ox-?o")),
        ((KICK,), ("------x-----x---", "?-----x--?--x-?-", "--?---x--?--x---")),
    )),
    Style("son clave 2:3", "4/4", (84, 108), (
        ((CLAVES,), (SON_CLAVE[8:] + SON_CLAVE[:8],)),
        ((COWBELL, MARACAS), ("x-o?x-o?x-o?x-o?", "x-?-x-??x-?-x-??", "x-?ox-?ox-?ox-?o")),
        ((KICK,), ("------x-----x---", "?-----x--?--x-?-", "----x-?-------x-")),
    )),
    Style("waltz", "3/4", (92, 168), (
        ((SNARE, RIM), ("----o---o---", "----x---o-?-", "----o---o-.-")),
        ((CLOSED_HAT, RIDE, RIDE), ("x---x---x---", "x-?-x-o-x-?-", "x---x-?-x-o-")),
        ((KICK,), ("X-----------", "X-----?-----", "X---------?-")),
        ((PEDAL_HAT,), ("----o---o---", "------------")),
    )),
    Style("ballad", "6/8", (66, 99), (
        ((CLOSED_HAT, RIDE), ("x-o-o-x-o-o-", "x-o-oox-o-o-", "x?o-o-x-o?o-")),
        ((SNARE, SNARE, RIM), ("-----.X--.--", "---.--X----.")),
        ((KICK,), ("X---?----?--", "X----?----?-", "X-?-------?-")),
    ), True),
    Style("blues", "12/8", (84, 120), (
        ((CLOSED_HAT, RIDE), ("xooxooxooxoo", "x-ox-ox-ox-o", "x?ox?ox?ox?o", "xo?xo?xo?xo?")),
        ((SNARE,), ("--.X-.-.-X-.", "-.-X--.--X.-", "---X-.-..X-.")),
        ((KICK,), ("X-?--?x-?--?", "X-??--x-??-?", "X-?--?x-?-?-")),
    )),
    Style("march", "2/4", (104, 124), (
        ((SNARE,), ("X-?oX?oo", "X?o-Xo?o", "x-o?X?o?", "X?o?Xo-?")),
        ((KICK,), ("X---X---", "X---x-?-", "X-?-x---")),
        ((PEDAL_HAT,), ("----x---", "--x---x-", "--------")),
    )),
    Style("train", "4/4", (100, 132), (
        ((SNARE,), ("oo?oX?oooo?oX?oo", "o?XoX?Xoo?XoX?Xo", "o?oxX?o?o?oxX?.?")),
        ((KICK,), ("X-?-?-?-X-?-?-?-", "X---x---X---x-?-", "X-----?-X-?---?-")),
        ((PEDAL_HAT,), ("----x-------x---", "--x---x---x---x-", "----------------")),
    )),
)  # fmt: skip


def drum_pieces(count, seed=0):
    """Drum-set pieces of all styles in turn.

    Args:
        count: int, at least 0.
        seed: int, at least 0. Piece k is the same whatever the count is.

    Returns:
        list of `Score` of one drum track, 8 to 16 bars each, titled with its style.
        Times lie on a grid of 12 to the quarter; tempos and velocities are ones that
        the `remi` tokenizer keeps as they are.

    Raises:
        ValueError: if a number is below 0.
    """
    for name, value in (("count", count), ("seed", seed)):
        if value < 0:
            raise ValueError(f"`{name}` must be at least 0. Received: {value}")
    return [
        drum_piece(STYLES[k % len(STYLES)], np.random.default_rng([seed, k]))
        for k in range(count)
    ]


def drum_piece(style, rng):
    """One piece of a style, drawn from a NumPy generator."""
    groove = _drawn(style, rng)
    bars = {"A": groove, "B": _varied(groove, style, rng)}
    if style.may_open and rng.random() < 0.5:
        bars["B"] = _opened(bars["B"], style)
    form = FORMS[rng.integers(len(FORMS))]
    length = int(rng.choice(LENGTHS))
    every = int(rng.choice((4, 8)))
    fill = _fill(style, rng)
    follows_fill = rng.random() < 0.3  # some pieces begin with a crash
    notes = []
    for number in range(length):
        hits = bars[form[number % 4]]
        if rng.random() < VARYING:
            hits = _varied(hits, style, rng)
        if follows_fill:
            hits = _with_crash(hits)
        follows_fill = (number + 1) % every == 0
        if number + 1 == length:
            hits = _ended(hits, style)
        elif follows_fill:
            if rng.random() < 0.4:
                fill = _fill(style, rng)
            start = min(step for step, _ in fill)
            hits = {place: hit for place, hit in hits.items() if place[0] < start}
            hits |= fill
        notes += [
            (number * style.steps + step, key, level)
            for (step, key), level in _two_hands(hits).items()
        ]
    return _score(style, np.array(notes), rng)


def _drawn(style, rng):
    """The groove of a piece: dict of (step, key) -> level, a letter of `LEVELS`."""
    hits = {}
    for keys, tabs in style.lines:
        key = keys[rng.integers(len(keys))]
        tab = tabs[rng.integers(len(tabs))]
        for step, sign in _places(tab, style):
            if sign not in "?." or rng.random() < OPTION:
                hits.setdefault((step, key), LEVELS[sign])
    return hits


def _places(tab, style):
    width = style.steps // len(tab)
    return [(n * width, sign) for n, sign in enumerate(tab) if sign != "-"]


def _options(style, keys):
    """The places that a piece may strike or not: set of (step, key, level)."""
    return sorted(
        {
            (step, key, LEVELS[sign])
            for own, tabs in style.lines
            for key in set(own) & keys
            for tab in tabs
            for step, sign in _places(tab, style)
            if sign in "?."
        }
    )


def _varied(hits, style, rng):
    """The same bar with one of its style's options struck, or no longer struck."""
    options = _options(style, {key for _, key in hits})
    free = [o for o in options if hits.get(o[:2], o[2]) == o[2]]
    if not free:
        return hits
    step, key, level = free[rng.integers(len(free))]
    varied = dict(hits)
    if varied.pop((step, key), None) is None:
        varied[step, key] = level
    return varied


def _opened(hits, style):
    """The same bar, its last closed hi-hat on an eighth open."""
    closed = [step for step, key in hits if key == CLOSED_HAT and step % 6 == 0]
    if not closed:
        return hits
    opened = dict(hits)
    opened[max(closed), OPEN_HAT] = opened.pop((max(closed), CLOSED_HAT))
    return opened


def _fill(style, rng):
    """Strokes down the kit at the end of a bar: dict of (step, key) -> level."""
    beats = style.steps // style.beat
    start = style.steps - int(rng.integers(1, max(2, beats // 2 + 1))) * style.beat
    width = max(style.grid, 3)
    places = np.arange(start, style.steps, width)
    drums = (SNARE, HIGH_TOM, MID_TOM, FLOOR_TOM)[: rng.integers(2, 5)]
    hits = {}
    for n, step in enumerate(places.tolist()):
        is_beat = (step - start) % style.beat == 0
        if is_beat or rng.random() < 0.85:
            drum = drums[n * len(drums) // len(places)]
            hits[step, drum] = LEVELS["X" if is_beat else "x"]
        if is_beat:
            hits[step, KICK] = LEVELS["x"]
    return hits


def _with_crash(hits):
    """The same bar with a crash and a kick on its first beat."""
    kept = {p: h for p, h in hits.items() if p[0] or p[1] not in CYMBALS}
    return kept | {(0, CRASH): LEVELS["X"], (0, KICK): LEVELS["X"]}


def _ended(hits, style):
    """The last bar: up to its last beat, and there the last hit."""
    last = style.steps - style.beat
    kept = {place: hit for place, hit in hits.items() if place[0] < last}
    return kept | {(last, CRASH): LEVELS["X"], (last, KICK): LEVELS["X"]}


def _two_hands(hits):
    """What a drummer can play of it: two sounds at a time, and the feet."""
    by_weight = sorted(
        hits, key=lambda p: BY_WEIGHT.index(p[1]) if p[1] not in FEET else -1
    )
    playable, busy = {}, {}
    for step, key in by_weight:
        if key not in FEET:
            busy[step] = busy.get(step, 0) + 1
            if busy[step] > 2:
                continue
        playable[step, key] = hits[step, key]
    return playable


def _score(style, notes, rng):
    """A `Score` from rows of (step, key, level), as a person would strike them."""
    notes = notes[np.lexsort((notes[:, 1], notes[:, 0]))]
    step, key, level = notes.T
    level = level + rng.integers(-MOST_LOUDER, MOST_LOUDER + 1)
    departs = rng.random(len(level)) < DEPARTING
    level = level + departs * rng.choice((-1, 1), len(level))
    lasting = np.array([LASTING.get(k, 2) for k in key.tolist()])
    low, high = style.qpm
    tempos = TEMPOS[(low <= TEMPOS) & (high >= TEMPOS)]
    return Score(
        notes_array(
            step * TICKS_PER_STEP,
            lasting * TICKS_PER_STEP,
            key,
            BIN_WIDTH * level + BIN_WIDTH // 2,
        ),
        ticks_per_quarter=TICKS_PER_STEP * STEPS_PER_QUARTER,
        tracks=(Track("Drums", 0, True),),
        tempos=(Tempo(0, float(rng.choice(tempos))),),
        metres=(Metre(0, *map(int, style.metre.split("/"))),),
        title=style.name,
    )

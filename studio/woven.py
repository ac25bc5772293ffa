"""One track written anew among others that stay, in `remi` tokens.

In `remi` the tracks of a bar stand in one row of tokens: by position, then from the
lowest program up, the drums last. What stays has to come exactly in its place of that
row, and between two of its notes the writer may put notes of its own.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.tokenizers.remi_grid import DRUMS

NOWHERE = -1
TOKENS_OF_A_NOTE = 3
# Columns of a place: where the grammar stands, bars begun after the first, the position
# and the program last named in this bar, given notes passed, tokens of the next one
# passed after its program, tokens of the voice's notes in this bar, places of the suffix passed.
STATE, BAR, POSITION, NAMED, PASSED, WITHIN, WRITTEN, SUFFIX = range(8)


@dataclass(frozen=True)
class GivenNote:
    """A note that stays: its bar, counted from the gap's first, and its tokens."""

    bar: int
    position: int
    voice: int  # its program, or `DRUMS`
    tokens: tuple[int, int, int]  # what is struck, how hard, how long


def given_notes(ids, kinds, first_bar, bars, without):
    """The notes that some tokens hold in some bars, in order: list of `GivenNote`.

    Args:
        ids: int array (T,), of `remi`.
        kinds: dict of kind -> int array of its ids.
        first_bar: int, which ``bar`` token begins the first of these bars.
        bars: int, how many.
        without: int, a program whose notes are left out.
    """
    found, position, named = [], 0, 0
    bar = np.cumsum(ids == kinds["bar"][0]) - 1 - first_bar
    for place in np.flatnonzero((bar >= 0) & (bar < bars)).tolist():
        token = int(ids[place])
        if token == kinds["bar"][0]:
            position, named = 0, NOWHERE
        elif token in kinds["position"]:
            position = token - int(kinds["position"][0])
        elif token in kinds["program"]:
            named = token - int(kinds["program"][0])
        elif token in kinds["pitch"] or token in kinds["drum"]:
            voice = DRUMS if token in kinds["drum"] else named
            if voice != without:
                tokens = tuple(ids[place : place + 3].tolist())
                found.append(GivenNote(int(bar[place]), position, voice, tokens))
    return found


class Woven:
    """A path for `particles.fill`: bars in which one voice is free and the rest given.

    Args:
        grammar: has ``allowed`` and ``next_state``, (states, V).
        state: int, where the grammar stands before the first place, a bar just begun.
        kinds: dict of kind -> int array of its ids.
        voice: int, the program that is written, or `DRUMS`.
        given: list of `GivenNote`, none of that voice, in the order of their tokens.
        bars: int, how many.
        suffix: int array (S,), what follows; its first token, a `bar` or EOS, is where
            the writing ends.
        never: bool array (V,), tokens that may not be written.
        quota: int: after so many tokens of its notes in a bar the voice begins no more.
    """

    def __init__(
        self, grammar, state, kinds, *, voice, given, bars, suffix, never, quota
    ):
        self.grammar, self.state, self.voice = grammar, int(state), voice
        self.given, self.bars, self.quota = given, bars, quota
        self.suffix = np.asarray(suffix, dtype=np.int64)
        self.first = {kind: int(ids[0]) for kind, ids in kinds.items()}
        self.vocab_size = grammar.allowed.shape[1]
        self.most = bars * (quota + 8) + 8 * len(given) + len(self.suffix)
        strikes = kinds["drum" if voice == DRUMS else "pitch"]
        self.own = np.zeros(self.vocab_size, dtype=bool)
        self.own[strikes] = True
        self.own &= ~never
        self.positions = np.zeros(self.vocab_size, dtype=bool)
        self.positions[kinds["position"]] = True
        self.details = np.zeros(self.vocab_size, dtype=bool)
        self.details[kinds["velocity"]] = self.details[kinds["duration"]] = True
        self.program = self._is("program", kinds)
        self.struck = self._is("pitch", kinds) | self._is("drum", kinds)

    def _is(self, kind, kinds):
        table = np.zeros(self.vocab_size, dtype=bool)
        table[kinds[kind]] = True
        return table

    def places(self, rows):
        """Where all writers begin."""
        start = [self.state, 0, NOWHERE, NOWHERE, 0, 0, 0, 0]
        return np.tile(start, (rows, 1))

    def may(self, places):
        """What may stand next: bool array (K, V)."""
        may = np.zeros((len(places), self.vocab_size), dtype=bool)
        for row, place in enumerate(places.tolist()):
            self._mark(may[row], place)
            may[row] &= self.grammar.allowed[place[STATE]]
        return may

    def _mark(self, may, place):
        if place[SUFFIX]:
            if place[SUFFIX] < len(self.suffix):
                may[self.suffix[place[SUFFIX]]] = True
            return
        if place[WITHIN]:  # a given note was struck
            may[self.given[place[PASSED]].tokens[place[WITHIN]]] = True
            return
        allowed = self.grammar.allowed[place[STATE]]
        if (allowed & self.details).any():  # an own note was struck
            may |= self.details
            return
        note = self._next(place)
        is_here = note is not None and note.position == place[POSITION]
        # At a place that was just named a note has to stand, whatever the quota.
        must_write = not allowed[self.first["bar"]]
        may_write = place[POSITION] != NOWHERE
        may_write &= must_write or place[WRITTEN] < self.quota
        may_write &= not self._is_late(place)
        if is_here:
            may[self._opening(note, place)] = True
            may_write &= note.voice > self.voice
        if (may_write and place[NAMED] == self.voice) or (
            may_write and self.voice == DRUMS
        ):
            may |= self.own
        elif may_write:
            may[self.first["program"] + self.voice] = True
        if is_here:
            return
        until = len(self.positions) if note is None else note.position
        first = self.first["position"]
        if place[WRITTEN] >= self.quota and note is not None:
            may[first + until] = True
        elif place[WRITTEN] < self.quota:
            reach = np.flatnonzero(self.positions)
            reach = reach[(reach > first + place[POSITION]) & (reach <= first + until)]
            may[reach] = True
        if note is None:
            is_last = place[BAR] == self.bars - 1
            may[self.suffix[0] if is_last else self.first["bar"]] = True

    def _next(self, place):
        """The next given note of this bar, or None."""
        if place[PASSED] < len(self.given):
            note = self.given[place[PASSED]]
            if note.bar == place[BAR]:
                return note
        return None

    def _is_late(self, place):
        """Whether a note that stands behind the voice's was passed at this position."""
        if not place[PASSED]:
            return False
        note = self.given[place[PASSED] - 1]
        here = (place[BAR], place[POSITION])
        return (note.bar, note.position) == here and note.voice > self.voice

    def _opening(self, note, place):
        """The token that a given note begins with, at its position."""
        if note.voice == DRUMS or note.voice == place[NAMED]:
            return note.tokens[0]
        return self.first["program"] + note.voice

    def may_end(self, places):
        """Whether the music could end here."""
        is_last = (places[:, BAR] == self.bars - 1) & (places[:, SUFFIX] == 0)
        return is_last & self.grammar.allowed[places[:, STATE], 2]

    def is_over(self, places):
        """Which writers have written all."""
        return places[:, SUFFIX] >= len(self.suffix)

    def after(self, places, ids):
        """Where the writers stand after these tokens."""
        following = places.copy()
        for row, (place, token) in enumerate(
            zip(places.tolist(), np.asarray(ids).tolist(), strict=True)
        ):
            following[row] = self._moved(place, token)
        following[:, STATE] = self.grammar.next_state[places[:, STATE], ids]
        return following

    def _moved(self, place, token):
        place = list(place)
        if place[SUFFIX]:
            place[SUFFIX] += 1
            return place
        note = self._next(place)
        if place[WITHIN]:
            place[WITHIN] += 1
            if place[WITHIN] == 3:
                place[PASSED], place[WITHIN] = place[PASSED] + 1, 0
        elif note is None and place[BAR] == self.bars - 1 and token == self.suffix[0]:
            place[SUFFIX] = 1
        elif token == self.first["bar"]:
            place[BAR] += 1
            place[POSITION], place[NAMED], place[WRITTEN] = NOWHERE, NOWHERE, 0
        elif self.positions[token]:
            place[POSITION] = token - self.first["position"]
        elif self.program[token]:
            place[NAMED] = token - self.first["program"]
        elif self.struck[token] and self._is_given(note, place, token):
            place[WITHIN] = 1
        elif self.struck[token]:
            place[WRITTEN] += TOKENS_OF_A_NOTE
        return place

    def _is_given(self, note, place, token):
        """Whether what is struck is the given note, and not one of the voice."""
        if note is None or note.position != place[POSITION] or note.tokens[0] != token:
            return False
        return note.voice in (DRUMS, place[NAMED]) and note.voice != self.voice

    def may_copy(self, t):
        """Writers stand at different places: none is copied over another."""
        return False

"""The vocabulary: which integer stands for which musical event.

A vocabulary is a row of blocks laid end to end. Each block is an event type
with a closed range of values, so

    pad 0 | bos 0 | eos 0 | unk 0 | pitch 0..127 | hold 0 | rest 0
    id: 0       1       2       3         4 .. 131    132      133

Every id belongs to exactly one block: no gap, no overlap. The first four are
reserved in every vocabulary of the kit, so that PAD is 0 everywhere.
Follows the codec of MT3 (Gardner et al., 2022, https://arxiv.org/abs/2111.03017).
"""

from dataclasses import dataclass

import numpy as np

PAD, BOS, EOS, UNK = range(4)


@dataclass(frozen=True)
class Event:
    """One musical instruction, for example ``Event("pitch", 60)``."""

    kind: str
    value: int = 0

    def __str__(self):
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True)
class EventRange:
    """All the events of one kind, ``low`` and ``high`` both included."""

    kind: str
    low: int = 0
    high: int = 0

    def __len__(self):
        return self.high - self.low + 1


RESERVED = tuple(EventRange(kind) for kind in ("pad", "bos", "eos", "unk"))


class Vocabulary:
    """A two-way map between events and token ids.

    Args:
        ranges: sequence of `EventRange`, after the four reserved ones. Their
            order fixes the ids: a reordered vocabulary is a different one.

    Raises:
        ValueError: if two ranges share a kind, or one of them is empty.

    Example:
    >>> vocabulary = Vocabulary([EventRange("pitch", 21, 108)])
    >>> vocabulary.encode(Event("pitch", 60))
    43
    >>> vocabulary.decode(43)
    Event(kind='pitch', value=60)
    """

    def __init__(self, ranges):
        self.ranges = RESERVED + tuple(ranges)
        self._first_id = {}
        next_id = 0
        for r in self.ranges:
            if r.kind in self._first_id:
                raise ValueError(f"Two ranges are called {r.kind!r}.")
            if len(r) < 1:
                raise ValueError(f"The range {r.kind!r} is empty: {r.low}..{r.high}.")
            self._first_id[r.kind] = next_id
            next_id += len(r)
        self.vocab_size = next_id

    def ids(self, kind):
        """The ids of one kind of event, as a `range`."""
        r = self._range(kind)
        return range(self._first_id[kind], self._first_id[kind] + len(r))

    def encode(self, event):
        """The id of one `Event`.

        Raises:
            ValueError: if the vocabulary lacks the kind, or the value.
        """
        r = self._range(event.kind)
        if not r.low <= event.value <= r.high:
            raise ValueError(
                f"{event.kind} {event.value} is outside {r.low}..{r.high}."
            )
        return self._first_id[r.kind] + event.value - r.low

    def decode(self, token_id):
        """The `Event` of one id.

        Raises:
            ValueError: if the id lies outside the vocabulary.
        """
        for r in self.ranges:
            offset = int(token_id) - self._first_id[r.kind]
            if 0 <= offset < len(r):
                return Event(r.kind, r.low + offset)
        raise ValueError(f"Token id {token_id} is outside 0..{self.vocab_size - 1}.")

    def to_json(self):
        """The ranges as JSON: ``[["pad", 0, 0], ...]``. Two are equal, or differ."""
        return [[r.kind, r.low, r.high] for r in self.ranges]

    def _range(self, kind):
        for r in self.ranges:
            if r.kind == kind:
                return r
        raise ValueError(f"This vocabulary has no event called {kind!r}.")


def ids_before_end(ids, vocab_size):
    """The token ids that come before the first EOS, all of them in the vocabulary.

    Args:
        ids: int array (T,). vocab_size: int.

    Returns:
        int64 array (at most T,). What follows an EOS is checked too, and left out.

    Raises:
        ValueError: if an id lies outside 0..vocab_size - 1.

    Example:
    >>> ids_before_end([BOS, 7, EOS, PAD], 8).tolist()
    [1, 7]
    """
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocab_size):
        raise ValueError(
            f"Token ids must be in 0..{vocab_size - 1}. "
            f"Received: {ids.min()}..{ids.max()}"
        )
    ends = np.flatnonzero(ids == EOS)
    return ids[: ends[0]] if len(ends) else ids

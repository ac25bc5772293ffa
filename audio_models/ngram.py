"""n-gram models, counted: the floor that a network must beat to have learnt anything."""

from dataclasses import dataclass

import numpy as np

SMOOTHINGS = ("witten-bell", "back-off")
# A token goes by a name of 22 bits: its id, or how far it lies from the note before.
NAME_BITS = 22
INTERVAL = 1 << 20  # the name of a repeated note
INTERVALS_BEGIN = 1 << 19  # every id is below it, every interval above
BEFORE = (1 << NAME_BITS) - 1  # what stands before a piece begins
NOWHERE = -1  # no context
LEAST_DISCOUNT, MOST_DISCOUNT = 0.1, 0.9
TINY = np.finfo(float).tiny


@dataclass(frozen=True)
class Level:
    """All contexts of one length, and what followed each: a trie's floor, as arrays.

    A context is known by its place in `contexts`; the one that is a token shorter is
    its parent, on the level before. On the first level the context is empty, but for
    whether a note has been heard.
    """

    contexts: np.ndarray  # (C,) int64, sorted: parent << NAME_BITS | oldest name
    begins: np.ndarray  # (C + 1,): where the grams of each context begin
    grams: np.ndarray  # (G,) int64, sorted: context << NAME_BITS | name that followed
    counts: np.ndarray  # (G,), how often it did
    until: np.ndarray  # (G + 1,), the sum of the counts before
    shorter_until: np.ndarray  # (G + 1,), that of the counts that the parent has
    discount: float  # what back-off takes from each count


class NGram:
    """n-gram of every order up to `max_order`, with probabilities that sum to one.

    With c the k tokens before w, c' the k - 1 before, n(c) how often c was seen and
    t(c) how many different tokens after it, Witten-Bell interpolates,

        p_k(w | c) = (n(c w) + t(c) p_(k-1)(w | c')) / (n(c) + t(c))

    and back-off asks the shorter context only for what the longer has never seen:

        p_k(w | c) = (n(c w) - d) / n(c)          where n(c w) > 0
                     (d t(c) / n(c)) p_(k-1)(w | c') / u(c)     elsewhere

    where u(c) is the mass that p_(k-1) gives to all those unseen tokens, and d, one for
    each order, is n1 / (n1 + 2 n2), n1 and n2 how many grams were seen once and twice,
    kept within 0.1..0.9. A context that follows all tokens of the vocabulary keeps its
    whole mass. Order 0 leans on the uniform distribution, and an unseen context on the
    shorter one.

    Args:
        vocab_size: int, at most 2^19.
        max_order: int, the longest context in tokens.
        note_ids: range of ids that strike a note, or None. With a range, notes are
            counted as intervals from the last note before: the model then knows
            every transposition of what it read, as if trained on all of them.
            Intervals that would lead out of the range are left out of a context's
            counts, where it is asked.
        smoothing: str, "witten-bell" or "back-off".

    Reference:
        Witten & Bell 1991; Chen & Goodman 1999, section 2.2. Back-off: Katz 1987, with
        absolute discounting (Ney, Essen & Kneser 1994) in the place of Good-Turing's.
    """

    def __init__(
        self, vocab_size, max_order=16, note_ids=None, *, smoothing="witten-bell"
    ):
        if smoothing not in SMOOTHINGS:
            raise ValueError(
                f"`smoothing` must be one of {', '.join(SMOOTHINGS)}. "
                f"Received: {smoothing!r}"
            )
        self.vocab_size = vocab_size
        self.max_order = max_order
        self.note_ids = note_ids
        self.smoothing = smoothing
        self._levels = []
        self._lowest = self._highest = 0  # the widest intervals that were counted

    def fit(self, pieces):
        """Count. Args: pieces, a list of int arrays. Returns: self."""
        read = _Read(pieces, self.note_ids)
        target = read.target()
        intervals = target[target >= INTERVALS_BEGIN] - INTERVAL
        self._lowest = int(intervals.min(initial=0))
        self._highest = int(intervals.max(initial=0))
        self._levels = []
        context = read.is_heard.astype(np.int64)
        for order in range(self.max_order + 1):
            contexts, context = np.unique(context, return_inverse=True)
            grams, counts = np.unique(context << NAME_BITS | target, return_counts=True)
            self._levels.append(self._level(contexts, grams, counts))
            if order < self.max_order:
                context = context << NAME_BITS | read.before(order + 1)
        return self

    def _level(self, contexts, grams, counts):
        until = np.r_[0, np.cumsum(counts)]
        begins = np.searchsorted(grams, np.arange(len(contexts) + 1) << NAME_BITS)
        discount, shorter_until = 0.0, until
        if self.smoothing == "back-off":
            once, twice = ((counts == times).sum() for times in (1, 2))
            ratio = once / max(1, once + 2 * twice)
            discount = float(np.clip(ratio, LEAST_DISCOUNT, MOST_DISCOUNT))
            if self._levels:
                parent = contexts[grams >> NAME_BITS] >> NAME_BITS
                shorter = self._levels[-1]
                shorter_grams = parent << NAME_BITS | (grams & BEFORE)
                found = np.searchsorted(shorter.grams, shorter_grams)
                shorter_until = np.r_[0, np.cumsum(shorter.counts[found])]
        return Level(contexts, begins, grams, counts, until, shorter_until, discount)

    def log_probabilities(self, piece):
        """What each token of a piece, but the first, was worth.

        Args:
            piece: int array (T,).

        Returns:
            float64 array (max_order + 1, T - 1), nats: row k uses contexts up to k.
        """
        read = _Read([piece], self.note_ids)
        target = read.target()
        p = np.full(len(target), 1 / self.vocab_size)  # (T - 1,)
        wanted, shorter, rows = read.is_heard.astype(np.int64), None, []
        for order, level in enumerate(self._levels):
            context, is_known = _look_up(level.contexts, wanted)
            gram, is_seen = _look_up(level.grams, context << NAME_BITS | target)
            edges = self._edges(level, context, read.base)
            total, kinds = _between(level.until, edges), _between(None, edges)
            is_known &= kinds > 0
            seen = np.where(is_seen, level.counts[gram], 0)
            if self.smoothing == "witten-bell":
                new = (seen + kinds * p) / np.maximum(1, total + kinds)
            else:
                taken = np.where(kinds < self.vocab_size, level.discount, 0.0)
                if shorter is None:
                    spoken_for = kinds / self.vocab_size
                else:
                    counted = _between(level.shorter_until, edges)
                    spoken_for = (counted - shorter[1] * kinds) / shorter[0]
                total = np.maximum(1, total)
                left = np.where(kinds < self.vocab_size, 1 - spoken_for, 1.0)
                rest = taken * kinds / total * p / np.where(is_known, left, 1.0)
                new = np.where(is_seen, (seen - taken) / total, rest)
                shorter = total, taken
            p = np.where(is_known, new, p)
            rows.append(np.log(p))
            if order < self.max_order:
                longer = context << NAME_BITS | read.before(order + 1)
                wanted = np.where(is_known, longer, NOWHERE)
        return np.stack(rows)

    def distribution(self, recent, last_note=0):
        """What may come next, after tokens that need never have been seen.

        Args:
            recent: int array (max_order,), the tokens before, the newest first; -1
                where the piece had not begun.
            last_note: int, id of the last note struck, 0 where there is none.

        Returns:
            float64 array (vocab_size,), summing to one.
        """
        first, stop = _bounds(self.note_ids)
        is_note = (recent >= first) & (recent < stop) & (last_note > 0)
        names = np.where(is_note, recent - last_note + INTERVAL, recent)
        names = np.where(recent < 0, BEFORE, names).tolist()
        p = np.full(self.vocab_size, 1 / self.vocab_size)
        wanted = int(last_note > 0)
        for order, level in enumerate(self._levels):
            context = int(level.contexts.searchsorted(wanted))
            if context == len(level.contexts) or level.contexts[context] != wanted:
                break
            low, middle, begin, end = self._edges(level, context, last_note)
            followed = level.grams[begin:end] & BEFORE
            counts = level.counts[begin:end]
            if middle > low:
                followed = np.r_[level.grams[low:middle] & BEFORE, followed]
                counts = np.r_[level.counts[low:middle], counts]
            if not (kinds := len(followed)):
                break
            ids = followed
            if self.note_ids:
                ids = followed + (followed >= INTERVALS_BEGIN) * (last_note - INTERVAL)
            total = int(counts.sum())
            if self.smoothing == "witten-bell":
                p *= kinds / (total + kinds)
                p[ids] += counts / (total + kinds)
            else:
                taken = level.discount if kinds < self.vocab_size else 0.0
                p[ids] = 0
                p *= taken * kinds / total / max(p.sum(), TINY)
                p[ids] = (counts - taken) / total
            if order < self.max_order:
                wanted = context << NAME_BITS | names[order]
        return p

    def _edges(self, level, context, base):
        """The grams of contexts that a note `base` leaves possible, in two spans.

        Returns:
            (low, middle, begin, end): they lie in low..middle and begin..end.
        """
        low, end = level.begins[context], level.begins[context + 1]
        if not self.note_ids:
            return low, low, low, end
        first, stop = self.note_ids.start, self.note_ids.stop
        is_near = (base > 0) & (base + self._lowest < first)
        is_near |= (base > 0) & (base + self._highest >= stop)
        if not np.any(is_near):
            return low, low, low, end
        key = context << NAME_BITS
        middle, begin, above = (
            np.searchsorted(level.grams, key | name)
            for name in (
                INTERVALS_BEGIN,
                INTERVAL + first - base,
                INTERVAL + stop - base,
            )
        )
        return (
            low,
            np.where(is_near, middle, low),
            np.where(is_near, begin, low),
            np.where(is_near, above, end),
        )


class _Read:
    """Pieces end to end, as names: every token but the first of its piece.

    ``base`` is the last note before each, 0 where there is none or none are counted as
    intervals; ``is_heard`` whether there is one.
    """

    def __init__(self, pieces, note_ids):
        first, stop = _bounds(note_ids)
        columns = []
        for piece in pieces:
            ids = np.asarray(piece, dtype=np.int64)
            place = np.arange(len(ids))
            is_note = (ids >= first) & (ids < stop)
            last = np.maximum.accumulate(np.where(is_note, place, -1))
            reference = np.where(last >= 0, ids[last], 0)
            columns.append((ids, is_note, reference, place))
        self.ids, self.is_note, reference, place = (
            np.concatenate(c) for c in zip(*columns, strict=True)
        )
        self.here = np.flatnonzero(place > 0)
        self.place = place[self.here]
        self.base = reference[self.here - 1]
        self.is_heard = self.base > 0

    def target(self):
        """The name of each token."""
        return self._named(self.here)

    def before(self, order):
        """The name of what stands `order` places before each."""
        # Before a piece begins, one name stands: short contexts stay themselves.
        reaches = self.place >= order
        return np.where(
            reaches, self._named(np.where(reaches, self.here - order, 0)), BEFORE
        )

    def _named(self, index):
        ids = self.ids[index]
        is_interval = self.is_note[index] & self.is_heard
        return np.where(is_interval, ids - self.base + INTERVAL, ids)


class Copy:
    """The token `lag` places before, again; else a token by its frequency.

    `lag` (in 1..`max_lag`: a bar of the music, as a rule) and the trust in it,
    `repeat`, are the ones that suit the pieces best.
    """

    def __init__(self, vocab_size, max_lag=48):
        self.vocab_size = vocab_size
        self.max_lag = max_lag

    def fit(self, pieces):
        """Count. Args: pieces, a list of int arrays. Returns: self."""
        counts = np.ones(self.vocab_size)
        for piece in pieces:
            counts += np.bincount(piece[1:], minlength=self.vocab_size)
        self._unigram = counts / counts.sum()
        agreements = [
            sum(int((piece[lag:] == piece[:-lag]).sum()) for piece in pieces)
            for lag in range(1, self.max_lag + 1)
        ]
        self.lag = 1 + int(np.argmax(agreements))
        tried = np.arange(0.0, 1.0, 0.05)
        worth = [sum(self._row(p, trust).sum() for p in pieces) for trust in tried]
        self.repeat = float(tried[int(np.argmax(worth))])
        return self

    def log_probabilities(self, piece):
        """As `NGram.log_probabilities`, one row: float64 array (1, T - 1)."""
        return self._row(piece, self.repeat)[None]

    def _row(self, piece, repeat):
        by_frequency = self._unigram[piece[1:]]
        p = by_frequency.copy()
        lag = self.lag
        if len(piece) > lag:
            again = piece[lag:] == piece[:-lag]
            p[lag - 1 :] = repeat * again + (1 - repeat) * by_frequency[lag - 1 :]
        return np.log(p)


def _bounds(note_ids):
    return (note_ids.start, note_ids.stop) if note_ids else (0, 0)


def _between(until, edges):
    """Of each context's two spans, the sum of what was summed up; None counts grams."""
    low, middle, begin, end = edges
    if until is None:
        return middle - low + end - begin
    return until[middle] - until[low] + until[end] - until[begin]


def _look_up(keys, wanted):
    """The place of each key, or of some other, and whether it is there."""
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return index, keys[index] == wanted

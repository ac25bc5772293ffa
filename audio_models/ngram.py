"""n-gram models, counted: the floor that a network must beat to have learnt anything."""

import numpy as np

_MIX = np.uint64(0x9E3779B97F4A7C15)


class NGram:
    """Interpolated n-gram of every order up to `max_order`, smoothed by Witten-Bell.

        p_k(w | c) = (count(c w) + t(c) p_(k-1)(w | c')) / (count(c) + t(c))

    with c the k tokens before w, c' the k - 1 before, and t(c) how many different
    tokens were seen after c. Order 0 leans on the uniform distribution.

    Args:
        vocab_size: int.
        max_order: int, the longest context in tokens.
        note_ids: range of ids that strike a note, or None. With a range, notes are
            counted as intervals from the last note before: the model then knows
            every transposition of what it read, as if trained on all of them.

    Reference:
        Witten & Bell 1991; Chen & Goodman 1999, section 2.2.
    """

    def __init__(self, vocab_size, max_order=16, note_ids=None):
        self.vocab_size = vocab_size
        self.max_order = max_order
        self.note_ids = note_ids
        self._tables = []

    def fit(self, pieces):
        """Count. Args: pieces, a list of int arrays. Returns: self."""
        self._tables = []
        for order, (contexts, grams) in enumerate(self._keys(pieces)):
            gram, first, count = np.unique(grams, return_index=True, return_counts=True)
            context, total = np.unique(contexts, return_counts=True)
            _, kinds = np.unique(contexts[first], return_counts=True)
            self._tables.append((gram, count, context, total, kinds))
            if order == self.max_order:
                break
        return self

    def log_probabilities(self, piece):
        """What each token of a piece, but the first, was worth.

        Args:
            piece: int array (T,).

        Returns:
            float64 array (max_order + 1, T - 1), nats: row k uses contexts up to k.
        """
        p = np.full(len(piece) - 1, 1 / self.vocab_size)
        rows = []
        for (contexts, grams), table in zip(
            self._keys([piece]), self._tables, strict=True
        ):
            gram, count, context, total, kinds = table
            seen = _look_up(gram, count, grams)
            totals = _look_up(context, total, contexts)
            kind = _look_up(context, kinds, contexts)
            known = totals > 0
            p = np.where(
                known, (seen + kind * p) / np.where(known, totals + kind, 1), p
            )
            rows.append(np.log(p))
        return np.stack(rows)

    def _keys(self, pieces):
        """For each order: 64-bit keys of the context, and of context and token."""
        notes = self.note_ids or range(0)
        columns, places = [], []
        for piece in pieces:
            ids = np.asarray(piece, dtype=np.int64)
            is_note = (ids >= notes.start) & (ids < notes.stop)
            last = np.maximum.accumulate(np.where(is_note, np.arange(len(ids)), -1))
            reference = np.where(last >= 0, ids[last], 0)
            columns.append((ids, is_note, reference))
            places.append(np.arange(len(ids)))
        ids, is_note, reference = (
            np.concatenate(c) for c in zip(*columns, strict=True)
        )
        place = np.concatenate(places)
        here = np.flatnonzero(place > 0)  # every token but the first of its piece
        place = place[here]
        base = reference[here - 1]

        def named(index):
            # Notes count from the last one heard; 2^20 keeps them apart from ids.
            relative = ids[index] - base + (1 << 20)
            return np.where(is_note[index] & (base > 0), relative, ids[index])

        context = np.zeros(len(here), dtype=np.uint64)
        target = named(here).astype(np.uint64)
        for order in range(self.max_order + 1):
            if order:
                # Before a piece begins, -1 stands: short contexts stay themselves.
                reaches = place >= order
                token = np.where(
                    reaches, named(np.where(reaches, here - order, here)), -1
                )
                context = _mix(context + token.astype(np.uint64) + np.uint64(order))
            yield context, _mix(_mix(context) + target)


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


def _mix(keys):
    # The finaliser of splitmix64: distinct keys stay distinct, and look random.
    with np.errstate(over="ignore"):
        keys = keys + _MIX
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return keys ^ (keys >> np.uint64(31))


def _look_up(keys, values, wanted):
    index = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[index] == wanted, values[index], 0)

"""note2vec: a vector for each token, learnt from the company that it keeps."""

from dataclasses import dataclass

import numpy as np

KINDS = ("skipgram", "cbow")
BATCH = 256
BETA_1, BETA_2, TINY = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True)
class Note2Vec:
    """Vectors of tokens, and how they were come by.

    ``vectors`` is float32 (V, D). ``held_out`` has the nats a prediction on the held-out
    pieces, before the first epoch and after each; ``best_epoch`` is the epoch after
    which the vectors were taken, 0 being the beginning. ``learnt`` are the same of the
    pieces that were learnt from, the mean over each epoch.
    """

    kind: str
    vectors: np.ndarray
    learnt: tuple = ()
    held_out: tuple = ()
    best_epoch: int = 0

    def similarities(self, vector):
        """Cosine between a vector (D,) and that of each token: float array (V,)."""
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(vector)
        return self.vectors @ vector / np.maximum(lengths, TINY)

    def neighbours(self, token, count=5, among=None):
        """The tokens nearest to one, by cosine, the nearest first.

        Args:
            token: int.
            count: int, how many.
            among: ints to choose from; all by default. The token itself is left out.

        Returns:
            int array (count,), or fewer where there are no more.
        """
        return self._nearest(self.vectors[self._checked(token)], count, among, [token])

    def analogy(self, a, b, c, count=3, among=None):
        """What is to c as b is to a: the tokens nearest to b - a + c.

        Args:
            a, b, c: int; the three are left out.
            count, among: as for `neighbours`.

        Returns:
            int array (count,), the nearest first.

        Reference:
            Mikolov, Yih & Zweig 2013, Linguistic regularities in continuous space word
            representations; vectors are made of length one first, as there.
        """
        asked = [self._checked(token) for token in (a, b, c)]
        lengths = np.linalg.norm(self.vectors[asked], axis=1, keepdims=True)
        from_, to, start = self.vectors[asked] / np.maximum(lengths, TINY)
        return self._nearest(to - from_ + start, count, among, asked)

    def mean_rank(self, pairs, among):
        """The mean place of each pair's second among the neighbours of its first.

        Args:
            pairs: list of (int, int).
            among: ints: the neighbours that are ranked, 1 being the nearest. A chance
                order gives len(among) / 2.

        Returns:
            float.
        """
        ranks = []
        for first, second in pairs:
            ranked = self.neighbours(first, len(among), among).tolist()
            ranks.append(ranked.index(second) + 1)
        return float(np.mean(ranks))

    def _nearest(self, vector, count, among, left_out):
        among = np.arange(len(self.vectors)) if among is None else np.asarray(among)
        among = among[~np.isin(among, left_out)]
        order = np.argsort(-self.similarities(vector)[among], kind="stable")
        return among[order[:count]]

    def _checked(self, token):
        if not 0 <= token < len(self.vectors):
            raise ValueError(
                f"A token must be in 0..{len(self.vectors) - 1}. Received: {token}"
            )
        return int(token)


def fit_note2vec(
    pieces,
    vocab_size,
    *,
    kind="skipgram",
    dim=16,
    window=4,
    epochs=20,
    learning_rate=5e-3,
    patience=2,
    valid=(),
    seed=0,
):
    """Learn a vector for each token, and stop when held-out pieces gain no more.

    With e(w) and u(w) the two vectors of a token, and the company of a place the
    tokens up to `window` before and after it in its piece,

        skipgram   p(o | w) = softmax over o of u(o) . e(w)        each o of the company
        cbow       p(w | company) = softmax over w of u(w) . mean of e(o)

    and -log p is lowered by Adam. The vectors given are e.

    Args:
        pieces: list of int arrays, to learn from. Shorter ones than two tokens say
            nothing.
        vocab_size: int, V.
        kind: "skipgram" or "cbow".
        dim: int, D.
        window: int, tokens to each side.
        epochs: int, at most.
        learning_rate: float.
        patience: int, how many epochs without a new best on `valid` end the run; None
            for all epochs. The best vectors are kept in either case.
        valid: list of int arrays, held out; without any, the last vectors are kept.
        seed: int.

    Returns:
        `Note2Vec`.

    Raises:
        ValueError: if there is nothing to learn from, a token lies outside the
            vocabulary, or an argument is not what it may be.

    Reference:
        Mikolov, Chen, Corrado & Dean 2013, https://arxiv.org/abs/1301.3781. A whole
        softmax in the place of the hierarchical one, or of negative samples: there are
        some dozens of notes, not a million words. The whole window at each place, where
        they draw its width.
    """
    _check(kind, dim=dim, window=window, epochs=epochs, vocab_size=vocab_size)
    places = _places(pieces, vocab_size, window)
    if not len(places[0]):
        raise ValueError("`pieces` must hold a piece of two tokens. Received: none")
    held_out = _places(valid, vocab_size, window)
    rng = np.random.default_rng(seed)
    # e small and u zero: at first every token is equally likely.
    tables = [
        rng.normal(0, 0.1, (vocab_size + 1, dim)).astype(np.float32),
        np.zeros((vocab_size, dim), np.float32),
    ]
    tables[0][vocab_size] = 0  # what stands beyond the ends of a piece
    step = _STEPS[kind]
    learnt, curve = [], [_nats(step, tables, held_out)] if len(held_out[0]) else []
    adam = _Adam(tables, learning_rate)
    best, best_epoch = tables[0][:vocab_size].copy(), 0
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(places[0]))
        total = told = 0
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            nats, count, gradients = step(tables, *(part[chosen] for part in places))
            adam.apply(tables, gradients)
            tables[0][vocab_size] = 0
            total, told = total + nats, told + count
        learnt.append(total / told)
        if curve:
            curve.append(_nats(step, tables, held_out))
        if not curve or curve[-1] < min(curve[:-1]):
            best, best_epoch = tables[0][:vocab_size].copy(), epoch
        elif patience is not None and epoch - best_epoch >= patience:
            break
    return Note2Vec(kind, best, tuple(learnt), tuple(curve), best_epoch)


def _check(kind, **counts):
    if kind not in KINDS:
        raise ValueError(
            f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}"
        )
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value!r}")


def _places(pieces, vocab_size, window):
    """Every place that has company: (centres (N,), company (N, 2 * window)).

    Beyond the ends of a piece the company is `vocab_size`.
    """
    centres, companies = [np.zeros(0, np.int64)], [np.zeros((0, 2 * window), np.int64)]
    offsets = np.delete(np.arange(-window, window + 1), window)
    for piece in pieces:
        ids = np.asarray(piece, np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise ValueError(
                f"Tokens must be in 0..{vocab_size - 1}. "
                f"Received: {ids.min()}..{ids.max()}"
            )
        if len(ids) > 1:
            padded = np.pad(ids, window, constant_values=vocab_size)
            at = np.arange(len(ids))[:, None] + window + offsets
            centres.append(ids)
            companies.append(padded[at])
    return np.concatenate(centres), np.concatenate(companies)


def _nats(step, tables, places):
    """Nats a prediction over all places, none left out."""
    total = told = 0
    for start in range(0, len(places[0]), 4096):
        part = slice(start, start + 4096)
        nats, count, _ = step(tables, *(column[part] for column in places))
        total, told = total + nats, told + count
    return total / told


def _skipgram(tables, centres, company):
    """Nats of a batch, the number of its predictions, and the gradients of their mean."""
    inner, outer = tables
    x = inner[centres]  # (B, D)
    wanted = _counts(company, len(outer))  # (B, V)
    of_each = wanted.sum(axis=1, keepdims=True)  # (B, 1)
    log_p = _log_softmax(x @ outer.T)  # (B, V)
    nats, count = -float((wanted * log_p).sum()), float(of_each.sum())
    error = (np.exp(log_p) * of_each - wanted) / count  # (B, V)
    to_inner = _counts(centres[:, None], len(inner)).T @ (error @ outer)
    return nats, count, (to_inner, error.T @ x)


def _cbow(tables, centres, company):
    """As `_skipgram`, the other way round."""
    inner, outer = tables
    counts = _counts(company, len(outer))  # (B, V)
    shares = counts / counts.sum(axis=1, keepdims=True)
    x = shares @ inner[:-1]  # (B, D)
    log_p = _log_softmax(x @ outer.T)
    rows = np.arange(len(centres))
    nats, count = -float(log_p[rows, centres].sum()), len(centres)
    error = np.exp(log_p)
    error[rows, centres] -= 1
    error /= count
    to_inner = np.zeros_like(inner)
    to_inner[:-1] = shares.T @ (error @ outer)
    return nats, count, (to_inner, error.T @ x)


_STEPS = {"skipgram": _skipgram, "cbow": _cbow}


def _counts(ids, size):
    """How often each token stands in each row: float32 (B, size); others are left out."""
    rows = np.arange(len(ids))[:, None]
    flat = (rows * (size + 1) + np.minimum(ids, size)).ravel()
    counted = np.bincount(flat, minlength=len(ids) * (size + 1))
    return counted.reshape(len(ids), size + 1)[:, :size].astype(np.float32)


def _log_softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


class _Adam:
    """Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1."""

    def __init__(self, tables, learning_rate):
        self.rate, self.steps = learning_rate, 0
        self.means = [np.zeros_like(table) for table in tables]
        self.squares = [np.zeros_like(table) for table in tables]

    def apply(self, tables, gradients):
        """One step, in place."""
        self.steps += 1
        rate = self.rate * np.sqrt(1 - BETA_2**self.steps) / (1 - BETA_1**self.steps)
        parts = zip(tables, gradients, self.means, self.squares, strict=True)
        for table, gradient, mean, square in parts:
            mean += (1 - BETA_1) * (gradient - mean)
            square += (1 - BETA_2) * (gradient**2 - square)
            table -= np.float32(rate) * mean / (np.sqrt(square) + TINY)

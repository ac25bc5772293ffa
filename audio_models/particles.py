"""Filling in between given tokens, by many writers at a time: a particle filter.

A model that reads from left to right can write up to a place, but does not know what
stands behind it. So `particles` writers, the particles, each write on under a path of
what is given and what is free. Each is worth the probability that the model left for
what the path allowed: where a token is given that is the model's probability of it, so
that a writer whose notes lead well into what follows gains, and one that runs into a
wall loses. From time to time the heavy are copied and the light dropped; at the end
one is drawn by its worth. What is drawn follows

    p(tokens | path)  =  p(tokens) / p(all that the path allows),

for the model's own p, the better the more particles there are; one particle is plain
writing from left to right.

Reference:
    Gordon, Salmond and Smith 1993, "Novel approach to nonlinear/non-Gaussian Bayesian
    state estimation"; of language models, Lew et al. 2023,
    https://arxiv.org/abs/2306.03081. As there, a token is drawn from what is allowed,
    and weighs what was. A temperature, top-k or top-p changes what is drawn and not
    what it weighs: the law above holds without them.
"""

from dataclasses import dataclass

import numpy as np

from audio_models import numpy_ops
from audio_models.numpy_ops import log_softmax
from audio_models.player import batch_axes, take_rows
from audio_models.request import EOS, IMPOSSIBLE, PAD
from audio_models.sampling import (
    draw,
    keep_allowed,
    lower_repeated,
    seen_tokens,
    sharpen_among,
)

MOST_PARTICLES = 4096
RECENT = 64  # tokens back that are looked at for repetitions
POOR = 0.5  # fewer particles than this share that count: time to copy the heavy ones


@dataclass(frozen=True)
class Filled:
    """What the particles wrote after the prefix.

    ``ids`` (K, T), int32, PAD behind a particle's end; ``shares`` (K,), float64, how
    much of the worth of all is each one's, of sum 1; ``log_probability`` (K, T), nats,
    the model's own; ``end_log_probability`` (K, T), what EOS would have been worth in
    each place, `IMPOSSIBLE` where it may not stand; ``chosen``, the particle drawn.
    """

    ids: np.ndarray
    shares: np.ndarray
    log_probability: np.ndarray
    end_log_probability: np.ndarray
    chosen: int

    @property
    def best(self):
        """The particle of whose tokens the model thinks most, all of them together."""
        alive = np.where(self.shares > 0, self.log_probability.sum(axis=1), -np.inf)
        return int(alive.argmax())


class Sheet:
    """A path of fixed length: at each place, the tokens that may stand there.

    Args:
        may: bool array (T, V). A row with one token is given, one with several free.
        grammar: has ``allowed`` and ``next_state``, (states, V).
        state: int, where the grammar stands before the first place.

    Raises:
        ValueError: if the grammar knows no way through it.
    """

    def __init__(self, may, grammar, state):
        self.may_stand = np.asarray(may, dtype=bool)
        self.grammar, self.state = grammar, int(state)
        self.most = len(self.may_stand)
        free = np.flatnonzero(self.may_stand.sum(axis=1) > 1)
        self.last_free = int(free[-1]) if len(free) else -1
        # From which states the rest of the way can be gone: (T + 1, states).
        self.passable = np.ones((self.most + 1, len(grammar.allowed)), dtype=bool)
        for t in range(self.most - 1, -1, -1):
            ids = np.flatnonzero(self.may_stand[t])
            goes = grammar.allowed[:, ids]
            goes = goes & self.passable[t + 1][grammar.next_state[:, ids]]
            self.passable[t] = goes.any(axis=1)
        if not self.passable[0][self.state]:
            raise ValueError("The grammar knows no way through what is given.")

    def with_blanks(self, blank):
        """The ids (T,) that are given, `blank` where more than one may stand."""
        may = self.may_stand
        return np.where(may.sum(axis=1) == 1, may.argmax(axis=1), blank)

    def places(self, rows):
        return np.tile([0, self.state], (rows, 1))

    def may(self, places):
        t, state = places[0, 0], places[:, 1]
        goes = self.passable[t + 1][self.grammar.next_state[state]]
        return self.may_stand[t] & self.grammar.allowed[state] & goes

    def may_end(self, places):
        return self.grammar.allowed[places[:, 1], EOS]

    def is_over(self, places):
        return places[:, 0] >= self.most

    def after(self, places, ids):
        following = self.grammar.next_state[places[:, 1], ids]
        return np.stack([places[:, 0] + 1, following], axis=1)

    def may_copy(self, t):
        return t <= self.last_free  # all stand at the same place: like beside like


class Stretch:
    """A path of free length: write until so many bars are full, then what is given.

    For tokens in which a bar takes as many tokens as it has notes.

    Args:
        grammar: has ``allowed`` and ``next_state``, (states, V).
        state: int, where the grammar stands before the first place.
        bar: int, the token that begins a bar.
        bars: int, how many to write, the one that was begun already included.
        suffix: int array (S,), what follows; its first token, a `bar` or EOS, is where
            the writing ends. S at least 1.
        never: bool array (V,), tokens that may not be written.
        first: bool array (V,), the tokens of which the first one must be.
        quota: int: after so many tokens the next chance to begin a bar is taken.
    """

    def __init__(self, grammar, state, *, bar, bars, suffix, never, first, quota):
        self.grammar, self.state, self.bar, self.bars = grammar, int(state), bar, bars
        self.suffix = np.asarray(suffix, dtype=np.int64)
        self.never, self.first, self.quota = never, first, quota
        self.most = bars * (quota + 8) + len(self.suffix)

    def places(self, rows):
        # The state, bars begun after the first, tokens in this bar, places of the
        # suffix passed; and whether anything was written.
        return np.tile([self.state, 0, 0, 0, 0], (rows, 1))

    def may(self, places):
        state, begun, written, passed, is_begun = places.T
        exit_ = self.suffix[0]
        may = self.grammar.allowed[state] & ~self.never
        may[:, EOS] = False
        may &= self.first | (is_begun == 1)[:, None]
        is_last = begun == self.bars - 1
        may[is_last, self.bar] = False
        may[is_last, exit_] = self.grammar.allowed[state[is_last], exit_]
        leave = np.where(is_last, exit_, self.bar)
        rows = np.flatnonzero(written >= self.quota)
        rows = rows[may[rows, leave[rows]]]
        may[rows] = False
        may[rows, leave[rows]] = True
        rows = np.flatnonzero((passed > 0) & (passed < len(self.suffix)))
        may[rows] = False
        may[rows, self.suffix[passed[rows]]] = True
        return may

    def may_end(self, places):
        state, begun, _, passed, _ = places.T
        in_last = (begun == self.bars - 1) & (passed == 0)
        return in_last & self.grammar.allowed[state, EOS]

    def is_over(self, places):
        return places[:, 3] >= len(self.suffix)

    def after(self, places, ids):
        state, begun, written, passed, _ = places.T
        leaves = (passed == 0) & (begun == self.bars - 1) & (ids == self.suffix[0])
        passed = np.where(leaves, 1, passed + (passed > 0))
        is_bar = (ids == self.bar) & (passed == 0)
        written = np.where(is_bar, 0, written + 1)
        following = self.grammar.next_state[state, ids]
        ones = np.ones_like(state)
        return np.stack([following, begun + is_bar, written, passed, ones], axis=1)

    def may_copy(self, t):
        return False


class Timed:
    """A path by the clock: write until so much time has passed.

    Args:
        grammar: has ``allowed`` and ``next_state``, (states, V).
        state: int, where the grammar stands before the first place.
        takes: int array (V,), how much time each token lets pass.
        until: int, when to stop.
        most: int, after how many tokens to stop whatever the clock says.
    """

    def __init__(self, grammar, state, *, takes, until, most):
        self.grammar, self.state = grammar, int(state)
        self.takes, self.until, self.most = np.asarray(takes), until, most
        self.allowed = grammar.allowed & (np.arange(len(self.takes)) != EOS)

    def places(self, rows):
        return np.tile([self.state, 0, 0], (rows, 1))  # state, time, tokens

    def may(self, places):
        return self.allowed[places[:, 0]]

    def may_end(self, places):
        return self.grammar.allowed[places[:, 0], EOS]

    def is_over(self, places):
        return (places[:, 1] >= self.until) | (places[:, 2] >= self.most)

    def after(self, places, ids):
        following = self.grammar.next_state[places[:, 0], ids]
        return np.stack(
            [following, places[:, 1] + self.takes[ids], places[:, 2] + 1], axis=1
        )

    def may_copy(self, t):
        return False


def fill(
    player,
    prefix,
    path,
    *,
    particles=64,
    seed=0,
    temperature=1.0,
    top_k=None,
    top_p=1.0,
    min_p=0.0,
    repetition=1.0,
    among=None,
    bias=None,
    copies=True,
):
    """Write on after a prefix, along a path.

    Args:
        player: `player.Player` of a model that reads from left to right.
        prefix: int array (P,), BOS first, P at least 1.
        path: `Sheet`, `Stretch` or `Timed`.
        particles: int in 1..4096, K.
        seed: int, at least 0. Same seed, same tokens.
        temperature: float, at least 0.
        top_k: int or None.
        top_p: float in (0, 1].
        min_p: float in [0, 1].
        repetition: float above 0, see `request.Request`; of the tokens of `among`, and
            of those that were written.
        among: bool array (V,) or None: the filters are minded among these tokens
            alone, see `sampling.sharpen_among`.
        bias: float array (V,) or None, added to the logits that are drawn from.
        copies: bool, whether heavy particles are copied in the place of light ones;
            False leaves each alone: independent takes.

    Returns:
        `Filled`.

    Raises:
        ValueError: if `particles` lies outside its range, or all ran into a wall.
    """
    if not 1 <= particles <= MOST_PARTICLES:
        raise ValueError(
            f"`particles` must be in 1..{MOST_PARTICLES}. Received: {particles}"
        )
    logits, state = read(player, prefix)
    axes = batch_axes(player.start)
    first = np.zeros(particles, dtype=np.int64)
    logits, state = logits[first], take_rows(state, first, axes)
    random = [np.random.default_rng([seed, row]) for row in range(particles)]
    choice = np.random.default_rng([seed, particles, 1])
    places, row = path.places(particles), np.arange(particles)
    weight = np.zeros(particles)
    columns = []  # of (ids, log_probability, end_log_probability), each (K,)
    for t in range(path.most):
        over = path.is_over(places)
        if over.all():
            break
        may = path.may(places)
        may[over] = np.arange(may.shape[1]) == PAD
        every = log_softmax(np.asarray(logits, dtype=np.float64))
        weight = weight + np.where(over, 0.0, _log_mass(every, may))
        if not np.isfinite(weight).any():
            raise ValueError("No particle found a way to what is given.")
        if copies and path.may_copy(t) and _is_poor(weight):
            kept = _resampled(weight, choice.random())
            columns = [tuple(part[kept] for part in column) for column in columns]
            logits, state = logits[kept], take_rows(state, kept, axes)
            places, may, every = places[kept], may[kept], every[kept]
            weight = np.zeros(particles)
        may[~may.any(axis=1), PAD] = True  # lost: it is worth nothing any more
        drawn = may.argmax(axis=1).astype(np.int32)
        if (may.sum(axis=1) > 1).any():
            uniform = np.array([r.random(dtype=np.float32) for r in random])
            wished = logits if bias is None else logits + bias
            if repetition != 1 and columns:
                recent = np.stack([ids for ids, _, _ in columns[-RECENT:]], axis=1)
                seen = seen_tokens(numpy_ops, recent, may.shape[1])
                seen = seen if among is None else seen & among
                wished = lower_repeated(numpy_ops, wished, seen, repetition)
            wished = keep_allowed(numpy_ops, wished, may)
            settings = (temperature, top_k, top_p, min_p)
            if among is not None:
                wished = sharpen_among(numpy_ops, wished, among, *settings)
                settings = ()
            drawn = draw(numpy_ops, wished, uniform, *settings)
        end = np.where(path.may_end(places) & ~over, every[:, EOS], IMPOSSIBLE)
        columns.append((drawn, np.where(over, 0.0, every[row, drawn]), end))
        places = np.where(over[:, None], places, path.after(places, drawn))
        if not path.is_over(places).all():
            logits, state = player.step(drawn, state)
    weight = np.where(path.is_over(places), weight, -np.inf)
    if not np.isfinite(weight).any():
        raise ValueError("No particle reached the end of the path.")
    shares = _shares(weight)
    chosen = int(np.searchsorted(np.cumsum(shares), choice.random() * shares.sum()))
    parts = [np.stack(part, axis=1) for part in zip(*columns, strict=True)]
    return Filled(
        parts[0].astype(np.int32), shares, *parts[1:], min(chosen, particles - 1)
    )


def read(player, prefix):
    """What comes after a prefix: logits (1, V), and the state.

    A model that looks back over a window reads no more than the window.
    """
    prefix = np.asarray(prefix, dtype=np.int64)
    reach = getattr(player.architecture, "context_length", len(prefix))
    state = player.start(1)
    for token in prefix[-reach:]:
        logits, state = player.step(np.array([token]), state)
    return logits, state


def _log_mass(log_probability, may):
    """log of the probability of all that may stand: (K,); -inf where nothing may."""
    held = np.where(may, log_probability, -np.inf)
    top = held.max(axis=1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.exp(held - safe[:, None]).sum(axis=1))


def _shares(weight):
    shares = np.exp(weight - weight.max())
    return shares / shares.sum()


def _is_poor(weight):
    shares = _shares(weight)
    return 1 / np.square(shares).sum() < POOR * len(shares)


def _resampled(weight, offset):
    """Which particle stands in each place after copying: systematic, one offset."""
    edges = np.cumsum(_shares(weight))
    marks = (np.arange(len(edges)) + offset) / len(edges)
    return np.minimum(np.searchsorted(edges, marks, side="right"), len(edges) - 1)

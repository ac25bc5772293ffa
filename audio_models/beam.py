"""Beam search: the likeliest sequence that a few lines of search can find.

Sampling asks what the model would play; this asks what it holds likeliest. Of open
music that is dull (the likeliest tune goes on with what it has), but it is right where
little is left open: a cadence, a gap, a voice under a melody.
"""

import math

import numpy as np

from audio_models import numpy_ops
from audio_models.player import batch_axes, take_rows
from audio_models.request import EOS, IMPOSSIBLE, Generated
from audio_models.sampling import (
    followed_by,
    keep_allowed,
    keep_where_possible,
    permitted,
    wished,
)

WIDEST = 4096


def beam_search(player, request, *, width=4, length_penalty=0.0):
    """Continue each prompt by the best sequence that a beam of `width` lines finds.

        score(y) = log P(y) / ((5 + |y|) / 6) ** length_penalty

    P is the model's, after the request's bias and repetition and before the grammar:
    among what may come, no line is favoured because less may come in it. |y| counts
    EOS. A line that has ended keeps its place in the beam, and its score; one that is
    cut off after `max_new_tokens` competes as it is.

    One place is kept for the line that takes the best token each time. So the result
    never scores below the greedy one; with width 1 it is the greedy one; and where all
    that may come fits into the beam it is the best there is. A wider beam is otherwise
    not promised to find a better line than a narrower one.

    Args:
        player: `player.Player`.
        request: `request.Request`. Grammar, `min_new_tokens`, `allowed_tokens`, `bias`,
            `repetition` and `no_repeat_ngram` are minded; temperature, top-k, top-p,
            min-p and seeds are for chance, and there is none.
        width: int in 1..4096, how many lines go on side by side.
        length_penalty: float, at least 0: at 0 the shorter of two lines has the better
            chance; above it the longer gain. Wu et al. use 0.6 to 0.7.

    Returns:
        `request.Generated`, one sequence for each prompt. ``log_probability`` is the
        model's own.

    Raises:
        ValueError: if an argument is out of its range, or a prompt breaks the grammar.

    Reference:
        Wu et al. 2016, https://arxiv.org/abs/1609.08144, section 7, without coverage,
        and without their rule of pruning by score. The place for the greedy line is
        ours.
    """
    if not 1 <= width <= WIDEST:
        raise ValueError(f"`width` must be in 1..{WIDEST}. Received: {width}")
    if not 0 <= length_penalty < math.inf:
        raise ValueError(
            f"`length_penalty` must be at least 0. Received: {length_penalty}"
        )
    search = _Search(player, request, length_penalty)
    for t in range(request.max_new_tokens):
        search.widen(t, width)
        if search.is_settled() or t + 1 == request.max_new_tokens:
            break
        search.step()
    return search.best()


class _Search:
    """The lines of all prompts, K to each: row ``b * K + k`` of the player's batch.

    Line 0 of each prompt is the greedy one. What was drawn is kept step by step with
    the line that it goes on from, and read backwards at the end.
    """

    def __init__(self, player, request, length_penalty):
        self.player, self.request = player, request
        self.length_penalty = length_penalty
        self.is_final = request.is_final
        prompts = len(request.prompts)
        self.axes = batch_axes(player.start)
        state = player.start(prompts)
        self.logits, self.state = player.read(request.prompts, state)
        self.place = request.grammar_states()[:, None]  # (B, K)
        self.recent = request.history()
        self.total = np.zeros(
            (prompts, 1)
        )  # log P of each line; -inf where there is none
        self.length = np.zeros((prompts, 1), dtype=int)
        self.steps = []  # (from which line, token, its worth, what EOS was worth)

    def is_settled(self):
        """Whether no line that goes on can still come to the best score of its prompt.

        A line's total only falls, and the longest norm is the kindest to it.
        """
        most = self._norm(self.request.max_new_tokens)
        has_ended = self.is_final[self.place]
        ended = np.where(has_ended, self._score(), -np.inf).max(axis=1)
        open_ = np.where(has_ended, -np.inf, self.total / most).max(axis=1)
        return bool((ended > open_).all())

    def widen(self, t, width):
        """Let each line go on by each token; keep the `width` best of each prompt."""
        request, grammar = self.request, self.request.grammar
        prompts, lines = self.place.shape
        allowed = grammar.allowed[self.place.ravel()]
        if t < request.min_new_tokens:
            allowed = keep_where_possible(numpy_ops, allowed, ~request.is_end)
        tables, filters = request.tables, request.filters
        logits = wished(
            numpy_ops,
            self.logits,
            self.recent,
            filters,
            tables["bias"],
            tables["repetition_of"],
        )
        may = permitted(
            numpy_ops, allowed, self.recent, filters, tables["allowed_tokens"]
        )
        greedy = keep_allowed(numpy_ops, logits, may)[::lines].argmax(axis=-1)  # (B,)
        worth = numpy_ops.log_softmax(logits.astype(np.float64))
        is_over = self.is_final[self.place]  # (B, K)
        worth[is_over.ravel()] = 0  # padding changes no score
        worth = np.where(may, worth, -np.inf).reshape(prompts, lines, -1)
        total = self.total[..., None] + worth  # (B, K, V)
        length = self.length + ~is_over
        rank = (total / self._norm(length)[..., None]).reshape(prompts, -1)
        every = np.arange(prompts)
        rank[every, greedy] = np.inf  # of line 0: the first V
        kept = min(width, rank.shape[1])
        chosen = np.argsort(-rank, axis=1, kind="stable")[:, :kept]  # (B, kept)
        line, token = np.divmod(chosen, worth.shape[2])
        rows = line + lines * every[:, None]  # of the batch before
        own = numpy_ops.log_softmax(self.logits)
        may_end = grammar.allowed[self.place.ravel()[rows], EOS]
        self.steps.append(
            (
                line,
                token,
                own[rows, token],
                np.where(may_end, own[rows, EOS], IMPOSSIBLE),
            )
        )
        self.total = total.reshape(prompts, -1)[every[:, None], chosen]
        self.length = length[every[:, None], line]
        before = self.place.ravel()[rows]
        is_line = np.isfinite(self.total)  # a beam wider than all that may come
        self.place = np.where(is_line, grammar.next_state[before, token], before)
        self.rows = rows.ravel()

    def step(self):
        """Bring the player to where the lines that were kept stand now."""
        drawn = self.steps[-1][1].ravel().astype(np.int32)
        if not np.array_equal(self.rows, np.arange(len(self.logits))):
            self.state = take_rows(self.state, self.rows, self.axes)
            self.recent = self.recent[self.rows]
        self.recent = followed_by(numpy_ops, self.recent, drawn)
        self.logits, self.state = self.player.step(drawn, self.state)

    def best(self):
        """`Generated`: of each prompt the line with the best score."""
        line = self._score().argmax(axis=1)  # the greedy one if none is better
        prompts, new = len(line), self.request.max_new_tokens
        ids = np.zeros((prompts, new), dtype=np.int32)
        log_probability = np.zeros((prompts, new), dtype=np.float32)
        end = np.full((prompts, new), IMPOSSIBLE, dtype=np.float32)
        every = np.arange(prompts)
        for t, (parent, *of_step) in reversed(list(enumerate(self.steps))):
            for array, values in zip((ids, log_probability, end), of_step, strict=True):
                array[:, t] = values[every, line]
            line = parent[every, line]
        return Generated(ids, log_probability, end)

    def _score(self):
        return self.total / self._norm(self.length)

    def _norm(self, length):
        return ((5 + length) / 6) ** self.length_penalty

"""The NumPy engine: plays an architecture's step with nothing to load.

`import tensorflow` takes longer than composing a tune does. The player shares the
architecture's arithmetic, and so its tokens, with `generation.generate_compiled`.
"""

from functools import cached_property

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import check_weights
from audio_models.request import EOS, IMPOSSIBLE, Generated, uniforms
from audio_models.sampling import draw_next, followed_by, keep_where_possible


class Player:
    """An architecture and its weights, ready to step.

    Args:
        architecture: one of `audio_models.MODELS` or `COUNTED`, built.
        weights: dict of name -> float32 array.
    """

    def __init__(self, architecture, weights):
        check_weights(architecture, weights)
        self.architecture = architecture
        self.weights = weights
        if hasattr(architecture, "prepare"):  # what is counted makes its tables, once
            self.weights = architecture.prepare(weights)

    @cached_property
    def _decoder(self):
        from audio_models.decode import decoder_of

        return decoder_of(self.architecture, self.weights)

    def start(self, batch_size):
        """The state before the first token."""
        return self.architecture.start(numpy_ops, batch_size)

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state.

        The state that was given may be used up: its arrays become those of the new one.
        """
        if self._decoder is not None:
            return self._decoder.step(ids, state)
        logits, state = self.architecture.forward(
            numpy_ops, self.weights, np.asarray(ids)[:, None], state
        )
        return logits[:, 0], state

    def read(self, ids, state):
        """Tokens further: int (B, T), T at least 1 -> as `step` gives after the last."""
        if self._decoder is not None:
            return self._decoder.read(ids, state)
        for column in ids.T:
            logits, state = self.step(column, state)
        return logits, state


class InformedPlayer(Player):
    """A player of a model that hears ahead, which has been told what is to come.

    Args:
        architecture: `anticipation.AnticipationLSTM`. weights: its arrays.
        opening: int array (2,), BOS and the metre.
        tokens: int array (steps, voices), `anticipation.BLANK` where one is free.
        end: int, after how many steps the music ends; 0 if that is open.
    """

    def __init__(self, architecture, weights, opening, tokens, end=0):
        super().__init__(architecture, weights)
        self.known = [
            np.asarray(part, dtype="int32") for part in (opening, tokens, end)
        ]

    def start(self, batch_size):
        """The state before the first token, in which what is to come is known."""
        opening, tokens, end = (
            np.tile(part, (batch_size, *[1] * part.ndim)) for part in self.known
        )
        return self.architecture.start_knowing(
            numpy_ops, self.weights, opening, tokens, end.reshape(-1)
        )


def batch_axes(start):
    """Along which axis of each of its arrays a state holds the rows of a batch.

    It is the axis whose length changes with the batch; None where none does, as in a
    counter that all rows share.

    Args:
        start: function of a batch size, giving a state: a sequence of arrays.
    """
    axes = []
    for two, three in zip(start(2), start(3), strict=True):
        sizes = zip(np.shape(two), np.shape(three), strict=True)
        axes.append(next((i for i, (m, n) in enumerate(sizes) if m != n), None))
    return axes


def take_rows(state, rows, axes):
    """The state of some rows of a batch, in that order, each as often as it is named.

    Args:
        state: sequence of arrays.
        rows: int array (N,).
        axes: as `batch_axes` gives them.
    """
    return tuple(
        part if axis is None else np.take(part, rows, axis=axis)
        for part, axis in zip(state, axes, strict=True)
    )


def generate(player, request):
    """Carry a `Request` out, one step after another.

    Args:
        player: `Player`.
        request: `request.Request`.

    Returns:
        `request.Generated`.
    """
    decoder = player._decoder
    if hasattr(decoder, "can_write") and decoder.can_write(request):
        return decoder.write(request)  # the same tokens, in one loop of its own
    prompts = request.prompts
    rows, new = len(prompts), request.max_new_tokens
    allowed, next_state = request.grammar.allowed, request.grammar.next_state
    random, recent = uniforms(request), request.history()
    filters, tables = request.filters, request.tables
    state = player.start(rows)
    logits, state = player.read(prompts, state)
    place = request.grammar_states()
    ids = np.zeros((rows, new), dtype=np.int32)
    log_probability = np.zeros((rows, new), dtype=np.float32)
    end_log_probability = np.full((rows, new), IMPOSSIBLE, dtype=np.float32)
    for t in range(new):
        may = allowed[place]
        if t < request.min_new_tokens:
            may = keep_where_possible(numpy_ops, may, ~request.is_end)
        drawn = draw_next(numpy_ops, logits, may, recent, random[:, t], filters, tables)
        every = numpy_ops.log_softmax(logits)
        log_probability[:, t] = every[np.arange(rows), drawn]
        may_end = allowed[place, EOS]
        end_log_probability[:, t] = np.where(may_end, every[:, EOS], IMPOSSIBLE)
        ids[:, t] = drawn
        place = next_state[place, drawn]
        recent = followed_by(numpy_ops, recent, drawn)
        if request.is_final[place].all():
            break
        if t + 1 < new:
            logits, state = player.step(drawn, state)
    return Generated(ids, log_probability, end_log_probability)

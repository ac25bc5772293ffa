"""One row written token by token: the loop that the packed decoders of samples share."""

import numpy as np

from audio_models import numpy_ops
from audio_models.frames import PAD, class_vectors
from audio_models.request import EOS, IMPOSSIBLE, Generated, uniforms
from audio_models.sampling import COLDEST, FORBIDDEN

BLOCK = 256  # logits that are kept, until it is asked what they are worth


class OneRow:
    """Writes a row sample by sample, with the ``step`` and ``read`` of a decoder."""

    def can_write(self, request):
        """Whether `write` knows all that is asked: one row, temperature, top-p."""
        filters = request.filters
        return (
            len(request.prompts) == 1
            and filters.top_k is None
            and filters.min_p == 0
            and filters.repetition == 1
            and not filters.no_repeat_ngram
            and all(table is None for table in request.tables.values())
        )

    def listener(self, state):
        """What goes on from a state: a function of a token and of an array (V,), which
        it fills with the logits after that token."""

        def hear(token, row):
            nonlocal state
            logits, state = self.step(np.array([token], "int32"), state)
            row[:] = logits[0]

        return hear

    def write(self, request):
        """Carry out a request that `can_write`: what `player.generate` would give.

        Returns:
            `request.Generated`, with the same tokens.
        """
        state = self.architecture.start(numpy_ops, 1)
        logits, state = self.read(request.prompts, state)
        hear = self.listener(state)
        new, vocab_size = request.max_new_tokens, self.architecture.vocab_size
        made = Generated(
            np.zeros((1, new), dtype=np.int32),
            np.zeros((1, new), dtype=np.float32),
            np.full((1, new), IMPOSSIBLE, dtype=np.float32),
        )
        draws, done, token = Draws(request), 0, PAD
        while done < new and not draws.is_over:
            # What the logits are worth is asked of some hundred at once.
            block = np.empty((min(BLOCK, new - done), vocab_size), "float32")
            states, t = np.empty(len(block), np.int32), 0
            for t, row in enumerate(block):
                if t + done:
                    hear(token, row)
                else:
                    row[:] = logits[0]
                states[t] = draws.state
                token = made.ids[0, done + t] = draws.next(row, done + t)
                if draws.is_over:
                    break
            told = slice(done, done + t + 1)
            every = numpy_ops.log_softmax(block[: t + 1])
            made.log_probability[0, told] = every[np.arange(t + 1), made.ids[0, told]]
            may_end = request.grammar.allowed[states[: t + 1], EOS]
            end = np.where(may_end, every[:, EOS], IMPOSSIBLE)
            made.end_log_probability[0, told] = end
            done += t + 1
        return made


class LayerByLayer(OneRow):
    """A decoder of gated layers, to whose biases the class gives its share.

    It has ``_bias`` (layers, 1, units) and ``_class``, None or (classes, layers * units),
    and ``_known``, at first (None, None): a class's ids, and the biases it makes.
    """

    def read(self, ids, state):
        """Some tokens further: int (B, T) and a state -> as `step` for the last one."""
        for column in np.asarray(ids).T:
            logits, state = self.step(column, state)
        return logits, state

    def _biases(self, opening):
        # Of the gates of all layers (layers, B, 2D), the class's share in them.
        if self._class is None:
            return self._bias
        key = opening.tobytes()
        if self._known[0] != key:
            first = self.architecture.first_class
            share = class_vectors(numpy_ops, self._class, opening, first)
            share = share.reshape(len(opening), len(self._bias), -1).swapaxes(0, 1)
            self._known = key, self._bias + share
        return self._known[1]


class Draws:
    """What `sampling.draw_next` draws for one row, with nothing made that can be kept.

    ``state`` is where the grammar stands; it moves with each token.
    """

    def __init__(self, request):
        grammar, filters = request.grammar, request.filters
        self._next_state, self._is_final = grammar.next_state, request.is_final
        self._allowed = grammar.allowed
        self.state = int(request.grammar_states()[0])
        self._least, self._is_end = request.min_new_tokens, request.is_end
        self._random = uniforms(request)[0]
        self._temperature, self._top_p = filters.temperature, filters.top_p
        self._forbidden = {}  # (state, whether the end is held back) -> bool (V,)
        self._wish, self._mass, self._sorted = np.empty(
            (3, grammar.allowed.shape[1]), "float32"
        )
        self.is_over = False

    def next(self, logits, t):
        """The token of place t, after logits (V,)."""
        is_held = t < self._least
        forbidden = self._forbidden.get((self.state, is_held))
        if forbidden is None:
            forbidden = self._forbidden[self.state, is_held] = self._rule(is_held)
        wish = self._wish
        if COLDEST <= self._temperature != 1:
            np.divide(logits, self._temperature, out=wish)
        else:
            np.copyto(wish, logits)
        np.copyto(wish, FORBIDDEN, where=forbidden)
        token = self._draw(wish, self._random[t])
        self.state = int(self._next_state[self.state, token])
        self.is_over = bool(self._is_final[self.state])
        return token

    def _rule(self, is_held):
        may = self._allowed[self.state]
        if is_held and (may & ~self._is_end).any():
            may = may & ~self._is_end
        return ~may

    def _draw(self, wish, uniform):
        if self._temperature < COLDEST:
            return int(wish.argmax())
        if self._top_p < 1:
            np.copyto(wish, FORBIDDEN, where=wish < self._last_kept(wish))
        mass = _softmax(wish, self._mass)
        np.add.accumulate(mass, out=mass)
        return int(mass.searchsorted(uniform * mass[-1], side="right"))

    def _last_kept(self, wish):
        # As in `sampling.keep_top_p`.
        ordered = self._sorted
        np.copyto(ordered, wish)
        ordered.sort()
        ordered = ordered[::-1]
        probability = _softmax(ordered, self._mass)
        before = probability.cumsum()
        before -= probability
        return ordered[np.flatnonzero(before < self._top_p)[-1]]


def _softmax(x, out):
    np.subtract(x, np.maximum.reduce(x), out=out)
    np.exp(out, out=out)
    return np.divide(out, np.add.reduce(out), out=out)

"""The compiled engine: one loop over `step`, for batches and long pieces.

Draws the same tokens as `player.generate` does from the same request.
"""

import numpy as np
import tensorflow as tf
from keras import ops

from audio_models.request import EOS, IMPOSSIBLE, PAD, Generated, uniforms
from audio_models.sampling import draw_next, followed_by, keep_where_possible


class CompiledGenerator:
    """A network ready to generate; compiled once for each shape of request.

    Args:
        network: `network.Network`.
    """

    def __init__(self, network):
        self.network = network
        self._loops = {}

    def generate(self, request):
        """Carry a `request.Request` out in one compiled loop.

        Returns:
            `request.Generated`, the same tokens as `player.generate` gives.
        """
        rows, length = request.prompts.shape
        shape = (rows, length, request.max_new_tokens)
        tables = request.tables  # None where nothing was asked: another loop
        asked = tuple(name for name in tables if tables[name] is not None)
        key = (*shape, request.filters, asked)
        if key not in self._loops:
            self._loops[key] = self._compile(*shape, request.filters)
        grammar = request.grammar
        made = self._loops[key](
            tf.constant(request.prompts),
            tf.constant(uniforms(request)),
            tf.constant(grammar.allowed),
            tf.constant(grammar.next_state.astype(np.int32)),
            tf.constant(request.grammar_states()),
            tf.constant(request.is_end),
            tf.constant(request.is_final),
            tf.constant(request.min_new_tokens),
            tf.constant(request.history()),
            {name: None if t is None else tf.constant(t) for name, t in tables.items()},
        )
        return Generated(*(array.numpy() for array in made))

    def _compile(self, rows, length, new, filters):
        network = self.network

        @tf.function(jit_compile=True)
        def loop(
            prompts,
            random,
            allowed,
            next_state,
            place,
            is_end,
            is_final,
            least_tokens,
            recent,
            tables,
        ):
            state = network.start(rows)
            logits = tf.zeros((rows, allowed.shape[1]))

            def read(t, logits, state):
                logits, state = network.step(prompts[:, t], state)
                return t + 1, logits, state

            _, logits, state = tf.while_loop(
                lambda t, *_: t < length, read, (0, logits, state)
            )
            ids = tf.fill((new, rows), PAD)
            worth = tf.zeros((new, rows))
            end_worth = tf.fill((new, rows), IMPOSSIBLE)

            def write(t, logits, state, place, recent, ids, worth, end_worth):
                may = tf.gather(allowed, place)
                is_held_back = is_end[None, :] & (t < least_tokens)
                may = keep_where_possible(ops, may, ~is_held_back)
                drawn = draw_next(
                    ops, logits, may, recent, random[:, t], filters, tables
                )
                every = tf.nn.log_softmax(logits)
                got = tf.gather(every, drawn, batch_dims=1)
                may_end = tf.gather(allowed[:, EOS], place)
                end = tf.where(may_end, every[:, EOS], IMPOSSIBLE)
                ids = tf.tensor_scatter_nd_update(ids, [[t]], drawn[None])
                worth = tf.tensor_scatter_nd_update(worth, [[t]], got[None])
                end_worth = tf.tensor_scatter_nd_update(end_worth, [[t]], end[None])
                place = tf.gather_nd(next_state, tf.stack([place, drawn], axis=1))
                recent = followed_by(ops, recent, drawn)
                logits, state = network.step(drawn, state)
                return t + 1, logits, state, place, recent, ids, worth, end_worth

            def goes_on(t, logits, state, place, *_):
                ended = tf.reduce_all(tf.gather(is_final, place))
                return (t < new) & ~ended

            *_, ids, worth, end_worth = tf.while_loop(
                goes_on,
                write,
                (0, logits, state, place, recent, ids, worth, end_worth),
            )
            return [tf.transpose(array) for array in (ids, worth, end_worth)]

        return loop

"""The compiled engine: one loop over `step`, for batches and long pieces.

Draws the same tokens as `player.generate` does from the same request.
"""

import numpy as np
import tensorflow as tf
from keras import ops

from audio_models.request import EOS, IMPOSSIBLE, PAD, Generated, uniforms
from audio_models.sampling import draw, keep_allowed


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
        settings = (request.temperature, request.top_k, request.top_p)
        key = (*shape, *settings)
        if key not in self._loops:
            self._loops[key] = self._compile(*shape, *settings)
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
        )
        return Generated(*(array.numpy() for array in made))

    def _compile(self, rows, length, new, temperature, top_k, top_p):
        network = self.network

        @tf.function(jit_compile=True)
        def loop(
            prompts, random, allowed, next_state, place, is_end, is_final, least_tokens
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

            def write(t, logits, state, place, ids, worth, end_worth):
                may = tf.gather(allowed, place)
                may = may & ~(is_end[None, :] & (t < least_tokens))
                drawn = draw(
                    ops,
                    keep_allowed(ops, logits, may),
                    random[:, t],
                    temperature,
                    top_k,
                    top_p,
                )
                every = tf.nn.log_softmax(logits)
                got = tf.gather(every, drawn, batch_dims=1)
                may_end = tf.gather(allowed[:, EOS], place)
                end = tf.where(may_end, every[:, EOS], IMPOSSIBLE)
                ids = tf.tensor_scatter_nd_update(ids, [[t]], drawn[None])
                worth = tf.tensor_scatter_nd_update(worth, [[t]], got[None])
                end_worth = tf.tensor_scatter_nd_update(end_worth, [[t]], end[None])
                place = tf.gather_nd(next_state, tf.stack([place, drawn], axis=1))
                logits, state = network.step(drawn, state)
                return t + 1, logits, state, place, ids, worth, end_worth

            def goes_on(t, logits, state, place, *_):
                ended = tf.reduce_all(tf.gather(is_final, place))
                return (t < new) & ~ended

            *_, ids, worth, end_worth = tf.while_loop(
                goes_on, write, (0, logits, state, place, ids, worth, end_worth)
            )
            return [tf.transpose(array) for array in (ids, worth, end_worth)]

        return loop

"""The NumPy engine: plays an architecture's step with nothing to load.

`import tensorflow` takes longer than composing a tune does. The player shares the
architecture's arithmetic, and so its tokens, with `generation.generate_compiled`.
"""

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import check_weights
from audio_models.request import EOS, IMPOSSIBLE, Generated, uniforms
from audio_models.sampling import draw, keep_allowed


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

    def start(self, batch_size):
        """The state before the first token."""
        return self.architecture.start(numpy_ops, batch_size)

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        logits, state = self.architecture.forward(
            numpy_ops, self.weights, np.asarray(ids)[:, None], state
        )
        return logits[:, 0], state


def generate(player, request):
    """Carry a `Request` out, one step after another.

    Args:
        player: `Player`.
        request: `request.Request`.

    Returns:
        `request.Generated`.
    """
    prompts = request.prompts
    rows, new = len(prompts), request.max_new_tokens
    allowed, next_state = request.grammar.allowed, request.grammar.next_state
    random = uniforms(request)
    state = player.start(rows)
    for column in range(prompts.shape[1]):
        logits, state = player.step(prompts[:, column], state)
    place = request.grammar_states()
    ids = np.zeros((rows, new), dtype=np.int32)
    log_probability = np.zeros((rows, new), dtype=np.float32)
    end_log_probability = np.full((rows, new), IMPOSSIBLE, dtype=np.float32)
    for t in range(new):
        may = allowed[place]
        if t < request.min_new_tokens:
            may = may & ~request.is_end
        drawn = draw(
            numpy_ops,
            keep_allowed(numpy_ops, logits, may),
            random[:, t],
            request.temperature,
            request.top_k,
            request.top_p,
        )
        every = numpy_ops.log_softmax(logits)
        log_probability[:, t] = every[np.arange(rows), drawn]
        may_end = allowed[place, EOS]
        end_log_probability[:, t] = np.where(may_end, every[:, EOS], IMPOSSIBLE)
        ids[:, t] = drawn
        place = next_state[place, drawn]
        if request.is_final[place].all():
            break
        if t + 1 < new:
            logits, state = player.step(drawn, state)
    return Generated(ids, log_probability, end_log_probability)

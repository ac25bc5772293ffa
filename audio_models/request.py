"""What is asked of a generator, and what it gives back; the same for both engines."""

from dataclasses import dataclass

import numpy as np

from audio_models.architecture import LARGEST

PAD, EOS = 0, 2  # reserved in every vocabulary of the kit
IMPOSSIBLE = -1e9  # the log-probability of what the grammar forbids


@dataclass(frozen=True)
class Request:
    """Continue each prompt by up to `max_new_tokens`.

    Args:
        prompts: int array (B, P), P at least 1, BOS included.
        max_new_tokens: int, at least 1.
        grammar: has ``allowed`` (states, V), ``next_state`` (states, V) and ``start``.
        min_new_tokens: int; EOS is held back until so many have been drawn.
        temperature: float, at least 0.
        top_k: int or None.
        top_p: float in (0, 1].
        seed: int, at least 0. Row r draws with (seed, r), whatever the batch.
    """

    prompts: np.ndarray
    max_new_tokens: int
    grammar: object
    min_new_tokens: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        prompts = np.atleast_2d(np.asarray(self.prompts, dtype=np.int32))
        object.__setattr__(self, "prompts", prompts)
        if prompts.ndim != 2 or prompts.shape[1] < 1:
            raise ValueError(f"`prompts` must be (B, P). Received: {prompts.shape}")
        for name, lowest in (("max_new_tokens", 1), ("min_new_tokens", 0), ("seed", 0)):
            if getattr(self, name) < lowest:
                raise ValueError(
                    f"`{name}` must be at least {lowest}. Received: {getattr(self, name)}"
                )
        if self.max_new_tokens > LARGEST["context_length"]:
            raise ValueError(
                f"`max_new_tokens` must be at most {LARGEST['context_length']}. "
                f"Received: {self.max_new_tokens}"
            )

    @property
    def is_end(self):
        """bool array (V,): which token ends a piece."""
        return np.arange(self.grammar.allowed.shape[1]) == EOS

    @property
    def is_final(self):
        """bool array (states,): in which states only PAD may follow."""
        allowed = self.grammar.allowed
        return allowed[:, PAD] & (allowed.sum(axis=1) == 1)

    def grammar_states(self):
        """int32 array (B,): where the grammar stands after each prompt."""
        states = []
        for prompt in self.prompts:
            state = self.grammar.state_after(prompt[1:])  # BOS is before the start
            if state is None:
                raise ValueError(f"The prompt breaks the grammar: {prompt.tolist()}")
            states.append(state)
        return np.array(states, dtype=np.int32)


@dataclass(frozen=True)
class Generated:
    """New tokens, int32 (B, T), PAD after the end, and what the model gave each.

    ``log_probability`` (B, T), nats, is the model's own: before temperature, filters
    and grammar. ``end_log_probability`` (B, T) is what EOS would have been worth in
    each place, `IMPOSSIBLE` where the grammar forbids it or nothing was drawn.
    """

    ids: np.ndarray
    log_probability: np.ndarray
    end_log_probability: np.ndarray


def uniforms(request):
    """float32 array (B, T) in [0, 1): all the chance that a request needs."""
    return np.stack(
        [
            np.random.default_rng([request.seed, row]).random(
                request.max_new_tokens, dtype=np.float32
            )
            for row in range(len(request.prompts))
        ]
    )

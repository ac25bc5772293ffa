"""What is asked of a generator, and what it gives back; the same for both engines."""

from dataclasses import dataclass

import numpy as np

from audio_models.architecture import LARGEST
from audio_models.sampling import NOTHING, Filters

PAD, EOS = 0, 2  # reserved in every vocabulary of the kit
IMPOSSIBLE = -1e9  # the log-probability of what the grammar forbids
LONGEST_NGRAM = 256
MOST_NEW_TOKENS = 2**23  # four minutes of samples at 32 kHz
TABLES = {"allowed_tokens": bool, "bias": np.float32, "repetition_of": bool}


@dataclass(frozen=True)
class Request:
    """Continue each prompt by up to `max_new_tokens`.

    `sampling` says in which order the wishes are minded, and by which formula.

    Args:
        prompts: int array (B, P), P at least 1, BOS included.
        max_new_tokens: int, at least 1.
        grammar: has ``allowed`` (states, V), ``next_state`` (states, V) and ``start``.
        min_new_tokens: int; EOS is held back until so many have been drawn.
        temperature: float, at least 0.
        top_k: int or None.
        top_p: float in (0, 1].
        min_p: float in [0, 1]: tokens less than so many times as likely as the
            likeliest are not drawn. 0 keeps all.
        repetition: float above 0. The odds of a token that stands among the last ones
            are divided by it. 1 changes nothing.
        repetition_window: int, at least 1, how many last tokens that looks at, those
            of the prompt included.
        repetition_of: bool array (V,), which tokens it may count against; None is all.
            Mark those that strike notes: a hold or a bar line has to come again.
        no_repeat_ngram: int, 0 or at least 2: no so many tokens in a row come twice in
            a row's prompt and continuation, where anything else may come. In music
            that is a remedy for loops alone, to be set to several bars' worth.
        allowed_tokens: bool array (V,) or None: which tokens may come, of those that
            the grammar allows; EOS too must be marked to come. Where the grammar
            allows none of them, it decides alone.
        bias: float array (V,) or None, added to the logits.
        seed: int, at least 0. Row r draws with (seed, r), whatever the batch.
        seeds: tuple of int or None, one a row instead of `seed`: row r draws with
            (seeds[r], 0), as the only row of a request with that seed does.
    """

    prompts: np.ndarray
    max_new_tokens: int
    grammar: object
    min_new_tokens: int = 0
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0
    min_p: float = 0.0
    repetition: float = 1.0
    repetition_window: int = 64
    repetition_of: np.ndarray | None = None
    no_repeat_ngram: int = 0
    allowed_tokens: np.ndarray | None = None
    bias: np.ndarray | None = None
    seeds: tuple[int, ...] | None = None

    def __post_init__(self):
        prompts = np.atleast_2d(np.asarray(self.prompts, dtype=np.int32))
        object.__setattr__(self, "prompts", prompts)
        if prompts.ndim != 2 or prompts.shape[1] < 1:
            raise ValueError(f"`prompts` must be (B, P). Received: {prompts.shape}")
        for name, lowest in (
            ("max_new_tokens", 1),
            ("min_new_tokens", 0),
            ("seed", 0),
            ("repetition_window", 1),
        ):
            if getattr(self, name) < lowest:
                raise ValueError(
                    f"`{name}` must be at least {lowest}. Received: {getattr(self, name)}"
                )
        most = {
            "max_new_tokens": MOST_NEW_TOKENS,
            "repetition_window": LARGEST["context_length"],
        }
        for name, highest in most.items():
            if getattr(self, name) > highest:
                raise ValueError(
                    f"`{name}` must be at most {highest}. "
                    f"Received: {getattr(self, name)}"
                )
        self._check_filters()
        for name, dtype in TABLES.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, self._table(name, dtype))
        if self.seeds is not None:
            seeds = tuple(int(seed) for seed in self.seeds)
            object.__setattr__(self, "seeds", seeds)
            if len(seeds) != len(prompts) or min(seeds) < 0:
                raise ValueError(
                    f"`seeds` must be one integer of at least 0 for each of the "
                    f"{len(prompts)} prompts. Received: {seeds}"
                )

    def _check_filters(self):
        # What was there before these is checked where it is used, in `sampling`.
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"`min_p` must be in [0, 1]. Received: {self.min_p}")
        if not 0 < self.repetition < np.inf:
            raise ValueError(
                f"`repetition` must be above 0 and finite. Received: {self.repetition}"
            )
        size = self.no_repeat_ngram
        if size != 0 and not 2 <= size <= LONGEST_NGRAM:
            raise ValueError(
                f"`no_repeat_ngram` must be 0 or in 2..{LONGEST_NGRAM}. Received: {size}"
            )

    def _table(self, name, dtype):
        table = np.asarray(getattr(self, name))
        vocab_size = self.grammar.allowed.shape[1]
        if table.shape != (vocab_size,):
            raise ValueError(
                f"`{name}` must have one entry for each of {vocab_size} tokens. "
                f"Received shape: {table.shape}"
            )
        if (table.dtype == bool) != (dtype is bool):
            raise ValueError(f"`{name}` must not be of dtype {table.dtype}.")
        if not np.isfinite(table).all():
            raise ValueError(f"`{name}` must be finite. Received: {table}")
        return table.astype(dtype)

    @property
    def filters(self):
        """`sampling.Filters`: the numbers by which a token is drawn."""
        return Filters(
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.repetition,
            self.repetition_window,
            self.no_repeat_ngram,
        )

    @property
    def tables(self):
        """dict of what is asked token by token: arrays (V,), or None."""
        return {name: getattr(self, name) for name in TABLES}

    def history(self):
        """int32 array (B, W): the last tokens of the prompt, as far as a filter looks.

        The newest last, `sampling.NOTHING` before the first; W is 0 if none looks.
        """
        rows, read = self.prompts.shape
        width = self.repetition_window if self.repetition != 1 else 0
        if self.no_repeat_ngram:
            whole = read + self.max_new_tokens
            width = max(width, whole, self.no_repeat_ngram)
        before = np.full((rows, width), NOTHING, dtype=np.int32)
        return np.concatenate([before, self.prompts], axis=1)[:, read:]

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
    if request.seeds is None:
        seeds = [[request.seed, row] for row in range(len(request.prompts))]
    else:
        seeds = [[seed, 0] for seed in request.seeds]
    return np.stack(
        [
            np.random.default_rng(seed).random(request.max_new_tokens, dtype=np.float32)
            for seed in seeds
        ]
    )

"""From logits to the next token: pure filters over an array namespace.

Each takes and gives logits (B, V); what is ruled out becomes `FORBIDDEN`. ``ops`` is
`keras.ops` or `numpy_ops`: both engines draw the same token from the same logits.

The order, stated once. What changes the model's wish comes first: bias, repetition.
Then what may not be: grammar, the caller's mask, n-grams that were there before. Then
temperature, and of what is left top-k, top-p, min-p, each with the probabilities of
what the one before it kept. So does Hugging Face's `generate`; llama.cpp, too, but
with its temperature last.
"""

import math
from dataclasses import dataclass

FORBIDDEN = -1e9
COLDEST = 1e-3  # below this temperature the likeliest token is taken
NOTHING = -1  # in a history: there was no token yet


@dataclass(frozen=True)
class Filters:
    """The numbers among a `request.Request`'s wishes: see there. Hashable."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0
    repetition_window: int = 64
    no_repeat_ngram: int = 0


def keep_allowed(ops, logits, allowed):
    """Rule out what the grammar forbids. Args: allowed, bool (B, V)."""
    return ops.where(allowed, logits, FORBIDDEN)


def keep_where_possible(ops, allowed, wanted):
    """Of what is allowed, what is wanted too; in rows where that is nothing, all.

    Args:
        allowed: bool (B, V).
        wanted: bool (B, V) or (V,).

    Returns:
        bool (B, V).
    """
    both = allowed & wanted
    is_some = ops.max(ops.cast(both, "int32"), axis=-1) > 0
    return ops.where(is_some[..., None], both, allowed)


def seen_tokens(ops, recent, vocab_size):
    """Which tokens stand in a history. Args: recent, int (B, W). Gives bool (B, V)."""
    is_here = recent[..., None] == ops.arange(vocab_size)  # (B, W, V)
    return ops.max(ops.cast(is_here, "int32"), axis=1) > 0


def lower_repeated(ops, logits, seen, repetition):
    """Divide the odds of what was seen, against what was not, by `repetition`.

        logit[v] - log(repetition)   for each v that was seen

    1 changes nothing, 2 makes a repeated token half as likely beside the others, less
    than 1 makes it likelier. A token that is certain stays certain.

    Args:
        logits: float (B, V).
        seen: bool (B, V).
        repetition: float above 0.

    Reference:
        Keskar et al. 2019, CTRL, https://arxiv.org/abs/1909.05858, section 4.1, where
        the logit itself is divided: what that does hangs on where the logits' zero
        lies, which means nothing, and a logit below it would be raised.
    """
    return logits - math.log(repetition) * ops.cast(seen, logits.dtype)


def completes_ngram(ops, recent, size, vocab_size):
    """Which tokens would complete `size` tokens in a row that were there before.

    Args:
        recent: int (B, W), the newest last, `NOTHING` before the first.
        size: int in 2..W.

    Returns:
        bool (B, V).

    Reference:
        Paulus et al. 2018, https://arxiv.org/abs/1705.04304, section 2.5.
    """
    places = recent.shape[1] - size + 1  # where an n-gram may begin
    is_again = recent[:, :places] == recent[:, places, None]
    for k in range(1, size - 1):
        here = recent[:, k : places + k] == recent[:, places + k, None]
        is_again = is_again & here
    return seen_tokens(
        ops, ops.where(is_again, recent[:, size - 1 :], NOTHING), vocab_size
    )


def keep_top_k(ops, logits, top_k):
    """Keep the `top_k` likeliest tokens, and any that tie with the last of them.

    Reference:
        Fan et al. 2018, https://arxiv.org/abs/1805.04833, section 5.4.
    """
    if top_k < 1:
        raise ValueError(f"`top_k` must be at least 1. Received: {top_k}")
    vocab_size = logits.shape[-1]
    if top_k >= vocab_size:
        return logits
    last_kept = ops.sort(logits, axis=-1)[..., vocab_size - top_k]
    return ops.where(logits >= last_kept[..., None], logits, FORBIDDEN)


def keep_top_p(ops, logits, top_p):
    """Keep the smallest set of tokens that holds `top_p` of the mass (and ties).

    Reference:
        Holtzman et al. 2020, https://arxiv.org/abs/1904.09751 (nucleus sampling).
    """
    if not 0 < top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]. Received: {top_p}")
    if top_p == 1:
        return logits
    descending = ops.flip(ops.sort(logits, axis=-1), axis=-1)
    probability = ops.softmax(descending, axis=-1)
    # Mass strictly before each token: 0 for the first, which is thus always kept.
    before = ops.cumsum(probability, axis=-1) - probability
    last_kept = ops.min(ops.where(before < top_p, descending, 1e9), axis=-1)
    return ops.where(logits >= last_kept[..., None], logits, FORBIDDEN)


def keep_min_p(ops, logits, min_p):
    """Keep the tokens at least `min_p` times as likely as the likeliest.

    Reference:
        Nguyen et al. 2024, https://arxiv.org/abs/2407.01082.
    """
    if not 0 <= min_p <= 1:
        raise ValueError(f"`min_p` must be in [0, 1]. Received: {min_p}")
    if min_p == 0:
        return logits
    least = ops.max(logits, axis=-1) + math.log(min_p)
    return ops.where(logits >= least[..., None], logits, FORBIDDEN)


def wished(ops, logits, recent, filters, bias=None, repetition_of=None):
    """What the model would go on with, after bias and repetition.

    Args:
        ops: array namespace.
        logits: float (B, V).
        recent: int (B, W), the tokens before, as `request.Request.history` lays out.
        filters: `Filters`.
        bias: float (V,) or None.
        repetition_of: bool (V,) or None, which tokens count as repeated.

    Returns:
        float (B, V).
    """
    if bias is not None:
        logits = logits + bias
    if filters.repetition == 1:
        return logits
    within = recent[:, max(0, recent.shape[1] - filters.repetition_window) :]
    seen = seen_tokens(ops, within, logits.shape[-1])
    if repetition_of is not None:
        seen = seen & repetition_of
    return lower_repeated(ops, logits, seen, filters.repetition)


def permitted(ops, allowed, recent, filters, allowed_tokens=None):
    """What may come next: bool (B, V), never nothing where the grammar allows a thing.

    Args:
        ops: array namespace.
        allowed: bool (B, V), by the grammar.
        recent: int (B, W).
        filters: `Filters`.
        allowed_tokens: bool (V,) or None, by the caller.
    """
    if allowed_tokens is not None:
        allowed = keep_where_possible(ops, allowed, allowed_tokens)
    if filters.no_repeat_ngram:
        again = completes_ngram(ops, recent, filters.no_repeat_ngram, allowed.shape[-1])
        allowed = keep_where_possible(ops, allowed, ~again)
    return allowed


def followed_by(ops, recent, ids):
    """A history one token later: the oldest of (B, W) goes, `ids` (B,) come last."""
    if recent.shape[1] == 0:
        return recent
    return ops.concatenate([recent[:, 1:], ids[:, None]], axis=1)


def draw(ops, logits, uniform, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0):
    """One token a row.

    Args:
        ops: array namespace.
        logits: float array (B, V).
        uniform: float array (B,) in [0, 1): where in the distribution to draw.
        temperature: float, at least 0; 0 takes the likeliest token.
        top_k: int or None.
        top_p: float in (0, 1].
        min_p: float in [0, 1]. All filters see the logits after the temperature.

    Returns:
        int32 array (B,).
    """
    if temperature < 0:
        raise ValueError(f"`temperature` must be at least 0. Received: {temperature}")
    if temperature < COLDEST:
        return ops.cast(ops.argmax(logits, axis=-1), "int32")
    logits = logits / temperature
    if top_k is not None:
        logits = keep_top_k(ops, logits, top_k)
    logits = keep_top_p(ops, logits, top_p)
    logits = keep_min_p(ops, logits, min_p)
    cumulative = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    threshold = uniform[..., None] * cumulative[..., -1:]
    passed = ops.cast(cumulative <= threshold, "int32")
    return ops.cast(ops.sum(passed, axis=-1), "int32")


def draw_next(ops, logits, allowed, recent, uniform, filters, tables):
    """One token a row, all the wishes of a request minded in the order above.

    Args:
        ops: array namespace.
        logits: float (B, V), the model's.
        allowed: bool (B, V), by the grammar.
        recent: int (B, W).
        uniform: float (B,) in [0, 1).
        filters: `Filters`.
        tables: dict of ``allowed_tokens``, ``bias`` and ``repetition_of``, each an
            array (V,) or None.

    Returns:
        int32 array (B,).
    """
    logits = wished(
        ops, logits, recent, filters, tables["bias"], tables["repetition_of"]
    )
    may = permitted(ops, allowed, recent, filters, tables["allowed_tokens"])
    return draw(
        ops,
        keep_allowed(ops, logits, may),
        uniform,
        filters.temperature,
        filters.top_k,
        filters.top_p,
        filters.min_p,
    )


def sharpen_among(
    ops, logits, marked, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0
):
    """Filter which of the marked tokens comes, and leave when one comes as it is.

    On a grid most tokens prolong what there is. Cooled or cut as a whole, a distribution
    that holds a note with 0.95 leaves little else, and the music stands still.

    Args:
        ops: array namespace.
        logits: float array (B, V).
        marked: bool array (V,), such as the tokens that strike a note.
        temperature, top_k, top_p, min_p: as for `draw`, among the marked tokens alone.

    Returns:
        float array (B, V), log-probabilities: the marked tokens together have the mass
        that they had, and so has each other token. Draw from it as it is.
    """
    nats = ops.log_softmax(logits, axis=-1)
    among = ops.where(marked, nats, FORBIDDEN)
    top = ops.max(among, axis=-1, keepdims=True)
    mass = top + ops.log(ops.sum(ops.exp(among - top), axis=-1, keepdims=True))
    inside = ops.where(marked, (among - top) / max(temperature, COLDEST), FORBIDDEN)
    if top_k is not None:
        inside = keep_top_k(ops, inside, top_k)
    inside = keep_min_p(ops, keep_top_p(ops, inside, top_p), min_p)
    inside = ops.log_softmax(inside, axis=-1) + mass
    return ops.where(marked, ops.maximum(inside, FORBIDDEN), nats)

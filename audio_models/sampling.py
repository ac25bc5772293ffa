"""From logits to the next token: pure filters over an array namespace.

Each takes and gives logits (B, V); what is ruled out becomes `FORBIDDEN`. ``ops`` is
`keras.ops` or `numpy_ops`: both engines draw the same token from the same logits.
"""

FORBIDDEN = -1e9
COLDEST = 1e-3  # below this temperature the likeliest token is taken


def keep_allowed(ops, logits, allowed):
    """Rule out what the grammar forbids. Args: allowed, bool (B, V)."""
    return ops.where(allowed, logits, FORBIDDEN)


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


def draw(ops, logits, uniform, temperature=1.0, top_k=None, top_p=1.0):
    """One token a row.

    Args:
        ops: array namespace.
        logits: float array (B, V).
        uniform: float array (B,) in [0, 1): where in the distribution to draw.
        temperature: float, at least 0; 0 takes the likeliest token.
        top_k: int or None.
        top_p: float in (0, 1]. Both filters see the logits after the temperature.

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
    cumulative = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1)
    threshold = uniform[..., None] * cumulative[..., -1:]
    passed = ops.cast(cumulative <= threshold, "int32")
    return ops.cast(ops.sum(passed, axis=-1), "int32")

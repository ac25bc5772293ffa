"""Lab 02: what people write before it is right."""

import numpy as np


def log_softmax(logits):
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def surprise(logits, targets):
    return -np.take_along_axis(log_softmax(logits), targets[..., None], -1)[..., 0]


def mean_over_padding(logits, targets, is_real):
    """Padding counts in the mean."""
    return surprise(logits, targets).mean()


def sum_over_all(logits, targets, is_real):
    """The sum of the real over the number of all."""
    return np.where(is_real, surprise(logits, targets), 0).mean()


def in_bits(logits, targets, is_real):
    """Logarithm to the base of 2."""
    return (surprise(logits, targets) / np.log(2))[is_real].mean()


def overflowing(logits, targets, is_real):
    """No maximum is taken off: e^2000 is infinite."""
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], -1)[..., 0])[
        is_real
    ].mean()


def mean_of_rows(logits, targets, is_real):
    """The mean of the rows' means: short rows weigh too much."""
    rows = [
        row[real].mean()
        for row, real in zip(surprise(logits, targets), is_real, strict=True)
        if real.any()
    ]
    return np.mean(rows)


def softmax(z):
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def multiplied(logits, temperature):
    """Times the temperature, not divided by it."""
    return softmax(logits * temperature)


def after_the_softmax(logits, temperature):
    """The temperature divides probabilities, and the sum undoes it."""
    return softmax(logits) / temperature / (softmax(logits) / temperature).sum()


def not_normalised(logits, temperature):
    """Weights that do not sum to 1."""
    return np.exp((logits - logits.max()) / temperature)


def overflows(logits, temperature):
    """Nothing is taken off before the exponential."""
    weights = np.exp(logits / temperature)
    return weights / weights.sum()


def draw_left(chances, u):
    """side="left": a token of chance 0 comes at u = 0."""
    return int(min(np.searchsorted(np.cumsum(chances), u), len(chances) - 1))


def draw_most_likely(chances, u):
    """The likeliest, whatever u is."""
    return int(np.argmax(chances))


def draw_one_late(chances, u):
    """One piece too far."""
    return int(np.searchsorted(np.cumsum(chances), u, side="right")) + 1


def draw_beyond(chances, u):
    """u beyond the sum gives a token that there is not, or one of chance 0."""
    return int(np.searchsorted(np.cumsum(chances), u, side="right"))


def draw_by_nearest(chances, u):
    """The token whose chance is nearest to u."""
    return int(np.argmin(np.abs(chances - u)))


def with_the_prompt(step, state, prompt, count, choose):
    """The prompt is given back too."""
    return list(prompt) + right_loop(step, state, prompt, count, choose)


def right_loop(step, state, prompt, count, choose):
    for token in prompt:
        logits, state = step(token, state)
    written = [choose(logits)]
    while len(written) < count:
        logits, state = step(written[-1], state)
        written.append(choose(logits))
    return written


def forgets_its_state(step, state, prompt, count, choose):
    """The state of the beginning is used at each step."""
    for token in prompt:
        logits, _ = step(token, state)
    written = [choose(logits)]
    while len(written) < count:
        logits, _ = step(written[-1], state)
        written.append(choose(logits))
    return written


def never_reads_its_choice(step, state, prompt, count, choose):
    """The last token of the prompt is read again and again."""
    for token in prompt:
        logits, state = step(token, state)
    written = []
    for _ in range(count):
        written.append(choose(logits))
        logits, state = step(prompt[-1], state)
    return written


def reads_the_last_twice(step, state, prompt, count, choose):
    """The prompt's last token is read once with it, and once more by the loop."""
    for token in prompt:
        logits, state = step(token, state)
    token, written = prompt[-1], []
    for _ in range(count):
        logits, state = step(token, state)
        token = choose(logits)
        written.append(token)
    return written


def one_too_many(step, state, prompt, count, choose):
    """count + 1 tokens."""
    return right_loop(step, state, prompt, count + 1, choose)


def period_anywhere(tokens, least_rounds=3):
    """A loop at the beginning counts too."""
    tokens = list(tokens)
    for p in range(1, len(tokens) // least_rounds + 1):
        for start in range(len(tokens) - p * least_rounds + 1):
            part = tokens[start : start + p * least_rounds]
            if part == part[:p] * least_rounds:
                return p
    return 0


def period_twice(tokens, least_rounds=3):
    """Two rounds are enough for it."""
    tokens = list(tokens)
    for p in range(1, len(tokens) // 2 + 1):
        if tokens[-p:] == tokens[-2 * p : -p]:
            return p
    return 0


def largest_period(tokens, least_rounds=3):
    """The largest that fits, not the smallest."""
    tokens = list(tokens)
    for p in range(len(tokens) // least_rounds, 0, -1):
        tail = tokens[-p * least_rounds :]
        if tail == tail[-p:] * least_rounds:
            return p
    return 0


def distance_to_the_last(tokens, least_rounds=3):
    """How long ago the last token came: no loop is looked for."""
    tokens = list(tokens)
    for back in range(1, len(tokens)):
        if tokens[-1 - back] == tokens[-1]:
            return back
    return 0


def nucleus_too_small(chances, share):
    """The token that reaches the share is cut off too."""
    order = np.argsort(-chances)
    keep = order[np.cumsum(chances[order]) < share]
    kept = np.zeros_like(chances)
    kept[keep] = chances[keep]
    return kept / max(kept.sum(), 1e-9)


def nucleus_not_scaled(chances, share):
    """What is kept does not sum to 1."""
    order = np.argsort(-chances)
    before = np.cumsum(chances[order]) - chances[order]
    return np.where(np.isin(np.arange(len(chances)), order[before < share]), chances, 0)


def nucleus_in_order(chances, share):
    """The tokens are taken in the order of their numbers."""
    before = np.cumsum(chances) - chances
    kept = np.where(before < share, chances, 0)
    return kept / kept.sum()


def every_token_above(chances, share):
    """Tokens are kept whose own chance is above 1 - share."""
    kept = np.where(chances > 1 - share, chances, 0)
    return kept / max(kept.sum(), 1e-9)


WRONG = {
    "cross_entropy": [
        mean_over_padding, sum_over_all, in_bits, overflowing, mean_of_rows,
    ],
    "soften": [multiplied, after_the_softmax, not_normalised, overflows],
    "draw": [draw_left, draw_most_likely, draw_one_late, draw_beyond, draw_by_nearest],
    "go_on": [
        with_the_prompt, forgets_its_state, never_reads_its_choice,
        reads_the_last_twice, one_too_many,
    ],
    "period_of": [
        period_anywhere, period_twice, largest_period, distance_to_the_last,
    ],
    "keep_nucleus": [
        nucleus_too_small, nucleus_not_scaled, nucleus_in_order, every_token_above,
    ],
}  # fmt: skip

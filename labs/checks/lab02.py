"""Lab 02: from logits to a melody."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="Take log-probabilities at the targets, then the mean where is_real holds.",
    covers=("e02",),
)
def cross_entropy(answer, rng):
    """The mean over real tokens of -log p of the target; padding does not count."""
    logits = rng.normal(size=(3, 5, 7)) * 2
    targets = rng.integers(0, 7, (3, 5))
    is_real = rng.random((3, 5)) < 0.6
    is_real[0, 0], is_real[-1, -1] = True, False
    total, count = 0.0, 0
    for b, t in np.argwhere(is_real):
        chances = np.exp(logits[b, t]) / np.exp(logits[b, t]).sum()
        total, count = total - np.log(chances[targets[b, t]]), count + 1
    kept = logits.copy()
    close(
        answer(logits, targets, is_real),
        total / count,
        f"the mean surprise over {count} real tokens of 15",
    )
    expect((logits == kept).all(), "The logits that were handed in were changed.")
    padded = np.concatenate([logits, 30 * np.eye(7)[None, [0] * 5]])
    close(
        answer(
            padded,
            np.concatenate([targets, np.zeros((1, 5), int)]),
            np.concatenate([is_real, np.zeros((1, 5), bool)]),
        ),
        total / count,
        "the same after a row of nothing but padding was added",
    )
    even = np.zeros((1, 2, 9))
    ones = np.ones((1, 2), bool)
    close(
        answer(even, np.array([[3, 8]]), ones),
        np.log(9),
        "the surprise where nine tokens are equally likely (nats: natural logarithm)",
    )
    close(
        answer(logits + 2000, targets, is_real),
        total / count,
        "the same with 2000 added to every logit",
        tolerance=1e-5,
    )


@exercise(
    hint="Divide first, take the largest off, then the exponentials over their sum."
)
def soften(answer, rng):
    """p is proportional to exp(logit / temperature), and sums to 1."""
    logits = rng.normal(size=6) * 3
    for temperature in (0.3, 1.0, 4.0):
        weights = np.exp(logits / temperature - (logits / temperature).max())
        close(
            answer(logits, temperature),
            weights / weights.sum(),
            f"soften(logits, {temperature})",
        )
    got = np.asarray(answer(logits * 1000, 1.0), float)
    expect(
        np.isfinite(got).all(),
        "Logits in the thousands overflow. What may be taken off all of them without "
        "changing the result?",
    )


@exercise(
    hint="np.cumsum gives where each piece ends; which is the first end beyond u?",
    points=2,
)
def draw(answer, rng):
    """The token in whose piece of the line from 0 to 1 the number falls."""
    chances = rng.dirichlet(np.ones(6))
    chances[rng.integers(0, 5)] = 0.0
    chances /= chances.sum()
    ends = np.cumsum(chances)
    for token in np.flatnonzero(chances):
        begin = ends[token] - chances[token]
        for share in (0.02, 0.5, 0.98):
            u = begin + share * chances[token]
            got = answer(chances, u)
            expect(
                got is not None and np.ndim(got) == 0 and int(got) == token,
                f"With pieces that end at {np.round(ends, 3)}, u = {u:.3f} falls into "
                f"token {token}. Received: {got}",
            )
    first = answer(np.array([0.0, 0.25, 0.75]), 0.0)
    expect(
        first == 1,
        f"A token of chance 0 came: u = 0.0 over [0, 0.25, 0.75] gave {first}, not 1.",
    )
    short = np.array([0.3, 0.7 - 1e-9, 0.0])
    last = answer(short, 1 - 1e-12)
    expect(
        last == 1,
        "Where the chances sum to a hair below 1, u beyond their sum belongs to the "
        f"last token that has a chance, 1. Received: {last}",
    )


@exercise(
    hint="First read the prompt. Then choose, and read what was chosen, in turn.",
    points=2,
)
def go_on(answer, rng):
    """Every token is read once, in its order; each choice is read before the next."""
    table = rng.normal(size=(5, 5, 5))
    asked = []

    def step(token, state):
        asked.append(int(token))
        return table[state, int(token)], int(token)

    def choose(logits):
        return int(np.argmax(logits))

    prompt = [int(token) for token in rng.integers(0, 5, 3)]
    state, wanted = 0, []
    for token in prompt:
        logits, state = table[state, token], token
    for _ in range(6):
        wanted.append(int(np.argmax(logits)))
        logits, state = table[state, wanted[-1]], wanted[-1]
    got = answer(step, 0, list(prompt), 6, choose)
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = [int(token) for token in got]
    expect(
        len(got) == 6,
        f"6 new tokens were asked for, without the prompt. Received: {len(got)}",
    )
    expect(
        got == wanted,
        f"After the prompt {prompt} the tokens should be {wanted}, were {got}. What was "
        f"read is {asked}.",
    )
    expect(
        asked in (prompt + wanted, prompt + wanted[:-1]),
        f"Each token is read once: {prompt + wanted[:-1]}. Read: {asked}",
    )
    expect(
        len(answer(step, 0, list(prompt), 1, choose)) == 1,
        "Where one token is asked for, one should come.",
    )


@exercise(hint="Try p = 1, 2, 3 ... and compare the end with its last p, repeated.")
def period_of(answer, rng):
    """The smallest p for which the end is its last p tokens, three times over."""
    size = int(rng.integers(3, 8))
    loop = [int(token) for token in rng.permutation(9)[:size]]
    before = [int(token) for token in rng.integers(10, 20, 11)]
    rows = {
        f"{before} and then 4 times {loop}": (before + loop * 4, size),
        f"{before} and then 3 times {loop}": (before + loop * 3, size),
        f"{before} and then twice {loop}": (before + loop * 2, 0),
        f"5 times {loop} and then {before}": (loop * 5 + before + [99], 0),
        "seven times the same": ([loop[0]] * 7, 1),
        "three different": ([1, 2, 3], 0),
        "nothing": ([], 0),
    }
    for what, (row, wanted) in rows.items():
        got = answer(row)
        expect(got == wanted, f"The period of {what} is {wanted}. Received: {got}")
    twice = answer(before + loop * 2, 2)
    expect(
        twice == size,
        f"With least_rounds=2, twice {loop} has the period {size}. Received: {twice}",
    )
    many = answer(np.array(before + loop * 5))
    expect(many == size, f"Of an array it should be the same, {size}. Received: {many}")


@exercise(
    hint="Sort downwards. A token belongs to it if those likelier hold less than share.",
    points=2,
)
def keep_nucleus(answer, rng):
    """The fewest likeliest tokens that hold the share; scaled to sum to 1."""
    chances = rng.permutation(np.array([0.4, 0.3, 0.15, 0.1, 0.05]))
    given = chances.copy()
    for share, count in ((0.3, 1), (0.65, 2), (0.8, 3), (0.9, 4), (1.0, 5)):
        kept = np.where(chances >= np.sort(chances)[-count], chances, 0.0)
        close(
            answer(chances, share),
            kept / kept.sum(),
            f"the nucleus of {share} in {chances}: the {count} likeliest",
        )
    expect((given == chances).all(), "The chances that were handed in were changed.")
    sure = np.zeros(4)
    sure[int(rng.integers(0, 4))] = 1.0
    close(answer(sure, 0.9), sure, f"the nucleus of {sure}")

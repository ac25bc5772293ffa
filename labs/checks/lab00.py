"""The laws of lab 0: tokens and back, vectors, entropy, slices, single neurons."""

from itertools import pairwise

import numpy as np

from labs.exercises import close, exercise, expect


def _row(received, what):
    """A row of whole numbers as a list, from a list, an array or a tensor."""
    expect(received is not None, f"{what}: None came back. Is a `return` missing?")
    row = np.asarray(received)
    expect(
        row.ndim == 1 and (not row.size or np.issubdtype(row.dtype, np.number)),
        f"{what} should be one row of numbers, and has the shape {row.shape}.",
    )
    return [int(n) for n in row]


def _expect_kept(before, after, what):
    expect(
        np.array_equal(before, after),
        f"{what} was changed by the call: an answer should leave what it is given.",
    )


@exercise(hint="go step by step: its drums in order, and then one 0.")
def encode_hits(answer, rng):
    """Tokens of a drum grid: nothing is lost, and each step ends in one 0."""
    given = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    got = _row(answer(given.copy()), "The tokens")
    expect(
        got == [1, 3, 0, 0, 2, 0],
        f"Hits [[1, 0, 1], [0, 0, 0], [0, 1, 0]] are tokens 1 3 0 0 2 0; you gave {got}.",
    )
    for steps, drums in ((1, 1), (16, 4), (33, 9)):
        hits = rng.random((steps, drums)) < 0.4
        kept = hits.copy()
        tokens = _row(answer(hits), "The tokens")
        _expect_kept(kept, hits, "The grid")
        waits = tokens.count(0)
        expect(
            waits == steps,
            f"{steps} steps need {steps} zeros, one after each; there are {waits}.",
        )
        expect(
            len(tokens) - waits == kept.sum(),
            f"{kept.sum()} drums are struck; {len(tokens) - waits} tokens strike one.",
        )
        wanted = []
        for step in range(steps):
            wanted += [k + 1 for k in range(drums) if kept[step, k]] + [0]
        expect(
            tokens == wanted,
            f"Of a grid of {steps} steps, the tokens begin {tokens[:8]}; "
            f"they should begin {wanted[:8]}, or differ further on.",
        )
    silent = _row(answer(np.zeros((4, 3), bool)), "The tokens of silence")
    expect(silent == [0] * 4, f"Four silent steps are four zeros; you gave {silent}.")


@exercise(hint="one row for each id, one column for each token of the vocabulary.")
def one_hot(answer, rng):
    """One-hot: a one at the token's place, zeros elsewhere; times E it is a row of E."""
    for count, size in ((1, 1), (4, 3), (3, 9), (30, 12)):
        ids = rng.integers(0, max(1, size - 1), count)  # the last token never comes
        wanted = np.zeros((count, size))
        for t in range(count):
            wanted[t, ids[t]] = 1
        got = answer(ids.copy(), size)
        close(got, wanted, f"one_hot of {ids[:5].tolist()}... with {size} tokens")
        table = rng.normal(size=(size, 5))
        close(np.asarray(got, float) @ table, table[ids], "one-hot times E")
    last = answer(np.array([6]), 7)
    close(last, [[0, 0, 0, 0, 0, 0, 1]], "one_hot of [6], the last of 7 tokens,")


@exercise(
    hint="targets begin at token 1; count how many rows have a target for each input.",
    covers=("a12",),
)
def inputs_and_targets(answer, rng):
    """Inputs and targets: y<t> is x<t+1>, rows follow each other, none is short."""
    for size, length in ((7, 3), (6, 3), (9, 4), (8, 4), (100, 16), (2, 1), (4, 5)):
        ids = rng.permutation(1000)[:size]  # all different: each place can be told
        kept = ids.copy()
        both = answer(ids, length)
        expect(
            isinstance(both, (tuple, list)) and len(both) == 2,
            "Two arrays should come back, as `return x, y`.",
        )
        _expect_kept(kept, ids, "The row of tokens")
        x, y = (np.asarray(one) for one in both)
        rows = (size - 1) // length
        expect(
            x.shape == (rows, length) and y.shape == (rows, length),
            f"Of {size} tokens, {rows} rows of {length} have all their targets; "
            f"x has the shape {x.shape} and y {y.shape}.",
        )
        expect(
            bool((x[:, 1:] == y[:, :-1]).all()),
            f"In {size} tokens with T = {length}, some y<t> is not x<t+1>.",
        )
        expect(
            np.array_equal(x.ravel(), kept[: rows * length]),
            "The rows of x should hold the tokens from the first on, without gap or "
            "overlap.",
        )
        expect(
            np.array_equal(y.ravel(), kept[1 : rows * length + 1]),
            "The last target of a row should be the first input of the next row.",
        )


@exercise(hint="natural logarithm, minus sign, and 0 for what never comes.")
def entropy(answer, rng):
    """Entropy: zero for certainty, log n for n equal chances, in nats."""
    for size in (2, 5, 88):
        p = rng.dirichlet(np.ones(size))
        close(answer(p), -(p * np.log(p)).sum(), f"the entropy of {size} chances")
        close(
            answer(np.full(size, 1 / size)),
            np.log(size),
            f"the entropy of {size} equal chances, log {size},",
        )
    certain = np.eye(4)[rng.integers(4)]
    value = answer(certain)
    expect(
        value is not None and np.isfinite(np.asarray(value, float)).all(),
        f"The entropy of {certain.tolist()} should be 0; you gave {value}: the "
        "logarithm of 0 got in.",
    )
    close(value, 0.0, "the entropy of certainty", tolerance=1e-9)
    p = np.append(rng.dirichlet(np.ones(3)), 0.0)
    kept = p.copy()
    close(answer(p), -(p[:3] * np.log(p[:3])).sum(), "the entropy with a chance of 0")
    _expect_kept(kept, p, "The array of chances")


@exercise(
    hint="after a merge, go on behind both of its tokens; otherwise keep the one."
)
def merge_pair(answer, rng):
    """A merge: every such pair, from the left, each token in one pair, undone exactly."""
    cases = [
        ([5, 6, 5, 5, 6], (5, 6), [9, 5, 9]),
        ([7, 7, 7], (7, 7), [9, 7]),
        ([7, 7, 7, 7], (7, 7), [9, 9]),
        ([6, 5], (5, 6), [6, 5]),
        ([5], (5, 6), [5]),
        ([], (5, 6), []),
    ]
    for tokens, pair, wanted in cases:
        got = _row(answer(list(tokens), pair, 9), "The merged tokens")
        expect(
            got == wanted,
            f"{tokens} with {pair} merged into 9 is {wanted}; you gave {got}.",
        )
    for _ in range(20):
        tokens = rng.integers(0, 3, 60).tolist()
        pair = tuple(rng.integers(0, 3, 2).tolist())
        new = int(rng.integers(100, 200))
        kept = list(tokens)
        got = _row(answer(tokens, pair, new), "The merged tokens")
        expect(tokens == kept, "The list that was given was changed; make a new one.")
        spelled = [n for token in got for n in (pair if token == new else (token,))]
        expect(
            spelled == kept,
            f"With each {new} written as {pair} again, the tokens are not those given.",
        )
        left = sum(a == pair[0] and b == pair[1] for a, b in pairwise(got))
        expect(left == 0, f"The pair {pair} still stands in {left} places.")
        wanted = _merged(kept, pair, new)
        expect(
            got == wanted, f"{kept[:12]}... with {pair}: pairs go from left to right."
        )


def _merged(tokens, pair, new):
    out = []
    for token in tokens:
        if out and out[-1] == pair[0] and token == pair[1]:
            out[-1] = new
        else:
            out.append(token)
    return out


@exercise(hint="the velocity is the newest place less the one before it.")
def guess_next(answer, rng):
    """A constant velocity: what moves evenly is foretold exactly, whatever came before."""
    for balls, steps in ((1, 2), (6, 2), (5, 9)):
        begin, speed = rng.normal(size=(balls, 1)) * 9, rng.normal(size=(balls, 1))
        path = begin + speed * np.arange(steps + 1)
        close(
            answer(path[:, :steps].copy()),
            path[:, steps],
            f"the next place of {balls} even balls, {steps} places seen,",
        )
    bent = rng.normal(size=(4, 6))
    kept = bent.copy()
    close(
        answer(bent),
        bent[:, -1] + (bent[:, -1] - bent[:, -2]),
        "the guess after a bend, from the last two places alone,",
    )
    _expect_kept(kept, bent, "The array of positions")


@exercise(hint="slice t is added from sample t * hop to t * hop + W.", covers=("a11",))
def overlap_add(answer, rng):
    """Overlap-add: Hann slices at half a window give the sound back to 1e-6."""
    close(answer([[1, 2, 3], [10, 20, 30]], 2), [1, 2, 13, 20, 30], "the example's sum")
    for count, window, hop in ((1, 8, 4), (5, 8, 4), (6, 8, 2), (4, 6, 6), (3, 7, 3)):
        slices = rng.normal(size=(count, window))
        kept = slices.copy()
        wanted = np.zeros((count - 1) * hop + window)
        for t in range(count):
            for n in range(window):
                wanted[t * hop + n] += slices[t, n]
        close(
            answer(slices, hop), wanted, f"the sum of {count} slices at a hop of {hop}"
        )
        _expect_kept(kept, slices, "The array of slices")
    window, hop = 64, 32
    sound = rng.normal(size=10 * hop)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    slices = np.stack([sound[t * hop : t * hop + window] for t in range(9)]) * taper
    close(
        np.asarray(answer(slices, hop))[hop:-hop],
        sound[hop:-hop],
        "the sound from its Hann slices",
    )


@exercise(
    hint="dot product, plus the bias, strictly above 0; the answer is 1 or 0.",
    covers=("b01",),
)
def perceptron(answer, rng):
    """A perceptron: 1 where w.x + b is above 0, else 0; also at exactly 0."""
    cases = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    got = np.asarray(answer(cases, np.array([3, -1, 2]), -2))
    expect(
        got.shape == (8,),
        f"Eight questions have eight answers; yours have the shape {got.shape}.",
    )
    tea = [0, 0, 0, 0, 1, 1, 0, 1]  # sums less 2: -2, 0, -3, -1, 1, 3, 0, 2
    close(got, tea, "the tea of weights (3, -1, 2) and bias -2")
    for count, size in ((1, 4), (40, 3), (7, 7)):
        x = rng.integers(-3, 4, (count, size))
        weights, bias = rng.integers(-3, 4, size), int(rng.integers(-3, 4))
        sums = np.array([np.dot(row, weights) + bias for row in x])
        close(answer(x, weights, bias), sums > 0, f"the answers to sums {sums[:6]}...")


@exercise(hint="x @ W + b, then the sigmoid; and the same again with what came out.")
def two_layers(answer, rng):
    """Two layers: each a dot product, a bias and a sigmoid."""
    for batch, size, hidden, outputs in ((1, 1, 1, 1), (5, 3, 4, 2), (3, 3, 3, 3)):
        x = rng.normal(size=(batch, size))
        first = rng.normal(size=(size, hidden)), rng.normal(size=hidden)
        second = rng.normal(size=(hidden, outputs)), rng.normal(size=outputs)
        kept = x.copy()
        wanted = np.zeros((batch, outputs))
        for row in range(batch):
            between = [
                1 / (1 + np.exp(-(x[row] @ first[0][:, k] + first[1][k])))
                for k in range(hidden)
            ]
            for k in range(outputs):
                z = np.dot(between, second[0][:, k]) + second[1][k]
                wanted[row, k] = 1 / (1 + np.exp(-z))
        close(
            answer(x, first, second),
            wanted,
            f"two layers from {size} over {hidden} to {outputs}",
        )
        _expect_kept(kept, x, "The array of inputs")

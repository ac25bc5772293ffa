"""Lab 05: attention, a block, and a cache."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="queries @ keys transposed, over the root of d; then a softmax along the keys.",
    covers=("e07",),
)
def attention_weights(answer, rng):
    """softmax(Q K^T / sqrt d): a row for each query, which sums to 1."""
    queries, keys = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    kept = queries.copy(), keys.copy()
    got = answer(queries, keys)
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = np.asarray(got, float)
    expect(
        got.shape == (3, 5),
        f"3 queries and 5 keys make (3, 5) weights. Received: {got.shape}",
    )
    sums = got.sum(axis=-1)
    expect(
        np.allclose(sums, 1, atol=1e-6),
        f"Each row sums to 1, over the keys. The rows sum to {np.round(sums, 3)}.",
    )
    close(got, _weights(queries, keys), "the weights of 3 queries over 5 keys")
    expect(
        (queries == kept[0]).all() and (keys == kept[1]).all(),
        "The queries or keys that were handed in were changed.",
    )
    close(
        answer(queries, np.tile(keys[:1], (6, 1))),
        np.full((3, 6), 1 / 6),
        "the weights over six keys that are alike",
    )
    heads = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    close(answer(*heads), _weights(*heads), "the weights of 2 heads, (2, 3, 5)")
    close(
        answer(500 * queries, 500 * keys),
        _weights(500 * queries, 500 * keys),
        "the weights of queries and keys 500 times as long",
    )


TRAINED = ("embedding", "W_query", "W_key", "W_value", "W_out", "gain of the norm")
WORKED_OUT = ("queries", "keys", "values", "scores", "attention weights")
FIXED = ("causal mask", "sinusoids", "number of heads")


@exercise(
    hint="What is the same for every tune, and different after a step of training?",
    covers=("e17",),
)
def is_learnt(answer, rng):
    """Training moves the matrices; the rest is worked out anew for each tune, or set."""
    wanted = dict.fromkeys(TRAINED, True)
    wanted |= dict.fromkeys((*WORKED_OUT, *FIXED), False)
    names = [list(wanted)[i] for i in rng.permutation(len(wanted))]
    told = {name: answer(name) for name in names}
    wrong = [name for name in names if told[name] not in (True, False)]
    expect(not wrong, f"It should say True or False; of {wrong[:1]} it does not.")
    wrong = [name for name in names if told[name] != wanted[name]]
    expect(
        not wrong,
        f"{len(names) - len(wrong)} of {len(names)} are right. Think again about: "
        f"{', '.join(wrong[:1])}. Would another tune, through the same network, have "
        "another?",
    )


@exercise(
    hint="Set the scores of what is still to come far below all others, then softmax.",
    points=2,
    covers=("e10",),
)
def look_back(answer, rng):
    """Place t shares its weight among the places 0 to t; each row still sums to 1."""
    queries, keys = rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 5, 4))
    got = answer(queries, keys)
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = np.asarray(got, float)
    expect(
        got.shape == (2, 5, 5),
        f"2 heads of 5 places make (2, 5, 5) weights. Received: {got.shape}",
    )
    ahead = np.abs(got[:, ~np.tri(5, dtype=bool)]).max()
    expect(
        ahead < 1e-9,
        f"A place looks ahead: a weight above the diagonal is {ahead:.3g}, not 0.",
    )
    sums = got.sum(axis=-1)
    expect(
        np.allclose(sums, 1, atol=1e-6),
        f"Each row sums to 1, the first too. The rows sum to {np.round(sums[0], 3)}.",
    )
    close(got, _looking_back(queries, keys), "the weights of 2 heads over 5 places")
    changed = keys.copy()
    changed[:, 3:] += 10 * rng.normal(size=(2, 2, 4))
    close(
        np.asarray(answer(queries, changed))[:, :3],
        got[:, :3],
        "the rows 0 to 2 after the keys 3 and 4 were changed",
    )
    low = -40 * np.abs(rng.normal(size=(1, 3, 4))) - 40
    close(
        answer(-low, low),
        _looking_back(-low, low),
        "the weights where every score is in the thousands below zero",
    )


@exercise(
    hint="Reshape (T, D) to (T, heads, D / heads), then bring the heads to the front."
)
def split_heads(answer, rng):
    """Head h has the numbers h D/H to (h + 1) D/H of each place, (H, T, D/H)."""
    for heads in (1, 2, 3, 6):
        x = rng.normal(size=(5, 6))
        wanted = np.stack([x[:, h * 6 // heads : (h + 1) * 6 // heads]
                           for h in range(heads)])  # fmt: skip
        close(answer(x, heads), wanted, f"(5, 6) numbers in {heads} heads")


@exercise(
    hint="An outer product of places and speeds; sines first, cosines beside them.",
    points=2,
    covers=("e09",),
)
def place_waves(answer, rng):
    """Column p is sin(t / 10000^(2p/width)), column width/2 + p the cosine of it."""
    width = 2 * int(rng.integers(2, 5))
    places = rng.permutation(40)[:6]
    half = width // 2
    wanted = np.zeros((6, width))
    for row, place in enumerate(places):
        for pair in range(half):
            angle = place / 10_000 ** (2 * pair / width)
            wanted[row, pair], wanted[row, half + pair] = np.sin(angle), np.cos(angle)
    got = answer(places, width)
    close(got, wanted, f"the waves of the places {places.tolist()}, width {width}")
    close(
        answer(np.array([0]), width),
        [[0.0] * half + [1.0] * half],
        "place 0: sines of 0, then cosines of 0",
    )


@exercise(
    hint="The mean of the squares along the last axis, kept as an axis; then its root.",
)
def level(answer, rng):
    """Each vector is divided by the root of the mean of its squares."""
    x = rng.normal(size=(2, 3, 8)) * rng.uniform(1, 50, (2, 3, 1)) + 3
    kept = x.copy()
    rms = np.sqrt((x**2).mean(axis=-1, keepdims=True))
    close(answer(x), x / rms, "each vector over its root mean square", tolerance=1e-5)
    expect((x == kept).all(), "The numbers that were handed in were changed.")
    close(
        answer(1000 * x), x / rms, "the same a thousand times as loud", tolerance=1e-5
    )
    close(answer(x[0, 0]), x[0, 0] / rms[0, 0], "one vector alone", tolerance=1e-5)
    silent = np.asarray(answer(np.zeros((2, 4))), float)
    expect(
        np.isfinite(silent).all(),
        "A vector of zeros gives something that is no number: add a hair, 1e-6, to the "
        "mean before the root.",
    )


@exercise(
    hint="x + attention(norm(x)), and that, not x, goes into the second half.",
    points=2,
    covers=("e10",),
)
def block(answer, rng):
    """x + attention(norm x), and then the same of that with the MLP."""
    x = rng.normal(size=(4, 3))
    kept = x.copy()
    mixing, turning = rng.normal(size=(4, 4)), rng.normal(size=(3, 3))

    def norm(x):
        return x / np.sqrt((x**2).mean(axis=-1, keepdims=True))

    def attention(x):
        return mixing @ x

    def mlp(x):
        return np.tanh(x @ turning)

    middle = x + attention(norm(x))
    got = answer(x, norm, attention, mlp)
    close(got, middle + mlp(norm(middle)), "a block of random attention and MLP")
    expect((x == kept).all(), "The x that was handed in was changed.")
    close(
        answer(x, norm, lambda x: 0 * x, lambda x: 0 * x),
        x,
        "the block of an attention and an MLP that give zeros: x goes by unchanged",
    )
    close(
        answer(x, lambda x: x, attention, lambda x: 0 * x),
        x + attention(x),
        "the block whose MLP gives zeros, without a norm",
    )


@exercise(
    hint="np.concatenate the new key and value behind the old; then one row of weights.",
    points=2,
    covers=("e10",),
)
def cached_step(answer, rng):
    """With k and v put behind those kept, it gathers what full attention does there."""
    q, k, v = rng.normal(size=(3, 2, 6, 4))  # (heads, T, d) each
    full = _looking_back(q, k) @ v
    cache = (np.zeros((2, 0, 4)), np.zeros((2, 0, 4)))
    for t in range(6):
        now = slice(t, t + 1)
        kept = cache[0].copy(), cache[1].copy()
        result = answer(q[:, now], k[:, now], v[:, now], cache)
        pair = isinstance(result, tuple | list) and len(result) == 2
        expect(
            pair, f"It gives (gathered, cache), two things. Received: {_kind(result)}"
        )
        gathered, after = result
        pair = isinstance(after, tuple | list) and len(after) == 2
        expect(
            pair, f"The cache is (keys, values), two arrays. Received: {_kind(after)}"
        )
        close(after[0], k[:, : t + 1], f"the keys in the cache after step {t}")
        close(after[1], v[:, : t + 1], f"the values in the cache after step {t}")
        close(
            gathered,
            full[:, now],
            f"what step {t} gathers, as row {t} of full attention does,",
        )
        same = all((a == b).all() for a, b in zip(kept, cache, strict=True))
        expect(same, "The cache that was handed in was changed.")
        cache = tuple(after)


def _kind(value):
    if isinstance(value, tuple | list):
        return f"{type(value).__name__} of {len(value)}"
    return "None" if value is None else type(value).__name__


def _weights(queries, keys):
    scores = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _looking_back(queries, keys):
    """Row by row, of what each place has seen alone."""
    count = queries.shape[-2]
    weights = np.zeros((*queries.shape[:-1], count))
    for t in range(count):
        weights[..., t, : t + 1] = _weights(
            queries[..., t : t + 1, :], keys[..., : t + 1, :]
        )[..., 0, :]
    return weights

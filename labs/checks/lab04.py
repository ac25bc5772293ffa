"""Lab 04: pairs of sequences, an encoder, a decoder, and what looks from one to the other."""

import itertools

import numpy as np

from labs.exercises import close, exercise, expect

PAD, BOS, EOS, UNK = 0, 1, 2, 3


@exercise(
    hint="Count pairs with np.bincount or a Counter for each token that was read.",
    covers=("a09",),
)
def most_frequent_given(answer, rng):
    """For every token that was read, the one that was told most often with it."""
    size = 6
    read = np.repeat(rng.permutation(np.arange(4, 4 + size)), 12)
    common = dict(zip(range(4, 4 + size), rng.integers(4, 60, size), strict=True))
    told = np.array([common[token] for token in read])
    is_other = np.arange(len(read)) % 12 >= 5  # 5 of 12, and then three others
    others = told + 1 + np.arange(len(told)) % 3
    told = np.where(is_other, others, told)
    order = rng.permutation(len(read))
    read, told = read[order].reshape(6, 12), told[order].reshape(6, 12)
    kept = read.copy(), told.copy()
    got = answer(read, told)
    expect(
        isinstance(got, dict),
        f"A dict from token to token was expected. Received: {type(got).__name__}",
    )
    expect(
        {int(token) for token in got} == set(range(4, 4 + size)),
        f"The tokens that were read are {list(range(4, 4 + size))}; "
        f"the dict has {sorted(int(token) for token in got)}.",
    )
    for token, wanted in common.items():
        under = told[read == token]
        there = np.ndim(got[token]) == 0 and int(got[token]) == wanted
        expect(
            there,
            f"With {token} these were told: {np.sort(under).tolist()}. The most "
            f"frequent is {wanted}. Received: {got[token]}",
        )
    expect(
        (kept[0] == read).all() and (kept[1] == told).all(),
        "The arrays that were handed in were changed.",
    )


@exercise(
    hint="Make an array of zeros as wide as the longest row, then copy each row in.",
    covers=("e02",),
)
def pad_batch(answer, rng):
    """Rows of unlike lengths as one array, PAD behind the end; and what is real."""
    lengths = rng.permutation([2, 5, 3, 0, 7])
    rows = [[int(token) for token in rng.integers(4, 20, n)] for n in lengths]
    kept = [list(row) for row in rows]
    got = answer(rows)
    expect(
        isinstance(got, tuple | list) and len(got) == 2,
        "Two arrays were expected: ids, is_real. Received: "
        f"{'nothing' if got is None else type(got).__name__}",
    )
    ids, is_real = got
    wanted = np.array([row + [PAD] * (7 - len(row)) for row in rows])
    close(ids, wanted, f"ids of rows of the lengths {lengths.tolist()}")
    close(
        is_real,
        np.arange(7) < lengths[:, None],
        f"is_real of rows of the lengths {lengths.tolist()}",
    )
    expect(rows == kept, "The rows that were handed in were changed.")
    longer = answer([*rows, [9] * 11])
    expect(
        np.shape(longer[0]) == (6, 11),
        f"With a row of 11 tokens more the shape should be (6, 11), and is "
        f"{np.shape(longer[0])}.",
    )


@exercise(
    hint="What is told is the target and EOS; what is read is BOS and the target.",
    points=2,
    covers=("e01", "e02"),
)
def teacher_forcing(answer, rng):
    """read begins with BOS, told ends with EOS, and told is read one step later."""
    lengths = rng.permutation([4, 1, 6, 0, 3])
    target = np.zeros((5, 6), int)
    for row, n in zip(target, lengths, strict=True):
        row[:n] = rng.integers(4, 30, n)
    kept = target.copy()
    got = answer(target)
    expect(
        isinstance(got, tuple | list) and len(got) == 2,
        "Two arrays were expected: read, told. Received: "
        f"{'nothing' if got is None else type(got).__name__}",
    )
    read, told = (np.asarray(part) for part in got)
    for name, part in (("read", read), ("told", told)):
        expect(
            part.shape == (5, 7),
            f"A target (5, 6) gives `{name}` of (5, 7): one token more. "
            f"Received: {part.shape}",
        )
    for row, n in enumerate(lengths):
        tokens = target[row, :n].tolist()
        for name, part, wanted in (
            ("read", read[row], [BOS, *tokens]),
            ("told", told[row], [*tokens, EOS]),
        ):
            wanted = wanted + [PAD] * (7 - len(wanted))
            expect(
                part.tolist() == wanted,
                f"Of the target {target[row].tolist()}, `{name}` should be {wanted}. "
                f"Received: {part.tolist()}",
            )
    expect((kept == target).all(), "The target that was handed in was changed.")


@exercise(
    hint="Compare the argmax over the last axis with told; look only where told is real.",
    covers=("e02",),
)
def masked_accuracy(answer, rng):
    """The share of real tokens, EOS among them, that had the largest logit."""
    told = rng.integers(4, 9, (6, 8))
    lengths = rng.permutation([8, 1, 5, 3, 2, 7])
    for row, n in zip(told, lengths, strict=True):
        row[n - 1], row[n:] = EOS, PAD
    logits = rng.normal(size=(6, 8, 9))
    is_right = rng.random((6, 8)) < 0.6
    logits[..., PAD] -= 10
    logits[told == PAD, PAD] += 20 * (rng.random((told == PAD).sum()) < 0.8)
    best = np.where(is_right, told, (told + 1) % 9)
    rows, columns = np.nonzero(told != PAD)
    logits[rows, columns, best[rows, columns]] += 30
    right = int((is_right & (told != PAD)).sum())
    count = int((told != PAD).sum())
    got = answer(logits, told)
    close(got, right / count, f"{right} of {count} real tokens: the accuracy")
    wider = np.pad(logits, ((0, 2), (0, 5), (0, 0)))
    close(
        answer(wider, np.pad(told, ((0, 2), (0, 5)))),
        right / count,
        "the same with more padding: the accuracy",
    )


def _decoder(rng, size=9, length=None):
    """Logits that depend on the step, the token and the one before; EOS after length."""
    table = rng.normal(size=(40, size, size))
    table[:, :, EOS] -= 20
    if length is not None:
        table[length, :, EOS] += 60

    def step(token, state):
        place, before = state
        logits = table[place, int(token)] + 0.5 * table[-1, before]
        return logits, (place + 1, int(token))

    return table, step


@exercise(
    hint="Begin with BOS. Set the three forbidden logits to -inf on a copy, then argmax.",
    points=2,
    covers=("e01", "e02"),
)
def write_greedily(answer, rng):
    """Reads its own choices from BOS on, stops at EOS; PAD, BOS and UNK never come."""
    for length in (int(rng.integers(4, 8)), 0):
        table, plain = _decoder(rng, length=length)
        table[:, :, [PAD, BOS, UNK]] += 3
        asked, given = [], []

        def step(token, state, plain=plain, asked=asked, given=given):
            asked.append(int(token))
            logits, state = plain(token, state)
            given.append((logits, logits.copy()))
            return logits, state

        wanted, token, state = [], BOS, (0, 0)
        for _ in range(20):
            logits, state = plain(token, state)
            logits[[PAD, BOS, UNK]] = -np.inf
            token = int(logits.argmax())
            if token == EOS:
                break
            wanted.append(token)
        got = answer(step, (0, 0), 20)
        expect(got is not None, "It gives None. Is a `return` missing?")
        got = [int(token) for token in got]
        expect(
            not {PAD, BOS, UNK} & set(got),
            f"PAD, BOS and UNK (0, 1, 3) are never written. Received: {got}",
        )
        expect(
            EOS not in got,
            f"EOS (2) ends the row, and is no part of it. Received: {got}",
        )
        expect(
            got == wanted,
            f"The row should be {wanted}, then EOS. Received: {got}; it read {asked}",
        )
        expect(
            asked == [BOS, *wanted],
            f"What is read is BOS and each choice once: {[BOS, *wanted]}. Read: {asked}",
        )
        expect(
            all((logits == kept).all() for logits, kept in given),
            "The logits that `step` gave were changed.",
        )
    _, endless = _decoder(rng)
    got = answer(endless, (0, 0), 6)
    expect(len(got) == 6, f"With no EOS, 6 tokens at most were asked. Received: {got}")


@exercise(
    hint="tanh(s @ W + h @ U) is (S, A); times v it is a score a place; then the softmax.",
    points=2,
    covers=("e02", "e04"),
)
def additive_attention(answer, rng):
    """Shares v . tanh(s W + h U), softmaxed over the real places; h mixed by them."""
    s, h = rng.normal(size=5), rng.normal(size=(7, 6))
    w, u = rng.normal(size=(5, 4)), rng.normal(size=(6, 4))
    v = 2 * rng.normal(size=4)
    is_real = np.arange(7) < int(rng.integers(3, 6))
    h[~is_real] *= 5  # what stands at padding may be anything
    scores = np.array([sum(v * np.tanh(s @ w + place @ u)) for place in h])
    weights = np.where(is_real, np.exp(scores), 0)
    weights /= weights.sum()
    kept = h.copy()
    got = answer(s, h, w, u, v, is_real)
    expect(
        isinstance(got, tuple | list) and len(got) == 2,
        "Two arrays were expected: shares (S,), context (M,). Received: "
        f"{'nothing' if got is None else type(got).__name__}",
    )
    shares = np.asarray(got[0], float)
    expect(
        shares.shape == (7,),
        f"Seven places have a share each: (7,) was expected. Received: {shares.shape}",
    )
    expect(
        (shares[~is_real] == 0).all(),
        f"Padding has a share of {shares[~is_real].max():.3g}; it should be exactly 0.",
    )
    close(shares.sum(), 1.0, "the sum of the shares")
    close(shares, weights, "the share of each place")
    close(got[1], weights @ h, "the context, the mean of h by these shares")
    expect((kept == h).all(), "The h that was handed in was changed.")
    loud, context = answer(s, h, w, u, 4000 * v, is_real)
    best = np.where(is_real, scores, -np.inf).argmax()
    close(
        loud, np.eye(7)[best], "with scores in the thousands, the share of each place"
    )
    close(context, h[best], "with scores in the thousands, the context")


def _kept_lines(worth, notes, width, most, keeps_ended=True):
    """The lines of a beam, best first: the reference, without a state."""
    lines = [[]]
    for _ in range(most):
        is_open = [line for line in lines if EOS not in line]
        grown = [[*line, token] for line in is_open for token in (EOS, *notes)]
        if keeps_ended:
            grown += [line for line in lines if EOS in line]
        lines = sorted(grown, key=worth, reverse=True)[:width] or lines
    return lines


@exercise(
    hint="Grow every open line by every token, add log p, and keep the `width` best.",
    points=2,
)
def beam_search(answer, rng):
    """Of all lines grown by one token the best few are kept; the best one is given."""
    most, notes = 4, (4, 5, 6)
    while True:  # until it matters how wide a beam is, and that ended lines stay
        table = rng.normal(size=(8, 7, 7)) * 2
        table[:, :, [PAD, BOS, UNK]] = -np.inf
        table -= np.log(np.exp(table).sum(-1, keepdims=True))

        def worth(tokens, table=table):
            pairs = itertools.pairwise([BOS, *tokens])
            return sum(table[place, a, b] for place, (a, b) in enumerate(pairs))

        found = {n: _kept_lines(worth, notes, n, most)[0] for n in (1, 3, 200)}
        forgetful = _kept_lines(worth, notes, 3, most, keeps_ended=False)[0]
        if found[1] != found[3] != forgetful and len(found[3]) > 1:
            break

    def step(token, state):
        return table[state, int(token)].copy(), state + 1

    for width, wanted in found.items():
        plain = [token for token in wanted if token != EOS]
        got = answer(step, 0, width, most)
        expect(
            isinstance(got, tuple | list) and len(got) == 2,
            "A row and its log-probability were expected. Received: "
            f"{'nothing' if got is None else type(got).__name__}",
        )
        row, score = [int(token) for token in got[0]], got[1]
        what = "that holds every line" if width == 200 else f"of {width}"
        expect(
            row == plain,
            f"A beam {what} finds {plain}, of log p {worth(wanted):.4f}. Received: "
            f"{row} (the best line alone, without BOS and EOS)",
        )
        close(score, worth(wanted), f"log p of {plain}, with that of its EOS,")
    row, _ = answer(step, 0, 3, 1)
    expect(len(row) <= 1, f"With most=1 one token at most is written. Received: {row}")

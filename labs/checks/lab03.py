"""The laws of lab 3: what a probability of a tune is, counted, learnt and read."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="The sum over t of the log of next_distribution(ids[:t])[ids[t]].",
    covers=("d01",),
)
def tune_log_probability(answer, rng):
    """The chain rule: each token given all before it; sums of logs, not products."""
    vocab_size = int(rng.integers(4, 9))
    tables = rng.dirichlet(np.ones(vocab_size), 97)

    def after(past):
        key = 0
        for token in past:
            key = (key * 7 + int(token) + 1) % 97  # of all that came, in its order
        return tables[key]

    for length in (1, 5, 12):
        ids = rng.integers(0, vocab_size, length)
        wanted = sum(np.log(after(ids[:t])[ids[t]]) for t in range(length))
        close(answer(after, ids), wanted, f"the log-probability of {ids.tolist()}")
    ids = rng.integers(0, vocab_size, 1500)
    wanted = -1500 * np.log(vocab_size)
    close(
        answer(lambda past: np.full(vocab_size, 1 / vocab_size), ids),
        wanted,
        "the log-probability of 1500 tokens, all equally likely",
    )
    close(answer(after, ids[:0]), 0.0, "the log-probability of an empty tune")


@exercise(
    hint="A pitch modulo 12 is its class; np.bincount counts them; divide by their number.",
    covers=("d02",),
)
def bag_of_pitch_classes(answer, rng):
    """Shares of the twelve classes, whatever the octave and the order."""
    pitches = rng.integers(40, 90, int(rng.integers(20, 40)))
    wanted = np.array([(pitches % 12 == c).mean() for c in range(12)])
    close(answer(pitches), wanted, "the bag of a tune")
    close(answer(pitches[::-1]), wanted, "the bag of the same tune backwards")
    moved = pitches + 12 * rng.integers(-2, 3, len(pitches))
    close(answer(moved), wanted, "the bag of the same notes in other octaves")
    one = int(rng.integers(48, 59))  # a class above it has to be there too
    close(answer(np.array([one])), np.eye(12)[one % 12], f"the bag of one note, {one},")


@exercise(
    hint="For each t from max(1, k): do the k tokens before t equal the context? Then "
    "piece[t] followed it.",
    covers=("d02",),
)
def followers(answer, rng):
    """Exact counts of what came right after a context, piece by piece."""
    pieces = [rng.integers(0, 3, int(rng.integers(8, 15))) for _ in range(6)]
    pieces += [np.array([2]), np.array([2, 2, 2, 2, 1])]
    for context in ([], [int(rng.integers(3))], [2, 2], [1, 0], [0, 1, 0]):
        k, wanted = len(context), np.zeros(5)
        for piece in pieces:
            for t in range(max(1, k), len(piece)):
                wanted[piece[t]] += list(piece[t - k : t]) == context
        close(answer(pieces, context, 5), wanted, f"what followed {context}")
    apart = [np.array([0, 1]), np.array([2, 0])]
    close(
        answer(apart, [1], 3), np.zeros(3), "what followed 1, which only ends a piece,"
    )


@exercise(
    hint="With n the sum of the counts and t how many of them are above zero: "
    "(counts + t * shorter) / (n + t). Where n is 0, the shorter context decides.",
    covers=("d02",),
)
def witten_bell(answer, rng):
    """A distribution: counts, with a share for what was never seen, split as before."""
    size = int(rng.integers(6, 12))
    shorter = rng.dirichlet(np.ones(size))
    counts = rng.integers(1, 9, size) * (rng.random(size) < 0.5)
    counts[0], counts[1] = 0, 4
    kept = counts.copy(), shorter.copy()
    found = answer(counts, shorter)
    kinds, total = (counts > 0).sum(), counts.sum()
    close(np.sum(found), 1.0, "the sum of the probabilities")
    close(found, (counts + kinds * shorter) / (total + kinds), "the distribution")
    expect(
        np.array_equal(counts, kept[0]) and np.array_equal(shorter, kept[1]),
        "counts or shorter were changed: they are still needed elsewhere.",
    )
    close(
        answer(np.zeros(size, int), shorter),
        shorter,
        "the distribution after a context that was never seen",
    )


@exercise(
    hint="A set of tuples piece[t - order : t] for each t from order on; then the mean "
    "over the same places of the held-out pieces of 'not in the set'.",
    covers=("d03",),
)
def unseen_share(answer, rng):
    """The share of held-out places whose context the training pieces never had."""
    pieces = [rng.integers(0, 4, 20) for _ in range(3)]
    held_out = [rng.integers(0, 5, 30), rng.integers(0, 4, 9), np.array([1])]
    for order in (0, 1, 2, 3):
        seen = {
            tuple(piece[t - order : t].tolist())
            for piece in pieces
            for t in range(order, len(piece))
        }
        wanted = [
            tuple(piece[t - order : t].tolist()) not in seen
            for piece in held_out
            for t in range(order, len(piece))
        ]
        found = answer(pieces, held_out, order)
        close(found, np.mean(wanted), f"the share of unseen contexts of {order} tokens")


@exercise(
    hint="x is embedding[window] laid end to end with reshape(-1); then the formula.",
    covers=("d04",),
)
def nnlm_logits(answer, rng):
    """Bengio's formula: b + U tanh(d + H x), the window's vectors end to end."""
    vocab_size, dim, hidden, n = 9, 3, 5, int(rng.integers(2, 5))
    embedding = rng.normal(size=(vocab_size, dim))
    kernel, d = rng.normal(size=(n * dim, hidden)), rng.normal(size=hidden)
    head, b = rng.normal(size=(hidden, vocab_size)), rng.normal(size=vocab_size)
    for _ in range(2):
        window = rng.choice(vocab_size, n, replace=False)
        x = np.concatenate([embedding[token] for token in window])
        close(
            answer(window, embedding, kernel, d, head, b),
            b + np.tanh(d + x @ kernel) @ head,
            f"the logits after {window.tolist()}",
        )


@exercise(
    hint="For each place t, each other place s with abs(s - t) <= window inside the "
    "piece gives a pair (ids[t], ids[s]).",
    covers=("d05",),
)
def skipgram_pairs(answer, rng):
    """Every pair of a token and one near it, on both sides, none with itself."""
    for length, window in ((9, 2), (6, 1), (4, 10), (1, 3)):
        ids = rng.integers(0, 4, length)
        wanted = sorted(
            (int(ids[t]), int(ids[s]))
            for t in range(length)
            for s in range(max(0, t - window), min(length, t + window + 1))
            if s != t
        )
        found = answer(ids, window)
        expect(found is not None, "the pairs are None. Is a `return` missing?")
        pairs = sorted((int(a), int(b)) for a, b in found)
        expect(
            len(pairs) == len(wanted),
            f"{ids.tolist()} with a window of {window} has {len(wanted)} pairs; "
            f"{len(pairs)} were given.",
        )
        expect(
            pairs == wanted,
            f"of {ids.tolist()} with a window of {window} the pairs should be {wanted} "
            f"in some order; they are {pairs}.",
        )


@exercise(
    hint="wanted = b - a + c; the cosine is vectors @ wanted over the two lengths; "
    "a, b and c themselves do not count.",
    covers=("d05",),
)
def analogy(answer, rng):
    """What is to c as b is to a: the nearest by cosine to b - a + c, but for the three."""
    for _ in range(12):
        vectors = rng.normal(size=(10, 4)) * rng.uniform(0.2, 5, (10, 1))
        kept = vectors.copy()
        a, b, c = (int(token) for token in rng.choice(10, 3, replace=False))
        wanted = vectors[b] - vectors[a] + vectors[c]
        cosine = vectors @ wanted / np.linalg.norm(vectors, axis=1)
        cosine[[a, b, c]] = -np.inf
        best = int(cosine.argmax())
        found = answer(vectors, a, b, c)
        expect(
            np.ndim(found) == 0 and found is not None,
            f"one token was expected, as an integer; it is {found!r}.",
        )
        expect(
            int(found) not in (a, b, c),
            f"the answer to {a}:{b} :: {c}:? is {int(found)}, which was in the question.",
        )
        expect(
            int(found) == best,
            f"of {a}:{b} :: {c}:? the nearest by cosine is {best}; it is {int(found)}.",
        )
        expect(np.array_equal(vectors, kept), "the vectors were changed.")


@exercise(
    hint="sorted(set(text)) has each character once, in order; number it with enumerate.",
    covers=("d07",),
)
def code_books(answer, rng):
    """Two dictionaries, each the other's inverse; ids without gaps, in sorted order."""
    letters = list("abcdefghijklmnop \n|'A2")
    text = "aA" + "".join(rng.choice(letters, int(rng.integers(30, 60))))
    books = answer(text)
    expect(
        isinstance(books, tuple | list) and len(books) == 2,
        "two dictionaries were expected: encoder, decoder.",
    )
    encoder, decoder = books
    alphabet = sorted(set(text))
    known = set(encoder)
    expect(
        known == set(alphabet),
        f"the encoder's keys should be the {len(alphabet)} characters of the text; "
        f"missing {sorted(set(alphabet) - known)}, "
        f"and not of the text {sorted(known - set(alphabet), key=str)}.",
    )
    back = "".join(decoder[encoder[character]] for character in text)
    expect(back == text, f"decoded after encoded, {text[:12]!r} became {back[:12]!r}.")
    numbers = [int(encoder[character]) for character in alphabet]
    expect(
        numbers == list(range(len(alphabet))),
        f"in sorted order the ids should be 0 to {len(alphabet) - 1}; "
        f"they begin {numbers[:5]}.",
    )


@exercise(
    hint="Copy ids, put another token of the vocabulary in the last place, read both, "
    "and compare all rows but the last.",
    covers=("c16",),
)
def hears_the_future(answer, rng):
    """Whether a change of the last token is felt before the last place."""
    vocab_size = 6
    table = rng.normal(size=(vocab_size, vocab_size))

    def from_the_left(ids):
        return np.cumsum(table[ids], axis=0)

    def one_ahead(ids):
        return table[np.append(ids[1:], 0)]

    def from_the_right(ids):
        return np.cumsum(table[ids][::-1], axis=0)[::-1]

    def of_the_first(ids):
        return np.repeat(table[ids[:1]], len(ids), axis=0)

    cases = {
        "a reader that sums from the left": (from_the_left, False),
        "a reader of the first token alone": (of_the_first, False),
        "a reader that sums from the right": (from_the_right, True),
        "a reader that looks one token ahead": (one_ahead, True),
    }
    for last in (vocab_size - 1, 0, int(rng.integers(1, vocab_size - 1))):
        ids = np.append(rng.integers(0, vocab_size, 7), last)
        kept = ids.copy()
        for name in rng.permutation(list(cases)):  # no order to be learnt by heart
            read, wanted = cases[name]
            found = answer(read, ids)
            expect(
                found is not None and bool(found) is wanted,
                f"{name} {'hears' if wanted else 'does not hear'} what is to come; "
                f"the answer is {found}.",
            )
        expect(np.array_equal(ids, kept), "the ids that were given were changed.")

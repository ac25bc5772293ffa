"""The laws of lab 9: codebooks, residuals, and a gradient that is carried past them."""

import numpy as np

from labs.exercises import close, exercise, expect


def _told(answer, *arguments):
    """What came back, and the arguments left as they were."""
    kept = [np.array(one) for one in arguments]
    got = answer(*arguments)
    expect(got is not None, "It gives None. Is a `return` missing?")
    for before, after in zip(kept, arguments, strict=True):
        expect(
            np.array_equal(before, after),
            "What was handed in was changed: leave it as it is.",
        )
    return got


def _nearest(vectors, codebook):
    """One vector after another, as slow as it is plain."""
    return np.array([((codebook - one) ** 2).sum(axis=1).argmin() for one in vectors])


@exercise(hint="all squared distances, (N, K), and of each row the place of the least.")
def nearest_code(answer, rng):
    """Each vector goes to the code that is least far away, the first of equals."""
    by_hand = np.array([[0.9, 0.2], [0.1, 2.0], [0.4, 0.0]])
    codebook = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    close(
        _told(answer, by_hand, codebook),
        [1, 2, 0],
        "the codes of (0.9, 0.2), (0.1, 2) and (0.4, 0) among (0, 0), (1, 0), (0, 1)",
    )
    for count, size, width in ((40, 7, 3), (30, 12, 5), (1, 4, 2), (25, 25, 1)):
        spread = rng.uniform(0.2, 4, (size, 1))  # codes near and far from 0
        codebook = spread * rng.normal(size=(size, width))
        vectors = rng.normal(0, 2, (count, width))
        got = np.asarray(_told(answer, vectors, codebook))
        expect(
            got.shape == (count,),
            f"{count} vectors have {count} codes. Received the shape {got.shape}",
        )
        wanted = _nearest(vectors, codebook)
        wrong = np.flatnonzero(got != wanted)
        expect(
            not len(wrong),
            f"{len(wrong)} of {count} vectors of {width} numbers are not at the nearest "
            f"of {size} codes: the first is sent to code {got[wrong[:1]]}, nearest is "
            f"{wanted[wrong[:1]]}.",
        )
    twice = np.repeat(codebook[:3], 2, axis=0)
    close(
        answer(codebook[:3], twice), [0, 2, 4], "the first of two codes that are equal"
    )


@exercise(
    hint="the mean over vectors and numbers of (vector - its nearest code) squared."
)
def distortion(answer, rng):
    """The mean squared error a number; 0 where every vector is a code."""
    close(
        _told(answer, np.array([[3.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 0.0]])),
        2.5,
        "the distortion of (3, 0) and (0, 1) with one code at (0, 0)",
    )
    for count, size, width in ((30, 5, 4), (12, 3, 1), (1, 2, 6)):
        vectors, codebook = (
            rng.normal(size=(count, width)),
            rng.normal(size=(size, width)),
        )
        error = vectors - codebook[_nearest(vectors, codebook)]
        close(
            _told(answer, vectors, codebook),
            sum(float(e @ e) for e in error) / (count * width),
            f"the distortion of {count} vectors of {width} numbers, {size} codes,",
        )
    close(answer(codebook, codebook), 0.0, "the distortion of the codes themselves")
    close(
        answer(10 * vectors, 10 * codebook),
        100 * answer(vectors, codebook),
        "the distortion of everything ten times as large",
    )


@exercise(hint="each code moves to the mean of its own vectors, or stays.", points=2)
def kmeans_step(answer, rng):
    """Each code goes to the mean of the vectors nearest to it; an unused one stays."""
    vectors = np.array([[0.0], [2.0], [9.0], [100.0]])
    close(
        _told(answer, vectors, np.array([[1.5], [10.0], [-50.0]])),
        [[1.0], [54.5], [-50.0]],
        "the step of codes 1.5, 10 and -50 under the numbers 0, 2, 9 and 100",
    )
    for count, size, width in ((60, 5, 3), (40, 9, 2), (8, 3, 4)):
        vectors = rng.normal(1, 1, (count, width))
        codebook = rng.normal(1, 1, (size, width))
        codebook[rng.integers(size)] = 50 + rng.normal(size=width)  # nobody's
        nearest = _nearest(vectors, codebook)
        wanted = codebook.copy()
        for code in set(nearest.tolist()):
            wanted[code] = np.mean([v for v, n in zip(vectors, nearest, strict=True)
                                    if n == code], axis=0)  # fmt: skip
        got = np.asarray(_told(answer, vectors, codebook), float)
        expect(
            got.shape == codebook.shape,
            f"{size} codes stay {size} codes, {codebook.shape}. Received: {got.shape}",
        )
        expect(
            np.isfinite(got).all(),
            "A code that no vector chose became something that is no number: it stays "
            "where it was.",
        )
        close(got, wanted, f"the {size} codes after a step on {count} vectors")


@exercise(hint="frames a second, times codes a frame, times bits a code.")
def bit_rate(answer, rng):
    """rate / hop * quantizers * log2(size) bits a second."""
    close(answer(16_000, 160, 8, 256), 6400.0, "the bits a second of the kit's codec")
    close(answer(8_000, 1, 1, 256), 64_000.0, "the bits a second of a telephone")
    for _ in range(4):
        rate, hop = 1000 * int(rng.integers(4, 49)), 10 * int(rng.integers(4, 50))
        stages, bits = int(rng.integers(1, 9)), int(rng.integers(1, 12))
        close(
            answer(rate, hop, stages, 2**bits),
            rate / hop * stages * bits,
            f"bits a second at {rate} Hz, hop {hop}, {stages} codes of {2**bits} values",
        )
    close(answer(3000, 300, 2, 100), 20 * np.log2(100), "with 100 values a code, bits")


@exercise(hint="shares of the codes; their entropy in nats; e to the power of it.")
def codebook_perplexity(answer, rng):
    """exp of the entropy of the shares: n where n codes are used alike."""
    for used, size in ((4, 4), (5, 9), (1, 6)):
        codes = rng.permutation(np.repeat(rng.permutation(size)[:used], 7))
        close(
            _told(answer, codes, size),
            used,
            f"the perplexity of {used} codes of {size}, used alike,",
        )
    for size in (6, 40):
        chances = rng.dirichlet(np.full(size, 0.6))
        codes = rng.choice(size, 300, p=chances)
        entropy = 0.0
        for code in set(codes.tolist()):
            share = np.mean(codes == code)
            entropy -= share * np.log(share)
        close(
            answer(codes, size),
            np.exp(entropy),
            f"the perplexity of 300 of {size} codes",
        )
    rows = codes.reshape(100, 3)
    close(
        answer(rows, size), np.exp(entropy), "the perplexity of the codes as (100, 3)"
    )


@exercise(
    hint="quantise what is left; add what was chosen; take it off what is left; again.",
    points=2,
)
def residual_quantise(answer, rng):
    """Each codebook codes what those before it left; what was chosen adds up."""
    by_hand = [np.array([[0.0], [10.0]]), np.array([[-1.0], [0.0], [2.0]])]
    both = _told_two(answer, np.array([[11.4], [-0.8]]), by_hand)
    close(
        both[0], [[1, 2], [0, 0]], "the codes of 11.4 and -0.8 by {0, 10}, {-1, 0, 2}"
    )
    close(both[1], [[12.0], [-1.0]], "what stands for 11.4 and -0.8")
    for stages in (1, 2, 4):
        books = [rng.normal(0, 2.0**-q, (6, 3)) for q in range(stages)]
        vectors = rng.normal(0, 1.5, (20, 3))
        kept = vectors.copy(), [book.copy() for book in books]
        codes, total = _told_two(answer, vectors, books)
        same = [np.array_equal(a, b) for a, b in zip(books, kept[1], strict=True)]
        expect(
            np.array_equal(vectors, kept[0]) and all(same),
            "The vectors or codebooks were changed: leave them as they are.",
        )
        wanted, sums = _residual(vectors, books)
        close(
            codes, wanted, f"the codes of 20 vectors in {stages} stages, (20, {stages})"
        )
        close(total, sums, f"what {stages} stages chose, added up,")


def _told_two(answer, vectors, books):
    both = answer(vectors, books)
    expect(
        isinstance(both, (tuple, list)) and len(both) == 2,
        "Two things come back: the codes (N, Q), and what stands for the vectors (N, D).",
    )
    return both


def _residual(vectors, books):
    codes, sums = [], []
    for one in vectors:
        rest, row = one, []
        for book in books:
            row.append(int(((book - rest) ** 2).sum(axis=1).argmin()))
            rest = rest - book[row[-1]]
        codes.append(row)
        sums.append(one - rest)
    return codes, sums


@exercise(
    hint="forward it must be `chosen`; backward only `latents` may be seen.",
    points=2,
    seconds=90,
)
def straight_through(answer, rng):
    """Forward the chosen codes; backward the gradient passes to the latents as it is."""
    import tensorflow as tf

    for shape in ((4,), (5, 3)):
        latents, chosen, slope = (
            tf.constant(rng.normal(size=shape), tf.float32) for _ in range(3)
        )
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([latents, chosen])
            got = answer(latents, chosen)
            expect(got is not None, "It gives None. Is a `return` missing?")
            loss = tf.reduce_sum(tf.convert_to_tensor(got) * slope)
        close(got, chosen, "forward: what the decoder is given", tolerance=1e-5)
        to_latents = tape.gradient(loss, latents)
        expect(
            to_latents is not None,
            "No gradient reaches the latents: the encoder would never learn.",
        )
        close(
            to_latents, slope, "backward: the gradient at the latents", tolerance=1e-5
        )
        to_chosen = tape.gradient(loss, chosen)
        size = 0.0 if to_chosen is None else float(np.abs(to_chosen).max())
        expect(
            size < 1e-6,
            f"A gradient of up to {size:.3g} reaches the chosen codes too: it should all "
            "go to the latents.",
        )

"""Lab 09: what people write before it is right."""

import numpy as np


def squared(vectors, codebook):
    return ((vectors[:, None] - codebook[None]) ** 2).sum(axis=-1)  # (N, K)


def right_nearest(vectors, codebook):
    return squared(vectors, codebook).argmin(axis=1)


def largest_product(vectors, codebook):
    """The largest dot product: long codes win, near or not."""
    return (vectors @ codebook.T).argmax(axis=1)


def farthest(vectors, codebook):
    """argmax of the distances."""
    return squared(vectors, codebook).argmax(axis=1)


def of_each_code(vectors, codebook):
    """The wrong axis: the nearest vector of each code."""
    return squared(vectors, codebook).argmin(axis=0)


def half_the_product(vectors, codebook):
    """|c|^2 - v c: the 2 of the product is forgotten."""
    return ((codebook**2).sum(axis=1) - vectors @ codebook.T).argmin(axis=1)


def the_code_itself(vectors, codebook):
    """The code's vector, not its number."""
    return codebook[right_nearest(vectors, codebook)]


def sum_of_differences(vectors, codebook):
    """Differences added up without squares: they cancel."""
    return np.abs((vectors[:, None] - codebook[None]).sum(axis=-1)).argmin(axis=1)


def last_of_equals(vectors, codebook):
    """Of equal distances the last."""
    return len(codebook) - 1 - squared(vectors, codebook)[:, ::-1].argmin(axis=1)


def error_of(vectors, codebook):
    return vectors - codebook[right_nearest(vectors, codebook)]


def right_distortion(vectors, codebook):
    return (error_of(vectors, codebook) ** 2).mean()


def a_vector(vectors, codebook):
    """The mean over vectors of the sum over numbers."""
    return (error_of(vectors, codebook) ** 2).sum(axis=-1).mean()


def rooted(vectors, codebook):
    """The root of it."""
    return np.sqrt(right_distortion(vectors, codebook))


def absolute(vectors, codebook):
    """Absolute errors, not squared."""
    return np.abs(error_of(vectors, codebook)).mean()


def to_all_codes(vectors, codebook):
    """The mean distance to all codes, not to the nearest."""
    return squared(vectors, codebook).mean() / vectors.shape[1]


def to_the_mean_code(vectors, codebook):
    """From the mean of the codebook."""
    return ((vectors - codebook.mean(axis=0)) ** 2).mean()


def means_only(vectors, codebook):
    """An unused code becomes the mean of nothing."""
    nearest = right_nearest(vectors, codebook)
    return np.stack([vectors[nearest == k].mean(axis=0) for k in range(len(codebook))])


def zero_where_unused(vectors, codebook):
    """An unused code goes to zero."""
    nearest = right_nearest(vectors, codebook)
    new = np.zeros_like(codebook)
    for code in np.unique(nearest):
        new[code] = vectors[nearest == code].mean(axis=0)
    return new


def in_place(vectors, codebook):
    """The codebook that was handed in is changed."""
    nearest = right_nearest(vectors, codebook)
    for code in np.unique(nearest):
        codebook[code] = vectors[nearest == code].mean(axis=0)
    return codebook


def sums_over_all(vectors, codebook):
    """Divided by all vectors, not by the code's own."""
    nearest = right_nearest(vectors, codebook)
    new = codebook.copy()
    for code in np.unique(nearest):
        new[code] = vectors[nearest == code].sum(axis=0) / len(vectors)
    return new


def unused_dropped(vectors, codebook):
    """Only the codes that were chosen come back."""
    nearest = right_nearest(vectors, codebook)
    used = np.unique(nearest)
    return np.stack([vectors[nearest == code].mean(axis=0) for code in used])


def medians(vectors, codebook):
    """The median, which does not have the least squares."""
    nearest = right_nearest(vectors, codebook)
    new = codebook.copy()
    for code in np.unique(nearest):
        new[code] = np.median(vectors[nearest == code], axis=0)
    return new


def half_way(vectors, codebook):
    """Half of the way to the mean."""
    nearest = right_nearest(vectors, codebook)
    new = codebook.copy()
    for code in np.unique(nearest):
        new[code] = (new[code] + vectors[nearest == code].mean(axis=0)) / 2
    return new


def natural(rate, hop, quantizers, size):
    """Nats: the natural logarithm."""
    return rate / hop * quantizers * np.log(size)


def whole_codes(rate, hop, quantizers, size):
    """The size of the codebook, not its logarithm."""
    return rate / hop * quantizers * size


def a_sample(rate, hop, quantizers, size):
    """Codes for every sample, not for every frame."""
    return rate * quantizers * np.log2(size)


def one_stage(rate, hop, quantizers, size):
    """The number of quantizers is forgotten."""
    return rate / hop * np.log2(size)


def whole_frames(rate, hop, quantizers, size):
    """Frames a second cut to a whole number."""
    return rate // hop * quantizers * np.log2(size)


def shares(codes, size):
    return np.bincount(np.ravel(codes), minlength=size) / np.size(codes)


def entropy_itself(codes, size):
    """The entropy, not e to its power."""
    p = shares(codes, size)
    return -(p[p > 0] * np.log(p[p > 0])).sum()


def mixed_logarithms(codes, size):
    """2 to the power of nats."""
    return 2 ** entropy_itself(codes, size)


def how_many(codes, size):
    """How many codes were used at all."""
    return float((shares(codes, size) > 0).sum())


def no_zeros_allowed(codes, size):
    """0 log 0 is no number."""
    p = shares(codes, size)
    return np.exp(-(p * np.log(p)).sum())


def over_the_size(codes, size):
    """Divided by the codebook's size."""
    return np.exp(entropy_itself(codes, size)) / size


def stage_by_stage(vectors, books, left, added):
    """Residual quantisation with the two steps handed in."""
    rest, total, codes = np.array(vectors), np.zeros_like(vectors), []
    for book in books:
        code = right_nearest(rest, book)
        codes.append(code)
        rest, total = left(rest, book[code], vectors), added(total, book[code])
    return np.stack(codes, axis=1), total


def never_taken_off(vectors, books):
    """Each stage codes the vectors, not what is left."""
    return stage_by_stage(vectors, books, lambda r, c, v: r, lambda t, c: t + c)


def from_the_vectors(vectors, books):
    """What is left is taken from the vectors each time, not from what was left."""
    return stage_by_stage(vectors, books, lambda r, c, v: v - c, lambda t, c: t + c)


def last_stage_only(vectors, books):
    """What stands for the vectors is the last choice, not the sum."""
    return stage_by_stage(vectors, books, lambda r, c, v: r - c, lambda t, c: c)


def sign_turned(vectors, books):
    """What was chosen is added to what is left."""
    return stage_by_stage(vectors, books, lambda r, c, v: r + c, lambda t, c: t + c)


def codes_turned(vectors, books):
    """Codes (Q, N)."""
    codes, total = stage_by_stage(
        vectors, books, lambda r, c, v: r - c, lambda t, c: t + c
    )
    return codes.T, total


def vectors_eaten(vectors, books):
    """The vectors that were handed in are what is left."""
    codes, total = [], np.zeros_like(vectors)
    for book in books:
        code = right_nearest(vectors, book)
        codes.append(code)
        total += book[code]
        vectors -= book[code]
    return np.stack(codes, axis=1), total


def residual_for_the_sum(vectors, books):
    """What is left at the end in the place of what was chosen."""
    codes, total = stage_by_stage(
        vectors, books, lambda r, c, v: r - c, lambda t, c: t + c
    )
    return codes, vectors - total


def held(x):
    import tensorflow as tf

    return tf.stop_gradient(x)


def only_chosen(latents, chosen):
    """The codes alone: nothing flows back to the latents."""
    return chosen


def only_latents(latents, chosen):
    """The latents alone: nothing is quantised."""
    return latents + 0 * held(chosen)


def held_the_wrong_one(latents, chosen):
    """The latents are held, and the codes are given the gradient."""
    return chosen + held(latents - latents)


def to_both(latents, chosen):
    """Forward right, but the codes are given a gradient as well."""
    return latents + chosen - held(latents)


def all_held(latents, chosen):
    """Everything is held."""
    return held(latents + (chosen - latents))


def half(latents, chosen):
    """Half of the gradient is lost."""
    return 0.5 * latents + held(chosen - 0.5 * latents)


WRONG = {
    "nearest_code": [
        *(largest_product, farthest, of_each_code, half_the_product),
        *(the_code_itself, sum_of_differences, last_of_equals),
    ],
    "distortion": [a_vector, rooted, absolute, to_all_codes, to_the_mean_code],
    "kmeans_step": [
        *(means_only, zero_where_unused, in_place, sums_over_all),
        *(unused_dropped, medians, half_way),
    ],
    "bit_rate": [natural, whole_codes, a_sample, one_stage, whole_frames],
    "codebook_perplexity": [
        *(entropy_itself, mixed_logarithms, how_many, no_zeros_allowed, over_the_size),
    ],
    "residual_quantise": [
        *(never_taken_off, from_the_vectors, last_stage_only, sign_turned),
        *(codes_turned, vectors_eaten, residual_for_the_sum),
    ],
    "straight_through": [
        *(only_chosen, only_latents, held_the_wrong_one, to_both, all_held, half),
    ],
}

"""Lab 05: what people write before it is right."""

import numpy as np


def softmax(scores, axis=-1):
    weights = np.exp(scores - scores.max(axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def turned(x):
    return np.swapaxes(x, -1, -2)


def right_weights(queries, keys):
    return softmax(queries @ turned(keys) / np.sqrt(queries.shape[-1]))


def right_look(queries, keys):
    count = queries.shape[-2]
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(np.where(np.tri(count, dtype=bool), scores, -np.inf))


def unscaled(queries, keys):
    """Not divided by the root of d."""
    return softmax(queries @ turned(keys))


def over_d(queries, keys):
    """Divided by d, not by its root."""
    return softmax(queries @ turned(keys) / queries.shape[-1])


def over_the_queries(queries, keys):
    """The softmax runs along the wrong axis: columns sum to 1."""
    return softmax(queries @ turned(keys) / np.sqrt(queries.shape[-1]), -2)


def keys_ask(queries, keys):
    """Queries and keys exchanged."""
    return right_weights(keys, queries)


def over_the_heads(queries, keys):
    """`.T` turns all axes, the heads too."""
    return softmax(queries @ keys.T / np.sqrt(queries.shape[-1]))


def overflows(queries, keys):
    """Nothing is taken off before the exponential."""
    weights = np.exp(queries @ turned(keys) / np.sqrt(queries.shape[-1]))
    return weights / weights.sum(-1, keepdims=True)


def root_of_places(queries, keys):
    """Divided by the root of how many keys there are."""
    return softmax(queries @ turned(keys) / np.sqrt(keys.shape[-2]))


LEARNT = {"embedding", "W_query", "W_key", "W_value", "W_out", "gain of the norm"}


def weights_are_learnt(name):
    """The word "weights" is taken at its word."""
    return name in LEARNT | {"attention weights"}


def all_is_learnt(name):
    """Everything."""
    return True


def the_three_are_learnt(name):
    """Queries, keys and values themselves, for their matrices."""
    return name in LEARNT | {"queries", "keys", "values"}


def only_the_matrices(name):
    """What begins with W: embedding and gain are forgotten."""
    return name.startswith("W_")


def places_are_learnt(name):
    """The sinusoids too."""
    return name in LEARNT | {"sinusoids"}


def no_mask(queries, keys):
    """It looks ahead."""
    return right_weights(queries, keys)


def masked_after(queries, keys):
    """The mask comes behind the softmax: rows no longer sum to 1."""
    return right_weights(queries, keys) * np.tri(queries.shape[-2])


def masked_with_zero(queries, keys):
    """Scores ahead are 0, which is not little."""
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(scores * np.tri(queries.shape[-2]))


def not_itself(queries, keys):
    """A place does not see itself; the first sees nothing."""
    count = queries.shape[-2]
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(np.where(np.tri(count, k=-1, dtype=bool), scores, -1e9))


def forward_only(queries, keys):
    """The mask is the wrong way round."""
    count = queries.shape[-2]
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(np.where(np.tri(count, dtype=bool).T, scores, -1e9))


def one_ahead(queries, keys):
    """Off by one: the next place is seen too."""
    count = queries.shape[-2]
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(np.where(np.tri(count, k=1, dtype=bool), scores, -1e9))


def shut_too_little(queries, keys):
    """The score of what is to come is -100, which others can be below."""
    count = queries.shape[-2]
    scores = queries @ turned(keys) / np.sqrt(queries.shape[-1])
    return softmax(np.where(np.tri(count, dtype=bool), scores, -100))


def reshaped_only(x, heads):
    """A reshape alone: the places are torn apart."""
    return x.reshape(heads, len(x), -1)


def heads_behind(x, heads):
    """(T, heads, d): the heads were not brought to the front."""
    return x.reshape(len(x), heads, -1)


def every_other(x, heads):
    """Head h has every H-th number."""
    return np.stack([x[:, h::heads] for h in range(heads)])


def turned_over(x, heads):
    """(heads, d, T): one axis too many was turned."""
    return x.reshape(len(x), heads, -1).transpose(1, 2, 0)


def angles(places, width):
    half = width // 2
    return np.asarray(places)[:, None] / 10_000 ** (np.arange(half) / half)


def alternating(places, width):
    """Sines and cosines in turn, as the paper has it; here they stand side by side."""
    angle = angles(places, width)
    return np.stack([np.sin(angle), np.cos(angle)], -1).reshape(len(angle), width)


def cosines_first(places, width):
    """The cosines before the sines."""
    return np.concatenate(
        [np.cos(angles(places, width)), np.sin(angles(places, width))], 1
    )


def counted_twice(places, width):
    """2p over half the width: the speeds fall twice as fast."""
    half = width // 2
    angle = np.asarray(places)[:, None] / 10_000 ** (2 * np.arange(half) / half)
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)


def times_the_speed(places, width):
    """Multiplied by the power where it should be divided."""
    half = width // 2
    angle = np.asarray(places)[:, None] * 10_000 ** (np.arange(half) / half)
    return np.concatenate([np.sin(angle), np.cos(angle)], 1)


def its_own_places(places, width):
    """0, 1, 2 ... whatever places were asked for."""
    return np.concatenate(
        [f(angles(np.arange(len(places)), width)) for f in (np.sin, np.cos)], 1
    )


def by_the_length(x):
    """Over the length of the vector, not its root mean square."""
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-6)


def centred(x):
    """The layer norm: the mean is taken off too."""
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)


def over_all(x):
    """One mean for all the vectors."""
    return x / np.sqrt((x**2).mean() + 1e-6)


def no_root(x):
    """The root is forgotten."""
    return x / ((x**2).mean(-1, keepdims=True) + 1e-6)


def silence_breaks(x):
    """Zero over zero."""
    return x / np.sqrt((x**2).mean(-1, keepdims=True))


def in_place(x):
    """The x of the caller is changed."""
    x /= np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    return x


def no_residual(x, norm, attention, mlp):
    """Nothing is added to x."""
    return mlp(norm(attention(norm(x))))


def norm_behind(x, norm, attention, mlp):
    """The norm of the sum, as the paper of 2017 had it."""
    x = norm(x + attention(x))
    return norm(x + mlp(x))


def side_by_side(x, norm, attention, mlp):
    """The MLP is given the x of the beginning."""
    return x + attention(norm(x)) + mlp(norm(x))


def first_only(x, norm, attention, mlp):
    """The second half adds to the x of the beginning."""
    return x + mlp(norm(x + attention(norm(x))))


def one_norm(x, norm, attention, mlp):
    """No norm before the MLP."""
    x = x + attention(norm(x))
    return x + mlp(x)


def adds_in_place(x, norm, attention, mlp):
    """The x of the caller is changed."""
    x += attention(norm(x))
    x += mlp(norm(x))
    return x


def grown(key, value, cache):
    return (
        np.concatenate([cache[0], key], axis=-2),
        np.concatenate([cache[1], value], axis=-2),
    )


def looks_before(query, key, value, cache):
    """The new key comes into the cache after the look: a note does not see itself."""
    if not cache[0].shape[-2]:
        return value, grown(key, value, cache)
    return right_weights(query, cache[0]) @ cache[1], grown(key, value, cache)


def put_in_front(query, key, value, cache):
    """The new key and value stand in front of the old."""
    cache = (
        np.concatenate([key, cache[0]], axis=-2),
        np.concatenate([value, cache[1]], axis=-2),
    )
    return right_weights(query, cache[0]) @ cache[1], cache


def forgets_the_value(query, key, value, cache):
    """The weights, and not what is gathered by them."""
    cache = grown(key, value, cache)
    return right_weights(query, cache[0]), cache


def keys_for_values(query, key, value, cache):
    """The keys are gathered."""
    cache = grown(key, value, cache)
    return right_weights(query, cache[0]) @ cache[0], cache


def cache_not_kept(query, key, value, cache):
    """The old cache is given back."""
    longer = grown(key, value, cache)
    return right_weights(query, longer[0]) @ longer[1], cache


def masked_wrongly(query, key, value, cache):
    """The one query is masked as if it were at place 0: it sees the first key alone."""
    cache = grown(key, value, cache)
    return cache[1][:, :1], cache


WRONG = {
    "attention_weights": [
        unscaled, over_d, over_the_queries, keys_ask, over_the_heads, overflows,
        root_of_places,
    ],
    "is_learnt": [
        weights_are_learnt, all_is_learnt, the_three_are_learnt, only_the_matrices,
        places_are_learnt,
    ],
    "look_back": [
        no_mask, masked_after, masked_with_zero, not_itself, forward_only, one_ahead,
        shut_too_little,
    ],
    "split_heads": [reshaped_only, heads_behind, every_other, turned_over],
    "place_waves": [
        alternating, cosines_first, counted_twice, times_the_speed, its_own_places,
    ],
    "level": [by_the_length, centred, over_all, no_root, silence_breaks, in_place],
    "block": [
        no_residual, norm_behind, side_by_side, first_only, one_norm, adds_in_place,
    ],
    "cached_step": [
        looks_before, put_in_front, forgets_the_value, keys_for_values, cache_not_kept,
        masked_wrongly,
    ],
}  # fmt: skip

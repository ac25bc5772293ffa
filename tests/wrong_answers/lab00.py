"""Plausible wrong answers of lab 0: each must be rejected."""

import numpy as np


def drums_from_zero(hits):
    """Drum 0 has the token of waiting."""
    out = []
    for row in np.asarray(hits, bool):
        out += [int(k) for k in np.flatnonzero(row)] + [0]
    return out


def wait_between_steps(hits):
    """No 0 after the last step."""
    out = []
    for row in np.asarray(hits, bool):
        out += [int(k) + 1 for k in np.flatnonzero(row)] + [0]
    return out[:-1]


def wait_after_each_hit(hits):
    """A 0 after each hit, none for silent steps."""
    out = []
    for row in np.asarray(hits, bool):
        for k in np.flatnonzero(row):
            out += [int(k) + 1, 0]
    return out


def drums_before_steps(hits):
    """Time and drums swapped."""
    out = []
    for row in np.asarray(hits, bool).T:
        out += [int(k) + 1 for k in np.flatnonzero(row)] + [0]
    return out


def first_drum_only(hits):
    """Of drums struck together only the first is kept."""
    out = []
    for row in np.asarray(hits, bool):
        out += [int(k) + 1 for k in np.flatnonzero(row)[:1]] + [0]
    return out


def one_hot_of_size_seen(ids, vocab_size):
    """As wide as the largest id that is there."""
    return np.eye(int(np.max(ids)) + 1)[ids]


def one_hot_lying(ids, vocab_size):
    """Rows and columns swapped."""
    return np.eye(vocab_size)[ids].T


def one_hot_from_one(ids, vocab_size):
    """One place too far."""
    return np.eye(vocab_size + 1)[np.asarray(ids) + 1][:, :vocab_size]


def one_hot_as_counts(ids, vocab_size):
    """A single row, of how often each came."""
    return np.bincount(ids, minlength=vocab_size)


def not_shifted(ids, length):
    """Targets that are the inputs."""
    rows = (len(ids) - 1) // length
    x = np.asarray(ids)[: rows * length].reshape(rows, length)
    return x, x


def shifted_back(ids, length):
    """Targets one place earlier."""
    rows = (len(ids) - 1) // length
    ids = np.asarray(ids)
    return (
        ids[1 : rows * length + 1].reshape(rows, length),
        ids[: rows * length].reshape(rows, length),
    )


def shifted_within_rows(ids, length):
    """The last target of a row is its own first input."""
    rows = (len(ids) - 1) // length
    x = np.asarray(ids)[: rows * length].reshape(rows, length)
    return x, np.roll(x, -1, axis=1)


def a_row_lost(ids, length):
    """One row too few where the tokens just suffice."""
    rows = (len(ids) - 2) // length
    ids = np.asarray(ids)
    return (
        ids[: rows * length].reshape(rows, length),
        ids[1 : rows * length + 1].reshape(rows, length),
    )


def overlapping_rows(ids, length):
    """A row from every token, all overlapping."""
    view = np.lib.stride_tricks.sliding_window_view(np.asarray(ids), length + 1)
    return view[:, :-1], view[:, 1:]


def entropy_in_bits(p):
    """The logarithm to base 2."""
    p = np.asarray(p)[np.asarray(p) > 0]
    return -(p * np.log2(p)).sum()


def entropy_below_zero(p):
    """Without the minus."""
    p = np.asarray(p)[np.asarray(p) > 0]
    return (p * np.log(p)).sum()


def entropy_with_nan(p):
    """0 log 0 gets in."""
    p = np.asarray(p)
    return -(p * np.log(p)).sum()


def entropy_of_a_coin(p):
    """Of the first two chances alone."""
    p = np.asarray(p)[:2]
    p = p[p > 0]
    return -(p * np.log(p)).sum()


def entropy_as_mean(p):
    """The mean of the surprises, each counted alike."""
    p = np.asarray(p)[np.asarray(p) > 0]
    return -np.log(p).mean()


def merge_first_only(tokens, pair, new):
    """Only where the pair stands first."""
    for at in range(len(tokens) - 1):
        if tuple(tokens[at : at + 2]) == tuple(pair):
            return [*tokens[:at], new, *tokens[at + 2 :]]
    return list(tokens)


def merge_overlapping(tokens, pair, new):
    """A token in two pairs: the place moves on by one after a merge."""
    out = []
    for at in range(len(tokens)):
        is_pair = tuple(tokens[at : at + 2]) == tuple(pair)
        out.append(new if is_pair else tokens[at])
    return out


def merge_either_order(tokens, pair, new):
    """The pair turned round is merged too."""
    out, at = [], 0
    while at < len(tokens):
        if sorted(tokens[at : at + 2]) == sorted(pair):
            out.append(new)
            at += 2
        else:
            out.append(tokens[at])
            at += 1
    return out


def merge_in_place(tokens, pair, new):
    """Right, but the list that was given is changed."""
    at = 0
    while at < len(tokens):
        if tuple(tokens[at : at + 2]) == tuple(pair):
            tokens[at : at + 2] = [new]
        at += 1
    return tokens


def merge_without_the_last(tokens, pair, new):
    """A last token that is in no pair is lost."""
    out, at = [], 0
    while at < len(tokens) - 1:
        if tuple(tokens[at : at + 2]) == tuple(pair):
            out.append(new)
            at += 2
        else:
            out.append(tokens[at])
            at += 1
    return out


def merge_from_the_right(tokens, pair, new):
    """From right to left."""
    out, at = [], len(tokens)
    while at > 0:
        if at > 1 and tuple(tokens[at - 2 : at]) == tuple(pair):
            out.append(new)
            at -= 2
        else:
            out.append(tokens[at - 1])
            at -= 1
    return out[::-1]


def stays(positions):
    """Without history: it stays where it is."""
    return np.asarray(positions)[:, -1]


def turns_back(positions):
    """The velocity with the wrong sign."""
    p = np.asarray(positions)
    return p[:, -2]


def mean_velocity(positions):
    """The mean velocity of all that was seen."""
    p = np.asarray(positions, float)
    return p[:, -1] + np.diff(p, axis=1).mean(axis=1)


def velocity_over_balls(positions):
    """Rows and columns swapped."""
    p = np.asarray(positions, float)
    return 2 * p[-1] - p[-2] if len(p) > 1 else 2 * p[-1] - p[-1]


def velocity_alone(positions):
    """How far it moves, and not where it will be."""
    p = np.asarray(positions, float)
    return p[:, -1] - p[:, -2]


def slices_end_to_end(slices, hop):
    """Without overlap."""
    return np.concatenate(np.asarray(slices, float))


def slices_overwrite(slices, hop):
    """The later slice replaces what it overlaps."""
    slices = np.asarray(slices, float)
    count, window = slices.shape
    out = np.zeros((count - 1) * hop + window)
    for t in range(count):
        out[t * hop : t * hop + window] = slices[t]
    return out


def slices_cut_short(slices, hop):
    """The end of the last slice is lost."""
    slices = np.asarray(slices, float)
    count, window = slices.shape
    out = np.zeros((count - 1) * hop + window)
    for t in range(count):
        out[t * hop : t * hop + window] += slices[t]
    return out[: count * hop]


def slices_at_half(slices, hop):
    """The hop is taken for half a window, whatever it is."""
    slices = np.asarray(slices, float)
    count, window = slices.shape
    hop = window // 2
    out = np.zeros((count - 1) * hop + window)
    for t in range(count):
        out[t * hop : t * hop + window] += slices[t]
    return out


def fires_at_zero(x, weights, bias):
    """At exactly 0 it fires too."""
    return (np.asarray(x) @ np.asarray(weights) + bias >= 0).astype(int)


def bias_as_threshold(x, weights, bias):
    """The bias is taken for the threshold: its sign is wrong."""
    return (np.asarray(x) @ np.asarray(weights) > bias).astype(int)


def without_bias(x, weights, bias):
    """The bias is forgotten."""
    return (np.asarray(x) @ np.asarray(weights) > 0).astype(int)


def the_sum_itself(x, weights, bias):
    """The sum, and no decision."""
    return np.asarray(x) @ np.asarray(weights) + bias


def minus_or_plus(x, weights, bias):
    """-1 in place of 0."""
    return np.where(np.asarray(x) @ np.asarray(weights) + bias > 0, 1, -1)


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def second_is_linear(x, first, second):
    """No sigmoid after the second layer."""
    return _sigmoid(x @ first[0] + first[1]) @ second[0] + second[1]


def first_is_linear(x, first, second):
    """No sigmoid between the layers."""
    return _sigmoid((x @ first[0] + first[1]) @ second[0] + second[1])


def tanh_between(x, first, second):
    """tanh in place of the first sigmoid."""
    return _sigmoid(np.tanh(x @ first[0] + first[1]) @ second[0] + second[1])


def without_biases(x, first, second):
    """The biases are forgotten."""
    return _sigmoid(_sigmoid(x @ first[0]) @ second[0])


def bias_after_sigmoid(x, first, second):
    """The bias is added behind the sigmoid."""
    return _sigmoid((_sigmoid(x @ first[0]) + first[1]) @ second[0]) + second[1]


WRONG = {
    "encode_hits": [
        drums_from_zero,
        wait_between_steps,
        wait_after_each_hit,
        drums_before_steps,
        first_drum_only,
    ],
    "one_hot": [
        one_hot_of_size_seen,
        one_hot_lying,
        one_hot_from_one,
        one_hot_as_counts,
    ],
    "inputs_and_targets": [
        not_shifted,
        shifted_back,
        shifted_within_rows,
        a_row_lost,
        overlapping_rows,
    ],
    "entropy": [
        entropy_in_bits,
        entropy_below_zero,
        entropy_with_nan,
        entropy_of_a_coin,
        entropy_as_mean,
    ],
    "merge_pair": [
        merge_first_only,
        merge_overlapping,
        merge_either_order,
        merge_in_place,
        merge_without_the_last,
        merge_from_the_right,
    ],
    "guess_next": [
        stays,
        turns_back,
        mean_velocity,
        velocity_over_balls,
        velocity_alone,
    ],
    "overlap_add": [
        slices_end_to_end,
        slices_overwrite,
        slices_cut_short,
        slices_at_half,
    ],
    "perceptron": [
        fires_at_zero,
        bias_as_threshold,
        without_bias,
        the_sum_itself,
        minus_or_plus,
    ],
    "two_layers": [
        second_is_linear,
        first_is_linear,
        tanh_between,
        without_biases,
        bias_after_sigmoid,
    ],
}

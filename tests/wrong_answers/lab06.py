"""Lab 06: what people write before it is right."""

import numpy as np


def squeezed(samples, mu):
    return np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)


def rounded(level):
    return np.floor(level + 0.5).astype(int)


def right_inverse(codes, mu):
    y = 2 * np.asarray(codes) / mu - 1
    return np.sign(y) * ((1 + mu) ** np.abs(y) - 1) / mu


def evenly(samples, mu=255):
    """Even steps: nothing is squeezed."""
    return rounded((np.asarray(samples) + 1) / 2 * mu)


def cut_off(samples, mu=255):
    """The fraction is cut off, not rounded."""
    return ((squeezed(samples, mu) + 1) / 2 * mu).astype(int)


def one_level_more(samples, mu=255):
    """mu + 1 steps: the loudest sample has a code that is not there."""
    return rounded((squeezed(samples, mu) + 1) / 2 * (mu + 1))


def sign_lost(samples, mu=255):
    """The sign was forgotten: both halves of the wave point up."""
    return rounded((np.abs(squeezed(samples, mu)) + 1) / 2 * mu)


def always_255(samples, mu=255):
    """255, whatever mu is."""
    return rounded((squeezed(samples, 255) + 1) / 2 * 255)


def floats(samples, mu=255):
    """Right, but not whole numbers: no token can be a float."""
    return (squeezed(samples, mu) + 1) / 2 * mu


def only_unbent(codes, mu=255):
    """Brought to -1..1, but the squeeze is not undone."""
    return 2 * np.asarray(codes) / mu - 1


def without_minus_one(codes, mu=255):
    """The 1 that log1p added is not taken off."""
    y = 2 * np.asarray(codes) / mu - 1
    return np.sign(y) * (1 + mu) ** np.abs(y) / (1 + mu)


def by_e(codes, mu=255):
    """e to the y, where it should be (1 + mu) to the y."""
    y = 2 * np.asarray(codes) / mu - 1
    return np.sign(y) * np.expm1(np.abs(y)) / np.expm1(1)


def upper_half(codes, mu=255):
    """The sign is lost on the way back."""
    return np.abs(right_inverse(codes, mu))


def middle_of_256(codes, mu=255):
    """Over mu + 1: the loudest code is no longer 1."""
    y = 2 * np.asarray(codes) / (mu + 1) - 1
    return np.sign(y) * np.expm1(np.abs(y) * np.log1p(mu)) / mu


def always_back_from_255(codes, mu=255):
    """255, whatever mu is."""
    return right_inverse(codes, 255)


def amplitudes_not_energies(sound, received):
    """20 log10 of energies: twice the decibels."""
    return 20 * np.log10((sound**2).sum() / ((sound - received) ** 2).sum())


def natural(sound, received):
    """The natural logarithm."""
    return 10 * np.log((sound**2).sum() / ((sound - received) ** 2).sum())


def upside_down(sound, received):
    """Noise over signal."""
    return 10 * np.log10(((sound - received) ** 2).sum() / (sound**2).sum())


def over_what_came(sound, received):
    """The energy of what was received, not of the sound."""
    return 10 * np.log10((received**2).sum() / ((sound - received) ** 2).sum())


def peaks(sound, received):
    """Peak over peak."""
    return 20 * np.log10(np.abs(sound).max() / np.abs(sound - received).max())


def spread(sound, received):
    """Variances: an error that is the same everywhere goes unseen."""
    return 10 * np.log10(np.var(sound) / (np.var(sound - received) + 1e-12))


def past_of(samples, order, step=1):
    places = range(order, len(samples))
    return np.array([samples[t - order : t][::step] for t in places])


def solved(past, target):
    return np.linalg.lstsq(past, target, rcond=None)[0]


def oldest_first(samples, order):
    """The weights come in the wrong order."""
    return solved(past_of(samples, order), samples[order:])


def sees_itself(samples, order):
    """Off by one: the sample to be told is among those that tell it."""
    past = np.array([samples[t - order + 1 : t + 1][::-1]
                     for t in range(order, len(samples))])  # fmt: skip
    return solved(past, samples[order:])


def one_too_old(samples, order):
    """Off by one: the newest sample is left out."""
    past = np.array([samples[t - order - 1 : t - 1][::-1]
                     for t in range(order + 1, len(samples))])  # fmt: skip
    return solved(past, samples[order + 1 :])


def with_residuals(samples, order):
    """All that lstsq gives, not its first part."""
    return np.linalg.lstsq(past_of(samples, order, -1), samples[order:], rcond=None)


def always_two(samples, order):
    """Two weights, whatever the order is."""
    return solved(past_of(samples, 2, -1), samples[2:])


def of_the_change(samples, order):
    """The last sample's share is left out: what is fitted is the difference."""
    past = past_of(samples, order, -1)
    return solved(past, samples[order:] - past[:, 0])


def in_nats(log_p, codes):
    """Nats, not bits."""
    return -np.mean(log_p[np.arange(len(codes)), codes])


def times_ln_2(log_p, codes):
    """Multiplied by ln 2, where it should be divided."""
    return in_nats(log_p, codes) * np.log(2)


def summed(log_p, codes):
    """The whole sound's bits, not a sample's."""
    return in_nats(log_p, codes) * len(codes) / np.log(2)


def negative(log_p, codes):
    """The sign is forgotten."""
    return -in_nats(log_p, codes) / np.log(2)


def of_the_likeliest(log_p, codes):
    """What the likeliest code would have cost, not the one that came."""
    return -np.mean(log_p.max(axis=1)) / np.log(2)


def mean_chance(log_p, codes):
    """The logarithm of the mean chance, not the mean of the logarithms."""
    return -np.log2(np.mean(np.exp(log_p[np.arange(len(codes)), codes])))


def counted(codes, levels):
    table = np.zeros((levels, levels))
    np.add.at(table, (codes[:-1], codes[1:]), 1)
    return table


def shares(codes, levels):
    return (np.bincount(codes, minlength=levels) + 1) / (len(codes) + levels)


def blended(counts, share, strength):
    return (counts + strength * share) / (counts.sum(1, keepdims=True) + strength)


def once_each(codes, levels, strength):
    """table[a, b] += 1 with arrays: a pair that comes ten times counts once."""
    table = np.zeros((levels, levels))
    table[codes[:-1], codes[1:]] += 1
    return blended(table, shares(codes, levels), strength)


def columns_sum_to_one(codes, levels, strength):
    """The table is turned: from b to a."""
    return blended(counted(codes, levels), shares(codes, levels), strength).T


def evenly_blended(codes, levels, strength):
    """Blended with all levels as likely."""
    even = np.full(levels, 1 / levels)
    return blended(counted(codes, levels), even, strength)


def not_blended(codes, levels, strength):
    """Counts over their sum: a level never heard has zero over zero."""
    counts = counted(codes, levels)
    return counts / counts.sum(1, keepdims=True)


def zero_share(codes, levels, strength):
    """A level never heard has no share."""
    share = np.bincount(codes, minlength=levels) / len(codes)
    return blended(counted(codes, levels), share, strength)


def two_before(codes, levels, strength):
    """Pairs with one sample between them."""
    table = np.zeros((levels, levels))
    np.add.at(table, (codes[:-2], codes[2:]), 1)
    return blended(table, shares(codes, levels), strength)


def without_the_present(distances, taps):
    """The present itself is forgotten."""
    return (taps - 1) * sum(distances)


def all_taps(distances, taps):
    """Every tap counted a distance, the first too."""
    return 1 + taps * sum(distances)


def two_taps(distances, taps):
    """Two taps, whatever there are."""
    return 1 + sum(distances)


def furthest(distances, taps):
    """The furthest layer alone."""
    return 1 + (taps - 1) * max(distances)


def doubling(distances, taps):
    """As if the distances were 1, 2, 4, ..."""
    return taps ** len(distances)


def taps_of(x, kernel, distance):
    gap = (len(kernel) - 1) * distance
    padded = np.concatenate([np.zeros(gap), x])
    return [padded[gap - k * distance :][: len(x)] for k in range(len(kernel))]


def kernel_reversed(x, kernel, distance):
    """The kernel is read from its other end."""
    parts = taps_of(x, kernel[::-1], distance)
    return sum(w * part for w, part in zip(kernel[::-1], parts, strict=True))


def from_the_future(x, kernel, distance):
    """x[t + k distance]: it hears what is still to come."""
    return causal_right(x[::-1], kernel, distance)[::-1]


def causal_right(x, kernel, distance):
    parts = taps_of(x, kernel, distance)
    return sum(w * part for w, part in zip(kernel, parts, strict=True))


def centred(x, kernel, distance):
    """np.convolve in "same" mode: half of what it hears is to come."""
    wide = np.zeros((len(kernel) - 1) * distance + 1)
    wide[::distance] = kernel
    return np.convolve(x, wide, "same")[: len(x)]


def wraps_round(x, kernel, distance):
    """np.roll: the beginning hears the end."""
    return sum(w * np.roll(x, k * distance) for k, w in enumerate(kernel))


def no_distance(x, kernel, distance):
    """Neighbours, whatever the distance is."""
    return causal_right(x, kernel, 1)


def too_long(x, kernel, distance):
    """What rings on after the end is not cut off."""
    wide = np.zeros((len(kernel) - 1) * distance + 1)
    wide[::distance] = kernel
    return np.convolve(x, wide)


def adds_to_x(x, kernel, distance):
    """The sound that was handed in is changed."""
    y = causal_right(x, kernel, distance)
    x[:] = y
    return x


WRONG = {
    "mu_law": [evenly, cut_off, one_level_more, sign_lost, always_255, floats],
    "mu_law_inverse": [
        only_unbent, without_minus_one, by_e, upper_half, middle_of_256,
        always_back_from_255,
    ],
    "snr_db": [
        amplitudes_not_energies, natural, upside_down, over_what_came, peaks, spread,
    ],
    "ar_fit": [
        oldest_first, sees_itself, one_too_old, with_residuals, always_two,
        of_the_change,
    ],
    "bits_per_sample": [
        in_nats, times_ln_2, summed, negative, of_the_likeliest, mean_chance,
    ],
    "markov_table": [
        once_each, columns_sum_to_one, evenly_blended, not_blended, zero_share,
        two_before,
    ],
    "receptive_field": [without_the_present, all_taps, two_taps, furthest, doubling],
    "causal_layer": [
        kernel_reversed, from_the_future, centred, wraps_round, no_distance, too_long,
        adds_to_x,
    ],
}  # fmt: skip

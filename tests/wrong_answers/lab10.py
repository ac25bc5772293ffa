"""Lab 10: what people write before it is right."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_pipelines.spectra import istft, stft


def power(x):
    return (np.asarray(x, float) ** 2).mean()


def right_si_sdr(e, s):
    alpha = (e * s).sum(-1, keepdims=True) / (s**2).sum(-1, keepdims=True)
    return decibels(alpha * s, e - alpha * s)


def decibels(right, wrong):
    return 10 * np.log10((right**2).sum(-1) / (wrong**2).sum(-1))


def no_root(sound, other, snr_db):
    """The ratio of powers is put on the samples."""
    return other * power(sound) / power(other) / 10 ** (snr_db / 10)


def twenty(sound, other, snr_db):
    """10 ** (dB / 20) and the root besides: half the decibels."""
    return other * np.sqrt(power(sound) / power(other) / 10 ** (snr_db / 20))


def turned_round(sound, other, snr_db):
    """The other lies above the sound."""
    return other * np.sqrt(power(sound) / power(other) * 10 ** (snr_db / 10))


def by_peaks(sound, other, snr_db):
    """Peaks are compared, not powers."""
    gain = np.abs(sound).max() / np.abs(other).max()
    return other * gain / 10 ** (snr_db / 20)


def as_if_alike(sound, other, snr_db):
    """How loud the two were before is forgotten."""
    return other / 10 ** (snr_db / 20)


def gives_the_mixture(sound, other, snr_db):
    """The sum of both comes back."""
    return sound + other * np.sqrt(power(sound) / power(other) / 10 ** (snr_db / 10))


def scales_in_place(sound, other, snr_db):
    """The caller's own samples are changed."""
    other *= np.sqrt(power(sound) / power(other) / 10 ** (snr_db / 10))
    return other


def by_spread(sound, other, snr_db):
    """The standard deviation, which takes the mean off, for the power."""
    return other * np.std(sound) / np.std(other) / 10 ** (snr_db / 20)


def not_scaled(e, s):
    """The SNR: no alpha."""
    return decibels(s, e - s)


def alpha_by_the_estimate(e, s):
    """alpha divides by the power of the estimate."""
    alpha = (e * s).sum(-1, keepdims=True) / (e**2).sum(-1, keepdims=True)
    return decibels(alpha * s, e - alpha * s)


def amplitude(e, s):
    """20 log10 of a ratio of powers."""
    return 2 * right_si_sdr(e, s)


def natural(e, s):
    """The natural logarithm."""
    return right_si_sdr(e, s) * np.log(10)


def means_off(e, s):
    """The mean is taken off both first."""
    return right_si_sdr(e - e.mean(-1, keepdims=True), s - s.mean(-1, keepdims=True))


def over_all_parts(e, s):
    """One alpha and one figure for all parts."""
    alpha = (e * s).sum() / (s**2).sum()
    right, wrong = alpha * s, e - alpha * s
    return 10 * np.log10((right**2).sum() / (wrong**2).sum())


def rest_over_part(e, s):
    """The fraction is upside down."""
    return -right_si_sdr(e, s)


def unit_power(e, s):
    """Both brought to one loudness, no projection: a scale of its own."""
    e = e / np.sqrt((e**2).sum(-1, keepdims=True))
    s = s / np.sqrt((s**2).sum(-1, keepdims=True))
    return decibels(s, e - s)


def no_baseline(estimates, references, mixture):
    """The SI-SDR, not what was gained."""
    return right_si_sdr(estimates, references)


def quotient(estimates, references, mixture):
    """Decibels divided, not subtracted."""
    return right_si_sdr(estimates, references) / right_si_sdr(mixture, references)


def lost_not_gained(estimates, references, mixture):
    """The sign is turned."""
    return right_si_sdr(mixture, references) - right_si_sdr(estimates, references)


def averaged(estimates, references, mixture):
    """One mean for all parts."""
    return np.mean(
        right_si_sdr(estimates, references) - right_si_sdr(mixture, references)
    )


def estimates_for_truth(estimates, references, mixture):
    """What the mixture is worth is measured against the estimates."""
    return right_si_sdr(estimates, references) - right_si_sdr(mixture, estimates)


def laid(frames, window, hop, again=True, squared=True):
    length = (len(frames) - 1) * hop + len(window)
    sound, weight = np.zeros(length), np.zeros(length)
    for t, frame in enumerate(frames):
        sound[t * hop : t * hop + len(window)] += frame * (window if again else 1)
        weight[t * hop : t * hop + len(window)] += window**2 if squared else window
    return sound, np.where(weight > 0, weight, 1)


def undivided(frames, window, hop):
    """Nothing is divided."""
    return laid(frames, window, hop)[0]


def by_the_windows(frames, window, hop):
    """Divided by the sum of the windows, not of their squares."""
    sound, weight = laid(frames, window, hop, squared=False)
    return sound / weight


def faded_once(frames, window, hop):
    """Not faded again, and divided by the sum of the windows: right for pictures that
    nobody changed, and no answer to what was asked."""
    sound, weight = laid(frames, window, hop, again=False, squared=False)
    return sound / weight


def zero_over_zero(frames, window, hop):
    """Divided by 0 where no window has been."""
    length = (len(frames) - 1) * hop + len(window)
    sound, weight = np.zeros(length), np.zeros(length)
    for t, frame in enumerate(frames):
        sound[t * hop : t * hop + len(window)] += frame * window
        weight[t * hop : t * hop + len(window)] += window**2
    return sound / weight


def one_hop_short(frames, window, hop):
    """The end of the last frame is cut off."""
    sound, weight = laid(frames, window, hop)
    return (sound / weight)[: len(frames) * hop]


def frames_overwrite(frames, window, hop):
    """Each frame takes the place of what lay there."""
    sound, _ = laid(frames, window, hop)
    for t, frame in enumerate(frames):
        here = slice(t * hop, t * hop + len(window))
        sound[here] = frame * window / np.where(window > 0, window**2, 1)
    return sound


def end_to_end(frames, window, hop):
    """The hop is forgotten."""
    return np.asarray(frames).reshape(-1)


def ties_to_all(strengths):
    """All who are as strong as the strongest."""
    return (strengths == strengths.max(axis=0)).astype(float)


def ties_to_none(strengths):
    """Stronger than all others together."""
    return (2 * strengths > strengths.sum(axis=0)).astype(float)


def strongest_moment(strengths):
    """The largest along time, not among the parts."""
    return (strengths == strengths.max(axis=1, keepdims=True)).astype(float)


def last_of_equals(strengths):
    """Among equals the last."""
    winner = len(strengths) - 1 - strengths[::-1].argmax(axis=0)
    return np.stack([winner == k for k in range(len(strengths))]).astype(float)


def numbers_of_parts(strengths):
    """Who has it, not a mask for each."""
    return strengths.argmax(axis=0)


def weakest(strengths):
    """To the weakest."""
    winner = strengths.argmin(axis=0)
    return np.stack([winner == k for k in range(len(strengths))]).astype(float)


def parts_last(strengths):
    """The parts are the last axis."""
    return np.eye(len(strengths))[strengths.argmax(axis=0)]


def no_power(strengths, power):
    """p is forgotten."""
    total = strengths.sum(axis=0)
    shares = strengths / np.where(total > 0, total, 1)
    return np.where(total > 0, shares, 1 / len(strengths))


def power_behind(strengths, power):
    """The shares are raised, which then do not sum to 1."""
    return no_power(strengths, power) ** power


def silence_is_no_number(strengths, power):
    """0 over 0 where all are silent."""
    raised = strengths**power
    return raised / raised.sum(axis=0)


def nothing_of_silence(strengths, power):
    """Where all are silent nobody gets anything."""
    raised = strengths**power
    return raised / (raised.sum(axis=0) + 1e-30)


def thick_floor(strengths, power):
    """What is added below is larger than quiet places."""
    raised = strengths**power + 1e-6
    return raised / raised.sum(axis=0)


def over_time(strengths, power):
    """The shares run along time."""
    raised = strengths**power + 1e-30
    return raised / raised.sum(axis=1, keepdims=True)


def raised_in_place(strengths, power):
    """The caller's own strengths are changed."""
    right = no_power(strengths**power, 1)
    strengths **= power
    return right


def strength_alone(mixture, masks, window, hop):
    """The phase is thrown away."""
    picture = np.abs(stft(mixture, window=window, hop=hop))
    return istft(masks * picture, len(mixture), window=window, hop=hop)


def twice(mixture, masks, window, hop):
    """The masks are squared."""
    picture = stft(mixture, window=window, hop=hop)
    return istft(masks**2 * picture, len(mixture), window=window, hop=hop)


def made_to_sum(mixture, masks, window, hop):
    """Masks that do not sum to 1 are made to."""
    picture = stft(mixture, window=window, hop=hop)
    masks = masks / masks.sum(axis=0)
    return istft(masks * picture, len(mixture), window=window, hop=hop)


def still_a_picture(mixture, masks, window, hop):
    """The way back is forgotten."""
    return masks * stft(mixture, window=window, hop=hop)


def first_only(mixture, masks, window, hop):
    """One part, not all."""
    picture = stft(mixture, window=window, hop=hop)
    return istft(masks[0] * picture, len(mixture), window=window, hop=hop)


def cut_short(mixture, masks, window, hop):
    """The sound is as long as the frames begin, not as the mixture."""
    picture = stft(mixture, window=window, hop=hop)
    parts = istft(masks * picture, len(mixture), window=window, hop=hop)
    return parts[:, : len(mixture) // hop * hop - hop]


def own_hop(mixture, masks, window, hop):
    """The transform's own hop, a quarter of the window, whatever was asked for."""
    picture = stft(mixture, window=window, hop=window // 8)
    return istft(masks * picture, len(mixture), window=window, hop=window // 8)


def along(x, width, middle=np.median, ahead=False):
    sides = (0, width - 1) if ahead else (width // 2, width // 2)
    padded = np.pad(x, (sides, (0, 0)), mode="edge")
    return middle(sliding_window_view(padded, width, axis=0), axis=-1)


def shares(held, struck, p=2):
    return no_power(np.stack([held, struck]) ** p, 1)


def axes_exchanged(strengths, width):
    """Along frequency for row 0."""
    return shares(along(strengths.T, width).T, along(strengths, width))


def means(strengths, width):
    """The mean, which does see a single strong neighbour."""
    middle = np.mean
    return shares(along(strengths, width, middle), along(strengths.T, width, middle).T)


def one_sided(strengths, width):
    """The place and those after it."""
    return shares(
        along(strengths, width, ahead=True), along(strengths.T, width, ahead=True).T
    )


def not_squared(strengths, width):
    """Shares by the medians, not by their squares."""
    return shares(along(strengths, width), along(strengths.T, width).T, 1)


def all_or_nothing(strengths, width):
    """A binary mask of the two."""
    held, struck = along(strengths, width), along(strengths.T, width).T
    return np.stack([held >= struck, held < struck]).astype(float)


def twice_as_wide(strengths, width):
    """`width` neighbours on each side."""
    width = 2 * width + 1
    return shares(along(strengths, width), along(strengths.T, width).T)


def the_medians(strengths, width):
    """The medians themselves, not shares."""
    return np.stack([along(strengths, width), along(strengths.T, width).T])


WRONG = {
    "at_snr": [
        no_root, twenty, turned_round, by_peaks, as_if_alike, gives_the_mixture,
        scales_in_place, by_spread,
    ],
    "si_sdr": [
        not_scaled, alpha_by_the_estimate, amplitude, natural, means_off,
        over_all_parts, rest_over_part, unit_power,
    ],
    "improvement": [
        no_baseline, quotient, lost_not_gained, averaged,
        estimates_for_truth,
    ],
    "lay_together": [
        undivided, by_the_windows, faded_once, zero_over_zero, one_hop_short,
        frames_overwrite, end_to_end,
    ],
    "binary_masks": [
        ties_to_all, ties_to_none, strongest_moment, last_of_equals, numbers_of_parts,
        weakest, parts_last,
    ],
    "ratio_masks": [
        no_power, power_behind, silence_is_no_number, nothing_of_silence, thick_floor,
        over_time, raised_in_place,
    ],
    "parted": [
        strength_alone, twice, made_to_sum, still_a_picture, first_only, cut_short,
        own_hop,
    ],
    "median_masks": [
        axes_exchanged, means, one_sided, not_squared, all_or_nothing, twice_as_wide,
        the_medians,
    ],
}  # fmt: skip

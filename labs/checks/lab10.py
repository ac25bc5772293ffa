"""Lab 10: a ruler, a picture that can be undone, masks."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="A power goes by 10 ** (dB / 10); samples go by its square root.",
)
def at_snr(answer, rng):
    """The other comes back scaled, so that the ratio of the powers is as asked, in dB."""
    sound, other = rng.normal(0, 0.3, 50), rng.normal(0, 2.0, 50) + 1.0
    kept = sound.copy(), other.copy()
    for snr_db in (0.0, 20.0, float(rng.uniform(-15, -3)), float(rng.uniform(3, 15))):
        got = _floats(answer(sound, other, snr_db), (50,), "It")
        expect((got**2).sum() > 0, "What comes back is silent.")
        found = 10 * np.log10((sound**2).sum() / (got**2).sum())
        expect(
            abs(found - snr_db) < 1e-6,
            f"{snr_db:.1f} dB were asked for, and the sound lies {found:.2f} dB above "
            "what came back.",
        )
        gain = (got @ other) / (other @ other)
        close(got, gain * other, "what came back, which is to be the other, scaled,")
        expect(gain > 0, f"The other came back upside down, times {gain:.3g}.")
    same = (sound == kept[0]).all() and (other == kept[1]).all()
    expect(same, "A sound that was handed in was changed.")


@exercise(
    hint="alpha = <e, s> / <s, s>; then the power of alpha s over that of e - alpha s.",
    points=2,
    covers=("f01",),
)
def si_sdr(answer, rng):
    """10 log10 of |alpha s|^2 over |e - alpha s|^2, whatever the loudness of e."""
    by_hand = answer(np.array([3.0, 1.0]), np.array([1.0, 1.0]))
    close(by_hand, 10 * np.log10(4), "the SI-SDR of (3, 1) for (1, 1)")
    reference = rng.normal(size=40) + 0.5  # a mean that nobody is to take off
    estimate = reference + rng.normal(0, 0.5, 40)
    kept = estimate.copy(), reference.copy()
    wanted = _si_sdr(estimate, reference)
    close(answer(estimate, reference), wanted, "the SI-SDR of 40 samples")
    gain = float(rng.uniform(5, 50))
    close(
        answer(gain * estimate, reference),
        wanted,
        f"the same where the estimate is {gain:.1f} times as loud",
    )
    close(
        answer(estimate, gain * reference),
        wanted,
        f"the same where the reference is {gain:.1f} times as loud",
    )
    close(answer(-estimate, reference), wanted, "the same with the estimate flipped")
    two = rng.normal(size=(2, 30)) * [[1.0], [4.0]]
    guesses = two + rng.normal(0, 1, (2, 30))
    rows = [_si_sdr(*pair) for pair in zip(guesses, two, strict=True)]
    close(answer(guesses, two), rows, "the SI-SDR of two parts, (2,)")
    rows = [_si_sdr(guesses[0], part) for part in two]
    close(answer(guesses[0], two), rows, "one estimate (N,) for two parts (2, N)")
    same = (estimate == kept[0]).all() and (reference == kept[1]).all()
    expect(same, "A sound that was handed in was changed.")


@exercise(
    hint="The SI-SDR of the estimates, less the SI-SDR of the mixture for the same parts.",
    covers=("f01",),
)
def improvement(answer, rng):
    """For each part: SI-SDR of the estimate minus SI-SDR of the mixture."""
    count = int(rng.integers(2, 5))
    parts = rng.normal(size=(count, 60)) * rng.uniform(0.5, 3, (count, 1))
    mixture = parts.sum(axis=0)
    guesses = parts + rng.normal(0, 0.3, parts.shape)
    wanted = [
        _si_sdr(guess, part) - _si_sdr(mixture, part)
        for guess, part in zip(guesses, parts, strict=True)
    ]
    close(answer(guesses, parts, mixture), wanted, f"what {count} estimates gain")
    close(
        answer(np.stack([mixture] * count), parts, mixture),
        np.zeros(count),
        "what the mixture gains when it is handed back for each part",
    )
    worse = rng.normal(size=parts.shape)
    wanted = [
        _si_sdr(guess, part) - _si_sdr(mixture, part)
        for guess, part in zip(worse, parts, strict=True)
    ]
    close(answer(worse, parts, mixture), wanted, "what estimates of pure noise gain")


@exercise(
    hint="Two arrays of zeros, one for window * frame and one for window**2, both filled "
    "frame after frame; at the end one over the other.",
    points=2,
)
def lay_together(answer, rng):
    """sum of window * frame over sum of window^2; 0 where no window has been."""
    width, hop = 8, int(rng.choice([2, 4]))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    count = int(rng.integers(4, 7))
    length = (count - 1) * hop + width
    sound = rng.normal(size=length)
    cut = np.stack([sound[t * hop :][:width] for t in range(count)])
    got = _floats(answer(window * cut, window, hop), (length,), "The sound")
    kept = sound.copy()
    kept[0] = 0.0  # there the only window is 0
    expect(
        np.isfinite(got).all(),
        "Where no window has been the sum of squares is 0, and something was divided "
        "by it.",
    )
    close(got, kept, f"a sound cut into frames every {hop} samples and laid together")
    frames = rng.normal(size=(count, width))  # of no sound: someone changed them
    before = frames.copy()
    window = rng.uniform(0.2, 1, width)
    total, squares = np.zeros(length), np.zeros(length)
    for t in range(count):
        for n in range(width):
            total[t * hop + n] += window[n] * frames[t, n]
            squares[t * hop + n] += window[n] ** 2
    close(
        answer(frames, window, hop),
        total / squares,
        f"{count} frames that come from no sound, every {hop} samples,",
    )
    close(answer(frames[:1], window, hop), frames[0] / window, "one frame, alone,")
    expect((frames == before).all(), "The frames that were handed in were changed.")


@exercise(hint="argmax over the parts tells who has a place, the first among equals.")
def binary_masks(answer, rng):
    """One part, the strongest, has all of a place; among equals the first."""
    count = int(rng.integers(2, 5))
    strengths = rng.uniform(0, 3, (count, 6, 5))
    strengths[:, 2, 3] = 1.5  # all alike
    strengths[:, 4] = 0.0  # all silent
    kept = strengths.copy()
    got = _floats(answer(strengths), strengths.shape, "The masks")
    expect(
        np.isin(got, (0.0, 1.0)).all(),
        f"A binary mask is 0 or 1. There is a {got[~np.isin(got, (0, 1))][:1]}.",
    )
    sums = got.sum(axis=0)
    expect(
        (sums == 1).all(),
        f"Every place goes to one part, also where some are equal or all are silent: "
        f"one place went to {sums[sums != 1][:1]} of {count} parts.",
    )
    wanted = np.zeros_like(strengths)
    for t, f in np.ndindex(6, 5):
        strongest = max(range(count), key=lambda k: (kept[k, t, f], -k))
        wanted[strongest, t, f] = 1
    close(got, wanted, f"the masks of {count} parts")
    expect((strengths == kept).all(), "The strengths that were handed in were changed.")


@exercise(
    hint="Raise first, then divide by the sum over axis 0; mind where that sum is 0.",
    covers=("f01",),
)
def ratio_masks(answer, rng):
    """strengths^p over their sum; they sum to 1 everywhere, silence included."""
    count = int(rng.integers(2, 5))
    strengths = rng.uniform(0, 3, (count, 6, 5))
    strengths[:, 1] *= 1e-4  # quiet, and yet not silent
    strengths[:, 4] = 0.0
    kept = strengths.copy()
    for power in (1, 2, float(rng.uniform(0.4, 0.9))):
        got = _floats(answer(strengths, power), strengths.shape, "The masks")
        expect(
            np.isfinite(got).all(),
            f"With p = {power:.2g} a mask is no number where all parts are silent.",
        )
        sums = got.sum(axis=0)
        worst = sums.flat[np.abs(sums - 1).argmax()]
        expect(
            abs(worst - 1) < 1e-6,
            f"With p = {power:.2g} the masks of one place sum to {worst:.4g}, not 1. "
            "Quiet and silent places count.",
        )
        raised = kept**power
        wanted = np.full_like(kept, 1 / count)
        heard = raised.sum(axis=0) > 0
        wanted[:, heard] = raised[:, heard] / raised.sum(axis=0)[heard]
        close(got, wanted, f"the masks of {count} parts with p = {power:.2g}")
    expect((strengths == kept).all(), "The strengths that were handed in were changed.")


@exercise(
    hint="stft of the mixture, times the masks, istft with the length of the mixture.",
    points=2,
    covers=("f01",),
)
def parted(answer, rng):
    """Each mask on the complex picture of the mixture, and back to as many samples."""
    from data_pipelines.spectra import istft, num_frames, stft

    length, window, hop = int(rng.integers(150, 210)), 32, int(rng.choice([8, 16]))
    mixture = rng.normal(0, 0.2, length)
    kept = mixture.copy()
    shape = (num_frames(length, hop, window), window // 2 + 1)
    masks = rng.dirichlet(np.ones(3), shape).transpose(2, 0, 1)  # (3, T, F)
    got = _floats(answer(mixture, masks, window, hop), (3, length), "The parts")
    close(
        got.sum(axis=0),
        mixture,
        "the sum of three parts whose masks sum to 1, which is the mixture,",
        tolerance=1e-5,
    )
    picture = stft(mixture, window=window, hop=hop)
    wanted = [istft(m * picture, length, window=window, hop=hop) for m in masks]
    close(got, wanted, f"three parts of {length} samples", tolerance=1e-5)
    uneven = rng.uniform(0, 1, (2, *shape))  # these do not sum to 1, and need not
    wanted = [istft(m * picture, length, window=window, hop=hop) for m in uneven]
    close(
        answer(mixture, uneven, window, hop),
        wanted,
        "two parts whose masks do not sum to 1",
        tolerance=1e-5,
    )
    expect((mixture == kept).all(), "The mixture that was handed in was changed.")


@exercise(
    hint="Medians of runs along axis 0 for what is held; the same of the transpose, "
    "turned back, for what is struck; then `ratio_masks` of the two with p = 2.",
    points=2,
    covers=("f01",),
)
def median_masks(answer, rng):
    """Shares by the squares of the median along time and the median along frequency."""
    size, width = 19, int(rng.choice([3, 5]))
    half = width // 2
    inner = slice(half, size - half)
    line, column = rng.integers(half, size - half, 2)
    for what, at, row in (("time, a tone,", np.s_[:, line], 0),
                          ("frequency, a stroke,", np.s_[column], 1)):  # fmt: skip
        strengths = np.zeros((size, size + 2))
        strengths[at] = rng.uniform(1, 5)
        got = _floats(answer(strengths, width), (2, size, size + 2), "The masks")
        share = got[row][at][inner].min()
        expect(
            share > 1 - 1e-6,
            f"A line along {what} belongs to row {row}, which has {share:.3g} of it.",
        )
    strengths = rng.uniform(0.1, 2, (size, size + 2))
    kept = strengths.copy()
    got = _floats(answer(strengths, width), (2, size, size + 2), "The masks")
    sums = got.sum(axis=0)
    expect(
        np.allclose(sums, 1, atol=1e-6),
        f"The two masks sum to 1 at every place. They sum to {sums.min():.3g} somewhere.",
    )
    wanted = np.full((2, size, size + 2), np.nan)
    for t in range(half, size - half):
        for f in range(half, size + 2 - half):
            held = np.median(kept[t - half : t + half + 1, f]) ** 2
            struck = np.median(kept[t, f - half : f + half + 1]) ** 2
            wanted[:, t, f] = held / (held + struck), struck / (held + struck)
    away = np.s_[:, half : size - half, half : size + 2 - half]
    close(got[away], wanted[away], f"the masks of {width} neighbours, off the rim,")
    silent = _floats(answer(0 * kept, width), (2, size, size + 2), "The masks")
    expect(
        np.allclose(silent.sum(axis=0), 1),
        "Where all is silent the two masks sum to 1, too.",
    )
    expect((strengths == kept).all(), "The strengths that were handed in were changed.")


def _si_sdr(estimate, reference):
    """Of two sounds (N,), by projection."""
    along = (estimate @ reference) / (reference @ reference) * reference
    rest = estimate - along
    return 10 * np.log10((along @ along) / (rest @ rest))


def _floats(value, shape, what):
    """An array of that shape, or the sentence that says what it is."""
    expect(value is not None, "It gives None. Is a `return` missing?")
    value = np.asarray(value)
    expect(
        not np.iscomplexobj(value),
        f"{what} should be of real numbers, and holds complex ones.",
    )
    value = value.astype(float)
    expect(
        value.shape == shape,
        f"{what} should have the shape {shape}. Received: {value.shape}",
    )
    return value

"""Lab 06: a sound as whole numbers, and what tells the next one."""

from itertools import pairwise

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="Squeeze with np.sign and np.log1p, bring -1..1 to 0..mu, round, make it int.",
    covers=("a03",),
)
def mu_law(answer, rng):
    """Code = round(mu (1 + sign(x) ln(1 + mu |x|) / ln(1 + mu)) / 2), in 0..mu."""
    for mu in (255, 15):
        samples = rng.uniform(-1, 1, 40) * np.geomspace(0.001, 1, 40)
        kept = samples.copy()
        got = _ints(answer(samples, mu), f"the codes of 40 samples, mu = {mu},")
        close(got, _encoded(samples, mu), f"the code of each of 40 samples, mu = {mu},")
        expect((samples == kept).all(), "The samples that were handed in were changed.")
        close(
            answer(np.array([-1.0, 0.0, 1.0]), mu),
            [0, (mu + 1) // 2, mu],
            f"the codes of -1, 0 and 1, mu = {mu},",
        )
    stereo = rng.uniform(-1, 1, (5, 2))
    close(answer(stereo, 255), _encoded(stereo, 255), "the codes of two channels")


@exercise(
    hint="Undo the steps in reverse order; of ln(1 + y) the inverse is np.expm1.",
    covers=("a03",),
)
def mu_law_inverse(answer, rng):
    """x = sign(y) ((1 + mu)^|y| - 1) / mu, where y = 2 code / mu - 1."""
    for mu in (255, 15):
        codes = rng.integers(0, mu + 1, 30)
        kept = codes.copy()
        close(answer(codes, mu), _decoded(codes, mu), f"30 codes undone, mu = {mu},")
        expect((codes == kept).all(), "The codes that were handed in were changed.")
        close(answer(np.array([0, mu]), mu), [-1, 1], f"the codes 0 and {mu} undone")
        every = np.arange(mu + 1)
        close(
            _encoded(np.asarray(answer(every, mu), float), mu),
            every,
            f"every code of mu = {mu} undone and encoded again",
        )


@exercise(
    hint="Ten times the logarithm to base 10 of one sum of squares over another.",
    covers=("a03",),
)
def snr_db(answer, rng):
    """10 log10 of the energy of the sound over that of the error."""
    sound = rng.normal(size=50)
    error = 0.1 * rng.normal(size=50)
    kept = sound.copy()
    wanted = 10 * np.log10((sound**2).sum() / (error**2).sum())
    close(answer(sound, sound + error), wanted, "the SNR of a noisy copy, in dB,")
    expect((sound == kept).all(), "The sound that was handed in was changed.")
    close(
        answer(7 * sound, 7 * (sound + error)), wanted, "the same seven times as loud"
    )
    close(answer(sound, 0.9 * sound), 20.0, "the SNR of a copy 10% too soft")
    close(answer(sound, np.zeros(50)), 0.0, "the SNR of silence in place of the sound")
    wanted = 10 * np.log10((sound**2).sum() / 50)
    close(answer(sound, sound + 1), wanted, "the SNR of a copy that is off by 1")


@exercise(
    hint="A row of the p samples before each; np.linalg.lstsq wants [0] behind it.",
    points=2,
    covers=("b03",),
)
def ar_fit(answer, rng):
    """The p weights, nearest sample first, whose sums miss the sound least."""
    turn = rng.uniform(0.1, 1.4)
    wave = np.sin(turn * np.arange(200) + rng.uniform(0, 6))
    kept = wave.copy()
    wanted = [2 * np.cos(turn), -1]
    close(answer(wave, 2), wanted, f"AR(2) of a sine of {turn:.3f} radians a sample")
    expect((wave == kept).all(), "The samples that were handed in were changed.")
    close(answer(0.7 ** np.arange(30), 1), [0.7], "AR(1) of a sound that fades to 0.7")
    noise = rng.normal(size=400)
    for t in range(3, 400):
        noise[t] += 0.5 * noise[t - 1] - 0.3 * noise[t - 2] + 0.2 * noise[t - 3]
    past = np.stack([noise[2:-1], noise[1:-2], noise[:-3]], axis=1)
    best = np.linalg.solve(past.T @ past, past.T @ noise[3:])
    close(
        answer(noise, 3),
        best,
        "AR(3) of noise that was coloured, least squares over the samples 3 to the last",
    )


@exercise(
    hint="Take the log-probability of the code that came, at each place; nats / ln 2.",
    covers=("a03",),
)
def bits_per_sample(answer, rng):
    """The mean of -log2 p(code that came), p being told in nats."""
    chances = rng.dirichlet(np.ones(6), 20)
    codes = rng.integers(0, 6, 20)
    wanted = np.mean([-np.log2(p[k]) for p, k in zip(chances, codes, strict=True)])
    log_p = np.log(chances)
    kept = log_p.copy()
    close(answer(log_p, codes), wanted, "the bits of 20 samples of 6 levels")
    expect((log_p == kept).all(), "The log-probabilities handed in were changed.")
    even = np.full((9, 256), -np.log(256))
    close(answer(even, rng.integers(0, 256, 9)), 8.0, "256 levels, all as likely,")


@exercise(
    hint="np.add.at(table, (codes[:-1], codes[1:]), 1) counts; then blend row by row.",
    points=2,
    covers=("a03",),
)
def markov_table(answer, rng):
    """(N(a, b) + strength q(b)) / (N(a) + strength); each row sums to 1."""
    for levels, strength in ((5, 2.0), (8, 30.0)):
        codes = rng.choice(levels - 1, 60, p=rng.dirichlet(np.ones(levels - 1)))
        kept = codes.copy()
        table = np.asarray(answer(codes, levels, strength), float)
        expect(
            table.shape == (levels, levels),
            f"{levels} levels make a table ({levels}, {levels}). "
            f"Received: {table.shape}",
        )
        sums = table.sum(axis=1)
        expect(
            np.allclose(sums, 1),
            "Each row sums to 1, that of a level never heard too. The rows sum to "
            f"{np.round(sums, 3).tolist()}.",
        )
        wanted = _markov(codes.tolist(), levels, strength)
        close(table, wanted, f"the table of 60 codes in {levels} levels")
        expect((codes == kept).all(), "The codes that were handed in were changed.")


@exercise(
    hint="Put zeros before the sound; the sound that is k distances late is a slice.",
    points=2,
)
def causal_layer(answer, rng):
    """y[t] = sum over k of kernel[k] x[t - k distance], zeros before the beginning."""
    for taps, distance in ((2, 1), (2, 4), (3, 2)):
        x, kernel = rng.normal(size=20), rng.normal(size=taps)
        kept = x.copy(), kernel.copy()
        got = answer(x, kernel, distance)
        what = f"{taps} taps at the distance {distance}"
        wanted = np.zeros(20)
        for t in range(20):
            for k in range(taps):
                wanted[t] += kernel[k] * x[t - k * distance] if t >= k * distance else 0
        close(got, wanted, f"20 samples under {what}")
        same = (x == kept[0]).all() and (kernel == kept[1]).all()
        expect(same, "The sound or the kernel that was handed in was changed.")
        later = x.copy()
        later[12:] += rng.normal(size=8)
        close(
            np.asarray(answer(later, kernel, distance))[:12],
            wanted[:12],
            f"{what}: the samples 0 to 11 after those from 12 on were changed",
        )
    x = rng.normal(size=3)
    close(
        answer(x, np.array([0.5, 2.0]), 8), 0.5 * x, "a sound shorter than the distance"
    )


@exercise(hint="The present itself, and each layer reaches (taps - 1) distances on.")
def receptive_field(answer, rng):
    """1 + (taps - 1) times the sum of the distances."""
    for taps in (2, 3):
        count = int(rng.integers(2, 7))
        distances = [int(d) for d in 2 ** rng.integers(0, 8, count)]
        wave = np.zeros(2000)
        wave[0] = 1  # how long is one impulse heard?
        for d in distances:
            wave = sum(np.pad(wave, (k * d, 0))[:2000] for k in range(taps))
        wanted = int(np.flatnonzero(wave)[-1]) + 1
        close(
            answer(distances, taps),
            wanted,
            f"what layers of {taps} taps see, at the distances {distances},",
        )
    close(answer([1], 2), 2, "what one layer of 2 taps, distance 1, sees")


def _ints(codes, what):
    expect(codes is not None, "It gives None. Is a `return` missing?")
    codes = np.asarray(codes)
    expect(
        codes.dtype.kind in "iu",
        f"{what} should be whole numbers, of an int dtype. Received: {codes.dtype}",
    )
    return codes


def _encoded(samples, mu):
    squeezed = np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    return np.floor((squeezed + 1) / 2 * mu + 0.5).astype(int)


def _decoded(codes, mu):
    y = 2 * codes / mu - 1
    return np.sign(y) * ((1 + mu) ** np.abs(y) - 1) / mu


def _markov(codes, levels, strength):
    """One number at a time."""
    share = [(codes.count(b) + 1) / (len(codes) + levels) for b in range(levels)]
    pairs = list(pairwise(codes))
    table = np.zeros((levels, levels))
    for a in range(levels):
        heard = [second for first, second in pairs if first == a]
        for b in range(levels):
            seen = heard.count(b) + strength * share[b]
            table[a, b] = seen / (len(heard) + strength)
    return table

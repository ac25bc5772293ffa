# %% [markdown]
# # Lab 10 · Source separation
#
# A tune and a drummer have become one sound; you take them apart again. You build the
# ruler, the picture, the masks and a machine that guesses them: first one that learns
# nothing, then a network of one hidden layer.
#
# **Time:** an hour, of which a network trains for half a minute. **You will hear** a
# mixture, and the melody without the drums. **Follows:** the lecture on networks for
# artists, which wakes its listeners with LALAL.AI, a service that does this to songs.

# %%
import time

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_pipelines.mixtures import draw_mixture, mixture_level, split_tunes
from labs import check, finding
from labs.figures import columns, curves, spectrograms
from labs.hearing import hear
from labs.material import tunes

# %% [markdown]
# ## Where we are going
#
# Nobody can tell the exact parts of a song on the radio. So the kit plays its own: a tune
# of the Essen collection, chords and bass put under it by rule, a drummer, each rendered
# by itself. The *test* players differ from those we shall learn from: other tunes, other
# instruments, and the drums at another pitch.

# %%
RATE = 16_000  # samples a second
shared = split_tunes(tunes("essenFolksong", 1500))  # variants of a tune stay together
played = {split: set() for split in shared}  # what the players play


def players(split, count, seed):
    """(count, 3, N): a tune, its chords, its drums, six seconds of each."""
    drawn = [
        draw_mixture(shared[split], split, [seed, n], seconds=6) for n in range(count)
    ]
    for notes in (score.notes for one in drawn for score in one.scores):
        played[split].add((*notes["start"], *notes["pitch"]))  # to compare, at the end
    return np.array([one.stems for one in drawn])


# %%
test_players = players("test", 20, seed=2)
trio = test_players[1]
hear(trio.sum(axis=0), RATE, title="A mixture of three")

# %% [markdown]
# And the melody out of it, by the network that ships with the kit. It was given the
# mixture alone. On your own files: `etude separate song.wav`.

# %%
from studio.separate import open_separator

kit = open_separator()
melody, chords, drums = kit.part(trio.sum(axis=0))  # (N,) each
hear(melody, RATE, title="The melody without the drums")

# %% [markdown]
# ## 1. A sum, and what is lost
#
# Air adds. Two sounds $a$ and $b$ at your ear are $x_n = a_n + b_n$, sample by sample:
# $N$ numbers are left of $2N$, and infinitely many pairs have that sum. What parts them
# is knowledge of what tunes and drums are like.
#
# How loud one is beside the other is told in *decibels* of their power, the mean square:
#
# $$ \text{SNR} = 10 \log_{10} \frac{\sum_n a_n^2}{\sum_n b_n^2} $$
#
# We know the players one by one, so we may set the balance ourselves. **Predict:** the
# drums shall lie 20 dB under the tune. By how much are their samples divided?


# %%
def at_snr(sound, other, snr_db):
    """`other`, made as loud that `sound` lies `snr_db` above it: floats (N,).

    sound, other: floats (N,), neither silent. snr_db: float, may be below 0. Multiply
    `other` by one positive number; leave what was handed in as it is.

    Example: at_snr([1, 1], [5, -5], 0.0) is [1, -1].
    """
    # BEGIN SOLUTION
    sound, other = np.asarray(sound, float), np.asarray(other, float)
    wanted = (sound**2).mean() / 10 ** (snr_db / 10)  # power
    return other * np.sqrt(wanted / (other**2).mean())
    # END SOLUTION


check(at_snr)

# %% [markdown]
# By ten: 20 dB are a hundredfold power, and power is a square. From here on there are two
# parts, the tune and the drums, equally strong (0 dB).


# %%
def pairs(players):
    """(count, 2, N): tune and drums of the same power, as loud as a sum may be."""
    two = [np.stack([a, at_snr(a, drums, 0.0)]) for a, _, drums in players]
    return np.array([0.8 * pair / np.abs(pair.sum(axis=0)).max() for pair in two])


test = pairs(test_players)
pair = test[1]  # the one that we shall look at
mixture = pair.sum(axis=0)
hear(mixture, RATE, title="A tune and a drummer, equally strong")

# %% [markdown]
# ## 2. A ruler
#
# An estimate $e$ of a part $s$: how good is it? Turning it louder or softer makes it no
# better and no worse. So $e$ is cut in two: as much of $s$ as is in it, $\alpha s$, and
# the rest, which is error. Their powers, in dB, are the *scale-invariant
# signal-to-distortion ratio*:
#
# $$ \alpha = \frac{\sum_n e_n s_n}{\sum_n s_n^2} \qquad
#    \text{SI-SDR} = 10 \log_{10} \frac{\sum_n (\alpha s_n)^2}{\sum_n (e_n - \alpha s_n)^2} $$
#
# By hand: $s = (1, 1)$, $e = (3, 1)$. Then $\alpha = 4 / 2 = 2$, $\alpha s = (2, 2)$, the
# rest is $(1, -1)$: powers 8 and 2, a ratio of 4, 6.02 dB.


# %%
def si_sdr(estimates, references):
    """SI-SDR in dB, along the last axis: floats (..., N), (..., N) -> floats (...).

    One sound (N,) gives one number, two parts (2, N) give two; an estimate (N,) of two
    references (2, N) gives two. No mean is taken off. keepdims=True keeps the axis of a
    sum, so that alpha can be multiplied with a part.

    Example: si_sdr([3, 1], [1, 1]) is 6.02, and so is si_sdr([30, 10], [1, 1]).
    """
    # BEGIN SOLUTION
    e, s = np.asarray(estimates, float), np.asarray(references, float)
    alpha = (e * s).sum(-1, keepdims=True) / (s**2).sum(-1, keepdims=True)
    right, wrong = alpha * s, e - alpha * s
    return 10 * np.log10((right**2).sum(-1) / (wrong**2).sum(-1))
    # END SOLUTION


check(si_sdr)

# %%
from data_pipelines import spectra

told = [si_sdr(gain * mixture, pair[0]) for gain in (0.01, 1.0, 7.0)]
print("the mixture, taken for the tune, softer and louder:", np.round(told, 2), "dB")
finding(
    f"loudness moves it by {np.ptp(told):.0e} dB, and the kit's own ruler says the same",
    np.ptp(told) < 1e-6 and abs(spectra.si_sdr(mixture, pair[0]) - told[1]) < 1e-6,
)

# %% [markdown]
# The mixture itself is an estimate of the tune already, of about 0 dB: half of it *is*
# the tune. A machine that hands the mixture back has done nothing. So what counts is
# the *improvement*: the SI-SDR of the estimate less that of the mixture.


# %%
def improvement(estimates, references, mixture):
    """By how many dB each estimate is nearer to its part than the mixture was: (K,).

    estimates, references: floats (K, N), one row a part. mixture: floats (N,), of the
    same sound. Your `si_sdr` does the measuring.
    """
    # BEGIN SOLUTION
    return si_sdr(estimates, references) - si_sdr(mixture, references)
    # END SOLUTION


check(improvement)

# %% [markdown]
# ## 3. A picture of sound that can be undone
#
# In the samples tune and drums lie on top of each other. Cut the sound into *frames* of
# $W$ samples, a new one every $H$ samples, fade each in and out by a window $w$, and ask
# of each how much of every frequency it holds: the *short-time Fourier transform*, STFT.
#
# $$ X_{t,f} = \sum_{n=0}^{W-1} w_n \, x_{tH+n} \, e^{-2 \pi i f n / W} $$
#
# Each $X_{t,f}$ is a complex number: how strong ($|X_{t,f}|$), and where in its swing (the
# *phase*). Strengths in dB, time to the right, low to high:

# %%
W, H = 1024, 512  # samples: 64 and 32 milliseconds


def decibels(spectrum):
    """How strong each bin is beside the strongest, down to -60 dB."""
    strength = np.abs(spectrum)
    return 20 * np.log10(np.maximum(strength / strength.max(), 1e-3))


# %%
X = spectra.stft(mixture, window=W, hop=H)  # (T, F), complex
S = spectra.stft(pair, window=W, hop=H)  # (2, T, F): the parts that we should not know
shown = {"tune": S[0], "drums": S[1], "both": X}
spectrograms(
    {name: decibels(one) for name, one in shown.items()},
    seconds=6,
    hertz=RATE / 2,
    title="A tune lies in lines, drums stand in columns (dB)",
)

# %% [markdown]
# In most places of the picture one of the two is much stronger: *here* they can be told
# apart. But we want sound back. Each frame comes back by the inverse transform, still
# faded by $w$. Fade it by $w$ once more, lay all frames over each other, and divide each
# sample by the sum of the $w^2$ that fell on it:
#
# $$ \hat x_n = \frac{\sum_t w_{n-tH}\, y_{t,\,n-tH}}{\sum_t w_{n-tH}^2}
#    \qquad y_t = \text{frame } t \text{ as it came back} $$
#
# The second fade hides seams where someone has changed the picture. **Predict:** what do
# you hear without the division?


# %%
def lay_together(frames, window, hop):
    """Frames laid over each other: floats (T, W) -> floats ((T - 1) hop + W,).

    frames: frame t begins at sample t * hop. window: floats (W,), multiplied onto each
    frame here; then each sample is divided by the sum of window**2 that fell on it.
    Where that sum is 0 the sample is 0.
    """
    # BEGIN SOLUTION
    length = (len(frames) - 1) * hop + len(window)
    sound, squares = np.zeros(length), np.zeros(length)
    for t, frame in enumerate(frames):
        sound[t * hop : t * hop + len(window)] += window * frame
        squares[t * hop : t * hop + len(window)] += window**2
    return sound / np.where(squares > 0, squares, 1)
    # END SOLUTION


check(lay_together)

# %%
fade = spectra.hann(W)  # 0, up to 1, down again
frames = np.fft.irfft(X, W)  # (T, W)
back = lay_together(frames, fade, H)[W - H :][: len(mixture)]  # the kit begins before 0
bare = sum(fade[k * H :][:H] ** 2 for k in range(W // H))  # what the division undoes
finding(
    f"there and back: at most {np.abs(back - mixture).max():.0e} away. Undivided, the "
    f"loudness would flutter from {bare.min():.2f} to {bare.max():.2f}, "
    f"{RATE / H:.0f} times a second",
    np.abs(back - mixture).max() < 1e-5 and bare.max() > 1.5 * bare.min(),
)

# %% [markdown]
# ## 4. Masks, by one who knows the truth
#
# A *mask* has a number in $[0, 1]$ for each place of the picture: the share of it that
# goes to a part. How far can masks go? Ask someone who knows the parts, the *oracle*. The
# *ideal binary mask* gives each place to whoever is stronger there.


# %%
def binary_masks(strengths):
    """Each place to the strongest part: floats (K, T, F) -> zeros and ones (K, T, F).

    strengths: floats, how strong each of K parts is. Every place goes to exactly one
    part: where some are equally strong, to the first of them.
    """
    # BEGIN SOLUTION
    strengths = np.asarray(strengths)
    winner = strengths.argmax(axis=0)  # (T, F)
    return np.stack([winner == k for k in range(len(strengths))]).astype(float)
    # END SOLUTION


check(binary_masks)

# %% [markdown]
# The *ideal ratio mask* shares each place by strength, raised to a power $p$:
#
# $$ M_k = \frac{|S_k|^p}{\sum_j |S_j|^p} $$
#
# Either way the masks of all parts sum to 1 at every place. Keep that in mind; it will
# turn out to be worth something. **Predict:** which mask is the ratio for a large $p$?


# %%
def ratio_masks(strengths, power):
    """Each part's share of each place: floats (K, T, F) -> floats (K, T, F).

    strengths: floats from 0 up. power: float above 0. Over the parts the shares sum to 1
    at every place, however quiet; where all are silent they are alike, 1 / K each.
    """
    # BEGIN SOLUTION
    raised = np.asarray(strengths, float) ** power
    total = raised.sum(axis=0)
    shares = raised / np.where(total > 0, total, 1)
    return np.where(total > 0, shares, 1 / len(raised))
    # END SOLUTION


check(ratio_masks)

# %% [markdown]
# A large $p$ makes it binary. Now a mask is put on the picture: each complex number times
# its share, the phase as it was, and back to sound.


# %%
def parted(mixture, masks, window, hop):
    """The sounds of a mixture under K masks: floats (N,), (K, T, F) -> floats (K, N).

    window, hop: int, as for `spectra.stft(sound, window=..., hop=...)`, which gives the
    complex picture (T, F); `spectra.istft(picture, length, window=..., hop=...)` undoes
    it, of several pictures at once too. Strength and phase both are needed.
    """
    # BEGIN SOLUTION
    picture = spectra.stft(mixture, window=window, hop=hop)
    return spectra.istft(masks * picture, len(mixture), window=window, hop=hop)
    # END SOLUTION


check(parted)

# %%
magnitudes = np.abs(S)
shown = {"p = 2": ratio_masks(magnitudes, 2)[0], "binary": binary_masks(magnitudes)[0]}
spectrograms(
    shown,
    seconds=6,
    hertz=RATE / 2,
    title="What the oracle gives to the tune: its share of each place",
)


# %%
def score(part, mixes):
    """The mean improvement in dB of each part over mixes (M, 2, N): floats (2,).

    part: function (mixture (N,), truth (2, N)) -> estimates (2, N).
    """
    mixtures = mixes.sum(axis=1)
    each = zip(mixtures, mixes, strict=True)
    return np.mean([improvement(part(x, pair), pair, x) for x, pair in each], axis=0)


# %%
def oracle(make):
    """A way to part, by masks that are made from the truth."""
    return lambda x, pair: parted(
        x, make(np.abs(spectra.stft(pair, window=W, hop=H))), W, H
    )


ceiling = {
    "binary": score(oracle(binary_masks), test).mean(),
    "p = 1": score(oracle(lambda m: ratio_masks(m, 1)), test).mean(),
    "p = 2": score(oracle(lambda m: ratio_masks(m, 2)), test).mean(),
}

# %%
nothing = score(lambda x, pair: np.stack([x, x]), test)
finding(
    "the oracle's masks gain "
    + ", ".join(f"{db:.1f} dB ({name})" for name, db in ceiling.items())
    + f"; the mixture handed back gains {np.abs(nothing).max():.1f}",
    min(ceiling.values()) > 15 and max(ceiling.values()) == ceiling["p = 2"],
)
hear(parted(mixture, ratio_masks(magnitudes, 2), W, H)[0], RATE, title="By the oracle")

# %% [markdown]
# **Question.** The oracle knows everything. Why is it not perfect? (A mask makes a place
# weaker; it does not turn it. Where both parts are strong, the phase is of neither. A
# *complex* mask, $S_k / X$, may turn, too:)

# %%
by_oracle = parted(mixture, ratio_masks(magnitudes, 2), W, H)
turned = parted(mixture, S / np.where(X == 0, 1, X), W, H)
finding(
    f"masks that may turn the phase gain {improvement(turned, pair, mixture).min():.0f} "
    f"dB on our mixture; masks that may not, "
    f"{improvement(by_oracle, pair, mixture).min():.0f}",
    improvement(turned, pair, mixture).min() > 60
    and improvement(by_oracle, pair, mixture).max() < 40,
)

# %% [markdown]
# ## 5. A machine that learns nothing
#
# Look at the picture once more. A tone goes on: a line along time. A stroke is short and
# has all frequencies: a column. The *median* of a few neighbours, the middle one when
# they are sorted, does not see a single strong one among them. So:
#
# * the median over neighbours in *time* wipes out columns: what is left is held;
# * the median over neighbours in *frequency* wipes out lines: what is left is struck.
#
# Each place is then shared between the two by their squares (Fitzgerald 2010). **Predict:**
# where does a singer's consonant go?


# %%
def median_masks(strengths, width):
    """Masks of what is held and of what is struck: floats (T, F) -> floats (2, T, F).

    width: int, odd: how many neighbours, the place itself in the middle, along time for
    row 0, along frequency for row 1. Shares go by the squares of the two medians. At the
    rim, where neighbours are wanting, do as you like.

    `sliding_window_view(x, width, axis)` gives each run of `width` along an axis a new
    last axis; `np.pad` makes x longer before that; your `ratio_masks` shares.
    """

    # BEGIN SOLUTION
    def along(x):  # the median along axis 0
        padded = np.pad(x, ((width // 2, width // 2), (0, 0)), mode="edge")
        return np.median(sliding_window_view(padded, width, axis=0), axis=-1)

    strengths = np.asarray(strengths, float)
    return ratio_masks(np.stack([along(strengths), along(strengths.T).T]), 2)
    # END SOLUTION


check(median_masks)

# %% [markdown]
# A line is thinner the longer the frame: for medians we take frames of 128 milliseconds.
# How many neighbours? That is for the *valid* players to say, who are neither those of
# the test nor those to learn from: whoever chooses on the test has seen it.

# %%
LONG = 2048


def by_medians(width):
    """A way to part that knows neither the truth nor any example."""

    def part(x, _):
        strengths = np.abs(spectra.stft(x, window=LONG, hop=H))
        return parted(x, median_masks(strengths, width), LONG, H)

    return part


# %%
valid = pairs(players("valid", 10, seed=1))
tried = {width: score(by_medians(width), valid).mean() for width in (3, 7, 13, 25)}
best = max(tried, key=tried.get)
medians = score(by_medians(best), test)

# %%
finding(
    f"{best} neighbours are best on valid ({tried[best]:.1f} dB); on test they gain "
    f"{medians[0]:.1f} dB for the tune and {medians[1]:.1f} for the drums",
    medians.min() > 4 and medians.mean() < ceiling["p = 2"] - 5,
)
hear(by_medians(best)(mixture, None)[0], RATE, title="The tune, by medians")

# %% [markdown]
# Listen for what is left of the drums, and for the beginnings of the notes, which have
# gone with them: they are short and wide too, as a singer's consonants are.
#
# ## 6. A machine that learns its masks
#
# Eighty tunes and eighty drummers of the *train* players. Adding is all there is to
# mixing, and the STFT of a sum is the sum of the STFTs: so pictures are mixed, not
# sounds, and each round pairs every tune with another drummer at another balance. Eighty
# renderings hold 6,400 pairs.

# %%
began = time.process_time()
sounds = players("train", 80, seed=0)[:, [0, 2]]  # (80, 2, N): tunes and drums
power_one = mixture_level(sounds, W)[..., None, None]  # makes |X|^2 about 1 on average
learnt_from = spectra.stft(sounds, window=W, hop=H) / power_one  # (80, 2, T, F)
lines, strokes = learnt_from[:, 0], learnt_from[:, 1]

# %% [markdown]
# What should come out? The network sees $|X|$ and gives a mask $M$ for the tune; the
# drums get $1 - M$. The error that is heard is $|M X - S|^2$, summed over the picture. A
# mask cannot turn $X$, so only the part of $S$ that lies along $X$ is in its reach:
#
# $$ |M X - S|^2 = \Big(M |X| - \frac{\operatorname{Re}(S \bar X)}{|X|}\Big)^2
#    + \text{what no mask changes} $$
#
# So: in goes $|X|$, out comes $M |X|$, the goal is $\operatorname{Re}(S \bar X) / |X|$, the
# loss is the mean square.


# %%
def lesson(rng):
    """Each tune with a drummer: what goes in and what is to come out, (80, T, F) each."""
    gain = 10 ** (rng.uniform(-5, 5, (len(lines), 1, 1)) / 20)
    tune = lines * gain.astype("float32")
    both = tune + strokes[rng.permutation(len(lines))]
    strength = np.abs(both)
    goal = (tune * both.conj()).real / np.maximum(strength, 1e-9)
    level = np.sqrt(1 + gain**2)  # the mixture's, whatever the balance
    return (strength / level).astype("float32"), (goal / level).astype("float32")


# %% [markdown]
# The network is as small as they come: one frame at a time, without a look at its
# neighbours; one hidden layer; a sigmoid, which lies in $(0, 1)$. It reads the logarithm
# of the strength, as ears do. **Predict:** can one frame of 64 milliseconds tell a drum
# from a note?

# %%
import keras

keras.utils.set_random_seed(0)
frame = keras.Input((None, W // 2 + 1))  # |X|, of any number of frames
hidden = keras.layers.Dense(128, "relu")(keras.ops.log(1 + 30 * frame))
mask = keras.layers.Dense(W // 2 + 1, "sigmoid")(hidden)
masker = keras.Model(frame, mask)
network = keras.Model(frame, mask * frame)
network.compile(keras.optimizers.Adam(2e-3), "mse")
print(f"{network.count_params():,} weights")


# %%
def by_network(x, _):
    """A way to part: the mask for the tune, and what is left for the drums."""
    strength = np.abs(spectra.stft(x, window=W, hop=H)) / mixture_level(x, W)
    share = np.array(masker(strength[None]))[0]  # (T, F)
    return parted(x, np.stack([share, 1 - share]), W, H)


rng, rounds = np.random.default_rng(0), 8
gained = [score(by_network, valid).mean()]
for number in range(rounds):
    network.optimizer.learning_rate = 2e-3 * (1 - number / rounds)
    network.fit(*lesson(rng), batch_size=8, verbose=0)
    gained.append(score(by_network, valid).mean())
seconds = time.process_time() - began

# %%
curves(
    {"learnt mask": gained},
    x="rounds of 80 mixtures",
    y="improvement on valid, dB",
    floors={"medians": tried[best]},
    title="A mask is learnt",
)

# %% [markdown]
# Now the players of the test, who have been kept for this.

# %%
learnt = score(by_network, test)
finding(
    f"held-out mixes, no tune and no drum part of which was learnt from: the mask gains "
    f"{learnt[0]:.1f} dB for the tune and {learnt[1]:.1f} for the drums; medians "
    f"{medians.mean():.1f}, the oracle {ceiling['p = 2']:.1f}; made in {seconds:.0f} s",
    learnt.min() >= 8  # the course asks for 5
    and learnt.mean() > medians.mean() + 1
    and not played["train"] & played["test"]
    and seconds < 300,
    covers=("f01",),
)
hear(by_network(mixture, None)[0], RATE, title="The tune, by your network")

# %%
hear(by_network(mixture, None)[1], RATE, title="The drums, by your network")

# %% [markdown]
# One frame is enough for much of it: a drum is wide, a note is narrow, at any moment. And
# a mask for the tune is a mask for the drums.
#
# ## 7. The kit's network, and parts that add up
#
# The network behind `etude separate` gives three masks, and has two layers of recurrent
# cells that read the frames from the left and from the right. It has learnt from Irish
# and American tunes, none of this collection. Its melody and its chords together are
# what is not drums. **Predict:** what is a look at the neighbours worth, in dB?


# %%
def by_kit(x, _):
    """A way to part in two with the network that ships with the kit."""
    melody, chords, drums = kit.part(x)
    return np.stack([melody + chords, drums])


shipped = score(by_kit, test)
gains = {
    "mixture": 0.0,
    "medians": medians.mean(),
    "yours": learnt.mean(),
    "the kit's": shipped.mean(),
    "oracle": ceiling["p = 2"],
}
columns(gains, y="SI-SDR improvement, dB", title="Twenty mixtures, new to all of them")

# %%
three = np.mean(
    [improvement(kit.part(sum(one)), one, sum(one)) for one in test_players], axis=0
)
named = zip(kit.stems, three, strict=True)
finding(
    f"the kit's network gains {shipped.mean():.1f} dB, yours {learnt.mean():.1f}; of "
    "trios it gains " + ", ".join(f"{db:.1f} ({name})" for name, db in named),
    learnt.mean() + 1 < shipped.mean() < ceiling["p = 2"] and three.min() > 6,
)

# %% [markdown]
# Three parts are harder than two: melody and chords are both lines, and only their
# sound tells them apart. Medians have nothing to say there.
#
# Every machine of this lab gives masks that sum to 1. The way back to sound is a sum, so
# the parts add up to the mixture. It need not be so: a much used mask is the *square
# root* of the shares with $p = 2$. **Predict:** what do its parts add up to?


# %%
def missing(parts, mixture):
    """What the parts do not add up to, beside the mixture, in dB."""
    rest = parts.sum(axis=0) - mixture
    return 10 * np.log10(np.mean(rest**2) / np.mean(mixture**2) + 1e-30)


rooted = parted(mixture, np.sqrt(ratio_masks(magnitudes, 2)), W, H)
add_up = [missing(way(mixture, pair), mixture) for way in (by_network, by_kit)]
finding(
    f"what is missing in the sum: your network {add_up[0]:.0f} dB, the kit's "
    f"{add_up[1]:.0f} dB; with roots {missing(rooted, mixture):.0f} dB",
    max(add_up) < -90 and missing(rooted, mixture) > -40,
)

# %% [markdown]
# That is why the kit keeps its masks so. Nothing is lost and nothing is made up: what is
# wrong in one part is wanting in another, and all parts at their old loudness are the
# old sound. So a *remix* is safe, where parts alone would show their holes. Drums softer
# by 12 dB:

# %%
softer = 10 ** (-12 / 20)
hear(
    np.array([1, softer]) @ by_kit(mixture, pair), RATE, title="The drummer, next door"
)

# %% [markdown]
# ## 8. What the ruler does not hear
#
# The ruler compares samples, your ear compares sounds. Two estimates of our tune which
# nobody could tell from it: the tune itself, upside down; and the tune itself, one
# millisecond late. **Predict** their SI-SDR.

# %%
tune = pair[0]
flipped = si_sdr(-tune + 1e-4 * mixture, tune)  # a hair of the mixture: no log of 0
late = si_sdr(np.roll(tune, RATE // 1000), tune)
finding(
    f"upside down {flipped:.0f} dB; a millisecond late {late:.1f} dB, which is worse "
    f"than medians, {si_sdr(by_medians(best)(mixture, pair)[0], tune):.1f}",
    flipped > 60 and late < si_sdr(by_medians(best)(mixture, pair)[0], tune) - 3,
)
hear(
    np.roll(tune, RATE // 1000), RATE, title="As good as it gets, and the ruler says no"
)

# %% [markdown]
# And the networks know what they were taught: a dry synthesiser. Put the players into a
# *room*, whose walls hand each sound back, ever softer, for half a second. Both parts
# are in the same room, and the truth is what each sounds like there.


# %%
def in_a_room(sounds, seconds=0.5):
    """Sounds (..., N) with an echo that dies away by 60 dB: noise, ever softer."""
    size = int(seconds * RATE)
    echo = np.random.default_rng(0).normal(size=size) * 10 ** (
        -3 * np.arange(size) / size
    )
    echo *= 0.7 / np.sqrt((echo**2).sum())
    echo[0] += 1  # the sound that comes straight to the ear
    length = sounds.shape[-1] + size
    heard = np.fft.irfft(
        np.fft.rfft(sounds, length) * np.fft.rfft(echo, length), length
    )
    return heard[..., : sounds.shape[-1]]


# %%
roomy = in_a_room(test)
in_room = {
    "yours": score(by_network, roomy).mean(),
    "kit": score(by_kit, roomy).mean(),
}
hear(in_a_room(mixture), RATE, title="The same two, in a room")

# %%
finding(
    f"from the dry sound into the room: the kit's network {shipped.mean():.1f} to "
    f"{in_room['kit']:.1f} dB, yours {learnt.mean():.1f} to {in_room['yours']:.1f}",
    in_room["kit"] < shipped.mean() - 3
    and shipped.mean() - in_room["kit"] > learnt.mean() - in_room["yours"] + 1,
)

# %% [markdown]
# The network that gained most in the dry loses most, so that little is left of its lead.
# Yours never listens to how a sound goes on, and what a room changes is just that; this
# may be why it loses less.
#
# So be careful with claims. A service such as LALAL.AI works on real recordings, and for
# your own recording nobody has the true parts: no figure can be given for it, by anyone.
# Published figures come from songs whose parts were kept, often of other measures than
# SI-SDR, and say little of a room, a singer or an MP3 that was not like those. Ours are
# of a synthesiser with one drum kit. What is to be heard is judged by ears, many of them,
# not knowing which is which; lab 11 builds such a test.
#
# ## What you learnt
#
# * A sum loses half of its numbers. What parts it is knowledge of the parts.
# * SI-SDR splits an estimate into its part and the rest; loudness does not matter, and
#   only what is gained over the mixture counts.
# * A spectrogram keeps strength and phase, and can be undone: fade again, add, divide.
# * A mask that knows the truth is not perfect, for want of the phase: some 25 dB here.
# * Lines and columns part a tune from drums without any example. A small network that
#   learns from mixtures of one's own making does better.
# * Masks that sum to 1 give parts that sum to the mixture.
# * A figure belongs to its players, its room and its ruler.
#
# ## Go further
#
# * Give the network three frames in place of one, or a `Conv1D` between its layers. What
#   is gained in the dry, and what in the room?
# * Put the room into the training, for half of the players. Does the test in the room
#   get better, and the dry one worse?
# * `etude separate` on a recording of yours, beside your own network. Write down what you
#   hear before you look for a figure.
#
# ## To read
#
# * Fitzgerald 2010, *Harmonic/percussive separation using median filtering*.
# * Griffin, Lim 1984, *Signal estimation from modified short-time Fourier transform*.
# * Le Roux, Wisdom, Erdogan, Hershey 2019, *SDR, half-baked or well done?*,
#   arxiv.org/abs/1811.02508.
# * Erdogan, Hershey, Watanabe, Le Roux 2015, *Phase-sensitive and recognition-boosted
#   speech separation*: the goal of section 6.
# * Stöter, Uhlich, Liutkus, Mitsufuji 2019, *Open-Unmix, a reference implementation for
#   music source separation*.

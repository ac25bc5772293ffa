# %% [markdown]
# # Lab 9 · Audio codes
#
# A network of tokens can play sound, if sound becomes a few tokens. You learn 256 shapes
# from drum loops, write each frame of sound as the number of the nearest shape, and let
# a language model write such numbers: sound that was never recorded.
#
# **Time:** 75 minutes, of which machines learn for about one. **You will hear** sound
# from a few hundred shapes, then new sound. **Follows:** the lecture on networks for
# artists, which says of the Transformer: swap its tokens for "latent code from an audio".

# %%
from dataclasses import dataclass, replace

import numpy as np

from data_pipelines.audio import Waveform
from data_pipelines.drum_patterns import STYLES, drum_piece
from data_pipelines.render import render
from data_pipelines.score import Tempo
from labs import check, finding
from labs.figures import cloud, columns, curves, heat, waves
from labs.hearing import hear
from studio.codec import open_codec, reconstruct

RATE = 16_000  # samples a second
BAR = 2 * RATE  # samples: four quarters, 120 of them a minute

# %% [markdown]
# ## Where we are going
#
# Our sounds are drum loops, written by rule and played by the kit's synthesiser. The
# *codec* (coder and decoder) that ships with the kit has never met this loop. It turns
# each hundredth of a second into eight whole numbers below 256, and back into sound.


# %%
def drum_loop(number):
    """Four bars, played at 120 quarters a minute: float32 (4 * BAR,)."""
    piece = drum_piece(STYLES[number % 5], np.random.default_rng([9, number]))
    notes = piece.notes[piece.notes["start"] < 16 * piece.ticks_per_quarter]
    piece = replace(piece, notes=notes, tempos=(Tempo(0, 120.0),))
    played = render(piece, sample_rate=RATE, engine="synth").waveform
    return played.mean(axis=1)[: 4 * BAR]


loop = drum_loop(0)
hear(loop, RATE, title="A drum loop as it is: 256,000 bits a second")

# %%
codec = open_codec().codec
through, codes = reconstruct(codec, Waveform(loop[:, None], RATE))
hear(
    through.samples, RATE, title="The same out of the kit's codes: 6,400 bits a second"
)

# %%
heat(
    codes[:100].T,
    x="frame, 100 a second",
    y="code",
    title="What the decoder was given: one second of the loop",
)

# %% [markdown]
# By the end you have built one yourself, and know why each part is there.
#
# ## 1. The nearest of a few
#
# Lab 0's mu-law rounds each sample alone. But neighbours are alike, so let us round two
# at a time: a *vector* $v$ of two numbers. A *codebook* is a short list of vectors
# $c_0 \dots c_{K-1}$; the **code** of $v$ is the number of the nearest. This is *vector
# quantisation*.
#
# $$ k(v) = \arg\min_k \lVert v - c_k \rVert^2 \qquad
#    \lVert v - c \rVert^2 = \lVert v \rVert^2 - 2\, v \cdot c + \lVert c \rVert^2 $$
#
# The right side needs one matrix product for all pairs. The differences of all pairs,
# $N \times K \times D$ numbers, would soon fill the memory.


# %%
def nearest_code(vectors, codebook):
    """The number of the nearest code of each vector: ints (N,), of equals the first.

    vectors: floats (N, D). codebook: floats (K, D). Example: among the codes (0, 0),
    (1, 0), (0, 1), that of (0.9, 0.2) is 1. The term that is the same for all codes of
    a vector can be left out.
    """
    # BEGIN SOLUTION
    squares = (codebook**2).sum(axis=1)  # (K,)
    return np.argmin(squares - 2 * vectors @ codebook.T, axis=1)
    # END SOLUTION


check(nearest_code)

# %% [markdown]
# How well do the codes stand for the vectors? The **distortion** is the mean squared
# error a number. Beside the power of the sound it becomes decibels: 10 dB means that the
# error has a tenth of the power, 20 dB a hundredth.
#
# $$ d = \frac{1}{N D} \sum_n \lVert v_n - c_{k(v_n)} \rVert^2 \qquad
#    \text{SNR} = 10 \log_{10} \frac{\text{mean of } v^2}{d} $$


# %%
def distortion(vectors, codebook):
    """The mean squared error a number, each vector (N, D) as its nearest code (K, D).

    Example: (3, 0) and (0, 1) with one code, (0, 0): (9 + 0 + 0 + 1) / 4 = 2.5.
    """
    # BEGIN SOLUTION
    error = vectors - codebook[nearest_code(vectors, codebook)]
    return (error**2).mean()
    # END SOLUTION


check(distortion)


# %%
def snr_db(vectors, codebook):
    """Signal over error in decibels."""
    return 10 * np.log10((vectors**2).mean() / distortion(vectors, codebook))


def some(vectors, count, seed=0):
    """Some of the rows, drawn: a codebook may begin with what it is to code."""
    order = np.random.default_rng(seed).permutation(len(vectors))
    return vectors[order[:count]].copy()


# %%
pairs = some(loop.reshape(-1, 2), 8000)
cloud(
    {"two samples": pairs, "16 codes to begin with": some(pairs, 16, seed=1)},
    x="sample",
    y="the one behind it",
    radius=0.4,
    title="A drum loop, two samples at a time",
)

# %% [markdown]
# The points lie along the diagonal: a sample is like the one before. A grid of rounded
# values would spend most of its codes where no sound ever is.
#
# ## 2. k-means: where shall the codes lie?
#
# Two things take turns. Each vector goes to its nearest code; then each code goes to the
# mean of its vectors, since of all points the mean has the least squared distance to
# them. **Predict:** can a turn make the distortion worse?


# %%
def kmeans_step(vectors, codebook):
    """A better codebook (K, D): each code moves to the mean of the vectors nearest to it.

    A code that no vector chose stays where it is; the codebook handed in stays as it is.
    Example: under the numbers [[0], [2], [9]], codes [[1.5], [8], [-50]] become
    [[1], [9], [-50]].
    """
    # BEGIN SOLUTION
    nearest = nearest_code(vectors, codebook)
    better = codebook.copy()
    for code in np.unique(nearest):
        better[code] = vectors[nearest == code].mean(axis=0)
    return better
    # END SOLUTION


check(kmeans_step)


# %%
def learn(vectors, codebook, turns=12):
    """A codebook after some turns of k-means."""
    for _ in range(turns):
        codebook = kmeans_step(vectors, codebook)
    return codebook


# %%
turns = [some(pairs, 16, seed=1)]
for _ in range(20):
    turns.append(kmeans_step(pairs, turns[-1]))
fell = np.array([distortion(pairs, codebook) for codebook in turns])
cloud(
    {"two samples": pairs, "16 codes, learnt": turns[-1]},
    x="sample",
    y="the one behind it",
    radius=0.4,
    title="The same after twenty turns",
)

# %%
finding(
    f"in 20 turns the distortion falls to {fell[-1] / fell[0]:.0%}, and never rises",
    (np.diff(fell) <= 1e-12 * fell[0]).all() and fell[-1] < 0.8 * fell[0],
)
curves(
    {"distortion": fell},
    x="turn",
    y="mean squared error",
    title="Two turns, one way: down",
)

# %% [markdown]
# Neither turn can make it worse: the nearest code is no farther than the old one, and the
# mean is no worse than any other point. So it comes to rest, not always at the best there
# is: begin elsewhere, and it may rest elsewhere.
#
# ## 3. What does a bit buy?
#
# A code of $K$ values takes $\log_2 K$ bits, a frame of sound $Q$ codes, and with one
# frame every `hop` samples there are $\text{rate} / \text{hop}$ frames a second.


# %%
def bit_rate(sample_rate, hop, quantizers, size):
    """Bits a second of some codes a frame, each of `size` values; a float.

    Example: a telephone, 8,000 samples a second, each one code of 256: 64,000.
    """
    # BEGIN SOLUTION
    return sample_rate / hop * quantizers * np.log2(size)
    # END SOLUTION


check(bit_rate)

# %% [markdown]
# Shannon's bound for noise: $R$ bits a number leave at best $4^{-R}$ of its power as
# error, $6.02\,R$ dB. We code pairs of noise, pairs of the drum loop, and single samples
# of it, with more and more codes. All is measured on pairs that were not learnt from.
# **Predict:** which of the three is dearest?

# %%
noise, unheard = np.random.default_rng(0).normal(size=(2, 8000, 2))
later = drum_loop(5).reshape(-1, 2)  # another loop of the same style
lots = {
    "noise, two at a time": (noise, unheard),
    "drums, two at a time": (pairs, later),
    "drums, one at a time": (pairs.reshape(-1, 1), later.reshape(-1, 1)),
}
bought = {}
for name, (vectors, others) in lots.items():
    sizes = 2 ** np.arange(4 * vectors.shape[1] + 1)  # up to 4 bits a number
    snr = [snr_db(others, learn(vectors, some(vectors, size))) for size in sizes]
    bought[name] = np.log2(sizes) / vectors.shape[1], np.array(snr)

# %%
bits = np.arange(5)
curves(
    bought | {"the best for noise": (bits, 6.02 * bits)},
    x="bits a number",
    y="SNR in dB",
    title="What a bit buys",
)

# %%
bits, noise = bought["noise, two at a time"]
slope = (noise[-1] - noise[4]) / (bits[-1] - bits[4])
two, one = bought["drums, two at a time"][1][4], bought["drums, one at a time"][1][2]
finding(
    f"on noise a bit buys {slope:.1f} dB, and nothing beats 6.02 dB a bit",
    4.4 < slope < 6.02 and (noise <= 6.02 * bits + 0.1).all(),
)
finding(
    f"at 2 bits a sample, drums have {one:.1f} dB one by one and {two:.1f} dB in pairs",
    two > one + 2,
)

# %% [markdown]
# Noise has nothing to know, so its price is fixed. In music one number tells of the next,
# and a codebook of vectors turns that into decibels, for free. **Question.** Above 2.5
# bits the drums are dearer than noise. Why? (Most samples are soft and well served; what
# is left is rare and loud, a stroke, and each needs a code of its own.) So: longer
# vectors, in which a whole piece of a stroke is *one* thing that comes again.
#
# ## 4. Frames and 256 shapes
#
# We cut sound into frames of 250 samples, a sixty-fourth of a second. Cut hard, they
# would click at each border. The kit's lapped transform (Princen and Bradley, 1986) lets
# each frame lap half over its neighbours, and is *orthogonal*: it loses nothing, and an
# error in the frames is the same error in the sound. So the distortion of the frames is
# what we hear.

# %%
from audio_models import numpy_ops
from audio_models.codec import lapped, unlapped

HOP = 250  # samples
SIXTEENTH = 8  # frames: 2,000 samples


def frames_of(samples):
    """float (F * HOP,) -> frames, float32 (F, HOP): 64 a second."""
    blocks = np.asarray(samples, "float32").reshape(1, -1, HOP)
    return lapped(numpy_ops, blocks)[0]


def sound_of(frames):
    """Frames (F, HOP) -> samples (F * HOP,), within full scale."""
    return np.clip(unlapped(numpy_ops, frames[None])[0].reshape(-1), -1, 1)


# %% [markdown]
# Three hundred loops in three lots: 240 to learn from, 30 to choose by, 30 to be judged
# by. No two are the same; all are played by one drum kit.

# %%
loops = [drum_loop(number) for number in range(300)]
frames = np.stack([frames_of(one) for one in loops])  # (300, 512, HOP)
train, valid, test = frames[:240], frames[240:270], frames[270:]
learnt_from = some(train.reshape(-1, HOP), 12_000)
judged_by = test.reshape(-1, HOP)
back = sound_of(frames[0])
finding(
    f"{len({one.tobytes() for one in loops})} loops, no two alike; frames and back: "
    f"an error of {np.abs(back - loops[0]).max():.0e} at most",
    len({one.tobytes() for one in loops}) == 300
    and np.abs(back - loops[0]).max() < 1e-5,
)

# %% [markdown]
# Now a codebook of 256 frames: 8 bits for 250 samples. Where should it begin? One begins
# with random numbers as loud as the frames, one with frames. A code that no frame chose
# never moves: it is *dead*. How many are in use? Count shares $p_k$ and take $e$ to the
# power of their entropy (lab 0): the **perplexity**, as if so many were used alike.
#
# $$ \text{perplexity} = \exp\Big( -\sum_k p_k \ln p_k \Big) $$


# %%
def codebook_perplexity(codes, size):
    """How many of `size` codes are in use: a float in 1 to `size`.

    codes: ints of any shape. A code that is never used adds nothing (0 ln 0 is 0).
    Example: 0, 0, 3, 3 use two codes alike: 2, whatever the size.
    """
    # BEGIN SOLUTION
    shares = np.bincount(np.ravel(codes), minlength=size) / np.size(codes)
    shares = shares[shares > 0]
    return np.exp(-(shares * np.log(shares)).sum())
    # END SOLUTION


check(codebook_perplexity)

# %%
loud = learnt_from.std()
numbers = np.random.default_rng(1).normal(0, loud, (256, HOP)).astype("float32")
used, spread = {}, {}
for name, begin in {"random": numbers, "frames": some(learnt_from, 256)}.items():
    shapes = learn(learnt_from, begin)
    chosen = nearest_code(judged_by, shapes)
    used[name] = len(np.unique(chosen)) / 256
    spread[name] = codebook_perplexity(chosen, 256)
    print(f"{name}: {snr_db(judged_by, shapes):.1f} dB, {used[name]:.0%} of codes used, "
          f"perplexity {spread[name]:.0f}")  # fmt: skip

# %%
columns(spread, y="perplexity, of 256", title="Where it began")

# %%
snr, rate = snr_db(judged_by, shapes), bit_rate(RATE, HOP, 1, 256)
finding(
    f"{rate:.0f} bits a second: held-out loops come back with a reconstruction SNR of "
    f"{snr:.1f} dB; {used['frames']:.0%} of the codes are used, against "
    f"{used['random']:.0%} from a random beginning",
    snr > 12 and used["frames"] > 0.8 and used["random"] < 0.6,
    covers=("e15",),
)
rebuilt = shapes[nearest_code(test[0], shapes)]
hear(sound_of(rebuilt), RATE, title="A loop never learnt from, out of 256 shapes")

# %% [markdown]
# A five-hundredth of the bits. **Predict:** what do the 256 shapes make of a trumpet?
# (Hear it. They know one drum kit and nothing else: a codebook is a memory of what it
# learnt from. The kit's own codec met drums and tones, and keeps eight codes a frame.)

# %%
from data_pipelines.tones import tones

_, tone = next(tones([69], 1, 3, sample_rate=RATE))
tone = np.resize(tone.mono(), RATE)
hear(
    np.concatenate([tone, sound_of(shapes[nearest_code(frames_of(tone), shapes)])]),
    RATE,
    title="A tone, and the tone made of drums",
)

# %%
snr_tone = snr_db(frames_of(tone), shapes)
finding(f"a tone, out of shapes of drums: {snr_tone:.1f} dB", snr_tone < 3)

# %% [markdown]
# ## 5. Residuals
#
# To be twice as fine, a codebook needs many times the codes; at 24 bits, 16 million. The
# way out: a small codebook, then a second one for what the first left over, the
# *residual*, then a third. Three of 64 codes make $64^3 = 262{,}144$ sums out of 192
# rows. This is *residual vector quantisation*, the heart of SoundStream and EnCodec.
#
# $$ r_1 = v \qquad r_{q+1} = r_q - c^{(q)}_{k_q} \qquad
#    \hat v = \sum_q c^{(q)}_{k_q} $$


# %%
def residual_quantise(vectors, codebooks):
    """One code of each codebook for each vector, and what they stand for together.

    vectors: floats (N, D), left as they are. codebooks: list of Q arrays (K, D). Returns
    (codes (N, Q), sums (N, D)). Example: 11.4 by the codes {0, 10}, then {-1, 0, 2}:
    10 leaves 1.4, the nearest of which is 2; so the codes are (1, 2), the sum is 12.
    """
    # BEGIN SOLUTION
    total, codes = np.zeros_like(vectors), []
    for codebook in codebooks:
        codes.append(nearest_code(vectors - total, codebook))
        total = total + codebook[codes[-1]]
    return np.stack(codes, axis=1), total
    # END SOLUTION


check(residual_quantise)

# %%
stages, left = [], learnt_from
for _ in range(3):
    stages.append(learn(left, some(left, 64)))
    left = left - residual_quantise(left, stages[-1:])[1]
by_stage, alone = [], []
for count in (1, 2, 3):
    off = judged_by - residual_quantise(judged_by, stages[:count])[1]
    by_stage.append(10 * np.log10((judged_by**2).mean() / (off**2).mean()))
    one = learn(learnt_from, some(learnt_from, 64 * count))
    alone.append(snr_db(judged_by, one))

# %%
rows = [64, 128, 192]
curves(
    {"stages of 64 codes": (rows, by_stage), "one codebook": (rows, alone)},
    x="rows to keep",
    y="SNR in dB, held out",
    title="The same memory, spent in two ways",
)

# %%
finding(
    f"stages of 64: {', '.join(f'{s:.1f}' for s in by_stage)} dB; one codebook of as many "
    f"rows: {', '.join(f'{s:.1f}' for s in alone)} dB",
    by_stage[0] + 2 < by_stage[1] < by_stage[2] - 1 and by_stage[2] > alone[2] + 2,
)
finding(
    f"per bit they are no bargain: 12 bits in two stages have {by_stage[1]:.1f} dB, "
    f"8 bits in one codebook of 256 rows {snr:.1f} dB",
    by_stage[1] < snr + 1,
)

# %% [markdown]
# **Question.** How can one codebook of 8 bits match two stages of 12? (Its rows lie where
# frames are. The sums of two stages lie everywhere, like a grid: many of the 4,096 are
# sounds that no drum makes. Residuals save memory and time, not bits.)

# %%
heard = [residual_quantise(test[0], stages[:count])[1] for count in (1, 2, 3)]
hear(
    np.concatenate([sound_of(one)[:BAR] for one in heard] + [sound_of(test[0])[:BAR]]),
    RATE,
    title="A bar in one stage, in two, in three; and as it is",
)

# %% [markdown]
# ## 6. A gradient past the codebook
#
# So far the way into the frames was given. A *neural* codec learns it: an encoder makes
# latents $z$, the decoder is given the nearest codes $c$. **Predict:** move $z$ a little;
# what happens to $c$?

# %%
z = np.array([[0.3, 0.1]])
corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
steps = [
    corners[nearest_code(np.add(z, [[h, 0]]), corners)][0] for h in (-1e-3, 0, 1e-3)
]
print("moved a little left, not at all, a little right:", *steps)

# %% [markdown]
# Nothing. The slope is zero, and at a border it jumps: an encoder behind it learns
# nothing. The trick of VQ-VAE (van den Oord et al., 2017) is a lie that works: *forward*
# the decoder is given $c$; *backward* the gradient goes to $z$ as if it had been given
# $z$. With $\operatorname{sg}$, "stop gradient", which a derivative sees as a constant:
#
# $$ z + \operatorname{sg}(c - z) \qquad
#    \frac{\partial}{\partial z} \big( z + \operatorname{sg}(c - z) \big) = 1 $$


# %%
def straight_through(latents, chosen):
    """`chosen` to whoever looks forward; to a gradient, `latents`.

    latents, chosen: tensors of one shape. `keras.ops.stop_gradient(x)` (or TensorFlow's
    `tf.stop_gradient`) is x, and a constant to a gradient; import it in here.
    """
    # BEGIN SOLUTION
    from keras import ops

    return latents + ops.stop_gradient(chosen - latents)
    # END SOLUTION


check(straight_through)

# %% [markdown]
# Does the lie work? A toy codec: an encoder of one matrix brings a frame to 8 numbers, a
# codebook of 64 follows by your own `kmeans_step`, a decoder of one matrix brings them
# back. Both begin at random. One learns straight through, one as the derivative says.

# %%
import keras
import tensorflow as tf


def matrix(rows, width, seed):
    start = np.random.default_rng(seed).normal(0, rows**-0.5, (rows, width))
    return tf.Variable(start.astype("float32"))


def toy_snr(into, out, codebook):
    """How well the toy does on held-out frames, in dB."""
    codes = nearest_code(judged_by @ into.numpy() / loud, codebook)
    off = judged_by - loud * (codebook[codes] @ out.numpy())
    return 10 * np.log10((judged_by**2).mean() / (off**2).mean())


# %%
def toy_codec(passed, steps=120, width=8):
    """Trains; gives its SNR in dB and the norm of the encoder's last gradient."""
    rng, optimizer = np.random.default_rng(3), keras.optimizers.Adam(0.01)
    into, out = matrix(HOP, width, 1), matrix(width, HOP, 2)
    codebook = learnt_from[:64] @ into.numpy() / loud
    for _ in range(steps):
        x = learnt_from[rng.integers(len(learnt_from), size=256)] / loud
        with tf.GradientTape() as tape:
            z = x @ into
            chosen = tf.constant(codebook[nearest_code(z.numpy(), codebook)])
            loss = tf.reduce_mean((passed(z, chosen) @ out - x) ** 2)
        slopes = tape.gradient(loss, [into, out], unconnected_gradients="zero")
        optimizer.apply_gradients(zip(slopes, [into, out], strict=True))
        codebook = kmeans_step(z.numpy(), codebook)
    return toy_snr(into, out, codebook), float(tf.norm(slopes[0]))


# %%
with_it, slope = toy_codec(straight_through)
without, none = toy_codec(lambda latents, chosen: chosen)  # as the derivative says
finding(
    f"the encoder's gradient is {none:.0f} without the trick and {slope:.1f} with it; "
    f"held-out frames: {without:.1f} dB against {with_it:.1f} dB",
    none == 0 < slope and with_it > without + 1.5,
)

# %% [markdown]
# ## 7. The kit's codec
#
# All of this is in `audio_models/codec.py`: the lapped transform, a code for the level,
# seven residual codebooks that follow the frames by k-means, a bit a step, dead codes put
# back among the frames, networks on both sides, and the gradient straight through. Beside
# it stands mu-law *at the same bits a second*: fewer samples, fewer levels, the best of
# those ways. The **log-spectral distance** compares the two spectra bin by bin, in dB:
# the ear minds what frequencies are there more than the exact wave.

# %%
from data_pipelines.drum_sounds import drum_sounds
from studio.bench_codec import best_way, fidelity, mu_law

rate = bit_rate(codec.sample_rate, codec.hop, codec.num_quantizers, codec.codebook_size)
choose = [sound for _, sound in drum_sounds(9, 21, RATE)]
sounds = [sound for _, sound in drum_sounds(18, 22, RATE)]  # each another drum
way = best_way(choose, RATE, rate)
coded, their_codes = zip(*(reconstruct(codec, one) for one in sounds), strict=True)
by_law = [mu_law(one, RATE, *way) for one in sounds]
ours, theirs = (fidelity(sounds, heard, rate).distance_db for heard in (coded, by_law))

# %%
finding(
    f"at {rate:,.0f} bits a second: {ours:.1f} dB from 18 new drums; mu-law, {way[1]} bit "
    f"at {way[0]:,} Hz, {theirs:.1f} dB",
    rate == codec.architecture.bits_per_second and ours < 0.7 * theirs,
)
hear(
    np.concatenate(
        [np.r_[a.mono(), b.mono()] for a, b in zip(sounds, coded, strict=True)][:9]
    ),
    RATE,
    title="Nine new drums, each as it is and out of its codes",
)

# %%
their_codes = np.concatenate(their_codes)  # (F, 8)
stage_names = ["level", *(f"book {n}" for n in range(1, 8))]
perplexities = {
    name: codebook_perplexity(column, codec.codebook_size)
    for name, column in zip(stage_names, their_codes.T, strict=True)
}
columns(perplexities, y="perplexity, of 256", title="The kit's codebooks, on new drums")

# %%
share = [len(np.unique(column)) / codec.codebook_size for column in their_codes.T]
finding(
    f"of each codebook at least {min(share):.0%} of the codes are used by 18 drums",
    min(share) > 0.25,
    covers=("e15",),
)

# %% [markdown]
# ## 8. A language model of sound
#
# Now the lecture's sentence: swap the tokens. Our 256 shapes make a frame one token, 64
# a second. Lab 6 needed 16,000 steps for a second; a bar is now 128 tokens. As a small
# class your codebook is a codec, and the kit's tokenizer takes it as it takes its own.


# %%
@dataclass(frozen=True)
class Shapes:
    """The 256 shapes as a codec."""

    sample_rate: int = RATE
    hop: int = HOP
    num_quantizers: int = 1
    codebook_size: int = 256
    checksum: str = "256 shapes of one drum kit"

    def encode(self, samples):
        return nearest_code(frames_of(samples), shapes)[:, None]

    def decode(self, codes):
        return sound_of(shapes[codes[:, 0]])


# %%
from data_pipelines.tokenizers.codec import CodecTokenizer

tokenizer = CodecTokenizer(Shapes())
ids = np.stack([tokenizer.encode(Waveform(one[:, None], RATE)) for one in loops])
ids = ids[:, :-1]  # (300, 513): BOS and 512 codes; all end alike
parts = {"train": ids[:240], "valid": ids[240:270], "test": ids[270:]}
print(*(tokenizer.vocabulary.decode(i) for i in ids[0, :6].tolist()), "...")

# %% [markdown]
# First what needs no training: each code at its 8 bits; how common each is; and an
# n-gram of the length that is best on the valid lot. **Predict:** how many of the 512
# bits a second are left, when a drum that was struck rings as it always rings?

# %%
from audio_models.ngram import NGram

PER_SECOND = RATE / HOP / np.log(2)  # bits a second of a nat a token
counted = NGram(tokenizer.vocab_size, 16).fit(list(parts["train"]))
nats = {
    name: -np.mean([counted.log_probabilities(row) for row in parts[name]], axis=(0, 2))
    for name in ("valid", "test")
}
order = int(nats["valid"].argmin())
floors = {"8 bits each": bit_rate(RATE, HOP, 1, 256)}
floors["how common"] = nats["test"][0] * PER_SECOND
floors[f"{order} codes before"] = floor = nats["test"][order] * PER_SECOND

# %% [markdown]
# Then an LSTM, on windows of one bar, with Keras's own training loop.

# %%
from audio_models import MODELS
from audio_models.network import Network

EPOCHS, WINDOW, BATCH = 5, 128, 32
architecture = MODELS["lstm"](
    vocab_size=tokenizer.vocab_size, embedding_dim=64, hidden_dim=128, num_layers=1
)


def windows(rows, seed):
    """As many windows as cover the rows, drawn; one in eight begins a loop."""
    rng = np.random.default_rng(seed)
    count = rows[:, 1:].size // WINDOW
    which = rng.permutation(np.resize(np.arange(len(rows)), count))
    start = rng.integers(rows.shape[1] - WINDOW, size=count)
    start[rng.permutation(count)[: count // 8]] = 0
    return rows[which[:, None], start[:, None] + np.arange(WINDOW + 1)]


# %%
def bits_a_code(weights, rows):
    """What each code of rows (N, T + 1) is worth: bits (N, T)."""
    logits, _ = architecture.forward(numpy_ops, weights, rows[:, :-1])
    log_p = numpy_ops.log_softmax(logits)
    return -np.take_along_axis(log_p, rows[:, 1:, None], -1)[..., 0] / np.log(2)


network = Network(architecture, seed=0)
steps = EPOCHS * (len(windows(parts["train"], 0)) // BATCH)
network.compile(
    optimizer=keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(0.02, steps), global_clipnorm=1.0
    ),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    jit_compile=True,
)

# %%
history = []
for epoch in range(EPOCHS):
    rows = windows(parts["train"], epoch)
    network.fit(rows[:, :-1], rows[:, 1:], batch_size=BATCH, shuffle=False, verbose=0)
    weights = network.named_weights()
    history.append(bits_a_code(weights, parts["valid"][:10]).mean() * RATE / HOP)
    print(f"epoch {epoch + 1}: {history[-1]:.1f} bits a second, ten valid loops")

# %%
each = bits_a_code(weights, parts["test"])  # (30, 512)
lstm = each.mean() * RATE / HOP
columns(floors | {"LSTM": lstm}, y="bits a second, held out", title="Codes foretold")

# %%
finding(
    f"held-out loops: {floors['8 bits each']:.0f} bits a second as they stand, "
    f"{floors['how common']:.0f} by how common, {floor:.1f} by counting {order} codes "
    f"back, {lstm:.1f} by the LSTM",
    lstm < floor - 1.5 and floor < 0.2 * floors["how common"],
)

# %% [markdown]
# Where do the bits that are left go? A sixteenth is eight frames. The network is told
# nothing of beats. **Predict:** is it unsure all the time alike?

# %%
by_place = each.reshape(-1, SIXTEENTH).mean(axis=0)
columns(
    {str(place): bits for place, bits in enumerate(by_place)},
    y="bits a code, held out",
    title="By the frame's place within a sixteenth",
)

# %%
finding(
    f"{by_place[-1] / by_place.sum():.0%} of the surprise is in one frame of eight",
    by_place.argmax() == SIXTEENTH - 1 and by_place[-1] > 0.3 * by_place.sum(),
)

# %% [markdown]
# A drum is a decision once a sixteenth; how it rings is known. **Question.** Why frame 7,
# and not frame 0, where the stroke begins? (Frames lap half over their neighbours: the
# last of a sixteenth already hears the next stroke.)
#
# ## 9. Sound that was never recorded
#
# The kit's player draws code after code, as in lab 2, and your shapes make sound of them.
# Beside it the same shapes, each as often as in the loops, in no order. **Predict:** what
# is lost, if every frame is a true frame of drums?

# %%
from audio_models.player import Player, generate
from audio_models.request import Request

asked = Request(
    prompts=np.tile(tokenizer.class_prompt(), (4, 1)),  # four of them
    max_new_tokens=512,
    min_new_tokens=512,
    grammar=tokenizer.grammar,
    temperature=0.8,
    seed=4,
)
made = generate(Player(architecture, weights), asked).ids  # (4, 512)
four = [tokenizer.decode(row).mono() for row in made]
composed = four[0]
hear(composed, RATE, title="Eight seconds, written code by code")

# %%
shuffled = np.random.default_rng(5).permutation(ids[:30, 1:].reshape(-1))[:512]
mixed = tokenizer.decode(shuffled).mono()
hear(mixed, RATE, title="The same shapes, in no order")

# %%
waves(composed, RATE, seconds=4, title="The first two bars that it wrote")

# %% [markdown]
# Does it keep time, and is it new? A stroke is a frame far louder than the one before;
# from stroke to stroke a drummer waits whole sixteenths, give or take a frame. And how
# long is the longest run of codes that stands in some loop it learnt from?


# %%
def in_time(sounds):
    """Of the waits between strokes, the share of whole sixteenths, a frame give or take."""
    waits = []
    for samples in sounds:
        power = (frames_of(samples) ** 2).mean(axis=1)
        strokes = np.flatnonzero(power[1:] > 4 * power[:-1] + 1e-5)
        strokes = strokes[
            np.diff(strokes, prepend=-9) > 2
        ]  # a rise of two frames is one
        waits += np.diff(strokes).tolist()
    return np.isin(np.array(waits) % SIXTEENTH, (SIXTEENTH - 1, 0, 1)).mean()


def longest_copy(codes, rows):
    """The longest run of codes (T,) that stands somewhere in rows (N, S), in codes."""
    best = 0
    run = np.zeros(rows.shape, int)  # that ends at each place
    for code in codes:
        before = np.pad(run[:, :-1], ((0, 0), (1, 0)))
        run = np.where(rows == code, before + 1, 0)
        best = max(best, int(run.max()))
    return best


# %%
true, kept, lost = in_time(loops[270:274]), in_time(four), in_time([mixed])
finding(
    f"in time: true loops {true:.0%}, composed {kept:.0%}, in no order {lost:.0%}",
    true > 0.9 and kept > lost + 0.2,
)
peak, loudness = np.abs(composed).max(), np.sqrt((composed**2).mean())
finding(f"peak {peak:.2f}, RMS {loudness:.3f}", peak < 1 and loudness > 0.01)
learnt = parts["train"][:, 1:]
copied = [longest_copy(row, learnt) / 64 for row in (*made, *ids[270:274, 1:])]
finding(
    f"the longest run out of a loop it learnt from, of 8 s: composed "
    f"{np.mean(copied[:4]):.1f} s; true loops that it never met {np.mean(copied[4:]):.1f} s",
    max(copied[:4]) < 4,
)

# %% [markdown]
# It slips now and then: once it is a frame off, nothing calls it back to the beat, since
# a code does not say where in the bar it stands.
#
# ## What you learnt
#
# - A codebook of vectors turns sound into whole numbers; k-means finds it, and never gets
#   worse on the way.
# - Noise costs a bit for six decibels, at best. Sound that repeats costs far less, and a
#   codebook knows only what it learnt from.
# - Count the codes in use: dead ones cost bits and give nothing.
# - Residual stages make fine codes out of few rows; they save memory, not bits.
# - The gradient of rounding is zero; a codec learns by passing it straight through.
# - A language model of codes is a language model. Whatever has tokens can be composed.
#
# ## Go further
#
# - Give the tokenizer your three stages (`num_quantizers = 3`): 192 tokens a second. How
#   much of the finer sound can the LSTM foretell?
# - `etude train FOLDER --recipe codec-transformer` trains on your own recordings through
#   the kit's codec. Its card says what it is not.
# - Replace k-means' start by one that draws each code far from those it has (k-means++).
#
# ## Reading
#
# - Gersho and Gray 1992, *Vector Quantization and Signal Compression*.
# - van den Oord et al. 2017, VQ-VAE: https://arxiv.org/abs/1711.00937
# - Zeghidour et al. 2021, SoundStream: https://arxiv.org/abs/2107.03312
# - Défossez et al. 2022, EnCodec: https://arxiv.org/abs/2210.13438
# - Borsos et al. 2022, AudioLM: https://arxiv.org/abs/2209.03143

# %%
hear(
    np.concatenate([sound_of(rebuilt)[:BAR], composed[:BAR], composed[-BAR:]]),
    RATE,
    title="A bar that was played, and two that never were",
)

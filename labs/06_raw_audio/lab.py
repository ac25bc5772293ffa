# %% [markdown]
# # Lab 6 · Raw audio
#
# No notes, no bars: a sound is a row of numbers, some thousand a second, and a network
# that tells the next one can play. You turn sound into 256 tokens, foretell a sine with
# two weights, and teach two networks a drum loop sample by sample.
#
# **Time:** an hour and a half, of which networks train for about a minute. **You will
# hear** a drum loop that a network plays sample by sample, epoch after epoch.
# **Follows:** the lecture on networks for artists (a drum beat, each sample a token; an
# LSTM that writes audio), and the study notes from RNN to Transformer (AR models).

# %%
import numpy as np

from data_pipelines.audio import Waveform, resample
from labs import check, finding
from labs.figures import columns, curves, heat, waves
from labs.hearing import hear

rng = np.random.default_rng(0)


def play(samples, rate, title=""):
    """Low rates are brought to 16 kHz: not every browser plays them as they are."""
    sound = Waveform(np.asarray(samples, np.float32)[:, None], rate)
    return hear(0.9 * resample(sound, 16_000).samples, 16_000, title=title)


# %% [markdown]
# ## Where we are going
#
# `drum-samples` ships with the kit. It has read thousands of drum sounds, one sample
# after another, 16,000 a second. Here are a kick, a snare and a tom that nobody struck.
# Each of their samples was drawn, knowing those before it, and nothing else.

# %%
from studio.models import open_model
from studio.sounds import SoundWish, compose_sound

drums = open_model("drum-samples")
made = [compose_sound(drums, SoundWish(label=kind, seed=1)).waveform
        for kind in ("kick", "snare", "tom")]  # fmt: skip
struck = np.concatenate([sound.mono() for sound in made])
print(f"{len(struck):,} samples drawn, {len(struck) / 16_000:.2f} seconds")
hear(struck, 16_000, title="A kick, a snare and a tom, drawn sample by sample")

# %% [markdown]
# Ours will be smaller: a loop of three drums at 3,200 samples a second, which trains in
# seconds. The drums are formulas: a sine that falls, a sine with noise, noise alone. A
# *performance* strikes them with new noise each time, a little late, louder or softer,
# as people do. So two performances are never alike, and one can be held out.

# %%
RATE, EIGHTH = 3200, 560  # samples a second, and in an eighth note


def strike(drum, rng):
    """One stroke, float (N,): its noise is another each time."""
    seconds = np.arange(0, 0.4 if drum == "kick" else 0.3, 1 / RATE)
    noise = rng.normal(size=len(seconds))
    if drum == "kick":
        turns = 50 * seconds + 4 * (1 - np.exp(-seconds / 0.03))
        return 0.9 * np.sin(2 * np.pi * turns) * np.exp(-seconds / 0.09)
    if drum == "snare":
        skin = 0.35 * np.sin(2 * np.pi * 190 * seconds)
        return (skin + 0.2 * noise) * np.exp(-seconds / 0.05)
    return 0.12 * np.diff(noise, prepend=0) * np.exp(-seconds / 0.025)


# %%
BAR = ["kick hat", "hat", "snare hat", "hat", "kick hat", "kick", "snare hat", "hat"]


def performance(bars, seed):
    """A loop of eight eighths, played by someone: float (bars * 4480,) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(bars * 8 * EIGHTH + RATE)
    for place, drums in enumerate(BAR * bars):
        for drum in drums.split():
            stroke = strike(drum, rng) * rng.uniform(0.75, 1)
            begin = place * EIGHTH + rng.integers(10)  # up to 3 ms late
            sound[begin : begin + len(stroke)] += stroke
    return np.clip(sound[: bars * 8 * EIGHTH], -1, 1)


# %%
learnt, held_out = performance(16, seed=1), performance(4, seed=2)
waves(learnt, RATE, seconds=2.8, title="Two bars: kick low, snare and hat broad")

# %%
play(learnt[:8960], RATE, "The loop, two bars of sixteen")

# %% [markdown]
# ## 1. A sample is one of 256
#
# A network that draws the next token needs a list of them. A sample lies anywhere
# between -1 and 1, so it is rounded to one of $\mu + 1 = 256$ levels, which is 8 bits.
# Even steps would be too coarse for soft sounds. The ear, too, hears ratios. So
# telephony first squeezes, with a logarithm on both sides of zero: the *mu-law*.
#
# $$ y = \operatorname{sign}(x) \frac{\ln(1 + \mu |x|)}{\ln(1 + \mu)} \qquad
#    \text{code} = \operatorname{round}\!\left(\mu \, \frac{y + 1}{2}\right) $$


# %%
def mu_law(samples, mu=255):
    """Codes of samples: ints 0 to mu, of the shape of `samples`, floats in [-1, 1].

    Example: mu_law(np.array([-1, 0, 1])) is [0, 128, 255]. A half is rounded up:
    np.floor(z + 0.5) does that. np.log1p(z) is ln(1 + z).
    """
    # BEGIN SOLUTION
    squeezed = np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    return np.floor((squeezed + 1) / 2 * mu + 0.5).astype(int)
    # END SOLUTION


check(mu_law)

# %% [markdown]
# The way back, from a code to the amplitude that it stands for:
#
# $$ y = \frac{2\,\text{code}}{\mu} - 1 \qquad
#    x = \operatorname{sign}(y) \frac{(1 + \mu)^{|y|} - 1}{\mu} $$


# %%
def mu_law_inverse(codes, mu=255):
    """Amplitudes in [-1, 1] of codes from 0 to mu: floats of the same shape.

    Example: mu_law_inverse(np.array([0, 255])) is [-1, 1].
    """
    # BEGIN SOLUTION
    y = 2 * np.asarray(codes) / mu - 1
    return np.sign(y) * ((1 + mu) ** np.abs(y) - 1) / mu
    # END SOLUTION


check(mu_law_inverse)

# %%
from data_pipelines.audio import mu_law_decode, mu_law_encode

codes = mu_law(learnt)
same = (codes == mu_law_encode(learnt)).all()
apart = np.abs(mu_law_inverse(codes) - mu_law_decode(codes)).max()
finding(f"your codes are the kit's; the way back is {apart:.0e} from its own",
        same and apart < 1e-6)  # fmt: skip
curves(
    {"the loop": learnt[1120:1240], "its 16 levels": mu_law_inverse(
        mu_law(learnt[1120:1240], 15), 15)},
    x="sample",
    y="amplitude",
    title="With 4 bits: fine near zero, coarse far from it",
)  # fmt: skip

# %% [markdown]
# What is lost? The *signal-to-noise ratio* is the energy of the sound over that of the
# error, told in decibels: ten times as much energy is 10 dB.
#
# $$ \text{SNR} = 10 \log_{10} \frac{\sum x^2}{\sum (x - \hat x)^2} $$


# %%
def snr_db(sound, received):
    """The signal-to-noise ratio of what was received, in dB: a float.

    sound, received: floats (N,). Example: a copy that is 10% too soft has 20 dB.
    """
    # BEGIN SOLUTION
    return 10 * np.log10((sound**2).sum() / ((sound - received) ** 2).sum())
    # END SOLUTION


check(snr_db)

# %% [markdown]
# **Predict:** a sine of full scale, there and back: how many dB at 8 bits, at 6, at 4?
# And the same sine a hundred times as soft (40 dB down), beside even steps?

# %%
sine = np.sin(2 * np.pi * 440 / RATE * np.arange(RATE))
there_and_back = {
    f"{bits} bits": snr_db(sine, mu_law_inverse(mu_law(sine, 2**bits - 1), 2**bits - 1))
    for bits in (8, 6, 4)
}
finding(
    "a sine of full scale keeps "
    + ", ".join(f"{db:.1f} dB at {bits}" for bits, db in there_and_back.items()),
    there_and_back["8 bits"] >= 30 > there_and_back["4 bits"],
    covers=("a03",),
)

# %%
down = np.arange(0, 61, 5)
softer = [sine * 10 ** (-db / 20) for db in down]
curves(
    {
        "mu-law": (down, [snr_db(x, mu_law_inverse(mu_law(x))) for x in softer]),
        "even steps": (down, [snr_db(x, np.round(127 * x) / 127 + 1e-12)
                              for x in softer]),
    },
    x="how soft, dB below full scale",
    y="SNR, dB",
    title="8 bits: mu-law pays at the top, and gains below",
)  # fmt: skip

# %%
bar = learnt[:4480]
coarser = [mu_law_inverse(mu_law(bar, mu), mu) for mu in (255, 63, 15)]
play(np.concatenate(coarser), RATE, "A bar at 8 bits, at 6, at 4: listen to the tails")

# %% [markdown]
# (Cutting a sound into slices that overlap, and adding them up again, was lab 0's. Here
# nothing is cut: the samples themselves are the tokens.)
#
# ## 2. Two weights and a sine
#
# Before networks: an *autoregressive* model, AR(p), tells the next sample by a weighted
# sum of the last p.
#
# $$ \hat x_t = a_1 x_{t-1} + a_2 x_{t-2} + \dots + a_p x_{t-p} $$
#
# The weights are those that miss least, in the sum of squares: a linear system. For a
# sine of $w$ radians a sample, school trigonometry says
# $\sin(wt) = 2 \cos w \, \sin(w(t-1)) - \sin(w(t-2))$.


# %%
def ar_fit(samples, order):
    """The weights a_1 to a_p of least squares, floats (order,), newest sample first.

    samples: floats (N,). Only samples that have `order` others before them are told.
    np.linalg.lstsq(past, target)[0] solves past (M, order) @ a = target (M,).
    """
    # BEGIN SOLUTION
    past = [samples[order - k : len(samples) - k] for k in range(1, order + 1)]
    return np.linalg.lstsq(np.stack(past, axis=1), samples[order:], rcond=None)[0]
    # END SOLUTION


check(ar_fit)

# %% [markdown]
# **Predict:** the weights for 440 Hz at 3,200 samples a second. And what becomes of the
# second one if the sine has gone through 8 bits?

# %%
w = 2 * np.pi * 440 / RATE
clean = ar_fit(sine, 2)
rough = ar_fit(mu_law_inverse(mu_law(sine)), 2)
print("from 8 bits:", np.round(rough, 4))
finding(
    f"AR(2) finds {clean[0]:.6f} and {clean[1]:.6f}; 2 cos w is {2 * np.cos(w):.6f}",
    abs(clean[0] - 2 * np.cos(w)) < 1e-3 and abs(clean[1] + 1) < 1e-3,
    covers=("b03",),
)


# %%
def sing(weights, start, count):
    """Go on from the last samples of `start` by the weighted sum alone."""
    sound = list(start)
    for _ in range(count):
        sound.append(np.dot(weights, sound[: -len(weights) - 1 : -1]))
    return np.array(sound)


# %%
endless, fading = sing(clean, sine[:2], RATE), sing(rough, sine[:2], RATE)
peaks = {"from the sine": endless, "from its 8 bits": fading}
curves(
    {
        name: np.abs(y[: RATE // 20 * 20]).reshape(-1, 20).max(1)
        for name, y in peaks.items()
    },
    x="20 samples",
    y="highest of them",
    title="Two samples, two weights, and on it goes",
)

# %%
play(
    0.6 * np.concatenate([endless, fading]), RATE, "Two weights sing; from 8 bits, less"
)

# %% [markdown]
# **Question.** Why does the second one fade? (Rounding is noise, and noise cannot be
# foretold. Least squares trusts the past a little less for it: $-a_2$ falls below 1,
# and $\sqrt{-a_2}$ is what is left of the tone after each sample.) To tell a *number*
# is too little, then. A network tells a *chance for each of the 256*, and draws.
#
# ## 3. The measure, and the floor
#
# How good is a forecast of chances? As in lab 2, by the cross-entropy; for sound one
# says it in bits. 256 levels, all as likely, are 8 bits a sample.
#
# $$ \text{bits} = -\frac1T \sum_t \log_2 p(c_t) \qquad \log_2 p = \ln p \, / \ln 2 $$


# %%
def bits_per_sample(log_p, codes):
    """The mean bits of what came: a float.

    log_p: floats (T, levels), ln p of each code at each place. codes: ints (T,), those
    that came. log_p[np.arange(T), codes] picks one number a row.
    """
    # BEGIN SOLUTION
    return -np.mean(log_p[np.arange(len(codes)), codes]) / np.log(2)
    # END SOLUTION


check(bits_per_sample)

# %% [markdown]
# The least a network must beat is a table: which code comes after which, counted. Most
# of its 65,536 fields are never seen, so each row $a$ is blended with the share $q$ of
# each code anywhere. The strength $s$ says how many counts that is worth.
#
# $$ p(b \mid a) = \frac{N(a, b) + s\, q(b)}{N(a) + s} \qquad
#    q(b) = \frac{N(b) + 1}{N + \text{levels}} $$
#
# $N(a,b)$: how often $b$ comes right after $a$; $N(a)$: how often anything comes after
# $a$; $N(b)$: how often $b$ is there at all; $N$: how many codes.


# %%
def markov_table(codes, levels, strength):
    """p(b | a) as floats (levels, levels), a row for each a; each row sums to 1.

    codes: ints (N,), 0 to levels - 1. np.bincount(codes, minlength=levels) counts
    codes; np.add.at(table, (codes[:-1], codes[1:]), 1) counts pairs, however
    often they come.
    """
    # BEGIN SOLUTION
    table = np.zeros((levels, levels))
    np.add.at(table, (codes[:-1], codes[1:]), 1)
    share = (np.bincount(codes, minlength=levels) + 1) / (len(codes) + levels)
    blended = table + strength * share
    return blended / (table.sum(axis=1, keepdims=True) + strength)
    # END SOLUTION


check(markov_table)

# %% [markdown]
# The floors, counted on the performance that is learnt from and measured on the one
# held out. The table may even choose its strength by the held-out sound, which no
# network may. Beside it AR(16), as the kit makes chances of it: the sample lies around
# the sum that was foretold, the farther off the less likely, by as much as the last
# ones did.

# %%
from audio_models.autoregression import fit_autoregression

heard = mu_law(held_out)
log_table = {s: np.log(markov_table(codes, 256, s)) for s in (1, 3, 10, 30, 100, 300)}
by_strength = {s: bits_per_sample(t[heard[:-1]], heard[1:])
               for s, t in log_table.items()}  # fmt: skip

# %%
share = np.log((np.bincount(codes, minlength=256) + 1) / (len(codes) + 256))
edges = mu_law_inverse(np.arange(257) - 0.5)
edges[[0, -1]] = -np.inf, np.inf
ar = fit_autoregression([mu_law_inverse(codes)], 16, forgetting=0.97)
floors = {
    "all alike": 8.0,
    "counts": bits_per_sample(np.tile(share, (len(heard), 1)), heard),
    "Markov": min(by_strength.values()),
    "AR(16)": ar.bits(heard, mu_law_inverse(np.arange(256)), edges).mean(),
}
columns(floors, y="bits a sample, held out", title="The floors")

# %% [markdown]
# ## 4. An LSTM that goes on
#
# Lab 2's network, on samples? A tenth of a second is 320 of them, and an LSTM that
# steps through each learns slowly. *SampleRNN* has two tiers: the LSTM moves once a
# **frame** of 8 samples, and within the frame a small network tells each sample from
# the memory and the last few samples themselves.
#
# $$ h_f = \operatorname{LSTM}(\text{frame } f,\, h_{f-1}) \qquad
#    p(c_t) = \operatorname{softmax}(\operatorname{MLP}(c_{t-48} \dots c_{t-1},\, h)) $$
#
# First task: tones. A small bank of sines, the same mixture at six pitches from A2 to
# E4, at 2,000 samples a second. Each row of training is a tone of random loudness that
# begins anywhere in its wave.

# %%
from audio_models.frames import Frames
from audio_models.network import Network

LOW, PITCHES = 2000, np.array([45, 48, 52, 57, 60, 64])  # A C E A C E
BOS, FIRST = 1, 4  # the token at the beginning; code k is token 4 + k, as in the kit


def tone(pitch, rng, count):
    """Three sines, one over the square of their number as strong: floats (count,)."""
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    turns = hertz * np.arange(count) / LOW + rng.random()
    wave = sum(np.sin(2 * np.pi * k * turns) / k**2 for k in (1, 2, 3))
    return rng.uniform(0.2, 0.8) * wave / np.abs(wave).max()


# %%
def tokens(sound):
    return np.append(BOS, FIRST + mu_law(sound)).astype("int32")


# %% [markdown]
# Training is Keras's own `fit`: rows in, the same rows one sample later as the goal.
# The learning rate climbs for twenty steps and then falls along a cosine.

# %%
import keras


def train(network, rows, rate, batch_size, epochs=1, after=None):
    """Read rows (N, T + 1) some times; after each epoch call `after(weights)`."""
    steps = epochs * (len(rows) // batch_size)
    fall = keras.optimizers.schedules.CosineDecay(
        rate / 20, steps - 20, alpha=0.05, warmup_target=rate, warmup_steps=20
    )
    network.compile(
        keras.optimizers.Adam(fall, global_clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    keras.utils.set_random_seed(0)  # of the order of the rows
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: after and after(network.named_weights()))  # fmt: skip
    network.fit(rows[:, :-1], rows[:, 1:], batch_size=batch_size, epochs=epochs,
                callbacks=[told], verbose=0)  # fmt: skip
    return network.named_weights()


# %%
singer = Frames(FIRST + 256, frame=8, window=48, hidden_dim=64, sample_dim=64)
rng = np.random.default_rng(0)
rows = np.stack([tokens(tone(rng.choice(PITCHES), rng, 256)) for _ in range(2000)])
voice = train(Network(singer, seed=0), rows, rate=0.01, batch_size=8)

# %% [markdown]
# Now it is given 50 ms, a hundred samples, of a tone at a loudness and a phase that it
# never heard, and goes on for half a second. **Predict:** its errors feed on
# themselves, as with the two weights from 8 bits. Will it fade, drift, or hold?

# %%
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.tokenizers.wave import WaveTokenizer

GRAMMAR = WaveTokenizer(RATE).grammar  # any sample may come after any other


def go_on(architecture, weights, prompt, count, temperature=1.0, seed=0):
    """Draw `count` samples behind a prompt of tokens (P,): floats (count,)."""
    asked = Request([prompt.tolist()], count, GRAMMAR, min_new_tokens=count,
                    temperature=temperature, seed=seed)  # fmt: skip
    made = generate(Player(architecture, weights), asked)
    return mu_law_inverse(made.ids[0] - FIRST)


# %%
from data_pipelines.pitch import midi_pitch_of

rng = np.random.default_rng(2025)
prompts = [tone(pitch, rng, 100) for pitch in np.tile(PITCHES, 2)]
sung = [go_on(singer, voice, tokens(prompt), 1000, temperature=0.3)
        for prompt in prompts]  # fmt: skip
wanted = np.tile(PITCHES, 2)
pitches = [midi_pitch_of(Waveform(y[500:, None], LOW)) or 0 for y in sung]
off = np.abs(pitches - wanted)
level = [np.sqrt((y**2).mean()) / np.sqrt((x**2).mean())
         for x, y in zip(prompts, sung, strict=True)]  # fmt: skip
peak = max(np.abs(y).max() for y in sung)

# %%
finding(
    f"{len(sung)} tones go on: in their second half at most {off.max():.2f} semitones "
    f"off, {min(level):.2f} to {max(level):.2f} times as loud as given, peak {peak:.2f}",
    off.max() < 1 and min(level) > 0.5 and peak < 0.99,
    covers=("f02",),
)
curves(
    {"given": prompts[3][-60:], "sung": (np.arange(60, 160), sung[3][:100])},
    x="sample",
    y="amplitude",
    title="An A of 50 ms, and what the LSTM makes of it",
)

# %%
six = [np.concatenate([x, y]) for x, y in zip(prompts[:6], sung[:6], strict=True)]
play(np.concatenate(six), LOW, "Six prompts of 50 ms, each continued")

# %% [markdown]
# Where two weights faded, the network holds. It rounds, too; but it has learnt what
# tones do, and a wave that is a little off is brought back to one that it knows. (And a
# pitch that it was never taught? Try it, at the end.)
#
# ## 5. Far back without steps
#
# A beat needs a longer memory: an eighth is 560 samples. *WaveNet* has no state. Each
# layer adds two samples, now and some **distance** ago, and the distance doubles from
# layer to layer. "Causal": nothing is taken from the future.
#
# $$ y_t = \sum_k w_k \, x_{t - k d} \qquad k = 0, 1 \qquad d = 1, 2, 4, 8 \dots $$


# %%
def causal_layer(x, kernel, distance):
    """One dilated layer of one channel: floats (T,), from x (T,).

    kernel: floats (K,), kernel[k] weighs the sample k * distance ago. Before the
    beginning there are zeros. Example: [1, 2, 3] under [0, 1], distance 1: [0, 1, 2].
    """
    # BEGIN SOLUTION
    gap = (len(kernel) - 1) * distance
    padded = np.concatenate([np.zeros(gap), x])
    late = [padded[gap - k * distance :][: len(x)] for k in range(len(kernel))]
    return sum(weight * part for weight, part in zip(kernel, late, strict=True))
    # END SOLUTION


check(causal_layer)

# %% [markdown]
# How far does the last of several layers see? An impulse shows it: one sample of 1,
# then zeros; as long as it is heard, so far back sees the network.


# %%
def receptive_field(distances, taps=2):
    """How many samples, the present one included, a stack sees: an int.

    distances: ints, one a layer. taps: int, samples that each layer adds.
    Example: receptive_field([1, 2, 4]) is 8.
    """
    # BEGIN SOLUTION
    return 1 + (taps - 1) * sum(distances)
    # END SOLUTION


check(receptive_field)

# %%
distances = [2**n for n in range(11)]
impulse = np.eye(1, 4000)[0]
rung = impulse
for distance in distances:
    rung = causal_layer(rung, np.array([0.5, 0.5]), distance)
theirs = keras.layers.Conv1D(1, 2, dilation_rate=64, padding="causal", use_bias=False)
theirs.build((1, 4000, 1))
theirs.set_weights([np.array([0.3, 0.7]).reshape(2, 1, 1)])  # the oldest first
line = np.array(theirs(held_out[None, :4000, None]))[0, :, 0]
apart = np.abs(line - causal_layer(held_out[:4000], np.array([0.7, 0.3]), 64)).max()
finding(
    f"your layer is {apart:.0e} from Keras's; eleven of them hear an impulse for "
    f"{(rung > 0).sum()} samples, {receptive_field(distances) / EIGHTH:.2f} eighths",
    apart < 1e-6 and (rung > 0).sum() == receptive_field(distances) == 2048,
)

# %% [markdown]
# Eleven layers of two weights see over half a second, where a single layer would need
# 2,048 weights. The kit's `Dilated` has 20 channels, and a gate in each layer, as an
# LSTM has: $\tanh(\cdot) \odot \sigma(\cdot)$.
#
# ## 6. The loop, sample by sample
#
# Both networks read the sixteen bars, cut into rows of 1.3 seconds that overlap. After
# each epoch the dilated one is given half a bar of the held-out performance, and plays
# a bar on. **Predict:** what comes first, the sound of the drums or the beat?

# %%
from audio_models import numpy_ops
from audio_models.dilated import Dilated

long = tokens(learnt)
rows = np.stack([long[i : i + 4096] for i in range(0, len(long) - 4096, 1360)])
rows[:, 0] = BOS


def held_out_bits(architecture, weights):
    """Bits a sample of the held-out performance, read in one go from its beginning."""
    ids = tokens(held_out)
    logits, _ = architecture.forward(numpy_ops, weights, ids[None, :-1])
    log_p = numpy_ops.log_softmax(logits)[0, :, FIRST:]
    return bits_per_sample(log_p, ids[1:] - FIRST)


# %%
stack = Dilated(FIRST + 256, hidden_dim=20, num_layers=11, cycle=11, skip_dim=48)
network, bars, falls = Network(stack, seed=0), [], []
half = held_out[:2240]  # half a bar, to begin with


def listen(weights):
    bars.append(go_on(stack, weights, tokens(half), 4480, seed=1))
    falls.append(held_out_bits(stack, weights))
    print(f"after epoch {len(falls) - 1}: {falls[-1]:.2f} bits a sample, held out")


listen(network.named_weights())
played = train(network, rows, rate=0.006, batch_size=1, epochs=4, after=listen)

# %%
play(
    np.concatenate([half, *bars]),
    RATE,
    "Half a bar given; a bar untrained; then each epoch's",
)


# %%
def loudness_db(sound, hop=70):
    """The level of each 22 ms, in dB below full scale, at least -60."""
    power = (np.asarray(sound)[: len(sound) // hop * hop].reshape(-1, hop) ** 2).mean(1)
    return 10 * np.log10(np.maximum(power, 1e-6))


heat(
    [loudness_db(bar) for bar in [*bars, held_out[2240:6720]]],
    x="place after the half bar, 22 ms each",
    y_ticks=["untrained", *(f"epoch {n}" for n in range(1, 5)), "played"],
    title="How loud, in dB: from noise to a beat",
)

# %% [markdown]
# First how loud it may be, then what a drum sounds like, and last when it is due. The
# first two pay in every sample; the beat pays only where a drum begins, a few samples
# in five hundred.

# %%
memory = Frames(FIRST + 256, frame=16, window=16, hidden_dim=96, sample_dim=64)
short = rows.reshape(-1, 2048).copy()
short[:, 0] = BOS
lstm = train(Network(memory, seed=0), short, rate=0.006, batch_size=1, epochs=4)
found = floors | {"LSTM": held_out_bits(memory, lstm), "dilated": falls[-1]}
finding(
    f"bits a sample, held out: LSTM {found['LSTM']:.2f}, dilated stack "
    f"{found['dilated']:.2f}; Markov {found['Markov']:.2f}, AR(16) {found['AR(16)']:.2f}",
    max(found["LSTM"], found["dilated"]) < min(floors.values()),
    covers=("a03",),
)
columns(found, y="bits a sample, held out", title="Below every floor")

# %% [markdown]
# Most of what is left cannot be learnt: the noise of snare and hat is drawn anew at
# each stroke. Now four bars of each, after the same half bar, and how they keep time:
# how much the loudness of a place is like that of places later (a *correlation*: 1 is
# the same, 0 nothing in common).

# %%
beats = {
    "played": held_out,
    "dilated": go_on(stack, played, tokens(half), 17_920, seed=1),
    "LSTM": go_on(memory, lstm, tokens(half), 17_920, seed=1),
}


def likeness(sound, most=40):
    """Correlation of the loudness with itself, 1 to `most` places of 22 ms later."""
    level = loudness_db(sound)
    with np.errstate(invalid="ignore"):  # of silence there is none
        return [np.corrcoef(level[:-k], level[k:])[0, 1] for k in range(1, most + 1)]


# %%
alike = {name: (np.arange(1, 41) / 8, likeness(y)) for name, y in beats.items()}
curves(alike, x="eighths later", y="likeness of loudness", title="Who keeps time?")

# %%
play(
    np.concatenate([half, beats["dilated"]]), RATE, "Half a bar, and the stack goes on"
)

# %%
play(np.concatenate([half, beats["LSTM"]]), RATE, "The same half bar, and the LSTM")

# %% [markdown]
# **Question.** Both tell the next sample well, and the bits are close. Which one would
# you dance to? What does the mean over all samples hide?
#
# ## What you learnt
#
# - Sound is a row of numbers; mu-law makes 256 tokens of them, fine near zero.
# - Two weights tell a sine. Feed a forecast on itself, and small errors count.
# - Bits a sample, on sound held out, beside a table and AR: the floors come first.
# - An LSTM that moves once a frame goes on in the pitch that it is given.
# - A dilated stack sees half a second with eleven layers, at once, without a state.
# - A loss can be low and the beat lost: it counts samples, and you hear drums.
#
# ## Go further
#
# - Prompt the singer with a D, MIDI 50, which it was never taught. Where does it go?
# - Leave out layers of the stack until it sees less than an eighth. Who keeps time now?
# - `etude train FOLDER --recipe wave-conv` with a folder of your own drum sounds.
#
# ## To read
#
# - van den Oord et al. 2016, *WaveNet*, arxiv.org/abs/1609.03499
# - Mehri et al. 2017, *SampleRNN*, arxiv.org/abs/1612.07837
# - Paine et al. 2016, *Fast WaveNet Generation Algorithm*, arxiv.org/abs/1611.09482
# - ITU-T Recommendation G.711: the mu-law of telephony

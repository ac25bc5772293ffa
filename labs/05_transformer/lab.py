# %% [markdown]
# # Lab 5 · The Transformer
#
# No recurrence: each note looks back at all the notes before it, and takes from each as
# much as it wants. You build that by hand, eight small functions, and feed them a trained
# network's weights: they give the network's own answers.
#
# **Time:** an hour and a half, of which networks train for about a minute. **You will
# hear** Schubert's opening, finished. **Follows:** the last part of MIT 6.S191 lecture 2,
# the study notes from RNN to Transformer, and the slides with a practical.

# %%
from pathlib import Path

import numpy as np

from labs import check, finding
from labs.figures import columns, curves, heat, roll
from labs.hearing import hear

rng = np.random.default_rng(0)

# %% [markdown]
# ## Where we are going
#
# Eight bars by Schubert: the cellos begin his eighth symphony, which he left unfinished.
# `pop-piano` is a Transformer that ships with the kit: *generative* (it writes),
# *pretrained* (on 510 pop songs, never on Schubert). It is given the eight bars and goes
# on for four. Nothing is trained, nothing is fetched.

# %%
import assets
from data_pipelines.abc import parse_tune
from studio.carry_on import Onward, carry_on
from studio.models import open_model

scores = Path(assets.__file__).parent / "scores"
opening = parse_tune((scores / "unfinished-opening.abc").read_text())
pop = open_model("pop-piano")
onward = carry_on(pop, opening, Onward(bars=4, seed=1))
hear(onward.score, title="Schubert's opening, and four bars by a Transformer")

# %%
from studio.outputs import write_outputs

target = Path("a pianist reads Schubert.wav")
write_outputs(onward.score, [target])
finding(
    f"{len(opening.notes)} notes went in, {onward.notes_added} came behind them, and a "
    f"{target.stat().st_size / 1e6:.1f} MB WAV lies in this folder; no training",
    onward.notes_added > 0
    and pop.model_name == "transformer"
    and onward.score.notes[: len(opening)].tobytes() == opening.notes.tobytes(),
    covers=("d13", "d14"),
)

# %% [markdown]
# ## 1. Ask, answer, tell
#
# Looking for a video you type a *query*; it is held against the *key* of each video, its
# title; of the best match you get the *value*, the film. Attention does the same with
# vectors $x_t$ of notes, softly: every match counts as much as it fits.
#
# $$ q = x W_q \quad k = x W_k \quad v = x W_v \qquad
#    A = \operatorname{softmax}\!\left(\frac{q k^\top}{\sqrt d}\right) \qquad
#    \text{out} = A v $$
#
# A dot product of $d$ numbers grows like $\sqrt d$; divided by it, the softmax stays soft.
# The softmax is lab 2's: exponentials over their sum, here along each row.


# %%
def attention_weights(queries, keys):
    """How much each query takes from each key: (..., T, S); each row sums to 1.

    queries: floats (..., T, d). keys: floats (..., S, d). The largest score of a row can
    be taken off the row first: e^1000 is too large. Before d there may be other axes,
    the heads: np.swapaxes(keys, -1, -2) turns the last two and leaves those alone.
    """
    # BEGIN SOLUTION
    scores = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
    # END SOLUTION


check(attention_weights)

# %% [markdown]
# Four notes, C E G C, worked by hand. Each is a vector of $d = 4$ numbers, 1 at its own
# name. $W_k$ leaves it; $W_q$ makes it $2 \ln 3$ times as long. So the score of two equal
# notes is $2 \ln 3 / \sqrt 4 = \ln 3$, and of two others 0; their exponentials are 3 and 1.
# **Predict:** from the last C, how much goes to each of the four?

# %%
names = ["C", "E", "G", "C "]
x = np.eye(4)[[0, 1, 2, 0]]  # (4 notes, 4)
w_query, w_key, w_value = 2 * np.log(3) * np.eye(4), np.eye(4), np.eye(4)
by_hand = np.array([[3, 1, 1, 3], [1, 3, 1, 1], [1, 1, 3, 1], [3, 1, 1, 3]], float)
by_hand /= by_hand.sum(axis=1, keepdims=True)
mine = attention_weights(x @ w_query, x @ w_key)
heat(
    mine,
    x="is taken from",
    y="note",
    x_ticks=names,
    y_ticks=names,
    numbers=True,
    title="Four notes ask each other",
)

# %% [markdown]
# Is that what a library's layer does? Keras's has the same four matrices (the last mixes
# the result); copy ours into it and ask.

# %%
import keras

layer = keras.layers.MultiHeadAttention(num_heads=1, key_dim=4, use_bias=False)
layer.build(x[None].shape, x[None].shape)
layer.set_weights(
    [w.reshape(4, 1, 4) for w in (w_query, w_key, w_value)] + [np.eye(4)[None]]
)
_, told = layer(x[None], x[None], return_attention_scores=True)
apart = np.abs(np.array(told)[0, 0] - by_hand).max()
finding(
    f"three ways, one answer: the layer is {apart:.0e} from the weights by hand, "
    f"yours {np.abs(mine - by_hand).max():.0e}",
    apart < 1e-6 and np.abs(mine - by_hand).max() < 1e-6,
    covers=("d19",),
)

# %% [markdown]
# ## 2. What is learnt here?
#
# People speak of "attention weights", and a network's weights are what it learns. Are
# these the same? Say of each name whether training moves it. What is worked out anew for
# each tune is not learnt, and neither is what a formula or a person sets.


# %%
def is_learnt(name):
    """Whether a step of training changes what has this name: True or False.

    The names: "embedding" (a vector for each token), "W_query", "W_key", "W_value",
    "W_out", "queries", "keys", "values", "scores", "attention weights", "causal mask"
    (who may look at whom), "sinusoids" (waves that tell the place), "number of heads",
    "gain of the norm" (a factor for each number of a vector).
    """
    # BEGIN SOLUTION
    learnt = {"embedding", "W_query", "W_key", "W_value", "W_out", "gain of the norm"}
    return name in learnt
    # END SOLUTION


check(is_learnt)

# %% [markdown]
# The layer itself, asked: what does it hold, and what does another tune change?

# %%
kept = [w.copy() for w in layer.get_weights()]
other = np.eye(4)[[2, 2, 0, 1]]  # G G C E
_, looks = layer(other[None], other[None], return_attention_scores=True)
moved = np.abs(np.array(looks) - np.array(told)).max()
still = all((a == b).all() for a, b in zip(kept, layer.get_weights(), strict=True))
held = [v.path.split("/")[-2] for v in layer.trainable_variables]
print("held and trained:", *held)
finding(
    f"another tune moves the attention weights by up to {moved:.2f}, and no matrix",
    moved > 0.1 and still and not any("score" in name for name in held),
    covers=("e17",),
)

# %% [markdown]
# ## 3. Not into the future
#
# A network that foretells note $t + 1$ must not see it. So a place looks back only, at
# itself and what came before: the scores of all that is to come are set to $-\infty$
# *before* the softmax, which makes their weights 0 and lets the rest sum to 1.


# %%
def look_back(queries, keys):
    """Attention weights (..., T, T) of places that see 0 to t only; rows sum to 1.

    queries, keys: floats (..., T, d), of the same T places. np.tri(T, dtype=bool) is True
    where a row may look.
    """
    # BEGIN SOLUTION
    scores = queries @ np.swapaxes(keys, -1, -2) / np.sqrt(queries.shape[-1])
    scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
    # END SOLUTION


check(look_back)

# %%
heat(
    look_back(x @ w_query, x @ w_key),
    x="is taken from",
    y="note",
    x_ticks=names,
    y_ticks=names,
    numbers=True,
    title="C E G C, without the future",
)

# %% [markdown]
# The first C has only itself: a weight of 1. The last one sees all, as before.
#
# ## 4. Several at once
#
# One look mixes all it wants to know into one average. *Heads* look separately: the $D$
# numbers are cut into $H$ parts of $D / H$, each has its own look, and the results are
# laid side by side again. **Predict:** do eight heads need more parameters than one?


# %%
def split_heads(x, heads):
    """(T, D) -> (heads, T, D / heads): head h has the h-th part of each place's numbers.

    Example: [[1, 2, 3, 4]] in two heads is [[[1, 2]], [[3, 4]]].
    """
    # BEGIN SOLUTION
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)
    # END SOLUTION


check(split_heads)

# %% [markdown]
# Now the whole layer out of your functions, beside Keras's with the same matrices.

# %%
D = 24


def multi_head(x, matrices, heads):
    """x (T, D) through attention of some heads; matrices (D, D): W_q, W_k, W_v, W_out."""
    q, k, v = (split_heads(x @ w, heads) for w in matrices[:3])
    gathered = attention_weights(q, k) @ v  # (heads, T, D / heads)
    return gathered.transpose(1, 0, 2).reshape(len(x), -1) @ matrices[3]


notes = rng.normal(size=(7, D)).astype("float32")
matrices = [rng.normal(0, D**-0.5, (D, D)).astype("float32") for _ in range(4)]

# %%
apart, sizes = [], {}
for heads in (1, 2, 4, 8):
    d = D // heads
    theirs = keras.layers.MultiHeadAttention(heads, d, use_bias=False)
    theirs.build((1, 7, D), (1, 7, D))
    shapes = [(D, heads, d)] * 3 + [(heads, d, D)]
    theirs.set_weights([w.reshape(s) for w, s in zip(matrices, shapes, strict=True)])
    out = np.array(theirs(notes[None], notes[None]))[0]
    apart.append(np.abs(out - multi_head(notes, matrices, heads)).max())
    sizes[heads] = theirs.count_params()

# %%
finding(
    f"your layer is at most {max(apart):.0e} from Keras's, whatever the heads",
    max(apart) < 1e-5,
    covers=("e07",),
)
finding(
    f"1, 2, 4 and 8 heads have {sorted(set(sizes.values()))} parameters: 4 D²",
    set(sizes.values()) == {4 * D * D},
    covers=("e08",),
)

# %% [markdown]
# ## 5. Where am I?
#
# A sum does not know the order of what was added. **Predict:** one layer is given the
# notes before the last in another order; what changes in its answer to the last? We take
# a network of the kit whose table of places is full of zeros, so that it knows none.

# %%
from audio_models import numpy_ops
from audio_models.transformer import Transformer


def last_changes(layers, knows_places):
    """How far the last logits move when the notes before it are shuffled."""
    sizes = {"hidden_dim": 16, "num_heads": 2, "context_length": 16}
    network = Transformer(12, num_layers=layers, positions="learned", **sizes)
    rng = np.random.default_rng(1)
    named = {name: rng.normal(0, 1, w.shape) for name, w in network.weights().items()}
    named["position"] *= knows_places
    row = rng.integers(0, 12, 10)
    mixed = np.r_[rng.permutation(row[:-1]), row[-1]]
    logits, _ = network.forward(numpy_ops, named, np.stack([row, mixed]))
    return np.abs(logits[0, -1] - logits[1, -1]).max()


blind, seeing, deep = last_changes(1, 0), last_changes(1, 1), last_changes(2, 0)

# %%
finding(
    f"without places a layer hears a set: the last logits move by {blind:.0e}; "
    f"with places by {seeing:.1f}",
    blind < 1e-9 and seeing > 0.1,
    covers=("e09",),
)
finding(f"two layers without places do notice: {deep:.1f}", deep > 0.01)

# %% [markdown]
# **Question.** Two layers are told no places either. How do they notice? (In the first,
# each place sees only what came before *it*: that differs after a shuffle, and the second
# layer reads it. The mask lets a little order in.)
#
# The remedy of 2017: add to each note's vector a vector of its place, waves of many
# speeds. With them the distance of two places is a rotation, which a matrix can learn.
#
# $$ \text{wave}_{t,\,p} = \sin \frac{t}{10000^{2p/D}} \qquad
#    \text{wave}_{t,\,D/2 + p} = \cos \frac{t}{10000^{2p/D}} \qquad 0 \le p < D/2 $$


# %%
def place_waves(places, width):
    """A row of waves for each place: sines in the left half, their cosines in the right.

    places: ints (T,). width: int D, even. Returns floats (T, D). The paper lays sine and
    cosine in turn; we lay them side by side, as the kit does.
    """
    # BEGIN SOLUTION
    pairs = np.arange(width // 2)
    speed = 10_000.0 ** (-2 * pairs / width)  # radians a place
    angle = np.asarray(places)[:, None] * speed
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)
    # END SOLUTION


check(place_waves)

# %%
heat(
    place_waves(np.arange(24), 32),
    x="number of the vector",
    y="place",
    title="Each place has a vector of its own",
)

# %% [markdown]
# ## 6. A block
#
# Attention gathers; a small network (the *feed-forward* or MLP) then thinks about each
# place alone. Each half is *added* to what came in: the *residual*. Before each half the
# vector is brought to one loudness. The layer norm takes off its mean, too; the kit's, as
# in most of today's networks, does not:
#
# $$ \operatorname{level}(x) = \frac{x}{\sqrt{\frac1D \sum_i x_i^2 + 10^{-6}}} $$


# %%
def level(x):
    """Each vector of x (..., D) over the root of the mean of its squares."""
    # BEGIN SOLUTION
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6)
    # END SOLUTION


check(level)

# %% [markdown]
# $$ y = x + \operatorname{attention}(\operatorname{norm}(x)) \qquad
#    \text{out} = y + \operatorname{mlp}(\operatorname{norm}(y)) $$


# %%
def block(x, norm, attention, mlp):
    """One layer of a Transformer: x (T, D) -> (T, D).

    norm, attention, mlp: functions of an array (T, D), each giving another.
    """
    # BEGIN SOLUTION
    x = x + attention(norm(x))
    return x + mlp(norm(x))
    # END SOLUTION


check(block)

# %% [markdown]
# Why add, and why level? A gradient comes down the sum as it is, beside what comes
# through the layers. **Predict:** eight blocks deep, how much of it reaches the first,
# with and without the sums, with and without the norms? Your `block` takes any arrays,
# so TensorFlow can differentiate it. All four stacks have the same matrices, and ReLU.

# %%
import tensorflow as tf


def replaced(x, norm, attention, mlp):
    """A block whose halves replace x: nothing is added."""
    return mlp(norm(attention(norm(x))))


def loud(x):
    """`level` for TensorFlow's arrays."""
    return x / tf.sqrt(tf.reduce_mean(x**2, axis=-1, keepdims=True) + 1e-6)


def attend(x, w):
    """One head over all places: x (T, D), w (D, 3 D)."""
    q, k, v = (x @ part for part in tf.split(w, 3, axis=-1))
    return tf.nn.softmax(q @ tf.transpose(k) / D**0.5) @ v


# %%
def gradient_norms(kind, norm, depth=8, width=D):
    """How large the gradient is at what goes into each block: depth floats."""
    rng = np.random.default_rng(2)
    goal, *xs = (tf.constant(rng.normal(size=(16, width))) for _ in range(2))
    spread = width**-0.5
    with tf.GradientTape() as tape:
        tape.watch(xs)
        for _ in range(depth):
            a, b, c = (rng.normal(0, spread, (width, n * width)) for n in (3, 1, 1))
            x = kind(
                xs[-1],
                norm,
                lambda x, a=a: attend(x, a),
                lambda x, b=b, c=c: tf.nn.relu(x @ b) @ c,
            )
            xs.append(x)
        loss = tf.reduce_mean((x - goal) ** 2)
    return [float(tf.linalg.norm(g)) for g in tape.gradient(loss, xs[:-1])]


# %%
norms = {
    "both": gradient_norms(block, loud),
    "sum alone": gradient_norms(block, tf.identity),
    "norm alone": gradient_norms(replaced, loud),
    "neither": gradient_norms(replaced, tf.identity),
}
curves(
    norms,
    x="block, from the input",
    y="norm of the gradient",
    log_y=True,
    title="Eight blocks deep",
)

# %%
first = {name: row[0] for name, row in norms.items()}
finding(
    "at block 0 the gradient is "
    + ", ".join(f"{size:.2g} with {name}" for name, size in first.items()),
    first["both"] > 2 * first["norm alone"]
    and first["both"] > 100 * first["neither"]
    and first["sum alone"] > 100 * first["both"],
    covers=("e12",),
)

# %% [markdown]
# Neither: it vanishes. The sum alone: it explodes, since each block adds to the loudness.
# The norm alone keeps it level, if small; but each block must hand on all that later
# ones need. Both: it stays within a factor of ten, and x goes by unchanged where a block
# has nothing to say.
#
# ## 7. A head that finds the motif again
#
# "He tossed the tennis *ball* to *serve*": words call on words. In music, a motif that
# comes again calls on the time before. We make rows of that: each row has four motifs of
# three notes, its own, in any order, again and again. Motifs learnt by heart are of no
# use for the next row. The trick is to look where this note stood before, and at what
# came after it.

# %%
from labs.material import as_score

LADDER = np.array([0, 0, 0, 0, 60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79])
LENGTH, WIDTH, HEADS = 36, 48, 2


def motifs(count, length, seed):
    """Token rows (count, length), and which tokens can be known (count, length)."""
    rng = np.random.default_rng(seed)
    notes = 4 + np.argsort(rng.random((count, 12)), axis=1).reshape(count, 4, 3)
    order = rng.integers(4, size=(count, length // 3 + 1))
    rows = notes[np.arange(count)[:, None], order].reshape(count, -1)
    again = [[one in row[:i] for i, one in enumerate(row)] for row in order.tolist()]
    known = np.repeat(again, 3, axis=1) & (np.arange(rows.shape[1]) % 3 > 0)
    return rows[:, :length].astype("int32"), known[:, :length]


rows, known = motifs(2, LENGTH, seed=7)
hear(as_score(LADDER[rows].reshape(-1), steps_a_quarter=2), title="Two rows")

# %% [markdown]
# Two layers, two heads, places by waves: the kit's Transformer, with Keras's own training
# loop, for half a minute. Only notes that can be known count: the second and third of a
# motif that has come before.

# %%
from audio_models.network import Network


def train(architecture, rows, known, learning_rate, batch_size=32):
    """Read rows (N, T + 1) once; `known` (N, T + 1) tells which notes count."""
    network = Network(architecture, seed=0)
    network.compile(
        optimizer=keras.optimizers.Adam(learning_rate, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    parts = rows[:, :-1], rows[:, 1:], known[:, 1:].astype("float32")
    network.fit(*parts[:2], sample_weight=parts[2], batch_size=batch_size,
                shuffle=False, verbose=0)  # fmt: skip
    return network.named_weights()


# %%
architecture = Transformer(
    16,
    hidden_dim=WIDTH,
    num_layers=2,
    num_heads=HEADS,
    context_length=LENGTH,
    positions="sinusoidal",
    tie_embedding=False,
)
rows, known = motifs(16_000, LENGTH + 1, seed=1)
weights = train(architecture, rows, known, learning_rate=3e-3)

# %% [markdown]
# Now the network again, this time out of your functions: `split_heads`, `level`, `block`,
# `place_waves`; `gather` is handed in, because we shall want two kinds. The kit's GELU is
# a ReLU with a round corner.


# %%
def gelu(x):
    return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def layer_of(weights, number, x, gather):
    """One layer: x (T, D) -> (T, D). gather(q, k, v) is given (heads, T, d) each."""
    w = {n.split(".", 1)[1]: a for n, a in weights.items() if f"layer{number}." in n}

    def attention(x):
        qkv = np.split((x * w["attention.norm"]) @ w["attention.qkv"], 3, axis=-1)
        heads = gather(*(split_heads(part, HEADS) for part in qkv))
        return heads.transpose(1, 0, 2).reshape(len(x), -1) @ w["attention.out"]

    def mlp(x):
        wide = gelu((x * w["mlp.norm"]) @ w["mlp.in"] + w["mlp.in_bias"])
        return wide @ w["mlp.out"] + w["mlp.out_bias"]

    return block(x, level, attention, mlp)


# %%
def my_network(weights, ids, places, gathers):
    """Logits (T, V) of token ids (T,) at their places; one `gather` for each layer."""
    x = weights["embedding"][ids] * WIDTH**0.5 + place_waves(places, WIDTH)
    for number, gather in enumerate(gathers):
        x = layer_of(weights, number, x, gather)
    return (level(x) * weights["norm"]) @ weights["head.kernel"] + weights["head.bias"]


looks = []


def looking(q, k, v):
    """Gather by your own look back, and keep the weights for a picture."""
    looks.append(look_back(q, k))
    return looks[-1] @ v


# %%
tests, known = motifs(200, LENGTH + 1, seed=2)
row, place = tests[0, :-1], np.arange(LENGTH)
mine = my_network(weights, row, place, [looking, looking])
theirs, _ = architecture.forward(numpy_ops, weights, tests[:, :-1])
finding(
    f"your network is at most {np.abs(mine - theirs[0]).max():.0e} from the kit's",
    np.abs(mine - theirs[0]).max() < 1e-3,
)
changed = row.copy()
changed[16:] = 4 + (changed[16:] - 3) % 12
future = my_network(weights, changed, place, [looking, looking])
moved = np.abs(future - mine).max(axis=-1)
finding(
    f"other notes from place 16 on move the logits before by {moved[:16].max():.0e}, "
    f"from there on by {moved[16:].max():.1f}",
    moved[:16].max() < 1e-4 < 0.1 < moved[16:].max(),
    covers=("e10",),
)

# %% [markdown]
# The trick needs two steps: a note must learn *what stood before it* (layer 0); then a
# later note looks for one that stood behind a note like itself (layer 1), which is the
# note to come. **Predict:** how much of its weight does a head of layer 1 put there?

# %%
known = known[:, 1:]
right = (theirs.argmax(axis=-1) == tests[:, 1:])[known].mean()
on_copy, by_chance = [], []
for ids, can_be_known in zip(tests[:40], known[:40], strict=True):
    looks.clear()
    my_network(weights, ids[:-1], place, [looking, looking])
    t = np.flatnonzero(can_be_known)
    copies = (ids[:-1] == ids[t + 1, None]) & (place <= t[:, None])  # the note to come
    on_copy.append((looks[1][:, t] * copies).sum(axis=-1))
    by_chance.append(copies.sum(axis=1) / (t + 1))
on_copy = np.concatenate(on_copy, axis=1).mean(axis=1)  # (heads,)
by_chance = np.concatenate(by_chance).mean()

# %%
finding(
    f"it foretells {right:.1%} of the notes of new motifs; a head of layer 1 puts "
    f"{on_copy.max():.0%} of its weight where the note to come stood before, chance "
    f"would put {by_chance:.0%}",
    right > 0.9 and on_copy.max() > 2 * by_chance,
    covers=("d20",),
)
looks.clear()
my_network(weights, row[:24], place[:24], [looking, looking])
letters = ["CDEFGAB"[i % 7] + "'" * (i // 7) for i in row[:24] - 4]
heat(
    looks[1][on_copy.argmax()],
    x="looks at",
    y="note",
    x_ticks=letters,
    y_ticks=letters,
    title="A head of layer 1 looks at what came next last time",
)

# %% [markdown]
# ## 8. Longer than it ever was
#
# A canon: each note is the one of six places before. Three networks learn it on 32 notes;
# then they hear 64. `sinusoidal` says *which* place a note has; `relative` learns a score
# for each *distance* back; `rotary` turns queries and keys by their place, so that their
# product knows the distance alone. **Predict:** which of them go on past 32?


# %%
def canon(count, length, seed, distance=6):
    """Token rows (count, length): each note is the one `distance` before."""
    first = np.random.default_rng(seed).integers(4, 16, (count, distance))
    return np.resize(first.T, (length, count)).T.astype("int32")


# %%
rows, longer = canon(2400, 33, seed=1), canon(64, 65, seed=2)
known = np.broadcast_to(np.arange(33) >= 6, rows.shape)
small = {"hidden_dim": 32, "num_layers": 1, "num_heads": 2, "context_length": 32}
near, far = {}, {}
for kind in ("sinusoidal", "rotary", "relative"):
    one = Transformer(16, positions=kind, **small)
    learnt = train(one, rows, known, learning_rate=1e-2, batch_size=16)
    logits, _ = one.forward(numpy_ops, learnt, longer[:, :-1])
    right = logits.argmax(axis=-1) == longer[:, 1:]
    near[kind], far[kind] = right[:, 5:32].mean(), right[:, 32:].mean()
    print(f"{kind:12} {near[kind]:.1%} to place 32, {far[kind]:.1%} beyond")

# %%
finding(
    f"beyond the training length: relative {far['relative']:.0%}, "
    f"sinusoidal {far['sinusoidal']:.0%}",
    near["sinusoidal"] > 0.9 and far["relative"] > far["sinusoidal"] + 0.08,
    covers=("e09",),
)
columns(far, y="right, places 33 to 64", title="Twice the length of training")

# %% [markdown]
# ## 9. The cache
#
# To train, all places are read *at once*: no step waits for another. To write, there is
# no way round it: the next note needs the one before, and a Transformer, too, steps. But
# what the old notes have to say, their keys and values, does not change. Keep them.


# %%
def cached_step(query, key, value, cache):
    """One note further: what it gathers (heads, 1, d), and the longer cache.

    query, key, value: floats (heads, 1, d), of the newest note. cache: (keys, values) of
    the notes before, (heads, t, d) each, t may be 0; it is left as it is. The newest
    note sees itself too. Returns (gathered, (keys, values)), these (heads, t + 1, d).
    """
    # BEGIN SOLUTION
    keys = np.concatenate([cache[0], key], axis=1)
    values = np.concatenate([cache[1], value], axis=1)
    scores = query @ np.swapaxes(keys, 1, 2) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values, (keys, values)
    # END SOLUTION


check(cached_step)

# %%
empty = np.zeros((HEADS, 0, WIDTH // HEADS))
caches = [(empty, empty), (empty, empty)]


def keeping(layer):
    """A `gather` that keeps what it is told in the cache of its layer."""

    def gather(q, k, v):
        gathered, caches[layer] = cached_step(q, k, v, caches[layer])
        return gathered

    return gather


# %%
gathers = [keeping(0), keeping(1)]
stepped = [
    my_network(weights, row[t : t + 1], place[t : t + 1], gathers) for t in place
]
apart = np.abs(np.concatenate(stepped) - mine).max()
finding(
    f"note after note from the cache: at most {apart:.0e} from all at once",
    apart < 1e-4,
    covers=("e10",),
)

# %% [markdown]
# Now the time it takes, with the kit's own arithmetic and a row of 128 notes: read at
# once, as in training; written note by note with the cache; written with everything
# worked out anew each time. An LSTM of the same width stands beside them: it steps either
# way. **Predict:** which of the four is the slowest, and by how much?

# %%
import time

from audio_models import MODELS
from audio_models.network import first_values

LONG = np.random.default_rng(3).integers(4, 16, (1, 128))
wide = Transformer(16, hidden_dim=64, num_layers=2, num_heads=4, context_length=128)
lstm = MODELS["lstm"](vocab_size=16, embedding_dim=64, hidden_dim=64, num_layers=2)


def drawn(network):
    """First weights: the time does not depend on what they are."""
    named = network.weights().items()
    return {name: first_values(w, [0, n]) for n, (name, w) in enumerate(named)}


# %%
def milliseconds(work, network, times=3):
    """The shortest of a few rounds, over the notes."""
    spans, ready = [], drawn(network)
    for _ in range(times):
        began = time.perf_counter()
        work(network, ready)
        spans.append(1000 * (time.perf_counter() - began) / LONG.shape[1])
    return min(spans)


# %%
def at_once(network, ready):
    network.forward(numpy_ops, ready, LONG)


def from_the_cache(network, ready):
    state = network.start(numpy_ops, 1)
    for t in range(LONG.shape[1]):
        _, state = network.forward(numpy_ops, ready, LONG[:, t : t + 1], state)


def all_anew(network, ready):
    for t in range(LONG.shape[1]):
        network.forward(numpy_ops, ready, LONG[:, : t + 1])


# %%
table = {
    "at once": milliseconds(at_once, wide),
    "cached": milliseconds(from_the_cache, wide),
    "anew": milliseconds(all_anew, wide, times=1),
    "LSTM": milliseconds(from_the_cache, lstm),
}
finding(
    f"a note costs {table['at once']:.2f} ms read at once, {table['cached']:.2f} ms "
    f"written from the cache, {table['anew']:.1f} ms without: the cache is "
    f"{table['anew'] / table['cached']:.0f} times as fast",
    table["at once"] < table["cached"] / 2 and table["cached"] < table["anew"] / 2,
    covers=("e13",),
)
columns(table, y="milliseconds a note", title="128 notes")

# %% [markdown]
# The LSTM's step is cheap and stays so; a cached step grows with what is kept. What the
# Transformer gains is the left column: all of a row at once, which is how one can train
# on much music.
#
# ## 10. Schubert, finished
#
# At the beginning a Transformer went on from his eight bars, and just stopped. An ending
# has to be aimed at. `folk` is the kit's model for that: an LSTM that is told what is to
# come (here: that the last beat is the tonic's), and that writes one voice, as these
# cellos do. The right tool is not always the newest one.

# %%
from data_pipelines.measures import key_in_words

folk = open_model("folk")
finished = carry_on(folk, opening, Onward(bars=8, seed=3))
hear(finished.score, title="Schubert's opening, finished")

# %%
new = finished.score.notes[len(opening) :]
roll(
    finished.score,
    title=f"{len(opening)} notes by Schubert; from the mark on, {len(new)} by the model",
    marks=[len(opening)],
)

# %% [markdown]
# Four questions to ask of anything that finishes another's work. Is what was given
# untouched? Is it in the key? Does it end? And is it its own, or copied from what the
# model read? We look for its longest run of intervals that stands, in any key, in the
# three collections that `folk` was taught from.

# %%
from dataclasses import replace

from labs.material import tunes
from studio.originality import Training

read = [tune for folder in ("oneills1850", "ryansMammoth", "airdsAirs")
        for tune in tunes(folder, 5000)]  # fmt: skip
added = replace(finished.score, notes=new)
copied = Training(read).copied(added)
print(f"{len(read)} tunes; the longest run found in them: {copied.notes} notes of "
      f"{len(new)}")  # fmt: skip

# %%
B_MINOR = [11, 1, 2, 4, 6, 7, 9]
in_key = {
    "Schubert": np.isin(opening.notes["pitch"] % 12, B_MINOR).mean(),
    "the model": np.isin(new["pitch"] % 12, B_MINOR).mean(),
}
last = new[-1]
untouched = finished.score.notes[: len(opening)].tobytes() == opening.notes.tobytes()
ends = last["pitch"] % 12 == 11 and last["duration"] >= opening.ticks_per_quarter
finding(
    f"bit for bit Schubert's; then {in_key['the model']:.0%} in B minor, his "
    f"{in_key['Schubert']:.0%}; it ends on a held B, p(end) = "
    f"{finished.end_probability:.2f}; {copied.notes} notes in a row stand in what it read",
    untouched
    and in_key["the model"] >= in_key["Schubert"] - 0.1
    and ends
    and finished.end_probability > 0.5
    and copied.notes < len(new),
    covers=("f04",),
)
# %%
columns(in_key, y="share of notes in B minor", title=key_in_words(finished.score))

# %% [markdown]
# ## What you learnt
#
# - Attention is a soft search: query against keys, a softmax, an average of values. Its
#   weights are worked out anew for each tune; the matrices are learnt.
# - Heads look separately, and cost nothing. A mask keeps the future out.
# - Without places it hears a set (almost). Distances go on where places end.
# - Residuals let the gradient through; a cache makes writing fast, reading is at once.
# - Two layers are enough to find a motif again.
#
# ## Go further
#
# - Draw the heads of layer 0. Which one looks at the note just before?
# - Train with one layer instead of two. What is left of the share of right notes?
# - `etude continue assets/scores/unfinished-cellos.abc --bars 8`: the second theme.
#
# ## To read
#
# - Vaswani et al. 2017, *Attention Is All You Need*
# - Huang et al. 2018, *Music Transformer*
# - Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Olsson et al.
#   2022, *In-context Learning and Induction Heads*
# - Su et al. 2021, *RoFormer*

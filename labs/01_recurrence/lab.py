# %% [markdown]
# # Lab 1 · Recurrence
#
# A network that reads note by note has one place for all that it heard: its state. You
# write the cell that keeps it, and the way back through time by which it learns; then
# you measure how soon it forgets, and what helps.
#
# **90 minutes**, about two of them computing. You will hear a tune whose last note can
# only be known from its first, and hear which network still knows it a hundred notes
# later.
#
# It follows S1, MIT 6.S191's second lecture, on recurrence; S2, study notes from RNN to
# Transformer; S3, notes on Andrew Ng's sequence models; and S4, slides with a practical.
# Bring NumPy, the chain rule, and lab 0.

# %%
import numpy as np

from labs import check, figures, finding
from labs.hearing import hear
from labs.material import as_score, chorales

MAJOR, MINOR, DRONE, THIRD, FLAT_THIRD = 1, 2, 3, 4, 5


def drone_tune(key, last, gap):
    """A chord that names the key, a drone on G, and a last note: a `Score`."""
    rows = [[60, {MAJOR: 64, MINOR: 63}[key], 67]] * 8
    rows += [[67, 0, 0], [0, 0, 0]] * gap
    rows += [[60, {THIRD: 64, FLAT_THIRD: 63}[last], 0]] * 8
    return as_score(rows, steps_a_quarter=4, qpm=180, programs=(0, 0, 0))


hear(drone_tune(MINOR, FLAT_THIRD, 40), title="C minor, a drone, and C minor again")

# %%
figures.roll(drone_tune(MINOR, FLAT_THIRD, 40), "The middle says nothing of the end")

# %% [markdown]
# The drone is the same in major and in minor. Whoever plays the last chord has to have
# kept one thing, major or minor, through forty notes that do not mention it. Here is
# the same tune finished by someone who forgot.

# %%
hear(drone_tune(MINOR, THIRD, 40), title="C minor, a drone, and a wrong third")

# %% [markdown]
# ## 1. A copy for each step
#
# The lecture S1 begins with a network for one moment: a note $x_t$ goes in, chances
# $\hat y_t$ of the next come out. For a sequence one could set a copy at each step,
#
# $$\hat y_t = f(x_t).$$
#
# The copies do not talk. Such a network is amnesiac: it knows the note before, and
# nothing else. The best it can do is a table, one row of chances for each note. That is
# the Markov chain of order 1, and its loss is the conditional entropy
#
# $$H = -\frac1N \sum_{a,b} n_{ab} \log \frac{n_{ab}}{n_a},$$
#
# where $n_{ab}$ counts how often $b$ follows $a$ among $N$ pairs. Our music is the
# soprano of Bach's chorales, what sounds on each quarter note.

# %%
lines = {
    split: [one.quarters()[:, 0] for one in chorales() if one.split == split]
    for split in ("train", "valid")
}
PITCHES = np.unique(np.concatenate(lines["train"] + lines["valid"]))  # 0 is a rest
V = 1 + len(PITCHES)  # id 0 is the start
ids = {
    split: [np.append(0, 1 + np.searchsorted(PITCHES, line)) for line in some]
    for split, some in lines.items()
}
counts = {split: np.zeros((V, V)) for split in ids}
for split, some in ids.items():
    for line in some:
        np.add.at(counts[split], (line[:-1], line[1:]), 1)
print({split: int(table.sum()) for split, table in counts.items()}, "notes,", V, "ids")

# %% [markdown]
# **Before you run:** we train the amnesiac, a dense layer on a one-hot note, by
# gradient descent. Will it end above the entropy of the table of counts, on it, or below?

# %%
n, of_row = counts["train"], counts["train"].sum(axis=1, keepdims=True)
ratio = np.divide(n, of_row, out=np.ones_like(n), where=n > 0)
bound = -(n * np.log(np.where(n > 0, ratio, 1))).sum() / n.sum()

w = np.zeros((V, V))  # the dense layer: row a holds the logits after note a
curve = {split: [] for split in counts}
for _ in range(1500):
    log_p = w - np.log(np.exp(w).sum(axis=1, keepdims=True))
    for split, table in counts.items():
        curve[split].append(-(table * log_p).sum() / table.sum())
    w -= np.exp(log_p) - n / np.maximum(of_row, 1)  # the gradient, a row's mean
amnesiac = min(curve["valid"])  # at its best moment
figures.curves(
    curve, x="step", y="nats a note", title="The amnesiac", floors={"order 1": bound}
)

# %%
finding(
    f"the amnesiac ends {curve['train'][-1] - bound:.4f} nats above the entropy of order 1, "
    f"{bound:.3f}; on held-out chorales its best is {amnesiac:.3f} nats a note",
    0 <= curve["train"][-1] - bound < 0.01,
)

# %% [markdown]
# On it, and never below: it is that table, learnt slowly. To do better, a step has to
# know something of the steps before.
#
# ## 2. The cell
#
# Let the copies talk. Each hands a vector $h_t$, the state, to the next:
#
# $$h_t = \tanh(x_t W_x + h_{t-1} W_h + b), \qquad h_0 = 0.$$
#
# The same three weights serve every step. The state has a fixed size $D$, however much
# was read; it is all that the network knows of the past. (Rows are items here, so the
# vector stands left of the matrix. Papers write columns, and the matrix on the left.)


# %%
def rnn_step(x, h, w_x, w_h, b):
    """One step of the cell.

    Args:
        x: float array (B, E), what is read.
        h: float array (B, D), the state before.
        w_x, w_h, b: float arrays (E, D), (D, D) and (D,).

    Returns:
        The new state, float array (B, D). Of x = 0 and h = 0 it is tanh(b).
    """
    # BEGIN SOLUTION
    return np.tanh(x @ w_x + h @ w_h + b)
    # END SOLUTION


check(rnn_step)

# %% [markdown]
# S3 writes one matrix in place of two, $W_a = [W_{aa}, W_{ax}]$, and lets it work on state
# and input set end to end, $[a, x]$. That is one product for the machine, and the same sum.
#
# **Before you run:** with rows on the left, do the matrices stand side by side, or one
# above the other?


# %%
def stacked(w_h, w_x):
    """One matrix for both: [h, x] times it is h w_h + x w_x.

    Args:
        w_h: float array (D, D). w_x: float array (E, D).

    Returns:
        float array (D + E, D).
    """
    # BEGIN SOLUTION
    return np.concatenate([w_h, w_x], axis=0)
    # END SOLUTION


check(stacked)

# %% [markdown]
# And now along time: your step, again and again, from a state of zeros.


# %%
def rnn_layer(xs, w_x, w_h, b):
    """The states of a whole sequence, from a zero state.

    Args:
        xs: float array (B, T, E).
        w_x, w_h, b: as for `rnn_step`.

    Returns:
        float array (B, T, D): at [:, t] the state after xs[:, t] was read.
    """
    # BEGIN SOLUTION
    h, states = np.zeros((len(xs), len(b))), []
    for t in range(xs.shape[1]):
        h = rnn_step(xs[:, t], h, w_x, w_h, b)
        states.append(h)
    return np.stack(states, axis=1)
    # END SOLUTION


check(rnn_layer)

# %% [markdown]
# Keras calls this layer `SimpleRNN`. (Importing Keras takes some seconds.) We lend
# yours its weights, and let both read the same numbers; once more with the stacked
# matrix.

# %%
import keras
import tensorflow as tf

rng = np.random.default_rng(1)
xs = rng.normal(size=(3, 20, 4)).astype("float32")
keras.utils.set_random_seed(1)
layer = keras.layers.SimpleRNN(6, return_sequences=True, bias_initializer="normal")
theirs = layer(xs).numpy()
w_x, w_h, b = layer.get_weights()
apart = np.abs(rnn_layer(xs, w_x, w_h, b) - theirs).max()
finding(f"your layer and Keras's are {apart:.1e} apart", apart < 1e-5, covers=("c01",))

tall, h = stacked(w_h, w_x), np.zeros((3, 6))
for t in range(20):
    h = np.tanh(np.concatenate([h, xs[:, t]], axis=1) @ tall + b)
apart = np.abs(h - theirs[:, -1]).max()
finding(f"with one matrix in place of two, {apart:.1e}", apart < 1e-5, covers=("c01",))

# %% [markdown]
# ## 3. Four shapes, and sequences that end early
#
# S1 sorts tasks by what goes in and what comes out. One cell serves them all: what
# differs is where it is fed and where it is read. In music:
#
# - **one to one**: a note, the next note. No state is needed; this was the amnesiac.
# - **one to many**: a key, a tune in it. What comes out is fed in again.
# - **many to one**: a tune, its mode. Only the last state is read.
# - **many to many**, in step: each soprano note, the bass note below it. In general,
#   with other lengths: a theme, its answer. That needs two networks, and lab 4.

# %%
from audio_models import numpy_ops
from audio_models.rnn import RNN

cell = RNN(vocab_size=12, embedding_dim=4, hidden_dim=6, num_layers=1)
weights = {
    name: rng.normal(size=weight.shape).astype("float32")
    for name, weight in cell.weights().items()
}


def read(some, state=None):
    """Logits (B, T, 12) and the state after: the kit's own network, in NumPy."""
    return cell.forward(numpy_ops, weights, np.asarray(some), state)


# %%
soprano = rng.integers(0, 12, (5, 16))  # 5 tunes of 16 notes
one, _ = read(soprano[:, :1])
answers, (h,) = read(soprano)
key, tune, state = soprano[:, :1], [], None
for _ in range(8):
    logits, state = read(key, state)
    key = logits.argmax(axis=-1)
    tune.append(key[:, 0])
shapes = [one.shape, np.stack(tune, axis=1).shape, h[-1].shape, answers.shape]
print(*shapes, sep="\n")
finding(
    "one to one, one to many, many to one, many to many: the same weights",
    shapes == [(5, 1, 12), (5, 8), (5, 6), (5, 16, 12)],
    covers=("c20",),
)

# %% [markdown]
# Tunes differ in length, and a batch is a rectangle: short ones are filled up with
# padding. Then the state of the last column is, for most, a state that went on reading
# nothing. What is wanted is the state at each tune's own end.


# %%
def last_states(hs, lengths):
    """The state of each item after its last real step.

    Args:
        hs: float array (B, T, D), states.
        lengths: int array (B,), in 1..T.

    Returns:
        float array (B, D). Where lengths[b] is T, that is hs[b, -1].
    """
    # BEGIN SOLUTION
    return hs[np.arange(len(hs)), np.asarray(lengths) - 1]
    # END SOLUTION


check(last_states)

# %% [markdown]
# **Before you run:** can what stands in the padding change these states?

# %%
lengths = np.array([3, 20, 11])
padded = xs.copy()
for item, length in enumerate(lengths):
    padded[item, length:] = 99.0  # anything
together = last_states(rnn_layer(padded, w_x, w_h, b), lengths)
alone = [
    rnn_layer(xs[i : i + 1, :n], w_x, w_h, b)[0, -1] for i, n in enumerate(lengths)
]
ragged = np.abs(together - np.stack(alone)).max()
finding(f"padded together or read alone: {ragged:.0e} apart", ragged < 1e-6)

# %%
small = keras.layers.SimpleRNN(6)
counted = []
for steps in (8, 512):
    small.build((None, steps, 4))
    counted.append(sum(part.size for part in small.get_weights()))
finding(
    f"for 8 steps and for 512 Keras makes {counted[0]} and {counted[1]} weights",
    counted[0] == counted[1] == 4 * 6 + 6 * 6 + 6,
    covers=("c04",),
)

# %% [markdown]
# No: a state depends on what came before it, and the padding comes after. And the
# number of weights has no $T$ in it. The rest of this lab is about the price.
#
# ## 4. The way back through time
#
# Unrolled, the layer is a deep network, one layer a step, whose layers share their
# weights. Its gradient is the chain rule, from the last step to the first. Write
# $a_t = x_t W_x + h_{t-1} W_h + b$ for the sum inside $\tanh$, and $\delta_t$ for the
# gradient of the loss $L$ by $a_t$. The slope of $\tanh$ is $1 - h_t^2$, so
#
# $$\delta_t = \Big(\underbrace{\tfrac{\partial L}{\partial h_t}}_{\text{by its own use}}
#   + \underbrace{\delta_{t+1} W_h^\top}_{\text{what came back}}\Big) \odot (1 - h_t^2),$$
#
# and every step adds its share to the gradient of each weight:
#
# $$\frac{\partial L}{\partial W_h} = \sum_t h_{t-1}^\top \delta_t, \qquad
#   \frac{\partial L}{\partial W_x} = \sum_t x_t^\top \delta_t, \qquad
#   \frac{\partial L}{\partial b} = \sum_t \delta_t.$$
#
# It is a sum. (S2 says the average over the copies; that is the sum divided by $T$, and
# no longer the slope of the loss.)


# %%
def bptt(xs, hs, w_h, dhs):
    """Gradients of a layer's weights, back through time (summed over the batch too).

    Args:
        xs: float array (B, T, E), what was read.
        hs: float array (B, T, D), the states, as `rnn_layer` gave them from zeros.
        w_h: float array (D, D).
        dhs: float array (B, T, D), the gradient of the loss by each state's own use.

    Returns:
        (of w_x (E, D), of w_h (D, D), of b (D,)).
    """
    # BEGIN SOLUTION
    dw_x, dw_h, db = 0, 0, 0
    back = np.zeros_like(hs[:, 0])
    for t in reversed(range(xs.shape[1])):
        da = (dhs[:, t] + back) * (1 - hs[:, t] ** 2)
        before = hs[:, t - 1] if t else np.zeros_like(back)
        dw_x, dw_h = dw_x + xs[:, t].T @ da, dw_h + before.T @ da
        db = db + da.sum(axis=0)
        back = da @ w_h.T
    return dw_x, dw_h, db
    # END SOLUTION


check(bptt)

# %% [markdown]
# The check moved each weight a little and looked at the loss. TensorFlow's
# `GradientTape` writes down what is done, and goes back over it. Does it agree?

# %%
dhs = rng.normal(size=theirs.shape).astype("float32")
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(layer(xs) * dhs)
tapes = tape.gradient(loss, layer.trainable_variables)  # w_x, w_h, b
yours = bptt(xs, theirs, w_h, dhs)
apart = max(
    np.abs(one - other).max() / np.abs(other).max()
    for one, other in zip(yours, [part.numpy() for part in tapes], strict=True)
)
finding(
    f"by hand and by tape: {apart:.1e} of the largest", apart < 1e-4, covers=("c05",)
)

# %% [markdown]
# ## 5. Too much
#
# Each step back multiplies by $W_h^\top$ and by slopes of at most 1. A hundred factors:
# where they are above 1 the product explodes, where they are below it vanishes.
#
# Exploding first. An orthogonal $W_h$ turns vectors and leaves their length; three
# times that makes them longer. We let your layer and your `bptt` read 60 random
# steps, and ask for the gradient of one loss at the end.
#
# **Before you run:** the state cannot leave $-1 \ldots 1$. Can the gradient be larger
# than a thousand?

# %%
D, E, STEPS = 16, 4, 60


def drawn(scale, seed=0):
    """Weights w_x, w_h and b: w_h is orthogonal, times a scale."""
    some = np.random.default_rng(seed)
    turn = np.linalg.qr(some.normal(size=(D, D)))[0]
    return [some.normal(size=(E, D)) / 2, scale * turn, np.zeros(D)]


def norm(arrays):
    """The length of a list of arrays, taken as one long vector."""
    return float(np.sqrt(sum((part**2).sum() for part in arrays)))


# %%
noise = np.random.default_rng(2).normal(size=(8, STEPS, E))
scales, sizes = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0), []
for scale in scales:
    weights = drawn(scale)
    hs = rnn_layer(noise, *weights)
    dhs = np.zeros_like(hs)
    dhs[:, -1] = 1 / len(hs)
    sizes.append(norm(bptt(noise, hs, weights[1], dhs)))
figures.curves(
    {"gradient": (scales, sizes)},
    x="times an orthogonal matrix",
    y="length of the gradient",
    title="Sixty steps back",
    log_y=True,
)

# %% [markdown]
# The remedy is blunt: where the gradient $g$, of all weights together, is longer than a
# limit, make it as long as the limit, and leave its direction:
#
# $$g \leftarrow g \cdot \min\!\left(1, \frac{\text{limit}}{\lVert g \rVert}\right).$$


# %%
def clip_by_norm(gradients, limit):
    """A gradient no longer than a limit, its direction kept.

    Args:
        gradients: list of float arrays of any shapes: one vector, in parts.
        limit: float, above 0.

    Returns:
        list of new arrays. Of [[3.0], [4.0]] and limit 1 it is [[0.6], [0.8]]; what is
        short enough, zeros included, comes back as it is.
    """
    # BEGIN SOLUTION
    length = np.sqrt(sum((part**2).sum() for part in gradients))
    factor = min(1.0, limit / length) if length > 0 else 1.0
    return [part * factor for part in gradients]
    # END SOLUTION


check(clip_by_norm)

# %% [markdown]
# Now train the same layer, begun at $3W$, with your gradient, clipped and not. It is to
# say at each step a function of the note just read.

# %%
wanted = 0.5 * np.tanh(noise @ np.random.default_rng(3).normal(size=(E, D)))


def trained(limit, steps=120, rate=0.1):
    """Losses, gradient norms as used, and the weights: gradient descent from 3 W."""
    weights, losses, norms = drawn(3.0), [], []
    for _ in range(steps):
        hs = rnn_layer(noise, *weights)
        losses.append(((hs - wanted) ** 2).mean())
        slope = (hs - wanted) / (8 * STEPS)
        gradients = bptt(noise, hs, weights[1], slope)
        gradients = clip_by_norm(gradients, limit)
        norms.append(norm(gradients))
        weights = [w - rate * g for w, g in zip(weights, gradients, strict=True)]
    return losses, norms, weights


# %%
runs = {"as it is": trained(np.inf), "clipped to 1": trained(1.0)}
figures.curves(
    {name: losses for name, (losses, _, _) in runs.items()},
    x="step",
    y="loss",
    title="From three times an orthogonal matrix",
)

# %%
(plain, raw, far), (kept, short, near) = runs.values()
finding(
    f"unclipped, a gradient reached {max(raw):.1e} and a weight "
    f"{max(np.abs(part).max() for part in far):.0f}; clipped, none passed {max(short):.3f} "
    f"and all stayed finite, below {max(np.abs(part).max() for part in near):.1f}",
    max(raw) > 1e3
    and max(short) <= 1.0 + 1e-6
    and np.isfinite(norm(near))
    and max(np.abs(part).max() for part in near) < 10
    and kept[-1] < plain[-1],
    covers=("c07",),
)

# %% [markdown]
# One step too far, and all units are saturated: their slopes are 0, and nothing brings
# them back. Clipping keeps the network alive. It does not make it remember.
#
# ## 6. Too little
#
# Now the other side. How much of the last state's gradient reaches the state
# $k$ steps before? We let the kit's cells read a hundred steps of noise, go back by tape,
# and look at each state on the way. One of them is the LSTM, which you will write next.
# It multiplies what it keeps by a number between 0 and 1, its forget gate; a bias says
# where that begins. All have 32 units, and weights as they are before training.
#
# **Before you run:** $\tanh$ has slopes below 1. Will ReLU, whose slope is 1 where it is
# not 0, carry further?

# %%
from keras import ops

from audio_models.architecture import Weight
from audio_models.network import first_values
from audio_models.recurrent import lstm_cell
from audio_models.rnn import rnn_cell

LONG, WIDE, ROWS = 100, 32, 16
heard = np.random.default_rng(4).normal(size=(LONG, ROWS, 4 * WIDE)) / 2
heard = tf.constant(heard, "float32")
turn = first_values(Weight((WIDE, 4 * WIDE), "orthogonal"), 0)  # four blocks
ONE, EYE = turn[:, :WIDE], np.eye(WIDE, dtype="float32")
goal = tf.constant(np.random.default_rng(5).normal(size=(ROWS, WIDE)), "float32")


# %%
def reach(step, states=1, steps=LONG):
    """Length of the gradient of the last state by the state 0, 1, 2... steps before."""
    state = (tf.zeros((ROWS, WIDE)),) * states
    passed = []
    with tf.GradientTape() as tape:
        tape.watch(state)
        for x in heard[:steps]:
            state = step(x, *state)
            passed.append(state[-1])
        loss = tf.reduce_sum(state[0] * goal)
    slopes = tape.gradient(loss, passed[::-1])
    return np.array([norm([slope.numpy()]) for slope in slopes])


# %%
def with_bias(forget, write=0.0):
    """A step of an LSTM whose gates have these biases, of f and of i."""
    bias = np.repeat([write, forget, 0.0, 0.0], WIDE).astype("float32")
    return lambda x, h, c: lstm_cell(ops, x + bias, turn, h, c)


ways = {
    "tanh": reach(lambda x, h: rnn_cell(ops, x[:, :WIDE], ONE, h)),
    "ReLU": reach(lambda x, h: rnn_cell(ops, x[:, :WIDE], ONE, h, "relu")),
    "ReLU, identity": reach(lambda x, h: rnn_cell(ops, x[:, :WIDE], EYE, h, "relu")),
    "LSTM, forget bias 1": reach(with_bias(1.0), 2),
    "LSTM, forget bias 4.6": reach(with_bias(4.6, -4.6), 2),
}
figures.curves(
    {name: np.maximum(sizes, 1e-20) for name, sizes in ways.items()},
    x="steps back",
    y="length of the gradient",
    title="What comes back through time",
    log_y=True,
)

# %%
fall = {
    name: np.polyfit(np.arange(80), np.log(np.maximum(sizes[:80], 1e-20)), 1)[0]
    for name, sizes in ways.items()
}
for name, slope in fall.items():
    print(f"{name:22} a step back leaves {np.exp(slope):6.1%}")
finding(
    f"a step costs tanh {-fall['tanh']:.2f} nats of gradient, and an LSTM that begins by "
    f"keeping {-fall['LSTM, forget bias 4.6']:.3f}",
    fall["tanh"] < 10 * fall["LSTM, forget bias 4.6"] < 0,
)
finding(
    f"ReLU alone costs {-fall['ReLU']:.2f} nats a step; from the identity, "
    f"{-fall['ReLU, identity']:.2f}",
    fall["ReLU"] < 2 * fall["ReLU, identity"] and fall["ReLU"] < -0.1,
    covers=("c09",),
)

# %% [markdown]
# On this scale an exponential is a straight line. ReLU alone is no cure: about half its
# units are shut at each step, and what they held is gone. ReLU that begins from the
# identity, $W_h = I$, keeps far more: where no unit shuts, nothing is lost. And an LSTM
# depends on one number, the bias of its forget gate. At 1, the usual start, it keeps
# $\sigma(1) = 0.73$ of its cell at each step, and of that 0.73 again.
#
# S4 names three more remedies: a good first scale, batch normalisation (here of the sum
# inside the activation, over the batch, at each step), and activations that don't
# saturate. One measure for all: what is left of the gradient 40 steps back, in powers of
# ten. 0 is a gradient that lost nothing.


# %%
def normal(a):
    """Batch normalisation: each unit's sums, over the rows, to mean 0 and spread 1."""
    return (a - ops.mean(a, axis=0)) / (ops.std(a, axis=0) + 1e-3)


def left_after(scale, function, around, back=40):
    """The power of ten of what is left of a gradient so many steps back."""
    way = reach(
        lambda x, h: (function(around(x[:, :WIDE] + ops.matmul(h, scale * ONE))),),
        steps=back + 1,
    )
    return np.log10(max(way[back], 1e-30) / way[0])


# %%
columns = {
    "tanh": (ops.tanh, lambda a: a),
    "tanh, normed": (ops.tanh, normal),
    "ReLU": (ops.relu, lambda a: a),
    "ReLU, normed": (ops.relu, normal),
}
SCALES = (0.5, 1.0, 1.5, 3.0)
table = np.array([[left_after(s, *how) for how in columns.values()] for s in SCALES])
figures.heat(
    table,
    x_ticks=list(columns),
    y_ticks=[f"{scale} W" for scale in SCALES],
    title="Powers of ten left, 40 steps back",
    numbers=True,
)

# %%
rows = {
    f"{scale} W": dict(zip(columns, row, strict=True))
    for scale, row in zip(SCALES, table, strict=True)
}
too_small = rows["0.5 W"]
finding(
    f"at half the scale, tanh leaves 10^{too_small['tanh']:.0f}, and normed "
    f"10^{too_small['tanh, normed']:.0f}; at three times, ReLU makes it "
    f"10^{rows['3.0 W']['ReLU']:.0f}, and normed 10^{rows['3.0 W']['ReLU, normed']:.0f}",
    table.shape == (4, 4)
    and rows["1.0 W"]["tanh"] > too_small["tanh"] + 3
    and rows["3.0 W"]["ReLU"] > 5 > rows["3.0 W"]["ReLU, normed"],
    covers=("c11",),
)

# %% [markdown]
# Normed, every scale comes nearer to 0, from both sides. (It takes a batch to norm over,
# which a tune that is being composed is not.) Where the first scale is right, there is
# less to mend.
#
# ## 7. Gates
#
# The long short-term memory (Hochreiter & Schmidhuber, 1997; its forget gate by Gers,
# 2000) holds a second vector, the cell $c_t$, and three gates between 0 and 1 say what
# happens to it: $i$ what is written, $f$ what is kept, $o$ what is shown.
#
# $$i, f, o = \sigma(\ldots), \quad g = \tanh(\ldots), \qquad
#   c_t = f \odot c_{t-1} + i \odot g, \qquad h_t = o \odot \tanh(c_t).$$
#
# Each $\ldots$ is a sum as before, $x_t W + h_{t-1} U + b$, with weights of its own; in one
# matrix the four blocks stand in the order $i, f, g, o$. From cell to cell there is no
# matrix and no $\tanh$: where $f = 1$ and $i = 0$, cell and gradient go round unchanged. S2
# calls this the carousel (constant error carousel, CEC).


# %%
def sigmoid(x):
    """1 / (1 + exp(-x)), which never overflows."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(x)))


def lstm_step(x, h, c, w, u, b):
    """One step of an LSTM.

    Args:
        x: float array (B, E). h, c: float arrays (B, D), state and cell before.
        w, u, b: float arrays (E, 4D), (D, 4D), (4D,): blocks in the order i, f, g, o.

    Returns:
        (h, c) after, float arrays (B, D).
    """
    # BEGIN SOLUTION
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c
    # END SOLUTION


check(lstm_step)

# %% [markdown]
# The gated recurrent unit (Cho et al., 2014) does with two gates and no cell: an update
# gate $z$ says what is kept, a reset gate $r$ how much of the past the new proposal $n$
# hears. With $a = x_t W + b_x$ and $p = h_{t-1} U + b_h$, each of three blocks $z, r, n$,
#
# $$z, r = \sigma(a + p), \qquad n = \tanh(a_n + r \odot p_n), \qquad
#   h_t = z \odot h_{t-1} + (1 - z) \odot n.$$
#
# Mind who writes. Here, in Cho's paper, in Keras, in PyTorch and on S4's slides $z = 1$
# keeps the old state; in Chung et al. (2014) $z = 1$ replaces it. And Cho resets $h$ before
# the product with $U$; Keras by default (`reset_after=True`) resets the product, as here.


# %%
def gru_step(x, h, w, u, b_x, b_h):
    """One step of a GRU; z = 1 keeps the state.

    Args:
        x: float array (B, E). h: float array (B, D), the state before.
        w, u: float arrays (E, 3D) and (D, 3D): blocks in the order z, r, n.
        b_x, b_h: float arrays (3D,), of the product with x and of that with h.

    Returns:
        The state after, float array (B, D).
    """
    # BEGIN SOLUTION
    a_z, a_r, a_n = np.split(x @ w + b_x, 3, axis=-1)
    p_z, p_r, p_n = np.split(h @ u + b_h, 3, axis=-1)
    z, r = sigmoid(a_z + p_z), sigmoid(a_r + p_r)
    return z * h + (1 - z) * np.tanh(a_n + r * p_n)
    # END SOLUTION


check(gru_step)


# %%
def parameter_count(gates, inputs, hidden):
    """How many weights a layer has: `gates` blocks, each of W, U and one bias.

    Args:
        gates: int, 1 for the plain cell, 3 for a GRU, 4 for an LSTM.
        inputs, hidden: int, E and D.

    Returns:
        int. Of (1, 2, 3) it is 2 * 3 + 3 * 3 + 3 = 18.
    """
    # BEGIN SOLUTION
    return gates * (inputs * hidden + hidden * hidden + hidden)
    # END SOLUTION


check(parameter_count)

# %% [markdown]
# **Before you run:** from your counts, how much smaller is a GRU than an LSTM? Keras's
# GRU has the second bias, $b_h$, which the count leaves out.


# %%
def apart_from(kind, step, states):
    """The largest distance between your steps and a layer of Keras with its weights."""
    layer = kind(6, return_sequences=True, bias_initializer="normal")
    theirs, state = layer(xs).numpy(), [np.zeros((3, 6))] * states
    w, u, b = layer.get_weights()
    for t in range(xs.shape[1]):
        state = step(xs[:, t], *state, w, u, *(b if b.ndim == 2 else [b]))
        state = state if states == 2 else [state]
    return np.abs(state[0] - theirs[:, -1]).max()


lstm = apart_from(keras.layers.LSTM, lstm_step, 2)
finding(f"your LSTM and Keras's: {lstm:.1e} apart", lstm < 1e-5, covers=("c12",))
gru = apart_from(keras.layers.GRU, gru_step, 1)
finding(f"your GRU and Keras's: {gru:.1e} apart", gru < 1e-5, covers=("c13",))
share = parameter_count(3, 32, 64) / parameter_count(4, 32, 64)
finding(f"a GRU has {share:.0%} of an LSTM's weights", share == 0.75, covers=("c13",))

# %%
hold = np.repeat([-60.0, 60.0, 0.0, 0.0], 6)  # i = 0, f = 1
first = rng.normal(size=(3, 6))
h, c = np.zeros((3, 6)), first
for _ in range(1000):
    noise_now = rng.normal(size=(3, 4))
    h, c = lstm_step(noise_now, h, c, np.zeros((4, 24)), np.zeros((6, 24)), hold)
moved = np.abs(c - first).max()
finding(
    f"with f = 1 and i = 0 the cell moved by {moved:.0e} in 1000 steps of noise",
    moved < 1e-12,
    covers=("c12",),
)

# %% [markdown]
# ## 8. The key in the first bar
#
# "The cat, which already ate, was full. The cats, which already ate, were full." S3
# takes this for what a plain network can't learn. Here is the same in music, the tune
# of the beginning: a token for major or minor, a drone for so many steps, and the third.
# Tunes are filled up in front with id 0, so that all have 101 tokens. Only the last
# answer counts.

# %%
from audio_models.network import Network
from audio_models.recurrent import LSTM

TOKENS, LAST = 6, 100  # ids 0..5; the gap is at most 100


def named_key(gap):
    """Both tunes, in major and in minor, and their last notes: (2, 101) and (2,)."""
    tunes = np.full((2, LAST + 1), DRONE)
    tunes[:, : LAST - gap] = 0
    tunes[:, LAST - gap] = MAJOR, MINOR
    return tunes, np.array([THIRD, FLAT_THIRD])


print(named_key(12)[0][:, -16:])

# %% [markdown]
# Three networks of 16 units: plain `tanh`; ReLU that begins with the identity (Le,
# Jaitly & Hinton, 2015); and an LSTM that begins by keeping. To keep a thing for $n$ steps
# $f$ has to be about $1 - 1/n$, so its bias begins at $\log(n - 1)$, and that of $i$ at the
# negative, so that the drone does not write over it (Tallec & Ollivier, 2018).


# %%
def begun(architecture, seed):
    """First weights; an LSTM's gates are set to keep for a hundred steps."""
    weights = Network(architecture, seed=seed).named_weights()
    if isinstance(architecture, LSTM):
        i, f, _, _ = np.split(weights["layer0.bias"], 4)  # views
        f[:], i[:] = np.log(LAST - 1), -np.log(LAST - 1)
    return weights


def answers_of(architecture, weights, gap):
    """What a network says after each tune: ids (2,). In NumPy."""
    logits, _ = architecture.forward(numpy_ops, weights, named_key(gap)[0])
    return logits[:, -1].argmax(axis=-1)


# %%
class Pupil:
    """A network, a loss of it, and one step of training, compiled once a shape."""

    def __init__(self, network, loss_of, rate):
        self.network, self.loss_of = network, loss_of
        self.adam = keras.optimizers.Adam(rate, global_clipnorm=1.0)
        self.adam.build(network.trainable_variables)
        self.fresh = [part.numpy() for part in self.adam.variables]
        self.step = tf.function(self._step, jit_compile=True, autograph=False)

    def _step(self, *batch):
        with tf.GradientTape() as tape:
            loss = self.loss_of(self.network, *batch)
        variables = self.network.trainable_variables
        slopes = tape.gradient(loss, variables)
        self.adam.apply_gradients(zip(slopes, variables, strict=True))
        return loss


# %%
nats = tf.nn.sparse_softmax_cross_entropy_with_logits


def last_answer(network, tunes, wanted):
    """Nats of the last note, on average."""
    return tf.reduce_mean(nats(wanted, network(tunes)[:, -1]))


def taught(pupil, gap, seed, steps=500):
    """What a pupil answers to both tunes, taught from first weights till it is sure."""
    pupil.network.load_named_weights(begun(pupil.network.architecture, seed))
    for part, value in zip(pupil.adam.variables, pupil.fresh, strict=True):
        part.assign(value)
    tunes, wanted = (tf.constant(part, tf.int32) for part in named_key(gap))
    for _ in range(steps):
        if pupil.step(tunes, wanted) < 0.05:
            break
    return answers_of(pupil.network.architecture, pupil.network.named_weights(), gap)


# %% [markdown]
# Each learns from three seeds, for 500 steps at most, at a learning rate that suits it
# (`tanh` fails at the others' too). Half right is what a guess gets, since one of the two
# tunes is always right.
#
# **Before you run:** by the slope above, what is left of a gradient of `tanh` after
# 10 steps, and after 100?

# %%
SIZE = {"embedding_dim": 8, "hidden_dim": 16, "num_layers": 1}
identity = RNN(TOKENS, **SIZE, activation="relu", identity_start=True)
pupils = {
    "tanh": Pupil(Network(RNN(TOKENS, **SIZE)), last_answer, 0.003),
    "ReLU, identity": Pupil(Network(identity), last_answer, 0.001),
    "LSTM": Pupil(Network(LSTM(TOKENS, **SIZE)), last_answer, 0.01),
}
right, said = {}, {}
for name, gap in (("tanh", 10), ("tanh", 100), ("ReLU, identity", 100), ("LSTM", 100)):
    all_said = [taught(pupils[name], gap, seed) for seed in range(3)]
    scores = [float((one == [THIRD, FLAT_THIRD]).mean()) for one in all_said]
    right[name, gap], said[name, gap] = np.median(scores), all_said
    print(f"{name:15} gap {gap:3d}: {[f'{score:.0%}' for score in scores]}")

# %%
finding(
    f"a gap of 100: the LSTM gets {right['LSTM', 100]:.0%} right, tanh "
    f"{right['tanh', 100]:.0%} (medians of 3 seeds); a step back leaves "
    f"{np.exp(fall['LSTM, forget bias 4.6']):.0%} and {np.exp(fall['tanh']):.0%}",
    right["LSTM", 100] == 1 > 0.5 == right["tanh", 100]
    and fall["tanh"] < 10 * fall["LSTM, forget bias 4.6"] < 0,
    covers=("c08",),
)
finding(
    f"tanh learns a gap of 10 ({right['tanh', 10]:.0%}) and not of 100; ReLU from the "
    f"identity learns 100 ({right['ReLU, identity', 100]:.0%})",
    right["tanh", 10] == 1 == right["ReLU, identity", 100] > right["tanh", 100],
    covers=("c10",),
)

# %% [markdown]
# `tanh` says the same third to both tunes, so one of them ends wrong. Listen to that
# one, a hundred notes after its key; then to the LSTM on the same tune.

# %%
forgot = next(one for one in said["tanh", 100] if one[0] == one[1])
lost = 1 if forgot[1] == THIRD else 0  # the tune it gets wrong: minor or major
key = (MAJOR, MINOR)[lost]
hear(drone_tune(key, int(forgot[lost]), 100), title="tanh: the wrong third")

# %%
kept_it = next(one for one in said["LSTM", 100] if one[0] != one[1])
hear(drone_tune(key, int(kept_it[lost]), 100), title="The LSTM: the third it was told")

# %% [markdown]
# It is the start that solves it here, gates that begin open or shut in the right way. An
# LSTM that begins with forget bias 1 fails at this gap too: try it in "go further".
#
# ## 9. A stream in windows
#
# Nobody goes back through a whole concert. The stream is cut into windows; the state is
# carried from window to window, and its gradient is not. This is truncated
# back-propagation through time (S4's last trick; in S3's code `hidden.detach()` does it).
# It only makes sense if a row of the batch goes on where it stopped.


# %%
def follow_on(stream, rows, length):
    """Cut a stream into windows whose rows go on, window after window.

    Args:
        stream: int array (N,). What does not fill a last window is left out.
        rows: int, how many places of the stream are read at once, evenly far apart.
        length: int, of a window.

    Returns:
        int array (windows, rows, length). Of 0..11 in 2 rows of 3, the first window is
        [[0, 1, 2], [6, 7, 8]] and the second [[3, 4, 5], [9, 10, 11]].
    """
    # BEGIN SOLUTION
    windows = len(stream) // rows // length
    pieces = np.asarray(stream)[: windows * rows * length]
    return pieces.reshape(rows, windows, length).swapaxes(0, 1)
    # END SOLUTION


check(follow_on)

# %% [markdown]
# A phrase of eight notes, again and again: its last note is C one time and G the next.
# Windows are as long as a phrase, so inside a window nothing says which is due. Carried,
# the state may know; reset, it can but guess, at $\log 2 = 0.693$ nats.

# %%
PHRASES = [[1, 2, 3, 4, 5, 4, 3, last] for last in (6, 7)]
song = np.array(PHRASES * 125).ravel()[: 8 * 8 * 31 + 1]  # 31 phrases a row
now, then = follow_on(song[:-1], 8, 8), follow_on(song[1:], 8, 8)
print(now.shape, now[0, :2].tolist())


def window_loss(network, x, y):
    """Nats of the note that is C or G; the state is carried to the next window."""
    return tf.reduce_mean(nats(y, network(x, training=True))[:, 6])


# %%
def streamed(carries, passes=4):
    """The loss of each window, one after another, over all passes."""
    network, seen = Network(RNN(8, 8, 24, 1)), []
    network.carry(8)
    pupil = Pupil(network, window_loss, 0.01)
    for _ in range(passes):
        network.reset()
        for x, y in zip(now, then, strict=True):
            if not carries:
                network.reset()
            seen.append(float(pupil.step(tf.constant(x), tf.constant(y))))
    return network, seen


# %%
network, carried = streamed(True)
_, forgotten = streamed(False)
figures.curves(
    {"carried": carried, "reset": forgotten},
    x="window",
    y="nats of C or G",
    floors={"a guess": np.log(2)},
    title="What the window does not hold",
)

# %% [markdown]
# (The peaks are where a pass begins anew, and nothing was carried yet.)
#
# **Before you run:** the carried state brings knowledge over the boundary. Does it bring
# gradient back? We ask the tape for the gradient of the second window's loss by the
# vector of a note that only the first window holds.

# %%
notes = network.trained_variables()["embedding"]
left, right_half = np.array([[6] * 8]), np.array([[1, 2, 3, 4, 5, 4, 3, 7]])
slopes = {}
for name in ("in two windows", "in one"):
    network.carry(1)
    with tf.GradientTape() as tape:
        if name == "in one":
            logits = network(np.concatenate([left, right_half], axis=1))[:, 8:]
        else:
            network(left, training=True)
            logits = network(right_half, training=True)
        loss = tf.reduce_mean(nats(right_half, logits))
    slope = tf.convert_to_tensor(tape.gradient(loss, notes))
    slopes[name] = float(tf.norm(slope[6]))  # of the note that was only in the first

# %%
finding(
    f"a gradient of {slopes['in one']:.2g} in one window is "
    f"{slopes['in two windows']:.0f} across the boundary; carried, the note costs "
    f"{np.mean(carried[-30:]):.3f} nats, reset {np.mean(forgotten[-30:]):.3f}",
    slopes["in two windows"] == 0 < slopes["in one"]
    and np.mean(carried[-30:]) < 0.2 < 0.6 < np.mean(forgotten[-30:]),
    covers=("c06",),
)

# %% [markdown]
# ## 10. Before the first note
#
# What is $h_0$? Zeros, so far. S2 would rather learn it, as one more weight. That matters
# where something is read out of $h_0$ itself: let the chorale's first note be said by
# the state before anything was read. From zeros the head has only its bias to say it
# with, and the bias has to serve all other notes as well. Both train for 60 steps.

# %%
opening = {split: np.stack([one[1:14] for one in some]) for split, some in ids.items()}


def opening_nats(network, x):
    """Nats of each note of an opening, the first one told from the start: (B, 13)."""
    named = network.trained_variables()
    start = named["start.h"] if "start.h" in named else tf.zeros((1, 32))
    first = tf.matmul(start, named["head.kernel"]) + named["head.bias"]  # (1, V)
    first = tf.tile(first[None], (x.shape[0], 1, 1))
    return nats(x, tf.concat([first, network(x[:, :-1])], axis=1))


def mean_nats(network, x):
    return tf.reduce_mean(opening_nats(network, x))


# %%
first_note = {}
for name, learns in (("zeros", False), ("learnt", True)):
    pupil = Pupil(Network(RNN(V, 16, 32, 1, learned_start=learns)), mean_nats, 0.01)
    x = tf.constant(opening["train"], tf.int32)
    for _ in range(60):
        pupil.step(x)
    held_out = opening_nats(pupil.network, tf.constant(opening["valid"], tf.int32))
    first_note[name] = float(tf.reduce_mean(held_out[:, 0]))
figures.columns(first_note, y="nats", title="The first note, from the state before it")

# %%
network = Network(RNN(V, 16, 32, 1, learned_start=True))
with tf.GradientTape() as tape:
    loss = mean_nats(network, x)
slope = tape.gradient(loss, network.trained_variables()["start.h"])
finding(
    f"the start has a gradient of {float(tf.norm(slope)):.3f}; with it the first note "
    f"costs {first_note['learnt']:.2f} nats on held-out chorales, with zeros "
    f"{first_note['zeros']:.2f}",
    float(tf.norm(slope)) > 1e-4 and first_note["learnt"] < first_note["zeros"] - 0.05,
    covers=("c18",),
)

# %% [markdown]
# With more steps the bias learns the first note too, and the others learn to outvote
# it; the start gets there at once. (The kit's own networks read a start token, whose
# vector does the same work. `learned_start=True` adds the weight.)
#
# S3 begins each tune from a random state, `torch.randn(...)`. The network was never
# trained on such states, and the tune now hangs on one more throw of dice, which nobody
# wrote down.
#
# ## 11. Side by side
#
# Now the three cells on the chorale sopranos, against the amnesiac of the beginning.
# All have 48 units and 30 passes over 336 tunes; of each, the best moment on held-out
# tunes counts, as it did for the amnesiac.
#
# **Before you run:** tunes of 50 notes. Which will win, and by how much?

# %%
from audio_models.gru import GRU


def padded_batch(some, length=64):
    """What is read, what comes next, and which of it is real: (tunes, 64) each."""
    grid, real = np.zeros((2, len(some), length + 1))
    for row, line in enumerate(some):
        line = line[: length + 1]
        grid[row, : len(line)] = line
        real[row, : len(line) - 1] = 1
    grid = grid.astype("int32")
    return grid[:, :-1], grid[:, 1:], real[:, :-1].astype("float32")


# %%
def masked_nats(network, x, y, real):
    """Nats a note; padding does not count."""
    each = nats(y, network(x, training=True))
    return tf.reduce_sum(each * real) / tf.reduce_sum(real)


def held_out(network, some):
    """Nats a note of whole tunes, each read alone, in NumPy."""
    told, weights = [], network.named_weights()
    for line in some:
        logits, _ = network.architecture.forward(numpy_ops, weights, line[None, :-1])
        chances = numpy_ops.log_softmax(logits[0])
        told.append(chances[np.arange(len(line) - 1), line[1:]])
    return float(-np.concatenate(told).mean())


# %%
import time

BATCH = padded_batch(ids["train"])
sizes = {"embedding_dim": 24, "hidden_dim": 48, "num_layers": 1, "dropout": 0.1}
pace, best, nets = {}, {}, {}
for kind in (RNN, GRU, LSTM):
    nets[kind] = Network(kind(V, **sizes))
    pupil, shuffle = Pupil(nets[kind], masked_nats, 0.005), np.random.default_rng(0)
    least, seconds = np.inf, []
    for epoch in range(30):
        began = time.perf_counter()
        for some in shuffle.permutation(336).reshape(-1, 48):
            pupil.step(*(tf.constant(part[some]) for part in BATCH))
        seconds.append(time.perf_counter() - began)
        if epoch % 3 == 2:
            least = min(least, held_out(nets[kind], ids["valid"]))
    count = sum(w.size for w in nets[kind].named_weights().values())
    best[kind.__name__], pace[kind.__name__] = least, np.median(seconds)
    print(f"{kind.__name__:5}{count:7,} weights {pace[kind.__name__]:6.2f} s a pass "
          f"{least:.3f} nats a note")  # fmt: skip

# %%
figures.columns(
    {"amnesiac": amnesiac, **best},
    y="nats a note",
    title="The next soprano note, on held-out chorales",
)

# %%
finding(
    f"the amnesiac, {amnesiac:.3f}, which is order 1 learnt slowly, loses to the plain "
    f"RNN, {best['RNN']:.3f}",
    0 <= curve["train"][-1] - bound < 0.01 and best["RNN"] < amnesiac - 0.02,
    covers=("b05", "c02"),
)
finding(
    f"GRU {best['GRU']:.3f} nats in {pace['GRU']:.2f} s a pass, LSTM {best['LSTM']:.3f} "
    f"in {pace['LSTM']:.2f} s, RNN {best['RNN']:.3f} in {pace['RNN']:.2f} s",
    max(best["GRU"], best["LSTM"]) < best["RNN"] - 0.02 and min(pace.values()) > 0,
    covers=("c14", "c15"),
)
# %%
rng = np.random.default_rng(6)
mixed = [np.append(0, rng.permutation(line[1:])) for line in ids["valid"]]
whole, broken = (held_out(nets[LSTM], some) for some in (ids["valid"], mixed))
finding(
    f"the same notes in another order cost {broken:.2f} nats and not {whole:.2f}; the "
    f"padded batch gave what each tune gives alone ({ragged:.0e} apart)",
    broken > whole + 0.5 and ragged < 1e-6,
    covers=("c21",),
)

# %% [markdown]
# A little memory is worth more than more of it: from no state to a plain one is the
# largest step. GRU and LSTM come out alike, and better than the plain cell, for three and
# four times its recurrent weights. S2's rule, the plain cell for simple tasks, is one of
# price; the seconds above say what the gates cost here.
#
# Look into the LSTM as it reads a held-out tune. Dark is a forget gate that keeps.

# %%
line = ids["valid"][0][:48]
named = nets[LSTM].named_weights()
h, c, gates = np.zeros((1, 48)), np.zeros((1, 48)), []
for note in line:
    w, u, b = (named[f"layer0.{part}"] for part in ("input", "recurrent", "bias"))
    x = named["embedding"][[note]]
    gates.append(sigmoid(x @ w + h @ u + b)[0, 48:96])  # f
    h, c = lstm_step(x, h, c, w, u, b)
gates = np.array(gates).T
figures.heat(
    gates[np.argsort(gates.mean(axis=1))],
    x="quarter note",
    y="unit, the best keepers below",
    title="Forget gates on a chorale's soprano",
)

# %% [markdown]
# Layers stack: the second reads the states of the first. Its state is one $h$ and one $c$
# a layer, and it is saved and loaded like any other.

# %%
import io

tall = LSTM(V, 24, 48, num_layers=2)
made, again, file = Network(tall, seed=1), Network(tall, seed=2), io.BytesIO()
np.savez(file, **made.named_weights())
file.seek(0)
again.load_named_weights(dict(np.load(file)))
some = ids["valid"][0][None]
_, state = tall.forward(numpy_ops, made.named_weights(), some)
finding(
    f"two layers: {len(state)} states of the shape {state[0].shape}; loaded, the same",
    [part.shape for part in state] == [(2, 1, 48)] * 2
    and np.array_equal(made(some), again(some)),
    covers=("c17",),
)

# %% [markdown]
# And S3's random start. **Before you run:** if we always take the likeliest note, and
# only the first state is drawn, how many tunes do five draws give?


# %%
def sung(start, draw=None, notes=48):
    """A tune by the LSTM: ids (notes,), the likeliest each time, or drawn."""
    architecture, weights = nets[LSTM].architecture, nets[LSTM].named_weights()
    note, state, tune = np.zeros((1, 1), int), start, []
    for _ in range(notes):
        logits, state = architecture.forward(numpy_ops, weights, note, state)
        chances = numpy_ops.softmax(logits[0, 0, 1:].astype(float))
        likeliest = chances.argmax()
        note[:] = 1 + (draw.choice(V - 1, p=chances) if draw else likeliest)
        tune.append(int(note[0, 0]))
    return tuple(tune)


# %%
zeros = [sung(None) for _ in range(5)]
thrown = [
    sung(tuple(np.random.default_rng([7, n]).normal(size=(2, 1, 1, 48)).astype("f4")))
    for n in range(5)
]
finding(
    f"five tunes from zeros: {len(set(zeros))} different; from random states: "
    f"{len(set(thrown))}",
    len(set(zeros)) == 1 < len(set(thrown)),
    covers=("c19",),
)

# %% [markdown]
# If chance is wanted, it belongs in the draw of each note, with a seed that is written
# down. So here, from zeros:

# %%
tune = sung(None, np.random.default_rng(8))
soprano = as_score(PITCHES[np.array(tune) - 1], qpm=100)
hear(soprano, title="A soprano line, drawn note by note")

# %%
figures.roll(soprano, "Twelve bars of it")

# %% [markdown]
# ## What you learnt
#
# - A state of fixed size is all that a recurrent network has of the past; its weights do
#   not know how long a sequence is.
# - The gradient goes back through time as a sum over the steps, and each step back is one
#   more product. Above 1 it explodes, below 1 it vanishes.
# - Clipping keeps training alive. It brings no memory.
# - What brings memory is a way that is multiplied by nearly 1: the identity of a ReLU, or a
#   cell behind gates. And the gates have to begin open.
# - Cut streams so that rows go on; carry the state, not the gradient; begin from zeros or
#   from what is learnt, not from dice.
# - On short tunes a plain state brings most of the gain, and gates some more. Measure
#   before you pay.
#
# ## Go further
#
# 1. Give the LSTM of beat 8 a forget bias of 1, or the input gate a bias of 0. Up to
#    which gap does it still learn?
# 2. Let the drone sing: fill the gap with two notes at random. Which of the three
#    networks still hears the key?
# 3. Write the way back through `lstm_step`. From cell to cell it is one product with $f$.
#
# ## Reading
#
# - Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8).
# - Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural
#   networks, arxiv.org/abs/1211.5063: both sides, and clipping.
# - Le, Jaitly & Hinton 2015, A simple way to initialize recurrent networks of rectified
#   linear units, arxiv.org/abs/1504.00941.
# - Cho et al. 2014, arxiv.org/abs/1406.1078, and Chung et al. 2014,
#   arxiv.org/abs/1412.3555: the GRU, with z one way and the other.
# - Tallec & Ollivier 2018, Can recurrent neural networks warp time?,
#   arxiv.org/abs/1804.11188: how gates should begin.
# - Andrej Karpathy 2015, The unreasonable effectiveness of recurrent neural networks,
#   karpathy.github.io/2015/05/21/rnn-effectiveness.

# %% [markdown]
# # Lab 8 · Memory
#
# A network with a notebook: it writes what it hears into slots, and reads them again when
# it is asked. You build the heads that find the slots, seven small functions, and then
# watch a trained machine use them.
#
# **Time:** an hour and a quarter, of which networks train for about a minute. **You will
# hear** a motif repeated from memory, and see the heads that read and wrote it.
# **Follows:** the study notes from RNN to Transformer, the part on Neural Turing Machines.

# %%
from dataclasses import replace

import numpy as np

from audio_models import numpy_ops
from labs import check, finding
from labs.catalogue import ROOM
from labs.figures import curves, heat, roll
from labs.hearing import hear
from labs.material import tunes

rng = np.random.default_rng(0)

# %% [markdown]
# ## Where we are going
#
# *The Mower* is an Irish jig of 114 notes. Each becomes a vector of eight bits: seven for
# the pitch, which MIDI counts from 0 to 127, and one that says whether the note is long.
# A machine hears the 114 vectors, then a flag goes up, and it must say them all again.

# %%
from data_pipelines.score import Score, notes_array


def bits_of(numbers, count):
    """Whole numbers (...) -> their binary digits (..., count), the smallest first."""
    return np.asarray(numbers)[..., None] >> np.arange(count) & 1


def as_tune(vectors):
    """Eight bits a note (T, 8) -> a `Score`, in eighths and quarters."""
    numbers = (vectors.astype(int) << np.arange(8)).sum(axis=-1)
    lengths = 240 * (1 + numbers // 128)
    starts = np.cumsum(lengths) - lengths
    return Score(notes_array(starts, lengths, numbers % 128), 480)


# %%
mower = next(tune for tune in tunes() if tune.title == "The Mower")
told = mower.notes["pitch"] + 128 * (mower.notes["duration"] > 240)
said = bits_of(told, 8)  # (114 notes, 8 bits)
hear(as_tune(said), title=f"{mower.title}: {len(said)} notes, {said.size} bits")

# %% [markdown]
# Two networks were taught by the same 12,000 steps, on random bits: 1 to 20 vectors, never
# a tune, never more than 20. They ship with the kit. One is an LSTM. The other is a
# *Neural Turing Machine*.


# %%
def recalled(architecture, weights, said):
    """Let it hear vectors (L, bits), then raise the flag: the chance of each bit."""
    x = np.zeros((1, 2 * len(said), said.shape[1] + 1))
    x[0, : len(said), :-1] = said
    x[0, len(said) :, -1] = 1  # the flag: from now on, say it
    logits, _ = architecture.forward(numpy_ops, weights, x)
    return numpy_ops.sigmoid(logits[0, len(said) :])


# %%
from studio.bench_copy import CONTROL, MACHINE

with np.load(ROOM / "copier.npz") as kept:
    shipped = {"machine": {}, "control": {}, "repeater": {}}
    for name in kept.files:
        of, key = name.split("/")
        shipped[of][key] = kept[name]
large = replace(MACHINE, slots=128)
again = recalled(large, shipped["machine"], said) > 0.5
hear(as_tune(again), title="What the machine says")

# %%
lstm_says = recalled(CONTROL, shipped["control"], said) > 0.5
finding(
    f"of {said.size} bits the machine has {(again != said).sum()} wrong, "
    f"the LSTM {(lstm_says != said).sum()}",
    (again != said).sum() < 10 < 200 < (lstm_says != said).sum(),
)
hear(as_tune(lstm_says), title="What the LSTM says")

# %% [markdown]
# ## 1. Two kinds of memory
#
# All that an LSTM knows lies in one vector $c$. Its gates decide, for each number of it,
# how much stays and how much comes in (lab 1):
#
# $$ c_t = f_t \, c_{t-1} + i_t \, g_t $$
#
# Every step touches all of $c$. Keeping and computing happen in one place, and there is no
# address: to find the fifth note, the weights must have learnt where it would be.
#
# A Neural Turing Machine has a *memory* beside it: $N$ slots, each a vector $M(i)$ of $W$
# numbers. A small network, the *controller*, says at each step where to write, what, and
# where to read. It says so with *heads*: a weight $w(i)$ for every slot, which sum to 1.
# A computer's address cannot be learnt, since it has no slope; a weight has.

# %% [markdown]
# ## 2. Find by content
#
# A head can ask for a slot by what lies in it. The controller gives a key $k$ and a
# strength $\beta$; each slot is compared by the cosine of the angle, and a softmax makes
# weights of it. That is lab 5's attention, with cosines for dot products.
#
# $$ w(i) = \frac{e^{\beta \cos(k, M(i))}}{\sum_j e^{\beta \cos(k, M(j))}} \qquad
#    \cos(u, v) = \frac{u \cdot v}{|u|\,|v|} $$


# %%
def content_weights(key, strength, memory):
    """The weight of each slot: floats (N,), which sum to 1.

    key: floats (W,). strength: float, above 0. memory: floats (N, W). A slot can be all
    zeros: put 1e-8 onto the product of the lengths. A strength can be 2000: take the
    largest score off before the exponential. np.linalg.norm(memory, axis=1) has the
    slots' lengths.
    """
    # BEGIN SOLUTION
    lengths = np.linalg.norm(memory, axis=1) * np.linalg.norm(key)
    scores = strength * (memory @ key) / (lengths + 1e-8)
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()
    # END SOLUTION


check(content_weights)

# %% [markdown]
# Three slots, and a key that points the way of slot 1. **Predict:** slot 2 is ten times
# slot 1. Which of them gets more? And what does a strength of 30 change?

# %%
memory = np.array([[1.0, 0.0], [0.6, 0.8], [6.0, 8.0]])
key = np.array([0.6, 0.8])
found = np.array([content_weights(key, strength, memory) for strength in (0.1, 3, 30)])
heat(
    found,
    x="slot",
    y="strength",
    x_ticks=[0, 1, 2],
    y_ticks=[0.1, 3, 30],
    numbers=True,
    title="By direction, not length",
)

# %% [markdown]
# Slots 1 and 2 point the same way and share alike, at any strength: content cannot tell
# two equal notes apart. A tune has many equal notes, so it needs places too.
#
# ## 3. Go on from where you stood
#
# A head can also stay, and move. First a *gate* $g$ mixes what was found with the weights
# of the step before; then the head moves along the slots by a soft choice $s$ of one back,
# stay, or one on; the end joins the beginning.
#
# $$ \tilde w = g\, w_{\text{found}} + (1 - g)\, w_{\text{before}} \qquad
#    w'(i) = \sum_{j=-1}^{1} s(j)\, \tilde w(i - j) $$


# %%
def stay_or_jump(gate, found, before):
    """Weights (N,): all of `found` at a gate of 1, all of `before` at a gate of 0."""
    # BEGIN SOLUTION
    return gate * found + (1 - gate) * before
    # END SOLUTION


check(stay_or_jump)


# %%
def shift(weights, moves):
    """Weights (N,) moved round the ring of slots.

    moves: floats (3,), how much goes by -1, 0 and +1 slots. Example: [0.9, 0.1, 0] with
    moves [0, 0, 1] is [0, 0.9, 0.1]; a whole move is exact, to the last bit.
    """
    # BEGIN SOLUTION
    back, on = np.roll(weights, -1), np.roll(weights, 1)
    return moves[0] * back + moves[1] * weights + moves[2] * on
    # END SOLUTION


check(shift)

# %% [markdown]
# A head on slot 3 of 24 moves on, eighteen times. **Predict:** the controller is 90% sure
# of "one on", and 5% each of the others. Where is the head after 18 steps?


# %%
def walk(moves, then=lambda weights: weights, steps=18):
    """The weights of a head at each step: (steps + 1, 24)."""
    rows = [np.eye(24)[3]]
    for _ in range(steps):
        rows.append(then(shift(rows[-1], np.array(moves))))
    return np.array(rows)


# %%
exact, soft = walk([0, 0, 1]), walk([0.05, 0.05, 0.9])
finding(
    f"all of a move: the head is on slot 21, weight {exact[-1, 21]:.0f}, exactly; "
    f"nine tenths of it: the largest weight is {soft[-1].max():.2f}; "
    f"both rows sum to {soft[-1].sum():.3f}",
    (exact[-1] == np.eye(24)[21]).all()
    and soft[-1].max() < 0.5
    and np.allclose(soft.sum(axis=1), 1),
    covers=("e05",),
)
heat(soft, x="slot", y="step", title="Nine tenths sure: the head smears")

# %% [markdown]
# So the last act of a head is to draw together what a soft move has smeared, by a power
# $\gamma \ge 1$:
#
# $$ w(i) = \frac{w'(i)^{\gamma}}{\sum_j w'(j)^{\gamma}} $$


# %%
def sharpen(weights, power):
    """Each of the weights (N,) to the power, over their sum.

    Example: [0.25, 0.75] to the power 2 is [0.1, 0.9].
    """
    # BEGIN SOLUTION
    raised = weights**power
    return raised / raised.sum()
    # END SOLUTION


check(sharpen)

# %%
drawn = walk([0.05, 0.05, 0.9], then=lambda weights: sharpen(weights, 2.0))
finding(
    f"with a power of 2 after each move the largest weight stays at "
    f"{drawn[-1].max():.2f}, on slot {drawn[-1].argmax()}",
    drawn[-1].max() > 0.95 and drawn[-1].argmax() == 21,
)
heat(drawn, x="slot", y="step", title="Nine tenths sure, and a power of 2")

# %% [markdown]
# ## 4. Write and read
#
# A write first wipes, then adds, each as much as the head stands on the slot. The
# controller says with $e$, in 0 to 1, which numbers go, and with $a$ what comes. A read is
# the mean of the slots by their weights.
#
# $$ M'(i) = M(i) \odot (1 - w(i)\, e) + w(i)\, a \qquad r = \sum_i w(i)\, M'(i) $$


# %%
def erase_add(memory, weights, erase, add):
    """A new memory (N, W); the one that was handed in stays as it is.

    weights: floats (N,). erase: floats (W,) in [0, 1]. add: floats (W,).
    """
    # BEGIN SOLUTION
    wiped = memory * (1 - np.outer(weights, erase))
    return wiped + np.outer(weights, add)
    # END SOLUTION


check(erase_add)


# %%
def read_memory(memory, weights):
    """What a head takes in of a memory (N, W): floats (W,)."""
    # BEGIN SOLUTION
    return weights @ memory
    # END SOLUTION


check(read_memory)

# %% [markdown]
# ## 5. The whole machine
#
# That is all of it. Here your functions are put together as the kit's machine is: in a step
# the controller hears the input and what was read the step before, and speaks to two heads.
# This controller is a single layer with no state of its own. Whatever the machine knows of
# the past, it must have written down. Its weights are the shipped ones.


# %%
def moved(said, before, memory):
    """One head: what the controller says to it (W + 6,) -> its new weights (N,)."""
    width = memory.shape[1]
    key, (strength, gate), moves = said[:width], said[width : width + 2], said[-4:-1]
    found = content_weights(np.tanh(key), np.logaddexp(0, strength), memory)
    mixed = stay_or_jump(1 / (1 + np.exp(-gate)), found, before)
    moves = np.exp(moves - moves.max())
    return sharpen(shift(mixed, moves / moves.sum()), 1 + np.logaddexp(0, said[-1]))


# %%
def my_step(w, x, memory, taken, reads, writes):
    """One vector further: the logits, and the four arrays anew."""
    x = np.concatenate([x, taken])
    h = np.tanh(x @ w["controller.input"] + w["controller.bias"])
    said = h @ w["heads.kernel"] + w["heads.bias"]
    width = memory.shape[1]
    reader, writer, erase, add = np.split(said, [width + 6, 2 * width + 12, -width])
    reads, writes = moved(reader, reads, memory), moved(writer, writes, memory)
    memory = erase_add(memory, writes, 1 / (1 + np.exp(-erase)), np.tanh(add))
    taken = read_memory(memory, reads)
    out = np.concatenate([h, taken])
    return out @ w["head.kernel"] + w["head.bias"], memory, taken, reads, writes


# %%
x = np.zeros((24, 9))
x[:12, :8], x[12:, 8] = said[:12], 1
slots, mine, sums = 32, [], []
state = (np.full((slots, 20), 1e-6), np.zeros(20), np.eye(slots)[0], np.eye(slots)[0])
for vector in x:
    logits, *state = my_step(shipped["machine"], vector, *state)
    mine.append(logits)
    sums += [state[2].sum(), state[3].sum()]
theirs, reads, writes = MACHINE.motion(numpy_ops, shipped["machine"], x[None])
apart = np.abs(np.array(mine) - theirs[0]).max()
astray = np.abs(np.array(sums) - 1).max()

# %%
finding(
    f"your machine is at most {apart:.0e} from the kit's; over {len(sums)} moves of a "
    f"head the weights sum to 1 within {astray:.0e}",
    apart < 1e-2 and astray < 1e-6,
    covers=("e05",),
)

# %% [markdown]
# ## 6. Teach one yourself
#
# Now a small machine from nothing. Sixteen pitches of a ladder, four bits each; motifs of
# 1 to 10 notes; random, so that nothing can be learnt by heart. An LSTM learns beside it by
# the same steps. How good is a copy? Count the bits that are wrong.


# %%
def bits_wrong(chances, wanted):
    """How many bits of each sequence are wrong, cut at one half: ints (B,).

    chances: floats (B, T, bits) in [0, 1]. wanted: 0 and 1, of the same shape.
    """
    # BEGIN SOLUTION
    return ((chances > 0.5) != (wanted > 0.5)).sum(axis=(1, 2))
    # END SOLUTION


check(bits_wrong)

# %%
from audio_models.memory import NeuralTuringMachine, VectorLSTM
from audio_models.memory_training import fit_copies

machine = NeuralTuringMachine(
    inputs=5, outputs=4, slots=24, width=16, hidden_dim=64, controller="feedforward"
)
lstm = VectorLSTM(inputs=5, outputs=4, hidden_dim=100)
course = {"steps": 600, "longest": 10, "bits": 4, "seed": 1}
course["ladder"] = ((0.4, 0.5), (1, 1))  # up to step 240 five notes at most
weights, losses = fit_copies(machine, learning_rate=2e-3, **course)
lstm_weights, lstm_losses = fit_copies(lstm, learning_rate=3e-3, **course)


# %%
def smooth(losses):
    return np.reshape(losses, (-1, 25)).mean(axis=1)


at = 25 * np.arange(1, 25)
curves(
    {"machine": (at, smooth(losses)), "LSTM": (at, smooth(lstm_losses))},
    x="step",
    y="nats a bit",
    title="Learning to copy: five notes at most, from step 240 ten",
    floors={"a coin": np.log(2)},
)

# %% [markdown]
# **Predict:** both heard ten notes at most. What becomes of 20, and of 40? No weight of the
# machine knows how many slots there are, so for 40 notes it may have a larger memory. The
# LSTM cannot be given more.


# %%
def tried(one, w, length, count=50):
    """New motifs of one length: the chances that come out, and what was wanted."""
    motifs = np.random.default_rng([3, length]).integers(0, 2, (count, length, 4))
    x = np.zeros((count, 2 * length, 5))
    x[:, :length, :4], x[:, length:, 4] = motifs, 1
    logits, _ = one.forward(numpy_ops, w, x)
    return numpy_ops.sigmoid(logits[:, length:]), motifs


# %%
LENGTHS = [1, 2, 5, 10, 15, 20, 30, 40]
pair = {
    "machine": (replace(machine, slots=64), weights),
    "LSTM": (lstm, lstm_weights),
}
tries = {
    name: [tried(*one, length) for length in LENGTHS] for name, one in pair.items()
}
wrong = {
    name: [bits_wrong(*pair).mean() for pair in row] for name, row in tries.items()
}
(at_10, at_20), (lstm_10, lstm_20) = (wrong[name][3:6:2] for name in wrong)

# %%
finding(
    f"20 notes, 80 bits, after no more than 10 in training: the machine has {at_20:.2f} "
    f"wrong, the LSTM {lstm_20:.1f}; at 10 notes {at_10:.2f} and {lstm_10:.1f}",
    at_20 < 4 and at_20 < lstm_20 / 4,
    covers=("e05",),
)
curves(
    {name: (LENGTHS, row) for name, row in wrong.items()},
    x="notes of the motif",
    y="wrong bits a motif",
    title="Taught on 1 to 10 notes",
)

# %% [markdown]
# ## 7. The heads in motion
#
# Why can it? Watch it. It hears a motif of 12 notes, then says it. **Predict:** a head's
# weights are a column at each step; what picture does the writing head draw in the first
# half, and the reading head in the second?

# %%
motif = bits_of(np.random.default_rng(5).integers(0, 16, 12), 4)
x = np.zeros((1, 24, 5))
x[0, :12, :4], x[0, 12:, 4] = motif, 1
_, reads, writes = machine.motion(numpy_ops, weights, x)
heat(writes[0].T, x="step", y="slot", title="The writing head: hears, then speaks")

# %%
heat(reads[0].T, x="step", y="slot", title="The reading head: hears, then speaks")

# %%
written, was_read = writes[0, :12].argmax(axis=1), reads[0, 12:].argmax(axis=1)
print("written:", *written)
print("read:   ", *was_read)
strides = {int(stride) % 24 for row in (written, was_read) for stride in np.diff(row)}
ahead = {min(gap, 24 - gap) for gap in ((was_read - written) % 24).tolist()}
finding(
    f"the heads take {len(strides)} kind of stride, a slot a step; the reading head stands "
    f"at most {max(ahead)} slot from where the note it says was written",
    strides in ({1}, {23}) and len(ahead) == 1 and max(ahead) <= 1,
    covers=("e06",),
)

# %% [markdown]
# The machine has found a programme: *write, go on; and when the flag is up: read, go on*.
# It does not mention the number of notes, and so it holds for any. (The reading head can be
# a slot ahead: the controller is told in the next step what was read in this one.)
#
# What do the two memories look like when all has been heard? The machine's: a row a slot.
# The LSTM's has one row only; we draw it at each step.


# %%
def heard(architecture, weights, motif):
    """The states while it hears a motif (L, bits), and the last of them."""
    states, state = [], None
    for vector in np.c_[motif, np.zeros(len(motif))]:
        _, state = architecture.forward(numpy_ops, weights, vector[None, None], state)
        states.append(state)
    return states, state


_, (slots, taken, heads) = heard(machine, weights, motif)
heat(slots[0], x="number", y="slot", title="The machine's memory: a slot a note")

# %%
steps, (h, c) = heard(lstm, lstm_weights, motif)
over_time = np.array([c[0, 0, :40] for _, c in steps])
heat(
    over_time,
    x="cell (the first 40)",
    y="step",
    title="The LSTM's: every note is everywhere",
)

# %% [markdown]
# A picture can deceive, so we break something. Wipe one of the twelve slots that the
# machine has filled; wipe every twelfth cell of the LSTM; then raise the flag.
# **Predict:** which notes suffer?


# %%
def speak(architecture, weights, state, count, bits=4):
    """Raise the flag for some steps: the chance of each bit (count, bits)."""
    flag = np.zeros((1, count, bits + 1))
    flag[..., -1] = 1
    logits, state = architecture.forward(numpy_ops, weights, flag, state)
    return numpy_ops.sigmoid(logits[0]), state


# %%
wiped = slots.copy()
wiped[:, written[5]] = 0
lame = c.copy()
lame[..., ::12] = 0
hurt = {}
for name, one, w, whole, broken in (
    ("machine", machine, weights, (slots, taken, heads), (wiped, taken, heads)),
    ("LSTM", lstm, lstm_weights, (h, c), (h, lame)),
):
    told = [speak(one, w, state, 12)[0] for state in (whole, broken)]
    hurt[name] = np.abs(told[0] - told[1]).mean(axis=1)  # (12 notes,)

# %%
share = hurt["machine"][5] / hurt["machine"].sum()
touched = {name: int((row > 0.01).sum()) for name, row in hurt.items()}
finding(
    f"a slot is wiped: {share:.0%} of the harm is done to note 5, {touched['machine']} "
    f"of 12 notes change; cells are wiped: {touched['LSTM']} of 12 change",
    share > 0.8 and touched["machine"] <= 3 and touched["LSTM"] >= 6,
    covers=("e06",),
)
curves(
    hurt,
    x="note",
    y="change of its bits' chances",
    title="One twelfth of the memory wiped",
)

# %% [markdown]
# That is the difference between gates and attention over a memory. A gate has one number
# for each cell and no notion of a note. A head stands somewhere, so each note has a place
# of its own, as the study notes have it: each slot keeps its own.
#
# ## 8. What a recurrent network costs
#
# Lectures blame three things on recurrence: all that was heard has to pass through one
# state (the *bottleneck*), it is *slow*, and its memory is *short*. The first and last
# are what you measured; a second answer to them is lab 4's: attention over all that was
# heard. It learns the same sixteen pitches, from 1,200 motifs met five times each, and is
# shown the right notes before each (*teacher forcing*), which the others are not.

# %%
from audio_models.seq2seq_recurrent import RecurrentSeq2Seq
from audio_models.seq2seq_training import batches, fit_seq2seq, likelihood_and_accuracy
from audio_models.toys import copied

translator = RecurrentSeq2Seq(20, embedding_dim=24, hidden_dim=48, cell="gru")
pairs = copied(1300, range(2, 11), seed=1, num_pitches=16)
attentive, _ = fit_seq2seq(
    translator, pairs[100:], pairs[:100], epochs=5, learning_rate=8e-3, seed=1
)


# %%
def attention_right(length):
    """The share of notes that it has right, told what came before."""
    rows = batches(copied(50, length, seed=2, num_pitches=16), 50)
    _, right, tokens = likelihood_and_accuracy(translator, attentive, rows)
    return right / tokens


right = {
    name: [((told > 0.5) == motifs).all(axis=-1).mean() for told, motifs in row[1:]]
    for name, row in tries.items()
}
right["attention"] = [attention_right(length) for length in LENGTHS[1:]]

# %%
curves(
    {name: (LENGTHS[1:], row) for name, row in right.items()},
    x="notes of the motif",
    y="share of notes right",
    title="Who remembers how much",
    floors={"chance": 1 / 16},
)

# %% [markdown]
# **Question.** Attention has every note before it, at 40 as at 5. Why does it fall? (It has
# learnt to look at what its own state says comes next; that state was never taught to count
# beyond ten. The machine has no counter: its head moves from where it is.)
#
# And *slow*? Two untrained networks of one layer and one width read $T$ notes, here with
# NumPy. The LSTM needs $T$ steps, each waiting for the one before. The Transformer needs one
# step for all, but in it every note is held against every other.
# **Predict:** $T$ goes from 64 to 2048, times 32. What does the time do?

# %%
import time

from audio_models.network import first_values
from audio_models.recurrent import LSTM
from audio_models.transformer import Transformer

TIMES = [64, 128, 256, 512, 1024, 2048]
readers = {
    "LSTM": LSTM(32, embedding_dim=64, hidden_dim=64, num_layers=1),
    "Transformer": Transformer(
        32, hidden_dim=64, num_layers=1, num_heads=2, context_length=2048
    ),
}


# %%
def seconds(one, length, rounds=9):
    """Seconds of this thread's own work to read one row, the least of a few rounds."""
    named = enumerate(one.weights().items())
    w = {name: first_values(weight, [0, n]) for n, (name, weight) in named}
    ids, spans = np.random.default_rng(0).integers(4, 32, (1, length)), []
    for _ in range(rounds):
        began = time.thread_time()
        one.forward(numpy_ops, w, ids)
        spans.append(time.thread_time() - began)
    return min(spans)


took = {name: [seconds(one, t) for t in TIMES] for name, one in readers.items()}
curves({name: (TIMES, row) for name, row in took.items()}, x="notes", y="seconds",
       log_x=True, log_y=True, title="To read a row")  # fmt: skip

# %% [markdown]
# Clocks differ from machine to machine, and tell little on a busy one. So we count as
# well: an array namespace that notes down each matrix product, how many there are in a
# row and how many multiplications in all.


# %%
class Counting:
    """`numpy_ops`, and a tally of its matrix products."""

    def __init__(self):
        self.in_a_row, self.multiplications = 0, 0

    def __getattr__(self, name):
        return getattr(numpy_ops, name)

    def matmul(self, a, b):
        out = np.matmul(a, b)
        self.in_a_row += 1
        self.multiplications += out.size * a.shape[-1]
        return out


# %%
def tally(one, length):
    """How many products in a row, and how many multiplications."""
    w = {name: np.zeros(weight.shape) for name, weight in one.weights().items()}
    count = Counting()
    one.forward(count, w, np.full((1, length), 4))
    return count.in_a_row, count.multiplications


counts = {name: [tally(one, t) for t in (256, 2048)] for name, one in readers.items()}
row = {name: (few[0], many[0]) for name, (few, many) in counts.items()}
times = {name: many[1] / few[1] for name, (few, many) in counts.items()}
clock = {name: spans[-1] / spans[2] for name, spans in took.items()}
ratio = [a / b for a, b in zip(took["LSTM"], took["Transformer"], strict=True)]

# %%
finding(
    f"256 notes and 2048: products in a row {row['LSTM'][0]} and {row['LSTM'][1]} in the "
    f"LSTM, {row['Transformer'][0]} and {row['Transformer'][1]} in the Transformer; "
    f"multiplications times {times['LSTM']:.1f} and times {times['Transformer']:.1f}; by "
    f"the clock times {clock['LSTM']:.1f} and {clock['Transformer']:.1f}; the LSTM takes "
    f"{ratio[0]:.1f} of the Transformer's time at 64 notes, {ratio[-1]:.1f} at 2048",
    row["LSTM"][1] - row["LSTM"][0] == 2048 - 256
    and row["Transformer"][1] < 100
    and abs(times["LSTM"] - 8) < 0.1
    and times["Transformer"] > 16
    and 3 < clock["LSTM"] < 24,
)

# %%
finding(
    "and of the notes, at 5, 10 and 40: "
    + "; ".join(
        f"{name} {row[1]:.0%}, {row[2]:.0%}, {row[-1]:.0%}"
        for name, row in right.items()
    ),
    right["machine"][-1] > 0.9
    and right["LSTM"][-1] < 0.5
    and right["attention"][2] > right["LSTM"][2] + 0.2
    and times["LSTM"] < times["Transformer"],
    covers=("c22",),
)

# %% [markdown]
# So recurrence does not work more: its products grow with $T$, attention's with $T^2$. It
# is slow where many cores could work at once, because they must wait: $T$ products in a
# row, against a few. (A few more for long rows: the kit takes the notes in
# blocks, and so leaves out most of what lies ahead.) A Neural Turing Machine waits as
# well, and does more in each step.
#
# ## 9. A motif, repeated
#
# To copy, a head only has to go on. To *repeat*, it must come back to the beginning,
# however long the motif was. Another shipped machine was taught that: motifs of 1 to 6
# notes, said three times. A second flag shows where the motif begins, and begins again.
# **Predict:** what does the picture of its reading head look like for four times eight?

# %%
from studio.bench_copy import REPEATER

LADDER = np.array([55, 57, 59, 60, 62, 64, 65, 67, 69, 71, 72, 74, 76, 77, 79, 81])
motif = bits_of([3, 5, 7, 10, 9, 7, 8, 5], 4)
x = np.zeros((1, 40, 6))
x[0, :8, :4], x[0, 8:, 4], x[0, ::8, 5] = motif, 1, 1
logits, reads, writes = REPEATER.motion(numpy_ops, shipped["repeater"], x)
played = np.concatenate([motif, logits[0, 8:] > 0])


# %%
def as_motif(bits):
    """Four bits a note (T, 4) -> a `Score` of eighths on the ladder."""
    numbers = (bits.astype(int) << np.arange(4)).sum(axis=-1)
    starts = 240 * np.arange(len(bits))
    return Score(notes_array(starts, 240, LADDER[numbers]), 480)


hear(as_motif(played), title="The motif, and four times from memory")

# %%
heat(
    reads[0].T, x="step", y="slot", title="The reading head of the machine that repeats"
)

# %%
stood = reads[0, 8:].argmax(axis=1).reshape(4, 8)
wrong_notes = (played.reshape(5, 8, 4) != motif).any(axis=-1).sum()
finding(
    f"four times eight notes, {wrong_notes} wrong; the reading head stands on slots "
    f"{stood[0].tolist()} the first time and on {(stood == stood[0]).mean():.0%} of the "
    "same ones at the same notes after",
    wrong_notes == 0 and (stood[:, :-1] == stood[0, :-1]).all(),
    covers=("e05",),
)

# %%
roll(as_motif(played), title="The motif, and four times from memory",
     marks=range(0, len(played), len(motif)))  # fmt: skip

# %% [markdown]
# ## What you learnt
#
# - Weights over all slots in place of an address: reading and writing get a slope.
# - Content finds a slot by its direction; a gate and a shift go on from where the head was;
#   a power keeps it on one slot.
# - Erase and add change one slot and leave the rest. An LSTM's gates change all of it.
# - A programme of steps holds for lengths that were never taught; a state learnt by heart
#   does not.
# - Recurrence waits for itself; attention pays for every pair.
#
# ## Go further
#
# - Give the machine `controller="lstm"`. Does it still use its slots for five notes?
# - Which finds the beginning again, content or shift? Print the gate of the reading head.
# - Let the memory have 8 slots, and 10 notes. What does it forget?
#
# ## To read
#
# - Graves, Wayne, Danihelka 2014, *Neural Turing Machines*, arXiv:1410.5401
# - Collier, Beel 2018, *Implementing Neural Turing Machines*, arXiv:1807.08518
# - Graves et al. 2016, *Hybrid computing using a neural network with dynamic external memory*
# - Weston, Chopra, Bordes 2015, *Memory Networks*, arXiv:1410.3916

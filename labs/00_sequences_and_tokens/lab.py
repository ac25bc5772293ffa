# %% [markdown]
# # Lab 0 · Sequences and tokens
#
# A tune, a drum beat, a recording, a tossed coin, the height of a ball: each is a
# sequence, one thing after another. You will turn each into whole numbers that a network
# can read, turn them back without losing a note, and see why the order matters.
#
# **60 minutes.** You will hear a score, its tokens, and the sound of both: an Irish air, a
# groove that a table of counts wrote, and a ball that sings its own path.
#
# This follows the lecture on networks for artists (S0: "what's a sequence?"), the opening
# of MIT 6.S191's lecture 2 (S1), the notation of Andrew Ng's notes (S3), and the single
# neuron of the slides (S4).

# %%
from dataclasses import replace

import numpy as np

from labs import check, finding
from labs.figures import columns, curves, heat, roll, waves
from labs.hearing import hear
from labs.material import tunes

TUNES = tunes(count=240)  # Irish airs and dances, read from ABC
AIR = replace(TUNES[57], title="The Parting Glass")
hear(AIR, title="Where this lab ends: this air, over a groove made of tokens")

# %%
roll(AIR, title="The same air as a score")

# %% [markdown]
# ## 1 · A beat is a row of tokens
#
# A **token** is the "what" at each place of a sequence. A network reads and writes
# nothing but the number of a token. So the first question of every musical model is: what
# are its tokens?
#
# A score says *when* and *which*. For drums, let a grid say when: a step is a sixteenth,
# and `hits[t, k]` is true where drum $k$ is struck at step $t$.
#
# One row of numbers can say the same: token $k+1$ strikes drum $k$, token $0$ waits one
# step.

# %%
from data_pipelines.drum_patterns import STYLES, drum_piece

rock = [drum_piece(STYLES[0], np.random.default_rng([7, n])) for n in range(24)]
NAMES = {36: "kick", 38: "snare", 41: "low tom", 42: "hat", 46: "open hat",
         47: "mid tom", 49: "crash", 50: "high tom", 51: "ride"}  # fmt: skip
DRUMS = sorted(set(np.concatenate([one.notes["pitch"] for one in rock]).tolist()))
hear(rock[0], title="A rock beat")


# %%
def grid_of(score):
    """The hits of a drum score: bool array (T, K), a row a sixteenth."""
    step = score.notes["start"] * 4 // score.ticks_per_quarter
    hits = np.zeros((step.max() + 1, len(DRUMS)), bool)
    hits[step, np.searchsorted(DRUMS, score.notes["pitch"])] = True
    return hits


picture = grid_of(rock[0])[:32].T
heat(picture, x="step", y_ticks=[NAMES[k] for k in DRUMS], title="Its first two bars")

# %% [markdown]
# **Before you run:** a bar has 16 sixteenths. If 22 drums are struck in it, how many
# tokens will it take?


# %%
def encode_hits(hits):
    """A drum grid as one row of tokens.

    Args:
        hits: bool array (T, K), whether drum k is struck at step t.

    Returns:
        list of int. For each step: k + 1 for each drum k that is struck, the smaller
        first, and then 0, which waits for the next step. The last step waits too.

    Example: hits of [[1, 0, 1], [0, 0, 0], [0, 1, 0]] give [1, 3, 0, 0, 2, 0].

    Hint: `np.flatnonzero(row)` names the places of a row that are true.
    """
    # BEGIN SOLUTION
    tokens = []
    for row in np.asarray(hits, bool):
        tokens += [int(k) + 1 for k in np.flatnonzero(row)]
        tokens.append(0)
    return tokens
    # END SOLUTION


check(encode_hits)

# %% [markdown]
# The way back is given. A pair of functions like this is a **tokenizer**, and its first
# law is that nothing is lost: *decode after encode is the identity*.


# %%
def decode_hits(tokens):
    """Undo `encode_hits`: bool array (T, K)."""
    rows = [np.zeros(len(DRUMS), bool)]
    for token in tokens:
        if token == 0:
            rows.append(np.zeros(len(DRUMS), bool))
        else:
            rows[-1][token - 1] = True
    return np.array(rows[:-1])


# %%
grids = [grid_of(score) for score in rock]
tokens = encode_hits(grids[0][:16])
print(f"the first bar: {grids[0][:16].sum()} hits, {len(tokens)} tokens\n{tokens}")
kept = sum((decode_hits(encode_hits(g)) & g).sum() for g in grids)
struck = sum(len(score.notes) for score in rock)
finding(
    f"of {struck:,} hits in {len(rock)} pieces, {kept:,} come back",
    kept == struck and all((decode_hits(encode_hits(g)) == g).all() for g in grids),
)

# %% [markdown]
# Where there are tokens, there can be a model. The simplest one only counts: which token
# came after which few others? That is an **n-gram**, and lab 3 builds it. Here we let the
# kit's own count the 24 pieces, and draw a new beat from it, token by token.

# %%
from audio_models.ngram import NGram

ngram = NGram(len(DRUMS) + 1, max_order=12)
ngram.fit([np.array([0, *encode_hits(grid)]) for grid in grids])  # 0: it begins
rng = np.random.default_rng(3)
drawn = [0]
while drawn.count(0) <= 64:  # four bars
    recent = np.array((drawn[::-1] + [-1] * 12)[:12])  # the newest first
    drawn.append(int(rng.choice(len(DRUMS) + 1, p=ngram.distribution(recent))))
groove = decode_hits(drawn[1:])
print(f"{len(drawn) - 1} tokens drawn: {groove.sum()} hits in {len(groove) // 16} bars")
heat(groove.T, x="step", y_ticks=[NAMES[k] for k in DRUMS], title="A beat nobody wrote")

# %%
from data_pipelines.score import Score, Tempo, Track, notes_array

step, drum = np.nonzero(groove)
notes = notes_array(step * 120, 60, np.array(DRUMS)[drum])
GROOVE = Score(notes, 480, (Track("Drums", 0, True),), tempos=(Tempo(0, 110.0),))
hear(GROOVE, title="A beat drawn from counts")

# %%
from io import BytesIO

import mido

from data_pipelines.midi import midi_bytes
from data_pipelines.render import render

messages = [m for m in mido.MidiFile(file=BytesIO(midi_bytes(GROOVE))) if not m.is_meta]
channels = {m.channel + 1 for m in messages}  # a file counts from 0, musicians from 1
rms = float(np.sqrt(np.mean(render(GROOVE, sample_rate=22_050).waveform ** 2)))
finding(
    f"every hit came back; the new beat is on channel {channels}, at an RMS of {rms:.3f}",
    kept == struck and channels == {10} and rms > 0.01,
    covers=("a02",),
)

# %% [markdown]
# A MIDI file goes the same way: it is a **stream of events**, like the clicks of a
# visitor or the purchases of a customer. Each note is two of them, a key going down and
# a key coming up, with the ticks to wait in between.
#
# **Before you run:** how many key events does an air of 101 notes have?

# %%
file = mido.MidiFile(file=BytesIO(midi_bytes(AIR)))
keys = [m for track in file.tracks for m in track if m.type in ("note_on", "note_off")]
starts, ends = AIR.notes["start"], AIR.notes["start"] + AIR.notes["duration"]
events = sorted(
    [(tick, "down", key) for tick, key in np.c_[starts, AIR.notes["pitch"]].tolist()]
    + [(tick, "up", key) for tick, key in np.c_[ends, AIR.notes["pitch"]].tolist()],
    key=lambda event: (event[0], event[1] == "down"),  # up before down
)
for tick, what, key in events[:5]:
    print(f"tick {tick:4d}: key {key} {what}")
finding(
    f"{len(events)} events of {len(AIR.notes)} notes; mido reads {len(keys)}",
    len(events) == len(keys) == 2 * len(AIR.notes),
    covers=("a14",),
)

# %% [markdown]
# ## 2 · A token is a number, a one-hot vector, a row of a table
#
# For a tune, the kit's melody tokenizer strikes a `pitch`, or says `hold` or `rest`, once
# a sixteenth. Every token has an **index**, its place in the vocabulary of $V$ tokens.
#
# An index is a name, not a quantity: token 70 is not "twice" token 35. So a network is
# given a vector. The plainest is **one-hot**: zeros, with a one at the token's place,
#
# $$e(i)_v = 1 \text{ if } v = i, \text{ else } 0.$$

# %%
from data_pipelines.tokenizers import MelodyTokenizer

tokenizer = MelodyTokenizer()
ids = tokenizer.encode(AIR)


def word(token):
    """What a melody token says."""
    return str(tokenizer.vocabulary.decode(token)).removesuffix(":0")


print(f"{len(ids)} tokens, of {tokenizer.vocab_size} kinds; from the 15th on:")
for token in ids[14:24]:
    print(f"{token:4d}  {word(token)}")


# %%
def one_hot(ids, vocab_size):
    """Token ids as vectors with a single 1.

    Args:
        ids: int array (T,), each in 0 .. vocab_size - 1.
        vocab_size: int, V.

    Returns:
        float array (T, V): row t is 0 but at place ids[t], where it is 1.

    Example: one_hot([2, 0], 3) is [[0, 0, 1], [1, 0, 0]].

    Hint: the rows of `np.eye(V)` are the V one-hot vectors, in order.
    """
    # BEGIN SOLUTION
    return np.eye(vocab_size)[np.asarray(ids, int)]
    # END SOLUTION


check(one_hot)

# %%
heat(
    one_hot(ids[14:54], tokenizer.vocab_size)[:, 70:145].T,
    x="t, from 14", y="token id, from 70", title="Forty tokens, one-hot: the last row says hold",
)  # fmt: skip

# %% [markdown]
# A one-hot vector is long and says little. An **embedding** gives each token a short
# vector of learnt numbers: row $i$ of a matrix $E$ of shape $(V, D)$. To multiply a
# one-hot vector by $E$ picks exactly that row:
#
# $$e(i)^\top E = E_i.$$
#
# **Before you run:** which is less work, the product with all its zeros, or looking up a
# row? Keras's `Embedding` looks up.

# %%
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def keras_embedding(ids, vocab_size):
    """What Keras looks up for ids (T,), and its table: (T, 8) and (V, 8)."""
    import keras  # takes some seconds

    keras.utils.set_random_seed(0)
    layer = keras.layers.Embedding(vocab_size, 8)
    return np.asarray(layer(ids)), np.asarray(layer.embeddings)


# %%
looked_up, E = keras_embedding(ids, tokenizer.vocab_size)
apart = float(np.abs(one_hot(ids, tokenizer.vocab_size) @ E - looked_up).max())
finding(
    f"one-hot times E and Embedding differ by {apart:.1e} at most",
    apart < 1e-6 and looked_up.shape == (len(ids), 8),
    covers=("a06",),
)

# %% [markdown]
# ### A notation for what comes next
#
# Ng's notes write a sequence as $x = x^{\langle 1 \rangle}, \dots, x^{\langle T_x
# \rangle}$: $t$ counts places, $T_x$ is how many there are. Of several sequences,
# $X^{(i)\langle t \rangle}$ is place $t$ of the $i$-th. What is wanted is $y$, of length
# $T_y$; the two lengths may differ.
#
# For "what comes next?" they are equal, and the answers are in the music itself:
#
# $$y^{\langle t \rangle} = x^{\langle t+1 \rangle}.$$


# %%
def inputs_and_targets(ids, length):
    """Cut a long row of tokens into inputs, and targets that are one place later.

    Args:
        ids: int array (N,).
        length: int, T, of each row. Rows follow each other without gap or overlap.

    Returns:
        (x, y), int arrays (M, T): as many rows as have all their targets; what is left
        at the end of the tokens is left out.

    Example: of ids 0..6 and length 3, x is [[0, 1, 2], [3, 4, 5]] and y is
    [[1, 2, 3], [4, 5, 6]]. Of ids 0..5, only the first row is left.
    Hint: the last token can be a target, and never an input.
    """
    # BEGIN SOLUTION
    ids = np.asarray(ids)
    rows = (len(ids) - 1) // length
    x = ids[: rows * length].reshape(rows, length)
    y = ids[1 : rows * length + 1].reshape(rows, length)
    return x, y
    # END SOLUTION


check(inputs_and_targets)

# %%
x, y = inputs_and_targets(ids, 16)  # a bar a row
print("t       " + " ".join(f"{t:>8d}" for t in range(1, 9)))
for name, row in (("x(2)<t>", x[1]), ("y(2)<t>", y[1])):
    print(f"{name} " + " ".join(f"{word(token):>8s}" for token in row[:8]))
finding(
    f"T_x = {x.shape[1]} and T_y = {y.shape[1]}; in all {len(x)} rows y<t> is x<t+1>",
    bool((x[:, 1:] == y[:, :-1]).all()) and x.shape == y.shape,
    covers=("a12",),
)

# %% [markdown]
# ## 3 · How well can the next token be guessed?
#
# Toss a coin and write a high note for heads, a low one for tails. That is music with a
# known rule, so we can know how well *any* model could do.
#
# A model that gave the token that came the probability $p$ pays $-\log p$ **nats**: 0 if
# it was certain, and much if it was surprised. The mean over all tokens is the negative
# log-likelihood, NLL. With the true probabilities $p_i$ it is on average the **entropy**
#
# $$H(p) = -\sum_i p_i \log p_i,$$
#
# and no model can do better in the long run.

# %%
rng = np.random.default_rng(11)
fair = (rng.random(200_000) < 0.5).astype(int)
biased = (rng.random(200_000) < 0.8).astype(int)  # heads four times in five

from data_pipelines.number_series import sonified

hear(sonified(fair[:32], scale="pentatonic", low=60, high=67), title="A fair coin")

# %%
hear(sonified(biased[:32], scale="pentatonic", low=60, high=67), title="A biased coin")

# %% [markdown]
# **Before you run:** which coin has the larger entropy? And what is the entropy of a coin
# with two heads?


# %%
def entropy(p):
    """How many nats the next token costs on average, at best.

    Args:
        p: float array (V,), probabilities that sum to 1. Some may be 0.

    Returns:
        float, the sum of -p log p in nats: the natural logarithm. What never comes
        costs nothing, so a probability of 0 adds 0.

    Example: entropy([0.5, 0.5]) is 0.693; entropy([1, 0]) is 0.

    Hint: take the logarithm of those above 0 alone.
    """
    # BEGIN SOLUTION
    p = np.asarray(p, float)
    seen = p[p > 0]
    return float(-(seen * np.log(seen)).sum())
    # END SOLUTION


check(entropy)

# %%
chances = np.linspace(0, 1, 101)
curves(
    {"entropy": (chances, [entropy([c, 1 - c]) for c in chances])},
    x="chance of heads", y="nats a toss", title="A fair coin is the hardest to guess",
    floors={"log 2": np.log(2)},
)  # fmt: skip

# %% [markdown]
# Now the model that counts, given half of the tosses to learn from and the other half to
# be tried on. Order $k$ looks at the last $k$ tosses, up to fourteen.
#
# **Before you run:** does it help to remember more tosses?

# %%
learnt, held_out = biased[:100_000], biased[100_000:]
counted = NGram(2, max_order=14).fit([learnt])
nll = -counted.log_probabilities(held_out).mean(axis=1)  # (15,), one an order
floor = entropy([0.8, 0.2])
true_nll = float(-np.log(np.where(held_out[1:] == 1, 0.8, 0.2)).mean())
fair_model = NGram(2, max_order=0).fit([fair[:100_000]])
fair_nll = float(-fair_model.log_probabilities(fair[100_000:]).mean())
curves(
    {"counted model": nll}, x="tosses remembered", y="nats a toss",
    title="Held-out tosses of the biased coin", floors={"entropy": floor},
)  # fmt: skip

# %%
finding(
    f"fair: {fair_nll:.4f} nats, entropy {entropy([0.5, 0.5]):.4f}; "
    f"biased: {nll[0]:.4f} nats, entropy {floor:.4f}",
    abs(nll[0] - floor) < 0.01 and abs(fair_nll - np.log(2)) < 0.01,
)
finding(
    f"the best of {len(nll)} counted models pays {nll.min():.4f} on held-out tosses, who "
    f"knows the coin {true_nll:.4f}; remembering 14 tosses costs {nll[14]:.4f}",
    abs(nll[0] - floor) < 0.01
    and nll.min() > true_nll - 0.001
    and nll[14] > nll[0] + 0.005,
    covers=("a01",),
)

# %% [markdown]
# The coin has no memory, so memory cannot help: what the long contexts "learnt" was
# chance. Music is not a coin, and there the last notes say a great deal. How much, the
# next section measures. But the unit needs care first.
#
# ## 4 · The same tunes in three alphabets
#
# A tune can be spelled in the **characters** of ABC notation, in **note tokens**, or in
# tokens that were **merged** from these: byte pair encoding (BPE) looks for the pair of
# neighbours that is most frequent, makes it one new token, and does so again.
#
# A long token says more than a short one, and costs more. So nats *a token* cannot be
# compared between alphabets. Nats **a note** can:
#
# $$\text{nats a note} = \frac{-\sum_t \log p(x^{\langle t \rangle} \mid \dots)}{\text{notes}}.$$


# %%
def merge_pair(tokens, pair, new):
    """Write a pair of neighbours as one new token, wherever it stands.

    Args:
        tokens: list of int, read from left to right; it stays as it is.
        pair: (int, int), in this order. A token belongs to one pair only.
        new: int, the token that takes the place of both.

    Returns: a new list of int.

    Example: merge_pair([5, 6, 5, 5, 6], (5, 6), 9) is [9, 5, 9]; of [7, 7, 7] and
    (7, 7), the first two are merged: [9, 7].
    Hint: a `while` over a place that moves on by one, or by two after a merge.
    """
    # BEGIN SOLUTION
    merged, at = [], 0
    while at < len(tokens):
        is_pair = tuple(tokens[at : at + 2]) == tuple(pair)
        merged.append(new if is_pair else tokens[at])
        at += 2 if is_pair else 1
    return merged
    # END SOLUTION


check(merge_pair)

# %%
from collections import Counter
from itertools import pairwise

from data_pipelines.abc_writer import abc_text
from data_pipelines.text import Text
from data_pipelines.tokenizers import TextTokenizer

scores = [tokenizer.decode(tokenizer.encode(tune)) for tune in TUNES]  # on the grid
spelled = [abc_text(score) for score in scores]
texts = [text[text.index("M:") :] for text in spelled]  # without number and title
print(texts[57])
letters = TextTokenizer("".join(sorted(set("".join(texts[:160])))))
as_letters = [letters.encode(Text(text)).tolist() for text in texts]
as_notes = [tokenizer.encode(score).tolist() for score in scores]
note_counts = np.array([tokenizer.is_note(ids).sum() for ids in as_notes])

# %%
as_merged, vocab_size, made = as_notes, tokenizer.vocab_size, {}
for _ in range(20):
    pairs = Counter()
    for stream in as_merged[:160]:  # learnt from the training tunes alone
        pairs.update(pairwise(stream[1:]))  # not across the beginning
    pair = pairs.most_common(1)[0][0]
    as_merged = [merge_pair(stream, pair, vocab_size) for stream in as_merged]
    made[vocab_size] = [n for t in pair for n in made.get(t, [t])]
    vocab_size += 1
for token in list(made)[:8]:
    print(token, " ".join(map(word, made[token])))

# %% [markdown]
# **Before you run:** rank the three by nats a token, then by nats a note. Is it the same
# order? The counted model learns from 160 tunes; how many tokens it looks back at is
# chosen on 40 others; the last 40 are the test.


# %%
def measure(streams, size):
    """(tokens a tune, nats a token, nats a note) on the test tunes."""
    pieces = [np.array(stream) for stream in streams]
    ngram = NGram(size, max_order=8).fit(pieces[:160])

    def nats(some):
        return -sum(ngram.log_probabilities(piece).sum(axis=1) for piece in some)

    order = int(nats(pieces[160:200]).argmin())
    test, total = pieces[200:], nats(pieces[200:])[order]
    tokens = sum(len(piece) - 1 for piece in test)  # BOS is given
    return tokens / len(test), total / tokens, float(total / note_counts[200:].sum())


# %%
table = {
    "letters": measure(as_letters, letters.vocab_size),
    "notes": measure(as_notes, tokenizer.vocab_size),
    "merged": measure(as_merged, vocab_size),
}
for name, (length, a_token, a_note) in table.items():
    print(f"{name:8} {length:5.0f} tokens a tune  {a_token:.2f} nats a token  "
          f"{a_note:.2f} nats a note")  # fmt: skip

# %%
per_token = sorted(table, key=lambda name: table[name][1])
per_note = sorted(table, key=lambda name: table[name][2])
finding(
    f"cheapest a token: {', '.join(per_token)}; cheapest a note: {', '.join(per_note)}",
    per_token[-1] == "merged"
    and per_note[0] == "merged"
    and table["merged"][0] < 0.6 * table["notes"][0]
    and table["letters"][2] > table["merged"][2] + 0.3,
    covers=("a04",),
)
columns({name: row[2] for name, row in table.items()}, y="nats a note",
        title="The same 40 tunes in three alphabets")  # fmt: skip

# %% [markdown]
# The merged alphabet is the dearest a token and the cheapest a note: with half as many
# tokens, the same short memory reaches twice as far back. Part of what letters cost is
# bar lines and the key, which note tokens do not say.
#
# ## 5 · Numbers over time
#
# Heights, temperatures, prices, steps of a recipe: any list of numbers in order is a
# sequence, and can be heard. MIT's lecture begins with a **moving ball**: where will it
# be next? From one picture, nobody can say. From two, one sees where it is going.
#
# What keeps its velocity is as far from here as here is from before:
#
# $$\hat{x}^{\langle t+1 \rangle} = x^{\langle t \rangle} + \left(x^{\langle t \rangle} - x^{\langle t-1 \rangle}\right).$$

# %%
import tempfile
from pathlib import Path

from data_pipelines.number_series import read_numbers

rng = np.random.default_rng(5)
start, velocity = rng.uniform(0, 24, (200, 1)), rng.uniform(1, 3, (200, 1))
velocity = velocity * rng.choice([-1, 1], (200, 1))
path = (start + velocity * np.arange(48)) % 48
balls = np.minimum(path, 48 - path)  # (200, 48): between a wall at 0 and one at 24
balls = balls + rng.normal(0, 0.1, balls.shape)  # seen a little unsharply
curves({"ball 1": balls[0], "ball 2": balls[1]}, x="t", y="height", title="Two balls")

# %%
heights = np.rint(balls[0]).astype(int).tolist()
with tempfile.TemporaryDirectory() as folder:
    table_file = Path(folder, "ball.csv")
    table_file.write_text("height\n" + "\n".join(map(str, heights)) + "\n")
    song = read_numbers(table_file, scale="pentatonic")
in_midi = mido.MidiFile(file=BytesIO(midi_bytes(song)))
struck = [m for t in in_midi.tracks for m in t if m.type == "note_on" and m.velocity]
finding(
    f"{len(heights)} rows in the table, {len(song.notes)} notes, {len(struck)} in MIDI",
    len(heights) == len(song.notes) == len(struck),
    covers=("a05",),
)
hear(song, title="The ball's height, on a pentatonic scale")


# %%
def guess_next(positions):
    """Where balls will be next, if each keeps its velocity.

    Args:
        positions: float array (B, T), T at least 2: B balls, the newest place last.

    Returns:
        float array (B,).

    Example: guess_next([[0, 1, 3], [5, 5, 5]]) is [5, 5].

    Hint: the last two columns are all that is needed.
    """
    # BEGIN SOLUTION
    positions = np.asarray(positions, float)
    return 2 * positions[:, -1] - positions[:, -2]
    # END SOLUTION


check(guess_next)

# %% [markdown]
# Without history, the best straight line from one place to the next is fitted by least
# squares on 100 balls; both guesses are tried on the other 100.
#
# **Before you run:** a ball moves by 1 to 3 at a step. How far off will each guess be?

# %%
here, after = balls[:100, 1:-1].ravel(), balls[:100, 2:].ravel()
slope, height = np.polyfit(here, after, 1)
tried = balls[100:]
alone = np.abs(slope * tried[:, 1:-1] + height - tried[:, 2:]).mean()
guesses = np.stack([guess_next(tried[:, : t + 1]) for t in range(1, 47)], axis=1)
with_history = np.abs(guesses - tried[:, 2:]).mean()
finding(
    f"off by {alone:.2f} from one place, by {with_history:.2f} with the place before",
    with_history <= 0.5 * alone,
    covers=("a10",),
)
columns({"one place": float(alone), "with history": float(with_history)}, y="mean error",
        title="History tells where a ball is going")  # fmt: skip

# %% [markdown]
# **A question:** is a melody a ball? Does a tune that went up two semitones go up two
# more? Guess before you run.

# %%
steps = [tune.notes["pitch"].astype(float) for tune in TUNES if len(tune.notes) > 2]
stay = np.concatenate([np.abs(p[2:] - p[1:-1]) for p in steps]).mean()
go_on = np.concatenate(
    [
        np.abs(guess_next(np.stack([p[:-2], p[1:-1]], axis=1)) - p[2:])  # (T - 2,)
        for p in steps
    ]
).mean()
finding(
    f"the next note of a tune: off by {stay:.2f} semitones if it stayed, "
    f"by {go_on:.2f} if it went on as before",
    go_on > 1.2 * stay,
)

# %%
moves = [np.diff(p) for p in steps]
pairs = np.concatenate([np.stack([m[:-1], m[1:]], axis=1) for m in moves])  # (N, 2)
pairs = pairs[(pairs != 0).all(axis=1)]  # no repeated notes
turns = (pairs > 0).sum(axis=1) == 1  # up and then down, or down and then up
leaps = np.abs(pairs[:, 0]) >= 5  # a fourth or more
finding(
    f"a tune turns back after {turns.mean():.0%} of its moves, "
    f"and after {turns[leaps].mean():.0%} of its leaps",
    turns.mean() < 0.45 and turns[leaps].mean() > 0.6,
)

# %% [markdown]
# A tune mostly keeps its direction, but not its speed, and after a leap it turns back two
# times in three. History matters here too, and the rule is not a ball's. Rather than write
# down such rules, we will let networks find them.
#
# ## 6 · Sound is a sequence of numbers
#
# A recording is one number, a **sample**, thousands of times a second. Rounded to 256
# levels, each sample is a token too (lab 6 lets a network play on from there).

# %%
from data_pipelines.audio import mu_law_encode

RATE = 22_050
A4 = Score(notes_array([0], [960], [69]), 480, (Track("Piano", 0),))
tone = render(A4, sample_rate=RATE).waveform.mean(axis=1)
print(
    "samples", np.round(tone[2000:2006], 3), "as tokens", mu_law_encode(tone[2000:2006])
)
hear(tone, RATE, title="The A above middle C: one note of the piano")

# %%
waves(tone, RATE, title="A4: its waveform, and its spectrum over time", seconds=1.5)

# %% [markdown]
# Nobody hears single samples. So sound is cut into **slices** of $W$ samples, one every
# hop of $S$, which overlap. Each fades in and out under a window, so that it has no edge.
# The Hann window
#
# $$w_n = \tfrac12 - \tfrac12 \cos(2 \pi n / W)$$
#
# has a beautiful property: at a hop of $W/2$ the overlapping windows add up to exactly 1.
# So to add the slices, each at its place, gives the sound back.

# %%
from data_pipelines.spectra import hann

window, hop = 1024, 512
taper = hann(window)
parts = {f"window {n + 1}": (np.arange(window) + n * hop, taper) for n in range(3)}
curves({**parts, "sum": (np.arange(hop, 3 * hop), np.ones(2 * hop))},
       x="sample", title="Hann windows half a window apart add up to 1")  # fmt: skip


# %%
def overlap_add(slices, hop):
    """Add slices, each at its place, into one sound.

    Args:
        slices: float array (T, W). Slice t begins at sample t * hop.
        hop: int, S, samples from slice to slice.

    Returns:
        float array ((T - 1) * S + W,): where slices overlap, their sum.

    Example: overlap_add([[1, 2, 3], [10, 20, 30]], 2) is [1, 2, 13, 20, 30].

    Hint: begin with zeros, and add each slice to its part of them.
    """
    # BEGIN SOLUTION
    slices = np.asarray(slices, float)
    count, window = slices.shape
    sound = np.zeros((count - 1) * hop + window)
    for t in range(count):
        sound[t * hop : t * hop + window] += slices[t]
    return sound
    # END SOLUTION


check(overlap_add)

# %%
padded = np.pad(tone, (hop, -len(tone) % hop + hop))  # the ends lie in two slices too
slices = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * taper
again = overlap_add(slices, hop)[hop : hop + len(tone)]
apart = float(np.abs(again - tone).max())
finding(
    f"{len(slices)} slices of {window} samples give the sound back to {apart:.0e}",
    apart < 1e-6 and len(again) == len(tone),
    covers=("a11",),
)

# %% [markdown]
# The spectrum of a slice says how much of each frequency is in it. To know the *note*,
# fold all octaves into twelve **pitch classes**, C to B: that is chroma. MIDI pitch $m$
# has the frequency $440 \cdot 2^{(m-69)/12}$ Hz, so a frequency $f$ lies at
# $m = 69 + 12 \log_2 (f / 440)$.

# %%
strength = np.abs(np.fft.rfft(tone * hann(len(tone)))) ** 2
hertz = np.fft.rfftfreq(len(tone), 1 / RATE)
peak = float(hertz[strength.argmax()])
audible = (hertz > 60) & (hertz < 5000)
pitch = np.rint(69 + 12 * np.log2(hertz[audible] / 440)).astype(int)
chroma = np.bincount(pitch % 12, weights=strength[audible], minlength=12)
names = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
loudest = names[int(chroma.argmax())]
finding(
    f"the spectrum peaks at {peak:.1f} Hz; the strongest pitch class is {loudest}",
    abs(peak - 440) <= 2 and loudest == "A",
    covers=("a15",),
)

# %%
share = np.round(chroma / chroma.sum(), 3).tolist()
columns(dict(zip(names, share, strict=True)), y="share",
        title="The chroma of A4")  # fmt: skip

# %% [markdown]
# ## 7 · One neuron
#
# What reads these vectors? The oldest artificial neuron, the **perceptron**, weighs its
# inputs and fires if the sum is high enough. The threshold is written as a **bias** $b$:
#
# $$y = 1 \text{ if } w \cdot x + b > 0, \text{ else } 0, \qquad w \cdot x = \sum_i w_i x_i.$$
#
# *Should I have a cup of tea?* Do they have Earl Grey (weight 3)? Did I just have one
# ($-1$)? Can I get it to go (2)? Let the sum have to exceed 2: the bias is $-2$.


# %%
def perceptron(x, weights, bias):
    """The answer of one perceptron to each row of inputs.

    Args:
        x: float array (B, n), a row a question.
        weights: float array (n,).
        bias: float.

    Returns:
        int array (B,): 1 where the weighted sum plus the bias is above 0, else 0. At
        exactly 0 it does not fire.

    Example: perceptron([[1, 1], [1, 0]], [1, 1], -1) is [1, 0].

    Hint: `x @ weights` is the dot product of each row with the weights.
    """
    # BEGIN SOLUTION
    fires = np.asarray(x, float) @ np.asarray(weights, float) + bias > 0
    return fires.astype(int)
    # END SOLUTION


check(perceptron)

# %% [markdown]
# **Before you run:** no Earl Grey, none just had, to go. Tea?
#
# The same neuron can tell whether a note is in C major: give it the one-hot vector of the
# pitch class, and weights of 1 for white keys, $-1$ for black ones.

# %%
cases = np.array([[e, h, g] for e in (0, 1) for h in (0, 1) for g in (0, 1)])
tea = perceptron(cases, [3, -1, 2], -2)
print("Earl Grey  just had  to go   sum  tea")
for grey, had, go, answer in np.c_[cases, tea]:
    print(f"{grey:9d} {had:9d} {go:6d} {3 * grey - had + 2 * go:5d} {answer:4d}")
white = [1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, 1]
in_major = perceptron(one_hot(np.arange(12), 12), white, 0)
found = " ".join(names[k] for k in np.flatnonzero(in_major))
finding(
    f"tea in {tea.sum()} of 8 cases; in C major are {found}",
    tea.tolist() == [0, 0, 0, 0, 1, 1, 0, 1] and found == "C D E F G A B",
    covers=("b01",),
)

# %% [markdown]
# A jump cannot be learnt by small steps. Replace it by a smooth **activation function**
# and it can: the sigmoid $\sigma(z) = 1 / (1 + e^{-z})$ says *how much* yes, from 0 to 1.
# Many such neurons beside each other are a **layer**, with a column of weights each:
#
# $$\text{layer}(x) = \sigma(x W + b), \qquad \text{network}(x) = \sigma(\sigma(x W_1 + b_1)\, W_2 + b_2).$$

# %%
z = np.linspace(-5, 5, 201)
curves(
    {
        "jump": (z, (z > 0) * 1.0),
        "sigmoid": (z, 1 / (1 + np.exp(-z))),
        "tanh": (z, np.tanh(z)),
        "relu": (z, np.clip(z, 0, 2)),
    },
    x="w x + b", title="Activation functions (relu, max(0, z), is cut at 2)",
)  # fmt: skip


# %%
def two_layers(x, first, second):
    """Two layers of sigmoid neurons, one after the other.

    Args:
        x: float array (B, n).
        first: (W, b), float arrays (n, hidden) and (hidden,).
        second: (W, b), float arrays (hidden, outputs) and (outputs,).

    Returns:
        float array (B, outputs), each in 0 .. 1. Both layers end in a sigmoid.

    Example: with all weights 0, every output is 0.5.

    Hint: write one layer as a function inside, and call it twice.
    """

    # BEGIN SOLUTION
    def layer(x, kernel, bias):
        z = np.asarray(x, float) @ np.asarray(kernel, float) + np.asarray(bias, float)
        return 1 / (1 + np.exp(-z))

    return layer(layer(x, *first), *second)
    # END SOLUTION


check(two_layers)


# %%
def keras_layers(x):
    """Two `Dense` layers of Keras on x (B, n): the outputs, and (W, b) of each."""
    from keras import layers

    first, second = (
        layers.Dense(n, activation="sigmoid", bias_initializer="normal") for n in (6, 2)
    )
    outputs = np.asarray(second(first(x)))
    return outputs, *[tuple(layer.get_weights()) for layer in (first, second)]


# %%
x = np.random.default_rng(2).normal(size=(5, 12)).astype("float32")
by_keras, first, second = keras_layers(x)
apart = float(np.abs(two_layers(x, first, second) - by_keras).max())
finding(
    f"your two layers and keras Dense differ by {apart:.1e} at most",
    apart < 1e-5 and by_keras.shape == (5, 2),
    covers=("b02",),
)

# %% [markdown]
# ## 8 · A window that is always too short
#
# Could such layers write melodies? Give them the last $n$ notes side by side, as one long
# vector: a multi-layer perceptron (MLP) over a **window**. Two things are wrong with it.
# Each place of the window has weights of its own, so a longer memory is a larger network
# that learns the same motif again at every place. And another length does not fit at all.
#
# A recurrent network reads one note after another with the *same* weights.
#
# **Before you run:** when the window doubles, what happens to each count?


# %%
def window_model(length):
    """An MLP over `length` vectors of 8: what comes next, of 12 pitch classes."""
    from keras import Sequential, layers

    hidden = [layers.Flatten(), layers.Dense(32, activation="relu")]
    return Sequential([layers.Input((length, 8)), *hidden, layers.Dense(12)])


def recurrent_model():
    """An LSTM over as many vectors of 8 as there are."""
    from keras import Sequential, layers

    return Sequential([layers.Input((None, 8)), layers.LSTM(32), layers.Dense(12)])


# %%
lengths = [8, 16, 32, 64]
mlp = [window_model(n).count_params() for n in lengths]
lstm = recurrent_model()
reads = [np.asarray(lstm(np.zeros((1, n, 8), "float32"))).shape for n in lengths]
try:
    window_model(16)(np.zeros((1, 20, 8), "float32"))
    fits = True
except ValueError as error:
    fits = False
    print(f"20 notes for the MLP of 16: {type(error).__name__}, its weights do not fit")

# %%
finding(
    f"windows of {lengths}: {mlp} parameters, and 20 notes do not fit 16; "
    f"the LSTM reads them all with {lstm.count_params()}",
    (np.diff(mlp) == 8 * 32 * np.diff(lengths)).all()
    and not fits
    and set(reads) == {(1, 12)},
    covers=("a13",),
)
curves({"MLP over a window": (lengths, mlp), "LSTM": (lengths, [lstm.count_params()] * 4)},
       x="notes read", y="parameters", title="Weights for each place, or for all")  # fmt: skip

# %% [markdown]
# ### What a sequence can be asked
#
# | question | in words | in music | $T_x$, $T_y$ | lab |
# |---|---|---|---|---|
# | what comes next? | language model | the next note | $T_y = T_x$, shifted | 2, 3 |
# | what kind is it? | sentiment | jig or reel, major or minor | many to one | 7 |
# | which other belongs to it? | translation | a bass for a melody | many to many | 4 |
# | what follows from one thing? | a caption for a picture | a tune from a style | one to many | 2 |
#
# Chromosomes, heartbeats, share prices and program text are read in the same ways; this
# course stays with music.

# %%
melody = AIR.notes[AIR.notes["start"] < 16 * 4 * AIR.ticks_per_quarter]  # 16 bars
four_bars = 4 * 16 * 120  # ticks
again = np.repeat(np.arange(4) * four_bars, len(GROOVE.notes))
drums = notes_array(
    np.tile(GROOVE.notes["start"], 4) + again, 60,
    np.tile(GROOVE.notes["pitch"], 4), velocity=56, track=1,
)  # fmt: skip
together = Score(
    np.concatenate([melody, drums]), 480, (Track("Fiddle", 40), Track("Drums", 0, True)),
    tempos=(Tempo(0, 104.0),),
)  # fmt: skip
hear(together, title="The air, over the beat that was drawn token by token")

# %% [markdown]
# ## What you learnt
#
# - A token is the "what" of a sequence: a hit, an event, a letter, a number, a sample. A
#   tokenizer is a pair of functions, and decode after encode gives everything back.
# - A token's index is a name; one-hot makes a vector of it, and an embedding picks a row.
# - $y^{\langle t \rangle} = x^{\langle t+1 \rangle}$: music carries its own answers.
# - Entropy is the floor under every model's NLL. Memory of a coin only learns chance.
# - Compare alphabets by nats a note, not a token.
# - A ball goes on as before, a tune turns back after a leap: history tells what is next.
# - Slices under Hann windows add up to the sound again; a spectrum shows its pitch.
# - A neuron is a dot product, a bias and an activation. A window of neurons grows with its
#   memory; a recurrent network does not. That is lab 1.
#
# ## Go further
#
# 1. Sonify numbers of your own with `read_numbers`: a column of a CSV, a note a row.
# 2. Can one perceptron tell whether two notes are the same pitch class? Try to set the
#    weights, then explain why you cannot (this is XOR), and do it with two layers.
# 3. Make 200 merges instead of 20. Tokens a tune fall further. Do nats a note?
#
# ## Reading
#
# - Shannon 1948, A Mathematical Theory of Communication: entropy, and letters drawn from
#   counts. https://doi.org/10.1002/j.1538-7305.1948.tb01338.x
# - Sennrich, Haddow & Birch 2016, byte pair encoding. https://arxiv.org/abs/1508.07909
# - Fradet et al. 2023, Byte Pair Encoding for Symbolic Music.
#   https://arxiv.org/abs/2301.11975
# - von Hippel & Huron 2000, Why Do Skips Precede Reversals? Music Perception 18:1.
# - Nielsen 2015, Neural Networks and Deep Learning, chapter 1: perceptron to sigmoid.
#   http://neuralnetworksanddeeplearning.com
# - MIT 6.S191, Introduction to Deep Learning, lecture 2. http://introtodeeplearning.com

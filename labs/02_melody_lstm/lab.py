# %% [markdown]
# # Lab 2 · A melody from an LSTM
#
# A folder of MIDI files goes in at the top of this page; a tune that nobody wrote comes
# out at the bottom. On the way you write the six small functions that turn a network's
# numbers into notes.
#
# **Time:** an hour, of which the network trains for about a minute. **You will hear**
# your first generated melody. **Follows:** MIT 6.S191 lecture 2 (its software lab), the
# practical of the Keras slides, and the notes on Andrew Ng's sequence models, whose
# sampling loop we will catch repeating itself.

# %%
import time

import numpy as np

from labs import check, finding
from labs.figures import columns, curves, roll
from labs.hearing import hear

began = time.time()

# %% [markdown]
# ## Where we are going
#
# This tune was written by `fiddle`, a model that ships with the kit: two LSTM layers that
# read some four thousand fiddle tunes. Yours will be smaller, and will have read four
# hundred. Listen for what it has (bars, a key, phrases) and what it has not (a plan).

# %%
from studio.compose import Wish, compose
from studio.models import open_model

goal = compose(open_model("fiddle"), Wish(bars=8, seed=3)).score
hear(goal, title="`fiddle`, eight bars")

# %% [markdown]
# ## 1. A folder
#
# Put the path of your own folder of MIDI files in place of ours, if you have one. Ours
# holds 400 Irish tunes (O'Neill 1903, from music21's corpus), and two files that are not
# music, because folders are like that. **Predict:** what will happen to those two?

# %%
from labs.material import folder_of_tunes
from studio.gather import gather

folder = folder_of_tunes("tunes")
dataset = gather(folder)

report = list(dataset.report())
for line in report:
    if line["status"] == "refused" and line["reason"] != "duplicate":
        print(line["path"].split("/")[-1], "→", line["reason"], line["detail"])
files = sum(1 for path in folder.iterdir())
finding(
    f"all {files} files are in the report, used or refused with a reason",
    files == len(report)
    and all(line["status"] != "refused" or line["reason"] for line in report),
    covers=("f05",),
)

# %% [markdown]
# Two tunes that are the same but for their key, or share long runs, count as kin. Kin
# stay together: they are all in *train*, or all in *valid* (to choose by), or all in
# *test* (to report). Otherwise a model could score well by remembering.
#
# ## 2. A tune is a row of tokens
#
# One token for each sixteenth of the tune: a note begins (its pitch), it is held, or
# there is a rest. Before them stands `bos`, then the metre; `eos` is the end.

# %%
from studio.floors import held_out_pieces

tokenizer = dataset.tokenizer
tune = np.asarray(held_out_pieces(dataset, "valid")[3])
words = [str(tokenizer.vocabulary.decode(i)) for i in tune]
print(len(words), "tokens of", tokenizer.vocab_size, "kinds:", " ".join(words[:28]))
roll(tokenizer.decode(tune), title="A tune held out from training")

# %% [markdown]
# ## 3. How wrong is a prediction?
#
# A network reads tokens $x_1 \dots x_t$ and gives a *logit* $z_v$ for each token $v$ that
# could be next. The softmax makes probabilities of them, and the *cross-entropy* is the
# surprise at what did come, $x_{t+1}$, in nats:
#
# $$ p_v = \frac{e^{z_v}}{\sum_u e^{z_u}} \qquad\quad
#    L = \frac{1}{N} \sum_{t \text{ real}} -\log p_{x_{t+1}} $$
#
# Windows are filled up with padding. Padding is easy to predict, so a mean that counts it
# looks better than the model is: only the $N$ real tokens count.


# %%
def cross_entropy(logits, targets, is_real):
    """Mean surprise at the targets, in nats, over the real tokens alone.

    logits: floats (B, T, V). targets: ints (B, T). is_real: bools (B, T).
    The largest logit can be taken off all V of them first: e^1000 is too large.
    """
    # BEGIN SOLUTION
    shifted = logits - logits.max(axis=-1, keepdims=True)  # (B, T, V)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    surprise = -np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
    return surprise[is_real].mean()
    # END SOLUTION


check(cross_entropy)

# %% [markdown]
# ## 4. What is a good number?
#
# A loss means nothing alone. Three models that need no training are the floor to stand
# on: *copy* expects the note before, *unigram* knows only how common each note is, and
# the *n-gram* counts what followed each run of notes. All are measured on held-out tunes,
# per note. **Predict:** by how much does an LSTM beat counting, after a minute?

# %%
from studio.floors import measure_floors

floors = measure_floors(dataset)
counted = {"copy": floors.copy, "unigram": floors.unigram, "n-gram": floors.ngram}
columns(counted, y="nats a note, held out", title="Three models without training")

# %% [markdown]
# Now the network: each token becomes a vector of 32 numbers, one LSTM layer of 128 cells
# carries what was read, and a linear layer gives the logits. Each tune is moved up or
# down by up to five semitones, a new way each time it comes round.

# %%
from audio_models import MODELS
from audio_models.network import Network
from labs.teaching import teach

architecture = MODELS["lstm"](
    vocab_size=tokenizer.vocab_size,
    embedding_dim=32,
    hidden_dim=128,
    num_layers=1,
    dropout=0.1,
)
network = Network(architecture, seed=0)
untrained = {name: np.array(w) for name, w in network.named_weights().items()}
history = teach(
    network, dataset, epochs=20, batch_size=8, window=256, learning_rate=5e-3
)

# %%
held_out = [row["held_out"] for row in history]
finding(
    f"the LSTM is at {min(held_out):.2f} nats a note on held-out tunes; "
    f"the best of the floors is {floors.ngram:.2f}",
    min(held_out) < floors.ngram - 0.05,
    covers=("a07",),
)
curves(
    {"LSTM": held_out},
    x="epoch",
    y="nats a note, held out",
    title="Twenty times through the tunes",
    floors=counted,
)

# %% [markdown]
# Our curve, and the report of any model of the kit, show the held-out loss. A falling
# *training* loss says only that the tunes are being learnt by heart.
#
# ## 5. What comes next?
#
# The network is asked one token at a time: `step` takes a token and the *state* (all that
# the LSTM remembers), and gives logits and the next state. Let us play it the beginning
# of a scale and stop before its last note.

# %%
from audio_models.player import Player
from labs.material import as_score

player = Player(architecture, network.named_weights())


def step(token, state):
    """One token further: logits (V,) and the next state."""
    logits, state = player.step(np.array([token]), state)
    return logits[0], state


scale = np.repeat([74, 73, 71, 69, 67, 66, 64, 62], 2)  # D major downwards, eighths
phrase = tokenizer.encode(as_score(scale, steps_a_quarter=4))[:-3]  # without the last
state = player.start(1)
for token in phrase:
    logits, state = step(token, state)

# %%
chances = np.exp(logits - logits.max())
chances /= chances.sum()
likely = np.argsort(-chances)[:5]
names = [str(tokenizer.vocabulary.decode(i)) for i in likely]
finding(
    f"after seven notes of the scale the chances sum to {chances.sum():.6f}",
    abs(chances.sum() - 1) < 1e-5,
    covers=("c03",),
)
columns(
    dict(zip(names, chances[likely], strict=True)), title="The eighth note (D is 62)"
)

# %% [markdown]
# ## 6. Temperature
#
# Divide the logits by a temperature $\tau$ before the softmax. **Predict:** what happens
# to the likeliest token as $\tau$ grows, and what as it goes to zero?
#
# $$ p_v = \frac{e^{z_v / \tau}}{\sum_u e^{z_u / \tau}} $$


# %%
def soften(logits, temperature):
    """Probabilities (V,) of logits (V,) at a temperature above 0; they sum to 1."""
    # BEGIN SOLUTION
    scaled = logits / temperature
    weights = np.exp(scaled - scaled.max())  # the same ratios, and no overflow
    return weights / weights.sum()
    # END SOLUTION


check(soften)

# %%
levels = {f"τ = {t}": np.sort(soften(logits, t))[::-1][:12] for t in (0.5, 1.0, 2.0)}
curves(levels, x="rank of the token", y="probability", title="Heat flattens")

# %% [markdown]
# ## 7. Drawing one
#
# Lay the probabilities end to end: they cover the line from 0 to 1. A random number $u$
# from $[0, 1)$ falls into one of the pieces, and into each as often as it is long:
#
# $$ \text{token} = \min \{\, v : p_0 + \dots + p_v > u \,\} $$


# %%
def draw(chances, u):
    """The token (an int) into whose piece of the line u falls, 0 <= u < 1.

    A token whose chance is 0 has no piece: it is never drawn. The sum may end a hair
    below 1 for want of digits: then u beyond it belongs to the last token that has one.
    """
    # BEGIN SOLUTION
    ends = np.cumsum(chances)
    token = np.searchsorted(ends, u, side="right")
    return int(min(token, np.flatnonzero(chances)[-1]))
    # END SOLUTION


check(draw)

# %% [markdown]
# ## 8. The loop
#
# Everything that generates (this LSTM, a Transformer, a model of sound) runs the loop of
# the first language models: read the prompt, choose a token, *read your own choice*, and
# so on. The question is only how `choose` chooses.


# %%
def go_on(step, state, prompt, count, choose):
    """Read a prompt, then write `count` tokens: the list of the new ones.

    step(token, state) gives (logits, state). choose(logits) gives a token. Each token,
    of the prompt and chosen, is read once; the last one chosen need not be.
    """
    # BEGIN SOLUTION
    for token in prompt:
        logits, state = step(token, state)
    written = [choose(logits)]
    while len(written) < count:
        logits, state = step(written[-1], state)
        written.append(choose(logits))
    return written[:count]
    # END SOLUTION


check(go_on)

# %% [markdown]
# ## 9. Why the likeliest is a bad choice
#
# The notes that this lab follows sample with `argmax`, and their Shakespeare comes round
# to "hen toud course tort as make it" again and again. A network with a finite state that
# always does the likeliest thing must come back to where it was, sooner or later. Find
# the loop: the shortest period with which the *end* of a row repeats.


# %%
def period_of(tokens, least_rounds=3):
    """The smallest p so that the last p tokens came least_rounds times in a row; else 0.

    [5, 1, 2, 1, 2, 1, 2] has the period 2 at the end; [1, 2, 3] has none: 0.
    """
    # BEGIN SOLUTION
    tokens = list(tokens)
    for p in range(1, len(tokens) // least_rounds + 1):
        tail = tokens[-p * least_rounds :]
        if tail == tail[-p:] * least_rounds:
            return p
    return 0
    # END SOLUTION


check(period_of)

# %%
rng = np.random.default_rng(5)
prompt = [int(token) for token in phrase]  # the scale of a moment ago
no_sound = np.arange(tokenizer.vocab_size) < 15  # pad, bos, eos, unk and the metres


def likeliest(logits):
    return int(np.where(no_sound, -1e9, logits).argmax())


def by_chance(logits):
    return draw(soften(np.where(no_sound, -1e9, logits), 1.0), rng.random())


rows = {
    "argmax": go_on(step, player.start(1), prompt, 400, likeliest),
    "sampling": go_on(step, player.start(1), prompt, 400, by_chance),
}
periods = {name: period_of(row) for name, row in rows.items()}
finding(
    f"argmax ends in a loop of {periods['argmax']} tokens, sampling in none",
    periods["argmax"] > 0 and periods["sampling"] == 0,
    covers=("d09",),
)

# %%
last = [str(tokenizer.vocabulary.decode(i)) for i in rows["argmax"][-4:]]
print("argmax ends with", " ".join(last), "...")
roll(
    tokenizer.decode([*prompt, *rows["sampling"][:128], 2]),
    title="The scale, sampled on",
)

# %% [markdown]
# After a held sixteenth the likeliest token is one more `hold`, nine times in ten. So the
# most probable of all continuations is a single note, or a rest, without end: each step
# of it is a good guess, and the whole is no music. What people write is not what is
# likeliest, it is *as surprising as usual*: that is why we draw.
#
# ## 10. Cutting off the tail
#
# At $\tau = 1$ a token of one chance in a thousand comes about once in a thousand: a wrong
# note every few bars. *Nucleus sampling* keeps the smallest set of likeliest tokens that
# holds at least a share $p$ of the whole, and draws from these alone (Holtzman et al.
# 2020).


# %%
def keep_nucleus(chances, share):
    """The chances with all outside of the nucleus at 0; they sum to 1 again.

    The nucleus: the likeliest tokens, as few as hold `share` or more between them.
    """
    # BEGIN SOLUTION
    order = np.argsort(-chances, kind="stable")
    before = np.cumsum(chances[order]) - chances[order]  # held by those likelier
    kept = np.zeros_like(chances)
    kept[order[before < share]] = chances[order[before < share]]
    return kept / kept.sum()
    # END SOLUTION


check(keep_nucleus)

# %% [markdown]
# ## 11. Your melody
#
# One thing is left to chance that should not be: a `hold` after a rest, or an end within
# a bar, cannot be written down. The kit's tokenizers carry a *grammar*, which tells after
# each token what may follow. So even a network that learnt nothing gives a tune that can
# be played. It will only not be a good one.


# %%
def tune_of(weights, temperature, seed):
    """A tune of eight bars, by the kit's own loop: your functions, and the grammar."""
    from audio_models.bundle import Bundle

    bundle = Bundle(architecture, weights, tokenizer.spec(), {})
    wish = Wish(bars=8, seed=seed, temperature=temperature, metre="6/8", takes=4)
    return compose(bundle, wish).score


noise = tune_of(untrained, 0.9, seed=2)
finding(
    f"an untrained network writes {len(noise.notes)} notes that can be played",
    len(noise.notes) > 0,
    covers=("f03",),
)
hear(noise, title="Before training")

# %%
mine = tune_of(network.named_weights(), 0.9, seed=2)
hear(mine, title="Yours, temperature 0.9")

# %%
roll(mine, title="Yours, temperature 0.9")

# %%
hear(tune_of(network.named_weights(), 1.6, seed=2), title="Yours, temperature 1.6")

# %% [markdown]
# **Question.** Which of the three has a key? Guess before the next cell, which asks how
# many of their notes lie in the scale that fits them best.

# %%
from data_pipelines.measures import scale_share

fits = {
    "untrained": scale_share(noise),
    "temperature 0.9": scale_share(mine),
    "temperature 1.6": scale_share(tune_of(network.named_weights(), 1.6, seed=2)),
}
columns(fits, y="share of notes in one scale", title="Heat costs the key first")

# %% [markdown]
# ## 12. Keep it
#
# As MIDI to open in any program, as WAV to send to a friend.

# %%
from pathlib import Path

from studio.outputs import write_outputs

write_outputs(mine, [Path("my melody.mid"), Path("my melody.wav")], title="My melody")
minutes = (time.time() - began) / 60
finding(
    f"from a folder to a WAV in {minutes:.1f} minutes",
    minutes < 30,
    covers=("d12",),
)

# %% [markdown]
# ## What you learnt
#
# - A tune is a row of tokens; a network is asked for the chances of the next one.
# - Cross-entropy over real tokens, on held-out tunes, beside floors: that is a result.
# - Generation is a loop that reads its own choices. `argmax` comes round in circles;
#   temperature and nucleus set how bold the choice is.
# - A grammar makes nonsense impossible, not music certain.
#
# ## Go further
#
# - Give it your own folder, and a hundred epochs. When does the held-out curve turn up?
# - `etude train FOLDER -o mine.bundle` does what this lab did, with a report, checkpoints
#   and a card; then `etude compose -m mine.bundle`.
# - Write `keep_top_k`, and compare its tunes with those of the nucleus.
#
# ## To read
#
# - Karpathy 2015, *The Unreasonable Effectiveness of Recurrent Neural Networks*
# - Holtzman et al. 2020, *The Curious Case of Neural Text Degeneration*
# - Goodfellow, Bengio & Courville, *Deep Learning*, chapter 10

# %% [markdown]
# # Lab 3 · Language models
#
# A language model says how likely a sequence is. You will build one by counting, one by a
# small network and one that learns letters, weigh real tunes against the same tunes with
# one wrong note, and let a network that reads from both sides mend one.
#
# **90 minutes.** You will hear a real tune against the same with one wrong note, what a
# table of counts writes, a jig spelled letter by letter, and a tune that was mended.
#
# This follows Andrew Ng's notes on language models and their character RNN (S3), the study
# notes on n-grams, the neural language model and word embedding (S2), and the slides'
# bidirectional models (S4).

# %%
from dataclasses import replace

import numpy as np

from labs import check, finding
from labs.figures import columns, curves, heat, roll
from labs.hearing import hear
from labs.material import as_score, tunes_by_split

TRAIN, VALID, TEST = tunes_by_split()  # Irish airs and dances; no tune is in two lots
AIR = next(tune for tune in TEST if tune.title == "The Foggy Dew")
hear(AIR, title="A: an air that no model of this lab has learnt from")

# %%
PLACE = 30  # the note that is changed


def with_pitch(tune, place, pitch):
    """The tune with one note at another pitch."""
    notes = tune.notes.copy()
    notes["pitch"][place] = pitch
    return replace(tune, notes=notes)


WRONG = with_pitch(AIR, PLACE, AIR.notes["pitch"][PLACE] + 1)
hear(WRONG, title="B: one of its notes is a semitone too high. Which?")

# %% [markdown]
# You may have heard it at once, though nobody told you the key. At the end of this lab a
# model points at that note and mends it.
#
# A token here is a pitch and nothing else: the rhythm is left out, so that everything fits
# into a small table. Token 1 stands before the first note and is called BOS, the beginning
# of the sequence; 0, 2 and 3 are kept for padding, the end, and a blank.

# %%
BOS, BLANK, LOWEST, VOCAB = 1, 3, 50, 40


def ids_of(tune):
    """The pitches of a tune as tokens: int array (1 + notes,), BOS first."""
    return np.concatenate([[BOS], tune.notes["pitch"].astype(int) - LOWEST])


train, valid, test = ([ids_of(tune) for tune in lot] for lot in (TRAIN, VALID, TEST))
print(len(train), len(valid), len(test), "tunes;", ids_of(AIR)[:12])

# %% [markdown]
# ## 1 · The chain rule
#
# "The apple and pear salad", or "the apple and pair salad"? They sound the same. A
# language model decides by their probabilities, and takes a sequence apart to find them:
#
# $$P(x_1, \dots, x_T) = \prod_{t=1}^{T} P(x_t \mid x_1, \dots, x_{t-1})$$
#
# Nothing is lost in this: it is true of any sequence. What is left to build is one thing,
# the distribution of the next token after a past. Since a product of a thousand small
# numbers is zero in a computer, the logarithms are added up.
#
# **Before you run:** a tune of 100 notes, each with probability 1/8. What is $\log P$?


# %%
def tune_log_probability(next_distribution, ids):
    """The log-probability of a sequence, in nats.

    `next_distribution(ids[:t])` is a float array (V,): how likely each token is after
    these. The first token is told from an empty past. ids is int (T,).

    Example: all of 4 tokens equally likely, 3 tokens long: 3 log(1/4) = -4.16.
    """
    # BEGIN SOLUTION
    chances = [next_distribution(ids[:t])[ids[t]] for t in range(len(ids))]
    return float(np.sum(np.log(chances)))
    # END SOLUTION


check(tune_log_probability)

# %%
print(tune_log_probability(lambda past: np.full(8, 1 / 8), np.zeros(100, int)), "nats")
apart = np.log(5.7e-10 / 3.2e-13)  # the two salads, with the notes' probabilities
print(f"pear against pair: {apart:.1f} nats, or {np.exp(apart):.0f} times as likely")

# %% [markdown]
# ## 2 · A bag of notes
#
# The simplest description of a text forgets the order: a **bag of words** is how often
# each word comes. In music it is the histogram of pitch classes, C to B:
#
# $$h_c = \frac{1}{T} \, \#\{t : p_t \bmod 12 = c\}$$
#
# It knows the key. **Predict:** can it tell a tune from the same tune played backwards?


# %%
def bag_of_pitch_classes(pitches):
    """The share of each pitch class: float array (12,), C first, summing to 1.

    pitches is int (T,), MIDI numbers: 60 is a C, 61 a C sharp, 72 a C again.

    Example: [60, 62, 72, 60] gives 0.75 for C and 0.25 for D.
    """
    # BEGIN SOLUTION
    classes = np.asarray(pitches) % 12
    return np.bincount(classes, minlength=12) / len(classes)
    # END SOLUTION


check(bag_of_pitch_classes)

# %%
CLASSES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"]
bags = [bag_of_pitch_classes(tune.notes["pitch"]) for tune in TEST[:12]]
heat(bags, x_ticks=CLASSES, y_ticks=[tune.title.capitalize()[:24] for tune in TEST[:12]],
     title="Twelve tunes as bags of notes")  # fmt: skip

# %%
same = [
    np.allclose(bag_of_pitch_classes(ids), bag_of_pitch_classes(ids[::-1]))
    for ids in (tune.notes["pitch"] for tune in TEST)
]
finding(
    f"{np.mean(same):.0%} of {len(same)} tunes have the same bag backwards",
    all(same),
    covers=("d02",),
)

# %% [markdown]
# Two rows that look alike are tunes in the same key. But a bag has no before and after.
# For melody, the order is nearly everything.
#
# ## 3 · Counting what follows
#
# An **n-gram** model lets a note depend on the few before it, its context $c$, and counts:
#
# $$P(w \mid c) = \frac{n(c\,w)}{n(c)}$$
#
# where $n(c\,w)$ says how often $w$ came right after $c$. A trigram has contexts of two
# tokens.


# %%
def followers(pieces, context, vocab_size):
    """How often each token came right after a context: int array (vocab_size,).

    pieces is a list of int arrays; context a list of k tokens, the oldest first. The
    first token of a piece is given and follows nothing, not even the empty context. A
    context lies within one piece.

    Example: after [1] in [[1, 2, 1, 3], [2, 1]] came one 2 and one 3.
    """
    counts = np.zeros(vocab_size, int)
    # BEGIN SOLUTION
    k = len(context)
    for piece in pieces:
        for t in range(max(1, k), len(piece)):
            counts[piece[t]] += list(piece[t - k : t]) == list(context)
    return counts
    # END SOLUTION


check(followers)

# %%
A, D = 69 - LOWEST, 74 - LOWEST
for context in ([], [D], [A, D], [A, A, D, D, A, A, D]):
    counts = followers(train, context, VOCAB)
    best = np.argsort(-counts)[:3]
    names = [f"{CLASSES[(token + LOWEST) % 12]} {counts[token]}" for token in best]
    print(f"after {len(context)} tokens: {counts.sum():6d} times; most often", names)

# %% [markdown]
# A longer context says more, and was seen more rarely. What of a context, or of a note
# after it, that was never seen? Counting says zero, and one zero makes a whole tune
# impossible. So a model must lean on shorter contexts. Witten and Bell's way: each of the
# $t(c)$ different tokens after $c$ was once a surprise, so keep room for that many more,
# and share it out as the shorter context $c'$ would:
#
# $$P(w \mid c) = \frac{n(c\,w) + t(c)\,P(w \mid c')}{n(c) + t(c)}$$


# %%
def witten_bell(counts, shorter):
    """The distribution of what follows a context: float array (V,), summing to 1.

    counts is int (V,), how often each token followed it; shorter is float (V,), the
    distribution after the context that is one token shorter. After a context that was
    never seen the shorter one decides.

    Example: counts [3, 0], shorter [0.5, 0.5] give [0.875, 0.125].
    """
    # BEGIN SOLUTION
    kinds, total = np.count_nonzero(counts), np.sum(counts)
    if total == 0:
        return np.array(shorter, float)
    return (counts + kinds * np.asarray(shorter)) / (total + kinds)
    # END SOLUTION


check(witten_bell)

# %%
from audio_models.ngram import NGram


def trigram(past):
    """What follows a past, by your counts: orders 0, 1 and 2, one upon the other."""
    p = np.full(VOCAB, 1 / VOCAB)
    for k in range(3):
        p = witten_bell(followers(train, list(past[len(past) - k :]), VOCAB), p)
    return p


past = [BOS, A, D, A, D]
yours = trigram(past)
kits = NGram(VOCAB, 2).fit(train).distribution(np.array(past[:-3:-1]))

# %%
back_off = NGram(VOCAB, 6, smoothing="back-off").fit(train)
sums = [kits.sum(), yours.sum()]
sums += [back_off.distribution(ids[6:0:-1]).sum() for ids in test]
finding(
    f"yours and the kit's differ by {np.abs(yours - kits).max():.1e} at most; "
    f"{len(sums)} distributions sum to {min(sums):.6f} .. {max(sums):.6f}",
    np.allclose(yours, kits) and np.allclose(sums, 1),
    covers=("d02",),
)

# %% [markdown]
# The last ones are of the kit's other kind, **back-off**: it asks the shorter context only
# for tokens that the longer one has never seen. Yours and the kit's are the same, but the
# kit sorts its counts into arrays, and is some hundred times as fast.
#
# ## 4 · How long a context?
#
# A model is judged on tunes that it has not seen, by the mean surprise of their notes in
# nats, or by its **perplexity**, $e$ to that power: among so many equally likely notes it
# seems to choose.
#
# **Predict:** with contexts of 0, 1, 2 ... 6 notes, where is the perplexity lowest? And on
# the tunes that were counted?


# %%
def perplexities(model, pieces):
    """The perplexity of each order, 0 first, over all notes of some pieces."""
    nats = np.concatenate([model.log_probabilities(ids) for ids in pieces], axis=1)
    return np.exp(-nats.mean(axis=1))


counted, unseen = perplexities(back_off, train), perplexities(back_off, test)
for order, pair in enumerate(zip(counted, unseen, strict=True)):
    print("order {}: counted {:5.2f}   held out {:5.2f}".format(order, *pair))
curves({"tunes that were counted": counted, "held-out tunes": unseen},
       x="notes of context", y="perplexity", title="What a longer context gives")  # fmt: skip

# %%
best = int(perplexities(back_off, valid).argmin())
finding(
    f"order {best}, chosen on other tunes, has {unseen[best]:.2f} held out, order 6 "
    f"{unseen[6]:.2f}; on what it counted order 6 seems best, {counted[6]:.2f}",
    unseen[best] < unseen[0] / 2 and unseen[best] < unseen[6] and counted.argmin() == 6,
    covers=("d02",),
)

# %% [markdown]
# Beyond two notes it does not get better, although a tune has a longer memory than that.
# Where is the trouble? There are $40^6$ contexts of six tokens, four thousand million, and
# we have seen some twenty thousand. This is the **curse of dimensionality**. Measure it.


# %%
def unseen_share(pieces, held_out, order):
    """The share of held-out contexts that the pieces never had: float in [0, 1].

    A context is `order` tokens in a row that have another token after them, within one
    piece. Every place of the held-out pieces counts, also where a context comes again.

    Example: [[1, 2, 3]] against [[1, 2, 4], [4, 2, 4]] at order 2: [1, 2] was seen and
    [4, 2] was not, 0.5.
    """

    # BEGIN SOLUTION
    def contexts(piece):
        return [tuple(piece[t - order : t]) for t in range(order, len(piece))]

    seen = {context for piece in pieces for context in contexts(piece)}
    asked = [context for piece in held_out for context in contexts(piece)]
    return float(np.mean([context not in seen for context in asked]))
    # END SOLUTION


check(unseen_share)

# %%
shares = [unseen_share(train, test, order) for order in range(1, 9)]
finding(
    "never seen, by order 1 to 8: " + " ".join(f"{share:.1%}" for share in shares),
    all(np.diff(shares) >= 0) and shares[1] < 0.05 and shares[6] > 0.5,
    covers=("d03",),
)
columns({f"{order}": share for order, share in enumerate(shares, 1)},
        y="share never seen", title="Contexts of held-out tunes")  # fmt: skip


# %% [markdown]
# A model of what comes next is also a composer: draw a note, add it to the past, go on.
# Listen to a memory of one note, and of five. Why is the second so much more of a tune?


# %%
def compose(model, count=48, seed=3):
    """Pitches drawn one by one from an n-gram, each given those before it."""
    rng, recent, made = np.random.default_rng(seed), np.full(model.max_order, -1), []
    recent[:1] = BOS
    for _ in range(count):
        token = rng.choice(VOCAB, p=model.distribution(recent))
        recent = np.append(token, recent)[: model.max_order]  # the newest first
        made.append(token + LOWEST)
    return as_score(np.array(made), steps_a_quarter=2, qpm=100)


five = NGram(VOCAB, 5, smoothing="back-off").fit(train)
hear(compose(NGram(VOCAB, 1).fit(train)), title="With a memory of one note")

# %%
hear(compose(five), title="With a memory of five notes")

# %% [markdown]
# It is more of a tune because stretches of it *are* a tune: after five notes there is
# often one thing that it has ever seen, and it copies that.
#
# ## 5 · Real against wrong
#
# Now weigh tunes. Each held-out tune meets four others that differ in one note: twice it
# is moved by a semitone, twice to another note of the same tune, which your ear might
# forgive. **Predict** how often the real one is likelier, by the model of order 2.


# %%
def likelier(weigh, change, rng):
    """How often a tune weighs more than itself with one note changed."""
    won = []
    for ids in test * 2:
        other = ids.copy()
        place = rng.integers(1, len(ids))
        other[place] = change(ids, place, rng)
        won.append(weigh(ids) > weigh(other))
    return float(np.mean(won))


def by_counting(ids):
    """log P of a tune: the trigram, by back-off."""
    return back_off.log_probabilities(ids)[2].sum()


# %%
def by_a_semitone(ids, place, rng):
    return ids[place] + rng.choice([-1, 1])


def to_another(ids, place, rng):
    return rng.choice([note for note in np.unique(ids[1:]) if note != ids[place]])


rng = np.random.default_rng(0)
trigram_wins = [likelier(by_counting, how, rng) for how in (by_a_semitone, to_another)]
finding(
    f"the real tune is likelier in {trigram_wins[0]:.0%} of {2 * len(test)} pairs with a "
    f"semitone, in {trigram_wins[1]:.0%} with another note of the tune",
    np.mean(trigram_wins) >= 0.8,
    covers=("d01",),
)

# %%
surprise = -back_off.log_probabilities(ids_of(WRONG))[2]  # nats of each note
dearest = np.argsort(-surprise)[:3]
print("the three notes that it expected least:", dearest, "changed was", PLACE)
roll(WRONG, title="The least expected notes of B", marks=dearest)

# %% [markdown]
# The note after a wrong one is a suspect too, since its context was hardly ever seen; and
# so is a rare note that the composer meant. `etude score tune.mid` draws this picture for
# any file, with a network's opinion in the place of the counts.
#
# ## 6 · The neural language model
#
# To a table, two contexts are the same or they are not. Bengio and others (2003) gave each
# token a vector $C(w)$, learnt, so that what was seen of one context helps with all those
# that look like it:
#
# $$x = [C(w_{t-n+1}); \dots; C(w_t)] \qquad \text{logits} = b + U \tanh(d + H x)$$
#
# The window's vectors, end to end, go through one hidden layer. The model grows with $n$
# by a few rows of $H$, where the table grew by a power.


# %%
def nnlm_logits(window, embedding, hidden_kernel, d, head_kernel, b):
    """What the model says of the next token: float array (V,).

    window is int (n,), the oldest token first; embedding (V, E) has a row a token;
    hidden_kernel (n * E, D) and d (D,) make the hidden layer, head_kernel (D, V) and
    b (V,) the logits. The vectors are rows here: x @ hidden_kernel is the H x above.
    """
    # BEGIN SOLUTION
    x = embedding[window].reshape(-1)  # (n * E,)
    hidden = np.tanh(d + x @ hidden_kernel)  # (D,)
    return b + hidden @ head_kernel
    # END SOLUTION


check(nnlm_logits)

# %%
import keras

from audio_models.network import Network
from audio_models.nnlm import NNLM
from audio_models.scoring import token_log_probabilities
from audio_models.training import NextTokenLoss

nnlm = Network(NNLM(VOCAB, embedding_dim=16, hidden_dim=96, window=8, dropout=0.2))
nnlm.compile(keras.optimizers.AdamW(3e-3), NextTokenLoss(), jit_compile=True)


def stretches(pieces, length):
    """The pieces cut into rows of so many tokens, filled up with 0: int (N, length)."""
    cuts = [
        ids[at : at + length] for ids in pieces for at in range(0, len(ids), length)
    ]
    rows = [np.pad(cut, (0, length - len(cut))) for cut in cuts]
    return np.array(rows, np.int32)


# %%
def learn(network, rows, epochs, batch=16):
    """Show a network rows of tokens, in another order each epoch: y is x one later."""
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        for chosen in rng.permutation(len(rows))[: len(rows) // batch * batch].reshape(
            -1, batch
        ):
            x, y = rows[chosen, :-1], rows[chosen, 1:]
            network.train_on_batch(x, y, (y > 0).astype("float32"))


learn(nnlm, stretches(train, 65), epochs=18)
weights = nnlm.named_weights()

# %%
mine = nnlm_logits(ids_of(AIR)[20:28], weights["embedding"], weights["hidden.kernel"],
                   weights["hidden.bias"], weights["head.kernel"],
                   weights["head.bias"])  # fmt: skip
kits = nnlm(ids_of(AIR)[None, 20:28])[0, -1]
print(f"your formula and the kit's network: {np.abs(mine - kits).max():.1e} apart")


def by_network(ids):
    """log P of a tune: the neural language model."""
    return token_log_probabilities(nnlm.architecture, weights, ids).sum()


# %%
notes = sum(len(ids) - 1 for ids in test)
of_network = float(np.exp(-sum(by_network(ids) for ids in test) / notes))
finding(
    f"held-out perplexity: trigram {unseen[2]:.2f}, best order {unseen[best]:.2f}, "
    f"neural {of_network:.2f}",
    of_network < unseen[2] - 0.1 and of_network < unseen[best],
    covers=("d04",),
)
rng = np.random.default_rng(0)
wins = [likelier(by_network, how, rng) for how in (by_a_semitone, to_another)]
finding(
    f"the real tune wins {wins[0]:.0%} and {wins[1]:.0%} of its pairs",
    np.mean(wins) >= 0.8,
    covers=("d01",),
)

# %% [markdown]
# ## 7 · Known by the company it keeps
#
# Can the vectors be had alone? **word2vec** learns nothing else. In its SkipGram form each
# token foretells every other one near it; in CBOW, the continuous bag of words, those near
# it, as a mean, foretell the token:
#
# $$P(o \mid w) = \frac{e^{u_o \cdot e_w}}{\sum_v e^{u_v \cdot e_w}}
# \qquad
# P(w \mid \text{near}) = \frac{e^{u_w \cdot \bar e}}{\sum_v e^{u_v \cdot \bar e}}$$
#
# Nobody labels anything: the text is its own teacher, which is called **self-supervised**.


# %%
def skipgram_pairs(ids, window):
    """All pairs (token, one near it): list of (int, int), in any order.

    Near are the tokens at most `window` places before or after, within ids.

    Example: [7, 8, 9] with a window of 1: (7, 8), (8, 7), (8, 9), (9, 8).
    """
    # BEGIN SOLUTION
    pairs = []
    for t, token in enumerate(ids):
        for s in range(max(0, t - window), min(len(ids), t + window + 1)):
            if s != t:
                pairs.append((token, ids[s]))
    return pairs
    # END SOLUTION


check(skipgram_pairs)

# %%
from audio_models.note2vec import fit_note2vec


def in_all_keys(lots):
    """Pitches from 44 on as tokens 0 to 51, each tune in twelve keys."""
    return [lot[1:] + LOWEST - 44 + by for lot in lots for by in range(-6, 6)]


vectors = {
    kind: fit_note2vec(in_all_keys(train), 52, kind=kind, dim=8, window=12, epochs=3,
                       valid=in_all_keys(valid))
    for kind in ("skipgram", "cbow")
}  # fmt: skip

# %% [markdown]
# The tunes stand in all twelve keys, so that no note is special. What do you expect near
# a C: the C sharp beside it on the keyboard, or the G a fifth above?
#
# The vectors of two notes are compared by the cosine of their angle. To rank by chance
# would put the fifth in the middle of the list.

# %%
AROUND = np.arange(60, 85) - 44  # two octaves of notes, from middle C
FIFTHS = [(n, n + 7) for n in AROUND[:-7]] + [(n + 7, n) for n in AROUND[:-7]]
ranks = {kind: found.mean_rank(FIFTHS, AROUND) for kind, found in vectors.items()}
chance = len(AROUND) / 2  # of ranks 1 to 24
finding(
    "mean rank of the fifth among 24 neighbours: "
    + ", ".join(f"{kind} {rank:.1f}" for kind, rank in ranks.items())
    + f"; by chance {chance:.1f}",
    max(ranks.values()) < 0.5 * chance,
    covers=("d05",),
)

# %%
BY_FIFTHS = [60 - 44 + 7 * step % 12 for step in range(12)]
table = [vectors["skipgram"].similarities(vectors["skipgram"].vectors[n])[BY_FIFTHS]
         for n in BY_FIFTHS]  # fmt: skip
labels = [CLASSES[(n + 44) % 12] for n in BY_FIFTHS]
heat(table, x_ticks=labels, y_ticks=labels, title="Cosines, along the circle of fifths")

# %% [markdown]
# Nobody mentioned keys, yet the **circle of fifths** is there: notes a fifth apart belong
# to nearly the same scales, and keep the same company.
#
# The famous question is *king − man + woman = ?* In music: C is to G as D is to what?


# %%
def analogy(vectors, a, b, c):
    """What is to c as b is to a: the token (int) nearest to b - a + c.

    vectors is float (V, D); nearest is by the cosine. a, b and c are not answers.

    Example: rows [1, 0], [1, 1], [3, 0], [3, 3] and a, b, c = 0, 1, 2 give 3.
    """
    # BEGIN SOLUTION
    wanted = vectors[b] - vectors[a] + vectors[c]
    cosine = vectors @ wanted / np.linalg.norm(vectors, axis=1)
    cosine[[a, b, c]] = -np.inf
    return int(cosine.argmax())
    # END SOLUTION


check(analogy)

# %%
C4, G4, D4, A4 = (pitch - 44 for pitch in (60, 67, 62, 69))
answer = analogy(vectors["skipgram"].vectors[AROUND], C4 - 16, G4 - 16, D4 - 16) + 60
print("C is to G as D is to", CLASSES[answer % 12])
found = {
    kind: [n + 9 in learnt.analogy(n, n + 7, n + 2, 3, AROUND) for n in range(16, 28)]
    for kind, learnt in vectors.items()
}  # the same question from each of twelve notes
shares = {kind: np.mean(right) for kind, right in found.items()}
finding(
    f"the right note is among the first three from SkipGram {shares['skipgram']:.0%} of "
    f"the time, from CBOW {shares['cbow']:.0%}, by chance {3 / 22:.0%}",
    found["skipgram"][0] and shares["skipgram"] > 0.7 and shares["cbow"] > 0.25,
    covers=("d05",),
)

# %% [markdown]
# Can vectors overfit? They are weights like others. Give too many of them too little
# music, six tunes, and watch the loss on tunes that they have not seen.

# %%
few = {
    "kind": "cbow",
    "dim": 32,
    "window": 4,
    "epochs": 60,
    "learning_rate": 0.02,
    "valid": valid,
}
through = fit_note2vec(train[:6], VOCAB, patience=None, **few)
stopped = fit_note2vec(train[:6], VOCAB, patience=3, **few)
finding(
    f"held out, {through.held_out[through.best_epoch]:.2f} nats at epoch "
    f"{through.best_epoch} and {through.held_out[-1]:.2f} at 60; stopped early after "
    f"{len(stopped.learnt)} epochs, with the vectors of epoch {stopped.best_epoch}",
    through.held_out[-1] > min(through.held_out) + 0.2
    and len(stopped.learnt) < 40
    and stopped.held_out[stopped.best_epoch] == min(stopped.held_out),
    covers=("d06",),
)

# %%
curves({"six tunes, learnt": (np.arange(1, 61), np.array(through.learnt)),
        "other tunes": np.array(through.held_out)}, x="epoch", y="nats a note",
       floors={"stopped early": min(stopped.held_out)},
       title="Vectors can overfit")  # fmt: skip

# %% [markdown]
# ## 8 · Letter by letter
#
# Any text will do, if its characters are the tokens. The notes' example learns from 10,000
# characters of Shakespeare. It needs two dictionaries, and the targets are the inputs one
# place later: $y_t = x_{t+1}$.


# %%
def code_books(text):
    """(encoder, decoder): character -> id, and id -> character.

    The ids are 0, 1, 2 ... in the sorted order of the characters that the text has.

    Example: "baa" gives {"a": 0, "b": 1} and {0: "a", 1: "b"}.
    """
    # BEGIN SOLUTION
    alphabet = sorted(set(text))
    encoder = {character: number for number, character in enumerate(alphabet)}
    decoder = dict(enumerate(alphabet))
    return encoder, decoder
    # END SOLUTION


check(code_books)

# %%
from labs.material import sonnets

TEXT = sonnets()  # or that of any file: Path("my.txt").read_text()
LEARNT, UNSEEN = TEXT[:10_000], TEXT[10_000:]
encoder, decoder = code_books(LEARNT)
ids = np.array([encoder[c] for c in LEARNT], np.int32)
unseen_ids = np.array([encoder[c] for c in UNSEEN if c in encoder], np.int32)
finding(
    f"{len(encoder)} characters; decoded, the text is itself again",
    "".join(decoder[n] for n in ids.tolist()) == LEARNT,
    covers=("d07",),
)

# %% [markdown]
# The notes' recipe, as it stands: an embedding of 32, one simple recurrent layer of 128
# (lab 1), two linear layers. The loss is the **cross-entropy**, the mean of
# $-\log P(x_{t+1} \mid x_1 \dots x_t)$. **AdamW** lowers it, Adam with its weight decay
# apart from the gradient. The text is cut into **chunks of 500** characters; the state is
# carried from one to the next, the gradient is not.

# %%
from audio_models import numpy_ops
from studio.bench_charrnn import SeedCharRNN, chunks, first_weights
from studio.bench_text import stream_nats


def recipe(vocab_size, rate):
    """The notes' network, compiled with AdamW and the cross-entropy of the next token."""
    model = SeedCharRNN(vocab_size, embedding_dim=32, hidden_dim=128)
    network = Network(model)
    network.load_named_weights(first_weights(model, "pytorch", seed=0))
    network.carry(1)  # the state goes on from chunk to chunk
    adamw = keras.optimizers.AdamW(rate, weight_decay=0.01)
    network.compile(adamw, NextTokenLoss(), jit_compile=True)
    return network


# %%
def read_often(network, ids, unseen_ids, epochs):
    """Learn a text; (epochs looked at, nats on it, nats on what was held out)."""
    seen = []
    for epoch in range(epochs + 1):
        for x, y in chunks(ids, 500):  # x (1, 500), and y one later
            network.train_on_batch(x, y)
        if epoch % 5 == 0:
            now = network.architecture, network.named_weights()
            seen.append((epoch, stream_nats(*now, ids), stream_nats(*now, unseen_ids)))
    return np.array(seen).T


poet = recipe(len(encoder), 1e-3)
at, on_learnt, on_unseen = read_often(poet, ids, unseen_ids, epochs=90)

# %% [markdown]
# The notes print 0.84 at epoch 90 and stop. **Predict:** what is the loss on the sonnets
# that the network has not read?

# %%
shares = np.bincount(ids, minlength=len(encoder)) / len(ids)
letters = float(-np.log(np.maximum(shares, 1e-4)[unseen_ids]).mean())
finding(
    f"at epoch 90 the loss on the text that it learns is {on_learnt[-1]:.2f}; held out "
    f"{on_unseen[-1]:.2f}, best at epoch {at[on_unseen.argmin()]:.0f} with "
    f"{on_unseen.min():.2f}; counting letters gives {letters:.2f}",
    on_learnt[-1] < 1.0 and on_unseen[-1] > on_unseen.min() + 0.5,
    covers=("d08", "d10"),
)
curves({"the text that it learns": (at, on_learnt), "held out": (at, on_unseen)},
       x="epoch", y="nats a character", floors={"counting letters": letters},
       title="It learns by heart")  # fmt: skip

# %% [markdown]
# A low training loss was no sign of learning English: it had learnt these sonnets. Where
# the held-out curve turns, learning ends and memory begins. The notes' figure for 10,000
# characters is a measure of memory too.
#
# And what does it write? Always take the likeliest letter, as the notes do, or draw.


# %%
def write(network, books, prompt, count, temperature, seed=0):
    """Go on with a text, letter by letter, in NumPy; a blank line ends it."""
    encoder, decoder = books
    step, rng = network.architecture.forward, np.random.default_rng(seed)
    weights, state, text = network.named_weights(), None, prompt
    new = [encoder[c] for c in prompt]
    while count and not text.endswith("\n\n"):
        logits, state = step(numpy_ops, weights, np.array([new]), state)
        scaled = logits[0, -1].astype(float) / max(temperature, 1e-3)
        p = np.exp(scaled - scaled.max())
        new = [int(rng.choice(len(p), p=p / p.sum()))]
        text, count = text + decoder[new[0]], count - 1
    return text


# %%
for temperature in (0.0, 0.7):
    print(f"temperature {temperature}:")
    print(write(poet, (encoder, decoder), "Music to ", 300, temperature), "\n")

# %% [markdown]
# ABC is music as text: `G` and `A` are notes, `B2` lasts twice as long, `|` is a bar line.
# So the same code, unchanged, composes. We give it 20,000 characters of jigs in 6/8, six
# eighths to the bar, and it is told nothing of that.

# %%
from labs.material import jigs

JIGS = jigs()
print(JIGS[:160])
learnt_jigs, more_jigs = JIGS[:20_000], JIGS[20_000:30_000]
books = code_books(JIGS[:20_000])
as_ids = [np.array([books[0][c] for c in text if c in books[0]], np.int32)
          for text in (learnt_jigs, more_jigs)]  # fmt: skip
piper = recipe(len(books[0]), 3e-3)
at, on_learnt, on_unseen = read_often(piper, *as_ids, epochs=15)
print("nats a character:", on_learnt.round(2), "held out:", on_unseen.round(2))

# %%
from data_pipelines.abc import BadAbc, parse_tune


def as_tune(text):
    """A jig's text as a Score, or None if it cannot be read as ABC."""
    try:
        return parse_tune("X:1\nM:6/8\nL:1/8\nQ:3/8=100\n" + text)
    except BadAbc:
        return None


written = [write(piper, books, "K:G\n", 400, 0.6, seed) for seed in range(10)]
jigs_made = [as_tune(text) for text in written]
long = [tune for tune in jigs_made if tune is not None and len(tune.notes) >= 16]


# %%
def full_bars(text):
    """How many bars of a jig hold six eighths, and how many there are."""
    bars = [as_tune("K:G\n" + bar) for bar in text[4:].replace("\n", "|").split("|")]
    lasts = [bar.notes["duration"].sum() / 240 for bar in bars if bar is not None]
    return sum(length == 6 for length in lasts), len(lasts)


full, bars = np.sum([full_bars(text) for text in written], axis=0)
finding(
    f"the loss fell from {on_learnt[0]:.2f} to {on_learnt[-1]:.2f}; {len(long)} of 10 jigs "
    f"are tunes of 16 notes or more; {full / bars:.0%} of {bars} bars hold six eighths",
    on_learnt[-1] < on_learnt[0] - 0.5 and len(long) >= 3 and full / bars > 0.4,
    covers=("d07",),
)

# %%
longest = max(range(10), key=lambda n: len(jigs_made[n].notes) if jigs_made[n] else 0)
print(written[longest][:400])
hear(jigs_made[longest], title="A jig, spelled letter by letter")

# %% [markdown]
# It was never told that a bar of a jig has six eighths. It counts to six because the next
# bar line is easier to foretell that way.
#
# ## 9 · From both sides
#
# To *mend* a note, one may look at what comes after it as well. A bidirectional LSTM reads
# the tune from the left and from the right, and each place hears both. ELMo and BERT learn
# words like this: some are covered, and must be guessed.
#
# The price: it cannot tell a tune from its beginning on, because it would see the answer.
# That is a law you can test on any reader. Change the last token: does any row before it
# change?


# %%
def hears_the_future(read, ids):
    """Whether a reader's rows depend on later tokens: bool.

    read(ids) gives float (T, V), a row for each token; ids is int (T,), tokens in
    0..V-1, T at least 2. Put another token of the vocabulary in the last place, and see
    whether any row before the last is another. ids itself stays as it is.
    """
    # BEGIN SOLUTION
    before = np.asarray(read(ids))
    changed = np.array(ids)
    changed[-1] = (changed[-1] + 1) % before.shape[1]
    after = np.asarray(read(changed))
    return not np.allclose(before[:-1], after[:-1])
    # END SOLUTION


check(hears_the_future)

# %%
from audio_models import FILLERS, MODELS
from audio_models.bidirectional import BiLSTM, blank_out, fill
from audio_models.player import Player

both = Network(BiLSTM(VOCAB, embedding_dim=16, hidden_dim=48, num_layers=1))
line = ids_of(AIR)
hears = {name: hears_the_future(lambda x, of=of: of(x[None])[0], line)
         for name, of in (("nnlm", nnlm), ("bilstm", both))}  # fmt: skip
try:
    refused = str(Player(both.architecture, both.named_weights()).start(1))[:0]
except ValueError as error:
    refused = str(error)
finding(
    f"hears the future: {hears}. Asked to compose: “{refused}”",
    hears == {"nnlm": False, "bilstm": True}
    and "cannot generate left to right" in refused
    and "bilstm" in FILLERS.keys() - MODELS.keys(),
    covers=("c16",),
)

# %% [markdown]
# So it is not taught to foretell. Some notes of each tune become blanks, any share of
# them, and the loss is of the blanks alone.

# %%
rows = stretches(train, 32)
both.compile(keras.optimizers.AdamW(5e-3), NextTokenLoss(), jit_compile=True)
rng = np.random.default_rng(0)
for epoch in range(16):
    for number, chosen in enumerate(rng.permutation(len(rows))[:960].reshape(-1, 32)):
        x, y, is_blank = blank_out(rows[chosen], seed=[epoch, number])
        both.train_on_batch(x, y, is_blank)
reader = Player(both.architecture, both.named_weights())

# %%
asked = stretches(test, 32)
asked = asked[(asked > BLANK).sum(axis=1) >= 31]  # whole rows
is_blank = np.random.default_rng(1).random(asked.shape) < 0.12
is_blank[:, [0, 1, -1]] = False  # each has a neighbour on both sides
filled = fill(reader, np.where(is_blank, BLANK, asked))
before, after = np.roll(asked, 1, axis=1), np.roll(asked, -1, axis=1)
right = {"both sides": filled, "note before": before, "note after": after}
right = {name: (guess == asked)[is_blank].mean() for name, guess in right.items()}

# %%
from_left = np.array(nnlm(asked)).argmax(axis=-1)  # row t tells token t + 1
right["left alone"] = (np.roll(from_left, 1, axis=1) == asked)[is_blank].mean()
finding(
    f"of {is_blank.sum()} covered notes found again: "
    + ", ".join(f"{name} {share:.0%}" for name, share in right.items()),
    right["both sides"] > max(right["note before"], right["note after"]) + 0.1,
    covers=("d15",),
)
columns(right, y="share found", title="Held-out notes, covered and guessed")

# %% [markdown]
# Now mend B. Each note in turn is covered and guessed from both sides; the one that is
# least likely where it stands, beside the best guess, is replaced by that guess.


# %%
def mend(ids):
    """(place of the most suspicious token, the tokens with that one replaced)."""
    n = np.arange(len(ids))
    covered = np.tile(ids, (len(ids), 1))
    covered[n, n] = BLANK  # row t has a blank at place t
    logits, _ = both.architecture.forward(numpy_ops, reader.weights, covered)
    told = numpy_ops.log_softmax(logits)[n, n]  # (T, V), each of its own place
    told[:, : BLANK + 1] = -np.inf
    doubt = told.max(axis=1) - np.where(n > 0, told[n, ids], np.inf)
    place = int(doubt.argmax())
    return place, np.where(n == place, told[place].argmax(), ids)


# %%
rng = np.random.default_rng(2)
found, right = [], []
for ids in test:
    other, place = ids.copy(), rng.integers(3, len(ids) - 2)
    other[place] += rng.choice([-1, 1])
    at, mended = mend(other)
    found.append(at == place)
    right.append(np.array_equal(mended, ids))
print(f"one wrong semitone in each of {len(test)} held-out tunes: the note was found in "
      f"{np.mean(found):.0%}, and the tune as it was in {np.mean(right):.0%}")  # fmt: skip

# %% [markdown]
# About half of the notes are found, and about a quarter of the tunes come back. The others
# have a rare note of their own, which looks more wrong than ours. In B, we chose a note
# that can be found.

# %%
at, mended = mend(ids_of(WRONG))
MENDED = with_pitch(WRONG, at - 1, mended[at] + LOWEST)
print(f"note {at - 1} was replaced; {PLACE} was wrong;", end=" ")
print("as it was" if np.array_equal(mended, line) else "not quite as it was")
roll(MENDED, title="B, mended", marks=[at - 1])

# %%
hear(MENDED, title="B, mended by a network that hears both sides")

# %% [markdown]
# ## What you learnt
#
# * The chain rule makes every sequence a matter of the next token. Logs are added.
# * A bag of notes knows the key and not the tune. An n-gram knows the last few notes, and
#   leans on shorter contexts where it has seen nothing.
# * Long contexts are nearly all unseen: that is the curse of dimensionality, and vectors
#   for tokens are the way out.
# * Vectors learnt from company alone find the circle of fifths. They can overfit: stop
#   where the held-out loss turns.
# * A training loss of 0.84 may be pure memory. Print the held-out loss beside it.
# * What hears both sides can mend, and cannot compose from left to right.
#
# ## Go further
#
# * Give the tokens their rhythm: one token for a pitch and its length. What becomes of the
#   unseen contexts?
# * Put a text of your own in the place of the sonnets, in any language. At which epoch
#   does its held-out loss turn?
# * Cover four notes in a row and fill them. How far does it still find them?
#
# ## Reading
#
# * Bengio, Ducharme, Vincent, Jauvin 2003, *A neural probabilistic language model*.
# * Mikolov, Chen, Corrado, Dean 2013, *Efficient estimation of word representations in
#   vector space*, arxiv.org/abs/1301.3781.
# * Karpathy 2015, *The unreasonable effectiveness of recurrent neural networks*,
#   karpathy.github.io/2015/05/21/rnn-effectiveness.
# * Chen, Goodman 1999, *An empirical study of smoothing techniques for language modeling*.
# * Devlin, Chang, Lee, Toutanova 2018, *BERT*, arxiv.org/abs/1810.04805.

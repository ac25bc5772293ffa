# %% [markdown]
# # Lab 4 · Translation
#
# A melody goes in, a bass comes out: the same thought in another voice, as a sentence has
# another form in French. On the way you build the parts of the machine that translates:
# an encoder that reads, a decoder that writes, and the attention that lets the one look
# back at the other.
#
# **Time:** an hour and a half, of which networks train for two minutes. **You will
# hear** a bass that your network wrote under a chorale of Bach's, beside Bach's own.
# **Follows:** the slides with a practical, from *noir* and *noire* to attention, and the
# study notes from RNN to Transformer, their chapter on seq2seq.

# %%
import numpy as np

from labs import check, finding
from labs.figures import columns, curves, heat, roll
from labs.hearing import hear
from labs.material import as_score, chorales

PAD, BOS, EOS, UNK = 0, 1, 2, 3  # reserved in every vocabulary of the kit

# %% [markdown]
# ## Where we are going
#
# A hymn tune, and under it the bass of J. S. Bach, both on a grid of quarters. Listen
# twice: where does the bass go with the melody, and where against it? No network here will
# see this chorale before it has to write a bass for it.

# %%
heard = [chorale for chorale in chorales() if chorale.split == "test"][6]
outer = heard.quarters()[:, [0, 3]]
outer = outer[(outer > 0).all(axis=1)][:30]  # quarters in which both sing
hear(as_score(outer, names=("Soprano", "Bass")), title="Soprano and bass, by Bach")

# %%
roll(as_score(outer, names=("Soprano", "Bass")), title="The same, to see")

# %% [markdown]
# ## 1. What a translation is
#
# One sequence becomes another. What kinds there are shows in the lengths:
#
# | language | music | lengths |
# |---|---|---|
# | word by word (bad) | a chord under each note | equal, step by step |
# | English to French | melody to bass | unlike, in another order perhaps |
# | speech recognition | sound to notes | much longer to shorter |
# | summarisation | a tune to its incipit | longer to shorter |
# | questions, chatbots | a call to its answer | free |
#
# A network that can do the free kind can do them all. We begin with the bad one.
#
# Tokens are pitches less 28: the ids 0 to 3 are reserved, we shall see for what. A
# *phrase* is fifteen quarters; both voices have a token on each.


# %%
def phrases(split, voice, shifts=(0,), hop=15):
    """Soprano and another voice on quarters, int (2, N, 15), from one split."""
    made = []
    for chorale in chorales():
        rows = chorale.quarters()[:, [0, voice]]
        rows = rows[(rows > 0).all(axis=1)] - 28  # a quarter with a rest is left out
        for start in range(0, len(rows) - 14, hop):
            if chorale.split == split:
                made += [rows[start : start + 15] + shift for shift in shifts]
    return np.moveaxis(np.array(made), -1, 0)


ALTO, BASS = 1, 3
soprano, alto = phrases("train", ALTO)
print(soprano.shape[0], "phrases; the first soprano:", soprano[0])

# %% [markdown]
# ## 2. Word by word
#
# *Black* is *noir*, unless it is *noire*: that depends on a noun which may stand
# elsewhere. So it is with voices. What does the alto sing under the soprano's C?

# %%
under_c = np.bincount(alto[soprano == 72 - 28])
NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
common = np.sort(np.argsort(-under_c)[:7])
columns(
    {f"{NAMES[(i + 28) % 12]}{(i + 28) // 12 - 1}": int(under_c[i]) for i in common},
    y="times in training",
    title="What the alto sings under a C5",
)

# %% [markdown]
# Who sees the C alone can do no better than the highest column each time:
#
# $$ \hat y(x) = \arg\max_y \; \mathrm{count}(x, y) $$


# %%
def most_frequent_given(read, told):
    """A dict: each token of `read` -> the token that stands in `told` most often with it.

    read, told: int arrays of one shape; told[i, t] stands with read[i, t].
    read [[4, 4, 5]], told [[9, 9, 7]] -> {4: 9, 5: 7}
    """
    # BEGIN SOLUTION
    return {
        int(token): int(np.bincount(told[read == token]).argmax())
        for token in np.unique(read)
    }
    # END SOLUTION


check(most_frequent_given)


# %%
def guess(table, read):
    """The table's word for each token; -1 where it has none."""
    return np.vectorize(lambda token: table.get(int(token), -1))(read)


table = most_frequent_given(soprano, alto)
soprano_heard, alto_heard = phrases("test", ALTO)
by_table = (guess(table, soprano_heard) == alto_heard).mean()
print(f"the table is right in {by_table:.1%} of {alto_heard.size} held-out quarters")

# %% [markdown]
# Two networks read the soprano and name the alto on every quarter. The first is a *dense*
# layer that sees one quarter at a time, with no memory of another. The second is a pair of
# LSTMs that read the phrase from both ends: at each place they know what came, and what
# will come. **Predict:** can the dense one beat the table?

# %%
import keras
from keras import layers


def tagger(middle):
    """A network that names a token for each one that it reads."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([layers.Embedding(64, 32), middle, layers.Dense(64)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(8e-3), loss)
    network.fit(*phrases("train", ALTO, hop=5), batch_size=64, epochs=4, verbose=0)
    return (network(soprano_heard).numpy().argmax(-1) == alto_heard).mean()


# %%
by_dense = tagger(layers.Dense(64, activation="relu"))
by_bilstm = tagger(layers.Bidirectional(layers.LSTM(64, return_sequences=True)))
finding(
    f"alto, held out: dense {by_dense:.1%}, BiLSTM {by_bilstm:.1%}",
    by_bilstm > by_dense + 0.03,
    covers=("b04",),
)
columns(
    {"table": by_table, "dense": by_dense, "BiLSTM": by_bilstm},
    y="share right, held out",
    title="Alto under a soprano",
)

# %% [markdown]
# A network without context can hardly do more than learn the table by heart. What stands
# around a note is worth several points in a hundred. (No figure will come near 100: Bach
# could have written another alto, and to some tunes he wrote several.)
#
# ## 3. Sentences are not of one length
#
# A batch is one array, so shorter rows are filled up. Four ids do the housekeeping:
#
# - `PAD` (0) fills up behind the end, and counts for nothing;
# - `BOS` (1), in some books GO or SOS, is what a decoder reads before its first word;
# - `EOS` (2) is how it says that it is done;
# - `UNK` (3) stands for what was never met in training. It may be read, never written.


# %%
def pad_batch(rows):
    """ids int (B, T), PAD behind each row's end, and is_real bool (B, T).

    rows: list of B lists of int; T is the length of the longest.
    [[5, 6, 7], [8]] -> [[5, 6, 7], [8, 0, 0]], [[True] * 3, [True, False, False]]
    """
    # BEGIN SOLUTION
    lengths = np.array([len(row) for row in rows])
    is_real = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
    ids = np.full(is_real.shape, PAD)
    ids[is_real] = [token for row in rows for token in row]
    return ids, is_real
    # END SOLUTION


check(pad_batch)

# %% [markdown]
# ## 4. An encoder and a decoder
#
# The free kind of translation takes two networks. The *encoder* reads the source
# $x_1 \dots x_S$; its last state is the *context*, all that it passes on. The *decoder*
# begins with that state, and is a language model, as in lab 2; its $y_0$ is `BOS`:
#
# $$ s_0 = \mathrm{encoder}(x), \qquad s_t = \mathrm{LSTM}(y_{t-1}, s_{t-1}), \qquad
#    p(y \mid x) = \prod_t p(y_t \mid s_t) $$
#
# In training the target is known. So the decoder reads at each step what *should* have
# come before, even if it would have said something else. That is *teacher forcing*: the
# decoder reads `BOS` and the target, and is told the target and `EOS`.


# %%
def teacher_forcing(target):
    """(read, told), both int (B, T + 1), of targets (B, T) with PAD behind their ends.

    [[7, 8, 9], [7, 0, 0]] -> read [[1, 7, 8, 9], [1, 7, 0, 0]]
                              told [[7, 8, 9, 2], [7, 2, 0, 0]]
    Mind where EOS stands in a short row.
    """
    # BEGIN SOLUTION
    read = np.pad(target, ((0, 0), (1, 0)), constant_values=BOS)
    told = np.pad(target, ((0, 0), (0, 1)), constant_values=PAD)
    lengths = (target != PAD).sum(axis=1)
    told[np.arange(len(told)), lengths] = EOS
    return read, told
    # END SOLUTION


check(teacher_forcing)

# %% [markdown]
# A language to practise on, whose right answers are known: the *crab*. Bach wrote canons
# in which one voice sings the other's line backwards. Here the answer is the line
# backwards, and a fourth (five semitones) higher. Lines have 4 to 14 notes.

# %%
from audio_models.toys import retrograde, vocab_size


def crab(count, lengths, seed):
    """Pairs of a line and its answer, int arrays; no line comes twice."""
    pairs = retrograde(count, lengths, seed)
    return [(line, backwards + np.int32(5)) for line, backwards in pairs]


pairs = crab(4450, range(4, 15), seed=1)
tested, valid, train = pairs[:300], pairs[300:450], pairs[450:]
line, answer = max(tested[:20], key=lambda pair: len(pair[0]))
both = np.concatenate([line + 56, [0], answer + 56])
roll(as_score(both, steps_a_quarter=2), title="A line, a rest, and its answer")

# %% [markdown]
# How often is the next token right? Padding must not count: a network learns in a minute
# that after `PAD` comes `PAD`, and would look better than it is.


# %%
def masked_accuracy(logits, told):
    """The share of the real tokens (EOS is one, PAD is none) that are the likeliest.

    logits: float (B, T, V). told: int (B, T).
    """
    # BEGIN SOLUTION
    is_real = told != PAD  # (B, T)
    return (logits.argmax(axis=-1) == told)[is_real].mean()
    # END SOLUTION


check(masked_accuracy)

# %% [markdown]
# The kit's `fit_seq2seq` lays out batches as you did, and masks its loss alike. Before we
# trust it: does `PAD` teach anything? The gradient of the loss at each place tells.

# %%
import tensorflow as tf

from audio_models.objective import NextTokenLoss

# %%
target, is_real = pad_batch([row.tolist() for _, row in tested[:8]])
read, told = teacher_forcing(target)
logits = tf.Variable(np.random.default_rng(0).normal(size=(*told.shape, vocab_size())))
with tf.GradientTape() as tape:
    loss = NextTokenLoss()(told, logits, sample_weight=(told != PAD).astype("float32"))
pull = np.abs(tape.gradient(loss, logits).numpy()).max(axis=-1)  # (B, T)
finding(
    f"largest gradient at PAD {pull[told == PAD].max():.0e}, "
    f"least at a real token {pull[told != PAD].min():.0e}",
    pull[told == PAD].max() == 0 < pull[told != PAD].min(),
    covers=("e02",),
)

# %% [markdown]
# Now train the encoder and decoder, both of them LSTMs of 64 cells. The encoder reads
# from both ends. Nothing but its last state goes to the decoder.

# %%
from audio_models import numpy_ops
from audio_models.seq2seq import TRANSLATORS, Translator, padded, translate
from audio_models.seq2seq_training import fit_seq2seq


# %%
def learn(architecture, train, valid, epochs, learning_rate=8e-3, batch_size=64):
    """Weights of a network taught these pairs; the best of its epochs on `valid`."""
    weights, history = fit_seq2seq(
        architecture,
        train,
        valid,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    print("next token right, held out:", *(f"{row['accuracy']:.1%}" for row in history))
    return weights


# %%
narrow = TRANSLATORS["seq2seq"](
    vocab_size(), embedding_dim=32, hidden_dim=64, attention="none"
)
narrow_weights = learn(narrow, train, valid, epochs=4)

# %%
ids, _ = pad_batch([answer.tolist() for _, answer in tested])
read, told = teacher_forcing(ids)
source = padded([line for line, _ in tested], after=[EOS])
logits = narrow.forward(numpy_ops, narrow_weights, source, read)
print(f"next token right, by your count: {masked_accuracy(logits, told):.1%}")

# %% [markdown]
# ## 5. On its own
#
# That is with the teacher's help: each step has read the right beginning. When it writes
# alone, the decoder reads its own choices, and one slip can lead to the next.
# `BOS` begins, `EOS` stops, and what may not be written is shut out before the choice.


# %%
def write_greedily(step, state, most):
    """The list of tokens that a decoder writes, the likeliest each time, without EOS.

    step(token, state) gives (logits (V,), next state). It reads BOS first, then each
    choice. PAD, BOS and UNK are never chosen; EOS, or `most` tokens, end it. The logits
    belong to `step`: change a copy.
    """
    # BEGIN SOLUTION
    written, token = [], BOS
    while len(written) < most:
        logits, state = step(token, state)
        logits = np.array(logits)
        logits[[PAD, BOS, UNK]] = -np.inf
        token = int(logits.argmax())
        if token == EOS:
            break
        written.append(token)
    return written
    # END SOLUTION


check(write_greedily)


# %%
def decoder_of(architecture, weights, source):
    """`step` and the first state of a decoder whose encoder has read `source`."""
    player = Translator(architecture, weights, padded([source], after=[EOS]))

    def step(token, state):
        logits, state = player.step(np.array([token]), state)
        return logits[0], state

    return step, player.start(1)


for line, answer in tested[4:8]:
    written = write_greedily(*decoder_of(narrow, narrow_weights, line), most=30)
    print(len(line), "notes:", "right" if written == answer.tolist() else "wrong")

# %% [markdown]
# ## 6. The bottleneck
#
# A line of four notes or of fourteen has to go through one state of 64 numbers. **Predict:**
# how does the share of faultless answers depend on the length? We ask eighty lines of
# each length, less those that were in training; `translate` does what your loop does, for
# many lines at once.

# %%
LENGTHS = (4, 6, 8, 10, 12, 14)


def key(pair):
    return tuple(pair[0].tolist())


known = {key(pair) for pair in train + valid}


# %%
def faultless(architecture, weights):
    """For each length, the share of lines that are answered without a fault."""
    shares = []
    for length in LENGTHS:
        asked = [p for p in crab(80, length, [9, length]) if key(p) not in known]
        made = translate(architecture, weights, [line for line, _ in asked])
        right = [
            m == answer.tolist() for m, (_, answer) in zip(made, asked, strict=True)
        ]
        shares.append(np.mean(right))
    return np.array(shares)


# %%
without = faultless(narrow, narrow_weights)
curves(
    {"no attention": (LENGTHS, without)},
    x="notes in the line",
    y="faultless answers",
    title="All of it through one state",
)

# %% [markdown]
# ## 7. Attention
#
# The encoder had a state $h_m$ at *every* place, and all but the last were thrown away.
# Bahdanau, Cho and Bengio (2015) keep them. At each step the decoder's state $s$ asks
# every place how well it fits, a small network scores the fit, a softmax makes shares of
# the scores, and the context is a mean of the places by these shares:
#
# $$ e_m = v \cdot \tanh(s\,W + h_m U), \qquad
#    a_m = \frac{e^{e_m}}{\sum_{n \text{ real}} e^{e_n}}, \qquad
#    c = \sum_m a_m h_m $$
#
# It is called *additive* for the sum within. Padding must have the share 0.


# %%
def additive_attention(s, h, w, u, v, is_real):
    """(shares (S,), context (M,)) of one step that asks S places.

    s: (D,), the decoder's state. h: (S, M), the encoder's. w: (D, A), u: (M, A), v: (A,).
    is_real: bool (S,), False at padding, whose share is exactly 0. Scores may be large:
    the largest real one can be taken off all before the exponential.
    """
    # BEGIN SOLUTION
    scores = np.tanh(s @ w + h @ u) @ v  # (S,)
    scores = np.where(is_real, scores, -np.inf)
    shares = np.exp(scores - scores.max())
    shares = shares / shares.sum()
    return shares, shares @ h
    # END SOLUTION


check(additive_attention)

# %% [markdown]
# The same network again, but for the attention. Both networks read from both ends, so
# $h_m$ knows what is left and right of the place $m$.

# %%
wide = TRANSLATORS["seq2seq"](vocab_size(), embedding_dim=32, hidden_dim=64)
wide_weights = learn(wide, train, valid, epochs=4)

# %%
with_attention = faultless(wide, wide_weights)
curves(
    {"no attention": (LENGTHS, without), "attention": (LENGTHS, with_attention)},
    x="notes in the line",
    y="faultless answers",
    title="The bottleneck, and the way round it",
)

# %%
finding(
    f"4 to 6 notes: {without[:2].mean():.0%} faultless without attention, "
    f"12 to 14 notes: {without[-2:].mean():.0%}; "
    f"with attention {with_attention[:2].mean():.0%} and {with_attention[-2:].mean():.0%}",
    without[-2:].mean() < without[:2].mean() - 0.3
    and with_attention[-2:].mean() > 0.95,
    covers=("e03",),
)

# %% [markdown]
# **Predict:** the decoder writes the line backwards. Where does it look while it writes
# its first note? Draw the picture in your mind: a row for each step, a column for each
# place of the source.

# %%
line, answer = next(pair for pair in tested if len(pair[0]) == 12)
source = padded([line], after=[EOS, PAD, PAD])  # padding, to see that it is not seen
target = padded([answer], before=[BOS])
looks = wide.alignment(numpy_ops, wide_weights, source, target)[0]  # (T, S)
heat(
    looks,
    x="the line, as it is read",
    y="the answer, as it is written",
    x_ticks=[*(NAMES[(i + 56) % 12] for i in line), "EOS", "PAD", "PAD"],
    y_ticks=[*(NAMES[(i + 56) % 12] for i in answer), "EOS"],
    title="Where each step looks",
)

# %% [markdown]
# Is that what you wrote? Your function on the network's own weights, at its first step:

# %%
memory = wide.encode(numpy_ops, wide_weights, source)
state = wide.start(numpy_ops, wide_weights, memory)
_, state = wide.step(numpy_ops, wide_weights, memory, np.array([BOS]), state)
w, u, v = (wide_weights[f"attention.{part}"] for part in ("query", "key", "score"))
s, h = state[0][0, 0], memory[0][0]
shares, context = additive_attention(s, h, w, u, v[:, 0], source[0] != PAD)
finding(
    f"your shares are the network's to {np.abs(shares - looks[0]).max():.0e}",
    np.abs(shares - looks[0]).max() < 1e-5,
    covers=("e04",),
)

# %%
from audio_models.seq2seq_trials import aligned_share, exact_share

aligned = aligned_share(wide, wide_weights, tested, "retrograde")
finding(
    f"the largest share is on the anti-diagonal in {aligned:.1%} of the steps; "
    f"padding has {looks[:, -2:].max():.0e}",
    aligned >= 0.9 and looks[:, -2:].max() == 0,
    covers=("e02", "e04"),
)
exact = exact_share(wide, wide_weights, tested)
finding(
    f"{exact:.1%} of {len(tested)} unseen lines are answered without a fault",
    exact >= 0.99,
    covers=("e01",),
)

# %% [markdown]
# Nobody told it where to look: that came of nothing but right and wrong answers.
#
# ## 8. Nothing but attention
#
# If the decoder looks where it likes, what are the recurrent layers for? The *Transformer*
# (Vaswani et al. 2017) leaves them out. Its encoder's places look at each other, its
# decoder's steps look back at what is written and across at the source. Lab 5 builds one;
# here it takes the same examination. **Predict:** will it look at the anti-diagonal, too?

# %%
transformer = TRANSLATORS["seq2seq_transformer"](
    vocab_size(), hidden_dim=64, num_layers=1, context_length=16
)
transformer_weights = learn(transformer, train, valid, epochs=8, learning_rate=6e-3)
exact = exact_share(transformer, transformer_weights, tested)
aligned = aligned_share(transformer, transformer_weights, tested, "retrograde")
finding(
    f"the Transformer answers {exact:.1%} without a fault, "
    f"and looks at the anti-diagonal in {aligned:.1%} of the steps",
    exact >= 0.99 and aligned > 0.6,
    covers=("e11",),
)

# %% [markdown]
# Mostly: its four heads share the looking, and the mean over them is what is counted.
#
# ## 9. Bach
#
# Now the two languages of our title. Training phrases are moved up and down by up to four
# semitones, soprano and bass together: so each of them is nine. The table of part 2 is one
# floor to stand on; copying the soprano, at the commonest distance, is another.

# %%
shifted = phrases("train", BASS, range(-4, 5))
chorale_train = list(zip(*shifted, strict=True))
chorale_valid = list(zip(*phrases("valid", BASS), strict=True))
harmonist = TRANSLATORS["seq2seq"](64, embedding_dim=32, hidden_dim=64)
harmonist_weights = learn(harmonist, chorale_train, chorale_valid, 3, 1e-2, 32)

# %%
sung, under = phrases("train", BASS)
table = most_frequent_given(sung, under)
below = np.bincount((sung - under).ravel()).argmax()
soprano, bass = phrases("test", BASS)
right = {
    "copying": (soprano - below == bass).mean(),
    "table": (guess(table, soprano) == bass).mean(),
}
print(f"the bass is most often {below} semitones below the soprano")


# %%
def basses(architecture, weights, width=1):
    """What a network writes under each soprano, int (N, 15): cut or filled up to that."""
    written = translate(architecture, weights, list(soprano), width=width)
    print(f"fifteen notes, as asked: {np.mean([len(b) == 15 for b in written]):.1%}")
    return padded([*(row[:15] for row in written), [PAD] * 15])[:-1]


mine = basses(harmonist, harmonist_weights)
right["LSTMs"] = (mine == bass).mean()
finding(
    f"bass, held out: {right['LSTMs']:.1%} as Bach wrote it; the table has "
    f"{right['table']:.1%}, copying {right['copying']:.1%}",
    right["LSTMs"] > max(right["table"], right["copying"]) + 0.03,
    covers=("a09", "d17", "e01"),
)

# %% [markdown]
# And the network of nothing but attention, on the same phrases:

# %%
attentive = TRANSLATORS["seq2seq_transformer"](
    64, hidden_dim=64, num_layers=1, context_length=16
)
attentive_weights = learn(attentive, chorale_train, chorale_valid, 3, 4e-3)
right["Transformer"] = (basses(attentive, attentive_weights) == bass).mean()

# %%
finding(
    f"the Transformer's bass, held out: {right['Transformer']:.1%}",
    right["Transformer"] > max(right["table"], right["copying"]) + 0.02,
    covers=("e11",),
)
columns(right, y="share as Bach wrote it", title="Bass under a soprano, held out")

# %% [markdown]
# About a third, and Bach could have written another bass. **Predict:** the crab's
# decoder looked along the anti-diagonal. Where does this one look, a bass under a melody?

# %%
source = padded(soprano[:1], after=[EOS])
target = padded(bass[:1], before=[BOS])
looks = harmonist.alignment(numpy_ops, harmonist_weights, source, target)[0]
heat(
    looks,
    x="the soprano, as it is read",
    y="the bass, as it is written",
    x_ticks=[*(NAMES[(i + 28) % 12] for i in soprano[0]), "EOS"],
    y_ticks=[*(NAMES[(i + 28) % 12] for i in bass[0]), "EOS"],
    title="Where the bass looks",
)

# %% [markdown]
# At the note that sounds with it. All else it knows of the melody has come to that place
# through the encoder, which read from both ends.
#
# ## 10. Looking further ahead
#
# The likeliest first note can lead to a row of unlikely ones. A *beam* keeps a few lines
# going: at each step every open line is grown by every token, and of all of them only the
# `width` best are kept, by the sum of their log-probabilities
#
# $$ \log p(y \mid x) = \sum_t \log p(y_t \mid y_{<t}, x) $$
#
# A line that has its `EOS` keeps its place and its sum. **Predict:** is the likelier line
# also more like Bach's?


# %%
def beam_search(step, state, width, most):
    """(row, log p of it) of the best line that is found, without BOS and EOS.

    step(token, state) gives (log-probabilities (V,), next state), -inf where a token is
    forbidden. Lines begin with BOS. After `most` steps an open line counts as it is. The
    log p of an ended line includes that of its EOS.
    """
    # BEGIN SOLUTION
    lines = [(0.0, [BOS], state)]
    for _ in range(most):
        grown = [line for line in lines if line[1][-1] == EOS]
        for score, row, state in lines:
            if row[-1] != EOS:
                log_p, after = step(row[-1], state)
                grown += [
                    (score + log_p[t], [*row, t], after) for t in range(len(log_p))
                ]
        lines = sorted(grown, key=lambda line: -line[0])[:width]
    score, row, _ = lines[0]
    return [token for token in row if token not in (BOS, EOS)], score
    # END SOLUTION


check(beam_search)


# %%
def searched(source, width):
    """What your beam finds for a soprano: (bass, log p)."""
    step, state = decoder_of(harmonist, harmonist_weights, source)

    def log_step(token, state):
        logits, state = step(token, state)
        log_p = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        log_p[[PAD, BOS, UNK]] = -np.inf
        return log_p, state

    return beam_search(log_step, state, width, most=20)


some = list(soprano[:30])
found = {width: [searched(source, width) for source in some] for width in (1, 4)}
log_p = {width: np.mean([score for _, score in rows]) for width, rows in found.items()}
finding(
    f"mean log p of 30 basses: {log_p[1]:.2f} with one line, {log_p[4]:.2f} with four",
    log_p[4] > log_p[1],
)

# %%
likeness = {
    "one line": right["LSTMs"],
    "four lines": (basses(harmonist, harmonist_weights, width=4) == bass).mean(),
}
columns(likeness, y="share as Bach wrote it", title="Is the likelier more like Bach?")

# %% [markdown]
# (That was `translate` with `width=4`, over all held-out phrases: the kit's beam does what
# yours does, for many sources at once.)
#
# ## 11. Your bass
#
# First your network's bass under the melody of the beginning, then Bach's again. It wrote
# two phrases of fifteen quarters, one after the other.

# %%
melody = outer[:, 0]
found = [searched(phrase - 28, width=4)[0] for phrase in melody.reshape(2, 15)]
yours = padded([*(row[:15] for row in found), [PAD] * 15])[:-1].reshape(-1)
duet = np.stack([melody, np.where(yours > UNK, yours + 28, 0)], axis=1)
hear(as_score(duet, names=("Soprano", "Bass")), title="Soprano, and your bass")

# %%
hear(as_score(outer, names=("Soprano", "Bass")), title="Soprano, and Bach's bass")

# %%
roll(as_score(duet, names=("Soprano", "Bass")), title="Soprano, and your bass")

# %% [markdown]
# **Question.** By Bach's standard it is right in a third of the quarters. But how many of
# its notes sound well with the melody: as a third, a fifth, a sixth or an octave? Guess,
# for Bach, for yours, and for Bach's basses laid under the wrong phrases.

# %%
sounds_well = [0, 3, 4, 7, 8, 9]  # semitones between the two voices, octaves aside
share = {
    "Bach": np.isin((soprano - bass) % 12, sounds_well).mean(),
    "yours": np.isin((soprano - mine) % 12, sounds_well).mean(),
    "wrong phrase": np.isin(
        (soprano - np.roll(bass, 1, axis=0)) % 12, sounds_well
    ).mean(),
}
finding(
    f"{share['yours']:.0%} of your bass notes sound well with the melody; Bach's "
    f"{share['Bach']:.0%}, from the wrong phrase {share['wrong phrase']:.0%}",
    share["yours"] > share["wrong phrase"] + 0.1,
)
columns(share, y="share that sounds well", title="Together with the melody, held out")

# %% [markdown]
# A bass can be too well behaved: where Bach's does not fit its melody, it is on its way
# somewhere.
#
# ## What you learnt
#
# - Word by word is no translation: what a token becomes depends on those around it.
# - An encoder reads, a decoder writes. In training the teacher gives it the right
#   beginning; on its own it reads its own choices, from `BOS` to `EOS`.
# - `PAD` has no part in the loss, in the accuracy, or in attention.
# - One state is a bottleneck: it is good for short lines. Attention keeps all the states,
#   and learns where to look from right and wrong answers alone.
# - A beam finds likelier lines. Whether these are better is another question.
# - A share right means something beside a table and a copy, on tunes that were held out.
#
# ## Go further
#
# - Harmonise the alto and the tenor too: a decoder for each, or one that writes three
#   tokens a quarter. Listen to all four voices.
# - Let the encoder read from one end only (`bidirectional=False`) and look at the crab's
#   alignment again. Does it still find the anti-diagonal?
# - Train the crab on lines of 4 to 10 notes, and ask for 14. Which of the three networks
#   holds out longest, and why?
#
# ## To read
#
# - Sutskever, Vinyals & Le 2014, *Sequence to Sequence Learning with Neural Networks*,
#   https://arxiv.org/abs/1409.3215
# - Bahdanau, Cho & Bengio 2015, *Neural Machine Translation by Jointly Learning to Align
#   and Translate*, https://arxiv.org/abs/1409.0473
# - Vaswani et al. 2017, *Attention Is All You Need*, https://arxiv.org/abs/1706.03762

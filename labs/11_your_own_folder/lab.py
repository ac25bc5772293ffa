# %% [markdown]
# # Lab 11 · Your own folder
#
# A folder of music goes in, nobody has prepared it; a model, its figures, a blind test and
# a page to present come out. The eight small functions that you write are those that keep
# you honest on the way: they tell twins, leaks, chance and copies.
#
# **Time:** two hours, of which a network trains for about half a minute. **You will hear**
# your own model's tunes, and a blind test of them. **Follows:** the last slides of MIT
# 6.S191 lecture 2, which train on a corpus of music, and the practical of the Keras slides.

# %%
FOLDER = None  # or the path of your own: "/home/me/music". MIDI, ABC, MusicXML

# %%
from pathlib import Path

import numpy as np
from IPython.display import display

from labs import check, finding
from labs.figures import columns, curves
from labs.hearing import hear

NAME = "my model"  # what the page at the end calls it

# %% [markdown]
# ## Where we are going
#
# Two tunes, played alike. One was written by a person, one by `fiddle`, which ships with
# the kit. **Predict:** which is which? Write it down; the answer stands at the end. There
# your own model sits the same test, and a single guess will turn out to say nothing.

# %%
from data_pipelines.tokenizers import tokenizer_from_spec
from labs.material import tunes
from studio.blind_test import blind_trials
from studio.held_out import Piece
from studio.models import open_model

fiddle = open_model("fiddle")
reads = tokenizer_from_spec(fiddle.vocabulary)
some = [
    Piece(reads.encode(tune), tune.title, 0.0) for tune in tunes("ryansMammoth", 60)
]
first, second = blind_trials(fiddle, some, count=2, seed=3)
display(hear(first.score, title="One"), hear(second.score, title="The other"))

# %% [markdown]
# ## 1. What is in the folder?
#
# Folders are never clean. Ours has 300 airs from Aird's books (Glasgow, 1782), sixty of
# them a second time under another name and in another key, as the web has them, one plain
# copy, and two files that are no music. With your own folder in `FOLDER`, all that follows
# is about yours.

# %%
from data_pipelines.midi import write_midi
from labs.material import folder_of_tunes


def lay_out(folder):
    """Our folder: 300 tunes, twins of sixty, a copy, and two files that are no music."""
    folder = folder_of_tunes(folder, collection="airdsAirs", count=300)
    for number, tune in enumerate(tunes("airdsAirs", 300)[::5]):
        twin = tune.transposed([-2, 3][number % 2])
        write_midi(folder / f"found on the web {number:02d}.mid", twin)
    (folder / "copy.mid").write_bytes((folder / "tune007.mid").read_bytes())
    return folder


folder = Path(FOLDER) if FOLDER else lay_out("a folder of airs")

# %% [markdown]
# `gather` is what `etude train FOLDER` reads a folder with. It keeps a report: a line for
# each file, what became of it, and why. **Predict:** what becomes of the copy?

# %%
from collections import Counter

from studio.gather import gather

dataset = gather(folder)
report = list(dataset.report())
became = Counter((line["status"], line.get("reason") or "") for line in report)
for (status, reason), count in sorted(became.items()):
    print(f"{count:4d} {status} {reason}".rstrip())

# %%
visible = [path for path in folder.rglob("*") if path.name[0] != "."]
files = sum(path.is_file() for path in visible)
finding(
    f"each of the {files} files is in the report: used, or refused with a reason",
    len({line["path"] for line in report}) == files
    and all(line["status"] != "refused" or line["reason"] for line in report),
    covers=("f05",),
)

# %% [markdown]
# The rest became tokens, and the kit has shared it out: most to *train*, a tenth each to
# *valid* (to choose by) and *test* (to report). We keep the pieces side by side.

# %%
tokenizer = dataset.tokenizer
rows, pieces = [], []  # what is told of each piece, and its tokens
for split in ("train", "valid", "test"):
    rows += list(dataset.about(split))
    pieces += list(dataset.pieces(split))
scores = [tokenizer.decode(ids) for ids in pieces]
splits = [row["split"] for row in rows]
print(len(pieces), "pieces:", dict(Counter(splits)))
hear(scores[-1], title=f"One that is held out: {rows[-1]['name']}")

# %% [markdown]
# ## 2. Twins
#
# Two files hold the same tune if their notes are the same but for the key, and for the
# silence before. No name tells that, and no hash of the files' bytes. So we make a *key*
# of the notes alone: a value that is equal for twins, and for them only.


# %%
def content_key(notes):
    """A key of the notes: equal for a tune in any musical key, after any silence.

    notes: list of (start, duration, pitch), whole numbers, in any order; start and
    duration in sixteenths, pitch in semitones. What is returned is looked up in a dict:
    a list cannot be, a tuple can. [(4, 2, 60), (6, 2, 64)] and [(2, 2, 71), (0, 2, 67)]
    are one tune.
    """
    # BEGIN SOLUTION
    first = min((start for start, _, _ in notes), default=0)
    lowest = min((pitch for _, _, pitch in notes), default=0)
    return tuple(sorted((s - first, d, p - lowest) for s, d, p in notes))
    # END SOLUTION


check(content_key)


# %%
def notes_of(score):
    """A score as a list of (start, duration, pitch), in sixteenths."""
    ticks = score.ticks_per_quarter // 4
    n = score.notes
    columns = n["start"] // ticks, n["duration"] // ticks, n["pitch"]
    return [tuple(map(int, note)) for note in zip(*columns, strict=True)]


own_keys = [content_key(notes_of(score)) for score in scores]
numbers = {key: number for number, key in enumerate(sorted(set(own_keys)))}
keys = [f"tune {numbers[key]}" for key in own_keys]
print(f"{len(keys)} pieces are {len(numbers)} different tunes")

# %% [markdown]
# ## 3. Leaks
#
# A model is *trained* on one part of the music and *weighed* on another. A tune with a
# twin in each part is a leak: memory is weighed. **Predict:** of our 360 pieces some 120
# have a twin. If each *file* goes by chance, 80% to train, how many pairs are torn?


# %%
def leaking_pairs(keys, splits):
    """Pairs (i, j), i < j, of pieces with equal keys in two different splits: a list.

    keys: a list of what `content_key` gave. splits: "train", "valid" or "test" of each.
    Example: keys ["a", "b", "a"], splits ["train", "train", "test"] give [(0, 2)].
    """
    # BEGIN SOLUTION
    return [
        (i, j)
        for j in range(len(keys))
        for i in range(j)
        if keys[i] == keys[j] and splits[i] != splits[j]
    ]
    # END SOLUTION


check(leaking_pairs)

# %% [markdown]
# The remedy is to share out *groups*, not files. Divide the different keys, then give each
# piece the split of its key. The trap: the division must be the same tomorrow, and on
# another machine. There the folder may be listed in another order, and Python mixes the
# order of a `set` of texts anew in each process.


# %%
def split_by_group(keys, seed):
    """A split for each piece, "train", "valid" or "test": a list; equal keys share one.

    Of the different keys about 80% go to train, 10% to valid, 10% to test, by a shuffle
    that `seed` decides: np.random.default_rng(seed).permutation(names). The same keys and
    seed give each key the same split in any process, in whatever order the pieces are
    listed: sorted(set(keys)) has one order everywhere.
    """
    # BEGIN SOLUTION
    names = sorted(set(keys))
    shuffled = np.random.default_rng(seed).permutation(names).tolist()
    eight, nine = (round(share * len(names)) for share in (0.8, 0.9))
    split_of = dict.fromkeys(shuffled[:eight], "train")
    split_of |= dict.fromkeys(shuffled[eight:nine], "valid")
    split_of |= dict.fromkeys(shuffled[nine:], "test")
    return [split_of[key] for key in keys]
    # END SOLUTION


check(split_by_group)

# %%
by_file = np.random.default_rng(0).choice(
    ["train", "valid", "test"], size=len(keys), p=(0.8, 0.1, 0.1)
)
torn = {
    "by file": len(leaking_pairs(keys, by_file)),
    "by group": len(leaking_pairs(keys, split_by_group(keys, seed=0))),
    "the kit's": len(leaking_pairs(keys, splits)),
}
finding(
    f"{torn['by file']} pairs leak if files are shared out, none if groups are",
    torn["by group"] == torn["the kit's"] == 0
    and (torn["by file"] > 0 or bool(FOLDER)),
)
columns(torn, y="pairs of twins torn apart", title="Who leaks?")

# %% [markdown]
# The kit goes one step further: tunes that share a good part of their runs of eight
# intervals are *kin* to it (a variant, another player) and stay together, too. Its report
# in the terminal: `etude inspect FOLDER --leaks`.
#
# ## 4. What a leak costs
#
# It costs the truth of your figure. To see that we need the figure. A model gives each
# token $x_t$ of a tune a probability; the surprise at all of them, over the notes $n$:
#
# $$ L = \frac{\sum_{\text{tunes}} \sum_t -\log p(x_t)}{\sum_{\text{tunes}} n} $$
#
# Over notes, not tokens: tokens can be made many or few. And *one* division at the end: a
# mean of the tunes' means lets a tune of eight notes count as much as one of eight hundred.


# %%
def nats_per_note(log_ps, notes):
    """All the surprise over all the notes, in nats: a number.

    log_ps: a list of arrays, one a tune: natural logarithms of the chances that its
    tokens had, of each tune as many as it has tokens. notes: ints, how many notes each
    tune has. Example: two tokens at one half each, on 1 note: 2 log 2 = 1.386.
    """
    # BEGIN SOLUTION
    return -sum(row.sum() for row in log_ps) / sum(notes)
    # END SOLUTION


check(nats_per_note)

# %% [markdown]
# Lab 3's n-gram learns by counting, in a second. It counts the train part of the split *by
# file*; then it is weighed on two kinds of test tunes: those with a twin in train, and
# those without. **Predict:** how far apart are the two?

# %%
from audio_models.ngram import NGram

counts = [int(tokenizer.is_note(ids).sum()) for ids in pieces]


def counted_on(chosen, order, in_every_key=True):
    """For each piece the log-chances that an n-gram gives it which counted the chosen."""
    note_ids = tokenizer.vocabulary.ids("pitch") if in_every_key else None
    model = NGram(tokenizer.vocab_size, order, note_ids)
    model.fit([ids for ids, is_chosen in zip(pieces, chosen, strict=True) if is_chosen])
    return [model.log_probabilities(ids)[-1] for ids in pieces]


# %%
log_ps = counted_on(by_file == "train", order=8)
learnt = {key for key, split in zip(keys, by_file, strict=True) if split == "train"}
held = np.flatnonzero(by_file != "train")
parts = {
    "all held out": held,
    "with a twin in train": [i for i in held if keys[i] in learnt],
    "without": [i for i in held if keys[i] not in learnt],
}
costs = {
    name: nats_per_note([log_ps[i] for i in part], [counts[i] for i in part])
    for name, part in parts.items()
    if len(part)
}
columns(costs, y="nats a note", title="One model, two kinds of tune")

# %%
if len(parts["with a twin in train"]) > 2 and "without" in costs:
    flattered = costs["without"] - costs["all held out"]
    finding(
        f"{len(parts['with a twin in train'])} of {len(held)} tunes have a twin in "
        f"train: {costs['with a twin in train']:.2f} nats a note, where the others cost "
        f"{costs['without']:.2f}; the mean of both flatters by {flattered:.2f}",
        flattered > 0,
    )
else:
    print("Too few twins here to measure what they do: a clean folder, or a small one.")

# %% [markdown]
# **Question.** A friend reports 1.9 nats a note for your folder, split by file, where you
# have 2.9. What do you ask first? (Whether it is still 1.9 on tunes without a twin.)
#
# ## 5. The floors
#
# From here on only the kit's split counts. What would a model get that learnt nothing, or
# only counts? *Copy* expects the note before, *unigram* knows how common each note is, the
# *n-gram* is the best of several that `measure_floors` tries on the valid split.

# %%
from studio.floors import is_held_out, measure_floors

if not is_held_out(dataset):
    print(
        "Fewer than three tunes: none is held out, and no figure below says anything."
    )
floors = measure_floors(dataset)
counted = {"copy": floors.copy, "unigram": floors.unigram, "n-gram": floors.ngram}
columns(counted, y="nats a note, valid", title=f"To be beaten: {floors.ngram_kind}")

# %% [markdown]
# ## 6. Train
#
# One LSTM layer, ten times through the tunes: half a minute. For real you would give
# it longer, and let the kit watch: `etude train FOLDER -o mine.bundle --minutes 30` reads,
# splits, trains, stops in time, and writes card, curve and report beside the bundle.

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
plan = {"epochs": 10, "batch_size": 8, "window": 256, "learning_rate": 8e-3}
history = teach(network, dataset, max_shift=0, **plan)

# %%
losses = [row["held_out"] for row in history]
curve = curves(
    {"LSTM": (np.arange(1, len(losses) + 1), losses)},
    x="epoch",
    y="nats a note, valid",
    title="Learning",
    floors=counted,
)
curve

# %% [markdown]
# What was learnt goes into a *bundle*: the weights, what each token means, and the facts of
# where it comes from. All of the kit's commands open it.

# %%
import shlex

from audio_models.bundle import Bundle, save_bundle
from audio_models.training import Plan
from studio.facts import figures

facts = figures(
    dataset,
    "melody-lstm",
    Plan(max_shift=0, **plan),
    sources=[folder.name],
    command=shlex.join(["etude", "train", str(folder)]),
    floors=floors,
)
facts["held_out"]["model"] = min(losses)

# %%
bundle = Bundle(architecture, network.named_weights(), tokenizer.spec(), facts)
save_bundle("mine.bundle", bundle)

# %% [markdown]
# ## 7. Better, or lucky?
#
# The test split, which chose nothing so far, is opened once. It costs your model so many
# nats a note, the n-gram so many; and the difference depends on *which* tunes were held
# back. The *bootstrap* asks: had it been others? Draw as many tunes from the same ones,
# with return, so that some come twice and some not at all; take the difference; do that a
# few thousand times. The middle 95% of what came are an interval (Efron 1979).
#
# It is *paired*: a hard tune is hard for both. So a tune is drawn with both its costs.


# %%
def bootstrap_interval(ours, theirs, notes, rng, rounds=2000):
    """Where the difference of nats a note, ours - theirs, lies in 95% of draws: (low, high).

    ours, theirs: floats (N,), what each tune costs one model and the other, in nats, all
    its notes together. notes: ints (N,). rng: a NumPy Generator. A draw is N tunes with
    return: the sum of their differences over the sum of their notes. The ends are the
    quantiles 0.025 and 0.975.
    """
    # BEGIN SOLUTION
    count = len(notes)
    drawn = rng.integers(0, count, (rounds, count))  # a row is a draw
    apart = (np.asarray(ours) - np.asarray(theirs))[drawn].sum(axis=1)
    means = apart / np.asarray(notes)[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
    # END SOLUTION


check(bootstrap_interval)

# %%
from studio.held_out import nats_of_pieces

part = [i for i, split in enumerate(splits) if split == "test"] or range(len(pieces))
order, in_every_key = floors.ngram_kind.split(", ")  # "order 6", "in every key"
is_train = np.array(splits) == "train"
log_ps = counted_on(is_train, int(order.split()[1]), in_every_key == "in every key")
n_gram = np.array([-log_ps[i].sum() for i in part])
mine = nats_of_pieces(bundle, [pieces[i] for i in part], tokenizer)
notes = np.array([counts[i] for i in part])
apart = bootstrap_interval(mine, n_gram, notes, np.random.default_rng(0))
means = {"LSTM": mine.sum() / notes.sum(), "n-gram": n_gram.sum() / notes.sum()}

# %%
told = (
    f"on {len(part)} test tunes the LSTM costs {means['LSTM']:.2f} nats a note, the "
    f"n-gram {means['n-gram']:.2f}: {means['LSTM'] - means['n-gram']:+.2f}, 95% of draws "
    f"in [{apart[0]:+.2f}, {apart[1]:+.2f}]"
)
if not FOLDER:
    finding(told, apart[1] < 0, covers=("a07",))
elif len(part) < 10:
    print(told, "(so few tunes that the interval means nothing)")
else:
    print(told, "(maybe luck)" if apart[0] < 0 < apart[1] else "(0 outside: no luck)")

# %% [markdown]
# ## 8. Is it yours, or theirs?
#
# A model that has learnt a tune by heart has a splendid loss and writes nothing new. So
# look what a new tune has from the training tunes: the longest run of *intervals* (so that
# the key does not hide it) that stands in one of them.


# %%
def longest_shared_run(a, b):
    """How many intervals in a row the two lines have in common, at most: an int.

    a, b: pitches, lists or arrays. [60, 62, 64, 60] and [55, 57, 59] share the intervals
    2, 2: a run of 2. Lines of fewer than two notes have no interval: 0.
    """
    # BEGIN SOLUTION
    a, b = np.diff(a), np.diff(b)
    ending = np.zeros(len(b) + 1, int)  # the shared run that ends at each place of b
    longest = 0
    for interval in a:
        ending[1:] = np.where(b == interval, ending[:-1] + 1, 0)
        longest = max(longest, int(ending.max()))
    return longest
    # END SOLUTION


check(longest_shared_run)

# %% [markdown]
# But how long is long? Folk tunes share their turns of phrase: two real tunes by two people
# have runs in common. So the measure is what *real, held-out* tunes have from the training
# tunes. **Predict:** will your model's runs be longer? And those of an n-gram of order 16?

# %%
from audio_models.counted import count as count_grams
from studio.compose import Wish, compose

TAKES = range(1, 9)  # seeds
wishes = [Wish(bars=16, seed=seed) for seed in TAKES]
takes = [compose(bundle, wish).score for wish in wishes]
train = [ids for ids, split in zip(pieces, splits, strict=True) if split == "train"]
note_ids = tokenizer.vocabulary.ids("pitch")  # counted in every key
grams = count_grams(train, tokenizer.vocab_size, order=16, note_ids=note_ids)
parrot = Bundle(*grams, tokenizer.spec(), facts)
copies = [compose(parrot, wish).score for wish in wishes[:4]]
hear(takes[0], title=f"{NAME}, sixteen bars")

# %%
lines = [score.notes["pitch"].astype(int) for score in scores]
known = [line for line, split in zip(lines, splits, strict=True) if split == "train"]


def from_training(score):
    """The longest run of intervals that a score has from any training tune."""
    line = score.notes["pitch"].astype(int)
    return max(longest_shared_run(line, other) for other in known)


unseen = [score for score, s in zip(scores, splits, strict=True) if s != "train"]
kinds = {"held-out tunes": unseen[:24] or scores[:8], NAME: takes, "order 16": copies}
runs = {kind: [from_training(score) for score in made] for kind, made in kinds.items()}

# %%
middles = {kind: float(np.median(found)) for kind, found in runs.items()}
columns(
    middles,
    y="intervals in a row, median and range",
    title="From the training tunes",
    spread={kind: (min(found), max(found)) for kind, found in runs.items()},
)

# %%
from studio.originality import Training

index = Training(s for s, split in zip(scores, splits, strict=True) if split == "train")
kits = [index.copied(score).notes for score in takes]  # one more than intervals
agree = all(a + 1 == b for a, b in zip(runs[NAME], kits, strict=True) if b)
finding(f"the kit's search finds the same runs, by hashes: {max(kits)} notes", agree)

# %%
told = (
    f"{NAME} has runs of {middles[NAME]:.0f} intervals, held-out tunes "
    f"{middles['held-out tunes']:.0f}, the n-gram of order 16 {middles['order 16']:.0f}"
)
if FOLDER:
    print(told)
else:
    finding(told, middles[NAME] < middles["order 16"])

# %% [markdown]
# ## 9. The blind test
#
# Figures do not hear. Ten excerpts of eight bars, half of them real tunes that were held
# out, all played alike: the same tempo, instrument and accents, cut where the music goes
# on. Hear them, and fill in `ANSWERS` below. (On a page with buttons, which keeps the score:
# `etude blind mine.bundle`.)

# %%
from studio.errors import NothingUsable

real = [
    Piece(ids, row["name"], 0.0)
    for ids, row in zip(pieces, rows, strict=True)
    if row["split"] != "train" or not is_held_out(dataset)
]
try:
    trials = blind_trials(bundle, real, count=min(10, 2 * len(real)), seed=5)
except NothingUsable as too_few:
    trials = ()
    print(too_few)
for number, trial in enumerate(trials):
    display(hear(trial.score, title=f"Excerpt {number + 1}"))

# %%
ANSWERS = []  # yours: ["real", "generated", "", ...]; "" where you cannot tell


# %%
def score_answers(answers, truths):
    """(how many answers are right, how many were given at all).

    answers: "real", "generated", or "" where nothing was answered, which counts neither
    way. truths: bools, True for real. (["real", "", "real"], [True, True, False]) gives
    (1, 2).
    """
    # BEGIN SOLUTION
    told = [(a == "real") == t for a, t in zip(answers, truths, strict=True) if a]
    return sum(told), len(told)
    # END SOLUTION


check(score_answers)

# %% [markdown]
# ## 10. What does a score say?
#
# Seven of ten: do you hear the difference? Wilson (1927) asks of each share $p$: were it the
# truth, would $\hat p$, what was seen in $n$ trials, lie within $z$ deviations of it? The
# shares for which the answer is yes are the interval; $z = 1.96$ makes it one of 95%.
#
# $$ |\hat p - p| \le z \sqrt{\frac{p (1 - p)}{n}} \quad\Rightarrow\quad
#    \frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} +
#    \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}} $$


# %%
def wilson(right, count, z=1.96):
    """(low, high): the shares that agree with `right` of `count`, count above 0.

    The formula above with p = right / count. Ten of ten is not [1, 1] but [0.72, 1].
    """
    # BEGIN SOLUTION
    share = right / count
    middle = share + z**2 / (2 * count)
    reach = z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    whole = 1 + z**2 / count
    return (middle - reach) / whole, (middle + reach) / whole
    # END SOLUTION


check(wilson)

# %% [markdown]
# Your answers, scored. Where `ANSWERS` is empty, as in the solution, a coin answers.

# %%
truths = [trial.is_real for trial in trials]
coin = np.random.default_rng(1)
given = ANSWERS or [
    ["real", "generated"][side] for side in coin.integers(0, 2, len(trials))
]
who = "you" if ANSWERS else "a coin"
right, answered = score_answers(given, truths)
low, high = wilson(right, answered) if answered else (0.0, 1.0)
heard = f"{who}: {right} of {answered} right, 95% interval {low:.0%} to {high:.0%}"
if ANSWERS or FOLDER:
    print(heard, "(a coin's 50% inside)" if low < 0.5 < high else "(50% outside)")
else:
    finding(f"{heard}: it holds 50%, as a coin's should", low < 0.5 < high)

# %% [markdown]
# ## 11. How many are enough?
#
# Say that you do hear something: you are right in 60 of 100. **Predict:** with ten
# excerpts, how often will the interval lie above 50% and prove it? We toss that listener
# two thousand times for each length of test. (Who plans a study asks for 80% or more.)

# %%
lengths = [10, 20, 50, 100, 200, 400]
rng = np.random.default_rng(2)


def proved(truth, count, times=2000):
    """How often a listener who is right with chance `truth` shows it in `count` trials."""
    seen = rng.binomial(count, truth, times)
    above = {right: wilson(right, count)[0] > 0.5 for right in set(seen.tolist())}
    return float(np.mean([above[right] for right in seen.tolist()]))


# %%
power = {
    f"right in {truth:.0%}": (lengths, [proved(truth, count) for count in lengths])
    for truth in (0.6, 0.75, 0.5)
}
sixty = dict(zip(*power["right in 60%"], strict=True))
by_luck = max(power["right in 50%"][1])

# %%
finding(
    f"10 excerpts prove 60% in {sixty[10]:.0%} of tests, 200 in {sixty[200]:.0%}; "
    f"a coin 'proves' itself in at most {by_luck:.0%}",
    sixty[10] < 0.3 and sixty[200] > 0.7 and by_luck < 0.06,
)
curves(
    power,
    x="excerpts",
    y="tests that prove it",
    title="How many excerpts tell skill from luck?",
    log_x=True,
    floors={"asked for": 0.8},
)

# %% [markdown]
# Ten excerpts find only what is glaring. And 50% inside the interval does *not* show that
# the model writes like people: it shows that this test could not tell.
#
# ## 12. What fails
#
# Every model fails somewhere, and whoever presents it should say where before the first
# question does. The kit compares composed and held-out tunes, measure by measure: 1 is as
# alike as can be, 0 has nothing in common. *Bars heard before*, say, is the share of a
# tune's bars that repeat an earlier one; *likeness 4 bars on*, how alike bars four apart
# are. (All of it, as a page: `etude evaluate`.)

# %%
from studio.evaluate import Plan as Weighing
from studio.evaluate import compared

measured, _ = compared(takes, unseen or scores, Weighing(pieces=len(takes), bars=16))
likeness = {
    row["words"]: row["overlap"]
    for row in measured.values()
    if row["overlap"] is not None
}
worst = sorted(likeness, key=likeness.get)[:3]
for words in worst:
    print(f"{likeness[words]:.2f}  {words}")

# %%
FAILS = ""  # yours, a sentence, from listening; else the page says what was measured
fails = FAILS or f"It is least like real tunes in: {'; '.join(worst)}."

# %% [markdown]
# ## 13. A page to present
#
# One file, which any browser opens without network and which you can send: the take first,
# because people want to hear; then one figure, with what it was weighed beside.

# %%
from data_pipelines.render import render
from studio.html import big_figures, data_address, escape, figure, page, picture, table
from studio.html import player as player_of
from studio.takes_page import page_sounds

(sound,) = page_sounds([render(takes[0], engine="auto")])
best = (
    f"{len(pieces)} pieces of {escape(folder.name)}.</p>"
    + player_of(data_address("audio/flac", sound), f"{NAME}, sixteen bars")
    + "<p>Sixteen bars that nobody wrote, seed 1."
)

# %%
gain = f"the n-gram {means['n-gram']:.2f}, apart {apart[0]:+.2f} to {apart[1]:+.2f}"
usual = f"held-out tunes {middles['held-out tunes']:.0f}"
points = [
    (f"{means['LSTM']:.2f}", f"nats a note, test; {gain}"),
    (f"{middles[NAME]:.0f}", f"intervals in a row from training; {usual}"),
    (f"{right} of {answered}", f"told rightly by {who}: {low:.0%} to {high:.0%}"),
]

# %%
read = [[f"{s} {r}".strip(), n] for (s, r), n in sorted(became.items())]
weighed = [[name, f"{value:.2f}"] for name, value in counted.items()]
weighed.append([NAME, f"{min(losses):.2f}"])
body = (
    big_figures(points)
    + figure(picture(curve.png, curve.says), "Held-out loss, epoch after epoch")
    + "<h2>Beside what has only counted</h2>"
    + table(["model", "nats a note, valid"], weighed, mark=[3])
    + "<h2>What was read</h2>"
    + table(["became of it", "files"], read)
    + f"<h2>What fails</h2><p>{escape(fails)}</p>"
)

# %%
target = Path(f"{NAME}.html")
target.write_text(page(NAME, body, lead=best), encoding="utf-8")
text = target.read_text(encoding="utf-8")
finding(
    f"{target} holds all that it shows, {len(text) / 1e6:.1f} MB, and fetches nothing",
    text.count("src=") == text.count('src="data:') == 2 and "href=" not in text,
)

# %% [markdown]
# ## Before you stand up
#
# - Play first. Twenty seconds of your best take, before any slide.
# - Say in one sentence what it does, and what it learnt from, and whose music that is.
# - One figure, large. Beside it the floor, in the same unit.
# - An interval to every figure, or how many tunes it is of.
# - Say how you split. If twins could leak, somebody will ask.
# - Say what it copies, and what real tunes copy.
# - Let the room sit the blind test: five excerpts, hands up. Then the interval.
# - Play something that failed, and say why.
# - Seed, folder, command: so that anybody can do it again.
# - Stop a minute early. Music makes people ask.

# %%
names = {True: "a person", False: "`fiddle`"}
print(f"One: {names[first.is_real]}. The other: {names[second.is_real]}.")
hear(takes[1], title=f"{NAME}, another sixteen bars")

# %% [markdown]
# ## What you learnt
#
# - A folder is files used, and files refused with a reason; nothing disappears silently.
# - Twins leak through a split by file, and the figure that they flatter looks like yours.
# - A loss wants three companions: its floors, its unit, its interval.
# - Originality is measured against what real tunes have in common.
# - Few trials prove little, and "not told apart" is not "the same".
#
# ## Go further
#
# - Your own folder, thirty minutes: `etude train FOLDER -o mine.bundle --minutes 30`, then
#   `etude evaluate mine.bundle`. What changes on the page?
# - Ten friends and `etude blind mine.bundle --count 20`: two hundred answers prove 60%,
#   but are twenty answers of one person twenty trials?
# - Ask the leak question of a data set that you did not make. How many twins has its test?
#
# ## To read
#
# - Efron 1979, *Bootstrap Methods: Another Look at the Jackknife*
# - Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*
# - Lee et al. 2022, *Deduplicating Training Data Makes Language Models Better*
# - Sturm et al. 2016, *Music transcription modelling and composition using deep learning*

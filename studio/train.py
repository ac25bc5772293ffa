"""A folder of music to a bundle: read, split, measure the floors, train, tell."""

import json
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from audio_models import MODELS
from audio_models.bundle import Bundle, check_replaceable, save_bundle
from audio_models.ngram import Copy, NGram
from data_pipelines import corpus as corpora
from data_pipelines.datasets import cut_windows, numpy_batches, plan_epoch, tf_batches
from data_pipelines.files import write_whole
from data_pipelines.guard import FORMS_OF, Reading, Refused, gate
from data_pipelines.measures import key_name, likely_key, repeated_bars
from data_pipelines.midi import midi_bytes
from data_pipelines.music21_corpus import read_music21_corpus
from data_pipelines.score import DEFAULT_QPM
from data_pipelines.tokenizers import TOKENIZERS
from data_pipelines.tokenizers.melody import METRES
from studio.compose import UNNAMED_METRE, Wish, compose
from studio.errors import Interrupted, NothingUsable, WrongUsage
from studio.recipes import RECIPES

EVALUATION_LENGTH = 2048  # tokens of context when held-out pieces are weighed


@dataclass(frozen=True)
class Material:
    """A corpus in tokens: the pieces of each split, and what tokenizing cost."""

    corpus: corpora.Corpus
    splits: dict  # name -> list of int32 arrays
    costs: tuple
    names: dict  # name -> list of str
    held_out: bool  # False where there were too few tunes to keep any back


@dataclass(frozen=True)
class Floors:
    """Held-out nats per note of what has learnt nothing, or only counted."""

    copy: float
    unigram: float
    ngram: float
    ngram_kind: str


def gather(folder=None, corpus_names=(), *, on_progress=None):
    """Read a folder, or named parts of music21's corpus, into a `Corpus`.

    Raises:
        WrongUsage: if the folder or a name does not exist.
        NothingUsable: if no file of it can be used.
    """
    try:
        if folder is not None:
            corpus = corpora.read_folder(folder, on_progress=on_progress)
        else:
            found = []
            for name in corpus_names:
                scores, refused = read_music21_corpus(name, on_progress=on_progress)
                for number, score in enumerate(scores, 1):
                    found.append((f"{name}/{number:05d}", _gated(score)))
                for file, reason in refused:
                    found.append((f"{name}/{file}", Refused("damaged", reason)))
            corpus = corpora.assemble(found)
    except (FileNotFoundError, ValueError) as error:
        raise WrongUsage(str(error)) from None
    return corpus


def _gated(score):
    try:
        return Reading((gate(score),))
    except Refused as refusal:
        return refusal


def tokenize(corpus, tokenizer, *, name="the corpus"):
    """Encode and split a corpus, called `name` if something is wrong with it.

    Returns:
        `Material`. Pieces that the tokenizer cannot take are refused in its report.

    Raises:
        NothingUsable: if no piece is left.
    """
    ids, costs, pieces, report = [], [], [], {line.path: line for line in corpus.report}
    for piece in corpus.pieces:
        try:
            encoded, cost = tokenizer.encode_measured(piece.score)
        except ValueError as error:
            report[piece.name] = corpora.Line(
                piece.name, "refused", "no notes", str(error)
            )
            continue
        ids.append(encoded)
        costs.append(cost)
        pieces.append(piece)
    corpus = corpora.Corpus(tuple(pieces), tuple(report.values()))
    if not pieces:
        raise NothingUsable(f"{name}: {nothing_usable(corpus)}")
    split = corpora.split_by_tune(
        [tokenizer.pitches(i) for i in ids], [p.digest for p in pieces]
    )
    splits, names = ({name: [] for name in corpora.SPLITS} for _ in range(2))
    for name, encoded, piece in zip(split, ids, pieces, strict=True):
        splits[name].append(encoded)
        names[name].append(piece.name)
    held_out = bool(splits["valid"])
    if not held_out:
        splits["valid"] = splits["test"] = splits["train"]
    return Material(corpus, splits, tuple(costs), names, held_out)


def nothing_usable(corpus):
    """The sentence for a folder in which no file can be used."""
    found = len(corpus.report)
    if not found:
        return f"there is no file in it; wanted are {FORMS_OF['score']}."
    reasons = ", ".join(f"{n} {reason}" for reason, n in corpus.refusals().items())
    return (
        f"None of {found} files can be used: {reasons}; wanted are {FORMS_OF['score']}."
    )


def measure_floors(material, tokenizer):
    """`Floors` on the valid split; the n-gram's kind and order are its best ones."""
    train, valid = material.splits["train"], material.splits["valid"]
    notes = count_notes(valid, tokenizer)

    def nats(model):
        rows = sum(model.log_probabilities(piece).sum(axis=1) for piece in valid)
        return -rows / notes

    vocab_size = tokenizer.vocab_size
    as_written = nats(NGram(vocab_size).fit(train))
    note_ids = tokenizer.vocabulary.ids("pitch")
    by_interval = nats(NGram(vocab_size, note_ids=note_ids).fit(train))
    kinds = {"as written": as_written, "in every key": by_interval}
    kind = min(kinds, key=lambda name: kinds[name].min())
    order = int(kinds[kind].argmin())
    return Floors(
        copy=float(nats(Copy(vocab_size).fit(train))[0]),
        unigram=float(as_written[0]),
        ngram=float(kinds[kind][order]),
        ngram_kind=f"order {order}, {kind}",
    )


def count_notes(pieces, tokenizer):
    """How many notes the pieces strike: the denominator of nats per note."""
    return max(1, sum(int(tokenizer.is_note(piece).sum()) for piece in pieces))


def nats_per_note(network, pieces, tokenizer, length=EVALUATION_LENGTH):
    """Held-out nats per note of a network, each piece from its beginning."""
    from audio_models.training import log_likelihood

    by_length = sorted(pieces, key=len)
    windows = cut_windows(by_length, tokenizer, length=length)
    plan = plan_epoch(windows, batch_size=32, seed=0, epoch=0, shuffle=False)
    nats, _ = log_likelihood(network, numpy_batches(windows, plan))
    return -nats / count_notes(pieces, tokenizer)


def train_bundle(
    material, recipe_name, plan, output, *, sources, command, floors, watch=None
):
    """Train a recipe on some material, and leave a bundle.

    Args:
        material: `Material`.
        recipe_name: str, one of `RECIPES`.
        plan: `audio_models.training.Plan`.
        output: Path of the bundle to write. A folder ``OUTPUT.run`` beside it holds
            the report, the history and the settings.
        sources: list of str, where the music came from, for the card.
        command: str, what rebuilds the bundle, for the card.
        floors: `Floors` of the material.
        watch: as for `audio_models.training.train`.

    Returns:
        (`Bundle`, `Progress`).
    """
    from audio_models.network import Network
    from audio_models.training import train

    recipe = RECIPES[recipe_name]
    tokenizer = TOKENIZERS[recipe.tokenizer]()
    output = Path(output)
    run_folder = prepare_run_folder(output)
    clear_run(run_folder)
    corpora.write_report(run_folder / "report.jsonl", material.corpus)
    architecture = MODELS[recipe.model](vocab_size=tokenizer.vocab_size, **recipe.sizes)
    length = getattr(architecture, "context_length", EVALUATION_LENGTH)
    network = Network(architecture, seed=plan.seed)
    windows = cut_windows(
        material.splits["train"],
        tokenizer,
        length=min(plan.window, length),
        max_shift=plan.max_shift,
    )

    def planned(epoch):
        return plan_epoch(
            windows, batch_size=plan.batch_size, seed=plan.seed, epoch=epoch
        )

    def held_out(network, split="valid"):
        return nats_per_note(network, material.splits[split], tokenizer, length)

    facts = figures(material, recipe_name, plan, sources, command, floors)

    def keep(progress, event):
        if event == "checked":
            write_whole(
                run_folder / "history.json", json.dumps(progress.history).encode()
            )
        elif event == "best":
            facts["held_out"]["model"] = progress.best
            save_bundle(
                run_folder / "best.bundle",
                Bundle(architecture, network.named_weights(), tokenizer.spec(), facts),
            )
        if watch:
            watch(progress, event)

    began = time.monotonic()
    try:
        progress = train(
            network,
            plan,
            lambda epoch: tf_batches(windows, planned(epoch)),
            len(planned(0)),
            held_out,
            watch=keep,
        )
    except KeyboardInterrupt:
        raise Interrupted(_what_was_kept(run_folder)) from None
    facts["test"] = {"model": held_out(network, "test")}
    test = replace(
        material, splits={**material.splits, "valid": material.splits["test"]}
    )
    facts["test"] |= asdict(measure_floors(test, tokenizer))
    facts["trained_minutes"] = round((time.monotonic() - began) / 60, 1)
    facts["steps"] = progress.step
    bundle = finished(architecture, network.named_weights(), tokenizer, facts)
    save_bundle(output, bundle)
    return bundle, progress


def share_of_repeated_bars(scores):
    """Of all bars, the share that repeats an earlier bar of its piece exactly."""
    repeated, bars = np.sum([repeated_bars(score) for score in scores], axis=0)
    return round(float(repeated / max(1, bars)), 4)


def _what_was_kept(run_folder):
    best = run_folder / "best.bundle"
    if (best / "SHA256SUMS").is_file():
        return f"interrupted; the best weights so far are the bundle {best}"
    return "interrupted before the first look at held-out music; nothing was kept"


def finished(architecture, weights, tokenizer, facts):
    """The bundle with its sample and card."""
    from studio.cards import model_card

    bundle = Bundle(architecture, weights, tokenizer.spec(), facts)
    pieces = [compose(bundle, Wish(seed=seed)).score for seed in range(1, 13)]
    facts["repeated_bars"]["composed"] = share_of_repeated_bars(pieces)
    sample = midi_bytes(pieces[0])
    return replace(bundle, card=model_card(bundle), sample=sample)


def check_plan(settings):
    """Raise WrongUsage if a number of a plan lies outside its range."""
    ranges = {
        "minutes": (0.05, 100_000),
        "epochs": (1, 100_000),
        "learning_rate": (1e-7, 1.0),
        "batch_size": (1, 4096),
        "window": (8, 8192),
        "seed": (0, 2**31 - 1),
    }
    for name, (low, high) in ranges.items():
        if name in settings and not low <= settings[name] <= high:
            raise WrongUsage(
                f"`{name}` must be in {low}..{high}. Received: {settings[name]}"
            )


def prepare_run_folder(output):
    """Make ``OUTPUT.run``, after making sure that OUTPUT may be written at all."""
    try:
        check_replaceable(output)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    run_folder = output.with_name(output.name + ".run")
    run_folder.mkdir(parents=True, exist_ok=True)
    return run_folder


def clear_run(run_folder):
    """Take away what an earlier run left, so that nothing old is told as new."""
    best = run_folder / "best.bundle"
    if best.is_dir():
        check_replaceable(best)
        shutil.rmtree(best)
    (run_folder / "history.json").unlink(missing_ok=True)


def figures(material, recipe_name, plan, sources, command, floors):
    """What a bundle tells about where it comes from, as JSON."""
    counts = {name: len(pieces) for name, pieces in material.names.items()}
    tempos = Counter()
    metres, keys = Counter(), Counter()
    qpm = {}
    for piece in material.corpus.pieces:
        metre = str(piece.score.metre) if piece.score.metres else UNNAMED_METRE
        metre = metre if metre in METRES else UNNAMED_METRE
        metres[metre] += 1
        keys[key_name(*likely_key(piece.score))] += 1
        if piece.score.tempos and piece.score.qpm != DEFAULT_QPM:
            qpm.setdefault(metre, []).append(min(400.0, max(20.0, piece.score.qpm)))
            tempos[metre] += 1
    return {
        "recipe": recipe_name,
        "plan": asdict(plan),
        "sources": sources,
        "command": command,
        "pieces": counts,
        "notes": sum(cost.notes for cost in material.costs),
        "notes_lost": sum(cost.lost for cost in material.costs),
        "metres": dict(metres.most_common()),
        "repeated_bars": {
            "data": share_of_repeated_bars(
                [piece.score for piece in material.corpus.pieces]
            )
        },
        "keys": dict(keys.most_common()),
        "usual_qpm": {
            metre: round(float(np.median(qpm[metre])), 1)
            for metre, count in tempos.items()
            if count >= 0.5 * metres[metre]
        },
        "held_out": {"is_held_out": material.held_out, **asdict(floors)},
        "versions": {
            name: metadata.version(name) for name in ("etude", "keras", "numpy")
        },
    }

"""A folder of music to a bundle of an n-gram: nothing is trained, all is counted."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from audio_models.bundle import save_bundle
from audio_models.counted import MOST_GRAMS, count
from audio_models.ngram import SMOOTHINGS, NGram
from studio.errors import WrongUsage
from studio.facts import figures
from studio.floors import count_notes, held_out_pieces, is_held_out, measure_floors
from studio.recipes import RECIPES
from studio.train import (
    clear_run,
    finished,
    keep_report,
    prepare_run_folder,
    write_file,
    write_run,
)

ORDER_UNSEEN = 5  # where no music is held out to choose by: it would choose to copy
# Two bars of a tune, one bar of four voices, in tokens.
COPIED_RUN = {"melody": 32, "chorale": 64}


@dataclass(frozen=True)
class Counting:
    """How an n-gram is counted: what `audio_models.training.Plan` is to a network."""

    order: int
    in_every_key: bool
    smoothing: str
    seed: int = 0  # nothing is left to chance

    def __str__(self):
        kind = "in every key" if self.in_every_key else "as written"
        return f"order {self.order}, {kind}, {self.smoothing}"


def check_counting(recipe_name, given):
    """Raise WrongUsage if an option was given that means nothing where one counts.

    Args:
        recipe_name: str, a recipe whose model is counted.
        given: dict of option -> value, None or False where it was not given.
    """
    for name, value in given.items():
        if value is not None and value is not False:
            raise WrongUsage(
                f"--{name.replace('_', '-')} means nothing to {recipe_name}: it is "
                "counted in seconds, not trained."
            )


def count_bundle(dataset, recipe_name, output, *, sources, command, floors):
    """Count a dataset, and leave a bundle and a run folder as training does.

    Order, keys and smoothing are those that suit the pieces that training would stop
    on; the history holds what each order was worth there.

    Args:
        dataset: `shards.Dataset`.
        recipe_name: str, one of `RECIPES` whose model is counted.
        output: Path of the bundle.
        sources, command, floors: as for `studio.train.train_bundle`.

    Returns:
        `Bundle`.
    """
    tokenizer = dataset.tokenizer
    output = Path(output)
    run_folder = prepare_run_folder(output)
    clear_run(run_folder)
    keep_report(dataset, run_folder)
    longest = RECIPES[recipe_name].sizes["order"]
    # Of more music than the tables may hold a sample is counted.
    most = MOST_GRAMS // (longest + 1)
    train = held_out_pieces(dataset, "train", most_tokens=most)
    plan, history = choose(dataset, train, longest)
    write_run(run_folder, dataset, recipe_name, plan, command, floors=floors)
    write_file(run_folder / "history.json", json.dumps(history).encode())
    note_ids = tokenizer.vocabulary.ids("pitch") if plan.in_every_key else None
    architecture, weights = count(
        train,
        tokenizer.vocab_size,
        order=plan.order,
        note_ids=note_ids,
        smoothing=plan.smoothing,
    )
    facts = figures(dataset, recipe_name, plan, sources, command, floors)
    facts["counted"] = str(plan)
    best = next(row for row in history if row["counted"] == str(plan))
    facts["held_out"]["model"] = best["held_out"]
    test = held_out_pieces(dataset, "test")
    ngram = NGram(
        tokenizer.vocab_size, plan.order, note_ids, smoothing=plan.smoothing
    ).fit(train)
    facts["test"] = {"model": float(nats_per_note(ngram, test, tokenizer)[-1])}
    facts["test"] |= asdict(measure_floors(dataset, "test"))
    length = COPIED_RUN[tokenizer.name]

    def copied(composed):
        known = runs(train, tokenizer, length)
        facts["copied"] = {
            "tokens": length,
            "composed": share_known(composed, known, tokenizer, length),
            "test": share_known(test, known, tokenizer, length),
        }

    bundle = finished(architecture, weights, tokenizer, facts, look=copied)
    save_bundle(output, bundle)
    return bundle


def choose(dataset, train, longest):
    """The `Counting` that suits the held-out pieces best, and all that were tried.

    Args:
        dataset: `shards.Dataset`.
        train: list of int arrays, what is counted.
        longest: int, orders 0..longest are tried.

    Returns:
        (`Counting`, list of dict: ``counted``, what it is; ``held_out``, nats a note).
    """
    tokenizer = dataset.tokenizer
    valid = held_out_pieces(dataset)
    tried = {}
    for smoothing in SMOOTHINGS:
        for note_ids in (None, tokenizer.vocabulary.ids("pitch")):
            model = NGram(
                tokenizer.vocab_size, longest, note_ids, smoothing=smoothing
            ).fit(train)
            for order, nats in enumerate(nats_per_note(model, valid, tokenizer)):
                tried[Counting(order, note_ids is not None, smoothing)] = float(nats)
    eligible = tried if is_held_out(dataset) else [
        plan for plan in tried if plan.order == ORDER_UNSEEN
    ]  # fmt: skip
    best = min(eligible, key=tried.get)
    history = [{"counted": str(p), "held_out": nats} for p, nats in tried.items()]
    return best, history


def nats_per_note(ngram, pieces, tokenizer):
    """float64 array (max_order + 1,): held-out nats per note of an `NGram`, by order."""
    rows = sum(ngram.log_probabilities(piece).sum(axis=1) for piece in pieces)
    return -rows / count_notes(pieces, tokenizer)


def runs(pieces, tokenizer, length):
    """The runs of `length` tokens in pieces, notes as intervals: a set of hashes."""
    return {run for piece in pieces for run in _runs(piece, tokenizer, length)}


def share_known(pieces, known, tokenizer, length):
    """Of all runs of `length` tokens, the share that is among the `known` ones."""
    found = [run in known for p in pieces for run in _runs(p, tokenizer, length)]
    return round(float(np.mean(found)), 4) if found else 0.0


def _runs(piece, tokenizer, length):
    ids = np.asarray(piece, dtype=np.int64)
    is_note = tokenizer.is_note(ids)
    last = np.maximum.accumulate(np.where(is_note, np.arange(len(ids)), 0))
    before = np.r_[0, ids[last[:-1]]]  # the note before, or BOS
    named = np.where(is_note, ids - before + (1 << 20), ids)
    if len(named) < length:
        return []
    views = np.lib.stride_tricks.sliding_window_view(named, length)
    return [hash(view.tobytes()) for view in views]

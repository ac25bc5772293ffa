"""The music a model is held against: its own test split, or a folder; and what it costs.

Nats per note as training reports them, but in NumPy: nothing has to load.
"""

import itertools
import math
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audio_models import numpy_ops
from audio_models.ngram import Copy, NGram
from audio_models.numpy_ops import log_softmax
from audio_models.player import Player
from data_pipelines.datasets import numpy_batches
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.windows import cut_windows, plan_epoch
from studio.errors import NothingUsable, WrongUsage
from studio.floors import (
    COUNTED_TOKENS,
    EVALUATION_LENGTH,
    HELD_OUT_TOKENS,
    count_notes,
    is_held_out,
    window_of,
)
from studio.gather import gather

ADVICE = "; name a folder of music to evaluate it on."
BATCH_TOKENS = 8192  # weighed at once: attention over more would fill the memory
USUAL_ORDER = 6  # of the n-gram, where a bundle does not say which suited its data


@dataclass(frozen=True)
class Piece:
    """A real piece: ids int32 (T,), its name, how long its file says that it lasts."""

    ids: np.ndarray
    name: str
    seconds: float
    digest: str = ""


@dataclass(frozen=True)
class Music:
    """The real music that a model is held against.

    Args:
        held_out: list of `Piece`, what it is weighed on.
        train: list of `Piece`, what it learnt from; empty where that is not at hand.
        counted: list of `Piece`, what the n-gram counts.
        told: dict, what people have to know about it, for the report.
    """

    held_out: list
    train: list
    counted: list
    told: dict = field(default_factory=dict)


def own_music(bundle, name, *, advice=ADVICE, on_progress=None):
    """The music a bundle was trained on, split as it was then.

    Args:
        bundle: `Bundle`.
        name: str, what to call it.
        advice: str, how the sentence ends that says that it is not at hand.
        on_progress: as for `studio.gather.gather`.

    Raises:
        NothingUsable: if it is not at hand, or is not what it was.
    """
    away = f"{name}: its own music is not at hand"
    folder, corpora = music_named(bundle.facts)
    if folder is None and not corpora:
        raise NothingUsable(f"{away} (it does not say what it learnt from){advice}")
    if folder is not None and not folder.exists():
        raise NothingUsable(f"{away} (no such folder here: {folder}){advice}")
    try:
        dataset = gather(folder, corpora, **_as_then(bundle), on_progress=on_progress)
    except (NothingUsable, WrongUsage, ValueError) as error:
        raise NothingUsable(f"{away} ({str(error).rstrip('.')}){advice}") from None
    found = {split: counts["pieces"] for split, counts in dataset.counts.items()}
    was = table_of(bundle.facts, "pieces")
    if dataset.tokenizer.spec() != bundle.vocabulary or found != was:
        raise NothingUsable(
            f"{name}: its music is not what it was ({_counts(was)} then, "
            f"{_counts(found)} now), so that what was held back is not known{advice}"
        )
    is_apart = is_held_out(dataset)
    train = _pieces(dataset, "train", COUNTED_TOKENS)
    held_out = _pieces(dataset, "test", HELD_OUT_TOKENS) if is_apart else train
    if not held_out:
        raise NothingUsable(f"{name}: no piece was held back to test on{advice}")
    told = {
        "of": "the test split of its own data" if is_apart else "its training music",
        "is_held_out": is_apart,
        "kin": "tunes that share much of their melody are in one split"
        if is_apart
        else "too few tunes to hold any back: these figures say nothing of new music",
        "corpora": list(corpora),
        "training_pieces": dataset.counts["train"]["pieces"],
        "training_pieces_read": len(train),
    }
    return Music(held_out, train, train, told)


def _as_then(bundle):
    """How the music of a bundle is read, as arguments of `gather`."""
    return {
        "tokenizer": tokenizer_from_spec(bundle.vocabulary),
        "reading": table_of(bundle.facts, "reading"),
    }


def folder_music(bundle, name, folder, *, on_progress=None):
    """The music of a folder; that of the training beside it, where it is at hand.

    Raises:
        WrongUsage, NothingUsable: as `gather`.
    """
    folder = Path(folder)
    if not folder.exists():
        raise WrongUsage(f"No such file or folder: {folder}")
    dataset = gather(folder, **_as_then(bundle), on_progress=on_progress)
    if dataset.tokenizer.spec() != bundle.vocabulary:
        raise NothingUsable(
            f"{name} has a vocabulary of its own, into which {folder} is not encoded yet."
        )
    parts = {
        split: _pieces(dataset, split, HELD_OUT_TOKENS) for split in dataset.counts
    }
    every = [piece for part in parts.values() for piece in part]
    told = {"of": f"the folder {folder.name or folder.resolve().name}"}
    told["is_held_out"] = None
    try:
        own = own_music(bundle, name, advice=".")
    except NothingUsable as error:
        told["kin"] = "its kinship to the training music is not known"
        told["training"] = str(error)
        told["training_pieces"] = told["training_pieces_read"] = 0
        if not is_held_out(dataset):
            return Music(every, [], [], told)
        told["of"] += ", its valid and test splits; the floors count its train split"
        return Music(parts["valid"] + parts["test"], [], parts["train"], told)
    known = {piece.digest for piece in own.train}
    new = [piece for piece in every if piece.digest not in known]
    twins = len(every) - len(new)
    told["kin"] = (
        f"{twins} of {len(every)} pieces stand note for note in the training music and "
        "are left out; no other kinship is sought"
    )
    if not new:
        raise NothingUsable(f"{folder}: every piece of it was trained on.")
    names = ("corpora", "training_pieces", "training_pieces_read")
    told |= {key: own.told[key] for key in names}
    return Music(new, own.train, own.train, told)


def music_named(facts):
    """(folder or None, names of corpora) of the command that made a bundle."""
    try:  # a bundle may say anything; shlex would read stdin for what is no str
        words = shlex.split(str(facts.get("command", "")))[2:]
    except ValueError:
        return None, []
    corpora = [b for a, b in itertools.pairwise(words) if a == "--corpus"]
    folder = Path(words[0]) if words and not words[0].startswith("--") else None
    return folder, corpora


def table_of(facts, name):
    """A table among a bundle's facts; an empty one where there is something else."""
    table = facts.get(name)
    return table if isinstance(table, dict) else {}


def _pieces(dataset, split, most_tokens):
    rows = sorted(dataset.about(split), key=lambda row: (row["shard"], row["record"]))
    step = max(1, -(-dataset.counts[split]["tokens"] // most_tokens))
    every = zip(rows, dataset.pieces(split), strict=True)
    return [
        Piece(ids, row["name"], row["facts"].get("seconds", 0.0), row["digest"])
        for number, (row, ids) in enumerate(every)
        if number % step == 0
    ]


def _counts(counts):
    return ", ".join(f"{n} {name}" for name, n in counts.items()) or "unknown"


def nats_of_pieces(bundle, pieces, tokenizer):
    """What each piece costs a model: what `studio.floors.nats_per_note` adds up.

    Args:
        bundle: `Bundle`.
        pieces: list of int arrays, each from its BOS.
        tokenizer: whose they are.

    Returns:
        float64 array (pieces,), nats over all real tokens; BOS is not predicted.
    """
    architecture = bundle.architecture
    weights = Player(architecture, bundle.weights).weights
    order = np.argsort([len(piece) for piece in pieces], kind="stable")
    by_length = [pieces[number] for number in order]
    length, head = window_of(architecture, EVALUATION_LENGTH)
    windows = cut_windows(by_length, tokenizer, length=length, head=head)
    begins = np.cumsum([0, *map(len, by_length)])
    plan = plan_epoch(windows, batch_size=32, seed=0, epoch=0, shuffle=False)
    nats = np.zeros(len(pieces))
    for batch, (x, y, mask) in zip(plan, numpy_batches(windows, plan), strict=True):
        rows = max(1, BATCH_TOKENS // x.shape[1])
        for first in range(0, len(x), rows):
            part = slice(first, first + rows)
            if not mask[part].any():
                continue
            logits, _ = architecture.forward(numpy_ops, weights, x[part])
            every = log_softmax(np.asarray(logits, dtype="float32"))
            chosen = np.take_along_axis(every, y[part][..., None], axis=-1)[..., 0]
            cost = -(chosen * mask[part]).sum(axis=1, dtype=np.float64)
            own = windows.pieces[batch.rows[part]]
            place = np.searchsorted(begins, own, side="right") - 1
            np.add.at(nats, order[place], cost)
    return nats


def held_out_figures(bundle, music):
    """Nats per note and bits per second of the model and of its floors, as a dict."""
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    pieces = [piece.ids for piece in music.held_out]
    notes = count_notes(pieces, tokenizer)
    seconds = sum(piece.seconds for piece in music.held_out)
    nats = nats_of_pieces(bundle, pieces, tokenizer)
    totals = {"model": float(nats.sum())}
    kind = None
    if counted := [piece.ids for piece in music.counted]:
        order, in_every_key = _ngram_kind(bundle.facts, tokenizer)
        kind = f"order {order}, {'in every key' if in_every_key else 'as written'}"
        note_ids = tokenizer.vocabulary.ids("pitch") if in_every_key else None
        size = tokenizer.vocab_size
        floors = {
            "ngram": NGram(size, order, note_ids),
            "unigram": NGram(size, 0),
            "copy": Copy(size),
        }
        for name, floor in floors.items():
            floor.fit(counted)
            rows = (floor.log_probabilities(ids)[-1].sum() for ids in pieces)
            totals[name] = -float(sum(rows))
    return {
        **music.told,
        "pieces": len(pieces),
        "tokens": sum(len(ids) - 1 for ids in pieces),
        "notes": notes,
        "seconds": round(seconds, 1),
        "ngram_kind": kind,
        "figures": {
            name: {
                "nats_per_note": total / notes,
                "bits_per_second": total / math.log(2) / seconds if seconds else None,
            }
            for name, total in totals.items()
        },
        "told_in_training": table_of(bundle.facts, "test").get("model"),
        "piece_nats_per_note": [
            round(float(cost) / count_notes([ids], tokenizer), 4)
            for cost, ids in zip(nats, pieces, strict=True)
        ],
    }


def _ngram_kind(facts, tokenizer):
    # The kind that suited the valid split: nothing is chosen on what is measured.
    kind = str(table_of(facts, "held_out").get("ngram_kind", ""))
    found = re.fullmatch(r"order (\d{1,2}), (in every key|as written)", kind)
    has_one_pitch = tokenizer.name in ("melody", "chorale")
    if not found:
        return USUAL_ORDER, has_one_pitch
    return min(16, int(found[1])), found[2] == "in every key" and has_one_pitch

"""A folder of sounds, each with its class -> a network that tells them apart.

Nothing that is tested on took part: copies are found by their samples and count once,
the weights are chosen on one part of the sounds and measured on another.
"""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from audio_models import classify as models
from audio_models.bundle import (
    BadBundle,
    Bundle,
    check_replaceable,
    halved,
    load_bundle,
    save_bundle,
)
from data_pipelines.features import (
    LogMel,
    NotEnough,
    augmented,
    given_part,
    read_sounds,
    share_out,
    waveform_of,
)
from data_pipelines.guard import Refused
from studio.errors import NothingUsable, WrongUsage

KINDS = ("vit", "bilstm")
HIGHEST_RATE = 16_000  # Hz that a classifier listens at
FRAME_SECONDS = 0.016
LEAST_FRAMES, MOST_FRAMES = 16, 256
NUM_BANDS = 48


@dataclass(frozen=True)
class Heard:
    """The sounds of a folder as a network takes them.

    Args:
        classes: tuple of str, sorted.
        features: `LogMel`.
        frames: float32 array (N, T, M). labels: int array (N,), places in `classes`.
        parts: array of str (N,), "train", "valid" or "test".
        names: tuple of str, the files, relative to the folder.
        split: str, one of `SPLITS`.
        refused: tuple of (name, sentence), files that are not used.
    """

    classes: tuple[str, ...]
    features: LogMel
    frames: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    names: tuple[str, ...]
    split: str
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """How often a classifier was right, beside what has learnt nothing, or little.

    ``majority`` says the class that training met most often; ``centroid`` the one whose
    mean log-mel vector is nearest. All three are shares of the same sounds.
    """

    count: int
    right: int
    majority: float
    centroid: float | None
    confusion: np.ndarray  # (K, K), rows are the truth

    @property
    def accuracy(self):
        return self.right / self.count

    @property
    def interval(self):
        """(low, high): 95% by Wilson."""
        return models.wilson_interval(self.right, self.count)

    def by_class(self):
        """Rows of (count, recall, precision); precision is None where never told."""
        told = self.confusion.sum(axis=0)
        for k, row in enumerate(self.confusion):
            right = int(row[k])
            precision = right / int(told[k]) if told[k] else None
            yield (
                int(row.sum()),
                right / int(row.sum()) if row.sum() else None,
                precision,
            )

    def to_json(self):
        low, high = self.interval
        return {
            "count": self.count,
            "right": self.right,
            "accuracy": round(self.accuracy, 4),
            "interval_95": [round(low, 4), round(high, 4)],
            "majority": round(self.majority, 4),
            "centroid": None if self.centroid is None else round(self.centroid, 4),
            "confusion": self.confusion.tolist(),
        }


def hear_folder(folder, *, split=None, seed=0, on_progress=None):
    """Read the sounds of a folder, share them out, and make their features.

    Args:
        folder: Path.
        split: str, as for `features.share_out`; None: "given" where there are folders
            called train, valid or test, else "content".
        seed: int, for the split.
        on_progress: function of (done, total).

    Returns:
        `Heard`.

    Raises:
        NothingUsable: if there are not two classes, or not enough files of one.
        FileNotFoundError: if there is no such folder.
    """
    try:
        files, refused = read_sounds(folder, on_progress)
        classes = tuple(sorted({file.label for file in files}))
        if split is None:
            split = "given" if any(given_part(f.name) for f in files) else "content"
        parts = share_out(files, classes, split, seed)
        rates = Counter(file.rate for file in files)
        features = listening_at(min(rates.most_common(1)[0][0], HIGHEST_RATE))
        spectrograms = [features.spectrogram(waveform_of(f.path)) for f in files]
    except (NotEnough, Refused) as error:
        raise NothingUsable(f"{folder}: {error}") from None
    lengths = [
        len(s) for s, part in zip(spectrograms, parts, strict=True) if part == "train"
    ]
    wanted = int(np.ceil(np.quantile(lengths, 0.95) / 8)) * 8
    features = replace(
        features, num_frames=int(np.clip(wanted, LEAST_FRAMES, MOST_FRAMES))
    )
    return Heard(
        classes,
        features,
        np.stack([features.fitted(s) for s in spectrograms]),
        np.array([classes.index(file.label) for file in files]),
        np.array(parts),
        tuple(file.name for file in files),
        split,
        tuple(refused),
    )


def listening_at(rate):
    """A `LogMel` at this rate: frames of about 32 ms, every 16."""
    hop = 2 ** round(np.log2(FRAME_SECONDS * rate))
    return LogMel(rate, 2 * hop, hop, NUM_BANDS)


def architecture_for(kind, num_classes, *, features=None, vocab_size=0):
    """The network of a kind, in the size that learns in minutes.

    Args:
        kind: str, one of `KINDS`. Token ids are read by "bilstm" alone.
        num_classes: int.
        features: `LogMel`, or None where it reads token ids.
        vocab_size: int, how many ids; 0 where it reads frames.
    """
    if kind not in KINDS:
        raise WrongUsage(
            f"`kind` must be one of {', '.join(KINDS)}. Received: {kind!r}"
        )
    if kind == "bilstm":
        bands = features.num_bands if features else 0
        return models.BiLSTMClassifier(num_classes, bands, vocab_size)
    if features is None:
        raise WrongUsage("Token ids are read by the kind bilstm, not by vit.")
    bands = features.num_bands
    return models.ViT(num_classes, features.num_frames, bands, patch_bands=bands)


def fit(architecture, x, labels, parts, plan, *, augment=None, watch=None):
    """Teach a classifier; keep the weights that do best on what is chosen by.

    Args:
        architecture: one of `audio_models.classify.CLASSIFIERS`, built.
        x: array (N, *input_shape), frames or ids. labels: int array (N,).
        parts: array of str (N,): "train" is learnt from, "valid" chosen by; others are
            not looked at.
        plan: `audio_models.training.Plan`.
        augment: function of (batch, NumPy generator) giving a batch, or None.
        watch: as for `training.train`.

    Returns:
        (dict of name -> float32 array, `training.Progress`). Same seed, same weights.
    """
    from audio_models.network import Network
    from audio_models.numpy_ops import log_softmax
    from audio_models.training import train

    x, labels, parts = np.asarray(x), np.asarray(labels, "int32"), np.asarray(parts)
    learnt, chosen = np.flatnonzero(parts == "train"), parts == "valid"
    size = plan.batch_size
    steps = -(-len(learnt) // size)

    def train_epoch(epoch, skip):
        rng = np.random.default_rng([plan.seed, epoch])
        order = rng.permutation(learnt)
        for step in range(steps):
            rows = order[step * size : (step + 1) * size]
            mask = np.arange(size) < len(rows)  # every batch has one shape
            rows = np.resize(rows, size)
            batch = augment(x[rows], rng) if augment else x[rows]
            if step >= skip:
                yield batch, labels[rows], mask.astype("float32")

    def held_out_nats(network):
        weights = network.named_weights()
        logits = models.logits_of(architecture, weights, x[chosen])
        told = log_softmax(logits)[np.arange(len(logits)), labels[chosen]]
        return -float(told.mean(dtype="float64"))

    network = Network(architecture, seed=plan.seed)
    progress = train(network, plan, train_epoch, steps, held_out_nats, watch=watch)
    return network.named_weights(), progress


def judge(architecture, weights, x, labels, parts, part="test"):
    """Measure a classifier on one part: a `Verdict`."""
    x, labels, parts = np.asarray(x), np.asarray(labels), np.asarray(parts)
    train, test = parts == "train", parts == part
    told = models.logits_of(architecture, weights, x[test]).argmax(axis=1)
    truth = labels[test]
    usual = np.bincount(labels[train]).argmax()
    centroid = None
    if x.ndim == 3:
        near = models.nearest_centroid(_means(x[train]), labels[train], _means(x[test]))
        centroid = float((near == truth).mean())
    return Verdict(
        len(truth),
        int((told == truth).sum()),
        float((truth == usual).mean()),
        centroid,
        models.confusion_matrix(truth, told, architecture.num_classes),
    )


def _means(frames):
    """The mean log-mel vector of each sound, over the frames that hold something."""
    real = frames.max(axis=-1, keepdims=True) > 0
    return frames.sum(axis=1) / np.maximum(real.sum(axis=1), 1)


@dataclass(frozen=True)
class SoundClassifier:
    """A classifier of sounds, opened: its bundle, its classes and its ears."""

    bundle: Bundle
    classes: tuple[str, ...]
    features: LogMel

    def tell(self, path):
        """What a file is: (class, probability) of each class, the likeliest first.

        Raises:
            NothingUsable: if the file is no sound that can be read, or silent.
        """
        try:
            frames = self.features(waveform_of(path))
        except Refused as refusal:
            raise NothingUsable(f"{path}: {refusal}".rstrip(".") + ".") from None
        if not frames.any():
            raise NothingUsable(f"{path}: silence.")
        chances = models.probabilities(
            self.bundle.architecture, self.bundle.weights, frames[None]
        )[0]
        order = np.argsort(-chances, kind="stable")
        return [(self.classes[k], float(chances[k])) for k in order]


def train_classifier(heard, kind, plan, output, *, source, command, watch=None):
    """Train on the sounds of a folder, measure on those held out, and write a folder.

    Args:
        heard: `Heard`. kind: str, one of `KINDS`. plan: `audio_models.training.Plan`.
        output: Path of the folder. source, command: str, for the card.
        watch: as for `training.train`.

    Returns:
        (`Bundle`, `Verdict` on the test sounds).
    """
    check_replaceable(output)
    architecture = architecture_for(kind, len(heard.classes), features=heard.features)
    weights, progress = fit(
        architecture,
        heard.frames,
        heard.labels,
        heard.parts,
        plan,
        augment=augmented,
        watch=watch,
    )
    weights = halved(weights)
    parts = {
        part: judge(
            architecture, weights, heard.frames, heard.labels, heard.parts, part
        )
        for part in ("valid", "test")
    }
    facts = {
        "kind": kind,
        "sources": [source],
        "command": command,
        "split": heard.split,
        "sounds": dict(Counter(heard.parts.tolist())),
        "refused": len(heard.refused),
        "plan": asdict(plan),
        "steps": progress.step,
        "valid": parts["valid"].to_json(),
        "test": parts["test"].to_json(),
    }
    vocabulary = {
        "kind": "classes",
        "classes": list(heard.classes),
        "features": heard.features.spec(),
    }
    bundle = Bundle(architecture, weights, vocabulary, facts)
    bundle = replace(bundle, card=_card(output, bundle, parts["test"]))
    save_bundle(output, bundle, half=True)
    return bundle, parts["test"]


def open_classifier(folder):
    """Open the folder of a classifier; nothing in it is run.

    Raises:
        WrongUsage: if there is no such folder.
        NothingUsable: if it is damaged, or no classifier of sounds.
    """
    if not Path(folder).is_dir():
        raise WrongUsage(
            f"No classifier is called {str(folder)!r}: give the path of a folder that "
            "`etude classify FOLDER -o my.classifier` wrote."
        )
    try:
        bundle = load_bundle(folder)
    except BadBundle as error:
        raise NothingUsable(str(error)) from None
    if bundle.model_name not in models.CLASSIFIERS:
        raise NothingUsable(
            f"{folder} holds a model called {bundle.model_name!r}, which tells no "
            "classes."
        )
    try:
        classes = tuple(map(str, bundle.vocabulary["classes"]))
        features = LogMel(**bundle.vocabulary["features"])
    except (KeyError, TypeError, ValueError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else error
        raise NothingUsable(f"{folder} is no sound classifier: {told}.") from None
    sizes = asdict(bundle.architecture)
    heard = features.spec()
    if any(
        sizes.get(name, heard[name]) != heard[name]
        for name in ("num_frames", "num_bands")
    ):
        raise NothingUsable(f"{folder}: network and features differ in size.")
    if not len(set(classes)) == len(classes) == sizes["num_classes"]:
        raise NothingUsable(f"{folder}: network and classes differ in number.")
    return SoundClassifier(bundle, classes, features)


def _card(output, bundle, verdict):
    low, high = verdict.interval
    facts = bundle.facts
    sounds = facts["sounds"]
    return f"""# {Path(output).name}

Tells {len(bundle.vocabulary["classes"])} classes of sounds apart: \
{", ".join(bundle.vocabulary["classes"])}.

- Network: {bundle.model_name}, {sum(w.size for w in bundle.weights.values()):,} weights
- Data: {", ".join(facts["sources"])}; {sounds["train"]:,} sounds learnt from, \
{sounds["valid"]:,} chosen by, {sounds["test"]:,} tested on (split: {facts["split"]}, \
seed {facts["plan"]["seed"]})
- Accuracy on test: {verdict.accuracy:.1%} ({verdict.right} of {verdict.count}; 95%: \
{low:.1%} to {high:.1%}); majority {verdict.majority:.1%}, nearest centroid \
{verdict.centroid:.1%}
- Made by: `{facts["command"]}`
"""

"""Several new pieces from one wish, and which of them is most like the real ones."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from audio_models import COUNTED
from audio_models.expectation import expectations
from data_pipelines import measures
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.vocabulary import BOS
from studio.compose import compose
from studio.diagnose import faults
from studio.floors import count_notes
from studio.freely import first_bars
from studio.surprise import held_out_nats

MOST_TAKES = 64
MEASURED_BARS = 16  # real music is heard as far: many measures grow with the length
# Name -> (in words, function of a score). What an ear compares first, a number each.
MEASURES = {
    "notes_a_bar": ("notes a bar", measures.notes_a_bar),
    "pitch_range": ("range, semitones", measures.pitch_range),
    "scale_share": ("in one scale", measures.scale_share),
    "groove_consistency": ("rhythm kept", measures.groove_consistency),
    "repeated_bar_share": ("bars repeated", measures.repeated_bar_share),
    "rest_share": ("silent", measures.rest_share),
}
LEAST_DEVIATION = 1e-3
# Where a bundle was trained before its corpus was measured: of its nats a note this
# share counts as one deviation (0.22 among 51 held-out tunes of the shipped model), of
# the bars that repeat so much.
USUAL_SPREAD = 0.22
USUAL_DEVIATIONS = {"repeated_bar_share": 0.2}


@dataclass(frozen=True)
class Take:
    """One of several pieces.

    ``nats_per_note`` is what the model says of it, at temperature 1, every real token
    counted; ``oddness`` how far that lies from real music held out, ``distance`` how far
    the measures do, both in deviations.
    """

    seed: int
    piece: object
    nats_per_note: float
    measures: dict
    faults: tuple
    oddness: float
    distance: float

    @property
    def order(self):
        """The smaller, the earlier: faults first, then both distances in equal parts."""
        return len(self.faults), self.oddness + self.distance, self.seed


def compose_takes(bundle, wish, count, *, training=None, on_progress=None):
    """Compose pieces from the seeds ``wish.seed``, ``wish.seed + 1`` and so on.

    Args:
        bundle: `Bundle`. wish: `compose.Wish`.
        count: int in 1..64.
        training: `originality.Training`, to name what is copied from it; or None.
        on_progress: callable of (pieces done, pieces in all), or None.

    Returns:
        list of `Take`, by seed. Each piece is what its seed alone gives.

    Raises:
        ValueError: if the count or a wish lies outside its range.
    """
    if not 1 <= count <= MOST_TAKES:
        raise ValueError(f"`count` must be in 1..{MOST_TAKES}. Received: {count}")
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    takes = []
    for number in range(count):
        one = replace(wish, seed=wish.seed + number)
        piece = compose(bundle, one)
        takes.append(weighed(bundle, tokenizer, piece, one, training))
        if on_progress:
            on_progress(number + 1, count)
    return takes


def weighed(bundle, tokenizer, piece, wish, training=None):
    """The `Take` of a `compose.Composition`."""
    found = expectations(bundle.architecture, bundle.weights, piece.ids)
    nats = float(found.nats.sum()) / count_notes([piece.ids], tokenizer)
    typical = typical_of(bundle.facts)
    measured = measures_of(piece.score)
    return Take(
        seed=wish.seed,
        piece=piece,
        nats_per_note=nats,
        measures=measured,
        faults=tuple(faults_of(piece, tokenizer, wish, training)),
        oddness=_distance({"nats_per_note": nats}, typical),
        distance=_distance(measured, typical),
    )


def training_in(bundle):
    """The music that a bundle holds itself, as an n-gram does; None where it does not.

    A network keeps none: `etude evaluate` looks for its data, and for copies there.
    """
    if bundle.model_name not in COUNTED:
        return None
    from studio.originality import Training

    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    tokens = np.asarray(bundle.weights["tokens"]).astype(np.int64)
    pieces = np.split(tokens, np.flatnonzero(tokens == BOS)[1:])
    return Training(tokenizer.decode(ids) for ids in pieces)


def faults_of(piece, tokenizer, wish, training=None):
    """The `diagnose.Fault`s of a `compose.Composition` as it is written down.

    What was asked for is none: few notes where a density was, high ones where a range.
    """
    ids = piece.ids
    if len(piece.score):  # moved to its key, and cut after the bars asked for
        with suppress(ValueError):
            ids = tokenizer.encode(piece.score)
    copied = training.copied(piece.score) if training else None
    bars = None if wish.seconds else wish.bars
    asked = {"sparse": wish.density, "range": wish.pitch_range}
    found = faults(ids, tokenizer, copied=copied, bars=bars)
    return [fault for fault in found if asked.get(fault.kind) is None]


def ranked(takes):
    """The takes, the one nearest to real music first.

    Not by the likeliest: the less happens, the likelier a piece is. What counts is how
    far its nats a note lie from those of held-out music, to either side, and its measures
    from the corpus's.
    """
    return sorted(takes, key=lambda take: take.order)


def measures_of(score):
    """`MEASURES` of a score: dict of name -> float, NaN where there is nothing to say."""
    if not len(score):
        return dict.fromkeys(MEASURES, float("nan"))
    return {name: float(measure(score)) for name, (_, measure) in MEASURES.items()}


def corpus_measures(scores, nats_per_note=()):
    """What is typical of a corpus: for a bundle's ``facts["measures"]``.

    Args:
        scores: iterable of `Score`; their first 16 bars are measured.
        nats_per_note: floats, what the trained model gave to held-out pieces, one each.

    Returns:
        dict of JSON: name -> {"mean", "deviation"}.
    """
    rows = {name: [] for name in MEASURES}
    for score in scores:
        for name, value in measures_of(first_bars(score, MEASURED_BARS)).items():
            rows[name].append(value)
    rows["nats_per_note"] = list(nats_per_note)
    told = {}
    for name, values in rows.items():
        known = np.array(values, dtype=float)
        known = known[np.isfinite(known)]
        if len(known) > 1:
            mean, deviation = float(known.mean()), float(known.std(ddof=1))
            told[name] = {"mean": round(mean, 5), "deviation": round(deviation, 5)}
    return told


def typical_of(facts):
    """Name -> (mean, deviation) of real music, of what a bundle's facts tell."""
    typical = {}
    for name, row in (facts.get("measures") or {}).items():
        if isinstance(row, dict) and {"mean", "deviation"} <= set(row):
            typical[name] = (float(row["mean"]), float(row["deviation"]))
    if "nats_per_note" not in typical and (nats := held_out_nats(facts)):
        typical["nats_per_note"] = (nats, USUAL_SPREAD * nats)
    repeated = (facts.get("repeated_bars") or {}).get("data")
    if "repeated_bar_share" not in typical and repeated is not None:
        deviation = USUAL_DEVIATIONS["repeated_bar_share"]
        typical["repeated_bar_share"] = (float(repeated), deviation)
    return typical


def _distance(values, typical):
    """The mean distance in deviations, of what is known of both sides; 0 of nothing."""
    far = [
        abs(value - typical[name][0]) / max(typical[name][1], LEAST_DEVIATION)
        for name, value in values.items()
        if name in typical and np.isfinite(value)
    ]
    return float(np.mean(far)) if far else 0.0

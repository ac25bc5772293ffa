"""A bundle, weighed: held-out loss beside its floors, its music beside real music.

Everything runs in NumPy: nothing has to load.
"""

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata

import numpy as np

from audio_models import FILLERS
from data_pipelines import distributions, measures
from data_pipelines.tokenizers import tokenizer_from_spec
from studio.compose import MOST_BARS, Wish, compose
from studio.diagnose import of_piece
from studio.errors import NothingUsable
from studio.freely import first_bars
from studio.held_out import folder_music, held_out_figures, own_music
from studio.originality import name_sources, originality

MOST_PIECES = 1000
MOST_COMPARED = 400  # real pieces whose copied runs make the base rate
MEASURES = {  # name -> (words, function of a score, whether of the whole piece)
    "pitch_entropy": (
        "entropy of its pitch classes, bits",
        lambda s: measures.entropy_bits(measures.pitch_class_histogram(s)),
        False,
    ),
    "scale_share": ("time in its best scale", measures.scale_share, False),
    "groove": ("groove consistency", measures.groove_consistency, False),
    "polyphony": ("notes sounding at a time", measures.mean_polyphony, False),
    "notes_a_bar": ("notes in a bar", measures.notes_a_bar, False),
    "pitch_range": ("range, semitones", measures.pitch_range, False),
    "rest_share": ("share of silence", measures.rest_share, False),
    "repeated_bars": ("bars heard before", measures.repeated_bar_share, False),
    "similar_1": ("likeness of next bars", lambda s: measures.bar_similarity(s, 1), False),
    "similar_2": ("likeness 2 bars on", lambda s: measures.bar_similarity(s, 2), False),
    "similar_4": ("likeness 4 bars on", lambda s: measures.bar_similarity(s, 4), False),
    "similar_8": ("likeness 8 bars on", lambda s: measures.bar_similarity(s, 8), False),
    "notes": ("notes, the whole piece", lambda s: float(len(s)), True),
    "bars": ("bars, the whole piece", lambda s: float(s.count_bars()), True),
}  # fmt: skip
HISTOGRAMS = {
    "pitch_classes": ("pitch classes, by time", measures.pitch_class_histogram),
    "durations": ("note lengths", measures.duration_histogram),
    "intervals": ("intervals of the tune, semitones", measures.interval_histogram),
}


@dataclass(frozen=True)
class Plan:
    """How much is composed, and from which seed on."""

    pieces: int = 24
    bars: int = 16
    seed: int = 1

    def __post_init__(self):
        ranges = {
            "pieces": (2, MOST_PIECES),
            "bars": (1, MOST_BARS),
            "seed": (0, 2**31),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"`{name}` must be in {low}..{high}. Received: {getattr(self, name)}"
                )


def check_bundle(bundle, name):
    """Raise NothingUsable where there is nothing that is measured here."""
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    writes = {"text": "text", "wave": "sound as samples"}.get(tokenizer.takes)
    if writes:
        raise NothingUsable(
            f"{name} writes {writes}: etude evaluate measures notes, and has neither "
            "measures nor originality for it."
        )
    if isinstance(bundle.architecture, tuple(FILLERS.values())):
        raise NothingUsable(
            f"{name} fills gaps and cannot compose: there is nothing to measure."
        )


def composed_pieces(bundle, plan, on_progress=None):
    """The `Composition` of each seed, in order."""
    pieces = []
    for number in range(plan.pieces):
        pieces.append(compose(bundle, Wish(bars=plan.bars, seed=plan.seed + number)))
        if on_progress:
            on_progress(number + 1, plan.pieces)
    return pieces


def compared(generated, real, plan):
    """Generated scores beside real ones, measure by measure.

    Args:
        generated, real: lists of `Score`, whole.
        plan: `Plan`. Real pieces are heard as far as the generated ones go.

    Returns:
        (dict of measures, dict of histograms).
    """
    halves = distributions.halvings(len(real), plan.seed)
    halves = halves if len(real) >= 4 else []
    sides = {"generated": generated, "real": real}
    cut = {name: [first_bars(s, plan.bars) for s in of] for name, of in sides.items()}

    def beside(a, b, likeness):
        """Of generated a (pieces, ...), real b (pieces, ...): as JSON."""
        with_real = [likeness(a, b[half]) for pair in halves for half in pair]
        among_real = [likeness(b[one], b[other]) for one, other in halves]
        ours = distributions.mean_likeness(with_real or [likeness(a, b)])
        base = distributions.mean_likeness(among_real)
        return {
            **{name: _figure(value) for name, value in asdict(ours).items()},
            "real_halves": {n: _figure(value) for n, value in asdict(base).items()},
        }

    rows, histograms = {}, {}
    for name, (words, measure, is_of_whole) in MEASURES.items():
        scores = sides if is_of_whole else cut
        values = {s: np.array([measure(x) for x in scores[s]]) for s in sides}
        row = beside(values["generated"], values["real"], distributions.likeness)
        rows[name] = {"words": words, **row}
        rows[name] |= {side: _summary(values[side]) for side in sides}
    for name, (words, histogram) in HISTOGRAMS.items():
        counts = {s: np.array([histogram(x) for x in cut[s]]) for s in sides}

        def likeness(a, b):
            return distributions.histogram_likeness(a.sum(axis=0), b.sum(axis=0))

        row = beside(counts["generated"], counts["real"], likeness)
        histograms[name] = {"words": words, **row}
        for side in sides:
            total = counts[side].sum(axis=0)
            share = total / max(1.0, total.sum())
            histograms[name][side] = [round(float(value), 5) for value in share]
    return rows, histograms


def _summary(values):
    known = values[np.isfinite(values)]
    return {
        "mean": _figure(known.mean()) if len(known) else None,
        "deviation": _figure(known.std(ddof=1)) if len(known) > 1 else None,
        "values": [_figure(value) for value in values],
    }


def _figure(value):
    return round(float(value), 4) if np.isfinite(value) else None


def evaluate(bundle, name, folder=None, *, plan=None, say=None, on_progress=None):
    """All that can be said of a bundle in figures.

    Args:
        bundle: `Bundle`, sound (`studio.models.open_model`).
        name: str, what to call it.
        folder: Path of music to weigh it on, or None for its own test split.
        plan: `Plan`.
        say: callable of a line, what is being done.
        on_progress: callable of a name, gives a context of (done, total) -> None.

    Returns:
        dict, JSON. Same bundle, same music, same plan: the same.

    Raises:
        WrongUsage, NothingUsable: if there is nothing to measure, saying what.
    """
    plan, say = plan or Plan(), say or (lambda line: None)
    on_progress = on_progress or _unseen
    check_bundle(bundle, name)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    with on_progress("Reading") as progress:
        if folder is None:
            music = own_music(bundle, name, on_progress=progress)
        else:
            music = folder_music(bundle, name, folder, on_progress=progress)
    say(f"Weighing it on {len(music.held_out):,} pieces of {music.told['of']} ...")
    held_out = held_out_figures(bundle, music)
    with on_progress("Composing") as progress:
        pieces = composed_pieces(bundle, plan, progress)
    rng = np.random.default_rng([plan.seed, 11])
    drawn = rng.permutation(len(music.held_out))
    real = [_named_score(music.held_out[n], tokenizer) for n in drawn[:MOST_COMPARED]]
    say(f"Comparing {plan.pieces} new pieces with {len(real)} real ones ...")
    rows, histograms = compared(
        [piece.score for piece in pieces],
        [score for _, score in real[: 2 * plan.pieces]],
        plan,
    )
    seeds = [plan.seed + number for number in range(plan.pieces)]
    copies = None
    if music.train:
        train = [_named_score(piece, tokenizer) for piece in music.train]
        named = [(f"seed {s}", p.score) for s, p in zip(seeds, pieces, strict=True)]
        copies = originality(named, real, train, plan.bars)
        name_sources(copies, music.told["corpora"])
    wish = Wish()
    diagnoses = {
        str(seed): told
        for seed, piece in zip(seeds, pieces, strict=True)
        if (told := of_piece(piece.ids, tokenizer))
    }
    return {
        "format": 1,
        "bundle": name,
        "model": bundle.model_name,
        "tokenizer": tokenizer.name,
        "held_out": held_out,
        "generated": {
            "pieces": plan.pieces,
            "seeds": seeds,
            "bars": plan.bars,
            "temperature": wish.temperature,
            "top_p": wish.top_p,
            "diagnoses": diagnoses,
        },
        "real_pieces": min(len(real), 2 * plan.pieces),
        "measures": rows,
        "histograms": histograms,
        "originality": copies,
        "versions": {n: metadata.version(n) for n in ("etude", "numpy")},
    }


@contextmanager
def _unseen(_):
    yield None


def _named_score(piece, tokenizer):
    return piece.name, tokenizer.decode(piece.ids)

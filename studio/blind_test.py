"""Real or generated? Pieces to tell apart by ear, and what a listener's score says.

Both kinds are made alike, so that only the notes differ: as many bars, cut where the
piece goes on, of one metre and tempo, one instrument, the same accents.
"""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.classify import wilson_interval
from data_pipelines.score import Tempo
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import METRES, steps_in_bar
from studio.compose import compose, with_accents
from studio.errors import NothingUsable, WrongUsage
from studio.freely import first_bars
from studio.wish import Wish

COUNTS, BARS = (2, 40), (2, 32)
GOES_ON = 4  # bars that follow where an excerpt is cut, so that no ending tells


@dataclass(frozen=True)
class Trial:
    """One thing to hear: a `Score`, whether a person wrote it, and what it is."""

    score: object
    is_real: bool
    name: str


def blind_trials(bundle, pieces, *, count=10, bars=8, seed=0, on_progress=None):
    """Excerpts of real pieces and of new ones, half and half, in random order.

    Args:
        bundle: `Bundle` of a model of notes.
        pieces: list of `held_out.Piece`, that the model did not learn from.
        count: int in 2..40, even. bars: int in 2..32, of each excerpt. seed: int.
        on_progress: callable of (excerpts done, in all), or None.

    Returns:
        tuple of `Trial`. Same bundle, pieces and arguments: the same trials.

    Raises:
        WrongUsage: if a number lies outside its range.
        NothingUsable: if too few real pieces are long enough.
    """
    check_blind(count, bars)
    rng = np.random.default_rng(seed)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    real = _real_scores(pieces, tokenizer, count // 2, bars, rng)
    names_metre = hasattr(tokenizer, "metre_id") or tokenizer.name == "remi"
    trials = []
    for number, (name, score) in enumerate(real):
        metre = _known(score.metre) if names_metre else None
        wish = Wish(bars=bars + GOES_ON, seed=seed + number, metre=metre)
        composed = compose(bundle, wish).score
        new = f"composed, seed {wish.seed}"
        trials += [
            Trial(_alike(score, composed, bars), True, name),
            Trial(_alike(composed, composed, bars), False, new),
        ]
        if on_progress:
            on_progress(len(trials), count)
    return tuple(trials[number] for number in rng.permutation(count))


def check_blind(count, bars):
    """Raise WrongUsage if a number lies outside its range."""
    for name, value, (low, high) in (("count", count, COUNTS), ("bars", bars, BARS)):
        if not low <= value <= high:
            raise WrongUsage(f"`{name}` must be in {low}..{high}. Received: {value}")
    if count % 2:
        raise WrongUsage(f"`count` must be even, half real. Received: {count}")


def _real_scores(pieces, tokenizer, wanted, bars, rng):
    """(name, `Score`) of as many real pieces, each with music after the excerpt.

    Of one metre, and that one can be asked of the model: else bar lines would tell.
    """
    found = []
    for number in rng.permutation(len(pieces)):
        score = tokenizer.decode(pieces[number].ids)
        goes_on = len(score.bar_ticks()) - 1 > bars and len(first_bars(score, bars))
        if goes_on and len(score.metres) <= 1 and _known(score.metre):
            found.append((pieces[number].name, score))
        if len(found) == wanted:
            return found
    raise NothingUsable(
        f"Of {len(pieces)} pieces held out only {len(found)} are longer than {bars} "
        f"bars and keep one metre; {wanted} are wanted: ask for fewer (--count), or for "
        "shorter ones (--bars)."
    )


def _known(metre):
    return str(metre) if str(metre) in METRES else None


def _alike(score, composed, bars):
    """The first bars, in the tempo and on the instruments of what was composed."""
    cut = first_bars(score, bars)
    cut = replace(cut, tempos=(Tempo(0, float(composed.qpm)),), keys=(), title="")
    if len(cut.tracks) == len(composed.tracks):
        cut = replace(cut, tracks=composed.tracks)
    if len(set(cut.notes["velocity"].tolist())) < 4:  # tokens that hold no loudness
        cut = with_accents(cut, steps_in_bar(_known(cut.metre) or "4/4"))
    return cut


def verdict(right, count):
    """What a score says of the listener and of the music: one sentence or two.

    Args:
        right: int, how many were told rightly. count: int, of how many.
    """
    low, high = wilson_interval(right, count)
    told = (
        f"{right} of {count} right, {right / count:.0%} (95% interval {low:.0%} to "
        f"{high:.0%}). "
    )
    if low > 0.5:
        return told + "You can tell them apart: chance, 50%, lies below the interval."
    if high < 0.5:
        return told + "You took one kind for the other, more often than chance does."
    return told + (
        "Chance, 50%, lies within the interval: this test does not show that you can "
        "tell them apart. More pieces would narrow it."
    )

"""Composing with a model that hears what is given ahead: the length is kept, and the end.

All that such a model writes is a filling of blanks: a whole piece of known length, the
bars of a gap, three voices under a melody.
"""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.anticipation import BLANK, AnticipationLSTM
from audio_models.particles import fill
from audio_models.player import InformedPlayer, Player
from audio_models.scoring import token_log_probabilities
from data_pipelines.measures import likely_key
from data_pipelines.tokenizers.melody import steps_in_bar
from data_pipelines.vocabulary import BOS, EOS
from data_pipelines.voice_leading import RANGES
from studio.diagnose import longest_loop
from studio.led import sheet_of
from studio.wish import parse_key, parse_range, scale_of

# The first voice's tokens of an upbeat, in sixteenths, where one is usual.
UPBEATS = {"4/4": 4, "2/2": 4, "3/4": 4, "2/4": 2, "6/8": 2, "9/8": 2, "12/8": 2}
UPBEAT_SHARE = {"melody": 0.4, "chorale": 0.5}  # of pieces begin with one
EXPECTED_END = 0.2  # the least probability of an end that sounds like one
ROUNDS = 4  # how often the density of notes is set anew
BELOW = {"Alto": 7, "Tenor": 14, "Bass": 24}  # semitones under the range of the top


def is_guided(bundle):
    """Whether a bundle's model hears what is given ahead."""
    return isinstance(bundle.architecture, AnticipationLSTM)


@dataclass(frozen=True)
class Drawn:
    """One piece: ids (T,) from BOS to EOS, and the nats of what was free in it."""

    ids: np.ndarray
    nats: float
    notes: int
    end_probability: float

    @property
    def nats_per_note(self):
        return self.nats / max(1, self.notes)


def player_of(bundle, prefix, sheet, *, ends=True, spare=0):
    """A `Player` of a bundle; one that hears ahead is told what a sheet gives.

    Args:
        prefix: int array (P,), BOS and the metre first.
        sheet: `particles.Sheet`. ends: bool, whether the music ends where it does;
        ``spare``, how many steps of it lie behind that end.
    """
    if not is_guided(bundle):
        return Player(bundle.architecture, bundle.weights)
    ids = np.concatenate([prefix, sheet.with_blanks(BLANK)])
    voices = bundle.architecture.num_voices
    steps = (len(ids) - 2 - (ids[-1] == EOS)) // voices
    return InformedPlayer(
        bundle.architecture,
        bundle.weights,
        ids[:2],
        ids[2 : 2 + steps * voices].reshape(-1, voices),
        steps - spare if ends else 0,
    )


def notes_among(bundle, tokenizer):
    """Which tokens temperature and filters are minded among: notes, or all (None)."""
    if not is_guided(bundle):
        return None
    return tokenizer.is_note(np.arange(tokenizer.vocab_size))


def reweighed(bundle, prefix, takes, seed=0):
    """Weigh takes that heard ahead by what the same network thinks of the whole.

    Each was drawn from q, that of a network that is told what comes; what it should
    follow is p, that of one that reads on and finds out, given all that is fixed. So it
    weighs p / q (importance sampling): a filling that leads well into what comes after
    it gains.

    Args:
        prefix: int array (P,), what stands before. takes: `particles.Filled`, drawn
        with ``copies=False``.

    Returns:
        `particles.Filled`, its ``shares`` and ``chosen`` anew.
    """
    rows = np.concatenate([np.tile(prefix, (len(takes.ids), 1)), takes.ids], axis=1)
    nats = token_log_probabilities(bundle.architecture, bundle.weights, rows)
    alone = nats[:, len(prefix) - 1 :].sum(axis=1)
    weight = np.log(np.maximum(takes.shares, 1e-300)) + alone
    weight = weight - takes.log_probability.sum(axis=1)
    shares = np.exp(weight - weight.max())
    shares /= shares.sum()
    uniform = np.random.default_rng([seed, len(shares), 2]).random()
    chosen = int(np.searchsorted(np.cumsum(shares), uniform))
    return replace(takes, shares=shares, chosen=min(chosen, len(shares) - 1))


def filled(bundle, tokenizer, metre, tokens, wish, *, allowed=None, note_bias=0.0):
    """Fill what is blank in the lines of a piece.

    Args:
        bundle: `Bundle` of an `AnticipationLSTM`.
        metre: str or None, as the vocabulary names it.
        tokens: int array (steps, voices), `BLANK` where one is to be found.
        wish: `studio.wish.Wish`.
        allowed: bool array (voices, V) or None, what each voice may be given.
        note_bias: float, added to the logit of every note: more of them, or fewer.

    Returns:
        list of `Drawn`, one a take.
    """
    steps, voices = tokens.shape
    opening = np.array([BOS, tokenizer.metre_id(metre)])
    vocabulary = np.arange(tokenizer.vocab_size)
    is_note = tokenizer.is_note(vocabulary)
    blank = tokens == BLANK
    free = np.ones((voices, tokenizer.vocab_size), dtype=bool)
    free = free if allowed is None else allowed
    free = free & (vocabulary != EOS)
    may = np.where(blank[..., None], free, vocabulary == tokens[..., None])
    may = np.concatenate([may.reshape(steps * voices, -1), [vocabulary == EOS]])
    sheet = sheet_of(tokenizer, may, opening)
    takes = fill(
        player_of(bundle, opening, sheet),
        opening,
        sheet,
        particles=wish.takes,
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        min_p=wish.min_p,
        repetition=wish.repetition,
        among=is_note,
        bias=note_bias * is_note if note_bias else None,
        copies=False,
    )
    drawn = []
    for row, take in enumerate(takes.ids):
        worth = takes.log_probability[row]
        free_of_it = np.append(blank.ravel(), False)
        drawn.append(
            Drawn(
                np.concatenate([opening, take]).astype(np.int32),
                -float(worth[free_of_it].sum()),
                int(is_note[take[free_of_it]].sum()),
                float(np.exp(worth[-1])),
            )
        )
    return drawn


def compose_guided(bundle, tokenizer, wish, metre):
    """Compose one piece of exactly so many bars.

    Args:
        wish: `studio.wish.Wish`. metre: str or None.

    Returns:
        `Drawn`: of all takes one that does not loop, is in the key that was asked for,
        ends on its tonic, and is about as surprising as real music is to the model.
    """
    voices = bundle.architecture.num_voices
    bar = steps_in_bar(metre or "4/4")
    steps = wish.bars * bar
    tokens = np.full((steps, voices), BLANK)
    upbeat = UPBEATS.get(metre, 4)
    chance = np.random.default_rng([wish.seed, 11]).random()
    if chance < UPBEAT_SHARE[tokenizer.name] and wish.bars > 1 and upbeat < bar:
        rest = np.full((bar - upbeat, voices), tokenizer.hold)
        rest[0] = tokenizer.rest
        # The upbeat comes before the first bar and is taken from the last one.
        tokens = np.concatenate([rest, tokens])
    allowed = allowed_tokens(tokenizer, voices, wish)
    typical = bundle.facts.get("held_out", {}).get("model")
    bias, kept = 0.0, []
    for _ in range(1 if wish.density is None else ROUNDS):
        drawn = filled(
            bundle, tokenizer, metre, tokens, wish, allowed=allowed, note_bias=bias
        )
        kept += drawn
        if wish.density is not None:
            notes = np.mean([take.notes for take in drawn]) / (wish.bars * voices)
            bias += log_odds(wish.density / bar) - log_odds(notes / bar)
    return min(kept, key=lambda take: _badness(tokenizer, take, wish, typical, voices))


def allowed_tokens(tokenizer, voices, wish):
    """What key and range leave to each voice: bool array (voices, V), or None.

    Four voices keep to those of a choir, unless a range is asked for.
    """
    if wish.key is None and wish.pitch_range is None and voices == 1:
        return None
    pitches = np.arange(128)
    may = np.ones((voices, 128), dtype=bool)
    if wish.pitch_range is None and voices == len(RANGES):
        low, high = np.array(list(RANGES.values())).T[:, :, None]
        may = (pitches >= low) & (pitches <= high)
    if wish.key is not None:
        may &= scale_of(*parse_key(wish.key))[0][pitches % 12]
    if wish.pitch_range is not None:
        low, high = parse_range(wish.pitch_range)
        below = [0, *BELOW.values()][:voices]
        for voice, lower in enumerate(below):
            may[voice] &= (pitches >= low - lower) & (pitches <= high - lower)
    allowed = np.ones((voices, tokenizer.vocab_size), dtype=bool)
    allowed[:, list(tokenizer.vocabulary.ids("pitch"))] = may
    return allowed


def log_odds(share):
    """The logit of a share of steps, kept off 0 and 1."""
    share = min(max(share, 0.005), 0.995)
    return float(np.log(share / (1 - share)))


def _badness(tokenizer, take, wish, typical, voices):
    # Smaller is better, compared in this order.
    score = tokenizer.decode(take.ids)
    if not len(score):
        return (3, 0.0, 0, 0.0)
    key = likely_key(score)
    is_other = wish.key is not None and key != parse_key(wish.key)
    last = score.notes["start"] + score.notes["duration"]
    final = score.notes[last == last.max()]
    lowest = final[final["pitch"].argmin()]  # of a melody its last note, else the bass
    tonic = scale_of(*(parse_key(wish.key) if wish.key else key))[1]
    ends = (
        int(lowest["pitch"] % 12 == tonic)
        + int(lowest["duration"] >= score.ticks_per_quarter)
        + int(take.end_probability >= EXPECTED_END)
    )
    sparse = 0.0
    if wish.density is not None:  # to the nearest fifth
        ratio = take.notes / (wish.bars * voices * wish.density)
        sparse = abs(round(5 * float(np.log(max(ratio, 1e-3)))))
    surprise = take.nats_per_note - (typical or take.nats_per_note)
    loops = longest_loop(take.ids) is not None
    return (int(is_other) + int(loops), sparse, 3 - ends, abs(surprise))

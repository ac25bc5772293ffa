"""New music from a bundle: several takes are drawn, the one that ends best is kept."""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.measures import key_name, likely_key
from data_pipelines.score import Key
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import MelodyTokenizer, steps_in_bar
from data_pipelines.vocabulary import BOS, EOS
from studio.freely import compose_freely

TAKES = 8
# Quarter notes a minute where neither the person nor the bundle names a tempo.
USUAL_QPM = {"4/4": 160.0, "2/2": 180.0, "2/4": 100.0, "3/4": 140.0, "6/8": 165.0}
USUAL_QPM |= {"9/8": 165.0, "12/8": 165.0, "3/8": 120.0}
DEFAULT_BARS = 16
MOST_BARS = 256
OPTION_NAMES = {"qpm": "tempo", "program": "instrument"}  # as people say it
UNNAMED_METRE = "none"  # how facts count pieces that name no metre, or a rare one


@dataclass(frozen=True)
class Wish:
    """What a person asks of a composition. None leaves it to the bundle."""

    bars: int = DEFAULT_BARS
    seed: int = 0
    temperature: float = 0.9
    top_k: int | None = None
    top_p: float = 0.95
    metre: str | None = None
    qpm: float | None = None
    program: int | None = None
    takes: int = TAKES


@dataclass(frozen=True)
class Composition:
    """A new piece and how it came about.

    ``end_probability`` is what the model gave to ending where the piece ends.
    """

    score: object
    ids: np.ndarray
    metre: str | None
    qpm: float
    key: str
    end_probability: float
    nats_per_note: float


def compose(bundle, wish):
    """Compose one piece.

    Args:
        bundle: `audio_models.bundle.Bundle` of a model of scores.
        wish: `Wish`.

    Returns:
        `Composition`. Same bundle, same wish: the same notes.

    Raises:
        ValueError: if a wish lies outside its range.
    """
    check_wish(wish)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    metre = wish.metre or _usual_metre(bundle.facts, wish.seed)
    if tokenizer.name != "melody":
        score, ids, ended, nats = compose_freely(bundle, tokenizer, wish, metre)
        key = key_name(*likely_key(score))
        return Composition(score, ids, str(score.metre), score.qpm, key, ended, nats)
    metre_id = tokenizer.metre_id(metre)
    bar = steps_in_bar(metre or "4/4")
    request = Request(
        prompts=np.tile([BOS, metre_id], (wish.takes, 1)),
        max_new_tokens=(wish.bars + 1) * bar + 1,
        min_new_tokens=(wish.bars + 1) * bar + 1,  # where to end is chosen below
        grammar=tokenizer.grammar_for(bar - 1),  # a note within the first bar
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        seed=wish.seed,
    )
    generated = generate(Player(bundle.architecture, bundle.weights), request)
    row, length = choose_ending(generated, wish.bars, bar, tokenizer.rest)
    body = generated.ids[row, :length]
    whole = np.concatenate([[BOS, metre_id], body, [EOS]]).astype(np.int32)
    end_probability = float(np.exp(generated.end_log_probability[row, length]))
    qpm = wish.qpm or bundle.facts.get("usual_qpm", {}).get(metre) or _usual_qpm(metre)
    program = wish.program
    if program is None:
        program = bundle.facts.get("program", 0)
    score = tokenizer.decode(whole, qpm=qpm, program=program, velocity=90)
    score = with_accents(score, bar)
    score = in_usual_key(score, bundle.facts)
    sharps, is_minor = likely_key(score)
    score = replace(score, keys=(Key(0, sharps, is_minor),))
    notes = int(tokenizer.is_note(body).sum())
    nats = -float(generated.log_probability[row, :length].sum()) / max(1, notes)
    key = key_name(sharps, is_minor)
    return Composition(score, whole, metre, float(qpm), key, end_probability, nats)


def check_wish(wish):
    """Raise ValueError if a wish lies outside its range, naming it."""
    ranges = {
        "bars": (1, MOST_BARS),
        "takes": (1, 64),
        "temperature": (0, 10),
        "seed": (0, 2**63 - 1),
        "top_k": (1, 65_536),
        "qpm": (20, 400),
        "program": (0, 127),
    }
    for name, (low, high) in ranges.items():
        value = getattr(wish, name)
        if value is not None and not low <= value <= high:
            told = OPTION_NAMES.get(name, name)
            raise ValueError(f"`{told}` must be in {low}..{high}. Received: {value}")
    if not 0 < wish.top_p <= 1:
        raise ValueError(f"`top_p` must be in (0, 1]. Received: {wish.top_p}")
    if wish.metre is not None:
        MelodyTokenizer().metre_id(wish.metre)


def choose_ending(generated, bars, steps_per_bar, rest):
    """Which take to keep, and where to end it: where the model most expects the end.

    A take that opens with a rest begins with a pickup, which is no bar of its own.

    Args:
        generated: `Generated`, takes in rows, EOS held back.
        bars: int, how many are wanted.
        steps_per_bar: int.
        rest: int, the token of a rest.

    Returns:
        (int, int): the row, and how many of its tokens to keep. The end lies in the
        last bar.
    """
    last = bars * steps_per_bar
    last = last + steps_per_bar * (generated.ids[:, 0] == rest)  # (takes,)
    place = np.arange(generated.ids.shape[1])[None, :]
    is_in_last_bar = (place > last[:, None] - steps_per_bar) & (place <= last[:, None])
    worth = np.where(is_in_last_bar, generated.end_log_probability, -np.inf)
    row, length = np.unravel_index(int(worth.argmax()), worth.shape)
    return int(row), int(length)


def with_accents(score, steps_per_bar):
    """The same notes, the first of a bar louder, those off the beat softer."""
    notes = score.notes.copy()
    step = notes["start"] // (score.ticks_per_quarter // 4)
    is_compound = score.metre.beat_unit == 8 and score.metre.beats % 3 == 0
    beat = 6 if is_compound else 16 // score.metre.beat_unit
    place = step % steps_per_bar
    velocity = np.where(place == 0, 100, np.where(place % beat == 0, 90, 78))
    notes["velocity"] = velocity
    return replace(score, notes=notes)


def in_usual_key(score, facts):
    """The same tune, moved by at most six semitones to the nearest usual key.

    Training on every transposition leaves a model at home in all keys; its data was
    not. A key is usual if a tenth as many pieces stand in it as in the commonest.
    """
    counts = facts.get("keys") or {}
    usual = {name for name, n in counts.items() if n >= max(counts.values()) / 10}
    low, high = (int(f(score.notes["pitch"])) for f in (np.min, np.max))
    for shift in sorted(range(-6, 7), key=lambda s: (abs(s), s)):
        if low + shift >= 0 and high + shift <= 127:
            moved = score.transposed(shift)
            if not usual or key_name(*likely_key(moved)) in usual:
                return moved
    return score


def _usual_metre(facts, seed):
    metres = facts.get("metres") or {"4/4": 1}
    names = sorted(metres)
    share = np.array([metres[name] for name in names], dtype=float)
    drawn = str(np.random.default_rng([seed, 7]).choice(names, p=share / share.sum()))
    return None if drawn == UNNAMED_METRE else drawn


def _usual_qpm(metre):
    return USUAL_QPM.get(metre, 120.0)

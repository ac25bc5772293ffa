"""New music from a bundle: several takes are drawn, the one that ends best is kept."""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.measures import key_in_words, key_name, likely_key
from data_pipelines.score import Key
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.melody import steps_in_bar
from data_pipelines.tokenizers.sixteenths import STEPS_PER_QUARTER
from data_pipelines.vocabulary import BOS, EOS
from studio.freely import compose_freely
from studio.guided import (
    ROUNDS,
    allowed_tokens,
    compose_guided,
    is_guided,
    log_odds,
)
from studio.wish import MOST_BARS, OPTION_NAMES, Wish, check_wish, parse_key  # noqa: F401

# Quarter notes a minute where neither the person nor the bundle names a tempo.
USUAL_QPM = {"4/4": 160.0, "2/2": 180.0, "2/4": 100.0, "3/4": 140.0, "6/8": 165.0}
USUAL_QPM |= {"9/8": 165.0, "12/8": 165.0, "3/8": 120.0}
CHORALE_QPM = 84.0
PROGRAMS = {"chorale": 19}  # voices that can hold a chord: a church organ
UNNAMED_METRE = "none"  # how facts count pieces that name no metre, or a rare one
FARTHEST_TEMPO = 1.15  # a length in seconds may bend the tempo by so much


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
    bars: int


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
    qpm = wish.qpm or _qpm_of(bundle, tokenizer, metre)
    if wish.seconds is not None:
        wish, qpm = _in_bars(wish, metre, qpm)
    if is_guided(bundle):
        drawn = compose_guided(bundle, tokenizer, wish, metre)
        ids, ended, nats = drawn.ids, drawn.end_probability, drawn.nats_per_note
    elif tokenizer.name == "melody":
        ids, ended, nats = _compose_line(bundle, tokenizer, wish, metre)
    else:
        if wish.density is not None:
            raise ValueError(
                "`density` cannot be chosen for a model that reads note by note, only "
                f"for one on a grid. Received: {wish.density}"
            )
        score, ids, ended, nats = compose_freely(bundle, tokenizer, wish, metre)
        key = key_in_words(score)
        metre = str(score.metre)
        bars = len(score.bar_ticks()) - 1
        return Composition(score, ids, metre, score.qpm, key, ended, nats, bars)
    program = wish.program
    if program is None:
        program = bundle.facts.get("program", PROGRAMS.get(tokenizer.name, 0))
    score = tokenizer.decode(ids, qpm=qpm, program=program, velocity=90)
    score = with_accents(score, steps_in_bar(metre or "4/4"))
    if tokenizer.name == "melody" and wish.key is None and wish.pitch_range is None:
        score = in_usual_key(score, bundle.facts)
    sharps, is_minor = likely_key(score)
    if wish.key is not None:
        sharps, is_minor = parse_key(wish.key)
    score = replace(score, keys=(Key(0, sharps, is_minor),))
    key = key_name(sharps, is_minor)
    return Composition(score, ids, metre, float(qpm), key, ended, nats, wish.bars)


def _compose_line(bundle, tokenizer, wish, metre):
    """(ids, probability of the end, nats per note) of one melody."""
    metre_id = tokenizer.metre_id(metre)
    bar = steps_in_bar(metre or "4/4")
    allowed = allowed_tokens(tokenizer, 1, wish)
    if allowed is not None:
        allowed = allowed[0]
    bias = None
    for _ in range(1 if wish.density is None else ROUNDS):
        request = Request(
            prompts=np.tile([BOS, metre_id], (wish.takes, 1)),
            max_new_tokens=(wish.bars + 1) * bar + 1,
            min_new_tokens=(wish.bars + 1) * bar + 1,  # where to end is chosen below
            grammar=tokenizer.grammar_for(bar - 1),  # a note within the first bar
            temperature=wish.temperature,
            top_k=wish.top_k,
            top_p=wish.top_p,
            min_p=wish.min_p,
            repetition=wish.repetition,
            repetition_of=tokenizer.is_note(np.arange(tokenizer.vocab_size)),
            allowed_tokens=allowed,
            bias=bias,
            seed=wish.seed,
        )
        generated = generate(Player(bundle.architecture, bundle.weights), request)
        if wish.density is None:
            break
        is_note = tokenizer.is_note(np.arange(tokenizer.vocab_size))
        notes = is_note[generated.ids].sum() / generated.ids.size * bar
        bias = np.zeros(len(is_note)) if bias is None else bias
        bias = bias + is_note * (log_odds(wish.density / bar) - log_odds(notes / bar))
    row, length = choose_ending(generated, wish.bars, bar, tokenizer.rest)
    body = generated.ids[row, :length]
    whole = np.concatenate([[BOS, metre_id], body, [EOS]]).astype(np.int32)
    end_probability = float(np.exp(generated.end_log_probability[row, length]))
    notes = int(tokenizer.is_note(body).sum())
    nats = -float(generated.log_probability[row, :length].sum()) / max(1, notes)
    return whole, end_probability, nats


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


def _qpm_of(bundle, tokenizer, metre):
    usual = CHORALE_QPM if tokenizer.name == "chorale" else USUAL_QPM.get(metre, 120.0)
    return bundle.facts.get("usual_qpm", {}).get(metre) or usual


def _in_bars(wish, metre, qpm):
    """A wish in seconds as one in whole bars, the tempo bent a little to fit."""
    quarters = steps_in_bar(metre or "4/4") / STEPS_PER_QUARTER
    bars = wish.seconds * qpm / 60 / quarters
    bars = min(MOST_BARS, max(1, round(bars)))
    if wish.qpm is None:
        exact = bars * quarters * 60 / wish.seconds
        qpm = min(max(exact, qpm / FARTHEST_TEMPO), qpm * FARTHEST_TEMPO)
        qpm = min(400.0, max(20.0, qpm))
    return replace(wish, bars=bars, qpm=qpm), qpm

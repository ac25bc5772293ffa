"""Composing in several voices: the model writes on until the bars are full.

What `compose` does for a melody (eight takes, the one that ends best) needs a token a
step; here a bar takes as many tokens as it has notes.
"""

from dataclasses import replace

import numpy as np

from audio_models.particles import Stretch, fill
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.measures import NO_KEY, likely_key
from data_pipelines.score import Key, Tempo
from data_pipelines.tokenizers.bars import METRES
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK
from studio import stretches
from studio.wish import OPTION_NAMES, parse_key, parse_range, scale_of

TOKENS_A_BAR = {"chorale": 80, "performance": 120, "miditok": 160}
MOST_TOKENS = 16_384
BAR_TAKES = 3
DEFAULT_METRE = "4/4"


def compose_freely(bundle, tokenizer, wish, metre):
    """Compose one piece with a model of several voices.

    Args:
        bundle: `audio_models.bundle.Bundle`.
        tokenizer: the one of its spec.
        wish: `compose.Wish`.
        metre: str or None, where the tokenizer begins with one.

    Returns:
        (score, ids, end probability, nats per note). The score holds at most
        ``wish.bars`` bars: what began later is left out, what rang longer is cut.

    Raises:
        ValueError: if a metre is asked of a model that chooses its own, or what only
            pitches have of one that plays drums alone.
    """
    _check_drums(bundle, wish)
    if tokenizer.name == "remi":
        return _compose_bars(bundle, tokenizer, wish, metre)
    prompt, compass = [BOS], bundle.facts.get("compass")
    if hasattr(tokenizer, "metre_id"):
        prompt.append(tokenizer.metre_id(metre))
    elif wish.metre is not None:
        raise ValueError(
            f"`metre` cannot be chosen here: a model of {tokenizer.name} tokens "
            f"chooses its own. Received: {wish.metre!r}"
        )
    most = min(MOST_TOKENS, (wish.bars + 1) * TOKENS_A_BAR[tokenizer.name])
    request = Request(
        prompts=np.array([prompt]),
        max_new_tokens=most,
        grammar=tokenizer.grammar,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        min_p=wish.min_p,
        repetition=wish.repetition,
        repetition_of=tokenizer.is_note(np.arange(tokenizer.vocab_size)),
        allowed_tokens=tokens_of_key_and_range(tokenizer, wish, compass),
        seed=wish.seed,
    )
    generated = generate(Player(bundle.architecture, bundle.weights), request)
    ids = generated.ids[0]
    ends = np.flatnonzero(ids == EOS)
    length = int(ends[0]) + 1 if len(ends) else len(ids)
    whole = np.concatenate([prompt, ids[:length]]).astype(np.int32)
    score = first_bars(tokenizer.decode(whole), wish.bars)
    notes = max(1, int(tokenizer.is_note(whole).sum()))
    nats = -float(generated.log_probability[0, :length].sum()) / notes
    ended = (
        float(np.exp(generated.log_probability[0, length - 1])) if len(ends) else 0.0
    )
    return _as_wished(score, wish), whole, ended, nats


def _compose_bars(bundle, tokenizer, wish, metre):
    """Write exactly so many bars of a metre, and end: as `compose_freely`."""
    metre = metre or DEFAULT_METRE
    if metre not in METRES:
        known = ", ".join(filter(None, METRES))
        raise ValueError(f"`metre` must be one of {known}. Received: {metre!r}")
    ids = tokenizer.vocabulary.ids
    bar, metres = ids("bar")[0], ids("metre")
    prefix = np.array([BOS, bar, metres[METRES.index(metre)]])
    vocabulary = np.arange(tokenizer.vocab_size)
    never = np.isin(vocabulary, [*metres, PAD, BOS, UNK])
    allowed = tokens_of_key_and_range(tokenizer, wish, bundle.facts.get("compass"))
    path = Stretch(
        tokenizer.grammar,
        tokenizer.grammar.state_after(prefix[1:]),
        bar=bar,
        bars=wish.bars,
        suffix=[bar],  # or an end before it: see below
        never=never if allowed is None else never | ~allowed,
        first=np.isin(vocabulary, list(ids("position"))),  # no bar of silence at first
        quota=stretches.TOKENS_A_BAR,
    )
    takes = fill(
        Player(bundle.architecture, bundle.weights),
        prefix,
        path,
        particles=min(wish.takes, BAR_TAKES),
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        min_p=wish.min_p,
        repetition=wish.repetition,
        copies=False,
    )
    # Where in the last bar, and in which take, the model most expects the end, on a
    # note that is held; a writer who may only end there crowds it with notes.
    held = stretches.held_notes(tokenizer, takes.ids)
    row, length, ended = stretches.latest_end(takes, held, np.ones_like(held))
    if length is None:  # cut off where the bar after the last would begin
        row, length = 0, int(np.flatnonzero(takes.ids[0] != PAD)[-1])
    whole = np.concatenate([prefix, takes.ids[row, :length], [EOS]])
    score = first_bars(tokenizer.decode(whole), wish.bars)
    notes = max(1, int(tokenizer.is_note(whole).sum()))
    nats = -float(takes.log_probability[row, :length].sum()) / notes
    return _as_wished(score, wish), whole.astype(np.int32), ended, nats


def _check_drums(bundle, wish):
    """Raise ValueError if a model that learnt drums alone is asked for pitches."""
    if set(bundle.facts.get("keys") or ()) != {NO_KEY}:
        return
    for name in ("key", "pitch_range", "program"):
        if (value := getattr(wish, name)) is not None:
            raise ValueError(
                f"`{OPTION_NAMES.get(name, name)}` cannot be chosen here: this model "
                f"plays drums alone. Received: {value!r}"
            )


def tokens_of_key_and_range(tokenizer, wish, compass=None):
    """bool array (V,), which tokens a wish for a key or a range leaves; None for all.

    Args:
        compass: the lowest and the highest pitch where no range is wished for, or None:
            one note in a hundred of its data lies beyond, but a model that errs into
            there stays there.
    """
    if wish.key is None and wish.pitch_range is None and compass is None:
        return None
    low, high = compass or (0, 127)
    if wish.pitch_range:
        low, high = parse_range(wish.pitch_range)
    classes = scale_of(*parse_key(wish.key))[0] if wish.key else np.ones(12, dtype=bool)
    allowed = np.ones(tokenizer.vocab_size, dtype=bool)
    for token in range(tokenizer.vocab_size):
        pitches = tokenizer.pitches(np.array([token]))  # none, of drums
        if len(pitches):
            inside = (pitches >= low) & (pitches <= high) & classes[pitches % 12]
            allowed[token] = inside.all()
    return allowed


def first_bars(score, bars):
    """The first bars of a score; what rings on is cut at their end."""
    lines = score.bar_ticks()
    if len(lines) - 1 <= bars:
        return score
    end = int(lines[bars])
    notes = score.notes[score.notes["start"] < end].copy()
    notes["duration"] = np.minimum(notes["duration"], end - notes["start"])
    maps = {
        name: tuple(change for change in getattr(score, name) if change.tick < end)
        for name in ("tempos", "metres", "keys")
    }
    return replace(score, notes=notes, **maps)


def _as_wished(score, wish):
    if wish.qpm is not None:
        score = replace(score, tempos=(Tempo(0, float(wish.qpm)),))
    if wish.program is not None:
        tracks = tuple(
            track if track.is_drum else replace(track, program=wish.program)
            for track in score.tracks
        )
        score = replace(score, tracks=tracks)
    if score.is_drum_note().all():
        return score  # in no key
    sharps, is_minor = likely_key(score)
    return replace(score, keys=(Key(0, sharps, is_minor),))

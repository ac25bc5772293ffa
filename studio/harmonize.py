"""Alto, tenor and bass under a melody, which stays as it is."""

from dataclasses import dataclass, replace

import numpy as np

from audio_models.particles import fill
from data_pipelines.measures import key_name, likely_key
from data_pipelines.score import Key, Track
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.chorale import VOICES
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.voice_leading import RANGES, VoiceLeading, voice_leading_of_ids
from studio.carry_on import others_in_words
from studio.guided import is_guided, player_of, reweighed
from studio.lines import Grid, Voices, lines_of, new_notes, table_of, voices_of
from studio.wish import check_ranges, parse_key, scale_of

TAKES = 16
MOST_STEPS = 4096  # sixteenths: 256 bars of 4/4
COMFORT = (62, 77)  # where the middle of a soprano's part may lie
SOFTER = 0.9  # how loud the added voices are, beside the melody


@dataclass(frozen=True)
class Harmony:
    """What a person asks of a harmonisation.

    Args:
        seed: int. Same melody, bundle and wish: the same notes.
        temperature, top_k, top_p: as for `sampling.draw`, of which note comes.
        track: int or None, which track is the melody, from 0.
        key: str or None, in whose scale the added voices stay.
        program: int or None, General MIDI of the added voices; the melody's by default.
        takes: int, how many are drawn to choose from.
    """

    seed: int = 0
    temperature: float = 0.8
    top_k: int | None = None
    top_p: float = 0.95
    track: int | None = None
    key: str | None = None
    program: int | None = None
    takes: int = TAKES


@dataclass(frozen=True)
class Harmonized:
    """The melody, untouched, on track 0, and three voices below it.

    ``leading`` counts the faults of the take that was kept, ``drawn`` those of all takes
    together, from which it was chosen.
    """

    score: object
    key: str
    leading: VoiceLeading
    drawn: VoiceLeading
    nats_per_note: float
    told: tuple[str, ...] = ()


def check_harmony(wish):
    """Raise ValueError if a wish lies outside its range, naming it."""
    check_ranges(wish)
    if wish.key is not None:
        parse_key(wish.key)


def harmonize(bundle, score, wish):
    """Give a melody three voices.

    Args:
        bundle: `Bundle` of a model of chorale tokens that goes from left to right.
        score: `Score` with a pitched track. Of several the melody is taken (see
            `melody.pick_melody`), or the one asked for.
        wish: `Harmony`.

    Returns:
        `Harmonized`. Of all takes the one with the fewest faults of voice leading is
        kept, of equals the one that the model thinks likeliest under this melody. Every note of the
        melody is in it with its tick, length and velocity; so are the maps of the score.

    Raises:
        ValueError: if a wish lies outside its range, there is no melody, or the model is
            none of four voices.
    """
    check_harmony(wish)
    tokenizer = tokenizer_from_spec(bundle.vocabulary)
    if tokenizer.name != "chorale":
        raise ValueError(
            f"A model of {tokenizer.name} tokens cannot harmonise: it takes one of "
            "chorale tokens."
        )
    if wish.track is not None and not 0 <= wish.track < len(score.tracks):
        raise ValueError(
            f"`track` must be in 1..{len(score.tracks)}. Received: {wish.track + 1}"
        )
    melody = voices_of(score, MelodyTokenizer(), wish.track)
    own = score.notes["track"] == melody.tracks[0]
    if not own.any() or score.tracks[melody.tracks[0]].is_drum:
        raise ValueError(f"track {melody.tracks[0] + 1} holds no melody")
    begin = int(score.notes["start"][own].min())
    lines_at = score.bar_ticks()
    bar_line = int(lines_at[np.searchsorted(lines_at, begin, side="right") - 1])
    grid = Grid.at(score, bar_line, score.metre)
    lines = lines_of(score, melody, own, grid)
    shift = 12 * round_to_choir(lines["pitch"])
    lines["pitch"] += shift
    first, end = int(lines["start"].min()), int(lines["end"].max())
    if end - first > MOST_STEPS:
        raise ValueError(
            f"The melody is {end - first} sixteenths long; at most {MOST_STEPS} are "
            "harmonised at once."
        )
    voices = Voices((0, 1, 2, 3), melody.reason, melody.of_note)
    table = table_of(
        tokenizer,
        lines,
        grid,
        free=first,
        onsets_until=end,
        until=end,
        voices=(1, 2, 3),
        may_end=True,
        compass=_compass(wish),
    )
    takes = fill(
        player_of(bundle, table.prefix, table.sheet),
        table.prefix,
        table.sheet,
        particles=wish.takes,
        seed=wish.seed,
        temperature=wish.temperature,
        top_k=wish.top_k,
        top_p=wish.top_p,
        among=tokenizer.is_note(np.arange(tokenizer.vocab_size)),
        copies=False,
    )
    pieces = [np.concatenate([table.prefix, ids]) for ids in takes.ids]
    leadings = [voice_leading_of_ids(tokenizer, ids) for ids in pieces]
    if is_guided(bundle):
        takes = reweighed(bundle, table.prefix, takes, wish.seed)
    worth = takes.shares
    row = min(range(len(pieces)), key=lambda r: (leadings[r].faults(), -worth[r]))
    fresh = new_notes(tokenizer, table, takes.ids[row], end - first)
    is_free = table.is_free[first - table.base :].ravel()
    nats = -takes.log_probability[row][: len(is_free)][is_free].sum()
    fresh["pitch"] -= min(max(shift, -12), 12)  # no bass is heard three octaves down
    whole = _together(score, own, melody.tracks[0], grid, fresh, voices, wish)
    sharps, is_minor = likely_key(whole)
    if wish.key:
        sharps, is_minor = parse_key(wish.key)
    elif score.keys:
        sharps, is_minor = score.keys[0].sharps, score.keys[0].is_minor
    if not whole.keys:
        whole = replace(whole, keys=(Key(0, sharps, is_minor),))
    return Harmonized(
        whole,
        key_name(sharps, is_minor),
        leadings[row],
        sum(leadings, VoiceLeading()),
        float(nats / max(1, len(fresh))),
        tuple(_told(score, melody, grid, shift)),
    )


def round_to_choir(pitches):
    """How many octaves up bring a melody to where sopranos sing; most need none."""
    middle = float(np.median(pitches))
    best = min(range(-5, 6), key=lambda k: (_outside(middle + 12 * k), abs(k)))
    fits = pitches.min() + 12 * best >= 0 and pitches.max() + 12 * best <= 127
    return best if _outside(middle) > 0 and fits else 0


def _outside(middle):
    low, high = COMFORT
    return max(low - middle, middle - high, 0.0)


def _compass(wish):
    classes = scale_of(*parse_key(wish.key))[0] if wish.key else np.ones(12, dtype=bool)
    return {
        voice: [
            p for p in range(RANGES[name][0], RANGES[name][1] + 1) if classes[p % 12]
        ]
        for voice, name in enumerate(VOICES)
        if voice
    }


def _together(score, own, track, grid, fresh, voices, wish):
    """The melody's own notes on track 0, the new ones on three tracks behind it."""
    from data_pipelines.score import notes_array

    kept = score.notes[own].copy()
    kept["track"] = 0
    start, end = grid.tick(fresh["start"]), grid.tick(fresh["end"])
    start = np.maximum(start, 0)
    added = notes_array(
        start,
        np.maximum(end - start, 1),
        np.clip(fresh["pitch"], 0, 127),
        max(1, round(SOFTER * float(np.median(kept["velocity"])))),
        fresh["voice"],
    )
    melody = replace(score.tracks[track], name=score.tracks[track].name or VOICES[0])
    program = melody.program if wish.program is None else wish.program
    tracks = (melody, *(Track(name, program) for name in VOICES[1:]))
    pedals = score.pedals[score.pedals["track"] == track].copy()
    pedals["track"] = 0
    notes = np.concatenate([kept, added])
    return replace(score, notes=notes, tracks=tracks, pedals=pedals)


def _told(score, melody, grid, shift):
    told = []
    others = np.setdiff1d(np.unique(score.notes["track"]), melody.tracks)
    if len(others):
        name = score.tracks[melody.tracks[0]].name or f"track {melody.tracks[0] + 1}"
        left = others_in_words(len(others), "is left out", "are left out")
        told.append(f"The melody is {name!r} ({melody.reason}); {left}.")
    if shift:
        octaves = "an octave" if abs(shift) == 12 else f"{abs(shift) // 12} octaves"
        where = "below" if shift > 0 else "above"
        told.append(
            f"It lies {octaves} {where} a soprano; the other voices sound an octave "
            f"{where} their ranges in a choir."
        )
    if len(score.metres) > 1:
        told.append(f"The metre changes: all of it was read in {grid.metre}.")
    return told

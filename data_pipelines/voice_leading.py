"""How four voices move: ranges, crossings, parallels; what a teacher marks in red."""

from dataclasses import asdict, dataclass, fields

import numpy as np

from data_pipelines.tokenizers.chorale import VOICES

SILENT = -1
# Lowest and highest note of each voice, C4 being 60: Piston, Harmony, chapter 2.
RANGES = {"Soprano": (60, 81), "Alto": (55, 74), "Tenor": (48, 67), "Bass": (40, 62)}
WIDEST = 12  # semitones between neighbours of the upper three voices
FIFTH, OCTAVE = 7, 0  # semitones, without whole octaves


@dataclass(frozen=True)
class VoiceLeading:
    """Counts over one piece or many; see `rates` for what they are out of.

    ``notes`` are struck, ``steps`` sound in all four voices, ``moves`` are pairs of
    voices that both move to another pitch at the same step.
    """

    notes: int = 0
    out_of_range: int = 0
    steps: int = 0
    crossings: int = 0
    wide: int = 0
    moves: int = 0
    parallel_fifths: int = 0
    parallel_octaves: int = 0
    leaps: int = 0

    def __add__(self, other):
        return VoiceLeading(
            *(getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        )

    def faults(self):
        """How many marks in red there are."""
        return (
            self.out_of_range
            + self.crossings
            + self.parallel_fifths
            + self.parallel_octaves
        )

    def rates(self):
        """Each fault in percent of its occasions, as a dict; None without any occasion.

        Returns:
            dict: ``out_of_range`` and ``leaps`` (over an octave) of notes, ``crossings``
            and ``wide`` of steps, the parallels of pairs that move together.
        """
        occasions = {
            "out_of_range": self.notes,
            "leaps": self.notes,
            "crossings": self.steps,
            "wide": self.steps,
            "parallel_fifths": self.moves,
            "parallel_octaves": self.moves,
        }
        counts = asdict(self)
        return {
            name: round(100 * counts[name] / of, 3) if of else None
            for name, of in occasions.items()
        }


def voice_leading(sounding, struck):
    """Count how four voices move.

    Args:
        sounding: int array (steps, 4), the pitch that sounds in each voice, from the
            top; `SILENT` where none does.
        struck: bool array (steps, 4), where a note begins.

    Returns:
        `VoiceLeading`. A crossing is a step at which a voice is above the one over it; a
        parallel is two voices that move in the same direction from a fifth, or an
        octave or unison, to another one.
    """
    sounding, struck = np.asarray(sounding), np.asarray(struck, dtype=bool)
    heard = sounding != SILENT
    lowest, highest = np.array([RANGES[name] for name in VOICES]).T
    outside = struck & heard & ((sounding < lowest) | (sounding > highest))
    full = heard.all(axis=1)
    gaps = sounding[:, :-1] - sounding[:, 1:]  # (steps, 3)
    before, after = sounding[:-1], sounding[1:]
    both = heard[:-1] & heard[1:]
    change = np.where(both, after - before, 0)  # (steps - 1, 4)
    moves = fifths = octaves = 0
    for high in range(len(VOICES)):
        for low in range(high + 1, len(VOICES)):
            together = (change[:, high] != 0) & (change[:, low] != 0)
            same_way = together & (change[:, high] * change[:, low] > 0)
            first = (before[:, high] - before[:, low]) % 12
            second = (after[:, high] - after[:, low]) % 12
            moves += int(together.sum())
            fifths += int((same_way & (first == FIFTH) & (second == FIFTH)).sum())
            octaves += int((same_way & (first == OCTAVE) & (second == OCTAVE)).sum())
    return VoiceLeading(
        notes=int((struck & heard).sum()),
        out_of_range=int(outside.sum()),
        steps=int(full.sum()),
        crossings=int((full & (gaps < 0).any(axis=1)).sum()),
        wide=int((full & (gaps[:, :2] > WIDEST).any(axis=1)).sum()),
        moves=moves,
        parallel_fifths=fifths,
        parallel_octaves=octaves,
        leaps=int((np.abs(change) > 12).sum()),
    )


def voice_leading_of_ids(tokenizer, ids):
    """`voice_leading` of a piece in the tokens of `ChoraleTokenizer`.

    Args:
        ids: int array (T,), BOS and the metre first; EOS ends it.
    """
    return voice_leading(*voices_of_ids(tokenizer, ids))


def voices_of_ids(tokenizer, ids):
    """What sounds and what is struck, (steps, 4) twice, of chorale tokens.

    Returns:
        (int array, bool array): as `voice_leading` takes them.
    """
    first = tokenizer.vocabulary.ids("pitch")[0]
    body = np.asarray(ids)
    body = body[body >= first]
    body = body[: len(body) // len(VOICES) * len(VOICES)].reshape(-1, len(VOICES))
    struck = tokenizer.is_note(body)
    changes = struck | (body == tokenizer.rest)
    pitch = np.where(struck, body - first, SILENT)
    # Each step takes over what was last told in its voice.
    told = np.where(changes, np.arange(len(body))[:, None], -1)
    told = np.maximum.accumulate(told, axis=0)
    held = np.take_along_axis(pitch, np.maximum(told, 0), axis=0)
    return np.where(told < 0, SILENT, held), struck

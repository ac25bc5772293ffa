"""The music of the labs: at hand in a second, offline, the same on every machine.

The chorales lie beside this file as arrays, made from music21's corpus by
`python -m labs.material`; the tunes are read from music21's own ABC files.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from labs.catalogue import ROOM

CHORALES = ROOM / "chorales.npz"
STEPS_A_QUARTER = 4
VOICES = ("Soprano", "Alto", "Tenor", "Bass")


@dataclass(frozen=True)
class Chorale:
    """Four voices on a grid of sixteenths.

    ``pitches`` is int (T, 4), MIDI pitch of soprano, alto, tenor and bass, 0 where a
    voice rests; ``split`` is train, valid or test: settings of one tune share it.
    """

    name: str
    split: str
    pitches: np.ndarray

    def quarters(self):
        """The same on a grid of quarter notes: int (T // 4, 4), what sounds on each."""
        return self.pitches[::STEPS_A_QUARTER]


@cache
def chorales():
    """Bach's four-part chorales: a tuple of `Chorale`, sorted by name."""
    with np.load(CHORALES, allow_pickle=False) as kept:
        ends = np.cumsum(kept["lengths"])
        rows = np.split(kept["pitches"].astype(np.int64), ends[:-1])
        named = zip(kept["names"], kept["splits"], rows, strict=True)
        return tuple(Chorale(str(name), str(split), row) for name, split, row in named)


@cache
def tunes(collection="oneills1850", count=400):
    """Tunes of one voice, as `Score`s, the first of a collection in music21's corpus.

    Args:
        collection: str, a folder of ABC files: "oneills1850" are Irish dances and airs,
            "ryansMammoth" American fiddle tunes, "essenFolksong" songs of many countries.
        count: int, how many at most.
    """
    from data_pipelines.abc import BadAbc, parse_tune, split_tunes
    from data_pipelines.music21_corpus import corpus_path

    found = []
    for path in sorted(corpus_path(collection).rglob("*.abc")):
        for text in split_tunes(path.read_text(encoding="utf-8", errors="replace")):
            try:
                found.append(parse_tune(text))
            except (BadAbc, ValueError):
                continue
            if len(found) == count:
                return tuple(found)
    return tuple(found)


@cache
def abc_text(collection="oneills1850", count=400):
    """The same tunes as text in ABC notation, each with its headers: a tuple of str."""
    from data_pipelines.abc import split_tunes
    from data_pipelines.music21_corpus import corpus_path

    found = []
    for path in sorted(corpus_path(collection).rglob("*.abc")):
        found += split_tunes(path.read_text(encoding="utf-8", errors="replace"))
        if len(found) >= count:
            break
    return tuple(found[:count])


def as_score(voices, *, steps_a_quarter=1, qpm=90.0, programs=None, names=VOICES):
    """Columns of pitches -> a `Score` to hear and see; equal neighbours are one note.

    Args:
        voices: int array (T,) or (T, voices), MIDI pitch, 0 is rest.
        steps_a_quarter: int, rows in a quarter note.
        qpm: float, quarters a minute.
        programs: General MIDI programs, one a voice; by default church organ, or a piano
            for a voice alone.
        names: str, of each voice.
    """
    from data_pipelines.score import Score, Tempo, Track, notes_array

    voices = np.asarray(voices)
    voices = voices[:, None] if voices.ndim == 1 else voices
    count = voices.shape[1]
    programs = programs or ((0,) if count == 1 else (19,) * count)
    ticks = 480 // steps_a_quarter
    parts = []
    for number in range(count):
        line = voices[:, number]
        begins = np.flatnonzero(np.diff(line, prepend=-1))
        ends = np.append(begins[1:], len(line))
        sounds = line[begins] > 0
        parts.append(
            notes_array(
                begins[sounds] * ticks,
                (ends - begins)[sounds] * ticks,
                line[begins][sounds],
                track=number,
            )
        )
    tracks = [Track(names[i % len(names)], programs[i]) for i in range(count)]
    notes = np.concatenate(parts)
    order = np.argsort(notes["start"], kind="stable")
    return Score(notes[order], 480, tuple(tracks), tempos=(Tempo(0, qpm),))


def write_chorales():
    """Make `CHORALES` anew from music21's corpus: some minutes."""
    from data_pipelines.kinship import content_digest, split_by_tune
    from data_pipelines.music21_corpus import read_music21_corpus
    from data_pipelines.tokenizers.chorale import part_voices

    scores, _ = read_music21_corpus("bach")
    kept = {}
    for score in scores:
        if not len(score.notes):
            continue
        placed, how = part_voices(score)
        if how != "the tracks' names" or set(placed["voice"]) != {0, 1, 2, 3}:
            continue
        grid = np.zeros((int(placed["end"].max()), len(VOICES)), np.int8)
        for note in placed:
            grid[note["start"] : note["end"], note["voice"]] = note["pitch"]
        kept.setdefault(content_digest(score, invariant=True), (score, grid))
    digests = sorted(kept)
    melodies = [_line(kept[digest][1][:, 0]) for digest in digests]
    splits = split_by_tune(melodies, digests)
    rows = sorted(
        (_name(kept[digest][0], digest), split, kept[digest][1])
        for digest, split in zip(digests, splits, strict=True)
    )
    np.savez_compressed(
        CHORALES,
        names=np.array([name for name, _, _ in rows]),
        splits=np.array([split for _, split, _ in rows]),
        lengths=np.array([len(grid) for _, _, grid in rows], np.int32),
        pitches=np.concatenate([grid for _, _, grid in rows]),
    )
    return len(rows)


def _line(column):
    """The pitches of a voice, note after note."""
    column = column.astype(np.int64)
    changed = np.flatnonzero(np.diff(column, prepend=-1))
    line = column[changed]
    return line[line > 0]


def _name(score, digest):
    return score.title or digest[:8]


if __name__ == "__main__":
    print(f"{CHORALES.name}: {write_chorales()} chorales")

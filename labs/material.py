"""The music of the labs: at hand in a second, offline, the same on every machine.

The chorales lie beside this file as arrays, made from music21's corpus by
`python -m labs.material`; the tunes are read from music21's own ABC files.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

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


def folder_of_tunes(folder, *, collection="oneills1850", count=400):
    """A folder as people have them: tunes as MIDI files, and two that are no music.

    Args:
        folder: str or Path; made if it is not there.
        collection, count: as for `tunes`.

    Returns:
        Path of the folder.
    """
    from data_pipelines.midi import write_midi

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, score in enumerate(tunes(collection, count)):
        write_midi(folder / f"tune{number:03d}.mid", score)
    (folder / "shopping.mid").write_text("bread, milk, rosin")
    (folder / "cut short.mid").write_bytes((folder / "tune000.mid").read_bytes()[:40])
    return folder


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


@cache
def tunes_by_split(collection="oneills1850", count=400):
    """The same tunes in three lots: (train, valid, test), tuples of `Score`.

    Settings of one tune, in whatever key, are in one lot.
    """
    from data_pipelines.kinship import content_digest, split_by_tune

    found = [tune for tune in tunes(collection, count) if len(tune.notes) > 1]
    lines = [np.asarray(tune.notes["pitch"], np.int64) for tune in found]
    digests = [content_digest(tune, invariant=True) for tune in found]
    splits = split_by_tune(lines, digests)
    return tuple(
        tuple(tune for tune, own in zip(found, splits, strict=True) if own == split)
        for split in ("train", "valid", "test")
    )


@cache
def sonnets():
    """Shakespeare's first twenty sonnets, as one str, a blank line between two."""
    return (ROOM.parent / "assets" / "texts" / "sonnets.txt").read_text("utf-8")


@cache
def jigs(collection="oneills1850", count=1800):
    """Jigs in D and G as ABC text without headers or ornaments: one str.

    Each begins with its key, ``K:G``, and ends with a blank line; the metre is 6/8 and
    a note without a number an eighth.
    """
    import re

    kept = []
    for text in abc_text(collection, count):
        head, _, body = text.partition("\nK:")
        key, _, body = body.partition("\n")
        body = re.sub(r'"[^"]*"|\{[^}]*\}|[~.()\-\t]|[HTSRPuvJ!]', "", body.strip())
        body = re.sub(r" *\n *", "\n", re.sub(r" +", " ", body))
        fields = dict(re.findall(r"^([ML]): *(.*?) *$", head, re.M))
        is_plain = not re.search(r"^[A-Z]:|\[|\\", body, re.M) and "(3" not in text
        if fields == {"M": "6/8", "L": "1/8"} and key.strip() in "DG" and is_plain:
            kept.append(f"K:{key.strip()}\n{body}\n\n")
    return "".join(kept)


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

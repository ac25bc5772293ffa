"""Mixtures whose parts are known: a tune, what is played under it, and a drummer.

Each part is rendered by itself, so that the truth of a separation is exact. The tune is
given; chords and bass are put under it by rule; drums are of `drum_patterns`. Splits
share no tune, no variant of one, no instrument, no groove and no drum kit.
"""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from data_pipelines.drum_patterns import STYLES, drum_piece
from data_pipelines.files import write_whole
from data_pipelines.kinship import content_digest, split_by_tune
from data_pipelines.render import render
from data_pipelines.score import Metre, Tempo, Track, notes_array
from data_pipelines.spectra import hann, stft

STEMS = ("melody", "accompaniment", "drums")
SPLITS = ("train", "valid", "test")
RULES = "1"  # a change of what is drawn makes older caches stale
SAMPLE_RATE = 16_000  # Hz
SECONDS = 8.0
SHARD_MIXTURES = 20
# Of each family of eight programs of General MIDI, which play in which split.
PLACES = {"train": (0, 2, 4, 5, 7), "valid": (1,), "test": (3, 6)}
FAMILIES = 12  # above are effects, percussion and instruments of one region
BASS_FAMILY = 4  # programs 32 to 39
# A kit is the synthesiser's own, so many times as fast: its drums are higher or lower.
KITS = {
    "train": (0.80, 0.88, 1.0, 1.12, 1.24),
    "valid": (0.84, 1.18),
    "test": (0.94, 1.06),
}
METRES = {"4/4": "4/4", "2/2": "4/4", "2/4": "2/4", "3/4": "3/4", "6/8": "6/8"}
LEVELS_DB = {"melody": (-3, 3), "accompaniment": (-6, 1), "drums": (-8, 1)}
# Of a key's triads, by the degree of the root: ties go to the tonic, then the dominant.
DEGREES = ((0, 4, 7), (7, 11, 2), (5, 9, 0), (9, 0, 4), (2, 5, 9), (4, 7, 11))
FIGURES = ("held", "pulse", "offbeat", "broken")
BASS_FLOOR, CHORD_FLOOR, MELODY_CENTRE = 35, 50, 74


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture and its truth.

    Args:
        stems: float32 array (K, N), each part as it sounds in the mixture, in the order
            of `STEMS`; none is silent throughout.
        scores: tuple of K `Score`, what was rendered.
    """

    stems: np.ndarray
    scores: tuple

    @property
    def mix(self):
        """The sum of the parts: float32 (N,)."""
        return self.stems.sum(axis=0)


def programs_of(split):
    """The General MIDI programs that play in a split, in order."""
    return tuple(
        8 * family + place for family in range(FAMILIES) for place in PLACES[split]
    )


def split_tunes(tunes):
    """Share tunes out, variants of one together: dict of split -> list of `Score`.

    Tunes whose metre changes, or that no drum pattern fits, are left out.
    """
    kept = [
        tune
        for tune in tunes
        if len(tune.metres) == 1 and str(tune.metre) in METRES and len(tune) >= 8
    ]
    splits = split_by_tune(
        [tune.notes["pitch"] for tune in kept], [content_digest(tune) for tune in kept]
    )
    shared = {split: [] for split in SPLITS}
    for tune, split in zip(kept, splits, strict=True):
        shared[split].append(tune)
    return shared


def draw_mixture(tunes, split, seed, *, engine="synth", seconds=SECONDS):
    """One mixture of a split; the same for the same seed.

    Args:
        tunes: list of `Score`, the split's own, each of one line.
        split: one of `SPLITS`: which instruments and kits may play.
        seed: int or list of int.
        engine: str, as for `render.render`.
        seconds: float, how long.

    Returns:
        `Mixture` at `SAMPLE_RATE`.

    Raises:
        ValueError: if there is no tune.
    """
    if not tunes:
        raise ValueError(f"There is no tune for the split {split!r}.")
    rng = np.random.default_rng(seed)
    while True:
        tune = tunes[rng.integers(len(tunes))]
        scores = arrange(tune, split, rng, seconds=seconds)
        kit = rng.choice(KITS[split])
        length = round(seconds * SAMPLE_RATE)
        stems = np.stack(
            [
                _sound(score, length, engine, kit if name == "drums" else 1.0)
                for name, score in zip(STEMS, scores, strict=True)
            ]
        )
        levels = np.array([rng.uniform(*LEVELS_DB[name]) for name in STEMS])
        power = np.sqrt((stems**2).mean(axis=1))
        if (power > 1e-4).all():  # else a part rests throughout: draw again
            gains = 10 ** (levels / 20) / power
            stems *= gains[:, None].astype(np.float32)
            stems *= np.float32(0.8 / np.abs(stems.sum(axis=0)).max())
            return Mixture(stems, scores)


def arrange(tune, split, rng, *, seconds=SECONDS):
    """Some bars of a tune for three players: a tuple of `Score`, in order of `STEMS`.

    Args:
        tune: `Score` of one line and one metre of `METRES`.
        split: one of `SPLITS`.
        rng: NumPy generator.
        seconds: float, how long the bars last at least, if the tune is long enough.
    """
    metre = METRES[str(tune.metre)]
    styles = [style for style in STYLES if style.metre == metre]
    style = styles[rng.integers(len(styles))]
    qpm = float(rng.uniform(*style.qpm))
    lines = tune.bar_ticks()
    bar = int(lines[1] - lines[0])
    bar_seconds = bar / tune.ticks_per_quarter * 60 / qpm
    wanted = math.ceil(seconds / bar_seconds)
    first = int(rng.integers(max(1, len(lines) - wanted)))
    melody = _bars(tune, int(lines[first]), wanted * bar)
    melody = _played(melody, split, rng, qpm)
    accompaniment = _accompanied(melody, bar, wanted, split, rng)
    drums = drum_piece(style, rng)
    drum_bars = drums.bar_ticks()
    begin = int(rng.integers(max(1, len(drum_bars) - 1 - wanted)))
    drums = _bars(drums, int(drum_bars[begin]), wanted * int(drum_bars[1]))
    return melody, accompaniment, replace(drums, tempos=(Tempo(0, qpm),))


def chord_of(weights, sharps):
    """The triad of a key that holds most of a bar.

    Args:
        weights: float array (12,), how long each pitch class sounds.
        sharps: int in -7..7, the key signature.

    Returns:
        tuple of 3 pitch classes, the root first. Of those that hold as much, the first
        of `DEGREES`.
    """
    tonic = 7 * sharps % 12
    chords = [tuple((tonic + degree) % 12 for degree in triad) for triad in DEGREES]
    held = [sum(weights[pitch] for pitch in chord) for chord in chords]
    return chords[int(np.argmax(held))]


def _bars(score, begin, length):
    """What begins in `length` ticks from `begin` on, as a score of its own."""
    start = score.notes["start"].astype(np.int64)
    notes = score.notes[(start >= begin) & (start < begin + length)].copy()
    notes["start"] -= begin
    notes["duration"] = np.minimum(notes["duration"], length - notes["start"])
    metre = score.metre
    return replace(
        score,
        notes=notes,
        tempos=(),
        metres=(Metre(0, metre.beats, metre.beat_unit),),
        keys=tuple(replace(key, tick=0) for key in score.keys[:1]),
    )


def _played(melody, split, rng, qpm):
    """The tune by a drawn instrument, in a drawn key, each note as loud as drawn."""
    programs = [p for p in programs_of(split) if p // 8 != BASS_FAMILY]
    notes = melody.notes.copy()
    mean = notes["pitch"].mean() if len(notes) else MELODY_CENTRE
    shift = round(MELODY_CENTRE - mean) + int(rng.integers(-6, 7))
    notes["velocity"] = rng.integers(64, 112, len(notes))
    played = replace(
        melody,
        notes=notes,
        tracks=(Track("Melody", int(rng.choice(programs))),) * len(melody.tracks),
        tempos=(Tempo(0, qpm),),
    )
    return played.transposed(shift)


def _accompanied(melody, bar, bars, split, rng):
    """Bass and chords under a melody, a chord to the bar, by one figure throughout."""
    figure = FIGURES[rng.integers(len(FIGURES))]
    sharps = melody.keys[0].sharps if melody.keys else 0
    compound = str(melody.metre) == "6/8"
    beats = 2 if compound else bar // melody.ticks_per_quarter
    beat = bar // beats
    loud = int(rng.integers(60, 100))
    rows = []  # start, duration, pitch, velocity, track
    for number in range(bars):
        begin = number * bar
        chord = chord_of(_weights(melody, begin, begin + bar), sharps)
        root, fifth = (_above(BASS_FLOOR, chord[n]) for n in (0, 2))
        rows.append((begin, beat, root, loud + 8, 0))
        if beats > 2 or figure == "held":
            at = begin + beat * (beats // 2)
            rows.append((at, beat, fifth if beats > 1 else root, loud, 0))
        pitches = sorted(_above(CHORD_FLOOR, pitch) for pitch in chord)
        for start, duration, pitch in _figure(figure, pitches, begin, bar, beat):
            rows.append((start, duration, pitch, loud - 6, 1))
    programs = programs_of(split)
    basses = [p for p in programs if p // 8 == BASS_FAMILY]
    others = sorted({*programs} - {*basses, melody.tracks[0].program})
    tracks = (
        Track("Bass", int(rng.choice(basses))),
        Track("Chords", int(rng.choice(others))),
    )
    return replace(melody, notes=notes_array(*np.array(rows).T), tracks=tracks)


def _figure(figure, pitches, begin, bar, beat):
    """One bar of a chord: rows of (start, duration, pitch)."""
    if figure == "held":
        return [(begin, bar, pitch) for pitch in pitches]
    if figure == "broken":
        step = beat // 2
        turn = [pitches[n] for n in (0, 1, 2, 1)]
        return [(begin + n * step, step, turn[n % 4]) for n in range(bar // step)]
    starts = range(begin, begin + bar, beat)
    if figure == "pulse":
        return [(start, beat, pitch) for start in starts for pitch in pitches]
    half = beat // 2
    return [(start + half, half, pitch) for start in starts for pitch in pitches]


def _weights(melody, begin, end):
    """How long each pitch class sounds between two ticks: float array (12,)."""
    notes = melody.notes
    start = notes["start"].astype(np.int64)
    heard = np.minimum(start + notes["duration"], end) - np.maximum(start, begin)
    heard = np.maximum(heard, 0)
    return np.bincount(notes["pitch"] % 12, weights=heard, minlength=12)


def _above(floor, pitch_class):
    """The lowest pitch of a class that is not below `floor`."""
    return floor + (pitch_class - floor) % 12


def _sound(score, length, engine, kit):
    """A score as mono sound, cut to `length` samples; `kit` times as high."""
    rate = round(SAMPLE_RATE / kit)
    qpm = score.tempos[0].qpm / kit  # played faster again, it keeps its tempo
    slower = replace(score, tempos=(Tempo(0, qpm),))
    sound = render(slower, sample_rate=rate, engine=engine).waveform.mean(axis=1)
    whole = np.zeros(length, dtype=np.float32)
    whole[: min(length, len(sound))] = sound[:length]
    return whole


def write_mixtures(folder, tunes, split, count, *, seed=0, engine="synth"):
    """Render mixtures once, into shards that `read_mixtures` reads.

    A shard that is there is not made again: an interrupted call is gone on with. Mixture
    k is the same however many there are.

    Args:
        folder: Path, made if need be.
        tunes: list of `Score`, the split's own.
        split: one of `SPLITS`.
        count: int, how many mixtures; whole shards of `SHARD_MIXTURES` are written.
        seed: int.
        engine: str, as for `render.render`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(-(-count // SHARD_MIXTURES)):
        path = folder / f"{split}-{shard:04d}.npz"
        if path.exists():
            continue
        first = shard * SHARD_MIXTURES
        stems = np.stack(
            [
                draw_mixture(
                    tunes, split, [seed, SPLITS.index(split), number], engine=engine
                ).stems
                for number in range(first, first + SHARD_MIXTURES)
            ]
        )  # (M, K, N)
        peaks = np.abs(stems).max(axis=2, keepdims=True)
        levels = np.rint(stems / peaks * 32767).astype(np.int16)
        buffer = io.BytesIO()
        np.savez(buffer, levels=levels, peaks=peaks)
        write_whole(path, buffer.getvalue())


def read_mixtures(folder, split):
    """The stems of every mixture that `write_mixtures` left, in order.

    Yields:
        float32 array (K, N), one mixture.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if a shard is damaged.
    """
    paths = sorted(Path(folder).glob(f"{split}-*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no mixtures of the split {split!r}.")
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                levels, peaks = arrays["levels"], arrays["peaks"]
        except (KeyError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError(f"{path} is no shard of mixtures: {error}") from None
        for level, peak in zip(levels, peaks, strict=True):
            yield level * (peak / np.float32(32767))


def mixture_batches(stems, *, frames, batch_size, window, hop, seed):
    """Spectra of new mixtures of the same parts, for ever.

    Half of them mix parts of different mixtures, at any loudness: notes that do not fit
    each other teach what an instrument sounds like.

    Args:
        stems: list of float32 arrays (K, N), as from `read_mixtures`.
        frames: int, frames T of each stretch.
        batch_size: int.
        window, hop: as for `spectra.stft`.
        seed: int.

    Yields:
        (magnitudes (B, T, F), along (B, T, F, K), across (B, T, F, K)), float32: of the
        mixture at a mean square of 1, and of its parts turned by its phase, real and
        imaginary. The first is the sum of the second over K.
    """
    rng = np.random.default_rng([seed, 1])
    length = frames * hop - (window - hop)
    kinds = len(stems[0])
    while True:
        parts = np.empty((batch_size, kinds, length), dtype=np.float32)
        for row in range(batch_size):
            is_one = rng.random() < 0.5
            same, begin = rng.integers(len(stems)), rng.random()
            for kind in range(kinds):
                whole = stems[same if is_one else rng.integers(len(stems))][kind]
                at = begin if is_one else rng.random()
                first = int(at * (len(whole) - length + 1))
                gain = 10 ** (rng.normal(0, 4) / 20)
                parts[row, kind] = gain * whole[first : first + length]
        yield turned_parts(parts, window=window, hop=hop)


def turned_parts(parts, *, window, hop):
    """What `mixture_batches` yields, of parts (B, K, N) as they are mixed."""
    level = mixture_level(parts.sum(axis=1), window)[:, None, None, None]
    spectra = stft(parts, window=window, hop=hop) / level  # (B, K, T, F)
    mixture = spectra.sum(axis=1, keepdims=True)
    magnitudes = np.abs(mixture)
    turned = spectra * np.conj(mixture) / np.maximum(magnitudes, np.float32(1e-9))
    turned = turned.transpose(0, 2, 3, 1)  # (B, T, F, K)
    return magnitudes[:, 0], np.ascontiguousarray(turned.real), turned.imag.copy()


def mixture_level(samples, window):
    """By what its spectrum is divided so that the mean square in a bin is about 1.

    Args:
        samples: float array (..., N).
        window: int, as for `spectra.stft`.

    Returns:
        float32 array (...); 1 where there is nothing but silence.
    """
    power = np.mean(np.square(samples, dtype=np.float64), axis=-1)
    level = np.sqrt(power * (hann(window) ** 2).sum())
    return np.where(level > 0, level, 1.0).astype(np.float32)

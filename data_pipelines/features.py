"""What a sound looks like to a classifier: its log-mel spectrogram, cut to one size.

And a folder of sounds, each with its class, shared out into what is learnt from and
what is tested on.
"""

import hashlib
import re
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_pipelines.audio import resample
from data_pipelines.guard import Refused, read_file, walk
from data_pipelines.spectra import check_hop, num_frames, stft

BLOCK_FRAMES = 4096  # transformed at a time, so that a long sound fits in memory
# (least, largest) of each setting: a spec may be a stranger's.
LIMITS = {
    "sample_rate": (1_000, 384_000),
    "window": (16, 65_536),
    "hop": (8, 32_768),
    "num_bands": (4, 512),
    "num_frames": (1, 8_192),
    "range_db": (20, 160),
    "trim_db": (10, 160),
}
SPLITS = ("content", "given", "index", "speaker")
PARTS = ("train", "valid", "test")
SHARE = 0.15  # of each class to choose by, and as much to test
LEAST_FILES = 3  # of a class: one to learn from, one to choose by, one to test


class NotEnough(ValueError):
    """The sounds of a folder do not suffice; the message says what is missing."""


@dataclass(frozen=True)
class LogMel:
    """How loud a sound is in each band at each moment, below its own loudest.

        value = max(0, 1 + 10 log10(P / max P) / range_db)

    1 is the loudest band of the loudest frame. 0 is `range_db` below it, and silence,
    and what is padded. So a sound at another gain gives the same values.

    Args:
        sample_rate: int, in Hz, to which every sound is brought.
        window: int, samples in a frame. hop: int, samples from frame to frame; it
            divides the window.
        num_bands: int, M.
        num_frames: int, T: shorter sounds are padded behind, of longer ones the T
            frames are kept that hold most.
        range_db: int. trim_db: int; frames at both ends that lie this far below the
            loudest are cut off.

    Reference:
        Davis & Mermelstein 1980 for the bands. Loudness is told relative to the sound's
        own peak, where AST (Gong et al. 2021, https://arxiv.org/abs/2104.01778) keeps
        it and subtracts the corpus's mean.
    """

    sample_rate: int = 16_000
    window: int = 512
    hop: int = 256
    num_bands: int = 48
    num_frames: int = 64
    range_db: int = 80
    trim_db: int = 40

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            least, largest = LIMITS[field.name]
            if type(value) is not int or not least <= value <= largest:
                raise ValueError(
                    f"`{field.name}` must be an integer in {least}..{largest}. "
                    f"Received: {value!r}"
                )
        check_hop(self.window, self.hop)

    def __call__(self, waveform):
        """The features of a `Waveform`: float32 (T, M) in [0, 1]."""
        return self.fitted(self.spectrogram(waveform))

    def spec(self):
        """The settings, a dict of JSON; `LogMel(**spec)` undoes it."""
        return asdict(self)

    @property
    def seconds(self):
        """How much of a sound fits in its frames."""
        return self.num_frames * self.hop / self.sample_rate

    def spectrogram(self, waveform):
        """All frames of a sound but the quiet ones at its ends.

        Args:
            waveform: `Waveform` of any rate and channels; its channels are averaged,
                its mean taken away.

        Returns:
            float32 array (frames, M) in [0, 1]. No frame, if it is silent throughout.
        """
        samples = resample(waveform, self.sample_rate).mono()
        power = self._power(samples - samples.mean()) if len(samples) else None
        if power is None or not (peak := power.max(initial=0.0)):
            return np.zeros((0, self.num_bands), dtype=np.float32)
        decibels = 10 * np.log10(np.maximum(power / peak, 1e-30))
        loud = np.flatnonzero(decibels.max(axis=1) >= -self.trim_db)
        decibels = decibels[loud[0] : loud[-1] + 1]
        return np.maximum(0, 1 + decibels / self.range_db).astype(np.float32)

    def fitted(self, spectrogram):
        """A spectrogram brought to T frames: float32 (T, M)."""
        if (extra := len(spectrogram) - self.num_frames) > 0:
            held = np.cumsum(spectrogram.sum(axis=1, dtype=np.float64))
            held = held[self.num_frames - 1 :] - np.append(0, held[:extra])
            first = int(held.argmax())
            return spectrogram[first : first + self.num_frames]
        return np.pad(spectrogram, ((0, -extra), (0, 0)))

    def _power(self, samples):
        filters = mel_filters(self.sample_rate, self.window, self.num_bands)
        total = num_frames(len(samples), self.hop, self.window)
        lead = self.window - self.hop
        power = np.empty((total, self.num_bands), dtype=np.float32)
        for first in range(0, total, BLOCK_FRAMES):
            last = min(total, first + BLOCK_FRAMES)
            begin = max(0, first * self.hop - lead)
            spectrum = stft(
                samples[begin : last * self.hop], window=self.window, hop=self.hop
            )[first - begin // self.hop :][: last - first]  # (frames, bins)
            power[first:last] = (
                np.square(spectrum.real) + np.square(spectrum.imag)
            ) @ filters
        return power


def augmented(batch, rng, *, stretch=0.15, shift=4, mask_frames=6, mask_bands=8):
    """The same sounds, said a little otherwise: another tempo, later, with holes.

    Args:
        batch: float array (B, T, M), 0 where there is nothing.
        rng: NumPy generator. Each row draws its own.
        stretch: float in [0, 1): lengths are multiplied by 1 - stretch to 1 + stretch.
        shift: int, frames that a sound may be moved by, either way.
        mask_frames, mask_bands: int, the widest hole in each direction.

    Returns:
        float32 array (B, T, M).

    Reference:
        Park et al. 2019, https://arxiv.org/abs/1904.08779; here holes are silent.
    """
    rows, length, bands = batch.shape
    places = np.arange(length)[None, :]  # (1, T)
    factor = rng.uniform(1 - stretch, 1 + stretch, (rows, 1))
    moved = rng.integers(-shift, shift + 1, (rows, 1))
    source = (places - moved) / factor  # (B, T), where each frame comes from
    inside = (source >= 0) & (source <= length - 1)
    source = np.where(inside, source, 0)
    before = source.astype(int)
    after = np.minimum(before + 1, length - 1)
    share = (source - before)[..., None]
    row = np.arange(rows)[:, None]
    frames = (1 - share) * batch[row, before] + share * batch[row, after]
    kept = inside[..., None] & ~_hole(rng, rows, length, mask_frames)[..., None]
    kept = kept & ~_hole(rng, rows, bands, mask_bands)[:, None]
    return np.where(kept, frames, 0).astype(np.float32)


def _hole(rng, rows, length, widest):
    """bool (rows, length): 0 to `widest` neighbours of each row, anywhere in it."""
    width = rng.integers(0, min(widest, length) + 1, (rows, 1))
    first = (rng.random((rows, 1)) * (length - width + 1)).astype(int)
    places = np.arange(length)
    return (places >= first) & (places < first + width)


def mel(hertz):
    """Pitch as the ear spaces it (O'Shaughnessy 1987): 1,000 Hz is 1,000 mel."""
    return 2595 * np.log10(1 + np.asarray(hertz, dtype=np.float64) / 700)


def hertz(mel):
    """Undo `mel`."""
    return 700 * (10 ** (np.asarray(mel, dtype=np.float64) / 2595) - 1)


@lru_cache(maxsize=4)
def mel_filters(sample_rate, window, num_bands):
    """How much of each bin of a spectrum goes into each band.

    The bands are triangles over frequency, as wide as their neighbours' centres are
    apart; a bin's weight is the mean of the triangle over the bin's width. The usual
    bank reads the triangle at the bin's centre alone, so that a band narrower than a
    bin may hear nothing. Here none does, and every frequency between the first centre
    and the last counts once: the weights of its bands sum to 1.

    Returns:
        float32 array (window // 2 + 1, M); arguments are as for `LogMel`.
    """
    width = sample_rate / window  # Hz in a bin
    corners = hertz(np.linspace(0, mel(sample_rate / 2), num_bands + 2))
    centres = np.arange(window // 2 + 1)[:, None] * width  # (bins, 1)
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]

    def area_below(x):
        rising = (np.clip(x, low, middle) - low) ** 2 / (middle - low)
        falling = (high - np.clip(x, middle, high)) ** 2 / (high - middle)
        return (rising + (high - middle) - falling) / 2

    area = area_below(centres + width / 2) - area_below(centres - width / 2)
    filters = (area / width).astype(np.float32)
    filters.setflags(write=False)  # kept, and given again
    return filters


@dataclass(frozen=True)
class SoundFile:
    """A sound that can be used; ``digest`` is that of its samples, ``rate`` in Hz."""

    path: Path
    name: str
    label: str
    digest: str
    rate: int


def read_sounds(folder, on_progress=None):
    """Find the sounds of a folder that can be used, each once.

    Classes are found as `encode.classes_in` finds them, copies by their samples. Of
    copies in one class the first is kept; where two claim a sound, neither has it.

    Args:
        folder: Path. on_progress: function of (done, total), or None.

    Returns:
        (list of `SoundFile`, list of (name, sentence) of the files that are not used).

    Raises:
        FileNotFoundError: if there is no such folder.
        NotEnough: if its files do not show two classes, or hold only one.
    """
    from data_pipelines.encode import classes_in, label_of

    folder = Path(folder)
    on_progress = on_progress or (lambda *_: None)
    paths = walk(folder)
    names = [path.relative_to(folder).as_posix() for path in paths]
    classes = classes_in(names)
    if not classes:
        raise NotEnough(
            "sounds of two classes or more are needed: a folder of each, or three files "
            "of each whose names begin with it, as kick-01.wav. Found: "
            f"{len(names):,} file{'s' * (len(names) != 1)}."
        )
    found, refused = [], []
    for done, (path, name) in enumerate(zip(paths, names, strict=True), 1):
        label = label_of(name, classes)
        try:
            if not label:
                raise Refused("other kind", "neither folder nor name shows a class")
            waveform = waveform_of(path)
            samples = np.ascontiguousarray(np.trim_zeros(waveform.mono()))
            if not samples.any():
                raise Refused("no notes", "silence")
            digest = hashlib.sha256(samples.tobytes()).hexdigest()
            found.append(SoundFile(path, name, label, digest, waveform.sample_rate))
        except Refused as refusal:
            refused.append((name, str(refusal)))
        on_progress(done, len(paths))
    claims = {}
    for file in found:
        claims.setdefault(file.digest, {}).setdefault(file.label, file)
    kept = []
    for file in found:
        first = claims[file.digest]
        if len(first) > 1:
            other = next(f for label, f in first.items() if label != file.label)
            why = f"duplicate: the same sound as {other.name}, which is another class"
            refused.append((file.name, why))
        elif first[file.label] is not file:
            refused.append((file.name, f"duplicate: of {first[file.label].name}"))
        else:
            kept.append(file)
    if len(found := sorted({file.label for file in kept})) < 2:
        told = f"all are of one class, {found[0]!r}" if found else "none is usable"
        name, why = refused[0]
        raise NotEnough(f"sounds of two classes are needed; {told}. {name}: {why}.")
    return kept, refused


def waveform_of(path):
    """The `Waveform` in a file; as `guard.read_file` otherwise."""
    return read_file(path, kind="wave").contents[0]


def given_part(name):
    """The part that a file's folders assign it to, or None."""
    return next((part for part in Path(name).parts[:-1] if part in PARTS), None)


def share_out(files, classes, split, seed):
    """Say what each sound is for, the same for the same sounds and seed.

    Args:
        files: list of `SoundFile`. classes: the labels among them.
        split: str, one of `SPLITS`. "content": of each class 15% test and 15% to choose
            by, drawn by samples and seed; "given": as folders called train, valid and
            test say; "index": by the number at the end of the name, 0 to 4 to test and
            5 to 9 to choose by; "speaker": by what stands between the first two
            underscores of the name, so that nobody who is tested was learnt from.
        seed: int.

    Returns:
        list of "train", "valid" or "test", one a file.

    Raises:
        NotEnough: if a class cannot be learnt, or nothing is left to test.
    """
    if split == "given":
        parts = [given_part(file.name) or "train" for file in files]
        if "valid" not in parts:  # what is learnt from has to give some
            inner = [n for n, part in enumerate(parts) if part == "train"]
            by = _by_content([files[n] for n in inner], classes, seed, ("valid",))
            for n, part in zip(inner, by, strict=True):
                parts[n] = part
    elif split == "index":
        parts = [_by_index(file.name) for file in files]
    elif split == "speaker":
        parts = _by_speaker(files, seed)
    else:
        parts = _by_content(files, classes, seed, ("test", "valid"))
    learnt = {f.label for f, p in zip(files, parts, strict=True) if p == "train"}
    for name in classes:
        if name not in learnt:
            raise NotEnough(f"Class {name!r} has no file to learn from.")
    for part in ("valid", "test"):
        if part not in parts:
            raise NotEnough(f"The split {split!r} leaves no file for {part}.")
    return parts


def _by_content(files, classes, seed, held):
    parts = ["train"] * len(files)
    for name in classes:
        mine = [n for n, file in enumerate(files) if file.label == name]
        if len(mine) < LEAST_FILES:
            raise NotEnough(
                f"Class {name!r} has {len(mine)} file{'s' * (len(mine) != 1)} that can "
                f"be used; each class needs {LEAST_FILES}: one to learn from, one to "
                "choose by, one to test."
            )
        mine.sort(key=lambda n: _drawn(files[n].digest, seed))
        each = max(1, round(SHARE * len(mine)))
        for part in held:
            for n in mine[:each]:
                parts[n] = part
            mine = mine[each:]
    return parts


def _by_index(name):
    found = re.search(r"(\d+)$", Path(name).stem)
    if not found:
        raise NotEnough(f"{name}: no number at the end of the name to share out by.")
    number = int(found.group())
    return "test" if number < 5 else "valid" if number < 10 else "train"


def _by_speaker(files, seed):
    speakers = []
    for file in files:
        words = Path(file.name).stem.split("_")
        if len(words) < 3:
            raise NotEnough(f"{file.name}: no speaker, as in CLASS_SPEAKER_NUMBER.")
        speakers.append(words[1])
    order = sorted(set(speakers), key=lambda speaker: _drawn(speaker, seed))
    if len(order) < 3:
        raise NotEnough(
            f"To hold speakers back, three are needed. There are {len(order)}."
        )
    each = max(1, round(SHARE * len(order)))
    part_of = dict.fromkeys(order, "train")
    part_of |= dict.fromkeys(order[:each], "test")
    part_of |= dict.fromkeys(order[each : 2 * each], "valid")
    return [part_of[speaker] for speaker in speakers]


def _drawn(word, seed):
    return hashlib.sha256(f"{seed}/{word}".encode()).digest()

"""A mixture into its parts: the network's masks, put on the sound as it came.

The network hears mono at 16 kHz; its masks are carried over to the spectrum of each
channel at the file's own rate. They sum to one, and so the parts to the mixture.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio_models import numpy_ops
from audio_models.separation import SEPARATORS
from data_pipelines.audio import Waveform, read_sound, resample
from data_pipelines.float_wav import float_wav_header
from data_pipelines.mixtures import STEMS, mixture_level
from data_pipelines.spectra import istft, stft
from studio.errors import NothingUsable, WrongUsage

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "bundles" / "separate"
BLOCK_SECONDS = 30.0  # read by the network at a time
OVERLAP_SECONDS = 2.0  # of blocks, in which one fades into the next


@dataclass(frozen=True)
class Separator:
    """A network of masks, and the spectrum that it reads.

    Args:
        architecture: one of `SEPARATORS`, built.
        weights: dict of name -> float32 array.
        sample_rate: int, Hz.
        window, hop: int, as for `spectra.stft`.
        stems: tuple of str, the names of the parts.
    """

    architecture: object
    weights: dict
    sample_rate: int = 16_000
    window: int = 1024
    hop: int = 512
    stems: tuple = STEMS

    def masks(self, samples):
        """The masks of a mono sound at `sample_rate`: float32 (T, F, K)."""
        spectrum = stft(samples, window=self.window, hop=self.hop)
        magnitudes = np.abs(spectrum) / mixture_level(samples, self.window)
        masks, _ = self.architecture.forward(
            numpy_ops, self.weights, magnitudes[None].astype(np.float32)
        )
        return masks[0]

    def part(self, samples):
        """The parts of a mono sound at `sample_rate`: float32 (N,) -> (K, N)."""
        sizes = {"window": self.window, "hop": self.hop}
        masked = stft(samples, **sizes) * self.masks(samples).transpose(2, 0, 1)
        return istft(masked, len(samples), **sizes)


def open_separator(folder=None):
    """Open a separator by its folder; the shipped one by None.

    Raises:
        WrongUsage: if there is none.
        NothingUsable: if it is damaged, or a bundle of something else.
    """
    from audio_models.bundle import BadBundle, load_bundle

    folder = SHIPPED if folder is None else Path(folder)
    if not folder.is_dir():
        raise WrongUsage(
            f"There is no separator at {folder}; "
            "`python -m studio.bench_separate FOLDER` trains one."
        )
    try:
        bundle = load_bundle(folder)
    except BadBundle as error:
        raise NothingUsable(str(error)) from None
    if type(bundle.architecture) not in SEPARATORS.values():
        raise NothingUsable(
            f"{folder} holds a model called {bundle.model_name!r}, which separates "
            f"nothing; wanted is one of {', '.join(SEPARATORS)}."
        )
    return _separator(folder, bundle)


def _separator(folder, bundle):
    told, architecture = bundle.vocabulary, bundle.architecture
    names = ("sample_rate", "window", "hop")
    numbers = [told.get(name) for name in names]
    stems = told.get("stems")
    fits = (
        all(type(number) is int for number in numbers)
        and 1000 <= numbers[0] <= 384_000
        and numbers[1] == 2 * (architecture.num_bins - 1)
        and 1 <= numbers[2] <= numbers[1] // 2
        and numbers[1] % numbers[2] == 0
        and isinstance(stems, list)
        and len(set(map(str, stems))) == architecture.num_stems
        and all(isinstance(name, str) and name.isidentifier() for name in stems)
    )
    if not fits:
        raise NothingUsable(
            f"{folder} is no sound bundle: its spectrum and its stems do not fit "
            "its model."
        )
    return Separator(architecture, bundle.weights, *numbers, tuple(stems))


def read_mixture(path):
    """The sound of a file: a `guard.Reading`, as of `audio.read_sound`.

    Raises:
        WrongUsage: if there is no such file.
        NothingUsable: naming the file and what is wrong with it.
    """
    from data_pipelines.guard import Refused

    path = Path(path)
    if not path.exists():
        raise WrongUsage(f"No such file: {path}")
    try:
        return read_sound(path)
    except Refused as refused:
        why = _what_it_holds(path) or ": ".join(filter(None, refused.args))
        if refused.detail == "silence":
            why = "silence"  # and not "no notes"
        raise NothingUsable(
            f"{path}: {why.rstrip('.')}; wanted is a WAV, FLAC, Ogg or AIFF file "
            "with sound in it."
        ) from None


def _what_it_holds(path):
    """The words for a file of another kind than sound; none where it is sound."""
    from data_pipelines.guard import Refused, sniff

    try:
        form = sniff(path)
    except Refused as refused:
        return refused.reason if refused.reason == "empty file" else ""
    return "" if form == "audio" else f"it holds {form}, no sound"


def separated(waveform, separator, *, block_seconds=BLOCK_SECONDS):
    """The parts of a sound, some seconds at a time.

    Args:
        waveform: `Waveform` of any rate and number of channels.
        separator: `Separator`.
        block_seconds: float, how much is read at a time, above twice the overlap.

    Yields:
        float32 array (K, n, C): what follows of each part. Together they are as long as
        the sound, and the sum of the parts is the sound, up to rounding. Memory does
        not grow with its length.
    """
    samples, rate = waveform.samples, waveform.sample_rate
    overlap = round(OVERLAP_SECONDS * rate)
    step = max(overlap + 1, round(block_seconds * rate) - overlap)
    fade = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32)) ** 2
    fade = fade[None, :, None]
    tail, begin = None, 0
    while True:
        block = samples[begin : begin + step + overlap]
        is_last = begin + len(block) >= len(samples)
        parts = _parts(block, rate, separator)
        if tail is not None:
            width = tail.shape[1]
            rise = fade[:, :width]
            parts[:, :width] = rise * parts[:, :width] + (1 - rise) * tail
        if is_last:
            yield parts
            return
        yield parts[:, :step]
        tail, begin = parts[:, step:], begin + step


def _parts(block, rate, separator):
    """The parts of one block (n, C): float32 (K, n, C)."""
    heard = resample(Waveform(block, rate), separator.sample_rate).mono()
    if not len(heard):
        heard = np.zeros(1, dtype=np.float32)
    masks = separator.masks(heard)  # (T, F, K)
    hop = max(1, round(separator.hop * rate / separator.sample_rate))
    window = hop * (separator.window // separator.hop)
    if window % 2:
        hop, window = hop + 1, window + window // hop
    spectra = stft(block.T, window=window, hop=hop)  # (C, T', F')
    masks = _carried_over(masks, separator, spectra.shape[1:], rate, window, hop)
    masked = masks.transpose(2, 0, 1)[:, None] * spectra  # (K, C, T', F')
    parts = istft(masked, len(block), window=window, hop=hop)
    return np.ascontiguousarray(parts.transpose(0, 2, 1))


def _carried_over(masks, separator, shape, rate, window, hop):
    """Masks (T, F, K) on the frames and bins (T', F') of another spectrum.

    Straight lines between the nearest, so that what summed to one does so still; above
    the highest bin, the highest.
    """
    if shape == masks.shape[:2] and rate == separator.sample_rate:
        return masks
    # Frame t lies around sample t * hop + hop - window / 2: see `spectra.stft`.
    centres = (np.arange(shape[0]) * hop + hop - window / 2) / rate
    place = centres * separator.sample_rate + separator.window / 2 - separator.hop
    masks = _between(masks, place / separator.hop, axis=0)
    hertz = np.arange(shape[1]) * rate / window
    return _between(masks, hertz * separator.window / separator.sample_rate, axis=1)


def _between(array, places, axis):
    """The values of an array between its indices along an axis, by straight lines."""
    last = array.shape[axis] - 1
    places = np.clip(places, 0, last)
    below = np.minimum(places.astype(int), max(0, last - 1))
    share = (places - below).astype(np.float32)
    share = share.reshape([-1 if n == axis else 1 for n in range(array.ndim)])
    one = np.take(array, below, axis=axis)
    return one + share * (np.take(array, np.minimum(below + 1, last), axis=axis) - one)


def separate(path, folder, *, model=None):
    """Part the sound of a file into files, one for each stem.

    Args:
        path: str or Path of the mixture.
        folder: Path; stems go to ``STEM.wav`` in it, as long as the mixture, of its
            rate and channels, in 32-bit floats, so that they sum to it.
        model: Path of a separator's folder; None for the shipped one.

    Returns:
        (list of Path, `Waveform`, tuple of str: what the reader had to say,
        dict of stem -> level over the mixture's, in dB).

    Raises:
        WrongUsage, NothingUsable: as `read_mixture` and `open_separator`.
        MachineFailed: if the folder cannot be written.
    """
    from studio.outputs import check_folder

    reading = read_mixture(path)
    waveform = reading.contents[0]
    separator = open_separator(model)
    shortest = separator.window / separator.sample_rate
    if waveform.seconds < shortest:
        raise NothingUsable(
            f"{path}: {waveform.seconds:.3f} s of sound; a separation needs "
            f"{shortest:.3f} s at least."
        )
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise WrongUsage(f"{folder} is a file; name a folder for the stems.")
    check_folder(folder)
    paths = [folder / f"{stem}.wav" for stem in separator.stems]
    if Path(path).resolve() in [each.resolve() for each in paths]:
        raise WrongUsage(f"{path} would be overwritten; name another folder.")
    if taken := [each for each in paths if each.is_dir()]:
        raise WrongUsage(f"{taken[0]} is a folder; name another folder for the stems.")
    energies = _write_parts(paths, waveform, separated(waveform, separator))
    whole = np.square(waveform.samples, dtype=np.float64).sum()
    levels = 10 * np.log10(np.maximum(energies / whole, 1e-12))
    told = dict(zip(separator.stems, levels.tolist(), strict=True))
    return paths, waveform, reading.left_out, told


def _write_parts(paths, waveform, blocks):
    """Write the parts as they come, each file whole or not at all; their energies."""
    energies = np.zeros(len(paths))
    beside = [path.with_name(f".{path.name}.part") for path in paths]
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(open(each, "wb")) for each in beside]
            for file in files:
                file.write(float_wav_header(waveform))
            for block in blocks:
                energies += np.square(block, dtype=np.float64).sum(axis=(1, 2))
                for file, part in zip(files, block, strict=True):
                    file.write(np.ascontiguousarray(part, dtype="<f4").data)
        for each, path in zip(beside, paths, strict=True):
            os.replace(each, path)
    finally:
        for each in beside:
            each.unlink(missing_ok=True)
    return energies

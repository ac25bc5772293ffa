"""Sound as numbers: waveforms, their files, their sample rates, their 8-bit codes."""

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole
from data_pipelines.guard import Reading, Refused
from data_pipelines.score import LONGEST_SECONDS

FULL_SCALE = 2**15  # of 16-bit samples, of which the highest is one less
FORMATS = {".wav": "WAV", ".flac": "FLAC"}
LOWEST_RATE, HIGHEST_RATE = 1_000, 384_000  # Hz
MOST_CHANNELS = 32
LARGEST_DECODED_BYTES = 3 * 2**29  # in memory, as float32
# How far a file may unfold: Opus at its lowest rate reaches 250 times its size, FLAC of
# a sound that never changes 1,000 times. Short files are let off.
LARGEST_UNFOLDING = 500
SMALL_BYTES = 2**26
BLOCK_SAMPLES = 2**18  # read at a time
MOST_CHUNKS = 1_000  # in a WAV file, before its sound begins
UNKNOWN_SIZES = (0xFFFFFFFF, 0x7FFFF000)  # of WAV out of a pipe: ffmpeg's, SoX's
UNKNOWN_FRAMES = 2**63 - 1  # as libsndfile says it


@dataclass(frozen=True)
class Waveform:
    """A sound: the pressure on each channel at each instant.

    Args:
        samples: float array (N, C), kept as float32 and read-only, not copied where it
            is float32 already. Full scale is 1; louder samples are allowed. N may be 0.
        sample_rate: int in 1,000..384,000, in Hz.
        title: str, for people.
        label: str, the class it is an example of, such as "snare"; "" for none.

    Raises:
        ValueError: if the shape, a sample or the rate cannot be.
    """

    samples: np.ndarray
    sample_rate: int
    title: str = ""
    label: str = ""

    def __post_init__(self):
        given = np.asarray(self.samples)
        if given.ndim != 2 or not 1 <= given.shape[1] <= MOST_CHANNELS:
            raise ValueError(
                f"`samples` must be of shape (N, C), C in 1..{MOST_CHANNELS}. "
                f"Received: {given.shape}"
            )
        if given.dtype.kind != "f":
            raise ValueError(
                f"`samples` must be floats, full scale 1. Received: {given.dtype}"
            )
        with np.errstate(over="ignore"):  # what is too large for float32 becomes inf
            samples = given.astype(np.float32, copy=False).view()
        if not _is_finite(samples):
            raise ValueError("The waveform holds samples that are not finite.")
        samples.setflags(write=False)
        object.__setattr__(self, "samples", samples)
        check_rate(self.sample_rate)

    def __len__(self):
        return len(self.samples)

    def __eq__(self, other):
        if not isinstance(other, Waveform):
            return NotImplemented
        return (
            np.array_equal(self.samples, other.samples)
            and self.sample_rate == other.sample_rate
            and (self.title, self.label) == (other.title, other.label)
        )

    __hash__ = None  # holds an array

    @property
    def seconds(self):
        """How long it lasts."""
        return len(self.samples) / self.sample_rate

    def mono(self):
        """The mean of the channels: float32 array (N,)."""
        if self.samples.shape[1] == 1:
            return self.samples[:, 0]
        return self.samples.mean(axis=1, dtype=np.float32)


def check_rate(sample_rate):
    """Raises ValueError unless `sample_rate` is an int in 1,000..384,000."""
    is_int = isinstance(sample_rate, (int, np.integer))
    if not (is_int and LOWEST_RATE <= sample_rate <= HIGHEST_RATE):
        raise ValueError(
            f"`sample_rate` must be an integer in {LOWEST_RATE:,}..{HIGHEST_RATE:,} Hz. "
            f"Received: {sample_rate!r}"
        )


def read_waveform(path):
    """The `Waveform` in a file; as `read_sound` otherwise."""
    return read_sound(path).contents[0]


def read_sound(path):
    """Read a file of sound: WAV, RF64, AIFF, FLAC, Ogg Vorbis or Opus.

    What the header says is bounded before anything is decoded.

    Args:
        path: str or Path.

    Returns:
        `guard.Reading` of one `Waveform`. Where the sound ends before its header says
        so, as in a copy cut short, ``left_out`` says when.

    Raises:
        Refused: if it cannot be read, holds no sample, or nothing but silence; if a
            sample is not finite; over two hours, 32 channels or 1.5 GiB in memory; of a
            rate outside 1,000..384,000 Hz; or if it unfolds like no recording does.
    """
    import soundfile

    path = Path(path)
    try:
        size = _size_of_regular(path)
        with _SoundBytes(io.FileIO(path)) as file:
            excess = _promised_excess(file, size)
            file.seek(0)
            with soundfile.SoundFile(file) as sound:
                # Else it seeks after each block, which a FLAC cut short cannot do.
                sound.seekable = lambda: False
                _check_header(sound, size)
                samples, promised = _read_blocks(sound, size)
                rate = sound.samplerate
    except soundfile.LibsndfileError as error:
        raise Refused("damaged", error.error_string) from None
    except OSError as error:
        raise Refused("unreadable", error.strerror or str(error)) from None
    if not len(samples):
        raise Refused("empty file", "no sample")
    if not _is_finite(samples):
        raise Refused("damaged", "it holds samples that are not finite")
    if not samples.any():
        raise Refused("no notes", "silence")
    promised = max(promised, round(len(samples) * excess))
    waveform = Waveform(samples, rate, title=path.stem)
    return Reading((waveform,), _broken_promise(len(samples), promised, rate))


def write_audio(path, waveform, sample_rate):
    """Write a waveform as 16-bit WAV or FLAC, by the suffix, whole or not at all.

    Args:
        path: str or Path ending in .wav or .flac.
        waveform: float array (samples,) or (samples, channels), amplitude in [-1, 1].
        sample_rate: int, in Hz.

    Raises:
        ValueError: if the suffix is another, or a sample is not finite.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"`path` must end in .wav or .flac. Received: {path.name}")
    write_whole(path, audio_bytes(waveform, sample_rate, FORMATS[path.suffix.lower()]))


def audio_bytes(waveform, sample_rate, form="WAV"):
    """As `write_audio`, the bytes of the file. Args: form: "WAV" or "FLAC"."""
    import soundfile

    if not np.isfinite(waveform).all():
        raise ValueError("The waveform holds samples that are not finite.")
    buffer = io.BytesIO()
    # Rounded here: libsndfile rounds in FLAC, and cuts the fraction off in WAV.
    steps = np.rint(np.clip(waveform, -1, 1) * FULL_SCALE)
    steps = np.minimum(steps, FULL_SCALE - 1).astype(np.int16)
    soundfile.write(buffer, steps, sample_rate, format=form, subtype="PCM_16")
    return buffer.getvalue()


def resample(waveform, sample_rate):
    """The same sound at another sample rate, its pitch and length kept.

    What the new rate cannot hold, above half of it, is filtered out (soxr, quality HQ);
    peaks may come out a little higher.

    Args:
        waveform: `Waveform`.
        sample_rate: int in 1,000..384,000, in Hz.

    Returns:
        `Waveform` of as many seconds, to the nearest sample.

    Raises:
        ValueError: if the rate lies outside.
    """
    check_rate(sample_rate)
    if waveform.sample_rate == sample_rate:
        return waveform
    import soxr

    samples = soxr.resample(
        waveform.samples, waveform.sample_rate, sample_rate, quality="HQ"
    )
    return Waveform(samples, sample_rate, waveform.title, waveform.label)


def mu_law_encode(samples, mu=255):
    """Quantize samples to ``mu + 1`` levels, finest near silence.

    Args:
        samples: float array of any shape, amplitude in [-1, 1].
        mu: int. 255 gives the 8-bit code of telephony.

    Returns:
        int32 array of the same shape, in [0, mu]. Silence is ``(mu + 1) // 2``.

    Raises:
        ValueError: if a sample lies outside [-1, 1] or is not finite.

    Reference:
        ITU-T G.711; van den Oord et al., 2016, WaveNet,
        https://arxiv.org/abs/1609.03499, section 2.2. The curve is computed, where
        G.711 joins eight straight lines, and codes rise with the sample.
    """
    samples = np.asarray(samples, dtype=np.float64)
    if not np.all(np.abs(samples) <= 1.0):  # also false for NaN
        raise ValueError(
            "Amplitudes must lie in [-1, 1]. "
            f"Received a peak of {np.max(np.abs(samples))}"
        )
    compressed = np.sign(samples) * np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    return np.floor((compressed + 1) / 2 * mu + 0.5).astype(np.int32)


def mu_law_decode(codes, mu=255):
    """Undo `mu_law_encode`, up to half a quantization step.

    No code of an odd `mu` means exactly 0: that of silence gives 0.00009, which is 81 dB
    below full scale.

    Args:
        codes: int array of any shape, in [0, mu].
        mu: int. Must match the encoder's.

    Returns:
        float32 array of the same shape, amplitude in [-1, 1].
    """
    compressed = 2 * np.asarray(codes, dtype=np.float64) / mu - 1
    magnitude = np.expm1(np.abs(compressed) * np.log1p(mu)) / mu
    return (np.sign(compressed) * magnitude).astype(np.float32)


class _SoundBytes(io.BufferedReader):
    """The bytes of a file, as libsndfile asks for them through soundfile."""

    name = ""  # soundfile would believe the suffix of one

    def seek(self, offset, whence=os.SEEK_SET):
        """As ever; but a broken header may send us before the beginning: stay then."""
        try:
            return super().seek(offset, whence)
        except OSError:
            return self.tell()


def _is_finite(samples):
    """Whether each sample is, without a second array as large as the first."""
    return not samples.size or bool(
        np.isfinite(samples.min()) and np.isfinite(samples.max())
    )


def _size_of_regular(path):
    """The bytes of a file; a pipe would have us wait for ever.

    Raises:
        Refused: if it is none.
        OSError: if it is not there.
    """
    try:
        status = path.stat()
    except ValueError as error:  # a NUL in the name
        raise Refused("unreadable", str(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not a regular file", "a folder, a pipe, a device or a socket")
    return status.st_size


def _check_header(sound, size):
    if not LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE:
        raise Refused(
            "damaged",
            f"a sample rate of {sound.samplerate:,} Hz; "
            f"{LOWEST_RATE:,} to {HIGHEST_RATE:,} are read",
        )
    if sound.channels > MOST_CHANNELS:
        raise Refused(
            "too large",
            f"{sound.channels} channels, at most {MOST_CHANNELS} are read",
        )
    if sound.frames == UNKNOWN_FRAMES:
        return
    if sound.frames > LONGEST_SECONDS * sound.samplerate:
        hours = sound.frames / sound.samplerate / 3600
        raise Refused("too long", f"{hours:,.1f} hours, at most 2 are read")
    most = _largest_decoded(size)
    if (decoded := 4 * sound.frames * sound.channels) > most:
        raise Refused(
            "too large",
            f"it unfolds to {decoded:,} bytes; of {size:,}, at most {most:,} are read",
        )


def _largest_decoded(size):
    """How many bytes a file of `size` may become in memory."""
    return min(LARGEST_DECODED_BYTES, max(SMALL_BYTES, LARGEST_UNFOLDING * size))


def _read_blocks(sound, size):
    """The samples that are there, float32 (N, C), and how many frames were promised."""
    import soundfile

    is_promised = sound.frames != UNKNOWN_FRAMES
    most = min(
        _largest_decoded(size) // (4 * sound.channels),
        LONGEST_SECONDS * sound.samplerate,
    )
    frames = sound.frames if is_promised else most + 1
    # Memory that nothing is written to is not taken, whatever a header promises.
    samples = np.empty((frames, sound.channels), dtype=np.float32)
    step, done = max(1, BLOCK_SAMPLES // sound.channels), 0
    while done < frames:
        try:
            got = len(sound.read(out=samples[done : done + step]))
        except soundfile.LibsndfileError:  # damaged from here on
            got = max(0, sound.tell() - done)
            frames = done + got
        if not got:
            break
        done += got
    if done > most:
        raise Refused(
            "too large", f"it does not say how long it is, and exceeds {most:,} samples"
        )
    promised = sound.frames if is_promised else done
    return (samples if done == len(samples) else samples[:done].copy()), promised


def _promised_excess(file, size):
    """How many times as much sound as there is a WAV or AIFF header promises.

    Returns:
        float: 1.0 where it keeps its promise, or gives none.
    """
    head = file.read(12)
    kind, form = head[:4], head[8:]
    if kind in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        order, preamble = "little", 0
    elif kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        order, preamble = "big", 8  # offset and block size stand before the samples
    else:
        return 1.0
    long_size = None
    for _ in range(MOST_CHUNKS):
        name, field = file.read(4), file.read(4)
        if len(field) < 4:
            break
        length = int.from_bytes(field, order)
        if name == b"ds64":  # RF64 has its sizes here, in 64 bits
            long_size = int.from_bytes(file.read(length)[8:16], order)
        elif name in (b"data", b"SSND"):
            if length == 0xFFFFFFFF and long_size is not None:
                length = long_size
            elif length in UNKNOWN_SIZES:
                break
            there = size - file.tell() - preamble
            return max(1.0, (length - preamble) / there) if there > 0 else 1.0
        else:
            file.seek(length + length % 2, os.SEEK_CUR)
    return 1.0


def _broken_promise(there, promised, rate):
    """The sentence about what is missing; no sentence where nothing is."""
    if promised <= there:
        return ()
    found, wanted = (f"{frames / rate:.1f}" for frames in (there, promised))
    unit = "s"
    if found == wanted:
        found, wanted, unit = f"{there:,}", f"{promised:,}", "samples"
    return (f"ends after {found} of {wanted} {unit} that its header promises",)

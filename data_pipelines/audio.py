"""Waveforms on disk."""

import io
from pathlib import Path

import numpy as np

from data_pipelines.files import write_whole

FORMATS = {".wav": "WAV", ".flac": "FLAC"}


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
    import soundfile

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"`path` must end in .wav or .flac. Received: {path.name}")
    if not np.isfinite(waveform).all():
        raise ValueError("The waveform holds samples that are not finite.")
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        waveform,
        sample_rate,
        format=FORMATS[path.suffix.lower()],
        subtype="PCM_16",
    )
    write_whole(path, buffer.getvalue())

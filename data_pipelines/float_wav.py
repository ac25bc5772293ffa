"""WAV files of 32-bit floats, always the same bytes for the same sound.

Laid out here, since libsndfile adds a chunk with the time of day.
"""

import struct

import numpy as np

FLOAT = 3  # the code of the format


def float_wav_header(waveform):
    """What stands before the samples of a `Waveform` in such a file."""
    (length, channels), rate = waveform.samples.shape, waveform.sample_rate
    frame = 4 * channels
    size = length * frame
    return struct.pack(
        "<4sI4s4sIHHIIHHH4sII4sI",
        *(b"RIFF", 50 + size, b"WAVE"),
        *(b"fmt ", 18, FLOAT, channels, rate, rate * frame, frame, 32, 0),
        *(b"fact", 4, length),
        *(b"data", size),
    )


def float_wav(waveform):
    """The bytes of such a file."""
    data = np.ascontiguousarray(waveform.samples, dtype="<f4").tobytes()
    return float_wav_header(waveform) + data

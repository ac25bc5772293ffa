"""What the labs play: `hear` gives a `Sound` that a notebook shows as a player."""

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

SAMPLE_RATE = 22_050  # of what a notebook embeds: half the size of a CD's
LONGEST = 40.0  # seconds


@dataclass(frozen=True)
class Sound:
    """A WAV that a notebook plays."""

    wav: bytes
    seconds: float
    title: str = ""

    def _repr_html_(self):
        data = base64.b64encode(self.wav).decode()
        return (
            f'<figure style="margin:0"><figcaption>{escape(self.title)}</figcaption>'
            f'<audio controls src="data:audio/wav;base64,{data}"></audio></figure>'
        )

    def __repr__(self):
        return f"{self.seconds:.1f} s of sound. {self.title}".strip()

    def save(self, path):
        """Write the WAV; its path comes back."""
        Path(path).write_bytes(self.wav)
        return Path(path)


def hear(music, sample_rate=None, *, title=""):
    """Something to play.

    Args:
        music: a `Score`, rendered by the kit; or float samples (N,) or (N, C) in
            [-1, 1], which need a `sample_rate`.
        sample_rate: int, Hz, of samples.
        title: str, set above the player.

    Returns:
        `Sound`, of `LONGEST` seconds at most.

    Raises:
        ValueError: if there is nothing to hear, or samples come without a rate.
    """
    from data_pipelines.audio import audio_bytes

    if hasattr(music, "notes"):
        from data_pipelines.render import render

        rendering = render(music, sample_rate=SAMPLE_RATE, engine="auto")
        samples, sample_rate = rendering.waveform, SAMPLE_RATE
    elif sample_rate is None:
        raise ValueError("Samples need a `sample_rate` in Hz. Received: None")
    else:
        samples = np.asarray(music, np.float32)
    samples = samples[: int(LONGEST * sample_rate)]
    if not samples.size or not np.abs(samples).max() > 1e-4:
        raise ValueError("There is nothing to hear: every sample is silent.")
    return Sound(audio_bytes(samples, sample_rate), len(samples) / sample_rate, title)

"""A sound to look at: its waveform over its spectrogram."""

import io

import numpy as np

from data_pipelines.files import write_whole

LOWEST_DB = -90.0  # below the loudest, what is drawn as nothing
INK, PAPER, ACCENT = "#1d2733", "#ffffff", "#2f6f9f"
MOST_POINTS = 4000  # of a waveform, lowest and highest of each stretch


def write_sound_picture(path, waveform, title="", given_seconds=0.0):
    """Write a picture of a sound, .png by its suffix.

    Args:
        path: str or Path.
        waveform: `Waveform`; its channels are mixed.
        title: str.
        given_seconds: float, where a line marks that new sound begins; 0 draws none.
    """
    write_whole(path, sound_picture(waveform, title, given_seconds))


def sound_picture(waveform, title="", given_seconds=0.0):
    """As `write_sound_picture`: the bytes of a PNG."""
    from matplotlib.figure import Figure

    samples = waveform.mono()
    rate = waveform.sample_rate
    seconds = max(len(samples), 1) / rate
    figure = Figure(figsize=(9, 4.6), dpi=110, facecolor=PAPER, layout="constrained")
    wave, spectrum = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    at, low, high = _outline(samples, rate)
    wave.fill_between(at, low, high, color=ACCENT, linewidth=0.4)
    wave.set_ylim(-1.02, 1.02)
    wave.set_ylabel("amplitude", color=INK)
    level = _spectrogram(samples, rate)
    spectrum.imshow(
        level,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=LOWEST_DB,
        vmax=0,
        extent=(0, seconds, 0, rate / 2000),
    )
    spectrum.set_ylabel("kHz", color=INK)
    spectrum.set_xlabel("seconds", color=INK)
    spectrum.set_xlim(0, seconds)
    if given_seconds:
        for axes in (wave, spectrum):
            axes.axvline(given_seconds, color="#d1662e", linewidth=1.4)
    if title:
        wave.set_title(title, loc="left", color=INK, fontsize=10)
    for axes in (wave, spectrum):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _outline(samples, rate):
    """(seconds, lowest, highest) of each stretch of a sound."""
    if not len(samples):
        return np.zeros(1), np.zeros(1), np.zeros(1)
    size = -(-len(samples) // MOST_POINTS)
    padded = np.pad(samples, (0, -len(samples) % size), mode="edge").reshape(-1, size)
    at = (np.arange(len(padded)) + 0.5) * size / rate
    return at, padded.min(axis=1), padded.max(axis=1)


def _spectrogram(samples, rate):
    """Level in dB below the loudest, float array (bins, frames)."""
    size = int(2 ** np.ceil(np.log2(max(64, 0.025 * rate))))
    hop = max(1, min(size // 4, -(-len(samples) // 400)))
    padded = np.pad(samples.astype(np.float64), (size // 2, size))
    starts = np.arange(0, max(1, len(samples)), hop)[:2000]
    if len(starts) * hop < len(samples):  # of a long sound not every frame is drawn
        starts = np.linspace(0, len(samples) - 1, 2000).astype(int)
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    level = 10 * np.log10(power + 1e-12)
    return (level - level.max()).T


def sound_grid(rows, titles):
    """Spectrograms side by side, in rows to compare: the bytes of a PNG.

    Args:
        rows: dict of a row's name -> list of `Waveform`, all of one length; columns
            share their scales of time and level.
        titles: list of str, of the columns.
    """
    from matplotlib.figure import Figure

    height, width = 1.5 * len(rows) + 0.5, 1.2 * len(titles) + 0.4
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    is_top = True
    for across, (name, sounds) in zip(axes, rows.items(), strict=True):
        for place, (box, sound) in enumerate(zip(across, sounds, strict=True)):
            rate, seconds = sound.sample_rate, len(sound) / sound.sample_rate
            longest = max(
                len(row[place]) / row[place].sample_rate for row in rows.values()
            )
            box.imshow(
                _spectrogram(sound.mono(), rate),
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=LOWEST_DB,
                vmax=0,
                extent=(0, seconds, 0, rate / 2000),
            )
            box.set_xlim(0, longest)
            box.set_facecolor("black")
            box.tick_params(colors=INK, labelsize=6)
            if place:
                box.set_yticks([])
            if is_top:
                box.set_title(titles[place], color=INK, fontsize=8)
        across[0].set_ylabel(f"{name}, kHz", color=INK, fontsize=8)
        is_top = False
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

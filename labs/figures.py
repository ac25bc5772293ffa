"""The pictures of the labs, in one style: each function gives a `Picture`.

A picture shows itself as the last line of a cell, and `save`s itself elsewhere.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import numpy as np

from data_pipelines.piano_roll import FAINT, INK, PAPER, TRACK_COLOURS

DPI = 110
STYLE = {
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "font.size": 10,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}
HEAT = ("#fbfaf7", "#f0c9a8", "#c2452d", "#5a1a12")  # paper to ink, through red


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows."""

    png: bytes
    says: str = ""  # for who cannot see it

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"image/png": self.png, "text/plain": self.says}

    def __repr__(self):
        return self.says

    def save(self, path):
        """Write the PNG; its path comes back."""
        Path(path).write_bytes(self.png)
        return Path(path)


def roll(score, title="", marks=()):
    """A piano roll of a `Score`; rows of its notes can be pointed out by number."""
    from data_pipelines.piano_roll import piano_roll_png

    return Picture(
        piano_roll_png(score, title=title, marks=marks),
        f"Piano roll, {len(score.notes)} notes. {title}".strip(),
    )


def curves(lines, *, x="", y="", title="", log_x=False, log_y=False, floors=()):
    """Curves over one axis.

    Args:
        lines: dict of name -> values (T,), or (x values (T,), values (T,)).
        x, y, title: str, what stands at the axes and above.
        log_x, log_y: bool, whether an axis counts in powers.
        floors: dict of name -> value: a dashed level each.
    """
    with _drawn(7.2, 3.6) as (figure, axes):
        for number, (name, values) in enumerate(lines.items()):
            at, values = (
                values
                if isinstance(values, tuple)
                else (np.arange(len(values)), values)
            )
            axes.plot(at, values, label=name, color=_colour(number), marker=_mark(at))
        for number, (name, level) in enumerate(dict(floors).items()):
            axes.axhline(level, color=INK, linestyle=("--", ":", "-.")[number % 3],
                         linewidth=1.2, label=f"{name} {level:.3g}")  # fmt: skip
        if log_x:
            axes.set_xscale("log")
        if log_y:
            axes.set_yscale("log")
        axes.set(xlabel=x, ylabel=y, title=title)
        if len(lines) + len(floors) > 1:
            axes.legend()
        return _picture(figure, f"Curves of {', '.join(lines)}. {title}")


def columns(values, *, y="", title="", floor=None, spread=None):
    """A column for each of a few numbers.

    Args:
        values: dict of name -> number.
        y, title: str.
        floor: (name, number), a dashed level to compare with, or None.
        spread: dict of name -> (low, high) of an interval, or None.
    """
    with _drawn(max(4.0, 0.9 * len(values) + 1.6), 3.4) as (figure, axes):
        at = np.arange(len(values))
        colours = [_colour(number) for number in at]
        axes.bar(at, list(values.values()), 0.62, color=colours)
        for place, (name, value) in enumerate(values.items()):
            ends = (spread or {}).get(name, ())
            axes.annotate(f"{value:.3g}", (place, max(value, *ends, value)), (0, 3),
                          ha="center", textcoords="offset points")  # fmt: skip
            if len(ends):
                axes.plot([place, place], ends, color=INK, linewidth=1.4)
        if floor:
            axes.axhline(floor[1], color=INK, linestyle="--", linewidth=1.2,
                         label=f"{floor[0]} {floor[1]:.3g}")  # fmt: skip
            axes.legend()
        axes.set_xticks(at, [fill(str(name), 14) for name in values])
        axes.margins(y=0.1)  # room for the numbers
        axes.grid(axis="x", visible=False)
        axes.set(ylabel=y, title=title)
        told = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        return _picture(figure, f"Columns: {told}. {title}")


def heat(matrix, *, x="", y="", x_ticks=None, y_ticks=None, title="", numbers=False):
    """A matrix as a map: attention (from row to column), gates, confusion.

    Args:
        matrix: float array (rows, columns); row 0 is drawn on top.
        x, y, title: str.
        x_ticks, y_ticks: names of the columns and rows, or None.
        numbers: bool, whether each value is written into its field.
    """
    from matplotlib.colors import LinearSegmentedColormap

    matrix = np.asarray(matrix, float)
    rows, across = matrix.shape
    wide = float(np.clip(0.34 * across + 1.8, 3.6, 10.0))
    tall = float(np.clip(0.34 * rows + 1.2, 2.2, 8.0))
    with _drawn(wide, tall) as (figure, axes):
        painted = axes.imshow(matrix, aspect="auto", interpolation="nearest",
                              cmap=LinearSegmentedColormap.from_list("etude", HEAT))  # fmt: skip
        axes.grid(visible=False)
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_major_locator().set_params(integer=True)  # no half a row
        if x_ticks is not None:
            axes.set_xticks(np.arange(across), list(x_ticks), rotation=_turn(x_ticks))
        if y_ticks is not None:
            axes.set_yticks(np.arange(rows), list(y_ticks))
        if numbers:
            middle = (np.nanmin(matrix) + np.nanmax(matrix)) / 2
            for row, column in np.ndindex(rows, across):
                value = matrix[row, column]
                axes.annotate(f"{value:.2g}", (column, row), ha="center", va="center",
                              color=PAPER if value > middle else INK, fontsize=8)  # fmt: skip
        axes.set(xlabel=x, ylabel=y, title=title)
        figure.colorbar(painted, ax=axes, fraction=0.04, pad=0.02).outline.set_visible(
            False
        )
        return _picture(figure, f"Map of {rows} by {across}. {title}")


def cloud(lots, *, x="", y="", title="", radius=None):
    """Points of a plane: many as dots, a few as discs, the last lot on top.

    Args:
        lots: dict of name -> float array (N, 2).
        x, y, title: str.
        radius: float, how far the axes reach from 0; as far as the points by default.
    """
    with _drawn(5.2, 4.4) as (figure, axes):
        for number, (name, points) in enumerate(lots.items()):
            many = len(points) > 100
            axes.scatter(*np.asarray(points).T, s=3 if many else 42, label=name,
                         color=_colour(number), alpha=0.5 if many else 1.0,
                         edgecolors="none" if many else INK, zorder=2 + number)  # fmt: skip
        if radius:
            axes.set(xlim=(-radius, radius), ylim=(-radius, radius))
        axes.set(xlabel=x, ylabel=y, title=title, aspect="equal")
        if len(lots) > 1:
            axes.legend(loc="upper left")
        return _picture(figure, f"Points of {', '.join(lots)}. {title}")


def waves(waveform, sample_rate, *, title="", seconds=None):
    """A waveform and its spectrogram.

    Args:
        waveform: float array (N,) or (N, C).
        sample_rate: int, Hz.
        seconds: float, how much from the beginning; all by default.
    """
    from data_pipelines.audio import Waveform
    from data_pipelines.sound_picture import sound_picture

    samples = np.asarray(waveform, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if seconds:
        samples = samples[: int(seconds * sample_rate)]
    png = sound_picture(Waveform(samples, sample_rate), title)
    return Picture(png, f"Waveform and spectrogram. {title}".strip())


def spectrograms(named, *, seconds, hertz, title=""):
    """Maps of time and frequency side by side, on one scale, low frequencies below.

    Args:
        named: dict of name -> float array (T, F).
        seconds, hertz: float, where time and frequency end.
    """
    from matplotlib.colors import LinearSegmentedColormap

    low = min(np.min(one) for one in named.values())
    high = max(np.max(one) for one in named.values())
    colours = LinearSegmentedColormap.from_list("etude", HEAT)
    with _drawn(9.6, 3.4) as (figure, axes):
        axes.remove()
        panels = figure.subplots(1, len(named), sharey=True, squeeze=False)[0]
        for panel, (name, one) in zip(panels, named.items(), strict=True):
            painted = panel.imshow(np.asarray(one).T, aspect="auto", origin="lower",
                                   extent=(0, seconds, 0, hertz / 1000), cmap=colours,
                                   vmin=low, vmax=high)  # fmt: skip
            panel.grid(visible=False)
            panel.set(xlabel=f"{name}, s")
        panels[0].set(ylabel="kHz")
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.colorbar(painted, ax=panels, pad=0.02).outline.set_visible(False)
        return _picture(figure, f"Spectrograms of {', '.join(named)}. {title}")


def _colour(number):
    return TRACK_COLOURS[number % len(TRACK_COLOURS)]


def _mark(at):
    return "o" if len(at) <= 12 else None


def _turn(names):
    return 90 if max(map(len, map(str, names)), default=0) > 3 else 0


class _drawn:
    """A figure in the style, without the state of pyplot."""

    def __init__(self, wide, tall):
        self.size = (wide, tall)

    def __enter__(self):
        import matplotlib
        from matplotlib.figure import Figure

        self.style = matplotlib.rc_context(STYLE)
        self.style.__enter__()
        figure = Figure(figsize=self.size, dpi=DPI, layout="constrained")
        return figure, figure.add_subplot()

    def __exit__(self, *failure):
        self.style.__exit__(*failure)


def _picture(figure, says):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return Picture(stream.getvalue(), says.strip())

"""What the page shows of a job, a take, a run: strings of HTML."""

import json
import re
import time
from functools import lru_cache

import numpy as np

from studio.html import escape
from studio.page.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING
from studio.takes_page import (
    facts_of,
    given_key,
    notes_given,
    roll_legend,
    roll_svg,
)

MARKS = {WAITING: "…", RUNNING: "◠", DONE: "✓", FAILED: "✗", CANCELLED: "–"}
WAVE_COLUMNS = 600
PLOT_WIDTH, PLOT_HEIGHT = 640, 300
PLOT_LEFT, PLOT_TOP, PLOT_BELOW, PLOT_RIGHT = 48, 14, 34, 96


def within(body):
    """HTML in the kit's own style."""
    return f'<div class="etude">{body}</div>'


def nothing(title, text):
    """What stands where nothing is yet: what one may do about it."""
    return within(
        f'<div class="nothing"><p><strong>{escape(title)}</strong></p>'
        f"<p>{escape(text)}</p></div>"
    )


def status(job, place, told="", share=None):
    """A job's line: what it does, its place, or how it ended.

    Args:
        job: `jobs.Job` or None. place: int, how many come before it.
        told: str, plain text, how far it is. share: float in [0, 1] or None.
    """
    if job is None:
        return ""
    if job.state == WAITING:
        others = "one job" if place == 1 else f"{place} jobs"
        text = f"{job.title}: waiting, {others} before it."
    elif job.state == RUNNING:
        seconds = time.monotonic() - job.began
        steps = len(job.commands)
        of = f" {job.step + 1} of {steps}" if steps > 1 else ""
        text = f"{job.title}{of}: {told or f'{seconds:.0f} s'}"
        share = job.step / steps if share is None and steps > 1 else share
    elif job.state == DONE:
        text = f"{job.title}: done in {job.ended - job.began:.1f} s."
    elif job.state == CANCELLED:
        text = f"{job.title}: cancelled. {job.sentence}".strip()
    else:
        text = job.sentence
    bar = (
        f'<progress max="1" value="{share:.3f}" aria-label="How far it is"></progress>'
        if share is not None and job.state == RUNNING
        else ""
    )
    return within(
        f'<div class="status {job.state}" role="status"><span class="mark" '
        f'aria-hidden="true">{MARKS[job.state]}</span><p>{escape(text)}</p>{bar}</div>'
    )


def error(sentence):
    """A wish that cannot be, said as the command line says it."""
    return within(
        '<div class="status failed" role="alert"><span class="mark" '
        f'aria-hidden="true">✗</span><p>{escape(sentence)}</p></div>'
    )


def take_cards(takes):
    """The takes to compare, beside each other where there is room."""
    many = " two" if len(takes) > 1 else ""
    return within(f'<div class="takes{many}">{"".join(map(take_card, takes))}</div>')


@lru_cache(maxsize=64)
def take_card(take):
    """One take: roll, waveform, player, score, downloads."""
    about = take.about
    score = score_of(take)
    name = about.get("title", take.id)
    roll = sheet = ""
    if score is not None:
        given = given_of(take, score)
        roll = roll_svg(score, name, given=given) + roll_legend(score)
        if given is not None:
            roll += given_key()
        if take.path(".musicxml"):
            sheet = (
                f'<details><summary>The score</summary><img class="score" loading="lazy" '
                f'src="{address(take, "score.svg")}" alt="The score of {escape(name)}: '
                f'{escape(facts_of(score))}"></details>'
            )
    warnings = "".join(
        f'<p class="warning">{escape(text)}</p>' for text in about.get("warnings", ())
    )
    again = about.get("command", "")
    again = f"<p class='soft'>Again: <code>{escape(again)}</code></p>" if again else ""
    facts = about.get("told") or (facts_of(score) if score is not None else "")
    return (
        f'<section class="card take" id="take-{take.id}"><div class="take-head">'
        f'<h2>{escape(name)}</h2><p class="soft">{escape(facts)}</p></div>{roll}'
        f"{waveform(take)}{player(take)}{links(take)}{sheet}{warnings}{again}</section>"
    )


def score_of(take):
    """The `Score` of a take; None of one that is sound alone."""
    from data_pipelines.midi import read_midi

    path = take.path(".mid")
    return read_midi(path) if path else None


def given_of(take, score):
    """Which notes of a take stood in the file it was made from: bool (notes,), or None."""
    from data_pipelines.midi import read_midi

    path = take.folder / "given.mid"
    return notes_given(score, read_midi(path)) if path.is_file() else None


def address(take, file):
    """Where a file of a take is."""
    return f"/files/takes/{take.id}/{file}"


def player(take, preload="metadata"):
    """Its sound, to play. Args: preload, str, what the browser fetches beforehand."""
    if not take.path(".wav"):
        return ""
    label = escape(f"{take.about.get('title', take.id)}, to hear")
    return (
        f'<audio controls preload="{preload}" src="{address(take, "piece.wav")}" '
        f'aria-label="{label}"></audio>'
    )


STARS = re.compile(r' aria-pressed="\w+">(★|☆) \w+')


def without_stars(shown):
    """HTML, whatever is kept in it: the browser draws a star before the server knows."""
    return STARS.sub("", shown)


def links(take, more=""):
    """Keep it, or carry it away. Args: more, further items, str of HTML."""
    on = take.is_kept
    kept = (
        f'<li><button type="button" data-post="/takes/{take.id}/keep" aria-pressed='
        f'"{str(on).lower()}">{"★ Kept" if on else "☆ Keep"}</button></li>'
    )
    names = {".mid": "MIDI", ".wav": "WAV", ".musicxml": "MusicXML", ".html": "Page"}
    files = "".join(
        f'<li><a href="{address(take, "piece" + suffix)}?download" download>{name}'
        '<span aria-hidden="true">↓</span></a></li>'
        for suffix, name in names.items()
        if take.path(suffix)
    )
    return f'<ul class="links">{kept}{files}{more}</ul>'


def waveform(take):
    """The loudness over time, from the sound itself, with a playhead."""
    import soundfile

    path = take.path(".wav")
    if not path:
        return ""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if not len(mono):
        return ""
    edges = np.linspace(0, len(mono), WAVE_COLUMNS + 1).astype(int)[:-1]
    high = np.maximum.reduceat(mono, edges)
    low = np.minimum.reduceat(mono, edges)
    up = " ".join(f"L{x} {50 - 48 * y:.1f}" for x, y in enumerate(high))
    down = " ".join(
        f"L{WAVE_COLUMNS - 1 - x} {50 - 48 * y:.1f}" for x, y in enumerate(low[::-1])
    )
    seconds = len(mono) / rate
    knots = json.dumps([[0, 0], [round(seconds, 4), WAVE_COLUMNS]])
    peak = float(np.abs(mono).max())
    label = f"Waveform, {seconds:.1f} s, peak {peak:.2f}"
    return (
        f'<div class="roll wave" role="img" aria-label="{label}" data-width='
        f'"{WAVE_COLUMNS}" data-knots="{knots}"><svg viewBox="0 0 {WAVE_COLUMNS} 100" '
        f'preserveAspectRatio="none" aria-hidden="true"><path d="M0 50 {up} {down} Z"/>'
        '<line class="head" x1="0" x2="0" y1="0" y2="100"/></svg></div>'
    )


def shelf_list(takes):
    """What was made before: a row each."""
    rows = "".join(
        f'<li class="card"><div><h3>{escape(take.about.get("title", take.id))}</h3>'
        f'<p class="soft">{time.strftime("%d %b, %H:%M", time.localtime(_made(take)))}'
        f"</p></div>{player(take, 'none')}{links(take, _removal(take))}</li>"
        for take in takes
    )
    return within(f'<ul class="shelf">{rows}</ul>')


def _removal(take):
    if take.is_kept:
        return ""
    title = escape(f"Remove {take.about.get('title', take.id)}")
    return (
        f'<li><button type="button" data-post="/takes/{take.id}/remove" '
        f'aria-label="{title}">✕</button></li>'
    )


def _made(take):
    made = take.about.get("made", 0)
    return made if isinstance(made, int | float) else 0


def loss_plot(history, floors, unit="note"):
    """Held-out loss over the steps, beside its floors: SVG.

    Args:
        history: list of dict with ``step`` and ``held_out``.
        floors: dict of name -> nats.
    """
    points = [(row["step"], row["held_out"]) for row in history]
    values = [value for _, value in points] + list(floors.values())
    top, bottom = max(values) * 1.04, min(values) * 0.92
    last = max([step for step, _ in points] or [1]) or 1
    wide = PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT
    tall = PLOT_HEIGHT - PLOT_TOP - PLOT_BELOW

    def x(step):
        return round(PLOT_LEFT + wide * step / last, 1)

    def y(value):
        return round(PLOT_TOP + tall * (top - value) / (top - bottom or 1), 1)

    end = PLOT_LEFT + wide
    parts = [
        f'<line class="axis" x1="{PLOT_LEFT}" x2="{end}" y1="{y(bottom)}" y2="{y(bottom)}"/>'
    ]
    heights = _apart([y(value) for value in floors.values()])
    for (name, value), height in zip(floors.items(), heights, strict=True):
        parts.append(
            f'<line class="floor" x1="{PLOT_LEFT}" x2="{end}" y1="{y(value)}" '
            f'y2="{y(value)}"/><text x="{end + 6}" y="{height + 4}">'
            f"{escape(name)} {value:.2f}</text>"
        )
    if points:
        line = " ".join(f"{x(step)},{y(value)}" for step, value in points)
        parts.append(f'<polyline class="held-out" points="{line}"/>')
        parts += [f'<circle cx="{x(s)}" cy="{y(v)}" r="3"/>' for s, v in points]
        step, value = points[-1]
        parts.append(
            f'<text class="strong" x="{max(PLOT_LEFT, x(step) - 26)}" y="{y(value) - 8}">'
            f"{value:.2f}</text>"
        )
    parts.append(
        f'<text x="{PLOT_LEFT}" y="{PLOT_HEIGHT - 10}">step 0</text>'
        f'<text x="{end}" y="{PLOT_HEIGHT - 10}" text-anchor="end">step {last:,}</text>'
    )
    best = f"{min(v for _, v in points):.2f}" if points else "not measured yet"
    label = escape(
        f"Held-out loss in nats a {unit}, best {best}; "
        + ", ".join(f"{name} {value:.2f}" for name, value in floors.items())
    )
    return (
        f'<figure class="card plot"><svg viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg><figcaption>Nats a '
        f"{escape(unit)} on music held back; lower is better. Dashed: what has learnt "
        "nothing, or only counted.</figcaption></figure>"
    )


def _apart(heights, gap=15):
    """The same heights, moved down where two would touch."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed, last = list(heights), -gap
    for number in order:
        placed[number] = last = max(heights[number], last + gap)
    return placed

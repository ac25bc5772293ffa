"""A page to hear and compare pieces: rolls, sound and figures in one file."""

import io
import json
from collections import Counter

import numpy as np

from data_pipelines.audio import Waveform, resample
from data_pipelines.files import write_whole
from data_pipelines.piano_roll import BLACK_KEYS, pitch_name
from studio.html import data_address, escape, page, table
from studio.takes import MEASURES, typical_of

SAMPLE_RATES = (22_050, 11_025)  # the first at which the page stays under the limit
LARGEST_SOUND = 11 * 2**20  # bytes of all takes together; a third more in the page
POINTS_A_BEAT, LEAST_WIDTH, MOST_WIDTH = 22, 640, 4000
LEFT, TOP, BELOW = 34, 6, 18
SHAPES = ("full", "hollow", "striped", "low")  # colour is not the only difference
COLOURS = 6

STYLE = """
.takes { display: grid; gap: 1.2rem; margin: 1.6rem 0; }
.takes .card { padding: 1rem 1.1rem 1.1rem; }
.takes .card.plays { border-color: var(--first); }
.take-head { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline; }
.take-head h2 { margin: 0; font-size: 1.15rem; }
.take-head .soft { margin: 0; }
.roll { overflow-x: auto; margin: .6rem 0 0; border: 1px solid var(--line);
  border-radius: 6px; background: var(--card); }
.roll svg { display: block; height: auto; cursor: pointer; }
.roll .black { fill: var(--wash); } .roll .bar { stroke: var(--line); }
.roll .head { stroke: var(--ink); stroke-width: 1.5; }
.warning { border-left: 4px solid var(--bad); padding-left: .7rem; margin: .6rem 0 0; }
.voices svg { width: 1.9em; height: .8em; margin-right: .4em; vertical-align: -.05em; }
.n0 { --voice: #c2452d; } .n1 { --voice: #2d6fb0; } .n2 { --voice: #3f8f4f; }
.n3 { --voice: #8a5aa8; } .n4 { --voice: #a87310; } .n5 { --voice: #1c8784; }
@media (prefers-color-scheme: dark) {
  .n0 { --voice: #f08368; } .n1 { --voice: #6fb1ee; } .n2 { --voice: #7cc98c; }
  .n3 { --voice: #c39ae0; } .n4 { --voice: #e0b050; } .n5 { --voice: #5cc9c5; }
}
.given { --voice: var(--soft); opacity: .75; }
.given-key i { width: 1.4em; height: .7em; background: var(--soft); }
.given-key i.new { background: linear-gradient(90deg, #c2452d 50%, #2d6fb0 50%); }
details.card h1 { font-size: 1.15rem; margin: .8rem 0 .3rem; } details.card h2 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
details.card > summary { cursor: pointer; font-weight: 600; }
.full, .low { fill: var(--voice); }
.hollow, .striped { fill: var(--voice); fill-opacity: .22; stroke: var(--voice); }
.striped { stroke-dasharray: 3 1.5; fill-opacity: .5; }
"""

# One listener for all players of the page, also of those that come later. Sound is
# followed by every `.head` of its card: of rolls by their knots, of waveforms by time.
SCRIPT = """
(() => {
  const between = (knots, value, from, to) => {
    let k = 1;
    while (k < knots.length - 1 && knots[k][from] < value) k++;
    const [a, b] = [knots[k - 1], knots[k]], wide = b[from] - a[from];
    const share = wide ? (value - a[from]) / wide : 0;
    return a[to] + Math.min(1, Math.max(0, share)) * (b[to] - a[to]);
  };
  const cardOf = (element) => element.closest(".card");
  const soundOf = (card) => card.querySelector("audio");
  const knotsOf = (roll) => JSON.parse(roll.dataset.knots);
  const move = (sound) => {
    const card = cardOf(sound);
    if (!card) return;
    for (const roll of card.querySelectorAll(".roll")) {
      const x = between(knotsOf(roll), sound.currentTime, 0, 1);
      for (const head of roll.querySelectorAll(".head")) {
        head.setAttribute("x1", x); head.setAttribute("x2", x);
      }
      const at = x * roll.firstElementChild.getBoundingClientRect().width / roll.dataset.width;
      if (!sound.paused && (at < roll.scrollLeft || at > roll.scrollLeft + roll.clientWidth))
        roll.scrollLeft = at - 40;
    }
  };
  const follow = (sound) => {
    move(sound);
    if (!sound.paused) requestAnimationFrame(() => follow(sound));
  };
  const hear = (name, act) => document.addEventListener(name, (event) => {
    if (event.target.tagName === "AUDIO" && cardOf(event.target)) act(event.target);
  }, true);  // what media tell does not bubble
  hear("play", (sound) => {
    for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause();
    cardOf(sound).classList.add("plays"); follow(sound);
  });
  hear("pause", (sound) => cardOf(sound).classList.remove("plays"));
  hear("seeked", move);
  hear("timeupdate", move);
  document.addEventListener("click", (event) => {
    const svg = event.target.closest && event.target.closest(".roll svg");
    const sound = svg && soundOf(cardOf(svg));
    if (!sound) return;
    const roll = svg.closest(".roll"), box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * roll.dataset.width / box.width;
    sound.currentTime = between(knotsOf(roll), x, 1, 0);
    sound.play();
  });
})();
"""


def takes_page(title, takes, *, lead="", figures="", after=""):
    """A page of takes.

    Args:
        title: str.
        takes: list of dict: ``score``; ``sound``, bytes of FLAC; ``heading``; and if
            need be ``facts`` (str), ``warnings`` (list of str), ``command``, ``given``
            (as for `roll_svg`).
        lead: str of HTML. figures: str of HTML, under the lead. after: str of HTML,
            under the takes.

    Returns:
        str of HTML that needs nothing else.
    """
    cards = "".join(_card(number, **take) for number, take in enumerate(takes))
    body = f'{figures}<div class="takes">{cards}</div>{after}'
    return page(title, body, lead=lead, style=STYLE, script=SCRIPT)


def measures_table(takes, facts):
    """The takes in figures, beside what is typical: str of HTML.

    Args:
        takes: list of `takes.Take`, in the order of the page. facts: dict, the bundle's.
    """
    typical = typical_of(facts)
    names = ["nats_per_note", *MEASURES]
    head = ["take", "nats a note", *(words for words, _ in MEASURES.values())]
    rows = []
    for take in takes:
        values = {"nats_per_note": take.nats_per_note, **take.measures}
        shown = [f"{values[n]:.2f}" if np.isfinite(values[n]) else "-" for n in names]
        distances = [f"{take.oddness:.1f}", f"{take.distance:.1f}"]
        rows.append([f"seed {take.seed}", *shown, *distances, str(len(take.faults))])
    known = [
        f"{typical[n][0]:.2f} ± {typical[n][1]:.2f}" if n in typical else "-"
        for n in names
    ]
    rows.append(["real music", *known, "-", "-", "-"])
    head += ["nats, deviations", "measures, deviations", "faults"]
    caption = (
        "Each take in figures, and what is typical of the music it was learnt from"
    )
    return table(head, rows, caption=caption, mark=[len(rows) - 1])


def write_piece_page(path, score, rendering, title="", *, given=None, about=""):
    """Write a page of one piece.

    Args:
        rendering: its sound, `render.Rendering`. given: `Score` or None, what stood there
            before: its notes are grey. about: str of HTML, under the piece.
    """
    heading = title or score.title or "Untitled"
    take = {
        "score": score,
        "sound": page_sounds([rendering])[0],
        "heading": "The piece",
        "facts": facts_of(score),
        "given": None if given is None else notes_given(score, given),
    }
    write_whole(path, takes_page(heading, [take], after=about).encode())


def notes_given(score, before):
    """Which notes of a score stood in another: bool array (notes,).

    A note is the same if it begins at the same time, by quarters, on the same pitch; of
    two in unison the one of the earlier track, where one stood there.
    """
    there = Counter(_places(before))
    places = list(_places(score))
    given = np.zeros(len(places), bool)
    for number in np.argsort(score.notes["track"], kind="stable").tolist():
        if there[places[number]]:
            there[places[number]] -= 1
            given[number] = True
    return given


def _places(score):
    notes = score.notes
    starts = np.round(notes["start"] * 48 / score.ticks_per_quarter).astype(int)
    return zip(starts.tolist(), notes["pitch"].tolist(), strict=True)


def given_key():
    """What grey means, in words."""
    return (
        '<ul class="key given-key"><li><i class="old"></i>grey: as it was given</li>'
        '<li><i class="new"></i>in colour: new</li></ul>'
    )


def about_model(card):
    """A model's card (Markdown) to unfold: str of HTML, nothing in it is run."""
    from markdown_it import MarkdownIt

    text = MarkdownIt("commonmark", {"html": False}).enable("table").render(card)
    return (
        f'<details class="card"><summary>About the model</summary>{text}</details>'
        if card
        else ""
    )


def facts_of(score):
    """A line of what there is: notes, range, metre, tempo, length."""
    if not len(score):
        return "no notes"
    tonal = score.notes["pitch"][~score.is_drum_note()]
    spans = (
        f"{pitch_name(int(tonal.min()))} to {pitch_name(int(tonal.max()))}, "
        if len(tonal)
        else ""
    )
    bars = len(score.bar_ticks()) - 1
    return (
        f"{len(score)} notes in {bars} bars of {score.metre}, {spans}{score.qpm:.0f} "
        f"quarters a minute, {score.length_seconds:.0f} s"
    )


def page_sounds(renderings):
    """Each sound as mono FLAC, small enough for a page: list of bytes.

    FLAC takes about half of what WAV does, and every browser plays it. Where all of them
    together would be too much at 22,050 Hz, they are kept at 11,025.

    Args:
        renderings: list of `render.Rendering`.
    """
    sounds = []
    for rate in SAMPLE_RATES:
        sounds = [_flac(rendering, rate) for rendering in renderings]
        if sum(map(len, sounds)) <= LARGEST_SOUND:
            break
    return sounds


def _flac(rendering, rate):
    import soundfile

    samples = np.asarray(rendering.waveform, dtype=np.float32)
    mono = (
        samples.mean(axis=1, keepdims=True) if samples.ndim == 2 else samples[:, None]
    )
    wave = resample(Waveform(mono, rendering.sample_rate), rate)
    buffer = io.BytesIO()
    samples = np.clip(wave.samples[:, 0], -1, 1)
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _card(
    number, *, score, sound, heading, facts="", warnings=(), command="", given=None
):
    told = "".join(f'<p class="warning">{escape(text)}</p>' for text in warnings)
    again = (
        f"<p class='soft'>Again: <code>{escape(command)}</code></p>" if command else ""
    )
    label = escape(f"{heading}, to hear")
    address = data_address("audio/flac", sound)
    return (
        f'<section class="card" id="take{number + 1}"><div class="take-head">'
        f'<h2>{escape(heading)}</h2><p class="soft">{escape(facts)}</p></div>'
        f"{roll_svg(score, heading, given=given)}"
        f'<audio controls preload="metadata" src="{address}" aria-label="{label}">'
        f"</audio>{roll_legend(score)}{given_key() if given is not None else ''}{told}{again}"
        "</section>"
    )


def roll_svg(score, title="", *, given=None):
    """A score as a piano roll in SVG, in a box that scrolls, with a playhead.

    Each track has a colour and a shape of its own. The box holds, as JSON, where the
    playhead is when: (second, x) at each change of tempo.

    Args:
        given: bool array (notes,), which of them stood there before: drawn grey; or
            None.

    Returns:
        str of HTML.
    """
    notes, lines = score.notes, score.bar_ticks()
    end = int(lines[-1])
    beats = end / score.ticks_per_quarter
    wide = float(np.clip(beats * POINTS_A_BEAT, LEAST_WIDTH, MOST_WIDTH))
    low, high = _span(notes)
    row = float(np.clip(260 / (high - low + 1), 3, 10))
    tall = row * (high - low + 1)

    def x(tick):
        return round(LEFT + wide * float(tick) / max(end, 1), 2)

    def y(pitch):
        return round(TOP + (high - int(pitch)) * row, 2)

    width, height = LEFT + wide + 6, TOP + tall + BELOW
    parts = [
        f'<rect class="black" x="{LEFT}" y="{y(p)}" width="{wide:.2f}" height="{row:.2f}"/>'
        for p in range(low, high + 1)
        if p % 12 in BLACK_KEYS
    ]
    parts += [
        f'<text x="{LEFT - 5}" y="{y(p) + row:.1f}" text-anchor="end">{pitch_name(p)}</text>'
        for p in range(low, high + 1)
        if p % 12 == 0
    ]
    every = next(n for n in (1, 2, 4, 8, 16, 32, 10**9) if len(lines) / n <= 40)
    for number, tick in enumerate(lines.tolist()):
        parts.append(
            f'<line class="bar" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP}" '
            f'y2="{TOP + tall:.2f}"/>'
        )
        if number % every == 0 and number < len(lines) - 1:
            at = f'x="{x(tick) + 3}" y="{height - 5:.1f}"'
            parts.append(f"<text {at}>{number + 1}</text>")
    was_there = np.zeros(len(notes), bool) if given is None else given
    for note, is_given in zip(notes, was_there, strict=True):
        parts.append(_note(note, x, y, row, "given" if is_given else ""))
    head = f'y1="{TOP}" y2="{TOP + tall:.2f}" x1="{LEFT}" x2="{LEFT}"'
    parts.append(f'<line class="head" {head}/>')
    ticks = sorted({0, end, *(t.tick for t in score.tempos if t.tick < end)})
    knots = [[round(float(score.seconds_at(tick)), 4), x(tick)] for tick in ticks]
    label = escape(f"Piano roll of {title}: {facts_of(score)}")
    return (
        f'<div class="roll" tabindex="0" role="region" aria-label="{label}" '
        f'data-width="{width:.2f}" data-knots="{escape(json.dumps(knots))}">'
        f'<svg viewBox="0 0 {width:.2f} {height:.2f}" style="width:100%;'
        f'min-width:{width:.0f}px" aria-hidden="true">{"".join(parts)}'
        "</svg></div>"
    )


def _note(note, x, y, row, more=""):
    track, start = int(note["track"]), int(note["start"])
    first = x(start)
    wide = max(x(start + int(note["duration"])) - first - 0.8, 1.2)
    return _shape(track, first, y(note["pitch"]) + 0.4, wide, row - 0.8, more)


def _shape(track, x, y, wide, tall, more=""):
    shape = SHAPES[track % len(SHAPES)]
    if shape == "low":
        y, tall = y + 0.5 * tall, 0.5 * tall
    return (
        f'<rect class="{f"n{track % COLOURS} {shape} {more}".strip()}" x="{x:.2f}" y="{y:.2f}" '
        f'width="{wide:.2f}" height="{tall:.2f}" rx="{min(2, tall / 4):.1f}"/>'
    )


def roll_legend(score):
    """Which colour and shape is which track; nothing where there is one."""
    playing = sorted(set(score.notes["track"].tolist()))
    if len(playing) < 2:
        return ""
    items = []
    for number in playing:
        track = score.tracks[number]
        name = track.name or ("drums" if track.is_drum else f"track {number + 1}")
        sample = _shape(number, 1, 1, 28, 10)
        items.append(
            f'<li><svg viewBox="0 0 30 12" aria-hidden="true">{sample}</svg>'
            f"{escape(name)}</li>"
        )
    return f'<ul class="key voices">{"".join(items)}</ul>'


def _span(notes):
    if not len(notes):
        return 60, 72
    low, high = int(notes["pitch"].min()) - 1, int(notes["pitch"].max()) + 1
    middle = (low + high) // 2
    return max(0, min(low, middle - 7)), min(127, max(high, middle + 7))

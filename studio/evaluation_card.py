"""The page of an evaluation: one file of HTML, its plots drawn as SVG."""

import numpy as np

from data_pipelines.distributions import density, density_grid
from data_pipelines.measures import DURATIONS, WIDEST_INTERVAL
from studio.html import big_figures, colour_key, escape, figure, page, table

NAMES = {
    "model": "this model",
    "ngram": "n-gram",
    "copy": "copy",
    "unigram": "unigram",
}
SIDES = (("generated", "composed", "--first"), ("real", "real", "--second"))
WIDTH, HEIGHT, FLOOR = 300, 130, 108  # of a plot, and where its axis lies
DRAWN = 4  # every so many points of a density are drawn
COPIES_SHOWN = 10
FAR = 0.2  # an overlap that falls so far below that of real music is named
PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
STYLE = """
.meter { position: relative; height: .7rem; min-width: 7rem; background: var(--wash);
  border-radius: 2px; }
.meter i { position: absolute; inset: 0 auto 0 0; background: var(--first);
  border-radius: 2px; }
.meter b { position: absolute; top: -.25rem; bottom: -.25rem; width: 3px;
  background: var(--second); box-shadow: 0 0 0 1px var(--card); }
td.meter-cell { width: 34%; }
"""
KEY = colour_key([("--first", "composed by the model"), ("--second", "real, held out")])


def evaluation_card(told):
    """The page. Args: told, what `studio.evaluate.evaluate` gives. Returns: str."""
    parts = [
        _figures(told),
        "<h2>What held-out music costs it</h2>" + _held_out(told["held_out"]),
        "<h2>Its music beside real music</h2>" + _likeness(told),
        "<h2>What it has from its training music</h2>" + _originality(told),
        "<h2>How this was measured</h2>" + _method(told),
    ]
    generated = told["generated"]
    lead = (
        f"{escape(told['model'])}, {escape(told['tokenizer'])} tokens: "
        f"{generated['pieces']} pieces of {generated['bars']} bars composed, seeds "
        f"{generated['seeds'][0]} to {generated['seeds'][-1]}; weighed on "
        f"{escape(told['held_out']['of'])}."
    )
    title = f"{told['bundle']}, evaluated"
    return page(title, "\n".join(parts), lead=lead, style=STYLE)


def far_from_real(told):
    """The measures in which composed music is least like real music, worst first.

    Returns:
        list of (words, overlap, overlap among real pieces), those `FAR` below.
    """
    rows = [*told["measures"].values(), *told["histograms"].values()]
    far = [
        (row["words"], row["overlap"], row["real_halves"]["overlap"])
        for row in rows
        if row["overlap"] is not None
        and row["real_halves"]["overlap"] is not None
        and row["overlap"] < row["real_halves"]["overlap"] - FAR
    ]
    return sorted(far, key=lambda row: row[1] - row[2])


def mean_overlap(told):
    """(of composed with real, of real with real), over all measures; None if unknown."""
    rows = [*told["measures"].values(), *told["histograms"].values()]
    pairs = [(row["overlap"], row["real_halves"]["overlap"]) for row in rows]
    known = [pair for pair in pairs if None not in pair]
    return tuple(np.mean(known, axis=0).tolist()) if known else (None, None)


def _figures(told):
    figures = told["held_out"]["figures"]
    shown = [(f"{figures['model']['nats_per_note']:.3f}", "nats per held-out note")]
    if "ngram" in figures:
        ratio = figures["model"]["nats_per_note"] / figures["ngram"]["nats_per_note"]
        where = "below" if ratio <= 1 else "above"
        shown.append(
            (f"{abs(1 - ratio):.0%}", f"{where} the n-gram of its training music")
        )
    ours, base = mean_overlap(told)
    if ours is not None:
        what = f"mean overlap with real music; real music with itself has {base:.2f}"
        shown.append((f"{ours:.2f}", what))
    if told["originality"]:
        sides = told["originality"]["intervals"]
        what = (
            "of its runs of 16 intervals stand in the training music; of those of real "
            f"held-out music {_percent(sides['real']['share'])} do"
        )
        shown.append((_percent(sides["generated"]["share"]), what))
    return big_figures(shown)


def _held_out(held_out):
    rows = []
    order = sorted(
        held_out["figures"].items(), key=lambda item: item[1]["nats_per_note"]
    )
    for name, row in order:
        words = NAMES[name]
        if name == "ngram":
            words += f" ({held_out['ngram_kind']})"
        bits = row["bits_per_second"]
        rows.append(
            [
                words,
                f"{row['nats_per_note']:.4f}",
                "-" if bits is None else f"{bits:.2f}",
            ]
        )
    mark = [number for number, (name, _) in enumerate(order) if name == "model"]
    caption = (
        f"{held_out['pieces']:,} pieces, {held_out['notes']:,} notes, "
        f"{held_out['seconds'] / 60:,.0f} minutes: {held_out['of']}. Lower is better."
    )
    about = f"<p>{escape(_sentence(held_out['kin']))}</p>"
    if "training" in held_out:
        about += f"<p>{escape(_sentence(held_out['training']))}</p>"
    values = np.array(held_out["piece_nats_per_note"], dtype=float)
    plot = _densities(
        [("--first", values)],
        f"Nats per note of each held-out piece: median {np.median(values):.2f}, "
        f"from {values.min():.2f} to {values.max():.2f}.",
    )
    return (
        about
        + table(
            ["", "nats per note", "bits per second"], rows, caption=caption, mark=mark
        )
        + f'<div class="grid">{plot}</div>'
    )


def _likeness(told):
    rows = {**told["measures"], **told["histograms"]}
    far = far_from_real(told)
    if far:
        named = "; ".join(f"{w} ({o:.2f} beside {r:.2f})" for w, o, r in far[:4])
        verdict = f"Least like real music: {named}."
    else:
        verdict = "In no measure is it far from what real music has with itself."
    plots = []
    for row in told["measures"].values():
        sides = [(colour, _known(row[side])) for side, _, colour in SIDES]
        if all(len(values) for _, values in sides):
            plots.append(_densities(sides, _caption(row)))
    names = {
        "pitch_classes": PITCH_CLASSES,
        "durations": [name for _, name in DURATIONS],
        "intervals": _interval_names(),
    }
    for name, row in told["histograms"].items():
        sides = [(colour, row[side]) for side, _, colour in SIDES]
        plots.append(_bars(names[name], sides, _caption(row)))
    return (
        f"<p>{escape(verdict)}</p>{_overlap_table(rows.values())}{KEY}"
        f'<div class="grid">{"".join(plots)}</div>'
    )


def _overlap_table(rows):
    lines = []
    for row in rows:
        ours, base = row["overlap"], row["real_halves"]["overlap"]
        means = [
            _number(row[side]["mean"]) if isinstance(row[side], dict) else ""
            for side, _, _ in SIDES
        ]
        meter = f'<i style="width:{100 * (ours or 0):.1f}%"></i>'
        if base is not None:
            meter += f'<b style="left:calc({100 * base:.1f}% - 2px)"></b>'
        lines.append(
            f'<tr><th scope="row">{escape(row["words"])}</th>'
            f"<td>{means[0]}</td><td>{means[1]}</td>"
            f"<td>{_number(ours)}</td><td>{_number(base)}</td>"
            f'<td class="meter-cell"><div class="meter" aria-hidden="true">{meter}</div>'
            f"</td><td>{_number(row['divergence'])}</td></tr>"
        )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("", "composed, mean", "real, mean", "overlap", "real with real", "",
                     "divergence, bits")
    )  # fmt: skip
    return (
        '<div class="wide"><table><caption>Overlap of the distributions, 1 where they '
        "are the same. The mark on a bar is the overlap of one half of the real pieces "
        f"with the other.</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _originality(told):
    copies = told["originality"]
    if not copies:
        return "<p>Not measured: its training music is not at hand.</p>"
    rows, kinds = [], {"intervals": "intervals", "with_rhythm": "intervals and rhythm"}
    for kind, words in kinds.items():
        for side, name, _ in SIDES:
            row = copies[kind][side]
            rows.append(
                [
                    f"{words}, {name}",
                    f"{row['pieces']:,}",
                    f"{row['grams']:,}",
                    _percent(row["share"]),
                    _number(row["median_run"]),
                    str(row["longest_run"]),
                ]
            )
    head = ["", "pieces", "runs of 16 intervals", "found in training",
            "longest copy, median, notes", "longest of all, notes"]  # fmt: skip
    caption = "Copies count in whatever key. Real pieces took part in no training."
    runs = sorted(
        copies["intervals"]["generated"]["runs"], key=lambda run: -run["notes"]
    )
    named = [
        [run["piece"], str(run["notes"]), str(run["from_note"]), _source(run)]
        for run in runs[:COPIES_SHOWN]
        if run["notes"]
    ]
    lengths = [
        (colour, [r["notes"] for r in copies["intervals"][side]["runs"]])
        for side, _, colour in SIDES
    ]
    plot = _densities(lengths, "Longest copied run of each piece, notes (intervals).")
    found = table(
        ["piece", "notes", "from its note", "stands in"],
        named,
        caption="The longest copied runs, intervals alone.",
        text_columns=(3,),
    )
    return (
        table(head, rows, caption=caption, mark=(0,))
        + KEY
        + f'<div class="grid">{plot}</div>'
        + (f"<br>{found}" if named else "")
    )


def _method(told):
    generated, held_out = told["generated"], told["held_out"]
    sentences = [
        "Nats per note: minus the log-probability of all real tokens of a piece but its "
        "first, divided by the notes struck, over the whole corpus. Bits per second "
        "divide by how long the files say that the pieces last (120 quarters a minute "
        "where they do not say). The kind of n-gram is the one that suited the valid "
        "split.",
        f"Composed with temperature {generated['temperature']:g} and top-p "
        f"{generated['top_p']:g}. {told['real_pieces']} real pieces were drawn from "
        "the held-out ones, as tokens keep them, and heard in their first "
        f"{generated['bars']} bars, but for the lengths of whole pieces; how long a "
        "composed piece is was asked for, not learnt.",
        "Overlap and divergence after Yang & Lerch 2018 (Gaussian densities, Scott's "
        "rule; Jensen-Shannon); twenty ways to halve the real pieces, averaged. Groove "
        "after Wu & Yang 2020.",
    ]
    if read := held_out.get("training_pieces_read"):
        sentences.append(
            f"Copies were sought in {read:,} of {held_out['training_pieces']:,} training "
            "pieces, in each track's highest and lowest line, on a grid of sixteenths."
        )
    if generated["diagnoses"]:
        seeds = "; ".join(
            f"seed {seed}: {' '.join(told)}"
            for seed, told in generated["diagnoses"].items()
        )
        sentences.append(f"Diagnosed in what it composed: {seeds}")
    versions = ", ".join(f"{name} {v}" for name, v in told["versions"].items())
    body = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f"{body}<footer>All figures: evaluation.json. {escape(versions)}.</footer>"


def _densities(sides, caption):
    """A figure: each sample's density, filled, over one axis."""
    samples = [np.array(values, dtype=float) for _, values in sides]
    grid = density_grid(*samples)
    curves = [density(sample, grid, *samples) for sample in samples]
    top = max(curve.max() for curve in curves)
    across = np.linspace(6, WIDTH - 6, len(grid))[::DRAWN]
    shapes = []
    for (colour, _), curve in zip(sides, curves, strict=True):
        heights = FLOOR - 96 * curve[::DRAWN] / top
        line = " ".join(
            f"{x:.1f},{y:.1f}" for x, y in zip(across, heights, strict=True)
        )
        shapes.append(
            f'<polygon points="6,{FLOOR} {line} {WIDTH - 6},{FLOOR}" '
            f'style="fill:var({colour});fill-opacity:.18"/>'
            f'<polyline points="{line}" '
            f'style="fill:none;stroke:var({colour});stroke-width:2"/>'
        )
    ticks = [
        f'<text x="{6 + share * (WIDTH - 12):.0f}" y="{HEIGHT - 6}" '
        f'text-anchor="{anchor}">{grid[0] + share * (grid[-1] - grid[0]):.3g}</text>'
        for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    ]
    return figure(_svg("".join(shapes + ticks), caption), caption)


def _bars(names, sides, caption):
    """A figure: histograms side by side."""
    top = max(max(values) for _, values in sides) or 1.0
    slot = (WIDTH - 12) / len(names)
    wide = 0.42 * slot
    shapes = []
    for number, (colour, values) in enumerate(sides):
        for place, value in enumerate(values):
            x, tall = 6 + place * slot + number * wide, 96 * value / top
            shapes.append(
                f'<rect x="{x:.1f}" y="{FLOOR - tall:.1f}" width="{wide:.1f}" '
                f'height="{tall:.1f}" style="fill:var({colour})"/>'
            )
    for place, name in enumerate(names):
        if len(names) <= 12 or (place - len(names) // 2) % 6 == 0:
            x = 6 + (place + 0.42) * slot
            shapes.append(
                f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
                f"{escape(name)}</text>"
            )
    return figure(_svg("".join(shapes), caption), caption)


def _svg(shapes, label):
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line x1="6" x2="{WIDTH - 6}" y1="{FLOOR}" y2="{FLOOR}" '
        f'style="stroke:var(--line)"/>{shapes}</svg>'
    )


def _caption(row):
    words = _sentence(row["words"])
    base = row["real_halves"]["overlap"]
    told = f"{words} Overlap {_number(row['overlap'])}"
    return told + (f"; real with real {base:.2f}." if base is not None else ".")


def _interval_names():
    widest = WIDEST_INTERVAL + 1
    names = [str(step) for step in range(-widest, widest + 1)]
    return [f"<{1 - widest}", *names[1:-1], f">{widest - 1}"]


def _known(summary):
    return [value for value in summary["values"] if value is not None]


def _source(run):
    if run["title"] and run["title"] != run["source"]:
        return f"{run['title']} ({run['source']})"
    return run["source"] or "-"


def _sentence(words):
    return words[:1].upper() + words[1:].rstrip(".") + "."


def _number(value):
    if value is None:
        return "-"
    digits = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1
    return f"{value:.{digits}f}"


def _percent(share):
    return "-" if share is None else f"{share:.1%}"

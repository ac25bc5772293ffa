"""The tab of the course, and of the blind test: real or generated?"""

import json
import subprocess
import sys

from studio.errors import WrongUsage
from studio.html import escape
from studio.page import cards
from studio.page.compose_tab import known_model, model_choices, sound_classes
from studio.page.jobs import facts_of
from studio.page.parts import as_options, form_buttons, html, seed_of, wired

TAB = "learn"
DESK_SECONDS = 60


def labs_of(desk):
    """The labs and their state on the learner's desk, as HTML."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "studio.cli", "lab", "list", "--json"],
            cwd=desk.shelf.folder.parent,
            capture_output=True,
            text=True,
            timeout=DESK_SECONDS,
        )
        rows = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return cards.error("The labs cannot be listed: `etude lab list` says why.")
    items = "".join(
        f'<li class="card"><div><h3>{row["number"]:02d} · {escape(row["title"])}</h3>'
        f'<p class="soft">{row["minutes"]} min, {row["exercises"]} exercises</p></div>'
        f"<p>You will hear {escape(row['heard'])}.</p>"
        f"<p>{'◐ begun' if row['copy'] else '○ not begun'}<br><code>etude lab open "
        f"{row['number']}</code></p></li>"
        for row in rows
    )
    return cards.within(f'<ul class="shelf labs">{items}</ul>')


def start(desk, owner, model, count, bars, seed):
    """Press: a blind test of a model. Gives the `Job`, or None."""

    def makes():
        name = known_model(desk, model)
        if sound_classes(name) is not None:
            raise WrongUsage(f"{name} writes sounds; the test is of notes.")
        drawn = seed_of(seed)
        folder = desk.shelf.folder / "blind" / f"{drawn}-{count}-{bars}"
        folder.mkdir(exist_ok=True)
        options = as_options({"count": count, "bars": bars, "seed": drawn})
        page = folder / "blind.html"

        def on_done(said):
            facts_of(said[0])
            return folder.name

        return {
            "commands": (("blind", name, *options, "-o", str(page), "--json"),),
            "on_done": on_done,
        }

    return desk.press(owner, TAB, "Preparing the test", makes)


def stage_of(desk, owner):
    """The page of the visitor's test; None where there is none."""
    job = desk.jobs.latest(owner, TAB)
    if job is None or not isinstance(job.result, str):
        return None
    address = f"/files/blind/{job.result}/blind.html"
    return cards.within(
        f'<iframe class="blind" src="{address}" title="The blind test"></iframe>'
        f'<p class="links"><a href="{address}?download" download>The test as a page'
        '<span aria-hidden="true">↓</span></a></p>'
    )


def build(gr, desk):
    """Lay the tab out. Gives {name of an output: (component, its view)}."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="form-side"):
            html(
                gr,
                cards.within(
                    "<h2>Real, or generated?</h2><p class='soft'>Hear excerpts of both, "
                    "played alike, and choose. Your score comes with its interval.</p>"
                ),
            )
            notes = [
                pair for pair in model_choices(desk) if sound_classes(pair[1]) is None
            ]
            model = gr.Dropdown(notes, value=notes[0][1], label="Model")
            count = gr.Slider(
                2, 20, value=10, step=2, label="Excerpts, half of them real"
            )
            bars = gr.Slider(2, 16, value=8, step=1, label="Bars of each")
            seed = gr.Textbox(label="Seed", placeholder="a new one", max_lines=1)
            press, stop = form_buttons(gr, "Test me")
        with gr.Column(scale=7, min_width=320, elem_classes="stage"):
            status = html(gr, "", elem_id="learn-status")
            stage = html(gr, "", elem_id="learn-stage")
            html(gr, cards.within("<h2>The labs</h2>"))
            labs = html(
                gr,
                cards.nothing("The course", "Twelve labs, from a coin toss on."),
                elem_id="labs",
            )
            look = gr.Button("Show the labs and how far I am")
    look.click(lambda: labs_of(desk), None, labs, api_visibility="private")
    return wired(
        gr,
        desk,
        TAB,
        lambda owner, *values: start(desk, owner, *values),
        [model, count, bars, seed],
        buttons=(press, stop),
        shown=(status, stage),
        stage_of=lambda owner: stage_of(desk, owner),
        name="blind",
    )

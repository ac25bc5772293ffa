"""The tab where a piece that someone brought goes on, is filled, or is harmonised."""

from pathlib import Path

from studio.errors import WrongUsage
from studio.page import cards
from studio.page.compose_tab import known_model, model_choices, stage_of
from studio.page.desk import bring_one, plain, taking
from studio.page.parts import (
    as_options,
    form_buttons,
    html,
    key_choices,
    seed_of,
    wired,
)

TAB = "edit"
CONTINUE, INFILL, HARMONIZE = "Continue it", "Write some bars anew", "Harmonise it"
SUFFIXES = [".mid", ".midi", ".musicxml", ".mxl", ".xml", ".abc"]


def start(desk, owner, file, wish):
    """Press: change a piece as is wished. Gives the `Job`, or None."""

    def makes():
        if not file:
            raise WrongUsage("Bring a file first: MIDI, MusicXML or ABC.")
        path = bring_one(desk.shelf, file)
        how = wish["how"]
        command, words = _command(desk, how, path, wish)
        return taking(
            desk.shelf,
            command,
            wishes=[["--seed", str(seed_of(wish["seed"]))]],
            title=lambda facts: f"{path.stem}, {words}, seed {facts.get('seed')}",
            given=path,
        )

    return desk.press(owner, TAB, wish["how"].split()[0].rstrip("e") + "ing", makes)


def _command(desk, how, path, wish):
    """(words of `etude`, what they do) to one file."""
    model = wish["model"] and known_model(desk, wish["model"])
    shared = {"model": model, "temperature": wish["temperature"]}
    if how == CONTINUE:
        more = as_options({**shared, "bars": wish["bars"]})
        return ["continue", str(path), *more], "continued"
    if how == INFILL:
        first, last = wish["first"], wish["last"]
        if first is None or last is None:
            raise WrongUsage("Say which bars to write anew: from and to.")
        bars = f"{int(first)}:{int(last)}"
        more = as_options({**shared, "track": wish["track"]})
        return ["infill", str(path), "--bars", bars, *more], f"bars {bars} anew"
    if how == HARMONIZE:
        del shared["model"]
        more = as_options({**shared, "key": wish["key"], "track": wish["track"]})
        return ["harmonize", str(path), *more], "harmonised"
    raise WrongUsage(f"`how` must be one of the three offered. Received: {how!r}")


def preview(file):
    """What was brought, as HTML: its roll, or why it cannot be read."""
    from studio.errors import EtudeError
    from studio.html import escape
    from studio.listen import open_score
    from studio.takes_page import facts_of, roll_legend, roll_svg

    if not file:
        return None
    path = Path(file)
    try:
        score = open_score(path)
    except (EtudeError, ValueError, OSError) as error:
        return cards.error(plain(error).replace(str(path), path.name))
    return cards.within(
        f'<section class="card"><div class="take-head"><h2>{escape(path.name)}</h2>'
        f'<p class="soft">{escape(facts_of(score))}</p></div>'
        f"{roll_svg(score, path.name)}{roll_legend(score)}</section>"
    )


def build(gr, desk):
    """Lay the tab out. Gives {name of an output: (component, its view)}."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="form-side"):
            file = gr.File(
                label="A piece: MIDI, MusicXML or ABC",
                file_types=SUFFIXES,
                height=150,
                elem_id="edit-file",
            )
            how = gr.Radio(
                [CONTINUE, INFILL, HARMONIZE], value=CONTINUE, label="What to do"
            )
            bars = gr.Slider(1, 64, value=8, step=1, label="Bars to add")
            with gr.Row(visible=False) as span:
                first = gr.Number(label="From bar", value=5, precision=0, min_width=90)
                last = gr.Number(label="To bar", value=8, precision=0, min_width=90)
            key = gr.Dropdown(
                key_choices(), value="", label="Keep the new voices in", visible=False
            )
            model = gr.Dropdown(
                [("what suits it best", ""), *model_choices(desk)],
                value="",
                label="Model",
            )
            with gr.Row():
                temperature = gr.Slider(
                    0.1, 1.5, value=0.9, step=0.05, label="Temperature", min_width=140
                )
                seed = gr.Textbox(
                    label="Seed", placeholder="a new one", min_width=100, max_lines=1
                )
            track = gr.Textbox(
                label="Track, from 1",
                placeholder="found out",
                max_lines=1,
                visible=False,
            )
            press, stop = form_buttons(gr, "Go")
        with gr.Column(scale=7, min_width=320, elem_classes="stage"):
            status = html(gr, "", elem_id="edit-status")
            stage = html(
                gr,
                cards.nothing(
                    "Nothing brought yet",
                    "Drop in a piece. What you bring stays as it is, drawn in grey; what "
                    "is new has colour.",
                ),
                elem_id="edit-stage",
            )
    how.change(
        lambda name: (
            gr.update(visible=name == CONTINUE),
            gr.update(visible=name == INFILL),
            gr.update(visible=name == HARMONIZE),
            gr.update(visible=name != HARMONIZE),
            gr.update(visible=name != CONTINUE),
        ),
        how,
        [bars, span, key, model, track],
        show_progress="hidden",
    )
    file.change(
        lambda path: gr.skip() if path is None else preview(path),
        file,
        stage,
        show_progress="hidden",
    )

    def wished(owner, path, *values):
        names = [
            "how",
            "bars",
            "first",
            "last",
            "key",
            "model",
            "temperature",
            "seed",
            "track",
        ]
        return start(desk, owner, path, dict(zip(names, values, strict=True)))

    return wired(
        gr,
        desk,
        TAB,
        wished,
        [file, how, bars, first, last, key, model, temperature, seed, track],
        buttons=(press, stop),
        shown=(status, stage),
        stage_of=lambda owner: stage_of(desk, owner, TAB),
    )

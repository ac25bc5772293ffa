"""The tab where any file becomes sound."""

from studio.errors import WrongUsage
from studio.page import cards
from studio.page.compose_tab import stage_of
from studio.page.desk import bring_one, taking
from studio.page.edit_tab import SUFFIXES, preview
from studio.page.parts import form_buttons, html, wired

TAB = "listen"
ENGINES = {
    "auto": "the best at hand",
    "soundfont": "the kit's own player of soundfonts",
    "fluidsynth": "FluidSynth",
    "tinysoundfont": "TinySoundFont",
    "synth": "the kit's own synthesizer, no soundfont",
}


def engine_choices():
    """(label, name) of the engines that work here."""
    from data_pipelines.render import ENGINES as KNOWN
    from data_pipelines.render import EngineUnavailable, choose_engine

    found = [(f"auto · {ENGINES['auto']}", "auto")]
    for name in KNOWN:
        try:
            choose_engine(name, None)
        except (EngineUnavailable, ValueError):
            continue
        found.append((f"{name} · {ENGINES.get(name, '')}", name))
    return found


def start(desk, owner, file, engine):
    """Press: sound of a file. Gives the `Job`, or None."""

    def makes():
        if not file:
            raise WrongUsage("Bring a file first: MIDI, MusicXML or ABC.")
        path = bring_one(desk.shelf, file)
        return taking(
            desk.shelf,
            ["listen", str(path)],
            wishes=[["--engine", engine]],
            title=lambda facts: f"{path.stem}, by {facts.get('engine')}",
        )

    return desk.press(owner, TAB, "Playing", makes)


def build(gr, desk):
    """Lay the tab out. Gives {name of an output: (component, its view)}."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="form-side"):
            file = gr.File(
                label="A piece: MIDI, MusicXML or ABC",
                file_types=SUFFIXES,
                height=150,
                elem_id="listen-file",
            )
            engine = gr.Radio(engine_choices(), value="auto", label="Played by")
            press, stop = form_buttons(gr, "Make sound")
        with gr.Column(scale=7, min_width=320, elem_classes="stage"):
            status = html(gr, "", elem_id="listen-status")
            stage = html(
                gr,
                cards.nothing("Nothing to hear yet", "Drop in a piece and press."),
                elem_id="listen-stage",
            )
    file.change(
        lambda path: gr.skip() if path is None else preview(path),
        file,
        stage,
        show_progress="hidden",
    )
    return wired(
        gr,
        desk,
        TAB,
        lambda owner, *values: start(desk, owner, *values),
        [file, engine],
        buttons=(press, stop),
        shown=(status, stage),
        stage_of=lambda owner: stage_of(desk, owner, TAB),
    )

"""The tab where something new is composed."""

from studio.errors import WrongUsage
from studio.page import cards
from studio.page.desk import taking
from studio.page.parts import (
    as_options,
    form_buttons,
    html,
    key_choices,
    seed_of,
    wired,
)

TAB = "compose"
MOST_AT_ONCE = 4
ABOUT = {  # what a person wants to know of a shipped model in a line
    "folk": "one line: dances and airs",
    "fiddle": "one line: fiddle tunes, smaller",
    "chorales": "four voices, as Bach set hymns",
    "pop-piano": "piano: melody and accompaniment",
    "drums": "drum patterns",
    "drum-samples": "single drum sounds, sample by sample",
}


def model_choices(desk):
    """(label, name) of each model that is at hand, shipped ones first."""
    from studio.models import shipped_models

    shipped = [
        (f"{name} · {ABOUT[name]}" if name in ABOUT else name, name)
        for name in sorted(shipped_models(), key=lambda n: (n != "folk", n))
    ]
    own = [
        (
            f"{name.removesuffix('.bundle')} · yours",
            str(desk.shelf.folder / "models" / name),
        )
        for name in desk.shelf.models()
    ]
    return shipped + own


def known_model(desk, name):
    """The model, if it is one of those offered: a page opens no other folder.

    Raises:
        WrongUsage: if it is not.
    """
    known = [value for _, value in model_choices(desk)]
    if name not in known:
        raise WrongUsage(f"No model is called {name!r}. Choose one of the list.")
    return name


def card_of(model):
    """A model's card in Markdown, for the page."""
    from studio.errors import EtudeError
    from studio.models import open_model

    try:
        return open_model(model).card or "It has no card."
    except EtudeError as error:
        return str(error)


def sound_classes(model):
    """The classes of a model of sounds; None of a model of notes."""
    from studio.codec import tokenizer_in
    from studio.errors import EtudeError
    from studio.models import is_of_sounds, open_model

    try:
        bundle = open_model(model)
        return list(tokenizer_in(bundle).classes) if is_of_sounds(bundle) else None
    except EtudeError:
        return None


def start(desk, owner, wish):
    """Press: compose as many takes as are wished. Gives the `Job`, or None."""

    def makes():
        count = int(wish.pop("count") or 1)
        first = seed_of(wish.pop("seed"))
        model = known_model(desk, wish.pop("model"))
        label = wish.pop("class")
        name = model.rsplit("/", 1)[-1].removesuffix(".bundle")
        command = ["compose", "--model", model]
        forms = {}
        if sound_classes(model) is not None:
            command += as_options({"class": label, "temperature": wish["temperature"]})
            forms = {"forms": (".wav",)}
        else:
            command += as_options(wish)
        return taking(
            desk.shelf,
            command,
            wishes=[["--seed", str(first + n)] for n in range(count)],
            title=lambda facts: f"{name}, seed {facts.get('seed')}",
            **forms,
        )

    return desk.press(owner, TAB, "Composing", makes)


def build(gr, desk):
    """Lay the tab out. Gives {name of an output: (component, its view)}."""
    choices = model_choices(desk)
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="form-side"):
            model = gr.Dropdown(choices, value=choices[0][1], label="Model")
            with gr.Row():
                key = gr.Dropdown(key_choices(), value="", label="Key", min_width=120)
                metre = gr.Dropdown(_metres(), value="", label="Metre", min_width=120)
            label = gr.Dropdown(
                [("any", "")], value="", label="Which sound", visible=False
            )
            bars = gr.Slider(1, 64, value=16, step=1, label="Bars")
            temperature = gr.Slider(
                0.1,
                1.5,
                value=0.9,
                step=0.05,
                label="Temperature",
                info="Low: the expected. High: surprises, and mistakes.",
            )
            with gr.Row():
                seed = gr.Textbox(
                    label="Seed",
                    placeholder="a new one",
                    info="Same seed, same music.",
                    max_lines=1,
                    min_width=120,
                )
                count = gr.Radio(
                    [1, 2, 3, 4], value=1, label="Takes to compare", min_width=120
                )
            with gr.Accordion("More wishes", open=False):
                tempo = gr.Textbox(
                    label="Tempo, quarter notes a minute", placeholder="as usual"
                )
                density = gr.Textbox(
                    label="Notes a bar in each voice, about", placeholder="free"
                )
                range_ = gr.Textbox(label="Range of the top voice", placeholder="C4:A5")
                instrument = gr.Textbox(
                    label="General MIDI program, 0 to 127", placeholder="as usual"
                )
            press, stop = form_buttons(gr, "Compose")
            with gr.Accordion("About this model", open=False):
                card = gr.Markdown(card_of(choices[0][1]), elem_classes="model-card")
        with gr.Column(scale=7, min_width=320, elem_classes="stage"):
            status = html(gr, "", elem_id="compose-status")
            stage = html(
                gr,
                cards.nothing(
                    "Nothing composed yet", "Choose a model and press Compose."
                ),
                elem_id="compose-stage",
            )

    def changed(name):
        classes = sound_classes(name)
        is_notes = classes is None
        return (
            card_of(name),
            gr.update(
                choices=[("any", ""), *(classes or [])], value="", visible=bool(classes)
            ),
            *(gr.update(visible=is_notes) for _ in range(3)),
        )

    model.change(
        changed, model, [card, label, key, metre, bars], show_progress="hidden"
    )

    def wished(owner, *values):
        names = "model key metre bars temperature seed count class tempo density range instrument"
        return start(desk, owner, dict(zip(names.split(), values, strict=True)))

    wishes = [model, key, metre, bars, temperature, seed, count, label]
    wishes += [tempo, density, range_, instrument]
    views = wired(
        gr,
        desk,
        TAB,
        wished,
        wishes,
        buttons=(press, stop),
        shown=(status, stage),
        stage_of=lambda owner: stage_of(desk, owner, TAB),
    )
    views["models"] = (model, lambda owner: _new_choices(gr, desk, choices))
    return views


def _new_choices(gr, desk, built):
    """The models, once there are others than when the page was built; else None: an
    update would take back what a person is just choosing."""
    now = model_choices(desk)
    return None if now == built else gr.update(choices=now)


def stage_of(desk, owner, tab):
    """The takes of the visitor's last job; None while there is nothing new to show."""
    takes = desk.takes_of(desk.jobs.latest(owner, tab))
    return cards.take_cards(takes) if takes else None


def _metres():
    from data_pipelines.tokenizers.melody import METRES

    return [("as in its data", ""), *(name for name in METRES if name)]

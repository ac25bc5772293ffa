"""Small things that several tabs share."""

import secrets

from studio.errors import WrongUsage
from studio.page.guard import VISITOR

KEYS = (
    *(
        f"{tonic} major"
        for tonic in ["C", "G", "D", "A", "E", "B", "F#", "Db", "Ab", "Eb", "Bb", "F"]
    ),
    *(
        f"{tonic} minor"
        for tonic in ["A", "E", "B", "F#", "C#", "G#", "Eb", "Bb", "F", "C", "G", "D"]
    ),
)


def key_choices():
    """(label, value) of the keys one may ask for."""
    return [("free", ""), *KEYS]


def seed_of(value):
    """The seed that was asked for, or a new one.

    Raises:
        WrongUsage: if it is no whole number.
    """
    if value is None or not str(value).strip():
        return secrets.randbelow(100_000)
    if not str(value).strip().isdecimal():
        raise WrongUsage(f"`seed` must be a whole number from 0. Received: {value!r}")
    return int(value)


def as_options(wish):
    """Wishes as options of a command: what is empty is left out."""
    words = []
    for name, value in wish.items():
        if value in (None, "", []):
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        words.append(f"--{name}={value}")  # one word: no value is taken for an option
    return words


def form_buttons(gr, words):
    """(what starts, what stops) of a form."""
    with gr.Row():
        press = gr.Button(words, variant="primary", scale=3)
        stop = gr.Button("Cancel", variant="stop", scale=1, interactive=False)
    return press, stop


def busy(gr, desk, owner, tab):
    """Whether Cancel has anything to cancel, as an update of the button."""
    return gr.update(interactive=desk.is_live(owner, tab))


def owned(gr, act):
    """A handler of ``act(owner, *values)``: the owner is who sent the request."""

    def handler(request: gr.Request, *values):
        return act(owner_of(request), *values)

    return handler


def pressed(gr, act):
    """As `owned`, of a button: what it did is shown by the views, not by an answer."""

    def handler(request: gr.Request, *values):
        act(owner_of(request), *values)

    return handler


def wired(gr, desk, tab, act, inputs, *, buttons, shown, stage_of, name=None):
    """A form whose buttons work and whose results are shown.

    Args:
        tab: str. act: callable of (owner, *values of the inputs). inputs: components.
        buttons: (what starts, what stops), as `form_buttons` gives them.
        shown: (status, stage), places for HTML. stage_of: callable of the owner that
            gives the stage's HTML, or None while there is nothing new.
        name: str, of the form for programs; by default the tab's.

    Returns:
        {name of an output: (component, its view)}, as a tab's `build` does.
    """
    press, stop = buttons
    status, stage = shown
    press.click(
        pressed(gr, act),
        inputs,
        None,
        api_name=name or tab,
        show_progress="hidden",
        concurrency_limit=None,
    )
    stop.click(
        pressed(gr, lambda owner: desk.stop(owner, tab)),
        None,
        None,
        show_progress="hidden",
    )
    return {
        f"{tab} status": (status, lambda owner: desk.status(owner, tab)),
        f"{tab} stage": (stage, stage_of),
        f"{tab} stop": (stop, lambda owner: busy(gr, desk, owner, tab)),
    }


def owner_of(request):
    """The visitor of a request: their cookie, or their session where they have none."""
    return request.cookies.get(VISITOR) or request.session_hash or ""


def html(gr, value, **more):
    """A place for HTML of the kit's own: nothing of Gradio's style reaches within."""
    return gr.HTML(value, apply_default_css=False, js_on_load=None, **more)

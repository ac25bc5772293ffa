"""How the page looks: the kit's one style, laid over Gradio."""

import inspect

from studio.html import PARTS, TOKENS
from studio.takes_page import SCRIPT as FOLLOW
from studio.takes_page import STYLE as ROLLS

FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "Cascadia Mono", "Menlo", "Consolas", "monospace"]

# Gradio's frame around it: its own names, or the page's.
FRAME = """
body, gradio-app { background: var(--paper) !important; }
.gradio-container { width: 100% !important; max-width: 84rem !important; padding: 0 1rem 3rem !important;
  margin: 0 auto !important; color: var(--ink); }
.gradio-container * { text-wrap: pretty; }
.masthead { border-top: 4px solid var(--first); padding: 1rem 0 .2rem; display: flex;
  flex-wrap: wrap; gap: .2rem 1.2rem; align-items: baseline; }
.masthead h1 { font-size: 1.7rem; font-weight: 720 !important; line-height: 1.1; letter-spacing: -.02em; margin: 0; }
.masthead p { margin: 0; color: var(--soft); }
.tab-container, .tab-wrapper { height: auto !important; }
button[role="tab"] { font-size: 1rem !important; min-height: 2.75rem;
  padding: .4rem 1rem !important; }
button[role="tab"][aria-selected="true"] { font-weight: 650; }
.gradio-container [data-testid="status-tracker"] { display: none; }
.gradio-container .html-container { padding: 0 !important; }
.form-side { gap: .8rem !important; }
.stage { min-width: min(100%, 20rem) !important; }
.gradio-container button.primary, .gradio-container button.secondary,
.gradio-container button.stop { min-height: 2.75rem; }
.gradio-container :focus-visible { outline: 2px solid var(--first) !important;
  outline-offset: 2px; }
.gradio-container input[type="range"] { accent-color: var(--first); }
@keyframes turn { to { transform: rotate(1turn); } }
"""

# Within the kit's own HTML.
STAGE = """
.status { display: flex; gap: .8rem; align-items: center; min-height: 2.9rem;
  padding: .55rem .9rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--card); }
.status p { margin: 0; overflow-wrap: anywhere; }
.status .mark { flex: none; width: 1.5em; text-align: center; font-weight: 700; }
.status.failed { border-left: 4px solid var(--bad); } .status.failed .mark { color: var(--bad); }
.status.done .mark { color: var(--good); }
.status.running .mark { animation: turn 1.2s linear infinite; color: var(--first); }
.status progress { flex: 1 1 6rem; min-width: 4rem; max-width: 14rem; height: .5rem;
  appearance: none; border: 0; border-radius: 99px; overflow: hidden; background: var(--line); }
.status progress::-webkit-progress-bar { background: var(--line); }
.status progress::-webkit-progress-value { background: var(--first); }
.status progress::-moz-progress-bar { background: var(--first); }
@media (prefers-reduced-motion: reduce) { .status.running .mark { animation: none; } }
.nothing { border: 1px dashed var(--line); border-radius: 8px; padding: 2.4rem 1.4rem;
  color: var(--soft); text-align: center; }
.nothing p { margin: 0 auto .4rem; } .nothing strong { color: var(--ink); }
.takes { margin: 0; }
.takes.two { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.take-head { justify-content: space-between; }
.links { display: flex; flex-wrap: wrap; gap: .45rem; margin: .7rem 0 0; padding: 0;
  list-style: none; }
.links a, .links button, a.button { display: inline-flex; align-items: center; gap: .4rem;
  min-height: 2.5rem; padding: .25rem .8rem; border: 1px solid var(--line);
  border-radius: 6px; text-decoration: none; color: var(--ink); background: var(--card);
  font-size: .92rem; }
.links a:hover, .links button:hover { border-color: var(--first); }
.links [aria-pressed="true"] { border-color: var(--first); background: var(--wash); font-weight: 650; }
.wave { display: block; margin: .4rem 0 0; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card); overflow: hidden; }
.wave svg { display: block; width: 100%; height: 3.4rem; cursor: pointer; }
.wave path { fill: var(--first); opacity: .8; }
.wave .head { stroke: var(--ink); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
details { margin: .7rem 0 0; } summary { cursor: pointer; min-height: 2rem; color: var(--soft); }
details img.score { background: #fff; border-radius: 6px; width: 100%; padding: .6rem;
  border: 1px solid var(--line); }
.shelf { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
.shelf > li { display: grid; grid-template-columns: minmax(9rem, 1.2fr) minmax(12rem, 2fr) auto;
  gap: .3rem 1rem; align-items: center; padding: .5rem .9rem; }
.shelf h3 { margin: 0; } .shelf audio { margin: 0; } .shelf .links { margin: 0; }
@media (max-width: 48rem) { .shelf > li { grid-template-columns: 1fr; } }
.key li { display: flex; align-items: center; } .key svg { display: inline-block; }
.key i { flex: none; }
h1, h2, h3 { font-weight: 680; }
iframe.blind { width: 100%; height: 78vh; border: 1px solid var(--line); border-radius: 8px;
  background: var(--paper); }
.plot svg { width: 100%; height: auto; display: block; }
.plot .axis { stroke: var(--line); } .plot .floor { stroke: var(--soft); stroke-dasharray: 5 4; }
.plot .held-out { fill: none; stroke: var(--first); stroke-width: 2; }
.plot circle { fill: var(--first); }
.plot text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.plot text.strong { fill: var(--first); font-weight: 650; }
"""

# Favourites and removals: a button names the address that it posts to.
SCRIPT = (
    FOLLOW
    + """
document.addEventListener("click", async (event) => {
  const button = event.target.closest && event.target.closest("button[data-post]");
  if (!button) return;
  button.disabled = true;
  const done = await fetch(button.dataset.post, {method: "POST"});
  if (!done.ok) { button.disabled = false; return; }
  if (button.hasAttribute("aria-pressed"))
    for (const twin of document.querySelectorAll(`button[data-post="${button.dataset.post}"]`)) {
      const on = twin.getAttribute("aria-pressed") !== "true";
      twin.setAttribute("aria-pressed", on);
      twin.textContent = on ? "★ Kept" : "☆ Keep";
      twin.disabled = false;
    }
  else if (button.closest("li.card")) button.closest("li.card").remove();
});
"""
)


def css():
    """All of it, the kit's parts only within ``.etude``."""
    return f"{TOKENS}{FRAME}.etude {{ {PARTS}{ROLLS}{STAGE} }}"


def head():
    """What stands in the page's head; Gradio would rewrite a style given to it."""
    return (
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{css()}</style><script>{SCRIPT}</script>'
    )


def theme():
    """Gradio's theme in the kit's colours, light and dark alike from its variables."""
    import gradio as gr

    colours = {
        "body_background_fill": "var(--paper)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--soft)",
        "background_fill_primary": "var(--card)",
        "background_fill_secondary": "var(--paper)",
        "border_color_primary": "var(--line)",
        "border_color_accent": "var(--first)",
        "block_background_fill": "var(--card)",
        "block_border_color": "var(--line)",
        "block_label_background_fill": "var(--card)",
        "block_label_text_color": "var(--soft)",
        "block_title_text_color": "var(--ink)",
        "block_info_text_color": "var(--soft)",
        "input_background_fill": "var(--paper)",
        "input_border_color": "var(--line)",
        "input_placeholder_color": "var(--soft)",
        "button_primary_background_fill": "var(--first)",
        "button_primary_background_fill_hover": "var(--first)",
        "button_primary_text_color": "var(--card)",
        "button_secondary_background_fill": "var(--card)",
        "button_secondary_background_fill_hover": "var(--wash)",
        "button_secondary_border_color": "var(--line)",
        "button_secondary_text_color": "var(--ink)",
        "button_cancel_background_fill": "var(--card)",
        "button_cancel_text_color": "var(--bad)",
        "button_cancel_border_color": "var(--bad)",
        "checkbox_background_color": "var(--paper)",
        "checkbox_background_color_selected": "var(--first)",
        "checkbox_border_color": "var(--soft)",
        "checkbox_border_color_selected": "var(--first)",
        "checkbox_label_background_fill": "var(--paper)",
        "checkbox_label_background_fill_selected": "var(--wash)",
        "checkbox_label_text_color": "var(--ink)",
        "checkbox_label_text_color_selected": "var(--ink)",
        "checkbox_label_border_color": "var(--line)",
        "slider_color": "var(--first)",
        "color_accent": "var(--first)",
        "color_accent_soft": "var(--wash)",
        "link_text_color": "var(--first)",
        "table_even_background_fill": "var(--card)",
        "table_odd_background_fill": "var(--card)",
        "accordion_text_color": "var(--ink)",
    }
    both = {
        name: value
        for plain, value in colours.items()
        for name in (plain, f"{plain}_dark")
    }
    plain = gr.themes.Base(font=FONT, font_mono=MONO, radius_size="sm")
    known = inspect.signature(plain.set).parameters
    return plain.set(**{name: value for name, value in both.items() if name in known})

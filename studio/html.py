"""The shell of every page that Etude leaves: one file, no network, light and dark.

Colours are CSS variables, so that a plot drawn as SVG follows the reader's theme:
``--ink`` and ``--soft`` for text, ``--paper`` and ``--card`` behind it, ``--line`` for
rules, ``--first`` (what is shown), ``--second`` (what stands beside it), ``--third`` and
``--good``, ``--bad``.
"""

import base64
from html import escape as _escape

TOKENS = """
:root {
  color-scheme: light dark;
  --paper: #f4f6f8; --card: #ffffff; --ink: #17212b; --soft: #566371;
  --line: #dbe1e8; --wash: #eaf1f8;
  --first: #1769aa; --second: #b4541a; --third: #65752c; --good: #2b7a4b; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #10161c; --card: #18212a; --ink: #e7edf3; --soft: #9fadbb;
    --line: #2d3945; --wash: #1d2c3a;
    --first: #6ab4f0; --second: #f0a066; --third: #b9cc6e; --good: #74cf98;
    --bad: #ff8a80;
  }
}
"""
SHELL = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
header { margin: 0 0 2rem; border-top: 4px solid var(--first); padding-top: 1.1rem; }
h1 { font-size: clamp(1.6rem, 1.2rem + 2vw, 2.3rem); line-height: 1.15; margin: 0 0 .5rem;
  letter-spacing: -.015em; text-wrap: balance; overflow-wrap: anywhere; }
"""
PARTS = """
h2 { font-size: 1.25rem; line-height: 1.25; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .35rem; overflow-wrap: anywhere; }
p { margin: 0 0 .8rem; max-width: 44rem; }
a { color: var(--first); }
code { font: .88em ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
pre { margin: 0 0 .8rem; padding: .8rem 1rem; background: var(--wash); overflow-x: auto;
  border-radius: 6px; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.grid { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem 1.1rem; min-width: 0; }
.card > :last-child, figure > :last-child { margin-bottom: 0; }
.figures { display: grid; gap: 1rem; margin: 1.4rem 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); }
.figures .card strong { display: block; font-size: 1.9rem; line-height: 1.15;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.wide { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .5rem; }
th, td { text-align: right; padding: .42rem .7rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.text, th.text { text-align: left; }
thead th { color: var(--soft); font-size: .85rem; font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
tr.mark > * { background: var(--wash); font-weight: 650; }
tr.mark > :first-child { box-shadow: -.5rem 0 var(--wash); }
figure { margin: 0; min-width: 0; }
figure img, figure svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: .5rem; line-height: 1.4; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
audio { display: block; width: 100%; height: 2.5rem; margin: .5rem 0; border-radius: 6px; }
button { font: inherit; color: var(--ink); background: var(--card); cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: .35rem .8rem; }
button:hover { border-color: var(--first); }
:focus-visible { outline: 2px solid var(--first); outline-offset: 2px; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: 0 0 1rem; padding: 0;
  list-style: none; color: var(--soft); font-size: .9rem; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px;
  margin-right: .4em; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .9rem; }
@media print { body { background: none; } .card { break-inside: avoid; } }
"""
STYLE = TOKENS + SHELL + PARTS  # PARTS alone serve within another page


def escape(text):
    """Text as HTML shows it, quotes too: safe in an element and in an attribute.

    What cannot be said in UTF-8 (a file name of stray bytes) shows as question marks.
    """
    return _escape(str(text).encode(errors="replace").decode(), quote=True)


def page(title, body, *, lead="", style="", script="", lang="en"):
    """A whole page.

    Args:
        title: str, plain text: of the window, and the heading.
        body: str of HTML, what stands under the heading.
        lead: str of HTML, a sentence or two under the heading.
        style, script: str, more CSS, and JavaScript if any. No address in either: the
            page forbids itself the network.
        lang: str.

    Returns:
        str. Written to a file in UTF-8, it is complete.
    """
    lead = f"<p>{lead}</p>" if lead else ""
    script = f"<script>{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="{escape(lang)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: 'self' file:; \
media-src data: 'self' file: blob:">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>{lead}</header>
{body}
</main>
{script}</body>
</html>
"""


def table(head, rows, *, caption="", mark=(), text_columns=()):
    """A table that scrolls sideways where it is too wide.

    Args:
        head: list of str, plain text.
        rows: list of lists; the first cell of each names the row. Cells are plain text.
        caption: str, plain text.
        mark: numbers of the rows to stress.
        text_columns: numbers of the columns that are words: set to the left.

    Returns:
        str of HTML.
    """

    def cell(tag, column, value, more=""):
        kind = ' class="text"' if column in text_columns else ""
        return f"<{tag}{kind}{more}>{escape(value)}</{tag}>"

    titles = "".join(cell("th", n, t, ' scope="col"') for n, t in enumerate(head))
    lines = []
    for number, row in enumerate(rows):
        stress = ' class="mark"' if number in mark else ""
        first = cell("th", 0, row[0], ' scope="row"')
        rest = "".join(cell("td", n, v) for n, v in enumerate(row[1:], 1))
        lines.append(f"<tr{stress}>{first}{rest}</tr>")
    told = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{told}<thead><tr>{titles}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def figure(content, caption):
    """A picture or plot (str of HTML) with the plain text under it, as a card."""
    return (
        f'<figure class="card">{content}<figcaption>{escape(caption)}</figcaption>'
        "</figure>"
    )


def card(heading, body):
    """A card: a heading (plain text) and HTML under it."""
    return f'<section class="card"><h3>{escape(heading)}</h3>{body}</section>'


def big_figures(figures):
    """A row of figures that say the most. Args: figures, list of (value, what it is)."""
    cards = (
        f'<div class="card"><strong>{escape(value)}</strong>'
        f'<span class="soft">{escape(what)}</span></div>'
        for value, what in figures
    )
    return f'<div class="figures">{"".join(cards)}</div>'


def colour_key(names):
    """What the colours of plots mean. Args: names, list of (CSS variable, plain text)."""
    items = (
        f'<li><i style="background:var({escape(colour)})"></i>{escape(name)}</li>'
        for colour, name in names
    )
    return f'<ul class="key">{"".join(items)}</ul>'


def picture(png, alt):
    """A PNG (bytes) within the page, with the words for who cannot see it."""
    return f'<img src="{data_address("image/png", png)}" alt="{escape(alt)}">'


def player(source, label):
    """A sound to play.

    Args:
        source: str, an address beside the page or of `data_address`.
        label: str, plain text, what one hears.

    Returns:
        str of HTML.
    """
    return (
        f'<audio controls preload="none" src="{escape(source)}" '
        f'aria-label="{escape(label)}"></audio>'
    )


def data_address(kind, data):
    """Bytes as an address that holds them. Args: kind, str like ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

"""The blind test as a page: hear, choose, and be told what the score says. One file."""

import base64
import json

from studio.blind_test import verdict
from studio.html import data_address, escape, page
from studio.takes_page import STYLE as ROLL_STYLE
from studio.takes_page import facts_of, page_sounds, roll_svg

STYLE = """
.trials { display: grid; gap: 1rem; margin: 1.6rem 0; padding: 0; list-style: none; }
.trials h2 { margin: 0 0 .2rem; font-size: 1.05rem; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .6rem; }
legend { padding: 0; margin: 0 0 .3rem; color: var(--soft); font-size: .9rem; }
.choice { display: flex; gap: .5rem; align-items: center; min-height: 2.75rem;
  padding: .3rem 1rem .3rem .8rem; border: 1px solid var(--line); border-radius: 6px; cursor: pointer; }
.choice:has(:checked) { border-color: var(--first); background: var(--wash); }
.choice input { accent-color: var(--first); width: 1.1rem; height: 1.1rem; margin: 0; }
.truth { margin: .7rem 0 0; font-weight: 600; }
.truth.right { color: var(--good); } .truth.wrong { color: var(--bad); }
#score { position: sticky; bottom: 0; background: var(--card); border: 1px solid
  var(--line); border-radius: 8px; padding: .9rem 1.1rem; box-shadow: 0 -4px 16px #0002; }
#score p { margin: 0; } #score button { margin-top: .6rem; min-height: 2.75rem; }
#score strong { display: block; font-size: 1.15rem; }
"""

SCRIPT = """
const key = JSON.parse(atob(document.getElementById("key").textContent));
const trials = [...document.querySelectorAll(".trial")];
const score = document.querySelector("#score p"), tell = document.querySelector("#score button");
const chosen = (trial) => trial.querySelector("input:checked");
const count = () => {
  const done = trials.filter(chosen).length;
  score.textContent = `${done} of ${trials.length} told.`;
  tell.disabled = done < trials.length;
};
for (const sound of document.querySelectorAll("audio"))
  sound.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio"))
      if (other !== sound) other.pause();
  });
document.addEventListener("change", count);
tell.addEventListener("click", () => {
  let right = 0;
  trials.forEach((trial, number) => {
    const {real, name} = key.trials[number];
    const is_right = (chosen(trial).value === "real") === real;
    right += is_right;
    const truth = trial.querySelector(".truth");
    truth.textContent = `${is_right ? "✓ Right" : "✗ Wrong"}: ${real ? "real" : "generated"} (${name}).`;
    truth.classList.add(is_right ? "right" : "wrong");
    trial.querySelector(".roll-box").hidden = false;
    for (const input of trial.querySelectorAll("input")) input.disabled = true;
  });
  score.innerHTML = "";
  const [head, ...rest] = key.verdicts[right].split("). ");
  const strong = document.createElement("strong");
  strong.textContent = head + ").";
  score.append(strong, rest.join("). "));
  tell.hidden = true;
});
count();
"""


def blind_page(title, trials, renderings):
    """A page that tells nothing before all is chosen.

    Args:
        title: str. trials: tuple of `blind_test.Trial`. renderings: of their scores,
            list of `render.Rendering`.

    Returns:
        str of HTML that needs nothing else.
    """
    key = {
        "trials": [{"real": trial.is_real, "name": trial.name} for trial in trials],
        "verdicts": [verdict(right, len(trials)) for right in range(len(trials) + 1)],
    }
    hidden = base64.b64encode(json.dumps(key).encode()).decode()
    sounds = page_sounds(renderings)
    cards = "".join(
        _trial(number, trial, sound)
        for number, (trial, sound) in enumerate(zip(trials, sounds, strict=True), 1)
    )
    body = (
        f'<ol class="trials">{cards}</ol><div id="score" role="status"><p></p>'
        '<button type="button" disabled>Tell me my score</button></div>'
        f'<script type="text/plain" id="key">{hidden}</script>'
    )
    lead = (
        "Half of these were written by people, half by the model; all are played alike. "
        "Hear each, and choose. How many you told rightly is said when all are chosen."
    )
    return page(title, body, lead=lead, style=ROLL_STYLE + STYLE, script=SCRIPT)


def _trial(number, trial, sound):
    name = f"Excerpt {number}"
    choices = "".join(
        f'<label class="choice"><input type="radio" name="t{number}" value="{value}">'
        f"{words}</label>"
        for value, words in (("real", "Real"), ("generated", "Generated"))
    )
    return (
        f'<li class="card trial"><h2>{name}</h2>'
        f'<audio controls preload="metadata" src="{data_address("audio/flac", sound)}" '
        f'aria-label="{name}, to hear"></audio>'
        f"<fieldset><legend>A person, or the model?</legend>{choices}</fieldset>"
        f'<p class="truth" role="status"></p><div class="roll-box" hidden>'
        f'{roll_svg(trial.score, name)}<p class="soft">'
        f"{escape(facts_of(trial.score))}</p></div></li>"
    )

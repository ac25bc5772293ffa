"""The tab where a folder of someone's own becomes a model."""

import json
import re
from pathlib import Path

from studio.errors import WrongUsage
from studio.html import big_figures, escape, table
from studio.page import cards
from studio.page.jobs import CANCELLED, RUNNING, facts_of
from studio.page.parts import as_options, busy, html, owned, pressed
from studio.page.sampler import Sampler

TAB, LOOK = "train", "look"
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".aiff", ".aif")
MINUTES = (1, 240)
NAMED = 60  # refused files, in the report


def recipe_choices():
    """(label, name) of what can be trained: what it is for in words."""
    from studio.recipes import RECIPES

    return [
        (f"{name} · {recipe.about}" if recipe.about else name, name)
        for name, recipe in RECIPES.items()
    ]


def take_in(desk, owner, files):
    """Files that a visitor brought: into the folder, and looked at. Gives the recipe
    that suits them, or None."""
    suits = None

    def makes():
        nonlocal suits
        if not files:
            raise WrongUsage("Bring a folder, an archive (.zip), or files.")
        paths = [Path(file) for file in files]
        folder = desk.shelf.bring([(path, path.name) for path in paths], paths[0].stem)
        desk.brought[owner] = folder
        kinds = [path.suffix.lower() in SOUNDS for path in folder.iterdir()]
        is_sound = sum(kinds) > len(kinds) / 2
        suits = "wave-lstm" if is_sound else "melody-lstm"
        report = desk.shelf.folder / "music" / f"{folder.name}.report.jsonl"
        kind = "wave" if is_sound else "melody"
        return {
            "commands": (
                ("inspect", str(folder), "-t", kind, "--report", str(report), "--json"),
            ),
            "on_done": lambda said: facts_of(said[0]) | {"report": str(report)},
            "on_drop": None,
        }

    desk.press(owner, LOOK, "Reading what you brought", makes)
    return suits


def start(desk, owner, name, recipe, minutes, *, resume=False):
    """Press: train, or go on. Gives the `Job`, or None."""

    from studio.recipes import is_counted

    def makes():
        output = bundle_of(desk, name)
        if desk.jobs.running(TAB) and not desk.is_live(owner, TAB):
            raise WrongUsage("A training runs already: stop it first, or wait.")
        if resume:
            command = ("train", "--resume", "-o", str(output), "--json")
        else:
            folder = desk.brought.get(owner)
            if folder is None:
                raise WrongUsage("Bring music first: a folder, an archive, or files.")
            if output.exists():
                raise WrongUsage(
                    f"There is a model called {output.stem}: name another."
                )
            low, high = MINUTES
            if minutes is None or not low <= minutes <= high:
                raise WrongUsage(
                    f"`minutes` must be in {low}..{high}. Received: {minutes}"
                )
            limit = None if is_counted(recipe) else float(minutes)
            options = as_options({"recipe": recipe, "minutes": limit})
            source = "--source=music brought to the page"
            command = (
                "train",
                str(folder),
                "-o",
                str(output),
                *options,
                source,
                "--json",
            )
        sampler = Sampler(desk.shelf, output)
        desk.samplers[output.name] = sampler

        def on_done(said):
            sampler.close()
            return output.name

        return {
            "commands": (command,),
            "on_done": on_done,
            "on_drop": sampler.close,
            "while_running": sampler.look,
            "is_lasting": True,
        }

    return desk.press(owner, TAB, f"Training {name}", makes)


def bundle_of(desk, name):
    """The path of a model that is named.

    Raises:
        WrongUsage: if it is no name for a folder.
    """
    name = str(name or "").strip()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", name):
        raise WrongUsage(
            f"A model's name has 1 to 40 letters, digits, - and _. Received: {name!r}"
        )
    return desk.shelf.folder / "models" / f"{name}.bundle"


def job_of(desk, owner):
    """The training that concerns a visitor: their own, or whichever runs."""
    return desk.jobs.running(TAB) or desk.jobs.latest(owner, TAB)


def output_of(job):
    """The path of the bundle that a training writes."""
    words = job.commands[0]
    return Path(words[words.index("-o") + 1])


def status_of(desk, owner):
    """How far the training is, or what was read."""
    job = job_of(desk, owner)
    look = desk.jobs.latest(owner, LOOK)
    if (owner, TAB) in desk.refused:
        return desk.status(owner, TAB)
    is_reading = look is not None and not look.is_over
    if job is None or is_reading or (owner, LOOK) in desk.refused:
        return desk.status(owner, LOOK)
    told, share = "", None
    if job.state == RUNNING:
        run = read_json(run_of(output_of(job)) / "progress.json")
        share = run.get("share_done")
        told = progress_line(run) if run else "reading the music, loading Keras ..."
    return cards.status(job, desk.jobs.place(job), told, share)


def progress_line(run):
    """A run's progress in words."""
    parts = [f"step {run.get('step', 0):,}"]
    if run.get("loss") is not None:
        parts.append(f"loss {run['loss']:.3f} nats a token")
    if run.get("tokens_per_second"):
        parts.append(f"{run['tokens_per_second']:,.0f} tokens a second")
    if (run.get("share_done") or 0) >= 1:
        parts.append("weighing what it learnt")
    elif run.get("seconds_left") is not None:
        left = int(run["seconds_left"])
        parts.append(f"{left // 60}:{left % 60:02d} left")
    return ", ".join(parts)


def stage_of(desk, owner):
    """The report, the curve beside its floors, the sample: HTML, or None."""
    parts = []
    job = job_of(desk, owner)
    if job is not None:
        output = output_of(job)
        parts.append(_curve(output))
        if (sampler := desk.samplers.get(output.name)) and sampler.take_id:
            take = desk.shelf.take(sampler.take_id)
            parts.append(
                take and "<h2>What it writes by now</h2>" + cards.take_card(take)
            )
        if job.is_over and (output / "bundle.json").is_file():
            parts.insert(0, _saved(output))
        elif job.state == CANCELLED:
            parts.insert(
                0,
                "<p>Stopped. What it learnt is kept: press Go on to go on from there.</p>",
            )
    look = desk.jobs.latest(owner, LOOK)
    if look is not None and isinstance(look.result, dict):
        parts.append(report_of(look.result))
    shown = "".join(part for part in parts if part)
    return cards.within(shown) if shown else None


def run_of(output):
    """The folder of a run, beside the bundle that it writes."""
    return output.with_name(output.name + ".run")


def _curve(output):
    run = run_of(output)
    history = read_json(run / "history.json", [])
    floors = read_json(run / "run.json").get("floors") or {}
    if not floors or not isinstance(history, list):
        return ""
    names = {"ngram": "n-gram", "copy": "copy", "unigram": "unigram"}
    levels = {words: floors[key] for key, words in names.items() if key in floors}
    points = [row for row in history if "step" in row and "held_out" in row]
    return cards.loss_plot(points, levels, floors.get("unit", "note"))


def _saved(output):
    facts = read_json(output / "bundle.json").get("facts", {})
    test = facts.get("test", {})
    figures = ""
    if {"model", "ngram"} <= set(test):
        unit = facts.get("held_out", {}).get("unit", "note")
        figures = big_figures(
            [
                (f"{test['model']:.2f}", f"nats a {unit}, test"),
                (f"{test['ngram']:.2f}", "the n-gram, which only counts"),
                (f"{facts.get('steps', 0):,}", "steps"),
            ]
        )
    name = escape(output.stem)
    return (
        f"<h2>{name} is ready</h2>{figures}<ul class='links'><li>"
        f'<a href="/models/{name}.zip" download>The bundle<span aria-hidden="true">↓'
        "</span></a></li></ul><p class='soft'>It stands among the models under Compose.</p>"
    )


def report_of(facts):
    """What was found in a folder, by reason; every refused file by name."""
    rows = [["used", str(facts.get("used", 0))]]
    if facts.get("repaired"):
        rows.append(["used in part", str(facts["repaired"])])
    rows += [[f"refused: {why}", str(n)] for why, n in facts.get("reasons", {}).items()]
    caption = f"{facts.get('files', 0):,} files, {facts.get('pieces', 0):,} pieces"
    lines = []
    try:
        with open(facts["report"], encoding="utf-8") as report:
            for line in report:
                row = json.loads(line)
                if row.get("status") == "refused" and len(lines) < NAMED:
                    lines.append(
                        f"<li><strong>{escape(row['path'])}</strong>: "
                        f"{escape(row['reason'])}, {escape(row['detail'])}</li>"
                    )
    except (OSError, ValueError, KeyError):
        pass
    named = (
        f"<details open><summary>Refused, by name</summary><ul>{''.join(lines)}</ul>"
        "</details>"
        if lines
        else ""
    )
    return (
        "<h2>What you brought</h2>"
        + table(["files", "how many"], rows, caption=caption)
        + named
    )


def read_json(path, otherwise=None):
    """What a file holds; ``otherwise`` or {} where there is none, or it is half there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {} if otherwise is None else otherwise


def build(gr, desk):
    """Lay the tab out. Gives {name of an output: (component, its view)}."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="form-side"):
            files = gr.File(
                label="Music or sounds: an archive (.zip), or files",
                file_count="multiple",
                height=150,
                elem_id="train-files",
            )
            folder = gr.UploadButton("Choose a folder instead", file_count="directory")
            recipe = gr.Dropdown(
                recipe_choices(), value="melody-lstm", label="What to train"
            )
            with gr.Row():
                name = gr.Textbox("mine", label="Name", max_lines=1, min_width=120)
                minutes = gr.Number(10, label="Minutes", minimum=1, min_width=100)
            press = gr.Button("Train", variant="primary")
            with gr.Row():
                stop = gr.Button("Stop", variant="stop", interactive=False)
                resume = gr.Button("Go on", variant="secondary")
        with gr.Column(scale=7, min_width=320, elem_classes="stage"):
            status = html(gr, "", elem_id="train-status")
            stage = html(
                gr,
                cards.nothing(
                    "Nothing brought yet",
                    "Drop in an archive or files: each is used, or named with why not.",
                ),
                elem_id="train-stage",
            )
    for source, event in ((files, files.upload), (folder, folder.upload)):
        event(
            owned(gr, lambda owner, brought: _taken(gr, desk, owner, brought)),
            [source],
            recipe,
            show_progress="hidden",
            api_visibility="private",
        )
    for button, is_resumed in ((press, False), (resume, True)):
        button.click(
            pressed(
                gr,
                lambda owner, *values, again=is_resumed: start(
                    desk, owner, *values, resume=again
                ),
            ),
            [name, recipe, minutes],
            None,
            api_name="resume" if is_resumed else "train",
            show_progress="hidden",
            concurrency_limit=None,
        )

    stop.click(
        pressed(gr, lambda owner: _stop(desk, owner)),
        None,
        None,
        show_progress="hidden",
    )
    return {
        "train status": (status, lambda owner: status_of(desk, owner)),
        "train stage": (stage, lambda owner: stage_of(desk, owner)),
        "train stop": (stop, lambda owner: _can_stop(gr, desk, owner)),
    }


def _stop(desk, owner):
    """End the training that is seen, whoever began it: it can go on later."""
    if job := desk.jobs.running(TAB):
        desk.jobs.cancel(job)
    else:
        desk.stop(owner, TAB)


def _can_stop(gr, desk, owner):
    if desk.jobs.running(TAB):
        return gr.update(interactive=True)
    return busy(gr, desk, owner, TAB)


def _taken(gr, desk, owner, brought):
    paths = brought if isinstance(brought, list) else [brought]
    suits = take_in(desk, owner, [path for path in paths if path])
    return gr.skip() if suits is None else suits

"""`etude train`."""

import itertools
import json
import os
import shlex
import shutil
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

from studio.commands.telling import command_line, quiet_tensorflow
from studio.errors import NothingUsable, WrongUsage
from studio.outputs import check_folder

DEFAULT_MINUTES = 10.0
READING = ("bars", "parts")  # how files are read, as options of the command
HOSTS_ARE_NAMED = (
    "TF_CONFIG",
    "KERAS_DISTRIBUTION_JOB_ADDRESSES",
)  # in these variables


def train(
    *,
    folder,
    corpus_names,
    output,
    recipe,
    model,
    size,
    settings,
    resume,
    as_json,
    reading=None,
    hearing=None,
    devices=1,
    sources=(),
    half=False,
):
    """`etude train`."""
    from audio_models.architecture import LARGEST
    from data_pipelines.tokenizers import TOKENIZERS
    from studio.count import check_counting, count_bundle
    from studio.diagnose import of_training
    from studio.floors import is_held_out, measure_floors
    from studio.gather import gather
    from studio.hearing import heard_then, tokenizer_of
    from studio.progress import TrainingDisplay, progress_bar
    from studio.recipes import RECIPES, is_counted
    from studio.sources import check_corpus_names
    from studio.summaries import print_dataset
    from studio.train import (
        architecture_of,
        check_plan,
        keep_report,
        prepare_run_folder,
        run_to_resume,
    )

    settings = {name: value for name, value in settings.items() if value is not None}
    reading = {n: value for n, value in (reading or {}).items() if value is not None}
    hearing = {n: value for n, value in (hearing or {}).items() if value is not None}
    resumed = {}
    if is_counted(recipe):
        given = {"resume": resume, "model": model, "size": size}
        given["devices"] = devices if devices != 1 else None
        check_counting(recipe, given | settings)
    if resume:
        resumed = run_to_resume(output)
        recipe, model, size = (resumed[name] for name in ("recipe", "model", "size"))
        sources = sources or _values(resumed, "--source")
        half = half or "--half" in shlex.split(resumed["command"])
        reading = {
            name: value
            for name in READING
            for value in _values(resumed, f"--{name}")[-1:]
        }
        hearing = heard_then(resumed)
        if folder is None and not corpus_names:
            folder, corpus_names = _music_of(resumed)
    if (folder is None) == (not corpus_names):
        raise WrongUsage(
            "Name a folder to learn from, or --corpus NAME; one of the two."
        )
    if folder is not None and not folder.exists():
        raise WrongUsage(f"No such file or folder: {folder}")
    check_corpus_names(corpus_names)
    if recipe not in RECIPES:
        raise WrongUsage(
            f"No recipe is called {recipe!r}. Known: {', '.join(RECIPES)}."
        )
    if reading and TOKENIZERS[RECIPES[recipe].tokenizer].takes == "wave":
        raise WrongUsage(f"--{min(reading)} means nothing to {recipe}, of sounds.")
    if resume:
        settings = resumed["plan"] | settings
    else:
        if "minutes" not in settings and "epochs" not in settings:
            settings["minutes"] = DEFAULT_MINUTES
        settings = RECIPES[recipe].plan | settings
    check_plan({n: v for n, v in settings.items() if v is not None})
    if not is_counted(recipe):
        # Known, or refused at once: whatever the vocabulary will be.
        largest = SimpleNamespace(vocab_size=LARGEST["vocab_size"], classes=())
        architecture_of(RECIPES[recipe], largest, model, size)
    check_folder(output.parent)
    run_folder = prepare_run_folder(output)
    say = (lambda *_: None) if as_json else print
    held = None  # till something has to be computed
    is_shared = devices != 1 or any(os.environ.get(name) for name in HOSTS_ARE_NAMED)
    if is_shared and not is_counted(recipe):
        held = _open_devices(devices, settings, folder, say)
        if not held.is_chief:
            as_json, say = True, (lambda *_: None)
    with progress_bar("Reading", quiet=as_json) as on_progress:
        try:
            dataset = gather(
                folder,
                corpus_names,
                tokenizer=tokenizer_of(RECIPES[recipe], folder, corpus_names, hearing),
                reading=reading,
                on_progress=on_progress,
            )
        except NothingUsable as error:
            keep_refusals(error, run_folder / "report.jsonl")
            raise
    if resume and resumed["dataset"] != dataset.manifest["checksum"]:
        raise WrongUsage(
            f"The music is not that of the run in {run_folder}: start without --resume."
        )
    if held is None or held.is_chief:
        keep_report(dataset, run_folder)
    print_dataset(say, dataset, run_folder / "report.jsonl")
    floors = measure_floors(dataset)
    say(
        f"Floors, nats per {floors.unit}: copy {floors.copy:.3f}, unigram {floors.unigram:.3f}, "
        f"n-gram {floors.ngram:.3f} ({floors.ngram_kind})."
    )
    if is_counted(recipe):
        bundle = count_bundle(
            dataset,
            recipe,
            output,
            sources=_sources(folder, corpus_names, sources),
            command=_command(
                folder,
                corpus_names,
                sources,
                output,
                {"recipe": recipe} | reading | hearing,
            ),
            floors=floors,
        )
        verdict = f"counted ({bundle.facts['counted']})"
        _tell_bundle(bundle, output, run_folder, floors, verdict, as_json=as_json)
        return
    if held is None:
        say("Loading Keras ...")
        quiet_tensorflow()
    from audio_models.training import Plan
    from studio.train import train_bundle

    plan = Plan(**settings)
    with TrainingDisplay(floors, plan, quiet=as_json) as display:
        bundle, progress = train_bundle(
            dataset,
            recipe,
            plan,
            output,
            sources=_sources(folder, corpus_names, sources),
            command=resumed.get("command")
            or _command(
                folder,
                corpus_names,
                sources,
                output,
                {"recipe": recipe, "model": model, "size": size}
                | reading
                | hearing
                | ({"devices": devices} if devices > 1 else {})
                | ({"half": True} if half else {})
                | settings,
            ),
            floors=floors,
            watch=display.watch,
            resume=resume,
            model=model,
            size=size,
            devices=held,
            half=half,
        )
    if bundle is None:  # the chief has it, and tells
        return
    test = bundle.facts["test"]
    below = 100 * (1 - test["model"] / test["ngram"])
    if not is_held_out(dataset):
        verdict = "of the training music itself; there was nothing to hold back"
    elif below > 0:
        verdict = f"{below:.0f}% below the n-gram"
    else:
        verdict = f"{-below:.0f}% above the n-gram: train longer (--minutes)"
    advice = of_training(progress.history, floors, plan)
    _tell_bundle(bundle, output, run_folder, floors, verdict, advice, as_json=as_json)


def _open_devices(devices, settings, folder, say):
    """The devices that a run was told to use, or a sentence why not."""
    from audio_models.hosts import hosts_named
    from audio_models.parallel import check_count, check_divides, open_devices
    from data_pipelines.shards import is_dataset

    try:
        check_count(devices)
        check_divides(devices, settings["batch_size"])
        say("Loading Keras ...")
        quiet_tensorflow()
        hosts, _ = hosts_named()
        check_divides(devices * hosts, settings["batch_size"])
        if hosts > 1 and (folder is None or not is_dataset(folder)):
            raise ValueError(
                "Several hosts train on a dataset that all can read: "
                "etude prepare FOLDER -o DATASET first, and train on that."
            )
        return open_devices(devices)
    except ValueError as error:
        raise WrongUsage(str(error)) from None


def _tell_bundle(
    bundle, output, run_folder, floors, verdict, advice=(), *, as_json=False
):
    test = bundle.facts["test"]
    if as_json:
        print(
            json.dumps(
                {
                    "bundle": str(output),
                    "held_out": bundle.facts["held_out"],
                    "test": test,
                    "floors": asdict(floors),
                    "steps": bundle.facts.get("steps", 0),
                    "run": str(run_folder),
                }
            )
        )
        return
    print(f"Test: {test['model']:.3f} nats per {floors.unit}, {verdict}.")
    for sentence in advice:
        print(sentence)
    print(f"Wrote {output} (card: {output / 'card.md'}; run: {run_folder})")
    print(f"Hear it: etude compose --model {output}")


def keep_refusals(error, report):
    """Where nothing can be used, the report of it is what the person needs."""
    if (made := getattr(error.__cause__, "report", None)) is not None:
        shutil.move(made, report)


def _music_of(run):
    """(folder, names of corpora) that a run was started on."""
    words = shlex.split(run["command"])[2:]
    folder = Path(words[0]) if words and not words[0].startswith("--") else None
    return folder, _values(run, "--corpus")


def _values(run, option):
    """What a run's command gave an option, each time that it stands there."""
    words = itertools.pairwise(shlex.split(run["command"]))
    return [after for word, after in words if word == option]


def _sources(folder, corpus_names, told):
    if told:
        return list(told)
    if folder is not None:
        return [f"the folder {folder.name or folder.resolve().name}"]
    from studio.sources import source_line

    return [source_line(name) for name in corpus_names]


def _command(folder, corpus_names, sources, output, settings):
    where = [shlex.quote(str(folder))] if folder is not None else []
    where += [f"--corpus {name}" for name in corpus_names]
    where += [f"--source {shlex.quote(source)}" for source in sources]
    given = {name: value for name, value in settings.items() if value is not None}
    given.pop("max_shift", None)  # the recipe's own: no option sets it
    options = {**dict(sorted(given.items())), "output": output}
    return command_line(" ".join(["etude train", *where]), options)

"""What each command does: workflows in, sentences and files out."""

import json
import secrets
import shlex
import shutil
import time
from dataclasses import asdict
from pathlib import Path

from studio import BEGAN
from studio.errors import NothingUsable, WrongUsage
from studio.outputs import (
    Sound,
    check_folder,
    check_outputs,
    check_sound,
    sound_facts,
    write_outputs,
)

DEFAULT_FOLDER = Path("out")
DEFAULT_MINUTES = 10.0
COMPOSE_DEFAULTS = {"bars": 16, "temperature": 0.9, "top_p": 0.95}


def compose(*, model, wish, outputs, engine, soundfont, as_json):
    """`etude compose`."""
    from studio.compose import Wish, check_wish
    from studio.compose import compose as compose_piece
    from studio.models import open_model

    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    again = command_line("etude compose", {"model": model, **wish}, COMPOSE_DEFAULTS)
    wish = Wish(**wish)
    check_wish(wish)
    sound = Sound(engine, soundfont)
    check_sound(sound)
    bundle = open_model(model)
    name = Path(model).name.removesuffix(".bundle")
    if not outputs:
        stem = f"{name}-{wish.seed}"
        outputs = [DEFAULT_FOLDER / (stem + s) for s in (".mid", ".wav", ".png")]
    paths = check_outputs(outputs)
    piece = compose_piece(bundle, wish)
    title = f"{name}, seed {wish.seed}"
    rendering = write_outputs(piece.score, paths, sound, title)
    seconds = time.monotonic() - BEGAN
    if as_json:
        facts = {
            "model": model,
            "seed": wish.seed,
            "bars": wish.bars,
            "metre": piece.metre,
            "qpm": piece.qpm,
            "key": piece.key,
            "notes": len(piece.score),
            "seconds": round(piece.score.length_seconds, 2),
            "nats_per_note": round(piece.nats_per_note, 4),
            "end_probability": round(piece.end_probability, 4),
            "files": [str(path) for path in paths],
            "engine": rendering.engine if rendering else None,
        }
        print(json.dumps(facts))
        return
    print(
        f"Composed {wish.bars} bars of {piece.metre or 'no named metre'} in {piece.key}, "
        f"{len(piece.score)} notes, {piece.score.length_seconds:.0f} s, "
        f"in {seconds:.1f} s (model {name}, seed {wish.seed})."
    )
    _tell_files(paths, rendering)
    print(f"Again, or changed: {again}")


def listen(*, file, outputs, engine, soundfont, play, as_json):
    """`etude listen`."""
    from studio.listen import open_score
    from studio.listen import play as play_file

    sound = Sound(engine, soundfont)
    check_sound(sound)
    score = open_score(file)
    if not outputs:
        outputs = [DEFAULT_FOLDER / (file.stem + ".wav")]
    paths = check_outputs(outputs)
    for path in paths:
        if path.exists() and path.samefile(file):
            raise WrongUsage(f"{path} is the file to listen to; name another output.")
    wav = next((p for p in paths if p.suffix.lower() in (".wav", ".flac")), None)
    if play and wav is None:
        raise WrongUsage("--play needs a .wav or .flac among the outputs.")
    rendering = write_outputs(score, paths, sound, file.stem)
    if as_json:
        facts = {
            "files": [str(path) for path in paths],
            "notes": len(score),
            "seconds": round(score.length_seconds, 2),
        }
        if rendering:
            facts |= {"engine": rendering.engine, "soundfont": rendering.soundfont}
        print(json.dumps(facts))
    else:
        _tell_files(paths, rendering)
    if play:
        play_file(wav)


def inspect(*, path, report, tokenizer, leaks, split, as_json):
    """`etude inspect`."""
    if not path.exists():
        raise WrongUsage(f"No such file or folder: {path}")
    check_tokenizer(tokenizer)
    if path.is_dir() or leaks:
        _inspect_folder(path, report, tokenizer, leaks, split, as_json)
    else:
        _inspect_file(path, as_json)


def _inspect_file(path, as_json):
    from data_pipelines.guard import Refused, read_file
    from data_pipelines.workers import read_all
    from studio.inspect import score_facts
    from studio.summaries import print_score

    _, reading = next(read_all([path], workers=_workers_for(path), read=read_file))
    if isinstance(reading, Refused):
        raise NothingUsable(f"{path}: {reading.reason}: {reading.detail}.")
    count = len(reading.contents)
    facts = {"pieces": count, "refused": 0, **score_facts(reading.contents[0])}
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    if count > 1:
        print(f"{path} holds {count:,} pieces; the first of them:")
    print_score(path, facts)


def _workers_for(path):
    """MIDI is read here; what may hang or swell in a worker, under a clock."""
    from data_pipelines.guard import Refused, sniff

    try:
        return int(sniff(path) != "midi")
    except Refused:
        return 0


def _inspect_folder(path, report, tokenizer, leaks, split, as_json):
    import tempfile

    from data_pipelines.prepare import NothingToPrepare, Settings
    from data_pipelines.prepare import prepare as prepare_dataset
    from data_pipelines.shards import is_dataset
    from data_pipelines.tokenizers import TOKENIZERS
    from studio import inspect as inspection
    from studio.gather import default_workers, nothing_usable, open_named
    from studio.progress import progress_bar
    from studio.summaries import cost_line, print_folder, print_leaks

    check_folder(report.parent)
    if report.is_dir():
        raise WrongUsage(f"{report} is a folder; --report names a file.")
    with tempfile.TemporaryDirectory() as folder:
        if is_dataset(path):
            dataset = open_named(path)
        else:
            settings = Settings(TOKENIZERS[tokenizer]().spec(), split=split)
            workers = default_workers(path)
            try:
                with progress_bar("Reading", quiet=as_json) as on_progress:
                    dataset = prepare_dataset(
                        path,
                        Path(folder, "dataset"),
                        settings,
                        workers=workers,
                        on_progress=on_progress,
                    )
            except NothingToPrepare as error:
                shutil.move(error.report, report)
                raise NothingUsable(nothing_usable(path, error, tokenizer)) from None
        shutil.copy(dataset.folder / "report.jsonl", report)
        facts = inspection.folder_facts(dataset, report)
        if leaks:
            facts["leaks"] = inspection.leaks(dataset)
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    facts["cost_line"] = cost_line(TOKENIZERS[facts["tokenizer"]], facts["cost"])
    print_folder(path, facts)
    if leaks:
        print_leaks(facts["leaks"])


def check_tokenizer(name):
    """Raise WrongUsage, naming the known ones, if there is no tokenizer of that name."""
    from data_pipelines.tokenizers import TOKENIZERS

    if name not in TOKENIZERS:
        raise WrongUsage(
            f"No tokenizer is called {name!r}. Known: {', '.join(TOKENIZERS)}."
        )


def prepare(*, folder, output, settings, workers, runner, runner_options, as_json):
    """`etude prepare`."""
    from data_pipelines.prepare import NothingToPrepare, Settings
    from data_pipelines.prepare import prepare as prepare_here
    from data_pipelines.tokenizers import TOKENIZERS
    from studio.gather import default_workers, nothing_usable
    from studio.progress import progress_bar
    from studio.summaries import print_dataset

    if not folder.exists():
        raise WrongUsage(f"No such file or folder: {folder}")
    name = settings.pop("tokenizer")
    check_tokenizer(name)
    if not 0 <= (workers or 0) <= 256:
        raise WrongUsage(f"`workers` must be in 0..256. Received: {workers}")
    output = output or Path(folder.resolve().name + ".dataset")
    check_folder(output.parent)
    settings = Settings(TOKENIZERS[name]().spec(), **settings)
    began = time.monotonic()
    try:
        with progress_bar("Reading", quiet=as_json) as on_progress:
            if runner:
                from data_pipelines.scale import prepare_on

                dataset = prepare_on(
                    runner, folder, output, settings, options=runner_options
                )
            else:
                workers = default_workers(folder) if workers is None else workers
                dataset = prepare_here(
                    folder, output, settings, workers=workers, on_progress=on_progress
                )
    except NothingToPrepare as error:
        told = nothing_usable(folder, error, name)
        raise NothingUsable(f"{told} Report: {error.report}") from None
    if as_json:
        facts = {n: dataset.manifest[n] for n in ("found", "splits", "cost", "kin")}
        print(json.dumps({"dataset": str(output), **facts}, ensure_ascii=False))
        return
    print_dataset(print, dataset, output / "report.jsonl")
    tokens = sum(split["tokens"] for split in dataset.counts.values())
    shards = sum(len(names) for names in dataset.manifest["shards"].values())
    print(
        f"Wrote {output}: {tokens:,} tokens in {shards} shards, "
        f"in {time.monotonic() - began:.1f} s."
    )


def models(*, as_json):
    """`etude models`."""
    from studio.models import DEFAULT_MODEL, open_model, shipped_models

    rows = []
    for name in shipped_models():
        facts = open_model(name).facts
        rows.append({"name": name, "is_default": name == DEFAULT_MODEL, **facts})
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        held_out, test = row["held_out"], row.get("test", {})
        star = "  (the default)" if row["is_default"] else ""
        print(f"{row['name']}{star}: {row['recipe']}, {row['notes']:,} notes")
        for source in row["sources"]:
            print(f"    {source}")
        figures = test if test else held_out
        print(
            f"    nats per note, {'test' if test else 'held out'}: "
            f"{figures['model']:.3f}; n-gram {figures['ngram']:.3f}, "
            f"copy {figures['copy']:.3f}, unigram {figures['unigram']:.3f}"
        )


def train(*, folder, corpus_names, output, recipe, settings, as_json):
    """`etude train`."""
    from data_pipelines.music21_corpus import check_corpus_names
    from studio.gather import gather
    from studio.progress import TrainingDisplay, progress_bar
    from studio.recipes import RECIPES
    from studio.summaries import print_dataset
    from studio.train import (
        check_plan,
        is_held_out,
        keep_report,
        measure_floors,
        prepare_run_folder,
    )

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
    settings = {name: value for name, value in settings.items() if value is not None}
    if "minutes" not in settings and "epochs" not in settings:
        settings["minutes"] = DEFAULT_MINUTES
    settings = RECIPES[recipe].plan | settings
    check_plan(settings)
    check_folder(output.parent)
    run_folder = prepare_run_folder(output)
    with progress_bar("Reading", quiet=as_json) as on_progress:
        try:
            dataset = gather(
                folder,
                corpus_names,
                tokenizer=RECIPES[recipe].tokenizer,
                on_progress=on_progress,
            )
        except NothingUsable as error:
            keep_refusals(error, run_folder / "report.jsonl")
            raise
    keep_report(dataset, run_folder)
    say = (lambda *_: None) if as_json else print
    print_dataset(say, dataset, run_folder / "report.jsonl")
    floors = measure_floors(dataset)
    say(
        f"Floors, nats per note: copy {floors.copy:.3f}, unigram {floors.unigram:.3f}, "
        f"n-gram {floors.ngram:.3f} ({floors.ngram_kind})."
    )
    say("Loading Keras ...")
    _quiet_tensorflow()
    from audio_models.training import Plan
    from studio.train import train_bundle

    plan = Plan(**settings)
    with TrainingDisplay(floors, plan, quiet=as_json) as display:
        bundle, progress = train_bundle(
            dataset,
            recipe,
            plan,
            output,
            sources=_sources(folder, corpus_names),
            command=_command(folder, corpus_names, output, recipe, settings),
            floors=floors,
            watch=display.watch,
        )
    test = bundle.facts["test"]
    if as_json:
        print(
            json.dumps(
                {
                    "bundle": str(output),
                    "held_out": bundle.facts["held_out"],
                    "test": test,
                    "floors": asdict(floors),
                    "steps": progress.step,
                    "run": str(run_folder),
                }
            )
        )
        return
    below = 100 * (1 - test["model"] / test["ngram"])
    if not is_held_out(dataset):
        verdict = "of the training music itself; there was nothing to hold back"
    elif below > 0:
        verdict = f"{below:.0f}% below the n-gram"
    else:
        verdict = f"{-below:.0f}% above the n-gram: train longer (--minutes)"
    print(f"Test: {test['model']:.3f} nats per note, {verdict}.")
    print(f"Wrote {output} (card: {output / 'card.md'}; run: {run_folder})")
    print(f"Hear it: etude compose --model {output}")


def keep_refusals(error, report):
    """Where nothing can be used, the report of it is what the person needs."""
    if (made := getattr(error.__cause__, "report", None)) is not None:
        shutil.move(made, report)


def bench(*, name, as_json):
    """`etude bench`."""
    from studio.bench import BENCHMARKS, run

    if name not in BENCHMARKS:
        raise WrongUsage(
            f"No benchmark is called {name!r}. Known: {', '.join(BENCHMARKS)}."
        )
    rows = run(name)
    if as_json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['id']}: {row['value']:g}, {row['baseline']} "
            f"{row['baseline_value']:g}: ratio {row['ratio']:.2f}, "
            f"target {row['target']:g}"
        )


def _sources(folder, corpus_names):
    if folder is not None:
        return [f"the folder {folder.name or folder.resolve().name}"]
    from studio.sources import source_line

    return [source_line(name) for name in corpus_names]


def _command(folder, corpus_names, output, recipe, settings):
    where = [shlex.quote(str(folder))] if folder is not None else []
    where += [f"--corpus {name}" for name in corpus_names]
    options = {"recipe": recipe, **dict(sorted(settings.items())), "output": output}
    return command_line(" ".join(["etude train", *where]), options)


def command_line(start, options, defaults=None):
    """A command that a person can paste: every option that is not its default."""
    from studio.compose import OPTION_NAMES

    words = [start]
    for name, value in options.items():
        if value != (defaults or {}).get(name):
            option = OPTION_NAMES.get(name, name).replace("_", "-")
            words.append(f"--{option} {shlex.quote(str(value))}")
    return " ".join(words)


def _quiet_tensorflow():
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _tell_files(paths, rendering):
    for path in paths:
        print(f"  {path}")
    if rendering:
        print(f"  ({sound_facts(rendering)})")
    sound = next((p for p in paths if p.suffix.lower() in (".wav", ".flac")), None)
    midi = next((p for p in paths if p.suffix.lower() in (".mid", ".midi")), None)
    if sound:
        print(f"Play it: open {sound} in any player", end="")
        print(f", or etude listen {midi} --play" if midi else "")

"""`etude inspect` and `etude prepare`."""

import json
import shutil
import tempfile
import time
from pathlib import Path

from studio.errors import NothingUsable, WrongUsage
from studio.outputs import check_folder


def inspect(*, path, report, tokenizer, leaks, split, as_json):
    """`etude inspect`."""
    if not path.exists():
        raise WrongUsage(f"No such file or folder: {path}")
    check_tokenizer(tokenizer)
    if path.is_dir() or leaks:
        _inspect_folder(path, report, tokenizer, leaks, split, as_json)
    else:
        _inspect_file(path, tokenizer, as_json)


def _inspect_file(path, tokenizer, as_json):
    from data_pipelines.guard import Refused, read_file
    from data_pipelines.tokenizers import TOKENIZERS
    from data_pipelines.workers import read_all
    from studio.inspect import score_facts
    from studio.summaries import print_score

    if TOKENIZERS[tokenizer].takes == "wave":
        _inspect_sound(path, as_json)
        return
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


def _inspect_sound(path, as_json):
    from studio.commands.sounding import open_sound
    from studio.diagnose_sound import sound_faults

    reading = open_sound(path)
    sound = reading.contents[0]
    facts = {
        "pieces": 1,
        "refused": 0,
        "seconds": round(sound.seconds, 4),
        "sample_rate": sound.sample_rate,
        "channels": sound.samples.shape[1],
        "peak": round(float(abs(sound.samples).max()), 4),
        "left_out": list(reading.left_out),
        # Without the advice, which is for whoever generates.
        "diagnosis": [fault.text.partition(". ")[0] for fault in sound_faults(sound)],
    }
    if as_json:
        print(json.dumps(facts))
        return
    channels = (
        "1 channel" if facts["channels"] == 1 else f"{facts['channels']} channels"
    )
    print(
        f"{path}: {sound.seconds:.2f} s of sound at {sound.sample_rate:,} Hz, "
        f"{channels}, peak {facts['peak']:.2f} of full scale"
    )
    for sentence in (*facts["left_out"], *facts["diagnosis"]):
        print(f"  {sentence}")


def _workers_for(path):
    """MIDI is read here; what may hang or swell in a worker, under a clock."""
    from data_pipelines.guard import Refused, sniff

    try:
        return int(sniff(path) != "midi")
    except Refused:
        return 0


def _inspect_folder(path, report, tokenizer, leaks, split, as_json):
    from data_pipelines.prepare import NothingToPrepare, Settings
    from data_pipelines.prepare import prepare as prepare_dataset
    from data_pipelines.shards import is_dataset
    from data_pipelines.tokenizers import TOKENIZERS
    from studio import inspect as inspection
    from studio.codec import with_codec
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
            made = with_codec(TOKENIZERS[tokenizer]())
            codec = getattr(made, "codec", None)
            settings = Settings(made.spec(), split=split, codec=codec)
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


def _tokenizer_as_trained(name, folder, hearing):
    """The tokenizer of that name; of sounds as the recipes of `etude train` hear them."""
    from data_pipelines.tokenizers import TOKENIZERS
    from studio.hearing import tokenizer_of
    from studio.recipes import RECIPES

    hearing = {option: value for option, value in hearing.items() if value is not None}
    recipe = next((r for r in RECIPES.values() if r.tokenizer == name), None)
    if recipe and TOKENIZERS[name].takes == "wave":
        tokenizer = tokenizer_of(recipe, folder, (), hearing)
        return TOKENIZERS[name]() if isinstance(tokenizer, str) else tokenizer
    for option in hearing:
        raise WrongUsage(
            f"--{option.replace('_', '-')} means nothing to the tokenizer {name!r}: it "
            "takes no sounds."
        )
    return TOKENIZERS[name]()


def prepare(
    *, folder, output, settings, workers, runner, runner_options, as_json, hearing=None
):
    """`etude prepare`."""
    from data_pipelines.prepare import NothingToPrepare, Settings
    from data_pipelines.prepare import prepare as prepare_here
    from studio.gather import default_workers, nothing_usable
    from studio.progress import progress_bar
    from studio.summaries import print_dataset

    if not folder.exists():
        raise WrongUsage(f"No such file or folder: {folder}")
    name = settings.pop("tokenizer")
    check_tokenizer(name)
    if not 0 <= (workers or 0) <= 256:
        raise WrongUsage(f"`workers` must be in 0..256. Received: {workers}")
    tokenizer = _tokenizer_as_trained(name, folder, hearing or {})
    output = output or Path(folder.resolve().name + ".dataset")
    check_folder(output.parent)
    codec = getattr(tokenizer, "codec", None)
    settings = Settings(tokenizer.spec(), codec=codec, **settings)
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

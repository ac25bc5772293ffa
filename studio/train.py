"""A folder of music to a bundle: read, split, measure the floors, train, tell."""

import atexit
import json
import math
import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path

import numpy as np

from audio_models import COUNTED, MODELS
from audio_models.bundle import check_replaceable, halved, save_bundle
from audio_models.disk import room_for
from audio_models.presets import preset
from data_pipelines.audio import audio_bytes
from data_pipelines.datasets import Feed
from data_pipelines.files import write_whole
from data_pipelines.measures import repeated_bars
from data_pipelines.midi import midi_bytes
from data_pipelines.windows import Augmentation
from studio.codec import bundle_of, tokenizer_in, with_codec
from studio.compose import compose
from studio.curves import EventFile, draw_loss_curve
from studio.errors import Interrupted, MachineFailed, NothingUsable, WrongUsage
from studio.facts import figures
from studio.floors import (
    held_out_pieces,
    measure_floors,
    nats_per_note,
    window_of,
)
from studio.interrupt import CtrlC
from studio.recipes import RECIPES
from studio.sounds import SoundWish, compose_sound
from studio.wish import Wish

SOUND_MODELS = ("frames", "dilated", "state-space")
PRECISIONS = ("float32", "bfloat16")
MOST_SAMPLES = 12  # classes, in the sample of a bundle
RUN, CHECKPOINT, PROGRESS = "run.json", "checkpoint", "progress.json"
PROGRESS_SECONDS = 1.0  # between two looks at how far a run is


def train_bundle(
    dataset,
    recipe_name,
    plan,
    output,
    *,
    sources,
    command,
    floors,
    watch=None,
    resume=False,
    model=None,
    size=None,
    devices=None,
    half=False,
):
    """Train a recipe on a dataset, and leave a bundle.

    Args:
        dataset: `shards.Dataset`.
        recipe_name: str, one of `RECIPES`.
        plan: `audio_models.training.Plan`.
        output: Path of the bundle to write. A folder ``OUTPUT.run`` beside it holds
            the report, the history and the settings.
        sources: list of str, where the music came from, for the card.
        command: str, what rebuilds the bundle, for the card.
        floors: `Floors` of the dataset.
        watch, resume: as for `audio_models.training.train`.
        model, size: str or None, a network of `MODELS` and a size of `PRESETS` in the
            place of the recipe's own.
        devices: as `audio_models.parallel.open_devices` gives them; by default one. Of
            several hosts the chief alone writes files.
        half: bool, whether the bundle stores its weights in 16 bits.

    Returns:
        (`Bundle`, `Progress`); no bundle but on the chief.
    """
    import keras

    from audio_models.network import Network
    from audio_models.parallel import HostLost, OneDevice
    from audio_models.training import NotFinite, Progress, train

    recipe = RECIPES[recipe_name]
    tokenizer = with_codec(dataset.tokenizer)
    output = Path(output)
    run_folder = prepare_run_folder(output)
    devices = devices or OneDevice()
    devices.check_alike(
        repr((dataset.manifest["checksum"], recipe_name, plan, model, size, resume))
    )
    if devices.is_chief:
        if not resume:
            clear_run(run_folder)
        keep_report(dataset, run_folder)
        write_run(
            run_folder, dataset, recipe_name, plan, command, model, size, floors=floors
        )
    architecture = architecture_of(recipe, tokenizer, model, size)
    architecture = within_window(architecture, plan.window)
    length, head = window_of(architecture, plan.window)
    policy = "float32" if plan.precision == "float32" else f"mixed_{plan.precision}"
    network = Network(architecture, seed=plan.seed, dtype=policy)
    feed = Feed(
        dataset,
        batch_size=plan.batch_size,
        length=length,
        seed=plan.seed,
        augmentation=Augmentation(plan.max_shift, **recipe.augment),
        head=head,
        marks_cuts=tokenizer.takes == "wave",
    )
    is_tensorflow = keras.backend.backend() == "tensorflow"
    batches = feed.epoch if is_tensorflow else feed.numpy_epoch

    ctrl_c = CtrlC()
    latest, told_at = Progress(), -math.inf

    def held_out(network, split="valid"):
        pieces = held_out_pieces(dataset, split)
        with ctrl_c.free():
            nats = nats_per_note(network, pieces, tokenizer)
        if not math.isfinite(nats):  # the last step broke what its loss did not tell
            raise NotFinite(
                f"The held-out loss is {nats} after step {latest.step}. "
                "Lower the learning rate (--learning-rate).",
                latest.epoch,
                latest.batch - 1,
            )
        return nats

    facts = figures(dataset, recipe_name, plan, sources, command, floors)

    events = EventFile(run_folder / "tensorboard") if devices.is_chief else None

    def keep(progress, event):
        nonlocal latest
        latest = progress
        if devices.is_chief:
            write(progress, event)
        if watch:
            watch(progress, event)
        if event in ("step", "checked"):
            ctrl_c.check()

    def write(progress, event):
        nonlocal told_at
        if time.monotonic() - told_at > PROGRESS_SECONDS:
            told_at = time.monotonic()
            write_progress(run_folder, progress)
        if event == "checked":
            write_file(
                run_folder / "history.json", json.dumps(progress.history).encode()
            )
            draw_loss_curve(run_folder / "curve.png", progress.history, floors)
            events.write(progress.step, held_out=progress.history[-1]["held_out"])
        elif event == "step" and progress.step % 10 == 0:
            events.write(progress.step, loss=progress.loss)
        elif event == "best":
            facts["held_out"]["model"] = progress.best
            best = bundle_of(architecture, network.named_weights(), tokenizer, facts)
            save_bundle(run_folder / "best.bundle", best)

    began = time.monotonic()
    try:
        with ctrl_c.held():
            progress = train(
                network,
                plan,
                batches,
                feed.steps(),
                held_out,
                watch=keep,
                checkpoint=run_folder / CHECKPOINT,
                resume=resume,
                devices=devices,
            )
            ctrl_c.check()
        if not devices.is_chief:
            devices.stay()
            return None, progress
        facts["held_out"]["model"] = progress.best  # maybe of before it was resumed
        if half:
            network.load_named_weights(halved(network.named_weights()))
        with devices.alone(network) as alone:
            facts["test"] = {"model": held_out(alone, "test")}
        facts["test"] |= asdict(measure_floors(dataset, "test"))
        facts["trained_minutes"] = round((time.monotonic() - began) / 60, 1)
        facts["steps"] = progress.step
        bundle = finished(architecture, network.named_weights(), tokenizer, facts)
        save_bundle(output, bundle, half=half)
        devices.stay()
    except KeyboardInterrupt:
        raise Interrupted(_what_was_kept(run_folder, output)) from None
    except HostLost as error:
        atexit.register(_leave_at_once)
        raise MachineFailed(f"{error} -o {shlex.quote(str(output))}") from None
    except (NotFinite, FloatingPointError) as error:
        epoch = getattr(error, "epoch", latest.epoch)
        batch = getattr(error, "batch", latest.batch - 1)
        where = feed.origins(epoch, batch)
        read = "; ".join(where[:4]) + (" ..." if len(where) > 4 else "")
        raise NothingUsable(f"{error} It was reading {read}.") from None
    finally:
        if events:
            events.close()
    return bundle, progress


def _leave_at_once():
    # JAX would wait for the host that is gone, and then abort with a stack trace.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(MachineFailed.status)


def share_of_repeated_bars(scores):
    """Of all bars, the share that repeats an earlier bar of its piece exactly."""
    repeated, bars = np.sum([repeated_bars(score) for score in scores], axis=0)
    return round(float(repeated / max(1, bars)), 4)


def _what_was_kept(run_folder, output):
    best = run_folder / "best.bundle"
    kept = f"; the best weights so far are the bundle {best}" if best.is_dir() else ""
    again = f"etude train --resume -o {shlex.quote(str(output))}"
    return f"interrupted{kept}; go on: {again}"


def architecture_of(recipe, tokenizer, model=None, size=None):
    """The network of a recipe, or another one in its place.

    Raises:
        WrongUsage: if the model or the size is not known.
    """
    kind = model or recipe.model
    if kind in COUNTED:
        raise WrongUsage(
            f"`{kind}` is counted, not trained: --recipe melody-ngram or chorale-ngram."
        )
    if kind not in MODELS:
        raise WrongUsage(f"No model is called {kind!r}. Known: {', '.join(MODELS)}.")
    sizes = recipe.sizes
    if size is not None or kind != recipe.model:
        try:
            sizes = preset(kind, size or "small")
        except ValueError as error:
            raise WrongUsage(str(error)) from None
        sizes = {**sizes, "dropout": recipe.sizes.get("dropout", 0.0)}
    if kind in SOUND_MODELS:  # they have to know which ids are samples, and of what
        sizes = {**sizes, "num_classes": len(getattr(tokenizer, "classes", ()))}
    return MODELS[kind](vocab_size=tokenizer.vocab_size, **sizes)


def within_window(architecture, window):
    """The network, looking back no farther than the windows that it learns from.

    What stands farther apart than in any window it has never compared: held-out music
    read with twice that context cost 1.92 nats a token beyond it, and 1.54 within it.
    """
    if getattr(architecture, "context_length", 0) <= window:
        return architecture
    return replace(architecture, context_length=window)


def write_run(
    run_folder,
    dataset,
    recipe_name,
    plan,
    command,
    model=None,
    size=None,
    *,
    floors=None,
):
    """Leave what a run is made of beside it: ``run.json``."""
    names = ("etude", "keras", "numpy", "tensorflow-cpu", "tensorflow")
    about = {
        "recipe": recipe_name,
        "model": model,
        "size": size,
        "plan": asdict(plan),
        "command": command,
        "dataset": dataset.manifest["checksum"],
        "floors": asdict(floors) if floors else None,
        "versions": {name: found for name in names if (found := _version(name))},
    }
    write_file(run_folder / RUN, (json.dumps(about, indent=1) + "\n").encode())


def write_progress(run_folder, progress):
    """Leave how far a run is beside it, for who watches: ``progress.json``."""
    told = {
        "step": progress.step,
        "epoch": progress.epoch,
        "loss": progress.loss,
        "tokens_per_second": progress.tokens_per_second,
        "share_done": progress.share_done,
        "seconds_left": progress.seconds_left,
    }
    finite = {n: v if math.isfinite(v) else None for n, v in told.items()}
    write_file(run_folder / PROGRESS, json.dumps(finite).encode())


def write_file(path, data):
    """Write bytes whole or not at all; where there is no room, say how much is needed."""
    with room_for(path, len(data)):
        write_whole(path, data)


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def run_to_resume(output):
    """What ``OUTPUT.run/run.json`` tells of a run that was interrupted, as a dict.

    Raises:
        WrongUsage: if there is no run there, or none that left a checkpoint.
    """
    run_folder = output.with_name(output.name + ".run")
    try:
        about = json.loads((run_folder / RUN).read_text())
        plan = dict(about["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        raise WrongUsage(f"{run_folder} holds no run to resume.") from None
    if not (run_folder / CHECKPOINT).exists():
        raise WrongUsage(f"{run_folder} holds no checkpoint: start without --resume.")
    return about | {"plan": plan}


def finished(architecture, weights, tokenizer, facts, look=None):
    """The bundle with its sample and card.

    ``look``, a function of the ids of a dozen compositions, may add to the facts.
    """
    from studio.cards import model_card

    bundle = bundle_of(architecture, weights, tokenizer, facts)
    if tokenizer.takes == "wave":
        from studio.codec_card import codes_card
        from studio.sound_card import sound_card

        card = codes_card(bundle) if bundle.codec else sound_card(bundle)
        return replace(bundle, card=card, sample=sound_sample(bundle))
    pieces = [compose(bundle, Wish(seed=seed)) for seed in range(1, 13)]
    scores = [piece.score for piece in pieces]
    facts["repeated_bars"]["composed"] = share_of_repeated_bars(scores)
    if look:
        look([piece.ids for piece in pieces])
    sample = midi_bytes(scores[0])
    return replace(bundle, card=model_card(bundle), sample=sample)


def sound_sample(bundle):
    """A WAV file: a sound of each class after another, or one where there are none."""
    wishes = [SoundWish(seed=1)]
    if classes := tokenizer_in(bundle).classes:
        wishes = [SoundWish(label=name, seed=1) for name in classes[:MOST_SAMPLES]]
    made = [compose_sound(bundle, wish).waveform for wish in wishes]
    samples = np.concatenate([sound.samples for sound in made])
    return audio_bytes(samples, made[0].sample_rate)


def check_plan(settings):
    """Raise WrongUsage if a number of a plan lies outside its range."""
    ranges = {
        "minutes": (0.05, 100_000),
        "epochs": (1, 100_000),
        "learning_rate": (1e-7, 1.0),
        "batch_size": (1, 4096),
        "window": (8, 8192),
        "seed": (0, 2**31 - 1),
        "patience": (1, 100_000),
        "accumulate": (1, 4096),
        "label_smoothing": (0, 0.9),
    }
    precision = settings.get("precision", PRECISIONS[0])
    if precision not in PRECISIONS:
        raise WrongUsage(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: {precision!r}"
        )
    for name, (low, high) in ranges.items():
        if name in settings and not low <= settings[name] <= high:
            raise WrongUsage(
                f"`{name}` must be in {low}..{high}. Received: {settings[name]}"
            )


def prepare_run_folder(output):
    """Make ``OUTPUT.run``, after making sure that OUTPUT may be written at all."""
    try:
        check_replaceable(output)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    run_folder = output.with_name(output.name + ".run")
    run_folder.mkdir(parents=True, exist_ok=True)
    return run_folder


def clear_run(run_folder):
    """Take away what an earlier run left, so that nothing old is told as new."""
    best = run_folder / "best.bundle"
    if best.is_dir():
        check_replaceable(best)
        shutil.rmtree(best)
    for name in ("history.json", CHECKPOINT, RUN, PROGRESS):
        (run_folder / name).unlink(missing_ok=True)


def keep_report(dataset, run_folder):
    """Put the report of what was read beside the run."""
    report = (dataset.folder / "report.jsonl").read_bytes()
    write_file(run_folder / "report.jsonl", report)

"""`etude continue` and `etude infill`: what was written stays, and more fits to it."""

import json
import re
import secrets
import time
from pathlib import Path

from studio import BEGAN
from studio.commands.making import DEFAULT_FOLDER
from studio.commands.sounding import SOUND_MODEL, continue_sound
from studio.commands.telling import card_of, command_line, counted, tell_files
from studio.errors import NothingUsable, WrongUsage
from studio.outputs import Sound, check_outputs, check_sound, write_outputs

CONTINUE_DEFAULTS = {"temperature": 0.9, "top_p": 0.95}
INFILL_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}


def carry_on(*, file, model, wish, outputs, engine, soundfont, as_json):
    """`etude continue`."""
    from studio.carry_on import Onward, check_onward
    from studio.carry_on import carry_on as carry_score_on

    if _is_sound(file):
        continue_sound(
            file,
            model=model or SOUND_MODEL,
            wish=wish,
            outputs=outputs,
            as_json=as_json,
            engine=engine,
            soundfont=soundfont,
        )
        return
    if wish.pop("label", None) is not None:
        raise WrongUsage(f"--class means nothing to {file}, a file of notes.")
    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    check_onward(Onward(**wish))
    score, bundle, name, paths, sound = made_ready(
        file, model, outputs, f"continued-{wish['seed']}", engine, soundfont
    )
    done = _carried_out(file, carry_score_on, bundle, score, Onward(**wish))
    title, given = f"{file.stem}, continued", (file, score)
    rendering = write_outputs(
        done.score, paths, sound, title, given=given, about=card_of(bundle)
    )
    if as_json:
        facts = {
            "model": name,
            "seed": wish["seed"],
            "bars": done.bars,
            "key": done.key,
            "notes_given": len(score),
            "notes_added": done.notes_added,
            "begins_seconds": round(float(done.score.seconds_at(done.begins)), 2),
            "seconds": round(done.score.length_seconds, 2),
            "nats_per_note": round(done.nats_per_note, 4),
            "end_probability": round(done.end_probability, 4),
            "told": list(done.told),
            "files": [str(path) for path in paths],
            "engine": rendering.engine if rendering else None,
        }
        print(json.dumps(facts))
        return
    print(
        f"Continued {file.name} ({counted(len(score), 'note')}, {done.key}) by "
        f"{counted(done.bars, 'bar')}, {counted(done.notes_added, 'note')}, in "
        f"{time.monotonic() - BEGAN:.1f} s "
        f"(model {name}, seed {wish['seed']})."
    )
    if not done.end_probability:
        print("It is cut off: the model saw no place to end in the last bar.")
    _tell(done.told, paths, rendering)
    options = {"model": model, **wish}
    print("Again, or changed:", _again("continue", file, options, CONTINUE_DEFAULTS))


def _is_sound(file):
    """Whether a file begins as one of sound does, or is called one and holds no music."""
    from data_pipelines.encode import SOUND_SUFFIXES
    from data_pipelines.guard import Refused, sniff

    try:
        form = sniff(file)
    except (Refused, OSError):
        form = "text"
    is_called = not file.is_dir() and file.suffix.lower() in SOUND_SUFFIXES
    return form == "audio" or (form == "text" and is_called)


def infill(*, file, model, bars, track, wish, outputs, engine, soundfont, as_json):
    """`etude infill`."""
    from studio.infill import Gap
    from studio.infill import infill as infill_score

    first, last = _range_of(bars)
    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    gap = Gap(first, last, None if track is None else track - 1, **wish)
    score, bundle, name, paths, sound = made_ready(
        file, model, outputs, f"infilled-{wish['seed']}", engine, soundfont
    )
    done = _carried_out(file, infill_score, bundle, score, gap)
    title, given = f"{file.stem}, infilled", (file, score)
    rendering = write_outputs(
        done.score, paths, sound, title, given=given, about=card_of(bundle)
    )
    if as_json:
        facts = {
            "model": name,
            "seed": wish["seed"],
            "bars": [first, last],
            "notes": len(done.score),
            "notes_removed": done.removed,
            "notes_added": len(done.added),
            "particles_counting": round(done.counting, 2),
            "nats_per_note": round(done.nats_per_note, 4),
            "told": list(done.told),
            "files": [str(path) for path in paths],
            "engine": rendering.engine if rendering else None,
        }
        print(json.dumps(facts))
        return
    span = f"bar {first}" if first == last else f"bars {first} to {last}"
    print(
        f"Wrote {span} of {file.name} anew: {counted(done.removed, 'note')} gave way to "
        f"{len(done.added)}, all others as they were, in "
        f"{time.monotonic() - BEGAN:.1f} s (model {name}, seed {wish['seed']})."
    )
    _tell(done.told, paths, rendering)
    options = {"model": model, "bars": bars, "track": track, **wish}
    print("Again, or changed:", _again("infill", file, options, INFILL_DEFAULTS))


def made_ready(file, model, outputs, suffix, engine, soundfont):
    """(score, bundle, the model's name, paths, sound), all checked before any work."""
    from studio.listen import open_score
    from studio.models import fitting_model, open_notes_model

    sound = Sound(engine, soundfont)
    check_sound(sound)
    score = open_score(file)
    model = model or fitting_model(score)
    bundle = open_notes_model(model)
    if not outputs:
        stem = f"{file.stem}-{suffix}"
        outputs = [DEFAULT_FOLDER / (stem + s) for s in (".mid", ".wav", ".png")]
    paths = check_outputs(outputs)
    for path in paths:
        if path.exists() and path.samefile(file):
            raise WrongUsage(f"{path} is the file given, which stays as it is.")
    return score, bundle, Path(model).name.removesuffix(".bundle"), paths, sound


def _carried_out(file, work, bundle, score, wish):
    """Do the work; a file without notes is told as such, and by its name."""
    if score.is_drum_note().all():
        why = "drums only" if len(score) else "no notes"
        drums_too = len(score) and bundle.vocabulary.get("tokenizer") == "remi"
        if not drums_too:
            raise NothingUsable(f"{file}: {why}: nothing that the model could read.")
    elif bundle.facts.get("recipe") == "drums" and not score.is_drum_note().any():
        raise WrongUsage(
            f"{file} has no drums: a model of drums has nothing to write in it."
        )
    return work(bundle, score, wish)


def _range_of(bars):
    found = re.fullmatch(r"\s*(\d{1,6})\s*(?::\s*(\d{1,6})\s*)?", bars)
    if not found:
        raise WrongUsage(
            "`bars` must be two bars, counted from 1 and both included, as in 5:8, or "
            f"one. Received: {bars!r}"
        )
    first, last = found.groups()
    return int(first), int(last or first)


def _again(command, file, options, defaults):
    import shlex

    given = {name: value for name, value in options.items() if value is not None}
    return command_line(f"etude {command} {shlex.quote(str(file))}", given, defaults)


def _tell(told, paths, rendering):
    for sentence in told:
        print(sentence)
    tell_files(paths, rendering)

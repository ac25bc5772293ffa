"""`etude compose` and `etude continue` with a model of sounds."""

import json
import secrets
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path

from studio import BEGAN
from studio.commands.telling import command_line
from studio.errors import NothingUsable, WrongUsage
from studio.outputs import check_outputs

FORMS = (".wav", ".flac", ".png")
WISHES = ("seconds", "label", "seed", "temperature", "top_k", "top_p", "min_p")
NEUTRAL = {"repetition": 1.0, "min_p": 0.0}  # options that ask for nothing
SAID = {"label": "class", "qpm": "tempo", "program": "instrument"}
SAID |= {"pitch_range": "range"}
MOST_SOUNDS = 64
SOUND_MODEL = "drum-samples"  # what goes on with a sound if none is named


def compose_sound(bundle, *, model, wish, outputs, as_json, count=1, rank=False):
    """`etude compose` with a model of sounds: one file, or `count` of them."""
    from data_pipelines.sound_picture import write_sound_picture
    from data_pipelines.tokenizers import tokenizer_from_spec
    from studio.diagnose_sound import sound_faults
    from studio.sounds import SoundWish, check_sound_wish
    from studio.sounds import compose_sound as compose_one

    name = Path(model).name.removesuffix(".bundle")
    asked = _asked(wish, name)
    if rank:
        raise WrongUsage(f"--rank means nothing to {name}, a model of sounds.")
    if not 1 <= count <= MOST_SOUNDS:
        raise WrongUsage(f"`count` must be in 1..{MOST_SOUNDS}. Received: {count}")
    asked.setdefault("seed", secrets.randbelow(100_000))
    for seed in (asked["seed"], asked["seed"] + count - 1):
        wish = SoundWish(**{**asked, "seed": seed})
        check_sound_wish(wish, tokenizer_from_spec(bundle.vocabulary))
    stem = "-".join(filter(None, [name, asked.get("label"), str(asked["seed"])]))
    outputs = outputs or [Path("out") / (stem + form) for form in (".wav", ".png")]
    rows = []
    for seed in range(asked["seed"], asked["seed"] + count):
        paths = [p if count == 1 else p.with_stem(f"{p.stem}-{seed}") for p in outputs]
        paths = check_outputs(paths, FORMS)
        made = compose_one(bundle, SoundWish(**{**asked, "seed": seed}))
        for path in paths:
            if path.suffix.lower() == ".png":
                write_sound_picture(path, made.waveform, f"{name}, seed {seed}")
            else:
                _write_audio(path, made.waveform)
        again = command_line("etude compose", _said({"model": model, **asked}))
        rows.append(
            {
                "model": model,
                "seed": seed,
                "seconds": round(len(made.waveform) / made.waveform.sample_rate, 4),
                "sample_rate": made.waveform.sample_rate,
                "classes": list(made.labels),
                "bits_per_sample": round(made.bits_per_sample, 4),
                "diagnosis": [asdict(f) for f in sound_faults(made.waveform)],
                "files": [str(path) for path in paths],
                "command": again.replace(f"--seed {asked['seed']}", f"--seed {seed}"),
            }
        )
    if as_json:
        print(json.dumps(rows[0] if count == 1 else {"model": model, "sounds": rows}))
        return
    spent = time.monotonic() - BEGAN
    for row in rows:
        sounds = ", ".join(filter(None, row["classes"])) or "one sound"
        print(
            f"Composed {row['seconds']:.2f} s of sound ({sounds}) at "
            f"{row['sample_rate']:,} Hz, {row['bits_per_sample']:.2f} bits a sample, "
            f"(model {name}, seed {row['seed']})."
        )
        _tell(row["files"], row["command"], row["diagnosis"])
    print(f"In {spent:.1f} s.")


def continue_sound(
    file, *, model, wish, outputs, as_json, engine="auto", soundfont=None
):
    """`etude continue FILE.wav`: what is given stays, sample for sample."""
    from data_pipelines.sound_picture import write_sound_picture
    from data_pipelines.tokenizers import tokenizer_from_spec
    from studio.diagnose_sound import sound_faults
    from studio.models import is_of_sounds, open_model
    from studio.sounds import (
        SoundWish,
        check_continued,
        check_sound_wish,
        write_continued,
    )
    from studio.sounds import continue_sound as continue_one

    check_no_player(engine, soundfont, str(file), "a file of sound")
    reading = open_sound(file)
    waveform = reading.contents[0]
    bundle = open_model(model)
    name = Path(model).name.removesuffix(".bundle")
    if not is_of_sounds(bundle):
        raise WrongUsage(
            f"{name} writes notes, and {file} is a sound: name a model of sounds."
        )
    asked = _asked(wish, name)
    asked.setdefault("seed", secrets.randbelow(100_000))
    check_sound_wish(SoundWish(**asked), tokenizer_from_spec(bundle.vocabulary))
    stem = f"{file.stem}-continued-{asked['seed']}"
    outputs = outputs or [Path("out") / (stem + form) for form in (".wav", ".png")]
    paths = check_outputs(outputs, FORMS)
    for path in paths:
        if path.exists() and path.samefile(file):
            raise WrongUsage(f"{path} is the file to continue; name another output.")
        check_continued(path, waveform)
    try:
        made = continue_one(bundle, waveform, SoundWish(**asked))
    except ValueError as error:  # the wish was checked: it is the file
        raise NothingUsable(f"{file}: {error}.") from None
    begins = len(waveform) / waveform.sample_rate
    for path in paths:
        if path.suffix.lower() == ".png":
            write_sound_picture(path, made.waveform, f"{file.stem}, continued", begins)
        else:
            write_continued(path, made.waveform, len(waveform))
    seconds = len(made.waveform) / made.waveform.sample_rate
    new = type(waveform)(made.waveform.samples[len(waveform) :], waveform.sample_rate)
    row = {
        "model": model,
        "seed": asked["seed"],
        "left_out": list(reading.left_out),
        "begins_seconds": round(begins, 4),
        "seconds": round(seconds, 4),
        "classes": list(made.labels),
        "bits_per_sample": round(made.bits_per_sample, 4),
        "diagnosis": [asdict(fault) for fault in sound_faults(new)],
        "files": [str(path) for path in paths],
        "command": command_line(
            f"etude continue {shlex.quote(str(file))}", _said({"model": model, **asked})
        ),
    }
    if as_json:
        print(json.dumps(row))
        return
    for sentence in reading.left_out:
        print(f"{file}: {sentence}.")
    heard = "".join(f", heard as {label}" for label in made.labels if label)
    print(
        f"Continued {file.name} ({begins:.2f} s{heard}) to {seconds:.2f} s, in "
        f"{time.monotonic() - BEGAN:.1f} s (model {name}, seed {asked['seed']})."
    )
    _tell(row["files"], row["command"], row["diagnosis"])


def check_no_player(engine, soundfont, name, kind):
    """Raise WrongUsage if a player of scores is asked to play what is sound already."""
    if engine != "auto" or soundfont:
        raise WrongUsage(f"--engine and --soundfont mean nothing to {name}, {kind}.")


def open_sound(file):
    """The `guard.Reading` of a file of sound, or one sentence why there is none.

    Raises:
        WrongUsage: if there is no such file. NothingUsable: if it holds no sound.
    """
    from data_pipelines.guard import Refused, read_file

    if not file.exists():
        raise WrongUsage(f"No such file: {file}")
    try:
        return read_file(file, kind="wave")
    except Refused as refused:
        told = f"{file}: {refused.reason}: {refused.detail}".rstrip(".")
        raise NothingUsable(f"{told}.") from None


def _write_audio(path, waveform):
    from data_pipelines.audio import write_audio

    write_audio(path, waveform.samples, waveform.sample_rate)


def _asked(wish, name):
    """What of the options a model of sounds can mind, the others refused."""
    given = {
        option: value
        for option, value in wish.items()
        if value is not None and value != NEUTRAL.get(option)
    }
    for option in given:
        if option not in WISHES:
            raise WrongUsage(
                f"--{SAID.get(option, option)} means nothing to {name}, a model of "
                "sounds; it takes --seconds, --class, --seed, --temperature, --top-k, "
                "--top-p and --min-p."
            )
    return given


def _said(options):
    return {SAID.get(name, name): value for name, value in options.items()}


def _tell(files, again, faults):
    for path in files:
        print(f"  {path}")
    print(f"Again, or changed: {again}")
    for fault in faults:
        print(f"etude: warning: {fault['text']}", file=sys.stderr)

"""`etude compose` and `etude listen`."""

import json
import secrets
import sys
import time
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path

from studio import BEGAN
from studio.commands.sounding import check_no_player, compose_sound
from studio.commands.telling import command_line, tell_files
from studio.errors import WrongUsage
from studio.outputs import (
    Sound,
    check_outputs,
    check_sound,
    make_sound,
    write_outputs,
)

DEFAULT_FOLDER = Path("out")
COMPOSE_DEFAULTS = {
    "bars": 16,
    "temperature": 0.9,
    "top_p": 0.95,
    "min_p": 0.0,
    "repetition": 1.0,
}


def compose(*, model, wish, outputs, engine, soundfont, as_json, count=1, rank=False):
    """`etude compose`."""
    from data_pipelines.tokenizers import tokenizer_from_spec
    from studio.compose import compose as compose_piece
    from studio.models import is_of_sounds, open_model
    from studio.takes import faults_of
    from studio.wish import check_wish, wish_of

    if is_of_sounds(bundle := open_model(model)):
        check_no_player(engine, soundfont, model, "a model of sounds")
        compose_sound(
            bundle,
            model=model,
            wish=wish,
            outputs=outputs,
            as_json=as_json,
            count=count,
            rank=rank,
        )
        return
    if wish.pop("label", None) is not None:
        raise WrongUsage(f"--class means nothing to {model}, a model of notes.")
    if count != 1 or rank:
        _compose_several(
            model, wish, outputs, Sound(engine, soundfont), as_json, count, rank
        )
        return
    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    again = command_line("etude compose", {"model": model, **wish}, COMPOSE_DEFAULTS)
    wish = wish_of(wish)
    check_wish(wish)
    sound = Sound(engine, soundfont)
    check_sound(sound)
    name = Path(model).name.removesuffix(".bundle")
    if not outputs:
        stem = f"{name}-{wish.seed}"
        outputs = [DEFAULT_FOLDER / (stem + s) for s in (".mid", ".wav", ".png")]
    paths = check_outputs(outputs)
    piece = compose_piece(bundle, wish)
    title = f"{name}, seed {wish.seed}"
    tokenizer = tokenizer_from_spec(bundle.vocabulary)

    def about():
        from studio.takes import weighed
        from studio.takes_page import about_model, measures_table

        take = weighed(bundle, tokenizer, piece, wish)
        return measures_table([take], bundle.facts) + about_model(bundle.card)

    rendering = write_outputs(piece.score, paths, sound, title, about=about)
    found = faults_of(piece, tokenizer, wish)
    seconds = time.monotonic() - BEGAN
    if as_json:
        facts = {
            "model": model,
            "seed": wish.seed,
            "bars": piece.bars,
            "metre": piece.metre,
            "qpm": piece.qpm,
            "key": piece.key,
            "notes": len(piece.score),
            "seconds": round(piece.score.length_seconds, 2),
            "nats_per_note": round(piece.nats_per_note, 4),
            "end_probability": round(piece.end_probability, 4),
            "diagnosis": [asdict(fault) for fault in found],
            "files": [str(path) for path in paths],
            "engine": rendering.engine if rendering else None,
        }
        print(json.dumps(facts))
        return
    print(
        f"Composed {piece.bars} bars of {piece.metre or 'no named metre'} in {piece.key}, "
        f"{len(piece.score)} notes, {piece.score.length_seconds:.0f} s, "
        f"in {seconds:.1f} s (model {name}, seed {wish.seed})."
    )
    tell_files(paths, rendering)
    print(f"Again, or changed: {again}")
    for fault in found:
        print(f"etude: warning: {fault.text}", file=sys.stderr)


def _compose_several(model, wish, outputs, sound, as_json, count, rank):
    """`etude compose --count N`: each to its files, all of them to a page."""
    from studio.models import open_model
    from studio.takes import MOST_TAKES, compose_takes, ranked, training_in
    from studio.wish import check_wish, wish_of

    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    options = {"model": model, **wish}
    wish = wish_of(wish)
    check_wish(wish)
    if not 1 <= count <= MOST_TAKES:
        raise WrongUsage(f"`count` must be in 1..{MOST_TAKES}. Received: {count}")
    check_wish(replace(wish, seed=wish.seed + count - 1))
    check_sound(sound)
    bundle = open_model(model)
    name = Path(model).name.removesuffix(".bundle")
    if not outputs:
        outputs = [DEFAULT_FOLDER / (name + suffix) for suffix in (".mid", ".wav")]
    pages = [path for path in outputs if path.suffix.lower() == ".html"]
    forms = [path for path in outputs if path not in pages]
    pages = pages or [outputs[0].parent / "takes.html"]
    check_outputs([*pages, *forms])
    paths = {
        seed: check_outputs(p.with_stem(f"{p.stem}-{seed}") for p in forms)
        for seed in range(wish.seed, wish.seed + count)
    }
    takes = compose_takes(bundle, wish, count, training=training_in(bundle))
    takes = ranked(takes) if rank else takes
    renderings = []
    for take in takes:
        title = f"{name}, seed {take.seed}"
        made = write_outputs(take.piece.score, paths[take.seed], sound, title)
        renderings.append(made or make_sound(take.piece.score, sound))
    commands = {
        seed: command_line("etude compose", {**options, "seed": seed}, COMPOSE_DEFAULTS)
        for seed in paths
    }
    _write_takes(pages, name, bundle, takes, renderings, commands, rank)
    files = [*pages, *(path for take in takes for path in paths[take.seed])]
    if as_json:
        facts = {
            "model": model,
            "count": count,
            "is_ranked": rank,
            "pages": [str(path) for path in pages],
            "takes": [
                _take_facts(take, paths[take.seed], commands[take.seed])
                for take in takes
            ],
            "engine": renderings[0].engine,
        }
        print(json.dumps(facts))
        return
    seconds = time.monotonic() - BEGAN
    print(f"Composed {count} pieces in {seconds:.1f} s (model {name}).")
    for place, take in enumerate(takes, 1):
        print(
            f"  {place:>2}. seed {take.seed}: {take.nats_per_note:.2f} nats per note; "
            f"{take.oddness:.1f} and {take.distance:.1f} deviations from real music"
        )
        for fault in take.faults:
            print(f"etude: warning: seed {take.seed}: {fault.text}", file=sys.stderr)
    for path in files:
        print(f"  {path}")
    print(f"Hear and compare them: open {pages[0]} in any browser")


def _take_facts(take, paths, command):
    known = {n: v if isfinite(v) else None for n, v in take.measures.items()}
    return {
        "seed": take.seed,
        "nats_per_note": round(take.nats_per_note, 4),
        "oddness": round(take.oddness, 4),
        "distance": round(take.distance, 4),
        "measures": known,
        "diagnosis": [asdict(fault) for fault in take.faults],
        "command": command,
        "files": [str(path) for path in paths],
    }


def _write_takes(pages, name, bundle, takes, renderings, commands, is_ranked):
    from data_pipelines.files import write_whole
    from studio.takes_page import (
        about_model,
        measures_table,
        page_sounds,
        takes_page,
    )

    sounds = page_sounds(renderings)
    shown = [
        {
            "score": take.piece.score,
            "sound": sound,
            "heading": f"{place}. Seed {take.seed}"
            if is_ranked
            else f"Seed {take.seed}",
            "facts": f"{take.piece.key}; {take.nats_per_note:.2f} nats a note",
            "warnings": [fault.text for fault in take.faults],
            "command": commands[take.seed],
        }
        for place, (take, sound) in enumerate(zip(takes, sounds, strict=True), 1)
    ]
    lead = (
        "The first is the one nearest to real music: its nats a note and its measures "
        "lie the fewest deviations from what is typical of the music the model learnt."
        if is_ranked
        else "In the order of their seeds."
    )
    lead += " Playing one stops the others; a click on a roll plays from there."
    figures = measures_table(takes, bundle.facts)
    title = f"{len(takes)} takes by {name}"
    html = takes_page(
        title, shown, lead=lead, figures=figures, after=about_model(bundle.card)
    )
    for path in pages:
        write_whole(path, html.encode())


def listen(*, file, outputs, engine, soundfont, play, as_json, column=None, scale=None):
    """`etude listen`."""
    from studio.listen import open_numbers, open_score
    from studio.listen import play as play_file

    sound = Sound(engine, soundfont)
    check_sound(sound)
    if column is None and scale is not None:
        raise WrongUsage("--scale is for a table of numbers: name its --column too.")
    if column is None:
        score = open_score(file)
    else:
        score = open_numbers(file, column, scale or "major")
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
        tell_files(paths, rendering)
    if play:
        play_file(wav)

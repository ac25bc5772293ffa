"""`etude compose` and `etude listen`."""

import json
import secrets
import time
from pathlib import Path

from studio import BEGAN
from studio.commands.telling import command_line, tell_files
from studio.errors import WrongUsage
from studio.outputs import Sound, check_outputs, check_sound, write_outputs

DEFAULT_FOLDER = Path("out")
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
    tell_files(paths, rendering)
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
        tell_files(paths, rendering)
    if play:
        play_file(wav)

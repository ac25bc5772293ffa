"""`etude harmonize`: three voices under a melody, and how well they are led."""

import json
import secrets
import shlex
import time
from pathlib import Path

from studio import BEGAN
from studio.commands.editing import made_ready
from studio.commands.telling import card_of, command_line, tell_files
from studio.errors import NothingUsable
from studio.outputs import write_outputs

DEFAULTS = {"temperature": 0.8, "top_p": 0.95}
SAID = {
    "out_of_range": "notes out of a choir's range",
    "leaps": "leaps over an octave",
    "crossings": "steps with crossed voices",
    "wide": "steps with upper voices over an octave apart",
    "parallel_fifths": "parallel fifths, of pairs that move",
    "parallel_octaves": "parallel octaves, of pairs that move",
}


def harmonize(*, file, model, wish, outputs, engine, soundfont, as_json):
    """`etude harmonize`."""
    from studio.harmonize import Harmony, check_harmony
    from studio.harmonize import harmonize as harmonize_score

    wish = {name: value for name, value in wish.items() if value is not None}
    wish.setdefault("seed", secrets.randbelow(100_000))
    asked = dict(wish)
    if "track" in asked:
        asked["track"] -= 1
    check_harmony(Harmony(**asked))
    score, bundle, name, paths, sound = made_ready(
        file, model, outputs, f"harmonized-{wish['seed']}", engine, soundfont
    )
    if score.is_drum_note().all():
        why = "drums only" if len(score) else "no notes"
        raise NothingUsable(f"{file}: {why}: there is no melody to harmonise.")
    done = harmonize_score(bundle, score, Harmony(**asked))
    rendering = write_outputs(
        done.score,
        paths,
        sound,
        f"{file.stem}, harmonised",
        before=score,
        about=card_of(bundle),
    )
    corpus = bundle.facts.get("voice_leading", {})
    if as_json:
        facts = {
            "model": name,
            "seed": wish["seed"],
            "key": done.key,
            "notes": len(done.score),
            "seconds": round(done.score.length_seconds, 2),
            "nats_per_note": round(done.nats_per_note, 4),
            "voice_leading": done.leading.rates(),
            "all_takes": done.drawn.rates(),
            "corpus": corpus,
            "told": list(done.told),
            "files": [str(path) for path in paths],
            "engine": rendering.engine if rendering else None,
        }
        print(json.dumps(facts))
        return
    print(
        f"Harmonised {Path(file).name} in {done.key}: {len(done.score)} notes in four "
        f"voices, in {time.monotonic() - BEGAN:.1f} s (model {name}, "
        f"seed {wish['seed']})."
    )
    print_voice_leading(done.leading.rates(), done.drawn.rates(), corpus)
    for sentence in done.told:
        print(sentence)
    tell_files(paths, rendering)
    again = command_line(
        f"etude harmonize {shlex.quote(str(file))}", {"model": model, **wish}, DEFAULTS
    )
    print(f"Again, or changed: {again}")


def print_voice_leading(kept, drawn, corpus):
    """A table: what was kept, beside all that was drawn, and the music learnt from."""
    print(f"{'In 100 of their kind':46}{'here':>8}{'all takes':>11}{'corpus':>8}")
    for name, said in SAID.items():
        row = [rates.get(name) for rates in (kept, drawn, corpus)]
        cells = ["-" if rate is None else f"{rate:.1f}" for rate in row]
        print(f"  {said:44}{cells[0]:>8}{cells[1]:>11}{cells[2]:>8}")

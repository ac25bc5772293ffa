"""`etude score`."""

import json
from pathlib import Path

from studio.commands.making import DEFAULT_FOLDER
from studio.commands.telling import counted
from studio.errors import WrongUsage
from studio.outputs import check_outputs

PICTURES = (".png",)
MOST_MARKED = 99


def score(*, file, model, worst, outputs, as_json):
    """`etude score`."""
    from data_pipelines.piano_roll import write_piano_roll
    from studio.listen import open_score
    from studio.models import open_notes_model
    from studio.surprise import held_out_nats, key_of, weigh

    if not 0 <= worst <= MOST_MARKED:
        raise WrongUsage(f"`worst` must be in 0..{MOST_MARKED}. Received: {worst}")
    piece = open_score(file)
    bundle = open_notes_model(model)
    if not outputs:
        outputs = [DEFAULT_FOLDER / f"{file.stem}-score.png"]
    paths = check_outputs(outputs, PICTURES)
    found = weigh(bundle, piece)
    name = Path(model).name.removesuffix(".bundle")
    dearest = found.least_expected(worst)
    marks = [note.index for note in dearest]
    title = f"{file.stem}: {found.nats_per_note:.2f} nats a note ({name})"
    for path in paths:
        write_piano_roll(path, found.score, title, marks)
    typical = held_out_nats(bundle.facts)
    if as_json:
        facts = {
            "file": str(file),
            "model": model,
            "key": key_of(found.score),
            "notes": len(found.notes),
            "notes_not_weighed": found.lost,
            "tokens": found.tokens,
            "nats": round(found.total, 4),
            "nats_per_note": round(found.nats_per_note, 4),
            "nats_of_notes": round(found.nats_of_notes, 4),
            "other_tokens": {
                kind: {"tokens": tokens, "nats": round(nats, 4)}
                for kind, (tokens, nats) in found.other.items()
            },
            "held_out_nats_per_note": typical,
            "tracks": [
                {"name": name, "notes": notes, "nats_per_note": round(nats, 4)}
                for name, notes, nats in found.by_track()
            ],
            "by_note": [_note_facts(note) for note in found.notes],
            "least_expected": [_note_facts(note) for note in dearest],
            "is_as_read": found.is_as_read,
            "was_cut": found.was_cut,
            "files": [str(path) for path in paths],
        }
        print(json.dumps(facts))
        return
    _print(file, name, found, dearest, typical)
    for path in paths:
        print(f"  {path}")


def _print(file, name, found, dearest, typical):
    beside = f"; {typical:.2f} on music held back from it" if typical else ""
    print(
        f"{file}: {found.nats_per_note:.3f} nats per note to {name}{beside}. "
        f"{counted(len(found.notes), 'note')}, {found.tokens:,} tokens, {found.total:.1f} nats "
        "in all."
    )
    if found.lost:
        print(
            f"  {found.lost:,} other notes of the file are not in its tokens: not weighed."
        )
    if found.was_cut:
        print(f"  It is long: its first {found.tokens + 1:,} tokens were weighed.")
    if found.is_as_read:
        print("  Bars and beats are those of the music as the model reads it.")
    other = ", ".join(f"{k} {nats:.1f}" for k, (_, nats) in found.other.items())
    print(f"  the notes themselves {found.nats_of_notes:.1f} nats; {other}")
    if len(tracks := found.by_track()) > 1:
        for track, notes, nats in tracks:
            print(f"  {track}: {nats:.3f} nats a note of its own, {notes:,} notes")
    if dearest:
        print("Least expected, as numbered in the picture:")
    for number, note in enumerate(dearest, 1):
        print(
            f"  {number:>2}. bar {note.bar}, beat {note.beat:g}: {note.name}, "
            f"{note.nats:.2f} nats; expected {note.expected} "
            f"({100 * note.chance:.0f}%, this {_percent(note.given)})"
        )


def _percent(share):
    return f"{100 * share:.0f}%" if share >= 0.01 else f"{100 * share:.1g}%"


def _note_facts(note):
    return {
        "note": note.index,
        "bar": note.bar,
        "beat": note.beat,
        "second": note.second,
        "track": note.track,
        "pitch": note.name,
        "nats": round(note.nats, 4),
        "expected": note.expected,
        "expected_probability": round(note.chance, 4),
        "given_probability": round(note.given, 6),
    }

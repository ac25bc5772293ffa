"""The bundles that are at hand: the ones shipped, and any folder by its path."""

from pathlib import Path

from studio.errors import NothingUsable, WrongUsage

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "bundles"
DEFAULT_MODEL = "folk"
ONE_LINE, FOUR_LINES = ("folk", "fiddle"), ("chorales",)
MANY_TRACKS, DRUMS = ("pop-piano",), ("drums",)
TOOLS = ("separate", "codec", "classify")  # shipped too, and no composers


def shipped_models():
    """The names of the shipped bundles that compose, sorted."""
    if not SHIPPED.is_dir():
        return []
    found = (p.name for p in SHIPPED.iterdir() if (p / "bundle.json").is_file())
    return sorted(name for name in found if name not in TOOLS)


def fitting_model(score):
    """The name of the shipped bundle that suits a score best.

    One line: a model of tunes. Two to four lines that never have two notes at a time: a
    model of chorales. Drums alone: one of drums. Anything else: the default.
    """
    import numpy as np

    from data_pipelines.tokenizers.chorale import part_voices

    shipped = shipped_models()
    pitched = score.notes[~score.is_drum_note()]
    tracks = np.unique(pitched["track"])
    wanted = MANY_TRACKS
    if not len(pitched):
        wanted = DRUMS
    elif len(tracks) == 1 and _is_one_line(pitched):
        wanted = ONE_LINE
    elif 1 < len(tracks) <= 4 and len(pitched) and not score.is_drum_note().any():
        placed, reason = part_voices(score)
        if reason != "chords, note by note" and len(placed) >= 0.98 * len(pitched):
            wanted = FOUR_LINES
    return next((name for name in (*wanted, DEFAULT_MODEL) if name in shipped), "")


def _is_one_line(notes):
    import numpy as np

    notes = notes[np.argsort(notes["start"], kind="stable")]
    ends = notes["start"].astype(np.int64) + notes["duration"]
    overlap = ends[:-1] > notes["start"][1:]
    return len(notes) < 2 or overlap.mean() < 0.05


def is_of_sounds(bundle):
    """Whether a bundle writes samples and not notes."""
    from data_pipelines.tokenizers import TOKENIZERS

    kind = TOKENIZERS.get(bundle.vocabulary.get("tokenizer"))
    return kind is not None and kind.takes == "wave"


def open_notes_model(name):
    """As `open_model`, of notes: what is asked of it means nothing to sounds."""
    bundle = open_model(name)
    if is_of_sounds(bundle):
        raise WrongUsage(
            f"{name} is a model of sounds, and this works with notes: name a model of "
            "notes."
        )
    return bundle


def open_model(name):
    """Open a bundle by a shipped name, or by the path of its folder.

    Raises:
        WrongUsage: if there is none of that name.
        NothingUsable: if it is damaged.
    """
    from audio_models.bundle import BadBundle, load_bundle

    folder = SHIPPED / name if name in shipped_models() else Path(name)
    if not folder.is_dir():
        known = ", ".join(shipped_models()) or "none"
        raise WrongUsage(
            f"No model is called {name!r}, and no folder. Shipped: {known}; "
            "or give the path of a bundle that `etude train` wrote."
        )
    try:
        bundle = load_bundle(folder)
    except BadBundle as error:
        raise NothingUsable(str(error)) from None
    if problem := what_is_wrong_with(bundle):
        raise NothingUsable(f"{folder} is no sound bundle: {problem}.")
    return bundle


def what_is_wrong_with(bundle):
    """What of a bundle's facts or vocabulary cannot be composed with; None if all can."""
    from data_pipelines.tokenizers.melody import METRES
    from studio.codec import tokenizer_in
    from studio.compose import UNNAMED_METRE

    try:
        tokenizer = tokenizer_in(bundle)
    except (ValueError, TypeError) as error:
        return str(error).rstrip(".")
    if tokenizer.vocab_size != bundle.architecture.vocab_size:
        return "model and vocabulary differ in size"
    facts = bundle.facts
    bounds = {"metres": (0, 10**9), "keys": (0, 10**9), "usual_qpm": (20, 400)}
    for name, (low, high) in bounds.items():
        table = facts.get(name, {})
        if not isinstance(table, dict):
            return f"{name} must be a table"
        for key, value in table.items():
            if type(value) not in (int, float) or not low <= value <= high:
                return f"{name} of {key} must be in {low}..{high}"
            if name != "keys" and key not in (*METRES, UNNAMED_METRE):
                return f"the metre {key!r} is not known"
    if "metres" in facts and not sum(facts["metres"].values()):
        return "it names no metre"
    compass = facts.get("compass")
    if compass is not None and not _is_compass(compass):
        return f"compass must be two pitches in 0..127, not {compass!r}"
    program = facts.get("program", 0)
    if type(program) is not int or not 0 <= program <= 127:
        return f"program must be in 0..127, not {program!r}"
    return None


def _is_compass(value):
    pair = isinstance(value, list) and len(value) == 2
    return pair and all(type(p) is int and 0 <= p <= 127 for p in value)

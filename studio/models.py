"""The bundles that are at hand: the ones shipped, and any folder by its path."""

from pathlib import Path

from studio.errors import NothingUsable, WrongUsage

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "bundles"
DEFAULT_MODEL = "fiddle"


def shipped_models():
    """The names of the shipped bundles, sorted."""
    if not SHIPPED.is_dir():
        return []
    return sorted(p.name for p in SHIPPED.iterdir() if (p / "bundle.json").is_file())


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
        return load_bundle(folder)
    except BadBundle as error:
        raise NothingUsable(str(error)) from None

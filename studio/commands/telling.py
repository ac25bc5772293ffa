"""What several commands say in the same words."""

import os
import shlex

from studio.outputs import sound_facts


def command_line(start, options, defaults=None):
    """A command that a person can paste: every option that is not its default."""
    from studio.wish import OPTION_NAMES

    words = [start]
    for name, value in options.items():
        if value != (defaults or {}).get(name):
            option = OPTION_NAMES.get(name, name).replace("_", "-")
            told = "" if value is True else f" {shlex.quote(str(value))}"
            words.append(f"--{option}{told}")
    return " ".join(words)


def card_of(bundle):
    """What gives a model's card, for the foot of a page."""

    def about():
        from studio.takes_page import about_model

        return about_model(bundle.card)

    return about


def counted(number, noun):
    """One bar, 8 bars: a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quiet_tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def tell_files(paths, rendering):
    for path in paths:
        print(f"  {path}")
    if rendering:
        print(f"  ({sound_facts(rendering)})")
    sound = next((p for p in paths if p.suffix.lower() in (".wav", ".flac")), None)
    midi = next((p for p in paths if p.suffix.lower() in (".mid", ".midi")), None)
    if sound:
        print(f"Play it: open {sound} in any player", end="")
        print(f", or etude listen {midi} --play" if midi else "")

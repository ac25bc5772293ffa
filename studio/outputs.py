"""Where results go: the suffix of each ``-o`` says the form."""

from dataclasses import dataclass, replace
from pathlib import Path

from studio.errors import MachineFailed, WrongUsage

SUFFIXES = (".mid", ".midi", ".wav", ".flac", ".musicxml", ".abc", ".png", ".html")


@dataclass(frozen=True)
class Sound:
    """How to render: an engine's name, a soundfont or None."""

    engine: str = "auto"
    soundfont: str | None = None


def check_outputs(paths, allowed=SUFFIXES):
    """Make sure of every output before any work is done, and make its folder.

    Args:
        paths: sequence of str or Path.
        allowed: the suffixes that may be asked for.

    Returns:
        list of Path.

    Raises:
        WrongUsage: if a suffix is not allowed, or a path is a folder.
        MachineFailed: if a folder cannot be made or written.
    """
    checked = []
    for path in map(Path, paths):
        if path.suffix.lower() not in allowed:
            raise WrongUsage(
                f"{path}: the suffix says the form, and must be one of "
                f"{' '.join(allowed)}. Received: {path.suffix or 'none'}"
            )
        if path.is_dir():
            raise WrongUsage(f"{path} is a folder; name a file.")
        check_folder(path.parent)
        checked.append(path)
    return checked


def check_folder(folder):
    """Make a folder if need be, and make sure that a file can be put there."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise MachineFailed(f"Cannot write in {folder}: {error.strerror}.") from None


def write_outputs(
    score, paths, sound=None, title="", *, given=None, before=None, about=None
):
    """Write a score to each path, in the form that its suffix names.

    Args:
        given: (path, `Score`) or None, a file that was changed into this score: a MIDI
            file keeps all that a score does not hold, its bends, volumes and lyrics.
        before: `Score` or None, whose notes a page draws in grey; by default ``given``'s.
        about: callable that gives HTML for the foot of a page; or None.

    Returns:
        `Rendering` where sound was made, else None.
    """
    rendering = None
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in (".wav", ".flac"):
            if rendering is None:
                rendering = make_sound(score, sound or Sound())
            from data_pipelines.audio import write_audio

            write_audio(path, rendering.waveform, rendering.sample_rate)
        elif suffix in (".mid", ".midi"):
            _write_midi(path, score, given)
        elif suffix == ".png":
            from data_pipelines.piano_roll import write_piano_roll

            write_piano_roll(path, score, title)
        elif suffix == ".musicxml":
            from data_pipelines.musicxml import write_musicxml

            write_musicxml(path, score)
        elif suffix == ".abc":
            from data_pipelines.abc_writer import write_abc

            write_abc(path, replace(score, title=score.title or title))
        elif suffix == ".html":
            if rendering is None:
                rendering = make_sound(score, sound or Sound())
            from studio.takes_page import write_piece_page

            write_piece_page(
                path,
                score,
                rendering,
                title,
                given=given[1] if given else before,
                about=about() if about else "",
            )
    return rendering


def _write_midi(path, score, given):
    from data_pipelines.files import write_whole
    from data_pipelines.midi import midi_bytes
    from data_pipelines.midi_graft import grafted

    data = None
    if given is not None:
        file, before = given
        data = grafted(Path(file).read_bytes(), before, score)
    write_whole(path, midi_bytes(score) if data is None else data)


def check_sound(sound):
    """Make sure of engine and soundfont before any work is done.

    Raises:
        WrongUsage: naming what is not known or not here, and what is.
    """
    from data_pipelines.render import EngineUnavailable, choose_engine

    try:
        choose_engine(sound.engine, sound.soundfont)
    except (EngineUnavailable, ValueError) as error:
        raise WrongUsage(str(error)) from None


def make_sound(score, sound):
    """Render, with what goes wrong told as a person's choice of engine."""
    from data_pipelines.render import EngineUnavailable, render

    try:
        return render(score, engine=sound.engine, soundfont=sound.soundfont)
    except (EngineUnavailable, ValueError) as error:
        raise WrongUsage(str(error)) from None


def sound_facts(rendering):
    """One line: which engine and soundfont made the sound, and how long it is."""
    seconds = len(rendering.waveform) / rendering.sample_rate
    font = Path(rendering.soundfont).name if rendering.soundfont else "no soundfont"
    return (
        f"{seconds:.1f} s of sound by {rendering.engine} with {font}, "
        f"{rendering.sample_rate} Hz stereo"
    )

"""Scores into sound, with the best player that the machine has.

Whatever the player, the waveform is stereo, finite, within [-1, 1], as long as
announced, and silent where the score is. The two players that run in real time
(FluidSynth, TinySoundFont) are fed the same list of events; the two of our own
(`soundfont`, `synth`) mix voices, and need no library.
"""

import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from data_pipelines.voices import played_notes

# As "auto" tries them: our own first, since with one soundfont it sounds alike anywhere.
ENGINES = ("soundfont", "fluidsynth", "tinysoundfont", "synth")
TAIL_SECONDS = 1.5  # what the last notes get to ring
FADE_SECONDS = 0.25  # at the very end
PEAK = 10 ** (-1 / 20)  # -1 dBFS
LOUDNESS = 10 ** (-18 / 20)  # RMS of the parts that sound, where PEAK allows it
SYSTEM_SOUNDFONTS = Path("/usr/share/sounds")
MAX_CHANNELS = 256  # of FluidSynth
_FAVOURITES = {"FluidR3_GM": 0, "default-GM": 1}


class EngineUnavailable(RuntimeError):
    """The engine that was asked for is not on this machine."""


@dataclass(frozen=True, eq=False)
class Rendering:
    """A score as sound.

    Args:
        waveform: float32 array (samples, 2), left and right, in [-1, 1].
        sample_rate: int, Hz.
        engine: str, one of `ENGINES`.
        soundfont: str, the file that was played, or None.
    """

    waveform: np.ndarray
    sample_rate: int
    engine: str
    soundfont: str | None


@dataclass(frozen=True)
class Engine:
    """One way to play, and whether this machine has it.

    Args:
        name: str, one of `ENGINES`.
        reason: str, why it is absent; empty where it is present.
        soundfont: str, the file it would play, or None.
    """

    name: str
    reason: str = ""
    soundfont: str | None = None

    @property
    def is_present(self):
        return not self.reason


def engines(soundfont=None):
    """What this machine can play with, in the order that "auto" tries.

    Args:
        soundfont: path of the soundfont to use, or None to search.

    Returns:
        list of `Engine`, one for each name in `ENGINES`.

    Raises:
        ValueError: naming the soundfont that was asked for, if it is none.
    """
    return [_engine(name, soundfont) for name in ENGINES]


def render(score, *, sample_rate=44_100, engine="auto", soundfont=None):
    """Play a score.

    The loudest moment reaches -1 dBFS, or the parts that sound reach an RMS of
    -18 dBFS, whichever comes first: scores are comparably loud, and none clips.

    Args:
        score: `Score`.
        sample_rate: int, Hz, in 8000..96000.
        engine: one of `ENGINES`, or "auto" for the first that is present.
        soundfont: path of a SoundFont 2 file. If None: the file that the
            environment names in ETUDE_SOUNDFONT, else one of the system's, else
            the one inside pretty_midi.

    Returns:
        `Rendering` of ``length_samples(score, sample_rate)`` samples.

    Raises:
        EngineUnavailable: if the named engine is not on this machine, or none
            that is can play the soundfont.
        ValueError: if an argument is out of range, or the soundfont is broken.
    """
    if not 8000 <= sample_rate <= 96_000:
        raise ValueError(
            f"`sample_rate` must be in 8000..96000 Hz. Received: {sample_rate}"
        )
    chosen = choose_engine(engine, soundfont)
    score = score.sustained()  # the players know keys, and no pedal
    length = length_samples(score, sample_rate)
    notes = played_notes(score, sample_rate)
    if len(notes):
        waveform = _PLAYERS[chosen.name](notes, length, sample_rate, chosen.soundfont)
        _level(waveform, sample_rate)
    else:
        waveform = np.zeros((length, 2), dtype=np.float32)
    return Rendering(waveform, sample_rate, chosen.name, chosen.soundfont)


def length_samples(score, sample_rate):
    """How many samples `render` gives: the score with its pedals, and `TAIL_SECONDS`."""
    return math.ceil((score.sustained().length_seconds + TAIL_SECONDS) * sample_rate)


def find_soundfont(soundfont=None, *, suffixes=(".sf2",)):
    """The soundfont to play with.

    Args:
        soundfont: path, or None to search: ETUDE_SOUNDFONT, then the system's
            (FluidR3_GM, default-GM, others by name), then pretty_midi's TimGM6mb.
        suffixes: tuple of str, what the player reads.

    Returns:
        str, or None if there is none.
    """
    if _asked(soundfont):
        return _asked(soundfont)
    found = [
        path
        for suffix in suffixes
        for path in sorted(SYSTEM_SOUNDFONTS.glob(f"sf?/*{suffix}"))
    ]
    found.sort(key=lambda path: _FAVOURITES.get(path.stem, len(_FAVOURITES)))
    spec = find_spec("pretty_midi")  # finds the package without importing it
    if spec and spec.origin:
        found.append(Path(spec.origin).parent / "TimGM6mb.sf2")
    return next((str(path) for path in found if path.is_file()), None)


def _asked(soundfont):
    return str(soundfont or os.environ.get("ETUDE_SOUNDFONT") or "")


def choose_engine(name="auto", soundfont=None):
    """The `Engine` that `render` would use; raises what `render` raises for both."""
    if name != "auto" and name not in ENGINES:
        raise ValueError(
            f"`engine` must be 'auto' or one of {', '.join(ENGINES)}. Received: {name!r}"
        )
    if name == "auto":
        every = engines(soundfont)
        chosen = next(engine for engine in every if engine.is_present)
        if chosen.name == "synth" and _asked(soundfont):
            reasons = "; ".join(each.reason for each in every if each.reason)
            raise EngineUnavailable(f"No engine can play the soundfont: {reasons}.")
        return chosen
    chosen = _engine(name, soundfont)
    if not chosen.is_present:
        present = [engine.name for engine in engines(soundfont) if engine.is_present]
        raise EngineUnavailable(
            f"The engine {name!r} is not available: {chosen.reason}. "
            f"Present: {', '.join(present)}."
        )
    return chosen


def _engine(name, soundfont):
    from data_pipelines.libfluidsynth import find_library
    from data_pipelines.sf2 import read_soundfont

    if name == "synth":
        if soundfont is not None:
            read_soundfont(soundfont)
        return Engine(name)
    suffixes = (".sf2", ".sf3") if name == "fluidsynth" else (".sf2",)
    path = find_soundfont(soundfont, suffixes=suffixes)
    if path is None:
        return Engine(name, "no soundfont was found; name one in ETUDE_SOUNDFONT")
    is_compressed = read_soundfont(path).is_compressed
    if name == "fluidsynth" and find_library() is None:
        return Engine(name, "the library libfluidsynth is not installed", path)
    if name == "tinysoundfont" and find_spec("tinysoundfont") is None:
        return Engine(name, "the Python package tinysoundfont is not installed", path)
    if name != "fluidsynth" and is_compressed:
        return Engine(name, f"{path} is compressed (.sf3)", path)
    return Engine(name, "", path)


def _level(waveform, sample_rate):
    """Bring a waveform to the common loudness and fade its end, in place."""
    peak = max(waveform.max(), -waveform.min())
    if peak > 1e-9:
        waveform *= min(PEAK / peak, LOUDNESS / _loudness(waveform, sample_rate))
        np.clip(waveform, -1.0, 1.0, out=waveform)  # rounding only
    fade = waveform[-round(FADE_SECONDS * sample_rate) :]
    ramp = 0.5 + 0.5 * np.cos(np.linspace(0.0, np.pi, len(fade), dtype=np.float32))
    fade *= ramp[:, None]


def _loudness(waveform, sample_rate):
    """RMS over the blocks of 50 ms that come within 40 dB of the loudest one."""
    block = sample_rate // 20
    whole = waveform[: len(waveform) // block * block].reshape(-1, block * 2)
    powers = np.einsum("ij,ij->i", whole, whole) / (block * 2)
    return np.sqrt(powers[powers >= powers.max() * 1e-4].mean())


def _events(notes, max_channels):
    """What a synthesiser in real time is told, in order.

    Every track gets a channel of its own, or, where they are too many, every
    instrument. A key that sounds is not struck again while it is down: it goes
    up first, and stays down until the last of the notes that hold it ends.

    Returns:
        (events, instruments): rows of (sample, is_on, channel, pitch, velocity),
        offs before ons at the same sample; and (program, is_drum) by channel.
    """
    instruments = notes["program"] + 256 * notes["is_drum"].astype(np.int64)
    players = np.stack([notes["track"], instruments], axis=1)
    named, channels = np.unique(players, axis=0, return_inverse=True)
    if len(named) > max_channels:
        named, channels = np.unique(players[:, 1:], axis=0, return_inverse=True)
    keys = channels.reshape(-1) * 128 + notes["pitch"]
    order = np.lexsort((notes["velocity"], notes["start"], keys))
    keys, notes = keys[order], notes[order]
    start, end = notes["start"], notes["start"] + notes["hold"]
    lane = keys * (end.max() + 1)  # so that the running maximum restarts at each key
    end = np.maximum.accumulate(lane + end) - lane
    is_last = np.append(keys[1:] != keys[:-1], True)
    following = np.where(is_last, end, np.append(start[1:], 0))
    struck = following > start  # of unisons only the loudest
    columns = (start, end, following, keys, notes["velocity"])
    start, end, following, keys, velocity = (column[struck] for column in columns)
    ons = np.stack([start, np.ones_like(start), keys // 128, keys % 128, velocity], 1)
    offs = ons.copy()
    offs[:, 0], offs[:, 1] = np.minimum(end, following), 0
    events = np.concatenate([offs, ons])
    events = events[np.lexsort((events[:, 1], events[:, 0]))]
    return events, [(int(i) % 256, bool(i >= 256)) for i in named[:, -1]]


def _play(events, length, generate, note_on, note_off):
    """Run a synthesiser through its events: `generate(begin, end)` between them."""
    now = 0
    for sample, is_on, channel, pitch, velocity in events.tolist():
        if sample > now:
            generate(now, min(sample, length))
            now = sample
        if is_on:
            note_on(channel, pitch, velocity)
        else:
            note_off(channel, pitch)
    if now < length:
        generate(now, length)


def _voices_needed(events):
    """Voices to allow at once: 4 a note, and 512 notes; then the oldest give way."""
    return int(np.clip(4 * np.count_nonzero(events[:, 1]), 256, 2048))


def _render_tinysoundfont(notes, length, sample_rate, path):
    import tinysoundfont

    from data_pipelines.sf2 import read_soundfont

    events, instruments = _events(notes, max_channels=4096)
    presets = read_soundfont(path)
    synth = tinysoundfont.Synth(samplerate=sample_rate)
    handle = synth.sfload(path, max_voices=_voices_needed(events))
    for channel, (program, is_drum) in enumerate(instruments):
        bank, preset = presets.find(program, is_drum)
        synth.program_select(channel, handle, bank, preset, bank == 128)
    waveform = np.zeros((length, 2), dtype=np.float32)
    memory = memoryview(waveform).cast("B")

    def generate(begin, end):
        synth.generate_simple(end - begin, buffer=memory[8 * begin : 8 * end])

    _play(events, length, generate, synth.noteon, synth.noteoff)
    return waveform


def _render_fluidsynth(notes, length, sample_rate, path):
    from data_pipelines.libfluidsynth import FluidSynth, find_library
    from data_pipelines.sf2 import read_soundfont

    events, instruments = _events(notes, max_channels=MAX_CHANNELS)
    presets = read_soundfont(path)
    waveform = np.zeros((length, 2), dtype=np.float32)
    with FluidSynth(
        find_library(),
        path,
        sample_rate=sample_rate,
        channels=len(instruments),
        polyphony=_voices_needed(events),
    ) as synth:
        for channel, instrument in enumerate(instruments):
            synth.choose(channel, *presets.find(*instrument))

        def generate(begin, end):
            synth.generate(waveform[begin:end])

        _play(events, length, generate, synth.note_on, synth.note_off)
    return waveform


def _render_soundfont(notes, length, sample_rate, path):
    from data_pipelines.soundfont import read_soundfont, render_soundfont

    font = read_soundfont(path)
    return render_soundfont(notes, length, sample_rate, soundfont=font)


def _render_synth(notes, length, sample_rate, path):
    from data_pipelines.synth import render_synth

    return render_synth(notes, length, sample_rate)


_PLAYERS = {
    "fluidsynth": _render_fluidsynth,
    "tinysoundfont": _render_tinysoundfont,
    "soundfont": _render_soundfont,
    "synth": _render_synth,
}

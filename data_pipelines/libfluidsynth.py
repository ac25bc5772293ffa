"""The dozen functions of FluidSynth's C library that rendering needs, by ctypes.

Unlike the package pyfluidsynth this gives float samples, which cannot clip, and
finds the library without running subprocesses.

Reference:
    FluidSynth developer documentation 2.3: settings, synth, audio rendering.
"""

import ctypes
from contextlib import suppress

_LIBRARIES = (
    "libfluidsynth.so.3",
    "libfluidsynth.so.2",
    "libfluidsynth.so",
    "libfluidsynth.3.dylib",
    "libfluidsynth.dylib",
    "/opt/homebrew/lib/libfluidsynth.dylib",
    "/usr/local/lib/libfluidsynth.dylib",
    "libfluidsynth-3.dll",
    "libfluidsynth-2.dll",
)
_POINTER, _TEXT, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_SIGNATURES = {
    "new_fluid_settings": (_POINTER,),
    "fluid_settings_setnum": (_INT, _POINTER, _TEXT, ctypes.c_double),
    "fluid_settings_setint": (_INT, _POINTER, _TEXT, _INT),
    "delete_fluid_settings": (None, _POINTER),
    "new_fluid_synth": (_POINTER, _POINTER),
    "delete_fluid_synth": (None, _POINTER),
    "fluid_synth_sfload": (_INT, _POINTER, _TEXT, _INT),
    "fluid_synth_program_select": (_INT, _POINTER, _INT, _INT, _INT, _INT),
    "fluid_synth_noteon": (_INT, _POINTER, _INT, _INT, _INT),
    "fluid_synth_noteoff": (_INT, _POINTER, _INT, _INT),
    "fluid_synth_write_float": (
        *(_INT, _POINTER, _INT),
        *(_POINTER, _INT, _INT),
        *(_POINTER, _INT, _INT),
    ),
    "fluid_set_log_function": (_POINTER, _INT, _POINTER, _POINTER),
}


def find_library():
    """The loaded library under one of its usual names, or None."""
    for name in _LIBRARIES:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None


class FluidSynth:
    """A synthesiser that renders as fast as it can. Use it in a ``with`` block.

    Args:
        library: what `find_library` gives.
        path: str, a soundfont.
        sample_rate: int, Hz, in 8000..96000.
        channels: int, in 1..256.
        polyphony: int, voices at once.

    Raises:
        ValueError: if the library cannot read the soundfont.
    """

    def __init__(self, library, path, *, sample_rate, channels, polyphony):
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self._library = library
        for level in range(5):
            library.fluid_set_log_function(level, None, None)  # it writes to stderr
        self._settings = library.new_fluid_settings()
        for name, value in (
            ("synth.midi-channels", -(-channels // 16) * 16),
            ("synth.polyphony", polyphony),
            ("synth.chorus.active", 0),  # it would detune
        ):
            library.fluid_settings_setint(self._settings, name.encode(), value)
        library.fluid_settings_setnum(
            self._settings, b"synth.sample-rate", float(sample_rate)
        )
        self._synth = library.new_fluid_synth(self._settings)
        self._font = library.fluid_synth_sfload(self._synth, path.encode(), 0)
        if self._font < 0:
            self.close()
            raise ValueError(f"{path}: FluidSynth cannot read this soundfont.")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._library.delete_fluid_synth(self._synth)
        self._library.delete_fluid_settings(self._settings)

    def choose(self, channel, bank, program):
        """Play a preset of the soundfont on a channel, whichever its number."""
        self._library.fluid_synth_program_select(
            self._synth, channel, self._font, bank, program
        )

    def note_on(self, channel, pitch, velocity):
        self._library.fluid_synth_noteon(self._synth, channel, pitch, velocity)

    def note_off(self, channel, pitch):
        self._library.fluid_synth_noteoff(self._synth, channel, pitch)

    def generate(self, waveform):
        """Fill a C-contiguous float32 array (samples, 2) with what comes next."""
        memory = waveform.ctypes.data
        self._library.fluid_synth_write_float(
            self._synth, len(waveform), memory, 0, 2, memory, 1, 2
        )

"""SoundFont 2 files: the tables inside, checked, and the zones that they describe.

Reference:
    E-mu Systems, SoundFont Technical Specification 2.04, 2006: sections 3-7 for
    the file, 8.1 for the generators, 8.5 and 9.4 for what is added to what.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np

_BAG = np.dtype([("generator", "<u2"), ("modulator", "<u2")])
_GENERATOR = np.dtype([("operator", "<u2"), ("amount", "<i2")])
_MODULATOR = np.dtype("V10")
_PRESET = np.dtype(
    [("name", "S20"), ("program", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("_", "V12")]
)
_INSTRUMENT = np.dtype([("name", "S20"), ("bag", "<u2")])
_SAMPLE = np.dtype(
    [
        ("name", "S20"),
        ("start", "<u4"),
        ("end", "<u4"),
        ("loop_start", "<u4"),
        ("loop_end", "<u4"),
        ("sample_rate", "<u4"),
        ("root_key", "u1"),
        ("correction", "i1"),  # cents
        ("link", "<u2"),
        ("type", "<u2"),
    ]
)
_TABLES = {
    "phdr": _PRESET,
    "pbag": _BAG,
    "pmod": _MODULATOR,
    "pgen": _GENERATOR,
    "inst": _INSTRUMENT,
    "ibag": _BAG,
    "imod": _MODULATOR,
    "igen": _GENERATOR,
    "shdr": _SAMPLE,
}
DRUM_BANK = 128


class Gen(IntEnum):
    """Section 8.1.2."""

    START_OFFSET = 0
    END_OFFSET = 1
    LOOP_START_OFFSET = 2
    LOOP_END_OFFSET = 3
    START_COARSE = 4
    MOD_LFO_TO_PITCH = 5
    VIB_LFO_TO_PITCH = 6
    MOD_ENV_TO_PITCH = 7
    FILTER_CUTOFF = 8
    FILTER_Q = 9
    MOD_LFO_TO_FILTER = 10
    MOD_ENV_TO_FILTER = 11
    END_COARSE = 12
    MOD_LFO_TO_VOLUME = 13
    PAN = 17
    MOD_LFO_DELAY = 21
    MOD_LFO_FREQUENCY = 22
    VIB_LFO_DELAY = 23
    VIB_LFO_FREQUENCY = 24
    MOD_ENV = 25  # delay, attack, hold, decay, sustain, release, key to hold, to decay
    VOLUME_ENV = 33  # the same eight
    INSTRUMENT = 41
    KEY_RANGE = 43
    VELOCITY_RANGE = 44
    LOOP_START_COARSE = 45
    FIXED_KEY = 46
    FIXED_VELOCITY = 47
    ATTENUATION = 48
    LOOP_END_COARSE = 50
    COARSE_TUNE = 51
    FINE_TUNE = 52
    SAMPLE = 53
    SAMPLE_MODES = 54
    SCALE_TUNING = 56
    EXCLUSIVE_CLASS = 57
    ROOT_KEY = 58


_COUNT = 61
_DEFAULTS = np.zeros(_COUNT, dtype=np.int64)
_DEFAULTS[Gen.FILTER_CUTOFF] = 13_500
_DEFAULTS[[21, 23, 25, 26, 27, 28, 30, 33, 34, 35, 36, 38]] = -12_000  # 1 ms
_DEFAULTS[[Gen.KEY_RANGE, Gen.VELOCITY_RANGE]] = 127 << 8
_DEFAULTS[[Gen.FIXED_KEY, Gen.FIXED_VELOCITY, Gen.ROOT_KEY]] = -1
_DEFAULTS[Gen.SCALE_TUNING] = 100
# Section 8.5: what a preset may not say. Ranges are met, not added.
_INSTRUMENT_ONLY = [0, 1, 2, 3, 4, 12, 43, 44, 45, 46, 47, 50, 53, 54, 57, 58]


@dataclass(frozen=True)
class Zone:
    """One sample of a preset, with every generator summed up.

    Args:
        generators: int64 array (61,), the final amounts, in the units of 8.1.3.
        keys, velocities: (low, high), both included.
    """

    generators: np.ndarray
    keys: tuple[int, int]
    velocities: tuple[int, int]


@dataclass(frozen=True)
class SoundFont:
    """A soundfont file, opened: its tables, and its samples left on the disk.

    Args:
        path: str.
        samples: int16 array (samples,), a memory map.
        tables: dict of the nine structured arrays of the "pdta" list.
        presets: dict from (bank, program) to a row of ``tables["phdr"]``.
        is_compressed: bool, true for .sf3: its samples are Vorbis streams.
    """

    path: str
    samples: np.ndarray
    tables: dict
    presets: dict
    is_compressed: bool
    zone_lists: dict = field(default_factory=dict, repr=False)

    def find(self, program, is_drum):
        """The (bank, program) that plays a track; never none.

        A missing program falls back on the first of its bank, and a missing
        bank on the first preset of the file.
        """
        bank = DRUM_BANK if is_drum else 0
        same_bank = sorted(key for key in self.presets if key[0] == bank)
        candidates = [(bank, program), (bank, 0), *same_bank, *sorted(self.presets)]
        return next(key for key in candidates if key in self.presets)

    def zones(self, bank, program):
        """The zones of a preset: list of `Zone`."""
        key = (bank, program)
        if key not in self.zone_lists:
            self.zone_lists[key] = list(_preset_zones(self.tables, self.presets[key]))
        return self.zone_lists[key]


def read_soundfont(path):
    """Open a SoundFont 2 file and check its structure.

    Raises:
        ValueError: naming the file, if it is missing, no soundfont, or broken.
    """
    path = str(path)
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such soundfont file.")
    if not Path(path).stat().st_size:
        raise ValueError(f"{path}: the soundfont is empty (0 bytes).")
    data = np.memmap(path, dtype=np.uint8, mode="r")
    if len(data) < 12 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"sfbk":
        raise ValueError(f"{path}: not a SoundFont 2 file (no RIFF sfbk header).")
    chunks = {}
    top = _chunk_table(data, 0, len(data), path)["RIFF"]
    for kind, start, end in _chunks(data, top.start + 4, top.stop, path):
        if kind == "LIST":
            chunks |= _chunk_table(data, start + 4, end, path)
    tables = {}
    for name, dtype in _TABLES.items():
        span = chunks.get(name)
        if span is None:
            raise ValueError(f"{path}: broken soundfont: it has no {name!r} chunk.")
        size = span.stop - span.start
        if size % dtype.itemsize or size < dtype.itemsize:
            raise ValueError(
                f"{path}: broken soundfont: {size} bytes of {name!r} make no whole "
                f"records of {dtype.itemsize}."
            )
        tables[name] = np.frombuffer(data[span], dtype=dtype)
    _check_tables(tables, path)
    waves = chunks.get("smpl", slice(0, 0))
    samples = data[waves.start : waves.stop - (waves.stop - waves.start) % 2].view(
        "<i2"
    )
    version = chunks.get("ifil")
    major = int(data[version][:2].view("<u2")[0]) if version else 2
    if major < 3 and not len(samples):
        raise ValueError(f"{path}: broken soundfont: it has no samples.")
    heads = tables["phdr"][:-1]
    presets = {}
    for row, head in enumerate(heads):
        presets.setdefault((int(head["bank"]), int(head["program"])), row)
    if not presets:
        raise ValueError(f"{path}: broken soundfont: it has no presets.")
    return SoundFont(path, samples, tables, presets, is_compressed=major >= 3)


def _chunks(data, start, end, path):
    """Section 3: (id, start, end) of each chunk of a RIFF list."""
    while start + 8 <= end:
        kind = bytes(data[start : start + 4]).decode("latin-1")
        size = int.from_bytes(bytes(data[start + 4 : start + 8]), "little")
        if start + 8 + size > end:
            raise ValueError(
                f"{path}: broken soundfont: its {kind!r} chunk announces {size} bytes "
                f"and {end - start - 8} are there."
            )
        yield kind, start + 8, start + 8 + size
        start += 8 + size + size % 2


def _chunk_table(data, start, end, path):
    return {kind: slice(a, b) for kind, a, b in _chunks(data, start, end, path)}


def _check_tables(tables, path):
    """Every index of every table points into the next one."""
    for heads, column, target in (
        ("phdr", "bag", "pbag"),
        ("inst", "bag", "ibag"),
        ("pbag", "generator", "pgen"),
        ("ibag", "generator", "igen"),
    ):
        indices = tables[heads][column].astype(np.int64)
        room = len(tables[target]) - (column == "bag")
        if np.any(np.diff(indices) < 0) or indices[-1] > room:
            raise ValueError(
                f"{path}: broken soundfont: {heads!r} points outside {target!r}."
            )
    for generators, link, target in (
        ("pgen", Gen.INSTRUMENT, "inst"),
        ("igen", Gen.SAMPLE, "shdr"),
    ):
        table = tables[generators]
        linked = table["amount"][table["operator"] == link].view(np.uint16)
        if np.any(linked.astype(np.int64) >= len(tables[target]) - 1):
            raise ValueError(
                f"{path}: broken soundfont: {generators!r} points outside {target!r}."
            )


def _preset_zones(tables, row):
    """Sections 7 and 9.4: a preset's zones over its instruments', globals applied."""
    for preset in _layers(tables, "phdr", "pbag", "pgen", row, Gen.INSTRUMENT):
        instrument = preset[Gen.INSTRUMENT] & 0xFFFF
        for inner in _layers(tables, "inst", "ibag", "igen", instrument, Gen.SAMPLE):
            generators = _DEFAULTS.copy()
            for operator, amount in inner.items():
                generators[operator] = amount
            for operator, amount in preset.items():
                if operator not in _INSTRUMENT_ONLY:
                    generators[operator] += amount
            keys, velocities = (
                _overlap(generators[kind], preset.get(kind, 127 << 8))
                for kind in (Gen.KEY_RANGE, Gen.VELOCITY_RANGE)
            )
            on_the_card = tables["shdr"]["type"][inner[Gen.SAMPLE] & 0xFFFF] & 0x8000
            if not on_the_card:  # a sample in the ROM of some 1990s sound card
                yield Zone(generators, keys, velocities)


def _layers(tables, heads, bags, generators, row, link):
    """The zones of one preset or instrument: dicts from operator to amount.

    A first zone that links to nothing is global: it speaks where the others
    are silent. Any other zone without a link is ignored.
    """
    head, bag, gens = tables[heads], tables[bags]["generator"], tables[generators]
    spoken_for_all = {}
    first, last = int(head["bag"][row]), int(head["bag"][row + 1])
    for index in range(first, last):
        some = gens[bag[index] : bag[index + 1]]
        known = some[some["operator"] < _COUNT]
        zone = dict(known.tolist())
        if link in zone:
            yield spoken_for_all | zone
        elif index == first:
            spoken_for_all = zone


def _overlap(one, other):
    one, other = int(one), int(other)
    low = max(one & 0xFF, other & 0xFF)
    return low, min(one >> 8 & 0xFF, other >> 8 & 0xFF)

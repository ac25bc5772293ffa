"""What the built-in synthesiser knows of instruments: 128 timbres and a drum kit.

Reference:
    General MIDI 1, 1991, for the numbers of programs and drums. The ratios of
    bars and drum heads: Fletcher and Rossing, The Physics of Musical
    Instruments, 1998, chapters 18 and 19. The rest was set by ear and spectrum.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Layer:
    """Partials that come and go together.

    Args:
        partials: tuple of (frequency over the fundamental's, amplitude).
        attack, decay: float, times the timbre's own.
        is_edge: bool, whether a soft touch leaves it out.
    """

    partials: tuple
    attack: float = 1.0
    decay: float = 1.0
    is_edge: bool = False


@dataclass(frozen=True)
class Timbre:
    """One instrument.

    Args:
        layers: tuple of `Layer`.
        attack, release: float, seconds.
        decay: float, seconds that a fall of 100 dB takes.
        sustain_db: float, how far a held key falls; 100 dies away, sooner for
            high keys.
        detune_cents: float, how far two players are from the pitch, each way.
        vibrato_cents: float.
        breath, strike: float, noise while the key is held, and when it is hit.
        formants: tuple of (hz, width) that are louder.
        pan: float, -1 left, 1 right.
    """

    layers: tuple
    attack: float = 0.004
    decay: float = 8.0
    sustain_db: float = 100.0
    release: float = 0.3
    gain_db: float = 0.0
    detune_cents: float = 0.0
    vibrato_cents: float = 0.0
    breath: float = 0.0
    strike: float = 0.0
    formants: tuple = ()
    pan: float = 0.0


def _harmonics(*amplitudes, first=1):
    return tuple((first + k, a) for k, a in enumerate(amplitudes) if a)


def _struck(*amplitudes, **settings):
    """Partials in three layers, the higher the shorter, as on a string."""
    low = Layer(_harmonics(*amplitudes[:3]))
    middle = Layer(_harmonics(*amplitudes[3:7], first=4), decay=0.5, is_edge=True)
    high = Layer(_harmonics(*amplitudes[7:], first=8), decay=0.22, is_edge=True)
    layers = tuple(layer for layer in (low, middle, high) if layer.partials)
    return Timbre(layers, **settings)


def _bar(*partials, **settings):
    """Partials out of tune, each shorter than the one below."""
    layers = tuple(
        Layer((partial,), decay=1 / (1 + 1.5 * k), is_edge=k > 0)
        for k, partial in enumerate(partials)
    )
    return Timbre(layers, **settings)


def _held(*amplitudes, **settings):
    """Partials that last as long as the key, the higher ones swelling later."""
    low = Layer(_harmonics(*amplitudes[:2]))
    high = Layer(_harmonics(*amplitudes[2:], first=3), attack=1.5, is_edge=True)
    layers = tuple(layer for layer in (low, high) if layer.partials)
    settings = {"attack": 0.05, "sustain_db": 3.0, "decay": 20.0} | settings
    return Timbre(layers, **settings)


def _saw(count, slope=1.0):
    return tuple(1 / k**slope for k in range(1, count + 1))


def _square(count, slope=1.0):
    return tuple((k % 2) / k**slope for k in range(1, count + 1))


_PIANO = _struck(
    *(1, 0.6, 0.35, 0.22, 0.16, 0.11, 0.07, 0.05, 0.04, 0.03, 0.02),
    decay=15.0,
    release=0.35,
    detune_cents=0.5,
    strike=0.05,
)
_MARIMBA = _bar((1, 1), (3.93, 0.3), (9.24, 0.1), decay=2.2, strike=0.06)
_GLOCKENSPIEL = _bar((1, 1), (2.756, 0.35), (5.404, 0.2), decay=7.0, release=1.2)
_ORGAN = _held(
    *(1, 0.8, 0.5, 0.4, 0, 0.2, 0, 0.15), attack=0.012, sustain_db=0.0, release=0.1
)
_GUITAR = _struck(
    *(1, 0.7, 0.5, 0.32, 0.18, 0.16, 0.1, 0.07, 0.05, 0.04),
    decay=7.0,
    release=0.25,
    strike=0.04,
    pan=0.15,
)
_LEAD_GUITAR = _held(
    *_saw(14, 0.7), attack=0.01, decay=12.0, sustain_db=9.0, release=0.2, pan=0.15
)
_BASS = _struck(
    *(1, 0.65, 0.35, 0.18, 0.1, 0.06, 0.03), decay=6.0, release=0.15, gain_db=3.0
)
_BODY = ((480, 300), (1100, 500), (2600, 900))
_VIOLIN = _held(
    *_saw(16, 0.9),
    attack=0.07,
    release=0.18,
    vibrato_cents=9.0,
    formants=_BODY,
    breath=0.01,
    pan=-0.15,
)
_STRINGS = _held(
    *_saw(14, 1.1),
    attack=0.12,
    release=0.4,
    detune_cents=2.5,
    vibrato_cents=4.0,
    pan=-0.1,
)
_VOWEL = ((650, 200), (1080, 250), (2650, 500))
_CHOIR = _held(
    *_saw(18, 0.8),
    attack=0.14,
    release=0.4,
    detune_cents=2.5,
    vibrato_cents=7.0,
    formants=_VOWEL,
    breath=0.015,
    gain_db=5.0,
)
_BRASS = _held(
    *(0.8, 1, 0.9, 0.7, 0.5, 0.35, 0.25, 0.16, 0.1, 0.06),
    attack=0.035,
    release=0.12,
    vibrato_cents=3.0,
    pan=0.2,
)
_SAX = _held(
    *(1, 0.8, 0.6, 0.5, 0.3, 0.2, 0.15, 0.1, 0.06),
    attack=0.035,
    release=0.12,
    vibrato_cents=7.0,
    breath=0.03,
    pan=0.1,
)
_FLUTE = _held(
    *(1, 0.25, 0.08, 0.03),
    attack=0.05,
    release=0.12,
    vibrato_cents=6.0,
    breath=0.05,
    pan=-0.1,
)
_LEAD = _held(
    *_square(19), attack=0.008, sustain_db=2.0, release=0.12, vibrato_cents=4.0
)
_PAD = _held(*_saw(10, 1.4), attack=0.45, release=0.9, detune_cents=3.0)
_EFFECT = Timbre(
    (
        Layer(_harmonics(*_saw(8, 1.5))),
        Layer(((4.2, 0.2), (6.8, 0.15)), decay=0.3, is_edge=True),
    ),
    attack=0.02,
    decay=14.0,
    sustain_db=14.0,
    release=0.9,
    detune_cents=3.0,
)
_PLUCKED = _struck(
    *(1, 0.8, 0.7, 0.5, 0.4, 0.3, 0.25, 0.2, 0.14, 0.1, 0.08),
    decay=5.0,
    release=0.3,
    strike=0.05,
)
_WIND = Timbre(
    (Layer(((1, 0.25), (2, 0.1))),),
    attack=0.25,
    sustain_db=0.0,
    release=0.7,
    breath=0.5,
    gain_db=-13.0,
)

_FAMILIES = (
    *(_PIANO, _MARIMBA, _ORGAN, _GUITAR, _BASS, _VIOLIN, _STRINGS, _BRASS),
    *(_SAX, _FLUTE, _LEAD, _PAD, _EFFECT, _PLUCKED, _MARIMBA, _WIND),
)
_HARPSICHORD = replace(_PLUCKED, decay=6.0, release=0.1, gain_db=-2.0)
_CLARINET = replace(
    _SAX, layers=_held(1, 0.05, 0.6, 0.05, 0.35, 0.06, 0.15, 0.05, 0.08).layers
)
_OBOE = replace(_SAX, layers=_held(*_saw(14, 0.5)).layers, formants=_BODY, breath=0.01)
_EPIANO = replace(
    _struck(1, 0.15, 0.12, 0.06, 0.04, decay=10.0, release=0.3, detune_cents=1.0),
    layers=(
        Layer(_harmonics(1, 0.15, 0.12)),
        Layer(((6, 0.08), (14, 0.12)), decay=0.12, is_edge=True),
    ),
)
_OTHERS = {
    **dict.fromkeys((4, 5), _EPIANO),
    6: _HARPSICHORD,
    7: replace(_HARPSICHORD, decay=3.0),
    8: replace(_GLOCKENSPIEL, decay=5.0),
    9: _GLOCKENSPIEL,
    10: replace(_GLOCKENSPIEL, decay=6.0, strike=0.04),
    11: replace(
        _bar((1, 1), (4, 0.25), (10, 0.06)), decay=10.0, release=0.6, detune_cents=1.5
    ),
    13: replace(_bar((1, 1), (3, 0.5), (6.2, 0.25)), decay=1.2, strike=0.08),
    14: _bar(
        *((1, 1), (2, 0.6), (2.4, 0.4), (3, 0.35), (4.2, 0.3), (5.4, 0.2)),
        decay=12.0,
        release=2.0,
    ),
    15: _PLUCKED,
    19: _held(
        *(1, 0.9, 0.55, 0.6, 0.2, 0.3, 0.1, 0.3, 0.05, 0.1),
        attack=0.06,
        sustain_db=0.0,
        release=0.5,
        detune_cents=0.8,
    ),
    **dict.fromkeys(
        (20, 21, 22, 23), _held(*_saw(12, 0.8), attack=0.05, detune_cents=1.5)
    ),
    28: replace(_GUITAR, decay=1.2, release=0.08),
    29: _LEAD_GUITAR,
    30: replace(_LEAD_GUITAR, layers=_held(*_saw(18, 0.5)).layers),
    31: replace(_GUITAR, layers=(Layer(((1, 1), (2, 0.2))),), decay=10.0),
    **dict.fromkeys((38, 39), replace(_BASS, layers=_struck(*_saw(12)).layers)),
    42: replace(_VIOLIN, pan=0.2),
    43: replace(_VIOLIN, pan=0.25, vibrato_cents=4.0, gain_db=2.0),
    44: _STRINGS,
    45: replace(_GUITAR, decay=1.6, pan=-0.1, detune_cents=1.5),
    46: replace(_GUITAR, decay=8.0, release=0.8, pan=-0.2),
    47: _bar(
        *((1, 1), (1.504, 0.6), (1.742, 0.2), (2.0, 0.4), (2.494, 0.2)),
        decay=3.5,
        release=1.5,
        strike=0.08,
        gain_db=3.0,
    ),
    **dict.fromkeys((52, 53, 54), _CHOIR),
    55: replace(_BRASS, attack=0.006, decay=2.5, sustain_db=100.0, detune_cents=3.0),
    60: replace(_BRASS, layers=_held(1, 0.7, 0.4, 0.2, 0.1).layers, pan=-0.2),
    **dict.fromkeys((61, 62, 63), replace(_BRASS, detune_cents=2.5, release=0.2)),
    **dict.fromkeys((68, 69, 70), _OBOE),
    71: _CLARINET,
    81: replace(_LEAD, layers=_held(*_saw(18)).layers, detune_cents=2.0),
    **dict.fromkeys((84, 87), replace(_LEAD, layers=_held(*_saw(14)).layers)),
    85: _CHOIR,
    91: replace(_CHOIR, attack=0.4, release=0.9),
    **dict.fromkeys((109, 111), _OBOE),
    110: _VIOLIN,
    112: _GLOCKENSPIEL,
    113: replace(_bar((1, 1), (2.6, 0.5), (4.1, 0.3)), decay=2.0),
    114: replace(_bar((1, 1), (2, 0.5), (3, 0.25)), decay=3.0, release=0.6),
    115: replace(_MARIMBA, decay=0.5),
    **dict.fromkeys(
        (116, 117, 118),
        _bar((1, 1), (1.59, 0.4), (2.14, 0.2), decay=2.0, release=1.0, gain_db=3.0),
    ),
}
TIMBRES = tuple(_OTHERS.get(number, _FAMILIES[number // 8]) for number in range(128))


@dataclass(frozen=True)
class Drum:
    """One sound of the kit.

    Args:
        partials: tuple of (hz, amplitude), ringing together.
        bend: float, how much higher they begin; it falls within `bend_time`.
        ring, noise_ring: float, seconds that a fall of 100 dB takes.
        noise: float, RMS of the noise between the two `band_hz`.
        bursts: int, how often the noise begins, `burst_gap` seconds apart.
        pan: float, -1 left, 1 right.
    """

    partials: tuple = ()
    ring: float = 0.3
    bend: float = 1.0
    bend_time: float = 0.03
    noise: float = 0.0
    band_hz: tuple = (1000, 8000)
    noise_ring: float = 0.2
    bursts: int = 1
    burst_gap: float = 0.011
    pan: float = 0.0
    gain_db: float = 0.0


def _head(hz, ring, pan, noise=0.1):
    """A drum with a pitch: the first modes of a round skin."""
    return Drum(
        ((hz, 0.8), (1.59 * hz, 0.25), (2.14 * hz, 0.12)),
        ring=ring,
        bend=1.5,
        bend_time=0.04,
        noise=noise,
        band_hz=(300, 3000),
        noise_ring=0.12,
        pan=pan,
    )


def _hiss(low, high, ring, noise, pan):
    return Drum((), ring, noise=noise, band_hz=(low, high), noise_ring=ring, pan=pan)


def _metal(hz, ring, noise, pan):
    """A cymbal: a cluster of partials in a wash of noise."""
    ratios = (1, 1.34, 1.58, 1.93, 2.27, 2.71, 3.37, 4.13)
    partials = tuple((hz * ratio, 0.3 * noise) for ratio in ratios)
    band = (3 * hz, 7500)
    return Drum(partials, ring, noise=noise, band_hz=band, noise_ring=ring, pan=pan)


def _knock(*partials, ring, pan, noise=0.0):
    return Drum(partials, ring, noise=noise, noise_ring=0.06, pan=pan)


_KICK = Drum(
    ((52, 1.0), (104, 0.15)),
    ring=0.8,
    bend=4.0,
    bend_time=0.022,
    noise=0.12,
    band_hz=(1500, 5000),
    noise_ring=0.04,
    gain_db=2.0,
)
_SNARE = Drum(
    ((185, 0.5), (331, 0.25)),
    ring=0.35,
    bend=1.3,
    noise=0.3,
    band_hz=(1500, 7000),
    noise_ring=0.55,
    gain_db=3.0,
)
_HAT = _hiss(6500, 10_000, 0.2, 0.16, 0.3)
_SCRAPE = Drum(noise=0.15, band_hz=(2000, 6000), noise_ring=0.2, bursts=6, pan=-0.3)
_DRUMS = {
    35: replace(_KICK, partials=((46, 1.0), (92, 0.2))),
    36: _KICK,
    37: _knock((820, 0.3), (1710, 0.4), ring=0.15, pan=-0.1, noise=0.1),
    38: _SNARE,
    39: Drum(noise=0.3, band_hz=(900, 3500), noise_ring=0.45, bursts=4),
    40: replace(_SNARE, partials=((210, 0.5), (360, 0.3)), noise_ring=0.35),
    41: _head(82, 1.3, -0.4),
    42: _HAT,
    43: _head(98, 1.2, -0.3),
    44: _hiss(5000, 9000, 0.16, 0.14, 0.3),
    45: _head(118, 1.1, -0.15),
    46: _hiss(6000, 9500, 1.4, 0.13, 0.3),
    47: _head(140, 1.0, 0.0),
    48: _head(165, 0.9, 0.2),
    49: _metal(900, 5.0, 0.16, -0.4),
    50: _head(196, 0.8, 0.35),
    51: _metal(1200, 3.5, 0.03, 0.4),
    52: _metal(700, 4.0, 0.18, 0.45),
    53: _knock((1250, 0.1), (1870, 0.1), (3260, 0.07), ring=2.5, pan=0.4),
    54: _hiss(7000, 14_000, 0.7, 0.25, -0.3),
    55: _metal(1300, 2.5, 0.15, -0.3),
    56: _knock((562, 0.3), (845, 0.3), (1690, 0.1), ring=0.7, pan=0.2),
    57: _metal(1000, 4.5, 0.16, 0.4),
    58: replace(_SCRAPE, bursts=14, burst_gap=0.03, noise_ring=0.9),
    59: _metal(1350, 3.2, 0.035, 0.4),
    60: _head(430, 0.5, 0.3),
    61: _head(320, 0.6, 0.3),
    62: _head(280, 0.3, -0.3, 0.2),
    63: _head(260, 0.9, -0.3),
    64: _head(195, 1.0, -0.3),
    65: _head(360, 0.9, 0.25, 0.2),
    66: _head(270, 1.0, 0.25, 0.2),
    67: _knock((1050, 0.3), (1570, 0.15), ring=0.9, pan=-0.35),
    68: _knock((780, 0.3), (1170, 0.15), ring=1.0, pan=-0.35),
    69: _hiss(5000, 12_000, 0.35, 0.25, -0.35),
    70: _hiss(6000, 13_000, 0.2, 0.22, 0.35),
    71: _knock((2350, 0.5), ring=1.0, pan=0.35, noise=0.05),
    72: _knock((2350, 0.5), ring=3.0, pan=0.35, noise=0.05),
    73: _SCRAPE,
    74: replace(_SCRAPE, bursts=16, burst_gap=0.02, noise_ring=0.4),
    75: _knock((2480, 0.5), ring=0.3, pan=0.3),
    76: _knock((1060, 0.5), (1720, 0.15), ring=0.25, pan=0.35),
    77: _knock((760, 0.5), (1250, 0.15), ring=0.28, pan=0.35),
    78: replace(_head(420, 0.4, 0.2), bend=0.7),
    79: replace(_head(330, 0.8, 0.2), bend=0.6),
    80: _knock((5100, 0.15), (6530, 0.1), (8920, 0.06), ring=0.4, pan=-0.35),
    81: _knock((5100, 0.15), (6530, 0.1), (8920, 0.06), ring=3.5, pan=-0.35),
}
CHOKES = {
    **dict.fromkeys((42, 44, 46), 1),  # one hi-hat has one pair of cymbals
    **dict.fromkeys((71, 72), 2),
    **dict.fromkeys((73, 74), 3),
    **dict.fromkeys((78, 79), 4),
    **dict.fromkeys((80, 81), 5),
}


def drum_of(pitch):
    """The `Drum` on a key; outside General MIDI's 35..81, the tom nearest in pitch."""
    if pitch in _DRUMS:
        return _DRUMS[pitch]
    return _DRUMS[41] if pitch < 35 else _DRUMS[50]

"""Where the music that ships in models comes from, and on what terms."""

DRUM_PATTERNS, DRUM_PIECES = "drum-patterns", 612  # 36 of each of 17 styles
DRUM_SOUNDS, DRUM_SOUND_COUNT = "drum-sounds", 1080  # 120 of each of 9 kinds
TONES, TONE_COUNT = "tones", 400  # 50 of each of 8 pitches
OF_SOUNDS = (DRUM_SOUNDS, TONES)
MADE_HERE = (DRUM_PATTERNS, *OF_SOUNDS)  # corpora that need no file, nor music21

SOURCES = {
    "oneills1850": "O'Neill's Music of Ireland: 1850 Melodies (1903), a public-domain "
    "print, transcribed by John Chambers, Henrik Norbeck, Bob Safranek, Trish O'Neil, "
    "Dan G. Petersen, Michael Hogan, Stephen Foy, Norbert Paap and others",
    "ryansMammoth": "Ryan's Mammoth Collection (1883), a public-domain print, "
    "transcribed by Ray Davies, John Chambers, Bob Puckette, John Walsh and others",
    "airdsAirs": "Aird's Selection of Airs (1782-1801), a public-domain print, "
    "transcribed by Jack Campin (www.campin.me.uk)",
    "bach": "J. S. Bach's chorales in four parts and some cantata movements, "
    "public-domain music, encoded by Margaret Greentree and others and carried by "
    "music21 with their permission; none of their files is in this bundle",
}


def check_corpus_names(names):
    """Raise ValueError, naming the known ones, if a corpus is none of ours or music21's."""
    from data_pipelines.music21_corpus import check_corpus_names as check_folders

    others = [name for name in names if name not in MADE_HERE]
    try:
        check_folders(others)
    except ValueError as error:
        raise ValueError(
            f"{error} Etude itself makes: {', '.join(MADE_HERE)}."
        ) from None


def source_line(corpus_name):
    """One line for a card: the print, the transcription, the terms."""
    if corpus_name == DRUM_PATTERNS:
        return (
            f"{DRUM_PATTERNS}: {DRUM_PIECES} drum-set pieces that Etude writes by rule "
            "(data_pipelines/drum_patterns.py, seed 0), MIT like the rest; the rhythms "
            "are common knowledge, public-domain. No drummer played them: what a model "
            "learns of them is those rules"
        )
    if corpus_name in OF_SOUNDS:
        count, what, room = {
            DRUM_SOUNDS: (DRUM_SOUND_COUNT, "drum sounds", "drum_sounds"),
            TONES: (TONE_COUNT, "tones", "tones"),
        }[corpus_name]
        return (
            f"{corpus_name}: {count:,} {what} that Etude synthesises "
            f"(data_pipelines/{room}.py, seed 0), MIT like the rest: formulas with "
            "parameters drawn at random, no recording of anybody"
        )
    about = SOURCES.get(corpus_name)
    if about is None:
        return f"{corpus_name}, from music21's corpus: see the licence in its folder"
    return f"{about}; from music21's corpus, folder {corpus_name}"


def classes_of(corpus_name):
    """The classes of sound of a corpus that Etude makes; () of one of notes."""
    if corpus_name == DRUM_SOUNDS:
        from data_pipelines.drum_sounds import KINDS

        return tuple(KINDS)
    if corpus_name == TONES:
        from data_pipelines.tones import PITCHES, class_name

        return tuple(map(class_name, PITCHES))
    return ()


def sounds_of(corpus_name, sample_rate):
    """(name, `Waveform`) of each sound of a corpus that Etude makes."""
    if corpus_name == DRUM_SOUNDS:
        from data_pipelines.drum_sounds import drum_sounds

        return drum_sounds(DRUM_SOUND_COUNT, sample_rate=sample_rate)
    from data_pipelines.tones import tones

    return tones(count=TONE_COUNT, sample_rate=sample_rate)

"""Where the music that ships in models comes from, and on what terms."""

SOURCES = {
    "oneills1850": "O'Neill's Music of Ireland: 1850 Melodies (1903), public domain",
    "ryansMammoth": "Ryan's Mammoth Collection (1883), public domain",
    "airdsAirs": "Aird's Selection of Airs (1782-1801), public domain",
}


def source_line(corpus_name):
    """One line for a card: the print, the transcription, the terms."""
    about = SOURCES.get(corpus_name)
    if about is None:
        return f"{corpus_name}, from music21's corpus: see the licence in its folder"
    return f"{about}; ABC transcriptions from music21's corpus, folder {corpus_name}"

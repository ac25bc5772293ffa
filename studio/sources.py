"""Where the music that ships in models comes from, and on what terms."""

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


def source_line(corpus_name):
    """One line for a card: the print, the transcription, the terms."""
    about = SOURCES.get(corpus_name)
    if about is None:
        return f"{corpus_name}, from music21's corpus: see the licence in its folder"
    return f"{about}; from music21's corpus, folder {corpus_name}"

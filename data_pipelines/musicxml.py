"""MusicXML out, by way of music21."""

from pathlib import Path

from data_pipelines.files import write_whole


def write_musicxml(path, score):
    """Write a score as uncompressed MusicXML, whole or not at all."""
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    write_whole(Path(path), GeneralObjectExporter(score.to_music21()).parse())

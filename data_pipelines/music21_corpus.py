"""The music that comes inside music21, by the name of its folder there.

Parsing it takes minutes, so it happens once, in worker processes, and the scores are
kept in the user's cache folder.
"""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import metadata, util
from multiprocessing import get_context
from pathlib import Path

from data_pipelines.cache import cache_path, load_scores, save_scores

READERS = "2"  # a change of readers makes older caches stale
SUFFIXES = {".abc", ".mxl", ".xml", ".musicxml", ".krn"}


def corpus_folders():
    """The names that `read_music21_corpus` knows, sorted."""
    root = _root()
    return sorted(p.name for p in root.iterdir() if p.is_dir() and p.name[0] != "_")


def corpus_path(name):
    """Where music21 keeps a folder of its corpus; ValueError if it has none so called."""
    check_corpus_names([name])
    return _root() / name


def check_corpus_names(names):
    """Raise ValueError, naming the known ones, if music21 carries no such corpus."""
    for name in names:
        if name not in corpus_folders():
            raise ValueError(
                f"music21 carries no corpus called {name!r}. "
                f"It has: {', '.join(corpus_folders())}."
            )


def read_music21_corpus(name, *, workers=2, on_progress=None):
    """All the pieces of one folder of music21's corpus.

    Args:
        name: str, for example ``"oneills1850"``.
        workers: int, how many processes parse.
        on_progress: callable of (files done, files in all), or None.

    Returns:
        (list of `Score`, list of (file name, reason) for what could not be read).

    Raises:
        ValueError: if music21 carries no such folder.
    """
    folder = corpus_path(name)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    cached = cache_path("music21", name, metadata.version("music21"), READERS)
    if cached.exists():
        return load_scores(cached), []
    scores, refused = [], []
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    with pool:
        for done, (file, found) in enumerate(
            zip(files, pool.map(partial(_read_file), files, chunksize=4), strict=True),
            1,
        ):
            for item in found:
                if isinstance(item, str):
                    refused.append((file.name, item))
                else:
                    scores.append(item)
            if on_progress:
                on_progress(done, len(files))
    save_scores(cached, scores)
    return scores, refused


def _root():
    return Path(util.find_spec("music21").origin).parent / "corpus"


def _read_file(path):
    """Each piece of a file as a `Score`, or as the sentence of what went wrong."""
    if path.suffix.lower() == ".abc":
        return _read_abc(path)
    from music21 import converter, stream

    from data_pipelines.exchange import from_music21

    try:
        parsed = converter.parse(path, forceSource=True, storePickle=False)
    except Exception as error:  # music21 raises some twenty kinds; all are reported
        return [f"{type(error).__name__}: {error}"]
    pieces = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
    found = []
    for piece in pieces:
        try:
            found.append(from_music21(piece))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def _read_abc(path):
    # Not music21: in 962 of the 4,248 fiddle tunes the two differ, and where we looked
    # it was music21 that lost the note under a fermata, forgot an accidental within its
    # bar, or stopped a broken rhythm at a slur.
    from data_pipelines.abc import BadAbc, parse_tune, split_tunes

    found = []
    for tune in split_tunes(path.read_text(encoding="utf-8", errors="replace")):
        try:
            found.append(parse_tune(tune))
        except (BadAbc, ValueError) as error:
            found.append(f"{type(error).__name__}: {error}")
    return found

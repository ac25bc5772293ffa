"""A folder, a part of music21's corpus or a dataset -> a dataset, prepared but once."""

import hashlib
import os
import shutil
from importlib import metadata
from pathlib import Path

from data_pipelines.cache import cache_folder
from data_pipelines.drum_patterns import drum_pieces
from data_pipelines.guard import FORMS_OF, Reading, Refused, gate, walk_names
from data_pipelines.music21_corpus import READERS, read_music21_corpus
from data_pipelines.prepare import (
    NothingToPrepare,
    Settings,
    code_digest,
    prepare,
    prepare_readings,
)
from data_pipelines.shards import BadDataset, is_dataset, open_dataset
from data_pipelines.tokenizers import TOKENIZERS
from studio.errors import NothingUsable, WrongUsage
from studio.sources import (
    DRUM_PATTERNS,
    DRUM_PIECES,
    DRUM_SOUND_COUNT,
    OF_SOUNDS,
    TONE_COUNT,
    sounds_of,
)

DATASETS_KEPT = 16  # in the cache; the one used longest ago goes first
FILES_FOR_WORKERS = 400  # below, starting a second process costs more than it saves


def gather(
    folder=None, corpus_names=(), *, tokenizer="melody", reading=None, on_progress=None
):
    """The dataset of a folder, of named parts of music21's corpus, or the one named.

    What was prepared once is kept in the user's cache under a hash of its files' bytes,
    and found again there, whatever the folder is called.

    Args:
        folder: Path of a folder, a file or a dataset; or None.
        corpus_names: names of folders of music21's corpus, or of `sources.MADE_HERE`.
        tokenizer: str, one of `TOKENIZERS`; or a tokenizer with settings of its own.
        reading: dict, how the files are read: fields of `prepare.Settings`.
        on_progress: callable of (files done, files in all), or None.

    Returns:
        `shards.Dataset`, verified.

    Raises:
        WrongUsage: if the folder or a name does not exist, or the dataset holds the
            tokens of another tokenizer.
        NothingUsable: if no file can be used, or the dataset is damaged.
    """
    if isinstance(tokenizer, str):
        tokenizer = TOKENIZERS[tokenizer]()
    settings = _settings(tokenizer, reading or {})
    if folder is not None and is_dataset(folder):
        return _named_dataset(folder, tokenizer.name, reading or {})
    try:
        if folder is not None:
            identity = folder_digest(folder)
        else:
            _check_kinds(corpus_names, tokenizer)
            counts = f"{DRUM_PIECES} {DRUM_SOUND_COUNT} {TONE_COUNT}"
            versions = [metadata.version("music21"), READERS, counts]
            identity = "\0".join([*corpus_names, *versions])
        path = dataset_cache(settings, identity)
        if is_dataset(path):
            try:
                dataset = open_dataset(path)
            except BadDataset:
                shutil.rmtree(path)  # a cache may be made anew
            else:
                os.utime(path)
                return dataset
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent)
        if folder is None:
            found = _found_in_corpora(corpus_names, tokenizer, on_progress)
            return prepare_readings(found, path, settings)
        workers = default_workers(folder)
        return prepare(folder, path, settings, workers=workers, on_progress=on_progress)
    except NothingToPrepare as error:
        name = str(folder) if folder is not None else ", ".join(corpus_names)
        raise NothingUsable(nothing_usable(name, error, tokenizer.name)) from error
    except (FileNotFoundError, ValueError) as error:
        raise WrongUsage(str(error)) from None


def open_named(folder):
    """A dataset that a person named, verified.

    Raises:
        NothingUsable: if it is damaged.
    """
    try:
        return open_dataset(folder)
    except BadDataset as error:
        raise NothingUsable(str(error)) from None


def _settings(tokenizer, reading):
    try:
        codec = getattr(tokenizer, "codec", None)
        return Settings(tokenizer.spec(), codec=codec, **reading)
    except ValueError as error:
        raise WrongUsage(str(error)) from None


def _named_dataset(folder, tokenizer, reading):
    dataset = open_named(folder)
    for name, value in reading.items():
        made = dataset.manifest["settings"].get(name, value)
        if value != made:
            raise WrongUsage(
                f"{folder} was prepared with --{name} {made}; it cannot be read with "
                f"{value} now. Prepare the folder anew."
            )
    if dataset.tokenizer.name != tokenizer:
        raise WrongUsage(
            f"{folder} holds tokens of the tokenizer {dataset.tokenizer.name!r}; "
            f"the recipe takes {tokenizer!r}."
        )
    return dataset


def folder_digest(folder):
    """A hash of the names and bytes of all files under a folder."""
    folder, digest = Path(folder), hashlib.sha256()
    for name in walk_names(folder):
        path = folder / name if folder.is_dir() else folder
        digest.update(name.encode(errors="surrogateescape") + b"\0")
        try:
            if path.is_file():  # opening a pipe would wait for ever
                with open(path, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        except (OSError, ValueError):
            digest.update(b"unreadable")
    return digest.hexdigest()


def dataset_cache(settings, identity):
    """Where the dataset of some material is kept."""
    told = "\0".join([str(settings), code_digest(), identity])
    key = hashlib.sha256(told.encode()).hexdigest()[:24]
    return cache_folder() / "datasets" / key


def _make_room(folder):
    datasets = [path for path in folder.iterdir() if is_dataset(path)]
    datasets.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in datasets[DATASETS_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _check_kinds(corpus_names, tokenizer):
    """Raise WrongUsage where sounds are to be read as notes, or notes as sounds."""
    for name in corpus_names:
        has = "sounds" if name in OF_SOUNDS else "notes"
        wants = "sounds" if tokenizer.takes == "wave" else "notes"
        if has != wants:
            raise WrongUsage(f"{name} holds {has}; the recipe learns from {wants}.")


def _found_in_corpora(names, tokenizer, on_progress):
    for name in names:
        if name in OF_SOUNDS:
            for sound, waveform in sounds_of(name, tokenizer.sample_rate):
                yield f"{name}/{sound}", Reading((waveform,))
            continue
        if name == DRUM_PATTERNS:
            scores, refused = drum_pieces(DRUM_PIECES), []
        else:
            scores, refused = read_music21_corpus(name, on_progress=on_progress)
        for number, score in enumerate(scores, 1):
            try:
                reading = Reading((gate(score),))
            except Refused as refusal:
                reading = refusal
            yield f"{name}/{number:05d}", reading
        for file, reason in refused:
            yield f"{name}/{file}", Refused("damaged", reason)


def default_workers(folder):
    """How many processes to read a folder with: one, if it is small."""
    names = walk_names(folder)
    few = all(count < FILES_FOR_WORKERS for count, _ in enumerate(names))
    return 1 if few else min(8, os.cpu_count() or 1)


def nothing_usable(name, error, tokenizer):
    """The sentence for material in which no file can be used."""
    forms = FORMS_OF[TOKENIZERS[tokenizer].takes]
    if not error.found["files"]:
        return f"{name}: there is no file in it; wanted are {forms}."
    return f"{name}: {error}; wanted are {forms}."

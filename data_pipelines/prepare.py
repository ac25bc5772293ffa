"""A folder -> a dataset: read once, in chunks, killed and resumed at any moment.

Three stages, so that a cluster can run the same ones (see `scale`):

1. each chunk of files is encoded and left in ``DATASET.work`` (`spool`);
2. copies and kin are found, splits and shards are planned (`kinship`), from a few bytes
   a piece;
3. shards are written, each by itself, and the manifest last (`shards`).

What is written depends on the files, the tokenizer and the settings alone: not on the
number of processes, the machine, or how often it was interrupted.
"""

import hashlib
import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_pipelines.encode import BARS, PARTS, SAME, Encoder
from data_pipelines.files import write_whole
from data_pipelines.guard import Refused, sniff, walk_names
from data_pipelines.kinship import SPLITS
from data_pipelines.ledger import write_ledger
from data_pipelines.plan import plan_shards, shard_name
from data_pipelines.shards import (
    FORMAT,
    MANIFEST,
    id_type,
    is_dataset,
    manifest_bytes,
    open_dataset,
    shard_bytes,
    shard_files,
)
from data_pipelines.spool import Chunk, chunks_of, read_chunk, write_chunk
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.workers import Readers, outcome

TOKENS_A_SHARD = 2**20  # 2 MB: what writing one takes does not count
SPLITTING = ("tune", "given")


class NothingToPrepare(ValueError):
    """No file can be used. ``found`` counts them by reason, ``report`` names them."""

    def __init__(self, found, report):
        reasons = ", ".join(f"{n} {reason}" for reason, n in found["reasons"].items())
        super().__init__(f"None of {found['files']} files can be used: {reasons}")
        self.found, self.report = found, report


@dataclass(frozen=True)
class Settings:
    """What decides the content of a dataset, beside the files.

    Args:
        tokenizer: dict, a tokenizer's spec.
        same: str, one of `encode.SAME`: which pieces count as copies and are kept once.
        split: str. "tune" shares tunes out by content, kin together; "given" keeps the
            splits that a file assigns to its pieces, or that folders called train,
            valid and test do, and shares out the rest.
        tokens_a_shard: int; a shard is closed when it holds as many.
        bars: str, one of `encode.BARS`. "found" does not believe the bar lines that a
            file names, and finds them by ear: for music played to no metronome.
        parts: str, one of `encode.PARTS`. "apart" gives tracks of one instrument
            programs of their own, so that a tune is told from what carries it.
        codec: that of a tokenizer of codes, which the tokenizer's spec names by its
            checksum; it is written nowhere.
    """

    tokenizer: dict
    same: str = "notes"
    split: str = "tune"
    tokens_a_shard: int = TOKENS_A_SHARD
    bars: str = "written"
    parts: str = "together"
    codec: object = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        for name, allowed in (
            ("same", SAME),
            ("split", SPLITTING),
            ("bars", BARS),
            ("parts", PARTS),
        ):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(allowed)}. Received: {value!r}"
                )
        if not 2**10 <= self.tokens_a_shard <= 2**30:
            raise ValueError(
                "`tokens_a_shard` must be in 1,024..1,073,741,824. "
                f"Received: {self.tokens_a_shard}"
            )

    def encoder(self):
        """The `Encoder` that reads files for these settings."""
        spec = json.dumps(self.tokenizer)
        return Encoder(spec, self.same, self.bars, self.parts, self.codec)

    def to_json(self):
        """The settings as a dict, as they are written beside what they made."""
        names = [each.name for each in fields(self) if each.name != "codec"]
        return {name: getattr(self, name) for name in names}


def prepare(root, output, settings, *, workers=1, on_progress=None):
    """Read a folder of music, text or sound once, and write it as a dataset.

    Args:
        root: str or Path, a folder or a file.
        output: str or Path of the dataset; one that is there already is replaced when
            the new one is whole. ``OUTPUT.work`` beside it holds what is not finished.
        settings: `Settings`.
        workers: int. With 1, MIDI is read here and what may hang or swell in a worker;
            with more, everything is read in so many workers.
        on_progress: callable of (files done, files in all), or None.

    Returns:
        `shards.Dataset`.

    Raises:
        FileNotFoundError: if `root` does not exist.
        NothingToPrepare: if nothing under `root` can be used; the report is then beside
            `output`, in ``OUTPUT.report.jsonl``.
        ValueError: if `output` is something else than a dataset.
    """
    root, output = Path(root), Path(output)
    total, done, names = sum(1 for _ in walk_names(root)), 0, []
    with work_folder(output, settings) as work:
        with ChunkReader(root, settings, workers) as reader:
            for chunk in chunks_of(root):
                if not (work / chunk.file_name).exists():
                    write_chunk(work, chunk, reader.read(chunk))
                names.append(chunk.file_name)
                done += len(chunk.names)
                if on_progress:
                    on_progress(done, total)
        return finish(work, names, output, settings)


def prepare_readings(found, output, settings):
    """As `prepare`, from (name, `Reading` or `Refused`) pairs already in memory."""
    output, encoder = Path(output), settings.encoder()
    with work_folder(output, settings) as work:
        names = []
        found = list(found)
        for number, start in enumerate(range(0, len(found), 256)):
            some = found[start : start + 256]
            chunk = Chunk(number, tuple(name for name, _ in some), "in-memory")
            results = [outcome(encoder.encode, reading) for _, reading in some]
            write_chunk(work, chunk, results)
            names.append(chunk.file_name)
        return finish(work, names, output, settings)


class ChunkReader:
    """Encodes the files of chunks, the risky ones in worker processes."""

    def __init__(self, root, settings, workers=1):
        self.root, self.encoder, self.count = Path(root), settings.encoder(), workers
        self.readers, self.preloaded = None, ()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._dismiss()

    def _dismiss(self):
        if self.readers:
            self.readers.__exit__()
        self.readers = None

    def read(self, chunk):
        """An `EncodedFile` or a `Refused` for each file of a `Chunk`, in order."""
        is_folder = self.root.is_dir()
        paths = [self.root / name if is_folder else self.root for name in chunk.names]
        forms = [outcome(sniff, path) for path in paths]
        in_worker = [
            path
            for path, form in zip(paths, forms, strict=True)
            if not isinstance(form, Refused) and (form != "midi" or self.count > 1)
        ]
        results = self._readers(forms).read_all(in_worker) if in_worker else iter(())
        waiting = set(in_worker)
        return [
            next(results)[1]
            if path in waiting
            else form
            if isinstance(form, Refused)
            else outcome(self.encoder, path)
            for path, form in zip(paths, forms, strict=True)
        ]

    def _readers(self, forms):
        needs_music21 = any(form in ("musicxml", "mxl", "humdrum") for form in forms)
        preload = ("music21",) if needs_music21 else ()
        if self.readers and preload and not self.preloaded:
            self._dismiss()  # workers that have it from their start, off the clock
        if not self.readers:
            self.readers = Readers(self.count, read=self.encoder, preload=preload)
            self.preloaded = preload
        return self.readers


@contextmanager
def work_folder(output, settings):
    """``OUTPUT.work``, for one preparation at a time; removed when it ends well."""
    if output.exists() and not is_dataset(output):
        raise ValueError(f"{output} is no dataset; it is not replaced. Name another.")
    work = output.with_name(output.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    plan = {"settings": settings.to_json(), "code": code_digest()}
    with _lock(work / "lock"):
        work.mkdir(exist_ok=True)  # who held the lock before us has tidied up
        plan_file = work / "plan.json"
        if not plan_file.exists() or json.loads(plan_file.read_text()) != plan:
            for stale in work.glob("chunk-*.npz"):
                stale.unlink()
            write_whole(plan_file, json.dumps(plan).encode())
        yield work
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _lock(path):
    with open(path, "w") as file:
        try:
            import fcntl
        except (
            ImportError
        ):  # Windows: two preparations of one dataset are not kept apart
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@lru_cache(maxsize=1)
def code_digest():
    """A hash of this room's source: other readers may read other notes."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def write_shard(work, chunk_names, plan, split, number, settings):
    """Write one shard into ``WORK/out``.

    Returns:
        dict, ``{file: {"bytes", "sha256"}}`` of its two files.
    """
    vocab_size = tokenizer_from_spec(settings.tokenizer).vocab_size
    own = np.flatnonzero((plan.split == split) & (plan.shard == number))
    chunks = np.searchsorted(plan.chunk, own, side="right") - 1
    pieces = []
    for chunk in np.unique(chunks).tolist():
        ids = read_chunk(work / chunk_names[chunk]).ids()
        for piece in own[chunks == chunk] - plan.chunk[chunk]:
            pieces.append(ids[piece].astype(id_type(vocab_size)))  # lets the chunk go
    out = work / "out"
    out.mkdir(exist_ok=True)
    name = shard_name(split, number)
    written = {}
    for file, data in zip(
        shard_files(name), shard_bytes(pieces, vocab_size), strict=True
    ):
        write_whole(out / file, data)
        written[file] = entry(data)
    return written


def entry(data):
    """What the manifest says of a file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def finish(work, chunk_names, output, settings):
    """Stages two and three here, on what stage one left in `work`."""
    start_afresh(work)
    plan = plan_shards(work, chunk_names, settings)
    files = {}
    for split, number in plan.shards():
        files |= write_shard(work, chunk_names, plan, split, number, settings)
    return publish(work, chunk_names, plan, files, output, settings)


def start_afresh(work):
    """Forget what an interrupted run left of stages two and three."""
    shutil.rmtree(work / "out", ignore_errors=True)
    for receipt in work.glob("written-*.json"):
        receipt.unlink()


def publish(work, chunk_names, plan, files, output, settings):
    """Write the lists and the manifest, and put the dataset in its place."""
    out = work / "out"
    out.mkdir(exist_ok=True)
    summary = write_ledger(work, chunk_names, plan, out)
    if not len(plan.twin):
        report = output.with_name(f"{output.name}.report.jsonl")
        shutil.copy(out / "report.jsonl", report)
        shutil.rmtree(work, ignore_errors=True)
        raise NothingToPrepare(summary["found"], report)
    for name in ("report.jsonl", "pieces.jsonl"):
        with open(out / name, "rb") as file:  # as long as the corpus has pieces
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = {"bytes": file.tell(), "sha256": digest}
    shards = {name: [] for name in SPLITS}
    for split, number in plan.shards():
        shards[SPLITS[split]].append(shard_name(split, number))
    manifest = {
        "format": FORMAT,
        "tokenizer": settings.tokenizer,
        "settings": {n: v for n, v in settings.to_json().items() if n != "tokenizer"},
        **summary,
        "shards": shards,
        "files": dict(sorted(files.items())),
    }
    write_whole(out / MANIFEST, manifest_bytes(manifest))
    if output.exists():
        output.rename(work / "replaced")
    out.rename(output)
    return open_dataset(output, verify=False)

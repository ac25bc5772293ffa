"""Which pieces are the same music: copies, transpositions, variants, other performers.

Copies are found by a digest of their content. Kin are pieces that share many runs of
intervals, whatever the key and the tempo: the same tune under two names, in two books,
by two players. Comparing every piece with every other is out of the question, so that
runs are hashed and only pieces that hold the same hash ever meet (Broder 1997, "On the
resemblance and containment of documents"). The hashes wait on disk in buckets: memory
does not grow with the number of pieces, but for a few bytes each.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

SPLITS = ("train", "valid", "test")
SHINGLE = 8  # intervals in a row that make one fingerprint
KINSHIP = 0.4  # share of fingerprints in common that makes two pieces one tune
COMMONPLACE = 50  # a run that more pieces than these hold says nothing
MOST_PRINTS = 1024  # of one piece: the smallest hashes of a longer one stand for it
PRINTS_A_BUCKET = 2**16
MOST_BUCKETS = 256  # each is an open file
DIGEST_BYTES = 16


def content_digest(score, *, invariant=False):
    """A hash of the notes alone: not of tempo, loudness, names or resolution.

    Args:
        score: `Score`.
        invariant: bool. The same hash also for the music in another key, or written in
            notes twice as long, or after more silence.

    Returns:
        str, 32 hexadecimal digits.
    """
    notes = score.notes
    scale = 96 / score.ticks_per_quarter
    start, duration = (
        np.rint(notes[name] * scale).astype(np.int64) for name in ("start", "duration")
    )
    pitch = notes["pitch"].astype(np.int64)
    if invariant and len(notes):
        start -= start.min()
        unit = max(1, int(np.gcd.reduce(np.concatenate([start, duration]))))
        start, duration = start // unit, duration // unit
        tonal = ~score.is_drum_note()
        if tonal.any():
            pitch[tonal] += 1000 - pitch[tonal].min()
    rows = np.stack([start, duration, pitch])
    rows = rows[:, np.lexsort(rows[::-1])]
    return hashlib.sha256(rows.tobytes()).hexdigest()[: 2 * DIGEST_BYTES]


def fingerprints(steps):
    """What two pieces are compared by.

    Args:
        steps: int array, a piece as a sequence that its disguises do not change: the
            intervals of its melody, the words of a text.

    Returns:
        uint64 array, sorted: hashes of the runs of `SHINGLE` steps, at most
        `MOST_PRINTS` of them; of all of a shorter piece, one.
    """
    steps = np.asarray(steps, dtype=np.int64).astype(np.uint64)
    if not len(steps):
        return np.zeros(0, dtype=np.uint64)
    width = min(SHINGLE, len(steps))
    prints = np.full(len(steps) - width + 1, width, dtype=np.uint64)
    for offset in range(width):
        prints = _mixed(prints ^ steps[offset : offset + len(prints)])
    return np.unique(prints)[:MOST_PRINTS]


def _mixed(x):
    # The finaliser of SplitMix64 (Steele et al. 2014).
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def whole_print(steps):
    """One hash of a whole sequence: equal for a tune and its transpositions."""
    steps = np.ascontiguousarray(steps, dtype=np.int64)
    digest = hashlib.blake2b(steps.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def kin_groups(melodies):
    """Number the tunes: pieces that share much of their melody get one number.

    Args:
        melodies: list of int arrays of pitches.

    Returns:
        list of int, one a piece: the first piece of its group.
    """
    steps = [np.diff(np.asarray(pitches, dtype=np.int64)) for pitches in melodies]
    wholes = np.array([whole_print(s) for s in steps], dtype=np.uint64)
    return group_kin(wholes, map(fingerprints, steps)).tolist()


def group_kin(wholes, prints, *, workspace=None):
    """As `kin_groups`, from hashes alone.

    Args:
        wholes: uint64 array (N,), `whole_print` of each piece.
        prints: iterable of N uint64 arrays, `fingerprints` of each; read once.
        workspace: folder for what does not fit in memory; by default a temporary one.

    Returns:
        int64 array (N,): the first piece of the group that each belongs to.
    """
    # Whole tunes in another key first, however many: each is compared but once.
    _, first, inverse = np.unique(wholes, return_index=True, return_inverse=True)
    group = first[inverse].astype(np.int64)
    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        meetings, sizes = _spool(prints, group, Path(folder))
        for a, b in _kin_pairs(meetings, sizes, Path(folder)):
            low, high = sorted((_leader(group, a), _leader(group, b)))
            group[high] = low
    for index in range(len(group)):
        group[index] = _leader(group, index)
    return group


def _leader(group, index):
    while group[index] != index:
        group[index] = group[group[index]]
        index = int(group[index])
    return index


PRINT = np.dtype([("print", np.uint64), ("piece", np.uint32)])


def _spool(prints, group, folder):
    """Sort (print, piece) rows into bucket files by the print."""
    count = len(group)
    buckets = 1 << max(0, (count * 256 // PRINTS_A_BUCKET).bit_length())
    buckets = min(buckets, MOST_BUCKETS)
    files = [open(folder / f"prints-{n}", "wb") for n in range(buckets)]  # noqa: SIM115
    sizes = np.zeros(count, dtype=np.int32)
    try:
        waiting, held = [], 0
        for piece, own in enumerate(prints):
            if group[piece] != piece:
                continue
            rows = np.empty(len(own), dtype=PRINT)
            rows["print"], rows["piece"] = own, piece
            sizes[piece] = len(own)
            waiting.append(rows)
            held += len(own)
            if held > PRINTS_A_BUCKET:
                _pour(waiting, files)
                waiting, held = [], 0
        _pour(waiting, files)
    finally:
        for file in files:
            file.close()
    return [Path(file.name) for file in files], sizes


def _pour(waiting, files):
    if not waiting:
        return
    rows = np.concatenate(waiting)
    bucket = (rows["print"] & np.uint64(len(files) - 1)).astype(np.int64)
    rows, bucket = rows[order := np.argsort(bucket, kind="stable")], bucket[order]
    ends = np.searchsorted(bucket, np.arange(len(files) + 1))
    for number, file in enumerate(files):
        file.write(rows[ends[number] : ends[number + 1]].tobytes())


def _kin_pairs(buckets, sizes, folder):
    """Yield the pairs of pieces that share enough fingerprints."""
    files = [open(folder / f"pairs-{n}", "wb") for n in range(len(buckets))]  # noqa: SIM115
    count = len(sizes)
    try:
        for path in buckets:
            for pairs in _meetings(np.fromfile(path, dtype=PRINT), count):
                if len(files) == 1:
                    files[0].write(pairs.tobytes())
                    continue
                bucket = _mixed(pairs) & np.uint64(len(files) - 1)
                for number, file in enumerate(files):
                    file.write(pairs[bucket == number].tobytes())
            path.unlink()
    finally:
        for file in files:
            file.close()
    for file in files:
        pairs, shared = np.unique(
            np.fromfile(file.name, dtype=np.uint64), return_counts=True
        )
        a, b = (part.astype(np.int64) for part in np.divmod(pairs, np.uint64(count)))
        kin = shared >= KINSHIP * np.minimum(sizes[a], sizes[b])
        yield from zip(a[kin].tolist(), b[kin].tolist(), strict=True)


def _meetings(rows, count):
    """Pairs (a * count + b, a < b) of pieces that hold one print, for each print."""
    rows = np.sort(rows, order=("print", "piece"))
    first = np.flatnonzero(np.diff(rows["print"], prepend=~rows["print"][:1]))
    holders = np.diff(first, append=len(rows))
    piece = rows["piece"].astype(np.uint64)
    for size in range(2, min(COMMONPLACE, int(holders.max(initial=0))) + 1):
        begins = first[holders == size]
        if len(begins):
            left, right = np.triu_indices(size, 1)
            members = piece[begins[:, None] + np.arange(size)]
            yield (members[:, left] * np.uint64(count) + members[:, right]).ravel()


def share_out(groups, digests, given=None):
    """Which split each piece goes to: 80% train, 10% valid, 10% test, kin together.

    Where a tune goes depends on its content and its variants' alone: a re-run moves
    nothing, and a new file moves no tune that it is no variant of (but to fill a split
    of a very small folder).

    Args:
        groups: int array (N,), as from `group_kin`.
        digests: bytes array (N,) of dtype S16 or V16, or list of hexadecimal str.
        given: int array (N,), a split's number or -1; those of 0 and more are kept.

    Returns:
        int8 array (N,), indices into `SPLITS`. With fewer than three tunes all of
        them are train.
    """
    groups = np.asarray(groups)
    if len(groups) and isinstance(digests[0], str):
        digests = np.array([bytes.fromhex(d[: 2 * DIGEST_BYTES]) for d in digests])
    # The least digest of a group decides: as bytes, compared from the first one on.
    keys = np.frombuffer(np.asarray(digests, dtype="S16").tobytes(), dtype=">u8")
    keys = keys.reshape(-1, DIGEST_BYTES // 8).astype(np.uint64)
    order = np.lexsort((keys[:, 1], keys[:, 0], groups))
    leads = order[np.flatnonzero(np.diff(groups[order], prepend=-1))]
    if len(leads) < len(SPLITS) and given is None:
        return np.zeros(len(groups), dtype=np.int8)
    tenth = (keys[leads, 0] >> np.uint64(32)) % np.uint64(10)
    split_of = np.array([0] * 8 + [1, 2], dtype=np.int8)[tenth]  # in order of groups
    if given is None:
        _fill_empty(split_of, np.lexsort((keys[leads, 1], keys[leads, 0])))
    split = split_of[np.searchsorted(groups[leads], groups)]
    if given is not None:
        split = np.where(np.asarray(given) >= 0, given, split).astype(np.int8)
    return split


def _fill_empty(split_of, ranked):
    # A small folder can leave a split empty: it takes a tune from the fullest one.
    for split in range(len(SPLITS)):
        if not (split_of == split).any():
            fullest = np.bincount(split_of, minlength=len(SPLITS)).argmax()
            split_of[ranked[np.flatnonzero(split_of[ranked] == fullest)[0]]] = split


def split_by_tune(melodies, digests):
    """Share pieces out to train, valid and test, kin together.

    Args:
        melodies: list of int arrays, the pitches of each piece in order.
        digests: list of str, `content_digest` of each.

    Returns:
        list of str, one of `SPLITS` for each piece; see `share_out`.
    """
    if not melodies:
        return []
    numbers = share_out(np.array(kin_groups(melodies)), digests)
    return [SPLITS[number] for number in numbers]

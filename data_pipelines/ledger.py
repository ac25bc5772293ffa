"""The books of a preparation: every file in the report, every piece in a list, sums.

Written line by line; nothing here grows with the number of files but one number a
piece.
"""

import json
from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np

from data_pipelines.kinship import SPLITS
from data_pipelines.score import DEFAULT_QPM
from data_pipelines.spool import read_chunk
from data_pipelines.tokenizers.cost import total_cost


def write_ledger(work, chunk_names, plan, out):
    """Write ``report.jsonl`` and ``pieces.jsonl`` into the folder `out`.

    Args:
        work: Path of the work folder. chunk_names: its chunks, in order.
        plan: `plan.ShardPlan`.

    Returns:
        dict, the sums for the manifest: ``splits``, ``found``, ``cost``, ``music``,
        ``kin``.
    """
    tally = Tally()
    records = Counter()
    with (
        _Names(work, chunk_names, len(plan.twin)) as names,
        _write_lines(out / "report.jsonl") as report,
        _write_lines(out / "pieces.jsonl") as pieces,
    ):
        for number, spooled in enumerate(map(read_chunk, _paths(work, chunk_names))):
            first = int(plan.chunk[number])
            for line in _report_lines(spooled, first, plan, names):
                tally.add_file(line)
                print(json.dumps(line, ensure_ascii=False), file=report)
            for row in _piece_rows(spooled, first, plan, names, records):
                tally.add_piece(row)
                print(json.dumps(row, ensure_ascii=False), file=pieces)
    with open(out / "pieces.jsonl", encoding="utf-8") as file:
        costs = (SimpleNamespace(**json.loads(line)["cost"]) for line in file)
        cost = total_cost(costs).to_json()
    return {**tally.summary(plan), "cost": cost}


def _write_lines(path):
    # A name that is no UTF-8 keeps its bytes as JSON's own escapes.
    return open(path, "w", encoding="utf-8", errors="backslashreplace", newline="\n")


def _paths(work, chunk_names):
    return (work / name for name in chunk_names)


def _report_lines(spooled, first, plan, names):
    """One line a file: used, repaired (something had to be left out) or refused."""
    piece = first
    for file in spooled.files:
        own = np.arange(piece, piece + file["pieces"])
        piece += file["pieces"]
        kept = int((plan.twin[own] == own).sum())
        line = {"path": file["path"], "status": "refused", "pieces": kept}
        left_out = list(file["left_out"])
        if not len(own):
            line |= {"reason": file["reason"], "detail": file["detail"]}
        elif not kept:
            twin = names[int(plan.twin[own[0]])]
            line |= {"reason": "duplicate", "detail": f"the same notes as {twin}"}
        else:
            if twins := len(own) - kept:
                left_out.append(f"{twins} pieces that others hold already")
            status = "repaired" if left_out else "used"
            line |= {"status": status, "reason": "", "detail": "; ".join(left_out)}
        yield line


def _piece_rows(spooled, first, plan, names, records):
    """One line a piece that is kept; `records` counts those of each shard."""
    for number, about in enumerate(spooled.pieces):
        piece = first + number
        if plan.twin[piece] != piece:
            continue
        split, shard = SPLITS[plan.split[piece]], int(plan.shard[piece])
        record = records[split, shard]
        records[split, shard] += 1
        yield {
            "name": names[piece],
            "split": split,
            "shard": shard,
            "record": record,
            "tokens": int(spooled.lengths[number]),
            "tune": int(plan.tune[piece]),
            "number": piece,
            "digest": spooled.digests[number].ljust(16, b"\0").hex(),
            "facts": about["facts"],
            "cost": about["cost"],
        }


class _Names:
    """The name of every piece, kept on disk: ``names[number]``.

    A file of several pieces gives ``name#1``, ``name#2`` ...
    """

    def __init__(self, work, chunk_names, count):
        self.path, self.starts = work / "names", np.zeros(count + 1, dtype=np.int64)
        piece = 0
        with open(self.path, "wb") as file:
            for spooled in map(read_chunk, _paths(work, chunk_names)):
                for about in spooled.files:
                    many = about["pieces"] + len(about["left_out"]) > 1
                    for number in range(1, about["pieces"] + 1):
                        name = about["path"] + (f"#{number}" if many else "")
                        file.write(name.encode(errors="surrogateescape"))
                        piece += 1
                        self.starts[piece] = file.tell()

    def __enter__(self):
        self.file = open(self.path, "rb")
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getitem__(self, piece):
        start, end = self.starts[piece : piece + 2].tolist()
        self.file.seek(start)
        return self.file.read(end - start).decode(errors="surrogateescape")


class Tally:
    """What is added up over a corpus, piece by piece."""

    def __init__(self):
        self.statuses, self.reasons = Counter(), Counter()
        self.splits = {n: Counter(pieces=0, tokens=0, notes=0) for n in SPLITS}
        self.metres, self.keys, self.tracks = Counter(), Counter(), Counter()
        self.qpm = defaultdict(Counter)
        self.seconds = 0.0
        self.repeated, self.counted = 0, 0

    def add_file(self, line):
        self.statuses[line["status"]] += 1
        if line["status"] == "refused":
            self.reasons[line["reason"]] += 1

    def add_piece(self, row):
        cost, facts = row["cost"], row["facts"]
        split = self.splits[row["split"]]
        split["pieces"] += 1
        split["tokens"] += row["tokens"]
        split["notes"] += cost["notes"] - cost["lost"]
        if "reason" in cost:
            self.tracks[cost["reason"]] += 1
        if not facts:
            return
        metre = facts["metre"] or "none"
        self.metres[metre] += 1
        self.keys[facts["key"]] += 1
        if facts["qpm"] not in (None, DEFAULT_QPM):
            self.qpm[metre][round(facts["qpm"], 1)] += 1
        self.seconds += facts["seconds"]
        self.repeated += facts["repeated_bars"]
        self.counted += facts["counted_bars"]

    def summary(self, plan):
        sizes = np.bincount(plan.tune[plan.is_kept], minlength=1)
        return {
            "splits": {name: dict(counts) for name, counts in self.splits.items()},
            "found": {
                "files": self.statuses.total(),
                **{n: self.statuses[n] for n in ("used", "repaired", "refused")},
                "reasons": dict(self.reasons.most_common()),
            },
            "kin": {
                "tunes": int((sizes > 0).sum()),
                "with_variants": int((sizes > 1).sum()),
                "pieces_in_them": int(sizes[sizes > 1].sum()),
            },
            "music": {
                "seconds": round(self.seconds, 1),
                "metres": dict(self.metres.most_common()),
                "keys": dict(self.keys.most_common()),
                "qpm": {
                    metre: {"pieces": c.total(), "median": _median(c)}
                    for metre, c in self.qpm.items()
                },
                "repeated_bars": self.repeated,
                "counted_bars": self.counted,
                "melody_from": dict(self.tracks.most_common()),
            },
        }


def _median(counter):
    values = sorted(counter)
    places = np.cumsum([counter[value] for value in values])
    low, high = (
        values[int(np.searchsorted(places, place, side="right"))]
        for place in ((places[-1] - 1) // 2, places[-1] // 2)
    )
    return round((low + high) / 2, 1)

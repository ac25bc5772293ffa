"""What is in a file, or in a folder: told before anybody trains on it."""

from collections import Counter

from data_pipelines.measures import key_in_words
from data_pipelines.piano_roll import pitch_name
from data_pipelines.tokenizers.melody import MelodyTokenizer


def score_facts(score):
    """What can be said of one score, as JSON."""
    tonal = score.notes["pitch"][~score.is_drum_note()]
    facts = {
        "notes": len(score),
        "seconds": round(score.length_seconds, 2),
        "bars": len(score.bar_ticks()) - 1,
        "metre": str(score.metre),
        "qpm": round(score.qpm, 2),
        "key": key_in_words(score),
        "lowest": pitch_name(int(tonal.min())) if len(tonal) else None,
        "highest": pitch_name(int(tonal.max())) if len(tonal) else None,
        "tracks": [
            {
                "name": track.name,
                "program": track.program,
                "is_drum": track.is_drum,
                "notes": len(score.track_notes(index)),
            }
            for index, track in enumerate(score.tracks)
        ],
    }
    try:
        ids, cost = MelodyTokenizer().encode_measured(score)
    except ValueError as error:
        facts["melody"] = {"refused": str(error)}
    else:
        facts["melody"] = {
            "track": cost.track,
            "because": cost.reason,
            "tokens": len(ids),
            "notes": cost.notes,
            "notes_lost": cost.lost,
            "notes_shortened": cost.shortened,
            "onset_error_ms": round(cost.onset_error_ms, 2),
        }
    return facts


def folder_facts(dataset, report):
    """What can be said of a folder, as JSON; from its `shards.Dataset`."""
    manifest = dataset.manifest
    found, music = manifest["found"], manifest["music"]
    rows = list(dataset.counts.values())
    return {
        **found,
        "pieces": sum(split["pieces"] for split in rows),
        "notes": manifest["cost"]["notes"],
        "seconds": music["seconds"],
        "metres": music["metres"],
        "keys": music["keys"],
        "tokenizer": dataset.tokenizer.name,
        "tokens": sum(split["tokens"] for split in rows),
        "cost": manifest["cost"],
        "kin": manifest["kin"],
        "report": str(report),
    }


def leaks(dataset, *, most=20):
    """Tunes that stand in more than one piece: what a split by file would leak.

    Args:
        dataset: `shards.Dataset`.
        most: int, how many tunes are named, those in most pieces first.

    Returns:
        dict: ``tunes`` is a list of ``{"pieces": [names], "splits": [names]}``;
        ``across`` counts tunes in more than one split, ``by_file`` the share of test
        pieces with kin in train that a random split by file would have, in expectation.
    """
    tunes, names = Counter(), {}
    for row in dataset.about():
        tunes[row["tune"]] += 1
    large = {tune for tune, count in tunes.items() if count > 1}
    for row in dataset.about():
        if row["tune"] in large:
            names.setdefault(row["tune"], []).append((row["name"], row["split"]))
    told = sorted(names.values(), key=lambda pieces: (-len(pieces), pieces))
    total = max(1, tunes.total())
    # A test piece is safe if all its kin are out of train, each with probability 1/5.
    unsafe = sum(count * (1 - 0.2 ** (count - 1)) for count in tunes.values())
    return {
        "tunes": [
            {
                "pieces": [name for name, _ in pieces],
                "splits": sorted({split for _, split in pieces}),
            }
            for pieces in told[:most]
        ],
        "with_variants": len(large),
        "across": sum(len({s for _, s in pieces}) > 1 for pieces in names.values()),
        "by_file": round(unsafe / total, 4),
    }

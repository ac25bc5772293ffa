"""What is in a file, or in a folder: told before anybody trains on it."""

from collections import Counter

from data_pipelines import corpus as corpora
from data_pipelines.measures import key_name, likely_key
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
        "key": key_name(*likely_key(score)),
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


def corpus_facts(corpus):
    """What can be said of a folder, as JSON."""
    tokenizer = MelodyTokenizer()
    metres, notes, lost, seconds, tokens, error_ms = Counter(), 0, 0, 0.0, 0, 0.0
    without_melody = 0
    for piece in corpus.pieces:
        metres[str(piece.score.metre)] += 1
        notes += len(piece.score)
        seconds += piece.score.length_seconds
        try:
            ids, cost = tokenizer.encode_measured(piece.score)
        except ValueError:
            without_melody += 1
            continue
        tokens += len(ids)
        lost += cost.lost
        error_ms += cost.onset_error_ms
    with_melody = max(1, len(corpus.pieces) - without_melody)
    statuses = Counter(line.status for line in corpus.report)
    return {
        "files": len(corpus.report),
        "used": statuses["used"],
        "repaired": statuses["repaired"],
        "refused": statuses["refused"],
        "reasons": dict(corpus.refusals().most_common()),
        "pieces": len(corpus.pieces),
        "notes": notes,
        "seconds": round(seconds, 1),
        "metres": dict(metres.most_common()),
        "melody": {
            "pieces": len(corpus.pieces) - without_melody,
            "tokens": tokens,
            "notes_lost": lost,
            "mean_onset_error_ms": round(error_ms / with_melody, 3),
        },
    }


def read(path, on_progress=None):
    """The `Corpus` of a folder or a file."""
    return corpora.read_folder(path, on_progress=on_progress)

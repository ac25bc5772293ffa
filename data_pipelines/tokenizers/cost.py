"""What tokenizing cost: every tokenizer measures it, and it is printed, never hidden."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """What one piece lost on its way into tokens.

    Args:
        notes: int, how many stood in the piece, or in the track that was taken;
            characters of a text, samples of a sound.
        lost: int, how many of them have no token.
        onset_error_ms, worst_onset_error_ms: float, mean and largest distance of the
            kept ones from where they stood.
        duration_error_ms: float, mean distance of their ends, where measured.
        velocity_error: float, mean distance of their velocities, of 127.
        shortened: int, how many were cut by the next note's start.
    """

    notes: int
    lost: int = 0
    onset_error_ms: float = 0.0
    worst_onset_error_ms: float = 0.0
    duration_error_ms: float = 0.0
    velocity_error: float = 0.0
    shortened: int = 0

    def to_json(self):
        """The same as plain numbers and strings."""
        plain = asdict(self)
        return {n: v.item() if hasattr(v, "item") else v for n, v in plain.items()}


def total_cost(costs):
    """The `Cost` of many pieces as one: counts added, errors averaged over kept notes.

    Args:
        costs: iterable of `Cost`; read once.
    """
    counts = {"notes": 0, "lost": 0, "shortened": 0}
    sums = dict.fromkeys(("onset_error_ms", "duration_error_ms", "velocity_error"), 0.0)
    kept_notes, worst = 0, 0.0
    for cost in costs:
        for name in counts:
            counts[name] += getattr(cost, name)
        kept = cost.notes - cost.lost
        kept_notes += kept
        for name in sums:
            sums[name] += kept * getattr(cost, name)
        worst = max(worst, cost.worst_onset_error_ms)
    means = {name: value / max(1, kept_notes) for name, value in sums.items()}
    return Cost(**counts, **means, worst_onset_error_ms=worst)

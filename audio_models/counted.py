"""The n-gram as a model beside the networks: counted, not trained, and it plays."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import LARGEST, Weight
from audio_models.ngram import SMOOTHINGS, NGram

BOS = 1  # reserved in every vocabulary of the kit
NOTHING = -1  # in a state: the piece had not begun
LONGEST_CONTEXT = 32
MOST_TOKENS = 2**22  # float32 holds every id, and the tables fit in memory
REMEMBERED = 2**20  # numbers of distributions that were asked for
MOST_GRAMS = 2**25  # tokens times orders


@dataclass(frozen=True)
class CountedNGram:
    """An n-gram under the contract of the networks: `start`, `forward`, a bundle.

    Its one weight is the music that it counted, piece after piece, each from its BOS
    on: the tables are made of it when it is opened, in about a second for a million
    tokens. What it gives for logits are log-probabilities. See `ngram.NGram` for the
    formulas.

    Args:
        vocab_size: int, how many token ids there are.
        num_tokens: int, how many tokens were counted.
        order: int, the longest context in tokens: 0 knows how often each token comes,
            and no more.
        first_note: int, the first id that strikes a note, if notes are counted as
            intervals from the note before; else 0.
        last_note: int, the last such id; else 0.
        smoothing: str, "witten-bell" or "back-off".

    Reference:
        As for `ngram.NGram`. That the counts are kept as the text they come from is
        ours: no table of a stranger has to be believed.
    """

    vocab_size: int
    num_tokens: int
    order: int
    first_note: int = 0
    last_note: int = 0
    smoothing: str = "back-off"

    def __post_init__(self):
        last_id = self.vocab_size - 1 if type(self.vocab_size) is int else 0
        bounds = {
            "vocab_size": (1, LARGEST["vocab_size"]),
            "num_tokens": (2, MOST_TOKENS),
            "order": (0, LONGEST_CONTEXT),
            "first_note": (0, last_id),
            "last_note": (0, last_id),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ValueError(
                    f"`{name}` must be an integer in {low}..{high}. Received: {value!r}"
                )
        if (self.first_note > 0) != (self.last_note > 0) or (
            self.first_note > self.last_note
        ):
            raise ValueError(
                "`first_note` and `last_note` must both be 0, or the first and the last "
                f"of the ids of notes. Received: {self.first_note}, {self.last_note}"
            )
        if self.smoothing not in SMOOTHINGS:
            raise ValueError(
                f"`smoothing` must be one of {', '.join(SMOOTHINGS)}. "
                f"Received: {self.smoothing!r}"
            )
        if self.num_tokens * (self.order + 1) > MOST_GRAMS:
            raise ValueError(
                f"{self.num_tokens:,} tokens in contexts of up to {self.order} would not "
                f"fit in memory: tokens times orders may be {MOST_GRAMS:,}."
            )

    @property
    def note_ids(self):
        """range of the ids that are counted as intervals, or None."""
        return range(self.first_note, self.last_note + 1) if self.last_note else None

    def weights(self):
        """Name -> `Weight`: the counted tokens."""
        return {"tokens": Weight((self.num_tokens,), "zeros")}

    def check(self, weights):
        """Raise ValueError unless the weights are pieces of tokens."""
        tokens = np.asarray(weights["tokens"])
        is_id = (tokens == np.floor(tokens)) & (tokens >= 0)
        if not (is_id & (tokens < self.vocab_size)).all():
            raise ValueError(
                f"Weight tokens must hold ids in 0..{self.vocab_size - 1}, no others."
            )
        starts = np.flatnonzero(tokens == BOS)
        if not len(starts) or starts[0] != 0:
            raise ValueError("Weight tokens must begin with BOS, as each piece does.")
        if (np.diff(np.r_[starts, len(tokens)]) < 2).any():
            raise ValueError("Weight tokens holds a piece of BOS alone.")

    def prepare(self, weights):
        """The weights and, beside them, what `forward` asks.

        Raises:
            ValueError: if they are no pieces of tokens.
        """
        tokens = np.asarray(weights["tokens"])
        return {**weights, "ask": _counted(self, tokens.tobytes(), tokens.dtype.str)}

    def start(self, ops, batch_size):
        """The state before the first token: `order` ids, newest first; the last note."""
        _refuse_keras(ops)
        recent = np.full((batch_size, self.order), NOTHING, dtype=np.int64)
        return recent, np.zeros(batch_size, dtype=np.int64)

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops: `numpy_ops`.
            weights: dict, as `weights` names them or as `prepare` gives it.
            ids: int array (B, T).
            state: as `start` gives it; None is the beginning.
            dropout: not used, nothing is trained.

        Returns:
            (float32 log-probabilities (B, T, V), state after the last token).

        Raises:
            TypeError: if `ops` is not NumPy's.
        """
        _refuse_keras(ops)
        ask = (weights if "ask" in weights else self.prepare(weights))["ask"]
        ids = np.asarray(ids, dtype=np.int64)
        recent, last = state if state is not None else self.start(ops, len(ids))
        recent, last = recent.copy(), last.copy()
        logits = np.empty((*ids.shape, self.vocab_size), dtype=np.float32)
        for t in range(ids.shape[1]):
            recent = np.concatenate([ids[:, t, None], recent], axis=1)[:, : self.order]
            if self.last_note:
                is_note = (ids[:, t] >= self.first_note) & (ids[:, t] <= self.last_note)
                last = np.where(is_note, ids[:, t], last)
            for row in range(len(ids)):
                logits[row, t] = ask(tuple(recent[row].tolist()), int(last[row]))
        return logits, (recent, last)


def count(pieces, vocab_size, *, order, note_ids=None, smoothing="back-off"):
    """Count pieces.

    Args:
        pieces: list of int arrays, each beginning with BOS, which stands nowhere else.
        vocab_size: int.
        order, smoothing: as for `CountedNGram`.
        note_ids: range of ids that strike a note, to count intervals; or None.

    Returns:
        (`CountedNGram`, weights), for a `Player` or a `Bundle`.

    Raises:
        ValueError: if a piece is none, or there are too many tokens.
    """
    for number, piece in enumerate(pieces):
        if len(piece) < 2 or np.flatnonzero(np.equal(piece, BOS)).tolist() != [0]:
            raise ValueError(f"Piece {number} must begin with BOS, and hold no other.")
    tokens = np.concatenate([*pieces, []]).astype(np.float32)
    model = CountedNGram(
        vocab_size=int(vocab_size),
        num_tokens=len(tokens),
        order=int(order),
        first_note=note_ids.start if note_ids else 0,
        last_note=note_ids.stop - 1 if note_ids else 0,
        smoothing=smoothing,
    )
    weights = {"tokens": tokens}
    model.check(weights)
    return model, weights


@lru_cache(maxsize=1)  # a dozen tunes are composed from a model that is counted once
def _counted(model, data, dtype):
    tokens = np.frombuffer(data, dtype=dtype)
    model.check({"tokens": tokens})
    ids = tokens.astype(np.int64)
    pieces = np.split(ids, np.flatnonzero(ids == BOS)[1:])
    ngram = NGram(
        model.vocab_size, model.order, model.note_ids, smoothing=model.smoothing
    )
    ngram.fit(pieces)

    @lru_cache(maxsize=max(1, REMEMBERED // model.vocab_size))  # music repeats itself
    def ask(recent, last_note):
        return np.log(ngram.distribution(np.array(recent, dtype=np.int64), last_note))

    return ask


def _refuse_keras(ops):
    if ops is not numpy_ops:
        raise TypeError(
            "An n-gram is counted, not trained: play it with `audio_models.player`."
        )

"""One sequence into another: networks with an encoder and a decoder, and translating.

The contract of an architecture here, `ops` being `keras.ops` or `numpy_ops`:

    weights() -> name -> `Weight`
    encode(ops, weights, source (B, S)) -> memory, a tuple of arrays with B first
    start(ops, weights, memory) -> state
    step(ops, weights, memory, ids (B,), state) -> (logits (B, V), state)
    forward(ops, weights, source, target (B, T)) -> logits (B, T, V)
    alignment(ops, weights, source, target) -> (B, T, S), where each step looks

A source ends with EOS, a target begins with BOS, and behind the end stands PAD.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import check_weights
from audio_models.beam import beam_search
from audio_models.player import generate
from audio_models.request import EOS, PAD, Request
from audio_models.seq2seq_recurrent import RecurrentSeq2Seq
from audio_models.seq2seq_transformer import TransformerSeq2Seq

BOS, UNK = 1, 3  # reserved in every vocabulary of the kit, as PAD and EOS are
NUM_RESERVED = 4
TRANSLATORS = {"seq2seq": RecurrentSeq2Seq, "seq2seq_transformer": TransformerSeq2Seq}


@dataclass(frozen=True)
class UntilEnd:
    """The grammar of what is written freely: any token but PAD, BOS and UNK, till EOS.

    Args:
        vocab_size: int.
    """

    vocab_size: int

    start = 0

    @cached_property
    def allowed(self):
        """bool array (2, V): what may come before the end, and after it."""
        allowed = np.zeros((2, self.vocab_size), dtype=bool)
        allowed[0, EOS] = allowed[1, PAD] = True
        allowed[0, NUM_RESERVED:] = True
        return allowed

    @cached_property
    def next_state(self):
        """int32 array (2, V)."""
        after = np.zeros((2, self.vocab_size), dtype=np.int32)
        after[0, EOS] = after[1] = 1
        return after

    def state_after(self, ids):
        """The state after some ids, or None where one is forbidden."""
        state = 0
        for token_id in np.asarray(ids).tolist():
            if not self.allowed[state, token_id]:
                return None
            state = int(self.next_state[state, token_id])
        return state


class Translator:
    """A player, as `player.generate` and `beam.beam_search` know it, of some sources.

    It stands in the place of `player.Player`. What the encoder said is part of the
    state, so that a beam's lines take it along.

    Args:
        architecture: one of `TRANSLATORS`, built.
        weights: dict of name -> float32 array.
        source: int array (B, S), EOS at the end of each row and PAD behind it.
    """

    _decoder = None  # there is no faster way that some requests could take

    def __init__(self, architecture, weights, source):
        check_weights(architecture, weights)
        self.architecture, self.weights = architecture, weights
        self.memory = architecture.encode(numpy_ops, weights, np.asarray(source))

    def start(self, batch_size):
        """The state before the first token; row r is of source r, or begins again."""
        rows = np.arange(batch_size) % len(self.memory[0])
        memory = tuple(part[rows] for part in self.memory)
        return *memory, *self.architecture.start(numpy_ops, self.weights, memory)

    def step(self, ids, state):
        """One token further: int (B,) and a state -> logits (B, V) and a state."""
        memory, state = state[: len(self.memory)], state[len(self.memory) :]
        logits, state = self.architecture.step(
            numpy_ops, self.weights, memory, np.asarray(ids), state
        )
        return logits, (*memory, *state)

    def read(self, ids, state):
        """Tokens further: int (B, T), T at least 1 -> as `step` gives after the last."""
        for column in ids.T:
            logits, state = self.step(column, state)
        return logits, state


def padded(sequences, *, before=(), after=()):
    """Lay sequences out as rows, PAD behind the end.

    Args:
        sequences: list of int sequences, possibly empty.
        before, after: ids that every row begins and ends with.

    Returns:
        int32 array (B, T), T as long as the longest needs.
    """
    rows = [[*before, *np.asarray(row, int).tolist(), *after] for row in sequences]
    ids = np.full((len(rows), max(map(len, rows), default=0)), PAD, dtype=np.int32)
    for row, tokens in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    return ids


def translate(
    architecture,
    weights,
    source,
    *,
    width=1,
    length_penalty=0.0,
    temperature=0.0,
    seed=0,
    max_new_tokens=None,
    grammar=None,
):
    """Write what a network makes of some sequences, in plain NumPy.

    Args:
        architecture: one of `TRANSLATORS`, built.
        weights: dict of name -> float32 array.
        source: list of int sequences, without BOS, EOS and PAD.
        width: int. Above 1, lines of a beam search: see `beam.beam_search`.
        length_penalty: float, at least 0, of that search.
        temperature: float, at least 0, with width 1: 0 takes the likeliest token each
            time, otherwise they are drawn.
        seed: int, at least 0. Row r draws with (seed, r).
        max_new_tokens: int or None, EOS counted; by default twice the longest source
            and 8.
        grammar: as for `request.Request`; by default `UntilEnd`.

    Returns:
        list of lists of int, one for each source, without EOS. PAD, BOS and UNK never
        stand in one.

    Raises:
        ValueError: if an id is reserved or not of the vocabulary, or if an argument is
            out of its range.
    """
    check_ids(architecture, source, "source")
    if width != 1 and temperature:
        raise ValueError(
            "A beam search draws nothing: `temperature` must be 0 where `width` is above "
            f"1. Received: {temperature}"
        )
    if not len(source):
        return []
    rows = padded(source, after=[EOS])
    request = Request(
        np.full((len(rows), 1), BOS),
        2 * rows.shape[1] + 6 if max_new_tokens is None else max_new_tokens,
        grammar or UntilEnd(architecture.vocab_size),
        temperature=temperature,
        seed=seed,
    )
    player = Translator(architecture, weights, rows)
    if width == 1:
        made = generate(player, request)
    else:
        made = beam_search(player, request, width=width, length_penalty=length_penalty)
    return [[int(i) for i in row if i not in (PAD, EOS)] for row in made.ids]


def check_ids(architecture, sequences, name):
    """Raise ValueError unless every id is one of the vocabulary, and not reserved.

    UNK may stand in what is read: a token that training never met.
    """
    for number, row in enumerate(sequences):
        ids = np.asarray(row)
        if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
            raise ValueError(f"`{name}` must be a list of sequences of int.")
        if ids.size and not UNK <= ids.min() <= ids.max() < architecture.vocab_size:
            raise ValueError(
                f"Ids of `{name}` must be in {UNK}..{architecture.vocab_size - 1}, "
                f"without PAD, BOS and EOS. Received: {ids.min()}..{ids.max()} in "
                f"sequence {number}"
            )

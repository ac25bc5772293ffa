"""Filling gaps: a network that reads from both sides, and the filling itself."""

from dataclasses import dataclass

import numpy as np

from audio_models import numpy_ops
from audio_models.architecture import Weight, check_limits
from audio_models.recurrent import lstm_sequence
from audio_models.request import PAD
from audio_models.sampling import draw, keep_allowed

BLANK = 3  # UNK, in every vocabulary of the kit
NUM_RESERVED = 4  # PAD, BOS, EOS and UNK: no music


@dataclass(frozen=True)
class BiLSTM:
    """Stacked LSTM pairs, one from the left and one from the right: fills blanks.

    Reads a whole sequence, blanks (`BLANK`) included, and gives logits for every
    place. It sees the token that stands in a place, so only those of the blanks tell
    anything. It cannot generate from left to right: use `fill`.

    Args:
        vocab_size: int, how many token ids there are.
        embedding_dim: int, width of a token's vector.
        hidden_dim: int, width of each direction's state.
        num_layers: int; each layer reads both directions of the one below.
        dropout: float in [0, 1), between layers and before the head, in training.

    Reference:
        Schuster & Paliwal 1997; Graves & Schmidhuber 2005. PAD behind a sequence is
        not read: the input gate of the direction from the right stays shut there.
    """

    vocab_size: int
    embedding_dim: int = 128
    hidden_dim: int = 256
    num_layers: int = 2
    dropout: float = 0.0

    def __post_init__(self):
        check_limits(self)

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        named = {"embedding": Weight((self.vocab_size, self.embedding_dim), "normal")}
        width, size = self.embedding_dim, self.hidden_dim
        named |= both_ways_weights(width, size, self.num_layers)
        named["head.kernel"] = Weight((2 * size, self.vocab_size))
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """Raise ValueError: there is no state to go on from."""
        raise ValueError(
            "BiLSTM cannot generate left to right: what it says of a place depends on "
            "the tokens after it. Use `audio_models.bidirectional.fill`."
        )

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids with blanks; give the logits of what stands in each place.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            ids: int array (B, T); `BLANK` where a token is wanted, PAD behind the end.
            state: None.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, V), None).

        Raises:
            ValueError: if a state is given.
        """
        if state is not None:
            self.start(ops, None)
        x = ops.take(weights["embedding"], ids, axis=0)  # (B, T, E)
        x = read_both_ways(ops, weights, x, ids == PAD, self.num_layers, dropout)
        return ops.matmul(x, weights["head.kernel"]) + weights["head.bias"], None


def both_ways_weights(width, size, num_layers):
    """Name -> `Weight` of stacked LSTM pairs over vectors of `width` numbers."""
    named = {}
    for layer in range(num_layers):
        for side in ("left", "right"):
            name = f"layer{layer}.{side}"
            named[f"{name}.input"] = Weight((width, 4 * size))
            named[f"{name}.recurrent"] = Weight((size, 4 * size), "orthogonal")
            named[f"{name}.bias"] = Weight((4 * size,), "forget_gate")
        width = 2 * size
    return named


def read_both_ways(ops, weights, x, is_padding, num_layers, dropout=None):
    """What stacked LSTM pairs say of each place, having read all of them.

    Args:
        ops: array namespace.
        weights: dict, with those that `both_ways_weights` names.
        x: float array (B, T, E).
        is_padding: bool array (B, T): places that are not read.
        num_layers: int.
        dropout: function of an array, applied after each layer, in training.

    Returns:
        float array (B, T, 2D); what it says of padding means nothing.
    """
    size = weights["layer0.left.recurrent"].shape[0]
    # Far below zero at the input gate of padding, zero elsewhere: (T, B, 4D)
    is_padding = ops.cast(ops.transpose(is_padding, (1, 0)), "float32")[..., None]
    shut = ops.cast(ops.arange(4 * size) < size, "float32") * -1e9 * is_padding
    start = ops.zeros((ops.shape(x)[0], size), "float32")
    for layer in range(num_layers):
        sides = []
        for side in ("left", "right"):
            name = f"layer{layer}.{side}"
            gates = ops.matmul(x, weights[f"{name}.input"])
            gates = ops.transpose(gates + weights[f"{name}.bias"], (1, 0, 2)) + shut
            # A tensor, not a variable: see `recurrent.Stacked`.
            recurrent = ops.reshape(weights[f"{name}.recurrent"], (size, 4 * size))
            if side == "right":
                gates = ops.flip(gates, axis=0)
            y, _ = lstm_sequence(ops, gates, recurrent, start, start)
            sides.append(y if side == "left" else ops.flip(y, axis=0))
        x = ops.transpose(ops.concatenate(sides, axis=-1), (1, 0, 2))  # (B, T, 2D)
        if dropout is not None:
            x = dropout(x)
    return x


def blank_out(ids, seed):
    """Make a training batch: some tokens of each row become blanks.

    The share of blanks is drawn for each row, anywhere in (0, 1), so that the network
    learns every stage of a filling, from a bare frame to the last gap.

    Args:
        ids: int array (B, T), PAD behind the end. Reserved ids are left as they are.
        seed: int or list of int.

    Returns:
        (x, y, mask), each (B, T): int32 ids with blanks, int32 ids without, and
        float32 1 at the blanks. A row that holds music has one blank at least.

    Reference:
        Uria, Murray & Larochelle 2014, https://arxiv.org/abs/1310.1757 (orderless
        NADE); for music Huang et al. 2017, https://arxiv.org/abs/1903.07227.
    """
    y = np.asarray(ids, dtype=np.int32)
    rng = np.random.default_rng(seed)
    share = rng.random((len(y), 1))
    chance = rng.random(y.shape)
    chance[y < NUM_RESERVED] = 2
    lowest = chance.min(axis=1, keepdims=True, initial=2)
    is_blank = (chance < 2) & ((chance < share) | (chance == lowest))
    return np.where(is_blank, np.int32(BLANK), y), y, is_blank.astype("float32")


def fill(player, ids, *, allowed=None, temperature=0.0, seed=0):
    """Replace the blanks of each row one by one, the most certain first.

    After each token all that are left are asked again: those beside it know more now.

    Args:
        player: has ``architecture`` and ``weights``, as `player.Player` does.
        ids: int array (B, T), `BLANK` where a token is wanted, PAD behind the end.
        allowed: bool array that broadcasts to (B, T, V), which tokens may stand where;
            or a function of the ids so far (B, T) giving one, asked before each token.
            None allows all but the four reserved ids.
        temperature: float, at least 0; 0 takes the likeliest token.
        seed: int, at least 0. Row r draws with (seed, r), whatever the batch.

    Returns:
        int32 array (B, T), a copy without blanks.

    Raises:
        ValueError: if `ids` is not (B, T) with every id known, or if nothing is
            allowed in a blank.

    Reference:
        Certain ones first: Ghazvininejad et al. 2019, https://arxiv.org/abs/1904.09324,
        who fill many at once and revise.
    """
    architecture = player.architecture
    ids = np.array(ids, dtype=np.int32)
    if ids.ndim != 2:
        raise ValueError(f"`ids` must be (B, T). Received shape: {ids.shape}")
    if ids.size and not 0 <= ids.min() <= ids.max() < architecture.vocab_size:
        raise ValueError(
            f"`ids` must be in 0..{architecture.vocab_size - 1}. "
            f"Received: {ids.min()}..{ids.max()}"
        )
    is_blank = ids == BLANK
    turns = int(is_blank.sum(axis=1).max(initial=0))
    random = [np.random.default_rng([seed, r]).random(turns) for r in range(len(ids))]
    random = np.array(random, dtype=np.float32)
    if allowed is None:
        allowed = np.arange(architecture.vocab_size) >= NUM_RESERVED
    for turn in range(turns):
        may = np.asarray(allowed(ids) if callable(allowed) else allowed, dtype=bool)
        may = np.broadcast_to(may, (*ids.shape, architecture.vocab_size))
        may = may & (np.arange(architecture.vocab_size) != BLANK)
        stuck = np.argwhere(is_blank & ~may.any(axis=-1))
        if len(stuck):
            raise ValueError(
                f"`allowed` leaves nothing for the blank in row {stuck[0][0]}, "
                f"place {stuck[0][1]}."
            )
        logits, _ = architecture.forward(numpy_ops, player.weights, ids)
        logits = keep_allowed(numpy_ops, logits, may)
        certainty = numpy_ops.log_softmax(logits).max(axis=-1)
        place = np.where(is_blank, certainty, -np.inf).argmax(axis=1)
        rows = np.flatnonzero(is_blank.any(axis=1))
        place = place[rows]
        ids[rows, place] = draw(
            numpy_ops, logits[rows, place], random[rows, turn], temperature
        )
        is_blank[rows, place] = False
    return ids

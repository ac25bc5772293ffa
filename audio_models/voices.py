"""Several voices on a grid: an LSTM over whole steps, and in each step a chain of voices."""

from dataclasses import dataclass
from typing import ClassVar

from audio_models.architecture import Weight, check_limits
from audio_models.recurrent import lstm_layers

VOICES = 4
OPENING = 2  # tokens before the first step: BOS and the metre
LONGEST = 32  # a note's age is told up to so many steps
PLACES = 48  # steps after which every bar begins anew: of 12, 16, 24 or 48 steps
AGE_DIM = 16
PLACE_DIM = 32


@dataclass(frozen=True)
class VoiceLSTM:
    """Reads four tokens a step, one a voice, and moves its memory once a step.

        history = LSTM(what sounds, for how long, where in the bar), step by step
        p(step) = product over voices v of p(token[v] | token[0..v-1], history, what sounds)

    A token strikes a pitch, begins a rest, or (any other) holds what there is. A plain
    LSTM over the same tokens must remember whose turn it is, what each voice sings and
    since when; here that is worked out from the tokens, and the memory is left for the
    music. It makes a quarter of the sequential steps, too.

    Args:
        vocab_size: int, how many token ids there are.
        first_pitch: int, the id that strikes the lowest pitch.
        num_pitches: int, how many pitches there are, their ids in a row.
        rest: int, the id that begins a rest.
        embedding_dim: int, width of a pitch's vector.
        hidden_dim: int, width of each LSTM layer's state.
        num_layers: int.
        chain_dim: int, hidden units of each voice's part of the chain.
        dropout: float in [0, 1), after each LSTM layer and in the chain, in training.

    Reference:
        The order of tokens is that of BachBot (Liang et al. 2017); voice, beat and
        what is held as inputs, DeepBach (Hadjeres et al. 2017,
        https://arxiv.org/abs/1612.01010), which reads both ways where this one goes on;
        a recurrent history under a chain within the step, RNN-NADE
        (Boulanger-Lewandowski et al. 2012, https://arxiv.org/abs/1206.6392).
    """

    vocab_size: int
    first_pitch: int = 15
    num_pitches: int = 128
    rest: int = 144
    embedding_dim: int = 64
    hidden_dim: int = 320
    num_layers: int = 2
    chain_dim: int = 256
    dropout: float = 0.0

    num_voices: ClassVar = VOICES
    FROM_ZERO: ClassVar = ("first_pitch", "rest")
    HEAD: ClassVar = OPENING  # every window it is trained on begins with these,
    GROUP: ClassVar = VOICES * PLACES  # and holds so many tokens after them, or twice

    def __post_init__(self):
        check_limits(self)
        last = self.first_pitch + self.num_pitches
        if last > self.vocab_size or self.rest >= self.vocab_size:
            raise ValueError(
                "`first_pitch` + `num_pitches` and `rest` must lie in the vocabulary of "
                f"{self.vocab_size}. Received: {last} and {self.rest}"
            )
        if self.first_pitch <= self.rest < last:
            raise ValueError(f"`rest` must not be a pitch. Received: {self.rest}")

    @property
    def context_dim(self):
        """How many numbers tell of what sounds, since when, and where one is."""
        return self.num_voices * (self.embedding_dim + AGE_DIM) + PLACE_DIM

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        size, chain = self.hidden_dim, self.num_voices * self.chain_dim
        named = {
            # After the pitches: a rest, and before the first step nothing at all.
            "pitch": Weight((self.num_pitches + 2, self.embedding_dim), "normal"),
            "token": Weight((self.vocab_size, self.embedding_dim), "normal"),
            "age": Weight((LONGEST, AGE_DIM), "normal"),
            "place": Weight((PLACES, PLACE_DIM), "normal"),
            "opening.first": Weight((self.vocab_size, PLACE_DIM), "normal"),
            "opening.second": Weight((self.vocab_size, PLACE_DIM), "normal"),
            "opening.kernel": Weight((PLACE_DIM, self.vocab_size)),
        }
        width = self.context_dim
        for layer in range(self.num_layers):
            named[f"layer{layer}.input"] = Weight((width, 4 * size))
            named[f"layer{layer}.recurrent"] = Weight((size, 4 * size), "orthogonal")
            named[f"layer{layer}.bias"] = Weight((4 * size,), "forget_gate")
            width = size
        read = self.num_layers * size + self.context_dim
        named["chain.input"] = Weight((read, chain))
        named["chain.bias"] = Weight((chain,), "zeros")
        for voice in range(1, self.num_voices):
            named[f"chain.above{voice}"] = Weight(
                (voice * 2 * self.embedding_dim, self.chain_dim)
            )
        named["head.kernel"] = Weight((self.chain_dim, self.vocab_size))
        named["head.voice"] = Weight((self.num_voices, self.vocab_size), "zeros")
        named["head.bias"] = Weight((self.vocab_size,), "zeros")
        return named

    def start(self, ops, batch_size):
        """The state before the first token.

        Returns:
            tuple: h and c, float arrays (layers, B, D); what the chain has of this step
            before any voice, (B, voices * C); then int arrays: what sounds and for how
            long (B, voices), the tokens of this step (B, voices), those of the opening
            (B, 2), and how many tokens were read ().
        """
        memory = (self.num_layers, batch_size, self.hidden_dim)
        voices = (batch_size, self.num_voices)
        return (
            ops.zeros(memory, "float32"),
            ops.zeros(memory, "float32"),
            ops.zeros((batch_size, self.num_voices * self.chain_dim), "float32"),
            ops.zeros(voices, "int32") + self._nothing,
            ops.zeros(voices, "int32") + (LONGEST - 1),
            ops.zeros(voices, "int32"),
            ops.zeros((batch_size, OPENING), "int32"),
            ops.zeros((), "int32"),
        )

    def forward(self, ops, weights, ids, state=None, dropout=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops: array namespace, `keras.ops` or `numpy_ops`.
            weights: dict of name -> array, as `weights` names them.
            ids: int array (B, T), from the beginning of a piece. With a state, T is 1.
            state: as `start` gives it; None is the beginning.
            dropout: function of an array, applied in training.

        Returns:
            (logits (B, T, V), state after the last token; None without a state).
        """
        ids = ops.cast(ids, "int32")
        if state is not None:
            return self._step(ops, weights, ids[:, 0], state)
        return self._read(ops, weights, ids, dropout), None

    def _read(self, ops, weights, ids, dropout, given=None):
        # The logits after each token of whole rows.
        metre = self._metre_logits(ops, weights, ids[:, 0])[:, None]
        rows, length = ops.shape(ids)[:2]
        if ids.shape[1] == 1:
            return metre
        steps = (
            length + self.num_voices - 2
        ) // self.num_voices  # those of which a token is predicted
        missing = ops.zeros((rows, self.num_voices), "int32")
        body = ops.concatenate([ids[:, OPENING:], missing], axis=1)
        tokens = ops.reshape(
            body[:, : self.num_voices * steps], (-1, steps, self.num_voices)
        )
        sounds, age = self._follow(ops, tokens)
        before = (
            one_later(ops, sounds, self._nothing),
            one_later(ops, age, LONGEST - 1),
        )
        context = self._contexts(ops, weights, ids[:, :OPENING], tokens, before, given)
        h, c = self.start(ops, rows)[:2]
        chain, _ = self._remember(ops, weights, context, h, c, dropout)
        body = self._chain_logits(ops, weights, chain, tokens, sounds, dropout)
        body = ops.reshape(body, (-1, self.num_voices * steps, self.vocab_size))
        return ops.concatenate([metre, body[:, : length - 1]], axis=1)

    def _contexts(self, ops, weights, opening, tokens, before, given):
        # What each step (B, T, context_dim) knows beside the memory of it all.
        return self._context(
            ops, weights, *before, ops.arange(tokens.shape[1]), opening
        )

    @property
    def _nothing(self):
        return self.num_pitches + 1

    def _step(self, ops, weights, ids, state):
        h, c, chain, sounds, age, tokens, opening, read = state
        of_step = read - OPENING  # the token's number among those of the steps
        slots = ops.arange(self.num_voices) + ops.zeros_like(tokens)
        is_body = read >= OPENING
        tokens = ops.where(
            is_body & (slots == of_step % self.num_voices), ids[:, None], tokens
        )
        slots = ops.arange(OPENING) + ops.zeros_like(opening)
        opening = ops.where(slots == read, ids[:, None], opening)

        def go_on():  # all voices have had their turn: the memory moves by a step
            now, since = self._after(ops, tokens, sounds, age)
            now, since = (
                ops.where(is_body, after, before)
                for after, before in ((now, sounds), (since, age))
            )
            place = ops.reshape((read - 1) // self.num_voices, (1,))
            context = self._context(
                ops, weights, now[:, None], since[:, None], place, opening
            )
            given, (h_after, c_after) = self._remember(ops, weights, context, h, c)
            return h_after, c_after, given[:, 0], now, since

        h, c, chain, sounds, age = ops.cond(
            is_body & (of_step % self.num_voices == self.num_voices - 1)
            | (read == OPENING - 1),
            go_on,
            lambda: (h, c, chain, sounds, age),
        )
        now, _ = self._after(ops, tokens, sounds, age)
        every = self._chain_logits(
            ops, weights, chain[:, None], tokens[:, None], now[:, None]
        )
        logits = ops.take(every, (of_step + 1) % self.num_voices, axis=2)  # (B, 1, V)
        metre = self._metre_logits(ops, weights, ids)[:, None]
        logits = ops.where(read == 0, metre, logits)
        return logits, (h, c, chain, sounds, age, tokens, opening, read + 1)

    def _metre_logits(self, ops, weights, first):
        vector = ops.take(weights["opening.first"], first, axis=0)
        return ops.matmul(vector, weights["opening.kernel"]) + weights["head.bias"]

    def _what(self, ops, tokens):
        # Which pitch a token strikes, or a rest; and whether it does either.
        strikes = (tokens >= self.first_pitch) & (
            tokens < self.first_pitch + self.num_pitches
        )
        pitch = ops.where(strikes, tokens - self.first_pitch, self.num_pitches)
        return pitch, strikes | (tokens == self.rest)

    def _after(self, ops, tokens, sounds, age):
        # What sounds (B, voices), and since when, after one step.
        what, changes = self._what(ops, tokens)
        older = ops.minimum(age + 1, LONGEST - 1)
        return ops.where(changes, what, sounds), ops.where(changes, 0, older)

    def _follow(self, ops, tokens):
        # The same for all steps, one after another: (B, steps, voices) twice.
        voices = ops.zeros_like(tokens[:, 0])

        def step(before, tokens):
            after = self._after(ops, tokens, *before)
            return after, after

        begin = (voices + self._nothing, voices + (LONGEST - 1))
        _, followed = ops.scan(step, begin, ops.transpose(tokens, (1, 0, 2)))
        return tuple(ops.transpose(part, (1, 0, 2)) for part in followed)

    def _context(self, ops, weights, sounds, age, steps, opening):
        # (B, T, context_dim) of what sounds before each step (B, T, voices).
        rows, length = ops.shape(sounds)[:2]
        pitch = ops.take(weights["pitch"], sounds, axis=0)
        age = ops.take(weights["age"], age, axis=0)
        place = ops.take(weights["place"], steps % PLACES, axis=0)  # (T, P)
        place = place[None] + sum(
            ops.take(weights[f"opening.{name}"], opening[:, i], axis=0)[:, None]
            for i, name in enumerate(("first", "second"))
        )
        return ops.concatenate(
            [
                ops.reshape(
                    pitch, (rows, length, self.num_voices * self.embedding_dim)
                ),
                ops.reshape(age, (rows, length, self.num_voices * AGE_DIM)),
                place,
            ],
            axis=-1,
        )

    def _remember(self, ops, weights, context, h, c, dropout=None):
        # What the chain has from the context and the memory, and (h, c) after them.
        outputs, state = lstm_layers(ops, weights, context, h, c, dropout)
        read = ops.concatenate([context, *outputs], axis=-1)
        chain = ops.matmul(read, weights["chain.input"]) + weights["chain.bias"]
        return chain, state

    def _chain_logits(self, ops, weights, chain, tokens, sounds, dropout=None):
        # (B, T, voices, V): each voice knows the tokens above it, and their pitches.
        above = ops.concatenate(
            [
                ops.take(weights["token"], tokens, axis=0),
                ops.take(weights["pitch"], sounds, axis=0),
            ],
            axis=-1,
        )  # (B, T, voices, 2E)
        rows, length = ops.shape(above)[:2]
        hidden = []
        for voice, own in enumerate(ops.split(chain, self.num_voices, axis=-1)):
            if voice:
                width = voice * 2 * self.embedding_dim
                heard = ops.reshape(above[:, :, :voice], (rows, length, width))
                own = own + ops.matmul(heard, weights[f"chain.above{voice}"])
            hidden.append(ops.relu(own))
        hidden = ops.stack(hidden, axis=2)  # (B, T, voices, C)
        if dropout is not None:
            hidden = dropout(hidden)
        logits = ops.matmul(hidden, weights["head.kernel"]) + weights["head.voice"]
        return logits + weights["head.bias"]


def one_later(ops, x, fill):
    # Each column (B, T, voices) one place later, `fill` in the first.
    return ops.concatenate([ops.zeros_like(x[:, :1]) + fill, x[:, :-1]], axis=1)

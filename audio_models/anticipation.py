"""Voices on a grid, heard with what is given of their future: fills any blanks."""

from dataclasses import dataclass

from audio_models.architecture import Weight
from audio_models.recurrent import lstm_sequence
from audio_models.request import PAD
from audio_models.voices import LONGEST, OPENING, VoiceLSTM, one_later

BLANK = 3  # UNK, in every vocabulary of the kit: a token that is to be found
FIRST_METRE = 4  # the id of the first of these; sixteenths in a bar of each
STEPS_IN_BAR = (16, 8, 12, 16, 16, 24, 24, 6, 12, 18, 24)
LONGEST_BAR = 24
BARS = 16  # after so many, the number of a bar begins anew
LAGS = (1, 2, 4, 8)  # bars back at which a tune may be repeating itself
HISTORY = LAGS[-1] * LONGEST_BAR
FARTHEST = 64  # the end is seen from so many steps before it
BLIND = 0.35  # share of the training music of which nothing ahead is told
RUN_DIM, LEFT_DIM = 8, 16


@dataclass(frozen=True)
class AnticipationLSTM(VoiceLSTM):
    """A `VoiceLSTM` that also reads, from the end, what is given of the music to come.

        ahead[t] = LSTM from the right(tokens given at t and later, steps to the end)
        history  = LSTM(what sounds, ..., ahead), step by step
        p(step)  = product over voices v of p(token[v] | token[0..v-1], history, ahead)

    A left-to-right model that knows what is coming: blanks are drawn one after another,
    each knowing all that was drawn and all that is given, so that a gap is filled, a
    melody harmonised or an ending reached in one pass, and what was drawn has an exact
    probability. With nothing given it is a plain model of what comes next: `forward`
    without `given` sees no future.

    It also hears, for each of `LAGS`, the token that stood so many bars ago in this
    place, and for how long what came since has been the same: what a tune needs to
    come back to its motif.

    Args:
        num_voices: int, tokens a step.
        ahead_dim: int, width of the state that reads from the right.
        lookback: bool, whether it hears what stood some bars ago.
        Others as for `VoiceLSTM`.

    Reference:
        Hadjeres & Nielsen 2017, Interactive Music Generation with Positional
        Constraints using Anticipation-RNNs, https://arxiv.org/abs/1709.06404; we give
        what is known at random (spans, voices, cells, or the length alone), and tell
        where the end is. Lookback: Waite et al. 2016 (Magenta), there one and two bars,
        as inputs and as labels.
    """

    num_voices: int = 4
    ahead_dim: int = 192
    lookback: bool = False

    @property
    def GROUP(self):
        """Steps whose number is a multiple of every bar, in tokens."""
        return self.num_voices * 6 * LONGEST_BAR

    @property
    def context_dim(self):
        """How many numbers tell of what sounds, where one is, and what is to come."""
        width = super().context_dim + self.ahead_dim
        if self.lookback:
            width += len(LAGS) * (self.num_voices * self.embedding_dim + RUN_DIM)
        return width

    def weights(self):
        """Name -> `Weight`, in a fixed order. Gates stand in the order i, f, g, o."""
        named = super().weights()
        place_dim = named["place"].shape[1]
        named["place"] = Weight((LONGEST_BAR, place_dim), "normal")
        named["bar"] = Weight((BARS, place_dim), "normal")
        if self.lookback:
            named["run"] = Weight((LONGEST, RUN_DIM), "normal")
        named["ahead.token"] = Weight((self.vocab_size, self.embedding_dim), "normal")
        named["ahead.left"] = Weight((FARTHEST + 2, LEFT_DIM), "normal")
        width = self.num_voices * self.embedding_dim + LEFT_DIM + place_dim
        named["ahead.input"] = Weight((width, 4 * self.ahead_dim))
        named["ahead.recurrent"] = Weight(
            (self.ahead_dim, 4 * self.ahead_dim), "orthogonal"
        )
        named["ahead.bias"] = Weight((4 * self.ahead_dim,), "forget_gate")
        return named

    def start(self, ops, batch_size):
        """The state before the first token, with nothing known of what is to come.

        Returns:
            tuple: that of `VoiceLSTM`, and then the tokens of the last `HISTORY` steps
            (B, HISTORY, voices), for how long each lag has been matched (B, lags), and
            what is known ahead of each step (B, N, ahead_dim), the last for all after.
        """
        depth = HISTORY if self.lookback else 1
        return (
            *super().start(ops, batch_size),
            ops.zeros((batch_size, depth, self.num_voices), "int32"),
            ops.zeros((batch_size, len(LAGS)), "int32"),
            ops.zeros((batch_size, 1, self.ahead_dim), "float32"),
        )

    def start_knowing(self, ops, weights, opening, tokens, end):
        """The state before the first token of music of which something is given.

        Args:
            opening: int array (B, 2), BOS and the metre.
            tokens: int array (B, N, voices), `BLANK` where a token is to be found.
            end: int array (B,), after how many steps the music ends; 0 if that is open.

        Returns:
            As `start`.
        """
        told = ops.zeros((ops.shape(tokens)[0],), "float32") + 1
        ahead = self._ahead(ops, weights, opening, (tokens, end, told))
        # What lies behind the last step: nothing, and so the end or an open one.
        ahead = ops.concatenate([ahead, ops.zeros_like(ahead[:, :1])], axis=1)
        return (*self.start(ops, ops.shape(tokens)[0])[:-1], ahead)

    def forward(self, ops, weights, ids, state=None, dropout=None, given=None):
        """Read token ids; give the logits of what comes after each.

        Args:
            ops, weights, ids, state, dropout: as for `VoiceLSTM`.
            given: (tokens (B, N, voices), end (B,), told (B,)) as for `start_knowing`,
                N being the number of steps of which a token is predicted, and ``told``
                0 where nothing is to be heard ahead; or None.

        Returns:
            (logits (B, T, V), state after the last token; None without a state).
        """
        if state is not None:
            return super().forward(ops, weights, ids, state)
        return self._read(ops, weights, ops.cast(ids, "int32"), dropout, given), None

    def draw_given(self, ops, ids, uniform):
        """What to tell of each row in training, at random.

        Args:
            ids: int tensor (B, T), whole pieces but for EOS, PAD behind them.
            uniform: function of a shape, giving so many numbers in [0, 1).

        Returns:
            ``given`` of `forward`: of a share `BLIND` nothing; else the length where it
            is known, and all but a span of steps, or whole voices, or all but some
            voices in a span, or some tokens, or nothing more.
        """
        ids = ops.cast(ids, "int32")
        rows, length = ops.shape(ids)
        voices = self.num_voices
        steps = (length + voices - 2) // voices
        missing = ops.zeros((rows, voices), "int32") + BLANK
        body = ops.concatenate([ids[:, OPENING:], missing], axis=1)
        tokens = ops.reshape(body[:, : voices * steps], (rows, steps, voices))
        count = ops.sum(ops.cast(ids != PAD, "int32"), axis=1)  # (B,)
        end = ops.maximum(count - OPENING + voices - 1, 0) // voices
        bar = self._bar(ops, ids[:, 1])[:, None, None]

        which, first, size, most, chosen = (uniform((rows, 1, 1)) for _ in range(5))
        step = ops.arange(steps)[None, :, None]
        end_step = ops.cast(end, "float32")[:, None, None]
        begin = ops.cast(first * end_step, "int32")
        whole_bars = uniform((rows, 1, 1)) < 0.5
        begin = ops.where(whole_bars, begin // bar * bar, begin)
        span = bar * (1 + ops.cast(size * 8, "int32"))
        outside = (step < begin) | (step >= begin + span)
        voice = ops.arange(voices)[None, None, :]
        some = ops.where(chosen < 0.5, voice == 0, uniform((rows, 1, voices)) < 0.5)
        cells = uniform((rows, steps, voices)) < most
        none = ops.zeros_like(cells)
        known = ops.where(which < 0.2, none, cells)
        known = ops.where((which >= 0.3) & (which < 0.6), outside | none, known)
        if voices > 1:
            known = ops.where(which >= 0.6, some | none, known)
            known = ops.where(which >= 0.9, outside | some, known)
        else:
            known = ops.where(which >= 0.6, outside | none, known)
        tokens = ops.where(known, tokens, BLANK)
        is_cut = count >= length  # the window ends, the piece may not
        told = ops.cast(uniform((rows,)) >= BLIND, "float32")
        return tokens, ops.where(is_cut, 0, end), told

    def _bar(self, ops, metre):
        # Steps in a bar (B,) of what an opening names.
        table = ops.cast(STEPS_IN_BAR, "int32")
        number = ops.maximum(ops.minimum(metre - FIRST_METRE, len(STEPS_IN_BAR) - 1), 0)
        return ops.take(table, number, axis=0)

    def _ahead(self, ops, weights, opening, given):
        # (B, N, ahead_dim): what is known at each step of itself and all after it.
        tokens, end, told = given
        rows, steps, voices = ops.shape(tokens)
        step = ops.arange(steps)[None]
        is_open = end[:, None] == 0
        left = ops.minimum(ops.maximum(end[:, None] - step, 0), FARTHEST) + 1
        left = ops.where(is_open, 0, left)  # (B, N)
        x = ops.concatenate(
            [
                ops.reshape(
                    ops.take(weights["ahead.token"], tokens, axis=0),
                    (rows, steps, voices * self.embedding_dim),
                ),
                ops.take(weights["ahead.left"], left, axis=0),
                self._place(ops, weights, step + ops.zeros_like(left), opening),
            ],
            axis=-1,
        )
        gates = ops.matmul(x, weights["ahead.input"]) + weights["ahead.bias"]
        # Behind the end there is nothing to hear: the input gate stays shut.
        is_input = ops.arange(4 * self.ahead_dim) < self.ahead_dim
        behind = (left == 1)[:, :, None] & is_input
        gates = ops.where(behind, -1e9, gates)
        recurrent = weights["ahead.recurrent"]
        recurrent = ops.reshape(recurrent, recurrent.shape)  # a tensor: see `Stacked`
        nothing = ops.zeros((rows, self.ahead_dim), "float32")
        backward = ops.flip(ops.transpose(gates, (1, 0, 2)), 0)
        heard, _ = lstm_sequence(ops, backward, recurrent, nothing, nothing)
        return ops.transpose(ops.flip(heard, 0), (1, 0, 2)) * told[:, None, None]

    def _place(self, ops, weights, step, opening):
        # (B, T, place_dim): where in its bar, and in which bar, each step (B, T) is.
        bar = self._bar(ops, opening[:, 1])[:, None]
        vector = ops.take(weights["place"], step % bar, axis=0)
        vector = vector + ops.take(weights["bar"], step // bar % BARS, axis=0)
        return vector + sum(
            ops.take(weights[f"opening.{name}"], opening[:, i], axis=0)[:, None]
            for i, name in enumerate(("first", "second"))
        )

    def _told(self, ops, weights, sounds, age, step, opening, ahead, old, runs):
        # The context (B, T, context_dim) of steps (B, T), from all that is worked out.
        length = ops.shape(sounds)[1]
        pitch = ops.take(weights["pitch"], sounds, axis=0)
        parts = [
            ops.reshape(pitch, (-1, length, self.num_voices * self.embedding_dim)),
            ops.reshape(
                ops.take(weights["age"], age, axis=0),
                (-1, length, self.num_voices * weights["age"].shape[1]),
            ),
            self._place(ops, weights, step, opening),
            ahead,
        ]
        if self.lookback:
            wide = len(LAGS) * self.num_voices * self.embedding_dim
            stood = ops.take(weights["token"], old, axis=0)  # (B, T, lags, voices, E)
            parts.append(ops.reshape(stood, (-1, length, wide)))
            run = ops.take(weights["run"], runs, axis=0)
            parts.append(ops.reshape(run, (-1, length, len(LAGS) * RUN_DIM)))
        return ops.concatenate(parts, axis=-1)

    def _contexts(self, ops, weights, opening, tokens, before, given):
        rows, steps = ops.shape(tokens)[:2]
        step = ops.arange(steps)[None] + ops.zeros_like(tokens[:, :, 0])  # (B, T)
        if given is None:
            ahead = ops.zeros((rows, steps, self.ahead_dim), "float32")
        else:
            ahead = self._ahead(ops, weights, opening, given)
        old = runs = None
        if self.lookback:
            old = self._stood(ops, tokens, step, opening)
            same = self._is_same(ops, old, tokens[:, :, None])
            runs = one_later(ops, _run_lengths(ops, same), 0)  # (B, T, lags)
        sounds, age = before
        return self._told(ops, weights, sounds, age, step, opening, ahead, old, runs)

    def _stood(self, ops, tokens, step, opening):
        # (B, T, lags, voices): the tokens some bars ago, PAD before the first.
        bar = self._bar(ops, opening[:, 1])[:, None]
        columns = []
        for lag in LAGS:
            from_step = step - lag * bar
            there = _rows_taken(ops, tokens, ops.maximum(from_step, 0))
            columns.append(ops.where(from_step[:, :, None] < 0, PAD, there))
        return ops.stack(columns, axis=2)

    def _is_same(self, ops, old, now):
        # 1 where all voices have the same token, else 0.
        same = ops.sum(ops.cast(ops.equal(old, now), "int32"), axis=-1)
        return ops.cast(same == self.num_voices, "int32")

    def _step(self, ops, weights, ids, state):
        h, c, chain, sounds, age, tokens, opening, read, history, runs, ahead = state
        voices = self.num_voices
        of_step = read - OPENING  # the token's number among those of the steps
        slots = ops.arange(voices) + ops.zeros_like(tokens)
        is_body = read >= OPENING
        tokens = ops.where(is_body & (slots == of_step % voices), ids[:, None], tokens)
        slots = ops.arange(OPENING) + ops.zeros_like(opening)
        opening = ops.where(slots == read, ids[:, None], opening)

        def go_on():  # all voices have had their turn: the memory moves by a step
            now, since = self._after(ops, tokens, sounds, age)
            now, since = (
                ops.where(is_body, after, before)
                for after, before in ((now, sounds), (since, age))
            )
            step = ops.maximum(read - 1, 0) // voices  # the one to come
            place = ops.zeros_like(now[:, :1]) + step  # (B, 1)
            kept, matched, old = self._look_back(
                ops, tokens, step, opening, history, runs, is_body
            )
            known = ops.take(ahead, ops.minimum(step, ahead.shape[1] - 1), axis=1)
            context = self._told(
                ops,
                weights,
                now[:, None],
                since[:, None],
                place,
                opening,
                known[:, None],
                old,
                matched[:, None],
            )
            given, (h_after, c_after) = self._remember(ops, weights, context, h, c)
            return h_after, c_after, given[:, 0], now, since, kept, matched

        h, c, chain, sounds, age, history, runs = ops.cond(
            is_body & (of_step % voices == voices - 1) | (read == OPENING - 1),
            go_on,
            lambda: (h, c, chain, sounds, age, history, runs),
        )
        now, _ = self._after(ops, tokens, sounds, age)
        every = self._chain_logits(
            ops, weights, chain[:, None], tokens[:, None], now[:, None]
        )
        logits = ops.take(every, (of_step + 1) % voices, axis=2)  # (B, 1, V)
        metre = self._metre_logits(ops, weights, ids)[:, None]
        logits = ops.where(read == 0, metre, logits)
        state = (h, c, chain, sounds, age, tokens, opening, read + 1)
        return logits, (*state, history, runs, ahead)

    def _look_back(self, ops, tokens, step, opening, history, runs, is_body):
        # (history, runs, what stood some bars before `step` (B, 1, lags, voices)).
        if not self.lookback:
            return history, runs, None
        bar = self._bar(ops, opening[:, 1])[:, None]  # (B, 1)
        lags = ops.cast(LAGS, "int32")[None]  # (1, lags)
        heard = self._recalled(ops, history, step - 1 - lags * bar)
        same = self._is_same(ops, heard, tokens[:, None])
        longer = ops.minimum(runs + 1, LONGEST - 1) * same
        runs = ops.where(is_body, longer, runs)
        slot = (step - 1) % HISTORY
        here = ops.arange(HISTORY)[None, :, None] == slot
        history = ops.where(here & is_body, tokens[:, None], history)
        return history, runs, self._recalled(ops, history, step - lags * bar)[:, None]

    def _recalled(self, ops, history, step):
        # (B, lags, voices): the tokens of some steps (B, lags), PAD before the first.
        there = _rows_taken(ops, history, ops.maximum(step, 0) % HISTORY)
        return ops.where(step[:, :, None] < 0, PAD, there)


def _rows_taken(ops, x, index):
    # (B, N, voices): of x (B, T, voices) the steps (B, N). `take_along_axis` would do,
    # but forgets how many axes there are where a length is not known in advance.
    rows, steps, voices = ops.shape(x)
    flat = ops.reshape(x, (-1, voices))
    return ops.take(flat, index + ops.arange(rows)[:, None] * steps, axis=0)


def _run_lengths(ops, same):
    # (B, T, lags): how many columns up to and with this one were ones, at most LONGEST.
    def step(carry, same):
        carry = (ops.minimum(carry[0] + 1, LONGEST - 1) * same,)
        return carry, carry

    by_time = ops.transpose(same, (1, 0, 2))
    _, (runs,) = ops.scan(step, (ops.zeros_like(by_time[0]),), by_time)
    return ops.transpose(runs, (1, 0, 2))

"""Lab 04: what people write before it is right."""

from collections import Counter

import numpy as np

PAD, BOS, EOS, UNK = 0, 1, 2, 3


def mean_told(read, told):
    """The mean of what was told, rounded."""
    return {int(t): round(float(told[read == t].mean())) for t in np.unique(read)}


def most_frequent_of_all(read, told):
    """The most frequent of all, whatever was read."""
    common = Counter(told.ravel().tolist()).most_common(1)[0][0]
    return {int(t): common for t in np.unique(read)}


def most_frequent_reading(read, told):
    """The table the other way round: what was read, for each that was told."""
    return {
        int(t): Counter(read[told == t].tolist()).most_common(1)[0][0]
        for t in np.unique(told)
    }


def last_told(read, told):
    """The last one that was seen."""
    return dict(zip(read.ravel().tolist(), told.ravel().tolist(), strict=True))


def first_row_only(read, told):
    """Only the first row is counted."""
    return {
        int(t): Counter(told[0][read[0] == t].tolist()).most_common(1)[0][0]
        for t in np.unique(read[0])
    }


def right_pad(rows, value=PAD, width=None):
    width = width or max(map(len, rows))
    ids = np.full((len(rows), width), value)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row)] = row
    return ids, np.arange(width) < np.array([len(row) for row in rows])[:, None]


def padded_in_front(rows):
    """PAD stands in front, not behind."""
    ids, is_real = right_pad([row[::-1] for row in rows])
    return ids[:, ::-1], is_real[:, ::-1]


def cut_to_the_shortest(rows):
    """Rows are cut where the shortest ends."""
    width = min(map(len, rows))
    return np.array([row[:width] for row in rows]), np.ones((len(rows), width), bool)


def padded_with_eos(rows):
    """Filled up with EOS."""
    return right_pad(rows, EOS)


def mask_upside_down(rows):
    """True at padding."""
    ids, is_real = right_pad(rows)
    return ids, ~is_real


def one_too_wide(rows):
    """A column of padding that nobody needs."""
    return right_pad(rows, width=max(map(len, rows)) + 1)


def in_place(rows):
    """The rows themselves are filled up."""
    lengths = np.array([len(row) for row in rows])
    width = lengths.max()
    for row in rows:
        row.extend([PAD] * (width - len(row)))
    return np.array(rows), np.arange(width) < lengths[:, None]


def shifted(target):
    read = np.pad(target, ((0, 0), (1, 0)), constant_values=BOS)
    told = np.pad(target, ((0, 0), (0, 1)))
    told[np.arange(len(told)), (target != PAD).sum(1)] = EOS
    return read, told


def eos_behind_the_padding(target):
    """EOS stands in the last column, behind the padding."""
    read, _ = shifted(target)
    return read, np.pad(target, ((0, 0), (0, 1)), constant_values=EOS)


def eos_is_read(target):
    """The decoder reads EOS, too."""
    read, told = shifted(target)
    read[:, 1:] = told[:, :-1]
    return np.where(read == PAD, EOS, read), told


def not_shifted(target):
    """What is to be told is read at the same step: no task at all."""
    _, told = shifted(target)
    return told, told


def the_other_way(target):
    """read and told in the wrong order."""
    return shifted(target)[::-1]


def no_eos(target):
    """Nothing says where the end is."""
    return shifted(target)[0], np.pad(target, ((0, 0), (0, 1)))


def over_all(logits, told):
    """Padding counts, and is easily right."""
    return (logits.argmax(-1) == told).mean()


def over_rows(logits, told):
    """The mean of the rows' shares: short rows weigh too much."""
    is_right = logits.argmax(-1) == told
    return np.mean(
        [row[t != PAD].mean() for row, t in zip(is_right, told, strict=True) if t.any()]
    )


def without_eos(logits, told):
    """EOS is not counted."""
    return (logits.argmax(-1) == told)[told > UNK].mean()


def count_of_all(logits, told):
    """The right real ones, divided by the number of all."""
    return ((logits.argmax(-1) == told) & (told != PAD)).mean()


def argmax_over_time(logits, told):
    """argmax over the steps, not over the tokens."""
    return (logits.argmax(1)[:, : told.shape[1]] == told[:, :9])[
        told[:, :9] != PAD
    ].mean()


def greedy(step, state, most, first=BOS, banned=(PAD, BOS, UNK), keep_end=False):
    row, token = [], first
    while len(row) < most:
        logits, state = step(token, state)
        logits = np.array(logits, float)
        logits[list(banned)] = -np.inf
        token = int(logits.argmax())
        if token == EOS:
            return [*row, EOS] if keep_end else row
        row.append(token)
    return row


def greedy_with_unk(step, state, most):
    """UNK may be written."""
    return greedy(step, state, most, banned=(PAD, BOS))


def greedy_from_eos(step, state, most):
    """Begins with EOS, as some libraries do."""
    return greedy(step, state, most, first=EOS)


def greedy_with_eos(step, state, most):
    """EOS is a part of what is given."""
    return greedy(step, state, most, keep_end=True)


def greedy_past_the_end(step, state, most):
    """EOS does not stop it."""
    return greedy(step, state, most, banned=(PAD, BOS, EOS, UNK))


def greedy_without_state(step, state, most):
    """The first state is used at each step."""
    return greedy(lambda token, _: step(token, state), state, most)


def greedy_without_feeding_back(step, state, most):
    """BOS is read at each step, never the choice."""
    return greedy(lambda _, state: step(BOS, state), state, most)


def greedy_in_place(step, state, most):
    """The logits of `step` are changed, not a copy."""

    def changing(token, state):
        logits, state = step(token, state)
        logits[[PAD, BOS, UNK]] = -np.inf
        return logits, state

    return greedy(changing, state, most)


def shares_of(s, h, w, u, v, is_real):
    scores = np.where(is_real, np.tanh(s @ w + h @ u) @ v, -np.inf)
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def attention_to_padding(s, h, w, u, v, is_real):
    """Padding takes part in the softmax."""
    shares = shares_of(s, h, w, u, v, np.ones_like(is_real))
    return shares, shares @ h


def zeroed_afterwards(s, h, w, u, v, is_real):
    """Padding is set to 0 after the softmax: the rest does not sum to 1."""
    shares = shares_of(s, h, w, u, v, np.ones_like(is_real)) * is_real
    return shares, shares @ h


def score_zero_at_padding(s, h, w, u, v, is_real):
    """Padding's score is 0, which is not little."""
    scores = (np.tanh(s @ w + h @ u) @ v) * is_real
    weights = np.exp(scores - scores.max())
    return weights / weights.sum(), weights / weights.sum() @ h


def without_tanh(s, h, w, u, v, is_real):
    """No tanh: then s adds the same to each score, and changes nothing."""
    scores = np.where(is_real, (s @ w + h @ u) @ v, -np.inf)
    weights = np.exp(scores - scores.max())
    return weights / weights.sum(), weights / weights.sum() @ h


def sum_not_mean(s, h, w, u, v, is_real):
    """The context is a plain mean of the real places."""
    return shares_of(s, h, w, u, v, is_real), h[is_real].mean(0)


def overflowing_attention(s, h, w, u, v, is_real):
    """exp of a score in the thousands is infinite."""
    weights = np.exp(np.tanh(s @ w + h @ u) @ v) * is_real
    return weights / weights.sum(), weights / weights.sum() @ h


def beam(step, state, width, most, *, ended=True, probability=False, per_line=False):
    lines = [(0.0, [BOS], state)]
    for _ in range(most):
        grown = []
        for score, tokens, state in lines:
            if tokens[-1] == EOS:
                grown += [(score, tokens, state)] if ended else []
                continue
            log_p, after = step(tokens[-1], state)
            log_p = np.exp(log_p) if probability else log_p
            new = [(score + log_p[t], [*tokens, t], after) for t in range(len(log_p))]
            grown += sorted(new, key=lambda line: -line[0])[:1] if per_line else new
        lines = sorted(grown, key=lambda line: -line[0])[:width] or lines
    return [t for t in lines[0][1] if t not in (BOS, EOS)], float(lines[0][0])


def beam_of_one(step, state, width, most):
    """Greedy, however wide."""
    return beam(step, state, 1, most)


def beam_that_forgets_the_ended(step, state, width, most):
    """A line that has ended loses its place."""
    return beam(step, state, width, most, ended=False)


def beam_of_sums_of_p(step, state, width, most):
    """Probabilities are added, where their logarithms should be."""
    return beam(step, state, width, most, probability=True)


def beam_of_the_last_step(step, state, width, most):
    """Lines are ranked by their last step alone."""
    lines = [(0.0, [BOS], state)]
    for _ in range(most):
        grown = []
        for score, tokens, state in lines:
            if tokens[-1] == EOS:
                grown.append((score, tokens, state))
                continue
            log_p, after = step(tokens[-1], state)
            grown += [(log_p[t], [*tokens, t], after) for t in range(len(log_p))]
        lines = sorted(grown, key=lambda line: -line[0])[:width]
    return [t for t in lines[0][1] if t not in (BOS, EOS)], float(lines[0][0])


def beam_with_bos(step, state, width, most):
    """BOS is a part of what is given."""
    row, score = beam(step, state, width, most)
    return [BOS, *row], score


def worst_of_the_beam(step, state, width, most):
    """Sorted upwards: the worst are kept."""
    lines = [(0.0, [BOS], state)]
    for _ in range(most):
        grown = []
        for score, tokens, state in lines:
            if tokens[-1] == EOS:
                grown.append((score, tokens, state))
                continue
            log_p, after = step(tokens[-1], state)
            grown += [(score + log_p[t], [*tokens, t], after)
                      for t in range(len(log_p)) if np.isfinite(log_p[t])]  # fmt: skip
        lines = sorted(grown, key=lambda line: line[0])[:width]
    return [t for t in lines[0][1] if t not in (BOS, EOS)], float(lines[0][0])


WRONG = {
    "most_frequent_given": [
        mean_told, most_frequent_of_all, most_frequent_reading, last_told,
        first_row_only,
    ],
    "pad_batch": [
        padded_in_front, cut_to_the_shortest, padded_with_eos, mask_upside_down,
        one_too_wide, in_place,
    ],
    "teacher_forcing": [
        eos_behind_the_padding, eos_is_read, not_shifted, the_other_way, no_eos,
    ],
    "masked_accuracy": [
        over_all, over_rows, without_eos, count_of_all, argmax_over_time,
    ],
    "write_greedily": [
        greedy_with_unk, greedy_from_eos, greedy_with_eos, greedy_past_the_end,
        greedy_without_state, greedy_without_feeding_back, greedy_in_place,
    ],
    "additive_attention": [
        attention_to_padding, zeroed_afterwards, score_zero_at_padding, without_tanh,
        sum_not_mean, overflowing_attention,
    ],
    "beam_search": [
        beam_of_one, beam_that_forgets_the_ended, beam_of_sums_of_p,
        beam_of_the_last_step, beam_with_bos, worst_of_the_beam,
    ],
}  # fmt: skip

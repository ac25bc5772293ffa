"""Plausible wrong answers to lab 01: each docstring names the mistake."""

import numpy as np


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _rnn_without_tanh(x, h, w_x, w_h, b):
    """The tanh is missing: a linear cell."""
    return x @ w_x + h @ w_h + b


def _rnn_turned(x, h, w_x, w_h, b):
    """w_h is turned round, as in the formulas of column vectors."""
    return np.tanh(x @ w_x + h @ w_h.T + b)


def _rnn_without_bias(x, h, w_x, w_h, b):
    """The bias is forgotten."""
    return np.tanh(x @ w_x + h @ w_h)


def _rnn_in_place(x, h, w_x, w_h, b):
    """The caller's state is overwritten."""
    h[:] = np.tanh(x @ w_x + h @ w_h + b)
    return h.copy()


def _rnn_sigmoid(x, h, w_x, w_h, b):
    """A sigmoid in the place of tanh."""
    return _sigmoid(x @ w_x + h @ w_h + b)


def _stacked_input_first(w_h, w_x):
    """The input's rows come first."""
    return np.concatenate([w_x, w_h])


def _stacked_side_by_side(w_h, w_x):
    """Side by side, as for column vectors."""
    return np.concatenate([w_h.T, w_x.T], axis=1)


def _stacked_block(w_h, w_x):
    """A block diagonal: two sums that are never added."""
    tall = np.zeros((len(w_h) + len(w_x), w_h.shape[1] + w_x.shape[1]))
    tall[: len(w_h), : w_h.shape[1]] = w_h
    tall[len(w_h) :, w_h.shape[1] :] = w_x
    return tall


def _layer(xs, w_x, w_h, b, first=0.0, carries=True):
    h, hs = np.full((len(xs), len(b)), first), []
    for t in range(xs.shape[1]):
        new = np.tanh(xs[:, t] @ w_x + h @ w_h + b)
        hs.append(new)
        h = new if carries else h
    return np.stack(hs, axis=1)


def _layer_from_ones(xs, w_x, w_h, b):
    """The first state is of ones."""
    return _layer(xs, w_x, w_h, b, first=1.0)


def _layer_amnesiac(xs, w_x, w_h, b):
    """The state is never carried."""
    return _layer(xs, w_x, w_h, b, carries=False)


def _layer_late(xs, w_x, w_h, b):
    """The state before each step, and not after it."""
    hs = _layer(xs, w_x, w_h, b)
    return np.concatenate([np.zeros_like(hs[:, :1]), hs[:, :-1]], axis=1)


def _layer_last(xs, w_x, w_h, b):
    """Only the last state."""
    return _layer(xs, w_x, w_h, b)[:, -1]


def _layer_time_first(xs, w_x, w_h, b):
    """Time comes first in what is returned."""
    return _layer(xs, w_x, w_h, b).swapaxes(0, 1)


def _layer_backwards(xs, w_x, w_h, b):
    """Read from the end."""
    return _layer(xs[:, ::-1], w_x, w_h, b)[:, ::-1]


def _last_of_all(hs, lengths):
    """The last column, padding or not."""
    return hs[:, -1]


def _last_off_by_one(hs, lengths):
    """The state after the end."""
    return hs[np.arange(len(hs)), np.minimum(lengths, hs.shape[1] - 1)]


def _last_mean(hs, lengths):
    """The mean of all real states."""
    return np.stack([row[:n].mean(axis=0) for row, n in zip(hs, lengths, strict=True)])


def _last_grid(hs, lengths):
    """Every item at every length."""
    return hs[:, lengths - 1]


def _back(xs, hs, w_h, dhs, *, slope=True, through=True, turned=True, wrap=False):
    steps = xs.shape[1]
    dw_x, dw_h, db = np.zeros((xs.shape[2], len(w_h))), np.zeros_like(w_h), 0
    dh = np.zeros_like(hs[:, 0])
    for t in reversed(range(steps)):
        dh = dh + dhs[:, t]
        da = dh * (1 - hs[:, t] ** 2) if slope else dh
        before = hs[:, t - 1] if t or wrap else np.zeros_like(dh)
        dw_x, dw_h, db = (
            dw_x + xs[:, t].T @ da,
            dw_h + before.T @ da,
            db + da.sum(axis=0),
        )
        dh = da @ (w_h.T if turned else w_h) if through else 0 * da
    return dw_x, dw_h, db


def _bptt_mean(xs, hs, w_h, dhs):
    """The mean over the copies, and not their sum."""
    return tuple(part / xs.shape[1] for part in _back(xs, hs, w_h, dhs))


def _bptt_local(xs, hs, w_h, dhs):
    """Nothing goes back through time."""
    return _back(xs, hs, w_h, dhs, through=False)


def _bptt_without_slope(xs, hs, w_h, dhs):
    """The slope of tanh is forgotten."""
    return _back(xs, hs, w_h, dhs, slope=False)


def _bptt_not_turned(xs, hs, w_h, dhs):
    """Back through w_h as it was forward."""
    return _back(xs, hs, w_h, dhs, turned=False)


def _bptt_wraps(xs, hs, w_h, dhs):
    """Before the first step stands the last one: index -1."""
    return _back(xs, hs, w_h, dhs, wrap=True)


def _bptt_only_last(xs, hs, w_h, dhs):
    """Only the loss of the last step is counted."""
    last = np.zeros_like(dhs)
    last[:, -1] = dhs[:, -1]
    return _back(xs, hs, w_h, last)


def _bptt_other_order(xs, hs, w_h, dhs):
    """The gradients of w_h and w_x change places."""
    dw_x, dw_h, db = _back(xs, hs, w_h, dhs)
    return dw_h, dw_x, db


def _all(gradients):
    return np.sqrt(sum((part**2).sum() for part in gradients))


def _clip_each(gradients, limit):
    """Each array by its own norm."""
    return [part * min(1, limit / max(_all([part]), 1e-12)) for part in gradients]


def _clip_values(gradients, limit):
    """Each number on its own: another direction."""
    return [np.clip(part, -limit, limit) for part in gradients]


def _clip_always(gradients, limit):
    """Short gradients are made longer."""
    norm = max(_all(gradients), 1e-12)
    return [part * limit / norm for part in gradients]


def _clip_square(gradients, limit):
    """The root is forgotten."""
    return [
        part * min(1, limit / max(_all(gradients) ** 2, 1e-12)) for part in gradients
    ]


def _clip_in_place(gradients, limit):
    """The caller's arrays are scaled."""
    factor = min(1, limit / max(_all(gradients), 1e-12))
    for part in gradients:
        part *= factor
    return gradients


def _lstm(x, h, c, w, u, b, order="ifgo"):
    size = h.shape[-1]
    sums = x @ w + h @ u + b
    gate = {name: sums[:, k * size : (k + 1) * size] for k, name in enumerate(order)}
    return (*(_sigmoid(gate[name]) for name in "ifo"), gate["g"])


def _lstm_other_order(x, h, c, w, u, b):
    """The blocks in the order i, f, o, g."""
    i, f, o, g = _lstm(x, h, c, w, u, b, order="ifog")
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def _lstm_sigmoid_candidate(x, h, c, w, u, b):
    """The candidate through a sigmoid too."""
    i, f, o, g = _lstm(x, h, c, w, u, b)
    c = f * c + i * _sigmoid(g)
    return o * np.tanh(c), c


def _lstm_without_input_gate(x, h, c, w, u, b):
    """Always written: the input gate is forgotten."""
    _, f, o, g = _lstm(x, h, c, w, u, b)
    c = f * c + np.tanh(g)
    return o * np.tanh(c), c


def _lstm_plain_output(x, h, c, w, u, b):
    """The cell is shown without tanh."""
    i, f, o, g = _lstm(x, h, c, w, u, b)
    c = f * c + i * np.tanh(g)
    return o * c, c


def _lstm_turned(x, h, c, w, u, b):
    """Cell and state change places."""
    i, f, o, g = _lstm(x, h, c, w, u, b)
    c = f * c + i * np.tanh(g)
    return c, o * np.tanh(c)


def _lstm_tied(x, h, c, w, u, b):
    """What is not kept is written: i = 1 - f."""
    _, f, o, g = _lstm(x, h, c, w, u, b)
    c = f * c + (1 - f) * np.tanh(g)
    return o * np.tanh(c), c


def _lstm_old_cell(x, h, c, w, u, b):
    """The state shows the cell of before."""
    i, f, o, g = _lstm(x, h, c, w, u, b)
    return o * np.tanh(c), f * c + i * np.tanh(g)


def _gru_parts(x, h, w, u, b_x, b_h):
    size = h.shape[-1]
    a, p = x @ w + b_x, h @ u + b_h
    one, two = np.split(_sigmoid(a + p)[:, : 2 * size], 2, axis=-1)
    return one, two, a[:, 2 * size :], p[:, 2 * size :]


def _gru_other_z(x, h, w, u, b_x, b_h):
    """z = 1 writes: the convention of the other half of the papers."""
    z, r, a, p = _gru_parts(x, h, w, u, b_x, b_h)
    return (1 - z) * h + z * np.tanh(a + r * p)


def _gru_other_order(x, h, w, u, b_x, b_h):
    """The blocks in the order r, z, n."""
    r, z, a, p = _gru_parts(x, h, w, u, b_x, b_h)
    return z * h + (1 - z) * np.tanh(a + r * p)


def _gru_reset_before(x, h, w, u, b_x, b_h):
    """r multiplies h and not the product: the first paper's form."""
    size = h.shape[-1]
    z, r, a, _ = _gru_parts(x, h, w, u, b_x, b_h)
    n = np.tanh(a + (r * h) @ u[:, 2 * size :] + b_h[2 * size :])
    return z * h + (1 - z) * n


def _gru_bias_outside(x, h, w, u, b_x, b_h):
    """The bias of the past is not reset with it."""
    size = h.shape[-1]
    z, r, a, p = _gru_parts(x, h, w, u, b_x, b_h)
    bias = b_h[2 * size :]
    return z * h + (1 - z) * np.tanh(a + r * (p - bias) + bias)


def _gru_without_reset(x, h, w, u, b_x, b_h):
    """The reset gate is forgotten."""
    z, _, a, p = _gru_parts(x, h, w, u, b_x, b_h)
    return z * h + (1 - z) * np.tanh(a + p)


def _count_without_bias(gates, inputs, hidden):
    """No biases."""
    return gates * (inputs * hidden + hidden * hidden)


def _count_one_block(gates, inputs, hidden):
    """One block, however many gates."""
    return inputs * hidden + hidden * hidden + hidden


def _count_one_bias(gates, inputs, hidden):
    """One bias for all gates."""
    return gates * (inputs + hidden) * hidden + hidden


def _count_unrolled(gates, inputs, hidden):
    """A matrix for each of eight steps."""
    return 8 * gates * (inputs + hidden + 1) * hidden


def _windows_in_a_row(stream, rows, length):
    """The rows of one window follow each other."""
    count = len(stream) // rows // length
    return stream[: count * rows * length].reshape(count, rows, length)


def _windows_rows_first(stream, rows, length):
    """Rows before windows."""
    count = len(stream) // rows // length
    return stream[: count * rows * length].reshape(rows, count, length)


def _windows_overlap(stream, rows, length):
    """Each window repeats the last note of the one before."""
    count = len(stream) // rows // length
    part = count * length
    starts = np.arange(rows) * part
    return np.stack(
        [
            np.stack([stream[s + k * (length - 1) :][:length] for s in starts])
            for k in range(count)
        ]
    )


def _windows_interleaved(stream, rows, length):
    """Each row takes every third note."""
    count = len(stream) // rows // length
    return stream[: count * rows * length].reshape(count, length, rows).swapaxes(1, 2)


WRONG = {
    "rnn_step": [
        _rnn_without_tanh,
        _rnn_turned,
        _rnn_without_bias,
        _rnn_in_place,
        _rnn_sigmoid,
    ],
    "stacked": [_stacked_input_first, _stacked_side_by_side, _stacked_block],
    "rnn_layer": [
        _layer_from_ones,
        _layer_amnesiac,
        _layer_late,
        _layer_last,
        _layer_time_first,
        _layer_backwards,
    ],
    "last_states": [_last_of_all, _last_off_by_one, _last_mean, _last_grid],
    "bptt": [
        _bptt_mean,
        _bptt_local,
        _bptt_without_slope,
        _bptt_not_turned,
        _bptt_wraps,
        _bptt_only_last,
        _bptt_other_order,
    ],
    "clip_by_norm": [
        _clip_each,
        _clip_values,
        _clip_always,
        _clip_square,
        _clip_in_place,
    ],
    "lstm_step": [
        _lstm_other_order,
        _lstm_sigmoid_candidate,
        _lstm_without_input_gate,
        _lstm_plain_output,
        _lstm_turned,
        _lstm_tied,
        _lstm_old_cell,
    ],
    "gru_step": [
        _gru_other_z,
        _gru_other_order,
        _gru_reset_before,
        _gru_bias_outside,
        _gru_without_reset,
    ],
    "parameter_count": [
        _count_without_bias,
        _count_one_block,
        _count_one_bias,
        _count_unrolled,
    ],
    "follow_on": [
        _windows_in_a_row,
        _windows_rows_first,
        _windows_overlap,
        _windows_interleaved,
    ],
}

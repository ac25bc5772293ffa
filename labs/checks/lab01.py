"""The laws of lab 01: cells, the way back through time, clipping, gates, windows."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="One sum of three parts, then tanh. Rows are items: x times w_x, h times w_h.",
    covers=("c01",),
)
def rnn_step(answer, rng):
    """A step of the cell: tanh of what the input says, the state says, and the bias."""
    x, h, w_x, w_h, b = _cell(rng, 3, 4, 5)
    kept = [part.copy() for part in (x, h, w_x, w_h, b)]
    answer(x, h, w_x, w_h, b)
    _untouched((x, h, w_x, w_h, b), kept, "x, h, w_x, w_h, b")
    close(
        answer(x, np.zeros_like(h), w_x, w_h, 0 * b),
        np.tanh(x @ w_x),
        "the new state from a zero state without a bias",
    )
    close(
        answer(0 * x, h, w_x, w_h, 0 * b),
        np.tanh(np.einsum("bi,ij->bj", h, w_h)),
        "the new state where the input is zero",
    )
    close(
        answer(0 * x, 0 * h, w_x, w_h, b),
        np.tanh(np.tile(b, (3, 1))),
        "the new state where input and state are zero",
    )
    close(
        answer(x, h, w_x, w_h, b),
        np.tanh(x @ w_x + h @ w_h + b),
        "the new state (3, 5)",
    )


@exercise(
    hint="The state comes first: [h, x] times the tall matrix is h w_h + x w_x.",
    covers=("c01",),
)
def stacked(answer, rng):
    """One matrix in place of two gives the same sum."""
    for inputs, hidden in ((4, 5), (3, 3)):
        x, h, w_x, w_h, _ = _cell(rng, 2, inputs, hidden)
        tall = np.asarray(answer(w_h, w_x), float)
        expect(
            tall.shape == (hidden + inputs, hidden),
            f"from {w_h.shape} and {w_x.shape} a matrix "
            f"{(hidden + inputs, hidden)} was expected, and it is {tall.shape}.",
        )
        close(
            np.concatenate([h, x], axis=1) @ tall,
            h @ w_h + x @ w_x,
            "[h, x] times your matrix",
        )


@exercise(
    hint="Start from zeros (B, D), step from column to column, keep every new state.",
    covers=("c01",),
)
def rnn_layer(answer, rng):
    """The cell along time: each state is made of the one before, the first of zeros."""
    for batch, steps in ((2, 6), (3, 1), (1, 4)):
        _, _, w_x, w_h, b = _cell(rng, batch, 3, 4)
        xs = rng.normal(size=(batch, steps, 3))
        kept = xs.copy()
        wanted, h = np.zeros((batch, steps, 4)), np.zeros((batch, 4))
        for t in range(steps):
            h = np.tanh(xs[:, t] @ w_x + h @ w_h + b)
            wanted[:, t] = h
        got = answer(xs, w_x, w_h, b)
        close(got, wanted, f"of {batch} items of {steps} steps, the state")
        expect(np.array_equal(xs, kept), "xs itself was changed.")
    later = xs.copy()
    later[:, -1] += 1
    close(
        np.asarray(answer(later, w_x, w_h, b))[:, :-1],
        wanted[:, :-1],
        "after the last input was changed, the state before it",
    )


@exercise(
    hint="The last real step of item b is lengths[b] - 1. One index for each row.",
    covers=("c21",),
)
def last_states(answer, rng):
    """Many to one: of each item the state at its own end, not at the padding's."""
    batch, steps, size = 5, 7, 3
    hs = rng.normal(size=(batch, steps, size))
    lengths = np.concatenate([[1, steps], rng.integers(2, steps, batch - 2)])
    close(
        answer(hs, lengths),
        np.stack([hs[b, n - 1] for b, n in enumerate(lengths)]),
        f"where the lengths are {lengths.tolist()}, the last state",
    )


@exercise(
    hint="Backwards: add dhs[:, t] to what came back, times 1 - h^2 is the gradient of "
    "the sum inside tanh. It feeds all three weights, and goes on through w_h turned.",
    points=3,
    covers=("c05",),
)
def bptt(answer, rng):
    """The gradient is the slope: moved a little, a weight changes the loss by it."""
    batch, steps, inputs, hidden = 2, 5, 3, 4
    _, _, w_x, w_h, b = _cell(rng, batch, inputs, hidden)
    xs = rng.normal(size=(batch, steps, inputs))
    dhs = rng.normal(size=(batch, steps, hidden))
    for case in ("only the last state counts", "every state counts"):
        if case.startswith("only"):
            given = np.zeros_like(dhs)
            given[:, -1] = dhs[:, -1]
        else:
            given = dhs
        parts = (w_x, w_h, b)
        hs = _states(xs, *parts)
        kept = [part.copy() for part in (xs, hs, w_h, given)]
        received = answer(xs, hs, w_h, given)
        _untouched((xs, hs, w_h, given), kept, "xs, hs, w_h, dhs")
        expect(
            len(received) == 3,
            f"three gradients were expected, and {len(received)} came.",
        )
        for name, place in (("b", 2), ("w_x", 0), ("w_h", 1)):
            close(
                received[place],
                _slope(xs, parts, place, given),
                f"where {case}, the gradient of {name}",
                tolerance=1e-5,
            )


@exercise(
    hint="One norm over all arrays together; one factor for all, and never above 1.",
    covers=("c07",),
)
def clip_by_norm(answer, rng):
    """Clipped, a gradient is short enough, and points where it did."""
    gradients = [rng.normal(size=(4, 3)) * 50, rng.normal(size=3), rng.normal(size=2)]
    kept = [part.copy() for part in gradients]
    norm = _norm(gradients)
    limit = float(rng.uniform(0.5, 2.0))
    clipped = [np.asarray(part, float) for part in answer(gradients, limit)]
    _untouched(gradients, kept, "the list of gradients")
    expect(len(clipped) == 3, f"3 arrays went in, {len(clipped)} came back.")
    seen = _norm(clipped)
    expect(
        abs(seen - limit) < 1e-4 * limit,
        f"a gradient of norm {norm:.4g} clipped to {limit:.4g} has the norm {seen:.4g}.",
    )
    for number, (one, other) in enumerate(zip(clipped, gradients, strict=True)):
        close(
            one,
            other * limit / norm,
            f"array {number} of the clipped gradient, which must keep its direction,",
            tolerance=1e-4,
        )
    short = [part / (2 * norm) * limit for part in gradients]
    for one, other in zip(answer(short, limit), short, strict=True):
        close(one, other, "a gradient half as long as the limit, clipped,")
    for one in answer([np.zeros(3)], limit):
        close(one, np.zeros(3), "a gradient of zeros, clipped,")


@exercise(
    hint="Split the four blocks in the order i, f, g, o; only g is a tanh. The cell is "
    "kept times f, and written times i.",
    points=2,
    covers=("c12",),
)
def lstm_step(answer, rng):
    """Gates: what is kept, what is written, what is shown."""
    batch, inputs, hidden = 2, 3, 4
    x, h, c = (rng.normal(size=(batch, n)) for n in (inputs, hidden, hidden))
    w = rng.normal(size=(inputs, 4 * hidden))
    u = rng.normal(size=(hidden, 4 * hidden))
    b = rng.normal(size=4 * hidden)
    kept = [part.copy() for part in (x, h, c)]
    held = np.repeat([-60.0, 60.0, 0.0, 60.0], hidden)  # i shut, f open, o open
    new_h, new_c = answer(x, h, c, 0 * w, 0 * u, held)
    close(new_c, c, "the cell where f = 1 and i = 0, so that nothing may change,")
    close(new_h, np.tanh(c), "the state where o = 1 and the cell is kept")
    wiped = np.repeat([60.0, -60.0, 0.0, 60.0], hidden)
    wiped[2 * hidden : 3 * hidden] = rng.normal(size=hidden)
    _, new_c = answer(x, h, c, 0 * w, 0 * u, wiped)
    close(
        new_c,
        np.tile(np.tanh(wiped[2 * hidden : 3 * hidden]), (batch, 1)),
        "the cell where f = 0 and i = 1, so that only g is in it,",
    )
    shut = np.repeat([0.0, 60.0, 1.0, -60.0], hidden)
    new_h, _ = answer(x, h, c, 0 * w, 0 * u, shut)
    close(new_h, np.zeros_like(h), "the state where o = 0")
    i, f, g, o = np.split(x @ w + h @ u + b, 4, axis=-1)
    wanted_c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    new_h, new_c = answer(x, h, c, w, u, b)
    close(new_c, wanted_c, "the new cell")
    close(new_h, _sigmoid(o) * np.tanh(wanted_c), "the new state")
    _untouched((x, h, c), kept, "x, h, c")


@exercise(
    hint="Two products of three blocks z, r, n: one of x and one of h, each with its "
    "bias. r multiplies the n block of the product of h. z = 1 keeps the state.",
    points=2,
    covers=("c13",),
)
def gru_step(answer, rng):
    """The update gate at 1 copies the state; the reset gate at 0 hides the past."""
    batch, inputs, hidden = 2, 3, 4
    x, h = rng.normal(size=(batch, inputs)), rng.normal(size=(batch, hidden))
    w = rng.normal(size=(inputs, 3 * hidden))
    u = rng.normal(size=(hidden, 3 * hidden))
    b_x, b_h = rng.normal(size=(2, 3 * hidden))
    kept = [part.copy() for part in (x, h)]
    close(
        answer(x, h, w, u, _blocks(b_x, hidden, z=2000.0), b_h),
        h,
        "the state after a step with z = 1, which must be the one before,",
    )
    fresh = _blocks(b_x, hidden, z=-2000.0, r=-2000.0)
    first = answer(x, h, w, u, fresh, b_h)
    other = answer(x, rng.normal(size=h.shape), w, u, fresh, b_h)
    close(
        other,
        np.asarray(first, float),
        "the state where z = 0 and r = 0, from another past,",
    )
    close(
        first,
        np.tanh((x @ w + fresh)[:, 2 * hidden :]),
        "the state where z = 0 and r = 0, of the input alone",
    )
    a, p = x @ w + b_x, h @ u + b_h
    z, r = np.split(_sigmoid(a + p)[:, : 2 * hidden], 2, axis=-1)
    n = np.tanh(a[:, 2 * hidden :] + r * p[:, 2 * hidden :])
    close(answer(x, h, w, u, b_x, b_h), z * h + (1 - z) * n, "the new state")
    _untouched((x, h), kept, "x, h")


@exercise(
    hint="Each gate has a matrix for the input, one for the state, and a bias.",
    covers=("c04", "c13"),
)
def parameter_count(answer, rng):
    """Weights of a layer: as many blocks as gates, and nothing that knows of time."""
    for _ in range(4):
        inputs, hidden = (int(n) for n in rng.integers(2, 40, 2))
        _, _, w_x, w_h, b = _cell(rng, 1, inputs, hidden)
        block = w_x.size + w_h.size + b.size
        for gates in (1, 3, 4):
            got = answer(gates, inputs, hidden)
            expect(
                np.ndim(got) == 0 and int(got) == gates * block,
                f"of gates={gates}, inputs={inputs}, hidden={hidden} it should be "
                f"{gates * block}; {got} came.",
            )


@exercise(
    hint="First cut the stream into `rows` long pieces; then cut all of these at once. "
    "What is left over at the end is not used.",
    covers=("c06",),
)
def follow_on(answer, rng):
    """Windows: each row goes on where the same row of the window before ended."""
    rows, length, count = 3, 4, int(rng.integers(3, 6))
    stream = np.cumsum(rng.integers(1, 9, rows * length * count + 5))
    part = len(stream) // rows // length * length  # what each row reads
    got = np.asarray(answer(stream.copy(), rows, length))
    expect(
        got.shape == (part // length, rows, length),
        f"a stream of {len(stream)} in {rows} rows of {length} gives the shape "
        f"{(part // length, rows, length)} (windows, rows, length); {got.shape} came.",
    )
    expect(
        all(
            len(set(row.tolist())) == part
            for row in got.swapaxes(0, 1).reshape(rows, -1)
        )
        and len(set(got.ravel().tolist())) == got.size,
        "a note stands in two places: windows do not overlap.",
    )
    for row in range(rows):
        said = got[:, row].ravel()
        at = int(np.searchsorted(stream, said[0]))
        wanted = stream[at : at + part]
        expect(
            np.array_equal(said, wanted),
            f"row {row}, read through all windows, should be the stream from {said[0]} "
            f"on, {wanted[:6].tolist()}, and begins {said[:6].tolist()}.",
        )


def _cell(rng, batch, inputs, hidden):
    """x, h, w_x, w_h and b of a cell."""
    return (
        rng.normal(size=(batch, inputs)),
        np.tanh(rng.normal(size=(batch, hidden))),
        rng.normal(size=(inputs, hidden)) / np.sqrt(inputs),
        rng.normal(size=(hidden, hidden)) / np.sqrt(hidden),
        rng.normal(size=hidden) / 2,
    )


def _states(xs, w_x, w_h, b):
    hs, h = [], np.zeros((len(xs), len(b)))
    for t in range(xs.shape[1]):
        h = np.tanh(xs[:, t] @ w_x + h @ w_h + b)
        hs.append(h)
    return np.stack(hs, axis=1)


def _slope(xs, parts, place, dhs, by=1e-5):
    """The gradient of sum(dhs * hs) by one weight, from differences of both sides."""
    slope = np.zeros_like(parts[place])
    for at in np.ndindex(slope.shape):
        losses = []
        for side in (by, -by):
            moved = [part.copy() for part in parts]
            moved[place][at] += side
            losses.append((dhs * _states(xs, *moved)).sum())
        slope[at] = (losses[0] - losses[1]) / (2 * by)
    return slope


def _norm(arrays):
    return float(np.sqrt(sum((np.asarray(part) ** 2).sum() for part in arrays)))


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _blocks(bias, hidden, **blocks):
    """A bias with the blocks of some gates set to one number."""
    bias = bias.copy()
    for name, value in blocks.items():
        place = "zrn".index(name)
        bias[place * hidden : (place + 1) * hidden] = value
    return bias


def _untouched(parts, kept, names):
    for part, before in zip(parts, kept, strict=True):
        expect(np.array_equal(part, before), f"one of {names} itself was changed.")

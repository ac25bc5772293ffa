"""The few functions of `keras.ops` that a step needs, in plain NumPy.

Importing TensorFlow takes seconds; a melody takes less. With this module in the place
of `keras.ops`, the same arithmetic composes before TensorFlow would have loaded.
`slice_update` writes in place, since a player's state is its own.
"""

import numpy as np
from numpy import (  # noqa: F401  (the namespace is the point)
    arange,
    argmax,
    concatenate,
    cos,
    cumsum,
    equal,
    exp,
    expand_dims,
    eye,
    flip,
    log,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    ones,
    pad,
    reshape,
    shape,
    sin,
    sort,
    split,
    sqrt,
    square,
    stack,
    sum,
    take,
    tanh,
    transpose,
    where,
    zeros,
    zeros_like,
)


def cast(x, dtype):
    return np.asarray(x).astype(dtype)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 0.5 * (np.tanh(0.5 * x) + 1)  # never overflows


def softplus(x):
    return np.logaddexp(0, x)


def softmax(x, axis=-1):
    weights = np.exp(x - x.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def log_softmax(x, axis=-1):
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def slice_update(inputs, start_indices, updates):
    window = tuple(
        slice(int(start), int(start) + size)
        for start, size in zip(start_indices, updates.shape, strict=True)
    )
    inputs[window] = updates
    return inputs


def stop_gradient(x):
    return x  # nothing is learnt here


def scan(f, init, xs):
    carry, outputs = init, []
    for x in xs:
        carry, y = f(carry, x)
        outputs.append(y)
    return carry, tuple(np.stack(column) for column in zip(*outputs, strict=True))


def cond(pred, true_fn, false_fn):
    return true_fn() if pred else false_fn()

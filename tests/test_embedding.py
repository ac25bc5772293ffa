"""Rows of a table, and the gradient that is a product."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from audio_models import numpy_ops
from audio_models.embedding import ONE_HOT, embedded


@pytest.mark.parametrize("size", [1, 23, ONE_HOT, ONE_HOT + 1])
@pytest.mark.parametrize("shape", [(5,), (3, 4), (0, 4)])
def test_rows_and_their_gradient_are_those_of_adding_one_by_one(size, shape):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(size, 6)).astype("float32")
    ids = rng.integers(0, min(size, 4), shape)  # the same rows many times
    upstream = rng.normal(size=(*shape, 6)).astype("float32")
    expected = np.zeros_like(table)
    np.add.at(expected, ids, upstream)

    variable = tf.Variable(table)
    for is_compiled in (False, True):
        run = tf.function(
            lambda x: embedded(ops, tf.convert_to_tensor(x), ids),
            jit_compile=is_compiled,
        )
        with tf.GradientTape() as tape:
            rows = run(variable)
            total = tf.reduce_sum(rows * upstream)
        np.testing.assert_array_equal(rows, table[ids])
        gradient = tf.convert_to_tensor(tape.gradient(total, variable))
        np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_array_equal(embedded(numpy_ops, table, ids), table[ids])

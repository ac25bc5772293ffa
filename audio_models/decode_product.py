"""A weight matrix laid out for products with few columns."""

import math

import numpy as np

# OpenBLAS shares larger products out among threads of its own. Those of one step gain
# little by it, and take several times as long once another process wants a core.
ALONE = 2**13  # numbers in a matrix, up to which it meets one column in one thread
ALONE_TIMES = 2**18  # and multiplications, for several columns
FEWEST_ROWS = 8  # smaller blocks are not worth their call


class Matrix:
    """A kernel (in, out) turned round, in blocks that one thread multiplies.

    Args:
        kernel: float32 array (in, out).
    """

    def __init__(self, kernel):
        self.size = kernel.shape[1]
        padding = -self.size % 32 if self.size > 32 else 0  # so that it can be cut
        self._rows = np.ascontiguousarray(np.pad(kernel, ((0, 0), (0, padding))).T)
        self._blocks = {}  # columns -> array (blocks, rows, in)

    def times(self, x):
        """float32 (in, columns) -> (out, columns), the columns side by side."""
        columns = x.shape[1]
        blocks = self._blocks.get(columns)
        if blocks is None:
            width, height = len(x), block_height(*self._rows.shape, columns)
            blocks = self._blocks[columns] = self._rows.reshape(-1, height, width)
        product = (blocks @ x).reshape(-1, columns)
        return product if len(product) == self.size else product[: self.size]


def block_height(m, n, columns):
    """How many rows of a matrix (m, n) to multiply at once; a divisor of m."""
    most = ALONE // n if columns == 1 else ALONE_TIMES // (n * columns)
    heights = range(min(most, m), FEWEST_ROWS - 1, -1)
    return next((height for height in heights if m % height == 0), m)


def normed(x):
    """x (D, columns), each column divided by its length: its root mean square is 1 / sqrt(D).

    The epsilon is that of RMSNorm, 1e-6 in the mean of the squares.
    """
    if x.shape[1] == 1:
        return x * (1 / math.sqrt(float(np.vdot(x, x)) + len(x) * 1e-6))
    length = np.vecdot(x, x, axis=0)
    length += len(x) * 1e-6
    return x / np.sqrt(length, out=length)


def after_norm(kernel, scale):
    """The `Matrix` that makes of `normed` x what ``(RMSNorm(x) * scale) @ kernel`` is."""
    return Matrix(kernel * (math.sqrt(len(scale)) * scale[:, None]))

"""Where a token stands: four ways of telling a Transformer.

Attention alone sees a set. Turning queries and keys (`rotate`) or adding a learnt score
for each distance (`relative_scores`) tells it how far back a token lies; adding a vector
of its place to the token's own (`sinusoids`, or a learnt table) tells it which one it is.
"""


def rotation(ops, positions, width):
    """The angles of places: cos and sin, each (T, width / 2).

    Pair p turns by ``10000 ** (-2 p / width)`` a place: the first once in 2 pi places,
    the last about once in 2 pi 10,000.

    Args:
        ops: array namespace, `keras.ops` or `numpy_ops`.
        positions: int array (T,).
        width: int, even.
    """
    pairs = ops.cast(ops.arange(width // 2), "float32") / (width // 2)
    speed = 10_000.0**-pairs
    angle = ops.cast(positions, "float32")[:, None] * speed[None, :]
    return ops.cos(angle), ops.sin(angle)


def rotate(ops, x, rotation):
    """Turn each pair of numbers of x (..., T, width) by its place's angle.

    The product of two vectors so turned depends on the distance of their places alone.
    Pair p is numbers p and p + width / 2.

    Reference:
        Su et al. 2021, https://arxiv.org/abs/2104.09864, where a pair is two neighbours.
    """
    cos, sin = (ops.cast(part, x.dtype) for part in rotation)
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate(
        [first * cos - second * sin, first * sin + second * cos], axis=-1
    )


def sinusoids(ops, positions, width):
    """float32 array (T, width): sines of the angles of `rotation`, then cosines.

    Reference:
        Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5, where sines
        and cosines alternate.
    """
    cos, sin = rotation(ops, positions, width)
    return ops.concatenate([sin, cos], axis=-1)


def relative_scores(ops, q, by_distance):
    """What each query gives to each distance, laid out as query by key.

    Naively the embedding of each pair's distance is gathered first, (n, m, D) numbers a
    head. Here each query meets each distance once, (n, m) numbers, and every row is then
    shifted so that a distance comes to stand under its key: pad, and read the same
    memory as rows of another length. Keys after their query get a number with no
    meaning, to be masked.

    Args:
        ops: array namespace.
        q: float array (B, heads, n, D), the queries of the last n places of m.
        by_distance: float array (heads, m, D), the farthest first: m - 1, ..., 0 back.

    Returns:
        float array (B, heads, n, m): ``q[i] . by_distance[m - 1 - distance(i, j)]``.

    Reference:
        Huang et al. 2018, Music Transformer, https://arxiv.org/abs/1809.04281, section
        3.4.1; here for blocks of queries too.
    """
    heads, rows, columns = q.shape[1], ops.shape(q)[2], ops.shape(by_distance)[1]
    scores = ops.matmul(q, ops.transpose(by_distance, (0, 2, 1)))  # (B, heads, n, m)
    scores = ops.pad(scores, ((0, 0), (0, 0), (0, 0), (1, 0)))  # (B, heads, n, m + 1)
    scores = ops.reshape(scores, (-1, heads, rows * (columns + 1)))
    return ops.reshape(scores[:, :, rows:], (-1, heads, rows, columns))

"""Dropout whose coin tosses cost almost nothing on a CPU."""

import math

from keras import ops


def dropout(x, rate, seeds, shape=None):
    """Zero a share of the numbers, and make up for it in the others.

    A counter is hashed to 32 bits for each number, some ten integer operations that a
    compiler fuses with what comes before and after. `keras.random.dropout` draws by
    Philox or Threefry, which is sound for any use and, compiled for a CPU, took three
    quarters of a training step.

    Args:
        x: float tensor.
        rate: float in [0, 1), the share to lose.
        seeds: `keras.random.SeedGenerator`, moved on by one draw.
        shape: tuple that broadcasts to that of x: where it is 1, one toss counts for
            all. By default every number has its own.

    Returns:
        Tensor like x.

    Reference:
        Srivastava et al. 2014; the hash is "lowbias32" of Wellons 2018,
        https://nullprogram.com/blog/2018/07/31/.
    """
    keep = _bits(ops.shape(x) if shape is None else shape, seeds) >= int(rate * 2**31)
    return ops.where(keep, x / (1 - rate), ops.zeros_like(x))


def uniform(shape, seeds):
    """float32 tensor of `shape` in [0, 1), by the same hash; seeds: as for `dropout`."""
    return ops.cast(_bits(shape, seeds) // 256, "float32") / 2**23


def _bits(shape, seeds):
    # int32 in 0..2^31 - 1, one a number.
    seed = ops.cast(seeds.next(), "int32")
    key = _hash(_hash(seed[0]) + seed[1])
    count = ops.reshape(ops.arange(math.prod(shape), dtype="int32"), shape)
    bits = _hash(count * -1640531535 + key)  # 2^32 / golden ratio: neighbours far apart
    return ops.bitwise_and(bits, 0x7FFFFFFF)


def _hash(bits):
    # int32 wraps around as uint32 does; not every backend multiplies uint32.
    bits = ops.bitwise_xor(bits, _shifted(bits, 16)) * 0x7FEB352D
    bits = ops.bitwise_xor(bits, _shifted(bits, 15)) * -2073254261  # 0x846CA68B
    return ops.bitwise_xor(bits, _shifted(bits, 16))


def _shifted(bits, by):
    # To the right, zeros coming in: int32 would bring in its sign.
    return ops.bitwise_and(ops.right_shift(bits, by), (1 << (32 - by)) - 1)

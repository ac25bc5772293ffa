"""Teaching a machine with a memory to say again what it was told.

In the copy task vectors of random bits come in, then a flag goes up and nothing more
comes: now the same vectors are wanted, in their order.
"""

import numpy as np

from audio_models import numpy_ops

# What share of the steps ends with which share of the longest length: short ones first.
LADDER = ((0.15, 0.25), (0.3, 0.5), (1.0, 1.0))


def copies(rng, lengths, *, bits=8, times=1, longest=None):
    """The copy task, or the repeat task: the motif is wanted once, or again and again.

    Args:
        rng: `numpy.random.Generator`.
        lengths: int array (B,), vectors of each row, at least 1.
        bits: int.
        times: int, how often each row is wanted.
        longest: int or None, for how many vectors there is room; the longest of
            `lengths` by default.

    Returns:
        (x (B, T, bits + 1), y (B, T, bits), mask (B, T)), float32 of zeros and ones,
        T = (1 + times) longest: what comes in, the flag last; what is wanted; and 1
        where it is. A row's end is followed by silence with the flag down. If the motif
        is wanted more than once, x has a number more, 1 where it begins and begins again.

    Reference:
        Graves et al. 2014, https://arxiv.org/abs/1410.5401, sections 4.1 and 4.2. There
        the flag goes up for one step; here it stays, so that a vector of zeros is not
        silence. There a number says how often, and the end is to be told; here both are
        shown, while it goes on.
    """
    lengths = np.asarray(lengths)
    longest = int(lengths.max()) if longest is None else longest
    rows, steps = len(lengths), (1 + times) * longest
    x = np.zeros((rows, steps, bits + 1 + (times > 1)), "float32")
    y = np.zeros((rows, steps, bits), "float32")
    mask = np.zeros((rows, steps), "float32")
    for row, length in enumerate(lengths):
        end = (1 + times) * length
        motif = rng.integers(0, 2, (length, bits))
        x[row, :length, :bits] = motif
        x[row, length:end, bits] = 1
        if times > 1:
            x[row, 0:end:length, bits + 1] = 1
        y[row, length:end] = np.tile(motif, (times, 1))
        mask[row, length:end] = 1
    return x, y, mask


def wrong_bits(logits, y, mask):
    """How many bits of each row were wrong, cut at one half: int array (B,).

    Args:
        logits, y: float arrays (B, T, bits).
        mask: float array (B, T), 1 where something was wanted.
    """
    wrong = (logits > 0) != (y > 0.5)
    return (wrong * (mask[..., None] > 0)).sum(axis=(1, 2))


def wrong_bits_at(architecture, weights, length, *, count=50, bits=8, times=1, seed=0):
    """Wrong bits a sequence, the mean over `count` new ones of one length: float."""
    rng = np.random.default_rng([seed, length])
    x, y, mask = copies(rng, [length] * count, bits=bits, times=times)
    logits, _ = architecture.forward(numpy_ops, weights, x)
    return float(wrong_bits(logits, y, mask).mean())


def fit_copies(
    architecture,
    *,
    steps,
    longest=20,
    bits=8,
    times=1,
    batch_size=16,
    learning_rate=1e-3,
    seed=0,
    minutes=None,
    ladder=LADDER,
    watch=None,
):
    """Teach an architecture the copy task, lengths 1 to `longest`, short ones first.

    Adam, its rate falling along a cosine; each gradient is cut at 10, as in the paper.

    Args:
        architecture: `memory.NeuralTuringMachine` or `memory.VectorLSTM`.
        steps: int, batches.
        longest, bits, times, batch_size, seed: int, of the task and of the training.
        learning_rate: float, the first.
        minutes: float or None, processor minutes after which it ends, too.
        ladder: tuple of (share of the steps, share of `longest`): up to that share of
            the steps no sequence is longer than that share of `longest`.
        watch: function of (step, nats a bit), called every hundred steps, or None.

    Returns:
        (dict of name -> float32 array, list of nats a bit, one a step).
    """
    import time

    import keras

    from audio_models.network import Network

    network = Network(architecture, seed=seed)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps, alpha=0.05)
    optimizer = keras.optimizers.Adam(schedule, clipvalue=10.0)
    optimizer.build(network.trainable_variables)
    step = _compiled_step(network, optimizer)
    rng = np.random.default_rng([seed, 1])
    began, losses = time.process_time(), []
    for number in range(steps):
        share = next(part for end, part in ladder if number < end * steps)
        top = max(1, round(share * longest))
        lengths = rng.integers(1, top + 1, batch_size)
        x, y, mask = copies(rng, lengths, bits=bits, times=times, longest=top)
        losses.append(float(step(x, y, mask)))
        if watch is not None and number % 100 == 99:
            watch(number + 1, float(np.mean(losses[-100:])))
        if minutes is not None and time.process_time() - began > 60 * minutes:
            break
    return network.named_weights(), losses


def _compiled_step(network, optimizer):
    import tensorflow as tf

    forward = _looped if hasattr(network.architecture, "slots") else _at_once

    @tf.function(jit_compile=True, autograph=False)
    def step(x, y, mask):
        with tf.GradientTape() as tape:
            logits = forward(network, x)
            nats = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
            wanted = tf.reduce_sum(mask) * y.shape[-1]
            loss = tf.reduce_sum(nats * mask[..., None]) / wanted
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    def on_arrays(*arrays):
        return step(*map(tf.constant, arrays))

    return on_arrays


def _at_once(network, x):
    return network(x)


def _looped(network, x):
    # One loop for the compiler: written out step by step it compiles for minutes.
    import tensorflow as tf
    from keras import ops

    weights = {k: tf.convert_to_tensor(v) for k, v in network._named.items()}
    length = x.shape[1]
    xs = tf.TensorArray(tf.float32, length).unstack(tf.transpose(x, (1, 0, 2)))

    def step(t, said, *state):
        logits, state = network.architecture.step(ops, weights, xs.read(t), state)
        return t + 1, said.write(t, logits), *state

    begin = (0, tf.TensorArray(tf.float32, length))
    state = network.architecture.start(ops, x.shape[0])
    _, said, *_ = tf.while_loop(
        lambda t, *_: t < length, step, (*begin, *state), maximum_iterations=length
    )
    return tf.transpose(said.stack(), (1, 0, 2))

"""Lab 08: how a head finds its slot, writes and reads, and how a copy is judged."""

import numpy as np

from labs.exercises import close, exercise, expect


@exercise(
    hint="Cosine: the dot product over both lengths. Then a softmax over the slots.",
    points=2,
    covers=("e05",),
)
def content_weights(answer, rng):
    """softmax(strength * cosine(key, slot)): a weight for each slot, which sum to 1."""
    memory, key = rng.normal(size=(6, 4)), rng.normal(size=4)
    memory *= rng.uniform(0.2, 9, (6, 1))
    kept = memory.copy(), key.copy()
    strength = float(rng.uniform(2, 6))
    got = answer(key, strength, memory)
    expect(got is not None, "It gives None. Is a `return` missing?")
    got = np.asarray(got, float)
    expect(
        got.shape == (6,),
        f"Six slots of 4 numbers need 6 weights. Received the shape {got.shape}",
    )
    expect(
        abs(got.sum() - 1) < 1e-6,
        f"The weights of the slots sum to 1. Received: {got.sum():.4f}",
    )
    close(
        answer(5 * key, strength, memory),
        got,
        "the weights for a key five times as long (a direction counts, not a length)",
        tolerance=1e-4,
    )
    close(got, _found(key, strength, memory), "the weights of six slots",
          tolerance=1e-4)  # fmt: skip
    expect(
        (memory == kept[0]).all() and (key == kept[1]).all(),
        "The memory or the key that was handed in was changed.",
    )
    close(
        answer(key, 1e-9, memory),
        np.full(6, 1 / 6),
        "the weights at a strength of nearly 0: every slot alike",
    )
    empty = memory.copy()
    empty[2] = 0
    found = np.asarray(answer(key, strength, empty), float)
    expect(
        np.isfinite(found).all(),
        "A slot of zeros gives a weight that is no number: add a hair to the product "
        "of the lengths before you divide.",
    )
    close(
        answer(key, 2000.0, memory),
        _found(key, 2000.0, memory),
        "the weights at a strength of 2000",
        tolerance=1e-3,
    )


@exercise(hint="gate of what was found, and one minus gate of what was before.")
def stay_or_jump(answer, rng):
    """gate * found + (1 - gate) * before: still a weight for each slot, summing to 1."""
    found, before = rng.dirichlet(np.ones(5), 2)
    kept = found.copy(), before.copy()
    gate = float(rng.uniform(0.1, 0.4))
    close(
        answer(gate, found, before),
        gate * found + (1 - gate) * before,
        f"the weights at a gate of {gate:.2f}",
    )
    close(answer(1.0, found, before), found, "a gate of 1: what was found")
    close(answer(0.0, found, before), before, "a gate of 0: where the head stood")
    expect(
        (found == kept[0]).all() and (before == kept[1]).all(),
        "The weights that were handed in were changed.",
    )


@exercise(
    hint="np.roll(weights, 1) moves all one slot on. Mix three such rows by `moves`.",
    points=2,
    covers=("e05",),
)
def shift(answer, rng):
    """Slot i gets what i - s had, for each move s of -1, 0 and 1, round the end."""
    weights = rng.dirichlet(np.ones(6))
    kept = weights.copy()
    for number, moved in enumerate((-1, 0, 1)):
        one = np.zeros(3)
        one[number] = 1
        got = answer(weights, one)
        expect(got is not None, "It gives None. Is a `return` missing?")
        wanted = np.array([weights[(i - moved) % 6] for i in range(6)])
        close(got, wanted, f"the weights after all of a move by {moved:+d}")
        expect(
            np.array_equal(np.asarray(got, float), wanted),
            f"A move by {moved:+d} must be exact, to the last bit.",
        )
    moves = rng.dirichlet(np.ones(3))
    wanted = [
        sum(moves[s + 1] * weights[(i - s) % 6] for s in (-1, 0, 1)) for i in range(6)
    ]
    close(answer(weights, moves), wanted, "the weights after a bit of each move")
    expect((weights == kept).all(), "The weights that were handed in were changed.")


@exercise(hint="Each weight to the power, then all over their sum.")
def sharpen(answer, rng):
    """w^power over the sum of them all: the largest gains, and they sum to 1 again."""
    weights = rng.dirichlet(np.ones(5))
    kept = weights.copy()
    power = float(rng.uniform(2, 5))
    got = answer(weights, power)
    expect(got is not None, "It gives None. Is a `return` missing?")
    total = np.asarray(got, float).sum()
    expect(abs(total - 1) < 1e-6, f"They sum to 1 again. Received: {total:.4f}")
    close(got, weights**power / (weights**power).sum(), f"the power {power:.2f}")
    close(answer(weights, 1.0), weights, "the power 1, which changes nothing")
    hard = np.array([0.0, 1.0, 0.0])
    close(answer(hard, power), hard, "a head that stands on one slot")
    expect((weights == kept).all(), "The weights that were handed in were changed.")


@exercise(
    hint="np.outer(weights, erase) is what share of each number goes; likewise add.",
    points=2,
    covers=("e05",),
)
def erase_add(answer, rng):
    """memory * (1 - weight * erase) + weight * add, for each slot and each number."""
    memory, add = rng.normal(size=(5, 3)), rng.normal(size=3)
    kept = memory.copy()
    weights, erase = rng.dirichlet(np.ones(5)), rng.random(3)
    wanted = np.empty((5, 3))
    for slot in range(5):
        for i in range(3):
            wanted[slot, i] = memory[slot, i] * (1 - weights[slot] * erase[i])
            wanted[slot, i] += weights[slot] * add[i]
    close(answer(memory, weights, erase, add), wanted, "five slots after a soft write")
    expect((memory == kept).all(), "The memory that was handed in was changed.")
    there = np.eye(5)[3]
    over = memory.copy()
    over[3] = add
    close(
        answer(memory, there, np.ones(3), add),
        over,
        "a head on slot 3 that erases all and adds: the others stay as they are",
    )
    close(
        answer(memory, weights, np.zeros(3), np.zeros(3)),
        memory,
        "nothing erased and nothing added",
    )


@exercise(hint="weights @ memory.", covers=("e05",))
def read_memory(answer, rng):
    """The mean of the slots, each with its weight: as many numbers as a slot has."""
    memory, weights = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(5))
    close(answer(memory, weights), weights @ memory, "what is read of five slots")
    slot = int(rng.integers(5))
    close(
        answer(memory, np.eye(5)[slot]),
        memory[slot],
        f"what a head that stands on slot {slot} reads",
    )
    square = rng.normal(size=(4, 4))
    one = np.eye(4)[1]
    close(answer(square, one), square[1], "slot 1 of four slots of 4 numbers")


@exercise(hint="Cut the chances at one half, compare, and count over steps and bits.")
def bits_wrong(answer, rng):
    """How many bits of each sequence come out wrong, cut at one half: counts (B,)."""
    wanted = rng.integers(0, 2, (4, 6, 5))
    flips = rng.random(wanted.shape) < 0.3
    flips[1] = False
    told = np.where(flips, 1 - wanted, wanted)
    chances = np.where(told == 1, rng.uniform(0.51, 1, told.shape),
                       rng.uniform(0, 0.49, told.shape))  # fmt: skip
    kept = chances.copy()
    close(
        answer(chances, wanted),
        flips.sum(axis=(1, 2)),
        "the wrong bits of four sequences of 6 steps, 5 bits each",
    )
    close(answer(wanted.astype(float), wanted), np.zeros(4), "a copy without a fault")
    expect((chances == kept).all(), "The chances that were handed in were changed.")


def _found(key, strength, memory):
    cosines = [slot @ key / np.sqrt((slot @ slot) * (key @ key)) for slot in memory]
    powers = np.exp(strength * (np.array(cosines) - max(cosines)))
    return powers / powers.sum()

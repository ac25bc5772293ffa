"""Lab 08: what people write before it is right."""

import numpy as np


def softmax(scores):
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def cosines(key, memory):
    lengths = np.linalg.norm(memory, axis=1) * np.linalg.norm(key)
    return memory @ key / (lengths + 1e-12)


def by_the_dot(key, strength, memory):
    """The dot product: a long slot wins."""
    return softmax(strength * (memory @ key))


def over_the_slot_alone(key, strength, memory):
    """Divided by the length of the slot and not of the key."""
    return softmax(strength * (memory @ key) / np.linalg.norm(memory, axis=1))


def no_softmax(key, strength, memory):
    """The cosines over their sum."""
    found = strength * cosines(key, memory)
    return found / found.sum()


def no_strength(key, strength, memory):
    """The strength is forgotten."""
    return softmax(cosines(key, memory))


def divided_by_strength(key, strength, memory):
    """Strength taken for a temperature."""
    return softmax(cosines(key, memory) / strength)


def hardest(key, strength, memory):
    """All to the best slot."""
    return np.eye(len(memory))[cosines(key, memory).argmax()]


def nothing_over_nothing(key, strength, memory):
    """A slot of zeros is divided by its length."""
    lengths = np.linalg.norm(memory, axis=1) * np.linalg.norm(key)
    return softmax(strength * (memory @ key) / lengths)


def overflows(key, strength, memory):
    """Nothing is taken off before the exponential."""
    powers = np.exp(strength * cosines(key, memory))
    return powers / powers.sum()


def one_length_for_all(key, strength, memory):
    """Divided by the length of the whole memory."""
    return softmax(strength * (memory @ key) / np.linalg.norm(memory))


def the_other_way(gate, found, before):
    """1 stays and 0 jumps."""
    return (1 - gate) * found + gate * before


def added(gate, found, before):
    """What was before is kept whole."""
    return gate * found + before


def half_and_half(gate, found, before):
    """The gate is not asked."""
    return (found + before) / 2


def shut_or_open(gate, found, before):
    """The gate is cut at one half."""
    return found if gate > 0.5 else before


def rolled(weights, moves, order):
    return sum(m * np.roll(weights, s) for m, s in zip(moves, order, strict=True))


def turned_round(weights, moves):
    """The first of the moves goes on, not back."""
    return rolled(weights, moves, (1, 0, -1))


def from_zero(weights, moves):
    """Moves by 0, 1 and 2."""
    return rolled(weights, moves, (0, 1, 2))


def off_the_end(weights, moves):
    """What leaves at the end does not come in at the start."""
    return np.convolve(weights, moves, "same")


def the_likeliest(weights, moves):
    """All goes by the largest of the moves."""
    return np.roll(weights, np.argmax(moves) - 1)


def on_only(weights, moves):
    """The move back is forgotten."""
    return moves[1] * weights + moves[2] * np.roll(weights, 1)


def by_fft(weights, moves):
    """Right but for the last bit: a shift by one is not exact."""
    kernel = np.zeros(len(weights))
    kernel[[-1, 0, 1]] = moves
    return np.real(np.fft.ifft(np.fft.fft(weights) * np.fft.fft(kernel))) + 1e-12


def times_power(weights, power):
    """Times the power: the sum takes it out again."""
    return weights * power / (weights * power).sum()


def no_sum(weights, power):
    """They no longer sum to 1."""
    return weights**power


def softer(weights, power):
    """The root in place of the power."""
    raised = weights ** (1 / power)
    return raised / raised.sum()


def softmaxed(weights, power):
    """A softmax of the weights times the power."""
    return softmax(weights * power)


def raised_in_place(weights, power):
    """The row of the caller is changed."""
    weights **= power
    weights /= weights.sum()
    return weights


def erases_everywhere(memory, weights, erase, add):
    """Every slot is wiped, wherever the head stands."""
    return memory * (1 - erase) + np.outer(weights, add)


def adds_everywhere(memory, weights, erase, add):
    """Every slot gets the new."""
    return memory * (1 - np.outer(weights, erase)) + add


def adds_first(memory, weights, erase, add):
    """The new is wiped with the old."""
    return (memory + np.outer(weights, add)) * (1 - np.outer(weights, erase))


def keeps_what_goes(memory, weights, erase, add):
    """What should go stays, and the rest goes."""
    return memory * np.outer(weights, erase) + np.outer(weights, add)


def no_erasing(memory, weights, erase, add):
    """It only adds."""
    return memory + np.outer(weights, add)


def writes_in_place(memory, weights, erase, add):
    """The memory of the caller is changed."""
    memory *= 1 - np.outer(weights, erase)
    memory += np.outer(weights, add)
    return memory


def the_best_slot(memory, weights):
    """The slot of the largest weight, whole."""
    return memory[np.argmax(weights)]


def wrong_axis(memory, weights):
    """The mean runs over the numbers of a slot."""
    return memory.T[: len(memory)].T @ np.resize(weights, memory.shape[1])


def not_summed(memory, weights):
    """A matrix: each slot times its weight."""
    return weights[:, None] * memory


def over_how_many(memory, weights):
    """Divided by how many slots there are."""
    return weights @ memory / len(weights)


def a_share(chances, wanted):
    """The share of wrong bits, not how many."""
    return ((chances > 0.5) != wanted).mean(axis=(1, 2))


def all_together(chances, wanted):
    """One number for all the sequences."""
    return ((chances > 0.5) != wanted).sum()


def by_steps(chances, wanted):
    """How many steps have a wrong bit."""
    return ((chances > 0.5) != wanted).any(axis=2).sum(axis=1)


def how_far(chances, wanted):
    """The distances, not cut at one half."""
    return np.abs(chances - wanted).sum(axis=(1, 2))


def right_ones(chances, wanted):
    """Those that are right."""
    return ((chances > 0.5) == wanted).sum(axis=(1, 2))


def cut_at_zero(chances, wanted):
    """Cut at 0, as logits would be."""
    return ((chances > 0) != wanted).sum(axis=(1, 2))


WRONG = {
    "content_weights": [
        by_the_dot, over_the_slot_alone, no_softmax, no_strength, divided_by_strength,
        hardest, nothing_over_nothing, overflows, one_length_for_all,
    ],
    "stay_or_jump": [the_other_way, added, half_and_half, shut_or_open],
    "shift": [
        turned_round, from_zero, off_the_end, the_likeliest, on_only, by_fft,
    ],
    "sharpen": [times_power, no_sum, softer, softmaxed, raised_in_place],
    "erase_add": [
        erases_everywhere, adds_everywhere, adds_first, keeps_what_goes, no_erasing,
        writes_in_place,
    ],
    "read_memory": [the_best_slot, wrong_axis, not_summed, over_how_many],
    "bits_wrong": [
        a_share, all_together, by_steps, how_far, right_ones, cut_at_zero,
    ],
}  # fmt: skip

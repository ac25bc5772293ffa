"""Q8: a machine with a memory says again what it was told, and an LSTM beside it.

Vectors of eight random bits, 1 to 20 of them, are to be said again; counted is how many
bits of a sequence are wrong, over new sequences of each length. Both learn by the same
steps. The memory is made larger for lengths that were not taught: no weight knows its
size, and a head that only ever goes on by one slot has somewhere to go.

``python -m studio.bench_copy labs/copier.npz`` writes the weights of both, and those of
a small machine that repeats motifs: lab 8 shows them.
"""

import sys
import time
from dataclasses import replace

import numpy as np

from audio_models.memory import NeuralTuringMachine, VectorLSTM

SEED, TEST_SEED = 1, 2
BITS, LONGEST = 8, 20
STEPS = 12_000
SEQUENCES = 200  # of each length
TAUGHT = tuple(range(1, LONGEST + 1))
BEYOND = (40, 80, 120)
TARGET = 0.1  # wrong bits a sequence, at lengths that were taught
MACHINE = NeuralTuringMachine(BITS + 1, BITS, slots=32, controller="feedforward")
REPEATER = NeuralTuringMachine(
    6, 4, slots=16, width=16, hidden_dim=64, controller="feedforward"
)
CONTROL = VectorLSTM(BITS + 1, BITS, hidden_dim=128)


def copy(steps=STEPS, sequences=SEQUENCES, watch=print):
    """Wrong bits a sequence: at lengths that were taught, at 40, and at 120.

    Returns:
        list of three rows, as the record holds them.
    """
    machine, machine_seconds = taught(MACHINE, steps, watch)
    control, control_seconds = taught(CONTROL, steps, watch)
    seconds = {"machine": round(machine_seconds), "LSTM": round(control_seconds)}
    return rows(machine, control, sequences, steps=steps, cpu_seconds=seconds)


def rows(machine, control, sequences=SEQUENCES, **extra):
    """What the record holds of the weights of both."""
    lengths = (*TAUGHT, *BEYOND)
    ours = {n: wrong_at(MACHINE, machine, n, sequences) for n in lengths}
    theirs = {n: wrong_at(CONTROL, control, n, sequences) for n in lengths}

    def row(name, lengths, target):
        value, beside = (np.mean([t[n] for n in lengths]) for t in (ours, theirs))
        # No bit wrong counts as one in all the sequences, for the ratio.
        least = 1 / (sequences * len(lengths))
        return {
            "id": f"Q8 copy task, {name}",
            "value": round(float(value), 4),
            "unit": "wrong bits",
            "baseline": f"LSTM {CONTROL.hidden_dim}, the same steps",
            "baseline_value": round(float(beside), 3),
            "ratio": float(f"{max(value, least) / max(beside, least):.3g}"),
            "target": target,
            "seed": SEED,
            "extra": {
                "sequences of each length": sequences,
                "machine, by length": {str(n): ours[n] for n in lengths},
                "LSTM, by length": {str(n): theirs[n] for n in lengths},
                **extra,
            },
        }

    return [
        row("lengths 1 to 20 as taught", TAUGHT, TARGET),
        row("length 40", (40,), 1.0),
        row("length 120", (120,), 1.0),
    ]


def taught(architecture, steps=STEPS, watch=None):
    """Train one of the two: (dict of name -> float32 array, CPU seconds)."""
    from audio_models.memory_training import fit_copies

    began = time.process_time()

    def tell(step, nats):
        if watch and step % 1000 == 0:
            watch(f"step {step}: {nats:.4f} nats a bit")

    weights, _ = fit_copies(
        architecture, steps=steps, longest=LONGEST, bits=BITS, seed=SEED, watch=tell
    )
    return weights, time.process_time() - began


def taught_to_repeat():
    """The weights of `REPEATER`: motifs of 1 to 6 vectors of four bits, three times."""
    from audio_models.memory_training import fit_copies

    return fit_copies(
        REPEATER,
        steps=3000,
        longest=6,
        bits=4,
        times=3,
        ladder=((0.3, 0.5), (1, 1)),
        learning_rate=2e-3,
        seed=SEED,
    )[0]


def wrong_at(architecture, weights, length, sequences=SEQUENCES):
    """Wrong bits a sequence at one length, the memory large enough for it."""
    from audio_models.memory_training import wrong_bits_at

    if isinstance(architecture, NeuralTuringMachine):
        architecture = enlarged(architecture, length)
    found = wrong_bits_at(
        architecture, weights, length, count=sequences, bits=BITS, seed=TEST_SEED
    )
    return round(found, 4)


def enlarged(machine, length):
    """The same machine with as many slots as a length needs, and some to spare."""
    return replace(machine, slots=max(machine.slots, length + 12))


def main(path):
    """Write the weights of all three into one NPZ file."""
    networks = {
        "machine": taught(MACHINE, watch=print)[0],
        "control": taught(CONTROL, watch=print)[0],
        "repeater": taught_to_repeat(),
    }
    named = {
        f"{name}/{key}": array
        for name, weights in networks.items()
        for key, array in weights.items()
    }
    np.savez_compressed(path, **named)


if __name__ == "__main__":
    main(sys.argv[1])

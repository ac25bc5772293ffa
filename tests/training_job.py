"""Twenty steps of a small run, told as JSON: arguments are devices and a file to write.

Started by test_parallel.py, alone or on several hosts; imported there for comparison.
"""

import json
import sys

import numpy as np

from audio_models.network import Network
from audio_models.parallel import open_devices
from audio_models.recurrent import LSTM
from audio_models.training import Plan, log_likelihood, train

STEPS = 20
PLAN = Plan(epochs=2, batch_size=4, learning_rate=1e-2, clip_norm=0.05)


def batches(epoch, first):
    """Ten batches whose rows have 1 to 16 real tokens, the first ones many more."""
    rng = np.random.default_rng([7, epoch])
    for number in range(STEPS // 2):
        ids = rng.integers(4, 12, (4, 17)).astype("int32")
        lengths = np.array([16, rng.integers(8, 17), rng.integers(1, 4), 1])
        mask = (np.arange(16) < lengths[:, None]).astype("float32")
        if number >= first:
            yield ids[:, :-1], ids[:, 1:], mask


def held_out(network):
    nats, tokens = log_likelihood(network, batches(99, 0))
    return -nats / tokens


def run(devices):
    """Train on devices; gives losses, held-out losses and the weights at the end."""
    losses = []

    class Told(type(devices)):
        def learn(self, *batch):
            losses.append(super().learn(*batch))
            return losses[-1]

    devices.__class__ = Told
    network = Network(LSTM(12, 8, 16, 1), seed=3)
    progress = train(network, PLAN, batches, STEPS // 2, held_out, devices=devices)
    told = {
        "losses": losses,
        "held_out": [row["held_out"] for row in progress.history],
        "weights": {n: w.tolist() for n, w in network.named_weights().items()},
    }
    devices.stay()
    return told


if __name__ == "__main__":
    opened = open_devices(int(sys.argv[1]))
    told = run(opened)
    if opened.is_chief:
        with open(sys.argv[2], "w") as file:
            json.dump(told, file)

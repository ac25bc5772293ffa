"""The contract of every model on JAX, in a process of its own."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import ROOT
from test_models import SMALL, every_model

pytestmark = pytest.mark.skipif(
    find_spec("jax") is None, reason="jax is not installed: requirements-dev.txt has it"
)

# Of forty small programs, most of the time is the compiler's.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
CONTRACT = """
import json, sys
import jax
import keras
import numpy as np
from keras import ops
from audio_models import MODELS, numpy_ops
from audio_models.network import Network
from audio_models.player import Player
from audio_models.training import Plan, compiled

assert keras.backend.backend() == "jax"
VOCAB = 23
told = {}
for name, sizes in json.loads(sys.argv[1]).items():
    architecture = MODELS[name](vocab_size=VOCAB, **sizes)
    network = Network(architecture, seed=1)
    player = Player(architecture, network.named_weights())
    ids = np.random.default_rng(0).integers(0, VOCAB, (3, 20)).astype("int32")
    whole = ops.convert_to_numpy(jax.jit(network)(ids))
    step = jax.jit(network.step)
    plain, _ = architecture.forward(numpy_ops, player.weights, ids)
    state, played, apart = network.start(3), player.start(3), {}
    apart["call and NumPy"] = float(np.abs(plain - whole).max())
    apart["step and call"] = apart["play and call"] = 0.0
    for t in range(20):
        logits, state = step(ids[:, t], state)
        off = np.abs(ops.convert_to_numpy(logits) - whole[:, t]).max()
        apart["step and call"] = max(apart["step and call"], float(off))
        logits, played = player.step(ids[:, t], played)
        off = np.abs(logits - whole[:, t]).max()
        apart["play and call"] = max(apart["play and call"], float(off))
    ids = np.random.default_rng(0).integers(0, VOCAB, (4, 17)).astype("int32")
    ids[:, 0] = np.arange(4)  # what follows can be known by heart
    x, y, mask = ids[:, :-1], ids[:, 1:], np.ones((4, 16), "float32")
    network, losses = Network(architecture, seed=1), []
    compiled(network, Plan(learning_rate=1e-2, weight_decay=0.0))
    while len(losses) < 300 and min(losses, default=1) >= 0.05:
        losses.append(float(network.train_on_batch(x, y, sample_weight=mask)))
    told[name] = {"apart": apart, "first": losses[0], "last": losses[-1]}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def on_jax():
    done = subprocess.run(
        [sys.executable, "-c", CONTRACT, json.dumps(SMALL)],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": QUICK_TO_COMPILE,
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@every_model
def test_on_jax_call_step_and_the_numpy_player_are_one(on_jax, name):
    assert max(on_jax[name]["apart"].values()) < 1e-4, on_jax[name]["apart"]


@pytest.mark.slow
@every_model
def test_on_jax_one_batch_can_be_learnt_to_near_zero(on_jax, name):
    assert 1.5 < on_jax[name]["first"] < 4.7  # the logarithm of 23 is 3.14
    assert on_jax[name]["last"] < 0.05

"""P4 and P5: the same sizes for all, every token counted, ratios of neighbouring turns."""

import os
import subprocess
import sys

import numpy as np
import pytest

from audio_models import MODELS
from audio_models.request import Request
from studio import bench_decode
from studio.bench import BENCHMARKS, PEERS
from studio.bench_decode import (
    P4,
    P5,
    Anything,
    Writer,
    copy_bandwidth,
    decode_speed,
    drawn_weights,
)
from studio.errors import NothingUsable

TINY_P4 = P4 | {
    "sizes": P4["sizes"] | {"hidden_dim": 32, "num_layers": 1, "context_length": 8}
}
TINY_P5 = P5 | {"sizes": P5["sizes"] | {"hidden_dim": 8, "embedding_dim": 4}}


@pytest.fixture
def peer():
    """The interpreter that has the peer; skips, saying so, where there is none."""
    python = os.environ.get("ETUDE_PEER_PYTHON", sys.executable)
    command = [python, "-c", "import torch, transformers"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"no transformers in {python}: name one in ETUDE_PEER_PYTHON")
    return python


def test_the_bench_is_registered_with_its_peer():
    assert BENCHMARKS["decode"] == "studio.bench_decode:decode_speed"
    assert PEERS["decode"] == "transformers"


def test_without_the_peer_one_is_told_how_to_get_it(monkeypatch):
    for python in ("/no/such/python", "false"):
        monkeypatch.setenv("ETUDE_PEER_PYTHON", python)
        with pytest.raises(
            NothingUsable, match=r"pip install torch transformers.*ETUDE_PEER_PYTHON"
        ):
            decode_speed(work=(P4,))


def test_the_work_is_of_the_sizes_that_the_goal_names():
    transformer = MODELS[P4["model"]](**P4["sizes"])
    sizes = (256, 6, 8, 512)
    assert sizes == (
        *(transformer.hidden_dim, transformer.num_layers),
        *(transformer.num_heads, transformer.vocab_size),
    )
    assert bench_decode.NEW == 1024 <= transformer.context_length
    lstm = MODELS[P5["model"]](**P5["sizes"])
    assert (lstm.num_layers, lstm.hidden_dim) == (2, 256)


def test_the_weights_are_those_of_the_architecture_and_the_same_again():
    architecture = MODELS["transformer"](**TINY_P4["sizes"])
    weights, again = drawn_weights(architecture), drawn_weights(architecture)
    for name, weight in architecture.weights().items():
        assert weights[name].shape == weight.shape
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], again[name])


def test_in_the_grammar_of_the_bench_no_row_ends():
    grammar = Anything(9)
    asked = Request([[1, 5, 2]], 4, grammar)
    assert not asked.is_final.any() and grammar.allowed.all()
    assert asked.grammar_states().tolist() == [0]
    np.testing.assert_array_equal(grammar.next_state, np.zeros((1, 9)))


def test_a_row_counts_turns_that_are_neighbours_and_the_share_of_the_bandwidth():
    # The machine is half as fast for one turn: both fall, their ratio does not.
    speeds = {"numpy": [40.0, 20.0, 40.0], "predict": [4.0, 2.0, 5.0]}
    facts = {
        "numpy": {"called": "Etude", "version": "0", "weights": 1000},
        "predict": {"called": "the habit", "version": "1", "weights": 1000},
    }
    row = bench_decode._row("P5", P5, "predict", 300.0, 2, (speeds, facts, 0.001))
    assert row["ratio"] == 10.0 and row["extra"]["ratio of each turn"] == [10, 10, 8]
    assert (row["value"], row["baseline_value"]) == (40, 4.0)
    assert row["baseline"] == "the habit 1" and row["higher_is_better"] is True
    # 40 tokens in 2 rows are 20 steps of 4,000 bytes: 80 kB/s of 1 MB/s.
    assert row["extra"]["of the bandwidth limit"] == 0.08
    assert row["id"] == "P5 decode, LSTM 2 x 256, batch 2" and row["seed"] == 1


def test_a_copy_takes_time():
    assert 0.01 < copy_bandwidth(megabytes=1, repeats=2) < 10_000


def test_ours_writes_what_it_is_told_past_the_context_too():
    writer = Writer("numpy", TINY_P4)
    try:
        turn = writer.write(2, 20)  # of 8
        assert turn["tokens"] == 40 and turn["seconds"] > 0
        architecture = MODELS["transformer"](**TINY_P4["sizes"])
        shapes = (weight.shape for weight in architecture.weights().values())
        assert writer.facts["weights"] == sum(int(np.prod(shape)) for shape in shapes)
    finally:
        writer.close()


@pytest.mark.slow
def test_the_habit_has_as_many_weights_and_writes_as_many_tokens(monkeypatch):
    monkeypatch.setattr(bench_decode, "HABIT_TOKENS", 2)
    (row,) = decode_speed(blocks=1, new=4, work=(TINY_P5,))
    counts = row["extra"]["weights"]
    assert counts["numpy"] == counts["predict"]
    assert row["value"] > 0 and row["baseline_value"] > 0 and row["target"] == 300


@pytest.mark.slow
def test_the_peer_is_a_model_of_the_same_sizes_with_a_row_a_batch(peer):
    (one, two) = decode_speed(blocks=1, new=4, work=(TINY_P4,), batches=(1, 2))
    assert one["id"].endswith("batch 1") and two["id"].endswith("batch 2")
    for row in (one, two):
        counts = row["extra"]["weights"]
        # GPT-2 has a table of 9 places, biases in attention (4D) and in norms (D), of
        # which there are three, but none in its head (V).
        extra = counts["transformers"] - counts["numpy"]
        assert extra == 9 * 32 + 4 * 32 + 3 * 32 - 512
        assert row["extra"]["peer"] in bench_decode.PEERS and row["ratio"] > 0

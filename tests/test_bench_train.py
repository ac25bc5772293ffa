"""P2's contestants: a model as ours, ids as ours, and turns that are counted honestly."""

import os
import subprocess
import sys

import numpy as np
import pytest

from studio import bench_train
from studio.bench_train import (
    BATCHES,
    VOCAB,
    WORK,
    Contestant,
    Unavailable,
    paired_ratio,
    train_speed,
)
from studio.errors import NothingUsable

TINY = {
    "lstm": {
        "called": "tiny LSTM",
        "shape": (2, 8),
        "sizes": {"embedding_dim": 4, "hidden_dim": 8, "num_layers": 1},
    },
    "transformer": {
        "called": "tiny Transformer",
        "shape": (2, 8),
        "sizes": {
            "hidden_dim": 8,
            "num_layers": 1,
            "num_heads": 2,
            "context_length": 8,
        },
    },
}


@pytest.fixture
def peer():
    """The interpreter that has PyTorch; skips, saying so, where there is none."""
    python = os.environ.get("ETUDE_PEER_PYTHON", sys.executable)
    command = [python, "-c", "import torch"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"no PyTorch in {python}: name one in ETUDE_PEER_PYTHON")
    return python


def has_learnt(contestant):
    """Whether it soon knows 64 tokens by heart: how many steps fit in a turn depends
    on the machine, so it has several.
    """
    first = contestant.facts["loss"]
    return any(contestant.train(0.5)["loss"] < first - 0.2 for _ in range(20))


def test_the_ratio_is_of_neighbouring_blocks_and_not_of_the_medians():
    # The machine is half as fast for two blocks: both fall, their ratio does not.
    assert paired_ratio([20, 10, 10, 21, 19], [10, 5, 5, 10, 10]) == 2.0
    assert paired_ratio([3.0], [4.0]) == 0.75


def test_without_pytorch_one_is_told_how_to_get_it(monkeypatch):
    for python in ("/no/such/python", "false"):
        monkeypatch.setenv("ETUDE_PEER_PYTHON", python)
        with pytest.raises(
            NothingUsable, match=r"pip install torch.*ETUDE_PEER_PYTHON"
        ):
            train_speed()


def test_a_contestant_that_ends_says_why(monkeypatch):
    monkeypatch.setenv("ETUDE_PEER_PYTHON", sys.executable)
    task = TINY["lstm"] | {"model": "no such model"}
    with pytest.raises(Unavailable, match=r"torch ended with 1: .*Error"):
        Contestant("torch", task)


@pytest.mark.parametrize("name", WORK)
def test_every_contestant_reads_the_same_ids_and_the_target_is_one_later(name):
    first, again = (bench_train._batches(WORK[name]) for _ in range(2))
    assert len(first) == BATCHES
    for (x, y), (same, _) in zip(first, again, strict=True):
        assert x.shape == y.shape == WORK[name]["shape"]
        assert x.min() >= 0 and x.max() < VOCAB
        np.testing.assert_array_equal(x, same)
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])


@pytest.mark.slow
def test_ours_counts_whole_steps_and_learns():
    contestant = Contestant("tensorflow", TINY["lstm"] | {"model": "lstm"})
    try:
        turn = contestant.train(0.5)
        assert turn["tokens"] > 0 and turn["tokens"] % 16 == 0
        assert turn["seconds"] >= 0.5
        assert contestant.facts["loss"] == pytest.approx(np.log(VOCAB), abs=0.5)
        assert has_learnt(contestant)
    finally:
        contestant.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_the_peer_is_a_model_of_the_same_size_that_learns_as_well(name, peer):
    weights = []
    for kind in ("tensorflow", "torch"):
        contestant = Contestant(kind, TINY[name] | {"model": name})
        try:
            weights.append(contestant.facts["weights"])
            assert has_learnt(contestant), kind
        finally:
            contestant.close()
    # nn.LSTM has a second bias of four times its width.
    assert weights[1] == weights[0] + (4 * 8 if name == "lstm" else 0)


@pytest.mark.slow
def test_a_row_has_what_the_record_needs(peer):
    (row,) = train_speed(2, 0.2, {"lstm": TINY["lstm"]})
    assert row["id"] == "P2 training step, tiny LSTM"
    assert row["baseline"].startswith("PyTorch ")
    assert row["unit"] == "tokens/s" and row["higher_is_better"] is True
    assert row["target"] == 1.0 and row["seed"] == 1
    assert row["value"] > 0 and row["baseline_value"] > 0 and row["ratio"] > 0
    assert row["extra"]["tokens/s"]["tensorflow"] == row["value"]
    assert row["extra"]["ratio to the peer"][row["extra"]["peer"]] == 1.0

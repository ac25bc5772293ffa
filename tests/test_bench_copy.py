"""Q8 in small: what is counted, beside what, and with how large a memory."""

import numpy as np
import pytest

from audio_models.memory import NeuralTuringMachine
from studio import bench_copy as bench


def test_a_memory_grows_with_the_length_and_is_never_smaller_than_it_was():
    assert bench.enlarged(bench.MACHINE, 5).slots == bench.MACHINE.slots
    assert bench.enlarged(bench.MACHINE, 120).slots > 120


def test_the_two_are_asked_for_the_same_bits():
    for architecture in (bench.MACHINE, bench.CONTROL):
        assert (architecture.inputs, architecture.outputs) == (9, 8)


def test_networks_that_say_nothing_are_wrong_in_half_of_the_bits(monkeypatch):
    monkeypatch.setattr(bench, "TAUGHT", (2, 4))
    monkeypatch.setattr(bench, "BEYOND", (40, 120))
    silent = [
        {name: np.zeros(w.shape, "float32") for name, w in one.weights().items()}
        for one in (bench.MACHINE, bench.CONTROL)
    ]
    rows = bench.rows(*silent, sequences=20, steps=0)
    assert [row["id"].partition(", ")[2] for row in rows] == [
        "lengths 1 to 20 as taught",
        "length 40",
        "length 120",
    ]
    for row, vectors in zip(rows, (3, 40, 120), strict=True):
        assert row["value"] == pytest.approx(4 * vectors, rel=0.15)
        assert row["value"] == pytest.approx(row["baseline_value"], abs=1e-3)
        assert row["ratio"] == pytest.approx(1)
        assert row["extra"]["steps"] == 0


def test_a_copy_without_a_fault_has_a_ratio_above_zero(monkeypatch):
    def told(architecture, weights, length, sequences):
        return 0.0 if isinstance(architecture, NeuralTuringMachine) else 50.0

    monkeypatch.setattr(bench, "wrong_at", told)
    for row, lengths in zip(bench.rows({}, {}, 10), (20, 1, 1), strict=True):
        assert row["value"] == 0
        assert row["ratio"] == pytest.approx(1 / (10 * lengths) / 50)

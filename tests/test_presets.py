"""Presets: every model, every size, and as large as it says."""

import math

import pytest

from audio_models import MODELS
from audio_models.presets import PRESETS, preset

RANGES = {"tiny": (0, 0.2e6), "small": (0.9e6, 1.1e6), "base": (4.5e6, 5.5e6)}


def test_every_model_has_every_size():
    assert set(PRESETS) == set(MODELS)
    assert all(set(sizes) == set(RANGES) for sizes in PRESETS.values())


@pytest.mark.parametrize("size", RANGES)
@pytest.mark.parametrize("model", MODELS)
def test_a_preset_has_as_many_weights_as_its_size_says(model, size):
    architecture = MODELS[model](vocab_size=400, **preset(model, size))
    count = sum(math.prod(w.shape) for w in architecture.weights().values())
    low, high = RANGES[size]
    assert low < count < high


def test_a_preset_is_the_callers_own():
    preset("lstm", "tiny")["hidden_dim"] = 1
    assert preset("lstm", "tiny")["hidden_dim"] != 1


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match=r"one of lstm, gru, .* Received: 'bilstm'"):
        preset("bilstm", "tiny")
    with pytest.raises(ValueError, match=r"tiny, small, base\. Received: 'huge'"):
        preset("lstm", "huge")

"""Folders of sounds on their way into a model: prepared, killed while it learns."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from sound_stock import SEED, done

from audio_models.bundle import load_bundle
from data_pipelines.audio import read_waveform, write_audio
from data_pipelines.shards import open_dataset
from studio.hearing import tokenizer_of
from studio.recipes import RECIPES


def twelve_sounds(folder):
    """Two classes of six sounds of a tenth of a second each."""
    rng = np.random.default_rng(0)
    at = np.arange(400) / 4000
    for name, hertz in (("low", 200), ("high", 900)):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            tone = np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * at)
            tone *= np.exp(-20 * at) * rng.uniform(0.3, 0.9)
            write_audio(folder / name / f"{number}.wav", tone, 4000)
    return folder


@pytest.mark.parametrize(
    ("options", "hearing"),
    [
        ((), {}),
        (("--sample-rate", 2000, "--bits", 16), {"sample_rate": 2000, "bits": 16}),
        (("--no-classes",), {"no_classes": True}),
    ],
)
def test_a_folder_is_prepared_as_training_would_hear_it(
    options, hearing, tmp_path, capsys
):
    folder = twelve_sounds(tmp_path / "hits")
    asked = ("prepare", folder, "-t", "wave", "-o", tmp_path / "hits.dataset")
    done(capsys, *asked, *options)
    found = open_dataset(tmp_path / "hits.dataset").tokenizer
    assert found.sample_rate == hearing.get("sample_rate", 16_000)
    assert found.bits == hearing.get("bits", 8)
    assert found.classes == (() if "no_classes" in hearing else ("high", "low"))
    trained = tokenizer_of(RECIPES["wave-lstm"], folder, (), hearing)
    assert found.spec() == trained.spec()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_training_of_sounds_that_is_killed_goes_on_to_the_same_model(
    tmp_path, capsys
):
    folder, output = twelve_sounds(tmp_path / "hits"), tmp_path / "killed.bundle"
    plan = "--recipe wave-lstm --size tiny --sample-rate 2000 --epochs 8 --window 101"
    plan += " --batch-size 2 --patience 100 --json"
    asked = ["train", str(folder), *plan.split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "studio.cli", *asked, "-o", str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    checkpoint = tmp_path / "killed.bundle.run" / "checkpoint"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        if process.poll() is not None:
            break
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()  # killed on its way
    done(capsys, "train", "--resume", "-o", output, "--json")
    whole = tmp_path / "whole.bundle"
    facts = json.loads(done(capsys, *asked, "-o", whole))
    assert facts["held_out"]["unit"] == "sample"
    one, other = load_bundle(output), load_bundle(whole)
    assert one.vocabulary == other.vocabulary
    assert one.vocabulary["classes"] == ["high", "low"]
    assert one.vocabulary["sample_rate"] == 2000
    for name, weight in one.weights.items():
        assert np.array_equal(weight, other.weights[name]), name
    made = ("compose", "-m", output, "--class", "low", "--seconds", 0.1, *SEED)
    done(capsys, *made, "-o", tmp_path / "low.wav")
    assert read_waveform(tmp_path / "low.wav").seconds == pytest.approx(0.1)

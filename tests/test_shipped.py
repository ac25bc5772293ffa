"""What is shipped keeps what the README and the cards say of it."""

import io
import time

import numpy as np
import pytest
import soundfile
from conftest import etude

from data_pipelines.midi import midi_bytes, parse_midi
from studio.bench import ROOT
from studio.compose import Wish, compose
from studio.models import is_of_sounds, open_model, shipped_models


@pytest.mark.covers("a03")
@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_fifteen_percent_below_its_ngram_and_says_so(name):
    bundle = open_model(name)
    held_out, test = bundle.facts["held_out"], bundle.facts["test"]
    assert held_out["is_held_out"]
    for figures in (held_out, test):
        assert figures["model"] <= 0.85 * figures["ngram"]
        assert figures["ngram"] < figures["unigram"]
    # Of sounds people are told bits, of notes nats.
    unit = np.log(2) if is_of_sounds(bundle) else 1.0
    for figure in (held_out["model"], test["model"], test["ngram"]):
        assert f"{figure / unit:.3f}" in bundle.card
    assert any(term in bundle.card for term in ("public-domain", "MIT", "written by"))
    assert "etude train " in bundle.card
    if is_of_sounds(bundle):
        sample, rate = soundfile.read(io.BytesIO(bundle.sample))
        assert rate == bundle.vocabulary["sample_rate"] and np.abs(sample).max() > 0.1
    else:
        assert len(parse_midi(bundle.sample)) > 20


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_bundle_is_small(name):
    folder = ROOT / "assets" / "bundles" / name
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 10 * 2**20


def test_the_default_model_composes_tunes_not_noise():
    bundle = open_model("folk")
    steps, ends, in_scale = [], [], []
    major = np.array([0, 2, 4, 5, 7, 9, 11])
    for seed in range(10):
        piece = compose(bundle, Wish(seed=seed))
        pitches = piece.score.notes["pitch"].astype(int)
        assert len(pitches) >= 30
        assert len(set(pitches)) >= 5
        steps.append(np.abs(np.diff(pitches)).mean())
        ends.append(piece.end_probability)
        fits = [np.isin((pitches - k) % 12, major).mean() for k in range(12)]
        in_scale.append(max(fits))
    print(
        f"10 tunes: mean step {np.mean(steps):.1f} semitones, in one scale "
        f"{np.mean(in_scale):.2f}, end expected with p = {np.mean(ends):.2f}"
    )
    assert (
        1.0 < np.mean(steps) < 5.0
    )  # a random line over this range steps by 7 or more
    assert np.mean(in_scale) > 0.9
    assert np.mean(ends) > 0.2


def test_same_seed_same_bytes_in_this_process_and_in_a_fresh_one(tmp_path):
    done = etude("compose", "--seed", 12, "-o", tmp_path / "a.mid")
    assert done.returncode == 0, done.stderr
    here = midi_bytes(compose(open_model("folk"), Wish(seed=12)).score)
    assert (tmp_path / "a.mid").read_bytes() == here


def test_the_first_sound_comes_within_ten_seconds_and_the_time_is_told(tmp_path):
    import re

    began = time.monotonic()
    done = etude("compose", "--seed", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 10
    assert re.search(r"in [0-9.]+ s \(model folk, seed 1\)", done.stdout), done.stdout


@pytest.mark.covers("d18")
def test_no_key_fits_a_tune_better_than_the_one_asked_for():
    import numpy as np

    from data_pipelines.measures import pitch_class_histogram
    from studio.compose import Wish, compose
    from studio.models import open_model
    from studio.wish import SCALE

    bundle = open_model("folk")
    for name, tonic in (("A", 9), ("Eb", 3), ("D", 2)):
        shares = np.zeros(12)
        for seed in (1, 2):
            score = compose(bundle, Wish(bars=8, seed=seed, key=name, takes=2)).score
            heard = pitch_class_histogram(score)
            shares += [
                sum(heard[(key + step) % 12] for step in SCALE) for key in range(12)
            ]
        others = np.delete(shares, tonic)
        # A neighbour shares all notes but one, and may do as well where that one is not.
        assert shares[tonic] >= others.max(), (name, shares)
        assert shares[tonic] > 1.3 * others.mean(), (name, shares)

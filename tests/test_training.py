"""The training run: it learns, stops, keeps the best, and tells the truth."""

import json
import math

import numpy as np
import pytest
from conftest import etude, tune

from audio_models.bundle import load_bundle
from audio_models.network import Network
from audio_models.recurrent import LSTM
from audio_models.training import NotFinite, Plan, log_likelihood, train
from data_pipelines.midi import write_midi
from data_pipelines.tokenizers.melody import MelodyTokenizer
from studio.gather import gather
from studio.train import (
    count_notes,
    held_out_pieces,
    measure_floors,
    nats_per_note,
)

TOKENIZER = MelodyTokenizer()


def network(seed=0, vocab_size=12):
    return Network(LSTM(vocab_size, 8, 16, 1), seed=seed)


def batch(seed=0):
    ids = np.random.default_rng(seed).integers(4, 12, (4, 65)).astype("int32")
    return ids[:, :-1], ids[:, 1:], np.ones((4, 64), "float32")


def test_training_lowers_the_held_out_loss_and_keeps_the_best_weights():
    net = network()
    heard = []
    cycle = np.tile([4, 5, 6, 7], 16).astype("int32")[None].repeat(4, axis=0)
    x, y = cycle, np.roll(cycle, -1, axis=1)
    feed = [(x, y, np.ones(x.shape, "float32"))] * 10

    def held_out(n):
        nats, tokens = log_likelihood(n, feed[:1])
        return -nats / tokens

    before = held_out(net)
    plan = Plan(epochs=8, learning_rate=1e-2)
    progress = train(
        net, plan, lambda _: feed, 10, held_out, watch=lambda p, e: heard.append(e)
    )
    assert before == pytest.approx(math.log(12), rel=0.1)
    assert progress.best < 0.2
    assert held_out(net) == pytest.approx(progress.best, abs=1e-5)
    assert heard.count("step") == 80
    assert heard[-1] == "done"
    assert [row["epoch"] for row in progress.history] == list(range(8))


def test_patience_stops_a_run_that_no_longer_improves():
    looks = iter([3.0, 2.0, 2.5, 2.6, 2.7, 0.0])
    plan = Plan(epochs=6, patience=3, learning_rate=1e-6)
    progress = train(network(), plan, lambda _: [batch()], 1, lambda _: next(looks))
    assert [row["held_out"] for row in progress.history] == [3.0, 2.0, 2.5, 2.6, 2.7]
    assert progress.best == 2.0


def test_a_run_bounded_in_minutes_ends_near_them():
    plan = Plan(minutes=0.05, epochs=10**6, patience=10**6)
    progress = train(network(), plan, lambda _: [batch()], 1, lambda _: 1.0)
    assert 2.5 < progress.history[-1]["seconds"] < 30


def test_a_loss_that_is_no_number_stops_the_run_with_its_cause():
    net = network()
    weights = net.named_weights()
    net.load_named_weights(weights | {"head.bias": np.full(12, 1e38, "float32")})
    poisoned = dict(net._named)["head.kernel"]
    poisoned.assign(np.full(poisoned.shape, np.inf, "float32"))
    with pytest.raises(
        NotFinite, match=r"The loss is (nan|inf) at step 0\..*--learning"
    ):
        train(net, Plan(), lambda _: [batch()], 1, lambda _: 1.0)


def test_log_likelihood_counts_real_tokens_alone():
    net = network()
    x, y, mask = batch()
    whole, tokens = log_likelihood(net, [(x, y, mask)])
    half = mask.copy()
    half[:, 32:] = 0
    first, count = log_likelihood(net, [(x, y, half)])
    assert (tokens, count) == (256, 128)
    assert first > whole
    logits = np.asarray(net(x), dtype="float64")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    by_hand = np.log(np.take_along_axis(p, y[..., None], -1)).sum()
    assert whole == pytest.approx(by_hand, rel=1e-5)


def test_floors_stand_in_their_order_on_music(folder_of_tunes):
    dataset = gather(folder_of_tunes)
    floors = measure_floors(dataset)
    assert floors.ngram < floors.unigram < math.log(145) * 3
    assert floors.copy <= floors.unigram + 0.05
    untrained = Network(LSTM(TOKENIZER.vocab_size, 8, 16, 1))
    valid = held_out_pieces(dataset)
    tokens = sum(len(piece) - 1 for piece in valid)
    expected = math.log(145) * tokens / count_notes(valid, TOKENIZER)
    assert nats_per_note(untrained, valid, TOKENIZER) == pytest.approx(
        expected, rel=0.1
    )


@pytest.mark.slow
def test_a_folder_becomes_a_bundle_that_beats_unigrams_and_composes(
    folder_of_tunes, tmp_path
):
    (folder_of_tunes / "notes.txt").write_text("bring milk")
    output = tmp_path / "my.bundle"
    done = etude(
        "train", folder_of_tunes, "-o", output, "--epochs", 40, "--minutes", 1.5,
        "--window", 64, "--learning-rate", 5e-3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for said in ("1 refused: not music", "n-gram", "held-out", "tokens/s", "left"):
        assert said in done.stdout, said
    bundle = load_bundle(output)
    held_out = bundle.facts["held_out"]
    assert held_out["model"] < held_out["unigram"]
    assert f"{held_out['ngram']:.3f}" in bundle.card
    run = tmp_path / "my.bundle.run"
    report = [json.loads(line) for line in (run / "report.jsonl").open()]
    assert sum(line["status"] == "used" for line in report) == 40
    assert len(report) == 41
    history = json.loads((run / "history.json").read_text())
    assert min(row["held_out"] for row in history) == held_out["model"]
    wav = tmp_path / "a.wav"
    xml = tmp_path / "a.musicxml"
    done = etude("compose", "--model", output, "-o", wav, "-o", xml, "--seed", 1)
    assert done.returncode == 0, done.stderr
    assert wav.stat().st_size > 100_000
    from music21 import converter

    assert len(converter.parse(xml).flatten().notes) >= 1


@pytest.mark.slow
def test_one_file_is_enough_and_the_lack_of_held_out_music_is_said(tmp_path):
    write_midi(tmp_path / "only.mid", tune([60, 62, 64, 65, 67] * 20))
    output = tmp_path / "one.bundle"
    done = etude(
        "train", tmp_path / "only.mid", "-o", output, "--epochs", 1, "--window", 64
    )
    assert done.returncode == 0, done.stderr
    assert "Too few tunes to hold any back" in done.stdout
    assert "Too few tunes to hold any back" in (output / "card.md").read_text()


@pytest.mark.slow
def test_an_interrupted_run_leaves_its_best_weights(folder_of_tunes, tmp_path):
    import os
    import signal
    import subprocess
    import sys
    import time

    output = tmp_path / "cut.bundle"
    process = subprocess.Popen(
        [sys.executable, "-m", "studio.cli", "train", folder_of_tunes, "-o", output,
         "--minutes", "10", "--window", "64"],
        # A job that a shell put in the background ignores Ctrl-C; this one must not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(__file__))},
    )  # fmt: skip
    best = tmp_path / "cut.bundle.run" / "best.bundle"
    deadline = time.monotonic() + 240
    while not (best / "SHA256SUMS").exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors and "Traceback" not in errors
    assert "best.bundle" in errors
    assert load_bundle(best).architecture.hidden_dim == 256

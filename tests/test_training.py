"""The training run: it learns, stops, keeps the best, and tells the truth."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, etude, tune

from audio_models.bundle import load_bundle
from audio_models.checkpoint import (
    BadCheckpoint,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from audio_models.network import Network
from audio_models.recurrent import LSTM
from audio_models.training import NotFinite, Plan, log_likelihood, train
from data_pipelines.midi import write_midi
from data_pipelines.tokenizers.melody import MelodyTokenizer
from studio.floors import count_notes, held_out_pieces, measure_floors, nats_per_note
from studio.gather import gather

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
        net, plan, lambda *_: feed, 10, held_out, watch=lambda p, e: heard.append(e)
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
    progress = train(network(), plan, lambda *_: [batch()], 1, lambda _: next(looks))
    assert [row["held_out"] for row in progress.history] == [3.0, 2.0, 2.5, 2.6, 2.7]
    assert progress.best == 2.0


def test_a_run_bounded_in_minutes_ends_near_them():
    plan = Plan(minutes=0.05, epochs=10**6, patience=10**6)
    progress = train(network(), plan, lambda *_: [batch()], 1, lambda _: 1.0)
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
        train(net, Plan(), lambda *_: [batch()], 1, lambda _: 1.0)


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


RUN_UNTIL_KILLED = """
import hashlib, os, sys
from pathlib import Path
import numpy as np
from audio_models.network import Network
from audio_models.recurrent import LSTM
from audio_models.training import Plan, train
from data_pipelines.datasets import Feed
from data_pipelines.shards import open_dataset
from data_pipelines.windows import Augmentation

dataset, folder, pause = open_dataset(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
plan = Plan(epochs=3, batch_size=4, window=32, learning_rate=3e-3, patience=9,
            checkpoint_minutes=0.0 if pause == "often" else 1e9, accumulate=2,
            label_smoothing=0.1)
net = Network(LSTM(dataset.tokenizer.vocab_size, 8, 16, 2, dropout=0.3), seed=1)
feed = Feed(dataset, batch_size=4, length=32, seed=1, augmentation=Augmentation(6),
            tokens_in_memory=3000)
losses = []

def watch(progress, event):
    if event == "step":
        print(f"step {progress.step} {progress.loss!r}", flush=True)

def held_out(network):
    from audio_models.training import log_likelihood
    feed = Feed(dataset, "valid", batch_size=4, length=32)
    nats, tokens = log_likelihood(network, feed.numpy_epoch(0))
    return -nats / tokens

print("ready", flush=True)
done = train(net, plan, feed.epoch, feed.steps(), held_out, watch=watch,
             checkpoint=folder / "checkpoint", resume=(folder / "checkpoint").exists())
weights = net.named_weights()
digest = hashlib.sha256(b"".join(weights[n].tobytes() for n in sorted(weights)))
rows = [(r["epoch"], r["step"], r["loss"], r["held_out"]) for r in done.history]
print("final", digest.hexdigest(), rows, flush=True)
"""


def run_until(kill_after, dataset, folder, script, pause="often"):
    """Run the script; SIGKILL it when it tells of a step. Gives its last words."""
    process = subprocess.Popen(
        [sys.executable, script, dataset, folder, pause],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    steps, last = {}, ""
    for line in process.stdout:
        last = line.strip()
        if last.startswith("step"):
            _, number, loss = last.split()
            steps[int(number)] = loss
            if kill_after is not None and len(steps) >= kill_after:
                process.send_signal(signal.SIGKILL)
                break
    process.communicate()
    return steps, last if last.startswith("final") else ""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_g9_killed_at_any_batch_a_run_resumes_to_the_same_weights_bit_for_bit(tmp_path):
    from test_prepare import SETTINGS, small_folder

    from data_pipelines.prepare import prepare

    prepare(small_folder(tmp_path / "music", 60), tmp_path / "d", SETTINGS)
    script = tmp_path / "run.py"
    script.write_text(RUN_UNTIL_KILLED)
    (tmp_path / "whole").mkdir()
    losses, unbroken = run_until(None, tmp_path / "d", tmp_path / "whole", script)
    assert unbroken and len(losses) > 60
    rng = np.random.default_rng(9)
    broken = tmp_path / "broken"
    broken.mkdir()
    kills, final = 0, ""
    while not final:
        kill_after = int(rng.integers(1, len(losses) // 4)) if kills < 3 else None
        steps, final = run_until(kill_after, tmp_path / "d", broken, script)
        kills += not final
        for number, loss in steps.items():
            assert losses[number] == loss, f"the loss of step {number} differs"
    assert final == unbroken
    assert kills >= 3
    print(f"G9: {kills} kills, {len(losses)} losses and the final weights identical")


KILLED_WHILE_WRITING = """
import itertools, json, os, signal, sys, time
from pathlib import Path
import numpy as np
from audio_models.checkpoint import (
    Checkpoint, load_checkpoint, remove_leftovers, save_checkpoint
)

path, rng = Path(sys.argv[1]), np.random.default_rng(10)
last, complete, mid_write = 0, 0, 0
save_checkpoint(path, Checkpoint({"a": np.zeros(300_000, "float32")}, {"n": 0}))
for kill in range(200):
    writer = os.fork()  # 200 interpreters would take a minute to start
    if not writer:
        for n in itertools.count(last + 1):
            arrays = {"a": np.full(300_000, n, "float32")}
            save_checkpoint(path, Checkpoint(arrays, {"n": n}))
    while kill % 2 and not any(path.parent.glob(".checkpoint.*")):
        time.sleep(0.0002)  # every other writer is killed when it has begun a file
    time.sleep(rng.uniform(0, 0.004 if kill % 2 else 0.02))
    os.kill(writer, signal.SIGKILL)
    assert os.waitpid(writer, 0)[1] == signal.SIGKILL
    mid_write += len(list(path.parent.glob(".checkpoint.*"))) > 0
    remove_leftovers(path)
    found = load_checkpoint(path)
    is_whole = bool((found.arrays["a"] == found.facts["n"]).all())
    complete += is_whole and found.facts["n"] >= last
    last = found.facts["n"]
left = [file.name for file in path.parent.glob(".checkpoint.*")]
print(json.dumps({"complete": complete, "mid_write": mid_write, "left": left}))
"""


@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="no fork and SIGKILL on this system"
)
def test_g10_two_hundred_kills_while_writing_leave_a_complete_checkpoint(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, tmp_path / "checkpoint"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["complete"], told["left"]) == (200, [])
    assert told["mid_write"] > 40
    print(f"G10: 200 of 200 complete, {told['mid_write']} with a file half written")


@pytest.mark.parametrize("place", [0, 5, 30, 60, -1])
def test_a_damaged_checkpoint_is_refused(place, tmp_path):
    path = tmp_path / "checkpoint"
    save_checkpoint(path, Checkpoint({"a": np.arange(9.0)}, {"n": 1}))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadCheckpoint, match=r"is damaged|is no checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_of_another_plan_is_refused_by_the_setting_that_differs(tmp_path):
    path = tmp_path / "checkpoint"
    plan = Plan(epochs=1, learning_rate=1e-3)
    feed = lambda epoch, first=0: [batch()][first:]  # noqa: E731
    train(network(), plan, feed, 1, lambda _: 1.0, checkpoint=path)
    other = Plan(epochs=1, learning_rate=2e-3)
    with pytest.raises(
        BadCheckpoint, match=r"learning_rate=0\.001, this one has 0\.002"
    ):
        train(network(), other, feed, 1, lambda _: 1.0, checkpoint=path, resume=True)
    with pytest.raises(BadCheckpoint, match="another model"):
        wide = Network(LSTM(12, 8, 32, 1))
        train(wide, plan, feed, 1, lambda _: 1.0, checkpoint=path, resume=True)


def test_accumulating_two_halves_is_one_step_on_the_whole():
    x, y, mask = batch()
    parts = [(x[:2], y[:2], mask[:2]), (x[2:], y[2:], mask[2:])]
    # The rate climbs from step to step: hold it, so that both runs take the same step.
    import audio_models.training as room

    kept, room._rate = room._rate, lambda plan, share: plan.learning_rate
    try:
        whole, halves = network(3), network(3)
        train(
            whole,
            Plan(epochs=1, weight_decay=0.0),
            lambda *_: [(x, y, mask)],
            1,
            lambda _: 1.0,
        )
        train(
            halves,
            Plan(epochs=1, weight_decay=0.0, accumulate=2),
            lambda *_: parts,
            2,
            lambda _: 1.0,
        )
    finally:
        room._rate = kept
    before = network(3).named_weights()
    for name, weight in whole.named_weights().items():
        assert np.abs(weight - before[name]).max() > 1e-4
        np.testing.assert_allclose(weight, halves.named_weights()[name], atol=2e-5)


def test_label_smoothing_is_its_formula():
    from audio_models.training import NextTokenLoss

    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(2, 3, 5)).astype("float32"), rng.integers(0, 5, (2, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    target = 0.9 * np.eye(5)[y] + 0.1 / 5
    expected = -(target * np.log(p)).sum(-1).mean()
    assert float(NextTokenLoss(0.1)(y, logits)) == pytest.approx(expected, rel=1e-5)


def test_a_carried_state_makes_windows_of_a_stream_as_good_as_the_whole():
    net = network(5)
    ids = np.random.default_rng(0).integers(4, 12, (3, 48)).astype("int32")
    whole = np.asarray(net(ids))
    net.carry(3)
    for first in (0, 16, 32):
        part = np.asarray(net(ids[:, first : first + 16], training=True))
        np.testing.assert_allclose(part, whole[:, first : first + 16], atol=1e-5)
    net.reset()
    again = np.asarray(net(ids[:, :16], training=True))
    np.testing.assert_allclose(again, whole[:, :16], atol=1e-5)
    np.testing.assert_allclose(
        np.asarray(net(ids[:, 16:32])), np.asarray(network(5)(ids[:, 16:32]))
    )


def test_rows_of_stream_batches_go_on_where_they_ended():
    from data_pipelines.windows import stream_batches

    pieces = [np.arange(4, 54), np.arange(54, 107)]
    batches = list(stream_batches(pieces, batch_size=3, length=8))
    assert len(batches) == 4
    for row in range(3):
        stream = np.concatenate([x[row] for x, _, _ in batches])
        np.testing.assert_array_equal(np.diff(stream), 1)
        following = np.concatenate([y[row] for _, y, _ in batches])
        np.testing.assert_array_equal(following, stream + 1)


def test_what_looks_back_through_a_window_carries_nothing():
    from audio_models.transformer import Transformer

    with pytest.raises(ValueError, match="Transformer carries no state"):
        Network(Transformer(12, 16, 1, 2, 8)).carry(2)


def test_training_on_a_stream_learns_what_lies_further_back_than_a_window():
    # One bit at the start of every 16 decides each token after it: windows of 4
    # without a carried state cannot know it.
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (4, 60))
    stream = np.concatenate([np.repeat(4 + 2 * bits[..., None], 16, -1)], -1).reshape(
        4, -1
    )
    stream[:, 1:] = np.where(np.arange(1, stream.shape[1]) % 16 == 0, stream[:, 1:], 9)
    target = np.roll(np.repeat(4 + bits[..., None], 16, -1).reshape(4, -1), 0, axis=1)
    feed = [
        (stream[:, t : t + 4].astype("int32"), target[:, t : t + 4].astype("int32"),
         np.ones((4, 4), "float32"))
        for t in range(0, stream.shape[1], 4)
    ]  # fmt: skip
    final = {}
    for carried in (True, False):
        net = network(1)
        if carried:
            net.carry(4)
        plan = Plan(epochs=8, learning_rate=2e-2, patience=99)
        done = train(net, plan, lambda *_: feed, len(feed), lambda _: 1.0)
        final[carried] = done.loss
    assert final[True] < 0.1
    assert final[False] > 0.4

"""The n-gram as a model: under the contract of the networks, and proper everywhere."""

import json
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from conftest import ROOT, data_folder, tune

from audio_models import COUNTED, numpy_ops
from audio_models.bundle import BadBundle, Bundle, load_bundle, save_bundle
from audio_models.counted import BOS, MOST_GRAMS, CountedNGram, count
from audio_models.ngram import SMOOTHINGS, NGram
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.tokenizers.melody import MelodyTokenizer

VOCAB = 23
NOTES = range(5, 20)
TOKENIZER = MelodyTokenizer()
every_smoothing = pytest.mark.parametrize("smoothing", SMOOTHINGS)
every_kind = pytest.mark.parametrize(
    "note_ids", [None, NOTES], ids=["as written", "every key"]
)


def some_pieces(seed=0, number=6, length=40):
    """Random walks with holds (3) and rests (4), from BOS to EOS (2)."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(number):
        walk = np.clip(12 + np.cumsum(rng.integers(-2, 3, length)), 5, 19)
        walk = np.where(rng.random(length) < 0.3, rng.integers(3, 5, length), walk)
        pieces.append(np.r_[BOS, walk, 2])
    return pieces


def counted(smoothing="back-off", note_ids=None, order=4, **of):
    return count(
        some_pieces(**of), VOCAB, order=order, note_ids=note_ids, smoothing=smoothing
    )


def player(*args, **kwargs):
    return Player(*counted(*args, **kwargs))


def log_p(model, ids):
    return model.architecture.forward(numpy_ops, model.weights, np.asarray(ids))[0]


@every_smoothing
@every_kind
def test_the_distribution_sums_to_one_after_anything_seen_or_not(smoothing, note_ids):
    model = player(smoothing, note_ids)
    rng = np.random.default_rng(1)
    ids = rng.integers(0, VOCAB, (4, 60))  # most of these contexts were never seen
    ids[1] = np.tile([5, 19], 30)  # the widest leaps that the range holds
    ids[2, :42] = some_pieces()[0]  # and this is a piece that was counted
    p = np.exp(log_p(model, ids).astype(float))
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, atol=1e-6)


@every_smoothing
@every_kind
def test_changing_a_token_leaves_all_log_probabilities_before_it(smoothing, note_ids):
    model = player(smoothing, note_ids)
    ids = np.array(some_pieces(seed=5, number=2))
    changed = ids.copy()
    changed[:, 20] = (changed[:, 20] + 1) % VOCAB
    before, after = log_p(model, ids), log_p(model, changed)
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert np.abs(before[:, 20] - after[:, 20]).max() > 1e-3


@every_smoothing
@every_kind
@pytest.mark.parametrize("order", [0, 1, 7])
def test_step_after_step_equals_call(smoothing, note_ids, order):
    model = player(smoothing, note_ids, order=order)
    ids = np.array(some_pieces(seed=6, number=3))
    whole, state = log_p(model, ids), model.start(3)
    for t in range(ids.shape[1]):
        logits, state = model.step(ids[:, t], state)
        np.testing.assert_array_equal(logits, whole[:, t])


@every_smoothing
@every_kind
def test_it_gives_what_the_floor_gives(smoothing, note_ids):
    floor = NGram(VOCAB, 4, note_ids, smoothing=smoothing).fit(some_pieces())
    model = player(smoothing, note_ids)
    rng = np.random.default_rng(2)
    for piece in (*some_pieces(), *some_pieces(seed=9), rng.integers(0, VOCAB, 50)):
        expected = floor.log_probabilities(piece)[-1]
        p = log_p(model, piece[None, :-1])[0]
        ours = p[np.arange(len(piece) - 1), piece[1:]]
        np.testing.assert_allclose(ours, expected, atol=1e-5)


class ByDictionary:
    """Back-off and Witten-Bell as their formulas are written, with no array at all."""

    def __init__(self, pieces, order):
        self.grams = [defaultdict(Counter) for _ in range(order + 1)]
        for piece in pieces:
            padded = [None] * order + [int(token) for token in piece]
            for at in range(order + 1, len(padded)):
                for k in range(order + 1):
                    self.grams[k][tuple(padded[at - k : at])][padded[at]] += 1

    def discount(self, k):
        seen = Counter(n for after in self.grams[k].values() for n in after.values())
        return min(0.9, max(0.1, seen[1] / max(1, seen[1] + 2 * seen[2])))

    def back_off(self, context, k):
        if k < 0:
            return dict.fromkeys(range(VOCAB), 1 / VOCAB)
        shorter = self.back_off(context, k - 1)
        after = self.grams[k].get(tuple(context[len(context) - k :]))
        if not after:
            return shorter
        n, t = sum(after.values()), len(after)
        d = self.discount(k) if t < VOCAB else 0
        unseen = sum(p for w, p in shorter.items() if w not in after)
        return {
            w: (after[w] - d) / n if w in after else d * t / n * p / unseen
            for w, p in shorter.items()
        }

    def witten_bell(self, context, k):
        if k < 0:
            return dict.fromkeys(range(VOCAB), 1 / VOCAB)
        shorter = self.witten_bell(context, k - 1)
        after = self.grams[k].get(tuple(context[len(context) - k :]), {})
        n, t = sum(after.values()), len(after)
        return {
            w: (after.get(w, 0) + t * p) / (n + t) if n else p
            for w, p in shorter.items()
        }


@every_smoothing
def test_it_equals_plain_dictionaries(smoothing):
    order = 3
    reference = ByDictionary(some_pieces(), order)
    formula = reference.back_off if smoothing == "back-off" else reference.witten_bell
    model = player(smoothing, order=order)
    rng = np.random.default_rng(3)
    for piece in (some_pieces()[1], some_pieces(seed=4)[0], rng.integers(0, VOCAB, 30)):
        p = np.exp(log_p(model, piece[None]).astype(float))[0]
        for t in range(len(piece)):
            context = [None] * order + [int(token) for token in piece[: t + 1]]
            expected = formula(context, order)
            np.testing.assert_allclose(p[t], [expected[w] for w in range(VOCAB)], 1e-5)


def test_a_backed_off_bigram_equals_the_one_counted_by_hand():
    # After BOS 5; after 5: 6 twice and 7 once; after 6: 5 twice; after 7: 2.
    # Unigram: 5 three times, 6 twice, 7 once, 2 once -> n = 7, t = 4; n1 = 2, n2 = 1:
    # d = 2 / 4 = 0.5. Bigrams: BOS 5 once, 5 6 twice, 5 7 once, 6 5 twice, 7 2 once ->
    # n1 = 3, n2 = 2: d = 3 / 7.
    # p(6 | 5) = (2 - 3/7) / 3 = 11/21; p(7 | 5) = (1 - 3/7) / 3 = 4/21; left: 6/21.
    # Unseen after 5: all of the unigrams but (2 - .5) / 7 and (1 - .5) / 7 = 5/7.
    # p(5 | 5) = 6/21 (3 - .5) / 7 / (5/7) = 6/21 / 2 = 1/7.
    model = Player(*count([[1, 5, 6, 5, 6, 5, 7, 2]], 10, order=1))
    p = np.exp(log_p(model, [[1, 5]]))[0, 1]
    np.testing.assert_allclose(p[[6, 7, 5]], [11 / 21, 4 / 21, 1 / 7], rtol=1e-6)
    assert p.sum() == pytest.approx(1)


def test_a_tune_in_another_key_is_as_likely_when_intervals_are_counted():
    melody = np.array([BOS, *(8 + np.array([0, 2, 4, 0, 5, 4, 2, 0] * 3)), 2])
    higher = np.where(melody > 4, melody + 5, melody)
    model = Player(*count([melody], VOCAB, order=4, note_ids=NOTES))
    there, here = (log_p(model, ids[None, :-1])[0] for ids in (melody, higher))
    after = np.arange(1, len(melody) - 1)
    np.testing.assert_allclose(
        there[after, melody[after + 1]], here[after, higher[after + 1]], atol=1e-6
    )
    as_written = Player(*count([melody], VOCAB, order=4))
    assert log_p(as_written, higher[None, :-1])[0, 5, higher[6]] < here[5, higher[6]]


@every_smoothing
def test_real_tunes_are_worth_to_it_what_they_are_to_the_floor(smoothing):
    from data_pipelines.midi import parse_midi

    files = sorted(data_folder("nottingham").glob("*.mid"))[:40]
    pieces = [TOKENIZER.encode(parse_midi(f.read_bytes())) for f in files]
    train, held_out = pieces[:36], pieces[36:]
    notes = TOKENIZER.vocabulary.ids("pitch")
    size = TOKENIZER.vocab_size
    floor = NGram(size, 6, notes, smoothing=smoothing).fit(train)
    model = Player(*count(train, size, order=6, note_ids=notes, smoothing=smoothing))
    for piece in held_out:
        p = log_p(model, piece[None, :-1])[0]
        np.testing.assert_allclose(
            p[np.arange(len(piece) - 1), piece[1:]],
            floor.log_probabilities(piece)[-1],
            atol=1e-5,
        )
        np.testing.assert_allclose(np.exp(p.astype(float)).sum(-1), 1, atol=1e-6)


@every_smoothing
def test_a_bundle_of_it_is_the_same_model(smoothing, tmp_path):
    model, weights = count(
        [np.r_[BOS, TOKENIZER.metre_id("4/4"), piece[1:] + 10] for piece in walks()],
        TOKENIZER.vocab_size,
        order=5,
        note_ids=TOKENIZER.vocabulary.ids("pitch"),
        smoothing=smoothing,
    )
    save_bundle(tmp_path / "n", Bundle(model, weights, TOKENIZER.spec()))
    opened = load_bundle(tmp_path / "n")
    assert opened.architecture == model
    assert opened.model_name == "ngram"
    np.testing.assert_array_equal(opened.weights["tokens"], weights["tokens"])
    asked = Request(
        np.tile([BOS, TOKENIZER.metre_id("4/4")], (3, 1)), 60, TOKENIZER.grammar, seed=4
    )
    players = Player(model, weights), Player(opened.architecture, opened.weights)
    made, same = (generate(p, asked) for p in players)
    np.testing.assert_array_equal(made.ids, same.ids)
    assert len({row.tobytes() for row in made.ids}) == 3
    alone = generate(players[0], Request(asked.prompts[:1], 60, asked.grammar, seed=4))
    np.testing.assert_array_equal(alone.ids, made.ids[:1])
    for row in made.ids:
        real = row[row != 0]
        assert TOKENIZER.grammar.accepts(np.r_[TOKENIZER.metre_id("4/4"), real])
        assert len(TOKENIZER.decode(np.r_[BOS, TOKENIZER.metre_id("4/4"), row])) >= 1


def walks():
    rng = np.random.default_rng(8)
    return [np.r_[BOS, 60 + np.cumsum(rng.integers(-2, 3, 40)) % 12] for _ in range(5)]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"order": -1}, "`order` must be an integer in 0..32. Received: -1"),
        ({"order": 2.0}, r"`order` must be an integer in .*: 2\.0"),
        ({"num_tokens": 1}, "`num_tokens` must be an integer in 2.."),
        ({"num_tokens": 2**23}, "`num_tokens` must be an integer in"),
        ({"vocab_size": True}, "`vocab_size` must be an integer in"),
        ({"last_note": 23}, r"`last_note` must be an integer in 0\.\.22"),
        ({"first_note": 9}, "must both be 0"),
        ({"first_note": 9, "last_note": 8}, "must both be 0"),
        ({"smoothing": "stupid"}, "one of witten-bell, back-off. Received: 'stupid'"),
        ({"num_tokens": 2**22, "order": 32}, "would not fit in memory"),
    ],
)
def test_a_size_outside_its_limits_is_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        CountedNGram(**{"vocab_size": VOCAB, "num_tokens": 9, "order": 2, **sizes})


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([1, 5, 6, 23], r"must hold ids in 0\.\.22"),
        ([1, 5, 6, -1], "must hold ids"),
        ([1, 5, 6.5, 2], "must hold ids"),
        ([1, 5, np.nan, 2], "not finite"),
        ([5, 6, 7, 2], "must begin with BOS"),
        ([1, 5, 2, 1], "a piece of BOS alone"),
        ([1, 5, 2], "must have shape"),
    ],
)
def test_tokens_that_are_no_pieces_can_be_neither_saved_opened_nor_played(
    tokens, message, tmp_path
):
    import hashlib

    model = CountedNGram(VOCAB, 4, 2)
    weights = {"tokens": np.array(tokens, dtype=np.float32)}
    with pytest.raises(ValueError, match=message):
        save_bundle(tmp_path / "n", Bundle(model, weights, {}))
    with pytest.raises(ValueError, match=message):
        Player(model, weights)
    good = {"tokens": np.array([1, 5, 6, 2], np.float32)}
    save_bundle(tmp_path / "n", Bundle(model, good, {}))
    np.savez(tmp_path / "n" / "weights.npz", **weights)
    digest = hashlib.sha256((tmp_path / "n" / "weights.npz").read_bytes()).hexdigest()
    sums = (tmp_path / "n" / "SHA256SUMS").read_text().splitlines()
    sums = [f"{digest}  weights.npz" if "weights" in line else line for line in sums]
    (tmp_path / "n" / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    with pytest.raises(BadBundle, match=message):
        load_bundle(tmp_path / "n")


@pytest.mark.parametrize("piece", [[], [1], [5, 6, 2], [1, 5, 1, 2]])
def test_a_piece_that_is_none_is_named(piece):
    with pytest.raises(ValueError, match="Piece 1 must begin with BOS, and hold no"):
        count([[1, 5, 2], piece], VOCAB, order=2)


def test_no_pieces_at_all_are_refused():
    with pytest.raises(ValueError, match="`num_tokens` must be an integer in"):
        count([], VOCAB, order=2)


def test_keras_is_told_that_it_is_counted():
    from types import ModuleType

    model = CountedNGram(VOCAB, 4, 2)
    with pytest.raises(TypeError, match="counted, not trained"):
        model.start(ModuleType("keras.ops"), 1)
    with pytest.raises(TypeError, match="counted, not trained"):
        model.forward(ModuleType("keras.ops"), {}, np.array([[1]]))


def test_a_hundred_thousand_tokens_are_counted_within_a_second_and_asked_in_a_moment():
    import time

    rng = np.random.default_rng(0)
    pieces = [np.r_[BOS, rng.integers(4, 60, 999)] for _ in range(100)]
    model = count(pieces, 145, order=8, note_ids=range(4, 60))
    began = time.process_time()
    ready = Player(*model)
    counted_in = time.process_time() - began
    state = ready.start(1)
    began = time.process_time()
    for token in pieces[0][:400]:
        _, state = ready.step([token], state)
    step = (time.process_time() - began) / 400
    print(f"counted in {counted_in:.2f} s, a step takes {1e6 * step:.0f} us")
    assert counted_in < 1
    assert step < 2e-3
    assert len(pieces) * 1000 * 9 < MOST_GRAMS


WATCHED = """
import sys
from studio.cli import run
status = run(sys.argv[1:])
print("tensorflow" in sys.modules, "keras" in sys.modules)
sys.exit(status)
"""


def without_keras(*arguments):
    """Run a command in a process of its own; its output, and that it imported none."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False False"
    return done.stdout


def test_train_and_compose_count_and_play_without_tensorflow(folder_of_tunes, tmp_path):
    output = tmp_path / "n.bundle"
    told = without_keras(
        "train", folder_of_tunes, "--recipe", "melody-ngram", "-o", output
    )
    assert "counted (order" in told and "Loading Keras" not in told
    bundle = load_bundle(output)
    facts, run = bundle.facts, tmp_path / "n.bundle.run"
    assert isinstance(bundle.architecture, COUNTED["ngram"])
    assert bundle.card.count("counted, not trained") == 1
    assert "copies its corpus" in bundle.card and "Rebuild" in bundle.card
    assert facts["test"]["model"] > 0 and facts["held_out"]["is_held_out"]
    history = json.loads((run / "history.json").read_text())
    assert len(history) == 4 * 17
    assert facts["held_out"]["model"] == min(row["held_out"] for row in history)
    about = json.loads((run / "run.json").read_text())
    assert about["recipe"] == "melody-ngram" and about["command"] in bundle.card
    assert about["plan"]["order"] == bundle.architecture.order
    assert (run / "report.jsonl").exists()
    # What the facts say of held-out music, the opened bundle gives it.
    from studio.floors import count_notes, held_out_pieces
    from studio.gather import gather

    dataset = gather(folder_of_tunes)
    model, nats = Player(bundle.architecture, bundle.weights), 0.0
    valid = held_out_pieces(dataset)
    for piece in valid:
        p = log_p(model, piece[None, :-1])[0]
        nats -= float(p[np.arange(len(piece) - 1), piece[1:]].sum())
    assert nats / count_notes(valid, TOKENIZER) == pytest.approx(
        facts["held_out"]["model"], rel=1e-4
    )
    tunes = [tmp_path / f"{n}.mid" for n in range(2)]
    for path in tunes:
        without_keras("compose", "-m", output, "-o", path, "--seed", 7, "--bars", 4)
    assert tunes[0].read_bytes() == tunes[1].read_bytes()


@pytest.mark.parametrize(
    "given",
    [
        ("--epochs", 3), ("--minutes", 1), ("--learning-rate", 0.1), ("--resume",),
        ("--model", "lstm"), ("--size", "tiny"), ("--seed", 0),
    ],
)  # fmt: skip
def test_what_means_nothing_to_counting_is_refused_in_a_line(given, tmp_path, capsys):
    from studio.cli import run

    words = ["train", str(tmp_path), "--recipe", "melody-ngram", *map(str, given)]
    assert run([*words, "-o", str(tmp_path / "n")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"etude: {given[0]} means nothing to melody-ngram: it is counted in seconds, "
        "not trained."
    )


def test_the_ngram_as_another_network_is_refused_by_name(tmp_path, capsys):
    from studio.cli import run

    assert run(["train", str(tmp_path), "--model", "ngram"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "`ngram` is counted, not trained: --recipe melody-ngram" in line


def test_one_file_is_counted_in_a_middling_order_and_the_lack_is_said(tmp_path, capsys):
    from data_pipelines.midi import write_midi
    from studio.cli import run

    write_midi(tmp_path / "only.mid", tune([60, 62, 64, 65, 67] * 20))
    output = tmp_path / "n.bundle"
    words = ["train", str(tmp_path / "only.mid"), "--recipe", "melody-ngram"]
    assert run([*words, "-o", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 0 and told["bundle"] == str(output)
    bundle = load_bundle(output)
    assert bundle.architecture.order == 5
    assert "Too few tunes to hold any back" in bundle.card
    assert bundle.facts["copied"]["composed"] > 0.5  # it has nothing else to say


def test_models_says_that_it_is_counted(tmp_path, capsys, monkeypatch):
    import studio.models
    from studio.cli import run

    figures = {"model": 1.0, "ngram": 1.0, "copy": 2.0, "unigram": 3.0}
    facts = {
        "recipe": "melody-ngram", "notes": 9, "sources": [], "held_out": figures,
        "counted": "order 5, in every key, back-off",
    }  # fmt: skip
    model, weights = count([[1, 5, 2]], TOKENIZER.vocab_size, order=1)
    save_bundle(tmp_path / "n", Bundle(model, weights, TOKENIZER.spec(), facts))
    monkeypatch.setattr(studio.models, "SHIPPED", tmp_path)
    assert run(["models"]) == 0
    assert (
        "n: melody-ngram, 9 notes, counted: order 5, in every key, back-off"
        in capsys.readouterr().out
    )


def test_a_run_that_was_copied_is_found_in_every_key():
    from studio.count import runs, share_known

    tune_ids = np.r_[BOS, 40 + np.arange(20) % 7, 2]
    higher = np.where(tune_ids > 20, tune_ids + 3, tune_ids)
    known = runs([tune_ids], TOKENIZER, 8)
    assert share_known([higher[2:]], known, TOKENIZER, 8) > 0.9
    assert share_known([tune_ids], known, TOKENIZER, 8) == 1
    assert share_known([np.r_[BOS, 40 + np.arange(20) % 5]], known, TOKENIZER, 8) == 0
    assert share_known([[BOS, 40]], known, TOKENIZER, 8) == 0  # too short to hold one

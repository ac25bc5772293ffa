"""Q5 and Q6 in small: what is read, in which order, and what a number is the mean of."""

import keras
import numpy as np
import pytest
from conftest import data_folder

from audio_models.network import Network
from audio_models.recurrent import LSTM
from studio import bench_charrnn as notes
from studio import bench_text as bench
from studio.bench_charrnn import SeedCharRNN
from studio.bench_data import shared_data
from studio.errors import NothingUsable

VOCAB = 11
SMALL = {"embedding_dim": 4, "hidden_dim": 8}
PLAN = {**bench.PLAN, "epochs": 2, "batch_size": 3, "window": 8}


def random_ids(length, vocab_size=VOCAB, seed=0):
    return np.random.default_rng(seed).integers(0, vocab_size, length).astype("int32")


def untrained(architecture, seed=0):
    network = Network(architecture, seed=seed)
    return network, network.named_weights()


# What is held out


def test_the_last_tenth_follows_what_is_learnt_and_shares_only_the_id_that_is_read():
    chosen = bench.parts(np.arange(1000), "valid")
    assert chosen.train.tolist() == list(range(900))
    assert chosen.held_out.tolist() == list(range(899, 1000))


def test_the_tail_on_which_to_choose_is_the_end_of_what_is_learnt():
    chosen = bench.parts(np.arange(1000), "tail")
    assert chosen.train.tolist() == list(range(855))
    assert chosen.held_out.tolist() == list(range(854, 900))


def test_other_parts_are_refused_by_name():
    with pytest.raises(ValueError, match=r"\"tail\"\. Received: 'test'"):
        bench.parts(np.arange(1000), "test")


# How a stream is cut


@pytest.mark.parametrize(
    ("length", "rows", "window"), [(2, 1, 5), (101, 4, 5), (98, 3, 7), (33, 4, 8)]
)
def test_rows_are_streams_that_tell_each_id_once_and_go_on_in_the_next_batch(
    length, rows, window
):
    ids = np.arange(100, 100 + length)
    batches = bench.streams(ids, rows, window)
    x, y, mask = (np.concatenate(part, axis=1) for part in zip(*batches, strict=True))
    assert all(part.shape == (rows, window) for batch in batches for part in batch)
    is_real = mask > 0
    assert (y[is_real] == x[is_real] + 1).all()
    told = rows * ((length - 1) // rows)  # fewer ids are left over than there are rows
    assert y[is_real].tolist() == list(range(101, 101 + told))  # row after row
    assert length - 1 - told < rows


def test_more_rows_than_ids_are_refused():
    with pytest.raises(ValueError, match=r"9 rows need 10 ids\. Received: 9"):
        bench.streams(np.arange(9), 9, 4)


def test_chunks_do_not_overlap_and_the_last_is_the_last():
    ids = np.arange(10_000)
    cut = notes.chunks(ids)
    assert [x.shape for x, _ in cut] == 19 * [(1, 500)] + [(1, 499)]
    assert np.concatenate([x for x, _ in cut], axis=1)[0].tolist() == list(range(9999))
    assert all((y == x + 1).all() for x, y in cut)
    assert cut[-1][1][0, -1] == ids[-1]


# What the loss is the mean of


@pytest.mark.parametrize(
    "architecture", [LSTM(VOCAB, **SMALL), SeedCharRNN(VOCAB, **SMALL)]
)
@pytest.mark.parametrize("at_once", [1, 7, 58, 59, 1000])
def test_a_stream_read_in_parts_gives_the_loss_of_the_whole_read_at_once(
    architecture, at_once
):
    ids = random_ids(60)
    network, weights = untrained(architecture)
    logits = np.asarray(network(ids[None, :-1]))[0].astype("float64")  # (59, V)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    whole = -np.mean([log_p[t, ids[t + 1]] for t in range(59)])
    carried = bench.stream_nats(architecture, weights, ids, at_once=at_once)
    assert carried == pytest.approx(whole, abs=1e-5)


def test_nothing_to_tell_is_refused():
    architecture = LSTM(VOCAB, **SMALL)
    _, weights = untrained(architecture)
    with pytest.raises(ValueError, match=r"2 or more ids\. Received: 1"):
        bench.stream_nats(architecture, weights, random_ids(1))


def test_a_network_that_has_learnt_nothing_is_close_to_guessing():
    architecture = LSTM(57, embedding_dim=16, hidden_dim=32)
    _, weights = untrained(architecture)
    nats = bench.stream_nats(architecture, weights, random_ids(2000, 57))
    assert nats == pytest.approx(np.log(57), abs=0.1)


def test_a_network_whose_head_is_zero_guesses():
    architecture = SeedCharRNN(57, **SMALL)
    _, weights = untrained(architecture)
    weights["head.kernel"] = np.zeros_like(weights["head.kernel"])
    nats = bench.stream_nats(architecture, weights, random_ids(100, 57))
    assert nats == pytest.approx(np.log(57), abs=1e-6)


# Q6


@pytest.mark.slow
def test_the_weights_are_those_after_the_last_epoch_even_if_an_earlier_was_better():
    seen = []

    def look(_architecture, weights):
        seen.append(weights)
        return ""

    wild = {**PLAN, "epochs": 3, "learning_rate": 0.5}  # gets worse, if anything
    _, weights, losses = bench.learn(random_ids(200), VOCAB, SMALL, wild, look=look)
    assert len(seen) == len(losses) == 3
    for name, array in weights.items():
        assert np.array_equal(array, seen[-1][name]), name
    assert not np.array_equal(seen[0]["head.bias"], seen[-1]["head.bias"])


def test_counting_is_beside_it_with_the_unigram_of_the_formula():
    text = "aaab" * 50
    ids, vocab_size = bench.characters(text)
    floors = bench.counted_floors(ids, vocab_size, longest=3)
    assert vocab_size == 6  # four reserved
    assert floors["uniform"] == round(np.log(6), 4)
    # Witten-Bell, order 0: 179 ids were told, 134 a and 45 b, and two kinds of them.
    p = {"a": (134 + 2 / 6) / 181, "b": (45 + 2 / 6) / 181}
    expected = -np.mean([np.log(p[c]) for c in text[180:]])
    assert floors["unigram"] == pytest.approx(expected, abs=1e-4)
    (name,) = set(floors) - {"uniform", "unigram"}
    assert name == "Witten-Bell n-gram, 3 characters of context"  # after aaa comes b
    assert floors[name] < 0.1


@pytest.mark.slow
def test_a_text_of_one_phrase_is_learnt_and_the_row_says_of_what_it_is_the_mean():
    text = "to be or not, " * 50
    plan = {**PLAN, "epochs": 25, "learning_rate": 2e-2, "batch_size": 4}
    lines = []
    (row,) = bench.shakespeare(
        sizes={"embedding_dim": 8, "hidden_dim": 24, "num_layers": 1},
        plan=plan,
        text=text,
        tell=lines.append,
    )
    assert row["value"] < 0.15 < row["floors"]["unigram"]
    assert row["characters"] == 70
    assert row["epochs"] == len(lines) == len(row["training_loss"]) == 25
    v = len(set(text)) + 4
    assert row["weights"] == 8 * v + (8 + 24 + 1) * 96 + 25 * v
    assert row["ratio"] == round(row["value"] / 1.88, 3)


def test_a_last_tenth_with_characters_of_its_own_is_refused():
    with pytest.raises(NothingUsable, match="characters that the rest lacks"):
        bench.shakespeare(text="ab" * 45 + "ac" * 5)


# Q5


def test_the_recipe_is_an_embedding_a_simple_recurrence_and_two_linear_layers():
    architecture = SeedCharRNN(VOCAB)
    network, weights = untrained(architecture, seed=3)
    rng = np.random.default_rng(0)
    weights = {n: rng.normal(0, 0.2, w.shape) for n, w in weights.items()}
    network.load_named_weights(weights)
    weights["both"] = weights["layer0.bias"] + weights["layer0.recurrent_bias"]
    layers = [
        keras.layers.Embedding(VOCAB, 32),
        keras.layers.SimpleRNN(128, return_sequences=True),
        keras.layers.Dense(64),
        keras.layers.Dense(VOCAB),
    ]
    ids = random_ids(12)[None]
    plain = keras.Sequential(layers)
    plain.build((1, 12))
    plain.set_weights(
        [
            weights[name]
            for name in (
                "embedding",
                *("layer0.input", "layer0.recurrent", "both"),
                *("between.kernel", "between.bias", "head.kernel", "head.bias"),
            )
        ]
    )
    assert np.allclose(plain(ids), network(ids), atol=1e-4)
    assert network.count_params() == plain.count_params() + 128  # the second bias


def test_pytorchs_first_weights_lie_within_its_bounds_and_kerass_biases_are_zero():
    architecture = SeedCharRNN(57)
    torch = notes.first_weights(architecture, "pytorch", 0)
    assert torch["embedding"].std() == pytest.approx(1, abs=0.1)
    for name, width in [
        ("layer0.input", 128),
        ("between.bias", 128),
        ("head.bias", 64),
    ]:
        assert 0.8 * width**-0.5 < np.abs(torch[name]).max() <= width**-0.5, name
    ours = notes.first_weights(architecture, "keras", 0)
    assert np.abs(ours["embedding"]).max() <= 0.05
    assert not ours["layer0.bias"].any() and not ours["head.bias"].any()
    recurrent = ours["layer0.recurrent"]
    assert np.allclose(recurrent @ recurrent.T, np.eye(128), atol=1e-5)


def test_what_the_first_characters_lack_is_left_out_and_counted():
    ids, held_out, alphabet, left_out = notes.first_characters("abca" + "bGcG" + "a", 4)
    assert (alphabet, left_out) == ("abc", 2)
    assert ids.tolist() == [0, 1, 2, 0]
    assert held_out.tolist() == [0, 1, 2]  # the last that was learnt, then b and c


def test_too_short_a_text_is_refused():
    with pytest.raises(NothingUsable, match="15999 characters, and 20000 are needed"):
        notes.seed_charrnn(text="a" * 15_999)


@pytest.mark.slow
def test_a_loss_is_taken_before_its_chunk_is_learnt_from_a_state_drawn_at_random():
    learnt = random_ids(40)  # one chunk
    run = notes.repeat(learnt, learnt[:9], VOCAB, "keras", 5, epochs=1, **SMALL)
    architecture = SeedCharRNN(VOCAB, **SMALL)
    weights = notes.first_weights(architecture, "keras", 5)
    state = np.random.default_rng([5, 1]).normal(size=(1, 1, 8)).astype("float32")
    expected = bench.stream_nats(architecture, weights, learnt, (state,))
    assert run.last_chunk == pytest.approx([expected], abs=1e-4)
    assert run.whole[0] < expected  # a step was made since, and the state is zeros


@pytest.mark.slow
def test_the_recipe_learns_a_phrase_by_heart_and_not_what_follows():
    text = "so shaken as we are, so wan with care, " * 6
    learnt, other, alphabet, _ = notes.first_characters(text + text[::-1], len(text))
    run = notes.repeat(learnt, other, len(alphabet), "pytorch", 0, epochs=61)
    assert len(run.last_chunk) == 7
    assert run.whole[-1] < 0.5 < np.log(len(alphabet)) < run.held_out[-1]


def test_the_corpus_is_the_one_whose_figures_were_published():
    text = (data_folder("text") / "tinyshakespeare.txt").read_text()
    learnt, held_out, alphabet, left_out = notes.first_characters(text)
    assert (len(alphabet), len(learnt)) == (57, 10_000)
    assert len(held_out) - 1 + left_out == 10_000
    ids, vocab_size = bench.characters(text)
    assert (len(ids), vocab_size) == (1_115_394, 65 + 4)
    assert len(bench.parts(ids, "valid").held_out) - 1 == 111_540


# The data


def test_the_data_lie_where_the_environment_says(tmp_path, monkeypatch):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "tinyshakespeare.txt").write_text("abc")
    monkeypatch.setenv("ETUDE_DATA", str(tmp_path))
    assert shared_data("text/tinyshakespeare.txt").parent == tmp_path / "text"
    assert bench.read() == "abc"


@pytest.mark.parametrize("measure", [bench.shakespeare, notes.seed_charrnn])
def test_without_the_data_one_sentence_says_what_is_missing(
    measure, tmp_path, monkeypatch
):
    monkeypatch.setenv("ETUDE_DATA", str(tmp_path))
    with pytest.raises(NothingUsable, match=r"tinyshakespeare\.txt does not exist"):
        measure()

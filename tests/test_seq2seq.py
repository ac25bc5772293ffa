"""Translators: both engines alike, padding unseen, no look ahead, and how they write."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import ops

from audio_models import bundle as bundles
from audio_models import numpy_ops
from audio_models.beam import beam_search
from audio_models.request import EOS, PAD, Request
from audio_models.seq2seq import (
    BOS,
    TRANSLATORS,
    UNK,
    Translator,
    UntilEnd,
    padded,
    translate,
)
from audio_models.seq2seq_training import Seq2SeqNetwork

VOCAB = 9
RECURRENT = {"embedding_dim": 5, "hidden_dim": 6}
ATTENTIVE = {"hidden_dim": 8, "num_heads": 2, "num_layers": 2, "context_length": 16}
SMALL = {
    "lstm": ("seq2seq", {**RECURRENT, "num_layers": 2}),
    "gru": ("seq2seq", {**RECURRENT, "cell": "gru", "num_layers": 2}),
    "one way": ("seq2seq", {**RECURRENT, "bidirectional": False}),
    "bottleneck": ("seq2seq", {**RECURRENT, "attention": "none"}),
    "gru bottleneck": (
        "seq2seq",
        {**RECURRENT, "cell": "gru", "attention": "none", "bidirectional": False},
    ),
    "transformer": ("seq2seq_transformer", ATTENTIVE),
    "learned": ("seq2seq_transformer", {**ATTENTIVE, "positions": "learned"}),
    "set": ("seq2seq_transformer", {**ATTENTIVE, "positions": "none"}),
    "short sight": ("seq2seq_transformer", {**ATTENTIVE, "context_length": 3}),
}
every_kind = pytest.mark.parametrize("name", SMALL)
ATTENDS = [name for name in SMALL if "bottleneck" not in name]
SOURCES = [[4, 5, 6, 7], [8], [5, 4, 4, 8, 6, 7]]


def small(name, seed=0):
    """An architecture, and weights large enough that it has likes and dislikes."""
    kind, sizes = SMALL[name]
    architecture = TRANSLATORS[kind](vocab_size=VOCAB, **sizes)
    rng = np.random.default_rng(seed)
    weights = {
        key: rng.normal(0, 0.7, weight.shape).astype("float32")
        for key, weight in architecture.weights().items()
    }
    return architecture, weights


def network_of(architecture, weights):
    network = Seq2SeqNetwork(architecture)
    network.load_named_weights(weights)
    return network


def rows():
    source = padded(SOURCES, after=[EOS])
    target = np.random.default_rng(1).integers(4, VOCAB, (3, 7)).astype("int32")
    target[:, 0] = BOS
    return source, target


def forward(name, source, target, seed=0):
    architecture, weights = small(name, seed)
    return architecture.forward(numpy_ops, weights, source, target)


@every_kind
def test_step_after_step_equals_forward(name):
    architecture, weights = small(name)
    source, target = rows()
    logits = architecture.forward(numpy_ops, weights, source, target)
    assert logits.shape == (3, 7, VOCAB)
    player = Translator(architecture, weights, source)
    state = player.start(3)
    for t in range(7):
        played, state = player.step(target[:, t], state)
        np.testing.assert_allclose(played, logits[:, t], atol=1e-5)


@pytest.mark.parametrize("name", ["lstm", "gru bottleneck", "transformer"])
def test_keras_gives_what_numpy_gives_at_once_and_step_by_step(name):
    architecture, weights = small(name)
    source, target = rows()
    logits = architecture.forward(numpy_ops, weights, source, target)
    network = network_of(architecture, weights)
    np.testing.assert_allclose(network((source, target)), logits, atol=1e-5)
    memory = network.encode(source)
    state = network.start(memory)
    for t in range(3):
        stepped, state = network.step(memory, ops.array(target[:, t]), state)
        np.testing.assert_allclose(stepped, logits[:, t], atol=1e-5)


@every_kind
def test_padding_changes_nothing(name):
    source, target = rows()
    logits = forward(name, source, target)
    wider = np.pad(source, ((0, 0), (0, 5)), constant_values=PAD)
    np.testing.assert_allclose(forward(name, wider, target), logits, atol=1e-5)
    for row, tokens in enumerate(SOURCES):
        alone = forward(name, padded([tokens], after=[EOS]), target[row : row + 1])
        np.testing.assert_allclose(alone[0], logits[row], atol=1e-5)
    longer = np.pad(target, ((0, 0), (0, 4)), constant_values=PAD)
    np.testing.assert_allclose(forward(name, source, longer)[:, :7], logits, atol=1e-5)


@every_kind
@pytest.mark.parametrize("changed", [1, 4, 6])
def test_what_is_written_later_changes_nothing_before_it(name, changed):
    source, target = rows()
    other = target.copy()
    other[:, changed] = (other[:, changed] - 4 + 1) % 5 + 4
    before, after = forward(name, source, target), forward(name, source, other)
    difference = np.abs(before - after).max(axis=(0, 2))
    assert difference[:changed].max() < 1e-6
    assert difference[changed] > 1e-3


@every_kind
def test_every_token_of_the_source_is_heard_in_every_step(name):
    source, target = rows()
    for place in range(6):
        other = source.copy()
        other[2, place] = UNK
        moved = np.abs(forward(name, source, target) - forward(name, other, target))
        assert (moved[2].max(axis=-1) > 1e-7).all()
        assert moved[:2].max() == 0


@pytest.mark.parametrize("name", ["lstm", "gru bottleneck", "learned"])
def test_a_gradient_reaches_every_weight_of_the_encoder(name):
    import tensorflow as tf

    network = network_of(*small(name))
    source, target = rows()
    with tf.GradientTape() as tape:
        loss = ops.sum(ops.square(network((source, target))))
    variables = network.trained_variables()
    gradients = tape.gradient(loss, list(variables.values()))
    for key, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, key
        size = np.abs(ops.convert_to_numpy(tf.convert_to_tensor(gradient))).max()
        assert size > 1e-6, key


@pytest.mark.parametrize("name", ATTENDS)
def test_an_alignment_is_a_share_of_the_tokens_and_none_of_the_padding(name):
    architecture, weights = small(name)
    source, target = rows()
    looks = architecture.alignment(numpy_ops, weights, source, target)
    assert looks.shape == (3, 7, 7)
    np.testing.assert_allclose(looks.sum(axis=-1), 1, atol=1e-5)
    assert (looks[np.broadcast_to((source == PAD)[:, None], looks.shape)] == 0).all()
    assert (looks[np.broadcast_to((source != PAD)[:, None], looks.shape)] > 0).all()


def test_additive_attention_is_that_of_the_paper_by_plain_loops():
    architecture, weights = small("lstm")
    source, target = rows()
    values = architecture.encode(numpy_ops, weights, source)[0]
    looks = architecture.alignment(numpy_ops, weights, source, target)
    query, score = weights["attention.query"], weights["attention.score"][:, 0]
    # The states that ask, read off by a head that lets them through: no mixing.
    plain = {**weights, "head.kernel": np.eye(6, VOCAB), "head.bias": np.zeros(VOCAB)}
    bottleneck = TRANSLATORS["seq2seq"](VOCAB, 5, 6, 2, attention="none")
    h = bottleneck.forward(numpy_ops, plain, source, target)[..., :6]
    for b, t in itertools.product(range(3), range(7)):
        energy = [
            score @ np.tanh(h[b, t] @ query + m @ weights["attention.key"])
            for m in values[b, : len(SOURCES[b]) + 1]
        ]
        expected = np.exp(energy) / np.exp(energy).sum()
        np.testing.assert_allclose(looks[b, t, : len(energy)], expected, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_and_decoder_are_the_layers_of_keras_with_the_same_weights(cell):
    architecture = TRANSLATORS["seq2seq"](VOCAB, 5, 6, 1, cell, False, "none")
    weights = Seq2SeqNetwork(architecture, seed=3).named_weights()
    kind = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[cell]
    layers = {}
    for name in ("encoder0.left", "decoder0"):
        layers[name] = kind(6, return_sequences=True, return_state=True)
        layers[name].build((1, None, 5))
        arrays = [weights[f"{name}.{part}"] for part in ("input", "recurrent", "bias")]
        if cell == "gru":
            arrays[2] = np.stack([arrays[2], weights[f"{name}.recurrent_bias"]])
        layers[name].set_weights(arrays)
    source, target = rows()
    read = padded(SOURCES[:1], after=[EOS])  # Keras is given no padding
    _, *state = layers["encoder0.left"](weights["source.embedding"][read])
    y, *_ = layers["decoder0"](
        weights["target.embedding"][target[:1]], initial_state=state
    )
    expected = np.asarray(y) @ weights["head.kernel"] + weights["head.bias"]
    logits = architecture.forward(numpy_ops, weights, source, target)
    np.testing.assert_allclose(logits[:1], expected, atol=1e-5)


def test_without_positions_the_source_is_a_set_and_with_them_it_is_none():
    _, target = rows()
    here, turned = (padded([x]) for x in ([4, 5, 6, 7, 8], [7, 4, 8, 6, 5]))
    moved = {
        name: np.abs(
            forward(name, here, target[:1]) - forward(name, turned, target[:1])
        ).max()
        for name in ("set", "learned", "transformer")
    }
    assert moved["set"] < 1e-5
    assert min(moved["learned"], moved["transformer"]) > 1e-2


@every_kind
def test_a_beam_of_one_is_greedy_and_a_wider_one_is_never_worth_less(name):
    architecture, weights = small(name)
    source = padded(SOURCES, after=[EOS])
    request = Request([[BOS]] * 3, 8, UntilEnd(VOCAB), temperature=0.0)
    player = Translator(architecture, weights, source)
    greedy = translate(architecture, weights, SOURCES, max_new_tokens=8)
    totals = []
    for width in (1, 5):
        made = beam_search(player, request, width=width)
        real = made.ids != PAD
        totals.append(np.where(real, made.log_probability, 0).sum(axis=1))
        if width == 1:
            written = [[i for i in row if i not in (PAD, EOS)] for row in made.ids]
            assert written == greedy
    assert (totals[1] >= totals[0] - 1e-5).all()
    assert greedy == [
        translate(architecture, weights, [one], max_new_tokens=8)[0] for one in SOURCES
    ]  # what stands beside a source has no say


def test_a_beam_that_holds_all_there_is_finds_the_best_of_it():
    architecture, weights = small("lstm", seed=3)
    source = padded(SOURCES[:1], after=[EOS])
    new, sounds = 3, range(4, VOCAB)
    every = [
        [*notes, EOS] if n < new else list(notes)
        for n in range(new + 1)
        for notes in itertools.product(sounds, repeat=n)
    ]
    ids = padded(every)
    inputs = np.concatenate([np.full((len(ids), 1), BOS), ids[:, :-1]], axis=1)
    logits = architecture.forward(
        numpy_ops, weights, source.repeat(len(ids), axis=0), inputs
    )
    own = numpy_ops.log_softmax(logits.astype("float64"))  # before the grammar
    chosen = np.take_along_axis(own, ids[..., None], axis=-1)[..., 0]
    worth = np.where(ids != PAD, chosen, 0).sum(axis=1)
    best = [i for i in every[int(worth.argmax())] if i != EOS]
    made = translate(architecture, weights, SOURCES[:1], width=400, max_new_tokens=new)
    assert made == [best]


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_drawing_is_seeded_and_never_gives_a_reserved_id(name):
    architecture, weights = small(name)
    weights["head.bias"][[PAD, BOS, UNK]] = 30.0  # all that it would like to say
    drawn = [
        translate(
            architecture, weights, SOURCES * 4, temperature=1.5, seed=seed,
            max_new_tokens=12,
        )
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert drawn[0] == drawn[1] != drawn[2]
    for made in (*drawn, translate(architecture, weights, SOURCES, max_new_tokens=9)):
        assert all(4 <= i < VOCAB for row in made for i in row)


def test_eos_stops_a_line_and_the_others_go_on():
    architecture, weights = small("bottleneck")
    weights["head.kernel"][:] = 0
    weights["head.bias"][:] = 0
    weights["head.bias"][EOS] = 9
    assert translate(architecture, weights, SOURCES) == [[], [], []]
    weights["head.bias"][EOS], weights["head.bias"][6] = -9, 9
    assert translate(architecture, weights, SOURCES, max_new_tokens=5) == [[6] * 5] * 3
    # By default, twice the longest source and 8.
    assert translate(architecture, weights, SOURCES[:2]) == [[6] * 16] * 2


def test_only_padding_may_follow_the_end_and_only_tokens_come_before_it():
    grammar = UntilEnd(VOCAB)
    assert grammar.state_after([]) == grammar.state_after([4, 8]) == grammar.start == 0
    assert grammar.state_after([4, EOS]) == grammar.state_after([EOS, PAD, PAD]) == 1
    for forbidden in ([PAD], [BOS], [UNK], [4, EOS, 5], [EOS, EOS], [4, PAD]):
        assert grammar.state_after(forbidden) is None


def test_nothing_and_the_empty_sequence_can_be_translated():
    for name in SMALL:
        architecture, weights = small(name)
        assert translate(architecture, weights, []) == []
        both = translate(architecture, weights, [[], [4, 5]], max_new_tokens=4)
        assert both[0] == translate(architecture, weights, [[]], max_new_tokens=4)[0]


def test_translating_needs_no_tensorflow():
    code = (
        "import sys, numpy as np\n"
        "from audio_models.seq2seq import TRANSLATORS, translate\n"
        "for kind in TRANSLATORS.values():\n"
        "    made = kind(9, hidden_dim=8)\n"
        "    w = {k: np.zeros(v.shape, 'float32') for k, v in made.weights().items()}\n"
        "    assert translate(made, w, [[4, 5]], width=2, max_new_tokens=3)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_bundle_holds_a_translator(tmp_path, monkeypatch):
    for kind, made in TRANSLATORS.items():
        monkeypatch.setitem(bundles.KINDS, kind, made)
    for name in ("gru", "learned"):
        architecture, weights = small(name)
        saved = bundles.Bundle(architecture, weights, {"tokens": "toy"})
        bundles.save_bundle(tmp_path / "kept", saved)
        opened = bundles.load_bundle(tmp_path / "kept")
        assert opened.architecture == architecture
        assert translate(
            opened.architecture, opened.weights, SOURCES, width=3, max_new_tokens=8
        ) == translate(architecture, weights, SOURCES, width=3, max_new_tokens=8)


def test_what_is_out_of_range_is_named():
    recurrent, attentive = TRANSLATORS.values()
    for make, sentence in (
        (lambda: recurrent(VOCAB, cell="rnn"), "`cell` must be one of lstm, gru"),
        (lambda: recurrent(VOCAB, attention="dot"), "`attention` must be one of"),
        (
            lambda: recurrent(VOCAB, bidirectional=1),
            "must be true or false. Received: 1",
        ),
        (
            lambda: recurrent(VOCAB, num_layers=0),
            "`num_layers` must be an integer in 1",
        ),
        (lambda: recurrent(VOCAB, dropout=1.0), r"`dropout` must be in \[0, 1\)"),
        (lambda: attentive(VOCAB, positions="rotary"), "`positions` must be one of"),
        (lambda: attentive(VOCAB, 12, num_heads=4), "multiple of 2 \\* num_heads"),
        (lambda: attentive(VOCAB, 4096, 64, context_length=9999), "would not fit"),
    ):
        with pytest.raises(ValueError, match=sentence):
            make()
    architecture, weights = small("lstm")
    with pytest.raises(ValueError, match=r"must be in 3\.\.8.*4\.\.9 in sequence 1"):
        translate(architecture, weights, [[4], [4, 9]])
    with pytest.raises(ValueError, match="without PAD, BOS and EOS"):
        translate(architecture, weights, [[4, PAD]])
    with pytest.raises(ValueError, match="list of sequences of int"):
        translate(architecture, weights, [[4.5]])
    with pytest.raises(ValueError, match="`temperature` must be 0 where `width`"):
        translate(architecture, weights, SOURCES, width=2, temperature=0.5)
    with pytest.raises(ValueError, match=r"`width` must be in 1\.\.4096. Received: 0"):
        translate(architecture, weights, SOURCES, width=0)
    bottleneck, weights = small("bottleneck")
    with pytest.raises(ValueError, match='`attention` "none" nothing is looked at'):
        bottleneck.alignment(numpy_ops, weights, *rows())

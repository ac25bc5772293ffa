"""The Transformer's kinds of positions under the contract, and its attention by blocks."""

import hashlib
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from audio_models import numpy_ops
from audio_models.bundle import Bundle, load_bundle, save_bundle
from audio_models.generation import CompiledGenerator
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.positions import relative_scores, sinusoids
from audio_models.request import Request
from audio_models.transformer import Transformer, _narrowed, causal_attention
from data_pipelines.tokenizers.melody import MelodyTokenizer

VOCAB = 23
KINDS = Transformer.CHOICES["positions"]
every_kind = pytest.mark.parametrize("kind", KINDS)
# Each kind, and one with a head of its own.
SETTINGS = [{"positions": kind} for kind in KINDS] + [{"tie_embedding": False}]
every_setting = pytest.mark.parametrize(
    "setting", SETTINGS, ids=lambda setting: str(*setting.values())
)


def small(**changes):
    sizes = {
        "vocab_size": VOCAB,
        "hidden_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "context_length": 32,
    }
    return Transformer(**{**sizes, **changes})


def ids_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, VOCAB, shape).astype("int32")


def random_weights(architecture, seed=0):
    """Larger than at the start of a training, so that each part has its say."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.5, weight.shape).astype("float32")
        for name, weight in architecture.weights().items()
    }


def stepped(architecture, weights, ids):
    """Logits (B, T, V) of the NumPy player, token after token."""
    player = Player(architecture, weights)
    state, logits = player.start(len(ids)), []
    for column in ids.T:
        now, state = player.step(column, state)
        logits.append(now)
    return np.stack(logits, axis=1)


def scores_and_values(length, *, batch=2, heads=3, width=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, batch, heads, length, width)).astype("float32")


def plain_attention(q, k, v, reach, relative=None):
    """The formula, pair by pair: softmax over the places in reach, then the sum."""
    gathered = np.zeros_like(v)
    for b, h, i in np.ndindex(q.shape[:3]):
        seen = range(max(0, i - reach + 1), i + 1)
        vectors = [
            k[b, h, j] + (relative[h, i - j] if relative is not None else 0)
            for j in seen
        ]
        scores = np.array([q[b, h, i] @ vector for vector in vectors], "float64")
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        gathered[b, h, i] = sum(
            s * v[b, h, j] for s, j in zip(shares, seen, strict=True)
        )
    return gathered


@every_setting
def test_changing_a_token_leaves_all_logits_before_it(setting):
    network = Network(small(**setting), seed=1)
    ids = ids_of((2, 12))
    changed = ids.copy()
    changed[:, 7] = (changed[:, 7] + 1) % VOCAB
    before, after = (ops.convert_to_numpy(network(x)) for x in (ids, changed))
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert np.abs(before[:, 7] - after[:, 7]).max() > 1e-4


@every_setting
@pytest.mark.parametrize("context_length", [5, 32], ids="context {}".format)
def test_step_after_step_equals_call_within_the_context_and_past_it(
    setting, context_length
):
    network = Network(small(context_length=context_length, **setting))
    network.load_named_weights(random_weights(network.architecture))
    ids = ids_of((2, 12))
    whole = ops.convert_to_numpy(network(ids))
    state = network.start(2)
    for t in range(12):
        logits, state = network.step(ids[:, t], state)
        np.testing.assert_allclose(ops.convert_to_numpy(logits), whole[:, t], atol=1e-4)


@every_setting
@pytest.mark.parametrize(("length", "context"), [(1, 80), (9, 1), (150, 80)])
def test_the_numpy_player_equals_keras(setting, length, context):
    architecture = small(context_length=context, **setting)
    network = Network(architecture)
    weights = random_weights(architecture)
    network.load_named_weights(weights)
    ids = ids_of((2, length))
    whole = ops.convert_to_numpy(network(ids))
    np.testing.assert_allclose(stepped(architecture, weights, ids), whole, atol=1e-4)
    plain, _ = architecture.forward(numpy_ops, weights, ids)
    np.testing.assert_allclose(plain, whole, atol=1e-4)


@every_setting
def test_a_length_known_only_as_it_runs_gives_the_same_logits(setting):
    network = Network(small(context_length=80, **setting), seed=1)
    call = tf.function(network, input_signature=[tf.TensorSpec((None, None), tf.int32)])
    ids = ids_of((2, 150))
    np.testing.assert_allclose(call(ids), network(ids), atol=1e-4)


@every_setting
def test_half_precision_gives_nearly_the_same_logits(setting):
    architecture = small(**setting)
    ids = ids_of((2, 40))
    whole, half = (
        ops.convert_to_numpy(ops.cast(Network(architecture, dtype=d)(ids), "float32"))
        for d in ("float32", "mixed_bfloat16")
    )
    assert np.abs(whole - half).max() < 0.05 * np.abs(whole).max()  # 8 bits: 0.004 each


@every_setting
def test_a_bundle_gives_back_the_same_architecture_and_tokens(setting, tmp_path):
    tokenizer = MelodyTokenizer()
    architecture = small(vocab_size=tokenizer.vocab_size, num_layers=1, **setting)
    network = Network(architecture, seed=3)
    weights = network.named_weights()
    save_bundle(tmp_path / "b", Bundle(architecture, weights, tokenizer.spec()))
    opened = load_bundle(tmp_path / "b")
    assert opened.architecture == architecture
    asked = Request([[1, tokenizer.metre_id("4/4")]] * 3, 40, tokenizer.grammar)
    made = generate(Player(opened.architecture, opened.weights), asked)
    # The compiled engine too, past the 32 tokens of the context.
    compiled = CompiledGenerator(network).generate(asked)
    np.testing.assert_array_equal(made.ids, compiled.ids)
    np.testing.assert_allclose(
        made.log_probability, compiled.log_probability, atol=1e-3
    )


def test_a_bundle_from_before_there_were_kinds_of_positions_still_opens(tmp_path):
    architecture = small()
    weights = Network(architecture, seed=3).named_weights()
    folder = tmp_path / "b"
    save_bundle(folder, Bundle(architecture, weights, MelodyTokenizer().spec()))
    about = json.loads((folder / "bundle.json").read_text())
    assert about["sizes"].pop("positions") == "rotary"
    assert about["sizes"].pop("tie_embedding") is True
    before = hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(about))
    after = hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    sums = folder / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, after))
    assert load_bundle(folder).architecture == architecture


@pytest.mark.parametrize("bad", ["absolute", "", None, 1, ["rotary"]])
def test_an_unknown_kind_of_positions_is_refused(bad):
    with pytest.raises(ValueError, match="`positions` must be one of rotary, relative"):
        small(positions=bad)
    with pytest.raises(ValueError, match="`tie_embedding` must be true or false"):
        small(tie_embedding=bad)


@every_kind
def test_the_order_of_earlier_tokens_matters(kind):
    # In one layer without positions, what stands before the last token is a set.
    architecture = small(positions=kind, num_layers=1)
    weights = random_weights(architecture)
    ids = np.array([[3, 4, 5, 6], [4, 3, 5, 6]])
    logits, _ = architecture.forward(numpy_ops, weights, ids)
    assert np.abs(logits[0, -1] - logits[1, -1]).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "first", "is_same"),
    [
        ("rotary", 22, True),
        ("relative", 22, True),
        ("learned", 22, False),  # the same tokens at other places: 22 % 8 = 6
        ("learned", 16, True),  # once and twice round the clock
        ("sinusoidal", 16, False),
    ],
)
def test_where_reading_began_matters_to_absolute_positions_alone(kind, first, is_same):
    # In one layer, none but the last 8 tokens can matter.
    architecture = small(positions=kind, num_layers=1, context_length=8)
    weights = random_weights(architecture)
    ids = ids_of((1, 30))
    whole = stepped(architecture, weights, ids)[:, -1]
    late = stepped(architecture, weights, ids[:, first:])[:, -1]
    assert np.allclose(whole, late, atol=1e-4) == is_same


def test_sinusoids_are_those_of_the_formula():
    places = np.array([0, 1, 700])
    by_hand = [  # 10000 ** (0 / 4) = 1 and 10000 ** (2 / 4) = 100
        [math.sin(p), math.sin(p / 100), math.cos(p), math.cos(p / 100)] for p in places
    ]
    np.testing.assert_allclose(sinusoids(numpy_ops, places, 4), by_hand, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 5), (1, 6), (3, 7)])
@pytest.mark.parametrize("space", [ops, numpy_ops], ids=["keras", "numpy"])
def test_skewed_scores_equal_those_of_gathered_embeddings(rows, columns, space):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(2, 3, rows, 4)).astype("float32")
    by_distance = rng.normal(size=(3, columns, 4)).astype("float32")
    farthest_first = by_distance[:, ::-1].copy()
    skewed = np.asarray(relative_scores(space, q, farthest_first))
    assert skewed.shape == (2, 3, rows, columns)
    for i, j in np.ndindex(rows, columns):
        back = columns - rows + i - j
        if back >= 0:
            naive = (q[:, :, i] * by_distance[:, back]).sum(axis=-1)
            np.testing.assert_allclose(skewed[:, :, i, j], naive, atol=1e-5)


@pytest.mark.parametrize("is_relative", [False, True], ids=["plain", "relative"])
@pytest.mark.parametrize(
    ("length", "reach"), [(1, 1), (63, 80), (64, 64), (65, 65), (130, 1), (130, 50)]
)
def test_attention_by_blocks_equals_the_formula_pair_by_pair(
    length, reach, is_relative
):
    q, k, v = scores_and_values(length)
    relative = None
    if is_relative:
        relative = np.random.default_rng(1).normal(size=(3, reach, 4)).astype("float32")
    expected = plain_attention(q, k, v, reach, relative)
    for space in (ops, numpy_ops):
        ours = np.asarray(causal_attention(space, q, k, v, reach, relative))
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_the_gradient_of_attention_by_blocks_equals_that_of_the_plain_form():
    reach = 50
    inputs = [tf.Variable(x) for x in scores_and_values(150)]
    inputs.append(
        tf.Variable(
            np.random.default_rng(1).normal(size=(3, reach, 4)), dtype="float32"
        )
    )
    upstream = scores_and_values(150, seed=9)[0]
    back = np.arange(150)[:, None] - np.arange(150)

    def plain(q, k, v, relative):
        by_pair = tf.gather(relative, np.clip(back, 0, reach - 1), axis=1)
        scores = tf.einsum("bhid,bhjd->bhij", q, k)
        scores += tf.einsum("bhid,hijd->bhij", q, by_pair)
        scores = tf.where((back >= 0) & (back < reach), scores, -np.inf)
        return tf.einsum("bhij,bhjd->bhid", tf.nn.softmax(scores), v)

    def blocks(q, k, v, relative):
        return causal_attention(ops, q, k, v, reach, relative)

    gradients = []
    for attention in (plain, tf.function(blocks, jit_compile=True)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(
                attention(*[tf.identity(x) for x in inputs]) * upstream
            )
        gradients.append(tape.gradient(total, inputs))
    for expected, ours in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_scores_of_a_thousand_do_not_overflow():
    q, k, v = scores_and_values(70)
    ours = causal_attention(numpy_ops, 300 * q, 300 * k, v, 70)
    np.testing.assert_allclose(
        ours, plain_attention(300 * q, 300 * k, v, 70), atol=1e-3
    )


def test_what_is_learnt_of_a_distance_comes_from_windows_that_hold_it():
    network = Network(small(positions="relative", num_layers=1), seed=1)
    ids = ids_of((2, 10))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(network(ids) ** 2)
    (relative,) = [w for w in network.trainable_variables if "relative" in w.name]
    size = np.abs(tape.gradient(loss, relative.value)).max(axis=(0, 2))  # (context,)
    assert (size[:10] > 0).all()
    assert (size[10:] == 0).all()


def test_an_untied_head_is_a_matrix_of_its_own():
    tied, untied = small(), small(tie_embedding=False)
    weights = random_weights(tied)
    assert set(untied.weights()) - set(tied.weights()) == {"head.kernel"}
    ids = ids_of((1, 6))
    ours, _ = tied.forward(numpy_ops, weights, ids)
    head = {"head.kernel": weights["embedding"].T}
    same, _ = untied.forward(numpy_ops, weights | head, ids)
    other, _ = untied.forward(
        numpy_ops, weights | {"head.kernel": 2 * head["head.kernel"]}, ids
    )
    bias = weights["head.bias"]
    np.testing.assert_allclose(same, ours, atol=1e-4)
    np.testing.assert_allclose(other - bias, 2 * (ours - bias), atol=1e-4)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (3, 5)], ids="{0[0]} x {0[1]}".format
)
def test_the_way_back_from_wide_to_narrow_has_the_gradient_of_a_plain_product(shape):
    rng = np.random.default_rng(0)
    wide, kernel, upstream = (
        tf.constant(rng.normal(size=size).astype("float32"))
        for size in ((*shape, 12), (12, 3), (*shape, 3))
    )
    results = []
    for product in (tf.matmul, lambda x, w: _narrowed(ops, x, w)):

        @tf.function(jit_compile=True)
        def run(x, w, product=product):
            with tf.GradientTape() as tape:
                tape.watch([x, w])
                y = product(x, w)
                total = tf.reduce_sum(y * upstream)
            return y, *tape.gradient(total, [x, w])

        results.append(run(wide, kernel))
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, atol=1e-5)
    plain = _narrowed(numpy_ops, wide.numpy(), kernel.numpy())
    np.testing.assert_allclose(plain, results[0][0], atol=1e-5)

"""The filters: pure functions of logits, the same in NumPy and in Keras."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audio_models import numpy_ops
from audio_models.sampling import draw, keep_allowed, keep_top_k, keep_top_p

LOGITS = arrays(np.float32, (2, 9), elements=st.floats(-8, 8, width=32))
NAMESPACES = pytest.mark.parametrize(
    "ops", [numpy_ops, keras.ops], ids=["numpy", "keras"]
)


def kept(logits):
    return np.asarray(logits) > -1e8


@NAMESPACES
def test_top_p_keeps_the_smallest_set_that_holds_the_mass(ops):
    logits = np.log([[0.1, 0.5, 0.1, 0.3]]).astype("float32")
    np.testing.assert_array_equal(
        kept(keep_top_p(ops, logits, 0.7)), [[False, True, False, True]]
    )


@NAMESPACES
def test_the_likeliest_token_survives_any_top_p(ops):
    logits = np.log([[0.9, 0.1]]).astype("float32")
    np.testing.assert_array_equal(kept(keep_top_p(ops, logits, 1e-6)), [[True, False]])


@NAMESPACES
def test_top_k_keeps_k_and_all_when_k_is_large(ops):
    logits = np.array([[3.0, 1.0, 2.0, 0.0]], "float32")
    np.testing.assert_array_equal(
        kept(keep_top_k(ops, logits, 2)), [[True, False, True, False]]
    )
    assert kept(keep_top_k(ops, logits, 99)).all()


@given(LOGITS, st.floats(0.01, 1.0), st.integers(1, 12))
@settings(deadline=None)
def test_a_filter_only_ever_removes_and_never_the_likeliest(logits, top_p, top_k):
    for filtered in (
        keep_top_p(numpy_ops, logits, top_p),
        keep_top_k(numpy_ops, logits, top_k),
    ):
        survivors = kept(filtered)
        np.testing.assert_array_equal(filtered[survivors], logits[survivors])
        assert survivors[np.arange(2), logits.argmax(axis=1)].all()


@given(LOGITS, st.floats(0.01, 0.99))
@settings(deadline=None)
def test_what_top_p_keeps_holds_the_mass(logits, top_p):
    p = np.asarray(numpy_ops.softmax(logits.astype("float64")))
    mass = (p * kept(keep_top_p(numpy_ops, logits, top_p))).sum(axis=1)
    assert (mass >= top_p - 1e-4).all()


@given(LOGITS, st.floats(0, 0.9375, width=32), st.floats(0.05, 3))
@settings(deadline=None, max_examples=40)
def test_numpy_and_keras_draw_the_same_token(logits, uniform, temperature):
    uniform = np.full(2, uniform, "float32")
    drawn = [
        np.asarray(draw(ops, logits, uniform, temperature, 5, 0.9))
        for ops in (numpy_ops, keras.ops)
    ]
    p = np.asarray(numpy_ops.softmax(logits / temperature)).cumsum(axis=1)
    is_clear = np.abs(p - uniform[:, None]).min(axis=1) > 1e-4  # no tie by rounding
    ties = [len(np.unique(row)) < 9 for row in logits]
    for row in np.flatnonzero(is_clear & ~np.array(ties)):
        assert drawn[0][row] == drawn[1][row]


def test_drawing_follows_the_distribution():
    logits = np.log(np.tile([[0.2, 0.5, 0.3]], (30_000, 1))).astype("float32")
    uniform = np.random.default_rng(0).random(30_000, dtype="float32")
    share = np.bincount(draw(numpy_ops, logits, uniform), minlength=3) / 30_000
    np.testing.assert_allclose(share, [0.2, 0.5, 0.3], atol=0.01)


def test_temperature_zero_takes_the_likeliest():
    logits = np.array([[0.0, 3.0, 1.0]], "float32")
    assert draw(numpy_ops, logits, np.array([0.999]), temperature=0).tolist() == [1]


def test_what_the_grammar_forbids_is_never_drawn():
    allowed = np.array([[False, True, False, True]])
    logits = np.array([[9.0, 0.0, 9.0, 0.0]], "float32")
    masked = keep_allowed(numpy_ops, logits, allowed)
    drawn = {
        int(draw(numpy_ops, masked, np.array([u], "float32"), 5.0)[0])
        for u in np.linspace(0, 0.9999, 50)
    }
    assert drawn == {1, 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: keep_top_p(numpy_ops, x, 1.5), r"`top_p` must be in \(0, 1\]"),
        (lambda x: keep_top_p(numpy_ops, x, 0), r"`top_p` must be in \(0, 1\]"),
        (lambda x: keep_top_k(numpy_ops, x, 0), "`top_k` must be at least 1"),
        (lambda x: draw(numpy_ops, x, 0.5, -1), "`temperature` must be at least 0"),
    ],
)
def test_a_setting_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 4), "float32"))

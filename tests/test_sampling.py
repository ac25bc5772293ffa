"""The filters: pure functions of logits, the same in NumPy and in Keras."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audio_models import numpy_ops
from audio_models.sampling import (
    FORBIDDEN,
    NOTHING,
    Filters,
    completes_ngram,
    draw,
    draw_next,
    followed_by,
    keep_allowed,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_where_possible,
    lower_repeated,
    permitted,
    seen_tokens,
    wished,
)

# No subnormal numbers: TensorFlow takes them for zero.
NUMBERS = st.floats(-8, 8, width=32, allow_subnormal=False)
LOGITS = arrays(np.float32, (2, 9), elements=NUMBERS)
MASKS = arrays(np.bool_, (2, 9))
RECENT = arrays(np.int32, (2, 12), elements=st.integers(0, 3))
NO_TABLES = {"allowed_tokens": None, "bias": None, "repetition_of": None}
# Each filter with one number, from the laxest to the strictest.
BY_STRICTNESS = {
    "top-k": (keep_top_k, st.integers(1, 12), lambda k: -k),
    "top-p": (keep_top_p, st.floats(0.01, 1.0), lambda p: -p),
    "min-p": (keep_min_p, st.floats(0.0, 1.0), lambda p: p),
}
NAMESPACES = pytest.mark.parametrize(
    "ops", [numpy_ops, keras.ops], ids=["numpy", "keras"]
)


every_filter = pytest.mark.parametrize("name", BY_STRICTNESS)
quickly = settings(deadline=None, max_examples=60)


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


@NAMESPACES
def test_min_p_measures_by_the_likeliest(ops):
    # Half of 0.4 is 0.2; a tenth of it, 0.04.
    logits = np.log([[0.4, 0.3, 0.19, 0.08, 0.03]]).astype("float32")
    for min_p, expected in ((0.5, 2), (0.1, 4), (1.0, 1), (0.0, 5)):
        assert kept(keep_min_p(ops, logits, min_p)).sum() == expected


@every_filter
@given(LOGITS, st.data())
@quickly
def test_a_filter_only_ever_removes_and_never_the_likeliest(name, logits, data):
    keep, numbers, _ = BY_STRICTNESS[name]
    filtered = keep(numpy_ops, logits, data.draw(numbers))
    survivors = kept(filtered)
    np.testing.assert_array_equal(filtered[survivors], logits[survivors])
    assert (filtered[~survivors] == FORBIDDEN).all()
    assert survivors[np.arange(2), logits.argmax(axis=1)].all()


@every_filter
@given(LOGITS, st.data())
@quickly
def test_what_a_stricter_filter_keeps_a_laxer_one_keeps_too(name, logits, data):
    keep, numbers, strictness = BY_STRICTNESS[name]
    lax, strict = sorted((data.draw(numbers), data.draw(numbers)), key=strictness)
    by_lax, by_strict = (kept(keep(numpy_ops, logits, x)) for x in (lax, strict))
    assert (by_lax | ~by_strict).all()


@every_filter
@given(LOGITS, st.data())
@quickly
def test_a_filter_treats_each_row_as_if_it_were_alone(name, logits, data):
    keep, numbers, _ = BY_STRICTNESS[name]
    number = data.draw(numbers)
    rows = [keep(numpy_ops, row[None], number)[0] for row in logits]
    np.testing.assert_array_equal(keep(numpy_ops, logits, number), rows)


@every_filter
@given(LOGITS, st.data())
@settings(deadline=None, max_examples=15)
def test_numpy_and_keras_keep_the_same(name, logits, data):
    keep, numbers, _ = BY_STRICTNESS[name]
    number = data.draw(numbers)
    ours, theirs = (kept(keep(ops, logits, number)) for ops in (numpy_ops, keras.ops))
    # A token that is just in or just out by rounding may differ.
    p = np.asarray(numpy_ops.softmax(logits.astype("float64")))
    order = -np.sort(-p, axis=1)
    edges = {
        "top-k": np.full((2, 1), 9.0),
        "top-p": np.abs(order.cumsum(axis=1) - number),
        "min-p": np.abs(order / order[:, :1] - number),
    }[name]
    is_clear = edges.min(axis=1) > 1e-5
    np.testing.assert_array_equal(ours[is_clear], theirs[is_clear])


@NAMESPACES
@given(LOGITS)
@settings(deadline=None, max_examples=5)
def test_a_filter_at_its_neutral_value_is_the_identity(ops, logits):
    recent = np.zeros((2, 4), np.int32)
    everything = np.ones(9, bool)
    for same in (
        keep_top_k(ops, logits, 9),
        keep_top_p(ops, logits, 1.0),
        keep_min_p(ops, logits, 0.0),
        keep_allowed(ops, logits, everything),
        lower_repeated(ops, logits, everything[None], 1.0),
        wished(ops, logits, recent, Filters()),
        wished(ops, logits, recent, Filters(), bias=np.zeros(9, "float32")),
        wished(ops, logits, recent, Filters(repetition=5.0), repetition_of=~everything),
    ):
        np.testing.assert_array_equal(np.asarray(same), logits)
    mask = logits > 0
    for same in (
        permitted(ops, mask, recent, Filters()),
        permitted(ops, mask, recent, Filters(), everything),
    ):
        np.testing.assert_array_equal(np.asarray(same), mask)


@given(LOGITS, st.floats(0.01, 0.99))
@settings(deadline=None)
def test_what_top_p_keeps_holds_the_mass(logits, top_p):
    p = np.asarray(numpy_ops.softmax(logits.astype("float64")))
    mass = (p * kept(keep_top_p(numpy_ops, logits, top_p))).sum(axis=1)
    assert (mass >= top_p - 1e-4).all()


@given(LOGITS, st.floats(0, 0.9375, width=32), st.floats(0.05, 3))
@settings(deadline=None, max_examples=25)
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


@given(MASKS, MASKS)
@settings(deadline=None, max_examples=25)
def test_a_wish_narrows_what_is_allowed_and_never_to_nothing(allowed, wanted):
    narrowed = [
        np.asarray(keep_where_possible(ops, allowed, wanted))
        for ops in (numpy_ops, keras.ops)
    ]
    np.testing.assert_array_equal(*narrowed)
    for row, may, want in zip(narrowed[0], allowed, wanted, strict=True):
        both = may & want
        assert row.tolist() == (both if both.any() else may).tolist()


@given(LOGITS, MASKS, arrays(np.bool_, 9))
@settings(deadline=None, max_examples=20)
def test_in_ten_thousand_draws_nothing_forbidden_comes(logits, allowed, wanted):
    allowed[:, 0] = True  # a grammar always allows something
    logits[:, ~wanted] += 20  # what is forbidden is what the model wants
    many = np.repeat([0, 1], 5_000)
    uniform = np.random.default_rng(0).random(10_000, dtype="float32")
    nothing = np.zeros((10_000, 0), np.int32)
    drawn = draw_next(
        numpy_ops,
        logits[many],
        allowed[many],
        nothing,
        uniform,
        Filters(temperature=3.0),
        {**NO_TABLES, "allowed_tokens": wanted},
    )
    for row in (0, 1):
        may = allowed[row] & wanted
        may = may if may.any() else allowed[row]
        assert may[drawn[many == row]].all()


def test_what_is_kept_shares_the_mass_as_before():
    # Of 0.4, 0.3, 0.2, 0.1 top-k 3 keeps 0.9: 4/9, 3/9, 2/9.
    logits = np.log(np.tile([[0.4, 0.3, 0.2, 0.1]], (9_000, 1))).astype("float32")
    uniform = np.arange(9_000, dtype="float32") / 9_000
    counts = np.bincount(draw(numpy_ops, logits, uniform, 1.0, 3), minlength=4)
    np.testing.assert_allclose(counts, [4_000, 3_000, 2_000, 0], atol=2)


@pytest.mark.parametrize(
    ("chances", "filters", "expected"),
    [
        # Squared, 0.78, 0.20 and 0.02: the first holds 0.75 alone. Before, it did not.
        ([0.6, 0.3, 0.1], Filters(temperature=0.5, top_p=0.75), {0}),
        ([0.6, 0.3, 0.1], Filters(temperature=1.0, top_p=0.75), {0, 1}),
        # Of the two that top-k keeps the first holds 0.57; of all four, 0.4.
        ([0.4, 0.3, 0.2, 0.1], Filters(top_k=2, top_p=0.5), {0}),
        ([0.4, 0.3, 0.2, 0.1], Filters(top_p=0.5), {0, 1}),
        # 0.05 is an eighth of 0.4; at temperature 2 the root of that, 0.35.
        ([0.4, 0.35, 0.2, 0.05], Filters(temperature=2.0, min_p=0.3), {0, 1, 2, 3}),
        ([0.4, 0.35, 0.2, 0.05], Filters(min_p=0.3), {0, 1, 2}),
        # 0.4 / 4 = 0.1 against 0.3: repetition comes before min-p and before greed.
        ([0.4, 0.3, 0.2, 0.1], Filters(repetition=4.0, min_p=0.6), {1, 2}),
        ([0.4, 0.3, 0.2, 0.1], Filters(repetition=4.0, temperature=0.0), {1}),
    ],
)
def test_the_order_of_the_filters_is_the_one_that_is_stated(chances, filters, expected):
    rows = 200
    size = len(chances)
    drawn = draw_next(
        numpy_ops,
        np.log(np.tile([chances], (rows, 1))).astype("float32"),
        np.ones((rows, size), bool),
        np.zeros((rows, 1), np.int32),  # token 0 was there
        np.arange(rows, dtype="float32") / rows,
        filters,
        NO_TABLES,
    )
    assert set(drawn.tolist()) == expected


@NAMESPACES
@given(LOGITS, MASKS, st.floats(0.125, 8), st.floats(-100, 100, width=32))
@settings(deadline=None, max_examples=15)
def test_repetition_divides_odds_wherever_the_zero_of_the_logits_lies(
    ops, logits, seen, repetition, offset
):
    def odds(x):
        x = np.asarray(x, "float64")
        return np.exp(x[:, :, None] - x[:, None, :])  # of each token against each

    plain = odds(lower_repeated(ops, logits, seen, repetition))
    shifted = odds(lower_repeated(ops, logits + np.float32(offset), seen, repetition))
    power = seen[:, None, :].astype(float) - seen[:, :, None]
    np.testing.assert_allclose(plain, odds(logits) * repetition**power, rtol=1e-4)
    np.testing.assert_allclose(shifted, plain, rtol=1e-2)


def test_repetition_looks_at_its_window_and_at_what_it_is_told_to():
    logits = np.zeros((1, 5), "float32")
    recent = np.array([[NOTHING, 1, 2, 3, 3]])  # the newest last
    low = -np.float32(np.log(2))
    for window, expected in ((1, [3]), (3, [2, 3]), (4, [1, 2, 3]), (99, [1, 2, 3])):
        out = wished(
            numpy_ops, logits, recent, Filters(repetition=2.0, repetition_window=window)
        )
        assert np.flatnonzero(out[0] == low).tolist() == expected
    only = np.array([True, False, True, False, True])
    out = wished(numpy_ops, logits, recent, Filters(repetition=2.0), repetition_of=only)
    assert out.tolist() == [[0, 0, low, 0, 0]]


@NAMESPACES
def test_bias_is_added_before_the_mask_and_cannot_overcome_it(ops):
    bias = np.array([0, 1, 2, 1e6], "float32")
    tables = {**NO_TABLES, "bias": bias}
    for allowed, expected in (([1, 1, 1, 0], 2), ([1, 1, 1, 1], 3)):
        drawn = draw_next(
            ops,
            np.zeros((1, 4), "float32"),
            np.array([allowed], bool),
            np.zeros((1, 0), np.int32),
            np.array([0.5], "float32"),
            Filters(temperature=0.0),
            tables,
        )
        assert np.asarray(drawn).tolist() == [expected]


def plain_completes(row, size, vocab_size):
    """By comparing lists: what followed each earlier occurrence of the last tokens."""
    tail = row[len(row) - size + 1 :]
    return {
        row[i + size - 1]
        for i in range(len(row) - size + 1)
        if row[i : i + size - 1] == tail
    }


@given(RECENT, st.integers(2, 12), st.integers(0, 11))
@settings(deadline=None, max_examples=30)
def test_the_tokens_that_complete_an_ngram_are_those_of_the_lists(recent, size, empty):
    recent[:, :empty] = NOTHING
    banned = [
        np.asarray(completes_ngram(ops, recent, size, 5))
        for ops in (numpy_ops, keras.ops)
    ]
    np.testing.assert_array_equal(*banned)
    for row, marked in zip(recent, banned[0], strict=True):
        real = row[row != NOTHING].tolist()
        assert set(np.flatnonzero(marked)) == plain_completes(real, size, 5)


@NAMESPACES
def test_what_was_seen_and_what_followed_it(ops):
    recent = np.array([[NOTHING, NOTHING], [2, 0]], np.int32)
    assert np.asarray(seen_tokens(ops, recent, 3)).tolist() == [
        [False, False, False],
        [True, False, True],
    ]
    later = np.asarray(followed_by(ops, recent, np.array([1, 2], np.int32)))
    assert later.tolist() == [[NOTHING, 1], [0, 2]]
    assert followed_by(ops, recent[:, :0], np.array([1, 2])).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: keep_top_p(numpy_ops, x, 1.5), r"`top_p` must be in \(0, 1\]"),
        (lambda x: keep_top_p(numpy_ops, x, 0), r"`top_p` must be in \(0, 1\]"),
        (lambda x: keep_min_p(numpy_ops, x, -0.1), r"`min_p` must be in \[0, 1\]"),
        (lambda x: keep_min_p(numpy_ops, x, 1.1), r"`min_p` must be in \[0, 1\]"),
        (lambda x: keep_top_k(numpy_ops, x, 0), "`top_k` must be at least 1"),
        (lambda x: draw(numpy_ops, x, 0.5, -1), "`temperature` must be at least 0"),
    ],
)
def test_a_setting_out_of_range_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 4), "float32"))

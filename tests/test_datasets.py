"""Windows and batches: y is x one later, nothing is missed, a seed is a seed."""

import numpy as np
import pytest

from data_pipelines.datasets import numpy_batches, tf_batches
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD
from data_pipelines.windows import Augmentation, cut_windows, plan_epoch

TOKENIZER = MelodyTokenizer()
PITCH = TOKENIZER.vocabulary.ids("pitch")[0]


def pieces(count=50, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        body = rng.integers(PITCH + 40, PITCH + 90, rng.integers(1, 200))
        made.append(np.r_[BOS, 4, body, EOS].astype(np.int32))
    return made


def batches(
    feed=numpy_batches, *, seed=3, epoch=0, max_shift=0, shuffle=True, length=64
):
    windows = cut_windows(
        pieces(), TOKENIZER, length=length, augmentation=Augmentation(max_shift)
    )
    plan = plan_epoch(windows, batch_size=8, seed=seed, epoch=epoch, shuffle=shuffle)
    made = feed(windows, plan)
    return list(made.as_numpy_iterator() if feed is tf_batches else made)


def test_y_is_x_one_later_wherever_it_is_real():
    for x, y, mask in batches(max_shift=5):
        both = mask[:, 1:] > 0
        assert (x[:, 1:][both] == y[:, :-1][both]).all()


def test_every_token_but_the_first_of_a_piece_is_predicted_once():
    predicted = np.concatenate([y[mask > 0] for _, y, mask in batches()])
    wanted = np.concatenate([piece[1:] for piece in pieces()])
    assert sorted(predicted) == sorted(wanted)


def test_padding_is_pad_and_never_counts():
    for x, y, mask in batches():
        assert (x[mask == 0] == PAD).all() and (y[mask == 0] == PAD).all()
        assert (y[mask > 0] != PAD).all()


def test_tf_data_gives_what_numpy_gives_in_the_same_order():
    plain, through_tf = batches(max_shift=6), batches(tf_batches, max_shift=6)
    assert len(plain) == len(through_tf)
    for ours, theirs in zip(plain, through_tf, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_order_and_key_are_a_pure_function_of_seed_and_epoch():
    def same(a, b):
        return all(
            x[0].shape == y[0].shape and (x[0] == y[0]).all()
            for x, y in zip(a, b, strict=True)
        )

    assert same(batches(max_shift=6), batches(max_shift=6))
    assert not same(batches(max_shift=6), batches(max_shift=6, epoch=1))
    assert not same(batches(max_shift=6), batches(max_shift=6, seed=4))


def test_a_window_is_transposed_whole_and_by_no_more_than_asked():
    windows = cut_windows(pieces(), TOKENIZER, length=64, augmentation=Augmentation(6))
    plan = plan_epoch(windows, batch_size=8, seed=0, epoch=0)
    shifts = np.concatenate([batch.variants[batch.rows >= 0] - 6 for batch in plan])
    assert set(shifts) == set(range(-6, 7))
    for batch, (x, _, mask) in zip(plan, numpy_batches(windows, plan), strict=True):
        for row, shift, got, real in zip(
            batch.rows, batch.variants - 6, x, mask, strict=True
        ):
            if row >= 0:
                length = int(real.sum())
                start = windows.starts[row]
                original = windows.ids[start : start + length]
                expected = TOKENIZER.augmented(original, shift)
                np.testing.assert_array_equal(got[:length], expected)


def test_no_transposition_leaves_the_range_of_midi():
    high = [np.array([BOS, 4, PITCH + 126, PITCH + 2, EOS], dtype=np.int32)]
    windows = cut_windows(high, TOKENIZER, augmentation=Augmentation(6))
    assert (windows.lowest[0], windows.highest[0]) == (-2, 1)


def test_batches_have_few_shapes_and_the_last_is_filled_up():
    shapes = {x.shape for x, _, _ in batches(length=512)}
    assert {rows for rows, _ in shapes} == {8}
    assert {width for _, width in shapes} <= {64, 128, 192, 256}


def test_nothing_to_learn_from_is_said():
    with pytest.raises(ValueError, match="nothing to learn from"):
        cut_windows([np.array([BOS])], TOKENIZER)

"""Windows and batches: y is x one later, nothing is missed, a seed is a seed."""

import numpy as np
import pytest

from data_pipelines.datasets import Feed, numpy_batches, tf_batches
from data_pipelines.prepare import Settings, prepare
from data_pipelines.tokenizers.melody import MelodyTokenizer
from data_pipelines.vocabulary import BOS, EOS, PAD, UNK
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


def dataset_of(folder, count=60, tokens_a_shard=1024):
    from test_prepare import small_folder

    settings = Settings(TOKENIZER.spec(), tokens_a_shard=tokens_a_shard)
    return prepare(small_folder(folder / "music", count), folder / "d", settings)


def drained(batches):
    return [tuple(np.asarray(part) for part in batch) for batch in batches]


def test_a_feed_from_disk_gives_each_token_once_in_any_grouping_of_shards(tmp_path):
    dataset = dataset_of(tmp_path)
    assert len(dataset.shard_names("train")) > 2
    wanted = sorted(np.concatenate([piece[1:] for piece in dataset.pieces("train")]))
    for tokens in (1, 2000, 2**24):
        feed = Feed(dataset, batch_size=4, length=32, tokens_in_memory=tokens)
        batches = drained(feed.numpy_epoch(0))
        assert sorted(np.concatenate([y[m > 0] for _, y, m in batches])) == wanted
        assert abs(len(batches) - feed.steps()) <= len(feed.shard_groups(0))


@pytest.mark.parametrize("tokens", [2000, 2**24])
@pytest.mark.parametrize("pack", [False, True])
def test_a_feed_is_the_same_through_tf_data_and_a_function_of_seed_and_epoch(
    tokens, pack, tmp_path
):
    dataset = dataset_of(tmp_path)
    feed = Feed(
        dataset, batch_size=4, length=32, seed=9, augmentation=Augmentation(6),
        pack=pack, tokens_in_memory=tokens,
    )  # fmt: skip
    plain, through_tf = drained(feed.numpy_epoch(1)), drained(feed.epoch(1))
    again = drained(feed.numpy_epoch(1))
    other = drained(feed.numpy_epoch(2))
    for one in (through_tf, again):
        for a, b in zip(plain, one, strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)
    assert any(
        a[0].shape != b[0].shape or (a[0] != b[0]).any()
        for a, b in zip(plain, other, strict=False)
    )


def test_one_group_of_shards_is_in_memory_at_a_time(tmp_path):
    dataset = dataset_of(tmp_path)
    feed = Feed(dataset, batch_size=4, length=32, tokens_in_memory=2000)
    held = set()
    for _ in feed.numpy_epoch(0):
        (windows,) = feed._kept.values()
        held.add(len(windows.ids))
    assert len(held) > 1 and max(held) <= 2000


def test_shards_change_their_order_from_epoch_to_epoch(tmp_path):
    dataset = dataset_of(tmp_path)
    feed = Feed(dataset, tokens_in_memory=2000)
    orders = {tuple(map(tuple, feed.shard_groups(epoch))) for epoch in range(6)}
    assert len(orders) > 1


def test_packing_wastes_nothing_and_asks_nobody_to_predict_a_bos():
    made = pieces()
    windows = cut_windows(made, TOKENIZER, length=64, pack=True)
    plan = plan_epoch(windows, batch_size=8, seed=0, epoch=0)
    batches = list(numpy_batches(windows, plan))
    full = sum(m.shape[0] * m.shape[1] for _, _, m in batches)
    counted = sum(m.sum() for _, _, m in batches)
    assert counted == sum(len(piece) - 1 for piece in made)
    assert counted / full > 0.95
    assert all((y[m > 0] != BOS).all() for _, y, m in batches)
    padded = batches_of_windows(made)
    assert padded < counted / full


def batches_of_windows(made):
    windows = cut_windows(made, TOKENIZER, length=64)
    plan = plan_epoch(windows, batch_size=8, seed=0, epoch=0)
    masks = [m for _, _, m in numpy_batches(windows, plan)]
    return sum(m.sum() for m in masks) / sum(m.size for m in masks)


def test_every_augmentation_is_heard_and_is_the_tokenizers_own():
    from data_pipelines.tokenizers.performance import PerformanceTokenizer

    tokenizer = PerformanceTokenizer()
    on = tokenizer.vocabulary.ids("note_on")[0]
    off = tokenizer.vocabulary.ids("note_off")[0]
    wait = tokenizer.vocabulary.ids("time_shift")[0]
    loud = tokenizer.vocabulary.ids("velocity")[0]
    piece = [
        BOS,
        loud + 15,
        on + 60,
        wait + 39,
        off + 60,
        on + 120,
        wait + 79,
        off + 120,
        EOS,
    ]
    augmentation = Augmentation(3, (0.95, 1.0, 1.05), (0.8, 1.0, 1.2))
    windows = cut_windows([np.array(piece)] * 400, tokenizer, augmentation=augmentation)
    plan = plan_epoch(windows, batch_size=8, seed=0, epoch=0)
    heard = set()
    for x, _, mask in numpy_batches(windows, plan):
        heard |= {tuple(row[:7]) for row, real in zip(x, mask, strict=True) if real[0]}
    expected = {
        tuple(tokenizer.augmented(piece, k, stretch, loudness)[:7])
        for k in range(-3, 4)
        for stretch in augmentation.stretches
        for loudness in augmentation.loudnesses
    }
    assert heard == expected and len(expected) == 7 * 3 * 3
    quiet = plan_epoch(windows, batch_size=8, seed=0, epoch=0, shuffle=False)
    x, _, _ = next(iter(numpy_batches(windows, quiet)))
    assert x[0, :8].tolist() == piece[:8]


def test_with_a_head_every_window_begins_with_its_piece_and_goes_on_where_the_last_ended():
    tokenizer = MelodyTokenizer()
    pieces = [np.array([1, 10, *range(40, 40 + n), 2]) for n in (3, 20, 0, 11)]
    windows = cut_windows(pieces, tokenizer, length=8, head=2)
    plan = plan_epoch(windows, batch_size=3, seed=0, epoch=0, shuffle=False)
    rows = [
        (xs[: n + 1], ys[: n + 1], m)
        for x, y, mask in numpy_batches(windows, plan)
        for xs, ys, m in zip(x, y, mask, strict=True)
        if (n := np.flatnonzero(m).max(initial=-1)) >= 0
    ]
    assert sum(int(m.sum()) for *_, m in rows) == sum(len(p) - 1 for p in pieces)
    assert all(x[:2].tolist() == [1, 10] for x, *_ in rows)
    assert max(len(x) for x, *_ in rows) == 8
    body, row = [], iter(rows)
    for piece in pieces:
        wanted = piece[2:].tolist()
        heard = []
        while heard != wanted:
            x, y, _ = next(row)
            assert x[2:].tolist() == y[1:-1].tolist()
            assert y[0] == 10
            heard += y[1:].tolist()
        body.append(heard)
    assert next(row, None) is None
    for ours, theirs in zip(
        tf_batches(windows, plan), numpy_batches(windows, plan), strict=True
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_cut_is_marked_where_that_is_asked_and_a_beginning_is_not():
    tokenizer = MelodyTokenizer()
    pieces = [np.array([1, 10, *range(40, 40 + n), 2]) for n in (3, 20)]
    settings = {"length": 8, "head": 2}
    marked = cut_windows(pieces, tokenizer, **settings, marks_cuts=True)
    plain = cut_windows(pieces, tokenizer, **settings)
    plan = plan_epoch(marked, batch_size=8, seed=0, epoch=0, shuffle=False)
    (x, y, mask), (was, *same) = (
        next(numpy_batches(marked, plan)),
        next(numpy_batches(plain, plan)),
    )
    rows = np.flatnonzero(mask.any(axis=1))
    starts = marked.starts[plan[0].rows[rows]]
    is_first = np.isin(starts, marked.pieces)
    assert 0 < is_first.sum() == len(pieces) < len(rows)
    assert x[rows, 0].tolist() == np.where(is_first, 1, UNK).tolist()
    assert np.array_equal(x[:, 1:], was[:, 1:])
    assert np.array_equal(y, same[0]) and np.array_equal(mask, same[1])
    for ours, theirs in zip(
        next(iter(tf_batches(marked, plan))), (x, y, mask), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_head_that_fills_a_window_is_refused():
    tokenizer = MelodyTokenizer()
    for bad in (8, -1):
        with pytest.raises(ValueError, match=r"`head` must be in 0\.\.7"):
            cut_windows([np.arange(9)], tokenizer, length=8, head=bad)

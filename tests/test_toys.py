"""The toys: what a target is, by hand; and that no source comes twice."""

import numpy as np
import pytest

from audio_models.toys import TOYS, copied, retrograde, transposed, vocab_size

every_toy = pytest.mark.parametrize("name", TOYS)


def test_a_copy_a_retrograde_and_a_transposition_are_what_they_are_called():
    sources = [source for source, _ in copied(20, (3, 7), seed=4)]
    for source, target in copied(20, (3, 7), seed=4):
        assert target.tolist() == source.tolist()
    for source, target in retrograde(20, (3, 7), seed=4):
        assert [*reversed(target.tolist())] == source.tolist()
    for source, target in transposed(20, (3, 7), seed=4, semitones=7):
        assert (target - source).tolist() == [7] * len(source)
    for task in (retrograde, transposed):
        again = [source.tolist() for source, _ in task(20, (3, 7), seed=4)]
        assert again == [source.tolist() for source in sources]


@every_toy
def test_no_source_comes_twice_and_the_seed_decides_which_come(name):
    toy = TOYS[name]
    pairs = toy(40, 3, seed=0, num_pitches=5)
    assert len({tuple(source.tolist()) for source, _ in pairs}) == 40
    as_lists = [[part.tolist() for part in pair] for pair in pairs]
    again = toy(40, 3, seed=0, num_pitches=5)
    assert [[part.tolist() for part in pair] for pair in again] == as_lists
    other = toy(40, 3, seed=1, num_pitches=5)
    assert [[part.tolist() for part in pair] for pair in other] != as_lists


@every_toy
def test_ids_are_pitches_of_the_vocabulary_and_lengths_those_asked_for(name):
    pairs = TOYS[name](300, (2, 5), seed=2)
    ids = np.concatenate([part for pair in pairs for part in pair])
    assert ids.dtype == np.int32
    assert ids.min() >= 4 and ids.max() < vocab_size()
    assert {len(source) for source, _ in pairs} == {2, 5}
    assert all(len(source) == len(target) for source, target in pairs)


@every_toy
def test_none_and_the_empty_sequence_are_possible(name):
    assert TOYS[name](0, 5, seed=0) == []
    pairs = TOYS[name](3, (0, 1), seed=0, num_pitches=6)
    assert len(pairs) == 3
    assert {len(target) for _, target in pairs} <= {0, 1}


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match=r"in 0\.\.4, half of all.*Received: 5"):
        copied(5, 2, seed=0, num_pitches=3)  # 9 sequences there are
    with pytest.raises(ValueError, match="`lengths` must be at least 0"):
        retrograde(1, (-1, 3), seed=0)
    with pytest.raises(ValueError, match="`lengths` must be at least 0"):
        retrograde(1, (), seed=0)
    with pytest.raises(
        ValueError, match=r"`semitones` must be at least 0\. Received: -2"
    ):
        transposed(1, 3, seed=0, semitones=-2)

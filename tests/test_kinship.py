"""Kin: the same groups as by comparing every pair, in memory that does not grow."""

import itertools

import numpy as np
import pytest
from conftest import tune

from data_pipelines import kinship
from data_pipelines.kinship import (
    COMMONPLACE,
    KINSHIP,
    MOST_PRINTS,
    SHINGLE,
    content_digest,
    fingerprints,
    group_kin,
    kin_groups,
    share_out,
    whole_print,
)
from data_pipelines.score import Score, Track, notes_array


def families(count=60, seed=0, length=60):
    """Random tunes, each with a few variants: transposed, one note changed, cut."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        line = 60 + np.cumsum(rng.integers(-3, 4, length))
        made.append(line)
        for _ in range(rng.integers(0, 4)):
            variant = line + rng.integers(-5, 6)
            variant[rng.integers(length)] += 1
            made.append(variant[rng.integers(8) :])
    order = rng.permutation(len(made))
    return [made[i] for i in order]


def by_comparing_every_pair(melodies):
    """The plain law: kin share `KINSHIP` of the smaller one's runs."""
    runs = []
    for pitches in melodies:
        steps = np.diff(pitches).tolist()
        runs.append(
            {tuple(steps[i : i + SHINGLE]) for i in range(len(steps) - SHINGLE + 1)}
        )
    group = list(range(len(melodies)))
    changed = True
    while changed:
        changed = False
        for a, b in itertools.combinations(range(len(melodies)), 2):
            if group[a] != group[b] and (
                len(runs[a] & runs[b]) >= KINSHIP * min(len(runs[a]), len(runs[b]))
            ):
                low, high = sorted((group[a], group[b]))
                group = [low if g == high else g for g in group]
                changed = True
    return group


@pytest.mark.parametrize("bucket", [kinship.PRINTS_A_BUCKET, 64, 1000])
def test_hashing_in_buckets_finds_the_groups_of_comparing_every_pair(
    bucket, monkeypatch
):
    monkeypatch.setattr(kinship, "PRINTS_A_BUCKET", bucket)
    melodies = families()
    expected = by_comparing_every_pair(melodies)
    assert len(set(expected)) == 60 < len(melodies)
    assert kin_groups(melodies) == expected


def test_a_run_that_everybody_plays_makes_nobody_kin():
    opening = np.array([0, 2, 3, 7, 5, 8, 7, 12, 11, 12, 3, 4])
    rng = np.random.default_rng(1)
    tunes = [
        np.concatenate([60 + opening, 64 + np.cumsum(rng.integers(-3, 4, 6))])
        for _ in range(COMMONPLACE + 1)
    ]
    groups = kin_groups(tunes)
    assert len(set(groups)) > COMMONPLACE - 5
    assert len(set(kin_groups(tunes[:20]))) == 1


def test_any_number_of_copies_are_one_tune():
    prints = [fingerprints(np.arange(20) % 7)] * 1000
    wholes = np.full(1000, whole_print(np.arange(20) % 7), dtype=np.uint64)
    assert set(group_kin(wholes, prints).tolist()) == {0}


def test_prints_are_few_sorted_and_the_same_everywhere():
    steps = np.random.default_rng(0).integers(-12, 13, 5000)
    prints = fingerprints(steps)
    assert len(prints) == MOST_PRINTS
    assert (np.diff(prints.astype(object)) > 0).all()
    np.testing.assert_array_equal(prints, fingerprints(steps.astype(np.int8)))
    assert len(fingerprints(steps[:3])) == 1
    assert len(fingerprints([])) == 0


def test_the_invariant_digest_hears_through_key_and_note_value_only():
    line = [60, 62, 64, 65, 67]
    same = [
        tune(line),
        tune(np.add(line, 7)),
        tune(line, duration=480),
        tune(line, start=960),
    ]
    digests = {content_digest(score, invariant=True) for score in same}
    assert len(digests) == 1
    assert len({content_digest(score) for score in same}) == 4
    other = tune([60, 62, 64, 65, 68])
    assert content_digest(other, invariant=True) not in digests


def test_transposing_leaves_drums_where_they_are():
    def song(shift):
        notes = notes_array([0, 0, 240], 240, [60 + shift, 36, 42], track=[0, 1, 1])
        return Score(notes, 480, (Track(), Track("", 0, True)))

    assert content_digest(song(0), invariant=True) == content_digest(
        song(5), invariant=True
    )
    higher_drum = Score(
        notes_array([0, 0, 240], 240, [60, 37, 42], track=[0, 1, 1]),
        480,
        (Track(), Track("", 0, True)),
    )
    assert content_digest(higher_drum, invariant=True) != content_digest(
        song(0), invariant=True
    )


def test_an_empty_score_has_a_digest():
    silent = Score(notes_array([], [], []))
    assert (
        len(content_digest(silent)) == len(content_digest(silent, invariant=True)) == 32
    )


def test_given_splits_are_kept_and_the_rest_shared_out():
    rng = np.random.default_rng(0)
    digests = [rng.bytes(16).hex() for _ in range(100)]
    given = np.full(100, -1)
    given[:30] = 2
    split = share_out(np.arange(100), digests, given)
    assert (split[:30] == 2).all()
    free = share_out(np.arange(100), digests)
    assert (split[30:] == free[30:]).all()


@pytest.mark.parametrize("seed", range(5))
def test_two_performers_of_a_tune_are_kin_and_two_tunes_are_not(seed):
    from data_pipelines.encode import skyline

    rng = np.random.default_rng(seed)
    line = 60 + np.clip(np.cumsum(rng.integers(-4, 5, 90)), -10, 20)

    def performed(pitches, shift):
        """Played by somebody: uneven, with chords below and a wrong note or two."""
        beats = np.arange(len(pitches)) * 240 + rng.normal(0, 20, len(pitches))
        start = np.maximum(0, beats).astype(int)
        played = np.array(pitches) + shift
        played[rng.integers(len(played), size=2)] += 1
        chords = start[::4]
        return Score(
            notes_array(
                np.r_[start, chords + rng.integers(0, 15, len(chords))],
                np.r_[np.full(len(start), 200), np.full(len(chords), 800)],
                np.r_[played, played[::4] - 12],
                rng.integers(30, 110, len(start) + len(chords)),
            ),
            480,
        )

    other = 60 + np.clip(np.cumsum(rng.integers(-4, 5, 90)), -10, 20)
    heard = [skyline(performed(*one)) for one in ((line, 0), (line, 5), (other, 0))]
    groups = kin_groups(heard)
    assert groups[0] == groups[1] != groups[2]

"""What may be wished of a composition, and how it is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.measures import key_name
from studio.wish import (
    Wish,
    check_wish,
    parse_key,
    parse_range,
    scale_of,
    wish_of,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("D", "D major"), ("d", "D minor"), ("Dm", "D minor"), ("Bb", "Bb major"),
        ("F# minor", "F# minor"), ("Ebmaj", "Eb major"), ("g moll", "G minor"),
        ("C♯m", "C# minor"), ("D#", "Eb major"), (" A ", "A major"),
    ],
)  # fmt: skip
def test_a_key_is_read_as_people_write_it(text, name):
    assert key_name(*parse_key(text)) == name


@pytest.mark.parametrize("text", ["", "H", "D dorian", "7", "##", "C##"])
def test_what_is_no_key_is_refused_by_its_value(text):
    with pytest.raises(ValueError, match="`key` must be"):
        parse_key(text)


def test_the_scales_of_a_key_are_those_of_theory():
    classes, tonic = scale_of(*parse_key("D"))
    assert (np.flatnonzero(classes).tolist(), tonic) == ([1, 2, 4, 6, 7, 9, 11], 2)
    classes, tonic = scale_of(*parse_key("Am"))  # F and G natural, and raised
    assert (np.flatnonzero(classes).tolist(), tonic) == (
        [0, 2, 4, 5, 6, 7, 8, 9, 11],
        9,
    )


@given(st.integers(-7, 7), st.booleans())
def test_every_key_that_has_a_signature_comes_back_from_its_name(sharps, is_minor):
    assert parse_key(key_name(sharps, is_minor)) == (sharps, is_minor)


def test_ranges_are_two_notes_or_two_numbers():
    assert parse_range("C4:A5") == (60, 81)
    assert parse_range("60:81") == (60, 81)
    assert parse_range("Bb3..F#5") == (58, 78)


@pytest.mark.parametrize("text", ["C4", "A5:C4", "C4:D4", "C4:C9:C5", "x:y", "C4:C99"])
def test_what_is_no_range_is_refused_by_its_value(text):
    with pytest.raises(ValueError, match="`range` must"):
        parse_range(text)


def test_bars_and_seconds_exclude_each_other():
    with pytest.raises(ValueError, match="not both"):
        wish_of({"bars": 4, "seconds": 10.0})
    assert wish_of({"bars": None, "seconds": 10.0}).seconds == 10


@pytest.mark.parametrize(
    "options",
    [{"density": 0}, {"min_p": 2}, {"seconds": 0}, {"key": "H"}, {"pitch_range": "C4"}],
)
def test_a_wish_out_of_its_range_is_refused(options):
    with pytest.raises(ValueError, match="Received"):
        check_wish(Wish(**options))

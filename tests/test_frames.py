"""Frames of samples: where each stands, what it may see, and the class it is told."""

import numpy as np
import pytest
from test_sample_networks import (
    BOS,
    CLASS,
    EVERY,
    FRAMES,
    AnySamples,
    drawn_weights,
    piece,
    whole,
)

from audio_models.decode_frames import FramesDecoder
from audio_models.frames import Frames, level_features
from audio_models.request import Request
from data_pipelines.audio import mu_law_decode
from studio.floors import window_of

PLAIN, CLASSES, SHORT = (
    EVERY[name] for name in ("frames", "frames, classes", "frames, few taps")
)


def test_a_sample_outside_the_window_is_heard_once_its_frame_is_whole():
    # One BOS, frames of 4: samples 0..3 stand at 1..4. The network of a sample sees
    # two; sample 0 reaches it through the memory alone, first at place 4.
    architecture = Frames(260, **{**FRAMES, "window": 2})
    ids = piece(architecture, 1, 12)
    changed = ids.copy()
    changed[0, 1] = 4 + (changed[0, 1] - 4 + 128) % 256
    apart = np.abs(whole(architecture, ids) - whole(architecture, changed)).max(-1)[0]
    is_heard = apart > 1e-6
    assert is_heard.tolist() == [False, True, True, False, *[True] * 9]


@pytest.mark.parametrize("architecture", [CLASSES, SHORT], ids=["one", "two layers"])
@pytest.mark.parametrize("tier", ["class.sample", "class.frame"])
def test_each_tier_alone_hears_the_class_to_the_end(architecture, tier):
    ids = np.repeat(piece(architecture, 1, 12), 2, axis=0)
    ids[:, 1] = CLASS, CLASS + 2
    weights = drawn_weights(architecture)
    weights["embedding"][CLASS + 2] = weights["embedding"][CLASS]
    weights[tier] = np.zeros_like(weights[tier])
    one, other = whole(architecture, ids, weights)
    assert np.abs(one - other).max(-1)[-4:].min() > 1e-4


def test_the_levels_of_codes_are_those_of_mu_law_and_other_ids_have_none():
    levels = level_features(300, 7)
    codes = np.arange(256)
    np.testing.assert_allclose(levels[7:263, 0], codes / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(levels[7:263, 1], 4 * mu_law_decode(codes), atol=1e-6)
    assert not levels[:7].any() and not levels[263:].any()


def test_every_window_of_a_training_ends_with_a_frame():
    for architecture, head in ((PLAIN, 1), (CLASSES, 2)):
        length, told = window_of(architecture, 100)
        assert told == architecture.HEAD == head
        assert (length - head + 1) % architecture.frame == 0
        assert 100 - architecture.frame < length <= 100


def test_sizes_that_cannot_be_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"`frame` must be at least 2\. Received: 1"):
        Frames(260, frame=1)
    with pytest.raises(ValueError, match=r"in 1\.\.256\. Received: 257"):
        Frames(260, frame=257)


def test_a_class_that_is_still_to_be_drawn_is_not_written_at_once():
    decoder = FramesDecoder(CLASSES, drawn_weights(CLASSES))
    grammar = AnySamples(CLASSES)
    assert decoder.can_write(Request([[BOS, CLASS]], 9, grammar))
    assert not decoder.can_write(Request([[BOS]], 9, grammar))

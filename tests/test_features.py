"""Log-mel spectrograms against physics, and how a folder of sounds is shared out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import features as module
from data_pipelines.audio import Waveform, write_audio
from data_pipelines.features import (
    LogMel,
    NotEnough,
    SoundFile,
    augmented,
    hertz,
    mel,
    mel_filters,
    read_sounds,
    share_out,
)

RATE = 8000
EARS = LogMel(RATE, 256, 128, 24, 32)


def sine(frequency=440.0, *, seconds=0.4, amplitude=0.5, rate=RATE):
    instants = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * frequency * instants)


def heard(samples, ears=EARS, rate=RATE):
    return ears(Waveform(np.asarray(samples, "f4").reshape(len(samples), -1), rate))


def centres(ears):
    return hertz(np.linspace(0, mel(ears.sample_rate / 2), ears.num_bands + 2))[1:-1]


# Bands


def test_a_thousand_hertz_are_a_thousand_mel_and_the_way_back_is_exact():
    assert mel(1000) == pytest.approx(1000, abs=0.02)
    assert mel(0) == 0
    np.testing.assert_allclose(hertz(mel([20.0, 440.0, 8000.0])), [20, 440, 8000])


@pytest.mark.parametrize(
    ("rate", "window", "bands"), [(8000, 256, 48), (16000, 512, 24), (44100, 64, 80)]
)
def test_no_band_is_deaf_and_what_lies_between_the_centres_counts_once(
    rate, window, bands
):
    filters = mel_filters(rate, window, bands)
    assert filters.shape == (window // 2 + 1, bands)
    assert (filters >= 0).all() and (filters.sum(axis=0) > 0).all()
    width = rate / window
    first, last = centres(LogMel(rate, window, window // 2, bands))[[0, -1]]
    bins = np.arange(window // 2 + 1) * width
    inside = (bins - width / 2 >= first) & (bins + width / 2 <= last)
    assert inside.any()
    np.testing.assert_allclose(filters[inside].sum(axis=1), 1, atol=1e-6)


def test_a_weight_is_the_mean_of_the_triangle_over_the_bin():
    filters = mel_filters(8000, 64, 10)
    corners = hertz(np.linspace(0, mel(4000), 12))
    fine = (np.arange(4000 * 8) + 0.5) / 8  # Hz: sampled, where the bank integrates
    for band in range(10):
        triangle = np.interp(fine, corners[band : band + 3], [0, 1, 0])
        for k in range(33):
            inside = slice(max(0, k * 1000 - 500), k * 1000 + 500)
            mean = triangle[inside].sum() / (125 * 8)
            assert filters[k, band] == pytest.approx(mean, abs=2e-4)


@pytest.mark.parametrize("frequency", [150.0, 440.0, 1000.0, 3000.0])
def test_a_sine_is_loudest_in_the_band_it_lies_in(frequency):
    frames = heard(sine(frequency))
    loudest = frames[frames.max(axis=1) > 0.9].mean(axis=0).argmax()
    nearest = np.abs(mel(centres(EARS)) - mel(frequency)).argmin()
    assert abs(int(loudest) - int(nearest)) <= 1
    assert frames.max() == 1


# The whole


def test_ten_times_weaker_is_twenty_decibels_down():
    both = np.concatenate([sine(500), np.zeros(1024), sine(500, amplitude=0.05)])
    ears = LogMel(RATE, 256, 128, 24, 80)
    per_frame = heard(both, ears).max(axis=1)
    assert per_frame[10] - per_frame[42] == pytest.approx(20 / 80, abs=0.005)


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-3, 50), seed=st.integers(0, 99))
def test_a_gain_changes_nothing(gain, seed):
    noise = np.random.default_rng(seed).normal(0, 0.1, 1500)
    np.testing.assert_allclose(heard(gain * noise), heard(noise), atol=1e-3)


def test_silence_is_all_zero_and_so_is_what_is_padded():
    for nothing in (np.zeros(0), np.zeros(1), np.zeros(5000), np.full(900, 0.3)):
        frames = EARS(Waveform(np.float32(nothing)[:, None], RATE))
        assert frames.shape == (32, 24) and not frames.any()
    frames = heard(sine(seconds=0.1))
    assert frames.shape == (32, 24) and frames.dtype == np.float32
    assert frames[0].any() and not frames[8:].any()
    assert frames.min() >= 0 and frames.max() == 1


def test_silence_around_a_sound_is_cut_off():
    quiet = np.zeros(128 * 9)
    around = np.concatenate([quiet, sine(seconds=0.2), quiet])
    np.testing.assert_allclose(heard(around), heard(sine(seconds=0.2)), atol=0.02)


def test_of_a_long_sound_the_frames_that_hold_most_are_kept():
    ears = LogMel(RATE, 256, 128, 24, 16)
    ramp = np.zeros((40, 24), "f4")
    ramp[20:36] = 0.5
    np.testing.assert_array_equal(ears.fitted(ramp), ramp[20:36])
    np.testing.assert_array_equal(ears.fitted(ramp[:16]), ramp[:16])
    long = heard(np.concatenate([sine(amplitude=0.005), sine(1000, seconds=1)]), ears)
    assert (long.max(axis=1) > 0.7).all()  # the first part lies at 0.5


def test_a_long_sound_taken_in_blocks_is_the_same(monkeypatch):
    noise = Waveform(np.random.default_rng(0).normal(0, 0.1, (9001, 1)), RATE)
    whole = EARS.spectrogram(noise)
    for block in (1, 7, 32):
        monkeypatch.setattr(module, "BLOCK_FRAMES", block)
        np.testing.assert_allclose(EARS.spectrogram(noise), whole, atol=1e-5)


def test_channels_are_averaged_and_other_rates_brought_to_ours():
    mono = sine(600)
    two = np.stack([2 * mono, np.zeros_like(mono)], axis=1)
    np.testing.assert_allclose(heard(two), heard(mono), atol=1e-4)
    faster = heard(sine(600, rate=22_050), rate=22_050)
    middle = slice(4, 18)
    assert (faster[middle].argmax(axis=1) == heard(mono)[middle].argmax(axis=1)).all()


def test_settings_are_checked_and_come_back_from_their_spec():
    assert LogMel(**EARS.spec()) == EARS
    assert EARS.seconds == pytest.approx(32 * 128 / 8000)
    for wrong, said in (
        ({"num_bands": 0}, "`num_bands` must be an integer in 4..512. Received: 0"),
        ({"num_frames": 2.0}, "`num_frames` must be an integer"),
        ({"sample_rate": True}, "`sample_rate` must be an integer"),
        ({"hop": 100}, "`hop` must divide `window`"),
    ):
        with pytest.raises(ValueError, match=said.replace("(", r"\(")):
            LogMel(**{**EARS.spec(), **wrong})


# Said otherwise


def test_with_nothing_allowed_augmentation_changes_nothing():
    batch = np.random.default_rng(0).random((3, 20, 8)).astype("f4")
    rng = np.random.default_rng(1)
    same = augmented(batch, rng, stretch=0, shift=0, mask_frames=0, mask_bands=0)
    np.testing.assert_array_equal(same, batch)


def test_a_shift_moves_whole_frames_and_fills_with_silence():
    batch = np.arange(1, 11, dtype="f4")[None, :, None].repeat(40, axis=0)
    moved = augmented(
        batch, np.random.default_rng(0), stretch=0, shift=2, mask_frames=0, mask_bands=0
    )[..., 0]
    seen = set()
    for row in moved:
        first = int(row[2])  # 3 where nothing moved
        seen.add(3 - first)
        wanted = np.arange(10) + 1 - (3 - first)
        np.testing.assert_array_equal(
            row, np.where((wanted > 0) & (wanted < 11), wanted, 0)
        )
    assert seen == {-2, -1, 0, 1, 2}


def test_holes_are_silent_and_no_wider_than_allowed():
    batch = np.ones((200, 20, 12), "f4")
    holes = augmented(
        batch, np.random.default_rng(0), stretch=0, shift=0, mask_frames=3, mask_bands=2
    )
    frames_gone = (holes.max(axis=2) == 0).sum(axis=1)
    bands_gone = (holes.max(axis=1) == 0).sum(axis=1)
    assert set(frames_gone) == {0, 1, 2, 3} and set(bands_gone) == {0, 1, 2}
    assert set(np.unique(holes)) == {0, 1}


def test_stretched_sounds_take_more_frames_or_fewer_and_stay_within_their_range():
    batch = np.zeros((100, 40, 4), "f4")
    batch[:, :20] = 1
    rng = np.random.default_rng(0)
    stretched = augmented(batch, rng, stretch=0.2, shift=0, mask_frames=0, mask_bands=0)
    lengths = (stretched[..., 0] > 0.5).sum(axis=1)
    assert lengths.min() in (16, 17) and lengths.max() in (23, 24)
    assert stretched.min() >= 0 and stretched.max() <= 1


# A folder


def files_of(counts, name="{label}/{n}.wav"):
    return [
        SoundFile(None, name.format(label=label, n=n), label, f"{label}{n}", RATE)
        for label, count in counts.items()
        for n in range(count)
    ]


def test_each_class_is_shared_out_alone_and_the_seed_decides():
    files = files_of({"a": 40, "b": 3})
    parts = share_out(files, ("a", "b"), "content", 0)
    by_class = {
        k: [p for f, p in zip(files, parts, strict=True) if f.label == k] for k in "ab"
    }
    assert [by_class["a"].count(p) for p in ("train", "valid", "test")] == [28, 6, 6]
    assert sorted(by_class["b"]) == ["test", "train", "valid"]
    assert share_out(files, ("a", "b"), "content", 0) == parts
    assert share_out(files, ("a", "b"), "content", 1) != parts


def test_what_a_file_is_called_or_where_it_stands_does_not_share_it_out():
    files = files_of({"a": 20, "b": 20})
    parts = dict(
        zip(
            [f.digest for f in files],
            share_out(files, ("a", "b"), "content", 3),
            strict=True,
        )
    )
    other = [
        SoundFile(None, f"x/{f.digest}", f.label, f.digest, 1) for f in files[::-1]
    ]
    again = share_out(other, ("a", "b"), "content", 3)
    assert [parts[f.digest] for f in other] == again


def test_the_index_holds_back_the_first_ten_as_the_spoken_digits_do():
    files = files_of({"7": 12}, "{label}_jackson_{n}.wav")
    assert share_out(files, ("7",), "index", 0) == (
        ["test"] * 5 + ["valid"] * 5 + ["train"] * 2
    )


def test_no_speaker_is_in_two_parts():
    files = [
        SoundFile(None, f"{k}_{who}_{n}.wav", k, f"{k}{who}{n}", RATE)
        for k in "01" for who in ("ann", "bob", "eve", "joe") for n in range(3)
    ]  # fmt: skip
    parts = share_out(files, ("0", "1"), "speaker", 0)
    heard_in = {}
    for file, part in zip(files, parts, strict=True):
        heard_in.setdefault(file.name.split("_")[1], set()).add(part)
    assert all(len(found) == 1 for found in heard_in.values())
    assert sorted(min(found) for found in heard_in.values()) == [
        "test", "train", "train", "valid",
    ]  # fmt: skip


def test_given_folders_are_kept_and_what_is_learnt_from_gives_some_to_choose_by():
    names = [
        f"{part}/{k}/{n}.wav"
        for part in ("train", "test")
        for k in "ab"
        for n in range(5)
    ]
    files = [SoundFile(None, n, n.split("/")[1], n, RATE) for n in names]
    parts = share_out(files, ("a", "b"), "given", 0)
    assert [p for n, p in zip(names, parts, strict=True) if n.startswith("test")] == (
        ["test"] * 10
    )
    assert parts.count("valid") == 2 and parts.count("train") == 8


@pytest.mark.parametrize(
    ("counts", "split", "said"),
    [
        ({"a": 9, "b": 1}, "content", "Class 'b' has 1 file that can be used"),
        ({"a": 9, "b": 2}, "content", "Class 'b' has 2 files that can be used"),
        ({"a": 9, "b": 9}, "index", "Class 'a' has no file to learn from"),
        ({"a": 9, "b": 9}, "speaker", "no speaker, as in CLASS_SPEAKER"),
        ({"a": 9, "b": 9}, "given", "leaves no file for test"),
    ],
)
def test_too_few_sounds_are_refused_by_class_or_part(counts, split, said):
    with pytest.raises(NotEnough, match=said):
        share_out(files_of(counts), tuple(counts), split, 0)


def test_copies_count_once_and_a_sound_of_two_classes_not_at_all(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for place, samples in {
        "a/1.wav": sine(400),
        "a/2.wav": np.concatenate([np.zeros(80), sine(400)]),  # 1 again, later
        "a/3.wav": sine(500),
        "b/1.wav": sine(500),  # what a/3 is
        "b/2.wav": sine(600),
    }.items():
        write_audio(tmp_path / place, samples, RATE)
    (tmp_path / "b/readme.txt").write_text("no sound")
    (tmp_path / "b/empty.wav").write_bytes(b"")
    kept, refused = read_sounds(tmp_path)
    assert [file.name for file in kept] == ["a/1.wav", "b/2.wav"]
    reasons = dict(refused)
    assert reasons["a/2.wav"] == "duplicate: of a/1.wav"
    assert "the same sound as b/1.wav, which is another class" in reasons["a/3.wav"]
    assert "the same sound as a/3.wav" in reasons["b/1.wav"]
    assert reasons["b/readme.txt"].startswith("not music")
    assert reasons["b/empty.wav"].startswith("empty file")

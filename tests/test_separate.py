"""Masks that sum to one, parts that sum to the mixture, and the figures beside it."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from audio_models import numpy_ops
from audio_models.bundle import Bundle, halved, save_bundle
from audio_models.separation import MaskGRU
from data_pipelines.audio import Waveform
from data_pipelines.mixtures import STEMS, turned_parts
from data_pipelines.spectra import si_sdr, stft
from studio import separate as parting
from studio.bench_separate import improvements, oracle
from studio.errors import NothingUsable, WrongUsage
from studio.separate import Separator, open_separator, separate, separated

SMALL = {"num_bins": 33, "squeezed_dim": 6, "hidden_dim": 5}
SPECTRUM = {"sample_rate": 16_000, "window": 64, "hop": 32}


def weights_of(architecture, seed=0):
    rng = np.random.default_rng(seed)
    return halved(
        {
            name: rng.normal(0, 1 / np.sqrt(weight.shape[0]), weight.shape)
            for name, weight in architecture.weights().items()
        }
    )


def small_separator(seed=0, **sizes):
    architecture = MaskGRU(**{**SMALL, **sizes})
    return Separator(architecture, weights_of(architecture, seed), **SPECTRUM)


def a_bundle(folder, *, vocabulary=None, architecture=None):
    architecture = architecture or MaskGRU(**SMALL)
    told = {"stems": list(STEMS), **SPECTRUM, **(vocabulary or {})}
    bundle = Bundle(architecture, weights_of(architecture), told, {}, "a card")
    save_bundle(folder, bundle, half=True)
    return folder


def noise(length, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.normal(size=(length, channels))).astype("f4")


def parts_of(samples, rate, separator, **settings):
    blocks = separated(Waveform(samples, rate), separator, **settings)
    return np.concatenate(list(blocks), axis=1)


# The network


def test_masks_are_shares_that_sum_to_one():
    separator = small_separator()
    masks = separator.masks(noise(1000)[:, 0])
    assert masks.shape == (33, 33, 3)  # frames, bins, stems
    assert (masks >= 0).all()
    np.testing.assert_allclose(masks.sum(axis=-1), 1, atol=1e-6)
    assert masks.std() > 1e-3  # it says something


def test_masks_do_not_depend_on_how_loud_the_mixture_is():
    separator, sound = small_separator(), noise(1000)[:, 0]
    soft, loud = separator.masks(1e-3 * sound), separator.masks(30 * sound)
    np.testing.assert_allclose(soft, loud, atol=1e-4)


def test_a_frame_is_read_from_both_sides():
    architecture = MaskGRU(**SMALL)
    weights = weights_of(architecture)
    spectrogram = np.abs(np.random.default_rng(0).normal(size=(1, 9, 33))).astype("f4")
    changed = spectrogram.copy()
    changed[:, 4] += 1.0
    one, other = (
        architecture.forward(numpy_ops, weights, x)[0] for x in (spectrogram, changed)
    )
    differs = np.abs(one - other).max(axis=(0, 2, 3))
    assert (differs > 1e-7).all()


def test_sound_played_backwards_has_the_masks_backwards_where_both_sides_read_alike():
    architecture = MaskGRU(**SMALL, num_layers=1)
    weights = weights_of(architecture)
    for name in list(weights):
        if ".right." in name:
            weights[name] = weights[name.replace(".right.", ".left.")]
    size = architecture.hidden_dim
    weights["spread.kernel"][size : 2 * size] = weights["spread.kernel"][:size]
    spectrogram = np.abs(np.random.default_rng(0).normal(size=(1, 9, 33))).astype("f4")
    masks, _ = architecture.forward(numpy_ops, weights, spectrogram)
    backwards, _ = architecture.forward(numpy_ops, weights, spectrogram[:, ::-1])
    np.testing.assert_allclose(backwards[:, ::-1], masks, atol=1e-6)
    assert masks.std(axis=1).max() > 1e-3


def test_silence_has_masks():
    assert np.isfinite(small_separator().masks(np.zeros(200, "f4"))).all()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_stems": 0}, "`num_stems` must be an integer in 1..16. Received: 0"),
        ({"num_bins": 9000}, "`num_bins` must be an integer in 1..8193"),
        ({"hidden_dim": 2.0}, "`hidden_dim` must be an integer"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\)"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        MaskGRU(**sizes)


def test_there_is_no_step():
    architecture = MaskGRU(**SMALL)
    with pytest.raises(ValueError, match="from both ends: it has no step"):
        architecture.start(numpy_ops, 1)


@pytest.mark.slow
def test_keras_and_numpy_give_the_same_masks_and_a_mixture_can_be_learnt():
    from keras import ops

    from audio_models.separation import train_masks

    architecture = MaskGRU(num_bins=17, squeezed_dim=8, hidden_dim=8, num_layers=1)
    weights = weights_of(architecture)
    spectrogram = np.abs(np.random.default_rng(0).normal(size=(2, 7, 17))).astype("f4")
    ours, _ = architecture.forward(numpy_ops, weights, spectrogram)
    theirs, _ = architecture.forward(ops, weights, spectrogram)
    np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), atol=1e-5)

    # Three sines an octave apart: whoever learns at all learns where they stand.
    times = np.arange(32 * 12) / 16_000
    sines = np.stack([np.sin(2 * np.pi * hz * times) for hz in (1000, 3000, 6000)])
    batch = turned_parts(sines[None].astype("f4"), window=32, hop=16)
    losses = []

    def check(step, loss, weights):
        losses.append(loss)
        return -loss

    def repeated():
        while True:
            yield batch

    settings = {"steps": 60, "check": check, "every": 20, "learning_rate": 2e-2}
    kept, best = train_masks(architecture, repeated(), **settings)
    assert losses[-1] < losses[0] - 5  # dB
    assert best == -min(losses)
    again, _ = train_masks(architecture, repeated(), **settings)
    assert all(np.array_equal(kept[name], again[name]) for name in kept)


# The sound as it came


@pytest.mark.parametrize(
    ("rate", "channels", "length"),
    [
        (16_000, 1, 5000),
        (44_100, 2, 9001),
        (8000, 1, 3000),
        (48_000, 5, 777),
        (1000, 1, 50),
        (22_050, 3, 1),
    ],
)
def test_the_parts_are_as_long_as_the_mixture_and_sum_to_it(rate, channels, length):
    samples = noise(length, channels)
    parts = parts_of(samples, rate, small_separator())
    assert parts.shape == (3, length, channels)
    assert parts.dtype == np.float32
    np.testing.assert_allclose(parts.sum(axis=0), samples, atol=1e-5)


def test_blocks_lose_nothing():
    separator, samples = replace(small_separator(), sample_rate=2000), noise(22_000, 2)
    blocks = list(separated(Waveform(samples, 2000), separator, block_seconds=5.0))
    assert [block.shape[1] for block in blocks] == [6000, 6000, 10_000]
    parts = np.concatenate(blocks, axis=1)
    np.testing.assert_allclose(parts.sum(axis=0), samples, atol=1e-5)


def test_one_block_fades_into_the_next(monkeypatch):
    shares = iter([0.2, 0.8, 0.5])  # of the first part, in each block

    def parts(block, rate, separator):
        share = next(shares)
        return np.stack([share * block, (1 - share) * block])

    monkeypatch.setattr(parting, "_parts", parts)
    ones = np.ones((20_000, 1), "f4")
    first, second = parts_of(ones, 2000, None, block_seconds=5.0)[..., 0]
    np.testing.assert_allclose(first + second, 1, atol=1e-6)
    np.testing.assert_allclose(first[:6000], 0.2, atol=1e-6)
    np.testing.assert_allclose(first[10_000:12_000], 0.8, atol=1e-6)
    np.testing.assert_allclose(first[16_000:], 0.5, atol=1e-6)
    assert first[8000] == pytest.approx(0.5, abs=1e-3)  # half way
    assert np.abs(np.diff(first)).max() < 0.6 * np.pi / 2 / 4000 * 1.01


def test_memory_does_not_grow_with_the_length_of_the_mixture():
    separator = replace(small_separator(), sample_rate=1000)

    def peak(seconds):
        waveform = Waveform(noise(1000 * seconds, 2), 1000)
        tracemalloc.start()
        for _ in separated(waveform, separator, block_seconds=6.0):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(5)  # what is made once
    assert peak(30) < 1.1 * peak(12)


def test_masks_of_one_rate_fall_on_the_same_hertz_of_another():
    separator = small_separator()
    low_goes_first = np.zeros((40, 33, 3), "f4")
    low_goes_first[:, :16, 0] = 1  # below 4 kHz
    low_goes_first[:, 16:, 1] = 1
    object.__setattr__(separator, "masks", lambda samples: low_goes_first)
    rate = 44_100
    times = np.arange(rate // 2) / rate
    for hertz, stem in ((1000, 0), (6000, 1), (15_000, 1)):
        sine = np.sin(2 * np.pi * hertz * times)[:, None].astype("f4")
        parts = parts_of(sine, rate, separator)
        power = (parts[:, 2000:-2000] ** 2).sum(axis=(1, 2))
        assert power[stem] > 0.999 * power.sum(), hertz


def test_masks_of_one_time_fall_on_the_same_time_of_another_rate():
    separator = small_separator()
    begins = 4000  # at 16 kHz, a quarter of a second
    frames = stft(np.zeros(8000), window=64, hop=32).shape[0]
    late = np.zeros((frames, 33, 3), "f4")
    centre = np.arange(frames) * 32 + 32 - 32
    late[centre < begins, :, 0] = 1
    late[centre >= begins, :, 2] = 1
    object.__setattr__(separator, "masks", lambda samples: late)
    for rate in (8000, 44_100):
        parts = parts_of(noise(rate // 2), rate, separator)
        edge = 0.004 * rate  # a window
        quarter = rate / 4
        assert not np.abs(parts[2, : int(quarter - edge)]).max() > 1e-6
        assert not np.abs(parts[0, int(quarter + edge) :]).max() > 1e-6


# Files


def test_stems_are_files_of_the_rate_and_channels_of_the_mixture(tmp_path):
    model = a_bundle(tmp_path / "model")
    samples = noise(6000, 2)
    soundfile.write(tmp_path / "mix.wav", samples, 22_050, subtype="FLOAT")
    paths, waveform, told, levels = separate(
        tmp_path / "mix.wav", tmp_path / "new" / "stems", model=model
    )
    assert [path.name for path in paths] == [f"{name}.wav" for name in STEMS]
    assert (waveform.sample_rate, told) == (22_050, ())
    read = [soundfile.read(path, dtype="float32") for path in paths]
    assert all(rate == 22_050 and part.shape == (6000, 2) for part, rate in read)
    np.testing.assert_allclose(sum(part for part, _ in read), samples, atol=1e-5)
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(
        path.name for path in paths
    )
    share = sum(10 ** (level / 10) for level in levels.values())
    assert 0.3 < share < 1.01  # parts of equal phase hold at most the whole
    first = paths[0].read_bytes()
    separate(tmp_path / "mix.wav", tmp_path / "new" / "stems", model=model)
    assert paths[0].read_bytes() == first


def test_what_cannot_be_separated_is_one_clear_line(tmp_path):
    from conftest import tune

    from data_pipelines.midi import write_midi

    model = a_bundle(tmp_path / "model")
    sounds = {
        "silence.wav": np.zeros((800, 1), "f4"),
        "short.wav": noise(20),
        "nan.wav": np.full((800, 1), np.nan, "f4"),
        "empty.wav": np.zeros((0, 1), "f4"),
    }
    for name, samples in sounds.items():
        soundfile.write(tmp_path / name, samples, 16_000, subtype="FLOAT")
    write_midi(tmp_path / "song.mid", tune([60, 62, 64]))
    (tmp_path / "nothing.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no sound at all")
    said = {
        "silence.wav": "silence; wanted",
        "short.wav": "0.001 s of sound; a separation needs 0.004 s at least",
        "nan.wav": "not finite",
        "empty.wav": "no sample",
        "nothing.wav": "empty file",
        "song.mid": "it holds midi, no sound; wanted is a WAV",
        "text.wav": "it holds text, no sound; wanted is a WAV",
    }
    for name, sentence in said.items():
        with pytest.raises(NothingUsable) as caught:
            separate(tmp_path / name, tmp_path / "stems", model=model)
        assert str(caught.value).startswith(f"{tmp_path / name}: ")
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "stems").exists()


def test_wrong_usage_is_told_as_such(tmp_path):
    model = a_bundle(tmp_path / "model")
    mix = tmp_path / "drums.wav"
    soundfile.write(mix, noise(800), 16_000)
    before = mix.read_bytes()
    with pytest.raises(WrongUsage, match="No such file"):
        separate(tmp_path / "none.wav", tmp_path, model=model)
    with pytest.raises(WrongUsage, match="would be overwritten"):
        separate(mix, tmp_path, model=model)
    with pytest.raises(WrongUsage, match="is a file; name a folder"):
        separate(mix, mix, model=model)
    with pytest.raises(WrongUsage, match="There is no separator at"):
        separate(mix, tmp_path / "stems", model=tmp_path / "nowhere")
    assert mix.read_bytes() == before


def test_a_failed_write_leaves_no_half_of_a_stem(tmp_path, monkeypatch):
    model = a_bundle(tmp_path / "model")
    soundfile.write(tmp_path / "mix.wav", noise(800), 16_000)

    def failing(waveform, separator):
        yield np.zeros((3, 400, 1), "f4")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parting, "separated", failing)
    with pytest.raises(OSError, match="No space"):
        separate(tmp_path / "mix.wav", tmp_path / "stems", model=model)
    assert not list((tmp_path / "stems").iterdir())


def test_a_bundle_of_something_else_separates_nothing(tmp_path):
    from audio_models.gru import GRU

    other = a_bundle(tmp_path / "gru", architecture=GRU(9, 4, 4, 1))
    with pytest.raises(NothingUsable, match="'gru', which separates nothing"):
        open_separator(other)
    for told in ({"window": 128}, {"hop": 33}, {"stems": ["a", "b"]}, {"hop": "32"}):
        with pytest.raises(NothingUsable, match="do not fit its model"):
            open_separator(a_bundle(tmp_path / "odd", vocabulary=told))
    for name in ("../up", "a/b", "a"):
        told = {"stems": ["a", "b", name]}
        with pytest.raises(NothingUsable, match="do not fit its model"):
            open_separator(a_bundle(tmp_path / "odd", vocabulary=told))


def test_the_command_prints_what_it_wrote_and_json_on_demand(tmp_path, capsys):
    from studio.commands import separating

    model = a_bundle(tmp_path / "model")
    soundfile.write(tmp_path / "mix.wav", noise(8000, 2), 16_000)
    asked = {"file": tmp_path / "mix.wav", "folder": tmp_path / "s", "model": model}
    separating.separate(**asked, as_json=False)
    told = capsys.readouterr().out
    assert "Parted mix.wav (0.5 s, 16000 Hz, stereo)" in told
    assert all(str(tmp_path / "s" / f"{name}.wav") in told for name in STEMS)
    separating.separate(**asked, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["level_db"]) == set(STEMS)
    assert facts["seconds"] == 0.5


# The figures


def test_improvement_is_over_the_mixture_and_the_oracle_is_far_above_it():
    times = np.arange(8000) / 16_000
    sines = [np.sin(2 * np.pi * hz * times) for hz in (500, 2000, 6000)]
    stems = np.stack(sines).astype("f4")
    nothing = improvements(lambda mix, stems: np.stack([mix] * 3), [stems])
    np.testing.assert_allclose(nothing, 0, atol=1e-6)
    separator = small_separator()
    ideal = improvements(lambda m, s: oracle(separator, m, s), [stems, stems])
    assert ideal.shape == (2, 3)
    assert (ideal > 20).all()
    scaled = si_sdr(0.1 * stems.sum(axis=0), stems[0])
    assert scaled == pytest.approx(10 * np.log10(1 / 2), abs=0.05)

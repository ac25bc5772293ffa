"""The neural codec: its transform, its codes, what each of them can change."""

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from codec_stock import SMALL, drawn_weights, noise, player_of, transparent

from audio_models import codec as codec_module
from audio_models import numpy_ops
from audio_models.codec import Codec, CodecPlayer, codebook_name, lapped, unlapped


def test_the_bits_are_frames_times_codes_times_the_bits_of_one():
    whole = Codec()
    assert whole.frame_rate == 16_000 / 160
    assert whole.bits_per_second == 100 * 8 * 8
    assert sum(math.prod(w.shape) for w in whole.weights().values()) < 500_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate": 999},
        {"hop": 0},
        {"hop": 9},
        {"hop": 4098},
        {"latent_dim": 0},
        {"latent_dim": 9},
        {"hidden_dim": "6"},
        {"num_quantizers": 1},
        {"num_quantizers": 33},
        {"codebook_size": 256.0},
        {"num_units": 4},
        {"num_units": True},
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=r"`.*` must be"):
        dataclasses.replace(SMALL, **wrong)


def test_sizes_come_back_from_json():
    assert Codec(**json.loads(json.dumps(dataclasses.asdict(SMALL)))) == SMALL


def test_a_frame_is_the_modified_cosine_transform_of_a_sine_window():
    hop, t = 6, 2
    blocks = noise(5 * hop).reshape(1, 5, hop)
    samples = blocks.ravel().astype("float64")
    ours = lapped(numpy_ops, blocks)[0, t]
    for k in range(hop):
        told = 0.0
        for n in range(2 * hop):
            window = math.sin(math.pi * (n + 0.5) / (2 * hop))
            wave = math.cos(math.pi / hop * (n - hop / 2 + 0.5) * (k + 0.5))
            told += window * wave * samples[t * hop - hop // 2 + n]
        assert ours[k] == pytest.approx(math.sqrt(2 / hop) * told, abs=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_transform_keeps_energy_and_gives_the_sound_back(frames):
    blocks = noise(2 * frames * 10).reshape(2, frames, 10)
    there = lapped(numpy_ops, blocks)
    assert np.square(there).sum() == pytest.approx(np.square(blocks).sum(), rel=1e-5)
    assert np.allclose(unlapped(numpy_ops, there), blocks, atol=1e-6)


def test_without_quantizers_an_untrained_codec_passes_the_waveform():
    wide = dataclasses.replace(SMALL, latent_dim=8)
    weights, samples = transparent(wide), noise(80)[None]
    back = wide.decode(numpy_ops, weights, *wide.encode(numpy_ops, weights, samples))
    assert np.allclose(back, samples, atol=1e-6)


def test_a_tenth_of_a_sound_is_20_db_lower_in_level_and_alike_in_all_else():
    # 82 codes: one is silence, the others are 1 dB apart.
    fine = dataclasses.replace(SMALL, latent_dim=8, codebook_size=82)
    weights, samples = transparent(fine), noise(80)[None] * 1.9
    one, like = fine.encode(numpy_ops, weights, samples)
    two, alike = fine.encode(numpy_ops, weights, samples / 10)
    assert np.array_equal(one - 20, two) and one.min() > 60
    assert np.allclose(like, alike, atol=1e-4)
    full = np.zeros((1, 8), "float32") + 1  # a block of ones has a mean square of 1
    assert fine.encode(numpy_ops, weights, full)[0].tolist() == [[81]]
    for db, code in ((-80, 1), (-80.4, 1), (-80.6, 0), (-300, 0)):
        softer = full * 10 ** (db / 20)
        assert fine.encode(numpy_ops, weights, softer)[0].tolist() == [[code]]


def test_silence_is_coded_as_silence_and_comes_back_as_nothing():
    player = player_of()  # of any weights, biases too
    codes = player.encode(np.zeros(80, "float32"))
    assert not codes[:, 0].any() and not player.decode(codes).any()


def loops(architecture, weights, like, levels):
    """The encoder's network of one unit, one number after another."""
    width = architecture.hidden_dim

    def elu(x):
        return x if x > 0 else math.exp(x) - 1

    def affine(name, inputs):
        kernel, bias = weights[name], weights[f"{name}_bias"]
        return [
            bias[j] + sum(x * kernel[i, j] for i, x in enumerate(inputs))
            for j in range(len(bias))
        ]

    def before(rows, t):
        return rows[t] if t >= 0 else [0.0] * len(rows[0])

    def three(rows, t):
        return [x for s in (t - 2, t - 1, t) for x in before(rows, s)]

    given = [
        [*row, level * 2 / architecture.codebook_size - 1]
        for row, level in zip(like.tolist(), levels, strict=True)
    ]
    rows = [affine("encoder.in", three(given, t)) for t in range(len(given))]
    quiet = [[elu(x) for x in row] for row in rows]
    found = []
    for t in range(len(given)):
        inner = [elu(x) for x in affine("encoder.unit0.dilated", three(quiet, t))]
        added = affine("encoder.unit0.out", inner)
        out = [elu(rows[t][j] + added[j]) for j in range(width)]
        found.append(affine("encoder.out", out))
    return np.array(found)


def test_the_network_is_the_causal_convolution_that_loops_compute():
    tiny = Codec(8000, 4, 3, 2, 2, 4, 1)
    weights = drawn_weights(tiny)
    like = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    levels = np.array([0, 1, 2, 3, 3, 2, 1, 0, 2])
    ours = tiny._network(numpy_ops, weights, "encoder", like[None], levels[None])[0]
    assert np.allclose(ours, loops(tiny, weights, like, levels), atol=1e-5)


def test_a_quantizer_codes_what_the_one_before_it_left():
    tiny = Codec(8000, 2, 1, 1, 3, 2, 1)
    weights = drawn_weights(tiny)
    weights[codebook_name(1)] = np.array([[0.0], [10.0]], "float32")
    weights[codebook_name(2)] = np.array([[-1.0], [2.0]], "float32")
    latents = np.array([[[9.2], [1.4], [5.1], [-7.0]]], "float32")
    codes, residuals, _ = tiny.quantize(numpy_ops, weights, latents)
    # 9.2 is nearer to 10, which leaves -0.8; 1.4 leaves itself; 5.1 leaves -4.9.
    assert codes[0].tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]
    assert np.allclose(residuals[1][0, :, 0], [-0.8, 1.4, -4.9, -7.0])
    back = tiny.dequantize(numpy_ops, weights, codes)
    assert back[0, :, 0].tolist() == [9.0, 2.0, 9.0, -1.0]


def test_each_code_is_the_nearest_of_its_codebook():
    weights = drawn_weights(SMALL)
    latents = np.random.default_rng(1).normal(size=(2, 9, 6)).astype("float32")
    codes, _, _ = SMALL.quantize(numpy_ops, weights, latents)
    rest = latents.astype("float64")
    for number in range(2):
        codebook = weights[codebook_name(number + 1)]
        far = np.square(rest[:, :, None] - codebook).sum(axis=-1)
        assert np.array_equal(codes[..., number], far.argmin(axis=-1))
        rest = rest - codebook[codes[..., number]]


@pytest.mark.parametrize("frame", [0, 1, 7, 30])
def test_a_frame_knows_the_samples_up_to_half_a_frame_after_it_and_no_others(frame):
    weights, samples = drawn_weights(SMALL), noise(8 * 40)
    other = samples.copy()
    other[(frame + 1) * 8 + 4] += 0.5
    one, two = (SMALL.encode(numpy_ops, weights, s[None]) for s in (samples, other))
    for ours, theirs in zip(one, two, strict=True):
        assert np.array_equal(ours[0, : frame + 1], theirs[0, : frame + 1])
    assert not np.allclose(one[1][0, frame + 1], two[1][0, frame + 1])
    other = samples.copy()
    other[(frame + 1) * 8 + 3] += 0.5  # one sample earlier is known
    two = SMALL.encode(numpy_ops, weights, other[None])
    assert not np.array_equal(one[1][0, frame], two[1][0, frame])


@pytest.mark.parametrize("frame", [0, 1, 7, 30])
@pytest.mark.parametrize("number", [0, 1])
def test_a_code_changes_nothing_earlier_than_half_a_frame_before_its_own(frame, number):
    player = player_of()
    codes = player.encode(noise(8 * 40))
    other = codes.copy()
    other[frame, number] = (other[frame, number] + 1) % 16
    one, two = player.decode(codes), player.decode(other)
    first = max(0, frame * 8 - 4)
    assert np.array_equal(one[:first], two[:first])
    assert not np.allclose(one[first:][:4], two[first:][:4])


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 797])
def test_a_prefix_of_the_sound_gives_the_prefix_of_the_codes_but_its_last(length):
    player, samples = player_of(), noise(800)
    codes = player.encode(samples)
    whole = length // 8
    sure = max(0, whole - 1)  # nothing follows the prefix's last frame
    assert np.array_equal(player.encode(samples[:length])[:sure], codes[:sure])
    sure = max(0, whole * 8 - 4)
    ours, theirs = player.decode(codes[:whole]), player.decode(codes)
    assert np.allclose(ours[:sure], theirs[:sure], atol=1e-6)


def test_what_lies_out_of_reach_changes_nothing():
    weights = drawn_weights(SMALL)
    samples, frame = noise(8 * 60), 50
    other = samples.copy()
    other[: (frame - SMALL.reach) * 8] = 0
    one, two = (SMALL.encode(numpy_ops, weights, s[None])[1] for s in (samples, other))
    assert np.allclose(one[0, frame], two[0, frame], atol=1e-6)
    latents = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
    bare = latents.copy()
    bare[: frame - SMALL.reach] = 0
    levels = np.full((1, 60), 12)
    one, two = (
        SMALL.decode(numpy_ops, weights, levels, x[None])[0] for x in (latents, bare)
    )
    assert np.allclose(one[frame * 8 :][:8], two[frame * 8 :][:8], atol=1e-5)


@pytest.mark.parametrize("chunk", [8, 100, 4000])
def test_a_long_sound_is_coded_in_parts_as_if_it_were_whole(chunk, monkeypatch):
    player, samples = player_of(), noise(333)
    codes = player.encode(samples)
    sound = player.decode(codes)
    monkeypatch.setattr(codec_module, "CHUNK", chunk)
    assert np.array_equal(player.encode(samples), codes)
    assert np.allclose(player.decode(codes), sound, atol=1e-6)


@pytest.mark.parametrize("length, frames", [(0, 0), (1, 1), (8, 1), (9, 2)])
def test_the_last_frame_is_filled_with_silence(length, frames):
    player, samples = player_of(), noise(9)[:length]
    codes = player.encode(samples)
    assert codes.shape == (frames, 3) and codes.dtype == np.int32
    assert player.decode(codes).shape == (frames * 8,)
    filled = np.pad(samples, (0, frames * 8 - length))
    assert np.array_equal(player.encode(filled), codes)


@pytest.mark.parametrize("codes", [[[0, 0]], [0, 0, 0], [[0, 0, 16]], [[0, -1, 0]]])
def test_codes_that_cannot_be_are_refused(codes):
    with pytest.raises(ValueError, match=r"(shape \(F, 3\)|must be in 0\.\.15)"):
        player_of().decode(codes)


def test_another_weight_or_size_is_another_checksum():
    player = player_of()
    weights = {name: array.copy() for name, array in player.weights.items()}
    assert CodecPlayer(SMALL, weights).checksum == player.checksum
    weights["encoder.out_bias"][0] += 1e-3
    assert CodecPlayer(SMALL, weights).checksum != player.checksum
    slower = dataclasses.replace(SMALL, sample_rate=4000)
    assert CodecPlayer(slower, player.weights).checksum != player.checksum


def test_weights_that_do_not_fit_are_refused():
    weights = drawn_weights(SMALL)
    with pytest.raises(ValueError, match=r"missing, or not known: encoder\.out"):
        CodecPlayer(SMALL, {k: v for k, v in weights.items() if k != "encoder.out"})
    weights["encoder.out"][0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        CodecPlayer(SMALL, weights)


def test_coding_and_keeping_load_no_tensorflow():
    code = (
        "import sys, studio.codec, studio.bench_codec;"
        "print(sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

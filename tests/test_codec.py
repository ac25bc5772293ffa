"""The neural codec: its arithmetic, its causality, its training, its folder on disk."""

import dataclasses
import hashlib
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from audio_models import codec as codec_module
from audio_models import numpy_ops
from audio_models.bundle import BadBundle
from audio_models.codec import Codec, CodecPlayer, codebook_name, lapped, unlapped
from data_pipelines.audio import Waveform
from studio.bench_codec import (
    BENCH_CODEC,
    best_way,
    digits,
    distances,
    fidelity,
    mu_law,
    perplexity,
    pitch_kept,
    row,
    ways,
)
from studio.codec import (
    KeptCodec,
    kit_sounds,
    load_codec,
    reconstruct,
    save_codec,
    tokenizer_of,
)

SMALL = Codec(
    sample_rate=8000,
    hop=8,
    latent_dim=6,
    hidden_dim=6,
    num_quantizers=3,
    codebook_size=16,
)


def drawn_weights(architecture, seed=0):
    """Biases too, so that silence is not nothing."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1 / math.sqrt(weight.shape[0]), weight.shape).astype("f4")
        for name, weight in architecture.weights().items()
    }


def player_of(architecture=SMALL, seed=0):
    return CodecPlayer(architecture, drawn_weights(architecture, seed))


def noise(length, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, length).astype("float32")


def sine(hertz, rate=8000, seconds=0.5, amplitude=0.5):
    instants = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * instants)).astype("float32")


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


def transparent(architecture):
    """Weights by which the transform alone passes the sound."""
    weights = {k: np.zeros_like(v) for k, v in drawn_weights(architecture).items()}
    for name in ("analysis", "synthesis"):
        weights[name] = np.eye(architecture.hop, dtype="float32")
    return weights


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


# On disk


def kept(seed=0):
    return KeptCodec(player_of(seed=seed), {"seed": seed}, "# A codec\n")


def test_a_codec_comes_back_from_its_folder_as_it_was(tmp_path):
    save_codec(tmp_path / "c", kept(1))
    save_codec(tmp_path / "c", kept(0))  # in the place of an older one
    back = load_codec(tmp_path / "c")
    assert back.codec.checksum == kept().codec.checksum
    assert (back.facts, back.card) == ({"seed": 0}, "# A codec\n")
    assert np.array_equal(back.codec.encode(noise(99)), player_of().encode(noise(99)))
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_any_flipped_byte_is_found(tmp_path):
    save_codec(tmp_path / "c", kept())
    rng = np.random.default_rng(0)
    for name in ("codec.json", "codec.npz", "card.md", "SHA256SUMS"):
        path = tmp_path / "c" / name
        whole = path.read_bytes()
        for _ in range(5):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(7))
            path.write_bytes(damaged)
            with pytest.raises(BadBundle, match=str(tmp_path)):
                load_codec(tmp_path / "c")
        path.write_bytes(whole)
    load_codec(tmp_path / "c")


def rewritten(folder, **changes):
    """The folder with a few entries of its codec.json changed, its sums made right."""
    about = json.loads((folder / "codec.json").read_text())
    (folder / "codec.json").write_text(json.dumps({**about, **changes}))
    sums = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("codec.json", "codec.npz", "card.md")
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"format": 2}, "format 2 is not known"),
        ({"facts": []}, "must be a JSON object"),
        ({"sizes": {"hop": 7}}, "`hop` must be even"),
        ({"sizes": {"hop": 4, "latent_dim": 4}}, "other arrays"),
        ({"sizes": {"hop": 4096, "hidden_dim": 4096}}, "are read"),
        ({"sizes": {"rate": 3}}, "unexpected keyword"),
        ({"checksum": "0"}, "not those that its checksum is of"),
    ],
)
def test_a_folder_that_says_what_cannot_be_is_refused(tmp_path, changes, told):
    save_codec(tmp_path / "c", kept())
    rewritten(tmp_path / "c", **changes)
    with pytest.raises(BadBundle, match=f"no sound codec: .*{told}"):
        load_codec(tmp_path / "c")


def test_what_is_no_codec_is_left_as_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.txt").write_text("la")
    with pytest.raises(ValueError, match=r"song\.txt, which is no part of a codec"):
        save_codec(tmp_path / "mine", kept())
    with pytest.raises(ValueError, match="is a file, no codec"):
        save_codec(tmp_path / "mine" / "song.txt", kept())
    assert (tmp_path / "mine" / "song.txt").read_text() == "la"
    with pytest.raises(FileNotFoundError, match="No such codec"):
        load_codec(tmp_path / "none")
    with pytest.raises(BadBundle, match=r"SHA256SUMS cannot be read"):
        load_codec(tmp_path / "mine")


def test_ids_are_read_with_the_codec_that_wrote_them_and_no_other():
    from data_pipelines.tokenizers.codec import CodecTokenizer

    spec = json.loads(json.dumps(CodecTokenizer(kept().codec, ("kick",)).spec()))
    assert tokenizer_of(spec, kept()).spec() == spec
    with pytest.raises(BadBundle, match="is not the one that these ids come from"):
        tokenizer_of(spec, kept(1))
    with pytest.raises(BadBundle, match="another vocabulary"):
        tokenizer_of({**spec, "ranges": []}, kept())
    with pytest.raises(BadBundle, match="another vocabulary"):
        tokenizer_of({**spec, "classes": 3}, kept())


@pytest.mark.parametrize("length", [1, 8, 801])
def test_a_sound_through_the_codec_is_as_long_as_it_was(length):
    sound = Waveform(np.stack([noise(length)] * 2, axis=1), 8000)
    heard, codes = reconstruct(player_of(), sound)
    assert heard.samples.shape == (length, 1)
    assert len(codes) == -(-length // 8)


# The bench


def test_mu_law_at_the_codecs_bits_takes_fewer_samples_for_more_levels():
    assert ways(4000) == [(4000, 1), (2000, 2), (1333, 3), (1000, 4)]
    assert ways(2500) == [(2500, 1), (1250, 2)]
    assert best_way([Waveform(sine(300)[:, None], 8000)], 8000, 8000) in ways(8000)
    # 300 Hz is kept by all ways; four bits of it are nearer than one.
    slow = [Waveform(sine(300)[:, None], 8000)]
    assert best_way(slow, 8000, 4000, "si_sdr_db")[1] > 1
    with pytest.raises(ValueError, match="Mu-law needs 1,000 bits"):
        best_way([], 8000, 999)


def test_a_slow_sine_survives_mu_law_and_a_fast_one_does_not():
    # 900 Hz is above half of 1,333: nothing is left of it.
    slow, fast = (Waveform(sine(hertz)[:, None], 8000) for hertz in (200, 900))
    told = [
        fidelity([w], [mu_law(w, 8000, 1333, 3)], 4000).si_sdr_db for w in (slow, fast)
    ]
    assert told[0] > 10 and told[1] < -10
    assert len(mu_law(slow, 8000, 1333, 3)) == len(slow)
    whole = fidelity([slow], [mu_law(slow, 8000, 8000, 8)], 64_000)
    assert whole.si_sdr_db > 35 and whole.bits_per_second == 64_000


def test_a_sound_ten_times_as_soft_lies_20_db_away_and_itself_0():
    loud = noise(8000) * 1.9  # far above the floor in each bin
    assert distances(loud, loud).max() == 0
    assert distances(loud, loud / 10)[8:-8].mean() == pytest.approx(20, abs=0.2)
    assert distances(np.zeros(500), np.zeros(500)).max() == 0


def test_the_distance_is_over_all_frames_of_all_sounds():
    one, long = noise(512), noise(5120, seed=1)
    back = [Waveform(x[:, None], 16_000) for x in (one / 10, long / 2)]
    meant = [Waveform(x[:, None], 16_000) for x in (one, long)]
    each = [distances(one, one / 10), distances(long, long / 2)]
    expected = sum(x.sum() for x in each) / sum(map(len, each))
    told = fidelity(meant, back, 1)
    assert told.distance_db == pytest.approx(expected, abs=1e-4)
    energy = (one @ one / 100 + long @ long / 4) / (one @ one + long @ long)
    assert told.level_db == pytest.approx(10 * math.log10(energy), abs=1e-3)


def test_perplexity_counts_the_codes_in_use():
    codes = np.array([[0, 3, 0], [1, 3, 0], [2, 3, 1], [3, 3, 1]])
    assert perplexity(codes, 4) == pytest.approx([4, 1, 2])


def test_a_row_holds_the_codec_beside_mu_law_of_the_same_bits():
    small = dataclasses.replace(SMALL, hop=64, num_quantizers=2)
    sounds = [Waveform(noise(2000)[:, None], 8000)]
    made = row(player_of(small), sounds, (1000, 1), (1000, 1), "noise")
    assert made["bits_per_second"] == 125 * 2 * 4 == made["baseline_bits_per_second"]
    assert made["full_rate"]["bits_per_second"] == 64_000
    assert made["full_rate"]["si_sdr_db"] > 25 > made["si_sdr_db"]
    assert len(made["perplexity"]) == 2


def test_the_kits_sounds_are_its_drums_and_tones_and_another_seed_is_another_sound():
    (drum, one), (tone, two) = kit_sounds(1, 0, 8000)
    assert (one.label, two.label) == (drum.split("/")[0], tone.split("/")[0])
    assert two.label == "C2"
    assert not np.array_equal(kit_sounds(1, 1, 8000)[0][1].samples, one.samples)


def test_a_pitch_is_kept_where_it_lies_within_half_a_semitone_of_the_label():
    wide = dataclasses.replace(SMALL, hop=16, latent_dim=16)
    passes = transparent(wide)
    # Quantizers that say nothing let nothing through: no pitch at all.
    mute = CodecPlayer(wide, passes)
    tone = Waveform(sine(440)[:, None], 8000, label="A4")
    assert pitch_kept(mute, [tone]) == 0

    class Clear(CodecPlayer):
        def encode(self, samples):
            return np.asarray(samples)

        def decode(self, codes):
            return codes

    off = Waveform(tone.samples, 8000, label="A#4")
    assert pitch_kept(Clear(wide, passes), [tone, tone, tone, off]) == 0.75


def test_the_digits_are_of_the_test_split_alone():
    from conftest import data_folder

    data_folder("fsdd")
    found = digits(8000, most=7)
    assert 1 <= len(found) <= 7
    assert all(int(w.title.split("_")[2]) < 5 for w in found)


# What Keras runs


def test_keras_and_numpy_code_alike():
    from audio_models.codec_training import CodecNetwork

    network = CodecNetwork(SMALL, seed=3)
    assert network.named_weights().keys() == SMALL.weights().keys()
    network.load_named_weights(drawn_weights(SMALL))
    samples = noise(2 * 800).reshape(2, 800)
    heard = np.array(network(samples))
    player = CodecPlayer(SMALL, network.named_weights())
    for one, back in zip(samples, heard, strict=True):
        assert np.allclose(player.decode(player.encode(one)), back, atol=1e-4)
    network.set_quantizing(False)
    levels, latents = SMALL.encode(numpy_ops, player.weights, samples)
    free = SMALL.decode(numpy_ops, player.weights, levels, latents)
    assert np.allclose(np.array(network(samples)), free, atol=1e-4)


def test_codebooks_follow_the_mean_of_what_they_stand_for():
    from audio_models.codec_training import CodecNetwork

    network = CodecNetwork(SMALL, follow=0.0)  # only the batch counts
    samples = noise(16 * 64).reshape(16, 64)
    before = network.named_weights()
    _, latents = SMALL.encode(numpy_ops, before, samples)
    codes, residuals, _ = SMALL.quantize(numpy_ops, before, latents)
    network(samples, training=True)
    after = network.named_weights()
    for number in range(2):
        chosen, rest = codes[..., number].ravel(), residuals[number].reshape(-1, 6)
        for code in np.unique(chosen):
            mean = rest[chosen == code].mean(axis=0)
            assert np.allclose(after[codebook_name(number + 1)][code], mean, atol=1e-3)


def test_codes_that_nobody_chooses_move_to_where_frames_are():
    from audio_models.codec_training import CodecNetwork

    network = CodecNetwork(SMALL, follow=0.0)
    weights = drawn_weights(SMALL)
    weights[codebook_name(1)][3:] = 1e3  # far from all frames
    network.load_named_weights(weights)
    samples = noise(16 * 64).reshape(16, 64)
    network(samples, training=True)
    latents = SMALL.encode(numpy_ops, weights, samples)[1].reshape(-1, 6)
    assert network.restart_dead(samples, 0.05, np.random.default_rng(0)) >= 13
    moved = network.named_weights()[codebook_name(1)]
    for vector in moved[3:]:
        assert np.abs(latents - vector).sum(axis=1).min() < 1e-4
    # And one that all are chosen alike moves none.
    assert network.restart_dead(samples, 0.0, np.random.default_rng(0)) == 0


def test_clusters_are_found_where_they_are():
    from audio_models.codec_training import clusters

    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9]], "float32")
    points = np.repeat(centres, 50, axis=0) + rng.normal(0, 0.1, (150, 2))
    means, chosen = clusters(points, 3, np.random.default_rng(1))
    for k, mean in enumerate(means):
        assert np.allclose(mean, points[chosen == k].mean(axis=0), atol=1e-4)
    few, _ = clusters(points[:2], 5, rng)
    assert few.shape == (5, 2) and np.isfinite(few).all()


def test_crops_are_drawn_by_the_seed_and_stay_within_their_sounds():
    from audio_models.codec_training import CodecPlan, crops

    plan = CodecPlan(batch_size=4, window=2048, softest_db=0.0)
    sounds = [np.full(700, 0.5, "float32"), np.full(9000, 0.25, "float32")]
    one, two = (next(crops(sounds, plan, 8)) for _ in range(2))
    assert one.shape == (4, 2048) and np.array_equal(one, two)
    assert set(np.unique(one)) <= {0.0, 0.25, 0.5}
    with pytest.raises(ValueError, match="There is no sound"):
        next(crops([np.zeros(0)], plan, 8))
    with pytest.raises(ValueError, match="`window` must be a multiple of 9"):
        next(crops(sounds, plan, 9))


def test_a_sine_of_full_scale_has_a_magnitude_of_one():
    from audio_models.codec_training import magnitudes

    whole = sine(1000, amplitude=1.0)[None]
    assert np.array(magnitudes(whole, 512)).max() == pytest.approx(1, abs=0.02)


def test_the_loss_tells_a_sound_from_silence_and_from_its_own_negative():
    from audio_models.codec_training import CLEANEST, WAVEFORM, SpectrumLoss

    whole, loss = sine(1000, amplitude=1.0)[None], SpectrumLoss()
    least = WAVEFORM * (1 + math.log10(CLEANEST))  # no error, in power or in spectra
    assert float(loss(whole, whole)) == pytest.approx(least, abs=2e-3)
    # Silence is all of the power off and each of three spectra, or a little less.
    assert float(loss(whole, 0 * whole)) > WAVEFORM + 2.8
    # The negative has the same spectra, and an error of four times the power.
    turned = WAVEFORM * (1 + math.log10(4))
    assert float(loss(whole, -whole)) == pytest.approx(turned, abs=1e-2)


def test_a_codec_begins_at_the_axes_of_its_sounds_and_passes_them_untrained():
    from audio_models.codec_training import CodecNetwork

    network = CodecNetwork(dataclasses.replace(SMALL, codebook_size=64), seed=0)
    instants = np.arange(512) / 8000
    hertz = np.linspace(200, 800, 16)[:, None]
    samples = 0.5 * np.sin(2 * np.pi * hertz * instants).astype("float32")
    network.begin(samples, 0)
    weights = network.named_weights()
    axes = weights["analysis"]  # six of eight: what is left out is above 3 kHz
    assert np.allclose(axes.T @ axes, np.eye(6), atol=1e-4)
    assert np.array_equal(weights["synthesis"], axes.T)
    network.set_quantizing(False)
    errors = []
    for _ in range(2):
        off = np.array(network(samples)) - samples
        errors.append(float(np.square(off).mean() / np.square(samples).mean()))
        network.set_quantizing(True)
    assert errors[0] < errors[1] < 0.01  # what codes lose adds to what axes lose


def tones_to_learn(count, seed):
    rng = np.random.default_rng(seed)
    return [
        sine(rng.uniform(100, 1000), amplitude=rng.uniform(0.2, 0.8))
        for _ in range(count)
    ]


LEARNER = Codec(8000, 64, 32, 16, 4, 32, 1)


def quick_plan(**changes):
    from audio_models.codec_training import CodecPlan

    return CodecPlan(
        **{
            **{"steps": 60, "batch_size": 8, "window": 2048, "learning_rate": 5e-3},
            **{"restart": 5, "checks": 3, "seed": 4},
            **changes,
        }
    )


@pytest.mark.slow
def test_training_brings_spectra_nearer_keeps_codes_in_use_and_follows_its_seed():
    from audio_models.codec_training import train_codec

    sounds, held_out = tones_to_learn(40, 0), tones_to_learn(8, 1)
    weights, history = train_codec(LEARNER, quick_plan(steps=150), sounds, held_out)
    player = CodecPlayer(LEARNER, weights)
    untrained = player_of(LEARNER)
    waveforms = [Waveform(x[:, None], 8000) for x in held_out]
    through = [reconstruct(player, w) for w in waveforms]
    learnt = fidelity(waveforms, [heard for heard, _ in through], 1)
    drawn = fidelity(waveforms, [reconstruct(untrained, w)[0] for w in waveforms], 1)
    used = perplexity(np.concatenate([codes for _, codes in through]), 32)
    print(f"sines: {learnt}; untrained {drawn}; in use {used} of 32; {history[-1]}")
    assert learnt.distance_db < 0.6 * drawn.distance_db
    assert learnt.si_sdr_db > 8 and abs(learnt.level_db) < 1.5
    assert min(used[1:]) > 8  # the first is the level: a sine has few
    again = [
        CodecPlayer(
            LEARNER, train_codec(LEARNER, quick_plan(steps=6), sounds, held_out)[0]
        ).checksum
        for _ in range(2)
    ]
    assert again[0] == again[1]


@pytest.mark.slow
def test_the_note_transformer_learns_codes_and_what_it_draws_is_sound():
    from audio_models import MODELS
    from audio_models.network import Network
    from audio_models.objective import DenseAdamW, NextTokenLoss
    from audio_models.player import Player, generate
    from audio_models.request import Request
    from audio_models.scoring import token_log_probabilities
    from data_pipelines.tokenizers.codec import CodecTokenizer

    # An untrained codec is still a codec: its codes follow the sound.
    tokenizer = CodecTokenizer(player_of(LEARNER), ("low", "high"))
    pieces = []
    for k in range(24):
        pitch, label = ((110, "low"), (880, "high"))[k % 2]
        sound = sine(pitch, seconds=0.25) * (0.5 + k / 48)
        pieces.append(tokenizer.encode(Waveform(sound[:, None], 8000, label=label)))
    ids = np.stack(pieces)  # (24, T)
    learnt, held_out = ids[:20], ids[20:]
    architecture = MODELS["transformer"](
        tokenizer.vocab_size, hidden_dim=32, num_layers=2, num_heads=2
    )
    network = Network(architecture, seed=0)
    network.compile(DenseAdamW(1e-2, global_clipnorm=1.0), NextTokenLoss())
    for _ in range(60):
        network.train_on_batch(learnt[:, :-1], learnt[:, 1:])
    weights = network.named_weights()
    nats = -token_log_probabilities(architecture, weights, held_out).mean()
    counts = np.bincount(learnt[:, 1:].ravel(), minlength=tokenizer.vocab_size) + 0.5
    floor = -np.log(counts / counts.sum())[held_out[:, 1:]].mean()
    print(f"codes of sines: {nats:.3f} nats a token, unigram {floor:.3f}")
    assert nats < 0.7 * floor
    request = Request(
        tokenizer.class_prompt("high")[None], 120, tokenizer.grammar, min_new_tokens=80
    )
    made = generate(Player(architecture, weights), request).ids[0]
    sound = tokenizer.decode(np.concatenate([tokenizer.class_prompt("high"), made]))
    assert sound.label == "high"
    assert len(sound) >= 20 * LEARNER.hop
    assert np.isfinite(sound.samples).all() and np.abs(sound.samples).max() > 1e-2


@pytest.mark.slow
def test_the_bench_runs_from_sounds_to_rows(monkeypatch):
    from studio import bench_codec

    monkeypatch.setattr(
        bench_codec,
        "digits",
        lambda rate: [Waveform(noise(4000)[:, None], rate)],
    )
    small = dataclasses.replace(
        BENCH_CODEC, latent_dim=8, hidden_dim=4, codebook_size=16
    )
    plan = quick_plan(steps=4, window=2400)
    rows = bench_codec.codec(small, plan, sounds=12, held_out=2)
    assert len(rows) == 3 and json.dumps(rows)
    assert all(r["bits_per_second"] == 100 * 8 * 4 for r in rows)
    assert 0 <= rows[1]["pitch_kept"] <= 1
    assert all(r["steps"] == 4 for r in rows)

"""How the codec learns: what Keras runs, its loss, its codebooks, its training."""

import dataclasses
import json
import math

import numpy as np
import pytest
from codec_stock import SMALL, drawn_weights, noise, player_of, sine

from audio_models import numpy_ops
from audio_models.codec import Codec, CodecPlayer, codebook_name
from data_pipelines.audio import Waveform
from studio.bench_codec import BENCH_CODEC, fidelity, perplexity
from studio.codec import load_codec, reconstruct


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
    from audio_models.codec_loss import magnitudes

    whole = sine(1000, amplitude=1.0)[None]
    assert np.array(magnitudes(whole, 512)).max() == pytest.approx(1, abs=0.02)


def test_the_loss_tells_a_sound_from_silence_and_from_its_own_negative():
    from audio_models.codec_loss import CLEANEST, WAVEFORM, SpectrumLoss

    whole, loss = sine(1000, amplitude=1.0)[None], SpectrumLoss()
    least = WAVEFORM * (1 + math.log10(CLEANEST))  # no error, in power or in spectra
    assert float(loss(whole, whole)) == pytest.approx(least, abs=2e-3)
    # Silence is all of the power off and each of three spectra, or a little less.
    assert float(loss(whole, 0 * whole)) > WAVEFORM + 2.8
    # The negative has the same spectra, and an error of four times the power.
    turned = WAVEFORM * (1 + math.log10(4))
    assert float(loss(whole, -whole)) == pytest.approx(turned, abs=1e-2)


def test_what_is_told_of_held_out_sounds_is_their_loss_and_ratio_and_nothing_else():
    from audio_models.codec_loss import SpectrumLoss, heard_through

    instants = np.arange(4000) / 8000
    meant, off = (np.sin(2 * np.pi * f * instants) for f in (200, 300))  # orthogonal
    sounds = np.stack([meant, 0.5 * meant, 0 * meant]).astype("float32")
    wrong = 0.5 * sounds + 0.05 * np.stack([off, 0.5 * off, 0 * off])

    class Network:
        def predict_on_batch(self, batch):
            return wrong.astype("float32")

    loss, ratio = heard_through(Network(), [sounds, sounds])
    # A tenth of the amplitude of what is kept is 20 dB; silence has no ratio.
    assert ratio == pytest.approx(20, abs=0.01)
    assert loss == pytest.approx(float(SpectrumLoss()(sounds, wrong)), rel=1e-5)


def test_the_first_clusters_count_for_as_many_frames_as_a_step_has():
    # Counted whole, they held the codebooks still while the frames moved away.
    from audio_models.codec_training import CodecNetwork

    network = CodecNetwork(SMALL, follow=0.5)
    network.begin(noise(64 * 64).reshape(64, 64), 0, frames=32)
    assert np.allclose(np.array(network._counts).sum(axis=1), 32, rtol=1e-4)
    weights = network.named_weights()
    samples = noise(4 * 64, seed=1).reshape(4, 64)  # four times eight frames
    levels, latents = SMALL.encode(numpy_ops, weights, samples)
    codes, residuals, _ = SMALL.quantize(numpy_ops, weights, latents)
    before, counts = weights[codebook_name(1)], np.array(network._counts)[0]
    network(samples, training=True)
    after = network.named_weights()[codebook_name(1)]
    assert (levels > 0).all()
    for code in np.unique(codes[..., 0]):
        chosen = residuals[0][codes[..., 0] == code]
        weight = len(chosen) / (len(chosen) + counts[code])
        mean = weight * chosen.mean(axis=0) + (1 - weight) * before[code]
        assert np.allclose(after[code], mean, atol=1e-3)


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
@pytest.mark.covers("e15")
def test_training_brings_sounds_nearer_keeps_codes_in_use_and_follows_its_seed():
    from audio_models.codec_training import train_codec

    sounds, held_out = tones_to_learn(40, 0), tones_to_learn(8, 1)
    plan = quick_plan(steps=200, learning_rate=1e-3, restart=20)
    weights, history = train_codec(LEARNER, plan, sounds, held_out)
    curve = [(round(h["held_out"], 3), round(h["si_sdr_db"], 2)) for h in history]
    print(f"held out, and SI-SDR in dB, from before the first step on: {curve}")
    # It begins at axes and clusters, near what so few codes can tell.
    assert history[-1]["held_out"] < history[0]["held_out"]
    assert history[-1]["loss"] < history[1]["loss"]
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
def test_the_bench_runs_from_sounds_to_a_bundle_and_rows(monkeypatch, tmp_path):
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
    kept = bench_codec.ship(tmp_path / "c", small, plan, sounds=12, held_out=2)
    back = load_codec(tmp_path / "c")
    assert back.codec.checksum == kept.codec.checksum
    assert back.sample[:4] == b"RIFF" and "python -m studio.bench_codec" in back.card
    rows = bench_codec.codec(back, held_out=2)
    assert len(rows) == 3 and json.dumps(rows)
    assert all(r["bits_per_second"] == 100 * 8 * 4 for r in rows)
    assert 0 <= rows[1]["pitch_kept"] <= 1
    assert all(r["steps"] == 4 for r in rows)

"""A codec on disk and in the bundle of a model of codes; what is left of a sound."""

import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
from codec_stock import SMALL, noise, player_of, sine, transparent

from audio_models import MODELS
from audio_models.bundle import BadBundle, load_bundle, save_bundle
from audio_models.codec import CodecPlayer
from audio_models.network import first_values
from data_pipelines.audio import Waveform
from data_pipelines.tokenizers import tokenizer_from_spec
from data_pipelines.tokenizers.codec import CodecTokenizer
from studio.bench_codec import (
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
    bundle_of,
    kit_sounds,
    load_codec,
    reconstruct,
    rounded,
    save_codec,
    tokenizer_in,
)
from studio.errors import NothingUsable
from studio.models import open_model, what_is_wrong_with
from studio.sounds import SoundWish, compose_sound, continue_sound


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
    for name in ("bundle.json", "weights.npz", "card.md", "SHA256SUMS"):
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
    """The folder with a few entries of its JSON changed, its sums made right."""
    for name in ("bundle.json", "vocabulary.json"):
        about = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**about, **changes}))
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in folder.iterdir()
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(sums))


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"format": 2}, "format 2 is not known"),
        ({"facts": []}, "must be JSON objects"),
        ({"sizes": {"hop": 7}}, "`hop` must be even"),
        ({"sizes": {"hop": 4, "latent_dim": 4}}, "other arrays"),
        ({"sizes": {"hop": 4096, "hidden_dim": 4096}}, "are read"),
        ({"sizes": {"rate": 3}}, "unexpected keyword"),
        (
            {"sizes": {"hop": 4096, "latent_dim": 4096, "hidden_dim": 4096}},
            "are read",
        ),
        ({"codec": "0"}, "not those that its checksum is of"),
        ({"model": "lstm", "sizes": {"vocab_size": 9}}, "other arrays"),
    ],
)
def test_a_folder_that_says_what_cannot_be_is_refused(tmp_path, changes, told):
    save_codec(tmp_path / "c", kept())
    rewritten(tmp_path / "c", **changes)
    with pytest.raises(BadBundle, match=f"{tmp_path}.*{told}"):
        load_codec(tmp_path / "c")


def test_what_is_no_codec_is_left_as_it_is(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.txt").write_text("la")
    with pytest.raises(ValueError, match=r"song\.txt, which is no part of a bundle"):
        save_codec(tmp_path / "mine", kept())
    with pytest.raises(ValueError, match="is a file, no bundle"):
        save_codec(tmp_path / "mine" / "song.txt", kept())
    assert (tmp_path / "mine" / "song.txt").read_text() == "la"
    with pytest.raises(FileNotFoundError, match="No such bundle"):
        load_codec(tmp_path / "none")
    with pytest.raises(BadBundle, match=r"SHA256SUMS cannot be read"):
        load_codec(tmp_path / "mine")


def test_a_bundle_of_another_model_is_no_codec(tmp_path):
    save_bundle(tmp_path / "m", model_of_codes())
    with pytest.raises(BadBundle, match="is no codec: it holds the model lstm"):
        load_codec(tmp_path / "m")


def model_of_codes(seed=0, classes=()):
    """An untrained model of the codes of a codec, and the codec."""
    tokenizer = CodecTokenizer(player_of(seed=seed), classes)
    architecture = MODELS["lstm"](
        tokenizer.vocab_size, embedding_dim=8, hidden_dim=8, num_layers=1
    )
    weights = {
        name: first_values(weight, [seed, number])
        for number, (name, weight) in enumerate(architecture.weights().items())
    }
    return bundle_of(architecture, weights, tokenizer, {"recipe": "codec-transformer"})


def test_a_model_of_codes_carries_its_codec_and_hears_by_it(tmp_path):
    save_bundle(tmp_path / "m", model_of_codes())
    assert (tmp_path / "m" / "codec.npz").is_file()
    opened = load_bundle(tmp_path / "m")
    tokenizer = tokenizer_in(opened)
    sound = Waveform(noise(400)[:, None], 8000)
    ids = CodecTokenizer(player_of()).encode(sound)
    assert np.array_equal(tokenizer.encode(sound), ids)
    assert tokenizer.codec.checksum == player_of().checksum
    assert what_is_wrong_with(opened) is None
    damaged = bytearray((tmp_path / "m" / "codec.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "m" / "codec.npz").write_bytes(damaged)
    with pytest.raises(BadBundle, match=r"codec\.npz is damaged"):
        load_bundle(tmp_path / "m")


def test_a_codec_that_fits_in_sixteen_bits_is_carried_in_them_and_is_the_same():
    near = rounded(player_of())
    whole, half = (
        bundle_of(SMALL, codec.weights, CodecTokenizer(codec), {})
        for codec in (player_of(), near)
    )
    assert len(half.codec) < len(whole.codec)
    assert tokenizer_in(half).codec.checksum == near.checksum
    assert near.checksum != player_of().checksum


@pytest.mark.parametrize(
    "change, told",
    [
        ({"codec": b""}, "carries no codec.npz"),
        ({"codec": b"PK no zip"}, "is no codec"),
        ({"codec": model_of_codes(1).codec}, "is not the one that these ids come from"),
        ({"facts": {}}, "is no codec"),
        ({"facts": {"codec": {"sizes": {"hop": 7}}}}, "`hop` must be even"),
        ({"facts": {"codec": {"sizes": {"hop": 8, "latent_dim": 4}}}}, "other arrays"),
    ],
)
def test_a_foreign_or_broken_codec_is_one_sentence(change, told, tmp_path):
    bundle = dataclasses.replace(model_of_codes(), **change)
    assert told in what_is_wrong_with(bundle)
    save_bundle(tmp_path / "m", bundle)
    with pytest.raises(NothingUsable, match=f"no sound bundle: .*{told}"):
        open_model(str(tmp_path / "m"))


def test_a_vocabulary_of_codes_is_checked_without_the_codec_too():
    spec = json.loads(json.dumps(CodecTokenizer(player_of(), ("kick",)).spec()))
    bare = tokenizer_from_spec(spec)
    assert bare.spec() == spec and not bare.is_heard
    assert np.array_equal(bare.codes([1, 5, 5, 21, 37]), [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"the codec .* is not at hand"):
        bare.encode(Waveform(noise(9)[:, None], 8000, label="kick"))
    with pytest.raises(ValueError, match=r"the codec .* is not at hand"):
        bare.decode([5, 21, 37])
    for wrong in ({"ranges": []}, {"classes": 3}, {"hop": 0}, {"checksum": None}):
        with pytest.raises(ValueError):
            tokenizer_from_spec({**spec, **wrong})
    with pytest.raises(ValueError, match="is not the one that these ids come from"):
        tokenizer_from_spec(spec, codec=player_of(seed=1))


@pytest.mark.parametrize("seconds", [0.02, 0.1003])
def test_codes_make_as_many_samples_as_are_asked_for(seconds):
    made = compose_sound(model_of_codes(), SoundWish(seconds=seconds, seed=3))
    assert len(made.waveform) == round(seconds * 8000)
    assert made.waveform.sample_rate == 8000
    # Three codes for eight samples; nothing was learnt, so each is worth what chance
    # among all 4 + 3 * 16 ids gives it.
    assert abs(made.bits_per_sample - np.log2(52) * 3 / 8) < 0.1
    again = compose_sound(model_of_codes(), SoundWish(seconds=seconds, seed=3))
    assert np.array_equal(made.waveform.samples, again.waveform.samples)


@pytest.mark.parametrize("length", [1, 5, 8, 90, 900])
@pytest.mark.parametrize("classes", [(), ("kick", "snare")])
def test_what_is_given_to_a_model_of_codes_stays_as_it_is(length, classes):
    given = Waveform(np.stack([noise(length)] * 2, axis=1), 8000)
    wish = SoundWish(seconds=0.05, seed=1)
    made = continue_sound(model_of_codes(classes=classes), given, wish)
    assert np.array_equal(made.waveform.samples[:length], given.samples)
    assert made.waveform.samples.shape == (length + 400, 2)
    assert made.labels[0] in (classes or ("",))


def test_what_follows_laps_over_what_was_heard():
    # By the model's own codes: where it goes on with the very codes that follow, the
    # sound is that of all codes in a row.
    tokenizer, sound = CodecTokenizer(player_of()), Waveform(noise(160)[:, None], 8000)
    codes = tokenizer.encode(sound)[1:-1]
    heard = Waveform(sound.samples[:80], 8000)
    bundle = model_of_codes()

    class Told(type(bundle.architecture)):
        def forward(self, ops, weights, ids, state=None, dropout=None):
            done = 0 if state is None else state
            done = done + ids.shape[1]
            logits = np.zeros((1, ids.shape[1], self.vocab_size), "float32")
            logits[0, -1, codes[min(done - 1, len(codes) - 1)]] = 99.0
            return logits, done

        def start(self, ops, batch):
            return 0

    sizes = dataclasses.asdict(bundle.architecture)
    told = dataclasses.replace(bundle, architecture=Told(**sizes))
    made = continue_sound(told, heard, SoundWish(seconds=0.01))
    new, whole = made.waveform.samples[80:, 0], tokenizer.decode(codes).samples[:, 0]
    assert np.allclose(new[:72], whole[80:152], atol=1e-5)


@pytest.mark.parametrize("length", [1, 8, 801])
def test_a_sound_through_the_codec_is_as_long_as_it_was(length):
    sound = Waveform(np.stack([noise(length)] * 2, axis=1), 8000)
    heard, codes = reconstruct(player_of(), sound)
    assert heard.samples.shape == (length, 1)
    assert len(codes) == -(-length // 8)


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

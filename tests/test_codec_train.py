"""From a folder of sounds, through the shipped codec, to new sound."""

import json

import numpy as np
import pytest
from conftest import etude

from audio_models.bundle import load_bundle
from data_pipelines.audio import write_audio
from data_pipelines.encode import Encoder
from data_pipelines.guard import read_file
from data_pipelines.prepare import Settings, prepare
from data_pipelines.tokenizers.codec import CodecTokenizer
from studio.codec import kit_sounds, open_codec, tokenizer_in


@pytest.fixture(scope="module")
def hits(tmp_path_factory):
    """Kicks and snares of the kit, 12 each."""
    folder = tmp_path_factory.mktemp("hits")
    for number, (_, sound) in enumerate(kit_sounds(108, 9)):
        if sound.label in ("kick", "snare"):
            (folder / sound.label).mkdir(exist_ok=True)
            path = folder / sound.label / f"{number:03d}.wav"
            write_audio(path, sound.samples[:4000], sound.sample_rate)
    return folder


def test_files_are_coded_in_workers_as_they_are_here(hits, tmp_path):
    tokenizer = CodecTokenizer(open_codec().codec, ("kick", "snare"))
    settings = Settings(tokenizer.spec(), codec=tokenizer.codec)
    dataset = prepare(hits, tmp_path / "d", settings, workers=1)
    assert dataset.tokenizer.spec() == tokenizer.spec()
    assert "codec" not in dataset.manifest["settings"]
    path = min(hits.glob("kick/*.wav"))
    here = Encoder(json.dumps(tokenizer.spec()), codec=tokenizer.codec)(path)
    found = [ids for split in dataset.counts for ids in dataset.pieces(split)]
    assert any(np.array_equal(here.pieces[0].ids, ids) for ids in found)


@pytest.mark.slow
def test_a_folder_of_sounds_becomes_a_model_of_codes_and_that_new_sound(hits, tmp_path):
    bundle = tmp_path / "x.bundle"
    arguments = ("--recipe", "codec-transformer", "--size", "tiny", "-o", bundle)
    arguments += ("--learning-rate", 5e-3)
    short = ("--epochs", 2, "--batch-size", 4, "--window", 128, "--json")
    done = etude("train", hits, *arguments, *short)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["floors"]["unit"] == "code"
    chance = np.log(load_bundle(bundle).architecture.vocab_size)
    assert told["held_out"]["model"] < chance
    opened = load_bundle(bundle)
    assert tokenizer_in(opened).codec.checksum == open_codec().codec.checksum
    assert "Bits per code" in opened.card and opened.sample[:4] == b"RIFF"
    one = tmp_path / "x.wav"
    done = etude("compose", "-m", bundle, "--seconds", 4, "--seed", 1, "-o", one)
    assert done.returncode == 0, done.stderr
    sound = read_file(one, kind="wave").contents[0]
    assert len(sound) == 4 * 16_000 and np.abs(sound.samples).max() > 1e-2
    hit, more = min(hits.glob("kick/*.wav")), tmp_path / "more.wav"
    done = etude("continue", hit, "-m", bundle, "--seconds", 0.5, "-o", more, "--json")
    assert done.returncode == 0, done.stderr
    whole, given = (read_file(p, kind="wave").contents[0] for p in (more, hit))
    assert np.array_equal(whole.samples[: len(given)], given.samples)
    assert len(whole) == len(given) + 8000
    assert json.loads(done.stdout)["classes"][0] in ("kick", "snare")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--bits", "8"), "--bits means nothing to a recipe of codes"),
        (("--sample-rate", "8000"), "--sample-rate means nothing to a recipe of codes"),
        (("--bars", "found"), "--bars means nothing to codec-transformer"),
    ],
)
def test_what_means_nothing_to_codes_is_one_sentence(hits, tmp_path, options, told):
    recipe = ("--recipe", "codec-transformer", "-o", tmp_path / "x.bundle")
    done = etude("train", hits, *recipe, *options)
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr

"""Bundles: what is saved is what is opened; whatever is broken is refused."""

import json
import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest

from audio_models import MODELS
from audio_models.bundle import (
    FILES,
    BadBundle,
    Bundle,
    halved,
    load_bundle,
    save_bundle,
)
from audio_models.network import Network
from audio_models.player import Player, generate
from audio_models.request import Request
from data_pipelines.tokenizers.melody import MelodyTokenizer

TOKENIZER = MelodyTokenizer()


def small_bundle(name="lstm", seed=0, facts=None):
    sizes = {"hidden_dim": 16}
    sizes |= {"window": 4} if name == "nnlm" else {"num_layers": 1}
    sizes |= {"num_heads": 2} if name == "transformer" else {"embedding_dim": 8}
    architecture = MODELS[name](vocab_size=TOKENIZER.vocab_size, **sizes)
    weights = Network(architecture, seed=seed).named_weights()
    facts = facts or {"metres": {"4/4": 3}}
    return Bundle(architecture, weights, TOKENIZER.spec(), facts, "# card\n", b"MThd")


@pytest.fixture
def saved(tmp_path):
    save_bundle(tmp_path / "a.bundle", small_bundle())
    return tmp_path / "a.bundle"


@pytest.mark.parametrize("name", MODELS)
def test_what_is_saved_is_what_is_opened_and_sounds_the_same(name, tmp_path):
    bundle = small_bundle(name)
    save_bundle(tmp_path / "b", bundle)
    opened = load_bundle(tmp_path / "b")
    assert opened.architecture == bundle.architecture
    assert opened.vocabulary == bundle.vocabulary
    assert (opened.facts, opened.card) == (bundle.facts, bundle.card)
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == sorted(
        (*FILES, "SHA256SUMS")
    )
    asked = Request([[1, TOKENIZER.metre_id("4/4")]], 30, TOKENIZER.grammar)
    tokens = [
        generate(Player(b.architecture, b.weights), asked) for b in (bundle, opened)
    ]
    np.testing.assert_array_equal(tokens[0].ids, tokens[1].ids)


def test_every_flipped_bit_is_detected(saved):
    rng = np.random.default_rng(0)
    flips = 0
    for name in (*FILES, "SHA256SUMS"):
        path = saved / name
        good = path.read_bytes()
        for _ in range(20):
            data = bytearray(good)
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            path.write_bytes(bytes(data))
            with pytest.raises(BadBundle):
                load_bundle(saved)
            flips += 1
        path.write_bytes(good)
    load_bundle(saved)
    print(f"{flips} flipped bits, {flips} detected")


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(BadBundle, match=name):
        load_bundle(saved)


def reseal(folder):
    """Make the sums right again: the attacker can do that too."""
    import hashlib

    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in FILES
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99 is not known"),
        ({"model": "__import__"}, "no model is called"),
        ({"sizes": {"vocab_size": 10**12}}, "must be an integer in"),
        ({"sizes": {"vocab_size": 145, "code": "x"}}, "no sound bundle"),
        ({"sizes": {"vocab_size": 145, "hidden_dim": 4096}}, "no sound bundle"),
        ({"facts": None, "sizes": []}, "no sound bundle"),
    ],
)
def test_a_malicious_description_is_refused_quickly(saved, change, message):
    path = saved / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    reseal(saved)
    began = time.monotonic()
    with pytest.raises(BadBundle, match=message):
        load_bundle(saved)
    assert time.monotonic() - began < 1


def test_pickled_weights_are_refused(saved):
    np.savez(saved / "weights.npz", **{"head.bias": np.array([{"a": 1}], dtype=object)})
    reseal(saved)
    with pytest.raises(BadBundle):
        load_bundle(saved)


def test_weights_that_are_not_finite_can_be_neither_saved_nor_opened(saved, tmp_path):
    bundle = small_bundle()
    bundle.weights["head.bias"][3] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        save_bundle(tmp_path / "c", bundle)
    assert not (tmp_path / "c").exists()
    with np.load(saved / "weights.npz") as arrays:
        weights = dict(arrays)
    weights["head.bias"][3] = np.nan
    np.savez(saved / "weights.npz", **weights)
    reseal(saved)
    with pytest.raises(BadBundle, match="not finite"):
        load_bundle(saved)


def test_a_new_bundle_replaces_an_old_one_whole(saved):
    save_bundle(saved, small_bundle(facts={"newer": True}))
    assert load_bundle(saved).facts == {"newer": True}
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(ValueError, match="left as it is"):
        save_bundle(tmp_path / "thesis", small_bundle())
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_a_folder_with_a_bundle_and_a_stranger_in_it_is_never_replaced(saved):
    (saved / "tune.mid").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"holds tune\.mid.*left as it is"):
        save_bundle(saved, small_bundle())
    assert (saved / "tune.mid").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["weights.npz", "SHA256SUMS"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on Windows")
def test_a_pipe_in_the_place_of_a_file_is_refused_not_waited_for(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(BadBundle, match="no regular file"):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metres": ["4/4"]}, "metres must be a table"),
        ({"metres": {"5/4": 3}}, "'5/4' is not known"),
        ({"metres": {"4/4": -1}}, "must be in"),
        ({"metres": {"4/4": 0}}, "names no metre"),
        ({"usual_qpm": {"4/4": 1e-9}}, "must be in 20"),
        ({"usual_qpm": {"4/4": "fast"}}, "must be in 20"),
        ({"program": 999}, "program must be in"),
        ({"program": "x"}, "program must be in"),
    ],
)
def test_facts_that_cannot_be_composed_with_are_refused(facts, message, tmp_path):
    from studio.errors import NothingUsable
    from studio.models import open_model

    save_bundle(tmp_path / "b", small_bundle(facts=facts))
    with pytest.raises(NothingUsable, match=message):
        open_model(str(tmp_path / "b"))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": 1', "null", '{"format": 1, "model": ["lstm"]}']
)
def test_json_of_any_kind_is_refused(saved, text):
    (saved / "bundle.json").write_text(text)
    reseal(saved)
    with pytest.raises(BadBundle):
        load_bundle(saved)


def test_a_full_disk_leaves_the_old_bundle(saved, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_bundle(saved, small_bundle(facts={"newer": True}))
    monkeypatch.undo()
    assert load_bundle(saved).facts == {"metres": {"4/4": 3}}
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_no_bundle_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such bundle"):
        load_bundle(tmp_path / "nowhere")


def test_a_bundle_that_was_copied_still_opens(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "elsewhere")
    assert load_bundle(tmp_path / "elsewhere").card == "# card\n"


def test_the_bytes_of_a_codec_are_carried_as_they_are_and_as_closely_checked(saved):
    save_bundle(saved, replace(small_bundle(), codec=b"\0 any bytes at all"))
    assert load_bundle(saved).codec == b"\0 any bytes at all"
    (saved / "codec.npz").write_bytes(b"\0 any bytes at alL")
    with pytest.raises(BadBundle, match=r"codec\.npz is damaged"):
        load_bundle(saved)
    (saved / "codec.npz").unlink()
    with pytest.raises(BadBundle, match=r"codec\.npz cannot be read"):
        load_bundle(saved)
    save_bundle(saved, small_bundle())
    assert load_bundle(saved).codec == b""
    assert "codec.npz" not in (saved / "SHA256SUMS").read_text()


def test_weights_in_sixteen_bits_take_half_the_room_and_come_back_as_they_were_told(
    tmp_path,
):

    bundle = small_bundle()
    rounded = replace(bundle, weights=halved(bundle.weights))
    save_bundle(tmp_path / "whole", bundle)
    save_bundle(tmp_path / "half", rounded, half=True)
    back = load_bundle(tmp_path / "half").weights
    for name, array in rounded.weights.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], array)
        np.testing.assert_allclose(array, bundle.weights[name], rtol=1e-3, atol=1e-4)
    whole, half = (
        (tmp_path / name / "weights.npz").stat().st_size for name in ("whole", "half")
    )
    assert half < 0.7 * whole  # beside the names of the arrays

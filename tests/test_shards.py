"""Shards: what was written is read; what was damaged is named (goal G8)."""

import json
import shutil

import numpy as np
import pytest

from data_pipelines.prepare import Settings, prepare
from data_pipelines.shards import (
    BadDataset,
    manifest_bytes,
    open_dataset,
    shard_bytes,
)
from data_pipelines.tokenizers.melody import MelodyTokenizer


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    from test_prepare import small_folder

    folder = tmp_path_factory.mktemp("sound")
    settings = Settings(MelodyTokenizer().spec(), tokens_a_shard=1024)
    prepare(small_folder(folder / "music", 60), folder / "d", settings)
    return folder / "d"


def npy(path):
    return np.load(path, allow_pickle=False)


def edit(path, change):
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(bytes(data))


def rewrite_manifest(folder, change):
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))


def cut_on_a_record(folder):
    path = folder / "train-00001.tokens.npy"
    index = npy(folder / "train-00001.index.npy")
    header = path.stat().st_size - 2 * len(npy(path))
    with open(path, "r+b") as file:
        file.truncate(header + 2 * int(index[2]["start"]))


def flip_one_bit(folder):
    index = npy(folder / "train-00001.index.npy")
    path = folder / "train-00001.tokens.npy"
    header = path.stat().st_size - 2 * len(npy(path))

    def flip(data):
        data[header + 2 * int(index[3]["start"]) + 9] ^= 4

    edit(path, flip)


def swap(folder):
    a, b = folder / "train-00000.tokens.npy", folder / "train-00001.tokens.npy"
    kept = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(kept)


def resign(folder, *names):
    from data_pipelines.prepare import entry

    def change(manifest):
        for name in names:
            manifest["files"][name] = entry((folder / name).read_bytes())

    rewrite_manifest(folder, change)


def foreign_ids(folder):
    """A shard that is whole, signed, and of another vocabulary."""
    path = folder / "valid-00000.tokens.npy"
    ids, index = npy(path), npy(folder / "valid-00000.index.npy")
    pieces = np.split(ids, np.cumsum(index["length"])[:-1])
    pieces[1] = pieces[1] + 500
    ids_bytes, index_bytes = shard_bytes(pieces, 145)
    path.write_bytes(ids_bytes)
    (folder / "valid-00000.index.npy").write_bytes(index_bytes)
    resign(folder, "valid-00000.tokens.npy", "valid-00000.index.npy")


def index_past_the_end(folder):
    path = folder / "valid-00000.index.npy"
    index = npy(path)
    index[1]["length"] += 10**6
    np.save(path, index)
    resign(folder, path.name)


CORRUPTIONS = {
    "a file cut at the boundary of a record": (
        cut_on_a_record, r"train-00001\.tokens\.npy is cut short: .*first in record 2"),
    "a file cut within a record": (
        lambda f: edit(f / "train-00001.tokens.npy", lambda d: d.__delitem__(slice(-3, None))),
        r"train-00001\.tokens\.npy is cut short: .*first in record \d"),
    "bytes after the end": (
        lambda f: edit(f / "train-00001.tokens.npy", lambda d: d.extend(b"xyz")),
        r"train-00001\.tokens\.npy is too long: .*after its last record"),
    "an empty file": (
        lambda f: (f / "train-00001.tokens.npy").write_bytes(b""),
        r"train-00001\.tokens\.npy is cut short: 0 bytes.*from its very header on"),
    "one bit": (
        flip_one_bit, r"train-00001\.tokens\.npy was changed, first in record 3"),
    "one bit of an index": (
        lambda f: edit(f / "train-00001.index.npy", lambda d: d.__setitem__(-5, d[-5] ^ 1)),
        r"train-00001\.index\.npy was changed"),
    "a missing shard": (
        lambda f: (f / "train-00001.tokens.npy").unlink(),
        r"train-00001\.tokens\.npy is missing"),
    "two shards in each other's place": (swap, r"train-00000\.tokens\.npy .*record 0"),
    "a shard too many": (
        lambda f: shutil.copy(f / "train-00001.tokens.npy", f / "train-00099.tokens.npy"),
        r"train-00099\.tokens\.npy is not in the manifest"),
    "ids of another vocabulary": (
        foreign_ids, r"valid-00000\.tokens\.npy, record 1: .*0\.\.144"),
    "a record that lies outside": (
        index_past_the_end, r"valid-00000\.tokens\.npy, record 1: "),
    "a manifest that was edited": (
        lambda f: edit(f / "manifest.json", lambda d: d.__setitem__(d.index(b'"pieces": ') + 10, ord("7"))),
        r"manifest\.json was changed after it was written"),
    "a manifest cut short": (
        lambda f: edit(f / "manifest.json", lambda d: d.__delitem__(slice(200, None))),
        r"manifest\.json cannot be read"),
    "a count that does not add up": (
        lambda f: rewrite_manifest(f, lambda m: m["splits"]["test"].__setitem__("tokens", 5)),
        r"test holds .* tokens, where the manifest counts 5"),
    "no manifest": (
        lambda f: (f / "manifest.json").unlink(), r"is no dataset: it holds no manifest"),
    "another tokenizer": (
        lambda f: rewrite_manifest(f, lambda m: m["tokenizer"].__setitem__("tokenizer", "abacus")),
        r"manifest\.json: No tokenizer is called 'abacus'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_g8_each_corruption_is_named_before_anything_is_learnt(kind, sound, tmp_path):
    folder = tmp_path / "d"
    shutil.copytree(sound, folder)
    open_dataset(folder)
    spoil, told = CORRUPTIONS[kind]
    spoil(folder)
    with pytest.raises(BadDataset, match=told) as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)
    print(f"G8, {kind}: {caught.value}")


def test_a_damaged_dataset_stops_training_with_one_line(sound, tmp_path):
    from conftest import etude

    folder = tmp_path / "d"
    shutil.copytree(sound, folder)
    flip_one_bit(folder)
    done = etude("train", folder, "-o", tmp_path / "b", "--epochs", 1)
    assert done.returncode == 3
    assert "train-00001.tokens.npy was changed, first in record 3" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_nothing_hides_a_corruption():
    from conftest import ROOT

    hidden = "ignore" + "_errors()"
    for path in ROOT.glob("*/**/*.py"):
        if ".venv" not in path.parts:
            assert hidden.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(("vocab_size", "width"), [(145, 2), (65_536, 2), (65_537, 4)])
def test_ids_take_two_bytes_where_that_is_enough(vocab_size, width):
    ids, _ = shard_bytes([[1, vocab_size - 1, 2], [1]], vocab_size)
    assert len(ids) == 128 + 4 * width


def test_a_shard_of_nothing_is_a_shard(tmp_path):
    ids, _ = shard_bytes([], 145)
    (tmp_path / "a.npy").write_bytes(ids)
    assert npy(tmp_path / "a.npy").shape == (0,)

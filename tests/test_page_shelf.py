"""The page's folder: what is whole is listed, and nothing is read or put outside it."""

import io
import json
import os
import zipfile

import pytest

from studio.errors import NothingUsable, WrongUsage
from studio.page import shelf as shelf_module
from studio.page.shelf import Shelf


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "work")


def made(shelf, title="a tune"):
    folder = shelf.new_take()
    (folder / "piece.wav").write_bytes(b"RIFF")
    return shelf.keep(folder, {"title": title})


def test_a_take_is_listed_once_it_is_whole(shelf):
    folder = shelf.new_take()
    assert shelf.takes() == []
    shelf.keep(folder, {"title": "mine"})
    (take,) = shelf.takes()
    assert (take.id, take.about["title"]) == (folder.name, "mine")


def test_what_was_made_is_there_after_a_restart(shelf):
    take = made(shelf)
    shelf.set_kept(take.id, True)
    (again,) = Shelf(shelf.folder).takes()
    assert again.id == take.id
    assert again.is_kept


def test_a_damaged_note_about_a_take_hides_that_one_alone(shelf):
    bad, good = made(shelf), made(shelf)
    (bad.folder / "take.json").write_text("{")
    assert [take.id for take in shelf.takes()] == [good.id]


def test_a_favourite_is_not_removed(shelf):
    one, two = made(shelf), made(shelf)
    shelf.set_kept(one.id, True)
    shelf.remove(one.id)
    shelf.remove(two.id)
    assert [take.id for take in shelf.takes()] == [one.id]


@pytest.mark.parametrize(
    "place",
    [
        ("takes", "..", "secret"),
        ("takes", "../..", "secret"),
        ("..", "work", "secret"),
        ("takes", "TAKE", "../../../secret"),
        ("takes", "TAKE", "..%2fsecret"),
        ("takes", "TAKE", "/etc/passwd"),
        ("takes", "TAKE", "piece.wav\x00.png"),
        ("takes", "TAKE", "piece.wav\n"),
        ("takes", "TAKE", ""),
        ("takes", "", "take.json"),
        ("uploads", "TAKE", "piece.wav"),
        ("takes", "TAKE", "link.wav"),
        ("takes", "linked", "secret"),
        ("takes", "TAKE", "folder"),
    ],
)
def test_only_plain_files_of_the_folder_have_an_address(shelf, place):
    take = made(shelf)
    secret = shelf.folder.parent / "secret"
    secret.write_text("secret")
    os.symlink(secret, take.folder / "link.wav")
    os.symlink(shelf.folder.parent, shelf.folder / "takes" / "linked")
    (take.folder / "folder").mkdir()
    room, name, file = place
    assert shelf.file(room, name.replace("TAKE", take.id), file) is None
    assert shelf.file("takes", take.id, "piece.wav") is not None


def brought(tmp_path, name, data):
    path = tmp_path / "up"
    path.write_bytes(data)
    return [(path, name)]


def packed(names, data=b"x"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return out.getvalue()


def test_an_archive_is_unpacked_and_nothing_lands_outside(shelf, tmp_path):
    names = ["a.mid", "b/a.mid", "../../out.mid", "/abs.mid", "c:\\d.mid", ".hidden"]
    before = {p for p in tmp_path.rglob("*") if shelf.folder not in p.parents}
    folder = shelf.bring(brought(tmp_path, "music.zip", packed(names)), "music")
    after = {p for p in tmp_path.rglob("*") if shelf.folder not in p.parents}
    assert {p.name for p in after - before} == {"up"}
    assert len(list(folder.iterdir())) == 5  # all but the hidden one
    assert all(path.parent == folder for path in folder.rglob("*"))


def test_two_files_of_one_name_are_both_kept(shelf, tmp_path):
    folder = shelf.bring(brought(tmp_path, "z.zip", packed(["x/a.mid", "x-a.mid"])))
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("bomb.zip", packed(["a"], bytes(300 * 2**20)), "it would unpack to 300 MB"),
        ("cut.zip", packed(["a.mid"], os.urandom(99))[:-40] , None),
    ],
    ids=["bomb", "cut"],
)  # fmt: skip
def test_a_bad_archive_is_named_and_leaves_nothing(
    shelf, tmp_path, name, data, sentence
):
    if sentence is None:  # no archive any more: it comes as a file like any other
        assert shelf.bring(brought(tmp_path, name, data))
        return
    with pytest.raises(NothingUsable, match=sentence):
        shelf.bring(brought(tmp_path, name, data))
    assert list((shelf.folder / "music").iterdir()) == []


def test_an_archive_whose_file_is_damaged_is_named(shelf, tmp_path):
    data = bytearray(packed(["a.mid"], os.urandom(4000)))
    data[200] ^= 255
    with pytest.raises(NothingUsable, match=r"music\.zip: it cannot be unpacked"):
        shelf.bring(brought(tmp_path, "music.zip", bytes(data)))


def test_too_many_files_are_refused(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf_module, "MOST_FILES", 3)
    with pytest.raises(WrongUsage, match="More than 3 files"):
        shelf.bring(brought(tmp_path, "z.zip", packed("abcd")))


def test_too_many_bytes_are_refused_as_they_come(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf_module, "MOST_BYTES", 1000)
    with pytest.raises(WrongUsage, match="More than"):
        shelf.bring(brought(tmp_path, "a.wav", bytes(1001)))
    assert list((shelf.folder / "music").iterdir()) == []


def test_the_note_about_a_take_is_written_whole(shelf):
    take = made(shelf)
    assert json.loads((take.folder / "take.json").read_text())["title"] == "a tune"

"""The folder of the page: what was brought, what was made, and the models trained.

A take is a folder under ``takes``; its ``take.json`` is written last, so that what a
kill cut short is never listed.
"""

import json
import re
import secrets
import shutil
import stat
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from data_pipelines.files import write_whole
from studio.errors import NothingUsable, WrongUsage

ABOUT = "take.json"
ROOMS = ("takes", "music", "models", "blind")
A_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MOST_FILES = 20_000  # in a folder or archive that someone brings
MOST_BYTES = 2 * 2**30  # of them all, unpacked
MOST_RATIO = 200  # unpacked to packed: more is a bomb
BLOCK = 2**20


@dataclass(frozen=True)
class Take:
    """Something that was made: its folder, and what ``take.json`` says."""

    folder: Path
    about: dict = field(repr=False, hash=False)

    @property
    def id(self):
        return self.folder.name

    @property
    def is_kept(self):
        return bool(self.about.get("is_kept"))

    def path(self, suffix):
        """Its file of that suffix, or None."""
        path = self.folder / f"piece{suffix}"
        return path if path.is_file() else None


class Shelf:
    """Everything of one folder. Args: folder, made if it is not there."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        for room in ROOMS:
            (self.folder / room).mkdir(parents=True, exist_ok=True)

    def new_take(self):
        """A folder for a take, with a name that no other has."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        folder = self.folder / "takes" / name
        folder.mkdir()
        return folder

    def keep(self, folder, about):
        """A finished take is listed from now on. Gives the `Take`."""
        about = {"made": time.time(), **about}
        _write(folder, about)
        return Take(folder, about)

    def take(self, name):
        """The take of that name, or None."""
        if not A_NAME.fullmatch(name):
            return None
        return _read(self.folder / "takes" / name)

    def takes(self):
        """All takes, the newest first."""
        folders = sorted((self.folder / "takes").iterdir(), reverse=True)
        return [take for folder in folders if (take := _read(folder))]

    def set_kept(self, name, is_kept):
        """Mark a take as a favourite, or no longer."""
        if take := self.take(name):
            _write(take.folder, take.about | {"is_kept": bool(is_kept)})

    def remove(self, name):
        """Delete a take that is not a favourite."""
        take = self.take(name)
        if take and not take.is_kept:
            shutil.rmtree(take.folder)

    def file(self, room, name, file):
        """The path of ``room/name/file`` if it is a plain file of the folder, or None."""
        if room not in ROOMS or not (A_NAME.fullmatch(name) and A_NAME.fullmatch(file)):
            return None
        path = self.folder / room / name / file
        try:
            is_plain = stat.S_ISREG(path.lstat().st_mode)
        except (OSError, ValueError):
            return None
        return path if is_plain and path.resolve() == path else None

    def models(self):
        """The names of the bundles that were trained here, sorted."""
        found = (self.folder / "models").glob("*.bundle")
        return sorted(p.name for p in found if (p / "bundle.json").is_file())

    def bring(self, paths, name="music"):
        """Take in files of a visitor, archives unpacked: a folder under ``music``.

        Args:
            paths: list of (Path of the file as it came, str, its name there).
            name: str, a stem for the folder.

        Raises:
            WrongUsage, NothingUsable: naming the file that cannot be taken, and why.
        """
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:40] or "music"
        folder = self.folder / "music" / f"{stem}-{secrets.token_hex(3)}"
        folder.mkdir()
        try:
            room = _Room(folder)
            for path, told in paths:
                if zipfile.is_zipfile(path) and not told.lower().endswith(".mxl"):
                    room.unpack(path, told)
                else:
                    with open(path, "rb") as file:
                        room.copy(file, told)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder


class _Room:
    """A folder that is filled, and how much is in it."""

    def __init__(self, folder):
        self.folder, self.files, self.bytes = folder, 0, 0

    def copy(self, source, told):
        """Write a file under its own name, whatever folders that named."""
        self.files += 1
        if self.files > MOST_FILES:
            raise WrongUsage(f"More than {MOST_FILES:,} files: bring a part of them.")
        target = self._free(told)
        with open(target, "xb") as file:
            while block := source.read(BLOCK):
                self.bytes += len(block)
                if self.bytes > MOST_BYTES:
                    raise WrongUsage(
                        f"More than {MOST_BYTES // 2**30} GB in all: bring a part of it."
                    )
                file.write(block)

    def unpack(self, path, told):
        """Every file of an archive, none of them outside the folder."""
        try:
            with zipfile.ZipFile(path) as archive:
                rows = [row for row in archive.infolist() if not row.is_dir()]
                unpacked = sum(row.file_size for row in rows)
                if unpacked > MOST_RATIO * max(1, path.stat().st_size) + BLOCK:
                    raise NothingUsable(
                        f"{told}: it would unpack to {unpacked / 2**20:,.0f} MB, over "
                        f"{MOST_RATIO} times its size."
                    )
                for row in rows:
                    if not Path(row.filename).name.startswith("."):
                        with archive.open(row) as file:
                            self.copy(file, row.filename)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            EOFError,
            OSError,
        ) as error:
            raise NothingUsable(f"{told}: it cannot be unpacked: {error}.") from None

    def _free(self, told):
        """A path of the folder under which nothing lies yet: folders become dashes."""
        parts = [
            part for part in re.split(r"[/\\]+", told) if part not in ("", ".", "..")
        ]
        name = (
            re.sub(r"[\x00-\x1f:*?\"<>|]", "_", "-".join(parts[-3:]))[-120:] or "file"
        )
        name = name.lstrip(".") or "file"
        path, count = self.folder / name, 1
        while path.exists():
            count += 1
            path = self.folder / f"{count}-{name}"
        return path


def _write(folder, about):
    write_whole(folder / ABOUT, (json.dumps(about, indent=1) + "\n").encode())


def _read(folder):
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Take(folder, about) if isinstance(about, dict) else None

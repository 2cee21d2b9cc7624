"""Decoded training images of a set in one memory-mapped file: for sets that do not fit in memory.

`$SUITE_CACHE/decoded/<key>/` holds `pixels`, the images one behind the other (uint8, C order), and `index.json`, their names, shapes and
digests. The key stands for the files' paths, sizes and times of change and for what was done to them, so that a changed set is another
entry; any entry may be removed at any time. An entry is written beside its place and moved there whole, by one process at a time.

One file a set, not one an image: 256x256 crops of 2K images come from it 1.3 times as fast as from arrays that are all held open, each of
which takes a file descriptor, and 7 times as fast as from arrays that are opened anew (16 200, 12 800 and 2 300 a second on one core).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.cache import FolderUnavailable, cache_folder
from suite.core.errors import Exit, SuiteError
from suite.core.files import wait_for_lock
from suite.core.output import note
from suite.core.parallel import map_ordered, show_progress
from suite.data.digest import add_image, pixel_key
from suite.data.images import Pixels

VERSION = 1  # raise it when the layout of an entry changes
IN_MEMORY = 512 * 2**20  # bytes decoded: a set up to this size is held in memory instead
PIXELS, INDEX_FILE = "pixels", "index.json"
IMAGES_PROBED = 8  # images of an entry that are read and compared with their digests when it is opened
SECONDS_BETWEEN_LOOKS = 0.5  # between looks whether another process is done with an entry


@dataclass(frozen=True)
class CacheEntry:
    """A place of the cache: which images it is of, whether or not they are there yet."""

    what: str  # what is counted while it is made: "targets"
    names: tuple[str, ...]
    key: str
    size: int  # bytes, as the files' heads say

    @property
    def folder(self) -> Path:
        """Return where it lies, or will."""
        return _root() / self.key


class Torn(ValueError):
    """What is wrong with an entry."""


class Mapped(Sequence[Pixels]):
    """The images of an entry, uint8 `(H, W, C)`: views of the mapped file, read from the disk as they are used, never written.

    It is sent to another process as its folder's path. `checksum` is that of the set, `pixel_keys` those of the images
    (suite.data.digest).
    """

    def __init__(self, folder: Path) -> None:
        held = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        self.folder = folder
        self.names, self.pixel_keys = tuple(held["names"]), tuple(held["pixel_keys"])
        self.checksum, self.written_for, self.size = str(held["checksum"]), held["written_for"], int(held["size"])
        self._places = [(int(begin), tuple(map(int, shape))) for begin, shape in zip(held["begins"], held["shapes"], strict=True)]
        self._pixels = np.asarray(np.memmap(folder / PIXELS, np.uint8, "r"))  # a plain array: views of a memmap cost more

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Pixels:
        begin, shape = self._places[number]
        height, width, channels = shape
        return self._pixels[begin : begin + height * width * channels].reshape(shape)

    def __reduce__(self) -> tuple[type[Mapped], tuple[Path]]:
        return Mapped, (self.folder,)

    def check(self, entry: CacheEntry) -> None:
        """Raise `Torn` where these are not the images of `entry`, or not as they were written."""
        if self.written_for != _identity(entry) or self.names != entry.names or len(self) != len(self.pixel_keys):
            raise Torn("its index is of other images")
        if self._pixels.size != self.size:
            raise Torn(f"its pixels are {self._pixels.size} bytes, not {self.size}")
        for number in np.linspace(0, len(self) - 1, min(IMAGES_PROBED, len(self)), dtype=int):
            if pixel_key(self[number]) != self.pixel_keys[number]:
                raise Torn(f"the pixels of {self.names[number]!r} have changed")


class NamedImages(Sequence[tuple[str, Pixels]]):
    """The images of an entry with their names."""

    def __init__(self, mapped: Mapped) -> None:
        self.mapped = mapped

    def __len__(self) -> int:
        return len(self.mapped)

    def __getitem__(self, number: int) -> tuple[str, Pixels]:
        return self.mapped.names[number], self.mapped[number]


def make_entry(what: str, names: Sequence[str], files: Sequence[Sequence[Path]], processing: str, size: int) -> CacheEntry:
    """Return the entry for images that are made by `processing` out of `files`, one or more for each."""
    digest = hashlib.sha256(f"{VERSION}\0{processing}\0".encode())
    for name, paths in zip(names, files, strict=True):
        states = [(path.absolute(), path.stat()) for path in paths]
        digest.update(json.dumps([name, *([str(path), state.st_size, state.st_mtime_ns] for path, state in states)]).encode())
    return CacheEntry(what, tuple(names), digest.hexdigest()[:32], size)


def check_disk_room(entries: Sequence[CacheEntry]) -> None:
    """Raise SuiteError where the disk has no room for all those of `entries` that are not made yet."""
    missing = [entry for entry in entries if not entry.folder.is_dir()]
    needed, free = sum(entry.size for entry in missing), shutil.disk_usage(_root()).free
    if needed > free:
        what = " and ".join(f"{len(entry.names)} {entry.what} ({entry.size / 2**30:.2f} GiB)" for entry in missing)
        raise SuiteError(
            f"decoding {what} needs {needed / 2**30:.2f} GiB in {_root()}, and {free / 2**30:.2f} GiB are free there. "
            "Free space, or set SUITE_CACHE to a folder on a larger disk.",
            exit=Exit.NOT_READY,
        )


def open_entry(entry: CacheEntry, read: Callable[[int], Pixels]) -> Mapped:
    """Return the images of `entry`; where they are not in the cache, or damaged there, `read` makes number 0, 1, ... of them.

    Where another process is making the entry, this one waits for it. Raises SuiteError where there is no room, and what `read` raises.
    """
    with contextlib.suppress(Torn):
        if entry.folder.is_dir():
            return _checked(entry)
    with _alone(entry):
        if entry.folder.is_dir():  # made meanwhile, or damaged
            try:
                return _checked(entry)
            except Torn as error:
                note(f"{entry.folder} is damaged ({error}); it is made again.")
                _remove(entry)
        check_disk_room([entry])
        _make(entry, read)
    return _checked(entry)


def _checked(entry: CacheEntry) -> Mapped:
    try:
        mapped = Mapped(entry.folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Torn(f"it cannot be read: {type(error).__name__}: {error}") from error
    mapped.check(entry)
    return mapped


def _remove(entry: CacheEntry) -> None:
    try:
        shutil.rmtree(entry.folder)
    except OSError as error:  # it is another user's
        raise _unwritable(entry.what, error) from error


@contextlib.contextmanager
def _alone(entry: CacheEntry) -> Iterator[None]:
    """Yield a stretch in which no other process makes the entry."""
    path = _root() / f"{entry.key}.lock"
    try:
        handle = path.open("a+", encoding="utf-8")
    except OSError as error:  # the folder is another user's
        raise _unwritable(entry.what, error) from error
    with handle:
        for looks, holder in enumerate(wait_for_lock(handle, SECONDS_BETWEEN_LOOKS)):
            if looks == 0:
                note(f"waiting for process {holder}, which decodes the same {entry.what}.")
        yield


def _make(entry: CacheEntry, read: Callable[[int], Pixels]) -> None:
    for left in _root().glob(f".{entry.key}.*"):  # of a process that was killed: we hold the lock
        shutil.rmtree(left, ignore_errors=True)
    temporary = _root() / f".{entry.key}.{os.getpid()}"
    try:
        temporary.mkdir()
        index = _write_pixels(temporary / PIXELS, entry, read)
        with (temporary / INDEX_FILE).open("w", encoding="utf-8") as file:
            json.dump(index, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(entry.folder)
    except OSError as error:
        raise _unwritable(entry.what, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_pixels(path: Path, entry: CacheEntry, read: Callable[[int], Pixels]) -> dict[str, object]:
    """Write the images, and returns the index. They are written by name, as the set's checksum takes them."""

    def one(number: int) -> tuple[int, Pixels, str]:
        image = np.ascontiguousarray(read(number))
        if image.dtype != np.uint8 or image.ndim != 3:
            raise ValueError(f"the cache holds uint8 (H, W, C), not {image.dtype} {image.shape}")
        return number, image, pixel_key(image)

    count, digest, end = len(entry.names), hashlib.sha256(), 0
    begins, shapes, keys = [0] * count, [()] * count, [""] * count
    order = sorted(range(count), key=entry.names.__getitem__)
    with path.open("wb") as file:
        for number, image, key in show_progress(map_ordered(one, order), count, f"{entry.what} decoded"):
            add_image(digest, entry.names[number], image)
            file.write(image)
            begins[number], shapes[number], keys[number] = end, image.shape, key
            end += image.size
        file.flush()
        os.fsync(file.fileno())
    return {
        "written_for": _identity(entry),
        "names": entry.names,
        "begins": begins,
        "shapes": shapes,
        "pixel_keys": keys,
        "checksum": digest.hexdigest(),
        "size": end,
    }


def _identity(entry: CacheEntry) -> str:
    return f"{VERSION} {entry.key}"


def _root() -> Path:
    """Return the folder of all entries, which is made; SuiteError where it cannot be."""
    try:
        folder = cache_folder() / "decoded"
        folder.mkdir(exist_ok=True)
    except FolderUnavailable as error:
        raise SuiteError(f"large training sets are decoded into the cache once. {error}.", exit=Exit.NOT_READY) from error
    except OSError as error:
        raise _unwritable("training sets", error) from error
    return folder


def _unwritable(what: str, error: OSError) -> SuiteError:
    where = cache_folder() / "decoded"
    return SuiteError(
        f"the decoded {what} cannot be written to {where}: {error.strerror or error}. Free space, or set SUITE_CACHE to another folder.",
        exit=Exit.NOT_READY,
    )

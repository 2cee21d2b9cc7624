"""Reading and writing image files as pixels: 8-bit RGB or grey in, 8-bit out, nothing converted silently; and listing them.

What is read, refused and done to odd files is suite.data.opener's; here it is what is measured (MEASURED). A grey file's plane is repeated
by `read_image` in three equal channels, which loses nothing; `read_stored` leaves it one channel. `describe` says all that the head of a
file tells, without raising.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError
from suite.core.look import look_once
from suite.data.opener import FORMATS, IMAGE_SUFFIXES, LOOKED_FOR, MEASURED, ORIENTATION, find_odd, load_image, open_image, refuse

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB

GREY_MODES = frozenset({"L", "LA"})
TURNED = range(2, 9)  # EXIF orientations; from 5 on, the sides are exchanged. What else a damaged file holds there is ignored, as by Pillow
EXAMPLES = 5  # files that a message names


@dataclass(frozen=True)
class ImageFacts:
    """What the head of a file says: its size as shown (upright), in words why it is refused, and what is done to it."""

    width: int = 0
    height: int = 0
    problem: str = ""  # why read_image refuses it; empty = nothing in its head does
    remarks: tuple[str, ...] = ()
    grey: bool = False  # it holds one channel


def read_image(path: Path) -> Pixels:
    """Read the image file `path` as uint8 RGB `(H, W, 3)`, upright; SuiteError names the file where it cannot be read as such."""
    return three_channels(read_stored(path))


def read_stored(path: Path) -> Pixels:
    """Read as `read_image`, but a grey file, which stores one channel (and perhaps an opaque alpha), as uint8 `(H, W, 1)`."""
    image = load_image(path, MEASURED)
    pixels = np.array(image.getchannel(0) if image.mode in GREY_MODES else image.convert("RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def three_channels(image: np.ndarray) -> np.ndarray:
    """Return `image`, `(H, W, 3)` or `(H, W, 1)`, with three channels: one is repeated."""
    return image.repeat(3, axis=2) if image.shape[2] == 1 else image


def match_channels(image: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """Return `image` with as many channels as `target`: one repeated in three, or one of three that are equal; None where those differ."""
    if image.shape[2] == target.shape[2]:
        return image
    if target.shape[2] == 3:
        return three_channels(image)
    return image[..., :1] if has_equal_channels(image) else None


def turn(image: np.ndarray, flip: bool, down: bool, transpose: bool) -> np.ndarray:
    """Flip `image` `(H, W, C)` left-right, then upside down, then transpose it: a view."""
    image = image[:, ::-1] if flip else image
    image = image[::-1] if down else image
    return image.swapaxes(0, 1) if transpose else image


def lacks_colour(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether one of two images that `read_stored` gave is a grey file, and the other has colours."""
    if first.shape[2] == second.shape[2]:
        return False
    return not has_equal_channels(first if first.shape[2] == 3 else second)


def has_equal_channels(image: np.ndarray) -> bool:
    """Return whether `image`, `(H, W, C)`, is grey by its pixels, however many channels store them."""
    return bool((image == image[..., :1]).all())


def describe(path: Path) -> ImageFacts:
    """Return what the head of the file says; never raises for what is in the file."""
    try:
        with open_image(path) as file:
            found, orientation = find_odd(file, path, MEASURED), file.getexif().get(ORIENTATION, 1)
            kind, mode, size = file.format or "", file.mode, file.size
    except SuiteError as error:
        return ImageFacts(problem=str(error))
    remarks = [
        "grey: one channel, which a protocol repeats in three or takes as it is" if mode in GREY_MODES else "",
        "palette: its colours are looked up" if mode in ("P", "PA") else "",
        f"turned upright by its EXIF orientation {orientation}" if orientation in TURNED else "",
        "a camera's further pictures in it are left out" if kind == "MPO" else "",
        f"a {kind} file, whatever its name" if path.suffix.lower() not in FORMATS[kind] else "",
    ]
    size = size[::-1] if orientation in TURNED[3:] else size
    problem = str(refuse(path, found, MEASURED)) if found else ""
    return ImageFacts(*size, problem, tuple(filter(None, remarks)), mode in GREY_MODES)


def encode_png(image: Pixels) -> bytes:
    """Return `image`, uint8 RGB `(H, W, 3)` or grey `(H, W)`, as the bytes of a PNG file."""
    from PIL import Image  # late: slow to load

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def is_image(entry: os.DirEntry[str] | Path) -> bool:
    """Return whether an entry of a folder, or a path, is taken for an image: by its ending, and not hidden.

    A link that leads nowhere (or in a circle, or where we must not look) counts: where somebody put an image, and none can be read, that
    is a fault, and not one image less.
    """
    name = entry.name
    if name[0] == "." or name[name.rfind(".") :].lower() not in IMAGE_SUFFIXES:
        return False
    if not entry.is_symlink():
        return entry.is_file()  # known from the listing, without asking for each of a hundred thousand
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


@contextlib.contextmanager
def open_folder(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Yield what lies in `folder`, unsorted; SuiteError where it cannot be read. In a look (suite.core.look) it is read once."""
    try:
        yield iter(look_once(("entries", folder), lambda: _read_entries(folder)))
    except OSError as error:
        raise SuiteError(
            f"the folder {folder} cannot be read: {error.strerror}. Make it readable, or take it out.", exit=Exit.NOT_READY
        ) from error


def _read_entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def scan_folder(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in `folder`, sorted by name; SuiteError where it cannot be read."""
    with open_folder(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def check_readable(paths: Iterable[Path]) -> None:
    """Raise SuiteError that names all files that are not there (links that lead nowhere) or must not be read; none is opened."""
    bad = [path for path in dict.fromkeys(paths) if not os.access(path, os.R_OK)]
    if bad:
        why = [f"{path} (a link to {os.readlink(path)}, which is not there)" if _leads_nowhere(path) else str(path) for path in bad]  # noqa: PTH115
        more = f" and {len(bad) - EXAMPLES} more" if len(bad) > EXAMPLES else ""
        raise SuiteError(
            f"{len(bad)} of the files cannot be read: {', '.join(why[:EXAMPLES])}{more}. Nothing is measured on a part of the images: "
            "fetch them or make them readable, or take them out.",
            exit=Exit.NOT_READY,
        )


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not os.access(path, os.F_OK)


def image_paths(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, sorted by name, unchecked; SuiteError where it cannot be read."""
    return list(look_once(("images", folder), lambda: [folder / entry.name for entry in scan_folder(folder) if is_image(entry)]))


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, sorted by name; other files are left alone (suite.data.layouts.survey names them).

    Two files of one stem are an error, and so are a folder without images and one that cannot be read.
    """
    paths = image_paths(folder)
    if not paths:
        names = [entry.name for entry in scan_folder(folder)]
        there = f"it holds {', '.join(names[:EXAMPLES])}{', ...' if len(names) > EXAMPLES else ''}" if names else "it is empty"
        raise SuiteError(f"there are no images directly in {folder} ({LOOKED_FOR}); {there}.", exit=Exit.NOT_READY)
    if len({path.stem for path in paths}) == len(paths):
        return paths
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise SuiteError(
                f"{folder} has two images called {path.stem!r}: {other.name} and {path.name}. "
                "Images are told apart by their names without the ending: rename or remove one.",
                exit=Exit.NOT_READY,
            )
    return paths

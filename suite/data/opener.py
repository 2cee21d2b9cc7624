"""The one place that opens image files: which formats are read, what is odd about a file, and what a damaged or very large one is told.

What is done to a file that is not plain 8-bit RGB is one set of rules, and each verb states what it takes of it (`Taken`):

| a file has | measured (MEASURED): evaluate, score, data check, training | restored (RESTORED) |
|---|---|---|
| grey (L, LA) | one channel, which a protocol repeats in three or takes as it is | stays grey |
| a palette (P, PA) | its colours are looked up | the same |
| alpha, or a colour that is transparent | dropped if opaque everywhere, else refused: the background is not ours to choose | kept |
| 1 bit | refused | becomes grey |
| 16 bits a channel, CMYK, floating point, ... | refused: a conversion would change values by a rule of ours | the same |
| several frames or pages | refused: which is meant is not ours to choose; a camera's further pictures (MPO) are left out | the same |
| an EXIF orientation | applied, as viewers and OpenCV do | the same |
| a colour profile | ignored, as everywhere in this field | kept |

A decoder raises what it likes of a damaged file: all of it becomes one SuiteError, "PATH cannot be read as an image". Formats are
those of FORMATS alone, so that no file starts another program (Pillow gives PostScript to Ghostscript).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PNG": (".png", ".apng"),
        "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
        "MPO": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        "TIFF": (".tif", ".tiff"),
        "BMP": (".bmp",),
        "DIB": (".dib",),
        "WEBP": (".webp",),
        "GIF": (".gif",),
        "PPM": (".ppm", ".pgm", ".pnm", ".pbm"),
        "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        "TGA": (".tga", ".icb", ".vda", ".vst"),
        "AVIF": (".avif",),
        "QOI": (".qoi",),
    }
)
IMAGE_SUFFIXES = frozenset(ending for endings in FORMATS.values() for ending in endings)
LOOKED_FOR = f"files with an ending of {', '.join(name for name in FORMATS if name not in ('MPO', 'DIB'))} are looked for"
UNMARKED = frozenset({"TGA"})  # formats whose files begin like any other: tried for files of their endings alone

FRAMES = "frames or pages"
ORIENTATION = 0x0112  # EXIF tag
HEAD = 4096  # bytes of a file in which its depth stands
MOST_MEGAPIXELS = 179.0  # Pillow's own limit, twice 89.5
LIMIT = "SUITE_MAX_MEGAPIXELS"


@dataclass(frozen=True)
class Taken:
    """What a verb takes of what a file may be."""

    modes: frozenset[str]  # of Pillow
    alpha: bool  # whether it may be transparent
    words: str


MEASURED = Taken(frozenset({"RGB", "L", "P", "PA", "RGBA", "LA"}), False, "8-bit RGB, grey, palette and opaque RGBA images are read")
RESTORED = Taken(
    MEASURED.modes | {"1"}, True, "8-bit grey, RGB, palette and black-and-white images are restored, with or without transparency"
)


def load_image(path: Path, taken: Taken) -> Image:
    """Return the file's picture, upright: mode L or RGB, or LA or RGBA where it has alpha; SuiteError names a file that is refused."""
    from PIL import ImageOps  # late: slow to load

    with open_image(path) as file:
        if found := find_odd(file, path, taken):
            raise refuse(path, found, taken)
        file.load()
        upright = ImageOps.exif_transpose(file)
    image = _plain(upright)
    if image.mode.endswith("A") and not taken.alpha and image.getchannel("A").getextrema() != (255, 255):
        raise refuse(path, f"a transparent part (mode {image.mode})", taken)
    return image


def _plain(image: Image) -> Image:
    """Return `image` with its colours looked up, and with a channel of alpha where something else says what is transparent."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "PA":
        return image.convert("RGBA")
    if image.mode in ("P", "L", "RGB") and "transparency" in image.info:  # a colour, or entries of the palette
        return image.convert("LA" if image.mode == "L" else "RGBA")
    return image.convert("RGB") if image.mode == "P" else image


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image]:
    """Open an image file with Pillow; SuiteError says in words why it cannot be read, now or while it is in use.

    Whatever is raised inside the block counts as the decoder's: do nothing else in it.
    """
    pillow = _pillow()
    formats = [
        name for name, endings in FORMATS.items() if name in pillow.OPEN and (name not in UNMARKED or path.suffix.lower() in endings)
    ]
    size = ""
    try:
        with pillow.open(path, formats=formats) as file:
            size = f"{file.width}x{file.height} pixels"
            _check_size(file, path)
            yield file
    except SuiteError:
        raise
    except Exception as error:  # a decoder raises KeyError, TypeError, struct.error, ...
        raise _unreadable(path, error, size) from error


def find_odd(file: Image, path: Path, taken: Taken) -> str:
    """Say what makes an opened file one that is refused; empty if nothing in its head does."""
    if _is_deep(file, path):
        return "16 bits a channel" if file.format not in ("JPEG2000", "AVIF") else "more than 8 bits a channel"
    frames = int(getattr(file, "n_frames", 1))
    if frames > 1 and file.format != "MPO":
        return f"{frames} {FRAMES}"
    return "" if file.mode in taken.modes else f"mode {file.mode}"


def refuse(path: Path, found: str, taken: Taken) -> SuiteError:
    """Return the error that says why a file that can be read is not taken."""
    do = "Save the one that is meant by itself" if found.endswith(FRAMES) else "Convert it to 8-bit RGB first"
    return SuiteError(f"{path} has {found}; {taken.words}. {do}.", exit=Exit.NOT_READY)


def max_megapixels() -> float:
    """Return how large an image may be, in millions of pixels: of $SUITE_MAX_MEGAPIXELS, which `--max-megapixels` sets, else as Pillow."""
    text = os.environ.get(LIMIT, "")
    if not text:
        return MOST_MEGAPIXELS
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise SuiteError(f"${LIMIT} is {text!r}: it is a number of millions of pixels above 0, e.g. 400.")
    return value


def _check_size(file: Image, path: Path) -> None:
    """Refuse what decoded may fill the memory; a file of some kilobytes can say that it is of any size."""
    found, limit = file.width * file.height / 1e6, max_megapixels()
    if found > limit:
        raise SuiteError(
            f"{path} is {file.width}x{file.height} pixels, {found:.4g} megapixels, which takes {found * 3 / 1e3:.1f} GB decoded; up to "
            f"{limit:g} are read unasked. If the size is meant, allow it by --max-megapixels {math.ceil(found)} (in any verb by "
            f"{LIMIT}={math.ceil(found)}); else replace the file or take it out.",
            exit=Exit.NOT_READY,
        )


def _is_deep(file: Image, path: Path) -> bool:
    """Return whether an opened file has more than 8 bits a channel, which Pillow would cut to 8 of colours without a word."""
    if file.format in ("JPEG2000", "AVIF"):
        return _coded_depth(path, file.format) > 8
    how = [tile[3] for tile in getattr(file, "tile", ())]
    if file.format == "PPM":
        return file.mode == "I" or any(isinstance(args, tuple) and len(args) > 1 and args[1] > 255 for args in how)
    # BGR;16 is a BMP or TGA file of 5 or 6 bits a channel.
    deep = any(";16" in str(args) and "BGR" not in str(args) for args in how)
    return deep or file.mode.startswith("I;16") or (file.mode == "I" and file.format == "PNG")


def _coded_depth(path: Path, kind: str) -> int:
    """Return the bits a channel that the head of a JPEG 2000 or AVIF file says; 8 where it does not say."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    mark, place = (b"\xff\x4f\xff\x51", 42) if kind == "JPEG2000" else (b"av1C", 6)  # the marker SIZ and its Ssiz; the box av1C
    at = head.find(mark)
    if at < 0 or at + place >= len(head):
        return 8
    value = head[at + place]
    return (value & 0x7F) + 1 if kind == "JPEG2000" else (10 if value & 0x40 else 8)  # high_bitdepth: 10 or 12


@functools.cache
def _pillow() -> ModuleType:
    """Return Pillow's module Image, without limits and noise of its own: both are ours, with the file's name."""
    from PIL import Image  # late: slow to load

    Image.init()  # all plugins: those of the rarer formats are not there at first, and AVIF not in every Pillow
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, with a line of Pillow's code
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs as an error, it raises, too
    with contextlib.suppress(OSError, AttributeError):  # libtiff may be linked in otherwise: it prints then
        library = ctypes.CDLL(Image.core.__file__)
        for handler in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)
    return Image


def _unreadable(path: Path, error: Exception, size: str) -> SuiteError:
    """Return the error that says why the file cannot be read."""
    if isinstance(error, FileNotFoundError):
        if path.is_symlink():
            why = f"it is a link to {os.readlink(path)}, which is not there. Fetch that file, or take out the link."  # noqa: PTH115
            return SuiteError(f"{path} cannot be read as an image: {why}", exit=Exit.NOT_READY)
        return SuiteError(f"there is no image file {path}.", exit=Exit.NOT_READY)
    if isinstance(error, OSError) and error.errno is not None:
        text = f"{path} cannot be read: {error.strerror or error}. Make it readable, or take it out."
        return SuiteError(text, exit=Exit.NOT_READY)
    if isinstance(error, MemoryError):
        why = f"its {size or 'pixels'} do not fit into memory"
        return SuiteError(f"{path} cannot be read as an image: {why}. Use a machine with more, or take the file out.", exit=Exit.NOT_READY)
    return SuiteError(f"{path} cannot be read as an image: {_reason(path, error)}. Replace the file or take it out.", exit=Exit.NOT_READY)


def _reason(path: Path, error: Exception) -> str:
    """Say what is wrong with what the file holds."""
    begin = b""
    with contextlib.suppress(OSError), path.open("rb") as file:
        begin = file.read(64)
        if not begin:
            return "it is empty (0 bytes)"
    if type(error).__name__ == "UnidentifiedImageError":
        if begin.startswith(b"version https://git-lfs"):
            return "it is the pointer of a file that Git LFS holds (`git lfs pull` fetches it)"
        if begin.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            return "it is a web page, such as a server sends in the place of a file"
        return f"its content is of no image format that is known here ({', '.join(FORMATS)}), or damaged at its beginning"
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, (OSError, SyntaxError, ValueError)) and any(character.isalpha() for character in text):
        return text
    return f"it is damaged ({type(error).__name__}{f': {text}' if text else ''})"

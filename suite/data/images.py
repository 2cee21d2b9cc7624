"""Reading and writing image files: 8-bit RGB in, 8-bit RGB out, nothing converted silently.

What is done to a file that is not plain 8-bit RGB:
- grey (L, LA): `read_image` repeats its plane in three equal channels, which loses nothing; `read_stored` leaves it one channel;
- palette (P): its colours are looked up; refused if it has transparency;
- alpha (RGBA, LA, or a colour that stands for transparent): dropped if it is opaque everywhere, else refused, since the background is not
  ours to choose;
- 16 bit, CMYK, 1 bit, floating point: refused, since a conversion would change values by a rule of ours;
- several frames or pages: refused, since which is meant is not ours to choose; a camera's preview beside its photograph (MPO) is left out;
- an EXIF orientation is applied, as viewers and OpenCV do; a colour profile is ignored, as everywhere in this field.

`describe` says all this of a file, without raising.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
ACCEPTED = "8-bit RGB, grey, palette and opaque RGBA images are read"
MODES = frozenset({"RGB", "L", "P", "RGBA", "LA"})
GREY_MODES = frozenset({"L", "LA"})
ORIENTATION = 0x0112  # EXIF tag
ENDINGS = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
}


@dataclass(frozen=True)
class ImageFacts:
    """What the head of a file says: its size as shown (upright), in words why it is refused, and what is done to it."""

    width: int = 0
    height: int = 0
    problem: str = ""  # why read_image refuses it; empty = nothing in its head does
    remarks: tuple[str, ...] = ()


def read_image(path: Path) -> Pixels:
    """Read the image file `path` as uint8 RGB `(H, W, 3)`, upright; SuiteError names the file where it cannot be read as such."""
    return np.array(_upright(path).convert("RGB"))


def read_stored(path: Path) -> Pixels:
    """Read as `read_image`, but a grey file, which stores one channel (and perhaps an opaque alpha), as uint8 `(H, W, 1)`."""
    image = _upright(path)
    return np.array(image)[..., None] if image.mode == "L" else np.array(image)


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


def has_equal_channels(image: np.ndarray) -> bool:
    """Return whether `image`, `(H, W, C)`, is grey by its pixels, however many channels store them."""
    return bool((image == image[..., :1]).all())


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image]:
    """Open an image file with Pillow; SuiteError says in words why it cannot be read, now or while it is in use."""
    from PIL import Image  # late: slow to load

    try:
        with Image.open(path) as file:
            yield file
    except FileNotFoundError:
        raise SuiteError(f"there is no image file {path}.", exit=Exit.NOT_READY) from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        why = "it is empty (0 bytes)" if path.is_file() and not path.stat().st_size else str(error)
        if type(error).__name__ == "UnidentifiedImageError" and why == str(error):
            why = "its content is of no image format that is known here"
        raise SuiteError(f"{path} cannot be read as an image: {why}. Replace the file or take it out.", exit=Exit.NOT_READY) from error


def _upright(path: Path) -> Image:
    """Return the file's picture, mode L where it is a grey file and RGB where it is not; SuiteError where it is refused."""
    from PIL import ImageOps  # late: slow to load

    with open_image(path) as file:
        found = _odd(file)
        if found:
            raise _refused(path, found)
        file.load()
        return _opaque(ImageOps.exif_transpose(file), path)


def describe(path: Path) -> ImageFacts:
    """Return what the head of the file says; never raises for what is in the file."""
    try:
        with open_image(path) as file:
            found, orientation = _odd(file), int(file.getexif().get(ORIENTATION, 1))
            remarks = [
                "grey: one channel, which a protocol repeats in three or takes as it is" if file.mode in GREY_MODES else "",
                "palette: its colours are looked up" if file.mode == "P" else "",
                f"turned upright by its EXIF orientation {orientation}" if 2 <= orientation <= 8 else "",
                "a camera's further pictures in it are left out" if file.format == "MPO" else "",
                f"a {file.format} file, whatever its name" if path.suffix.lower() not in ENDINGS.get(file.format or "", ()) else "",
            ]
            size = file.size[::-1] if orientation in (5, 6, 7, 8) else file.size
            return ImageFacts(*size, str(_refused(path, found)) if found else "", tuple(filter(None, remarks)))
    except SuiteError as error:
        return ImageFacts(problem=str(error))


def is_deep(file: Image) -> bool:
    """Return whether an opened file has 16 bits a channel, which Pillow would cut to 8 of RGB."""
    return file.mode.startswith("I;16") or any(";16" in str(tile[3]) for tile in getattr(file, "tile", ()))


def _odd(file: Image) -> str:
    """Say what makes an opened file one that is refused; empty if nothing in its head does."""
    if is_deep(file):
        return "16 bits a channel"
    frames = int(getattr(file, "n_frames", 1))
    if frames > 1 and file.format != "MPO":
        return f"{frames} frames or pages"
    return "" if file.mode in MODES else f"mode {file.mode}"


def _opaque(image: Image, path: Path) -> Image:
    """Return `image` without alpha, which must be opaque: mode L where it was grey, else RGB."""
    grey = image.mode in GREY_MODES
    if "transparency" in image.info and image.mode in ("P", "RGB", "L"):  # a colour, or entries of the palette
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() != (255, 255):
        raise _refused(path, f"a transparent part (mode {image.mode})")
    return (image.getchannel(0) if image.mode != "L" else image) if grey else image.convert("RGB")


def _refused(path: Path, found: str) -> SuiteError:
    return SuiteError(f"{path} has {found}; {ACCEPTED}. Convert it to 8-bit RGB first.", exit=Exit.NOT_READY)


def encode_png(image: Pixels) -> bytes:
    """Return `image`, uint8 RGB `(H, W, 3)` or grey `(H, W)`, as the bytes of a PNG file."""
    from PIL import Image  # late: slow to load

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in `folder`, sorted by name; other files are left alone. Two files of one stem are an error."""
    with os.scandir(folder) as entries:  # it knows of a hundred thousand names what they are, without asking for each
        found = [one for one in entries if os.path.splitext(one.name)[1].lower() in IMAGE_SUFFIXES and not one.name.startswith(".")]  # noqa: PTH122
    files = (one for one in found if (Path(one).is_file() if one.is_symlink() else one.is_file()))
    paths = [folder / name for name in sorted(one.name for one in files)]
    if not paths:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise SuiteError(f"there are no images directly in {folder} ({known} are looked for).", exit=Exit.NOT_READY)
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

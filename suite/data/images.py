"""Reading and writing image files: 8-bit RGB in, 8-bit RGB out, nothing converted silently.

What is done to a file that is not plain 8-bit RGB:
- grey (L): its plane is repeated in three equal channels, which loses nothing;
- palette (P): its colours are looked up; refused if it has transparency;
- alpha (RGBA, LA): dropped if it is opaque everywhere, else refused, since the background is not ours to choose;
- 16 bit, CMYK, 1 bit, floating point: refused, since a conversion would change values by a rule of ours;
- an EXIF orientation is applied, as viewers and OpenCV do; a colour profile is ignored, as everywhere in this field.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from suite.errors import Exit, SuiteError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = npt.NDArray[np.uint8]  # (H, W, 3), RGB

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
ACCEPTED = "8-bit RGB, grey, palette and opaque RGBA images are read"


def read_image(path: Path) -> Pixels:
    """The image file `path` as uint8 RGB `(H, W, 3)`, upright; SuiteError names the file where it cannot be read as such."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            if any(";16" in str(tile[3]) for tile in getattr(file, "tile", ())):  # Pillow would cut 16-bit RGB to 8 bit
                raise _refused(path, "16 bits a channel")
            file.load()
            upright = ImageOps.exif_transpose(file)
    except FileNotFoundError:
        raise SuiteError(f"there is no image file {path}.", exit=Exit.NOT_READY) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SuiteError(f"{path} cannot be read as an image: {error}. Replace the file or take it out.", exit=Exit.NOT_READY) from error
    return np.array(_to_rgb(upright, path))


def _to_rgb(image: Image, path: Path) -> Image:
    if image.mode in ("RGB", "L"):
        return image.convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "RGB":
        return image
    if image.mode in ("RGBA", "LA"):
        if image.getchannel("A").getextrema() != (255, 255):
            raise _refused(path, f"a transparent part (mode {image.mode})")
        return image.convert("RGB")
    raise _refused(path, f"mode {image.mode}")


def _refused(path: Path, found: str) -> SuiteError:
    return SuiteError(f"{path} has {found}; {ACCEPTED}. Convert it to 8-bit RGB first.", exit=Exit.NOT_READY)


def encode_png(image: Pixels) -> bytes:
    """`image`, uint8 RGB `(H, W, 3)`, as the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, sorted by name; other files are left alone. Two files of one stem are an error."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))
    paths = sorted(path for path in found if path.is_file())
    if not paths:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise SuiteError(f"there are no images directly in {folder} ({known} are looked for).", exit=Exit.NOT_READY)
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise SuiteError(
                f"{folder} has two images called {path.stem!r}: {seen[path.stem].name} and {path.name}. "
                "Images are told apart by their names without the ending: rename or remove one.",
                exit=Exit.NOT_READY,
            )
        seen[path.stem] = path
    return paths

"""The embedded data set `photos`: photographs inside scikit-image's wheel, read from its package folder.

Nothing is downloaded, and of the photographs no more lies in this repository than details of two in the public domain, which
results/evidence shows restored: `datasets/photos.toml` lists the files, whose they are, and what their
pixels must be. No photo is in two splits, and the two views of the motorcycle, which show one scene, are in the same split. scikit-image
itself is not imported: its folder is found, and its files are read like any other.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType

from suite.core.errors import Exit, SuiteError
from suite.data.cards import Split, card
from suite.data.images import Pixels, read_image

PHOTOS_NAME, CROPS_NAME = "photos", "photo-crops"
CROP = 96  # pixels
# What `photo-crops` holds. The gate's numbers rest on it, so a photograph that moves to another split of the card stays here where it is.
CROPPED: Mapping[Split, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("motorcycle_left", "motorcycle_right", "hubble_deep_field", "ihc", "retina"),
        "validation": ("rocket",),
        "test": ("astronaut", "chelsea", "coffee"),
    }
)


def load_photos(split: Split) -> list[tuple[str, Pixels]]:
    """Return names and pixels, uint8 RGB `(H, W, 3)`, of one split in the card's order; SuiteError where files are missing."""
    return _read(photo.name for photo in card(PHOTOS_NAME).image if photo.split == split)


def _read(names: Iterable[str]) -> list[tuple[str, Pixels]]:
    folder, files = photos_folder(), {photo.name: photo.file for photo in card(PHOTOS_NAME).image}
    return [(name, read_image(folder / files[name])) for name in names]


def list_photo_files(split: Split) -> list[Path]:
    """Return the files of one split, of which both embedded sets are made; SuiteError where some are missing."""
    folder = photos_folder()
    return [folder / photo.file for photo in card(PHOTOS_NAME).image if photo.split == split]


def load_crops(split: Split) -> list[tuple[str, Pixels]]:
    """Return the centre of each photo of CROPPED, CROP pixels a side: for what must be quick."""
    found = []
    for name, photo in _read(CROPPED[split]):
        top, left = ((length - CROP) // 2 for length in photo.shape[:2])
        found.append((name, photo[top : top + CROP, left : left + CROP].copy()))
    return found


def photos_folder() -> Path:
    """Return scikit-image's folder `data/`, with every file of the card in it; SuiteError says which are missing and what to do."""
    package = importlib.util.find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise SuiteError(
            "the data set 'photos' is read from scikit-image, which is not installed. `pip install 'scikit-image>=0.24'` brings it.",
            exit=Exit.NOT_READY,
        )
    folder = Path(package.submodule_search_locations[0]) / "data"
    photos = card(PHOTOS_NAME).image
    missing = sorted(photo.file for photo in photos if not (folder / photo.file).is_file())
    if missing:
        raise SuiteError(
            f"the data set 'photos' needs {len(photos)} files of scikit-image, and its version {_version()} has {len(missing)} fewer in "
            f"{folder}: {', '.join(missing)}. Install it from a wheel (`pip install --force-reinstall 'scikit-image>=0.24'`); some "
            "distributions' packages leave the images out. Or name a folder of your own images.",
            exit=Exit.NOT_READY,
        )
    return folder


def _version() -> str:
    try:
        return version("scikit-image")
    except PackageNotFoundError:
        return "(unknown)"

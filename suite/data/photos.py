"""The embedded data set `photos`: the colour photographs inside scikit-image's wheel, read from its package folder.

Nothing is downloaded and no photograph lies in this repository. The files are the same in scikit-image 0.24 to 0.26. No photo is in two
splits, and the two views of the motorcycle, which show one scene, are in the same split. `datasets/photos/card.toml` says more.
scikit-image itself is not imported: its folder is found, and its files are read like any other.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from suite.data.images import Pixels, read_image
from suite.errors import Exit, SuiteError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Photo:
    """One photograph: where it lies, whose it is, and what its pixels must be."""

    file: str  # in scikit-image's folder data/
    split: Split
    height: int
    width: int
    credit: str
    licence: str  # as scikit-image states it
    sha256: str  # of the decoded pixels, uint8 RGB in C order


PHOTOS: Mapping[str, Photo] = MappingProxyType(
    {
        "motorcycle_left": Photo(
            "motorcycle_left.png",
            "train",
            500,
            741,
            "Middlebury College, 2014 stereo benchmark (Scharstein et al., GCPR 2014)",
            "none stated",
            "ca829467c1d4f427da9c4862ba43829da6ac90afe1f75735e95dba9e3fd9620b",
        ),
        "motorcycle_right": Photo(
            "motorcycle_right.png",
            "train",
            500,
            741,
            "Middlebury College, 2014 stereo benchmark (Scharstein et al., GCPR 2014)",
            "none stated",
            "ae44d83f55e66623c7985499fd2f1685a56023e442e66eca89b3457dd46b17af",
        ),
        "hubble_deep_field": Photo(
            "hubble_deep_field.jpg",
            "train",
            872,
            1000,
            "NASA, HubbleSite",
            "public domain",
            "9a3ea9548188f81e63435188456e74de45a981ebeb791e265abe79a26d3b528b",
        ),
        "ihc": Photo(
            "ihc.png",
            "train",
            512,
            512,
            "Center for Microscopy And Molecular Imaging (CMMI)",
            "no known copyright restrictions",
            "c5b3ef509a92f16d4c29be8cf0300fe75d53e13a3ce650159db932caea8dcc1b",
        ),
        "retina": Photo(
            "retina.jpg",
            "train",
            1411,
            1411,
            "Mikael Häggström, Wikimedia Commons",
            "CC0 1.0",
            "3670e389d0dae9f755cc1bb7e4da4c3d2cdf10eba2dc3060836d8d4b8024d860",
        ),
        "rocket": Photo(
            "rocket.jpg",
            "validation",
            427,
            640,
            "SpaceX",
            "public domain",
            "3d4435cc745752b7f9724df88c6e18817de3ce7e3d2d71c55f85f7831e68f197",
        ),
        "astronaut": Photo(
            "astronaut.png",
            "test",
            512,
            512,
            "NASA Great Images database",
            "public domain, no known copyright restrictions",
            "a8c429c18afa7b0fd5673e598d73a21225d94c864a71bbb3885126fdecb41071",
        ),
        "chelsea": Photo(
            "chelsea.png",
            "test",
            300,
            451,
            "Stefan van der Walt",
            "CC0",
            "416b729128bfb2c3d1eb69bf9b1734a796293abc17939267b2dc94f8a5784031",
        ),
        "coffee": Photo(
            "coffee.png",
            "test",
            400,
            600,
            "Rachel Michetti, courtesy of Pikolo Espresso Bar",
            "CC0",
            "0ce2b51640b9c95f19617f03eabf40c3f0368589cc1ee1190b70966165ac184f",
        ),
    }
)


def load_photos(split: Split) -> list[tuple[str, Pixels]]:
    """Names and pixels, uint8 RGB `(H, W, 3)`, of one split in the order of PHOTOS; SuiteError where files are missing."""
    folder = photos_folder()
    return [(name, read_image(folder / photo.file)) for name, photo in PHOTOS.items() if photo.split == split]


def photos_folder() -> Path:
    """scikit-image's folder `data/`, with every file of PHOTOS in it; SuiteError says which are missing and what to do."""
    package = importlib.util.find_spec("skimage")
    if package is None or not package.submodule_search_locations:
        raise SuiteError(
            "the data set 'photos' is read from scikit-image, which is not installed. `pip install 'scikit-image>=0.24'` brings it.",
            exit=Exit.NOT_READY,
        )
    folder = Path(package.submodule_search_locations[0]) / "data"
    missing = sorted(photo.file for photo in PHOTOS.values() if not (folder / photo.file).is_file())
    if missing:
        raise SuiteError(
            f"the data set 'photos' needs {len(PHOTOS)} files of scikit-image, and its version {_version()} has {len(missing)} fewer in "
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

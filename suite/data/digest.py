"""Digests of images: of a whole set, and of one image however it was cut to a multiple of a scale."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from suite.data.resize import mod_crop

COMMON_MULTIPLE = 24  # of the scales 2, 3, 4 and 8


def add_image(digest: hashlib._Hash, name: str, image: np.ndarray) -> None:
    """Add name, size and pixels of the next image of a set."""
    digest.update(f"{name}\0{image.shape}\0".encode("utf-8", "surrogateescape"))  # a file's name may be any bytes
    digest.update(np.ascontiguousarray(image))


def digest_set(images: Iterable[tuple[str, np.ndarray]]) -> str:
    """Return sha256, hexadecimal, over names, sizes and pixels, whatever the order."""
    digest = hashlib.sha256()
    for name, image in sorted(images, key=lambda item: item[0]):
        add_image(digest, name, image)
    return digest.hexdigest()


def pixel_key(image: np.ndarray) -> str:
    """Return the same for an image and for its copy that was only cropped to a multiple of a scale."""
    common = mod_crop(image, COMMON_MULTIPLE)
    return digest_set([("", common if common.size else image)])

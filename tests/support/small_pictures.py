"""Folders of small made-up pictures, large blocks of colour, for tests that train on them."""

import numpy as np
from PIL import Image


def write_folder(folder, count, seed, blocks=(8, 9)):
    """`count` pictures of `blocks` of 8 pixels each, named after the folder; gives its path as a spec names it."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for index in range(count):
        smooth = np.kron(random.integers(0, 256, (*blocks, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(smooth).save(folder / f"{folder.name}{index}.png")
    return str(folder)


def write_splits(folder):
    """The three sets of a spec, of two pictures each, no two alike."""
    return {f"{split}_set": write_folder(folder / split, 2, seed) for seed, split in enumerate(("train", "validation", "test"))}


def write_image(path, size, seed):
    """A square picture of noise; as a .bmp all of one size are as many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)).save(path)

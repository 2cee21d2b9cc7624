"""JPEG of many images in torch: libjpeg's pictures through Pillow, whatever their sizes, and whatever is coded beside them."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from suite.data.degrade.jpeg_torch import MCU, compress_batch, quantisation_tables
from suite.data.photos import load_photos

pytestmark = pytest.mark.usefixtures("one_thread")

# Where a coefficient fell to the other side: one 16x16 block, and the pixels around that its chroma is interpolated into.
ONE_BLOCK = 18 * 18 * 3


def coded_by_pillow(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    return Image.open(buffer)


def coded(images, qualities, seed=0, more=0):
    """By `compressed`, on a canvas of at least `more` pixels whose rest is noise."""
    height, width = (-(-max(more, *(image.shape[axis] for image in images)) // MCU) * MCU for axis in (0, 1))
    canvas = np.random.default_rng(seed).integers(0, 256, (len(images), 3, height, width), dtype=np.uint8)
    for place, image in zip(canvas, images, strict=True):
        place[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
    found = compress_batch(torch.from_numpy(canvas), [image.shape[:2] for image in images], qualities).to(torch.uint8).numpy()
    return [one[:, : image.shape[0], : image.shape[1]].transpose(1, 2, 0) for one, image in zip(found, images, strict=True)]


def picture(height, width, kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "noise":
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "flat":
        return np.full((height, width, 3), rng.integers(0, 256, 3), dtype=np.uint8)
    photo = dict(load_photos("test"))["chelsea"]
    top, left = rng.integers(photo.shape[0] - height), rng.integers(photo.shape[1] - width)
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def test_tables_are_libjpeg_s_at_every_quality():
    grey = np.zeros((8, 8, 3), dtype=np.uint8)
    for quality in range(1, 96):
        theirs = coded_by_pillow(grey, quality).quantization
        assert np.array_equal(quantisation_tables(quality), np.array([theirs[0], theirs[1]]).reshape(2, 8, 8)), quality


@pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="another libjpeg rounds otherwise")
@settings(max_examples=80)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 95), st.sampled_from(["photo", "noise", "flat"]), st.integers(0, 999))
def test_pictures_are_libjpeg_s(height, width, quality, kind, seed):
    image = picture(height, width, kind, seed)
    difference = coded([image], [quality], seed, more=seed % 80)[0] != np.asarray(coded_by_pillow(image, quality))
    assert np.count_nonzero(difference) <= ONE_BLOCK


@pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="another libjpeg rounds otherwise")
def test_hardly_a_pixel_of_photographs_differs():
    different = total = 0
    for number, (_, image) in enumerate(load_photos("test")):
        image = image[:299, :403]
        found, wanted = coded([image], [35 + 20 * number])[0], np.asarray(coded_by_pillow(image, 35 + 20 * number))
        different, total = different + np.count_nonzero(found != wanted), total + wanted.size
    assert different < 1e-3 * total


def test_an_image_does_not_depend_on_those_beside_it():
    images = [picture(*size, kind, 1) for size, kind in (((33, 47), "photo"), ((8, 64), "noise"), ((64, 5), "photo"), ((1, 1), "flat"))]
    qualities = [30, 95, 60, 75]
    together = coded(images, qualities, seed=3)
    for image, quality, found in zip(images, qualities, together, strict=True):
        assert np.array_equal(coded([image], [quality], seed=4, more=64)[0], found)

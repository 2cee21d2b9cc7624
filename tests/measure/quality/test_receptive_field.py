"""The receptive field of networks of which it is known."""

import io
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_cells import record, spec
from PIL import Image
from torch import nn

import models
from models.scan import BACKENDS, BackendUnavailable, resolve_backend, scan_image
from suite.data.pairs import Pair
from suite.measure.quality.receptive_field import draw_map, gradient_map, measure_shares, receptive_field, seeded_crops
from suite.records.load import load
from suite.records.record import ReceptiveField, dump

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 12
CENTRE = SIDE // 2


def crops(count=2, side=SIDE, channels=3):
    return torch.rand((count, channels, side, side), generator=torch.Generator().manual_seed(0))


def square(reach, side=SIDE):
    """True in the square around the centre."""
    wanted = np.zeros((side, side), dtype=bool)
    wanted[side // 2 - reach : side // 2 + reach + 1, side // 2 - reach : side // 2 + reach + 1] = True
    return wanted


def test_the_identity_sees_one_pixel():
    field = gradient_map(lambda x: x, crops(), 1)
    np.testing.assert_array_equal(field, 3.0 * square(0))
    assert set(measure_shares(field).values()) == {1 / SIDE**2}


@pytest.mark.parametrize("layers", [1, 2])
def test_a_convolution_sees_its_kernel_and_two_see_a_larger_one(layers):
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(layers)))
    field = gradient_map(network, crops(), 1)
    np.testing.assert_array_equal(field > 0, square(layers))
    if layers == 1:  # the map is the kernel: the correlation's gradient, summed over outputs, in absolute value over inputs
        kernel = network[0].weight.detach().sum(dim=0).abs().sum(dim=0).double().numpy()
        np.testing.assert_allclose(field[CENTRE - 1 : CENTRE + 2, CENTRE - 1 : CENTRE + 2], kernel, rtol=1e-6)


def test_a_global_mean_sees_everything_alike():
    field = gradient_map(lambda x: x.mean(dim=(2, 3), keepdim=True).expand_as(x), crops(side=20), 1)
    np.testing.assert_allclose(field, 3 / 400, rtol=1e-6)
    held = measure_shares(field)
    # The smallest odd square that holds t of an even map: 9, 11, 15 and 20 pixels.
    assert held == {20: 81 / 400, 30: 121 / 400, 50: 225 / 400, 99: 1.0}


def scan_parameters(directions, width=3, states=2, rank=1):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    return (
        draw(directions, rank + 2 * states, width),
        draw(directions, width, rank),
        draw(directions, width),
        -draw(directions * width, states).abs() * 0.1,
        draw(directions * width),
    )


@pytest.mark.parametrize("backend", [name for name, row in BACKENDS.items() if "cpu" in row.devices])
@pytest.mark.parametrize("directions", [1, 2])
def test_a_scan_in_one_direction_sees_what_came_before(backend, directions):
    try:
        resolve_backend(backend, "cpu")
    except BackendUnavailable as error:
        pytest.skip(str(error))
    side = 6  # Triton's interpreter takes seconds for more
    parameters = scan_parameters(directions)
    field = gradient_map(lambda x: scan_image(x, *parameters, directions=directions, backend=backend), crops(1, side), 1)
    before = np.arange(side**2).reshape(side, side) <= side // 2 * (side + 1)
    np.testing.assert_array_equal(field > 0, before if directions == 1 else np.ones_like(before))


def test_bicubic_enlargement_sees_five_pixels_each_way():
    field = gradient_map(lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False), crops(), 2)
    np.testing.assert_array_equal(field > 0, square(2))  # both pixels over the centre see four, one more to either side
    assert field.argmax() == CENTRE * SIDE + CENTRE


def test_signs_do_not_cancel_over_crops():
    signs = iter((1.0, -1.0))
    field = gradient_map(lambda x: x * next(signs), crops(2), 1)
    assert field[CENTRE, CENTRE] == 3.0


def test_shares_grow_with_the_percentage_and_do_not_depend_on_the_unit():
    field = np.random.default_rng(0).random((SIDE, SIDE)) ** 4
    held = measure_shares(field)
    assert list(held) == [20, 30, 50, 99]
    assert list(held.values()) == sorted(held.values())
    assert measure_shares(1e-6 * field) == held


def test_crops_are_seeded_and_as_large_as_the_smallest_image():
    images = [np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8) for size in ((40, 30, 3), (20, 50, 3))]
    first, again = seeded_crops(images), seeded_crops(images)
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype) == ((2, 20, 20, 3), np.float32)
    assert first.max() <= 1
    assert seeded_crops(images, 8).shape == (2, 8, 8, 3)


def test_the_picture_is_logarithmic():
    field = np.array([[1.0, 0.1], [0.01, 0.0]])
    pixels = np.asarray(Image.open(io.BytesIO(draw_map(field).read())))
    np.testing.assert_array_equal(pixels, [[255, 191], [128, 0]])


@pytest.mark.parametrize("name", ["mambair-sr-x2-tiny", "vmambair-realsr-x4-tiny", "mambair-jpeg-tiny"])
def test_a_network_s_field_is_in_its_record(name):
    torch.manual_seed(0)
    network = models.create(name)
    models.set_scan_backend(network, "reference")
    low = np.random.default_rng(0).random((18, 21, network.channels)).astype(np.float32)
    pair = Pair("a", low, np.zeros((1, 1, 3), np.uint8))
    field = receptive_field(network.train(), [pair])
    assert isinstance(field, ReceptiveField)
    assert not network.training
    assert (field.side, field.images, list(field.shares)) == (18, 1, ["20", "30", "50", "99"])
    assert receptive_field(network, [pair]) == field
    held = record(spec("some-model")).model_copy(update={"receptive_field": field})
    assert load(dump(held), origin="here") == held


def test_records_without_the_field_load():
    raw = json.loads(dump(record(spec("some-model"))))
    del raw["receptive_field"]
    assert load(json.dumps(raw), origin="here").receptive_field is None


def test_what_depends_on_nothing_has_no_field():
    network = models.create("mambair-sr-x2-tiny")
    network.restore = lambda x: (0 * x).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    pair = Pair("a", np.zeros((18, 18, 3), np.uint8), np.zeros((1, 1, 3), np.uint8))
    assert receptive_field(network, [pair]) is None

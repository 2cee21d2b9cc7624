"""Scan paths: each a bijection with its inverse, for every size; and what the papers say of them, on small maps by hand."""

import numpy as np
import pytest
import torch

from models.scan.directions import unfold
from models.scan.paths import PATHS, RASTER, Path, gather, nested_stripes, scatter, views

SIZES = [(height, width) for height in range(1, 20) for width in range(1, 20)]
WALKS = sorted({path for paths in PATHS.values() for path in paths}, key=str)


@pytest.mark.parametrize("path", WALKS, ids=str)
def test_a_path_visits_every_pixel_once(path):
    for height, width in SIZES:
        assert np.array_equal(np.sort(path.raster(height, width)), np.arange(height * width)), (height, width)


def test_every_path_has_a_name_of_its_own():
    assert len({path.name for path in WALKS}) == len(WALKS)
    assert Path("stripes", 8, 4, transposed=True, reverse=True).name == "stripes 8 shifted 4, transposed, reversed"


@pytest.mark.parametrize("name", PATHS)
def test_what_is_gathered_is_put_back(name):
    draw = torch.Generator().manual_seed(0)
    for height, width in ((1, 1), (1, 7), (6, 1), (8, 8), (19, 13), (12, 19)):
        image = torch.rand(2, 3, height, width, generator=draw)
        maps = torch.rand(2, 4, 3, height, width, generator=draw)
        back = scatter(gather(image, PATHS[name]), PATHS[name], height=height, width=width)
        assert torch.equal(back, image[:, None].expand(-1, 4, -1, -1, -1))
        assert torch.equal(scatter(gather(maps, PATHS[name]), PATHS[name], height=height, width=width), maps)


def test_a_sequence_is_read_in_the_order_of_its_path():
    image = torch.rand(1, 2, 5, 7)
    order = torch.from_numpy(Path("zigzag").raster(5, 7))
    assert torch.equal(gather(image, (Path("zigzag"),))[:, 0], image.flatten(2)[..., order])


def test_the_raster_paths_are_the_directions_of_the_fused_scan():
    image = torch.rand(2, 3, 5, 7)
    fused = unfold(image, 4)  # rows, columns, and both reversed
    assert torch.equal(gather(image, RASTER)[:, [0, 2, 1, 3]], fused)


@pytest.mark.parametrize(
    ("path", "size", "visits"),
    [
        (Path("diagonal"), (3, 3), [0, 1, 3, 2, 4, 6, 5, 7, 8]),
        (Path("zigzag"), (3, 3), [0, 3, 1, 2, 4, 6, 7, 5, 8]),
        (Path("zigzag"), (2, 3), [0, 1, 3, 4, 2, 5]),  # another height, the other sense
        (Path("morton"), (2, 3), [0, 1, 3, 4, 2, 5]),
        (Path("morton"), (4, 4), [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]),
        (Path("hilbert"), (4, 4), [0, 4, 5, 1, 2, 3, 7, 6, 10, 11, 15, 14, 13, 9, 8, 12]),
        (Path("windows", 2), (3, 3), [0, 1, 3, 4, 2, 5, 6, 7, 8]),
        (Path("windows", 2, transposed=True), (2, 3), [0, 3, 1, 4, 2, 5]),
        (Path("stripes", 2), (3, 5), [0, 1, 6, 5, 10, 11, 12, 13, 8, 7, 2, 3, 4, 9, 14]),
        (Path("stripes", 2, 1), (2, 4), [0, 4, 5, 6, 2, 1, 3, 7]),
        (Path("rows", rotated=True), (2, 2), [3, 2, 1, 0]),
        (Path("rows", mirrored=True), (2, 2), [1, 0, 3, 2]),
    ],
    ids=str,
)
def test_orders_by_hand(path, size, visits):
    assert path.raster(*size).tolist() == visits


@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_hilbert_never_jumps_and_zigzag_turns_at_the_edge(side):
    for order in ("hilbert", "zigzag"):
        row, column = np.divmod(Path(order).raster(side, side), side)
        steps = np.maximum(abs(np.diff(row)), abs(np.diff(column)))
        assert steps.max() == 1


def test_views_of_the_diagonals_cover_both_pairs():
    forwards, backwards, other, other_backwards = (path.raster(4, 6) for path in views("diagonal"))
    assert np.array_equal(backwards, forwards[::-1])
    assert np.array_equal(other_backwards, other[::-1])
    row, column = np.divmod(other, 6)
    assert (np.diff(row - column) >= 0).all()  # from the top right corner to the bottom left one


def test_stripes_of_the_rotated_map_are_no_reversal():
    plain, rotated, *_ = (path.raster(5, 7) for path in nested_stripes(4))
    assert not np.array_equal(rotated, plain[::-1])
    assert np.array_equal(rotated, 34 - plain)


def test_paths_that_a_validation_asked_for_first_serve_training_too():
    path = (Path("diagonal"), Path("hilbert"))
    image = torch.rand(1, 2, 5, 9)  # a size that no other test has
    with torch.inference_mode():
        scatter(gather(image, path), path, height=5, width=9)
    image.requires_grad_()
    scatter(gather(image, path), path, height=5, width=9).sum().backward()
    assert torch.equal(image.grad, torch.full_like(image, 2.0))

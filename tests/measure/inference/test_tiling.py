"""Tiles and symmetries: what leaves every image as it was, what does not, and what happens when memory runs out."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.core.errors import Exit, SuiteError
from suite.data.colour import quantise
from suite.measure.inference import ensemble, tiling

SIDES = st.integers(1, 150)


def image(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def enlarged(scale):
    """A network that knows no neighbours: every pixel becomes a square."""
    return lambda picture: (picture / np.float32(255)).repeat(scale, axis=0).repeat(scale, axis=1)


@settings(max_examples=60)
@given(SIDES, SIDES, st.sampled_from([1, 2, 3, 4]), st.integers(32, 90), st.sampled_from(["authors", "feathered"]))
def test_tiles_of_a_network_without_neighbours_are_the_whole(height, width, scale, size, kind):
    picture = image(height, width)
    output = tiling.restore_in_tiles(enlarged(scale), kind, size)(picture)
    np.testing.assert_array_equal(quantise(output), picture.repeat(scale, axis=0).repeat(scale, axis=1))


@given(st.integers(1, 3000), st.integers(32, 400))
def test_the_authors_rule(length, size):
    spans = tiling.authors_spans(length, size)
    count = length // size + 1
    assert len(spans) == count
    part = spans[0].keep_stop
    assert [(span.keep_start, span.keep_stop) for span in spans] == [(number * part, (number + 1) * part) for number in range(count)]
    assert 0 <= count * part - length < count
    assert spans[0].start == 0
    assert spans[-1].stop == count * part
    for before, after in pairwise(spans):
        assert after.keep_start - after.start == before.stop - before.keep_stop == part // 10


@pytest.mark.parametrize(("length", "parts"), [(199, 1), (200, 2), (399, 2), (400, 3), (1000, 6)])
def test_200_pixels_are_two_parts_by_the_authors_rule(length, parts):
    assert len(tiling.authors_spans(length)) == parts


def test_the_authors_parts_as_by_hand():
    first, second = tiling.authors_spans(201)  # 202 pixels in two parts of 101, 10 shared to either side
    assert (first.start, first.stop, first.keep_start, first.keep_stop) == (0, 111, 0, 101)
    assert (second.start, second.stop, second.keep_start, second.keep_stop) == (91, 202, 101, 202)


def test_feathered_tiles_have_no_seam_where_hard_cuts_have_one():
    def offset(picture):  # a network whose result depends on where its tile begins
        offset.calls += 1
        return picture / np.float32(255) * 0 + 0.1 * offset.calls

    picture = image(64, 300)
    jumps = {}
    for kind in ("authors", "feathered"):
        offset.calls = 0
        line = tiling.restore_in_tiles(offset, kind, 64)(picture)[32, :, 0]
        jumps[kind] = np.abs(np.diff(line)).max()
    assert jumps["authors"] > 0.09
    assert jumps["feathered"] < 0.06


def test_a_seam_is_feathered_by_a_raised_cosine():
    def numbered(picture):  # 0 in the first tile, 1 in the second
        numbered.calls += 1
        return np.full(picture.shape, numbered.calls - 1, np.float32)

    numbered.calls = 0
    line = tiling.restore_in_tiles(numbered, "feathered", 64)(image(40, 64 + 56))[20, :, 0]  # 8 pixels, an eighth of a tile, are of both
    assert numbered.calls == 2
    ramp = (1 - np.cos(np.pi * (np.arange(8) + 0.5) / 8)) / 2
    np.testing.assert_allclose(line, [*[0] * 56, *ramp, *[1] * 56], atol=1e-6)


def test_the_authors_tiles_go_on_by_reflection_beyond_the_image():
    seen = []

    def watched(picture):
        seen.append(picture)
        return picture / np.float32(255)

    picture = image(67, 101)  # lengthened to 68 and 102, in parts of 34
    tiling.restore_in_tiles(watched, "authors", 40)(picture)
    last = seen[-1]
    assert len(seen) == 2 * 3
    np.testing.assert_array_equal(last[:-1, -1], picture[-last.shape[0] + 1 :, -2])
    np.testing.assert_array_equal(last[-1, :-1], picture[-2, -last.shape[1] + 1 :])


def test_tiles_that_are_too_small_are_refused():
    with pytest.raises(SuiteError, match="tiles of 8 pixels are too small"):
        tiling.restore_in_tiles(enlarged(1), "feathered", 8)


# Self-ensemble


@given(st.integers(0, 7), st.integers(1, 9), st.integers(1, 9))
def test_every_symmetry_is_turned_back(symmetry, height, width):
    picture = image(height, width)
    np.testing.assert_array_equal(ensemble.turn_back(ensemble.turn_by(picture, symmetry), symmetry), picture)


def test_the_symmetries_are_eight_different_ones():
    picture = image(5, 5)
    assert len({ensemble.turn_by(picture, symmetry).tobytes() for symmetry in range(ensemble.SYMMETRIES)}) == 8


def test_the_ensemble_is_the_mean_over_quarter_turns_and_mirrors():
    def leaning(picture):  # towards the lower right: no two symmetries give the same
        height, width = picture.shape[:2]
        return picture / np.float32(255) + (3 * np.arange(height)[:, None] ** 2 + np.arange(width))[..., None].astype(np.float32)

    picture, total = image(6, 9), 0.0
    for turns in range(4):
        for mirrored in (False, True):
            seen = np.rot90(picture, turns)
            restored = leaning(seen[:, ::-1] if mirrored else seen)
            total = total + np.rot90(restored[:, ::-1] if mirrored else restored, -turns)
    np.testing.assert_allclose(ensemble.average_symmetries(leaning)(picture), total / 8, rtol=1e-6)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 2, 3]))
def test_the_ensemble_of_an_equivariant_function_is_the_function(height, width, scale):
    picture = image(height, width)
    np.testing.assert_allclose(ensemble.average_symmetries(enlarged(scale))(picture), enlarged(scale)(picture), atol=1e-6)


def test_the_ensemble_is_the_mean_before_rounding():
    def leaning(picture):  # 0 on the left, 1 / 255 on the right
        return np.linspace(0, 1 / 255, picture.shape[1])[None, :, None] + np.zeros(picture.shape)

    np.testing.assert_allclose(ensemble.average_symmetries(leaning)(image(6, 6)), 0.5 / 255, atol=1e-9)


# Memory


def short_of_memory(most, error):
    def restore(picture):
        if picture.shape[0] * picture.shape[1] > most:
            raise error
        return picture / np.float32(255)

    return restore


ERRORS = [
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:73] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 3 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB."),
]


@pytest.mark.parametrize("error", ERRORS, ids=["python", "cpu", "cuda"])
def test_running_out_of_memory_falls_back_to_tiles_and_says_so(error):
    said = []
    memory = tiling.Memory(short_of_memory(70 * 70, error), "whole", None, said.append)
    small, large = image(60, 60), image(300, 400)
    np.testing.assert_array_equal(quantise(memory(small)), small)
    assert (memory.used, said) == ("whole", [])
    np.testing.assert_array_equal(quantise(memory(large)), large)
    assert memory.used == "feathered tiles of 64, memory ran out"
    assert len(said) == 3  # whole, tiles of 256, of 128
    assert "memory ran out on an image of 400x300 pixels (whole)" in said[0]
    memory(large)
    assert len(said) == 3  # known by now
    memory(small)
    assert memory.used == "whole"


def test_another_error_is_none_of_memory_and_no_memory_at_all_is_said():
    with pytest.raises(RuntimeError, match="shapes"):
        tiling.Memory(short_of_memory(10, RuntimeError("shapes do not match")), "whole", None, print)(image(40, 40))
    with pytest.raises(SuiteError, match="even with tiles of 32 pixels") as caught:
        tiling.Memory(short_of_memory(10, MemoryError()), "whole", None, lambda _: None)(image(40, 40))
    assert caught.value.exit is Exit.NOT_READY


@settings(max_examples=40)
@given(SIDES, SIDES, st.sampled_from([1, 2, 3]), st.integers(32, 90))
def test_bands_are_the_feathered_whole_and_hold_no_more_than_two_rows_of_tiles(height, width, scale, size):
    picture = image(height, width)
    bands = list(tiling.feathered_bands(enlarged(scale), picture, size))
    whole = tiling.restore_in_tiles(enlarged(scale), "feathered", size)(picture)
    np.testing.assert_array_equal(np.concatenate(bands), whole)
    assert max(map(len, bands)) <= size * scale
    assert all(len(band) for band in bands)

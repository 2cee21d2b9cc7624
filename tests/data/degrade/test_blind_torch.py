"""The blind degradation on a torch device: the CPU's pictures where there is no noise, its distribution of noise, each image for itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.core.torch_state import exact_arithmetic
from suite.data.degrade import blind_torch
from suite.data.degrade.blind import FILTERS, SECOND_ORDER_X4, OrderPlan, add_gaussian_noise, add_poisson_noise, blur, carry_out, draw_plan
from suite.data.degrade.degradations import DEGRADATIONS, on_device
from suite.data.degrade.kernels import draw_kernel, sinc_kernel
from suite.data.photos import load_photos
from suite.data.resize import plain_taps, resample

pytestmark = pytest.mark.usefixtures("one_thread")
SCALE = SECOND_ORDER_X4.scale


def crop(height, width, seed=0):
    photo = dict(load_photos("test"))["chelsea"]
    rng = np.random.default_rng(seed)
    top, left = rng.integers(photo.shape[0] - height), rng.integers(photo.shape[1] - width)
    return np.ascontiguousarray(photo[top : top + height, left : left + width])


def plan(seed, noise=1.0):
    drawn = draw_plan(SECOND_ORDER_X4, np.random.default_rng(seed))
    orders = (replace(order, strength=noise * order.strength) for order in (drawn.first, drawn.second))
    return replace(drawn, **dict(zip(("first", "second"), orders, strict=True)))


def on_torch(plans, crops, seeds):
    height, width = (max(one.shape[axis] for one in crops) for axis in (0, 1))
    canvas = torch.zeros(len(crops), 3, height, width, dtype=torch.uint8)
    for place, one in zip(canvas, crops, strict=True):
        place[:, : one.shape[0], : one.shape[1]] = torch.from_numpy(one.transpose(2, 0, 1))
    made = blind_torch.carry_out(plans, canvas, [one.shape[:2] for one in crops], seeds, SCALE)
    return [one.permute(1, 2, 0).numpy() for one in made]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_without_noise_the_pictures_are_the_cpu_s_up_to_rounding(seed, height, width):
    silent, image = plan(seed, noise=0.0), crop(SCALE * height, SCALE * width, seed)
    found, wanted = on_torch([silent], [image], [0])[0], carry_out(silent, image, SCALE, np.random.default_rng(0))
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    # A value on the border of two levels before JPEG can move a coefficient by a step of up to about 100, and 64 values with it.
    difference = np.abs(found.astype(int) - wanted.astype(int))
    assert np.count_nonzero(difference > 1) <= max(0.01 * difference.size, 18 * 18 * 3)
    assert difference.max() <= 40


def test_without_noise_hardly_a_level_differs():
    plans, crops = [plan(seed, noise=0.0) for seed in range(12)], [crop(160, 200, seed) for seed in range(12)]
    found = np.stack(on_torch(plans, crops, range(12))).astype(int)
    wanted = np.stack([carry_out(p, c, SCALE, np.random.default_rng(0)) for p, c in zip(plans, crops, strict=True)])
    assert np.mean(found != wanted) < 5e-3
    assert np.mean(np.abs(found - wanted) > 2) < 1e-3


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize(("size", "target"), [((40, 52), (7, 9)), ((9, 9), (13, 12)), ((30, 20), (30, 25)), ((5, 130), (1, 200))])
def test_resizing_gives_the_same_floats(kind, size, target):
    image = np.random.default_rng(0).random((3, *size), dtype=np.float32)
    padded = np.pad(image, ((0, 0), (0, 3), (0, 5)), constant_values=9)
    found = blind_torch._resized([torch.from_numpy(padded)] * 2, [size] * 2, [target, size], [kind] * 2)
    wanted = resample(image, plain_taps(size[0], target[0], kind), plain_taps(size[1], target[1], kind))
    assert np.array_equal(found[0][:, : target[0], : target[1]].numpy(), wanted)
    assert np.array_equal(found[1].numpy(), padded)


@pytest.mark.parametrize("size", [(40, 33), (11, 12), (3, 2), (1, 1)])
def test_blur_mirrors_the_border_however_small_the_image(size):
    image = np.random.default_rng(0).random((3, *size), dtype=np.float32)
    padded = torch.from_numpy(np.pad(image, ((0, 0), (0, 7), (0, 7)), constant_values=9))
    for kernel in (draw_kernel(SECOND_ORDER_X4.first.blur, np.random.default_rng(1)), sinc_kernel(21, 1.1), sinc_kernel(7, 2.0)):
        found = blind_torch._blurred([padded], [size], [kernel])[0][:, : size[0], : size[1]].numpy()
        np.testing.assert_allclose(found, blur(image, kernel), atol=2e-6)


def noise_of(kind, image, strength, grey, seeds, device="cpu"):
    """The noise of many draws on the device, before clamping; and the numpy draws of suite.data.degrade.blind, clamped alike."""
    plans = [OrderPlan(None, 1.0, "area", kind, strength, grey, 75)] * len(seeds)
    group = torch.from_numpy(image).to(device).expand(len(seeds), -1, -1, -1).contiguous()
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    drawn = blind_torch.NOISE[kind](group, [image.shape[1:]] * len(seeds), plans, generators)
    add = {"gaussian": add_gaussian_noise, "poisson": add_poisson_noise}[kind]
    theirs = np.stack([add(image, strength, grey, np.random.default_rng(seed)) for seed in seeds]) - image
    return drawn.cpu().numpy(), theirs


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("kind", "strength"), [("gaussian", 12.0), ("poisson", 0.1)])
def test_noise_has_the_cpu_s_moments(kind, strength, grey):
    image = np.full((3, 24, 28), 0.5, dtype=np.float32)
    image[:, :, 8:16], image[:, :, 16:] = 0.4, 0.6  # three values: four photons at white, less noise than the picture's range
    image = np.round(image * 255) / np.float32(255)
    drawn, theirs = noise_of(kind, image, strength, grey, range(60))
    if grey:
        assert np.array_equal(drawn[:, 0], drawn[:, 1])
    else:
        assert abs(np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]) < 0.02
    for columns in (slice(0, 8), slice(8, 16), slice(16, None)):
        ours, numpys = drawn[..., columns], theirs[..., columns]
        count = ours[:, 0].size if grey else ours.size  # independent draws
        spread = numpys.std()
        assert abs(ours.mean() - numpys.mean()) < 4.5 * spread * np.sqrt(2 / count)
        assert ours.std() == pytest.approx(spread, rel=4.5 * np.sqrt(1.5 / count))


def test_photons_go_by_the_values_of_the_picture_alone():
    image = np.linspace(0, 1, 17, dtype=np.float32)[None, None].repeat(3, axis=0)  # 17 values: 32 photons
    padded = torch.from_numpy(np.random.default_rng(0).random((1, 3, 4, 32), dtype=np.float32))
    padded[:, :, :1, :17] = torch.from_numpy(image)
    scale = 1.0
    plans = [OrderPlan(None, 1.0, "area", "poisson", scale, False, 75)]
    drawn = blind_torch.NOISE["poisson"](padded, [(1, 17)], plans, [torch.Generator().manual_seed(0)])[0, :, :1, :17].numpy()
    steps = (drawn + np.rint(image * 255) / 255) * 32
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.any(np.rint(steps) % 2)


def test_a_picture_depends_on_its_crop_plan_and_seed_alone():
    sizes = [(64, 64), (64, 100), (200, 64), (4, 4), *[(96, 96)] * 18]  # more than a group takes
    plans, crops = [plan(seed) for seed in range(len(sizes))], [crop(*size, seed) for seed, size in enumerate(sizes)]
    seeds = [10 * number for number in range(len(sizes))]
    before = torch.get_rng_state()
    together = on_torch(plans, crops, seeds)
    assert torch.equal(torch.get_rng_state(), before)
    for number in (0, 1, 2, 3, 12, 21):
        assert np.array_equal(
            on_torch(plans[number : number + 1], crops[number : number + 1], seeds[number : number + 1])[0], together[number]
        )
    backwards = on_torch(plans[::-1], crops[::-1], seeds[::-1])[::-1]
    assert all(np.array_equal(one, other) for one, other in zip(together, backwards, strict=True))
    others = on_torch(plans, crops, [seed + 1 for seed in seeds])
    assert not any(np.array_equal(one, other) for one, other in zip(together, others, strict=True) if one.size > 3)
    assert blind_torch.carry_out([], torch.zeros(0, 3, 0, 0, dtype=torch.uint8), [], [], SCALE) == []
    with pytest.raises(ValueError, match="multiples of 4, not 64x66"):
        on_torch(plans[:1], [crop(64, 66)], [0])


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU; tests/gpu_check.sh runs it on one")


def blocks(height, width, seed):
    """A picture of blocks and noise; unlike a photograph it needs no package."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.integers(0, 256, (-(-height // 16), -(-width // 16), 3)), np.ones((16, 16, 1)))[:height, :width]
    return (coarse + rng.normal(0, 8, coarse.shape)).clip(0, 255).astype(np.uint8)


@on_a_gpu
def test_cuda_makes_the_cpu_s_pictures_where_there_is_no_noise():
    plans, crops = [plan(seed, noise=0.0) for seed in range(24)], np.stack([blocks(400, 400, seed) for seed in range(24)])
    canvas, sizes = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()), [(400, 400)] * 24
    with exact_arithmetic():
        found, again = (torch.stack(blind_torch.carry_out(plans, canvas.cuda(), sizes, range(24), SCALE)).cpu().numpy() for _ in range(2))
    on_cpu = torch.stack(blind_torch.carry_out(plans, canvas, sizes, range(24), SCALE)).numpy()
    wanted = np.stack([carry_out(p, c, SCALE, np.random.default_rng(0)).transpose(2, 0, 1) for p, c in zip(plans, crops, strict=True)])
    assert np.array_equal(found, again)
    for other in (on_cpu, wanted):
        difference = np.abs(found.astype(int) - other)
        print(f"of {difference.size} values {np.count_nonzero(difference)} differ, at most by {difference.max()}")  # noqa: T201 - shown by -s
        assert np.mean(difference > 0) < 2e-2
        assert np.mean(difference > 2) < 5e-3


@on_a_gpu
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("kind", "strength"), [("gaussian", 12.0), ("poisson", 0.1)])
def test_cuda_noise_has_the_cpu_s_moments(kind, strength, grey):
    image = np.full((3, 64, 64), 127 / 255, dtype=np.float32)
    image[:, :, 32:] = 90 / 255
    drawn, theirs = noise_of(kind, image, strength, grey, range(40), "cuda")
    for columns in (slice(0, 32), slice(32, None)):
        ours, numpys = drawn[..., columns], theirs[..., columns]
        count = ours[:, 0].size if grey else ours.size
        assert abs(ours.mean() - numpys.mean()) < 4.5 * numpys.std() * np.sqrt(2 / count)
        assert ours.std() == pytest.approx(numpys.std(), rel=4.5 * np.sqrt(1.5 / count))


def test_who_has_a_device_version():
    assert [row.name for row in DEGRADATIONS.values() if row.on_device is not None] == ["blind-x4"]
    assert on_device("blind-x4") is DEGRADATIONS["blind-x4"].on_device
    with pytest.raises(SuiteError, match=r"rain has no version for a device.* blind-x4 has one"):
        on_device("rain")

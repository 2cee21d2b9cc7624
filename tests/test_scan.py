"""Every backend computes the recurrence: forward and all gradients against float64, over the shapes that networks use."""

import math

import pytest
import torch

from models.scan import BACKENDS, BackendUnavailable, ScanInputError, reference, resolve_backend, selective_scan
from models.scan.directions import DIRECTIONS, merge, unfold

NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")
# name: (batch, channels, groups, states, length)
CASES = {
    "one-step": (1, 1, 1, 1, 1),
    "two-steps": (2, 3, 1, 4, 2),
    "odd": (3, 6, 2, 5, 63),
    "tile-edge": (1, 16, 1, 16, 65),
    "channel-scan": (2, 2, 2, 16, 48),
    "channel-scan-lifted": (2, 8, 2, 16, 96),
    "light-block": (1, 4 * 18, 4, 10, 144),
    "wide-state": (1, 20, 4, 33, 70),
}


def arguments(batch, channels, groups, states, length, *, dtype=torch.float32, seed=0):
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    A = -torch.exp(torch.log(torch.arange(1, states + 1, dtype=torch.float64)) + 0.1 * draw(channels, states))
    values = (
        draw(batch, channels, length),
        draw(batch, channels, length),
        A,
        draw(batch, groups, states, length),
        draw(batch, groups, states, length),
        draw(channels),
        draw(channels) - 4,
    )
    return [v.to(dtype) for v in values]


def gradients(args, softplus, backend, cotangent):
    leaves = [None if a is None else a.clone().requires_grad_() for a in args]
    y = selective_scan(*leaves, delta_softplus=softplus, backend=backend)
    (y * cotangent.to(y.dtype)).sum().backward()
    return y.detach(), [None if leaf is None else leaf.grad for leaf in leaves]


def assert_close_to_float64(found, expected, length, what):
    # Rounding errors of a sum of L terms grow like the square root of L.
    error = (found.double() - expected).norm() / expected.norm().clamp_min(1e-30)
    assert error < 1e-6 * math.sqrt(length) + 1e-6, f"{what}: {error:.2e}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("softplus", "without"),
    [(True, ()), (False, ()), (True, ("D",)), (True, ("delta_bias",))],
    ids=["full", "no-softplus", "no-D", "no-bias"],
)
def test_conformance(backend, case, softplus, without):
    shape = CASES[case]
    args = [None if name in without else value for name, value in zip(NAMES, arguments(*shape, dtype=torch.float64), strict=True)]
    if not softplus:
        args[1] = args[1].abs() * 0.1
        args[6] = None if args[6] is None else args[6].abs() * 0.01
    cotangent = torch.randn(args[0].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y64, g64 = gradients(args, softplus, "reference", cotangent)
    y, g = gradients([None if a is None else a.float() for a in args], softplus, backend, cotangent)
    assert_close_to_float64(y, y64, shape[-1], "y")
    for name, found, expected in zip(NAMES, g, g64, strict=True):
        assert (found is None) == (expected is None)
        if expected is not None:
            assert_close_to_float64(found, expected, shape[-1], f"gradient of {name}")


def test_the_reference_is_the_equation_computed_by_hand():
    # Two steps, one channel, one state: h1 = d1 B1 u1, h2 = exp(d2 A) h1 + d2 B2 u2, y = C h + D u.
    u, delta, A, B, C, D = (
        torch.tensor(v, dtype=torch.float64) for v in ([[[2.0, 3.0]]], [[[0.5, 0.25]]], [[-1.0]], [[[[4.0, 5.0]]]], [[[[6.0, 7.0]]]], [0.5])
    )
    h1 = 0.5 * 4 * 2
    h2 = math.exp(-0.25) * h1 + 0.25 * 5 * 3
    y = selective_scan(u, delta, A, B, C, D, backend="reference")
    torch.testing.assert_close(y, torch.tensor([[[6 * h1 + 1.0, 7 * h2 + 1.5]]], dtype=torch.float64))


def test_the_adjoint_of_the_reference_is_its_derivative():
    args = [a.requires_grad_() for a in arguments(2, 4, 2, 3, 5, dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a, delta_softplus=True, backend="reference"), args)
    y, _ = reference.forward(args, True)  # and autograd through the loop agrees with the stated adjoint
    cotangent = torch.randn_like(y)
    stated = reference.backward(cotangent, None, [a.detach() for a in args], True)
    for found, expected in zip(stated, torch.autograd.grad(y, args, cotangent), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_operator_passes_opcheck(backend):
    args = [a.requires_grad_() for a in arguments(1, 4, 2, 3, 6)]
    torch.library.opcheck(torch.ops.ssm.selective_scan.default, (*args, True, backend, True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_extreme_steps_and_decays_neither_overflow_nor_become_nan(backend):
    u, delta, A, B, C, D, bias = arguments(1, 4, 1, 4, 80)
    delta[..., ::7], delta[..., 1::7] = 80.0, -90.0
    A = A * torch.tensor([1e-12, 1.0, 1e3, 1e6]).view(4, 1)
    y, grads = gradients([u, delta, A, B, C, D, bias], True, backend, torch.ones_like(u))
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_that_does_not_decay_is_carried_exactly(backend):
    u, length = torch.zeros(1, 1, 1000), 1000
    u[..., 0] = 1.0
    ones = torch.ones(1, 1, 1, length)
    y = selective_scan(u, torch.ones(1, 1, length), torch.zeros(1, 1), ones, ones, backend=backend)
    assert torch.equal(y, torch.ones_like(y))


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "reference"])
def test_results_do_not_depend_on_threads_or_repetition(backend):
    args = arguments(2, 40, 4, 16, 300)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 1, 2):
            torch.set_num_threads(threads)
            y, grads = gradients(args, True, backend, torch.ones_like(args[0]))
            results.append([y, *grads])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_are_scanned_in_float32(dtype):
    args = [a.to(dtype) for a in arguments(1, 8, 2, 4, 40)]
    y = selective_scan(*args, delta_softplus=True)
    exact = selective_scan(*(a.float() for a in args), delta_softplus=True)
    assert y.dtype == dtype
    assert torch.equal(y, exact.to(dtype))


def test_views_and_ungrouped_B_C_are_accepted():
    u, delta, A, B, C, D, bias = arguments(2, 6, 1, 3, 20)
    expected = selective_scan(u, delta, A, B, C, D, bias, True)
    strided = u.transpose(1, 2).contiguous().transpose(1, 2)
    assert not strided.is_contiguous()
    assert torch.equal(selective_scan(strided, delta, A, B[:, 0], C[:, 0], D, bias, True), expected)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("u", torch.zeros(2, 6), r"u has the shape \(2, 6\)"),
        ("delta", torch.zeros(2, 6, 19), r"delta has the shape \(2, 6, 19\).*\(2, 6, 20\)"),
        ("A", torch.zeros(5, 3), r"A has the shape \(5, 3\).*\(6, 3\)"),
        ("B", torch.zeros(2, 4, 3, 20), "G a divisor of D = 6"),
        ("C", torch.zeros(2, 2, 4, 20), "C has the shape"),
        ("D", torch.zeros(7), r"D has the shape \(7,\)"),
        ("delta_bias", torch.zeros(6, dtype=torch.int64), "delta_bias is torch.int64"),
        ("B", torch.zeros(2, 2, 3, 20, device="meta"), "B is on meta and u on cpu"),
    ],
)
def test_arguments_that_do_not_fit_are_named(argument, value, message):
    args = dict(zip(NAMES, arguments(2, 6, 2, 3, 20), strict=True)) | {argument: value}
    with pytest.raises(ScanInputError, match=message):
        selective_scan(**args, delta_softplus=True)


def test_a_named_backend_is_that_backend_or_an_error():
    assert resolve_backend("reference", "cpu") == ("reference", "asked for by name")
    with pytest.raises(BackendUnavailable, match="runs on cpu, not on cuda"):
        resolve_backend("numba", "cuda")
    with pytest.raises(KeyError, match="Did you mean 'numba'"):
        resolve_backend("numbar", "cpu")
    with pytest.raises(BackendUnavailable, match="does not compute in float64"):
        selective_scan(*arguments(1, 2, 1, 2, 4, dtype=torch.float64), backend="numba")


def test_auto_says_which_and_why():
    name, reason = resolve_backend("auto", "cpu")
    assert name == "cpp"
    assert reason.startswith("auto: the fastest that runs on this machine's cpu")


@pytest.mark.parametrize("count", DIRECTIONS)
def test_directions_are_bijections(count):
    image = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).view(2, 3, 4, 5)
    sequences = unfold(image, count)
    assert sequences.shape == (2, count, 3, 20)
    assert torch.equal(merge(sequences, height=4, width=5), count * image)
    assert torch.equal(sequences[:, 0], image.flatten(2))
    if count == 4:
        assert sequences[0, 1, 0, :4].tolist() == image[0, 0, :, 0].tolist()  # the second direction runs down the columns
        assert torch.equal(sequences[:, 2], sequences[:, 0].flip(-1))
        assert torch.equal(sequences[:, 3], sequences[:, 1].flip(-1))

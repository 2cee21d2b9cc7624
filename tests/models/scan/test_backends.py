"""Every backend computes the recurrence: forward and all gradients against float64, over the cases of models/scan/cases.py.

A row in BACKENDS is all that a new backend adds here. A backend that cannot run on this machine is skipped with its reason; Triton's
kernels run in its interpreter where there is no GPU, on the cases that are small enough.
"""

import dataclasses
import functools
import importlib

import pytest
import torch

from models.scan import BACKENDS, BackendUnavailable, resolve_backend, selective_scan
from models.scan.backends import INTERPRETED
from models.scan.cases import CASES, Case, arguments, image_arguments
from models.scan.contract import ImageArguments, ScanArguments
from models.scan.op import image_op
from suite.measure.scans.check import measure_errors, measure_image_errors, relative_error, select_cases, tolerance
from suite.measure.scans.exact import doubled_scan

INTERPRETER_STEPS = 20  # of all sequences together: Triton's interpreter takes some 60 ms for each, forward and back
DEVICE = {name: "cpu" if "cpu" in row.devices else "cuda" for name, row in BACKENDS.items()}
VERIFIED = select_cases()
SMALL = Case("small", 2, 2, 9, 5, 41, side=6, rank=2)
LONG = max(VERIFIED, key=lambda case: case.length)


@pytest.fixture(autouse=True)
def _poisoned():
    """What is allocated and never written is NaN: torch fills it where it must be deterministic."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


def available(name):
    try:
        resolve_backend(name, DEVICE[name])
    except BackendUnavailable as error:
        pytest.skip(str(error))
    return name


@pytest.fixture(params=BACKENDS)
def backend(request):
    return available(request.param)


@pytest.fixture(params=[name for name, row in BACKENDS.items() if row.image])
def image_backend(request):
    return available(request.param)


def slow(backend):
    return backend == "triton" and INTERPRETED


def sized(case, backend):
    """The case, or what of it the interpreter can do: two images, two groups and two blocks of channels at most, and few steps."""
    if not slow(backend):
        return case
    batch, groups = min(case.batch, 2), min(case.groups, 2)
    length = max(2, INTERPRETER_STEPS // (batch * groups))
    return dataclasses.replace(case.shortened(length), batch=batch, groups=groups, width=min(case.width, 36), side=min(case.side, 2))


def differentiated(args, backend, softplus=True):
    """The y and the gradients, for a cotangent of ones."""
    leaves = ScanArguments(*(None if t is None else t.detach().to(DEVICE[backend]).requires_grad_() for t in args))
    y = selective_scan(*leaves, delta_softplus=softplus, backend=backend)
    given = [t for t in leaves if t is not None]
    return [y.detach(), *torch.autograd.grad(y, given, torch.ones_like(y))]


def differentiated_image(args, backend):
    leaves = ImageArguments(*(t.detach().to(DEVICE[backend]).requires_grad_() for t in args))
    y, _ = image_op(*leaves, backend, True)
    return [y.detach(), *torch.autograd.grad(y, list(leaves), torch.ones_like(y))]


def test_what_is_never_written_is_nan():
    x = torch.zeros(3)
    for empty in (torch.empty(1000), torch.empty_like(x), x.new_empty(5)):
        assert empty.isnan().all()


@pytest.mark.parametrize("case", VERIFIED, ids=lambda case: case.name)
def test_conformance(backend, case):
    case = sized(case, backend)
    errors = measure_errors(backend, case, DEVICE[backend])
    assert {name: error for name, error in errors.items() if not error <= tolerance(case, name)} == {}


@pytest.mark.parametrize("height", [1, 5, 16], ids="{} high".format)
@pytest.mark.parametrize("directions", [1, 2, 4], ids="{} ways".format)
@pytest.mark.parametrize("name", ["light", "base", "vmambair-48"])
def test_image_conformance(image_backend, name, directions, height):
    case = CASES[name].shortened(256)
    if slow(image_backend):
        if (name, height) != ("base", 5):
            pytest.skip("the interpreter takes one network's images")
        case, height = dataclasses.replace(case, side=2, width=36), 3
    errors = measure_image_errors(image_backend, case, directions, DEVICE[image_backend], height)
    assert {name: error for name, error in errors.items() if not error <= tolerance(case, name)} == {}


@pytest.mark.parametrize("directions", [1, 2, 4], ids="{} ways".format)
def test_conformance_of_an_image_as_large_as_real_ones(image_backend, directions):
    if slow(image_backend):
        pytest.skip("20,164 pixels take the interpreter half an hour; tests/models/scan/test_triton.py scans 2,000 steps")
    errors = measure_image_errors(image_backend, LONG, directions, DEVICE[image_backend])
    assert {name: error for name, error in errors.items() if not error <= tolerance(LONG, name)} == {}


@pytest.mark.parametrize(
    "case",
    [case for case in VERIFIED if case.length > 1 and case.elements < 20_000 and case.dtype == "float32"],
    ids=lambda case: case.name,
)
def test_what_long_scans_are_compared_with_is_the_definition(case):
    leaves = [None if t is None else t.double().requires_grad_() for t in arguments(case)]
    given = [t for t in leaves if t is not None]
    results = []
    for scan in (functools.partial(selective_scan, backend="reference"), doubled_scan):
        y = scan(*leaves, delta_softplus=case.softplus)
        cotangent = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view_as(y)
        results.append([y.detach(), *torch.autograd.grad(y, given, cotangent)])
    assert max(relative_error(found, exact) for exact, found in zip(*results, strict=True)) < 1e-12


@pytest.mark.parametrize("factor", [-1.0, float("nan"), 1.001])
@pytest.mark.parametrize("what", ["forward", "backward"])
def test_a_fault_that_begins_at_step_8192_is_seen(what, factor, monkeypatch):
    from models.scan.backends import numba

    before = getattr(numba, what)

    def faulty(*args):
        found = before(*args)
        found[0][..., 8192:] *= factor  # y, or the gradient of u
        return found

    monkeypatch.setattr(numba, what, faulty)
    wrong = {"forward": "y", "backward": "u"}[what]
    seen = {case.name for case in VERIFIED if case.length > 4000 and not measure_errors("numba", case)[wrong] <= tolerance(case, wrong)}
    assert seen == {LONG.name}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_image_of_half_precision(image_backend, dtype):
    case = dataclasses.replace(sized(SMALL, image_backend), groups=4, dtype=dtype)
    errors = measure_image_errors(image_backend, case, 4, DEVICE[image_backend])
    assert {name: error for name, error in errors.items() if not error <= tolerance(case, name)} == {}


@functools.cache
def accuracy(slowdown):
    """Operands whose states decay slowly, and the results of the reference in float32 and in float64."""
    args = arguments(Case("accuracy", 1, 2, 8, 16, 700, skip=False))
    args = args._replace(delta_bias=args.delta_bias - torch.tensor(float(slowdown)).log())
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # its steps are too small to be shared
    single, double = (
        differentiated([None if t is None else t.to(dtype) for t in args], "reference") for dtype in (torch.float32, torch.float64)
    )
    torch.set_num_threads(before)
    return args, single, double


@pytest.mark.parametrize("slowdown", [1, 20], ids=["usual decay", "slow decay"])
def test_errors_are_at_most_half_as_large_again_as_the_float32_references(backend, slowdown):
    if slow(backend):
        pytest.skip("a sequence of this length takes the interpreter minutes; conformance holds it to 2e-6")
    args, single, double = accuracy(slowdown)
    for index, (found, reference, exact) in enumerate(zip(differentiated(args, backend), single, double, strict=True)):
        error, usual, size = (found.cpu() - exact).norm(), (reference - exact).norm(), exact.norm()
        assert error <= (2.0 if index else 1.5) * usual + 1e-7 * size, f"{index}: {error / size:.1e}, the reference {usual / size:.1e}"


def test_a_state_that_does_not_decay_is_carried_exactly(backend):
    length = INTERPRETER_STEPS if slow(backend) else 1000
    u = torch.zeros(1, 1, length)
    u[..., 0] = 1.0
    ones = torch.ones(1, 1, 1, length)
    args = [t.to(DEVICE[backend]) for t in (u, torch.ones(1, 1, length), torch.zeros(1, 1), ones, ones)]
    y = selective_scan(*args, backend=backend)
    assert torch.equal(y, torch.ones_like(y))


def test_results_are_the_same_bits_in_twenty_runs_at_one_and_two_threads(backend):
    if not BACKENDS[backend].deterministic:
        pytest.skip(f"{backend} adds up gradients in whatever order")
    case = sized(SMALL, backend) if slow(backend) else Case("many", 2, 4, 40, 16, 300, side=17, rank=3)
    image = image_arguments(dataclasses.replace(case, groups=4, batch=1)) if BACKENDS[backend].image else None
    before, results = torch.get_num_threads(), []
    try:
        for run in range(2 if slow(backend) else 3 if backend == "reference" else 20):
            torch.set_num_threads(1 + run % 2)
            results.append(differentiated(arguments(case), backend) + (differentiated_image(image, backend) if image else []))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_what_is_kept_for_the_gradient_does_not_change_the_result(backend):
    args = arguments(sized(SMALL, backend), DEVICE[backend])
    leaves = [t.detach().requires_grad_() for t in args]
    assert torch.equal(
        selective_scan(*leaves, delta_softplus=True, backend=backend), selective_scan(*args, delta_softplus=True, backend=backend)
    )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # opcheck itself reads it
def test_the_operators_pass_opcheck(backend):
    args = [t.requires_grad_() for t in arguments(dataclasses.replace(SMALL, batch=1, width=3, length=5), DEVICE[backend])]
    torch.library.opcheck(torch.ops.ssm.selective_scan.default, (*args, True, backend, True))
    if BACKENDS[backend].image:
        image = [t.requires_grad_() for t in image_arguments(dataclasses.replace(SMALL, side=2, width=3, batch=1), 2, DEVICE[backend])]
        torch.library.opcheck(torch.ops.ssm.scan_image.default, (*image, backend, True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_goes_in_and_comes_out(backend, dtype):
    args = arguments(dataclasses.replace(sized(SMALL, backend), dtype=str(dtype).removeprefix("torch.")), DEVICE[backend])
    leaves = [t.detach().requires_grad_() for t in args]
    y = selective_scan(*leaves, delta_softplus=True, backend=backend)
    y.sum().backward()
    assert y.dtype == dtype
    assert [leaf.grad.dtype for leaf in leaves] == [leaf.dtype for leaf in leaves]


def test_a_backend_that_cannot_run_says_why_and_what_helps():
    for name in BACKENDS:
        problem = importlib.import_module(BACKENDS[name].module).unavailable()
        if problem is not None:
            reason, remedy = problem
            assert reason.endswith(".")
            assert remedy

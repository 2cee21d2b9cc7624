"""The scan as an operator: its definition by hand, its arguments, the choice of a backend, tracing, compiling and exporting."""

import math
import shutil

import pytest
import torch

import models
from models.scan import (
    BACKENDS,
    BackendUnavailable,
    ScanInputError,
    backends,
    resolve_backend,
    scan_image,
    selective_scan,
)
from models.scan.backends import cpp, cpp_build, reference
from models.scan.cases import Case, arguments
from models.scan.directions import DIRECTIONS, merge, unfold
from models.scan.image import composed

NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")
SMALL = Case("small", 2, 2, 3, 3, 20)


def image_operands(channels=6, states=3, rank=2, directions=4, batch=2, height=5, width=7, dtype=torch.float32):
    random = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64).to(dtype)

    x, x_proj = draw(batch, channels, height, width), draw(directions, rank + 2 * states, channels) / channels**0.5
    A = -torch.exp(draw(directions * channels, states))
    return x, x_proj, draw(directions, channels, rank), draw(directions, channels) - 3, A, draw(directions * channels)


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
    args = [a.double().requires_grad_() for a in arguments(Case("tiny", 2, 2, 2, 3, 5))]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a, delta_softplus=True, backend="reference"), args)
    y, _ = reference.forward(args, True)  # and autograd through the loop agrees with the stated adjoint
    cotangent = torch.randn_like(y)
    stated = reference.backward(cotangent, None, [a.detach() for a in args], True)
    for found, expected in zip(stated, torch.autograd.grad(y, args, cotangent), strict=True):
        torch.testing.assert_close(found, expected)


def test_an_image_composed_is_differentiated_rightly():
    operands = [t.requires_grad_() for t in image_operands(2, 2, 1, 4, 1, 2, 3, torch.float64)]
    assert torch.autograd.gradcheck(lambda *a: composed(*a, directions=4, backend="reference"), operands)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_image_scanned_by_address_is_the_composed_one(directions, layout):
    resolve_backend("cpp", "cpu")
    x, *weights = (t.requires_grad_() for t in image_operands(directions=directions))
    x = x.detach().to(memory_format=layout).requires_grad_()
    found = scan_image(x, *weights, directions=directions, backend="cpp")
    expected = composed(x, *weights, directions=directions, backend="cpp")
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    cotangent = torch.randn_like(expected)
    gradients = (torch.autograd.grad(y, [x, *weights], cotangent) for y in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_backend_without_image_scans_composes_and_says_so(caplog):
    from models.scan.image import _say_composed

    _say_composed.cache_clear()
    x, *weights = image_operands()
    expected = composed(x, *weights, directions=4, backend="numba")
    assert torch.equal(scan_image(x, *weights, directions=4, backend="numba"), expected)
    scan_image(x, *weights, directions=4, backend="numba")
    assert [record.getMessage() for record in caplog.records] == [
        "the scan backend 'numba' scans copies of the image; cpp or triton would not copy."
    ]


def test_image_arguments_that_do_not_fit_are_named():
    x, x_proj, *rest = image_operands()
    for arguments_given, directions, message in (
        ((x, x_proj, *rest), 3, "scanned in 1, 2, 4 directions"),
        ((x, x_proj, *rest), 2, "directions=2"),
        ((x[:, :5], x_proj, *rest), 4, "x has 5 channels and x_proj .* is for 6"),
        ((x, x_proj, *rest[:-1], rest[-1][:-1]), 4, r"D has the shape \(23,\)"),
        ((x, x_proj, rest[0], rest[1].to(torch.int64), *rest[2:]), 4, "delta_bias is torch.int64"),
    ):
        with pytest.raises(ScanInputError, match=message):
            scan_image(*arguments_given, directions=directions, backend="cpp")


def test_views_and_ungrouped_B_C_are_accepted():
    u, delta, A, B, C, D, bias = arguments(Case("one-group", 2, 1, 6, 3, 20))
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
    args = dict(zip(NAMES, arguments(SMALL), strict=True)) | {argument: value}
    with pytest.raises(ScanInputError, match=message):
        selective_scan(**args, delta_softplus=True)


def test_a_named_backend_is_that_backend_or_an_error():
    assert resolve_backend("reference", "cpu") == ("reference", "asked for by name")
    with pytest.raises(BackendUnavailable, match="runs on cpu, not on cuda"):
        resolve_backend("numba", "cuda")
    with pytest.raises(KeyError, match="Did you mean 'numba'"):
        resolve_backend("numbar", "cpu")
    with pytest.raises(BackendUnavailable, match="does not compute in float64"):
        selective_scan(*(t.double() for t in arguments(SMALL)), backend="numba")


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_on_meta_tensors_every_backend_gives_the_shape_alone(backend):
    shapes = ((1, 4, 6), (1, 4, 6), (4, 2), (1, 2, 6), (1, 2, 6))
    y = selective_scan(*(torch.zeros(shape, device="meta") for shape in shapes), backend=backend)
    assert (y.shape, y.device.type) == ((1, 4, 6), "meta")


def test_auto_says_which_and_why():
    name, reason = resolve_backend("auto", "cpu")
    assert name == "cpp"
    assert reason == "auto: the fastest that runs on this machine's cpu"


@pytest.fixture
def _forgotten():
    """Choices and compiled libraries are looked up anew, before and after."""
    caches = (backends.module_of, backends.resolve_backend, cpp.compiled, cpp._layout)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("_forgotten")
def test_without_a_compiler_auto_takes_numba_and_says_why(monkeypatch):
    monkeypatch.setattr(cpp_build.shutil, "which", lambda name: None if name in cpp_build.COMPILERS else shutil.which(name))
    monkeypatch.delenv("CXX", raising=False)
    name, reason = resolve_backend("auto", "cpu")
    assert name == "numba"
    assert "it scans copies of an image" in reason
    assert "cpp is not available (no C++ compiler is installed (looked for c++, g++, clang++).)" in reason
    with pytest.raises(BackendUnavailable, match=r"apt-get install g\+\+"):
        resolve_backend("cpp", "cpu")


@pytest.mark.usefixtures("_forgotten")
def test_a_compiler_that_fails_is_quoted(monkeypatch, tmp_path):
    broken = tmp_path / "broken-cxx"
    broken.write_text(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo broken 1; exit 0; fi\necho 'scan.cpp:1: error: no vectors here' >&2; exit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    with pytest.raises(BackendUnavailable, match=r"could not compile scan\.cpp .*no vectors here"):
        resolve_backend("cpp", "cpu")
    assert list(tmp_path.rglob("*.so")) == []


@pytest.mark.usefixtures("_forgotten")
def test_the_library_is_compiled_once_and_found_again(monkeypatch, tmp_path):
    monkeypatch.setenv("SUITE_CACHE", str(tmp_path))
    first = cpp_build.library()
    made = first.stat().st_mtime_ns
    assert cpp_build.library() == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "scan").iterdir()] == [first.name]


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


@pytest.mark.parametrize("name", ["mambair-light-x2-tiny", "vmambair-realsr-x4-tiny"])
def test_a_network_is_exported_with_its_scans(name):
    network = models.create(name).eval()
    x = torch.rand(1, 3, 16, 16)
    exported = torch.export.export(network, (x,))
    scans = [str(node.target) for node in exported.graph.nodes if "ssm." in str(node.target)]
    assert any("ssm.scan_image" in scan for scan in scans)
    with torch.inference_mode():
        torch.testing.assert_close(exported.module()(x), network(x), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")  # of the compiler's own modules
@pytest.mark.parametrize("name", ["mambair-light-x2-tiny", "vmambair-realsr-x4-tiny"])
def test_a_network_compiles_whole_and_trains(name):
    torch.manual_seed(0)
    network = models.create(name, **({"drop_path": 0.0} if name.startswith("mambair") else {})).train()
    x = torch.rand(1, 3, 16, 16)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    expected, found = network(x), compiled(x)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    weights = list(network.parameters())
    for ours, theirs in zip(torch.autograd.grad(found.sum(), weights), torch.autograd.grad(expected.sum(), weights), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)

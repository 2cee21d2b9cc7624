"""Where the backend `cuda` has its kernel from: the first provider that is right. Stand-ins compute by the reference, on a CPU."""

import dataclasses
import os
import sys
import types

import fake_kernels
import pytest
import torch

from models.scan import backends, selective_scan
from models.scan.backends import BACKENDS, REVISION, BackendUnavailable, cuda, cuda_providers, explain_backend, reference, resolve_backend
from models.scan.cases import CASES, Case, arguments
from suite.cli import main
from suite.cli.health import doctor
from suite.measure.costs import grid as cost_grid
from suite.measure.scans import grid
from suite.measure.scans.check import measure_errors, tolerance
from suite.records.cell import CellContext, provenance

SMALL = Case("small", 2, 2, 9, 5, 41)
CACHES = (cuda._choice, cuda._functions, backends.module_of, backends.resolve_backend)
FIND = cuda_providers.importlib.util.find_spec


def forget():
    for cache in CACHES:
        cache.cache_clear()


@pytest.fixture(autouse=True)
def _nothing_is_installed(monkeypatch):
    """Neither provider is there, whatever this machine has, and what was chosen is forgotten before and after."""
    hidden = (cuda_providers.EXTENSION, "kernels", "mamba_ssm")
    there = lambda name: FIND(name) if name in sys.modules or name not in hidden else None  # noqa: E731
    monkeypatch.setattr(cuda_providers.importlib.util, "find_spec", there)
    for name in (REVISION, "LOCAL_KERNELS"):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()


@pytest.fixture
def device(monkeypatch):
    """A CPU in the place of the GPU that torch does not find here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_providers, "DEVICE", "cpu")
    rows = {name: dataclasses.replace(row, devices=("cpu",)) if name == "cuda" else row for name, row in BACKENDS.items()}
    for module in (backends, sys.modules["models.scan.op"]):
        monkeypatch.setattr(module, "BACKENDS", types.MappingProxyType(rows))


def with_extension(monkeypatch, **functions):
    monkeypatch.setitem(sys.modules, cuda_providers.EXTENSION, fake_kernels.extension(**functions))


def with_package(monkeypatch, folder=None):
    asked = []
    monkeypatch.setitem(sys.modules, "kernels", fake_kernels.package(asked))
    if folder is not None:
        monkeypatch.setenv("LOCAL_KERNELS", f"another/kernel=/nowhere:{cuda_providers.REPOSITORY}={folder}")
    return asked


def test_without_either_both_are_named_and_what_takes_least_comes_first():
    with pytest.raises(BackendUnavailable) as refused:
        resolve_backend("cuda", "cuda")
    assert refused.value.reason == "mamba-ssm is not installed (selective_scan_cuda is not there); the package kernels is not installed."
    assert refused.value.remedy.startswith("pip install 'kernels>=")
    assert "; or MAMBA_KEEP_CUDA_BUILD" in refused.value.remedy
    assert explain_backend("cuda") == ""


def test_without_a_gpu_nothing_is_fetched(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = with_package(monkeypatch)
    reason, remedy = cuda.unavailable()
    assert reason.endswith("torch finds no CUDA device.")
    assert remedy.startswith("run on a machine with an NVIDIA GPU")
    assert asked == []


@pytest.mark.usefixtures("device")
def test_the_extension_goes_first_and_is_called_by_its_own_interface(monkeypatch):
    with_extension(monkeypatch)
    asked = with_package(monkeypatch)
    assert cuda.unavailable() is None
    assert explain_backend("cuda").startswith("its kernel is mamba-ssm's extension")
    assert asked == []
    args = arguments(SMALL)
    y, kept = cuda.forward(args, True, True)
    assert tuple(kept.shape) == cuda.kept_shape(args)
    assert torch.equal(y, reference.forward(args, True)[0])
    grad = torch.ones_like(y)
    for found, expected in zip(cuda.backward(grad, kept, args, True), reference.backward(grad, None, args, True), strict=True):
        assert torch.equal(found, expected)
    assert cuda.forward(args, True, False)[1].numel() == 0


@pytest.mark.usefixtures("device")
def test_a_folder_that_the_package_serves_is_verified_and_called_like_any_backend(monkeypatch, tmp_path):
    asked = with_package(monkeypatch, fake_kernels.write_folder(tmp_path))
    assert resolve_backend("cuda", "cpu") == ("cuda", "asked for by name")
    assert asked == [("kernels-community/mamba-ssm", None, 1)]
    for case in ("length-65", "no-skip", "no-bias"):
        errors = measure_errors("cuda", CASES[case])
        assert {name: error for name, error in errors.items() if not error <= tolerance(CASES[case], name)} == {}
    args = arguments(SMALL)
    assert torch.equal(selective_scan(*args, True, backend="cuda"), selective_scan(*args, True, backend="reference"))
    said = explain_backend("cuda")
    assert said.startswith("its kernel is kernels-community/mamba-ssm, version 1 (from a folder of this machine), by the package kernels")
    assert said.endswith("mamba-ssm was passed over: mamba-ssm is not installed (selective_scan_cuda is not there)")
    context = CellContext(tmp_path, 1, "inline", "asked for by name")
    assert provenance(context, "2026-01-01T00:00:00+00:00", {}, "cuda").backend_reason == f"asked for by name; {said}"
    assert provenance(context, "2026-01-01T00:00:00+00:00", {}, "numba").backend_reason == "asked for by name"
    assert provenance(context, "2026-01-01T00:00:00+00:00", {}, "none").backend_reason == "asked for by name"


@pytest.mark.usefixtures("device")
def test_a_revision_is_asked_for_recorded_and_another_cell(monkeypatch, tmp_path):
    before, timed = grid.software_digest(), cost_grid.software_digest(timed=True)
    monkeypatch.setenv(REVISION, "0123abc")
    asked = with_package(monkeypatch, fake_kernels.write_folder(tmp_path))
    assert "revision 0123abc" in explain_backend("cuda")
    assert asked == [("kernels-community/mamba-ssm", "0123abc", None)]
    assert grid.software_digest() != before
    assert cost_grid.software_digest(timed=True) != timed


def test_a_revision_is_an_option_of_the_command_line(monkeypatch):
    seen = []
    monkeypatch.setattr(doctor, "run", lambda _options, _out: seen.append(os.environ.get(REVISION)) or 0)
    assert main.main(["doctor", "--kernel-revision", "0123abc"]) == 0
    monkeypatch.setenv(REVISION, "kept")
    assert main.main(["doctor", "--kernel-revision", "4567def"]) == main.main(["doctor"]) == 0
    assert seen == ["0123abc", "4567def", "kept"]
    parser = main.parser()
    for verb in ("run --model a --task b", "evaluate a --data b", "restore a b --model c", "profile a", "scan", "suggest --task a"):
        assert parser.parse_args([*verb.split(), "--kernel-revision", "x"]).kernel_revision == "x"


@pytest.mark.usefixtures("device")
def test_a_revision_that_the_extension_goes_before_is_said_not_to_be_asked_for(monkeypatch):
    with_extension(monkeypatch)
    monkeypatch.setenv(REVISION, "0123abc")
    assert explain_backend("cuda").endswith("the revision 0123abc is of the kernel that the package kernels fetches, and was not asked for")


@pytest.mark.usefixtures("device")
def test_the_revision_that_was_resolved_is_recorded(monkeypatch, tmp_path):
    with_package(monkeypatch, fake_kernels.write_folder(tmp_path))
    package = sys.modules["kernels"]
    found = package.get_kernel(cuda_providers.REPOSITORY, version=1)
    package.get_kernel = lambda *_, **__: found
    package.get_loaded_kernels = lambda: [types.SimpleNamespace(module=found, repo_info=types.SimpleNamespace(revision="fedcba9"))]
    monkeypatch.delenv("LOCAL_KERNELS")
    assert "kernels-community/mamba-ssm, version 1 (revision fedcba9), by" in explain_backend("cuda")


@pytest.mark.usefixtures("device")
def test_a_kernel_that_computes_something_else_is_passed_over_and_it_is_said(monkeypatch, tmp_path):
    with_extension(monkeypatch, backward=fake_kernels.wrong_backward)
    with_package(monkeypatch, fake_kernels.write_folder(tmp_path / "right"))
    assert cuda.unavailable() is None
    said = explain_backend("cuda")
    assert "kernels-community/mamba-ssm" in said
    assert "computes something else than the scan: 1.0e-03 off in A, case length-65" in said
    forget()
    monkeypatch.setenv("LOCAL_KERNELS", f"{cuda_providers.REPOSITORY}={fake_kernels.write_folder(tmp_path / 'wrong', 'wrong_backward')}")
    reason, _ = cuda.unavailable()
    assert reason.count("computes something else") == 2


@pytest.mark.usefixtures("device")
def test_what_cannot_be_called_or_fetched_says_so_in_a_line(monkeypatch):
    def no_image(*_):
        raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")

    with_extension(monkeypatch, forward=no_image)
    with_package(monkeypatch)
    reason, remedy = cuda.unavailable()
    assert "cannot be called (RuntimeError: CUDA error: no kernel image is available for execution on the device)" in reason
    assert "the package kernels gives no kernels-community/mamba-ssm, version 1 (FileNotFoundError: Cannot find a build" in reason
    assert "\n" not in reason
    assert "kernels versions kernels-community/mamba-ssm" in remedy


def test_an_extension_for_another_torch_is_told_from_an_absent_one(monkeypatch, tmp_path):
    (tmp_path / f"{cuda_providers.EXTENSION}.py").write_text("raise ImportError('undefined symbol: _ZN3c10')")
    monkeypatch.setattr(cuda_providers.importlib.util, "find_spec", FIND)
    monkeypatch.syspath_prepend(str(tmp_path))
    reason, remedy = cuda.unavailable()
    assert "was built for another torch, Python or CUDA than these (undefined symbol: _ZN3c10)" in reason
    assert "pip cache remove" in remedy

"""Errors of memory are told from others by training and by tiled inference alike; and how threads wait."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from places import ROOT

from suite.core.torch_state import is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (np._core._exceptions._ArrayMemoryError((1,), np.dtype("f8")), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] posix_memalign. Cannot allocate memory"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error, expected):
    assert is_out_of_memory(error) is expected


def in_new_process(code, **environment):
    """What a new process prints whose OpenMP policy is not set, but for `environment`."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True).stdout.split()


PRINT_POLICY = "import os, sys; print(os.environ.get('OMP_WAIT_POLICY'), 'torch' in sys.modules)"


def test_threads_sleep_unless_the_user_has_them_spin():
    code = f"from suite.core.torch_state import let_threads_sleep; let_threads_sleep(); {PRINT_POLICY}"
    assert in_new_process(code) == ["passive", "False"]
    assert in_new_process(code, OMP_WAIT_POLICY="active") == ["active", "False"]


@pytest.mark.parametrize(("kind", "policy"), [("RunSpec", "passive"), ("ScanSpec", "None")])
def test_a_training_has_threads_that_sleep_before_torch_is_loaded_and_what_is_timed_has_not(kind, policy, tmp_path):
    """A cell's own process learns of it before the cell's code, which loads torch."""
    (tmp_path / "policy_cell.py").write_text(f"def cell(spec, context):\n    {PRINT_POLICY}\n    raise SystemExit\n    yield\n")
    run = "RunSpec(model='m', task='t', budget='b', backend='numba', iterations=1, batch=1, patch=16, lr=1.0, protocol='sr-y@1')"
    scan = "ScanSpec(cases=('a',), backend='numba', threads=1, machine='m', software='s')"
    code = (
        "import suite.core.torch_state as state; import suite.runner.attempt as attempts; from suite.records.spec import RunSpec, ScanSpec;"
        "from suite.records.cell import CellContext; from pathlib import Path; attempts.limit_threads = lambda threads: None;"
        f"spec = {run if kind == 'RunSpec' else scan};"
        f"list(attempts.attempt(spec, CellContext(Path({str(tmp_path)!r}), 1, 'inline', '')))"
    )
    paths = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "SUITE_CELL": "policy_cell:cell"}
    assert in_new_process(code, **paths) == [policy, "False"]

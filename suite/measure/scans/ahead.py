"""The Triton kernels compiled ahead of time: what each takes of a GPU, and what is wrong with it; no GPU is needed."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys

from suite.core.errors import Exit, SuiteError
from suite.core.paths import python_path

MODULE = "models.scan.backends.triton_ahead"
PROGRAM = "import json; from suite.measure.scans.ahead import compiled; print(json.dumps(compiled()))"


def compiled() -> tuple[list[dict[str, object]], list[str]]:
    """A row a compiled kernel and target, and the problems in words; SuiteError where Triton is not there."""
    if os.environ.get("TRITON_INTERPRET") == "1":  # is looked at when kernels are defined, so a process without it must do this
        return _elsewhere()
    try:
        ahead = importlib.import_module(MODULE)
    except ImportError as error:
        raise SuiteError(
            f"the Triton kernels cannot be compiled here ({error}). `pip install triton` (Linux) makes it possible.", exit=Exit.NOT_READY
        ) from error
    rows = ahead.compile_all()
    return [dataclasses.asdict(row) for row in rows], list(ahead.problems(rows))


def _elsewhere() -> tuple[list[dict[str, object]], list[str]]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | {"PYTHONPATH": python_path()}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if done.returncode:
        raise SuiteError(f"the Triton kernels were not compiled: {done.stderr.strip().splitlines()[-1]}", exit=Exit.NOT_READY)
    rows, problems = json.loads(done.stdout.splitlines()[-1])
    return rows, problems

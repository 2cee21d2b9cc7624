"""The Triton kernels compiled ahead of time: what each takes of a GPU, and what is wrong with it; no GPU is needed."""

from __future__ import annotations

import dataclasses
import importlib
import os

from suite.core.errors import Exit, SuiteError
from suite.core.process import ChildDied, Say, ask, environment_for

MODULE = "models.scan.backends.triton_ahead"
INTERPRET = "TRITON_INTERPRET"  # Triton looks at it when kernels are defined: with it, another process must compile


def compile_kernels() -> tuple[list[dict[str, object]], list[str]]:
    """Compile every kernel for every target: a row each, and the problems in words; SuiteError where Triton is not there."""
    if os.environ.get(INTERPRET) == "1":
        environment = {name: value for name, value in environment_for(1).items() if name != INTERPRET}
        try:
            ((_, found),) = ask("suite.measure.scans.ahead:answer", None, environment, "the Triton compiler")
        except ChildDied as error:
            raise SuiteError(f"the Triton kernels were not compiled: {str(error).splitlines()[-1]}", exit=Exit.NOT_READY) from error
        return found[0], found[1]
    try:
        ahead = importlib.import_module(MODULE)
    except ImportError as error:
        raise SuiteError(
            f"the Triton kernels cannot be compiled here ({error}). `pip install triton` (Linux) makes it possible.", exit=Exit.NOT_READY
        ) from error
    rows = ahead.compile_all()
    return [dataclasses.asdict(row) for row in rows], list(ahead.problems(rows))


def answer(_asked: None, say: Say) -> None:
    """Compile the kernels in a process of its own."""
    say("compiled", compile_kernels())

"""Torch and numba in this process: their threads, full float32 arithmetic, and whether an error is one of memory."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import MappingProxyType

# What allocators, cuDNN and cuBLAS say, in lower case; not all have a type of their own.
MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "cublas_status_alloc_failed")


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables by which OpenMP, MKL, OpenBLAS and numba are told, before they load, how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


# Threads that sleep while they wait for each other. Those that spin take the processor from whom they wait for where others use it, too.
SLEEPING = MappingProxyType({"OMP_WAIT_POLICY": "passive"})


def let_threads_sleep() -> None:
    """Have OpenMP's threads sleep while they wait, unless the user chose otherwise; counts in this process if torch is not loaded yet."""
    for name, value in SLEEPING.items():
        os.environ.setdefault(name, value)


def limit_threads(threads: int) -> None:
    """Hold torch and numba to `threads` in this process, whether or not they are loaded already."""
    if sys.modules.get("numba") is not None:
        import numba

        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    else:  # once numba is loaded, a change of its variable is an error
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Compute float32 in full on a GPU: no TensorFloat-32, which keeps 10 bits of a product's factors, while quality is measured."""
    import torch

    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    matmul.allow_tf32 = convolution.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, convolution.allow_tf32 = before


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` says that memory, of a GPU or of the machine, did not suffice."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS)

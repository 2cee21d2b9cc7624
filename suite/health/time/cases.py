"""The process in which a version of the code is timed for the gate: a few fixed cases, called when the parent asks.

`python -P suite/health/time/cases.py TREE` runs the `models` that lie in TREE, whatever version of them that is: the cases are the same
for both versions, this file's, and it needs nothing but torch, the standard library and what `models` has promised for long; nothing of
suite. It reads lines of JSON, {"case": ..., "ask": "prepare", "seconds" or "bytes", "calls": ...}, and answers each with one: {"value":
...}, or {"error": ...} where the case does not run here. It ends when standard input is closed, as it is when the parent dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

Call = Callable[[], object]
SCAN_SHAPE = (1, 4, 72, 10, 2048)  # images, groups, channels a group, states, steps: MambaIR-light's block, on half of its 64x64 pixels
THREADS_FOLDER = "/proc/self/task"
M_MMAP_THRESHOLD, OWN_PAGES = -3, 16 * 1024  # of malloc.h; bytes from which an allocation has pages of its own
WARM_UP = 3  # calls: the first compiles or loads kernels, the second still finds caches cold
DESIGNS: Mapping[str, tuple[str, int]] = MappingProxyType(  # a network of each, and the side of its input: calls of 5 to 50 ms
    {"vmambair": ("vmambair-realsr-x4-tiny", 16), "mambair": ("mambair-light-x2-tiny", 48), "mambair-unet": ("mambair-realdn-tiny", 24)}
)


def make_scan(backend: str, *, gradient: bool) -> Call:
    """Make a call of the scan of sequences, or of that and its gradient."""
    import torch

    from models.scan import resolve_backend, selective_scan

    resolve_backend(backend, "cpu")  # raises with reason and remedy where it does not run
    images, groups, width, states, steps = SCAN_SHAPE
    channels = groups * width
    draw = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    u, delta = noise(images, channels, steps), noise(images, channels, steps)
    A = -torch.arange(1.0, states + 1).repeat(channels, 1)
    B, C = noise(images, groups, states, steps), noise(images, groups, states, steps)
    D, bias = noise(channels), noise(channels) - 4
    given = tuple(tensor.requires_grad_(gradient) for tensor in (u, delta, A, B, C, D, bias))
    grad_y = noise(images, channels, steps)

    def call() -> object:
        with torch.set_grad_enabled(gradient):
            y = selective_scan(*given, True, backend)
        return torch.autograd.grad(y, given, grad_y) if gradient else y

    return call


def make_forward(name: str, side: int) -> Call:
    """Make a call of one image through a network, on the scan backend that a user gets."""
    import torch

    network, image = _network(name, side)
    network.eval()

    def call() -> object:
        with torch.inference_mode():
            return network(image)

    return call


def make_step(name: str, side: int) -> Call:
    """Make a call of a training step: loss, gradient, Adam. The weights hardly move, and stochastic depth draws the same every time."""
    import torch

    network, image = _network(name, side)
    network.train()
    with torch.no_grad():
        target = torch.rand(network(image).shape, generator=torch.Generator().manual_seed(1))
    adam = torch.optim.Adam(network.parameters(), lr=1e-7)

    def call() -> object:
        torch.manual_seed(0)
        adam.zero_grad()
        loss = torch.nn.functional.l1_loss(network(image), target)
        loss.backward()
        adam.step()
        return loss

    return call


def _network(name: str, side: int):  # noqa: ANN202 - of another version of the code, perhaps
    import torch

    import models

    torch.manual_seed(0)
    network = models.create(name)
    models.set_scan_backend(network, "auto")
    return network, torch.rand(1, network.channels, side, side, generator=torch.Generator().manual_seed(0))


def _table() -> Iterator[tuple[str, Callable[[], Call]]]:
    """Yield names of cases, and what makes their calls once a process."""
    for backend in ("numba", "cpp"):
        yield f"scan/{backend}/forward", partial(make_scan, backend, gradient=False)
        yield f"scan/{backend}/with gradient", partial(make_scan, backend, gradient=True)
    for design, subject in DESIGNS.items():
        yield f"network/{design}/forward", partial(make_forward, *subject)
        yield f"network/{design}/training step", partial(make_step, *subject)


CASES: Mapping[str, Callable[[], Call]] = MappingProxyType(dict(_table()))


def prepare_case(name: str, calls: dict[str, Call]) -> float:
    """Make a case, warm it up, and return the seconds of the last call."""
    calls[name] = CASES[name]()
    for _ in range(WARM_UP):
        begun = time.perf_counter()
        calls[name]()
    return time.perf_counter() - begun


def time_calls(call: Call, calls: int) -> float:
    """Take the shortest of `calls` calls, since what others do to the machine only adds.

    A call lasts from its beginning to its end less what the thread that worked most stood in line for a processor that others had: on a
    busy machine that is most of it, and tells nothing of the code.
    """
    found = []
    for _ in range(calls):
        begun, before = time.perf_counter(), read_threads()  # in this order: what is taken off lies within what is measured
        call()
        after, ended = read_threads(), time.perf_counter()
        ran, waited = find_busiest(before, after)
        found.append(max(ended - begun - waited, ran))  # a thread may have stood in line since before the call
    return min(found)


def read_threads() -> dict[str, tuple[float, float]]:
    """Read how many seconds each thread of this process has run, and waited to run (Linux); empty where that is not known."""
    found = {}
    for name in os.listdir(THREADS_FOLDER) if os.path.isdir(THREADS_FOLDER) else ():  # noqa: PTH208, PTH112 - quick, for it is between two looks at a clock
        with contextlib.suppress(OSError, ValueError), open(f"{THREADS_FOLDER}/{name}/schedstat") as file:  # noqa: PTH123 - it may have ended
            waited = int(file.read().split()[1]) / 1e9
            found[name] = (time.clock_gettime((~int(name) << 3) | 6), waited)  # the thread's own clock; schedstat's is late by up to 4 ms
    return found


def find_busiest(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return the seconds that the thread that ran most between the two has run and stood in line; another may wait while it looks on."""
    spans = [(ran - before[name][0], waited - before[name][1]) for name, (ran, waited) in after.items() if name in before]
    return max(spans, default=(0.0, 0.0))


def measure_peak(call: Call) -> int:
    """Measure by how much the resident set grows at its peak while the call runs (Linux)."""
    c = ctypes.CDLL(None)
    if hasattr(c, "mallopt"):  # glibc: what was freed goes back, and a tensor has pages of its own, which go back when it does
        c.mallopt(M_MMAP_THRESHOLD, OWN_PAGES)
        call()
        c.malloc_trim(0)
    return measure_growth(call)


def measure_growth(call: Call) -> int:
    """Measure by how much the resident set is larger at its peak in the call than before (Linux); OSError where that is not known."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    held = _status_bytes("VmRSS")
    call()
    return max(0, _status_bytes("VmHWM") - held)


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def answer(asked: Mapping[str, object], calls: dict[str, Call]) -> dict[str, object]:
    """Answer a line; any failure is an answer, too."""
    try:
        if asked["ask"] == "prepare":
            return {"value": prepare_case(asked["case"], calls)}
        if asked["ask"] == "bytes":
            return {"value": measure_peak(calls[asked["case"]])}
        return {"value": time_calls(calls[asked["case"]], asked["calls"])}
    except Exception as error:  # of whatever version of the code
        return {"error": f"{type(error).__name__}: {str(error).strip() or 'without a message'}"}


def main(tree: Path) -> None:
    """Answer line by line, until there are no more."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")  # for us alone: what libraries and compilers print goes to standard error
    os.dup2(2, 1)
    import torch

    import models

    torch.set_num_threads(1)
    found = Path(models.__file__).resolve()
    if not found.is_relative_to(tree.resolve()):
        raise SystemExit(f"the code of {tree} was to be timed, and Python found that of {found.parent.parent}")
    calls: dict[str, Call] = {}
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line), calls)) + "\n")
        out.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

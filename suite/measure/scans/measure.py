"""One scan backend on one device, in this process: its start, whether it is right, and how long it takes over the cases.

Nothing is timed but the start before the backend has passed every comparison of suite.measure.scans.check; one that does not has no times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.scan.backends import BACKENDS
from models.scan.cases import CASES, Case, arguments, image_arguments
from models.scan.image import composed, scan_image
from models.scan.op import selective_scan
from suite.core.process import Say
from suite.measure import timing
from suite.measure.scans.ceilings import count_exponentials, count_moved_bytes, measure_ceilings
from suite.measure.scans.check import check_backend
from suite.records.cell import Progress
from suite.records.kinds.scan import Caches, Path, ScanFindings, ScanStart, ScanTiming, Work
from suite.records.spec import ScanSpec

SHORT = 256  # steps of a scan that tells how long the whole one would take, and of the first call
LONGEST_CALL = 3.0  # times `seconds` that one call may take; beyond, a case is not timed
IMAGE_DIRECTIONS = 4

Call = Callable[[], object]
Kind = tuple[Path, Work]


def answer(asked: dict[str, Any], say: Say) -> None:
    """Do {"spec": ..., "only_start": ..., "caches": ...} in a process of its own: say "progress", and last "start" or "findings"."""
    spec = ScanSpec.model_validate(asked["spec"])
    torch.set_num_threads(spec.threads)
    if asked["only_start"]:
        say("start", time_start(spec, asked["caches"]).model_dump(mode="json"))
        return
    for event in measure_backend(spec, asked["caches"]):
        if isinstance(event, Progress):
            say("progress", asdict(event))
        else:
            say("findings", event.model_dump(mode="json"))


def time_start(spec: ScanSpec, caches: Caches) -> ScanStart:
    """Time the first calls; to be made before anything else of the backend."""
    case = replace(CASES[spec.cases[0]], dtype=spec.dtype).shortened(SHORT)
    forward, backward = (_call(spec, case, ("sequences", work)) for work in ("forward", "forward+backward"))
    return ScanStart(
        caches=caches,
        case=case.name,
        length=case.length,
        forward_seconds=timing.time_once(forward, spec.device),
        backward_seconds=timing.time_once(backward, spec.device) if spec.backward else None,
    )


def measure_backend(spec: ScanSpec, caches: Caches) -> Iterator[Progress | ScanFindings]:
    """Yield progress and, last, the findings; `caches` says what is known of those of what the backend builds."""
    yield Progress(spec.fingerprint, "starting", 0, spec.steps)
    starts = (time_start(spec, caches),)
    verified = []
    for found in check_backend(spec.backend, spec.device):
        verified.append(found)
        yield Progress(spec.fingerprint, "verifying", 0, spec.steps, note=found.name)
    if any(found.wrong for found in verified):
        yield ScanFindings(verdict="incorrect", verified=tuple(verified), starts=starts)
        return
    timings = []
    for index, name in enumerate(spec.cases, 1):
        case = replace(CASES[name], dtype=spec.dtype)
        for kind in _kinds(spec, case):
            yield Progress(spec.fingerprint, "timing", index, spec.steps, note=f"{name}, {kind[0]}, {kind[1]}")
            timings.append(_timing(spec, case, kind))
    ceilings = measure_ceilings(spec.device)  # last: it may load another backend's library into this process
    yield ScanFindings(
        verdict="correct",
        verified=tuple(verified),
        starts=starts,
        ceilings=ceilings,
        timings=tuple(timings),
    )


def _kinds(spec: ScanSpec, case: Case) -> list[Kind]:
    """List what is timed of a case: the scan of its sequences, and of an image both ways where the backend has both."""
    paths: list[Path] = ["sequences"]
    if spec.images and case.side and BACKENDS[spec.backend].image:
        paths += ["image", "image-copied"]
    works: list[Work] = ["forward", "forward+backward"] if spec.backward else ["forward"]
    return [(path, work) for path in paths for work in works]


def _timing(spec: ScanSpec, case: Case, kind: Kind) -> ScanTiming:
    path, work = kind
    shape = f"{case.batch} × {case.channels} channels, {case.states} states, {case.length:,} steps"
    what = {"case": case.name, "path": path, "work": work, "layer": case.layer, "shape": shape, "elements": case.elements}
    expected = _expected_seconds(spec, case, kind)
    if expected > 2 * LONGEST_CALL * spec.seconds:  # an estimate from a short scan is that uncertain
        return ScanTiming(**what, skipped=f"it would take about {expected:.1f} s a call", expected_ms=expected * 1e3)
    call = _call(spec, case, kind)
    first = timing.time_once(call, spec.device)
    if first > LONGEST_CALL * spec.seconds:  # one call has to do
        return ScanTiming(**what, first_ms=first * 1e3, skipped=f"the first call took {first:.1f} s", expected_ms=first * 1e3)
    samples = timing.take_samples(call, spec.device, spec.seconds)
    peak = timing.measure_peak_memory(call, spec.device)
    low, high = samples.quartiles
    return ScanTiming(
        **what,
        rounds=samples.rounds,
        warm_up_calls=samples.warm_up,
        first_ms=first * 1e3,
        median_ms=samples.median * 1e3,
        quartiles_ms=(low * 1e3, high * 1e3),
        noisy=samples.noisy,
        moved_bytes=count_moved_bytes(case, work) if path == "sequences" else None,
        exponentials=count_exponentials(case, work) if path == "sequences" else None,
        peak_memory_mib=None if peak is None else peak / 2**20,
    )


def _expected_seconds(spec: ScanSpec, case: Case, kind: Kind) -> float:
    """Estimate the time of a call from a shorter scan, in proportion to the steps; from a longer one where that is too much.

    A short call is mostly overhead.
    """
    limit, length = LONGEST_CALL * spec.seconds, SHORT
    while True:
        short = case.shortened(length)
        call = _call(spec, short, kind)
        taken = min(timing.time_once(call, spec.device) for _ in range(2))  # the first may build something
        expected = taken * case.length / short.length
        if expected <= limit or 4 * taken > limit or 4 * length >= case.length:
            return expected
        length *= 4


def _call(spec: ScanSpec, case: Case, kind: Kind) -> Call:
    """Make a call without arguments; its tensors are made before it."""
    path, work = kind
    if path == "sequences":
        leaves = arguments(case, spec.device)
        scan = partial(selective_scan, *leaves, delta_softplus=case.softplus, backend=spec.backend)
    else:
        leaves, scan = _image(spec, case, scan_image if path == "image" else composed)
    if work == "forward":
        return torch.no_grad()(scan)
    given = [leaf.requires_grad_() for leaf in leaves if leaf is not None]
    with torch.no_grad():
        cotangent = torch.ones_like(leaves[0])  # y has the shape of u, or of the image

    def forward_and_backward() -> object:
        return torch.autograd.grad(scan(), given, cotangent)

    return forward_and_backward


def _image(spec: ScanSpec, case: Case, scan: Callable[..., Tensor]) -> tuple[list[Tensor], Callable[[], Tensor]]:
    """Make the scans of an image with their projections, as a block calls them; the image is in channels-last memory, as a block's is."""
    x, _, dt_proj, A, D, delta_bias = image_arguments(case, IMAGE_DIRECTIONS, spec.device)
    channels, rows = case.width, dt_proj.shape[-1] + 2 * case.states
    x_proj = torch.randn(IMAGE_DIRECTIONS, rows, channels, generator=torch.Generator().manual_seed(0)) / channels**0.5
    leaves = [
        x.permute(0, 3, 1, 2),
        x_proj.to(x),
        dt_proj.to(x.dtype),
        delta_bias.view(IMAGE_DIRECTIONS, channels),
        A,
        D,
    ]
    return leaves, lambda: scan(*leaves, directions=IMAGE_DIRECTIONS, backend=spec.backend)

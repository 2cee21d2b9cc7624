"""Quality metrics, computed under the protocols of suite.study.protocols.

    fidelity    PSNR and SSIM: ours, always there
    perceptual  LPIPS, through the package `lpips`
    iqa         DISTS, NIQE, MUSIQ and others, through the package `pyiqa` (the extra `iqa`)

A metric that cannot be had on this machine is unavailable, with a sentence that says why and how to fix it: it is left out
of what is measured, and never replaced by another number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from models.lookup import lookup
from suite.core.errors import SuiteError
from suite.study.protocols import METRICS, Protocol

if TYPE_CHECKING:
    import numpy as np


def measure_quality(protocol: Protocol, output: np.ndarray, target: np.ndarray, scale: int) -> dict[str, float]:
    """Measure `output` against `target`, as `fidelity.score` takes them, by `protocol`; unavailable metrics are left out."""
    from suite.measure.quality import fidelity  # late: numpy is slow to load

    found = fidelity.score(protocol, output, target, scale)
    images = [fidelity.as_compared(protocol, image) for image in (output, target)]
    return found | {metric: measure_metric(metric, *images) for metric in protocol.perceptual if explain_absence(metric) is None}


def list_unavailable(protocol: Protocol) -> dict[str, str]:
    """Return the metrics of `protocol` that cannot be had on this machine: why, and the one command that fixes it."""
    return list_absent(protocol.perceptual)


def list_absent(metrics: Iterable[str]) -> dict[str, str]:
    """Return those of `metrics`, names in METRICS, that cannot be had on this machine: why, and the one command that fixes it."""
    return {metric: why for metric in metrics if (why := explain_absence(metric)) is not None}


def explain_absence(metric: str) -> str | None:
    """Say why `metric`, a name in METRICS, cannot be had on this machine, and how to fix that; None where it can.

    What has to be loaded for the answer is kept for the measurement.
    """
    try:
        if lookup("metric", metric, METRICS).package:
            _of_package(metric)[0](metric)
    except SuiteError as error:
        return str(error)
    return None


def measure_metric(metric: str, output: np.ndarray, target: np.ndarray) -> float:
    """Return a metric of METRICS that `lpips` or `pyiqa` computes, of whole RGB images `(H, W, 3)`, uint8 or floating point in 0..1.

    Raises SuiteError where the metric is unavailable or an image does not fit it, ValueError where it belongs to a protocol's channel.
    """
    if not lookup("metric", metric, METRICS).package:
        raise ValueError(f"{metric} depends on a protocol; fidelity.score computes it")
    return _of_package(metric)[1](metric, output, target)


def _of_package(metric: str) -> tuple[Callable[[str], object], Callable[[str, np.ndarray, np.ndarray], float]]:
    """Return what loads `metric` and what measures it; imported late: numpy and torch are slow to load, and --help needs neither."""
    if METRICS[metric].package == "lpips":
        from suite.measure.quality import perceptual

        return perceptual.lpips_network, perceptual.distance
    from suite.measure.quality import iqa

    return iqa.pyiqa_model, iqa.quality

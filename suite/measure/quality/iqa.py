"""DISTS, NIQE, MUSIQ and other quality metrics by the package `pyiqa`, the optional extra `iqa`.

pyiqa is under the PolyForm Noncommercial licence: it is no part of the suite, never the source of PSNR or SSIM, and its licence is
said once, when it is first used. It would download each metric's weights when the metric is made; here it may not, so that
measuring never fetches anything unasked: weights that are not there make the metric unavailable, and the command that
fixes that fetches them.

Images go in as whole RGB, float32 in 0..1, without crop, on the processor. The metrics are the rows of METRICS whose package is pyiqa.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from models.lookup import lookup
from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.measure.quality.fidelity import unit_planes
from suite.study.protocols import METRICS

LICENCE = "pyiqa is used; its licence (PolyForm Noncommercial 1.0.0) allows non-commercial use only."
PYIQA_REMEDY = "pip install 'ssm-restoration-suite[iqa]'"

_LOCK = threading.Lock()


def their_name(metric: str) -> str:
    """Return pyiqa's name of a metric of METRICS."""
    return metric.lower().replace("-", "_")


def quality(metric: str, output: np.ndarray, target: np.ndarray) -> float:
    """Return `metric` of RGB images `(H, W, 3)`, uint8 or floating point in 0..1; `target` does not count for a metric without reference.

    Raises SuiteError (Exit.NOT_READY) where the metric is unavailable, SuiteError where it cannot measure the image, ValueError for
    other types and ranges.
    """
    model = pyiqa_model(metric)
    planes = [unit_planes(image, "pyiqa") for image in ((output, target) if METRICS[metric].reference else (output,))]
    images = [torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32)) for plane in planes]
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = float(model(*images))
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        raise SuiteError(f"pyiqa cannot measure {metric} of an image of {output.shape[1]}x{output.shape[0]} pixels: {error}") from error
    if not np.isfinite(found):
        raise SuiteError(
            f"pyiqa measures {found} as {metric} of an image of {output.shape[1]}x{output.shape[0]} pixels, which is not a number."
        )
    return found


def pyiqa_model(metric: str) -> torch.nn.Module:
    """Return pyiqa's model of `metric`, made once; SuiteError says why it is unavailable and how to fix that."""
    lookup("metric of pyiqa", metric, {name: row for name, row in METRICS.items() if row.package == "pyiqa"})
    with _LOCK:
        return _made(metric)


@lru_cache(maxsize=16)
def _made(metric: str) -> torch.nn.Module:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when its hub's client is imported; that one would try for a minute
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyiqa  # late: an optional package
    except ImportError as error:
        raise SuiteError(
            f"{metric} needs the package pyiqa, which cannot be imported ({error}). `{PYIQA_REMEDY}` fixes it; its licence allows "
            "non-commercial use only.",
            exit=Exit.NOT_READY,
        ) from None
    _say_licence()
    name = their_name(metric)
    try:
        with _no_download(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyiqa.create_metric(name, device="cpu")
    except (OSError, RuntimeError, KeyError, ImportError) as error:  # URLError is an OSError
        code = f"import pyiqa; pyiqa.create_metric('{name}')"
        raise SuiteError(
            f"{metric} needs weights that pyiqa has not fetched yet, or pyiqa cannot make it ({error}). "
            f'With a network connection, `python -c "{code}"` fixes it.',
            exit=Exit.NOT_READY,
        ) from error


@lru_cache(maxsize=1)
def _say_licence() -> None:
    note(LICENCE)


class _Refusing(urllib.request.BaseHandler):
    """Answers every request, so that no connection is opened."""

    def default_open(self, request: urllib.request.Request) -> None:
        raise urllib.error.URLError(f"{request.full_url} is not fetched while measuring")


@contextlib.contextmanager
def _no_download() -> Iterator[None]:
    """Keep urllib, by which pyiqa and torch fetch weights, from fetching anything."""
    before = urllib.request._opener  # there is no public way to ask for it
    urllib.request.install_opener(urllib.request.build_opener(_Refusing))
    try:
        yield
    finally:
        urllib.request.install_opener(before)

"""The suite in Python, for notebooks: what the verbs of the same names do, with values for tables.

    from suite import api

    api.load("mine.py")                                    # a design from outside: its networks' names
    api.evaluate("bicubic", task="sr-x2").mean             # {"PSNR-Y": ..., "SSIM-Y": ...}
    api.score("results/mine", "path/to/HR", scale=4).sheets["sr-y@1"].mean
    api.count("mambair-light-x2", size=(360, 640)).macs
    api.compare("mambair-sr-x2.*", "mambair-sr-x2")[0].verdict
    api.records().groupby("model")["PSNR-Y"].mean()        # a pandas data frame, a row a cell

What a user can fix is a `SuiteError` or an `UnknownName`, whose message says what to do. Importing this loads neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.lookup import UnknownName
from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    import pandas

    from suite.measure.quality.scoring import Scores
    from suite.records.kinds.profile import ProfileCost
    from suite.records.record import ImageScore
    from suite.report.versus import Comparison

__all__ = ["Evaluated", "SuiteError", "UnknownName", "compare", "count", "evaluate", "load", "records", "score"]

AnyPath = str | Path


@dataclass(frozen=True)
class Evaluated:
    """What a model scored on a test set; `protocol` says how, as name@version, and `statement` in a sentence."""

    model: str
    task: str
    data: str
    protocol: str
    statement: str
    images: tuple[ImageScore, ...]

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric over the images; dB, 0..1."""
        return {metric: sum(one.metrics[metric] for one in self.images) / len(self.images) for metric in self.images[0].metrics}

    def frame(self) -> pandas.DataFrame:
        """Return a row an image, a column a metric."""
        import pandas

        return pandas.DataFrame([{"image": one.image, **one.metrics} for one in self.images]).set_index("image")


def load(plugin: AnyPath) -> tuple[str, ...]:
    """Load a design from outside, a file or a module, for the rest of this process; return the names of its networks.

    A file that has changed since is loaded anew. It runs the code that is in it.
    """
    from suite.study.outside import plugins

    return plugins.reload(str(plugin)).models


def evaluate(
    model: str,
    *,
    task: str | None = None,
    data: AnyPath = "photos",
    weights: AnyPath | None = None,
    protocol: str | None = None,
    limit: int | None = None,
    backend: str = "auto",
    device: str = "cpu",
) -> Evaluated:
    """Measure `model`, a name of the catalogue with `weights`, or bicubic or identity, on the test images of `data`.

    `task` is the model's own where it is not given, `protocol` the task's; `limit` takes the first images alone. Nothing is recorded.
    """
    import models
    from models.scan.backends import resolve_backend
    from suite.data.sets import pair_sources
    from suite.measure.quality import evaluate as measuring
    from suite.study.protocols import protocol as protocol_row
    from suite.study.tasks import task as task_row

    simple = model in measuring.SIMPLE_RESTORERS
    if task is None and simple:
        raise SuiteError(f"{model} needs a task, a name of `list tasks`, e.g. task='sr-x2'.")
    row = task_row(models.card(model).task if task is None else task)
    rule = protocol_row(protocol or row.protocol)
    if limit is not None and limit < 1:
        raise SuiteError(f"limit={limit} measures nothing; it must be at least 1.", exit=Exit.NOTHING)
    chosen = "none" if simple else resolve_backend(backend, device)[0]
    inference = measuring.Inference(backend=chosen, device=device)
    job = measuring.EvaluationJob(model, row, rule, None if weights is None else Path(weights), inference)
    network = measuring.Model(job, lambda _said: None)
    sources = pair_sources(str(data), "test", row, rule)[:limit]
    if not sources:
        raise SuiteError(f"{data} has no test image.", exit=Exit.NOTHING)
    scores = tuple(one.score for one in measuring.measure_set(job, network, sources))
    return Evaluated(model, row.name, str(data), rule.key, rule.statement, scores)


def score(
    pred: AnyPath,
    gt: AnyPath,
    *,
    protocol: str = "all",
    scale: int | None = None,
    perceptual: bool = False,
    allow_missing: bool = False,
    limit: int | None = None,
) -> Scores:
    """Score a folder of images against one of targets, paired by name, by one protocol or by all of them side by side.

    `perceptual` adds the LPIPS of the protocols, a second an image or more; `allow_missing` leaves out images without a partner.
    """
    from suite.measure.quality.scoring import Request, score_folders

    how = {"protocol": protocol, "scale": scale, "perceptual": perceptual, "allow_missing": allow_missing, "limit": limit}
    return score_folders(Request(Path(pred), Path(gt), **how))


def count(model: str, *, size: tuple[int, int] = (64, 64)) -> ProfileCost:
    """Count what a network or a baseline costs on one low-quality image of `size` (height, width): parameters, multiply-adds."""
    import models
    from suite.measure.costs.cell import count_cost
    from suite.measure.costs.grid import make_spec
    from suite.study.baselines import BASELINES

    if model not in BASELINES:
        models.card(model)  # or UnknownName
    make_spec(model, size, None)  # or SuiteError: it takes no image so small
    return count_cost(model, size)


def compare(a: AnyPath, b: AnyPath, *, metrics: Iterable[str] = (), ledger: AnyPath | None = None) -> tuple[Comparison, ...]:
    """Say whether A is better than B, image by image and seed by seed: models of one ledger (names, patterns), cells, or two ledgers.

    `metrics` are the protocol's first where none is named; `ledger` is results/runs.
    """
    from suite.report.versus import compare_named

    return compare_named(str(a), str(b), tuple(metrics), None if ledger is None else Path(ledger))


def records(ledger: AnyPath | None = None, *, every_attempt: bool = False) -> pandas.DataFrame:
    """Return the records of a ledger (results/runs) as a data frame: a row for each cell, or for every attempt at it.

    Columns are those of `list records --csv -`.
    """
    from suite.records.frame import frame
    from suite.records.ledger import Ledger

    return frame(Ledger(None if ledger is None else Path(ledger)), every_attempt=every_attempt)

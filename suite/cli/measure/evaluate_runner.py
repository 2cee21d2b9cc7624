"""Measuring sets one after another for `python -m suite evaluate`, and keeping a record of each in the ledger."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import SuiteError
from suite.core.output import note

if TYPE_CHECKING:
    from suite.data.pairs import PairSource
    from suite.measure.quality.evaluate import EvaluationJob, ImageResult, Model
    from suite.measure.quality.saving import SavedImages
    from suite.records.kinds.evaluation import Evaluation
    from suite.records.ledger import Ledger


@dataclass(frozen=True)
class Result:
    """A set with its numbers."""

    data: str
    found: Sequence[ImageResult]
    notes: Sequence[str]
    record: Evaluation | None = None  # None where none is kept
    before: bool = False  # it was in the ledger
    unsaved: SuiteError | None = None  # why not all of its images were saved


class Runner:
    """Measures sets one after another with one network, which is made when it is first needed."""

    def __init__(
        self, job: EvaluationJob, reason: str, options: argparse.Namespace, ledger: Ledger | None, saved: Mapping[str, SavedImages]
    ) -> None:
        from suite.measure.quality.evaluate import Model

        self._saved = saved  # by set
        self.job, self.reason, self._options, self._ledger = job, reason, options, ledger
        self.model: Model | None = None if ledger else Model(job, note)

    def measure(self, data: str, sources: Sequence[PairSource], notes: Sequence[str]) -> Result:
        """Return the numbers of a set: those of the ledger where it has them, and nothing else is asked for."""
        from suite.core.parallel import show_progress
        from suite.measure.quality import evaluate, evaluation
        from suite.records.cell import CellContext, now

        options, started = self._options, now()
        images = evaluation.examine_images(data, sources) if self._ledger else None
        spec = evaluation.make_spec(self.job, images) if images else None
        held = self._find(spec.fingerprint) if spec and not options.again else None
        if held and not (options.save or options.tile_cost):
            found = [evaluate.ImageResult(*one, None) for one in zip(held.scores, held.inference, strict=True)]
            return Result(data, found, notes, held, before=True)
        self.model = self.model or evaluate.Model(self.job, note)
        save, clock = self._saved.get(data), time.perf_counter()
        job = replace(self.job, pictures=spec is not None and evaluation.keeps_pictures(data))
        measured = evaluate.measure_set(job, self.model, sources, tile_cost=options.tile_cost, save=save)
        found = list(show_progress(measured, len(sources), f"images of {data} measured"))
        if save:
            save.finish()
        unsaved = save and save.problem
        if spec is None or images is None or held:
            return Result(data, found, notes, held, before=held is not None, unsaved=unsaved)
        context = CellContext(Path(), _count_threads(self.job.inference.backend), "inline", self.reason)
        seconds = time.perf_counter() - clock
        record = evaluation.make_record(spec, self.job, self.model.used, images, found, context, started, seconds)
        return Result(data, found, notes, record, unsaved=unsaved)

    def _find(self, fingerprint: str) -> Evaluation | None:
        """Return the done record of the cell; None where there is none that can be read."""
        from suite.records.kinds.evaluation import Evaluation

        held = self._ledger.find_done([fingerprint], common.warn_left_out).get(fingerprint) if self._ledger else None
        return held if isinstance(held, Evaluation) else None


def _count_threads(backend: str) -> int:
    from suite.core import machine

    if backend == "none":
        return machine.count_cores()
    import torch

    return torch.get_num_threads()


def record_results(ledger: Ledger | None, results: Sequence[Result], *, told: bool) -> bool:
    """Add what is new to the ledger; return whether it could be. What cannot be recorded is said, and its numbers are out."""
    new = [one.record for one in results if one.record and not one.before]
    if told:
        for one in results:
            if one.record and one.before:
                when = one.record.provenance.finished if one.record.provenance else "before"
                note(f"{one.data}: in the ledger since {when} (cell {one.record.fingerprint}). --again measures and records it again.")
    if ledger is None or not new:
        return True
    common.note_lost_commit()
    try:
        with ledger.locked():
            for record in new:
                path = ledger.add(record.model_copy(update={"attempt": ledger.attempts(record.fingerprint) + 1}))
                if told:
                    note(f"recorded: {path}")
    except SuiteError as error:
        note(f"NOT recorded, though measured: {error} The same command tries again; --no-record leaves the ledger alone.")
        return False
    return True


def save_folder(save: Path, data: str) -> Path:
    """Return the folder of a set's images: below `save`, whatever the set is called (`..` is a folder, too)."""
    from suite.data.sets import canonical_name

    name = Path(canonical_name(data)).name
    if not name:
        raise SuiteError(f"{data} has no name to save its images under. Give --data a folder inside it.")
    return save / name

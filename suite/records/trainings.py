"""Trainings, and the cells that evaluate them: a training is done once, however many test sets and protocols it is measured by.

A training is a spec without test set and protocol (`RunSpec.identify_training`); a cell, with both, is one evaluation of it. Weights and
checkpoints go by the training. Older files go by the fingerprint of the cell that made them: those are the training's aliases, which
the specs of the ledger's records and of the selection tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from models import MODELS
from suite.records.ledger import older_weights_file
from suite.records.record import Attempt, Record
from suite.records.spec import CellSpec, RunSpec


@dataclass(frozen=True)
class TrainingKey:
    """The names by which a training's files are found."""

    fingerprint: str  # of the training
    stem: str  # of its weights' file, for people
    cells: tuple[str, ...] = ()  # fingerprints of cells that evaluate it: older files go by them

    @property
    def names(self) -> tuple[str, ...]:
        """The training's name of today, and the older ones."""
        return (self.fingerprint, *self.cells)

    def weights_file(self, folder: Path) -> Path:
        """Return the file in which the finished training's weights are saved."""
        return folder / f"{self.stem}_{self.fingerprint[:8]}.pt"

    def find_weights(self, folder: Path) -> Path | None:
        """Return the file in which they lie, by its name of today or an older one; None where there is none."""
        files = (self.weights_file(folder), *(older_weights_file(folder, cell) for cell in self.cells))
        return next((path for path in files if path.is_file()), None)


class Trainings:
    """The trainings of the cells that are known: `specs` of a selection, and `records` of a ledger, which are not kept.

    The trainings of the cells `again` count as not done, until a record of one is added.
    """

    def __init__(self, specs: Iterable[CellSpec] = (), records: Iterable[Attempt] = (), again: Iterable[str] = ()) -> None:
        self._specs = {spec.fingerprint: spec for spec in specs if isinstance(spec, RunSpec)}
        self._identities: dict[str, str] = {}  # of the training, by cell
        self._again: set[str] = set()  # trainings
        self._done: dict[str, tuple[bool, bool]] = {}  # by cell: whether it measured another's weights; whether its record is an older one
        for record in records:
            if isinstance(record, Record):
                self._specs[record.fingerprint] = record.spec
                self.add(record)
        self._cells: dict[str, list[str]] = {}  # by training
        for fingerprint, spec in self._specs.items():
            self._cells.setdefault(self.identify(spec), []).append(fingerprint)
        self._again = {self._identities[cell] for cell in again if cell in self._identities}

    def add(self, record: Attempt) -> None:
        """Take the record of a cell that has ended."""
        if isinstance(record, Record):
            if record.training:
                self._identities[record.fingerprint] = record.training
            if record.status == "done":
                self._done[record.fingerprint] = bool(record.trained_by), not record.training
                self._again.discard(record.training)

    def identify(self, spec: RunSpec) -> str:
        """Return the identity of the spec's training; what it begins with is named by a training, too, where that is known."""
        found = self._identities.get(spec.fingerprint)
        if found is None:
            begun = self._specs.get(spec.start)
            found = self._identities[spec.fingerprint] = spec.identify_training(spec.start if begun is None else self.identify(begun))
        return found

    def key(self, spec: RunSpec) -> TrainingKey:
        """Return the names of the spec's training."""
        identity, card = self.identify(spec), MODELS.get(spec.model)
        parts = (spec.model, *(() if card is not None and card.task == spec.task else (spec.task,)), spec.budget, f"seed{spec.seed}")
        cells = dict.fromkeys((spec.fingerprint, *self._cells.get(identity, ())))
        return TrainingKey(identity, re.sub(r"[^\w.-]+", "-", "_".join(parts)), tuple(cells))

    def start_key(self, spec: RunSpec) -> TrainingKey | None:
        """Return the names of the training that `spec` begins with; None where it begins from scratch, with a file, or is not known."""
        begun = self._specs.get(spec.start)
        return None if begun is None else self.key(begun)

    def find_trained(self, spec: CellSpec, weights: Path) -> tuple[str, TrainingKey] | None:
        """Return the cell that trained what `spec` evaluates, and the key of its weights in the folder `weights`.

        None where no such cell is done, or its weights are gone: then `spec` has to be trained.
        """
        if not isinstance(spec, RunSpec):
            return None
        key = self.key(spec)
        for cell in sorted(self._list_done(key), key=lambda cell: (*self._done[cell], cell)):
            own = replace(key, cells=(cell,))
            if own.find_weights(weights) is not None:
                return cell, own
        return None

    def is_lost(self, spec: CellSpec, weights: Path) -> bool:
        """Tell whether the spec's training was made, and its weights are gone from the folder `weights`."""
        return isinstance(spec, RunSpec) and bool(self._list_done(self.key(spec))) and self.find_trained(spec, weights) is None

    def _list_done(self, key: TrainingKey) -> set[str]:
        """Return the cells that are done of a training that is not to be made again."""
        return set() if key.fingerprint in self._again else self._done.keys() & set(key.cells)


def choose_trainers(specs: Iterable[CellSpec], known: Trainings, weights: Path) -> set[str]:
    """Return the fingerprints of those of `specs` that have to train: the first of each training that is not there yet."""
    first: dict[str, str] = {}
    for spec in specs:
        if isinstance(spec, RunSpec) and known.find_trained(spec, weights) is None:
            first.setdefault(known.identify(spec), spec.fingerprint)
    return set(first.values())

"""The workers of a cell: what a user asks for, checked and filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from suite.core.errors import SuiteError
from suite.records.spec import RunSpec
from suite.training.share import check_share


@dataclass(frozen=True)
class Crew:
    """The workers of a cell as a user asks for them."""

    workers: int
    gpus: int | None  # of each; None: as the device needs
    storage: str  # folder or URI of their checkpoints; empty: the ledger's

    def checked(self, launcher: str, specs: Sequence[RunSpec]) -> Crew:
        """Return what is meant, for cells of one device; SuiteError for what cannot be."""
        if self.workers < 1:
            raise SuiteError(f"--workers-per-trial {self.workers}: a cell is trained by at least 1 worker.")
        if self.workers == 1:
            if self.gpus is not None or self.storage:
                raise SuiteError("--gpus-per-worker and --storage are for several workers; give --workers-per-trial N too.")
            return self
        if launcher != "ray":
            raise SuiteError(f"--workers-per-trial {self.workers} needs Ray; leave out --launcher {launcher}.")
        device = specs[0].device
        gpus = int(device == "cuda") if self.gpus is None else self.gpus
        if gpus < 0 or (gpus > 0) != (device == "cuda"):
            raise SuiteError(f"--gpus-per-worker {gpus} and the device {device} do not go together: 0 on the CPU, at least 1 on a GPU.")
        for spec in specs:
            check_share(spec, self.workers)
        uri = not self.storage or "://" in self.storage
        return replace(self, gpus=gpus, storage=self.storage if uri else str(Path(self.storage).absolute()))

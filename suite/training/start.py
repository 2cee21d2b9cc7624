"""The weights that a run begins with: of another cell of the ledger, or a file of anyone's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from models.base import RestorationNet
from models.official import official_names
from suite.core.errors import Exit, SuiteError
from suite.core.files import sha256_of
from suite.measure.inference.weights import check_values, read_weights
from suite.records.ledger import older_weights_file
from suite.records.record import StartedFrom
from suite.records.spec import RunSpec
from suite.records.trainings import TrainingKey
from suite.study.recipes import RECIPES

WRITE_ONE = "`python -m suite export FILE OUT --read-key NAME` writes one of them to a file of its own."
CELL_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class StartingWeights:
    """Weights by our names or the authors', and where they come from."""

    state: Mapping[str, Tensor]
    source: str
    sha256: str
    strict: bool

    def fitted(self, network: RestorationNet) -> tuple[dict[str, Tensor], StartedFrom]:
        """Return those that `network` takes: all of its own, or, where the recipe is not strict, what fits in name and shape."""
        wanted = network.state_dict()
        theirs = official_names(network)
        names = {name: name if name in self.state else theirs[name] for name in wanted}
        taken = {
            ours: self.state[name] for ours, name in names.items() if name in self.state and self.state[name].shape == wanted[ours].shape
        }
        left = tuple(sorted(set(wanted) - set(taken)))
        if (self.strict and left) or not taken:
            raise SuiteError(
                f"{self.source} does not fit the network that is to begin with it: {len(left)} of {len(wanted)} tensors are missing or of "
                f"another shape, the first is {left[0]}. Its recipe takes the weights of the same network.",
                exit=Exit.NOT_READY,
            )
        return taken, StartedFrom(source=self.source, sha256=self.sha256, tensors=len(taken), left=left)


def read_starting_weights(spec: RunSpec, folder: Path, key: TrainingKey | None = None) -> StartingWeights | None:
    """Read what `spec` begins with; None where it begins from scratch.

    `folder` holds the weights of the ledger's trainings; `key` names the one that `spec` begins with, where it is known.
    """
    if not spec.start:
        return None
    ours = CELL_FINGERPRINT.fullmatch(spec.start) is not None
    path = older_weights_file(folder, spec.start) if ours else Path(spec.start)
    if key is not None:
        path = key.find_weights(folder) or key.weights_file(folder)
    if not path.is_file():
        what = f"cell {spec.start}, and {path} is not there" if ours else f"{path}, which is not there"
        again = "Run that cell first (`list records` names those that are done)" if ours else "Give a file of weights"
        raise SuiteError(
            f"{spec.label} begins with the weights of {what}. {again}, or train from scratch: --set start=.", exit=Exit.NOT_READY
        )
    found = read_weights(path, model=spec.model, choose=WRITE_ONE)
    check_values(found)
    row = RECIPES.get(spec.recipe)
    strict = row is None or row.start is None or row.start.strict
    source = f"cell {spec.start}" if ours else path.name
    return StartingWeights(found.state, f"{source} ({found.which})", sha256_of(path), strict)

"""ModelCard: what a caller must know about a network, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.config import Config


@dataclass(frozen=True)
class ModelCard:
    """One row of the catalogue. Sizes are in pixels; `params` is exact, a test counts them."""

    name: str
    config: Config
    task: str  # the task of its paper row, a name of suite.study.tasks
    paper: str  # arXiv identifier, section or table
    params: int | None = None  # of the released network; None where nothing is published
    parent: str | None = None  # of an ablation
    change: tuple[str, object] | None = None  # the one field in which an ablation differs from its parent
    matched: tuple[tuple[str, object], ...] = ()  # fields set so that its cost stays comparable, where the paper did so
    hypothesis: str = ""  # what the ablation tests, in a sentence
    deviations: tuple[str, ...] = field(default=())  # from the paper
    licence: str = "Apache-2.0"  # of the code here; weights carry their own terms
    tiny: bool = False  # a small sibling, for tests

    @property
    def scale(self) -> int:
        """Enlargement from input to output."""
        return self.config.scale

"""Design: what a design's file declares, without torch. `models.designs.DESIGNS` is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

from models.keywords import Keywords

OWN = "this suite"  # begins `ModelCard.paper` of a row that stands in no paper
NO_PAPER = "no paper"  # the same of a design from outside
Rules = tuple[tuple[str, str], ...]  # regular expressions and what replaces them: our parameters' names to the authors', in order


class Config(Protocol):
    """A frozen dataclass: what a network is. Every ablation is one changed field of it."""

    @property
    def scale(self) -> int:
        """Enlargement from input to output."""

    @property
    def channels(self) -> int:
        """Channels of input and output: 3, or 1 for grey."""

    @property
    def dim(self) -> int:
        """Channels of the features at full resolution."""

    @property
    def size_multiple(self) -> int:
        """Return what the sides of an input are padded to a multiple of, in pixels."""

    @property
    def smallest_side(self) -> int:
        """The smallest side of an input, in pixels."""

    @property
    def work(self) -> float:
        """Training time goes with this and the input's pixels: width times blocks, as if all ran at full resolution."""

    def narrowed(self, width: int, depth_divisor: int) -> Self:
        """Return the same design with `dim = width` and depths divided by `depth_divisor`, for tests and the quick budget."""


def divided(blocks: int, divisor: int) -> int:
    """Divide a number of blocks, and keep at least one."""
    return max(1, round(blocks / divisor))


class Groups:
    """Of a configuration whose `depths` are blocks in groups, all at full resolution; it takes images of any size."""

    dim: int
    depths: tuple[int, ...]
    size_multiple = 1
    smallest_side = 1

    @property
    def work(self) -> float:
        """Width times blocks."""
        return self.dim * sum(self.depths)

    def narrowed(self, width: int, depth_divisor: int) -> Self:
        """Return the same design with `dim = width`, and groups and blocks divided by `depth_divisor`."""
        groups = self.depths[: divided(len(self.depths), depth_divisor)]
        return replace(self, dim=width, depths=tuple(divided(depth, depth_divisor) for depth in groups))


class WindowedGroups(Groups):
    """Of a configuration whose blocks begin with attention in windows of `window` pixels, with `heads` for each group."""

    window: int
    heads: tuple[int, ...]

    @property
    def size_multiple(self) -> int:
        """Whole windows."""
        return self.window

    def narrowed(self, width: int, depth_divisor: int) -> Self:
        """Return the same design with `dim = width`, two heads, and groups and blocks divided by `depth_divisor`."""
        found = super().narrowed(width, depth_divisor)
        return replace(found, heads=(2 if width % 2 == 0 else 1,) * len(found.depths))


class UNet:
    """Of a configuration whose `blocks` are those of a U-Net's four levels, and `refinement` those behind it at full resolution."""

    dim: int
    blocks: tuple[int, int, int, int]
    refinement: int
    size_multiple = 8  # three halvings
    smallest_side = 8  # that reflection can pad

    @property
    def work(self) -> float:
        """Encoder and decoder, and one bottleneck; twice the width at half the size takes about as long."""
        return self.dim * (2 * sum(self.blocks) - self.blocks[-1] + self.refinement)

    def narrowed(self, width: int, depth_divisor: int) -> Self:
        """Return the same design with `dim = width` and block counts divided by `depth_divisor`."""
        blocks = tuple(divided(count, depth_divisor) for count in self.blocks)
        return replace(self, dim=width, blocks=blocks, refinement=divided(self.refinement, depth_divisor))


@dataclass(frozen=True)
class ModelCard:
    """One row of the catalogue. Sizes are in pixels; `params` is exact, a test counts them."""

    name: str
    config: Config
    task: str  # the task of its paper row, a name of suite.study.tasks
    paper: str = NO_PAPER  # arXiv identifier, section or table
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

    @property
    def own(self) -> bool:
        """Tell whether no paper has this row."""
        return self.paper.startswith((OWN, NO_PAPER))

    def ablation(
        self,
        suffix: str,
        change: tuple[str, object],
        row: str,
        hypothesis: str,
        *,
        matched: tuple[tuple[str, object], ...] = (),
        note: str = "",
    ) -> ModelCard:
        """Return the row of an ablation: this network with one changed field, and with `matched` where costs must stay comparable."""
        config = replace(self.config, **dict([change, *matched]))
        found = ModelCard(f"{self.name}.{suffix}", config, self.task, row, parent=self.name, change=change, matched=matched)
        return replace(found, hypothesis=hypothesis, deviations=(note,) if note else ())


@dataclass(frozen=True)
class Runs:
    """The tasks of a network, names of suite.study.tasks: those on which its paper prints it, and others that it can run."""

    model: str
    printed: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class AblationTable:
    """A network whose ablations stand in tables of its paper, or of this suite's own: a grid of the suite."""

    grid: str
    summary: str
    parent: str


@dataclass(frozen=True)
class OfficialClass:
    """A class of the authors' code: where it is used, and how its keywords become a configuration of ours."""

    name: str
    used_for: str
    configure: Callable[[Keywords], Config]


def keep_names(_config: Config) -> Rules:
    """Rename no parameter: the authors' code has our names."""
    return ()


@dataclass(frozen=True, eq=False)
class Design:
    """A design: its networks, their ablations, what they run, and what their authors' code calls them."""

    name: str
    networks: tuple[ModelCard, ...]
    classes: Mapping[type, str | type]  # of a configuration: the class that is built from it, as "module:class", or itself in a single file
    paper: str = NO_PAPER
    ablations: tuple[ModelCard, ...] = ()
    runs: tuple[Runs, ...] = ()  # none: each network runs the task of its card
    tables: tuple[AblationTable, ...] = ()
    official: tuple[OfficialClass, ...] = ()
    rules: Callable[[Config], Rules] = keep_names

    @property
    def all_runs(self) -> tuple[Runs, ...]:
        """Return what its networks run, each at least the task of its card."""
        return self.runs or tuple(Runs(card.name, (), (card.task,)) for card in self.networks)

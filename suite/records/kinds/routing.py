"""What a router is worth: the quality of given weights with MambaIRv2's router and with what takes its place (suite.study.routing.WAYS).

A record is of one file of weights, named by its sha256, on one test set. It says nothing of other files of the same network.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from suite.records.record import Attempt, Frozen, ImageScore, ProtocolUsed, TestData
from suite.records.spec import CellSpec


class RoutingSpec(CellSpec):
    """One cell of the grid `routing`: a file of weights on a test set."""

    model: str = Field(description="a name of models.names()")
    task: str
    protocol: str = Field(description="name@version of suite.study.protocols.PROTOCOLS")
    test_set: str = Field(description="name of its card, or the last part of the folder's name")
    data: str = Field(description="sha256 over names and pixels of the pairs")
    weights: str = Field(description="sha256 of the file")
    seeds: int = Field(ge=1, description="of each way that draws at random: 0 to seeds - 1, given to torch before each image")

    @property
    def label(self) -> str:
        """Model, file and test set."""
        return f"routing of {self.model} · weights {self.weights[:12]} · {self.test_set}"

    @property
    def steps(self) -> int:
        """One: it is not told in steps."""
        return 1


class Router(Frozen):
    """What the router itself says, as released: means over pixels, layers and images, of the first seed."""

    tokens: int
    layers: int
    entropy: float = Field(description="nats; ln(tokens) where every token is as likely as any other")
    top_probability: float = Field(description="of the most likely token; 1/tokens where all are alike")


class RoutingRun(Frozen):
    """The test set measured once."""

    way: str = Field(description="a name of suite.study.routing.WAYS")
    seed: int
    scores: tuple[ImageScore, ...]


class RoutingRecord(Attempt):
    """One attempt at the grid `routing` on a file of weights."""

    kind: Literal["routing"] = "routing"
    spec: RoutingSpec
    protocol: ProtocolUsed | None = None
    test_data: TestData | None = None
    params: int | None = None
    router: Router | None = None
    runs: tuple[RoutingRun, ...] = ()
    seconds: float | None = Field(None, description="of all passes, scoring included")

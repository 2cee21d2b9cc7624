"""What a network costs, and how long it takes on a machine: spec and record. Units are in the field names; nothing is rounded.

A cost depends on no machine, no backend and no number of threads, so a spec that is not timed names none of them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from suite.records.record import Attempt, Frozen
from suite.records.spec import PLUGIN, CellSpec
from suite.study.baselines import BASELINES

Source = Literal["suite", "spandrel"]
NO_BACKEND = "none"  # of a network without scans, and of what is not timed


class ProfileSpec(CellSpec):
    """One cell: a network at full size on one image; `timed` or only counted."""

    model: str = Field(description="a name of models.names() or of suite.study.baselines.BASELINES")
    input_size: tuple[int, int] = Field(description="height, width in pixels of the low-quality input")
    dtype: Literal["float32"] = "float32"
    threads: int = Field(0, ge=0, description="processor threads; 0 where nothing is timed")
    timed: bool = False
    seconds: float = Field(0.0, ge=0, description="that samples are taken for; 0 where nothing is timed")
    machine: str = Field("", description='digest of suite.core.machine.describe_machine(); "" where nothing is timed')
    software: str = Field(description="digest of the code and the versions of the packages that decide the numbers")
    plugin: str = PLUGIN

    @property
    def label(self) -> str:
        """Model, size, and where it is timed."""
        where = f" · {self.backend} · {self.device}" if self.timed else ""
        return f"{self.model} at {self.input_size[0]}x{self.input_size[1]}{where}"

    @property
    def steps(self) -> int:
        """Counting, and timing."""
        return 2 if self.timed else 1


class NetworkPart(Frozen):
    """A network's own part and its parameters."""

    name: str
    params: int


class ProfileCost(Frozen):
    """What one image costs (suite.measure.costs.count defines the units); the parts add up to `params`."""

    params: int
    parts: tuple[NetworkPart, ...]
    macs: float = Field(description="fvcore's mix")
    by_operator: dict[str, float] = Field(description="the parts of `macs`, by fvcore's names")
    flops: float = Field(description="2 per multiply-add of the products, and the scans' operations")
    scan_macs: float = Field(description="the part of `macs` that the selective scans make up")
    unsupported: dict[str, int] = Field(description="operators that were not counted, with how often each ran")
    conventions: dict[str, float] = Field(description="multiply-adds by other ways to count (suite.measure.costs.conventions)")
    layer_params: int | None = Field(None, description="of PyTorch's layers, without bare parameters; None in records before it was kept")
    full_attention_macs: float | None = Field(None, description="with attention for its scans (suite.measure.costs.attention)")


class Latency(Frozen):
    """Times of one image in a process of its own."""

    cold_ms: float = Field(description="the first call, with what the backend builds or loads on it")
    warm_up: int = Field(description="calls between the first and the samples")
    samples_ms: tuple[float, ...] = Field(description="all of them, also those that the statistics leave out")
    median_ms: float
    quartiles_ms: tuple[float, float]
    noisy: bool = Field(description="others used the machine for too much of the time")
    others: float | None = Field(None, description="mean share of the machine that other processes used; None where unknown")
    peak_memory_mib: float | None = Field(None, description="beyond the weights and what else is held before a call; None where unknown")


class ProfileRecord(Attempt):
    """One attempt at counting, or counting and timing, a network."""

    kind: Literal["profile"] = "profile"
    spec: ProfileSpec
    label: str = Field(description="what to call the model")
    source: Source
    cost: ProfileCost | None = None
    latency: Latency | None = None
    latency_reason: str = Field("", description="why there is no latency: not asked, did not fit, backend not available")


def name_network(model: str) -> tuple[str, Source]:
    """Return what to call the model, and who ships it."""
    return (f"{BASELINES[model].label} ({model})", "spandrel") if model in BASELINES else (model, "suite")

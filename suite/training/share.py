"""The sharing of a global batch: what one of several workers does of it, in how many passes, and whether that can be done at all."""

from __future__ import annotations

from dataclasses import dataclass

from suite.core.errors import SuiteError
from suite.records.spec import RunSpec


@dataclass(frozen=True)
class Share:
    """The part of one of `world` workers in every batch, and how large its passes are (0: one pass)."""

    rank: int = 0
    world: int = 1
    micro_batch: int = 0

    def places(self, batch: int) -> range:
        """Return the worker's places in a batch of `batch`."""
        return range(self.rank * batch // self.world, (self.rank + 1) * batch // self.world)

    def passes(self, batch: int) -> list[range]:
        """Return the places of each pass through the network."""
        mine = self.places(batch)
        size = self.micro_batch or max(1, len(mine))
        return [mine[begin : begin + size] for begin in range(0, len(mine), size)]


def stages(spec: RunSpec) -> list[tuple[int, int]]:
    """Return patch and global batch of every stage, in their order."""
    return [(patch, batch) for _, patch, batch in spec.stages] or [(spec.patch, spec.batch)]


def check_share(spec: RunSpec, workers: int) -> None:
    """Raise SuiteError where some stage has fewer images than workers: each must take part in every step."""
    for number, (patch, batch) in enumerate(stages(spec), start=1):
        if batch < workers:
            least = min(batch for _, batch in stages(spec))
            raise SuiteError(
                f"{spec.label}: stage {number} (patch {patch}) has a batch of {batch}, which {workers} workers cannot share: each takes at "
                f"least one image. Use --workers-per-trial {least} at most, or a larger batch (--set batch=N)."
            )


def describe_share(spec: RunSpec, workers: int, micro_batch: int) -> str:
    """Say how the batch of every stage is made up, e.g. 'batch 32 = 2 workers x 4 passes of 4'."""
    parts = [_made_up(batch, workers, micro_batch) for _, batch in stages(spec)]
    if len(parts) == 1:
        return parts[0]
    return "; ".join(f"stage {number}: {part}" for number, part in enumerate(parts, start=1))


def _made_up(batch: int, workers: int, micro_batch: int) -> str:
    shares = [Share(rank, workers, micro_batch) for rank in range(workers)]
    sizes = sorted({len(share.places(batch)) for share in shares})
    passes = [share.passes(batch) for share in shares]
    most, largest = max(map(len, passes)), max(len(places) for each in passes for places in each)
    even = len(sizes) == 1 and most * largest == sizes[0]
    of = f"{most} passes of" if most > 1 else "1 pass of"
    whole = f"{of} {largest}" if even else f"{of} at most {largest}"
    if workers == 1:
        return f"batch {batch} = {whole}"
    uneven = f" with {sizes[0]} or {sizes[-1]} images" if len(sizes) > 1 else ""
    return f"batch {batch} = {workers} workers{uneven} x {whole}"

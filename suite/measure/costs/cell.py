"""A cell of the profile, from spec to record: the cost is counted here, times are taken in another process."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from typing import Any

from suite.core.process import ChildDied, ask, environment_for
from suite.measure.costs.attention import count_full_attention, has_counterpart
from suite.measure.costs.conventions import conventions_for
from suite.measure.costs.kept import count_kept
from suite.records.cell import CellContext, Progress, now, provenance
from suite.records.kinds.profile import Latency, NetworkPart, ProfileCost, ProfileRecord, ProfileSpec, name_network


def run_profile(spec: ProfileSpec, context: CellContext) -> Iterator[Progress | ProfileRecord]:
    """Count, time where the spec says so, and yield the record; what does not fit is a record that says so."""
    started = now()
    yield Progress(spec.fingerprint, "profiling", 0, spec.steps)
    cost = count_cost(spec.model, spec.input_size)
    latency, reason = None, "not asked"
    if spec.timed:
        yield Progress(spec.fingerprint, "timing", 1, spec.steps)
        latency, reason = time_in_process(spec)
    yield make_record(spec, context, started, cost, latency, reason)


def make_record(
    spec: ProfileSpec, context: CellContext, started: str, cost: ProfileCost, latency: Latency | None, reason: str
) -> ProfileRecord:
    """Make the record of a cell that was done."""
    label, source = name_network(spec.model)
    return ProfileRecord(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        attempt=context.attempt,
        label=label,
        source=source,
        cost=cost,
        latency=latency,
        latency_reason=reason,
        provenance=provenance(dataclasses.replace(context, threads=spec.threads), started, {}, spec.backend),
    )


def count_cost(model: str, size: tuple[int, int]) -> ProfileCost:
    """Count what the network `model` costs on one image of `size` (height, width)."""
    counted = count_kept(model)
    counts = counted.at(size)
    return ProfileCost(
        params=counted.params,
        parts=tuple(NetworkPart(name=name, params=params) for name, params in counted.parts.items()),
        macs=counts.macs,
        by_operator=dict(counts.by_operator),
        flops=counts.flops,
        scan_macs=counts.scan_macs,
        unsupported=dict(counts.unsupported),
        conventions={row.name: row.macs(counts) for row in conventions_for(model)},
        layer_params=counted.layer_params,
        full_attention_macs=count_full_attention(model, size).macs if has_counterpart(model) else None,
    )


def time_in_process(spec: ProfileSpec) -> tuple[Latency | None, str]:
    """Take the times in a process of the network's own; None with the reason where there are none."""
    asked = {"spec": spec.model_dump(mode="json"), "seconds": spec.seconds, "threads": spec.threads}
    said: dict[str, Any] = {}
    try:
        said = dict(ask("suite.measure.costs.latency:answer", asked, environment_for(spec.threads), spec.label))
    except ChildDied as error:
        if error.code != -signal.SIGKILL:  # which is what the kernel sends where memory ends
            raise
        return None, "did not fit: the process was killed, as the system does where memory ends"
    if "latency" in said:
        return Latency.model_validate(said["latency"]), ""
    return None, said["reason"]

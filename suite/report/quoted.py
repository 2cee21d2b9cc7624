"""Latency and memory that another paper prints of networks of this suite, beside what was measured: to be looked at, never compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from suite.core.text import format_fixed
from suite.records.kinds.profile import ProfileRecord
from suite.records.machines import MachineFile, MachineTime
from suite.study.published import QuotedCosts


def list_quoted(quoted: QuotedCosts, profiles: Iterable[ProfileRecord], machines: Iterable[MachineFile]) -> list[dict[str, object]]:
    """Return a row for each network that is quoted: what is printed, and a time of its own; None where nothing was measured.

    A time of `profiles` is taken before one of `machines`, the smallest input before larger ones.
    """
    own: dict[str, list[ProfileRecord]] = {}
    for profile in profiles:
        if profile.latency is not None:
            own.setdefault(profile.spec.model, []).append(profile)
    theirs: dict[str, list[tuple[MachineFile, MachineTime]]] = {}
    for machine in machines:
        for time in machine.times:
            theirs.setdefault(time.model, []).append((machine, time))
    return [
        {
            "network": cost.model,
            f"printed by {quoted.name}, ms": format_fixed(cost.latency_ms, 1),
            f"printed by {quoted.name}, MB": f"{cost.memory_mb:,.0f}",
            **(_of_profile(own[cost.model]) if cost.model in own else _of_machine(theirs.get(cost.model, ()))),
        }
        for cost in quoted.costs
    ]


def _of_profile(held: Sequence[ProfileRecord]) -> dict[str, object]:
    one = min(held, key=lambda profile: math.prod(profile.spec.input_size))
    where = f"{one.spec.device}, {one.spec.backend}, {one.spec.threads} threads"
    return _row(one.latency.median_ms, one.latency.peak_memory_mib, one.spec.input_size, f"this ledger: {where}")


def _of_machine(held: Sequence[tuple[MachineFile, MachineTime]]) -> dict[str, object]:
    if not held:
        return dict.fromkeys(("measured, ms", "measured, MiB", "input (HxW)", "on"))
    machine, one = min(held, key=lambda pair: math.prod(pair[1].input_size))
    where = f"{machine.gpu or machine.cpu}: {one.device}, {one.backend}, {one.threads} threads"
    return _row(one.median_ms, one.peak_memory_mib, one.input_size, where)


def _row(median_ms: float, peak_mib: float | None, size: tuple[int, int], where: str) -> dict[str, object]:
    return {
        "measured, ms": format_fixed(median_ms, 1),
        "measured, MiB": None if peak_mib is None else f"{peak_mib:,.0f}",
        "input (HxW)": "x".join(map(str, size)),
        "on": where,
    }

"""Measuring the watched numbers: by as many processes as there are cores, one thread each, under settings that libraries read as they load.

SETTINGS are what libraries choose by the processor, and a user may choose in its place: with them one machine shows how far numbers move on
others. `answer` is called in each of the processes (suite.core.process).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from llvmlite import binding

from suite.core.errors import Exit, SuiteError
from suite.core.machine import count_cores
from suite.core.parallel import show_progress
from suite.core.process import ChildDied, Say, ask, environment_for
from suite.core.torch_state import limit_threads
from suite.health import probes
from suite.health.probes.nudge import SIZE, nudged
from suite.health.probes.number import Number, ProbePart
from suite.study.outside import plugins

PartKey = tuple[str, str]  # probe, part
Measured = dict[PartKey, list[Number]]
NUDGES = 20  # draws by which a baseline's spreads are learnt
NETWORKS = ("outputs", "inference", "training", "cells", "protocols", "data")  # probes in which torch or Numba computes
PLAIN_NUMPY = ("data", "protocols", "inference", "report")  # and in which NumPy does
NUDGED = ("outputs", "inference", "training", "cells")  # probes that draw weights


@dataclass(frozen=True)
class Setting:
    """A way to measure, and which probes it can move; `nudge` seeds what start weights and inputs are moved by."""

    name: str
    probes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    nudge: int | None = None


PLAIN = Setting("as it is")


def _setting(probes: tuple[str, ...], *variables: str) -> Setting:
    return Setting(", ".join(variables), probes, dict(variable.split("=") for variable in variables))


SETTINGS: tuple[Setting, ...] = (
    Setting("two threads", (*NETWORKS, "scans"), {"OMP_WAIT_POLICY": "passive"}, threads=2),  # which do not spin where cores are busy
    _setting(NETWORKS, "ATEN_CPU_CAPABILITY=default"),
    _setting(NETWORKS, "ATEN_CPU_CAPABILITY=avx2"),
    _setting(NETWORKS, "ONEDNN_MAX_CPU_ISA=SSE41"),
    _setting(NETWORKS, "ONEDNN_MAX_CPU_ISA=AVX2"),
    _setting(NETWORKS, "MKL_ENABLE_INSTRUCTIONS=SSE4_2"),
    _setting(NETWORKS, "MKL_ENABLE_INSTRUCTIONS=AVX2"),
    _setting((*NETWORKS, "scans"), "NUMBA_CPU_NAME=generic", "NUMBA_CPU_FEATURES="),
    _setting(PLAIN_NUMPY, "NPY_DISABLE_CPU_FEATURES=X86_V3 X86_V4 AVX512_ICL AVX512_SPR"),
    _setting(("scans",), "SUITE_MARCH=x86-64"),
    _setting(("scans",), "SUITE_MARCH=x86-64-v3"),
)


def make_nudge(number: int) -> Setting:
    """Return the setting of a draw, numbered from 1."""
    return Setting(f"start and inputs nudged by {SIZE:g}, draw {number}", NUDGED, nudge=number)


def list_parts(names: Sequence[str]) -> list[tuple[str, ProbePart]]:
    """Return the parts of these probes, with the probes' names."""
    held = probes.choose_probes()
    return [(name, part) for name in names if name in held for part in held[name].parts()]


def measure_parts(parts: Sequence[tuple[str, ProbePart]], setting: Setting = PLAIN) -> Measured:
    """Measure the numbers of `parts`, with progress on standard error; SuiteError where a process dies.

    A single part is measured in this process unless the setting asks for another. The longest parts begin first.
    """
    if len(parts) == 1 and setting == PLAIN:
        return {(probe, part.name): _measure_part(probe, part) for probe, part in parts}
    keys = [(probe, part.name) for probe, part in sorted(parts, key=lambda item: -item[1].seconds)]
    found = dict(show_progress(_by_processes(keys, setting), len(keys), "parts measured"))
    return {(probe, part.name): found[probe, part.name] for probe, part in parts}


def _by_processes(keys: Sequence[PartKey], setting: Setting) -> Iterator[tuple[PartKey, list[Number]]]:
    """Yield parts as they are measured. Each process has the parts that fall to it from the outset: every second of two, by length."""
    count = min(len(keys), max(1, count_cores() // setting.threads))
    said: queue.Queue[tuple[PartKey, list[Number]] | BaseException] = queue.Queue()
    environment = environment_for(setting.threads) | dict(setting.environment)

    def follow(own: Sequence[PartKey]) -> None:
        try:
            asked = {"parts": own, "nudge": setting.nudge, "threads": setting.threads}
            for _, answer in ask("suite.health.gate_measure:answer", asked, environment, "the gate"):
                said.put((tuple(answer["part"]), [Number(**number) for number in answer["numbers"]]))
        except BaseException as error:  # raised where the numbers are waited for
            said.put(error)

    for number in range(count):
        threading.Thread(target=follow, args=(keys[number::count],), daemon=True).start()
    for _ in keys:
        found = said.get()
        if isinstance(found, ChildDied):
            raise SuiteError(
                f"a process that measures for the gate died, so nothing was compared: {found}", exit=Exit.INCOMPLETE
            ) from found
        if isinstance(found, BaseException):
            raise found
        yield found


def _measure_part(probe: str, part: ProbePart) -> list[Number]:
    """Measure the numbers of a part; one with the error in it stands for those that an error kept from being made."""
    found = []
    try:
        found += part.numbers()
    except Exception as error:  # any failure is a finding
        found.append(Number(f"{probe}/{part.name}", "digest", None, error=f"{type(error).__name__}: {error}"))
    return found


def answer(asked: dict[str, Any], say: Say) -> None:
    """Measure what is asked in a process of its own, a part at a time."""
    limit_threads(asked["threads"])
    wanted = [tuple(key) for key in asked["parts"]]
    with plugins.loaded((), installed=False), nudged(asked["nudge"]):
        held = {(probe, part.name): part for probe, part in list_parts(list(dict.fromkeys(probe for probe, _ in wanted)))}
        for probe, name in wanted:
            numbers = [asdict(number) for number in _measure_part(probe, held[probe, name])]
            say("measured", {"part": (probe, name), "numbers": numbers})


def name_instructions() -> str:
    """Name the instruction sets that this processor's libraries use, e.g. "AVX512, cascadelake"."""
    return f"{torch.backends.cpu.get_cpu_capability()}, {binding.get_host_cpu_name()}"

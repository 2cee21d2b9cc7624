"""results/machines: times of networks by machine, one file each, committed, which others extend with their own.

A file says what the machine is, not whose: processor, cores, memory, instruction set, GPU; no host name, no user, no path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pydantic
from pydantic import Field

from suite.core.errors import Exit, SuiteError
from suite.core.files import replacing
from suite.core.paths import shipped_folder
from suite.records.kinds.profile import ProfileRecord
from suite.records.ledger import results_folder
from suite.records.record import Frozen

FOLDER = "machines"


class MachineTime(Frozen):
    """A network's time on one image, as `profile --time` took it on a quiet machine."""

    model: str
    input_size: tuple[int, int] = Field(description="height, width in pixels of the low-quality input")
    backend: str
    device: Literal["cpu", "cuda"]
    threads: int = Field(ge=1)
    median_ms: float = Field(gt=0)
    quartiles_ms: tuple[float, float]
    samples: int = Field(ge=1)
    peak_memory_mib: float | None = Field(None, ge=0)
    torch: str
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    commit: str = Field(description="of the suite; unknown where there was none")

    @property
    def key(self) -> tuple[str, int, int, str, str, int]:
        """Return what a time is of; a machine has one for each."""
        return self.model, *self.input_size, self.backend, self.device, self.threads


class MachineFile(Frozen):
    """A machine and its times."""

    schema_version: Literal[1] = Field(1, alias="schema")
    cpu: str
    cores: int = Field(ge=1)
    memory_gib: float
    instructions: str = Field(description="the widest that PyTorch uses, e.g. AVX512")
    gpu: str = ""
    times: tuple[MachineTime, ...]

    @property
    def file(self) -> str:
        """The name of its file: processor, cores and GPU."""
        words = f"{self.cpu} {self.cores} cores {self.gpu}".lower()
        return re.sub(r"[^a-z0-9]+", "-", words).strip("-") + ".json"

    def is_like(self, cpu: str, cores: int, gpu: str) -> bool:
        """Tell whether times of it may stand for another machine: processor, number of cores and GPU are the same."""
        return (self.cpu, self.cores, self.gpu) == (cpu, cores, gpu)

    def extended(self, times: Iterable[MachineTime]) -> MachineFile:
        """Return it with `times`, which replace those of the same network, size, backend, device and threads."""
        held = {one.key: one for one in (*self.times, *times)}
        return self.model_copy(update={"times": tuple(held[key] for key in sorted(held))})


def machines_folder() -> Path:
    """Return the folder that times are saved to, the checkout's where there is one; it need not exist."""
    return results_folder() / FOLDER


def read_machines(folder: Path | None = None) -> list[MachineFile]:
    """Read every file, by name, of `folder`, or else of what comes with the code and of what was saved; what was saved goes first.

    SuiteError says which cannot be read, and what is wrong in it.
    """
    folders = (folder,) if folder else (shipped_folder("results") / FOLDER, machines_folder())
    held = {path.name: path for one in folders for path in one.glob("*.json")}
    return [_read(held[name]) for name in sorted(held)]


def _read(path: Path) -> MachineFile:
    try:
        found = MachineFile.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} cannot be read: {error}.", exit=Exit.NOT_READY) from None
    except pydantic.ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc'])) or 'file'}: {one['msg']}" for one in error.errors()]
        raise SuiteError(f"{path} does not describe the times of a machine:\n" + "\n".join(lines), exit=Exit.NOT_READY) from None
    if path.name != found.file:
        raise SuiteError(f"{path} is of the machine whose file is called {found.file}. Rename it.", exit=Exit.NOT_READY)
    return found


def save_times(machine: MachineFile, records: Iterable[ProfileRecord], folder: Path | None = None) -> tuple[Path, int, list[ProfileRecord]]:
    """Write or extend the file of `machine` by the records' times; return it, how many it took, and those that it refuses: noisy ones.

    SuiteError where none is left, or the folder cannot be written.
    """
    timed = [record for record in records if record.latency is not None]
    noisy = [record for record in timed if record.latency.noisy]
    times = [_time_of(record) for record in timed if not record.latency.noisy]
    if not times:
        why = "other programs used the machine during all of them" if noisy else "nothing was timed"
        raise SuiteError(f"no time is saved: {why}. Close what else runs, and repeat the command.", exit=Exit.NOTHING)
    path = (folder or machines_folder()) / machine.file
    written = (_read(path) if path.is_file() else machine).extended(times)
    text = written.model_dump_json(indent=1, by_alias=True) + "\n"
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror or error}.", exit=Exit.NOT_READY) from error
    return path, len(times), noisy


def _time_of(record: ProfileRecord) -> MachineTime:
    spec, found, made = record.spec, record.latency, record.provenance
    return MachineTime(
        model=spec.model,
        input_size=spec.input_size,
        backend=spec.backend,
        device=spec.device,
        threads=spec.threads,
        median_ms=found.median_ms,
        quartiles_ms=found.quartiles_ms,
        samples=len(found.samples_ms),
        peak_memory_mib=found.peak_memory_mib,
        torch=made.packages.get("torch", "unknown"),
        date=made.finished[:10],
        commit=made.commit,
    )


def list_times(machines: Iterable[MachineFile]) -> list[dict[str, object]]:
    """Return the rows of the table of all machines' times."""
    return [
        {
            "machine": f"{one.cpu}, {one.cores} cores, {one.instructions}" + (f", {one.gpu}" if one.gpu else ""),
            "network": time.model,
            "input (HxW)": "x".join(map(str, time.input_size)),
            "on": f"{time.device}, {time.backend}, {time.threads} threads",
            "median, ms": f"{time.median_ms:.1f}",
            "quartiles, ms": "{:.1f} to {:.1f}".format(*time.quartiles_ms),
            "peak MiB": None if time.peak_memory_mib is None else f"{time.peak_memory_mib:.0f}",
            "torch": time.torch,
            "date": time.date,
            "commit": time.commit[:12],
        }
        for one in machines
        for time in one.times
    ]

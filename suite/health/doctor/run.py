"""Running the doctor's checks, each in a process of its own, so that one that crashes or hangs is a line and no end.

The processes are forks of one that has loaded PyTorch (preloaded.py). If loading it kills that one, or does not end, each check
begins by itself.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.machine import count_cores
from suite.core.paths import python_path
from suite.core.process import changed_environment
from suite.core.redaction import redact
from suite.health.doctor import checks
from suite.health.doctor.findings import Check, Diagnosis, Question

STATES = ("ok", "warning", "problem")
REPORT = "report this line, with what `python -m suite doctor --json` prints"
AGAIN = "python -m suite doctor (again, when less else runs here; if it stays so: " + REPORT + ")"

Running = tuple[BaseProcess, connection.Connection, float]  # where its findings come from, and when it is late


def diagnose(*, deep: bool = False, ledger: Path | None = None) -> list[Diagnosis]:
    """Make every check of checks.CHECKS, the deep ones only if asked to, and return what they found, in their order, safe to publish."""
    if not hasattr(os, "fork"):
        raise SuiteError("doctor needs a POSIX system, as runs do; reading and reporting work elsewhere.", exit=Exit.NOT_READY)
    asked = [check for check in checks.CHECKS if deep or not check.deep]
    found = _make(asked, str(ledger.absolute()) if ledger else "")
    return [replace(one, found=redact(" ".join(one.found.split())), mend=redact(" ".join(one.mend.split()))) for one in found]


def _make(asked: Sequence[Check], ledger: str) -> list[Diagnosis]:
    """Make the checks that are asked for, as many at a time as there are cores, and return their findings in order."""
    method = _start_method()
    environment = {**os.environ, "PYTHONPATH": python_path(), "RAY_USAGE_STATS_ENABLED": "0"}
    found: dict[int, list[Diagnosis]] = {}
    waiting, running = sorted(range(len(asked)), key=lambda place: asked[place].seconds), {}  # those that may compile go first
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        while waiting or running:
            while waiting and len(running) < max(2, count_cores()):
                place = waiting.pop(0)
                running[place] = _start(method, asked[place], ledger, environment, Path(name) / str(place))
            soonest = min(latest for _, _, latest in running.values())
            connection.wait([process.sentinel for process, _, _ in running.values()], max(0.0, soonest - time.monotonic()))
            for place, (process, findings, latest) in list(running.items()):
                if not process.is_alive() or time.monotonic() > latest:
                    found[place] = _end(asked[place], process, findings, Path(name) / str(place))
                    del running[place]
    return [one for _, findings in sorted(found.items()) for one in findings]


def _start_method() -> str:
    """Start the process that checks are forked from, and return "forkserver"; "spawn" where loading PyTorch ended it."""
    multiprocessing.set_forkserver_preload(["suite.health.doctor.preloaded"])
    try:
        own = {"PYTHONPATH": python_path(), "PYTHONSAFEPATH": "1"}  # it finds the suite, and nothing of the working folder
        with changed_environment(own):
            multiprocessing.get_context("forkserver").Process(target=int).start()
    except (OSError, EOFError):
        return "spawn"
    return "forkserver"


def _start(method: str, check: Check, ledger: str, environment: dict[str, str], output: Path) -> Running:
    """Start a process that makes one check."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context(method).Process(target=_live, args=(check, ledger, environment, str(output), sender))
    process.start()
    sender.close()
    return process, receiver, time.monotonic() + check.seconds


def _live(check: Check, ledger: str, environment: dict[str, str], output: str, sender: connection.Connection) -> None:
    """Make one check in this process; what libraries print goes to the file `output`."""
    os.environ.clear()
    os.environ.update(environment)  # which may have changed since the process that this is a fork of began
    file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sender.send(check.function(Question(check.subject, ledger)))
    os._exit(0)  # threads of libraries are not waited for


def _end(check: Check, process: BaseProcess, findings: connection.Connection, output: Path) -> list[Diagnosis]:
    """Return what a check said, or how it ended without saying anything; one that is late is killed."""
    late = process.is_alive()
    process.kill()
    process.join()
    with findings, contextlib.suppress(EOFError):  # it ended with 0 and said nothing
        if late:
            return [Diagnosis(check.name, "warning", _describe_late(check), check.mend or AGAIN)]
        if process.exitcode == 0:
            return [replace(one, check=one.check or check.name) for one in findings.recv()]
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines() if output.is_file() else []
    last = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
    return [Diagnosis(check.name, "problem", f"the check {_describe_end(process.exitcode)}{last}", REPORT)]


def _describe_late(check: Check) -> str:
    """Say that a check was not waited for, and why it may have taken so long: that tells nothing of what it checks."""
    load, cores = os.getloadavg()[0], count_cores()
    busy = [f"this machine is busy (a load of {load:.0f} on {cores} {'core' if cores == 1 else 'cores'})"] if load > cores else []
    why = "; ".join([*([check.late] if check.late else []), *busy])
    return f"not known: no answer within {check.seconds:g} s" + (f" ({why})" if why else "")


def _describe_end(code: int) -> str:
    if code >= 0:
        return "failed" if code == 1 else f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"

"""Running the checks of `suite.health.doctor`, each in a process of its own, so that one that crashes or hangs is a line and no end.

The processes are forks of one that has loaded PyTorch, which takes seconds. If loading it kills that one, each check begins by itself.

    python -m suite.health.doctor_run FOLDER MODULES     runs FOLDER/jobs.json; what each says is in FOLDER/<number>.out, the rest in .err
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

from suite.core.errors import Exit, SuiteError
from suite.core.machine import cores
from suite.core.paths import python_path
from suite.core.redaction import redacted
from suite.health.doctor import CHECKS, Check, Finding, Question

STATES = ("ok", "warning", "problem")
PRELOADED = ("torch", "numpy")
CODES = "codes.json"  # exit codes in the order of the jobs; None: did not end in time
REPORT = "report this line, with what `python -m suite doctor --json` prints"
POLL_SECONDS = 0.02


def diagnosis(*, deep: bool = False, ledger: Path | None = None, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """What every check found, in their order, fit to be shown to anyone."""
    if not hasattr(os, "fork"):
        raise SuiteError("doctor needs a POSIX system, as runs do; reading and reporting work elsewhere.", exit=Exit.NOT_READY)
    chosen = [check for check in checks if deep or not check.deep]
    where = str(ledger.absolute()) if ledger else ""
    found = _together(chosen, where, PRELOADED)
    if found is None:
        lost = Finding("", "problem", "its process cannot be started", REPORT)
        found = [(_together([check], where, ()) or [[replace(lost, check=check.name)]])[0] for check in chosen]
    return [
        Finding(one.check, one.state, redacted(" ".join(one.found.split())), redacted(" ".join(one.mend.split())))
        for findings in found
        for one in findings
    ]


def _together(checks: Sequence[Check], ledger: str, preloaded: Sequence[str]) -> list[list[Finding]] | None:
    """The findings of each check, from forks of one process; None where that one died."""
    jobs = [
        (f"{one.function.__module__}:{one.function.__qualname__}", asdict(Question(one.subject, ledger)), one.seconds) for one in checks
    ]
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        folder = Path(name)
        (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": python_path(), "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-m", "suite.health.doctor_run", name, ",".join(preloaded)]
        limit = 60 + sum(one.seconds for one in checks)
        with contextlib.suppress(subprocess.TimeoutExpired):
            quiet = subprocess.DEVNULL  # what is loaded may print what is private
            subprocess.run(command, stdout=quiet, stderr=quiet, timeout=limit, check=False, env=environment)  # noqa: S603 - this file
        if not (folder / CODES).is_file():
            return None
        codes = json.loads((folder / CODES).read_text(encoding="utf-8"))
        return [_findings(check, codes[place], folder / str(place)) for place, check in enumerate(checks)]


def _findings(check: Check, code: int | None, place: Path) -> list[Finding]:
    """What a check said, or how it ended without saying anything."""
    if code is None and check.late:
        return [Finding(check.name, "warning", f"{check.late} ({check.seconds:g} s)", check.mend)]
    if code is None:
        return [Finding(check.name, "problem", f"the check did not end within {check.seconds:g} s", REPORT)]
    if code == 0:
        held = (Finding(**raw) for raw in json.loads(place.with_suffix(".out").read_text(encoding="utf-8")))
        return [replace(one, check=one.check or check.name) for one in held]
    lines = place.with_suffix(".err").read_text(encoding="utf-8", errors="replace").splitlines()
    last = next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
    return [Finding(check.name, "problem", f"the check {_ended(code)}{last}", REPORT)]


def _ended(code: int) -> str:
    if code >= 0:
        return "failed" if code == 1 else f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _family(folder: Path, preloaded: str) -> None:
    """Runs the jobs of `folder`, as many at a time as there are cores, and writes how each ended."""
    jobs = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    for name in filter(None, preloaded.split(",")):
        with contextlib.suppress(Exception):  # what cannot be imported is a finding of the checks that import it
            importlib.import_module(name)
    codes: list[int | None] = [None] * len(jobs)
    waiting, running = sorted(range(len(jobs)), key=lambda place: jobs[place][2]), {}  # those that may compile go first
    while waiting or running:
        while waiting and len(running) < max(2, cores()):
            place = waiting.pop(0)
            running[_born(folder / str(place), *jobs[place][:2])] = place, time.monotonic() + jobs[place][2]
        for process, (place, latest) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                codes[place] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > latest:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
            else:
                continue
            del running[process]
        time.sleep(POLL_SECONDS)
    (folder / CODES).write_text(json.dumps(codes), encoding="utf-8")


def _born(place: Path, function: str, question: dict[str, str]) -> int:
    """The number of a new process that makes one check. What libraries print goes to its .err file."""
    process = os.fork()
    if process == 0:
        _live(place, function, question)
    return process


def _live(place: Path, function: str, question: dict[str, str]) -> NoReturn:
    code = 1
    try:
        errors = os.open(place.with_suffix(".err"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        module, _, name = function.partition(":")
        found = getattr(importlib.import_module(module), name)(Question(**question))
        place.with_suffix(".out").write_text(json.dumps([one.as_dict() for one in found]), encoding="utf-8")
        code = 0
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else 1
    except BaseException:  # told in the file, and by the exit code
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _family(Path(sys.argv[1]), sys.argv[2])

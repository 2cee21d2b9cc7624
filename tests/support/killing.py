"""A small grid that is killed at random moments, begun again by the same command, and compared with one that nothing befell."""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

import observed
import torch
from kept_weights import find_kept
from places import ROOT, SUPPORT
from processes import PATIENCE, alive, command_line, descendants, parent_of
from small_pictures import write_splits

from models.checkpoints import find_tensors
from suite.cli import main
from suite.core.errors import Exit
from suite.records.ledger import Ledger

AIM_SECONDS = 12.0  # that a state is waited for, before another is aimed at
LONGEST = {"starting": 3.0, "training": 0.5, "waiting": 0.5}  # seconds until the blow, from when the state is seen
SHORTEST = 0.03  # of the longest, in the other states
TRIES = 4  # of the command, to end what was killed

FEEDING = ("profiling", "training", "training", "writing", "evaluating")  # what it is at for whom batches are made
INLINE = {"driver": ("starting", "training", "writing", "evaluating", "recording", "clearing", "reporting"), "loader": FEEDING}
RAY = {
    "driver": ("starting", "waiting", "recording", "clearing", "reporting"),
    "cell": ("starting", "training", "writing", "evaluating"),
    "loader": FEEDING,
}
SHARED = {
    "driver": ("starting", "waiting", "recording", "clearing"),
    "cell": ("training", "evaluating"),
    "worker": ("starting", "training", "writing"),
    "controller": ("any",),
}
CONTROLLER = "TrainController"


@dataclass(frozen=True)
class Setting:
    """How the grid is run, and what is aimed at: states by role."""

    words: tuple[str, ...]
    aims: dict[str, tuple[str, ...]]
    seeds: int = 1
    only: str = "no-conv"  # of the grid: two cells a seed


@dataclass
class Toll:
    """What was killed, in which state, how often; and the records of failed attempts."""

    kills: collections.Counter = field(default_factory=collections.Counter)
    failed: int = 0
    rounds: int = 0
    starts: int = 0

    def __str__(self):
        lines = [f"  {count} x {role}, {state}" for (role, state), count in sorted(self.kills.items())]
        head = f"{self.kills.total()} kills, {self.rounds} grids, {self.starts} starts of the command, {self.failed} failed attempts"
        return "\n".join([head, *lines])


def command(folder, sets, setting):
    """The command line of the grid in `folder`."""
    small = {"width": 8, "depth_divisor": 6, "patch": 16, "batch": 2, "iterations": 40, **sets}
    words = [word for name, value in small.items() for word in ("--set", f"{name}={value}")]
    where = ["--ledger", str(folder / "runs"), "--report", str(folder / "report")]
    grid = [
        "--grid",
        "mambair-tables-1-2",
        "--only",
        setting.only,
        "--seeds",
        str(setting.seeds),
        "--device",
        "cpu",
        "--cpus-per-cell",
        "1",
    ]
    return [sys.executable, str(SUPPORT / "observed.py"), "run", *grid, *words, *where, *setting.words]


@contextlib.contextmanager
def started(folder, sets, setting):
    """The command, running, with its output in `folder`/output; killed where it has not ended."""
    states = folder / "states"
    states.mkdir(parents=True, exist_ok=True)
    for old in states.iterdir():
        old.unlink()
    found = filter(None, [str(SUPPORT), str(ROOT), os.environ.get("PYTHONPATH")])
    told = {"PYTHONPATH": os.pathsep.join(found), observed.FOLDER: str(states), "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command(folder, sets, setting), env=os.environ | told, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def seen(folder):
    """Role and state of every live process that said something."""
    found = {}
    for path in (folder / "states").iterdir():
        role, _, state = path.read_text().partition(" ")
        if state and alive(int(path.name)):
            found[int(path.name)] = (role, state)
    return found


def targets(folder, driver, role, state):
    """Processes of that role in that state."""
    if role == "controller":
        return [process for process in descendants(driver.pid) if CONTROLLER in command_line(process)]
    said = seen(folder)
    if role == "loader":  # what it is at is told by the one that it makes batches for
        return [process for process in said if said[process][0] == role and said.get(parent_of(process), ("", ""))[1] == state]
    return [process for process in said if said[process] == (role, state)]


def blow(folder, driver, aims, chance):
    """Kills one process, drawn by chance like its state; gives role and state, or None where the command ended before."""
    while True:
        role, state = chance.choice([(role, state) for role in sorted(aims) for state in aims[role]])
        until = time.monotonic() + AIM_SECONDS
        while time.monotonic() < until and driver.poll() is None:
            there = targets(folder, driver, role, state)
            if not there:
                time.sleep(0.003)
                continue
            target = chance.choice(sorted(there))
            time.sleep(chance.uniform(0, LONGEST.get(state, SHORTEST)))
            said = seen(folder)
            at = said.get(parent_of(target), ("", "gone"))[1] if role == "loader" else said.get(target, ("", state))[1]
            with contextlib.suppress(ProcessLookupError):
                if alive(target):
                    os.kill(target, signal.SIGKILL)
                    return role, at
        if driver.poll() is not None:
            return None


def small_sets(folder):
    """Pictures for the cells; the sets as fields of a spec."""
    folder.mkdir(exist_ok=True)
    return write_splits(folder)


def killed(folder, sets, setting, kills, chance, toll):
    """One grid: at most `kills` blows, each followed by the same command at once where it has ended, and then its end."""
    toll.rounds += 1
    struck(folder, sets, setting, kills, chance, toll)
    finish(folder, sets, setting, toll)


def struck(folder, sets, setting, kills, chance, toll):
    """At most `kills` blows, until the grid is done; the last command goes on to its end, where it lives."""
    while kills:
        with started(folder, sets, setting) as driver:
            toll.starts += 1
            while kills and (hit := blow(folder, driver, setting.aims, chance)) is not None:
                toll.kills[hit] += 1
                kills -= 1
                sys.stdout.write(f"killed: {hit[0]}, {hit[1]}\n")
                if hit[0] == "driver":
                    driver.wait()
            ended = driver.wait(timeout=4 * PATIENCE)
        if ended == Exit.DONE:
            return
        assert ended in (Exit.INCOMPLETE, -signal.SIGKILL), tail(folder)


def finish(folder, sets, setting, toll):
    """The command again and again, until it says that all is done."""
    for _ in range(TRIES):
        with started(folder, sets, setting) as driver:
            toll.starts += 1
            code = driver.wait(timeout=4 * PATIENCE)
        if code == Exit.DONE:
            return
        assert code == Exit.INCOMPLETE, tail(folder)
    raise AssertionError(tail(folder))


def tail(folder):
    """The end of what the commands wrote."""
    return (folder / "output").read_text(errors="replace")[-4000:]


def assert_as_undisturbed(folder, reference, toll):
    """Nothing of the grid in `folder` is lost, doubled, torn or another number than in `reference`."""
    ledger, whole = Ledger(folder / "runs"), Ledger(reference / "runs")
    entries, wanted = ledger.entries(), whole.entries()
    done = [entry.fingerprint for entry in entries if entry.status == "done"]
    assert done == [entry.fingerprint for entry in wanted]
    toll.failed += len(entries) - len(done)
    records = [{record.fingerprint: record for record in each.records()} for each in (ledger, whole)]  # every file is read
    for fingerprint in done:
        ours, theirs = (each[fingerprint] for each in records)
        assert ours.scores == theirs.scores
        assert ours.crops == theirs.crops
        assert [(point.loss, point.validation) for point in ours.history] == [(point.loss, point.validation) for point in theirs.history]
        assert len(ours.iteration_seconds) == len(theirs.iteration_seconds)
        states = [find_tensors(torch.load(find_kept(each.weights, ours.spec), weights_only=True)).state for each in (ledger, whole)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        if ours.provenance.launcher == "inline" or (whole.logs / f"{fingerprint}.jsonl").is_file():
            lines = [json.loads(line) for line in (ledger.logs / f"{fingerprint}.jsonl").read_text().splitlines()]
            assert [line["iteration"] for line in lines if "loss" in line] == [point.iteration for point in ours.history]
    assert tables(folder) == tables(reference)
    assert files(folder) == files(reference)


def tables(folder):
    """The lines of the final tables, without when and how numbers were made."""
    assert main.main(["report", "--ledger", str(folder / "runs"), "--format", "json", "--out", str(folder / "tables")]) == 0
    document = json.loads((folder / "tables" / "tables.json").read_text())
    for table in document["tables"]:
        for row in table["rows"]:
            for cell in row["cells"].values():
                if cell["measured"]:
                    del cell["measured"]["origin"]
    return json.dumps(document, indent=1).splitlines()


def files(folder):
    """Names of all that lies in the ledger and the report, but failed attempts and TensorBoard's events, of which each start adds one."""
    found = set()
    for path in [*(folder / "runs").rglob("*"), *(folder / "report").rglob("*")]:
        name = str(path.relative_to(folder))
        if path.is_file() and not name.endswith(".failed.json") and "tensorboard" not in name:
            head, _, rest = path.name.partition(".")
            found.add(name if not rest.endswith("done.json") else f"runs/{head}.done.json")
    return sorted(found) + sorted(path.name for path in (folder / "runs" / "work").iterdir())

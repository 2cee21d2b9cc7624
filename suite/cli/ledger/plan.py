"""`claims --plan`: from claims and the commands that would decide them to a plan, and back to commands."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli import run as run_verb
from suite.cli.measure import evaluate, profile
from suite.runner.cell_time import GpuClock
from suite.runner.decide import Asked, DecisionPlan, Step, Workshop, find_trained, plan_decisions, simulate_days, training_key
from suite.runner.plan import plan_cells
from suite.study.weights_register import load

if TYPE_CHECKING:
    from suite.records.record import Attempt
    from suite.records.spec import RunSpec
    from suite.report.claims.verdict import Judgement

PROGRAM = ("python", "-m", "suite")
DECIDING: Mapping[str, ModuleType] = MappingProxyType({"run": run_verb, "evaluate": evaluate, "profile": profile})  # verbs that claims name
BACKEND, DEVICE = "triton", "cuda"  # of the cells that are planned; no cost depends on the backend


def make_plan(found: Sequence[Judgement], records: Sequence[Attempt], kind: str) -> DecisionPlan:
    """Return the plan for the claims, on GPUs of this kind."""
    workshop = Workshop(GpuClock(kind, records))
    sets = _sets_together(found)
    asked = {one.claim.id: tuple(_ask(workshop, one, command, sets) for command in one.commands) for one in found}
    return plan_decisions(found, asked, find_trained(records))


@cache
def replay_run(command: str, *, backend: str = BACKEND, device: str = DEVICE) -> tuple[RunSpec, ...]:
    """Return the cells that a printed `run` command selects, by the plan that `run` makes of it."""
    options = parse(command)
    found = plan_cells(
        options.grid,
        budget=options.budget,
        seeds=options.seeds,
        only=options.only,
        changes=dict(options.set),
        backend=backend if options.backend == "auto" else options.backend,
        device=device if options.device == "auto" else options.device,
        account=options.recipe,
    )
    return tuple(found)


@cache
def parse(command: str) -> argparse.Namespace:
    """Return the options of a printed command, with its `verb`; ValueError where it is none that decides claims."""
    words = shlex.split(command)
    if tuple(words[:3]) != PROGRAM or words[3] not in DECIDING:
        raise ValueError(f"{command!r} is none of {', '.join(DECIDING)} of `{' '.join(PROGRAM)}`")
    parser = common.Parser()
    DECIDING[words[3]].add_arguments(parser)
    return parser.parse_args(words[4:], argparse.Namespace(verb=words[3]))


def merge_commands(commands: Sequence[str]) -> list[str]:
    """Join commands into fewer that do the same: runs that differ in --only alone, and profiles that differ in the models alone."""
    merged: dict[tuple[str, ...], dict[str, None]] = {}
    for command in commands:
        options, words = parse(command), shlex.split(command)[len(PROGRAM) :]
        names = {"run": "only", "profile": "model"}.get(options.verb)
        names = getattr(options, names) if names else ()
        rest = tuple(word for word in words if word not in (*names, "--only"))
        merged.setdefault(rest, {}).update(dict.fromkeys(names))
    joined = []
    for (verb, *rest), names in merged.items():
        more = [word for name in names for word in ("--only", name)] if verb == "run" else list(names)
        joined.append(shlex.join([*PROGRAM, verb, *rest, *more] if verb == "run" else [*PROGRAM, verb, *more, *rest]))
    return joined


def _sets_together(found: Sequence[Judgement]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the test sets that any claim needs of a network with given weights on a task: they are measured in one go."""
    sets: dict[tuple[str, str], dict[str, None]] = {}
    for command in (command for one in found for command in one.commands):
        options = parse(command)
        if options.verb == "evaluate":
            sets.setdefault((options.model, options.task), {}).update(dict.fromkeys(options.data))
    return {key: tuple(names) for key, names in sets.items()}


def _ask(workshop: Workshop, one: Judgement, command: str, sets: dict[tuple[str, str], tuple[str, ...]]) -> Asked:
    options = parse(command)
    if options.verb == "run":
        test_set = dict(options.set).get("test_set")
        return workshop.train(command, replay_run(command), data=[test_set] if test_set else ())
    if options.verb == "evaluate":
        names = sets[options.model, options.task]
        whole = shlex.join([*PROGRAM, "evaluate", options.model, "--task", options.task, "--weights", "FILE", "--data", *names])
        return workshop.evaluate(whole, options.model, options.task, names, weights=_weights(one, options.task))
    timed = options.time and options.device == "cuda"
    return workshop.other(command, options.seconds * len(options.model) if timed else 0.0)


def _weights(one: Judgement, task: str) -> list[str]:
    """Return the register's files that belong to the claim's row."""
    row = one.claim.row.replace(".", "/", 1)
    return [file.name for file in _register().files if row in file.rows and file.task in ("", task)]


_register = cache(load)


def summarise_plan(plan: DecisionPlan, gpus: int) -> dict[str, object]:
    """Return the plan for `--json`: each step with its hours, disk, data and days, and the sum of all."""
    steps = [_as_dict(step, gpus) | {"commands": merge_commands(step.commands)} for step in plan.steps]
    total = _as_dict(plan.total(), gpus) | {"commands": merge_commands(plan.total().commands), "days": list(total_days(plan, gpus))}
    left_out = {"too close to tell": plan.close, "no command of the suite decides": plan.undecidable}
    names = {why: [one.claim.id for one in held] for why, held in left_out.items()}
    return {"steps": steps, "total": total, "decided": plan.decided, **names}


def total_days(plan: DecisionPlan, gpus: int) -> tuple[float, float]:
    """Return the days of the whole plan on so many GPUs: evaluations side by side, then one `run` after another, as they are merged."""
    total = plan.total()
    pieces = {piece.key: piece for piece in total.pieces}
    phases = [[piece for piece in pieces.values() if not piece.trains]]
    commands = merge_commands([one for one in total.commands if parse(one).verb == "run"])
    phases += [[pieces.pop(key) for key in _training_keys(command) if key in pieces] for command in commands]
    ends = [simulate_days(phase, gpus) for phase in phases]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def _training_keys(command: str) -> list[str]:
    return list(dict.fromkeys(training_key(spec) for spec in replay_run(command)))


def _as_dict(step: Step, gpus: int) -> dict[str, object]:
    return {
        "decides": [one.claim.id for one in step.claims],
        "gpu_hours": list(step.hours),
        "days": list(step.days(gpus)),
        "basis": list(step.bases),
        "disk_gib": step.disk_gib(gpus),
        "data": list(step.data),
        "weights": list(step.weights),
    }

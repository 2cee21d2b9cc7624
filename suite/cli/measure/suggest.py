"""`python -m suite suggest`: which network, on this machine, for pictures of this size and within this budget."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.cli.common import read_positive
from suite.cli.measure.profile import choose_timing, read_pixels
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.measure.costs.estimate import Estimator, Size
    from suite.measure.costs.points import Plan
    from suite.records.kinds.profile import ProfileRecord, ProfileSpec
    from suite.records.ledger import Ledger
    from suite.records.machines import MachineFile
    from suite.report.figures.charts import Figure
    from suite.study.tasks import Task

SUMMARY = "suggest networks for a task, a size of pictures and a budget of time and memory on this machine"
EXAMPLE = "suggest --task sr-x4 --size 1080p --max-ms 300"
NAMED_SIZES = {"720p": (720, 1280), "1080p": (1080, 1920)}
LONGEST_SECONDS = 3600.0


def read_size(text: str) -> tuple[int, int]:
    """Read `HxW` or a name of NAMED_SIZES as (height, width) in pixels."""
    return NAMED_SIZES.get(text.lower()) or read_pixels(text, NAMED_SIZES)


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what is needed")
    what.add_argument("--task", required=True, metavar="NAME", help="a name of `list tasks`, e.g. sr-x4")
    what.add_argument(
        "--size",
        type=read_size,
        default="720p",
        metavar="HxW|720p|1080p",
        help="size of the pictures that you have, which go into the network: of super-resolution the small ones (default: %(default)s)",
    )
    what.add_argument("--max-ms", type=read_positive, metavar="N", help="milliseconds that a picture may take (default: no limit)")
    what.add_argument("--max-mib", type=read_positive, metavar="N", help="MiB that it may need beside the weights (default: no limit)")
    what.add_argument("--test-set", default="", metavar="NAME", help="whose quality is compared (default: that of most networks)")
    what.add_argument("--metric", default="", metavar="NAME", help="by which it is compared (default: that of most networks)")
    how = verb.add_argument_group("how times are found")
    how.add_argument(
        "--seconds",
        type=float,
        default=45.0,
        metavar="N",
        help="seconds for measuring what the ledger has no time of; 0 measures nothing (default: %(default)g)",
    )
    common.add_shared(how, "--backend", "--kernel-revision", "--device", "--threads", "--plugin")
    samples = verb.add_argument_group("samples")
    samples.add_argument("--photos", type=Path, metavar="DIR", help="photographs of yours, whose middles are restored for the page")
    samples.add_argument(
        "--weights", type=Path, nargs="+", default=[], metavar="FILE", help=f"to restore them with; each a {common.WEIGHTS}"
    )
    out = verb.add_argument_group("what comes out")
    out.add_argument("--page", type=Path, metavar="FILE", help="also write a page with an interactive chart, and the samples, to this file")
    common.add_shared(out, "--ledger", "--evidence", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Count the candidates, measure what time allows, estimate the rest, and answer."""
    from suite.cli.measure import suggest_text
    from suite.measure.costs.points import gather, order_points
    from suite.records.evidence import read_records
    from suite.records.ledger import Ledger
    from suite.records.machines import read_machines
    from suite.report.suggestions import candidates, choice
    from suite.study.tasks import task as task_row

    task = task_row(options.task)
    _check(options)
    names = candidates.list_candidates(task)
    ledger = Ledger(options.ledger)
    held = read_records(ledger, options.evidence, common.warn_left_out)
    qualities = candidates.find_qualities(task, names, held)
    by = candidates.choose_yardstick(qualities, task, options.test_set, options.metric)
    samples = _sampler(options, task, names)
    plan, exit = _count(names, options, ledger)
    machines = _machines_alike(read_machines())
    estimator, left = _measure(order_points(plan.costs, options.size), gather(held, machines, plan), plan, options.seconds, ledger)
    limits = choice.Limits(options.max_ms, options.max_mib)
    found = choice.choose(
        [suggest_text.make_candidate(plan.costs[name], estimator, candidates.quality_of(name, qualities, by)) for name in plan.costs],
        limits,
        by,
    )
    answer = suggest_text.Answer(
        task, options.size, limits, by, found, estimator, plan, left, tuple(n for n in names if n not in plan.costs)
    )
    if options.page:
        suggest_text.write(options.page, answer, samples())
    if options.json:
        out.document(suggest_text.make_document(answer))
    else:
        suggest_text.show(answer, out)
        if options.page:
            out.line(f"Page: {options.page}")
    return exit


def _check(options: argparse.Namespace) -> None:
    """Raise SuiteError where options do not go together."""
    if not 0 <= options.seconds <= LONGEST_SECONDS:
        raise SuiteError(f"--seconds {options.seconds:g}: it must be 0 to {LONGEST_SECONDS:g}.")
    if bool(options.photos) != bool(options.weights):
        raise SuiteError("--photos and --weights belong together: photographs are restored by networks whose weights are given.")
    if options.photos and not options.page:
        raise SuiteError("--photos puts its samples into a page: name its file with --page FILE.")
    if options.page and options.page.is_dir():
        raise SuiteError(f"--page {options.page} is a folder: name a file, e.g. {options.page / 'suggest.html'}.")


def _sampler(options: argparse.Namespace, task: Task, names: Sequence[str]) -> Callable[[], list[Figure]]:
    """Return what restores the samples at the end; what is wrong with photographs or weights is said now, before anything is measured."""
    if not options.photos:
        return list
    from suite.cli.measure import suggest_samples

    return suggest_samples.prepare(options, task, names)


def _count(names: Sequence[str], options: argparse.Namespace, ledger: Ledger) -> tuple[Plan, Exit]:
    """Count the candidates at the size that is asked for; a network that cannot be counted or takes no picture so small is left out."""
    from suite.measure.costs import grid
    from suite.measure.costs.ahead import counted_ahead, find_needed
    from suite.measure.costs.points import Plan
    from suite.runner.execute import How
    from suite.study.baselines import BASELINES

    timing, reason = choose_timing(argparse.Namespace(**vars(options) | {"seconds": 1.0}))  # of `profile`; points have their own
    specs = []
    absent = [name for name in names if name in BASELINES and importlib.util.find_spec("spandrel") is None]
    if absent:
        note(f"left out, as spandrel is not installed (`pip install -e '.[baselines]'` brings it): {', '.join(absent)}")
    for name in (name for name in names if name not in absent):
        try:
            specs.append(grid.make_spec(name, options.size, None))
        except SuiteError as error:
            note(f"left out: {error}")
    if not specs:
        raise SuiteError(f"--size {options.size[0]}x{options.size[1]}: no network of {options.task} takes pictures so small.")
    note(f"{count_of(len(specs), 'network')}: counted where the ledger does not have it ...")
    with counted_ahead(find_needed(specs, ledger)):
        outcome = common.execute_cells(specs, ledger, How("inline", timing.threads, reason), again=False)
    if outcome.signum is not None:
        raise SuiteError("stopped while counting; what was counted is kept, and the same command goes on from there.", exit=outcome.exit)
    costs = {record.spec.model: record for record in outcome.records if record.status == "done" and record.cost is not None}
    if not costs:
        raise SuiteError("no network could be counted; the lines above say why.", exit=Exit.INCOMPLETE)
    return Plan({name: costs[name] for name in names if name in costs}, timing, reason), outcome.exit


def _machines_alike(machines: Sequence[MachineFile]) -> list[MachineFile]:
    """Return the files of machines like this one."""
    from suite.measure.costs.points import describe_here

    here = describe_here()
    return [one for one in machines if one.is_like(here.cpu, here.cores, here.gpu)]


def _measure(order: Sequence[tuple[str, Size]], estimator: Estimator, plan: Plan, seconds: float, ledger: Ledger) -> tuple[Estimator, int]:
    """Measure the points that fit into `seconds`, each recorded at once, so that the same command goes on where it was stopped."""
    from suite.measure.costs.points import measure_points
    from suite.measure.timing import hold_machine
    from suite.runner.execute import How

    def measure(spec: ProfileSpec) -> ProfileRecord | None:
        outcome = common.execute_cells([spec], ledger, How("inline", plan.timing.threads, plan.reason), again=False)
        if outcome.signum is not None:
            raise SuiteError("stopped while measuring; what was measured is kept, and the same command goes on.", exit=outcome.exit)
        return next(iter(outcome.records), None)

    if seconds:
        note(f"times: measured for {seconds:g} s where the ledger has none ...")
    with hold_machine() if seconds else contextlib.nullcontext():
        return measure_points(order, estimator, plan, seconds, measure)

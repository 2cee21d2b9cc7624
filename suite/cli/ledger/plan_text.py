"""The plan of `claims --plan` as lines for a terminal, and as docs/plan.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from suite.cli.ledger.plan import make_plan, merge_commands, replay_run, total_days
from suite.report.claims.judge import judge_claims
from suite.report.commands import train_command
from suite.runner.cell_time import NOT_MEASURED, GpuClock
from suite.runner.decide import DecisionPlan, Step, Workshop, simulate_days
from suite.runner.needs import describe_set, is_here
from suite.study.accelerators import ACCELERATORS, DEFAULT_KIND, LEAST_USE, MOST_USE
from suite.study.claims import load_claims
from suite.study.published import load_all

NAMED = 3  # claims and sets that a line names
DOC_GPUS = (1, 8, 64)
ONE_GPU = "Each cell is taken as one GPU's; where its batch does not fit there, `--micro-batch` computes it in parts."
LEFT_OUT = (
    "Not counted: validation, what a run loses when it is stopped, and waiting for batches that processes make more slowly than the GPU",
    "takes them (`python -m suite data speed`). Convolutions in TensorFloat-32 may be faster than the peak in float32 says.",
)
WRITTEN = (
    "Written by `python -m suite claims --plan --markdown docs/plan.md`; a test holds it to the code. It is the plan of an empty ledger:",
    "without `--markdown` the command leaves out what is done, and takes times from what was measured.",
)
USE = f"{LEAST_USE * 100:g} to {MOST_USE * 100:g} %"
Span = tuple[float, float]


def write_lines(plan: DecisionPlan, gpus: int, kind: str) -> Iterator[tuple[str, bool]]:
    """Yield the plan's lines, and whether each is a command, which is never folded."""
    total, on = plan.total(), "one GPU" if gpus == 1 else f"{gpus} GPUs"
    yield from ((f"GPU times are {basis}.", False) for basis in total.bases)
    for number, step in enumerate(plan.steps, 1):
        names = [one.claim.id for one in step.claims]
        yield "", False
        yield f"{number}. decides {len(names)}: {_some(names)}", False
        yield f"   {_cost(step, gpus, kind, on)}", False
        if step.data:
            yield f"   data: {_describe_sets(step.data)}", False
        if step.weights:
            yield f"   weights: {', '.join(step.weights)} (`python -m suite weights get NAME`)", False
        yield from ((f"   $ {command}", True) for command in merge_commands(step.commands))
    yield "", False
    if plan.steps:
        cost = f"{format_hours(total.hours)} of one {kind}, {_on(on, total_days(plan, gpus))}" if total.bases else "no GPU"
        claims = "1 claim" if len(total.claims) == 1 else f"{len(total.claims)} claims"
        yield f"In all {claims}: {cost}; {total.disk_gib(gpus):.2f} GiB on disk beside the images.", False
        yield " ".join((ONE_GPU, *LEFT_OUT)), False
    if len(plan.steps) > 1:
        yield "The same in the fewest commands:", False
        yield from ((f"   $ {command}", True) for command in merge_commands(total.commands))
    yield from ((line, False) for line in _left_out(plan))


def _cost(step: Step, gpus: int, kind: str, on: str) -> str:
    if not step.bases:
        return "no GPU: minutes on a processor"
    marked = f" ({NOT_MEASURED})" if any(basis.startswith(NOT_MEASURED) for basis in step.bases) else ""
    cost = f"{format_hours(step.hours)} of one {kind}{marked}, {_on(on, step.days(gpus))}"
    return cost + (f"; disk {step.disk_gib(gpus):.2f} GiB beside the images" if step.parameters else "")


def _on(on: str, days: Span) -> str:
    return f"on {on} {f'{_span(days)} days' if days[1] >= 2 else format_hours((days[0] * 24, days[1] * 24))}"


def format_hours(span: Span) -> str:
    """Write hours, least to most, in the unit that fits the larger one; one figure where both are equal."""
    factor, unit = next((one for one in ((3600, "s"), (60, "min")) if span[1] * one[0] < 90), (1, "h"))
    return f"{_span((span[0] * factor, span[1] * factor))} {unit}"


def write_markdown() -> str:
    """Return docs/plan.md: what the claims and the tables of both papers take, where nothing is measured yet."""
    rates = (
        (one.name, f"{one.fp32:g}", f"{one.bf16:g}" if one.bf16 else "none", one.memory_gb, one.source) for one in ACCELERATORS.values()
    )
    lines = [
        "# What it would take to know",
        "",
        *WRITTEN,
        "",
        f"No training was measured on these GPUs: hours are ranges, from counted operations and {USE} of the peak rate in float32.",
        ONE_GPU,
        *LEFT_OUT,
        "",
        *_claims(),
        "",
        *_anew(),
        "",
        "## Peak rates",
        "",
        *_table(("GPU", "float32, TFLOP/s", "bfloat16", "memory, GB", "source"), rates),
    ]
    return "\n".join(lines) + "\n"


def _claims() -> Iterator[str]:
    """Yield what it takes to decide the claims."""
    found = judge_claims(load_claims(), [])
    plans = {kind: make_plan(found, [], kind) for kind in ACCELERATORS}
    plan = plans[DEFAULT_KIND]
    yield "## The claims"
    yield ""
    yield f"In order, the work that decides the most claims an hour of an {DEFAULT_KIND}. Ablations and the receptive field are trained"
    yield "with three seeds, and a training counts once; other comparisons are decided by the authors' weights."
    yield ""
    yield from _table(("decides", f"time of one {DEFAULT_KIND}", "disk, GiB", "data", "by"), map(_row, plan.steps))
    yield ""
    yield "All of it in days, by a simulated schedule of the commands below, one after another:"
    yield ""
    titles = (f"{gpus} GPU{'s' if gpus > 1 else ''}" for gpus in DOC_GPUS)
    days = ((kind, *(_span(total_days(one, gpus)) for gpus in DOC_GPUS)) for kind, one in plans.items())
    yield from _table(("kind", *titles), days)
    yield ""
    yield from (f"    {command}" for command in merge_commands(plan.total().commands))
    yield ""
    yield from _left_out(plan)


def _anew() -> Iterator[str]:
    """Yield what it takes to train the networks of all tables once."""
    workshop = Workshop(GpuClock(DEFAULT_KIND, []))
    commands = dict.fromkeys(
        train_command(table, row.model, row.task or column.task or table.task)
        for paper in load_all()
        for table in paper.tables
        for row in table.rows
        for column in table.columns
        if row.model and column.kind == "quality"
    )
    pieces = {piece.key: piece for command in commands for piece in workshop.train(command, replay_run(command)).pieces}
    hours = {piece.key: (piece.seconds.low / 3600, piece.seconds.high / 3600) for piece in pieces.values() if piece.seconds}
    specs = {key: spec for key, spec in workshop.specs.items() if key in pieces}
    yield "## Every network of the tables"
    yield ""
    yield f"{len(pieces)} trainings as the papers describe them, one seed each; what begins with another's weights comes after it."
    yield ""
    yield from _table(
        ("network", "recipe", "iterations", "batch", "patch", f"{DEFAULT_KIND} hours"),
        ((f"`{s.model}`", s.recipe, f"{s.iterations:,}", s.batch, s.patch, _span(hours[key])) for key, s in specs.items()),
    )
    yield ""
    total = _add(hours.values())
    days = "; ".join(f"on {gpus}: {_span(simulate_days(list(pieces.values()), gpus))} days" for gpus in DOC_GPUS)
    yield f"In all {_span(total)} {DEFAULT_KIND} hours for one seed; {days}. Three seeds take three times the hours."


def _row(step: Step) -> tuple[object, ...]:
    hours = format_hours(step.hours) if step.bases else "none"
    does = ", ".join(dict.fromkeys(command.split()[3] for command in step.commands))
    models = dict.fromkeys(name for command in step.commands for name in command.split() if name.startswith(("vmambair", "mambair")))
    return len(step.claims), hours, f"{step.disk_gib(1):.2f}", ", ".join(step.data), f"`{does}` {_some(list(models))}"


def _left_out(plan: DecisionPlan) -> Iterator[str]:
    if plan.decided:
        yield f"Decided before: {plan.decided}."
    if plan.close:
        yield f"Measured and too close to tell, {len(plan.close)}: {_some([one.claim.id for one in plan.close])}."
    if plan.undecidable:
        names = _some([one.claim.id for one in plan.undecidable])
        yield f"No command of the suite decides {len(plan.undecidable)}, whose networks or weights it does not have: {names}."


def _describe_sets(names: Sequence[str]) -> str:
    """Return the sets with their numbers of images, those that are missing here apart."""
    told: dict[str, list[str]] = {}
    for name in names:
        told.setdefault("here" if is_here(name) else "missing here", []).append(describe_set(name))
    return "; ".join(f"{where}: {', '.join(sets)}" for where, sets in told.items())


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _add(spans: Iterable[Span]) -> Span:
    lows, highs = zip(*spans, strict=True)
    return sum(lows), sum(highs)


def _span(span: Span) -> str:
    low, high = (f"{end:,.0f}" if end >= 20 else f"{end:.1f}" if end >= 1 else f"{end:.2g}" for end in span)
    return low if low == high else f"{low} to {high}"

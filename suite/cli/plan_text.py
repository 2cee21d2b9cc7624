"""The plan of `claims --plan` as lines for a terminal, and as docs/plan.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from suite.cli.plan import make_plan, merge_commands, replay_run, total_days
from suite.data.cards import card
from suite.data.locate import locate
from suite.report.claims.judge import judge_claims
from suite.report.commands import train_command
from suite.runner.cell_time import GpuClock
from suite.runner.decide import DecisionPlan, Step, Workshop, simulate_days
from suite.study.accelerators import ACCELERATORS, DEFAULT_KIND
from suite.study.claims import load_claims
from suite.study.published import load_all

NAMED = 3  # claims and sets that a line names
DOC_GPUS = (1, 8, 64)
ONE_GPU = "Each cell is taken as one GPU's; where its batch does not fit there, `--micro-batch` computes it in parts."
LEFT_OUT = (
    "Not counted: validation, what processes that make batches take where they are slower than the GPU (`python -m suite data speed`), and "
    "what is lost when a run is stopped. Convolutions in TensorFloat-32 may be faster than the peak in float32 says."
)
Span = tuple[float, float]


def format_hours(span: Span) -> str:
    """Write hours, least to most, in the unit that fits the larger one; one figure where both are equal."""
    factor, unit = next((one for one in ((3600, "s"), (60, "min"), (1, "h")) if span[1] * one[0] < 90), (1, "h"))
    return f"{_span(tuple(end * factor for end in span))} {unit}"


def write_lines(plan: DecisionPlan, gpus: int, kind: str, *, here: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield the plan's lines, and whether each is a command, which is never folded."""
    on = "one GPU" if gpus == 1 else f"{gpus} GPUs"
    for number, step in enumerate(plan.steps, 1):
        names = [one.claim.id for one in step.claims]
        yield f"{number}. decides {len(names)}: {_some(names)}", False
        if step.bases:
            yield f"   {format_hours(step.hours)} of one {kind}, on {on} {format_hours(_hours(step.days(gpus)))}; {step.bases[0]}", False
        else:
            yield "   no GPU: minutes on a processor", False
        if step.data:
            yield f"   data: {'; '.join(_describe_set(name, here=here) for name in step.data)}", False
        if step.weights:
            yield f"   weights: {', '.join(f'`python -m suite weights get {name}`' for name in step.weights)}", False
        if step.parameters:
            yield f"   disk: {step.disk_gib(gpus):.1f} GiB beside the images", False
        yield from ((f"   $ {command}", True) for command in merge_commands(step.commands))
    total = plan.total()
    days = total_days(plan, gpus)
    yield "", False
    yield (
        f"In all {len(total.claims)} claims: {format_hours(total.hours)} of one {kind}, on {on} {_span(days)} days; "
        f"{total.disk_gib(gpus):.1f} GiB on disk beside the images. {ONE_GPU} {LEFT_OUT}",
        False,
    )
    if total.commands:
        yield "The same in the fewest commands:", False
        yield from ((f"   $ {command}", True) for command in merge_commands(total.commands))
    yield from ((line, False) for line in _left_out(plan))


def write_markdown() -> str:
    """Return docs/plan.md: what the claims and the tables of both papers take, where nothing is measured yet."""
    plan = make_plan(judge_claims(load_claims(), []), [], DEFAULT_KIND)
    lines = [
        "# What it would take to know",
        "",
        "Written by `python -m suite claims --plan --markdown docs/plan.md`; a test holds it to the code. It is the plan of an empty ledger; "
        "without `--markdown` the command leaves out what is done, and takes times from what was measured.",
        "",
        f"No training was measured on these GPUs: hours are ranges, from counted operations and 5 to 40 % of the peak rate in float32. {ONE_GPU} "
        f"{LEFT_OUT}",
        "",
        "## The claims",
        "",
        f"In order, the work that decides the most claims an hour of an {DEFAULT_KIND}. Ablations and the receptive field are trained with three "
        "seeds, and a training counts once; other comparisons are decided by the authors' weights.",
        "",
        *_table(("decides", f"{DEFAULT_KIND} hours", "disk, GiB", "data", "does"), map(_row, plan.steps)),
        "",
        "All of it, in the order of the commands below:",
        "",
        *_table(("GPU", *(f"{gpus} GPU{'s' if gpus > 1 else ''}, days" for gpus in DOC_GPUS)), _by_kind()),
        "",
        *_fenced(merge_commands(plan.total().commands)),
        "",
        *_left_out(plan),
        "",
        *_anew(),
        "",
        "## Peak rates",
        "",
        *_table(
            ("GPU", "float32, TFLOP/s", "bfloat16", "memory, GB", "source"),
            (
                (row.name, f"{row.fp32:g}", f"{row.bf16:g}" if row.bf16 else "none", row.memory_gb, row.source)
                for row in ACCELERATORS.values()
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


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


def _by_kind() -> Iterator[tuple[str, ...]]:
    for kind in ACCELERATORS:
        plan = make_plan(judge_claims(load_claims(), []), [], kind)
        yield kind, *(_span(total_days(plan, gpus)) for gpus in DOC_GPUS)


def _row(step: Step) -> tuple[object, ...]:
    hours = _span(step.hours) if step.bases else "no GPU"
    does = ", ".join(dict.fromkeys(command.split()[3] for command in step.commands))
    models = dict.fromkeys(name for command in step.commands for name in command.split() if name.startswith(("vmambair", "mambair")))
    return len(step.claims), hours, f"{step.disk_gib(1):.1f}", ", ".join(step.data), f"`{does}` {_some(list(models))}"


def _left_out(plan: DecisionPlan) -> Iterator[str]:
    if plan.decided:
        yield f"Decided before: {plan.decided}."
    if plan.close:
        yield f"Measured and too close to tell, {len(plan.close)}: {_some([one.claim.id for one in plan.close])}."
    if plan.undecidable:
        names = _some([one.claim.id for one in plan.undecidable])
        yield f"No command of the suite decides {len(plan.undecidable)}, whose networks or weights it does not have: {names}."


def _describe_set(name: str, *, here: bool) -> str:
    chosen = card(name)
    images = sum(chosen.splits.values())
    found = (", here" if locate(chosen) else ", missing here") if here else ""
    return f"{chosen.name} ({f'{images:,} images' if images else 'images not counted'}{found})"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _fenced(commands: Sequence[str]) -> Iterator[str]:
    yield from (f"    {command}" for command in commands)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _hours(days: Span) -> Span:
    return days[0] * 24, days[1] * 24


def _add(spans: Iterable[Span]) -> Span:
    lows, highs = zip(*spans, strict=True)
    return sum(lows), sum(highs)


def _span(span: Span) -> str:
    low, high = (f"{end:,.0f}" if span[1] >= 20 else f"{end:.1f}" if span[1] >= 1 else f"{end:.2g}" for end in span)
    return low if low == high else f"{low} to {high}"

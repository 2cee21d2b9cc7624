"""What `python -m suite suggest` answers, as text, as a document and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from suite.core.errors import Exit, SuiteError
from suite.core.output import Output
from suite.core.text import count_of
from suite.measure.costs.estimate import Basis, Error, Estimator, What
from suite.measure.costs.points import Fitting, Plan, find_fitting, work_of
from suite.records.kinds.profile import ProfileRecord
from suite.report.figures.charts import Figure
from suite.report.html import fill_template, write_page
from suite.report.suggestions import choice
from suite.report.suggestions.candidates import Quality, Yardstick
from suite.study.tasks import Task

Row = dict[str, object]
BASES: dict[Basis, str] = {
    "other networks": "of a network that was not measured (from other networks)",
    "other sizes": "of a network measured at another size (from other sizes)",
}
LEGEND = (
    "~: estimated, not measured. *: no other network is both better and faster. MIB: at the peak, beside the weights. GMACS: at this size, "
    "1 per multiply-add, as `profile` counts them."
)


@dataclass(frozen=True)
class Answer:
    """All that is said: the choice, and what it rests on."""

    task: Task
    size: tuple[int, int]
    limits: choice.Limits
    by: Yardstick | None
    found: choice.Choice
    estimator: Estimator
    plan: Plan
    left: int  # calls that would have told more, and did not fit into the seconds
    uncounted: tuple[str, ...]  # candidates that could not be counted

    @property
    def heading(self) -> str:
        """Return what was asked, and where."""
        (height, width), scale, timing = self.size, self.task.scale, self.plan.timing
        grows = f", which become {height * scale}x{width * scale}" if scale > 1 else ""
        return (
            f"{self.task.name} on pictures of {height}x{width}{grows}; budget: {self.limits}. "
            f"Here: {timing.device}, {timing.threads} threads, backend {timing.backend}."
        )

    @property
    def nearest(self) -> list[tuple[choice.Candidate, Fitting]]:
        """The nearest where none fits, with what of each would."""
        return [
            (one, find_fitting(self.plan.costs[one.model], self.estimator, self.limits.ms, self.limits.mib)) for one in self.found.nearest
        ]


def make_candidate(record: ProfileRecord, estimator: Estimator, quality: Quality | None) -> choice.Candidate:
    """Make a candidate of what was counted, measured or estimated, and read."""
    work = work_of(record)
    ms, mib = (
        choice.Amount(value.value, value.basis, value.source) if (value := estimator.estimate(work, what)) else None
        for what in ("ms", "mib")
    )
    return choice.Candidate(record.spec.model, record.cost.params, record.cost.macs, ms, mib, quality)


def tell_quality(answer: Answer) -> str:
    """Say by what the networks are compared, and what of it is printed or measured."""
    if answer.by is None:
        return f"Quality: none is printed or measured for {answer.task.name}."
    known = [one.quality for one in answer.found.ordered if one.quality]
    measured = sum(one.kind == "measured" for one in known)
    return (
        f"Quality: {answer.by.metric} on {answer.by.test_set}, {'higher' if answer.by.higher else 'lower'} is better; "
        f"{len(known) - measured} as printed, {measured} measured with given weights, {len(answer.found.ordered) - len(known)} unknown."
    )


def tell_errors(answer: Answer) -> list[str]:
    """Say how far estimates lie off where one is left out, and how far they reach."""
    points = answer.estimator.points
    if not points:
        return ["Times and memory: nothing was measured on this machine, so none is known. Give --seconds more than 0."]
    measured = f"{count_of(len(points), 'call')} measured here or on a machine alike"
    lines = [f"Times and memory: {measured}; the others are estimated from counted operators."]
    for what, name in (("ms", "time"), ("mib", "memory")):
        for basis, words in BASES.items():
            error = answer.estimator.leave_one_out(what, basis)
            told = _tell_error(error) if error else "not known: too few calls"
            alike = answer.estimator.leave_one_out(what, basis, by_design=True) if basis == "other networks" else None
            told += f"; without all of its design {_tell_error(alike)}" if alike else ""
            if any(_rests_on(one, what, basis) for one in answer.found.ordered):
                lines.append(f"Error of leaving one out, {name} {words}: {told}.")
    largest = max(math.prod(point.work.size) for point in points)
    times = math.prod(answer.size) / largest
    if times > 2:
        lines.append(
            f"The picture asked for has {times:.0f} times the pixels of the largest measured: the errors say nothing of that growth."
        )
    noisy = sum(point.source.endswith("noisy") for point in points)
    if noisy:
        lines.append(f"Of {count_of(len(points), 'measured call')} {count_of(noisy, 'is', 'are')} noisy: other programs used the machine.")
    if answer.left:
        left = count_of(answer.left, "more call")
        lines.append(f"{left} did not fit into --seconds; the same command with more seconds goes on from here.")
    return lines


def _tell_error(error: Error) -> str:
    return f"{error.median:.0%} in the median of {error.points}, {error.largest:.0%} at most"


def _rests_on(one: choice.Candidate, what: What, basis: Basis) -> bool:
    amount = one.ms if what == "ms" else one.mib
    return amount is not None and amount.basis == basis


def tell_verdict(answer: Answer) -> list[str]:
    """Say which fit, or else by how much the nearest miss, and what would fit."""
    found, limits = answer.found, answer.limits
    if limits.ms is None and limits.mib is None:
        return [f"{count_of(len(found.ordered), 'network')}; no budget was given (--max-ms, --max-mib)."]
    if found.fitting:
        more = f"; of {len(found.unknown)} it is not known" if found.unknown else ""
        return [f"{len(found.fitting)} of {len(found.ordered)} networks fit{more}."]
    if not found.missing:
        return [f"Of none of the {len(found.ordered)} networks it is known whether it fits: too little was measured."]
    lines = [f"None of {len(found.ordered)} networks fits{f' ({len(found.unknown)} not known)' if found.unknown else ''}. The nearest:"]
    lines += [f"  {one.model}: {tell_miss(one, limits)}. {tell_fitting(fitting, limits)}" for one, fitting in answer.nearest]
    if answer.plan.timing.device == "cpu":
        lines.append(
            "  A GPU may do it; how long one takes is not known here, and not guessed. `python -m suite profile "
            f"{found.nearest[0].model} --size {answer.size[0]}x{answer.size[1]} --time` on a machine that has one tells."
        )
    return lines


def tell_miss(one: choice.Candidate, limits: choice.Limits) -> str:
    """Say by how much a network misses each limit."""
    parts = []
    for limit, amount, unit in ((limits.ms, one.ms, "ms"), (limits.mib, one.mib, "MiB")):
        if limit is not None and amount is not None and amount.value > limit:
            times = choice.format_amount(choice.round_about(amount.value / limit))
            parts.append(f"{choice.describe_amount(amount)} {unit}, {times} times the limit")
    return "; ".join(parts)


def tell_fitting(fitting: Fitting, limits: choice.Limits) -> str:
    """Say what of a network would fit: a size, and tiles where they help."""
    size = (
        f"Pictures of up to about {fitting.size[0]}x{fitting.size[1]} would fit." if fitting.size else "Not even its smallest picture fits."
    )
    if fitting.tile is not None:
        return f"{size} So would tiles of about {fitting.tile}x{fitting.tile} (`restore --tile feathered --tile-size {fitting.tile}`)."
    return size + (" Tiles take no less time." if limits.ms is not None else "")


def list_rows(answer: Answer) -> list[Row]:
    """Return the table's rows."""
    found, limited = answer.found, answer.limits != choice.Limits()
    states = {one.model: word for word, held in (("yes", found.fitting), ("no", found.missing), ("?", found.unknown)) for one in held}
    return [
        {
            "fits": states[one.model] if limited else "",
            "network": one.model + (" *" if one.model in found.frontier else ""),
            "quality": choice.describe_quality(one.quality, answer.by),
            "ms": choice.describe_amount(one.ms),
            "MiB": choice.describe_amount(one.mib),
            "params": f"{one.params / 1e6:.2f} M",
            "GMACs": f"{one.macs / 1e9:,.1f}",
            "quality from": one.quality.source if one.quality else "",
        }
        for one in found.ordered
    ]


def show(answer: Answer, out: Output) -> None:
    """Print the answer for a person."""
    out.line(answer.heading)
    out.line()
    out.table(list_rows(answer))
    out.line(LEGEND)
    out.line()
    for line in (*tell_verdict(answer), tell_quality(answer), *tell_errors(answer)):
        out.line(line)
    if answer.uncounted:
        out.line(f"Left out, for the reasons above: {', '.join(answer.uncounted)}.")


def make_document(answer: Answer) -> Row:
    """Return the answer as data; every value says what it rests on."""
    found, estimator = answer.found, answer.estimator
    errors = {
        name: {basis: asdict(error) if (error := estimator.leave_one_out(what, basis)) else None for basis in BASES}
        for what, name in (("ms", "latency"), ("mib", "memory"))
    }
    fits = {one.model: state for state, held in ((True, found.fitting), (False, found.missing), (None, found.unknown)) for one in held}
    return {
        "task": answer.task.name,
        "input_size": answer.size,
        "output_size": [side * answer.task.scale for side in answer.size],
        "limits": {"ms": answer.limits.ms, "mib": answer.limits.mib},
        "timing": asdict(answer.plan.timing),
        "compared_by": asdict(answer.by) if answer.by else None,
        "networks": [
            {
                "model": one.model,
                "fits": fits[one.model],
                "frontier": one.model in found.frontier,
                "params": one.params,
                "macs": one.macs,
                "latency_ms": asdict(one.ms) if one.ms else None,
                "memory_mib": asdict(one.mib) if one.mib else None,
                "quality": asdict(one.quality) if one.quality else None,
            }
            for one in found.ordered
        ],
        "nearest": [{"model": one.model, "over": one.over(answer.limits), "would_fit": asdict(fitting)} for one, fitting in answer.nearest],
        "left_one_out": errors,
        "measured_calls": [
            {"model": point.work.model, "input_size": point.work.size, "ms": point.ms, "mib": point.mib, "source": point.source}
            for point in estimator.points
        ],
        "calls_left": answer.left,
        "left_out": answer.uncounted,
        "verdict": tell_verdict(answer),
    }


def write(path: Path, answer: Answer, samples: Sequence[Figure]) -> None:
    """Write the page; SuiteError where its place cannot be written."""
    height, width = answer.size
    chart = choice.draw_choice(answer.found, answer.by, f"{height}x{width}") if answer.by else None
    text = fill_template(
        "suggest.html.j2",
        {},
        {
            "heading": answer.heading,
            "rows": list_rows(answer),
            "legend": LEGEND,
            "lines": [*tell_verdict(answer), tell_quality(answer), *tell_errors(answer)],
            "chart": chart,
            "samples": samples,
        },
    )
    try:
        write_page(path, text)
    except OSError as error:
        raise SuiteError(f"--page {path} cannot be written: {error.strerror or error}.", exit=Exit.NOT_READY) from error

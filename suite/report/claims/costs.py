"""Verdicts from costs, which are exact, and from times, which are not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from suite.core.statistics import stats
from suite.core.statistics.intervals import LEVEL
from suite.records.kinds.profile import Latency, ProfileRecord
from suite.records.record import Attempt, Record
from suite.report.claims.verdict import ClaimPart, Hint, Interval, Word
from suite.report.commands import profile_command
from suite.report.measured import Count, get_count
from suite.study.baselines import BASELINES
from suite.study.claims import CostClaim, GrowthClaim, RatioClaim, SpeedClaim, find_column, find_row
from suite.study.published import UNIT_SCALES, PublishedColumn, PublishedRow, PublishedTable, cost_input

Size = tuple[int, int]
EXACTLY, LAYERS = "exactly", "thop"  # of parameters; the second leaves out bare ones, as the convention of that name
ABSENT = "the row stands for no network that the suite can count"
ONE_WAY = "it was counted in one way alone; a new profile counts in all of them (with --ledger DIR where there is an old one)"
FEWEST_SIZES, LEAST_SPAN = 4, 16.0  # of times from which growth is told: how many, and the largest image by the smallest, in pixels
DRIFT = "what drifted in the machine between the two: they were not timed in turn"


@dataclass(frozen=True)
class CountedWays:
    """A network's cost in a column's unit, by each way to count; not `complete` where its record does not hold all of them."""

    values: Mapping[str, float]
    fingerprint: str
    complete: bool


def collect_counts(records: Iterable[Attempt]) -> dict[str, list[Count]]:
    """Return what was counted of each model, the latest first."""
    found: dict[str, list[Count]] = {}
    for record in records:
        if isinstance(record, ProfileRecord | Record) and record.cost is not None:
            found.setdefault(record.spec.model, []).append(get_count(record))
    # Profiles before trainings: they alone hold the conventions.
    return {model: sorted(counts, key=lambda one: (bool(one.conventions), one.finished), reverse=True) for model, counts in found.items()}


def counted_model(table: PublishedTable, row: PublishedRow) -> str | None:
    """Return the name of the network that a row stands for, a baseline's also; None where there is none."""
    return row.model or next((name for name, base in BASELINES.items() if (table.id, row.key) in base.rows), None)


def judge_cost(claim: CostClaim, tables: Mapping[str, PublishedTable], counts: Mapping[str, Sequence[Count]]) -> ClaimPart:
    """Say whether a measured cost rounds to the printed digits by a way to count that has a name."""
    table, row = find_row(claim.row, tables)
    column = find_column(table, claim.column)
    about = {"what": claim.column, "printed": claim.printed, "unit": column.unit, "digits": column.digits + 1}
    model = counted_model(table, row)
    if model is None:
        return ClaimPart(word="not tested", reason=ABSENT, **about)
    found = _count(table, row, column, counts.get(model, ()))
    if isinstance(found, str):
        return ClaimPart(word="not tested", reason=found, **about)
    half = 0.5 * 10**-column.digits
    name = next((name for name, value in found.values.items() if abs(value - claim.printed) <= half * (1 + 1e-9)), "")
    first = next(iter(found.values.values()))
    about |= {"measured": found.values.get(name, first), "visible": half, "evidence": "cost", "records": (found.fingerprint,)}
    if claim.guess:
        return ClaimPart(word="not tested", reason=claim.guess, **about | {"visible": None})
    if name:
        full = "" if name == next(iter(found.values)) else f"; in full {first:,.{column.digits + 1}f}"
        return ClaimPart(word="holds", reason=f"counted {name}{full}" if name == EXACTLY else f"by the convention {name}{full}", **about)
    if not found.complete:
        return ClaimPart(word="not tested", reason=ONE_WAY, **about)
    ways = ", ".join(f"{way} {value:,.{column.digits + 1}f}" for way, value in found.values.items())
    return ClaimPart(word="does not hold", reason=f"matches no counting convention: {ways} ({first / claim.printed - 1:+.2%})", **about)


def judge_ratio(claim: RatioClaim, tables: Mapping[str, PublishedTable], counts: Mapping[str, Sequence[Count]]) -> ClaimPart:
    """Say whether one network costs a share of another within the claim's bounds, by a convention that both have."""
    sides = []
    for reference in (claim.row, claim.against):
        table, row = find_row(reference, tables)
        model = counted_model(table, row)
        found = ABSENT if model is None else _count(table, row, find_column(table, claim.column), counts.get(model, ()))
        if isinstance(found, str):
            return ClaimPart(f"ratio of {claim.column}", "not tested", f"{reference}: {found}", claim.printed)
        sides.append(found)
    mine, theirs = sides
    ratios = {name: value / theirs.values[name] for name, value in mine.values.items() if name in theirs.values}
    low, high = claim.bounds
    name = next((name for name, ratio in ratios.items() if low <= ratio < high), next(iter(ratios)))
    complete = mine.complete and theirs.complete
    word: Word = "holds" if low <= ratios[name] < high else "does not hold" if complete else "not tested"
    distinct = {f"{ratio:.3f}": way for way, ratio in reversed(ratios.items())}  # of equal ones the first
    told = ", ".join(f"{way} {ratio}" for ratio, way in reversed(distinct.items()))
    reason = ONE_WAY if word == "not tested" else f"{told}; the sentence holds from {low:g} to {high:g} ({claim.reason})"
    held = tuple(dict.fromkeys(side.fingerprint for side in sides))
    return ClaimPart(f"ratio of {claim.column}", word, reason, claim.printed, ratios[name], digits=4, evidence="cost", records=held)


def judge_speed(claim: SpeedClaim, records: Sequence[ProfileRecord]) -> tuple[ClaimPart, Hint]:
    """Compare two networks' times; a GPU's are evidence, a processor's are a hint, for the paper names no machine."""
    parts, hints = [], []
    for own, other in _timed_alike(claim.model, claim.against, records):
        gain, interval = _gain(own, other)
        on, spec = {"unit": "", "digits": 3}, own.spec
        on |= {"measured": gain, "interval": interval, "records": (own.fingerprint, other.fingerprint)}
        on |= {"visible": None if interval is None else (interval[1] - interval[0]) / 2, "leaves_out": _left_out(own, other)}
        where = f"{spec.input_size[0]}x{spec.input_size[1]} by {spec.backend} on {spec.device}"
        word = _speed_word(claim, interval)
        if spec.device == "cuda":
            reason = where if interval else f"{where}: too few samples for an interval"
            parts.append(ClaimPart("time", word, reason, claim.printed, matters=claim.matters, evidence="time", **on))
        else:
            hinted = {"holds": "agrees", "does not hold": "contradicts"}.get(word, "cannot tell")
            hints.append(Hint(hinted, setting=where, what="time", **on))
    best = max(parts, key=lambda part: part.interval is not None, default=None)
    none = ClaimPart("time", "not tested", "both were not timed alike on a GPU", claim.printed, matters=claim.matters, digits=3)
    return best or none, hints[0] if hints else Hint("cannot tell", "both were not timed alike on a processor", what="time")


def judge_growth(claim: GrowthClaim, records: Sequence[ProfileRecord]) -> ClaimPart:
    """Say with which power of the pixels the time of one network grows, on the machine with the most sizes."""
    groups: dict[tuple[object, ...], dict[int, ProfileRecord]] = {}
    for record in records:
        if record.spec.model == claim.model and record.latency is not None:
            groups.setdefault(_where(record), {})[math.prod(record.spec.input_size)] = record
    sizes = max(groups.values(), key=len, default={})
    if len(sizes) < FEWEST_SIZES or max(sizes) < LEAST_SPAN * min(sizes):
        told = f"timed at {len(sizes)} sizes alike; {FEWEST_SIZES} are the fewest, the largest with {LEAST_SPAN:g} times the pixels"
        return ClaimPart("exponent", "not tested", told, 1.0)
    from scipy.stats import linregress, t

    held = [sizes[pixels] for pixels in sorted(sizes)]
    medians = [math.log(latency.median_ms) for record in held if (latency := record.latency)]
    line = linregress([math.log(pixels) for pixels in sorted(sizes)], medians)
    half = float(t.ppf((1 + LEVEL) / 2, len(held) - 2) * line.stderr)
    low, high = line.slope - half, line.slope + half
    bottom, top = claim.bounds
    word: Word = "holds" if bottom <= low and high <= top else "does not hold" if high < bottom or low > top else "too close to tell"
    spec = held[0].spec
    return ClaimPart(
        "exponent", word, f"{len(held)} sizes up to {max(sizes):,} pixels, {spec.backend} on {spec.device}", 1.0, float(line.slope),
        (float(low), float(high)), half, evidence="time", records=tuple(record.fingerprint for record in held),
        leaves_out=("other machines and larger images", *_noise(held)),
    )  # fmt: skip


def profile_commands(*asked: tuple[str, Size | None]) -> tuple[str, ...]:
    """Return the commands that count these models at these sizes; None is any size."""
    sizes: dict[Size | None, list[str]] = {}
    for model, size in asked:
        sizes.setdefault(size, []).append(model)
    found = []
    for size, models in sizes.items():
        names = list(dict.fromkeys(models))
        found.append(profile_command(*names, how=f"--size {size[0]}x{size[1]}" if size else ""))
    return tuple(found)


def _count(table: PublishedTable, row: PublishedRow, column: PublishedColumn, counts: Sequence[Count]) -> CountedWays | str:
    """Return the cost of a row's network by each way to count, the usual one first, or why it is not known."""
    size, scale = cost_input(table, row, column), UNIT_SCALES[column.unit]
    count = next((one for one in counts if size in (None, one.input_size)), None)
    if count is None:
        return f"not counted yet{f' at {size[0]}x{size[1]}' if size else ''}"
    if column.metric == "macs":
        ways = dict(count.conventions) or {"fvcore": float(count.record.cost.macs)}
        return CountedWays({name: macs / scale for name, macs in ways.items()}, count.record.fingerprint, complete=bool(count.conventions))
    layers = getattr(count.record.cost, "layer_params", None)
    ways = {EXACTLY: count.record.cost.params / scale} | ({} if layers is None else {LAYERS: layers / scale})
    return CountedWays(ways, count.record.fingerprint, complete=layers is not None)


def _where(record: ProfileRecord) -> tuple[object, ...]:
    """Return what has to be equal of two times besides the network and the size."""
    spec = record.spec
    return spec.backend, spec.device, spec.threads, spec.machine, spec.software


def _timed_alike(model: str, against: str, records: Sequence[ProfileRecord]) -> list[tuple[ProfileRecord, ProfileRecord]]:
    """Return the records of both networks that were timed in the same place at the same size, the largest image first."""
    held = {
        name: {(_where(one), one.spec.input_size): one for one in records if one.spec.model == name and one.latency is not None}
        for name in (model, against)
    }
    common = [key for key in held[model] if key in held[against]]
    return [(held[model][key], held[against][key]) for key in sorted(common, key=lambda key: -math.prod(key[1]))]


def _latencies(*records: ProfileRecord) -> list[Latency]:
    return [record.latency for record in records if record.latency is not None]


def _gain(own: ProfileRecord, other: ProfileRecord) -> tuple[float, Interval | None]:
    """Return the other's median time by one's own, less 1, and the interval that both medians' intervals allow."""
    mine, theirs = _latencies(own, other)
    first, second = stats.median_interval(mine.samples_ms), stats.median_interval(theirs.samples_ms)
    interval = None if first is None or second is None else (second[0] / first[1] - 1, second[1] / first[0] - 1)
    return theirs.median_ms / mine.median_ms - 1, interval


def _speed_word(claim: SpeedClaim, interval: Interval | None) -> Word:
    if interval is None:
        return "too close to tell"
    low, high = interval
    if high < claim.printed - claim.matters or low > claim.printed + claim.matters:
        return "does not hold"
    return "holds" if low > 0 else "too close to tell"


def _noise(records: Sequence[ProfileRecord]) -> tuple[str, ...]:
    return ("others used the machine",) if any(one.noisy for one in _latencies(*records)) else ()


def _left_out(*records: ProfileRecord) -> tuple[str, ...]:
    return (DRIFT, *_noise(records))

"""Verdicts from test images: of trainings under the paper's conditions and of given weights; and hints from trainings under others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import models
from suite.core.statistics import stats
from suite.records.kinds.evaluation import given_weights
from suite.records.record import Measured, Record
from suite.report import measured, versus
from suite.report.claims.verdict import ClaimPart, Hint, Hinted, Word
from suite.report.commands import name_plugins, train_command
from suite.report.comparable import find_differences, find_measuring_differences
from suite.report.settings import group_by_setting, setting_heading, setting_of
from suite.report.tables.given import is_authors, tell_origin
from suite.report.trivial import TRIVIAL
from suite.study.claims import FieldClaim, Matter, QualityClaim, ValueClaim, find_column, find_row
from suite.study.protocols import METRICS
from suite.study.published import PublishedColumn, PublishedRow, PublishedTable

ONE_SEED = "one seed: another training may differ by as much"
NOT_OURS = "the row stands for no network of this suite"
ALONE = "that it is one of many comparisons: of twenty such intervals one misses"


@dataclass(frozen=True)
class Place:
    """A cell of a published table that records are held to."""

    table: PublishedTable
    row: PublishedRow
    column: PublishedColumn

    @property
    def task(self) -> str:
        """The task that the cell is of."""
        return self.row.task or self.column.task or self.table.task


def unlike_training(record: Measured, place: Place) -> str:
    """Say why a training is not under the paper's conditions; "" where it is. One function decides, for claims as for tables."""
    return "; ".join(map(str, find_differences(record, place.column, place.table)))


def unlike_evaluation(record: Measured, place: Place) -> str:
    """Say why given weights were not measured as the paper did; "" where they were. How they were trained is not asked."""
    return "; ".join(map(str, find_measuring_differences(record, place.column, place.table)))


def judge_quality(
    claim: QualityClaim, matters: Callable[[str], Matter], tables: Mapping[str, PublishedTable], runs: Sequence[Measured]
) -> tuple[ClaimPart, ...]:
    """Judge each column of a claim: paired with the other network where the suite has both, else against the printed number."""
    (table, row), (other_table, other) = find_row(claim.row, tables), find_row(claim.against, tables)
    parts = []
    for key, printed in claim.differences.items():
        mine, theirs = Place(table, row, find_column(table, key)), Place(other_table, other, find_column(other_table, key))
        column = mine.column
        told = {"unit": column.unit, "digits": column.digits + 1, "matters": matters(column.metric).difference}
        about = ClaimPart(key, "not tested", "", printed, **told)
        if row.model is None:
            parts.append(replace(about, reason=NOT_OURS))
        elif other.model is not None:
            parts.append(_judge_pair(claim, mine, theirs, about, runs))
        else:
            parts.append(_judge_printed(claim, mine, float(other.cells[key]), about, runs))
    return tuple(parts)


def judge_values(claim: ValueClaim, tables: Mapping[str, PublishedTable], runs: Sequence[Measured]) -> tuple[ClaimPart, ...]:
    """Judge each printed value of a row: from trainings, or from the authors' weights, by what the table's columns call reproduced."""
    table, row = find_row(claim.row, tables)
    parts = []
    for key, printed in claim.values.items():
        place = Place(table, row, find_column(table, key))
        column, metric = place.column, place.column.metric
        about = ClaimPart(key, "not tested", "", printed, unit=column.unit, digits=column.digits + 1)
        own = [record for record in _own(runs, place) if measured.has_metric(record, metric)]
        trained = [record for record in own if not given_weights(record) and not unlike_training(record, place)]
        given = [record for record in own if given_weights(record) and not unlike_evaluation(record, place)]
        authors = _authors(given, place)
        runs_alike = max(group_by_setting(trained).values(), key=len, default=())
        if len(runs_alike) > 1 or (runs_alike and not authors):
            mean = sum(record.mean(metric) for record in runs_alike) / len(runs_alike)
            cells = tuple(record.fingerprint for record in runs_alike)
            about = replace(about, measured=mean, records=cells, evidence="training")
            one = replace(about, word="too close to tell", reason=ONE_SEED)
            parts.append(_judge_value(about, place) if len(runs_alike) > 1 else one)
        elif authors:
            latest = max(authors, key=_finished)
            about = replace(about, measured=latest.mean(metric), records=(latest.fingerprint,), evidence="weights")
            parts.append(_judge_value(about, place))
        elif given:
            latest = max(given, key=_finished)
            told = {"measured": latest.mean(metric), "evidence": "weights", "records": (latest.fingerprint,)}
            parts.append(replace(about, reason=_no_verdict(latest), **told))
        else:
            parts.append(replace(about, reason=_none_measured(place)))
    return tuple(parts)


def _judge_value(about: ClaimPart, place: Place) -> ClaimPart:
    tolerance = place.column.tolerance
    within = (tolerance.absolute if tolerance else None) or 0.5 * 10**-place.column.digits
    reproduced = abs((about.measured or 0.0) - (about.printed or 0.0)) <= within
    return replace(about, word="holds" if reproduced else "does not hold", reason=f"within {within:g} counts as reproduced")


def _none_measured(place: Place) -> str:
    return f"no weights of {place.row.model} were measured, and none were trained under the paper's conditions"


def judge_field(claim: FieldClaim, tables: Mapping[str, PublishedTable], runs: Sequence[Measured]) -> tuple[ClaimPart, Hint]:
    """Say whether the receptive fields of a network's trainings are as large as the claim says."""
    table, row = find_row(claim.row, tables)
    own = [
        record for record in runs if isinstance(record, Record) and record.spec.model == row.model and record.receptive_field is not None
    ]
    places = [Place(table, row, column) for column in table.columns if column.kind == "quality"]
    as_paper = [record for record in own if any(_is_of(record, place) and not unlike_training(record, place) for place in places)]
    others = [group for group in group_by_setting(own).values() if not set(map(id, group)) & set(map(id, as_paper))]
    what = f"part of the crop for {claim.percentage} %"
    part = ClaimPart(what, "not tested", "no training under the paper's conditions", matters=claim.least, digits=2)
    if as_paper:
        part = replace(part, evidence="training", **_field_told(claim, as_paper))
        part = replace(part, word=_field_word(claim, as_paper), reason=ONE_SEED if len(as_paper) == 1 else "")
    if not others:
        return part, Hint("cannot tell", "not trained here", what=what)
    group = max(others, key=lambda group: (min(len(group), 2), group[0].spec.iterations))
    word: Hinted = {"holds": "agrees", "does not hold": "contradicts"}.get(_field_word(claim, group), "cannot tell")
    reason = "one seed" if len(group) == 1 else ""
    if below := _below_trivial(group, runs, next(iter(group[0].scores[0].metrics))):
        word, reason = "cannot tell", below
    return part, Hint(word, reason, setting_heading(setting_of(group[0].spec)), what, signed=False, **_field_told(claim, group))


def hint_quality(claim: QualityClaim, tables: Mapping[str, PublishedTable], runs: Sequence[Measured], matters: Matter) -> Hint:
    """Say what trainings of both networks under one other condition hint at: of those with two seeds, the longest."""
    (table, row), (other_table, other) = find_row(claim.row, tables), find_row(claim.against, tables)
    key = next(iter(claim.differences))
    mine, theirs = Place(table, row, find_column(table, key)), Place(other_table, other, find_column(other_table, key))
    metric, column = mine.column.metric, mine.column
    own, base = (
        [record for record in _own(runs, place) if not given_weights(record) and unlike_training(record, place)] for place in (mine, theirs)
    )
    about = Hint("cannot tell", "not trained here", what=metric, unit=column.unit, digits=column.digits + 1)
    found = _compared(own, base, metric)
    if found is None:
        return about
    paired = found.found
    reference = found.variant.records[0].spec
    cells = tuple(r.fingerprint for side in (found.variant, found.baseline) if side for r in side.records)
    about = replace(about, setting=setting_heading(setting_of(reference)), records=cells, reason=found.reason)
    if paired is None or found.baseline is None:
        return about
    told = {"measured": paired.mean, "interval": paired.interval, "visible": paired.detectable, "leaves_out": _left_out(found, row, other)}
    if claim.direction == "better":
        told["kept"], told["pairs"] = _kept(found, metric)
    about = replace(about, **told)
    sides = (found.variant.records, found.baseline.records)
    below = next((said for side in sides if (said := _below_trivial(side, runs, metric))), "")
    if below or paired.seeds < 2 or paired.interval is None:
        return replace(about, reason=below or ("one seed" if paired.seeds < 2 else found.reason))
    word = _word(paired.interval, claim.direction, matters.difference, _sign(metric), hint=True)
    return replace(about, word={"holds": "agrees", "does not hold": "contradicts"}.get(word, "cannot tell"), reason="")


def decide_commands(claim: QualityClaim | ValueClaim, tables: Mapping[str, PublishedTable]) -> tuple[str, ...]:
    """Return the commands that would decide a claim, the cheapest evidence first; none where the suite has no such network."""
    table, row = find_row(claim.row, tables)
    if row.model is None:
        return ()
    places = [Place(table, row, find_column(table, key)) for key in (claim.values if isinstance(claim, ValueClaim) else claim.differences)]
    found = []
    if "weights" in claim.evidence:
        for task in dict.fromkeys(place.task for place in places):
            sets = dict.fromkeys(place.column.test_sets[0] for place in places if place.task == task)
            words = ["python -m suite evaluate", row.model, *name_plugins(row.model), "--task", task, "--weights FILE --data", *sets]
            found.append(" ".join(words))
    elif isinstance(claim, QualityClaim):
        _, other = find_row(claim.against, tables)
        for name, place in {place.column.test_sets[0]: place for place in places}.items():
            command = train_command(table, row.model, place.task, seeds=3, test_set=name)
            found.append(f"{command} --only {other.model}" if other.model else command)
    return tuple(found)


def _judge_pair(claim: QualityClaim, mine: Place, theirs: Place, about: ClaimPart, runs: Sequence[Measured]) -> ClaimPart:
    """Judge two networks of the suite: from trainings, or from given weights where there is no training of both."""
    for kind, unlike in (("training", unlike_training), ("weights", unlike_evaluation)):
        if kind not in claim.evidence:
            continue
        sides = [
            [r for r in _own(runs, place) if bool(given_weights(r)) == (kind == "weights") and not unlike(r, place)]
            for place in (mine, theirs)
        ]
        if kind == "weights":
            others = [
                max(side, key=_finished) for side, place in zip(sides, (mine, theirs), strict=True) if side and not _authors(side, place)
            ]
            sides = [_authors(side, place) for side, place in zip(sides, (mine, theirs), strict=True)]
            if others:
                about = replace(about, reason=_no_verdict(others[0]), records=tuple(record.fingerprint for record in others))
        found = _compared(*sides, mine.column.metric, weights=kind == "weights")
        if found is None:
            continue
        cells = tuple(r.fingerprint for side in (found.variant, found.baseline) if side for r in side.records)
        about = replace(about, evidence=kind, records=cells, reason=found.reason)
        paired = found.found
        if paired is None:
            return about
        told = {"measured": paired.mean, "interval": paired.interval, "visible": paired.detectable}
        about = replace(about, leaves_out=_left_out(found, mine.row, theirs.row), **told)
        if paired.interval is None or (kind == "training" and paired.seeds < 2):
            return replace(about, word="too close to tell", reason=ONE_SEED if paired.seeds < 2 else found.reason)
        matters = _threshold(about, _sign(mine.column.metric), claim.direction)
        return replace(about, word=_word(paired.interval, claim.direction, matters, _sign(mine.column.metric)), reason="")
    reason = about.reason or f"{mine.row.model} and {theirs.row.model} were not both trained under the paper's conditions"
    return replace(about, reason=reason)


def _judge_printed(claim: QualityClaim, mine: Place, printed: float, about: ClaimPart, runs: Sequence[Measured]) -> ClaimPart:
    """Judge a network against a number that the paper prints of another: trainings with two seeds first, then given weights."""
    metric = mine.column.metric
    own = [record for record in _own(runs, mine) if measured.has_metric(record, metric)]
    trained = [r for r in own if not given_weights(r) and not unlike_training(r, mine)] if "training" in claim.evidence else []
    given = [r for r in own if given_weights(r) and not unlike_evaluation(r, mine)] if "weights" in claim.evidence else []
    others, given = given, _authors(given, mine)
    if others and not trained and not given:
        latest = max(others, key=_finished)
        told = {"measured": latest.mean(metric) - printed, "evidence": "weights", "records": (latest.fingerprint,)}
        return replace(about, reason=_no_verdict(latest), **told)
    if not trained and not given:
        return replace(about, reason=_none_measured(mine))
    groups = sorted(group_by_setting(trained).values(), key=len, reverse=True)
    trained = list(groups[0]) if groups else []
    records = trained if len(trained) > 1 or not given else [max(given, key=_finished)]
    rounding = 0.5 * 10**-mine.column.digits
    values = [record.mean(metric) - printed for record in records]
    estimate = stats.estimate_over_seeds(values)
    left = [f"how the printed {printed:.{mine.column.digits}f} was measured", "other images of the kind"]
    about = replace(about, measured=estimate.mean, records=tuple(record.fingerprint for record in records))
    if given and records != trained:
        left += [f"training noise: one set of weights, {tell_origin(records[0])}"]
        left += [footnote.text for footnote in mine.table.footnotes if mine.row.key in footnote.cells]
        interval, visible, evidence = (estimate.mean - rounding, estimate.mean + rounding), rounding, "weights"
    elif len(records) < 2 or estimate.interval is None:
        return replace(about, word="too close to tell", reason=ONE_SEED, evidence="training", leaves_out=("training noise", *left))
    else:
        low, high = estimate.interval
        error = float(_deviation(values)) / math.sqrt(len(values))
        interval, evidence = (low - rounding, high + rounding), "training"
        visible = rounding + stats.smallest_detectable((error, len(values) - 1))
    sign = _sign(metric)
    word = _word(interval, claim.direction, _threshold(about, sign, claim.direction), sign)
    return replace(about, word=word, interval=interval, visible=visible, evidence=evidence, leaves_out=tuple(left))


def _authors(records: Sequence[Measured], place: Place) -> list[Measured]:
    """Return those of given weights that are the authors' of the row, and may be judged as its network."""
    return [record for record in records if is_authors(record, place.table, place.row)]


def _no_verdict(record: Measured) -> str:
    return f"measured with weights that are not known to be the authors': {tell_origin(record)}"


def _own(runs: Sequence[Measured], place: Place) -> list[Measured]:
    """Return the records of a place's network on its task."""
    return [record for record in runs if _is_of(record, place)]


def _is_of(record: Measured, place: Place) -> bool:
    return record.spec.model == place.row.model and record.spec.task == place.task


def _compared(own: Sequence[Measured], base: Sequence[Measured], metric: str, *, weights: bool = False) -> versus.Comparison | None:
    """Return the strongest comparison of two networks: with two seeds if there is one, then the longest training; None without both.

    Of given weights the latest of each are compared.
    """
    if weights:
        own, base = ([max(records, key=_finished)] if records else [] for records in (own, base))
    if not own or not base:
        return None
    found = versus.compare_sides(versus.make_sides(own), versus.make_sides(base), [metric], same_model=False)
    return max(found, key=_strength, default=None)


def _strength(one: versus.Comparison) -> tuple[int, int, int]:
    seeds = one.found.seeds if one.found else 0
    return min(seeds, 2), getattr(one.variant.records[0].spec, "iterations", 0) if seeds else 0, seeds


def _word(interval: tuple[float, float], direction: str, matters: float, sign: int, *, hint: bool = False) -> Word:
    """Return the verdict of an interval of row less against; `sign` is -1 where less is better.

    Better: shown above 0; and refuted where a difference of `matters` is excluded (for a hint, where it is shown below 0).
    Equal: shown within `matters` of 0; and refuted where it is shown outside.
    """
    low, high = interval if sign > 0 else (-interval[1], -interval[0])
    if direction == "equal":
        if -matters < low and high < matters:
            return "holds"
        return "does not hold" if low > matters or high < -matters else "too close to tell"
    if low > 0:
        return "holds"
    return "does not hold" if high < (0 if hint else matters) else "too close to tell"


def _threshold(part: ClaimPart, sign: int, direction: str) -> float:
    """Return the smallest difference that matters, or the printed one where that is smaller: who claims less need show less."""
    printed, matters = sign * (part.printed or 0.0), part.matters or 0.0
    return min(printed, matters) if printed > 0 and direction == "better" else matters


def _kept(found: versus.Comparison, metric: str) -> tuple[int, int]:
    """Return how many pairs, one a seed and an image, lie as the claim says, and how many there are."""
    ours, theirs = found.variant.seeds, found.baseline.seeds if found.baseline else {}
    pairs = []
    for seed in ours.keys() & theirs.keys():
        other = {score.image: score.metrics[metric] for score in theirs[seed].scores}
        pairs += [_sign(metric) * (score.metrics[metric] - other[score.image]) > 0 for score in ours[seed].scores]
    return sum(pairs), len(pairs)


def _below_trivial(side: Sequence[Measured], runs: Sequence[Measured], metric: str) -> str:
    """Say that the trainings are no better than a trivial baseline of the same test images; "" where they are, or none was measured."""
    mean = sum(one.mean(metric) for one in side) / len(side)
    for record in runs:
        alike = record.spec.model in TRIVIAL and _tested_on(record) == _tested_on(side[0]) and measured.has_metric(record, metric)
        if alike and _sign(metric) * (mean - record.mean(metric)) <= 0:
            return f"{side[0].spec.model} is not better than {record.spec.model} here"
    return ""


def _tested_on(record: Measured) -> tuple[object, ...]:
    spec = record.spec
    return spec.task, spec.test_set, spec.protocol, frozenset(score.image for score in record.scores)


def _left_out(found: versus.Comparison, *rows: PublishedRow) -> tuple[str, ...]:
    """Return what the interval of a comparison does not hold."""
    paired = found.found
    left = [ALONE]
    if paired is not None and paired.seeds < 2:
        given = found.of == "weights"
        left.append("training noise: one set of weights each" if given else "training noise: one seed")
    if paired is not None and paired.covers:
        left.append(f"that it is approximate: over {paired.images} images it covers at least {paired.covers:.0%}")
    for row in rows:
        card = models.MODELS.get(row.model or "")
        left += list(card.deviations) if card is not None and card.parent else []
    return (*left, *found.notes)


def _field_told(claim: FieldClaim, records: Sequence[Record]) -> dict[str, object]:
    values = [record.receptive_field.shares[claim.percentage] for record in records if record.receptive_field]
    estimate = stats.estimate_over_seeds(values)
    left = ("images larger than the crops", *(("training noise: one seed",) if len(values) == 1 else ()))
    return {
        "measured": estimate.mean,
        "interval": estimate.interval,
        "records": tuple(record.fingerprint for record in records),
        "leaves_out": left,
    }


def _field_word(claim: FieldClaim, records: Sequence[Record]) -> Word:
    interval = stats.estimate_over_seeds(
        [record.receptive_field.shares[claim.percentage] for record in records if record.receptive_field]
    ).interval
    if interval is None:
        return "too close to tell"
    return "holds" if interval[0] >= claim.least else "does not hold" if interval[1] < claim.least else "too close to tell"


def _sign(metric: str) -> int:
    return -1 if metric in METRICS and METRICS[metric].better == "lower" else 1


def _finished(record: Measured) -> str:
    return record.provenance.finished if record.provenance else ""


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))

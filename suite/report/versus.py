"""Is A better than B: which records may be compared, and what their paired differences say. `python -m suite compare` prints it.

A side holds the done records of one model under one setting, by seed. Two sides are comparable if they were measured on the same images,
of the same test data, by the same protocol, and had the same budget; then each seed's metrics are paired by image. Anything else in which
they differ (a backend, a loss) may be what is compared, so it is named and no obstacle.

A verdict on designs needs two seeds: no number of a single seed knows what another training would have made. Weights are compared as they
are where nothing was trained, or where A and B are single cells; then one seed is enough, and the verdict is on those weights alone.
A verdict needs both the corrected p and the interval. Where they disagree (Wilcoxon's test is of ranks, the interval of the mean), the
comparison says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np

from models.lookup import suggest
from suite.core.errors import Exit, SuiteError
from suite.core.statistics import stats
from suite.records.index import read_rows
from suite.records.kinds.evaluation import Evaluation
from suite.records.ledger import FINGERPRINT, Ledger, OnUnreadable
from suite.records.newest import keep_newest
from suite.records.record import Measured, Record
from suite.records.spec import CellSpec, RunSpec
from suite.report.settings import dataset_name, group_by_setting
from suite.study.protocols import METRICS

Verdict = Literal["better", "worse", "no difference shown", "one seed: cannot tell", "not comparable"]
Subject = Literal["designs", "weights"]

ALPHA = 1 - stats.LEVEL
BUDGET = ("iterations", "batch", "patch", "stages", "width", "depth_divisor")  # besides its name
NOT_TOLD = frozenset(
    {"model", "seed", "task", "budget", "protocol", "test_set", "data_digest", *BUDGET}
)  # of the spec: obstacles, or what is compared


@dataclass(frozen=True)
class Side:
    """The done records of one model under one setting, by seed; `failed` holds the seeds without a number."""

    records: tuple[Record, ...] | tuple[Evaluation, ...]
    failed: tuple[int, ...] = ()
    alone: bool = False  # a cell that was asked for by its fingerprint

    @property
    def model(self) -> str:
        """The model's name."""
        return self.records[0].spec.model

    @property
    def seeds(self) -> dict[int, Measured]:
        """The records by their seeds."""
        return {record.spec.seed: record for record in self.records}

    @property
    def given(self) -> bool:
        """Tell whether it stands for its weights, not for a design that was trained: a named cell, or weights that none trained."""
        return self.alone or all(isinstance(r, Evaluation) or (r.spec.start and not r.spec.iterations) for r in self.records)


@dataclass(frozen=True)
class Comparison:
    """A variant against its baseline in one metric; `p_holm` is corrected for all comparisons of the metric that were made with it."""

    variant: Side
    baseline: Side | None
    metric: str
    verdict: Verdict
    found: stats.Paired | None = None  # of variant - baseline, in the metric's unit
    p_holm: float | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def of(self) -> Subject:
        """Return what the verdict is on."""
        return "weights" if self.baseline is not None and self.variant.given and self.baseline.given else "designs"


def read_ledger_sides(ledger: Ledger, on_unreadable: OnUnreadable | None = None) -> tuple[Side, ...]:
    """Return every side of a ledger."""
    kept, _ = keep_newest(record for record in ledger.records(on_unreadable) if isinstance(record, Measured))
    return make_sides(kept)


def find_sides(ledger: Ledger, chosen: str, on_unreadable: OnUnreadable | None = None) -> tuple[Side, ...]:
    """Return the sides of the run or the models that `chosen` means: a fingerprint, a model's name, a shell pattern, or a part of names.

    Only their records are read. SuiteError (Exit.NOTHING) where nothing fits, or nothing that does is done.
    """
    held = [row for row in read_rows(ledger, on_unreadable, ("cell", "model", "status", "kind")) if row["kind"] in ("run", "evaluation")]
    models = sorted({str(row["model"]) for row in held})
    if FINGERPRINT.fullmatch(chosen):
        fits = [row for row in held if row["cell"] == chosen]
    else:
        names = {chosen} if chosen in models else {name for name in models if fnmatchcase(name, chosen) or chosen in name}
        fits = [row for row in held if row["model"] in names]
    if not fits:
        where = f"the ledger {ledger.folder} holds {len(held)} runs of {len(models)} models"
        raise SuiteError(
            f"{chosen} matches no cell and no model: {where}.{suggest(chosen, models)} `python -m suite list records` shows them; "
            "to compare two ledgers, name their folders.",
            exit=Exit.NOTHING,
        )
    latest = [record for row in fits if isinstance(record := ledger.latest(str(row["cell"])), Measured)]
    found = make_sides(latest if FINGERPRINT.fullmatch(chosen) else keep_newest(latest)[0])
    if not found:
        raise SuiteError(f"none of the {len(fits)} cells that {chosen} matches is done: there is nothing to compare.", exit=Exit.NOTHING)
    return tuple(replace(side, alone=True) for side in found) if FINGERPRINT.fullmatch(chosen) else found


def compare_named(
    a: str, b: str, metrics: Sequence[str], folder: Path | None = None, on_unreadable: OnUnreadable | None = None
) -> tuple[Comparison, ...]:
    """Compare what `a` and `b` name: models or cells of the ledger in `folder` (default: the project's), or two ledgers' folders.

    SuiteError where they name nothing, B is more than one model, or both are the same.
    """
    folders = [Path(a), Path(b)]
    if all(one.is_dir() for one in folders):
        if folder is not None:
            raise SuiteError(f"--ledger {folder} is for models of one ledger; A and B are folders, two ledgers of their own.")
        variants, baselines = (read_ledger_sides(Ledger(one), on_unreadable) for one in folders)
        for one, sides in zip(folders, (variants, baselines), strict=True):
            if not sides:
                raise SuiteError(f"the ledger {one} holds no run that is done.", exit=Exit.NOTHING)
        found = compare_sides(variants, baselines, metrics, same_model=True)
    else:
        ledger = Ledger(folder)
        variants, baselines = (find_sides(ledger, name, on_unreadable) for name in (a, b))
        models = sorted({side.model for side in baselines})
        if len(models) > 1:
            raise SuiteError(f"B is one baseline, and {b} means {len(models)} models: {', '.join(models)}. Name one of them.")
        found = compare_sides(variants, baselines, metrics, same_model=False)
    if not found:
        raise SuiteError(f"{a} and {b} are the same records: there is nothing to compare.", exit=Exit.NOTHING)
    return found


def make_sides(records: Iterable[Measured]) -> tuple[Side, ...]:
    """Return the sides that `records` make, in the order in which settings and models first appear; each evaluation is one of its own."""
    held = list(records)
    found = [Side((one,)) for one in held if isinstance(one, Evaluation) and one.status == "done" and one.scores]
    for members in group_by_setting(one for one in held if isinstance(one, Record)).values():
        for model in dict.fromkeys(record.spec.model for record in members):
            own = [record for record in members if record.spec.model == model]
            done = tuple(record for record in own if record.status == "done" and record.scores)
            if done:
                found.append(Side(done, tuple(record.spec.seed for record in own if record.status != "done" or not record.scores)))
    return tuple(found)


def compare_sides(
    variants: Sequence[Side], baselines: Sequence[Side], metrics: Sequence[str], *, same_model: bool
) -> tuple[Comparison, ...]:
    """Compare every variant with the baseline that fits it best, in each of `metrics` (none: the first that it was measured by).

    With `same_model` a variant's baseline is of its own model (two ledgers); else it is any, and a side is not compared with itself.
    """
    found = []
    for variant in variants:
        fits = [one for one in baselines if not same_model or one.model == variant.model]
        baseline = min(fits, key=lambda one: _distance(variant, one), default=None)
        if baseline is not None and baseline.records == variant.records and not same_model:
            continue
        chosen = metrics or tuple(variant.records[0].scores[0].metrics)[:1]
        found += [_comparison(variant, baseline, metric) for metric in chosen]
    return _with_verdicts(found)


def find_obstacles(one: Measured, other: Measured) -> list[str]:
    """Return why two records' metrics may not be compared; none where they may."""
    a, b = one.spec, other.spec
    reasons = []
    if a.task != b.task:
        reasons.append(f"other task ({a.task}, {b.task})")
    (name, _, version), (name_b, _, version_b) = a.protocol.partition("@"), b.protocol.partition("@")
    if name != name_b:
        reasons.append(f"other protocol ({a.protocol}, {b.protocol})")
    elif version != version_b:
        reasons.append(f"other protocol version ({a.protocol}, {b.protocol})")
    reasons += _other_data(one, other)
    if not (isinstance(a, RunSpec) and isinstance(b, RunSpec)):  # given weights were trained elsewhere
        return reasons
    if a.budget != b.budget:
        reasons.append(f"other budget ({a.budget}, {b.budget})")
    else:
        fields = _differing(a, b, BUDGET)
        reasons += [f"other budget ({'; '.join(fields)})"] if fields else []
    return reasons


def _other_data(one: Measured, other: Measured) -> list[str]:
    """Compare test data by checksum where both records have one, else by the set's name, which says less."""
    ours, theirs = _digests(one), _digests(other)
    if ours and theirs:
        return [] if ours == theirs else [f"other test data (checksum {_some(ours)}, {_some(theirs)})"]
    a, b = one.spec.test_set, other.spec.test_set
    return [] if a == b else [f"other test data ({dataset_name(a)}, {dataset_name(b)})"]


def _digests(record: Measured) -> frozenset[str]:
    held = record.provenance.data_checksums if record.provenance else {}
    return frozenset(digest for split, digest in held.items() if split.startswith("test ("))


def _some(digests: frozenset[str]) -> str:
    return " ".join(digest[:8] for digest in sorted(digests))


def _differing(one: CellSpec, other: CellSpec, fields: Iterable[str]) -> list[str]:
    """Name the fields that differ, with both values; of stages their number."""
    pairs = {field: (getattr(one, field), getattr(other, field)) for field in fields}
    short = {f: [_shorten(f, value) for value in pair] for f, pair in pairs.items() if pair[0] != pair[1]}
    return [f"{field} {', '.join(values)}" for field, values in short.items()]


def _shorten(field: str, value: object) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} stages"
    return str(value)[:8] if field in ("weights", "plugin") else str(value)


def _distance(variant: Side, baseline: Side) -> tuple[int, int, int]:
    """Return how badly a baseline fits: obstacles, fields that differ, and seeds that they share, most of them first."""
    one, other = variant.records[0], baseline.records[0]
    common = variant.seeds.keys() & baseline.seeds.keys()
    return len(find_obstacles(one, other)), len(_noted(one, other)), -len(common)


def _noted(one: Measured, other: Measured) -> list[str]:
    """Return the fields of the specs, of those that both have, that differ and are no obstacle."""
    held = type(other.spec).model_fields
    left = NOT_TOLD if one.spec.model == other.spec.model else NOT_TOLD | {"plugin"}  # two versions of a plug-in, or two designs
    fields = [field for field in type(one.spec).model_fields if field in held and field not in left]
    found = _differing(one.spec, other.spec, fields)
    return found if type(one) is type(other) else [*found, "one was trained here, the other's weights were given"]


def _comparison(variant: Side, baseline: Side | None, metric: str) -> Comparison:
    """Return differences, or why there are none; the verdict is not final."""
    if baseline is None:
        return Comparison(variant, None, metric, "not comparable", reason=f"the baseline has no done record of {variant.model}")
    ours, theirs = variant.seeds, baseline.seeds
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        reason = f"no seed in common ({_listed(ours)}; {_listed(theirs)})"
        return Comparison(variant, baseline, metric, "not comparable", reason=reason)
    reasons = list(dict.fromkeys(reason for seed in common for reason in find_obstacles(ours[seed], theirs[seed])))
    values = [({s.image: s.metrics for s in ours[seed].scores}, {s.image: s.metrics for s in theirs[seed].scores}) for seed in common]
    images = sorted(values[0][0])
    if not reasons:
        reasons = _unlike_images(values, metric)
    if reasons:
        return Comparison(variant, baseline, metric, "not comparable", reason="; ".join(reasons))
    differences = np.array([[mine[image][metric] - base[image][metric] for image in images] for mine, base in values])
    notes = _noted(ours[common[0]], theirs[common[0]])
    left = sorted((ours.keys() ^ theirs.keys()) | set(variant.failed) | set(baseline.failed))
    notes += [f"without seed {_listed(left)}"] if left else []
    if not (_digests(ours[common[0]]) and _digests(theirs[common[0]])):
        notes.append("a record has no checksum of its test data")
    return Comparison(variant, baseline, metric, "no difference shown", stats.compare_paired(differences), notes=tuple(notes))


def _unlike_images(values: Sequence[tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]], metric: str) -> list[str]:
    every = [side for pair in values for side in pair]
    names = [frozenset(side) for side in every]
    if len(set(names)) > 1:
        return [f"other images ({len(frozenset.intersection(*names))} of {len(frozenset.union(*names))} in common)"]
    if any(metric not in metrics for side in every for metrics in side.values()):
        return [f"a record holds no {metric} of every image"]
    return []


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _with_verdicts(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Correct the p values within each metric, apart from those that no verdict rests on, and decide."""
    corrected: dict[int, float] = {}
    families: dict[tuple[str, bool], list[int]] = {}
    for place, one in enumerate(found):
        if one.found is not None and one.found.p is not None:
            families.setdefault((one.metric, _untold(one)), []).append(place)
    for places in families.values():
        p_values = [paired.p for place in places if (paired := found[place].found) is not None and paired.p is not None]
        corrected |= dict(zip(places, stats.correct_by_holm(p_values), strict=True))
    sizes = {place: len(places) for places in families.values() for place in places}
    return tuple(_decided(one, corrected.get(place), sizes.get(place, 0)) for place, one in enumerate(found))


def _untold(one: Comparison) -> bool:
    """Tell whether one seed is all there is of two designs."""
    return one.of == "designs" and one.found is not None and one.found.seeds == 1


def _decided(one: Comparison, p_holm: float | None, comparisons: int) -> Comparison:
    paired = one.found
    if paired is None:
        return one
    verdict: Verdict = "one seed: cannot tell" if _untold(one) else "no difference shown"
    if p_holm is None or paired.interval is None:
        few = f"{paired.images} images are too few to say anything about others; at least {stats.FEWEST_IMAGES} are needed"
        return replace(one, verdict=verdict, reason=few)
    if _untold(one):
        return replace(one, p_holm=p_holm, verdict=verdict, reason="interval and p are over images alone")
    low, high = paired.interval
    apart = not low <= 0 <= high
    if p_holm < ALPHA and apart:
        lower = one.metric in METRICS and METRICS[one.metric].better == "lower"
        return replace(one, p_holm=p_holm, verdict="better" if (paired.mean > 0) != lower else "worse")
    return replace(one, p_holm=p_holm, reason=_why_not(paired, p_holm, comparisons, apart=apart))


def _why_not(paired: stats.Paired, p_holm: float, comparisons: int, *, apart: bool) -> str:
    """Say what prevented a verdict where p or the interval alone would have given it; "" where neither would."""
    least = min(1.0, stats.smallest_wilcoxon(paired.images) * comparisons)
    if paired.test == "wilcoxon" and least >= ALPHA:
        return f"on {paired.images} images Holm p cannot be below {least:.3g}"
    if p_holm < ALPHA:
        return "the interval holds 0, though Wilcoxon's test of ranks finds a difference"
    if not apart:
        return ""
    if paired.p is not None and paired.p < ALPHA:
        return f"the interval is of one comparison: as one of {comparisons}, Holm's p is too large"
    return "Wilcoxon's test of ranks finds no difference, though the interval does not hold 0"


def describe_comparison(one: Comparison) -> dict[str, object]:
    """Return a comparison unrounded, for programs."""
    paired, spec = one.found, one.variant.records[0].spec
    low, high = (paired.interval if paired else None) or (None, None)
    over = None if low is None else "images" if paired.seeds == 1 else "seeds and images"

    def found(name: str) -> object:
        return getattr(paired, name) if paired else None

    return {
        "variant": one.variant.model,
        "baseline": one.baseline.model if one.baseline else None,
        "task": spec.task,
        "budget": getattr(spec, "budget", None),
        "metric": one.metric,
        "images": found("images"),
        "seeds": found("seeds"),
        "difference": found("mean"),
        "interval_low": low,
        "interval_high": high,
        "interval_over": over,
        "interval_covers": found("covers"),
        "test": found("test"),
        "p": found("p"),
        "p_holm": one.p_holm,
        "p_wilcoxon_images": found("wilcoxon"),
        "detectable": found("detectable"),
        "of": one.of,
        "verdict": one.verdict,
        "reason": one.reason,
        "notes": "; ".join(one.notes),
        "variant_cells": _cells(one.variant),
        "baseline_cells": _cells(one.baseline),
    }


def _cells(side: Side | None) -> str:
    return " ".join(record.fingerprint for record in side.records) if side else ""

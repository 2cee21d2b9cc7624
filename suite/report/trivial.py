"""What needs no training as rows beside the networks: bicubic enlargement, or the low-quality image itself, on the very same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from suite.records.record import Attempt, Record
from suite.study.protocols import METRICS

TRIVIAL = ("bicubic", "identity")  # a training that is not better has learnt nothing that anything could be concluded from


def add_trivial(records: Iterable[Attempt]) -> list[Attempt]:
    """Return `records`, and behind them what they say of trivial baselines, as records of models of those names under their settings.

    One a setting and seed: what all networks were measured beside is the same.
    """
    held = list(records)
    found = [_as_record(record) for record in held if record.status == "done" and isinstance(record, Record) and record.trivial]
    return [*held, *{record.spec.fingerprint: record for record in reversed(found)}.values()]


def _as_record(record: Record) -> Record:
    trivial = record.trivial
    crops = tuple(
        crop.model_copy(update={"output_png": trivial.pictures[crop.image]}) for crop in record.crops if crop.image in trivial.pictures
    )
    return record.model_copy(
        update={
            "spec": record.spec.model_copy(update={"model": trivial.name, "plugin": ""}),
            "scores": trivial.scores,
            "crops": crops,
            "cost": None,
            "history": (),
            "receptive_field": None,
            "trained_params": None,
        }
    )


def find_floor(means: Sequence[tuple[str, float]], metric: str) -> tuple[str, float] | None:
    """Return the best of the trivial baselines among (model, mean); None where there is none."""
    lower = metric in METRICS and METRICS[metric].better == "lower"
    trivial = [found for found in means if found[0] in TRIVIAL]
    return (min if lower else max)(trivial, key=lambda found: found[1]) if trivial else None


def is_above(mean: float, floor: tuple[str, float] | None, metric: str) -> bool:
    """Tell whether `mean` is better than the trivial baseline; True where none was measured."""
    if floor is None:
        return True
    lower = metric in METRICS and METRICS[metric].better == "lower"
    return mean < floor[1] if lower else mean > floor[1]

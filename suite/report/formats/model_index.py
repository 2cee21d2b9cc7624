"""Results as Hugging Face's model cards hold them: the key `model-index` of a card's front matter, as YAML.

    model-index:
    - name: NETWORK                          one entry a network with its weights, or a setting that it was trained under
      results:
      - task: {type, name}                   one result a test set and protocol
        dataset: {type, name, split, args}
        metrics: [{type, value, name, args}]
        source: {name, url}

Values are the report's means, unrounded; an interval over seeds, and what the numbers rest on, stand in `args`, which a card may hold
freely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from suite.core.errors import Exit, SuiteError
from suite.core.redaction import redact
from suite.records.kinds.evaluation import WHOLE, Evaluation
from suite.records.record import Attempt, Measured, Record
from suite.report.gather import place_measured
from suite.report.measured import Measurement, average_seeds, has_metric, measure_given
from suite.report.settings import dataset_name, describe, group_by_setting
from suite.report.tables.given import tell_origin
from suite.study.protocols import METRICS
from suite.study.tasks import TASKS

TASK_TYPE = "image-to-image"  # Hugging Face's name of what all tasks here are
SOURCE = "State-space image restoration: benchmark and reproducibility suite"
GRID = "ablations"  # of the command that makes a training again, which a card does not hold


def make_index(records: Iterable[Attempt], url: str) -> dict[str, Any]:
    """Return the front matter with the results of `records`; SuiteError where none of them measured anything.

    `url` says where the results come from: a card's reader needs one where the source has a name.
    """
    measured = [record for record in place_measured(records) if record.status == "done" and record.scores]
    if not measured:
        raise SuiteError("none of the chosen records measured a quality: a model card has nothing to show of them.", exit=Exit.NOTHING)
    entries: dict[str, list[dict[str, Any]]] = {}
    for name, group in _group(measured):
        entries.setdefault(name, []).append(_result(group, url))
    return {"model-index": [{"name": name, "results": results} for name, results in entries.items()]}


def render_index(index: dict[str, Any]) -> str:
    """Return the YAML to stand between the lines `---` at the head of a card."""
    import yaml  # not for what only reads records

    return yaml.safe_dump(index, sort_keys=False, allow_unicode=True, width=140)


def _group(measured: Sequence[Measured]) -> Iterable[tuple[str, tuple[Measured, ...]]]:
    """Yield what a card calls the network, and the records that one result is of: an evaluation, or the seeds of a training."""
    for record in measured:
        if isinstance(record, Evaluation):
            yield redact(_name(record)), (record,)
    settings = group_by_setting(record for record in measured if isinstance(record, Record))
    for setting, members in settings.items():
        for model in dict.fromkeys(record.spec.model for record in members):
            title, conditions = describe(setting.outline(list(settings)))
            yield redact(f"{model} ({title}; {conditions})"), tuple(record for record in members if record.spec.model == model)


def _name(record: Evaluation) -> str:
    """Return what tells an evaluation from others of its network: whose weights, and how they were run where that is not as usual."""
    spec = record.spec
    parts = [tell_origin(record)] if spec.weights else []
    parts += [f"in tiles, {spec.tile}"] if spec.tile != WHOLE else []
    parts += [f"routing {spec.routing}"] if spec.routing else []
    return f"{spec.model}{'+' if spec.ensemble else ''}" + (f" ({'; '.join(parts)})" if parts else "")


def _result(group: Sequence[Measured], url: str) -> dict[str, Any]:
    first = group[0]
    spec, data = first.spec, dataset_name(first.spec.test_set)
    task = TASKS.get(spec.task)
    digests = first.provenance.data_checksums if first.provenance else {}
    digest = next((held for split, held in digests.items() if split.startswith("test (")), None)
    about = {"images": len(first.scores)} | ({"sha256": digest} if digest else {})
    metrics = [_metric(name, group) for name in first.scores[0].metrics if all(has_metric(record, name) for record in group)]
    return {
        "task": {"type": TASK_TYPE, "name": f"{task.summary} ({spec.task})" if task else spec.task},
        "dataset": {"type": data, "name": data, "split": "test", "args": about},
        "metrics": metrics,
        "source": {"name": SOURCE, "url": url},
    }


def _metric(name: str, group: Sequence[Measured]) -> dict[str, Any]:
    """Return a metric's mean with what it rests on; by the report's own averages."""
    found = _measure(name, group)
    row = METRICS.get(name)
    protocol = group[0].protocol
    about: dict[str, Any] = {"protocol": group[0].spec.protocol} | ({"statement": protocol.statement} if protocol else {})
    if found.seeds:
        about["seeds"] = list(found.seeds)
    if found.estimate.interval is not None:
        about["interval_95_over_seeds"] = list(found.estimate.interval)
    about["records"] = list(found.origin.fingerprints)
    unit = f" ({row.unit})" if row and row.unit else ""
    return {"type": name.partition("-")[0].lower(), "value": found.estimate.mean, "name": f"{name}{unit}", "args": about}


def _measure(name: str, group: Sequence[Measured]) -> Measurement:
    first = group[0]
    if isinstance(first, Evaluation):
        return measure_given(first, name, ())
    trained = [record for record in group if isinstance(record, Record)]
    found = average_seeds(trained, name, next(iter(group_by_setting(trained))), GRID)
    if found is None:
        raise ValueError(f"the records of {first.spec.label} are without {name}")
    return found

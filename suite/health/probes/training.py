"""Training in miniature, by each recipe: losses of the first steps and the quality after them.

The designs that are watched whole are trained on every task, of each other one a network on one task.

The learning rate of the budget `smoke` is a hundredth of what a quick training has. Adam's first steps are the signs of the gradient: where
an entry of it is nothing but rounding, another processor steps the other way. With the rate of a quick training VmambaIR's losses moved by
up to 7 % between two processors, and by 2e-4 where its start was nudged by 1e-7; with this one by less than 1e-5 (results/LOG.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import models
from models.catalog import design_of
from suite.data.degrade.degradations import degradation
from suite.data.feed.training_set import load_training
from suite.data.sets import load_pairs
from suite.health.probes.networks import WATCHED_WHOLE, gate_networks
from suite.health.probes.number import BUDGET, DATA, TRAINED_ON, Number, ProbePart, digest
from suite.measure.inference.restorer import restorer_of
from suite.measure.quality import evaluate
from suite.records.ledger import older_weights_file
from suite.records.spec import RunSpec
from suite.runner import plan
from suite.study import grids, tasks
from suite.study.protocols import protocol
from suite.training import loop
from suite.training.batches import make_mixed_batch
from suite.training.prepare import make_sampler
from suite.training.start import read_starting_weights


def parts() -> tuple[ProbePart, ...]:
    """Return a part for each cell that begins from scratch, with those that begin with its weights."""
    families: dict[str, list[RunSpec]] = {}
    home: dict[str, str] = {}
    for spec in plan_smoke_cells():
        root = home.get(spec.start, spec.fingerprint)
        home[spec.fingerprint] = root
        families.setdefault(root, []).append(spec)
    return tuple(
        ProbePart(
            f"{first.model} on {first.task}",
            partial(train_family, family),
            len(family) * (3.0 if first.model.startswith("vmambair") else 1.0),
        )
        for family in families.values()
        for first in family[:1]
    )


def plan_smoke_cells() -> list[RunSpec]:
    """Plan a cell of each design for each task, as far as it has a network for it, behind the cells that it begins with.

    Of the designs that are not watched whole, plan one cell: of the network of `gate_networks`, on the first of its tasks.
    """
    chosen: dict[tuple[str, str], str] = {}
    small = set(gate_networks())
    for pairing in grids.list_pairings():
        design = design_of(models.card(pairing.model).config).name
        if design in WATCHED_WHOLE:
            chosen.setdefault((pairing.task, design), f"{pairing.model}@{pairing.task}")
        elif f"{pairing.model}-tiny" in small:
            chosen.setdefault(("", design), f"{pairing.model}@{pairing.task}")
    sets = dict.fromkeys(("train_set", "validation_set", "test_set"), DATA)
    return plan.plan_cells("tasks", budget=BUDGET, seeds=1, only=list(chosen.values()), changes=sets, backend=TRAINED_ON, device="cpu")


def train_family(specs: Sequence[RunSpec]) -> Iterator[Number]:
    """Train cells in miniature, each behind those that it begins with."""
    with tempfile.TemporaryDirectory(prefix="suite-check-") as folder:
        for spec in specs:
            try:
                yield from train_in_miniature(spec, Path(folder))
            except Exception as error:  # any failure is a finding
                yield Number(f"training/{spec.task}/{spec.model}/loss 1", "loss", None, error=f"{type(error).__name__}: {error}")


def train_in_miniature(spec: RunSpec, folder: Path) -> Iterator[Number]:
    """Train a cell with its files in `folder`; yield its losses, and the quality of two images after it."""
    task, rule = tasks.task(spec.task), protocol(spec.protocol)
    rests_on = f"{rule.key}, {name_degradation(task)}"
    run = loop.begin(spec, None, read_starting_weights(spec, folder))
    sampler, key = make_sampler(spec, task, load_training(spec.train_set, task)), f"training/{spec.task}/{spec.model}"
    if spec.mixup:  # in four steps of two images it may happen to mix none
        mixtures = [part for iteration in range(4) for part in make_mixed_batch(spec, sampler, iteration, 4, range(4))]
        yield Number(f"{key}/mixed batches", "digest", digest(*mixtures), rests_on)
    for _ in loop.train(run, sampler, [], folder / spec.fingerprint):
        pass
    loop.save_weights(older_weights_file(folder, spec.fingerprint), run)
    for point in run.history:
        yield Number(f"{key}/loss {point.iteration}", "loss", point.loss, rests_on)
    scores, _ = evaluate.evaluate(restorer_of(run.evaluated), load_pairs(spec.test_set, "test", task, rule)[:2], rule, task.scale)
    for score in scores:  # PSNR alone: how similar in structure a hardly trained output is, its rounding to 8 bits decides
        yield Number(f"{key}/{rule.fidelity[0]}/{score.image}", "quality", score.metrics[rule.fidelity[0]], rests_on)


def name_degradation(task: tasks.Task) -> str:
    """Name the version of what makes the low-quality images of `task`."""
    row = degradation(task.degradation)
    return f"{row.name} v{row.version}"

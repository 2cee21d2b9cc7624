"""`python -m suite run --grid routing`: what MambaIRv2's router is worth in given weights."""

from __future__ import annotations

import argparse
import time
from pathlib import PurePath
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.data.pairs import Pair
    from suite.records.kinds.routing import RoutingRecord, RoutingSpec
    from suite.records.ledger import Ledger

SUMMARY = "quality of given weights of MambaIRv2 with its router, and with what takes its place at inference (--weights FILE)"
OPTIONS = ("only", "seeds", "weights", "data", "backend", "device", "cpus_per_cell", "dry_run", "ledger", "report", "json", "wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Measure the weights in every way unless that is done, add the record to the ledger, and print its table."""
    from suite.records.ledger import Ledger
    from suite.records.record import as_document
    from suite.report.grids.routing import tabulate_routing

    if options.weights is None:
        raise SuiteError(f"--grid {options.grid} needs --weights FILE: weights of a network of MambaIRv2.")
    spec, pairs = _examine(options)
    ledger = Ledger(options.ledger)
    held = ledger.find_done([spec.fingerprint], common.warn_left_out).get(spec.fingerprint)
    if options.dry_run:
        rows = [{"model": spec.model, "weights": spec.weights[:12], "data": spec.test_set, "seeds": spec.seeds}]
        rows[0] |= {"state": "done" if held else "new", "cell": spec.fingerprint}
        if options.json:
            out.document({"cells": rows})
        else:
            out.table(rows)
        return Exit.DONE
    with ledger.locked():
        record = held or _measure(spec, pairs, options, ledger)
    page, unwritten = common.render_last(ledger, options.report)
    table = tabulate_routing(record)
    if options.json:
        out.document({"report": page and str(page), "finding": table.finding, "records": [as_document(record)]})
    else:
        out.table(table.rows)
        out.line(table.finding)
        out.line(f"cell {spec.fingerprint}{' (done before)' if held else ''}; report: {page or 'not written'}")
    return common.end(Exit.DONE, unwritten)


def _examine(options: argparse.Namespace) -> tuple[RoutingSpec, list[Pair]]:
    """Return the cell (which model the file is of, on which images, on which backend) and the images."""
    import models
    from suite.core.files import sha256_of
    from suite.data.digest import digest_set
    from suite.data.sets import card_name, load_pairs
    from suite.measure.inference import weights
    from suite.records.kinds.routing import RoutingSpec
    from suite.study.protocols import protocol
    from suite.study.tasks import task

    if len(options.only) > 1 or options.seeds < 1:
        raise SuiteError("--grid routing measures one model (--only NAME, or the one that the file fits) with at least 1 seed.")
    found = weights.read_weights(options.weights)
    model = options.only[0] if options.only else weights.find_fitting_model(found.state, like="mambairv2-light-x4")
    if model is None:
        raise SuiteError(f"{options.weights} fits no network of the catalogue.", exit=Exit.NOT_READY)
    row = task(models.card(model).task)
    rule, data = protocol(row.protocol), options.data or "photos"
    device = common.resolve_device(options)
    pairs = load_pairs(data, "test", row, rule)
    if not pairs:
        raise SuiteError(f"{data} has no test image.", exit=Exit.NOTHING)
    spec = RoutingSpec(
        model=model,
        task=row.name,
        protocol=rule.key,
        test_set=card_name(data) or PurePath(data).name,
        data=digest_set((f"{pair.name}/{side}", image) for pair in pairs for side, image in (("hq", pair.hq), ("lq", pair.lq))),
        weights=sha256_of(options.weights),
        seeds=options.seeds,
        backend=common.choose_backend(options.backend, device)[0],
        device=device,
    )
    return spec, pairs


def _measure(spec: RoutingSpec, pairs: list[Pair], options: argparse.Namespace, ledger: Ledger) -> RoutingRecord:
    """Measure, and add the record to the ledger, which is locked."""
    from models.base import count_parameters
    from models.scan.backends import resolve_backend
    from suite.core import machine
    from suite.core.torch_state import limit_threads
    from suite.data.sets import pair_sources
    from suite.measure.quality.evaluate import load_network
    from suite.measure.quality.identity import identify_test_data
    from suite.measure.quality.routing import measure_routings
    from suite.records.cell import CellContext, now, provenance
    from suite.records.kinds.routing import RoutingRecord, RoutingRun
    from suite.records.record import ProtocolUsed
    from suite.study.protocols import protocol
    from suite.study.tasks import task

    common.note_lost_commit()
    started, threads = now(), options.cpus_per_cell or machine.count_cores()
    limit_threads(threads)
    row, rule, data = task(spec.task), protocol(spec.protocol), options.data or "photos"
    network, used = load_network(spec.model, options.weights, spec.backend, spec.device)
    note(used.sentence(options.weights))
    clock, runs, router = time.perf_counter(), [], None
    for found in measure_routings(network, pairs, rule, spec.seeds):
        if isinstance(found, RoutingRun):
            runs.append(found)
            metric = rule.fidelity[0]
            mean = sum(score.metrics[metric] for score in found.scores) / len(found.scores)
            note(f"{found.way}, seed {found.seed}: {metric} {mean:.4f}")
        else:
            router = found
    reason = "asked for by name" if options.backend != "auto" else resolve_backend("auto", spec.device)[1]
    context = CellContext(ledger.work, threads, "inline", reason, ledger.attempts(spec.fingerprint) + 1)
    record = RoutingRecord(
        fingerprint=spec.fingerprint,
        spec=spec,
        status="done",
        attempt=context.attempt,
        protocol=ProtocolUsed(name=rule.name, version=rule.version, statement=rule.statement),
        test_data=identify_test_data(data, pair_sources(data, "test", row, rule)),
        params=count_parameters(network),
        router=router,
        runs=tuple(runs),
        seconds=time.perf_counter() - clock,
        provenance=provenance(context, started, {f"{spec.test_set}/test": spec.data}, spec.backend),
    )
    ledger.add(record)
    return record

"""`python -m suite profile`: what networks cost, and with --time how long they take here."""

from __future__ import annotations

import argparse
import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output, note
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.measure.costs.grid import Size, TimingOptions
    from suite.records.kinds.profile import ProfileRecord, ProfileSpec
    from suite.records.ledger import Ledger
    from suite.runner.execute import Outcome

SUMMARY = "count parameters, multiply-adds and operations of networks as published, and time them"
EXAMPLE = "profile mambair-light-x2 --size 720p"
HD = "720p"
CLAIMS = ("v4",)
WITHOUT_SCANS = "the backend of what scans nothing"


def read_size(text: str) -> tuple[int, int] | str:
    """Read `HxW` as (height, width) in pixels, and `720p` as it is."""
    return HD if text.lower() == HD else read_pixels(text, (HD,))


def read_pixels(text: str, others: Iterable[str]) -> tuple[int, int]:
    """Read `HxW` as (height, width) in pixels; the error names the `others` that may stand there."""
    height, cross, width = text.lower().partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH in pixels, e.g. 64x64, nor {' or '.join(others)}")
    return int(height), int(width)


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = verb.add_argument_group("what to count")
    what.add_argument(
        "model", nargs="*", metavar="MODEL", help="names of `list models` or `list baselines`, parts of names, shell patterns, or all"
    )
    what.add_argument(
        "--size",
        type=read_size,
        action="append",
        metavar=f"HxW|{HD}",
        help=f"size of the low-quality input in pixels, or {HD} for an output of 1280x720; may be repeated (default: 64x64)",
    )
    what.add_argument("--parts", action="store_true", help="also print the parameters of each part, and multiply-adds by operator")
    what.add_argument("--conventions", action="store_true", help="also print the multiply-adds by every counting convention")
    what.add_argument("--check", action="store_true", help="also count with PyTorch's own counter, and compare operator by operator")
    how = verb.add_argument_group("how to time it")
    how.add_argument("--time", action="store_true", help="time a forward pass in a process of its own")
    how.add_argument("--sweep", action="store_true", help="time 64x64 upward, until the next would not fit or take too long")
    how.add_argument("--claim", choices=CLAIMS, help="instead: compare 1x1 convolutions with linear layers and reshapes, in pairs (V4)")
    common.add_shared(how, "--backend", "--kernel-revision", "--device", "--threads", "--plugin")
    how.add_argument("--seconds", type=float, default=3.0, metavar="N", help="how long each time is measured (default: %(default)s)")
    how.add_argument(
        "--longest", type=float, default=20.0, metavar="N", help="a sweep stops before calls of N seconds (default: %(default)s)"
    )
    out = verb.add_argument_group("what comes out")
    out.add_argument(
        "--save", action="store_true", help="with --time: write the times that are not noisy to this machine's file of results/machines"
    )
    common.add_shared(out, "--ledger", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Count or time, record, and print tables or one document."""
    if options.claim:
        return _claim(options, out)
    from suite.measure.costs import grid, tables
    from suite.measure.costs.ahead import counted_ahead, find_needed
    from suite.measure.timing import hold_machine
    from suite.records.ledger import Ledger

    if not options.model:
        raise SuiteError("no MODEL is given: names of `list models` or `list baselines`, patterns, or all.")
    names = grid.select_models(options.model)
    if options.check:
        return tables.check(names, options.json, out)
    if options.sweep and options.size:
        raise SuiteError("--sweep chooses the sizes; leave out --size.")
    if options.save and not options.time and not options.sweep:
        raise SuiteError("--save keeps times: give --time or --sweep with it.")
    ledger = Ledger(options.ledger)
    timing, reason = choose_timing(options) if options.time or options.sweep else (None, "")
    with hold_machine() if timing else contextlib.nullcontext(), contextlib.ExitStack() as beside:
        if options.sweep:
            outcome, stops = _sweep(names, timing, reason, options.longest, ledger)
        else:
            sizes = options.size or [(64, 64)]
            specs = [grid.make_spec(name, grid.resolve_size(name, one), timing) for name in names for one in sizes]
            if timing is None:  # times are taken with nothing beside them
                beside.enter_context(counted_ahead(find_needed(specs, ledger)))
            outcome, stops = _execute(specs, ledger, reason, timed=timing is not None), {}
        records = sorted(outcome.records, key=lambda record: (names.index(record.spec.model), math.prod(record.spec.input_size)))
        if options.json:
            out.document(tables.make_document(records, outcome.exit, stops))
        else:
            tables.show(records, options, stops, out)
    if options.save:
        _save(records)
    return outcome.exit


def _save(records: Sequence[ProfileRecord]) -> None:
    """Write the times to this machine's file, and say on standard error what was refused."""
    from suite.measure.costs.points import describe_here
    from suite.records.machines import save_times

    path, taken, noisy = save_times(describe_here(), records)
    for record in noisy:
        note(f"not saved: {record.spec.label} is noisy, other programs used the machine")
    note(f"{count_of(taken, 'time')} saved: {path}. `python tests/support/reference.py` renews docs/machines.md; commit both.")


def choose_timing(options: argparse.Namespace) -> tuple[TimingOptions, str]:
    """Return how times are taken, and why on that backend; raise SuiteError where this machine cannot."""
    from suite.core import machine
    from suite.measure.costs.grid import TimingOptions

    device = common.resolve_device(options)
    machine.check_device(device)
    backend, reason = common.choose_backend(options.backend, device)
    threads = machine.choose_threads(options.threads)
    if not 0 < options.seconds <= 600:
        raise SuiteError(f"--seconds {options.seconds:g}: it must be more than 0 and at most 600.")
    return TimingOptions(backend, device, threads, options.seconds), reason


def _execute(specs: Sequence[ProfileSpec], ledger: Ledger, reason: str, *, timed: bool) -> Outcome:
    """Run the cells; what was counted before is not counted again, for a cost does not change, but a time may."""
    from suite.runner.execute import How, unique_specs

    how = How("inline", max(1, specs[0].threads), reason or WITHOUT_SCANS)
    return common.execute_cells(unique_specs(specs), ledger, how, again=timed)


def _sweep(names: Sequence[str], timing: TimingOptions, reason: str, longest: float, ledger: Ledger) -> tuple[Outcome, dict[str, str]]:
    """Time each model at growing sizes; return the outcome of all sizes, and by model why no larger one was tried."""
    import dataclasses

    from suite.core import machine
    from suite.measure.costs import grid
    from suite.records.record import error_line

    outcomes, stops = [], {}
    for name in names:
        reached: list[grid.Reached] = []
        for side in grid.SWEEP:
            stop = grid.explain_stop(reached, side * side, longest, machine.find_free_mib(timing.device))
            if stop:
                stops[name] = f"stopped before {side}x{side}: {stop}"
                _record_stop(grid.make_spec(name, (side, side), timing), stop, ledger, reason)
                break
            outcomes.append(_execute([grid.make_spec(name, (side, side), timing)], ledger, reason, timed=True))
            record = next(iter(outcomes[-1].records), None)
            if record is None or record.status == "failed" or record.latency is None:
                why = "interrupted" if record is None else error_line(record) if record.status == "failed" else record.latency_reason
                stops[name] = f"stopped at {side}x{side}: {why}"
                break
            reached.append(grid.Reached(side * side, record.latency.median_ms / 1e3, record.latency.peak_memory_mib))
        if outcomes and outcomes[-1].signum is not None:
            break
    first = outcomes[0]
    return dataclasses.replace(
        first,
        **{count: sum(getattr(one, count) for one in outcomes) for count in ("done", "failed", "unfinished")},
        signum=outcomes[-1].signum,
        records=tuple(record for one in outcomes for record in one.records),
    ), stops


def _record_stop(spec: ProfileSpec, stop: str, ledger: Ledger, reason: str) -> None:
    """Record the size at which a sweep stopped: its cost, and why there is no time."""
    from suite.measure.costs.cell import count_cost, make_record
    from suite.records.cell import CellContext, now

    with ledger.locked():
        context = CellContext(ledger.work_folder(spec.fingerprint), spec.threads, "inline", reason, ledger.attempts(spec.fingerprint) + 1)
        ledger.add(make_record(spec, context, now(), count_cost(spec.model, spec.input_size), None, stop))


def _claim(options: argparse.Namespace, out: Output) -> Exit:
    """Compare in pairs for V4: the networks, then the projection alone."""
    from dataclasses import asdict

    from suite.core.process import ask, environment_for
    from suite.measure.costs import claim_v4, tables
    from suite.measure.timing import hold_machine

    if options.model:
        raise SuiteError(f"--claim {options.claim} names its own networks; leave out {' '.join(options.model)}.")
    sizes: Sequence[Size | str] = options.size or [(64, 64)]
    if HD in sizes or len(sizes) > 1:
        raise SuiteError("--claim takes one --size in pixels, e.g. 64x64.")
    timing, reason = choose_timing(options)
    found = {}
    with hold_machine():
        for what, alone in (("network", False), ("projection alone", True)):
            asked = claim_v4.Asked(claim_v4.PROJECTION_SIZE if alone else sizes[0], timing.backend, timing.device, timing.seconds, alone)
            note(f"{what}: calls in turns for about {timing.seconds:g} s ...")
            claim = {"claim": asdict(asked), "threads": timing.threads}
            said = dict(ask("suite.measure.costs.claim_v4:answer", claim, environment_for(timing.threads), what))
            found[what] = (asked, claim_v4.judge_claim([tuple(pair) for pair in said["pairs"]]), said["pairs"])
    tables.show_claim(found, timing, reason, options.json, out)
    return Exit.DONE

"""`python -m suite check`: tell whether a watched number moved since the committed baseline, and by how much."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError
from suite.core.files import write_whole
from suite.core.output import Output, note

if TYPE_CHECKING:
    from suite.health.gate import Finding, GateBaseline
    from suite.health.probes import Number
    from suite.health.time.verdict import TimeReport

SUMMARY = "compare the watched numbers with the committed baseline"
EXAMPLE = "check --only networks --only protocols"
INSTALLED = False  # what happens to be installed here is no part of the gate
PROBE_NAMES = ("networks", "outputs", "scans", "data", "protocols", "inference", "training", "cells", "definitions", "report")
OUTSIDE_NAMES = ("networks", "outputs", "training", "definitions")


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    groups = f"a group of numbers: {', '.join(PROBE_NAMES)}; with --plugin: {', '.join(OUTSIDE_NAMES)}; may be repeated (default: all)"
    verb.add_argument("--only", **common.REPEATED, metavar="PROBE", help=groups)
    verb.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="file of the baseline (default: results/baseline.json; with --plugin it must be given)",
    )
    verb.add_argument("--update", action="store_true", help="rewrite the baseline with the numbers measured now; needs --reason")
    verb.add_argument("--reason", metavar="TEXT", help="why the baseline is rewritten; goes into its log")
    verb.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="see every number under N random roundings, those that it lacks (default: those of changed numbers, 20)",
    )
    verb.add_argument(
        "--time",
        action="store_true",
        help="also time the code against the baseline's commit (two minutes); reported, never fails the check",
    )
    verb.add_argument("--gate-time", action="store_true", help="as --time, but slower code or more memory fails the check: exit code 3")
    verb.add_argument("--against", metavar="REV", help="commit to time against (default: the last that changed results/baseline.json)")
    verb.add_argument(
        "--history", type=Path, metavar="FILE", help="instead: write a page with each watched number over the baseline's commits"
    )
    verb.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    verb.add_argument("--markdown", type=Path, metavar="FILE", help="also write a Markdown summary (default: $GITHUB_STEP_SUMMARY, if set)")
    common.add_shared(verb, "--plugin", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Compare the numbers, or rewrite the baseline."""
    from models.lookup import lookup
    from suite.health import gate, gate_measure
    from suite.health.probes import choose_probes

    held = choose_probes()
    for name in options.only:
        lookup("probe", name, held)
    path = _choose_baseline(options)
    if options.update:
        return _update(options, out, path)
    if options.reason:
        raise SuiteError("--reason belongs to --update.")
    if options.history:
        return _history(options.history, out, path)
    against = _against(options)
    baseline = gate.load_baseline(path)
    chosen = tuple(name for name in held if not options.only or name in options.only)
    here = gate_measure.name_instructions()
    if baseline.instructions != here:
        note(f"instruction sets: {here} here; {baseline.instructions or 'not recorded'} where the baseline was made")
    started = time.perf_counter()
    parts = gate_measure.list_parts(chosen)
    measured = gate_measure.measure_parts(parts)
    findings = gate.compare(baseline, list(chain(*measured.values())), probes=chosen, data=digest_data())
    drifted = {finding.key for finding in findings if finding.verdict is gate.Verdict.DRIFT}
    again = [(probe, part) for probe, part in parts if any(number.key in drifted for number in measured[probe, part.name])]
    if again:
        note(f"measuring {', '.join(f'{probe}/{part.name}' for probe, part in again)} again, to tell drift from instability")
        findings = gate.settle(findings, list(chain(*gate_measure.measure_parts(again).values())))
    seconds = time.perf_counter() - started
    timing = None
    if against is not None:
        from suite.health.time import verdict

        timing = verdict.time_against(against, binding=options.gate_time)
    return _print(options, out, findings, seconds, timing, f"{path.name} of {baseline.log[-1].date}")


def _history(destination: Path, out: Output, path: Path) -> Exit:
    """Write the page of the baseline's history; nothing is measured."""
    from suite.health import history

    versions = history.read_versions(path)
    _write(destination, history.history_text(versions))
    out.line(f"{destination}: {len(versions[-1].baseline.numbers):,} numbers over {len(versions)} commits of {path.name}")
    return Exit.DONE


def _choose_baseline(options: argparse.Namespace) -> Path:
    """Return the file of the baseline: the suite's own, or that of the designs from outside, which has to be named."""
    from suite.health import gate
    from suite.study.outside.plugins import list_loaded

    own = gate.baseline_path()
    if not list_loaded():
        return options.baseline or own
    names = ", ".join(plugin.code.name for plugin in list_loaded())
    if options.baseline is None or options.baseline.absolute() == own.absolute():
        raise SuiteError(
            f"{own.name} of the suite holds no number of {names}. Name a file of your own: --baseline FILE; "
            "`--update --reason TEXT` makes it."
        )
    if options.time or options.gate_time:
        raise SuiteError(
            f"--time runs old code of the suite beside the new, and knows none of {names}: leave it out, or leave out --plugin."
        )
    return options.baseline


def _against(options: argparse.Namespace) -> str | None:
    """Return the commit to time against, empty for the baseline's; None where nothing is timed. Refuse a name that git lacks."""
    if not (options.time or options.gate_time):
        if options.against is not None:
            raise SuiteError("--against belongs to --time or --gate-time.")
        return None
    from suite.health.time import old_code

    return "" if options.against is None else old_code.find_commit(options.against)


def _print(
    options: argparse.Namespace, out: Output, findings: Sequence[Finding], seconds: float, timing: TimeReport | None, baseline: str
) -> Exit:
    """Write the files, print, and return the exit code: the worse of the numbers' and, where it is binding, time's."""
    from suite.health import gate, gate_report

    of_numbers = gate.choose_exit(findings)
    timed = None
    if timing is not None:
        from suite.health.time import report as timed
    code = max(of_numbers, timed.choose_exit(timing)) if timed else of_numbers
    if options.junit:
        _write(options.junit, gate_report.write_junit(findings, seconds, [timed.write_junit(timing)] if timed else []))
    summary = options.markdown or (Path(os.environ["GITHUB_STEP_SUMMARY"]) if os.environ.get("GITHUB_STEP_SUMMARY") else None)
    if summary:
        text = gate_report.write_markdown(findings) + (timed.write_markdown(timing) if timed else "")
        _write(summary, text, append=summary != options.markdown)
    if options.json:
        more = {"time": timed.make_document(timing)} if timed else {}
        out.document(gate_report.make_document(findings, seconds, int(code)) | more)
        return code
    table = gate_report.make_rows(findings)
    out.table(table)
    left = len(gate_report.select_loud(findings)) - len(table)
    more = f" ({left} rows are not shown; --json prints all)" if left > 0 else ""
    out.line(f"{gate_report.summarise(findings)}{more}; {seconds:.0f} s, against {baseline}")
    if timed:
        out.table(timed.make_rows(timing))
        out.line(timed.summarise(timing))
    if of_numbers is Exit.DRIFT:
        out.line("If this is intended: python -m suite check --update --reason TEXT")
    return code


def digest_data() -> str:
    """Return the digest of the pixels from which everything is made."""
    from suite.data.cards import SPLITS
    from suite.data.sets import load_images
    from suite.health.probes import DATA, digest

    return digest(*(image for split in SPLITS for _, image in load_images(DATA, split)))


def _update(options: argparse.Namespace, out: Output, path: Path) -> Exit:
    from suite.core import machine
    from suite.core.paths import is_installed
    from suite.health import gate, gate_measure

    if not options.reason or not options.reason.strip():
        raise SuiteError("--update needs a reason, which goes into the log of the baseline: --reason TEXT.")
    if options.time or options.gate_time or options.against:
        raise SuiteError("--update keeps no times: --time runs the old code again every time. Leave out --time, --gate-time and --against.")
    if options.only:
        raise SuiteError("--update measures everything, so that no old number stays; leave out --only.")
    if options.baseline is None and is_installed():
        raise SuiteError("the baseline came with the installed suite, and is not changed there. Name a file of yours: --baseline FILE.")
    wanted = gate_measure.NUDGES if options.repeats is None else options.repeats
    if wanted < 1:
        raise SuiteError(f"--repeats {wanted}: a spread needs at least 1 draw.")
    before = gate.load_baseline(path) if path.is_file() else None
    runs, draws = _measure_settings(wanted, before, complete=options.repeats is not None)
    numbers = gate.learn_spreads(runs, before.numbers if before else None, draws)
    old = before.numbers if before else {}
    changed = sum(old.get(key) is None or old[key].value != new.value for key, new in numbers.items()) + len(set(old) - set(numbers))
    commit = machine.find_commit().name
    entry = gate.LogEntry(date=datetime.now(UTC).date().isoformat(), commit=commit, reason=options.reason.strip(), changed=changed)
    packages = machine.installed_packages()
    settings = "; ".join(setting.name for setting in gate_measure.SETTINGS)
    processor = machine.describe_machine().get("cpu", "a processor")
    repeats = f"draws of rounding (start and inputs nudged by 1e-7), as many as stand with a number, and: {settings}; "
    repeats += f"the last of them on {processor}, torch {packages.get('torch')}"
    baseline = gate.GateBaseline(
        data=digest_data(),
        packages=packages,
        machine=machine.describe_machine(),
        instructions=gate_measure.name_instructions(),
        repeats=repeats,
        log=(*(before.log if before else ()), entry),
        numbers=dict(sorted(numbers.items())),
    )
    _write(path, baseline.model_dump_json(indent=1) + "\n")
    out.line(f"{path}: {len(numbers):,} numbers, {changed:,} changed")
    return Exit.DONE


def _measure_settings(wanted: int, before: GateBaseline | None, *, complete: bool) -> tuple[dict[str, list[Number]], dict[str, int]]:
    """Measure the numbers as they are, and under the settings from which spreads are learnt; return both, and each number's draws.

    Of a number that `before` knows, and that has not moved, the settings are known, and the draws that it was seen under; `complete` adds
    those that it lacks to the `wanted` ones.
    """
    from suite.health import gate, gate_measure
    from suite.health.probes import choose_probes

    plain = gate_measure.measure_parts(gate_measure.list_parts(list(choose_probes())))
    known = {place: gate.count_draws(before, found) for place, found in plain.items() if before and gate.is_known(before, found)}
    runs = {gate_measure.PLAIN.name: list(chain(*plain.values()))}
    drawn = {place: max(known.get(place, wanted), wanted if complete else 0) for place in plain}
    settings = [(setting, set(plain) - set(known)) for setting in gate_measure.SETTINGS]
    for number in range(1, wanted + 1):
        lacking = {place for place in plain if known.get(place, 0) < number <= drawn[place]}
        settings.append((gate_measure.make_nudge(number), lacking))
    for number, (setting, places) in enumerate(settings, start=1):
        parts = [(probe, part) for probe, part in gate_measure.list_parts(setting.probes) if (probe, part.name) in places]
        if parts:
            note(f"setting {number} of {len(settings)}: {setting.name}, {len(parts)} parts")
            runs[setting.name] = list(chain(*gate_measure.measure_parts(parts, setting).values()))
    nudged = {place: count if place[0] in gate_measure.NUDGED else 0 for place, count in drawn.items()}
    return runs, {number.key: nudged[place] for place, found in plain.items() for number in found}


def _write(path: Path, text: str, *, append: bool = False) -> None:
    if not append:
        write_whole(path, text.encode(), "Choose another place.")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SuiteError(f"{path} cannot be written: {error.strerror or error}. Choose another place.", exit=Exit.NOT_READY) from None

"""`python -m suite doctor`: what does not work here, and the command that fixes it."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from suite.core.errors import Exit
from suite.core.output import Output

SUMMARY = "check this installation part by part, and say how to fix what does not work"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """The verb's options."""
    verb.add_argument("--deep", action="store_true", help="start Ray, too, on the loopback interface alone (some seconds)")
    verb.add_argument("--ledger", type=Path, metavar="DIR", help="folder of the records (default: results/runs)")
    verb.add_argument("--json", action="store_true", help="print one JSON document on standard output, and nothing else there")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Prints a line a check; exit code 6 where something that is needed is broken."""
    from suite.health import doctor_run

    found = doctor_run.diagnosis(deep=options.deep, ledger=options.ledger)
    broken = any(one.state == "problem" for one in found)
    if options.json:
        out.document({"ok": not broken, "checks": [asdict(one) for one in found]})
    else:
        out.table([{"check": one.check, "state": one.state, "found": one.found, "fix": one.mend} for one in found])
        counts = ", ".join(f"{sum(one.state == state for one in found)} {state}" for state in doctor_run.STATES)
        out.line(f"{counts}. Names, home folders, hosts and secrets are left out: this can be pasted into an issue.")
    return Exit.NOT_READY if broken else Exit.DONE

"""`python -m suite doctor`: what does not work here, and how to fix it."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from suite.cli import common
from suite.core.errors import Exit
from suite.core.output import Output

SUMMARY = "check this installation part by part, and say how to fix what does not work"
EXAMPLE = "doctor --deep"


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    verb.add_argument("--deep", action="store_true", help="also start Ray, on the loopback interface only (some seconds)")
    common.add_shared(verb, "--kernel-revision", "--ledger", "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Print one line per check; exit code 6 where something that is needed is broken."""
    from suite.health.doctor import run

    found = run.diagnose(deep=options.deep, ledger=options.ledger)
    broken = any(one.state == "problem" for one in found)
    if options.json:
        out.document({"ok": not broken, "checks": [asdict(one) for one in found]})
    else:
        out.table([{"check": one.check, "state": one.state, "found": one.found, "fix": one.mend} for one in found])
        counts = ", ".join(f"{sum(one.state == state for one in found)} {state}" for state in run.STATES)
        out.line(f"{counts}. Names, home folders, hosts and secrets are left out: this can be pasted into an issue.")
    return Exit.NOT_READY if broken else Exit.DONE

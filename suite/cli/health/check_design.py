"""`python -m suite check-design FILE`: whether a design from outside does what the suite asks of every network."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit
from suite.core.output import Output
from suite.core.text import count_of

if TYPE_CHECKING:
    from suite.health.contract import CheckResult

SUMMARY = "check that a design from outside does what is asked of every network"
EXAMPLE = "check-design mine.py"
INSTALLED = False


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    what = "Python file or module that declares the design, and whose code is run"
    verb.add_argument("plugin", nargs=1, metavar="FILE_OR_MODULE", help=what)  # loaded as --plugin is
    verb.add_argument("--only", **common.REPEATED, metavar="CHECK", help="a check, e.g. shapes; may be repeated (default: all)")
    common.add_shared(verb, "--json", "--wide")


def run(options: argparse.Namespace, out: Output) -> Exit:
    """Check every network and ablation of the design; print a line a check, and what to do next."""
    from models.lookup import lookup
    from suite.core.parallel import show_progress
    from suite.health import contract
    from suite.study.grids import list_tables
    from suite.study.outside import plugins

    checks = [lookup("check", name, contract.CONTRACT) for name in dict.fromkeys(options.only)] or list(contract.CONTRACT.values())
    plugin = plugins.load(options.plugin[0])
    number = len(checks) * len(plugin.models)
    found = list(show_progress(contract.check_networks(plugin.models, checks), number, "checks made"))
    broken = [one for one in found if not one.holds]
    grids = [grid.name for grid in list_tables(plugin.design)]
    if options.json:
        about = {"plugin": plugin.code.name, "sha256": plugin.code.sha256, "design": plugin.design.name, "grids": grids}
        about |= {"printed": list(plugin.printed)}
        out.document(about | {"holds": not broken, "checks": [asdict(one) for one in found]})
        return Exit.INCOMPLETE if broken else Exit.DONE
    out.table(_rows(checks, found))
    if plugin.printed:  # it would not be loaded where any of it were wrong
        out.line(f"Read and held to its own tables: {', '.join(plugin.printed)}.")
    networks = count_of(len(plugin.models), "network")
    if broken:
        out.line(f"{len(broken)} of {number} checks of {networks} do not hold.")
        return Exit.INCOMPLETE
    out.line(
        f"All {number} checks of {networks} hold. Next: python -m suite run --plugin {shlex.quote(options.plugin[0])} --grid {grids[0]}"
    )
    return Exit.DONE


def _rows(checks: Sequence[object], found: Sequence[CheckResult]) -> list[dict[str, object]]:
    """Return a row for each check that all networks hold, and one for each network that does not hold it."""
    rows: list[dict[str, object]] = []
    for check in checks:
        own = [one for one in found if one.check == check.name]
        broken = [one for one in own if not one.holds]
        if not broken:
            said = own[0].said if len(own) == 1 else f"{own[0].model}: {own[0].said}"
            rows.append({"check": check.name, "holds": "yes", "asks": check.what, "what": said})
        rows += [{"check": check.name, "holds": "NO", "asks": check.what, "what": f"{one.model}: {one.said}"} for one in broken]
    return rows

"""`python tests/support/reference.py` writes docs/reference.md, docs/machines.md and the README's claims, from code and records."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from suite.cli import main  # noqa: E402
from suite.cli.ledger import list as listing  # noqa: E402
from suite.records.ledger import Ledger  # noqa: E402
from suite.records.machines import list_times, read_machines  # noqa: E402
from suite.report.claims.judge import judge_claims, summarise  # noqa: E402
from suite.report.formats.export_text import escape_markdown  # noqa: E402
from suite.study.claims import RatioClaim, load_claims  # noqa: E402

TABLES = ("grids", "tasks", "budgets", "recipes", "protocols", "baselines")  # the others depend on the machine, or have pages of their own
HEAD = "# Reference\n\nMade from the code by `python tests/support/reference.py`; a test holds it current.\n"
MACHINES_HEAD = """# Times by machine

Made from results/machines by `python tests/support/reference.py`; a test holds it current. `python -m suite profile all --time --save` adds
the times of your machine (how: [choose a network](choose-a-network.md)). Medians of a forward pass on one picture, of quiet machines alone.

"""
NO_TIMES = "No machine's times are kept yet.\n"


def as_table(rows):
    """Return rows, mappings with equal keys, as a table of Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(["" if v is None else str(v) for v in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def escape(row):
    """Return a row whose values are plain text in Markdown; code in backticks stays."""
    return {key: "" if value is None else escape_markdown(str(value)).replace("\\`", "`").replace("\\_", "_") for key, value in row.items()}


SHOWN = {  # claims of the README: what is measured is committed in results/evidence
    "vmambair-2-vmambair-params": "{:.2f} M".format,
    "vmambair-4-full-macs": "{:.2f} G".format,
    "vmambair-4-v1-saves": lambda ratio: f"saves {1 - ratio:.1%}",
    "vmambair-2-26-percent": "{:.1%} of it".format,
    "mambair-4-ours-x2-params": "{:.0f} K".format,
    "mambair-4-ours-x2-macs": "{:.1f} G".format,
    "mambair-4-eccv-swinir-light-x2-macs": "{:.1f} G".format,
    "mambair-4-similar-operations": "{:.0%} of it".format,
}
BEGIN, END = "<!-- claims -->\n", "<!-- end of claims -->"


def tell_claims():
    """Return the README's lines on claims: how all stand, and a row for each of SHOWN."""
    found = judge_claims(load_claims(), Ledger(ROOT / "results" / "evidence").records())
    rows = []
    for name, form in SHOWN.items():
        (one,) = (judged for judged in found if judged.claim.id == name)
        (part,) = one.parts
        why = part.reason.partition(": ")[0].partition("; ")
        detail = f": {why[0]}{'; ' + why[2] if why[2].startswith('in full') else ''}"
        verdict = one.word if isinstance(one.claim, RatioClaim) else one.word + detail
        rows.append({"claim": one.claim.sentence, "printed": form(part.printed), "measured": form(part.measured), "verdict": verdict})
    return f"{summarise(found)[0]}\n\n{as_table(rows)}\n"


def fill_readme(text):
    """Return the README with its lines on claims as they are now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + tell_claims() + END + rest.partition(END)[2]


def describe_options(parser, name):
    """Yield a table of what a verb takes, and one for each of its actions."""
    rows, inner = [], {}
    for action in parser._actions:  # argparse has no public way, and its own text differs between versions of Python
        if isinstance(action, argparse._SubParsersAction):
            inner = action.choices
        elif not isinstance(action, argparse._HelpAction):
            value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
            option = " ".join((", ".join(action.option_strings), value)).strip()
            rows.append({"option": f"`{option}`", "what": (action.help or "").replace("|", "\\|") % vars(action)})
    yield f"### {name}\n\n{parser.description}\n"
    if rows:
        yield as_table(rows)
    for action, its in inner.items():
        yield from describe_options(its, f"{name} {action}")


def describe_verbs():
    """Yield the tables of all verbs."""
    verbs = next(action.choices for action in main.parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, verb in verbs.items():
        yield from describe_options(verb, name)


def write():
    """Return the page."""
    tables = [f"## {name}\n\n{as_table([escape(row) for row in listing.LISTS[name]()])}" for name in TABLES]
    return "\n".join([HEAD, *tables, "## The command line\n", *describe_verbs()])


def write_machines():
    """Return the page of times by machine."""
    rows = list_times(read_machines(ROOT / "results" / "machines"))
    return MACHINES_HEAD + (as_table([escape(row) for row in rows]) if rows else NO_TIMES)


if __name__ == "__main__":
    (ROOT / "docs" / "machines.md").write_text(write_machines(), encoding="utf-8")
    (ROOT / "docs" / "reference.md").write_text(write(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(fill_readme(readme.read_text(encoding="utf-8")), encoding="utf-8")

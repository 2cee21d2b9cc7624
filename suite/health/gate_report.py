"""Findings of the gate for machines and people: JUnit XML, a Markdown summary, JSON, and the rows of the terminal's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol
from xml.etree import ElementTree as Xml

from suite.health.gate import Finding, Verdict

QUIET = (Verdict.SAME, Verdict.INSIGNIFICANT)
MOST_ROWS = 40  # of a table; the rest is counted


class Judged(Protocol):
    """What has a verdict: a number, or a time."""

    key: str
    verdict: Verdict


def summarise(findings: Sequence[Finding]) -> str:
    """Count the numbers by verdict."""
    parts = [f"{count:,} {verdict}" for verdict, count in count_verdicts(findings).items() if count]
    return f"{len(findings):,} numbers: " + (", ".join(parts) or "nothing was measured")


def select_loud(findings: Sequence[Finding]) -> list[Finding]:
    """Return what is worth a row: all that is not quiet, the largest moves first."""
    loud = [finding for finding in findings if finding.verdict not in QUIET]
    return sorted(loud, key=lambda finding: (list(Verdict).index(finding.verdict), -_excess(finding), finding.key))


def _excess(finding: Finding) -> float:
    moved = finding.difference
    return abs(moved) / finding.allowed if moved is not None and finding.allowed else float("inf")


def make_rows(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Return the rows of the table."""
    return [
        {
            "number": finding.key,
            "verdict": finding.verdict.value,
            "before": _text(finding.before),
            "now": _text(finding.now),
            "moved": "" if finding.difference is None else f"{finding.difference:+.3g}",
            "allowed": "equal" if finding.allowed is None else f"±{finding.allowed:.2g}",
            "note": finding.note,
        }
        for finding in select_loud(findings)[:MOST_ROWS]
    ]


def write_markdown(findings: Sequence[Finding], title: str = "Metric drift") -> str:
    """Write a summary for a pull request or a job's page."""
    lines = [f"### {title}", "", summarise(findings) + ".", ""]
    table = make_rows(findings)
    if table:
        lines += markdown_table(table)
        left = len(select_loud(findings)) - len(table)
        lines += [f"\n... and {left} more."] if left > 0 else []
    return "\n".join(lines) + "\n"


def markdown_table(table: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the lines of a table whose rows have equal keys."""
    cells = [["" if value is None else str(value).replace("|", "\\|").replace("\n", " ") for value in row.values()] for row in table]
    return ["| " + " | ".join(table[0]) + " |", "|" + "---|" * len(table[0]), *("| " + " | ".join(row) + " |" for row in cells)]


def write_junit(findings: Sequence[Finding], seconds: float, more: Sequence[Xml.Element] = ()) -> str:
    """Write a test case for each number: what is not quiet is a failure, what was not comparable an error. `more` are other suites."""
    suites = Xml.Element("testsuites", name="suite check", time=f"{seconds:.1f}")
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.key.partition("/")[0], []).append(finding)
    for name, members in groups.items():
        failures = sum(finding.verdict not in (*QUIET, Verdict.FIXED, Verdict.NOT_COMPARABLE) for finding in members)
        errors = sum(finding.verdict is Verdict.NOT_COMPARABLE for finding in members)
        suite = Xml.SubElement(suites, "testsuite", name=name, tests=str(len(members)), failures=str(failures), errors=str(errors))
        for finding in members:
            case = Xml.SubElement(suite, "testcase", classname=name, name=finding.key)
            if finding.verdict in (*QUIET, Verdict.FIXED):
                continue
            kind = "error" if finding.verdict is Verdict.NOT_COMPARABLE else "failure"
            message = f"{finding.verdict.value}: {_text(finding.before)} -> {_text(finding.now)} {finding.note}".strip()
            Xml.SubElement(case, kind, message=printable(message))
    suites.extend(more)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def make_document(findings: Sequence[Finding], seconds: float, exit_code: int) -> dict[str, object]:
    """Return the document of `--json`."""
    return {
        "summary": summarise(findings),
        "exit": exit_code,
        "seconds": round(seconds, 1),
        "verdicts": count_verdicts(findings),
        "findings": [list_fields(finding, "number") for finding in select_loud(findings)],
    }


def count_verdicts(findings: Sequence[Judged]) -> dict[str, int]:
    """Count the findings by verdict, those included that none got."""
    return {verdict.value: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}


def list_fields(finding: Judged, key: str) -> dict[str, object]:
    """Return all fields of a finding for a document, its key under the name `key`."""
    fields = asdict(finding)
    return {key: fields.pop("key")} | fields


def _text(value: float | str | None) -> str:
    return "–" if value is None else value if isinstance(value, str) else f"{value:.10g}"


def printable(text: str) -> str:
    """Leave out the control characters that XML cannot hold."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\t\n")

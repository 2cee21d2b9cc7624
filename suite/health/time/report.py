"""Findings of time and memory for machines and people; advisory unless it was asked to bind."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from suite.core.errors import Exit
from suite.health import gate, gate_report
from suite.health.gate import Verdict
from suite.health.time.verdict import TimeReport

ADVISORY = "advisory: reported, never fails the run; --gate-time makes it binding"


def choose_exit(timing: TimeReport) -> Exit:
    """Return what the command ends with for it: as for numbers where it is binding, else as if all were well."""
    return gate.choose_exit(timing.cases) if timing.binding else Exit.DONE


def summarise(timing: TimeReport) -> str:
    """Say how many cases got which verdict, against what, and whether that counts."""
    found = ", ".join(f"{count} {verdict}" for verdict, count in gate_report.count_verdicts(timing.cases).items() if count)
    against = f"the code of {timing.against[:10]}, called in turn on this machine" if timing.against else "older code"
    remark = f"; {timing.note}" if timing.note else ""
    return f"time and memory against {against}: {found}; {timing.seconds:.0f} s ({'binding' if timing.binding else ADVISORY}){remark}"


def make_rows(timing: TimeReport) -> list[dict[str, object]]:
    """Return the rows of the table: every case."""
    return [
        {
            "case": case.key,
            "verdict": case.verdict.value,
            "before": "" if case.before is None else f"{case.before:.2f} {case.unit}",
            "now": "" if case.now is None else f"{case.now:.2f} {case.unit}",
            "change": "" if case.change is None else f"{case.change:+.1%}",
            "95 % interval": " to ".join(f"{end:+.1%}" for end in case.interval or ()),
            "note": case.note,
        }
        for case in timing.cases
    ]


def write_markdown(timing: TimeReport) -> str:
    """Write a section of the summary."""
    return f"\n### Time and memory\n\n{summarise(timing)}.\n\n" + "\n".join(gate_report.markdown_table(make_rows(timing))) + "\n"


def write_junit(timing: TimeReport) -> Xml.Element:
    """Write a test case for each case. Advisory, nothing is a failure: what moved is output, what was not comparable is skipped."""
    loud = [case for case in timing.cases if case.verdict not in (*gate_report.QUIET, Verdict.FIXED)]
    lacking = [case for case in loud if case.verdict is Verdict.NOT_COMPARABLE]
    counts = {"failures": len(loud) - len(lacking), "errors": len(lacking)} if timing.binding else {"failures": 0, "errors": 0}
    counts |= {"tests": len(timing.cases), "skipped": 0 if timing.binding else len(lacking)}
    suite = Xml.Element("testsuite", name="time", time=f"{timing.seconds:.1f}", **{name: str(value) for name, value in counts.items()})
    for case in timing.cases:
        element = Xml.SubElement(suite, "testcase", classname="time", name=case.key)
        message = gate_report.printable(f"{case.verdict.value}: {case.note}".removesuffix(": "))
        if case not in loud:
            continue
        if timing.binding:
            Xml.SubElement(element, "error" if case in lacking else "failure", message=message)
        elif case in lacking:
            Xml.SubElement(element, "skipped", message=message)
        else:
            Xml.SubElement(element, "system-out").text = f"{message} ({ADVISORY})"
    return suite


def make_document(timing: TimeReport) -> dict[str, object]:
    """Return the part of the document of `--json`."""
    return {
        "summary": summarise(timing),
        "against": timing.against,
        "binding": timing.binding,
        "seconds": round(timing.seconds, 1),
        "verdicts": gate_report.count_verdicts(timing.cases),
        "cases": [gate_report.list_fields(case, "case") for case in timing.cases],
    }

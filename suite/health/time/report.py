"""Findings of time and memory for machines and people; advisory unless it was asked to bind."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from suite.core.errors import Exit
from suite.health import gate, gate_report
from suite.health.gate import Verdict
from suite.health.time.verdict import Timed, Timing

ADVISORY = "advisory: reported, never fails the run; --gate-time makes it binding"


def exit_of(timing: Timing) -> Exit:
    """Return what the command ends with for it: as for numbers where it is binding, else as if all were well."""
    return gate.exit_of(timing.cases) if timing.binding else Exit.DONE


def sentence(timing: Timing) -> str:
    """Say how many cases got which verdict, against what, and whether that counts."""
    found = ", ".join(
        f"{count} {verdict}" for verdict, count in gate_report.counts_of(case.verdict for case in timing.cases).items() if count
    )
    against = f"the code of {timing.against[:10]}, called in turn on this machine" if timing.against else "older code"
    remark = f"; {timing.note}" if timing.note else ""
    return f"time and memory against {against}: {found}; {timing.seconds:.0f} s ({'binding' if timing.binding else ADVISORY}){remark}"


def rows(timing: Timing) -> list[dict[str, object]]:
    """Return the rows of the table: every case."""
    return [_row(case) for case in timing.cases]


def _row(case: Timed) -> dict[str, object]:
    ends = "" if case.interval is None else " to ".join(f"{end:+.1%}" for end in case.interval)
    return {
        "case": case.key,
        "verdict": case.verdict.value,
        "before": "" if case.before is None else f"{case.before:.2f} {case.unit}",
        "now": "" if case.now is None else f"{case.now:.2f} {case.unit}",
        "change": "" if case.change is None else f"{case.change:+.1%}",
        "95 % interval": ends,
        "note": case.note,
    }


def markdown(timing: Timing) -> str:
    """Write a section of the summary."""
    return f"\n### Time and memory\n\n{sentence(timing)}.\n\n" + "\n".join(gate_report.markdown_table(rows(timing))) + "\n"


def junit(timing: Timing) -> Xml.Element:
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


def document(timing: Timing) -> dict[str, object]:
    """Return the part of the document of `--json`."""
    return {
        "summary": sentence(timing),
        "against": timing.against,
        "binding": timing.binding,
        "seconds": round(timing.seconds, 1),
        "verdicts": gate_report.counts_of(case.verdict for case in timing.cases),
        "cases": [gate_report.fields_of(case, "case") for case in timing.cases],
    }

"""The watched numbers over the commits of the baseline: a line each, which moved when, and by more than was allowed or less."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydantic

from suite.core.errors import Exit, SuiteError
from suite.core.output import note
from suite.health.gate import GateBaseline, Verdict, Watched, allowed_move, compare
from suite.health.probes import Number
from suite.health.time.old_code import require_repository, run_git
from suite.report.html import fill_template

WIDTH, HEIGHT, MARGIN = 120.0, 20.0, 3.0  # of a number's line, in SVG units


@dataclass(frozen=True)
class Version:
    """The baseline of a commit."""

    commit: str
    date: str
    baseline: GateBaseline
    reasons: tuple[str, ...] = ()  # that its log has and the version before has not
    moved: int = 0  # numbers that moved by more than was allowed
    added: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Line:
    """A watched number over the versions; None where a version does not watch it."""

    key: str
    values: tuple[float | str | None, ...]
    moved: tuple[int, ...]  # versions, counted from 0, in which it moved by more than was allowed
    points: str  # of its polyline; empty for what is no number, or has one value

    @property
    def group(self) -> str:
        """The probe that makes it."""
        return self.key.partition("/")[0]


def read_versions(path: Path) -> list[Version]:
    """Read the baseline in `path` at every commit that changed it, the oldest first; SuiteError where git has none.

    A version of another schema, or a damaged one, is named on standard error and left out.
    """
    root = path.resolve().parent
    require_repository(root)
    told = run_git(root, "log", "--first-parent", "--reverse", "--format=%H %cs", "--", path.name).stdout.decode().splitlines()
    if not told:
        raise SuiteError(f"{path} is in no commit of this repository, so it has no history. Commit it.", exit=Exit.NOT_READY)
    found: list[Version] = []
    for commit, _, date in (line.partition(" ") for line in told):
        shown = run_git(root, "show", f"{commit}:./{path.name}")
        if shown.returncode:  # the commit took the file away
            continue
        try:
            baseline = GateBaseline.model_validate_json(shown.stdout)
        except pydantic.ValidationError:
            note(f"left out: {path.name} of commit {commit[:12]} is damaged, or of another schema")
            continue
        found.append(_follow(found[-1].baseline if found else None, Version(commit, date, baseline)))
    return found


def _follow(before: GateBaseline | None, now: Version) -> Version:
    """Return the version with what changed in it."""
    new = now.baseline
    if before is None:
        return Version(now.commit, now.date, new, tuple(entry.reason for entry in new.log), added=len(new.numbers))
    added, removed = new.numbers.keys() - before.numbers.keys(), before.numbers.keys() - new.numbers.keys()
    reasons = tuple(entry.reason for entry in new.log if entry not in before.log)
    return Version(now.commit, now.date, new, reasons, len(find_moved(before, new)), len(added), len(removed))


def find_moved(before: GateBaseline, now: GateBaseline) -> set[str]:
    """Return the numbers that both watch, and that moved by more than `before` allows, or rest on something else, or fail now."""
    numbers = [Number(key, one.kind, one.value, one.rests_on, one.error) for key, one in now.numbers.items() if key in before.numbers]
    alone = before.model_copy(update={"numbers": {number.key: before.numbers[number.key] for number in numbers}})
    probes = {number.key.partition("/")[0] for number in numbers}
    quiet = (Verdict.SAME, Verdict.INSIGNIFICANT)
    return {finding.key for finding in compare(alone, numbers, probes=probes) if finding.verdict not in quiet}


def draw_lines(versions: Sequence[Version]) -> list[Line]:
    """Return a line for every number that any version watches, those that moved most often first within their probe."""
    moved: dict[str, list[int]] = {}
    for at, (before, now) in enumerate(itertools.pairwise(versions), start=1):
        for key in find_moved(before.baseline, now.baseline):
            moved.setdefault(key, []).append(at)
    keys = dict.fromkeys(key for version in versions for key in version.baseline.numbers)
    lines = []
    for key in keys:
        watched = [version.baseline.numbers.get(key) for version in versions]
        values = tuple(one.value if one else None for one in watched)
        lines.append(Line(key, values, tuple(moved.get(key, ())), _points(watched)))
    return sorted(lines, key=lambda line: (line.group, -len(line.moved), line.key))


def _points(watched: Sequence[Watched | None]) -> str:
    """Return the places of a number's values, the versions at equal distances; what is allowed to a number fills the height."""
    values = {at: one for at, one in enumerate(watched) if one is not None and isinstance(one.value, float)}
    if len(values) < 2:
        return ""
    low, high = min(one.value for one in values.values()), max(one.value for one in values.values())
    span = max(high - low, *(2 * (allowed_move(one) or 0.0) for one in values.values()), abs(high) * 1e-12) or 1.0
    middle, step = (low + high) / 2, (WIDTH - 2 * MARGIN) / (len(watched) - 1)
    places = ((MARGIN + at * step, HEIGHT / 2 - (one.value - middle) / span * (HEIGHT - 2 * MARGIN)) for at, one in values.items())
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def write_value(value: float | str | None) -> str:
    """Write a value as the page shows it; a digest by its first digits."""
    if value is None:
        return "–"
    return value[:8] if isinstance(value, str) else f"{value:,.7g}".replace("-", "−")


def history_text(versions: Sequence[Version]) -> str:
    """Return the page of the baseline's history as text."""
    groups: dict[str, list[Line]] = {}
    for line in draw_lines(versions):
        groups.setdefault(line.group, []).append(line)
    values: Mapping[str, object] = {"versions": versions, "groups": groups, "frame": (WIDTH, HEIGHT)}
    return fill_template("history.html.j2", {"value": write_value}, values)

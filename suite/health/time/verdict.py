"""Verdicts on time and memory: is the code slower, or does it need more, than at the baseline's commit? A rank test on paired turns.

Times of another day or machine say nothing, so none are kept: the old code is called again, here and now, in turn with the new
(suite.health.time.turns); machine, interpreter and packages are the same by construction. A case drifts where all of this holds: Wilcoxon's
signed-rank test says so at LEVEL, by Holm over all cases of the kind; its median is at least LEAST slower; its whole 95 % interval lies
above FLOOR; and two other processes show the same once more, for where a process lies in memory moves its times by some percent.

same            the whole interval lies within LEAST: the code is as fast, or needs as much
insignificant   nothing can be told, or it is too small to matter, or the second pair of processes does not show it
drift           slower, or more memory
fixed           faster, or less memory: reported, no failure
new failure     the case runs in the old code and not in the new
not comparable  it does not run in the old code; or the machine is so noisy that BLIND slower is not excluded
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from suite.core.errors import SuiteError
from suite.core.output import note
from suite.core.paths import ROOT
from suite.core.statistics import stats
from suite.health import gate
from suite.health.gate import Verdict
from suite.health.time import old_code
from suite.health.time.cases import CASES
from suite.health.time.turns import TURN_SECONDS, Key, Kind, Turn, Turns, take_turns
from suite.measure.timing import hold_machine

TEST_LEVEL = 0.01  # chance that any case of a kind passes the test alone where nothing changed
LEAST = 0.05  # share that the median must move by
FLOOR = 0.02  # share that all of the interval must lie beyond
BLIND = 0.20  # a slow-down that must be excluded, or the measurement is worth nothing
BESIDE: Mapping[Kind, float] = {"time": 0.0, "memory": float(2**20)}  # bytes: of small peaks, the kernel's pages are a large share
UNITS: Mapping[Kind, tuple[str, float]] = {"time": ("ms", 1e-3), "memory": ("MiB", float(2**20))}


@dataclass(frozen=True)
class Timed:
    """A case and its verdict: medians in `unit`, the median change as a share and its 95 % interval, p after Holm's correction."""

    key: str
    verdict: Verdict
    unit: str = ""
    before: float | None = None
    now: float | None = None
    change: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    turns: int = 0
    note: str = ""


@dataclass(frozen=True)
class TimeReport:
    """Verdicts on all cases, or one that says why there are none; `against` is the old commit, empty where there is none."""

    against: str
    cases: tuple[Timed, ...]
    seconds: float
    binding: bool
    note: str = ""


def time_against(against: str, *, binding: bool, seconds: float = TURN_SECONDS) -> TimeReport:
    """Time the code of `against`, a commit (empty: the last that changed the committed baseline), and this tree's in turn.

    What stands in the way is a case that is not comparable, with the reason.
    """
    begun, commit, remark = time.perf_counter(), against, ""
    try:
        if not commit:
            file = gate.baseline_path()
            commit = old_code.find_last_commit(file)
            remark = f"{file.name} has changes that are not committed" if old_code.is_changed(file) else ""
        with old_code.lay_out(commit) as old, hold_machine():
            note(f"timing the code of {commit[:10]} and this in turn, some two minutes")
            cases = judge_cases(old, seconds)
    except SuiteError as error:
        cases = [Timed("time", Verdict.NOT_COMPARABLE, note=str(error))]
    return TimeReport(commit, tuple(cases), time.perf_counter() - begun, binding, remark)


def judge_cases(old: old_code.OldCode, seconds: float) -> list[Timed]:
    """Judge every case; what seems to have moved is measured again in other processes."""
    trees = {"old": (old.tree, old.environment), "new": (ROOT, old_code.make_environment(ROOT))}
    keys: list[Key] = [(kind, case) for kind in UNITS for case in CASES]
    first = judge_turns(take_turns(trees, keys, seconds), keys)
    moved = [key for key in keys if first[key].verdict in (Verdict.DRIFT, Verdict.FIXED)]
    if moved:
        note(f"timing {', '.join(f'{case} ({kind})' for kind, case in moved)} again, in other processes")
        again = judge_turns(take_turns(trees, moved, seconds / 2, fresh=True), moved)
        first |= {key: confirm(first[key], again[key]) for key in moved}
    return list(first.values())


def judge_turns(found: Turns, keys: Sequence[Key]) -> dict[Key, Timed]:
    """Judge every key; p is corrected for the cases of the kind."""
    done = {}
    for kind in UNITS:
        asked = [key for key in keys if key[0] == kind]
        taken = [key for key in asked if key[1] not in found.failed and found.taken.get(key)]
        ratios = {key: [turn.ratio(BESIDE[kind]) for turn in found.taken[key]] for key in taken}
        corrected = dict(zip(taken, stats.correct_by_holm([stats.wilcoxon_p(np.asarray(ratios[key])) for key in taken]), strict=True))
        for key in asked:
            done[key] = _judged(key, found.taken[key], ratios[key], corrected[key]) if key in ratios else _failed(key, found)
    return done


def _judged(key: Key, turns: Sequence[Turn], ratios: Sequence[float], p: float) -> Timed:
    kind, case = key
    unit, size = UNITS[kind]
    interval = stats.median_interval(ratios)
    change, low, high = (math.expm1(value) for value in (statistics.median(ratios), *(interval or (-math.inf, math.inf))))
    found = Timed(
        f"{kind}/{case}",
        Verdict.INSIGNIFICANT,
        unit,
        statistics.median(value for turn in turns for value in turn.old) / size,
        statistics.median(value for turn in turns for value in turn.new) / size,
        change,
        (low, high) if interval else None,
        p,
        len(turns),
    )
    more, less = ("slower", "faster") if kind == "time" else ("more memory", "less memory")
    sure = p < TEST_LEVEL
    if sure and change >= LEAST and low > FLOOR:
        return replace(found, verdict=Verdict.DRIFT, note=f"{more} by {change:.1%}")
    if sure and change <= -LEAST and high < -FLOOR:
        return replace(found, verdict=Verdict.FIXED, note=f"{less} by {-change:.1%}")
    if max(-low, high) <= LEAST:
        return replace(found, verdict=Verdict.SAME)
    if high > BLIND:
        words = f"too noisy: {high:.0%} {more} is not excluded; run it again on a quieter machine"
        return replace(found, verdict=Verdict.NOT_COMPARABLE, note=words if interval else "too few turns")
    return found


def _failed(key: Key, found: Turns) -> Timed:
    kind, case = key
    reasons = found.failed.get(case, {})
    name = f"{kind}/{case}"
    if "old" not in reasons and "new" in reasons:
        return Timed(name, Verdict.NEW_FAILURE, note=f"it runs in the old code, and here: {reasons['new']}")
    reason = reasons.get("old", "no turn was taken")
    both = "in both" if reasons.get("new") == reason else "in the old code"
    return Timed(name, Verdict.NOT_COMPARABLE, note=f"it does not run {both}: {reason}")


def confirm(first: Timed, again: Timed) -> Timed:
    """Return the first verdict where the second pair of processes gives it too; else it is of the processes and not of the code."""
    if again.verdict is first.verdict:
        return first
    second = "nothing" if again.change is None else f"{again.change:+.1%}"
    return replace(first, verdict=Verdict.INSIGNIFICANT, note=f"{first.change:+.1%} in one pair of processes, {second} in another")

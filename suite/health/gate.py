"""The gate: the watched numbers of now against those of the baseline, with a verdict on each.

results/baseline.json is committed. It holds every number with its kind and tolerance, what it rests on, and a log of why it was rewritten.
Tolerances are learnt: `check --update` measures again under other settings (suite.health.gate_measure: threads, instruction sets, a start
nudged by rounding), and a number may move by four times the largest spread that was seen, and at least by the floor of its kind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pydantic
from pydantic import ConfigDict, Field

from suite.core.errors import Exit, SuiteError
from suite.core.paths import shipped_folder
from suite.health.probes import PROBES, Kind, Number
from suite.study.toml_data import Strict

BASELINE_SCHEMA = 1
BASELINE_FILE = "baseline.json"
SPREADS = 4.0  # how many times the spread that was seen a number may move
NUDGED_MOST = 1e-4  # of itself: a number that moves further by rounding alone is not watched


@dataclass(frozen=True)
class KindRow:
    """How numbers of a kind are compared: exactly, or within the larger of two floors."""

    name: Kind
    exact: bool
    absolute: float = 0.0
    relative: float = 0.0
    why: str = ""


NUMBER_KINDS: Mapping[Kind, KindRow] = MappingProxyType(
    {
        row.name: row
        for row in (
            KindRow("count", True, why="a count is equal or it is not"),
            KindRow("digest", True, why="bytes of deterministic paths are equal or they are not"),
            KindRow("known", False, absolute=1e-9, relative=1e-9, why="float64 sums in another order"),
            KindRow("double", False, absolute=1e-9, relative=1e-9, why="float64 through a network"),
            KindRow("output", False, absolute=1e-6, relative=2e-5, why="float32 sums in another order, on another processor"),
            KindRow("loss", False, absolute=1e-6, relative=2e-4, why="float32 through a few steps of Adam"),
            KindRow("quality", False, absolute=1e-4, relative=1e-4, why="the same, through the rounding of outputs to 8 bit"),
        )
    }
)


class Verdict(StrEnum):
    """The outcome for a number."""

    SAME = "same"
    DRIFT = "drift"
    INSIGNIFICANT = "insignificant"
    NEW_FAILURE = "new failure"
    FIXED = "fixed"
    NOT_COMPARABLE = "not comparable"
    UNSTABLE = "unstable"


class _Finite(Strict):
    model_config = ConfigDict(allow_inf_nan=False)


class Watched(_Finite):
    """A number of the baseline; `spread` is the largest difference that was seen, under the setting `spread_from`."""

    kind: Kind
    value: float | str | None
    rests_on: str = ""
    error: str = ""
    spread: float = 0.0
    spread_from: str = ""
    draws: int = Field(0, description="of rounding, numbered from 1, under which it was seen")


class LogEntry(_Finite):
    """A line of the baseline's log."""

    date: str
    commit: str
    reason: str
    changed: int = Field(description="numbers that moved, came or went")


class GateBaseline(_Finite):
    """The committed file."""

    schema_version: Literal[1] = BASELINE_SCHEMA
    data: str = Field(description="digest of the pixels that everything is made of")
    packages: dict[str, str]
    machine: dict[str, str | int | float]
    instructions: str = Field("", description="instruction sets of the processor")
    repeats: str = Field(description="what the spreads were learnt from")
    log: tuple[LogEntry, ...]
    numbers: dict[str, Watched]


@dataclass(frozen=True)
class Finding:
    """The verdict on a number, with both sides."""

    key: str
    verdict: Verdict
    kind: Kind
    before: float | str | None
    now: float | str | None
    allowed: float | None = None  # how far it may move; None where it must be equal
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Now minus before, where both are numbers."""
        both = isinstance(self.before, float) and isinstance(self.now, float)
        return self.now - self.before if both else None


def allowed_move(watched: Watched) -> float | None:
    """Return how far the number may move; None where it must be equal."""
    row = NUMBER_KINDS[watched.kind]
    if row.exact or not isinstance(watched.value, float):
        return None
    return max(SPREADS * watched.spread, row.absolute, row.relative * abs(watched.value))


def count_draws(baseline: GateBaseline, numbers: Sequence[Number]) -> int:
    """Return under how many draws of rounding the baseline saw all of these numbers."""
    return min((baseline.numbers[number.key].draws for number in numbers), default=0)


def is_known(baseline: GateBaseline, numbers: Sequence[Number]) -> bool:
    """Tell whether the baseline has all these numbers, and none moved by more than is allowed."""
    keys = {number.key for number in numbers}
    alone = baseline.model_copy(update={"numbers": {key: watched for key, watched in baseline.numbers.items() if key in keys}})
    return all(finding.verdict in (Verdict.SAME, Verdict.INSIGNIFICANT) for finding in compare(alone, numbers))


def compare(baseline: GateBaseline, numbers: Sequence[Number], *, probes: Iterable[str] = PROBES, data: str = "") -> list[Finding]:
    """Judge every number of the baseline that `probes` make and every one of `numbers`.

    A number that is missing now is a new failure, never a pass; one that is new is not comparable.
    """
    made = tuple(f"{name}/" for name in probes)
    before = {key: watched for key, watched in baseline.numbers.items() if key.startswith(made)}
    now = {number.key: number for number in numbers}
    other_data = "the data have changed" if data and data != baseline.data else ""
    found = [_finding(key, watched, now.get(key), other_data) for key, watched in before.items()]
    new = [number for key, number in now.items() if key not in before]
    unknown = "the baseline does not know it"
    return found + [Finding(one.key, Verdict.NOT_COMPARABLE, one.kind, None, one.value, note=one.error or unknown) for one in new]


def _finding(key: str, watched: Watched, number: Number | None, other_data: str) -> Finding:
    if number is None:
        return Finding(key, Verdict.NEW_FAILURE, watched.kind, watched.value, None, note="it is not measured any more")
    limit = allowed_move(watched)

    def verdict(which: Verdict, note: str = "") -> Finding:
        return Finding(key, which, watched.kind, watched.value, number.value, limit, note)

    if other_data or number.rests_on != watched.rests_on:
        return verdict(Verdict.NOT_COMPARABLE, other_data or f"it rests on {number.rests_on}, the baseline on {watched.rests_on}")
    if number.value is None:
        return verdict(Verdict.SAME if watched.value is None else Verdict.NEW_FAILURE, number.error)
    if watched.value is None:
        return verdict(Verdict.FIXED, f"was: {watched.error}")
    if number.value == watched.value:
        return verdict(Verdict.SAME)
    moved = verdict(Verdict.DRIFT)
    small = limit is not None and moved.difference is not None and abs(moved.difference) <= limit
    return verdict(Verdict.INSIGNIFICANT) if small else moved


def settle(findings: Sequence[Finding], again: Sequence[Number]) -> list[Finding]:
    """Return the findings after what drifted was measured once more: where the two measurements disagree, it is unstable."""
    second = {number.key: number for number in again}
    settled = []
    for finding in findings:
        other = second.get(finding.key)
        if finding.verdict is Verdict.DRIFT and other is not None and _disagree(finding, other.value):
            note = f"measured again, it is {other.value}"
            finding = replace(finding, verdict=Verdict.UNSTABLE, note=note)
        settled.append(finding)
    return settled


def _disagree(finding: Finding, value: float | str | None) -> bool:
    if finding.allowed is None or not isinstance(value, float) or not isinstance(finding.now, float):
        return value != finding.now
    return abs(value - finding.now) > finding.allowed


def choose_exit(findings: Sequence[Finding]) -> Exit:
    """Return what the command ends with: nothing measured is never a pass, nor is what cannot be compared."""
    verdicts = {finding.verdict for finding in findings}
    if not findings:
        return Exit.NOTHING
    if Verdict.NEW_FAILURE in verdicts:
        return Exit.INCOMPLETE
    bad = {Verdict.DRIFT, Verdict.UNSTABLE, Verdict.NOT_COMPARABLE}
    return Exit.DRIFT if verdicts & bad else Exit.DONE


def baseline_path() -> Path:
    """Return the path of the committed file."""
    return shipped_folder("results") / BASELINE_FILE


def load_baseline(path: Path) -> GateBaseline:
    """Read the baseline in `path`; SuiteError where there is none, it is damaged, or of another schema."""
    update = "`python -m suite check --update --reason TEXT` makes one."
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SuiteError(f"there is no baseline {path} to compare with. {update}", exit=Exit.NOT_READY) from None
    except (OSError, ValueError) as error:
        raise SuiteError(f"the baseline {path} cannot be read ({error}). Restore it from version control.", exit=Exit.NOT_READY) from None
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if found != BASELINE_SCHEMA:
        raise SuiteError(
            f"the baseline {path} is of schema {found}, and this suite compares with schema {BASELINE_SCHEMA}. {update}",
            exit=Exit.NOT_READY,
        )
    try:
        return GateBaseline.model_validate(raw)
    except pydantic.ValidationError as error:
        raise SuiteError(f"the baseline {path} is damaged: {error}. Restore it from version control.", exit=Exit.NOT_READY) from None


def learn_spreads(
    runs: Mapping[str, Sequence[Number]], before: Mapping[str, Watched] | None = None, draws: Mapping[str, int] | None = None
) -> dict[str, Watched]:
    """Give each number of the first run the largest difference that any other shows from it; `runs` are by the setting that made them.

    What `before`, an earlier baseline, saw of a number that has not drifted since is kept: it may be of another processor. `draws` says
    under how many draws of rounding a number was seen.
    SuiteError where a count or a digest differs, or a number moves so far that it cannot be watched.
    """
    (_, numbers), *others = runs.items()
    seen: dict[str, tuple[float, str]] = {}
    kinds = {number.key: number for number in numbers}
    for setting, run in others:
        for other in run:
            number = kinds.get(other.key)
            if number is None or number.value == other.value:
                continue
            if NUMBER_KINDS[number.kind].exact or not isinstance(number.value, float) or not isinstance(other.value, float):
                raise SuiteError(f"{number.key} must be equal under every setting: it is {number.value}, and {other.value} with {setting}.")
            seen[number.key] = max(seen.get(number.key, (0.0, "")), (abs(other.value - number.value), setting))
    found = {}
    for number in numbers:
        spread, setting = seen.get(number.key, (0.0, ""))
        found[number.key] = Watched(
            kind=number.kind,
            value=number.value,
            rests_on=number.rests_on,
            error=number.error,
            spread=spread,
            spread_from=setting,
            draws=(draws or {}).get(number.key, 0),
        )
    restless = [key for key, one in found.items() if isinstance(one.value, float) and one.spread > max(NUDGED_MOST * abs(one.value), 1e-9)]
    if restless:
        worst = found[restless[0]]
        raise SuiteError(
            f"{len(restless)} numbers move by more than {NUDGED_MOST:g} of themselves, so rounding decides them: {', '.join(restless[:5])} "
            f"(the first: {worst.value:.9g}, by {worst.spread:.3g} with {worst.spread_from}). Change their probe in suite/health/probes."
        )
    return {key: _with_history(new, (before or {}).get(key)) for key, new in found.items()}


def _with_history(new: Watched, old: Watched | None) -> Watched:
    """Keep the spread that an earlier baseline knew, where the number is still the same: it moved by no more than is allowed."""
    if old is None or (old.kind, old.rests_on) != (new.kind, new.rests_on):
        return new
    limit = allowed_move(old)
    if limit is None or not (isinstance(new.value, float) and isinstance(old.value, float)) or abs(new.value - old.value) > limit:
        return new
    moved = (abs(new.value - old.value), "the baseline before")
    spread, setting = max((new.spread, new.spread_from), (old.spread, old.spread_from), moved)
    return new.model_copy(update={"spread": spread, "spread_from": setting if spread else ""})

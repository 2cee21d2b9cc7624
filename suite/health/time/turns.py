"""Old and new code called in turn, A B B A, by two processes that live as long as the measurement: a machine's drift meets both alike.

Only one of the two works at a time. Each turn is a number: the logarithm of new over old, in which whatever changes steadily cancels; the
next turn is B A A B, so that what comes of the order cancels over two. Cases take turns with each other, too, so that no case has
a bad minute to itself.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from suite.core.errors import Exit, SuiteError
from suite.core.process import LAST_WORDS, Child
from suite.health.time import cases as gate_cases
from suite.measure.timing import call_in_turn

Kind = Literal["time", "memory"]
Key = tuple[Kind, str]  # and the case
Side = Literal["old", "new"]

TURN_SECONDS = 30.0  # of turns for time, on all cases together
FEWEST_TURNS = 13  # with 11, the smallest p, corrected for ten cases, is just below verdict.LEVEL; with 13 one turn may disagree
SHORTEST_SAMPLE = 25e-3  # of calls in a sample: several where they are short, for the first finds the other process's data in the caches
COMPILED = 15.0  # seconds of preparing in which kernels were compiled: the processes that did it are not timed
ANSWER_SECONDS = 300.0  # seconds for one answer; Numba compiles for 40 on a busy machine


class CaseFailed(Exception):
    """A case does not run in one of the processes; the message says why."""


@dataclass(frozen=True)
class Turn:
    """Two samples of each side, in seconds or bytes."""

    old: tuple[float, float]
    new: tuple[float, float]

    def ratio(self, beside: float = 0.0) -> float:
        """Logarithm of new over old, of the geometric means; `beside` is added to every sample first."""
        return (sum(math.log(value + beside) for value in self.new) - sum(math.log(value + beside) for value in self.old)) / 2


@dataclass
class Turns:
    """What was measured, by kind and case; and why which case was not, by case and side."""

    taken: dict[Key, list[Turn]] = field(default_factory=dict)
    failed: dict[str, dict[Side, str]] = field(default_factory=dict)


class Process:
    """A process with one version of the code; SuiteError, in words, where it dies or does not answer."""

    def __init__(self, side: Side, tree: Path, environment: Mapping[str, str]) -> None:
        self.side = side
        cases = str(Path(gate_cases.__file__).resolve())
        self.child = Child(cases, str(tree), environment=environment, folder=tree)

    def say(self, case: str, ask: str, calls: int = 1) -> None:
        """Ask without waiting."""
        try:
            self.child.say({"case": case, "ask": ask, "calls": calls})
        except OSError:
            raise self._died(f"when it was asked for {case}") from None

    def hear(self) -> float:
        """Wait for the answer to the oldest question; `CaseFailed` where there is none but a reason."""
        try:
            found = self.child.hear(ANSWER_SECONDS)
        except TimeoutError:
            raise SuiteError(
                f"the process that times the {self.side} code has not answered for {ANSWER_SECONDS:.0f} s. "
                "Run it again on a quieter machine.",
                exit=Exit.NOT_READY,
            ) from None
        except EOFError:
            raise self._died("before it answered") from None
        if "error" in found:
            raise CaseFailed(found["error"])
        return float(found["value"])

    def ask(self, case: str, ask: str, calls: int = 1) -> float:
        """Ask and wait."""
        self.say(case, ask, calls)
        return self.hear()

    def _died(self, when: str) -> SuiteError:
        code = self.child.process.wait()
        words = self.child.last_words()[-LAST_WORDS:]
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        said = f" Its last words: {words}" if words else ""
        return SuiteError(
            f"the process that times the {self.side} code {how} {when}, so time and memory were not compared. "
            f"Run it again; where memory was short, end other programs.{said}",
            exit=Exit.NOT_READY,
        )


@contextlib.contextmanager
def start_processes(trees: Mapping[Side, tuple[Path, Mapping[str, str]]]) -> Iterator[tuple[Process, Process]]:
    """Start the two processes, old and new; both have ended afterwards."""
    with contextlib.ExitStack() as stack:
        found = []
        for side in ("old", "new"):
            found.append(Process(side, *trees[side]))
            stack.callback(found[-1].child.end)
        yield found[0], found[1]


def take_turn(number: int, old: Callable[[], float], new: Callable[[], float]) -> Turn:
    """Take the turn with this number: A B B A where it is even, B A A B where it is odd, A being the old code."""
    if number % 2 == 0:
        return Turn(*call_in_turn(old, new))
    return Turn(*reversed(call_in_turn(new, old)))


def take_turns(
    trees: Mapping[Side, tuple[Path, Mapping[str, str]]], keys: Sequence[Key], seconds: float = TURN_SECONDS, *, fresh: bool = False
) -> Turns:
    """Take turns of the keys for about `seconds`, and FEWEST_TURNS at least, in two new processes.

    Where preparing them compiled kernels, two others are timed in their place; `fresh` says that nothing is left to compile.
    """
    found = Turns()
    with start_processes(trees) as (old, new):
        begun = time.perf_counter()
        calls = prepare(old, new, list(dict.fromkeys(case for _, case in keys)), found)
        if fresh or time.perf_counter() - begun < COMPILED:
            _take(old, new, calls, [key for key in keys if key[1] in calls], found, seconds)
            return found
    return take_turns(trees, keys, seconds, fresh=True)


def prepare(old: Process, new: Process, cases: Sequence[str], found: Turns) -> dict[str, int]:
    """Warm every case up in both at once, and return how many calls a sample has, by case; which do not run goes into `found`, with why."""
    calls: dict[str, int] = {}
    for case in cases:
        reasons: dict[Side, str] = {}
        took = []
        for process in (old, new):
            process.say(case, "prepare")
        for process in (old, new):
            try:
                took.append(process.hear())
            except CaseFailed as failure:
                reasons[process.side] = str(failure)
        if reasons:
            found.failed[case] = reasons
        else:
            calls[case] = max(1, math.ceil(SHORTEST_SAMPLE / max(*took, 1e-6)))
    return calls


def _take(old: Process, new: Process, calls: Mapping[str, int], keys: Sequence[Key], found: Turns, seconds: float) -> None:
    """Take turns for time first, then for memory: giving free memory back makes the next calls slower."""
    asks: Mapping[Kind, str] = {"time": "seconds", "memory": "bytes"}
    for kind, ask in asks.items():
        cases = [case for of, case in keys if of == kind]
        number, begun = 0, time.perf_counter()
        while cases and (number < FEWEST_TURNS or (kind == "time" and time.perf_counter() - begun < seconds)):
            for case in [case for case in cases if case not in found.failed]:
                sides = [_sampler(process, case, ask, calls[case], found) for process in (old, new)]
                with contextlib.suppress(CaseFailed):
                    found.taken.setdefault((kind, case), []).append(take_turn(number, *sides))
            number += 1


def _sampler(process: Process, case: str, ask: str, calls: int, found: Turns) -> Callable[[], float]:
    def sample() -> float:
        try:
            return process.ask(case, ask, calls)
        except CaseFailed as failure:
            found.failed[case] = {process.side: str(failure)}
            raise

    return sample

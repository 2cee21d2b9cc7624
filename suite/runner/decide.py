"""What it would take to decide the claims: pieces of work, what each costs on a kind of GPU, and in which order they decide the most.

A piece is a training (counted once, whatever it is tested on), an evaluation of given weights on all its test sets, or something that
needs no GPU to speak of. A step is the work of one claim that is not planned yet, and decides every claim whose work is then done. The next
step is the one that decides the most claims a GPU-hour; of a range of hours its middle counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import models
from suite.data.cards import card
from suite.records.record import Attempt, Record
from suite.records.spec import RunSpec
from suite.report.claims.verdict import Judgement
from suite.runner.cell_time import GpuClock, TimeRange
from suite.runner.estimate import BYTES_PER_PARAMETER, COPIES, RECORD_MIB
from suite.runner.operations import get_count
from suite.runner.schedule import Job, measure_makespan, simulate_schedule
from suite.study.tasks import TEST_IMAGES, task

_DATA, _WEIGHTS = attrgetter("data"), attrgetter("weights")
HOUR, DAY = 3600.0, 86400.0
WEIGHTS_BYTES = 4  # of a parameter that is kept, float32
# Pixels of a test image whose card states no width and height: from BSD100's images to DIV2K's.
LEAST_PIXELS, MOST_PIXELS = 481 * 321, 2040 * 2040
PLACELESS = {"backend": "none", "device": "cpu", "degrade_on": "worker"}  # where a training runs


@dataclass(frozen=True)
class Piece:
    """A piece of work; seconds of one GPU, None where it needs none."""

    key: str
    seconds: TimeRange | None = None
    after: tuple[str, ...] = ()
    parameters: int = 0  # of the network, where weights are kept
    trains: bool = False


@dataclass(frozen=True)
class Asked:
    """What a command makes: its pieces, and the sets of images that it reads."""

    command: str
    pieces: tuple[Piece, ...]
    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()  # names of the register's


@dataclass(frozen=True)
class Step:
    """The pieces to be done next, and the claims that are decided then."""

    claims: tuple[Judgement, ...]
    pieces: tuple[Piece, ...]
    commands: tuple[str, ...]
    data: tuple[str, ...]
    weights: tuple[str, ...] = ()

    @property
    def hours(self) -> tuple[float, float]:
        """GPU-hours, least and most."""
        ranges = [piece.seconds for piece in self.pieces if piece.seconds]
        return sum(one.low for one in ranges) / HOUR, sum(one.high for one in ranges) / HOUR

    @property
    def parameters(self) -> int:
        """Parameters of the networks whose weights are kept."""
        return sum(piece.parameters for piece in self.pieces)

    @property
    def bases(self) -> tuple[str, ...]:
        """Return what the hours rest on."""
        return tuple(dict.fromkeys(piece.seconds.basis for piece in self.pieces if piece.seconds))

    def days(self, gpus: int) -> tuple[float, float]:
        """Return the days that it takes on so many GPUs, least and most, by a simulated schedule."""
        return simulate_days(self.pieces, gpus)

    def disk_gib(self, gpus: int) -> float:
        """Return the disk space that it needs at once: checkpoints of what trains at a time, weights and records of all."""
        largest = sorted((piece.parameters for piece in self.pieces if piece.trains), reverse=True)[:gpus]
        kept = self.parameters * WEIGHTS_BYTES
        records = RECORD_MIB * 2**20 * sum(piece.trains for piece in self.pieces)
        return (sum(largest) * BYTES_PER_PARAMETER * COPIES + kept + records) / 2**30


@dataclass(frozen=True)
class DecisionPlan:
    """The steps in their order, and the claims that are left out of it."""

    steps: tuple[Step, ...]
    decided: int
    close: tuple[Judgement, ...] = ()  # measured, and more of the same work is not planned
    undecidable: tuple[Judgement, ...] = ()  # by any command of the suite

    def total(self) -> Step:
        """Return all steps as one."""
        return Step(
            tuple(one for step in self.steps for one in step.claims),
            tuple(piece for step in self.steps for piece in step.pieces),
            tuple(dict.fromkeys(command for step in self.steps for command in step.commands)),
            tuple(dict.fromkeys(name for step in self.steps for name in step.data)),
            tuple(dict.fromkeys(name for step in self.steps for name in step.weights)),
        )


@dataclass
class Workshop:
    """Makes the pieces of commands, each once, for one kind of GPU."""

    clock: GpuClock
    made: dict[str, Piece] = field(default_factory=dict)
    specs: dict[str, RunSpec] = field(default_factory=dict)  # of what trains, by the piece's key

    def train(self, command: str, specs: Sequence[RunSpec], *, data: Iterable[str] = ()) -> Asked:
        """Return what a `run` command makes: the trainings of its cells, behind those that they begin with."""
        keys = {spec.fingerprint: training_key(spec) for spec in specs}
        by_key = {training_key(spec): spec for spec in specs}
        pieces = []
        for key, spec in by_key.items():
            if key not in self.made:
                after = tuple(filter(None, [keys.get(spec.start)]))
                parameters = get_count(spec.model).parameters
                self.made[key] = Piece(key, self.clock.estimate_training(spec), after, parameters, trains=True)
                self.specs[key] = spec
            pieces.append(self.made[key])
        sets = dict.fromkeys(name for spec in specs for name in task(spec.task).train_sets)
        return Asked(command, tuple(pieces), (*sets, *data))

    def evaluate(self, command: str, model: str, on: str, sets: Sequence[str], *, weights: Sequence[str] = ()) -> Asked:
        """Return what an `evaluate` command with given weights makes."""
        count, key = get_count(model), f"evaluate {model} {on} {' '.join(sets)}"
        if key not in self.made:
            least, most = map(sum, zip(*(_restoring(model, name) for name in sets), strict=True))
            self.made[key] = Piece(key, self.clock.estimate_operations(least, most=most), (), count.parameters)
        return Asked(command, (self.made[key],), tuple(sets), tuple(weights))

    def other(self, command: str, seconds: float = 0.0) -> Asked:
        """Return what a command makes that counts or times: so many seconds of a GPU, or none."""
        said = TimeRange(seconds, seconds, "the seconds for which times are taken, without what starts them") if seconds else None
        return Asked(command, (self.made.setdefault(command, Piece(command, said)),))


def training_key(spec: RunSpec) -> str:
    """Return what is equal of two cells that train alike, wherever they run and whatever they are tested on."""
    return f"train {spec.model_copy(update=PLACELESS).identify_training(spec.start)}"


def find_trained(records: Iterable[Attempt]) -> set[str]:
    """Return the keys of the trainings that are done."""
    return {training_key(one.spec) for one in records if isinstance(one, Record) and one.status == "done"}


def plan_decisions(found: Sequence[Judgement], asked: Mapping[str, Sequence[Asked]], done: set[str]) -> DecisionPlan:
    """Order the work for the claims that are not decided; `asked` has what each claim's commands make, by its name."""
    pieces = {piece.key: piece for work in asked.values() for one in work for piece in one.pieces}
    needs = {name: {piece.key for one in work for piece in one.pieces} for name, work in asked.items()}
    left: dict[str, Judgement] = {}
    close, lost, decided = [], [], 0
    for one in found:
        name = one.claim.id
        if one.word in ("holds", "does not hold"):
            decided += 1
        elif not needs[name]:
            lost.append(one)
        elif one.word == "too close to tell" and not any(pieces[key].trains for key in needs[name] - done):
            close.append(one)
        else:
            left[name] = one
    steps, planned = [], set(done)
    new = {key for name in left for key in needs[name] - planned if pieces[key].seconds is None}  # what needs no GPU is one step, the first
    while left:
        if not new:
            new = max((needs[name] - planned for name in left), key=lambda work: _worth(work, planned, left, needs, pieces))
        planned |= new
        claims = [name for name in left if needs[name] <= planned]
        work = [made for name in claims for made in asked[name]]
        commands, data, weights = (
            tuple(dict.fromkeys(text for made in work for text in texts(made))) for texts in (lambda made: (made.command,), _DATA, _WEIGHTS)
        )
        held = tuple(piece for key, piece in pieces.items() if key in new)
        steps.append(Step(tuple(left.pop(name) for name in claims), held, commands, data, weights))
        new = set()
    return DecisionPlan(tuple(steps), decided, tuple(close), tuple(lost))


def _worth(
    work: set[str], planned: set[str], left: Iterable[str], needs: Mapping[str, set[str]], pieces: Mapping[str, Piece]
) -> tuple[float, int]:
    """Return how many claims a GPU-hour the work decides, and how many."""
    gain = sum(needs[name] <= planned | work for name in left)
    seconds = [pieces[key].seconds for key in work]
    cost = sum((one.low + one.high) / 2 for one in seconds if one)
    return (gain / cost if cost else float("inf")), gain


def simulate_days(pieces: Sequence[Piece], gpus: int) -> tuple[float, float]:
    """Return the days that pieces take on so many GPUs, least and most: one GPU each, in the waves and the order of `run`."""
    held = [piece for piece in pieces if piece.seconds]
    ends = []
    for end in ("low", "high"):
        jobs = [Job(piece.key, getattr(piece.seconds, end), piece.after) for piece in held]
        ends.append(measure_makespan(simulate_schedule(jobs, gpus)) / DAY)
    return ends[0], ends[1]


def _restoring(model: str, name: str) -> tuple[float, float]:
    """Return the operations of restoring a test set, least and most by the sizes that its card states."""
    chosen, scale, count = card(name), models.card(model).scale, get_count(model)
    images = TEST_IMAGES.get(chosen.name) or chosen.splits["test"]
    sizes = [int(width) * int(height) for width, height in re.findall(r"(\d+)x(\d+)", chosen.size)] or [LEAST_PIXELS, MOST_PIXELS]
    return tuple(images * count.of_pixels(pixels // scale**2) for pixels in (min(sizes), max(sizes)))

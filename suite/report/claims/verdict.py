"""What is said of a claim: a verdict in four words with its evidence, and apart from it what trainings at another budget hint at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from suite.study.claims import Claim

Word = Literal["holds", "does not hold", "too close to tell", "not tested"]
Hinted = Literal["agrees", "contradicts", "cannot tell"]
Interval = tuple[float, float]
WORDS: tuple[Word, ...] = ("holds", "does not hold", "too close to tell", "not tested")
HINTED: tuple[Hinted, ...] = ("agrees", "contradicts", "cannot tell")


@dataclass(frozen=True)
class ClaimPart:
    """The verdict on one printed value of a claim, and what it rests on."""

    what: str  # the column, or what was measured
    word: Word
    reason: str = ""
    printed: float | None = None
    measured: float | None = None  # comparable with `printed`
    interval: Interval | None = None  # 95 %, of `measured`; None where it is exact, or cannot be told
    visible: float | None = None  # the smallest difference that could have been seen
    matters: float | None = None  # the smallest that matters
    unit: str = ""
    digits: int = 2
    evidence: Literal["cost", "time", "weights", "training", ""] = ""
    records: tuple[str, ...] = ()  # fingerprints
    leaves_out: tuple[str, ...] = ()  # what the interval does not hold


@dataclass(frozen=True)
class Hint:
    """What measurements under other conditions say of a claim: never a verdict, and counted apart."""

    word: Hinted
    reason: str = ""
    setting: str = ""
    what: str = ""  # the metric, or what was measured
    measured: float | None = None  # row less against
    interval: Interval | None = None
    visible: float | None = None
    kept: int | None = None  # pairs of one seed and one image that lie as the paper says
    pairs: int | None = None
    signed: bool = True  # whether `measured` is a difference
    unit: str = ""
    digits: int = 2
    records: tuple[str, ...] = ()
    leaves_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A claim with the verdict on each of its values."""

    claim: Claim
    paper: str
    parts: tuple[ClaimPart, ...]
    commands: tuple[str, ...]  # that would decide it; none where no command of the suite can
    hint: Hint | None = None  # None for claims that other conditions cannot hint at
    notes: tuple[str, ...] = ()

    @property
    def word(self) -> Word:
        """The verdict on the sentence: it holds where each of its values does, and does not where one does not."""
        words = [part.word for part in self.parts]
        order: tuple[Word, ...] = ("does not hold", "not tested", "too close to tell", "holds")
        return next(word for word in order if word in words)


def describe_judgement(one: Judgement) -> dict[str, object]:
    """Return a claim, its verdict and its evidence, unrounded, for programs."""
    return one.claim.model_dump(mode="json") | {
        "paper": one.paper,
        "verdict": one.word,
        "values": [asdict(part) for part in one.parts],
        "at another budget": None if one.hint is None else asdict(one.hint),
        "commands": list(one.commands),
        "notes": list(one.notes),
    }

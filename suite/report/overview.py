"""What stands first on the page: how the claims stand, the forest of ablations, what was run and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from suite.core.text import format_duration
from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Attempt, Record
from suite.report.claims.judge import count_words, judge_claims, summarise
from suite.report.claims.text import hint_text, list_evidence
from suite.report.claims.verdict import WORDS, Judgement
from suite.report.commands import RUN_COMMAND, has_pairing
from suite.report.figures.charts import Figure
from suite.report.figures.forest import draw_forest
from suite.report.results import Results, summarise_run
from suite.report.tables.model import Table
from suite.report.trivial import TRIVIAL
from suite.study.claims import load_claims

SEEDS = 3  # of trainings from which the spread between them can be told
GLYPHS: Mapping[str, str] = {"holds": "✓", "does not hold": "✗", "too close to tell": "≈", "not tested": "○"}


@dataclass(frozen=True)
class ClaimLine:
    """A claim as the page shows it."""

    judged: Judgement
    evidence: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class NextStep:
    """A command that says more, and about how long it takes here; no time where nothing was measured."""

    why: str
    command: str
    time: str = ""


@dataclass(frozen=True)
class Overview:
    """The first screen, and the list of claims by verdict."""

    verdict: str  # under the papers' conditions
    hint: str  # re-trained small here
    counts: tuple[tuple[str, str, int], ...]  # word, glyph, number of claims
    claims: tuple[tuple[str, tuple[ClaimLine, ...]], ...]  # by word
    forest: Figure | None
    results: Results  # of the trainings
    names: Mapping[str, str]  # what the papers' ablation tables call the networks, by their models
    steps: tuple[NextStep, ...]


def gather_overview(attempts: Sequence[Attempt], tables: Sequence[Table], grid: str) -> Overview:
    """Judge the claims by these records (one for each cell), and say what stands first; `grid` is the one that a first run trains."""
    found = judge_claims(load_claims(), attempts)
    verdict, hint = summarise(found)
    words = count_words(found)
    claims = tuple((word, tuple(_line(one) for one in found if one.word == word)) for word in WORDS if words[word])
    counts = tuple((word, GLYPHS[word], words[word]) for word in WORDS)
    results = summarise_run([one for one in attempts if isinstance(one, Record)])
    ablations = [table for table in tables if table.published.baseline]
    names = {row.model: row.label for table in reversed(ablations) for row in table.rows if row.model not in (None, *TRIVIAL)}
    return Overview(verdict, hint, counts, claims, draw_forest(tables), results, names, _steps(attempts, grid))


def _line(one: Judgement) -> ClaimLine:
    return ClaimLine(one, tuple(list_evidence(one.parts)), hint_text(one.hint) if one.hint else "")


def _steps(attempts: Sequence[Attempt], grid: str) -> tuple[NextStep, ...]:
    """Return what to do next: costs are counted first, then seeds are added."""
    steps = []
    if not any(isinstance(one, ProfileRecord) for one in attempts):
        steps.append(NextStep("Costs are exact, and decide the most claims", "python -m suite profile all --size 720p"))
    done = (one for one in attempts if isinstance(one, Record) and one.status == "done")
    trained = [one for one in done if has_pairing(grid, one.spec.model, one.spec.task)]
    if trained:
        steps += _more_seeds(trained, grid)
    else:
        steps.append(NextStep("Train the ablations at the quick budget", f"{RUN_COMMAND} --grid {grid}"))
    steps.append(NextStep("What would decide the others", "python -m suite claims 'not tested'"))
    return tuple(steps)


def _more_seeds(trained: Sequence[Record], grid: str) -> list[NextStep]:
    """Return the step to more seeds at the budget that most runs of the grid have; none where there are enough."""
    budget = Counter(run.spec.budget for run in trained).most_common(1)[0][0]
    runs = [run for run in trained if run.spec.budget == budget]
    seeds = len({run.spec.seed for run in runs})
    if seeds >= SEEDS:
        return []
    seconds = sum((run.train_seconds or 0) + (run.evaluate_seconds or 0) for run in runs) * (SEEDS - seeds) / seeds
    why = "One seed cannot tell designs apart" if seeds == 1 else "Another seed narrows the intervals"
    command = f"{RUN_COMMAND} --grid {grid} --budget {budget} --seeds {SEEDS}"
    return [NextStep(why, command, f"about {format_duration(seconds)} of one process")]

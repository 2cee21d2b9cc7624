"""From claims and records to verdicts, and the two sentences that sum them up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from suite.records.kinds.profile import ProfileRecord
from suite.records.record import Attempt, Measured
from suite.report.claims import costs, quality
from suite.report.claims.verdict import HINTED, WORDS, Judgement
from suite.report.commands import profile_command, train_command
from suite.report.trivial import TRIVIAL, add_trivial
from suite.study.claims import (
    Claim,
    ClaimSet,
    CostClaim,
    FieldClaim,
    GrowthClaim,
    QualityClaim,
    RatioClaim,
    SpeedClaim,
    ValueClaim,
    find_column,
    find_row,
    is_added,
    tables_by_id,
)
from suite.study.published import cost_input

CONTRARY = "the paper's own table prints the contrary"
NO_DIFFERENCE = "the paper's own table prints no difference"


def judge_claims(sets: Sequence[ClaimSet], records: Iterable[Attempt]) -> tuple[Judgement, ...]:
    """Return the verdict on every claim, in the order of the files; records of any kind, one a cell (`Ledger.records`)."""
    done = add_trivial(record for record in records if record.status == "done")
    judge = _Judge(done)
    return tuple(judge.judge(one, claim) for one in sets for claim in one.claims)


def count_words(found: Sequence[Judgement]) -> dict[str, int]:
    """Return how many claims have each verdict."""
    return {word: sum(one.word == word for one in found) for word in WORDS}


def count_hints(found: Sequence[Judgement]) -> dict[str, int]:
    """Return how many ablations have each hint, and under "not trained" how many of those that cannot be told were not trained here."""
    hints = [one.hint for one in found if isinstance(one.claim, QualityClaim) and one.claim.part_of == "ablation" and one.hint]
    counts = Counter(hint.word for hint in hints)
    return {word: counts[word] for word in HINTED} | {"not trained": sum(hint.measured is None for hint in hints)}


def summarise(found: Sequence[Judgement]) -> tuple[str, str]:
    """Return the two sentences: of the verdicts, and of the hints, which are no verdicts."""
    words, hints = count_words(found), count_hints(found)
    close = f", {words['too close to tell']} are too close to tell" if words["too close to tell"] else ""
    outside = sum(is_added(one.paper) for one in found)
    among = f" ({outside} of them of plug-ins)" if outside else ""
    first = (
        f"Under the papers' conditions, of {len(found)} claims{among} {words['holds']} hold, {words['does not hold']} do not{close}, "
        f"{words['not tested']} are not tested."
    )
    number = sum(hints[word] for word in HINTED)
    untrained = f" ({hints['not trained']} of these were not trained)" if hints["not trained"] else ""
    second = (
        f"Re-trained small here, which is no verdict: of {number} ablations {hints['agrees']} agree, {hints['contradicts']} contradict, "
        f"{hints['cannot tell']} cannot be told{untrained}."
    )
    return first, second


class _Judge:
    """Records by what they are evidence of."""

    def __init__(self, done: Sequence[Attempt]) -> None:
        self.tables = tables_by_id()
        self._runs: dict[str, list[Measured]] = defaultdict(list)
        for record in done:
            if isinstance(record, Measured) and record.scores:
                self._runs[record.spec.model].append(record)
        self.profiles = [record for record in done if isinstance(record, ProfileRecord)]
        self.counts = costs.collect_counts(done)

    def _find_runs(self, *rows: str) -> list[Measured]:
        """Return the records of these rows' networks and of the trivial baselines, which are all that a claim on the rows asks for."""
        models = dict.fromkeys((*(find_row(row, self.tables)[1].model for row in rows), *TRIVIAL))
        return [record for model in models if model is not None for record in self._runs.get(model, ())]

    def judge(self, held: ClaimSet, claim: Claim) -> Judgement:
        """Return the verdict on one claim."""
        notes = (claim.note,) if claim.note else ()
        if isinstance(claim, QualityClaim):
            runs = self._find_runs(claim.row, claim.against)
            parts = quality.judge_quality(claim, held.matter, self.tables, runs)
            metric = find_column(find_row(claim.row, self.tables)[0], next(iter(claim.differences))).metric
            hinted = "other budget" in claim.evidence
            hint = quality.hint_quality(claim, self.tables, runs, held.matter(metric)) if hinted else None
            return Judgement(claim, held.paper, parts, quality.decide_commands(claim, self.tables), hint, (*notes, *self._contrary(claim)))
        if isinstance(claim, ValueClaim):
            parts = quality.judge_values(claim, self.tables, self._find_runs(claim.row))
            return Judgement(claim, held.paper, parts, quality.decide_commands(claim, self.tables), None, notes)
        if isinstance(claim, CostClaim):
            part = costs.judge_cost(claim, self.tables, self.counts)
            return Judgement(claim, held.paper, (part,), () if claim.guess else self._count(claim.column, claim.row), None, notes)
        if isinstance(claim, RatioClaim):
            part = costs.judge_ratio(claim, self.tables, self.counts)
            return Judgement(claim, held.paper, (part,), self._count(claim.column, claim.row, claim.against), None, notes)
        if isinstance(claim, SpeedClaim):
            part, hint = costs.judge_speed(claim, self.profiles)
            commands = (profile_command(claim.model, claim.against, how="--time --device cuda"),)
            return Judgement(claim, held.paper, (part,), commands, hint, notes)
        if isinstance(claim, GrowthClaim):
            part = costs.judge_growth(claim, self.profiles)
            return Judgement(claim, held.paper, (part,), (profile_command(claim.model, how="--sweep"),), None, notes)
        return self._judge_field(held, claim, notes)

    def _judge_field(self, held: ClaimSet, claim: FieldClaim, notes: tuple[str, ...]) -> Judgement:
        part, hint = quality.judge_field(claim, self.tables, self._find_runs(claim.row))
        table, row = find_row(claim.row, self.tables)
        commands = (train_command(table, row.model or "", row.task or table.task, seeds=3),)
        return Judgement(claim, held.paper, (part,), commands, hint, notes)

    def _count(self, column: str, *references: str) -> tuple[str, ...]:
        """Return the commands that count these rows' networks; none where one is not there."""
        asked = []
        for reference in references:
            table, row = find_row(reference, self.tables)
            model = costs.counted_model(table, row)
            if model is None:
                return ()
            asked.append((model, cost_input(table, row, find_column(table, column))))
        return costs.profile_commands(*asked)

    def _contrary(self, claim: QualityClaim) -> tuple[str, ...]:
        """Return a note on each column in which the paper's own numbers are not as its sentence."""
        if claim.direction == "equal":
            return ()
        table, _ = find_row(claim.row, self.tables)
        notes = []
        for key, printed in claim.differences.items():
            lower = find_column(table, key).direction == "lower"
            if printed == 0 or (printed < 0) != lower:
                notes.append(f"{key}: {CONTRARY if printed else NO_DIFFERENCE}")
        return tuple(notes)

"""The plan: what decides the most an hour goes first, nothing is done twice, and what is done is left out. Times are made up."""

from types import SimpleNamespace

import pytest
from fake_cells import record, spec

from suite.report.claims.verdict import ClaimPart, Judgement
from suite.runner.cell_time import GpuClock, TimeRange
from suite.runner.decide import Asked, Piece, Workshop, find_trained, plan_decisions, simulate_days, training_key

HOUR = 3600.0


def claim(name, word="not tested"):
    return Judgement(SimpleNamespace(id=name), "paper", (ClaimPart("", word),), ("a command",))


def training(name, hours, after=()):
    return Piece(name, TimeRange(hours * HOUR, 2 * hours * HOUR, "made up"), after, 1_000_000, trains=True)


def planned(work, done=(), words=()):
    """The plan of claims that need these pieces, each by a command of its own."""
    found = [claim(name, dict(words).get(name, "not tested")) for name in work]
    asked = {name: (Asked(f"run {name}", tuple(pieces), (f"images of {name}",)),) if pieces else () for name, pieces in work.items()}
    return plan_decisions(found, asked, set(done))


def steps(plan):
    return [([one.claim.id for one in step.claims], [piece.key for piece in step.pieces]) for step in plan.steps]


FULL, ONE, TWO, OTHER = training("full", 10), training("one", 10), training("two", 30), training("other", 100)


def test_what_is_shared_is_done_once_and_the_cheapest_is_first():
    plan = planned({"dear": [OTHER], "one": [FULL, ONE], "two": [FULL, TWO]})
    assert steps(plan) == [(["one"], ["full", "one"]), (["two"], ["two"]), (["dear"], ["other"])]
    assert plan.steps[1].hours == pytest.approx((30, 60))
    assert plan.total().hours == pytest.approx((150, 300))


def test_work_that_decides_several_claims_is_worth_more():
    plan = planned({"cheap": [ONE], "a": [FULL], "b": [FULL], "c": [FULL]})
    assert steps(plan)[0] == (["a", "b", "c"], ["full"])
    assert plan.steps[0].commands == ("run a", "run b", "run c")


def test_what_needs_no_gpu_is_the_first_step_together():
    plan = planned({"train": [FULL], "count": [Piece("count")], "sweep": [Piece("sweep")]})
    assert steps(plan)[0] == (["count", "sweep"], ["count", "sweep"])
    assert plan.steps[0].hours == (0, 0)
    assert plan.steps[0].days(8) == (0, 0)


def test_what_is_done_costs_nothing_more():
    assert steps(planned({"one": [FULL, ONE], "two": [FULL, TWO]}, done=["full", "two"])) == [(["two"], []), (["one"], ["one"])]


def test_what_is_decided_or_cannot_be_is_left_out():
    words = [("holds", "holds"), ("close", "too close to tell"), ("more", "too close to tell")]
    plan = planned({"holds": [FULL], "close": [Piece("evaluation")], "more": [ONE], "never": []}, words=words)
    assert steps(plan) == [(["more"], ["one"])]
    assert plan.decided == 1
    assert [one.claim.id for one in plan.close] == ["close"]
    assert [one.claim.id for one in plan.undecidable] == ["never"]


def test_every_piece_and_every_claim_is_in_the_plan_once():
    work = {str(n): [FULL, training(f"own {n % 5}", n + 1)] for n in range(12)}
    plan = planned(work)
    keys = [piece.key for step in plan.steps for piece in step.pieces]
    assert sorted(keys) == sorted({piece.key for pieces in work.values() for piece in pieces})
    assert sorted(one.claim.id for step in plan.steps for one in step.claims) == sorted(work)


def test_days_by_hand():
    pieces = [training("a", 24), training("b", 24), training("c", 12, after=("a",))]
    assert simulate_days(pieces, 1) == pytest.approx((2.5, 5.0))
    assert simulate_days(pieces, 2) == pytest.approx((1.5, 3.0))
    assert simulate_days(pieces, 64) == pytest.approx((1.5, 3.0))


def test_disk_is_for_what_trains_at_a_time_and_what_is_kept():
    step = planned({"one": [FULL, ONE]}).steps[0]
    assert step.disk_gib(2) > step.disk_gib(1) > 0
    assert step.disk_gib(2) == step.disk_gib(64)


def test_a_training_is_the_same_wherever_it_runs_and_whatever_it_is_tested_on():
    one = spec("mambair-sr-x2")
    same = one.model_copy(update={"test_set": "Set5", "protocol": "sr-y@1", "backend": "triton", "device": "cuda"})
    assert training_key(one) == training_key(same)
    assert training_key(one) != training_key(one.model_copy(update={"seed": 1}))
    assert find_trained([record(one), record(spec("mambair-sr-x3"), status="failed")]) == {training_key(same)}


def test_a_command_behind_anothers_weights_has_both_trainings_once():
    parent = spec("mambair-sr-x2", patch=16)
    children = [spec(f"mambair-sr-x{scale}", task=f"sr-x{scale}", patch=48, start=parent.fingerprint) for scale in (3, 4)]
    workshop = Workshop(GpuClock("A100", []))
    asked = workshop.train("run", [parent, *children])
    again = workshop.train("run, too", [parent, children[0]])
    assert [piece.after for piece in asked.pieces] == [(), (training_key(parent),), (training_key(parent),)]
    assert {piece.key for piece in again.pieces} <= {piece.key for piece in asked.pieces}
    assert len({piece.key for piece in (*asked.pieces, *again.pieces)}) == 3


def test_an_evaluation_has_a_range_by_the_sizes_on_the_card():
    workshop = Workshop(GpuClock("A100", []))
    (known,) = workshop.evaluate("", "mambair-sr-x2", "sr-x2", ["BSD100"]).pieces
    (unknown,) = workshop.evaluate("", "mambair-sr-x2", "sr-x2", ["General100"]).pieces
    assert known.seconds.high == pytest.approx(8 * known.seconds.low)
    assert unknown.seconds.high > 8 * unknown.seconds.low

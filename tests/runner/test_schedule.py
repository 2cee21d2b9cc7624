"""The simulated schedule: known answers by hand, what every schedule keeps, and that it is the one of `run`."""

from itertools import pairwise

import pytest
from fake_cells import record, spec
from hypothesis import given
from hypothesis import strategies as st

from suite.records.ledger import Ledger
from suite.runner import execute
from suite.runner.schedule import Job, measure_makespan, simulate_schedule, split_waves


def placed(jobs, slots):
    return {one.name: (one.slot, one.start, one.end) for one in simulate_schedule(jobs, slots)}


def test_one_slot_takes_them_one_after_another():
    assert placed([Job("a", 3), Job("b", 2), Job("c", 1)], 1) == {"a": (0, 0, 3), "b": (0, 3, 5), "c": (0, 5, 6)}


def test_the_slot_that_is_free_first_takes_the_next():
    assert placed([Job("a", 5), Job("b", 1), Job("c", 1), Job("d", 4)], 2) == {
        "a": (0, 0, 5),
        "b": (1, 0, 1),
        "c": (1, 1, 2),
        "d": (1, 2, 6),
    }


def test_a_child_waits_for_the_whole_wave_before_it_as_in_a_run():
    jobs = [Job("x2", 2), Job("x3", 3, ("x2",)), Job("x4", 1, ("x2",)), Job("other", 5)]
    assert placed(jobs, 2) == {"x2": (0, 0, 2), "other": (1, 0, 5), "x3": (0, 5, 8), "x4": (1, 5, 6)}
    assert measure_makespan(simulate_schedule(jobs, 2)) == 8


def test_a_parent_that_is_not_among_the_jobs_is_done():
    assert placed([Job("x3", 3, ("x2",))], 1) == {"x3": (0, 0, 3)}


def test_nothing_takes_no_time():
    assert simulate_schedule([], 4) == []
    assert measure_makespan([]) == 0


@pytest.mark.parametrize(
    ("jobs", "slots"), [([Job("a", 1)], 0), ([Job("a", 1), Job("a", 2)], 1), ([Job("a", 1, ("b",)), Job("b", 1, ("a",))], 1)]
)
def test_what_cannot_be_scheduled_is_refused(jobs, slots):
    with pytest.raises(ValueError, match=r"runs? nothing|the same name|wait for each other"):
        simulate_schedule(jobs, slots)


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 14))
    seconds = draw(st.lists(st.floats(0.1, 1e4), min_size=count, max_size=count))
    after = [draw(st.lists(st.integers(0, max(0, at - 1)), max_size=2)) if at else [] for at in range(count)]
    jobs = [Job(str(at), seconds[at], tuple(map(str, after[at]))) for at in range(count)]
    return draw(st.permutations(jobs))


@given(graphs(), st.integers(1, 9))
def test_what_every_schedule_keeps(jobs, slots):
    found = simulate_schedule(jobs, slots)
    by_name = {one.name: one for one in found}
    assert sorted(by_name) == sorted(job.name for job in jobs)
    assert len(found) == len(jobs)
    end, total = measure_makespan(found), sum(job.seconds for job in jobs)
    slack = 1e-9 * total
    assert end >= max(job.seconds for job in jobs) - slack
    assert end >= total / slots - slack
    assert end <= total + slack
    for job in jobs:
        assert by_name[job.name].end - by_name[job.name].start == pytest.approx(job.seconds)
        assert all(by_name[name].end <= by_name[job.name].start + slack for name in job.after)
    for slot in range(slots):
        ours = sorted((one for one in found if one.slot == slot), key=lambda one: one.start)
        assert all(before.end <= after.start + slack for before, after in pairwise(ours))


def test_the_waves_are_those_that_a_run_launches(monkeypatch, tmp_path):
    parent, single = spec("mambair-sr-x2"), spec("mambair-sr-x2.mlp")
    children = [spec("mambair-sr-x3", task="sr-x3", patch=18, start=parent.fingerprint, seed=seed) for seed in range(2)]
    cells = [children[0], parent, single, children[1]]
    launched = []

    def launch(jobs, *_, **__):
        launched.append([job.spec.fingerprint for job in jobs])
        yield from (record(job.spec) for job in jobs)

    monkeypatch.setattr(execute.launch, "run", launch)
    execute.execute(cells, Ledger(tmp_path / "runs"), execute.How("inline", 1, ""))
    jobs = [Job(cell.fingerprint, 1.0, (cell.start,) if cell.start else ()) for cell in cells]
    assert [[job.name for job in wave] for wave in split_waves(jobs)] == launched
    assert len(launched) == 2

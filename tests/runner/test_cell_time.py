"""How long a cell takes on a kind of GPU: measured where there is a training, else a range that says that it is none."""

import pytest
from fake_cells import ran

from suite.core.errors import SuiteError
from suite.records.planned import Choice, plan_family
from suite.runner.cell_time import GpuClock
from suite.runner.operations import training_operations
from suite.study.accelerators import ACCELERATORS
from suite.study.grids import ModelOnTask

A100 = ACCELERATORS["A100"]


def spec(model="mambair-light-x2", task="light-sr-x2", device="cuda", seed=0, **changes):
    changes = {name: str(value) for name, value in changes.items()}
    return plan_family(ModelOnTask(model, task, published=True), seed, Choice("paper", "triton", device, "released", changes))[-1]


def trained(of, seconds, gpu="NVIDIA A100-SXM4-80GB"):
    """A record of a few iterations of `of`, each of so many seconds, on a machine with this GPU; 30 s beside the training."""
    short = ran(of.model_copy(update={"iterations": 10}), seconds=seconds, rest=30)
    return short.model_copy(update={"spec": short.spec, "provenance": short.provenance.model_copy(update={"machine": {"gpu": gpu}})})


def test_without_a_training_it_is_a_range_with_its_source():
    found = GpuClock("A100", []).estimate_training(spec())
    operations = training_operations(spec())
    assert found.low == pytest.approx(operations / (0.40 * 19.5e12))
    assert found.high == pytest.approx(operations / (0.05 * 19.5e12)) == pytest.approx(8 * found.low)
    assert found.basis == f"not measured: 5 to 40 % of 19.5 TFLOP/s in float32 ({A100.source})"
    assert not found.measured


def test_a_training_of_the_same_network_and_size_is_taken_as_it_was():
    found = GpuClock("A100", [trained(spec(), 0.5)]).estimate_training(spec(seed=2))
    assert found.low == found.high == pytest.approx(0.5 * 500_000 + 30)
    assert found.measured


def test_two_trainings_give_what_lies_between():
    found = GpuClock("A100", [trained(spec(), 0.5), trained(spec(seed=1), 1.0)]).estimate_training(spec(seed=2))
    assert (found.low, found.high) == pytest.approx((0.5 * 500_000 + 30, 1.0 * 500_000 + 30))


def test_other_networks_on_the_kind_give_their_rates():
    past, other = trained(spec(), 0.5), spec("mambair-sr-x2", "sr-x2")
    found = GpuClock("A100", [past]).estimate_training(other)
    rate = training_operations(spec()) / 500_000 / 0.5
    assert found.low == found.high == pytest.approx(training_operations(other) / rate)
    assert found.measured
    assert "1 training(s) of other networks or sizes on A100" in found.basis


@pytest.mark.parametrize("gpu", ["NVIDIA H100 80GB HBM3", "NVIDIA L40S", ""])
def test_another_kind_tells_nothing(gpu):
    assert not GpuClock("A100", [trained(spec(), 0.5, gpu)]).estimate_training(spec()).measured


def test_a_kind_that_is_in_the_ledger_alone_will_do():
    clock = GpuClock("L40S", [trained(spec(), 0.5, "NVIDIA L40S")])
    assert clock.estimate_training(spec()).low == pytest.approx(0.5 * 500_000 + 30)


def test_narrow_networks_and_processors_give_no_rate():
    narrow, slow = spec(width=16, depth_divisor=6), spec(device="cpu")
    assert not GpuClock("A100", [trained(narrow, 0.1), trained(slow, 9.0)]).estimate_training(spec()).measured


def test_a_kind_is_refused_that_cannot_compute_so():
    with pytest.raises(SuiteError, match="V100 does not compute in bfloat16"):
        GpuClock("V100", []).estimate_operations(1e12, "bfloat16")

"""What may be held against a printed number, and the commands that repeat a record: nothing that differs from the recipe is compared."""

import argparse
import re
import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite.cli import run as run_verb
from suite.records.planned import Choice, plan_family
from suite.records.record import ImageScore, ProtocolUsed, Record, StartedFrom, TestData
from suite.records.spec import write_value
from suite.report.commands import alike_command, repeat_command, train_command
from suite.report.comparable import find_differences, list_unverified
from suite.report.measured import Status
from suite.report.settings import setting_of
from suite.report.tables.build import build_tables
from suite.runner.plan import plan_cells
from suite.study.grids import GRIDS, ModelOnTask, list_pairings
from suite.study.protocols import protocol
from suite.study.published import load_all
from suite.study.tasks import TEST_IMAGES

TABLE = next(table for paper in load_all() for table in paper.tables if table.id == "mambair-4")
COLUMN = next(column for column in TABLE.columns if column.test_sets == ("Set5",))
LIGHT = ("mambair-light-x2", "light-sr-x2")
ITERATIONS = 500_000


def paper_spec(model=LIGHT[0], task=LIGHT[1], **changes):
    changes = {"train_set": "DIV2K", "test_set": "Set5"} | {name: write_value(value) for name, value in changes.items()}
    return plan_family(ModelOnTask(model, task, published=True), 0, Choice("paper", "numba", "cpu", "released", changes))[-1]


def record_of(spec, count=5, *, state="verified", trained="verified", **changes):
    rule = protocol(spec.protocol)
    fields = {
        "protocol": ProtocolUsed(name=rule.name, version=rule.version, statement=rule.statement),
        "scores": tuple(ImageScore(image=f"{place}", metrics={"PSNR-Y": 38.0, "SSIM-Y": 0.96}) for place in range(count)),
        "test_data": TestData(card="Set5", expected=5, measured=count, state=state),
        "train_data": TestData(card=spec.train_set, expected=800, measured=800, state=trained),
    }
    return Record(fingerprint=spec.fingerprint, spec=spec, status="done", **(fields | changes))


def differences(record, column=COLUMN):
    return [str(one) for one in find_differences(record, column, TABLE)]


def test_the_whole_recipe_on_whole_verified_data_is_compared():
    assert differences(record_of(paper_spec())) == []
    assert list_unverified(record_of(paper_spec())) == ()
    assert list_unverified(record_of(paper_spec(), state="unverified")) == ("data not verified",)


@pytest.mark.parametrize("held", [None, "unverified"])
def test_training_images_that_were_not_held_to_checksums_are_remarked(held):
    record = record_of(paper_spec(), **({"train_data": None} if held is None else {"trained": held}))
    assert (differences(record), list_unverified(record)) == ([], ("data not verified",))


@pytest.mark.parametrize("held", [("DIV2K", "other"), ("", "other"), ("Set14", "verified")])
def test_training_images_that_are_not_those_of_the_card_are_not_compared(held):
    card, state = held
    record = record_of(paper_spec(), train_data=TestData(card=card, expected=800, measured=799, state=state))
    assert differences(record) == ["training images of DIV2K, they are not those of its card"]


def test_a_budget_s_name_decides_nothing():
    same = paper_spec().model_copy(update={"budget": "quick"})
    assert differences(record_of(same)) == []
    old = paper_spec(iterations=400).model_copy(update={"recipe": ""})
    assert differences(record_of(old))[0] == "iterations 400, the recipe has 500,000"


def test_a_record_without_facts_of_its_data_is_compared_by_its_number_of_images_and_says_so():
    record = record_of(paper_spec(), test_data=None)
    assert (differences(record), list_unverified(record)) == ([], ("data not verified",))
    assert differences(record_of(paper_spec(), 4, test_data=None)) == ["test set Set5 of 4 images, the published one has 5"]


def test_a_recipe_that_begins_with_weights_needs_those_of_its_own_first_part():
    spec = paper_spec("mambair-light-x4", "light-sr-x4")
    assert len(spec.start) == 16
    assert differences(record_of(spec)) == []
    short = paper_spec("mambair-light-x2", "light-sr-x2", iterations=4).fingerprint
    for start in ("", "weights.pth", short):
        (found,) = differences(record_of(spec.model_copy(update={"start": start})))
        assert found.startswith(f"starting weights {start or 'none'}, the recipe has those of light-sr-x2/released")


ATTACKS = {
    "the issue's": {"iterations": 1, "batch": 1, "patch": 32, "train_set": "photos"},
    "one iteration": {"iterations": 1},
    "one iteration less": {"iterations": ITERATIONS - 1},
    "batch": {"batch": 1},
    "patch": {"patch": 32},
    "rate": {"lr": 1e-4},
    "milestones": {"milestones": (250_000, 400_000, 450_000)},
    "cosine": {"periods": (ITERATIONS,), "floors": (1e-6,)},
    "loss": {"loss": "charbonnier"},
    "optimiser": {"optimiser": "adamw"},
    "betas": {"betas": (0.9, 0.999)},
    "weight decay": {"weight_decay": 1e-4},
    "moving average": {"ema_decay": 0.999},
    "clipping": {"clip_norm": 1.0},
    "mixup": {"mixup": 1.2},
    "stages": {"stages": ((ITERATIONS, 128, 32),)},
    "discriminator": {"loss": "l1+perceptual+gan", "discriminator_lr": 1e-4},
    "start": {"start": "mine.pth"},
    "five photographs": {"train_set": "photos"},
    "another training set": {"train_set": "DF2K"},
    "a folder called as the set": {"train_set": "/data/DIV2K"},
    "a test folder called as the set": {"test_set": "/data/Set5"},
    "another test set": {"test_set": "Set14"},
    "bfloat16": {"dtype": "bfloat16"},
    "narrow": {"width": 16},
    "shallow": {"depth_divisor": 2},
    "protocol": {"protocol": "sr-y-rounded@1"},
    "another recipe's name": {"recipe": "sr-x2/paper"},
    "no such recipe": {"recipe": "mine"},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_is_compared(name):
    changes = ATTACKS[name]
    spec = paper_spec().model_copy(update=changes)
    assert spec.budget == "paper"
    found = differences(record_of(spec))
    assert found
    if len(changes) == 1:
        assert changes.keys() <= {"milestones", *vars(spec)}
    table = next(one for one in build_tables(load_all(), [record_of(spec)]) if one.published.id == TABLE.id)
    row = next(row for row in table.rows if row.model == spec.model)
    printed = [cell for cell, column in zip(row.cells, table.columns, strict=True) if column.kind == "quality"]
    assert all(cell.measured is None and cell.status is Status.RETRAINED for cell in printed)
    assert printed[0].reason == "; ".join([*found[:2], *([f"and {len(found) - 2} more"] if len(found) > 2 else [])])
    cards = [cell.measured.origin.unlike for cell, column in zip(row.cells, table.columns, strict=True) if column.kind == "retrained"]
    assert all(cards)  # the whole list stands on the card


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 4},
        {"count": 6},
        {"scores": ()},
        {"state": "other"},
        {"test_data": TestData(card="Set14", expected=5, measured=5, state="verified")},
        {"test_data": TestData(card="Set5", expected=5, measured=4, state="verified")},
        {"protocol": ProtocolUsed(name="sr-y", version=1, statement="Output in tiles of 64 pixels.")},
        {"protocol": ProtocolUsed(name="gan-sr", version=1, statement="")},
        {"started_from": StartedFrom(source="mine.pth", sha256="0" * 64, tensors=3)},
    ],
)
def test_no_other_measuring_is_compared(changes):
    assert differences(record_of(paper_spec(), **changes))


FIELDS = {
    "iterations": st.integers(0, 10**6),
    "batch": st.integers(1, 64),
    "patch": st.integers(16, 256),
    "lr": st.floats(1e-6, 1e-2),
    "milestones": st.lists(st.integers(1, ITERATIONS), max_size=5).map(tuple),
    "betas": st.tuples(st.floats(0.5, 0.99), st.floats(0.9, 0.999)),
    "ema_decay": st.sampled_from([0.0, 0.9, 0.999]),
    "clip_norm": st.sampled_from([0.0, 0.01, 1.0]),
    "loss": st.sampled_from(["l1", "charbonnier"]),
    "optimiser": st.sampled_from(["adam", "adamw"]),
    "weight_decay": st.sampled_from([0.0, 1e-4]),
    "stages": st.sampled_from([(), ((1, 64, 8),)]),
    "mixup": st.sampled_from([0.0, 1.2]),
    "start": st.sampled_from(["", "mine.pth"]),
    "dtype": st.sampled_from(["float32", "bfloat16"]),
    "width": st.sampled_from([0, 16]),
    "depth_divisor": st.integers(1, 3),
    "train_set": st.sampled_from(["DIV2K", "DF2K", "photos", "/data/DIV2K"]),
    "test_set": st.sampled_from(["Set5", "Set14", "photos", "/data/Set5"]),
    "protocol": st.sampled_from(["sr-y@1", "sr-y-rounded@1", "gan-sr@1"]),
}
NEUTRAL = {"budget": st.sampled_from(["smoke", "quick", "standard", "paper"]), "seed": st.integers(0, 9)}
SOME = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(st.fixed_dictionaries({}, optional=FIELDS | NEUTRAL), st.integers(3, 6), st.sampled_from(["verified", "unverified", "other"]))
def test_compared_is_exactly_what_is_the_recipe_on_the_whole_set(changes, count, state):
    whole = paper_spec()
    spec = whole.model_copy(update=changes)
    alike = all(getattr(spec, name) == getattr(whole, name) for name in FIELDS) and count == 5 and state != "other"
    assert (differences(record_of(spec, count, state=state)) == []) == alike


@pytest.mark.parametrize("name", FIELDS)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_a_field_alone_is_enough(name, data):
    whole = paper_spec()
    spec = whole.model_copy(update={name: data.draw(FIELDS[name])} | data.draw(st.fixed_dictionaries({}, optional=NEUTRAL)))
    assert (differences(record_of(spec)) == []) == (getattr(spec, name) == getattr(whole, name))


# The commands that repeat records.


def replay(command):
    """The specs that a printed command selects, planned by the runner as the command line would have it."""
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "suite", "run"]
    options = parsed(words[4:])
    where = {
        "backend": "numba" if options.backend == "auto" else options.backend,
        "device": "cpu" if options.device == "auto" else options.device,
    }
    chosen = {"budget": options.budget, "seeds": options.seeds, "only": options.only, "changes": dict(options.set)}
    return plan_cells(options.grid, **chosen, **where, account=options.recipe)


def parsed(words):
    parser = argparse.ArgumentParser()
    run_verb.add_arguments(parser)
    return parser.parse_args(words)


REPEATED = FIELDS | {
    "iterations": st.integers(4, 10**6),  # of fewer a cosine has periods of none, which no record may hold
    "train_set": st.sampled_from(["DIV2K", "DF2K", "photos"]),
    "test_set": st.sampled_from(["Set5", "Set14", "photos"]),
    "start": st.sampled_from(["", "mine.pth", "1234567890123456", "12e4567890123456"]),
    "patch": st.integers(2, 20).map(lambda n: 12 * n),
    "stages": st.just(()),
}


@SOME
@given(
    st.sampled_from(list_pairings()),
    st.fixed_dictionaries({}, optional=REPEATED),
    st.sampled_from(["smoke", "quick", "standard", "paper"]),
    st.sampled_from([("numba", "cpu"), ("reference", "cpu"), ("triton", "cuda")]),
    st.integers(0, 2),
    st.sampled_from(["tasks", "ablations", "vmambair-table4", "no such grid"]),
)
def test_every_again_command_makes_the_same_cell(pairing, changes, budget, where, seed, grid):
    changes = {name: write_value(value) for name, value in changes.items()}
    if changes.get("patch"):
        changes["patch"] = str(max(24, int(changes["patch"]) // 12 * 12))
    spec = plan_family(pairing, seed, Choice(budget, *where, "released", changes))[-1]
    record = Record(fingerprint=spec.fingerprint, spec=spec, status="failed", error="stopped")
    assert spec.fingerprint in {one.fingerprint for one in replay(repeat_command(grid, [record]))}


def test_again_names_what_the_command_would_not_make():
    spec = paper_spec(iterations=1, batch=1, patch=32)
    again = repeat_command("tasks", [record_of(spec)])
    for change in ("iterations=1", "batch=1", "patch=32", "train_set=DIV2K", "test_set=Set5"):
        assert f"--set {change}" in again
    assert "milestones" not in again  # it follows
    assert {"model", "budget"} & {word.partition("=")[0] for word in shlex.split(again)} == set()


@settings(deadline=None, max_examples=30)
@given(
    st.permutations([one for one in GRIDS["ablations"].pairings if one.task == "sr-x2"]),
    st.fixed_dictionaries({}, optional={name: REPEATED[name] for name in ("iterations", "train_set", "test_set")}),
    st.sampled_from(["quick", "standard", "paper"]),
)
def test_what_would_fill_in_a_retrained_column_has_its_setting(pairings, changes, budget):
    changes = {name: write_value(value) for name, value in changes.items()}
    known = plan_family(pairings[0], 0, Choice(budget, "numba", "cpu", "released", changes))[-1]
    (made,) = replay(alike_command("ablations", pairings[1].model, setting_of(known)))
    assert made.model == pairings[1].model
    assert setting_of(made) == setting_of(known)


def test_what_begins_with_other_weights_does_so_for_another_network_too():
    known = plan_family(ModelOnTask("mambair-sr-x3", "sr-x3", published=True), 0, Choice("quick", "numba", "cpu", "released", {}))[-1]
    assert re.fullmatch("[0-9a-f]{16}", known.start)
    assert "start" not in alike_command("tasks", "mambair-sr-x3", setting_of(known))
    given = known.model_copy(update={"start": "mine.pth"})
    assert "--set start=mine.pth" in alike_command("tasks", "mambair-sr-x3", setting_of(given))


def test_what_would_fill_in_a_cell_makes_one_that_is_comparable():
    seen = 0
    for table in (table for paper in load_all() for table in paper.tables):
        for row, column in ((row, column) for row in table.rows if row.model for column in table.columns if column.kind == "quality"):
            name = row.task or column.task or table.task
            if not column.test_sets:
                continue
            spec = replay(train_command(table, row.model, name, test_set=column.test_sets[0]))[-1]
            count = TEST_IMAGES[column.test_sets[0]]
            if not count:  # of a set whose size no source says: nothing is comparable
                continue
            record = record_of(spec, count, test_data=TestData(card=column.test_sets[0], expected=count, measured=count, state="verified"))
            found = [str(one) for one in find_differences(record, column, table)]
            assert not found, (table.id, row.key, column.key, found)
            seen += 1
    assert seen > 50

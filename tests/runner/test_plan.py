"""From a grid's name to specs: every row is well formed, and every wrong word has one clear answer."""

import pytest

import models
from suite.core.errors import Exit, SuiteError
from suite.data.degrade.degradations import DEGRADATIONS
from suite.runner.plan import plan_cells
from suite.study.budgets import BUDGETS, default_budget
from suite.study.grids import GRIDS, is_published, list_pairings
from suite.study.protocols import PROTOCOLS
from suite.study.tasks import TASKS


def make(grid="ablations", **changed):
    options = {"budget": "quick", "seeds": 1, "only": (), "changes": {}, "backend": "reference", "device": "cpu"} | changed
    return plan_cells(grid, **options)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_makes_valid_cells_at_every_budget(grid, budget):
    specs = make(grid, budget=budget, seeds=2)
    assert len(specs) == 2 * len(GRIDS[grid].pairings)
    assert len({spec.fingerprint for spec in specs}) == len(specs)
    begun = {spec.start for spec in specs}
    assert begun - {""} <= {spec.fingerprint for spec in specs}
    for spec in specs:
        assert spec.patch % TASKS[spec.task].scale == 0
        assert list(spec.milestones) == sorted(m for m in spec.milestones if 0 < m < spec.iterations)


def test_the_ablation_grid_is_the_three_tables():
    names = [spec.model for spec in make()]
    assert names == [
        "vmambair-realsr-x4",
        "vmambair-realsr-x4.one-way-scan",
        "vmambair-realsr-x4.no-channel-scan",
        "vmambair-realsr-x4.no-effn",
        "vmambair-realsr-x4.linear-projection",
        "mambair-sr-x2",
        "mambair-sr-x2.no-conv",
        "mambair-sr-x2.no-conv-no-ca",
        "mambair-sr-x2.mlp",
        "mambair-sr-x2.one-direction",
        "mambair-sr-x2.two-direction",
    ]


def test_each_later_design_has_its_own_table_beside_the_ablation_grid():
    later = {"mambairv2-ablations", "mair-ablations", "eamamba-ablations", "evssm-ablations", "tpmambasr-ablations"}
    assert set(GRIDS) == {"ablations", "vmambair-table-4", "mambair-tables-1-2", "scan-paths", "tasks"} | later
    assert [spec.model for spec in make("evssm-ablations")] == ["evssm-deblur", "evssm-deblur.no-turns", "evssm-deblur.no-spectrum"]
    assert not {p.model for p in GRIDS["ablations"].pairings} & {p.model for name in later for p in GRIDS[name].pairings}


def test_a_run_begins_with_the_same_network_at_x2():
    def starts(*only):
        specs = make("tasks", only=only)
        models = {spec.fingerprint: spec.model for spec in specs}
        return {spec.model: models.get(spec.start, "") for spec in specs}

    assert starts("mambairv2-small-x3@sr-x3") == {"mambairv2-small-x2": "", "mambairv2-small-x3": "mambairv2-small-x2"}
    assert starts("mair-tiny-x4") == {"mair-tiny-x2": "", "mair-tiny-x4": "mair-tiny-x2"}
    assert starts("mair-tiny-x3") == {"mair-small-x2": "", "mair-tiny-x3": "mair-small-x2"}  # as its options say
    assert starts("mambairv2-light-x4") == {"mambairv2-light-x4": ""}
    assert starts("tpmambasr-light-x4") == {"tpmambasr-light-x2": "", "tpmambasr-light-x4": "tpmambasr-light-x2"}


def test_the_paper_budget_is_the_recipe():
    vmambair, mambair = make(budget="paper", only=["vmambair-realsr-x4", "mambair-sr-x2"])
    assert (vmambair.iterations, vmambair.batch, vmambair.patch, vmambair.lr, vmambair.ema_decay) == (500_000, 72, 256, 2e-4, 0.999)
    assert vmambair.milestones == (250_000, 350_000)
    assert (mambair.iterations, mambair.batch, mambair.patch, mambair.ema_decay) == (500_000, 32, 128, 0.0)
    assert mambair.milestones == (250_000, 400_000, 450_000, 475_000)
    assert (mambair.width, mambair.depth_divisor) == (0, 1)


def test_rows_refer_to_rows_that_exist():
    for task in TASKS.values():
        assert DEGRADATIONS[task.degradation].channels == task.channels
        assert task.degrades_on_device == (DEGRADATIONS[task.degradation].on_device is not None)
        assert task.protocol in PROTOCOLS
    assert {default_budget("cpu"), default_budget("cuda")} <= set(BUDGETS)


def test_every_network_runs_every_task_that_it_fits():
    assert len({(pairing.model, pairing.task) for pairing in list_pairings()}) == len(list_pairings())
    for pairing in list_pairings():
        config, task = models.card(pairing.model).config, TASKS[pairing.task]
        assert config.scale == task.scale
        assert config.channels >= task.channels
    assert {pairing.task for pairing in list_pairings()} == set(TASKS)
    networks = {name for name in models.names() if models.card(name).parent is None}
    assert {pairing.model for pairing in list_pairings()} == networks
    for name in networks:  # and the task of its card
        assert (name, models.card(name).task) in {(pairing.model, pairing.task) for pairing in list_pairings()}


def test_both_designs_run_what_their_papers_do_not_print():
    assert not is_published("vmambair-derain", "denoise-25")
    assert not is_published("mambair-denoise", "derain")
    assert not is_published("mambair-jpeg", "jpeg-20")
    assert is_published("mambair-denoise", "denoise-50")
    assert is_published("vmambair-sisr-x4", "gan-sr-x4")
    assert is_published("mambair-sr-x2.mlp", "sr-x2")
    by_task = {task: {p.model.partition("-")[0] for p in list_pairings() if p.task == task} for task in TASKS}
    both = {task for task, designs in by_task.items() if designs >= {"mambair", "vmambair"}}
    later = {"motion-deblur", "defocus-deblur", "dehaze-indoor", "dehaze-outdoor", "real-sr-same-size"}
    assert both == {name for name, task in TASKS.items() if task.scale in (1, 4) and not name.startswith("light")} - later
    assert by_task["motion-deblur"] == {"mair", "eamamba", "evssm"}
    assert by_task["dehaze-indoor"] == by_task["dehaze-outdoor"] == {"mair", "eamamba"}
    assert by_task["defocus-deblur"] == by_task["real-sr-same-size"] == {"eamamba"}


def test_the_task_grid_is_selected_by_model_or_by_task():
    def names(*only):
        return [(spec.model, spec.task) for spec in make(grid="tasks", only=only)]

    assert names("derain") == [(p.model, "derain") for p in list_pairings() if p.task == "derain"]
    assert names("vmambair-derain@derain") == [("vmambair-derain", "derain")]
    assert {task for _, task in names("vmambair-derain@denoise-")} == {"denoise-15", "denoise-25", "denoise-50"}
    assert {task for _, task in names("jpeg-?0")} == {"jpeg-10", "jpeg-20", "jpeg-30", "jpeg-40"}
    assert {model for model, _ in names("mambair-realdn")} == {"mambair-realdn"}


def test_only_takes_patterns_and_parts_of_names():
    assert [s.model for s in make(only=["*.no-conv*"])] == ["mambair-sr-x2.no-conv", "mambair-sr-x2.no-conv-no-ca"]
    assert len(make(only=["vmambair"])) == 5
    assert [s.model for s in make(only=["mambair-sr-x2"])] == ["mambair-sr-x2"]  # a whole name is not a part of others


def test_changes_are_parsed_checked_and_followed_through():
    spec = make(only=["vmambair-realsr-x4"], changes={"iterations": "40", "lr": "0.01", "protocol": "sr-y-rounded"})[0]
    assert (spec.iterations, spec.lr, spec.protocol) == (40, 0.01, "sr-y-rounded@2")
    assert (spec.milestones, spec.periods, spec.floors) == ((), (40,), (0.0,))
    halved = make(changes={"milestones": "[5, 6]"})[0]
    assert (halved.milestones, halved.periods, halved.floors) == ((5, 6), (), ())
    longer = make(only=["vmambair-realsr-x4"], budget="standard", changes={"iterations": "40"})[0]
    assert longer.milestones == (20, 28)


@pytest.mark.parametrize(
    ("options", "message", "exit_code"),
    [
        ({"changes": {"iteration": "40"}}, "no field 'iteration'.*Did you mean 'iterations'", Exit.USAGE),
        ({"changes": {"batch": "many"}}, "batch = 'many'", Exit.USAGE),
        ({"changes": {"lr": "-1"}}, "lr = -1", Exit.USAGE),
        ({"changes": {"seed": "3"}}, "choose it with --seeds", Exit.USAGE),
        ({"changes": {"patch": "30"}}, "patch = 30 is not a multiple of the scale 4", Exit.USAGE),
        ({"changes": {"protocol": "sr-yy"}}, "sr-yy", Exit.USAGE),
        ({"changes": {"test_set": "no/such/folder"}}, "no/such/folder", Exit.NOT_READY),
        ({"only": ["swin"]}, "selects none of the 11 models", Exit.NOTHING),
        ({"seeds": 0}, "--seeds 0", Exit.NOTHING),
    ],
)
def test_what_is_wrong_is_said(options, message, exit_code):
    with pytest.raises(SuiteError, match=message) as error:
        make(**options)
    assert error.value.exit == exit_code


@pytest.mark.parametrize("options", [{"grid": "ablation"}, {"budget": "quickly"}])
def test_unknown_names_come_with_suggestions(options):
    with pytest.raises(models.UnknownName, match="Did you mean"):
        make(**options)

"""The tasks: recipes as released, and rows that refer to rows that exist."""

import pytest

import models
from suite.cli.ledger import list as listing
from suite.data import cards
from suite.data.degrade.degradations import DEGRADATIONS
from suite.study.grids import list_pairings
from suite.study.protocols import PROTOCOLS
from suite.study.recipes import RECIPES, recipe_of
from suite.study.tasks import TASKS, TEST_IMAGES, task

# From the releases' options: iterations, global batch, patch, learning rate, thousands of iterations at which it is halved.
RELEASED = {
    "sr-x2": (500_000, 32, 128, 2e-4, (250, 400, 450, 475)),
    "sr-x3": (250_000, 64, 192, 1e-4, (125, 200, 225, 237.5)),
    "sr-x4": (250_000, 32, 192, 1e-4, (125, 200, 225, 237.5)),
    "light-sr-x2": (500_000, 32, 128, 2e-4, (250, 400, 450, 475)),
    "light-sr-x3": (500_000, 32, 192, 2e-4, (250, 400, 450, 475)),
    "light-sr-x4": (500_000, 32, 192, 2e-4, (250, 400, 450, 475)),
    "denoise-15": (1_600_000, 16, 128, 2e-4, (800, 1200, 1400, 1500)),
    "denoise-25": (800_000, 16, 128, 1e-4, (400, 600, 700, 750)),
    "denoise-50": (800_000, 16, 128, 1e-4, (400, 600, 700, 750)),
    "jpeg-10": (800_000, 16, 126, 1e-4, (400, 600, 700, 750)),
    "jpeg-30": (800_000, 16, 126, 1e-4, (400, 600, 700, 750)),
    "jpeg-40": (1_600_000, 16, 126, 2e-4, (800, 1200, 1400, 1500)),
    "gan-sr-x4": (100_000, 64, 256, 2e-4, (50, 70)),
    "real-sr-x4": (500_000, 72, 256, 2e-4, (250, 350)),
}


@pytest.mark.parametrize("name", RELEASED)
def test_recipes_are_the_released_ones(name):
    recipe = task(name).recipe
    iterations, batch, patch, lr, milestones = RELEASED[name]
    assert (recipe.iterations, recipe.batch, recipe.patch, recipe.lr) == (iterations, batch, patch, lr)
    assert tuple(fraction * iterations / 1000 for fraction in recipe.milestones) == pytest.approx(milestones)
    assert recipe.betas == (0.9, 0.99)
    vmambair = name in ("gan-sr-x4", "real-sr-x4")
    assert (recipe.ema_decay, recipe.rotate) == ((0.999, False) if vmambair else (0.0, True))


def test_progressive_and_unreleased_recipes():
    for name in ("derain", "real-denoise"):
        recipe = task(name).recipe
        assert (recipe.iterations, recipe.batch, recipe.patch, recipe.lr, recipe.betas) == (300_000, 64, 128, 3e-4, (0.9, 0.999))
    assert task("motion-deblur").recipe.source.startswith("EVSSM, GoPro.yml")
    assert all(task(name).recipe.source.startswith("EAMamba") for name in ("dehaze-indoor", "defocus-deblur", "real-sr-same-size"))
    assert "no options for quality 20" in task("jpeg-20").recipe.source
    assert all(task(name).recipe.loss == "charbonnier" for name in ("denoise-15", "jpeg-10"))


@pytest.mark.parametrize("name", TASKS)
def test_rows_refer_to_rows_that_exist(name):
    row = TASKS[name]
    assert row.name == name
    assert DEGRADATIONS[row.degradation].channels == row.channels
    assert row.recipe.patch % row.scale == 0
    rule = PROTOCOLS[row.protocol]
    assert (rule.channel == "grey") == (row.channels == 1)
    assert bool(rule.noise) == (row.kind == "denoise")
    assert row.train_sets
    assert row.test_sets
    assert (row.level is None) == (row.kind not in ("denoise", "jpeg"))


@pytest.mark.parametrize(
    ("model", "task_name", "account", "expected"),
    [
        ("mambair-sr-x2", "sr-x2", "released", "sr-x2/released"),
        ("mambairv2-large-x2", "sr-x2", "released", "sr-x2/mambairv2"),
        ("mambairv2-large-x2", "sr-x2", "paper", "sr-x2/mambairv2-paper"),
        ("mambairv2-light-x2.no-prompt", "light-sr-x2", "released", "light-sr-x2/mambairv2"),
        ("mambair-sr-x2", "sr-x2", "mambairv2", "sr-x2/mambairv2"),  # another's, where it is asked for
        ("mair-tiny-x3", "light-sr-x3", "released", "light-sr-x3/mair-tiny"),
        ("mair-tiny-x4", "light-sr-x4", "released", "light-sr-x4/mair"),
        ("mair-deblur", "motion-deblur", "released", "motion-deblur/mair"),
        ("evssm-deblur", "motion-deblur", "released", "motion-deblur/released"),
        ("evssm-deblur", "motion-deblur", "released-realblur", "motion-deblur/released-realblur"),
        ("eamamba-dehaze", "dehaze-outdoor", "released", "dehaze-outdoor/released"),
        ("tpmambasr-light-x4-tiny", "light-sr-x4", "released", "light-sr-x4/tpmambasr"),
    ],
)
def test_a_network_is_trained_as_its_own_authors_do(model, task_name, account, expected):
    assert recipe_of(model, task_name, account).name == expected


def test_an_account_that_nobody_gives_is_none():
    assert recipe_of("mair-deblur", "motion-deblur", "papper") is None


def test_every_recipe_of_a_design_is_taken_by_a_network_of_it():
    taken = {recipe_of(pairing.model, pairing.task).name for pairing in list_pairings()}
    later = {name for name in RECIPES if not name.partition("/")[2].startswith(("released", "paper")) and not name.endswith("-paper")}
    # Options that are released for tasks which no table prints of these networks.
    assert later - taken == {"denoise-25/mambairv2", "denoise-50/mambairv2", "derain/eamamba"}
    rows = {row["name"]: row["recipe"] for row in listing.models()}
    assert rows["mair-small-x2.sum"] == "light-sr-x2/mair"


def test_every_card_of_the_catalogue_names_a_task():
    assert {models.card(name).task for name in models.names()} <= set(TASKS)


def test_denoisers_and_jpeg_networks_are_trained_on_dfwb():
    from suite.data.cards import card

    rows = [row for row in TASKS.values() if row.kind in ("denoise", "jpeg")]
    assert len(rows) == 7
    assert all(row.train_sets == ("DFWB",) for row in rows)
    assert {part.partition(":")[0] for part in card("DFWB").parts} == {"DIV2K", "Flickr2K", "WED", "BSD500"}


def test_the_sets_of_a_task_have_cards():
    cards = pytest.importorskip("suite.data.cards")
    for row in TASKS.values():
        for name in (*row.train_sets, *row.test_sets):
            assert cards.card(name).name == name


def test_they_are_listed():
    rows = {row["name"]: row for row in listing.tasks()}
    assert list(rows) == list(TASKS)
    assert rows["derain"]["networks"] == sum(pairing.task == "derain" for pairing in list_pairings()) > 1
    assert rows["derain"]["published in"] == "VmambaIR, table 3"


def test_images_of_test_sets_are_counted_as_on_their_cards():
    sets = {name for row in TASKS.values() for name in row.test_sets}
    assert set(TEST_IMAGES) == sets
    for name in sets:
        splits = cards.card(name).splits
        assert TEST_IMAGES[name] == splits.get("test", splits.get("validation")), name

"""RECIPES: how the papers train, one row for each set of options they released, and one for each text that says otherwise.

A row is named TASK/ACCOUNT. `released` is what the authors' options do, `paper` what the paper's text says where that differs; what the
text leaves open is taken from the release, and the row says so. A recipe in several parts has a row for each, `released-gan` after
`released`: `start` names the row whose weights it begins with. Batches are global: how many devices share one is no part of a recipe.

A design that came later, and trains otherwise on a task of these, has rows of its own (suite.study.recipes_of_designs): TASK/DESIGN, or
TASK/DESIGN-ACCOUNT for an account other than `released`. `recipe_of` says which row a network takes.

Milestones, periods and stages are fractions of the run, so that a budget can shorten it. Sources: MambaIR (arXiv 2402.15648), section 4.1
and options/train/mambair, realDenoising/options; VmambaIR (arXiv 2403.11423), sections 5 and 7 and its options.

Deviation: a schedule that ends before its training does (derain/released-second) keeps its last value, where the released code fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from models.lookup import lookup
from suite.study.recipe import HALF_TO_END, Recipe, RecipeStart, Stage
from suite.study.recipes_of_designs import ROWS

_BETA2 = "the paper prints beta2 = 0.999 and no number of iterations; those are the release's"

_SR_X2 = Recipe("sr-x2/released", 500_000, 32, 128, 2e-4, "SR_x2", milestones=HALF_TO_END, validation="Set14")
_SR_X3 = replace(
    _SR_X2,
    name="sr-x3/released",
    iterations=250_000,
    batch=64,
    patch=192,
    lr=1e-4,
    source="SR_x3: 8 images on each of 8 GPUs",
    start=RecipeStart("sr-x2/released", "mambair-sr-x2", strict=False),
)
_SR_X4 = replace(
    _SR_X3,
    name="sr-x4/released",
    batch=32,
    source="SR_x4: low-quality patches of 48 pixels, which the authors call a slip for 64",
)
_LIGHT_X2 = replace(
    _SR_X2, name="light-sr-x2/released", source="lightSR_x2: labelled DF2K, whose path is DIV2K", validation="Urban100",
    defect="chosen by Urban100, a test set",
)  # fmt: skip
_LIGHT_X3 = replace(
    _LIGHT_X2,
    name="light-sr-x3/released",
    patch=192,
    source="lightSR_x3: begins with the x2 weights at full learning rate; the authors say from scratch",
    start=RecipeStart("light-sr-x2/released", "mambair-light-x2", strict=False),
)
_LIGHT_X4 = replace(_LIGHT_X3, name="light-sr-x4/released", source=_LIGHT_X3.source.replace("x3:", "x4:"))
_DENOISE_15 = Recipe(
    "denoise-15/released",
    1_600_000,
    16,
    128,
    2e-4,
    "ColorDN level 15",
    loss="charbonnier",
    milestones=(0.5, 0.75, 0.875, 0.9375),
    validation="CBSD68",
    defect="chosen by CBSD68, a test set",
)
_JPEG_40 = replace(
    _DENOISE_15, name="jpeg-40/released", patch=126, source="CAR q40", validation="Classic5", defect="chosen by Classic5, a test set"
)


def _second(first: Recipe, task: str, source: str) -> Recipe:
    """Half as long and half as fast, from the weights of the first."""
    short = replace(first, name=f"{task}/released", iterations=800_000, lr=1e-4, source=source)
    return replace(short, start=RecipeStart(first.name))


_MAMBAIR = (
    _SR_X2,
    _SR_X3,
    _SR_X4,
    replace(_SR_X2, name="sr-x2/paper", betas=(0.9, 0.999), source=f"section 4.1; {_BETA2}"),
    replace(_SR_X3, name="sr-x3/paper", batch=32, betas=(0.9, 0.999), source=f"section 4.1: batch 32; {_BETA2}",
            start=RecipeStart("sr-x2/paper", "mambair-sr-x2", strict=False)),
    replace(_SR_X4, name="sr-x4/paper", patch=256, betas=(0.9, 0.999), source=f"section 4.1: low-quality patches of 64; {_BETA2}",
            start=RecipeStart("sr-x2/paper", "mambair-sr-x2", strict=False)),
    _LIGHT_X2,
    _LIGHT_X3,
    _LIGHT_X4,
    replace(_LIGHT_X2, name="light-sr-x2/paper", betas=(0.9, 0.999), source=f"section 4.1; {_BETA2}"),
    *(
        replace(_LIGHT_X3, name=f"light-sr-x{scale}/paper", iterations=250_000, lr=1e-4, patch=64 * scale, betas=(0.9, 0.999),
                source=f"section 4.1: from the x2 weights, half as long and half as fast; {_BETA2}",
                start=RecipeStart("light-sr-x2/paper", "mambair-light-x2", strict=False))
        for scale in (3, 4)
    ),
    _DENOISE_15,
    *(_second(_DENOISE_15, f"denoise-{sigma}", f"ColorDN level {sigma}") for sigma in (25, 50)),
    *(
        replace(_DENOISE_15, name=f"denoise-{sigma}/paper", betas=(0.9, 0.999), source=f"section 4.1, from scratch; {_BETA2}")
        for sigma in (15, 25, 50)
    ),
    _JPEG_40,
    *(_second(_JPEG_40, f"jpeg-{quality}", f"CAR q{quality}") for quality in (10, 30)),
    replace(_second(_JPEG_40, "jpeg-20", ""), source="no options for quality 20 are released; those for 10 and 30 are taken"),
)  # fmt: skip

_SIZES = (128, 160, 192, 256, 320, 384)
_THOUSANDS = (92, 64, 48, 36, 36, 24)  # of 300
_REAL_DN = Recipe(
    "real-denoise/released",
    300_000,
    64,
    128,
    3e-4,
    "train_MambaIR_RealDN",
    optimiser="adamw",
    betas=(0.9, 0.999),
    weight_decay=1e-4,
    periods=(92 / 300, 208 / 300),
    floors=(3e-4, 1e-6),
    stages=tuple(Stage(k / 300, size, 8 * n) for k, size, n in zip(_THOUSANDS, _SIZES, (8, 5, 4, 2, 1, 1), strict=True)),
    clip_norm=0.01,
    mixup=1.2,
    validation="SIDD",
    defect="chosen by SIDD's validation blocks, which the table reports",
)
_DERAIN = replace(
    _REAL_DN,
    name="derain/released",
    source="mamber28",
    stages=tuple(Stage(k / 300, size, 8 * n) for k, size, n in zip(_THOUSANDS, _SIZES, (8, 5, 3, 2, 1, 1), strict=True)),
    mixup=0.0,
    validation="Rain100L",
    defect="chosen by Rain100L, a test set",
)
_DERAIN_SECOND = replace(
    _DERAIN,
    name="derain/released-second",
    iterations=156_000,
    lr=1e-4,
    weight_decay=5e-5,
    source="mamber32, from the weights of mamber28",
    periods=(48 / 156, 96 / 156),
    floors=(2.85e-4, 1e-6),
    stages=tuple(Stage(k / 156, stage.patch, stage.batch) for k, stage in zip((36, 24, 24, 24, 24, 24), _DERAIN.stages, strict=True)),
    start=RecipeStart("derain/released"),
    defect="the learning rate rises from 1e-4 to 2.85e-4 in the first period, whose floor is above it; the periods end after 144 of 156 "
    "thousand iterations, where the released code fails; chosen by Rain100L, a test set",
)
_LONG = (92, 64, 64, 64, 64, 48)  # of 396
_DERAIN_LONG = replace(
    _DERAIN,
    name="derain/released-long",
    iterations=396_000,
    source="mamber33 and mamber34, which are alike",
    periods=(144 / 396, 288 / 396),
    stages=tuple(Stage(k / 396, stage.patch, stage.batch) for k, stage in zip(_LONG, _DERAIN.stages, strict=True)),
    defect="the cosine is 432 thousand iterations long and the training 396: it never reaches its floor; chosen by Rain100L, a test set",
)
_REAL_SR = Recipe(
    "real-sr-x4/released",
    500_000,
    72,
    256,
    2e-4,
    "mambaSR11_x4: stage 1, L1 (table 4 trains with L1 alone)",
    milestones=(0.5, 0.7),
    ema_decay=0.999,
    rotate=False,
    validation="NTIRE2020-T1",
    defect="chosen by NTIRE2020-T1, a test set",
)
_REAL_SR_GAN = replace(
    _REAL_SR,
    name="real-sr-x4/released-gan",
    iterations=400_000,
    lr=1e-4,
    source="mambaSR11GAN_x4: stage 2, equal weights",
    loss="l1+perceptual+gan",
    milestones=(0.75,),
    discriminator_lr=1e-4,
    start=RecipeStart("real-sr-x4/released"),
    defect="a second setting, which halves the generator's learning rate every 300 thousand iterations, overrides the scheduler; the "
    "discriminator's never falls; chosen by NTIRE2020-T1, a test set",
)
_GAN_SR = replace(
    _REAL_SR, name="gan-sr-x4/released", iterations=100_000, batch=64, source="MambaSISR15_x4: stage 1, L1", milestones=(0.5, 0.7),
    validation="Urban100 and Set5", defect="chosen by Urban100, a test set",
)  # fmt: skip
_GAN_SR_GAN = replace(
    _GAN_SR,
    name="gan-sr-x4/released-gan",
    iterations=300_000,
    source="MambaSISR15GAN_x4: stage 2, equal weights",
    loss="l1+perceptual+gan",
    milestones=(0.5,),
    discriminator_lr=1e-4,
    start=RecipeStart("gan-sr-x4/released"),
)
_ONE_STAGE = "GAN, perceptual and L1 loss of equal weight throughout; milestones and moving average, which it does not state, as released"
_VMAMBAIR = (
    _REAL_SR,
    _REAL_SR_GAN,
    replace(_REAL_SR_GAN, name="real-sr-x4/paper", iterations=300_000, source=f"section 7.1: {_ONE_STAGE}", start=None, defect="",
            milestones=()),
    _GAN_SR,
    _GAN_SR_GAN,
    replace(_GAN_SR_GAN, name="gan-sr-x4/paper", source=f"section 7.2: {_ONE_STAGE}", start=None, defect=""),
    _DERAIN,
    _DERAIN_SECOND,
    _DERAIN_LONG,
)  # fmt: skip

_TABLE = {row.name: row for row in (*_MAMBAIR, *_VMAMBAIR, _REAL_DN, *ROWS)}
RECIPES: Mapping[str, Recipe] = MappingProxyType(_TABLE)  # and those of plug-ins, while they are loaded
DEFAULT = "released"


def recipe(name: str) -> Recipe:
    """Return the row `name`, TASK/ACCOUNT; raises `UnknownName` with suggestions."""
    return lookup("recipe", name, RECIPES)


def list_accounts(task: str) -> tuple[str, ...]:
    """Return the accounts of how `task` is trained, `released` first."""
    return tuple(row.name.partition("/")[2] for row in RECIPES.values() if row.task == task)


def recipe_of(model: str, task: str, account: str = DEFAULT) -> Recipe | None:
    """Return the row by which `model` is trained on `task`; None where there is no such account.

    Its own authors' row goes first: behind the task stands the longest beginning of the model's name that has one (mair-tiny before mair).
    """
    parts = model.partition(".")[0].split("-")
    beginnings = ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]
    own = beginnings if account == DEFAULT else [f"{beginning}-{account}" for beginning in beginnings]
    return next((RECIPES[name] for one in (*own, account) if (name := f"{task}/{one}") in RECIPES), None)


def list_own_recipes(model: str, task: str) -> tuple[str, ...]:
    """Return the names of the rows by which `model`'s own authors train on `task`; the rows of no design's name where they have none."""
    shared = [one for one in list_accounts(task) if one.startswith((DEFAULT, "paper"))]
    found = [row.name for account in (DEFAULT, "paper") if (row := recipe_of(model, task, account)) is not None]
    own = tuple(name for name in found if name.partition("/")[2] not in shared)
    return own or tuple(f"{task}/{one}" for one in shared)


def add_recipe(row: Recipe) -> None:
    """Add a recipe from outside, until `withdraw_recipe`; ValueError where its name is taken."""
    if row.name in _TABLE:
        raise ValueError(f"a recipe is called {row.name!r} already.")
    _TABLE[row.name] = row


def withdraw_recipe(name: str) -> None:
    """Take away a recipe that was added."""
    del _TABLE[name]

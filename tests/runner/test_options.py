"""Every number of every recipe, budget, task and pairing, against the releases' option files and the papers' text; nothing is left out.

Sources: options/train/mambair and realDenoising/options of csguoh/MambaIR, RealSR, SRGAN and Deraining options of AlphacatPlus/VmambaIR, as
facts; MambaIR, section 4.1; VmambaIR, sections 7.1 to 7.3. Budgets are this suite's own: what they are stands in its README and records.
"""

import dataclasses

import pytest

from suite.runner import plan
from suite.study import grids
from suite.study.budgets import BUDGETS, Budget
from suite.study.recipes import RECIPES, Recipe, RecipeStart
from suite.study.tasks import TASKS
from suite.training import losses

# Thousands of iterations, global batch, patch of the target, learning rate, thousands of iterations at which it is halved.
CLASSIC, SHORT = (250, 400, 450, 475), (125, 200, 225, 237.5)
LONG, HALF = (800, 1200, 1400, 1500), (400, 600, 700, 750)
X2 = {"start": RecipeStart("sr-x2/released", "mambair-sr-x2", strict=False)}
X2_PAPER = {"start": RecipeStart("sr-x2/paper", "mambair-sr-x2", strict=False)}
LIGHT = {"start": RecipeStart("light-sr-x2/released", "mambair-light-x2", strict=False)}
LIGHT_PAPER = {"start": RecipeStart("light-sr-x2/paper", "mambair-light-x2", strict=False)}
PAPER = {"betas": (0.9, 0.999)}  # MambaIR's text; its options and VmambaIR's Adam have 0.99
CHARBONNIER = {"loss": "charbonnier"}
VMAMBAIR = {"ema_decay": 0.999, "rotate": False}
GAN = VMAMBAIR | {"loss": "l1+perceptual+gan", "discriminator_lr": 1e-4}
ADAMW = {"optimiser": "adamw", "betas": (0.9, 0.999), "clip_norm": 0.01}
COSINE = {"floors": (3e-4, 1e-6), "weight_decay": 1e-4}

ROWS = {
    "sr-x2/released": (500, 32, 128, 2e-4, CLASSIC, {}),
    "sr-x3/released": (250, 64, 192, 1e-4, SHORT, X2),
    "sr-x4/released": (250, 32, 192, 1e-4, SHORT, X2),
    "sr-x2/paper": (500, 32, 128, 2e-4, CLASSIC, PAPER),
    "sr-x3/paper": (250, 32, 192, 1e-4, SHORT, PAPER | X2_PAPER),
    "sr-x4/paper": (250, 32, 256, 1e-4, SHORT, PAPER | X2_PAPER),
    "light-sr-x2/released": (500, 32, 128, 2e-4, CLASSIC, {}),
    "light-sr-x3/released": (500, 32, 192, 2e-4, CLASSIC, LIGHT),
    "light-sr-x4/released": (500, 32, 192, 2e-4, CLASSIC, LIGHT),
    "light-sr-x2/paper": (500, 32, 128, 2e-4, CLASSIC, PAPER),
    "light-sr-x3/paper": (250, 32, 192, 1e-4, SHORT, PAPER | LIGHT_PAPER),
    "light-sr-x4/paper": (250, 32, 256, 1e-4, SHORT, PAPER | LIGHT_PAPER),
    "denoise-15/released": (1600, 16, 128, 2e-4, LONG, CHARBONNIER),
    "denoise-25/released": (800, 16, 128, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("denoise-15/released")}),
    "denoise-50/released": (800, 16, 128, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("denoise-15/released")}),
    "denoise-15/paper": (1600, 16, 128, 2e-4, LONG, CHARBONNIER | PAPER),
    "denoise-25/paper": (1600, 16, 128, 2e-4, LONG, CHARBONNIER | PAPER),
    "denoise-50/paper": (1600, 16, 128, 2e-4, LONG, CHARBONNIER | PAPER),
    "jpeg-40/released": (1600, 16, 126, 2e-4, LONG, CHARBONNIER),
    "jpeg-10/released": (800, 16, 126, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("jpeg-40/released")}),
    "jpeg-20/released": (800, 16, 126, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("jpeg-40/released")}),
    "jpeg-30/released": (800, 16, 126, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("jpeg-40/released")}),
    "real-sr-x4/released": (500, 72, 256, 2e-4, (250, 350), VMAMBAIR),
    "real-sr-x4/released-gan": (400, 72, 256, 1e-4, (300,), GAN | {"start": RecipeStart("real-sr-x4/released")}),
    "real-sr-x4/paper": (300, 72, 256, 1e-4, (), GAN),
    "gan-sr-x4/released": (100, 64, 256, 2e-4, (50, 70), VMAMBAIR),
    "gan-sr-x4/released-gan": (300, 64, 256, 2e-4, (150,), GAN | {"start": RecipeStart("gan-sr-x4/released")}),
    "gan-sr-x4/paper": (300, 64, 256, 2e-4, (150,), GAN),
    "derain/released": (300, 64, 128, 3e-4, (), ADAMW | COSINE),
    "derain/released-second": (
        *(156, 64, 128, 1e-4, ()),
        ADAMW | {"floors": (2.85e-4, 1e-6), "weight_decay": 5e-5, "start": RecipeStart("derain/released")},
    ),
    "derain/released-long": (396, 64, 128, 3e-4, (), ADAMW | COSINE),
    "real-denoise/released": (300, 64, 128, 3e-4, (), ADAMW | COSINE | {"mixup": 1.2}),
}
# The five further designs: designs-2.md, section 6, and landscape.md, sections 2.4 to 2.7 and 3.1, of the study they were read from.
V2 = {"start": RecipeStart("sr-x2/mambairv2", "mambairv2-*", strict=False)}
MAIR, MAIR_LIGHT = ({"start": RecipeStart(f"{kind}sr-x2/mair", "mair-*", strict=False)} for kind in ("", "light-"))
MAIR_TINY = {"start": RecipeStart("light-sr-x2/mair", "mair-small-x2", strict=False)}
TPM, TPM_STEPS = {"start": RecipeStart("light-sr-x2/tpmambasr", "tpmambasr-*", strict=False)}, (150, 225, 262.5, 287.5)
EAMAMBA = ADAMW | {"ema_decay": 0.999}
EVSSM = ADAMW | {"betas": (0.9, 0.9), "floors": (1e-7,), "weight_decay": 1e-3, "loss": "l1+fft"}
HAZE = ADAMW | COSINE | {"floors": (2e-4, 1e-6)}
ROWS |= {
    **{f"light-sr-x{scale}/mambairv2": (500, 32, patch, 2e-4, CLASSIC, {}) for scale, patch in ((2, 128), (3, 192), (4, 192))},
    "sr-x2/mambairv2": (500, 32, 128, 1e-3, CLASSIC, {}),
    "sr-x2/mambairv2-paper": (500, 32, 128, 2e-4, CLASSIC, {}),
    **{f"sr-x{scale}/mambairv2": (250, 32, 192, 1e-4, SHORT, V2) for scale in (3, 4)},
    "denoise-15/mambairv2": (1600, 16, 128, 2e-4, LONG, CHARBONNIER),
    "jpeg-40/mambairv2": (1600, 16, 126, 2e-4, LONG, CHARBONNIER),
    **{
        f"denoise-{sigma}/mambairv2": (800, 16, 128, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("denoise-15/mambairv2")})
        for sigma in (25, 50)
    },
    **{
        f"jpeg-{quality}/mambairv2": (800, 16, 126, 1e-4, HALF, CHARBONNIER | {"start": RecipeStart("jpeg-40/mambairv2")})
        for quality in (10, 30)
    },
    "sr-x2/mair": (500, 32, 128, 2e-4, CLASSIC, {}),
    "sr-x3/mair": (250, 32, 192, 2e-4, SHORT, MAIR),
    "sr-x4/mair": (250, 32, 256, 2e-4, SHORT, MAIR),
    "light-sr-x2/mair": (500, 32, 128, 2e-4, CLASSIC, {}),
    "light-sr-x3/mair": (500, 32, 192, 2e-4, CLASSIC, MAIR_LIGHT),
    "light-sr-x4/mair": (500, 32, 256, 2e-4, CLASSIC, MAIR_LIGHT),
    "light-sr-x3/mair-tiny": (250, 32, 192, 2e-4, SHORT, MAIR_TINY),
    "denoise-15/mair": (3200, 8, 128, 2e-4, (1600, 2100, 2500, 2800, 3000), CHARBONNIER),
    **{
        f"denoise-{sigma}/mair": (1600, 8, 128, 2e-4, (200, 800, 1200, 1400, 1500), CHARBONNIER | {"start": RecipeStart("denoise-15/mair")})
        for sigma in (25, 50)
    },
    "real-denoise/mair": (718.25, 32, 128, 3e-4, (), ADAMW | COSINE | {"mixup": 1.2}),
    "motion-deblur/mair": (718.25, 32, 128, 3e-4, (), ADAMW | COSINE),
    **{f"dehaze-{place}/mair": (700, 12, 256, 2e-4, (), HAZE) for place in ("indoor", "outdoor")},
    **dict.fromkeys(
        (
            *("motion-deblur/eamamba", "dehaze-indoor/released", "dehaze-outdoor/released", "defocus-deblur/released", "derain/eamamba"),
            *("real-denoise/eamamba", "denoise-15/eamamba", "denoise-25/eamamba", "denoise-50/eamamba"),
        ),
        (450, 64, 128, 3e-4, (), EAMAMBA | COSINE),
    ),
    "real-sr-same-size/released": (30, 64, 128, 3e-4, (), EAMAMBA | {"weight_decay": 1e-4}),
    **{f"light-sr-x{scale}/eamamba": (500, 64, 64 * scale, 2e-4, CLASSIC, EAMAMBA) for scale in (2, 3, 4)},
    "motion-deblur/released": (300, 32, 128, 1e-3, (), EVSSM),
    "motion-deblur/released-realblur": (300, 64, 128, 1e-3, (), EVSSM),
    "light-sr-x2/tpmambasr": (600, 32, 128, 2e-4, tuple(2 * at for at in TPM_STEPS), {}),
    **{f"light-sr-x{scale}/tpmambasr": (300, 32, 64 * scale, 2e-4, TPM_STEPS, TPM) for scale in (3, 4)},
}
# Of a progressive recipe: thousands of iterations of each stage, images on each of 8 GPUs, thousands of iterations of each period.
SIZES = (128, 160, 192, 256, 320, 384)
STAGES = {
    "derain/released": ((92, 64, 48, 36, 36, 24), (8, 5, 3, 2, 1, 1), (92, 208)),
    "derain/released-second": ((36, 24, 24, 24, 24, 24), (8, 5, 3, 2, 1, 1), (48, 96)),
    "derain/released-long": ((92, 64, 64, 64, 64, 48), (8, 5, 3, 2, 1, 1), (144, 288)),
    "real-denoise/released": ((92, 64, 48, 36, 36, 24), (8, 5, 4, 2, 1, 1), (92, 208)),
    **dict.fromkeys(("real-denoise/mair", "motion-deblur/mair"), ((184, 160, 192, 182.25), (4, 2, 1, 1), (184, 544))),
    "real-denoise/eamamba": ((138, 96, 72, 144), (8, 5, 4, 2), (138, 312)),
}
STAGES |= {
    name: ((138, 96, 72, 54, 54, 36), (8, 5, 4, 2, 1, 1), (138, 312)) for name, row in ROWS.items() if row[0] == 450 and name not in STAGES
}
# Thousands of iterations of each period, where there are no stages.
PERIODS = {
    **{f"dehaze-{place}/mair": (184, 516) for place in ("indoor", "outdoor")},
    **{f"motion-deblur/{name}": (300,) for name in ("released", "released-realblur")},
}
TEXTS = ("name", "source", "validation", "defect")


def test_every_recipe_is_in_the_table():
    assert set(ROWS) == set(RECIPES)
    assert set(STAGES) == {row.name for row in RECIPES.values() if row.stages}


@pytest.mark.parametrize("name", ROWS)
def test_a_recipe_has_the_options_of_its_source_and_no_others(name):
    thousands, batch, patch, lr, milestones, options = ROWS[name]
    row = RECIPES[name]
    assert (row.iterations, row.batch, row.patch, row.lr) == (1000 * thousands, batch, patch, lr)
    assert [part * thousands for part in row.milestones] == pytest.approx(milestones)
    lengths, images, periods = STAGES.get(name, ((), (), PERIODS.get(name, ())))
    assert [(stage.patch, stage.batch) for stage in row.stages] == [(size, 8 * count) for size, count in zip(SIZES, images, strict=False)]
    assert [stage.part * thousands for stage in row.stages] == pytest.approx(lengths)
    assert [part * thousands for part in row.periods] == pytest.approx(periods)
    seen = {"iterations", "batch", "patch", "lr", "milestones", "stages", "periods", *TEXTS}
    defaults = {
        "loss": "l1", "optimiser": "adam", "betas": (0.9, 0.99), "weight_decay": 0.0, "floors": (), "ema_decay": 0.0, "clip_norm": 0.0,
        "mixup": 0.0, "rotate": True, "discriminator_lr": 0.0, "start": None,
    }  # fmt: skip
    assert seen | set(defaults) == {field.name for field in dataclasses.fields(Recipe)}  # a new field is to be told here, too
    assert {field: getattr(row, field) for field in defaults} == defaults | options


def test_budgets():
    small = {"batch": 2, "patch": 32, "lr": 1e-3, "ema_decay": 0.9, "clip_norm": 1.0, "width": 16, "depth_divisor": 6}
    short = {"batch": 8, "lr": 5e-4, "ema_decay": 0.99, "averages": True, "schedule": "cosine", "warm_up": 20, "clip_norm": 1.0}
    short |= {"first_weights": "interpolation"}
    expected = {
        "smoke": small | {"iterations": 4, "lr": 1e-5},
        "quick": short | {"iterations": 400, "patch": 32, "low_patch": 16, "width": 16, "depth_divisor": 6},
        "evening": short | {"iterations": 600, "patch": 32, "low_patch": 16, "lr": 3e-4, "width": 24, "depth_divisor": 3, "seeds": 3},
        "standard": {"iterations": 40_000, "batch": 8, "clip_norm": 1.0, "degrade_on_gpu": True},
        "paper": {"degrade_on_gpu": True},
    }
    assert {name: dataclasses.replace(row, summary="") for name, row in BUDGETS.items()} == {
        name: Budget(name, "", **fields) for name, fields in expected.items()
    }


# Degradation, protocol, training sets, test sets, whether grey, level.
SR_SETS = ("Set5", "Set14", "BSD100", "Urban100", "Manga109")
TASK_ROWS = (
    {f"sr-x{scale}": (f"bicubic-x{scale}", "sr-y@1", ("DF2K",), SR_SETS, 3, None) for scale in (2, 3, 4)}
    | {f"light-sr-x{scale}": (f"bicubic-x{scale}", "sr-y@1", ("DIV2K",), SR_SETS, 3, None) for scale in (2, 3, 4)}
    | {
        f"denoise-{sigma}": (f"noise-{sigma}", "color-dn-bgr@1", ("DFWB",), ("CBSD68", "Kodak24", "McMaster", "Urban100"), 3, sigma)
        for sigma in (15, 25, 50)
    }
    | {f"jpeg-{quality}": (f"jpeg-{quality}", "jpeg-grey@1", ("DFWB",), ("Classic5", "LIVE1"), 1, quality) for quality in (10, 20, 30, 40)}
    | {
        "gan-sr-x4": ("bicubic-x4", "gan-sr@1", ("DF2K",), ("Set14", "General100", "Urban100", "Manga109", "DIV2K100"), 3, None),
        "real-sr-x4": ("blind-x4", "real-sr@1", ("DF2K", "OST"), ("NTIRE2020-T1", "AIM2019"), 3, None),
        "derain": ("rain", "derain-matlab@1", ("Rain13K",), ("Rain100H", "Rain100L", "Test100", "Test1200", "Test2800"), 3, None),
        "real-denoise": ("camera-noise", "sidd-blocks@1", ("SIDD",), ("SIDD", "DND"), 3, None),
        "motion-deblur": ("motion-blur", "deblur-rgb@1", ("GoPro",), ("GoPro", "HIDE", "RealBlur-R", "RealBlur-J"), 3, None),
        "defocus-deblur": ("defocus", "float-rgb@1", ("DPDD",), ("DPDD-indoor", "DPDD-outdoor", "DPDD"), 3, None),
        "dehaze-indoor": ("haze-indoor", "float-rgb@1", ("ITS",), ("SOTS-indoor",), 3, None),
        "dehaze-outdoor": ("haze-outdoor", "float-rgb@1", ("OTS",), ("SOTS-outdoor",), 3, None),
        "real-sr-same-size": ("enlarged", "float-y@1", *[("RealSR-x2", "RealSR-x3", "RealSR-x4")] * 2, 3, None),
    }
)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_s_degradation_protocol_and_sets(name):
    row = TASKS[name]
    degradation, protocol, train, test, channels, level = TASK_ROWS[name]
    # A protocol's later version is a change of the protocol, told in suite/study/protocols.py; another protocol is another task.
    assert (row.degradation, row.protocol.partition("@")[0]) == (degradation, protocol.partition("@")[0])
    assert (row.train_sets, row.test_sets, row.channels, row.level) == (train, test, channels, level)


def test_the_perceptual_loss_is_that_of_vmambair_s_options():
    """conv1_2 and conv2_2 with a weight of 0.1, conv3_4, conv4_4 and conv5_4 with 1, before activation; images as ImageNet's."""
    import torch
    from torch import nn
    from torchvision.models import vgg19

    with torch.device("meta"):  # its layers, without values
        features = vgg19(weights=None).features
    block, number, names = 1, 0, {}
    for position, module in enumerate(features):
        number += isinstance(module, nn.Conv2d)
        if isinstance(module, nn.Conv2d):
            names[position] = f"conv{block}_{number}"
        if isinstance(module, nn.MaxPool2d):
            block, number = block + 1, 0
    found = {names[position]: weight for position, weight in losses.VGG19_LAYERS}
    assert found == {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}
    assert (losses.IMAGENET_MEAN, losses.IMAGENET_DEVIATION) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    loss = losses.Perceptual(features)
    assert (loss.mean.flatten().tolist(), loss.deviation.flatten().tolist()) == (
        pytest.approx(losses.IMAGENET_MEAN),
        pytest.approx(losses.IMAGENET_DEVIATION),
    )


def make(budget, only, **changed):
    options = {"seeds": 1, "only": only, "changes": {}, "backend": "reference", "device": "cpu"} | changed
    return plan.plan_cells("tasks", budget=budget, **options)[-1]


def test_what_a_budget_makes_of_recipes():
    derain = make("quick", ["vmambair-derain@derain"])
    assert (derain.iterations, derain.batch, derain.patch, derain.lr) == (400, 8, 32, 5e-4)
    assert (derain.ema_decay, derain.clip_norm, derain.weight_decay, derain.optimiser) == (0.99, 0.01, 1e-4, "adamw")
    assert derain.stages == ((123, 32, 8), (85, 40, 5), (64, 48, 3), (48, 64, 2), (48, 80, 1), (32, 96, 1))
    assert (derain.periods, derain.floors, derain.warm_up) == ((400,), (0.0,), 20)
    whole = make("standard", ["vmambair-derain@derain"])
    assert whole.periods == (12_267, 27_733)
    assert whole.floors == pytest.approx((3e-4, 1e-6))
    assert whole.warm_up == 0
    real = make("quick", ["vmambair-realsr-x4@real-sr-x4"])
    assert (real.ema_decay, real.clip_norm, real.milestones, real.width, real.depth_divisor) == (0.99, 1.0, (), 16, 6)
    assert real.patch == 64  # 16 pixels of low quality
    smoke = make("smoke", ["vmambair-derain@derain"])
    assert smoke.floors == pytest.approx((1e-5, 1e-6 / 30))  # as deep as the recipe's, from another height
    assert (smoke.ema_decay, smoke.patch) == (0.0, 32)
    plain = make("standard", ["mambair-sr-x2@sr-x2"])
    assert (plain.iterations, plain.batch, plain.patch, plain.lr, plain.ema_decay, plain.clip_norm) == (40_000, 8, 128, 2e-4, 0.0, 1.0)
    assert plain.milestones == (20_000, 32_000, 36_000, 38_000)
    third = make("quick", ["mambair-sr-x3@sr-x3"])
    assert (third.patch, third.lr) == (48, 5e-4)  # a multiple of the scale
    assert make("smoke", ["mambair-sr-x3@sr-x3"]).patch == 30
    gan = make("standard", ["vmambair-realsr-x4@real-sr-x4"], account="released-gan", changes={})
    assert (gan.lr, gan.ema_decay, gan.milestones) == (1e-4, 0.999, (30_000,))
    assert gan.discriminator_lr == pytest.approx(1e-4)


PUBLISHED = {
    "vmambair-sisr-x4": "gan-sr-x4", "vmambair-realsr-x4": "real-sr-x4", "vmambair-derain": "derain", "vmambair-derain.released": "derain",
    "mambair-sr-x2": "sr-x2", "mambair-sr-x3": "sr-x3", "mambair-sr-x4": "sr-x4", "mambair-light-x2": "light-sr-x2",
    "mambair-light-x2.generation-1": "light-sr-x2", "mambair-light-x2.generation-2": "light-sr-x2", "mambair-light-x3": "light-sr-x3",
    "mambair-light-x4": "light-sr-x4", "mambair-denoise": "denoise-15 denoise-25 denoise-50", "mambair-jpeg": "jpeg-10 jpeg-30 jpeg-40",
    "mambair-realdn": "real-denoise",
}  # fmt: skip
SCALES = (2, 3, 4)
PUBLISHED |= {f"mambairv2-{size}-x{scale}": f"sr-x{scale}" for size in ("small", "base", "large") for scale in SCALES}
PUBLISHED |= {
    f"{name}-x{scale}": f"light-sr-x{scale}"
    for name in ("mambairv2-light", "mair-tiny", "mair-small", "tpmambasr-light")
    for scale in SCALES
}
PUBLISHED |= {f"mair-sr-x{scale}": f"sr-x{scale}" for scale in SCALES}
PUBLISHED |= {
    "mambairv2-denoise": "denoise-15", "mambairv2-jpeg": "jpeg-10 jpeg-30 jpeg-40", "mair-denoise": "denoise-15 denoise-25 denoise-50",
    "mair-realdn": "real-denoise", "mair-deblur": "motion-deblur", "mair-dehaze": "dehaze-indoor dehaze-outdoor",
    "eamamba-denoise": "denoise-15 denoise-25 denoise-50", "eamamba-realdn": "real-denoise", "eamamba-deblur": "motion-deblur",
    "eamamba-dehaze": "dehaze-indoor dehaze-outdoor", "eamamba-defocus": "defocus-deblur", "eamamba-realsr": "real-sr-same-size",
    "evssm-deblur": "motion-deblur",
}  # fmt: skip


def test_pairings_whose_value_a_paper_prints():
    found = {}
    for pairing in grids.list_pairings():
        if pairing.published:
            found.setdefault(pairing.model, []).append(pairing.task)
    assert {model: " ".join(tasks) for model, tasks in found.items()} == PUBLISHED

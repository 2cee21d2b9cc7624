"""ROWS: how the five further designs are trained, as rows of suite.study.recipes.RECIPES.

Facts from the authors' option files: MambaIRv2 (arXiv 2411.15269, csguoh/MambaIR 33d7b34), MaIR (arXiv 2412.20066, 2fb433e), EAMamba (arXiv
2506.22246, ec13c77), EVSSM (arXiv 2405.14343, 5098a52), T-PMambaSR (arXiv 2511.03232, 2fe5614). The papers' texts could not be read but
for what `-paper` rows state. On tasks that no earlier design has, `released` is the row of the design whose protocol the task follows.
"""

from __future__ import annotations

from dataclasses import replace

from suite.study.recipe import HALF_TO_END, Recipe, RecipeStart, Stage

_LATE = (0.5, 0.75, 0.875, 0.9375)  # 800, 1200, 1400 and 1500 thousand of 1600


def _stages(thousands: tuple[float, ...], batches: tuple[int, ...], total: float) -> tuple[Stage, ...]:
    """Return the stages of progressive training with the first of the usual patches."""
    patches = (128, 160, 192, 256, 320, 384)[: len(batches)]
    return tuple(Stage(length / total, *size) for length, *size in zip(thousands, patches, batches, strict=True))


def _multi_step(name: str, thousands: int, batch: int, patch: int, lr: float, source: str, start: RecipeStart | None = None) -> Recipe:
    """Return a row of Adam and L1 whose learning rate is halved at four milestones."""
    return Recipe(name, 1000 * thousands, batch, patch, lr, source, milestones=HALF_TO_END, start=start)


_V2 = RecipeStart("sr-x2/mambairv2", "mambairv2-*", strict=False)
_V2_CLASSIC = "SRSmall, SR and SRLarge of mambairv2"
_V2_DENOISE, _V2_JPEG = (
    Recipe(name, 1_600_000, 16, patch, 2e-4, f"{of}; the loss, which is not at hand, as MambaIR's", loss="charbonnier", milestones=_LATE)
    for name, patch, of in (
        ("denoise-15/mambairv2", 128, "ColorDN level 15 of mambairv2"),
        ("jpeg-40/mambairv2", 126, "CAR q40 of mambairv2"),
    )
)
_MAMBAIRV2 = (
    *(
        _multi_step(f"light-sr-x{scale}/mambairv2", 500, 32, patch, 2e-4, f"lightSR_x{scale} of mambairv2, from scratch")
        for scale, patch in ((2, 128), (3, 192), (4, 192))
    ),
    replace(
        _multi_step("sr-x2/mambairv2", 500, 32, 128, 1e-3, f"{_V2_CLASSIC}, x2"),
        defect="the learning rate is 1e-3, where the paper is said to state 2e-4; the small and the large network's runs have the base "
        "one's name, and overwrite one another",
    ),
    _multi_step("sr-x2/mambairv2-paper", 500, 32, 128, 2e-4, "the learning rate by a summary of the paper; all else as released"),
    *(_multi_step(f"sr-x{scale}/mambairv2", 250, 32, 192, 1e-4, f"{_V2_CLASSIC}, x{scale}", _V2) for scale in (3, 4)),
    _V2_DENOISE,
    _V2_JPEG,
    *(
        replace(first, name=f"{task}/mambairv2", iterations=800_000, lr=1e-4, start=RecipeStart(first.name))
        for first, tasks in ((_V2_DENOISE, ("denoise-25", "denoise-50")), (_V2_JPEG, ("jpeg-10", "jpeg-30")))
        for task in tasks
    ),
)

_MAIR_SR, _MAIR_LIGHT = RecipeStart("sr-x2/mair", "mair-*", strict=False), RecipeStart("light-sr-x2/mair", "mair-*", strict=False)
_NOT_HALVED = "the learning rate is that of x2, not half of it"
_MAIR_DENOISE = Recipe(
    "denoise-15/mair", 3_200_000, 8, 128, 2e-4, "CDN, level 15; the patch, which is not at hand, as MambaIR's", loss="charbonnier",
    milestones=tuple(million / 3.2 for million in (1.6, 2.1, 2.5, 2.8, 3.0)),
)  # fmt: skip
_MAIR_UNET = Recipe(
    "motion-deblur/mair",
    718_250,
    32,
    128,
    3e-4,
    "MotionDeblur; betas and floors, which are not at hand, as in Restormer's options, which these follow",
    optimiser="adamw",
    betas=(0.9, 0.999),
    weight_decay=1e-4,
    periods=(184 / 718.25, 544 / 718.25),
    floors=(3e-4, 1e-6),
    stages=_stages((184, 160, 192, 182.25), (32, 16, 8, 8), 718.25),
    clip_norm=0.01,
    defect="the cosine is 728 thousand iterations long and the training 718.25: it never reaches its floor",
)
_MAIR = (
    _multi_step("sr-x2/mair", 500, 32, 128, 2e-4, "classic, x2"),
    *(
        replace(_multi_step(f"sr-x{scale}/mair", 250, 32, patch, 2e-4, f"classic, x{scale}", _MAIR_SR), defect=_NOT_HALVED)
        for scale, patch in ((3, 192), (4, 256))
    ),
    _multi_step("light-sr-x2/mair", 500, 32, 128, 2e-4, "small and tiny, x2"),
    *(
        replace(_multi_step(f"light-sr-x{scale}/mair", 500, 32, patch, 2e-4, f"small, x{scale}", _MAIR_LIGHT), defect=_NOT_HALVED)
        for scale, patch in ((3, 192), (4, 256))
    ),
    replace(
        _multi_step("light-sr-x3/mair-tiny", 250, 32, 192, 2e-4, "tiny, x3", replace(_MAIR_LIGHT, model="mair-small-x2")),
        defect="begins with the weights of the small network, whose scans have other shapes: what fits is taken",
    ),
    _MAIR_DENOISE,
    *(
        replace(
            _MAIR_DENOISE, name=f"denoise-{sigma}/mair", iterations=1_600_000, source=f"CDN, level {sigma}; else as level 15",
            milestones=tuple(million / 1.6 for million in (0.2, 0.8, 1.2, 1.4, 1.5)), start=RecipeStart(_MAIR_DENOISE.name),
        )
        for sigma in (25, 50)
    ),
    replace(_MAIR_UNET, name="real-denoise/mair", source=_MAIR_UNET.source.replace("MotionDeblur", "RealDN; mixup 1.2"), mixup=1.2),
    _MAIR_UNET,
    *(
        replace(
            _MAIR_UNET, name=f"dehaze-{place}/mair", iterations=700_000, batch=12, patch=256, lr=2e-4, floors=(2e-4, 1e-6), stages=(),
            source=_MAIR_UNET.source.replace("MotionDeblur", options), periods=(184 / 700, 516 / 700), defect="",
        )
        for place, options in (("indoor", "ITS"), ("outdoor", "OTS"))
    ),
)  # fmt: skip

_GPUS = "batches are of one GPU in the options, which do not say of how many: 8 are taken"
_EAMAMBA_UNET = Recipe(
    "defocus-deblur/released",
    450_000,
    64,
    128,
    3e-4,
    f"EAMamba, dpdd, single image; {_GPUS}",
    optimiser="adamw",
    betas=(0.9, 0.999),
    weight_decay=1e-4,
    periods=(138 / 450, 312 / 450),
    floors=(3e-4, 1e-6),
    stages=_stages((138, 96, 72, 54, 54, 36), (64, 40, 32, 16, 8, 8), 450),
    ema_decay=0.999,
    clip_norm=0.01,
)
_UPSCALE = "the options leave out upscale = 1, without which the released class fails"
_EAMAMBA = (
    *(
        replace(_EAMAMBA_UNET, name=name, source=f"EAMamba, {options}; {_GPUS}", defect=_UPSCALE)
        for name, options in (
            ("motion-deblur/eamamba", "gopro"),
            ("dehaze-indoor/released", "dehaze ITS"),
            ("dehaze-outdoor/released", "dehaze OTS"),
            ("derain/eamamba", "derain, for which no number is published"),
            *((f"denoise-{sigma}/eamamba", "denoise; one network for sigma 0 to 50, here one a task") for sigma in (15, 25, 50)),
        )
    ),
    replace(_EAMAMBA_UNET, defect=_UPSCALE),
    replace(
        _EAMAMBA_UNET, name="real-denoise/eamamba", source=f"EAMamba, sidd; {_GPUS}", defect=_UPSCALE,
        stages=_stages((138, 96, 72, 144), (64, 40, 32, 16), 450),
    ),
    replace(
        _EAMAMBA_UNET, name="real-sr-same-size/released", iterations=30_000, periods=(), floors=(), stages=(), defect=_UPSCALE,
        source=f"EAMamba, realsrx2, x3 and x4: a constant learning rate, a run a factor; {_GPUS}; here one run for all factors",
    ),
    *(
        replace(
            _EAMAMBA_UNET, name=f"light-sr-x{scale}/eamamba", iterations=500_000, patch=64 * scale, lr=2e-4, weight_decay=0.0, periods=(),
            floors=(), stages=(), milestones=HALF_TO_END, source=f"EAMamba, srx{scale}, for which no number is published; {_GPUS}",
        )
        for scale in (2, 3, 4)
    ),
)  # fmt: skip

_EVSSM = Recipe(
    "motion-deblur/released",
    300_000,
    32,
    128,
    1e-3,
    "EVSSM, GoPro.yml; the paper's second stage on patches of 256, known from a summary, is not in it",
    loss="l1+fft",
    optimiser="adamw",
    betas=(0.9, 0.9),
    weight_decay=1e-3,
    periods=(1.0,),
    floors=(1e-7,),
    clip_norm=0.01,
    validation="GoPro",
    defect="validation looks at the top left 288x288 pixels of each image of GoPro's test alone",
)
_REALBLUR = replace(
    _EVSSM, name="motion-deblur/released-realblur", batch=64, source="EVSSM, Realblur.yml, from scratch", validation="RealBlur", defect=""
)
_TPMAMBASR = Recipe(
    "light-sr-x2/tpmambasr", 600_000, 32, 128, 2e-4, "T-PMambaSR, x2", milestones=(0.5, 0.75, 0.875, 575 / 600)
)  # fmt: skip
_TPM = (
    _TPMAMBASR,
    *(
        replace(
            _TPMAMBASR, name=f"light-sr-x{scale}/tpmambasr", iterations=300_000, patch=64 * scale, source=f"T-PMambaSR, x{scale}",
            start=RecipeStart(_TPMAMBASR.name, "tpmambasr-*", strict=False), defect=defect,
        )
        for scale, defect in (
            (3, _NOT_HALVED),
            (4, f"{_NOT_HALVED}; the released weights saw 445 thousand batches more than those of x2, the options ask for 300"),
        )
    ),
)  # fmt: skip

ROWS = (*_MAMBAIRV2, *_MAIR, _EVSSM, _REALBLUR, *_EAMAMBA, *_TPM)

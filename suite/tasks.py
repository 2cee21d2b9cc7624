"""TASKS: what is to be restored, how training is done, and by which protocol the result is measured.

A task fixes degradation, loss, recipe and protocol; a run cannot override the first two. The recipes are those of the
released options (learning rate, milestones as fractions of the run, patch, global batch, moving average), as far as training
here follows them: Adam, L1, one patch size, a learning rate that is halved. `Recipe.source` says where a release does more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from models.lookup import lookup

Kind = Literal["sr", "real-sr", "derain", "denoise", "real-denoise", "jpeg"]  # as suite.data.locate.file_pairs names them


@dataclass(frozen=True)
class Recipe:
    """How the papers train, for one task; sizes in pixels of the high-quality image."""

    iterations: int
    batch: int  # global
    patch: int
    lr: float
    milestones: tuple[float, ...]  # fractions of the iterations at which the learning rate is halved
    betas: tuple[float, float]
    ema_decay: float
    rotate: bool  # 8 symmetries of the square; False: horizontal flips alone
    source: str


@dataclass(frozen=True)
class Task:
    """A row of the table."""

    name: str
    kind: Kind
    summary: str
    degradation: str  # a name of suite.data.degradations.DEGRADATIONS
    protocol: str  # a key of suite.protocols.PROTOCOLS
    recipe: Recipe
    published: str  # the table that its numbers stand in
    train_sets: tuple[str, ...]  # names of cards, as the papers train
    test_sets: tuple[str, ...]  # names of cards, as the papers measure
    channels: Literal[1, 3] = 3  # 1: grey
    level: int | None = None  # sigma of 255, or the JPEG quality

    @property
    def scale(self) -> int:
        """Enlargement from the low-quality image to the target."""
        from suite.data.degradations import degradation

        return degradation(self.degradation).scale


MAMBAIR_BETAS = (0.9, 0.99)
HALF_TO_END = (0.5, 0.8, 0.9, 0.95)  # 250, 400, 450 and 475 thousand of 500
# Where the cosine of the releases, from 92 to 300 thousand iterations, passes 2^-0.5, 2^-1.5, 2^-2.5 and 2^-3.5 of its start.
COSINE_HALVED = (0.559, 0.719, 0.808, 0.867)

_FROM_SCRATCH = Recipe(
    500_000, 32, 128, 2e-4, HALF_TO_END, MAMBAIR_BETAS, 0.0, True, "MambaIR's released options (the paper prints beta2 = 0.999)"
)
_FROM_X2 = replace(_FROM_SCRATCH, iterations=250_000, patch=192, lr=1e-4)
_CLASSIC = {
    2: _FROM_SCRATCH,
    3: replace(
        _FROM_X2, batch=64, source="MambaIR's released options; they start from the x2 weights, here from scratch; batch 64 (the paper: 32)"
    ),
    4: replace(
        _FROM_X2,
        source="MambaIR's released options; they start from the x2 weights, here from scratch; patch 192, that is 48 at low quality",
    ),
}
_LIGHT = {
    2: replace(_FROM_SCRATCH, source="MambaIR's released options: labelled DF2K, whose path is DIV2K"),
    3: replace(_FROM_SCRATCH, patch=192, source="MambaIR's released options; they start from x2 weights, the authors say from scratch"),
    4: replace(_FROM_SCRATCH, patch=192, source="MambaIR's released options; they start from x2 weights, the authors say from scratch"),
}
_RESTORE_LONG = replace(_FROM_SCRATCH, iterations=1_600_000, batch=16, milestones=(0.5, 0.75, 0.875, 0.9375))
_RESTORE_SHORT = replace(_RESTORE_LONG, iterations=800_000, lr=1e-4)
_CHARBONNIER = "MambaIR's released options; their loss is Charbonnier's (epsilon 1e-3), here L1"
_DENOISE = {
    15: replace(_RESTORE_LONG, source=_CHARBONNIER),
    25: replace(_RESTORE_SHORT, source=f"{_CHARBONNIER}; they start from the weights of sigma 15, here from scratch"),
    50: replace(_RESTORE_SHORT, source=f"{_CHARBONNIER}; they start from the weights of sigma 15, here from scratch"),
}
_FROM_Q40 = f"{_CHARBONNIER}; they start from the weights of quality 40, here from scratch"
_JPEG = {
    10: replace(_RESTORE_SHORT, patch=126, source=_FROM_Q40),
    20: replace(
        _RESTORE_SHORT, patch=126, source="no options for quality 20 are released; those for 10 and 30 are taken, from scratch, with L1"
    ),
    30: replace(_RESTORE_SHORT, patch=126, source=_FROM_Q40),
    40: replace(_RESTORE_LONG, patch=126, source=_CHARBONNIER),
}
_PROGRESSIVE = Recipe(
    300_000,
    64,
    128,
    3e-4,
    COSINE_HALVED,
    (0.9, 0.999),
    0.0,
    True,
    "",
)
_APPROXIMATED = (
    "approximated: the first stage's patch and batch throughout (released: 128 to 384 pixels, batch 64 to 8 in six stages), the cosine by "
    "halvings, Adam without weight decay for AdamW with 1e-4"
)


def _sr(scale: int) -> Task:
    return Task(
        f"sr-x{scale}",
        "sr",
        f"classic x{scale} super-resolution from MATLAB-compatible bicubic images, L1 loss",
        f"bicubic-x{scale}",
        "sr-y@1",
        _CLASSIC[scale],
        "MambaIR, tables 1, 2 and 3" if scale == 2 else "MambaIR, table 3",
        ("DF2K",),
        ("Set5", "Set14", "BSD100", "Urban100", "Manga109"),
    )


def _light_sr(scale: int) -> Task:
    return replace(
        _sr(scale),
        name=f"light-sr-x{scale}",
        summary=f"light x{scale} super-resolution: as sr-x{scale}, for networks of about a million parameters",
        recipe=_LIGHT[scale],
        published="MambaIR, table 4",
        train_sets=("DIV2K",),
    )


def _denoise(sigma: int) -> Task:
    return Task(
        f"denoise-{sigma}",
        "denoise",
        f"colour denoising, Gaussian noise of sigma {sigma} (of 255), neither clipped nor rounded",
        f"noise-{sigma}",
        "color-dn-bgr@1",
        _DENOISE[sigma],
        "MambaIR, table 5",
        ("DFWB",),
        ("CBSD68", "Kodak24", "McMaster", "Urban100"),
        level=sigma,
    )


def _jpeg(quality: int) -> Task:
    return Task(
        f"jpeg-{quality}",
        "jpeg",
        f"JPEG artefacts of quality {quality} on grey images",
        f"jpeg-{quality}",
        "jpeg-grey@1",
        _JPEG[quality],
        "none (quality 20 is in neither paper)" if quality == 20 else "MambaIR, supplementary material",
        ("DFWB",),
        ("Classic5", "LIVE1"),
        channels=1,
        level=quality,
    )


_OTHERS = (
    Task(
        "gan-sr-x4",
        "sr",
        "x4 super-resolution for perceptual quality, from MATLAB-compatible bicubic images",
        "bicubic-x4",
        "gan-sr@1",
        Recipe(
            100_000,
            64,
            256,
            2e-4,
            (0.5, 0.7),
            MAMBAIR_BETAS,
            0.999,
            False,
            "VmambaIR's released options, stage 1 (L1); stage 2, with the perceptual and the GAN loss, is not trained here",
        ),
        "VmambaIR, table 1",
        ("DF2K",),
        ("Set14", "General100", "Urban100", "Manga109", "DIV2K100"),
    ),
    Task(
        "real-sr-x4",
        "real-sr",
        "blind real-world x4 super-resolution, two-order degradation, L1 loss",
        "blind-x4",
        "real-sr@1",
        Recipe(
            500_000,
            72,
            256,
            2e-4,
            (0.5, 0.7),
            MAMBAIR_BETAS,
            0.999,
            False,
            "VmambaIR's released options, stage 1 (table 4 trains with L1 alone)",
        ),
        "VmambaIR, tables 2 and 4",
        ("DF2K", "OST"),
        ("NTIRE2020-T1", "AIM2019"),
    ),
    Task(
        "derain",
        "derain",
        "rain streaks",
        "rain",
        "derain-matlab@1",
        replace(_PROGRESSIVE, source=f"VmambaIR's released options (its first stage of 300 thousand iterations); {_APPROXIMATED}"),
        "VmambaIR, table 3",
        ("Rain13K",),
        ("Rain100H", "Rain100L", "Test100", "Test1200", "Test2800"),
    ),
    Task(
        "real-denoise",
        "real-denoise",
        "noise of real cameras",
        "camera-noise",
        "sidd-blocks@1",
        replace(_PROGRESSIVE, source=f"MambaIR's released options; {_APPROXIMATED}, no mixup"),
        "MambaIR, table 6",
        ("SIDD",),
        ("SIDD", "DND"),
    ),
)

TASKS: Mapping[str, Task] = MappingProxyType(
    {
        row.name: row
        for row in (
            *map(_sr, (2, 3, 4)),
            *map(_light_sr, (2, 3, 4)),
            *_OTHERS,
            *map(_denoise, (15, 25, 50)),
            *map(_jpeg, (10, 20, 30, 40)),
        )
    }
)


def task(name: str) -> Task:
    """The row `name`; raises `UnknownName` with suggestions."""
    return lookup("task", name, TASKS)

"""TASKS: what is to be restored, on what, and by which protocol the result is measured.

A task fixes degradation and protocol; a run cannot override the first. How it is trained stands in suite/study/recipes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from models.lookup import lookup
from suite.study.recipes import DEFAULT, Recipe, recipe

Kind = Literal[
    "sr", "real-sr", "derain", "denoise", "real-denoise", "jpeg", "motion-deblur", "defocus-deblur", "dehaze", "same-size-sr"
]  # fmt: skip - as suite.data.layouts.locate.file_pairs names them


@dataclass(frozen=True)
class Task:
    """A row of the table."""

    name: str
    kind: Kind
    summary: str
    degradation: str  # a name of suite.data.degrade.degradations.DEGRADATIONS
    protocol: str  # a key of suite.study.protocols.PROTOCOLS
    published: str  # the table that its numbers stand in
    train_sets: tuple[str, ...]  # names of cards, as the papers train
    test_sets: tuple[str, ...]  # names of cards, as the papers measure
    scale: int = 1  # enlargement from the low-quality image to the target: that of its degradation (test_tasks.py)
    channels: Literal[1, 3] = 3  # 1: grey
    level: int | None = None  # sigma of 255, or the JPEG quality

    @property
    def degrades_on_device(self) -> bool:
        """True where the degradation of training crops has a version for the device that trains."""
        return self.kind == "real-sr"

    @property
    def recipe(self) -> Recipe:
        """Return how its authors' release trains."""
        return recipe(f"{self.name}/{DEFAULT}")


def _sr(scale: int) -> Task:
    return Task(
        f"sr-x{scale}",
        "sr",
        f"classic x{scale} super-resolution from MATLAB-compatible bicubic images, L1 loss",
        f"bicubic-x{scale}",
        "sr-y@1",
        "MambaIR, tables 1, 2 and 3" if scale == 2 else "MambaIR, table 3",
        ("DF2K",),
        ("Set5", "Set14", "BSD100", "Urban100", "Manga109"),
        scale=scale,
    )


def _light_sr(scale: int) -> Task:
    return replace(
        _sr(scale),
        name=f"light-sr-x{scale}",
        summary=f"light x{scale} super-resolution: as sr-x{scale}, for networks of about a million parameters",
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
        "MambaIR, table 5",
        ("DFWB",),
        ("CBSD68", "Kodak24", "McMaster", "Urban100"),
        level=sigma,
    )


def _dehaze(place: str, train: str) -> Task:
    return Task(
        f"dehaze-{place}",
        "dehaze",
        f"haze {place}s",
        f"haze-{place}",
        "float-rgb@1",
        "EAMamba, dehazing",
        (train,),
        (f"SOTS-{place}",),
    )


def _jpeg(quality: int) -> Task:
    return Task(
        f"jpeg-{quality}",
        "jpeg",
        f"JPEG artefacts of quality {quality} on grey images",
        f"jpeg-{quality}",
        "jpeg-grey@1",
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
        "VmambaIR, table 1",
        ("DF2K",),
        ("Set14", "General100", "Urban100", "Manga109", "DIV2K100"),
        scale=4,
    ),
    Task(
        "real-sr-x4",
        "real-sr",
        "blind real-world x4 super-resolution, two-order degradation, L1 loss",
        "blind-x4",
        "real-sr@1",
        "VmambaIR, tables 2 and 4",
        ("DF2K", "OST"),
        ("NTIRE2020-T1", "AIM2019"),
        scale=4,
    ),
    Task(
        "derain",
        "derain",
        "rain streaks",
        "rain",
        "derain-matlab@2",
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
        "MambaIR, table 6",
        ("SIDD",),
        ("SIDD", "DND"),
    ),
    Task(
        "motion-deblur",
        "motion-deblur",
        "blur of a moving camera and of moving objects",
        "motion-blur",
        "deblur-rgb@1",
        "EVSSM and EAMamba, motion deblurring",
        ("GoPro",),
        ("GoPro", "HIDE", "RealBlur-R", "RealBlur-J"),
    ),
    Task(
        "defocus-deblur",
        "defocus-deblur",
        "blur of a lens out of focus, from a single image",
        "defocus",
        "float-rgb@1",
        "EAMamba, defocus deblurring",
        ("DPDD",),
        ("DPDD-indoor", "DPDD-outdoor", "DPDD"),
    ),
    _dehaze("indoor", "ITS"),
    _dehaze("outdoor", "OTS"),
    Task(
        "real-sr-same-size",
        "same-size-sr",
        "super-resolution of photographs that are enlarged already, by 2, 3 or 4",
        "enlarged",
        "float-y@1",
        "EAMamba, real-world super-resolution",
        ("RealSR-x2", "RealSR-x3", "RealSR-x4"),
        ("RealSR-x2", "RealSR-x3", "RealSR-x4"),
    ),
)

_ROWS = (*map(_sr, (2, 3, 4)), *map(_light_sr, (2, 3, 4)), *_OTHERS, *map(_denoise, (15, 25, 50)), *map(_jpeg, (10, 20, 30, 40)))
_TABLE = {row.name: row for row in _ROWS}
TASKS: Mapping[str, Task] = MappingProxyType(_TABLE)  # and those of plug-ins, while they are loaded

# Images of the published test sets, as their cards count them (tests/study/test_tasks.py).
TEST_IMAGES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("BSD100", "Urban100", "General100", "DIV2K100", "Rain100H", "Rain100L", "NTIRE2020-T1", "AIM2019"), 100),
        "Set5": 5,
        "Set14": 14,
        "Manga109": 109,
        "CBSD68": 68,
        "Kodak24": 24,
        "McMaster": 18,
        "Classic5": 5,
        "LIVE1": 29,
        "SIDD": 1280,
        "DND": 50,
        "Test100": 98,
        "Test1200": 1200,
        "Test2800": 2800,
        "GoPro": 1111,
        "HIDE": 2025,
        **dict.fromkeys(("RealBlur-R", "RealBlur-J"), 980),
        "DPDD": 76,
        "DPDD-indoor": 37,
        "DPDD-outdoor": 39,
        **dict.fromkeys(("SOTS-indoor", "SOTS-outdoor"), 500),
        **dict.fromkeys(("RealSR-x2", "RealSR-x3", "RealSR-x4"), 0),  # not known: three versions are about
    }
)


def task(name: str) -> Task:
    """Return the row `name`; raises `UnknownName` with suggestions."""
    return lookup("task", name, TASKS)


def add_task(row: Task) -> None:
    """Add a task from outside, until `withdraw_task`; ValueError where its name is taken."""
    if row.name in _TABLE:
        raise ValueError(f"a task is called {row.name!r} already.")
    _TABLE[row.name] = row


def withdraw_task(name: str) -> None:
    """Take away a task that was added."""
    del _TABLE[name]

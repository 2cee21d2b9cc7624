"""Recipe: what a row of suite.study.recipes says about training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HALF_TO_END = (0.5, 0.8, 0.9, 0.95)  # 250, 400, 450 and 475 thousand of 500
Loss = Literal["l1", "charbonnier", "l1+fft", "l1+perceptual+gan"]  # suite.training.losses says what they are


@dataclass(frozen=True)
class Stage:
    """A stretch of a progressive recipe: `part` of all iterations on patches of `patch` high-quality pixels, `batch` of them."""

    part: float
    patch: int
    batch: int


@dataclass(frozen=True)
class RecipeStart:
    """The run whose weights a recipe begins with."""

    recipe: str
    model: str = ""  # where it is another network, e.g. that of x2; DESIGN-*: the same network at the scale of that recipe's task
    strict: bool = True  # False: what fits in name and shape is taken


@dataclass(frozen=True)
class Recipe:
    """A row of the table; sizes in pixels of the high-quality image."""

    name: str
    iterations: int
    batch: int
    patch: int
    lr: float
    source: str  # and how it deviates
    loss: Loss = "l1"
    optimiser: Literal["adam", "adamw"] = "adam"
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    milestones: tuple[float, ...] = ()  # at which the learning rate is halved
    periods: tuple[float, ...] = ()  # of a cosine with restarts; then there are no milestones
    floors: tuple[float, ...] = ()  # the learning rate that each period goes down to
    stages: tuple[Stage, ...] = ()  # progressive training; empty: `patch` and `batch` throughout
    ema_decay: float = 0.0
    clip_norm: float = 0.0
    mixup: float = 0.0  # both parameters of the Beta distribution of the mixing share, in half of the batches; 0 = none
    rotate: bool = True  # 8 symmetries of the square; False: horizontal flips alone
    discriminator_lr: float = 0.0
    start: RecipeStart | None = None
    validation: str = ""  # set that the authors choose by; ours is never a test set
    defect: str = ""  # of the released options; or what is uncertain in them

    @property
    def task(self) -> str:
        """The task that the row trains for."""
        return self.name.partition("/")[0]

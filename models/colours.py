"""The way of an image's colours through a network: what is set so that untrained weights interpolate (suite.training.interpolation)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn


@dataclass(frozen=True)
class ColourPath:
    """The layers that colours pass between a network's input and its output, in order, and what is added to them on the way.

    A convolution of `enlarging` is followed by a pixel shuffle of its factor, and so is `last` where its factor is above 1.
    """

    last: nn.Conv2d
    last_factor: int = 1
    adds: Literal["nothing", "input", "nearest"] = "nothing"  # to the output; "nearest" is the input, enlarged by nearest neighbour
    first: nn.Conv2d | None = None  # None where the output has the input added: no colour need pass
    silenced: tuple[nn.Module, ...] = ()  # layers whose outputs are added to features on the way
    place: int = 0  # of the colours, among the channels that `before` or `enlarging` is given
    before: nn.Conv2d | None = None  # a convolution of the same size, behind which stands LeakyReLU of `slope`
    slope: float = 1.0
    enlarging: tuple[tuple[nn.Conv2d, int], ...] = ()

"""A start that no paper has: untrained weights, set so that the network begins as an interpolation, or as the identity at scale 1.

Short trainings spend most of their steps on learning to pass an image on, and end below bicubic interpolation. Here the first features
carry the colours and their negatives (a LeakyReLU bends one as it does not bend the other, and their difference is linear), what the blocks
add to them begins at zero, each pixel shuffle enlarges along each axis by the parabola through three pixels, or by straight lines where the
inputs are noisy, and the last convolution puts the colours together. All other weights of these convolutions begin at a tenth of their
usual size. At scale 1 the last convolution begins at zero, since its output is added to the input. Which layers those are a network says
itself (`colour_path`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.base import RestorationNet
from models.colours import ColourPath
from suite.core.errors import SuiteError

OTHERS = 0.1  # of the size of other weights
SIGNS = (1.0, -1.0)


@torch.no_grad()
def begin_as_interpolation(network: RestorationNet, *, noisy: bool = False) -> None:
    """Set the weights of `network`, which are drawn, so that it interpolates; SuiteError where its features are too few.

    With `noisy` inputs by straight lines, which average noise where a parabola through three pixels sharpens it.
    """
    if type(network).colour_path is RestorationNet.colour_path:
        raise SuiteError(
            f"{type(network).__name__} defines no colour_path(), so it cannot begin as an interpolation, as networks do at this budget. "
            "Define it: `return ColourPath(self.last)` (models.colours) where the input is enlarged and added to what the convolution "
            "self.last gives. Or --set first_weights=drawn, for all networks that are compared."
        )
    path, colours = network.colour_path(), network.channels
    through = _line if noisy else _parabola
    if path.first is None:
        _set_zero(path.last)
        return
    _check_width(path, colours)
    for layer in path.silenced:
        _set_zero(layer)
    enlarging = [conv for conv, _ in path.enlarging]
    for conv in (path.first, *filter(None, (path.before,)), *enlarging, path.last):
        conv.weight.mul_(OTHERS)
        if conv.bias is not None:
            conv.bias.mul_(OTHERS)
    carried, place = len(SIGNS) * colours, path.place
    for row in range(carried):
        _set_row(path.first, row, {row % colours: SIGNS[row // colours] * _taps(1)})
    if path.before is not None:
        for row in range(carried):
            _set_row(path.before, row, {place + row: _taps(1)})
        place = 0
    for conv, factor in path.enlarging:
        for row in range(carried):
            copied = path.adds == "nearest" and row >= colours  # the negatives take away what is added to the output
            for phase in range(factor**2):
                _set_row(conv, row * factor**2 + phase, {place + row: _taps(1) if copied else _taps(factor, phase, through)})
        place = 0
    share = 1.0 if path.adds == "nearest" else 1 / (1 + path.slope)
    second = share if path.adds == "nearest" else -share
    path.last.weight[:, place : place + carried] = 0.0
    for row in range(path.last.out_channels):
        colour, phase = divmod(row, path.last_factor**2)
        taps = _taps(path.last_factor, phase, through)
        _set_row(path.last, row, {place + colour: share * taps, place + colours + colour: second * taps}, alone=False)


def _check_width(path: ColourPath, colours: int) -> None:
    """Raise SuiteError where a layer has fewer features than the colours and their negatives."""
    needed = len(SIGNS) * colours
    widths = [path.first.out_channels, *(conv.out_channels // factor**2 for conv, factor in path.enlarging), path.last.in_channels]
    widths += [path.before.out_channels] if path.before is not None else []
    if min(widths) < needed:
        raise SuiteError(
            f"a network of {min(widths)} features cannot begin as an interpolation: colours and their negatives need {needed}. "
            "Choose a greater width, or --set first_weights=drawn."
        )


def _set_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.zero_()


def _set_row(conv: nn.Conv2d, row: int, taps: dict[int, Tensor], *, alone: bool = True) -> None:
    """Set the 3 x 3 kernels of one output channel by input channel; with `alone` all its others to zero."""
    if alone:
        conv.weight[row].zero_()
    for channel, kernel in taps.items():
        conv.weight[row, channel] = kernel
    if conv.bias is not None:
        conv.bias[row] = 0.0


def _parabola(t: float) -> Tensor:
    """Return the weights of the pixels at -1, 0 and 1 in the parabola through them, at `t` (-0.5 to 0.5)."""
    return torch.tensor([t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2])


def _line(t: float) -> Tensor:
    """Return the weights of the pixels at -1, 0 and 1 on the line through the two that are nearest, at `t` (-0.5 to 0.5)."""
    return torch.tensor([max(-t, 0.0), 1 - abs(t), max(t, 0.0)])


def _taps(factor: int, phase: int = 0, through: Callable[[float], Tensor] = _parabola) -> Tensor:
    """Return the 3 x 3 kernel of one of the `factor`^2 pixels that a pixel becomes, by rows: of factor 1 the pixel itself."""
    return torch.outer(*(through((at + 0.5) / factor - 0.5) for at in divmod(phase, factor)))

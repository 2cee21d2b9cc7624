"""How many operations a training and an evaluation take, from what suite.measure.costs.count counted of the networks at full size.

The counts are kept in results/operations.json, for counting takes seconds a network; `python -m suite.runner.operations` writes it, and
tests/runner/test_operations.py holds it. A network that is not in the file is counted.

Counted are the products and the scans. A training step is taken as three forward passes: the backward pass has two products for each one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache

import models
from suite.core.files import replacing
from suite.core.paths import own_folder, shipped_folder
from suite.records.spec import RunSpec
from suite.study.outside.plugins import digest_of

FILE = "operations.json"  # in results/
DISCRIMINATOR, FEATURES = "discriminator", "VGG19's features"  # of a GAN recipe, on images of full size
STEP = 3.0  # forward passes that a training step costs
# Of a step of a GAN recipe. The discriminator judges real and false ones to learn (two steps), and once for the generator, whose gradient
# passes through it; the features are of the target without a gradient, and of the output with that of the input.
DISCRIMINATOR_PASSES, FEATURE_PASSES = 2 * STEP + 2.0, 3.0


@dataclass(frozen=True)
class NetworkCount:
    """What was counted of a network: parameters, and operations on two images of so many pixels, which give those on any."""

    parameters: int
    multiple: int  # of the sides, to which the network pads
    pixels: tuple[int, int]
    operations: tuple[float, float]

    def at(self, height: int, width: int) -> float:
        """Return the operations of one forward pass over an image, which is padded."""
        height, width = (-(-side // self.multiple) * self.multiple for side in (height, width))
        return self.of_pixels(height * width)

    def of_pixels(self, number: int) -> float:
        """Return the operations of one forward pass over an image of so many pixels that needs no padding."""
        (first, second), (few, many) = self.pixels, self.operations
        return few + (many - few) / (second - first) * (number - first)


def count_network(name: str) -> NetworkCount:
    """Count a network of the catalogue, or what a GAN recipe trains against; loads torch."""
    from suite.measure.costs.count import Subject, count_model, count_subject

    if name == DISCRIMINATOR:
        from models.parts.discriminator import SIZE_MULTIPLE, Discriminator

        found = count_subject(Subject(Discriminator(), 3, SIZE_MULTIPLE))
    elif name == FEATURES:
        from torchvision.models import vgg19

        from suite.training.losses import VGG19_LAYERS

        found = count_subject(Subject(vgg19(weights=None).features[: VGG19_LAYERS[-1][0] + 1], 3, 16))
    else:
        found = count_model(name)
    sizes, counts = zip(*found.small, strict=True)
    pixels = tuple(height * width for height, width in sizes)
    return NetworkCount(found.params, found.multiple, pixels, tuple(one.flops for one in counts))


@cache
def _kept() -> Mapping[str, NetworkCount]:
    path = shipped_folder("results") / FILE
    if not path.is_file():
        return {}
    held = json.loads(path.read_text(encoding="utf-8"))
    return {name: NetworkCount(**{key: tuple(v) if isinstance(v, list) else v for key, v in one.items()}) for name, one in held.items()}


def get_count(name: str) -> NetworkCount:
    """Return what was counted of a network, from the file or by counting it now."""
    return _get_once(name, digest_of(name))


@cache
def _get_once(name: str, _code: str) -> NetworkCount:
    return _kept().get(name) or count_network(name)


def training_operations(spec: RunSpec) -> float:
    """Return the operations of a training of the published network: every stage at its patch and batch, the last one to the end."""
    count, scale = get_count(spec.model), models.card(spec.model).scale
    *stages, last = spec.stages or ((spec.iterations, spec.patch, spec.batch),)
    left, total = spec.iterations, 0.0
    for iterations, patch, batch in (*stages, (spec.iterations, *last[1:])):
        steps = min(iterations, left)
        each = STEP * count.at(patch // scale, patch // scale)
        if spec.discriminator_lr:
            each += DISCRIMINATOR_PASSES * get_count(DISCRIMINATOR).at(patch, patch) + FEATURE_PASSES * get_count(FEATURES).at(patch, patch)
        total += each * batch * steps
        left -= steps
    return total


def write_counts() -> None:
    """Count every network of the grids, and write the file."""
    from suite.study.grids import GRIDS

    names = dict.fromkeys(pairing.model for grid in GRIDS.values() for pairing in grid.pairings)
    found = {name: asdict(count_network(name)) for name in (*names, DISCRIMINATOR, FEATURES)}
    with replacing(own_folder("results") / FILE) as file:
        file.write((json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    write_counts()

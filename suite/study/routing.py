"""WAYS: by what MambaIRv2's router is replaced in given weights, at inference alone, to see what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.designs.mambairv2 import Routing

RELEASED = "released"


@dataclass(frozen=True)
class Way:
    """A row of the table: a routing of models.networks.mambairv2.ROUTINGS, and whether the tokens' prompts are added."""

    name: str
    routing: Routing
    label: str
    prompt: bool = True
    drawn: bool = True  # at random: measured with several seeds


WAYS: Mapping[str, Way] = MappingProxyType(
    {
        row.name: row
        for row in (
            Way(RELEASED, "sampled", "as released: tokens drawn by the router's probabilities, pixels sorted by them"),
            Way("deterministic", "argmax", "the most likely token, ties in the order of the image", drawn=False),
            Way("uniform", "uniform", "tokens drawn uniformly, whatever the router says"),
            Way("permuted", "permuted", "tokens drawn as released, pixels in a random order"),
            Way("raster", "raster", "tokens drawn as released, pixels in the order of the image"),
            Way("no-prompt", "sampled", "sorted as released, no prompt added", prompt=False),
            Way(
                "no-router",
                "raster",
                "pixels in the order of the image, no prompt added: the router does nothing",
                prompt=False,
                drawn=False,
            ),
        )
    }
)

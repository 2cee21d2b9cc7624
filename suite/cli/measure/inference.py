"""The options that say how a network is run on an image: tiles, self-ensemble, what it draws, backend, device."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from suite.cli import common
from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from suite.measure.quality.evaluate import Inference

TILES = ("whole", "authors", "feathered")  # of suite.measure.inference.tiling, which is not loaded for the help
ROUTINGS = ("released", "deterministic")
SYMMETRIES = 8


def add_inference(how: argparse._ActionsContainer) -> None:
    """Add how a model is run on an image: tiles, self-ensemble, backend, device."""
    how.add_argument(
        "--tile",
        choices=TILES,
        default="whole",
        help="whole image at once; like MambaIR's authors, in equal parts with 10 %% overlap, cut off; or blended (default: %(default)s)",
    )
    how.add_argument(
        "--tile-size", type=int, metavar="N", help="tile in pixels of the low-quality image (default: 200 for authors, 256 for feathered)"
    )
    how.add_argument(
        "--self-ensemble", type=int, choices=(SYMMETRIES,), help="average over the 8 symmetries of the image; the result is marked +"
    )
    how.add_argument(
        "--routing",
        choices=ROUTINGS,
        default=ROUTINGS[0],
        help="of a network that sorts pixels by tokens: drawn at random, as released, or the most likely ones (default: %(default)s)",
    )
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of networks that draw at random where they restore (default: 0)")
    common.add_shared(how, "--backend", "--kernel-revision", "--device")


def choose_inference(options: argparse.Namespace) -> tuple[Inference, str]:
    """Return the Inference that the options of `add_inference` describe, and why it has its scan backend."""
    from suite.core import machine
    from suite.measure.quality import evaluate

    if options.model in evaluate.SIMPLE_RESTORERS:  # no network, no scan
        device, backend, reason = "cpu", "none", f"{options.model} scans nothing"
    else:
        device = common.resolve_device(options)
        if device == "cuda" and not machine.list_gpus():
            raise SuiteError("--device cuda: this machine has no GPU that torch can use. Choose --device cpu.", exit=Exit.NOT_READY)
        backend, reason = common.choose_backend(options.backend, device)
    if options.tile_size is not None and options.tile == "whole":
        raise SuiteError(f"--tile-size {options.tile_size} is for --tile authors or --tile feathered.")
    if options.key and options.weights is None:
        raise SuiteError(f"--key {options.key} says which weights of a file: give --weights FILE, too.")
    ensemble = options.self_ensemble is not None
    return evaluate.Inference(options.tile, options.tile_size, ensemble, backend, device, options.seed, options.routing), reason

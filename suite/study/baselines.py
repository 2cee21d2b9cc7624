"""BASELINES: networks that the papers' tables print and spandrel ships, with published hyper-parameters. Their cost alone is measured.

Spandrel (MIT) holds the architectures without weights; it is the optional extra `baselines`. A network is named after the paper's label
and the scale. What the tables print and spandrel does not ship is in ABSENT, with the reason.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from suite.core.errors import Exit, SuiteError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Baseline:
    """One row of the table. Sides are padded to `multiple` pixels by the network itself; `rows` are (table, row) of results/published."""

    name: str
    label: str  # as the tables print it
    architecture: str  # a module below spandrel.architectures, and the class in it, with a colon between
    options: Mapping[str, object]  # of its constructor
    task: str  # a name of suite.study.tasks
    scale: int
    multiple: int
    source: str  # of the hyper-parameters
    rows: tuple[tuple[str, str], ...] = ()
    channels: int = field(default=3)  # of its input


SWINIR = MappingProxyType({"img_size": 64, "window_size": 8, "mlp_ratio": 2.0, "img_range": 1.0, "resi_connection": "1conv"})
DEEP = MappingProxyType({"embed_dim": 180, "depths": [6] * 6, "num_heads": [6] * 6})
SWINIR_PAPER, RCAN_PAPER = "SwinIR, arXiv 2108.10257, section 4.1", "RCAN, arXiv 1807.02758, section 4.1"


def _swinir(scale: int) -> Baseline:
    options = {**SWINIR, **DEEP, "upscale": scale, "upsampler": "pixelshuffle"}
    return Baseline(
        f"swinir-x{scale}", "SwinIR", "SwinIR:SwinIR", options, f"sr-x{scale}", scale, 8, SWINIR_PAPER, (("mambair-3", f"swinir-x{scale}"),)
    )


def _swinir_light(scale: int) -> Baseline:
    name = f"swinir-light-x{scale}"
    options = {**SWINIR, "embed_dim": 60, "depths": [6] * 4, "num_heads": [6] * 4, "upscale": scale, "upsampler": "pixelshuffledirect"}
    rows = tuple((table, name) for table in ("mambair-4", "mambair-4-eccv", "mambairv2-3"))
    return Baseline(name, "SwinIR-light", "SwinIR:SwinIR", options, f"light-sr-x{scale}", scale, 8, SWINIR_PAPER, rows)


def _rcan(scale: int) -> Baseline:
    options = {"scale": scale, "n_resgroups": 10, "n_resblocks": 20, "n_feats": 64, "reduction": 16}
    return Baseline(
        f"rcan-x{scale}", "RCAN", "RCAN:RCAN", options, f"sr-x{scale}", scale, 1, RCAN_PAPER, (("mambair-3", f"rcan-x{scale}"),)
    )


def _hat(scale: int) -> Baseline:
    options = {**DEEP, "window_size": 16, "mlp_ratio": 2.0, "overlap_ratio": 0.5, "upscale": scale, "upsampler": "pixelshuffle"}
    return Baseline(f"hat-x{scale}", "HAT", "HAT:HAT", options, f"sr-x{scale}", scale, 16, "HAT, arXiv 2205.04437, section 4.1")


BASELINES: Mapping[str, Baseline] = MappingProxyType(
    {
        row.name: row
        for row in (
            Baseline(
                "esrgan",
                "ESRGAN, BSRGAN, Real-ESRGAN",
                "ESRGAN.__arch.RRDB:RRDBNet",
                MappingProxyType({"in_nc": 3, "out_nc": 3, "num_filters": 64, "num_blocks": 23, "scale": 4}),
                "real-sr-x4",
                4,
                1,
                "ESRGAN, arXiv 1809.00219, section 4.1: 23 RRDBs of 64 features; BSRGAN and Real-ESRGAN take it as it is at x4",
                (("vmambair-2", "esrgan"), ("vmambair-2", "bsrgan"), ("vmambair-2", "real-esrgan")),
            ),
            Baseline(
                "swinir-realsr-x4",
                "SwinIR",
                "SwinIR:SwinIR",
                MappingProxyType({**SWINIR, **DEEP, "upscale": 4, "upsampler": "nearest+conv"}),
                "real-sr-x4",
                4,
                8,
                "the authors' real-world SR network of middle size: SwinIR with interpolation and convolutions for a tail",
                (("vmambair-2", "swinir"),),
            ),
            Baseline(
                "mm-realsr",
                "MM-RealSR",
                "MMRealSR.__arch.mmrealsr_arch:MMRRDBNet_test",
                MappingProxyType(
                    {"num_in_ch": 3, "num_out_ch": 3, "num_feats": [64, 64, 64, 128], "num_blocks": [2] * 4, "downscales": [1, 1, 2, 1]}
                ),
                "real-sr-x4",
                4,
                4,
                "23 RRDBs; the widths of the degradation network are those that give the printed parameters",
                (("vmambair-2", "mm-realsr"),),
            ),
            *map(_swinir_light, (2, 3, 4)),
            *map(_swinir, (2, 3, 4)),
            *map(_rcan, (2, 3, 4)),
            *map(_hat, (2, 3, 4)),
            Baseline(
                "swinir-denoise",
                "SwinIR",
                "SwinIR:SwinIR",
                MappingProxyType({**SWINIR, **DEEP, "upscale": 1, "upsampler": ""}),
                "denoise-25",
                1,
                8,
                SWINIR_PAPER,
                (("mambair-5", "swinir"),),
            ),
            Baseline(
                "drunet",
                "DRUNet",
                "DRUNet:DRUNet",
                MappingProxyType({"in_nc": 4, "out_nc": 3}),
                "denoise-25",
                1,
                8,
                "DRUNet, arXiv 2008.13751, section 3: widths 64 to 512, 4 blocks a level, the noise level as a fourth channel",
                (("mambair-5", "drunet"),),
                channels=4,
            ),
            Baseline(
                "dncnn",
                "DnCNN",
                "DnCNN:DnCNN",
                MappingProxyType({"in_nc": 3, "out_nc": 3, "nc": 64, "nb": 20, "act_mode": "R"}),
                "denoise-25",
                1,
                1,
                "DnCNN, arXiv 1608.03981, section 4.2: 20 layers for colour; norms merged into convolutions",
                (("mambair-5", "dncnn"),),
            ),
        )
    }
)

NOT_SHIPPED = "spandrel does not ship it"
NOT_FREE = "spandrel ships it in a package of its own, spandrel-extra-arches, for architectures whose licences are not permissive"
ABSENT: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        ("EDSR", "SAN", "HAN", "IGNN", "CSNLN", "NLSA", "ELAN", "ELAN-light", "CARN", "IMDN", "LAPAR-A", "LatticeNet"), NOT_SHIPPED
    )
    | dict.fromkeys(("SRFormer", "SRFormer-light", "Restormer", "MPRNet"), NOT_FREE)
    | {
        "IPT": "it takes patches of 48x48 alone, so a cost at a size of one's choice is not defined",
        "Uformer": "it takes square images alone, so a cost at a size of one's choice is not defined",
        "OmniSR": "it is in none of the tables, and its pooling with strides makes its cost no straight line in the pixels",
    }
)


def create_network(name: str) -> nn.Module:
    """Return the baseline `name`, freshly initialised; SuiteError where spandrel is not installed."""
    row = BASELINES[name]
    module, _, kind = row.architecture.partition(":")
    try:
        found = importlib.import_module(f"spandrel.architectures.{module}")
    except ModuleNotFoundError as error:
        raise SuiteError(
            f"{name} is an architecture of spandrel, and {error.name} is not installed. `pip install -e '.[baselines]'` brings it.",
            exit=Exit.NOT_READY,
        ) from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.meshgrid")  # of the window attentions' position tables
        return getattr(found, kind)(**row.options)

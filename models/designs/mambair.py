"""MambaIR (arXiv 2402.15648): its configurations, the networks and ablations of its paper, and its authors' names."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, Self

from models.design import OWN, AblationTable, Config, Design, Groups, ModelCard, OfficialClass, Rules, Runs, UNet
from models.designs.names import RESIDUAL, RSSB, UNET, last_of
from models.keywords import Keywords

PAPER = "arXiv 2402.15648"
_TABLE1, _TABLE2 = f"{PAPER}, table 1", f"{PAPER}, table 2"
Local = Literal["conv+ca", "ca", "none", "mlp"]
Bottleneck = Literal["classic", "compress6", "depthwise", "dilated"]


@dataclass(frozen=True)
class MambaIRConfig(Groups):
    """MambaIR (arXiv 2402.15648): residual groups of residual state-space blocks (RSSB)."""

    scale: int
    depths: tuple[int, ...]  # blocks per residual group
    dim: int
    upsampler: Literal["pixelshuffle", "pixelshuffledirect", "residual"]
    d_state: int = 16
    expand: float = 2.0
    directions: Literal[1, 2, 4] = 4
    local: Local = "conv+ca"  # what follows the scan in a block
    bottleneck: Bottleneck = "classic"  # shape of the convolutions in `local`
    drop_path: float = 0.1  # stochastic depth of the last block, rising linearly from 0
    channels: int = 3
    paths: str | None = None  # None: the directions above, by the fused scan; else a name of models.scan.paths.PATHS
    merge: Literal["sum", "groups", "gated"] = "sum"  # of what the paths give

    def narrowed(self, width: int, depth_divisor: int) -> Self:
        """Return the same design, smaller; a scan in groups is widened to a multiple of four channels, a group a path."""
        found = super().narrowed(width, depth_divisor)
        if self.merge != "groups":
            return found
        channels = -(-int(found.expand * width) // 4) * 4
        return replace(found, expand=math.nextafter(channels / width, math.inf))  # so that times width it is no less


@dataclass(frozen=True)
class MambaIRUNetConfig(UNet):
    """MambaIR's network for real denoising: the blocks of MambaIR in a four-level U-Net."""

    blocks: tuple[int, int, int, int]
    refinement: int
    dim: int = 48
    d_state: int = 16
    expand: float = 1.5
    directions: Literal[1, 2, 4] = 4
    local: Local = "conv+ca"
    bottleneck: Bottleneck = "classic"
    drop_path: float = 0.0
    scale: int = 1
    channels: int = 3
    paths: str | None = None  # None: the directions above, by the fused scan; else a name of models.scan.paths.PATHS
    merge: Literal["sum", "groups", "gated"] = "sum"  # of what the paths give


def _classic(scale: int) -> MambaIRConfig:
    return MambaIRConfig(scale=scale, depths=(6,) * 6, dim=180, upsampler="pixelshuffle")


def _light(scale: int) -> MambaIRConfig:
    return MambaIRConfig(scale=scale, depths=(6,) * 4, dim=60, upsampler="pixelshuffledirect", d_state=10, expand=1.2, bottleneck="dilated")


def _same_size(channels: int) -> MambaIRConfig:
    return MambaIRConfig(scale=1, depths=(6,) * 6, dim=180, upsampler="residual", expand=1.2, channels=channels)


SR_X2 = ModelCard("mambair-sr-x2", _classic(2), "sr-x2", f"{PAPER}, tables 1, 2 and 3", params=20_421_863)
LIGHT_X2 = ModelCard("mambair-light-x2", _light(2), "light-sr-x2", f"{PAPER}, table 4", params=905_016)

NETWORKS = (
    SR_X2,
    ModelCard("mambair-sr-x3", _classic(3), "sr-x3", f"{PAPER}, table 3", params=20_606_503),
    ModelCard("mambair-sr-x4", _classic(4), "sr-x4", f"{PAPER}, table 3", params=20_569_575),
    LIGHT_X2,
    ModelCard("mambair-light-x3", _light(3), "light-sr-x3", f"{PAPER}, table 4", params=913_131),
    ModelCard("mambair-light-x4", _light(4), "light-sr-x4", f"{PAPER}, table 4", params=924_492),
    ModelCard(
        "mambair-light-x2.generation-1",
        replace(_light(2), bottleneck="depthwise", d_state=16),
        "light-sr-x2",
        f"{PAPER}, version 1 of the paper",
        params=933_672,
    ),
    ModelCard(
        "mambair-light-x2.generation-2",
        replace(_light(2), bottleneck="compress6", d_state=16, expand=1.5),
        "light-sr-x2",
        f"{PAPER}, as published at the time of ECCV 2024",
        params=1_363_320,
    ),
    ModelCard(
        "mambair-realsr-x4",
        _classic(4),
        "real-sr-x4",
        f"{PAPER}, section 4.3",
        deviations=("no training configuration is published for real-world SR; the classic x4 network is taken",),
    ),
    ModelCard("mambair-denoise", _same_size(3), "denoise-25", f"{PAPER}, table 5", params=15_777_507),
    ModelCard("mambair-jpeg", _same_size(1), "jpeg-10", f"{PAPER}, supplementary material", params=15_771_025),
    ModelCard(
        "mambair-realdn",
        MambaIRUNetConfig(blocks=(4, 6, 6, 8), refinement=4),
        "real-denoise",
        f"{PAPER}, table 6",
        params=26_779_480,
    ),
)

# What the grid `scan-paths` puts in the place of rows and columns: names of models.scan.paths.PATHS, whose module says what each is.
SCAN_PATHS = MappingProxyType(
    {
        "diagonal": "Diagonals keep other neighbours close than rows and columns do.",
        "zigzag": "A path without jumps between its diagonals forgets less at their ends.",
        "hilbert": "Hilbert's curve keeps what is close in the image close in the sequence.",
        "morton": "Morton's order keeps blocks together, but jumps between them.",
        "stripes-4": "Narrow stripes keep the neighbours above and below close.",
        "stripes-8": "Wider stripes cut fewer neighbours apart, but keep fewer of them close.",
        "stripes-8-shifted": "Stripes that begin elsewhere do as well: it does not matter where their edges lie.",
        "windows-16": "Windows keep a neighbourhood together in the sequence.",
        "windows-32": "Larger windows cut fewer neighbourhoods apart.",
    }
)

ABLATIONS = (
    SR_X2.ablation("no-conv", ("local", "ca"), f"{_TABLE1}, row 1", "Without local convolution, neighbouring pixels are forgotten."),
    SR_X2.ablation(
        "no-conv-no-ca",
        ("local", "none"),
        f"{_TABLE1}, row 2",
        "A plain state-space block, without convolution and channel attention, is suboptimal.",
    ),
    SR_X2.ablation(
        "mlp",
        ("local", "mlp"),
        f"{_TABLE1}, row 3",
        "The transformer's MLP does not replace convolution and channel attention.",
        note="the paper gives no MLP ratio; 2 is taken",
    ),
    SR_X2.ablation("one-direction", ("directions", 1), f"{_TABLE2}, row 1", "One direction sees too few neighbours."),
    SR_X2.ablation("two-direction", ("directions", 2), f"{_TABLE2}, row 2", "Two directions see fewer neighbours than four."),
    *(LIGHT_X2.ablation(path, ("paths", path), f"{OWN}: scan paths", text) for path, text in SCAN_PATHS.items()),
    LIGHT_X2.ablation(
        "groups",
        ("merge", "groups"),
        f"{OWN}: merges of scan paths",
        "A path for each quarter of the channels does as well as all channels along every path.",
        note="a narrowed network's scan is widened to a multiple of four channels, one group a path",
    ),
    LIGHT_X2.ablation(
        "gated", ("merge", "gated"), f"{OWN}: merges of scan paths", "A gate for each path and channel merges better than a sum."
    ),
)

DENOISING = ("denoise-15", "denoise-25", "denoise-50")
# Light networks stay among themselves, and a network of one channel on grey images; mambair-realsr-x4 stands in the paper's figure 6
# alone, without a number.
RUNS = (
    Runs("mambair-sr-x2", ("sr-x2",)),
    Runs("mambair-sr-x3", ("sr-x3",)),
    Runs("mambair-sr-x4", ("sr-x4",), ("gan-sr-x4", "real-sr-x4")),
    Runs("mambair-light-x2", ("light-sr-x2",)),
    Runs("mambair-light-x2.generation-1", ("light-sr-x2",)),
    Runs("mambair-light-x2.generation-2", ("light-sr-x2",)),
    Runs("mambair-light-x3", ("light-sr-x3",)),
    Runs("mambair-light-x4", ("light-sr-x4",)),
    Runs("mambair-realsr-x4", (), ("real-sr-x4",)),
    Runs("mambair-denoise", DENOISING, ("derain", "real-denoise")),
    Runs("mambair-jpeg", ("jpeg-10", "jpeg-30", "jpeg-40"), ("jpeg-20",)),
    Runs("mambair-realdn", ("real-denoise",), ("derain", *DENOISING)),
)


def configure(keywords: Keywords) -> MambaIRConfig:
    """Return the configuration of the class MambaIR with these keywords."""
    upsampler = keywords.take("upsampler", "") or "residual"
    keywords.fix(patch_size=1, drop_rate=0.0, patch_norm=True, img_range=1.0, resi_connection="1conv")
    keywords.ignore("img_size", "use_checkpoint", "window_size", "interval", "num_heads", "drop_path_rate")
    return MambaIRConfig(
        scale=keywords.take("upscale", 2),
        depths=tuple(keywords.take("depths", (6, 6, 6, 6))),
        dim=keywords.take("embed_dim", 96),
        upsampler=upsampler,
        d_state=keywords.take("d_state", 16),
        expand=keywords.take("mlp_ratio", 2.0),
        bottleneck="dilated" if upsampler == "pixelshuffledirect" else "classic",
        channels=keywords.take("in_chans", 3),
    )


def configure_unet(keywords: Keywords) -> MambaIRUNetConfig:
    """Return the configuration of the class MambaIRUNet with these keywords."""
    found = MambaIRUNetConfig(
        dim=keywords.take("dim", 48),
        blocks=tuple(keywords.take("num_blocks")),
        refinement=keywords.take("num_refinement_blocks"),
        expand=keywords.take("mlp_ratio", 2.0),
    )
    keywords.fix(inp_channels=3, out_channels=3, bias=False, dual_pixel_task=False, drop_path_rate=0.0)
    keywords.ignore("heads", "window_size", "interval", "img_size")
    return found


OFFICIAL = (
    OfficialClass("MambaIR", "MambaIR: classic and light SR, denoising, JPEG", configure),
    OfficialClass("MambaIRUNet", "MambaIR, real denoising", configure_unet),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    attention = 5 if config.bottleneck == "dilated" else 3  # its place behind the convolutions of the bottleneck
    gates = tuple(
        (rf"\.local\.attention\.{ours}\.", f".conv_blk.cab.{attention}.attention.{place}.") for ours, place in (("down", 1), ("up", 3))
    )
    if isinstance(config, MambaIRUNetConfig):
        return (*UNET, (r"\.block\.", "."), *RSSB, *gates, (r"^last\.", "output."))
    return (*RESIDUAL, *RSSB, *gates, last_of(config.upsampler))


DESIGN = Design(
    name="MambaIR",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({MambaIRConfig: "models.networks.mambair:MambaIR", MambaIRUNetConfig: "models.networks.mambair:MambaIRUNet"}),
    runs=RUNS,
    tables=(
        AblationTable("mambair-tables-1-2", "MambaIR's ablations on classic x2 super-resolution", "mambair-sr-x2"),
        AblationTable("scan-paths", "scan paths at equal cost, then merges of paths, in MambaIR's light network", LIGHT_X2.name),
    ),
    official=OFFICIAL,
    rules=rules,
)

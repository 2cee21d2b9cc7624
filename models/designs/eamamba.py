"""EAMamba (arXiv 2506.22246): its configurations, the networks of its paper, ablations, and its authors' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, Groups, ModelCard, OfficialClass, Rules, Runs, UNet
from models.designs.names import S6, UNET
from models.keywords import Keywords, OfficialMismatch

PAPER = "arXiv 2506.22246"
Order = Literal["raster", "diagonal", "zigzag", "hilbert", "morton", "all-around"]  # all-around: diagonal, then raster; 8 paths
Merge = Literal["groups", "sum"]
FeedForward = Literal["simple", "gated", "plain", "attention"]


@dataclass(frozen=True)
class EAMambaConfig(UNet):
    """EAMamba: a U-Net whose scans go along eight paths, one for each eighth of the channels."""

    blocks: tuple[int, int, int, int]
    refinement: int
    dim: int = 64
    d_state: int = 16
    expand: float = 1.0
    order: Order = "all-around"
    paths: Literal[2, 4, 8] = 8
    merge: Merge = "groups"
    feed_forward: FeedForward = "simple"
    ratio: float = 2.0  # of the feed-forward's width
    norm: Literal["with-bias", "bias-free"] = "with-bias"
    scale: int = 1
    channels: int = 3


@dataclass(frozen=True)
class EAMambaSRConfig(Groups):
    """EAMamba's network for super-resolution: the same blocks in groups with skip connections."""

    scale: int
    depths: tuple[int, ...]
    dim: int = 64
    d_state: int = 10
    expand: float = 1.0
    order: Order = "all-around"
    paths: Literal[2, 4, 8] = 8
    merge: Merge = "groups"
    feed_forward: FeedForward = "simple"
    ratio: float = 1.0
    norm: Literal["with-bias", "bias-free"] = "with-bias"
    channels: int = 3


UNET_64 = EAMambaConfig(blocks=(4, 6, 6, 7), refinement=2)
_UNET = (
    ("eamamba-denoise", "denoise-25", "colour denoising"),
    ("eamamba-realdn", "real-denoise", "real denoising"),
    ("eamamba-deblur", "motion-deblur", "motion deblurring"),
    ("eamamba-dehaze", "dehaze-outdoor", "dehazing"),
    ("eamamba-defocus", "defocus-deblur", "defocus deblurring, single image"),
    ("eamamba-realsr", "real-sr-same-size", "real-world super-resolution of enlarged images"),
)
NETWORKS = (
    *(ModelCard(name, UNET_64, task, f"{PAPER}, {row}", params=25_320_512) for name, task, row in _UNET),
    *(
        ModelCard(
            f"eamamba-light-x{scale}",
            EAMambaSRConfig(scale, (4,) * 4),
            f"light-sr-x{scale}",
            f"{PAPER}, option files of light super-resolution; no published table",
            params=params,
        )
        for scale, params in zip((2, 3, 4), (725_056, 909_696, 872_768), strict=True)
    ),
)

DENOISE = NETWORKS[0]
ABLATIONS = (
    DENOISE.ablation(
        "raster-sum",
        ("merge", "sum"),
        f"{PAPER}, ablation of the multi-head scan: 2DSSM",
        "Scanning all channels along every path costs more than a path for each group of channels, and gains little.",
        matched=(("order", "raster"), ("paths", 4)),
    ),
    DENOISE.ablation(
        "raster",
        ("order", "raster"),
        f"{PAPER}, ablation of the all-around scan: MHSSM",
        "Rows and columns alone leave diagonal neighbours apart.",
        matched=(("paths", 4),),
    ),
    DENOISE.ablation(
        "raster-2",
        ("paths", 2),
        f"{PAPER}, number of scans",
        "Two paths see less around a pixel than four; each has twice the channels.",
        matched=(("order", "raster"),),
    ),
    DENOISE.ablation(
        "zigzag",
        ("order", "zigzag"),
        f"{PAPER}, scan types",
        "A path that turns at the border keeps the end of a row by the beginning of the next.",
        matched=(("paths", 4),),
    ),
    DENOISE.ablation(
        "diagonal",
        ("order", "diagonal"),
        f"{PAPER}, scan types",
        "Diagonals alone part neighbours in a row.",
        matched=(("paths", 4),),
    ),
    DENOISE.ablation(
        "hilbert",
        ("order", "hilbert"),
        f"{PAPER}, scan types",
        "A curve that fills the plane keeps neighbours closer than rows do.",
        matched=(("paths", 4),),
    ),
    DENOISE.ablation(
        "morton",
        ("order", "morton"),
        f"{PAPER}, scan types: Z-order",
        "Blocks within blocks keep neighbours closer than rows do.",
        matched=(("paths", 4),),
        note="the released z-order is none: its codes collide and an unstable sort decides; this is Morton's",
    ),
)

_TASKS: Mapping[str, tuple[str, ...]] = {
    "eamamba-denoise": ("denoise-15", "denoise-25", "denoise-50"),
    "eamamba-dehaze": ("dehaze-indoor", "dehaze-outdoor"),
}
RUNS = tuple(
    Runs(card.name, (), (card.task,)) if card.scale > 1 else Runs(card.name, _TASKS.get(card.name, (card.task,))) for card in NETWORKS
)

_ORDERS: Mapping[tuple[str | None, int], Order] = {
    **{(kind, count): "raster" for kind in (None, "none") for count in (2, 4)},
    **{(kind, count): kind for kind in ("diagonal", "zigzag", "hilbert") for count in (2, 4)},
    ("diagonal", 8): "all-around",
}
_FEED_FORWARDS: Mapping[str, FeedForward] = {"simple": "simple", "gdfn": "gated", "ffn": "plain", "cca": "attention"}


def _shared(keywords: Keywords) -> dict[str, object]:
    """Take what both classes have: the scan's fields stand in `mamba_cfg`."""
    scan = Keywords(f"{keywords.arch}.mamba_cfg", keywords.take("mamba_cfg"))
    scan.fix(disable_z_branch=False, d_conv=3, conv_2d=True)
    kind, count = scan.rest.pop("scan_type", None), scan.take("scan_count", 8)
    if (kind, count) not in _ORDERS:
        known = ", ".join(f"{name} x {number}" for name, number in _ORDERS)
        raise OfficialMismatch(f"{scan.arch}: no scan is called {kind!r} with {count} paths; known: {known}.")
    mixer = str(keywords.take("channel_mixer_type", "Simple")).lower()
    if mixer not in _FEED_FORWARDS:
        raise OfficialMismatch(f"{keywords.arch}: no channel_mixer_type is called {mixer!r}; known: {', '.join(_FEED_FORWARDS)}.")
    found = {
        "dim": keywords.take("dim", 64),
        "d_state": scan.take("d_state", 16),
        "expand": scan.take("expand", 1),
        "order": _ORDERS[kind, count],
        "paths": count,
        "merge": {"concate": "groups", "add": "sum"}[scan.take("scan_merge_method", "concate")],
        "feed_forward": _FEED_FORWARDS[mixer],
        "ratio": keywords.take("ffn_expansion_factor", 2),
        "norm": "bias-free" if keywords.take("layernorm_type", "WithBias") == "BiasFree" else "with-bias",
    }
    scan.finish()
    keywords.fix(inp_channels=3, out_channels=3, bias=False)
    keywords.ignore("checkpoint_percentage", "LayerNorm_type")
    return found


def configure(keywords: Keywords) -> EAMambaConfig:
    """Return the configuration of the class EAMamba with these keywords."""
    keywords.fix(dual_pixel_task=False, upscale=1)
    blocks, refinement = tuple(keywords.take("num_blocks")), keywords.take("num_refinement_blocks")
    return EAMambaConfig(blocks=blocks, refinement=refinement, **_shared(keywords))


def configure_sr(keywords: Keywords) -> EAMambaSRConfig:
    """Return the configuration of the class EAMambaSR with these keywords."""
    return EAMambaSRConfig(scale=keywords.take("upscale", 2), depths=tuple(keywords.take("num_blocks")), **_shared(keywords))


OFFICIAL = (
    OfficialClass("EAMamba", "EAMamba: denoising, deblurring, dehazing, real SR", configure),
    OfficialClass("EAMambaSR", "EAMamba: light SR", configure_sr),
)

_BLOCK = (
    *((rf"\.scan\.planar\.{ours}$", f".mamba.{theirs}") for ours, theirs in S6),
    (r"\.scan\.planar_norm\.", ".mamba.out_norm."),
    (r"\.scan\.depthwise\.", ".mamba.conv."),
    (r"\.scan\.", ".mamba."),
    (r"\.(norm[12])\.", r".\1.body."),
)
_FEED = {
    "attention": (
        (r"\.ffn\.project_in\.", ".ffn.conv1."),
        (r"\.ffn\.depthwise\.", ".ffn.conv2."),
        (r"\.ffn\.down\.", ".ffn.ca.1."),
        (r"\.ffn\.up\.", ".ffn.ca.3."),
        (r"\.ffn\.project_out\.", ".ffn.conv3."),
    ),
    "gated": ((r"\.ffn\.depthwise\.", ".ffn.dwconv."),),
}
_SR_NAMES = (
    (r"^groups\.(\d+)\.blocks\.", r"layers.\1.blocks."),
    (r"^groups\.(\d+)\.conv\.", r"layers.\1.conv."),
    (r"^shallow\.", "conv_first."),
    (r"^last_norm\.", "norm.body."),
    (r"^deep\.", "conv_after_body."),
    (r"^before\.", "conv_before_upsample.0."),
    (r"^upsample\.convs\.0\.", "upsample.0."),
    (r"^upsample\.convs\.1\.", "upsample.2."),
    (r"^last\.", "conv_last."),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    block = (*_BLOCK, *_FEED.get(config.feed_forward, ()))
    return (*block, *_SR_NAMES) if isinstance(config, EAMambaSRConfig) else (*UNET, *block, (r"^last\.", "output."))


DESIGN = Design(
    name="EAMamba",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({EAMambaConfig: "models.networks.eamamba:EAMamba", EAMambaSRConfig: "models.networks.eamamba:EAMambaSR"}),
    runs=RUNS,
    tables=(AblationTable("eamamba-ablations", "EAMamba's ablations on colour denoising", "eamamba-denoise"),),
    official=OFFICIAL,
    rules=rules,
)

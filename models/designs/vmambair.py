"""VmambaIR (arXiv 2403.11423): its configuration, the networks and ablations of its paper, and its authors' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, ModelCard, OfficialClass, Rules, Runs, UNet
from models.designs.names import S6, UNET
from models.keywords import Keywords

PAPER = "arXiv 2403.11423"
_TABLE4 = f"{PAPER}, table 4 and section 5.5"


@dataclass(frozen=True)
class VmambaIRConfig(UNet):
    """VmambaIR (arXiv 2403.11423): a U-Net of omni selective scan (OSS) blocks."""

    scale: int
    blocks: tuple[int, int, int, int]  # per level, from the finest
    refinement: int  # blocks at full resolution after the decoder, on 2 * dim channels
    dim: int = 48
    d_state: int = 16
    ffn_expansion: float = 2.66
    scan: Literal["omni", "planar", "one-way"] = "omni"  # 4 planar + 2 channel directions; 4 planar; 1 planar
    channel_width: int = 1  # features per channel in the channel scan; 1 = the pooled value itself
    channel_fusion: Literal["multiply", "add"] = "multiply"  # y * c + y, or y + c
    ffn: Literal["effn", "none"] = "effn"
    projection: Literal["conv", "linear"] = "conv"  # 1x1 convolutions, or linear layers and reshapes
    channels: int = 3


REAL_SR = ModelCard(
    "vmambair-realsr-x4",
    VmambaIRConfig(scale=4, blocks=(6, 2, 2, 1), refinement=6),
    "real-sr-x4",
    f"{PAPER}, section 5.1, tables 2 and 4",
    params=10_497_813,
)

NETWORKS = (
    ModelCard(
        "vmambair-sisr-x4",
        VmambaIRConfig(scale=4, blocks=(14, 1, 1, 1), refinement=14, channel_width=4),
        "gan-sr-x4",
        f"{PAPER}, section 5.1 and table 1",
        params=11_724_496,
        deviations=("block counts are the paper's; the released options build [15, 1, 1, 1] with 15 refinement blocks",),
    ),
    REAL_SR,
    ModelCard(
        "vmambair-derain",
        VmambaIRConfig(scale=1, blocks=(4, 4, 6, 8), refinement=2, channel_width=2),
        "derain",
        f"{PAPER}, section 5.1 and table 3",
        params=25_862_118,
        deviations=("block counts and fusion are the paper's; see vmambair-derain.released",),
    ),
    ModelCard(
        "vmambair-derain.released",
        VmambaIRConfig(scale=1, blocks=(3, 5, 7, 9), refinement=2, channel_width=4, channel_fusion="add"),
        "derain",
        f"{PAPER}, the class that the released deraining options name",
        params=28_709_875,
        deviations=("the channel scan is added (y + c) where section 4.3 fuses by a residual (y * c + y)",),
    ),
)

ABLATIONS = (
    REAL_SR.ablation(
        "one-way-scan",
        ("scan", "one-way"),
        f"{_TABLE4}, V1",
        "One causal direction over the plane, and none over the channels, cannot see the whole image.",
    ),
    REAL_SR.ablation(
        "no-channel-scan",
        ("scan", "planar"),
        f"{_TABLE4}, V2",
        "The bidirectional channel scan adds accuracy at almost no cost.",
    ),
    REAL_SR.ablation(
        "no-effn",
        ("ffn", "none"),
        f"{_TABLE4}, V3",
        "At equal cost, blocks with a feed-forward beat more blocks without one.",
        matched=(("blocks", (10, 3, 3, 2)), ("refinement", 10)),
        note="the paper gives no block counts; these keep the cost at the paper's ratio to the full model, 20.03/20.45, within 3 %",
    ),
    REAL_SR.ablation(
        "linear-projection",
        ("projection", "linear"),
        f"{_TABLE4}, V4",
        "1x1 convolutions and linear layers with reshapes are equally accurate; the convolutions are faster.",
    ),
)

DENOISING, COMPRESSED = ("denoise-15", "denoise-25", "denoise-50"), ("jpeg-10", "jpeg-30", "jpeg-40", "jpeg-20")
RUNS = (
    Runs("vmambair-sisr-x4", ("gan-sr-x4",), ("real-sr-x4", "sr-x4")),
    Runs("vmambair-realsr-x4", ("real-sr-x4",), ("gan-sr-x4", "sr-x4")),
    Runs("vmambair-derain", ("derain",), (*DENOISING, "real-denoise", *COMPRESSED)),
    Runs("vmambair-derain.released", ("derain",)),
)


def configure(scale: int, channel_width: int, channel_fusion: str) -> Callable[[Keywords], VmambaIRConfig]:
    """Return how keywords of a released class become a configuration; the fields given are fixed in the class."""

    def from_keywords(keywords: Keywords) -> VmambaIRConfig:
        """Take the keywords that the class has in common with ours; the others are fixed or mean nothing here."""
        found = VmambaIRConfig(
            scale=scale,
            channel_width=channel_width,
            channel_fusion=channel_fusion,
            dim=keywords.take("dim", 48),
            blocks=tuple(keywords.take("num_blocks")),
            refinement=keywords.take("num_refinement_blocks"),
            ffn_expansion=keywords.take("ffn_expansion_factor", 2.66),
        )
        keywords.fix(inp_channels=3, out_channels=3, bias=False, LayerNorm_type="WithBias", dual_pixel_task=False)
        keywords.ignore("heads")
        return found

    return from_keywords


OFFICIAL = (
    OfficialClass("MambaRealSR11", "VmambaIR, real-world SR x4", configure(4, 1, "multiply")),
    OfficialClass("MambaSISR6", "VmambaIR, SR x4", configure(4, 4, "multiply")),
    OfficialClass("Mamber33", "VmambaIR, deraining, channel scan multiplied", configure(1, 2, "multiply")),
    OfficialClass("Mamber32", "VmambaIR, deraining as released, channel scan added", configure(1, 4, "add")),
)

_CHANNEL_S6 = (
    ("x_proj", "xc_proj_weight"),
    ("dt_proj", "dtc_projs_weight"),
    ("dt_bias", "dtc_projs_bias"),
    ("A_log", "Ac_logs"),
    ("D", "Dsc"),
)
_OSS_RULES = (
    *((rf"\.oss\.planar\.{ours}$", f".attn.{theirs}") for ours, theirs in S6),
    *((rf"\.oss\.channel\.s6\.{ours}$", f".attn.{theirs}") for ours, theirs in _CHANNEL_S6),
    (r"\.oss_norm\.", ".norm1.body."),
    (r"\.ffn_norm\.", ".norm2.body."),
    (r"\.ffn\.depthwise\.", ".ffn.dwconv."),
    (r"\.oss\.channel\.lift\.", ".attn.conv_cin."),
    (r"\.oss\.channel\.lower\.", ".attn.conv_cout."),
    (r"\.oss\.channel\.norm\.", ".attn.channel_norm.body."),
    (r"\.oss\.planar_norm\.", ".attn.out_norm.body."),
    (r"\.oss\.in_proj\.", ".attn.in_conv."),
    (r"\.oss\.depthwise\.", ".attn.conv2d."),
    (r"\.oss\.out_proj\.", ".attn.out_conv."),
)
_VMAMBAIR_TAIL = (
    (r"^upsample\.convs\.0\.", "tail.0.0."),
    (r"^upsample\.convs\.1\.", "tail.0.2."),
    (r"^last\.", "tail.1."),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    return (*UNET, *_OSS_RULES, *(_VMAMBAIR_TAIL if config.scale > 1 else ((r"^last\.", "output."),)))


DESIGN = Design(
    name="VmambaIR",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({VmambaIRConfig: "models.networks.vmambair:VmambaIR"}),
    runs=RUNS,
    tables=(AblationTable("vmambair-table-4", "VmambaIR's ablations on real-world x4 super-resolution", "vmambair-realsr-x4"),),
    official=OFFICIAL,
    rules=rules,
)

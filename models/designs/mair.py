"""MaIR (arXiv 2412.20066): its configurations, the networks of its paper, ablations, and its authors' names."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, Groups, ModelCard, OfficialClass, Rules, Runs, UNet
from models.designs.names import RESIDUAL, RSSB, UNET, last_of
from models.keywords import Keywords

PAPER = "arXiv 2412.20066"
Merge = Literal["gated", "sum"]


@dataclass(frozen=True)
class MaIRConfig(Groups):
    """MaIR: MambaIR's residual groups, with scans along nested stripes that a gate merges, and an MLP."""

    scale: int
    depths: tuple[int, ...]  # blocks per residual group
    dim: int
    upsampler: Literal["pixelshuffle", "pixelshuffledirect", "residual"]
    d_state: int
    expand: float
    mlp_ratio: float
    stripe: int  # width, in pixels
    shift: bool = True  # every other block's stripes, by half a stripe
    merge: Merge = "gated"
    drop_path: float = 0.1  # stochastic depth of the last block, rising linearly from 0
    channels: int = 3


@dataclass(frozen=True)
class MaIRUNetConfig(UNet):
    """MaIR's U-Net: the same blocks, more states on coarser levels, and no shift."""

    blocks: tuple[int, int, int, int]
    refinement: int
    dim: int
    expand: float
    first_ratio: float  # of the MLPs in the first level of the encoder
    mlp_ratio: float  # of all others
    stripe: int
    d_state: int = 4  # at full resolution and `dim` channels; grows with the width
    shift: bool = False
    merge: Merge = "gated"
    scale: int = 1
    channels: int = 3


def _tiny(scale: int) -> MaIRConfig:
    return MaIRConfig(scale, (6,) * 4, 60, "pixelshuffledirect", d_state=1, expand=1.1, mlp_ratio=1.6, stripe=8)


def _small(scale: int) -> MaIRConfig:
    return MaIRConfig(scale, (6,) * 4, 60, "pixelshuffledirect", d_state=16, expand=1.4, mlp_ratio=1.6, stripe=4)


def _classic(scale: int) -> MaIRConfig:
    return MaIRConfig(scale, (6,) * 6, 180, "pixelshuffle", d_state=16, expand=2.0, mlp_ratio=2.5, stripe=8)


DENOISE = MaIRConfig(1, (6,) * 6, 180, "residual", d_state=16, expand=1.3, mlp_ratio=2.0, stripe=4)
UNET_48 = MaIRUNetConfig((4, 6, 6, 8), 4, 48, expand=2.0, first_ratio=4.0, mlp_ratio=1.5, stripe=4)
UNET_24 = MaIRUNetConfig((2, 2, 3, 4), 2, 24, expand=1.2, first_ratio=2.0, mlp_ratio=2.0, stripe=8)

_SR = (
    ("mair-tiny", _tiny, "light-sr", "light super-resolution", (877_752, 885_867, 897_228)),
    ("mair-small", _small, "light-sr", "light super-resolution", (1_354_680, 1_362_795, 1_374_156)),
    ("mair-sr", _classic, "sr", "classic super-resolution", (19_444_247, 19_628_887, 19_591_959)),
)
NETWORKS = (
    *(
        ModelCard(f"{name}-x{scale}", make(scale), f"{task}-x{scale}", f"{PAPER}, {section}", params=params)
        for name, make, task, section, counts in _SR
        for scale, params in zip((2, 3, 4), counts, strict=True)
    ),
    ModelCard("mair-denoise", DENOISE, "denoise-25", f"{PAPER}, colour denoising", params=14_089_035),
    ModelCard("mair-realdn", UNET_48, "real-denoise", f"{PAPER}, real denoising", params=26_293_296),
    ModelCard("mair-deblur", UNET_48, "motion-deblur", f"{PAPER}, motion deblurring", params=26_293_296),
    ModelCard("mair-dehaze", UNET_24, "dehaze-indoor", f"{PAPER}, dehazing", params=3_404_376),
)

SMALL_X2 = next(card for card in NETWORKS if card.name == "mair-small-x2")
_ABLATION = f"{PAPER}, ablations"
ABLATIONS = (
    SMALL_X2.ablation("stripe-8", ("stripe", 8), _ABLATION, "Wider stripes cut fewer neighbours apart, but keep fewer of them close."),
    SMALL_X2.ablation("no-shift", ("shift", False), _ABLATION, "Shifted stripes join what the edges of the others cut."),
    SMALL_X2.ablation("sum", ("merge", "sum"), _ABLATION, "A gate for each path and channel merges better than a sum."),
)

DENOISING = ("denoise-15", "denoise-25", "denoise-50")
_OTHER_TASKS = {"mair-denoise": DENOISING, "mair-dehaze": ("dehaze-indoor", "dehaze-outdoor")}
RUNS = tuple(Runs(card.name, _OTHER_TASKS.get(card.name, (card.task,))) for card in NETWORKS)


def configure(keywords: Keywords) -> MaIRConfig:
    """Return the configuration of the class MaIR with these keywords."""
    keywords.fix(img_range=1.0, resi_connection="1conv", patch_size=1, drop_rate=0.0, patch_norm=True)
    keywords.ignore("img_size", "dynamic_ids", "batch_size", "use_checkpoint", "drop_path_rate")
    return MaIRConfig(
        scale=keywords.take("upscale", 2),
        depths=tuple(keywords.take("depths")),
        dim=keywords.take("embed_dim", 60),
        upsampler=keywords.take("upsampler", "") or "residual",
        d_state=keywords.take("d_state", 16),
        expand=keywords.take("ssm_ratio", 2.0),
        mlp_ratio=keywords.take("mlp_ratio", 2.0),
        stripe=keywords.take("scan_len", 4),
        channels=keywords.take("in_chans", 3),
    )


def configure_unet(keywords: Keywords) -> MaIRUNetConfig:
    """Return the configuration of the class MaIRUNet with these keywords."""
    keywords.fix(inp_channels=3, out_channels=3, bias=False, dual_pixel_task=False)
    keywords.ignore("img_size", "dynamic_ids", "batch_size", "drop_path_rate")
    return MaIRUNetConfig(
        blocks=tuple(keywords.take("num_blocks")),
        refinement=keywords.take("num_refinement_blocks"),
        dim=keywords.take("dim", 48),
        expand=keywords.take("ssm_ratio", 2.0),
        first_ratio=keywords.take("flp_ratio", 4.0),
        mlp_ratio=keywords.take("mlp_ratio", 1.5),
        stripe=keywords.take("scan_len", 4),
    )


OFFICIAL = (
    OfficialClass("MaIR", "MaIR: classic and light SR, denoising", configure),
    OfficialClass("MaIRUNet", "MaIR: real denoising, motion deblurring, dehazing", configure_unet),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    unet = isinstance(config, MaIRUNetConfig)
    mlp = "mlp" if unet else "conv_blk"
    own = (
        (r"\.scan\.planar\.gate\.", ".self_attention.gating.gating.1."),
        (r"\.local\.expand\.", f".{mlp}.fc1."),
        (r"\.local\.project\.", f".{mlp}.fc2."),
    )
    if unet:
        return (*UNET, (r"\.block\.", "."), *own, *RSSB, (r"^last\.", "output."))
    return (*RESIDUAL, *own, *RSSB, last_of(config.upsampler))


DESIGN = Design(
    name="MaIR",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({MaIRConfig: "models.networks.mair:MaIR", MaIRUNetConfig: "models.networks.mair:MaIRUNet"}),
    runs=RUNS,
    tables=(AblationTable("mair-ablations", "MaIR's ablations on light x2 super-resolution", "mair-small-x2"),),
    official=OFFICIAL,
    rules=rules,
)

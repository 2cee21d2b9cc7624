"""T-PMambaSR (arXiv 2511.03232): its configuration, the networks of its paper, ablations, and its authors' names."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, ModelCard, OfficialClass, Rules, Runs, WindowedGroups
from models.designs.names import ATTENTION_SCAN, RESIDUAL, last_of
from models.keywords import Keywords

PAPER = "arXiv 2511.03232"
SCAN_WINDOWS = (16, 32)  # sides, in pixels


@dataclass(frozen=True)
class TPMambaSRConfig(WindowedGroups):
    """T-PMambaSR: groups of window attention and window scans, a global scan at their ends, and a branch for high frequencies."""

    scale: int
    depths: tuple[int, ...]  # blocks of two layers, per group
    heads: tuple[int, ...]  # of the window attention, per group
    dim: int = 48
    d_state: int = 8
    window: int = 16  # of the attention: side, in pixels
    expand: float = 1.0  # width of the scans and of the feed-forwards, in dim
    scan: Literal["windows", "raster"] = "windows"
    high_frequencies: bool = True
    upsampler: Literal["pixelshuffledirect"] = "pixelshuffledirect"
    channels: int = 3

    @property
    def smallest_side(self) -> int:
        """Return what can be mirrored to a window of the attention, and that to a window of the scan."""
        largest = SCAN_WINDOWS[-1]
        return next(side for side in range(-(-self.window // 2), largest + 1) if 2 * (side + -side % self.window) >= largest)

    @property
    def scanned_multiple(self) -> int:
        """Whole windows of the scan, to which its input alone is mirrored."""
        return SCAN_WINDOWS[-1] if self.scan == "windows" else self.window

    @property
    def work(self) -> float:
        """Two layers a block, each an attention and a scan, and the global layer."""
        return 2 * self.dim * sum(2 * depth + 1 for depth in self.depths)


NETWORKS = tuple(
    ModelCard(
        f"tpmambasr-light-x{scale}",
        TPMambaSRConfig(scale, (2,) * 4, (4,) * 4),
        f"light-sr-x{scale}",
        f"{PAPER}, light super-resolution",
        params=params,
    )
    for scale, params in zip((2, 3, 4), (687_388, 693_883, 702_976), strict=True)
)
LIGHT_X2 = NETWORKS[0]
ABLATIONS = (
    LIGHT_X2.ablation(
        "raster",
        ("scan", "raster"),
        f"{PAPER}, ablation of the window scans",
        "Windows keep neighbours close in the sequence.",
    ),
    LIGHT_X2.ablation(
        "no-high-frequencies",
        ("high_frequencies", False),
        f"{PAPER}, ablation of the high-frequency branch",
        "Scans smooth; a branch around them brings the high frequencies back.",
    ),
)
RUNS = tuple(Runs(card.name, (card.task,)) for card in NETWORKS)


def configure(keywords: Keywords) -> TPMambaSRConfig:
    """Return the configuration of the class T_PMambaSR with these keywords."""
    keywords.fix(img_range=1.0, resi_connection="1conv", upsampler="pixelshuffledirect", patch_norm=True)
    keywords.ignore("img_size", "convffn_kernel_size", "qkv_bias", "use_checkpoint", "patch_size", "ape")
    return TPMambaSRConfig(
        scale=keywords.take("upscale", 2),
        depths=tuple(keywords.take("depths")),
        heads=tuple(keywords.take("num_heads")),
        dim=keywords.take("embed_dim", 48),
        d_state=keywords.take("d_state", 8),
        window=keywords.take("window_size", 16),
        expand=keywords.take("mlp_ratio", 2.0),
        channels=keywords.take("in_chans", 3),
    )


OFFICIAL = (OfficialClass("T_PMambaSR", "T-PMambaSR: light SR", configure),)

_GROUP = r"^groups\.(\d+)\.blocks\."
_GROUP_RULES = (
    (_GROUP + r"layers\.(\d+)\.(first|second)\.", r"layers.\1.residual_group.layers.\2.\3_layer."),
    (_GROUP + r"layers\.(\d+)\.norm\.", r"layers.\1.residual_group.layers.\2.norm1."),
    (_GROUP + r"layers\.(\d+)\.feed_norm\.", r"layers.\1.residual_group.layers.\2.norm2."),
    (_GROUP + r"layers\.", r"layers.\1.residual_group.layers."),
    (_GROUP + r"side\.enter\.", r"layers.\1.residual_group.conv.in_proj."),
    (_GROUP + r"side\.leave\.", r"layers.\1.residual_group.conv.out_proj."),
    (_GROUP + r"side\.near\.", r"layers.\1.residual_group.conv.conv3x3."),
    (_GROUP + r"side\.far\.", r"layers.\1.residual_group.conv.conv5x5."),
    (_GROUP + r"merge\.enter\.", r"layers.\1.residual_group.hf_restore.lf_in_proj."),
    (_GROUP + r"merge\.sharpen\.", r"layers.\1.residual_group.hf_restore.extract_hf."),
    (_GROUP + r"merge\.leave\.", r"layers.\1.residual_group.hf_restore.out_proj."),
    (_GROUP + r"merge\.fuse\.", r"layers.\1.residual_group.hf_restore.fuse."),
    (_GROUP + r"merge\.gate\.0\.", r"layers.\1.residual_group.hf_restore.scale.1."),
    (_GROUP + r"merge\.gate\.1\.", r"layers.\1.residual_group.hf_restore.scale.2."),
    (_GROUP + r"merge\.gate\.3\.", r"layers.\1.residual_group.hf_restore.scale.4."),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    depthwise = (r"\.feed_forward(\d?)\.depthwise\.", r".convffn\1.sg.conv.")
    return (*_GROUP_RULES, depthwise, *ATTENTION_SCAN, *RESIDUAL, last_of(config.upsampler))


DESIGN = Design(
    name="T-PMambaSR",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({TPMambaSRConfig: "models.networks.tpmambasr:TPMambaSR"}),
    runs=RUNS,
    tables=(AblationTable("tpmambasr-ablations", "T-PMambaSR's ablations on light x2 super-resolution", "tpmambasr-light-x2"),),
    official=OFFICIAL,
    rules=rules,
)

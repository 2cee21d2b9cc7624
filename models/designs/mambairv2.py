"""MambaIRv2 (arXiv 2411.15269): its configuration, the networks and ablations of its paper, and its authors' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, ModelCard, OfficialClass, Rules, Runs, WindowedGroups
from models.designs.names import ATTENTION_SCAN, RESIDUAL, last_of
from models.keywords import Keywords

PAPER = "arXiv 2411.15269"
DENOISING, JPEG = ("denoise-15",), ("jpeg-10", "jpeg-30", "jpeg-40")
Routing = Literal["sampled", "argmax", "uniform", "permuted", "raster"]


@dataclass(frozen=True)
class MambaIRv2Config(WindowedGroups):
    """MambaIRv2: groups of layers, each a window attention and an attentive scan."""

    scale: int
    depths: tuple[int, ...]  # layers per group
    heads: tuple[int, ...]  # of the window attention, per group
    dim: int
    upsampler: Literal["pixelshuffle", "pixelshuffledirect", "residual"]
    feed_forward: Literal["convolutional", "gated"] = "convolutional"  # gated: the light networks
    d_state: int = 16
    window: int = 16  # side, in pixels
    rank: int = 64  # of the token dictionary
    tokens: int = 128
    expand: float = 2.0  # width of the scan and of the feed-forwards, in dim
    prompt: Literal["C", "B", "none"] = "C"  # to which of the scan's inputs the token's prompt is added
    routing: Routing = "sampled"  # as released: tokens are drawn, in evaluation, too
    channels: int = 3

    @property
    def smallest_side(self) -> int:
        """Return what can be mirrored to a window."""
        return -(-self.window // 2)

    @property
    def work(self) -> float:
        """All layers run at full resolution, each an attention and a scan."""
        return 2 * self.dim * sum(self.depths)


def _light(scale: int) -> MambaIRv2Config:
    return MambaIRv2Config(scale, (5,) * 4, (4,) * 4, 48, "pixelshuffledirect", "gated", d_state=8, rank=32, tokens=64, expand=1.0)


def _small(scale: int) -> MambaIRv2Config:
    return MambaIRv2Config(scale, (4,) * 6, (4,) * 6, 132, "pixelshuffle")


def _base(scale: int) -> MambaIRv2Config:
    return MambaIRv2Config(scale, (6,) * 6, (6,) * 6, 174, "pixelshuffle" if scale > 1 else "residual")


def _large(scale: int) -> MambaIRv2Config:
    return MambaIRv2Config(scale, (6,) * 9, (6,) * 9, 174, "pixelshuffle")


PARAMS = {
    "light": (774_092, 780_587, 789_680),
    "small": (9_621_935, 9_806_575, 9_769_647),
    "base": (22_903_001, 23_087_641, 23_050_713),
    "large": (34_090_523, 34_275_163, 34_238_235),
}


def _sr() -> tuple[ModelCard, ...]:
    sizes = (("light", _light, "light-sr", "table 3"), ("small", _small, "sr", "table 4"), ("base", _base, "sr", "table 4"))
    return tuple(
        ModelCard(f"mambairv2-{size}-x{scale}", make(scale), f"{task}-x{scale}", f"{PAPER}, {table}", params=params)
        for size, make, task, table in (*sizes, ("large", _large, "sr", "table 4"))
        for scale, params in zip((2, 3, 4), PARAMS[size], strict=True)
    )


NETWORKS = (
    *_sr(),
    ModelCard("mambairv2-denoise", _base(1), "denoise-15", f"{PAPER}, table 7", params=22_657_971),
    ModelCard("mambairv2-jpeg", replace(_base(1), channels=1), "jpeg-10", f"{PAPER}, table 6", params=22_651_705),
)

LIGHT_X2 = NETWORKS[0]
ABLATIONS = (
    LIGHT_X2.ablation(
        "prompt-b",
        ("prompt", "B"),
        f"{PAPER}, ablation of where the prompt is added",
        "The prompt works best where it queries the state: in the output matrix C.",
    ),
    LIGHT_X2.ablation(
        "no-prompt",
        ("prompt", "none"),
        f"{PAPER}, ablation of the attentive scan",
        "Without prompts the scan sees only what came before a pixel.",
    ),
    LIGHT_X2.ablation(
        "no-routing",
        ("routing", "raster"),
        f"{PAPER}, ablation of the sorted scan",
        "In the order of the image alike pixels lie far apart, and the state forgets them.",
    ),
    LIGHT_X2.ablation(
        "argmax",
        ("routing", "argmax"),
        "this suite: inference without draws",
        "The most likely token does as well as a drawn one, and gives the same output every time.",
    ),
)

RUNS = tuple(Runs(card.name, {"mambairv2-denoise": DENOISING, "mambairv2-jpeg": JPEG}.get(card.name, (card.task,))) for card in NETWORKS)


def configure(feed_forward: Literal["convolutional", "gated"]) -> Callable[[Keywords], MambaIRv2Config]:
    """Return how keywords of one of the authors' two classes become a configuration; they differ in the feed-forward."""

    def from_keywords(keywords: Keywords) -> MambaIRv2Config:
        """Take the keywords that the class has in common with ours; the others are fixed or mean nothing here."""
        keywords.fix(img_range=1.0, resi_connection="1conv", convffn_kernel_size=5, patch_norm=True)
        keywords.ignore("img_size", "use_checkpoint", "qkv_bias", "patch_size", "ape")
        return MambaIRv2Config(
            scale=keywords.take("upscale", 1),
            depths=tuple(keywords.take("depths")),
            heads=tuple(keywords.take("num_heads")),
            dim=keywords.take("embed_dim", 48),
            upsampler=keywords.take("upsampler", "") or "residual",
            feed_forward=feed_forward,
            d_state=keywords.take("d_state", 8),
            window=keywords.take("window_size", 16),
            rank=keywords.take("inner_rank", 32),
            tokens=keywords.take("num_tokens", 64),
            expand=keywords.take("mlp_ratio", 2.0),
            channels=keywords.take("in_chans", 3),
        )

    return from_keywords


OFFICIAL = (
    OfficialClass("MambaIRv2", "MambaIRv2: classic SR, denoising, JPEG", configure("convolutional")),
    OfficialClass("MambaIRv2Light", "MambaIRv2: light SR", configure("gated")),
)


def rules(config: Config) -> Rules:
    """Return what turns our parameters' names into the authors'."""
    own = (
        (r"\.scan\.dictionary$", ".assm.embeddingB.weight"),
        (r"\.scan\.basis$", ".embeddingA.weight"),  # the layer's, there
        (r"\.scan\.route\.", ".assm.route."),
        (r"^(groups\.\d+)\.blocks\.", r"\1.blocks.layers."),
    )
    depthwise = "sg.conv" if config.feed_forward == "gated" else "dwconv.depthwise_conv.0"
    return (*own, (r"\.feed_forward(\d)\.depthwise\.", rf".convffn\1.{depthwise}."), *ATTENTION_SCAN, *RESIDUAL, last_of(config.upsampler))


DESIGN = Design(
    name="MambaIRv2",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({MambaIRv2Config: "models.networks.mambairv2:MambaIRv2"}),
    runs=RUNS,
    tables=(AblationTable("mambairv2-ablations", "MambaIRv2's ablations on light x2 super-resolution", "mambairv2-light-x2"),),
    official=OFFICIAL,
    rules=rules,
)

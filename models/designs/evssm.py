"""EVSSM (arXiv 2405.14343): its configuration, the network of its paper, ablations, and its authors' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from models.design import AblationTable, Config, Design, ModelCard, OfficialClass, Rules, Runs, divided
from models.designs.names import S6
from models.keywords import Keywords

PAPER = "arXiv 2405.14343"
TILES = (384, 192, 96)  # sides of the testing form's tiles on the three levels, in pixels of the level


@dataclass(frozen=True)
class EVSSMConfig:
    """EVSSM: a U-Net of three levels; one scan a block, before which the map is turned, and a learnt spectrum."""

    blocks: tuple[int, int, int]  # per level, from the finest; the coarsest has as many again
    dim: int = 48
    d_state: int = 8
    expand: float = 2.0
    ffn_expansion: float = 3.0
    turns: Literal["alternating", "none"] = "alternating"  # transposed, then rotated, by turns
    spectrum: bool = True
    form: Literal["testing", "training"] = "testing"  # testing: any multiple of 4, scans in tiles; training: multiples of 32
    scale: int = 1
    channels: int = 3

    @property
    def size_multiple(self) -> int:
        """Two halvings; in the training form patches of 8 on the coarsest level, too."""
        return 32 if self.form == "training" else 4

    @property
    def smallest_side(self) -> int:
        """Return what reflection can pad, here and on the coarsest level."""
        return 32 if self.form == "training" else 20

    @property
    def tile(self) -> int:
        """Side of the tiles at full resolution, in which larger inputs are scanned; 0 where they are scanned whole."""
        return TILES[0] if self.form == "testing" else 0

    @property
    def work(self) -> float:
        """Each level has half the pixels' sides and twice the width; the coarsest counts twice."""
        return 2 * self.dim * (2 * sum(self.blocks))

    def narrowed(self, width: int, depth_divisor: int) -> EVSSMConfig:
        """Return the same design with `dim = width` and block counts divided by `depth_divisor`."""
        return replace(self, dim=width, blocks=tuple(divided(b, depth_divisor) for b in self.blocks))


DEBLUR = ModelCard("evssm-deblur", EVSSMConfig((6, 6, 12)), "motion-deblur", f"{PAPER}, motion deblurring", params=17_129_472)
NETWORKS = (DEBLUR,)
ABLATIONS = (
    DEBLUR.ablation(
        "no-turns",
        ("turns", "none"),
        f"{PAPER}, ablation of the geometric transformation",
        "One scan sees enough if the map is turned.",
    ),
    DEBLUR.ablation(
        "no-spectrum",
        ("spectrum", False),
        f"{PAPER}, ablation of the frequency-domain feed-forward",
        "A learnt spectrum selects the frequencies that are worth keeping.",
    ),
)
RUNS = (Runs("evssm-deblur", ("motion-deblur",)),)


def configure(form: Literal["testing", "training"]) -> Callable[[Keywords], EVSSMConfig]:
    """Return how keywords of one of the authors' two classes become a configuration."""

    def from_keywords(keywords: Keywords) -> EVSSMConfig:
        keywords.fix(inp_channels=3, out_channels=3, bias=False)
        return EVSSMConfig(
            blocks=tuple(keywords.take("num_blocks", (6, 6, 12))),
            dim=keywords.take("dim", 48),
            ffn_expansion=keywords.take("ffn_expansion_factor", 3),
            form=form,
        )

    return from_keywords


OFFICIAL = (
    OfficialClass("EVSSM", "EVSSM: motion deblurring, the class for training", configure("training")),
    OfficialClass("EVSSM(test)", "EVSSM: motion deblurring, the class for testing", configure("testing")),
)


def rules(config: Config) -> Rules:  # noqa: ARG001 - one set of names
    """Return what turns our parameters' names into the authors'."""
    return (
        (r"^stem\.", "patch_embed.proj."),
        *((rf"^encoder\.{i}\.(\d+)\.", rf"encoder_level{i + 1}.block\1.") for i in range(3)),
        *((rf"^decoder\.{i}\.(\d+)\.", rf"decoder_level{3 - i}.block\1.") for i in range(3)),
        *((rf"^down\.{i}\.", f"down{i + 1}_{i + 2}.body.1.") for i in range(2)),
        *((rf"^up\.{i}\.", f"up{3 - i}_{2 - i}.body.1.") for i in range(2)),
        *((rf"\.scan\.s6\.{ours}$", f".attn.{theirs}") for ours, theirs in S6),
        (r"\.scan\.depthwise\.", ".attn.conv2d."),
        (r"\.scan\.along\.", ".attn.x_conv."),
        (r"\.scan\.norm\.", ".attn.out_norm."),
        (r"\.scan\.", ".attn."),
        (r"\.ffn\.depthwise\.", ".ffn.dwconv."),
        (r"\.ffn\.spectrum$", ".ffn.fft"),
        (r"\.(norm[12])\.", r".\1.body."),
        (r"^last\.", "output."),
    )


DESIGN = Design(
    name="EVSSM",
    paper=PAPER,
    networks=NETWORKS,
    ablations=ABLATIONS,
    classes=MappingProxyType({EVSSMConfig: "models.networks.evssm:EVSSM"}),
    runs=RUNS,
    tables=(AblationTable("evssm-ablations", "EVSSM's ablations on motion deblurring", "evssm-deblur"),),
    official=OFFICIAL,
    rules=rules,
)

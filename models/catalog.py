"""MODELS: every network of both papers, every ablation, and a tiny sibling of each, in one visible table.

An ablation is its parent with one changed field and a hypothesis. `matched` fields restate what the paper adjusted so
that the costs stay comparable; they are not the subject of the ablation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from models.card import ModelCard
from models.config import Config, MambaIRConfig, MambaIRUNetConfig, VmambaIRConfig

VMAMBAIR, MAMBAIR = "arXiv 2403.11423", "arXiv 2402.15648"
TINY_WIDTH, TINY_DEPTH_DIVISOR = 16, 6


def _classic(scale: int) -> MambaIRConfig:
    return MambaIRConfig(scale=scale, depths=(6,) * 6, dim=180, upsampler="pixelshuffle")


def _light(scale: int) -> MambaIRConfig:
    return MambaIRConfig(scale=scale, depths=(6,) * 4, dim=60, upsampler="pixelshuffledirect", d_state=10, expand=1.2, bottleneck="dilated")


def _same_size(channels: int) -> MambaIRConfig:
    return MambaIRConfig(scale=1, depths=(6,) * 6, dim=180, upsampler="residual", expand=1.2, channels=channels)


NETWORKS: tuple[ModelCard, ...] = (
    ModelCard(
        "vmambair-sisr-x4",
        VmambaIRConfig(scale=4, blocks=(14, 1, 1, 1), refinement=14, channel_width=4),
        "gan-sr-x4",
        f"{VMAMBAIR}, section 5.1 and table 1",
        params=11_724_496,
        deviations=("block counts are the paper's; the released options build [15, 1, 1, 1] with 15 refinement blocks",),
    ),
    ModelCard(
        "vmambair-realsr-x4",
        VmambaIRConfig(scale=4, blocks=(6, 2, 2, 1), refinement=6),
        "real-sr-x4",
        f"{VMAMBAIR}, section 5.1, tables 2 and 4",
        params=10_497_813,
    ),
    ModelCard(
        "vmambair-derain",
        VmambaIRConfig(scale=1, blocks=(4, 4, 6, 8), refinement=2, channel_width=2),
        "derain",
        f"{VMAMBAIR}, section 5.1 and table 3",
        params=25_862_118,
        deviations=("block counts and fusion are the paper's; see vmambair-derain.released",),
    ),
    ModelCard(
        "vmambair-derain.released",
        VmambaIRConfig(scale=1, blocks=(3, 5, 7, 9), refinement=2, channel_width=4, channel_fusion="add"),
        "derain",
        f"{VMAMBAIR}, the class that the released deraining options name",
        params=28_709_875,
        deviations=("the channel scan is added (y + c) where section 4.3 fuses by a residual (y * c + y)",),
    ),
    ModelCard("mambair-sr-x2", _classic(2), "sr-x2", f"{MAMBAIR}, tables 1, 2 and 3", params=20_421_863),
    ModelCard("mambair-sr-x3", _classic(3), "sr-x3", f"{MAMBAIR}, table 3", params=20_606_503),
    ModelCard("mambair-sr-x4", _classic(4), "sr-x4", f"{MAMBAIR}, table 3", params=20_569_575),
    ModelCard("mambair-light-x2", _light(2), "light-sr-x2", f"{MAMBAIR}, table 4", params=905_016),
    ModelCard("mambair-light-x3", _light(3), "light-sr-x3", f"{MAMBAIR}, table 4", params=913_131),
    ModelCard("mambair-light-x4", _light(4), "light-sr-x4", f"{MAMBAIR}, table 4", params=924_492),
    ModelCard(
        "mambair-light-x2.generation-1",
        replace(_light(2), bottleneck="depthwise", d_state=16),
        "light-sr-x2",
        f"{MAMBAIR}, version 1 of the paper",
        params=933_672,
    ),
    ModelCard(
        "mambair-light-x2.generation-2",
        replace(_light(2), bottleneck="compress6", d_state=16, expand=1.5),
        "light-sr-x2",
        f"{MAMBAIR}, as published at the time of ECCV 2024",
        params=1_363_320,
    ),
    ModelCard(
        "mambair-realsr-x4",
        _classic(4),
        "real-sr-x4",
        f"{MAMBAIR}, section 4.3",
        deviations=("no training configuration is published for real-world SR; the classic x4 network is taken",),
    ),
    ModelCard("mambair-denoise", _same_size(3), "denoise-25", f"{MAMBAIR}, table 5", params=15_777_507),
    ModelCard("mambair-jpeg", _same_size(1), "jpeg-10", f"{MAMBAIR}, supplementary material", params=15_771_025),
    ModelCard(
        "mambair-realdn",
        MambaIRUNetConfig(blocks=(4, 6, 6, 8), refinement=4),
        "real-denoise",
        f"{MAMBAIR}, table 6",
        params=26_779_480,
    ),
)


def _ablation(
    parent: str,
    suffix: str,
    change: tuple[str, object],
    row: str,
    hypothesis: str,
    matched: tuple[tuple[str, object], ...] = (),
    note: str = "",
) -> ModelCard:
    base = next(card for card in NETWORKS if card.name == parent)
    return ModelCard(
        f"{parent}.{suffix}",
        replace(base.config, **dict([change, *matched])),
        base.task,
        row,
        parent=parent,
        change=change,
        matched=matched,
        hypothesis=hypothesis,
        deviations=(note,) if note else (),
    )


_TABLE4 = f"{VMAMBAIR}, table 4 and section 5.5"
_TABLE1, _TABLE2 = f"{MAMBAIR}, table 1", f"{MAMBAIR}, table 2"

ABLATIONS: tuple[ModelCard, ...] = (
    _ablation(
        "vmambair-realsr-x4",
        "one-way-scan",
        ("scan", "one-way"),
        f"{_TABLE4}, V1",
        "One causal direction over the plane, and none over the channels, cannot see the whole image.",
    ),
    _ablation(
        "vmambair-realsr-x4",
        "no-channel-scan",
        ("scan", "planar"),
        f"{_TABLE4}, V2",
        "The bidirectional channel scan adds accuracy at almost no cost.",
    ),
    _ablation(
        "vmambair-realsr-x4",
        "no-effn",
        ("ffn", "none"),
        f"{_TABLE4}, V3",
        "At equal cost, blocks with a feed-forward beat more blocks without one.",
        matched=(("blocks", (10, 3, 3, 2)), ("refinement", 10)),
        note="the paper gives no block counts; these keep the cost at the paper's ratio to the full model, 20.03/20.45, within 3 %",
    ),
    _ablation(
        "vmambair-realsr-x4",
        "linear-projection",
        ("projection", "linear"),
        f"{_TABLE4}, V4",
        "1x1 convolutions and linear layers with reshapes are equally accurate; the convolutions are faster.",
    ),
    _ablation(
        "mambair-sr-x2", "no-conv", ("local", "ca"), f"{_TABLE1}, row 1", "Without local convolution, neighbouring pixels are forgotten."
    ),
    _ablation(
        "mambair-sr-x2",
        "no-conv-no-ca",
        ("local", "none"),
        f"{_TABLE1}, row 2",
        "A plain state-space block, without convolution and channel attention, is suboptimal.",
    ),
    _ablation(
        "mambair-sr-x2",
        "mlp",
        ("local", "mlp"),
        f"{_TABLE1}, row 3",
        "The transformer's MLP does not replace convolution and channel attention.",
        note="the paper gives no MLP ratio; 2 is taken",
    ),
    _ablation("mambair-sr-x2", "one-direction", ("directions", 1), f"{_TABLE2}, row 1", "One direction sees too few neighbours."),
    _ablation("mambair-sr-x2", "two-direction", ("directions", 2), f"{_TABLE2}, row 2", "Two directions see fewer neighbours than four."),
)


def _tiny(card: ModelCard) -> ModelCard:
    """The sibling `<network>-tiny[.<ablation>]`: the same design, small."""
    network, dot, suffix = card.name.partition(".")
    config: Config = card.config.narrowed(TINY_WIDTH, TINY_DEPTH_DIVISOR)
    parent = f"{card.parent}-tiny" if card.parent else None
    matched = tuple((name, getattr(config, name)) for name, _ in card.matched)
    return replace(card, name=f"{network}-tiny{dot}{suffix}", config=config, parent=parent, matched=matched, params=None, tiny=True)


def _table(rows: Iterable[ModelCard]) -> Mapping[str, ModelCard]:
    table: dict[str, ModelCard] = {}
    for row in rows:
        if row.name in table:
            raise ValueError(f"two rows of the catalogue are called {row.name!r}.")
        table[row.name] = row
    return MappingProxyType(table)


MODELS: Mapping[str, ModelCard] = _table((*NETWORKS, *ABLATIONS, *map(_tiny, (*NETWORKS, *ABLATIONS))))

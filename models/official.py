"""Loading the authors' checkpoints: their class names, constructor keywords and parameter names, strictly.

    network = from_official("MambaIR", {"upscale": 2, ...}, torch.load(file, weights_only=True))

`ARCHITECTURES` says how a class of theirs becomes a configuration of ours; `official_names` how our parameters are
called there. The names are facts about public checkpoints; nothing here is their code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor

from models import build
from models.base import RestorationNet
from models.config import Config, MambaIRConfig, MambaIRUNetConfig, VmambaIRConfig
from models.lookup import lookup, suggest


class OfficialMismatch(ValueError):
    """A checkpoint or keyword that does not fit: lists what is missing, unexpected or misshapen."""


class _Keywords:
    """Constructor keywords that must all be used: taken once each, the rest is an error."""

    def __init__(self, arch: str, given: Mapping[str, object]) -> None:
        self.arch, self.rest, self.known = arch, dict(given), set()

    def take(self, name: str, default: object = None) -> object:
        """The keyword's value, or its default; without a default it must be given."""
        self.known.add(name)
        if name not in self.rest and default is None:
            raise OfficialMismatch(f"{self.arch} needs the keyword {name!r}.")
        return self.rest.pop(name, default)

    def fixed(self, **allowed: object) -> None:
        """Keywords that may be given only with the one value that all published networks use."""
        for name, value in allowed.items():
            given = self.take(name, value)
            if given != value:
                raise OfficialMismatch(f"{self.arch}({name}={given!r}) is not a published network; only {name}={value!r} is supported.")

    def ignored(self, *names: str) -> None:
        """Keywords that the authors' constructors accept and that do not change the network."""
        for name in names:
            self.known.add(name)
            self.rest.pop(name, None)

    def finish(self) -> None:
        """Raises for keywords that nobody took."""
        if self.rest:
            unknown = ", ".join(f"{name!r}" for name in sorted(self.rest))
            raise OfficialMismatch(f"{self.arch} has no keyword {unknown}.{suggest(next(iter(self.rest)), self.known)}")


def _blocks(keywords: _Keywords) -> dict[str, object]:
    return {
        "dim": keywords.take("dim", 48),
        "blocks": tuple(keywords.take("num_blocks")),
        "refinement": keywords.take("num_refinement_blocks"),
    }


def _vmambair(scale: int, channel_width: int, channel_fusion: str) -> Callable[[_Keywords], Config]:
    def configure(keywords: _Keywords) -> Config:
        fields = _blocks(keywords) | {"ffn_expansion": keywords.take("ffn_expansion_factor", 2.66)}
        keywords.fixed(inp_channels=3, out_channels=3, bias=False, LayerNorm_type="WithBias", dual_pixel_task=False)
        keywords.ignored("heads")
        return VmambaIRConfig(scale=scale, channel_width=channel_width, channel_fusion=channel_fusion, **fields)

    return configure


def _mambair(keywords: _Keywords) -> Config:
    upsampler = keywords.take("upsampler", "") or "residual"
    keywords.fixed(patch_size=1, drop_rate=0.0, patch_norm=True, img_range=1.0, resi_connection="1conv")
    keywords.ignored("img_size", "use_checkpoint", "window_size", "interval", "num_heads", "drop_path_rate")
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


def _mambair_unet(keywords: _Keywords) -> Config:
    fields = _blocks(keywords) | {"expand": keywords.take("mlp_ratio", 2.0)}
    keywords.fixed(inp_channels=3, out_channels=3, bias=False, dual_pixel_task=False, drop_path_rate=0.0)
    keywords.ignored("heads", "window_size", "interval", "img_size")
    return MambaIRUNetConfig(**fields)


@dataclass(frozen=True)
class OfficialArchitecture:
    """A class of the authors' code: where it is used, and what it is here."""

    name: str
    used_for: str
    configure: Callable[[_Keywords], Config]


ARCHITECTURES: Mapping[str, OfficialArchitecture] = MappingProxyType(
    {
        row.name: row
        for row in (
            OfficialArchitecture("MambaRealSR11", "VmambaIR, real-world SR x4", _vmambair(4, 1, "multiply")),
            OfficialArchitecture("MambaSISR6", "VmambaIR, SR x4", _vmambair(4, 4, "multiply")),
            OfficialArchitecture("Mamber33", "VmambaIR, deraining, channel scan multiplied", _vmambair(1, 2, "multiply")),
            OfficialArchitecture("Mamber32", "VmambaIR, deraining as released, channel scan added", _vmambair(1, 4, "add")),
            OfficialArchitecture("MambaIR", "MambaIR: classic and light SR, denoising, JPEG", _mambair),
            OfficialArchitecture("MambaIRUNet", "MambaIR, real denoising", _mambair_unet),
        )
    }
)

# Our names to theirs, in order; every rule that matches is applied.
_S6 = (("x_proj", "x_proj_weight"), ("dt_proj", "dt_projs_weight"), ("dt_bias", "dt_projs_bias"), ("A_log", "A_logs"), ("D", "Ds"))
_CHANNEL_S6 = (
    ("x_proj", "xc_proj_weight"),
    ("dt_proj", "dtc_projs_weight"),
    ("dt_bias", "dtc_projs_bias"),
    ("A_log", "Ac_logs"),
    ("D", "Dsc"),
)
_UNET_RULES = (
    (r"^body\.stem\.", "patch_embed.proj."),
    *((rf"^body\.encoder\.{i}\.", f"encoder_level{i + 1}.") for i in range(3)),
    *((rf"^body\.decoder\.{i}\.", f"decoder_level{3 - i}.") for i in range(3)),
    *((rf"^body\.down\.{i}\.conv\.", f"down{i + 1}_{i + 2}.body.0.") for i in range(3)),
    *((rf"^body\.up\.{i}\.conv\.", f"up{4 - i}_{3 - i}.body.0.") for i in range(3)),
    *((rf"^body\.reduce\.{i}\.", f"reduce_chan_level{3 - i}.") for i in range(2)),
    (r"^body\.", ""),  # latent and refinement keep their names
)
_OSS_RULES = (
    *((rf"\.oss\.planar\.{ours}$", f".attn.{theirs}") for ours, theirs in _S6),
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
_RSSB_RULES = (
    *((rf"\.scan\.planar\.{ours}$", f".self_attention.{theirs}") for ours, theirs in _S6),
    (r"\.scan_skip$", ".skip_scale"),
    (r"\.local_skip$", ".skip_scale2"),
    (r"\.scan_norm\.", ".ln_1."),
    (r"\.local_norm\.", ".ln_2."),
    (r"\.scan\.planar_norm\.", ".self_attention.out_norm."),
    (r"\.scan\.depthwise\.", ".self_attention.conv2d."),
    (r"\.scan\.", ".self_attention."),
    (r"\.local\.convs\.", ".conv_blk.cab."),
)
_MAMBAIR_RULES = (
    (r"^shallow\.", "conv_first."),
    (r"^first_norm\.", "patch_embed.norm."),
    (r"^last_norm\.", "norm."),
    (r"^deep\.", "conv_after_body."),
    (r"^groups\.(\d+)\.blocks\.", r"layers.\1.residual_group.blocks."),
    (r"^groups\.(\d+)\.conv\.", r"layers.\1.conv."),
    (r"^tail\.before\.", "conv_before_upsample.0."),
    (r"^tail\.upsample\.convs\.0\.", "upsample.0."),
    (r"^tail\.upsample\.convs\.1\.", "upsample.2."),
)


def _rules(config: Config) -> tuple[tuple[str, str], ...]:
    if isinstance(config, VmambaIRConfig):
        return (*_UNET_RULES, *_OSS_RULES, *(_VMAMBAIR_TAIL if config.scale > 1 else ((r"^last\.", "output."),)))
    attention = 5 if config.bottleneck == "dilated" else 3  # its place behind the convolutions of the bottleneck
    gates = tuple(
        (rf"\.local\.attention\.{ours}\.", f".conv_blk.cab.{attention}.attention.{place}.") for ours, place in (("down", 1), ("up", 3))
    )
    if isinstance(config, MambaIRUNetConfig):
        return (*_UNET_RULES, (r"\.block\.", "."), *_RSSB_RULES, *gates, (r"^last\.", "output."))
    last = "upsample.0." if config.upsampler == "pixelshuffledirect" else "conv_last."
    return (*_MAMBAIR_RULES, *_RSSB_RULES, *gates, (r"^tail\.last\.", last))


def official_names(network: RestorationNet) -> dict[str, str]:
    """The authors' name of each parameter of `network`, keyed by ours."""
    names = {}
    for ours in network.state_dict():
        theirs = ours
        for pattern, replacement in _rules(network.config):
            theirs = re.sub(pattern, replacement, theirs)
        names[ours] = theirs
    return names


def unwrap(checkpoint: Mapping[str, object]) -> tuple[dict[str, Tensor], str]:
    """The state dict inside a checkpoint, and which one it is: `params_ema` before `params`, or the bare file.

    A `module.` prefix (left by DataParallel) is removed.
    """
    for key in ("params_ema", "params", "state_dict"):
        if key in checkpoint:
            state, which = checkpoint[key], key
            break
    else:
        state, which = checkpoint, "bare"
    return {str(name).removeprefix("module."): value for name, value in state.items()}, which


def from_official(arch: str, config: Mapping[str, object], state: Mapping[str, object]) -> RestorationNet:
    """Our network with the authors' weights.

    `arch` is a class name of `ARCHITECTURES`, `config` its constructor's keywords, `state` a checkpoint (bare, or under
    params_ema, params or state_dict). Raises `UnknownName` for another class and `OfficialMismatch` for a keyword or a
    parameter that does not fit; every key is used.
    """
    network = build(configuration(arch, config))
    load_official(network, state)
    return network


def configuration(arch: str, config: Mapping[str, object]) -> Config:
    """Return our configuration of the authors' class `arch` with the keywords `config`; raises as `from_official` does."""
    row = lookup("official architecture", arch, ARCHITECTURES)
    keywords = _Keywords(arch, config)
    ours = row.configure(keywords)
    keywords.finish()
    return ours


def load_official(network: RestorationNet, checkpoint: Mapping[str, object]) -> str:
    """Loads the authors' weights into `network`, strictly; says which state dict of the checkpoint was taken."""
    state, which = unwrap(checkpoint)
    _load_strictly(network, state, official_names(network), which)
    return which


def load_weights(network: RestorationNet, checkpoint: Mapping[str, object]) -> str:
    """Loads weights under our names or the authors', strictly; says which state dict of the checkpoint was taken."""
    state, which = unwrap(checkpoint)
    # Whichever names the file has more of, so that what does not fit is told in its own.
    ours, theirs = {name: name for name in network.state_dict()}, official_names(network)
    _load_strictly(network, state, max(ours, theirs, key=lambda names: len(state.keys() & set(names.values()))), which)
    return which


def _load_strictly(network: RestorationNet, state: Mapping[str, Tensor], names: Mapping[str, str], which: str) -> None:
    """Loads `state`, in which our parameter `name` is called `names[name]`; `OfficialMismatch` unless all fits."""
    wanted = network.state_dict()
    missing = [theirs for theirs in names.values() if theirs not in state]
    unexpected = sorted(set(state) - set(names.values()))
    misshapen = [
        f"{theirs} is {tuple(state[theirs].shape)}, the network has {tuple(wanted[ours].shape)}"
        for ours, theirs in names.items()
        if theirs in state and state[theirs].shape != wanted[ours].shape
    ]
    problems = [
        f"{len(found)} {kind}: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if found
    ]
    if problems:
        raise OfficialMismatch(f"the checkpoint ({which}, {len(state)} tensors) does not fit the network: {'; '.join(problems)}.")
    network.load_state_dict({ours: state[theirs] for ours, theirs in names.items()}, strict=True)

"""Names that several authors' codes share, as rules from ours to theirs."""

from __future__ import annotations

S6 = (("x_proj", "x_proj_weight"), ("dt_proj", "dt_projs_weight"), ("dt_bias", "dt_projs_bias"), ("A_log", "A_logs"), ("D", "Ds"))
UNET = (
    (r"^body\.stem\.", "patch_embed.proj."),
    *((rf"^body\.encoder\.{i}\.", f"encoder_level{i + 1}.") for i in range(3)),
    *((rf"^body\.decoder\.{i}\.", f"decoder_level{3 - i}.") for i in range(3)),
    *((rf"^body\.down\.{i}\.conv\.", f"down{i + 1}_{i + 2}.body.0.") for i in range(3)),
    *((rf"^body\.up\.{i}\.conv\.", f"up{4 - i}_{3 - i}.body.0.") for i in range(3)),
    *((rf"^body\.reduce\.{i}\.", f"reduce_chan_level{3 - i}.") for i in range(2)),
    (r"^body\.", ""),  # latent and refinement keep their names
)
RESIDUAL = (
    (r"^shallow\.", "conv_first."),
    (r"^first_norm\.", "patch_embed.norm."),
    (r"^last_norm\.", "norm."),
    (r"^deep\.", "conv_after_body."),
    (r"^groups\.(\d+)\.blocks\.layers\.", r"layers.\1.residual_group.layers."),
    (r"^groups\.(\d+)\.blocks\.", r"layers.\1.residual_group.blocks."),
    (r"^groups\.(\d+)\.conv\.", r"layers.\1.conv."),
    (r"^tail\.before\.", "conv_before_upsample.0."),
    (r"^tail\.upsample\.convs\.0\.", "upsample.0."),
    (r"^tail\.upsample\.convs\.1\.", "upsample.2."),
)
RSSB = (
    *((rf"\.scan\.planar\.{ours}$", f".self_attention.{theirs}") for ours, theirs in S6),
    (r"\.scan_skip$", ".skip_scale"),
    (r"\.local_skip$", ".skip_scale2"),
    (r"\.scan_norm\.", ".ln_1."),
    (r"\.local_norm\.", ".ln_2."),
    (r"\.scan\.planar_norm\.", ".self_attention.out_norm."),
    (r"\.scan\.depthwise\.", ".self_attention.conv2d."),
    (r"\.scan\.", ".self_attention."),
    (r"\.local\.convs\.", ".conv_blk.cab."),
)
ATTENTION_SCAN = (
    (r"^window_index$", "relative_position_index_SA"),
    *((rf"\.scan\.s6\.{ours}$", f".assm.selectiveScan.{theirs}") for ours, theirs in S6),
    (r"\.scan\.enter\.project\.", ".assm.in_proj.0."),
    (r"\.scan\.enter\.position\.", ".assm.CPE.0."),
    (r"\.scan\.norm\.", ".assm.out_norm."),
    (r"\.scan\.leave\.", ".assm.out_proj."),
    (r"\.attention\.qkv\.", ".wqkv."),
    (r"\.attention\.project\.", ".win_mhsa.proj."),
    (r"\.attention\.bias_table$", ".win_mhsa.relative_position_bias_table"),
    (r"\.feed_forward(\d?)\.expand\.", r".convffn\1.fc1."),
    (r"\.feed_forward(\d?)\.project\.", r".convffn\1.fc2."),
    (r"\.feed_forward(\d?)\.norm\.", r".convffn\1.sg.norm."),
)


def last_of(upsampler: str) -> tuple[str, str]:
    """Return the rule of the last convolution of a residual network."""
    return (r"^tail\.last\.", "upsample.0." if upsampler == "pixelshuffledirect" else "conv_last.")

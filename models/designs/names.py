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

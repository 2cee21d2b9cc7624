"""JPEG compression of grey images, as the benchmark of compression artefacts defines its inputs.

The plane is coded by libjpeg's 8-bit baseline coder, through Pillow, at a whole-number quality, and decoded again. How colour originals
are made grey is the protocol's (suite.data.colour.in_grey): in full range, as training images always are, or by MATLAB's rgb2ycbcr.
Other coders (MATLAB's) differ slightly, so `encoder` says which one it was; with libjpeg-turbo, Classic5 gives the values that papers
print for their input (test_jpeg.py).
"""

from __future__ import annotations

import io

import numpy as np

from suite.data.images import Pixels


def compress(grey: Pixels, quality: int) -> Pixels:
    """`grey`, uint8 `(H, W, 1)`, after JPEG coding at `quality` (libjpeg's 1 to 95) and decoding: uint8 `(H, W, 1)`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey[..., 0]).save(buffer, format="JPEG", quality=quality)
    return np.array(Image.open(buffer))[..., None]


def encoder() -> str:
    """The coder and its version, as results record it."""
    import PIL
    from PIL import features

    library = "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg"
    version = features.version("libjpeg_turbo") if library == "libjpeg-turbo" else features.version("jpg")
    return f"Pillow {PIL.__version__} with {library} {version}"

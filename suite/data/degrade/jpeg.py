"""JPEG compression: of grey images as the benchmark of compression artefacts defines its inputs, and of colour ones.

The image is coded by libjpeg's 8-bit baseline coder, through Pillow, at a whole-number quality, and decoded again. How colour originals
are made grey is the protocol's (suite.data.colour.in_grey): in full range, as training images always are, or by MATLAB's rgb2ycbcr.
Other coders (MATLAB's) differ slightly, so `encoder` says which one it was; with libjpeg-turbo, Classic5 gives the values that papers
print for their input (test_jpeg.py).
"""

from __future__ import annotations

import io

import numpy as np

from suite.data.images import Pixels


def compress(image: Pixels, quality: int) -> Pixels:
    """Return `image`, uint8 `(H, W, 1)`, or RGB `(H, W, 3)` at 4:2:0, after JPEG coding at `quality` (libjpeg's 1 to 95) and decoding."""
    from PIL import Image  # late: slow to load

    buffer, colour = io.BytesIO(), image.shape[2] == 3
    whole = Image.fromarray(image if colour else image[..., 0])
    whole.save(buffer, format="JPEG", quality=quality, subsampling="4:2:0" if colour else -1)
    return np.array(Image.open(buffer)).reshape(image.shape)


def encoder() -> str:
    """Return the coder and its version, as results record it."""
    import PIL  # late: slow to load
    from PIL import features

    library, feature = ("libjpeg-turbo", "libjpeg_turbo") if features.check_feature("libjpeg_turbo") else ("libjpeg", "jpg")
    return f"Pillow {PIL.__version__} with {library} {features.version(feature)}"
